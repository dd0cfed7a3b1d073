"""The leaderboard depends on data, seed and trials, and on nothing else."""

import random
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from itertools import pairwise

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.metrics import make_scorer
from tables import (
    BROKEN,
    DIAL,
    Dial,
    context_of,
    family_of,
    mixed,
    numeric,
    problem_of,
    space_of,
)

from autoimb import AutoImbalance
from autoimb._catalogue.entry import Float
from autoimb._evaluate import context as context_module
from autoimb._execution.deadline import Deadline
from autoimb._execution.executors import LimitedExecutor, SequentialExecutor
from autoimb._execution.resources import Memory
from autoimb._search.search import LAG, search
from autoimb._search.study import StudyRecords
from autoimb._search.trials import complete, leaderboard, with_finalists
from autoimb._strategy.flowchart import recommend
from autoimb._table.profile import profile_table

PLAIN = {"resampler": [], "class_weight": [], "loss": []}


class LateExecutor(LimitedExecutor):
    """Results arrive after a random moment, so in an order of their own."""

    n_workers = 5

    seconds = 0.02

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.n_submitted = 0

    def submit_within(self, _seconds, fn, /, *args, **kwargs):
        self.n_submitted += 1
        done, late = SequentialExecutor().submit(fn, *args, **kwargs), Future()
        timer = threading.Timer(
            self.rng.uniform(0.0, self.seconds), self.deliver, [late, done.result()]
        )
        timer.start()
        return late

    @staticmethod
    def deliver(late, result):
        if late.set_running_or_notify_cancel():
            late.set_result(result)


class StuckExecutor(LimitedExecutor):
    """Nothing that is submitted ever ends."""

    n_workers = 64

    def submit_within(self, _seconds, fn, /, *args, **kwargs):
        return Future()


def run(families=DIAL, *, n_trials=None, seconds=None, executor=None, **options):
    """Return the outcome of a search over cheap models, and its space."""
    X, y = numeric()
    axes = {name: options.pop(name, wish) for name, wish in PLAIN.items()}
    space = space_of(X, y, family=families, **axes)
    problem = problem_of(X, y, catalogue=space.catalogue, as_given=True)
    recommendation = recommend(profile_table(problem.table), catalogue=space.catalogue)
    outcome = search(
        space,
        space.first_trials(recommendation),
        context=context_of(problem, executor),
        study_records=StudyRecords.open(None, {}, problem.seed),
        deadline=Deadline(seconds),
        n_trials=n_trials,
        **options,
    )
    return outcome, space


def limited(n_trials):
    """Return what a search without a deadline needs beside its context."""
    return {
        "study_records": StudyRecords.open(None, {}, 0),
        "deadline": Deadline(None),
        "n_trials": n_trials,
    }


def recorded(outcome):
    """Return what the records say of every trial."""
    return [
        (r.number, r.strategy, r.status, r.mean, r.reported_value, r.n_folds, r.reason)
        for r in outcome.records
    ]


# --- the same on every executor


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_in_which_folds_finish_changes_nothing(seed):
    options = {"n_trials": 14, "resampler": "auto"}
    in_order, _ = run([DIAL, BROKEN], **options)
    late, _ = run([DIAL, BROKEN], executor=LateExecutor(seed), **options)
    assert recorded(late) == recorded(in_order)
    assert [t.params for t in late.study.trials] == [
        t.params for t in in_order.study.trials
    ]


def test_one_and_two_workers_give_the_same_leaderboard_and_predictions(pool):
    X, y = mixed(520, 250)  # so many that finalists need no further repeats
    settings = {
        "n_trials": 7,
        "families": "logistic_regression",
        "resamplers": "random_under",
        "cv": 2,
        "random_state": 0,
    }
    here = AutoImbalance(n_jobs=1, **settings).fit(X, y)
    there = AutoImbalance(executor=pool, **settings).fit(X, y)
    pd.testing.assert_frame_equal(
        here.leaderboard_.drop(columns="fit_seconds"),
        there.leaderboard_.drop(columns="fit_seconds"),
        rtol=1e-6,
    )
    np.testing.assert_allclose(here.predict_proba(X), there.predict_proba(X), atol=1e-6)
    assert here.threshold_ == pytest.approx(there.threshold_, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "delay_s", "least", "most"),
    [(60.0, 2.0, 36, 41), (None, 0.1, 1, LAG * 3)],
    ids=["budget", "no budget"],
)
def test_within_a_time_budget_all_workers_of_a_large_cluster_have_work(
    seconds, delay_s, least, most
):
    class Large(LateExecutor):
        n_workers, n_running, n_at_once = 40, 0, 0

        def submit_within(self, _seconds, fn, /, *args, **kwargs):
            self.n_running += 1
            self.n_at_once = max(self.n_at_once, self.n_running)
            return super().submit_within(None, fn, *args, **kwargs)

        def deliver(self, late, result):
            self.n_running -= 1
            LateExecutor.deliver(late, result)

    executor = Large(0)
    executor.seconds = delay_s
    run(n_trials=30, seconds=seconds, executor=executor)
    assert least <= executor.n_at_once <= most


