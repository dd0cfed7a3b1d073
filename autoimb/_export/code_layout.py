"""Code as a tree of brackets, broken into lines where it is too long for one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 88
_STEP = 4


@dataclass(frozen=True, slots=True)
class Block:
    """Items between brackets."""

    opening: str
    items: tuple[Code, ...]
    closing: str
    is_call: bool = False
    """Whether all items may stand on one line of their own, as arguments may."""
    is_one_tuple: bool = False
    """Whether a comma must follow the only item."""


Code = str | Block


def call(name: str, items: Iterable[Code]) -> Block:
    """Return the call of something with arguments."""
    return Block(f"{name}(", tuple(items), ")", is_call=True)


def prefixed(prefix: str, code: Code) -> Code:
    """Return code behind some text that stays on its first line."""
    if isinstance(code, str):
        return prefix + code
    return replace(code, opening=prefix + code.opening)


def on_one_line(code: Code) -> str:
    """Return code on one line."""
    if isinstance(code, str):
        return code
    items = ", ".join(map(on_one_line, code.items))
    comma = "," if code.is_one_tuple else ""
    return f"{code.opening}{items}{comma}{code.closing}"


def layout(code: Code, indent: int = 0, tail: str = "") -> str:
    """Return code from a column on, in as few lines as a formatter would use."""
    whole = on_one_line(code) + tail
    if isinstance(code, str) or not code.items or indent + len(whole) <= WIDTH:
        return whole
    inner = indent + _STEP
    lines = [", ".join(map(on_one_line, code.items))]
    if not code.is_call or inner + len(lines[0]) > WIDTH:
        lines = [layout(item, inner, ",") for item in code.items]
    body = "".join(f"\n{' ' * inner}{line}" for line in lines)
    return f"{code.opening}{body}\n{' ' * indent}{code.closing}{tail}"
