"""What each command does, and its arguments."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autoimb._cli.console import lacks_signs_of, say
from autoimb._cli.model_tables import (
    check_has,
    columns_of,
    known_labels,
    read_labelled,
    text_columns,
)
from autoimb._cli.options import (
    COUNT,
    EXECUTOR,
    FINAL_FIT,
    FINAL_FITS,
    FORM,
    MAX_PREDICT_MS,
    MODEL,
    NUMBER,
    POS_LABEL,
    REPORT,
    ROWS,
    SECONDS,
    TABLE,
    TARGET,
    THRESHOLD,
    form_of,
    label_in,
    parse_threshold,
)
from autoimb._cli.results import write_and_print
from autoimb._cli.table_files import numbers_of, read_table
from autoimb._execution.files import without_formulas, write_csv
from autoimb.exceptions import AutoImbWarning, BadInputError, warn

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from autoimb import AutoImbalance

_DEMO_SECONDS = 45.0
_AXIS_TITLES = {
    "family": "Model families",
    "loss": "Losses",
    "resampler": "Resamplers",
    "class_weight": "Class weights",
}


def _demo(arguments: argparse.Namespace) -> None:
    """Fit a model that tells the digit 8 from the other digits."""
    from sklearn.datasets import load_digits

    from autoimb import AutoImbalance

    digits = load_digits()
    say(
        textwrap.fill(
            "Data: the handwritten digits that ship with scikit-learn (1,797 images of "
            "8 × 8 pixels). Question: is it an 8? One image in ten is.",
            width=88,
        )
    )
    model = AutoImbalance(
        time_budget=arguments.time_budget, random_state=0, verbose=1
    ).fit(digits.data, digits.target == 8)
    write_and_print(model, None, arguments.report)


def _fit(arguments: argparse.Namespace) -> None:
    """Fit a table, save model and report, print a summary."""
    from autoimb import AutoImbalance

    threshold = parse_threshold(arguments.threshold)
    X, y, rows_of = read_labelled(arguments)
    options = {
        "time_budget": arguments.time_budget,
        "n_trials": arguments.n_trials,
        "families": arguments.families,
        "cv": _folds_of(arguments),
        "n_jobs": arguments.n_jobs,
        "executor": arguments.executor,
        "storage": arguments.storage,
        "study_name": arguments.study_name,
        "final_fit": FINAL_FITS[arguments.final_fit],
        "max_predict_ms": arguments.max_predict_ms,
        "random_state": arguments.seed,
    }
    model = AutoImbalance(
        metric=arguments.metric,
        threshold=threshold,
        pos_label=label_in(y, arguments.pos_label),
        verbose=1,
        **{name: value for name, value in options.items() if value is not None},
    ).fit(X, y, **rows_of)
    table: dict[str, Any] = {"X": X, "y": y, **rows_of}
    table.pop("costs", None)
    if options["final_fit"] is False:
        table.clear()
    write_and_print(model, arguments.out, arguments.report, **table)


def _folds_of(arguments: argparse.Namespace) -> Any:
    """Return `cv`: a number of folds, or folds in order of time."""
    from autoimb import TimeOrdered

    if arguments.time is None:
        return arguments.cv
    return TimeOrdered(by=arguments.time, n_blocks=arguments.cv)


def _predict(arguments: argparse.Namespace) -> None:
    """Write the label and the probabilities of every row."""
    from autoimb import load

    chosen = [name for name in ("costs", "threshold", "top") if vars(arguments)[name]]
    if len(chosen) > 1:
        raise BadInputError(f"--{chosen[0]} and --{chosen[1]} exclude each other.")
    model = load(arguments.model)
    if arguments.threshold is not None:
        model.set_threshold(parse_threshold(arguments.threshold))
    table = read_table(arguments.data, form_of(arguments), text=text_columns(model))
    rows = columns_of(model, table, arguments.data)
    proba = pd.DataFrame(
        model.predict_proba(rows),
        columns=[f"probability_{label}" for label in model.classes_],
    )
    proba.insert(0, "label", _labels(model, rows, table, arguments))
    proba = without_formulas(proba)
    if arguments.out is not None:
        write_csv(proba, arguments.out)
        say(f"{len(proba):,} rows: {arguments.out.resolve()}")
        return
    lines = proba.to_csv(index=False)
    if lacks_signs_of(lines):
        warn(
            "the encoding of the console lacks signs of the labels, '?' stands in "
            "their place: --out FILE writes them all, in UTF-8.",
            AutoImbWarning,
        )
    say(lines, end="")


def _labels(
    model: AutoImbalance,
    rows: pd.DataFrame,
    table: pd.DataFrame,
    arguments: argparse.Namespace,
) -> NDArray[Any]:
    """Return the label of each row, by the rule that the arguments ask for."""
    if arguments.costs is not None:
        check_has(table, arguments.costs, arguments.data)
        costs = numbers_of(table, arguments.costs, "--costs")
        return model.predict(rows, costs=costs)
    if arguments.top is None:
        return model.predict(rows)
    first = model.top(rows, arguments.top)
    is_first = np.isin(np.arange(len(rows)), first)
    is_pos = model.classes_ == model.pos_label_
    return np.asarray(
        np.where(is_first, model.classes_[is_pos], model.classes_[~is_pos])
    )


def _profile(arguments: argparse.Namespace) -> None:
    """Print the profile and the flowchart's advice."""
    from autoimb import profile, recommend

    X, y, _ = read_labelled(arguments)
    described = profile(X, y, pos_label=label_in(y, arguments.pos_label))
    say(f"{described}\n\n{recommend(described)}")


