"""The honest estimate: the selection's score, corrected for the luck of being selected.

The best of many candidates owes part of its score to chance. The bootstrap repeats the
choice on each draw of the rows and scores what is chosen on the rows left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from autoimb._metrics.metrics import LabelMetric
from autoimb._metrics.scorers import ScorerMetric
from autoimb._select.ensemble import (
    MAX_MEMBERS,
    EnsembleScoring,
    Member,
    best_across_families,
    has_few_positives,
    typical_standard_error,
    weighted_members,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._execution.deadline import Deadline
    from autoimb._search.trials import TrialRecord
    from autoimb._select.selection import Selection

_FEWEST_DRAWS = 20  # as few as there are of the largest tables


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestScore:
    """What to expect on new data, with two scores to compare it with.

    Attributes
    ----------
    estimate : float
        The search metric, corrected for having chosen the best of many candidates
        (bootstrap bias-corrected cross-validation, Tsamardinos 2018). Not corrected:
        the number of boosting rounds was chosen on the same rows.
    low, high : float
        2.5 and 97.5 % quantiles of that bootstrap. In 88 of 100 trial fits this range
        held the score on new rows, so do not read it as a 95 % interval.
    no_skill : float
        The score of a random ranking, or of the best constant answer.
    baseline : float
        The same estimate for the best single candidate without any handling of the
        imbalance: each draw chooses among such candidates only. NaN if there is none.
    n_draws : int
        Bootstrap draws that `estimate`, `low` and `high` come from: 100 at most, fewer
        for many rows or where `time_budget` was over.
    """

    estimate: float
    low: float
    high: float
    no_skill: float
    baseline: float
    n_draws: int = 0


def honest_score(
    complete: Sequence[TrialRecord],
    selection: Selection,
    ensemble_scoring: EnsembleScoring,
    deadline: Deadline,
) -> HonestScore:
    """Return the bias-corrected estimate, for complete candidates sorted best first.

    Each bootstrap draw selects its own winner, an ensemble if one was selected, and
    scores it on the rows that the draw left out (Tsamardinos, Greasidou & Borboudakis
    2018, doi:10.1007/s10994-018-5714-4). On those rows the draw's winner scores lower
    than the real selection on average; this difference is subtracted from the
    selection's score. Only the difference is used, because scores on so few rows are
    both too high. A metric of labels is scored at thresholds that were tuned on the
    rows drawn.

    A substitute was not chosen by its score, so it is scored alone. The draws choose by
    the folds that all candidates have run; further repeats of the finalists enter the
    selection's score.

    After the deadline an ensemble is chosen on no further draw, once there are 20.
    """
    table, metric = ensemble_scoring.problem.table, ensemble_scoring.scoring.metric
    candidates = [selection.winner] if selection.is_substitute else complete
    drawn = _drawn_scores(candidates, selection.members, ensemble_scoring, deadline)
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (nan, nan)
    best = selection.baseline
    of_baseline = np.array([])
    if best is not None:
        baselines = [r for r in complete if not r.strategy.is_handled] or [best]
        alone = (Member(best),)
        of_baseline = _drawn_scores(baselines, alone, ensemble_scoring, deadline)
    return HonestScore(
        estimate=float(drawn.mean()) if len(drawn) else nan,
        low=float(low),
        high=float(high),
        no_skill=metric.no_skill(table.class_weights / table.weights.sum(), table.pos),
        baseline=float(of_baseline.mean()) if len(of_baseline) else nan,
        n_draws=len(drawn),
    )


def _drawn_scores(
    candidates: Sequence[TrialRecord],
    members: Sequence[Member],
    ensemble_scoring: EnsembleScoring,
    deadline: Deadline,
) -> NDArray[np.float64]:
    """Return a corrected score of the members for each draw that can be scored.

    Candidates far down the list no longer hold their out-of-fold scores and are left
    out.
    """
    scoring, winner = ensemble_scoring.scoring, ensemble_scoring.results(members)
    records = [r for r in candidates if r.results and r.score is not None]
    if not winner or not records:
        return np.array([])
    shared = set.intersection(*({f.number for f in r.results} for r in records))
    on_shared = [
        replace(member, record=member.record.on_folds(shared, scoring))
        for member in members
    ]
    selected = _selected_scores(records, len(members), ensemble_scoring, deadline)
    if isinstance(scoring.metric, LabelMetric):
        # The draws' scores are used directly: on all rows the threshold would be tuned
        # on the rows that it is scored on.
        return selected[np.isfinite(selected)]
    on_all = scoring.pooled(
        winner, np.ones((1, scoring.counts.shape[1]), dtype=np.uint8)
    )
    by_winner = scoring.on_left_out(
        ensemble_scoring.results(on_shared), np.arange(len(scoring.counts))
    )
    is_known = np.isfinite(selected) & np.isfinite(by_winner)
    corrected: NDArray[np.float64] = (
        selected[is_known] + on_all - by_winner[is_known].mean()
    )
    # Subtracting a mean can raise a single draw above the best possible score.
    is_scorer = isinstance(scoring.metric, ScorerMetric)
    return corrected if is_scorer else np.minimum(corrected, 1.0)


def _selected_scores(
    records: Sequence[TrialRecord],
    size: int,
    ensemble_scoring: EnsembleScoring,
    deadline: Deadline,
) -> NDArray[np.float64]:
    """Return what is selected on each draw, as scored on the rows that it left out.

    NaN for draws on which it is not known, or that there was no time for.
    """
    scoring = ensemble_scoring.scoring
    drawn = np.array([r.score.drawn for r in records if r.score])
    ranks = np.argsort(-np.where(np.isfinite(drawn), drawn, -np.inf), axis=0)
    selected = np.full(len(scoring.counts), nan)
    if size == 1:
        # Few candidates are best on some draw: each is scored once for all of them.
        for place in np.unique(ranks[0]):
            draws = np.flatnonzero(ranks[0] == place)
            selected[draws] = scoring.on_left_out(records[place].results, draws)
    else:
        standard_error = typical_standard_error(
            best_across_families(records, MAX_MEMBERS)
        )
        for draw, order in enumerate(ranks.T):
            if draw >= _FEWEST_DRAWS and deadline.is_over:
                break
            ranked = best_across_families([records[i] for i in order], size)
            results = _selected_on(draw, ranked, standard_error, ensemble_scoring)
            selected[draw] = scoring.on_left_out(results, np.array([draw]))[0]
    return selected


def _selected_on(
    draw: int,
    ranked: Sequence[TrialRecord],
    standard_error: float,
    ensemble_scoring: EnsembleScoring,
) -> Sequence[FoldResult]:
    """Return the results of what is selected on one draw: an ensemble or the best."""
    best = ranked[0]
    members = weighted_members(ranked, standard_error, draw)
    if len(members) == 1:
        return best.results
    together = ensemble_scoring.results(members)
    if has_few_positives(ensemble_scoring.problem) or best.score is None:
        return together
    is_better = (
        ensemble_scoring.scoring.on_draw(together, draw) > best.score.drawn[draw]
    )
    return together if is_better else best.results
