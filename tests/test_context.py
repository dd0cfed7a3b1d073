"""Evaluations run in this process while the workers start, if that does no harm."""

import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tables import DIAL, context_of, numeric, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.builtin import suits_users_process
from autoimb._evaluate import context as context_module
from autoimb._evaluate.evaluate import evaluate
from autoimb._execution.shared_data import Inline
from autoimb._strategy.strategy import Strategy

LOGISTIC = Strategy.of(CATALOGUE, family="logistic_regression")
FOREST = Strategy.of(CATALOGUE, family="random_forest")


@pytest.fixture
def context(starting_pool, free_timer):
    return context_of(problem_of(*numeric()), starting_pool)


def is_queued(future):
    """Whether a future waits for a worker: none is ready in these tests."""
    return not future.done()


def test_a_fold_is_scored_here_while_no_worker_is_ready(context):
    filters = list(warnings.filters)
    future = context.submit(LOGISTIC, 1, seconds=30.0)
    assert future.done()
    there = evaluate(LOGISTIC, 1, Inline(context.problem))
    np.testing.assert_array_equal(future.result().proba, there.proba)
    assert warnings.filters == filters


def test_once_a_worker_is_ready_folds_are_queued(pool, free_timer):
    pool.submit(int).result(60)
    context = context_of(problem_of(*numeric()), pool)
    assert context.stand_in_for(LOGISTIC) is None
    assert context.submit(LOGISTIC, 1, seconds=30.0).result(60).status == "ok"


def test_without_a_time_limit_folds_are_queued(context):
    assert is_queued(context.submit(LOGISTIC, 1))


def test_where_the_timer_is_taken_folds_are_queued(starting_pool):
    """Pytest's own time limit holds it here."""
    context = context_of(problem_of(*numeric()), starting_pool)
    assert is_queued(context.submit(LOGISTIC, 1, seconds=30.0))


def test_large_tables_are_left_to_the_workers(context, monkeypatch):
    n_cells = context.problem.table.X.size
    monkeypatch.setattr(context_module, "_MOST_CELLS_HERE", n_cells)
    assert context.stand_in_for(LOGISTIC) is not None
    monkeypatch.setattr(context_module, "_MOST_CELLS_HERE", n_cells - 1)
    assert context.stand_in_for(LOGISTIC) is None


def test_what_is_too_slow_here_is_left_to_the_workers(context, monkeypatch):
    monkeypatch.setattr(context_module, "_SECONDS_HERE", 0.02)
    future = context.submit(FOREST, 1, seconds=30.0)
    assert is_queued(future)
    monkeypatch.setattr(context_module, "_SECONDS_HERE", 60.0)
    assert is_queued(context.submit(FOREST, 2, seconds=30.0))
    assert context.submit(LOGISTIC, 2, seconds=30.0).done()


class Unlucky(LogisticRegression):
    """A model that turns what interrupts it into an error of its own."""

    def fit(self, X, y):
        try:
            time.sleep(60)
        except TimeoutError as error:
            raise ValueError("stopped from outside") from error


def test_an_interruption_is_no_failure_of_the_candidate(context, monkeypatch):
    monkeypatch.setattr(context_module, "_SECONDS_HERE", 0.02)
    entry = replace(CATALOGUE.get("family", "logistic_regression"), make=Unlucky())
    monkeypatch.setitem(CATALOGUE.entries["family"], "logistic_regression", entry)
    assert is_queued(context.submit(LOGISTIC, 1, seconds=30.0))


def test_what_takes_longer_than_its_own_limit_is_late_here_too(context):
    future = context.submit(FOREST, 1, seconds=0.02)
    assert future.result(0).status == "timeout"


def test_a_users_own_model_never_runs_here(starting_pool, free_timer):
    catalogue = CATALOGUE.with_entry("family", DIAL)
    context = context_of(problem_of(*numeric(), catalogue=catalogue), starting_pool)
    mine = Strategy.of(catalogue, family=DIAL.name)
    assert is_queued(context.submit(mine, 1, seconds=30.0))


HARMLESS = {"family": "logistic_regression", "loss": "log_loss", "resampler": "none"}


@pytest.mark.parametrize(
    ("axis", "name", "suits"),
    [
        ("family", "xgboost", True),
        ("family", "random_forest", True),
        ("family", "self_paced_ensemble", True),
        ("resampler", "smote", True),
        ("loss", "focal", True),
        ("family", "tabm", False),
        ("family", "mlp", False),
        ("family", "svm", False),
        ("family", "k_neighbours", False),
        ("family", "elastic_net", False),
        ("resampler", "tomek", False),
        ("resampler", "smote_enn", False),
        ("family", "mine", False),
        ("resampler", "mine", False),
        ("loss", "mine", False),
    ],
)
def test_what_may_be_fitted_in_the_users_process(axis, name, suits):
    catalogue = CATALOGUE
    if name == "mine":
        entry = next(iter(CATALOGUE.entries[axis].values()))
        catalogue = catalogue.with_entry(axis, replace(entry, name=name))
    names = {**HARMLESS, axis: name}
    assert suits_users_process(catalogue, **names) is suits
