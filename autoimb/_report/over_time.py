"""Scores over time, where folds are validated in order of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autoimb._metrics.metrics import METRICS
from autoimb._report.further_data import BlockRow

if TYPE_CHECKING:
    from autoimb._report.fit_results import FitResults


def blocks_over_time(results: FitResults) -> tuple[BlockRow, ...]:
    """Return a row for each block, first to last; none where folds are not by time.

    Calibration is cross-fitted over all blocks. Probabilities are those before another
    class distribution is expected.
    """
    folds, decision = results.problem.folds, results.decision
    if folds[0].kind != "time ordered" or not decision.is_out_of_fold:
        return ()
    table, oof, proba = results.problem.table, decision.oof, decision.calibrated.proba
    code = table.minority if table.pos is None else table.pos
    metric = METRICS["average_precision"]
    blocks = []
    for fold in folds:
        at = np.isin(oof.rows, fold.val_idx)
        y, weight = oof.y[at], oof.weight[at]
        score = metric.score_many(y, proba[at], weight[np.newaxis], pos=table.pos)
        blocks.append(
            BlockRow(
                name=fold.name,
                n_rows=len(fold.val_idx),
                n_of_class=int((y == code).sum()),
                n_training=len(fold.train_idx),
                share=float(np.average(y == code, weights=weight)),
                probability=float(np.average(proba[at, code], weights=weight)),
                average_precision=float(score[0]),
            )
        )
    return tuple(blocks)
