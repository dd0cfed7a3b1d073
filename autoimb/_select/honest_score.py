"""The honest estimate: the selection's score, corrected for the luck of being selected.

The best of many candidates owes part of its score to chance. The bootstrap repeats the
choice on each draw of the rows and scores what is chosen on the rows left out.

The interval of a ranking metric is that of a mean of as many values between 0 and 1 as
there are rows of the class of interest: the widest that such a mean can have. With
several classes it is that of the mean over the classes. What it is wider than the
bootstrap's stands for what the rows that were drawn cannot tell, namely other training
tables.

References
----------
Tsamardinos, Greasidou & Borboudakis 2018, doi:10.1007/s10994-018-5714-4 (estimate).
Boyd, Eng & Page 2013, doi:10.1007/978-3-642-40994-3_29, section 3.2 (logit interval).
Zou & Donner 2008, doi:10.1002/sim.3095 (interval of a sum from those of its terms).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student_t

from autoimb._metrics.bootstrap import standard_error
from autoimb._metrics.confusion import divide
from autoimb._metrics.metrics import LabelMetric, RankingMetric
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
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.scoring import Scoring
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
        The search metric over all rows at once, corrected for having chosen the best of
        many candidates (bootstrap bias-corrected cross-validation, Tsamardinos 2018).
        Average precision is too high for few positives, and folds train on a part of
        the rows: both are corrected as well (`autoimb._metrics.expected_score`).
        Not corrected: the number of boosting rounds was chosen on the same rows.
    low, high : float
        For a ranking metric such as PR-AUC, the 95 % interval of the score of this
        model on the population that the rows are from, with the quantiles of a t
        distribution on the logit scale. Of more than two classes it is that of the mean
        over classes. For other metrics, 2.5 and 97.5 %
        quantiles of the bootstrap.
    no_skill : float
        The score of a random ranking, or of the best constant answer.
    baseline : float
        The same estimate for the best single candidate without any handling of the
        imbalance: each draw chooses among such candidates only. NaN if there is none.
    n_draws : int
        Bootstrap draws that `estimate` comes from: 100 at most, fewer for many rows or
        where `time_budget` was over. 0 where it is the score on the last block of
        `TimeOrdered` folds, for a ranking metric.
    n_rows : int
        Rows that `estimate` was measured on: the training table, or the last block.
    logit_margin : float
        Half of the interval's width on the logit scale. NaN where there is none.
    """

    estimate: float
    low: float
    high: float
    no_skill: float
    baseline: float
    n_draws: int = 0
    n_rows: int = 0
    logit_margin: float = nan

    def on_new_rows(self, n_rows: int) -> tuple[float, float]:
        """Return the 95 % interval of a ranking metric on a new table of so many rows.

        It is wider than `low` to `high` by the luck of which rows that table holds.

        Parameters
        ----------
        n_rows : int
            Rows of the new table, with the classes in the shares of the training table.

        Returns
        -------
        tuple of two floats
            The ends of the interval.

        Raises
        ------
        BadInputError
            If the metric is not one of rankings, or the estimate is not known.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(300, weights=[0.8], random_state=0)
        >>> model = AutoImbalance(families="logistic_regression", n_trials=2)
        >>> low, high = model.fit(X, y).honest_score_.on_new_rows(100)
        >>> low < model.honest_score_.low
        True
        """
        if not np.isfinite(self.logit_margin):
            raise BadInputError(
                "on_new_rows needs an estimate of a ranking metric: fit with "
                "metric='average_precision' or 'roc_auc'."
            )
        # Where the estimate is at its limit, one end is 0 or 1.
        centre = (
            logit(self.low) + self.logit_margin
            if self.low > 0
            else logit(self.high) - self.logit_margin
        )
        margin = self.logit_margin * np.sqrt(1 + self.n_rows / n_rows)
        low, high = expit(centre - margin), expit(centre + margin)
        return min(float(low), self.low), max(float(high), self.high)


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
    estimate = float(drawn.mean()) if len(drawn) else nan
    best = selection.baseline
    of_baseline = np.array([])
    if best is not None:
        baselines = [r for r in complete if not r.strategy.is_handled] or [best]
        alone = (Member(best),)
        of_baseline = _drawn_scores(baselines, alone, ensemble_scoring, deadline)
    low, high, margin = (
        score_interval(
            estimate,
            ensemble_scoring.results(selection.members),
            ensemble_scoring.scoring,
        )
        if isinstance(metric, RankingMetric) and len(drawn)
        else (*np.percentile(drawn if len(drawn) else [nan], [2.5, 97.5]), nan)
    )
    return HonestScore(
        estimate=estimate,
        low=float(low),
        high=float(high),
        no_skill=metric.no_skill(table.class_weights / table.weights.sum(), table.pos),
        baseline=float(of_baseline.mean()) if len(of_baseline) else nan,
        n_draws=len(drawn),
        n_rows=len(table.y),
        logit_margin=margin,
    )


