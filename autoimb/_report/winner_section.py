"""The report's section on the winner: its out-of-fold scores and its decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._fit.decision import DecisionScores
from autoimb._metrics.confusion import divide, f_beta, precision, recall
from autoimb._metrics.metrics import METRICS
from autoimb._report.curves import Bands, bins_of, curves_of, histogram
from autoimb._report.data import FoldRows, PerClass, WinnerSection
from autoimb._report.explorer_section import explorer_of
from autoimb._report.sentences import (
    about_fold_models,
    about_prior,
    about_row_time,
    about_threshold,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from autoimb._fit.decision import Decision
    from autoimb._report.fit_results import FitResults


def winner_section(results: FitResults, code: str) -> WinnerSection | None:
    """Return the section on the winner; None if it has no out-of-fold scores."""
    if not results.decision.is_out_of_fold:
        return None
    members = results.selection.members
    total = sum(member.weight for member in members)
    return WinnerSection(
        calibration_name=results.decision.calibrated.label,
        class_labels=tuple(map(str, results.decision.classes)),
        members=tuple(
            (results.space.label(member.strategy), member.weight / total)
            for member in members
            if len(members) > 1
        ),
        fold_rows=_fold_rows(results),
        final_fit=(
            *about_fold_models(results.finished.model),
            *about_row_time(results.finished.row_time, results.selection.n_too_slow),
        ),
        code=code,
        **decision_fields(results.decision),
    )


def _fold_rows(results: FitResults) -> tuple[FoldRows, ...]:
    """Return rows of each class before and after resampling, in the first repeat.

    It is empty if the best single strategy does not resample, or was fitted on samples.
    """
    if results.selection.winner.row_sample != ALL_ROWS:
        return ()
    y, folds = results.problem.table.y, results.problem.folds
    n_classes = len(results.profile.classes)
    rows = [
        FoldRows(
            before=tuple(
                np.bincount(y[folds[r.number].train_idx], minlength=n_classes)
            ),
            after=r.fitted_counts,
        )
        for r in results.selection.winner.results
        if r.fitted_counts and folds[r.number].repeat == 0
    ]
    return tuple(rows) if any(fold.before != fold.after for fold in rows) else ()


def decision_fields(decision: Decision) -> dict[str, Any]:
    """Return the fields that depend on the threshold and the class distribution."""
    scores = DecisionScores(decision)
    return {
        "threshold_objective": decision.objective,
        "threshold": decision.rule.value,
        "threshold_interval": decision.interval,
        "at_default": _defined(scores.at_default, scores.n_alerts[1]),
        "at_threshold": _defined(scores.at_threshold, scores.n_alerts[0]),
        "expected": scores.expected or None,
        "confusion": tuple(tuple(whole(row).tolist()) for row in scores.counts),
        "confusion_shares": _shares(scores.counts),
        "per_class": _per_class(scores),
        "explorer": explorer_of(scores),
        "sentences": (*about_prior(decision), *about_threshold(scores)),
        **({} if decision.pos is None else _curve_fields(scores, decision.pos)),
    }


def _defined(metrics: Mapping[str, float], n_alerts: float) -> dict[str, float | None]:
    """Return metrics of labels; without an alert, none for precision."""
    if n_alerts or "precision" not in metrics:
        return dict(metrics)
    return {**metrics, "precision": None}


def whole(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return counts (k,) in whole numbers whose sum is that of the counts.

    Means over repeats are no whole numbers, and each of them rounded by itself could
    give a row too many or too few. The largest remainders are rounded up.
    """
    rounded = np.floor(counts)
    n_up = round(counts.sum() - rounded.sum())
    rounded[np.argsort(rounded - counts, kind="stable")[:n_up]] += 1
    return rounded


def _shares(counts: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Return counts (k, k) as shares of their row; 0 in a row without any."""
    shares = divide(counts, counts.sum(axis=1, keepdims=True))
    return tuple(map(tuple, shares.tolist()))


def _curve_fields(scores: DecisionScores, pos: int) -> dict[str, Any]:
    """Return the fields that hold curves and bins of the class of interest."""
    oof, proba, weight = scores.decision.oof, scores.proba[:, pos], scores.weight
    is_positive = oof.y == pos
    pr_curve, roc_curve = curves_of(is_positive, proba, weight)
    bands, rows = Bands.of(is_positive, proba, weight, oof.units), scores.multiplicity
    at_threshold = scores.at_threshold
    return {
        "no_skill_precision": float(np.average(is_positive, weights=weight)),
        "pr_curve": pr_curve,
        "pr_band": bands.precision,
        "roc_curve": roc_curve,
        "roc_band": bands.true_rate,
        "operating_point": (at_threshold["recall"], at_threshold["precision"]),
        "calibration_before": bins_of(is_positive, oof.proba[:, pos], weight, rows),
        "calibration_after": bins_of(is_positive, proba, weight, rows),
        "histogram": histogram(is_positive, proba, weight),
    }


def _per_class(scores: DecisionScores) -> tuple[PerClass, ...]:
    """Return the metrics of each class."""
    y, confusion = scores.decision.oof.y, scores.confusion
    rank, weights = METRICS["average_precision"].score_many, scores.weight[np.newaxis]
    return tuple(
        PerClass(
            label=str(label),
            precision=float(precision(confusion, code)),
            recall=float(recall(confusion, code)),
            f1=float(f_beta(confusion, code, 1.0)),
            average_precision=float(rank(y, scores.proba, weights, pos=code)[0]),
            support=float(scores.counts[code].sum()),
        )
        for code, label in enumerate(scores.decision.classes)
    )
