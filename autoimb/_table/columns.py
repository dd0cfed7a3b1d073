"""The schema of a table, which reads the rows of any table into canonical rows.

A `Schema` names the kind of each column. `Schema.canonical` reads every row by itself:
nothing is fitted, so the same call serves training rows, validation rows and rows that
arrive years later. What has to be learned from data (imputation, scaling, category
codes) is part of ``encoding`` and fitted inside a fold.
"""

from __future__ import annotations

import contextlib
import numbers
import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_array

from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Kind = Literal[
    "numeric",
    "boolean",
    "datetime",
    "time of day",
    "categorical",
    "high-cardinality",
    "constant",
]
CanonicalRows = Any
"""A float array, or a pandas DataFrame of float, datetime and text columns."""

MANY_CATEGORIES = 40
"""A text column with more categories is of the kind "high-cardinality"."""
_FLOAT_BYTES = 8
_N_INSPECTED = 200  # values that decide whether a text column holds dates
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?")
_CLOCK_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?")
_TEXT_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (_ISO_DATE, "datetime"),
    (_CLOCK_TIME, "time of day"),
)
_OBJECT_KINDS: tuple[tuple[Any, Kind], ...] = (
    ((bool, np.bool_), "boolean"),
    ((numbers.Real, Decimal, timedelta), "numeric"),
    (date, "datetime"),
)
_DTYPE_KINDS: dict[str, Kind] = {
    "b": "boolean",
    "i": "numeric",
    "u": "numeric",
    "f": "numeric",
    "m": "numeric",
    "M": "datetime",
}
"""By `dtype.kind`, the kind of a column."""


def since_1970(dates: Any, unit: Literal["h", "D"]) -> NDArray[np.float64]:
    """Return dates as hours or days since 1970; NaT becomes NaN.

    Nanoseconds, the default of pandas, would reach from 1677 to 2262 only, and 9999 is
    a common year for an open end.
    """
    passed = np.asarray(dates, dtype="datetime64[us]") - np.datetime64(0, "us")
    return np.asarray(passed / np.timedelta64(1, unit))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its name, and how its values are read."""

    name: str
    kind: Kind
    has_missing: bool
    n_unique: int
    """Distinct values among the training rows, gaps not counted."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table, as its training rows define them."""

    columns: tuple[Column, ...]
    is_frame: bool
    """Whether canonical rows are a DataFrame (False: one float matrix)."""
    is_raw: bool = False
    """Whether rows stay as the user wrote them, for a model of the user's own."""

    def positions(self, *kinds: Kind) -> list[int]:
        """Return the positions of the columns of these kinds."""
        return [i for i, column in enumerate(self.columns) if column.kind in kinds]

    @property
    def categorical(self) -> list[int]:
        """Positions of the columns of text or categories, few or many."""
        return self.positions("categorical", "high-cardinality")

    @property
    def has_missing(self) -> bool:
        """Whether any column that is not constant has gaps."""
        return any(c.has_missing for c in self.columns if c.kind != "constant")

    def canonical(self, X: Any) -> CanonicalRows:
        """Return the canonical rows of X, each read by itself."""
        rows = as_rows(X)
        if self.is_raw:
            return rows
        if not self.is_frame:
            return _float_matrix(rows)
        with _unreadable_named("X"):
            frame = pd.DataFrame(rows, copy=False)
        read = {}
        for i, column in enumerate(self.columns):
            with _unreadable_named(f"column {column.name!r}"):
                read[str(column.name)] = _READERS[column.kind](frame.iloc[:, i])
        return pd.DataFrame(read, copy=False)


