"""Settings of the whole process, changed for the length of a block and put back.

Fits may run in several threads at once: on an executor of threads, or two fits of one
program. `warnings.catch_warnings` and `threadpoolctl.threadpool_limits` each put back
what they found. If two of them overlap, the second puts back what the first one set.
Here the first block that is entered notes what was set before, and the last one that
is left puts it back, in whatever order they end. What can be set for one thread alone
is set for that thread.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import threadpoolctl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# --- warnings


class _Quiet(threading.local):
    """The categories of warnings that are ignored in this thread."""

    categories: tuple[type[Warning], ...] = ()


_quiet = _Quiet()


class _IgnoredHere(type):
    """The type of a category that holds what is ignored in the thread that asks."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _quiet.categories)


class _Ignored(Warning, metaclass=_IgnoredHere):
    """Every category that is ignored in the current thread.

    scikit-learn copies the filters for each task of its `Parallel`, and such a copy may
    outlive the block. Unlike a message pattern, a category is copied as it is, so that
    a copy ignores nothing in other threads and nothing afterwards.
    """


_ENTRY: Any = ("ignore", None, _Ignored, None, 0)


class _Filters:
    """The warning filters of the process while blocks hold an entry in them.

    Libraries enter `warnings.catch_warnings` in our threads, too. Where two of these
    overlap, the filters of one thread stay behind as those of the process.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._threads: list[int] = []
        self._overlapped = False
        self._filters: Any = []
        self._content: list[Any] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the entry in the filters until the last such block is left."""
        thread = threading.get_ident()
        with self._lock:
            if not self._threads:
                self._filters, self._content = warnings.filters, [*warnings.filters]
                self._filters.insert(0, _ENTRY)
            self._threads.append(thread)
            self._overlapped |= len(set(self._threads)) > 1
        try:
            yield
        finally:
            with self._lock:
                self._threads.remove(thread)
                if not self._threads:
                    self._restore()

    def _restore(self) -> None:
        """Take the entry out, and what overlapping threads left behind."""
        if self._overlapped:
            self._filters[:] = self._content
            # Without the entry they are not from our threads: the user set them.
            if _ENTRY in warnings.filters:
                warnings.filters = self._filters
        lists: tuple[Any, ...] = (warnings.filters, self._filters)
        for filters in lists:
            filters[:] = [entry for entry in filters if entry != _ENTRY]
        self._overlapped = False


_filters = _Filters()


