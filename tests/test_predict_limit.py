"""`max_predict_ms`: what one row may take, and who may serve."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from tables import context_of, mixed, numeric, problem_of, scored

from autoimb import AutoImbalance
from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import evaluate
from autoimb._execution.deadline import Deadline
from autoimb._execution.shared_data import Inline
from autoimb._fit.finish import RowTime, finish
from autoimb._report.sentences import about_row_time
from autoimb._search.trial_files import TrialFiles
from autoimb._select.predict_limit import PredictLimit, check_max_predict_ms
from autoimb._select.select import select
from autoimb._select.time_reserve import TimeReserve
from autoimb._strategy.strategy import Strategy
from autoimb.exceptions import AutoImbWarning, BadInputError

FAMILIES = ("logistic_regression", "extra_trees", "xgboost", "svm")


def limited(make=numeric, ms=10.0):
    return replace(problem_of(*make()), max_predict_ms=ms)


def timed(problem, number, family, encode_ms, score_ms):
    """Return the record of a family whose rows took so long."""
    record = scored(Strategy.of(CATALOGUE, family=family), problem, number=number)
    seconds = encode_ms / 1e3, score_ms / 1e3
    results = tuple(replace(r, row_seconds=seconds) for r in record.results)
    return replace(record, results=results)


@pytest.fixture(scope="module")
def limit():
    """No more than 10 ms, of which reading takes one."""
    return replace(PredictLimit.of(limited()), reading_s=1e-3)


@pytest.fixture(scope="module")
def records(limit):
    times = {
        "logistic_regression": (2.0, 1.0),
        "extra_trees": (1.0, 12.0),
        "xgboost": (1.0, 2.0),
        "svm": (2.0, 3.5),
    }
    return {
        family: timed(limit.problem, number, family, *ms)
        for number, (family, ms) in enumerate(times.items())
    }


def test_members_of_one_view_share_its_encoder(limit, records):
    linear, trees, boosted, svm = (records[family] for family in FAMILIES)
    assert limit.ms_of([linear]) == pytest.approx(1 + 2 + 1)
    assert limit.ms_of([linear, svm]) == pytest.approx(1 + 2 + 1 + 3.5)  # both dense
    assert limit.ms_of([boosted, linear]) == pytest.approx(1 + 1 + 2 + 2 + 1)
    assert limit.keeps(linear, boosted)
    assert limit.keeps(boosted, svm)
    assert not limit.keeps(linear, boosted, svm)
    assert not limit.keeps(trees)


def test_the_median_of_the_folds_counts(limit, records):
    """One fold may have been timed on a busy machine."""
    linear = records["logistic_regression"]
    late = replace(linear.results[0], row_seconds=(0.5, 0.5))
    record = replace(linear, results=(late, *linear.results[1:]))
    assert limit.ms_of([record]) == limit.ms_of([linear])


def test_only_those_within_may_serve_and_else_the_quickest(limit, records):
    assert limit.within([*records.values()]) == [
        records[family] for family in FAMILIES if family != "extra_trees"
    ]
    strict = replace(limit, max_ms=0.5)
    assert strict.within([*records.values()]) == [
        min(records.values(), key=lambda r: strict.ms_of([r]))
    ]
    assert strict.within([]) == []


def selected(problem, records, size):
    """Return the selection, with times that do not depend on this machine."""
    context = context_of(problem)
    ranked = sorted(records.values(), key=lambda r: -r.mean)
    return select(ranked, TimeReserve(context, Deadline(None), size))


@pytest.mark.parametrize("size", [1, 12])
def test_what_is_too_slow_neither_wins_nor_is_a_member(limit, records, size):
    best = replace(
        records["extra_trees"],
        score=replace(records["extra_trees"].score, mean=0.99),
    )
    every = {**records, "extra_trees": best}
    problem = replace(limit.problem, max_predict_ms=None)
    assert selected(problem, every, size).winner is best
    found = selected(limit.problem, every, size)
    families = [member.strategy.family.name for member in found.members]
    assert "extra_trees" not in families
    assert found.winner is not best
    assert found.n_too_slow == 1
    assert found.limit.keeps(*(member.record for member in found.members))


def test_an_ensemble_has_no_more_members_than_there_is_time_for(limit, records):
    wide = replace(limit.problem, max_predict_ms=1e4)
    narrow = replace(limit.problem, max_predict_ms=7.0)
    quick = {k: v for k, v in records.items() if k != "extra_trees"}
    assert len(selected(wide, quick, 12).members) == 3
    assert len(selected(narrow, quick, 12).members) < 3


@pytest.mark.parametrize("make", [numeric, mixed])
def test_rows_are_timed_only_where_a_limit_is_set(make):
    strategy = Strategy.of(CATALOGUE, family="extra_trees")
    problem = limited(make)
    encode_s, score_s = evaluate(strategy, 0, Inline(problem)).row_seconds
    assert (encode_s > 0) == (make is mixed)  # a matrix of numbers is read as it is
    assert 0 < score_s < 1
    without = replace(problem, max_predict_ms=None)
    plain = evaluate(strategy, 0, Inline(without))
    assert plain.row_seconds is None
    np.testing.assert_array_equal(
        plain.proba, evaluate(strategy, 0, Inline(problem)).proba
    )


def test_what_was_timed_is_kept_in_a_storage(limit, records, tmp_path):
    files = TrialFiles(tmp_path)
    files.write(records["xgboost"])
    (same,) = files.read().values()
    assert limit.ms_of([same]) == limit.ms_of([records["xgboost"]])


def test_the_fitted_model_is_timed_and_the_report_says_so(limit, records):
    problem = limit.problem
    selection = selected(problem, records, 1)
    finished = finish(selection, problem, "f1", calibrates_output=True)
    assert finished.row_time.max_ms == 10.0
    assert 0 < finished.row_time.ms < 1e3
    (kept,) = about_row_time(RowTime(4.0, 10.0), n_too_slow=2)
    assert "4.0 ms on this machine, no more than the 10 ms" in kept
    assert "2 complete candidates would take longer" in kept
    (late,) = about_row_time(RowTime(14.0, 10.0))
    assert "14.0 ms on this machine, more than the 10 ms" in late
    assert about_row_time(None) == []


@pytest.mark.parametrize("value", [0, -1.0, "20", True, float("nan"), float("inf")])
def test_a_limit_is_a_number_above_0(value):
    with pytest.raises(BadInputError, match="max_predict_ms"):
        check_max_predict_ms(value, Deadline(60.0))


def test_a_limit_needs_a_clock():
    X, y = numeric()
    model = AutoImbalance(max_predict_ms=20, n_trials=1, n_jobs=1)
    with pytest.raises(BadInputError, match="time_budget"):
        model.fit(X, y)


def fit(ms):
    X, y = numeric()
    return AutoImbalance(
        max_predict_ms=ms,
        time_budget=20,
        n_trials=3,
        families=["logistic_regression", "extra_trees"],
        n_jobs=1,
        random_state=0,
    ).fit(X, y)


@pytest.mark.slow
def test_a_limit_that_nothing_keeps_is_a_warning():
    with pytest.warns(AutoImbWarning, match=r"max_predict_ms=0\.01 is not kept"):
        model = fit(0.01)
    assert {m.strategy.family.name for m in model.ensemble_} == {"logistic_regression"}
    assert "more than the 0.01 ms" in " ".join(model.report().data.sentences)


@pytest.mark.slow
def test_a_wide_limit_changes_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(1e5)
    assert "no more than the 100000 ms" in " ".join(model.report().data.sentences)
