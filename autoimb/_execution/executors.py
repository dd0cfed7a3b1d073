"""Executors: where tasks run, and what happens when a worker dies.

A task is a picklable function on a `concurrent.futures` executor. `WorkerPool` is
Pebble's pool, in which one process can end without harm to the others. loky starts
its processes as new interpreters that do not import ``__main__``, so that a script
needs no ``if __name__ == "__main__"``.

A task that takes too long ends its own process, by a timer of the operating system:
Pebble measures time by the wall clock, which may jump. If a worker dies, another one
is started. `describe_failure` calls the fold "timeout" or "killed"; its candidate is
recorded with that status and the search continues.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import BrokenExecutor, Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from autoimb._execution.deadline import can_interrupt_now, interrupt_after
from autoimb._execution.process_settings import limited_threads
from autoimb._execution.resources import FREE_SHARE, Memory, free_memory
from autoimb._execution.shared_data import Inline, share_in_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from autoimb._execution.shared_data import SharedData


_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # of BLAS
_PARENT_CHECK_S = 1.0  # between two checks in a worker that its parent is alive
_ALARM: int | None = getattr(signal, "SIGALRM", None)
"""The signal that ends a process which is late; None on Windows."""
_KILLED = {"ProcessExpired", "KilledWorker", "WorkerCrashedError"}
"""Errors of Pebble, Dask and Ray for a process that died."""
_LEAST_LIMIT_S = 0.1  # the pool must have heard first that the task has begun


class ExecutorClosedError(Exception):
    """The user's executor was closed before a task ended."""


_DIED = "its worker process died (out of memory?)"


class WorkerDiedError(Exception):
    """The process of a task died while it ran; the message is the reason to show."""

    def __init__(self, reason: str = _DIED) -> None:
        super().__init__(reason)


