"""How many independent rows stand behind a share of rows, at every cut.

A constraint needs to know how certain a precision or recall is. Rows that belong
together, and rows with uneven weights, make it less certain than as many independent
ones would. The design effect says how much less: the variance of the share, with the
rows of a unit taken together, over that of independent rows. A bound for so many
independent rows as have the same variance then holds for the rows at hand.

Few units say little about that variance: the number is lowered by as much as the
quantile of Student's t exceeds the one for so many rows. There are never more
independent rows than rows, of which uneven weights leave fewer. Where all rows at a cut
are alike (a precision of 1), nothing shows how much the rows of a unit resemble each
other: each unit then counts as one row, and never as less.

References
----------
Korn & Graubard 1998, "Confidence intervals for proportions with small expected number
of positive counts estimated from survey data", Survey Methodology 24:193.
Kish 1965, "Survey Sampling", section 11.7: the effective number of weighted rows.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from autoimb._metrics.confusion import BoolArray, FloatArray, IntArray, divide

_DEGREES = np.geomspace(1e9, 1, 500)
"""Degrees of freedom between which quantiles are interpolated, by their inverse."""
_ROUNDING = 1e-12  # of a variance, relative to the sum of squares that it is a part of


class Sums(NamedTuple):
    """What each row (n,) adds to sums over trials or units, once it reaches a cut."""

    hits: FloatArray
    """Weight, if it is a hit."""
    trials: FloatArray
    """Weight, if it is a trial."""
    units: FloatArray
    """One if it is the first trial of its unit."""
    row_squares: FloatArray
    """Square of the weight of its row."""
    hit_squares: FloatArray
    """What it adds to the sum of H² over units."""
    products: FloatArray
    """What it adds to the sum of H N."""
    squares: FloatArray
    """What it adds to the sum of N²."""


@dataclass(frozen=True, eq=False)
class IndependentRows:
    """Numbers of independent rows, from sums over rows in the order of the score.

    For each unit, H is the weight of its hits that reach a cut, and N the weight of its
    trials. Lowering the cut past a row changes the sums over units of H², H N and N² by
    a number of that row's, which a bootstrap draw multiplies by how often it holds the
    unit.
    """

    sums: Sums
    has_all_trials: bool
    """Whether every cut has all trials (those of recall), or those that reach it."""
    quantiles: FloatArray
    """Quantiles of Student's t for `_DEGREES`, at the error level of the bound."""

    @classmethod
    def of(  # noqa: PLR0917  (five columns of the rows, and the level)
        cls,
        share: Literal["precision", "recall"],
        is_positive: BoolArray,
        weight: FloatArray,
        multiplicity: FloatArray,
        units: IntArray,
        error_level: float,
    ) -> "IndependentRows":
        """Return the sums for rows in the order of falling scores."""
        hits, is_recall = weight * is_positive, share == "recall"
        trials = hits if is_recall else weight
        is_trial = trials > 0
        h = _before_in_unit(hits, units)
        # Every positive is a trial of recall at every cut, so that N is that of all.
        n = (
            np.bincount(units, hits)[units]
            if is_recall
            else _before_in_unit(weight, units)
        )
        sums = Sums(
            hits=hits,
            trials=trials,
            units=(is_trial & (_before_in_unit(is_trial, units) == 0)).astype(float),
            row_squares=trials**2 / multiplicity,
            hit_squares=(2 * h + hits) * hits,
            products=hits * n if is_recall else h * weight + n * hits + weight * hits,
            squares=hits * n if is_recall else (2 * n + weight) * weight,
        )
        return cls(sums, is_recall, student.isf(error_level, _DEGREES))

    def at(self, last: IntArray, draw: NDArray[np.uint8] | None = None) -> FloatArray:
        """Return (g + 1,) independent rows for each unit of weight of the trials.

        `last` (g,) is the last row that reaches each cut but the first, which none
        reaches. On a draw, the rows count as often as it holds them.
        """
        counts = np.ones(len(self.sums.hits), np.uint8) if draw is None else draw
        at = Sums(*(np.append(0.0, np.cumsum(v * counts)[last]) for v in self.sums))
        if self.has_all_trials:
            at = at._replace(
                trials=np.full_like(at.trials, at.trials[-1]),
                units=np.full_like(at.units, at.units[-1]),
                row_squares=np.full_like(at.row_squares, at.row_squares[-1]),
                squares=np.full_like(at.squares, at.squares[-1]),
            )
        share = divide(at.hits, at.trials)
        spread = at.hit_squares - 2 * share * at.products + share**2 * at.squares
        spread = np.where(spread > _ROUNDING * at.squares, spread, 0.0)
        by_variance = divide(share * (1 - share) * at.trials**2, spread)
        by_variance *= self._trust(by_variance, at.units)
        as_units = divide(at.trials**2, at.squares)
        most = divide(at.trials**2, at.row_squares)
        n_rows = np.minimum(most, np.maximum(as_units, by_variance))
        return divide(n_rows, at.trials)

    def _trust(self, n_rows: FloatArray, n_units: FloatArray) -> FloatArray:
        """Return the factor (...) for numbers of rows that come from so many units."""
        of_rows, of_units = (
            np.interp(1 / np.maximum(n - 1, 1), 1 / _DEGREES, self.quantiles)
            for n in (n_rows, n_units)
        )
        return np.minimum((of_rows / of_units) ** 2, 1.0)


def _before_in_unit(values: FloatArray | BoolArray, units: IntArray) -> FloatArray:
    """Return the sum (n,) of the values of earlier rows of the same unit."""
    order = np.argsort(units, kind="stable")
    of_unit = units[order]
    sums = np.append(0.0, np.cumsum(values[order]))
    first = np.searchsorted(of_unit, of_unit)
    before = np.empty(len(values))
    before[order] = sums[:-1] - sums[first]
    return before
