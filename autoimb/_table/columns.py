"""The schema of a table, which reads the rows of any table into canonical rows.

A `Schema` names the kind of each column. `Schema.canonical` reads every row by itself:
nothing is fitted, so the same call serves training rows, validation rows and rows that
arrive years later. What has to be learned from data (imputation, scaling, category
codes) is part of ``encoding`` and fitted inside a fold.
"""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_array

from autoimb._table.readers import (
    YEAR_FIRST,
    bounded,
    read_dates,
    read_numbers,
    read_texts,
    read_times,
)
from autoimb._table.sparse_rows import csr_rows, distinct_counts, stays_sparse
from autoimb._table.text_kinds import (
    MANY_CATEGORIES,
    Kind,
    Reading,
    date_number_remark,
    text_reading,
    wide_integer_remark,
)
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CanonicalRows = Any
"""A float array, a CSR matrix of floats, or a pandas DataFrame of float, datetime and
text columns."""

_FLOAT_BYTES = 8
_STORED_BYTES = 12  # of a sparse matrix: a number and the number of its column
_NESTED = (list, dict, set, np.ndarray)
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
    date_form: str = YEAR_FIRST
    """How the texts of dates are written: key of `readers.DATE_FORMS`."""
    remark: str = ""
    """What the user should know of how it is read, after its name."""


@dataclass(frozen=True, slots=True, eq=False)
class SparseColumns(Sequence[Column]):
    """The columns of a sparse matrix: numbers, whose names are their positions.

    A model may have 200,000 of them, of which a file would hold a record each.
    """

    counts: NDArray[np.intp]
    """Distinct numbers in each column."""

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        n_unique = int(self.counts[position])
        kind: Kind = "numeric" if n_unique > 1 else "constant"
        return Column(str(position), kind, has_missing=False, n_unique=n_unique)


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table, as its training rows define them."""

    columns: Sequence[Column]
    is_frame: bool
    """Whether canonical rows are a DataFrame (False: one float matrix)."""
    is_raw: bool = False
    """Whether rows stay as the user wrote them, for a model of the user's own."""
    is_sparse: bool = False
    """Whether canonical rows are a sparse matrix."""

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
        if self.is_sparse:
            return _as_csr(rows)
        if sparse.issparse(rows):
            rows = rows.toarray()
        if not self.is_frame:
            return _float_matrix(rows)
        with _unreadable_named("X"):
            frame = pd.DataFrame(rows, copy=False)
        return pd.DataFrame(
            {
                str(column.name): _read(series, column)
                for (_, series), column in zip(frame.items(), self.columns, strict=True)
            },
            copy=False,
        )


