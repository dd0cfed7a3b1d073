"""Objectives: what a threshold may maximise, as utilities of confusion matrices.

Every distinct cut has a confusion matrix, so one search serves all objectives. Array
shapes are those of `autoimb._metrics.confusion`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv

from autoimb._metrics.confusion import FloatArray, divide, precision, recall, tally_of
from autoimb.exceptions import BadInputError, is_number, is_whole

MOST_COST = 1e100
"""Only ratios of costs count, and sums of larger ones are infinite."""


@runtime_checkable
class ThresholdObjective(Protocol):
    """What a threshold is tuned to maximise; every label metric is one."""

    @property
    def label(self) -> str:
        """The objective in prose."""

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Return a number (...) for confusions (..., k, k): larger is better.

        -inf means that the cut is forbidden.
        """


class Constraint:
    """Maximise one share of rows while another is high enough with some confidence."""

    confidence: float
    bounded: ClassVar[Literal["precision", "recall"]]
    """Name of the share that must be high enough."""
    gained: ClassVar[str]
    """Name of the share that is maximised."""
    n_looks: ClassVar[int]
    """Divisor of the error level, for having picked the best of many cuts."""

    def __post_init__(self) -> None:
        _check_open_share(self.bounded, self.required)
        if not is_number(self.confidence) or not 0.5 <= self.confidence < 1:
            raise BadInputError(
                f"confidence must lie in [0.5, 1), got {self.confidence!r}."
            )

    @property
    def required(self) -> float:
        """The share that must be reached."""
        return cast("float", getattr(self, self.bounded))

    @property
    def label(self) -> str:
        """The objective in prose."""
        return (
            f"{self.gained} with {self.bounded} ≥ {self.required:g} "
            f"({self.confidence:.0%} confidence)"
        )

    @property
    def error_level(self) -> float:
        """Probability that a single cut's bound may be wrong."""
        return (1 - self.confidence) / self.n_looks

    def bound(self, confusion: FloatArray, pos: int) -> FloatArray:
        """Return the one-sided Clopper-Pearson bound (...) of the bounded share.

        Confusions count independent rows, see `autoimb._threshold.independent_rows`.
        """
        hits, misses = self._hits_and_misses(confusion, pos)
        bound = betaincinv(np.where(hits > 0, hits, 1.0), misses + 1, self.error_level)
        return np.where(hits > 0, bound, 0.0)

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Return the gained share (...), -inf where the bound of the other is low."""
        pos = cast("int", pos)
        hits, misses = self._hits_and_misses(confusion, pos)
        # The bound lies below the observed share, so few cuts need the slow function:
        # bound >= required is P(share <= required | rows) <= error level.
        plausible = (hits > 0) & (hits >= self.required * (hits + misses))
        p_lower = np.ones(hits.shape)
        betainc(hits, misses + 1, self.required, out=p_lower, where=plausible)
        gained = _SHARES[self.gained](confusion, pos)
        return np.where(p_lower <= self.error_level, gained, -np.inf)

    def _hits_and_misses(
        self, confusion: FloatArray, pos: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return the rows (...) that count for and against the bounded share."""
        of_pos = tally_of(confusion, pos)
        trials = of_pos.predicted if self.bounded == "precision" else of_pos.truth
        return of_pos.hits, np.maximum(trials - of_pos.hits, 0)

    def before_shift(self, odds_ratio: float) -> "Constraint":
        """Return the constraint on rows before a shift that is the same as this after.

        The odds that an alert of a cut is right grow with those of the class, by
        `odds_ratio`, so another precision is required before a shift: weights of rows
        would make it seem more certain. Recall is a share of one class: it stays.
        """
        if odds_ratio == 1 or self.bounded == "recall":
            return self
        share = np.clip(at_odds(self.required, 1 / odds_ratio), *_INSIDE)
        return replace(cast("Any", self), **{self.bounded: float(share)})  # type: ignore[no-any-return]


def at_odds(share: float, factor: float) -> float:
    """Return the share whose odds are `factor` times those of another one."""
    return share * factor / (share * factor + 1 - share)


_INSIDE = np.finfo(float).tiny, 1 - np.finfo(float).epsneg
"""The smallest and largest share strictly between 0 and 1."""


