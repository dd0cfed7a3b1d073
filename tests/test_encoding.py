"""Encoders learn from training rows only and then rewrite rows one by one."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from tables import categories, mixed, numeric

from autoimb._columns import take
from autoimb._data import check_table
from autoimb._encoding import (
    FillEmptyColumns,
    datetime_parts,
    make_encoder,
    make_one_hot,
)

VIEWS = ["native", "mixed", "dense"]
Y = np.array([0] * 6 + [1] * 4)


def table_of(**columns):
    """Return the table of ten rows with these columns."""
    return check_table(pd.DataFrame(columns), Y)


def encoded(view, table, rows=None):
    """Return rows of a table, encoded by an encoder that was fitted on all of it."""
    encoder = make_encoder(view, table.schema).fit(table.X)
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
    one_hot = make_one_hot(len(table.schema.categorical))
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


# --- many categories


def test_rare_categories_share_one_column():
    names = [f"c{i:02}" for i in range(60)]
    y = np.arange(240) % 2
    frame = pd.DataFrame({"a": np.arange(240.0), "b": np.repeat(names, 4)})
    X = encoded("dense", check_table(frame, y))
    assert X.shape[1] == 40 + 1
    np.testing.assert_array_equal(X[:, :40].sum(axis=1), 1)


def test_so_many_categories_still_fit_histogram_boosting():
    names = [f"c{i}" for i in range(400)]
    y = np.arange(800) % 2
    frame = pd.DataFrame({"a": np.arange(800.0), "b": np.repeat(names, 2)})
    X = encoded("native", check_table(frame, y))
    HistGradientBoostingClassifier(categorical_features=[0], max_iter=2).fit(X, y)
    assert X[:, 0].max() < 255


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


@given(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)))
def test_dates_become_day_month_weekday_and_hour(when):
    parts = datetime_parts(pd.DataFrame({"seen": pd.Series([when, pd.NaT])}))
    days = (when - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1)
    expected = [days, when.month, when.weekday(), when.hour]
    np.testing.assert_allclose(parts[0], expected, atol=1e-6)
    assert np.isnan(parts[1]).all()
