"""Types of minority rows equal a naive count, whatever the order of the rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import pairwise_distances, pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from autoimb._table import minority_types as minority_types_module
from autoimb._table.minority_types import (
    as_numbers,
    minority_types,
    spread_rows,
    squared_distances,
)
from autoimb._table.table import check_table

TYPES = {0: "outlier", 1: "rare", 2: "borderline", 3: "borderline"}


def mixed(n, seed):
    """Return a frame of numbers with gaps, dates and text, and rare labels."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)) * [1, 100, 0.1], columns=list("abc"))
    X = X.mask(rng.random(X.shape) < 0.1)
    y = (X["a"] + rng.normal(size=n) > 1.2).astype(int).to_numpy()
    X["day"] = pd.Timestamp(2020, 1, 1) + pd.to_timedelta(rng.random(n) * 100, unit="D")
    X["text"] = rng.choice(["u", "v", None], n)
    X["more text"] = rng.choice(list("pqrst"), n)
    return X, y


def naive_types(X, y):
    """Count neighbours with scikit-learn, one-hot columns and all."""
    X = X.assign(day=(X["day"] - pd.Timestamp(0)) / pd.Timedelta(days=1))
    numbers, texts = [*"abc", "day"], ["text", "more text"]
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    one_hot = make_column_transformer(
        (scaled, numbers), (OneHotEncoder(sparse_output=False), texts)
    ).fit_transform(X)
    one_hot[:, len(numbers) :] *= np.sqrt(0.5)
    near = NearestNeighbors(n_neighbors=6).fit(one_hot)
    found = near.kneighbors(one_hot[y == 1], return_distance=False)
    n_like = y[found[:, 1:]].sum(axis=1)
    names = [TYPES.get(int(n), "safe") for n in n_like]
    return {name: names.count(name) / len(names) for name in set(names)}


@pytest.mark.parametrize("seed", range(3))
def test_types_equal_a_naive_count(seed):
    X, y = mixed(400, seed)
    found = minority_types(check_table(X, y), 1)
    assert list(found) == ["safe", "borderline", "rare", "outlier"]
    assert sum(found.values()) == pytest.approx(1)
    assert {name: share for name, share in found.items() if share} == pytest.approx(
        naive_types(X, y)
    )


def test_blocks_do_not_show(monkeypatch):
    table = check_table(*mixed(300, 0))
    expected = minority_types(table, 1)
    monkeypatch.setattr(minority_types_module, "_BLOCK_CELLS", 1)
    assert minority_types(table, 1) == expected


@given(
    cells=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("uv"), st.booleans()),
        min_size=14,
        max_size=40,
    ),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_ties_do_not_depend_on_the_order_of_rows(cells, order):
    cells = [*cells, *[(0, "u", True)] * 6, *[(1, "v", False)] * 6]
    shuffled = order.sample(cells, len(cells))
    types = [
        minority_types(check_table([c[:2] for c in rows], [c[2] for c in rows]), 1)
        for rows in (cells, shuffled)
    ]
    assert types[0] == types[1]


def clusters(*layout):
    """Return points around centres, each with its rows of class 0 and of class 1."""
    rng = np.random.default_rng(0)
    X, y = [], []
    for centre, *counts in layout:
        for code, count in enumerate(counts):
            X.append(centre + 0.01 * rng.normal(size=(count, 2)))
            y += [code] * count
    return check_table(np.concatenate(X), y)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ([(0, 60, 0), (9, 0, 6)], "safe"),
        ([(0, 60, 0), (9, 3, 3), (18, 3, 3)], "borderline"),
        ([(0, 60, 0), *[(9 * i, 4, 2) for i in (1, 2, 3)]], "rare"),
        ([(9 * i, 9, 1) for i in range(6)], "outlier"),
    ],
)
def test_clusters_are_of_the_type_that_they_were_made_for(layout, expected):
    types = minority_types(clusters(*layout), 1)
    assert types[expected] == 1


