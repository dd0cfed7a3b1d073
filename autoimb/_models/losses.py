"""Losses for rare classes as pure PyTorch functions of logits.

Each takes logits of shape (n,) for two classes or (n, k) for k, integer class codes
of shape (n,), the shares of the classes, shape (k,), where it asks for them, and
optional weights of classes (k,) and of rows (n,), which multiply. Each returns one loss
per row, shape (n,): the caller decides what to divide by.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .formulas import Formula, resolve_formula

__all__ = [
    "LOSSES",
    "asymmetric",
    "focal",
    "label_smoothing",
    "logit_adjusted",
    "resolve_loss",
    "weighted_cross_entropy",
]


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
    return _weigh(_cross_entropy(logits, codes), codes, class_weight, sample_weight)


def focal(
    logits: Tensor,
    codes: Tensor,
    *,
    gamma: float = 2.0,
    prior: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return -w (1 - p_t)^gamma log p_t of each row: easy rows count less.

    Parameters
    ----------
    logits, codes, prior, class_weight, sample_weight
        As in `weighted_cross_entropy`; the class weights are the paper's alpha.
    gamma : float in [0, inf), default=2.0
        How strongly easy rows are played down; 0 is cross-entropy.

    Returns
    -------
    Tensor of shape (n,)
        Loss of each row, weighted but not averaged.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollar (2017). Focal loss for dense object
       detection. arXiv:1708.02002
    """
    log_true, log_rest = _log_true_and_rest(logits, codes)
    losses = -torch.exp(gamma * log_rest) * log_true
    return _weigh(losses, codes, class_weight, sample_weight)


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
    to_truth = _cross_entropy(logits, codes)
    to_all = -_log_proba(logits).mean(dim=1)
    losses = (1 - epsilon) * to_truth + epsilon * to_all
    return _weigh(losses, codes, class_weight, sample_weight)


def logit_adjusted(
    logits: Tensor,
    codes: Tensor,
    *,
    tau: float = 1.0,
    prior: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return cross-entropy of logits + tau log prior: the plain logits are balanced.

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
    Predictions use the plain logits, as the paper does: with tau = 1 they estimate what
    the probabilities would be were all classes as common.

    References
    ----------
    .. [1] Menon, Jayasumana, Rawat, Jain, Veit, Kumar (2021). Long-tail learning via
       logit adjustment, section 5. arXiv:2007.07314
    """
    if prior is None:
        raise ValueError("logit_adjusted needs the prior.")
    shift = tau * torch.log(prior)
    shifted = logits + (shift[1] - shift[0] if logits.ndim == 1 else shift)
    return _weigh(_cross_entropy(shifted, codes), codes, class_weight, sample_weight)


def asymmetric(
    logits: Tensor,
    codes: Tensor,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 2.0,
    margin: float = 0.02,
    prior: Tensor | None = None,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return the asymmetric loss: easy negatives count less, very easy ones nothing.

    Parameters
    ----------
    logits, codes, class_weight, sample_weight
        As in `weighted_cross_entropy`.
    gamma_pos, gamma_neg : float in [0, inf), default=0.0 and 2.0
        How strongly easy positives and negatives are played down.
    margin : float in [0, 1), default=0.02
        Negatives of a lower probability than this have no loss at all.
    prior : Tensor of shape (k,)
        Shares of the classes: the rarer of two is the positive one.

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
    if prior is None:
        raise ValueError("asymmetric needs the prior.")
    of_one = partial(
        _asymmetric, gamma_pos=gamma_pos, gamma_neg=gamma_neg, margin=margin
    )
    if logits.ndim == 1:
        rare = int(prior.argmin())
        losses = of_one(logits if rare == 1 else -logits, codes == rare)
    else:
        is_true = functional.one_hot(codes, logits.shape[1]).bool()
        losses = of_one(logits, is_true).sum(dim=1)
    return _weigh(losses, codes, class_weight, sample_weight)


LOSSES: Mapping[str, Formula] = {
    "asymmetric": Formula(
        function=asymmetric,
        params=("gamma_pos", "gamma_neg", "margin"),
        link="sigmoid",
    ),
    "focal": Formula(function=focal, params=("gamma",)),
    "label_smoothing": Formula(function=label_smoothing, params=("epsilon",)),
    "log_loss": Formula(function=weighted_cross_entropy),
    "logit_adjusted": Formula(function=logit_adjusted, params=("tau",)),
}


def resolve_loss(
    loss: str | Callable[..., Tensor], params: Mapping[str, Any] | None = None
) -> Formula:
    """Return a loss by name, or one's own, with its parameters filled in."""
    return resolve_formula(LOSSES, loss, params)


def _cross_entropy(logits: Tensor, codes: Tensor) -> Tensor:
    """Return -log p_t of each row."""
    if logits.ndim == 1:
        return -functional.logsigmoid(_towards_truth(logits, codes))
    return functional.cross_entropy(logits, codes, reduction="none")


def _log_proba(logits: Tensor) -> Tensor:
    """Return the logarithms of the probabilities of all classes, shape (n, k)."""
    if logits.ndim == 1:
        return functional.logsigmoid(torch.stack([-logits, logits], dim=1))
    return functional.log_softmax(logits, dim=1)


def _asymmetric(
    logits: Tensor,
    is_positive: Tensor,
    *,
    gamma_pos: float,
    gamma_neg: float,
    margin: float,
) -> Tensor:
    """Return the asymmetric loss of one class against the rest, element by element."""
    log_p, log_rest = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    of_positives = -torch.exp(gamma_pos * log_rest) * log_p
    if margin == 0:
        of_negatives = -torch.exp(gamma_neg * log_p) * log_rest
    else:
        shifted = (torch.sigmoid(logits) - margin).clamp(min=0)
        # Below the margin a power of zero would have an infinite slope: cut it out.
        base = torch.where(shifted > 0, shifted, 1.0)
        of_negatives = -(base**gamma_neg) * torch.log1p(-shifted)
    return torch.where(is_positive, of_positives, of_negatives)


def _towards_truth(logits: Tensor, codes: Tensor) -> Tensor:
    """Return the binary logit of being right: positive where the sign is correct."""
    return logits * (2 * codes - 1)


def _log_true_and_rest(logits: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p_t and log(1 - p_t) of each row, both finite for finite logits."""
    if logits.ndim == 1:
        margin = _towards_truth(logits, codes)
        return functional.logsigmoid(margin), functional.logsigmoid(-margin)
    log_proba = functional.log_softmax(logits, dim=1)
    is_true = functional.one_hot(codes, logits.shape[1]).bool()
    # Summing the other classes keeps digits that log(1 - exp(log p_t)) would lose.
    rest = log_proba.masked_fill(is_true, -torch.inf)
    return log_proba[is_true], torch.logsumexp(rest, dim=1)


def _weigh(
    losses: Tensor,
    codes: Tensor,
    class_weight: Tensor | None,
    sample_weight: Tensor | None,
) -> Tensor:
    """Return the losses multiplied by the weights that are given, shape (n,)."""
    if class_weight is not None:
        losses = losses * class_weight[codes]
    if sample_weight is not None:
        losses = losses * sample_weight
    return losses
