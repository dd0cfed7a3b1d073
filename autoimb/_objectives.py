"""What a decision threshold may aim at: utilities of confusion matrices.

One search serves them all, since every distinct cut has a confusion matrix. Array
shapes are those of `_confusion`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv

from ._confusion import (
    FloatArray,
    divide,
    precision,
    recall,
    tally_of,
)
from .exceptions import BadInputError


@runtime_checkable
class Objective(Protocol):
    """What a threshold is tuned for; every label metric is one."""

    @property
    def label(self) -> str:
        """The objective in prose."""

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Judge confusions (..., k, k): (...), larger is better, -inf forbidden."""


class BinaryObjective:
    """An objective that speaks of alerts, so there must be two classes."""


class Constraint(BinaryObjective):
    """Maximise one share of rows while another is surely high enough."""

    confidence: float
    bounded: ClassVar[str]
    gained: ClassVar[str]
    n_looks: ClassVar[int]
    """How many independent cuts the best of all cuts is worth."""

    def __post_init__(self) -> None:
        _check_open_share(self.bounded, self.required)
        if not 0.5 <= self.confidence < 1:
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
        certainty = f"{self.confidence:.0%} confidence"
        return f"{self.gained} with {self.bounded} ≥ {self.required:g} ({certainty})"

    @property
    def doubt(self) -> float:
        """How much doubt a single cut may leave, so that all leave what was asked."""
        return (1 - self.confidence) / self.n_looks

    def bound(self, confusion: FloatArray, pos: int) -> FloatArray:
        """One-sided Clopper-Pearson lower bound (...) of the bounded share."""
        hits, misses = self._evidence(confusion, pos)
        bound = betaincinv(np.where(hits > 0, hits, 1.0), misses + 1, self.doubt)
        return np.where(hits > 0, bound, 0.0)

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Return the gained share (...), -inf where the other is not surely reached."""
        pos = cast("int", pos)
        hits, misses = self._evidence(confusion, pos)
        # The bound lies below the observed share, so few cuts need the slow function:
        # bound >= required is P(share <= required | rows) <= doubt.
        plausible = (hits > 0) & (hits >= self.required * (hits + misses))
        doubt = np.ones(hits.shape)
        betainc(hits, misses + 1, self.required, out=doubt, where=plausible)
        is_sure = doubt <= self.doubt
        return np.where(is_sure, _SHARES[self.gained](confusion, pos), -np.inf)

    def _evidence(
        self, confusion: FloatArray, pos: int
    ) -> tuple[FloatArray, FloatArray]:
        """Rows (...) that count for and against the bounded share."""
        of_pos = tally_of(confusion, pos)
        trials = of_pos.predicted if self.bounded == "precision" else of_pos.truth
        return of_pos.hits, np.maximum(trials - of_pos.hits, 0)

    def before(self, odds: float | None) -> "Constraint":
        """Return the same demand on rows among which the odds were so much lower.

        Alerts of one cut are right with odds that grow with those of the class, so a
        precision is demanded before a shift by another one: no row is counted twice.
        Recall is a share of one class, which no shift moves.
        """
        if odds is None or self.bounded == "recall":
            return self
        share = np.clip(_at_odds(self.required, 1 / odds), *_INSIDE)
        changed = replace(cast("Any", self), **{self.bounded: float(share)})
        return cast("Constraint", changed)

    def after(self, share: float, odds: float | None) -> float:
        """Return what a bounded share is among rows with odds so much higher."""
        if odds is None or self.bounded == "recall":
            return share
        return _at_odds(share, odds)


def _at_odds(share: float, factor: float) -> float:
    """Return the share whose odds are those of another one times a factor."""
    return share * factor / (share * factor + 1 - share)


_INSIDE = np.finfo(float).tiny, 1 - np.finfo(float).epsneg
"""The smallest and largest share strictly between 0 and 1."""


_SHARES: dict[str, Callable[[FloatArray, int], FloatArray]] = {
    "precision": precision,
    "recall": recall,
}


@dataclass(frozen=True)
class PrecisionAtLeast(Constraint):
    """Maximise recall while precision is surely at least this high.

    Parameters
    ----------
    precision : float
        Required precision, between 0 and 1.
    confidence : float, default=0.9
        How sure it must be that the precision on new rows is reached, in [0.5, 1).

    Notes
    -----
    The one-sided Clopper-Pearson lower bound of precision must reach it, at half of the
    doubt: the best of many cuts, alike as they are, is as lucky as the best of about
    two independent ones. In simulations the precision was then reached at least as
    often as stated, for rankings good and bad. Only labels are evidence, so few
    positives allow few promises.

    Examples
    --------
    >>> from autoimb import PrecisionAtLeast
    >>> PrecisionAtLeast(0.8).label
    'recall with precision ≥ 0.8 (90% confidence)'
    """

    precision: float
    confidence: float = 0.9
    bounded: ClassVar[str] = "precision"
    gained: ClassVar[str] = "recall"
    n_looks: ClassVar[int] = 2  # benchmarks/constraints.py


@dataclass(frozen=True)
class RecallAtLeast(Constraint):
    """Maximise precision while recall is surely at least this high.

    Parameters
    ----------
    recall : float
        Required recall, between 0 and 1.
    confidence : float, default=0.9
        How sure it must be that the recall on new rows is reached, in [0.5, 1).

    Notes
    -----
    The one-sided Clopper-Pearson lower bound of recall must reach it. As recall only
    falls while the cut rises, the bound holds at all accepted cuts at once [1]_.

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
    bounded: ClassVar[str] = "recall"
    gained: ClassVar[str] = "precision"
    n_looks: ClassVar[int] = 1


