"""What each row contributes to the choice of a threshold.

A row contributes its shares of the classes (n, k) and its weight (n,). Labels,
probabilities that stand in for labels, costs of rows and a prior shift all become such
a pair, so that one search serves them all.

Two quantities are never confused: the multiplicity of an entry is how many rows it
stands for, and its weight is that times the importance that the user gave the row. A
capacity counts rows, whatever they weigh.
"""

from typing import NamedTuple, Protocol, cast

import numpy as np

from autoimb._metrics.confusion import FloatArray, IntArray, divide
from autoimb._threshold.objectives import (
    Capacity,
    Constraint,
    RowCosts,
    ThresholdObjective,
)
from autoimb._threshold.prior_shift import PriorShift

_ROWS_FOR_SOFT, _ROWS_FOR_HARD = 50, 100
"""Of the rarest class: up to the first, probabilities stand in for labels; from the
second, labels count alone. In simulations the plug-in rule won below, the empirical
maximum above."""


class Entries(Protocol):
    """The rows that a threshold is tuned on; a row has one entry for each repeat."""

    @property
    def y(self) -> IntArray:
        """Label codes (n,)."""

    @property
    def multiplicity(self) -> FloatArray:
        """How many rows (n,) each entry stands for."""

    @property
    def weight(self) -> FloatArray:
        """Importance of the row (n,) times the multiplicity."""

    @property
    def units(self) -> IntArray:
        """What bootstrap draws take together (n,): a row, or a group of rows."""


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
    entries: Entries,
    soft: FloatArray,
    *,
    shift: PriorShift | None,
    costs: FloatArray | None,
) -> Evidence:
    """Return the evidence of entries for an objective, after a prior shift if any.

    A constraint counts labels, as many as were found: neither a probability nor another
    weight makes it more certain. Costs of rows (n, k) need no labels. A capacity counts
    rows. For all other objectives, entries count by their soft labels (n, k), as many
    in all after a shift as before it.
    """
    y, weight = entries.y, entries.weight
    if isinstance(objective, Constraint):
        return Evidence(np.eye(soft.shape[1])[y], weight)
    if isinstance(objective, RowCosts):
        savings = evidence_of_costs(cast("FloatArray", costs), weight)
        if shift is None:
            return savings
        return savings._replace(weight=savings.weight * shift.ratios[y])
    if isinstance(objective, Capacity):
        weight = entries.multiplicity
    if shift is None:
        return Evidence(soft, weight)
    ratios = shift.ratios
    if isinstance(objective, Capacity):
        # Probabilities are of weighted rows, and rows are counted here.
        ratios, soft = shift.row_ratios, soft * (shift.ratios / shift.row_ratios)
        soft /= soft.sum(axis=1, keepdims=True)
    products = weight[:, np.newaxis] * soft * ratios
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
