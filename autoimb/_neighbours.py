"""How surrounded the rows of the smallest class are, and rows seen as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from autoimb._columns import Matrix, Schema, since_1970, take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from autoimb._data import Table

N_NEIGHBOURS = 5
MAX_NEIGHBOUR_ROWS = 50_000
"""Rows among which neighbours are looked for: a second's work."""

_MAX_QUERIES = 500  # minority rows whose neighbours are looked at
_BLOCK_CELLS = 1_000_000  # distances held at a time: they stay in the cache
_TYPES = ("outlier", "rare", "borderline", "safe")  # from few to many like neighbours
_EDGES = (0.5, 1.5, 3.5)  # like neighbours between the types; ties give fractions


def minority_types(table: Table, minority: int) -> dict[str, float] | None:
    """Return the share of each type, the safest first; None with too few rows."""
    rows = spread_rows(table, np.arange(len(table.y)), MAX_NEIGHBOUR_ROWS)
    is_like = table.y[rows] == minority
    if is_like.sum() <= N_NEIGHBOURS:
        return None
    queries = np.searchsorted(rows, spread_rows(table, rows[is_like], _MAX_QUERIES))
    space = _Space.of(take(table.X, rows), table.schema)
    # Products this thin are faster on one core, much so where others work beside it.
    with threadpool_limits(limits=1, user_api="blas"):
        n_like = [
            _like_neighbours(space.distances(block), block, is_like)
            for block in _blocks(queries, len(rows))
        ]
    counts = np.bincount(
        np.digitize(np.concatenate(n_like), _EDGES), minlength=len(_TYPES)
    )
    shares = dict(zip(_TYPES, (counts / counts.sum()).tolist(), strict=True))
    return {name: shares[name] for name in reversed(_TYPES)}


def spread_rows(table: Table, rows: NDArray[np.intp], n_most: int) -> NDArray[np.intp]:
    """Return at most so many of the rows, every class at the same rate.

    Rows are picked at even steps in the order of their class and hash: as good as at
    random, yet the same whatever order they come in.
    """
    if len(rows) <= n_most:
        return rows
    order = rows[np.lexsort((table.row_hashes[rows], table.y[rows]))]
    steps = np.linspace(0, len(rows) - 1, n_most).round().astype(np.intp)
    return np.sort(order[steps])


def _blocks(queries: NDArray[np.intp], n_rows: int) -> Iterator[NDArray[np.intp]]:
    """Yield the queries in blocks whose distances fit the cache."""
    size = max(1, _BLOCK_CELLS // n_rows)
    for start in range(0, len(queries), size):
        yield queries[start : start + size]


def _like_neighbours(
    distances: NDArray[np.float64], queries: NDArray[np.intp], is_like: NDArray[np.bool]
) -> NDArray[np.float64]:
    """Return how many of the nearest rows are of the same class, for each query.

    Rows tied for the last places share them: two places for one like and three other
    rows are half a like neighbour. So the order of rows does not matter.
    """
    distances[np.arange(len(queries)), queries] = np.inf  # no neighbour of itself
    last = np.partition(distances, N_NEIGHBOURS - 1, axis=1)[:, [N_NEIGHBOURS - 1]]
    slack = 1e-9 * (1 + last)  # sums in another order differ this little
    closer, near = distances < last - slack, distances <= last + slack
    n_closer, n_tied = closer.sum(axis=1), near.sum(axis=1) - closer.sum(axis=1)
    n_like_closer = closer[:, is_like].sum(axis=1)
    n_like_tied = near[:, is_like].sum(axis=1) - n_like_closer
    places = N_NEIGHBOURS - n_closer
    return np.asarray(n_like_closer + places * n_like_tied / n_tied)


@dataclass(frozen=True, slots=True, eq=False)
class _Space:
    """Rows between which distances can be measured."""

    numbers: NDArray[np.float64]
    """Scaled numbers (n, d), gaps at the median."""
    norms: NDArray[np.float64]
    """Squared lengths (n,) of the rows of `numbers`."""
    codes: NDArray[np.int32]
    """Category codes (c, n), -1 for gaps."""

    @classmethod
    def of(cls, X: Matrix, schema: Schema) -> _Space:
        """Return the space of canonical rows."""
        raw = pd.DataFrame(as_numbers(X, schema))
        numbers = (raw - raw.median()).fillna(0.0).to_numpy()
        with np.errstate(over="ignore"):  # numbers near 1e300 then count for nothing
            spread = numbers.std(axis=0)
        numbers = numbers / np.where(spread > 0, spread, 1.0)
        codes = [pd.factorize(X.iloc[:, i])[0] for i in schema.categorical]
        return cls(
            numbers,
            np.einsum("ij,ij->i", numbers, numbers),
            np.array(codes, dtype=np.int32).reshape(len(codes), len(X)),
        )

    def distances(self, queries: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return squared distances (n_queries, n) of rows to all rows.

        Each category that differs adds 1, as one-hot columns scaled by √½ would.
        """
        squared = self.numbers[queries] @ self.numbers.T
        squared *= -2
        squared += self.norms
        squared += self.norms[queries, None]
        if len(self.codes):
            small = np.min_scalar_type(len(self.codes))
            n_apart = np.zeros(squared.shape, dtype=small)
            for codes in self.codes:
                n_apart += (codes[queries, None] != codes).view(np.uint8)
            squared += n_apart
        return squared


def number_positions(schema: Schema) -> list[int]:
    """Return the positions of the columns that become numbers."""
    return schema.positions("numeric", "boolean", "datetime", "time of day")


def as_numbers(X: Matrix, schema: Schema) -> NDArray[np.float64]:
    """Return numbers, booleans and dates (in days) of rows as floats (n, d)."""
    positions = number_positions(schema)
    if not isinstance(X, pd.DataFrame):
        return X[:, positions]  # type: ignore[no-any-return]
    dates = set(schema.positions("datetime", "time of day"))
    columns = [
        since_1970(X.iloc[:, i], "D") if i in dates else X.iloc[:, i] for i in positions
    ]
    return np.column_stack([np.empty((len(X), 0)), *columns])
