"""What a fitted model costs where it serves: one row, many rows, its file.

    env -u OMP_NUM_THREADS python benchmarks/serving.py --out serving.jsonl
    python benchmarks/serving.py --table serving.jsonl

A made table of 1,000 rows and 20 columns, half numbers and half categories. Each
family is fitted alone, then a committee of up to twelve, on all rows and with a number
of trials in place of a clock. A line has the median milliseconds of one row (elapsed,
and of the processor over all threads), those of all rows, and seconds and megabytes of
the saved file; `json_mb` is how much of the file, unpacked, is JSON. Elapsed times of a
busy machine compare with each other only; those of the processor say more.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd

FAMILIES = (
    "logistic_regression",
    "extra_trees",
    "random_forest",
    "hist_gradient_boosting",
    "xgboost",
    "self_paced_ensemble",
    "soft_vote",
    "k_neighbours",
    "svm",
    "tabm",
)
COMMITTEE = "committee"
COLUMNS = (
    *("what", "classes", "omp", "members", "ms", "cpu_ms", "all_rows_ms"),
    *("save_s", "load_s", "mb", "json_mb"),
)
N_ROWS, N_ONE_ROW = 1_000, 30


def made_table(n_classes):
    """Return ten columns of numbers, some with gaps, and ten of categories."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(N_ROWS, 10))
    codes = rng.integers(0, 6, (N_ROWS, 10))
    signal = numbers[:, :3].sum(axis=1) + (codes[:, 0] == 2)
    # So much noise that families hardly differ: then all are members.
    signal += rng.normal(scale=4.0, size=N_ROWS)
    cuts = np.quantile(
        signal, [0.95] if n_classes == 2 else [0.5, 0.7, 0.8, 0.88, 0.94]
    )
    numbers[rng.random(numbers.shape) < 0.02] = np.nan
    X = pd.DataFrame(numbers).add_prefix("x")
    for i, column in enumerate(codes.T):
        X[f"c{i}"] = np.array(["red", "green", "blue", "grey", "pink", "black"])[column]
    return X, np.searchsorted(cuts, signal)


def one_row(model, X):
    """Return the median milliseconds of one row, elapsed and of the processor."""
    rows = [X.iloc[[i]] for i in range(N_ONE_ROW)]
    model.predict_proba(rows[0])
    walls, cpus = [], []
    for row in rows:
        wall, cpu = time.perf_counter(), time.process_time()
        model.predict_proba(row)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"ms": 1e3 * np.median(walls), "cpu_ms": 1e3 * np.median(cpus)}


def many_rows(model, X):
    """Return the milliseconds of all rows, the shortest of three times."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        model.predict_proba(X)
        seconds.append(time.perf_counter() - started)
    return {"all_rows_ms": 1e3 * min(seconds)}


def file_of(model, X):
    """Return seconds and megabytes of the saved model, which must predict the same."""
    import autoimb

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        started = time.perf_counter()
        model.save(path)
        saved = time.perf_counter()
        same = autoimb.load(path)
        loaded = time.perf_counter()
        with ZipFile(path) as archive:
            n_json = archive.getinfo("schema.json").file_size
        size = path.stat().st_size
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))
    return {
        "save_s": saved - started,
        "load_s": loaded - saved,
        "mb": size / 1e6,
        "json_mb": n_json / 1e6,
    }


def fitted(what, X, y):
    """Return a family alone, or the committee, fitted on all rows."""
    from autoimb import AutoImbalance

    alone = {"families": what, "n_trials": 1, "ensemble_size": 1}
    together = {"families": list(FAMILIES), "n_trials": 24, "ensemble_size": 12}
    return AutoImbalance(
        **(together if what == COMMITTEE else alone), cv=3, n_jobs=1, random_state=0
    ).fit(X, y)


def measured(what, n_classes):
    """Return the line of one model."""
    X, y = made_table(n_classes)
    model = fitted(what, X, y)
    line = {
        "what": what,
        "classes": n_classes,
        "omp": os.environ.get("OMP_NUM_THREADS", "unset"),
        "members": len(model.ensemble_),
        **one_row(model, X),
        **many_rows(model, X),
        **file_of(model, X),
    }
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in line.items()}


def table_of(lines):
    """Return lines as a table in Markdown."""
    head = [f"| {' | '.join(COLUMNS)} |", f"|:--|{'--:|' * (len(COLUMNS) - 1)}"]
    rows = [" | ".join(str(line[name]) for name in COLUMNS) for line in lines]
    return "\n".join([*head, *(f"| {row} |" for row in rows)])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", default=[*FAMILIES, COMMITTEE])
    parser.add_argument("--classes", type=int, choices=(2, 6), default=2)
    parser.add_argument("--out", type=Path, default=Path("serving.jsonl"))
    parser.add_argument("--table", type=Path, help="print a file of runs, run nothing")
    args = parser.parse_args()
    if args.table:
        text = args.table.read_text(encoding="utf-8")
        print(table_of([json.loads(line) for line in text.splitlines()]))
        return
    for what in args.what:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            line = json.dumps(measured(what, args.classes))
        with args.out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
