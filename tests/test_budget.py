"""What a fit may use: it ends in time with a model, however many workers it has."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from tables import BROKEN, DIAL, Dial, family_of, numeric

from autoimb import AutoImbalance
from autoimb._catalogue import CATALOGUE
from autoimb._execution.executors import SequentialExecutor
from autoimb._search.search import LAG
from autoimb.exceptions import BudgetTooSmallWarning

X, Y = numeric()
STILL = {"resamplers": "none", "class_weights": "none", "losses": "log_loss"}


class Hung(Dial):
    """A model whose fit never ends."""

    def fit(self, X, y):
        time.sleep(3600)
        return self


class Late(Dial):
    """A model that gives up by itself, as one does that is stopped in time."""

    def fit(self, X, y):
        raise TimeoutError


class Witness(LogisticRegression):
    """Remember in which processes it was fitted."""

    pids: set[int] = set()  # noqa: RUF012

    def fit(self, X, y, sample_weight=None):
        self.pids.add(os.getpid())
        return super().fit(X, y, sample_weight)


def seconds_of(model, X=X, y=Y):
    """Return how long a fit took."""
    started = time.monotonic()
    model.fit(X, y)
    return time.monotonic() - started


# --- time


@pytest.mark.slow
def test_a_family_that_hangs_is_ended_and_the_other_wins():
    families = [Hung(), "logistic_regression"]
    model = AutoImbalance(
        families=families, time_budget=15, n_jobs=2, random_state=0, cv=3
    )
    assert seconds_of(model) < 18
    assert model.best_strategy_.family.name == "logistic_regression"
    board = model.leaderboard_
    hung = board[board["family"] != "logistic_regression"]
    assert "timeout" in set(hung["status"])
    assert set(hung["status"]) <= {"timeout", "skipped"}
    assert model.predict(X).shape == Y.shape


HUNG_HERE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from test_budget import Hung, X, Y, AutoImbalance
started = time.monotonic()
model = AutoImbalance(
    families=[Hung(), "logistic_regression"], time_budget=4, random_state=0, cv=2
).fit(X, Y)
print(model.best_strategy_.family.name, time.monotonic() - started < 8)
"""


def run_script(script, *args):
    """Run a script in a process of its own: here pytest holds the only timer."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), *args],
        check=False,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_family_that_hangs_in_this_process_is_interrupted():
    assert run_script(HUNG_HERE).split() == ["logistic_regression", "True"]


NEVER_ENDS = """
import sys, time, warnings
sys.path.insert(0, sys.argv[1])
from test_budget import STILL, X, Y, AutoImbalance, Hung, family_of

model = AutoImbalance(
    families=family_of(Hung(), "hung"), time_budget=1, cv=2, n_jobs=1, **STILL
)
warnings.simplefilter("ignore")
try:
    model.fit(X, Y)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_model_that_never_ends_is_given_up():
    said = run_script(NEVER_ENDS)
    assert "NoCandidateError none of 1 candidates" in said
    assert "hung (it took too long). Give more time" in said


KILLED = """
import multiprocessing, os, signal, sys, threading, time
sys.path.insert(0, sys.argv[1])
from test_budget import X, Y, AutoImbalance
from pebble.pool.process import WORKERS_NAME

killed = []

def kill_workers():
    \"\"\"Kill a worker every second from the middle of the search on.\"\"\"
    time.sleep(3)
    while True:
        children = multiprocessing.active_children()
        for worker in [p for p in children if p.name == WORKERS_NAME][:1]:
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)
        time.sleep(1)

threading.Thread(target=kill_workers, daemon=True).start()
started = time.monotonic()
model = AutoImbalance(time_budget=9, n_jobs=2, random_state=0, cv=3).fit(X, Y)
print(len(killed) > 1, time.monotonic() - started < 12)
print(model.leaderboard_["status"].eq("complete").any(), model.predict(X).shape)
"""


@pytest.mark.slow
def test_workers_that_are_killed_leave_a_model():
    assert run_script(KILLED).splitlines() == ["True True", f"True {Y.shape}"]


def test_a_short_budget_stays_in_this_process():
    Witness.pids.clear()
    families = [Witness(), "logistic_regression"]
    model = AutoImbalance(families=families, time_budget=5, n_jobs=2, random_state=0)
    model.fit(X, Y)
    assert Witness.pids == {os.getpid()}
    assert model.leaderboard_["status"].eq("complete").any()


