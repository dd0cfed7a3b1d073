"""What becomes of a candidate depends on its folds, not on which ended first."""

import random
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import numeric, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.row_sample import RowSample
from autoimb._evaluate.scoring import Scoring
from autoimb._metrics.scorers import resolve_metric
from autoimb._search.racing import MIN_FOLDS, RacingRule
from autoimb._search.running_trial import RunningTrial, best_stage
from autoimb._search.trials import TrialRecord
from autoimb._strategy.strategy import Strategy

NUMBERS = (0, 1, 2, 3)
PROBLEM = problem_of(*numeric(200, 100), cv=4)
STAGES = (10, 20, 30)
STRATEGY = Strategy.of(CATALOGUE, family=("xgboost", {"n_estimators": 30}))
PLAIN = Strategy.of(CATALOGUE, family="logistic_regression")


def racing_rule_of(problem):
    metric = resolve_metric("average_precision", problem.table.n_classes)
    return RacingRule(Scoring.of(metric, problem.table, problem.folds, problem.seed))


RULE = racing_rule_of(PROBLEM)
RULE_FOR_FEW = racing_rule_of(problem_of(*numeric(200, 40), cv=4))


def proba_of(number, noise, seed=0):
    """Return the scores of a model that knows the truth but for some noise."""
    rng = np.random.default_rng([seed, number])
    truth = np.eye(2)[PROBLEM.table.y[PROBLEM.folds[number].val_idx]]
    logits = truth + noise * rng.normal(size=truth.shape)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def result(number, noise=0.5, *, status="ok", seed=0):
    """Return a fold's result; one that failed has no scores."""
    if status != "ok":
        return FoldResult(number, status, reason=f"fold {number} went wrong")
    return FoldResult(number, "ok", proba_of(number, noise, seed))


def staged(number, noises, seed=0):
    """Return the result of a boosted model, by the noise after each stage."""
    probas = [proba_of(number, noise, seed) for noise in noises]
    stages = tuple(zip(STAGES, probas, strict=True))
    return FoldResult(number, "ok", probas[-1], stages=stages)


def incumbent_of(noise=0.1, *, seed=1):
    """Return the record of a complete trial."""
    results = tuple(result(number, noise, seed=seed) for number in NUMBERS)
    score = RULE.scoring.score(results)
    return TrialRecord(
        number=7,
        strategy=PLAIN,
        status="complete",
        results=results,
        score=score,
        reported_value=score.mean,
    )


GOOD = incumbent_of()


def candidate_of(incumbent=None, *, strategy=PLAIN):
    return RunningTrial(None, strategy, NUMBERS, incumbent)


def finished(value):
    """Return the future of a task that brought this, or raised it."""
    future = Future()
    if isinstance(value, BaseException):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


def run(candidate, brought, order=None, racing=RULE):
    """Let the results arrive in an order, one after the other, and decide each time."""
    futures = {number: Future() for number in NUMBERS}
    candidate.futures = dict(futures)
    for number in order or NUMBERS:
        futures[number].set_result(brought[number])
        candidate.collect()
        candidate.decide(racing)
    return candidate


# --- in whatever order they arrive

BAD = {n: result(n, 3.0, seed=2) for n in NUMBERS}
BROUGHT = {
    "good": {n: result(n, 0.05, seed=2) for n in NUMBERS},
    "behind": BAD,
    "behind later": {
        n: result(n, 0.1, seed=1) if n < 2 else result(n, 6.0, seed=2) for n in NUMBERS
    },
    "late": {
        n: result(n, 0.05, status="ok" if n != 3 else "timeout", seed=2)
        for n in NUMBERS
    },
    "behind, then failed": {**BAD, 2: result(2, status="failed")},
    "failed, while behind": {**BAD, 1: result(1, status="failed")},
    "twice": {**BAD, 1: result(1, status="killed"), 0: result(0, status="failed")},
}
STATUSES = {
    "good": None,
    "behind": ("dropped", 2),
    "behind later": ("dropped", 3),
    "late": ("timeout", 4),
    "behind, then failed": ("dropped", 2),
    "failed, while behind": ("failed", 2),
    "twice": ("failed", 1),
}


@pytest.mark.parametrize("name", BROUGHT)
@given(order=st.permutations(NUMBERS))
@settings(max_examples=25)
def test_the_verdict_does_not_depend_on_the_order_of_arrival(name, order):
    in_order = run(candidate_of(GOOD), BROUGHT[name])
    candidate = run(candidate_of(GOOD), BROUGHT[name], order)
    assert candidate.is_decided
    assert candidate.verdict == in_order.verdict
    assert candidate.n_checked == in_order.n_checked
    ended = in_order.verdict and (in_order.verdict.status, in_order.n_checked)
    assert ended == STATUSES[name]


