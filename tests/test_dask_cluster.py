"""A Dask cluster as an executor: what is lost runs again, and the table travels once.

Tests of what the client does when workers are lost use a client that stands for Dask's:
it loses what it is told to. The others have a real cluster with worker processes.
"""

import os
import pickle
import signal
import time
from concurrent.futures import CancelledError

import cloudpickle
import numpy as np
import pytest
from contracts import ExecutorContract
from joblib import parallel_config
from tables import DIAL, Dial, family_of, numeric, problem_of

from autoimb import AutoImbalance, NoCandidateError
from autoimb._catalogue import CATALOGUE
from autoimb._cli import main
from autoimb._evaluate.evaluate import evaluate
from autoimb._execution import cluster as module
from autoimb._execution import dask_cluster
from autoimb._execution.cluster import SharedDataLostError
from autoimb._execution.cluster_worker import run_task
from autoimb._execution.dask_cluster import DaskCluster
from autoimb._execution.executors import describe_failure
from autoimb._execution.opening import open_executor
from autoimb._execution.resources import Layout, Memory
from autoimb._execution.task_process import WorkerLeavesError
from autoimb._strategy.strategy import Strategy
from autoimb.exceptions import BadInputError, ExecutorWarning

distributed = pytest.importorskip("distributed", reason="Dask is not installed")

X, Y = numeric(120, 30)
SETTINGS = {"families": DIAL, "n_trials": 8, "cv": 3, "random_state": 0}


def fit(executor, **options):
    return AutoImbalance(executor=executor, **{**SETTINGS, **options}).fit(X, Y)


# --- a client that loses tasks


class KilledWorker(Exception):
    """Stands for Dask's error of a task that was on several workers that died."""


class FakeFuture:
    def __init__(self):
        self.status, self.outcome, self.callbacks = "pending", None, []

    def add_done_callback(self, callback):
        self.callbacks.append(callback)
        if self.status != "pending":
            callback(self)

    def end(self, outcome):
        self.status, self.outcome = "finished", outcome
        for callback in self.callbacks:
            callback(self)

    def result(self):
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def cancel(self):
        self.end(CancelledError())


class FakeClient:
    """Dask's client as far as it is used; tasks end when the test says so."""

    asynchronous = False

    def __init__(self, workers=None):
        self.status, self.submitted, self.sent = "running", [], []
        self.workers = workers or {"tcp://a": {}, "tcp://b": {}}

    def submit(self, fn, *args, key=None, **options):
        if self.status == "closed":
            raise RuntimeError("Client is closed")
        future = FakeFuture()
        if args:
            self.submitted.append((args[0], options, future))
        return future

    def nthreads(self):
        return {address: w.get("nthreads", 1) for address, w in self.workers.items()}

    def scheduler_info(self, n_workers):
        plain = {"nthreads": 1, "memory_limit": 0, "resources": {}}
        return {"workers": {a: {**plain, **w} for a, w in self.workers.items()}}

    def cancel(self, futures, force):
        pass

    def run(self, *args, **kwargs):
        pass

    def scatter(self, data, **options):
        self.sent.append(list(data))
        future = FakeFuture()
        future.status = "finished"
        return dict.fromkeys(data, future)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "CHECK_S", 0.02)
    monkeypatch.setattr(module, "PATIENCE_S", 0.5)


@pytest.fixture
def client(quick):
    return FakeClient()


@pytest.fixture
def cluster(client):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask_cluster, "_distributed", lambda: KeptNames)
        made = DaskCluster(client, {})
        yield made
        made.close()


class KeptNames:
    """Stands for the package: variables that hold nothing."""

    class Variable:
        def __init__(self, name, client):
            pass

        def set(self, value):
            pass

        def delete(self):
            pass


def done(value=7):
    return cloudpickle.dumps((True, value))


