"""How much memory a candidate will take, known before it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoimb._encoding import N_DATE_PARTS

if TYPE_CHECKING:
    from autoimb._catalogue import Catalogue
    from autoimb._catalogue.entry import Family, Resampler
    from autoimb._columns import Column
    from autoimb._data import Table
    from autoimb._encoding import View
    from autoimb._strategy import Strategy

_COPIES = 3.0  # encoded rows, those among them to train on, what a model makes of them
_BYTES = 8  # of a number
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
    if resampler.adds_rows and resampler.target is not None:
        strength = dict(strategy.resampler.params).get("strength", 1.0)
        counts = table.class_counts
        n_rows += sum(
            n - int(counts[code])
            for code, n in resampler.target(counts, strength).items()
        )
    family: Family = catalogue.get("family", strategy.family.name)
    n_columns = _n_columns(table, family.view)
    return _AT_LEAST + _COPIES * _BYTES * n_rows * n_columns


def _n_columns(table: Table, view: View | None) -> int:
    """Return how many columns the model reads."""
    columns = table.schema.columns
    if view is None:
        return len(columns)
    n_shares = 1 if table.n_classes == 2 else table.n_classes
    return sum(_width(column, view, n_shares) for column in columns)


def _width(column: Column, view: View, n_shares: int) -> int:
    """Return how many columns a column becomes."""
    widths = {
        "datetime": N_DATE_PARTS,
        "time of day": 1 + n_shares,
        "categorical": column.n_unique if view == "dense" else 1,
        "high-cardinality": n_shares,
    }
    return widths.get(column.kind, 1)
