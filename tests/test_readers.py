"""A column means the same whatever the other rows hold, and however it is written."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from autoimb import AutoImbalance, profile
from autoimb._table.columns import infer_schema
from autoimb._table.readers import LARGEST
from autoimb.exceptions import BadInputError

N = 600
RNG = np.random.default_rng(0)
DAYS = pd.Series(
    pd.Timestamp("2023-02-01") + pd.to_timedelta(np.arange(N) * 7 % 400, unit="D")
)
AMOUNTS = np.round(np.exp(RNG.normal(6, 1, N)), 2)


def column_of(values, *, name="c", **options):
    """Return the schema's column, and the canonical values."""
    frame = pd.DataFrame({"x": np.arange(len(values)) % 7, name: pd.Series(values)})
    schema = infer_schema(frame)
    return schema.columns[1], schema.canonical(frame)


def kind_of(values):
    return column_of(values)[0].kind


def every(values, n, other):
    """Return the values with every n-th replaced by another one."""
    return [other if i % n == 0 else str(v) for i, v in enumerate(values)]


# --- kinds come from all rows


@pytest.mark.parametrize(
    "first",
    [
        DAYS.dt.strftime("%Y-%m-%d"),
        DAYS.dt.strftime("%d/%m/%Y"),
        [f"{i % 24}:30" for i in range(N)],
        AMOUNTS.astype(str),
    ],
    ids=["dates", "day first", "times", "numbers"],
)
def test_words_after_hundreds_of_other_values_make_a_column_of_categories(first):
    values = np.array([*list(first)[:250], *["open", "lost"] * 175], dtype=object)
    column, rows = column_of(values)
    assert column.kind in {"categorical", "high-cardinality"}
    assert not rows["c"].isna().any()
    assert column_of(values[np.random.default_rng(1).permutation(N)])[0] == column


@pytest.mark.parametrize(
    "codes",
    [
        ["8654-67-66", "1234-99-45"],
        ["2024-02-30", "2024-13-01"],
        ["45/67/8901", "12/13/2024"],
        ["99999999", "12345678"],
        ["01067", "99734"],
        ["25:61", "07:75"],
    ],
)
def test_codes_of_the_shape_of_dates_and_numbers_are_categories(codes):
    column, rows = column_of(codes * 50)
    assert column.kind == "categorical"
    assert rows["c"].tolist() == codes * 50


# --- dates


FORMS = {
    "%d/%m/%Y": "day/month/year",
    "%d-%m-%Y": "day/month/year",
    "%d.%m.%Y": "day/month/year",
    "%d/%m/%Y %H:%M": "day/month/year",
    "%m/%d/%Y": "month/day/year",
    "%m-%d-%Y": "month/day/year",
    "%Y/%m/%d": "year-month-day",
    "%Y.%m.%d": "year-month-day",
    "%Y-%m-%d": "year-month-day",
    "%Y%m%d": "year-month-day",
    "%Y-%m-%dT%H:%M:%S": "year-month-day",
}


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("gap", [None, "", "-"])
def test_dates_are_read_in_the_common_forms(written, gap):
    texts = every(DAYS.dt.strftime(written), 50, gap)
    column, rows = column_of(texts)
    assert (column.kind, column.date_form) == ("datetime", FORMS[written])
    assert column.has_missing
    whole = np.arange(N) % 50 > 0
    pd.testing.assert_series_equal(
        rows["c"][whole], DAYS[whole], check_dtype=False, check_names=False
    )
    assert rows["c"][~whole].isna().all()


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["01/02/2024", "03/04/2024", "12/12/2023"], "day and month cannot be told"),
        (["31/12/21", "01/02/22", "15/06/23"], r"holds dates such as .*to_datetime"),
        (["31-Dec-2021", "1-Feb-2022", "15-Jun-2023"], r"dates.*to_datetime\(X\['c'\]"),
        (["Dec 31, 2021", "Feb 1, 2022"], r"dates.*to_datetime\(X\['c'\]"),
        (["12/31/2021 11:59 PM", "02/01/2022 1:00 AM"], "dates.*to_datetime"),
        (["2024-01-05"] * 99 + ["2024-02-30"], "dates.*but for '2024-02-30'"),
        ([20240131, 20231130, 20220101], "look like dates.*%Y%m%d"),
    ],
)
def test_dates_that_are_not_read_are_remarked_on(texts, words):
    column, _ = column_of(texts * 40)
    assert column.kind in {"categorical", "high-cardinality", "numeric"}
    frame = pd.DataFrame({"c": texts * 40})
    found = str(profile(frame, np.arange(len(frame)) % 2))
    assert pd.Series(found).str.contains(words).all(), found


