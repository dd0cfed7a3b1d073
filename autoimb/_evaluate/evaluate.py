"""Fit one strategy on one fold and score its validation rows.

`evaluate` is pure and picklable: what it returns depends on its arguments alone, and
equals ``strategy.build(...).fit(training rows).predict_proba(validation rows)``. Where
rows have weights, `fit_steps` takes the place of the pipeline's own ``fit``, which
hands them to no encoder.
Nothing outside the training part of the fold is ever fitted or resampled.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn import config_context

from autoimb._evaluate.encoding_cache import EncodedFold, encoded_folds
from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._evaluate.training_rows import TrainingRows
from autoimb._execution.executors import describe_failure, exit_as_error
from autoimb._execution.process_settings import quiet_warnings
from autoimb._table.columns import take
from autoimb._table.weighted_encoding import fit_encoder

if TYPE_CHECKING:
    from typing import Any

    from sklearn.pipeline import Pipeline

    from autoimb._catalogue.entry import Family
    from autoimb._evaluate.kept_models import ModelFolder
    from autoimb._evaluate.problem import Problem
    from autoimb._evaluate.row_sample import RowSample
    from autoimb._execution.shared_data import SharedData
    from autoimb._strategy.strategy import Strategy
from autoimb._evaluate.fit_predict import (
    FIT_SETTINGS,
    fit_before_model,
    fit_function,
    fit_steps,
    predict_stages,
    seconds_of_row,
)
from autoimb._evaluate.out_of_fold import FoldResult

_STAGES = (0.125, 0.25, 0.35, 0.5, 0.7, 1.0)  # shares of the rounds that are fitted
_LEAST_ROUNDS = 10
_LEAST_CPU_S = 1e-3


def evaluate(
    strategy: Strategy,
    number: int,
    problem_handle: SharedData,
    row_sample: RowSample = ALL_ROWS,
    *,
    seconds: float | None = None,
    models: ModelFolder | None = None,
) -> FoldResult:
    """Return the scores of one strategy on one fold's validation rows.

    Parameters
    ----------
    strategy : Strategy
        What to fit.
    number : int
        Position of the fold among the problem's folds.
    problem_handle : Inline or Mapped
        Handle of the problem.
    row_sample : RowSample, default=ALL_ROWS
        Which of the fold's training rows the strategy is fitted on. Validation rows
        are always scored in full.
    seconds : float, default=None
        A model that can stop by itself does so after this time, as a ``"timeout"``.
    models : ModelFolder, default=None
        Where the fitted pipeline is kept; None keeps none.
    """
    problem: Problem = problem_handle.get()
    started, cpu = time.perf_counter(), time.process_time()
    try:
        # Convergence and constant columns show in the scores.
        with quiet_warnings(), config_context(**FIT_SETTINGS), exit_as_error():
            training = TrainingRows.of_fold(strategy, problem, number, row_sample)
            result = _scored(strategy, number, training, problem, seconds, models)
    except Exception as error:  # noqa: BLE001  a candidate's failure is a result
        status, reason = describe_failure(error)
        spent = time.perf_counter() - started
        result = FoldResult(
            number, status, fit_seconds=spent, reason=reason, seconds=spent
        )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - started
    return replace(result, cpu_seconds=cpu, wall_per_cpu=wall / max(cpu, _LEAST_CPU_S))


def _scored(  # noqa: PLR0917  (those of `evaluate`)
    strategy: Strategy,
    number: int,
    training: TrainingRows,
    problem: Problem,
    seconds: float | None,
    models: ModelFolder | None,
) -> FoldResult:
    """Fit a strategy on the training rows and score the validation rows."""
    n_classes = problem.table.n_classes
    y, seed = problem.table.y[training.rows], problem.fold_seed(number)
    pipeline = problem.build(strategy, y, seed, full_counts=training.full_counts)
    # Loading a library for the first time, here and below, is in none of the times.
    begun = time.perf_counter()
    fold, pipeline = _encoded(pipeline, strategy, problem, number, training)
    encoded_s = time.perf_counter() - begun
    fit = fit_function(strategy, problem, seconds)
    started = time.perf_counter()
    X, y, weights = fit_before_model(pipeline, fold.train, y, training.weight)
    left = max(0.0, (seconds or 0.0) - (time.perf_counter() - started))
    if not fit(pipeline[-1], X, y, left, **weights):
        raise TimeoutError
    fitted = time.perf_counter()
    family: Family = problem.catalogue.get("family", strategy.family.name)
    stages = _stages(family, strategy)
    probas = predict_stages(pipeline, fold.val, n_classes, family.staged_proba, stages)
    result = FoldResult(
        number,
        "ok",
        probas[-1],
        fitted - started + fold.seconds,
        time.perf_counter() - fitted,
        stages=tuple(zip(stages, probas, strict=True)) if stages else (),
        fitted_counts=tuple(np.bincount(y, minlength=n_classes).tolist()),
    )
    if problem.max_predict_ms is not None:
        row = take(problem.table.X, problem.folds[number].val_idx[:1])
        row_seconds = seconds_of_row(fold.encoder, pipeline, row, n_classes)
        result = replace(result, row_seconds=row_seconds)
    if models is not None:
        key = number, *training.key(strategy.view(problem.catalogue))
        result = replace(result, model=models.keep(_whole(pipeline, fold.encoder), key))
    return replace(result, seconds=encoded_s + time.perf_counter() - started)


def _whole(pipeline: Pipeline, encoder: Any) -> Pipeline:
    """Return a pipeline with its fitted encoder before the further steps."""
    if encoder is None:
        return pipeline
    return type(pipeline)([("encode", encoder), *pipeline.steps])


def _encoded(
    pipeline: Pipeline,
    strategy: Strategy,
    problem: Problem,
    number: int,
    training: TrainingRows,
) -> tuple[EncodedFold, Pipeline]:
    """Return both parts of a fold as the strategy reads them, and the further steps."""
    view, encoder = strategy.view(problem.catalogue), None
    if view is not None and pipeline.steps[0][0] == "encode":
        encoder, pipeline = pipeline[0], type(pipeline)(pipeline.steps[1:])

    def encode() -> EncodedFold:
        X, rows = problem.table.X, training.rows
        train, val = take(X, rows), take(X, problem.folds[number].val_idx)
        if encoder is None:
            return EncodedFold(train, val, None, 0.0)
        started = time.perf_counter()
        train = fit_encoder(encoder, train, problem.table.y[rows], training.weight)
        seconds = time.perf_counter() - started
        return EncodedFold(train, encoder.transform(val), encoder, seconds)

    if view is None:  # not cached: the user's model may modify these rows
        return encode(), pipeline
    key = number, *training.key(view if encoder else None)
    return encoded_folds(problem, problem.cache_bytes).get(key, encode), pipeline


def _stages(family: Family, strategy: Strategy) -> list[int]:
    """Return the numbers of rounds after which a boosted model is scored."""
    if not family.staged_proba:
        return []
    n_rounds = int(dict(strategy.family.params)[family.rounds_parameter])
    least = min(n_rounds, _LEAST_ROUNDS)
    return sorted({max(least, round(n_rounds * share)) for share in _STAGES})


def fit_on_fold(strategy: Strategy, number: int, problem: Problem) -> Pipeline:
    """Return a strategy's pipeline fitted on the training rows of one fold."""
    table, rows = problem.table, problem.folds[number].train_idx
    weight = None if table.sample_weight is None else table.sample_weight[rows]
    pipeline = problem.build(strategy, table.y[rows], problem.fold_seed(number))
    return fit_steps(pipeline, take(table.X, rows), table.y[rows], weight)
