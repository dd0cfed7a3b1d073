"""What was chosen once is fitted on other rows, without a search."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from tables import five_classes, mixed, numeric

import autoimb
from autoimb import AutoImbalance, Cost
from autoimb.exceptions import BadInputError

FAMILIES = ["logistic_regression", "xgboost", "k_neighbours"]


def quick(**options):
    options = {"n_trials": 4, "families": FAMILIES, "n_jobs": 1, **options}
    return AutoImbalance(random_state=0, **options)


@pytest.fixture(scope="module")
def fitted():
    X, y = numeric(300, 40)
    return quick().fit(X, y), X, y


@pytest.mark.parametrize("table", [numeric, mixed, five_classes])
def test_on_the_same_rows_it_is_the_same_model(table):
    X, y = table()
    model = quick().fit(X, y)
    proba, threshold = model.predict_proba(X), model.threshold_
    oof = model.oof_proba_
    again = model.refit(X, y)
    assert again is model
    np.testing.assert_allclose(again.predict_proba(X), proba, atol=1e-9)
    np.testing.assert_allclose(again.threshold_, threshold, atol=1e-9)
    np.testing.assert_allclose(again.oof_proba_, oof, atol=1e-9)


def test_more_rows_are_learned_from_and_nothing_is_chosen_anew(fitted):
    model = pickle.loads(pickle.dumps(fitted[0]))
    strategies = [(m.strategy, m.weight) for m in model.ensemble_]
    leaderboard = model.leaderboard_
    more, labels = numeric(600, 80)
    before = model.predict_proba(more)
    model.refit(more, labels)
    assert [(m.strategy, m.weight) for m in model.ensemble_] == strategies
    assert model.leaderboard_.equals(leaderboard)
    assert not np.allclose(model.predict_proba(more), before)
    assert model.oof_proba_.shape == (600, 2)
    assert np.isfinite(model.oof_proba_).all()


def test_a_saved_model_can_be_refitted(fitted, tmp_path):
    model, X, y = fitted
    model.save(tmp_path / "m.skops")
    loaded = autoimb.load(tmp_path / "m.skops").refit(X, y)
    np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X))


def test_threshold_and_prior_that_were_set_hold_on():
    X, y = numeric(300, 40)
    model = quick().fit(X, y).set_threshold(Cost(fp=1, fn=9)).set_prior(0.3)
    proba, threshold = model.predict_proba(X), model.threshold_
    model.refit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), proba, atol=1e-9)
    assert model.threshold_ == pytest.approx(threshold)


def test_the_report_speaks_of_the_new_labels(fitted):
    model = pickle.loads(pickle.dumps(fitted[0]))
    more, labels = numeric(600, 80)
    model.refit(more, labels)
    assert np.sum(model.report().data.winner.confusion) == 600


def test_other_classes_and_columns_are_errors(fitted):
    model, X, y = fitted
    with pytest.raises(BadInputError, match="call fit for other classes"):
        model.refit(X, y + 1)
    with pytest.raises(ValueError, match="features"):
        model.refit(X[:, :2], y)


def test_a_model_of_ones_own_is_known_until_it_is_pickled():
    X, y = numeric(200, 40)
    model = AutoImbalance(
        families=[LogisticRegression(), GaussianNB()],
        n_trials=2,
        n_jobs=1,
        random_state=0,
    ).fit(X, y)
    proba = model.predict_proba(X)
    np.testing.assert_allclose(model.refit(X, y).predict_proba(X), proba, atol=1e-9)
    with pytest.raises(BadInputError, match="object of your own"):
        pickle.loads(pickle.dumps(model)).refit(X, y)


def test_an_unfitted_model_says_so():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        clone(quick()).refit(*numeric())
