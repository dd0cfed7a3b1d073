"""Which rule finds the best cut from few positives?

    python benchmarks/thresholds.py FOLDER --seeds 20

From each real data set with enough of them, training tables with 10 to 250 positives
are cut; a model is cross-validated on them, its scores are calibrated, and each rule
picks a cut from what is out of fold. Its F1 on unused rows is compared with that of the
best cut there. Only the share of soft labels differs between the rules: 1 believes the
labels alone, 0 the calibrated probabilities alone.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from repository import MOST_TEST_ROWS, read

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.fit_predict import predict_codes
from autoimb._evaluate.out_of_fold import OutOfFold
from autoimb._evaluate.problem import Problem
from autoimb._evaluate.refit import refit
from autoimb._execution.shared_data import Inline
from autoimb._fit.calibrate import CalibratedScores
from autoimb._metrics.metrics import METRICS
from autoimb._strategy.strategy import Strategy
from autoimb._table.columns import as_rows
from autoimb._table.folds import make_folds
from autoimb._table.table import check_table
from autoimb._threshold import evidence
from autoimb._threshold.rules import Cut
from autoimb._threshold.search import tune_threshold

SIZES = (10, 25, 50, 100, 250)
MOST_ROWS, MOST_OF = 6000, 0.6
MODELS = ("logistic_regression", "xgboost")
TRUST = {"labels alone": (0, 1), "probabilities alone": (10**9, 10**9 + 1)}


def f1(y: np.ndarray, is_called: np.ndarray) -> float:
    """Return F1, 0 where nothing is called."""
    hits = (y & is_called).sum()
    return float(2 * hits / max(1, y.sum() + is_called.sum()))


def best_f1(y: np.ndarray, score: np.ndarray) -> float:
    """Return the F1 of the best cut for these very rows."""
    hits = y[np.argsort(-score, kind="stable")].cumsum()
    return float((2 * hits / (y.sum() + np.arange(1, len(y) + 1))).max())


def measure(path: Path, n: int, seed: int, family: str) -> list[dict[str, object]]:
    """Return what each rule loses on one cut of one set."""
    X, y = read(path)
    rng = np.random.default_rng(10_000 * n + seed)
    positives, negatives = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    if n > MOST_OF * len(positives):
        return []
    n_others = min(
        round(n * len(negatives) / len(positives)),
        MOST_ROWS - n,
        round(MOST_OF * len(negatives)),
    )
    chosen = np.concatenate(
        [
            rng.choice(positives, n, replace=False),
            rng.choice(negatives, n_others, replace=False),
        ]
    )
    rest = rng.permutation(np.setdiff1d(np.arange(len(y)), chosen))[:MOST_TEST_ROWS]
    table = check_table(as_rows(X.iloc[chosen]), y[chosen], pos_label=1)
    problem = Problem(
        table, CATALOGUE, make_folds(table, random_state=seed, n_repeats=1), seed
    )
    strategy = Strategy.of(CATALOGUE, family=family)
    results = [
        evaluate(strategy, number, Inline(problem))
        for number in range(len(problem.folds))
    ]
    oof = OutOfFold.of(results, problem)
    calibrated = CalibratedScores.of(results, problem)
    pipeline, _ = refit(strategy, problem)
    rows = table.schema.canonical(as_rows(X.iloc[rest]))
    new = calibrated.calibration(predict_codes(pipeline, rows, 2))[:, 1]
    y_new = y[rest].astype(bool)
    cuts = {"argmax (0.5)": 0.5, "shipped": _cut(oof, calibrated)}
    for name, (soft, hard) in TRUST.items():
        with (
            patch.object(evidence, "_ROWS_FOR_SOFT", soft),
            patch.object(evidence, "_ROWS_FOR_HARD", hard),
        ):
            cuts[name] = _cut(oof, calibrated)
    oracle = best_f1(y_new, new)
    return [
        {"positives": n, "rule": rule, "lost": oracle - f1(y_new, new >= cut)}
        for rule, cut in cuts.items()
    ]


def _cut(oof, calibrated) -> float:
    """Return the cut that is tuned for F1."""
    rule = tune_threshold(
        oof,
        calibrated.proba,
        calibrated.cross_fitted,
        METRICS["f1"],
        pos=1,
        seed=0,
    ).rule
    assert isinstance(rule, Cut)
    return rule.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    found = Parallel(n_jobs=-1)(
        delayed(measure)(path, n, seed, family)
        for path in sorted(args.folder.glob("*.csv.gz"))
        for n in SIZES
        for seed in range(args.seeds)
        for family in MODELS
    )
    runs = pd.DataFrame([line for lines in found for line in lines])
    means = runs.pivot_table("lost", "rule", "positives")
    counts = runs.groupby("positives").size() // runs["rule"].nunique()
    print("| F1 lost | " + " | ".join(f"{n} ({counts[n]})" for n in means) + " |")
    print("|:--|" + "--:|" * means.shape[1])
    for rule, row in means.iterrows():
        print(f"| {rule} | " + " | ".join(f"{value:.3f}" for value in row) + " |")


if __name__ == "__main__":
    main()
