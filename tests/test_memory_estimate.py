"""A candidate needs memory for its rows, its columns, and the rows that it adds."""

import numpy as np
import pandas as pd
import pytest
from tables import numeric

from autoimb._catalogue import CATALOGUE
from autoimb._search.memory_estimate import needed_bytes
from autoimb._strategy.strategy import Strategy
from autoimb._table.columns import MANY_CATEGORIES
from autoimb._table.encoding import make_encoder
from autoimb._table.table import check_table

STRENGTHS = (0.0, 0.3, 0.7, 1.0)
NUMBER = 8  # bytes


def wide(n=400, n_categories=10, n_numbers=3, seed=0):
    """Return a table with one text column of so many categories, and numbers."""
    rng = np.random.default_rng(seed)
    y = numeric(n, n // 8, seed)[1]
    frame = pd.DataFrame(rng.normal(size=(n, n_numbers))).add_prefix("n")
    frame["kind"] = [f"kind {i % n_categories}" for i in range(n)]
    return check_table(frame, y)


def needed(table, family="logistic_regression", **axes):
    """Return the bytes that a strategy needs beside those of any other."""
    strategy = Strategy.of(CATALOGUE, family=family, **axes)
    return needed_bytes(strategy, table, CATALOGUE)


def per_column(table, **axes):
    """Return the bytes of one more column of numbers."""
    n = len(table.y)
    return needed(wide(n, n_numbers=4), **axes) - needed(wide(n, n_numbers=3), **axes)


@pytest.mark.parametrize("family", ["logistic_regression", "xgboost"])
def test_twice_the_rows_are_twice_the_bytes(family):
    one, two, three = (needed(wide(n), family) for n in (400, 800, 1200))
    assert one < two
    assert three - two == pytest.approx(two - one)


def test_a_column_costs_a_few_copies_of_its_numbers():
    table = wide(400)
    assert NUMBER * 400 <= per_column(table) <= 10 * NUMBER * 400


@pytest.mark.parametrize("n_categories", [2, 10, 30, 80])
def test_a_one_hot_category_is_a_column_and_a_code_is_none(n_categories):
    table = wide(400, n_categories)
    dense, native = needed(table), needed(table, "xgboost")
    n_more = n_categories - 1 if n_categories <= MANY_CATEGORIES else 0
    assert dense - native == pytest.approx(n_more * per_column(table))


@pytest.mark.parametrize(
    ("family", "view"),
    [
        ("logistic_regression", "dense"),
        ("xgboost", "native"),
    ],
)
def test_columns_are_those_of_the_encoder(family, view):
    """The number of columns that is expected is the number that comes out."""
    table, bare = wide(400, 20), wide(400, 2, n_numbers=1)
    encoded = [
        make_encoder(view, t.schema).fit_transform(t.X, t.y) for t in (table, bare)
    ]
    n_more = encoded[0].shape[1] - encoded[1].shape[1]
    difference = needed(table, family) - needed(bare, family)
    assert difference == pytest.approx(n_more * per_column(table))


@pytest.mark.parametrize("resampler", ["random_over", "smote"])
def test_added_rows_need_their_place(resampler):
    table = check_table(*numeric(400, 50))
    grown = [needed(table, resampler=(resampler, {"strength": s})) for s in STRENGTHS]
    assert grown[0] == needed(table)
    assert grown == sorted(set(grown))
    # Balanced, 350 rows of each class stand where 400 rows stood.
    loading = 2 * needed(table) - needed(check_table(*numeric(800, 100)))
    assert grown[-1] - loading == pytest.approx((needed(table) - loading) * 700 / 400)


@pytest.mark.parametrize("resampler", ["random_under", "tomek"])
def test_dropped_rows_were_there_before(resampler):
    table = check_table(*numeric(400, 50))
    assert needed(table, resampler=resampler) == needed(table)


def test_categories_spread_behind_a_sampler_are_columns_too():
    table = wide(400, 30)
    axes = {"resampler": ("smotenc", {"strength": 0.0})}
    assert needed(table, **axes) >= needed(table)


def test_a_date_is_four_numbers():
    table, y = wide(400), numeric(400, 50)[1]
    frame = table.X.assign(when=pd.Timestamp("2024-01-01"))
    frame["when"] += pd.to_timedelta(np.arange(400), unit="h")
    dated = check_table(frame, y)
    assert needed(dated) - needed(table) == pytest.approx(4 * per_column(table))
