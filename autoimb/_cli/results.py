"""What a fit leaves behind: the model, its report, and a summary in the console."""

from __future__ import annotations

import secrets
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoimb._cli.console import say
from autoimb.exceptions import AutoImbError, AutoImbWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoimb import AutoImbalance


def write_and_print(
    model: AutoImbalance, out: Path | None, report: Path | None, **table: Any
) -> None:
    """Save the model and its report, then print what it is like.

    The model comes first: no trouble with the report or the console may cost it.

    Raises
    ------
    AutoImbError
        If a file cannot be written where it was asked for; the message says where a
        copy is.
    """
    wanted: dict[str, tuple[Path | None, Callable[[Path], Any]]] = {
        "model": (out, lambda path: _save(model, path, **table)),
        "report": (report, lambda path: model.report().save(path)),
    }
    written, failures = [], []
    try:
        for name, (path, write) in wanted.items():
            if path is None:
                continue
            try:
                write(path)
                written.append(f"{name}: {path.resolve()}")
            except OSError as error:
                failures.append(_rescued(name, path, write, error))
    finally:
        for text in ("", model.profile_, "", model.report(), "", *written):
            say(str(text))
    if failures:
        raise AutoImbError(" ".join(failures))


def _save(model: AutoImbalance, out: Path, **table: Any) -> None:
    """Save a model; one that predicts by fold models is then fitted on the whole table.

    If that fails, or is interrupted, the first file is there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AutoImbWarning)
        model.save(out)
    if table and any(member.lacks_refit for member in model.ensemble_):
        try:
            model.save(out, **table)
        except OSError as error:
            warn(
                f"the model was fitted on all rows, but cannot be saved again "
                f"({error.strerror}): {out} holds the one of fold models.",
                AutoImbWarning,
            )


def _rescued(
    name: str, path: Path, write: Callable[[Path], Any], error: OSError
) -> str:
    """Write a copy to the first folder with room for it; return what happened."""
    failure = f"the {name} could not be written to {path} ({error.strerror})"
    folders = [Path.cwd(), Path.home(), Path(tempfile.gettempdir())]
    for folder in folders:
        copy = folder / f"autoimb-{secrets.token_hex(4)}{path.suffix}"
        with suppress(OSError):
            write(copy)
            return f"{failure}: it is saved as {copy} instead."
    tried = ", ".join(map(str, folders))
    return (
        f"{failure}, nor to {tried}: it is lost. Make room and run the command again; "
        "with --storage it fits no candidate twice."
    )
