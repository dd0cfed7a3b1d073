"""Ctrl-C after the search: the first keeps the model, the second ends the fit."""

import importlib
import logging
import signal
import threading

import numpy as np
import pytest
from tables import numeric

from autoimb import AutoImbalance
from autoimb._execution.ctrl_c import heard_ctrl_c, interrupted_by_ctrl_c

QUICK = {
    "families": ["logistic_regression", "xgboost"],
    "n_trials": 4,
    "n_jobs": 1,
    "random_state": 0,
    "ensemble_size": 3,
}
AFTER_SEARCH = [
    ("_select.select", "choose_finalists"),
    ("_select.select", "choose_members"),
    ("_fit.finish", "ensemble_scores"),
    ("_fit.finish", "_fitted_members"),
    ("_report.build", "_outcome_section"),
    ("_estimator", "build_report"),
]


def press(n=1):
    for _ in range(n):
        signal.raise_signal(signal.SIGINT)


def pressed_before(monkeypatch, place, n=1, *, at_call=1):
    """Let Ctrl-C be pressed in one call of a function, which then goes on."""
    module = importlib.import_module(f"autoimb.{place[0]}")
    function, calls = getattr(module, place[1]), []

    def with_press(*arguments, **options):
        calls.append(1)
        if len(calls) == at_call:
            press(n)
        return function(*arguments, **options)

    monkeypatch.setattr(module, place[1], with_press)
    return calls


@pytest.fixture(scope="module")
def expected():
    X, y = numeric()
    return AutoImbalance(**QUICK).fit(X, y), X, y


@pytest.mark.parametrize("place", AFTER_SEARCH, ids=lambda place: place[1])
def test_one_after_the_search_keeps_the_model(monkeypatch, caplog, expected, place):
    whole, X, y = expected
    calls = pressed_before(monkeypatch, place)
    with caplog.at_level(logging.WARNING):
        model = AutoImbalance(**QUICK).fit(X, y)
    assert calls
    assert "the fit ends with what it has found" in caplog.text
    np.testing.assert_array_equal(model.predict_proba(X), whole.predict_proba(X))
    assert model.report().data.sentences == whole.report().data.sentences
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("place", AFTER_SEARCH, ids=lambda place: place[1])
def test_two_after_the_search_end_the_fit(monkeypatch, expected, place):
    _, X, y = expected
    pressed_before(monkeypatch, place, n=2)
    model = AutoImbalance(**QUICK)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not hasattr(model, "classes_")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_while_finalists_are_scored_again_ends_that(monkeypatch, expected):
    _, X, y = expected
    repeats = pressed_before(monkeypatch, ("_select.finalists", "_score_repeat"))
    model = AutoImbalance(**QUICK).fit(X, y)
    assert len(repeats) == 1
    assert model.predict(X).shape == y.shape


def test_one_in_the_search_and_one_after_it_end_the_fit(monkeypatch, expected):
    _, X, y = expected
    pressed_before(monkeypatch, ("_fit.finish", "ensemble_scores"))

    calls = pressed_before(monkeypatch, ("_search.search", "wait"), at_call=12)
    model = AutoImbalance(**QUICK)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert len(calls) == 12


def test_a_block_that_can_do_without_hears_the_first_press():
    with heard_ctrl_c() as ctrl_c:
        ctrl_c.is_postponed = True
        with pytest.raises(KeyboardInterrupt), interrupted_by_ctrl_c():
            press()
        assert ctrl_c.was_pressed
        with pytest.raises(KeyboardInterrupt):
            press()


def test_before_the_search_has_ended_ctrl_c_is_as_ever():
    with pytest.raises(KeyboardInterrupt), heard_ctrl_c():
        press()


def test_a_program_s_own_handler_stays():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with heard_ctrl_c() as ctrl_c, interrupted_by_ctrl_c():
            ctrl_c.is_postponed = True
            press()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]
    assert not ctrl_c.was_pressed


def test_other_threads_leave_the_handler():
    found = []

    def run():
        with heard_ctrl_c():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
