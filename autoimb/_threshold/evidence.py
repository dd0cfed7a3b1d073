"""What each row contributes to the choice of a threshold.

A row contributes its shares of the classes (n, k) and its weight (n,). Labels,
probabilities that stand in for labels, costs of rows and a prior shift all become such
a pair, so that one search serves them all.
"""

from typing import NamedTuple, cast

import numpy as np

from autoimb._metrics.confusion import FloatArray, IntArray, divide
from autoimb._threshold.objectives import Constraint, RowCosts, ThresholdObjective
from autoimb._threshold.prior_shift import PriorShift

_ROWS_FOR_SOFT, _ROWS_FOR_HARD = 50, 100
"""Of the rarest class: up to the first, probabilities stand in for labels; from the
second, labels count alone. In simulations the plug-in rule won below, the empirical
maximum above."""


class Evidence(NamedTuple):
    """What each row contributes."""

    class_shares: FloatArray
    """Shares (n, k) of the classes in each row, which sum to one."""
    weight: FloatArray
    """Weight (n,) of each row."""

    @classmethod
    def of_products(cls, products: FloatArray) -> "Evidence":
        """Return the pair whose `products` (n, k) these are."""
        weight = products.sum(axis=1)
        return cls(divide(products, weight[:, np.newaxis]), weight)


def evidence_for(
    objective: ThresholdObjective,
    y: IntArray,
    soft: FloatArray,
    weight: FloatArray,
    *,
    shift: PriorShift | None,
    costs: FloatArray | None,
) -> Evidence:
    """Return the evidence of rows for an objective, after a prior shift if any.

    A constraint counts labels, as many as were found: neither a probability nor another
    weight makes it more certain. Costs of rows (n, k) need no labels. For all other
    objectives, rows count by their soft labels (n, k), as many in all after a shift as
    before it.
    """
    if isinstance(objective, Constraint):
        return Evidence(np.eye(soft.shape[1])[y], weight)
    if isinstance(objective, RowCosts):
        savings = evidence_of_costs(cast("FloatArray", costs), weight)
        if shift is None:
            return savings
        return savings._replace(weight=savings.weight * shift.ratios[y])
    if shift is None:
        return Evidence(soft, weight)
    products = weight[:, np.newaxis] * soft * shift.ratios
    return Evidence.of_products(products * (weight.sum() / products.sum()))


def soft_labels(
    y: IntArray, proba_crossfitted: FloatArray, n_rarest: int
) -> FloatArray:
    """Return each row's class shares (n, k): λ of the label, 1 - λ of the probability.

    λ grows from 0 at 50 rows of the rarest class to 1 at 100. It is one number for all
    classes: with one each, the classes' totals would no longer add up to their rows.
    """
    label_share = float(np.interp(n_rarest, [_ROWS_FOR_SOFT, _ROWS_FOR_HARD], [0, 1]))
    one_hot = np.eye(proba_crossfitted.shape[1])[y]
    return label_share * one_hot + (1 - label_share) * proba_crossfitted


def effective_weights(weight: FloatArray, row_ids: IntArray) -> FloatArray:
    """Return weights (n,) that sum to the effective number of rows.

    Equal weights sum to the number of rows whatever their scale, uneven ones to less:
    the effective sample size of Kish (Survey Sampling, 1965, section 11.7). Entries of
    a row, which have the same number in `row_ids`, count as one row together.
    """
    of_row = np.bincount(np.unique(row_ids, return_inverse=True)[1], weight)
    n_effective = of_row.sum() ** 2 / np.square(of_row).sum()
    return np.asarray(weight * (n_effective / weight.sum()))


def evidence_of_costs(costs: FloatArray, weight: FloatArray) -> Evidence:
    """Return costs of rows (n, k) as evidence.

    A class counts as much as predicting it saves, compared with the dearest class:
    then labels of least cost are labels of highest accuracy. With two classes, a row
    counts as one of the cheaper class, weighted by the difference.

    References
    ----------
    Zadrozny, Langford & Abe 2003, doi:10.1109/ICDM.2003.1250950.
    """
    savings = costs.max(axis=1, keepdims=True) - costs
    return Evidence.of_products(weight[:, np.newaxis] * savings)
