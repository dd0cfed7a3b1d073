"""`Decision`: the threshold and class shares of a model, and how others are chosen.

A decision holds the out-of-fold scores that its threshold was tuned on. Another
threshold, or one for another class distribution, is therefore chosen without a refit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._metrics.confusion import confusion_matrices, f_beta, precision, recall
from autoimb._metrics.fold_ids import FoldIds
from autoimb._metrics.metrics import metrics_at
from autoimb._table.set_aside import SetAside
from autoimb._table.table import in_order
from autoimb._threshold.objectives import Cost
from autoimb._threshold.prior_shift import PriorShift, resolve_prior, shifted
from autoimb._threshold.rules import (
    COST,
    Argmax,
    Threshold,
    labels_of_lowest_cost,
    resolve_threshold,
)
from autoimb._threshold.search import TunedRule, tune_threshold
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from autoimb._evaluate.out_of_fold import OutOfFold
    from autoimb._evaluate.problem import Problem
    from autoimb._fit.calibrate import CalibratedScores
    from autoimb._table.table import RowWeights, Table
    from autoimb._threshold.objectives import ThresholdObjective


def check_threshold(threshold: Any, table: Table) -> Any:
    """Return the threshold that a user requests, ``"cost"`` if rows have costs.

    Raises
    ------
    BadInputError
        If it cannot be used on this table.
    """
    has_costs = table.costs is not None
    if has_costs:
        if not (isinstance(threshold, str) and threshold in {"f1", COST}):
            raise BadInputError(
                f"costs= and {threshold=} exclude each other: leave threshold at its "
                f"default or set it to {COST!r} to minimise the costs; or pass no "
                "costs."
            )
        threshold = COST
    n_classes = len(table.all_classes)
    resolve_threshold(threshold, n_classes, table.pos, has_costs=has_costs)
    return threshold


@dataclass(frozen=True, eq=False, kw_only=True)
class Decision:
    """The rule from probabilities to labels, and the scores that it is tuned on."""

    requested: Any
    """The threshold as the user spells it."""
    rule: Threshold = field(default_factory=Argmax)
    """Before tuning, the most probable class."""
    interval: tuple[float, float] | None = None
    """The 5 to 95 % range of cuts tuned on bootstrap draws."""
    left_out: NDArray[np.float64] | None = None
    """Confusions (B, 2, 2) of those cuts, on the rows that their draw left out."""
    shift: PriorShift | None = None
    """The change to the expected class distribution; None keeps that of the table."""
    oof: OutOfFold
    """The entries, with the numbers of their rows among those that the user passed."""
    calibrated: CalibratedScores
    is_out_of_fold: bool = True
    """Whether the scores are out of fold; else they are of training rows."""
    classes: NDArray[Any]
    """Of the scores: without those that are set aside."""
    class_weights: NDArray[np.float64]
    """Total weight of each class in the training table."""
    class_counts: NDArray[np.float64]
    """Rows of each class there."""
    pos: int | None
    row_weights: RowWeights = "none"
    """Which weights the user gave the rows."""
    costs: NDArray[np.float64] | None
    """Costs (n_entries, k) of the out-of-fold entries."""
    seed: int
    set_aside: SetAside = field(default_factory=SetAside)
    """The classes that the model adds to its predictions."""

    @classmethod
    def of(
        cls,
        requested: Any,
        oof: OutOfFold,
        calibrated: CalibratedScores,
        problem: Problem,
        *,
        is_out_of_fold: bool,
    ) -> Decision:
        """Return a tuned decision for the scores of a problem's rows."""
        table = problem.table
        # Stored as int32, so that saved models are smaller.
        shorter: dict[str, Any] = {
            "rows": table.given.rows[oof.rows].astype(np.int32),
            "y": oof.y.astype(np.int32),
            "folds": FoldIds(
                oof.folds.repeat.astype(np.int32),
                oof.folds.fold.astype(np.int32),
                oof.folds.row.astype(np.int32),
            ),
            "units": oof.units.astype(np.int32),
        }
        return cls(
            requested=requested,
            oof=replace(oof, **shorter),
            calibrated=calibrated,
            is_out_of_fold=is_out_of_fold,
            classes=table.classes,
            class_weights=table.class_weights,
            class_counts=table.class_counts.astype(np.float64),
            pos=table.pos,
            row_weights=table.row_weights,
            costs=None if table.costs is None else table.costs[oof.rows],
            seed=problem.seed,
            set_aside=table.set_aside,
        ).tuned()

    def for_threshold(self, requested: Any) -> Decision:
        """Return the decision for another threshold and the same class shares."""
        return replace(self, requested=requested).tuned()

    def for_prior(self, prior: Any) -> Decision:
        """Return the decision for another class distribution, by the same objective."""
        after = resolve_prior(prior, self.all_classes, self.pos)
        before, rows_before = self.class_weights, self.class_counts
        shift = None
        if after is not None:
            others = after[self.set_aside.others(len(after))]
            shift = PriorShift.between(before, others, rows_before)
        set_aside = self.set_aside.for_prior(after)
        return replace(self, shift=shift, set_aside=set_aside).tuned()

    @property
    def all_classes(self) -> NDArray[Any]:
        """The labels, with those that are set aside."""
        return self.set_aside.all_classes(self.classes)

    @property
    def prior(self) -> NDArray[np.float64] | None:
        """Expected shares of all classes; None for those of the table."""
        if self.shift is None:
            return None
        return np.asarray(self.set_aside.add_columns(np.array([self.shift.after]))[0])

    @property
    def threshold_value(self) -> float | NDArray[np.float64] | None:
        """The number or numbers of the rule, as users see them."""
        value = self.rule.value
        if isinstance(value, np.ndarray):
            return self.set_aside.add_zeros(value)
        return value

    def tuned(self) -> Decision:
        """Return the decision with the best rule, or with the fixed one.

        The rule is for probabilities after the shift.
        """
        aim, oof = self.aim, self.oof
        tuned = (
            TunedRule(aim)
            if isinstance(aim, Threshold)
            else tune_threshold(
                oof,
                self.calibrated.proba,
                self.calibrated.cross_fitted,
                aim,
                pos=self.pos,
                seed=self.seed,
                shift=self.shift,
                costs=self.costs,
            )
        )
        return replace(
            self, rule=tuned.rule, interval=tuned.interval, left_out=tuned.left_out
        )

    @property
    def aim(self) -> Threshold | ThresholdObjective:
        """The rule that the user fixed, or the objective to tune for."""
        aim = resolve_threshold(
            self.requested,
            len(self.all_classes),
            self.pos,
            has_costs=self.costs is not None,
        )
        if isinstance(aim, Cost) and aim.matrix is not None and self.set_aside:
            others = self.set_aside.others(len(self.all_classes))
            return Cost(np.array(aim.matrix)[np.ix_(others, others)])
        return aim

    @property
    def objective(self) -> str:
        """The name of the objective that the rule was chosen for."""
        return getattr(self.aim, "label", "set by the user")

    @property
    def needs_costs(self) -> bool:
        """Whether the rule is chosen for the costs of the rows."""
        return isinstance(self.requested, str) and self.requested == COST

    def oof_proba(self, n_rows: int) -> NDArray[np.float64]:
        """Return calibrated out-of-fold probabilities by row, NaN if there are none."""
        if not self.is_out_of_fold:
            return np.full((n_rows, len(self.all_classes)), np.nan)
        proba = shifted(self.calibrated.proba, self.shift)
        return self.oof.by_row(self.set_aside.add_columns(proba), n_rows)

    def labels_of(self, proba: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
        """Return the codes (n,) of probabilities for the shares of the table."""
        return self.rule.apply(self.moved(proba))

    def moved(self, proba: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities (n, k) for the expected shares of the classes."""
        return shifted(proba, self.shift)

    def cheapest(
        self, proba: NDArray[np.float64], costs: ArrayLike
    ) -> NDArray[np.integer[Any]]:
        """Return the label codes (n,) of the lowest expected cost of new rows.

        Columns of a DataFrame that are named as the classes are put into their order.

        Raises
        ------
        BadInputError
            If the costs do not fit the rows.
        """
        classes, costs = self.all_classes.tolist(), in_order(costs, self.all_classes)
        n, k = proba.shape
        expected = (
            f"numbers of shape {(n, k)}, a column for each of the classes "
            f"{classes[:20]} in this order, or {(n, k, k)}"
        )
        try:
            values = np.asarray(costs, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadInputError(f"costs must be {expected}: {error}.") from error
        if values.shape not in {(n, k), (n, k, k)}:
            raise BadInputError(f"costs has shape {values.shape}: pass {expected}.")
        infinite = ~np.isfinite(values.reshape(n, -1)).all(axis=1)
        if infinite.any():
            raise BadInputError(
                f"costs of row {np.argmax(infinite)} (of {infinite.sum()}) are not "
                "finite: fill or drop those rows."
            )
        return labels_of_lowest_cost(proba, values)

    def code(self, fit_code: str) -> str:
        """Return code that fits the model, and then sets this class distribution."""
        prior = self.prior
        if prior is None:
            return fit_code
        shares = dict(zip(self.all_classes.tolist(), prior.tolist(), strict=True))
        return f"{fit_code}\nmodel.set_prior({shares})"


class DecisionScores:
    """How a decision scores on the out-of-fold rows."""

    def __init__(self, decision: Decision) -> None:
        oof, shift, pos = decision.oof, decision.shift, decision.pos
        self.decision = decision
        self.weight: NDArray[np.float64] = (
            oof.weight if shift is None else oof.weight * shift.ratios[oof.y]
        )
        """Weight of each out-of-fold entry, scaled to the expected class shares."""
        self.multiplicity: NDArray[np.float64] = (
            oof.multiplicity
            if shift is None
            else oof.multiplicity * shift.row_ratios[oof.y]
        )
        """Rows that each entry stands for, scaled in the same way."""
        self.proba = shifted(decision.calibrated.proba, shift)
        """Out-of-fold probabilities that the rule applies to."""
        self.labels = decision.rule.apply(self.proba)
        """Out-of-fold labels."""
        both = np.array([self.weight, self.multiplicity])
        self.confusion, self.counts = confusion_matrices(
            oof.y, self.labels, both, len(decision.classes)
        )
        """Confusion matrices (k, k) of the out-of-fold labels, by weight and by row."""
        self.at_threshold = metrics_at(oof.y, self.labels, self.proba, self.weight, pos)
        """Metrics with calibration, shift and threshold."""
        self.at_default = metrics_at(
            oof.y, Argmax().apply(oof.proba), oof.proba, self.weight, pos
        )
        """Metrics of the scores before calibration, with the most probable class."""

    @property
    def _labelled(self) -> dict[str, NDArray[np.integer[Any]]]:
        """Labels of the entries by the tuned rule, and by simple ones."""
        decision, n = self.decision, len(self.labels)
        by: dict[str, NDArray[np.integer[Any]]] = {
            "at the tuned threshold": self.labels,
            "at 50%": Argmax().apply(decision.oof.proba),
        }
        if decision.pos is not None:
            every = np.full(n, decision.pos, dtype=np.intp)
            by |= {"if every row is an alert": every, "if none is": 1 - every}
        return by

    @property
    def n_alerts(self) -> tuple[float, float]:
        """Rows called the class of interest: by the tuned rule, and at 50 %.

        None of several classes is.
        """
        tuned, usual = (
            float(self.multiplicity[labels == self.decision.pos].sum())
            for labels in list(self._labelled.values())[:2]
        )
        return tuned, usual

    @property
    def mean_costs(self) -> dict[str, float]:
        """Mean cost of a row by each of these; empty if costs are not the objective."""
        decision, aim = self.decision, self.decision.aim
        if decision.needs_costs and decision.costs is not None:
            entries = np.arange(len(self.labels))
            return {
                how: float(np.average(decision.costs[entries, to], weights=self.weight))
                for how, to in self._labelled.items()
            }
        if not isinstance(aim, Cost):
            return {}
        return {
            how: -float(aim.utility(self._confusion_of(labels), decision.pos))
            for how, labels in self._labelled.items()
        }

    @property
    def is_tuning_a_gain(self) -> bool:
        """Whether the tuned rule is better than the most probable class, out of fold.

        True as well where nothing was tuned, or no rule can meet the objective.
        """
        decision, aim = self.decision, self.decision.aim
        if isinstance(aim, Threshold):
            return True
        if costs := self.mean_costs:
            return costs["at the tuned threshold"] < costs["at 50%"]
        tuned, usual = (
            float(aim.utility(self._confusion_of(labels), decision.pos))
            for labels in list(self._labelled.values())[:2]
        )
        return tuned > usual or tuned == -np.inf

    def _confusion_of(self, labels: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return the confusion matrix of the entries, by weight."""
        oof, k = self.decision.oof, len(self.decision.classes)
        matrices = confusion_matrices(oof.y, labels, self.weight[np.newaxis], k)
        return np.asarray(matrices[0])

    @property
    def expected(self) -> dict[str, tuple[float, float, float]]:
        """What a tuned cut scores on new rows: mean, 2.5 and 97.5 % over draws.

        Empty if no cut was tuned. By the bootstrap, which tunes the cut on each draw
        and scores it on the rows that the draw left out: the scores of the tuned cut
        come from the rows that it was tuned on, and are too high.
        """
        left_out, pos = self.decision.left_out, self.decision.pos
        if left_out is None or pos is None:
            return {}
        # A draw that left out no positive has no recall, one without alerts no
        # precision.
        has_positives = left_out[:, pos].sum(axis=-1) > 0
        has_alerts = left_out[:, :, pos].sum(axis=-1) > 0
        drawn = {
            "precision": precision(left_out[has_alerts], pos),
            "recall": recall(left_out[has_positives], pos),
            "f1": f_beta(left_out[has_positives], pos, 1.0),
        }
        expected = {}
        for name, values in drawn.items():
            if len(values):
                low, high = np.percentile(values, [2.5, 97.5])
                expected[name] = float(values.mean()), float(low), float(high)
        return expected
