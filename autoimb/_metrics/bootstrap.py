"""Bootstrap draws of rows, and the standard errors and intervals that they give.

A draw says how often each row counts; whatever is computed with weights can be computed
on a draw. The rows that a draw left out serve as new data for what was chosen on it.
There are three ways of drawing: `draw_by_class`, `draw_groups` for rows that belong
together, and `DistinctRows.draws` for rows that stand several times in a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autoimb._metrics.confusion import FloatArray, IntArray

MAX_DRAWS = 100
MAX_CELLS = 5_000_000
"""Rows times draws: bounds time and memory on large tables."""


# Draws -------------------------------------------------------------------------------


def most_draws(n_rows: int) -> int:
    """Return how many bootstrap draws of so many rows there are at most."""
    return int(np.clip(MAX_CELLS // n_rows, 20, MAX_DRAWS))


def draw_by_class(y: NDArray[np.intp], n_draws: int, seed: int) -> NDArray[np.uint8]:
    """Return how often each row is drawn (B, n); every class keeps its size."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((n_draws, len(y)), dtype=np.uint8)
    for code in np.unique(y):
        rows = np.flatnonzero(y == code)
        picks = rng.integers(len(rows), size=(n_draws, len(rows)))
        for draw, picked in zip(counts, picks, strict=True):
            draw[rows] = np.bincount(picked, minlength=len(rows))
    return counts


def draw_groups(groups: NDArray[Any], n_draws: int, seed: int) -> NDArray[np.uint8]:
    """Return how often each row is drawn (B, n), the rows of a group together."""
    rng = np.random.default_rng(seed)
    codes, names = pd.factorize(np.asarray(groups), use_na_sentinel=False)
    counts = np.empty((n_draws, len(codes)), dtype=np.uint8)
    for draw in counts:
        picked = rng.integers(len(names), size=len(names))
        draw[:] = np.bincount(picked, minlength=len(names))[codes]
    return counts


@dataclass(frozen=True, eq=False)
class DistinctRows:
    """The distinct rows of a table in which a row may stand several times.

    Repeated cross-validation predicts each row once a repeat: one row, several entries.
    """

    label: IntArray
    """Label code (m,) of each distinct row."""
    of_entry: IntArray
    """The distinct row (n,) of each entry."""

    @classmethod
    def of(cls, y: IntArray, row_ids: IntArray) -> "DistinctRows":
        """Return the distinct rows of entries; `row_ids` (n,) numbers their rows."""
        _, first, of_entry = np.unique(row_ids, return_index=True, return_inverse=True)
        return cls(y[first], of_entry)

    def draws(self, entries: IntArray, n_draws: int, seed: int) -> Iterator[IntArray]:
        """Yield how often each of the entries is drawn, one array a draw.

        Entries of a row are drawn together, and every class keeps its number of rows.
        """
        sizes = np.unique_counts(self.label).counts
        place = np.empty(len(self.label), dtype=np.intp)
        place[np.argsort(self.label, kind="stable")] = np.arange(len(self.label))
        place = place[self.of_entry[entries]]
        rng = np.random.default_rng(seed)
        for _ in range(n_draws):
            counts = [
                np.bincount(rng.integers(n, size=n, dtype=np.int32), minlength=n)
                for n in sizes
            ]
            # Small numbers stay in the cache while they are looked up in any order.
            yield np.concatenate(counts, dtype=np.uint16, casting="unsafe")[place]


# What draws say ----------------------------------------------------------------------


def standard_error(values: FloatArray) -> float:
    """Return the standard deviation of the draws' values (B,), NaN left out."""
    defined = values[np.isfinite(values)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")


def interval(values: FloatArray, share: float) -> FloatArray:
    """Return the ends (2, ...) of the middle share of the draws' values (B, ...)."""
    ends = [50 - 50 * share, 50 + 50 * share]
    return np.asarray(np.percentile(values, ends, axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A candidate's score, and the same on bootstrap draws of the rows."""

    mean: float
    drawn: FloatArray
    """The score (B,) on the rows of each draw."""
    left_out: FloatArray
    """The score (B,) on the rows that each draw left out."""

    @property
    def standard_error(self) -> float:
        """The standard error of `mean`."""
        return standard_error(self.drawn)

    def standard_error_of_difference(self, other: "Score") -> float:
        """Return the standard error of the difference to another candidate."""
        return standard_error(self.drawn - other.drawn)
