"""Label shift: another share of each class than in the training table.

Where only the shares change, and rows of one class stay as they are, posteriors change
by known factors: p'_k is proportional to p_k * prior'_k / prior_k.

References
----------
Elkan 2001, "The foundations of cost-sensitive learning", IJCAI, theorem 2.
Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446, section 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .exceptions import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._confusion import FloatArray, IntArray

_SUM_TOLERANCE = 1e-6  # shares that were rounded for printing still sum to one


@dataclass(frozen=True)
class PriorShift:
    """From the class shares of the training table to those that are expected."""

    before: tuple[float, ...]
    after: tuple[float, ...]

    @classmethod
    def between(cls, before: FloatArray, after: FloatArray) -> PriorShift:
        """Return the shift between shares (k,), which need not be normalised."""
        old, new = (
            tuple((shares / shares.sum()).tolist()) for shares in (before, after)
        )
        return cls(old, new)

    @property
    def ratios(self) -> FloatArray:
        """How much more frequent (k,) each class becomes."""
        ratios: FloatArray = np.array(self.after) / np.array(self.before)
        return ratios

    def __call__(self, proba: FloatArray) -> FloatArray:
        """Posteriors (n, k) after the shift; two classes keep the order of rows."""
        joint = proba * self.ratios
        shifted: FloatArray = joint / joint.sum(axis=1, keepdims=True)
        return shifted

    def row_weights(self, y: IntArray, weight: FloatArray) -> FloatArray:
        """Weights (n,) that make labelled rows stand for rows after the shift."""
        reweighted: FloatArray = weight * self.ratios[y]
        return reweighted

    def odds(self, pos: int) -> float:
        """By what the odds of the class `pos` against the other one grow."""
        return float(self.ratios[pos] / self.ratios[1 - pos])


def shifted(proba: FloatArray, shift: PriorShift | None) -> FloatArray:
    """Return posteriors (n, k) after a shift, if there is any."""
    return proba if shift is None else shift(proba)


def resolve_prior(
    prior: object, classes: NDArray[Any], pos: int | None
) -> FloatArray | None:
    """Return the expected class shares (k,) that the user means; None undoes them."""
    if prior is None:
        return None
    if isinstance(prior, Real) and not isinstance(prior, bool | np.bool_):
        return _two_shares(float(prior), classes, pos)
    named = prior if isinstance(prior, Mapping) else None
    shares = _in_order(named, classes) if named is not None else _numbers(prior)
    if shares.shape != (len(classes),) or not (shares > 0).all():
        raise BadInputError(
            f"{prior=} must hold a share above 0 for each of the {len(classes)} "
            f"classes {classes[:20].tolist()}, in this order or as a dict of label to "
            "share."
        )
    if not abs(shares.sum() - 1) <= _SUM_TOLERANCE:
        raise BadInputError(
            f"the shares in {prior=} sum to {shares.sum():.6g}: divide them by their "
            "sum, they must sum to 1."
        )
    return shares


def _two_shares(share: float, classes: NDArray[Any], pos: int | None) -> FloatArray:
    """Return both shares of two classes."""
    if pos is None:
        raise BadInputError(
            f"prior={share} is one share, but y has {len(classes)} classes: pass a "
            "dict of label to share."
        )
    if not 0 < share < 1:
        raise BadInputError(
            f"prior={share} is the share of {classes.tolist()[pos]!r} and must lie "
            "between 0 and 1; None undoes an earlier one."
        )
    return np.array([share, 1 - share] if pos == 0 else [1 - share, share])


def _in_order(prior: Mapping[Any, Any], classes: NDArray[Any]) -> FloatArray:
    """Return the shares of a dict in the order of the classes."""
    labels = classes.tolist()
    strange = [key for key in prior if key not in labels]
    absent = [label for label in labels if label not in prior]
    if strange or absent:
        what = "names unknown classes" if strange else "lacks the classes"
        raise BadInputError(
            f"{prior=} {what} {(strange or absent)[:20]}: give every class of "
            f"{labels[:20]} its share."
        )
    return _numbers([prior[label] for label in labels])


def _numbers(shares: Any) -> FloatArray:
    """Return numbers as an array; an empty one where they are none."""
    try:
        return np.asarray(shares, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