def test_a_copy_is_a_neighbour_but_a_row_is_not_its_own():
    X = np.concatenate([np.arange(60.0), np.repeat([10.5, 30.5, 50.5], 2)])[:, None]
    y = np.repeat([0, 1], [60, 6])
    assert minority_types(check_table(X, y), 1)["rare"] == 1


@pytest.mark.parametrize("count", [2, 5, 6])
def test_too_few_rows_have_no_types(count):
    X = np.random.default_rng(0).normal(size=(40 + count, 2))
    y = np.repeat([0, 1], [40, count])
    assert (minority_types(check_table(X, y), 1) is None) == (count <= 5)


def test_huge_numbers_and_columns_of_text_alone_can_be_measured():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [50, 20])
    huge = np.column_stack([rng.normal(size=70), rng.choice([0, 1e300], 70)])
    assert minority_types(check_table(huge, y), 1)
    text = pd.DataFrame({f"t{i}": rng.choice(list("uvw"), 70) for i in range(300)})
    table = check_table(text, y)
    codes = np.array([pd.factorize(table.X[name])[0] for name in text])
    found = squared_distances(np.arange(70), np.empty((70, 0)), codes)
    expected = pairwise_distances(text.apply(lambda c: c.map(ord)), metric="hamming")
    np.testing.assert_allclose(found, expected * 300)


def test_distances_equal_scikit_learns_on_one_hot_columns_in_chunks():
    rng = np.random.default_rng(0)
    numbers, codes = rng.normal(size=(90, 4)), rng.integers(-1, 3, (2, 90))
    one_hot = OneHotEncoder(sparse_output=False).fit_transform(codes.T)
    features = np.column_stack([numbers, np.sqrt(0.5) * one_hot])
    queries = rng.permutation(90)[:40]
    chunks = pairwise_distances_chunked(
        features[queries], features, squared=True, working_memory=0.01
    )
    expected = np.concatenate(list(chunks))
    assert expected.shape == (40, 90)
    found = squared_distances(queries, numbers, codes.astype(np.int32))
    np.testing.assert_allclose(found, expected, atol=1e-12)


# --- samples of rows


def test_a_sample_takes_every_class_at_the_same_rate():
    table = check_table(
        np.arange(1_000.0)[:, None], np.repeat([0, 1, 2], [800, 150, 50])
    )
    rows = spread_rows(table, np.arange(1_000), 100)
    assert len(np.unique(rows)) == 100
    np.testing.assert_allclose(np.bincount(table.y[rows]), [80, 15, 5], atol=1)
    assert abs(rows.mean() - 500) < 50


def test_a_sample_holds_the_same_rows_in_any_order():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 40, size=(300, 2)), rng.integers(0, 2, 300)
    order = rng.permutation(300)

    def sample(rows):
        table = check_table(X[rows], y[rows])
        chosen = rows[spread_rows(table, np.arange(300), 50)]
        return sorted(map(tuple, np.column_stack([X, y])[chosen].tolist()))

    assert sample(order) == sample(np.arange(300))


def test_types_of_a_sample_are_near_those_of_all_rows(monkeypatch):
    table = check_table(*mixed(3_000, 0))
    everything = minority_types(table, 1)
    monkeypatch.setattr(minority_types_module, "MAX_NEIGHBOUR_ROWS", 1_500)
    monkeypatch.setattr(minority_types_module, "_MAX_QUERIES", 150)
    sampled = minority_types(table, 1)
    assert sampled != everything
    assert all(abs(sampled[name] - everything[name]) < 0.15 for name in everything)


def test_dates_become_days():
    X = pd.DataFrame({"day": pd.to_datetime(["1970-01-03 12:00", None] * 4)})
    table = check_table(X, [0, 1] * 4)
    np.testing.assert_array_equal(
        as_numbers(table.X, table.schema)[:2], [[2.5], [np.nan]]
    )
