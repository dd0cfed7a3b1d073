"""From logits to probabilities and back, in NumPy."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax

__all__ = ["Link", "start_logits", "to_proba"]

Link: TypeAlias = Literal["softmax", "sigmoid"]
"""How k logits become probabilities: together, or each by its own sigmoid, divided by
their sum. Two classes share one logit and its sigmoid."""

_MIN_SHARE = 1e-6


def to_proba(
    logits: NDArray[Any], *, is_binary: bool, link: Link = "softmax"
) -> NDArray[np.float64]:
    """Return probabilities of shape (n, k) for logits (n,) or (n, 1), or (n, k)."""
    wide = np.asarray(logits, dtype=np.float64).reshape(len(logits), -1)
    if is_binary:
        return np.asarray(expit(np.hstack([-wide, wide])))
    if link == "softmax":
        return np.asarray(softmax(wide, axis=1))
    # Subtracting the largest logarithm keeps the sum above zero for very low logits.
    log_sigmoid = -np.logaddexp(0, -wide)
    return np.asarray(softmax(log_sigmoid, axis=1))


def start_logits(shares: NDArray[Any], link: Link = "softmax") -> NDArray[np.float64]:
    """Return the logits of class shares: shape (1,) for two classes, else (k,)."""
    bounded = np.maximum(np.asarray(shares, dtype=np.float64), _MIN_SHARE)
    if len(bounded) == 2:
        return np.log(bounded[1:] / bounded[:1])
    if link == "softmax":
        return np.log(bounded)
    return np.asarray(logit(np.minimum(bounded, 1 - _MIN_SHARE)))
