"""Executors and shared data: a task that is late or dies harms no other task."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pebble.pool.process
import psutil
import pytest
from contracts import ExecutorContract
from tables import mixed, numeric, problem_of

from autoimb._evaluate.context import EvaluationContext
from autoimb._execution import resources
from autoimb._execution.executors import (
    SequentialExecutor,
    WorkerPool,
    describe_failure,
)
from autoimb._execution.opening import open_executor
from autoimb._execution.resources import Layout, resolve_n_jobs
from autoimb._execution.shared_data import Inline, Mapped
from autoimb.exceptions import BadInputError


class TestSequentialExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self):
        return SequentialExecutor()

    def test_a_task_is_done_when_submit_returns(self):
        assert SequentialExecutor().submit(os.getpid).done()

    def test_ctrl_c_is_not_swallowed(self):
        def interrupt():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            SequentialExecutor().submit(interrupt)


class TestWorkerPool(ExecutorContract):
    @pytest.fixture
    def executor(self, pool):
        return pool

    def test_tasks_run_elsewhere_with_one_thread(self, pool):
        def threads():
            import threadpoolctl

            counts = [lib["num_threads"] for lib in threadpoolctl.threadpool_info()]
            return os.getpid(), counts, os.environ["OMP_NUM_THREADS"]

        pid, counts, variable = pool.submit(threads).result(60)
        assert pid != os.getpid()
        assert set(counts) <= {1}
        assert variable == "1"

    def test_only_the_task_that_takes_too_long_is_ended(self, pool):
        late = pool.submit_within(0.3, time.sleep, 60)
        others = [pool.submit_within(30, divmod, n, 2) for n in range(4)]
        assert describe_failure(late.exception(60)) == (
            "timeout",
            "one fold took longer than its share of the time budget",
        )
        assert [f.result(60) for f in others] == [divmod(n, 2) for n in range(4)]

    def test_a_task_that_kills_its_process_fails_alone(self, pool):
        dead = pool.submit(lambda: os.kill(os.getpid(), 9))
        others = [pool.submit(divmod, n, 2) for n in range(4)]
        assert describe_failure(dead.exception(60)) == (
            "killed",
            "its worker process died (out of memory?)",
        )
        assert [f.result(60) for f in others] == [divmod(n, 2) for n in range(4)]

    def test_a_worker_that_dies_without_a_task_harms_no_later_task(self):
        workers = WorkerPool(1)
        try:
            os.kill(workers.submit(os.getpid).result(60), signal.SIGKILL)
            time.sleep(1.0)  # the pool looks at its processes ten times a second
            assert workers.submit(divmod, 7, 2).result(60) == (3, 1)
        finally:
            workers.shutdown(cancel_futures=True)
        with pytest.raises(RuntimeError):
            workers.submit(divmod, 7, 2)

    def test_time_limits_do_not_follow_the_wall_clock(self, pool, monkeypatch):
        """An hour that passes at once ends nothing, and one back spares nothing."""
        jump = 0.0
        clock = SimpleNamespace(
            time=lambda: time.time() + jump,  # noqa: TID251  what Pebble reads
            sleep=time.sleep,
        )
        monkeypatch.setattr(pebble.pool.process, "time", clock)
        running = pool.submit_within(30, time.sleep, 1.0)
        while not running.running():
            time.sleep(0.05)
        jump = 3600.0
        assert running.result(60) is None
        late = pool.submit_within(1.0, time.sleep, 60)
        while not late.running():
            time.sleep(0.05)
        jump = 0.0
        assert describe_failure(late.exception(20)).status == "timeout"

    def test_a_time_limit_ends_with_its_task(self, pool):
        process = pool.submit_within(0.5, os.getpid).result(60)
        time.sleep(0.8)
        assert psutil.pid_exists(process)

    def test_a_time_limit_holds_in_compiled_code(self, pool):
        import re

        late = pool.submit_within(0.5, re.match, "(a+)+b", "a" * 40)
        assert describe_failure(late.exception(20)).status == "timeout"

    def test_inside_a_worker_the_default_is_one_job(self, pool):
        assert pool.submit(resolve_n_jobs, None).result(60) == 1
        assert pool.submit(resolve_n_jobs, 3).result(60) == 3

    def test_workers_leave_ctrl_c_to_their_parent(self, pool):
        def ignores():
            import signal

            return signal.getsignal(signal.SIGINT) is signal.SIG_IGN

        assert pool.submit(ignores).result(60)


def test_this_process_stands_in_until_a_worker_is_ready(pool, free_timer):
    pool.submit(os.getpid).result(60)
    assert pool.stand_in is None


def test_a_pool_that_starts_has_a_stand_in_with_as_many_threads_but_of_blas(
    slow_start, free_timer
):
    def threads():
        import threadpoolctl

        counts = {
            (lib["user_api"], lib["num_threads"])
            for lib in threadpoolctl.threadpool_info()
        }
        return os.getpid(), counts

    before, workers = threads(), WorkerPool(1, n_threads=2)
    try:
        process, counts = workers.stand_in.submit_within(30, threads).result()
        assert process == os.getpid()
        assert counts == {("openmp", 2), ("blas", 1)}
    finally:
        workers.shutdown(cancel_futures=True)
    assert threads() == before


def test_nothing_stands_in_where_no_timer_can_interrupt_it(starting_pool, free_timer):
    assert starting_pool.stand_in is not None
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(lambda: starting_pool.stand_in).result() is None
    signal.setitimer(signal.ITIMER_REAL, 60.0)  # the user's own timer
    assert starting_pool.stand_in is None
    assert signal.setitimer(signal.ITIMER_REAL, 0.0)[0] > 0.0


SCRIPT = """
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from autoimb import AutoImbalance