def score_interval(
    estimate: float, results: Sequence[FoldResult], scoring: Scoring
) -> tuple[float, float, float]:
    """Return the ends of the 95 % interval of an estimate, and half its logit width.

    Each class has an interval of its own; of two classes, the one of interest alone. An
    end of the interval of their mean is as far from the estimate as the root of the
    mean of the covariances that the classes' ends have as errors, with the correlations
    of the bootstrap (Zou & Donner 2008).
    """
    drawn = scoring.pooled_by_class(results, scoring.counts)
    on_all = scoring.pooled_by_class(results, np.ones_like(scoring.counts[:1]))[:, 0]
    estimates = np.clip(on_all + estimate - on_all.mean(), 0, 1)
    correlations, n_units = _correlations(drawn), _units_of_classes(results, scoring)
    # A perfect score on n units does not rule out one that is wrong about half of one.
    least = 1 / (2 * n_units + 2)
    inside = np.clip(estimates, least, 1 - least)
    ends = _class_intervals(inside, n_units, drawn)
    low, high = _of_mean(inside, ends, correlations)
    margin = (logit(high) - logit(low)) / 2
    # Nearer to 0 or 1 than n units can tell, that may be the truth.
    ends[0, estimates < inside], ends[1, estimates > inside] = 0.0, 1.0
    low, high = _of_mean(estimates, ends, correlations)
    return low, high, float(margin)


def _class_intervals(
    means: NDArray[np.float64], n_units: NDArray[np.intp], drawn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the ends (2, c) of 95 % intervals of classes' scores (c,).

    A mean m of n independent values between 0 and 1 has a variance of m (1 - m) / n at
    most (Bhatia & Davis 2000), which Boyd takes for average precision, with the number
    of positives for n. Here n counts units, which are groups where the user gave
    groups. With row weights the bootstrap's variance may be larger, and is then taken.
    """
    # With a unit more on either side, as Agresti & Coull 1998 have it for proportions.
    shrunk = (n_units * means + 1) / (n_units + 2)
    deviations = np.fmax(
        1 / np.sqrt(n_units * shrunk * (1 - shrunk)),
        np.array([standard_error(values) for values in drawn]) / (means * (1 - means)),
    )
    margins = student_t.ppf(0.975, np.maximum(1, n_units - 1)) * deviations
    return np.asarray(expit(logit(means) + np.outer([-1.0, 1.0], margins)))


def _of_mean(
    means: NDArray[np.float64],
    ends: NDArray[np.float64],
    correlations: NDArray[np.float64],
) -> tuple[float, float]:
    """Return the interval of the mean over classes, from those (2, c) of classes."""
    inwards = []
    for distances in np.abs(ends - means):
        variance = max(0.0, float(distances @ correlations @ distances))
        inwards.append(float(distances.mean()) - np.sqrt(variance) / len(means))
    low, high = ends.mean(axis=1)
    return float(low + inwards[0]), float(high - inwards[1])


def _units_of_classes(
    results: Sequence[FoldResult], scoring: Scoring
) -> NDArray[np.intp]:
    """Return how many scored units each class (c,) has, or all others if fewer."""
    table = scoring.table
    rows = np.unique(
        np.concatenate([scoring.folds[result.number].val_idx for result in results])
    )
    y, units = table.y[rows], table.units[rows]
    codes = range(len(table.class_counts)) if table.pos is None else (table.pos,)
    return np.array(
        [min(len(np.unique(units[is_of])) for is_of in (y == c, y != c)) for c in codes]
    )


def _correlations(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlations (c, c) of classes' scores on draws (c, B).

    A class whose score is the same on every draw is taken to have none.
    """
    known = drawn[:, np.isfinite(drawn).all(axis=0)]
    deviations = known - known.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(deviations, axis=1, keepdims=True)
    unit = divide(deviations, lengths)
    correlations = unit @ unit.T
    np.fill_diagonal(correlations, 1.0)
    return np.asarray(correlations)


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
    on_all = scoring.expected(ensemble_scoring.results_as_fitted(members))
    by_winner = scoring.on_left_out(
        ensemble_scoring.results(on_shared), np.arange(len(scoring.counts))
    )
    is_known = np.isfinite(selected) & np.isfinite(by_winner) & np.isfinite(on_all)
    if not is_known.any():
        return np.array([])
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
