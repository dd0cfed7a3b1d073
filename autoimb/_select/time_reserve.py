"""Seconds that are kept for the steps after the search."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from autoimb._metrics.bootstrap import most_draws
from autoimb._select.ensemble import (
    best_across_families,
    typical_standard_error,
    weighted_members,
)
from autoimb._select.finalists import choose_finalists, plan_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._evaluate.context import EvaluationContext
    from autoimb._evaluate.problem import Problem
    from autoimb._execution.deadline import Deadline
    from autoimb._search.trials import TrialRecord

_REFIT_SHARE = 0.15
"""Of the budget, for fitting the best on all rows; where it takes more, its fold models
predict."""
_REPEATS_SHARE = 0.25  # of the budget, for scoring finalists on further repeats
_SLACK = 1.1  # factor on the seconds that further repeats are expected to take
_REFITS_SHARE = 0.2  # of the budget, for refitting members beside the best
_LAST_SECONDS = 1.0  # calibration, threshold, report
_HONEST_SECONDS = 4e-7  # of the honest estimate, for each row of a repeat and draw


def last_seconds(problem: Problem) -> float:
    """Return about how long calibration, threshold, honest estimate and report take."""
    n_rows, n_repeats = len(problem.table.y), len({f.repeat for f in problem.folds})
    n_cells = n_rows * n_repeats * most_draws(n_rows)
    return _LAST_SECONDS + _HONEST_SECONDS * n_cells


def refit_seconds(record: TrialRecord, deadline: Deadline, *, refits: bool) -> float:
    """Return the seconds to leave for fitting a candidate on all rows.

    None are left where its fold models can predict, and the fit is not wanted or would
    take more than its share of the budget.
    """
    share = _REFIT_SHARE * (deadline.time_limit_s or inf)
    if record.has_models and not (refits and record.refit_seconds <= share):
        return 0.0
    return record.refit_seconds


def further_refit_seconds(
    finalists: Sequence[TrialRecord], size: int, deadline: Deadline, *, refits: bool
) -> float:
    """Return the seconds to leave for refitting the likely members beside the best."""
    if deadline.time_limit_s is None or not refits:
        return 0.0
    likely = weighted_members(
        best_across_families(finalists, size), typical_standard_error(finalists)
    )
    # All cores work on a refit, and it may be left out: no more than it took before.
    needed = sum(member.record.fit_seconds for member in likely[1:])
    return min(_REFITS_SHARE * deadline.time_limit_s, needed)


def reserved_seconds(
    complete: Sequence[TrialRecord],
    context: EvaluationContext,
    deadline: Deadline,
    *,
    size: int,
    refits: bool,
) -> float:
    """Return the seconds to leave after the search.

    Scoring finalists on further repeats takes a quarter of the budget at most.
    Refitting the members beside the best takes a fifth of it at most.
    """
    last = last_seconds(context.problem)
    if deadline.time_limit_s is None or not complete:
        return last
    finalists = choose_finalists(complete, size)
    repeats = plan_repeats(
        finalists, context, _REPEATS_SHARE * deadline.time_limit_s, size=size
    )
    best = refit_seconds(complete[0], deadline, refits=refits)
    further = further_refit_seconds(finalists, size, deadline, refits=refits)
    return last + best + further + _SLACK * repeats.seconds
