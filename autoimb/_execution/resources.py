"""What this machine offers: processors, memory, disk space, a graphics card."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autoimb._execution.deadline import can_interrupt
from autoimb.exceptions import BadInputError, is_whole, unknown_name_error

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT_BUDGET_S = 8.0
"""Time budgets below this run in one process.

To start a worker takes 2 s of a processor, which all of them pay at once and this
process cannot use meanwhile. From this budget on that is a quarter of the time at most
on an idle machine; on a busy one this process evaluates until a worker is ready.
"""
_LARGE_TABLE_CELLS = 10_000_000
"""From this size on, fits with all threads, one after the other, end sooner than fits
with one thread each, side by side."""
_MOST_JOBS = 4096
"""More worker processes end the machine, not the work."""
FREE_SHARE = 0.8
"""Of the memory that is free, what tasks may take."""
_DEVICES = ("auto", "cpu", "cuda")
_IN_MEMORY = {"ramfs", "tmpfs"}
"""File systems whose files take memory."""
_CGROUP = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
"""Lines of number, controllers and path of the control groups of this process."""


class MemoryFiles(NamedTuple):
    """Names of a control group's files and of the part that can be given back."""

    limit: str
    used: str
    cached: str


_BY_VERSION = {
    1: MemoryFiles(
        "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    ),
    2: MemoryFiles("memory.max", "memory.current", "inactive_file"),
}


class Memory(NamedTuple):
    """Bytes that tasks may take."""

    largest: float
    """One of them."""
    total: float
    """All that run at once."""


UNLIMITED = Memory(float("inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Layout:
    """How many fits run at once, with how many threads each, and where."""

    n_workers: int
    n_threads: int = 1
    in_process: bool = False
    """Whether fits run in this process instead of worker processes."""


def choose_layout(n_jobs: int, n_cells: int, time_budget_s: float | None) -> Layout:
    """Return the layout for a table with so many cells and a time budget.

    A large table has one worker with all threads: within a time budget its fits are
    few, and the last of several side by side would run alone for long. Without a time
    budget every fit has one thread, since rounding errors, and so the results, depend
    on how many threads share a sum.
    """
    if time_budget_s is not None and time_budget_s < SHORT_BUDGET_S:
        return Layout(1, in_process=True)
    if n_jobs == 1:
        # Where no timer can interrupt a fit, ending its process is the only way.
        in_process = time_budget_s is None or can_interrupt()
        return Layout(1, in_process=in_process or not _may_start_processes())
    is_large = time_budget_s is not None and n_cells >= _LARGE_TABLE_CELLS
    return Layout(1, n_jobs) if is_large else Layout(n_jobs)


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Return how many workers to use.

    None means what ``joblib.parallel_config(n_jobs=...)`` says, else every CPU that
    this process may use (affinity and cgroup), or one inside another pool's worker; -1
    is every CPU, -2 all but one. A daemon process, such as a worker of
    `multiprocessing.Pool`, may start no others: there it is one.
    """
    import loky
    from joblib.parallel import get_active_backend

    is_known = is_whole(n_jobs) and n_jobs != 0 and n_jobs <= _MOST_JOBS
    if n_jobs is not None and not is_known:
        raise BadInputError(
            f"{n_jobs=} is no number of worker processes: use None, 1 to "
            f"{_MOST_JOBS:,}, or -1 for every CPU."
        )
    if not _may_start_processes():
        return 1
    if n_jobs is None:
        backend, n_configured = get_active_backend()
        n_jobs = None if backend.nesting_level else n_configured
    if n_jobs is None:
        return 1 if multiprocessing.parent_process() else int(loky.cpu_count())
    return n_jobs if n_jobs > 0 else max(1, int(loky.cpu_count()) + 1 + n_jobs)


def _may_start_processes() -> bool:
    """Whether this process may have children, as joblib asks."""
    return not multiprocessing.current_process().daemon


def resolve_device(device: str) -> str:
    """Return ``"cpu"`` or ``"cuda"``; ``"auto"`` means ``"cuda"`` if there is one."""
    if device not in _DEVICES:
        raise unknown_name_error(f"{device=}", str(device), _DEVICES)
    if device != "auto":
        return device
    # Importing torch takes seconds, so it is imported only where a card may be.
    if os.name == "posix" and not any(Path("/dev").glob("nvidia[0-9]*")):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def free_memory() -> float:
    """Return the bytes that this process and its workers can still take."""
    import psutil

    available = float(psutil.virtual_memory().available)
    return min([available, *(_free_in(*group) for group in _memory_groups())])


def check_memory(needed_bytes: float) -> None:
    """Raise `BadInputError` if a table of this size cannot be copied in memory."""
    free = free_memory()
    if needed_bytes > free:
        raise BadInputError(
            f"X is too large for this machine: a copy of it, as numbers of 8 bytes, "
            f"takes {_gigabytes(needed_bytes)} of memory, and {_gigabytes(free)} are "
            "free. Pass fewer rows or columns, or give this process more memory."
        )


def check_disk(needed_bytes: float, folder: Path) -> None:
    """Raise `BadInputError` if there is no room for a table's file in a folder."""
    free = float(shutil.disk_usage(folder).free)
    if _is_in_memory(folder):
        free = min(free, free_memory())
    if needed_bytes > free:
        raise BadInputError(
            f"X is too large for the folder of temporary files: worker processes read "
            f"it from a file of {_gigabytes(needed_bytes)} in {folder}, where "
            f"{_gigabytes(free)} are free. Set TMPDIR to a folder with more room, "
            "pass fewer rows, or use n_jobs=1, which needs no file."
        )


def _is_in_memory(folder: Path) -> bool:
    """Whether files in a folder take memory instead of a disk's space."""
    import psutil

    kinds = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    path = folder.resolve()
    mount = next((parent for parent in (path, *path.parents) if parent in kinds), None)
    return mount is not None and kinds[mount] in _IN_MEMORY


def _gigabytes(n_bytes: float) -> str:
    """Return a number of bytes in words."""
    return f"{max(0.0, n_bytes) / 1e9:,.2f} GB"


def _memory_groups() -> Iterator[tuple[Path, MemoryFiles]]:
    """Yield the folder of each control group that limits the memory of this process.

    Groups are nested, and the limit of each holds for all groups inside it. A container
    may see its own group as the root, under another path than the system does.
    """
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        version = 2 if number == "0" else 1
        if version == 1 and "memory" not in controllers.split(","):
            continue
        mount = _CGROUP if version == 2 else _CGROUP / "memory"
        own = mount / path.lstrip("/")
        for folder in (own, *own.parents):
            yield folder, _BY_VERSION[version]
            if folder == mount:
                break


def _free_in(folder: Path, files: MemoryFiles) -> float:
    """Return the bytes left to a control group, infinite without a limit."""
    try:
        limit = float((folder / files.limit).read_text(encoding="ascii"))
        used = float((folder / files.used).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no control group, or no limit: "max"
        return float("inf")
    stat = folder / "memory.stat"
    lines = stat.read_text(encoding="ascii").splitlines() if stat.is_file() else []
    sizes = dict(line.split(maxsplit=1) for line in lines)
    # Cached pages of files count as used, but the system frees them on demand.
    return limit - used + float(sizes.get(files.cached, 0.0))
