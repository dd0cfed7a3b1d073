"""Executors of the user's own: refused at once, or watched for as long as a fit lasts.

Whatever fails on an executor beside the task itself is told from the task's own errors
by one question: does the executor still take a task?

- If it is broken, since a worker died, it takes none any more, and all its tasks are
  lost, those of other candidates as well. They run again in worker processes of our
  own, where a task that ends its process ends no other: only that one is lost twice.
- If it was closed, its tasks may never end. They are given up, and no others follow.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any

from autoimb._execution.executors import (
    ExecutorClosedError,
    LimitedExecutor,
    WorkerPool,
)
from autoimb._execution.resources import UNLIMITED
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

_CHECK_S = 2.0
"""Seconds without a result after which the executor is asked to take a task."""
_LOST = ("Cancelled", "KilledWorker")
"""Parts of the names of errors of tasks that an executor gave up: Dask has its own."""
_OF_FUTURES = ("add_done_callback", "cancel", "cancelled", "exception", "result")
_MAX_TRIES = 2
"""Times that a task may lose its worker before it is to blame for it."""


class _Task(Future[Any]):
    """A task as the search sees it: it may be submitted more than once."""

    def __init__(self, time_limit_s: float | None, call: Callable[[], Any]) -> None:
        super().__init__()
        self.time_limit_s, self.call = time_limit_s, call
        self.inner: Future[Any] | None = None
        """Its future on the executor that it was submitted to last."""
        self.can_be_cancelled = True
        self.is_given_up = False
        self.n_tries = 0

    def running(self) -> bool:
        """Whether it is being executed."""
        return self.inner is not None and self.inner.running()

    def cancel(self) -> bool:
        """Cancel it if that harms no other task; return whether it will not run."""
        if not self.can_be_cancelled or self.inner is None:
            return False
        self.is_given_up = True
        self.is_given_up = self.inner.cancel() and super().cancel()
        return self.is_given_up


class WatchedExecutor(LimitedExecutor):
    """An executor of the user's, and worker processes that replace it if it breaks.

    Parameters
    ----------
    executor : Executor
        The user's executor.
    start_workers : callable
        Returns the pool that takes its place.

    Raises
    ------
    BadInputError
        If the executor takes no task.
    """

    def __init__(
        self, executor: Executor, start_workers: Callable[[], WorkerPool]
    ) -> None:
        self._executor, self._start_workers = executor, start_workers
        self.memory = UNLIMITED  # it may run tasks on another machine
        self._workers: WorkerPool | None = None
        self._lock = threading.RLock()
        self._under_way: set[_Task] = set()
        self._lost_tasks: list[tuple[_Task, BaseException]] = []
        """Tasks of the user's executor that it cancelled, or that lost their worker."""
        self._has_news = False
        self._probe: Future[Any] | None = None
        self._has_ended = False
        self._wake = threading.Event()
        if reason := self._refusal():
            raise BadInputError(
                f"{executor=} takes no tasks ({reason}): pass one that is open, or "
                "None for worker processes of this fit's own."
            )
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def n_workers(self) -> int:  # type: ignore[override]
        """How many tasks run at once; 0 if the executor does not say."""
        if self._workers is not None:
            return self._workers.n_workers
        names = ("n_workers", "_max_workers")
        return int(
            next(filter(None, (getattr(self._executor, n, 0) for n in names)), 0)
        )

    def submit_within(
        self,
        time_limit_s: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Submit a task; the user's executor itself sets no time limit."""
        task = _Task(time_limit_s, partial(fn, *args, **kwargs))
        self._start(task)
        return task

    def close(self) -> None:
        """End the workers that took its place, at once; the executor stays open."""
        self._has_ended = True
        self._wake.set()
        with self._lock:
            workers = self._workers
        if workers is not None:
            # Without the lock: it waits for threads that settle tasks.
            workers.shutdown(cancel_futures=True)

    def _start(self, task: _Task) -> None:
        """Submit a task for the first time, or again."""
        with self._lock:
            workers = self._workers
            task.can_be_cancelled = workers is None
            if self.closed:
                self._settle(task, ExecutorClosedError(self.closed))
                return
            self._under_way.add(task)
        try:
            if workers is None:
                inner = _future(
                    self._executor.submit(_run, task.call, time.monotonic_ns())
                )
            else:
                inner = workers.submit_within(task.time_limit_s, task.call)
        except Exception as error:  # noqa: BLE001  a future holds every error
            if self._workers is workers:
                self._lost(task, error, is_refused=True)
            return  # else workers of our own have taken it since
        with self._lock:
            if self._workers is not workers:
                return
            task.inner = inner
        inner.add_done_callback(partial(self._ended, task))

    def _ended(self, task: _Task, inner: Future[Any]) -> None:
        """Hand on the result of a task, or do what the loss of it asks for."""
        self._has_news = True
        if inner is not task.inner:  # it was submitted again since
            return
        try:
            self._take(task, inner)
        except Exception as error:  # noqa: BLE001  of a future that is none
            self._settle(task, error)

    def _take(self, task: _Task, inner: Future[Any]) -> None:
        """Take the outcome of a task from its future."""
        if inner.cancelled() and task.is_given_up:
            with self._lock:
                self._under_way.discard(task)
        elif inner.cancelled():
            self._lost(task, CancelledError("its tasks were cancelled"))
        elif error := inner.exception():
            self._lost(task, error)
        else:
            self._settle(task, None, inner.result())

    def _lost(
        self, task: _Task, error: BaseException, *, is_refused: bool = False
    ) -> None:
        """Submit a task again if it is not to blame, else hand on its error."""
        is_of_users = task.can_be_cancelled and not self._has_ended
        if is_of_users and isinstance(error, BrokenExecutor):
            self._replace(error)
            if task.can_be_cancelled:  # it came after the others
                self._start(task)
        elif is_of_users and is_refused and self._refusal():
            self._give_up(error)
        elif is_of_users and any(word in type(error).__name__ for word in _LOST):
            # Not here: an executor that cancels tasks may hold its lock.
            with self._lock:
                self._lost_tasks.append((task, error))
            self._wake.set()
        else:
            self._settle(task, error)

    def _submit_lost(self) -> None:
        """Submit tasks again that the executor lost, if it still takes any."""
        with self._lock:
            lost, self._lost_tasks = self._lost_tasks, []
        if lost and self._refusal():
            self._give_up(lost[0][1])
            return
        for task, error in lost:
            task.n_tries += 1
            if task.n_tries < _MAX_TRIES:
                self._start(task)
            else:
                self._settle(task, error)

    def _replace(self, error: BaseException) -> None:
        """Let worker processes of our own take all tasks, those under way as well."""
        with self._lock:
            if self._workers is not None or self._has_ended:
                return
            self.broken = _named(error)
            self._workers = self._start_workers()
            under_way = list(self._under_way)
        for task in under_way:
            self._start(task)

    def _give_up(self, error: BaseException) -> None:
        """Take no further tasks, and end all that are under way without a result."""
        with self._lock:
            self.closed = self.closed or _named(error)
            for task in list(self._under_way):
                self._settle(task, ExecutorClosedError(self.closed))

    def _settle(
        self, task: _Task, error: BaseException | None, result: Any = None
    ) -> None:
        """Set the outcome of a task, unless it has one."""
        with self._lock:
            self._under_way.discard(task)
            if task.done():
                return
            if error is None:
                task.set_result(result)
            else:
                task.set_exception(error)

    def _watch(self) -> None:
        """Ask the executor to take a task whenever no result came for a while."""
        while True:
            is_woken = self._wake.wait(_CHECK_S)
            self._wake.clear()
            if self._has_ended:
                return
            self._submit_lost()
            if is_woken:
                continue
            with self._lock:
                is_silent = bool(self._under_way) and not self._has_news
                is_silent &= self._workers is None and not self.closed
            self._has_news = False
            if is_silent and (self._probe is None or self._probe.done()):
                try:
                    self._probe = self._executor.submit(int, time.monotonic_ns())
                except BrokenExecutor as error:
                    self._replace(error)
                except Exception as error:  # noqa: BLE001  any executor's own
                    self._give_up(error)

    def _refusal(self) -> str:
        """Return why the executor takes no tasks; empty if it does."""
        try:
            self._probe = _future(self._executor.submit(int, time.monotonic_ns()))
        except Exception as error:  # noqa: BLE001  any executor's own
            return _named(error)
        return ""


def _future(submitted: Any) -> Any:
    """Return what an executor's `submit` returned, if it can be used as a future."""
    if all(callable(getattr(submitted, name, None)) for name in _OF_FUTURES):
        return submitted
    raise TypeError(f"submit returned a {type(submitted).__name__}, not a future")


def _run(call: Callable[[], Any], _moment: int) -> Any:
    """Return what a call returns.

    Dask takes a second task with the same arguments for the first one, and would hand
    on the loss of that. So each has the moment of its submission as an argument.
    """
    return call()


def _named(error: BaseException) -> str:
    """Return an error's name and the first sentence of its message."""
    first = str(error).partition("\n")[0].partition(". ")[0]
    return f"{type(error).__name__}: {first}".removesuffix(": ").removesuffix(".")
