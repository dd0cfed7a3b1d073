"""One search at a time on a stored study.

Two searches that tell the same trials would each lose what the other one found. Where
the database is a file of this machine, the operating system holds a lock, which ends
with its process however that ends. Elsewhere the owner changes a mark in the study from
time to time: a mark that no longer changes is that of a process that was killed. No
clocks are compared, as those of two machines may differ.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

from autoimb._search.study import opened_study
from autoimb.exceptions import StudyInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from autoimb._search.study import Storage

_OWNER = "autoimb:owner"
_CHANGE_S = 10.0  # between two changes of the mark
_STALE_S = 25.0  # without a change, after which the owner is dead
_POLL_S = 0.5
_HELD: set[Path] = set()
"""Locks of this process: for the system, a process may lock what it has locked."""
_HELD_LOCK = threading.Lock()


@contextlib.contextmanager
def only_search(storage: Storage | None) -> Iterator[None]:
    """Hold a stored study for the length of the block; without a storage, do nothing.

    Raises
    ------
    StudyInUseError
        If another search has it, in this process or in any other.
    """
    if storage is None:
        yield
        return
    storage.seed()  # raises before a lock is left beside what is no database
    path = None if fcntl is None else storage.lock_file
    holding = _marked(storage) if path is None else _locked(path, storage)
    with holding:
        yield


@contextlib.contextmanager
def _locked(path: Path, storage: Storage) -> Iterator[None]:
    """Hold the lock of a file, which names its owner."""
    with storage.errors_named():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a+").close()
    path = path.resolve()
    with _HELD_LOCK:
        if path in _HELD:
            raise _in_use(storage, _me())
        _HELD.add(path)
    try:
        with path.open("a+", encoding="utf-8") as file:
            try:
                # A lock by flock would pass to forked processes, and outlive this one.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    file.seek(0)
                    raise _in_use(storage, file.read()) from None
                # Some file systems have no locks.
            file.truncate(0)
            file.write(_me())
            file.flush()
            yield
    finally:
        with _HELD_LOCK:
            _HELD.discard(path)


@contextlib.contextmanager
def _marked(storage: Storage) -> Iterator[None]:
    """Hold a mark in the study itself."""
    study = opened_study(storage)

    def read() -> dict[str, Any] | None:
        return study.user_attrs.get(_OWNER)

    _wait_for_release(storage, read)
    mark = {"id": uuid.uuid4().hex, "owner": _me(), "change": 0}
    study.set_user_attr(_OWNER, mark)
    is_over = threading.Event()
    changing = threading.Thread(
        target=_keep_changing, args=[study, mark, is_over], daemon=True
    )
    changing.start()
    try:
        time.sleep(_POLL_S)  # of two that set it at once, the first sees the other's
        if (found := read()) and found["id"] != mark["id"]:
            raise _in_use(storage, found["owner"])
        yield
    finally:
        is_over.set()
        changing.join()
        with contextlib.suppress(Exception):  # a database that is gone has no mark
            if (found := read()) and found["id"] == mark["id"]:
                study.set_user_attr(_OWNER, None)


def _wait_for_release(
    storage: Storage, read: Callable[[], dict[str, Any] | None]
) -> None:
    """Return once no fit holds the study; raise if the one that does still runs."""
    first, deadline = read(), time.monotonic() + _STALE_S
    while first is not None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        now = read()
        if now is None:
            return
        if now != first:
            raise _in_use(storage, now["owner"])


def _keep_changing(study: Any, mark: dict[str, Any], is_over: threading.Event) -> None:
    """Change the mark from time to time, to show that its owner is alive."""
    while not is_over.wait(_CHANGE_S):
        mark["change"] += 1
        with contextlib.suppress(Exception):  # a database may be away for a while
            study.set_user_attr(_OWNER, dict(mark))


def _me() -> str:
    """Return what identifies this process to a reader."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _in_use(storage: Storage, owner: str) -> StudyInUseError:
    """Return the error for a study that another search has."""
    return StudyInUseError(
        f"the study {storage.name!r} in {storage.address!r} is being searched by "
        f"{owner or 'another process'}: wait until that fit has ended, or choose "
        "another study_name."
    )
