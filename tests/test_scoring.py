"""Scores are scikit-learn's, averaged; the bootstrap draws rows fairly."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    log_loss,
    make_scorer,
    roc_auc_score,
)
from tables import five_classes, numeric, problem_of

from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.scoring import Scoring
from autoimb._metrics.scorers import resolve_metric


def scoring_of(problem, metric="average_precision", seed=0):
    table = problem.table
    return Scoring.of(
        resolve_metric(metric, table.n_classes), table, problem.folds, seed
    )


def noisy_proba(problem, noise=1.0, seed=0):
    """Return class probabilities of a mediocre model for every row."""
    rng = np.random.default_rng(seed)
    truth = np.eye(problem.table.n_classes)[problem.table.y]
    logits = truth + noise * rng.normal(size=truth.shape)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def results_of(problem, proba):
    """Return the results of a model that gives these probabilities in every fold."""
    return [
        FoldResult(n, "ok", proba[fold.val_idx]) for n, fold in enumerate(problem.folds)
    ]


def mean_over_repeats(problem, score_of_fold):
    """Return the mean over folds of a repeat, averaged over repeats."""
    repeats = {fold.repeat for fold in problem.folds}
    of_repeat = [
        np.mean([score_of_fold(f.val_idx) for f in problem.folds if f.repeat == r])
        for r in repeats
    ]
    return np.mean(of_repeat)


# --- the mean


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize(
    ("metric", "function"),
    [("average_precision", average_precision_score), ("roc_auc", roc_auc_score)],
)
def test_the_mean_is_the_mean_of_scikit_learns_metric(metric, function, repeats):
    problem = problem_of(*numeric(), repeats=repeats)
    y, proba = problem.table.y, noisy_proba(problem)
    score = scoring_of(problem, metric).score(results_of(problem, proba))
    assert score.mean == pytest.approx(
        mean_over_repeats(problem, lambda at: function(y[at], proba[at, 1]))
    )


def test_repeats_count_alike_however_many_folds_they_have():
    problem = problem_of(*numeric(), cv=2, repeats=2)
    whole = problem.folds[:2]
    more = [replace(f, repeat=1) for f in problem_of(*numeric(), cv=4).folds]
    problem = replace(problem, folds=(*whole, *more))
    y, proba = problem.table.y, noisy_proba(problem)
    score = scoring_of(problem).score(results_of(problem, proba))
    assert score.mean == pytest.approx(
        mean_over_repeats(
            problem, lambda at: average_precision_score(y[at], proba[at, 1])
        )
    )


def test_the_positive_class_may_be_the_first_code():
    X, y = numeric()
    problem = problem_of(X, 1 - y)
    assert problem.table.pos == 0
    proba = noisy_proba(problem)
    codes = problem.table.y
    score = scoring_of(problem).score(results_of(problem, proba))
    assert score.mean == pytest.approx(
        mean_over_repeats(
            problem, lambda at: average_precision_score(codes[at] == 0, proba[at, 0])
        )
    )


def test_row_weights_enter_the_score():
    weight = np.random.default_rng(0).uniform(0.2, 3, 120)
    problem = problem_of(*numeric(), sample_weight=weight)
    y, proba = problem.table.y, noisy_proba(problem)
    score = scoring_of(problem).score(results_of(problem, proba))
    assert score.mean == pytest.approx(
        mean_over_repeats(
            problem,
            lambda at: average_precision_score(
                y[at], proba[at, 1], sample_weight=weight[at]
            ),
        )
    )


def test_a_metric_of_labels_is_taken_at_the_best_cut_of_the_repeat():
    problem = problem_of(*numeric(), repeats=2)
    y, proba = problem.table.y, noisy_proba(problem)
    score = scoring_of(problem, "f1").score(results_of(problem, proba))
    cuts = np.sort(proba[:, 1])
    best = cuts[np.argmax([f1_score(y, proba[:, 1] >= cut) for cut in cuts])]
    labels = proba[:, 1] >= best
    assert score.mean == pytest.approx(
        mean_over_repeats(problem, lambda at: f1_score(y[at], labels[at]))
    )
    assert score.mean > mean_over_repeats(
        problem, lambda at: f1_score(y[at], proba[at, 1] >= 0.5)
    )


def test_each_repeat_has_its_own_cut():
    """Models of another repeat may have scores of another size."""
    problem = problem_of(*numeric(), repeats=2)
    scoring, proba = scoring_of(problem, "f1"), noisy_proba(problem)
    first, second = (
        results_of(problem, np.column_stack([1 - p, p]))
        for p in (proba[:, 1], proba[:, 1] ** 3)
    )
    mixed = [
        (a, b)[problem.folds[a.number].repeat]
        for a, b in zip(first, second, strict=True)
    ]
    assert scoring.score(mixed).mean == pytest.approx(scoring.score(first).mean)


def test_metrics_of_labels_do_not_mind_a_shift_of_all_scores():
    problem = problem_of(*numeric())
    proba = noisy_proba(problem)
    shifted = np.column_stack([1 - proba[:, 1] ** 3, proba[:, 1] ** 3])
    scoring = scoring_of(problem, "mcc")
    assert scoring.score(results_of(problem, shifted)).mean == pytest.approx(
        scoring.score(results_of(problem, proba)).mean
    )


def test_five_classes_are_scored_one_versus_rest_and_by_labels():
    problem = problem_of(*five_classes())
    y, proba = problem.table.y, noisy_proba(problem, 0.5)
    ranked = scoring_of(problem).score(results_of(problem, proba))
    one_hot = np.eye(5)[y]
    assert ranked.mean == pytest.approx(
        mean_over_repeats(
            problem, lambda at: average_precision_score(one_hot[at], proba[at])
        )
    )
    labelled = scoring_of(problem, "f1_macro").score(results_of(problem, proba))
    at_argmax = mean_over_repeats(
        problem, lambda at: f1_score(y[at], proba[at].argmax(1), average="macro")
    )
    assert labelled.mean >= at_argmax - 0.05


def test_a_scorer_of_scikit_learn_is_a_metric():
    scorer = make_scorer(
        log_loss,
        greater_is_better=False,
        response_method="predict_proba",
        labels=[0, 1],
    )
    problem = problem_of(*numeric(), repeats=2)
    y, proba = problem.table.y, noisy_proba(problem)
    score = scoring_of(problem, scorer).score(results_of(problem, proba))
    assert score.mean == pytest.approx(
        mean_over_repeats(
            problem, lambda at: -log_loss(y[at], proba[at], labels=[0, 1])
        )
    )
    assert score.standard_error > 0


# --- the standard error


def test_draws_keep_the_size_of_every_class():
    problem = problem_of(*five_classes())
    y, counts = problem.table.y, scoring_of(problem).counts
    for code, n in enumerate(np.bincount(y)):
        np.testing.assert_array_equal(counts[:, y == code].sum(axis=1), n)


def test_a_draw_is_scored_with_its_counts_as_weights():
    problem = problem_of(*numeric())
    scoring, proba, y = scoring_of(problem), noisy_proba(problem), problem.table.y
    score = scoring.score(results_of(problem, proba))
    for draw in (0, 7):
        counts = scoring.counts[draw]
        assert score.drawn[draw] == pytest.approx(
            mean_over_repeats(
                problem,
                lambda at, counts=counts: average_precision_score(
                    y[at], proba[at, 1], sample_weight=counts[at]
                ),
            )
        )


def test_every_candidate_meets_the_same_draws():
    problem = problem_of(*numeric())
    one, other = scoring_of(problem), scoring_of(problem)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert (scoring_of(problem, seed=1).counts != one.counts).any()


def test_the_standard_error_shrinks_with_the_rows():
    errors = []
    for n in (150, 2400):
        problems = [problem_of(*numeric(n, n // 5, seed)) for seed in range(8)]
        scores = [
            scoring_of(problem).score(results_of(problem, noisy_proba(problem)))
            for problem in problems
        ]
        errors.append(np.mean([score.standard_error for score in scores]))
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.4)


def test_the_standard_error_is_that_of_fresh_rows():
    """The bootstrap's error is the spread over tables from the same source."""
    means, errors = [], []
    for seed in range(60):
        problem = problem_of(*numeric(200, 40, seed), cv=2)
        proba = noisy_proba(problem, seed=seed)
        score = scoring_of(problem).score(results_of(problem, proba))
        means.append(score.mean)
        errors.append(score.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(means, ddof=1), rel=0.3)


