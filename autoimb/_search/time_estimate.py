"""How long the next evaluation will take, learned from those that are done.

Before anything is known, a fit is expected to take as long as its family's cost and the
size of the table say. What was measured corrects this, for its family and for the
others, and follows a machine that becomes slower or faster in the middle of a search.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoimb._catalogue import Catalogue
    from autoimb._catalogue.entry import Family
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._strategy.strategy import Strategy

_LAST = 8  # fits of a family that are remembered: its parameters drift with the search
_DISTURBED = 4  # fits of a family of which the slowest is left out
_MIN_FAMILIES = 3  # with fits: one or two may be slow for their cost on these data
_LAST_SPEEDS = 3  # evaluations by which the speed of the machine is known
_START_S, _PER_CELL_S = 0.2, 4e-6
"""Seconds of a fit of cost 1: of any table, and for each cell of encoded rows (one core
of 2.5 GHz; the first measured fits replace them)."""


@dataclass(slots=True)
class TimeEstimate:
    """Seconds of an evaluation, from those of the same family or of others.

    A family's own fits vary with their parameters. The next is expected to take as long
    as the slowest of the last few (of four or more, the second slowest, as one may have
    been disturbed): to start a fit that does not end in time is worse than to leave one
    out that would.
    """

    catalogue: Catalogue
    n_columns: int
    n_classes: int
    _fits: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    """By family: seconds per expected second of a fit, and seconds of the rest, both at
    the machine's usual speed. Validation rows are the same for all training rows."""
    _slowness: deque[float] = field(default_factory=lambda: deque(maxlen=_LAST_SPEEDS))
    """Seconds of the last evaluations relative to those of their families before."""

    @property
    def slowness(self) -> float:
        """How much longer than before everything takes; below 1 for less long."""
        is_known = len(self._slowness) == _LAST_SPEEDS
        return median(self._slowness) if is_known else 1.0

    def note(self, strategy: Strategy, n_rows: int, result: FoldResult) -> None:
        """Remember an evaluation with so many training rows."""
        fits = self._fits.setdefault(strategy.family.name, deque(maxlen=_LAST))
        rest = result.predict_seconds
        fit = max(result.seconds, result.fit_seconds) - rest
        expected = self._expected(strategy, n_rows)
        if fits:
            usual = median(ratio * expected + rest for ratio, rest in fits)
            self._slowness.append((fit + rest) / usual)
        fits.append((fit / expected / self.slowness, rest / self.slowness))

    def seconds(self, strategy: Strategy, n_rows: int) -> float:
        """Return the expected seconds of an evaluation with so many training rows."""
        expected, own = self._expected(strategy, n_rows), strategy.family.name
        if fits := self._fits.get(own):
            usual = sorted(ratio * expected + rest for ratio, rest in fits)
            return usual[-1 if len(fits) < _DISTURBED else -2] * self.slowness
        if len(self._fits) < _MIN_FAMILIES:
            return expected * self.slowness
        others = [median(ratio for ratio, _ in fits) for fits in self._fits.values()]
        return expected * median(others) * self.slowness

    def _expected(self, strategy: Strategy, n_rows: int) -> float:
        """Return the seconds of a fit before any was measured.

        A boosted model has a tree for each class in every round.
        """
        family: Family = self.catalogue.get("family", strategy.family.name)
        cost = family.cost * (_START_S + _PER_CELL_S * n_rows * self.n_columns)
        if not family.rounds_parameter:
            return cost
        n_rounds = dict(strategy.family.params).get(family.rounds_parameter)
        usual = family.defaults().get(family.rounds_parameter, n_rounds)
        n_trees = self.n_classes if self.n_classes > 2 else 1
        return cost * n_trees * (n_rounds / usual if n_rounds and usual else 1.0)
