"""Whether counts are those of a mixture of the classes."""

import numpy as np
import pytest
from scipy.stats import t as student

from autoimb._monitor.drift import Mix, adjusted, compare

RARE = np.array([0.05, 0.05, 0.1, 0.2, 0.6])
COMMON = np.array([0.3, 0.3, 0.2, 0.15, 0.05])
OF_CLASS = np.array([COMMON, RARE])


def drawn(shares, rng, n_rare=60, n_common=1500, n_new=800):
    """Return counts of training rows by class, and of rows with other shares."""
    sizes = (n_common, n_rare)
    reference = [rng.multinomial(n, p) for n, p in zip(sizes, OF_CLASS, strict=True)]
    new = rng.multinomial(n_new, np.array([1 - shares, shares]) @ OF_CLASS)
    return np.array(reference, dtype=float), new.astype(float)


def known(share):
    return Mix(np.array([1 - share, share]), np.zeros((2, 2)))


def test_one_class_in_two_bins_is_the_test_of_two_shares():
    """Independent oracle: the t-test of two shares, after Welch."""
    reference, new = np.array([[300.0, 700.0]]), np.array([90.0, 110.0])
    p, q = 0.3, 0.45
    z = (q - p) / np.sqrt(p * (1 - p) / 1000 + p * (1 - p) / 200)
    found = compare(reference, new, Mix(np.ones(1), np.zeros((1, 1))))
    freedom = (1 / 1000 + 1 / 200) ** 2 / (1 / 1000**3 + 1 / 200**3)
    assert found.p_value == pytest.approx(2 * student.sf(abs(z), freedom))
    assert found.distance == pytest.approx(0.15)


@pytest.mark.parametrize("n_rare", [30, 300])
@pytest.mark.parametrize("share", [0.004, 0.04, 0.6])
def test_other_shares_of_the_classes_are_no_drift_beyond_them(share, n_rare):
    rng = np.random.default_rng(0)
    p = [compare(*drawn(share, rng, n_rare), known(share)).p_value for _ in range(400)]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.09


def test_uncertain_shares_are_allowed_for():
    """Shares that were estimated on other rows give no more false alarms."""
    rng = np.random.default_rng(1)
    p = []
    for _ in range(400):
        reference, new = drawn(0.04, rng)
        guess = 0.04 + 0.02 * rng.standard_normal()
        variance = 0.02**2 * np.array([[1.0, -1.0], [-1.0, 1.0]])
        mix = Mix(np.array([1 - guess, guess]), variance)
        p.append(compare(reference, new, mix).p_value)
    assert np.mean(np.array(p) < 0.05) <= 0.09


def test_any_drift_is_found_where_shares_moved_and_beyond_where_rows_moved():
    rng = np.random.default_rng(2)
    reference, new = drawn(0.3, rng)
    before = Mix.of_counts(reference.sum(axis=1))
    assert compare(reference, new, before).p_value < 1e-4
    assert compare(reference, new, known(0.3)).p_value > 0.01
    moved = rng.multinomial(800, np.roll(COMMON, 1)).astype(float)
    assert compare(reference, moved, known(0.04)).p_value < 1e-4


def test_shares_of_counts_come_with_their_covariance():
    rng = np.random.default_rng(3)
    mix = Mix.of_counts(np.array([90.0, 10.0]))
    drawn_shares = rng.multinomial(100, mix.shares, 20_000) / 100
    np.testing.assert_allclose(np.cov(drawn_shares.T), mix.covariance, atol=1e-4)


@pytest.mark.parametrize(
    ("reference", "new"),
    [
        ([[3, 1], [1, 1]], [2, 1]),
        ([[300, 100], [10, 10]], [0, 0]),
        ([[300, 100], [0, 0]], [3, 10]),
        ([[300, 0], [30, 0]], [40, 0]),
    ],
    ids=["few rows", "no new rows", "no rows of a class", "one bin"],
)
def test_too_few_rows_tell_nothing(reference, new):
    found = compare(np.array(reference, float), np.array(new, float), known(0.1))
    assert found.p_value == 1.0


def test_the_order_of_bins_with_enough_rows_changes_nothing():
    reference, new = drawn(0.1, np.random.default_rng(4), n_rare=400)
    order = [3, 1, 4, 0, 2]
    found = compare(reference, new, known(0.1))
    again = compare(reference[:, order], new[order], known(0.1))
    assert again.p_value == pytest.approx(found.p_value)
    assert again.distance == pytest.approx(found.distance)


def test_the_distance_of_chance_is_its_mean_over_many_tables():
    rng = np.random.default_rng(5)
    found = [compare(*drawn(0.04, rng), known(0.04)) for _ in range(300)]
    distance = np.mean([f.distance for f in found])
    assert np.mean([f.by_chance for f in found]) == pytest.approx(distance, rel=0.05)
    assert found[0].excess == max(0.0, found[0].distance - found[0].by_chance)


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg():
    p = np.array([0.01, 0.04, 0.03, 0.8])
    # From the largest down: p * 4 / rank, and never above those that follow.
    np.testing.assert_allclose(adjusted(p), [0.04, 0.16 / 3, 0.16 / 3, 0.8])
    assert len(adjusted(np.array([]))) == 0