@pytest.mark.slow
def test_a_short_budget_tries_only_what_is_cheap():
    model = AutoImbalance(time_budget=5, n_jobs=2, random_state=0)
    assert seconds_of(model) < 8
    costs = [CATALOGUE.get("family", f).cost for f in set(model.leaderboard_["family"])]
    assert max(costs) <= 1.0


@pytest.mark.parametrize("families", ["auto", "extra_trees"])
def test_next_to_no_time_gives_a_model_and_says_so(families):
    model = AutoImbalance(families=families, time_budget=0.01, random_state=0)
    with pytest.warns(BudgetTooSmallWarning, match="no candidate was complete"):
        model.fit(X, Y)
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert set(model.predict(X)) <= {0, 1}


def test_enough_time_is_no_reason_to_warn():
    model = AutoImbalance(
        families=DIAL, n_trials=3, time_budget=60, cv=2, n_jobs=1, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y)
    assert model.leaderboard_["status"].eq("complete").all()


def test_a_strategy_that_ran_out_of_time_may_be_proposed_again():
    """Nothing is known of it then: what comes again is no duplicate of anything."""
    families = [family_of(Late(), "late"), DIAL]
    model = AutoImbalance(
        families=families, n_trials=12, cv=2, n_jobs=1, random_state=0, **STILL
    ).fit(X, Y)
    late = model.leaderboard_.query("family == 'late'")
    assert set(late["status"]) == {"timeout"}
    assert model.best_strategy_.family.name == "dial"


# --- memory


def test_what_was_skipped_for_want_of_memory_is_tried_when_there_is_some(
    tmp_path, monkeypatch
):
    model = AutoImbalance(
        families=DIAL,
        n_trials=6,
        cv=2,
        n_jobs=1,
        random_state=0,
        storage=f"sqlite:///{tmp_path / 'search.db'}",
        **STILL,
    )
    with monkeypatch.context() as patched:
        patched.setattr("autoimb._execution.executors.free_memory", lambda: 0.0)
        with pytest.warns(BudgetTooSmallWarning):
            model.fit(X, Y)
    assert set(model.leaderboard_["status"]) == {"skipped"}
    model.fit(X, Y)
    assert model.leaderboard_["status"].eq("complete").any()


# --- Ctrl-C


class PressCtrlC(SequentialExecutor):
    """Ctrl-C is pressed during the n-th evaluation."""

    def __init__(self, n):
        self.n_left = n

    def submit_within(self, seconds, fn, /, *args, **kwargs):
        self.n_left -= 1
        if self.n_left == 0:
            raise KeyboardInterrupt
        return super().submit_within(seconds, fn, *args, **kwargs)


def test_ctrl_c_before_anything_is_complete_is_ctrl_c():
    model = AutoImbalance(families=DIAL, n_trials=9, cv=2, executor=PressCtrlC(2))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)


def test_ctrl_c_while_a_duplicate_waits_for_its_original_is_ctrl_c():
    still = family_of(Dial(), "still")
    model = AutoImbalance(
        families=still, n_trials=9, cv=2, executor=PressCtrlC(2), **STILL
    )
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)


def test_ctrl_c_keeps_the_best():
    model = AutoImbalance(
        families=DIAL, n_trials=99, cv=2, executor=PressCtrlC(12), random_state=0
    ).fit(X, Y)
    complete = model.leaderboard_.query("status == 'complete'")
    assert len(complete) >= 2
    assert model.best_score_ == complete["mean"].max()
    assert len(model.leaderboard_) <= 12 // 2 + LAG


SCRIPT = """
import sys, time
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from autoimb import AutoImbalance

class Say:
    n_seen = 0
    def setup(self, estimator, context): pass
    def teardown(self, estimator, context): pass
    def on_fit_task_begin(self, estimator, context): pass
    def on_fit_task_end(self, estimator, context):
        self.n_seen += 1
        if self.n_seen == 3:
            print("three trials", flush=True)

class Slow(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        if len(y) == 600 and sys.argv[2] == "slow":
            print("refit", flush=True)
            time.sleep(100)
        return super().fit(X, y, sample_weight)

X, y = make_classification(600, weights=[0.8], random_state=0)
model = AutoImbalance(
    families=[Slow(), "logistic_regression"] if sys.argv[2] == "quick" else Slow(),
    n_trials=100_000, cv=3, n_jobs=int(sys.argv[1]), random_state=0
)
model.set_callbacks(Say()).fit(X, y)
board = model.leaderboard_
print((board["status"] == "complete").sum(), len(model.predict(X)), flush=True)
"""


