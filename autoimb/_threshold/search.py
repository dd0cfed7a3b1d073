"""The exact search for the rule that an objective prefers.

`tune_threshold` is the way in. For two classes, rows are sorted by falling score: each
distinct score gives a cut, cumulative sums give the confusion matrix of each cut, and
the cut whose matrix has the highest utility is taken. For more classes, the weight of
one class at a time gets its exact best value in the same way. The cut is searched again
on bootstrap draws of the rows, for its interval and for its results on rows left out.
Array shapes are those of `autoimb._metrics`.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gmean

from autoimb._metrics.bootstrap import Draws, interval
from autoimb._metrics.confusion import FloatArray, IntArray, weighted_counts
from autoimb._threshold.evidence import (
    Entries,
    Evidence,
    evidence_for,
    soft_labels,
)
from autoimb._threshold.independent_rows import IndependentRows
from autoimb._threshold.objectives import Constraint, ThresholdObjective, at_odds
from autoimb._threshold.prior_shift import PriorShift, shifted
from autoimb._threshold.rules import ClassWeights, Cut, Threshold
from autoimb.exceptions import UnreachableConstraintWarning, warn

_PRIOR_ROWS = 10
"""How strongly class weights are drawn towards 1 (our choice): with 10 rows of a class,
the logarithm of its weight is halved."""

_MAX_PASSES = 10
"""Most passes over the classes; two or three are nearly always enough."""

_WORTH_A_PASS = 1e-4
"""Gain, as a share of the utility, from which on another pass follows: one row in
10,000, far less than a standard error. With 91,000 entries of 18 classes, passes went
on and on for gains in the fifth digit."""

_COMPARED_CELLS = 500_000
"""Cells of all the confusions that are compared at once: they stay in the cache."""

_MIN_COMPARED = 50
"""Confusions that are compared at once at least, however many classes there are."""

_SAME_POINT = 1e-9
"""Relative difference of class weights that is taken for rounding."""

_TIE = 1e-12
"""Utilities closer than this, relatively, are equal: another order of summing changes
them by less."""

_MAX_DRAWN_CUTS = 20_000
"""Cuts that are compared in each bootstrap draw. With fewer cuts the ends of the
interval move a little, much less than one draw differs from another. The cut itself is
exact."""


# Tuning ------------------------------------------------------------------------------


class TunedRule(NamedTuple):
    """A rule, and its results on bootstrap draws of the rows."""

    rule: Threshold
    interval: tuple[float, float] | None = None
    """The 5 to 95 % range of a cut tuned on each draw."""
    left_out: FloatArray | None = None
    """Confusions (B, 2, 2) of those cuts on the rows that their draw left out."""


def tune_threshold(
    entries: Entries,
    proba: FloatArray,
    proba_crossfitted: FloatArray,
    objective: ThresholdObjective,
    *,
    pos: int | None,
    seed: int,
    shift: PriorShift | None = None,
    costs: FloatArray | None = None,
    n_draws: int = 100,
) -> TunedRule:
    """Return the rule that the objective prefers, its interval and what to expect.

    The rule applies to the `proba` of the entries, corrected by `shift` if there is
    one; `proba_crossfitted` is mixed into the labels if the rarest class has few rows.
    `costs` (n, k) are those that `RowCosts` minimises. Entries of the same unit, a row
    or a group of rows, are drawn together, and count once where the rows of a class are
    counted. With more than 20,000 distinct scores, each draw compares about 20,000
    cuts; the rule itself is exact.
    """
    class_counts = _units_of_classes(entries, proba.shape[1])
    n_rarest = int(class_counts[class_counts > 0].min())
    soft = soft_labels(entries.y, proba_crossfitted, n_rarest)
    evidence = evidence_for(objective, entries, soft, shift=shift, costs=costs)
    proba = shifted(proba, shift)
    if pos is not None:
        draws = Draws.of(entries.y, entries.units, n_draws, seed)
        score = proba[:, pos]
        return _tune_cut(
            entries, score, evidence, objective, pos=pos, shift=shift, draws=draws
        )
    products = evidence.class_shares * evidence.weight[:, np.newaxis]
    weights = _shrunk(best_class_weights(proba, products, objective), class_counts)
    return TunedRule(ClassWeights(tuple(weights.tolist())))


def _units_of_classes(entries: Entries, n_classes: int) -> IntArray:
    """Return how many units (k,) have entries of each class."""
    units = np.unique(entries.units, return_inverse=True)[1]
    pairs = np.unique(units * n_classes + entries.y)
    return np.bincount(pairs % n_classes, minlength=n_classes)


def _tune_cut(
    entries: Entries,
    score: FloatArray,
    evidence: Evidence,
    objective: ThresholdObjective,
    *,
    pos: int,
    shift: PriorShift | None,
    draws: Draws,
) -> TunedRule:
    """Return the best cut of scores (n,), and the results of cuts tuned on draws.

    The results on rows that a draw left out are by label, scaled to the class shares
    after the shift.
    """
    order = np.argsort(-score, kind="stable")
    y, units, weight = entries.y[order], entries.units[order], entries.weight[order]
    ranked = _RankedCuts.of(
        score[order], evidence.class_shares[order, pos], evidence.weight[order], pos
    )
    is_positive, odds_ratio, goal = y == pos, 1.0, objective
    if shift is not None:
        odds_ratio = float(shift.ratios[pos] / shift.ratios[1 - pos])
    if isinstance(objective, Constraint):
        goal, rows = objective.before_shift(odds_ratio), entries.multiplicity[order]
        about = objective.bounded, is_positive, weight, rows, units
        independent = IndependentRows.of(*about, goal.error_level)
        ranked = replace(ranked, independent=independent)
    best, confusion = ranked.best(goal)
    if isinstance(objective, Constraint):
        _warn_if_unreachable(objective, confusion, pos, odds_ratio)
    rule, thin = Cut(float(ranked.cuts[best]), pos), ranked.thinned(_MAX_DRAWN_CUTS)
    expected_weight = weight if shift is None else weight * shift.ratios[y]
    cuts, left_out = [], []
    for counts in draws:
        draw = counts[order]
        best, _ = thin.best(goal, draw)
        cuts.append(thin.cuts[best])
        unseen_weight = expected_weight * (draw == 0)
        left_out.append(thin.confusion_at(best, is_positive * 1.0, unseen_weight))
    low, high = interval(np.array(cuts), 0.9)
    return TunedRule(rule, (float(low), float(high)), np.array(left_out))


def _warn_if_unreachable(
    objective: Constraint, confusion: FloatArray, pos: int, odds_ratio: float
) -> None:
    """Warn if the best cut still breaks the constraint."""
    goal = objective.before_shift(odds_ratio)
    if np.isneginf(goal.utility(confusion, pos)):
        best = float(goal.bound(confusion, pos))
        if goal is not objective:  # a precision, which is another one after a shift
            best = at_odds(best, odds_ratio)
        warn(
            f"No threshold meets {objective!r}: the best lower bound of "
            f"{objective.bounded} at this confidence is {best:.3g}. The threshold that "
            f"reaches it is used; lower the constraint, or use more rows.",
            UnreachableConstraintWarning,
        )


def _shrunk(weights: FloatArray, class_counts: IntArray) -> FloatArray:
    """Return class weights (k,), drawn towards 1 for classes with few rows."""
    kept_share = class_counts / (class_counts + _PRIOR_ROWS)
    shrunk = np.exp(kept_share * np.log(weights))
    return np.asarray(shrunk / gmean(shrunk))


# Two classes -------------------------------------------------------------------------


def best_cut(
    score: FloatArray,
    positive_share: FloatArray,
    weight: FloatArray,
    objective: ThresholdObjective,
    pos: int,
) -> float:
    """Return the cut that maximises the objective.

    `positive_share` (n,) in [0, 1] is how much of each row counts as positive: 0 or 1
    for a label. All distinct cuts are compared, and also a cut above all scores. Of
    equal utilities, the cut with fewer alerts is taken; where a constraint forbids
    every cut, the one that comes nearest.
    """
    order = np.argsort(-score, kind="stable")
    ranked = _RankedCuts.of(score[order], positive_share[order], weight[order], pos)
    return float(ranked.cuts[ranked.best(objective)[0]])


@dataclass(frozen=True, eq=False)
class _RankedCuts:
    """Rows by falling score, and the cuts between them that are compared."""

    cuts: FloatArray
    """Cuts (g + 1,), falling; no row reaches the first one."""
    last: IntArray
    """The last row (g,) that reaches each of the other cuts."""
    positive_share: FloatArray
    """Each row's share (n,) of being positive."""
    weight: FloatArray
    """How much each row (n,) counts."""
    pos: int
    independent: IndependentRows | None = None
    """For a constraint, how many independent rows those that reach a cut are."""

    @classmethod
    def of(
        cls,
        score: FloatArray,
        positive_share: FloatArray,
        weight: FloatArray,
        pos: int,
    ) -> "_RankedCuts":
        """Return all distinct cuts of falling scores (n,).

        A cut lies midway to the next score, so that it suits new rows as well.
        """
        last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
        distinct = score[last]
        upper, lower = distinct[:-1], distinct[1:]
        middle = lower + (upper - lower) / 2
        between = np.where(middle > lower, middle, upper)
        above_all = np.nextafter(distinct[0], np.inf)
        cuts = np.concatenate([[above_all], between, distinct[-1:]])
        return cls(cuts, last, positive_share, weight, pos)

    def thinned(self, n_most: int) -> "_RankedCuts":
        """Return about so many of the cuts, the lowest one included.

        Half of them are evenly spaced by position, half by number of positives.
        """
        if len(self.last) <= n_most:
            return self
        evenly = np.linspace(0, len(self.last) - 1, n_most // 2).astype(int)
        found = self.positive_share.cumsum()[self.last]
        levels = np.linspace(0, found[-1], n_most - n_most // 2)
        chosen = np.union1d(evenly, np.searchsorted(found, levels))
        cuts = self.cuts[np.append(0, chosen + 1)]
        return replace(self, cuts=cuts, last=self.last[chosen])

    def best(
        self, objective: ThresholdObjective, draw: NDArray[np.uint8] | None = None
    ) -> tuple[int, FloatArray]:
        """Return the position of the best cut, and its confusion (2, 2).

        On a draw, the rows count as often as it holds them.
        """
        weight = self.weight if draw is None else self.weight * draw
        confusions = self._confusions(weight)
        if self.independent is not None:
            scale = self.independent.at(self.last, draw)
            confusions = confusions * scale[:, np.newaxis, np.newaxis]
        utility = objective.utility(confusions, self.pos)
        if isinstance(objective, Constraint) and np.isneginf(utility).all():
            utility = objective.bound(confusions, self.pos)
        best = _first_best(utility)
        return best, confusions[best]

    def confusion_at(
        self, at: int, positive_share: FloatArray, weight: FloatArray
    ) -> FloatArray:
        """Return the confusion (2, 2) of one cut, for other shares and weights (n,)."""
        n_alerts = 0 if at == 0 else int(self.last[at - 1]) + 1
        confusion = np.empty((2, 2))
        shares = {self.pos: positive_share, 1 - self.pos: 1 - positive_share}
        for truth, share in shares.items():
            of_class = weight * share
            confusion[truth, self.pos] = of_class[:n_alerts].sum()
            confusion[truth, 1 - self.pos] = of_class[n_alerts:].sum()
        return confusion

    def _confusions(self, weight: FloatArray) -> FloatArray:
        """Return the confusions (g + 1, 2, 2) of the cuts.

        Cells are the first axis in memory, so that formulas run fast along the cuts.
        """
        cells = np.zeros((2, 2, len(self.cuts)))
        first = np.append(0, self.last[:-1] + 1)
        shares = {self.pos: self.positive_share, 1 - self.pos: 1 - self.positive_share}
        for truth, share in shares.items():
            alerts = np.add.reduceat(weight * share, first).cumsum()
            cells[truth, self.pos, 1:] = alerts
            cells[truth, 1 - self.pos] = alerts[-1]
            cells[truth, 1 - self.pos, 1:] -= alerts
        return np.moveaxis(cells, (0, 1), (-2, -1))


def _first_best(utility: FloatArray) -> int:
    """Return the index of the first of the largest values (m,), up to rounding."""
    best = utility.max()
    return int(np.argmax(utility >= best - _TIE * max(abs(best), 1)))


# More than two classes ---------------------------------------------------------------


def best_class_weights(
    proba: FloatArray, evidence: FloatArray, objective: ThresholdObjective
) -> FloatArray:
    """Return weights (k,) for argmax(weights * proba), never worse than weights of one.

    `evidence` (n, k) holds each row's weight, divided among the classes. Coordinate
    ascent: one class weight at a time takes its best value, until a pass over the
    classes gains next to nothing.
    """
    evidence = np.asfortranarray(evidence)  # it is summed class by class
    weights = np.ones(proba.shape[1])
    best = _utility_at(weights, proba, evidence, objective)
    for _ in range(_MAX_PASSES):
        before = best
        for c in range(len(weights)):
            trial = weights.copy()
            trial[c] = _best_coordinate(proba, evidence, weights, c, objective)
            utility = _utility_at(trial, proba, evidence, objective)
            if utility > best + _TIE:
                weights, best = trial, utility
        if best - before <= _WORTH_A_PASS * abs(best):
            break
    return np.asarray(weights / gmean(weights))


def _utility_at(
    weights: FloatArray,
    proba: FloatArray,
    evidence: FloatArray,
    objective: ThresholdObjective,
) -> float:
    """Return the objective's utility of the labels that class weights (k,) give."""
    predicted = (proba * weights).argmax(axis=1)
    confusion = weighted_counts(predicted, evidence.T, len(weights))
    return float(objective.utility(confusion, None))


def _best_coordinate(
    proba: FloatArray,
    evidence: FloatArray,
    weights: FloatArray,
    c: int,
    objective: ThresholdObjective,
) -> float:
    """Return the value of `weights[c]` with the highest utility, the others fixed.

    As the weight of c grows, rows change one by one from their best other class to c,
    each at its own break point.
    """
    others = proba * weights
    others[:, c] = -1
    label = others.argmax(axis=1)
    strength = others[np.arange(len(others)), label]
    label = np.where(strength > 0, label, c)
    movable = np.flatnonzero((strength > 0) & (proba[:, c] > 0))
    if not movable.size:
        return float(weights[c])
    points = strength[movable] / proba[movable, c]
    order = np.argsort(points, kind="stable")
    points, movable = points[order], movable[order]
    # Points that differ only by rounding are one: no weight lies between them.
    last = np.flatnonzero(np.diff(points) > _SAME_POINT * points[1:])
    between = np.sqrt(points[last]) * np.sqrt(points[last + 1])
    values = np.concatenate([[points[0] / 2], between, [points[-1] * 2]])
    moves = _MovesToClass(
        c,
        weighted_counts(label, evidence.T, len(weights)),
        np.take(evidence.T, movable, axis=1),
        label[movable],
        np.concatenate([[0], last + 1, [len(points)]]),
    )
    return float(values[moves.best(objective)])


@dataclass(frozen=True, eq=False)
class _MovesToClass:
    """Rows that move to a class one after the other, and where to stop."""

    c: int
    start: FloatArray
    """The confusion (k, k) before any row moves."""
    evidence: FloatArray
    """How much each row counts as each class (k, m), in the order of the moves."""
    label: IntArray
    """The class (m,) that each row leaves."""
    stops: IntArray
    """Numbers of rows moved (s,), ascending, among which the best is sought."""

    def best(self, objective: ThresholdObjective) -> int:
        """Return the position of the stop with the highest utility.

        Where there are too many stops to compare at once, some are compared, then those
        around the best of them.
        """
        n_most = max(_MIN_COMPARED, _COMPARED_CELLS // self.start.size)
        first, last = 0, len(self.stops) - 1
        while True:
            shown = self._thinned(first, last, n_most)
            utility = objective.utility(self._confusions(self.stops[shown]), None)
            best = _first_best(utility)
            if len(shown) == last - first + 1:
                return int(shown[best])
            first, last = shown[max(best - 1, 0)], shown[min(best + 1, len(shown) - 1)]

    def _thinned(self, first: int, last: int, n_most: int) -> IntArray:
        """Return at most so many positions of stops from the first to the last.

        Half of them are evenly spaced by position, half by evidence of the class.
        """
        if last - first < n_most:
            return np.arange(first, last + 1)
        evenly = np.linspace(first, last, n_most // 2).astype(int)
        found = np.append(0, self.evidence[self.c].cumsum())[self.stops[first:last]]
        levels = np.linspace(found[0], found[-1], n_most - n_most // 2)
        return np.union1d(evenly, first + np.searchsorted(found, levels))

    def _confusions(self, stops: IntArray) -> FloatArray:
        """Return the confusions (s, k, k) at some stops."""
        k, sizes = len(self.start), np.diff(stops, prepend=0, append=len(self.label))
        span = np.repeat(np.arange(len(sizes)), sizes)
        cells = span * k + self.label
        left = weighted_counts(cells, self.evidence, len(sizes) * k)
        left = left.reshape(k, -1, k)[:, :-1].cumsum(axis=1)  # [true, stop, class left]
        confusions = self.start[:, np.newaxis] - left
        confusions[..., self.c] += left.sum(axis=2)
        return np.moveaxis(np.maximum(confusions, 0), 1, 0)


# Any number of classes ---------------------------------------------------------------


def best_labels(
    y: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    objective: ThresholdObjective,
    pos: int | None,
) -> IntArray:
    """Return the labels (n,) at the best cut or class weights for these very rows."""
    if pos is None:
        evidence = np.eye(proba.shape[1])[y] * weight[:, np.newaxis]
        weights = best_class_weights(proba, evidence, objective)
        return ClassWeights(tuple(weights.tolist())).apply(proba)
    is_positive = (y == pos).astype(float)
    cut = best_cut(proba[:, pos], is_positive, weight, objective, pos)
    return Cut(cut, pos).apply(proba)
