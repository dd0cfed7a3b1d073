"""The winner is selected fairly, and its honest estimate is not too high."""

import time
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit
from tables import DIAL, context_of, numeric, problem_of, unscored

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._execution.deadline import Deadline
from autoimb._execution.executors import SequentialExecutor
from autoimb._fit.calibrate import ensemble_scores
from autoimb._metrics.bootstrap import Score
from autoimb._search.trials import TrialRecord, complete, leaderboard
from autoimb._select import ensemble as ensemble_module
from autoimb._select.ensemble import (
    EnsembleScoring,
    Member,
    member_weights,
    typical_standard_error,
)
from autoimb._select.finalists import RepeatPlan, rescore, seconds_of_repeats
from autoimb._select.honest_score import HonestScore, honest_score, score_interval
from autoimb._select.select import select
from autoimb._select.selection import Selection
from autoimb._select.time_reserve import (
    LastSteps,
    TimeReserve,
    affordable_repeats,
    affordable_size,
    pace_of,
)
from autoimb._strategy.strategy import Strategy
from autoimb.exceptions import BadInputError

ALL_REPEATS = RepeatPlan(99, 99, 0.0)
NO_LIMIT = Deadline(None)
FAMILIES = ("extra_trees", "logistic_regression", "random_forest", "xgboost")


def simulated(mean, noise=0.0):
    """Return a score whose difference to a noiseless one has this standard error."""
    half = noise * np.sqrt(99 / 100)  # the sample deviation of +-half is `noise`
    drawn = mean + half * np.tile([-1.0, 1.0], 50)
    return Score(mean, drawn, (0,))


def record(number, mean, *, family="extra_trees", handled=False, noise=0.0, **fields):
    """Return a complete record without any fitting."""
    weights = ("balanced", {"exponent": (1 + number) / 100})
    axes = {"class_weight": weights} if handled else {}
    known = {
        "score": simulated(mean, noise),
        "results": (FoldResult(0, "ok"),),
        "n_folds": 1,
    }
    return TrialRecord(
        number=number,
        strategy=Strategy.of(CATALOGUE, family=family, **axes),
        status="complete",
        **(known | fields),
    )


def scored(context, number, strategy, results, **fields):
    """Return a complete record of results, with their score."""
    return TrialRecord(
        number=number,
        strategy=strategy,
        status="complete",
        score=context.scoring.score(results),
        results=tuple(results),
        n_folds=len(results),
        **fields,
    )


def selected(*records, clock=NO_LIMIT):
    """Return the selection among records, on a problem without further repeats."""
    best_first = sorted(records, key=lambda r: (-r.mean, r.number))
    return chosen(problem_of(*numeric()), best_first, clock, size=1)


# --- the baseline wins unless handling is clearly better


@pytest.mark.parametrize(
    ("gain", "wins"),
    [(0.4, "plain"), (0.49, "plain"), (0.51, "handled"), (2, "handled")],
)
def test_handling_must_gain_half_a_paired_standard_error(gain, wins):
    plain = record(0, 0.5)
    handled = record(1, 0.5 + gain * 0.02, handled=True, noise=0.02)
    winner = selected(plain, handled).winner
    assert winner is {"plain": plain, "handled": handled}[wins]


def test_the_standard_error_is_that_of_the_difference():
    """Scores that go up and down together are told apart however noisy they are."""
    plain = record(0, 0.5, noise=0.2)
    handled = record(1, 0.51, handled=True, noise=0.2)
    assert selected(plain, handled).winner is handled


def test_a_baseline_of_another_family_does_not_replace_the_best():
    other = record(0, 0.5, family="logistic_regression")
    best = record(1, 0.5001, handled=True, noise=0.1)
    selection = selected(other, best)
    assert selection.winner is best
    assert selection.baseline is other


def test_the_best_baseline_of_the_family_replaces_it():
    poorer, better = record(0, 0.48), record(1, 0.5)
    best = record(2, 0.501, handled=True, noise=0.1)
    assert selected(poorer, better, best).winner is better


def test_a_baseline_that_scores_best_wins():
    best, runner_up = record(0, 0.6), record(1, 0.59, handled=True, noise=0.5)
    selection = selected(best, runner_up)
    assert selection.winner is selection.baseline is best


def test_equal_scores_go_to_the_earlier_trial():
    one = record(3, 0.5, family="xgboost")
    other = record(5, 0.5, family="random_forest")
    assert selected(other, one).winner is one


def test_without_a_complete_baseline_there_is_none():
    best = record(0, 0.6, handled=True)
    assert selected(best).baseline is None


# --- finalists


def test_finalists_are_few_of_a_family_and_the_baselines_to_compare_with():
    trees = [record(n, 0.9 - n / 100, handled=True) for n in range(6)]
    others = [
        record(10 + n, 0.7 - n / 100, family=family, handled=True)
        for n, family in enumerate(FAMILIES[1:])
    ]
    plain = record(20, 0.3, family="logistic_regression")
    plain_tree = record(21, 0.2)
    found = selected(*trees, *others, plain, plain_tree).finalists
    assert set(found) == {*trees[:2], *others[:2], plain, plain_tree}
    assert [r.mean for r in found] == sorted((r.mean for r in found), reverse=True)


def test_a_candidate_whose_scores_were_dropped_is_no_finalist():
    trees = [record(n, 0.9 - n / 100) for n in range(3)]
    dropped = record(9, 0.1, family="xgboost", results=())
    assert dropped not in selected(*trees, dropped).finalists


