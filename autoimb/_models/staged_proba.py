"""Boosted models after fewer rounds than they have: probabilities, and the models.

A round adds a tree and changes none, so the first k rounds of a model are the model of
k rounds. Thus one fit on a fold gives the score of every smaller number of rounds, and
the model of that number is cut from the one that was fitted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def xgboost(model: Any, X: Any, counts: Sequence[int]) -> list[NDArray[np.float64]]:
    """Return the probabilities of an `XGBClassifier` after each number of rounds."""
    return [
        np.asarray(model.predict_proba(X, iteration_range=(0, n)), dtype=np.float64)
        for n in counts
    ]


def lightgbm(model: Any, X: Any, counts: Sequence[int]) -> list[NDArray[np.float64]]:
    """Return the probabilities of an `LGBMClassifier` after each number of rounds."""
    return [
        np.asarray(model.predict_proba(X, num_iteration=n), dtype=np.float64)
        for n in counts
    ]


def hist_gradient_boosting(
    model: Any, X: Any, counts: Sequence[int]
) -> list[NDArray[np.float64]]:
    """Return the same for a `HistGradientBoostingClassifier`."""
    proba_after = {
        n: np.asarray(proba, dtype=np.float64)
        for n, proba in enumerate(model.staged_predict_proba(X), start=1)
        if n in counts
    }
    return [proba_after[n] for n in counts]


def cut_xgboost(model: Any, n_rounds: int) -> None:
    """Keep the first rounds of an `XGBClassifier`."""
    model._Booster = model.get_booster()[:n_rounds]
    model.n_estimators = n_rounds


def cut_lightgbm(model: Any, n_rounds: int) -> None:
    """Keep the first rounds of an `LGBMClassifier`."""
    text = model.booster_.model_to_string(num_iteration=n_rounds)
    model._Booster = type(model.booster_)(model_str=text)
    model._n_estimators = model.n_estimators = n_rounds


def cut_hist_gradient_boosting(model: Any, n_rounds: int) -> None:
    """Keep the first rounds of a `HistGradientBoostingClassifier`."""
    model._predictors = model._predictors[:n_rounds]
    model.max_iter = n_rounds
