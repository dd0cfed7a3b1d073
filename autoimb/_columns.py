"""Read the columns of any table into one canonical form.

Nothing here is fitted: a `Schema` names each column's kind, and `Schema.canonical`
rewrites rows one by one, so the same call serves training rows, validation rows and
rows that arrive years later. Whatever must be learned from data (imputation, scaling,
category codes) lives in ``_encoding`` and is fitted inside a fold.
"""

from __future__ import annotations

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
    from collections.abc import Sequence

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
Matrix = Any  # float ndarray, or pandas DataFrame of float, datetime and text columns

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?")
_CLOCK_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?")
MANY_CATEGORIES = 40  # a text column with more is of high cardinality
_N_SNIFFED = 200  # rows read to tell dates written as text from other text
_PATTERNS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (_ISO_DATE, "datetime"),
    (_CLOCK_TIME, "time of day"),
)
_NOT_NUMBERS = {"datetime", "time of day", "categorical", "high-cardinality"}
_OBJECT_KINDS: tuple[tuple[Any, Kind], ...] = (
    ((bool, np.bool_), "boolean"),
    ((numbers.Real, Decimal, timedelta), "numeric"),
    (date, "datetime"),
)


def since_1970(dates: Any, unit: Literal["h", "D"]) -> NDArray[np.float64]:
    """Return dates as hours or days since 1970; NaT becomes NaN.

    pandas would count in nanoseconds, which reach from 1677 to 2262 only: an open end
    is often written as the year 9999.
    """
    when = np.asarray(dates, dtype="datetime64[us]")
    passed = when - np.datetime64(0, "us")
    days: NDArray[np.float64] = passed / np.timedelta64(1, unit)
    return days


@dataclass(frozen=True, slots=True)
class Column:
    """One input column: its name, and how its values are to be read."""

    name: str
    kind: Kind
    has_missing: bool
    n_unique: int
    """Distinct observed values among the training rows."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table, fixed when the training rows were seen."""

    columns: tuple[Column, ...]
    is_frame: bool
    """Whether rows are kept as a DataFrame (False: one float matrix)."""
    as_given: bool = False
    """Whether rows are left as the user wrote them, for a model of the user's own."""

    def positions(self, *kinds: Kind) -> list[int]:
        """Return the positions of the columns of these kinds."""
        return [i for i, column in enumerate(self.columns) if column.kind in kinds]

    @property
    def numeric(self) -> list[int]:
        """Positions of the columns that are numbers as they stand."""
        return self.positions("numeric", "boolean")

    @property
    def categorical(self) -> list[int]:
        """Positions of the columns that hold text or categories, few or many."""
        return self.positions("categorical", "high-cardinality")

    @property
    def coded(self) -> list[int]:
        """Positions of the columns with categories few enough for a code each."""
        return self.positions("categorical")

    @property
    def has_missing(self) -> bool:
        """Whether any column that carries information has gaps."""
        return any(c.has_missing for c in self.columns if c.kind != "constant")

    def kind_counts(self) -> dict[str, int]:
        """Return how many columns there are of each kind that occurs."""
        kinds = [column.kind for column in self.columns]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def canonical(self, X: Any) -> Matrix:
        """Return X as every stage expects it, row by row, with nothing learned."""
        frame = as_rows(X)
        if self.as_given:
            return frame
        if not self.is_frame:
            return _float_matrix(frame)
        if not isinstance(frame, pd.DataFrame):
            frame = pd.DataFrame(frame)
        return pd.DataFrame(
            {
                str(column.name): _READERS[column.kind](frame.iloc[:, i])
                for i, column in enumerate(self.columns)
            },
            copy=False,
        )


