"""How much memory a candidate will take, estimated before it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy import sparse

from autoimb._table.encoding import N_DATE_PARTS

if TYPE_CHECKING:
    from autoimb._catalogue import Catalogue
    from autoimb._catalogue.entry import Resampler
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.encoding import View
    from autoimb._table.table import Table

_COPIES = 3.0  # encoded rows, those to train on, the model's own form of them
_BYTES = 8  # of a number
_SPARSE = 1.5  # times as much for a stored number, with the number of its column
_AT_LEAST = 100e6  # a library that a worker has not loaded yet


def needed_bytes(strategy: Strategy, table: Table, catalogue: Catalogue) -> float:
    """Return about how many bytes an evaluation of a strategy adds to its process.

    Parameters
    ----------
    strategy : Strategy
        What would be fitted.
    table : Table
        All rows.
    catalogue : Catalogue
        The entries that the strategy names.

    Returns
    -------
    float
        Rows, added ones included, × encoded columns × 8 bytes × 3 copies, and what
        loading a library takes.
    """
    resampler: Resampler = catalogue.get("resampler", strategy.resampler.name)
    n_rows = len(table.y)
    if resampler.adds_rows and resampler.target_counts is not None:
        strength = dict(strategy.resampler.params).get("strength", 1.0)
        counts = table.class_counts
        n_rows += sum(
            n - int(counts[code])
            for code, n in resampler.target_counts(counts, strength).items()
        )
    view = catalogue.get("family", strategy.family.name).view
    return _AT_LEAST + _COPIES * _BYTES * n_rows * _n_columns(table, view)


def _n_columns(table: Table, view: View | None) -> float:
    """Return how many columns the model reads; of a sparse matrix, how full ones."""
    if sparse.issparse(table.X):
        return float(_SPARSE * table.X.nnz / len(table.y))
    columns = table.schema.columns
    if view is None:
        return len(columns)
    n_shares = 1 if table.n_classes == 2 else table.n_classes
    widths = {
        "datetime": N_DATE_PARTS,
        "time of day": 1 + n_shares,
        "high-cardinality": n_shares,
    }
    return sum(
        column.n_unique
        if column.kind == "categorical" and view == "dense"
        else widths.get(column.kind, 1)
        for column in columns
    )
