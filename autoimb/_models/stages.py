"""Probabilities of a boosted model after fewer rounds than it has.

Boosting only ever adds: the first k rounds of a model are the model of k rounds. So
one fit on a fold gives the whole curve over rounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def xgboost(model: Any, X: Any, counts: Sequence[int]) -> list[NDArray[np.float64]]:
    """Return probabilities after so many rounds of an `XGBClassifier`."""
    return [
        np.asarray(model.predict_proba(X, iteration_range=(0, n)), dtype=np.float64)
        for n in counts
    ]


def lightgbm(model: Any, X: Any, counts: Sequence[int]) -> list[NDArray[np.float64]]:
    """Return probabilities after so many rounds of an `LGBMClassifier`."""
    return [
        np.asarray(model.predict_proba(X, num_iteration=n), dtype=np.float64)
        for n in counts
    ]


def hist_gradient_boosting(
    model: Any, X: Any, counts: Sequence[int]
) -> list[NDArray[np.float64]]:
    """Return probabilities after so many rounds of scikit-learn's boosting."""
    wanted = set(counts)
    staged = enumerate(model.staged_predict_proba(X), start=1)
    found = {
        n: np.asarray(proba, dtype=np.float64) for n, proba in staged if n in wanted
    }
    return [found[n] for n in counts]
