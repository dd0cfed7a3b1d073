"""What is kept of the training table: counts by column and class."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tables import mixed, numeric

from autoimb._monitor import reference as reference_module
from autoimb._monitor.reference import N_BINS, Reference
from autoimb._table.table import check_table


def kept(X, y, **rows_of):
    table = check_table(X, y, **rows_of)
    return table, Reference.of(table)


def counted(reference, table):
    return reference.counts_of(table.X, table.schema)


@pytest.mark.parametrize("make", [numeric, mixed], ids=["numbers", "every kind"])
def test_every_row_is_counted_once_in_each_column(make):
    table, reference = kept(*make())
    n_columns = len(table.schema.columns)
    assert reference.counts.shape == (n_columns, 2, N_BINS + 1)
    by_class = np.broadcast_to(table.class_counts, (n_columns, 2))
    np.testing.assert_allclose(reference.counts.sum(axis=2), by_class)


@pytest.mark.parametrize("make", [numeric, mixed], ids=["numbers", "every kind"])
def test_the_training_rows_are_counted_as_they_were(make):
    table, reference = kept(*make())
    again = counted(reference, table)
    np.testing.assert_allclose(again, reference.counts.sum(axis=1), rtol=1e-6)


def test_ranges_of_numbers_hold_a_tenth_of_the_rows_each():
    X = np.random.default_rng(0).normal(size=(1000, 1))
    _, reference = kept(X, np.arange(1000) < 100)
    filled = reference.counts[0].sum(axis=0)
    np.testing.assert_array_equal(filled[:10], np.full(10, 100))
    assert filled[10:].sum() == 0


@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
def test_a_number_that_many_rows_have_has_a_range_of_its_own(share):
    rng = np.random.default_rng(0)
    is_one = rng.random(500) < share
    X = np.column_stack([is_one, rng.normal(size=500)]).astype(float)
    _, reference = kept(X, np.arange(500) < 50)
    filled = reference.counts[0].sum(axis=0)
    assert sorted(filled[filled > 0]) == sorted([is_one.sum(), (~is_one).sum()])


def test_gaps_and_new_categories_have_places_of_their_own():
    X = pd.DataFrame({"a": ["x"] * 60 + ["y"] * 30 + ["z"] * 4 + [None] * 6})
    table, reference = kept(X, np.arange(100) % 4 == 0)
    assert reference.categories == (("x", "y"),)  # z is too rare
    found = counted(reference, table)[0]
    assert (found[0], found[1], found[N_BINS - 1], found[N_BINS]) == (60, 30, 4, 6)
    other = X.replace("x", "new")
    found = reference.counts_of(table.schema.canonical(other), table.schema)[0]
    assert (found[0], found[N_BINS - 1]) == (0, 64)


def test_a_matrix_kept_sparse_counts_zeros_and_other_numbers():
    rng = np.random.default_rng(0)
    y = rng.random(4000) < 0.2
    dense = (rng.random((4000, 260)) < 0.05) * 2.0
    table, reference = kept(sparse.csr_matrix(dense), y)
    assert table.schema.is_sparse
    for code in (0, 1):
        n_stored = (dense[y == code] != 0).sum(axis=0)
        np.testing.assert_allclose(reference.counts[:, code, 1], n_stored)
        rest = (y == code).sum() - n_stored
        np.testing.assert_allclose(reference.counts[:, code, 0], rest)


def test_groups_and_copies_count_as_what_is_independent():
    X, y = numeric(100, 20)
    _, plain = kept(X, y)
    assert plain.independent_share == 1
    _, twice = kept(np.vstack([X, X]), np.append(y, y))
    assert twice.independent_share == 0.5
    np.testing.assert_allclose(twice.counts.sum(), plain.counts.sum())
    _, grouped = kept(X, y, groups=np.arange(100) // 4)
    assert grouped.independent_share == 0.25


def test_uneven_weights_count_as_as_many_equal_rows_as_have_the_same_variance():
    X, y = numeric(100, 20)
    weight = np.where(np.arange(100) % 2, 1.0, 3.0)
    table, reference = kept(X, y, sample_weight=weight)
    for code in (0, 1):
        w = weight[table.y == code]
        effective = w.sum() ** 2 / (w**2).sum()
        total = reference.counts[0, code].sum()
        assert total == pytest.approx(effective, rel=1e-4)


def test_large_tables_are_counted_on_a_sample_of_each_class(monkeypatch):
    monkeypatch.setattr(reference_module, "_MOST_CELLS", 2_000)
    monkeypatch.setattr(reference_module, "_FEWEST_ROWS", 50)
    X, y = numeric(2000, 60)
    table, reference = kept(X, y)
    totals = reference.counts[0].sum(axis=1)
    n_looked_at = max(50, 2_000 // X.shape[1])
    assert totals[1 - table.pos] < 2 * n_looked_at
    assert totals[table.pos] == 60  # the rare class is counted whole


def test_the_order_of_rows_changes_nothing():
    X, y = mixed()
    order = np.random.default_rng(0).permutation(len(y))
    _, reference = kept(X, y)
    _, again = kept(X.iloc[order], np.asarray(y)[order])
    np.testing.assert_allclose(again.counts, reference.counts)
    np.testing.assert_array_equal(again.edges, reference.edges)
