"""Decisions about scores that are made up, for tests of what a report shows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from sklearn.metrics import f1_score, matthews_corrcoef, precision_score, recall_score

from autoimb._evaluate.out_of_fold import OutOfFold
from autoimb._fit.calibrate import CalibratedScores
from autoimb._fit.decision import Decision, DecisionScores
from autoimb._metrics.fold_ids import FoldIds
from autoimb._threshold.prior_shift import PriorShift
from autoimb._threshold.rules import Cut


def rows(n=200, share=0.2, levels=None, seed=0):
    """Return which rows are positive, scores (tied if `levels` are few), weights."""
    rng = np.random.default_rng(seed)
    is_positive = rng.random(n) < share
    is_positive[:2] = True, False
    score = 1 / (1 + np.exp(1 - rng.normal(size=n) - 2 * is_positive))
    if levels is not None:
        score = np.floor(score * levels) / levels
    return is_positive, score, rng.uniform(0.5, 2, n)


def entries(y, weight=None, *, ids=None, units=None):
    """Return out-of-fold entries; those with the same id are of the same row."""
    ids = np.arange(len(y)) if ids is None else ids
    multiplicity = 1 / np.bincount(ids)[ids]
    return SimpleNamespace(
        y=y,
        multiplicity=multiplicity,
        weight=multiplicity if weight is None else weight,
        units=ids if units is None else units,
    )


def scored_decision(
    is_positive,
    score,
    weight=None,
    *,
    rule=0.3,
    requested="f1",
    pos=1,
    shift=None,
    classes=("no", "yes"),
):
    """Return how a cut, or another rule, does on scores of the positive class."""
    n = len(score)
    sides = (1 - score, score) if pos == 1 else (score, 1 - score)
    proba, entries = np.column_stack(sides), np.arange(n)
    y = np.where(is_positive, pos, 1 - pos)
    weight = np.ones(n) if weight is None else weight
    oof = OutOfFold(
        rows=entries,
        y=y,
        proba=proba,
        multiplicity=np.ones(n),
        weight=weight,
        folds=FoldIds(np.zeros(n, dtype=int), entries % 3, entries),
        units=entries,
    )
    decision = Decision(
        requested=requested,
        rule=Cut(rule, pos) if isinstance(rule, float) else rule,
        interval=None,
        shift=shift and PriorShift.between(*map(np.array, shift), np.array(shift[0])),
        oof=oof,
        calibrated=CalibratedScores(None, proba, proba),
        classes=np.array(classes),
        class_weights=np.bincount(y, weight),
        class_counts=np.bincount(y).astype(float),
        pos=pos,
        costs=None,
        seed=0,
    )
    return DecisionScores(decision)


def numbers_of(is_positive, alert, scores, costs):
    """Return what the explorer shows of alerts, as scikit-learn counts it."""
    weight, rows = scores.weight, scores.multiplicity
    call = {"sample_weight": weight, "zero_division": 0.0}
    is_miss, is_false_alert = is_positive & ~alert, ~is_positive & alert
    cost = costs[0] * weight[is_false_alert].sum() + costs[1] * weight[is_miss].sum()
    return {
        "precision": precision_score(is_positive, alert, **call),
        "recall": recall_score(is_positive, alert, **call),
        "f1": f1_score(is_positive, alert, **call),
        "mcc": matthews_corrcoef(is_positive, alert, sample_weight=weight),
        "alerts": 1000 * rows[alert].sum() / rows.sum(),
        "cost": 1000 * cost / weight.sum(),
        "tp": rows[is_positive & alert].sum(),
        "fn": rows[is_miss].sum(),
        "fp": rows[is_false_alert].sum(),
        "tn": rows[~is_positive & ~alert].sum(),
    }
