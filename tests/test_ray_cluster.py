"""A Ray cluster as an executor, with real processes of Ray's on this machine."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from contracts import ExecutorContract
from tables import DIAL, Dial, family_of, numeric

from autoimb import AutoImbalance
from autoimb._execution.executors import describe_failure
from autoimb._execution.ray_cluster import RayCluster
from autoimb.exceptions import BadInputError

X, Y = numeric(120, 30)
SETTINGS = {"families": DIAL, "n_trials": 6, "cv": 3, "random_state": 0}


def test_without_ray_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(BadInputError, match=r"needs Ray: pip install 'autoimb\[ray\]'"):
        AutoImbalance(executor="ray", **SETTINGS).fit(X, Y)


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        runtime_env=environment,
        object_store_memory=100_000_000,
        log_to_driver=False,
    )
    ray.get(ray.remote(lambda: 0).remote())  # its first process takes long to start
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def on_ray(ray):
    made = RayCluster()
    yield made
    made.close()


class Kills(Dial):
    """A classifier that ends its process."""

    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


# Ray leaves files and sockets open.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.slow
class TestRayCluster(ExecutorContract):
    @pytest.fixture
    def executor(self, on_ray):
        return on_ray

    def test_it_runs_as_many_tasks_at_once_as_it_has_processors(self, executor):
        assert executor.n_workers == 2
        assert executor.submit(os.getpid).result(60) != os.getpid()

    def test_a_task_that_ends_its_process_is_alone_to_blame(self, executor):
        dead = executor.submit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        others = [executor.submit(divmod, n, 2) for n in range(4)]
        assert describe_failure(dead.exception(120)).status == "killed"
        assert [f.result(60) for f in others] == [divmod(n, 2) for n in range(4)]

    def test_a_late_task_is_interrupted(self, executor):
        late = executor.submit_within(0.5, time.sleep, 600)
        assert describe_failure(late.exception(60)).status == "timeout"
        assert executor.submit(divmod, 7, 2).result(60) == (3, 1)

    def test_the_leaderboard_is_the_one_of_this_process(self, ray):
        here = AutoImbalance(n_jobs=1, **SETTINGS).fit(X, Y).leaderboard_
        there = AutoImbalance(executor="ray", **SETTINGS).fit(X, Y).leaderboard_
        assert there["strategy"].tolist() == here["strategy"].tolist()
        np.testing.assert_allclose(there["mean"], here["mean"], atol=1e-6)
        assert ray.is_initialized()

    def test_a_candidate_that_ends_its_process_is_killed(self, ray):
        families = [family_of(Kills(), "kills"), DIAL]
        options = {**SETTINGS, "families": families, "n_trials": 3, "cv": 2}
        table = AutoImbalance(executor="ray", **options).fit(X, Y).leaderboard_
        is_killer = table["family"] == "kills"
        assert set(table["status"][is_killer]) == {"killed"}
        assert set(table["status"][~is_killer]) == {"complete"}
