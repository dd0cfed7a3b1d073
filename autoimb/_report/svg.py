"""Parts of SVG figures: elements, colours, axes and planes.

Every text and attribute is escaped here, so that no figure can forget it. Colours are
CSS variables with a fallback: the page sets them, and a figure also shows without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INK = "var(--ink, #1c2430)"
MUTED = "var(--muted, #5d6673)"
RULE = "var(--rule, #dfe3e8)"
PAPER = "var(--paper, #ffffff)"
ACCENT = "var(--accent, #2b5fc7)"
ON_ACCENT = "var(--on-accent, #ffffff)"
RARE = "var(--rare, #c8591b)"
REST = "var(--rest, #a9b3c0)"

Attribute = str | float
Style = dict[str, Attribute]
Pair = tuple[float, float]

THIN: Style = {"stroke": INK, "stroke_width": 1.2}
NO_SKILL: Style = {**THIN, "stroke_dasharray": "2 3"}
"""The line of what a random ranking scores."""
BASELINE: Style = {**THIN, "stroke_dasharray": "7 4"}
"""The line of what the baseline scores."""
IDEAL: Style = {**THIN, "stroke_dasharray": "9 3 2 3"}
"""The line of perfect calibration."""

FONT_SIZE = 12
_GLYPH = 0.56  # mean width of a character in system fonts, in units of the font size


def element(name: str, *children: str, **attributes: Attribute) -> str:
    """Return one element; ``stroke_width=2`` becomes ``stroke-width="2"``."""
    written = "".join(
        f' {key.replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
    )
    inner = "".join(children)
    return f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>"


def _attribute(value: Attribute) -> str:
    """Return an attribute's text: numbers to two decimals, strings escaped."""
    return escape(value) if isinstance(value, str) else f"{round(value, 2):.10g}"


def text(x: float, y: float, words: str, **attributes: Attribute) -> str:
    """Return a line of text, by default in the colour of ink."""
    return element("text", escape(words), x=x, y=y, **({"fill": INK} | attributes))


def tooltip(words: str) -> str:
    """Return the title child that browsers show on hover."""
    return element("title", escape(words))


def line(start: Pair, end: Pair, /, **attributes: Attribute) -> str:
    """Return a straight line, by default a hairline."""
    style: Style = {"stroke": RULE, **attributes}
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], **style)


def polyline(points: Iterable[Pair], **attributes: Attribute) -> str:
    """Return an open line through `points`."""
    style: Style = {"stroke": ACCENT, "stroke_width": 2, **attributes}
    style |= {"fill": "none", "stroke_linejoin": "round"}
    return element("polyline", points=_path(points), **style)


def area(points: Iterable[Pair]) -> str:
    """Return a closed shape, filled lightly."""
    return element("polygon", points=_path(points), fill=ACCENT, fill_opacity=0.15)


def _path(points: Iterable[Pair]) -> str:
    """Return the coordinates of points as SVG writes them."""
    return " ".join(f"{_attribute(x)},{_attribute(y)}" for x, y in points)


def circle(center: Pair, radius: float, /, **attributes: Attribute) -> str:
    """Return a disc."""
    return element("circle", cx=center[0], cy=center[1], r=radius, **attributes)


def box(x: float, y: float, width: float, height: float, **style: Attribute) -> str:
    """Return a rectangle from its upper left corner."""
    return element("rect", x=x, y=y, width=width, height=height, **style)


def picture(key: str, size: Pair, title: str, description: str, *children: str) -> str:
    """Return a whole figure that scales with its column and can be read aloud.

    `key` names the figure in its page: it must be unique there.
    """
    return element(
        "svg",
        element("title", escape(title), id=f"{key}-title"),
        element("desc", escape(description), id=f"{key}-desc"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_attribute(size[0])} {_attribute(size[1])}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        data_test=key,
        font_family="inherit",
        font_size=FONT_SIZE,
        style="font-variant-numeric: tabular-nums",
    )


def characters_in(width: float, font_size: float = FONT_SIZE) -> int:
    """Return how many characters fit on a line of `width`, at least one."""
    return max(1, int(width / (_GLYPH * font_size)))


def width_of(words: str, font_size: float = FONT_SIZE) -> float:
    """Return about how wide `words` are."""
    return len(words) * _GLYPH * font_size


def shorten(words: str, width: float) -> str:
    """Return `words`, cut with an ellipsis where they do not fit into `width`."""
    room = characters_in(width)
    return words if len(words) <= room else words[: max(1, room - 1)].rstrip() + "…"


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale from data to picture units, with ticks at round numbers."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(
        cls, values: Iterable[float], start: float, end: float, *, zero: bool = False
    ) -> Axis:
        """Return the axis from round number to round number around `values`."""
        within = [*values, 0.0] if zero else list(values)
        low, high = min(within), max(within)
        if low == high:
            low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        step = _round_step((high - low) / 5)
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        return cls(low, high, start, end)

    def __call__(self, value: float) -> float:
        """Return where `value` is drawn."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """Return about `count` (value, label) pairs at round numbers."""
        step = _round_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        values = [i * step for i in range(first, last + 1)]
        return [(v, f"{v:,.{decimals}f}".replace("-", "−")) for v in values]


def _round_step(rough: float) -> float:
    """Return the 1, 2 or 5 times a power of ten that is next above `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


Ticks = list[tuple[float, str]]
"""Values on an axis, and their labels."""


def ruler(x: Axis, y: float, title: str, top: float, ticks: Ticks | None = None) -> str:
    """Return a horizontal scale at height `y`, its gridlines reaching up to `top`."""
    parts = [text(x.end, y + 36, title, fill=MUTED, text_anchor="end")]
    for value, label in ticks or x.ticks():
        parts += [
            line((x(value), top), (x(value), y + 4)),
            text(x(value), y + 18, label, fill=MUTED, text_anchor="middle"),
        ]
    return "".join(parts)


class Plane(NamedTuple):
    """Two axes: where points are drawn."""

    x: Axis
    y: Axis

    def __call__(self, points: Iterable[Sequence[float]]) -> list[Pair]:
        """Return where points are drawn; only their first two numbers count."""
        return [(self.x(x), self.y(y)) for x, y, *_ in points]

    def grid(
        self,
        x_title: str,
        y_title: str,
        x_ticks: Ticks | None = None,
        y_ticks: Ticks | None = None,
    ) -> str:
        """Return gridlines, tick labels and axis titles."""
        x, y = self
        parts = [
            text(x.start, 14, y_title, fill=MUTED, text_anchor="start"),
            ruler(x, y.start, x_title, y.start, x_ticks),
        ]
        for value, label in y_ticks or y.ticks():
            at = y(value)
            parts += [
                line((x.start, at), (x.end, at)),
                text(x.start - 7, at + 4, label, fill=MUTED, text_anchor="end"),
            ]
        return "".join(parts)