def test_a_failure_waits_for_the_folds_before_it():
    candidate = candidate_of(GOOD)
    candidate.futures = {number: Future() for number in NUMBERS}
    candidate.futures[2].set_result(result(2, status="failed"))
    candidate.collect()
    candidate.decide(RULE)
    assert candidate.verdict is None
    assert not candidate.is_decided
    assert candidate.futures.keys() == {0, 1, 3}


def test_giving_up_cancels_what_has_not_begun_and_hands_on_what_runs():
    candidate = candidate_of(GOOD)
    futures = {number: Future() for number in NUMBERS}
    candidate.futures = dict(futures)
    futures[1].set_running_or_notify_cancel()
    futures[0].set_result(result(0, status="failed"))
    candidate.collect()
    candidate.decide(RULE)
    assert candidate.verdict.status == "failed"
    assert candidate.give_up(Future.cancel) == [futures[1]]
    assert [futures[n].cancelled() for n in NUMBERS] == [False, False, True, True]
    assert candidate.futures == {}


@pytest.mark.parametrize(
    ("future", "status"),
    [
        (finished(TimeoutError()), "timeout"),
        (finished(ValueError("lost")), "failed"),
        (finished(type("ProcessExpired", (Exception,), {})()), "killed"),
    ],
    ids=["late", "raised", "died"],
)
def test_a_task_that_brings_nothing_is_a_result(future, status):
    candidate = candidate_of()
    candidate.futures = {0: future}
    [brought] = candidate.collect()
    assert (brought.number, brought.status) == (0, status)
    assert candidate.results[0] is brought
    assert candidate.collect() == []


def test_a_cancelled_task_is_a_result():
    candidate = candidate_of()
    candidate.futures = {0: Future()}
    candidate.futures[0].cancel()
    assert candidate.collect()[0].status == "timeout"


def test_a_fit_with_fewer_rounds_is_expected_to_take_less():
    """It is fitted again, on further repeats and on all rows, with those rounds."""
    candidate = candidate_of(strategy=STRATEGY)
    for number in NUMBERS:
        best_early = staged(number, (0.1, 0.2, 5.0))
        candidate.results[number] = replace(best_early, fit_seconds=6.0)
    candidate.trial = SimpleNamespace(number=3)
    record = candidate.complete_record(RULE.scoring, CATALOGUE, 1.0)
    n_rounds = dict(record.strategy.family.params)["n_estimators"]
    assert n_rounds < 30
    assert record.fit_seconds == pytest.approx(6.0 * n_rounds / 30)


def test_a_candidate_that_begins_again_on_fewer_rows_has_no_results():
    candidate = run(candidate_of(GOOD), BROUGHT["late"])
    assert candidate.verdict.status == "timeout"
    sample, proposed = RowSample("a sample", 40), candidate.strategy
    fewer = proposed.with_family_param("n_estimators", 7)
    candidate.begin_again(fewer, sample)
    assert (candidate.row_sample, candidate.verdict) == (sample, None)
    assert (candidate.strategy, candidate.proposed) == (fewer, proposed)
    assert [task.number for task in candidate.tasks(can_be_dropped=False)] == [*NUMBERS]
    assert run(candidate, BROUGHT["good"]).is_decided
    assert candidate.verdict is None
    assert candidate.run == [*NUMBERS]


# --- dropped


def test_a_dropped_candidate_has_the_incumbents_mean_plus_the_difference_as_value():
    """Folds are not alike: a score on some of them says little by itself."""
    incumbent = incumbent_of(0.8)
    brought = {n: result(n, 9.0, seed=2) for n in NUMBERS}
    verdict = run(candidate_of(incumbent), brought).verdict
    mine, theirs = (
        RULE.scoring.mean([results[0], results[1]])
        for results in (brought, incumbent.results)
    )
    assert incumbent.mean != pytest.approx(theirs)
    assert verdict.reported_value == pytest.approx(incumbent.mean + mine - theirs)
    assert "clearly behind the best so far after 2 of 4 folds" in verdict.reason


@pytest.mark.parametrize("incumbent", [None, GOOD], ids=["none", "one"])
def test_without_an_incumbent_or_positives_no_candidate_is_dropped(incumbent):
    racing = RULE if incumbent is None else RULE_FOR_FEW
    candidate = run(candidate_of(incumbent), BAD, racing=racing)
    assert candidate.verdict is None
    assert candidate.is_decided


def test_a_candidate_that_has_all_its_folds_is_complete_however_bad():
    brought = {n: result(n, 0.1, seed=1) if n < 3 else result(n, 9.0) for n in NUMBERS}
    assert run(candidate_of(GOOD), brought).verdict is None


# --- what to submit


