"""Any table becomes the same canonical rows, or an error that says what is wrong."""

import datetime as dt
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from autoimb._table import table as table_module
from autoimb._table.columns import infer_schema, take
from autoimb._table.table import check_labels, check_table
from autoimb.exceptions import BadInputError

N = 8
Y = np.array([0, 0, 0, 0, 0, 1, 1, 1])
GAP = None


def frame(**columns):
    return pd.DataFrame({"a": np.arange(float(N)), **columns}, index=range(N))


def column(values, *, dtype=None):
    """Return the schema's column and the canonical values of one column of a frame."""
    table = check_table(frame(b=pd.Series(values, dtype=dtype)), Y)
    rows = table.X
    read = rows["b"].tolist() if isinstance(rows, pd.DataFrame) else rows[:, 1].tolist()
    return table.schema.columns[1], read


def days(n=N, **options):
    return pd.date_range("2020-01-01", periods=n, **options)


# --- bad input


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (frame(), np.zeros(N), "only one class, 0.0: a classifier needs at least two"),
        (frame(), list("aaaaaaab"), r"at least 2 rows.*'b' has 1.*drop or merge"),
        (frame(), [0, 0, 0, 1, 1, 1, np.nan, 0], r"1 missing labels.*drop those rows"),
        (frame(), [*"abababa", None], "1 missing labels"),
        (frame(), Y[:5], "inconsistent numbers of samples.*X: 8, y: 5"),
        (frame(), None, "y to be passed, but the target y is None"),
        (frame(), np.zeros((N, 2)), "one column of labels is needed"),
        (frame(), [0.0, 0, 0, 0, 1, 1, 1, np.inf], "y contains infinity"),
        (frame(), sparse.csr_array(Y[:, None]), "pass a dense array of labels"),
        (pd.DataFrame(index=range(N)), Y, "X has no columns"),
        (frame().iloc[:0], Y, "X has no rows"),
        (frame(b=1).set_axis(["a", "a"], axis=1), Y, r"duplicate column.*\['a'\]"),
        (frame(b=1).set_axis([1, "1"], axis=1), Y, r"duplicate column.*\['1'\]"),
        (np.ones((N, 2)), Y, "all 2 features are constant"),
        (frame(a=1.0, b="x"), Y, "all 2 features are constant"),
        (frame(b=[1, np.inf] * 4), Y, "infinity or a value too large in column 'b'"),
        (frame(b=[1, -np.inf] * 4, c="x"), Y, "infinity.*in column 'b'"),
        (np.array([[1, np.inf], [2, 2]] * 4), Y, "infinity.*in column '1'"),
        (frame(b=[[1]] * N), Y, "column 'b' holds list values: spread them"),
        (frame(b=[{"u": 1}] * N), Y, "column 'b' holds dict values"),
        (pl.DataFrame({"b": [[1, 2]] * N}), Y, "column 'b' holds ndarray values"),
        (frame(b=[1j] * N), Y, "Complex data not supported: column 'b'"),
        (np.ones((N, 2)) * 1j, Y, "Complex data not supported"),
    ],
)
def test_bad_input_is_refused_in_words(X, y, message):
    with pytest.raises(BadInputError, match=message):
        check_table(X, y)


def test_scikit_learns_own_words_are_kept_where_it_has_some():
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        check_table(np.ones(N), Y)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        check_table(frame(), np.linspace(0, 1, N))
    with pytest.raises(ValueError, match="Negative values in data"):
        check_table(frame(), Y, sample_weight=-np.ones(N))


def test_arrays_beside_the_table_have_its_length():
    with pytest.raises(BadInputError, match="X: 8, y: 8, sample_weight: 2"):
        check_table(frame(), Y, sample_weight=[1, 1])
    with pytest.raises(BadInputError, match="X: 8, y: 8, groups: 2"):
        check_table(frame(), Y, groups=[1, 1])


def test_a_positive_class_that_does_not_occur_is_refused():
    with pytest.raises(BadInputError, match=r"pos_label='x' is not in y.*\[0, 1\]"):
        check_table(frame(), Y, pos_label="x")


# --- kinds of columns


