"""The threshold explorer: the counts at every cut on the out-of-fold scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autoimb._report.curves import CutCounts
from autoimb._report.data import ExplorerSection
from autoimb._threshold.objectives import Cost
from autoimb._threshold.rules import Cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._fit.decision import Decision, DecisionScores
    from autoimb._metrics.confusion import FloatArray

_MOST_CUTS = 2000  # about 150 kB in a page, and more than a slider has pixels
_EXAMPLE_COSTS = 1.0, 10.0  # where the user gave none: the reader sets real ones

_METRICS = "precision", "recall", "f1", "mcc"


def explorer_of(scores: DecisionScores) -> ExplorerSection | None:
    """Return the counts at every cut; None if there are more than two classes."""
    decision, pos = scores.decision, scores.decision.pos
    if pos is None:
        return None
    proba = scores.proba[:, pos]
    is_positive = decision.oof.y == pos
    counts = CutCounts.of(is_positive, proba, scores.weight)
    rows = CutCounts.of(is_positive, proba, scores.multiplicity)
    alerted = proba[scores.labels == pos]
    tuned = int(np.count_nonzero(counts.scores >= alerted.min(initial=np.inf)))
    shown = np.union1d(counts.even_steps(1 + _MOST_CUTS), tuned)
    thresholds = _thresholds(counts.scores, decision, tuned, shown)
    requested = decision.requested
    is_cost = isinstance(requested, Cost)
    fp, fn = (requested.fp, requested.fn) if is_cost else (None, None)
    costs = _EXAMPLE_COSTS if fp is None or fn is None else (float(fp), float(fn))
    return ExplorerSection(
        pos_label=str(decision.classes[pos]),
        neg_label=str(decision.classes[1 - pos]),
        thresholds=thresholds,
        scores=tuple(np.append(thresholds[0], counts.scores)[shown].tolist()),
        true_positives=tuple(counts.true_positives[shown].tolist()),
        false_positives=tuple(counts.false_positives[shown].tolist()),
        positive_alerts=tuple(rows.true_positives[shown].tolist()),
        negative_alerts=tuple(rows.false_positives[shown].tolist()),
        tuned=int(np.searchsorted(shown, tuned)),
        at_tuned=_at_tuned(scores, pos, costs),
        costs=costs,
        has_costs=not (fp is None or fn is None),
        is_thinned=len(shown) < len(counts.true_positives),
    )


def _thresholds(
    scores: FloatArray, decision: Decision, tuned: int, shown: NDArray[np.intp]
) -> tuple[float, ...]:
    """Return the cuts above all scores, below the first, …, at the positions `shown`.

    A cut is midway to the next score, as in the search; the tuned one stays where it
    is. It is rounded to few digits that leave every label as it is: above the score
    below, and not above the score that reaches it. If no number lies between the two,
    it is the latter.
    """
    above_all = 1.0 if scores[0] < 1 else 1.01
    ideal = np.concatenate([[above_all], (scores[:-1] + scores[1:]) / 2, [0.0]])
    ideal[tuned] = decision.rule.value if isinstance(decision.rule, Cut) else 0.5
    columns = ideal, np.append(scores, -np.inf), np.append(np.inf, scores)
    thresholds = []
    for cut, lower, upper in zip(*(c[shown].tolist() for c in columns), strict=True):
        rounded = (float(f"{cut:.{digits}g}") for digits in range(3, 18))
        thresholds.append(next((r for r in rounded if lower < r <= upper), upper))
    return tuple(thresholds)


def _at_tuned(
    scores: DecisionScores, pos: int, costs: tuple[float, float]
) -> dict[str, float | None]:
    """Return the numbers that a page shows before its cut is moved."""
    confusion = 1000 * scores.confusion / scores.confusion.sum()
    alerts = 1000 * scores.counts[:, pos].sum() / scores.counts.sum()
    mistakes = np.array([confusion[1 - pos, pos], confusion[pos, 1 - pos]])
    return {
        **{name: scores.at_threshold[name] for name in _METRICS},
        "alerts": float(alerts),
        "cost": float(mistakes @ costs),
    }
