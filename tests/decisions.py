"""Decisions about scores that are made up, for tests of what a report shows."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import f1_score, matthews_corrcoef, precision_score, recall_score

from autoimb._evaluate.out_of_fold import OutOfFold
from autoimb._fit.calibrate import CalibratedScores
from autoimb._fit.decision import Decision, DecisionScores
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
    oof = OutOfFold(rows=entries, y=y, proba=proba, weight=weight, groups=entries % 3)
    decision = Decision(
        requested=requested,
        rule=Cut(rule, pos) if isinstance(rule, float) else rule,
        interval=None,
        shift=shift and PriorShift(*shift),
        oof=oof,
        calibrated=CalibratedScores(None, proba, proba),
        classes=np.array(classes),
        class_weights=np.bincount(y, weight),
        pos=pos,
        costs=None,
        seed=0,
    )
    return DecisionScores(decision)


def numbers_of(is_positive, alert, weight, costs):
    """Return what the explorer shows of alerts, as scikit-learn counts it."""
    call = {"sample_weight": weight, "zero_division": 0.0}
    total = weight.sum()
    cells = {
        "tp": weight[is_positive & alert].sum(),
        "fn": weight[is_positive & ~alert].sum(),
        "fp": weight[~is_positive & alert].sum(),
        "tn": weight[~is_positive & ~alert].sum(),
    }
    return {
        "precision": precision_score(is_positive, alert, **call),
        "recall": recall_score(is_positive, alert, **call),
        "f1": f1_score(is_positive, alert, **call),
        "mcc": matthews_corrcoef(is_positive, alert, sample_weight=weight),
        "alerts": 1000 * weight[alert].sum() / total,
        "cost": 1000 * (costs[0] * cells["fp"] + costs[1] * cells["fn"]) / total,
        **cells,
    }
