"""How long the next evaluation will take, learned from those that are done.

Before anything is known, a fit is expected to take as long as its family's cost and the
size of the table say. What was measured corrects this, for its family and for the
others, and follows a machine that becomes slower or faster in the middle of a search.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoimb._catalogue import Catalogue
    from autoimb._catalogue.entry import Family
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.table import Table

_LAST = 8  # fits of a family that are remembered: its parameters drift with the search
_DISTURBED = 4  # fits of a family of which the slowest is left out
_MIN_FAMILIES = 3  # with fits: one or two may be slow for their cost on these data
_TELLING_S = 1.0  # of evaluations: in less time a machine shows little of its speed
_SLOWEST = 4.0  # times: more is no busy machine, but a model that waits
_LAST_SPEEDS = 6  # evaluations by which the speed of the machine is known
_START_S, _PER_CELL_S = 0.2, 2e-6
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
    _fits: dict[tuple[str, str], deque[tuple[float, float]]] = field(
        default_factory=dict
    )
    """By family and resampler: seconds per expected second of a fit, and seconds of the
    rest, both on an idle machine. Validation rows are the same for all training rows.
    """
    _speeds: deque[tuple[str, float, float]] = field(
        default_factory=lambda: deque(maxlen=_LAST_SPEEDS)
    )
    """Of the last evaluations: family, seconds, and seconds for each of processor time.
    """
    _alone: dict[str, float] = field(default_factory=dict)
    """By family: seconds for each of processor time, on an idle machine."""

    @classmethod
    def of(cls, catalogue: Catalogue, table: Table) -> TimeEstimate:
        """Return the estimate before anything was measured on a table."""
        n_columns = max(1, round(table.X.size / len(table.y)))  # stored, if sparse
        return cls(catalogue, n_columns, table.n_classes)

    @property
    def slowness(self) -> float:
        """How many times longer everything takes, since other programs run as well.

        How far a family uses several threads, or waits for something else, is not
        known: what was seen at best stands for it.
        """
        elapsed = sum(seconds for _, seconds, _ in self._speeds)
        if elapsed < _TELLING_S:
            return 1.0
        alone = sum(
            seconds * min(1.0, self._alone[family] / per_cpu)
            for family, seconds, per_cpu in self._speeds
        )
        return min(_SLOWEST, elapsed / alone)

    def knows(self, strategy: Strategy) -> bool:
        """Whether an evaluation of the strategy's family was noted."""
        return any(family == strategy.family.name for family, _ in self._fits)

    def note(self, strategy: Strategy, n_rows: int, result: FoldResult) -> None:
        """Remember an evaluation with so many training rows."""
        name, found = strategy.family.name, result.wall_per_cpu
        slowness = self.slowness
        if result.cpu_seconds:  # one that was ended from outside told nothing
            self._alone[name] = min(self._alone.get(name, found), found)
            slowness = min(_SLOWEST, found / self._alone[name])
        rest = result.predict_seconds
        fit = max(result.seconds, result.fit_seconds) - rest
        ratio = fit / self._expected(strategy, n_rows)
        kind = name, strategy.resampler.name
        fits = self._fits.setdefault(kind, deque(maxlen=_LAST))
        fits.append((ratio / slowness, rest / slowness))

    def note_speed(self, strategy: Strategy, result: FoldResult) -> None:
        """Remember how busy the machine was during an evaluation that was noted."""
        if result.cpu_seconds:
            name = strategy.family.name
            self._speeds.append((name, result.seconds, result.wall_per_cpu))

    def seconds(self, strategy: Strategy, n_rows: int) -> float:
        """Return the expected seconds of an evaluation with so many training rows."""
        expected = self._expected(strategy, n_rows)
        family, resampler = strategy.family.name, strategy.resampler.name
        of_family = [fits for (name, _), fits in self._fits.items() if name == family]
        if of_family:
            fits = self._fits.get((family, resampler)) or list(chain(*of_family))
            usual = sorted(ratio * expected + rest for ratio, rest in fits)
            return usual[-1 if len(fits) < _DISTURBED else -2] * self.slowness
        others = {
            name: median(ratio for ratio, _ in fits)
            for (name, _), fits in self._fits.items()
        }
        if len(others) < _MIN_FAMILIES:
            return expected * self.slowness
        return expected * median(others.values()) * self.slowness

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