@given(seed=st.integers(0, 2**32), can_be_dropped=st.booleans())
@settings(max_examples=50)
def test_every_fold_is_submitted_once(seed, can_be_dropped):
    rng, submitted = random.Random(seed), []
    candidate = candidate_of(GOOD)
    while not candidate.is_decided:
        tasks = list(candidate.tasks(can_be_dropped=can_be_dropped))
        assert tasks or candidate.pending
        for task in tasks[: rng.randint(0, len(tasks))]:
            submitted.append(task.number)
            candidate.futures[task.number] = Future()
        for number, future in candidate.futures.items():
            if rng.random() < 0.5:
                future.set_result(BROUGHT["good"][number])
        candidate.collect()
        candidate.decide(RULE)
    assert sorted(submitted) == [*NUMBERS]
    assert list(candidate.tasks(can_be_dropped=can_be_dropped)) == []


def sure(candidate, *, can_be_dropped=True):
    """Return the folds that are needed for certain, and those that may not be."""
    tasks = list(candidate.tasks(can_be_dropped=can_be_dropped))
    return [
        [task.number for task in tasks if task.may_be_needless is which]
        for which in (False, True)
    ]


def test_folds_after_the_next_decision_may_turn_out_needless():
    candidate = candidate_of(GOOD)
    assert sure(candidate) == [[0, 1], [2, 3]]
    for number, expected in ((0, [[1], [2, 3]]), (1, [[2], [3]]), (2, [[3], []])):
        candidate.results[number] = BROUGHT["good"][number]
        candidate.decide(RULE)
        assert sure(candidate) == expected
    assert MIN_FOLDS == 2


def test_all_folds_are_needed_where_no_candidate_can_be_dropped():
    assert sure(candidate_of(GOOD), can_be_dropped=False) == [[0, 1, 2, 3], []]
    assert sure(candidate_of(None)) == [[0, 1, 2, 3], []]


def test_folds_that_came_early_are_not_asked_for_again():
    candidate = candidate_of(GOOD)
    candidate.results[3] = BROUGHT["good"][3]
    candidate.futures[1] = Future()
    assert sure(candidate) == [[0], [2]]
    assert candidate.run == []


# --- how many rounds


def best_of(candidate, numbers):
    """Return a candidate's results on folds at their best number of rounds."""
    results = [candidate.results[n] for n in numbers]
    return best_stage(results, RULE.scoring, candidate.stages)


@given(
    noises=st.lists(
        st.tuples(*[st.sampled_from((0.2, 0.6, 1.5))] * len(STAGES)),
        min_size=3,
        max_size=3,
    ),
    n_folds=st.integers(1, 3),
)
@settings(max_examples=25)
def test_the_stage_is_the_best_on_average_and_the_longest_of_equals(noises, n_folds):
    candidate = candidate_of(strategy=STRATEGY)
    candidate.results = {n: staged(n, of_fold) for n, of_fold in enumerate(noises)}
    numbers = range(n_folds)
    means = {
        n: RULE.scoring.mean([candidate.results[k].at_stage(n) for k in numbers])
        for n in STAGES
    }
    best = max(n for n, mean in means.items() if mean == max(means.values()))
    chosen = best_of(candidate, numbers)
    assert {r.n_rounds for r in chosen} == {best}
    for number, of_fold in zip(numbers, chosen, strict=True):
        stages = dict(candidate.results[number].stages)
        np.testing.assert_array_equal(of_fold.proba, stages[best])


def test_results_without_stages_are_what_they_are():
    candidate = candidate_of()
    candidate.results = BROUGHT["good"]
    chosen = best_of(candidate, NUMBERS)
    assert chosen == [BROUGHT["good"][n] for n in NUMBERS]
    assert candidate.final_strategy(chosen, CATALOGUE) is PLAIN


def test_the_strategy_takes_the_number_of_rounds_and_nothing_else():
    candidate = candidate_of(strategy=STRATEGY)
    candidate.results = {n: staged(n, (0.6, 0.1, 0.9)) for n in NUMBERS}
    chosen = best_of(candidate, NUMBERS)
    final = candidate.final_strategy(chosen, CATALOGUE)
    params = {**dict(STRATEGY.family.params), "n_estimators": 20}
    assert final == Strategy.of(CATALOGUE, family=("xgboost", params))


def test_a_candidate_races_at_its_best_stage():
    """Too many rounds on two folds are no reason to drop what fewer would win with."""
    last_is_bad = {n: staged(n, (0.1, 0.1, 6.0), seed=2) for n in NUMBERS}
    assert run(candidate_of(GOOD, strategy=STRATEGY), last_is_bad).verdict is None
    all_are_bad = {n: staged(n, (6.0, 6.0, 6.0), seed=2) for n in NUMBERS}
    verdict = run(candidate_of(GOOD, strategy=STRATEGY), all_are_bad).verdict
    assert verdict.status == "dropped"


def test_a_stage_is_one_object_so_that_its_score_is_known_again():
    candidate = candidate_of(strategy=STRATEGY)
    candidate.results = {n: staged(n, (0.6, 0.1, 0.9)) for n in NUMBERS}
    one, other = (best_of(candidate, (0, 1)) for _ in range(2))
    assert [a is b for a, b in zip(one, other, strict=True)] == [True, True]
