"""Ensembles: their members, the weights of these, and the score of the weighted mean.

The best of many uncertain scores is mostly the luckiest, and the mean of good models
beats each of them. The weight of a candidate falls with its distance to the best, in
units of the standard error of that difference: with few positives nearly all members
have the same weight, with many positives the best ones have nearly all of it.

Before the mean is taken, the scores of each member pass through a strictly increasing
calibration of its own, which was fitted on out-of-fold scores. The probability of a row
therefore never depends on the rows that are predicted together with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from autoimb._evaluate.out_of_fold import OutOfFold
from autoimb._metrics.calibration import fit_calibration
from autoimb.exceptions import BadInputError, is_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.problem import Problem
    from autoimb._evaluate.scoring import Scoring
    from autoimb._metrics.bootstrap import Score
    from autoimb._metrics.calibration import Calibration
    from autoimb._search.trials import TrialRecord
    from autoimb._strategy.strategy import Strategy

MAX_OF_A_FAMILY = 2
MAX_MEMBERS = 12
"""Members at most: more gain little and cost time with every prediction."""
_SCALE = 2.0  # standard errors behind the best at which a weight has fallen to 1/e
_LEAST = 0.05  # of the weight of the best: a member below is not worth its time
FEW_POSITIVES = 250  # below, an ensemble is taken unless it is clearly worse
CLEARLY = 2.0  # paired standard errors


def resolve_ensemble_size(ensemble_size: Any, *, has_estimator: bool) -> int:
    """Return the most members; "auto" is one if the user gave an estimator."""
    if isinstance(ensemble_size, str) and ensemble_size == "auto":
        return 1 if has_estimator else MAX_MEMBERS
    if not is_whole(ensemble_size) or ensemble_size < 1:
        raise BadInputError(f"{ensemble_size=} must be 'auto' or a number from 1 on.")
    return int(ensemble_size)


def best_across_families(
    records: Sequence[TrialRecord], size: int
) -> list[TrialRecord]:
    """Return the first `size` records, at most two of a family."""
    chosen: list[TrialRecord] = []
    for record in records:
        family = record.strategy.family.name
        same = sum(r.strategy.family.name == family for r in chosen)
        if len(chosen) < size and same < MAX_OF_A_FAMILY:
            chosen.append(record)
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A candidate in an ensemble, with its weight in the mean."""

    record: TrialRecord
    weight: float = 1.0

    @property
    def strategy(self) -> Strategy:
        """The strategy that is refitted."""
        return self.record.strategy


def member_weights(
    means: NDArray[np.float64], standard_error: float
) -> NDArray[np.float64]:
    """Return weights that fall with the distance to the best, 0 if negligible.

    A candidate without a score has no weight. If none has a score, the first one has
    all the weight.
    """
    is_known = np.isfinite(means)
    if not is_known.any():
        return np.eye(1, len(means)).ravel()
    behind = np.where(is_known, means[is_known].max() - means, np.inf)
    weights = np.exp(-behind / (_SCALE * max(standard_error, np.finfo(float).tiny)))
    return np.where(weights < _LEAST, 0.0, weights)


def typical_standard_error(records: Sequence[TrialRecord]) -> float:
    """Return the mean standard error of the differences to the first record."""
    best = records[0].score
    if best is None:
        return 0.0
    errors = np.array([(r.score - best).standard_error for r in records[1:] if r.score])
    known = errors[np.isfinite(errors)]
    return float(known.mean()) if len(known) else 0.0


def weighted_members(
    records: Sequence[TrialRecord], standard_error: float, draw: int | None = None
) -> list[Member]:
    """Return the records whose weight is not 0, by their scores or those on a draw."""
    means = np.array(
        [
            r.mean if draw is None or not r.score else r.score.drawn[draw]
            for r in records
        ]
    )
    weights = member_weights(means, standard_error)
    return [Member(r, float(w)) for r, w in zip(records, weights, strict=True) if w > 0]


