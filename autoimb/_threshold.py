"""From probabilities to labels: objectives, and exact search of the rule they prefer.

An objective is a utility of confusion matrices. One search serves them all: every
distinct cut has a confusion matrix, made of cumulative sums, and the best one wins.
For more than two classes, one weight per class is searched in turn the same way.
Array shapes are those of `_metrics`.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ._confusion import BoolArray, FloatArray, IntArray
from ._mass import Mass, Rows, as_evidence, soft_labels
from ._metrics import (
    BLOCK_BYTES,
    METRICS,
    LabelMetric,
    Metric,
    resolve_metric,
    unknown_name,
)
from ._objectives import BinaryObjective, Constraint, Cost, Objective, RowCosts
from ._shift import PriorShift, shifted
from .exceptions import BadInputError, UnreachableConstraintWarning

COST = "cost"
"""What users write for `RowCosts`."""

_PRIOR_ROWS = 10
"""Rows that each class weight's neutral value 1 is worth, our choice: of a weight that
rests on 10 rows of its class, half of the logarithm is believed."""

_MAX_PASSES = 10
"""Over the classes; nearly always two or three end the ascent."""

_SAME_POINT = 1e-9
"""Relative difference of class weights that is taken for rounding."""

_TIE = 1e-12
"""Relative difference of equal utilities: sums in another order differ this little."""

_MAX_DRAWN_CUTS = 20_000
"""Cuts that compete in each bootstrap draw. They only move the ends of an interval to
the nearest of so many: far less than two draws differ, and the cut itself is exact."""


# Rules that turn probabilities into labels -------------------------------------------


@dataclass(frozen=True)
class Threshold(ABC):
    """A rule from probabilities (n, k) to label codes (n,)."""

    kind: ClassVar[str]

    @abstractmethod
    def apply(self, proba: FloatArray) -> IntArray:
        """Return label codes (n,)."""

    @property
    @abstractmethod
    def value(self) -> float | FloatArray | None:
        """The rule as users see it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON-able data, for `from_dict`."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> "Threshold":
        """Return the rule that `to_dict` described."""
        fields = {name: value for name, value in data.items() if name != "kind"}
        return _KINDS[data["kind"]](**fields)


@dataclass(frozen=True)
class Cut(Threshold):
    """Two classes: positive where its probability reaches the cut."""

    cut: float
    pos: int
    kind: ClassVar[str] = "cut"

    def apply(self, proba: FloatArray) -> IntArray:
        """Return label codes (n,)."""
        return np.where(proba[:, self.pos] >= self.cut, self.pos, 1 - self.pos)

    @property
    def value(self) -> float:
        """The cut on the probability of the positive class."""
        return self.cut


@dataclass(frozen=True)
class ClassWeights(Threshold):
    """The class with the highest weighted probability."""

    weights: tuple[float, ...]
    kind: ClassVar[str] = "class_weights"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(map(float, self.weights)))

    def apply(self, proba: FloatArray) -> IntArray:
        """Return label codes (n,)."""
        codes: IntArray = np.argmax(proba * self.value, axis=1)
        return codes

    @property
    def value(self) -> FloatArray:
        """The weights (k,)."""
        return np.array(self.weights)


@dataclass(frozen=True)
class Argmax(Threshold):
    """The most probable class."""

    kind: ClassVar[str] = "argmax"

    def apply(self, proba: FloatArray) -> IntArray:
        """Return label codes (n,)."""
        codes: IntArray = np.argmax(proba, axis=1)
        return codes

    @property
    def value(self) -> None:
        """There is no number to show."""


_KINDS: dict[str, type[Threshold]] = {
    kind.kind: kind for kind in (Cut, ClassWeights, Argmax)
}


