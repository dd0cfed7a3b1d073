"""The score to expect of few rows has no bias, and is what one counts by hand."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import norm
from sklearn.metrics import average_precision_score
from tables import context_of, numeric, problem_of

from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._metrics.expected_score import expected_average_precision, trained_on_all
from autoimb._metrics.metrics import METRICS


def by_hand(is_positive, score, weight, units):
    """Return the precision at each positive's score, counted row by row."""
    precisions, holds = [], weight > 0
    positives = np.flatnonzero(is_positive & holds)
    for row in positives:
        is_other = (units != units[row]) & holds
        counted = is_other & (score >= score[row])
        if not counted.any():
            counted = is_other & (score == score[is_other].max())
        alerts = []
        for part in (is_positive, ~is_positive):
            others = weight[is_other & part].sum()
            share = weight[counted & part].sum() / others if others else 0.0
            alerts.append(share * weight[part].sum())
        precisions.append(alerts[0] / sum(alerts))
    return np.average(precisions, weights=weight[positives])


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_precision_among_other_rows(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 60))
    is_positive = rng.random(n) < 0.4
    is_positive[:2] = True
    score = rng.integers(0, 9, n) / 9 if seed % 2 else rng.random(n)
    weight = np.where(np.arange(n) < 2, 1.0, rng.choice([0.0, 0.1, 2.5], n))
    units = np.arange(n) if seed % 3 else np.r_[0, 1, rng.integers(0, 9, n - 2)]
    expected = by_hand(is_positive, score, weight, units)
    found = expected_average_precision(is_positive, score, weight, units)
    assert found == pytest.approx(expected)


def drawn_scores(n_positives, distance, rng):
    """Return labels and scores of ten times as many rows, positives further up."""
    is_positive = np.arange(10 * n_positives) < n_positives
    return is_positive, rng.normal(size=len(is_positive)) + distance * is_positive


def true_average_precision(distance):
    """Return that of all rows there could be: the integral of precision over recall."""
    cuts = np.linspace(8 + distance, -8, 200_001)
    recall, alerts = norm.sf(cuts - distance), 9 * norm.sf(cuts)
    return np.trapezoid(recall / (recall + alerts), recall)


@pytest.mark.parametrize(("n_positives", "distance"), [(8, 0.5), (8, 1.5), (15, 1.5)])
def test_it_has_no_bias_where_average_precision_has(n_positives, distance):
    rng = np.random.default_rng(n_positives)
    ones, rows = np.ones(10 * n_positives), np.arange(10 * n_positives)
    usual, found = [], []
    for _ in range(500):
        is_positive, score = drawn_scores(n_positives, distance, rng)
        ranks = np.flatnonzero(is_positive[np.argsort(-score)]) + 1
        usual.append(np.mean(np.arange(1, n_positives + 1) / ranks))
        found.append(expected_average_precision(is_positive, score, ones, rows))
    truth = true_average_precision(distance)
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(truth, abs=2.5 * error)
    assert np.mean(usual) - truth > 2 * abs(np.mean(found) - truth) > 0
    assert np.mean(usual) - truth > 0.3 / n_positives


def test_copies_of_rows_change_nothing_if_they_are_one_unit():
    rng = np.random.default_rng(0)
    is_positive, score = drawn_scores(12, 1.5, rng)
    ones, rows = np.ones(120), np.arange(120)
    once = expected_average_precision(is_positive, score, ones, rows)
    twice = (np.tile(a, 2) for a in (is_positive, score, ones, rows))
    assert expected_average_precision(*twice) == pytest.approx(once)


def test_with_positives_of_one_unit_there_is_nothing_to_measure_it_on():
    is_positive, ones = np.array([True, True, False, False]), np.ones(4)
    score, units = np.array([0.9, 0.8, 0.7, 0.1]), np.array([0, 0, 1, 2])
    assert np.isnan(expected_average_precision(is_positive, score, ones, units))
    proba = np.column_stack([1 - score, score])
    rows = {"units": units, "trained_on": 1.0, "pos": 1}
    metric = METRICS["average_precision"]
    usual = metric.expected(is_positive.astype(int), proba, ones, **rows)
    assert usual == average_precision_score(is_positive, score)


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc"])
def test_more_training_rows_add_most_where_there_are_few(metric):
    scores = np.array([0.0, 0.2, 0.6, 1.0])
    n_units = np.full(4, 20)
    assert trained_on_all(scores, n_units, metric, 1.0) == pytest.approx(scores)
    gains = [
        logit(trained_on_all(scores, n, metric, part)[1:3]) - logit(scores[1:3])
        for n, part in ((n_units, 0.8), (4 * n_units, 0.8), (n_units, 0.9))
    ]
    np.testing.assert_allclose(gains[0], 2 * gains[1])
    assert (gains[0] > gains[2]).all()
    assert (gains[2] > 0).all()
    ends = trained_on_all(scores, n_units, metric, 0.5)[[0, 3]]
    np.testing.assert_array_equal(ends, [0, 1])


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc"])
def test_the_score_of_all_folds_is_that_of_each_repeat_at_once(metric):
    problem = problem_of(*numeric(120, 20), cv=4, repeats=2)
    scoring = context_of(problem, metric=metric).scoring
    rng = np.random.default_rng(0)
    y, n_folds = problem.table.y, len(problem.folds)
    results = []
    for number, fold in enumerate(problem.folds):
        score = rng.random(len(fold.val_idx)) + y[fold.val_idx]
        results.append(FoldResult(number, "ok", np.column_stack([-score, score])))
    expected = []
    for repeat in (results[: n_folds // 2], results[n_folds // 2 :]):
        rows = np.concatenate([problem.folds[r.number].val_idx for r in repeat])
        proba = np.concatenate([r.proba for r in repeat])
        of_rows = METRICS[metric].expected(
            y[rows], proba, np.ones(120), pos=1, units=rows, trained_on=0.75
        )
        expected.append(of_rows)
    assert scoring.expected(results) == pytest.approx(np.mean(expected))


def test_several_classes_are_corrected_one_by_one():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), [10, 30, 60])
    proba = rng.dirichlet(np.ones(3), 100) + np.eye(3)[y] / 2
    ones, rows = np.ones(100), np.arange(100)
    options = {"units": rows, "trained_on": 0.8}
    metric = METRICS["average_precision"]
    found = metric.expected(y, proba, ones, pos=None, **options)
    by_class = []
    for code in range(3):
        is_of = (y == code).astype(int)
        pair = np.column_stack([-proba[:, code], proba[:, code]])
        by_class.append(metric.expected(is_of, pair, ones, pos=1, **options))
    assert found == pytest.approx(np.mean(by_class))


@pytest.mark.parametrize("metric", ["f1", "mcc"])
def test_metrics_of_labels_stay_as_they_are(metric):
    y, proba = np.repeat([0, 1], [6, 4]), np.eye(2)[[0, 0, 0, 0, 1, 1, 1, 1, 1, 0]]
    options = {"pos": 1, "y_pred": proba.argmax(axis=1)}
    found = METRICS[metric].expected(
        y, proba, np.ones(10), units=np.arange(10), trained_on=0.5, **options
    )
    assert found == METRICS[metric].score_many(y, proba, np.ones((1, 10)), **options)
