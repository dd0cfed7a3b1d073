"""The score to expect of few rows: average precision without its bias, and more rows.

**Few positives.** The precision at the score of a positive counts that positive itself.
Of few positives each makes up much of what is counted, so that average precision is too
high in the mean. Here the precision at a positive's score is measured on other rows.
Given the score, k of the n - 1 other positives and f of the m negatives are at or above
it, independently of each other. If the precision among these rows is p, then k of k + f
has the mean p, whatever their number is, as long as there are any. In a ranked list
this is Haldane's estimate (r - 1) / (N - 1) for the N rows down to the r-th positive.
There is one positive fewer than in the table, so that k counts n / (n - 1) times.

Only a positive that no other row is above leaves 0 / 0. Its precision is taken at the
score that comes next, which is that of one row, unless several share it. Where the
precision changes little from one row to the next, this has the right mean, too.

**More rows.** Out-of-fold scores are of models that were trained on a part of the rows.
What these lack is estimated by a law with one constant for each metric: the logit of
the score grows with the n positives of the training rows as -b / sqrt(n). Errors that
fall as a power of n are what learning curves show in general (Hestness et al. 2017).

``benchmarks/few_positives.py`` measures both biases, and fits the constants.

References
----------
Haldane 1945, "On a method of estimating frequencies", Biometrika 33, 222-225.
Boyd, Eng & Page 2013, doi:10.1007/978-3-642-40994-3_29 (the bias of other estimates).
Hestness et al. 2017, "Deep Learning Scaling is Predictable, Empirically",
arXiv:1712.00409, section 2.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from autoimb._metrics.confusion import (
    BoolArray,
    FloatArray,
    IntArray,
    divide,
    divide_or_nan,
)

_ROUNDING = 1e-12  # of all weight: less than any row has
_LEARNING = {"average_precision": 2.6, "roc_auc": 2.2}
"""The constant b of each ranking metric, fitted to the populations for tuning."""


def expected_average_precision(
    is_positive: BoolArray, score: FloatArray, weight: FloatArray, units: IntArray
) -> float:
    """Return the average precision to expect on many rows from the same population.

    Parameters
    ----------
    is_positive : ndarray of shape (n,)
        Whether a row is of the class of interest.
    score : ndarray of shape (n,)
        Scores by models that were not trained on the rows.
    weight : ndarray of shape (n,)
        Weights of the rows.
    units : ndarray of shape (n,)
        Numbers from 0 on; rows with the same number are not independent of each other.
        All of them are left out of the precision at one of them.

    Returns
    -------
    float
        The mean over positives of the precision at their scores, as other rows have it.
        NaN unless there are positives in two units.

    Examples
    --------
    The first row's precision is that at the second, 0. Of the two other rows down to
    the third, one is a positive: that is two of three where there are as many positives
    as in the table.

    >>> import numpy as np
    >>> is_positive = np.array([True, False, True, False])
    >>> score, ones = np.array([0.9, 0.7, 0.4, 0.1]), np.ones(4)
    >>> round(expected_average_precision(is_positive, score, ones, np.arange(4)), 3)
    0.333
    """
    holds = weight > 0
    is_positive, score = is_positive[holds], score[holds]
    weight, units = weight[holds], units[holds]
    if len(np.unique(units[is_positive])) < 2:
        return float("nan")
    of_class = weight * np.array([is_positive, ~is_positive])  # (2, n)
    rank = np.unique(-score, return_inverse=True)[1]
    total = of_class.sum(axis=1)[:, np.newaxis]
    others = total - np.array([np.bincount(units, part)[units] for part in of_class])
    counted = divide(total, others)  # how many rows each of the others stands for
    above = _cumulated(rank, of_class)[:, rank] - _within_units(units, rank, of_class)
    above[above < _ROUNDING * total] = 0.0
    precision = _share(counted * above)
    alone = np.flatnonzero(is_positive & np.isnan(precision))
    if len(alone):  # rows of one unit, as all others have them above
        is_other = units != units[alone[0]]
        is_next = is_other & (rank == rank[is_other].min())
        following = of_class[:, is_next].sum(axis=1)
        precision[alone] = _share(counted[:, alone[0]] * following)
    return float(np.average(precision[is_positive], weights=weight[is_positive]))


def _share(counts: FloatArray) -> FloatArray:
    """Return the first of two counts (2, ...) as a share of both; 0/0 is NaN."""
    return divide_or_nan(counts[0], counts[0] + counts[1])


def _cumulated(place: IntArray, values: FloatArray) -> FloatArray:
    """Return the sums (2, m) of values (2, n) at places 0..m-1 up to each place."""
    return np.cumsum([np.bincount(place, part) for part in values], axis=1)


def _within_units(units: IntArray, rank: IntArray, values: FloatArray) -> FloatArray:
    """Return for each row the sums (2, n) over its unit's rows up to its rank."""
    n_ranks = int(rank.max()) + 1
    keys, place = np.unique(units * n_ranks + rank, return_inverse=True)
    sums = np.concatenate([np.zeros((2, 1)), _cumulated(place, values)], axis=1)
    start = np.searchsorted(keys, units * n_ranks)
    return np.asarray(sums[:, place + 1] - sums[:, start])


def trained_on_all(
    scores: FloatArray, n_units: IntArray, metric: str, trained_on: float
) -> FloatArray:
    """Return scores of models trained on part of the rows as of all rows.

    Parameters
    ----------
    scores : ndarray of shape (c,)
        The score of each class.
    n_units : ndarray of shape (c,)
        Independent units of each class in the whole table.
    metric : str
        Name of the ranking metric.
    trained_on : float
        Share of the rows that the models were trained on, above 0 and up to 1.

    Returns
    -------
    ndarray of shape (c,)
        Scores that are higher by b (1 / sqrt(trained_on) - 1) / sqrt(n_units) on the
        logit scale, so that 0 and 1 stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> scores, n_units = np.array([0.4, 0.4]), np.array([15, 1500])
    >>> trained_on_all(scores, n_units, "average_precision", 7 / 8).round(3)
    array([0.411, 0.401])
    """
    lost = _LEARNING[metric] * (1 / np.sqrt(trained_on) - 1) / np.sqrt(n_units.clip(1))
    return np.asarray(expit(logit(scores) + lost))
