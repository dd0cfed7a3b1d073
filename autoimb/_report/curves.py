"""Curves of ranked scores with bootstrap bands, calibration bins and a histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from scipy.special import expit, logit

from autoimb._metrics.bootstrap import Draws, interval
from autoimb._metrics.confusion import divide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._metrics.confusion import BoolArray, FloatArray, IntArray

_N_POINTS = 200  # of the curves: more cannot be told apart on a page
_N_BINS = 10
_STOPS = np.linspace(0, 1, 51)[1:]
"""Recalls, or false positive rates, at which a curve has a band."""
_N_DRAWS = 50
_MAX_DRAWN = 5_000_000  # draws times rows: bounds the time on large tables
_HISTOGRAM_BINS = 30
_LOWEST = 1e-4  # probabilities are binned by their odds, between this and its opposite


class CutCounts(NamedTuple):
    """Weighted rows at each cut: one above all scores, then one at each score."""

    scores: FloatArray
    """Distinct scores (g,), falling."""
    true_positives: FloatArray
    """Positives (g + 1,) that reach the cut."""
    false_positives: FloatArray
    """Negatives (g + 1,) that reach the cut."""

    @classmethod
    def of(cls, is_positive: BoolArray, score: FloatArray, weight: FloatArray) -> Self:
        """Return the counts at all distinct cuts."""
        from sklearn.metrics import confusion_matrix_at_thresholds

        _, fps, _, tps, scores = confusion_matrix_at_thresholds(
            is_positive, score, sample_weight=weight
        )
        return cls(scores, np.append(0.0, tps), np.append(0.0, fps))

    @property
    def rates(self) -> tuple[FloatArray, FloatArray]:
        """Shares (g + 1,) of the positives, and of the negatives, at each cut."""
        hits, mistakes = self.true_positives, self.false_positives
        return divide(hits, hits[-1:]), divide(mistakes, mistakes[-1:])

    def even_steps(self, n_most: int) -> NDArray[np.intp]:
        """Return so many positions at most, at even steps along the ROC curve.

        Half of them share out the positives, half the negatives, however rare the
        positives are.
        """
        length = np.add(*self.rates)
        if len(length) <= n_most:
            return np.arange(len(length))
        return np.unique(np.searchsorted(length, np.linspace(0, length[-1], n_most)))


def curves_of(
    is_positive: BoolArray, score: FloatArray, weight: FloatArray
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return (recall, precision) and (false, true positive rate) at the same cuts.

    scikit-learn's `precision_recall_curve` and `roc_curve` have the same points, but
    one for each score: a page with 100,000 of them would be too large.
    """
    counts = CutCounts.of(is_positive, score, weight)
    shown = counts.even_steps(_N_POINTS)
    hits = counts.true_positives
    precisions = divide(hits, hits + counts.false_positives)
    precisions[0] = 1.0  # without alerts, as in scikit-learn
    recalls, false_rates = counts.rates
    return (
        _rows(recalls[shown], precisions[shown]),
        _rows(false_rates[shown], recalls[shown]),
    )


def _rows(*columns: FloatArray) -> tuple[Any, ...]:
    """Return tuples of plain numbers, one for each position of the columns."""
    return tuple(zip(*(column.tolist() for column in columns), strict=True))


def bins_of(
    is_positive: BoolArray,
    score: FloatArray,
    weight: FloatArray,
    multiplicity: FloatArray,
) -> tuple[tuple[float, float, float], ...]:
    """Return (mean score, share of positives, rows) of bins with as many positives.

    The means are weighted; `multiplicity` (n,) is how many rows each entry stands for.

    Bins with as many rows, as those of scikit-learn's `calibration_curve`, would put
    nearly all rare positives into the last one; and it has no sample weights.
    """
    order = np.argsort(score, kind="stable")
    positives = np.cumsum((weight * is_positive)[order])
    edges = np.linspace(0, positives[-1], _N_BINS + 1)[1:-1]
    parts = np.split(order, np.unique(np.searchsorted(positives, edges) + 1))
    return tuple(
        (
            float(np.average(score[part], weights=weight[part])),
            float(np.average(is_positive[part], weights=weight[part])),
            float(multiplicity[part].sum()),
        )
        for part in parts
        if len(part)
    )


class Bands(NamedTuple):
    """The middle 95 % of bootstrap draws at even steps of a curve: (at, low, high)."""

    precision: tuple[tuple[float, float, float], ...]
    """Precisions by recall."""
    true_rate: tuple[tuple[float, float, float], ...]
    """True positive rates by false positive rate."""

    @classmethod
    def of(
        cls,
        is_positive: BoolArray,
        score: FloatArray,
        weight: FloatArray,
        units: IntArray,
    ) -> Self:
        """Return the bands around the curves of scores.

        Each draw has the precision of the first cut that finds so many of its
        positives, and the rate of the first that alerts so many of its negatives. The
        scores are sorted once for all draws, which take entries of a unit together.
        """
        order = np.argsort(-score, kind="stable")
        last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
        n_draws = int(np.clip(_MAX_DRAWN // len(score), 10, _N_DRAWS))
        stops, precisions, rates = _STOPS * (1 - 1e-12), [], []
        weight, is_positive = weight[order], is_positive[order]
        for draw in Draws.of(is_positive.astype(int), units[order], n_draws, seed=0):
            drawn = weight * draw
            hits = np.cumsum(drawn * is_positive)[last]
            alerts = np.cumsum(drawn)[last]
            mistakes = alerts - hits
            at = np.searchsorted(hits, stops * hits[-1])
            precisions.append(divide(hits[at], alerts[at]))
            at = np.searchsorted(mistakes, stops * mistakes[-1])
            rates.append(divide(hits[at], hits[-1:]))
        return cls(
            *(
                _rows(_STOPS, *interval(np.array(drawn), 0.95))
                for drawn in (precisions, rates)
            )
        )


def histogram(
    is_positive: BoolArray, score: FloatArray, weight: FloatArray
) -> tuple[tuple[float, float, float, float], ...]:
    """Return (from, to, share of the negatives, of the positives) of probabilities.

    Bins are equally wide in log-odds, since those of rare cases crowd near zero.
    """
    span = -logit(_LOWEST)
    edges = np.linspace(-span, span, _HISTOGRAM_BINS + 1)
    log_odds = np.clip(logit(score), -span, span)
    shares = []
    for side in (~is_positive, is_positive):
        counts, _ = np.histogram(log_odds[side], edges, weights=weight[side])
        shares.append(divide(counts, counts.sum(keepdims=True)))
    bounds = expit(edges)
    return _rows(bounds[:-1], bounds[1:], *shares)
