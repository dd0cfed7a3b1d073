"""What a worker of a cluster does with the tasks of a fit.

It runs each in a process beside itself, as many as it has tasks at once. The data that
tasks share arrive once per worker; its processes map them from one file. All of it ends
with the fit, with the worker, or when no task has come for minutes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoimb._execution.executors import WorkerDiedError
from autoimb._execution.shared_data import owned_folder, write_parts
from autoimb._execution.task_process import TaskProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoimb._execution.shared_data import Mapped

_CHECK_S = 0.2
"""Between two looks at time limits and memory."""
_IDLE_S = 300.0
"""After which a session without a task ends: its fit may have been killed."""
_MOST_MEMORY = 0.95
"""Share of a worker's memory limit that all its processes take at most."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it travels to a worker."""

    session: str
    """Name of the fit that it is of."""
    payload: bytes
    """Its pickled function and arguments."""
    keys: tuple[str, ...]
    """Of the shared data that it reads."""
    time_limit_s: float | None


class _Session:
    """Processes and shared data of one fit on this worker."""

    def __init__(self, memory_limit: float) -> None:
        self._memory_limit = memory_limit
        self._stack = contextlib.ExitStack()
        self._folder = self._stack.enter_context(owned_folder())
        self._files: dict[str, Mapped] = {}
        self._files_lock = threading.Lock()
        self._lock = threading.Lock()
        self._free: list[TaskProcess] = []
        self._busy: list[TaskProcess] = []
        self._last_task = time.monotonic()
        self._has_ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def run(self, task: Task, fetch: Callable[[str], Sequence[memoryview]]) -> bytes:
        """Run a task in a process that is free, or in a new one."""
        files = {key: self._file(key, fetch) for key in task.keys}
        with self._lock:
            process = self._free.pop() if self._free else TaskProcess(self._folder)
            self._busy.append(process)
        is_alive = False
        try:
            outcome = process.run(task.payload, files, task.time_limit_s)
            is_alive = True
        finally:
            with self._lock:
                self._busy.remove(process)
                self._last_task = time.monotonic()
                if is_alive and not self._has_ended.is_set():
                    self._free.append(process)
        return outcome

    def end(self) -> None:
        """End all processes at once and remove the files."""
        self._has_ended.set()
        with self._lock:
            for process in (*self._free, *self._busy):
                process.end()
        self._stack.close()

    def _file(self, key: str, fetch: Callable[[str], Sequence[memoryview]]) -> Mapped:
        """Return the file of shared data, fetched by the first task that reads it."""
        with self._files_lock:
            if key not in self._files:
                self._files[key] = write_parts(fetch(key), self._folder / key)
            return self._files[key]

    def _watch(self) -> None:
        """End what is late or takes too much memory, and all if there are no tasks."""
        while not self._has_ended.wait(_CHECK_S):
            now = time.monotonic()
            with self._lock:
                busy, idle_s = [*self._busy], now - self._last_task
            for process in busy:
                if now > process.late_at:
                    process.end(TimeoutError())
                elif process.has_died:
                    process.end()
            if not busy and idle_s > _IDLE_S:
                _forget(self)
                return
            self._limit_memory(busy)

    def _limit_memory(self, busy: list[TaskProcess]) -> None:
        """End the process that takes most memory if all take more than there is."""
        taken = {process: process.own_bytes for process in busy}
        if sum(taken.values()) > _MOST_MEMORY * self._memory_limit:
            largest = max(busy, key=taken.__getitem__)
            reason = (
                f"its process took {taken[largest] / 1e9:.1f} GB of the worker's "
                f"{self._memory_limit / 1e9:.1f} GB of memory"
            )
            largest.end(WorkerDiedError(reason))


_SESSIONS: dict[str, _Session] = {}
_LOCK = threading.Lock()


def run_task(
    task: Task,
    fetch: Callable[[str], Sequence[memoryview]],
    memory_limit: float = float("inf"),
) -> bytes:
    """Run a task on this worker and return its pickled outcome.

    Parameters
    ----------
    task : Task
        What to run.
    fetch : callable
        Returns the parts of shared data by their key.
    memory_limit : float, default=inf
        Bytes that this worker may take.

    Returns
    -------
    bytes
        The pickle of a pair: whether there is a result, and the result or the error.

    Raises
    ------
    WorkerLeavesError
        If this worker is about to end.
    """
    import cloudpickle

    with _LOCK:
        if task.session not in _SESSIONS:
            _SESSIONS[task.session] = _Session(memory_limit)
        session = _SESSIONS[task.session]
    try:
        return session.run(task, fetch)
    except (TimeoutError, WorkerDiedError, RuntimeError, OSError) as error:
        return bytes(cloudpickle.dumps((False, error)))


def end_session(name: str) -> None:
    """End what a fit left on this worker."""
    with _LOCK:
        session = _SESSIONS.pop(name, None)
    if session is not None:
        session.end()


def _forget(session: _Session) -> None:
    """End a session that no task has come to for long."""
    for name in [name for name, other in _SESSIONS.items() if other is session]:
        end_session(name)
