"""The clock of a fit: how much time it has, and how much is left."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from autoimb.exceptions import BudgetError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock; None means there is none."""

    seconds: float | None
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float:
        """Seconds left, infinite without a limit, never negative."""
        if self.seconds is None:
            return float("inf")
        return max(0.0, self.seconds - self.elapsed)

    @property
    def is_over(self) -> bool:
        """Whether the moment has passed."""
        return self.remaining == 0.0

    def earlier_by(self, seconds: float) -> Deadline:
        """Return a deadline that holds some seconds back."""
        if self.seconds is None:
            return self
        return Deadline(max(0.0, self.seconds - seconds), self.started)


@contextlib.contextmanager
def interrupted_after(seconds: float | None) -> Iterator[None]:
    """Raise `TimeoutError` in this thread once the seconds have passed.

    Only a timer of the operating system can interrupt whatever is running, and only in
    the main thread; elsewhere, and where somebody else uses that timer, nothing is
    limited. Code that never returns to Python is interrupted when it does.
    """
    if seconds is None or not _has_a_free_timer():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    # Again and again: a library's own "except" may swallow the first.
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def can_interrupt() -> bool:
    """Whether this thread can be interrupted by a timer at all."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and hasattr(signal, "setitimer")


def _has_a_free_timer() -> bool:
    """Whether this thread may set the timer, and nobody has."""
    return can_interrupt() and signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


def check_limits(time_budget: float | str | None, n_trials: int | None) -> float | None:
    """Return the time budget in seconds, None for a search counted in trials."""
    if n_trials is not None and (
        isinstance(n_trials, bool) or not isinstance(n_trials, Integral) or n_trials < 1
    ):
        raise BudgetError(f"{n_trials=} must be a whole number of at least 1, or None.")
    if time_budget == "auto":
        return DEFAULT_SECONDS if n_trials is None else None
    if time_budget is None:
        if n_trials is None:
            raise BudgetError(
                "time_budget and n_trials are both None, so the search would never "
                "end: give seconds or a number of trials."
            )
        return None
    is_number = isinstance(time_budget, Real) and not isinstance(time_budget, bool)
    if not is_number or not 0 < float(time_budget) < float("inf"):
        raise BudgetError(
            f"{time_budget=} must be a positive, finite number of seconds, 'auto' or "
            "None."
        )
    return float(time_budget)