@pytest.mark.parametrize(
    "executor", [SequentialExecutor(), LateExecutor(0)], ids=["in order", "late"]
)
def test_a_trial_is_proposed_knowing_the_trials_up_to_the_lag_and_no_more(executor):
    outcome, _ = run(n_trials=12, executor=executor)
    started = [t.datetime_start for t in outcome.study.trials]
    ended = [t.datetime_complete for t in outcome.study.trials]
    for t in range(LAG, 12):
        assert ended[t - LAG] <= started[t]
        assert started[t] <= ended[t - LAG + 1]
    assert all(one <= other for one, other in pairwise(ended))


def test_trials_are_recorded_in_their_order():
    outcome, _ = run(n_trials=10, executor=LateExecutor(3))
    assert [r.number for r in outcome.records] == list(range(10))
    times = [r.finished_at for r in outcome.records]
    assert times == sorted(times)


class Unbalanced(Dial):
    """A dial with more noise where the classes it was fitted on differ in size."""

    def fit(self, X, y):
        super().fit(X, y)
        self.is_balanced_ = np.ptp(np.unique(y, return_counts=True)[1]) <= 1
        return self

    def predict_proba(self, X):
        noise = self.noise if self.is_balanced_ else (1 + self.noise) / 2
        return Dial(noise).predict_proba(X)


@pytest.mark.newest  # what Optuna 4 proposes for the seed is never handled and best
@pytest.mark.parametrize("executor", [None, LateExecutor(3)], ids=["here", "late"])
def test_the_best_model_is_tried_without_handling_as_well(executor):
    """In the second half; what handling gained is known from such a pair only."""
    family = family_of(Unbalanced(), "unbalanced", noise=Float(0.0, 1.0, default=0.5))
    outcome, space = run(
        family, n_trials=24, executor=executor, resampler=["none", "random_under"]
    )
    tried = [r.proposed or r.strategy for r in outcome.records]
    n_handled = 0
    for place in range(12, 24):
        known = [
            r for r in outcome.records[: place - LAG + 1] if r.status == "complete"
        ]
        best = max(known, key=lambda r: (r.mean, -r.number))
        best = best.proposed or best.strategy
        n_handled += best.is_handled
        # With the same noise to the last digit: no other trial has it by chance.
        assert best.without_handling(space.catalogue) in tried[: place + 1]
    assert n_handled == 12


def test_the_seed_decides():
    X, y = numeric()
    space = space_of(X, y, family=DIAL, **PLAIN)

    def strategies(seed):
        problem = problem_of(X, y, catalogue=space.catalogue, as_given=True, seed=seed)
        study_records = StudyRecords.open(None, {}, seed)
        outcome = search(
            space,
            (),
            context=context_of(problem),
            study_records=study_records,
            deadline=Deadline(None),
            n_trials=5,
        )
        return [r.strategy for r in outcome.records]

    assert strategies(0) == strategies(0)
    assert strategies(0) != strategies(1)


def test_global_random_state_is_left_alone():
    np.random.seed(3)
    random.seed(3)
    numpy_before, python_before = np.random.get_state(), random.getstate()
    run(n_trials=8)
    numpy_after = np.random.get_state()
    assert all(
        np.array_equal(a, b) for a, b in zip(numpy_before, numpy_after, strict=True)
    )
    assert random.getstate() == python_before


# --- what is tried


def test_first_trials_come_first_and_the_search_improves_on_them():
    outcome, space = run(n_trials=15)
    assert outcome.records[0].strategy == space.portfolio()[0]
    assert dict(complete(outcome.records)[0].strategy.family.params)["noise"] < 0.5
    assert complete(outcome.records)[0].mean > outcome.records[0].mean


