"""How long the next evaluation will take, learned from those that are done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoimb._catalogue import Catalogue
    from autoimb._strategy import Strategy

_MIN_FAMILIES = 3  # that were met: one or two may be slow for their cost on these data
_LAST = 8  # fits of a family that are remembered: its parameters drift with the search


@dataclass(slots=True)
class Forecast:
    """Seconds of an evaluation, from those of the same family.

    A family that has not been met yet is expected to be as fast, relative to most of
    three others or more, as its entry says. A family's own fits vary with their
    parameters: what is expected of the next is the slowest of the last few, since to
    start a fit that does not end in time is worse than not to start one that would.
    """

    catalogue: Catalogue
    _seen: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    """By family: seconds of the fit a training row, and seconds of the predictions.

    A fold's validation rows are the same whatever part of its training rows is seen.
    """

    def note(
        self,
        strategy: Strategy,
        n_rows: int,
        fit_seconds: float,
        predict_seconds: float = 0.0,
    ) -> None:
        """Remember an evaluation with so many training rows."""
        seen = self._seen.setdefault(strategy.family.name, deque(maxlen=_LAST))
        seen.append((fit_seconds / n_rows, predict_seconds))

    def seconds(self, strategy: Strategy, n_rows: int) -> float | None:
        """Return what to expect of an evaluation, None while nothing is known."""
        family = strategy.family.name
        if family in self._seen:
            return max(self._of(family, n_rows))
        per_cost = [
            median(self._of(other, n_rows)) / self._cost(other) for other in self._seen
        ]
        if len(per_cost) < _MIN_FAMILIES:
            return None
        return median(per_cost) * self._cost(family)

    def _of(self, family: str, n_rows: int) -> list[float]:
        """Return what a family's last evaluations would have taken on so many rows."""
        return [rate * n_rows + predict for rate, predict in self._seen[family]]

    def _cost(self, family: str) -> float:
        """Return the relative cost of a family's fits."""
        return float(self.catalogue.get("family", family).cost)
