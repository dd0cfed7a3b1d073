"""An executor of the user's own: refused at once, replaced if it breaks, or left."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import loky
import numpy as np
import psutil
import pytest
from contracts import ExecutorContract
from joblib import Parallel, delayed, parallel_config
from tables import DIAL, numeric

from autoimb import AutoImbalance, NoCandidateError
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._execution import users_executor
from autoimb._execution.executors import (
    SequentialExecutor,
    WorkerPool,
    describe_failure,
)
from autoimb._execution.opening import open_executor
from autoimb._execution.resources import Layout, resolve_n_jobs
from autoimb._execution.users_executor import WatchedExecutor
from autoimb.exceptions import BadInputError, ExecutorWarning

X, Y = numeric(120, 30)
FOLDS = 3


def fit(executor, **options):
    settings = {"families": DIAL, "n_trials": 40, "cv": FOLDS, "random_state": 0}
    return AutoImbalance(executor=executor, **{**settings, **options}).fit(X, Y)


@pytest.fixture(autouse=True)
def _often_checked(monkeypatch):
    monkeypatch.setattr(users_executor, "_CHECK_S", 0.1)


class Client:
    """What is like Dask's client, and neither that nor an executor."""

    def submit(self, function, *args):
        raise AssertionError("never called")


class Fake(Executor):
    """Run tasks in this process, until one of them brings about the end."""

    def __init__(self, n_until, how=None):
        self.n_until, self.how, self.n_submitted = n_until, how, 0
        self.pending = []

    @property
    def has_ended(self):
        return self.n_submitted > self.n_until

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if fn is int:  # the question whether it takes tasks
            if self.has_ended:
                raise self.how.refusal
            future.set_result(0)
            return future
        self.n_submitted += 1
        if not self.has_ended:
            future.set_result(fn(*args, **kwargs))
            return future
        if self.n_submitted > self.n_until + 2:
            raise self.how.refusal
        self.pending.append(future)
        if self.n_submitted == self.n_until + 2:
            for each in self.pending:
                self.how.end(each)
        return future


class Closed:
    refusal = RuntimeError("cannot schedule new futures after shutdown")

    @staticmethod
    def end(future):
        """Never end it."""


class Cancelled(Closed):
    end = staticmethod(Future.cancel)


class CancelledByDask(Closed):
    refusal = OSError("Client is closed. Can't send a message.")

    @staticmethod
    def end(future):
        future.set_exception(CancelledError("lost"))


class Broken:
    refusal = BrokenExecutor("a process died")

    @staticmethod
    def end(future):
        future.set_exception(Broken.refusal)


CLOSINGS = {"silent": Closed, "cancelled": Cancelled, "error": CancelledByDask}


EXECUTORS = {
    "threads": lambda: ThreadPoolExecutor(2),
    "processes": lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
    "loky": lambda: loky.ProcessPoolExecutor(2),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXECUTORS)
def test_every_executor_gives_the_leaderboard_of_this_process(kind):
    families = [DIAL, "logistic_regression"]
    here = fit(None, families=families, n_trials=6, n_jobs=1).leaderboard_
    with EXECUTORS[kind]() as executor:
        there = fit(executor, families=families, n_trials=6).leaderboard_
    assert there["strategy"].tolist() == here["strategy"].tolist()
    np.testing.assert_allclose(there["mean"], here["mean"], atol=1e-6)


def test_threads_of_joblibs_active_backend_run_the_tasks():
    layout = Layout(1, in_process=True)
    with (
        parallel_config("threading", n_jobs=2),
        open_executor(None, layout) as executor,
    ):
        assert executor.n_workers == 2
        threads = {executor.submit(threading.get_ident).result(30) for _ in "abcd"}
    assert threading.get_ident() not in threads
    with parallel_config(n_jobs=3):
        assert resolve_n_jobs(None) == 3
        assert resolve_n_jobs(2) == 2


