"""Every fold can be fitted and scored, and all candidates share the same folds."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)
from tables import numeric

from autoimb._table.folds import describe_folds, make_folds
from autoimb._table.table import check_table
from autoimb.exceptions import BadInputError


def table(*counts, groups=None, seed=0):
    """Return a table whose classes have these many rows, shuffled."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(range(len(counts)), counts))
    return check_table(rng.normal(size=(len(y), 2)), y, groups=groups)


def folds_of_repeat(folds, repeat):
    """Return the folds of one repeat."""
    return [fold for fold in folds if fold.repeat == repeat]


def per_repeat(folds):
    """Return the folds of each repeat."""
    n_repeats = 1 + max(fold.repeat for fold in folds)
    return [folds_of_repeat(folds, repeat) for repeat in range(n_repeats)]


def assert_sound(folds, rows):
    for repeat in per_repeat(folds):
        assert [fold.index for fold in repeat] == list(range(len(repeat)))
        validated = np.concatenate([fold.val_idx for fold in repeat])
        np.testing.assert_array_equal(np.sort(validated), np.arange(len(rows.y)))
        for fold in repeat:
            together = np.concatenate([fold.train_idx, fold.val_idx])
            np.testing.assert_array_equal(np.sort(together), np.arange(len(rows.y)))


# --- how many


@pytest.mark.parametrize(
    ("counts", "n_folds", "repeats"),
    [
        ((300, 2), 2, 5),
        ((300, 7), 7, 5),
        ((300, 8), 8, 5),
        ((300, 59), 8, 5),
        ((300, 60), 5, 3),
        ((300, 249), 5, 3),
        ((300, 250), 5, 1),
        ((30_000, 250), 5, 1),
        ((300, 251), 5, 1),
        ((19_000, 1_000), 5, 1),
        ((19_001, 1_000), 4, 1),
        ((49_000, 1_000), 4, 1),
        ((49_001, 1_000), 3, 1),
        ((400, 300, 20), 8, 5),
    ],
)
def test_folds_and_repeats_follow_the_rows_of_the_smallest_class(
    counts, n_folds, repeats
):
    folds = make_folds(table(*counts), random_state=0)
    assert [len(repeat) for repeat in per_repeat(folds)] == [n_folds] * repeats


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=4),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=30, deadline=None)
def test_every_class_is_on_both_sides_of_every_fold(counts, seed):
    rows = table(*counts)
    folds = make_folds(rows, random_state=seed)
    assert_sound(folds, rows)
    for fold in folds:
        for part in (fold.train_idx, fold.val_idx):
            assert set(rows.y[part]) == set(range(len(counts)))


def test_classes_are_shared_out_evenly():
    rows = table(203, 52, 9)
    for fold in make_folds(rows, random_state=1):
        expected = rows.class_counts / 8
        assert np.all(np.abs(np.bincount(rows.y[fold.val_idx]) - expected) < 1)


def test_a_repeat_is_the_same_however_many_there_are():
    rows = table(90, 30)
    one = make_folds(rows, random_state=3, n_repeats=1)
    three = make_folds(rows, random_state=3, n_repeats=3)
    for fold, again in zip(one, folds_of_repeat(three, 0), strict=True):
        np.testing.assert_array_equal(fold.val_idx, again.val_idx)


@pytest.mark.parametrize("grouped", [False, True])
def test_seeds_and_repeats_cut_differently(grouped):
    groups = np.repeat(np.arange(40), 3) if grouped else None
    rows = table(90, 30, groups=groups)
    cuts = {
        frozenset(fold.val_idx.tolist())
        for seed in (0, 1)
        for fold in make_folds(rows, 4, random_state=seed, n_repeats=3)
    }
    assert len(cuts) == 2 * 3 * 4


def test_a_number_of_folds_is_kept():
    rows = table(90, 30)
    assert [len(r) for r in per_repeat(make_folds(rows, 3, random_state=0))] == [3] * 5
    folds = make_folds(rows, np.int64(2), random_state=0, n_repeats=2)
    assert [len(repeat) for repeat in per_repeat(folds)] == [2, 2]


