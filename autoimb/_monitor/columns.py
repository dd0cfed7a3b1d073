"""Which columns changed, and how, in words."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from autoimb._monitor.data import ColumnRow
from autoimb._monitor.drift import LEVEL, adjusted, compare
from autoimb._monitor.reference import N_BINS
from autoimb._report.formats import percent, significant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoimb._metrics.confusion import BoolArray, FloatArray
    from autoimb._monitor.drift import Mix
    from autoimb._monitor.reference import Reference
    from autoimb._table.columns import Column, Schema

SLIGHT = 0.02
"""A change of fewer rows than this share is no reason to act, however certain it is."""
_MOVING = {"datetime"}
"""Kinds that move on by themselves: later rows have later dates."""


def column_rows(  # noqa: PLR0917  (counts before and after, and what shares may be)
    reference: Reference,
    new: FloatArray,
    schema: Schema,
    before: Mix,
    candidates: Sequence[Mix],
    others: Sequence[Mix] = (),
) -> tuple[ColumnRow, ...]:
    """Return how columns changed, the most changed first.

    `new` (n_columns, n_bins + 1) counts later rows; `before` are the shares of the
    classes in the training table, and `candidates` such as they may be now. All columns
    are judged by the candidate that leaves the fewest of them unexplained: whatever the
    shares are, they are the same for all columns. Where each candidate leaves some, a
    column that moved may have led the estimate astray: `others`, over the whole range,
    then help to find out which.
    """
    tested = [i for i, c in enumerate(schema.columns) if c.kind != "constant"]
    if not tested:
        return ()
    counts = reference.counts.astype(np.float64)
    plain = [compare(counts[i], new[i], before) for i in tested]
    any_change = adjusted(np.array([found.p_value for found in plain]))
    beyond, is_beyond = _best_explained(
        [(schema.columns[i], counts[i], new[i]) for i in tested],
        any_change < LEVEL,
        candidates,
        others,
    )
    rows = [
        ColumnRow(
            name=schema.columns[place].name,
            kind=schema.columns[place].kind,
            change=_in_words(schema.columns[place], reference, place, before, new),
            distance=plain[i].distance,
            p_value=any_change[i],
            p_beyond=beyond[i],
            is_changed=bool(any_change[i] < LEVEL),
            is_beyond=bool(is_beyond[i]),
        )
        for i, place in enumerate(tested)
    ]
    order = [(not row.is_changed, not row.is_beyond, -row.distance) for row in rows]
    return tuple(rows[i] for i in sorted(range(len(rows)), key=order.__getitem__))


def _best_explained(
    columns: Sequence[tuple[Column, FloatArray, FloatArray]],
    is_changed: BoolArray,
    candidates: Sequence[Mix],
    others: Sequence[Mix],
) -> tuple[FloatArray, BoolArray]:
    """Return adjusted p-values of columns, and which are unexplained.

    They are those of the candidate that leaves the fewest columns unexplained; of
    several, the one that leaves the fewest so which did not change, and then the one
    with the largest p-value of the column that it suits least.
    """
    judged = [_judged(columns, is_changed, mix) for mix in candidates]
    best = min(judged, key=itemgetter(0))
    if best[2].any():
        judged = [_judged(columns, is_changed, mix) for mix in others]
        # If the columns agree on shares out of the interval, none of them is to blame.
        best = min([best, *(j for j in judged if j[2].any())], key=itemgetter(0))
    return best[1], best[2]


def _judged(
    columns: Sequence[tuple[Column, FloatArray, FloatArray]],
    is_changed: BoolArray,
    mix: Mix,
) -> tuple[tuple[float, ...], FloatArray, BoolArray]:
    """Return how little a mix explains, adjusted p-values, and what is unexplained."""
    moves = np.array([column.kind in _MOVING for column, *_ in columns])
    found = [compare(counts, new, mix) for _, counts, new in columns]
    p_values = adjusted(np.array([f.p_value for f in found]))
    excess = np.array([f.excess for f in found])
    is_beyond = (p_values < LEVEL) & (excess > SLIGHT) & ~moves
    n_unchanged = float((is_beyond & ~is_changed).sum())
    rank = (float(is_beyond.sum()), n_unchanged, -float(p_values.min()))
    return rank, p_values, is_beyond


def _in_words(
    column: Column, reference: Reference, place: int, mix: Mix, new: FloatArray
) -> str:
    """Return the largest change of a share, such as ``"missing: 1.0% → 18.0%"``."""
    counts = reference.counts[place].astype(np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    before = mix.shares @ (counts / np.maximum(totals, 1e-300))
    after = new[place] / max(new[place].sum(), 1e-300)
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
