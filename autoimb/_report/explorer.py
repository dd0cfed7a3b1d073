"""The threshold explorer: every cut on the out-of-fold scores, counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autoimb._objectives import Cost
from autoimb._report.curves import Found
from autoimb._report.data import CutNumbers, ExplorerSection
from autoimb._threshold import Cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._confusion import FloatArray
    from autoimb._decision import Decision, Judged

_MOST_CUTS = 2000  # about 150 kB in a page, and more than a slider has pixels
_EXAMPLE_COSTS = 1.0, 10.0  # a start: what a miss really costs only the user knows


def explorer_of(judged: Judged) -> ExplorerSection | None:
    """Return what every cut finds; None where no class is the one of interest."""
    decision, pos = judged.decision, judged.decision.pos
    if pos is None:
        return None
    score = judged.proba[:, pos]
    found = Found.of(decision.oof.y == pos, score, judged.weight)
    alerted = score[judged.labels == pos]
    tuned = int(np.count_nonzero(found.scores >= alerted.min(initial=np.inf)))
    targets = _targets(found.scores, decision, tuned)
    kept = np.union1d(found.even_steps(1 + _MOST_CUTS), tuned)
    thresholds = _thresholds(found.scores, kept, targets)
    costs = _costs(decision)
    return ExplorerSection(
        pos_label=str(decision.classes[pos]),
        neg_label=str(decision.classes[1 - pos]),
        thresholds=thresholds,
        scores=_numbers(np.append(thresholds[0], found.scores)[kept]),
        true_positives=_numbers(found.hits[kept]),
        false_positives=_numbers(found.false_alerts[kept]),
        n_positive=float(found.hits[-1]),
        n_negative=float(found.false_alerts[-1]),
        tuned=int(np.searchsorted(kept, tuned)),
        at_tuned=_at_tuned(judged, pos, costs),
        costs=costs,
        is_thinned=len(kept) < len(found.hits),
    )


def _targets(scores: FloatArray, decision: Decision, tuned: int) -> FloatArray:
    """Return where cuts (g + 1,) for nobody, the first score, … should best lie.

    That is midway to the next score, as in the search, but for the tuned one.
    """
    nobody = 1.0 if scores[0] < 1 else 1.01
    targets = np.concatenate([[nobody], (scores[:-1] + scores[1:]) / 2, [0.0]])
    targets[tuned] = decision.rule.cut if isinstance(decision.rule, Cut) else 0.5
    return targets


def _thresholds(
    scores: FloatArray, kept: NDArray[np.intp], targets: FloatArray
) -> tuple[float, ...]:
    """Return the kept cuts in as few digits as leave every label as it is."""
    upper, lower = np.append(np.inf, scores), np.append(scores, -np.inf)
    between = zip(targets[kept], lower[kept], upper[kept], strict=True)
    return tuple(_shortest(*map(float, numbers)) for numbers in between)


def _shortest(target: float, lower: float, upper: float) -> float:
    """Return `target` in few digits, but above `lower` and not above `upper`.

    Neighbouring numbers have nothing between them, so that `upper` itself remains.
    """
    rounded = (float(f"{target:.{digits}g}") for digits in range(3, 18))
    return next((r for r in rounded if lower < r <= upper), upper)


def _numbers(values: FloatArray) -> tuple[float, ...]:
    """Return plain numbers."""
    return tuple(values.tolist())


def _costs(decision: Decision) -> tuple[float, float]:
    """Return what a false alert and a miss cost, as far as the user said."""
    asked = decision.asked
    if isinstance(asked, Cost) and asked.fp is not None and asked.fn is not None:
        return float(asked.fp), float(asked.fn)
    return _EXAMPLE_COSTS


def _at_tuned(judged: Judged, pos: int, costs: tuple[float, float]) -> CutNumbers:
    """Return the numbers that a page shows before its cut is moved."""
    confusion, metrics = judged.confusion, judged.at_threshold
    per_thousand = 1000 / confusion.sum()
    wrong = np.array([confusion[1 - pos, pos], confusion[pos, 1 - pos]])
    return CutNumbers(
        precision=metrics["precision"],
        recall=metrics["recall"],
        f1=metrics["f1"],
        mcc=metrics["mcc"],
        alerts=float(per_thousand * confusion[:, pos].sum()),
        cost=float(per_thousand * wrong @ costs),
    )
