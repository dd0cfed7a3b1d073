"""A cluster as an executor, from the side of the process that runs the search.

The cluster places the tasks. What it lost is submitted again from here: a fold is only
"killed" by its own process dying, or after it lost its worker three times, the last two
without another suspect beside it.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
import time
from abc import abstractmethod
from collections import deque
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from autoimb._execution.cluster_worker import Task
from autoimb._execution.executors import (
    ExecutorClosedError,
    LimitedExecutor,
    WorkerDiedError,
)
from autoimb._execution.resources import UNLIMITED
from autoimb._execution.shared_data import pickled_parts
from autoimb._execution.task_process import ByKey
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHECK_S = 1.0
"""Between two looks at the cluster."""
PATIENCE_S = 60.0
"""How long a cluster may be without a worker, and a worker without the shared data."""
_MAX_LOSSES = 3
"""Times that a task may lose its worker before it is to blame for it."""
_TABLE_SHARE = 0.5
"""Of a worker's memory that the shared data may take."""


class SharedDataLostError(Exception):
    """The workers that held the shared data are gone: they are sent again."""


class Submitted(Future[Any]):
    """A task as the search sees it: it may be submitted more than once."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.inner: Any = None
        """Its future on the cluster, of the last time that it was submitted."""
        self.n_losses = 0


class Cluster(LimitedExecutor):
    """Workers on which another library runs the tasks.

    Subclasses say how. Only `watch_cluster` starts to look after the tasks, so that
    subclasses are complete by then.
    """

    losses: frozenset[str]
    """Names of errors that say that a worker was lost, or what it held."""
    suspicions: frozenset[str] = frozenset()
    """Those that do not say whether the task itself was to blame."""
    name: str
    """Of the library, for messages."""

    def __init__(self) -> None:
        self.session = f"autoimb-{uuid4().hex}"
        self.workers: dict[str, int] = {}
        """How many tasks each worker runs at once."""
        self.memory = UNLIMITED
        self._lock = threading.RLock()
        self._shared: dict[str, tuple[Sequence[Any], Any]] = {}
        """By key, the parts of shared data and the future by which they are kept."""
        self._under_way: dict[Submitted, None] = {}
        """The oldest first, since clusters run them in this order."""
        self._lost: list[tuple[Submitted, Exception]] = []
        self._suspects: deque[Submitted] = deque()
        """Tasks that may have ended their worker: one of them runs at a time."""
        self._tested: Submitted | None = None
        self._had_workers_at = time.monotonic()
        self._wake = threading.Event()
        self._has_ended = False

    # --- how the library does it

    @abstractmethod
    def state(self) -> str:
        """Return ``"running"``, ``"connecting"`` or ``"closed"``."""

    @abstractmethod
    def look(self) -> None:
        """Note which workers there are in `workers`, and their `memory`."""

    @abstractmethod
    def send_task(self, task: Task) -> Any:
        """Submit a task and return the library's future of its pickled outcome."""

    @abstractmethod
    def send_data(self, key: str, parts: Sequence[Any]) -> Any:
        """Send shared data to the workers, and return what keeps them there."""

    @abstractmethod
    def is_kept(self, kept: Any) -> bool:
        """Whether shared data are still on a worker."""

    @abstractmethod
    def forget_data(self, key: str) -> None:
        """Let go of shared data."""

    @abstractmethod
    def end_tasks(self, left: Sequence[Any]) -> None:
        """End the tasks that are left, and what the session keeps on the workers."""

    # --- what the search asks for

    @property
    def n_workers(self) -> int:  # type: ignore[override]
        """How many tasks the cluster runs at once, as workers come and go."""
        return max(1, sum(self.workers.values()))

    def submit_within(
        self,
        time_limit_s: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Submit a task, which is ended on its worker when it is late."""
        import cloudpickle

        keys = tuple(value.key for value in args if isinstance(value, ByKey))
        payload = cloudpickle.dumps((fn, args, kwargs))
        submitted = Submitted(Task(self.session, payload, keys, time_limit_s))
        with self._lock:
            self._under_way[submitted] = None
        self._start(submitted)
        return submitted

    @contextlib.contextmanager
    def share(self, value: Any) -> Iterator[ByKey]:
        """Yield a handle by which tasks read a value that is sent to each worker once.

        Raises
        ------
        BadInputError
            If no worker has the memory for it.
        """
        import numpy as np

        parts = [np.frombuffer(part, np.uint8) for part in pickled_parts(value)]
        n_bytes = sum(part.nbytes for part in parts)
        if n_bytes > _TABLE_SHARE * self.memory.largest:
            raise BadInputError(
                f"X is too large for the workers of the {self.name} cluster: it takes "
                f"{n_bytes / 1e9:.2f} GB, and tasks may take "
                f"{self.memory.largest / 1e9:.2f} GB of the largest worker's memory "
                "limit. Start workers with more memory, or pass fewer rows."
            )
        handle = ByKey(f"autoimb_table-{uuid4().hex}")
        self._shared[handle.key] = parts, self.send_data(handle.key, parts)
        try:
            yield handle
        finally:
            self._shared.pop(handle.key)
            with contextlib.suppress(Exception):  # the cluster may be gone
                self.forget_data(handle.key)

    def give_up(self, future: Future[Any]) -> bool:
        """Cancel a task that waits for a worker; return whether it will not run.

        The oldest are taken for those that run: they end by themselves.
        """
        with self._lock:
            running = list(self._under_way)[: self.n_workers]
            if future in running or not future.cancel():
                return False
            submitted = future if isinstance(future, Submitted) else None
            if submitted is None or submitted not in self._under_way:
                return True
            self._under_way.pop(submitted)
            inner, submitted.inner = submitted.inner, None
        if inner is not None:
            with contextlib.suppress(Exception):  # the cluster may be gone
                inner.cancel()
        return True

    def close(self) -> None:
        """End what is left of this fit on the workers; the cluster stays as it was."""
        self._has_ended = True
        self._wake.set()
        with self._lock:
            left = [task.inner for task in self._under_way if task.inner is not None]
            self._under_way.clear()
        # In a thread, as a worker that hangs would keep this one waiting.
        ending = threading.Thread(target=self._end_tasks, args=[left], daemon=True)
        ending.start()
        ending.join(CHECK_S * 5)

    def _end_tasks(self, left: Sequence[Any]) -> None:
        with contextlib.suppress(Exception):  # the cluster may be gone
            self.end_tasks(left)

    # --- tasks

    def _start(self, submitted: Submitted) -> None:
        """Submit a task to the cluster, for the first time or again."""
        if self.closed:
            self._settle(submitted, ExecutorClosedError(self.closed))
            return
        try:
            inner = self.send_task(submitted.task)
        except Exception as error:  # noqa: BLE001  a closed client raises many kinds
            if self.state() == "closed":
                self._give_up_all("its client was closed")
            else:
                self._settle(submitted, error)
            return
        with self._lock:
            if submitted not in self._under_way:
                return
            submitted.inner = inner
        inner.add_done_callback(partial(self._ended, submitted))

    def _ended(self, submitted: Submitted, inner: Any) -> None:
        """Hand on the outcome of a task, or submit it again if its worker is lost."""
        if inner is not submitted.inner:  # it was given up, or submitted again since
            return
        try:
            has_result, value = pickle.loads(inner.result())  # noqa: S301  from our own workers
        except BaseException as error:  # noqa: BLE001  the library's, or that of a task
            found = _as_exception(error)
            if _is_named(found, self.losses) or isinstance(found, CancelledError):
                with self._lock:
                    self._lost.append((submitted, found))
                self._wake.set()
            else:
                self._settle(submitted, found)
            return
        if has_result:
            self._settle(submitted, None, value)
        else:
            self._settle(submitted, value)

    def _settle(
        self, submitted: Submitted, error: Exception | None, result: Any = None
    ) -> None:
        """Set the outcome of a task, unless it has one."""
        with self._lock:
            self._under_way.pop(submitted, None)
            submitted.inner = None
            was_tested = submitted is self._tested
            if not submitted.done():
                if error is None:
                    submitted.set_result(result)
                else:
                    submitted.set_exception(error)
        if was_tested:
            self._test_next()

    def _submit_lost(self) -> None:
        """Submit tasks again that lost their worker, if it was not for the last time.

        One that was on several workers that died may be to blame, or one that ran
        beside it. Each of those then runs without the others.
        """
        with self._lock:
            lost, self._lost = self._lost, []
        for submitted, error in lost:
            submitted.n_losses += 1
            if submitted.n_losses >= _MAX_LOSSES:
                self._settle(submitted, _final(error))
            elif _is_named(error, self.suspicions) and submitted is not self._tested:
                self._suspects.append(submitted)
            else:
                self._start(submitted)
        if self._tested is None:
            self._test_next()

    def _test_next(self) -> None:
        """Submit the next task that may have ended its worker, if there is one."""
        with self._lock:
            self._tested = self._suspects.popleft() if self._suspects else None
            tested = self._tested
        if tested is not None:
            self._start(tested)

    def _give_up_all(self, reason: str) -> None:
        """Take no further tasks, and end all that are under way without a result."""
        with self._lock:
            self.closed = self.closed or reason
            left = list(self._under_way)
        for submitted in left:
            self._settle(submitted, ExecutorClosedError(self.closed))

    # --- the cluster

    @property
    def wished(self) -> str:
        """What tasks ask of a worker, for a message."""
        return ""

    def wait_for_workers(self, called: str, advice: str) -> None:
        """Raise `BadInputError` if there is no worker for a minute."""
        self._see()
        while not self.workers:
            if time.monotonic() - self._had_workers_at > PATIENCE_S:
                raise BadInputError(
                    f"executor={called} has had no worker{self.wished} for "
                    f"{PATIENCE_S:.0f} seconds: {advice}."
                )
            time.sleep(CHECK_S)
            self._see()

    def watch_cluster(self) -> None:
        """Follow the cluster from now on, in a thread."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Follow the cluster, and submit again what it lost."""
        while not self._has_ended:
            self._wake.wait(CHECK_S)
            self._wake.clear()
            if self._has_ended or self.closed:
                return
            state = self.state()
            if state == "closed":
                self._give_up_all("its client was closed")
                return
            if state == "running":
                with contextlib.suppress(OSError):  # the next look tells more
                    self._see()
                    self._send_lost_data()
                    self._submit_lost()
            if time.monotonic() - self._had_workers_at > PATIENCE_S:
                what = f"it had no worker{self.wished} for {PATIENCE_S:.0f} seconds"
                self._give_up_all(what)

    def _see(self) -> None:
        """Look at the cluster, and note when it had workers."""
        self.look()
        if self.workers:
            self._had_workers_at = time.monotonic()

    def _send_lost_data(self) -> None:
        """Send shared data again that were on workers which are gone."""
        for key, (parts, kept) in list(self._shared.items()):
            if self.workers and not self.is_kept(kept):
                self._shared[key] = parts, self.send_data(key, parts)


def _is_named(error: Exception, names: frozenset[str]) -> bool:
    """Whether an error is one of those, which other libraries define."""
    return bool(names & {cls.__name__ for cls in type(error).__mro__})


def _as_exception(error: BaseException) -> Exception:
    """Return an error of any kind, such as asyncio's, as one that futures hand on."""
    return error if isinstance(error, Exception) else CancelledError(str(error))


def _final(error: Exception) -> Exception:
    """Return the error of a task that was lost for the last time."""
    if isinstance(error, SharedDataLostError):
        return error
    return WorkerDiedError(f"its worker was lost {_MAX_LOSSES} times")
