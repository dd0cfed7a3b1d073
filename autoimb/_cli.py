"""The command line: demo · fit · predict · profile · report · catalogue.

Bad input ends with exit status 2 and an error message of one line, without a traceback.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from autoimb import __version__
from autoimb._execution.files import without_formulas, write_csv
from autoimb.exceptions import AutoImbError, AutoImbWarning, BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb import AutoImbalance

_DEMO_SECONDS = 45.0
_AXIS_TITLES = {
    "family": "Model families",
    "loss": "Losses",
    "resampler": "Resamplers",
    "class_weight": "Class weights",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        Arguments; None means those of the process.

    Returns
    -------
    int
        Exit status: 0 when done, 2 for bad input, 130 after Ctrl-C.
    """
    arguments = _make_parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", AutoImbWarning)
            warnings.showwarning = lambda message, *_, **__: print(
                f"warning: {message}", file=sys.stderr
            )
            _check_destinations(arguments)
            arguments.run(arguments)
    except (AutoImbError, OSError) as error:
        message = " ".join(str(error).split())
        print(f"autoimb {arguments.command}: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted before any candidate was complete", file=sys.stderr)
        return 130
    return 0


def _check_destinations(arguments: argparse.Namespace) -> None:
    """Raise before the work, not after it, if its result could not be written."""
    for name in ("out", "report"):
        path = getattr(arguments, name, None)
        if path is not None and not path.parent.is_dir():
            raise BadInputError(
                f"--{name} {path}: there is no folder {str(path.parent)!r}, make it "
                "first."
            )
    if path := getattr(arguments, "report", None):
        from autoimb._report.render import check_format

        check_format(path)


def _make_parser() -> argparse.ArgumentParser:
    """Return the parser, with a sub-parser for each command."""
    parser = argparse.ArgumentParser(
        prog="autoimb",
        description="Find, fit and explain a classifier for a rare class.",
        epilog="Start with: autoimb demo",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, summary, example, options) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        for flag, settings in options.items():
            command.add_argument(flag, **settings)
    return parser


def _demo(arguments: argparse.Namespace) -> None:
    """Fit a model that tells the digit 8 from the other digits."""
    from sklearn.datasets import load_digits

    from autoimb import AutoImbalance

    digits = load_digits()
    print(
        textwrap.fill(
            "Data: the handwritten digits that ship with scikit-learn (1,797 images of "
            "8 × 8 pixels). Question: is it an 8? One image in ten is.",
            width=88,
        )
    )
    model = AutoImbalance(
        time_budget=arguments.time_budget, random_state=0, verbose=1
    ).fit(digits.data, digits.target == 8)
    _print_summary(model)
    _write_report(model, arguments.report)


def _fit(arguments: argparse.Namespace) -> None:
    """Fit a table, print a summary, save model and report."""
    from autoimb import AutoImbalance

    X, y = _read_labelled(arguments.data, arguments.target)
    options = {
        "time_budget": arguments.time_budget,
        "n_trials": arguments.n_trials,
        "families": arguments.families,
        "n_jobs": arguments.n_jobs,
        "storage": arguments.storage,
        "study_name": arguments.study_name,
        "random_state": arguments.seed,
    }
    model = AutoImbalance(
        metric=arguments.metric,
        threshold=_number_or_name(arguments.threshold),
        pos_label=_label_in(y, arguments.pos_label),
        verbose=1,
        **{name: value for name, value in options.items() if value is not None},
    ).fit(X, y)
    _print_summary(model)
    if arguments.out is not None:
        model.save(arguments.out)
        print(f"model: {arguments.out.resolve()}")
    if arguments.report is not None:
        _write_report(model, arguments.report)


def _predict(arguments: argparse.Namespace) -> None:
    """Write the label and the probabilities of every row."""
    from autoimb import load

    model = load(arguments.model)
    rows = _columns_of(model, _read_table(arguments.data), arguments.data)
    proba = pd.DataFrame(
        model.predict_proba(rows),
        columns=[f"probability_{label}" for label in model.classes_],
    )
    proba.insert(0, "label", model.predict(rows))
    proba = without_formulas(proba)
    if arguments.out is None:
        print(proba.to_csv(index=False), end="")
        return
    write_csv(proba, arguments.out)
    print(f"{len(proba):,} rows: {arguments.out.resolve()}")


