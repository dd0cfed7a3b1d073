"""What every evaluation of one fit shares: table, folds, catalogue and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb.exceptions import BadInputError, is_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from autoimb._catalogue import Catalogue
    from autoimb._metrics.metrics import Metric
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.folds import Fold
    from autoimb._table.table import Table


_SEEDS = 2**31 - 1


def resolve_seed(random_state: Any) -> int:
    """Return the seed that a user's `random_state` means.

    None is a seed from the system: NumPy's global generator stays as it was.
    """
    if random_state is None or isinstance(random_state, np.random.Generator):
        return int(np.random.default_rng(random_state).integers(_SEEDS))
    if is_whole(random_state) and 0 <= random_state < 2**32:
        random_state = np.random.RandomState(random_state)
    if not isinstance(random_state, np.random.RandomState):
        raise BadInputError(
            f"{random_state=} is no seed: pass a whole number from 0 to {2**32 - 1}, a "
            "generator of NumPy, or None."
        )
    return int(random_state.randint(_SEEDS))


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Problem:
    """What every evaluation of one fit shares."""

    table: Table
    catalogue: Catalogue
    folds: tuple[Fold, ...]
    seed: int
    device: str = "cpu"
    metric: str | Metric = "average_precision"
    """What models that stop early look at."""
    n_threads: int = 1
    """Threads of one evaluation."""
    cache_bytes: int = 2**27
    """How much of its encoded rows a process keeps."""
    max_predict_ms: float | None = None
    """What one row may take at most: members are timed; None for no limit."""

    def can_stop(self, strategy: Strategy) -> bool:
        """Whether a strategy's model can stop by itself when time is up."""
        return bool(self.catalogue.get("family", strategy.family.name).time_limited_fit)

    def build(
        self,
        strategy: Strategy,
        y: NDArray[np.intp],
        seed: int,
        *,
        n_threads: int | None = None,
        full_counts: NDArray[np.intp] | None = None,
    ) -> Pipeline:
        """Return a strategy's unfitted pipeline for training rows of these labels."""
        return strategy.build(
            self.catalogue,
            self.table.schema,
            y,
            seed=seed,
            n_threads=self.n_threads if n_threads is None else n_threads,
            device=self.device,
            metric=self.metric,
            pos_label=self.table.pos,
            full_counts=full_counts,
        )

    def fold_seed(self, number: int) -> int:
        """Return the seed of one fold, the same for every strategy."""
        return (self.seed + number) % 2**31