@contextmanager
def quiet_warnings(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore warnings of a category in this thread; other threads keep theirs.

    An ignored warning is not noted as shown, so that it is shown after the block.
    """
    before = _quiet.categories
    with _filters.held():
        _quiet.categories = (*before, category)
        try:
            yield
        finally:
            _quiet.categories = before


# --- settings of the process

# From 3.8 on, threadpoolctl keeps the list of libraries until a module is imported. To
# make it anew takes 3 ms.
_find_controller: Callable[[], Any] = getattr(
    threadpoolctl, "get_cached_controller", threadpoolctl.ThreadpoolController
)


class Part(NamedTuple):
    """One place in the process where a setting is kept, such as one library."""

    value: int
    """What was set when the part was first seen."""
    write: Callable[[int], Any]


class SharedSetting:
    """A setting of the process that overlapping blocks change.

    Parameters
    ----------
    read : callable
        Returns the parts of the process that have the setting, by name.
    """

    def __init__(self, read: Callable[[], Mapping[str, Part]]) -> None:
        self._read = read
        self._lock = threading.RLock()
        self._parts: dict[str, Part] = {}
        self._blocks: list[list[int | None]] = []
        """The value of each block that is active, the newest last."""

    @contextmanager
    def set_to(self, value: int | None) -> Iterator[None]:
        """Set all parts to a value; None only puts back what changes in the block.

        The newest block that is active decides. A part that appears in the block, such
        as a library that is loaded, has its own value until the next block.
        """
        block = [value]
        with self._lock:
            self._blocks.append(block)
            # A part that is already known reads as an earlier block set it.
            self._parts = {**self._read(), **self._parts}
            if value is not None:
                self._write(value)
        try:
            yield
        finally:
            with self._lock:
                self._blocks = [other for other in self._blocks if other is not block]
                values = [v for (v,) in self._blocks if v is not None]
                self._write(values[-1] if values else None)
                if not self._blocks:
                    self._parts = {}

    def _write(self, value: int | None) -> None:
        """Set all parts to a value; None is the one that each had at first."""
        for part in self._parts.values():
            part.write(part.value if value is None else value)


def _has_threads_of_its_own(library: Any) -> bool:
    """Whether each thread has its own number of threads of a library.

    That of OpenMP and MKL is of the thread which sets it. OpenBLAS has one number for
    the process, unless it is built on OpenMP.
    """
    return (
        library.user_api == "openmp"
        or library.internal_api == "mkl"
        or getattr(library, "threading_layer", "") == "openmp"
    )


def _blas_threads() -> dict[str, Part]:
    """Return the number of threads of each library that has one for the process."""
    return {
        library.filepath: Part(library.num_threads, partial(_set_threads, library))
        for library in _find_controller().lib_controllers
        if not _has_threads_of_its_own(library) and library.num_threads is not None
    }


def _set_threads(library: Any, n_threads: int) -> None:
    """Set the number of threads of a library.

    From 3.8 on, threadpoolctl ignores all threads but the one that was the first to set
    a number. It is told at once that others may: the last block may end in another one.
    """
    library.set_num_threads(n_threads)
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread()


_BLAS = SharedSetting(_blas_threads)


@contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """Limit the threads of OpenMP inside the block, and those of BLAS to one.

    For OpenMP this is the limit of the current thread. For most builds of BLAS it is
    that of the process.

    Products of tables, which are tall and narrow, gain nothing from threads: a logistic
    regression of 1,000,000 x 30 took 0.9 s with one of BLAS and 1.1 s with two. Where
    another program had one of two cores, one of 8,000 x 160 took 0.05 and 0.45 s.
    """
    own = [
        library
        for library in _find_controller().lib_controllers
        if _has_threads_of_its_own(library)
    ]
    before = [library.num_threads for library in own]
    try:
        for library in own:
            library.set_num_threads(1 if library.user_api == "blas" else n_threads)
        with _BLAS.set_to(1):
            yield
    finally:
        for library, n_before in zip(own, before, strict=True):
            library.set_num_threads(n_before)


@contextmanager
def kept_settings() -> Iterator[None]:
    """Put back, at the end of the block, what libraries left changed in threads.

    scikit-learn itself sets filters and numbers of threads around some of its code, and
    does not expect that others do so at the same time.
    """
    with _filters.held(), _BLAS.set_to(None):
        yield


def _torch_threads() -> dict[str, Part]:
    """Return PyTorch's number of threads for threads that have no other."""
    import torch

    found: list[int] = []
    # The thread that asks may have a number of its own.
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return {"torch": Part(found[0], torch.set_num_threads)}


_TORCH = SharedSetting(_torch_threads)


@contextmanager
def limited_torch_threads(n_threads: int) -> Iterator[None]:
    """Limit the threads of PyTorch, BLAS and OpenMP inside the block."""
    # PyTorch's number is one of OpenMP for the thread that sets it, too: the outer
    # block puts that back.
    with limited_threads(n_threads), _TORCH.set_to(n_threads):
        yield


def _optuna_verbosity() -> dict[str, Part]:
    """Return the level below which Optuna logs nothing."""
    import optuna

    level = optuna.logging.get_verbosity()
    return {"optuna": Part(level, optuna.logging.set_verbosity)}


OPTUNA_VERBOSITY = SharedSetting(_optuna_verbosity)
