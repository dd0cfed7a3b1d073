"""What comes back from a fit with a time budget, on tables that make time short.

    python benchmarks/budget.py --budgets 20 60 --out budget.jsonl
    python benchmarks/budget.py --budgets 60 --kinds "18 classes" --busy
    python benchmarks/budget.py --table budget.jsonl

The tables are made: each class is three clusters in a few of the columns, so that
trees find what linear models do not. Their sizes are those of real tables on which
much was lost (many rows, many classes, or few positives in many rows). Beside what
`AutoImbalance` serves, XGBoost with 300 trees is fitted on the same rows without any
limit.

One JSON line is written for every (kind, budget, busy), as it ends; what is there
already is not run again. Every fit runs in a process of its own, and with `--busy`
another program keeps one core at work. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split


class Kind(NamedTuple):
    """The size of a table: rows to train on, and rows of its smallest class."""

    n_rows: int
    n_columns: int
    n_classes: int
    n_smallest: int


KINDS = {
    "7 classes": Kind(37_700, 9, 7, 6),
    "18 classes": Kind(18_200, 6, 18, 18),
    "5 classes": Kind(16_400, 41, 5, 7),
    "34 positives": Kind(321_000, 41, 2, 34),
    "1,790 positives": Kind(186_000, 10, 2, 1_790),
    "7,400 positives": Kind(66_000, 47, 2, 7_400),
    "small": Kind(3_000, 20, 2, 150),
}
HOLD_OUT = 0.35
N_CLUSTERS, NOISE, MOST_INFORMATIVE = 3, 0.3, 6


def class_sizes(kind):
    """Return rows of each class, growing by the same factor from class to class."""
    total = round(kind.n_rows / (1 - HOLD_OUT))
    smallest = round(kind.n_smallest / (1 - HOLD_OUT))
    low, high = 1.0, float(total)
    while high - low > 1e-9 * high:
        factor = (low + high) / 2
        n_made = (smallest * factor ** np.arange(kind.n_classes)).sum()
        low, high = (factor, high) if n_made < total else (low, factor)
    sizes = np.rint(smallest * low ** np.arange(kind.n_classes)).astype(int)
    sizes[-1] += total - sizes.sum()
    return sizes


def table_of(kind, seed=0):
    """Return X_train, X_test, y_train, y_test; class 0 is the smallest."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(kind.n_classes), class_sizes(kind))
    n_informative = min(kind.n_columns, MOST_INFORMATIVE)
    centres = rng.uniform(-1, 1, (kind.n_classes, N_CLUSTERS, n_informative))
    X = rng.normal(size=(len(y), kind.n_columns))
    cluster = rng.integers(N_CLUSTERS, size=len(y))
    X[:, :n_informative] = centres[y, cluster] + NOISE * X[:, :n_informative]
    X = X[:, rng.permutation(kind.n_columns)]
    if kind.n_classes == 2:
        y = 1 - y
    return train_test_split(X, y, test_size=HOLD_OUT, stratify=y, random_state=seed)


def mean_average_precision(y, proba):
    """Return the average precision of the positives, or the mean over classes."""
    if proba.shape[1] == 2:
        return average_precision_score(y, proba[:, 1])
    return average_precision_score(np.eye(proba.shape[1])[y], proba)


def measured(kind, budget):
    """Return what a fit within a budget, and XGBoost beside it, come to."""
    from xgboost import XGBClassifier

    from autoimb import AutoImbalance

    X, X_test, y, y_test = table_of(kind)
    started = time.perf_counter()
    model = AutoImbalance(time_budget=budget, random_state=0).fit(X, y)
    wall = time.perf_counter() - started
    board, search = model.leaderboard_, model.report().data.search
    complete = board[board.status == "complete"]
    started = time.perf_counter()
    plain = XGBClassifier(n_estimators=300, n_jobs=-1, random_state=0).fit(X, y)
    return {
        "wall_seconds": wall,
        "served": mean_average_precision(y_test, model.predict_proba(X_test)),
        "winner": str(model.best_strategy_),
        "members": len(model.ensemble_),
        "best_out_of_fold": None if complete.empty else float(complete["mean"].max()),
        "complete": len(complete),
        "statuses": board.status.value_counts().to_dict(),
        "first_complete_at": search.best_so_far[0][0] if search.best_so_far else None,
        "fold_models": sum(len(member.pipelines) for member in model.ensemble_),
        "unused_seconds": max(0.0, budget - wall),
        "cut_off_seconds": search.cut_off_seconds,
        "xgboost": mean_average_precision(y_test, plain.predict_proba(X_test)),
        "xgboost_seconds": time.perf_counter() - started,
    }


@contextlib.contextmanager
def one_core_taken(is_busy):
    """Keep one core at work inside the block, if asked to."""
    if not is_busy:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def line_of(code, name, budget, is_busy):
    """Return a run's result line, or its error."""
    command = [sys.executable, __file__, "--one", name, str(budget)]
    with one_core_taken(is_busy):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    head = {"code": code, "kind": name, "budget": budget, "busy": is_busy}
    if done.returncode:
        return head | {"error": done.stderr.strip().rpartition("\n")[-1]}
    return head | json.loads(done.stdout.strip().rpartition("\n")[-1])


def read_lines(path):
    """Return the lines of a file, none if there is no file."""
    if not path.exists():
        return []
    return [json.loads(text) for text in path.read_text().splitlines()]


def table_in_markdown(lines):
    """Return the runs as a table."""
    head = (
        "| code | table | budget | one core taken | wall s | complete | served "
        "| XGBoost | unused s | cut off s |\n|:--|:--|--:|:--|--:|--:|--:|--:|--:|--:|"
    )
    rows = [
        f"| {r['code']} | {r['kind']} | {r['budget']:g} "
        f"| {'yes' if r['busy'] else 'no'} "
        + (
            f"| {r['error']} |"
            if "error" in r
            else f"| {r['wall_seconds']:.1f} | {r['complete']} | {r['served']:.3f} "
            f"| {r['xgboost']:.3f} | {r['unused_seconds']:.1f} "
            f"| {r['cut_off_seconds']:.1f} |"
        )
        for r in lines
    ]
    return "\n".join([head, *rows])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budgets", type=float, nargs="+", default=[20.0, 60.0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--code", default="now", help="what the code is called")
    parser.add_argument("--busy", action="store_true", help="take one core away")
    parser.add_argument("--out", type=Path, default=Path("budget.jsonl"))
    parser.add_argument("--table", type=Path, help="print a file of runs, run nothing")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "BUDGET"))
    args = parser.parse_args()
    if args.table:
        print(table_in_markdown(read_lines(args.table)))
        return
    if args.one:
        name, budget = args.one
        print(json.dumps(measured(KINDS[name], float(budget))))
        return
    known = {
        (r["code"], r["kind"], r["budget"], r["busy"]) for r in read_lines(args.out)
    }
    for budget in args.budgets:
        for name in args.kinds:
            if (args.code, name, budget, args.busy) in known:
                continue
            line = line_of(args.code, name, budget, args.busy)
            with args.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
