"""What predicts for each member: a fit on all rows, its fold models, or a substitute.

The chain, for the winner: a refit on all rows, if there is time for it; else the models
of its folds, which were kept; else, only if both fail, the next best candidate. Other
members are left out if they have neither.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from autoimb._evaluate.fold_models import FoldModels
from autoimb._evaluate.refit import EncodedRows, refit
from autoimb._evaluate.row_sample import ALL_ROWS, row_samples
from autoimb._execution.ctrl_c import interrupted_by_ctrl_c
from autoimb._execution.deadline import Deadline
from autoimb._search.trials import WORTH_THREADS
from autoimb.exceptions import (
    BadInputError,
    BudgetTooSmallWarning,
    NoCandidateError,
    RefitFailedWarning,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from autoimb._evaluate.problem import Problem
    from autoimb._search.trials import TrialRecord
    from autoimb._select.selection import Selection
    from autoimb._strategy.strategy import Strategy
    from autoimb.exceptions import AutoImbWarning

logger = logging.getLogger(__name__)

FinalFit = Literal["auto"] | bool
"""Whether candidates are fitted on all rows: if there is time, always, or never."""
_MAX_REASONS = 3  # of refits that failed, in an error
_LEAST_SECONDS = 1.0  # of a refit without which there would be no model
_LATE_SECONDS = 3.0  # of the last attempt at a model, after the end of the time budget


def check_final_fit(final_fit: object) -> FinalFit:
    """Return the setting; raise `BadInputError` if it is none of the three."""
    if final_fit == "auto" or isinstance(final_fit, bool):
        return final_fit
    raise BadInputError(f"{final_fit=} must be 'auto', True or False.")


@dataclass(frozen=True, slots=True, eq=False)
class RefitFailure:
    """Why the winner was not fitted on all rows as a whole, and what predicts now."""

    winner: Strategy
    used: Strategy
    """The strategy that predicts: a substitute, or the winner itself."""
    error: Exception | None = None
    """None if the refit was stopped early."""
    by_fold_models: bool = False
    """Whether fold models predict."""

    @property
    def is_replaced(self) -> bool:
        """Whether a substitute predicts."""
        return self.used != self.winner

    @property
    def is_late(self) -> bool:
        """Whether more time would have helped."""
        return self.error is None or isinstance(self.error, TimeoutError)

    @property
    def cause(self) -> str:
        """The error's name and the first line of its message."""
        return _named(self.error)

    @property
    def warning_category(self) -> type[AutoImbWarning]:
        """The class of the warning."""
        return BudgetTooSmallWarning if self.is_late else RefitFailedWarning

    def message(self, time_budget: float | str | None) -> str:
        """Return the text of the warning: what happened, and what helps."""
        what = "it was stopped early"
        if self.is_replaced:
            what = f"{self.used} took its place"
        elif self.by_fold_models:
            what = "the mean of its fold models predicts"
        if self.is_late:
            return (
                f"{time_budget=} left too little for a whole refit of {self.winner}: "
                f"{what}. Give more time."
            )
        return (
            f"{self.winner} was the best in cross-validation but failed on all rows "
            f"({self.cause}): {what}. Leave it out of the search, or correct it."
        )