@pytest.mark.parametrize("missing", [False, True], ids=["whole", "with gaps"])
@pytest.mark.parametrize(
    ("values", "dtype", "kind"),
    [
        ([0.5, 2.5], "float64", "numeric"),
        ([1, 2], "Int64", "numeric"),
        ([1.5, 2.5], "double[pyarrow]", "numeric"),
        ([Decimal("1.5"), Decimal(2)], "object", "numeric"),
        ([1, 2.5], "object", "numeric"),
        (pd.to_timedelta([5, 90], unit="s"), None, "numeric"),
        (list(pd.to_timedelta([5, 90], unit="s")), "object", "numeric"),
        ([True, False], "object", "boolean"),
        ([np.True_, np.False_], "object", "boolean"),
        ([True, False], "boolean", "boolean"),
        ([True, False], "category", "boolean"),
        (list("uv"), "str", "categorical"),
        (list("uv"), "string", "categorical"),
        (list("uv"), "category", "categorical"),
        ([1, 2], "category", "categorical"),
        ([1, "u"], "object", "categorical"),
        (["2020-01-05", "2021-03-04"], "object", "datetime"),
        (["2020-01-05T10:30:00", "2021-03-04 10:30"], "object", "datetime"),
        (["2020-01-05T10:30:00+02:00", "2021-03-04"], "object", "datetime"),
        (["8:30:00", "17:00:05"], "object", "time of day"),
        (["8:30", "17:00"], "str", "time of day"),
        (["8:30", "27:00"], "str", "categorical"),
        ([dt.time(8, 30), dt.time(17, 0, 0, 5)], "object", "time of day"),
        ([dt.date(2020, 1, 5), dt.date(2021, 3, 4)], "object", "datetime"),
        ([dt.date(2020, 1, 5), dt.date(2021, 3, 4)], "date32[pyarrow]", "datetime"),
        (days(2), None, "datetime"),
        (days(2, tz="Europe/Berlin"), None, "datetime"),
        (days(2), "timestamp[us][pyarrow]", "datetime"),
    ],
)
def test_kind_of_a_column(values, dtype, kind, missing):
    values = [*values, GAP] if missing else list(values)
    repeated = (values * N)[:N]
    found, read = column(repeated, dtype=dtype)
    assert (found.kind, found.has_missing, found.n_unique) == (kind, missing, 2)
    np.testing.assert_array_equal(pd.isna(read), pd.isna(repeated))


@pytest.mark.parametrize(
    ("n_unique", "kind"), [(40, "categorical"), (41, "high-cardinality")]
)
def test_more_than_forty_categories_are_many(n_unique, kind):
    rows = pd.DataFrame({"b": [f"c{i}" for i in range(n_unique)]})
    (found,) = infer_schema(rows).columns
    assert (found.kind, found.n_unique) == (kind, n_unique)


@given(st.times())
def test_a_time_of_day_is_read_the_same_from_text_and_from_objects(when):
    hours = when.hour + (when.minute + (when.second + when.microsecond / 1e6) / 60) / 60
    for values in ([when] * N, [str(when)] * N, [when.isoformat("auto")] * N):
        _, read = column([*values[1:], dt.time(23, 59)])
        seconds = (pd.Series(read)[0] - pd.Timestamp(0)).total_seconds()
        assert seconds / 3600 == pytest.approx(hours)


def test_values_are_read_as_what_they_mean():
    assert column(pd.to_timedelta([5, 90] * 4, unit="s"))[1][:2] == [5.0, 90.0]
    assert column([True, False] * 4)[1][:2] == [1.0, 0.0]
    assert column([Decimal("1.5"), 2] * 4)[1][:2] == [1.5, 2.0]
    assert column(["8:30:00", "17:00:05"] * 4)[1][:2] == [
        pd.Timestamp("1970-01-01 08:30:00"),
        pd.Timestamp("1970-01-01 17:00:05"),
    ]
    assert column(["2020-01-01T01:00:00+02:00", "2020-01-01"] * 4)[1][:2] == [
        pd.Timestamp("2019-12-31 23:00"),
        pd.Timestamp("2020-01-01"),
    ]