def take(X: CanonicalRows, rows: NDArray[Any]) -> CanonicalRows:
    """Return the canonical rows at these positions."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]


def infer_schema(rows: Any) -> Schema:
    """Return the schema of a frame or array; raise if all columns are constant."""
    is_frame = False
    if isinstance(rows, np.ndarray) and rows.dtype.kind in "biuf":
        matrix = _float_matrix(rows)
        columns = [_column(str(i), "numeric", v) for i, v in enumerate(matrix.T)]
    else:
        with _unreadable_named("X"):
            frame = pd.DataFrame(rows, copy=False)
            frame = frame.infer_objects() if isinstance(rows, np.ndarray) else frame
        columns = []
        for i in range(frame.shape[1]):
            with _unreadable_named(f"column {frame.columns[i]!r}"):
                kind = _column_kind(frame.iloc[:, i])
                values = _READERS[kind](frame.iloc[:, i])
            columns.append(_column(str(frame.columns[i]), kind, values))
        is_frame = not all(map(pd.api.types.is_numeric_dtype, frame.dtypes)) or any(
            c.kind in {"datetime", "time of day", "categorical", "high-cardinality"}
            for c in columns
        )
    if all(column.kind == "constant" for column in columns):
        raise BadInputError(
            f"all {len(columns)} features are constant: there is nothing to learn "
            "from. Check how the table was read."
        )
    return Schema(tuple(columns), is_frame=is_frame)


def bytes_as_floats(X: Any) -> int:
    """Return what the cells of a table take as floats; 0 if it has no shape.

    Every fit makes such a copy: of the table in its canonical form or, if that is the
    user's own array, of the rows of a fold.
    """
    shape: tuple[int, ...] = getattr(X, "shape", ())
    # A sparse matrix is refused for another reason.
    is_table = len(shape) == 2 and not sparse.issparse(X)
    return _FLOAT_BYTES * shape[0] * shape[1] if is_table else 0


def as_rows(X: Any) -> Any:
    """Return X as a pandas DataFrame with checked names, or as a 2-d array."""
    if sparse.issparse(X):
        raise BadInputError(
            "X is a sparse matrix, which autoimb does not take: pass X.toarray() or "
            "a DataFrame."
        )
    if isinstance(X, pd.DataFrame):
        return _check_frame(X)
    native = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(native, nw.DataFrame):
        return _check_frame(_pandas_frame(native))
    try:
        array = np.asarray(X)
    except ValueError as error:  # rows of several lengths, or cells that hold lists
        raise BadInputError(
            f"X is no table of numbers and texts ({error}): give all rows as many "
            "cells, with one value in each."
        ) from error
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        array = np.asarray(X, dtype=object)  # mixed types stay Python objects
    if array.dtype.kind == "c":
        raise BadInputError("Complex data not supported: X holds complex numbers.")
    return check_array(
        array,
        dtype=None,
        ensure_all_finite=False,
        ensure_min_features=1,
        estimator="AutoImbalance",
    )


def _pandas_frame(frame: nw.DataFrame[Any]) -> pd.DataFrame:
    """Return a polars or pyarrow table as a pandas DataFrame, without pyarrow."""
    listed = (nw.String, nw.Categorical, nw.Enum, nw.Object, nw.Boolean)
    return pd.DataFrame(
        {
            name: series.to_list() if series.dtype in listed else series.to_numpy()
            for name, series in zip(frame.columns, frame.iter_columns(), strict=True)
        }
    )


def _check_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame, or raise if it has no columns, no rows or repeated names."""
    for n, unit, things in zip(
        frame.shape[::-1], ("feature", "sample"), ("columns", "rows"), strict=True
    ):
        if n == 0:
            raise BadInputError(
                f"0 {unit}(s) (shape={frame.shape}) while a minimum of 1 is required: "
                f"X has no {things}."
            )
    names = pd.Index([str(name) for name in frame.columns], dtype=object)
    if not names.is_unique:
        raise BadInputError(
            f"X has duplicate column names: {list(names[names.duplicated()][:5])}; "
            "rename them so that each is unique as text."
        )
    return frame


