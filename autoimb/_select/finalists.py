"""Finalists: the candidates that are scored again, on further repeats of the folds.

The best of many uncertain scores is mostly the luckiest. The few best candidates are
therefore scored on fresh folds before one of them wins. Only those that were scored
again can win then: the others may have been lucky on the first folds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from autoimb._execution.ctrl_c import interrupted_by_ctrl_c
from autoimb._select.ensemble import best_across_families

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._evaluate.context import EvaluationContext
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.problem import Problem
    from autoimb._execution.deadline import Deadline
    from autoimb._search.trials import TrialRecord
    from autoimb._strategy.strategy import Strategy

_FEWEST_FINALISTS = 4
_ENOUGH_MEMBERS = 5  # the mean of more gains little
_SCORING_SECONDS = 5e-9  # of a fold, for each row, class and bootstrap draw


def choose_finalists(complete: Sequence[TrialRecord], size: int) -> list[TrialRecord]:
    """Return the best candidate, the baselines to compare it with, then the next best.

    The baselines are the best one of all, and the best one of the winner's family.
    """
    best = best_across_families(complete, max(size, _FEWEST_FINALISTS))
    baselines = [r for r in complete if not r.strategy.is_handled]
    best_family = complete[0].strategy.family.name
    of_family = [r for r in baselines if r.strategy.family.name == best_family]
    ordered = [*best[:1], *baselines[:1], *of_family[:1], *best[1:]]
    distinct: dict[Strategy, TrialRecord] = {}
    for record in ordered:
        distinct.setdefault(record.strategy, record)
    return list(distinct.values())


@dataclass(frozen=True, slots=True)
class RepeatPlan:
    """How many finalists to score on how many further repeats, and the seconds."""

    n_finalists: int
    n_repeats: int
    seconds: float


def fewest_finalists(finalists: Sequence[TrialRecord], size: int) -> int:
    """Return how many of them are enough to be scored again.

    Two, or five for an ensemble of so many members, which are chosen among them.
    """
    return max(2, min(len(finalists), size, _ENOUGH_MEMBERS))


def seconds_of_repeats(
    finalists: Sequence[TrialRecord], context: EvaluationContext
) -> list[float]:
    """Return the expected seconds of scoring all of them on 1, 2, … further repeats."""
    n_folds = np.cumsum([len(repeat) for repeat in _further_repeats(context.problem)])
    return [_expected_seconds(finalists, int(n), context) for n in n_folds]


def _expected_seconds(
    finalists: Sequence[TrialRecord], n_folds: int, context: EvaluationContext
) -> float:
    """Return the expected seconds of scoring each finalist on so many folds."""
    fold_seconds = [
        record.fit_seconds
        + sum(r.predict_seconds for r in record.results) / max(1, len(record.results))
        for record in finalists
    ]
    n_workers = context.n_workers
    n_cells = context.scoring.counts.size * context.problem.table.n_classes
    n_in_repeat = sum(fold.repeat == 0 for fold in context.problem.folds)
    scoring = _SCORING_SECONDS * n_cells / n_in_repeat * len(finalists)
    # The last fits of a repeat run alone.
    longest = max(fold_seconds, default=0.0) * (n_workers > 1)
    return (sum(fold_seconds) / n_workers + scoring) * n_folds + longest


def rescore(
    finalists: Sequence[TrialRecord],
    plan: RepeatPlan,
    context: EvaluationContext,
    deadline: Deadline,
    last_deadline: Deadline,
) -> list[TrialRecord]:
    """Return the best finalists scored on further repeats, as planned if time allows.

    All are scored on the same folds: a repeat counts for all finalists or for none. A
    repeat begins if it is expected to end by `deadline`. It is then given until
    `last_deadline`, since the workers may still have been busy.
    """
    finalists = finalists[: plan.n_finalists]
    results = {r.number: [*r.results, *r.further] for r in finalists}
    for numbers in _further_repeats(context.problem)[: plan.n_repeats]:
        if _expected_seconds(finalists, len(numbers), context) > deadline.remaining_s:
            break
        try:
            with interrupted_by_ctrl_c():
                scored = _score_repeat(finalists, numbers, context, last_deadline)
        except KeyboardInterrupt:
            break  # the repeats that are complete still count
        if scored is None:
            break
        for trial, result in scored:
            results[trial].append(result)
    common = set.intersection(*({r.number for r in of} for of in results.values()))
    rescored = []
    for record in finalists:
        further = tuple(results[record.number][len(record.results) :])
        new = replace(record, further=further) if further else record
        rescored.append(new.on_folds(common, context.scoring))
    # Where the user's scorer fails on a further repeat, the first one has to do.
    return [*finalists] if any(r.mean == -inf for r in rescored) else rescored


def _score_repeat(
    finalists: Sequence[TrialRecord],
    numbers: Sequence[int],
    context: EvaluationContext,
    deadline: Deadline,
) -> list[tuple[int, FoldResult]] | None:
    """Return the trial and result of each fold; None if one failed or was too late.

    Folds that a stored search has run in an earlier fit are left out.
    """
    further = [
        (record, number)
        for record in finalists
        for number in sorted(
            set(numbers) - {r.number for r in (*record.results, *record.further)}
        )
    ]
    results = context.evaluate_all(
        [(record.strategy, number, record.row_sample) for record, number in further],
        deadline,
    )
    if any(result.status != "ok" for result in results):
        return None
    # The number of boosting rounds is fixed by now: earlier stages are not needed.
    return [
        (record.number, replace(result, stages=()))
        for (record, _), result in zip(further, results, strict=True)
    ]


def _further_repeats(problem: Problem) -> list[list[int]]:
    """Return the fold numbers of each repeat after the first."""
    repeats = sorted({fold.repeat for fold in problem.folds} - {0})
    return [
        [number for number, fold in enumerate(problem.folds) if fold.repeat == repeat]
        for repeat in repeats
    ]
