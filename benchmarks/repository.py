"""Measure many candidates on many tables once, for every question asked later.

    python benchmarks/repository.py FOLDER --out repository

FOLDER holds real data sets. Small training tables with 20 to 60 positives are cut from
them, and their unused rows are the test rows; larger ones are a stratified 65 %. Each
candidate of `CANDIDATES` is fitted on every fold of two repeats and once on all rows.
One ``.npz`` file a table holds its out-of-fold scores, the test scores of the refit and
of the mean of the first repeat's fold models, and the seconds that a fit takes. The
scripts `selection.py` and `portfolio.py` read nothing else.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import _stages
from autoimb._evaluate.fit_predict import fit_steps, predict_codes, predict_stages
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.problem import Problem
from autoimb._evaluate.scoring import Scoring
from autoimb._metrics.scorers import resolve_metric
from autoimb._search.running_trial import best_stage
from autoimb._strategy.strategy import Choice, Strategy
from autoimb._table.columns import as_rows, take
from autoimb._table.folds import make_folds
from autoimb._table.table import check_table

N_POSITIVES = (20, 40, 60)
MOST_OF = 0.6  # of the positives of a set, for training
MOST_ROWS, MOST_TEST_ROWS = 2500, 5000
ROOT = ("balanced", {"exponent": 0.5})
SMOTE = ("smote", {"strength": 0.7})


def _plain(family: str, **params: Any) -> dict[str, Any]:
    return {"family": (family, params)}


CANDIDATES: dict[str, dict[str, Any]] = {
    "logistic C=1": _plain("logistic_regression", C=1.0),
    "logistic C=0.1": _plain("logistic_regression", C=0.1),
    "logistic C=0.01": _plain("logistic_regression", C=0.01),
    "logistic C=0.001": _plain("logistic_regression", C=0.001),
    "logistic C=0.1, balanced": {
        **_plain("logistic_regression", C=0.1),
        "class_weight": "balanced",
    },
    "logistic C=0.1, SMOTE": {
        **_plain("logistic_regression", C=0.1),
        "resampler": SMOTE,
    },
    "elastic net": _plain("elastic_net"),
    "forest": _plain("random_forest"),
    "forest, leaf 5, entropy": _plain(
        "random_forest", min_samples_leaf=5, criterion="entropy"
    ),
    "forest, half of features": _plain("random_forest", max_features=0.5),
    "forest, root weights": {**_plain("random_forest"), "class_weight": ROOT},
    "extra trees": _plain("extra_trees"),
    "extra trees, leaf 3, half": _plain(
        "extra_trees", max_features=0.5, min_samples_leaf=3
    ),
    "extra trees, all features": _plain("extra_trees", max_features=1.0),
    "extra trees, SMOTE": {**_plain("extra_trees"), "resampler": SMOTE},
    "extra trees, root weights": {**_plain("extra_trees"), "class_weight": ROOT},
    "balanced forest": _plain("balanced_random_forest"),
    "xgboost": _plain("xgboost"),
    "xgboost, depth 3": _plain(
        "xgboost", max_depth=3, learning_rate=0.05, subsample=0.7
    ),
    "xgboost, stumps": _plain(
        "xgboost", max_depth=1, learning_rate=0.1, n_estimators=300
    ),
    "xgboost, root weights": {**_plain("xgboost"), "class_weight": ROOT},
    "xgboost, focal": {**_plain("xgboost"), "loss": "focal"},
    "histogram boosting": _plain("hist_gradient_boosting"),
    "lightgbm": _plain("lightgbm"),
    "catboost": _plain("catboost"),
    "catboost, depth 3": _plain("catboost", depth=3, learning_rate=0.05),
    "self-paced": _plain("self_paced_ensemble"),
    "under bagging": _plain("under_bagging"),
    "soft vote": _plain("soft_vote"),
    "tabm": _plain("tabm"),
    "neighbours": _plain("k_neighbours"),
    "svm": _plain("svm"),
}


@dataclass(frozen=True)
class Task:
    """A training table and test rows that it never saw."""

    name: str
    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    n_repeats: int

    @classmethod
    def of(cls, name, X, y, chosen, rng, n_repeats):
        rest = np.setdiff1d(np.arange(len(y)), chosen)
        keep = rng.permutation(rest)[:MOST_TEST_ROWS]
        return cls(name, X.iloc[chosen], y[chosen], X.iloc[keep], y[keep], n_repeats)


def read(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a set with two classes: the commonest against all others."""
    data = pd.read_csv(path)
    labels = data["target"]
    y = (labels != labels.mode()[0]).to_numpy().astype(int)
    rarest = labels.value_counts().idxmin()
    if path.name.startswith("road_accidents"):
        y = (labels == rarest).to_numpy().astype(int)
    return data.drop(columns="target"), y


def small_tasks(folder: Path):
    """Yield tables with few positives, cut from each set."""
    for path in sorted(folder.glob("*.csv.gz")):
        X, y = read(path)
        positives, negatives = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
        sizes = [n for n in N_POSITIVES if n <= MOST_OF * len(positives)]
        sizes = sizes if len(sizes) > 1 else sizes * 2
        for number, n in enumerate(sizes):
            rng = np.random.default_rng(1000 + number)
            n_others = round(n * len(negatives) / len(positives))
            n_others = min(n_others, MOST_ROWS - n, round(MOST_OF * len(negatives)))
            chosen = [
                *rng.choice(positives, n, replace=False),
                *rng.choice(negatives, n_others, replace=False),
            ]
            name = f"{path.name.split('.')[0]}-{n}-{number}"
            yield Task.of(name, X, y, np.sort(chosen), rng, 2)


