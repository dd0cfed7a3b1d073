"""The words of the command line, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoimb import Cost, FBeta, PrecisionAtLeast, RecallAtLeast, TopK, TopShare
from autoimb._cli.table_files import TextForm
from autoimb.exceptions import BadInputError, unknown_name_error

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    import pandas as pd

    Options = dict[str, dict[str, Any]]

# --- the threshold


def _cost(text: str) -> Cost:
    """Return the objective of ``FP:FN``."""
    fp, _, fn = text.partition(":")
    return Cost(fp=float(fp), fn=float(fn))


_OBJECTIVES: dict[str, tuple[Callable[[str], Any], str]] = {
    "cost": (_cost, "cost=1:50, the costs of a false alert and of a miss"),
    "fbeta": (lambda text: FBeta(float(text)), "fbeta=2"),
    "precision": (lambda text: PrecisionAtLeast(float(text)), "precision=0.8"),
    "recall": (lambda text: RecallAtLeast(float(text)), "recall=0.9"),
    "share": (lambda text: TopShare(float(text)), "share=0.01"),
    "top": (lambda text: TopK(int(text)), "top=100"),
}
"""By word, what its value makes, and an example."""


def parse_threshold(text: str) -> Any:
    """Return what the parameter `threshold` is to be.

    A word and a value make an objective, a number is the threshold itself, "none" the
    most probable class; all else is a name, which the estimator checks.
    """
    word, is_pair, value = text.partition("=")
    if not is_pair:
        try:
            return None if text == "none" else float(text)
        except ValueError:
            return text
    if word not in _OBJECTIVES:
        raise unknown_name_error(f"--threshold {text!r}", word, _OBJECTIVES)
    make, example = _OBJECTIVES[word]
    try:
        return make(value)
    except BadInputError as error:
        raise BadInputError(f"--threshold {text!r}: {error}") from error
    except ValueError as error:
        raise BadInputError(
            f"--threshold {text!r} does not name a number: write, for example, "
            f"{example}."
        ) from error


# --- the others


def form_of(arguments: argparse.Namespace) -> TextForm:
    """Return how the CSV files of a command are written."""
    return TextForm(arguments.sep, arguments.encoding, arguments.decimal)


def label_in(y: pd.Series[Any], text: str | None) -> Any:
    """Return the label of y whose text this is; None without a text."""
    if text is None:
        return None
    labels = y.dropna().unique()
    for label in labels:
        # CSV files of other programs say "true".
        if str(label) == text or (
            str(label) in {"True", "False"} and str(label).lower() == text.lower()
        ):
            return label
    raise BadInputError(
        f"--pos-label {text!r} is not in the target; it holds "
        f"{', '.join(map(str, labels[:20]))}."
    )


def _count(text: str) -> int:
    """Return a whole number from 1 on."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


_count.__name__ = "number"  # argparse names it: "invalid number value: '0'"

TABLE: dict[str, Any] = {
    "type": Path,
    "metavar": "TABLE",
    "help": "CSV file (may be packed as .gz, .bz2, .xz or .zip) or Parquet file",
}
TARGET: dict[str, Any] = {"metavar": "COLUMN", "help": "column of labels"}
SECONDS: dict[str, Any] = {"type": float, "metavar": "SECONDS"}
NUMBER: dict[str, Any] = {"type": int, "metavar": "N"}
COUNT: dict[str, Any] = {"type": _count, "metavar": "K"}
MODEL: dict[str, Any] = {
    "type": Path,
    "metavar": "MODEL",
    "help": "model that autoimb fit saved",
}
REPORT: dict[str, Any] = {
    "type": Path,
    "metavar": "FILE",
    "help": "where to write the report: .html, .md or .json",
}
THRESHOLD: dict[str, Any] = {
    "metavar": "AIM",
    "help": "metric that the threshold maximises, such as f1, mcc or gmean; "
    "recall=0.9 or precision=0.8 (at least so much), top=100 or share=0.01 (at most so "
    "many alerts among the training rows), cost=1:50 (a false alert : a miss), cost "
    "(with --costs); the threshold itself, from 0 to 1; or none for the most probable "
    "class",
}
FORM: Options = {
    "--sep": {
        "metavar": "SIGN",
        "help": "sign between cells, such as ';' or tab",
    },
    "--encoding": {
        "metavar": "NAME",
        "help": "encoding, such as utf-8 or cp1252",
    },
    "--decimal": {
        "choices": [".", ","],
        "metavar": "SIGN",
        "help": "sign before decimals, . or ,",
    },
}
ROWS: Options = {
    "--groups": {
        "metavar": "COLUMN",
        "help": "tells which rows belong together, and are never split",
    },
    "--weights": {
        "metavar": "COLUMN",
        "help": "row weights",
    },
    "--costs": {
        "nargs": "+",
        "metavar": "COLUMN",
        "help": "what it costs to call a row each of the classes, in the order in "
        "which these sort",
    },
}
GROUPS = {
    "columns that are no features": ROWS,
    "how a CSV file is written (found out from it where not told)": FORM,
}
"""Options that belong together, by the title above them in the help."""
POS_LABEL: dict[str, Any] = {
    "metavar": "LABEL",
    "help": "class of interest of two (default: the rarer one)",
}
FINAL_FITS: dict[str, Any] = {"auto": "auto", "all-rows": True, "folds": False}
FINAL_FIT: dict[str, Any] = {
    "choices": list(FINAL_FITS),
    "default": "auto",
    "help": "what predicts: fits on all rows (all-rows), or the models of the folds "
    "(folds), which take no time but are slower and larger; auto is on all rows, at "
    "the latest when the model is saved, which may then take longer than the time "
    "budget (default: %(default)s)",
}
EXECUTOR: dict[str, Any] = {
    "metavar": "ADDRESS",
    "help": "cluster that runs the fits instead of this machine, such as "
    "dask:tcp://10.0.0.5:8786 or dask:scheduler.json",
}
MAX_PREDICT_MS: dict[str, Any] = {
    "type": float,
    "metavar": "MILLISECONDS",
    "help": "what the prediction of one row may take at most on this machine",
}
DEBUG: Options = {
    "--debug": {
        "action": "store_true",
        "help": "show where an error came from, and all warnings",
    },
}
