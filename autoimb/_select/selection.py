"""`Selection`: the winner, what predicts, and what replaces it if a refit fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autoimb._select.ensemble import Member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoimb._search.trials import TrialRecord
    from autoimb._select.predict_limit import PredictLimit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The winner, the members that predict, and the baseline to compare them with."""

    winner: TrialRecord
    """The best single candidate."""
    baseline: TrialRecord | None
    """The best candidate without handling; None if there is no complete one."""
    finalists: tuple[TrialRecord, ...]
    """The candidates that could win, all scored on the same folds, best first."""
    members: tuple[Member, ...]
    """What predicts: the winner first, alone or in an ensemble."""
    reserve: tuple[TrialRecord, ...] = ()
    """Candidates without scores, for when all others fail."""
    quickest: TrialRecord | None = None
    """The candidate with the shortest fit, for when there is no time for the winner."""
    pace: float = 1.0
    """How many times longer the last steps take here than they are expected to."""
    n_complete: int = 1
    """Complete candidates, among which draws of the honest estimate choose."""
    limit: PredictLimit | None = None
    """What one row may take; None for no limit."""
    n_too_slow: int = 0
    """Complete candidates of which one row takes longer."""
    is_substitute: bool = False
    """Whether this replaces the best candidates, which failed or took too long."""

    @property
    def quick_substitute(self) -> Selection | None:
        """The selection of the quickest candidate; None if that is the winner."""
        if self.quickest is None or self.quickest.strategy == self.winner.strategy:
            return None
        return self._substitute(Member(self.quickest))

    @property
    def substitutes(self) -> Iterator[Selection]:
        """The selections that can replace a winner whose refit fails, best first.

        First the ensemble without its best member, without its two best, and so on,
        then each of the other finalists alone, then those without scores.
        """
        for place in range(1, len(self.members)):
            yield self._substitute(*self.members[place:])
        for record in (*self.finalists, *self.reserve):
            if record.strategy != self.winner.strategy:
                yield self._substitute(Member(record))

    def _substitute(self, *members: Member) -> Selection:
        """Return the selection of other members, best first."""
        winner = members[0].record
        return replace(
            self, winner=winner, members=members, quickest=None, is_substitute=True
        )

    @classmethod
    def alone(cls, record: TrialRecord, *reserve: TrialRecord) -> Selection:
        """Return the selection of a candidate that replaces a winner never found."""
        return cls(
            winner=record,
            baseline=None if record.strategy.is_handled else record,
            finalists=(),
            members=(Member(record),),
            reserve=reserve,
            is_substitute=True,
        )
