"""A Dask cluster, from the side of the process that runs the search.

Dask places the tasks, and runs those again whose worker it lost. What it gives up or
forgets is submitted anew from here: a fold is only "killed" by its own process dying
(see `cluster_worker`), or after it lost its worker three times, the last two without
another suspect beside it.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from functools import partial
from importlib import import_module
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from autoimb._execution.cluster_worker import Task, end_session, run_task
from autoimb._execution.executors import (
    ExecutorClosedError,
    LimitedExecutor,
    WorkerDiedError,
)
from autoimb._execution.resources import FREE_SHARE, UNLIMITED, Memory
from autoimb._execution.shared_data import pickled_parts
from autoimb._execution.task_process import ByKey
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_CHECK_S = 1.0
"""Between two looks at the cluster."""
_PATIENCE_S = 60.0
"""How long a cluster may be without a worker, and a worker without the shared data."""
_MAX_LOSSES = 3
"""Times that a task may lose its worker before it is to blame for it."""
_TABLE_SHARE = 0.5
"""Of a worker's memory that the shared data may take."""
_PREFIX = "dask:"


class SharedDataLostError(Exception):
    """The workers that held the shared data are gone: they are sent again."""


class _Submitted(Future[Any]):
    """A task as the search sees it: it may be submitted more than once."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.inner: Any = None
        """Its future of Dask's, of the last time that it was submitted."""
        self.n_losses = 0


