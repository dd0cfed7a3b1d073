"""Refit the members of a selection on all rows, or a substitute if that fails."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from autoimb._evaluate.refit import EncodedRows, refit
from autoimb._execution.deadline import Deadline
from autoimb.exceptions import BudgetTooSmallWarning, RefitFailedWarning

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from autoimb._evaluate.problem import Problem
    from autoimb._search.trials import TrialRecord
    from autoimb._select.selection import Selection
    from autoimb._strategy.strategy import Strategy
    from autoimb.exceptions import AutoImbWarning

logger = logging.getLogger(__name__)

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
        first_line = str(self.error).partition("\n")[0]
        return f"{type(self.error).__name__}: {first_line}".removesuffix(": ")

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
    replaces it after a timeout. That last refit has no limit unless the model can stop
    by itself: there must be some model. A winner that fails is replaced by the best
    substitute that does not fail.
    """
    winner, quick = selection.winner, selection.quick_substitute
    can_stop, seconds = refits.problem.can_stop, refits.deadline.time_limit_s
    limit = seconds
    if quick is not None and seconds is not None:
        limit = max(1.0, seconds - quick.winner.refit_seconds)
    elif not can_stop(winner.strategy):
        limit = None
    try:
        pipeline, is_whole = refits.refit(winner, limit)
    except TimeoutError as error:
        if quick is None:
            raise
        instead = quick.winner.strategy
        limit = 1.0 if seconds is not None and can_stop(instead) else None
        pipeline, _ = refits.refit(quick.winner, limit)
        failure = RefitFailure(winner.strategy, instead, error)
        return RefittedSelection(quick, (pipeline,), failure)
    except Exception as error:
        for other in selection.substitutes:
            limit = None if seconds is None else max(1.0, refits.deadline.remaining_s)
            with suppress(Exception):
                pipeline, _ = refits.refit(other.winner, limit)
                failure = RefitFailure(winner.strategy, other.winner.strategy, error)
                return RefittedSelection(other, (pipeline,), failure)
        raise
    stopped = None if is_whole else RefitFailure(winner.strategy, winner.strategy)
    return RefittedSelection(selection, (pipeline,), stopped)
