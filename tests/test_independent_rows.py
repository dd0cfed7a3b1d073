"""A share of dependent rows is as certain as one of so many independent rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from autoimb._threshold.independent_rows import IndependentRows

SHARES = ("precision", "recall")
each_share = pytest.mark.parametrize("share", SHARES)
few = settings(max_examples=25, deadline=None)


def ranked(seed, n=60, n_units=15):
    """Return labels, weights and units of rows by falling score, and the cuts."""
    rng = np.random.default_rng(seed)
    units = rng.integers(0, n_units, n)
    is_positive = rng.random(n) < np.where(units % 2, 0.7, 0.2)
    is_positive[rng.integers(n)] = True
    last = np.unique(np.append(rng.integers(0, n, 8), n - 1))
    return is_positive, rng.choice([0.5, 1.0, 2.0], n), units, last


def rows_of(*about):
    """Return the numbers of independent rows for an error level of 5 %."""
    return IndependentRows.of(*about, 0.05)


def trials_at(share, is_positive, reach, weight, unit_weight=1.0):
    """Return the weights of trials, and of hits, at a cut that rows reach or not."""
    trials = reach if share == "precision" else is_positive
    return weight * unit_weight * trials, weight * unit_weight * (is_positive & reach)


@each_share
@given(seed=st.integers(0, 500))
@few
def test_the_variance_is_that_of_units_drawn_as_a_whole(share, seed):
    """By the linearised variance of a ratio, unit by unit."""
    is_positive, weight, units, last = ranked(seed)
    found = rows_of(share, is_positive, weight, np.ones(60), units).at(last)
    for at, scale in zip(last, found[1:], strict=True):
        reach = np.arange(60) <= at
        trials, hits = trials_at(share, is_positive, reach, weight)
        p, n = hits.sum() / trials.sum(), trials.sum()
        of_unit = np.bincount(units, hits - p * trials)
        as_units = n**2 / (np.bincount(units, trials) ** 2).sum()
        variance = (of_unit**2).sum() / n**2
        by_variance = p * (1 - p) / variance if variance > 1e-12 else 0.0
        n_units = len(np.unique(units[trials > 0]))
        degrees = [max(n - 1, 1) for n in (by_variance, n_units)]
        of_rows, of_units = student.isf(0.05, degrees)
        by_variance *= min((of_rows / of_units) ** 2, 1)
        most = n**2 / (trials**2).sum()
        expected = min(most, max(as_units, by_variance))
        assert scale * n == pytest.approx(expected, rel=1e-3)


@each_share
@given(seed=st.integers(0, 500), draw_seed=st.integers(0, 20))
@few
def test_a_draw_holds_each_unit_as_often_as_it_says(share, seed, draw_seed):
    """As with so many copies of the unit, each a unit of its own."""
    is_positive, weight, units, last = ranked(seed)
    counts = np.random.default_rng(draw_seed).integers(0, 4, 15).astype(np.uint8)
    counts[units[np.argmax(is_positive)]] = 1
    drawn = counts[units]
    rows = rows_of(share, is_positive, weight, np.ones(60), units)
    found = rows.at(last, drawn)
    copy = np.concatenate([np.arange(n) for n in drawn])
    rows = np.repeat(np.arange(60), drawn)
    ends = drawn.astype(int).cumsum()[last] - 1
    kept = ends >= 0
    copies = rows_of(
        share,
        is_positive[rows],
        weight[rows],
        np.ones(len(rows)),
        units[rows] + 15 * copy,
    ).at(ends[kept])
    np.testing.assert_allclose(found[1:][kept], copies[1:])


@each_share
def test_rows_that_are_independent_count_as_they_are(share):
    is_positive, _, _, last = ranked(0)
    one = np.ones(60)
    found = rows_of(share, is_positive, one, one, np.arange(60)).at(last)
    np.testing.assert_allclose(found[1:], 1)


@each_share
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_of_weights_is_no_evidence(share, scale):
    is_positive, weight, units, last = ranked(1)
    n_rows = [
        rows_of(share, is_positive, w, np.ones(60), units).at(last) * w.sum()
        for w in (weight, scale * weight)
    ]
    np.testing.assert_allclose(*n_rows)


@each_share
def test_a_row_and_its_copies_are_one_row(share):
    is_positive, _, _, last = ranked(2)
    rows, one = np.repeat(np.arange(60), 4), np.ones(240)
    once = rows_of(share, is_positive, one[:60], one[:60], rows[::4])
    copied = rows_of(share, is_positive[rows], one, one, rows)
    np.testing.assert_allclose(copied.at(4 * last + 3) * 4, once.at(last))


def test_where_all_rows_are_hits_a_unit_counts_as_one_row():
    units = np.array([0, 0, 0, 1, 1, 2])
    one = np.ones(6)
    rows = rows_of("precision", one > 0, one, one, units)
    found = rows.at(np.array([2, 5])) * [0, 3, 6]
    np.testing.assert_allclose(found, [0, 1, 36 / 14])


def test_entries_of_a_row_in_several_repeats_are_one_row_at_most():
    rng = np.random.default_rng(0)
    rows = rng.permutation(np.repeat(np.arange(40), 3))
    is_positive, third = rows % 3 == 0, np.full(120, 1 / 3)
    found = rows_of("precision", is_positive, third, third, rows)
    assert (found.at(np.arange(120)) <= 1 + 1e-12).all()
