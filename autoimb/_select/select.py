"""Select the winner: the best finalist, alone or with others in an ensemble.

Finalists are scored again on fresh folds, since the best of many uncertain scores is
mostly the luckiest. With few positives most finalists remain tied even then: the mean
of the finalists is therefore compared with the best of them alone.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from autoimb._select.ensemble import (
    CLEARLY,
    EnsembleScoring,
    Member,
    best_across_families,
    has_few_positives,
    typical_standard_error,
    weighted_members,
)
from autoimb._select.finalists import choose_finalists, rescore
from autoimb._select.predict_limit import PredictLimit
from autoimb._select.selection import Selection
from autoimb._select.time_reserve import LastSteps, affordable_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._execution.deadline import Deadline
    from autoimb._search.trials import TrialRecord
    from autoimb._select.time_reserve import TimeReserve

_WORTH_HANDLING = 0.5  # paired standard errors that handling must gain within a family


def select(complete: Sequence[TrialRecord], reserve: TimeReserve) -> Selection:
    """Return the selection among complete candidates, which are sorted best first.

    Those far down the list no longer hold the scores that the last steps need. The
    seconds that the refits need, if they are wanted, are kept back here.
    """
    context, deadline, size = reserve.context, reserve.deadline, reserve.size
    problem, usable = context.problem, [r for r in complete if r.results]
    limit = PredictLimit.of(problem)
    n_complete = len(usable)
    if limit is not None:  # what takes longer for one row cannot be selected
        usable = limit.within(usable)
    steps = LastSteps(problem, min(size, len(usable)), len(usable))
    last = reserve.pace * steps.total_s
    most = deadline.remaining_s - last
    in_time = [r for r in usable if r.has_models or r.refit_seconds <= most]
    if deadline.is_over:  # after Ctrl-C as well: then the best is fitted all the same
        in_time = usable
    first = choose_finalists(in_time or usable, size)
    finalists = _scored_again(first, steps, last, reserve)
    winner = _winner(finalists)
    baselines = [r for r in finalists if not r.strategy.is_handled]
    return Selection(
        winner=winner,
        baseline=max(baselines, key=lambda r: r.mean, default=None),
        finalists=tuple(sorted(finalists, key=lambda r: (-r.mean, r.number))),
        members=choose_members(
            winner,
            finalists,
            EnsembleScoring(problem, context.scoring),
            size,
            deadline.with_reserve(last),
            limit=limit,
        ),
        pace=reserve.pace,
        n_complete=len(usable),
        limit=limit,
        n_too_slow=n_complete - len(usable),
        quickest=min(usable, key=lambda r: (r.fit_seconds, r.number)),
    )


def _scored_again(
    finalists: list[TrialRecord],
    steps: LastSteps,
    last: float,
    reserve: TimeReserve,
) -> list[TrialRecord]:
    """Return the finalists that there was time to score on further repeats.

    Only these compare: the others may have been lucky on the first repeat. All of them
    where there was no time for any.
    """
    deadline = reserve.deadline

    def seconds_for(among: Sequence[TrialRecord]) -> float:
        refits = max(map(reserve.refit_seconds, among))
        refits += reserve.further_refit_seconds(among)
        return deadline.with_reserve(last + refits).remaining_s

    plan = affordable_repeats(
        finalists, reserve.context, steps, seconds_for, size=reserve.size
    )
    if not plan.n_repeats:
        return finalists
    among = finalists[: plan.n_finalists]
    slowest = max(map(reserve.refit_seconds, among))
    further = reserve.further_refit_seconds(among)
    # A repeat that takes longer than expected costs a few members, not the ensemble.
    last_deadline = deadline.with_reserve(slowest + last + further / 2)
    first_deadline = last_deadline.with_reserve(further / 2)
    return rescore(among, plan, reserve.context, first_deadline, last_deadline)


def _winner(finalists: Sequence[TrialRecord]) -> TrialRecord:
    """Return the best finalist, or the baseline of its family if that is as good.

    Handling is as good as none if it gains less than half a paired standard error.
    """
    best = max(finalists, key=lambda r: (r.mean, -r.number))
    if not best.strategy.is_handled or best.score is None:
        return best
    as_good = []
    for record in finalists:
        is_of_family = record.strategy.family.name == best.strategy.family.name
        if is_of_family and not record.strategy.is_handled and record.score is not None:
            gain = best.score - record.score
            if not gain.value >= _WORTH_HANDLING * gain.standard_error:
                as_good.append(record)
    return max(as_good, key=lambda r: r.mean, default=best)


def choose_members(
    winner: TrialRecord,
    finalists: Sequence[TrialRecord],
    ensemble_scoring: EnsembleScoring,
    size: int,
    deadline: Deadline,
    *,
    limit: PredictLimit | None = None,
) -> tuple[Member, ...]:
    """Return the winner alone, or an ensemble of it and others if that is better.

    With few positives, which cannot tell candidates apart, the ensemble is taken unless
    it is clearly worse. Members that cannot be refitted by the deadline are left out,
    unless their fold models can predict, and so are those with which a row would take
    longer than the limit.
    """
    ranked = sorted(finalists, key=lambda r: (r is not winner, -r.mean, r.number))
    members: list[Member] = []
    seconds_left = deadline.remaining_s
    for member in weighted_members(
        best_across_families(ranked, size), typical_standard_error(ranked)
    ):
        record, is_winner = member.record, member.record is winner
        together = *(other.record for other in members), record
        if limit is not None and not is_winner and not limit.keeps(*together):
            continue
        seconds_left -= record.refit_seconds if is_winner else record.fit_seconds
        if is_winner or record.has_models or seconds_left >= 0:
            members.append(member)
    alone = (Member(winner),)
    if len(members) == 1:
        return alone
    gain = ensemble_scoring.score(members) - ensemble_scoring.score(alone)
    is_taken = gain.value > 0
    if has_few_positives(ensemble_scoring.problem):
        is_taken = not gain.value < -CLEARLY * gain.standard_error
    # The user's scorer may fail on the ensemble's scores.
    return tuple(members) if is_taken and gain.value > -inf else alone
