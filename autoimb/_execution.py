"""Where things run: the executors, and the data that their tasks share.

Everything that runs elsewhere is a picklable function on a `concurrent.futures`
executor. `WorkerPool` is Pebble's pool (one task can be ended without the others
noticing) over loky's processes (which start afresh without importing ``__main__``, so
a plain script needs no guard).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import shutil
import signal
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import BrokenExecutor, Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoimb._clock import interrupted_after

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autoimb._machine import Layout

_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PAGE = mmap.ALLOCATIONGRANULARITY
_PREFIX = "autoimb-data-"
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_ALIVE_SECONDS = 1.0  # between two looks of a worker at whether its parent lives
_MANY = 64  # tasks that an executor of unknown size is given at once


class LimitedExecutor(Executor, ABC):
    """An executor that can limit the running time of a single task."""

    n_workers: int
    """How many tasks run at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Submit a task without a limit of its own."""
        return self.submit_within(None, fn, *args, **kwargs)

    @abstractmethod
    def submit_within(
        self,
        seconds: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Submit a task that is ended after some seconds of running."""


class SequentialExecutor(LimitedExecutor):
    """Run each task in this process at the moment it is submitted."""

    n_workers = 1

    def submit_within(
        self,
        seconds: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Run the task, interrupt it after some seconds, return its finished future."""
        import threadpoolctl

        future: Future[Any] = Future()
        try:
            # n_jobs=1 is one thread, too.
            with threadpoolctl.threadpool_limits(1), interrupted_after(seconds):
                result = fn(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  an executor hands every error on
            future.set_exception(error)
        else:
            future.set_result(result)
        return future


class WorkerPool(LimitedExecutor):
    """Worker processes in which a single task can be ended.

    Parameters
    ----------
    n_workers : int
        How many processes.
    n_threads : int, default=1
        Threads of each.
    """

    def __init__(self, n_workers: int, n_threads: int = 1) -> None:
        from loky.backend import get_context
        from pebble import ProcessPool

        self.n_workers = n_workers
        self._pool = ProcessPool(
            max_workers=n_workers,
            initializer=_start_worker,
            initargs=[n_threads],
            context=get_context("loky"),
        )
        # Starting takes seconds: begin now, while the table is being profiled.
        for _ in range(n_workers):
            self._pool.schedule(_warm_up)

    def submit_within(
        self,
        seconds: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Queue a task whose worker is ended after some seconds of running it."""
        import cloudpickle

        payload = cloudpickle.dumps((fn, args, kwargs))
        return self._pool.schedule(_run_payload, args=[payload], timeout=seconds)

    def cancel(self, future: Future[Any]) -> bool:
        """Leave a task alone: to cancel it, waiting or running, ends a worker."""
        return False

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  the base class's signature
        """End the workers, at once if `cancel_futures`."""
        if cancel_futures:
            self._pool.stop()  # type: ignore[no-untyped-call]
        else:
            self._pool.close()  # type: ignore[no-untyped-call]
        if wait:
            self._pool.join()


def _start_worker(n_threads: int) -> None:
    """Make this process leave Ctrl-C to its parent and keep to its threads."""
    import threadpoolctl

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool's own handler would wait for a fit to return to Python.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The variables are for libraries that are loaded later, the limit for the others.
    os.environ.update(dict.fromkeys(_THREAD_COUNTS, str(n_threads)))
    threadpoolctl.threadpool_limits(n_threads)
    threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """End this process once its parent is dead, even in the middle of a fit."""
    while os.getppid() == parent:
        time.sleep(_ALIVE_SECONDS)
    os._exit(1)


def _warm_up() -> None:
    """Load what every candidate needs."""
    import imblearn.pipeline  # noqa: F401
    import sklearn.ensemble  # noqa: F401


def _run_payload(payload: bytes) -> Any:
    """Run a pickled task; classes of the user's script travel inside it."""
    fn, args, kwargs = pickle.loads(payload)  # noqa: S301  written by our own parent
    return fn(*args, **kwargs)


def submit_within(
    executor: Executor, seconds: float | None, fn: Callable[..., Any], *args: Any
) -> Future[Any]:
    """Submit a task, with a limit on its running time where the executor has one.

    An executor that takes no more tasks gives a future that says so.
    """
    limited = getattr(executor, "submit_within", None)
    try:
        if limited is None:
            return executor.submit(fn, *args)
        return limited(seconds, fn, *args)  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001  a candidate's failure is a result
        future: Future[Any] = Future()
        future.set_exception(error)
        return future


def failure_reason(error: BaseException) -> tuple[str, str]:
    """Return the status and the reason for a task that brought no result."""
    if isinstance(error, FutureTimeoutError | TimeoutError):
        return "timeout", "one fold took longer than its share of the time budget"
    if isinstance(error, BrokenExecutor) or type(error).__name__ == "ProcessExpired":
        return "killed", "its worker process died (out of memory?)"
    return "failed", f"{type(error).__name__}: {error}"


@dataclass(frozen=True, slots=True)
class Inline:
    """A value that travels with each task that uses it."""

    value: Any

    def get(self) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Mapped:
    """A value that every process of this machine reads from one mapped file."""

    path: str
    sizes: tuple[int, ...]
    """Bytes of the pickle and of each buffer."""

    def get(self) -> Any:
        """Return the value; arrays are read-only views of the file."""
        if self.path not in _MAPPED:
            _MAPPED.clear()
            _MAPPED[self.path] = self._load()
        return _MAPPED[self.path]

    def _load(self) -> Any:
        """Map the file and unpickle, without copying the buffers."""
        with Path(self.path).open("rb") as file:
            memory = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        starts = _starts(self.sizes)
        parts = [memory[a : a + n] for a, n in zip(starts, self.sizes, strict=True)]
        return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301  our own file


Shared = Inline | Mapped
_MAPPED: dict[str, Any] = {}


@contextlib.contextmanager
def shared(value: Any, executor: Executor) -> Iterator[Shared]:
    """Yield a handle through which tasks on this executor read a value."""
    if not isinstance(executor, WorkerPool):
        yield Inline(value)
        return
    import cloudpickle

    buffers: list[pickle.PickleBuffer] = []
    payload = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(payload), *(buffer.raw() for buffer in buffers)]
    sizes = tuple(part.nbytes for part in parts)
    with _data_folder() as folder:
        path = folder / "shared"
        with path.open("wb") as file:
            for start, part in zip(_starts(sizes), parts, strict=True):
                file.seek(start)
                file.write(part)
        yield Mapped(str(path), sizes)


