"""Encoders learn from training rows only and then rewrite rows one by one."""

import datetime as dt
import inspect

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tables import categories, mixed, numeric

from autoimb._table.columns import MANY_CATEGORIES, take
from autoimb._table.encoding import (
    FARTHEST,
    N_CROSS_FITS,
    BoundedScaler,
    ColumnNamer,
    DatetimeEncoder,
    DealtFolds,
    FillEmptyColumns,
    TimeOfDayEncoder,
    make_encoder,
    make_frame,
    make_one_hot,
)
from autoimb._table.table import check_table

VIEWS = ["native", "mixed", "dense"]
Y = np.array([0] * 6 + [1] * 4)


def table_of(**columns):
    """Return the table of ten rows with these columns."""
    return check_table(pd.DataFrame(columns), Y)


def encoded(view, table, rows=None):
    """Return rows of a table, encoded by an encoder that was fitted on all of it."""
    encoder = make_encoder(view, table.schema).fit(table.X, table.y)
    return encoder.transform(table.X if rows is None else rows)


# --- the three views


def test_numbers_without_gaps_pass_to_tree_models_as_they_are():
    assert make_encoder("native", check_table(*numeric()).schema) is None


def test_native_keeps_numbers_and_gaps_and_codes_categories_first():
    size = [1.5, np.nan, 3, 4, 5, 6, 7, 8, 9, 10]
    table = table_of(size=size, colour=["b", "a", None, *"abcabca"])
    X = encoded("native", table)
    np.testing.assert_array_equal(X[:, 1], size)
    np.testing.assert_array_equal(X[:4, 0], [1, 0, np.nan, 0])


@pytest.mark.parametrize("view", ["mixed", "dense"])
def test_no_gap_and_no_infinity_leaves_the_numeric_views(view):
    X = encoded(view, check_table(*mixed()))
    assert np.isfinite(X).all()


@pytest.mark.parametrize("make", [mixed, categories], ids=["mixed", "categories"])
def test_dense_is_mixed_and_then_one_hot(make):
    table = check_table(*make())
    one_hot = make_one_hot(len(table.schema.positions("categorical")))
    np.testing.assert_allclose(
        one_hot.fit_transform(encoded("mixed", table)), encoded("dense", table)
    )


@pytest.mark.parametrize("view", VIEWS)
def test_a_constant_column_reaches_no_model(view):
    with_constant = table_of(a=np.arange(10.0), same=np.ones(10), b=list("xyxyxyxyxy"))
    without = table_of(a=np.arange(10.0), b=list("xyxyxyxyxy"))
    np.testing.assert_array_equal(encoded(view, with_constant), encoded(view, without))


def test_gaps_take_the_median_are_marked_and_numbers_are_scaled():
    size = np.array([1.0, np.nan, 3, 40, 5, 6, 7, np.nan, 9, 10])
    X = encoded("mixed", table_of(size=size, other=np.arange(10.0)[::-1]))
    filled = np.where(np.isnan(size), np.nanmedian(size), size)
    is_gap = np.isnan(size).astype(float)
    for column, raw in ((0, filled), (2, is_gap)):
        np.testing.assert_allclose(X[:, column], (raw - raw.mean()) / raw.std())


# --- fitted on training rows, applied row by row


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("make", [mixed, categories], ids=["mixed", "categories"])
def test_a_row_is_encoded_the_same_whatever_stands_beside_it(view, make):
    table = check_table(*make())
    together = encoded(view, table)
    for row in (0, 7, 119):
        alone = encoded(view, table, take(table.X, np.array([row])))
        np.testing.assert_array_equal(alone[0], together[row])


