"""Warnings point at the line of the user's code that called autoimb."""

import warnings

import numpy as np
import pytest
from tables import numeric

from autoimb import AutoImbalance, PrecisionAtLeast
from autoimb.exceptions import (
    AccuracyWarning,
    BudgetTooSmallWarning,
    UnreachableConstraintWarning,
)

X, Y = numeric(160, 40)
MODEL = {"families": "logistic_regression", "n_jobs": 1, "cv": 3}
CALLS = {
    AccuracyWarning: lambda: AutoImbalance(metric="accuracy", n_trials=1, **MODEL),
    BudgetTooSmallWarning: lambda: AutoImbalance(time_budget=1e-3, **MODEL),
    UnreachableConstraintWarning: lambda: AutoImbalance(
        threshold=PrecisionAtLeast(0.999), n_trials=1, **MODEL
    ),
}


def files_of(category, call):
    """Return the files that the warnings of a category point at."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return {w.filename for w in caught if issubclass(w.category, category)}


@pytest.mark.parametrize("category", CALLS, ids=lambda category: category.__name__)
def test_a_warning_of_fit_points_at_the_call(category):
    model = CALLS[category]()
    assert files_of(category, lambda: model.fit(X, Y)) == {__file__}


def test_a_warning_of_another_method_points_at_the_call():
    model = AutoImbalance(n_trials=1, **MODEL).fit(X, np.asarray(Y))
    goal = PrecisionAtLeast(0.999)
    found = files_of(UnreachableConstraintWarning, lambda: model.set_threshold(goal))
    assert found == {__file__}