def _named(error: Exception | None) -> str:
    """Return an error's name and the first line of its message."""
    if isinstance(error, TimeoutError) and not error.args:
        return "it took too long"
    first_line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first_line}".removesuffix(": ")


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What predicts for one candidate."""

    pipelines: tuple[Pipeline, ...]
    """One that is fitted on all rows, or fold models."""
    unfitted: Pipeline | None = None
    """The pipeline for a fit on all rows, where fold models predict in its place."""
    reason: str = ""
    """Why they do, in words."""
    error: Exception | None = None
    """Why the refit on all rows, which was tried, did not end."""
    is_whole: bool = True
    """Whether it was not stopped early."""


@dataclass(frozen=True, slots=True, eq=False)
class FinalSelection:
    """The selection of the members that predict, with their pipelines."""

    selection: Selection
    fitted: tuple[Fitted, ...]
    """One for each member."""
    failure: RefitFailure | None


@dataclass(slots=True, eq=False)
class _FinalFits:
    """Problem, threads, deadline and encoded rows that all final fits share."""

    problem: Problem
    final_fit: FinalFit
    n_threads: int
    deadline: Deadline
    fold_models: FoldModels
    was_interrupted: bool = False
    """Whether Ctrl-C came before: once more, and the whole fit ends."""
    encoded: EncodedRows = field(default_factory=dict)

    def fit(self, record: TrialRecord) -> Fitted:
        """Return what predicts for a candidate.

        A whole fit on all rows comes before fold models, and these before a fit that
        was stopped early. The error of the refit is raised if there is none of them.
        """
        if not self._is_refitted(record):
            try:
                return self._by_folds(record, self._reason(record))
            except LookupError:
                pass  # they cannot be read
        can_do_without = interrupted_by_ctrl_c if record.has_models else nullcontext
        try:
            with can_do_without():
                pipeline, is_whole = self.refit(record, self._limit(record))
        except KeyboardInterrupt:
            if self.was_interrupted or not record.has_models:
                raise
            self.deadline = Deadline(0.0)
            return self._by_folds(record, "the fit on all rows was interrupted")
        except Exception as raised:  # noqa: BLE001  its fold models take its place
            try:
                return self._by_folds(record, self._reason(record, raised), raised)
            except LookupError:
                raise raised from None
        if not is_whole:
            with suppress(LookupError):
                late = TimeoutError()
                return self._by_folds(record, self._reason(record, late), late)
        return Fitted((pipeline,), is_whole=is_whole)

    def _by_folds(
        self, record: TrialRecord, reason: str, error: Exception | None = None
    ) -> Fitted:
        """Return a candidate's fold models.

        That there was no time for a refit is what "auto" means, and no error.
        """
        models = self.fold_models.load(record.strategy, record.results)
        unfitted = self.problem.build(
            record.strategy, self.problem.table.y, self.problem.seed, n_threads=1
        )
        if isinstance(error, TimeoutError) and self.final_fit is not True:
            error = None
        return Fitted(models, unfitted, reason, error)

    def _reason(self, record: TrialRecord, error: Exception | None = None) -> str:
        """Return why fold models predict, as the report says it."""
        if error is not None and not isinstance(error, TimeoutError):
            return f"the fit on all rows failed ({_named(error)})"
        if self.final_fit is False:
            return "final_fit=False asks for it"
        if error is None and record.row_sample != ALL_ROWS:
            return "they were fitted on samples of the rows, and so were scored"
        return "the time budget left too little time for a fit on all rows"

    def _is_refitted(self, record: TrialRecord) -> bool:
        """Whether a candidate is fitted on all rows."""
        if not record.has_models or self.final_fit is True:
            return True
        if record.row_sample != ALL_ROWS:  # its scores are of models on samples
            return False
        in_time = record.refit_seconds <= self.deadline.remaining_s
        return self.final_fit == "auto" and in_time

    def _limit(self, record: TrialRecord) -> float | None:
        """Return the seconds of a refit; None for no limit.

        Without fold models there must be some model: one that can be stopped early has
        a second at least.
        """
        left = self.deadline.timeout_s
        if left is None or (record.has_models and self._is_refitted(record)):
            return left
        return max(_LEAST_SECONDS, left)

    def refit(
        self, record: TrialRecord, seconds: float | None
    ) -> tuple[Pipeline, bool]:
        """Return a candidate fitted on all rows, and whether it was not stopped early.

        Only one that is known to be slow has several threads. Those that share a core
        with other programs wait for each other thousands of times in a fit: a boosted
        model of 0.2 s took 3 s with two threads on a busy machine.
        """
        is_slow = record.fit_seconds >= WORTH_THREADS
        return refit(
            record.strategy,
            self.problem,
            row_sample=record.row_sample,
            n_threads=self.n_threads if is_slow else 1,
            seconds=seconds,
            encoded=self.encoded,
        )


def fit_selection(
    selection: Selection,
    problem: Problem,
    *,
    final_fit: FinalFit,
    n_threads: int,
    seconds: float | None,
    was_interrupted: bool = False,
) -> FinalSelection:
    """Return what predicts for each member of a selection.

    The winner, or a substitute, is always there. Other members are left out if they
    fail, or if there is no time to fit them and they have no fold models.

    Raises
    ------
    NoCandidateError
        If the winner and all its substitutes fail.
    """
    models, limit = FoldModels(problem), Deadline(seconds)
    fits = _FinalFits(problem, final_fit, n_threads, limit, models, was_interrupted)
    first = _fit_winner(selection, fits)
    members, every = [first.selection.members[0]], [*first.fitted]
    for member in first.selection.members[1:]:
        record = member.record
        is_late = record.refit_seconds > fits.deadline.remaining_s
        if is_late and not record.has_models:
            continue
        try:
            with interrupted_by_ctrl_c():
                fitted = fits.fit(record)
        except KeyboardInterrupt:  # the winner is there
            if was_interrupted:
                raise
            fits.deadline = Deadline(0.0)
            continue
        except Exception as error:  # noqa: BLE001  an ensemble can spare a member
            logger.info("%s is no member: %s", member.strategy, error or "no time")
            continue
        if fitted.is_whole:
            members.append(member)
            every.append(fitted)
    return replace(
        first,
        selection=replace(first.selection, members=tuple(members)),
        fitted=tuple(every),
    )


def _fit_winner(selection: Selection, fits: _FinalFits) -> FinalSelection:
    """Return the winner alone, or the best substitute that does not fail.

    Once the time is over, only those with fold models can take its place.
    """
    errors: dict[Strategy, Exception] = {}
    for other in (selection, *selection.substitutes):
        record = other.winner
        if errors and fits.deadline.is_over and not record.has_models:
            continue
        try:
            fitted = fits.fit(record)
        except Exception as error:  # noqa: BLE001  the next one takes its place
            logger.info("%s could not be fitted: %s", record.strategy, _named(error))
            errors[record.strategy] = error
            continue
        failure = _failure(selection.winner.strategy, record.strategy, fitted, errors)
        return FinalSelection(other, (fitted,), failure)
    return _fit_late(selection, fits, errors)


def _fit_late(
    selection: Selection, fits: _FinalFits, errors: dict[Strategy, Exception]
) -> FinalSelection:
    """Return the quickest candidate, which is given a few seconds beyond the budget.

    There must be some model, and all candidates failed or were late. One that was not
    scored on any fold is fitted on the smallest sample of the rows, as time is over.
    """
    quick = selection.quick_substitute or selection
    record, winner = quick.winner, selection.winner.strategy
    if not record.results:
        smallest = row_samples(len(fits.problem.table.y))[-1]
        record = replace(record, row_sample=smallest)
    if isinstance(errors.get(record.strategy, TimeoutError()), TimeoutError):
        try:
            limited = fits.deadline.time_limit_s is not None
            pipeline, _ = fits.refit(record, _LATE_SECONDS if limited else None)
        except Exception as error:  # noqa: BLE001  told with the others
            errors = {**errors, record.strategy: error}
        else:
            late = {} if record.strategy == winner else errors
            fitted = Fitted((pipeline,), is_whole=record.row_sample == ALL_ROWS)
            failure = _failure(winner, record.strategy, fitted, late)
            return FinalSelection(quick, (fitted,), failure)
    raise _nothing_fits(errors) from next(iter(errors.values()))


def _nothing_fits(errors: dict[Strategy, Exception]) -> NoCandidateError:
    """Return the error where no candidate could be fitted."""
    reasons = [f"{s} ({_named(error)})" for s, error in errors.items()]
    are_late = all(isinstance(error, TimeoutError) for error in errors.values())
    advice = (
        "Give more time, or families that take less."
        if are_late
        else "Leave them out of the search, or correct them."
    )
    return NoCandidateError(
        f"none of {len(reasons)} candidates could be fitted on all rows: "
        f"{'; '.join(reasons[:_MAX_REASONS])}. {advice}"
    )


def _failure(
    winner: Strategy,
    used: Strategy,
    fitted: Fitted,
    errors: dict[Strategy, Exception],
) -> RefitFailure | None:
    """Return why the winner is not whole and fitted as planned; None if it is."""
    error = errors.get(winner, fitted.error)
    if used == winner and error is None and fitted.is_whole:
        return None
    by_fold_models = fitted.error is not None
    return RefitFailure(winner, used, error, by_fold_models)
