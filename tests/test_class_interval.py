"""The interval of a mean over classes is not that of its rarest class."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score
from tables import context_of, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._search.trials import TrialRecord
from autoimb._select.ensemble import EnsembleScoring, Member
from autoimb._select.honest_score import score_interval
from autoimb._strategy.strategy import Strategy


def scores_of(y, k, distance, rng):
    """Return scores (n, k) by a model that no row changes: higher for the own class."""
    return rng.normal(size=(len(y), k)) + distance * np.eye(k)[y]


def made(n_of, distance, seed):
    """Return the members and the scoring of one candidate with such scores."""
    rng, y = np.random.default_rng(seed), np.repeat(np.arange(len(n_of)), n_of)
    problem = problem_of(rng.normal(size=(len(y), 2)), y, cv=2)
    scores = scores_of(y, len(n_of), distance, rng)
    results = tuple(
        FoldResult(number, "ok", scores[fold.val_idx])
        for number, fold in enumerate(problem.folds)
    )
    scoring = context_of(problem).scoring
    one = TrialRecord(
        number=0,
        strategy=Strategy.of(CATALOGUE, family="logistic_regression"),
        status="complete",
        score=scoring.score(results),
        results=results,
    )
    return [Member(one)], EnsembleScoring(problem, scoring)


def macro(y, scores):
    """Return the mean average precision of each class against the rest."""
    return average_precision_score(np.eye(scores.shape[1])[y], scores)


def test_its_ends_come_from_those_of_classes_and_the_correlations_of_draws():
    n_of = np.array([10, 20, 40])
    members, ensemble_scoring = made(n_of, 1.2, seed=0)
    scoring = ensemble_scoring.scoring
    results = members[0].record.results
    ones = np.ones((1, 70), dtype=np.uint8)
    means = scoring.pooled_by_class(results, ones)[:, 0]
    drawn = scoring.pooled_by_class(results, scoring.counts)
    assert means.mean() == pytest.approx(scoring.pooled(results, ones)[0])
    estimate = means.mean() - 0.05
    low, high, margin = score_interval(
        estimate, ensemble_scoring.results(members), ensemble_scoring.scoring
    )
    n_units = np.array([10, 20, 30])  # 40 rows of a class, and 30 others
    means = means - 0.05
    shrunk = (n_units * means + 1) / (n_units + 2)
    margins = stats.t.ppf(0.975, n_units - 1) / np.sqrt(n_units * shrunk * (1 - shrunk))
    correlations = np.corrcoef(drawn)
    ends = []
    for side in (-1, 1):
        distances = np.abs(expit(logit(means) + side * margins) - means)
        products = np.outer(distances, distances) * correlations
        ends.append(estimate + side * np.sqrt(products.mean()))
    assert [low, high] == pytest.approx(ends)
    assert margin == pytest.approx(np.ptp(logit(ends)) / 2)


def test_more_classes_of_the_same_size_make_it_narrower():
    widths = {}
    for k in (3, 12):
        members, ensemble_scoring = made([15] * k, 1.0 + 0.15 * k**0.5, seed=1)
        estimate = ensemble_scoring.scoring.expected(members[0].record.results)
        *_, margin = score_interval(
            estimate, ensemble_scoring.results(members), ensemble_scoring.scoring
        )
        widths[k] = margin
    assert 1.3 < widths[3] / widths[12] < 3.0


@pytest.mark.parametrize("n_of", [[12, 20, 40], [12] * 6])
def test_it_holds_the_score_of_a_population_and_is_not_much_too_wide(n_of):
    """The truth is known from 1,000 times as many rows."""
    rng = np.random.default_rng(7)
    y = np.repeat(np.arange(len(n_of)), 1000 * np.array(n_of))
    truth = macro(y, scores_of(y, len(n_of), 1.2, rng))
    ends, estimates = [], []
    for seed in range(30):
        members, ensemble_scoring = made(n_of, 1.2, seed)
        # Without the gain by more training rows: these scores come from no training.
        found = ensemble_scoring.scoring.metric.expected(
            ensemble_scoring.problem.table.y,
            rows_in_order(members, ensemble_scoring),
            np.ones(sum(n_of)),
            pos=None,
            units=np.arange(sum(n_of)),
            trained_on=1.0,
        )
        estimates.append(found)
        ends.append(
            score_interval(
                found, ensemble_scoring.results(members), ensemble_scoring.scoring
            )[:2]
        )
    low, high = np.array(ends).T
    assert np.mean(estimates) == pytest.approx(truth, abs=0.03)
    assert np.mean((low <= truth) & (truth <= high)) >= 0.93
    # Scores of a model that does not change vary less than the bound allows for.
    assert np.mean(high - low) < 2.2 * 4 * np.std(estimates)


def rows_in_order(members, ensemble_scoring):
    """Return the scores of all rows in the order of the table."""
    folds = ensemble_scoring.problem.folds
    results = members[0].record.results
    scores = np.empty((sum(len(r.proba) for r in results), results[0].proba.shape[1]))
    for result in results:
        scores[folds[result.number].val_idx] = result.proba
    return scores
