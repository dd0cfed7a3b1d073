"""The command line: demo · fit · predict · profile · report · catalogue.

Bad input ends with status 2 and one clear line, never with a traceback.
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
from autoimb._files import without_formulas, write_csv
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
            warnings.showwarning = _show_warning
            _check_destinations(arguments)
            arguments.run(arguments)
    except (AutoImbError, OSError) as error:
        message = " ".join(str(error).split())
        print(f"autoimb {arguments.command}: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped before anything was complete", file=sys.stderr)
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


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line."""
    print(f"warning: {message}", file=sys.stderr)


def _make_parser() -> argparse.ArgumentParser:
    """Return the parser with one sub-parser a command."""
    parser = argparse.ArgumentParser(
        prog="autoimb",
        description="Find, fit and explain a classifier for a rare class.",
        epilog="Start with: autoimb demo",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_demo, _add_fit, _add_predict, _add_profile, _add_report):
        add(commands)
    _add_catalogue(commands)
    return parser


def _add_command(
    commands: Any, name: str, run: Any, summary: str, example: str
) -> argparse.ArgumentParser:
    """Return a new sub-parser whose help ends with an example."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def _add_demo(commands: Any) -> None:
    """Add ``autoimb demo``."""
    command = _add_command(
        commands,
        "demo",
        _demo,
        "Run the whole flow on real data that ships with scikit-learn.",
        "autoimb demo --time-budget 30",
    )
    command.add_argument(
        "--time-budget",
        type=float,
        default=_DEMO_SECONDS,
        metavar="SECONDS",
        help="seconds for the whole fit (default: %(default)g)",
    )
    command.add_argument(
        "--report",
        type=Path,
        default=Path("autoimb-demo.html"),
        metavar="FILE",
        help="where to write the report (default: %(default)s)",
    )


def _add_fit(commands: Any) -> None:
    """Add ``autoimb fit``."""
    command = _add_command(
        commands,
        "fit",
        _fit,
        "Search for the best strategy, fit it, and save model and report.",
        "autoimb fit loans.csv --target default --out model.skops "
        "--report report.html --time-budget 120",
    )
    _add_table_arguments(command)
    command.add_argument("--out", type=Path, metavar="MODEL", help="saved model")
    command.add_argument(
        "--report", type=Path, metavar="FILE", help="report: .html, .md or .json"
    )
    command.add_argument(
        "--metric",
        default="average_precision",
        help="what the search maximises (default: %(default)s, that is PR-AUC)",
    )
    command.add_argument(
        "--threshold",
        default="f1",
        help="what the threshold maximises: a metric such as f1, mcc or gmean; or a "
        "number from 0 to 1 (default: %(default)s)",
    )
    command.add_argument(
        "--time-budget",
        type=float,
        metavar="SECONDS",
        help="seconds for the whole fit (default: 60, none with --n-trials)",
    )
    command.add_argument(
        "--n-trials", type=int, metavar="N", help="number of candidates to try"
    )
    command.add_argument(
        "--families",
        nargs="+",
        metavar="NAME",
        help="model families (see: autoimb catalogue; default: all that fit)",
    )
    command.add_argument("--n-jobs", type=int, metavar="N", help="worker processes")
    command.add_argument(
        "--storage",
        metavar="URL",
        help="where to keep the search, such as sqlite:///search.db: run the same "
        "command again and it goes on from there",
    )
    command.add_argument(
        "--study-name", metavar="NAME", help="name of the search in the storage"
    )
    command.add_argument("--seed", type=int, metavar="N", help="random state")


def _add_predict(commands: Any) -> None:
    """Add ``autoimb predict``."""
    command = _add_command(
        commands,
        "predict",
        _predict,
        "Label the rows of a table with a saved model.",
        "autoimb predict model.skops new_loans.csv --out scores.csv",
    )
    command.add_argument("model", type=Path, help="model that autoimb fit saved")
    command.add_argument("data", type=Path, help="CSV (may be .gz) or Parquet file")
    command.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="CSV with label and probabilities (default: standard output); text that a "
        "spreadsheet would take for a formula begins with an apostrophe there",
    )


def _add_profile(commands: Any) -> None:
    """Add ``autoimb profile``."""
    command = _add_command(
        commands,
        "profile",
        _profile,
        "Say what a table is like and what the flowchart advises; nothing is fitted.",
        "autoimb profile loans.csv --target default",
    )
    _add_table_arguments(command)


def _add_report(commands: Any) -> None:
    """Add ``autoimb report``."""
    command = _add_command(
        commands,
        "report",
        _report,
        "Write the report of a saved model.",
        "autoimb report model.skops --out report.html",
    )
    command.add_argument(
        "--data",
        type=Path,
        metavar="TABLE",
        help="the training table: adds what more rows and what columns are worth",
    )
    command.add_argument("--target", metavar="COLUMN", help="its column of labels")
    command.add_argument(
        "--time-budget",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="seconds for that (default: %(default)g)",
    )
    command.add_argument("model", type=Path, help="model that autoimb fit saved")
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=".html, .md or .json",
    )


def _add_catalogue(commands: Any) -> None:
    """Add ``autoimb catalogue``."""
    command = _add_command(
        commands,
        "catalogue",
        _catalogue,
        "List everything that can be tried; with a table, what fits it and why.",
        "autoimb catalogue --data loans.csv --target default",
    )
    command.add_argument("--data", type=Path, help="CSV (may be .gz) or Parquet file")
    command.add_argument("--target", metavar="COLUMN", help="column of labels")


def _add_table_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments that name a table, its labels and its class of interest."""
    command.add_argument("data", type=Path, help="CSV (may be .gz) or Parquet file")
    command.add_argument(
        "--target", required=True, metavar="COLUMN", help="column of labels"
    )
    command.add_argument(
        "--pos-label",
        metavar="LABEL",
        help="class of interest of two (default: the rarer one)",
    )


