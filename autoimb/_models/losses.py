"""Losses for rare classes as pure PyTorch functions of logits.

Each function takes logits of shape (n,) for two classes or (n, k) for k, integer class
codes of shape (n,), the shares of the classes, shape (k,), and optional weights of
classes (k,) and of rows (n,), which are multiplied. It returns one loss for each row,
shape (n,), which is not averaged.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from autoimb._models.loss_lookup import LossFunction


def weighted_cross_entropy(
    logits: Tensor,
    codes: Tensor,
    *,
    prior: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return -w log p_t of each row, p_t being the probability of its true class.

    Parameters
    ----------
    logits : Tensor of shape (n,) or (n, k)
        One logit a row for two classes (sigmoid), or k (softmax).
    codes : Tensor of shape (n,)
        True classes as integers from 0 to k - 1.
    prior : Tensor of shape (k,), default=None
        Shares of the classes among the rows that batches are drawn from; not used.
    class_weight : Tensor of shape (k,), default=None
        Weight of each class.
    sample_weight : Tensor of shape (n,), default=None
        Weight of each row.

    Returns
    -------
    Tensor of shape (n,)
        Loss of each row, weighted but not averaged.
    """
    if logits.ndim == 1:
        losses = -functional.logsigmoid(logits * (2 * codes - 1))
    else:
        losses = functional.cross_entropy(logits, codes, reduction="none")
    return _weigh(losses, codes, class_weight, sample_weight)


