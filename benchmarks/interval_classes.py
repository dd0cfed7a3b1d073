"""Does the interval of the mean over several classes hold?

    python benchmarks/interval_classes.py --fits 100 --out interval_classes.jsonl
    python benchmarks/interval_classes.py --table interval_classes.jsonl

Made populations of three, six and twelve classes, the largest of 120 rows and the
smallest of ten. One logistic regression with its defaults is fitted, so that the
experiment is about the interval and not about the search. 20,000 new rows give the
truth. Beside the width of the interval stands that of the smallest class alone: what
the interval would be if the score were a mean over that many rows.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import t as student_t
from sklearn.metrics import average_precision_score

from autoimb import AutoImbalance

N_CLASSES = (3, 6, 12)
LARGEST, SMALLEST = 120, 10
N_COLUMNS = 6


def rows_of(n_classes, n_of, rng):
    """Return rows around the centres of the classes, so many of each."""
    centres = np.random.default_rng(n_classes).normal(size=(n_classes, N_COLUMNS))
    y = np.repeat(np.arange(n_classes), n_of)
    return 0.9 * centres[y] + rng.normal(size=(len(y), N_COLUMNS)), y


def measured(n_classes, seed):
    """Return what one fit said of new rows, and what these say."""
    rng = np.random.default_rng([n_classes, seed])
    n_of = np.geomspace(LARGEST, SMALLEST, n_classes).round().astype(int)
    X, y = rows_of(n_classes, n_of, rng)
    X_new, y_new = rows_of(n_classes, n_of * round(20_000 / n_of.sum()), rng)
    model = AutoImbalance(
        families="logistic_regression",
        n_trials=1,
        ensemble_size=1,
        n_jobs=1,
        random_state=seed,
    ).fit(X, y)
    honest, proba = model.honest_score_, model.predict_proba(X_new)
    margin = student_t.ppf(0.975, SMALLEST - 1) / np.sqrt(
        SMALLEST * honest.estimate * (1 - honest.estimate)
    )
    low, high = expit(logit(honest.estimate) + margin * np.array([-1, 1]))
    return {
        "classes": n_classes,
        "seed": seed,
        "truth": average_precision_score(np.eye(n_classes)[y_new], proba),
        "estimate": honest.estimate,
        "low": honest.low,
        "high": honest.high,
        "width_of_smallest": high - low,
    }


def table_of(lines):
    """Return coverage, bias and widths by the number of classes."""
    runs = pd.DataFrame(lines)
    runs["held"] = (runs.low <= runs.truth) & (runs.truth <= runs.high)
    runs["width"], runs["error"] = runs.high - runs.low, runs.estimate - runs.truth
    told = [
        "| classes | fits | interval holds | its width | of the smallest class alone "
        "| bias | standard deviation of the error |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for n, of in runs.groupby("classes"):
        told.append(
            f"| {n} | {len(of)} | {of.held.mean():.0%} | {of.width.mean():.3f} "
            f"| {of.width_of_smallest.mean():.3f} | {of.error.mean():+.3f} "
            f"| {of.error.std():.3f} |"
        )
    return "\n".join(told)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fits", type=int, default=100, help="of each population")
    parser.add_argument("--out", type=Path, default=Path("interval_classes.jsonl"))
    parser.add_argument("--table", type=Path, help="print a file of runs, run nothing")
    args = parser.parse_args()
    if args.table:
        print(table_of(map(json.loads, args.table.read_text().splitlines())))
        return
    known = set()
    if args.out.exists():
        lines = map(json.loads, args.out.read_text().splitlines())
        known = {(line["classes"], line["seed"]) for line in lines}
    warnings.simplefilter("ignore")
    for seed in range(args.fits):
        for n_classes in N_CLASSES:
            if (n_classes, seed) not in known:
                with args.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(measured(n_classes, seed)) + "\n")


if __name__ == "__main__":
    main()