def test_a_candidate_that_cannot_be_refitted_in_time_is_passed_over():
    slow = record(0, 0.9, fit_seconds=100.0)
    quick = record(1, 0.5, family="xgboost", fit_seconds=0.1)
    clock = Deadline(60.0, started=time.monotonic())
    assert selected(slow, quick, clock=clock).winner is quick
    assert selected(slow, clock=clock).winner is slow


def test_a_strategy_without_a_score_is_its_own_comparison():
    strategy = Strategy.of(CATALOGUE, family="extra_trees")
    selection = unscored(strategy)
    assert selection.winner.strategy == selection.members[0].strategy == strategy
    assert selection.winner.mean == float("-inf")
    assert not selection.winner.results


# --- further repeats


class FailsOn(SequentialExecutor):
    """One fold of one model fails, every other one is evaluated."""

    def __init__(self, number, noise):
        self.number, self.noise = number, noise
        self.numbers = []

    def submit_within(self, seconds, fn, strategy, number, *rest):
        self.numbers.append(number)
        if (number, dict(strategy.family.params)["noise"]) != (self.number, self.noise):
            return super().submit_within(seconds, fn, strategy, number, *rest)
        future = Future()
        future.set_result(FoldResult(number, "failed", reason="no luck"))
        return future


def rescored(executor, deadline=NO_LIMIT, fit_seconds=0.0, last_deadline=None):
    """Return three models scored on two folds, scored again on two more repeats."""
    catalogue = CATALOGUE.with_entry("family", DIAL)
    problem = problem_of(
        *numeric(), cv=2, repeats=3, catalogue=catalogue, as_given=True
    )
    context = context_of(problem, executor)
    records = []
    for at, noise in enumerate((0.1, 0.5, 0.9)):
        strategy = Strategy.of(catalogue, family=("dial", {"noise": noise}))
        results = [context.submit(strategy, number).result() for number in (0, 1)]
        results = [replace(r, fit_seconds=fit_seconds) for r in results]
        records.append(scored(context, at, strategy, results, fit_seconds=fit_seconds))
    again = rescore(records, ALL_REPEATS, context, deadline, last_deadline or deadline)
    return records, again, context


def test_finalists_are_scored_on_every_repeat():
    before, after, context = rescored(FailsOn(None, None))
    for old, new in zip(before, after, strict=True):
        assert [r.number for r in new.results] == [0, 1, 2, 3, 4, 5]
        assert new.n_folds == 6
        assert new.mean == context.scoring.score(new.results).mean != old.mean
        assert (new.number, new.strategy) == (old.number, old.strategy)


@pytest.mark.parametrize(("fails", "n_folds"), [(2, 2), (3, 2), (4, 4), (5, 4)])
def test_a_repeat_counts_for_all_or_for_none(fails, n_folds):
    before, after, _ = rescored(FailsOn(fails, 0.9))
    assert {len(record.results) for record in after} == {n_folds}
    if n_folds == 2:
        assert after == before


def test_repeats_that_would_take_too_long_are_not_begun():
    executor = FailsOn(None, None)
    clock = Deadline(5.0)
    before, after, _ = rescored(executor, clock, fit_seconds=100.0)
    assert after == before
    assert max(executor.numbers) == 1


def test_a_repeat_that_does_not_end_in_time_is_left():
    class Stuck(FailsOn):
        def submit_within(self, seconds, fn, strategy, number, *rest):
            ended = super().submit_within(seconds, fn, strategy, number, *rest)
            return Future() if number > 1 else ended

    before, after, _ = rescored(Stuck(None, None), Deadline(0.4))
    assert after == before


def test_a_repeat_that_was_begun_in_time_is_waited_for():
    class Busy(FailsOn):
        def submit_within(self, seconds, fn, strategy, number, *rest):
            time.sleep(0.1 if number > 1 else 0)
            return super().submit_within(seconds, fn, strategy, number, *rest)

    _, after, _ = rescored(
        Busy(None, None), Deadline(0.4), last_deadline=Deadline(20.0)
    )
    assert {record.n_folds for record in after} == {4}


@pytest.mark.parametrize("n_repeats", [1, 3])
@pytest.mark.parametrize("slow", [0, 1, 2])
def test_what_is_planned_fits_the_time_and_is_all_that_fits(
    slow, n_repeats, monkeypatch
):
    monkeypatch.setattr("autoimb._select.finalists._SCORING_SECONDS", 0.0)
    problem = problem_of(*numeric(), cv=2, repeats=n_repeats)
    context = context_of(problem, SequentialExecutor())
    takes = [10.0 if at == slow else 1.0 for at in range(3)]
    finalists = [
        record(
            at,
            0.5,
            results=tuple(FoldResult(n, "ok") for n in (0, 1)),
            fit_seconds=s,
        )
        for at, s in enumerate(takes)
    ]
    options = {  # seconds by number of finalists and repeats, 2 folds each
        (n, r): 2 * r * sum(takes[:n]) for n in (2, 3) for r in range(1, n_repeats)
    }
    monkeypatch.setattr(LastSteps, "total_s", 0.0)

    def planned_in(seconds):
        steps = LastSteps(problem, 1, 3)
        return affordable_repeats(finalists, context, steps, lambda _: seconds, size=1)

    for seconds in (0.0, 3.0, 4.0, 8.0, 22.0, 24.0, 44.0, 48.0, 1e9):
        fits = [option for option in options if options[option] <= seconds]
        planned = planned_in(seconds)
        if not fits:
            assert planned == RepeatPlan(0, 0, 0.0)
            continue
        assert planned == RepeatPlan(*max(fits), options[max(fits)])
        # What was kept back for it is enough for it.
        assert planned_in(planned.seconds) == planned


