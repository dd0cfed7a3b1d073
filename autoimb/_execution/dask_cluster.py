"""A Dask cluster as an executor.

Dask runs tasks again whose worker it lost. Each runs in a process beside its worker
(see `cluster_worker`), so that one that crashes ends no worker, and no task but itself.
"""

from __future__ import annotations

import sys
from concurrent.futures import CancelledError
from importlib import import_module
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any

from autoimb._execution.cluster import PATIENCE_S, Cluster, SharedDataLostError
from autoimb._execution.cluster_worker import Task, end_session, run_task
from autoimb._execution.resources import FREE_SHARE, Memory
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PREFIX = "dask:"


class DaskCluster(Cluster):
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

    name = "Dask"
    losses = frozenset({"KilledWorker", "SharedDataLostError", "WorkerLeavesError"})
    suspicions = frozenset({"KilledWorker"})

    def __init__(
        self, client: Any, options: Mapping[str, Any], *, is_ours: bool = False
    ) -> None:
        super().__init__()
        self._client, self._options, self._is_ours = client, options, is_ours
        self._resources: Mapping[str, float] = options.get("resources") or {}
        self._numbers = count()
        self._seen: set[str] = set()
        self._check_client()
        # An adaptive cluster starts workers for tasks only.
        wanted = client.submit(_nothing, pure=False)
        self.wait_for_workers(
            repr(client),
            "start workers, and wait for them with client.wait_for_workers(1)",
        )
        del wanted
        self.watch_cluster()

    def _check_client(self) -> None:
        """Raise `BadInputError` unless the client can be used."""
        if self._client.asynchronous:
            raise BadInputError(
                f"executor={self._client!r} is asynchronous, and fit waits for its "
                "tasks: pass a Client that was made without asynchronous=True."
            )
        if (status := self._client.status) != "running":
            raise BadInputError(
                f"executor={self._client!r} takes no tasks (its client is {status}): "
                "pass one that is open, or None for worker processes of this fit's own."
            )

    def state(self) -> str:
        """Return whether the client is running, connecting or closed."""
        status = self._client.status
        return status if status in {"running", "connecting"} else "closed"

    def look(self) -> None:
        """Note which workers there are, and what they offer, if it has changed."""
        addresses = set(self._client.nthreads())
        if addresses == self._seen:
            return
        found = self._client.scheduler_info(n_workers=-1)["workers"]
        fitting = {a: w for a, w in found.items() if self._fits(a, w)}
        slots = {a: _slots(w, self._resources) for a, w in fitting.items()}
        self.workers = {a: n for a, n in slots.items() if n}
        limits = [fitting[a]["memory_limit"] or inf for a in self.workers]
        largest, total = max(limits, default=inf), sum(limits, start=0.0) or inf
        self.memory = Memory(FREE_SHARE * largest, FREE_SHARE * total)
        self._seen = set(found)

    def send_task(self, task: Task) -> Any:
        """Submit a task."""
        name = f"autoimb_fold-{self.session[8:]}{next(self._numbers):08x}"
        options = {**self._options, "key": name, "pure": False}
        return self._client.submit(_run_on_worker, task, **options)

    def send_data(self, key: str, parts: Sequence[Any]) -> Any:
        """Send shared data to all workers, and return the future that keeps them."""
        sent = self._client.scatter({key: tuple(parts)}, broadcast=True, hash=False)
        # A worker that comes later finds the data by this name.
        _distributed().Variable(key, self._client).set(sent[key])
        return sent[key]

    def is_kept(self, kept: Any) -> bool:
        """Whether a worker still holds what a future stands for."""
        return bool(kept.status == "finished")

    def forget_data(self, key: str) -> None:
        """Remove the name of shared data; Dask removes what no future stands for."""
        _distributed().Variable(key, self._client).delete()

    def end_tasks(self, left: Sequence[Any]) -> None:
        """Cancel tasks, and end the processes on the workers."""
        try:
            self._client.cancel(left, force=True)
            self._client.run(end_session, self.session, on_error="ignore")
        finally:
            if self._is_ours:
                self._client.close()

    @property
    def wished(self) -> str:
        """What tasks ask of a worker, for a message."""
        wishes = {k: v for k in ("resources", "workers") if (v := self._options.get(k))}
        return "".join(f" with {name}={wish!r}" for name, wish in wishes.items())

    def _fits(self, address: str, worker: Mapping[str, Any]) -> bool:
        """Whether tasks may run on a worker: by its address, host or name."""
        wanted = self._options.get("workers")
        if not wanted or self._options.get("allow_other_workers"):
            return True
        names = {wanted} if isinstance(wanted, str) else set(wanted)
        return bool(names & {address, worker.get("name"), worker.get("host")})


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
        parts = kept.get(timeout=PATIENCE_S).result(timeout=PATIENCE_S)
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
