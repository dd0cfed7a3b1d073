"""Small tables and models, and what the stages make of them, for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from autoimb._catalogue import AXES, CATALOGUE
from autoimb._catalogue.entry import Family, Float
from autoimb._evaluate.context import EvaluationContext
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.problem import Problem
from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._evaluate.scoring import Scoring
from autoimb._execution.executors import SequentialExecutor
from autoimb._execution.shared_data import Inline
from autoimb._metrics.scorers import resolve_metric
from autoimb._search.running_trial import best_stage
from autoimb._search.trials import TrialRecord
from autoimb._select.ensemble import Member
from autoimb._select.selection import Selection
from autoimb._strategy.search_space import SearchSpace
from autoimb._table.folds import make_folds
from autoimb._table.profile import profile_table
from autoimb._table.table import check_table
from autoimb.testing import TABLES, five_classes, mixed, numeric

__all__ = ["TABLES", "five_classes", "mixed", "numeric"]  # shared with users' tests


def categories(n=120, minority=24, seed=0):
    """Return text columns only, without gaps."""
    rng = np.random.default_rng(seed)
    _, y = numeric(n, minority, seed)
    shape = np.where(rng.random(n) < 0.2 + 0.6 * y, "round", "long")
    colour = rng.choice(["red", "green", "blue"], n)
    return pd.DataFrame({"colour": colour, "shape": shape}), y


def problem_of(
    X, y, *, cv=3, repeats=1, catalogue=CATALOGUE, as_given=False, seed=0, **extra
):
    """Return the problem that a fit on X, y would evaluate candidates on."""
    table = check_table(X, y, **extra)
    folds = make_folds(table, cv, random_state=seed, n_repeats=repeats)
    if as_given:
        table = table.with_raw_rows(X)
    return Problem(table, catalogue, folds, seed)


def unscored(strategy):
    """Return the selection of a strategy that there was no time to score."""
    return Selection.alone(TrialRecord(number=0, strategy=strategy, status="skipped"))


def scored(strategy, problem, folder=None, *, row_sample=ALL_ROWS, number=0, **more):
    """Return the record of a candidate, whose fold models are kept in a folder."""
    results = [
        evaluate(strategy, n, Inline(problem), row_sample, models=folder)
        for n in range(len(problem.folds))
    ]
    scoring = context_of(problem).scoring
    results = tuple(best_stage(results, scoring))
    return TrialRecord(
        number=number,
        strategy=strategy,
        status="complete",
        score=scoring.score(results),
        results=results,
        n_folds=len(results),
        row_sample=row_sample,
        **more,
    )


def selection_of(*records):
    """Return the selection of candidates, the winner first, that all are members."""
    return Selection(
        winner=records[0],
        baseline=records[0],
        finalists=records,
        members=tuple(map(Member, records)),
    )


def profile_of(X, y):
    """Return the profile of a table."""
    return profile_table(check_table(X, y))


def space_of(X, y, *, profile=None, table=None, **requested):
    """Return the search space for X, y; an axis that is not requested is "auto"."""
    table = table or check_table(X, y)
    by_axis = {axis: requested.get(axis, "auto") for axis in AXES}
    return SearchSpace.for_data(profile or profile_table(table), table, by_axis)


class RandomTrial:
    """A trial in the manner of Optuna's, with uniform draws and no study."""

    def __init__(self, rng):
        self.rng = rng

    def suggest_categorical(self, name, choices):
        return choices[int(self.rng.integers(len(choices)))]

    def suggest_int(self, name, low, high, *, log=False):
        if log:
            draw = self.rng.uniform(np.log(low), np.log(high + 1))
            return min(int(np.exp(draw)), high)
        return int(self.rng.integers(low, high, endpoint=True))

    def suggest_float(self, name, low, high, *, log=False):
        if log:
            return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))
        return float(self.rng.uniform(low, high))


class Dial(ClassifierMixin, BaseEstimator):
    """A classifier with one parameter: how much noise drowns its one feature.

    It learns nothing but the classes, so it costs nothing and its score is known.
    """

    def __init__(self, noise=0.5):
        self.noise = noise

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        score = expit((1 - self.noise) * X[:, 0] + self.noise * X[:, 2])
        return np.column_stack([1 - score, score])


class Broken(Dial):
    """A classifier that cannot be fitted."""

    def fit(self, X, y):
        raise ValueError("this model is broken")


def family_of(model, name, *, cost=1.0, **params):
    """Return the family of a ready-made model that reads rows as they are."""
    return Family(
        name=name,
        label=name,
        make=model,
        view=None,
        parameter_names={},
        params=params,
        cost=cost,
    )


DIAL = family_of(Dial(), "dial", noise=Float(0.0, 1.0, default=0.5))
BROKEN = family_of(Broken(), "broken", cost=2.0)


def context_of(problem, executor=None, metric="average_precision", handle=None):
    """Return the context for a problem; candidates run in this process by default."""
    table = problem.table
    scoring = Scoring.of(
        resolve_metric(metric, table.n_classes), table, problem.folds, problem.seed
    )
    executor = executor or SequentialExecutor()
    return EvaluationContext(problem, handle or Inline(problem), scoring, executor)
