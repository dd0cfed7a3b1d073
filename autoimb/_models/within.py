"""Fits that end in time: as a whole, or with what there is by then.

Each function fits a model in place as ``model.fit(X, y, **fit_params)`` would, looks at
the clock between two rounds, trees, members or mini-batches, and returns whether the
model is whole. One that was cut short has at least the first of them; its parameters
are as they were given, and what it holds is in its fitted attributes.

NOTE: scikit-learn's histogram boosting is missing on purpose. Growing it in steps gives
the same model, but each step bins all rows again, which costs as much as tens of trees,
or hundreds if rows have weights. imbalanced-learn's balanced forest draws other seeds
when it is grown in steps.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from joblib import effective_n_jobs
from sklearn.utils import check_random_state

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE = 0.3  # seconds of growing trees between two looks at the clock


def xgboost(model: Any, X: Any, y: Any, seconds: float, **fit_params: Any) -> bool:
    """Fit an `XGBClassifier`, round by round."""
    from xgboost.callback import TrainingCallback

    stop = _Stop(seconds)
    n_rounds = model.get_num_boosting_rounds()

    class Watch(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            return stop(epoch + 1, n_rounds)

    # XGBoost reads callbacks off the estimator alone.
    with _set(model, callbacks=[*(model.callbacks or ()), Watch()]):
        model.fit(X, y, **fit_params)
    return not stop.has_cut


def lightgbm(model: Any, X: Any, y: Any, seconds: float, **fit_params: Any) -> bool:
    """Fit an `LGBMClassifier`, round by round."""
    from lightgbm.callback import EarlyStopException

    stop = _Stop(seconds)

    def watch(env: Any) -> None:
        if stop(env.iteration + 1, env.end_iteration):
            raise EarlyStopException(env.iteration, env.evaluation_result_list)

    model.fit(X, y, callbacks=[watch], **fit_params)
    return not stop.has_cut


def catboost(model: Any, X: Any, y: Any, seconds: float, **fit_params: Any) -> bool:
    """Fit a `CatBoostClassifier`, round by round."""
    stop = _Stop(seconds)
    n_rounds = model.get_param("iterations") or math.inf

    class Watch:
        def after_iteration(self, info: Any) -> bool:
            return not stop(info.iteration, n_rounds)

    model.fit(X, y, callbacks=[Watch()], **fit_params)
    return not stop.has_cut


def forest(model: Any, X: Any, y: Any, seconds: float, **fit_params: Any) -> bool:
    """Fit a forest of scikit-learn, a few trees at a time."""
    stop, wanted = _Stop(seconds), model.n_estimators
    n_jobs = effective_n_jobs(model.n_jobs)
    n_trees, step = 0, n_jobs
    # A forest that goes on first draws, unused, the seeds of the trees that it has.
    chance = check_random_state(model.random_state)
    with _set(model, warm_start=False, n_estimators=0, random_state=None):
        while n_trees < wanted and not (n_trees and stop(n_trees, wanted)):
            began, step = time.monotonic(), min(step, wanted - n_trees)
            n_trees += step
            model.n_estimators, model.random_state = n_trees, deepcopy(chance)
            model.fit(X, y, **fit_params)
            model.warm_start = True
            in_a_pause = _PAUSE * step / max(time.monotonic() - began, 1e-9)
            step = n_jobs * max(1, int(in_a_pause / n_jobs))
    return bool(n_trees == wanted)


def net(model: Any, X: Any, y: Any, seconds: float, **fit_params: Any) -> bool:
    """Fit a net, whose plan of epochs shrinks where time is short."""
    own = math.inf if model.deadline_s is None else model.deadline_s
    with _set(model, deadline_s=min(own, seconds)):
        model.fit(X, y, **fit_params)
    return bool(model._is_whole)


def ensemble(model: Any, X: Any, y: Any, seconds: float, **fit_params: Any) -> bool:
    """Fit an ensemble of `autoimb._models.ensembles`, member by member."""
    model._fit_until(time.monotonic() + seconds, X, y, **fit_params)
    return bool(len(model.estimators_) == model.n_estimators)


class _Stop:
    """Says when to stop, and remembers whether it did."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.has_cut = False

    def __call__(self, done: int, wanted: float) -> bool:
        """Return whether time is up before all is done."""
        self.has_cut = done < wanted and time.monotonic() >= self.end
        return self.has_cut


@contextmanager
def _set(model: Any, **values: Any) -> Iterator[None]:
    """Give parameters other values inside the block."""
    own = {name: getattr(model, name) for name in values}
    vars(model).update(values)
    try:
        yield
    finally:
        vars(model).update(own)
