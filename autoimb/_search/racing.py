"""Racing: a candidate that is clearly behind does not run all its folds.

The rule is cautious. On the folds that both have run, the candidate's score must lie
more than two standard errors of their paired difference below the incumbent's, and
those folds must hold enough positives. The incumbent is the best of several candidates,
so its score is a little too high, and the rule is a little stricter for the candidate.
`RunningTrial.decide` applies it. Folds are compared from the second on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.scoring import Scoring
    from autoimb._metrics.bootstrap import Difference, Score
    from autoimb._search.trials import TrialRecord
    from autoimb._table.table import Table

MIN_FOLDS = 2
"""Folds that are compared at least."""
_MIN_MINORITY = 50  # rows of the class of interest; with fewer, none is dropped
_MIN_VALIDATED = 20  # of them in the folds that are compared
_CLEAR = 2.0  # standard errors of the paired difference


def is_behind(candidate: Score | None, incumbent: Score | None) -> bool:
    """Whether a candidate with all folds is clearly behind the incumbent."""
    if candidate is None or incumbent is None:
        return False
    return is_clear(candidate - incumbent)


def is_clear(gap: Difference) -> bool:
    """Whether a candidate with this difference to the incumbent is clearly behind."""
    return gap.value < -_CLEAR * gap.standard_error


class RacingRule:
    """The rule among candidates that a scoring scores, on its table."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self.can_drop = _n_rare(scoring.table, scoring.table.y) >= _MIN_MINORITY
        """Whether there are enough rows of the rare class to drop a candidate."""

    def gap(
        self, candidate: Sequence[FoldResult], incumbent: Sequence[FoldResult]
    ) -> Difference | None:
        """Return the gap over the same folds, None while they hold few positives."""
        folds, table = self.scoring.folds, self.scoring.table
        rows = np.concatenate([folds[result.number].val_idx for result in candidate])
        if _n_rare(table, table.y[rows]) < _MIN_VALIDATED:
            return None
        return self.scoring.score(candidate) - self.scoring.score(incumbent)

    def families_behind(
        self, records: Sequence[TrialRecord], incumbent: TrialRecord | None
    ) -> set[str]:
        """Return the families of which all candidates were clearly behind.

        Their remaining portfolio strategies are tried last.
        """
        if incumbent is None or not self.can_drop:
            return set()
        behind, others = set(), set()
        for record in records:
            family = record.strategy.family.name
            is_complete = record.status == "complete"
            if record.status == "dropped" or (
                is_complete and is_behind(record.score, incumbent.score)
            ):
                behind.add(family)
            elif is_complete:
                others.add(family)
        return behind - others


def _n_rare(table: Table, y: NDArray[np.intp]) -> int:
    """Return how many labels are of the class of interest, or of the rarest."""
    counts = np.bincount(y, minlength=table.n_classes)
    return int(counts.min() if table.pos is None else counts[table.pos])