@pytest.mark.parametrize("cv", [-1, 0, 1, 6, 100])
def test_a_number_of_folds_out_of_range_is_refused(cv):
    message = rf"cv={cv} must lie between 2 and 5.*class 1 has 5 rows: choose another"
    with pytest.raises(BadInputError, match=message):
        make_folds(table(90, 5), cv, random_state=0)


def test_no_repeats_are_refused():
    with pytest.raises(BadInputError, match="n_repeats=0 must be at least 1"):
        make_folds(table(90, 5), random_state=0, n_repeats=0)


# --- groups


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_groups_stay_whole(data):
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=8, max_size=30))
    groups = np.repeat(range(len(sizes)), sizes)
    y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=sum(sizes))))
    y = y[: len(groups)]
    spread = [len(set(groups[y == code])) for code in (0, 1)]
    assume(len(y) == len(groups) and min(spread) >= 4 and np.bincount(y).min() >= 2)
    rows = check_table(np.arange(len(y), dtype=float)[:, None], y, groups=groups)
    folds = make_folds(rows, random_state=0)
    assert_sound(folds, rows)
    assert len(folds_of_repeat(folds, 0)) <= min(spread)
    for fold in folds:
        assert not set(groups[fold.train_idx]) & set(groups[fold.val_idx])
        assert set(rows.y[fold.train_idx]) == set(rows.y[fold.val_idx]) == {0, 1}


def test_groups_of_one_row_are_as_good_as_none():
    rows = table(203, 52, groups=[f"patient {i}" for i in range(255)])
    for fold in make_folds(rows, random_state=0):
        assert np.all(np.abs(np.bincount(rows.y[fold.val_idx]) - [203 / 8, 52 / 8]) < 1)


