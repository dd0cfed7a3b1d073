"""A profile states what is in the table, in any order of its rows."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from autoimb._table import column_checks, minority_types
from autoimb._table import profile as profile_module
from autoimb._table.column_checks import single_column_areas
from autoimb._table.profile import profile, profile_table
from autoimb._table.table import check_table


def numbers(n_majority=90, n_minority=60, seed=0):
    """Return two well-mixed classes with nothing to complain of."""
    rng = np.random.default_rng(seed)
    n = n_majority + n_minority
    return rng.normal(size=(n, 3)), np.repeat([0, 1], [n_majority, n_minority])


def codes(X, y, **options):
    return {check.code for check in profile(X, y, **options).checks}


# --- facts


def test_facts_are_those_of_the_table():
    X = pd.DataFrame(
        {
            "a": [1.0, 2, np.nan, 4, 5, 1],
            "b": ["u", "v", "w", None, "u", "u"],
            "c": [True, False, True, True, False, True],
            "d": pd.to_datetime(["2020-01-01"] * 3 + [None] * 2 + ["2020-01-01"]),
            "same": 3,
            "empty": [None] * 6,
        }
    )
    found = profile(X, list("xxxyyy"))
    assert found.n_rows == 6
    assert found.n_features == 6
    assert found.kind_counts == {
        "boolean": 1,
        "categorical": 1,
        "constant": 2,
        "datetime": 1,
        "numeric": 1,
    }
    assert found.missing_share == pytest.approx(X.isna().to_numpy().mean())
    assert found.max_cardinality == 3
    assert (found.n_duplicates, found.n_conflicting) == (1, 2)
    assert found.has_missing
    assert found.has_categorical
    assert found.has_numeric
    assert not found.has_groups
    assert not found.weighted


def test_classes_are_counted():
    X, _ = numbers(50, 50)
    found = profile(X, np.repeat(["a", "b", "c"], [70, 10, 20]))
    assert found.classes == ("a", "b", "c")
    assert found.class_counts == (70, 10, 20)
    assert (found.n_classes, found.minority_label, found.minority_count) == (3, "b", 10)
    assert found.imbalance_ratio == 7
    assert found.prevalence == 0.1
    assert found.pos_label is None


def test_of_equal_classes_the_positive_one_is_the_minority():
    X, y = numbers(50, 50)
    assert profile(X, y).minority_label == 1
    assert profile(X, y, pos_label=0).minority_label == 0


def test_groups_and_weights_are_noticed():
    X, y = numbers()
    weight = 1.0 + np.arange(len(y)) % 2
    table = check_table(X, y, groups=np.arange(len(y)), sample_weight=weight)
    assert profile_table(table).has_groups
    assert profile_table(table).weighted
    equal = check_table(X, y, sample_weight=np.full(len(y), 2.0))
    assert not profile_table(equal).weighted


def test_text_alone_has_no_numbers():
    X = pd.DataFrame({"t": list("uvwx") * 10})
    found = profile(X, [0, 1, 1, 0] * 10)
    assert found.has_categorical
    assert not found.has_numeric


def test_duplicates_are_counted_as_by_hand():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 4, size=(60, 2)), rng.integers(0, 2, 60)
    rows = list(map(tuple, X.tolist()))
    labels = {row: {y[i] for i, r in enumerate(rows) if r == row} for row in rows}
    found = profile(X, y)
    assert found.n_duplicates == 60 - len(set(rows))
    assert found.n_conflicting == sum(len(labels[row]) > 1 for row in rows)


def test_the_order_of_rows_does_not_matter(monkeypatch):
    monkeypatch.setattr(minority_types, "MAX_NEIGHBOUR_ROWS", 120)
    monkeypatch.setattr(minority_types, "_MAX_QUERIES", 20)
    monkeypatch.setattr(column_checks, "_MAX_LEAK_ROWS", 30)
    X, y = numbers()
    frame = pd.DataFrame(X.round(1)).assign(t=np.resize(list("uvw"), len(y)), y=y)
    mixed = frame.sample(frac=1, random_state=1)
    expected = profile(frame.drop(columns="y"), frame["y"])
    assert profile(mixed.drop(columns="y"), mixed["y"]) == expected


# --- checks


def leaking(*, gap=False, n_minority=60):
    X, y = numbers(90, n_minority)
    X[:, 1] = np.where(y == 1, np.nan, X[:, 1]) if gap else -1.0 * y
    return X, y


def with_text(n_values):
    X, y = numbers()
    text = [f"id {i % n_values}" for i in range(len(y))]
    return pd.DataFrame(X).assign(t=text).rename(columns=str), y


def with_gaps(share, columns):
    X, y = numbers()
    X[: round(share * len(y)), :columns] = np.nan
    return X[np.random.default_rng(0).permutation(len(y))], y


def with_copies(n_copies, *, flipped=0):
    X, y = numbers(300, 200)
    copied = y[:n_copies].copy()
    copied[:flipped] = 1 - copied[:flipped]
    return np.concatenate([X, X[:n_copies]]), np.concatenate([y, copied])


def apart():
    X, y = numbers(600, 60)
    return X + 9 * y[:, None], y


def with_column(values, name="n"):
    X, y = numbers()
    frame = pd.DataFrame(X, columns=list("abc"))
    frame[name] = np.asarray(values(len(y)))
    return frame, y


def shuffled(n):
    return np.random.default_rng(1).permutation(n)


def with_dates(order):
    """Dates of the rows, whose order is that of the classes or of chance."""
    X, y = numbers(400, 60)
    days = np.argsort(np.argsort(order(y), kind="stable")) // 4
    when = pd.Timestamp("2026-01-01") + pd.to_timedelta(days, unit="D")
    return pd.DataFrame(X, columns=list("abc")).assign(when=when), y


def drifting(y):
    return y + np.random.default_rng(0).normal(0, 1.5, len(y))


def steady(y):
    return np.random.default_rng(0).permutation(len(y))


def third_class(n_rows):
    X, y = numbers()
    y[:n_rows] = 2
    return X, y


CASES = {
    "AIM001": (with_copies(6), with_copies(5)),
    "AIM002": (with_copies(3, flipped=1), with_copies(3)),
    "AIM003": (numbers(90, 49), numbers(90, 50)),
    "AIM004": (numbers(90, 4), numbers(90, 5)),
    "AIM005": (leaking(), numbers()),
    "AIM006": (with_text(150), with_text(100)),
    "AIM007": (numbers(600, 60), apart()),
    "AIM008": (with_gaps(0.85, 1), with_gaps(0.75, 1)),
    "AIM009": (numbers(89, 60), numbers(90, 60)),
    "AIM012": (
        with_column(lambda n: np.where(np.arange(n) % 50, shuffled(n), "?")),
        with_column(shuffled),
    ),
    "AIM013": (with_column(shuffled), with_column(lambda n: shuffled(n) / 7)),
    "AIM014": (
        (numbers()[0], np.where(numbers()[1], "yes", "Yes ")),
        (numbers()[0], np.where(numbers()[1], "yes", "no")),
    ),
    "AIM015": (third_class(1), third_class(2)),
    "AIM016": (with_dates(drifting), with_dates(steady)),
}


@pytest.mark.parametrize("code", CASES)
def test_check_fires(code):
    assert code in codes(*CASES[code][0])


@pytest.mark.parametrize("code", CASES)
def test_check_does_not_fire(code):
    assert code not in codes(*CASES[code][1])


def test_every_check_has_a_case_and_a_code_of_its_own():
    known = list(profile_module._CHECKS)
    assert known == sorted(set(known))
    assert set(known) == {*CASES, "AIM010", "AIM011"}


def test_dates_are_said_to_matter_by_chance_hardly_ever():
    """The test has level 0.001: of 100 tables at most 2 are expected, with 99.5 %."""
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        y = (rng.random(300) < 0.2).astype(int)
        when = pd.Timestamp("2026-01-01") + pd.to_timedelta(
            rng.integers(0, 30, 300), unit="D"
        )
        frame = pd.DataFrame({"x": rng.normal(size=300), "when": when})
        found += "AIM016" in codes(frame, y)
    assert found <= 2


def test_a_common_class_of_interest_is_noticed():
    assert "AIM010" in codes(*numbers(), pos_label=0)
    assert "AIM010" not in codes(*numbers(), pos_label=1)
    assert "AIM010" not in codes(*numbers(60, 60), pos_label=0)


def test_sampled_neighbours_are_noticed(monkeypatch):
    assert "AIM011" not in codes(*numbers())
    for module in (minority_types, profile_module):
        monkeypatch.setattr(module, "MAX_NEIGHBOUR_ROWS", 149)
    assert "AIM011" in codes(*numbers())


def test_a_leak_is_seen_in_either_sense_in_gaps_and_in_the_thousands():
    X, y = leaking()
    assert "AIM005" in codes(-X, y)
    assert "AIM005" in codes(*leaking(gap=True))
    assert "AIM005" not in codes(*leaking(n_minority=19))
    assert "AIM005" in codes(np.repeat(X, 100, axis=0), np.repeat(y, 100))
    many = np.where(y == 1, 2, np.arange(len(y)) % 2)
    assert "AIM005" not in codes(X, many)


@pytest.mark.parametrize(
    "copied",
    [
        lambda y: np.where(y == 1, "yes", "no"),
        lambda y: pd.Series(np.where(y == 1, "yes", None), dtype=object),
        lambda y: pd.Categorical(y + 1),
        lambda y: np.char.add(
            np.where(y == 1, "yes", "no"), (np.arange(len(y)) % 9).astype(str)
        ),
    ],
    ids=["text", "gaps", "categories", "several texts of one class"],
)
def test_a_target_copied_as_text_is_a_leak_and_a_hint_is_none(copied):
    X, y = numbers()
    frame = pd.DataFrame(X).assign(copy=copied(y)).rename(columns=str)
    assert "AIM005" in codes(frame, y)
    swapped = y.copy()
    swapped[[0, 1, -1, -2]] = 1 - swapped[[0, 1, -1, -2]]
    hint = pd.DataFrame(X).assign(copy=copied(swapped)).rename(columns=str)
    assert "AIM005" not in codes(hint, y)


def test_texts_that_are_all_distinct_are_no_leak():
    assert "AIM005" not in codes(*with_text(150))
    assert "AIM005" not in codes(*with_text(75))


@pytest.mark.parametrize("copied", [np.arange(3), np.array(list("uvw"))])
def test_of_many_classes_a_leak_tells_each(copied):
    X, _ = numbers()
    y = np.arange(len(X)) % 3
    frame = pd.DataFrame(X).assign(copy=copied[y]).rename(columns=str)
    assert "AIM005" in codes(frame, y)
    only_one = frame.assign(copy=copied[np.minimum(y, 1)])
    assert "AIM005" not in codes(only_one, y)


def test_areas_of_categories_equal_scikit_learns():
    X, y = numbers()
    text = pd.Series(np.random.default_rng(0).choice(list("uvwx"), len(y)))
    table = check_table(pd.DataFrame(X).assign(t=text).rename(columns=str), y)
    shares = pd.Series(y).groupby(text).transform("mean")
    expected = roc_auc_score(y, shares)
    assert column_checks.category_area(table, 3) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "values", "is_found"),
    [
        ("Unnamed: 0", lambda n: np.arange(n) % 7, True),
        ("n", np.arange, True),
        ("m", lambda n: np.where(np.arange(n) % 9, np.arange(n), np.nan), True),
        ("n", lambda n: 10_000 + 3 * shuffled(n), True),
        ("customer_id", lambda n: 10**9 + 1_234_567 * shuffled(n), True),
        ("orderId", lambda n: 10**9 + 1_234_567 * shuffled(n), True),
        ("amount", lambda n: 10**9 + 1_234_567 * shuffled(n), False),
        ("n", lambda n: np.arange(n) % (n - 1), False),
        ("paid", lambda n: shuffled(n) + 0.5, False),
    ],
)
def test_columns_that_count_or_name_the_rows_are_found(name, values, is_found):
    X, y = with_column(values, name)
    found = [c.message for c in profile(X, y).checks if c.code == "AIM013"]
    assert bool(found) == is_found
    assert all(repr(name) in message for message in found)


@pytest.mark.parametrize(
    ("labels", "are_alike"),
    [
        (["yes", "yes "], True),
        (["Yes", "yes"], True),
        ([1, "1"], True),
        (["not  paid", "not paid"], True),
        (["yes", "yess"], False),
        ([0, 1], False),
    ],
)
def test_labels_that_look_alike_are_named(labels, are_alike):
    X, y = numbers()
    y = [labels[code] for code in y]
    found = [c.message for c in profile(X, y).checks if c.code == "AIM014"]
    assert bool(found) == are_alike
    assert all(repr(label) in message for label in labels for message in found)


def test_areas_of_single_columns_equal_scikit_learns():
    X, y = numbers()
    X = X.round(1)
    X[::7, 0] = np.nan
    found = single_column_areas(check_table(X, y))
    areas = [roc_auc_score(y, column) for column in np.nan_to_num(X, nan=-99).T]
    np.testing.assert_allclose(found, np.maximum(areas, 1 - np.array(areas)))


def test_missing_cells_are_noticed_overall_too():
    assert "AIM008" in codes(*with_gaps(0.4, 3))
    assert "AIM008" not in codes(*with_gaps(0.25, 3))


def test_messages_name_the_columns_but_not_all_of_many():
    X, y = numbers()
    frame = pd.DataFrame(X, columns=list("abc")).assign(
        **{f"leak {i}": y + i for i in range(8)}
    )
    (check,) = [c for c in profile(frame, y).checks if c.code == "AIM005"]
    assert "'leak 0', 'leak 1'" in check.message
    assert "2 more alone" in check.message
    assert "'leak 7'" not in check.message


# --- in words and as data


def test_a_summary_is_short_and_says_it_all():
    X, y = numbers(1_500, 30)
    X[:15, 0] = np.nan
    assert str(profile(X, y)).splitlines()[:3] == [
        "1,530 rows × 3 features (3 numeric), 0.3% missing",
        "classes: 0: 1,500 · 1: 30 (imbalance ratio 50.0)",
        "class of interest: 1 (1.96% of the rows)",
    ]
    text = str(profile(X, y))
    assert "minority types among 5 neighbours: safe" in text
    assert "0 duplicated rows, 0 rows with conflicting labels" in text
    assert "AIM003 very few minority rows: class 1 has 30 rows." in text


def test_of_many_classes_the_summary_lists_the_first():
    X, _ = numbers(60, 60)
    text = str(profile(X, np.arange(120) % 20))
    assert "classes: 0: 6 · 1: 6 · 2: 6 · 3: 6 · 4: 6 · 5: 6 · 14 more (imb" in text
    assert "class of interest" not in text


@pytest.mark.parametrize(
    "y",
    [
        [0] * 90 + [1] * 60,
        np.repeat(["a", "b"], [90, 60]),
        np.repeat([False, True], [90, 60]),
        [(0, "a")] * 90 + [(1, "b")] * 60,
        [1] * 90 + ["u"] * 60,
        pd.Series(pd.to_datetime(["2020-01-01"] * 90 + ["2021-01-01"] * 60)).dt.date,
    ],
    ids=["int", "str", "bool", "tuple", "mixed", "date"],
)
def test_profiles_are_json_able(y):
    X, _ = numbers()
    found = profile(X, y)
    data = found.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert {f.name for f in dataclasses.fields(found)} < set(data)
    assert data["prevalence"] == 0.4


# --- rows that are equal


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_and_conflicts_equal_a_naive_count(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, 4, (40, 2)).astype(float), np.arange(40) % 3
    found = profile(X, y)
    rows = [tuple(row) for row in X]
    labels = {row: {y[i] for i in range(40) if rows[i] == row} for row in rows}
    assert found.n_duplicates == sum(rows[i] in rows[:i] for i in range(40))
    assert found.n_conflicting == sum(len(labels[row]) > 1 for row in rows)


def test_missing_shares_are_those_of_the_columns():
    X = np.arange(40.0).reshape(10, 4)
    X[:3, 0], X[:, 1], X[:9, 2] = np.nan, np.nan, np.nan
    y = np.repeat([0, 1], 5)
    wanted = [0.3, 1.0, 0.9, 0.0]
    for table in (check_table(X, y), check_table(pd.DataFrame(X).assign(t="x"), y)):
        shares = profile_module._missing_shares(table)
        np.testing.assert_allclose(shares[:4], wanted)