def test_inside_a_task_of_joblibs_there_is_no_backend_to_follow():
    """Its tasks would wait for the threads that wait for them."""

    def kind():
        with open_executor(None, Layout(1, in_process=True)) as executor:
            return type(executor)

    with parallel_config("threading", n_jobs=2):
        kinds = Parallel()(delayed(kind)() for _ in range(2))
    assert set(kinds) == {SequentialExecutor}


class TestWatchedThreads(ExecutorContract):
    @pytest.fixture
    def executor(self):
        with ThreadPoolExecutor(2) as threads:
            watched = WatchedExecutor(threads, partial(WorkerPool, 1))
            yield watched
            watched.close()

    def test_it_has_as_many_workers(self, executor):
        assert executor.n_workers == 2

    def test_what_waits_can_be_cancelled_and_what_runs_cannot(self, executor):
        running = [executor.submit(time.sleep, 0.5) for _ in range(2)]
        waiting = executor.submit(time.sleep, 60)
        while not all(task.running() for task in running):
            time.sleep(0.01)
        assert waiting.cancel()
        assert not any(task.cancel() for task in running)
        assert [task.result(30) for task in running] == [None, None]
        assert not executor.closed


class Odd(Executor):
    """Answer every third task with something else than its result."""

    def __init__(self, answer):
        self.answer, self.n = answer, 0

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.n += fn is not int
        is_odd = fn is not int and self.n > 2 * FOLDS and self.n % 3 == 0
        future.set_result(self.answer if is_odd else fn(*args, **kwargs))
        return future


class FailsToTell(Future):
    def exception(self, timeout=None):
        raise OSError("the network is gone")


ANSWERS = [None, 3, "done", [], np.zeros(3), FoldResult(99, "ok")]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_a_wrong_answer_is_a_failed_candidate(answer):
    board = fit(Odd(answer), n_trials=6).leaderboard_
    assert set(board["status"]) == {"complete", "failed"}
    reasons = board["reason"][board["status"] == "failed"]
    assert reasons.str.contains("the executor returned").all()


def test_a_future_that_fails_to_tell_is_a_failed_candidate():
    class Lost(Executor):
        def submit(self, fn, /, *args, **kwargs):
            future = Future() if fn is int else FailsToTell()
            future.set_result(None)
            return future

    with pytest.raises(NoCandidateError, match="the network is gone"):
        fit(Lost(), n_trials=2)


@pytest.mark.parametrize("answer", [None, 3, object()], ids=type)
def test_an_executor_without_futures_is_refused_at_once(answer):
    class Without(Executor):
        def submit(self, fn, /, *args, **kwargs):
            return answer

    with pytest.raises(BadInputError, match=r"submit returned a \w+, not a future"):
        fit(Without())


def test_no_two_tasks_look_alike():
    """Dask would take the second for the first, and its question for an old answer."""
    seen = []

    class Seeing(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            seen.append((fn, *args[-1:]))
            return super().submit(fn, *args, **kwargs)

    with Seeing(1) as threads:
        for _ in range(2):
            watched = WatchedExecutor(threads, partial(WorkerPool, 1))
            assert [watched.submit(divmod, 7, 2).result(30) for _ in "ab"] == 2 * [
                (3, 1)
            ]
            watched.close()
    assert len(seen) == len(set(seen)) == 6


# --- refused at once


@pytest.mark.parametrize(
    ("executor", "advice"),
    [
        ("dask", r"executor='dask' is no executor: pass a concurrent\.futures"),
        (object(), "is no executor: pass a concurrent"),
        (4, "executor=4 is no executor"),
        (Client(), r"is no executor: pass a concurrent\.futures\.Executor, a dask"),
        (ThreadPoolExecutor, r"pass an instance, such as ThreadPoolExecutor\(\)"),
    ],
    ids=["name", "object", "number", "client", "class"],
)
def test_what_is_no_executor_is_refused_at_once(executor, advice):
    with pytest.raises(BadInputError, match=advice):
        fit(executor)


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor, "fake"])
def test_an_executor_that_was_shut_down_is_refused_at_once(kind):
    if kind == "fake":
        executor = Fake(-1, CancelledByDask)
    else:
        executor = kind(1)
        executor.shutdown()
    with pytest.raises(BadInputError, match=r"takes no tasks \(\w+: .*pass one that"):
        fit(executor)


