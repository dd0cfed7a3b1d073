"""What this machine has: processors, memory, a graphics card."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

from autoimb._clock import can_interrupt
from autoimb.exceptions import BadInputError

SHORT_SECONDS = 8.0
"""Below this, starting worker processes would eat the budget."""
_MANY_CELLS = 10_000_000
"""From so many numbers on, one fit with all threads ends sooner than many beside."""
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Layout:
    """How many fits run at once, with how many threads each, and where."""

    n_workers: int
    n_threads: int = 1
    in_process: bool = False

    @classmethod
    def fitting(cls, n_jobs: int, n_cells: int) -> Layout:
        """Return one worker with all threads for a large table, else one thread each.

        Large fits are few: side by side, the last of them would run alone for long.
        """
        if n_jobs == 1:
            return cls(1, in_process=True)
        return cls(n_jobs) if n_cells < _MANY_CELLS else cls(1, n_jobs)

    @classmethod
    def suiting(cls, n_jobs: int, n_cells: int, seconds: float | None) -> Layout:
        """Return the layout for a table and a time budget.

        Without one, what comes out must not depend on how many threads share a sum, so
        each fit has one thread.
        """
        if seconds is None:
            return cls.fitting(n_jobs, 0)
        if seconds < SHORT_SECONDS:
            return cls(1, in_process=True)
        if n_jobs == 1 and not can_interrupt():
            return cls(1)  # what hangs can be ended in a process of its own only
        return cls.fitting(n_jobs, n_cells)


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


def free_memory() -> float:
    """Return the bytes that this process and its workers can still take."""
    import psutil

    available = float(psutil.virtual_memory().available)
    return min(available, _free_in_group())


def _free_in_group() -> float:
    """Return the bytes left to this control group, infinite without a limit."""
    limit, used = (
        _number_in(_CGROUP / f"memory.{name}") for name in ("max", "current")
    )
    # Pages of files count as used, and are given back on demand.
    return float("inf") if limit is None or used is None else limit - used + _cached()


def _cached() -> float:
    """Return the bytes of files that the control group keeps until they are needed."""
    try:
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    stats = dict(line.split(maxsplit=1) for line in lines)
    return float(stats.get("inactive_file", 0.0))


def _number_in(path: Path) -> float | None:
    """Return the number that a file of the system holds, None if it holds none."""
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
