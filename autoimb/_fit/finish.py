"""From a selection to a model that predicts: fit, calibrate, tune the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._evaluate.few_rows import least_seconds
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


@dataclass(frozen=True, slots=True)
class RowTime:
    """What one row takes on this machine, and what it may take."""

    ms: float
    max_ms: float

    @classmethod
    def of(cls, model: FittedModel, problem: Problem) -> RowTime | None:
        """Return the time of a fitted model; None where there is no limit."""
        if problem.max_predict_ms is None:
            return None
        table = problem.table
        row = take(table.X, np.arange(1))
        seconds = least_seconds(lambda: model.proba(table.schema.canonical(row)))
        return cls(1e3 * seconds, problem.max_predict_ms)

    @property
    def is_kept(self) -> bool:
        """Whether it takes no longer than it may."""
        return self.ms <= self.max_ms

    @property
    def message(self) -> str:
        """The warning if it takes longer."""
        return (
            f"max_predict_ms={self.max_ms:g} is not kept: one row takes "
            f"{self.ms:.1f} ms on this machine, by the quickest that there was to "
            "choose. Allow more, or ask for families that are quicker, such as "
            "'logistic_regression' and 'xgboost'."
        )


@dataclass(frozen=True, slots=True, eq=False)
class FittedSelection:
    """A model with its decision, and the selection of the members that are in it."""

    model: FittedModel
    decision: Decision
    selection: Selection
    """The members that predict: a substitute if the winner failed."""
    refit_failure: RefitFailure | None
    """Why the winner was not fitted as a whole and as planned; None if it was."""
    row_time: RowTime | None = None
    """What one row takes, where it was to be limited."""


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
    row_time = RowTime.of(model, problem)
    return FittedSelection(model, decision, final.selection, final.failure, row_time)


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
