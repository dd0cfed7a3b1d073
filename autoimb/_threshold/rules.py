"""Rules from probabilities to labels, and what the user may write for them."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from autoimb._metrics.confusion import FloatArray, IntArray
from autoimb._metrics.metrics import METRICS, LabelMetric, Metric
from autoimb._metrics.scorers import resolve_metric
from autoimb._threshold.objectives import (
    Constraint,
    Cost,
    RowCosts,
    ThresholdObjective,
    TopK,
    TopShare,
)
from autoimb.exceptions import BadInputError, is_number, unknown_name_error

COST = "cost"
"""What users write for `RowCosts`."""

_LABEL_METRICS = sorted(k for k, m in METRICS.items() if isinstance(m, LabelMetric))
"""Names of the metrics that may choose a threshold."""


# Rules -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """Two classes: positive if the probability reaches the cut."""

    value: float
    """The cut on the probability of the positive class."""
    pos: int

    def apply(self, proba: FloatArray) -> IntArray:
        """Return label codes (n,)."""
        return np.where(proba[:, self.pos] >= self.value, self.pos, 1 - self.pos)


@dataclass(frozen=True)
class ClassWeights:
    """The class with the highest weighted probability."""

    weights: tuple[float, ...]

    def apply(self, proba: FloatArray) -> IntArray:
        """Return label codes (n,)."""
        return np.asarray(np.argmax(proba * self.value, axis=1))

    @property
    def value(self) -> FloatArray:
        """The weights (k,)."""
        return np.array(self.weights)


@dataclass(frozen=True)
class Argmax:
    """The most probable class."""

    value: ClassVar[None] = None
    """There is no number."""

    def apply(self, proba: FloatArray) -> IntArray:
        """Return label codes (n,)."""
        return np.asarray(np.argmax(proba, axis=1))


Threshold: TypeAlias = Cut | ClassWeights | Argmax
"""A rule from probabilities (n, k) to label codes (n,).

Users see its `value`.
"""


def labels_of_lowest_cost(proba: FloatArray, costs: FloatArray) -> IntArray:
    """Return the label codes (n,) of the lowest expected cost, row by row.

    Costs (n, k) are those of calling a row each class by mistake, right answers cost
    nothing; costs (n, k, k) are those of calling a row of class i class j.
    """
    expected = (
        costs * (1 - proba)
        if costs.ndim == 2
        else np.einsum("ni,nij->nj", proba, costs)
    )
    return np.asarray(np.argmin(expected, axis=1))


# The user's spelling -----------------------------------------------------------------


def resolve_threshold(
    threshold: object, n_classes: int, pos: int | None, *, has_costs: bool = False
) -> Threshold | ThresholdObjective:
    """Return the fixed rule, or the objective to tune a rule for."""
    if threshold is None:
        return Argmax()
    if isinstance(threshold, str) and threshold == COST:
        if has_costs:
            return RowCosts()
        raise BadInputError(
            f"{threshold=} needs the costs of each row: pass fit(..., costs=...) "
            "of shape (n_samples, n_classes), or use Cost(fp=1, fn=5) or Cost(matrix)."
        )
    if isinstance(threshold, str | Metric):
        return _label_metric(threshold, n_classes)
    if isinstance(threshold, float) or is_number(threshold):
        return _fixed_cut(float(threshold), n_classes, pos)
    if isinstance(threshold, ThresholdObjective) and not isinstance(threshold, type):
        _check_classes(threshold, n_classes)
        return threshold
    raise BadInputError(
        f"{threshold=} must be None, a number between 0 and 1, an objective such as "
        f"Cost(fp=1, fn=5), or one of {', '.join(_LABEL_METRICS)}."
    )


def _label_metric(threshold: str | Metric, n_classes: int) -> LabelMetric:
    """Return the metric of labels that the user names or gives."""
    if isinstance(threshold, str) and threshold not in METRICS:
        raise unknown_name_error(f"{threshold=}", threshold, _LABEL_METRICS)
    metric = resolve_metric(threshold, n_classes)
    if not isinstance(metric, LabelMetric):
        raise BadInputError(
            f"{threshold=} is no metric of labels, so it cannot choose a threshold. "
            f"Possible names: {', '.join(_LABEL_METRICS)}."
        )
    return metric


def _fixed_cut(cut: float, n_classes: int, pos: int | None) -> Cut:
    """Return the rule of a fixed number."""
    if pos is None:
        raise BadInputError(
            f"threshold={cut} is one cut, but y has {n_classes} classes. Use None for "
            f"the most probable class, or an objective such as 'f1_macro'."
        )
    if not 0 <= cut <= 1:
        raise BadInputError(f"threshold={cut} must lie between 0 and 1.")
    return Cut(cut, pos)


def _check_classes(objective: ThresholdObjective, n_classes: int) -> None:
    """Raise if an objective is for another number of classes."""
    if isinstance(objective, Cost):
        n_priced = 2 if objective.matrix is None else np.shape(objective.matrix)[0]
        if n_priced != n_classes:
            raise BadInputError(
                f"{objective!r} gives costs for {n_priced} classes, y has {n_classes}. "
                f"Use Cost(matrix) with one row and column for each class, in order."
            )
    # These count alerts.
    if n_classes > 2 and isinstance(objective, Constraint | TopK | TopShare):
        raise BadInputError(
            f"threshold={objective!r} needs two classes, y has {n_classes}. Use "
            f"Cost(matrix) or one of {', '.join(_LABEL_METRICS)}."
        )
