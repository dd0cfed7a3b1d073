"""The winner up close: what its out-of-fold scores and its decision say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._confusion import f_beta, precision, recall
from autoimb._decision import Judged
from autoimb._mass import Rows
from autoimb._metrics import METRICS
from autoimb._report.curves import Bands, bins_of, curves_of, histogram
from autoimb._report.data import FoldRows, PerClass, WinnerSection
from autoimb._report.explorer import explorer_of
from autoimb._report.wording import about_prior, about_threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._decision import Decision
    from autoimb._report.evidence import Evidence


def winner_section(seen: Evidence, code: str) -> WinnerSection | None:
    """Return the winner up close; None where it has no out-of-fold scores."""
    if not seen.finished.is_out_of_fold:
        return None
    return WinnerSection(
        calibration_name=seen.finished.calibrated.label,
        class_labels=tuple(map(str, seen.profile.classes)),
        members=_members(seen),
        fold_rows=_fold_rows(seen),
        code=code,
        **decided(seen.decision),
    )


def _members(seen: Evidence) -> tuple[tuple[str, float], ...]:
    """Return the members of a committee with their shares in the mean."""
    members = seen.selection.members
    total = sum(member.weight for member in members)
    return tuple(
        (seen.space.label(member.strategy), member.weight / total)
        for member in members
        if len(members) > 1
    )


def _fold_rows(seen: Evidence) -> tuple[FoldRows, ...]:
    """Return rows of each class before and after sampling, in the first repeat.

    None where the best single strategy takes the training rows as they are.
    """
    y, folds = seen.problem.table.y, seen.problem.folds
    known = [
        FoldRows(
            before=_class_counts(seen, y[folds[result.number].train_idx]),
            after=result.fitted_counts,
        )
        for result in seen.selection.winner.results
        if result.fitted_counts and folds[result.number].repeat == 0
    ]
    return tuple(known) if any(rows.before != rows.after for rows in known) else ()


def _class_counts(seen: Evidence, y: NDArray[np.intp]) -> tuple[int, ...]:
    """Return the rows of each class."""
    return tuple(np.bincount(y, minlength=len(seen.profile.classes)).tolist())


def decided(decision: Decision) -> dict[str, Any]:
    """Return what depends on the threshold and on the class distribution."""
    judged = Judged(decision)
    return {
        "threshold_objective": decision.objective,
        "threshold": decision.rule.value,
        "threshold_interval": decision.interval,
        "at_default": dict(judged.at_default),
        "at_threshold": dict(judged.at_threshold),
        "expected": judged.expected or None,
        "confusion": tuple(map(tuple, np.rint(judged.confusion).tolist())),
        "per_class": _per_class(judged),
        "explorer": explorer_of(judged),
        "sentences": (*about_prior(decision), *about_threshold(judged)),
        **({} if decision.pos is None else _curves(judged, decision.pos)),
    }


def _curves(judged: Judged, pos: int) -> dict[str, Any]:
    """Return the curves of a class of interest."""
    oof, proba, weight = judged.decision.oof, judged.proba[:, pos], judged.weight
    is_positive = oof.y == pos
    pr_curve, roc_curve = curves_of(is_positive, proba, weight)
    bands = Bands.of(is_positive, proba, weight, Rows.of(oof.y, oof.rows))
    return {
        "no_skill_precision": float(np.average(is_positive, weights=weight)),
        "pr_curve": pr_curve,
        "pr_band": bands.precision,
        "roc_curve": roc_curve,
        "roc_band": bands.true_rate,
        "operating_point": (
            judged.at_threshold["recall"],
            judged.at_threshold["precision"],
        ),
        "calibration_before": bins_of(is_positive, oof.proba[:, pos], weight),
        "calibration_after": bins_of(is_positive, proba, weight),
        "histogram": histogram(is_positive, proba, weight),
    }


def _per_class(judged: Judged) -> tuple[PerClass, ...]:
    """Return how well each class is found."""
    y, confusion = judged.decision.oof.y, judged.confusion
    rank, weights = METRICS["average_precision"].score_many, judged.weight[np.newaxis]
    return tuple(
        PerClass(
            label=str(label),
            precision=float(precision(confusion, code)),
            recall=float(recall(confusion, code)),
            f1=float(f_beta(confusion, code, 1.0)),
            average_precision=float(rank(y, judged.proba, weights, pos=code)[0]),
            support=float(confusion[code].sum()),
        )
        for code, label in enumerate(judged.decision.classes)
    )
