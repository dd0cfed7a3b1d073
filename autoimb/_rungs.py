"""Which training rows a candidate sees: all of them, or first a sample.

On large tables a candidate is tried on a sample of the training rows before it is
fitted on all of them: every row of the rare classes, and of the others so many that
the sample has its size. Weights give the sampled classes their shares back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# At 300,000 rows the time was better spent on all rows (benchmarks/RESULTS.md).
_SAMPLED_ABOVE = 500_000  # rows of the table
_SAMPLE_SIZE = 40_000
_LEAST_MINORITY = 50  # fewer rows of a class, and nobody can be said to be behind


@dataclass(frozen=True, slots=True)
class Rung:
    """A step on the way to all rows.

    Attributes
    ----------
    name : str
        How the leaderboard calls it.
    n_rows : int or None
        Training rows of a fold; None for all of them.
    """

    name: str
    n_rows: int | None = None

    def draw(
        self, y: NDArray[np.intp], seed: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]] | None:
        """Return positions of the rows that are seen and their weights; None for all.

        Parameters
        ----------
        y : ndarray of shape (n_samples,)
            Label codes of the training rows.
        seed : int
            Seed of the draw, the same for every candidate.

        Returns
        -------
        tuple of ndarray or None
            Positions in ascending order, and class count / sampled count of each.
        """
        if self.n_rows is None or self.n_rows >= len(y):
            return None
        counts = np.bincount(y)
        kept = _capped(counts, self.n_rows)
        rng = np.random.default_rng(seed)
        rows = np.sort(
            np.concatenate(
                [
                    rng.choice(np.flatnonzero(y == code), n, replace=False)
                    for code, n in enumerate(kept.tolist())
                ]
            )
        )
        return rows, (counts / np.maximum(kept, 1))[y[rows]]


ALL_ROWS = Rung("all rows")


def early_rung(class_counts: NDArray[np.intp]) -> Rung | None:
    """Return the sample that candidates are tried on first, None on smaller tables.

    Parameters
    ----------
    class_counts : ndarray of shape (n_classes,)
        Rows of each class.
    """
    if class_counts.sum() <= _SAMPLED_ABOVE or class_counts.min() < _LEAST_MINORITY:
        return None
    return Rung(f"a sample of {_SAMPLE_SIZE:,} rows", _SAMPLE_SIZE)


def _capped(counts: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Return counts cut to one cap, so that they sum to about the total."""
    kept = np.zeros_like(counts)
    left, n_left = total, int((counts > 0).sum())
    for code in np.argsort(counts, kind="stable"):
        if counts[code]:
            kept[code] = min(int(counts[code]), left // n_left)
            left, n_left = left - int(kept[code]), n_left - 1
    return kept
