"""Class weights and losses for XGBoost: what they equal, and where they start."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
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


# --- losses

LOSSES = {
    "focal": {"gamma": 1.5},
    "asymmetric": {"gamma_pos": 0.5, "gamma_neg": 2.0, "margin": 0.02},
}


@pytest.fixture(params=LOSSES)
def focused(request):
    """Return a small model with a loss other than log loss."""
    loss = request.param
    return WeightedXGBClassifier(loss=loss, loss_params=LOSSES[loss], **SMALL)


def test_focal_with_gamma_zero_is_xgboost_from_the_same_start():
    X, y, weight = make_table(2)
    share = np.average(y, weights=weight)
    plain = XGBClassifier(**SMALL, base_score=share)
    ours = WeightedXGBClassifier(loss="focal", loss_params={"gamma": 0.0}, **SMALL)
    np.testing.assert_allclose(
        predict(ours, (X, y, weight)), predict(plain, (X, y, weight)), atol=1e-5
    )


def test_focal_with_gamma_zero_is_xgboost_for_three_classes():
    X, y, weight = make_table(3)
    shares = np.bincount(y, weight) / weight.sum()
    start = np.log(shares).tolist()
    plain = XGBClassifier(**SMALL, base_score=start)
    ours = WeightedXGBClassifier(loss="focal", loss_params={"gamma": 0.0}, **SMALL)
    np.testing.assert_allclose(
        predict(ours, (X, y, weight)), predict(plain, (X, y, weight)), atol=1e-4
    )


def test_boosting_starts_at_the_weighted_shares(focused, table):
    _, y, weight = table
    proba = predict(focused.set_params(learning_rate=1e-9), table)
    shares = np.bincount(y, weight) / weight.sum()
    np.testing.assert_allclose(proba, np.tile(shares, (len(y), 1)), atol=1e-5)


def test_a_loss_learns_and_gives_probabilities(focused, table):
    X, y, _ = table
    proba = predict(focused, table)
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-6)
    for code in range(proba.shape[1]):
        assert roc_auc_score(y == code, proba[:, code]) > 0.85
    assert (focused.predict(X) == proba.argmax(axis=1)).mean() > 0.98


@pytest.mark.parametrize(
    ("loss", "params"),
    [
        ("focal", {"gamma": 4.0}),
        ("asymmetric", {"gamma_pos": 1.0, "gamma_neg": 4.0, "margin": 0.05}),
    ],
    ids=["focal", "asymmetric"],
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_loss_that_is_far_from_convex_learns_rare_classes(n_classes, loss, params):
    X = np.random.default_rng(0).normal(size=(1000, 3))
    y = np.searchsorted([1.8, 2.2][: n_classes - 1], X[:, 0])  # 3.6 %, 1.4 % of rows
    ours = WeightedXGBClassifier(loss=loss, loss_params=params, **SMALL).fit(X, y)
    proba = ours.predict_proba(X)
    for code in range(n_classes):
        assert roc_auc_score(y == code, proba[:, code]) > 0.95


def test_a_loss_and_class_weights_multiply(focused, table):
    X, y, weight = table
    weights = {0: 1.5, 1: 1.2, 2: 3.0}  # class 1 stays the rarer of two
    by_row = weight * np.array([weights[code] for code in y])
    plain = clone(focused)
    ours = focused.set_params(class_weight=weights)
    np.testing.assert_allclose(
        predict(ours, table), predict(plain, (X, y, by_row)), atol=1e-6
    )


class Recorded:
    """Log loss for two classes that records the prior."""

    def __call__(self, margins, codes, *, prior, scale):
        self.prior = prior
        proba = 1 / (1 + np.exp(-margins))
        return scale * (proba - codes), scale * proba * (1 - proba)


def test_a_users_loss_gets_the_class_shares_of_the_rows():
    X, y, weight = make_table(2)
    loss = Recorded()
    ours = WeightedXGBClassifier(
        loss=loss, loss_params={"scale": 1.0}, class_weight={1: 9.0}, **SMALL
    ).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(loss.prior, np.bincount(y, weight) / weight.sum())
    named = clone(ours).set_params(loss="focal", loss_params={"gamma": 0.0})
    np.testing.assert_allclose(
        ours.predict_proba(X), predict(named, (X, y, weight)), atol=1e-5
    )


def test_fitting_changes_no_parameter_and_the_model_survives_pickling(focused, table):
    before = focused.get_params()
    proba = predict(focused, table)
    assert focused.get_params() == before
    loaded = pickle.loads(pickle.dumps(focused))
    np.testing.assert_array_equal(loaded.predict_proba(table[0]), proba)
    assert clone(focused).get_params() == before


def test_a_row_of_weight_two_is_the_row_twice(focused, table):
    X, y, _ = table
    weight = np.where(np.arange(len(y)) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(len(y)), weight.astype(int))
    other = clone(focused).fit(X[twice], y[twice])
    ours = focused.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.predict_proba(X), other.predict_proba(X), atol=1e-4)
