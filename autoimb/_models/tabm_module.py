"""TabM as a PyTorch module, made of the packages of its authors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from rtdl_num_embeddings import PiecewiseLinearEmbeddings
from tabm import EnsembleView, LinearBatchEnsemble, LinearEnsemble
from torch import Tensor, nn
from torch.nn.functional import relu

from .batches import Doubles, Floats
from .training import Dropout, Network

__all__ = ["TabMNet", "make_tabm"]

_OUTPUT_SCALE = 0.01  # near zero: the first predictions are the class shares


class TabMNet(Network):
    """TabM: many perceptrons in one, which share all but a few vectors of each layer.

    Parameters
    ----------
    bins : sequence of ndarray
        Edges of the bins of each numeric feature, three or more, rising.
    n_codes : sequence of int
        Codes of each categorical feature; code 0 stands for categories never seen.
    n_outputs : int
        Logits of each member.
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

    def __init__(
        self,
        bins: Sequence[Floats],
        n_codes: Sequence[int],
        n_outputs: int,
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
        self.numbers = _embed_numbers(bins, d_embedding) if bins else None
        self.view = EnsembleView(k=k)
        # As the paper has it, members begin different in one scale of each feature
        # only; all other scales of the members begin as ones.
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
        self.output = LinearEnsemble(d_block, n_outputs, k=k)

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

    def decays(self, name: str) -> bool:
        """Return whether the parameter is a matrix of a layer or of the output."""
        return name.startswith(("layers", "output")) and name.endswith("weight")

    @torch.no_grad()
    def start_at(self, logits: Doubles) -> None:
        """Let the first predictions of all members be near these logits."""
        self.output.weight.mul_(_OUTPUT_SCALE)
        self.output.bias.copy_(torch.from_numpy(logits))

    @torch.no_grad()
    def load(self, weights: Mapping[str, Floats]) -> None:
        """Take over the weights of another net of the same shape."""
        for name, parameter in self.named_parameters():
            parameter.copy_(torch.tensor(weights[name]))


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


def _embed_numbers(
    bins: Sequence[Floats], d_embedding: int
) -> PiecewiseLinearEmbeddings:
    """Return piecewise-linear embeddings as TabM has them."""
    edges = [torch.tensor(feature) for feature in bins]
    return PiecewiseLinearEmbeddings(edges, d_embedding, activation=False, version="B")


def make_tabm(seed: int, *shape: Any, **settings: Any) -> TabMNet:
    """Return a random TabM; PyTorch's global chance is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return TabMNet(*shape, seed=seed, **settings)


def predictor(network: TabMNet) -> Callable[[Floats], Doubles]:
    """Return the net's map from rows to logits (n, k, n_outputs), in float64.

    In float32 a row's score would depend, in its last digits, on how many rows are
    multiplied together with it.
    """
    wide = network.double().eval()

    @torch.no_grad()
    def predict(rows: Floats) -> Doubles:
        units = wide.embed(torch.from_numpy(rows.astype(np.float64)))
        logits: Doubles = wide(units).numpy()
        return logits

    return predict
