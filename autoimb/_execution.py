"""Where and for how long things run: the clock, the executors, the shared data.

Everything that runs elsewhere is a picklable function on a `concurrent.futures`
executor. `WorkerPool` is Pebble's pool (one task can be ended without the others
noticing) over loky's processes (which start afresh without importing ``__main__``, so
a plain script needs no guard).
"""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoimb.exceptions import BadInputError, BudgetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
DEFAULT_SECONDS = 60.0
_PAGE = mmap.ALLOCATIONGRANULARITY


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock; None means there is none."""

    seconds: float | None
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float:
        """Seconds left, infinite without a limit, never negative."""
        if self.seconds is None:
            return float("inf")
        return max(0.0, self.seconds - self.elapsed)

    @property
    def is_over(self) -> bool:
        """Whether the moment has passed."""
        return self.remaining == 0.0

    def earlier_by(self, seconds: float) -> Deadline:
        """Return a deadline that holds some seconds back."""
        if self.seconds is None:
            return self
        return Deadline(max(0.0, self.seconds - seconds), self.started)


class SequentialExecutor(Executor):
    """Run each task in this process at the moment it is submitted."""

    n_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run the task and return its finished future."""
        import threadpoolctl

        future: Future[Any] = Future()
        try:
            with threadpoolctl.threadpool_limits(1):  # n_jobs=1 is one thread, too
                future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  an executor hands every error on
            future.set_exception(error)
        return future


class WorkerPool(Executor):
    """Worker processes, one thread each, in which a single task can be ended.

    Parameters
    ----------
    n_workers : int
        How many processes.
    """

    def __init__(self, n_workers: int) -> None:
        from loky.backend import get_context
        from pebble import ProcessPool

        self.n_workers = n_workers
        self._pool = ProcessPool(
            max_workers=n_workers,
            initializer=_start_worker,
            context=get_context("loky"),
        )
        # Starting takes seconds: begin now, while the table is being profiled.
        self._warm = [self._pool.schedule(_warm_up) for _ in range(n_workers)]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Queue a task without a limit of its own."""
        return self.submit_within(None, fn, *args, **kwargs)

    def submit_within(
        self,
        seconds: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Queue a task that is ended after some seconds of running."""
        import cloudpickle

        payload = cloudpickle.dumps((fn, args, kwargs))
        return self._pool.schedule(_run_payload, args=[payload], timeout=seconds)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  the base class's signature
        """End the workers, at once if `cancel_futures`."""
        if cancel_futures:
            self._pool.stop()  # type: ignore[no-untyped-call]
        else:
            self._pool.close()  # type: ignore[no-untyped-call]
        if wait:
            self._pool.join()


def _start_worker() -> None:
    """Make this process leave Ctrl-C to its parent and keep to one thread."""
    import threadpoolctl

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(_ONE_THREAD)  # for libraries that are loaded later
    threadpoolctl.threadpool_limits(1)  # for those that are here already


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
    """Submit a task, with a limit on its running time where the executor has one."""
    limited = getattr(executor, "submit_within", None)
    if limited is None:
        return executor.submit(fn, *args)
    return limited(seconds, fn, *args)  # type: ignore[no-any-return]


def failure_reason(error: BaseException) -> tuple[str, str]:
    """Return the status and the reason for a task that brought no result."""
    if isinstance(error, FutureTimeoutError | TimeoutError):
        return "timeout", "one fold took longer than its share of the time budget"
    if type(error).__name__ == "ProcessExpired":
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
    with tempfile.TemporaryDirectory(prefix="autoimb-") as folder:
        path = Path(folder) / "shared"
        with path.open("wb") as file:
            for start, part in zip(_starts(sizes), parts, strict=True):
                file.seek(start)
                file.write(part)
        yield Mapped(str(path), sizes)


def _starts(sizes: tuple[int, ...]) -> list[int]:
    """Return where each part of a mapped file begins: at whole pages."""
    starts, at = [], 0
    for size in sizes:
        starts.append(at)
        at += -(-size // _PAGE) * _PAGE
    return starts


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Return how many workers to use.

    None means every CPU that this process may use (affinity and cgroup), or one inside
    another pool's worker; -1 is every CPU, -2 all but one.
    """
    import loky

    if n_jobs is None:
        return 1 if multiprocessing.parent_process() else int(loky.cpu_count())
    if n_jobs == 0:
        raise BadInputError("n_jobs=0 means nothing: use None, 1 or more, or -1.")
    return n_jobs if n_jobs > 0 else max(1, int(loky.cpu_count()) + 1 + n_jobs)


@contextlib.contextmanager
def open_executor(executor: Executor | None, n_jobs: int | None) -> Iterator[Executor]:
    """Yield the user's executor, or one of our own that is ended at once on leaving."""
    if executor is not None:
        yield executor
        return
    n_workers = resolve_n_jobs(n_jobs)
    own = SequentialExecutor() if n_workers == 1 else WorkerPool(n_workers)
    try:
        yield own
    finally:
        own.shutdown(cancel_futures=True)


def resolve_device(device: str) -> str:
    """Return ``"cpu"`` or ``"cuda"``; "auto" looks for a card before it loads torch."""
    if device not in ("auto", "cpu", "cuda"):
        raise BadInputError(f"{device=} is not known: use 'auto', 'cpu' or 'cuda'.")
    if device != "auto":
        return device
    if not Path("/dev/nvidia0").exists() and os.name == "posix":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def check_limits(time_budget: float | str | None, n_trials: int | None) -> float | None:
    """Return the time budget in seconds, None for a search counted in trials."""
    if n_trials is not None and (
        isinstance(n_trials, bool) or not isinstance(n_trials, Integral) or n_trials < 1
    ):
        raise BudgetError(f"{n_trials=} must be a whole number of at least 1, or None.")
    if time_budget == "auto":
        return DEFAULT_SECONDS if n_trials is None else None
    if time_budget is None:
        if n_trials is None:
            raise BudgetError(
                "time_budget and n_trials are both None, so the search would never "
                "end: give seconds or a number of trials."
            )
        return None
    is_number = isinstance(time_budget, Real) and not isinstance(time_budget, bool)
    if not is_number or not 0 < float(time_budget) < float("inf"):
        raise BudgetError(
            f"{time_budget=} must be a positive, finite number of seconds, 'auto' or "
            "None."
        )
    return float(time_budget)
