"""What the next fit will take is learned from fits of its kind, or of its cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._search.time_estimate import TimeEstimate
from autoimb._strategy.strategy import Strategy

COST = {name: family.cost for name, family in CATALOGUE.entries["family"].items()}
MANY_CELLS = 10**8  # rows x columns from which on a start of a fit is nothing


def strategy(family, **params):
    return Strategy.of(CATALOGUE, family=(family, params))


def took(seconds, predict_seconds=0.0, *, wall_per_cpu=1.0):
    """Return the result of an evaluation that took so long."""
    return FoldResult(
        0,
        "ok",
        predict_seconds=predict_seconds,
        seconds=seconds,
        cpu_seconds=seconds / wall_per_cpu,
        wall_per_cpu=wall_per_cpu,
    )


def estimate_of(*fits, n_columns=10, n_classes=2):
    """Return a time estimate after fits: (family, rows, seconds)."""
    estimate = TimeEstimate(CATALOGUE, n_columns, n_classes)
    for family, n_rows, seconds in fits:
        estimate.note(strategy(family), n_rows, took(seconds))
    return estimate


# --- before anything is measured


def test_a_costly_family_is_expected_to_take_longer():
    estimate = estimate_of()
    known = {name: estimate.seconds(strategy(name), 10_000) for name in COST}
    for one, other in (("logistic_regression", "xgboost"), ("xgboost", "tabm")):
        ratio = known[other] / known[one]
        assert ratio == pytest.approx(COST[other] / COST[one])


@pytest.mark.parametrize("family", ["xgboost", "random_forest"])
def test_seconds_grow_with_rows_and_columns(family):
    one = estimate_of().seconds(strategy(family), 10_000_000)
    rows = estimate_of().seconds(strategy(family), 20_000_000)
    columns = estimate_of(n_columns=20).seconds(strategy(family), 10_000_000)
    assert rows == columns == pytest.approx(2 * one, rel=1e-2)


def test_boosted_models_have_a_tree_for_each_class_in_every_round():
    two, nine = (estimate_of(n_classes=k) for k in (2, 9))
    for family, factor in (("xgboost", 9), ("random_forest", 1)):
        before, after = (e.seconds(strategy(family), 1_000) for e in (two, nine))
        assert after == pytest.approx(factor * before)
    short, long = (
        estimate_of().seconds(strategy("xgboost", n_estimators=n), 1_000)
        for n in (100, 300)
    )
    assert long == pytest.approx(3 * short)


# --- after fits


@given(seconds=st.floats(0.01, 100.0))
def test_a_family_takes_as_long_as_it_took(seconds):
    estimate = estimate_of(("xgboost", 100, seconds))
    assert estimate.seconds(strategy("xgboost"), 100) == pytest.approx(seconds)


def test_the_slowest_of_a_family_s_last_fits_counts_unless_it_stands_alone():
    """Its own fits vary with their parameters, and the machine is as fast as before."""
    for usual, seconds in (
        ([1.0, 3.0, 1.0], 3.0),
        ([1.0, 3.0, 1.0, 1.0], 1.0),
        ([1.0, 3.0, 1.0, 1.0, 3.0, 1.0, 1.0], 3.0),
        ([1.0, 3.0, 1.0, 1.0, 3.0, *[1.0] * 8], 1.0),
    ):
        estimate = estimate_of(*(("xgboost", 100, s) for s in usual))
        assert estimate.seconds(strategy("xgboost"), 100) == pytest.approx(seconds)


def test_a_fit_on_a_sample_tells_of_one_on_all_rows():
    estimate = estimate_of(("xgboost", MANY_CELLS, 1.0))
    seconds = estimate.seconds(strategy("xgboost"), 5 * MANY_CELLS)
    assert seconds == pytest.approx(5.0, rel=1e-3)


def test_a_resampler_has_seconds_of_its_own_once_they_are_known():
    under = Strategy.of(CATALOGUE, family="xgboost", resampler="random_under")
    estimate = estimate_of(("xgboost", 100, 4.0))
    assert estimate.seconds(under, 100) == pytest.approx(4.0)
    estimate.note(under, 100, took(0.1))
    assert estimate.seconds(under, 100) == pytest.approx(0.1)
    assert estimate.seconds(strategy("xgboost"), 100) == pytest.approx(4.0)


def test_predictions_take_as_long_however_many_rows_were_trained_on():
    estimate = estimate_of()
    estimate.note(strategy("xgboost"), MANY_CELLS, took(9.0, predict_seconds=7.0))
    seconds = estimate.seconds(strategy("xgboost"), 3 * MANY_CELLS)
    assert seconds == pytest.approx(3 * 2.0 + 7.0, rel=1e-3)


@pytest.mark.parametrize("unmet", ["random_forest", "tabm", "logistic_regression"])
def test_an_unknown_family_is_as_slow_as_its_entry_says(unmet):
    met = ("xgboost", "extra_trees", "hist_gradient_boosting")
    estimate = estimate_of(*((name, 100, 3.0 * COST[name]) for name in met))
    assert estimate.seconds(strategy(unmet), 100) == pytest.approx(3.0 * COST[unmet])


@pytest.mark.parametrize("met", [[], ["logistic_regression"], ["xgboost", "svm"]])
def test_from_one_or_two_families_nothing_follows_for_others(met):
    """A linear model may be the slowest of all where categories are many."""
    estimate = estimate_of(*((name, 100, 50.0) for name in met))
    before = estimate_of().seconds(strategy("tabm"), 100)
    assert estimate.seconds(strategy("tabm"), 100) == before


def test_one_family_that_is_slow_for_its_cost_misleads_no_estimate():
    usual = [(name, 100, COST[name]) for name in ("xgboost", "extra_trees")]
    estimate = estimate_of(*usual, ("logistic_regression", 100, 1000.0))
    assert estimate.seconds(strategy("tabm"), 100) == pytest.approx(COST["tabm"])


def test_what_others_took_is_forgotten_once_a_family_is_known():
    estimate = estimate_of(("xgboost", 100, 500.0), ("tabm", 100, 1.0))
    assert estimate.seconds(strategy("tabm"), 100) == pytest.approx(1.0)


# --- a machine that becomes slower, or faster


def worked(estimate, factor, *, alone=1.0, n=3):
    """Note evaluations on a machine where all takes so many times longer."""
    for family, seconds in (("xgboost", 1.0), ("extra_trees", 2.0)) * n:
        result = took(factor * seconds, wall_per_cpu=factor * alone)
        estimate.note(strategy(family), 100, result)
        estimate.note_speed(strategy(family), result)


@pytest.mark.parametrize("factor", [2.0, 4.0])
@pytest.mark.parametrize("alone", [1.0, 0.6, 9.0], ids=["one", "threads", "waits"])
def test_forecasts_follow_the_machine_both_ways(factor, alone):
    """Another program takes the cores for a while: all families are slow, then none."""
    estimate = TimeEstimate(CATALOGUE, 10, 2)
    usual = {"xgboost": 1.0, "extra_trees": 2.0, "tabm": 5.0}
    estimate.note(strategy("tabm"), 100, took(5.0, wall_per_cpu=alone))
    worked(estimate, 1.0, alone=alone)
    for slowness in (1.0, factor, 1.0):
        worked(estimate, slowness, alone=alone)
        for family, seconds in usual.items():
            expected = estimate.seconds(strategy(family), 100)
            assert expected == pytest.approx(slowness * seconds, rel=0.01)


def test_a_quick_candidate_does_not_make_the_machine_look_fast():
    """One of the same family may take a tenth of the time: it sees fewer rows."""
    estimate = estimate_of(("xgboost", 100, 3.0), *[("extra_trees", 100, 2.0)] * 3)
    for _ in range(5):
        estimate.note(strategy("extra_trees"), 100, took(0.2))
    assert estimate.slowness == 1.0
    assert estimate.seconds(strategy("xgboost"), 100) == pytest.approx(3.0)


def seen(*evaluations):
    """Return a time estimate after evaluations: (seconds, wall per processor time)."""
    estimate = TimeEstimate(CATALOGUE, 10, 2)
    for seconds, wall_per_cpu in evaluations:
        result = took(seconds, wall_per_cpu=wall_per_cpu)
        estimate.note(strategy("xgboost"), 100, result)
        estimate.note_speed(strategy("xgboost"), result)
    return estimate


def test_short_evaluations_say_little_of_the_machine():
    """One of some milliseconds may wait for several times as long."""
    short = [(0.2, 1.0), (0.2, 4.0), (0.2, 4.0)]
    assert seen(*short).slowness == 1.0
    assert seen(*short, (2.0, 4.0)).slowness > 2.0
    mixed = seen((9.0, 1.0), *[(0.1, 9.0)] * 3)
    assert mixed.slowness == pytest.approx(9.3 / (9.0 + 0.3 / 9))


def test_what_was_slow_by_the_machine_is_no_longer_slow_when_that_is_idle():
    busy = seen((1.0, 1.0), (3.0, 3.0))
    assert busy.slowness > 1.5
    for _ in range(6):
        busy.note_speed(strategy("xgboost"), took(1.0))
    assert busy.seconds(strategy("xgboost"), 100) == pytest.approx(1.0)


def test_an_evaluation_that_was_ended_says_nothing_of_the_machine():
    estimate = seen(*[(1.0, 2.0)] * 3)
    ended = FoldResult(0, "timeout", seconds=9.0)
    estimate.note(strategy("xgboost"), 100, ended)
    estimate.note_speed(strategy("xgboost"), ended)
    assert estimate.slowness == 1.0
