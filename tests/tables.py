"""Small tables, and the values that the stages make of them, for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from autoimb._catalogue import AXES, CATALOGUE
from autoimb._data import check_table
from autoimb._evaluate import Problem
from autoimb._folds import make_folds
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


def problem_of(X, y, *, cv=3, catalogue=CATALOGUE, as_given=False, seed=0, **extra):
    """Return the problem that a fit on X, y would evaluate candidates on."""
    table = check_table(X, y, **extra)
    folds = make_folds(table, cv, random_state=seed, n_repeats=1)
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
