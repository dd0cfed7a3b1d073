"""What is printed, whatever the console can print, and as long as it listens."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


def say(text: str = "", *, end: str = "\n") -> None:
    """Print a text; one that is no longer read, as by ``| head``, is dropped.

    Raises
    ------
    OSError
        If it cannot be written for another reason, such as a full disk.
    """
    stream = sys.stdout
    if stream is None:  # a process without a console
        return
    try:
        print(text, end=end, file=stream, flush=True)
    except BrokenPipeError:
        _discard(stream)
    except OSError:
        _discard(stream)
        raise


def say_error(text: str) -> None:
    """Print a line to the standard error, if that can be written."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


def lacks_signs_of(text: str) -> bool:
    """Whether the console's encoding cannot hold a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return True
    return False


@contextmanager
def tolerant_console() -> Iterator[None]:
    """Print "?" for a sign that the console's encoding lacks, instead of failing."""
    stream = sys.stdout
    if not isinstance(stream, TextIOWrapper) or stream.errors != "strict":
        yield
        return
    stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            stream.reconfigure(errors="strict")


def _discard(stream: TextIO) -> None:
    """Lead a stream nowhere, so that what is still buffered raises nothing at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