# --- closed in the middle


@pytest.mark.parametrize("how", CLOSINGS)
@pytest.mark.parametrize("options", [{}, {"n_trials": None, "time_budget": 60}])
def test_what_was_complete_is_used_when_it_closes(how, options):
    started = time.monotonic()
    with pytest.warns(ExecutorWarning, match="took no further tasks") as caught:
        model = fit(Fake(4 * FOLDS + 1, CLOSINGS[how]), **options)
    assert time.monotonic() - started < 40
    assert len([w for w in caught if w.category is ExecutorWarning]) == 1
    status = model.leaderboard_["status"].value_counts()
    assert status["complete"] >= 4
    assert set(status.index) <= {"complete", "timeout"}
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize("how", CLOSINGS)
def test_it_is_an_error_if_nothing_was_complete(how):
    with pytest.raises(NoCandidateError, match="no candidate was complete when the ex"):
        fit(Fake(1, CLOSINGS[how]))


@pytest.mark.parametrize("how", CLOSINGS)
def test_it_may_close_while_finalists_are_scored_again(how):
    with pytest.warns(ExecutorWarning, match="took no further tasks"):
        model = fit(Fake(6 * FOLDS + 2, CLOSINGS[how]), n_trials=6)
    assert model.leaderboard_["status"].eq("complete").sum() == 6


def test_threads_that_are_shut_down_are_the_same():
    class Closing(ThreadPoolExecutor):
        n = 0

        def submit(self, fn, /, *args, **kwargs):
            self.n += 1
            if self.n == 12:
                self.shutdown(wait=False, cancel_futures=True)
            return super().submit(fn, *args, **kwargs)

    with pytest.warns(ExecutorWarning, match="cannot schedule new futures|cancelled"):
        model = fit(Closing(1))
    assert model.leaderboard_["status"].eq("complete").any()


