"""Fits with a time limit, which return the whole model or a part of it.

Each function fits a model in place as ``model.fit(X, y, **fit_params)`` would. It looks
at the time after each round, group of trees, member or mini-batch, and returns whether
the model is whole. A model that was cut short has at least its first round or member;
its parameters are unchanged, only its fitted attributes differ.

NOTE: scikit-learn's histogram boosting is left out. Grown in steps it would be the same
model, but each step bins all rows again, which costs as much as tens of trees, or as
hundreds if rows have weights. imbalanced-learn's balanced forest draws other seeds when
it is grown in steps.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from joblib import effective_n_jobs
from sklearn.utils import check_random_state

_STEP_S = 0.3
"""Seconds of growing trees between two comparisons with the deadline."""


def xgboost(model: Any, X: Any, y: Any, time_limit_s: float, **fit_params: Any) -> bool:
    """Fit an `XGBClassifier`, round by round."""
    from xgboost.callback import TrainingCallback

    stop = _Stop(time.monotonic() + time_limit_s)
    n_rounds = model.get_num_boosting_rounds()

    class Watch(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            return stop(epoch + 1, n_rounds)

    # XGBoost takes callbacks only from the estimator.
    with _set(model, callbacks=[*(model.callbacks or ()), Watch()]):
        model.fit(X, y, **fit_params)
    return not stop.is_cut_short


def lightgbm(
    model: Any, X: Any, y: Any, time_limit_s: float, **fit_params: Any
) -> bool:
    """Fit an `LGBMClassifier`, round by round."""
    from lightgbm.callback import EarlyStopException

    stop = _Stop(time.monotonic() + time_limit_s)

    def watch(env: Any) -> None:
        if stop(env.iteration + 1, env.end_iteration):
            raise EarlyStopException(env.iteration, env.evaluation_result_list)

    model.fit(X, y, callbacks=[watch], **fit_params)
    return not stop.is_cut_short


def catboost(
    model: Any, X: Any, y: Any, time_limit_s: float, **fit_params: Any
) -> bool:
    """Fit a `CatBoostClassifier`, round by round."""
    stop = _Stop(time.monotonic() + time_limit_s)
    n_rounds = model.get_param("iterations") or math.inf

    watch = SimpleNamespace(
        after_iteration=lambda info: not stop(info.iteration, n_rounds)
    )
    model.fit(X, y, callbacks=[watch], **fit_params)
    return not stop.is_cut_short


def forest(model: Any, X: Any, y: Any, time_limit_s: float, **fit_params: Any) -> bool:
    """Fit a forest of scikit-learn, a few trees at a time."""
    stop, n_requested = _Stop(time.monotonic() + time_limit_s), model.n_estimators
    n_jobs = effective_n_jobs(model.n_jobs)
    n_trees, step = 0, n_jobs
    # Each `fit` with `warm_start` first draws again the seeds of the trees that exist.
    random_state = check_random_state(model.random_state)
    with _set(model, warm_start=False, n_estimators=0, random_state=None):
        while n_trees < n_requested and not (n_trees and stop(n_trees, n_requested)):
            started, step = time.monotonic(), min(step, n_requested - n_trees)
            n_trees += step
            model.n_estimators, model.random_state = n_trees, deepcopy(random_state)
            model.fit(X, y, **fit_params)
            model.warm_start = True
            trees_a_step = _STEP_S * step / max(time.monotonic() - started, 1e-9)
            step = n_jobs * max(1, int(trees_a_step / n_jobs))
    return bool(n_trees == n_requested)


def net(model: Any, X: Any, y: Any, time_limit_s: float, **fit_params: Any) -> bool:
    """Fit a net, which plans fewer epochs if time is short."""
    own_limit_s = math.inf if model.time_limit_s is None else model.time_limit_s
    with _set(model, time_limit_s=min(own_limit_s, time_limit_s)):
        model.fit(X, y, **fit_params)
    return bool(model._is_whole)


def ensemble(
    model: Any, X: Any, y: Any, time_limit_s: float, **fit_params: Any
) -> bool:
    """Fit an ensemble of `autoimb._models.ensembles`, member by member."""
    model._fit_until(time.monotonic() + time_limit_s, X, y, **fit_params)
    return bool(len(model.estimators_) == model.n_estimators)


@dataclass(slots=True)
class _Stop:
    """The test whether a fit must stop, and its last answer."""

    deadline: float
    is_cut_short: bool = False

    def __call__(self, n_done: int, n_requested: float) -> bool:
        """Return whether the deadline has passed before all rounds are done."""
        self.is_cut_short = n_done < n_requested and time.monotonic() >= self.deadline
        return self.is_cut_short


@contextmanager
def _set(model: Any, **values: Any) -> Iterator[None]:
    """Set parameters to other values inside the block."""
    own_values = {name: getattr(model, name) for name in values}
    vars(model).update(values)
    try:
        yield
    finally:
        vars(model).update(own_values)