def test_finalists_that_there_is_no_time_to_refit_give_way_to_a_repeat():
    """Time is kept for refits of the candidates that are scored again, of no others."""
    problem = problem_of(*numeric(300, 40), cv=2, repeats=2)
    records = informed_records(problem, [2.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.4])
    slow = [replace(r, fit_seconds=4.0 if r is records[-1] else 0.2) for r in records]
    asked = []

    def seconds_for(among):
        asked.append(len(among))
        return 20.0 - 15.0 * (slow[-1] in among)

    plan = affordable_repeats(
        slow, context_of(problem), LastSteps(problem, 7, 7), seconds_for, size=12
    )
    assert (plan.n_finalists, plan.n_repeats, asked) == (6, 1, [7, 6])


@pytest.mark.parametrize("seconds", [0.0, 3.0, 4.5, 8.0, 12.0, 1e9])
def test_repeats_are_as_many_as_there_is_time_for_with_what_follows(
    seconds, monkeypatch
):
    """Every repeat takes 2 s for two finalists, and makes the last steps longer."""
    monkeypatch.setattr("autoimb._select.finalists._SCORING_SECONDS", 0.0)
    monkeypatch.setattr(LastSteps, "total_s", property(lambda s: 5.0 + s.n_repeats))
    problem = problem_of(*numeric(), cv=2, repeats=4)
    context = context_of(problem, SequentialExecutor())
    results = tuple(FoldResult(n, "ok") for n in (0, 1))
    finalists = [record(n, 0.5, results=results, fit_seconds=0.5) for n in range(2)]
    plan = affordable_repeats(
        finalists, context, LastSteps(problem, 2, 2), lambda _: seconds, size=2
    )
    n_repeats = min(3, int(seconds / 3))
    assert plan == RepeatPlan(2 if n_repeats else 0, n_repeats, 3.0 * n_repeats)


def test_the_scores_of_further_repeats_take_time_too():
    """They are computed here, for each row, class and draw, while no worker is busy."""
    spans = []
    for k in (2, 4):
        y = np.arange(400) % k
        problem = problem_of(np.eye(k)[y], y, cv=2, repeats=2)
        finalists = [record(n, 0.5, family=f) for n, f in enumerate(FAMILIES)]
        context = context_of(problem, SequentialExecutor())
        spans.append(seconds_of_repeats(finalists, context)[0])
    np.testing.assert_allclose(spans, [5e-9 * 400 * 100 * k * 4 for k in (2, 4)])


def lucky_records(context, n, seed):
    """Return equal candidates, scored on the first repeat by chance alone."""
    catalogue, rng = context.problem.catalogue, np.random.default_rng(seed)
    numbers = [n for n, f in enumerate(context.problem.folds) if f.repeat == 0]
    records = []
    for number in range(n):
        family = ("dial", {"noise": 0.8 + 1e-6 * number})
        strategy = Strategy.of(catalogue, family=family)
        results = []
        for fold in numbers:
            positive = rng.random(len(context.problem.folds[fold].val_idx))
            proba = np.column_stack([1 - positive, positive])
            results.append(FoldResult(fold, "ok", proba, fit_seconds=0.05))
        records.append(scored(context, number, strategy, results, fit_seconds=0.05))
    return complete(records)


@pytest.mark.parametrize("size", [1, 12])
@pytest.mark.parametrize("n_rescored", [0, 5, 9, 12])
def test_only_candidates_on_the_same_folds_compete(monkeypatch, size, n_rescored):
    """The luckiest of those that were not scored again never wins."""
    monkeypatch.setattr("autoimb._select.ensemble.MAX_OF_A_FAMILY", 12)
    monkeypatch.setattr("autoimb._select.finalists._FEWEST_FINALISTS", 12)
    plan = RepeatPlan(n_rescored, 3 if n_rescored else 0, 1.0)
    name = "autoimb._select.select.affordable_repeats"
    monkeypatch.setattr(name, lambda *_, **__: plan)
    catalogue = CATALOGUE.with_entry("family", DIAL)
    problem = problem_of(
        *numeric(), cv=2, repeats=4, catalogue=catalogue, as_given=True
    )
    context = context_of(problem, SequentialExecutor())
    for seed in range(3):
        records = lucky_records(context, 12, seed)
        selection = select(records, TimeReserve(context, NO_LIMIT, size))
        assert len(selection.finalists) == (n_rescored or 12)
        members = [member.record for member in selection.members]
        compared = (*selection.finalists, *members, selection.baseline)
        assert {len(r.score.folds) for r in compared} == {8 if n_rescored else 2}
        assert selection.winner in selection.finalists


def test_an_ensemble_and_its_best_member_are_compared_on_the_same_folds():
    """And the scores that calibrate and tune it are those of all repeats."""
    problem = problem_of(*numeric(300, 40), cv=3, repeats=2)
    selection = chosen(problem, informed_records(problem, [1.5] * 4))
    assert len(selection.members) == 4
    ensemble_scoring = EnsembleScoring(problem, context_of(problem).scoring)
    together = ensemble_scoring.score(selection.members)
    assert together.folds == selection.winner.score.folds == tuple(range(6))
    scores = ensemble_scores(selection.members, problem, calibrates_output=True)
    assert len(scores.oof.rows) == 600