def wait_until(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "error",
    [
        CancelledError("the scheduler was started again"),
        KilledWorker("a worker"),
        SharedDataLostError("gone"),
        WorkerLeavesError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("n_losses", [1, 2, 3])
def test_a_task_that_lost_its_worker_runs_again_at_most_twice(
    client, cluster, error, n_losses
):
    task = cluster.submit(divmod, 7, 2)
    for number in range(n_losses):
        wait_until(lambda n=number: len(client.submitted) > n)
        client.submitted[number][2].end(error)
    if n_losses < 3:
        wait_until(lambda: len(client.submitted) > n_losses)
        client.submitted[-1][2].end(done())
        assert task.result(20) == 7
    else:
        found = task.exception(20)
        is_lost = isinstance(error, SharedDataLostError)
        status = describe_failure(found).status
        assert status == ("failed" if is_lost else "killed")
    assert len(client.submitted) == min(n_losses + 1, 3)
    assert not cluster.closed


def test_suspects_run_one_at_a_time_and_innocents_are_cleared(client, cluster):
    bad, *good = [cluster.submit(divmod, n, 2) for n in range(4)]
    for _, _, future in client.submitted[:4]:
        future.end(KilledWorker("together"))
    wait_until(lambda: len(client.submitted) == 5)
    time.sleep(0.1)
    assert len(client.submitted) == 5  # the others wait
    for _ in range(2):  # the first of them loses two more workers, alone
        client.submitted[-1][2].end(KilledWorker("alone"))
        n_before = len(client.submitted)
        wait_until(lambda n=n_before: len(client.submitted) > n)
    assert describe_failure(bad.exception(20)).status == "killed"
    for task in good:
        client.submitted[-1][2].end(done())
        assert task.result(20) == 7
        n_before = len(client.submitted)
        if task is not good[-1]:
            wait_until(lambda n=n_before: len(client.submitted) >= n)
    assert len(client.submitted) == 4 + 2 + 3


def test_other_tasks_run_while_a_suspect_is_tested(client, cluster):
    cluster.submit(divmod, 1, 2)
    client.submitted[0][2].end(KilledWorker("dead"))
    wait_until(lambda: len(client.submitted) == 2)
    other = cluster.submit(divmod, 2, 2)
    client.submitted[-1][2].end(done())
    assert other.result(20) == 7


def test_an_error_of_the_task_is_handed_on_at_once(client, cluster):
    task = cluster.submit(divmod, 7, 0)
    client.submitted[0][2].end(cloudpickle.dumps((False, ZeroDivisionError("no"))))
    assert isinstance(task.exception(20), ZeroDivisionError)
    task = cluster.submit(divmod, 7, 0)
    client.submitted[1][2].end(ModuleNotFoundError("No module named 'autoimb'"))
    assert isinstance(task.exception(20), ModuleNotFoundError)
    assert len(client.submitted) == 2


def test_what_waits_can_be_cancelled_and_what_may_run_cannot(client, cluster):
    first, second, third = [cluster.submit(divmod, n, 2) for n in range(3)]
    assert cluster.n_workers == 2
    assert not cluster.give_up(first)
    assert not cluster.give_up(second)
    assert cluster.give_up(third)
    assert third.cancelled()
    client.submitted[0][2].end(done())
    assert first.result(20) == 7
    assert len(client.submitted) == 3  # what was given up does not run again


def test_workers_are_counted_as_they_come_and_go(client, cluster):
    client.workers = {**client.workers, "tcp://c": {"nthreads": 6}}
    wait_until(lambda: cluster.n_workers == 8)
    client.workers = {"tcp://c": {"nthreads": 6}}
    wait_until(lambda: cluster.n_workers == 6)


def test_a_cluster_without_workers_is_given_up_after_a_while(client, cluster):
    task = cluster.submit(divmod, 7, 2)
    client.workers = {}
    failure = describe_failure(task.exception(20))
    assert failure.status == "timeout"
    assert "it had no worker for" in failure.reason
    assert cluster.closed
    assert describe_failure(cluster.submit(divmod, 1, 1).exception(20)) == failure


def test_workers_that_come_back_in_time_go_on(client, cluster):
    client.workers = {}
    time.sleep(0.2)
    client.workers = {"tcp://d": {}}
    time.sleep(0.6)
    task = cluster.submit(divmod, 7, 2)
    client.submitted[-1][2].end(done())
    assert task.result(20) == 7


def test_a_client_that_is_closed_ends_all_tasks(client, cluster):
    task = cluster.submit(divmod, 7, 2)
    client.status = "closed"
    assert "its client was closed" in describe_failure(task.exception(20)).reason
    assert cluster.closed


def test_tasks_wait_while_the_client_connects_again(client, cluster):
    task = cluster.submit(divmod, 7, 2)
    client.status = "connecting"
    client.submitted[0][2].end(CancelledError("connection lost"))
    time.sleep(0.1)
    assert len(client.submitted) == 1
    client.status = "running"
    wait_until(lambda: len(client.submitted) == 2)
    client.submitted[1][2].end(done())
    assert task.result(20) == 7


def test_a_table_whose_holders_are_gone_is_sent_again(client, cluster):
    with cluster.share(np.zeros(10)) as handle:
        assert client.sent == [[handle.key]]
        cluster._shared[handle.key][1].status = "lost"
        wait_until(lambda: len(client.sent) == 2)
        assert client.sent == [[handle.key]] * 2
    time.sleep(0.1)
    assert len(client.sent) == 2


# --- what workers offer


def test_only_workers_that_have_the_resources_are_counted(quick):
    client = FakeClient(
        {
            "tcp://a": {"nthreads": 8, "resources": {"GPU": 2.0}, "memory_limit": 8e9},
            "tcp://b": {"nthreads": 8, "memory_limit": 64e9},
        }
    )
    both = DaskCluster(client, {})
    one = DaskCluster(client, {"resources": {"GPU": 1}})
    named = DaskCluster(client, {"workers": ["tcp://b"]})
    try:
        assert [c.n_workers for c in (both, one, named)] == [16, 2, 8]
        assert both.memory == Memory(0.8 * 64e9, 0.8 * 72e9)
        assert one.memory == Memory(0.8 * 8e9, 0.8 * 8e9)
        one.submit(divmod, 1, 1)
        assert client.submitted[-1][1]["resources"] == {"GPU": 1}
    finally:
        for made in (both, one, named):
            made.close()
    with pytest.raises(BadInputError, match=r"no worker with resources=\{'TPU': 1\}"):
        DaskCluster(client, {"resources": {"TPU": 1}})


def test_a_table_that_no_worker_has_memory_for_is_refused(quick):
    client = FakeClient({"tcp://a": {"memory_limit": 1e6}})
    made = DaskCluster(client, {})
    try:
        with (
            pytest.raises(
                BadInputError, match=r"too large for the workers of the Dask"
            ),
            made.share(np.zeros(100_000)),
        ):
            pass
    finally:
        made.close()
    assert not client.sent


def test_a_client_that_cannot_be_used_is_refused_at_once(quick):
    client = FakeClient()
    client.status = "closed"
    with pytest.raises(BadInputError, match=r"takes no tasks \(its client is closed\)"):
        DaskCluster(client, {})
    client.status, client.asynchronous = "running", True
    with pytest.raises(BadInputError, match="is asynchronous"):
        DaskCluster(client, {})
    empty = FakeClient()
    empty.workers = {}
    with pytest.raises(BadInputError, match=r"no worker for .*wait_for_workers\(1\)"):
        DaskCluster(empty, {})


def test_a_scheduler_that_does_not_answer_is_named():
    with (
        distributed_timeout("0.5s"),
        pytest.raises(BadInputError, match=r"'dask:tcp://127\.0\.0\.1:1': no Dask"),
    ):
        fit("dask:tcp://127.0.0.1:1")


def distributed_timeout(text):
    import dask

    return dask.config.set({"distributed.comm.timeouts.connect": text})


# --- how large a task is


def test_a_task_is_small_however_large_the_table_is(client, cluster):
    strategy = Strategy.of(CATALOGUE, family="random_forest", resampler="smote")
    sizes = []
    for n_rows in (200, 200_000):
        problem = problem_of(*numeric(n_rows, 60))
        with cluster.share(problem) as handle:
            cluster.submit(evaluate, strategy, 1, handle, seconds=3.0)
        sizes.append(len(pickle.dumps(client.submitted[-1][0])))
    assert sizes[0] == sizes[1]
    assert sizes[0] < 10_000


# --- a real cluster


@pytest.fixture(scope="module")
def real():
    """Return a client of a cluster with two worker processes."""
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def on_real(real):
    """Return what runs the tasks of a fit on that cluster."""
    made = DaskCluster(real, {})
    yield made
    made.close()


class Slow(Dial):
    """A classifier whose fit takes a moment."""

    def fit(self, X, y):
        time.sleep(0.3)
        return super().fit(X, y)


class Kills(Dial):
    """A classifier that ends its process."""

    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


SLOW = family_of(Slow(), "slow")


def pids(client):
    return {info["pid"] for info in client.run(lambda: {"pid": os.getpid()}).values()}


def left_on(client):
    """Return how many sessions of fits each worker has."""

    def count():
        from autoimb._execution.cluster_worker import _SESSIONS

        return len(_SESSIONS)

    return set(client.run(count).values())


@pytest.mark.slow
class TestDaskCluster(ExecutorContract):
    @pytest.fixture
    def executor(self, on_real):
        return on_real

    def test_tasks_run_in_processes_beside_the_workers(self, executor, real):
        assert executor.n_workers == 2
        found = {executor.submit(os.getpid).result(60) for _ in range(4)}
        assert not found & (pids(real) | {os.getpid()})
        assert len(found) <= 2

    def test_a_late_task_is_ended_and_its_worker_is_free_again(self, executor):
        late = [executor.submit_within(0.5, time.sleep, 600) for _ in range(2)]
        for task in late:
            assert describe_failure(task.exception(60)).status == "timeout"
        assert executor.submit(divmod, 7, 2).result(60) == (3, 1)

    def test_a_task_that_ends_its_process_ends_no_worker(self, executor, real):
        before = pids(real)
        dead = executor.submit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        others = [executor.submit(divmod, n, 2) for n in range(4)]
        assert describe_failure(dead.exception(60)) == (
            "killed",
            "its worker process died (out of memory?)",
        )
        assert [f.result(60) for f in others] == [divmod(n, 2) for n in range(4)]
        assert pids(real) == before

    def test_a_table_travels_to_a_worker_once(self, executor, real):
        with executor.share(np.arange(100_000)) as handle:
            tasks = [executor.submit(np.sum, 1) for _ in range(2)]
            tasks += [executor.submit(lambda h: h.get().sum(), handle) for _ in "abcd"]
            assert {int(t.result(60)) for t in tasks[2:]} == {4_999_950_000}

            def received(dask_worker, key):
                log = dask_worker.transfer_incoming_log
                return sum(key in entry["keys"] for entry in log)

            counts = real.run(received, key=handle.key)
            assert set(counts.values()) <= {0, 1}


@pytest.mark.slow
def test_all_ways_to_name_a_cluster_give_the_leaderboard_of_this_process(
    real, tmp_path
):
    here = AutoImbalance(n_jobs=1, **SETTINGS).fit(X, Y).leaderboard_
    before = left_on(real)
    ways = [real, real.get_executor(), f"dask:{real.scheduler.address}"]
    models = [fit(way, n_trials=8) for way in ways]
    with parallel_config(backend="dask"):
        models.append(fit(None))
    assert left_on(real) == before
    assert real.status == "running"
    for model in models:
        table = model.leaderboard_
        assert table["strategy"].tolist() == here["strategy"].tolist()
        np.testing.assert_allclose(table["mean"], here["mean"], atol=1e-6)


@pytest.mark.slow
def test_joblibs_backend_runs_the_tasks(real):
    with (
        parallel_config(backend="dask"),
        open_executor(None, Layout(1, in_process=True)) as executor,
    ):
        assert isinstance(executor, DaskCluster)
        assert executor.submit(os.getpid).result(60) != os.getpid()


@pytest.mark.slow
def test_the_command_line_takes_the_address(real, tmp_path, capsys):
    import pandas as pd

    table = tmp_path / "table.csv"
    pd.DataFrame(X).assign(target=Y).to_csv(table, index=False)
    words = f"fit {table} --target target --n-trials 1 --cv 2 --seed 0"
    arguments = [*words.split(), "--families", "logistic_regression"]
    address = f"dask:{real.scheduler.address}"
    assert main([*arguments, "--executor", address]) == 0
    assert "120 rows" in capsys.readouterr().out
    with distributed_timeout("0.5s"):
        assert main([*arguments, "--executor", "dask:tcp://127.0.0.1:1"]) == 2
    assert "no Dask scheduler answers" in capsys.readouterr().err


@pytest.mark.slow
def test_a_candidate_that_ends_its_process_is_alone_to_blame(real):
    before = pids(real)
    families = [family_of(Kills(), "kills"), DIAL]
    table = fit(real, families=families, n_trials=6).leaderboard_
    is_killer = table["family"] == "kills"
    assert set(table["status"][is_killer]) == {"killed"}
    assert set(table["status"][~is_killer]) == {"complete"}
    assert pids(real) == before


@pytest.fixture
def own():
    """Return a client of a cluster of this test alone."""
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


class When:
    """Do something once so many tasks have been submitted."""

    def __init__(self, monkeypatch, n_tasks, action):
        self.n_left, self.was_done = n_tasks, False
        submit = DaskCluster.submit_within

        def counted(cluster, *args, **kwargs):
            self.n_left -= 1
            if self.n_left == 0:
                action()
                self.was_done = True
            return submit(cluster, *args, **kwargs)

        monkeypatch.setattr(DaskCluster, "submit_within", counted)


@pytest.mark.slow
def test_a_worker_that_is_killed_and_one_that_comes_late_change_nothing(
    own, monkeypatch
):
    here = AutoImbalance(n_jobs=1, **{**SETTINGS, "families": SLOW}).fit(X, Y)
    first = min(pids(own))

    def change():
        own.cluster.scale(3)
        os.kill(first, signal.SIGKILL)

    when = When(monkeypatch, 6, change)
    table = fit(own, families=SLOW).leaderboard_
    assert when.was_done
    assert set(table["status"]) == {"complete"}
    assert table["strategy"].tolist() == here.leaderboard_["strategy"].tolist()
    np.testing.assert_allclose(table["mean"], here.leaderboard_["mean"], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["workers", "client", "scheduler"])
def test_what_was_complete_is_used_when_the_cluster_ends(own, monkeypatch, end):
    monkeypatch.setattr(module, "PATIENCE_S", 3.0)
    ways = {
        "workers": lambda: own.cluster.scale(0),
        "client": own.close,
        "scheduler": own.cluster.close,
    }
    with distributed_timeout("2s"):
        When(monkeypatch, 16, ways[end])
        with pytest.warns(ExecutorWarning, match="took no further tasks"):
            model = fit(own, families=SLOW, n_trials=40)
    status = model.leaderboard_["status"].value_counts()
    assert status["complete"] >= 3
    assert set(status.index) <= {"complete", "timeout"}
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.slow
def test_it_is_an_error_if_nothing_was_complete(own, monkeypatch):
    When(monkeypatch, 1, own.close)
    with pytest.raises(NoCandidateError, match="no candidate was complete when the ex"):
        fit(own, families=SLOW)


def test_a_worker_keeps_no_more_than_the_fit_needs(monkeypatch):
    """Run a task as a worker does: its process and files end with the session."""
    from autoimb._execution import cluster_worker
    from autoimb._execution.cluster_worker import Task

    monkeypatch.setattr(cluster_worker, "_IDLE_S", 0.5)
    payload = cloudpickle.dumps((os.getppid, (), {}))
    has_result, parent = pickle.loads(run_task(Task("one", payload, (), None), None))
    assert has_result
    assert parent == os.getpid()
    wait_until(lambda: "one" not in cluster_worker._SESSIONS)


def test_a_process_that_dies_and_leaves_another_behind_is_noticed():
    """The other one holds the pipe by which the result would come."""
    from autoimb._execution.cluster_worker import Task, end_session

    def leave():
        if os.fork() == 0:
            time.sleep(600)
        os._exit(3)

    payload = cloudpickle.dumps((leave, (), {}))
    try:
        has_result, error = pickle.loads(run_task(Task("two", payload, (), 60), None))
    finally:
        end_session("two")
    assert not has_result
    assert describe_failure(error).status == "killed"


def test_the_process_that_takes_too_much_memory_is_ended_before_the_worker_is():
    from autoimb._execution.cluster_worker import Task, end_session

    def fill():
        filled = np.ones(50_000_000)  # 400 MB
        time.sleep(60)
        return filled.sum()

    payload = cloudpickle.dumps((fill, (), {}))
    task = Task("three", payload, (), 60)
    try:
        has_result, error = pickle.loads(run_task(task, None, memory_limit=4e8))
    finally:
        end_session("three")
    assert not has_result
    failure = describe_failure(error)
    assert failure.status == "killed"
    assert "GB of the worker's 0.4 GB of memory" in failure.reason