def large_tasks(folder: Path, most_rows: int = 12_000):
    """Yield a stratified 65 % of each set that is larger."""
    for path in sorted(folder.glob("*.csv.gz")):
        X, y = read(path)
        rng = np.random.default_rng(2000)
        share = min(0.65, most_rows / len(y))
        chosen = np.concatenate(
            [
                rng.choice(rows, round(share * len(rows)), replace=False)
                for rows in (np.flatnonzero(y == 1), np.flatnonzero(y == 0))
            ]
        )
        if min(np.bincount(y[chosen])) > max(N_POSITIVES):
            name = f"{path.name.split('.')[0]}-whole"
            yield Task.of(name, X, y, np.sort(chosen), rng, 1)


def problem_of(task: Task) -> Problem:
    table = check_table(as_rows(task.X), task.y, pos_label=1)
    folds = make_folds(table, random_state=0, n_repeats=task.n_repeats)
    return Problem(table, CATALOGUE, folds, 0)


def measure(task: Task, name: str) -> dict[str, Any] | None:
    """Return what one candidate scores on one table, or None if it fails."""
    warnings.simplefilter("ignore")
    problem = problem_of(task)
    strategy = Strategy.of(CATALOGUE, **CANDIDATES[name])
    X_test = problem.table.schema.canonical(as_rows(task.X_test))
    try:
        fits = [_fit_fold(problem, n, strategy) for n in range(len(problem.folds))]
    except Exception as error:  # noqa: BLE001  what a table does not allow is left out
        print(f"{task.name} {name}: {type(error).__name__} {error}", flush=True)
        return None
    scoring = Scoring.of(
        resolve_metric("average_precision", 2), problem.table, problem.folds, 0
    )
    folds_of_first = [i for i, f in enumerate(problem.folds) if f.repeat == 0]
    first = best_stage([fits[i][0] for i in folds_of_first], scoring)
    n_rounds = first[0].n_rounds
    results = [r if n_rounds is None else r.at_stage(n_rounds) for r, _ in fits]
    stages = [] if n_rounds is None else [n_rounds]
    staged = CATALOGUE.get("family", strategy.family.name).staged_proba
    bag = [
        predict_stages(fits[i][1], X_test, 2, staged, stages)[0][:, 1]
        for i in folds_of_first
    ]
    refitted = _with_rounds(strategy, n_rounds)
    started = time.perf_counter()
    table = problem.table
    pipeline = problem.build(refitted, table.y, problem.seed)
    fit_steps(pipeline, table.X, table.y, None)
    return {
        "oof": np.concatenate([r.proba[:, 1] for r in results]).astype(np.float32),
        "refit": predict_codes(pipeline, X_test, 2)[:, 1].astype(np.float32),
        "bag": np.mean(bag, axis=0).astype(np.float32),
        "seconds": np.array(
            [np.mean([r.fit_seconds for r, _ in fits]), time.perf_counter() - started]
        ),
    }


def _fit_fold(problem, number, strategy):
    """Return a fold's result and the model."""
    table, fold = problem.table, problem.folds[number]
    y = table.y[fold.train_idx]
    pipeline = problem.build(strategy, y, problem.fold_seed(number))
    started = time.perf_counter()
    fit_steps(pipeline, take(table.X, fold.train_idx), y, None)
    seconds = time.perf_counter() - started
    family = CATALOGUE.get("family", strategy.family.name)
    stages = _stages(family, strategy)
    val = take(table.X, fold.val_idx)
    probas = predict_stages(pipeline, val, 2, family.staged_proba, stages)
    result = FoldResult(number, "ok", probas[-1], seconds)
    if stages:
        result = replace(result, stages=tuple(zip(stages, probas, strict=True)))
    return result, pipeline


def _with_rounds(strategy: Strategy, n_rounds: int | None) -> Strategy:
    if n_rounds is None:
        return strategy
    rounds = CATALOGUE.get("family", strategy.family.name).rounds_parameter
    params = {**dict(strategy.family.params), rounds: n_rounds}
    return replace(strategy, family=Choice.of(strategy.family.name, params))


def save(task: Task, measured: dict[str, dict[str, Any]], path: Path) -> None:
    problem = problem_of(task)
    rows = np.concatenate([fold.val_idx for fold in problem.folds])
    numbers = np.concatenate(
        [np.full(len(f.val_idx), i) for i, f in enumerate(problem.folds)]
    )
    arrays = {
        "y": problem.table.y,
        "y_test": task.y_test,
        "oof_rows": rows,
        "oof_fold": numbers,
        "fold_repeat": np.array([fold.repeat for fold in problem.folds]),
        "names": np.array(list(measured)),
    }
    for what in ("oof", "refit", "bag", "seconds"):
        arrays[what] = np.array([m[what] for m in measured.values()])
    np.savez_compressed(path, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("repository"))
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--n-jobs", type=int, default=-1)
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    tasks = (large_tasks if args.large else small_tasks)(args.folder)
    for task in tasks:
        path = args.out / f"{task.name}.npz"
        is_wanted = args.sets is None or task.name.split("-")[0] in args.sets
        if path.exists() or not is_wanted:
            continue
        started = time.perf_counter()
        found = Parallel(n_jobs=args.n_jobs)(
            delayed(measure)(task, name) for name in CANDIDATES
        )
        done = {n: m for n, m in zip(CANDIDATES, found, strict=True) if m is not None}
        save(task, done, path)
        print(
            f"{task.name}: {len(task.y)} rows, {task.y.sum()} positives, "
            f"{len(task.y_test)} test rows with {task.y_test.sum()}, "
            f"{len(done)} candidates in {time.perf_counter() - started:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