_SHARES: dict[str, Callable[[FloatArray, int], FloatArray]] = {
    "precision": precision,
    "recall": recall,
}


@dataclass(frozen=True)
class PrecisionAtLeast(Constraint):
    """Maximise recall while precision is at least this high, with some confidence.

    Parameters
    ----------
    precision : float
        Required precision, between 0 and 1.
    confidence : float, default=0.9
        Probability with which the precision on new rows must be reached, in [0.5, 1).

    Notes
    -----
    The one-sided Clopper-Pearson lower bound of precision must reach it, at half of the
    error level `1 - confidence`: picking the best of many similar cuts misleads about
    as much as picking the best of two independent ones. In simulations the precision
    was then reached at least as often as stated, for rankings good and bad. Only labels
    count, no probabilities, so with few positives few precisions can be guaranteed.
    Rows of a group count as fewer independent rows, the more they resemble each other.

    Examples
    --------
    >>> from autoimb import PrecisionAtLeast
    >>> PrecisionAtLeast(0.8).label
    'recall with precision ≥ 0.8 (90% confidence)'
    """

    precision: float
    confidence: float = 0.9
    bounded: ClassVar[Literal["precision", "recall"]] = "precision"
    gained: ClassVar[str] = "recall"
    n_looks: ClassVar[int] = 2  # benchmarks/constraints.py


@dataclass(frozen=True)
class RecallAtLeast(Constraint):
    """Maximise precision while recall is at least this high, with some confidence.

    Parameters
    ----------
    recall : float
        Required recall, between 0 and 1.
    confidence : float, default=0.9
        Probability with which the recall on new rows must be reached, in [0.5, 1).

    Notes
    -----
    The one-sided Clopper-Pearson lower bound of recall must reach it. As recall only
    falls while the cut rises, the bound holds at all accepted cuts at once [1]_. Rows
    of a group count as fewer independent rows, the more they resemble each other.

    References
    ----------
    .. [1] Bates et al. 2021, "Distribution-free, risk-controlling prediction sets",
       arXiv:2101.02703.

    Examples
    --------
    >>> from autoimb import RecallAtLeast
    >>> RecallAtLeast(0.8, confidence=0.95).label
    'precision with recall ≥ 0.8 (95% confidence)'
    """

    recall: float
    confidence: float = 0.9
    bounded: ClassVar[Literal["precision", "recall"]] = "recall"
    gained: ClassVar[str] = "precision"
    n_looks: ClassVar[int] = 1


