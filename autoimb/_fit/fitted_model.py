"""`FittedModel`: fitted members, and the rule from their probabilities to labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import config_context
from sklearn.ensemble import VotingClassifier
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import gen_batches

from autoimb._evaluate.fit_predict import predict_codes
from autoimb._metrics.calibration import Calibration, Identity
from autoimb._table.columns import take
from autoimb._threshold.prior_shift import PriorShift, shifted
from autoimb._threshold.rules import Cut, Threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from autoimb._strategy.strategy import Strategy
    from autoimb._table.columns import CanonicalRows


_BLOCK = 65_536
"""Rows that are predicted at a time: each fold's encoder makes a copy of them."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedMember:
    """One strategy, fitted on all rows or on those of folds, and its calibration.

    Its score is the mean of its pipelines' scores.
    """

    strategy: Strategy
    weight: float
    pipelines: tuple[Pipeline, ...]
    """One that is fitted on all rows, or the models of folds."""
    calibration: Calibration
    unfitted: Pipeline | None = None
    """The pipeline for a fit on all rows, where fold models predict in its place."""
    reason: str = ""
    """Why fold models predict, in words; empty if none do."""
    n_sampled: int | None = None
    """Rows of each sample that it was fitted on; None if that was all rows."""

    @property
    def is_refit(self) -> bool:
        """Whether it is fitted on all rows."""
        return self.unfitted is None

    @property
    def lacks_refit(self) -> bool:
        """Whether fold models predict only until there is time for a fit on all rows.

        The mean of models of several samples is better than one fit on a sample.
        """
        return not self.is_refit and self.n_sampled is None

    @property
    def pipeline(self) -> Pipeline | VotingClassifier:
        """The pipeline, or a soft vote of the fold models."""
        if len(self.pipelines) == 1:
            return self.pipelines[0]
        return soft_vote(self.pipelines)

    def scores(
        self, X: CanonicalRows, n_classes: int, encoded: dict[int, Any] | None = None
    ) -> NDArray[np.float64]:
        """Return the mean of the pipelines' scores of canonical rows."""
        scores = [predict_codes(p, X, n_classes, encoded) for p in self.pipelines]
        return scores[0] if len(scores) == 1 else np.mean(scores, axis=0)

    def proba(
        self, X: CanonicalRows, n_classes: int, encoded: dict[int, Any] | None = None
    ) -> NDArray[np.float64]:
        """Return calibrated probabilities of canonical rows.

        Members that are given the same `encoded` share what their encoders return.
        """
        return self.calibration(self.scores(X, n_classes, encoded))


def soft_vote(pipelines: Sequence[Pipeline]) -> VotingClassifier:
    """Return a fitted scikit-learn estimator of the pipelines' mean probability.

    Models without probabilities vote by their labels.
    """
    names = [f"fold_{place}" for place in range(1, len(pipelines) + 1)]
    voting = "soft" if hasattr(pipelines[0], "predict_proba") else "hard"
    vote = VotingClassifier(list(zip(names, pipelines, strict=True)), voting=voting)
    vote.estimators_ = list(pipelines)
    vote.named_estimators_ = dict(zip(names, pipelines, strict=True))
    vote.classes_ = pipelines[0].classes_
    vote.le_ = LabelEncoder().fit(vote.classes_)
    return vote


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """What predicts: members, and the rule from their probabilities to labels."""

    members: tuple[FittedMember, ...]
    threshold: Threshold
    n_classes: int
    shift: PriorShift | None = None
    """From the class shares of the training table to others; None for the same."""
    calibration: Calibration = field(default_factory=Identity)
    """Of the members' mean; the identity for a single member."""

    def proba(self, X: CanonicalRows) -> NDArray[np.float64]:
        """Return the calibrated mean of the members' calibrated probabilities."""
        n_rows = X.shape[0]
        if n_rows > _BLOCK:
            rows, parts = np.arange(n_rows), gen_batches(n_rows, _BLOCK)
            return np.concatenate([self.proba(take(X, rows[part])) for part in parts])
        weights = [member.weight for member in self.members]
        encoded: dict[int, Any] = {}
        # As in the fit: the encoders pass on arrays, whatever the user's settings.
        with config_context(transform_output="default"):
            probas = [m.proba(X, self.n_classes, encoded) for m in self.members]
        mean = np.average(probas, axis=0, weights=weights)
        return shifted(self.calibration(mean), self.shift)

    @property
    def raw_cut(self) -> float | None:
        """The cut on a single member's own score that gives the same labels.

        It is the smallest score whose calibrated probability reaches the threshold.
        None for an ensemble, or a rule that is no cut.
        """
        cut, calibration = self.threshold, self.members[0].calibration
        if len(self.members) > 1 or not isinstance(cut, Cut):
            return None

        def reaches(score: float) -> bool:
            row = np.zeros((1, 2))
            row[0, cut.pos], row[0, 1 - cut.pos] = score, 1 - score
            return bool(shifted(calibration(row), self.shift)[0, cut.pos] >= cut.value)

        if reaches(0.0):
            return 0.0
        low, high = 0.0, float(np.nextafter(1.0, 2.0))  # above every score
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (low, middle) if reaches(middle) else (middle, high)
        return high