@pytest.mark.parametrize("dtype", ["Int64", "float64", "category", "object"])
def test_whole_numbers_name_the_same_category_with_and_without_gaps(dtype):
    schema = check_table(frame(b=pd.Series([1, 2] * 4, dtype="category")), Y).schema
    later = pd.DataFrame({"a": [0.0, 1, 2], "b": pd.Series([1, 2, GAP], dtype=dtype)})
    assert schema.canonical(later)["b"].tolist()[:2] == ["1", "2"]


def test_a_column_that_tells_no_rows_apart_is_constant():
    schema = check_table(frame(b="x", c=np.nan, d=[1, GAP] * 4), Y).schema
    kinds = sorted(column.kind for column in schema.columns)
    assert kinds == ["constant", "constant", "numeric", "numeric"]


def test_numbers_alone_are_one_float_matrix():
    table = check_table(frame(b=pd.Series([1, GAP] * 4, dtype="Int64")), Y)
    assert table.X.dtype == np.float64
    assert not table.schema.is_frame
    as_objects = check_table(np.array([[1, 2.5], [2, None]] * 4, dtype=object), Y)
    as_floats = check_table(np.array([[1, 2.5], [2, np.nan]] * 4), Y)
    np.testing.assert_array_equal(as_objects.X, as_floats.X)


def test_lists_of_mixed_values_keep_numbers_as_numbers():
    schema = check_table([[1, "u"], [2, "v"]] * 4, Y).schema
    assert [c.kind for c in schema.columns] == ["numeric", "categorical"]


MIXED = {
    "number": [0.5, None, 2, 3, 4, 5, 6, 7],
    "whole": [1, 2, None, 4, 5, 6, 7, 8],
    "text": ["u", "v", None, "u", "u", "v", "w", "u"],
    "flag": [True, None, False, True, True, False, True, True],
    "day": [dt.date(2020, 1, 1 + i) for i in range(N)],
    "moment": [dt.datetime(2020, 1, 1, i, 30) for i in range(N - 1)] + [None],
    "clock": [dt.time(8, i) for i in range(N)],
    "lasted": [dt.timedelta(seconds=i) for i in range(N)],
    "nothing": [None] * N,
}


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_other_libraries_tables_equal_pandas_tables(library):
    other = pl.DataFrame(MIXED)
    if library == "pyarrow":
        pytest.importorskip("pyarrow")
        other = other.to_arrow()
    expected = check_table(pd.DataFrame(MIXED), Y)
    found = check_table(other, Y)
    pd.testing.assert_frame_equal(found.X, expected.X)
    assert found.schema == expected.schema
    assert found.fingerprint == expected.fingerprint


def test_polars_categories_equal_text():
    text = pl.DataFrame(MIXED).with_columns(pl.col("text").cast(pl.Categorical))
    assert check_table(text, Y).fingerprint == check_table(MIXED_FRAME, Y).fingerprint


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["1", "2", "?"])], ids=str)
def test_categories_of_numbers_stay_categories(dtype):
    series = pl.Series(["1", "2", "?", "1"] * 2).cast(dtype)
    table = check_table(pl.DataFrame({"a": range(N), "b": series}), Y)
    assert table.schema.columns[1].kind == "categorical"
    assert table.X["b"].tolist() == series.to_list()


# --- canonical rows

MIXED_FRAME = pd.DataFrame(MIXED)


@given(st.lists(st.integers(0, N - 1), min_size=1, max_size=N))
@settings(max_examples=15, deadline=None)
def test_canonical_reads_every_row_alone(rows):
    schema = check_table(MIXED_FRAME, Y).schema
    together = take(schema.canonical(MIXED_FRAME), np.array(rows))
    alone = schema.canonical(MIXED_FRAME.iloc[rows])
    pd.testing.assert_frame_equal(alone, together.reset_index(drop=True))


def test_the_index_and_later_changes_of_the_users_frame_do_not_matter():
    repeated_index = MIXED_FRAME.set_index(pd.Index([7] * N))
    expected = check_table(MIXED_FRAME, Y)
    found = check_table(repeated_index, pd.Series(Y, index=range(N, 2 * N)))
    pd.testing.assert_frame_equal(found.X, expected.X)


