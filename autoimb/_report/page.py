"""What all reports share: three formats, a file, a frame in a notebook."""

from __future__ import annotations

import json
import textwrap
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from autoimb._execution.files import replacing
from autoimb._report import formats
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

    from jinja2 import Environment

_OWN = "autoimb._report"
_FORMATS = (".html", ".json", ".md")


class PageData(Protocol):
    """The values that a page shows."""

    @property
    def title(self) -> str:
        """What the page is about."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All its sentences, the most important first."""

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON reads them."""


class Page:
    """Values, and how they are written."""

    data: Any
    """A `PageData`."""
    _renderers: ClassVar[Mapping[str, Callable[[Any], str]]]
    """By suffix, what writes the values as text."""

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the report, in the format that the file's suffix names.

        Parameters
        ----------
        path : str or path-like
            A file that ends in ``.html``, ``.md`` or ``.json``; it is replaced.

        Returns
        -------
        Path
            The file that was written.

        Raises
        ------
        BadInputError
            The suffix is none of the three.
        OSError
            The file cannot be written; an earlier one is as it was.
        """
        target = Path(path)
        page = self._renderers[check_format(target)](self.data).encode()
        with replacing(target) as file:
            file.write(page)
        return target

    def to_dict(self) -> dict[str, Any]:
        """Return every value of the report as JSON-able Python.

        Returns
        -------
        dict
            What ``save("report.json")`` writes.
        """
        values: dict[str, Any] = self.data.to_dict()
        return values

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own: no style leaks out or in."""
        page = escape(self._renderers[".html"](self.data))
        return (
            f'<iframe title="{escape(self.data.title)}" srcdoc="{page}" '
            'sandbox="allow-scripts" loading="lazy" '
            'style="width: 100%; height: 42rem; border: 0"></iframe>'
        )

    def __str__(self) -> str:
        return "\n".join(
            textwrap.fill(line, 88, break_on_hyphens=False)
            for line in self.data.sentences
        )


def check_format(path: Path) -> str:
    """Return the suffix of a report's file; raise if it names no format."""
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise BadInputError(
            f"cannot tell the report's format from {str(path)!r}: "
            f"let it end in {', '.join(_FORMATS)}"
        )
    return suffix


def render_json(data: PageData) -> str:
    """Return the report's values as JSON."""
    return json.dumps(data.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


@cache
def environment(*, is_html: bool, package: str = _OWN) -> Environment:
    """Return an environment that escapes whatever it prints, for HTML or Markdown.

    Templates are those of a package, and of this one.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in {package: 1, _OWN: 1}]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=is_html,  # noqa: S701  Markdown is escaped by `finalize`
        finalize=None if is_html else formats.escape_markdown,
    )
    environment.filters |= {
        "num": formats.significant,
        "signed": formats.signed,
        "percent": formats.percent,
        "seconds": formats.seconds,
        "thousands": formats.thousands,
        "verbatim": Markup,  # for fenced code in Markdown, where nothing acts
    }
    return environment
