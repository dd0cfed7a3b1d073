"""`monitor`: the report of what new rows say of a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autoimb._fit.decision import DecisionScores
from autoimb._fit.prediction_sets import check_out_of_fold, prediction_sets
from autoimb._metrics.confusion import divide_or_nan
from autoimb._monitor.columns import column_rows
from autoimb._monitor.data import ClassRow, MonitorData, QueueRow
from autoimb._monitor.drift import Mix, compare
from autoimb._monitor.label_shift import estimate_label_shift
from autoimb._monitor.labelled import LabelledRows, labels_section
from autoimb._monitor.render import MonitorReport
from autoimb._monitor.sentences import doubts_about, findings_of, verdict_of
from autoimb._table.table import check_labels, check_lengths, codes_of, label_array

if TYPE_CHECKING:
    from autoimb._fit.decision import Decision
    from autoimb._fit.fitted_model import FittedModel
    from autoimb._metrics.confusion import FloatArray, IntArray
    from autoimb._metrics.metrics import Metric
    from autoimb._monitor.data import ColumnRow
    from autoimb._monitor.label_shift import LabelShift
    from autoimb._monitor.reference import Reference
    from autoimb._select.honest_score import HonestScore
    from autoimb._table.columns import Schema

_LEAST_SHARE = 1e-6
COVERAGE = 0.9
"""Of each class by the sets that a report counts."""
_SCORE_BINS = 20
_N_CANDIDATES = (5, 25)
"""Fewest and most shares of the classes that columns are compared with."""
_MOST_TESTS = 5_000  # columns times candidates: bounds the seconds on wide tables


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Deployed:
    """A fitted model, and what is known of its training table."""

    model: FittedModel
    decision: Decision
    schema: Schema
    reference: Reference
    metric: Metric
    honest: HonestScore
    name: str
    """What predicts, in words."""


def monitor(deployed: Deployed, X: Any, y: Any) -> MonitorReport:
    """Return what checked rows X, and their labels y unless None, say of a model."""
    decision = deployed.decision
    check_out_of_fold(decision, "monitor")
    proba = replace(deployed.model, shift=None).proba(deployed.schema.canonical(X))
    labels = decision.labels_of(proba)
    independent_share = deployed.reference.independent_share
    shift = estimate_label_shift(decision, proba, labels, independent_share)
    now = Mix(shift.estimate.shares, shift.covariance("shares"))
    scores, section = DecisionScores(decision), None
    rows = None if y is None else _labelled(decision, proba, labels, y)
    if rows is not None:
        section = labels_section(rows, scores, shift, deployed.metric, deployed.honest)
    data = MonitorData(
        title="Monitoring report",
        created=date.today().isoformat(),
        model=deployed.name,
        n_rows=len(proba),
        n_rows_before=int(decision.class_counts.sum()),
        pos_label="" if decision.pos is None else str(decision.classes[decision.pos]),
        classes=_class_rows(scores, shift, labels),
        columns=_columns(deployed, X, shift),
        queue=_queue(decision, proba),
        labels=section,
        **_score_fields(decision, proba, independent_share, now),
    )
    data = replace(data, doubts=doubts_about(shift, data))
    data = replace(data, verdict=verdict_of(data), findings=findings_of(data))
    return MonitorReport(data, _prior(decision, shift.estimate.shares))


def _columns(deployed: Deployed, X: Any, shift: LabelShift) -> tuple[ColumnRow, ...]:
    """Return how the columns changed, for the shares that the classes may have now."""
    reference = deployed.reference
    n_independent = deployed.decision.class_weights * reference.independent_share
    schema = replace(deployed.schema, is_raw=False)
    counts = reference.counts_of(schema.canonical(X), schema)
    n_candidates = int(np.clip(_MOST_TESTS // len(counts), *_N_CANDIDATES))
    return column_rows(
        reference,
        counts,
        schema,
        Mix.of_counts(n_independent),
        shift.candidates(n_candidates),
        shift.other_shares(n_candidates),
    )


def _labelled(
    decision: Decision, proba: FloatArray, labels: IntArray, y: Any
) -> LabelledRows | None:
    """Return the rows whose labels are known; None without any.

    Those of classes that are set aside are left out.
    """
    y = label_array(y)
    check_lengths(X=proba, y=y)
    known = np.flatnonzero(pd.notna(y))
    all_classes = decision.all_classes
    codes = codes_of(check_labels(y[known]), all_classes)
    searched = decision.set_aside.others(len(all_classes))
    is_searched = np.isin(codes, searched)
    known, codes = known[is_searched], np.searchsorted(searched, codes[is_searched])
    if not len(known):
        return None
    moved = decision.moved(proba[known])
    return LabelledRows(codes, proba[known], moved, labels[known])


def _prior(decision: Decision, shares: FloatArray) -> float | dict[Any, float]:
    """Return shares of the searched classes as `set_prior` takes them: above 0."""
    positive = np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE)
    if decision.pos is not None:
        return float(positive[decision.pos])
    every = decision.set_aside.add_columns(positive[np.newaxis] / positive.sum())[0]
    labels = decision.all_classes.tolist()
    return dict(zip(labels, (every / every.sum()).tolist(), strict=True))


def _class_rows(
    scores: DecisionScores, shift: LabelShift, labels: IntArray
) -> tuple[ClassRow, ...]:
    """Return how frequent each class is, and what answers are worth."""
    decision, found, k = scores.decision, shift.estimate, len(shift.before)
    called = np.bincount(labels, minlength=k)
    before = scores.counts.sum(axis=0) / scores.counts.sum()
    promised = _promised(scores)
    spans = {
        name: [(low, high) for low, high in shift.interval(name).T.tolist()]
        for name in ("shares", "by_confusion", "precision", "recall")
    }
    return tuple(
        ClassRow(
            label=str(decision.classes[c]),
            before=shift.before[c],
            share=found.shares[c],
            share_span=spans["shares"][c],
            by_confusion=found.by_confusion[c],
            by_confusion_span=spans["by_confusion"][c],
            n_called=int(called[c]),
            n_called_before=before[c] * len(labels),
            precision=found.precision[c],
            precision_span=spans["precision"][c],
            recall=found.recall[c],
            recall_span=spans["recall"][c],
            promised_precision=promised["precision"][c],
            promised_recall=promised["recall"][c],
        )
        for c in range(k)
    )


def _promised(scores: DecisionScores) -> dict[str, FloatArray]:
    """Return precision and recall of each class (k,) on out-of-fold rows."""
    hits = np.diag(scores.confusion)
    promised = {
        "precision": divide_or_nan(hits, scores.confusion.sum(axis=0)),
        "recall": divide_or_nan(hits, scores.confusion.sum(axis=1)),
    }
    pos = scores.decision.pos
    for name, values in promised.items():
        # Of a tuned cut, what the rows say that it was tuned on is too high.
        if pos is not None and name in scores.expected:
            values[pos] = scores.expected[name][0]
    return promised


def _score_fields(
    decision: Decision, proba: FloatArray, independent_share: float, now: Mix
) -> dict[str, Any]:
    """Return how scores changed beyond the shares of the classes, and a histogram.

    The score is the probability of the class of interest, or that of the most probable
    of several classes.
    """
    oof, pos, k = decision.oof, decision.pos, proba.shape[1]
    old, new = (
        p.max(axis=1) if pos is None else p[:, pos]
        for p in (decision.calibrated.proba, proba)
    )
    edges = _score_edges(decision, old)
    n_bins = len(edges) + 1
    bins = oof.y * n_bins + np.searchsorted(edges, old)
    weight = independent_share * oof.multiplicity
    counts = np.bincount(bins, weight, minlength=k * n_bins).reshape(k, n_bins)
    weight = np.full(len(new), independent_share)
    found = np.bincount(np.searchsorted(edges, new), weight, minlength=n_bins)
    expected = now.shares @ (counts / counts.sum(axis=1, keepdims=True))
    ends = np.concatenate([[0.0], edges, [1.0]]).tolist()
    comparison = compare(counts.astype(float), found.astype(float), now)
    return {
        "score_distance": comparison.distance,
        "score_excess": comparison.excess,
        "score_p": comparison.p_value,
        "histogram": tuple(
            zip(ends[:-1], ends[1:], expected, found / found.sum(), strict=True)
        ),
    }


def _score_edges(decision: Decision, score: FloatArray) -> FloatArray:
    """Return the ends of bins of the out-of-fold scores (n,).

    Bins hold as much of the classes together where each class counts as much as any
    other, so that a rare one has bins of its own.
    """
    oof, order = decision.oof, np.argsort(score, kind="stable")
    reached = np.cumsum((oof.multiplicity / decision.class_counts[oof.y])[order])
    steps = reached[-1] * np.arange(1, _SCORE_BINS) / _SCORE_BINS
    return np.unique(score[order][np.searchsorted(reached, steps)])


def _queue(decision: Decision, proba: FloatArray) -> tuple[QueueRow, ...]:
    """Return how many rows have each kind of prediction set."""
    sets = prediction_sets(decision, proba, COVERAGE)
    n_in = sets.sum(axis=1)
    counts = {"surely of one class": n_in == 1}
    if decision.pos is not None:
        counts = {
            f"surely {label}": sets[:, code] & (n_in == 1)
            for code, label in enumerate(decision.classes)
        }
    counts |= {"could be several": n_in > 1, "unlike every class": n_in == 0}
    return tuple(
        QueueRow(answer=answer, count=int(rows.sum()))
        for answer, rows in counts.items()
    )
