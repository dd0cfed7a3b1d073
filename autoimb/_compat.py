"""What differs between the versions of other libraries: every such branch is here.

What is newer is used where it is there. A branch goes when the lower bound in
``pyproject.toml`` has passed the version that its docstring names.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import sklearn
from sklearn._loss._loss import CyHalfBinomialLoss
from sklearn.base import clone
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import _safe_indexing

try:
    from sklearn import callback
except ImportError:
    callback = None

PANDAS = int(pd.__version__.partition(".")[0])
"""The first part of the version of pandas."""
SKLEARN = tuple(map(int, sklearn.__version__.split(".")[:2]))
"""The first two parts of the version of scikit-learn."""
LOSS_MODULE: str = CyHalfBinomialLoss.__module__
"""What scikit-learn's compiled losses say they are of: before 1.9, ``_loss``."""


class NoCallbacks:
    """Stand in for the callbacks of an estimator: scikit-learn has some from 1.9 on."""

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Raise for any callback; without one there is nothing to do."""
        if callbacks:
            raise ImportError(
                "callbacks need scikit-learn 1.9 or later: pip install -U "
                "scikit-learn, or pass verbose=1 for a progress display."
            )
        return self

    def _init_callback_context(self, **_: Any) -> NoCallbackContext:
        """Return a context without callbacks."""
        return NoCallbackContext()


class NoCallbackContext:
    """A context of scikit-learn's callbacks in which there are none."""

    def call_on_fit_task_begin(self, **_: Any) -> None:
        """Do nothing, as there are no callbacks."""

    def call_on_fit_task_end(self, **_: Any) -> bool:
        """Return False: no callback asks to stop."""
        return False

    def subcontext(self, **_: Any) -> Self:
        """Return this context."""
        return self


CallbackSupportMixin: Any = callback.CallbackSupportMixin if callback else NoCallbacks
with_callbacks: Any = callback.with_callbacks if callback else lambda method: method


class SplitterTargetEncoder(TargetEncoder):
    """A target encoder with a splitter as `cv`, which scikit-learn's takes from 1.9 on.

    A share of a class is the mean of an indicator, so that rows are encoded by
    encoders of indicators, whatever classes the rows of a part hold.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TargetEncoder._parameter_constraints,
        "cv": [object],
    }

    def fit_transform(self, X: Any, y: Any) -> Any:
        """Fit on all rows; return each encoded by the labels of other rows."""
        encoded = self.fit(X, y).transform(X)
        labels = self.classes_[1:] if self.target_type_ == "binary" else self.classes_
        part = clone(self).set_params(target_type="continuous")
        for train, rest in self.cv.split(X, y):
            rows, others = _safe_indexing(X, train), _safe_indexing(X, rest)
            for place, label in enumerate(labels):
                part.fit(rows, np.asarray(y[train] == label, dtype=np.float64))
                encoded[rest, place :: len(labels)] = part.transform(others)
        return encoded


def target_encoder(cv: Any) -> TargetEncoder:
    """Return scikit-learn's target encoder with a splitter; before 1.9 one of ours."""
    return (TargetEncoder if SKLEARN >= (1, 9) else SplitterTargetEncoder)(cv=cv)


def text_array(texts: Any) -> Any:
    """Return texts as pandas keeps them, NaN for gaps: as objects before pandas 3."""
    if PANDAS >= 3:
        return pd.array(texts, dtype="str")
    objects: Any = np.asarray(texts, dtype=object)
    kind: Any = object
    return pd.array(np.where(pd.isna(objects), np.nan, objects), dtype=kind)


def text_columns(table: pd.DataFrame) -> list[Any]:
    """Return the names of the columns of text: of type "str" from pandas 3 on."""
    if PANDAS >= 3:
        return [*table.columns[[isinstance(t, pd.StringDtype) for t in table.dtypes]]]
    objects = table.select_dtypes(object).columns
    infer = pd.api.types.infer_dtype  # gaps left out
    return [name for name in objects if infer(table[name]) == "string"]


def utc_timestamps(iso_texts: pd.Series[Any]) -> Any:
    """Return texts of ISO 8601 as timestamps, NaT for others.

    By itself, pandas before 3 would read the years from 1677 to 2262 only.
    """
    found = pd.to_datetime(iso_texts, errors="coerce", format="ISO8601", utc=True)
    if PANDAS >= 3:
        return found
    days = found.dt.tz_localize(None).dt.as_unit("us").to_numpy().copy()
    for place in np.flatnonzero(found.isna() & iso_texts.notna()):
        days[place] = far_timestamp(iso_texts.iloc[place])
    return pd.Series(days).dt.tz_localize("UTC")


def far_timestamp(iso_text: str) -> np.datetime64:
    """Return a text of ISO 8601 as a moment in UTC, NaT if it is none."""
    try:
        moment = datetime.fromisoformat(iso_text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return np.datetime64("NaT", "us")
    return np.datetime64(moment, "us")


def hashable_rows(frame: pd.DataFrame) -> Any:
    """Return rows in which 0.0 and -0.0 have one hash: before pandas 3 they had two."""
    if PANDAS >= 3:
        return frame
    return frame.apply(lambda column: column + 0.0 if column.dtype == float else column)