def test_folds_of_ones_own_that_tear_a_group_are_refused():
    rows = table(40, 40, groups=np.arange(80) // 2)
    pairs = list(KFold(4, shuffle=True, random_state=0).split(rows.X))
    with pytest.raises(BadInputError, match=r"rows of group \d+, which flatters"):
        make_folds(rows, pairs, random_state=0)
    assert len(make_folds(rows, GroupKFold(4), random_state=0)) == 4


def test_an_iterator_that_was_read_before_is_said_to_be_one():
    rows = table(40, 40)
    pairs = StratifiedKFold(4).split(rows.X, rows.y)
    assert len(make_folds(rows, pairs, random_state=0)) == 4
    with pytest.raises(BadInputError, match=r"Pass list\(cv\)"):
        make_folds(rows, pairs, random_state=0)


def test_rare_rows_are_spread_though_few_groups_hold_them():
    y = np.repeat([0, 1, 0, 1, 0, 1, 0], [50, 9, 50, 1, 50, 1, 50])
    groups = np.repeat([0, 0, 1, 1, 2, 2, 3], [50, 9, 50, 1, 50, 1, 50])
    rows = check_table(np.arange(len(y), dtype=float)[:, None], y, groups=groups)
    folds = make_folds(rows, random_state=0)
    assert len(folds_of_repeat(folds, 0)) == 3
    assert all(rows.y[fold.val_idx].any() for fold in folds)


def test_a_class_in_one_group_cannot_be_validated():
    groups = np.array([0] * 10 + [1, 2] * 10)
    y = np.array([1] * 10 + [0] * 20)
    rows = check_table(np.arange(30.0)[:, None], y, groups=groups)
    with pytest.raises(BadInputError, match="class 1 occurs in one of the groups only"):
        make_folds(rows, random_state=0)


def of_groups(*classes_of_group):
    """Return a table with one row for each class that a group holds."""
    sizes = [len(classes) for classes in classes_of_group]
    groups = np.repeat(range(len(sizes)), sizes)
    X = np.arange(float(len(groups)))[:, None]
    return check_table(X, np.concatenate(classes_of_group), groups=groups)


def test_no_class_is_left_out_where_it_need_not_be():
    # By size alone, both groups of class 0 would join in one fold.
    rows = of_groups([1, 1, 1], [1, 0], [1, 0])
    for fold in make_folds(rows, random_state=0):
        assert set(rows.y[fold.val_idx]) == {0, 1}


def test_fewer_folds_are_made_where_groups_leave_a_class_out():
    # Each class is in three of the four groups, but no three parts hold all of them.
    rows = of_groups([0, 1, 2], [0, 1], [0, 2], [1, 2])
    assert len(folds_of_repeat(make_folds(rows, random_state=0), 0)) == 2
    with pytest.raises(
        BadInputError, match=r"has no row of class .*Groups must stay w"
    ):
        make_folds(rows, 3, random_state=0)


def test_groups_that_cannot_be_shared_out_are_refused():
    # A class is in two groups, each pair of groups shares one: two parts cannot do.
    rows = of_groups([0, 1], [1, 2], [2, 0])
    with pytest.raises(
        BadInputError, match="use fewer folds or smaller groups, or pass"
    ):
        make_folds(rows, random_state=0)


# --- the user's own folds


def test_a_splitter_is_used_as_it_is():
    rows = table(90, 30)
    splitter = StratifiedKFold(3, shuffle=True, random_state=7)
    folds = make_folds(rows, splitter, random_state=0)
    expected = splitter.split(rows.X, rows.y)
    for fold, (train_idx, val_idx) in zip(folds, expected, strict=True):
        np.testing.assert_array_equal(fold.train_idx, train_idx)
        np.testing.assert_array_equal(fold.val_idx, val_idx)


def test_a_splitter_may_need_the_groups():
    rows = table(90, 30, groups=np.arange(120) % 4)
    assert len(make_folds(rows, LeaveOneGroupOut(), random_state=0)) == 4


@pytest.mark.parametrize(
    ("cv", "sizes"),
    [
        (RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0), [3, 3]),
        (StratifiedShuffleSplit(4, test_size=0.6, random_state=0), [1, 1, 1, 1]),
        (StratifiedKFold(4), [4]),
    ],
    ids=["repeated", "shuffle", "once"],
)
def test_a_fold_that_validates_a_row_again_starts_a_repeat(cv, sizes):
    folds = make_folds(table(90, 30), cv, random_state=0)
    assert [len(repeat) for repeat in per_repeat(folds)] == sizes
    for repeat in per_repeat(folds):
        validated = np.concatenate([fold.val_idx for fold in repeat])
        assert len(np.unique(validated)) == len(validated)


def test_pairs_may_be_numbers_masks_or_a_generator():
    rows = check_table(np.arange(8.0)[:, None], [0, 1] * 4)
    mask = np.arange(8) < 4
    pairs = [([4, 5, 6, 7], [0, 1, 2, 3]), (mask, ~mask)]
    for cv in (pairs, iter(pairs)):
        first, second = make_folds(rows, cv, random_state=0)
        np.testing.assert_array_equal(first.val_idx, second.train_idx)


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ("5", r"cv='5' must be None, a number of folds, a scikit-learn splitter"),
        (2.5, "cv=2.5 must be None"),
        (True, "cv=True must be None"),
        ({"train": [0]}, "must be None"),
        (StratifiedKFold, "must be None"),
        ([], r"cv=\[\] gives no folds"),
        ([[0, 1, 2]], r"fold 0 of cv is not a pair \(train_rows, validation_rows\)"),
        ([3], "fold 0 of cv is not a pair"),
        ([([0, 1], [2.0, 3.0])], "validation part of fold 0 of cv must be row numbers"),
        ([([0, 1], [[2, 3]])], "validation part of fold 0 of cv must be row numbers"),
        (
            [([], [2, 3])],
            "training part of fold 0 of cv must be row numbers.*not empty",
        ),
        ([([0, 1], [2, 99])], "names row 99 or a negative one.*0 to 7"),
        ([([0, 1], [2, -1])], "or a negative one"),
        ([([0, 1], [2, 3]), ([0, 1], [1, 2])], "fold 1 of cv trains on rows that it"),
        ([([0, 1], [2, 3, 2])], "fold 0 of cv validates a row twice"),
        (
            [([0, 1], [2, 4])],
            "repeat 0 has no row of class 1. A fold without positives",
        ),
        ([([0, 1], [3, 5])], "The validation part of fold 0.*no row of class 0.*fewer"),
        ([([0, 2], [3, 4])], "The training part of fold 0 in repeat 0.*class 1"),
        (KFold(2), "training part of fold 0"),
        (LeaveOneOut(), "A fold without positives is never made"),
    ],
)
def test_folds_that_are_of_no_use_are_refused_in_words(cv, message):
    y = np.array([0] * 4 + [1] * 4) if isinstance(cv, KFold) else [0, 1] * 4
    rows = check_table(np.arange(8.0)[:, None], y)
    with pytest.raises(BadInputError, match=message):
        make_folds(rows, cv, random_state=0)