def resolve_threshold(
    threshold: object, n_classes: int, pos: int | None, *, has_costs: bool = False
) -> Threshold | Objective:
    """Return the fixed rule, or the objective to tune for, that the user means."""
    if threshold is None:
        return Argmax()
    if isinstance(threshold, str) and threshold == COST:
        return _row_costs(has_costs=has_costs)
    if isinstance(threshold, str | Metric):
        return _label_metric(threshold, n_classes)
    if isinstance(threshold, Real) and not isinstance(threshold, bool | np.bool_):
        return _fixed_cut(float(threshold), n_classes, pos)
    if isinstance(threshold, Objective) and not isinstance(threshold, type):
        _check_classes(threshold, n_classes)
        return threshold
    raise BadInputError(
        f"{threshold=} must be None, a number between 0 and 1, an objective such as "
        f"Cost(fp=1, fn=5), or one of {', '.join(_label_metric_names())}."
    )


def _row_costs(*, has_costs: bool) -> RowCosts:
    if not has_costs:
        raise BadInputError(
            f"threshold={COST!r} needs the costs of each row: pass fit(..., costs=...) "
            "of shape (n_samples, n_classes), or use Cost(fp=1, fn=5) or Cost(matrix)."
        )
    return RowCosts()


def _label_metric_names() -> list[str]:
    return sorted(name for name, metric in METRICS.items() if metric.needs_labels)


def _label_metric(threshold: str | Metric, n_classes: int) -> LabelMetric:
    if isinstance(threshold, str) and threshold not in METRICS:
        raise unknown_name("threshold", threshold, _label_metric_names())
    metric = resolve_metric(threshold, n_classes)
    if not isinstance(metric, LabelMetric):
        raise BadInputError(
            f"{threshold=} does not judge labels, so it cannot choose a threshold. "
            f"Possible names: {', '.join(_label_metric_names())}."
        )
    return metric


def _fixed_cut(cut: float, n_classes: int, pos: int | None) -> Cut:
    if pos is None:
        raise BadInputError(
            f"threshold={cut} is one cut, but y has {n_classes} classes. Use None for "
            f"the most probable class, or an objective such as 'f1_macro'."
        )
    if not 0 <= cut <= 1:
        raise BadInputError(f"threshold={cut} must lie between 0 and 1.")
    return Cut(cut, pos)


def _check_classes(objective: Objective, n_classes: int) -> None:
    if isinstance(objective, Cost):
        n_known = 2 if objective.matrix is None else np.shape(objective.matrix)[0]
        if n_known != n_classes:
            raise BadInputError(
                f"{objective!r} gives costs for {n_known} classes, y has {n_classes}. "
                f"Use Cost(matrix) with one row and column for each class, in order."
            )
    if isinstance(objective, BinaryObjective) and n_classes > 2:
        raise BadInputError(
            f"threshold={objective!r} needs two classes, y has {n_classes}. Use "
            f"Cost(matrix) or one of {', '.join(_label_metric_names())}."
        )


# Exact search for two classes --------------------------------------------------------


