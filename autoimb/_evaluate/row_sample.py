"""Which training rows a candidate is fitted on: all of them, or a sample.

Where a fit on all rows would take too long, a candidate is fitted on a sample of the
training rows of each fold: as many rows of the small classes as fit into an equal share
of it, and some of the others. Whether weights then give the sampled classes their
original shares, or calibration alone does, is a property of the family: linear models
and XGBoost rank better with weights, forests and other boosted models without
(benchmarks/RESULTS.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP = 4  # each sample is so many times as large as the next
_SMALLEST = 3_000  # rows of a sample


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


def row_samples(n_rows: int) -> tuple[RowSample, ...]:
    """Return all rows, then smaller and smaller samples of so many training rows."""
    samples, size = [ALL_ROWS], n_rows // _STEP
    while size >= _SMALLEST:
        samples.append(RowSample(f"a sample of {size:,} rows", size))
        size //= _STEP
    return tuple(samples)


def _capped(counts: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Return counts cut to one cap, so that they sum to about the total."""
    sampled = np.zeros_like(counts)
    left, n_left = total, int((counts > 0).sum())
    for code in np.argsort(counts, kind="stable"):
        if counts[code]:
            sampled[code] = min(int(counts[code]), left // n_left)
            left, n_left = left - int(sampled[code]), n_left - 1
    return sampled
