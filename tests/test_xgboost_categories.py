"""XGBoost that reads categories as such, whatever the order of their codes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import average_precision_score
from tables import categories, mixed, numeric, problem_of, profile_of, space_of
from xgboost import XGBClassifier

import autoimb
from autoimb import AutoImbalance
from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import evaluate
from autoimb._execution.shared_data import Inline
from autoimb._models.boosting import WeightedXGBClassifier
from autoimb._strategy.strategy import Strategy

SETTINGS = {"n_estimators": 20, "max_depth": 3, "random_state": 0, "n_jobs": 1}


def coded(n=400, n_codes=12, seed=0):
    """Return a column of codes in arbitrary order, a number, and labels by code."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_codes, size=n)
    is_risky = rng.permutation(n_codes) < n_codes // 3
    y = (rng.random(n) < np.where(is_risky[codes], 0.6, 0.05)).astype(int)
    return np.column_stack([codes, rng.normal(size=n)]).astype(float), y


@pytest.mark.parametrize("loss", ["log_loss", "focal"])
def test_it_is_xgboost_s_own_reading_of_a_frame_of_categories(loss):
    X, y = coded()
    model = WeightedXGBClassifier(**SETTINGS, loss=loss, n_categorical=1).fit(X, y)
    frame = pd.DataFrame(X, columns=["code", "number"])
    frame["code"] = frame["code"].astype(int).astype("category")
    own = WeightedXGBClassifier(**SETTINGS, loss=loss, enable_categorical=True)
    expected = own.fit(frame, y).predict_proba(frame)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)
    assert model.feature_types is None


def test_the_order_of_codes_means_nothing():
    """One category against the others; sets of equal gain are told apart by codes."""
    X, y = coded()
    order = np.random.default_rng(1).permutation(12)
    other = X.copy()
    other[:, 0] = order[X[:, 0].astype(int)]
    model = WeightedXGBClassifier(**SETTINGS, n_categorical=1, max_cat_to_onehot=64)
    first = clone(model).fit(X, y).predict_proba(X)
    second = clone(model).fit(other, y).predict_proba(other)
    np.testing.assert_allclose(first, second, rtol=1e-5)
    as_numbers = WeightedXGBClassifier(**SETTINGS)
    first = clone(as_numbers).fit(X, y).predict_proba(X)
    second = clone(as_numbers).fit(other, y).predict_proba(other)
    assert np.abs(first - second).max() > 0.01


def test_negative_codes_are_gaps_in_fit_and_prediction():
    X, y = coded()
    X[::7, 0] = np.nan
    model = WeightedXGBClassifier(**SETTINGS, n_categorical=1).fit(X, y)
    negative = np.where(np.isnan(X), -2.0, X)
    before = negative.copy()
    same = WeightedXGBClassifier(**SETTINGS, n_categorical=1).fit(negative, y)
    np.testing.assert_array_equal(same.predict_proba(negative), model.predict_proba(X))
    np.testing.assert_array_equal(negative, before)


def test_without_categories_it_is_xgboost():
    X, y = coded()
    model = WeightedXGBClassifier(**SETTINGS).fit(X, y)
    plain = XGBClassifier(**SETTINGS).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    ("make", "fits"), [(numeric, False), (categories, True), (mixed, True)]
)
def test_it_can_be_asked_for_where_there_are_categories(make, fits):
    assert "xgboost_categories" not in space_of(*make()).names["family"]
    rows = autoimb.catalogue(profile_of(*make())).query("name == 'xgboost_categories'")
    assert rows["fits"].tolist() == [fits]


@pytest.mark.parametrize("resampler", ["none", "random_under", "smote"])
def test_it_learns_more_from_categories_than_from_their_codes(resampler):
    X, y = coded(900, 30)
    frame = pd.DataFrame({"code": [f"c{int(c)}" for c in X[:, 0]], "number": X[:, 1]})
    problem = problem_of(frame, y)
    scores = {}
    for family in ("xgboost", "xgboost_categories"):
        strategy = Strategy.of(
            CATALOGUE, family=(family, {"max_depth": 2}), resampler=resampler
        )
        results = [evaluate(strategy, n, Inline(problem)) for n in range(3)]
        assert [result.status for result in results] == ["ok"] * 3
        scores[family] = np.mean(
            [
                average_precision_score(y[problem.folds[n].val_idx], r.proba[:, 1])
                for n, r in enumerate(results)
            ]
        )
    assert scores["xgboost_categories"] > scores["xgboost"]


def test_it_is_saved_exported_and_predicts_unknown_categories(tmp_path):
    X, y = mixed()
    model = AutoImbalance(
        families="xgboost_categories", n_trials=2, n_jobs=1, random_state=0, cv=2
    ).fit(X, y)
    new = X.copy()
    text = next(c for c in X if not pd.api.types.is_numeric_dtype(X[c]))
    new[text] = new[text].astype(object)
    new.loc[new.index[:3], text] = "never seen"
    proba = model.predict_proba(new)
    assert np.isfinite(proba).all()
    model.save(tmp_path / "m.skops")
    loaded = autoimb.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(loaded.predict_proba(new), proba)
    np.testing.assert_allclose(
        np.vstack([model.predict_proba(new[i : i + 1]) for i in range(5)]), proba[:5]
    )
    script: dict = {}
    exec(model.export_code(), script)  # our own code
    found = script["predict_proba"](script["fit"](X, y), new)
    np.testing.assert_allclose(found, proba, atol=1e-6)
