"""Encoders, which turn canonical rows into the numbers that a model reads.

An encoder is fitted on the training rows of a fold only. Every family and resampler
reads one of three views:

- ``"native"``: numbers as they are, with gaps, and category codes (tree models);
- ``"mixed"``: scaled numbers without gaps, and category codes. Resamplers that
  interpolate need the codes, since the middle of two categories is not a category;
- ``"dense"``: as ``"mixed"``, with one-hot columns for the codes (linear models, nets,
  distances).

Category codes are the first columns of a view, so that resamplers find them.

A sparse matrix holds numbers without gaps and stays sparse in every view. Scaled, each
column is divided by its largest number: zeros stay zeros, and words that occur in a few
rows only are not blown up, as unit variance would.

A column with too many categories for one-hot columns (postcodes, makers, times of day)
is target encoded in every view: a category becomes the shares of the classes among its
rows, shrunk to the shares among all rows. The encoding of a training row is computed
from the labels of other rows, by cross-fitting.

References
----------
D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in
classification and prediction problems", SIGKDD Explorations 3 (2001), eq. 4 and 8.
"""

from collections.abc import Iterator
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from autoimb._compat import target_encoder
from autoimb._table.columns import Schema, since_1970
from autoimb._table.text_kinds import Kind

View = Literal["native", "mixed", "dense"]

N_DATE_PARTS = 4  # day number, month, weekday, hour
N_CROSS_FITS = 5  # parts of the training rows, each encoded by the labels of the others
FARTHEST = 1e6  # standard deviations: its square is small in 32 bits, too
_UNKNOWN, _MISSING = -1, -2  # codes of unknown categories and of gaps
_ONE_HOT: dict[str, Any] = {"handle_unknown": "ignore", "sparse_output": False}


class FillEmptyColumns(TransformerMixin, BaseEstimator):
    """Fill columns that had no value when fitted with zeros.

    Other gaps stay, as tree models split on them. Histogram boosting fails on a column
    without any value, which may occur in the training rows of a fold.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Note which columns are empty."""
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


class Stateless(TransformerMixin, BaseEstimator):
    """Base class of steps that learn nothing: `fit` only notes the columns."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Note how many columns there are, and their names."""
        validate_data(self, X, skip_check_array=True)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


class DatetimeEncoder(Stateless):
    """Turn each datetime column into day number, month, weekday and hour."""

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return four numbers for each datetime.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            Columns of dtype ``datetime64``; NaT becomes NaN.

        Returns
        -------
        ndarray of shape (n_samples, 4 * n_columns)
        """
        parts = []
        for name in X.columns:
            when = pd.to_datetime(X[name]).dt
            parts += [since_1970(X[name], "D"), when.month, when.day_of_week, when.hour]
        return np.column_stack([np.asarray(part, dtype=np.float64) for part in parts])


class TimeOfDayEncoder(Stateless):
    """Turn each column of times of day into hours."""

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return the hour of each time, with its fraction.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            Times of the first day of 1970; NaT becomes NaN.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
        """
        return np.column_stack([since_1970(X[name], "h") for name in X.columns])


class BoundedScaler(StandardScaler):
    """Scale columns to unit variance, and bound what lies far outside the fit.

    A number that the fit has not seen, such as a sentinel of 1e38 in a column of small
    numbers, would be infinite for forests and nets, which compute in 32 bits, and so
    would its square for distances. No row of a fit lies as far out as the bound: of n
    rows none is more than sqrt(n) standard deviations from the mean.
    """

    def transform(self, X: Any, copy: bool | None = None) -> NDArray[np.float64]:  # noqa: FBT001  scikit-learn's signature
        """Return X in standard deviations from the mean, within the bound."""
        scaled = np.asarray(super().transform(X, copy))
        if scaled.size and max(-scaled.min(), scaled.max()) > FARTHEST:
            return scaled.clip(-FARTHEST, FARTHEST)
        return scaled


