"""Fit one strategy on all rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sklearn import config_context

from autoimb._evaluate.few_rows import use_one_thread
from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._evaluate.training_rows import TrainingRows
from autoimb._execution.deadline import interrupt_after
from autoimb._execution.executors import exit_as_error
from autoimb._execution.process_settings import limited_threads, quiet_warnings
from autoimb._table.columns import take
from autoimb._table.weighted_encoding import fit_encoder

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from autoimb._catalogue.entry import Family
    from autoimb._evaluate.problem import Problem
    from autoimb._evaluate.row_sample import RowSample
    from autoimb._strategy.strategy import Strategy
from autoimb._evaluate.fit_predict import (
    FIT_SETTINGS,
    fit_before_model,
    fit_function,
    grace,
    predict_codes,
)

_CHECKED_ROWS = 32  # that a fitted pipeline predicts before it is taken

EncodedRows = dict[Any, tuple[Any, Any]]
"""By view and sample, a fitted encoder and the training rows as it encodes them."""


def refit(
    strategy: Strategy,
    problem: Problem,
    *,
    row_sample: RowSample = ALL_ROWS,
    n_threads: int = 1,
    seconds: float | None = None,
    encoded: EncodedRows | None = None,
) -> tuple[Pipeline, bool]:
    """Return the strategy's pipeline fitted on all rows, and whether it is complete.

    One that was scored on samples is fitted on such a sample of all rows: its
    calibration and its threshold hold for no other. A model that can stop by itself
    does so after `seconds` and is then incomplete. Others are interrupted where that is
    possible, which raises `TimeoutError`. A pipeline that cannot predict a few of its
    rows raises what the prediction raised. Refits that are given the same `encoded`
    share their fitted encoders.
    """
    training = TrainingRows.of_table(strategy, problem, row_sample)
    y, weight = problem.table.y[training.rows], training.weight
    pipeline = problem.build(
        strategy,
        y,
        problem.seed,
        n_threads=n_threads,
        full_counts=training.full_counts,
    )
    fit = fit_function(strategy, problem, seconds)
    limit, started = seconds, time.perf_counter()
    if seconds is not None and problem.can_stop(strategy):
        limit = grace(seconds)
    # Histogram boosting and linear algebra take no number of threads themselves.
    with (
        quiet_warnings(),
        config_context(**FIT_SETTINGS),
        limited_threads(n_threads),
        interrupt_after(limit),
        exit_as_error(),
    ):
        rest, X = _encoded_once(pipeline, strategy, problem, training, encoded)
        X, y, weights = fit_before_model(rest, X, y, weight)
        left = max(0.0, (seconds or 0.0) - (time.perf_counter() - started))
        is_complete = fit(pipeline[-1], X, y, left, **weights)
        _check_that_it_predicts(pipeline, problem, training)
    family: Family = problem.catalogue.get("family", strategy.family.name)
    if n_threads > 1 and family.parameter_names.get("n_jobs") == "n_jobs":
        use_one_thread(pipeline[-1])
    return pipeline, is_complete


def _check_that_it_predicts(
    pipeline: Pipeline, problem: Problem, training: TrainingRows
) -> None:
    """Raise what a fitted pipeline raises if it predicts a few of its rows."""
    rows = training.rows[:_CHECKED_ROWS]
    predict_codes(pipeline, take(problem.table.X, rows), problem.table.n_classes)


def _encoded_once(
    pipeline: Pipeline,
    strategy: Strategy,
    problem: Problem,
    training: TrainingRows,
    encoded: EncodedRows | None,
) -> tuple[Pipeline, Any]:
    """Return the steps that are still to be fitted, and the rows that they take.

    If `encoded` holds the strategy's view, its encoder becomes that of the pipeline:
    all encoders of a view are fitted alike.
    """
    view, X = strategy.view(problem.catalogue), problem.table.X
    if training.row_sample != ALL_ROWS:
        X = take(X, training.rows)
    if encoded is None or view is None or pipeline.steps[0][0] != "encode":
        return pipeline, X
    key = training.key(view)
    if key not in encoded:
        encoder, y = pipeline[0], problem.table.y[training.rows]
        encoded[key] = encoder, fit_encoder(encoder, X, y, training.weight)
    encoder, X = encoded[key]
    pipeline.steps[0] = ("encode", encoder)
    return type(pipeline)(pipeline.steps[1:]), X