def focal(
    logits: Tensor,
    codes: Tensor,
    *,
    gamma: float = 2.0,
    prior: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return -w (1 - p_t)^gamma log p_t: rows that are predicted well count less.

    Parameters
    ----------
    logits, codes, prior, class_weight, sample_weight
        As in `weighted_cross_entropy`; the class weights are the paper's alpha.
    gamma : float in [0, inf), default=2.0
        How much less rows count that are predicted well; 0 is cross-entropy.

    Returns
    -------
    Tensor of shape (n,)
        Loss of each row, weighted but not averaged.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollar (2017). Focal loss for dense object
       detection. arXiv:1708.02002
    """
    if logits.ndim == 1:
        towards_truth = logits * (2 * codes - 1)
        log_true = functional.logsigmoid(towards_truth)
        log_rest = functional.logsigmoid(-towards_truth)
    else:
        log_proba = functional.log_softmax(logits, dim=1)
        is_true = functional.one_hot(codes, logits.shape[1]).bool()
        log_true = log_proba[is_true]
        # The sum over the other classes keeps digits that log(1 - p_t) would lose.
        log_rest = log_proba.masked_fill(is_true, -torch.inf).logsumexp(dim=1)
    return _weigh(
        -torch.exp(gamma * log_rest) * log_true, codes, class_weight, sample_weight
    )


def label_smoothing(
    logits: Tensor,
    codes: Tensor,
    *,
    epsilon: float = 0.05,
    prior: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return cross-entropy to a label that is wrong with probability epsilon.

    Parameters
    ----------
    logits, codes, prior, class_weight, sample_weight
        As in `weighted_cross_entropy`.
    epsilon : float in [0, 1], default=0.05
        Share of the label that is spread evenly over all k classes; 0 is
        cross-entropy.

    Returns
    -------
    Tensor of shape (n,)
        w ((1 - epsilon) CE + epsilon / k times the sum of CE to every class).

    References
    ----------
    .. [1] Szegedy, Vanhoucke, Ioffe, Shlens, Wojna (2016). Rethinking the Inception
       architecture for computer vision, section 7. arXiv:1512.00567
    """
    to_truth = weighted_cross_entropy(logits, codes)
    if logits.ndim == 1:
        log_proba = functional.logsigmoid(torch.stack([-logits, logits], dim=1))
    else:
        log_proba = functional.log_softmax(logits, dim=1)
    losses = (1 - epsilon) * to_truth - epsilon * log_proba.mean(dim=1)
    return _weigh(losses, codes, class_weight, sample_weight)


def logit_adjusted(
    logits: Tensor,
    codes: Tensor,
    *,
    tau: float = 1.0,
    prior: Tensor,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return cross-entropy of logits + tau log prior: the logits become balanced.

    Parameters
    ----------
    logits, codes, class_weight, sample_weight
        As in `weighted_cross_entropy`.
    tau : float in [0, inf), default=1.0
        How much of the prior is added; 0 is cross-entropy, 1 the balanced softmax.
    prior : Tensor of shape (k,)
        Shares of the classes among the rows that batches are drawn from.

    Returns
    -------
    Tensor of shape (n,)
        Loss of each row, weighted but not averaged.

    Notes
    -----
    Predictions use the logits without the added term, as in the paper: with tau = 1
    they estimate what the probabilities would be if all classes were equally common.

    References
    ----------
    .. [1] Menon, Jayasumana, Rawat, Jain, Veit, Kumar (2021). Long-tail learning via
       logit adjustment, section 5. arXiv:2007.07314
    """
    shift = tau * torch.log(prior)
    shifted = logits + (shift[1] - shift[0] if logits.ndim == 1 else shift)
    return weighted_cross_entropy(
        shifted, codes, class_weight=class_weight, sample_weight=sample_weight
    )


def asymmetric(
    logits: Tensor,
    codes: Tensor,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 2.0,
    margin: float = 0.02,
    prior: Tensor,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return the asymmetric loss: negatives that are predicted well count less.

    Parameters
    ----------
    logits, codes, class_weight, sample_weight
        As in `weighted_cross_entropy`.
    gamma_pos, gamma_neg : float in [0, inf), default=0.0 and 2.0
        How much less positives and negatives count that are predicted well.
    margin : float in [0, 1), default=0.02
        Negatives of a lower probability than this have a loss of zero.
    prior : Tensor of shape (k,)
        Shares of the classes; the rarer of two is the positive one.

    Returns
    -------
    Tensor of shape (n,)
        With p the probability of the positive class and q = max(p - margin, 0):
        -(1 - p)^gamma_pos log p for positives, -q^gamma_neg log(1 - q) for negatives.
        More than two classes: the sum over them, each against the rest with a sigmoid
        of its own.

    References
    ----------
    .. [1] Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor (2021).
       Asymmetric loss for multi-label classification, section 2. arXiv:2009.14119
    """
    if logits.ndim == 1:
        rare = int(prior.argmin())
        scores, is_positive = logits if rare == 1 else -logits, codes == rare
    else:
        scores = logits
        is_positive = functional.one_hot(codes, logits.shape[1]).bool()
    log_p, log_rest = functional.logsigmoid(scores), functional.logsigmoid(-scores)
    of_positives = -torch.exp(gamma_pos * log_rest) * log_p
    if margin == 0:
        of_negatives = -torch.exp(gamma_neg * log_p) * log_rest
    else:
        shifted = (torch.sigmoid(scores) - margin).clamp(min=0)
        # A power of zero would have an infinite slope, so the base is 1 below margin.
        base = torch.where(shifted > 0, shifted, 1.0)
        of_negatives = -(base**gamma_neg) * torch.log1p(-shifted)
    losses = torch.where(is_positive, of_positives, of_negatives)
    if logits.ndim > 1:
        losses = losses.sum(dim=1)
    return _weigh(losses, codes, class_weight, sample_weight)


LOSSES: Mapping[str, LossFunction] = {
    "asymmetric": LossFunction(
        function=asymmetric,
        params=("gamma_pos", "gamma_neg", "margin"),
        link="sigmoid",
    ),
    "focal": LossFunction(function=focal, params=("gamma",)),
    "label_smoothing": LossFunction(function=label_smoothing, params=("epsilon",)),
    "log_loss": LossFunction(function=weighted_cross_entropy),
    "logit_adjusted": LossFunction(function=logit_adjusted, params=("tau",)),
}


def _weigh(
    losses: Tensor,
    codes: Tensor,
    class_weight: Tensor | None,
    sample_weight: Tensor | None,
) -> Tensor:
    """Return the losses times the weights of classes and rows, shape (n,)."""
    if class_weight is not None:
        losses = losses * class_weight[codes]
    if sample_weight is not None:
        losses = losses * sample_weight
    return losses
