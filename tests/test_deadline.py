"""A deadline counts down, and limits that make no sense are refused."""

import time
from ctypes import CFUNCTYPE, c_int

import numpy as np
import pytest

from autoimb._execution.deadline import (
    DEFAULT_TIME_BUDGET_S,
    Deadline,
    interrupt_after,
    resolve_time_budget,
)
from autoimb.exceptions import BudgetError


def test_elapsed_and_remaining_make_up_the_seconds():
    deadline = Deadline(10.0, started=time.monotonic() - 4.0)
    assert deadline.elapsed_s == pytest.approx(4.0, abs=0.5)
    assert deadline.elapsed_s + deadline.remaining_s == pytest.approx(10.0, abs=0.1)
    assert not deadline.is_over


def test_a_deadline_that_has_passed_leaves_nothing():
    deadline = Deadline(1.0, started=time.monotonic() - 4.0)
    assert deadline.is_over
    assert deadline.remaining_s == deadline.timeout_s == 0.0


def test_holding_seconds_back_keeps_the_start():
    deadline = Deadline(10.0, started=123.0)
    assert deadline.with_reserve(3.0) == Deadline(7.0, started=123.0)
    assert deadline.with_reserve(30.0).time_limit_s == 0.0


def test_without_a_limit_nothing_is_ever_over():
    deadline = Deadline(None, started=-1e9)
    assert deadline.remaining_s == float("inf")
    assert deadline.timeout_s is None
    assert not deadline.is_over
    assert deadline.with_reserve(5.0) == deadline


@pytest.mark.parametrize(
    ("time_budget", "n_trials", "seconds"),
    [
        ("auto", None, DEFAULT_TIME_BUDGET_S),
        ("auto", 5, None),
        (None, 5, None),
        (12, None, 12.0),
        (0.5, 5, 0.5),
        (np.float32(2), np.int64(5), 2.0),
    ],
)
def test_limits_are_read_as_seconds(time_budget, n_trials, seconds):
    assert resolve_time_budget(time_budget, n_trials) == seconds


@pytest.mark.parametrize(
    ("time_budget", "n_trials", "message"),
    [
        (None, None, "both None, so the search would never end"),
        (0, None, "time_budget=0 must be a positive number"),
        (-1.0, 5, "time_budget=-1.0 must be a positive number"),
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
        resolve_time_budget(time_budget, n_trials)


def interrupted():
    """Turn the timer's error into that of Ctrl-C, as CatBoost does in its callbacks."""
    try:
        time.sleep(10)
    except TimeoutError:
        raise KeyboardInterrupt from None


def ctrl_c():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("code", "seconds", "error"),
    [(interrupted, 0.05, TimeoutError), (ctrl_c, 30.0, KeyboardInterrupt)],
)
def test_the_timer_is_no_ctrl_c(free_timer, code, seconds, error):
    def run():
        with interrupt_after(seconds):
            code()

    with pytest.raises(error):
        run()


def test_what_compiled_code_calls_to_read_rows_is_not_interrupted(free_timer):
    """An error would be lost there: a callback from C can only return."""
    returned = []

    def _next_wrapper():
        wait(0.2)
        return 7

    def run():
        with interrupt_after(0.05):
            returned.append(CFUNCTYPE(c_int)(_next_wrapper)())
            wait(5.0)

    with pytest.raises(TimeoutError):
        run()
    assert returned == [7]


def wait(seconds):
    """Keep the interpreter busy, so that it sees signals."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