def _profile(arguments: argparse.Namespace) -> None:
    """Print the profile and the flowchart's advice."""
    from autoimb import profile, recommend

    X, y = _read_labelled(arguments.data, arguments.target)
    described = profile(X, y, pos_label=_label_in(y, arguments.pos_label))
    print(described, recommend(described), sep="\n\n")


def _report(arguments: argparse.Namespace) -> None:
    """Write a saved model's report."""
    from autoimb import load

    model = load(arguments.model)
    if arguments.data is not None:
        X, y = _read_labelled(arguments.data, arguments.target)
        model.report(X, y, time_budget=arguments.time_budget)
    _write_report(model, arguments.out)


def _catalogue(arguments: argparse.Namespace) -> None:
    """Print a table for each axis: what is tuned, or why an entry does not fit."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from autoimb import catalogue, profile

    described, detail, title = None, "parameters", "tuned"
    if arguments.data is not None:
        described = profile(*_read_labelled(arguments.data, arguments.target))
        detail, title = "reason", "does not fit, as it"
    entries = catalogue(described)
    console = Console(highlight=False)
    for axis, of_axis in entries.groupby("axis", sort=False):
        table = Table(title=_AXIS_TITLES[str(axis)], title_justify="left")
        table.box, table.title_style = SIMPLE_HEAD, "bold"
        for column in ("", "name", "", title):
            table.add_column(column, overflow="fold")
        for _, entry in of_axis.iterrows():
            mark = "●" if entry["auto"] else "○"
            mark = "–" if entry.get("reason") else mark
            table.add_row(mark, entry["name"], entry["label"], entry[detail])
        console.print(table)
    console.print('● part of "auto"   ○ by name, or by "all"   – does not fit')


def _print_summary(model: AutoImbalance) -> None:
    """Print the profile of the data, what won, and what to expect of it."""
    print()
    print(model.profile_)
    for sentence in model.report().data.sentences:
        print()
        print(textwrap.fill(sentence, width=88))
    print()


def _write_report(model: AutoImbalance, path: Path) -> None:
    """Save the report and print its path."""
    model.report().save(path)
    print(f"report: {path.resolve()}")


def _read_labelled(
    path: Path, target: str | None
) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return the features and the labels of a file."""
    if target is None:
        raise BadInputError("--data needs --target COLUMN.")
    table = _read_table(path)
    if target not in table.columns:
        names = ", ".join(map(str, table.columns[:20]))
        raise BadInputError(
            f"{str(path)!r} has no column {target!r}; its columns are {names}."
        )
    return table.drop(columns=target), table[target]


def _read_table(path: Path) -> pd.DataFrame:
    """Return a CSV or Parquet file as a frame."""
    if not path.is_file():
        raise BadInputError(f"there is no file {str(path)!r}.")
    try:
        read = _READERS.get(path.suffix.lower(), pd.read_csv)
        table: pd.DataFrame = read(path)
    except ImportError as error:
        raise BadInputError(
            "reading Parquet needs pyarrow: pip install 'autoimb[parquet]'."
        ) from error
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise BadInputError(
            f"{str(path)!r} cannot be read as a table: {error}"
        ) from error
    if table.empty:
        raise BadInputError(f"{str(path)!r} holds no rows.")
    return table


_READERS: dict[str, Any] = {".parquet": pd.read_parquet, ".pq": pd.read_parquet}


