"""The executor of a fit: the user's, a cluster, or a new one that ends with the fit."""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from joblib.parallel import get_active_backend

from autoimb._execution.dask_cluster import DaskCluster, dask_cluster
from autoimb._execution.executors import (
    LimitedExecutor,
    SequentialExecutor,
    WorkerPool,
)
from autoimb._execution.process_settings import kept_settings
from autoimb._execution.ray_cluster import RayCluster, ray_cluster
from autoimb._execution.users_executor import WatchedExecutor
from autoimb.exceptions import BadInputError, ExecutorWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autoimb._execution.resources import Layout


@contextlib.contextmanager
def open_executor(executor: Any, layout: Layout) -> Iterator[LimitedExecutor]:
    """Yield the user's executor, or a new one whose tasks end with the block.

    Settings of this process that tasks in its threads change are put back at the end.
    A user's executor that broke or was closed is warned of then.

    Parameters
    ----------
    executor : Executor, Client of Dask's, str or None
        Where the tasks run. None is the active backend of joblib if that is a cluster
        or threads, else worker processes or this process.
    layout : Layout
        How many of them, with how many threads.

    Raises
    ------
    BadInputError
        If what the user passed is no executor, or takes no tasks.
    """
    with kept_settings():
        if isinstance(executor, LimitedExecutor):
            yield executor
            return
        start_workers = partial(WorkerPool, layout.n_workers, layout.n_threads)
        if executor is not None:
            opened = _of_user(executor, start_workers)
        elif (active := _of_joblib(start_workers)) is not None:
            opened = active
        else:
            opened = SequentialExecutor() if layout.in_process else start_workers()
        try:
            yield opened
        finally:
            opened.close()
        _warn_of(opened)


def _of_user(executor: Any, start_workers: Callable[[], WorkerPool]) -> LimitedExecutor:
    """Return what runs tasks on the executor or cluster that the user passed."""
    for find in (dask_cluster, ray_cluster):
        if (cluster := find(executor)) is not None:
            return cluster
    _check_executor(executor)
    return WatchedExecutor(executor, start_workers)


def _check_executor(executor: Any) -> None:
    """Raise `BadInputError` unless it is an executor."""
    if isinstance(executor, Executor):
        return
    advice = (
        "pass a concurrent.futures.Executor, a dask.distributed.Client, "
        "'dask:tcp://…' with the address of a scheduler, 'ray', 'ray://…', or None for "
        "worker processes"
    )
    if isinstance(executor, type):
        advice = f"pass an instance, such as {executor.__name__}()"
    raise BadInputError(f"{executor=} is no executor: {advice}.")


def _of_joblib(start_workers: Callable[[], WorkerPool]) -> LimitedExecutor | None:
    """Return what runs tasks as `joblib.parallel_config` says; None without it.

    A backend of processes is ours, and inside another task of joblib's or Dask's there
    is none: its tasks might wait for each other.
    """
    backend, n_jobs = get_active_backend()
    kind = type(backend).__name__
    if backend.nesting_level or _is_in_task_of_dask():
        return None
    if kind == "DaskDistributedBackend":
        return DaskCluster(backend.client, backend.submit_kwargs)
    if kind == "RayBackend":
        return RayCluster()
    if kind == "ThreadingBackend":
        return _Threads(backend.effective_n_jobs(n_jobs), start_workers)
    return None


class _Threads(WatchedExecutor):
    """Threads that end with the fit."""

    def __init__(self, n_jobs: int, start_workers: Callable[[], WorkerPool]) -> None:
        self._threads = ThreadPoolExecutor(n_jobs)
        super().__init__(self._threads, start_workers)

    def close(self) -> None:
        """End the threads once their tasks have ended."""
        super().close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _is_in_task_of_dask() -> bool:
    """Whether this thread is running a task of a Dask worker."""
    distributed: Any = sys.modules.get("distributed")
    try:
        return distributed is not None and bool(distributed.get_worker())
    except ValueError:  # it is not
        return False


def _warn_of(executor: LimitedExecutor) -> None:
    """Warn of a user's executor that did not last for the whole block."""
    if executor.closed:
        warn(
            f"the executor took no further tasks ({executor.closed}): what was "
            "complete by then was used. Pass one that stays open until the call "
            "returns.",
            ExecutorWarning,
        )
    elif executor.broken:
        warn(
            f"the executor broke ({executor.broken}): its tasks were run again in "
            f"{executor.n_workers} worker processes of this fit's own. A candidate "
            "that ended its worker there is 'killed' in leaderboard_. Pass a new "
            "executor to the next call.",
            ExecutorWarning,
        )