def test_complete_records_hold_every_fold_of_the_first_repeat():
    X, y = numeric()
    space = space_of(X, y, family=DIAL, **PLAIN)
    problem = problem_of(X, y, repeats=3, catalogue=space.catalogue, as_given=True)
    outcome = search(space, (), context=context_of(problem), **limited(2))
    for record in outcome.records:
        assert [r.number for r in record.results] == [0, 1, 2]
        assert record.n_folds == 3


def test_the_study_knows_every_score():
    outcome, _ = run([DIAL, BROKEN], n_trials=12)
    for trial, record in zip(outcome.study.trials, outcome.records, strict=True):
        assert trial.value == (record.score.mean if record.score else None)
        assert trial.state.is_finished()


def test_a_strategy_that_comes_again_is_not_evaluated_again():
    executor = LateExecutor(0)
    still = family_of(DIAL.make, "still")
    outcome, _ = run(still, n_trials=7, executor=executor)
    assert executor.n_submitted == 3
    assert [r.status for r in outcome.records] == ["complete"] + ["duplicate"] * 6
    assert outcome.records[1].reason == "the same as a candidate before it"
    values = {trial.value for trial in outcome.study.trials}
    assert values == {outcome.records[0].mean}


def test_only_the_best_keep_their_scores():
    outcome, _ = run(n_trials=45)
    ranked = complete(outcome.records)
    assert len(ranked) == 45
    assert all(record.results for record in ranked[:40])
    assert not any(record.results for record in ranked[40:])


# --- failures


def test_a_candidate_that_fails_is_a_row_with_its_reason_and_the_search_goes_on():
    outcome, space = run([DIAL, BROKEN], n_trials=14)
    status = {(r.strategy.family.name, r.status) for r in outcome.records}
    assert {("dial", "complete"), ("broken", "failed")} <= status
    assert ("broken", "complete") not in status
    rows = leaderboard(outcome.records, space.catalogue, 80)
    failed = rows[rows["status"] == "failed"]
    assert set(failed["reason"]) == {"ValueError: this model is broken"}
    assert failed["mean"].isna().all()
    assert failed["rank"].isna().all()


def test_one_failed_fold_ends_the_others():
    class FirstFails(LateExecutor):
        def submit_within(self, _seconds, fn, /, *args, **kwargs):
            if self.n_submitted:
                self.n_submitted += 1
                self.waiting.append(Future())
                return self.waiting[-1]
            self.waiting = []
            return super().submit_within(None, fn, *args, **kwargs)

    executor = FirstFails(0)
    outcome, _ = run(BROKEN, n_trials=1, executor=executor)
    assert outcome.records[0].status == "failed"
    assert len(executor.waiting) == 2
    assert all(future.cancelled() for future in executor.waiting)


def test_every_candidate_failing_leaves_only_reasons():
    outcome, _ = run(BROKEN, n_trials=3)
    assert not complete(outcome.records)
    assert outcome.records[0].reason == "ValueError: this model is broken"


# --- the end


def test_a_search_whose_tasks_never_end_ends_at_its_deadline():
    started = time.monotonic()
    outcome, _ = run(seconds=0.6, executor=StuckExecutor())
    assert 0.5 < time.monotonic() - started < 3.0
    # With a deadline, three folds each keep all of the 64 workers busy.
    assert len(outcome.records) == 1 + 22
    assert {r.status for r in outcome.records} == {"timeout"}
    assert outcome.records[0].reason == "the time budget ended after 0 of 3 folds"
    assert all(t.state.is_finished() for t in outcome.study.trials)


def test_a_deadline_alone_stops_a_search_that_could_go_on():
    outcome, _ = run(seconds=1.2)
    assert complete(outcome.records)
    assert outcome.records[-1].finished_at < 2.5


def test_seconds_held_back_are_left():
    outcome, _ = run(seconds=60.0, seconds_after_search=lambda complete: 58.8)
    assert complete(outcome.records)
    assert outcome.records[-1].finished_at < 5.0


def test_a_number_of_trials_is_kept_exactly():
    outcome, _ = run(n_trials=7)
    assert len(outcome.records) == len(outcome.study.trials) == 7
    assert not outcome.was_interrupted


