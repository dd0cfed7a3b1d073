"""A Ray cluster as an executor.

Ray runs one task at a time in each of its processes: one that crashes ends no other,
and is told apart from one whose machine is gone.
The table is in Ray's store, from which the processes of a machine map it.
"""

from __future__ import annotations

import signal
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autoimb._execution.cluster import Cluster
from autoimb._execution.resources import FREE_SHARE, Memory
from autoimb._execution.task_process import run_in_this_process
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoimb._execution.cluster_worker import Task

_PREFIX = "ray://"


class RayCluster(Cluster):
    """The machines of a Ray cluster.

    Parameters
    ----------
    address : str or None, default=None
        Where to connect to, ``"ray://..."``; None is the cluster that Ray finds, or one
        on this machine. A connection that is there already is used, and stays.

    Raises
    ------
    BadInputError
        If Ray cannot connect.
    """

    name = "Ray"
    losses = frozenset(
        {"LocalRayletDiedError", "NodeDiedError", "ObjectLostError"}
        | {"OutOfMemoryError", "OwnerDiedError"}
    )

    def __init__(self, address: str | None = None) -> None:
        super().__init__()
        self._ray: Any = import_module("ray")
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            try:
                self._ray.init(address, include_dashboard=False, logging_level="error")
            except (ConnectionError, OSError, ValueError) as error:
                raise BadInputError(
                    f"executor={address or 'ray'!r}: no Ray cluster answers there "
                    f"({error}). Start one with `ray start --head`."
                ) from error
        self.wait_for_workers(repr(address or "ray"), "start machines with `ray start`")
        self.watch_cluster()

    def state(self) -> str:
        """Return whether Ray is connected."""
        return "running" if self._ray.is_initialized() else "closed"

    def look(self) -> None:
        """Note which machines there are, and what they offer."""
        offers = {
            node["NodeID"]: node["Resources"]
            for node in self._ray.nodes()
            if node["Alive"]
        }
        counts = {name: int(offer.get("CPU", 0)) for name, offer in offers.items()}
        self.workers = {name: count for name, count in counts.items() if count}
        memory = [offers[name].get("memory", float("inf")) for name in self.workers]
        if memory:
            largest, total = max(memory), sum(memory)
            self.memory = Memory(FREE_SHARE * largest, FREE_SHARE * total)

    def send_task(self, task: Task) -> Any:
        """Submit a task, which takes one processor."""
        kept = {key: self._shared[key][1] for key in task.keys}
        return _Sent(self._ray, self._remote.remote(task, kept))

    @cached_property
    def _remote(self) -> Any:
        """What Ray runs: never again by itself, as it cannot know what is to blame."""
        return self._ray.remote(num_cpus=1, max_retries=0)(_run_on_worker)

    def send_data(self, key: str, parts: Sequence[Any]) -> Any:
        """Put shared data into Ray's store, from which each machine fetches them."""
        return self._ray.put(tuple(parts))

    def is_kept(self, kept: Any) -> bool:
        """Whether shared data are there: this machine's store keeps them."""
        return True

    def forget_data(self, key: str) -> None:
        """Do nothing: Ray removes what no handle stands for."""

    def end_tasks(self, left: Sequence[Any]) -> None:
        """End the tasks that are left, in the middle of a fit as well."""
        try:
            for sent in left:
                sent.cancel()
        finally:
            if self._is_ours:
                self._ray.shutdown()


class _Sent:
    """A task of Ray's, with the methods of a future."""

    def __init__(self, ray: Any, ref: Any) -> None:
        self._ray, self._ref, self._future = ray, ref, ref.future()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back, with this object, once the task has ended."""
        self._future.add_done_callback(lambda _: callback(self))

    def result(self) -> Any:
        """Return the outcome of the task, or raise Ray's error."""
        return self._future.result()

    def cancel(self) -> None:
        """End the task, and its process if it runs."""
        self._ray.cancel(self._ref, force=True)


def _run_on_worker(task: Task, kept: Mapping[str, Any]) -> bytes:
    """Run a task in this process of Ray's."""
    ray: Any = import_module("ray")
    # Ray's own handler would end the process without an error.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def fetch(key: str) -> list[memoryview]:
        return [memoryview(part) for part in ray.get(kept[key])]

    return run_in_this_process(task.payload, task.keys, fetch, task.time_limit_s)


def ray_cluster(executor: Any) -> RayCluster | None:
    """Return the cluster of "ray" or "ray://..."; None for anything else.

    Raises
    ------
    BadInputError
        If Ray is not installed, or cannot connect.
    """
    if not isinstance(executor, str) or not (
        executor == "ray" or executor.startswith(_PREFIX)
    ):
        return None
    try:
        return RayCluster(executor if executor != "ray" else None)
    except ImportError as error:
        raise BadInputError(
            f"{executor=} needs Ray: pip install 'autoimb[ray]'."
        ) from error