@pytest.mark.parametrize("view", VIEWS)
def test_statistics_are_those_of_the_rows_it_was_fitted_on(view):
    table = check_table(*mixed())
    train, other = np.arange(80), np.arange(80, 120)
    encoder = make_encoder(view, table.schema).fit(take(table.X, train))
    spoilt = take(table.X, other).copy()
    before = encoder.transform(take(table.X, train))
    spoilt["size"] = 1e9
    encoder.transform(spoilt)
    np.testing.assert_array_equal(encoder.transform(take(table.X, train)), before)
    scaled = before[:, -1] if view != "native" else None
    if scaled is not None:
        assert scaled.mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("view", VIEWS)
@settings(max_examples=20)
@given(
    texts=st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=5)
)
def test_unseen_categories_and_new_gaps_are_handled(view, texts):
    table = table_of(size=np.arange(10.0), colour=list("ababababab"))
    rows = pd.DataFrame({"size": np.nan, "colour": texts}, dtype=object)
    X = encoded(view, table, table.schema.canonical(rows))
    assert X.shape[0] == len(texts)
    assert view == "native" or np.isfinite(X).all()


def test_an_unseen_category_is_none_of_the_known_ones():
    table = table_of(size=np.arange(10.0), colour=list("ababababab"))
    rows = table.schema.canonical(pd.DataFrame({"size": [1.0], "colour": ["new"]}))
    assert np.isnan(encoded("native", table, rows)[0, 0])
    assert encoded("mixed", table, rows)[0, 0] not in (0, 1)
    np.testing.assert_array_equal(encoded("dense", table, rows)[0, :2], [0, 0])


@pytest.mark.data
@pytest.mark.parametrize("name", ["car_vgood", "hcv", "hypothyroid"])
def test_real_tables_become_finite_numbers(real_table, name):
    X, y = real_table(name)
    table = check_table(X, y)
    assert np.isfinite(encoded("dense", table)).all()
    assert len(encoded("native", table)) == len(y)


# --- many categories, and times of day


def labels_by_group(n_groups, n_each, *, seed=0):
    """Return groups and labels; in every third group most labels are 1."""
    groups = np.repeat(np.arange(n_groups), n_each)
    chance = np.where(groups % 3 == 0, 0.8, 0.1)
    drawn = np.random.default_rng(seed).random(len(groups))
    return groups, (drawn < chance).astype(int)


@given(
    counts=st.lists(st.integers(1, 17), min_size=2, max_size=4),
    seed=st.integers(0, 9),
)
def test_dealt_folds_are_a_partition_that_spreads_every_class(counts, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(range(len(counts)), counts))
    read = []
    for fit_on, rows in DealtFolds().split(None, y):
        assert not set(fit_on) & set(rows)
        assert len(fit_on) + len(rows) == len(y)
        for code, n in enumerate(counts):
            assert abs((y[rows] == code).sum() - n / N_CROSS_FITS) < 1
        read.extend(rows)
    assert sorted(read) == list(range(len(y)))


@pytest.mark.parametrize("view", VIEWS)
def test_many_categories_become_one_column_that_tells_the_classes_apart(view):
    groups, y = labels_by_group(MANY_CATEGORIES + 20, 20)
    frame = pd.DataFrame({"a": np.zeros(len(y)), "b": [f"g{g}" for g in groups]})
    X = make_encoder(view, (table := check_table(frame, y)).schema).fit_transform(
        table.X, table.y
    )
    assert X.shape == (len(y), 1)
    assert roc_auc_score(groups % 3 == 0, X[:, 0]) > 0.95


@pytest.mark.parametrize("view", VIEWS)
def test_a_training_row_is_read_without_its_own_label(view):
    _, y = labels_by_group(100, 1)
    table = check_table(pd.DataFrame({"b": [f"only {i}" for i in range(100)]}), y)
    encoder = make_encoder(view, table.schema)
    X = encoder.fit_transform(table.X, table.y)
    assert len(np.unique(X.round(9))) <= N_CROSS_FITS  # a category seen once is unknown
    assert roc_auc_score(y, encoder.transform(table.X)[:, 0]) == 1.0  # its label