class ColumnNamer(Stateless):
    """Turn a matrix into a DataFrame with column names."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def transform(self, X: Any) -> pd.DataFrame:
        """Return the rows with the column names."""
        return pd.DataFrame(X, columns=self.names)


class DealtFolds:
    """Folds for cross-fitting: the rows of each class go to the folds in turn.

    So every class is spread evenly, however rare it is. `StratifiedKFold` warns if a
    class has fewer rows than there are folds.
    """

    def split(
        self, X: Any, y: Any, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows to fit on and the rows to encode, fold by fold."""
        fold = np.empty(len(y), dtype=np.intp)
        fold[np.argsort(y, kind="stable")] = np.arange(len(y)) % N_CROSS_FITS
        for number in range(min(N_CROSS_FITS, len(y))):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return how many folds there are."""
        return N_CROSS_FITS


def make_frame(schema: Schema) -> ColumnNamer | None:
    """Return the step that names the columns of a matrix; None if it needs none.

    A DataFrame of numbers is kept as a matrix and needs its names again. A matrix that
    the user passed as an array has positions for names, and needs none.
    """
    names = [column.name for column in schema.columns]
    is_array = names == [str(position) for position in range(len(names))]
    if schema.is_raw or schema.is_frame or is_array:
        return None
    return ColumnNamer(names)


def make_encoder(view: View, schema: Schema) -> ColumnTransformer | MaxAbsScaler | None:
    """Return the unfitted encoder of a view; None if models read the rows unchanged.

    Constant columns are left out, but not those of a sparse matrix: a file would hold
    the numbers of all others one by one.
    """
    if schema.is_sparse:
        return None if view == "native" else MaxAbsScaler()
    blocks = []
    for name, step, kinds in _blocks(view, schema):
        positions = schema.positions(*kinds)
        if positions:
            # A slice takes columns without a copy.
            run = slice(positions[0], positions[-1] + 1)
            is_run = positions == list(range(run.start, run.stop))
            blocks.append((name, step, run if is_run else positions))
    is_unchanged = all(step == "passthrough" for _, step, _ in blocks)
    # A DataFrame is encoded in any case, as models of numbers read a matrix.
    if is_unchanged and not schema.positions("constant") and not schema.is_frame:
        return None
    return ColumnTransformer(blocks, verbose_feature_names_out=False)


def make_one_hot(n_categorical: int) -> ColumnTransformer:
    """Return the step from the mixed to the dense view, whose codes come first."""
    return ColumnTransformer(
        [("categorical", OneHotEncoder(**_ONE_HOT), slice(0, n_categorical))],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )


def make_geometry(n_categorical: int) -> ColumnTransformer:
    """Return the step from the native view to a dense one, for distances."""
    return ColumnTransformer(
        [("categorical", OneHotEncoder(**_ONE_HOT), list(range(n_categorical)))],
        remainder=_filled_and_scaled(),
        verbose_feature_names_out=False,
    )


def _blocks(view: View, schema: Schema) -> list[tuple[str, Any, tuple[Kind, ...]]]:
    """Return name, encoder and kinds of columns of each block, from left to right."""
    codes: Any
    if view == "native":
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
        numbers = FillEmptyColumns() if schema.has_missing else "passthrough"
        last, scaled = [FillEmptyColumns()], []
    else:
        codes = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=_UNKNOWN,
            encoded_missing_value=_MISSING,
        )
        numbers = _filled_and_scaled()
        last, scaled = [numbers], [BoundedScaler()]
    if view == "dense":
        codes = make_pipeline(codes, OneHotEncoder(**_ONE_HOT))
    shares = [target_encoder(DealtFolds()), *scaled]
    dates, times = DatetimeEncoder(), TimeOfDayEncoder()
    return [
        ("categorical", codes, ("categorical",)),
        ("numeric", numbers, ("numeric", "boolean")),
        ("datetime", make_pipeline(dates, *last), ("datetime",)),
        ("time_of_day", make_pipeline(times, *last), ("time of day",)),
        ("time_of_day_shares", make_pipeline(times, *shares), ("time of day",)),
        ("high_cardinality", make_pipeline(*shares), ("high-cardinality",)),
    ]


def _filled_and_scaled() -> Pipeline:
    """Return the step that fills gaps with the median, marks them, and scales."""
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        BoundedScaler(copy=False),  # the imputer returns a copy already
    )
