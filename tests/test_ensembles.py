"""Under-sampled ensembles: which rows their members see, and at which shares."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from xgboost import XGBClassifier

from autoimb._models import ensembles
from autoimb._models.ensembles import (
    SelfPacedEnsembleClassifier,
    UnderBaggingClassifier,
    at_data_shares,
    hardness_weights,
)

SMALL = {"n_trees": 5, "n_estimators": 4, "random_state": 0, "n_jobs": 1}
BOTH = [UnderBaggingClassifier, SelfPacedEnsembleClassifier]
both = pytest.mark.parametrize("kind", BOTH)


def make_table(counts=(160, 30, 5), seed=0):
    """Return rows whose first column is their number, and labels."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.normal(size=(len(y), 3)) + y[:, np.newaxis]
    X[:, 0] = np.arange(len(y))
    X[::9, 1] = np.nan
    return X, y


@pytest.fixture
def seen(monkeypatch):
    """Record the numbers of the rows that every member is fitted on."""
    fits = []

    class Spy(XGBClassifier):
        def fit(self, X, y, sample_weight=None):
            fits.append(X[:, 0].astype(int))
            return super().fit(X, y, sample_weight=sample_weight)

    monkeypatch.setattr(ensembles, "XGBClassifier", Spy)
    return fits


@both
@pytest.mark.parametrize("ratio", [1.0, 3.0, 100.0, np.inf])
def test_a_member_sees_all_rare_rows_and_the_promised_number_of_others(
    kind, ratio, seen
):
    X, y = make_table()
    kind(ratio=ratio, **SMALL).fit(X, y)
    assert len(seen) == SMALL["n_estimators"]
    for rows in seen:
        assert len(set(rows)) == len(rows)
        assert set(np.flatnonzero(y == 2)) <= set(rows)
        counts = np.bincount(y[rows]).tolist()
        assert counts == [min(160, 5 * ratio), min(30, 5 * ratio), 5]


@pytest.mark.parametrize(("n_bags", "ratio"), [(8, 4.0), (2, 16.0), (4, 10.0)])
def test_bags_use_every_row_before_any_comes_again(n_bags, ratio, seen):
    X, y = make_table((160, 5))
    settings = {**SMALL, "n_estimators": n_bags}
    UnderBaggingClassifier(ratio=ratio, **settings).fit(X, y)
    times = np.bincount(np.concatenate(seen), minlength=len(y))[y == 0]
    assert times.max() - times.min() <= 1
    assert times.min() >= 1


def test_hard_rows_are_drawn_more_often_than_at_random(seen):
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1], [400, 40]))  # the number tells nothing
    X = np.column_stack([np.arange(440), rng.normal(size=440) + 2 * y])
    SelfPacedEnsembleClassifier(ratio=1.0, **{**SMALL, "n_estimators": 30}).fit(X, y)
    hard = X[:, 1] > 1.0
    share = [hard[rows[y[rows] == 0]].mean() for rows in seen]
    assert np.mean(share[1:]) > 1.5 * hard[y == 0].mean()


@given(st.integers(0, 100))
def test_a_later_pace_looks_more_at_hard_rows(seed):
    hardness = np.random.default_rng(seed).beta(0.5, 3, size=200)
    means = [
        np.sum(hardness * hardness_weights(hardness, 10, pace))
        for pace in (0.0, 0.1, 1.0, 100.0)
    ]
    assert np.all(np.diff(means) > 0)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=30).map(np.array),
    st.integers(1, 8),
    st.floats(0.01, 50),
)
def test_weights_of_hardness_are_those_of_the_paper(hardness, n_bins, pace):
    edges = np.linspace(hardness.min(), hardness.max(), n_bins + 1)
    weights = hardness_weights(hardness, n_bins, pace)
    assert weights.sum() == pytest.approx(1.0)
    of_bin = []
    for b in range(n_bins):
        last = b == n_bins - 1
        inside = (hardness >= edges[b]) & ((hardness < edges[b + 1]) | last)
        clear = np.abs(hardness[:, np.newaxis] - edges[1:-1]).min(initial=1.0) > 1e-9
        if not clear or np.ptp(hardness) < 1e-6:
            return  # on an edge, rounding decides
        if inside.any():
            of_bin.append((inside, 1 / (hardness[inside].mean() + pace)))
    total = sum(weight for _, weight in of_bin)
    for inside, weight in of_bin:
        np.testing.assert_allclose(weights[inside], weight / total / inside.sum())


@both
def test_probabilities_are_at_the_shares_of_the_data(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 2))
    y = (rng.random(4000) < 0.05).astype(int)  # nothing to learn but the share
    model = kind(ratio=1.0, n_estimators=5, n_trees=3, random_state=0).fit(X, y)
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), rel=0.25)


def test_at_data_shares_is_the_formula_for_two_classes():
    p, beta = np.array([0.1, 0.5, 0.9]), 0.2  # beta: share of negatives that was kept
    expected = beta * p / ((beta - 1) * p + 1)
    proba = at_data_shares(np.column_stack([1 - p, p]), np.array([1 / beta, 1.0]))
    np.testing.assert_allclose(proba[:, 1], expected)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)


@both
def test_a_row_of_weight_zero_is_as_good_as_absent(kind):
    X, y = make_table((100, 20))
    weight = np.ones(len(y))
    weight[::7] = 0
    kept = weight > 0
    ours = kind(**SMALL).fit(X, y, weight).predict_proba(X)
    without = kind(**SMALL).fit(X[kept], y[kept]).predict_proba(X)
    np.testing.assert_array_equal(ours, without)


@both
def test_same_seed_same_model_through_clone_and_pickle(kind):
    X, y = make_table()
    model = kind(**SMALL).fit(X, y)
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_array_equal(clone(model).fit(X, y).predict_proba(X), proba)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(X), proba)


@both
@pytest.mark.parametrize("wrong", [{"n_estimators": 0}, {"ratio": 0.0}])
def test_settings_that_cannot_work_are_refused(kind, wrong):
    with pytest.raises(ValueError, match="must be at least 1"):
        kind(**wrong).fit(*make_table())


def test_hardness_needs_a_bin():
    with pytest.raises(ValueError, match="n_bins=0 must be at least 1"):
        SelfPacedEnsembleClassifier(n_bins=0).fit(*make_table())


@parametrize_with_checks(
    [
        kind(
            n_estimators=2,
            n_trees=10,
            learning_rate=0.3,
            min_child_weight=0.0,
            n_jobs=1,
        )
        for kind in BOTH
    ],
    expected_failed_checks=lambda _: dict.fromkeys(
        (
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weight_equivalence_on_sparse_data",
        ),
        "rows are drawn, not weights",
    ),
)
def test_they_are_scikit_learn_classifiers(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        check(estimator)
