"""The residual net's forward pass: one function for NumPy arrays and for tensors."""

from collections.abc import Callable, Mapping
from typing import Any


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
