"""What is kept of the training table, so that later tables can be compared with it.

It is a table of counts: for each column and class, how many rows have a value in each
of at most twenty ranges or categories, and how many have none. Ranges end at tenths of
the rows. No row is kept, and no category of fewer than five rows.

Counts by class tell two kinds of change apart: where only a class becomes more or less
frequent, each column is distributed as a mixture of what is counted here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from autoimb._table.columns import since_1970, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._table.columns import CanonicalRows, Column, Schema
    from autoimb._table.table import Table

N_BINS = 20
"""Ranges or categories of a column; the next place counts rows without a value."""
_TEXTS = {"categorical", "high-cardinality"}
_TENTHS = np.arange(1, 10) / 10
_MOST_CELLS = 4_000_000
_FEWEST_ROWS, _MOST_ROWS = 500, 50_000
"""Rows that are looked at: their number bounds the seconds that this adds to a fit."""
_FEWEST_OF_CATEGORY = 5
"""Fewest rows of a category whose name is kept: a rarer one may identify a person."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reference:
    """How the columns of the training table are distributed in each class."""

    counts: NDArray[np.float32]
    """Rows (n_columns, n_classes, n_bins + 1), as many as are independent.

    Rows with uneven weights count as so many equal rows as have the same variance.
    """
    edges: NDArray[np.float64]
    """Upper ends (n_columns, n_bins - 1) of the ranges of numbers, filled with NaN."""
    categories: tuple[tuple[str, ...], ...]
    """The frequent texts of each column; none for numbers."""
    independent_share: float
    """Groups, or rows without their copies, for each row of the training table."""

    @classmethod
    def of(cls, table: Table) -> Reference:
        """Return what is kept of a training table."""
        rows, schema = _looked_at(table), table.schema
        X, y, weight = take(table.X, rows), table.y[rows], table.weights[rows]
        if schema.is_raw:
            schema = replace(schema, is_raw=False)
            X = schema.canonical(X)
        largest = np.zeros(table.n_classes)
        np.maximum.at(largest, y, weight)
        weight = weight / largest[y]  # so that no square is too small for a float
        totals, squares = (np.bincount(y, w) for w in (weight, weight**2))
        share = (int(table.units.max()) + 1) / len(table.y)
        weight = weight * share * (totals / squares)[y]
        if schema.is_sparse:
            return cls(
                counts=_sparse_counts(X, y, weight, table.n_classes),
                edges=np.zeros((X.shape[1], 1)),
                categories=((),) * X.shape[1],
                independent_share=share,
            )
        edges, categories = [], []
        for i, column in enumerate(schema.columns):
            values, is_text = _values_of(X, i, column), column.kind in _TEXTS
            found = () if is_text else _edges_of(values[~np.isnan(values)])
            edges.append(np.append(found, np.full(N_BINS - 1 - len(found), np.nan)))
            categories.append(_frequent(values) if is_text else ())
        kept = cls(
            counts=np.empty(0, dtype=np.float32),
            edges=np.array(edges),
            categories=tuple(categories),
            independent_share=share,
        )
        counts = kept._counts_of(X, schema, y, weight, table.n_classes)
        return replace(kept, counts=counts)

    def counts_of(self, X: CanonicalRows, schema: Schema) -> NDArray[np.float64]:
        """Return (n_columns, n_bins + 1) rows of a later table, as independent ones."""
        y = np.zeros(X.shape[0], dtype=np.intp)
        weight = np.full(X.shape[0], self.independent_share)
        if schema.is_sparse:
            return _sparse_counts(X, y, weight, 1)[:, 0].astype(np.float64)
        return self._counts_of(X, schema, y, weight, 1)[:, 0].astype(np.float64)

    def _counts_of(
        self,
        X: CanonicalRows,
        schema: Schema,
        y: NDArray[np.intp],
        weight: NDArray[np.float64],
        n_classes: int,
    ) -> NDArray[np.float32]:
        """Return the weight (n_columns, n_classes, n_bins + 1) of rows by their bin."""
        n_places, counts = N_BINS + 1, []
        for i, column in enumerate(schema.columns):
            bins = self._bins(_values_of(X, i, column), i)
            of_column = np.bincount(
                y * n_places + bins, weight, minlength=n_classes * n_places
            )
            counts.append(of_column.reshape(n_classes, n_places))
        return np.array(counts, dtype=np.float32)

    def _bins(self, values: Any, place: int) -> NDArray[np.intp]:
        """Return the bin (n,) of each value of a column; the last is of the gaps."""
        is_missing = pd.isna(values)
        if values.dtype.kind == "f":
            edges = self.edges[place]
            # Gaps sort behind every number.
            bins = np.searchsorted(edges[~np.isnan(edges)], values)
        else:
            index = pd.Index(self.categories[place], dtype=object)
            bins = index.get_indexer(pd.Index(values, dtype=object))
            bins[bins < 0] = N_BINS - 1  # those that are not kept by name
        return np.where(is_missing, N_BINS, bins).astype(np.intp)


def _looked_at(table: Table) -> NDArray[np.intp]:
    """Return the rows that are counted: of each class all, or a sample of many."""
    n_columns = max(1, len(table.schema.columns))
    most = int(np.clip(_MOST_CELLS // n_columns, _FEWEST_ROWS, _MOST_ROWS))
    if table.schema.is_sparse or len(table.y) <= most:
        return np.arange(len(table.y))
    rng = np.random.default_rng(0)
    share = max(_FEWEST_ROWS, most // table.n_classes)
    picked = []
    for code in range(table.n_classes):
        rows = np.flatnonzero(table.y == code)
        picked.append(rng.permutation(rows)[:share])
    return np.sort(np.concatenate(picked))


def _values_of(X: CanonicalRows, place: int, column: Column) -> Any:
    """Return one column of canonical rows as floats, or as texts."""
    if not isinstance(X, pd.DataFrame):
        return np.asarray(X[:, place], dtype=np.float64)
    values = X.iloc[:, place].to_numpy()
    if column.kind == "datetime":
        return since_1970(values, "h")
    is_text = column.kind in _TEXTS
    return np.asarray(values, dtype=object if is_text else np.float64)


def _edges_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tenths of numbers, each with mass below it as well as above.

    A number that many rows have gets a range of its own: the value before it is then an
    edge, too.
    """
    if not len(values):
        return values
    ordered = np.sort(values)
    at = ordered[np.ceil(_TENTHS * len(ordered)).astype(int) - 1]
    first = np.searchsorted(ordered, at)
    n_equal = np.searchsorted(ordered, at, side="right") - first
    before = ordered[first[(n_equal >= len(ordered) / 10) & (first > 0)] - 1]
    return np.unique(np.concatenate([at, before]))


def _frequent(values: NDArray[Any]) -> tuple[str, ...]:
    """Return the most frequent texts; the last place is left to all others."""
    counts = pd.Series(values, dtype=object).value_counts().iloc[: N_BINS - 1]
    return tuple(map(str, counts.index[counts >= _FEWEST_OF_CATEGORY]))


def _sparse_counts(
    X: sparse.csr_matrix, y: NDArray[np.intp], weight: NDArray[np.float64], k: int
) -> NDArray[np.float32]:
    """Return the weight (n_columns, k, 3) of zeros, of other numbers and of gaps."""
    by_class = sparse.csr_matrix((weight, (y, np.arange(len(y)))), shape=(k, len(y)))
    stored = (by_class @ (X != 0)).toarray().T
    total = np.bincount(y, weight, minlength=k)
    return np.stack([total - stored, stored, np.zeros_like(stored)], axis=-1).astype(
        np.float32
    )