def has_few_positives(problem: Problem) -> bool:
    """Whether there are too few positives to tell candidates apart."""
    return bool(problem.table.class_counts.min() < FEW_POSITIVES)


_CALIBRATIONS: WeakKeyDictionary[
    Problem, dict[tuple[FoldResult, ...], tuple[Calibration, NDArray[np.float64]]]
] = WeakKeyDictionary()
"""By problem, as long as it is in use: what calibrations its candidates have."""


def calibration_of(
    results: tuple[FoldResult, ...], problem: Problem
) -> tuple[Calibration, NDArray[np.float64]]:
    """Return the calibration of a candidate, and its cross-fitted scores.

    The choice of members, their refit and the honest estimate all need it, and it takes
    seconds for many classes: the same results are calibrated only once.
    """
    known = _CALIBRATIONS.setdefault(problem, {})
    if results not in known:
        oof = OutOfFold.of(results, problem)
        known[results] = fit_calibration(
            oof.y,
            oof.proba,
            oof.weight,
            oof.folds,
            problem.table.pos,
            draws=oof.draws,
        )
    return known[results]


def _mean_of(
    members: Sequence[Member], by_member: Sequence[Sequence[FoldResult]]
) -> tuple[FoldResult, ...]:
    """Return the members' mean results, of the folds that all have run."""
    by_number = [{r.number: r for r in results} for results in by_member]
    weights = [member.weight for member in members]
    return tuple(
        replace(
            by_number[0][number],
            proba=np.average(
                [results[number].scores for results in by_number],
                axis=0,
                weights=weights,
            ),
        )
        for number in sorted(set.intersection(*map(set, by_number)))
    )


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleScoring:
    """Scores ensembles of calibrated candidates."""

    problem: Problem
    scoring: Scoring
    _calibrated: dict[tuple[FoldResult, ...], tuple[FoldResult, ...]] = field(
        default_factory=dict
    )
    """By results as the models gave them, the same with calibrated scores."""

    def calibrated(self, record: TrialRecord) -> tuple[FoldResult, ...]:
        """Return a candidate's results with calibrated scores, which can be averaged.

        Each score is mapped by a calibration that was fitted without its fold.
        """
        if record.results not in self._calibrated:
            _, crossed = calibration_of(record.results, self.problem)
            ends = np.cumsum([len(r.scores) for r in record.results])[:-1]
            parts: list[NDArray[np.float64]] = np.split(crossed, ends)
            self._calibrated[record.results] = tuple(
                replace(result, proba=part, stages=())
                for result, part in zip(record.results, parts, strict=True)
            )
        return self._calibrated[record.results]

    def results(self, members: Sequence[Member]) -> tuple[FoldResult, ...]:
        """Return the results of the members' mean, of the folds that all have run.

        A single member keeps its own scores, without calibration.
        """
        if len(members) == 1:
            return members[0].record.results
        return _mean_of(members, [self.calibrated(m.record) for m in members])

    def results_as_fitted(self, members: Sequence[Member]) -> tuple[FoldResult, ...]:
        """Return the same with the calibrations that predict, fitted on all folds.

        The calibrations that leave a fold out differ from fold to fold, so that rows of
        two folds lose their order: all rows at once score 0.02 lower by that with 30
        positives. What predicts has one calibration for each member. Its few parameters
        have seen the rows; it cannot change the order that one member gives them.
        """
        if len(members) == 1:
            return members[0].record.results
        by_member = []
        for record in (member.record for member in members):
            calibration, _ = calibration_of(record.results, self.problem)
            by_member.append(
                tuple(
                    replace(result, proba=calibration(result.scores), stages=())
                    for result in record.results
                )
            )
        return _mean_of(members, by_member)

    def score(self, members: Sequence[Member]) -> Score:
        """Return the score of the members' mean."""
        return self.scoring.score(self.results(members))