def take(X: CanonicalRows, rows: NDArray[Any]) -> CanonicalRows:
    """Return the canonical rows at these positions."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]


def infer_schema(rows: Any, seen: Schema | None = None) -> Schema:
    """Return the schema of a table; raise if all columns are constant.

    With the schema `seen`, a matrix is kept sparse if it was one then, and dates in
    text are still read in the form that they had.
    """
    if stays_sparse(rows) if seen is None else seen.is_sparse:
        counts = distinct_counts(_as_csr(rows))
        schema = Schema(SparseColumns(counts), is_frame=False, is_sparse=True)
    else:
        dense = rows.toarray() if sparse.issparse(rows) else rows
        schema = _dense_schema(dense, seen)
    if all(column.kind == "constant" for column in schema.columns):
        raise BadInputError(
            f"all {len(schema.columns)} features are constant: there is nothing to "
            "learn from. Check how the table was read."
        )
    return schema


def _dense_schema(rows: Any, seen: Schema | None) -> Schema:
    """Return the schema of a frame or array."""
    seen_forms = {} if seen is None else {c.name: c.date_form for c in seen.columns}
    is_frame = False
    if isinstance(rows, np.ndarray) and rows.dtype.kind in "biuf":
        matrix = _float_matrix(rows)
        columns = [
            _column(str(i), Reading("numeric"), v) for i, v in enumerate(matrix.T)
        ]
    else:
        with _unreadable_named("X"):
            frame = pd.DataFrame(rows, copy=False)
            frame = frame.infer_objects() if isinstance(rows, np.ndarray) else frame
        columns = []
        for i in range(frame.shape[1]):
            name = str(frame.columns[i])
            with _unreadable_named(f"column {name!r}"):
                reading = _reading(frame.iloc[:, i], form := seen_forms.get(name, ""))
            if form and reading.date_form == YEAR_FIRST:
                reading = reading._replace(date_form=form)
            values = _read(frame.iloc[:, i], reading)
            columns.append(_column(name, reading, values))
        is_frame = not all(map(pd.api.types.is_numeric_dtype, frame.dtypes)) or any(
            c.kind in {"datetime", "time of day", "categorical", "high-cardinality"}
            for c in columns
        )
    return Schema(tuple(columns), is_frame=is_frame)


def _as_csr(rows: Any) -> sparse.csr_matrix:
    """Return rows of numbers as a CSR matrix; raise for gaps."""
    if sparse.issparse(rows):
        return rows
    return csr_rows(sparse.csr_matrix(_float_matrix(rows)))


def bytes_as_floats(X: Any) -> int:
    """Return what the cells of a table take as floats; 0 if it has no shape.

    Every fit makes such a copy: of the table in its canonical form or, if that is the
    user's own array, of the rows of a fold.
    """
    if stays_sparse(X):
        return int(_STORED_BYTES * X.nnz)
    shape: tuple[int, ...] = getattr(X, "shape", ())
    return _FLOAT_BYTES * shape[0] * shape[1] if len(shape) == 2 else 0


def as_rows(X: Any) -> Any:
    """Return X as a DataFrame with checked names, a 2-d array or a CSR matrix."""
    if sparse.issparse(X):
        return csr_rows(X)
    if isinstance(X, pd.DataFrame):
        return _check_frame(_native_frame(X))
    check_is_data(X, "X")
    native = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(native, nw.DataFrame):
        return _check_frame(_pandas_frame(native))
    return _rows_of_array(X)


def _rows_of_array(X: Any) -> Any:
    """Return what numpy makes of X as a 2-d array; one with fields as a DataFrame."""
    if np.ma.isMaskedArray(X):  # pandas reads masked values as gaps
        X = pd.DataFrame(X).to_numpy()
    try:
        array = native_array(np.asarray(X))
    except ValueError as error:  # rows of several lengths, or cells of lists
        raise BadInputError(
            f"X is no table of numbers and texts ({error}): give all rows as many "
            "cells, with one value in each."
        ) from error
    if array.dtype.names:  # fields, as tables of FITS and HDF5 have them
        return _check_frame(_native_frame(pd.DataFrame(array)))
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        array = np.asarray(X, dtype=object)  # mixed types stay Python objects
    if array.dtype.kind == "c":
        raise BadInputError("Complex data not supported: X holds complex numbers.")
    try:
        return check_array(
            array,
            dtype=None,
            ensure_all_finite=False,
            ensure_min_features=1,
            estimator="AutoImbalance",
        )
    except ValueError as error:
        raise BadInputError(f"X: {' '.join(str(error).split())}") from error


def check_is_data(values: Any, name: str) -> None:
    """Raise for what is no table or array yet; the message says how to make it one."""
    way_out = ""
    is_pandas = isinstance(values, pd.DataFrame)
    native = None if is_pandas else nw.from_native(values, pass_through=True)
    if isinstance(native, nw.LazyFrame):
        way_out = f"call .collect() of it first (Dask: {name}.compute())"
    elif isinstance(values, str | PathLike):
        way_out = f"read the file first, as by pd.read_csv({name})"
    elif isinstance(values, Mapping) or (
        isinstance(values, list) and any(isinstance(v, Mapping) for v in values[:1])
    ):
        way_out = "pass its values"
        if name in {"X", "costs"}:
            way_out = f"pass pd.DataFrame({_rows_of_dicts(values, name)})"
    elif sparse.issparse(values) and name != "X":
        dense = f"{name}.toarray()"
        way_out = f"pass {dense}" if name == "costs" else f"pass {dense}.ravel()"
    elif isinstance(values, Iterator):
        way_out = f"pass list({name})"
    if way_out:
        raise BadInputError(f"{name} is a {type(values).__name__}: {way_out}.")


def _rows_of_dicts(values: Any, name: str) -> str:
    """Return how the rows are written that a dict, or a list of dicts, stands for."""
    is_row = isinstance(values, Mapping) and all(
        map(pd.api.types.is_scalar, values.values())
    )
    return f"[{name}]" if is_row else name


def native_array(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array in this machine's order of bytes, which files may not have."""
    if values.dtype.isnative or values.dtype.names:
        return values
    return values.astype(values.dtype.newbyteorder("="))