def test_ctrl_c_keeps_what_is_complete():
    def interrupt(progress):
        if progress.n_done == 3:
            raise KeyboardInterrupt

    outcome, _ = run(n_trials=50, on_progress=interrupt)
    assert outcome.was_interrupted
    assert len(complete(outcome.records)) >= 3
    assert len(outcome.records) <= 3 + LAG
    assert all(t.state.is_finished() for t in outcome.study.trials)


def test_ctrl_c_gives_up_what_is_under_way():
    def interrupt(progress):
        raise KeyboardInterrupt

    outcome, _ = run(n_trials=5, executor=StuckExecutor(), on_progress=interrupt)
    assert {r.reason for r in outcome.records} == {
        "stopped by Ctrl-C after 0 of 3 folds"
    }


def test_progress_counts_and_knows_the_best():
    seen = []
    outcome, _ = run([DIAL, BROKEN], n_trials=9, on_progress=seen.append)
    assert [p.n_done for p in seen] == sorted(p.n_done for p in seen)
    last = seen[-1]
    assert (last.n_done, last.n_trials, last.time_budget) == (9, 9, None)
    assert last.n_failed == sum(r.status == "failed" for r in outcome.records)
    assert last.best == complete(outcome.records)[0].mean
    assert last.best_strategy == complete(outcome.records)[0].strategy


@pytest.mark.parametrize("verbosity", [optuna.logging.DEBUG, optuna.logging.ERROR])
@pytest.mark.parametrize("error", [None, RuntimeError])
def test_optunas_verbosity_is_restored(verbosity, error):
    before = optuna.logging.get_verbosity()

    def stop(progress):
        if error is not None:
            raise error

    try:
        optuna.logging.set_verbosity(verbosity)
        if error is None:
            run(n_trials=1, on_progress=stop)
        else:
            with pytest.raises(error):
                run(n_trials=1, on_progress=stop)
        assert optuna.logging.get_verbosity() == verbosity
    finally:
        optuna.logging.set_verbosity(before)


# --- the leaderboard


def test_the_leaderboard_ranks_by_score_and_shows_each_candidate_once():
    outcome, space = run([DIAL, BROKEN], n_trials=14)
    rows = leaderboard(outcome.records, space.catalogue, 80)
    scored = rows[rows["status"] == "complete"]
    assert scored["rank"].tolist() == list(range(1, len(scored) + 1))
    assert scored["mean"].is_monotonic_decreasing
    assert rows["status"].tolist()[: len(scored)] == ["complete"] * len(scored)
    assert "duplicate" not in set(rows["status"])
    assert scored["mean"].tolist() == [r.mean for r in complete(outcome.records)]
    assert (scored["se"] > 0).all()


def test_records_that_were_scored_again_take_the_place_of_their_first_form():
    outcome, _ = run(n_trials=4)
    again = replace(outcome.records[2], n_folds=99)
    merged = with_finalists(outcome.records, [again])
    assert merged == [*outcome.records[:2], again, outcome.records[3]]


# --- racing


def raced(**options):
    """Return a search among a good and a bad family on rows enough to tell."""
    arms = tuple({"noise": noise} for noise in (0.1, 0.15, 0.2, 0.25, 0.3))
    good = replace(DIAL, name="good", portfolio=arms)
    bad = replace(
        DIAL, name="bad", portfolio=tuple({"noise": 1 - n / 50} for n in range(5))
    )
    X, y = numeric(900, 150)
    space = space_of(X, y, family=[good, bad], **PLAIN)
    problem = problem_of(X, y, cv=5, catalogue=space.catalogue, as_given=True)
    return search(
        space, space.portfolio(), context=context_of(problem), **limited(14), **options
    )


def test_candidates_that_are_clearly_behind_do_not_run_all_folds():
    outcome = raced()
    dropped = [r for r in outcome.records if r.status == "dropped"]
    assert dropped
    assert all(2 <= r.n_folds < 5 and r.score is None for r in dropped)
    assert {r.strategy.family.name for r in dropped[:3]} == {"bad"}
    best = complete(outcome.records)[0].mean
    assert all(record.reported_value < best for record in dropped)