@pytest.fixture
def schema():
    X = frame(text=list("uvuvuvuv"), day=days().astype(str), same="x")
    return check_table(X, Y).schema


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT], ids=repr)
def test_columns_may_arrive_with_nothing_but_gaps(schema, gap):
    X = pd.DataFrame({"a": [1.0], "text": [gap], "day": [gap], "same": [gap]})
    whole = schema.canonical(frame(text="u", day="2020-01-01", same="x"))
    read = schema.canonical(X)
    assert read[["text", "day"]].isna().all(axis=None)
    assert read["same"].tolist() == [0.0]
    assert read.dtypes.to_dict() == whole.dtypes.to_dict()


def test_unseen_values_are_read_as_they_come(schema):
    X = pd.DataFrame({"a": ["1.5"], "text": [3], "day": ["?"], "same": ["new"]})
    read = schema.canonical(X)
    assert read["a"].tolist() == [1.5]
    assert read["text"].tolist() == ["3"]
    assert read["day"].isna().all()
    assert read["same"].tolist() == [0.0]


@pytest.mark.parametrize("as_frame", [True, False])
def test_text_for_numbers_is_refused_by_name(as_frame):
    X = pd.DataFrame({0: np.arange(float(N)), 1: np.arange(float(N))})
    matrix = check_table(X, Y).schema
    bad = pd.DataFrame({0: [1.0], 1: ["x"]})
    with pytest.raises(BadInputError, match="column 1 was numeric when fitted"):
        matrix.canonical(bad if as_frame else bad.to_numpy())


# --- labels


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (list("aaaaabbb"), ["a", "b"]),
        (np.array(list("aaaaabbb")), ["a", "b"]),
        (pd.Series(list("aaaaabbb"), dtype="category"), ["a", "b"]),
        (pl.Series(list("aaaaabbb")), ["a", "b"]),
        ([False] * 5 + [True] * 3, [False, True]),
        (pd.Series([0] * 5 + [1] * 3, dtype="Int64"), [0, 1]),
        ([0.0] * 5 + [1.0] * 3, [0.0, 1.0]),
        ([(0, 1)] * 5 + [(1, 0)] * 3, [(0, 1), (1, 0)]),
        (pd.Series([(0, 1)] * 5 + [(1, 0)] * 3), [(0, 1), (1, 0)]),
        ([1] * 5 + ["1"] * 3, [1, "1"]),
        (np.array([7] * 5 + ["u"] * 3, dtype=object), [7, "u"]),
        ([dt.date(2020, 1, 1)] * 5 + [dt.date(2021, 1, 1)] * 3, None),
    ],
    ids=[
        *("list", "array", "category", "polars", "bool", "Int64", "float"),
        *("tuple", "tuples", "mixed", "object", "date"),
    ],
)
def test_labels_of_any_kind_survive(labels, classes):
    table = check_table(frame(), labels)
    classes = classes or [labels[0], labels[-1]]
    assert table.classes.tolist() == classes
    assert list(map(type, table.classes.tolist())) == list(map(type, classes))
    np.testing.assert_array_equal(table.y, Y)
    assert table.pos == 1
    assert check_table(frame(), labels, pos_label=classes[0]).pos == 0


@pytest.mark.parametrize("common", ["None", "NA", "null", "nan", ""])
def test_classes_with_the_names_of_gaps_are_classes(common):
    for labels in (np.array([common, "rare"])[Y], pd.Series([common, "rare"])[Y]):
        assert check_table(frame(), labels).class_counts.tolist() == [5, 3]


@pytest.mark.parametrize("labels", [[b"a", b"b"], np.array([b"a", b"b"])])
def test_labels_may_be_bytes(labels):
    table = check_table(frame(), np.asarray(labels)[Y])
    assert table.classes.tolist() == [b"a", b"b"]


