"""The clock counts down, and limits that make no sense are refused."""

import time

import numpy as np
import pytest

from autoimb._clock import DEFAULT_SECONDS, Deadline, check_limits
from autoimb.exceptions import BudgetError


def test_elapsed_and_remaining_make_up_the_seconds():
    clock = Deadline(10.0, started=time.monotonic() - 4.0)
    assert clock.elapsed == pytest.approx(4.0, abs=0.5)
    assert clock.elapsed + clock.remaining == pytest.approx(10.0, abs=0.1)
    assert not clock.is_over


def test_a_deadline_that_has_passed_leaves_nothing():
    clock = Deadline(1.0, started=time.monotonic() - 4.0)
    assert clock.is_over
    assert clock.remaining == 0.0


def test_holding_seconds_back_keeps_the_start():
    clock = Deadline(10.0, started=123.0)
    assert clock.earlier_by(3.0) == Deadline(7.0, started=123.0)
    assert clock.earlier_by(30.0).seconds == 0.0


def test_without_a_limit_nothing_is_ever_over():
    clock = Deadline(None, started=-1e9)
    assert clock.remaining == float("inf")
    assert not clock.is_over
    assert clock.earlier_by(5.0) == clock


@pytest.mark.parametrize(
    ("time_budget", "n_trials", "seconds"),
    [
        ("auto", None, DEFAULT_SECONDS),
        ("auto", 5, None),
        (None, 5, None),
        (12, None, 12.0),
        (0.5, 5, 0.5),
        (np.float32(2), np.int64(5), 2.0),
    ],
)
def test_limits_are_read_as_seconds(time_budget, n_trials, seconds):
    assert check_limits(time_budget, n_trials) == seconds


@pytest.mark.parametrize(
    ("time_budget", "n_trials", "message"),
    [
        (None, None, "both None, so the search would never end"),
        (0, None, "time_budget=0 must be a positive, finite"),
        (-1.0, 5, "time_budget=-1.0 must be a positive, finite"),
        ("fast", None, "time_budget='fast' must be"),
        (float("nan"), None, "time_budget=nan must be"),
        (float("inf"), None, "time_budget=inf must be"),
        (True, None, "time_budget=True must be"),
        ("auto", 0, "n_trials=0 must be a whole number of at least 1"),
        ("auto", 2.5, "n_trials=2.5 must be a whole number"),
        ("auto", True, "n_trials=True must be a whole number"),
    ],
)
def test_limits_that_make_no_sense_are_refused(time_budget, n_trials, message):
    with pytest.raises(BudgetError, match=message):
        check_limits(time_budget, n_trials)
