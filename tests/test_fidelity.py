"""On how many rows a candidate is fitted follows from the time that it would take."""

from collections import defaultdict
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from tables import DIAL, context_of, numeric, problem_of, space_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate import row_sample
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._execution.deadline import Deadline
from autoimb._execution.executors import SequentialExecutor
from autoimb._metrics.bootstrap import Score
from autoimb._search.fidelity import SHARE, Fidelity, affordable_folds
from autoimb._search.racing import RacingRule
from autoimb._search.running_trial import RunningTrial, Verdict
from autoimb._search.search import search
from autoimb._search.study import StudyRecords
from autoimb._search.time_estimate import TimeEstimate
from autoimb._search.trials import TrialRecord
from autoimb._strategy.flowchart import recommend
from autoimb._strategy.strategy import Strategy
from autoimb._table.profile import profile_table
from autoimb._table.table import check_table

XGBOOST = Strategy.of(CATALOGUE, family="xgboost")
LINEAR = Strategy.of(CATALOGUE, family="logistic_regression")
N_ROWS = 400_000
BUDGET_S = 100.0
RACING = RacingRule(context_of(problem_of(*numeric())).scoring)


def fidelity_of(seconds, budget=BUDGET_S, *, elapsed=0.0, n_folds=4, n_workers=2):
    """Return the choice where XGBoost takes so many seconds for each million rows."""
    estimate = TimeEstimate(CATALOGUE, n_columns=1_000, n_classes=2)
    result = FoldResult(0, "ok", seconds=seconds)
    estimate.note(XGBOOST, 1_000_000, result)
    deadline = Deadline(budget)
    deadline = Deadline(budget, deadline.started - elapsed)
    return Fidelity(
        estimate, deadline, n_rows=N_ROWS, n_folds=n_folds, n_workers=n_workers
    )


@pytest.mark.parametrize(
    ("seconds", "n_rows"),
    [(1.0, None), (18.0, None), (20.0, 100_000), (74.0, 100_000), (80.0, 25_000)],
)
def test_a_candidate_gets_the_most_rows_that_its_share_allows(seconds, n_rows):
    """Two evaluations in turn: 100 s x 0.15 / 2 / 0.4 million rows = 18.75 s."""
    fidelity = fidelity_of(seconds)
    strategy, chosen = fidelity.choose(XGBOOST, left_s=1e9)
    assert (strategy, chosen.n_rows) == (XGBOOST, n_rows)
    assert fidelity.seconds(XGBOOST, chosen) <= SHARE * BUDGET_S


def test_less_time_or_more_folds_are_fewer_rows():
    def n_rows(left=1e9, **changes):
        return fidelity_of(18.0, **changes).choose(XGBOOST, left)[1].n_rows

    assert n_rows() is None
    assert n_rows(left=14.0) == n_rows(n_folds=8) == n_rows(n_workers=1) == 100_000
    assert n_rows(n_workers=4) is None


def n_rounds(strategy):
    return dict(strategy.family.params)["n_estimators"]


