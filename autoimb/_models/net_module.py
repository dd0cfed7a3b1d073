"""The residual net as a PyTorch module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from .batches import Floats
from .layers import forward
from .training import Dropout, Network

__all__ = ["ResidualNet"]


class ResidualNet(Network):
    """A residual multilayer perceptron: `forward` of the given weights."""

    def __init__(
        self, weights: Mapping[str, Floats], dropout: float, seed: int
    ) -> None:
        super().__init__()
        self.drop = Dropout(dropout, seed)
        for name, array in weights.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(array)))

    def forward(self, units: Tensor) -> Tensor:
        """Return logits (n, 1, n_outputs)."""
        logits: Tensor = forward(dict(self.named_parameters()), units, silu, self.drop)
        return logits[:, None]

    def decays(self, name: str) -> bool:
        """Return whether the parameter is a matrix."""
        return name.startswith("matrix")