@pytest.mark.parametrize("first", [(0, 1), (0, 1, 2, 3)])
def test_calibrated_scores_do_not_depend_on_what_was_asked_before(first):
    """A candidate's scores on two folds, then on four, or the other way round."""
    problem = problem_of(*numeric(300, 60), cv=2, repeats=2)
    scoring = context_of(problem).scoring
    record, other = informed_records(problem, [1.0, 2.0])
    ensemble_scoring = EnsembleScoring(problem, scoring)
    ensemble_scoring.calibrated(record.on_folds(first, scoring))
    for numbers in ((0, 1), (0, 1, 2, 3)):
        part = record.on_folds(numbers, scoring)
        found = ensemble_scoring.calibrated(part)
        fresh = EnsembleScoring(problem, scoring).calibrated(part)
        assert [r.number for r in found] == list(numbers)
        for one, two in zip(found, fresh, strict=True):
            np.testing.assert_array_equal(one.scores, two.scores)
        both = ensemble_scoring.results([Member(part), Member(other)])
        assert [r.number for r in both] == list(numbers)


def test_repeats_of_an_earlier_fit_are_not_fitted_again():
    """What a finalist of a stored search has beyond the first repeat still counts."""
    executor = FailsOn(None, None)
    before, after, context = rescored(executor)
    stored = [new.on_folds({0, 1}, context.scoring) for new in after]
    assert [r.mean for r in stored] == [r.mean for r in before]
    assert [len(r.further) for r in stored] == [4, 4, 4]
    executor.numbers.clear()
    again = rescore(stored, ALL_REPEATS, context, NO_LIMIT, NO_LIMIT)
    assert not executor.numbers
    assert [r.score.mean for r in again] == [r.score.mean for r in after]


def test_finalists_lead_the_board_whatever_others_have_on_fewer_folds():
    lucky = record(0, 0.9)
    finalist, behind = record(1, 0.6, family="xgboost"), record(2, 0.5)
    again = [
        replace(r, score=replace(r.score, folds=(0, 1)), n_folds=2)
        for r in (behind, finalist)
    ]
    board = leaderboard([lucky, *again], CATALOGUE, 80)
    assert board["mean"].tolist() == [0.6, 0.5, 0.9]
    assert board["rank"].tolist() == [1, 2, 3]


# --- the honest estimate


def test_the_estimate_compares_candidates_on_the_folds_that_all_have_run():
    """A finalist's further repeats move the level of the estimate, not the choice."""
    problem = problem_of(*numeric(300, 60), cv=3, repeats=2)
    scoring = context_of(problem).scoring
    every = informed_records(problem, [1.0, 1.2, 1.4])
    first = complete([r.on_folds({0, 1, 2}, scoring) for r in every])
    ensemble_scoring = EnsembleScoring(problem, scoring)
    on_first = honest_score(first, alone(first[0]), ensemble_scoring, NO_LIMIT)
    winner = next(r for r in every if r.number == first[0].number)
    found = honest_score(first, alone(winner), ensemble_scoring, NO_LIMIT)
    level = [scoring.expected(r.results) for r in (first[0], winner)]
    assert found.estimate - on_first.estimate == pytest.approx(level[1] - level[0])


def noise_records(problem, n_candidates):
    """Return candidates that are pure chance, scored like real ones."""
    context = context_of(problem, metric="roc_auc")
    rng = np.random.default_rng(0)
    records = []
    for number in range(n_candidates):
        positive = rng.random(len(problem.table.y))
        proba = np.column_stack([1 - positive, positive])
        results = [
            FoldResult(n, "ok", proba[f.val_idx]) for n, f in enumerate(problem.folds)
        ]
        score = context.scoring.score(results)
        records.append(record(number, 0.0, score=score, results=tuple(results)))
    return records


def ensemble_scoring_of(problem, metric="roc_auc"):
    return EnsembleScoring(problem, context_of(problem, metric=metric).scoring)


def alone(winner, baseline=None):
    """Return the selection of one candidate."""
    selection = Selection.alone(winner)
    return replace(selection, baseline=baseline or winner, is_substitute=False)


def test_the_estimate_of_the_best_of_many_random_candidates_is_near_no_skill():
    problem = problem_of(*numeric(200, 40))
    records = noise_records(problem, 40)
    best = max(records, key=lambda r: r.mean)
    found = honest_score(
        records, alone(best, records[3]), ensemble_scoring_of(problem), NO_LIMIT
    )
    assert best.mean > 0.58
    assert abs(found.estimate - 0.5) < 0.6 * abs(best.mean - 0.5)
    assert found.low < 0.5 < found.high
    assert found.low < found.estimate < found.high
    assert found.no_skill == 0.5
    assert abs(found.baseline - 0.5) < 0.6 * abs(best.mean - 0.5)


def test_the_baseline_is_estimated_among_baselines_alone():
    """Handled candidates do not change it."""
    problem = problem_of(*numeric(200, 40))
    ensemble_scoring = ensemble_scoring_of(problem)
    records = noise_records(problem, 12)
    weights = ("balanced", {"exponent": 0.5})
    handled = [
        replace(
            r,
            strategy=Strategy.of(CATALOGUE, family="extra_trees", class_weight=weights),
        )
        for r in records[:6]
    ]
    plain = records[6:]
    best, best_plain = (max(of, key=lambda r: r.mean) for of in (handled, plain))
    among_all = honest_score(
        [*handled, *plain], alone(best, best_plain), ensemble_scoring, NO_LIMIT
    )
    among_plain = honest_score(plain, alone(best_plain), ensemble_scoring, NO_LIMIT)
    assert among_all.baseline == among_plain.baseline == among_plain.estimate