@pytest.mark.parametrize("written", ["%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d"])
def test_each_row_s_date_is_read_alone_in_the_form_of_fit(written):
    frame = pd.DataFrame({"x": np.arange(N), "c": DAYS.dt.strftime(written)})
    schema = infer_schema(frame)
    for row in (0, 1, 5):  # the first of February alone has no day above 12
        alone = schema.canonical(frame.iloc[[row]])["c"]
        assert alone.tolist() == [DAYS[row]]


@pytest.mark.parametrize(
    "later",
    [DAYS, DAYS.dt.strftime("%Y-%m-%d"), DAYS.dt.strftime("%d/%m/%Y")[:2]],
    ids=["timestamps", "year first", "ambiguous"],
)
def test_the_form_of_dates_is_still_known_after_a_refit(later):
    frame = pd.DataFrame({"x": np.arange(N), "c": DAYS.dt.strftime("%d/%m/%Y")})
    seen = infer_schema(frame)
    again = infer_schema(frame[: len(later)].assign(c=later), seen)
    assert again.columns[1].kind == "datetime"
    pd.testing.assert_frame_equal(again.canonical(frame), seen.canonical(frame))


@pytest.mark.parametrize(
    "later",
    [
        pd.Timestamp("2024-12-31"),
        dt.date(2024, 12, 31),
        np.datetime64("2024-12-31"),
        "2024-12-31",
        "2024/12/31",
        "20241231",
        20241231,
        20241231.0,
        "2024-12-31 00:00:00+00:00",
    ],
    ids=lambda value: f"{type(value).__name__} {value}",
)
@pytest.mark.parametrize("fitted", ["%d/%m/%Y", None], ids=["text", "datetime64"])
def test_dates_may_arrive_in_another_type(later, fitted):
    days = DAYS if fitted is None else DAYS.dt.strftime(fitted)
    schema = infer_schema(pd.DataFrame({"x": np.arange(N), "c": days}))
    for values in ([later], [later, None]):
        frame = pd.DataFrame({"x": 1, "c": pd.Series(values, dtype=object)})
        read = schema.canonical(frame)["c"]
        assert read[0] == pd.Timestamp("2024-12-31")


@pytest.mark.parametrize(
    "later", ["31/12/2024", "12/31/2024", "n/a?", "soon", "2024-02-30", 3.5, "08:30"]
)
def test_what_is_no_date_in_the_form_of_fit_is_refused(later):
    schema = infer_schema(pd.DataFrame({"x": np.arange(N), "day": DAYS}))
    frame = pd.DataFrame({"x": 1, "day": ["2024-01-01", later]})
    with pytest.raises(BadInputError, match=rf"column 'day' held dates.*{later}"):
        schema.canonical(frame)


@pytest.mark.parametrize("later", ["2024-01-01", "noon", 8, "25:00"])
def test_what_is_no_time_of_day_is_refused(later):
    schema = infer_schema(pd.DataFrame({"x": np.arange(2), "c": ["8:30", "17:00"]}))
    with pytest.raises(BadInputError, match=rf"'c' held times of day.*{later}"):
        schema.canonical(pd.DataFrame({"x": 1, "c": ["8:30", later]}))


def test_dates_and_complex_numbers_are_no_numbers():
    schema = infer_schema(pd.DataFrame({"x": np.arange(N), "c": AMOUNTS}))
    for values in (DAYS, DAYS.dt.date, DAYS.dt.strftime("%Y-%m-%d"), 1j):
        with pytest.raises(BadInputError, match="'c' was numeric when fitted"):
            schema.canonical(pd.DataFrame({"x": np.arange(N), "c": values}))


