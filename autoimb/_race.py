"""Racing: a candidate that is clearly behind does not run all its folds.

There is one rule, and it forgives: on the folds that both have run, the candidate's
score must lie two standard errors of their paired difference below the incumbent's,
and there must be positives enough to say so. The incumbent is the best of some, and so
a little lucky: the rule is that much harsher than it reads.

Folds are compared from the second on. Only on a large table's sample one is enough:
its validation rows are tens of thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._evaluate import FoldResult
    from autoimb._judge import Judge, Score

MIN_FOLDS = 2
"""Folds before anything is said."""
_MIN_MINORITY = 50  # rows of the class of interest, below which nobody is dropped
_MIN_SEEN = 20  # of them validated
_CLEAR = 2.0  # standard errors of the paired difference


@dataclass(frozen=True, slots=True)
class Gap:
    """How far a candidate is from the incumbent on the folds that both have run.

    Attributes
    ----------
    difference : float
        Candidate minus incumbent.
    noise : float
        Standard error of that difference.
    """

    difference: float
    noise: float

    @property
    def is_clear(self) -> bool:
        """Whether the candidate is behind beyond doubt."""
        return self.difference < -_CLEAR * self.noise

    def __str__(self) -> str:
        return f"{self.difference:+.3f} ± {self.noise:.3f}"


def is_behind(candidate: Score | None, incumbent: Score | None) -> bool:
    """Whether a candidate is behind beyond doubt, where both have run all folds."""
    if candidate is None or incumbent is None:
        return False
    noise = candidate.se_of_difference(incumbent)
    return Gap(candidate.mean - incumbent.mean, noise).is_clear


@dataclass(frozen=True, slots=True)
class Race:
    """The rule, for one metric and one table."""

    judge: Judge
    is_open: bool
    """Whether there are rows enough of the rare class to drop anybody."""

    @classmethod
    def of(cls, judge: Judge) -> Race:
        """Return the race among candidates that a judge scores."""
        table = judge.table
        counts = table.class_counts
        rare = counts.min() if table.pos is None else counts[table.pos]
        return cls(judge, bool(rare >= _MIN_MINORITY))

    def gap(
        self, candidate: Sequence[FoldResult], incumbent: Sequence[FoldResult]
    ) -> Gap | None:
        """Return the gap over the same folds, None while too few positives are seen."""
        folds = self.judge.folds
        seen = np.concatenate([folds[result.number].val_idx for result in candidate])
        if self._count(seen) < _MIN_SEEN:
            return None
        mine, other = self.judge.score(candidate), self.judge.score(incumbent)
        return Gap(mine.mean - other.mean, mine.se_of_difference(other))

    def _count(self, rows: np.ndarray) -> int:
        """Return how many of some rows are of the class of interest, or the rarest."""
        table = self.judge.table
        counts = np.bincount(table.y[rows], minlength=table.n_classes)
        return int(counts.min() if table.pos is None else counts[table.pos])