def take(X: Matrix, rows: NDArray[Any]) -> Matrix:
    """Return the given rows of a canonical matrix or frame."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]


def infer_schema(rows: Any) -> Schema:
    """Return the kind of every column of a frame or array."""
    if not isinstance(rows, pd.DataFrame):
        if rows.dtype.kind in "biuf":
            matrix = _float_matrix(rows)
            columns = [
                _number_column(str(i), "numeric", column)
                for i, column in enumerate(matrix.T)
            ]
            return _check_schema(columns, is_frame=False)
        rows = pd.DataFrame(rows).infer_objects()
    columns = [_frame_column(rows.iloc[:, i]) for i in range(rows.shape[1])]
    is_frame = any(c.kind in _NOT_NUMBERS for c in columns)
    is_frame = is_frame or not all(map(pd.api.types.is_numeric_dtype, rows.dtypes))
    return _check_schema(columns, is_frame=is_frame)


def _check_schema(columns: Sequence[Column], *, is_frame: bool) -> Schema:
    """Return the schema, or raise if nothing can be learned from it."""
    if all(column.kind == "constant" for column in columns):
        raise BadInputError(
            f"all {len(columns)} features are constant: there is nothing to learn "
            "from. Check how the table was read."
        )
    return Schema(tuple(columns), is_frame=is_frame)


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
    array = X if isinstance(X, np.ndarray) else _array(X)
    if array.dtype.kind == "c":
        raise BadInputError("Complex data not supported: X holds complex numbers.")
    return check_array(
        array,
        dtype=None,
        ensure_all_finite=False,
        ensure_min_features=1,
        estimator="AutoImbalance",
    )


def _array(X: Any) -> NDArray[Any]:
    """Return array-like X as an array; mixed types stay Python objects."""
    array = np.asarray(X)
    return np.asarray(X, dtype=object) if array.dtype.kind in "US" else array


def _pandas_frame(frame: nw.DataFrame[Any]) -> pd.DataFrame:
    """Return a polars or pyarrow table as pandas, without needing pyarrow."""
    columns = {
        name: series.to_list()
        if series.dtype in (nw.String, nw.Categorical, nw.Enum, nw.Object, nw.Boolean)
        else series.to_numpy()
        for name, series in zip(frame.columns, frame.iter_columns(), strict=True)
    }
    return pd.DataFrame(columns)


def _check_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame, or raise if it has no columns, no rows or repeated names."""
    if frame.shape[1] == 0:
        raise BadInputError(
            f"0 feature(s) (shape={frame.shape}) while a minimum of 1 is required: "
            "X has no columns."
        )
    if frame.shape[0] == 0:
        raise BadInputError(
            f"0 sample(s) (shape={frame.shape}) while a minimum of 1 is required: "
            "X has no rows."
        )
    names = pd.Index(_names(frame), dtype=object)
    if not names.is_unique:
        raise BadInputError(
            f"X has duplicate column names: {list(names[names.duplicated()][:5])}; "
            "rename them so that each is unique as text."
        )
    return frame


def _float_matrix(rows: Any) -> NDArray[np.float64]:
    """Return all-numeric rows as one float matrix; NaN passes, infinity raises."""
    if isinstance(rows, np.ndarray) and rows.dtype.kind not in "biuf":
        rows = pd.DataFrame(rows)
    names = _names(rows)
    plain = isinstance(rows, np.ndarray) or all(
        isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in rows.dtypes
    )
    if plain:
        matrix = np.asarray(rows, dtype=np.float64)
    else:
        columns = [_read_number(rows.iloc[:, i]) for i in range(len(names))]
        matrix = np.column_stack(columns)
    # A finite sum shows in one pass, with no mask, that nothing is infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(matrix.sum())
    if suspicious and (infinite := np.isinf(matrix).any(axis=0)).any():
        raise _infinite(names[int(np.argmax(infinite))])
    return matrix


def _names(rows: Any) -> list[str]:
    """Return column names, positions for an array."""
    columns = rows.columns if isinstance(rows, pd.DataFrame) else range(rows.shape[1])
    return [str(column) for column in columns]


def _infinite(name: str) -> BadInputError:
    """Return the error for a column with infinite values."""
    return BadInputError(
        f"Input X contains infinity or a value too large in column {name!r}: "
        "replace it by NaN or a finite number."
    )


