"""Candidates that answer together: aligned, averaged, and scored like one of them.

The best of many noisy scores is mostly the luckiest, and the mean of good models beats
each of them. How much a candidate counts falls with how far it is behind the best, in
units of the noise of that difference: with few positives nearly all count alike, with
many the best do almost alone.

Before they are averaged, every member's scores go through its own strictly increasing
calibration, fitted on its out-of-fold scores: so a row's answer never depends on the
rows beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._calibrate import fit_calibration
from autoimb._evaluate import OutOfFold
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate import FoldResult, Problem
    from autoimb._judge import Judge, Score
    from autoimb._strategy import Strategy
    from autoimb._trials import TrialRecord

MAX_OF_A_FAMILY = 2
USUAL_SIZE = 12
"""Members at most: more gain little and cost time with every prediction."""
_SCALE = 2.0  # standard errors behind the best at which a weight has fallen to 1/e
_LEAST = 0.05  # of the best one's weight: below, a member is not worth its time


def most_members(ensemble_size: Any, *, is_given: bool) -> int:
    """Return how many may stand for the winner; one where the user gave the model."""
    if isinstance(ensemble_size, str) and ensemble_size == "auto":
        return 1 if is_given else USUAL_SIZE
    is_number = isinstance(ensemble_size, Integral)
    if isinstance(ensemble_size, bool) or not is_number or ensemble_size < 1:
        raise BadInputError(f"{ensemble_size=} must be 'auto' or a number from 1 on.")
    return int(ensemble_size)


def best_of(
    records: Sequence[TrialRecord], size: int, most: int = MAX_OF_A_FAMILY
) -> list[TrialRecord]:
    """Return the first records, not too many of a family."""
    chosen: list[TrialRecord] = []
    for record in records:
        family = record.strategy.family.name
        same = sum(r.strategy.family.name == family for r in chosen)
        if len(chosen) < size and same < most:
            chosen.append(record)
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A candidate of the winner, with its weight in the mean."""

    record: TrialRecord
    weight: float = 1.0

    @property
    def strategy(self) -> Strategy:
        """What is fitted."""
        return self.record.strategy


def weigh(means: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Return weights that fall with the distance to the best, 0 for the negligible.

    Who has no score has no weight, unless nobody has one: then the first stands alone.
    """
    known = np.isfinite(means)
    if not known.any():
        return np.eye(1, len(means)).ravel()
    behind = np.where(known, means[known].max() - means, np.inf)
    weights = np.exp(-behind / (_SCALE * max(noise, np.finfo(float).tiny)))
    return np.where(weights < _LEAST, 0.0, weights)


def noise_of(records: Sequence[TrialRecord]) -> float:
    """Return the mean standard error of the differences to the first record."""
    best = records[0].score
    if best is None:
        return 0.0
    noises = np.array([r.score.se_of_difference(best) for r in records[1:] if r.score])
    known = noises[np.isfinite(noises)]
    return float(known.mean()) if len(known) else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Candidates to make committees of; each is aligned once."""

    problem: Problem
    judge: Judge
    _aligned: dict[int, tuple[FoldResult, ...]] = field(default_factory=dict)

    def aligned(self, record: TrialRecord) -> tuple[FoldResult, ...]:
        """Return a candidate's folds with its scores as probabilities that compare."""
        if record.number not in self._aligned:
            self._aligned[record.number] = self._align(record)
        return self._aligned[record.number]

    def results(self, members: Sequence[Member]) -> tuple[FoldResult, ...]:
        """Return the folds of the mean of members, those that all have run.

        One member alone is as it is.
        """
        if len(members) == 1:
            return members[0].record.results
        by_number = [{r.number: r for r in self.aligned(m.record)} for m in members]
        shared = sorted(set.intersection(*map(set, by_number)))
        weights = [member.weight for member in members]
        return tuple(
            replace(
                by_number[0][number],
                proba=np.average(
                    [of[number].scores for of in by_number], axis=0, weights=weights
                ),
            )
            for number in shared
        )

    def score(self, members: Sequence[Member]) -> Score:
        """Return the score of the mean of members."""
        return self.judge.score(self.results(members))

    def _align(self, record: TrialRecord) -> tuple[FoldResult, ...]:
        """Return a candidate's folds, mapped by calibrations that never saw them."""
        oof = OutOfFold.of(record.results, self.problem)
        _, crossed = fit_calibration(
            oof.y, oof.proba, oof.weight, oof.groups, self.problem.table.pos
        )
        ends = np.cumsum([len(r.scores) for r in record.results])[:-1]
        parts: list[NDArray[np.float64]] = np.split(crossed, ends)
        return tuple(
            replace(result, proba=part, stages=())
            for result, part in zip(record.results, parts, strict=True)
        )
