"""Small parts that SVG figures are made of: elements, ink and a linear axis.

Every text and attribute is escaped here, so a figure cannot forget to. Colours are CSS
variables with a fallback: the page themes them, a figure on its own still shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

INK = "var(--ink, #1c2430)"
MUTED = "var(--muted, #5d6673)"
RULE = "var(--rule, #dfe3e8)"
PAPER = "var(--paper, #ffffff)"
ACCENT = "var(--accent, #2b5fc7)"
ON_ACCENT = "var(--on-accent, #ffffff)"
RARE = "var(--rare, #c8591b)"
REST = "var(--rest, #a9b3c0)"

NO_SKILL = "2 3"
"""Dashes of what ranking at random scores."""
DO_NOTHING = "7 4"
"""Dashes of what doing nothing about the imbalance scores."""
IDEAL = "9 3 2 3"
"""Dashes of perfect calibration."""

FONT_SIZE = 12
_GLYPH = 0.56  # mean width of a character in system fonts, in units of the font size

Attribute = str | float
Pair = tuple[float, float]


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
    """Return a line of text, in ink unless told otherwise."""
    style: dict[str, Attribute] = {"fill": INK, **attributes}
    return element("text", escape(words), x=x, y=y, **style)


def tooltip(words: str) -> str:
    """Return the title child that browsers show on hover."""
    return element("title", escape(words))


def line(start: Pair, end: Pair, **attributes: Attribute) -> str:
    """Return a straight line, a hairline rule unless told otherwise."""
    style: dict[str, Attribute] = {"stroke": RULE, **attributes}
    (x1, y1), (x2, y2) = start, end
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, **style)


def polyline(points: Iterable[Pair], **attributes: Attribute) -> str:
    """Return an open line through `points`."""
    path = " ".join(f"{_attribute(x)},{_attribute(y)}" for x, y in points)
    style: dict[str, Attribute] = {
        "fill": "none",
        "stroke": ACCENT,
        "stroke_width": 2,
        "stroke_linejoin": "round",
        **attributes,
    }
    return element("polyline", points=path, **style)


def area(points: Iterable[Pair], **attributes: Attribute) -> str:
    """Return a closed shape, a light wash unless told otherwise."""
    path = " ".join(f"{_attribute(x)},{_attribute(y)}" for x, y in points)
    style: dict[str, Attribute] = {"fill": ACCENT, "fill_opacity": 0.15, **attributes}
    return element("polygon", points=path, **style)


def circle(center: Pair, radius: float, **attributes: Attribute) -> str:
    """Return a disc."""
    return element("circle", cx=center[0], cy=center[1], r=radius, **attributes)


def box(x: float, y: float, width: float, height: float, **style: Attribute) -> str:
    """Return a rectangle from its upper left corner."""
    return element("rect", x=x, y=y, width=width, height=height, **style)


def picture(key: str, size: Pair, title: str, description: str, *children: str) -> str:
    """Return a whole figure that scales with its column and reads aloud.

    `key` names the figure in its page: it must be unique there.
    """
    width, height = size
    return element(
        "svg",
        element("title", escape(title), id=f"{key}-title"),
        element("desc", escape(description), id=f"{key}-desc"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_attribute(width)} {_attribute(height)}",
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


def shorten(words: str, width: float, font_size: float = FONT_SIZE) -> str:
    """Return `words`, cut with an ellipsis where they do not fit into `width`."""
    room = characters_in(width, font_size)
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
        seen = [*values, 0.0] if zero else list(values)
        low, high = min(seen), max(seen)
        if low == high:
            low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        step = _round_step((high - low) / 5)
        bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step
        return cls(bottom, top, start, end)

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


def plane(x: Axis, y: Axis, x_title: str, y_title: str) -> str:
    """Return gridlines, tick labels and axis titles."""
    parts = [
        text(x.start, 14, y_title, fill=MUTED, text_anchor="start"),
        text(x.end, y.start + 36, x_title, fill=MUTED, text_anchor="end"),
    ]
    for value, label in y.ticks():
        parts += [
            line((x.start, y(value)), (x.end, y(value))),
            text(x.start - 7, y(value) + 4, label, fill=MUTED, text_anchor="end"),
        ]
    for value, label in x.ticks():
        parts += [
            line((x(value), y.start), (x(value), y.start + 4)),
            text(x(value), y.start + 18, label, fill=MUTED, text_anchor="middle"),
        ]
    return "".join(parts)


def ruler(x: Axis, y: float, title: str) -> str:
    """Return a horizontal scale at height `y`, its gridlines reaching up to zero."""
    parts = [text(x.end, y + 36, title, fill=MUTED, text_anchor="end")]
    for value, label in x.ticks():
        parts += [
            line((x(value), 0), (x(value), y + 4)),
            text(x(value), y + 18, label, fill=MUTED, text_anchor="middle"),
        ]
    return "".join(parts)
