"""Fit one strategy on all rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sklearn import config_context

from autoimb._execution.deadline import interrupt_after
from autoimb._execution.process_settings import limited_threads, quiet_warnings
from autoimb._table.weighted_encoding import fit_encoder

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from autoimb._catalogue.entry import Family
    from autoimb._evaluate.problem import Problem
    from autoimb._strategy.strategy import Strategy
from autoimb._evaluate.fit_predict import (
    fit_before_model,
    fit_function,
    grace,
)

EncodedRows = dict[str, tuple[Any, Any]]
"""By view, a fitted encoder and all training rows as it encodes them."""


def refit(
    strategy: Strategy,
    problem: Problem,
    *,
    n_threads: int = 1,
    seconds: float | None = None,
    encoded: EncodedRows | None = None,
) -> tuple[Pipeline, bool]:
    """Return the strategy's pipeline fitted on all rows, and whether it is complete.

    A model that can stop by itself does so after `seconds` and is then incomplete.
    Others are interrupted where that is possible, which raises `TimeoutError`. Refits
    that are given the same `encoded` share their fitted encoders.
    """
    table = problem.table
    pipeline = problem.build(strategy, table.y, problem.seed, n_threads=n_threads)
    fit = fit_function(strategy, problem, seconds)
    limit, started = seconds, time.perf_counter()
    if seconds is not None and problem.can_stop(strategy):
        limit = grace(seconds)
    # Histogram boosting and linear algebra take no number of threads themselves.
    with (
        quiet_warnings(),
        config_context(transform_output="default"),
        limited_threads(n_threads),
        interrupt_after(limit),
    ):
        rest, X = _encoded_once(pipeline, strategy, problem, encoded)
        X, y, weights = fit_before_model(rest, X, table.y, table.sample_weight)
        left = max(0.0, (seconds or 0.0) - (time.perf_counter() - started))
        is_complete = fit(pipeline[-1], X, y, left, **weights)
    family: Family = problem.catalogue.get("family", strategy.family.name)
    if n_threads > 1 and family.parameter_names.get("n_jobs") == "n_jobs":
        # To start threads for a few rows takes longer than to score them.
        pipeline[-1].set_params(n_jobs=1)
    return pipeline, is_complete


def _encoded_once(
    pipeline: Pipeline,
    strategy: Strategy,
    problem: Problem,
    encoded: EncodedRows | None,
) -> tuple[Pipeline, Any]:
    """Return the steps that are still to be fitted, and the rows that they take.

    If `encoded` holds the strategy's view, its encoder becomes that of the pipeline:
    all encoders of a view are fitted alike.
    """
    table, view = problem.table, strategy.view(problem.catalogue)
    if encoded is None or view is None or pipeline.steps[0][0] != "encode":
        return pipeline, table.X
    if view not in encoded:
        encoder = pipeline[0]
        X = fit_encoder(encoder, table.X, table.y, table.sample_weight)
        encoded[view] = encoder, X
    encoder, X = encoded[view]
    pipeline.steps[0] = ("encode", encoder)
    return type(pipeline)(pipeline.steps[1:]), X
