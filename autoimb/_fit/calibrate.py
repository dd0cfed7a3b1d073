"""Calibrated out-of-fold scores, of a single candidate or of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from autoimb._evaluate.out_of_fold import OutOfFold
from autoimb._metrics.calibration import Calibration, Identity, fit_calibration
from autoimb._select.ensemble import calibration_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.problem import Problem
    from autoimb._select.ensemble import Member


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedScores:
    """Scores mapped by a calibration, and by calibrations that never saw them."""

    calibration: Calibration
    proba: NDArray[np.float64]
    """Scores mapped by `calibration`, as the probabilities of new rows will be."""
    cross_fitted: NDArray[np.float64]
    """Scores mapped by calibrations that were fitted without the entry's fold."""
    is_of_mean: bool = False
    """Whether the scores are a mean of members that were calibrated one by one."""

    @classmethod
    def of(cls, results: Sequence[FoldResult], problem: Problem) -> CalibratedScores:
        """Return the scores of folds with the calibration that suits them best."""
        calibration, cross_fitted = calibration_of(tuple(results), problem)
        proba = np.concatenate([result.scores for result in results])
        return cls(calibration, calibration(proba), cross_fitted)

    @property
    def label(self) -> str:
        """The name of the calibration, for the report."""
        name = self.calibration.label
        if not self.is_of_mean:
            return name
        is_bare = isinstance(self.calibration, Identity)
        return "members one by one" if is_bare else f"{name} of the members' mean"


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleScores:
    """The out-of-fold scores of an ensemble, and the calibrations behind them."""

    oof: OutOfFold
    """The mean of the members' calibrated scores; a single member's own scores."""
    calibrated: CalibratedScores
    calibrations: tuple[Calibration, ...]
    """One for each member."""
    calibration: Calibration
    """Of the mean; the identity for a single member, which has its own."""


def ensemble_scores(
    members: Sequence[Member], problem: Problem, *, calibrates_output: bool
) -> EnsembleScores:
    """Return the calibrated out-of-fold scores on the folds that all members have run.

    Without calibrated output the cross-fitted scores are calibrated all the same, since
    the threshold is tuned on them: scores after class weights or resampling are no
    shares of positives. The members of an ensemble are always calibrated, so that their
    scores can be averaged.
    """
    pos = problem.table.pos
    by_number = [{r.number: r for r in member.record.results} for member in members]
    common = sorted(set.intersection(*map(set, by_number)))
    on_common = [[results[number] for number in common] for results in by_number]
    parts = [CalibratedScores.of(results, problem) for results in on_common]
    oof = OutOfFold.of(on_common[0], problem)
    if len(parts) == 1:
        (alone,) = parts
        if not calibrates_output:
            alone = replace(alone, calibration=Identity(), proba=oof.proba)
        return EnsembleScores(oof, alone, (alone.calibration,), Identity())
    weights = [member.weight for member in members]
    proba = np.average([part.proba for part in parts], axis=0, weights=weights)
    crossed = np.average([part.cross_fitted for part in parts], axis=0, weights=weights)
    mean = replace(oof, proba=proba)
    outer: Calibration = Identity()
    if calibrates_output:
        # A mean of members that disagree is under-confident.
        outer, crossed = fit_calibration(
            mean.y, crossed, mean.weight, mean.folds, pos, draws=mean.draws
        )
    return EnsembleScores(
        mean,
        CalibratedScores(outer, outer(proba), crossed, is_of_mean=True),
        tuple(part.calibration for part in parts),
        outer,
    )
