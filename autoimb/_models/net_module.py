"""The residual net as a PyTorch module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from autoimb._models.batches import Floats
from autoimb._models.layers import forward
from autoimb._models.training import Dropout, Network


class ResidualNet(Network):
    """The forward pass of `layers` as a module, with given first weights."""

    decayed_names = r"matrix_\d+"

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
