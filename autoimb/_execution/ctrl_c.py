"""Ctrl-C in a fit: once the search has ended, the first one no longer loses its result.

By default Ctrl-C raises `KeyboardInterrupt` wherever a program is. In the last seconds
of a fit, in which the winner is fitted, calibrated and described, this would lose all
that the search has found. There the first Ctrl-C is only noted. It still ends what the
fit can do without, such as further repeats. The second one always ends the fit.

Only the main thread hears Ctrl-C, and a program that handles it in its own way keeps
its handler.
"""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

logger = logging.getLogger(__name__)


class CtrlC:
    """What a press of Ctrl-C does in a fit, and whether there was one."""

    def __init__(self) -> None:
        self.was_pressed = False
        """Whether there was a press since the block was entered."""
        self.is_postponed = False
        """Whether the first press raises no `KeyboardInterrupt`."""

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Handle the signal: note it, and raise `KeyboardInterrupt` if it is time."""
        is_noted = self.is_postponed and not self.was_pressed
        self.was_pressed = True
        if not is_noted:
            raise KeyboardInterrupt
        logger.warning(
            "Ctrl-C: the fit ends with what it has found; once more ends it without."
        )


@contextmanager
def heard_ctrl_c() -> Iterator[CtrlC]:
    """Handle Ctrl-C in the block by what is returned: at first, as Python does."""
    ctrl_c = CtrlC()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield ctrl_c
        return
    signal.signal(signal.SIGINT, ctrl_c)
    try:
        yield ctrl_c
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def interrupted_by_ctrl_c() -> Iterator[None]:
    """Let the first press raise `KeyboardInterrupt` in the block, even if postponed."""
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, CtrlC):
        yield
        return
    before, handler.is_postponed = handler.is_postponed, False
    try:
        yield
    finally:
        handler.is_postponed = before
