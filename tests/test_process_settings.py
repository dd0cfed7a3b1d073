"""A fit leaves the settings of the process as they were, on any executor."""

from __future__ import annotations

import logging
import os
import pickle
import random
import signal
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import optuna
import pandas as pd
import pytest
import sklearn
import threadpoolctl
import torch
import xgboost  # noqa: F401  its OpenMP is among those that are counted
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.parallel import Parallel, delayed
from tables import Broken, numeric

from autoimb import AutoImbalance, BudgetTooSmallWarning, NoCandidateError
from autoimb._execution.process_settings import (
    Part,
    SharedSetting,
    limited_threads,
    limited_torch_threads,
    quiet_warnings,
)

SETTINGS = {"n_trials": 2, "cv": 3, "ensemble_size": 1, "random_state": 0}


def table():
    return numeric(150, 40)


def threads_of_libraries():
    return {
        lib["filepath"]: lib["num_threads"] for lib in threadpoolctl.threadpool_info()
    }


def of_a_new_thread(read):
    """Return what a function returns in a thread that nothing has touched before."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(read).result()


def loggers():
    names = [None, "optuna", "autoimb"]
    found = [logging.getLogger(name) for name in names]
    return [
        (x.level, x.disabled, x.propagate, list(map(str, x.handlers))) for x in found
    ]


def process_settings():
    """Return what a program may have set for its whole process."""
    return {
        "warning filters": list(map(str, warnings.filters)),
        "showwarning": warnings.showwarning,
        "numpy errors": np.geterr(),
        "numpy random": pickle.dumps(np.random.get_state()),
        "random": random.getstate(),
        "threads": threads_of_libraries(),
        "threads of a new thread": of_a_new_thread(threads_of_libraries),
        "torch threads": (
            torch.get_num_threads(),
            of_a_new_thread(torch.get_num_threads),
        ),
        "torch random": torch.get_rng_state().tolist(),
        "environment": dict(os.environ),
        "pandas": pd.get_option("mode.string_storage"),
        "loggers": loggers(),
        "optuna": optuna.logging.get_verbosity(),
        "sklearn": sklearn.get_config(),
        "signals": [signal.getsignal(s) for s in signal.valid_signals()],
        "directory": Path.cwd(),
        "switch interval": sys.getswitchinterval(),
    }


@contextmanager
def nothing_changes():
    """Compare the settings before and after the block; they are not the defaults."""
    before_test = torch.get_num_threads(), optuna.logging.get_verbosity()
    torch.set_num_threads(2)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with threadpoolctl.threadpool_limits(2), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "a filter of the user's own")
        before = process_settings()
        yield
        after = process_settings()
    torch.set_num_threads(before_test[0])
    optuna.logging.set_verbosity(before_test[1])
    changed = {name: (before[name], after[name]) for name in before}
    assert not {name: pair for name, pair in changed.items() if pair[0] != pair[1]}


def fit(families="logistic_regression", **settings):
    settings = {"n_jobs": 1, "families": families, **SETTINGS, **settings}
    return AutoImbalance(**settings).fit(*table())


def run_together(*functions):
    """Run functions in threads of their own and raise the first error."""
    with ThreadPoolExecutor(len(functions)) as pool:
        for future in [pool.submit(function) for function in functions]:
            future.result()


# --- whole fits


@nothing_changes()
def test_a_fit_in_this_process():
    fit(time_budget=60)


@nothing_changes()
def test_a_fit_in_worker_processes():
    fit(n_jobs=2)


@nothing_changes()
def test_a_fit_with_nets():
    fit(["mlp", "tabm"])


@nothing_changes()
def test_a_refit_and_a_report():
    model = fit()
    model.refit(*table())
    model.report(*table(), time_budget=2)


@nothing_changes()
def test_many_evaluations_on_a_pool_of_threads_that_lives_on():
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(threads_of_libraries) for _ in range(8)]
        before = [future.result() for future in asked]
        fit(["logistic_regression", "random_forest", "tabm"], n_trials=4, executor=pool)
        asked = [pool.submit(threads_of_libraries) for _ in range(8)]
        assert [future.result() for future in asked] == before


@nothing_changes()
def test_three_fits_in_threads():
    run_together(*[partial(fit, ["logistic_regression", "xgboost"]) for _ in range(3)])


@nothing_changes()
def test_nets_in_threads_are_those_of_a_fit_alone():
    models = []
    run_together(*[lambda: models.append(fit("tabm", n_trials=1))] * 3)
    alone = fit("tabm", n_trials=1)
    X, _ = table()
    for model in models:
        np.testing.assert_array_equal(model.predict_proba(X), alone.predict_proba(X))


class Gated(LogisticRegression):
    """A model whose first fits wait for each other, so that the fits overlap."""

    gates = MappingProxyType({})

    def fit(self, X, y, sample_weight=None):
        if gate := self.gates.get(threading.current_thread().name):
            gate[0].set()
            assert gate[1].wait(30)
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("order", ["ABC", "BAC", "CAB"])
@nothing_changes()
def test_fits_that_begin_one_after_the_other_and_end_in_any_order(order):
    Gated.gates = {name: (threading.Event(), threading.Event()) for name in "ABC"}
    fit_gated = partial(fit, [Gated()], n_trials=1)
    threads = {name: threading.Thread(target=fit_gated, name=name) for name in "ABC"}
    for name, thread in threads.items():
        thread.start()
        assert Gated.gates[name][0].wait(30)
    for name in order:
        Gated.gates[name][1].set()
        threads[name].join()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@nothing_changes()
def test_a_fit_that_fails(error):
    class Failing(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            raise error("on purpose")

    with pytest.raises((NoCandidateError, KeyboardInterrupt)):
        fit(estimator=Failing(), families="auto")


@nothing_changes()
def test_a_fit_whose_time_ends_in_the_middle_of_a_model():
    class Slow(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            with limited_threads(1), quiet_warnings():
                time.sleep(60)

    with pytest.raises(BudgetTooSmallWarning):  # an error in tests
        fit(estimator=Slow(), families="auto", n_trials=None, time_budget=1.0)


@nothing_changes()
def test_a_fit_that_fails_beside_one_that_does_not():
    def failing():
        with pytest.raises(NoCandidateError):
            fit(estimator=Broken(), families="auto")

    run_together(failing, fit, failing)


@nothing_changes()
def test_a_fit_inside_a_fit():
    class Nested(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            fit(n_trials=1)
            return super().fit(X, y, sample_weight)

    fit(estimator=Nested(), families="auto", n_trials=1)


@nothing_changes()
def test_other_threads_are_warned_during_a_fit():
    heard = []

    class Loud(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            warnings.warn("of the fit", UserWarning, stacklevel=1)
            thread = threading.Thread(
                target=lambda: warnings.warn("of another", stacklevel=1)
            )
            thread.start()
            thread.join()
            return super().fit(X, y, sample_weight)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(estimator=Loud(), families="auto", n_trials=1)
    heard = {str(warning.message) for warning in caught}
    assert heard == {"of another"}


# --- the blocks


@nothing_changes()
def test_a_warning_that_was_ignored_is_shown_afterwards():
    def warn():
        warnings.warn("shown once", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        with quiet_warnings():
            warn()
            np.log(np.array([-1.0]))  # from compiled code
        assert not caught
        warn()
    assert [str(warning.message) for warning in caught] == ["shown once"]


@nothing_changes()
def test_only_the_category_is_ignored():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_warnings(FutureWarning), quiet_warnings(DeprecationWarning):
            for category in (FutureWarning, DeprecationWarning, UserWarning):
                warnings.warn("said", category, stacklevel=1)
    assert [warning.category for warning in caught] == [UserWarning]


@nothing_changes()
def test_tasks_of_scikit_learn_are_quiet_and_its_copies_of_the_filters_are_harmless():
    def copied():
        warnings.warn("in a task", UserWarning, stacklevel=1)
        return [*warnings.filters]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_warnings():
            (copy,) = Parallel(n_jobs=1)([delayed(copied)()])
        assert not caught
        warnings.filters[:] = copy
        warnings.warn("afterwards", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["afterwards"]


@nothing_changes()
def test_filters_can_be_sent_to_worker_processes():
    members = [("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]
    model = VotingClassifier(members, voting="soft", n_jobs=2)
    fitted = fit(estimator=model, families="auto", n_trials=1)
    assert fitted.leaderboard_["status"].eq("complete").all()


@nothing_changes()
def test_filters_that_a_user_sets_during_a_fit_stay():
    with warnings.catch_warnings():
        with quiet_warnings():
            warnings.filterwarnings("error", "of the user")
        assert warnings.filters[0][0] == "error"
        with pytest.raises(UserWarning, match="of the user"):
            warnings.warn("of the user", UserWarning, stacklevel=1)


@nothing_changes()
def test_leaked_filters_of_overlapping_threads_are_taken_out():
    entered, left = threading.Barrier(2), threading.Event()

    def first():
        with quiet_warnings():
            with warnings.catch_warnings():
                entered.wait()
                entered.wait()
            left.set()

    def second():
        with quiet_warnings():
            entered.wait()
            with warnings.catch_warnings():  # of the first thread's copy
                warnings.simplefilter("error")
                entered.wait()
                left.wait()

    run_together(first, second)


@nothing_changes()
def test_the_newest_block_decides_and_the_last_one_restores():
    values = {"one": 8}
    setting = SharedSetting(
        lambda: {n: Part(v, partial(values.__setitem__, n)) for n, v in values.items()}
    )
    outer, inner = setting.set_to(2), setting.set_to(1)
    outer.__enter__()
    assert values == {"one": 2}
    values["loaded later"] = 4
    inner.__enter__()
    assert values == {"one": 1, "loaded later": 1}
    outer.__exit__(None, None, None)
    assert values == {"one": 1, "loaded later": 1}
    with setting.set_to(None):
        values["one"] = 5
    assert values == {"one": 1, "loaded later": 1}
    inner.__exit__(None, None, None)
    assert values == {"one": 8, "loaded later": 4}


@nothing_changes()
def test_a_limit_holds_inside_its_block():
    with limited_torch_threads(1):
        assert set(threads_of_libraries().values()) == {1}
        assert torch.get_num_threads() == 1
        with limited_torch_threads(2):
            assert torch.get_num_threads() == 2
        assert set(threads_of_libraries().values()) == {1}