@pytest.mark.parametrize(
    "values",
    [
        [f"{i % 9}.{i % 7}.{i % 90}" for i in range(N)],
        [f"10.0.{i % 255}.{i % 200}" for i in range(N)],
        [f"{i:05}" for i in range(N)],
        [f"CUST{i}" for i in range(N)],
    ],
    ids=["versions", "addresses", "postcodes", "customers"],
)
def test_codes_get_no_remark(values):
    assert not column_of(values)[0].remark


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (DAYS.dt.strftime("%Y-%m-%d"), "datetime"),
        (AMOUNTS.astype(str), "numeric"),
        (["u", "v"] * (N // 2), "categorical"),
    ],
    ids=["dates", "numbers", "words"],
)
def test_bytes_are_read_as_text(texts, kind):
    column, rows = column_of(list(texts))
    same, found = column_of([text.encode() for text in texts])
    assert (same, column.kind) == (column, kind)
    pd.testing.assert_frame_equal(found, rows)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\ud83d and more"])
def test_half_a_surrogate_pair_is_a_category(text):
    values = pd.Series(np.array([text, "ü"] * 4, dtype=object), dtype=object)
    column, rows = column_of(values)
    assert (column.kind, column.n_unique) == ("categorical", 2)
    assert rows["c"].tolist()[1] == "ü"


# --- numbers


@pytest.mark.parametrize("mark", ["?", "-", "", "n/a", "N/A", "NULL", " . "])
@pytest.mark.parametrize("n", [2, 50])
def test_numbers_with_signs_of_gaps_are_numbers_with_gaps(mark, n):
    column, rows = column_of(every(AMOUNTS, n, mark))
    assert (column.kind, column.has_missing) == ("numeric", True)
    expected = np.where(np.arange(N) % n, AMOUNTS, np.nan)
    np.testing.assert_array_equal(rows["c"], expected)
    assert "read as numbers with gaps" in column.remark
    assert repr(mark.strip()) in column.remark


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([f"{v:,.2f}" for v in AMOUNTS * 100], "separators of thousands.*to_numeric"),
        ([f"{v:.2f}".replace(".", ",") for v in AMOUNTS], "decimal comma.*to_numeric"),
        ([f"{v:.0f}%" for v in AMOUNTS], "percentages.*to_numeric"),
        ([f"${v:,.2f}" for v in AMOUNTS], "amounts of money.*to_numeric"),
        ([f"{v:.0f} €" for v in AMOUNTS], "amounts of money.*to_numeric"),
        ([f"{v:.1f} kg" for v in AMOUNTS], "numbers with units.*to_numeric"),
        (every(AMOUNTS, 50, "unknown"), "numbers.*but for 'unknown'.*to_numeric"),
        ([str(10**25 + i) for i in range(N)], r"beyond 64 bits.*astype\(float\)"),
        (["9" * 5_000 + str(i) for i in range(N)], r"beyond 64 bits"),
        ([10**25 + i * 10**20 for i in range(N)], r"beyond 64 bits.*astype\(str\)"),
        ([str(i) for i in range(N)], "whole numbers in text.*to_numeric"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else str(value[1]),
)
def test_numbers_that_are_not_read_are_remarked_on_and_not_to_be_dropped(values, words):
    frame = pd.DataFrame({"c": pd.Series(values, dtype=object)})
    found = profile(frame, np.arange(N) % 2)
    assert pd.Series(str(found)).str.contains(words).all(), found
    assert "AIM006" not in {check.code for check in found.checks}


def test_the_fixes_of_the_remarks_give_numbers():
    for values in (
        [f"{v:,.2f}" for v in AMOUNTS * 100],
        [f"{v:.2f}".replace(".", ",") for v in AMOUNTS],
        [f"{v:.2f}%" for v in AMOUNTS],
        [f"${v:,.2f}" for v in AMOUNTS],
        [f"{v:.2f} kg" for v in AMOUNTS],
    ):
        X = pd.DataFrame({"c": values})
        remark = infer_schema(X.assign(x=AMOUNTS)).columns[0].remark
        fix = remark[remark.index("pd.to_numeric") :]
        numbers = eval(fix, {"pd": pd, "X": X})
        assert numbers.notna().all()
        assert np.corrcoef(numbers, AMOUNTS)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize(
    "value",
    ["2.5", " 2.5 ", 2.5, np.float32(2.5), Decimal("2.5"), "25e-1"],
    ids=repr,
)
def test_numbers_may_arrive_in_another_type(value):
    schema = infer_schema(pd.DataFrame({"x": np.arange(N), "c": AMOUNTS}))
    for values in ([value], [value, None], [value, "?"], [value, 7]):
        for dtype in (object, "category"):
            frame = pd.DataFrame({"x": 1, "c": pd.Series(values, dtype=dtype)})
            assert np.asarray(schema.canonical(frame))[0, 1] == 2.5