class DaskCluster(LimitedExecutor):
    """The workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        The user's connection to the cluster.
    options : mapping
        Of each task: ``workers``, ``resources`` and others of ``Client.submit``.
    is_ours : bool, default=False
        Whether the client is closed at the end.

    Raises
    ------
    BadInputError
        If the client is closed or cannot be used, or there is no worker for a minute.
    """

    def __init__(
        self, client: Any, options: Mapping[str, Any], *, is_ours: bool = False
    ) -> None:
        self._client, self._options, self._is_ours = client, options, is_ours
        self._session = f"autoimb-{uuid4().hex}"
        self._lock = threading.RLock()
        self._numbers = count()
        self._shared: dict[str, tuple[Any, Any]] = {}
        """By key, the parts of shared data and the future by which Dask keeps them."""
        self._under_way: dict[_Submitted, None] = {}
        """The oldest first, since Dask runs them in this order."""
        self._lost: list[tuple[_Submitted, Exception]] = []
        self._suspects: deque[_Submitted] = deque()
        """Tasks that may have ended their worker: one of them runs at a time."""
        self._tested: _Submitted | None = None
        self._workers: dict[str, int] = {}
        self.memory = UNLIMITED
        self._had_workers_at = time.monotonic()
        self._wake = threading.Event()
        self._has_ended = False
        self._check_client()
        threading.Thread(target=self._watch, daemon=True).start()

    # --- what the search asks for

    @property
    def n_workers(self) -> int:  # type: ignore[override]
        """How many threads the cluster has, as workers come and go."""
        return max(1, sum(self._workers.values()))

    def submit_within(
        self,
        time_limit_s: float | None,
        fn: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Submit a task, whose process on its worker is ended when it is late."""
        import cloudpickle

        keys = tuple(value.key for value in args if isinstance(value, ByKey))
        payload = cloudpickle.dumps((fn, args, kwargs))
        submitted = _Submitted(Task(self._session, payload, keys, time_limit_s))
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
                f"X is too large for the workers of the Dask cluster: it takes "
                f"{n_bytes / 1e9:.2f} GB, and tasks may take "
                f"{self.memory.largest / 1e9:.2f} GB of the largest worker's "
                "memory_limit. Start workers with more memory, or pass fewer rows."
            )
        handle = ByKey(f"autoimb_table-{uuid4().hex}")
        self._send(handle.key, parts)
        try:
            yield handle
        finally:
            self._shared.pop(handle.key)
            with contextlib.suppress(Exception):  # the client may be closed
                _distributed().Variable(handle.key, self._client).delete()

    def give_up(self, future: Future[Any]) -> bool:
        """Cancel a task that waits for a worker; return whether it will not run.

        Nothing ends a task of Dask's that runs, and the oldest do.
        """
        with self._lock:
            running = list(self._under_way)[: self.n_workers]
            if future in running or not future.cancel():
                return False
            submitted = future if isinstance(future, _Submitted) else None
            if submitted is None or submitted not in self._under_way:
                return True
            self._under_way.pop(submitted)
            inner, submitted.inner = submitted.inner, None
        if inner is not None:
            with contextlib.suppress(Exception):  # the client may be closed
                inner.cancel()
        return True

    def close(self) -> None:
        """End what is left of this fit on the workers; the cluster stays as it was."""
        self._has_ended = True
        self._wake.set()
        with self._lock:
            left = [task.inner for task in self._under_way if task.inner is not None]
            self._under_way.clear()
        with contextlib.suppress(Exception):  # the client may be closed
            self._client.cancel(left, force=True)
        # In a thread, as a worker that hangs would keep this one waiting.
        ending = threading.Thread(target=self._end_sessions, daemon=True)
        ending.start()
        ending.join(_CHECK_S * 5)
        if self._is_ours:
            self._client.close()

    def _end_sessions(self) -> None:
        with contextlib.suppress(Exception):
            self._client.run(end_session, self._session, on_error="ignore")

    # --- tasks

    def _start(self, submitted: _Submitted) -> None:
        """Submit a task to Dask, for the first time or again."""
        if self.closed:
            self._settle(submitted, ExecutorClosedError(self.closed))
            return
        name = f"autoimb_fold-{self._session[8:]}{next(self._numbers):08x}"
        try:
            inner = self._client.submit(
                _run_on_worker,
                submitted.task,
                **{**self._options, "key": name, "pure": False},
            )
        except Exception as error:  # noqa: BLE001  a closed client raises many kinds
            if self._client.status == "closed":
                self._give_up("its client was closed")
            else:
                self._settle(submitted, error)
            return
        with self._lock:
            if submitted not in self._under_way:
                return
            submitted.inner = inner
        inner.add_done_callback(partial(self._ended, submitted))

    def _ended(self, submitted: _Submitted, inner: Any) -> None:
        """Hand on the outcome of a task, or submit it again if its worker is lost."""
        if inner is not submitted.inner:  # it was given up, or submitted again since
            return
        try:
            has_result, value = pickle.loads(inner.result())  # noqa: S301  from our own workers
        except BaseException as error:  # noqa: BLE001  Dask's own, or that of a task
            if type(error).__name__ in _LOST or isinstance(error, CancelledError):
                with self._lock:
                    self._lost.append((submitted, _as_exception(error)))
                self._wake.set()
            else:
                self._settle(submitted, _as_exception(error))
            return
        if has_result:
            self._settle(submitted, None, value)
        else:
            self._settle(submitted, value)

    def _settle(
        self, submitted: _Submitted, error: Exception | None, result: Any = None
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

        A task that Dask gave up was on several workers that died: it may be to blame,
        or one that ran beside it. Each of those then runs without the others.
        """
        with self._lock:
            lost, self._lost = self._lost, []
        for submitted, error in lost:
            submitted.n_losses += 1
            is_suspect = type(error).__name__ == "KilledWorker"
            if submitted.n_losses >= _MAX_LOSSES:
                self._settle(submitted, _final(error))
            elif submitted is self._tested:
                self._start(submitted)
            elif is_suspect:
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

    def _give_up(self, reason: str) -> None:
        """Take no further tasks, and end all that are under way without a result."""
        with self._lock:
            self.closed = self.closed or reason
            left = list(self._under_way)
        for submitted in left:
            self._settle(submitted, ExecutorClosedError(self.closed))

    # --- the cluster

    def _check_client(self) -> None:
        """Raise `BadInputError` unless the client leads to a worker within a minute."""
        client = self._client
        if client.asynchronous:
            raise BadInputError(
                f"executor={client!r} is asynchronous, and fit waits for its tasks: "
                "pass a Client that was made without asynchronous=True."
            )
        if client.status != "running":
            raise BadInputError(
                f"executor={client!r} takes no tasks (its client is {client.status}): "
                "pass one that is open, or None for worker processes of this fit's own."
            )
        self._look()
        # An adaptive cluster starts workers for tasks only.
        wanted = None if self._workers else client.submit(_nothing, pure=False)
        while not self._workers:
            if time.monotonic() - self._had_workers_at > _PATIENCE_S:
                raise BadInputError(
                    f"executor={client!r} has had no worker{self._wished()} for "
                    f"{_PATIENCE_S:.0f} seconds: start workers, and wait for them with "
                    "client.wait_for_workers(1)."
                )
            time.sleep(min(_CHECK_S, _PATIENCE_S))
            self._look()
        del wanted

    def _watch(self) -> None:
        """Follow the cluster, and submit again what it lost."""
        while not self._has_ended:
            self._wake.wait(_CHECK_S)
            self._wake.clear()
            if self._has_ended or self.closed:
                return
            status = self._client.status
            if status not in {"running", "connecting"}:
                self._give_up("its client was closed")
                return
            if status == "running":
                with contextlib.suppress(OSError):  # the next look tells more
                    self._look()
                    self._send_lost()
                    self._submit_lost()
            if time.monotonic() - self._had_workers_at > _PATIENCE_S:
                wished = self._wished()
                self._give_up(f"it had no worker{wished} for {_PATIENCE_S:.0f} seconds")

    def _look(self) -> None:
        """Note which workers there are, and what they offer."""
        n_threads = dict(self._client.nthreads())
        if n_threads.keys() != self._workers.keys():
            found = self._client.scheduler_info(n_workers=-1)["workers"]
            fitting = {a: w for a, w in found.items() if self._fits(a, w)}
            slots = {a: _slots(w, self._resources) for a, w in fitting.items()}
            self._workers = {a: n for a, n in slots.items() if n}
            limits = [fitting[a]["memory_limit"] or inf for a in self._workers]
            largest, total = max(limits, default=inf), sum(limits, start=0.0) or inf
            self.memory = Memory(FREE_SHARE * largest, FREE_SHARE * total)
        if self._workers:
            self._had_workers_at = time.monotonic()

    @property
    def _resources(self) -> Mapping[str, float]:
        return self._options.get("resources") or {}

    def _wished(self) -> str:
        """Return what tasks ask of a worker, for a message."""
        wishes = {k: v for k in ("resources", "workers") if (v := self._options.get(k))}
        return "".join(f" with {name}={wish!r}" for name, wish in wishes.items())

    def _fits(self, address: str, worker: Mapping[str, Any]) -> bool:
        """Whether tasks may run on a worker: by its address, host or name."""
        wanted = self._options.get("workers")
        if not wanted or self._options.get("allow_other_workers"):
            return True
        names = {wanted} if isinstance(wanted, str) else set(wanted)
        return bool(names & {address, worker.get("name"), worker.get("host")})

    def _send(self, key: str, parts: Sequence[Any]) -> None:
        """Send shared data to all workers, and keep them there."""
        sent = self._client.scatter({key: tuple(parts)}, broadcast=True, hash=False)
        # A worker that comes later finds the data by this name.
        _distributed().Variable(key, self._client).set(sent[key])
        self._shared[key] = parts, sent[key]

    def _send_lost(self) -> None:
        """Send shared data again that were on workers which are gone."""
        for key, (parts, future) in list(self._shared.items()):
            if self._workers and future.status != "finished":
                self._send(key, parts)


_LOST = {"KilledWorker", "SharedDataLostError", "WorkerLeavesError"}
"""Names of errors of tasks that are to be submitted again."""


def _as_exception(error: BaseException) -> Exception:
    """Return an error of any kind, such as asyncio's, as one that futures hand on."""
    return error if isinstance(error, Exception) else CancelledError(str(error))


def _final(error: Exception) -> Exception:
    """Return the error of a task that was lost for the last time."""
    if isinstance(error, SharedDataLostError):
        return error
    return WorkerDiedError(f"its worker was lost {_MAX_LOSSES} times")


def _slots(worker: Mapping[str, Any], resources: Mapping[str, float]) -> int:
    """Return how many tasks a worker runs at once, given what each of them needs."""
    offered = worker.get("resources") or {}
    by_resource = [
        int(offered.get(name, 0.0) // need) for name, need in resources.items() if need
    ]
    return min([int(worker["nthreads"]), *by_resource])


def _distributed() -> Any:
    """Return Dask's package, which is only there where a cluster is used."""
    return import_module("distributed")


# --- on the workers


def _nothing() -> None:
    """Do nothing: what asks an adaptive cluster for a worker."""


def _run_on_worker(task: Task) -> bytes:
    """Run a task on the worker of Dask that this thread belongs to."""
    worker = _distributed().get_worker()
    return run_task(task, _fetch, worker.memory_manager.memory_limit or inf)


def _fetch(key: str) -> list[memoryview]:
    """Return the parts of shared data, from whichever worker holds them."""
    distributed = _distributed()
    try:
        kept = distributed.Variable(key, distributed.get_client())
        parts = kept.get(timeout=_PATIENCE_S).result(timeout=_PATIENCE_S)
    except (CancelledError, OSError) as error:
        raise SharedDataLostError(str(error)) from error
    return [memoryview(part) for part in parts]


# --- what users pass


def dask_cluster(executor: Any) -> DaskCluster | None:
    """Return the cluster of what the user passed; None if that is not of Dask.

    It is a client, what its ``get_executor()`` returns, or "dask:" and the address of a
    scheduler or the path of its file.

    Raises
    ------
    BadInputError
        If no scheduler answers, or it has no workers.
    """
    if isinstance(executor, str) and executor.startswith(_PREFIX):
        return _connected(executor)
    distributed: Any = sys.modules.get("distributed")
    if distributed is None:  # then no object is of it
        return None
    if isinstance(executor, distributed.Client):
        return DaskCluster(executor, {})
    if isinstance(executor, distributed.cfexecutor.ClientExecutor):
        if executor._shutdown:
            raise BadInputError(
                f"{executor=} takes no tasks (it was shut down): pass one that is open."
            )
        return DaskCluster(executor._client, executor._kwargs)
    return None


def _connected(text: str) -> DaskCluster:
    """Return the cluster that "dask:" and an address or a path stand for."""
    try:
        distributed = _distributed()
    except ImportError as error:
        raise BadInputError(
            f"executor={text!r} needs Dask: pip install 'autoimb[dask]'."
        ) from error
    address = text.removeprefix(_PREFIX)
    where = {"address": address} if "://" in address else {"scheduler_file": address}
    try:
        client = distributed.Client(**where, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"executor={text!r}: no Dask scheduler answers there ({error}). Start one "
            "with `dask scheduler`, and pass the address that it prints."
        ) from error
    try:
        return DaskCluster(client, {}, is_ours=True)
    except BaseException:
        client.close()
        raise
