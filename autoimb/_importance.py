"""What each column of the table is worth to a strategy, by permutation.

A column's values are shuffled among validation rows that the model never saw; what the
score loses is what the model owed to that column. Columns that tell the same share what
they tell, so that each alone may seem to be worth little.

References
----------
L. Breiman, "Random forests", Machine Learning 45 (2001), section 10.
"""

from __future__ import annotations

import time
from concurrent.futures import wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autoimb._columns import take
from autoimb._evaluate import fit_on_fold, grace, predict_codes
from autoimb._execution import submit_within
from autoimb._metrics import METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._arena import Arena
    from autoimb._clock import Deadline
    from autoimb._columns import Matrix
    from autoimb._evaluate import Problem
    from autoimb._execution import Shared
    from autoimb._strategy import Strategy

_MAX_ROWS = 20_000  # validation rows of a fold that are shuffled


@dataclass(frozen=True, slots=True)
class ColumnDrop:
    """What shuffling one column costs.

    Attributes
    ----------
    name : str
        The column.
    drop : float
        Mean loss of average precision over folds.
    error : float
        Standard error of that mean, NaN with one fold.
    """

    name: str
    drop: float
    error: float


def column_drops(
    strategy: Strategy, arena: Arena, deadline: Deadline
) -> tuple[ColumnDrop, ...]:
    """Return what columns are worth, the most valuable first.

    Parameters
    ----------
    strategy : Strategy
        What is fitted on the training part of each fold of the first repeat.
    arena : Arena
        The rows, folds and workers.
    deadline : Deadline
        A fold stops when the time is over; columns that no fold came to are left out.

    Returns
    -------
    tuple of ColumnDrop
        Empty where there was no time.
    """
    numbers = [i for i, fold in enumerate(arena.problem.folds) if fold.repeat == 0]
    futures = []
    for number in numbers:
        left = deadline.remaining
        if deadline.is_over:
            break
        ended = None if deadline.seconds is None else grace(left)
        futures.append(
            submit_within(
                arena.executor, ended, _drops, strategy, number, arena.handle, left
            )
        )
    wait(
        futures, timeout=None if deadline.seconds is None else grace(deadline.remaining)
    )
    measured = [
        future.result()
        for future in futures
        if future.done() and not future.cancelled() and future.exception() is None
    ]
    return _ranked(np.array(measured), arena.problem) if measured else ()


def _ranked(drops: NDArray[np.float64], problem: Problem) -> tuple[ColumnDrop, ...]:
    """Return the columns by their mean drop over the folds that came to them."""
    found = []
    for column, values in zip(problem.table.schema.columns, drops.T, strict=True):
        known = values[np.isfinite(values)]
        if len(known) and column.kind != "constant":
            spread = known.std(ddof=1) / len(known) ** 0.5 if len(known) > 1 else np.nan
            found.append(ColumnDrop(column.name, float(known.mean()), float(spread)))
    return tuple(sorted(found, key=lambda column: -column.drop))


def _drops(
    strategy: Strategy, number: int, handle: Shared, seconds: float
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
    whole = _average_precision(pipeline, X, rows, problem)
    drops = np.full(len(table.schema.columns), np.nan)
    for at in range(len(drops)):
        if time.perf_counter() - started > seconds:
            break
        shuffled = _shuffled(X, at, rng)
        drops[at] = whole - _average_precision(pipeline, shuffled, rows, problem)
    return drops


def _shuffled(X: Matrix, at: int, rng: np.random.Generator) -> Matrix:
    """Return rows with the values of one column dealt anew."""
    order, mixed = rng.permutation(len(X)), X.copy()
    if isinstance(mixed, pd.DataFrame):
        mixed.isetitem(at, X.iloc[order, at].array)
    else:
        mixed[:, at] = X[order, at]
    return mixed


def _average_precision(
    pipeline: Any, X: Matrix, rows: NDArray[np.intp], problem: Problem
) -> float:
    """Return the average precision of a model on rows."""
    table = problem.table
    proba = predict_codes(pipeline, X, table.n_classes)
    weight = table.weights[rows][np.newaxis]
    score = METRICS["average_precision"].score_many
    return float(score(table.y[rows], proba, weight, pos=table.pos)[0])