def _demo(arguments: argparse.Namespace) -> None:
    """Fit the digits: which of them are an 8."""
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
    given = {
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
        **{name: value for name, value in given.items() if value is not None},
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
    found = profile(X, y, pos_label=_label_in(y, arguments.pos_label))
    print(found)
    print()
    print(recommend(found))


def _report(arguments: argparse.Namespace) -> None:
    """Write a saved model's report."""
    from autoimb import load

    model = load(arguments.model)
    if arguments.data is not None:
        if arguments.target is None:
            raise BadInputError("--data needs --target COLUMN.")
        X, y = _read_labelled(arguments.data, arguments.target)
        model.report(X, y, time_budget=arguments.time_budget)
    _write_report(model, arguments.out)


def _catalogue(arguments: argparse.Namespace) -> None:
    """Print the catalogue."""
    from autoimb import catalogue, profile

    found = None
    if arguments.data is not None:
        if arguments.target is None:
            raise BadInputError("--data needs --target COLUMN.")
        found = profile(*_read_labelled(arguments.data, arguments.target))
    _print_catalogue(catalogue(found))


def _print_catalogue(entries: pd.DataFrame) -> None:
    """Print a table an axis: what is tuned, or with a data set what does not fit."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    detail, title = "parameters", "tuned"
    if "reason" in entries:
        detail, title = "reason", "does not fit, as it"
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
    """Print what the data are like, what won, and what to expect."""
    print()
    print(model.profile_)
    for sentence in model.report().data.sentences:
        print()
        print(textwrap.fill(sentence, width=88))
    print()


def _write_report(model: AutoImbalance, path: Path) -> None:
    """Save the report and say where it is."""
    model.report().save(path)
    print(f"report: {path.resolve()}")


def _read_labelled(path: Path, target: str) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return the features and the labels of a file."""
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
    """Return the columns that the model was fitted on, in its order."""
    names = [str(name) for name in getattr(model, "feature_names_in_", table.columns)]
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise BadInputError(
            f"{str(path)!r} lacks {len(missing)} of the {len(names)} columns that the "
            f"model was fitted on: {', '.join(missing[:10])}."
        )
    return table[names]


def _number_or_name(text: str) -> float | str:
    """Return a number if the text is one."""
    try:
        return float(text)
    except ValueError:
        return text


def _label_in(y: pd.Series[Any], text: str | None) -> Any:
    """Return the label of y that is written like this."""
    if text is None:
        return None
    for label in y.dropna().unique():
        if str(label) == text:
            return label
    raise BadInputError(
        f"--pos-label {text!r} is not in the target; it holds "
        f"{', '.join(map(str, y.dropna().unique()[:20]))}."
    )
