"""Whether a table is the one that a model was fitted on, or has the same columns."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoimb._table.columns import Schema
    from autoimb._table.table import Table

_DIFFERENCES = {
    "n_rows": "X has {found:,} rows of positive weight, not {seen:,}",
    "names": "the columns have other names",
    "row_set": "X holds other values",
    "labels": "y holds other labels, or the rows are in another order",
}
"""What a differing mark means, the plainest first."""
_CONTENTS = {
    "numeric": "numbers",
    "boolean": "numbers",
    "categorical": "text",
    "high-cardinality": "text",
    "datetime": "dates",
    "time of day": "times of day",
}
"""What a column of each kind holds; "constant" is missing, as it may hold anything."""
_CONVERSIONS = {
    "numbers": "pd.to_numeric(X[{name!r}])",
    "text": "X[{name!r}].astype(str)",
    "dates": "pd.to_datetime(X[{name!r}])",
}
_MAX_NAMED = 5  # names of columns in a message


def marks_of(table: Table) -> dict[str, Any]:
    """Return hashes by which a table is known again, and its number of rows.

    They are plain values, which a saved model keeps. Groups are told by which rows are
    together, whatever they are called.
    """
    names = [column.name for column in table.schema.columns]
    parts: dict[str, Any] = {
        "names": repr(names).encode(),
        "row_set": np.sort(table.row_hashes),
        "labels": table.y,
        "sample_weight": table.sample_weight,
        "groups": None if table.groups is None else table.units,
    }
    hashes = {
        name: None if part is None else hashlib.blake2b(part, digest_size=8).hexdigest()
        for name, part in parts.items()
    }
    arguments = [name for name in table.given.arguments if name != "costs"]
    return {
        "n_rows": len(table.y),
        "table": table.fingerprint,
        "arguments": arguments,
        **hashes,
    }


def check_same_table(table: Table, seen: Mapping[str, Any]) -> None:
    """Raise `BadInputError` unless a table has these marks."""
    found = marks_of(table)
    # Equal weights are as good as none, so that arguments alone may differ.
    if found == {**seen, "arguments": found["arguments"]}:
        return
    reasons = []
    for name in ("sample_weight", "groups"):
        if (name in seen["arguments"]) > (name in found["arguments"]):
            reasons.append(f"the argument {name} is missing: pass that of the table")
        elif name in found["arguments"] and name not in seen["arguments"]:
            reasons.append(f"that one had no {name}: leave it out")
        elif found["n_rows"] == seen["n_rows"] and found[name] != seen[name]:
            reasons.append(f"the argument {name} differs: pass that of the table")
    differing = (
        text.format(found=found[name], seen=seen[name])
        for name, text in _DIFFERENCES.items()
        if found[name] != seen[name]
    )
    # Without its weights a table has more rows; with other rows, all else differs.
    if not reasons or found["n_rows"] == seen["n_rows"]:
        reasons = [*list(differing)[:1], *reasons]
    raise BadInputError(
        "this is not the table of the last fit or refit: "
        f"{'; '.join(reasons) or 'the rows are in another order'}. report(X, y) and "
        "save(path, X, y) take the rows that the model was fitted on. Pass those, or "
        "call them without a table; for other rows, call refit(X, y) first."
    )


def check_same_columns(schema: Schema, seen: Schema, *, has_names: bool) -> None:
    """Raise `BadInputError` unless columns are named and read as those of a fit.

    Parameters
    ----------
    schema, seen : Schema
        The columns of a table, and those of the table in `fit`.
    has_names : bool
        Whether the table in `fit` had column names.
    """
    names = [[column.name for column in s.columns] for s in (schema, seen)]
    if has_names and names[0] != names[1]:
        raise BadInputError(
            f"X has the columns {names[0][:_MAX_NAMED]}, and fit saw "
            f"{names[1][:_MAX_NAMED]}: pass a DataFrame with the columns of fit, in "
            "their order."
        )
    for column, before in zip(schema.columns, seen.columns, strict=True):
        now, then = (_CONTENTS.get(c.kind) for c in (column, before))
        if now is None or then is None or now == then:
            continue
        conversion = _CONVERSIONS.get(then, "").format(name=before.name)
        raise BadInputError(
            f"column {before.name!r} holds {now} ({column.kind}), and fit saw {then} "
            f"({before.kind}): convert it{conversion and ', as by '}{conversion}, or "
            "call fit for a table of other columns."
        )
