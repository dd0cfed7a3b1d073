"""What biases the score of few positives, and by how much?

    python benchmarks/few_positives.py --out few_positives.jsonl
    python benchmarks/few_positives.py --table few_positives.jsonl

Two things are measured on the tuning populations of `interval.py`, each by itself:

- **The estimate.** A model stays as it is, and tables of 15 to 120 positives are drawn
  from its scores on 20,000 rows. The mean average precision of the tables, as usual and
  as `expected_average_precision` has it, less that of all rows.
- **The training rows.** Models trained on a part of a table, less the same models
  trained on all of it, both scored on 10,000 new rows; on the logit scale, times the
  root of the number of positives. If it is b (1 - 1 / sqrt(f)) for a part f, then one
  number b describes all tables.
"""

from __future__ import annotations

import argparse
import json
import warnings
from itertools import product
from pathlib import Path

import interval
import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from autoimb._metrics.expected_score import expected_average_precision

N_DRAWS = 300
PARTS = (0.5, 0.8, 0.875)
METRICS = {"average_precision": average_precision_score, "roc_auc": roc_auc_score}


def models():
    """Return classifiers of the three families of `interval.py`."""
    linear = LogisticRegression(class_weight="balanced", max_iter=300)
    return {
        "logistic regression": make_pipeline(StandardScaler(), linear),
        "neighbours": make_pipeline(
            StandardScaler(), KNeighborsClassifier(15, weights="distance")
        ),
        "XGBoost": XGBClassifier(
            n_estimators=40, max_depth=4, learning_rate=0.1, subsample=0.8, n_jobs=1
        ),
    }


def tables(name, n_positives, seed, n_new):
    """Return a training table and new rows, with numbers for categories."""
    interval.MOST_NEW_ROWS = n_new
    X, y, X_new, y_new = interval.made_tables(name, n_positives, seed)
    if isinstance(X, pd.DataFrame):
        both = pd.get_dummies(pd.concat([X, X_new])).to_numpy(float)
        X, X_new = both[: len(X)], both[len(X) :]
    return X, y, X_new, y_new


def biases(name, n_positives, seed):
    """Yield the bias of two estimates of a fixed model's average precision."""
    X, y, X_new, y_new = tables(name, n_positives, 10_000 + seed, 20_000)
    rng = np.random.default_rng([seed, n_positives])
    y_table = np.arange(10 * n_positives) < n_positives
    ones, rows = np.ones(len(y_table)), np.arange(len(y_table))
    for model, classifier in models().items():
        proba = classifier.fit(X, y).predict_proba(X_new)[:, 1]
        truth, drawn = average_precision_score(y_new, proba), []
        for _ in range(N_DRAWS):
            score = np.concatenate(
                [
                    rng.choice(proba[y_new == code], n, replace=False)
                    for code, n in ((1, n_positives), (0, 9 * n_positives))
                ]
            )
            usual = average_precision_score(y_table, score)
            drawn.append(
                (usual, expected_average_precision(y_table, score, ones, rows))
            )
        of_usual, of_expected = np.mean(drawn, axis=0) - truth
        yield {"model": model, "usual": of_usual, "expected": of_expected}


def losses(name, n_positives, seed):
    """Yield what models lose on the logit scale by training on a part of a table."""
    X, y, X_new, y_new = tables(name, n_positives, 20_000 + seed, 10_000)

    def fitted(rows):
        proba = {
            model: classifier.fit(X[rows], y[rows]).predict_proba(X_new)[:, 1]
            for model, classifier in models().items()
        }
        return proba | {"mean": np.mean([rankdata(p) for p in proba.values()], 0)}

    on_all = fitted(np.arange(len(y)))
    for part in PARTS:
        cuts = StratifiedShuffleSplit(4, train_size=part, random_state=seed)
        on_parts = [fitted(rows) for rows, _ in cuts.split(X, y)]
        for model, (metric, score) in product(on_all, METRICS.items()):
            lost = logit(score(y_new, on_all[model])) - np.mean(
                [logit(score(y_new, proba[model])) for proba in on_parts]
            )
            yield {"model": model, "part": part, "metric": metric, "lost": lost}


def table_of(lines):
    """Return the biases, and the losses with the b that fits them best."""
    runs = pd.DataFrame(lines)
    told = [
        "| positives | average precision, usual | expected |",
        "|--:|--:|--:|",
    ]
    for n, of in runs[runs.kind == "bias"].groupby("positives"):
        told.append(f"| {n} | {of.usual.mean():+.3f} | {of.expected.mean():+.3f} |")
    lost = runs[runs.kind == "loss"].copy()
    lost["scaled"] = lost.lost * np.sqrt(lost.positives)
    lost["factor"] = 1 / np.sqrt(lost.part) - 1
    parts = " | ".join(f"{part:g} of the rows" for part in PARTS)
    told += ["", f"| metric | positives | {parts} | b |", "|:--|--:|--:|--:|--:|--:|"]
    for metric, of_metric in lost.groupby("metric"):
        for n, of in (*of_metric.groupby("positives"), ("all", of_metric)):
            means = of.groupby("part").scaled.mean()
            b = (of.scaled @ of.factor) / (of.factor @ of.factor)
            cells = " | ".join(f"{means[part]:.2f}" for part in PARTS)
            told.append(f"| {metric} | {n} | {cells} | {b:.2f} |")
    return "\n".join(told)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="tables of each kind")
    parser.add_argument("--out", type=Path, default=Path("few_positives.jsonl"))
    parser.add_argument("--table", type=Path, help="print a file of runs, run nothing")
    args = parser.parse_args()
    if args.table:
        print(table_of(map(json.loads, args.table.read_text().splitlines())))
        return
    warnings.simplefilter("ignore")
    known = set()
    if args.out.exists():
        for line in map(json.loads, args.out.read_text().splitlines()):
            known.add((line["seed"], line["positives"], line["population"]))
    for seed, n, name in product(
        range(args.seeds), interval.POSITIVES, interval.TUNING
    ):
        if (seed, n, name) in known:
            continue
        lines = [{"kind": "loss", **line} for line in losses(name, n, seed)]
        if n <= 120:
            lines += [{"kind": "bias", **line} for line in biases(name, n, seed)]
        with args.out.open("a", encoding="utf-8") as file:
            for line in lines:
                told = {"population": name, "positives": n, "seed": seed, **line}
                file.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
