"""The honest estimate where folds are in order of time: the last block of rows.

What the blocks before it select is scored on it, as if the search had ended there. So
nothing of the last block has a part in the choice, and drift shows.
"""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from autoimb._metrics.metrics import RankingMetric
from autoimb._select.ensemble import (
    EnsembleScoring,
    Member,
    best_across_families,
    has_few_positives,
    typical_standard_error,
    weighted_members,
)
from autoimb._select.honest_score import HonestScore, score_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.scoring import Scoring
    from autoimb._search.trials import TrialRecord
    from autoimb._select.selection import Selection


def has_last_block(scoring: Scoring) -> bool:
    """Whether folds are in order of time, and the metric can be had for one of them."""
    is_by_time = scoring.folds[0].kind == "time ordered" and len(scoring.folds) > 1
    return is_by_time and isinstance(scoring.metric, RankingMetric)


def last_block_score(
    complete: Sequence[TrialRecord],
    selection: Selection,
    ensemble_scoring: EnsembleScoring,
) -> HonestScore:
    """Return the score on the last block, for complete candidates sorted best first.

    A substitute was not chosen by its score, so it is scored alone.
    """
    scoring, table = ensemble_scoring.scoring, ensemble_scoring.problem.table
    candidates = [selection.winner] if selection.is_substitute else complete
    size = len(selection.members)
    results = _on_last_block(candidates, size, ensemble_scoring)
    baselines = [r for r in complete if not r.strategy.is_handled]
    of_baseline = _on_last_block(baselines, 1, ensemble_scoring)
    rows = scoring.folds[-1].val_idx
    weights = np.bincount(
        table.y[rows], weights=table.weights[rows], minlength=table.n_classes
    )
    estimate = scoring.expected(results) if results else nan
    low, high, margin = (
        score_interval(estimate, results, scoring)
        if np.isfinite(estimate)
        else (nan, nan, nan)
    )
    return HonestScore(
        estimate=estimate,
        low=low,
        high=high,
        no_skill=scoring.metric.no_skill(weights / weights.sum(), table.pos),
        baseline=scoring.expected(of_baseline) if of_baseline else nan,
        n_rows=len(rows),
        logit_margin=margin,
    )


def _on_last_block(
    candidates: Sequence[TrialRecord], size: int, ensemble_scoring: EnsembleScoring
) -> tuple[FoldResult, ...]:
    """Return the result on the last block of what the blocks before it select.

    It is empty if no candidate holds its scores of all blocks. Calibrations that
    precede the mean of an ensemble are fitted on the blocks before it, too.
    """
    scoring = ensemble_scoring.scoring
    *before, last = range(len(scoring.folds))
    every = {*before, last}
    held = [r for r in candidates if every <= {f.number for f in r.results}]
    whole = {r.number: r for r in held}
    earlier = sorted(
        (r.on_folds(before, scoring) for r in held), key=lambda r: (-r.mean, r.number)
    )
    if not earlier:
        return ()
    members = [
        replace(member, record=whole[member.record.number])
        for member in _selected(earlier, size, ensemble_scoring)
    ]
    return tuple(r for r in ensemble_scoring.results(members) if r.number == last)


def _selected(
    ranked: Sequence[TrialRecord], size: int, ensemble_scoring: EnsembleScoring
) -> list[Member]:
    """Return the best candidate, or an ensemble if that is better or hardly worse."""
    among = best_across_families(ranked, size)
    members = weighted_members(among, typical_standard_error(among))
    best = ranked[0]
    if len(members) == 1 or best.score is None:
        return [Member(best)]
    if has_few_positives(ensemble_scoring.problem):
        return members
    is_better = ensemble_scoring.score(members).mean > best.mean
    return members if is_better else [Member(best)]