@pytest.mark.parametrize("seconds", [400.0, 1_000.0, 2_000.0, 1e6])
@pytest.mark.parametrize("left", [1e9, 1e-9])
def test_rounds_give_way_where_the_smallest_sample_takes_too_long(seconds, left):
    """They are halved until the share is enough, however little time is left."""
    fidelity = fidelity_of(seconds)
    strategy, chosen = fidelity.choose(XGBOOST, left)
    assert chosen == fidelity.samples[-1]
    rounds = [n_rounds(s) for s, _ in fidelity.options(XGBOOST)]
    assert rounds[0] == n_rounds(XGBOOST) == rounds[len(fidelity.samples) - 1]
    fewer = rounds[len(fidelity.samples) :]
    assert fewer == [n // 2 for n in rounds[-1 - len(fewer) : -1]]
    assert 20 <= fewer[-1] <= 40
    seconds = [fidelity.seconds(*o) for o in fidelity.options(XGBOOST)]
    in_time = [s for s in seconds[-1 - len(fewer) :] if s <= SHARE * BUDGET_S]
    expected = max(in_time, default=min(seconds))
    assert fidelity.seconds(strategy, chosen) == pytest.approx(expected)


def test_a_family_without_rounds_is_tried_on_the_smallest_sample():
    fidelity = fidelity_of(1.0)
    fidelity.estimate.note(LINEAR, 100, FoldResult(0, "ok", seconds=1e9))
    assert fidelity.choose(LINEAR, 1e9) == (LINEAR, fidelity.samples[-1])


def test_without_a_clock_every_candidate_sees_all_rows():
    fidelity = fidelity_of(1e9, budget=None)
    assert fidelity.choose(XGBOOST, float("inf")) == (XGBOOST, ALL_ROWS)
    assert list(fidelity.options(XGBOOST)) == [(XGBOOST, ALL_ROWS)]
    assert fidelity.promote([record_of(fidelity_of(1.0).samples[1])], 1e9) is None


def late_candidate(fidelity):
    """Return a candidate whose first fold took too long."""
    candidate = begun(fidelity, 1e9)
    candidate.verdict = Verdict("timeout", "too long")
    return candidate


def test_what_takes_too_long_begins_again_with_less_until_there_is_no_less():
    fidelity = fidelity_of(1.0)
    candidate, options = late_candidate(fidelity), list(fidelity.options(XGBOOST))
    seen = [(candidate.strategy, candidate.row_sample)]
    while (quicker := fidelity.quicker(candidate, 1e9)) is not None:
        seen.append(quicker)
        candidate.begin_again(*quicker)
        candidate.verdict = Verdict("timeout", "too long")
    assert seen == options
    assert candidate.row_sample.n_rows >= 2_000


def test_it_begins_again_with_what_is_expected_to_be_in_time():
    fidelity = fidelity_of(1.0)
    candidate = late_candidate(fidelity)
    fidelity.estimate.note(XGBOOST, N_ROWS, FoldResult(0, "ok", seconds=20.0))
    _, chosen = fidelity.quicker(candidate, 1e9)
    assert chosen == fidelity.samples[1]
    _, chosen = fidelity.quicker(candidate, 5.0)
    assert chosen == fidelity.samples[2]


@pytest.mark.parametrize("change", [{"verdict": None}, {"is_promoted": True}])
def test_what_is_not_late_or_was_promoted_does_not_begin_again(change):
    fidelity = fidelity_of(1.0)
    candidate = late_candidate(fidelity)
    for name, value in change.items():
        setattr(candidate, name, value)
    assert fidelity.quicker(candidate, 1e9) is None
    candidate.verdict = Verdict("failed", "")
    assert fidelity.quicker(candidate, 1e9) is None


# --- a candidate that begins


def candidate_of(strategy=XGBOOST):
    return RunningTrial(None, strategy, (0, 1, 2, 3))


def begun(fidelity, left, ahead=(), *, is_first=False, **more):
    """Return a candidate that was allowed to begin, or not."""
    candidate = RunningTrial(None, XGBOOST, (0, 1, 2, 3), **more)
    fidelity.begin(candidate, left, ahead, is_first=is_first)
    return candidate


def test_the_first_complete_candidate_comes_within_a_share():
    late = fidelity_of(18.0, elapsed=8.0)
    first, later = begun(late, 92.0, is_first=True), begun(late, 92.0)
    assert first.is_begun
    assert later.row_sample == ALL_ROWS
    assert late.seconds(XGBOOST, first.row_sample) <= SHARE * BUDGET_S - 8.0


def test_what_is_begun_keeps_its_rows():
    fidelity = fidelity_of(18.0)
    candidate = begun(fidelity, 92.0)
    fidelity.begin(candidate, 14.0, [], is_first=False)
    assert candidate.row_sample == ALL_ROWS


def test_those_ahead_are_to_end_first():
    """Each takes 14.4 s on all rows, and 3.6 s on the next smaller sample."""
    fidelity = fidelity_of(18.0)
    ahead = [begun(fidelity, 1e9), begun(fidelity, 1e9)]
    assert begun(fidelity, 45.0, ahead).row_sample == ALL_ROWS
    assert begun(fidelity, 40.0, ahead).row_sample.n_rows == 100_000
    waiting = begun(fidelity, 28.9, ahead)
    assert not waiting.is_begun
    fidelity.begin(waiting, 28.9, ahead[:1], is_first=False)
    assert waiting.is_begun
    ahead[0].results = {n: FoldResult(n, "ok", seconds=7.2) for n in range(3)}
    assert begun(fidelity, 35.0, ahead).row_sample == ALL_ROWS


def test_a_promoted_candidate_has_the_rows_that_it_was_promoted_to():
    fidelity = fidelity_of(18.0)
    sample = fidelity.samples[1]
    promoted = begun(fidelity, 92.0, row_sample=sample, is_promoted=True)
    assert (promoted.is_begun, promoted.row_sample) == (True, sample)


def test_what_cannot_end_in_time_is_not_begun():
    fidelity = fidelity_of(1e6)
    verdict = fidelity.verdict(begun(fidelity, 30.0), 30.0, 2)
    assert (verdict.status, verdict.could_not_start) == ("skipped", True)
    candidate = candidate_of()
    candidate.results[0] = FoldResult(0, "ok", seconds=10.0)
    verdict = fidelity.verdict(candidate, 19.0, 2)
    assert (verdict.status, verdict.could_not_start) == ("timeout", False)
    assert fidelity.verdict(candidate, 21.0, 2) is None


def test_of_an_unknown_family_one_fold_shows_what_the_others_take():
    fidelity, racing = fidelity_of(1.0), RACING
    unknown = RunningTrial(None, LINEAR, (0, 1, 2, 3))
    assert [task.number for task in fidelity.tasks(unknown, racing)] == [0]
    unknown.add(0, Future())
    assert fidelity.tasks(unknown, racing) == []
    fidelity.estimate.note(LINEAR, 100, FoldResult(0, "ok", seconds=1.0))
    assert [task.number for task in fidelity.tasks(unknown, racing)] == [1, 2, 3]
    no_clock = fidelity_of(1.0, budget=None)
    unknown = RunningTrial(None, LINEAR, (0, 1, 2, 3))
    assert len(no_clock.tasks(unknown, racing)) == 4


def test_a_fit_is_stopped_well_after_its_share():
    fidelity, candidate = fidelity_of(1.0), candidate_of()
    assert fidelity.limit_s(candidate, 1e9, 1) == pytest.approx(2 * 15.0 / 2)
    assert fidelity.limit_s(candidate, 10.0, 5) == pytest.approx(2.0)
    short = fidelity_of(1.0, budget=4.0)
    assert short.limit_s(candidate, 4.0, 1) == pytest.approx(2.0)
    slow = fidelity_of(100.0)  # the smallest sample takes more than the share
    assert slow.limit_s(candidate, 1e9, 1) == pytest.approx(2 * 40.0, rel=1e-3)
    assert fidelity_of(1.0, budget=None).limit_s(candidate, 1e9, 1) is None


# --- how many folds


def table_of(n_rows, n_columns, n_classes):
    rng = np.random.default_rng(0)
    y = np.append(np.repeat(np.arange(n_classes), 20), np.zeros(n_rows, dtype=int))
    return check_table(rng.normal(size=(len(y), n_columns)), y)


def folds_of(budget, shape=(6_000, 40, 5), families=("logistic_regression", "xgboost")):
    table = table_of(*shape)
    return affordable_folds(CATALOGUE, families, table, Deadline(budget), 2)


def test_short_budgets_have_fewer_folds_for_all_candidates():
    found = [folds_of(budget) for budget in (1e4, 60.0, 20.0, 10.0, 5.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 8
    assert found[-1] == 3
    assert 3 < found[1] < found[0]
    assert folds_of(None) is None


def test_many_classes_have_fewer_folds_and_quick_families_more():
    assert folds_of(30.0, (6_000, 40, 2)) > folds_of(30.0, (6_000, 40, 8))
    assert folds_of(30.0, families=["logistic_regression"]) > folds_of(30.0)


def test_rows_beyond_a_small_sample_take_no_folds_away():
    assert folds_of(30.0, (6_000, 10, 3)) == folds_of(30.0, (60_000, 10, 3))


# --- more rows for the best


def record_of(row_sample, *, number=0, strategy=XGBOOST, **more):
    return TrialRecord(
        number=number,
        strategy=strategy,
        status="complete",
        row_sample=row_sample,
        **more,
    )


def test_one_of_the_best_is_tried_on_more_rows_where_there_is_time():
    fidelity = fidelity_of(20.0, elapsed=41.0)
    sample = fidelity.samples[1]
    ranked = [record_of(ALL_ROWS, number=1, strategy=LINEAR), record_of(sample)]
    assert fidelity.promote(ranked, left_s=50.0) == XGBOOST
    assert fidelity.promoted == {XGBOOST: ALL_ROWS}


@pytest.mark.parametrize(
    ("elapsed", "left", "place"),
    [(39.0, 50.0, 0), (41.0, 9.0, 0), (41.0, 50.0, 3)],
    ids=["too early", "too little time", "not one of the best"],
)
def test_others_are_not(elapsed, left, place):
    fidelity = fidelity_of(20.0, elapsed=elapsed)
    ranked = [record_of(ALL_ROWS, number=n, strategy=LINEAR) for n in range(place)]
    ranked.append(record_of(fidelity.samples[1], number=9))
    assert fidelity.promote(ranked, left_s=left) is None


def test_where_all_rows_take_too_long_the_next_larger_sample_is_tried():
    fidelity = fidelity_of(200.0, elapsed=41.0)
    ranked = [record_of(fidelity.samples[2])]
    assert fidelity.promote(ranked, left_s=90.0) == XGBOOST
    assert fidelity.promoted == {XGBOOST: fidelity.samples[1]}


def test_a_candidate_is_tried_once_on_the_same_rows_with_all_its_rounds():
    fidelity = fidelity_of(20.0, elapsed=41.0)
    cut = Strategy.of(CATALOGUE, family=("xgboost", {"n_estimators": 60}))
    record = record_of(fidelity.samples[1], strategy=cut, proposed=XGBOOST)
    assert fidelity.promote([record], left_s=50.0) == XGBOOST
    assert fidelity.promote([record], left_s=50.0) is None


def test_tables_that_are_small_have_no_samples():
    problem = problem_of(*numeric())
    n_rows = max(len(fold.train_idx) for fold in problem.folds)
    estimate = TimeEstimate(CATALOGUE, 4, 2)
    fidelity = Fidelity(estimate, Deadline(1e-9), n_rows=n_rows, n_folds=3, n_workers=1)
    assert fidelity.samples == (ALL_ROWS,)


# --- in a search


class SlowOnAllRows(SequentialExecutor):
    """Fits on all rows are stopped at their time limit; those on samples end."""

    def submit_within(self, time_limit_s, fn, /, *args, **kwargs):
        if fn.keywords["row_sample"] != ALL_ROWS:
            return super().submit_within(None, fn, *args, **kwargs)
        future = Future()
        future.set_exception(TimeoutError())
        return future


def searched(monkeypatch, seconds, executor=None, **options):
    """Return the records of a search over quick models that samples small tables."""
    monkeypatch.setattr(row_sample, "_SMALLEST", 10)
    X, y = numeric(400, 100)
    space = space_of(X, y, family=DIAL, resampler=[], class_weight=[], loss=[])
    problem = problem_of(X, y, catalogue=space.catalogue, as_given=True)
    return search(
        space,
        space.first_trials(recommend(profile_table(problem.table))),
        context=context_of(problem, executor),
        study_records=StudyRecords.open(None, {}, 0),
        deadline=Deadline(seconds),
        **options,
    )


def test_a_candidate_that_takes_too_long_begins_again_on_fewer_rows(monkeypatch):
    executor = SlowOnAllRows()
    outcome = searched(monkeypatch, 30.0, executor, n_trials=3)
    assert [r.status for r in outcome.records] == ["complete"] * 3
    assert {r.row_sample.n_rows for r in outcome.records} == {66}
    assert all(r.n_folds == 3 for r in outcome.records)


class SlowOnMoreRows(SequentialExecutor):
    """Every result says that a fit on all rows takes 0.12 s, on a sample 0.03."""

    def submit_within(self, time_limit_s, fn, /, *args, **kwargs):
        result = super().submit_within(time_limit_s, fn, *args, **kwargs).result()
        seconds = 0.12 if fn.keywords["row_sample"] == ALL_ROWS else 0.03
        future = Future()
        measured = {"seconds": seconds, "predict_seconds": 0.0, "cpu_seconds": 0.0}
        future.set_result(replace(result, **measured))
        return future


def test_the_best_are_tried_again_on_more_rows(monkeypatch):
    """All rows would take 0.36 s: more than a share of 2 s, and less than is left."""
    outcome = searched(monkeypatch, 2.0, SlowOnMoreRows())
    of = defaultdict(list)
    for record in outcome.records:
        if record.status == "complete":
            of[record.proposed or record.strategy].append(record)
    again = [records for records in of.values() if len(records) > 1]
    assert again
    for records in again:
        rows = [record.row_sample.n_rows or 267 for record in records]
        assert rows == sorted(set(rows))
        assert len({record.score.folds for record in records}) == 1
        assert all(record.finished_at >= 0.8 for record in records[1:])
    assert any(records[-1].row_sample == ALL_ROWS for records in again)


def test_a_space_that_is_exhausted_leaves_no_candidate_on_a_sample(monkeypatch):
    """The time is not over, and all rows can be afforded."""
    only = {"family": DIAL, "resampler": [], "class_weight": [], "loss": []}
    monkeypatch.setattr(row_sample, "_SMALLEST", 10)
    X, y = numeric(400, 100)
    space = space_of(X, y, **only)
    problem = problem_of(X, y, catalogue=space.catalogue, as_given=True)
    space = replace(space, catalogue=problem.catalogue)
    monkeypatch.setattr(
        type(space), "suggest", lambda self, trial: self.portfolio()[0], raising=True
    )
    outcome = search(
        space,
        space.first_trials(recommend(profile_table(problem.table))),
        context=context_of(problem),
        study_records=StudyRecords.open(None, {}, 0),
        deadline=Deadline(4.0),
    )
    found = [r for r in outcome.records if r.status == "complete"]
    assert found[0].row_sample != ALL_ROWS
    assert found[-1].row_sample == ALL_ROWS
    assert outcome.seconds < 3.0


def test_without_a_clock_no_candidate_is_sampled(monkeypatch):
    outcome = searched(monkeypatch, None, n_trials=6)
    assert {r.row_sample for r in outcome.records} == {ALL_ROWS}


@pytest.mark.parametrize(("mean", "is_promoted"), [(0.1, False), (0.49, True)])
def test_what_is_clearly_behind_is_not_tried_on_more_rows(mean, is_promoted):
    fidelity = fidelity_of(1.0, elapsed=50.0)
    drawn = np.tile([-0.02, 0.02], 50)
    best, other = (
        TrialRecord(
            number=number,
            strategy=strategy,
            status="complete",
            score=Score(of, of + drawn * (1 + number), (0,)),
            row_sample=rows,
        )
        for number, (strategy, of, rows) in enumerate(
            [(LINEAR, 0.5, ALL_ROWS), (XGBOOST, mean, fidelity.samples[1])]
        )
    )
    found = fidelity.promote([best, other], 1e9)
    assert found == (XGBOOST if is_promoted else None)
