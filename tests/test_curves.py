"""Few points, bands and bins say of the scores what all of them say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoimb._report.curves import Bands, curves_of, histogram


def scored(n=400, seed=0, prevalence=0.2):
    """Return labels, scores that tell them apart somewhat, weights and units."""
    rng = np.random.default_rng(seed)
    is_positive = rng.random(n) < prevalence
    score = 1 / (1 + np.exp(-rng.normal(size=n) - 2 * is_positive + 1))
    return is_positive, score, rng.uniform(0.5, 2, n), np.arange(n)


def test_the_bands_hold_the_curves():
    is_positive, score, weight, rows = scored()
    curves = curves_of(is_positive, score, weight)
    for band, curve in zip(
        Bands.of(is_positive, score, weight, rows), curves, strict=True
    ):
        at, low, high = np.transpose(band)
        value = np.interp(at, *np.transpose(curve))
        assert ((low - 0.02 <= value) & (value <= high + 0.02)).mean() > 0.9
        assert (low <= high).all()
        assert at[-1] == 1.0


@pytest.mark.parametrize("which", ["precision", "true_rate"])
def test_a_band_narrows_with_more_rows(which):
    few, many = (np.array(getattr(Bands.of(*scored(n)), which)) for n in (200, 3200))
    width = [np.mean(band[:, 2] - band[:, 1]) for band in (few, many)]
    assert width[1] < 0.6 * width[0]


def test_copies_of_rows_in_their_groups_make_no_band_narrower():
    is_positive, score, weight, units = scored(150)
    once = Bands.of(is_positive, score, weight, units)
    copies = np.random.default_rng(0).permutation(np.repeat(units, 4))
    again = Bands.of(is_positive[copies], score[copies], weight[copies], copies)
    np.testing.assert_allclose(again, once)


def test_perfect_scores_have_no_bands():
    is_positive, _, weight, rows = scored()
    for band in Bands.of(is_positive, is_positive * 0.9, weight, rows):
        assert all(low == high == 1.0 for _, low, high in band)


@given(seed=st.integers(0, 50))
def test_each_class_has_all_of_its_rows_in_the_bins(seed):
    is_positive, score, weight, _ = scored(60, seed, 0.5)
    bins = np.array(histogram(is_positive, score, weight))
    np.testing.assert_allclose(bins[:, 2:].sum(axis=0), 1)
    np.testing.assert_allclose(bins[1:, 0], bins[:-1, 1])
    odds = np.log(bins[:, :2] / (1 - bins[:, :2]))
    np.testing.assert_allclose(np.diff(odds, axis=1), odds[0, 1] - odds[0, 0])


def test_a_bin_holds_the_weight_of_the_rows_between_its_ends():
    is_positive, score, weight, _ = scored()
    for low, high, others, own in histogram(is_positive, score, weight):
        inside = (low <= score) & (score < high)
        for share, side in ((others, ~is_positive), (own, is_positive)):
            expected = weight[inside & side].sum() / weight[side].sum()
            assert share == pytest.approx(expected)


def test_scores_of_zero_and_one_are_in_the_last_bins():
    is_positive = np.array([False, True])
    bins = histogram(is_positive, np.array([0.0, 1.0]), np.ones(2))
    assert bins[0][2] == 1.0
    assert bins[-1][3] == 1.0