class Script:
    """A plain script in a group of its own, as a terminal starts it."""

    def __init__(self, path, *args):
        path.write_text(SCRIPT, encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(path), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def press_ctrl_c_after(self, line):
        """Wait for a line of its output, then interrupt all of its processes."""
        assert self.process.stdout.readline().strip() == line
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self):
        """Return the exit status, the output that is left and the errors."""
        output, errors = self.process.communicate(timeout=120)
        return self.process.returncode, output, errors


@pytest.fixture
def script(tmp_path):
    started = []

    def start(*args):
        started.append(Script(tmp_path / "script.py", *args))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", ["1", "2"])
def test_ctrl_c_ends_the_search_of_a_script_and_the_script_goes_on(script, n_jobs):
    running = script(n_jobs, "quick")
    running.press_ctrl_c_after("three trials")
    status, output, errors = running.end()
    assert status == 0, errors
    n_complete, n_rows = map(int, output.split())
    assert 3 <= n_complete < 100
    assert n_rows == 600
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", ["1", "2"])
def test_a_second_ctrl_c_ends_the_script(script, n_jobs):
    running = script(n_jobs, "slow")
    running.press_ctrl_c_after("three trials")
    running.press_ctrl_c_after("refit")
    started = time.monotonic()
    status, output, errors = running.end()
    assert time.monotonic() - started < 60
    assert status != 0
    assert output == ""
    assert "KeyboardInterrupt" in errors


# --- workers


class ManyAtOnce(SequentialExecutor):
    """All that is submitted at once is done at once."""

    n_workers = 5


def searched(executor=None, **options):
    X, y = numeric(600, 120)
    model = AutoImbalance(
        families=[DIAL, BROKEN],
        n_trials=14,
        cv=4,
        random_state=1,
        executor=executor or SequentialExecutor(),
        **options,
    )
    return model.fit(X, y)


def same_search(one, other, rtol=0.0):
    """Compare leaderboards, but for seconds, and what is predicted."""
    pd.testing.assert_frame_equal(
        one.leaderboard_.drop(columns="fit_seconds"),
        other.leaderboard_.drop(columns="fit_seconds"),
        check_exact=rtol == 0.0,
        **({"rtol": rtol} if rtol else {}),
    )


def test_folds_that_ran_needlessly_change_nothing():
    """A candidate is dropped by its first folds, whatever else has been run of it."""
    few, many = searched(), searched(ManyAtOnce())
    assert "dropped" in set(few.leaderboard_["status"])
    same_search(few, many)


TREES = ["logistic_regression", "xgboost", "extra_trees", "hist_gradient_boosting"]


def with_trees(n_jobs):
    X, y = numeric(1500, 150)
    model = AutoImbalance(
        families=TREES, n_trials=12, cv=4, random_state=3, n_jobs=n_jobs
    )
    return model.fit(X, y)


def summary(model):
    """Return leaderboard and predictions in words."""
    board = model.leaderboard_
    proba = model.predict_proba(numeric(300, 60, seed=5)[0])[:, 1]
    columns = ["strategy", "mean", "se", "folds", "status", "reason"]
    return board[columns].round(6).to_json(), proba


IN_ANOTHER_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_budget import summary, with_trees
board, proba = summary(with_trees(2))
print(board)
np.save(sys.argv[2], proba)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trees_and_boosting_are_the_same_for_any_workers_in_any_process(tmp_path):
    here, there = with_trees(1), with_trees(2)
    statuses = set(here.leaderboard_["status"])
    assert {"complete", "dropped"} <= statuses, statuses
    same_search(here, there, rtol=1e-6)
    board, proba = summary(here)
    np.testing.assert_allclose(proba, summary(there)[1], atol=1e-6)
    output = run_script(IN_ANOTHER_PROCESS, str(tmp_path / "proba.npy"))
    assert output.strip() == board
    np.testing.assert_allclose(np.load(tmp_path / "proba.npy"), proba, atol=1e-6)