def test_one_candidate_alone_needs_no_correction():
    problem = problem_of(*numeric(300, 100))
    records = noise_records(problem, 1)
    found = honest_score(
        records, alone(records[0]), ensemble_scoring_of(problem), NO_LIMIT
    )
    expected = ensemble_scoring_of(problem).scoring.expected(records[0].results)
    assert found.estimate == pytest.approx(expected, abs=0.01)


def test_no_skill_is_the_prevalence_for_average_precision():
    X, y = numeric(200, 30)
    problem = problem_of(X, y)
    selection = unscored(Strategy.of(CATALOGUE, family="extra_trees"))
    found = honest_score(
        [], selection, ensemble_scoring_of(problem, "average_precision"), NO_LIMIT
    )
    assert found.no_skill == pytest.approx(0.15)
    assert np.isnan([found.estimate, found.low, found.high]).all()


def test_a_draw_in_which_nothing_is_known_does_not_count():
    """A draw that holds every row leaves none to score on."""
    problem = problem_of(*numeric(200, 60))
    ensemble_scoring, rng = ensemble_scoring_of(problem), np.random.default_rng(0)
    counts = rng.poisson(1.0, (3, 200)).astype(np.uint8)
    counts[1] = 1
    ensemble_scoring = replace(
        ensemble_scoring, scoring=replace(ensemble_scoring.scoring, counts=counts)
    )
    (one,) = noise_records(problem, 1)
    one = replace(one, score=Score(0.5, np.ones(3), one.score.folds))
    with_gap = honest_score([one], alone(one), ensemble_scoring, NO_LIMIT)
    scoring = replace(ensemble_scoring.scoring, counts=counts[[0, 2]])
    two = replace(one, score=Score(0.5, np.ones(2), one.score.folds))
    assert with_gap == honest_score(
        [two], alone(two), replace(ensemble_scoring, scoring=scoring), NO_LIMIT
    )
    assert np.isfinite(with_gap.estimate)


# --- the ensemble


def informed_records(problem, qualities, *, seed=0, **fields):
    """Return candidates whose scores say so much of the labels, each with own noise."""
    context, rng = context_of(problem), np.random.default_rng(seed)
    families = list(CATALOGUE.entries["family"])
    records = []
    for number, quality in enumerate(qualities):
        margin = quality * problem.table.y + rng.normal(size=len(problem.table.y))
        positive = 1 / (1 + np.exp(-margin))
        proba = np.column_stack([1 - positive, positive])
        results = [
            FoldResult(n, "ok", proba[f.val_idx]) for n, f in enumerate(problem.folds)
        ]
        strategy = Strategy.of(CATALOGUE, family=families[number])
        records.append(scored(context, number, strategy, results, **fields))
    return sorted(records, key=lambda r: -r.mean)


def chosen(problem, records, clock=NO_LIMIT, size=12):
    return select(records, TimeReserve(context_of(problem), clock, size))


def test_models_with_different_errors_form_an_ensemble():
    problem = problem_of(*numeric(300, 40), cv=3)
    records = informed_records(problem, [1.5] * 6)
    found = chosen(problem, records)
    assert len(found.members) == 6
    assert found.members[0].record is found.winner is records[0]
    score = ensemble_scoring_of(problem, "average_precision").score(found.members)
    assert score.mean > found.winner.mean + 0.05


def test_an_ensemble_has_at_most_the_requested_members():
    problem = problem_of(*numeric(300, 40), cv=3)
    records = informed_records(problem, [1.5] * 6)
    for size in (1, 2, 4):
        assert len(chosen(problem, records, size=size).members) == size


def test_a_random_candidate_has_next_to_no_weight():
    """Beside a good model it has next to no weight, or is no member at all."""
    problem = problem_of(*numeric(3000, 600), cv=3)
    records = informed_records(problem, [3.0, 0.0, 0.0, 0.0])
    found = chosen(problem, records)
    total = sum(member.weight for member in found.members)
    assert found.members[0].weight / total > 0.99


def test_a_candidate_that_cannot_be_refitted_in_time_is_no_member():
    problem = problem_of(*numeric(300, 40), cv=3)
    records = informed_records(problem, [1.5] * 6, fit_seconds=4.0)
    clock = Deadline(20.0, started=time.monotonic())
    # One second for the last steps, six for the winner, four for each of the others.
    assert len(chosen(problem, records, clock).members) == 4


def test_a_candidate_is_calibrated_once(monkeypatch):
    """Choosing members, their refit and the honest estimate share its calibration."""
    problem = problem_of(*numeric(300, 40), cv=3)
    records, fitted = informed_records(problem, [1.5] * 4), []
    fit = ensemble_module.fit_calibration

    def noted(y, *args, **kwargs):
        fitted.append(len(y))
        return fit(y, *args, **kwargs)

    monkeypatch.setattr(ensemble_module, "fit_calibration", noted)
    found = chosen(problem, records)
    assert len(fitted) == len(found.members) == 4
    ensemble_scores(found.members, problem, calibrates_output=True)
    honest_score(records, found, ensemble_scoring_of(problem), NO_LIMIT)
    assert len(fitted) == 4
    chosen(problem_of(*numeric(300, 40), cv=3), records)
    assert len(fitted) == 8  # the folds of another problem may be others


