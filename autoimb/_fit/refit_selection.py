"""Refit the members of a selection on all rows, or a substitute if that fails."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from autoimb._evaluate.refit import EncodedRows, refit
from autoimb._execution.deadline import Deadline
from autoimb.exceptions import (
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

_MAX_REASONS = 3  # of refits that failed, in an error
_WORTH_THREADS = 0.5  # seconds of a fit by one thread from which on more are used


@dataclass(frozen=True, slots=True, eq=False)
class RefitFailure:
    """Why the winner was not refitted as a whole, and what was fitted instead."""

    winner: Strategy
    refitted: Strategy
    """The strategy that was refitted: a substitute, or the winner stopped early."""
    error: Exception | None = None
    """None if the winner was stopped early."""

    @property
    def is_replaced(self) -> bool:
        """Whether a substitute predicts."""
        return self.refitted != self.winner

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
            what = f"{self.refitted} took its place"
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
    first_line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first_line}".removesuffix(": ")


@dataclass(frozen=True, slots=True, eq=False)
class RefittedSelection:
    """The selection of the members that could be refitted, with their pipelines."""

    selection: Selection
    pipelines: tuple[Pipeline, ...]
    """One for each member, fitted on all rows."""
    failure: RefitFailure | None


@dataclass(frozen=True, slots=True, eq=False)
class _Refits:
    """Problem, threads and deadline that all refits share, and their encoded rows."""

    problem: Problem
    n_threads: int
    deadline: Deadline
    encoded: EncodedRows = field(default_factory=dict)

    def refit(
        self, record: TrialRecord, seconds: float | None
    ) -> tuple[Pipeline, bool]:
        """Return a candidate fitted on all rows, and whether it was not stopped early.

        A quick one has a single thread. Threads that share a core with other programs
        wait for each other thousands of times in a fit: a boosted model of 0.2 s took
        3 s with two threads on a busy machine.
        """
        is_quick = 0 < record.fit_seconds < _WORTH_THREADS
        return refit(
            record.strategy,
            self.problem,
            n_threads=1 if is_quick else self.n_threads,
            seconds=seconds,
            encoded=self.encoded,
        )


def refit_selection(
    selection: Selection, problem: Problem, *, n_threads: int, seconds: float | None
) -> RefittedSelection:
    """Return the selection refitted on all rows.

    The winner, or a substitute, is always refitted. Other members are left out if they
    fail or if their refit would not end in time.
    """
    refits = _Refits(problem, n_threads, Deadline(seconds))
    refitted = _refit_winner(selection, refits)
    members, pipelines = [refitted.selection.members[0]], [*refitted.pipelines]
    for member in refitted.selection.members[1:]:
        left = refits.deadline.timeout_s
        if left is not None and left < member.record.fit_seconds:
            continue
        try:
            pipeline, is_whole = refits.refit(member.record, left)
        except Exception as error:  # noqa: BLE001  an ensemble can spare a member
            logger.info("%s is no member: %s", member.strategy, error or "no time")
            continue
        if is_whole:
            members.append(member)
            pipelines.append(pipeline)
    return replace(
        refitted,
        selection=replace(refitted.selection, members=tuple(members)),
        pipelines=tuple(pipelines),
    )


def _refit_winner(selection: Selection, refits: _Refits) -> RefittedSelection:
    """Return the winner alone refitted on all rows, or a substitute.

    The refit of the winner leaves the seconds that the quickest candidate needs, which
    replaces it after a timeout.
    """
    winner, quick = selection.winner, selection.quick_substitute
    seconds = refits.deadline.time_limit_s
    limit = seconds
    if quick is not None and seconds is not None:
        limit = max(1.0, seconds - quick.winner.refit_seconds)
    elif not refits.problem.can_stop(winner.strategy):
        limit = None
    try:
        pipeline, is_whole = refits.refit(winner, limit)
    except TimeoutError as error:
        return _refit_late(quick or selection, refits, winner.strategy, error)
    except Exception as error:  # noqa: BLE001  another candidate takes its place
        return _refit_substitute(selection, refits, winner.strategy, error)
    stopped = None if is_whole else RefitFailure(winner.strategy, winner.strategy)
    return RefittedSelection(selection, (pipeline,), stopped)


def _refit_late(
    quick: Selection, refits: _Refits, winner: Strategy, late: TimeoutError
) -> RefittedSelection:
    """Return the quickest candidate refitted, after the winner took too long.

    It is stopped early if it can be, and has all the time that it needs if it cannot:
    there must be some model.
    """
    instead = quick.winner.strategy
    is_limited = refits.deadline.time_limit_s is not None
    limits = [1.0, None] if is_limited and refits.problem.can_stop(instead) else [None]
    for limit in limits:
        try:
            pipeline, is_whole = refits.refit(quick.winner, limit)
        except TimeoutError:
            continue  # a busy machine: even what was to stop early took too long
        except Exception as error:  # noqa: BLE001  another candidate takes its place
            return _refit_substitute(quick, refits, winner, error)
        is_as_planned = instead == winner and is_whole
        failure = None if is_as_planned else RefitFailure(winner, instead, late)
        return RefittedSelection(quick, (pipeline,), failure)
    return _refit_substitute(quick, refits, winner, late)


def _refit_substitute(
    selection: Selection, refits: _Refits, winner: Strategy, error: Exception
) -> RefittedSelection:
    """Return the best substitute that does not fail, after the selection's best failed.

    Raises
    ------
    NoCandidateError
        If all of them fail.
    """
    reasons = [f"{selection.winner.strategy} ({_named(error)})"]
    for other in selection.substitutes:
        limit = None
        if refits.deadline.time_limit_s is not None:
            limit = max(1.0, refits.deadline.remaining_s)
        try:
            pipeline, _ = refits.refit(other.winner, limit)
        except Exception as another:  # noqa: BLE001  the next one takes its place
            reasons.append(f"{other.winner.strategy} ({_named(another)})")
            continue
        failure = RefitFailure(winner, other.winner.strategy, error)
        return RefittedSelection(other, (pipeline,), failure)
    raise NoCandidateError(
        f"none of {len(reasons)} candidates could be fitted on all rows: "
        f"{'; '.join(reasons[:_MAX_REASONS])}. Leave them out of the search, or "
        "correct them."
    ) from error