def _columns_of(model: AutoImbalance, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the columns that the model was fitted on, in its order.

    A model that was fitted without column names reads them by position.
    """
    if not hasattr(model, "feature_names_in_"):
        return table.set_axis(range(table.shape[1]), axis="columns")
    names = [str(name) for name in model.feature_names_in_]
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise BadInputError(
            f"{str(path)!r} lacks {len(missing)} of the {len(names)} columns that the "
            f"model was fitted on: {', '.join(missing[:10])}."
        )
    return table[names]


def _number_or_name(text: str) -> float | str:
    """Return the number that a text holds, or else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def _label_in(y: pd.Series[Any], text: str | None) -> Any:
    """Return the label of y whose text this is; None without a text."""
    if text is None:
        return None
    for label in y.dropna().unique():
        if str(label) == text:
            return label
    raise BadInputError(
        f"--pos-label {text!r} is not in the target; it holds "
        f"{', '.join(map(str, y.dropna().unique()[:20]))}."
    )


_TABLE = {"type": Path, "help": "CSV (may be .gz) or Parquet file"}
_TARGET = {"metavar": "COLUMN", "help": "column of labels"}
_SECONDS = {"type": float, "metavar": "SECONDS"}
_NUMBER = {"type": int, "metavar": "N"}
_MODEL = {"type": Path, "help": "model that autoimb fit saved"}
_REPORT = {
    "type": Path,
    "metavar": "FILE",
    "help": "where to write the report: .html, .md or .json",
}
_LABELLED_TABLE: dict[str, dict[str, Any]] = {
    "data": _TABLE,
    "--target": {**_TARGET, "required": True},
    "--pos-label": {
        "metavar": "LABEL",
        "help": "class of interest of two (default: the rarer one)",
    },
}
_COMMANDS: dict[str, tuple[Any, str, str, dict[str, dict[str, Any]]]] = {
    "demo": (
        _demo,
        "Run the whole flow on real data that ships with scikit-learn.",
        "autoimb demo --time-budget 30",
        {
            "--time-budget": {
                **_SECONDS,
                "default": _DEMO_SECONDS,
                "help": "seconds for the whole fit (default: %(default)g)",
            },
            "--report": {
                **_REPORT,
                "default": Path("autoimb-demo.html"),
                "help": "where to write the report (default: %(default)s)",
            },
        },
    ),
    "fit": (
        _fit,
        "Search for the best strategy, fit it, and save model and report.",
        "autoimb fit loans.csv --target default --out model.skops "
        "--report report.html --time-budget 120",
        {
            **_LABELLED_TABLE,
            "--out": {
                "type": Path,
                "metavar": "MODEL",
                "help": "where to save the model",
            },
            "--report": _REPORT,
            "--metric": {
                "default": "average_precision",
                "help": "metric that the search maximises (default: %(default)s, that "
                "is PR-AUC)",
            },
            "--threshold": {
                "default": "f1",
                "help": "metric that the threshold maximises, such as f1, mcc or "
                "gmean; or the threshold itself, from 0 to 1 (default: %(default)s)",
            },
            "--time-budget": {
                **_SECONDS,
                "help": "seconds for the whole fit (default: 60; no limit with "
                "--n-trials)",
            },
            "--n-trials": {**_NUMBER, "help": "number of candidates to try"},
            "--families": {
                "nargs": "+",
                "metavar": "NAME",
                "help": "model families to try (autoimb catalogue lists them)",
            },
            "--n-jobs": {**_NUMBER, "help": "number of worker processes"},
            "--storage": {
                "metavar": "URL",
                "help": "where to store the search, such as sqlite:///search.db; the "
                "same command run again continues a stored search",
            },
            "--study-name": {
                "metavar": "NAME",
                "help": "name of the search in the storage",
            },
            "--seed": {**_NUMBER, "help": "seed of all random draws"},
        },
    ),
    "predict": (
        _predict,
        "Predict labels and class probabilities with a saved model.",
        "autoimb predict model.skops new_loans.csv --out scores.csv",
        {
            "model": _MODEL,
            "data": _TABLE,
            "--out": {
                "type": Path,
                "metavar": "FILE",
                "help": "CSV with label and probabilities (default: standard output); "
                "text that a spreadsheet would take for a formula begins with an "
                "apostrophe there",
            },
        },
    ),
    "profile": (
        _profile,
        "Describe a table, and print what the flowchart advises. Nothing is fitted.",
        "autoimb profile loans.csv --target default",
        _LABELLED_TABLE,
    ),
    "report": (
        _report,
        "Write the report of a saved model.",
        "autoimb report model.skops --out report.html",
        {
            "model": _MODEL,
            "--out": {**_REPORT, "required": True},
            "--data": {
                "type": Path,
                "metavar": "TABLE",
                "help": "the training table: the report then also says what more rows "
                "and what each column are worth",
            },
            "--target": {
                "metavar": "COLUMN",
                "help": "column of that table with labels",
            },
            "--time-budget": {
                **_SECONDS,
                "default": 30.0,
                "help": "seconds for the fits that --data needs (default: %(default)g)",
            },
        },
    ),
    "catalogue": (
        _catalogue,
        "List all that can be tried; with a table, also what does not fit it, and why.",
        "autoimb catalogue --data loans.csv --target default",
        {"--data": _TABLE, "--target": _TARGET},
    ),
}
"""By name: what it runs, its summary, an example, and its arguments."""
