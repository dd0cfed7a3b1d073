"""`main`: the parser, and what becomes of warnings and errors."""

from __future__ import annotations

import argparse
import traceback
import warnings
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoimb import __version__
from autoimb._cli.console import say_error, tolerant_console
from autoimb._execution.files import check_writable
from autoimb.exceptions import AutoImbError, AutoImbWarning, BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_MAX_SIGNS = 500  # of an error that autoimb did not write


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        Arguments; None means those of the process.

    Returns
    -------
    int
        Exit status: 0 when done, 2 for bad input or any other error, 130 after Ctrl-C.
        An error is one line of the standard error; ``--debug`` shows where it came
        from.
    """
    with tolerant_console():
        try:
            return _run(argv)
        except KeyboardInterrupt:
            say_error("interrupted before the result was complete")
            return 130


def _run(argv: Sequence[str] | None) -> int:
    """Run the command line, and return its exit status unless it is interrupted."""
    # Libraries take seconds to load, in which Ctrl-C may come.
    from autoimb._cli.commands import COMMANDS

    arguments, unknown = _make_parser(COMMANDS).parse_known_args(argv)
    if unknown:
        options = COMMANDS[arguments.command][3]
        arguments.parser.error(_about_unknown(unknown[0], arguments.command, options))
    try:
        with _shown_warnings(shows_all=arguments.debug):
            _check_destinations(arguments)
            arguments.run(arguments)
    except Exception as error:  # noqa: BLE001 - users of a shell read no tracebacks
        if arguments.debug:
            say_error(traceback.format_exc())
        say_error(f"autoimb {arguments.command}: {_in_words(error)}")
        return 2
    return 0


@contextmanager
def _shown_warnings(*, shows_all: bool) -> Iterator[None]:
    """Print warnings of autoimb as lines; those of libraries are for programmers."""

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        origin = (
            "" if issubclass(category, AutoImbWarning) else f"{category.__name__}: "
        )
        say_error(f"warning: {origin}{' '.join(str(message).split())}")

    with warnings.catch_warnings():
        if not shows_all:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", AutoImbWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _in_words(error: Exception) -> str:
    """Return an error as one line."""
    message = " ".join(str(error).split())
    if isinstance(error, AutoImbError | OSError):
        return message
    if len(message) > _MAX_SIGNS:
        message = f"{message[:_MAX_SIGNS]}…"
    return f"{type(error).__name__}: {message} (--debug shows where)"


def _check_destinations(arguments: argparse.Namespace) -> None:
    """Raise before the work, not after it, if its result could not be written.

    Nor may it take the place of what is read, or of another result.
    """
    taken = {_identity(path): name for name, path in _inputs(arguments)}
    for name in ("out", "report"):
        path = getattr(arguments, name, None)
        if path is None:
            continue
        if path.is_dir():
            raise BadInputError(f"--{name} {path} is a folder: name a file in it.")
        if not path.parent.is_dir():
            raise BadInputError(
                f"--{name} {path}: there is no folder {str(path.parent)!r}, make it "
                "first."
            )
        try:
            check_writable(path)
        except OSError as error:
            raise BadInputError(
                f"--{name} {path} cannot be written ({error.strerror}): name a file "
                "in another folder."
            ) from error
        if other := taken.get(_identity(path)):
            raise BadInputError(
                f"--{name} {path} would replace the file of {other}: name another one."
            )
        taken[_identity(path)] = f"--{name}"
    if path := getattr(arguments, "report", None):
        from autoimb._report.page import check_format

        check_format(path)


def _inputs(arguments: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Yield the files that a command reads, and goes on to need, with their names."""
    for name, words in (("data", "the table"), ("model", "the model")):
        if path := getattr(arguments, name, None):
            yield words, path
    scheme, _, database = (getattr(arguments, "storage", None) or "").partition(":///")
    if scheme.startswith("sqlite") and database:
        yield "--storage", Path(database.partition("?")[0])


def _identity(path: Path) -> object:
    """Return what is the same for two paths to one file, through links as well."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino


def _make_parser(commands_: Mapping[str, Any]) -> argparse.ArgumentParser:
    """Return the parser, with a sub-parser for each command."""
    from autoimb._cli.options import DEBUG, GROUPS

    parser = argparse.ArgumentParser(
        prog="autoimb",
        description="Find, fit and explain a classifier for a rare class.",
        epilog="Start with: autoimb demo",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, summary, example, options) in commands_.items():
        settings_of = options | DEBUG
        command = commands.add_parser(
            name,
            usage=f"autoimb {name} {_needed(settings_of)}[options]",
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run, parser=command)
        groups: dict[str | None, Any] = {None: command}
        for flag, settings in settings_of.items():
            titles = (t for t, group in GROUPS.items() if group.get(flag) is settings)
            title = next(titles, None)
            if title not in groups:
                groups[title] = command.add_argument_group(title)
            groups[title].add_argument(flag, **settings)
    return parser


def _needed(options: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a command cannot do without, as its usage shows it."""
    words = ""
    for flag, settings in options.items():
        if not flag.startswith("-"):
            words += f"{settings['metavar']} "
        elif settings.get("required"):
            words += f"{flag} {settings['metavar']} "
    return words


def _about_unknown(word: str, command: str, options: Iterable[str]) -> str:
    """Return what is wrong with an argument that a command does not take."""
    name = word.partition("=")[0]
    known = [flag for flag in options if flag.startswith("-")]
    near = get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]}? " if near else ""
    return f"there is no argument {word!r}: {advice}autoimb {command} --help lists all"
