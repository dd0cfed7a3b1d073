"""What is printed never stops a command, unless a full disk loses it."""

import io
import os
import sys
from pathlib import Path

import pytest

from autoimb._cli.console import lacks_signs_of, say, say_error, tolerant_console


@pytest.fixture
def closed_pipe():
    """A stream whose reader has closed it."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as stream:
        yield stream


def test_what_nobody_reads_is_dropped(monkeypatch, closed_pipe):
    monkeypatch.setattr(sys, "stdout", closed_pipe)
    monkeypatch.setattr(sys, "stderr", closed_pipe)
    for text in ("a line", "x" * 100_000):
        say_error(text)
        say(text)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_an_error_of_what_is_printed_but_not_of_messages(monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left"):
            say("scores")
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        say_error("a message")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_process_without_a_console_prints_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with tolerant_console():
        say("a line")
        say_error("a message")


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("cp1252", "?? ≥ é"), ("ascii", "?? ? ?"), ("utf-8", "да ≥ é")],
)
def test_a_sign_that_the_console_lacks_is_replaced(monkeypatch, encoding, printed):
    printed = printed.encode(encoding, "replace").decode(encoding)
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    assert lacks_signs_of("да") == (encoding != "utf-8")
    with tolerant_console():
        say("да ≥ é", end="")
    assert stream.buffer.getvalue().decode(encoding) == printed
    assert stream.errors == "strict"
