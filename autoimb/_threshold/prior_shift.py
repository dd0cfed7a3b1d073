"""Prior shift: other class shares than those of the training table.

Where only the shares change, and rows of one class stay as they are, posteriors change
by known factors: p'_k is proportional to p_k * prior'_k / prior_k.

References
----------
Elkan 2001, "The foundations of cost-sensitive learning", IJCAI, theorem 2.
Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446, section 2.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoimb._metrics.confusion import FloatArray
from autoimb.exceptions import BadInputError, is_number

_SUM_TOLERANCE = 1e-6
"""Of the sum of the shares from one: they may have been rounded for printing."""


@dataclass(frozen=True)
class PriorShift:
    """The change from the class shares of the training table to the expected ones."""

    before: tuple[float, ...]
    """Shares of the classes in the training table, by the weights of its rows."""
    after: tuple[float, ...]
    rows_before: tuple[float, ...]
    """Shares by number of rows: those of `before` where rows have no weights."""

    @classmethod
    def between(
        cls, before: FloatArray, after: FloatArray, rows_before: FloatArray
    ) -> "PriorShift":
        """Return the shift between shares (k,), which need not be normalised."""
        shares = (before, after, rows_before)
        return cls(*(tuple((s / s.sum()).tolist()) for s in shares))

    @property
    def ratios(self) -> FloatArray:
        """By how much (k,) each class becomes more frequent.

        A row times the ratio of its class stands for later rows.
        """
        return np.asarray(np.array(self.after) / np.array(self.before))

    @property
    def row_ratios(self) -> FloatArray:
        """By how much (k,) rows of each class become more frequent, without weights."""
        return np.asarray(np.array(self.after) / np.array(self.rows_before))

    def __call__(self, proba: FloatArray) -> FloatArray:
        """Return posteriors (n, k) after the shift; two classes keep their ranking."""
        joint = proba * self.ratios
        return np.asarray(joint / joint.sum(axis=1, keepdims=True))


def shifted(proba: FloatArray, shift: PriorShift | None) -> FloatArray:
    """Return posteriors (n, k) after a shift, if there is one."""
    return proba if shift is None else shift(proba)


def resolve_prior(
    prior: object, classes: NDArray[Any], pos: int | None
) -> FloatArray | None:
    """Return the expected class shares (k,) that the user means; None undoes them."""
    if prior is None:
        return None
    if isinstance(prior, float) or is_number(prior):
        return _two_shares(float(prior), classes, pos)
    values = _in_order(prior, classes) if isinstance(prior, Mapping) else prior
    try:
        shares = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        shares = np.empty(0)  # no numbers: the error below says what is needed
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
    return np.asarray(shares / shares.sum())


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


def _in_order(prior: Mapping[Any, Any], classes: NDArray[Any]) -> list[Any]:
    """Return the values of a dict of label to share, in the order of the classes."""
    labels = classes.tolist()
    unknown = [key for key in prior if key not in labels]
    missing = [label for label in labels if label not in prior]
    if unknown or missing:
        what = "names unknown classes" if unknown else "lacks the classes"
        raise BadInputError(
            f"{prior=} {what} {(unknown or missing)[:20]}: give every class of "
            f"{labels[:20]} its share."
        )
    return [prior[label] for label in labels]