@pytest.mark.parametrize("view", VIEWS)
def test_one_column_a_class_where_there_are_three(view):
    groups = np.repeat(np.arange(50), 6)
    frame = pd.DataFrame({"b": [f"g{g}" for g in groups]})
    table = check_table(frame, groups % 3)
    X = make_encoder(view, table.schema).fit_transform(table.X, table.y)
    np.testing.assert_array_equal(X.argmax(axis=1), groups % 3)


@pytest.mark.parametrize("view", VIEWS)
def test_an_unknown_category_is_read_as_all_rows_together(view):
    groups, y = labels_by_group(60, 10)
    table = check_table(pd.DataFrame({"b": [f"g{g}" for g in groups]}), y)
    encoder = make_encoder(view, table.schema).fit(table.X, table.y)
    new = encoder.transform(pd.DataFrame({"b": ["new"]}))[0, 0]
    known = encoder.transform(table.X)[:, 0]
    assert known.min() < new < known.max()
    if view == "native":
        assert new == pytest.approx(y.mean())


def test_times_of_day_are_hours_and_what_each_says_about_the_class():
    groups, y = labels_by_group(60, 10)
    table = check_table(
        pd.DataFrame({"at": [f"{g // 6:02}:{g % 6}0:00" for g in groups]}), y
    )
    X = make_encoder("native", table.schema).fit_transform(table.X, table.y)
    np.testing.assert_allclose(X[:, 0], groups / 6)
    assert roc_auc_score(groups % 3 == 0, X[:, 1]) > 0.95


def test_up_to_forty_categories_have_a_code_or_a_column_each():
    names = [f"c{i:02}" for i in range(MANY_CATEGORIES)]
    y = np.arange(len(names) * 4) % 2
    frame = pd.DataFrame({"b": np.repeat(names, 4)})
    table = check_table(frame, y)
    np.testing.assert_array_equal(
        encoded("dense", table), np.repeat(np.eye(len(names)), 4, axis=0)
    )
    np.testing.assert_array_equal(
        encoded("native", table)[:, 0], np.repeat(np.arange(len(names)), 4)
    )


# --- empty columns and dates


def test_only_a_column_without_any_value_is_filled():
    X = np.array([[np.nan, 1.0], [np.nan, np.nan]])
    filler = FillEmptyColumns().fit(X)
    np.testing.assert_array_equal(filler.transform(X), [[0, 1], [0, np.nan]])
    np.testing.assert_array_equal(filler.transform([[5.0, np.nan]]), [[0, np.nan]])


def test_a_column_that_is_empty_in_one_fold_fails_no_view():
    size = [np.nan] * 5 + [1.0, 2, 3, 4, 5]
    table = table_of(size=size, a=np.arange(10.0))
    for view in VIEWS:
        encoder = make_encoder(view, table.schema).fit(take(table.X, np.arange(5)))
        assert not np.isnan(encoder.transform(table.X)).any()


@given(st.datetimes())
@example(dt.datetime(9999, 12, 31))
@example(dt.datetime(1, 1, 1))
def test_dates_become_day_month_weekday_and_hour(when):
    parts = DatetimeEncoder().fit_transform(
        pd.DataFrame({"seen": np.array([when, "NaT"], dtype="datetime64[us]")})
    )
    days = (when - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1)
    expected = [days, when.month, when.weekday(), when.hour]
    np.testing.assert_allclose(parts[0], expected, atol=1e-6)
    assert np.isnan(parts[1]).all()


def test_a_frame_of_numbers_reaches_models_as_a_matrix():
    """Its columns may have names that models refuse."""
    rows = np.random.default_rng(0).normal(size=(40, 2))
    frame = pd.DataFrame(rows.astype(object), columns=["size [m2]", "age"])
    table = check_table(frame, np.arange(40) % 2)
    assert table.schema.is_frame
    encoder = make_encoder("native", table.schema)
    np.testing.assert_allclose(encoder.fit_transform(table.X, table.y), rows)


