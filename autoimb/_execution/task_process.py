"""A process in which a worker of a cluster runs one task after the other.

A cluster's worker runs tasks in threads, which nothing can end. A process of its own
can be ended when its task is late or takes too much memory, and one that dies is
known to have died of its own task. It is started by its command line:
`multiprocessing` refuses to start processes in workers that are daemons, as Dask's are.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from autoimb._execution.deadline import interrupt_after
from autoimb._execution.executors import (
    WorkerDiedError,
    exit_as_error,
    prepare_worker,
    warm_up,
)
from autoimb._execution.process_settings import limited_threads
from autoimb._execution.shared_data import Inline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoimb._execution.shared_data import Mapped, SharedData

_START = (
    "import sys; sys.path[:] = {path!r}; "
    "from autoimb._execution.task_process import serve; serve({parent}, {folder!r})"
)
_LENGTH = struct.Struct("!Q")  # of the message that follows it
_FILES: dict[str, SharedData] = {}
"""In such a process: by its key, the file of what the tasks of a fit share."""


class WorkerLeavesError(Exception):
    """The worker was asked to end: its task is to run on another one."""


class ByKey:
    """Handle of shared data that the worker of a task has brought to its machine.

    Parameters
    ----------
    key : str
        The name that the data have in the whole cluster.
    """

    def __init__(self, key: str) -> None:
        self.key = key

    def get(self) -> Any:
        """Return the value; arrays are read-only views of a file, and no copies."""
        return _FILES[self.key].get()


class TaskProcess:
    """One process, from the side of the worker that started it.

    Parameters
    ----------
    folder : Path
        The worker's folder of files: the process removes it if the worker dies.
    """

    def __init__(self, folder: Path) -> None:
        code = _START.format(path=sys.path, parent=os.getpid(), folder=str(folder))
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a group with the processes that its tasks start
        )
        self._stdin = cast("BinaryIO", self._process.stdin)
        self._stdout = cast("BinaryIO", self._process.stdout)
        self.late_at = float("inf")
        """When its task is late, on the monotonic clock."""
        self._why: Exception | None = None
        """Why it was ended from here."""

    def run(
        self,
        payload: bytes,
        files: Mapping[str, Mapped],
        time_limit_s: float | None,
    ) -> bytes:
        """Run a task and return its pickled outcome.

        Raises
        ------
        WorkerDiedError
            If the process died.
        WorkerLeavesError
            If it was asked to end, as workers are by the systems that started them.
        TimeoutError, WorkerDiedError
            If `end` was called with it.
        RuntimeError
            If the process could not start.
        """
        if _receive(self._stdout) is None:
            self._raise_end(RuntimeError("a process of the worker could not start"))
        self.late_at = time.monotonic() + (
            float("inf") if time_limit_s is None else time_limit_s
        )
        outcome = None
        with contextlib.suppress(OSError):  # it died before it could read
            _send(self._stdin, pickle.dumps((payload, dict(files))))
            outcome = _receive(self._stdout)
        self.late_at = float("inf")
        if outcome is None:
            self._raise_end(WorkerDiedError())
        return outcome

    def _raise_end(self, error: Exception) -> NoReturn:
        """Raise why the process ended: the error, unless more is known."""
        self.end()
        if self._why is None and -self._process.returncode == signal.SIGTERM:
            raise WorkerLeavesError
        raise self._why or error

    @property
    def has_died(self) -> bool:
        """Whether it has ended, by itself or from outside."""
        return self._process.poll() is not None

    @property
    def own_bytes(self) -> int:
        """The memory that it takes beside files that it shares with others."""
        import psutil

        try:
            memory = psutil.Process(self._process.pid).memory_info()
        except psutil.Error:  # it has ended
            return 0
        return int(memory.rss - getattr(memory, "shared", 0))

    def end(self, why: Exception | None = None) -> None:
        """End it at once; `run` raises the error that is given."""
        self._why = self._why or why
        if hasattr(os, "killpg"):
            # Another process of its group would keep its output open.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._stdin.close()
            self._stdout.close()


def serve(parent: int, folder: str) -> None:
    """Run the tasks that arrive at the standard input until it is closed.

    What tasks print goes to the standard error, which the worker's log holds.
    """
    stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    prepare_worker(1, parent, Path(folder))
    warm_up()
    while True:
        _send(stdout, b"ready")
        message = _receive(stdin)
        if message is None:
            return
        payload, files = pickle.loads(message)  # noqa: S301  from our own parent
        _FILES.update(files)
        _send(stdout, _outcome(payload))


def run_in_this_process(
    payload: bytes,
    keys: Sequence[str],
    fetch: Callable[[str], Sequence[memoryview]],
    time_limit_s: float | None,
) -> bytes:
    """Run a task in a process that runs one at a time; return its pickled outcome.

    Shared data are kept until a task reads others.
    """
    for key in keys:
        if key not in _FILES:
            payload_of, *buffers = fetch(key)
            _FILES.clear()
            _FILES[key] = Inline(pickle.loads(payload_of, buffers=buffers))  # noqa: S301  from the user's fit
    with limited_threads(1):
        return _outcome(payload, time_limit_s)


def _outcome(payload: bytes, time_limit_s: float | None = None) -> bytes:
    """Run a task; return its pickled result or its error, and which of them it is."""
    import cloudpickle

    try:
        with exit_as_error(), interrupt_after(time_limit_s):
            fn, args, kwargs = pickle.loads(payload)  # noqa: S301  from the user's fit
            return bytes(cloudpickle.dumps((True, fn(*args, **kwargs))))
    except Exception as error:  # noqa: BLE001  the future of the task holds it
        found = error
    try:
        return bytes(cloudpickle.dumps((False, found)))
    except Exception:  # noqa: BLE001  an error that no pickle can hold
        named = RuntimeError(f"{type(found).__name__}: {found}")
        return bytes(cloudpickle.dumps((False, named)))


def _send(stream: BinaryIO, message: bytes) -> None:
    """Write a message and its length."""
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def _receive(stream: BinaryIO) -> bytes | None:
    """Return the next message; None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = stream.read(length)
    return message if len(message) == length else None