def test_a_dropped_trial_has_a_value_and_a_mark_in_the_study():
    outcome = raced()
    for trial, record in zip(outcome.study.trials, outcome.records, strict=True):
        assert trial.value == record.reported_value
        assert trial.user_attrs["status"] == record.status
        assert ("incomplete" in trial.user_attrs) == (record.status == "dropped")


def test_other_arms_of_a_family_that_is_behind_are_put_off():
    outcome = raced()
    families = [r.strategy.family.name for r in outcome.records[:10]]
    assert sorted(families) == ["bad"] * 5 + ["good"] * 5
    first_known = 1 + families.index("bad") + LAG - 1
    rest = families[first_known + 1 :]
    assert rest == sorted(rest, reverse=True)


def test_a_candidate_for_which_there_is_no_memory_is_not_started():
    executor = LateExecutor(0)
    executor.memory = Memory(1e6, 1e6)
    outcome, space = run(n_trials=3, executor=executor)
    assert executor.n_submitted == 0
    rows = leaderboard(outcome.records, space.catalogue, 80)
    assert set(rows["status"]) == {"skipped"}
    assert (
        rows["reason"]
        .str.fullmatch(r"needs about \d+\.\d GB of memory, and 0\.0 GB are free for it")
        .all()
    )


# --- while workers start


@pytest.mark.parametrize("family", ["k_neighbours", "random_forest"])
def test_folds_that_wait_for_a_worker_hold_up_none_that_may_run_here(
    family, starting_pool, free_timer, monkeypatch
):
    """Neighbours wait from the start, forests once they took too long here."""
    monkeypatch.setattr(context_module, "_SECONDS_HERE", 0.3)
    X, y = numeric(2000, 400)
    space = space_of(X, y, family=[family, "logistic_regression"], **PLAIN)
    problem = problem_of(X, y, catalogue=space.catalogue)
    strategies = space.first_trials(
        recommend(profile_table(problem.table), catalogue=space.catalogue)
    )
    slow = next(s for s in strategies if s.family.name == family)
    others = [s for s in strategies if s.family.name != family]
    outcome = search(
        space,
        [slow, *others],
        context=context_of(problem, starting_pool),
        study_records=StudyRecords.open(None, {}, problem.seed),
        deadline=Deadline(6.0),
    )
    statuses = [(r.strategy.family.name, r.status) for r in outcome.records]
    assert statuses[0] == (family, "timeout")
    assert statuses[1:] == [("logistic_regression", "complete")] * (LAG - 1)


# --- no end in sight


def test_a_space_that_is_exhausted_ends_the_search():
    started = time.monotonic()
    outcome, _ = run(family_of(DIAL.make, "still"), seconds=60.0)
    assert time.monotonic() - started < 20
    status = [record.status for record in outcome.records]
    assert status[0] == "complete"
    assert set(status[1:]) == {"duplicate"}
    assert len(status) < 30


def test_a_search_in_which_everything_fails_ends():
    broken = family_of(BROKEN.make, "broken", noise=Float(0.0, 1.0, default=0.5))
    outcome, _ = run(broken, seconds=60.0)
    assert {r.status for r in outcome.records} == {"failed"}
    assert len(outcome.records) < 30


def test_a_metric_that_is_undefined_is_a_failure():
    X, y = numeric()
    space = space_of(X, y, family=DIAL, **PLAIN)
    problem = problem_of(X, y, catalogue=space.catalogue, as_given=True)
    undefined = make_scorer(lambda *_: float("nan"), response_method="predict_proba")
    context = context_of(problem, metric=undefined)
    outcome = search(space, (), context=context, **limited(2))
    assert {r.status for r in outcome.records} == {"failed"}
    assert outcome.records[0].reason == "the metric is undefined on its scores"


def test_without_memory_for_two_evaluations_there_is_one_at_a_time():
    class Watched(LateExecutor):
        n_running = n_most = 0

        def submit_within(self, _seconds, fn, /, *args, **kwargs):
            self.n_running += 1
            self.n_most = max(self.n_most, self.n_running)
            return super().submit_within(None, fn, *args, **kwargs)

        def deliver(self, late, result):
            self.n_running -= 1
            LateExecutor.deliver(late, result)

    together, alone = Watched(0), Watched(0)
    alone.memory = Memory(150e6, 150e6)  # each asks for 100 MB or so
    run(n_trials=6, executor=together)
    run(n_trials=6, executor=alone)
    assert together.n_most > 1
    assert alone.n_most == 1
