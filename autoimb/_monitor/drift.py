"""Whether a column is distributed as before, or as another mix of the classes.

Both are one question: are the new counts those of a mixture of the classes, whose
distributions the training table shows, with given shares? With the shares of the
training table it asks for any drift. With the shares that were estimated for the new
rows, it asks for drift that the shares of the classes do not explain.

The statistic is a Wald statistic on the differences of shares. Its variance is the sum
of three parts: of the new rows, of the training rows of each class, and of the shares.

References
----------
Agresti 2013, "Categorical Data Analysis", section 1.5 (Wald and score statistics).
Hotelling 1931, doi:10.1214/aoms/1177732979; Welch 1947, doi:10.1093/biomet/34.1-2.28.
Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x (many columns).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import false_discovery_control

if TYPE_CHECKING:
    from autoimb._metrics.confusion import FloatArray, IntArray

LEVEL = 0.05
"""False discovery rate of columns, and error level of what is tested once."""
_FEWEST_EXPECTED = 5.0
"""Rows that a bin has at least, by expectation, for the normal approximation."""


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """Shares of the classes, and how certain they are."""

    shares: FloatArray
    covariance: FloatArray
    """Of the shares (k, k)."""

    @classmethod
    def of_counts(cls, counts: FloatArray) -> Mix:
        """Return the shares of so many rows (k,) of each class."""
        shares = counts / counts.sum()
        covariance = np.diag(shares) - np.outer(shares, shares)
        return cls(shares, covariance / counts.sum())


@dataclass(frozen=True, slots=True)
class Comparison:
    """How counts compare with those of a mixture."""

    distance: float
    """Share of the rows that lie elsewhere: the total variation distance."""
    p_value: float
    """Probability of a difference as large by chance; 1 where rows are too few."""
    by_chance: float = 0.0
    """The mean distance where the mix is right: it is not 0 for few rows."""

    @property
    def excess(self) -> float:
        """What is left of the distance without that of chance."""
        return max(0.0, self.distance - self.by_chance)


def compare(reference: FloatArray, new: FloatArray, mix: Mix) -> Comparison:
    """Compare new counts (b,) with the mix of the classes' counts (k, b)."""
    totals = reference.sum(axis=1, keepdims=True)
    if new.sum() <= 0 or not (totals > 0).all():
        return Comparison(0.0, 1.0)
    of_class = reference / totals
    expected = mix.shares @ of_class
    distance = float(np.abs(new / new.sum() - expected).sum() / 2)
    errors = np.sqrt(np.diag(_covariance(of_class, totals[:, 0], new.sum(), mix)))
    # Half of the mean absolute values of normal deviations.
    by_chance = float(errors.sum() / np.sqrt(2 * np.pi))
    groups = _bins_with_enough(expected * new.sum(), _behind(reference, mix))
    if groups.max(initial=0) < 1:
        return Comparison(distance, 1.0, by_chance)
    merged = np.zeros((groups.max() + 1, len(new)))
    merged[groups, np.arange(len(new))] = 1
    counts, new = reference @ merged.T, merged @ new
    return Comparison(distance, _p_value(counts, new, mix), by_chance)


def _behind(reference: FloatArray, mix: Mix) -> FloatArray:
    """Return how many training rows (b,) stand behind what is expected in each bin.

    A class counts by its part in the variance of what is expected.
    """
    parts = (mix.shares / reference.sum(axis=1)) ** 2
    return np.asarray(parts @ reference / parts.sum())


def _bins_with_enough(expected: FloatArray, behind: FloatArray) -> IntArray:
    """Return the number (b,) of the merged bin of each bin.

    Neighbours are merged until enough rows are expected in each, and until enough
    training rows stand behind that.
    """
    groups = np.empty(len(expected), dtype=np.intp)
    group, rows = 0, np.zeros(2)
    for place, added in enumerate(np.column_stack([expected, behind])):
        groups[place] = group
        rows = rows + added
        if rows.min() >= _FEWEST_EXPECTED:
            group, rows = group + 1, np.zeros(2)
    # What is left at the end goes to the last bin that has enough.
    return np.minimum(groups, max(group - 1, 0))


def _p_value(reference: FloatArray, new: FloatArray, mix: Mix) -> float:
    """Return the p-value for counts in bins that have enough rows.

    It is that of Hotelling's T², since the variance is an estimate: where a class of
    few training rows has a large share, from these few. The degrees of freedom are
    those of Welch and Satterthwaite for the sum of the parts.
    """
    totals, n_new = reference.sum(axis=1), new.sum()
    of_class = reference / totals[:, np.newaxis]
    difference = (new / n_new - mix.shares @ of_class)[:-1]
    covariance = _covariance(of_class, totals, n_new, mix)[:-1, :-1]
    statistic = float(difference @ np.linalg.solve(covariance, difference))
    parts = mix.shares**2 / totals
    whole = parts.sum() + 1 / n_new
    freedom = whole**2 / ((parts**2 / totals).sum() + 1 / n_new**3)
    n, left = len(difference), max(1.0, freedom - len(difference) + 1)
    return float(f_distribution.sf(statistic * left / (n * freedom), n, left))


def _covariance(
    of_class: FloatArray, totals: FloatArray, n_new: float, mix: Mix
) -> FloatArray:
    """Return the covariance of the new shares of bins, less those of the mix."""
    total = _multinomial(mix.shares @ of_class, n_new)
    total = total + of_class.T @ mix.covariance @ of_class
    for share, distribution, n in zip(mix.shares, of_class, totals, strict=True):
        total = total + share**2 * _multinomial(distribution, n)
    return total


def _multinomial(shares: FloatArray, n: float) -> FloatArray:
    """Return the covariance of the shares of n rows."""
    return np.asarray((np.diag(shares) - np.outer(shares, shares)) / n)


def adjusted(p_values: FloatArray) -> FloatArray:
    """Return p-values after Benjamini & Hochberg: at most the level are discoveries."""
    return np.asarray(false_discovery_control(p_values)) if len(p_values) else p_values
