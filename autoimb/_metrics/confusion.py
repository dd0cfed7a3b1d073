"""Confusion matrices, and the metrics that are formulas on them.

Confusion matrices (..., k, k) stand as [true, predicted]. Every formula works on the
last two dimensions, so that one call scores thousands of cuts or bootstrap draws.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer]
BoolArray = NDArray[np.bool_]

_COUNTED_AT_ONCE = 50_000
"""Weights that one call counts: few calls for few rows, little memory for many."""


def confusion_matrices(
    y: IntArray, y_pred: IntArray, weights: FloatArray, n_classes: int
) -> FloatArray:
    """Return weighted confusion matrices (B, k, k) as [true, predicted]."""
    counts = weighted_counts(y * n_classes + y_pred, weights, n_classes**2)
    return counts.reshape(-1, n_classes, n_classes)


def weighted_counts(cells: IntArray, weights: FloatArray, n_cells: int) -> FloatArray:
    """Return the sums (B, n_cells) of each row of weights (B, n) over the cells (n,).

    Weights may be any numbers, also the small integers of bootstrap draws.
    """
    n_rows = max(1, min(len(weights), _COUNTED_AT_ONCE // max(1, len(cells))))
    # Each row of weights has cells of its own, so that one call counts a block.
    places = n_cells * np.arange(n_rows)[:, np.newaxis] + cells
    counts = [
        np.bincount(places[: len(block)].ravel(), block.ravel(), len(block) * n_cells)
        for block in (weights[b : b + n_rows] for b in range(0, len(weights), n_rows))
    ]
    return np.concatenate(counts, dtype=float).reshape(-1, n_cells)


class Tally(NamedTuple):
    """Weighted rows of each class (..., k): predicted rightly, true and predicted."""

    hits: FloatArray
    truth: FloatArray
    predicted: FloatArray


def tally(confusion: FloatArray) -> Tally:
    """Return the rows of each class in confusions (..., k, k)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return Tally(hits, confusion.sum(axis=-1), confusion.sum(axis=-2))


def tally_of(confusion: FloatArray, pos: int) -> Tally:
    """Return the rows (...) of the class `pos` in confusions (..., k, k)."""
    truth, predicted = confusion[..., pos, :], confusion[..., pos]
    return Tally(confusion[..., pos, pos], truth.sum(axis=-1), predicted.sum(axis=-1))


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, 0 where the denominator is not positive."""
    quotient = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def divide_or_nan(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, NaN where the denominator is not positive."""
    return np.where(denominator > 0, divide(numerator, denominator), np.nan)


def mean_of_defined(values: FloatArray) -> FloatArray:
    """Return the means (...) of values (m, ...) without NaN; NaN where all are NaN."""
    is_defined = ~np.isnan(values)
    total = np.where(is_defined, values, 0).sum(axis=0)
    return divide_or_nan(total, np.count_nonzero(is_defined, axis=0))


def precision(confusion: FloatArray, pos: int) -> FloatArray:
    """Return the share of the rows predicted as `pos` that are of that class."""
    of_pos = tally_of(confusion, pos)
    return divide(of_pos.hits, of_pos.predicted)


def recall(confusion: FloatArray, pos: int) -> FloatArray:
    """Return the share of the rows of class `pos` that are predicted as such."""
    of_pos = tally_of(confusion, pos)
    return divide(of_pos.hits, of_pos.truth)


def _f_scores(count: Tally, beta: float) -> FloatArray:
    return divide((1 + beta**2) * count.hits, beta**2 * count.truth + count.predicted)


def f_beta(confusion: FloatArray, pos: int | None, beta: float) -> FloatArray:
    """Return F-beta of the class `pos`, or its mean over more than two classes."""
    if pos is None:
        return f_macro(confusion, pos, beta)
    return _f_scores(tally_of(confusion, pos), beta)


def f_macro(confusion: FloatArray, _pos: int | None, beta: float = 1.0) -> FloatArray:
    """Return the mean F-beta of the classes that are true or predicted somewhere."""
    count = tally(confusion)
    n_classes = np.count_nonzero(count.truth + count.predicted > 0, axis=-1)
    return divide(_f_scores(count, beta).sum(axis=-1), n_classes)


def f_weighted(confusion: FloatArray, _pos: int | None) -> FloatArray:
    """Return F1 of the classes, weighted by their true rows."""
    count = tally(confusion)
    weighted = (_f_scores(count, 1.0) * count.truth).sum(axis=-1)
    return divide(weighted, count.truth.sum(axis=-1))


def mcc(confusion: FloatArray, _pos: int | None) -> FloatArray:
    """Return R_K of Gorodkin 2004, which is Matthews' correlation for two classes.

    References
    ----------
    Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.
    """
    hits, truth, predicted = tally(confusion)
    total = truth.sum(axis=-1)
    covariance = hits.sum(axis=-1) * total - (truth * predicted).sum(axis=-1)
    variances = np.ones(total.shape)
    for rows in (truth, predicted):
        # Pairs of rows in different classes: exactly 0 where one class holds all.
        other_rows = rows.sum(axis=-1, keepdims=True) - rows
        variances = variances * np.maximum((rows * other_rows).sum(axis=-1), 0)
    return divide(covariance, np.sqrt(variances))


def gmean(confusion: FloatArray, _pos: int | None) -> FloatArray:
    """Return the geometric mean of the recalls of the classes that occur.

    NOTE[DIFF] imbalanced-learn also counts a class that is only predicted, as recall 0:
    a validation fold without one class would then score 0 whatever the model.
    `scipy.stats.gmean` is not faster, and NaN for a recall of 0 with weight 0.
    """
    hits, truth, _ = tally(confusion)
    occurs = truth > 0
    product = np.where(occurs, divide(hits, truth), 1.0).prod(axis=-1)
    n_occurring = np.maximum(np.count_nonzero(occurs, axis=-1), 1)
    return np.where(occurs.any(axis=-1), product ** (1 / n_occurring), 0.0)


def balanced_accuracy(confusion: FloatArray, _pos: int | None) -> FloatArray:
    """Return the mean recall of the classes that occur."""
    hits, truth, _ = tally(confusion)
    n_occurring = np.count_nonzero(truth > 0, axis=-1)
    return divide(divide(hits, truth).sum(axis=-1), n_occurring)


def accuracy(confusion: FloatArray, _pos: int | None) -> FloatArray:
    """Return the share of rows that are right."""
    hits, truth, _ = tally(confusion)
    return divide(hits.sum(axis=-1), truth.sum(axis=-1))
