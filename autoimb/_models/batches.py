"""Mini-batches: all rows in random order, or all classes in equal numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

_TIE_BREAK = 1e-6
"""Relative excess over an equal share of a class that has all rows."""

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Training or held-out rows with their classes and weights."""

    X: Floats
    """Features, shape (n, n_features)."""
    codes: Ints
    """Class codes, shape (n,)."""
    weight: Floats
    """Row weights, shape (n,)."""

    def take(self, idx: NDArray[Any]) -> "LabelledRows":
        """Return the rows at `idx`."""
        return LabelledRows(self.X[idx], self.codes[idx], self.weight[idx])


class Batches:
    """Draws each row once an epoch, in random order; its weight multiplies its loss."""

    def __init__(self, rows: LabelledRows, class_shares: Doubles) -> None:
        self.rows = rows
        self.prior = class_shares
        """Class shares of drawn rows, from the class shares of the data."""
        # With a mean of one, the step size means the same whatever the weights, and
        # it does not depend on which rows a batch happens to hold.
        weight = rows.weight.astype(np.float64)
        self.loss_weight: Floats = (weight / weight.mean()).astype(np.float32)
        """What multiplies the loss of a drawn row, shape (n,); one on average."""

    def draw(self, rng: np.random.Generator) -> Ints:
        """Return the row numbers of one epoch, in the order of its batches."""
        return rng.permutation(len(self.rows.codes))


class BalancedBatches(Batches):
    """Draws all classes in equal numbers; within a class, in proportion to weight.

    An epoch draws as many rows as there are, so that it costs and counts as much as an
    epoch of plain batches: rows of a rare class are drawn several times, and only some
    rows of a common class. Consecutive rows go through the classes in turn, so that the
    numbers of two classes in a batch never differ by more than one.
    """

    def __init__(self, rows: LabelledRows, class_shares: Doubles) -> None:
        self.rows = rows
        # Equal shares for the classes that have rows. They differ in the sixth digit,
        # so that a loss can tell which class is rarer.
        nearly_one = (class_shares > 0) * (1 + _TIE_BREAK * class_shares)
        self.prior = np.asarray(nearly_one / nearly_one.sum())
        # Ones, since the weight of a row decides how often it is drawn.
        self.loss_weight = np.ones_like(rows.weight)

    def draw(self, rng: np.random.Generator) -> Ints:
        """Return row numbers of all classes in turn."""
        n_rows, weight = len(self.rows.codes), self.rows.weight
        classes = rng.permutation(np.unique(self.rows.codes))
        n_each = math.ceil(n_rows / len(classes))
        members = [np.flatnonzero(self.rows.codes == code) for code in classes]
        drawn = [idx[_draw_in_proportion(weight[idx], n_each, rng)] for idx in members]
        return np.column_stack(drawn).ravel()[:n_rows]


def _draw_in_proportion(weight: Floats, n_draws: int, rng: np.random.Generator) -> Ints:
    """Return `n_draws` positions, each drawn in proportion to its weight.

    The number of times is its expected value rounded up or down (systematic sampling),
    so that with equal weights no row comes twice before all rows have come once.
    """
    order = rng.permutation(len(weight))
    upper = np.cumsum(weight[order], dtype=np.float64)
    points = (np.arange(n_draws) + rng.random()) * (upper[-1] / n_draws)
    at = np.searchsorted(upper[:-1], points, side="right")
    return rng.permutation(order[at])


BATCHES: Mapping[str, type[Batches]] = {"balanced": BalancedBatches, "plain": Batches}
