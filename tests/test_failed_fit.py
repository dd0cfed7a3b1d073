"""What is left of a model when one of its methods fails."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.callback import ProgressBar
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted
from tables import Broken, numeric

from autoimb import AutoImbalance, NoCandidateError
from autoimb.exceptions import BadInputError

QUICK = {"n_trials": 1, "cv": 3, "ensemble_size": 1, "n_jobs": 1, "random_state": 0}


class Interrupted(LogisticRegression):
    """A model that is fitted when Ctrl-C comes."""

    def fit(self, X, y, sample_weight=None):
        raise KeyboardInterrupt


class FailsOnAllRows(LogisticRegression):
    """A model that can be fitted on the rows of folds only."""

    def fit(self, X, y, sample_weight=None):
        if len(X) == 120:
            raise ValueError("too many rows")
        return super().fit(X, y, sample_weight)


FAILURES = {
    "threshold": ({"threshold": "nonsense"}, ValueError),
    "metric": ({"metric": "nonsense"}, ValueError),
    "budget": ({"n_trials": 0}, ValueError),
    "class of interest": ({"pos_label": 7}, BadInputError),
    "all candidates": ({"estimator": Broken()}, NoCandidateError),
    "the refit": ({"estimator": FailsOnAllRows()}, Exception),
    "Ctrl-C": ({"estimator": Interrupted()}, KeyboardInterrupt),
}


def quick(**changes):
    return AutoImbalance(**{"families": "logistic_regression", **QUICK, **changes})


def assert_unfitted(model):
    parameters = {*model.get_params(deep=False), "_skl_callbacks"}
    assert set(vars(model)) <= parameters
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    for call in (model.predict, model.predict_proba):
        with pytest.raises(NotFittedError):
            call(numeric()[0])
    with pytest.raises(NotFittedError):
        model.report()


@pytest.mark.parametrize("is_fitted_before", [False, True])
@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_fit_leaves_an_unfitted_model(case, is_fitted_before):
    changes, error = FAILURES[case]
    X, y = numeric(120, 30)
    model = quick()
    if is_fitted_before:
        model.fit(X, y)
    if "estimator" in changes:
        changes = {"families": "auto", **changes}
    model.set_params(**changes)
    with pytest.raises(error):
        model.fit(X, y)
    assert_unfitted(model)
    model.set_params(**quick().get_params(deep=False)).fit(X, y).predict(X)


def test_callbacks_are_torn_down_and_stay_set_when_a_fit_fails():
    class Told(ProgressBar):
        events: list[str] = []  # noqa: RUF012  of the class, as scikit-learn copies

        def setup(self, estimator, context):
            self.events.append("setup")

        def on_fit_task_begin(self, *args, **kwargs):
            pass

        def on_fit_task_end(self, *args, **kwargs):
            pass

        def teardown(self, estimator, context):
            self.events.append("teardown")

    model = quick(estimator=Broken(), families="auto").set_callbacks(Told())
    for _ in range(2):
        with pytest.raises(NoCandidateError):
            model.fit(*numeric(120, 30))
    assert Told.events == ["setup", "teardown"] * 2
    assert_unfitted(model)


def test_nothing_of_an_earlier_fit_stays():
    X, y = numeric(120, 30)
    model = quick().fit(X, y)
    rows = {"a": X[:, 0], "b": X[:, 1]}
    model.fit(pd.DataFrame(rows), y)
    assert list(model.feature_names_in_) == ["a", "b"]
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")


def state_of(model):
    return pickle.dumps({name: repr(value) for name, value in vars(model).items()})


class FailsLater(LogisticRegression):
    """A model that can no longer be fitted."""

    fails = False

    def fit(self, X, y, sample_weight=None):
        if FailsLater.fails:
            raise ValueError("later")
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m, X, y: m.set_threshold("nonsense"), ValueError),
        (lambda m, X, y: m.set_prior(2.0), BadInputError),
        (lambda m, X, y: m.set_prior({"no": 0.5}), BadInputError),
        (lambda m, X, y: m.refit(X, y), NoCandidateError),
        (lambda m, X, y: m.refit(X[:, :1], y), ValueError),
        (lambda m, X, y: m.report(X[:9], y[:9]), BadInputError),
    ],
    ids=["threshold", "share", "class", "refit", "columns", "report"],
)
def test_other_calls_that_fail_leave_the_model_as_it_was(call, error, monkeypatch):
    X, y = numeric(120, 30)
    model = quick(estimator=FailsLater(), families="auto").fit(X, y)
    state, proba = state_of(model), model.predict_proba(X)
    monkeypatch.setattr(FailsLater, "fails", True)
    with pytest.raises(error):
        call(model, X, y)
    assert state_of(model) == state
    np.testing.assert_array_equal(model.predict_proba(X), proba)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, X, y: m.set_threshold("mcc"),
        lambda m, X, y: m.set_prior(0.3),
        lambda m, X, y: m.refit(X[::2], y[::2]),
    ],
    ids=["threshold", "prior", "refit"],
)
def test_an_error_in_the_last_step_undoes_the_others(call):
    class NoCode(AutoImbalance):
        def _code(self):
            if hasattr(self, "_report_data"):
                raise MemoryError
            return super()._code()

    X, y = numeric(120, 30)
    model = NoCode(families="logistic_regression", **QUICK).fit(X, y)
    state = state_of(model)
    with pytest.raises(MemoryError):
        call(model, X, y)
    assert state_of(model) == state


# --- tables that are too large


@pytest.mark.parametrize("kind", ["array", "float32", "frame"])
def test_a_table_that_cannot_be_copied_is_refused_at_once(kind):
    """The cells are all one and the same: the table itself takes no memory."""
    cell = np.float32(1) if kind == "float32" else np.float64(1)
    X = np.broadcast_to(cell, (10**9, 1000))
    if kind == "frame":
        X = pd.DataFrame(X, copy=False)
    with pytest.raises(BadInputError, match=r"takes 8,000\.00 GB of memory, and "):
        AutoImbalance().fit(X, [0, 1])