class _Capacity(BinaryObjective, ABC):
    """Find the most positives with a limited number of alerts."""

    @abstractmethod
    def _limit(self, n_rows: FloatArray) -> FloatArray | float:
        """Alerts allowed (...) among so many rows."""

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Count alerts (...), as more never find less; -inf beyond the limit."""
        alerts = confusion[..., cast("int", pos)].sum(axis=-1)
        limit = self._limit(confusion.sum(axis=(-2, -1)))
        # Weights such as 1/3 do not add up to whole numbers exactly.
        return np.where(alerts <= limit * (1 + 1e-9), alerts, -np.inf)


@dataclass(frozen=True)
class TopK(_Capacity):
    """Alert at most the k rows with the highest scores.

    Parameters
    ----------
    k : int
        Most alerts among the rows on which the threshold is tuned.

    Examples
    --------
    >>> from autoimb import TopK
    >>> TopK(500).label
    'at most 500 alerts'
    """

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadInputError(f"k must be at least 1, got {self.k!r}.")

    @property
    def label(self) -> str:
        """The objective in prose."""
        return f"at most {self.k:g} alerts"

    def _limit(self, n_rows: FloatArray) -> FloatArray | float:
        return self.k


@dataclass(frozen=True)
class TopShare(_Capacity):
    """Alert at most this share of the rows, those with the highest scores.

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

    def _limit(self, n_rows: FloatArray) -> FloatArray | float:
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
        if self.matrix is None:
            self._check_pair()
        elif self.fp is None and self.fn is None:
            object.__setattr__(self, "matrix", _checked_costs(self.matrix))
        else:
            raise BadInputError("Cost takes either a matrix or fp and fn, not both.")

    def __repr__(self) -> str:
        if self.matrix is None:
            return f"Cost(fp={self.fp!r}, fn={self.fn!r})"
        return f"Cost({self.matrix!r})"

    def _check_pair(self) -> None:
        fp, fn = self.fp, self.fn
        if fp is None or fn is None or not (0 < fp < np.inf and 0 < fn < np.inf):
            raise BadInputError(f"Cost needs a positive fp and fn, got {fp=}, {fn=}.")

    @property
    def label(self) -> str:
        """The objective in prose."""
        if self.matrix is None:
            return f"lowest cost (false alert {self.fp:g}, miss {self.fn:g})"
        return "lowest cost"

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Return minus the mean cost (...) of a row."""
        total = (confusion * self._costs(pos)).sum(axis=(-2, -1))
        return -divide(total, confusion.sum(axis=(-2, -1)))

    def _costs(self, pos: int | None) -> FloatArray:
        if self.matrix is not None:
            return np.array(self.matrix)
        costs = np.zeros((2, 2))
        pos = cast("int", pos)
        costs[1 - pos, pos], costs[pos, 1 - pos] = self.fp, self.fn
        return costs


@dataclass(frozen=True)
class RowCosts:
    """Minimise the mean of costs that each row brings along, see `_mass.gains`."""

    label: ClassVar[str] = "lowest cost of the given rows"

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Share (...) of what could be saved that is saved."""
        saved = np.trace(confusion, axis1=-2, axis2=-1)
        return divide(saved, confusion.sum(axis=(-2, -1)))


def _checked_costs(matrix: ArrayLike) -> tuple[tuple[float, ...], ...]:
    costs = np.asarray(matrix, dtype=float)
    is_square = costs.ndim == 2 and costs.shape[0] == costs.shape[1] >= 2
    if not (is_square and np.isfinite(costs).all()):
        raise BadInputError(
            f"The cost matrix must be square and finite, one row and column per class; "
            f"got {matrix!r}."
        )
    return tuple(map(tuple, costs.tolist()))


def _check_open_share(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise BadInputError(f"{name} must lie between 0 and 1, got {share!r}.")
