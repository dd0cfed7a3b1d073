"""What turns probabilities into labels, and what it takes to choose again, unfitted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._confusion import confusion_matrices, f_beta, precision, recall
from autoimb._fitted import choose_threshold
from autoimb._metrics import metrics_at
from autoimb._shift import PriorShift, resolve_prior, shifted
from autoimb._threshold import COST, Argmax, Threshold, resolve_threshold
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._data import Table
    from autoimb._evaluate import OutOfFold
    from autoimb._fitted import Calibrated, Finished
    from autoimb._objectives import Objective


def asked_threshold(threshold: Any, *, has_costs: bool) -> Any:
    """Return the threshold that a user means: with costs of rows, their minimum."""
    if not has_costs:
        return threshold
    if not (isinstance(threshold, str) and threshold in {"f1", COST}):
        raise BadInputError(
            f"costs= and {threshold=} exclude each other: leave threshold at its "
            f"default or set it to {COST!r} to minimise the costs; or pass no costs."
        )
    return COST


@dataclass(frozen=True, eq=False, kw_only=True)
class Decision:
    """The rule from probabilities to labels, and the scores that it was tuned on."""

    asked: Any
    """The threshold as a user spells it."""
    rule: Threshold
    interval: tuple[float, float] | None
    left_out: NDArray[np.float64] | None = None
    """Confusions (B, 2, 2) of cuts tuned on bootstrap draws, on rows left out."""
    shift: PriorShift | None = None
    """To the class distribution that is expected; None is that of the table."""
    oof: OutOfFold
    calibrated: Calibrated
    classes: NDArray[Any]
    class_weights: NDArray[np.float64]
    """Total weight of each class in the training table."""
    pos: int | None
    costs: NDArray[np.float64] | None
    """Of the rows of the training table."""
    seed: int

    @classmethod
    def of(cls, finished: Finished, table: Table, asked: Any, seed: int) -> Decision:
        """Return the decision that a fit ended with."""
        return cls(
            asked=asked,
            rule=finished.model.threshold,
            interval=finished.model.threshold_interval,
            left_out=finished.left_out,
            oof=_small(finished.oof),
            calibrated=finished.calibrated,
            classes=table.classes,
            class_weights=table.class_weights,
            pos=table.pos,
            costs=table.costs,
            seed=seed,
        )

    def aiming_at(self, asked: Any) -> Decision:
        """Return the decision for another threshold, under the same shift."""
        return self._tuned(asked, self.shift)

    def expecting(self, prior: Any) -> Decision:
        """Return the decision for another class distribution, with the same aim."""
        after = resolve_prior(prior, self.classes, self.pos)
        before = self.class_weights
        shift = None if after is None else PriorShift.between(before, after)
        return self._tuned(self.asked, shift)

    def _tuned(self, asked: Any, shift: PriorShift | None) -> Decision:
        aim = self._aim(asked)
        tuned = choose_threshold(
            self.oof,
            self.calibrated,
            aim,
            self.pos,
            self.seed,
            shift=shift,
            costs=self.costs,
        )
        return replace(
            self,
            asked=asked,
            shift=shift,
            rule=tuned.rule,
            interval=tuned.interval,
            left_out=tuned.left_out,
        )

    def _aim(self, asked: Any) -> Threshold | Objective:
        return resolve_threshold(
            asked, len(self.classes), self.pos, has_costs=self.costs is not None
        )

    @property
    def needs_costs(self) -> bool:
        """Whether the costs of the rows decide."""
        return isinstance(self.asked, str) and self.asked == COST

    @property
    def objective(self) -> str:
        """What the rule was chosen for, in words."""
        return getattr(self._aim(self.asked), "label", "set by the user")

    def oof_proba(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return out-of-fold probabilities by row, where they are known at all."""
        if np.isnan(known).all():
            return known
        proba = shifted(self.calibrated.proba, self.shift)
        return self.oof.by_row(proba, len(known))

    def code(self, made: str) -> str:
        """Return Python that decides so again, after the code that fitted the model."""
        if self.shift is None:
            return made
        shares = dict(zip(self.classes.tolist(), self.shift.after, strict=True))
        return f"{made}\nmodel.set_prior({shares})"


def _small(oof: OutOfFold) -> OutOfFold:
    """Return the same scores with whole numbers of half the size."""
    names = ("rows", "y", "groups")
    shorter = {name: getattr(oof, name).astype(np.int32) for name in names}
    return replace(oof, **shorter)


@dataclass(frozen=True, eq=False)
class Judged:
    """How a decision does on the out-of-fold rows; worked out once."""

    decision: Decision

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each out-of-fold entry, as frequent as its class is expected."""
        oof, shift = self.decision.oof, self.decision.shift
        return oof.weight if shift is None else shift.row_weights(oof.y, oof.weight)

    @cached_property
    def proba(self) -> NDArray[np.float64]:
        """Out-of-fold probabilities that the rule applies to."""
        return shifted(self.decision.calibrated.proba, self.decision.shift)

    @cached_property
    def labels(self) -> NDArray[np.integer]:
        """Out-of-fold labels."""
        return self.decision.rule.apply(self.proba)

    @cached_property
    def confusion(self) -> NDArray[np.float64]:
        """Confusion matrix (k, k) of the out-of-fold labels."""
        y, k = self.decision.oof.y, len(self.decision.classes)
        confusion: NDArray[np.float64] = confusion_matrices(
            y, self.labels, self.weight[np.newaxis], k
        )[0]
        return confusion

    @cached_property
    def expected(self) -> dict[str, tuple[float, float, float]]:
        """What a cut tuned on some rows does on others: mean, 2.5 and 97.5 %.

        Empty where no cut was tuned. By the bootstrap, which re-tunes the cut on each
        draw and looks at the rows that it left out: the tuned cut's own figures are
        those of the rows that it was tuned on.
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
        return {name: _span(values) for name, values in drawn.items() if len(values)}

    @cached_property
    def at_default(self) -> dict[str, float]:
        """The winner's metrics as its pipeline answers by itself."""
        proba = self.decision.oof.proba
        return self._metrics(Argmax().apply(proba), proba)

    @cached_property
    def at_threshold(self) -> dict[str, float]:
        """The winner's metrics with its calibration, shift and threshold."""
        return self._metrics(self.labels, self.proba)

    def _metrics(
        self, labels: NDArray[np.integer], proba: NDArray[np.float64]
    ) -> dict[str, float]:
        return metrics_at(
            self.decision.oof.y, labels, proba, self.weight, self.decision.pos
        )


def _span(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean of drawn values, and the ends of the middle 95 % of them."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)