@pytest.mark.parametrize(
    "make",
    [
        pd.Timestamp,
        lambda day: pd.Timestamp(day, tz="UTC"),
        lambda day: pd.Period(day, "M"),
        lambda day: frozenset([day]),
    ],
    ids=["Timestamp", "zone", "Period", "frozenset"],
)
def test_labels_that_cannot_be_saved_are_refused(make):
    labels = np.empty(N, dtype=object)
    labels[:] = [make(f"20{20 + code}-01-01") for code in Y]
    with pytest.raises(BadInputError, match=r"cannot hold: .*y\.astype\(str\)"):
        check_table(frame(), labels)


def test_labels_come_back_from_their_codes():
    labels = np.array(list("cabacbbc"))
    table = check_table(frame(), labels)
    np.testing.assert_array_equal(table.classes[table.y], labels)
    assert table.classes.dtype == labels.dtype
    assert table.pos is None
    np.testing.assert_array_equal(table.class_counts, [2, 3, 3])


@pytest.mark.parametrize(
    ("y", "pos"), [([0] * 5 + [1] * 3, 1), ([0] * 3 + [1] * 5, 0), ([0, 1] * 4, 1)]
)
def test_the_rarer_class_is_positive_and_the_second_of_equal_ones(y, pos):
    assert check_table(frame(), y).pos == pos


def test_none_of_many_classes_is_positive():
    labels = list("aaabbbcc")
    assert check_table(frame(), labels).pos is None
    with pytest.raises(BadInputError, match="pos_label='a' applies to two classes"):
        check_table(frame(), labels, pos_label="a")


def test_checked_labels_are_one_dimensional():
    assert check_labels(pl.Series(Y)).shape == (N,)
    assert check_labels([("u", 1), ("v", 2)]).shape == (2,)


# --- fingerprint


def test_the_fingerprint_is_of_the_content():
    expected = check_table(MIXED_FRAME, Y).fingerprint
    same = [
        check_table(MIXED_FRAME.copy(), Y.tolist()),
        check_table(MIXED_FRAME.set_index(pd.Index(list("abcdefgh"))), Y),
        check_table(MIXED_FRAME, Y, sample_weight=np.ones(N)),
        check_table(MIXED_FRAME, Y, pos_label=0),
        pickle.loads(pickle.dumps(check_table(MIXED_FRAME, Y))),
    ]
    assert {table.fingerprint for table in same} == {expected}


@pytest.mark.parametrize("name", [name for name in MIXED if name != "nothing"])
def test_the_fingerprint_changes_with_a_cell(name):
    changed = MIXED_FRAME.astype(object)
    changed.loc[0, name] = changed.loc[3, name] if name != "flag" else False
    if name == "text":
        changed.loc[0, name] = "w"
    found = check_table(changed, Y).fingerprint
    assert found != check_table(MIXED_FRAME, Y).fingerprint


def test_the_fingerprint_changes_with_labels_weights_names_and_order():
    X = frame(b=np.arange(N) ** 2)
    changed = [
        check_table(X, Y),
        check_table(X, 1 - Y),
        check_table(X, Y[[5, 1, 2, 3, 4, 0, 6, 7]]),
        check_table(X, Y, sample_weight=[2.0] + [1.0] * (N - 1)),
        check_table(X.rename(columns={"b": "c"}), Y),
        check_table(X.iloc[:, ::-1], Y),
        check_table(X.iloc[[1, 0, *range(2, N)]], Y),
    ]
    assert len({table.fingerprint for table in changed}) == len(changed)


def test_equal_rows_have_equal_hashes():
    X = pd.DataFrame(
        {"a": [0.0, -0.0, np.nan, np.nan, 1], "b": [*"uu", None, None, "u"]}
    )
    hashes = check_table(X, [0, 0, 1, 1, 0]).row_hashes
    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3]
    assert len(set(hashes.tolist())) == 3


# --- many rows


@pytest.mark.parametrize("as_array", [True, False])
def test_rows_hashed_in_parts_have_the_same_hashes(as_array, monkeypatch):
    X = frame(b=[1.0, GAP, 3.0, 3.0, 5.0, 0.0, 1.0, 2.0])
    X = X.to_numpy() if as_array else X.assign(c=[*list("xyzxyzx"), GAP])
    at_once = check_table(X, Y)
    monkeypatch.setattr(table_module, "_HASHED_AT_ONCE", 3)
    in_parts = check_table(X, Y)
    np.testing.assert_array_equal(in_parts.row_hashes, at_once.row_hashes)
    assert in_parts.fingerprint == at_once.fingerprint


