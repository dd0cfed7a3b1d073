"""The soft vote: a weighted mean of members that all get the weights and the seed."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from tables import five_classes, numeric

from autoimb._models.vote import soft_vote

SMALL = {"random_state": 0, "n_jobs": 1}


def test_a_vote_is_the_weighted_mean_of_its_members():
    X, y = numeric()
    model = soft_vote(trees=2.0, boosting=0.5, **SMALL).fit(X, y)
    each = [member.predict_proba(X) for member in model.estimators_]
    expected = np.average(each, axis=0, weights=(1.0, 2.0, 0.5))
    np.testing.assert_allclose(model.predict_proba(X), expected)


def test_a_vote_hands_weights_and_seeds_to_every_member():
    weights = {0: 1.0, 1: 5.0}
    model = soft_vote(class_weight=weights, random_state=3, n_jobs=2)
    for _, member in model.estimators:
        assert member.class_weight == weights
        assert member.random_state == 3
    assert model.get_params()["forest__n_jobs"] == 2
    assert model.get_params()["boosted__n_jobs"] == 2


@pytest.mark.parametrize("table", [numeric, five_classes])
def test_class_weights_and_row_weights_multiply(table):
    X, y = table()
    of_row = np.random.default_rng(0).uniform(0.5, 2.0, size=len(y))
    of_class = np.arange(1.0, y.max() + 2)
    by_code = dict(enumerate(of_class))
    ours = soft_vote(class_weight=by_code, **SMALL).fit(X, y, sample_weight=of_row)
    product = soft_vote(**SMALL).fit(X, y, sample_weight=of_row * of_class[y])
    np.testing.assert_allclose(
        ours.predict_proba(X), product.predict_proba(X), atol=1e-6
    )


def test_same_seed_same_vote_through_clone_and_pickle():
    X, y = five_classes()
    model = soft_vote(**SMALL).fit(X, y)
    proba = model.predict_proba(X)
    np.testing.assert_array_equal(clone(model).fit(X, y).predict_proba(X), proba)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(X), proba)
