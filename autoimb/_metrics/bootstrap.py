"""The bootstrap: draws of rows, and the standard errors and intervals that they give.

A draw says how often each row counts; whatever is computed with weights can be computed
on a draw. The rows that a draw left out serve as new data for what was chosen on it.
There is one kind of draw, for scores and their differences, thresholds, the bands of
curves, the honest estimate and the choice of a calibration:

- What is drawn is a unit: a row with all its entries in repeated cross-validation, or a
  group of rows where the user gave groups. Its entries count equally often.
- Units are drawn class by class, so that every draw has as many of each class. A group
  with rows of several classes belongs to the rarest of them.
- Row weights do not change the draws: they enter the statistic, together with the
  counts of a draw.

References
----------
Davison & Hinkley 1997, "Bootstrap Methods and their Application", sections 3.2
(stratified draws) and 3.8 (draws of clusters).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoimb._metrics.confusion import FloatArray, IntArray

MAX_DRAWS = 100
MAX_CELLS = 5_000_000
"""Rows times draws: bounds time and memory on large tables."""

# --- draws


def most_draws(n_rows: int) -> int:
    """Return how many bootstrap draws of so many rows there are at most."""
    return int(np.clip(MAX_CELLS // n_rows, 20, MAX_DRAWS))


@dataclass(frozen=True, eq=False)
class Draws:
    """Bootstrap draws; each iteration yields the same ones again."""

    place: IntArray
    """Where (n,) the unit of each entry stands, when units are sorted by class."""
    sizes: tuple[int, ...]
    """Units of each class, in that order."""
    n_draws: int
    seed: int

    @classmethod
    def of(cls, y: IntArray, units: IntArray, n_draws: int, seed: int) -> "Draws":
        """Return draws of entries with labels `y` (n,), whose units are numbered.

        The draws depend on the numbers of the units, not on the order of the entries.
        """
        occurs = np.bincount(units) > 0
        unit = (np.cumsum(occurs) - 1)[units]
        holds = np.zeros((np.count_nonzero(occurs), int(y.max()) + 1), dtype=bool)
        holds[unit, y] = True
        # By units, so that copies of a row do not make its class less rare.
        by_rarity = np.argsort(holds.sum(axis=0), kind="stable")
        class_of_unit = holds[:, by_rarity].argmax(axis=1)
        place = np.empty(len(holds), dtype=np.intp)
        place[np.argsort(class_of_unit, kind="stable")] = np.arange(len(holds))
        sizes = np.bincount(class_of_unit).tolist()
        return cls(place[unit], tuple(n for n in sizes if n), n_draws, seed)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield how often each entry (n,) is drawn, one array a draw."""
        rng = np.random.default_rng(self.seed)
        for _ in range(self.n_draws):
            counts = [
                np.bincount(rng.integers(n, size=n, dtype=np.int32), minlength=n)
                for n in self.sizes
            ]
            # Small numbers stay in the cache while they are looked up in any order.
            yield np.concatenate(counts, dtype=np.uint8, casting="unsafe")[self.place]

    def standard_error_of_mean(self, values: FloatArray, weight: FloatArray) -> float:
        """Return the standard error of the weighted mean of values (n,).

        It is what infinitely many draws would give, to the first order: means need no
        draws. An entry counts with its unit, so that copies of a row, or its entries in
        further repeats, make no mean more certain.
        """
        deviations = weight * (values - np.average(values, weights=weight))
        of_unit = np.bincount(self.place, deviations, minlength=sum(self.sizes))
        of_class = np.split(of_unit, np.cumsum(self.sizes)[:-1])
        variance = sum(len(part) * float(np.var(part)) for part in of_class)
        return float(np.sqrt(variance) / weight.sum())


# --- what draws say


def standard_error(values: FloatArray) -> float:
    """Return the standard deviation of the draws' values (B,), NaN left out."""
    defined = values[np.isfinite(values)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")


def interval(values: FloatArray, share: float) -> FloatArray:
    """Return the ends (2, ...) of the middle share of the draws' values (B, ...)."""
    ends = [50 - 50 * share, 50 + 50 * share]
    return np.asarray(np.percentile(values, ends, axis=0))


_OTHER_TRAINING = 1.5
"""Factor on a standard error over rows, for other training tables as well. That of
Nadeau & Bengio 2003 (doi:10.1023/A:1024068626366) for K folds is the square root of
1 + K / (K - 1): 1.5 for 5 folds, 1.46 for 8."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A score less another one on the same folds, with its standard error."""

    value: float
    standard_error: float
    n_folds: int = 0

    @property
    def is_significant(self) -> bool:
        """Whether all of the interval lies on one side of 0."""
        low, high = self.interval
        return low > 0 or high < 0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference that other tables would give.

        Two standard errors to either side, which are those of other rows, widened for
        other training tables.
        """
        margin = 2 * _OTHER_TRAINING * self.standard_error
        return self.value - margin, self.value + margin

    def __str__(self) -> str:
        return f"{self.value:+.3f} ± {self.standard_error:.3f}"


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A candidate's score, and the same on bootstrap draws of the rows."""

    mean: float
    drawn: FloatArray
    """The score (B,) on the rows of each draw."""
    folds: tuple[int, ...]
    """Numbers of the folds that it is the mean over, ascending."""

    @property
    def standard_error(self) -> float:
        """The standard error of `mean`."""
        return standard_error(self.drawn)

    def __sub__(self, other: "Score") -> Difference:
        """Return the difference to another candidate's score on the same folds.

        Raises
        ------
        ValueError
            If the scores are over different folds: one may have had the easier ones.
        """
        if self.folds != other.folds:
            raise ValueError(
                f"scores over the folds {self.folds} and {other.folds} do not compare"
            )
        paired = standard_error(self.drawn - other.drawn)
        return Difference(self.mean - other.mean, paired, len(self.folds))