def test_a_candidate_that_cannot_be_sent_fails_alone():
    class Picky(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            if fn is not int and args[0].args[0].family.name != "dial":
                raise TypeError("cannot pickle this model")
            return super().submit(fn, *args, **kwargs)

    with Picky(1) as executor:
        model = fit(executor, families=[DIAL, "logistic_regression"], n_trials=6)
    failed = model.leaderboard_[model.leaderboard_["status"] == "failed"]
    assert failed["reason"].str.contains("cannot pickle this model").all()
    assert set(model.leaderboard_["status"]) == {"complete", "failed"}


# --- broken in the middle


class BrokenInSilence(Broken):
    @staticmethod
    def end(future):
        """Never end it."""


@pytest.mark.parametrize("how", [Broken, BrokenInSilence])
def test_tasks_of_a_broken_executor_run_again_and_one_alone_is_to_blame(how):
    watched = WatchedExecutor(Fake(2, how), partial(WorkerPool, 2))
    try:
        good = [watched.submit(divmod, n, 2) for n in range(3)]
        bad = watched.submit(lambda: os.kill(os.getpid(), 9))
        good += [watched.submit(divmod, n, 2) for n in range(3, 6)]
        assert [task.result(60) for task in good] == [divmod(n, 2) for n in range(6)]
        assert describe_failure(bad.exception(60)).status == "killed"
        assert watched.broken == "BrokenExecutor: a process died"
        assert watched.n_workers == 2
        assert not watched.closed
    finally:
        watched.close()


class KilledWorker(Exception):
    """Dask's error of a task whose worker died several times."""


@pytest.mark.parametrize("error", [KilledWorker("worker-1"), CancelledError("gone")])
@pytest.mark.parametrize("n_deaths", [1, 2])
def test_a_task_that_was_lost_is_tried_twice(n_deaths, error):
    class Dask(ThreadPoolExecutor):
        n = 0

        def submit(self, fn, /, *args, **kwargs):
            if fn is not int:
                self.n += 1
                if self.n <= n_deaths:
                    future = Future()
                    future.set_exception(error)
                    return future
            return super().submit(fn, *args, **kwargs)

    with Dask(1) as executor:
        watched = WatchedExecutor(executor, partial(WorkerPool, 1))
        task = watched.submit(divmod, 7, 2)
        if n_deaths == 1:
            assert task.result(30) == (3, 1)
        else:
            is_killed = isinstance(error, KilledWorker)
            status = describe_failure(task.exception(30)).status
            assert status == ("killed" if is_killed else "failed")
        assert watched.submit(divmod, 9, 2).result(30) == (4, 1)
        watched.close()


class Pool:
    """Stands for our workers: at its end, its thread hands back what was under way."""

    n_workers = 1

    def __init__(self):
        self.futures = []

    def submit_within(self, seconds, fn):
        self.futures.append(Future())
        return self.futures[-1]

    def shutdown(self, *, cancel_futures):
        thread = threading.Thread(target=self.hand_back, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive(), "the thread waits for the one that ends the pool"

    def hand_back(self):
        for future in self.futures:
            future.set_exception(BrokenExecutor("a worker died"))


def test_workers_that_end_while_a_task_runs_do_not_wait_for_each_other():
    class Broken(Fake):
        def submit(self, fn, /, *args, **kwargs):
            if fn is int:
                return super().submit(fn, *args, **kwargs)
            raise BrokenExecutor("a process was killed")

    pool = Pool()
    watched = WatchedExecutor(Broken(99), lambda: pool)
    task = watched.submit(divmod, 7, 2)
    assert len(pool.futures) == 1
    watched.close()
    assert isinstance(task.exception(5), BrokenExecutor)


KILLS = """
import os, sys, warnings
sys.path.insert(0, sys.argv[1])
from concurrent.futures import ProcessPoolExecutor
import loky
from tables import DIAL, Dial, family_of, numeric
from autoimb import AutoImbalance

class Kills(Dial):
    def fit(self, X, y):
        os.kill(os.getpid(), 9)

pools = {"futures": ProcessPoolExecutor, "loky": loky.ProcessPoolExecutor}
if __name__ == "__main__":
    pool = pools[sys.argv[2]](2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = AutoImbalance(
            families=[family_of(Kills(), "kills"), DIAL], n_trials=4, cv=2, n_jobs=2,
            random_state=0, executor=pool,
        ).fit(*numeric(120, 30))
    table = model.leaderboard_
    is_killer = table["family"] == "kills"
    print(sorted(set(table["status"][is_killer])), set(table["status"][~is_killer]))
    print([str(w.message)[:18] for w in caught if w.category.__module__[:4] == "auto"])
    pool.shutdown()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["futures", "loky"])
def test_a_candidate_that_kills_its_worker_is_alone_to_blame(kind, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLS, encoding="utf-8")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, script, Path(__file__).parent, kind],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    said = ["['killed'] {'complete'}", "['the executor broke']"]
    assert done.stdout.splitlines() == said, done.stderr
    assert not list(temporary.glob("autoimb-*"))
    left = [p for p in psutil.process_iter(["environ"]) if is_in(p, temporary)]
    psutil.wait_procs(left, timeout=30)
    assert not [p for p in left if p.is_running()]


def is_in(process, temporary):
    """Whether a process was started by the script of this test."""
    return (process.info["environ"] or {}).get("TMPDIR") == str(temporary)
