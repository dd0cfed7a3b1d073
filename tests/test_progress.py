"""A terminal shows what is being done, up to the end of a fit; a file does not."""

import pytest
from tables import numeric

from autoimb import AutoImbalance
from autoimb._search.progress import stage_display

STAGES = ("comparing the best candidates", "fitting the winner")


def fit(verbose):
    X, y = numeric(160, 40)
    AutoImbalance(
        n_trials=1,
        families="logistic_regression",
        cv=3,
        n_jobs=1,
        random_state=0,
        verbose=verbose,
    ).fit(X, y)


@pytest.fixture
def terminal(monkeypatch):
    """Make rich take the standard error for a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")


def test_a_terminal_shows_the_steps_after_the_last_trial(terminal, capsys):
    fit(verbose=1)
    printed = capsys.readouterr()
    places = [printed.err.find(stage) for stage in STAGES]
    assert 0 <= printed.err.find("trials done") < places[0] < places[1]
    assert printed.out == ""


def test_without_verbose_nothing_is_shown(terminal, capsys):
    fit(verbose=0)
    assert capsys.readouterr().err == ""


def test_what_is_no_terminal_shows_nothing(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    fit(verbose=1)
    with stage_display(1, "a step"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt], ids=repr)
def test_a_display_ends_with_an_error(terminal, capsys, error):
    with pytest.raises(error), stage_display(1, "a step"):
        raise error
    capsys.readouterr()
    with stage_display(1, "another one"):  # it would be refused beside the first
        pass
    assert "another one" in capsys.readouterr().err
