"""One fold of a table, evaluated as the search does and by its pipeline alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.problem import Problem
from autoimb._execution.process_settings import quiet_warnings
from autoimb._execution.shared_data import Inline
from autoimb._table.columns import take
from autoimb._table.folds import make_folds
from autoimb._table.table import check_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._catalogue import Catalogue
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._strategy.strategy import Strategy


def evaluated_both_ways(
    strategy: Strategy, X: Any, y: Any, catalogue: Catalogue
) -> tuple[FoldResult, Any]:
    """Return the result on the first of two folds, and `pipeline_proba` of that fold.

    The second is None if the first failed.
    """
    table = check_table(X, y)
    folds = make_folds(table, 2, random_state=0, n_repeats=1)
    problem = Problem(table, catalogue, folds, 0)
    result = evaluate(strategy, 0, Inline(problem))
    is_complete = result.status == "ok"
    return result, pipeline_proba(strategy, problem, 0) if is_complete else None


def pipeline_proba(
    strategy: Strategy, problem: Problem, number: int
) -> NDArray[np.float64]:
    """Return a fold's scores by the pipeline's own ``fit`` and ``predict_proba``."""
    fold, table = problem.folds[number], problem.table
    y = table.y[fold.train_idx]
    pipeline = problem.build(strategy, y, problem.fold_seed(number))
    with quiet_warnings():
        pipeline.fit(take(table.X, fold.train_idx), y)
        X = take(table.X, fold.val_idx)
        if hasattr(pipeline, "predict_proba"):
            return np.asarray(pipeline.predict_proba(X))
        decision = pipeline.decision_function(X)
    if decision.ndim == 1:
        decision = np.column_stack([np.zeros_like(decision), decision])
    return np.asarray(softmax(decision, axis=1))
