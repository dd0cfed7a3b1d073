"""Data that all tasks on an executor read: sent once, not with every task."""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import shutil
import tempfile
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

from autoimb._execution.resources import check_disk

_PAGE = mmap.ALLOCATIONGRANULARITY
_PREFIX = "autoimb-data-"
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class SharedData(Protocol):
    """A handle that travels with a task, and by which the task reads shared data."""

    def get(self) -> Any:
        """Return the value, in the process of the task."""


@dataclass(frozen=True, slots=True)
class Inline:
    """Shared data that are sent with every task."""

    value: Any

    def get(self) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Mapped:
    """Shared data that the processes of one machine read from one mapped file."""

    path: str
    places: tuple[tuple[int, int], ...]
    """Start and size in bytes of the pickle, then of each buffer."""

    def get(self) -> Any:
        """Return the value; arrays are read-only views of the file, and no copies."""
        if self.path not in _MAPPED:
            _MAPPED.clear()
            with Path(self.path).open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            content = memoryview(mapped)
            parts = [content[start : start + size] for start, size in self.places]
            _MAPPED[self.path] = pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301  our own file
        return _MAPPED[self.path]


_MAPPED: dict[str, Any] = {}


@contextlib.contextmanager
def share_in_file(value: Any) -> Iterator[Mapped]:
    """Yield the handle of a value that processes of this machine read from a file.

    Raises
    ------
    BadInputError
        If there is no room for the file.
    """
    parts = pickled_parts(value)
    with private_folder() as folder:  # what dead processes left there is gone by now
        yield write_parts(parts, folder / "shared")


def pickled_parts(value: Any) -> list[memoryview]:
    """Return the pickle of a value, then the buffers of its arrays, not copied."""
    import cloudpickle

    buffers: list[pickle.PickleBuffer] = []
    payload = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return [memoryview(payload), *(buffer.raw() for buffer in buffers)]


def write_parts(parts: Sequence[memoryview], path: Path) -> Mapped:
    """Write what `pickled_parts` returned, and return the handle of the file.

    Raises
    ------
    BadInputError
        If there is no room for the file in its private folder.
    """
    # Each part starts at a multiple of the page size.
    whole_pages = (-(-part.nbytes // _PAGE) * _PAGE for part in parts[:-1])
    starts = list(accumulate(whole_pages, initial=0))
    check_disk(starts[-1] + parts[-1].nbytes, path.parent.parent)
    with path.open("wb") as file:
        for start, part in zip(starts, parts, strict=True):
            file.seek(start)
            file.write(part)
    sizes = (part.nbytes for part in parts)
    return Mapped(str(path), tuple(zip(starts, sizes, strict=True)))


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a folder that only this user can read, and remove it at the end.

    If this process is killed, loky's tracker removes the folder as soon as the workers
    have noticed; if the machine fails, the next fit does.
    """
    from loky.backend import resource_tracker

    with owned_folder() as folder:
        resource_tracker.register(str(folder), "folder")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            resource_tracker.unregister(str(folder), "folder")


@contextlib.contextmanager
def owned_folder() -> Iterator[Path]:
    """Yield a folder that only this user can read, and remove it at the end.

    If this process is killed, the next one on this machine that asks for a folder
    removes this one.
    """
    _remove_stale_folders()
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_folder() -> tuple[Path, int | None]:
    """Return a new folder and its lock, which is held for as long as the process lives.

    Windows has no locks of folders: there the lock is None.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if fcntl is None:
            return folder, None
        with contextlib.suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(folder, _FOLDER)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_stale_folders() -> None:
    """Remove what dead processes of this user left behind.

    Only the owner of a folder can replace it, since the temporary directory is sticky,
    and links are not followed.
    """
    if fcntl is None:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # of another user, in use, or gone
            lock = os.open(folder, _FOLDER)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(lock)