class LimitedExecutor(Executor, ABC):
    """What candidates are evaluated on.

    It limits the running time of a single task where it can, and tasks read what they
    share from where it brought that.
    """

    n_workers: int
    """How many tasks run at once, now; 0 if that is not known."""
    n_threads: int = 1
    """Threads of a task."""
    closed: str = ""
    """Why it takes no further tasks; empty if it does."""
    broken: str = ""
    """Why workers of our own take its tasks; empty if they do not."""

    def share(self, value: Any) -> AbstractContextManager[SharedData]:
        """Return a block with a handle whose `get` returns the value in the tasks.

        Raises
        ------
        BadInputError
            If there is no room for the value where the tasks run.
        """
        return contextlib.nullcontext(Inline(value))

    @cached_property
    def memory(self) -> Memory:
        """Bytes that one task may take, and all of them: most of what is free here."""
        free = FREE_SHARE * free_memory()
        return Memory(free, free)

    @property
    def stand_in(self) -> SequentialExecutor | None:
        """What may run tasks in this process now; None if there is no need of it."""
        return None

    def give_up(self, future: Future[Any]) -> bool:
        """Cancel a task if that costs nothing; return whether it will not run."""
        return future.cancel()

    def close(self) -> None:
        """End at once what was started for its tasks; here, that is nothing."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Submit a task without a time limit."""
        return self.submit_within(None, fn, *args, **kwargs)

    @abstractmethod
    def submit_within(
        self,
        time_limit_s: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Submit a task that is stopped when its time limit has passed."""


class SequentialExecutor(LimitedExecutor):
    """Run each task in this process at the moment it is submitted."""

    n_workers = 1

    def __init__(self, n_threads: int = 1) -> None:  # n_jobs=1 means one processor
        self.n_threads = n_threads

    def submit_within(
        self,
        time_limit_s: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Run the task within the time limit and return its finished future."""
        future: Future[Any] = Future()
        try:
            with (
                limited_threads(self.n_threads),
                interrupt_after(time_limit_s),
                exit_as_error(),
            ):
                result = fn(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  a future holds every error
            future.set_exception(error)
        else:
            future.set_result(result)
        return future


class WorkerPool(LimitedExecutor):
    """Worker processes in which a single task can be ended.

    Parameters
    ----------
    n_workers : int
        Number of processes.
    n_threads : int, default=1
        Number of threads of each process.
    """

    def __init__(self, n_workers: int, n_threads: int = 1) -> None:
        self.n_workers, self.n_threads = n_workers, n_threads
        self._here = SequentialExecutor(n_threads)
        self._is_shut_down = False
        self._start()

    def _start(self) -> None:
        """Start the processes: this takes seconds, while the table is profiled."""
        from loky.backend import get_context
        from pebble import ProcessPool

        self._pool = ProcessPool(
            max_workers=self.n_workers,
            initializer=prepare_worker,
            initargs=[self.n_threads, os.getpid()],
            context=get_context("loky"),
        )
        self._warm_ups = [self._pool.schedule(warm_up) for _ in range(self.n_workers)]

    @property
    def stand_in(self) -> SequentialExecutor | None:
        """What may run tasks in this process while no worker is ready; None after that.

        It is None as well where no timer can interrupt a task in this process.
        """
        is_ready = any(task.done() for task in self._warm_ups)
        return None if is_ready or not can_interrupt_now() else self._here

    def submit_within(
        self,
        time_limit_s: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Queue a task; its worker is ended when the task's time limit has passed."""
        import cloudpickle

        payload = cloudpickle.dumps((fn, args, kwargs))
        if not (self._pool.active or self._is_shut_down):
            # Pebble gives up all workers if one dies while none of them has a task.
            self._end(at_once=True)
            self._start()
        if _ALARM is not None:
            return self._pool.schedule(_run_within, args=[time_limit_s, payload])
        return self._pool.schedule(_run, args=[payload], timeout=time_limit_s)

    def share(self, value: Any) -> AbstractContextManager[SharedData]:
        """Return a block in which a file holds the value, mapped by each process."""
        return share_in_file(value)

    def give_up(self, future: Future[Any]) -> bool:
        """Return False: Pebble would cancel by ending a worker."""
        return False

    def close(self) -> None:
        """End the workers at once."""
        self.shutdown(cancel_futures=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  the base class's signature
        """End the workers, at once if `cancel_futures`."""
        self._is_shut_down = True
        self._end(at_once=cancel_futures, wait=wait)

    def _end(self, *, at_once: bool, wait: bool = True) -> None:
        """End the processes, after the tasks that are queued unless at once."""
        end = self._pool.stop if at_once else self._pool.close
        end()  # type: ignore[no-untyped-call]
        if wait:
            self._pool.join()


def prepare_worker(n_threads: int, parent: int, folder: Path | None = None) -> None:
    """Limit the threads of this process, leave Ctrl-C to its parent, and end with it.

    The parent's number is given: it may be dead before this process can ask for it. If
    it dies, this process removes the folder of its files, if there is one.
    """
    import threadpoolctl

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The handler of the pool would not run before the fit returns to Python.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The variables limit libraries that are loaded later, the call limits the others.
    os.environ.update(_ONE_THREAD | {"OMP_NUM_THREADS": str(n_threads)})
    threadpoolctl.threadpool_limits({"openmp": n_threads, "blas": 1})
    ending = threading.Thread(
        target=_end_with_parent, args=[parent, folder], daemon=True
    )
    ending.start()


def _end_with_parent(parent: int, folder: Path | None) -> None:
    """End this process once its parent is dead, even in the middle of a fit."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def warm_up() -> None:
    """Import the packages that every candidate needs."""
    import imblearn.pipeline  # noqa: F401
    import sklearn.ensemble  # noqa: F401


def _run_within(time_limit_s: float | None, payload: bytes) -> Any:
    """Run a pickled task; end this process if it takes too long.

    The system ends it, even in the middle of compiled code. Its timer does not follow
    the wall clock.
    """
    if time_limit_s is None:
        return _run(payload)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(time_limit_s, _LEAST_LIMIT_S))
    try:
        return _run(payload)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _run(payload: bytes) -> Any:
    """Run a pickled task; classes of the user's script travel inside it."""
    fn, args, kwargs = pickle.loads(payload)  # noqa: S301  written by our own parent
    return fn(*args, **kwargs)


def submit_task(
    executor: LimitedExecutor,
    time_limit_s: float | None,
    fn: Callable[..., Any],
    *args: Any,
) -> Future[Any]:
    """Submit a task, with a time limit where the executor supports one.

    If the executor refuses the task, the returned future holds its error.
    """
    try:
        return executor.submit_within(time_limit_s, fn, *args)  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001  the candidate fails, not the search
        future: Future[Any] = Future()
        future.set_exception(error)
        return future


@contextlib.contextmanager
def exit_as_error() -> Iterator[None]:
    """Turn a `sys.exit` of the user's code in the block into an error of that code.

    In this process it would end the whole fit.
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error


class Failure(NamedTuple):
    """Why a task has no result."""

    status: str
    """``"timeout"``, ``"killed"`` or ``"failed"``."""
    reason: str


def describe_failure(error: BaseException) -> Failure:
    """Return why a task has no result, from the error of its future."""
    is_expired = type(error).__name__ in _KILLED
    was_late = is_expired and -getattr(error, "exitcode", 0) == _ALARM
    if was_late or isinstance(error, FutureTimeoutError | TimeoutError):
        return Failure(
            "timeout", "one fold took longer than its share of the time budget"
        )
    if isinstance(error, ExecutorClosedError):
        return Failure("timeout", f"the executor took no further tasks ({error})")
    if isinstance(error, WorkerDiedError):
        return Failure("killed", str(error))
    if is_expired or isinstance(error, BrokenExecutor):
        return Failure("killed", _DIED)
    return Failure("failed", f"{type(error).__name__}: {error}")