@pytest.mark.parametrize("texts", [["True", "False"], ["true", "false"]])
def test_truth_values_may_arrive_as_text(texts):
    schema = infer_schema(pd.DataFrame({"x": np.arange(4), "c": [True, False] * 2}))
    rows = schema.canonical(pd.DataFrame({"x": 1, "c": texts}))
    np.testing.assert_array_equal(np.asarray(rows)[:, 1], [1, 0])


@pytest.mark.parametrize("as_frame", [False, True])
@pytest.mark.parametrize("big", [1e39, -1e155, 1.7e308])
def test_huge_numbers_are_read_as_the_largest_that_models_take(big, as_frame):
    X = np.column_stack([np.arange(N), np.where(np.arange(N) % 20, 0.0, big)])
    table = pd.DataFrame(X).assign(t="u").rename(columns=str) if as_frame else X
    read = np.asarray(infer_schema(table).canonical(table))[:, 1]
    np.testing.assert_array_equal(read[::20].astype(float), np.sign(big) * LARGEST)
    assert not read[1:20].any()


@pytest.mark.parametrize("family", ["logistic_regression", "xgboost", "extra_trees"])
def test_huge_numbers_fail_neither_fit_nor_prediction(family):
    rng = np.random.default_rng(0)
    y = (np.arange(200) % 5 == 0).astype(int)
    X = np.column_stack([rng.normal(size=200) + 2 * y, rng.normal(size=200)])
    wide = np.column_stack([X, np.where(np.arange(200) % 20, 0.0, 1e155)])
    options = {"families": family, "n_trials": 1, "cv": 3, "n_jobs": 1}
    plain = AutoImbalance(**options, random_state=0).fit(X, y)
    model = AutoImbalance(**options, random_state=0).fit(wide, y)
    assert set(model.leaderboard_.status) == {"complete"}
    assert model.best_score_ > plain.best_score_ - 0.06
    later = np.where(np.arange(6).reshape(2, 3) == 4, -1e300, wide[:2])
    assert np.isfinite(model.predict_proba(later)).all()
    np.testing.assert_allclose(
        model.predict_proba(later)[0], model.predict_proba(wide[:1])[0]
    )


@pytest.mark.parametrize("family", ["mlp", "soft_vote", "k_neighbours", "svm"])
def test_huge_numbers_may_first_appear_in_a_column_of_small_ones(family):
    rng = np.random.default_rng(0)
    y = (np.arange(200) % 5 == 0).astype(int)
    X = rng.normal(size=(200, 3)) * [1, 1e-3, 1e-150]
    X[:, 0] += 2 * y
    options = {"families": family, "n_trials": 1, "cv": 3, "n_jobs": 1}
    model = AutoImbalance(**options, random_state=0).fit(X, y)
    later = X[:9].copy()
    later[::3, 1:] = 1.7e308, -1.7e308
    later[1::3, 1:] = 1.7e308
    assert np.isfinite(model.predict_proba(later)).all()
    np.testing.assert_allclose(
        model.predict_proba(later)[2::3], model.predict_proba(X[2:9:3]), atol=1e-6
    )


def test_a_huge_number_in_one_row_fails_no_fold():
    """The training part of its fold holds small numbers only."""
    rng = np.random.default_rng(0)
    y = (np.arange(200) % 5 == 0).astype(int)
    X = np.column_stack([rng.normal(size=200) + 2 * y, 1e-3 * rng.normal(size=200)])
    X[7, 1] = -1.7e308
    options = {"families": "soft_vote", "n_trials": 1, "cv": 3, "n_jobs": 1}
    model = AutoImbalance(**options, random_state=0).fit(X, y)
    assert set(model.leaderboard_.status) == {"complete"}


# --- categories


@pytest.mark.parametrize(
    "kind", [int, float, np.float32, np.float16, np.int8, Decimal, str]
)
def test_whole_numbers_of_any_type_name_the_same_category(kind):
    grades = pd.Categorical([1, 2, 3] * 10)
    schema = infer_schema(pd.DataFrame({"x": np.arange(30), "c": grades}))
    later = pd.Series([kind(3), kind(1), None], dtype=object)
    rows = schema.canonical(pd.DataFrame({"x": 1, "c": later}))
    assert rows["c"].tolist()[:2] == ["3", "1"]
