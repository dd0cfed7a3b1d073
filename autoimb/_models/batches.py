"""Which rows a mini-batch holds: as they come, or all classes in equal numbers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCHES", "BalancedBatches", "Batches", "PlainBatches", "Rows"]

_HAIR = 1e-6

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Training or held-out rows."""

    X: Floats
    """Features, shape (n, n_features)."""
    codes: Ints
    """Class codes, shape (n,)."""
    weight: Floats
    """Row weights, shape (n,)."""

    def take(self, idx: NDArray[Any]) -> "Rows":
        """Return the rows at `idx`."""
        return Rows(self.X[idx], self.codes[idx], self.weight[idx])

    def weighted(self) -> "Rows":
        """Return the rows whose weight is not zero."""
        return self if self.weight.all() else self.take(np.flatnonzero(self.weight))

    def count(self, n_classes: int) -> Ints:
        """Return the number of rows of each class, shape (n_classes,)."""
        return np.bincount(self.codes, minlength=n_classes)

    def shares(self, n_classes: int) -> Doubles:
        """Return each class's share of the weight, shape (n_classes,)."""
        mass = np.bincount(self.codes, self.weight, n_classes)
        shares: Doubles = mass / mass.sum()
        return shares


@dataclass(frozen=True, slots=True)
class Batches(ABC):
    """A scheme by which an epoch draws as many rows as there are."""

    rows: Rows

    @abstractmethod
    def prior(self, shares: Doubles) -> Doubles:
        """Return the class shares of what is drawn, of rows with these `shares`."""

    @abstractmethod
    def weight(self) -> Floats:
        """Return what multiplies a drawn row's loss, shape (n,); one on average."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Ints:
        """Return the numbers of the rows of one epoch, in the order of its batches."""


@dataclass(frozen=True, slots=True)
class PlainBatches(Batches):
    """Each row once an epoch, in random order; its weight multiplies its loss."""

    def prior(self, shares: Doubles) -> Doubles:
        """Return `shares`: the batches are like the data."""
        return shares

    def weight(self) -> Floats:
        """Return the weights of the rows, scaled to a mean of one."""
        # The step size then means the same whatever the weights, and no batch is
        # scaled by the luck of which rows it drew.
        weight = self.rows.weight.astype(np.float64)
        scaled: Floats = (weight / weight.mean()).astype(np.float32)
        return scaled

    def draw(self, rng: np.random.Generator) -> Ints:
        """Return a random order of all rows."""
        return rng.permutation(len(self.rows.codes))


@dataclass(frozen=True, slots=True)
class BalancedBatches(Batches):
    """All classes in equal numbers; within a class, rows in proportion to weight.

    An epoch has as many rows as there are, so that it costs and counts as much as a
    plain one: rare rows come several times, of the others each epoch brings a part.
    Consecutive rows go through the classes in turn, so that the numbers of two classes
    in a batch never differ by more than one.
    """

    def prior(self, shares: Doubles) -> Doubles:
        """Return equal shares for the classes that have rows.

        Equal but for a hair, by which a loss can tell which class is the rarer one.
        """
        nearly_one = (shares > 0) * (1 + _HAIR * shares)
        equal: Doubles = nearly_one / nearly_one.sum()
        return equal

    def weight(self) -> Floats:
        """Return ones: weights decide how often a row is drawn."""
        return np.ones_like(self.rows.weight)

    def draw(self, rng: np.random.Generator) -> Ints:
        """Return rows of all classes in turn."""
        n_rows, weight = len(self.rows.codes), self.rows.weight
        classes = rng.permutation(np.unique(self.rows.codes))
        n_each = math.ceil(n_rows / len(classes))
        members = [np.flatnonzero(self.rows.codes == code) for code in classes]
        drawn = [idx[_draw_in_proportion(weight[idx], n_each, rng)] for idx in members]
        return np.column_stack(drawn).ravel()[:n_rows]


def _draw_in_proportion(weight: Floats, n_draws: int, rng: np.random.Generator) -> Ints:
    """Return positions, each about n_draws times its share of the weight.

    The number of times is that product rounded up or down (systematic sampling), so
    equal weights give every row before any row comes once more.
    """
    order = rng.permutation(len(weight))
    upper = np.cumsum(weight[order], dtype=np.float64)
    points = (np.arange(n_draws) + rng.random()) * (upper[-1] / n_draws)
    at = np.searchsorted(upper[:-1], points, side="right")
    return rng.permutation(order[at])


BATCHES: Mapping[str, type[Batches]] = {
    "balanced": BalancedBatches,
    "plain": PlainBatches,
}
