"""Numbers that mean nothing are refused at once, by an error that names them."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from tables import numeric

from autoimb import (
    AutoImbalance,
    AutoImbError,
    Cost,
    FBeta,
    Float,
    Int,
    PrecisionAtLeast,
    RecallAtLeast,
    TopK,
    TopShare,
)

X, Y = numeric(60, 20)
NONSENSE = {
    "zero": 0,
    "negative": -1,
    "nan": math.nan,
    "infinite": math.inf,
    "huge": 1e308,
    "huge and negative": -1e308,
    "beyond floats": 10**400,
    "text": "x",
    "complex": 1j,
    "list": [],
    "array": np.zeros(2),
    "truth": True,
}


def fitted(**options):
    settings = {"families": "logistic_regression", "n_trials": 1, "n_jobs": 1, "cv": 2}
    return AutoImbalance(**{**settings, "random_state": 0, **options}).fit(X, Y)


def weighed(value):
    weights = np.ones(len(Y), dtype=object)
    weights[3] = value
    return weights


def cost_of(value):
    costs = np.ones((len(Y), 2), dtype=object)
    costs[3, 1] = value
    return costs


def tuned(domain):
    model = AutoImbalance(
        estimator=LogisticRegression(), search_params={"C": domain}, n_trials=1
    )
    return model.fit(X, Y)


@pytest.fixture(scope="module")
def model():
    return fitted()


SETTINGS = {
    "n_trials": {"huge", "beyond floats"},
    "cv": set(),
    "n_jobs": {"negative"},
    "ensemble_size": set(),
    "max_predict_ms": set(),
    "random_state": {"zero"},
    "time_budget": set(),
    "threshold": {"zero"},
}
"""Numeric parameters, and which of the numbers mean something to them."""


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_parameter_that_is_nonsense_is_named(name, value, request):
    if request.node.callspec.id.split("-")[-1] in SETTINGS[name]:
        pytest.skip("a value that can be used")
    if isinstance(value, str) and name == "threshold":
        pytest.skip("a name")
    with pytest.raises(AutoImbError, match=name):
        fitted(**{name: value})


SMALL = {"zero", "negative", "huge and negative"}
VALUES = {
    "beta": (lambda model, v: FBeta(v), set()),
    "k of TopK": (lambda model, v: TopK(v), {"beyond floats"}),
    "share": (lambda model, v: TopShare(v), set()),
    "precision": (lambda model, v: PrecisionAtLeast(v), set()),
    "recall": (lambda model, v: RecallAtLeast(v), set()),
    "confidence": (lambda model, v: PrecisionAtLeast(0.5, confidence=v), set()),
    "fp": (lambda model, v: Cost(fp=v, fn=1), set()),
    "fn": (lambda model, v: Cost(fp=1, fn=v), set()),
    "cost matrix": (lambda model, v: Cost([[0, v], [1, 0]]), {*SMALL, "truth"}),
    "k": (lambda model, v: model.top(X, v), {"beyond floats"}),
    "prior": (lambda model, v: model.set_prior(v), set()),
    "time_budget": (lambda model, v: model.report(X, Y, time_budget=v), set()),
    "sample_weight": (lambda model, v: fitted().fit(X, Y, sample_weight=v), {"zero"}),
    "low": (lambda model, v: tuned(Float(v, 2.0)), SMALL),
    "high": (lambda model, v: tuned(Int(1, v)), {"huge", "beyond floats"}),
}
WEIGHTS = {
    "fit": lambda model, w: AutoImbalance(n_trials=1).fit(X, Y, sample_weight=w),
    "score": lambda model, w: model.score(X, Y, sample_weight=w),
}


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("name", VALUES)
def test_an_argument_that_is_nonsense_is_named(name, value, request, model):
    call, usable = VALUES[name]
    if request.node.callspec.id.split("-")[-1] in usable:
        pytest.skip("a value that can be used")
    with pytest.raises(AutoImbError):
        call(model, value)


@pytest.mark.parametrize("use", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "x", None, 1j, 10**400])
def test_a_weight_that_is_none_is_named(use, value, model):
    with pytest.raises(AutoImbError, match="sample_weight"):
        use(model, weighed(value))


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e308, -1e308, 10**400, "x", 1j])
def test_a_cost_that_is_none_is_named(value):
    with pytest.raises(AutoImbError, match="costs"):
        AutoImbalance(n_trials=1).fit(X, Y, costs=cost_of(value))


@pytest.mark.parametrize("group", [[], {}, np.zeros(2)], ids=type)
def test_groups_that_cannot_be_compared_are_named(group):
    with pytest.raises(AutoImbError, match=r"groups holds a \w+ in row 3"):
        AutoImbalance(n_trials=1).fit(X, Y, groups=weighed(group))


@pytest.mark.parametrize("name", ["sample_weight", "groups", "costs"])
@pytest.mark.parametrize("value", [csr_array(np.ones((len(Y), 1))), 3, print], ids=type)
def test_what_is_no_array_of_rows_is_named(name, value):
    with pytest.raises(AutoImbError, match=name):
        AutoImbalance(n_trials=1).fit(X, Y, **{name: value})


@pytest.mark.parametrize(
    ("rows", "way_out"),
    [
        ({"a": 1, "b": "x"}, r"X is a dict: pass pd\.DataFrame\(\[X\]\)"),
        ({"a": [1, 2], "b": [3, 4]}, r"X is a dict: pass pd\.DataFrame\(X\)"),
        ([{"a": 1, "b": 2}], r"X is a list: pass pd\.DataFrame\(X\)"),
        (X[0], r"X: Expected 2D array.*reshape\(1, -1\)"),
        (None, r"X: Expected 2D array, got scalar"),
    ],
    ids=["row", "columns", "rows", "numbers", "nothing"],
)
def test_what_is_no_table_is_told_how_to_become_one(rows, way_out, model):
    with pytest.raises(AutoImbError, match=way_out) as caught:
        model.predict_proba(rows)
    assert "\n" not in str(caught.value)


def test_half_of_a_table_is_not_saved(model, tmp_path):
    with pytest.raises(AutoImbError, match=r"save\(path, X, y\) needs y, its labels"):
        model.save(tmp_path / "m.skops", X[:-1])
    with pytest.raises(AutoImbError, match=r"save\(path, X, y\) needs X, the train"):
        model.save(tmp_path / "m.skops", y=Y)
    assert not list(tmp_path.iterdir())


def test_weights_of_any_size_are_fitted():
    for value in (1e308, 1e-320, 10**30):
        weights = weighed(value).astype(float)
        model = AutoImbalance(
            n_trials=1, families="logistic_regression", n_jobs=1, cv=2, random_state=0
        ).fit(X, Y, sample_weight=weights)
        assert np.isfinite(model.predict_proba(X)).all()


def test_without_a_seed_the_global_generator_stays_as_it_was():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    fitted(random_state=None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    expected = np.random.RandomState(5).random_sample()
    assert np.random.random_sample() == expected


def test_a_generator_is_a_seed():
    one, same = (fitted(random_state=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.predict_proba(X), same.predict_proba(X))