@given(
    st.lists(st.sampled_from([0.0, -0.0, 1.0, 1e300, 5e-324, np.nan]), min_size=1),
)
def test_distinct_numbers_are_counted_as_pandas_counts_them(values):
    numbers = pd.Series(values, dtype=float)
    rows = pd.DataFrame({"a": numbers, "b": np.arange(len(values)) / 2, "c": 1.0})
    rows.loc[len(rows)] = [np.nan, -1.0, 2.0]  # something to learn from
    for X in (rows, rows.to_numpy()):
        found = infer_schema(X).columns[0]
        assert found.n_unique == numbers.nunique()
        assert found.has_missing


@pytest.mark.newest  # pandas 2 copies
def test_a_frame_is_read_without_copying_its_numbers_and_left_as_it_is():
    X = frame(b=list("xyzxyzxy"))
    table = check_table(X, Y)
    assert np.shares_memory(table.X["a"].to_numpy(), X["a"].to_numpy())
    with pytest.raises(ValueError, match="read-only"):
        table.X["a"].to_numpy()[0] = 9


# --- what else arrays and frames may be

BY_ROW = {"sample_weight": np.arange(1.0, N + 1), "groups": np.arange(N) // 2}


def masked(values, mask):
    return np.ma.array(values, mask=mask)


@pytest.mark.parametrize("kind", [float, int, object, str, "datetime64[D]"])
def test_masked_cells_are_gaps(kind):
    X = np.arange(2 * N).reshape(N, 2) + 8
    X = X.astype("int64").astype(kind) if kind is not str else X.astype("U2")
    mask = np.zeros(X.shape, dtype=bool)
    mask[::4, 0] = True
    read = pd.DataFrame(check_table(masked(X, mask), Y).X)
    np.testing.assert_array_equal(read.isna(), mask)
    expected = pd.DataFrame(check_table(X, Y).X)
    assert (read[~mask.any(axis=1)] == expected[~mask.any(axis=1)]).all(axis=None)


@pytest.mark.parametrize("name", ["y", "sample_weight", "groups", "costs"])
def test_masked_values_beside_the_table_are_refused(name):
    arrays = {"y": Y, **BY_ROW, "costs": np.column_stack([Y, 1 - Y])}
    whole = masked(arrays[name], np.zeros(arrays[name].shape, dtype=bool))
    check_table(frame(), **{**arrays, name: whole})
    hidden = whole.copy()
    hidden[3] = np.ma.masked
    with pytest.raises(BadInputError, match=rf"^{name} has \d masked values: drop"):
        check_table(frame(), **{**arrays, name: hidden})


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">f4", ">u2"])
@pytest.mark.parametrize("shape", ["array", "frame", "fields"])
def test_arrays_of_the_other_byte_order_are_read_alike(dtype, shape):
    X = np.column_stack([np.arange(N), np.arange(N) % 3])
    swapped = X.astype(dtype)
    if shape == "frame":
        X = pd.DataFrame(X, columns=["a", "b"]).assign(t=list("uv" * 4))
        swapped = pd.DataFrame(swapped, columns=["a", "b"]).assign(t=list("uv" * 4))
    elif shape == "fields":
        swapped = swapped.view([("a", dtype), ("b", dtype)]).ravel()
        X = pd.DataFrame(X, columns=["a", "b"])
    given = {"y": Y, **{name: v.astype(int) for name, v in BY_ROW.items()}}
    expected = check_table(X, **given)
    found = check_table(swapped, **{k: v.astype(">i4") for k, v in given.items()})
    assert found.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(found.units, expected.units)
    assert found.classes.tolist() == expected.classes.tolist()
    assert found.classes.dtype.isnative
    raw = pd.DataFrame(found.with_raw_rows(swapped).X)  # for a model of the user's own
    assert all(t.isnative for t in raw.dtypes if isinstance(t, np.dtype))