# --- steps that learn nothing


def times():
    """Return two columns of times of the first day of 1970, with gaps."""
    at = pd.date_range("1970-01-01 00:30", periods=10, freq="137min")
    return pd.DataFrame({"begin": at, "end": at[::-1]}).mask(np.eye(10, 2) == 1)


@pytest.mark.parametrize(
    ("step", "function", "X"),
    [
        (
            DatetimeEncoder(),
            lambda X: np.column_stack(
                [
                    np.asarray(part, dtype=float)
                    for when in (X["begin"], X["end"])
                    for part in (
                        (when - pd.Timestamp(0)) / pd.Timedelta(days=1),
                        when.dt.month,
                        when.dt.day_of_week,
                        when.dt.hour,
                    )
                ]
            ),
            times() + pd.Timedelta(days=9_999),
        ),
        (
            TimeOfDayEncoder(),
            lambda X: ((X - pd.Timestamp(0)) / pd.Timedelta(hours=1)).to_numpy(),
            times(),
        ),
        (
            ColumnNamer(["a", "b"]),
            lambda X: pd.DataFrame(X, columns=["a", "b"]),
            np.arange(20.0).reshape(10, 2),
        ),
    ],
    ids=["dates", "times", "names"],
)
def test_a_stateless_step_equals_scikit_learns_step_around_a_function(
    step, function, X
):
    expected = FunctionTransformer(function).fit(X)
    found = clone(step).fit(X)
    assert found.n_features_in_ == expected.n_features_in_
    names = getattr(found, "feature_names_in_", None)
    np.testing.assert_array_equal(names, getattr(expected, "feature_names_in_", None))
    assert type(found.transform(X)) is type(expected.transform(X))
    np.testing.assert_allclose(found.transform(X), expected.transform(X))
    np.testing.assert_array_equal(step.transform(X), found.transform(X))  # not fitted


def test_columns_are_named_only_where_rows_are_a_matrix_of_named_numbers():
    X, y = numeric()
    rows = check_table(X, y)
    assert make_frame(rows.schema) is None
    names = [f"size {i}" for i in range(rows.X.shape[1])]
    named = check_table(pd.DataFrame(rows.X, columns=names), y)
    assert list(make_frame(named.schema).fit_transform(named.X)) == names
    assert make_frame(check_table(*mixed()).schema) is None


@pytest.mark.parametrize("view", VIEWS)
def test_encoders_hold_no_functions(view):
    """Files of saved models may hold none."""
    columns = table_of(
        size=[1.5, np.nan, 3, 4, 5, 6, 7, 8, 9, 10],
        colour=list("abababbbaa"),
        day=pd.date_range("2020-01-01", periods=10),
        at=[f"{hour:02}:30" for hour in range(10)],
    )
    parameters = make_encoder(view, columns.schema).get_params(deep=True).values()
    assert any(isinstance(value, DatetimeEncoder) for value in parameters)
    assert any(isinstance(value, TimeOfDayEncoder) for value in parameters)
    assert not any(map(inspect.isroutine, parameters))


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_only_what_lies_far_outside_the_fit_is_bounded(output):
    X = np.random.default_rng(0).normal(size=(50, 2)) * [1, 1e-9]
    X[0] = 1e30  # as far out as a row of the fit can be
    ours, plain = BoundedScaler().fit(X), StandardScaler().fit(X)
    ours.set_output(transform=output)
    np.testing.assert_array_equal(ours.transform(X), plain.transform(X))
    ours.fit(X[1:])
    later = ours.transform([[1e38, -1e38], [0.5, 0.0]])
    inside = StandardScaler().fit(X[1:]).transform([[0.5, 0.0]])
    np.testing.assert_array_equal(later, np.vstack([[FARTHEST, -FARTHEST], inside]))
