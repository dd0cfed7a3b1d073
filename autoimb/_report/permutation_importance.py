"""Permutation importance: how much a strategy depends on each column.

A column's values are shuffled among validation rows that the model was not trained on;
the importance is what the score loses. Correlated columns replace each other, so that
each alone may seem unimportant. NOTE[DIFF] scikit-learn's `permutation_importance`
cannot stop between two columns when the time is over.

References
----------
L. Breiman, "Random forests", Machine Learning 45 (2001), section 10.
"""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import sem

from autoimb._evaluate.evaluate import fit_on_fold
from autoimb._evaluate.fit_predict import grace, predict_codes
from autoimb._execution.executors import submit_task
from autoimb._metrics.metrics import METRICS
from autoimb._report.further_data import ColumnImportance
from autoimb._table.columns import take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._evaluate.context import EvaluationContext
    from autoimb._evaluate.problem import Problem
    from autoimb._execution.deadline import Deadline
    from autoimb._execution.shared_data import SharedData
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.columns import CanonicalRows

_MAX_ROWS = 20_000  # validation rows of a fold that are shuffled


def column_importances(
    strategy: Strategy, context: EvaluationContext, deadline: Deadline
) -> tuple[ColumnImportance, ...]:
    """Return how much a strategy depends on each column, the largest drop first.

    Parameters
    ----------
    strategy : Strategy
        What is fitted on the training part of each fold of the first repeat.
    context : EvaluationContext
        The rows, folds and workers.
    deadline : Deadline
        A fold stops when the time is over. Each begins at another column, so that the
        time is spread over all of them; those that no fold came to are left out.

    Returns
    -------
    tuple of ColumnImportance
        Empty where there was no time.
    """
    futures = []
    for number, fold in enumerate(context.problem.folds):
        left = deadline.remaining_s
        if deadline.is_over:
            break
        if fold.repeat == 0:
            limit = None if deadline.time_limit_s is None else grace(left)
            task = (_drops, strategy, number, context.problem_handle, left)
            futures.append(submit_task(context.executor, limit, *task))
    timeout = deadline.timeout_s
    wait(futures, timeout=None if timeout is None else grace(timeout))
    measured = [
        future.result()
        for future in futures
        if future.done() and not future.cancelled() and future.exception() is None
    ]
    return _by_drop(np.array(measured), context.problem) if measured else ()


def _by_drop(
    drops: NDArray[np.float64], problem: Problem
) -> tuple[ColumnImportance, ...]:
    """Return the columns by their mean drop over the folds that shuffled them."""
    known = (values[np.isfinite(values)] for values in drops.T)
    importances = [
        ColumnImportance(
            name=column.name,
            drop=float(values.mean()),
            standard_error=sem(values) if len(values) > 1 else None,
        )
        for column, values in zip(problem.table.schema.columns, known, strict=True)
        if len(values) and column.kind != "constant"
    ]
    return tuple(sorted(importances, key=lambda importance: -importance.drop))


def _drops(
    strategy: Strategy, number: int, handle: SharedData, seconds: float
) -> NDArray[np.float64]:
    """Return the loss (n_columns,) of each shuffled column on one fold's validation.

    NaN for columns that there was no time for.
    """
    started, problem = time.perf_counter(), handle.get()
    table, rows = problem.table, problem.folds[number].val_idx
    rng = np.random.default_rng(problem.fold_seed(number))
    if len(rows) > _MAX_ROWS:
        rows = rng.choice(rows, _MAX_ROWS, replace=False)
    pipeline = fit_on_fold(strategy, number, problem)
    X = take(table.X, rows)

    def average_precision(X: CanonicalRows) -> float:
        proba, weight = predict_codes(pipeline, X, table.n_classes), table.weights[rows]
        score_many = METRICS["average_precision"].score_many
        return float(
            score_many(table.y[rows], proba, weight[np.newaxis], pos=table.pos)[0]
        )

    whole = average_precision(X)
    drops = np.full(len(table.schema.columns), np.nan)
    n_folds = sum(fold.repeat == 0 for fold in problem.folds)
    for at in np.roll(np.arange(len(drops)), -(number * len(drops) // n_folds)):
        if time.perf_counter() - started > seconds:
            break
        drops[at] = whole - average_precision(_shuffled(X, int(at), rng))
    return drops


def _shuffled(X: CanonicalRows, at: int, rng: np.random.Generator) -> CanonicalRows:
    """Return rows with the values of one column in another order."""
    order, mixed = rng.permutation(X.shape[0]), X.copy()
    if sparse.issparse(X):
        moved = X[:, [at]][order].tocoo()
        mixed.data[mixed.indices == at] = 0
        where = moved.row, np.full(moved.nnz, at)
        return mixed + sparse.csr_matrix((moved.data, where), shape=X.shape)
    if isinstance(mixed, pd.DataFrame):
        mixed.isetitem(at, X.iloc[order, at].array)
    else:
        mixed[:, at] = X[order, at]
    return mixed