class Mine(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y, sample_weight)

X, y = make_classification(600, random_state=0)
model = AutoImbalance(Mine(), n_trials=2, n_jobs=2, cv=2, random_state=0).fit(X, y)
print(set(model.leaderboard_["status"]), type(model.best_pipeline_[-1]).__name__)
"""


def test_a_plain_script_without_a_guard_runs_its_own_classes_in_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split("\n")[-2] == "{'complete'} Mine", done.stderr


# --- shared data


def test_arrays_are_mapped_into_workers_not_copied(pool):
    def look(handle):
        import mmap

        X = memory = handle.get().table.X
        while isinstance(memory, np.ndarray):
            memory = memory.base
        return isinstance(memory.obj, mmap.mmap), X.flags.writeable, float(X.sum())

    problem = problem_of(*numeric())
    with pool.share(problem) as handle:
        assert isinstance(handle, Mapped)
        is_mapped, writeable, total = pool.submit(look, handle).result(60)
    assert is_mapped
    assert not writeable
    assert total == problem.table.X.sum()
    assert not Path(handle.path).exists()


def test_a_problem_comes_back_as_it_was(pool):
    problem = problem_of(*mixed(), sample_weight=np.arange(120.0))
    with pool.share(problem) as handle:
        again = handle.get()
    pd.testing.assert_frame_equal(again.table.X, problem.table.X)
    np.testing.assert_array_equal(again.table.y, problem.table.y)
    np.testing.assert_array_equal(again.table.weights, problem.table.weights)
    for one, other in zip(again.folds, problem.folds, strict=True):
        np.testing.assert_array_equal(one.train_idx, other.train_idx)
    assert again.catalogue.entries.keys() == problem.catalogue.entries.keys()


def test_a_second_problem_takes_the_place_of_the_first(pool):
    for value in (np.arange(5), np.arange(7)):
        with pool.share(value) as handle:
            np.testing.assert_array_equal(pool.submit(handle.get).result(60), value)


SHARES = """
import sys, time
import numpy as np
from autoimb._execution.executors import WorkerPool

