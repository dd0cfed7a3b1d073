"""Turn canonical rows into the numbers a model reads; fitted inside a fold only.

Three views serve every family and resampler:

- ``"native"``: numbers as they are, gaps kept, categories as codes (tree models);
- ``"mixed"``: gaps filled, numbers scaled, categories as codes: what a sampler that
  interpolates needs, since the middle of two categories is not a category;
- ``"dense"``: as ``"mixed"``, with the codes one-hot encoded (linear models, nets,
  distances).

Category codes always stand in the first columns, so a sampler knows where they are.

A column of more categories than anyone would spread over columns (postcodes, makers,
times of day) is read in every view as what its categories say about the class: each
becomes the share of the classes among its rows, shrunk to the share among all rows.
Training rows are read without their own labels, by cross-fitting.

References
----------
D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in
classification and prediction problems", SIGKDD Explorations 3 (2001), eq. 4 and 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from autoimb._columns import since_1970

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from autoimb._columns import Kind, Schema

View = Literal["native", "mixed", "dense"]

N_DATE_PARTS = 4  # day number, month, weekday, hour
N_CROSS_FITS = 5  # parts of the training rows that are read by the labels of the others
_UNKNOWN, _MISSING = -1, -2  # codes where a gap must be a number


class FillEmptyColumns(TransformerMixin, BaseEstimator):
    """Fill columns that had no observed value when fitted with zeros.

    Other gaps stay: tree models split on them. A column that is missing throughout
    one training fold makes histogram boosting fail, and carries nothing anyway.
    """

    def fit(self, X: Any, y: Any = None) -> FillEmptyColumns:
        """Remember which columns are empty."""
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        self.empty_ = np.isnan(X).all(axis=0)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return X with the empty columns set to zero."""
        check_is_fitted(self)
        X = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        if self.empty_.any():
            X = X.copy()
            X[:, self.empty_] = 0.0
        return X  # type: ignore[no-any-return]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class _Stateless(TransformerMixin, BaseEstimator):
    """A step that learns nothing from the rows."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Return self."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True


class DatetimeParts(_Stateless):
    """Day number, month, weekday and hour of each datetime column.

    A class, as are the steps below: a saved model names no function of autoimb.
    """

    def transform(self, frame: Any) -> NDArray[np.float64]:
        """Return the parts of dates.

        Parameters
        ----------
        frame : DataFrame of shape (n_samples, n_columns)
            Columns of dtype ``datetime64``; NaT becomes NaN.

        Returns
        -------
        ndarray of shape (n_samples, 4 * n_columns)
        """
        parts = []
        for name in pd.DataFrame(frame).columns:
            when = pd.to_datetime(frame[name]).dt
            days = since_1970(frame[name], "D")
            parts += [days, when.month, when.day_of_week, when.hour]
        return np.column_stack([np.asarray(part, dtype=np.float64) for part in parts])


class HoursOfDay(_Stateless):
    """The hour of the day, with its fraction, of each column of times."""

    def transform(self, frame: Any) -> NDArray[np.float64]:
        """Return hours.

        Parameters
        ----------
        frame : DataFrame of shape (n_samples, n_columns)
            Times of the first day of 1970; NaT becomes NaN.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
        """
        frame = pd.DataFrame(frame)
        return np.column_stack([since_1970(frame[name], "h") for name in frame])


class NamedColumns(_Stateless):
    """Rows as a table with column names."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def transform(self, X: Any) -> pd.DataFrame:
        """Return a frame whose columns have the names."""
        return pd.DataFrame(X, columns=self.names)


