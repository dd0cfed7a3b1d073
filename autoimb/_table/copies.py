"""Identical rows that chance does not explain: copies, which belong together.

A row that is in the table twice, as after a join or after oversampling, is in both
parts of a fold unless both copies are kept together: every score is then flattered, by
models that know rows by heart most of all. In a table of few categories identical rows
are cases of their own, and stay apart.

Rows are taken for copies if

- at least `_MIN_COPIES` rows equal an earlier one, and rows with copies are
  `_MIN_SHARE` of some class, so that they matter;
- there are more than `_EXCESS` times as many identical pairs as are expected if columns
  were independent: the number of pairs times the product, over columns, of the share of
  pairs that match there. With independent columns the number is about Poisson
  distributed, and ten times its mean or more practically never occurs;
- no row makes up more than `_MAX_SHARE` of the table, and there are at most
  1 / `_MAX_SHARE` rows for each distinct one. Else a few frequent cases are the table,
  as where all columns say the same, and folds could not hold them whole.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from autoimb._table.columns import CanonicalRows, take

_MIN_COPIES = 10
_MIN_SHARE = 0.01
_EXCESS = 10.0
_MAX_SHARE = 0.1
_MAX_ROWS = 20_000
"""Rows that the shares of matching pairs are measured on."""


def copy_units(
    X: CanonicalRows, y: NDArray[np.intp], row_hashes: NDArray[np.uint64]
) -> NDArray[np.intp]:
    """Return a number for each row: the same for copies of one row.

    Where identical rows are no copies, or there are none, each row has its own number.
    """
    rows = np.arange(len(y))
    units = pd.factorize(row_hashes)[0]
    sizes = np.bincount(units)
    if len(rows) - len(sizes) < _MIN_COPIES:
        return rows
    most = _MAX_SHARE * len(rows)
    if sizes.max() > most or len(sizes) < most:
        return rows
    has_copy = np.bincount(y, sizes[units] > 1) / np.bincount(y)
    if has_copy.max() < _MIN_SHARE:
        return rows
    is_explained = _pairs(sizes) <= _EXCESS * _expected_pairs(X, row_hashes)
    return rows if is_explained else units


def _pairs(sizes: NDArray[np.intp]) -> float:
    """Return how many pairs can be made within sets of these sizes."""
    return float((sizes * (sizes - 1.0)).sum() / 2)


def _expected_pairs(X: CanonicalRows, row_hashes: NDArray[np.uint64]) -> float:
    """Return how many pairs of rows would be identical if columns were independent.

    Of many rows those with the smallest hashes stand for all: the choice does not
    depend on the order of the rows. A column without a matching pair counts as if it
    had one.
    """
    rows = np.arange(len(row_hashes))
    expected = _pairs(np.array([len(rows)]))
    if len(rows) > _MAX_ROWS:
        limit = np.partition(row_hashes, _MAX_ROWS)[_MAX_ROWS]
        rows = np.flatnonzero(row_hashes <= limit)
    n_pairs = _pairs(np.array([len(rows)]))
    for counts in _counts_of_values(take(X, rows)):
        expected *= max(_pairs(counts), 1.0) / n_pairs
    return expected


def _counts_of_values(X: CanonicalRows) -> Iterator[NDArray[np.intp]]:
    """Yield, for each column, how many rows hold each of its values."""
    if isinstance(X, csr_matrix):
        columns = X.tocsc()
        for values in np.split(columns.data, columns.indptr[1:-1]):
            counts = np.bincount(pd.factorize(values)[0])
            yield np.append(counts, X.shape[0] - len(values))
        return
    frame = pd.DataFrame(X, copy=False)
    for position in range(frame.shape[1]):
        codes = pd.factorize(frame.iloc[:, position], use_na_sentinel=False)[0]
        yield np.bincount(codes)