pool = WorkerPool(1)
with pool.share(np.zeros(10)) as handle:
    print(handle.path, flush=True)
    pool.submit(time.sleep, 60).result()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_folder_of_data_is_removed_when_the_process_is_killed(number, temporary):
    process = subprocess.Popen(
        [sys.executable, "-c", SHARES],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    folder = Path(process.stdout.readline().strip()).parent
    assert folder.parent == temporary
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    process.send_signal(number)
    process.stdout.close()
    assert process.wait(timeout=30) == -number
    deadline = time.monotonic() + 30
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder.exists()


def test_folders_that_the_dead_left_are_removed_and_no_others(temporary, pool):
    stale = temporary / "autoimb-data-stale"
    (stale / "inner").mkdir(parents=True)
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    link = temporary / "autoimb-data-link"
    link.symlink_to(elsewhere)
    file = temporary / "autoimb-data-file"
    file.touch()
    with pool.share(1) as outer:
        assert not stale.exists()
        assert {link, file, elsewhere} <= set(temporary.iterdir())
        with pool.share(2) as inner:
            assert Path(outer.path).exists()
            assert Path(inner.path).exists()
    assert set(temporary.iterdir()) == {link, file, elsewhere}


def test_data_without_room_on_the_disk_are_refused_before_they_are_written(
    temporary, pool, monkeypatch
):
    usage = SimpleNamespace(free=13_000)
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda _: usage)
    with pool.share(np.zeros(1000)) as handle:
        assert handle.get().size == 1000
    with (
        pytest.raises(BadInputError, match=f"in {temporary}, where 0.00 GB are free"),
        pool.share(np.zeros(1250)),
    ):
        pass
    assert not list(temporary.iterdir())
    with SequentialExecutor().share(np.zeros(1250)) as handle:
        assert isinstance(handle, Inline)


def test_other_executors_get_the_value_itself():
    value = object()
    with SequentialExecutor().share(value) as handle:
        assert handle == Inline(value)
        assert handle.get() is value


# --- choosing an executor


def test_one_job_stays_in_this_process():
    with open_executor(None, Layout(1, in_process=True)) as executor:
        assert isinstance(executor, SequentialExecutor)


def test_one_worker_with_many_threads_is_a_process_of_its_own():
    with open_executor(None, Layout(1, 2)) as executor:
        assert isinstance(executor, WorkerPool)
        assert executor.submit(lambda: os.environ["OMP_NUM_THREADS"]).result(60) == "2"


def test_the_users_executor_is_used_and_left_open():
    mine = SequentialExecutor()
    with open_executor(mine, Layout(5)) as executor:
        assert executor is mine


def test_an_executor_of_our_own_is_ended_at_once_on_leaving():
    started = time.monotonic()
    with open_executor(None, Layout(2)) as executor:
        assert isinstance(executor, WorkerPool)
        future = executor.submit(time.sleep, 60)
    assert time.monotonic() - started < 30
    assert not future.done() or future.cancelled() or future.exception()


def test_how_many_tasks_run_at_once_is_known_or_many():
    context = partial(EvaluationContext, None, None, None)
    assert context(SequentialExecutor()).n_workers == 1
    unknown = SequentialExecutor()
    unknown.n_workers = 0
    assert context(unknown).n_workers > 16


INTERRUPTED = """
import time
from autoimb._execution.executors import (
    SequentialExecutor,
    describe_failure,
    submit_task,
)

started = time.monotonic()
late = submit_task(SequentialExecutor(), 0.3, time.sleep, 60)
print(describe_failure(late.exception()).status, time.monotonic() - started < 30)
print(submit_task(SequentialExecutor(), 5.0, divmod, 7, 2).result())
"""


def test_a_task_in_this_process_is_interrupted_when_its_time_is_up():
    """In a process of its own: here pytest's time limit holds the only timer."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["timeout True", "(3, 1)"]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (TimeoutError(), "timeout", "share of the time budget"),
        (ValueError("no good"), "failed", "ValueError: no good"),
        (MemoryError(), "failed", "MemoryError"),
    ],
    ids=["late", "raised", "memory"],
)
def test_a_lost_task_has_a_status_and_a_reason(error, status, reason):
    failure = describe_failure(error)
    assert failure.status == status
    assert reason in failure.reason