def test_a_candidate_does_not_differ_from_itself():
    problem = problem_of(*numeric())
    score = scoring_of(problem).score(results_of(problem, noisy_proba(problem)))
    difference = score - score
    assert (difference.value, difference.standard_error) == (0.0, 0.0)


def test_pairing_makes_like_candidates_easier_to_tell_apart():
    problem = problem_of(*numeric())
    scoring, proba = scoring_of(problem), noisy_proba(problem)
    near = proba + np.random.default_rng(5).normal(scale=1e-3, size=proba.shape)
    one, other = (scoring.score(results_of(problem, p)) for p in (proba, near))
    assert (one - other).standard_error < 0.3 * one.standard_error


def test_the_order_in_which_folds_arrive_does_not_matter():
    problem = problem_of(*numeric(), repeats=2)
    results = results_of(problem, noisy_proba(problem))
    scoring = scoring_of(problem, "f1")
    forwards, backwards = scoring.score(results), scoring.score(results[::-1])
    assert forwards.mean == pytest.approx(backwards.mean)
    np.testing.assert_allclose(forwards.drawn, backwards.drawn)


def test_rows_of_a_group_are_drawn_together():
    scoring = scoring_of(problem_of(*numeric(200, 40), groups=np.arange(200) // 4))
    by_group = scoring.counts.reshape(len(scoring.counts), 50, 4)
    assert (by_group == by_group[:, :, :1]).all()
    assert (by_group[:, :, 0].sum(axis=1) == 50).all()


def test_copies_of_a_row_say_no_more_than_the_row():
    X, y = (np.repeat(part, 4, axis=0) for part in numeric(120, 40))
    score = expit(np.column_stack([-X[:, 0], X[:, 0]]))
    apart = problem_of(X, y, cv=2, groups=np.arange(len(y)))
    together = problem_of(X, y, cv=2, groups=np.repeat(np.arange(120), 4))
    errors = [
        scoring_of(problem).score(results_of(problem, score)).standard_error
        for problem in (apart, together)
    ]
    assert errors[1] > 1.5 * errors[0]


def test_what_draws_left_out_is_scored_at_the_cut_of_what_they_drew():
    problem = problem_of(*numeric())
    y, proba = problem.table.y, noisy_proba(problem)
    scoring = scoring_of(problem, "f1")
    found = scoring.on_left_out(results_of(problem, proba), np.arange(5))
    for value, counts in zip(found, scoring.counts[:5], strict=True):
        cuts, rest = np.sort(proba[:, 1]), counts == 0
        drawn = [f1_score(y, proba[:, 1] >= c, sample_weight=counts) for c in cuts]
        best = cuts[np.isclose(drawn, np.max(drawn))]
        reached = [f1_score(y[rest], proba[rest, 1] >= c) for c in best]
        assert np.isclose(value, reached).any()


def test_a_ranking_metric_on_what_draws_left_out_is_pooled():
    problem = problem_of(*numeric())
    results = results_of(problem, noisy_proba(problem))
    scoring = scoring_of(problem)
    left_out = (scoring.counts[:3] == 0).astype(np.uint8)
    np.testing.assert_array_equal(
        scoring.on_left_out(results, np.arange(3)), scoring.pooled(results, left_out)
    )
