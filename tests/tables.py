"""Small tables and models, and what the stages make of them, for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from autoimb._arena import Arena
from autoimb._catalogue import AXES, CATALOGUE
from autoimb._catalogue.entry import Family, Float
from autoimb._data import check_table
from autoimb._evaluate import Problem
from autoimb._execution import Inline, SequentialExecutor
from autoimb._folds import make_folds
from autoimb._judge import Judge
from autoimb._metrics import resolve_metric
from autoimb._profile import profile_table
from autoimb._space import SearchSpace


def numeric(n=120, minority=24, seed=0):
    """Return four numeric columns, two of which tell the rare class 1 apart."""
    rng = np.random.default_rng(seed)
    y = np.zeros(n, dtype=int)
    y[rng.choice(n, minority, replace=False)] = 1
    X = rng.normal(size=(n, 4))
    X[:, :2] += y[:, np.newaxis]
    return X, y


def mixed(n=120, minority=24, seed=0):
    """Return numbers, text, booleans and dates with gaps, and text labels."""
    X, y = numeric(n, minority, seed)
    rng = np.random.default_rng(seed + 1)
    frame = pd.DataFrame({"size": X[:, 0], "age": X[:, 2]})
    frame["colour"] = rng.choice(["red", "green", "blue"], n)
    frame["flag"] = rng.random(n) < 0.3 + 0.4 * y
    frame["seen"] = pd.Timestamp("2024-01-31 12:30") + pd.to_timedelta(
        rng.integers(0, 10_000, n), unit="h"
    )
    for name in ("size", "colour", "seen"):
        frame.loc[rng.random(n) < 0.15, name] = None
    return frame, np.where(y == 1, "yes", "no")


def categories(n=120, minority=24, seed=0):
    """Return text columns only, without gaps."""
    rng = np.random.default_rng(seed)
    _, y = numeric(n, minority, seed)
    shape = np.where(rng.random(n) < 0.2 + 0.6 * y, "round", "long")
    colour = rng.choice(["red", "green", "blue"], n)
    return pd.DataFrame({"colour": colour, "shape": shape}), y


def five_classes(seed=0):
    """Return three numeric columns and five classes, the smallest of 5 rows."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(5), [50, 30, 20, 10, 5])
    return rng.normal(size=(len(y), 3)) + y[:, np.newaxis], y


TABLES = {"numeric": numeric, "mixed": mixed, "five classes": five_classes}


def problem_of(
    X, y, *, cv=3, repeats=1, catalogue=CATALOGUE, as_given=False, seed=0, **extra
):
    """Return the problem that a fit on X, y would evaluate candidates on."""
    table = check_table(X, y, **extra)
    folds = make_folds(table, cv, random_state=seed, n_repeats=repeats)
    if as_given:
        table = table.with_rows_as_given(X)
    return Problem(table, catalogue, folds, seed)


def profile_of(X, y):
    """Return the profile of a table."""
    return profile_table(check_table(X, y))


def space_of(X, y, *, profile=None, table=None, **wishes):
    """Return the search space for X, y; an axis without a wish is "auto"."""
    table = table or check_table(X, y)
    wanted = {axis: wishes.get(axis, "auto") for axis in AXES}
    return SearchSpace.fitting(profile or profile_table(table), table, wanted)


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
        takes={},
        params=params,
        cost=cost,
    )


DIAL = family_of(Dial(), "dial", noise=Float(0.0, 1.0, default=0.5))
BROKEN = family_of(Broken(), "broken", cost=2.0)


def arena_of(problem, executor=None, metric="average_precision", handle=None):
    """Return the arena for a problem; candidates run in this process by default."""
    table = problem.table
    judge = Judge.of(
        resolve_metric(metric, table.n_classes), table, problem.folds, problem.seed
    )
    executor = executor or SequentialExecutor()
    return Arena(problem, handle or Inline(problem), judge, executor)
