"""What takes the place of a winner where no candidate was complete."""

from dataclasses import replace

import pytest
from tables import context_of, numeric, problem_of, space_of

from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._execution.deadline import Deadline
from autoimb._search.trials import SearchOutcome, TrialRecord
from autoimb._select.fallback import select_or_fall_back
from autoimb._select.time_reserve import TimeReserve
from autoimb.exceptions import BudgetTooSmallWarning, NoCandidateError

X, Y = numeric()


@pytest.fixture(scope="module")
def space():
    return space_of(X, Y, families=["logistic_regression", "random_forest", "xgboost"])


@pytest.fixture(scope="module")
def reserve():
    return TimeReserve(context_of(problem_of(X, Y)), Deadline(20.0), 1)


def fallback_of(space, reserve, *records):
    outcome = SearchOutcome(records=records, study=None, was_interrupted=False)
    with pytest.warns(BudgetTooSmallWarning, match="no candidate was complete"):
        return select_or_fall_back(space, outcome, reserve)


def record_of(space, family, status, n_run=0):
    strategy = next(s for s in space.portfolio() if s.family.name == family)
    results = tuple(FoldResult(number, "ok") for number in range(n_run))
    return TrialRecord(
        number=0, strategy=strategy, status=status, results=results, n_folds=n_run
    )


def test_what_was_scored_on_most_folds_comes_first(space, reserve):
    records = [
        record_of(space, "xgboost", "timeout", 2),
        replace(record_of(space, "random_forest", "timeout", 3), number=1),
    ]
    assert fallback_of(space, reserve, *records).winner is records[1]


@pytest.mark.parametrize("status", ["killed", "failed"])
def test_folds_of_one_that_failed_later_do_not_count(space, reserve, status):
    records = [
        record_of(space, "xgboost", status, 3),
        replace(record_of(space, "random_forest", "timeout", 1), number=1),
    ]
    assert fallback_of(space, reserve, *records).winner is records[1]


def test_what_ended_a_worker_is_not_fitted_in_the_user_s_process(space, reserve):
    killed = record_of(space, "logistic_regression", "killed")
    late = replace(record_of(space, "xgboost", "timeout"), number=1)
    found = fallback_of(space, reserve, killed, late)
    every = [found.winner, *found.reserve]
    families = {record.strategy.family.name for record in every}
    assert "logistic_regression" not in families
    assert "random_forest" in families


def test_all_that_failed_is_an_error(space, reserve):
    records = (record_of(space, "xgboost", "killed"),)
    outcome = SearchOutcome(records=records, study=None, was_interrupted=False)
    with pytest.raises(NoCandidateError, match="all 1 candidates failed"):
        select_or_fall_back(space, outcome, reserve)
