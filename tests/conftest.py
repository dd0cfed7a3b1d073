"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import sklearn.ensemble  # loads the OpenMP that is to be limited  # noqa: F401
from hypothesis import settings
from threadpoolctl import threadpool_limits

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
