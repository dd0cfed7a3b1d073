"""What every cut on ranked scores finds: sums, their curves and bands, and bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from autoimb._confusion import divide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._confusion import BoolArray, FloatArray
    from autoimb._mass import Rows

_N_POINTS = 200  # of the curves: more cannot be told apart on a page
_N_BINS = 10
_N_BANDED = 50  # recalls at which a curve has a band
_N_DRAWS = 50
_MAX_DRAWN = 5_000_000  # draws times entries: bounds the time on large tables
_HISTOGRAM_BINS = 30
_LOWEST = 1e-4  # probabilities are binned by their odds, between this and its opposite


class Found(NamedTuple):
    """What reaches each distinct cut on falling scores, after a cut for nobody."""

    scores: FloatArray
    """Distinct scores (g,), falling."""
    hits: FloatArray
    """Weight (g + 1,) of the positives that reach no score, the first one, …"""
    false_alerts: FloatArray
    """The same of the negatives."""

    @classmethod
    def of(cls, is_positive: BoolArray, score: FloatArray, weight: FloatArray) -> Self:
        """Return the sums of all distinct cuts."""
        order = np.argsort(-score)
        last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
        hits, false_alerts = (
            np.append(0.0, np.cumsum((weight * side)[order])[last])
            for side in (is_positive, ~is_positive)
        )
        return cls(score[order][last], hits, false_alerts)

    @property
    def true_rate(self) -> FloatArray:
        """Share (g + 1,) of the positives that are found."""
        return divide(self.hits, self.hits[-1:])

    @property
    def false_rate(self) -> FloatArray:
        """Share (g + 1,) of the negatives that are alerts."""
        return divide(self.false_alerts, self.false_alerts[-1:])

    def even_steps(self, n_most: int) -> NDArray[np.intp]:
        """Return so many positions at most, at even steps along the ROC curve.

        Half of them share out the positives, half the negatives, however rare the
        positives are.
        """
        way = self.true_rate + self.false_rate
        if len(way) <= n_most:
            return np.arange(len(way))
        return np.unique(np.searchsorted(way, np.linspace(0, way[-1], n_most)))


def curves_of(
    is_positive: BoolArray, score: FloatArray, weight: FloatArray
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return (recall, precision) and (false, true positive rate) at the same cuts."""
    found = Found.of(is_positive, score, weight)
    kept = found.even_steps(_N_POINTS)
    precisions = divide(found.hits, found.hits + found.false_alerts)
    precisions[0] = 1.0  # of no alerts, by custom
    true_rate, false_rate = found.true_rate[kept], found.false_rate[kept]
    return _points(true_rate, precisions[kept]), _points(false_rate, true_rate)


def _points(x: FloatArray, y: FloatArray) -> tuple[tuple[float, float], ...]:
    """Return pairs of plain numbers."""
    return tuple(zip(x.tolist(), y.tolist(), strict=True))


def bins_of(
    is_positive: BoolArray, score: FloatArray, weight: FloatArray
) -> tuple[tuple[float, float, float], ...]:
    """Return (mean score, share of positives, rows) of bins with as many positives.

    Bins of equal size would put nearly all rare positives into the last one.
    """
    order = np.argsort(score, kind="stable")
    positives = np.cumsum((weight * is_positive)[order])
    edges = np.linspace(0, positives[-1], _N_BINS + 1)[1:-1]
    parts = np.split(order, np.unique(np.searchsorted(positives, edges) + 1))
    return tuple(
        (
            float(np.average(score[part], weights=weight[part])),
            float(np.average(is_positive[part], weights=weight[part])),
            float(weight[part].sum()),
        )
        for part in parts
        if weight[part].sum() > 0
    )


class Bands(NamedTuple):
    """The middle 95 % of what drawn rows say, at even steps: (at, low, high)."""

    precision: tuple[tuple[float, float, float], ...]
    """Precisions by recall."""
    true_rate: tuple[tuple[float, float, float], ...]
    """True positive rates by false positive rate."""

    @classmethod
    def of(
        cls, is_positive: BoolArray, score: FloatArray, weight: FloatArray, rows: Rows
    ) -> Self:
        """Return the bands around the curves of scores.

        Each draw has the precision of the first cut that finds so many of its
        positives, and the rate of the first that alerts so many of its negatives.
        """
        order = np.argsort(-score, kind="stable")
        last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
        n_draws = int(np.clip(_MAX_DRAWN // len(score), 10, _N_DRAWS))
        precisions, rates = [], []
        for draw in rows.resampled(order, n_draws, seed=0):
            drawn = weight[order] * draw
            hits = np.cumsum(drawn * is_positive[order])[last]
            alerts = np.cumsum(drawn)[last]
            at = _first_reaching(hits)
            precisions.append(divide(hits[at], alerts[at]))
            rates.append(divide(hits[_first_reaching(alerts - hits)], hits[-1:]))
        return cls(_band(precisions), _band(rates))


_STOPS = np.linspace(0, 1, _N_BANDED + 1)[1:]


def _first_reaching(sums: FloatArray) -> NDArray[np.intp]:
    """Return the first cuts at which rising sums reach each of the even steps."""
    reached = _STOPS * sums[-1] * (1 - 1e-12)
    return np.asarray(np.searchsorted(sums, reached), dtype=np.intp)


def _band(drawn: list[FloatArray]) -> tuple[tuple[float, float, float], ...]:
    """Return each step with the middle 95 % of the draws' values there."""
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return tuple(zip(_STOPS.tolist(), low.tolist(), high.tolist(), strict=True))


def histogram(
    is_positive: BoolArray,
    score: FloatArray,
    weight: FloatArray,
) -> tuple[tuple[float, float, float, float], ...]:
    """Return (from, to, share of the negatives, of the positives) of probabilities.

    Bins are equally wide in log-odds: those of rare cases crowd near zero.
    """
    clipped = np.clip(score, _LOWEST, 1 - _LOWEST)
    span = np.log((1 - _LOWEST) / _LOWEST)
    edges = np.linspace(-span, span, _HISTOGRAM_BINS + 1)
    shares = []
    for side in (~is_positive, is_positive):
        found = np.log(clipped[side]) - np.log1p(-clipped[side])
        found = np.clip(found, -span, span)  # rounding may carry the ends over
        counts, _ = np.histogram(found, edges, weights=weight[side])
        shares.append(divide(counts, counts.sum(keepdims=True)))
    bounds = 1 / (1 + np.exp(-edges))
    columns = (bounds[:-1], bounds[1:], *shares)
    return tuple(zip(*(column.tolist() for column in columns), strict=True))