def _report(arguments: argparse.Namespace) -> None:
    """Write a saved model's report."""
    from autoimb import load
    from autoimb._report.page import check_format

    check_format(arguments.out)
    model = load(arguments.model)
    if arguments.threshold is not None:
        model.set_threshold(parse_threshold(arguments.threshold))
    if arguments.data is not None:
        X, y, rows_of = read_labelled(arguments)
        rows_of.pop("costs", None)  # the report measures no costs
        X = columns_of(model, X, arguments.data)
        y = known_labels(model, y)
        model.report(X, y, time_budget=arguments.time_budget, **rows_of)
    model.report().save(arguments.out)
    say(f"report: {arguments.out.resolve()}")


def _monitor(arguments: argparse.Namespace) -> None:
    """Print what new rows say of a saved model, and write its report."""
    from autoimb import load
    from autoimb._report.page import check_format

    if arguments.out is not None:
        check_format(arguments.out)
    model, target = load(arguments.model), arguments.target
    form, text = form_of(arguments), text_columns(model)
    table = read_table(arguments.data, form, text=text, target=target)
    y = None
    if target is not None:
        check_has(table, [target], arguments.data)
        y = known_labels(model, table.pop(target))
    report = model.monitor(columns_of(model, table, arguments.data), y)
    if arguments.out is not None:
        report.save(arguments.out)
    say(str(report))
    if arguments.out is not None:
        say(f"\nreport: {arguments.out.resolve()}")


