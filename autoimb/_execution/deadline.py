"""The deadline of a fit, and a time limit on any piece of code."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoimb.exceptions import BudgetError, is_number, is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

DEFAULT_TIME_BUDGET_S = 60.0
_CALLBACKS = {"_next_wrapper", "_reset_wrapper"}
"""By which compiled code of XGBoost reads rows. An error in them ends the reading half
way, and may end the process."""
_POSTPONED_S = 0.01
_MOST_SECONDS = 1e9  # 30 years: the system can wait for nine times as long


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time: a start and a time limit."""

    time_limit_s: float | None
    """Seconds from the start to the deadline; None for no deadline."""
    started: float = field(default_factory=time.monotonic)
    """The start, on the monotonic clock of the system."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def remaining_s(self) -> float:
        """Seconds left: never negative, infinite without a time limit."""
        if self.time_limit_s is None:
            return float("inf")
        return max(0.0, self.time_limit_s - self.elapsed_s)

    @property
    def timeout_s(self) -> float | None:
        """Seconds left as futures take them: None without a time limit."""
        return None if self.time_limit_s is None else self.remaining_s

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.remaining_s == 0.0

    def with_reserve(self, reserve_s: float) -> Deadline:
        """Return a deadline that leaves so many seconds until this one."""
        if self.time_limit_s is None:
            return self
        return Deadline(max(0.0, self.time_limit_s - reserve_s), self.started)


@contextlib.contextmanager
def interrupt_after(time_limit_s: float | None) -> Iterator[None]:
    """Raise `TimeoutError` in the block once the time limit has passed.

    Only a timer of the operating system can interrupt any running code, and only in
    the main thread. In other threads, and while other code uses the timer, the block
    has no limit. Compiled code is interrupted when it returns to Python, and
    XGBoost once it has read its rows.
    """
    if time_limit_s is None or not can_interrupt_now():
        yield
        return

    has_fired = False

    def interrupt(_number: int, frame: FrameType | None) -> None:
        nonlocal has_fired
        while frame is not None:
            if frame.f_code.co_name in _CALLBACKS:
                signal.setitimer(signal.ITIMER_REAL, _POSTPONED_S, 1.0)
                return
            frame = frame.f_back
        has_fired = True
        raise TimeoutError

    previous_handler = signal.signal(signal.SIGALRM, interrupt)
    # Every second again: an "except" of a library may catch the first error.
    signal.setitimer(signal.ITIMER_REAL, max(time_limit_s, 1e-3), 1.0)
    try:
        yield
    except KeyboardInterrupt as error:
        if not has_fired:
            raise
        # CatBoost takes any signal in its callbacks for Ctrl-C.
        raise TimeoutError from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous_handler)


def can_interrupt() -> bool:
    """Whether a timer can interrupt this thread."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and hasattr(signal, "setitimer")


def can_interrupt_now() -> bool:
    """Whether a timer can interrupt this thread, and no other code uses the timer."""
    return can_interrupt() and signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


def resolve_time_budget(
    time_budget: float | str | None, n_trials: int | None
) -> float | None:
    """Return the time budget in seconds, None for a search that counts trials only."""
    if n_trials is not None and not (is_whole(n_trials) and n_trials >= 1):
        raise BudgetError(f"{n_trials=} must be a whole number of at least 1, or None.")
    if time_budget is None and n_trials is None:
        raise BudgetError(
            "time_budget and n_trials are both None, so the search would never "
            "end: give seconds or a number of trials."
        )
    if isinstance(time_budget, str) and time_budget == "auto":
        return DEFAULT_TIME_BUDGET_S if n_trials is None else None
    return check_seconds(time_budget, "'auto' or None")


def check_seconds(time_budget: Any, other: str = "None") -> float | None:
    """Return a time budget as a float, or None for no limit.

    `other` is what else may be passed.
    """
    if time_budget is None:
        return None
    if not is_number(time_budget) or not 0 < time_budget <= _MOST_SECONDS:
        raise BudgetError(
            f"{time_budget=} must be a positive number of seconds, {_MOST_SECONDS:.0e} "
            f"at most, or {other}."
        )
    return float(time_budget)
