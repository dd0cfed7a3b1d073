"""Sparse matrices: rows of which only the numbers that are not zero are stored.

A small one is read as the dense table that it stands for. A larger one is kept sparse
from the fit to the prediction, by models, scalers and resamplers that can read it.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_array

from autoimb._table.readers import bounded
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_DENSE_CELLS = 1_000_000
"""Up to so many cells, 8 MB, a sparse matrix is read as a dense one.

The number is fixed, so that the candidates depend on the table and not on the machine.
"""
_MOST_COLUMNS = 200_000
"""Each column has its own record in memory, and its own share of every check."""
_ODD = np.uint64(0x9E3779B97F4A7C15)


def stays_sparse(X: Any) -> bool:
    """Whether a sparse matrix is too large to be read as a dense table."""
    return bool(sparse.issparse(X)) and prod(X.shape) > MOST_DENSE_CELLS


def csr_rows(X: Any) -> sparse.csr_matrix:
    """Return a sparse matrix of any kind as rows of floats; X stays as it is.

    Raises
    ------
    BadInputError
        If it holds gaps or infinite numbers, or has too many columns, or if its parts
        do not fit together: a column number outside of it ends the process otherwise.
    """
    if X.ndim != 2:
        raise BadInputError(
            f"Expected 2D array, got {X.ndim}D array instead: X is a sparse array of "
            f"shape {X.shape}."
        )
    if X.shape[1] > _MOST_COLUMNS:
        raise BadInputError(
            f"X is a sparse matrix of {X.shape[1]:,} columns, and at most "
            f"{_MOST_COLUMNS:,} are taken: hash words to fewer, as by "
            "HashingVectorizer(n_features=2**16), or choose columns by SelectKBest."
        )
    if X.dtype.kind == "c":
        raise BadInputError(
            "Complex data not supported: pass real and imaginary parts as columns."
        )
    found = check_array(
        X,
        accept_sparse="csr",
        dtype=None,
        ensure_all_finite=False,
        estimator="AutoImbalance",
    )
    try:
        found.check_format(full_check=True)
    except ValueError as error:
        raise BadInputError(f"X is no valid sparse matrix: {error}.") from error
    values = _finite(found.data.astype(np.float64, copy=False), found.indices)
    # As a matrix, which has indices of 32 bits where they suffice: forests need them.
    rows = sparse.csr_matrix((values, found.indices, found.indptr), shape=found.shape)
    if not rows.has_canonical_format or not values.all():
        rows = rows.copy()
        rows.sum_duplicates()
        rows.eliminate_zeros()
    return rows


def _finite(values: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.float64]:
    """Return the stored numbers of a matrix, bounded; raise if any is not finite."""
    is_finite = np.isfinite(values)
    if is_finite.all():
        return bounded(values, [])
    at = int(np.argmin(is_finite))
    column = f"column {str(columns[at])!r}"
    if np.isinf(values[at]):
        raise BadInputError(
            f"Input X contains infinity or a value too large in {column}: replace it "
            "by a finite number."
        )
    raise BadInputError(
        f"X holds NaN in {column}, and a sparse matrix has no gaps, since what it does "
        "not store is 0: fill them first, or fit on a dense table."
    )


def distinct_counts(X: sparse.csr_matrix) -> NDArray[np.intp]:
    """Return how many distinct numbers (n_columns,) each column holds, with zero."""
    by_column = X.tocsc()
    n_stored = np.diff(by_column.indptr)
    column = np.repeat(np.arange(X.shape[1]), n_stored)
    order = np.lexsort((by_column.data, column))
    column, values = column[order], by_column.data[order]
    is_new = np.ones(len(values), dtype=bool)
    is_new[1:] = (np.diff(column) != 0) | (np.diff(values) != 0)
    n_distinct = np.bincount(column[is_new], minlength=X.shape[1])
    return np.asarray(n_distinct + (n_stored < X.shape[0]))


def zero_shares(X: sparse.csr_matrix, codes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the share of zeros (n_classes, n_columns) among the rows of each class."""
    n_rows = np.bincount(codes)
    is_of = sparse.csr_matrix(
        (np.ones(len(codes)), (codes, np.arange(len(codes)))),
        shape=(len(n_rows), len(codes)),
    )
    n_stored = (is_of @ (X != 0).astype(np.float64)).toarray()
    return np.asarray(1 - n_stored / n_rows[:, np.newaxis])


def sparse_hashes(X: sparse.csr_matrix) -> NDArray[np.uint64]:
    """Return the hash of each row, equal for rows that store the same numbers.

    It is the sum, modulo 2 ** 64, of a hash of each number and its column.
    """
    of_columns = pd.util.hash_array(np.arange(X.shape[1]))
    with np.errstate(over="ignore"):
        of_cells = pd.util.hash_array(X.data) * (of_columns[X.indices] | np.uint64(1))
        of_cells ^= of_cells >> np.uint64(32)
        until = np.concatenate([[np.uint64(0)], np.cumsum(of_cells * _ODD)])
        return np.asarray(until[X.indptr[1:]] - until[X.indptr[:-1]])
