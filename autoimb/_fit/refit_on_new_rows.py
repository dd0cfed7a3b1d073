"""The strategies of a fitted model, fitted on other rows without a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._execution.deadline import Deadline
from autoimb._fit.finish import finish
from autoimb._search.trials import TrialRecord
from autoimb._select.ensemble import Member
from autoimb._select.selection import Selection
from autoimb.exceptions import NoCandidateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._evaluate.context import EvaluationContext
    from autoimb._fit.final_fit import FinalFit
    from autoimb._fit.finish import FittedSelection
    from autoimb._fit.fitted_model import FittedMember
    from autoimb._strategy.strategy import Strategy


def refit_members(
    members: Sequence[FittedMember],
    context: EvaluationContext,
    requested_threshold: Any,
    *,
    calibrates_output: bool,
    final_fit: FinalFit,
    n_threads: int,
) -> FittedSelection:
    """Return the members fitted anew, with calibration and threshold from folds.

    Raises
    ------
    NoCandidateError
        If a member cannot be fitted on these rows.
    """
    strategies = [member.strategy for member in members]
    records = _scored(strategies, context, keeps_models=final_fit is False)
    selected = tuple(map(Member, records, [member.weight for member in members]))
    refitted = finish(
        Selection(
            winner=records[0],
            baseline=None,
            finalists=tuple(records),
            members=selected,
        ),
        context.problem,
        requested_threshold,
        calibrates_output=calibrates_output,
        final_fit=final_fit,
        n_threads=n_threads,
    )
    lost = [member for member in selected if member not in refitted.selection.members]
    if lost:
        cause = refitted.refit_failure.error if refitted.refit_failure else None
        raise NoCandidateError(
            f"{lost[0].strategy} failed on all rows, though not on those of folds: "
            "call fit to search again."
        ) from cause
    return refitted


def _scored(
    strategies: Sequence[Strategy], context: EvaluationContext, *, keeps_models: bool
) -> list[TrialRecord]:
    """Return the strategies with their out-of-fold scores on every fold."""
    n_folds = len(context.problem.folds)
    evaluated = context.evaluate_all(
        [(s, number, ALL_ROWS) for s in strategies for number in range(n_folds)],
        Deadline(None),
        keeps_models=keeps_models,
    )
    records = []
    for place, strategy in enumerate(strategies):
        results = tuple(evaluated[place * n_folds : (place + 1) * n_folds])
        failed = [result for result in results if result.status != "ok"]
        if failed:
            raise NoCandidateError(f"{strategy} failed: {failed[0].reason}.")
        records.append(
            TrialRecord(
                number=place,
                strategy=strategy,
                status="complete",
                score=context.scoring.score(results),
                results=results,
                n_folds=len(results),
                fit_seconds=sum(r.fit_seconds for r in results) / len(results),
            )
        )
    return records
