"""A candidate is dropped for a difference that a paired bootstrap can see."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from tables import five_classes, numeric, problem_of

from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.scoring import Scoring
from autoimb._metrics.bootstrap import Difference
from autoimb._metrics.scorers import resolve_metric
from autoimb._search.racing import RacingRule, is_clear


def racing_rule_of(problem, metric="average_precision", n_draws=30):
    """Return the racing for a problem, with a few bootstrap draws."""
    table = problem.table
    metric = resolve_metric(metric, table.n_classes)
    scoring = Scoring.of(metric, table, problem.folds, problem.seed)
    return RacingRule(replace(scoring, counts=scoring.counts[:n_draws]))


def results_of(problem, noise, *, folds=(0, 1), seed=0):
    """Return the results of a model that knows the truth but for some noise."""
    rng = np.random.default_rng(seed)
    truth = np.eye(problem.table.n_classes)[problem.table.y]
    logits = truth + noise * rng.normal(size=truth.shape)
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [FoldResult(n, "ok", proba[problem.folds[n].val_idx]) for n in folds]


def by_hand(problem, counts, result):
    """Return scikit-learn's average precision of a fold, on rows counted so often."""
    at = problem.folds[result.number].val_idx
    return average_precision_score(
        problem.table.y[at], result.proba[:, 1], sample_weight=counts[at]
    )


# --- the gap


@pytest.mark.parametrize("folds", [(0,), (0, 1), (0, 1, 2)])
def test_the_gap_is_that_of_a_paired_bootstrap(folds):
    problem = problem_of(*numeric(180, 90))
    racing = racing_rule_of(problem)
    mine, theirs = (
        results_of(problem, noise, folds=folds, seed=seed)
        for noise, seed in ((2.0, 1), (0.5, 2))
    )

    def difference(counts):
        scores = [
            np.mean([by_hand(problem, counts, result) for result in results])
            for results in (mine, theirs)
        ]
        return scores[0] - scores[1]

    gap = racing.gap(mine, theirs)
    assert gap.value == pytest.approx(difference(np.ones(180)))
    drawn = [difference(counts) for counts in racing.scoring.counts]
    assert gap.standard_error == pytest.approx(np.std(drawn, ddof=1))


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc", "f1", "mcc"])
def test_the_gap_seen_from_the_other_side_has_the_other_sign(metric):
    problem = problem_of(*numeric(180, 60))
    racing = racing_rule_of(problem, metric)
    mine, theirs = results_of(problem, 2.0, seed=1), results_of(problem, 0.5, seed=2)
    there, back = racing.gap(mine, theirs), racing.gap(theirs, mine)
    assert there.value < 0
    assert back.value == pytest.approx(-there.value)
    assert back.standard_error == pytest.approx(there.standard_error)
    assert is_clear(there)
    assert not is_clear(back)


def test_a_candidate_is_not_behind_itself():
    problem = problem_of(*numeric(180, 60))
    results = results_of(problem, 1.0)
    gap = racing_rule_of(problem).gap(results, results)
    assert (gap.value, gap.standard_error, is_clear(gap)) == (0.0, 0.0, False)


def test_the_same_question_has_the_same_answer():
    problem = problem_of(*numeric(180, 60))
    results = results_of(problem, 1.0), results_of(problem, 1.5, seed=3)
    racing = racing_rule_of(problem)
    assert (
        racing.gap(*results)
        == racing.gap(*results)
        == racing_rule_of(problem).gap(*results)
    )


def test_the_order_of_the_folds_does_not_matter():
    problem = problem_of(*numeric(180, 60))
    mine, theirs = results_of(problem, 1.0), results_of(problem, 1.5, seed=3)
    racing = racing_rule_of(problem)
    one, other = racing.gap(mine, theirs), racing.gap(mine[::-1], theirs[::-1])
    assert other.value == pytest.approx(one.value)
    assert other.standard_error == pytest.approx(one.standard_error)


def test_candidates_that_are_alike_are_not_dropped():
    """A rule of two standard errors is wrong in one of forty fair races."""
    problem = problem_of(*numeric(180, 60))
    racing = racing_rule_of(problem, n_draws=100)
    pairs = [
        (results_of(problem, 1.0, seed=2 * i), results_of(problem, 1.0, seed=2 * i + 1))
        for i in range(60)
    ]
    dropped = [is_clear(racing.gap(*pair)) for pair in pairs]
    assert np.mean(dropped) <= 0.1


# --- clear, or not


@pytest.mark.parametrize(
    ("difference", "standard_error", "expected"),
    [
        (-0.21, 0.1, True),
        (-0.19, 0.1, False),
        (-0.2, 0.1, False),
        (0.21, 0.1, False),
        (-1e-9, 0.0, True),
        (0.0, 0.0, False),
        (-0.5, math.nan, False),
        (math.nan, 0.1, False),
    ],
)
def test_behind_is_more_than_two_standard_errors_below(
    difference, standard_error, expected
):
    assert is_clear(Difference(difference, standard_error)) is expected


def test_a_gap_reads_as_a_difference_with_its_standard_error():
    assert str(Difference(-0.1234, 0.05)) == "-0.123 ± 0.050"


# --- too few of the class of interest


@pytest.mark.parametrize(("minority", "can_drop"), [(49, False), (50, True)])
def test_no_candidate_is_dropped_on_fewer_than_fifty_rows(minority, can_drop):
    assert racing_rule_of(problem_of(*numeric(200, minority))).can_drop is can_drop


def test_the_class_of_interest_counts_whichever_it_is():
    X, y = numeric(200, 30)
    assert racing_rule_of(problem_of(X, y, pos_label=0)).can_drop
    assert not racing_rule_of(problem_of(X, y, pos_label=1)).can_drop


def test_of_many_classes_the_rarest_counts():
    X, y = five_classes()
    assert not racing_rule_of(problem_of(X, y)).can_drop
    repeated = np.repeat(X, 10, axis=0), np.repeat(y, 10)
    assert racing_rule_of(problem_of(*repeated)).can_drop


def positives_of(problem, fold):
    return int(problem.table.y[problem.folds[fold].val_idx].sum())


@pytest.mark.parametrize("minority", [54, 57, 60, 66])
def test_there_is_no_gap_until_twenty_positives_are_validated(minority):
    problem = problem_of(*numeric(240, minority))
    mine, theirs = (
        results_of(problem, noise, folds=(0,), seed=1) for noise in (5.0, 0.1)
    )
    gap = racing_rule_of(problem).gap(mine, theirs)
    assert (gap is None) is (positives_of(problem, 0) < 20)


def test_positives_add_up_over_folds():
    problem = problem_of(*numeric(240, 54))
    racing = racing_rule_of(problem)
    for folds in ((0,), (0, 1)):
        n_seen = sum(positives_of(problem, fold) for fold in folds)
        mine = results_of(problem, 5.0, folds=folds)
        theirs = results_of(problem, 0.1, folds=folds)
        assert (racing.gap(mine, theirs) is None) is (n_seen < 20)
