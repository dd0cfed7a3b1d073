"""Draws keep rows together, and standard errors and intervals are NumPy's."""

import numpy as np
import pytest

from autoimb._metrics.bootstrap import DistinctRows, Score, interval, standard_error


def test_entries_of_a_row_are_drawn_together_and_classes_keep_their_size():
    rng = np.random.default_rng(0)
    row_ids = rng.permutation(np.repeat(np.arange(0, 90, 3), 2))
    y = (row_ids % 2).astype(int)
    rows = DistinctRows.of(y, row_ids)
    order = rng.permutation(60)
    draws = np.array(list(rows.draws(np.arange(60), 5, seed=0)))
    for draw in draws:
        counts = dict(zip(row_ids, draw, strict=True))
        assert [counts[i] for i in row_ids] == draw.tolist()
        np.testing.assert_array_equal(np.bincount(y, draw), np.bincount(y))
    shuffled = np.array(list(rows.draws(order, 5, seed=0)))
    np.testing.assert_array_equal(shuffled, draws[:, order])


def test_the_standard_error_is_the_standard_deviation_of_defined_draws():
    values = np.array([0.1, np.nan, 0.4, 0.3])
    assert standard_error(values) == pytest.approx(np.std([0.1, 0.4, 0.3], ddof=1))
    assert np.isnan(standard_error(values[:2]))


def test_the_error_of_a_difference_is_that_of_paired_draws():
    drawn = np.random.default_rng(0).normal(size=20)
    one, other = Score(0.5, drawn, drawn), Score(0.4, drawn - 0.1, drawn)
    assert one.standard_error_of_difference(other) == pytest.approx(0, abs=1e-12)
    assert one.standard_error == standard_error(drawn) > 0


@pytest.mark.parametrize(("share", "ends"), [(0.9, [5, 95]), (0.95, [2.5, 97.5])])
def test_an_interval_holds_the_middle_share_of_the_draws(share, ends):
    values = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_array_equal(
        interval(values, share), np.percentile(values, ends, axis=0)
    )
