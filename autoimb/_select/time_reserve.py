"""Seconds that are kept for the steps after the search.

They are estimates, from rates that were measured on two cores of 2026 with tables of 2
to 18 classes, 3,000 to 321,000 rows and up to 5 repeats: they are right within a factor
of about 1.5 there. A slower or busier machine is noticed by its pace.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._metrics.bootstrap import most_draws
from autoimb._search.trials import WORTH_THREADS
from autoimb._select.ensemble import (
    best_across_families,
    calibration_of,
    typical_standard_error,
    weighted_members,
)
from autoimb._select.finalists import (
    RepeatPlan,
    choose_finalists,
    fewest_finalists,
    seconds_of_repeats,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoimb._evaluate.context import EvaluationContext
    from autoimb._evaluate.problem import Problem
    from autoimb._execution.deadline import Deadline
    from autoimb._search.trials import TrialRecord
    from autoimb._select.ensemble import Member
    from autoimb._select.selection import Selection

_REFIT_SHARE = 0.15
"""Of the budget, for fitting the best on all rows; where it takes more, its fold models
predict."""
_REPEATS_SHARE = 0.25  # of the budget, for scoring finalists on further repeats
_ENOUGH_CANDIDATES = 12  # complete ones, for all of that share
_SLACK = 1.05  # factor on the seconds that further repeats are expected to take
_THREADED = 0.7  # of the seconds of one thread, that a fit by several takes
_REFITS_SHARE = 0.2  # of the budget, for refitting members beside the best
_FIXED_SECONDS = 1.0  # of the last steps, on any table
_REPORT_SECONDS = 6e-7  # of the report, for each score: an entry and a class
_CALIBRATION_SECONDS = 3e-7  # of one candidate, for each score
_MEAN_SECONDS = 6e-7  # of the score and calibration of members' mean, for each score
_CUT_SECONDS = 7e-7  # of tuning a cut of two classes, for each score
_WEIGHTS_SECONDS = 4e-8  # of tuning class weights, for each score and class
_RANKING_SECONDS = 2.5e-8  # of the honest estimate, for each score and draw
_CHOICE_SECONDS = 2e-7  # of choosing an ensemble on a draw of it, for each row
_N_COMPARED = 20  # candidates that are members on some draw of the honest estimate
_LAST_SHARE = 0.5  # of the budget, for all that follows the search but the fits
_FASTEST, _SLOWEST = 1.0, 4.0  # pace
_SURE_SECONDS = 0.02  # of a calibration: shorter ones say nothing of the pace


@dataclass(frozen=True, slots=True)
class LastSteps:
    """What the steps after the search work on, and how long they take but for fits."""

    problem: Problem
    n_members: int
    """Of an ensemble, or 1."""
    n_candidates: int
    """That hold scores."""
    n_repeats: int = 1
    """On which the members were scored."""

    @classmethod
    def after(cls, selection: Selection, problem: Problem) -> LastSteps:
        """Return the steps that follow a selection."""
        n_repeats = len(
            {problem.folds[r.number].repeat for r in selection.winner.results}
        )
        return cls(
            problem,
            len(selection.members),
            selection.n_complete,
            max(1, n_repeats),
        )

    @property
    def choice_s(self) -> float:
        """Seconds to choose the members: all are calibrated on all repeats' folds."""
        if self.n_members == 1:
            return 0.0
        calibrations = self.n_members * _CALIBRATION_SECONDS
        return (calibrations + _MEAN_SECONDS) * self._n_scores * self.n_repeats

    @property
    def total_s(self) -> float:
        """Seconds of all of them."""
        return self.choice_s + self.rest_s

    @property
    def report_s(self) -> float:
        """Seconds of the report."""
        every = self._n_scores * self.n_repeats
        return _FIXED_SECONDS / 2 + _REPORT_SECONDS * every

    @property
    def rest_s(self) -> float:
        """Seconds of calibration, threshold, honest estimate and report.

        Every draw of the honest estimate chooses among candidates, which are calibrated
        on the first repeat.
        """
        n_rows, n_classes = len(self.problem.table.y), self.problem.table.n_classes
        first, n_draws = self._n_scores, most_draws(n_rows)
        every = first * self.n_repeats
        is_binary = self.problem.table.pos is not None
        of_rule = _CUT_SECONDS if is_binary else _WEIGHTS_SECONDS * n_classes
        seconds = _FIXED_SECONDS / 2 + self.report_s
        seconds += (_CALIBRATION_SECONDS + of_rule) * every
        seconds += n_draws * _RANKING_SECONDS * (first + every)
        if self.n_members > 1:
            n_compared = min(_N_COMPARED, self.n_candidates)
            if self.n_repeats == 1:  # the members are calibrated by then
                n_compared = max(0, n_compared - self.n_members)
            seconds += _MEAN_SECONDS * every
            seconds += n_compared * _CALIBRATION_SECONDS * first
            seconds += n_draws * _CHOICE_SECONDS * n_rows
        return seconds

    @property
    def _n_scores(self) -> int:
        return len(self.problem.table.y) * self.problem.table.n_classes


