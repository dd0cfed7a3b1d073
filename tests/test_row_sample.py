"""A sample keeps the rare rows, and its weights give the others their share back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoimb._evaluate.row_sample import ALL_ROWS, RowSample, row_samples

COUNTS = {
    "two classes": [900, 40],
    "two large classes": [500, 440],
    "three classes": [700, 200, 30],
    "the rare class first": [25, 300, 600],
}
every_table = pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)


def labels(counts, seed=0):
    """Return shuffled label codes with these counts."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.repeat(np.arange(len(counts)), counts))


def sampled(counts, n_rows, seed=0):
    """Return labels, the rows of a sample of them, and their weights."""
    y = labels(counts)
    return y, *RowSample("sample", n_rows).draw(y, seed)


@every_table
@given(n_rows=st.integers(10, 900))
def test_weights_give_every_class_its_count_back(counts, n_rows):
    y, rows, weight = sampled(counts, n_rows)
    np.testing.assert_allclose(np.bincount(y[rows], weight), counts)


@every_table
@given(n_rows=st.integers(10, 900))
def test_the_sample_has_its_size_and_no_row_twice(counts, n_rows):
    _, rows, _ = sampled(counts, n_rows)
    assert len(rows) == n_rows
    assert (np.diff(rows) > 0).all()


@every_table
@given(n_rows=st.integers(10, 900))
def test_no_class_is_cut_below_one_that_is_kept_in_part(counts, n_rows):
    """There is one cap: a class is whole or has as many rows as any other."""
    y, rows, _ = sampled(counts, n_rows)
    kept = np.bincount(y[rows], minlength=len(counts))
    is_cut = kept < counts
    assert (kept[~is_cut] <= kept[is_cut].max()).all()
    assert np.ptp(kept[is_cut]) <= 1


@pytest.mark.parametrize(
    ("counts", "rare"),
    [([900, 40], [1]), ([700, 200, 30], [2]), ([600, 90, 25, 30], [1, 2, 3])],
)
def test_every_row_of_the_rare_classes_is_kept_with_weight_one(counts, rare):
    y, rows, weight = sampled(counts, 400)
    for code in rare:
        assert set(np.flatnonzero(y == code)) <= set(rows)
        np.testing.assert_array_equal(weight[y[rows] == code], 1.0)


def test_every_row_of_a_large_class_may_be_drawn():
    y = labels([80, 10])
    row_sample = RowSample("sample", 45)
    drawn = {row for seed in range(30) for row in row_sample.draw(y, seed)[0].tolist()}
    assert drawn == set(range(90))


def test_a_seed_is_a_sample():
    y, rows, weight = sampled([900, 40], 200, seed=3)
    again, weight_again = RowSample("another name", 200).draw(y, 3)
    np.testing.assert_array_equal(again, rows)
    np.testing.assert_array_equal(weight_again, weight)
    assert (RowSample("sample", 200).draw(y, 4)[0] != rows).any()


def test_a_class_without_rows_takes_no_place():
    y, rows, weight = sampled([300, 0, 40], 100)
    assert np.bincount(y[rows]).tolist() == [60, 0, 40]
    np.testing.assert_allclose(np.bincount(y[rows], weight), [300, 0, 40])


@pytest.mark.parametrize(
    "row_sample", [ALL_ROWS, RowSample("sample", 120), RowSample("sample", 121)]
)
def test_there_is_no_sample_where_all_rows_are_seen(row_sample):
    assert row_sample.draw(labels([100, 20]), 0) is None
    assert RowSample("sample", 119).draw(labels([100, 20]), 0) is not None


def test_each_sample_is_a_quarter_of_the_one_before():
    samples = row_samples(100_000)
    assert samples[0] == ALL_ROWS
    assert [sample.n_rows for sample in samples[1:]] == [25_000, 6_250]
    assert all(f"{sample.n_rows:,}" in sample.name for sample in samples[1:])
    assert row_samples(11_999) == (ALL_ROWS,)
    assert len(row_samples(12_000)) == 2