def test_a_fold_of_many_classes_needs_two_of_them():
    rows = check_table(np.arange(9.0)[:, None], [0, 1, 2] * 3)
    assert make_folds(rows, [([0, 1, 2, 3, 4, 5], [6, 7])], random_state=0)
    with pytest.raises(BadInputError, match=r"validation part.*has no row of class 0"):
        make_folds(rows, [([0, 1, 2, 3, 4, 5], [8])], random_state=0)


# --- in words


def test_folds_are_described():
    rows = table(90, 30)
    grouped = table(90, 30, groups=np.arange(120) // 2)
    uneven = [([0, 1, 2, 3], [4, 5]), ([0, 1, 2, 3], [6, 7]), ([2, 3, 6, 7], [4, 5])]
    eight = check_table(np.arange(8.0)[:, None], [0, 1] * 4)

    def described(*args, **options):
        return describe_folds(make_folds(*args, random_state=0, **options))

    assert described(rows) == "8 stratified folds, up to 5 repeats for finalists"
    assert described(rows, 5, n_repeats=1) == "5 stratified folds"
    assert described(grouped, 4, n_repeats=1) == "4 stratified folds of whole groups"
    assert (
        described(eight, uneven) == "1 to 2 given folds, up to 2 repeats for finalists"
    )


def test_folds_travel_to_workers():
    fold = make_folds(table(90, 30), random_state=0)[0]
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fold)).val_idx, fold.val_idx
    )


def test_where_time_is_short_there_are_fewer_folds_unless_the_user_says_how_many():
    table = check_table(*numeric(400, 40))
    assert len(make_folds(table, random_state=0, n_repeats=1)) == 8
    assert len(make_folds(table, random_state=0, n_repeats=1, most=4)) == 4
    assert len(make_folds(table, random_state=0, n_repeats=1, most=99)) == 8
    assert len(make_folds(table, 6, random_state=0, n_repeats=1, most=4)) == 6


@pytest.mark.parametrize(
    "cv",
    [
        TimeSeriesSplit(4),
        TimeSeriesSplit(3, max_train_size=40, gap=2),
        [(range(40), range(40, 80)), (range(80), range(80, 120))],
    ],
    ids=["splitter", "windows", "pairs"],
)
def test_advice_on_folds_in_time_keeps_their_order(cv):
    X, _ = numeric(120, 24)
    late = np.repeat([0, 1, 0, 1], [50, 5, 45, 20])
    with pytest.raises(BadInputError, match=r"order of.*fewer splits") as error:
        make_folds(check_table(X, late), cv, random_state=0)
    assert "stratified" not in str(error.value)


def test_advice_on_folds_of_groups_keeps_the_groups_whole():
    X, _ = numeric(120, 24)
    groups = np.repeat([0, 1, 2], 40)
    y = (groups == 1).astype(int)
    with pytest.raises(BadInputError, match="cv=5: with groups"):
        make_folds(check_table(X, y, groups=groups), GroupKFold(3), random_state=0)