def best_cuts(
    score: FloatArray,
    membership: FloatArray,
    weights: FloatArray,
    objective: Objective,
    pos: int,
) -> FloatArray:
    """Cuts (B,) that maximise the objective for each row of weights (B, n).

    `membership` (n,) in [0, 1] is each row's share of being positive: 0 and 1 for known
    labels. All distinct cuts compete, also nobody and everybody positive. Between equal
    utilities the cut with fewer alerts wins; where a constraint forbids every cut, the
    one that comes nearest.
    """
    order = np.argsort(-score, kind="stable")
    ranking = _Ranking.of(score[order], membership[order], pos)
    # Two sums, their weights, four cells and some temporaries of their size.
    n_rows = max(1, BLOCK_BYTES // (12 * 8 * len(score)))
    blocks = (weights[b : b + n_rows, order] for b in range(0, len(weights), n_rows))
    return np.concatenate([ranking.best_cuts(block, objective) for block in blocks])


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Rows by falling score, and the cuts that compete."""

    cuts: FloatArray
    """Cuts (g + 1,), the first one for nobody."""
    last: IntArray
    """The last row (g,) above each of the other cuts."""
    membership: FloatArray
    """Each row's share (n,) of being positive."""
    pos: int

    @classmethod
    def of(cls, ranked: FloatArray, membership: FloatArray, pos: int) -> "_Ranking":
        """Return the ranking of falling scores, with every distinct cut."""
        last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        return cls(_cut_values(ranked[last]), last, membership, pos)

    def thinned(self, n_most: int) -> "_Ranking":
        """Return the ranking with about so many cuts, the lowest one included.

        Half of them have equally many others in between, half equally many positives.
        """
        if len(self.last) <= n_most:
            return self
        evenly = np.linspace(0, len(self.last) - 1, n_most // 2).astype(int)
        found = self.membership.cumsum()[self.last]
        levels = np.linspace(0, found[-1], n_most - n_most // 2)
        kept = np.union1d(evenly, np.searchsorted(found, levels))
        cuts = self.cuts[np.append(0, kept + 1)]
        return replace(self, cuts=cuts, last=self.last[kept])

    def best_cuts(self, weights: FloatArray, objective: Objective) -> FloatArray:
        """Cuts (B,) that maximise the objective for each row of weights (B, n)."""
        found: FloatArray = self.cuts[self.best(weights, objective)]
        return found

    def best(self, weights: FloatArray, objective: Objective) -> IntArray:
        """Positions (B,) of those cuts."""
        return _best_index(self._confusions(weights), objective, self.pos)

    def confusion_at(
        self, at: int, is_positive: BoolArray, weight: FloatArray
    ) -> FloatArray:
        """Confusion (2, 2) of one cut on the ranked rows, by their labels."""
        n_alerts = 0 if at == 0 else int(self.last[at - 1]) + 1
        confusion = np.empty((2, 2))
        for truth, rows in (self.pos, is_positive), (1 - self.pos, ~is_positive):
            of_class = weight * rows
            confusion[truth, self.pos] = of_class[:n_alerts].sum()
            confusion[truth, 1 - self.pos] = of_class[n_alerts:].sum()
        return confusion

    def _confusions(self, weights: FloatArray) -> FloatArray:
        """Confusions (B, g + 1, 2, 2) of the cuts.

        In memory the cells come first, so that formulas run along the cuts.
        """
        cells = np.zeros((2, 2, len(weights), len(self.cuts)))
        first = np.append(0, self.last[:-1] + 1)
        sides = (self.pos, self.membership), (1 - self.pos, 1 - self.membership)
        for truth, share in sides:
            alerts = np.add.reduceat(weights * share, first, axis=1).cumsum(axis=1)
            cells[truth, self.pos, :, 1:] = alerts
            cells[truth, 1 - self.pos] = alerts[:, -1:]
            cells[truth, 1 - self.pos, :, 1:] -= alerts
        return np.moveaxis(cells, (0, 1), (-2, -1))


def _cut_values(distinct: FloatArray) -> FloatArray:
    """Cuts (g + 1,) for nobody, then one more of the falling distinct scores each.

    A cut lies midway to the next score, so that it suits unseen rows as well.
    """
    upper, lower = distinct[:-1], distinct[1:]
    middle = lower + (upper - lower) / 2
    between = np.where(middle > lower, middle, upper)
    nobody = np.nextafter(distinct[0], np.inf)
    return np.concatenate([[nobody], between, distinct[-1:]])


def _best_index(confusions: FloatArray, objective: Objective, pos: int) -> IntArray:
    """Index (B,) of the first best cut, or of the nearest where all are forbidden."""
    utility = objective.utility(confusions, pos)
    forbidden = np.isneginf(utility).all(axis=1)
    if isinstance(objective, Constraint) and forbidden.any():
        utility[forbidden] = objective.bound(confusions[forbidden], pos)
    return _first_best(utility)


def _first_best(utility: FloatArray) -> IntArray:
    """Index of the first of the largest values along the last axis, up to rounding."""
    best = utility.max(axis=-1, keepdims=True)
    is_best = utility >= best - _TIE * np.maximum(np.abs(best), 1)
    first: IntArray = np.argmax(is_best, axis=-1)
    return first


# Exact coordinate search for more classes --------------------------------------------


def best_class_weights(
    proba: FloatArray, soft: FloatArray, weight: FloatArray, objective: Objective
) -> FloatArray:
    """Weights (k,) for argmax(weights * proba), never worse than weights of one.

    `soft` (n, k) holds each row's shares of being of each class. Coordinate ascent: one
    class weight at a time takes its exact best value, until a pass gains nothing.
    """
    mass = soft * weight[:, np.newaxis]
    weights = np.ones(proba.shape[1])
    best = _weighted_utility(proba, mass, weights, objective)
    for _ in range(_MAX_PASSES):
        before = best
        for c in range(len(weights)):
            trial = weights.copy()
            trial[c] = _best_coordinate(proba, mass, weights, c, objective)
            utility = _weighted_utility(proba, mass, trial, objective)
            if utility > best + _TIE:
                weights, best = trial, utility
        if best == before:
            break
    return weights / _geometric_mean(weights)


def _weighted_utility(
    proba: FloatArray, mass: FloatArray, weights: FloatArray, objective: Objective
) -> float:
    confusion = _soft_confusion(mass, (proba * weights).argmax(axis=1))
    return float(objective.utility(confusion, None))


def _soft_confusion(mass: FloatArray, predicted: IntArray) -> FloatArray:
    """Confusion (k, k) of rows whose weight is shared among classes: mass (n, k)."""
    return mass.T @ np.eye(mass.shape[1])[predicted]


def _best_coordinate(
    proba: FloatArray,
    mass: FloatArray,
    weights: FloatArray,
    c: int,
    objective: Objective,
) -> float:
    """Value of `weights[c]` with the highest utility, the others being as they are.

    As it grows, row after row leaves its rival class for c, each at its own break
    point: the confusion matrices in between are cumulative sums.
    """
    rivals = proba * weights
    rivals[:, c] = -1
    rival, strength = rivals.argmax(axis=1), rivals.max(axis=1)
    label = np.where(strength > 0, rival, c)  # whom nobody else wants is always c
    movable = np.flatnonzero((strength > 0) & (proba[:, c] > 0))
    if not movable.size:
        return float(weights[c])
    points = strength[movable] / proba[movable, c]
    order = np.argsort(points, kind="stable")
    points, movable = points[order], movable[order]
    start = _soft_confusion(mass, label)
    moved = _moved_confusions(start, mass[movable], label[movable], c)
    utility = np.concatenate([objective.utility(block, None) for block in moved])
    # Points apart by rounding only are one: no weight would lie between them.
    last = np.flatnonzero(np.diff(points) > _SAME_POINT * points[1:])
    kept = np.concatenate([[0], last + 1, [len(points)]])
    between = np.sqrt(points[last]) * np.sqrt(points[last + 1])
    values = np.concatenate([[points[0] / 2], between, [points[-1] * 2]])
    return float(values[_first_best(utility[kept])])


def _moved_confusions(
    start: FloatArray, mass: FloatArray, label: IntArray, c: int
) -> Iterator[FloatArray]:
    """Confusions before any row moved to c and after each one, in blocks."""
    n_classes = len(start)
    yield start[np.newaxis]
    n_rows = max(1, BLOCK_BYTES // (8 * 8 * n_classes**2))
    for b in range(0, len(mass), n_rows):
        block, left = mass[b : b + n_rows], label[b : b + n_rows]
        change = np.zeros((len(block), n_classes, n_classes))
        change[np.arange(len(block)), :, left] = -block
        change[:, :, c] = block
        confusions = np.maximum(start + change.cumsum(axis=0), 0)
        yield confusions
        start = confusions[-1]


def best_labels(
    y: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    objective: Objective,
    pos: int | None,
) -> IntArray:
    """Return the labels (n,) at the best cut or class weights for these very rows."""
    if pos is None:
        soft = np.eye(proba.shape[1])[y]
        weights = best_class_weights(proba, soft, weight, objective)
        heaviest: IntArray = np.argmax(weights * proba, axis=1)
        return heaviest
    membership, score = (y == pos).astype(float), proba[:, pos]
    cut = best_cuts(score, membership, weight[np.newaxis], objective, pos)[0]
    return np.where(score >= cut, pos, 1 - pos)


def _geometric_mean(weights: FloatArray) -> float:
    return float(np.exp(np.log(weights).mean()))


def _shrunk(weights: FloatArray, class_counts: IntArray) -> FloatArray:
    """Weights (k,) drawn towards 1 for classes with few rows."""
    believed = class_counts / (class_counts + _PRIOR_ROWS)
    shrunk = np.exp(believed * np.log(weights))
    return shrunk / _geometric_mean(shrunk)


# Tuning ------------------------------------------------------------------------------


class Tuned(NamedTuple):
    """A rule, and what bootstrap draws of the rows say of it."""

    rule: Threshold
    interval: tuple[float, float] | None = None
    """The 5 to 95 % range of a cut tuned on each draw."""
    left_out: FloatArray | None = None
    """Confusions (B, 2, 2) of those cuts on the rows that their draw left out."""


def tune_threshold(
    y: IntArray,
    proba: FloatArray,
    proba_crossfitted: FloatArray,
    weight: FloatArray,
    objective: Objective,
    *,
    pos: int | None,
    row_ids: IntArray,
    seed: int,
    shift: PriorShift | None = None,
    costs: FloatArray | None = None,
    n_bootstrap: int = 100,
) -> Tuned:
    """Find the rule that the objective prefers, how sure it is and what it will do.

    The rule applies to `proba`, corrected by `shift` where there is one;
    `proba_crossfitted` stands in for labels where these are few. `costs` (n, k) are
    what `RowCosts` speaks of. Entries of the same row, as repeated cross-validation
    gives them, share a number in `row_ids`: the bootstrap draws them together, and they
    count once where the rows of a class are counted. Rows without weight are left out.
    Of more than 20,000 distinct scores, draws try that many cuts; the rule itself is
    exact.
    """
    kept = weight > 0
    y, row_ids, weight = y[kept], row_ids[kept], weight[kept]
    proba, proba_crossfitted = proba[kept], proba_crossfitted[kept]
    rows = Rows.of(y, row_ids)
    class_counts = np.bincount(rows.label, minlength=proba.shape[1])
    n_rarest = int(class_counts[class_counts > 0].min())
    if isinstance(objective, Constraint):
        weight = as_evidence(weight, row_ids)
    mass = Mass(soft_labels(y, proba_crossfitted, n_rarest), weight)
    row_costs = None if costs is None else costs[kept]
    mass = mass.told(objective, y, shift, row_costs)
    proba = shifted(proba, shift)
    if pos is None:
        weights = best_class_weights(proba, *mass, objective)
        return Tuned(ClassWeights(tuple(_shrunk(weights, class_counts))))
    odds = None if shift is None else shift.odds(pos)
    goal = objective.before(odds) if isinstance(objective, Constraint) else objective
    score = proba[:, pos]
    order = np.argsort(-score, kind="stable")
    ranking = _Ranking.of(score[order], mass.soft[order, pos], pos)
    weight_ranked = mass.weight[np.newaxis, order]
    rule = Cut(float(ranking.best_cuts(weight_ranked, goal)[0]), pos)
    if isinstance(objective, Constraint):
        confusion = _soft_confusion(
            mass.soft * mass.weight[:, np.newaxis], rule.apply(proba)
        )
        _warn_if_unreached(objective, confusion, pos, odds)
    thinned = ranking.thinned(_MAX_DRAWN_CUTS)
    is_positive = y[order] == pos
    expected = (weight if shift is None else shift.row_weights(y, weight))[order]
    drawn, left_out = [], []
    for draw in rows.resampled(order, n_bootstrap, seed):
        best = int(thinned.best(weight_ranked * draw, goal)[0])
        drawn.append(thinned.cuts[best])
        left_out.append(thinned.confusion_at(best, is_positive, expected * (draw == 0)))
    low, high = np.percentile(drawn, [5, 95])
    return Tuned(rule, (float(low), float(high)), np.array(left_out))


def _warn_if_unreached(
    objective: Constraint, confusion: FloatArray, pos: int, odds: float | None
) -> None:
    """Warn where the best cut still breaks the constraint."""
    goal = objective.before(odds)
    if np.isneginf(goal.utility(confusion, pos)):
        best = objective.after(float(goal.bound(confusion, pos)), odds)
        warnings.warn(
            f"No threshold meets {objective!r}: the best lower bound of "
            f"{objective.bounded} at this confidence is {best:.3g}. The threshold that "
            f"reaches it is used; ask for less, or bring more data.",
            UnreachableConstraintWarning,
            stacklevel=3,
        )
