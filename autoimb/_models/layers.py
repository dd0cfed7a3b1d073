"""The residual net's forward pass: the same lines for NumPy arrays and for tensors."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["forward", "silu", "widen"]


def forward(
    weights: Mapping[str, Any],
    X: Any,
    silu: Callable[[Any], Any],
    drop: Callable[[Any], Any] = lambda units: units,
) -> Any:
    """Return logits of shape (n, n_outputs) from ``matrix_0, bias_0, matrix_1, …``."""
    n_hidden = len(weights) // 2 - 1
    units = X
    for i in range(n_hidden):
        new = drop(silu(units @ weights[f"matrix_{i}"] + weights[f"bias_{i}"]))
        units = new if i == 0 else units + new
    return units @ weights[f"matrix_{n_hidden}"] + weights[f"bias_{n_hidden}"]


def silu(units: NDArray[Any]) -> NDArray[Any]:
    """Return z sigmoid(z)."""
    activated: NDArray[Any] = units * expit(units)
    return activated


def widen(weights: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    """Return the weights in float64.

    In float32 a row's score would depend, in its last digits, on how many rows are
    multiplied together with it.
    """
    return {name: array.astype(np.float64) for name, array in weights.items()}
