"""The shares of the classes among rows without labels."""

import numpy as np
import pytest
from decisions import scored_decision
from scipy.optimize import minimize
from scipy.special import expit, logit

from autoimb._metrics.calibration import Identity, Platt, TemperatureBias
from autoimb._monitor.label_shift import (
    Groups,
    estimate_label_shift,
    most_likely_shares,
    parameters_of,
    shares_by_confusion,
)

SEPARATION = 2.0


def scores(y, share, rng, moved=0.0):
    """Return true posteriors, at this share, of rows that are normal in each class."""
    x = rng.normal(size=len(y)) + SEPARATION * y + moved
    return expit(SEPARATION * x - SEPARATION**2 / 2 + logit(share))


def decision_of(rng, n=1500, share=0.1, rule=0.4):
    y = (np.arange(n) < share * n).astype(int)
    return scored_decision(y == 1, scores(y, share, rng), rule=rule).decision


def new_rows(rng, share, n=1500, moved=0.0, before=0.1):
    y = (rng.random(n) < share).astype(int)
    p = scores(y, before, rng, moved)
    return np.column_stack([1 - p, p])


def shift_of(decision, proba, independent_share=1.0):
    labels = decision.labels_of(proba)
    return estimate_label_shift(decision, proba, labels, independent_share)


def likelihood(shares, proba, counts, before):
    return float(counts @ np.log(proba @ (shares / before)))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_two_shares_are_the_most_likely_of_a_grid(share):
    rng = np.random.default_rng(0)
    proba, counts, before = new_rows(rng, share), np.ones(1500), np.array([0.9, 0.1])
    found = most_likely_shares(proba, counts, before)
    grid = np.linspace(1e-6, 1 - 1e-6, 20_001)
    best = max(
        grid, key=lambda s: likelihood(np.array([1 - s, s]), proba, counts, before)
    )
    assert found[1] == pytest.approx(best, abs=1e-4)
    assert found.sum() == pytest.approx(1)


def test_three_shares_are_those_of_a_general_optimiser():
    rng = np.random.default_rng(1)
    before = np.array([0.6, 0.3, 0.1])
    proba = rng.dirichlet(3 * before, 400)
    counts = rng.integers(1, 4, 400).astype(float)
    found = most_likely_shares(proba, counts, before)
    oracle = minimize(
        lambda s: -likelihood(s, proba, counts, before) / counts.sum(),
        before,
        bounds=[(1e-9, 1)] * 3,
        constraints={"type": "eq", "fun": lambda s: s.sum() - 1},
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(found, oracle.x, atol=1e-4)


def test_rows_of_one_class_have_shares_at_the_limit():
    proba = np.array([[0.99, 0.01], [0.97, 0.03]])
    found = most_likely_shares(proba, np.array([50.0, 50.0]), np.array([0.5, 0.5]))
    assert found[1] < 1e-6


def test_the_training_rows_have_the_training_shares():
    """A calibration with a bias makes the mean probability the share."""
    decision = decision_of(np.random.default_rng(2))
    shift = shift_of(decision, decision.calibrated.proba)
    np.testing.assert_allclose(shift.estimate.shares, [0.9, 0.1], atol=2e-3)
    np.testing.assert_allclose(shift.estimate.by_confusion, [0.9, 0.1], atol=1e-6)


def test_the_confusion_matrix_gives_the_closed_form_of_two_classes():
    confusion = np.array([[90.0, 10.0], [4.0, 16.0]])
    found = shares_by_confusion(confusion, np.array([700.0, 300.0]))
    assert found[1] == pytest.approx((0.3 - 0.1) / (0.8 - 0.1), abs=1e-6)
    fewer = shares_by_confusion(confusion, np.array([950.0, 50.0]))
    assert fewer[1] == pytest.approx(0, abs=1e-6)  # fewer alerts than false ones
    alike = shares_by_confusion(
        np.array([[9.0, 1.0], [18.0, 2.0]]), np.array([5.0, 5.0])
    )
    assert np.isnan(alike).all()


@pytest.mark.parametrize("factor", [0.1, 1.0, 5.0])
def test_intervals_hold_the_share_where_only_it_moved(factor):
    held, disagree = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        shift = shift_of(decision_of(rng), new_rows(rng, 0.1 * factor))
        low, high = shift.interval("shares")[:, 1]
        held.append(low <= 0.1 * factor <= high)
        disagree.append(shift.disagreement < 0.025)
    assert sum(held) >= 4
    assert sum(disagree) <= 1


def test_fewer_training_positives_make_the_interval_wider():
    rng = np.random.default_rng(5)
    proba = new_rows(rng, 0.1, n=20_000)
    widths = []
    for n in (150, 6000):
        low, high = shift_of(decision_of(rng, n=n), proba).interval("shares")[:, 1]
        widths.append(high - low)
    assert widths[0] > 1.3 * widths[1]


def test_rows_that_depend_on_each_other_make_the_interval_wider():
    rng = np.random.default_rng(6)
    decision, proba = decision_of(rng, n=20_000), new_rows(rng, 0.1)
    spans = [
        shift_of(decision, proba, share).interval("shares")[:, 1]
        for share in (1.0, 0.1)
    ]
    assert np.diff(spans[1]) > 2 * np.diff(spans[0])


def test_the_two_ways_disagree_where_rows_are_like_neither_class():
    """Scores below the cut, yet more usual among positives: all of them, or none."""
    rng = np.random.default_rng(7)
    decision = decision_of(rng, n=6000, rule=0.7)
    p = rng.uniform(0.4, 0.5, 2000)
    shift = shift_of(decision, np.column_stack([1 - p, p]))
    assert shift.estimate.shares[1] > 0.9 > 0.1 > shift.estimate.by_confusion[1]
    assert shift.disagreement < 1e-3


def test_precision_and_recall_are_those_that_labels_would_show():
    rng = np.random.default_rng(8)
    decision = decision_of(rng, n=6000)
    y = (rng.random(6000) < 0.3).astype(int)
    p = scores(y, 0.1, rng)
    shift = shift_of(decision, np.column_stack([1 - p, p]))
    called = p >= 0.4
    truth = {"precision": y[called].mean(), "recall": called[y == 1].mean()}
    for name, value in truth.items():
        low, high = shift.interval(name)[:, 1]
        assert low <= value <= high
        assert high - low < 0.15


def test_groups_keep_every_row_and_its_class():
    rng = np.random.default_rng(9)
    proba, y = rng.dirichlet(np.ones(3), 500), rng.integers(0, 3, 500)
    labels = proba.argmax(axis=1)
    groups = Groups.of(proba, labels, y)
    assert groups.totals(np.ones(500)).sum() == 500
    np.testing.assert_array_equal(groups.y[groups.number], y)
    np.testing.assert_array_equal(groups.label[groups.number], labels)
    np.testing.assert_allclose(groups.proba[groups.number], proba, atol=0.01)


def test_parameters_of_maps_compare_with_those_of_the_identity():
    np.testing.assert_array_equal(parameters_of(Platt(2.0, 0.5, 1), 2), [2.0, 0.5])
    of_three = parameters_of(TemperatureBias(1.5, (0.3, 0.2, 0.1)), 3)
    np.testing.assert_allclose(of_three, [1.5, 0.2, 0.1])
    np.testing.assert_array_equal(parameters_of(Identity(), 3), [1.0, 0.0, 0.0])
