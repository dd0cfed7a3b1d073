"""Class weights for XGBoost: what they equal, and that XGBoost never sees them."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from xgboost import XGBClassifier

from autoimb._models.boosting import WeightedXGBClassifier

SMALL = {"n_estimators": 8, "max_depth": 3, "n_jobs": 1, "random_state": 0}


@pytest.fixture(params=[2, 3], ids=["binary", "three classes"])
def table(request):
    """Return X with gaps, codes and row weights."""
    return make_table(request.param)


def make_table(n_classes, n=240):
    rng = np.random.default_rng(0)
    # Few distinct values: every one is a bin edge, whatever the row weights.
    X = rng.integers(0, 12, size=(n, 4)).astype(float)
    y = ((X[:, 0] + rng.normal(scale=3, size=n)) > 8).astype(int)
    y[: 20 * (n_classes - 2)] = 2
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, y, rng.uniform(0.5, 2.0, size=n)


def predict(model, table):
    X, y, weight = table
    return model.fit(X, y, sample_weight=weight).predict_proba(X)


def test_without_class_weight_it_is_xgboost(table):
    plain, ours = XGBClassifier(**SMALL), WeightedXGBClassifier(**SMALL)
    np.testing.assert_array_equal(predict(ours, table), predict(plain, table))


def test_class_weights_multiply_row_weights(table):
    X, y, weight = table
    weights = {0: 0.5, 1: 3.0, 2: 7.0}
    by_row = weight * np.array([weights[code] for code in y])
    ours = WeightedXGBClassifier(class_weight=weights, **SMALL)
    plain = XGBClassifier(**SMALL)
    np.testing.assert_array_equal(predict(ours, table), predict(plain, (X, y, by_row)))


def test_a_class_that_is_left_out_has_weight_one(table):
    short = WeightedXGBClassifier(class_weight={1: 4.0}, **SMALL)
    full = WeightedXGBClassifier(class_weight={0: 1.0, 1: 4.0, 2: 1.0}, **SMALL)
    np.testing.assert_array_equal(predict(short, table), predict(full, table))


@pytest.mark.parametrize("tree_method", ["exact", "hist"])
def test_the_weight_of_class_one_is_scale_pos_weight(tree_method):
    X, y, _ = make_table(2)
    # XGBoost estimates its start from row weights exactly, from scale_pos_weight by
    # one Newton step: given the same start, everything after it must agree.
    params = {**SMALL, "tree_method": tree_method, "base_score": 0.5}
    ours = WeightedXGBClassifier(class_weight={0: 1.0, 1: 6.0}, **params).fit(X, y)
    plain = XGBClassifier(scale_pos_weight=6.0, **params).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), plain.predict_proba(X), atol=1e-5)


def test_the_booster_never_sees_class_weight(table, capfd):
    model = WeightedXGBClassifier(class_weight={1: 4.0}, verbosity=2, **SMALL)
    predict(model, table)
    assert "class_weight" not in model.get_xgb_params()
    assert "class_weight" not in model.get_booster().save_config()
    printed = capfd.readouterr()
    assert "not used" not in printed.out + printed.err


def test_parameters_survive_clone_set_params_and_pickle(table):
    model = WeightedXGBClassifier(class_weight={1: 4.0}, **SMALL)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert copy.get_params()["class_weight"] == {1: 4.0}
    assert copy.set_params(class_weight=None, max_depth=2).class_weight is None
    proba = predict(model, table)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(table[0]), proba)
    assert loaded.class_weight == {1: 4.0}