class Capacity(ABC):
    """Alert at most so many rows, however much they weigh."""

    @abstractmethod
    def limit(self, n_rows: FloatArray) -> FloatArray | float:
        """Return the most alerts (...) among so many rows."""

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Return the number of alerts (...), -inf beyond the limit.

        More alerts never find fewer positives, so this is what a capacity maximises.
        """
        alerts = confusion[..., cast("int", pos)].sum(axis=-1)
        limit = self.limit(confusion.sum(axis=(-2, -1)))
        # Counts such as 1/3 do not add up to whole numbers exactly.
        return np.where(alerts <= limit * (1 + 1e-9), alerts, -np.inf)


@dataclass(frozen=True)
class TopK(Capacity):
    """Alert at most the k rows of the training table with the highest scores.

    The threshold that does so is then the same for all new rows: a batch of another
    size has other numbers of alerts. `AutoImbalance.top` picks the best k of a batch,
    and `TopShare` counts alerts in shares.

    Parameters
    ----------
    k : int
        Most alerts among the rows of the training table, by their out-of-fold scores.
        Each row counts once, whatever its `sample_weight`.

    Examples
    --------
    >>> from autoimb import TopK
    >>> TopK(500).label
    'at most 500 alerts among the training rows'
    """

    k: int

    def __post_init__(self) -> None:
        if not is_whole(self.k) or self.k < 1:
            raise BadInputError(f"k must be a whole number from 1 on, got {self.k!r}.")

    @property
    def label(self) -> str:
        """The objective in prose."""
        return f"at most {self.k:g} alerts among the training rows"

    def limit(self, n_rows: FloatArray) -> FloatArray | float:
        """Return the most alerts among so many rows."""
        return self.k


@dataclass(frozen=True)
class TopShare(Capacity):
    """Alert at most this share of the rows, those with the highest scores.

    Each row counts once, whatever its `sample_weight`.

    Parameters
    ----------
    share : float
        Largest share of alerts, between 0 and 1.

    Examples
    --------
    >>> from autoimb import TopShare
    >>> TopShare(0.01).label
    'alerts for at most 1% of the rows'
    """

    share: float

    def __post_init__(self) -> None:
        _check_open_share("share", self.share)

    @property
    def label(self) -> str:
        """The objective in prose."""
        return f"alerts for at most {100 * self.share:g}% of the rows"

    def limit(self, n_rows: FloatArray) -> FloatArray | float:
        """Return the most alerts among so many rows."""
        return self.share * n_rows


@dataclass(frozen=True, repr=False)
class Cost:
    """Minimise the mean cost of the predictions.

    Parameters
    ----------
    matrix : array-like of shape (n_classes, n_classes), default=None
        `matrix[i][j]` is the cost of predicting class j when class i is true, in the
        order of the classes. Right answers may cost something too, and gains are
        negative costs.
    fp, fn : float, default=None
        Two classes, instead of a matrix: the cost of a false alert and of a missed
        positive.

    References
    ----------
    Elkan 2001, "The foundations of cost-sensitive learning", IJCAI.

    Examples
    --------
    >>> from autoimb import Cost
    >>> Cost(fp=1, fn=50)
    Cost(fp=1, fn=50)
    >>> Cost([[0, 1], [50, 0]])
    Cost(((0.0, 1.0), (50.0, 0.0)))
    """

    matrix: ArrayLike | None = None
    fp: float | None = None
    fn: float | None = None

    def __post_init__(self) -> None:
        fp, fn = self.fp, self.fn
        if self.matrix is None:
            if not all(is_number(c) and 0 < c <= MOST_COST for c in (fp, fn)):
                raise BadInputError(
                    f"Cost needs a positive fp and fn, of {MOST_COST:.0e} at most; got "
                    f"{fp=}, {fn=}."
                )
        elif fp is None and fn is None:
            object.__setattr__(self, "matrix", _checked_costs(self.matrix))
        else:
            raise BadInputError("Cost takes either a matrix or fp and fn, not both.")

    def __repr__(self) -> str:
        if self.matrix is None:
            return f"Cost(fp={self.fp!r}, fn={self.fn!r})"
        return f"Cost({self.matrix!r})"

    @property
    def label(self) -> str:
        """The objective in prose."""
        if self.matrix is None:
            return f"lowest cost (false alert {self.fp:g}, miss {self.fn:g})"
        return "lowest cost"

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Return minus the mean cost (...) of a row."""
        if self.matrix is None:
            pos, costs = cast("int", pos), np.zeros((2, 2))
            costs[1 - pos, pos], costs[pos, 1 - pos] = self.fp, self.fn
        else:
            costs = np.array(self.matrix)
        total = (confusion * costs).sum(axis=(-2, -1))
        return -divide(total, confusion.sum(axis=(-2, -1)))


@dataclass(frozen=True)
class RowCosts:
    """Minimise the mean of the costs that each row has, see `evidence_of_costs`."""

    label: ClassVar[str] = "lowest cost of the given rows"

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Return the share (...) of the possible savings that is saved."""
        return divide(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def _checked_costs(matrix: ArrayLike) -> tuple[tuple[float, ...], ...]:
    """Return a cost matrix as tuples, or raise."""
    try:
        costs = np.asarray(matrix, dtype=float)
    except (TypeError, ValueError, OverflowError):
        costs = np.array(np.nan)
    is_square = costs.ndim == 2 and costs.shape[0] == costs.shape[1] >= 2
    if not (is_square and (abs(costs) <= MOST_COST).all()):
        raise BadInputError(
            "The cost matrix must be square, one row and column per class, and of "
            f"numbers up to {MOST_COST:.0e}; got {matrix!r}."
        )
    return tuple(map(tuple, costs.tolist()))


def _check_open_share(name: str, share: float) -> None:
    """Raise if a share is not strictly between 0 and 1."""
    if not is_number(share) or not 0 < share < 1:
        raise BadInputError(f"{name} must lie between 0 and 1, got {share!r}.")
