"""From a selection to a model that predicts: fit, calibrate, tune the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._evaluate.fit_predict import predict_codes
from autoimb._evaluate.out_of_fold import FoldResult, OutOfFold
from autoimb._fit.calibrate import CalibratedScores, EnsembleScores, ensemble_scores
from autoimb._fit.decision import Decision
from autoimb._fit.final_fit import fit_selection
from autoimb._fit.fitted_model import FittedMember, FittedModel
from autoimb._metrics.calibration import Identity
from autoimb._table.columns import take

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from autoimb._evaluate.problem import Problem
    from autoimb._fit.final_fit import FinalFit, FinalSelection, RefitFailure
    from autoimb._select.selection import Selection


@dataclass(frozen=True, slots=True, eq=False)
class FittedSelection:
    """A model with its decision, and the selection of the members that are in it."""

    model: FittedModel
    decision: Decision
    selection: Selection
    """The members that predict: a substitute if the winner failed."""
    refit_failure: RefitFailure | None
    """Why the winner was not fitted as a whole and as planned; None if it was."""


def finish(
    selection: Selection,
    problem: Problem,
    requested_threshold: Any,
    *,
    calibrates_output: bool,
    final_fit: FinalFit = "auto",
    n_threads: int = 1,
    seconds: float | None = None,
    was_interrupted: bool = False,
) -> FittedSelection:
    """Return the selection fitted, calibrated and with its threshold.

    A fallback has no out-of-fold scores. Its threshold is tuned on training rows, and
    it is never calibrated.
    """
    final = fit_selection(
        selection,
        problem,
        final_fit=final_fit,
        n_threads=n_threads,
        seconds=seconds,
        was_interrupted=was_interrupted,
    )
    members = final.selection.members
    is_out_of_fold = bool(final.selection.winner.results)
    if is_out_of_fold:
        scores = ensemble_scores(members, problem, calibrates_output=calibrates_output)
    else:
        scores = _training_scores(final.fitted[0].pipelines[0], problem)
    decision = Decision.of(
        requested_threshold,
        scores.oof,
        scores.calibrated,
        problem,
        is_out_of_fold=is_out_of_fold,
    )
    fitted = _fitted_members(final, scores)
    model = FittedModel(
        fitted, decision.rule, problem.table.n_classes, calibration=scores.calibration
    )
    return FittedSelection(model, decision, final.selection, final.failure)


def _fitted_members(
    final: FinalSelection, scores: EnsembleScores
) -> tuple[FittedMember, ...]:
    """Return the members with their pipelines and calibrations."""
    every = zip(final.selection.members, final.fitted, scores.calibrations, strict=True)
    return tuple(
        FittedMember(
            member.strategy,
            member.weight,
            fitted.pipelines,
            calibration,
            fitted.unfitted,
            fitted.reason,
            member.record.row_sample.n_rows,
        )
        for member, fitted, calibration in every
    )


def _training_scores(pipeline: Pipeline, problem: Problem) -> EnsembleScores:
    """Return the scores of the rows of one fold, which the pipeline was fitted on.

    The scores of rows that a model has learned by heart say no more than their labels,
    so that the threshold is tuned with the labels as probabilities.
    """
    X, n_classes = problem.table.X, problem.table.n_classes
    proba = predict_codes(pipeline, take(X, problem.folds[0].val_idx), n_classes)
    oof = OutOfFold.of([FoldResult(0, "ok", proba)], problem)
    labels = np.eye(n_classes)[oof.y]
    uncalibrated = CalibratedScores(Identity(), proba, labels)
    return EnsembleScores(oof, uncalibrated, (Identity(),), Identity())
