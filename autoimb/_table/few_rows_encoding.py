"""The numbers that encoders make of few rows, without what they prepare for many.

For one row a fitted `ColumnTransformer` takes ten milliseconds, nearly all of them for
checks and for parts of data frames. Here its parts are read once, as functions on plain
arrays with the same arithmetic. Steps that are not known here, such as target encoders,
transform their columns themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from autoimb._table.encoding import FARTHEST, BoundedScaler, FillEmptyColumns

MOST_ROWS = 32
"""For more rows encoders and models take longer than what is saved here."""

Cells = NDArray[Any]
"""The values of some columns: floats, or objects where columns hold text."""
_Part = tuple[list[int], Any, Callable[[Cells], Cells] | None]
"""Positions of columns, the step that reads them, and what stands in for it."""


def encoded_rows(encoder: Any, X: Any) -> Any:
    """Return what a fitted step makes of canonical rows, as its ``transform`` does."""
    if type(encoder) is not ColumnTransformer or len(X) > MOST_ROWS:
        return encoder.transform(X)
    parts = _parts_of(encoder)
    if parts is None:
        return encoder.transform(X)
    is_frame = isinstance(X, pd.DataFrame)
    cells = X.to_numpy(dtype=object) if is_frame else X
    blocks = []
    for positions, step, function in parts:
        if function is None:
            rows = X.iloc[:, positions] if is_frame else X[:, positions]
            block = step.transform(rows)
            if not isinstance(block, np.ndarray):  # sparse
                return encoder.transform(X)
            blocks.append(block)
        else:
            blocks.append(function(cells[:, positions]))
    return np.hstack(blocks)


_PARTS: WeakKeyDictionary[Any, tuple[Any, list[_Part] | None]] = WeakKeyDictionary()
"""By encoder, its fitted steps as it had them and what was read from them."""


def _parts_of(encoder: Any) -> list[_Part] | None:
    """Return the parts of an encoder; None if it has to transform the rows itself."""
    steps, parts = _PARTS.get(encoder, (None, None))
    if steps is not encoder.transformers_:  # it is new, or was fitted again
        parts = _read_parts(encoder)
        _PARTS[encoder] = encoder.transformers_, parts
    return parts


def _read_parts(encoder: Any) -> list[_Part] | None:
    """Return the parts of an encoder by its fitted steps."""
    if encoder.transformer_weights is not None or encoder.sparse_output_:
        return None
    names, parts = range(encoder.n_features_in_), []
    for _, step, columns in encoder.transformers_:
        if isinstance(columns, slice):
            positions = list(names[columns])
        elif isinstance(columns, list) and all(type(c) is int for c in columns):
            positions = columns
        else:
            return None
        if isinstance(step, str) and step == "drop":
            continue
        if positions:
            parts.append((positions, step, _function_of(step)))
    is_known = any(function is not None for _, _, function in parts)
    return parts if is_known else None


def _function_of(step: Any) -> Callable[[Cells], Cells] | None:
    """Return a function that does what a fitted step does; None if it is not known."""
    make = _FUNCTIONS.get(type(step))
    return None if make is None else make(step)


def _of_pipeline(pipeline: Any) -> Callable[[Cells], Cells] | None:
    functions = [_function_of(step) for _, step in pipeline.steps]
    known = [function for function in functions if function is not None]
    if len(known) < len(functions):
        return None

    def transform(cells: Cells) -> Cells:
        for function in known:
            cells = function(cells)
        return cells

    return transform


def _of_passthrough(step: Any) -> Callable[[Cells], Cells] | None:
    return None if step.func is not None else _as_floats


def _as_floats(cells: Cells) -> NDArray[np.float64]:
    """Return a copy of the cells as floats, which the next step may change."""
    return np.array(cells, dtype=np.float64)


def _of_filler(step: Any) -> Callable[[Cells], Cells]:
    def transform(cells: Cells) -> Cells:
        values = _as_floats(cells)
        values[:, step.empty_] = 0.0
        return values

    return transform


def _of_imputer(step: Any) -> Callable[[Cells], Cells] | None:
    is_of_numbers = isinstance(step.missing_values, float) and step.keep_empty_features
    if not is_of_numbers or step.statistics_.dtype != np.float64:
        return None
    marked = None if step.indicator_ is None else step.indicator_.features_

    def transform(cells: Cells) -> Cells:
        values = _as_floats(cells)
        is_missing = np.isnan(values)
        filled = np.where(is_missing, step.statistics_, values)
        return filled if marked is None else np.hstack([filled, is_missing[:, marked]])

    return transform


def _of_scaler(step: Any) -> Callable[[Cells], Cells] | None:
    if not (step.with_mean and step.with_std):
        return None
    return lambda cells: (_as_floats(cells) - step.mean_) / step.scale_


def _of_bounded_scaler(step: Any) -> Callable[[Cells], Cells] | None:
    scale = _of_scaler(step)
    if scale is None:
        return None
    return lambda cells: scale(cells).clip(-FARTHEST, FARTHEST)


def _of_codes(step: Any) -> Callable[[Cells], Cells] | None:
    """Return the codes of categories; what is missing or unknown has its own."""
    if step.handle_unknown != "use_encoded_value" or step._infrequent_enabled:
        return None
    tables = []
    for categories in step.categories_:
        codes = {value: float(i) for i, value in enumerate(categories.tolist())}
        has_gaps = any(_is_gap(value) for value in categories)
        gap = step.encoded_missing_value if has_gaps else step.unknown_value
        tables.append((codes, float(gap)))
    unknown = float(step.unknown_value)

    def transform(cells: Cells) -> Cells:
        codes = np.empty(cells.shape)
        for j, (table, gap) in enumerate(tables):
            codes[:, j] = [
                gap if _is_gap(value) else table.get(value, unknown)
                for value in cells[:, j].tolist()
            ]
        return codes

    return transform


def _of_one_hot(step: Any) -> Callable[[Cells], Cells] | None:
    """Return a column for each category, all 0 for an unknown one."""
    if step.handle_unknown != "ignore" or step.drop is not None:
        return None
    if step.sparse_output or step._infrequent_enabled or step.dtype != np.float64:
        return None
    tables, start = [], 0
    for categories in step.categories_:
        if any(_is_gap(value) for value in categories):
            return None
        tables.append({v: start + i for i, v in enumerate(categories.tolist())})
        start += len(categories)

    def transform(cells: Cells) -> Cells:
        hot = np.zeros((len(cells), start))
        for j, table in enumerate(tables):
            for i, value in enumerate(cells[:, j].tolist()):
                if value in table:
                    hot[i, table[value]] = 1.0
        return hot

    return transform


def _is_gap(value: Any) -> bool:
    """Whether a cell holds no value."""
    return value is None or (isinstance(value, float) and np.isnan(value))


_FUNCTIONS: dict[type, Callable[[Any], Callable[[Cells], Cells] | None]] = {
    BoundedScaler: _of_bounded_scaler,
    FillEmptyColumns: _of_filler,
    FunctionTransformer: _of_passthrough,
    OneHotEncoder: _of_one_hot,
    OrdinalEncoder: _of_codes,
    Pipeline: _of_pipeline,
    SimpleImputer: _of_imputer,
    StandardScaler: _of_scaler,
}
"""By type of a step, what makes its function."""