@contextlib.contextmanager
def _unreadable_named(subject: str) -> Iterator[None]:
    """Name the column, or X, whose values pandas cannot read.

    They are bytes that are no UTF-8, halves of characters, and decimals that signal.
    """
    try:
        yield
    except (UnicodeError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BadInputError(
            f"{subject} holds values that cannot be read ({reason}): turn them "
            "into numbers or text first."
        ) from error


def _float_matrix(rows: Any) -> NDArray[np.float64]:
    """Return rows of numbers as one float matrix; raise for infinite numbers."""
    frame = pd.DataFrame(rows, copy=False)
    if all(isinstance(t, np.dtype) and t.kind in "biuf" for t in frame.dtypes):
        matrix = np.asarray(rows, dtype=np.float64)
    else:
        every_series = [frame.iloc[:, i] for i in range(frame.shape[1])]
        matrix = np.column_stack([_read_number(series) for series in every_series])
    # If the sum is finite, so are all numbers: one pass, and no mask in memory.
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = np.isfinite(matrix.sum())
    if not is_finite and (infinite := np.isinf(matrix).any(axis=0)).any():
        raise _infinity_error(frame.columns[int(np.argmax(infinite))])
    return matrix


def _infinity_error(name: Any) -> BadInputError:
    """Return the error for a column with infinite values."""
    return BadInputError(
        f"Input X contains infinity or a value too large in column {str(name)!r}: "
        "replace it by NaN or a finite number."
    )


def _column(name: str, kind: Kind, values: Any) -> Column:
    """Return the column of a schema with these canonical values."""
    if isinstance(values, np.ndarray):
        # Sorting numbers is faster than `nunique`, which hashes them. Gaps come last.
        ordered = np.sort(values)
        n_observed = int(np.searchsorted(ordered, np.nan))
        n_steps = int(np.count_nonzero(np.diff(ordered[:n_observed])))
        n_unique = n_steps + (n_observed > 0)
    else:
        n_observed = int(pd.notna(values).sum())
        n_unique = int(pd.Series(values).nunique())
    has_missing = n_observed < len(values)
    if n_unique + has_missing < 2:
        kind = "constant"
    elif kind == "categorical" and n_unique > MANY_CATEGORIES:
        kind = "high-cardinality"
    return Column(name, kind, has_missing, n_unique)


def _column_kind(series: pd.Series[Any]) -> Kind:
    """Return how a column of a DataFrame is read, by its dtype or its values."""
    dtype = series.dtype
    if dtype.kind == "c":
        raise BadInputError(f"Complex data not supported: column {series.name!r}.")
    if isinstance(dtype, pd.CategoricalDtype):
        return "boolean" if pd.api.types.is_bool_dtype(dtype) else "categorical"
    return _DTYPE_KINDS.get(dtype.kind) or _value_kind(series.dropna())


def _value_kind(observed: pd.Series[Any]) -> Kind:
    """Return how a column of Python objects or strings is read, by its values."""
    for types, kind in _OBJECT_KINDS:
        if len(observed) and all(isinstance(value, types) for value in observed):
            return kind
    sample = observed.iloc[:_N_INSPECTED]
    nested = [v for v in sample if isinstance(v, (list, dict, set, np.ndarray))]
    if nested:
        raise BadInputError(
            f"column {observed.name!r} holds {type(nested[0]).__name__} values: "
            "spread them over columns of numbers or text first."
        )
    for pattern, kind in _TEXT_KINDS:
        if len(sample) and all(map(pattern.fullmatch, sample.astype(str))):
            return kind
    return "categorical"


def _read_number(series: pd.Series[Any]) -> NDArray[np.float64]:
    """Return numbers, booleans or durations (as seconds) as floats, NaN for gaps."""
    try:
        series = series.infer_objects()
        if series.dtype.kind == "m":
            return np.asarray(series.dt.total_seconds(), dtype=np.float64)
        if series.dtype == object or pd.api.types.is_string_dtype(series.dtype):
            series = pd.to_numeric(series)
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(
            f"column {series.name!r} was numeric when fitted, now it is not: {error}"
        ) from error
    if np.isinf(values).any():
        raise _infinity_error(series.name)
    return values


def _read_datetime(series: pd.Series[Any]) -> pd.Series[Any]:
    """Return dates, times of day or their texts as timestamps, NaT for gaps."""
    if series.dtype.kind != "M" or isinstance(series.dtype, pd.ArrowDtype):
        texts = series.astype(object).where(series.notna(), None)
        texts = texts.map(_full_timestamp, na_action="ignore")
        series = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
    if series.dt.tz is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    # One unit, so that it depends neither on the library nor on the other rows.
    return pd.Series(series.dt.as_unit("us").array)


def _full_timestamp(value: Any) -> str:
    """Return the text of a date; a time of day is one of the first day of 1970."""
    text = str(value)
    if not _CLOCK_TIME.fullmatch(text):
        return text
    hour, rest = text.split(":", 1)
    return f"1970-01-01 {hour:0>2}:{rest}"


def _read_text(series: pd.Series[Any]) -> Any:
    """Return categories as text, NaN for gaps; 1 and 1.0 are the same category."""
    if isinstance(series.dtype, pd.StringDtype):
        return series.astype("str").array
    if isinstance(series.dtype, pd.CategoricalDtype):
        levels = np.array([*map(_text, series.cat.categories), None], dtype=object)
        texts = levels[series.cat.codes.to_numpy()]
    else:
        texts = np.array([_text(value) for value in series], dtype=object)
        texts[series.isna().to_numpy()] = None
    # Without this dtype, pandas would not read a column of gaps as text.
    return pd.array(texts, dtype="str")


def _text(value: Any) -> str:
    """Return the text of a category; gaps turn integers to floats, so 1.0 is "1"."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)


_READERS: dict[str, Any] = {
    "numeric": _read_number,
    "boolean": _read_number,
    "datetime": _read_datetime,
    "time of day": _read_datetime,
    "categorical": _read_text,
    "high-cardinality": _read_text,
    "constant": lambda series: np.zeros(len(series)),
}
"""By kind, the function that reads a column; a constant column may hold anything."""
