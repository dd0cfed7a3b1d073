"""Types of the minority rows: safe, borderline, rare and outlier.

The type of a row follows from how many of its nearest neighbours are of its class. The
module also holds what other measurements of a table use: a sample of rows, and rows
as numbers.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from autoimb._table.columns import CanonicalRows, Schema, since_1970, take
from autoimb._table.table import Table

N_NEIGHBOURS = 5
MAX_NEIGHBOUR_ROWS = 50_000
"""Most rows among which neighbours are searched: this takes about a second."""

_MAX_QUERIES = 500  # most minority rows whose neighbours are searched
_BLOCK_CELLS = 1_000_000  # distances computed at once: they fit into the cache
_TYPES = ("outlier", "rare", "borderline", "safe")  # by number of like neighbours
_EDGES = (0.5, 1.5, 3.5)  # like neighbours between the types; ties give fractions


def minority_types(table: Table, minority: int) -> dict[str, float] | None:
    """Return the share of each type, the safest first; None with too few rows.

    The distances are computed in blocks, category by category. With 50,000 rows of 10
    numbers and 10 columns of 20 categories this takes 1.2 s and 23 MB. On one-hot
    columns, `pairwise_distances_chunked` takes 4.8 s and 485 MB, or 6.1 s and 177 MB
    in blocks of the same size. `NearestNeighbors` takes 2.2 s and 177 MB, and does not
    tell which rows are tied for the last place.
    """
    rows = spread_rows(table, np.arange(len(table.y)), MAX_NEIGHBOUR_ROWS)
    is_like = table.y[rows] == minority
    if is_like.sum() <= N_NEIGHBOURS:
        return None
    queries = np.searchsorted(rows, spread_rows(table, rows[is_like], _MAX_QUERIES))
    X = take(table.X, rows)
    numbers, categorical = _scaled_numbers(X, table.schema), table.schema.categorical
    codes = np.array(
        [pd.factorize(X.iloc[:, i])[0] for i in categorical], dtype=np.int32
    ).reshape(len(categorical), len(rows))  # -1 for gaps
    batches = gen_batches(len(queries), max(1, _BLOCK_CELLS // len(rows)))
    n_like = [
        _count_like_neighbours(
            squared_distances(queries[batch], numbers, codes), queries[batch], is_like
        )
        for batch in batches
    ]
    counts = np.bincount(
        np.digitize(np.concatenate(n_like), _EDGES), minlength=len(_TYPES)
    )
    shares = (counts / counts.sum()).tolist()
    return dict(zip(reversed(_TYPES), reversed(shares), strict=True))


def spread_rows(table: Table, rows: NDArray[np.intp], n_most: int) -> NDArray[np.intp]:
    """Return at most `n_most` of the rows, every class at the same rate.

    The rows are picked at even steps in the order of class and hash. So the sample is
    as good as a random one, and the same in whatever order the rows come.
    """
    if len(rows) <= n_most:
        return rows
    order = rows[np.lexsort((table.row_hashes[rows], table.y[rows]))]
    steps = np.linspace(0, len(rows) - 1, n_most).round().astype(np.intp)
    return np.sort(order[steps])


def _count_like_neighbours(
    distances: NDArray[np.float64], queries: NDArray[np.intp], is_like: NDArray[np.bool]
) -> NDArray[np.float64]:
    """Return how many of the nearest rows are of the same class, for each query.

    Rows that are tied for the last places share them: if one like and three other rows
    are tied for two places, they count as half a like neighbour. So the order of rows
    does not matter.
    """
    distances[np.arange(len(queries)), queries] = np.inf  # no neighbour of itself
    last = np.partition(distances, N_NEIGHBOURS - 1, axis=1)[:, [N_NEIGHBOURS - 1]]
    slack = 1e-9 * (1 + last)  # rounding errors are smaller
    closer, near = distances < last - slack, distances <= last + slack
    n_closer, n_tied = closer.sum(axis=1), near.sum(axis=1) - closer.sum(axis=1)
    n_like_closer = closer[:, is_like].sum(axis=1)
    n_like_tied = near[:, is_like].sum(axis=1) - n_like_closer
    places = N_NEIGHBOURS - n_closer
    return np.asarray(n_like_closer + places * n_like_tied / n_tied)


def squared_distances(
    queries: NDArray[np.intp], numbers: Any, codes: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return squared distances (n_queries, n) of the rows `queries` to all rows.

    Parameters
    ----------
    queries : ndarray of shape (n_queries,)
        Positions of rows.
    numbers : ndarray or CSR matrix of shape (n, n_numbers)
        Scaled numbers without gaps.
    codes : ndarray of shape (n_categories, n)
        Category codes. Each that differs adds 1, as one-hot columns times √½ would.
    """
    # `euclidean_distances` checks all rows in each block: 1.6 s instead of 1.2 s.
    squared = (-2 * numbers[queries]) @ numbers.T
    if sparse.issparse(numbers):
        squared = squared.toarray()
        squared_norms = np.asarray(numbers.multiply(numbers).sum(axis=1)).ravel()
    else:
        squared_norms = np.einsum("ij,ij->i", numbers, numbers)
    squared += squared_norms
    squared += squared_norms[queries, None]
    if len(codes):
        n_different = np.zeros(squared.shape, dtype=np.min_scalar_type(len(codes)))
        for column in codes:
            n_different += (column[queries, None] != column).view(np.uint8)
        squared += n_different
    return np.asarray(squared)


def _scaled_numbers(X: CanonicalRows, schema: Schema) -> Any:
    """Return the numbers (n, n_numbers) of rows, scaled, with gaps at the median.

    A sparse matrix is not centred, which changes no distance.
    """
    if sparse.issparse(X):
        return StandardScaler(with_mean=False).fit_transform(X)
    raw = pd.DataFrame(as_numbers(X, schema))
    numbers = (raw - raw.median()).fillna(0.0).to_numpy()
    with np.errstate(over="ignore"):  # columns with numbers near 1e300 become zeros
        scale = numbers.std(axis=0)
    return np.asarray(numbers / np.where(scale > 0, scale, 1.0))


def number_positions(schema: Schema) -> list[int]:
    """Return the positions of the columns that `as_numbers` reads."""
    return schema.positions("numeric", "boolean", "datetime", "time of day")


def as_numbers(X: CanonicalRows, schema: Schema) -> NDArray[np.float64]:
    """Return numbers, booleans and dates (in days) of rows as floats (n, d)."""
    positions = number_positions(schema)
    if not isinstance(X, pd.DataFrame):
        return np.asarray(X[:, positions])
    dates = schema.positions("datetime", "time of day")
    columns = [
        since_1970(X.iloc[:, i], "D") if i in dates else X.iloc[:, i] for i in positions
    ]
    return np.column_stack([np.empty((len(X), 0)), *columns])
