"""TabM as a PyTorch module, built from its authors' packages."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from rtdl_num_embeddings import PiecewiseLinearEmbeddings
from tabm import EnsembleView, LinearBatchEnsemble, LinearEnsemble
from torch import Tensor, nn
from torch.nn.functional import relu

from autoimb._models.batches import Doubles, Floats
from autoimb._models.training import Dropout, Network

# Of two threads that save and restore the generator, the second would restore what
# the first one drew.
_GENERATOR_LOCK = Lock()
_OUTPUT_SCALE = 0.01  # near zero: the first logits are nearly the output's bias


class TabMNet(Network):
    """TabM: an ensemble of perceptrons that share all but a few vectors of each layer.

    Parameters
    ----------
    bins : sequence of ndarray
        Edges of the bins of each numeric feature, three or more, rising.
    n_codes : sequence of int
        Number of codes of each categorical feature; code 0 is an unknown category.
    start : ndarray of shape (n_outputs,)
        What the first logits of all members are near.
    k, d_block, n_blocks, d_embedding : int
        Members, units and number of the layers, units of a feature's embedding.
    dropout : float
        Share of units silenced in training.
    seed : int
        Seed of dropout.

    Notes
    -----
    Rows hold the codes first, then the numbers. Each feature is embedded on its own: a
    number by a piecewise-linear function, a category by a vector of its code (zeros for
    code 0). NOTE[DIFF]: the paper's one-hot columns would grow with the categories.
    """

    decayed_names = r"(layers|output)\..*weight"

    def __init__(
        self,
        bins: Sequence[Floats],
        n_codes: Sequence[int],
        start: Doubles,
        *,
        k: int,
        d_block: int,
        n_blocks: int,
        d_embedding: int,
        dropout: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.n_categorical = len(n_codes)
        self.categories = _CodeEmbeddings(n_codes, d_embedding) if n_codes else None
        self.numbers = None
        if bins:
            self.numbers = PiecewiseLinearEmbeddings(
                [*map(torch.tensor, bins)], d_embedding, activation=False, version="B"
            )
        self.view = EnsembleView(k=k)
        # As in the paper, members differ at first in one scale of each feature only;
        # all other scales of the members are ones.
        per_feature = [d_embedding] * (len(n_codes) + len(bins))
        first = LinearBatchEnsemble(
            sum(per_feature),
            d_block,
            k=k,
            scaling_init=("normal", "ones"),
            first_scaling_init_chunks=per_feature,
        )
        others = [
            LinearBatchEnsemble(d_block, d_block, k=k, scaling_init="ones")
            for _ in range(n_blocks - 1)
        ]
        self.layers = nn.ModuleList([first, *others])
        self.drop = Dropout(dropout, seed)
        self.output = LinearEnsemble(d_block, len(start), k=k)
        with torch.no_grad():
            self.output.weight.mul_(_OUTPUT_SCALE)
            self.output.bias.copy_(torch.from_numpy(start))

    def embed(self, X: Tensor) -> Tensor:
        """Return the embedded features side by side, (n, n_features * d_embedding)."""
        parts = []
        if self.categories is not None:
            parts.append(self.categories(X[:, : self.n_categorical].long()))
        if self.numbers is not None:
            parts.append(self.numbers(X[:, self.n_categorical :]))
        return torch.cat(parts, dim=1).flatten(1)

    def forward(self, units: Tensor) -> Tensor:
        """Return logits (n, k, n_outputs)."""
        units = self.view(units)
        for layer in self.layers:
            units = self.drop(relu(layer(units)))
        logits: Tensor = self.output(units)
        return logits


class _CodeEmbeddings(nn.Module):
    """A vector for each code of each categorical feature; zeros for code 0."""

    offsets: Tensor

    def __init__(self, n_codes: Sequence[int], d_embedding: int) -> None:
        super().__init__()
        offsets = torch.tensor([0, *np.cumsum(n_codes)[:-1]])
        self.register_buffer("offsets", offsets, persistent=False)
        self.table = nn.Embedding(sum(n_codes), d_embedding)
        bound = d_embedding**-0.5
        nn.init.uniform_(self.table.weight, -bound, bound)
        with torch.no_grad():
            self.table.weight[offsets] = 0.0

    def forward(self, codes: Tensor) -> Tensor:
        """Return (n, n_features, d_embedding) for codes (n, n_features)."""
        vectors: Tensor = self.table(codes + self.offsets)
        return vectors


def make_tabm(seed: int, *shape: Any, **settings: Any) -> TabMNet:
    """Return a random TabM; PyTorch's global generator stays as it was.

    The packages of its authors draw from that generator alone.
    """
    with _GENERATOR_LOCK, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return TabMNet(*shape, seed=seed, **settings)


@torch.no_grad()
def predictor(
    network: TabMNet, weights: Mapping[str, Floats]
) -> Callable[[Floats], Doubles]:
    """Return the map from rows to logits (n, k, n_outputs) of a net with these weights.

    It computes in float64. In float32 the score of a row would depend, in its last
    digits, on how many rows are multiplied together with it.
    """
    for name, parameter in network.named_parameters():
        parameter.copy_(torch.tensor(weights[name]))
    wide = network.double().eval()

    @torch.no_grad()
    def predict(rows: Floats) -> Doubles:
        X = torch.from_numpy(rows.astype(np.float64))
        return wide(wide.embed(X)).numpy()  # type: ignore[no-any-return]

    return predict