def test_the_scores_of_an_ensemble_are_the_mean_of_calibrated_scores():
    problem = problem_of(*numeric(300, 60), cv=3)
    ensemble_scoring = ensemble_scoring_of(problem)
    one, other = informed_records(problem, [1.0, 2.0])
    members = [Member(one, 3.0), Member(other, 1.0)]
    parts = zip(
        ensemble_scoring.calibrated(one),
        ensemble_scoring.calibrated(other),
        strict=True,
    )
    for found, (a, b) in zip(ensemble_scoring.results(members), parts, strict=True):
        np.testing.assert_allclose(found.scores, (3 * a.scores + b.scores) / 4)


def test_a_strictly_increasing_map_of_a_member_s_scores_changes_nothing_much():
    """Members are calibrated first, so that large scores do not outweigh others."""
    problem = problem_of(*numeric(400, 80), cv=3)
    ensemble_scoring = ensemble_scoring_of(problem)
    one, other = informed_records(problem, [1.0, 2.0])

    def louder(result):
        p = result.scores[:, 1]
        mapped = 1 / (1 + np.exp(3 - 4 * np.log(p / (1 - p))))
        return replace(result, proba=np.column_stack([1 - mapped, mapped]))

    loud = replace(other, number=99, results=tuple(map(louder, other.results)))
    plain = ensemble_scoring.results([Member(one), Member(other)])
    mapped = ensemble_scoring.results([Member(one), Member(loud)])
    for a, b in zip(plain, mapped, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=2e-3)


def test_the_honest_estimate_of_an_ensemble_repeats_its_selection():
    """It beats each member's by about as much as the ensemble does."""
    problem = problem_of(*numeric(400, 60), cv=3)
    records = informed_records(problem, [1.5] * 6)
    ensemble_scoring = EnsembleScoring(problem, context_of(problem).scoring)
    found = chosen(problem, records)
    together = honest_score(records, found, ensemble_scoring, NO_LIMIT).estimate
    single = honest_score(
        records, alone(records[0]), ensemble_scoring, NO_LIMIT
    ).estimate
    assert together > single + 0.05
    on_all = ensemble_scoring.scoring.expected(
        ensemble_scoring.results_as_fitted(found.members)
    )
    assert together == pytest.approx(on_all, abs=0.04)


def test_rows_of_different_folds_keep_the_order_that_what_predicts_gives_them():
    """One calibration for each member does not change its order; one a fold does."""
    problem = problem_of(*numeric(200, 16), cv=4)
    (one,) = informed_records(problem, [1.0])
    ensemble_scoring = EnsembleScoring(problem, context_of(problem).scoring)
    expected = ensemble_scoring.scoring.expected
    twice = [Member(one), Member(one)]
    assert expected(ensemble_scoring.results_as_fitted(twice[:1])) == expected(
        one.results
    )
    as_fitted = expected(ensemble_scoring.results_as_fitted(twice))
    assert as_fitted == pytest.approx(expected(one.results))
    assert as_fitted > expected(ensemble_scoring.results(twice)) + 0.002


def test_a_candidate_without_a_score_has_no_weight():
    nan = float("nan")
    np.testing.assert_array_equal(
        member_weights(np.array([0.5, nan, 0.5]), 0.1), [1, 0, 1]
    )
    np.testing.assert_array_equal(member_weights(np.array([nan, nan]), 0.1), [1, 0])


def test_a_weight_falls_by_e_over_two_standard_errors_and_ends_at_a_twentieth():
    found = member_weights(np.array([0.5, 0.48, 0.44, 0.43]), 0.01)
    np.testing.assert_allclose(found, [1.0, np.exp(-1.0), 0.0, 0.0], atol=1e-12)
    assert member_weights(np.array([0.5, 0.4]), 0.0).tolist() == [1.0, 0.0]


def test_a_standard_error_that_is_unknown_does_not_count():
    one, other = record(0, 0.5), record(1, 0.4, noise=0.02)
    gone = replace(other, score=Score(0.4, np.full(100, np.nan), (0,)))
    assert typical_standard_error([one, other, gone]) == pytest.approx(0.02)
    assert typical_standard_error([one, gone]) == typical_standard_error([one]) == 0.0


def test_the_honest_estimate_never_passes_the_best_score_there_is():
    problem = problem_of(*numeric(300, 30), cv=3)
    records = informed_records(problem, [6.0] * 4)
    ensemble_scoring = ensemble_scoring_of(problem, "average_precision")
    found = honest_score(records, alone(records[0]), ensemble_scoring, NO_LIMIT)
    assert 0.9 < found.estimate <= found.high <= 1.0


def test_after_the_deadline_the_estimate_has_fewer_draws():
    problem = problem_of(*numeric(300, 40), cv=3)
    records = informed_records(problem, [1.5] * 6)
    found = chosen(problem, records)
    ensemble_scoring = EnsembleScoring(problem, context_of(problem).scoring)
    whole, short = (
        honest_score(records, found, ensemble_scoring, deadline)
        for deadline in (NO_LIMIT, Deadline(0.0))
    )
    assert (whole.n_draws, short.n_draws) == (100, 20)
    assert short.low <= short.estimate <= short.high
    assert short.estimate == pytest.approx(whole.estimate, abs=0.03)


# --- the interval of the honest estimate


def interval_of(problem, shift=1.5):
    """Return the honest score of one candidate, and its pooled scores on the draws."""
    (one,) = informed_records(problem, [shift])
    scoring = ensemble_scoring_of(problem)
    drawn = scoring.scoring.pooled(one.results, scoring.scoring.counts)
    return honest_score([one], alone(one), scoring, NO_LIMIT), drawn