def _catalogue(arguments: argparse.Namespace) -> None:
    """Print a table for each axis: what is tuned, or why an entry does not fit."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from autoimb import catalogue, profile

    described, detail, title = None, "parameters", "tuned"
    if arguments.data is not None:
        X, y, _ = read_labelled(arguments)
        described = profile(X, y)
        detail, title = "reason", "does not fit, as it"
    entries = catalogue(described)
    console = Console(highlight=False)
    # rich would end the process where its output is no longer read.
    with console.capture() as printed:
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
    say(printed.get(), end="")


# --- the commands


_LABELLED_TABLE: dict[str, dict[str, Any]] = {
    "data": TABLE,
    "--target": {**TARGET, "required": True},
    "--pos-label": POS_LABEL,
    **ROWS,
    **FORM,
}
COMMANDS: dict[str, tuple[Any, str, str, dict[str, dict[str, Any]]]] = {
    "demo": (
        _demo,
        "Run the whole flow on real data that ships with scikit-learn.",
        "autoimb demo --time-budget 30",
        {
            "--time-budget": {
                **SECONDS,
                "default": _DEMO_SECONDS,
                "help": "seconds for the whole fit (default: %(default)g)",
            },
            "--report": {
                **REPORT,
                "default": Path("autoimb-demo.html"),
                "help": "where to write the report (default: %(default)s)",
            },
        },
    ),
    "fit": (
        _fit,
        "Search for the best strategy, fit it, and save model and report.",
        "autoimb fit loans.csv --target default --time-budget 120 \\\n"
        "    --out model.skops --report report.html",
        {
            **_LABELLED_TABLE,
            "--out": {
                "type": Path,
                "metavar": "MODEL",
                "help": "where to save the model (default: nowhere)",
            },
            "--report": REPORT,
            "--metric": {
                "default": "average_precision",
                "help": "metric that the search maximises (default: %(default)s, that "
                "is PR-AUC)",
            },
            "--threshold": {
                **THRESHOLD,
                "default": "f1",
                "help": f"{THRESHOLD['help']} (default: %(default)s)",
            },
            "--cv": {**NUMBER, "help": "number of cross-validation folds"},
            "--time": {
                "metavar": "COLUMN",
                "help": "validate in order of this column of dates or numbers, on "
                "what follows; --cv is then the number of blocks",
            },
            "--time-budget": {
                **SECONDS,
                "help": "seconds for the whole fit (default: 60; no limit with "
                "--n-trials)",
            },
            "--n-trials": {**NUMBER, "help": "number of candidates to try"},
            "--families": {
                "nargs": "+",
                "metavar": "NAME",
                "help": "model families to try (autoimb catalogue lists them)",
            },
            "--final-fit": FINAL_FIT,
            "--max-predict-ms": MAX_PREDICT_MS,
            "--n-jobs": {**NUMBER, "help": "number of worker processes"},
            "--executor": EXECUTOR,
            "--storage": {
                "metavar": "URL",
                "help": "where to store the search, such as sqlite:///search.db; the "
                "same command run again continues a stored search",
            },
            "--study-name": {
                "metavar": "NAME",
                "help": "name of the search in the storage",
            },
            "--seed": {**NUMBER, "help": "seed of all random draws"},
        },
    ),
    "predict": (
        _predict,
        "Predict labels and class probabilities with a saved model.",
        "autoimb predict model.skops new_loans.csv --out scores.csv",
        {
            "model": MODEL,
            "data": TABLE,
            "--out": {
                "type": Path,
                "metavar": "FILE",
                "help": "CSV with label and probabilities (default: standard output); "
                "text that a spreadsheet would take for a formula begins with an "
                "apostrophe there",
            },
            "--threshold": {
                **THRESHOLD,
                "help": "another threshold than that of the model, in the words of "
                "autoimb fit; it is tuned on the scores of the training rows",
            },
            "--costs": {
                "nargs": "+",
                "metavar": "COLUMN",
                "help": "columns of what it costs to call a row each of the classes by "
                "mistake: every row gets the label of the lowest expected cost",
            },
            "--top": {
                **COUNT,
                "help": "call the K rows of this file positive that are the most "
                "probable",
            },
            **FORM,
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
            "model": MODEL,
            "--out": {**REPORT, "required": True},
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
                **SECONDS,
                "default": 30.0,
                "help": "seconds for the fits that --data needs (default: %(default)g)",
            },
            "--threshold": {
                **THRESHOLD,
                "help": "another threshold than that of the model, in the words of "
                "autoimb fit",
            },
            **ROWS,
            **FORM,
        },
    ),
    "monitor": (
        _monitor,
        "Say whether a saved model still holds on new rows, labelled or not.",
        "autoimb monitor model.skops october.csv --target default \\\n"
        "    --out october.html",
        {
            "model": MODEL,
            "data": TABLE,
            "--target": {
                **TARGET,
                "help": "column of labels, once they are known; rows without one count "
                "as not labelled yet",
            },
            "--out": REPORT,
            **FORM,
        },
    ),
    "catalogue": (
        _catalogue,
        "List all that can be tried; with a table, also what does not fit it, and why.",
        "autoimb catalogue --data loans.csv --target default",
        {"--data": TABLE, "--target": TARGET, **ROWS, **FORM},
    ),
}
"""By name: what it runs, its summary, an example, and its arguments."""
