"""Files: written as a whole or not at all, and harmless in a spreadsheet."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import pandas as pd

_FORMULA = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")
_TRIED_BYTES = 2**16
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMPRESSIONS: dict[str, Any] = {
    ".bz2": "bz2",
    ".gz": "gzip",
    ".xz": "xz",
    ".zip": "zip",
    ".zst": "zstd",
}


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of `path` once all of it is written.

    It is written beside its target, under a hidden name, and moved there at the end.
    After an error, such as that of a full disk, the target is as it was, and nothing
    is left of the new file. A link stays a link: what it leads to is replaced. What is
    no ordinary file, such as a named pipe, is written to directly.

    Raises
    ------
    OSError
        If the file cannot be written: of the subclass that fits the cause, in one line
        that ends in the path.
    """
    target = Path(path)
    try:
        if _is_special(target):
            with target.open("wb") as file:
                yield file
        else:
            with _draft_of(target.resolve()) as file:
                yield file
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, reason, str(target)) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise `OSError` if `replacing` could not write a small file, and leave no trace.

    What is no ordinary file is not tried: it could not be taken back.
    """
    if _is_special(Path(path)):
        return
    with suppress(_NotKeptError), replacing(path) as file:
        file.write(bytes(_TRIED_BYTES))
        file.flush()
        os.fsync(file.fileno())
        raise _NotKeptError


class _NotKeptError(Exception):
    """Ends the writing of a file that is not to replace another one."""


def _is_special(target: Path) -> bool:
    """Whether a path is no ordinary file, or leads to one that a shell holds open."""
    is_other = target.exists() and not target.is_file()
    return is_other or target.parent == Path("/dev")  # /dev/stdout may be such a file


@contextmanager
def _draft_of(target: Path) -> Iterator[BinaryIO]:
    """Yield a new file that is moved to `target` at the end, or else removed.

    It has the permissions of the target. A target that is read-only raises.
    """
    draft = target.with_name(f".autoimb-{secrets.token_hex(8)}.draft")
    mode = None
    if target.exists():
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        mode = stat.S_IMODE(target.stat().st_mode)
    try:
        with draft.open("xb") as file:
            if mode is not None:
                draft.chmod(mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without text that a spreadsheet takes for a formula."""
    return table.map(_harmless).rename(columns=_harmless)


def _harmless(value: Any) -> Any:
    """Return a value with an apostrophe where its text starts a formula.

    OWASP advises it ("CSV Injection"). Text behind what may separate cells counts as
    well. Numbers stay as they are, those in text, such as "-1", too.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _FORMULA.sub("'", value)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table, compressed if the suffix says so."""
    with replacing(path) as file:
        table.to_csv(
            file, index=False, compression=_COMPRESSIONS.get(path.suffix.lower())
        )
