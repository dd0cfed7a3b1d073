"""Losses for rare classes as pure PyTorch functions of logits.

Each takes logits of shape (n,) for two classes or (n, k) for k, integer class codes
of shape (n,), and optional weights of classes (k,) and of rows (n,), which multiply.
Each returns one loss per row, shape (n,): the caller decides what to divide by.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["LOSSES", "Loss", "focal", "resolve_loss", "weighted_cross_entropy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A loss that the net can be trained with."""

    function: Callable[..., Tensor]
    """Maps logits, codes and weights to one loss per row."""
    params: tuple[str, ...] = ()
    """Names of the function's own parameters, without the weights."""


def weighted_cross_entropy(
    logits: Tensor,
    codes: Tensor,
    *,
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
        losses = -functional.logsigmoid(_towards_truth(logits, codes))
    else:
        losses = functional.cross_entropy(logits, codes, reduction="none")
    return _weigh(losses, codes, class_weight, sample_weight)


def focal(
    logits: Tensor,
    codes: Tensor,
    *,
    gamma: float = 2.0,
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return -w (1 - p_t)^gamma log p_t of each row: easy rows count less.

    Parameters
    ----------
    logits, codes, class_weight, sample_weight
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


LOSSES: Mapping[str, Loss] = {
    "focal": Loss(function=focal, params=("gamma",)),
    "log_loss": Loss(function=weighted_cross_entropy),
}


def resolve_loss(
    name: str, params: Mapping[str, Any] | None = None
) -> Callable[..., Tensor]:
    """Return the loss called `name` with its own parameters filled in.

    Raises
    ------
    ValueError
        If the loss or one of its parameters is unknown.
    """
    if name not in LOSSES:
        nearest = difflib.get_close_matches(name, LOSSES, n=1, cutoff=0.0)[0]
        msg = f"loss={name!r} is not one of {sorted(LOSSES)}; nearest: {nearest!r}."
        raise ValueError(msg)
    loss, given = LOSSES[name], dict(params or {})
    if unknown := sorted(given.keys() - set(loss.params)):
        msg = f"loss_params has {unknown}, but {name!r} takes {sorted(loss.params)}."
        raise ValueError(msg)
    return partial(loss.function, **given)


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