class DealtFolds:
    """Folds to cross-fit on: the rows of each class are dealt out in turn.

    So each class is spread evenly however rare it is, where `StratifiedKFold` warns
    of classes with fewer rows than folds.
    """

    def split(
        self, X: Any, y: Any, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows to fit on and the rows to read, fold by fold."""
        fold = np.empty(len(y), dtype=np.intp)
        fold[np.argsort(y, kind="stable")] = np.arange(len(y)) % N_CROSS_FITS
        for number in range(min(N_CROSS_FITS, len(y))):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return how many folds there are."""
        return N_CROSS_FITS


def make_frame(schema: Schema) -> NamedColumns | None:
    """Return the step that gives a matrix its column names; None where it needs none.

    Rows are kept as one matrix where all columns are numbers; those of an array are
    named by their positions.
    """
    names = [column.name for column in schema.columns]
    is_array = names == [str(position) for position in range(len(names))]
    if schema.as_given or schema.is_frame or is_array:
        return None
    return NamedColumns(names)


def make_encoder(view: View, schema: Schema) -> ColumnTransformer | None:
    """Return the unfitted encoder of one view; None where rows pass as they are."""
    steps = _STEPS[view](schema)
    blocks = [
        (name, steps[name], schema.positions(*kinds)) for name, kinds in _BLOCKS.items()
    ]
    blocks = [block for block in blocks if block[2]]
    everything = [(_, step, at) for _, step, at in blocks if step == "passthrough"]
    is_all = everything == blocks and not schema.positions("constant")
    # Models of numbers read a matrix, whatever names its columns have.
    if is_all and not schema.is_frame:
        return None
    return ColumnTransformer(
        [(name, step, _as_slice(at)) for name, step, at in blocks],
        verbose_feature_names_out=False,
    )


def _as_slice(positions: list[int]) -> list[int] | slice:
    """Return neighbouring positions as a slice, which takes columns without a copy."""
    first, stop = positions[0], positions[-1] + 1
    is_run = positions == list(range(first, stop))
    return slice(first, stop) if is_run else positions


def make_one_hot(n_categorical: int) -> ColumnTransformer:
    """Return the step from the mixed to the dense view (codes stand first)."""
    return ColumnTransformer(
        [("categorical", _one_hot(), slice(0, n_categorical))],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )


def make_geometry(n_categorical: int) -> ColumnTransformer:
    """Return the step from native rows to dense ones whose distances mean something."""
    return ColumnTransformer(
        [("categorical", _one_hot(), list(range(n_categorical)))],
        remainder=_filled_and_scaled(),
        verbose_feature_names_out=False,
    )


def _native_steps(schema: Schema) -> dict[str, Any]:
    """Return the encoder of each block of columns; gaps are kept."""
    return {
        "categorical": OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan
        ),
        "numeric": FillEmptyColumns() if schema.has_missing else "passthrough",
        "datetime": make_pipeline(DatetimeParts(), FillEmptyColumns()),
        "time_of_day": make_pipeline(HoursOfDay(), FillEmptyColumns()),
        "time_of_day_shares": make_pipeline(HoursOfDay(), _shares()),
        "high_cardinality": _shares(),
    }


def _mixed_steps(_schema: Schema) -> dict[str, Any]:
    """Return the encoder of each block of columns; they leave no gaps."""
    return {
        "categorical": _codes(),
        "numeric": _filled_and_scaled(),
        "datetime": make_pipeline(DatetimeParts(), _filled_and_scaled()),
        "time_of_day": make_pipeline(HoursOfDay(), _filled_and_scaled()),
        "time_of_day_shares": make_pipeline(HoursOfDay(), _shares(), StandardScaler()),
        "high_cardinality": make_pipeline(_shares(), StandardScaler()),
    }


def _dense_steps(schema: Schema) -> dict[str, Any]:
    """Return the mixed encoders, with one column a category."""
    mixed = _mixed_steps(schema)
    return {**mixed, "categorical": make_pipeline(mixed["categorical"], _one_hot())}


_BLOCKS: dict[str, tuple[Kind, ...]] = {
    "categorical": ("categorical",),
    "numeric": ("numeric", "boolean"),
    "datetime": ("datetime",),
    "time_of_day": ("time of day",),
    "time_of_day_shares": ("time of day",),
    "high_cardinality": ("high-cardinality",),
}
"""Encoded blocks from left to right, and the kinds of columns in each."""

_STEPS: dict[View, Callable[[Schema], dict[str, Any]]] = {
    "native": _native_steps,
    "mixed": _mixed_steps,
    "dense": _dense_steps,
}


def _codes() -> OrdinalEncoder:
    """Return codes for text, with a code of its own for a gap."""
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=_UNKNOWN,
        encoded_missing_value=_MISSING,
    )


def _one_hot() -> OneHotEncoder:
    """Return one column a category, none for unknown ones."""
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def _shares() -> TargetEncoder:
    """Return the shares of the classes among the rows of a category."""
    return TargetEncoder(cv=DealtFolds())


def _filled_and_scaled() -> Any:
    """Return the step that fills gaps with the median, marks them, and scales."""
    imputer = SimpleImputer(
        strategy="median", add_indicator=True, keep_empty_features=True
    )
    # The imputer has made a copy already.
    return make_pipeline(imputer, StandardScaler(copy=False))