def _number_column(name: str, kind: Kind, values: NDArray[np.float64]) -> Column:
    """Return what a column of floats is; sorting them beats hashing them."""
    ordered = np.sort(values)  # gaps come last
    n_observed = int(np.searchsorted(ordered, np.nan))
    n_steps = np.count_nonzero(np.diff(ordered[:n_observed]))
    return _column(
        name,
        kind,
        has_missing=n_observed < len(values),
        n_unique=int(n_steps) + (n_observed > 0),
    )


def _frame_column(series: pd.Series[Any]) -> Column:
    """Return what one column of a DataFrame is."""
    name, kind = str(series.name), _column_kind(series)
    values = _READERS[kind](series)
    if isinstance(values, np.ndarray):
        return _number_column(name, kind, values)
    n_unique = int(pd.Series(values).nunique())
    if kind == "categorical" and n_unique > MANY_CATEGORIES:
        kind = "high-cardinality"
    has_missing = bool(pd.isna(values).any())
    return _column(name, kind, has_missing=has_missing, n_unique=n_unique)


def _column(name: str, kind: Kind, *, has_missing: bool, n_unique: int) -> Column:
    """Return the column, as constant if it can tell no row from another."""
    informative = n_unique > 1 or (n_unique == 1 and has_missing)
    return Column(name, kind if informative else "constant", has_missing, n_unique)


def _column_kind(series: pd.Series[Any]) -> Kind:
    """Return how a column of a DataFrame is to be read."""
    dtype = series.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_complex_dtype(dtype):
        raise BadInputError(f"Complex data not supported: column {series.name!r}.")
    if pd.api.types.is_numeric_dtype(dtype) or dtype.kind == "m":
        return "numeric"
    if dtype.kind == "M":
        return "datetime"
    if isinstance(dtype, pd.CategoricalDtype):
        return "categorical"
    return _text_kind(series.dropna())


def _text_kind(observed: pd.Series[Any]) -> Kind:
    """Return what a column of Python objects or strings holds."""
    sample = observed.iloc[:_N_SNIFFED]
    for types, kind in _OBJECT_KINDS:
        if len(sample) and all(isinstance(value, types) for value in observed):
            return kind
    nested = [v for v in sample if isinstance(v, (list, dict, set, np.ndarray))]
    if nested:
        raise BadInputError(
            f"column {observed.name!r} holds {type(nested[0]).__name__} values: "
            "spread them over columns of numbers or text first."
        )
    texts = sample.astype(str)
    for pattern, kind in _PATTERNS:
        if len(texts) and all(pattern.fullmatch(text) for text in texts):
            return kind
    return "categorical"


def _read_number(series: pd.Series[Any]) -> NDArray[np.float64]:
    """Return numbers, booleans or durations (as seconds) as floats, NaN for gaps."""
    series = series.infer_objects()
    if series.dtype.kind == "m":
        return np.asarray(series.dt.total_seconds(), dtype=np.float64)
    try:
        if series.dtype == object or pd.api.types.is_string_dtype(series.dtype):
            series = pd.to_numeric(series)
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"column {series.name!r} was numeric when fitted, now it is not: {error}"
        ) from error
    if np.isinf(values).any():
        raise _infinite(str(series.name))
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
    """Return a date's text; a time of day becomes one on the first day of 1970."""
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
    # The dtype is named, as pandas would not see text where all rows are gaps.
    return pd.array(texts, dtype="str")


def _text(value: Any) -> str:
    """Return a category's text; whole floats read as integers, as gaps make them."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)


def _read_constant(series: pd.Series[Any]) -> NDArray[np.float64]:
    """Return zeros: a constant column carries nothing, whatever arrives later."""
    return np.zeros(len(series))


_READERS: dict[str, Any] = {
    "numeric": _read_number,
    "boolean": _read_number,
    "datetime": _read_datetime,
    "time of day": _read_datetime,
    "categorical": _read_text,
    "high-cardinality": _read_text,
    "constant": _read_constant,
}
