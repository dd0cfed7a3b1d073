"""The columns and labels of a file, as a fit or a saved model takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoimb._cli.options import form_of
from autoimb._cli.table_files import numbers_of, read_table, without_row_numbers
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

    from autoimb import AutoImbalance

_MOST_NAMES = 20  # of columns in a message


def read_labelled(
    arguments: argparse.Namespace,
) -> tuple[pd.DataFrame, pd.Series[Any], dict[str, Any]]:
    """Return the features, the labels, and the arguments of `fit` by row."""
    path, target = arguments.data, arguments.target
    if target is None:
        raise BadInputError("--data needs --target COLUMN.")
    groups, weights, costs = arguments.groups, arguments.weights, arguments.costs
    names = [target, *([groups] if groups else []), *([weights] if weights else [])]
    names += costs or []
    # A group is told by how it is written: 01 is another one than 1.
    text = [groups] if groups else []
    table = read_table(path, form_of(arguments), text=text, target=target, used=names)
    check_has(table, names, path)
    rows_of: dict[str, Any] = {}
    if groups:
        rows_of["groups"] = table[groups].to_numpy()
    if weights:
        rows_of["sample_weight"] = numbers_of(table, [weights], "--weights")[:, 0]
    if costs:
        rows_of["costs"] = numbers_of(table, costs, "--costs")
    rest = table.drop(columns=names)
    if rest.empty:
        raise BadInputError(
            f"{path} has no column beside {', '.join(names)}: there is nothing to "
            "learn from."
        )
    return without_row_numbers(rest, path), table[target], rows_of


def check_has(table: pd.DataFrame, names: Iterable[str], path: Path) -> None:
    """Raise unless a table has all these columns."""
    for name in names:
        if name not in table.columns:
            listed = ", ".join(map(str, table.columns[:_MOST_NAMES]))
            advice = ""
            if table.shape[1] == 1:
                advice = " If another sign separates its cells, name it with --sep."
            raise BadInputError(
                f"{str(path)!r} has no column {name!r}; its columns are {listed}."
                f"{advice}"
            )


def text_columns(model: AutoImbalance) -> set[str | int]:
    """Return the names or positions of columns that the model reads as text."""
    has_names = hasattr(model, "feature_names_in_")
    return {
        column.name if has_names else place
        for place, column in enumerate(model._schema.columns)
        if column.kind not in {"numeric", "boolean"}
    }


def columns_of(model: AutoImbalance, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the columns that the model was fitted on, in its order.

    A model that was fitted without column names reads them by position.
    """
    if not hasattr(model, "feature_names_in_"):
        if table.shape[1] != model.n_features_in_:
            raise BadInputError(
                f"{str(path)!r} has {table.shape[1]} columns, and the model was fitted "
                f"on {model.n_features_in_}, without names: pass a file of the same "
                "columns in the same order."
            )
        return table.set_axis(range(table.shape[1]), axis="columns")
    names = [str(name) for name in model.feature_names_in_]
    missing = [name for name in names if name not in table.columns]
    if missing:
        advice = ""
        if table.shape[1] == 1 < len(names):
            advice = " If another sign separates its cells, name it with --sep."
        raise BadInputError(
            f"{str(path)!r} lacks {len(missing)} of the {len(names)} columns that the "
            f"model was fitted on: {', '.join(missing[:10])}.{advice}"
        )
    return table[names]


def known_labels(model: AutoImbalance, y: pd.Series[Any]) -> pd.Series[Any]:
    """Return labels of a file as those of the model that read the same.

    A model fitted in Python may have text where the file seems to hold numbers.
    """
    known = {str(label): label for label in model.classes_}
    return y.map(lambda label: known.get(str(label), label))
