"""A fit on all rows beside the mean of fold models, on rows held out.

    python benchmarks/final_fit.py FOLDER --seeds 0 1 --out final_fit.jsonl
    python benchmarks/final_fit.py --table final_fit.jsonl

FOLDER holds `name.csv.gz` files with a column "target". The same search, of a number of
trials, is finished in both ways; calibration and threshold come from the same
out-of-fold scores. One JSON line is written for every (table, seed, ensemble size), as
it ends; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
)
from sklearn.model_selection import train_test_split

HOLD_OUT = 0.35
SIZES = (1, 12)
FAMILIES = ["logistic_regression", "extra_trees", "xgboost", "under_bagging"]
METRICS = ("pr_auc", "log_loss", "f1", "mcc", "predicted_share", "ms", "mb")


def scores_of(model, X, y):
    """Return what a fitted model scores on unseen rows, and what it costs."""
    positive = model.classes_ == model.pos_label_
    started = time.perf_counter()
    proba = model.predict_proba(X)
    seconds = time.perf_counter() - started
    labels, truth = model.predict(X), np.eye(len(model.classes_))[y]
    is_binary = bool(positive.any())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        model.save(path)
        size = path.stat().st_size
    which = positive if is_binary else np.ones(len(model.classes_), dtype=bool)
    return {
        "pr_auc": float(average_precision_score(truth[:, which], proba[:, which])),
        "log_loss": float(log_loss(y, proba, labels=range(len(model.classes_)))),
        "f1": float(f1_score(y, labels, average=None)[which].mean()),
        "mcc": float(matthews_corrcoef(y, labels)),
        # Over the classes of interest: expected rows for each that there was.
        "predicted_share": float(
            proba[:, which].sum() / max(truth[:, which].sum(), 1e-9)
        ),
        "ms": 1000 * seconds,
        "mb": size / 1e6,
    }


def measured(frame, seed, size, n_trials):
    """Return the scores of both ways of finishing the same search."""
    from autoimb import AutoImbalance

    X, y = frame.drop(columns="target"), pd.factorize(frame["target"], sort=True)[0]
    parts = train_test_split(X, y, test_size=HOLD_OUT, stratify=y, random_state=seed)
    X_train, X_test, y_train, y_test = parts
    line = {}
    for name, final_fit in (("refit", True), ("folds", False)):
        model = AutoImbalance(
            n_trials=n_trials,
            families=FAMILIES,
            ensemble_size=size,
            final_fit=final_fit,
            n_jobs=1,
            random_state=seed,
        ).fit(X_train, y_train)
        line[name] = scores_of(model, X_test, y_test)
        line["members"] = len(model.ensemble_)
        line["fold_models"] = sum(len(m.pipelines) for m in model.ensemble_)
    return line


def read_lines(path):
    """Return the lines of a file, none if there is no file."""
    if not path.exists():
        return []
    return [json.loads(text) for text in path.read_text().splitlines()]


def table_in_markdown(lines):
    """Return, by ensemble size, the mean of each metric and the paired difference."""
    rows = ["| ensemble size | metric | refit | fold models | difference | tables |"]
    rows.append("|--:|:--|--:|--:|--:|--:|")
    for size in sorted({line["size"] for line in lines}):
        of_size = [line for line in lines if line["size"] == size]
        for metric in METRICS:
            frame = pd.DataFrame(
                [(r["table"], r["refit"][metric], r["folds"][metric]) for r in of_size],
                columns=["table", "refit", "folds"],
            )
            means = frame.groupby("table").mean()
            gap = means["folds"] - means["refit"]
            rows.append(
                f"| {size} | {metric} | {means['refit'].mean():.4g} "
                f"| {means['folds'].mean():.4g} | {gap.mean():+.4f} ± "
                f"{gap.std(ddof=1) / np.sqrt(len(gap)):.4f} | {len(gap)} |"
            )
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--n-trials", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("final_fit.jsonl"))
    parser.add_argument("--table", type=Path, help="print a file of runs, run nothing")
    args = parser.parse_args()
    if args.table:
        print(table_in_markdown(read_lines(args.table)))
        return
    known = {(r["table"], r["seed"], r["size"]) for r in read_lines(args.out)}
    for seed in args.seeds:
        for path in sorted(args.folder.glob("*.csv.gz")):
            for size in SIZES:
                head = {"table": path.name.split(".")[0], "seed": seed, "size": size}
                if tuple(head.values()) in known:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    line = head | measured(pd.read_csv(path), seed, size, args.n_trials)
                with args.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(head), flush=True)


if __name__ == "__main__":
    main()
