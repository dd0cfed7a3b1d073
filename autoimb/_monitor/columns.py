"""Which columns changed, and how, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autoimb._monitor.data import ColumnRow
from autoimb._monitor.drift import LEVEL, Mix, adjusted, compare
from autoimb._monitor.reference import N_BINS
from autoimb._report.formats import percent, significant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoimb._metrics.confusion import FloatArray
    from autoimb._monitor.reference import Reference
    from autoimb._table.columns import Column, Schema

SLIGHT = 0.02
"""A change of fewer rows than this share is no reason to act, however certain it is."""
_MOVING = {"datetime"}
"""Kinds that move on by themselves: later rows have later dates."""


def column_rows(
    reference: Reference,
    new: FloatArray,
    schema: Schema,
    before: Mix,
    now: Mix,
) -> tuple[ColumnRow, ...]:
    """Return how columns changed, the most changed first.

    `new` (n_columns, n_bins + 1) counts later rows; `before` are the shares of the
    classes in the training table, `now` those that were estimated for these rows.
    """
    tested = [i for i, c in enumerate(schema.columns) if c.kind != "constant"]
    rows = [
        _row(schema.columns[i], reference, i, new[i], (before, now)) for i in tested
    ]
    any_change = adjusted(np.array([row.p_value for row in rows]))
    beyond = adjusted(np.array([row.p_beyond for row in rows]))
    judged = [
        replace(
            row,
            p_value=p,
            p_beyond=q,
            is_changed=bool(p < LEVEL),
            is_beyond=bool(q < LEVEL and row.is_beyond),
        )
        for row, p, q in zip(rows, any_change, beyond, strict=True)
    ]
    return tuple(
        sorted(
            judged,
            key=lambda row: (not row.is_changed, not row.is_beyond, -row.distance),
        )
    )


def _row(
    column: Column,
    reference: Reference,
    place: int,
    new: FloatArray,
    mixes: tuple[Mix, Mix],
) -> ColumnRow:
    """Return a column with p-values of its own, before it is judged with the others."""
    counts = reference.counts[place].astype(np.float64)
    plain, beyond = (compare(counts, new, mix) for mix in mixes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = mixes[0].shares @ (counts / np.maximum(totals, 1e-300))
    may_be_beyond = column.kind not in _MOVING and beyond.excess > SLIGHT
    return ColumnRow(
        name=column.name,
        kind=column.kind,
        change=_in_words(column, reference, place, shares, new / max(new.sum(), 1)),
        distance=plain.distance,
        p_value=plain.p_value,
        p_beyond=beyond.p_value,
        is_changed=False,
        is_beyond=may_be_beyond,
    )


def _in_words(
    column: Column,
    reference: Reference,
    place: int,
    before: FloatArray,
    after: FloatArray,
) -> str:
    """Return the largest change of a share, such as ``"missing: 1.0% → 18.0%"``."""
    name, low, high = max(
        _shares(column, reference, place, before, after),
        key=lambda change: abs(change[2] - change[1]),
    )
    return f"{name}: {percent(low)} → {percent(high)}"


def _shares(
    column: Column,
    reference: Reference,
    place: int,
    before: FloatArray,
    after: FloatArray,
) -> Iterator[tuple[str, float, float]]:
    """Yield what can be said of a column: its name, and the share before and after."""
    yield "missing", before[-1], after[-1]
    names = reference.categories[place]
    edges = reference.edges[place]
    if len(before) == 3:
        yield "not zero", before[1], after[1]
    elif column.kind in {"categorical", "high-cardinality"}:
        for i, name in enumerate(names):
            yield repr(name), before[i], after[i]
        others = "other values" if names else "values"
        yield others, before[N_BINS - 1], after[N_BINS - 1]
    else:
        below = np.cumsum(before[:-1]), np.cumsum(after[:-1])
        for i, edge in enumerate(edges[~np.isnan(edges)]):
            yield f"up to {_value(edge, column)}", below[0][i], below[1][i]


def _value(edge: float, column: Column) -> str:
    """Return the end of a range as people read it."""
    if column.kind == "datetime":
        hours = np.datetime64(0, "s") + np.timedelta64(round(edge * 3600), "s")
        return str(hours)[:10]
    return significant(edge, 4)
