"""What the next fit will take is learned from fits of its kind, or of its cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoimb._catalogue import CATALOGUE
from autoimb._search.time_estimate import TimeEstimate
from autoimb._strategy.strategy import Strategy

COST = {name: family.cost for name, family in CATALOGUE.entries["family"].items()}


def strategy(family, **params):
    return Strategy.of(CATALOGUE, family=(family, params))


def estimate_of(*fits):
    """Return a time estimate after fits: (family, rows, seconds)."""
    time_estimate = TimeEstimate(CATALOGUE)
    for family, n_rows, seconds in fits:
        time_estimate.note(strategy(family), n_rows, seconds)
    return time_estimate


def test_nothing_is_known_at_first():
    assert TimeEstimate(CATALOGUE).seconds(strategy("xgboost"), 100) is None


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=30))
def test_a_family_takes_as_long_as_the_slowest_of_its_last_fits(seconds):
    time_estimate = estimate_of(*(("xgboost", 100, s) for s in seconds))
    assert time_estimate.seconds(strategy("xgboost"), 100) == pytest.approx(
        max(seconds[-8:])
    )


@pytest.mark.parametrize("family", ["xgboost", "random_forest"], ids=["met", "unmet"])
@given(rows=st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)))
def test_seconds_grow_in_proportion_to_rows(family, rows):
    time_estimate = estimate_of(
        *((name, 100, 2.0) for name in ("xgboost", "svm", "tabm"))
    )
    one, other = (time_estimate.seconds(strategy(family), n) for n in rows)
    assert one / rows[0] == pytest.approx(other / rows[1])


def test_a_fit_on_a_sample_tells_of_one_on_all_rows():
    time_estimate = estimate_of(("xgboost", 400, 1.0))
    assert time_estimate.seconds(strategy("xgboost"), 2000) == pytest.approx(5.0)


@given(n_rows=st.integers(1, 10**6))
def test_predictions_take_as_long_however_many_rows_were_trained_on(n_rows):
    time_estimate = TimeEstimate(CATALOGUE)
    time_estimate.note(strategy("xgboost"), 100, 2.0, 7.0)
    expected = 0.02 * n_rows + 7.0
    assert time_estimate.seconds(strategy("xgboost"), n_rows) == pytest.approx(expected)


def test_the_slowest_depends_on_the_rows_that_are_asked_for():
    time_estimate = TimeEstimate(CATALOGUE)
    for fit_seconds, predict_seconds in ((10.0, 1.0), (1.0, 20.0)):
        time_estimate.note(strategy("xgboost"), 100, fit_seconds, predict_seconds)
    few, many = (time_estimate.seconds(strategy("xgboost"), n) for n in (10, 10_000))
    assert few == pytest.approx(20.1)
    assert many == pytest.approx(1001.0)


def test_parameters_do_not_matter():
    time_estimate = estimate_of(("xgboost", 100, 2.0))
    deep = strategy("xgboost", max_depth=9)
    assert time_estimate.seconds(deep, 100) == pytest.approx(2.0)


@pytest.mark.parametrize("unmet", ["random_forest", "tabm", "logistic_regression"])
def test_an_unknown_family_is_as_slow_as_its_entry_says(unmet):
    met = ("xgboost", "extra_trees", "hist_gradient_boosting")
    time_estimate = estimate_of(*((name, 100, 3.0 * COST[name]) for name in met))
    assert time_estimate.seconds(strategy(unmet), 100) == pytest.approx(
        3.0 * COST[unmet]
    )


@pytest.mark.parametrize("met", [[], ["logistic_regression"], ["xgboost", "svm"]])
def test_from_one_or_two_families_nothing_follows_for_others(met):
    """A linear model may be the slowest of all where categories are many."""
    time_estimate = estimate_of(*((name, 100, 50.0) for name in met))
    assert time_estimate.seconds(strategy("tabm"), 100) is None


def test_one_family_that_is_slow_for_its_cost_misleads_no_estimate():
    usual = [(name, 100, COST[name]) for name in ("xgboost", "extra_trees")]
    time_estimate = estimate_of(*usual, ("logistic_regression", 100, 1000.0))
    assert time_estimate.seconds(strategy("tabm"), 100) == pytest.approx(COST["tabm"])


def test_what_others_took_is_forgotten_once_a_family_is_known():
    time_estimate = estimate_of(("xgboost", 100, 500.0), ("tabm", 100, 1.0))
    assert time_estimate.seconds(strategy("tabm"), 100) == pytest.approx(1.0)
