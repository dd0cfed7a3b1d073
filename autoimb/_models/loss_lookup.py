"""Losses by name, and the links between their logits and probabilities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, logit, softmax

from autoimb.exceptions import unknown_name_error

Link: TypeAlias = Literal["softmax", "sigmoid"]
"""How k logits become probabilities: by a softmax, or each by its own sigmoid, divided
by the sum. Two classes share one logit and its sigmoid."""

_MIN_SHARE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LossFunction:
    """A loss that a net or boosted trees can minimise."""

    function: Callable[..., Any]
    """For nets, see `losses`; for boosted trees, see `gradients`."""
    params: tuple[str, ...] = ()
    """Names of the function's own parameters."""
    link: Link = "softmax"
    """How k logits become probabilities."""


def resolve_loss(
    losses: Mapping[str, LossFunction],
    loss: str | Callable[..., Any],
    params: Mapping[str, Any] | None = None,
) -> LossFunction:
    """Return the loss of that name, or a user's function, with its parameters bound.

    Raises
    ------
    ValueError
        If the loss or one of its parameters is unknown.
    """
    params = dict(params or {})
    if callable(loss):
        return LossFunction(function=partial(loss, **params))
    if loss not in losses:
        raise unknown_name_error(f"{loss=}", loss, losses)
    named = losses[loss]
    if unknown := sorted(params.keys() - set(named.params)):
        raise ValueError(
            f"loss_params has {unknown}, but {loss!r} takes {sorted(named.params)}."
        )
    return replace(named, function=partial(named.function, **params))


def class_shares(
    codes: NDArray[Any], weight: ArrayLike | None, n_classes: int = 0
) -> NDArray[np.float64]:
    """Return each class's share of the weight, shape (k,) with k at least `n_classes`.

    Without weights each row counts once.
    """
    totals = np.bincount(codes, weight, n_classes)
    return np.asarray(totals / totals.sum())


def to_proba(
    logits: NDArray[Any], *, is_binary: bool, link: Link = "softmax"
) -> NDArray[np.float64]:
    """Return probabilities of shape (n, k) for logits (n,) or (n, 1), or (n, k)."""
    wide = np.asarray(logits, dtype=np.float64).reshape(len(logits), -1)
    if is_binary:
        return np.asarray(expit(np.hstack([-wide, wide])))
    if link == "sigmoid":
        # The softmax of log-sigmoids is the sigmoids divided by their sum. It is also
        # defined for very low logits, where all sigmoids round to zero.
        wide = log_expit(wide)
    return np.asarray(softmax(wide, axis=1))


def start_logits(shares: NDArray[Any], link: Link = "softmax") -> NDArray[np.float64]:
    """Return the logits of class shares: shape (1,) for two classes, else (k,)."""
    bounded = np.maximum(np.asarray(shares, dtype=np.float64), _MIN_SHARE)
    if len(bounded) == 2:
        return np.log(bounded[1:] / bounded[:1])
    if link == "softmax":
        return np.log(bounded)
    return np.asarray(logit(np.minimum(bounded, 1 - _MIN_SHARE)))
