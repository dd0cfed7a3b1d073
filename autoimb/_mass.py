"""What rows say when a threshold is tuned: how much each one speaks for each class.

Evidence is `soft` (n, k), a row's shares of the classes, and `weight` (n,). Labels,
probabilities that stand in for them, costs of rows and a label shift all end as such a
pair, so that one search serves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from ._confusion import divide
from ._objectives import Constraint, RowCosts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._confusion import FloatArray, IntArray
    from ._objectives import Objective
    from ._shift import PriorShift

_ROWS_FOR_SOFT, _ROWS_FOR_HARD = 50, 100
"""Of the rarest class: up to the first, probabilities stand in for labels; from the
second, labels count alone. In simulations the plug-in rule won below, the empirical
maximum above."""


class Mass(NamedTuple):
    """What rows weigh, and their shares of the classes."""

    soft: FloatArray  # (n, k), rows sum to one
    weight: FloatArray  # (n,)

    @classmethod
    def of(cls, mass: FloatArray) -> Mass:
        """Return the pair whose product is `mass` (n, k)."""
        weight = mass.sum(axis=1)
        return cls(divide(mass, weight[:, np.newaxis]), weight)

    def told(
        self,
        objective: Objective,
        y: IntArray,
        shift: PriorShift | None,
        costs: FloatArray | None,
    ) -> Mass:
        """Return what rows of labels `y` (n,) tell an objective, after a shift if any.

        Constraints count labels, as many as were found: neither a probability nor
        another weight of a row is evidence for "surely".
        """
        if isinstance(objective, Constraint):
            return Mass(np.eye(self.soft.shape[1])[y], self.weight)
        if isinstance(objective, RowCosts):
            saved = gains(cast("FloatArray", costs), self.weight)
            return saved if shift is None else saved.of_rows_after(shift, y)
        return self if shift is None else self.after(shift)

    def after(self, shift: PriorShift) -> Mass:
        """Return rows that stand for as many after the shift, class by class."""
        mass = self.weight[:, np.newaxis] * self.soft * shift.ratios
        return Mass.of(mass * (self.weight.sum() / mass.sum()))

    def of_rows_after(self, shift: PriorShift, y: IntArray) -> Mass:
        """Return the same rows, each as frequent as its label `y` (n,) becomes."""
        return self._replace(weight=shift.row_weights(y, self.weight))


def as_evidence(weight: FloatArray, row_ids: IntArray) -> FloatArray:
    """Return weights (n,) that add up to the rows that they are worth.

    Alike, they are worth all rows whatever their scale; unevenly, fewer: the effective
    sample size of Kish (Survey Sampling, 1965, section 11.7). Entries of a row, which
    share a number in `row_ids`, are worth one together.
    """
    of_row = np.bincount(np.unique(row_ids, return_inverse=True)[1], weight)
    n_effective = of_row.sum() ** 2 / np.square(of_row).sum()
    worth: FloatArray = weight * (n_effective / weight.sum())
    return worth


def soft_labels(
    y: IntArray, proba_crossfitted: FloatArray, n_rarest: int
) -> FloatArray:
    """Shares (n, k) of each row's classes: λ of the label, 1 - λ of the probability.

    λ grows from 0 at 50 rows of the rarest class to 1 at 100. It is one number for all
    classes: with one each, the classes' totals would no longer add up to their rows.
    """
    steps = [_ROWS_FOR_SOFT, _ROWS_FOR_HARD]
    trust = float(np.interp(n_rarest, steps, [0.0, 1.0]))
    one_hot = np.eye(proba_crossfitted.shape[1])[y]
    return trust * one_hot + (1 - trust) * proba_crossfitted


def gains(costs: FloatArray, weight: FloatArray) -> Mass:
    """Return costs of rows (n, k) as the mass that right answers of a class would find.

    A row speaks for each class by what this saves against the dearest one: labels of
    least cost are those of highest accuracy on such rows. With two classes that is a
    row of the cheaper class, weighted by the difference.

    References
    ----------
    Zadrozny, Langford & Abe 2003, doi:10.1109/ICDM.2003.1250950.
    """
    saved = costs.max(axis=1, keepdims=True) - costs
    return Mass.of(weight[:, np.newaxis] * saved)


@dataclass(frozen=True, eq=False)
class Rows:
    """The distinct rows behind entries."""

    label: IntArray
    """Label code (m,) of each distinct row."""
    of_entry: IntArray
    """The distinct row (n,) of each entry."""

    @classmethod
    def of(cls, y: IntArray, row_ids: IntArray) -> Rows:
        """Return the rows of entries; those of one row share a number."""
        _, first, of_entry = np.unique(row_ids, return_index=True, return_inverse=True)
        return cls(y[first], of_entry)

    def resampled(
        self, entries: IntArray, n_bootstrap: int, seed: int
    ) -> Iterator[IntArray]:
        """How often each of the entries is drawn, class by class, whole rows."""
        sizes = np.unique_counts(self.label).counts
        place = np.empty(len(self.label), dtype=np.intp)
        place[np.argsort(self.label, kind="stable")] = np.arange(len(self.label))
        place = place[self.of_entry[entries]]
        rng = np.random.default_rng(seed)
        for _ in range(n_bootstrap):
            counts = [
                np.bincount(rng.integers(n, size=n, dtype=np.int32), minlength=n)
                for n in sizes
            ]
            # Small numbers stay in the cache while they are looked up in any order.
            yield np.concatenate(counts, dtype=np.uint16, casting="unsafe")[place]
