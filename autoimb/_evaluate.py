"""Fit one strategy on one fold, or on all rows, through the same path.

`evaluate` is pure and picklable: what it returns depends on its arguments alone, and
equals ``strategy.build(...).fit(training rows).predict_proba(validation rows)``.
Nothing outside the training part of the fold is ever fitted or resampled.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from autoimb._columns import take
from autoimb._execution import failure_reason
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._catalogue import Catalogue
    from autoimb._columns import Matrix
    from autoimb._data import Table
    from autoimb._execution import Shared
    from autoimb._folds import Fold
    from autoimb._metrics import Metric
    from autoimb._strategy import Strategy


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What every evaluation of one fit shares."""

    table: Table
    catalogue: Catalogue
    folds: tuple[Fold, ...]
    seed: int
    device: str = "cpu"
    metric: str | Metric = "average_precision"
    """What models that stop early look at."""

    def fold_seed(self, number: int) -> int:
        """Return the seed of one fold, the same for every strategy."""
        return (self.seed + number) % 2**31


@dataclass(frozen=True, slots=True, eq=False)
class FoldResult:
    """One fold of one strategy: its out-of-fold scores, or why there are none."""

    number: int
    """Position of the fold among the problem's folds."""
    status: str
    """``"ok"``, ``"failed"``, ``"timeout"`` or ``"killed"``."""
    proba: NDArray[np.float64] | None = None  # (n_validation_rows, n_classes)
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Scores of rows by models that never saw them; a repeat adds an entry a row."""

    rows: NDArray[np.intp]
    y: NDArray[np.intp]
    proba: NDArray[np.float64]  # (n_entries, n_classes)
    weight: NDArray[np.float64]
    """Row weight over the number of entries of that row."""
    groups: NDArray[np.intp]
    """Entries to leave out together when something is cross-fitted on these."""

    @classmethod
    def of(cls, results: Sequence[FoldResult], problem: Problem) -> OutOfFold:
        """Return the scored rows of some folds."""
        scored = [result for result in results if result.proba is not None]
        rows = np.concatenate([problem.folds[r.number].val_idx for r in scored])
        n_rows = len(problem.table.y)
        n_entries = np.bincount(rows, minlength=n_rows)
        group_of_row = np.zeros(n_rows, dtype=np.intp)
        for number, fold in reversed(list(enumerate(problem.folds))):
            group_of_row[fold.val_idx] = number
        return cls(
            rows=rows,
            y=problem.table.y[rows],
            proba=np.concatenate([result.proba for result in scored]),
            weight=(problem.table.weights / n_entries.clip(1))[rows],
            groups=group_of_row[rows],
        )

    def by_row(self, proba: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
        """Return the mean of entries' values for each row, NaN where there is none."""
        total = np.zeros((n_rows, proba.shape[1]))
        np.add.at(total, self.rows, proba)
        n_entries = np.bincount(self.rows, minlength=n_rows)
        with np.errstate(invalid="ignore"):
            return total / n_entries[:, np.newaxis]


def evaluate(strategy: Strategy, number: int, problem: Shared) -> FoldResult:
    """Return the scores of one strategy on one fold's validation rows."""
    shared = problem.get()
    fold = shared.folds[number]
    X, y, weights = shared.table.X, shared.table.y, shared.table.sample_weight
    train = fold.train_idx
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            # Scores decide, not complaints about convergence or a constant column.
            warnings.simplefilter("ignore")
            pipeline = strategy.build(
                shared.catalogue,
                shared.table.schema,
                y[train],
                seed=shared.fold_seed(number),
                device=shared.device,
                metric=shared.metric,
            )
            weight = None if weights is None else weights[train]
            fit_steps(pipeline, take(X, train), y[train], weight)
            fitted = time.perf_counter()
            proba = predict_codes(
                pipeline, take(X, fold.val_idx), shared.table.n_classes
            )
    except Exception as error:  # noqa: BLE001  a candidate's failure is a result
        status, reason = failure_reason(error)
        seconds = time.perf_counter() - started
        return FoldResult(number, status, None, seconds, 0.0, reason)
    return FoldResult(
        number, "ok", proba, fitted - started, time.perf_counter() - fitted
    )


def refit(strategy: Strategy, problem: Problem, *, n_threads: int = 1) -> Pipeline:
    """Return the strategy's pipeline fitted on every row of the table."""
    table = problem.table
    pipeline = strategy.build(
        problem.catalogue,
        table.schema,
        table.y,
        seed=problem.seed,
        n_threads=n_threads,
        device=problem.device,
        metric=problem.metric,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit_steps(pipeline, table.X, table.y, table.sample_weight)


def fit_steps(
    pipeline: Pipeline,
    X: Matrix,
    y: NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
) -> Pipeline:
    """Fit a pipeline's steps in order and return it.

    Unlike the pipeline's own ``fit``, row weights follow their rows through a sampler,
    and no sampler keeps the rows that it has seen: predicting does not ask it.
    """
    for name, step in pipeline.steps:
        if hasattr(step, "fit_resample"):
            sampler = clone(step)
            X, y = sampler.fit_resample(X, y)
            if sample_weight is not None:
                sample_weight = sample_weight[_chosen(sampler)]
        elif name != "model":
            X = step.fit_transform(X, y)
        elif sample_weight is None:
            step.fit(X, y)
        else:
            step.fit(X, y, **{_weight_keyword(step): sample_weight})
    return pipeline


def _chosen(sampler: Any) -> NDArray[np.intp]:
    """Return which rows a sampler chose, or raise for one that makes rows."""
    if not hasattr(sampler, "sample_indices_"):
        raise BadInputError(
            f"{type(sampler).__name__} does not say which rows it chose "
            "(sample_indices_), so the given sample_weight cannot follow them."
        )
    return np.asarray(sampler.sample_indices_)


def _weight_keyword(model: Any) -> str:
    """Return the fit keyword under which a model takes row weights."""
    if isinstance(model, Pipeline):
        return f"{model.steps[-1][0]}__sample_weight"
    return "sample_weight"


def predict_codes(pipeline: Pipeline, X: Matrix, n_classes: int) -> NDArray[np.float64]:
    """Return class scores in code order; rows sum to one."""
    scores = _class_scores(pipeline, X)
    if not np.isfinite(scores).all():
        raise ValueError("the model's scores are not all finite")
    if scores.shape[1] == n_classes:
        return scores
    full = np.zeros((len(scores), n_classes))
    full[:, pipeline.classes_] = scores
    return full


def _class_scores(pipeline: Pipeline, X: Matrix) -> NDArray[np.float64]:
    """Return probabilities, or a strictly increasing map of decision values to them."""
    if hasattr(pipeline, "predict_proba"):
        return np.asarray(pipeline.predict_proba(X), dtype=np.float64)
    decision = np.asarray(pipeline.decision_function(X), dtype=np.float64)
    if decision.ndim == 1:
        positive = expit(decision)
        return np.column_stack([1 - positive, positive])
    return np.asarray(softmax(decision, axis=1))
