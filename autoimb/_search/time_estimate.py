"""How long the next evaluation will take, learned from those that are done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoimb._catalogue import Catalogue
    from autoimb._strategy.strategy import Strategy

_MIN_FAMILIES = 3  # with fits: one or two may be slow for their cost on these data
_LAST = 8  # fits of a family that are remembered: its parameters drift with the search


@dataclass(slots=True)
class TimeEstimate:
    """Seconds of an evaluation, from those of the same family.

    A family without fits is expected to be as fast, relative to the median of three
    others or more, as the costs of their entries say. A family's own fits vary with
    their parameters. The next is expected to take as long as the slowest of the last
    few: to start a fit that does not end in time is worse than to leave one out that
    would.
    """

    catalogue: Catalogue
    _fits: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    """By family: seconds of the fit per training row, and seconds of the predictions.

    A fold's validation rows are the same for every sample of its training rows.
    """

    def note(
        self,
        strategy: Strategy,
        n_rows: int,
        fit_seconds: float,
        predict_seconds: float = 0.0,
    ) -> None:
        """Remember an evaluation with so many training rows."""
        self._fits.setdefault(strategy.family.name, deque(maxlen=_LAST)).append(
            (fit_seconds / n_rows, predict_seconds)
        )

    def seconds(self, strategy: Strategy, n_rows: int) -> float | None:
        """Return the expected seconds of an evaluation, None without enough fits."""
        family = strategy.family.name
        expected = {
            name: [rate * n_rows + predict for rate, predict in fits]
            for name, fits in self._fits.items()
        }
        if family in expected:
            return max(expected[family])
        if len(expected) < _MIN_FAMILIES:
            return None
        cost = {n: self.catalogue.get("family", n).cost for n in (family, *expected)}
        per_cost = median(median(of) / cost[n] for n, of in expected.items())
        return float(per_cost * cost[family])
