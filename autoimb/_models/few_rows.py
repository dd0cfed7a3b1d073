"""Class scores of a few rows, where scikit-learn's way of asking takes longest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_ROWS = 32
"""Of more rows, the trees themselves take longer than asking each of them."""


def forest_scores(model: Any, X: Any) -> NDArray[np.float64] | None:
    """Return a forest's class scores, or None where it is asked in the usual way.

    To ask 300 trees one by one through their checks takes 30 ms, without them 3 ms.
    """
    answer = getattr(type(model), "predict_proba", None)
    # A subclass may answer in its own way, and knows what it makes of missing values.
    is_forest = answer is RandomForestClassifier.predict_proba
    if not is_forest or not isinstance(X, np.ndarray) or len(X) > _MOST_ROWS:
        return None
    rows = np.ascontiguousarray(X, dtype=np.float32)
    if np.isnan(rows).any():
        return None
    total = np.zeros((len(rows), len(model.classes_)))
    for tree in model.estimators_:
        total += tree.tree_.predict(rows)
    return total / len(model.estimators_)
