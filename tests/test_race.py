"""A candidate is dropped for a difference that a paired bootstrap can see."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from tables import five_classes, numeric, problem_of

from autoimb._evaluate import FoldResult
from autoimb._judge import Judge
from autoimb._metrics import resolve_metric
from autoimb._race import Gap, Race


def race_of(problem, metric="average_precision", n_draws=30):
    """Return the race for a problem, with a few bootstrap draws."""
    table = problem.table
    metric = resolve_metric(metric, table.n_classes)
    judge = Judge.of(metric, table, problem.folds, problem.seed)
    return Race.of(replace(judge, counts=judge.counts[:n_draws]))


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
    race = race_of(problem)
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

    gap = race.gap(mine, theirs)
    assert gap.difference == pytest.approx(difference(np.ones(180)))
    drawn = [difference(counts) for counts in race.judge.counts]
    assert gap.noise == pytest.approx(np.std(drawn, ddof=1))


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc", "f1", "mcc"])
def test_the_gap_seen_from_the_other_side_has_the_other_sign(metric):
    problem = problem_of(*numeric(180, 60))
    race = race_of(problem, metric)
    mine, theirs = results_of(problem, 2.0, seed=1), results_of(problem, 0.5, seed=2)
    there, back = race.gap(mine, theirs), race.gap(theirs, mine)
    assert there.difference < 0
    assert back.difference == pytest.approx(-there.difference)
    assert back.noise == pytest.approx(there.noise)
    assert there.is_clear
    assert not back.is_clear


def test_nobody_is_behind_itself():
    problem = problem_of(*numeric(180, 60))
    results = results_of(problem, 1.0)
    gap = race_of(problem).gap(results, results)
    assert (gap.difference, gap.noise, gap.is_clear) == (0.0, 0.0, False)


def test_the_same_question_has_the_same_answer():
    problem = problem_of(*numeric(180, 60))
    results = results_of(problem, 1.0), results_of(problem, 1.5, seed=3)
    race = race_of(problem)
    assert race.gap(*results) == race.gap(*results) == race_of(problem).gap(*results)


def test_the_order_of_the_folds_does_not_matter():
    problem = problem_of(*numeric(180, 60))
    mine, theirs = results_of(problem, 1.0), results_of(problem, 1.5, seed=3)
    race = race_of(problem)
    one, other = race.gap(mine, theirs), race.gap(mine[::-1], theirs[::-1])
    assert other.difference == pytest.approx(one.difference)
    assert other.noise == pytest.approx(one.noise)


def test_candidates_that_are_alike_are_not_dropped():
    """A rule of two standard errors is wrong in one of forty fair races."""
    problem = problem_of(*numeric(180, 60))
    race = race_of(problem, n_draws=100)
    pairs = [
        (results_of(problem, 1.0, seed=2 * i), results_of(problem, 1.0, seed=2 * i + 1))
        for i in range(60)
    ]
    dropped = [race.gap(*pair).is_clear for pair in pairs]
    assert np.mean(dropped) <= 0.1


# --- clear, or not


@pytest.mark.parametrize(
    ("difference", "noise", "is_clear"),
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
def test_behind_is_more_than_two_standard_errors_below(difference, noise, is_clear):
    assert Gap(difference, noise).is_clear is is_clear


def test_a_gap_reads_as_a_difference_with_its_noise():
    assert str(Gap(-0.1234, 0.05)) == "-0.123 ± 0.050"


# --- too few of the class of interest


@pytest.mark.parametrize(("minority", "is_open"), [(49, False), (50, True)])
def test_nobody_races_on_fewer_than_fifty_rows(minority, is_open):
    assert race_of(problem_of(*numeric(200, minority))).is_open is is_open


def test_the_class_of_interest_counts_whichever_it_is():
    X, y = numeric(200, 30)
    assert race_of(problem_of(X, y, pos_label=0)).is_open
    assert not race_of(problem_of(X, y, pos_label=1)).is_open


def test_of_many_classes_the_rarest_counts():
    X, y = five_classes()
    assert not race_of(problem_of(X, y)).is_open
    repeated = np.repeat(X, 10, axis=0), np.repeat(y, 10)
    assert race_of(problem_of(*repeated)).is_open


def positives_of(problem, fold):
    return int(problem.table.y[problem.folds[fold].val_idx].sum())


@pytest.mark.parametrize("minority", [54, 57, 60, 66])
def test_nothing_is_said_until_twenty_positives_are_seen(minority):
    problem = problem_of(*numeric(240, minority))
    mine, theirs = (
        results_of(problem, noise, folds=(0,), seed=1) for noise in (5.0, 0.1)
    )
    gap = race_of(problem).gap(mine, theirs)
    assert (gap is None) is (positives_of(problem, 0) < 20)


def test_positives_add_up_over_folds():
    problem = problem_of(*numeric(240, 54))
    race = race_of(problem)
    for folds in ((0,), (0, 1)):
        n_seen = sum(positives_of(problem, fold) for fold in folds)
        mine = results_of(problem, 5.0, folds=folds)
        theirs = results_of(problem, 0.1, folds=folds)
        assert (race.gap(mine, theirs) is None) is (n_seen < 20)
