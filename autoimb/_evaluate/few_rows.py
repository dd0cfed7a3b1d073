"""Probabilities of few rows, without what models prepare for many.

For one row a model's ``predict_proba`` mostly checks each tree and starts threads: 300
trees take 30 ms with the checks of each and 3 ms without, and threads that wait for
each other take a second of processor time. Here the same sums are made by one thread,
in the same order, so that the results are the same to the last bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import get_tags

from autoimb._execution.process_settings import limited_threads
from autoimb._table.few_rows_encoding import MOST_ROWS

_N_TIMED = 5


def use_one_thread(model: Any) -> None:
    """Let a fitted model, and the models in it, predict by one thread.

    To start more for a few rows takes longer than to score them.
    """
    for part in (model, *getattr(model, "estimators_", ())):
        if "n_jobs" in part.get_params(deep=False):
            part.set_params(n_jobs=1)


def few_rows_proba(model: Any, X: Any) -> NDArray[np.float64] | None:
    """Return a fitted model's probabilities, or None if it should be asked itself.

    A subclass with a ``predict_proba`` of its own may predict differently.
    """
    if not isinstance(X, np.ndarray) or len(X) > MOST_ROWS:
        return None
    method = _defined_as(type(model), "predict_proba")
    for known, proba_of in _PROBA_OF:
        if method is known:
            return proba_of(model, X)
    return None


def _defined_as(kind: type, name: str) -> Any:
    """Return an attribute as the class that has it defines it; None if none has."""
    parts = (vars(part) for part in kind.__mro__)
    return next((part[name] for part in parts if name in part), None)


def _of_forest(model: Any, X: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the mean of a forest's trees."""
    rows = np.ascontiguousarray(X, dtype=np.float32)
    if rows.shape[1] != model.n_features_in_:
        return None
    if np.isnan(rows).any() and not _reads_gaps(model.estimators_[0]):
        return None
    total = np.zeros((len(rows), len(model.classes_)))
    for tree in model.estimators_:
        total += tree.tree_.predict(rows)
    return total / len(model.estimators_)


def _reads_gaps(tree: Any) -> bool:
    """Whether a tree has a way for missing values."""
    return bool(get_tags(tree).input_tags.allow_nan)


def _of_histogram_boosting(model: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities by one thread; the model would start one per core."""
    raw = model._raw_predict(X, n_threads=1)
    return np.asarray(model._loss.predict_proba(raw))


def _of_vote(model: Any, X: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the weighted mean of a soft vote."""
    if model.voting != "soft":
        return None
    probas = []
    for voter in model.estimators_:
        proba = few_rows_proba(voter, X)
        probas.append(voter.predict_proba(X) if proba is None else proba)
    weights = model._weights_not_none
    mean = np.average(np.asarray(probas), axis=0, weights=weights)
    return np.asarray(mean, dtype=np.float64)


def _of_neighbours(model: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    """Return the shares among the neighbours, which one thread looks for."""
    with limited_threads(1):
        return np.asarray(model.predict_proba(X))


_Scores = Callable[[Any, NDArray[Any]], NDArray[np.float64] | None]
_PROBA_OF: tuple[tuple[Any, _Scores], ...] = tuple(
    (_defined_as(kind, "predict_proba"), proba_of)
    for kind, proba_of in (
        (RandomForestClassifier, _of_forest),
        (HistGradientBoostingClassifier, _of_histogram_boosting),
        (VotingClassifier, _of_vote),
        (KNeighborsClassifier, _of_neighbours),
    )
)
"""By the method that they stand in for, the functions above."""


def least_seconds(predict: Callable[[], Any]) -> float:
    """Return the seconds of a prediction, the shortest of a few.

    Other programs on the machine can only make it longer.
    """
    seconds = []
    for _ in range(_N_TIMED):
        started = time.perf_counter()
        predict()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
