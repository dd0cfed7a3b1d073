"""Fixtures that several test modules share."""

from __future__ import annotations

import signal
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import sklearn.ensemble  # loads the OpenMP that is to be limited  # noqa: F401
from hypothesis import settings
from threadpoolctl import threadpool_limits

from autoimb._execution import executors
from autoimb._execution.executors import WorkerPool

# Examples take as long as the machine is busy: that is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

_REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Keep small fits on one thread: on few cores the others would only spin."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def real_table():
    """Return a reader of real data sets: name -> (X, y); skips where they are not."""
    if not _REAL_DATA.is_dir():
        pytest.skip("the folder with real data sets is not beside the checkout")

    def read(name):
        frame = pd.read_csv(_REAL_DATA / f"{name}.csv.gz")
        return frame.drop(columns="target"), frame["target"]

    return read


@pytest.fixture(scope="session")
def pool():
    """Return two worker processes that all tests share: starting them takes seconds."""
    workers = WorkerPool(2)
    yield workers
    workers.shutdown(cancel_futures=True)


@pytest.fixture
def free_timer():
    """Lend the test the timer of this process, which holds pytest's time limit."""
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0.0)
    yield
    signal.setitimer(signal.ITIMER_REAL, left, interval)


@pytest.fixture
def slow_start(monkeypatch):
    """Make new worker processes take minutes until they are ready."""
    monkeypatch.setattr(executors, "warm_up", partial(time.sleep, 300))


@pytest.fixture
def starting_pool(slow_start):
    """Return a pool of which no worker is ready."""
    workers = WorkerPool(1)
    yield workers
    workers.shutdown(cancel_futures=True)
