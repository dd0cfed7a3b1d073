"""Copies of rows are found, and kept together in folds; other equal rows are not."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.ensemble import ExtraTreesClassifier

from autoimb import AutoImbalance, profile
from autoimb._metrics.bootstrap import Draws
from autoimb._table.copies import _counts_of_values
from autoimb._table.folds import describe_folds, make_folds
from autoimb._table.table import check_table


def numbers(n=200, prevalence=0.2, seed=0, n_columns=5):
    """Return random numbers and labels that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, n_columns)), (rng.random(n) < prevalence).astype(int)


def tripled(seed=0):
    """Return each row of a table three times, shuffled."""
    X, y = numbers(seed=seed)
    order = np.random.default_rng(seed).permutation(3 * len(y))
    return np.repeat(X, 3, axis=0)[order], np.repeat(y, 3)[order]


def oversampled():
    """Return a table whose 20 positives were drawn 200 times."""
    X, y = numbers(420, 0)
    y[:20] = 1
    more = np.random.default_rng(1).integers(20, size=180)
    return np.vstack([X, X[more]]), np.append(y, y[more])


def copies_of_a_text_table():
    X, y = tripled()
    return pd.DataFrame({"a": X[:, 0].round(3).astype(str), "b": X[:, 1]}), y


def three_categories():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({name: rng.choice(list("uvwxy"), 600) for name in "abc"})
    return X, (rng.random(600) < 0.2).astype(int)


def equal_columns():
    """Return five columns that say the same: forty cases make up the table."""
    codes = np.random.default_rng(0).integers(40, size=600)
    return np.repeat(codes[:, None], 5, axis=1), (codes + np.arange(600)) % 3 == 0


def rounded():
    """Return numbers with one decimal, of which some rows are equal by chance."""
    X, y = numbers(1500, 0.1, n_columns=3)
    return X.round(1), y


def one_frequent_case():
    """Return a table in which a third of the rows are zeros."""
    X, y = numbers(600, 0.1)
    X[::3] = 0
    return X, y


def few_copies():
    X, y = numbers(600, 0.1)
    return np.vstack([X, X[:9]]), np.append(y, y[:9])


def rare_copies():
    X, y = numbers(6000, 0.5)
    return np.vstack([X, X[:12]]), np.append(y, y[:12])


COPIED = [tripled, oversampled, copies_of_a_text_table]
NATURAL = [
    three_categories,
    equal_columns,
    rounded,
    one_frequent_case,
    few_copies,
    rare_copies,
]


@pytest.mark.parametrize("make", COPIED)
def test_copies_are_units_of_folds_and_draws(make):
    X, y = make()
    table = check_table(X, y)
    frame = pd.DataFrame(X)
    expected = frame.groupby(list(frame.columns), sort=False).ngroup()
    assert table.has_copies
    assert pd.crosstab(table.units, expected).gt(0).sum().eq(1).all()
    folds = make_folds(table, random_state=0)
    for fold in folds:
        assert not set(expected[fold.train_idx]) & set(expected[fold.val_idx])
        shares = np.bincount(y[fold.val_idx]) / np.bincount(y)
        n_folds = sum(f.repeat == 0 for f in folds)
        assert shares == pytest.approx(1 / n_folds, abs=0.06)
    assert "copies of a row kept together" in describe_folds(folds)
    for drawn in Draws.of(table.y, table.units, 3, seed=0):
        per_unit = pd.Series(drawn).groupby(table.units)
        assert (per_unit.min() == per_unit.max()).all()


@pytest.mark.parametrize("make", NATURAL)
def test_equal_rows_that_are_natural_stay_apart(make):
    X, y = make()
    assert pd.DataFrame(X).duplicated().any()
    table = check_table(X, y)
    assert not table.has_copies
    assert (table.units == np.arange(len(y))).all()
    assert make_folds(table, random_state=0)[0].kind == "stratified"


def test_repeats_differ_and_the_seed_decides():
    table = check_table(*tripled())
    folds = make_folds(table, 4, random_state=0, n_repeats=2)
    again = make_folds(table, 4, random_state=0, n_repeats=2)
    same = [
        np.array_equal(fold.val_idx, other.val_idx)
        for fold, other in zip(folds, again, strict=True)
    ]
    assert all(same)
    assert not np.array_equal(folds[0].val_idx, folds[4].val_idx)


def test_the_order_of_rows_decides_nothing():
    X, y = tripled()
    order = np.random.default_rng(3).permutation(len(y))
    units = check_table(X, y).units[order]
    moved = check_table(X[order], y[order]).units
    assert len(np.unique(units * len(y) + moved)) == len(np.unique(units))


def test_groups_and_folds_of_the_user_come_first():
    X, y = tripled()
    groups = np.arange(len(y)) // 2
    table = check_table(X, y, groups=groups)
    assert not table.has_copies
    assert make_folds(table, random_state=0)[0].kind == "grouped"
    own = [(np.arange(300), np.arange(300, 600))]
    assert len(make_folds(check_table(X, y), own, random_state=0)) == 1


def test_a_class_of_one_distinct_row_is_split_all_the_same():
    X, y = numbers(300, 0)
    X, y = np.vstack([X, np.ones((12, 5))]), np.append(y, np.ones(12, dtype=int))
    table = check_table(X, y)
    assert table.has_copies
    assert make_folds(table, random_state=0)[0].kind == "stratified"


def test_copies_do_not_flatter_labels_drawn_by_chance():
    """With copies on both sides of a fold this scores 0.9 and more."""
    X, y = tripled()
    trees = ExtraTreesClassifier(50, random_state=0)
    model = AutoImbalance(trees, n_trials=1, n_jobs=1, random_state=0).fit(X, y)
    assert model.honest_score_.estimate < y.mean() + 0.15
    checks = {check.code: check.message for check in model.profile_.checks}
    assert "400 rows (66.7%) equal an earlier row, far more than" in checks["AIM001"]
    assert "kept together" in model.report().data.settings["folds"]


def test_a_stored_search_goes_on_with_the_same_folds(tmp_path):
    X, y = tripled()

    def leaderboard(n_trials, name):
        model = AutoImbalance(
            families="logistic_regression",
            n_trials=n_trials,
            cv=3,
            n_jobs=1,
            random_state=0,
            storage=f"sqlite:///{tmp_path / name}.db",
        ).fit(X, y)
        return model.leaderboard_[["strategy", "mean", "se"]]

    leaderboard(1, "first")
    assert leaderboard(3, "first").equals(leaderboard(3, "other"))


def test_where_they_are_natural_only_the_remark_stays():
    found = {c.code: c.message for c in profile(*three_categories()).checks}
    assert "Where they are copies" in found["AIM001"]


@pytest.mark.slow
def test_a_large_table_takes_less_than_a_second():
    from time import perf_counter

    from autoimb._table.copies import copy_units

    X, y = numbers(100_000, 0.01, n_columns=40)
    table = check_table(np.repeat(X, 3, axis=0), np.repeat(y, 3))
    began = perf_counter()
    copy_units(table.X, table.y, table.row_hashes)
    assert perf_counter() - began < 1


def test_rows_of_a_sparse_matrix_are_counted_as_those_of_a_dense_one():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(60, 5)) * rng.integers(0, 2, size=(60, 5)).astype(
        float
    )
    dense, sparse = (
        [np.sort(counts[counts > 0]) for counts in _counts_of_values(table)]
        for table in (X, csr_matrix(X))
    )
    for one, other in zip(dense, sparse, strict=True):
        np.testing.assert_array_equal(one, other)