@contextlib.contextmanager
def _data_folder() -> Iterator[Path]:
    """Yield a folder that only this user can read, and remove it at the end.

    If this process is killed, loky's tracker removes the folder as soon as the workers
    have noticed; if the machine fails, the next fit does.
    """
    from loky.backend import resource_tracker

    _remove_stale_folders()
    folder, lock = _locked_folder()
    resource_tracker.register(str(folder), "folder")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        resource_tracker.unregister(str(folder), "folder")
        if lock is not None:
            os.close(lock)


def _locked_folder() -> tuple[Path, int | None]:
    """Return a new folder and its lock, which is held for as long as the process lives.

    Windows has no locks of folders: there the lock is None.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if fcntl is None:
            return folder, None
        with contextlib.suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(folder, _FOLDER)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_stale_folders() -> None:
    """Remove what dead processes of this user left behind.

    Nobody but their owner can put another folder in their place, since the temporary
    directory is sticky, and links are not followed.
    """
    if fcntl is None:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # of another user, in use, or gone
            lock = os.open(folder, _FOLDER)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(lock)


def _starts(sizes: tuple[int, ...]) -> list[int]:
    """Return where each part of a mapped file begins: at whole pages."""
    starts, at = [], 0
    for size in sizes:
        starts.append(at)
        at += -(-size // _PAGE) * _PAGE
    return starts


@contextlib.contextmanager
def open_executor(executor: Executor | None, layout: Layout) -> Iterator[Executor]:
    """Yield the user's executor, or one of our own that is ended at once on leaving."""
    if executor is not None:
        yield executor
        return
    own = (
        SequentialExecutor()
        if layout.in_process
        else WorkerPool(layout.n_workers, layout.n_threads)
    )
    try:
        yield own
    finally:
        own.shutdown(cancel_futures=True)


def n_at_once(executor: Executor) -> int:
    """Return how many tasks an executor runs at once, many if it does not say."""
    said = getattr(executor, "n_workers", getattr(executor, "_max_workers", None))
    return int(said or _MANY)