def _native_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose columns have this machine's order of bytes."""
    swapped = [
        i
        for i, dtype in enumerate(frame.dtypes)
        if isinstance(dtype, np.dtype) and not dtype.isnative
    ]
    if swapped:
        frame = frame.copy(deep=False)
    for i in swapped:
        frame.isetitem(i, native_array(frame.iloc[:, i].to_numpy()))
    return frame


def _pandas_frame(frame: nw.DataFrame[Any]) -> pd.DataFrame:
    """Return a polars or pyarrow table as a pandas DataFrame, without pyarrow."""
    return pd.DataFrame(
        {
            name: _pandas_values(series)
            for name, series in zip(frame.columns, frame.iter_columns(), strict=True)
        }
    )


def _pandas_values(series: nw.Series[Any]) -> Any:
    """Return the values of a polars or pyarrow column for a pandas DataFrame."""
    if series.dtype in (nw.Categorical, nw.Enum):
        return pd.Categorical(series.to_list())
    is_listed = series.dtype in (nw.String, nw.Object, nw.Boolean, nw.Struct)
    return series.to_list() if is_listed else series.to_numpy()


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
        matrix = np.column_stack(
            [_read(series, Reading("numeric")) for series in every_series]
        )
    try:
        return bounded(matrix, frame.columns)
    except ValueError as error:
        raise BadInputError(str(error)) from error


def _column(name: str, reading: Reading, values: Any) -> Column:
    """Return the column of a schema with these canonical values."""
    kind, date_form, remark = reading
    if isinstance(values, np.ndarray):
        # Sorting numbers is faster than `nunique`, which hashes them. Gaps come last.
        ordered = np.sort(values)
        n_observed = int(np.searchsorted(ordered, np.nan))
        is_new = np.diff(ordered[:n_observed], prepend=np.nan) != 0
        n_unique = int(np.count_nonzero(is_new))
        remark = remark or date_number_remark(ordered[:n_observed], is_new, name)
    else:
        n_observed = int(pd.notna(values).sum())
        n_unique = int(pd.Series(values).nunique())
    has_missing = n_observed < len(values)
    if n_unique + has_missing < 2:
        kind = "constant"
    elif kind == "categorical" and n_unique > MANY_CATEGORIES:
        kind = "high-cardinality"
    return Column(name, kind, has_missing, n_unique, date_form, remark)


def _reading(series: pd.Series[Any], seen_form: str) -> Reading:
    """Return how a column of a DataFrame is read, by its dtype or its values."""
    dtype = series.dtype
    if dtype.kind == "c":
        raise BadInputError(f"Complex data not supported: column {series.name!r}.")
    if isinstance(dtype, pd.CategoricalDtype):
        is_bool = pd.api.types.is_bool_dtype(dtype)
        return Reading("boolean" if is_bool else "categorical")
    if kind := _DTYPE_KINDS.get(dtype.kind):
        return Reading(kind)
    return _object_reading(series.dropna(), seen_form)


def _object_reading(observed: pd.Series[Any], seen_form: str) -> Reading:
    """Return how a column of Python objects or strings is read, by its values."""
    for types, kind in _OBJECT_KINDS:
        if len(observed) and all(isinstance(value, types) for value in observed):
            return Reading(kind, remark=wide_integer_remark(observed))
    nested = (v for v in observed if isinstance(v, _NESTED))
    if (first := next(nested, None)) is not None:
        raise BadInputError(
            f"column {observed.name!r} holds {type(first).__name__} values: "
            "spread them over columns of numbers or text first."
        )
    return text_reading(observed, seen_form)


def _read(series: pd.Series[Any], reading: Reading | Column) -> Any:
    """Return the canonical values of a column; raise if they cannot be read."""
    with _unreadable_named(f"column {str(series.name)!r}"):
        try:
            if reading.kind == "datetime":
                return read_dates(series, reading.date_form)
            return _READERS[reading.kind](series)
        except UnicodeError:  # a ValueError, which does not name the column
            raise
        except ValueError as error:
            raise BadInputError(str(error)) from error


_READERS: dict[Kind, Callable[[pd.Series[Any]], Any]] = {
    "numeric": read_numbers,
    "boolean": read_numbers,
    "time of day": read_times,
    "categorical": read_texts,
    "high-cardinality": read_texts,
    "constant": lambda series: np.zeros(len(series)),
}
"""By kind, the function that reads a column; a constant column may hold anything."""
