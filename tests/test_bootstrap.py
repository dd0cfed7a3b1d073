"""Draws keep what belongs together, and errors and intervals are those of the draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoimb._metrics.bootstrap import Draws, Score, interval, standard_error


def table(seed, n_units=60, n_classes=3, most=4):
    """Return labels and units: some of one entry, some of several, in any order."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, most + 1, n_units)
    units = rng.permutation(np.repeat(3 * np.arange(n_units), size))
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, len(units))])
    return y[: len(units)], units


# --- draws


@given(seed=st.integers(0, 100))
def test_entries_of_a_unit_are_drawn_together(seed):
    y, units = table(seed)
    for draw in Draws.of(y, units, 5, seed):
        assert all(len(np.unique(draw[units == unit])) == 1 for unit in units)


@given(seed=st.integers(0, 100))
def test_every_draw_has_as_many_units_of_each_class(seed):
    y, units = table(seed)
    names, first = np.unique(units, return_index=True)
    n_units = [len(np.unique(units[y == code])) for code in range(3)]
    by_rarity = np.argsort(n_units, kind="stable")
    rarest = [min(y[units == u], key=by_rarity.tolist().index) for u in names]
    for draw in Draws.of(y, units, 5, seed):
        np.testing.assert_array_equal(
            np.bincount(rarest, draw[first]), np.bincount(rarest)
        )


@given(seed=st.integers(0, 100))
def test_the_order_of_entries_and_their_copies_change_no_draw(seed):
    y, _ = table(seed)
    rows = np.arange(len(y))
    draws = np.array(list(Draws.of(y, rows, 5, seed)))
    mixed = np.random.default_rng(seed).permutation(np.repeat(rows, 3))
    copied = np.array(list(Draws.of(y[mixed], mixed, 5, seed)))
    np.testing.assert_array_equal(copied, draws[:, mixed])


@given(seed=st.integers(0, 100))
def test_copies_of_some_entries_in_their_units_change_no_draw(seed):
    y, units = table(seed)
    more = np.append(np.arange(len(y)), np.repeat(np.flatnonzero(y == y[0]), 50))
    draws = np.array(list(Draws.of(y, units, 5, seed)))
    copied = np.array(list(Draws.of(y[more], units[more], 5, seed)))
    np.testing.assert_array_equal(copied, draws[:, more])


def test_draws_are_the_same_each_time_and_others_for_another_seed():
    y, units = table(0)
    draws = Draws.of(y, units, 5, 0)
    np.testing.assert_array_equal(list(draws), list(draws))
    assert (np.array(list(Draws.of(y, units, 5, 1))) != np.array(list(draws))).any()


def test_a_unit_is_drawn_as_often_as_chance_says():
    """Within a class of n units, the counts have mean 1 and variance 1 - 1 / n."""
    y = np.repeat([0, 1], [40, 10])
    draws = np.array(list(Draws.of(y, np.arange(50), 4000, 0)), dtype=float)
    for code, n in enumerate([40, 10]):
        np.testing.assert_allclose(draws[:, y == code].mean(axis=0), 1, atol=0.08)
        np.testing.assert_allclose(
            draws[:, y == code].var(axis=0), 1 - 1 / n, rtol=0.15
        )


@pytest.mark.parametrize("seed", range(4))
def test_the_error_of_a_mean_is_that_of_many_draws(seed):
    y, units = table(seed, n_units=400)
    rng = np.random.default_rng(seed)
    values, weight = rng.normal(size=len(y)) + y, rng.uniform(0.5, 2, len(y))
    draws = Draws.of(y, units, 3000, seed)
    means = [np.average(values, weights=weight * draw) for draw in draws]
    found = draws.standard_error_of_mean(values, weight)
    assert found == pytest.approx(np.std(means), rel=0.05)


def test_a_mean_is_no_more_certain_with_copies_of_its_rows():
    rng = np.random.default_rng(0)
    y, values, weight = rng.integers(0, 2, 80), rng.normal(size=80), rng.random(80)
    rows = np.arange(80)
    once = Draws.of(y, rows, 1, 0).standard_error_of_mean(values, weight)
    copies = np.repeat(rows, 5)
    draws = Draws.of(y[copies], copies, 1, 0)
    again = draws.standard_error_of_mean(values[copies], weight[copies])
    assert again == pytest.approx(once)


# --- what draws say


def test_the_standard_error_is_the_standard_deviation_of_defined_draws():
    values = np.array([0.1, np.nan, 0.4, 0.3])
    assert standard_error(values) == pytest.approx(np.std([0.1, 0.4, 0.3], ddof=1))
    assert np.isnan(standard_error(values[:2]))


def test_the_error_of_a_difference_is_that_of_paired_draws():
    drawn = np.random.default_rng(0).normal(size=20)
    one, other = Score(0.5, drawn, (0, 1)), Score(0.4, drawn - 0.1, (0, 1))
    difference = one - other
    assert difference.value == pytest.approx(0.1)
    assert difference.standard_error == pytest.approx(0, abs=1e-12)
    assert one.standard_error == standard_error(drawn) > 0


def test_scores_over_different_folds_do_not_compare():
    drawn = np.zeros(3)
    with pytest.raises(ValueError, match=r"\(0, 1\) and \(0, 1, 2\) do not compare"):
        Score(0.5, drawn, (0, 1)) - Score(0.4, drawn, (0, 1, 2))


@pytest.mark.parametrize(("share", "ends"), [(0.9, [5, 95]), (0.95, [2.5, 97.5])])
def test_an_interval_holds_the_middle_share_of_the_draws(share, ends):
    values = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_array_equal(
        interval(values, share), np.percentile(values, ends, axis=0)
    )


def test_the_interval_of_a_difference_allows_for_other_training_tables():
    """By Nadeau and Bengio's factor for five folds, which is 1.5."""
    rng = np.random.default_rng(0)
    one, other = (Score(m, m + rng.normal(size=100), (0, 1, 2)) for m in (0.6, 0.5))
    gain = one - other
    factor = np.sqrt(1 + 5 / 4)
    ends = 0.1 + 2 * factor * gain.standard_error * np.array([-1, 1])
    np.testing.assert_allclose(gain.interval, ends)
    assert gain.n_folds == 3