@pytest.mark.parametrize("name", BY_ROW)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda v: pd.DataFrame({"c": v}),
        lambda v: pl.DataFrame({"c": v}),
        pl.Series,
        lambda v: v[:, None],
        lambda v: v.tolist(),
        lambda v: pd.Series(v, index=range(50, 50 + N)),
    ],
    ids=["pandas", "polars", "polars series", "array", "list", "series"],
)
def test_one_column_is_as_good_as_a_vector(name, wrap):
    expected = check_table(frame(), Y, **BY_ROW)
    found = check_table(frame(), Y, **{**BY_ROW, name: wrap(BY_ROW[name])})
    np.testing.assert_array_equal(found.units, expected.units)
    np.testing.assert_array_equal(found.sample_weight, expected.sample_weight)


def test_costs_in_a_dict_are_refused_in_one_line():
    with pytest.raises(BadInputError, match=r"costs is a dict: pass pd"):
        check_table(frame(), Y, costs={0: list(Y), 1: list(1 - Y)})


@pytest.mark.parametrize("name", BY_ROW)
def test_several_columns_are_refused_where_one_is_needed(name):
    wide = pd.DataFrame({"a": BY_ROW[name], "b": BY_ROW[name]})
    with pytest.raises(BadInputError, match=rf"{name} has shape \(8, 2\): one value"):
        check_table(frame(), Y, **{name: wide})


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (pl.DataFrame({"a": range(N)}).lazy(), r"X is a LazyFrame: call .collect\(\)"),
        ({"a": list(range(N))}, r"X is a dict: pass pd.DataFrame\(X\)"),
        ([{"a": i} for i in range(N)], r"X is a list: pass pd.DataFrame\(X\)"),
        ("table.csv", r"X is a str: read the file first, as by pd.read_csv\(X\)"),
        ((row for row in [[1], [2]]), r"X is a generator: pass list\(X\)"),
        (pl.DataFrame({"a": [{"u": 1}] * N}), "column 'a' holds dict values: spread"),
    ],
    ids=["lazy", "dict", "records", "path", "generator", "struct"],
)
def test_what_is_no_table_is_refused_in_one_line(X, words):
    with pytest.raises(BadInputError, match=words) as caught:
        check_table(X, Y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["y", "sample_weight", "groups", "costs"])
def test_lazy_frames_beside_the_table_are_refused(name):
    lazy = pl.DataFrame({"a": range(N)}).lazy()
    with pytest.raises(BadInputError, match=rf"{name} is a LazyFrame: call .collect"):
        check_table(frame(), **{"y": Y, name: lazy})


# --- costs by class


COSTS = {"no": np.where(Y, 9.0, 0.0), "yes": np.where(Y, 0.0, 2.0)}


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
@pytest.mark.parametrize("names", [["no", "yes"], ["yes", "no"]], ids="-".join)
def test_costs_in_a_frame_are_taken_by_the_names_of_classes(names, library):
    labels = np.where(Y, "yes", "no")
    costs = library.DataFrame({name: COSTS[name] for name in names})
    found = check_table(frame(), labels, costs=costs).costs
    np.testing.assert_array_equal(found, np.column_stack(list(COSTS.values())))


def test_names_of_costs_may_be_numbers_and_a_frame_may_have_none():
    values = np.column_stack(list(COSTS.values()))
    swapped = pd.DataFrame(values[:, ::-1], columns=[1, 0])
    for costs in (swapped, pd.DataFrame(values), pl.DataFrame(values), values.tolist()):
        np.testing.assert_array_equal(
            check_table(frame(), Y, costs=costs).costs, values
        )
    unnamed = check_table(frame(), np.where(Y, "b", "a"), costs=pd.DataFrame(values))
    np.testing.assert_array_equal(unnamed.costs, values)


@pytest.mark.parametrize("names", [["no", "maybe"], ["no", "yes", "id"], ["no"]])
def test_costs_of_other_names_are_refused(names):
    costs = pd.DataFrame({name: np.arange(N) for name in names})
    with pytest.raises(BadInputError, match=r"costs has the columns.*'no'.*classes"):
        check_table(frame(), np.where(Y, "yes", "no"), costs=costs)
