"""What the labels of new rows say, against what the training table promised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta, chi2

from autoimb._metrics.bootstrap import Draws
from autoimb._metrics.calibration import Platt, TemperatureBias, fit_map
from autoimb._metrics.confusion import confusion_matrices, divide_or_nan
from autoimb._metrics.metrics import RankingMetric, log_loss
from autoimb._monitor.data import ClassLabels, LabelsSection
from autoimb._monitor.label_shift import parameters_of
from autoimb._report.curves import bins_of

if TYPE_CHECKING:
    from autoimb._fit.decision import Decision, DecisionScores
    from autoimb._metrics.calibration import Calibration
    from autoimb._metrics.confusion import FloatArray, IntArray
    from autoimb._metrics.metrics import Metric
    from autoimb._monitor.label_shift import LabelShift
    from autoimb._select.honest_score import HonestScore

_N_DRAWS = 50


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """New rows with their labels."""

    y: IntArray
    proba: FloatArray
    """The model's probabilities (n, k) for the shares of the training table."""
    shown: FloatArray
    """Those that it shows: for the shares that are expected."""
    labels: IntArray
    """What it calls the rows."""

    @property
    def counts(self) -> FloatArray:
        """Rows of each class (k,)."""
        n = np.bincount(self.y, minlength=self.proba.shape[1])
        return np.asarray(n, dtype=np.float64)


def labels_section(
    rows: LabelledRows,
    scores: DecisionScores,
    shift: LabelShift,
    metric: Metric,
    honest: HonestScore,
) -> LabelsSection:
    """Return what labels say of the score, the calibration and the threshold."""
    decision = scores.decision
    pos, weight = decision.pos, np.ones(len(rows.y))
    score = metric.score_many(
        rows.y, rows.shown, weight[np.newaxis], pos=pos, y_pred=rows.labels
    )[0]
    promised, span = _promise(rows, decision, metric, honest)
    slope, p_value, gain = _calibration(rows, decision, shift)
    bins: tuple[tuple[float, ...], ...] = ()
    before = bins
    has_positives = pos is not None and rows.counts[pos] > 0
    if pos is not None and has_positives:
        bins = bins_of(rows.y == pos, rows.shown[:, pos], weight, weight)
        oof = decision.oof
        before = bins_of(
            oof.y == pos, scores.proba[:, pos], scores.weight, scores.multiplicity
        )
    return LabelsSection(
        n_rows=len(rows.y),
        metric_label=metric.label,
        score=float(score),
        promised=promised,
        promised_span=span,
        classes=_classes(rows, scores),
        slope=slope,
        calibration_p=p_value,
        calibration_gain=gain,
        bins=bins,
        bins_before=before,
    )


def _promise(
    rows: LabelledRows, decision: Decision, metric: Metric, honest: HonestScore
) -> tuple[float | None, tuple[float | None, float | None]]:
    """Return the honest estimate for rows of these shares, and its interval.

    PR-AUC depends on the shares of the classes. The estimate and the ends of its
    interval on so many new rows move by as much on the logit scale as the score of the
    out-of-fold rows does, when these are weighted to the shares of the new rows.
    """
    if not np.isfinite(honest.estimate) or not (rows.counts > 0).all():
        return None, (None, None)
    ends = (honest.low, honest.high)
    if not isinstance(metric, RankingMetric):
        return honest.estimate, ends
    if np.isfinite(honest.logit_margin):
        # As many rows as would hold so many of the smallest class.
        rarest = int(np.argmin(decision.class_counts))
        share = decision.class_counts[rarest] / decision.class_counts.sum()
        ends = honest.on_new_rows(max(1, round(rows.counts[rarest] / share)))
    oof, own = decision.oof, decision.calibrated.proba
    ratios = rows.counts / rows.counts.sum() * decision.class_weights.sum()
    weights = np.array(
        [oof.weight, oof.weight * (ratios / decision.class_weights)[oof.y]]
    )
    before, after = metric.score_many(oof.y, own, weights, pos=decision.pos)
    before, after = np.clip([before, after], 1e-6, 1 - 1e-6)
    move = logit(after) - logit(before)
    moved = [float(expit(logit(v) + move)) for v in (honest.estimate, *ends)]
    return moved[0], (moved[1], moved[2])


def _calibration(
    rows: LabelledRows, decision: Decision, shift: LabelShift
) -> tuple[float | None, float | None, float | None]:
    """Return the slope that labels ask for, a p-value, and what is to gain.

    The p-value is that of a Wald test: calibration maps fitted on the new rows, at the
    shares of their classes, and on the out-of-fold rows are the same but for chance,
    which the bootstrap of both tells. To gain is a share of the log loss.
    """
    if not (rows.counts > 1).all():
        return None, None, None
    joint = rows.proba * (rows.counts / rows.counts.sum() / shift.before)
    proba = joint / joint.sum(axis=1, keepdims=True)
    k, weight = proba.shape[1], np.ones(len(rows.y))
    found = _map_of(rows.y, proba, weight, decision.pos)
    units = np.arange(len(rows.y))
    drawn = [
        parameters_of(_map_of(rows.y, proba, draw.astype(float), decision.pos), k)
        for draw in Draws.of(rows.y, units, _N_DRAWS, seed=decision.seed)
    ]
    covariance = np.cov(np.array(drawn), rowvar=False)
    covariance += shift.covariance("map_parameters")
    difference = parameters_of(found, k) - shift.estimate.map_parameters
    statistic = difference @ np.linalg.pinv(covariance) @ difference
    now, best = (log_loss(rows.y, p, weight) for p in (proba, found(proba)))
    return (
        float(parameters_of(found, k)[0]),
        float(chi2.sf(statistic, len(difference))),
        1 - best / now if now > 0 else 0.0,
    )


def _map_of(
    y: IntArray, proba: FloatArray, weight: FloatArray, pos: int | None
) -> Calibration:
    """Return the calibration that suits rows best."""
    kind = TemperatureBias if pos is None else Platt
    used = weight > 0
    return fit_map(kind, y[used], proba[used], weight[used], pos)


def _classes(rows: LabelledRows, scores: DecisionScores) -> tuple[ClassLabels, ...]:
    """Return precision and recall of each class, and what was promised."""
    decision, k = scores.decision, rows.proba.shape[1]
    weights = np.ones((1, len(rows.y)))
    found = confusion_matrices(rows.y, rows.labels, weights, k)[0]
    rates = scores.confusion / scores.confusion.sum(axis=1, keepdims=True)
    promised = rows.counts[:, np.newaxis] * rates
    hits, called = np.diag(found), found.sum(axis=0)
    promised_precision = divide_or_nan(np.diag(promised), promised.sum(axis=0))
    return tuple(
        ClassLabels(
            label=str(label),
            count=int(rows.counts[c]),
            share=rows.counts[c] / len(rows.y),
            precision=_share(hits[c], called[c]),
            precision_span=_share_span(hits[c], called[c]),
            recall=_share(hits[c], rows.counts[c]),
            recall_span=_share_span(hits[c], rows.counts[c]),
            promised_precision=float(promised_precision[c]),
            promised_recall=float(rates[c, c]),
        )
        for c, label in enumerate(decision.classes)
    )


def _share(hits: float, trials: float) -> float | None:
    """Return a share; None without trials."""
    return float(hits / trials) if trials > 0 else None


def _share_span(hits: float, trials: float) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a share (Clopper & Pearson 1934)."""
    if trials <= 0:
        return None, None
    low = beta.ppf(0.025, hits, trials - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(0.975, hits + 1, trials - hits) if hits < trials else 1.0
    return float(low), float(high)
