"""Which training rows a candidate is fitted on: all of them, or first a sample.

On large tables a candidate is tried on a sample of the training rows before it is
fitted on all of them: as many rows of the small classes as fit into an equal share of
it, and some of the others. Weights give the sampled classes their original shares.
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
_LEAST_MINORITY = 50  # rows of a class; with fewer, no candidate is clearly behind


@dataclass(frozen=True, slots=True)
class RowSample:
    """How many of the training rows a candidate is fitted on.

    Attributes
    ----------
    name : str
        Its name in the report.
    n_rows : int or None
        Training rows of a fold; None for all of them.
    """

    name: str
    n_rows: int | None = None

    def draw(
        self, y: NDArray[np.intp], seed: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]] | None:
        """Return positions and weights of the rows in the sample; None for all rows.

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
        sampled = _capped(counts, self.n_rows)
        rng = np.random.default_rng(seed)
        rows = np.sort(
            np.concatenate(
                [
                    rng.choice(np.flatnonzero(y == code), n, replace=False)
                    for code, n in enumerate(sampled.tolist())
                ]
            )
        )
        return rows, (counts / np.maximum(sampled, 1))[y[rows]]


ALL_ROWS = RowSample("all rows")


def first_sample(class_counts: NDArray[np.intp]) -> RowSample | None:
    """Return the sample that candidates are tried on first, None on smaller tables.

    Parameters
    ----------
    class_counts : ndarray of shape (n_classes,)
        Rows of each class.
    """
    if class_counts.sum() <= _SAMPLED_ABOVE or class_counts.min() < _LEAST_MINORITY:
        return None
    return RowSample(f"a sample of {_SAMPLE_SIZE:,} rows", _SAMPLE_SIZE)


def _capped(counts: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Return counts cut to one cap, so that they sum to about the total."""
    sampled = np.zeros_like(counts)
    left, n_left = total, int((counts > 0).sum())
    for code in np.argsort(counts, kind="stable"):
        if counts[code]:
            sampled[code] = min(int(counts[code]), left // n_left)
            left, n_left = left - int(sampled[code]), n_left - 1
    return sampled
