"""Other AutoML systems, run in an environment of their own; `compare.py` calls this.

    PEERS_PYTHON benchmarks/peers.py SYSTEM FOLDER --budget 30 --seed 0 --cpus 2

FOLDER holds train.parquet (its column "target" has codes 0..k-1; of two classes, 1 is
the rarer) and test.parquet (without it). Written beside them are predictions.npz
(proba, y_pred) and result.json. Nothing of autoimb is imported, so that PEERS_PYTHON
needs only what the system at hand needs, pandas and pyarrow. The clock runs from `fit`
on: to import a library is free, what it loads while it fits is not.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

if TYPE_CHECKING:
    from collections.abc import Callable


class Task(NamedTuple):
    """What a system may use."""

    folder: Path
    budget: float
    seed: int
    cpus: int
    n_classes: int


class System(NamedTuple):
    """A system to compare: how it is made, and what it tells of a fit."""

    make: Callable
    package: str
    notes: Callable = lambda _model: {}
    has_budget: bool = True


def macro_average_precision(y, proba):
    """Return the mean over the classes seen of one-versus-rest average precision."""
    y, proba = np.asarray(y), np.asarray(proba)
    seen = np.unique(y).astype(int)
    return float(np.mean([average_precision_score(y == c, proba[:, c]) for c in seen]))


def lost_precision(X, y, estimator, *_rest, **_named):
    """Return what FLAML minimises on more than two classes, and what it logs."""
    loss = 1 - macro_average_precision(y, estimator.predict_proba(X))
    return loss, {"loss": loss}


def flaml(task):
    """FLAML as it comes; it has no metric of PR-AUC for more than two classes."""
    from flaml import AutoML

    return AutoML(
        task="classification",
        metric="ap" if task.n_classes == 2 else lost_precision,
        time_budget=task.budget,
        n_jobs=task.cpus,
        seed=task.seed,
        verbose=0,
    )


class AutoGluon:
    """AutoGluon with a preset; of two classes, its cut is then tuned for F1.

    Dynamic stacking is off: it takes a quarter of the budget for a trial run, and if no
    model gets ready in that, as happens in 20 s, the fit itself fails.
    """

    def __init__(self, task, preset="best_quality"):
        from autogluon.core.metrics import make_scorer
        from autogluon.tabular import TabularPredictor

        macro = make_scorer(
            "macro_average_precision", macro_average_precision, needs_proba=True
        )
        self.task, self.preset = task, preset
        self.is_binary = task.n_classes == 2
        self.predictor = TabularPredictor(
            label="target",
            problem_type="binary" if self.is_binary else "multiclass",
            eval_metric="average_precision" if self.is_binary else macro,
            path=task.folder / "autogluon",
            verbosity=0,
        )

    def fit(self, X, y):
        """Fit within the budget; the cut is tuned after it."""
        self.predictor.fit(
            X.assign(target=y),
            presets=self.preset,
            dynamic_stacking=False,
            time_limit=self.task.budget,
            num_cpus=self.task.cpus,
        )
        if self.is_binary:
            cut = self.predictor.calibrate_decision_threshold(
                metric="f1", verbose=False
            )
            self.predictor.set_decision_threshold(cut)
        return self

    def predict_proba(self, X):
        """Return probabilities, a column a class."""
        return self.predictor.predict_proba(X)

    def predict(self, X):
        """Return labels at the tuned cut."""
        return self.predictor.predict(X)


def autogluon_notes(model):
    """Return the name of the model that answers, and how many there are."""
    predictor = model.predictor
    return {"winner": predictor.model_best, "candidates": len(predictor.model_names())}


SYSTEMS = {
    "FLAML": System(flaml, "flaml", lambda model: {"winner": model.best_estimator}),
    "AutoGluon": System(AutoGluon, "autogluon.tabular", autogluon_notes),
    "AutoGluon medium": System(
        partial(AutoGluon, preset="medium_quality"),
        "autogluon.tabular",
        autogluon_notes,
    ),
}


def measured(system, task, train, test):
    """Return probabilities, labels and what a line tells of one fit."""
    model = system.make(task)
    y, X = train.pop("target").to_numpy(), train
    started = time.perf_counter()
    model.fit(X, y)
    fitted = time.perf_counter()
    proba = np.asarray(model.predict_proba(test), dtype=float)
    predicted = time.perf_counter()
    result = {
        "fit_seconds": fitted - started,
        "predict_seconds": predicted - fitted,
        "version": version(system.package),
        **system.notes(model),
    }
    return proba, np.asarray(model.predict(test)).astype(int), result


def main(systems=SYSTEMS):
    """Fit one system on a folder's training table and predict its test table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=systems)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=float, required=True, help="seconds")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cpus", type=int, required=True)
    args = parser.parse_args()
    train, test = (
        pd.read_parquet(args.folder / f"{part}.parquet") for part in ("train", "test")
    )
    n_classes = train["target"].nunique()
    task = Task(args.folder, args.budget, args.seed, args.cpus, n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proba, y_pred, result = measured(systems[args.system], task, train, test)
    np.savez(args.folder / "predictions.npz", proba=proba, y_pred=y_pred)
    (args.folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