@pytest.mark.parametrize("n_positives", [12, 40, 150])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_the_interval_is_boyds_with_the_quantiles_of_t(n_positives, shift):
    """Unless the bootstrap's standard error is larger."""
    problem = problem_of(*numeric(8 * n_positives, n_positives), cv=3)
    found, drawn = interval_of(problem, shift)
    mean = found.estimate
    shrunk = (n_positives * mean + 1) / (n_positives + 2)
    of_mean = 1 / np.sqrt(n_positives * shrunk * (1 - shrunk))
    deviation = max(of_mean, np.std(drawn, ddof=1) / (mean * (1 - mean)))
    margin = stats.t.ppf(0.975, n_positives - 1) * deviation
    ends = expit(logit(mean) + margin * np.array([-1, 1]))
    np.testing.assert_allclose([found.low, found.high], ends)


def test_a_perfect_score_has_an_interval_with_a_width():
    problem = problem_of(*numeric(300, 30), cv=3)
    found, _ = interval_of(problem, shift=60.0)
    assert found.estimate > 0.999
    assert stats.beta.ppf(0.025, 30, 1) < found.low < stats.beta.ppf(0.2, 30, 1)
    assert found.high == 1.0


def test_groups_of_rows_say_as_much_as_that_many_rows():
    X, y = numeric(300, 60)
    groups = np.concatenate([np.arange(60) // 5, 100 + np.arange(240) // 5])
    X, y = np.concatenate([X[y == 1], X[y == 0]]), np.repeat([1, 0], [60, 240])
    alike = problem_of(X, y, cv=3)
    grouped = problem_of(X, y, cv=3, groups=groups)
    widths = [f.high - f.low for f, _ in map(interval_of, (alike, grouped))]
    assert widths[1] > 1.8 * widths[0]


def test_the_interval_on_new_rows_adds_the_luck_of_those_rows():
    found, _ = interval_of(problem_of(*numeric(400, 50), cv=3))
    half, as_many, many = (found.on_new_rows(n) for n in (200, 400, 10**9))
    np.testing.assert_allclose(many, [found.low, found.high], rtol=1e-6)
    margin = np.ptp(logit([found.low, found.high]))
    assert np.ptp(logit(as_many)) == pytest.approx(np.sqrt(2) * margin)
    assert np.ptp(logit(half)) == pytest.approx(np.sqrt(3) * margin)


@pytest.mark.parametrize(("estimate", "end"), [(1.0, 1.0), (0.0, 0.0)])
def test_an_estimate_at_its_limit_lies_in_its_interval(estimate, end):
    problem = problem_of(*numeric(300, 30), cv=3)
    (one,) = informed_records(problem, [1.0])
    scoring = ensemble_scoring_of(problem)
    low, high, margin = score_interval(
        estimate, scoring.results(alone(one).members), scoring.scoring
    )
    assert end in {low, high}
    assert low <= estimate <= high
    assert 0.05 < high - low < 0.8
    found = HonestScore(
        estimate=estimate,
        low=low,
        high=high,
        no_skill=0.1,
        baseline=0.1,
        n_rows=300,
        logit_margin=margin,
    )
    wider = found.on_new_rows(30)
    assert wider[0] <= low <= high <= wider[1]
    assert end in wider


def test_a_metric_of_labels_has_no_interval_on_new_rows():
    problem = problem_of(*numeric(200, 40), cv=3)
    (one,) = informed_records(problem, [1.5])
    found = honest_score(
        [one], alone(one), ensemble_scoring_of(problem, "mcc"), NO_LIMIT
    )
    assert np.isfinite([found.low, found.high]).all()
    with pytest.raises(BadInputError, match="estimate of a ranking metric"):
        found.on_new_rows(100)


# --- the time that is kept for the last steps


def classes_of(n, k):
    """Return a table of k classes, 60 rows in the smallest."""
    y = np.append(np.repeat(np.arange(k), 60), np.zeros(n - 60 * k, dtype=int))
    return np.eye(k)[y] + np.arange(n)[:, np.newaxis] / n, y


@pytest.mark.parametrize("n_members", [1, 12])
@pytest.mark.parametrize("kind", ["rest_s", "choice_s"])
def test_time_kept_grows_with_rows_repeats_and_classes(kind, n_members):
    def seconds(n=1000, k=3, n_repeats=1):
        problem = problem_of(*classes_of(n, k), cv=3)
        return getattr(LastSteps(problem, n_members, 20, n_repeats), kind)

    if kind == "choice_s" and n_members == 1:
        assert seconds() == 0  # there is nothing to choose
        return
    # As long as there are as many draws, it is linear in the rows.
    steps = np.diff([seconds(n) for n in (1000, 2000, 3000)])
    assert 0 < steps[0] == pytest.approx(steps[1])
    # Members' calibrations on further repeats are others than those that draws see.
    steps = np.diff([seconds(n_repeats=r) for r in (2, 3, 4)])
    assert 0 < steps[0] == pytest.approx(steps[1])
    steps = np.diff([seconds(k=k) for k in (3, 4, 5)])
    assert 0 < steps[0] <= steps[1] + 1e-12
    assert seconds() < 1.5  # of which one is for any table


def test_time_kept_grows_with_members_and_candidates():
    problem = problem_of(*classes_of(1000, 3), cv=3)
    one, few, many = (LastSteps(problem, size, 5) for size in (1, 2, 12))
    assert one.choice_s < few.choice_s < many.choice_s
    assert one.rest_s < many.rest_s < few.rest_s  # members are calibrated by then
    assert few.rest_s < LastSteps(problem, 2, 15).rest_s
    assert LastSteps(problem, 2, 99).rest_s == LastSteps(problem, 2, 20).rest_s
    twice = (LastSteps(problem, size, 5, 2).rest_s for size in (2, 12))
    assert next(twice) == next(twice)  # on further repeats, which draws do not see


def test_the_threshold_of_many_classes_takes_a_search_for_each():
    """Time for it is kept by the square of the number of classes."""
    few, twice = (
        LastSteps(problem_of(*classes_of(2400, k), cv=3), 1, 5).rest_s for k in (20, 40)
    )
    assert (twice - 1) / (few - 1) > 2.2


def test_there_is_an_ensemble_where_half_of_the_budget_is_enough_for_it():
    problem = problem_of(*classes_of(3000, 9), cv=3, repeats=3)
    steps = LastSteps(problem, 12, 20)
    needed = steps.rest_s + steps.choice_s
    for share, size in ((2.001, 12), (1.999, 1)):
        assert affordable_size(problem, 12, Deadline(share * needed)) == size
    assert affordable_size(problem, 12, NO_LIMIT) == 12


@pytest.mark.parametrize("n_complete", [0, 1, 4])
def test_the_search_has_half_of_any_budget_less_what_fits_take(n_complete, monkeypatch):
    monkeypatch.setattr("autoimb._select.time_reserve.pace_of", lambda *_: 1.0)
    problem = problem_of(*classes_of(3000, 40), cv=3)
    records = [record(n, 0.5, family=f) for n, f in enumerate(FAMILIES)][:n_complete]
    reserve = TimeReserve(context_of(problem), Deadline(1.0), 12)
    assert reserve.seconds(records) == pytest.approx(0.5)


def slow_calibrations(monkeypatch, factor):
    """Let calibrations take so many times longer than expected, on a clock of ours."""
    now = [0.0]
    n_scores = 2 * 40_000

    def calibrated(*_):
        now[0] += factor * 3e-7 * n_scores

    monkeypatch.setattr("autoimb._select.time_reserve.calibration_of", calibrated)
    clock = "autoimb._select.time_reserve.time.thread_time"
    monkeypatch.setattr(clock, lambda: now[0])


@pytest.mark.parametrize(
    ("factor", "pace"), [(0.5, 1.0), (1.0, 1.0), (2.5, 2.5), (100, 4.0)]
)
def test_a_slow_machine_is_noticed_by_its_pace(factor, pace, monkeypatch):
    problem = problem_of(*numeric(40_000, 600), cv=3)
    slow_calibrations(monkeypatch, factor)
    assert pace_of(record(0, 0.5), problem) == pytest.approx(pace)


def test_without_a_time_limit_nothing_is_timed(monkeypatch):
    problem = problem_of(*numeric(40_000, 600), cv=3)
    slow_calibrations(monkeypatch, 2.5)
    reserve = TimeReserve(context_of(problem), NO_LIMIT, 1)
    assert reserve.seconds([record(0, 0.5)]) == 0.0
    assert reserve.pace == 1.0


def test_what_takes_no_time_says_nothing_of_the_pace(monkeypatch):
    slow_calibrations(monkeypatch, 2.5)
    small = problem_of(*numeric(300, 60), cv=3)
    assert pace_of(record(0, 0.5), small) == 1.0


def test_the_pace_is_learned_from_the_first_complete_candidate_only(monkeypatch):
    problem = problem_of(*numeric(40_000, 600), cv=3)
    reserve = TimeReserve(context_of(problem), Deadline(60.0, started=0.0), 1)
    assert reserve.pace == 1.0
    slow_calibrations(monkeypatch, 2.5)
    reserve.seconds([])
    assert reserve.pace == 1.0
    few = reserve.seconds([record(0, 0.5)])
    assert reserve.pace == pytest.approx(2.5)
    slow_calibrations(monkeypatch, 4.0)
    assert reserve.seconds([record(0, 0.5)]) == few
    assert reserve.pace == pytest.approx(2.5)
    assert few > 2.5 * LastSteps(problem, 1, 1).rest_s - 1e-9


def test_further_repeats_get_their_share_once_there_are_enough_candidates(monkeypatch):
    """Of few candidates the best is not lucky, and another one is worth more."""
    asked = []
    name = "autoimb._select.time_reserve.affordable_repeats"

    def planned(finalists, context, steps, seconds_for, *, size):
        asked.append(seconds_for(finalists))
        return RepeatPlan(2, 1, asked[-1])

    monkeypatch.setattr(name, planned)
    context = context_of(problem_of(*numeric(), cv=3))
    for n in (1, 6, 12, 24):
        reserve = TimeReserve(context, Deadline(100.0), 1)
        records = [record(k, 0.5) for k in range(n)]
        assert reserve.seconds(records) > 1.05 * asked[-1]
    assert asked == pytest.approx([25 / 12, 12.5, 25.0, 25.0])


def test_a_slow_machine_leaves_out_members():
    problem = problem_of(*numeric(300, 40), cv=3)
    records = informed_records(problem, [1.5] * 6, fit_seconds=4.0)
    n_members = []
    for pace in (1.0, 5.0):
        deadline = Deadline(20.0, started=time.monotonic())
        reserve = TimeReserve(context_of(problem), deadline, 12)
        reserve.pace = pace
        found = select(records, reserve)
        assert (found.pace, found.n_complete) == (pace, 6)
        n_members.append(len(found.members))
    # Five seconds for the last steps: six for the winner, four for each of the others.
    assert n_members == [4, 3]