def affordable_repeats(
    finalists: Sequence[TrialRecord],
    context: EvaluationContext,
    steps: LastSteps,
    seconds_for: Callable[[Sequence[TrialRecord]], float],
    *,
    size: int,
) -> RepeatPlan:
    """Return how many finalists can be scored on how many further repeats.

    As many finalists as can be scored on one repeat, then as many repeats: fewer
    finalists on more folds choose better than more finalists on few. `seconds_for`
    returns the seconds that some finalists have for it; the steps that follow are part
    of that, since they take longer the more repeats there are.
    """
    for n in range(len(finalists), fewest_finalists(finalists, size) - 1, -1):
        seconds = seconds_for(finalists[:n])
        spans = seconds_of_repeats(finalists[:n], context)
        for n_repeats in range(len(spans), 0, -1):
            longer = replace(steps, n_repeats=1 + n_repeats)
            needed = spans[n_repeats - 1] + longer.total_s - steps.total_s
            if needed <= seconds:
                return RepeatPlan(n, n_repeats, needed)
    return RepeatPlan(0, 0, 0.0)


def affordable_size(problem: Problem, size: int, deadline: Deadline) -> int:
    """Return how many members an ensemble has at most: so many, or 1 in short time.

    To choose them, and what follows but for refits, takes half of the budget at most.
    With fewer members it would take as long: on some draw of the honest estimate others
    are members.
    """
    if deadline.time_limit_s is None:
        return size
    seconds = LastSteps(problem, size, _N_COMPARED).total_s
    return size if seconds <= _LAST_SHARE * deadline.time_limit_s else 1


def pace_of(record: TrialRecord, problem: Problem) -> float:
    """Return how many times longer the last steps take here than was measured.

    The calibration of a candidate, which most of them need, is timed by the processor:
    workers that run at the same time are done when the last steps begin.
    """
    expected = _CALIBRATION_SECONDS * len(problem.table.y) * problem.table.n_classes
    if expected < _SURE_SECONDS or not record.results:
        return 1.0
    started = time.thread_time()
    calibration_of(record.results, problem)
    elapsed = time.thread_time() - started
    return float(np.clip(elapsed / expected, _FASTEST, _SLOWEST))


@dataclass(slots=True, eq=False)
class TimeReserve:
    """Tells how many seconds to leave for the steps after the search."""

    context: EvaluationContext
    deadline: Deadline
    """That of the whole fit."""
    size: int
    """Members of an ensemble at most."""
    refits: bool = True
    """Whether refits on all rows are wanted."""
    pace: float = field(default=1.0, init=False)
    """How many times longer the last steps take here than was measured: known once a
    candidate is complete."""
    _is_timed: bool = field(default=False, init=False)

    def seconds(self, complete: Sequence[TrialRecord]) -> float:
        """Return the seconds to leave, for complete candidates sorted best first.

        Scoring finalists on further repeats takes a quarter of the budget at most, and
        less until there are more candidates than finalists: few of them are not lucky,
        and another one is worth more. Refitting the members beside the best takes a
        fifth of it, and all but fits a half.
        """
        if self.deadline.time_limit_s is None:
            return 0.0
        budget_s, problem = self.deadline.time_limit_s, self.context.problem
        if not complete:
            steps = LastSteps(problem, self.size, self.size)
            return min(steps.rest_s, _LAST_SHARE * budget_s)
        self._time(complete[0])
        finalists = choose_finalists(complete, self.size)
        n_members = len(_likely_members(finalists, self.size))
        steps = LastSteps(problem, n_members, len(complete), 1)
        share = _REPEATS_SHARE * min(1.0, len(complete) / _ENOUGH_CANDIDATES)
        repeats = affordable_repeats(
            finalists,
            self.context,
            steps,
            lambda _: share * budget_s,
            size=self.size,
        )
        last = min(self.pace * steps.total_s, _LAST_SHARE * budget_s)
        compared = finalists[: repeats.n_finalists or None]
        refits = self.refit_seconds(complete[0]) + self.further_refit_seconds(compared)
        return last + refits + _SLACK * repeats.seconds

    def refit_seconds(self, record: TrialRecord) -> float:
        """Return the seconds to leave for fitting a candidate on all rows.

        None are left where its fold models can predict, and the fit is not wanted,
        would take more than its share of the budget, or would be on more rows than was
        scored. A slow fit has the threads of all workers.
        """
        share = _REFIT_SHARE * (self.deadline.time_limit_s or inf)
        is_quick = record.refit_seconds <= share and record.row_sample == ALL_ROWS
        if record.has_models and not (self.refits and is_quick):
            return 0.0
        is_slow = record.fit_seconds >= WORTH_THREADS
        has_threads = self.context.n_workers > 1 and is_slow
        return record.refit_seconds * (_THREADED if has_threads else 1.0)

    def further_refit_seconds(self, finalists: Sequence[TrialRecord]) -> float:
        """Return the seconds to leave for refitting the other likely members."""
        if self.deadline.time_limit_s is None or not self.refits:
            return 0.0
        likely = _likely_members(finalists, self.size)
        needed = sum(self.refit_seconds(member.record) for member in likely[1:])
        return min(_REFITS_SHARE * self.deadline.time_limit_s, needed)

    def _time(self, record: TrialRecord) -> None:
        """Learn the pace from the first complete candidate."""
        if not self._is_timed:
            self._is_timed = True
            self.pace = pace_of(record, self.context.problem)


def _likely_members(finalists: Sequence[TrialRecord], size: int) -> list[Member]:
    """Return the members that would be chosen by the scores so far."""
    ranked = best_across_families(finalists, size)
    return weighted_members(ranked, typical_standard_error(finalists))
