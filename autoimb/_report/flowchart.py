"""The guide's flowchart as a picture: boxes in layers, this data's path lit."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoimb._report.svg import (
    ACCENT,
    FONT_SIZE,
    INK,
    MUTED,
    ON_ACCENT,
    PAPER,
    REST,
    RULE,
    Pair,
    box,
    characters_in,
    element,
    picture,
    text,
    width_of,
)

if TYPE_CHECKING:
    from autoimb._report.data import FlowEdge, FlowNode, GuideSection

_LINE = 16  # height of a line of text
_PAD = 12  # between a box and its text
_GAP = 12  # between neighbours in a layer
_RISE = 58  # between layers: room for an arrow and its label
_WIDEST = 230
_BOLD = 1.1  # lit boxes are set in bold, which runs wider


@dataclass(frozen=True, slots=True)
class Box:
    """Where one node is drawn."""

    node: FlowNode
    lines: tuple[str, ...]
    x: float
    """Middle."""
    y: float
    """Upper edge."""
    width: float
    height: float

    @property
    def foot(self) -> Pair:
        """Return where arrows leave."""
        return self.x, self.y + self.height

    @property
    def head(self) -> Pair:
        """Return where arrows arrive."""
        return self.x, self.y


def flowchart(guide: GuideSection, key: str = "flowchart", width: float = 720) -> str:
    """Return the flowchart, `width` units wide; "" without nodes."""
    if not guide.nodes:
        return ""
    boxes = place(guide, width)
    height = max(b.y + b.height for b in boxes.values()) + 1
    dark_to_lit = sorted(_known(guide), key=lambda edge: edge.on_path)
    return picture(
        key,
        (width, height),
        "Flowchart of the advice",
        "Path of this data: " + " → ".join(guide.path) + ".",
        *(_arrow(e, boxes[e.source], boxes[e.target]) for e in dark_to_lit),
        *map(_box, boxes.values()),
    )


def place(guide: GuideSection, width: float) -> dict[str, Box]:
    """Return a box for every node key: layers downwards, children under parents."""
    layers = layers_of(guide)
    pitch = width / max(map(len, layers))
    boxes: dict[str, Box] = {}
    top = 1.0
    for layer in layers:
        middle = _middle(guide, layer, boxes, pitch, width)
        drawn = _row(layer, middle, top, pitch)
        boxes |= {b.node.key: b for b in drawn}
        top += drawn[0].height + _RISE
    return boxes


def layers_of(guide: GuideSection) -> list[list[FlowNode]]:
    """Return the nodes by the length of the longest way to them."""
    depth = {node.key: 0 for node in guide.nodes}
    for _ in guide.nodes:  # a way has no more steps than there are nodes
        for edge in _known(guide):
            depth[edge.target] = max(depth[edge.target], depth[edge.source] + 1)
    levels = sorted(set(depth.values()))
    return [[n for n in guide.nodes if depth[n.key] == level] for level in levels]


def _known(guide: GuideSection) -> list[FlowEdge]:
    """Return the edges whose two ends exist."""
    keys = {node.key for node in guide.nodes}
    return [e for e in guide.edges if {e.source, e.target} <= keys]


def _middle(
    guide: GuideSection,
    layer: list[FlowNode],
    boxes: dict[str, Box],
    pitch: float,
    width: float,
) -> float:
    """Return the middle of a layer: below its parents, but inside the picture."""
    children = {node.key for node in layer}
    arriving = (e for e in _known(guide) if e.target in children)
    above = [boxes[e.source].x for e in arriving if e.source in boxes]
    half = pitch * len(layer) / 2
    wanted = sum(above) / len(above) if above else width / 2
    return min(max(wanted, half), width - half)


def _row(layer: list[FlowNode], middle: float, top: float, pitch: float) -> list[Box]:
    """Return the boxes of one layer, equally high, at equal distances."""
    width = min(pitch - _GAP, _WIDEST)
    room = characters_in(width - _PAD, _BOLD * FONT_SIZE)
    texts = [tuple(textwrap.wrap(n.text, room)) or ("",) for n in layer]
    height = _LINE * max(map(len, texts)) + 2 * _PAD
    left = middle - pitch * (len(layer) - 1) / 2
    return [
        Box(node, lines, left + i * pitch, top, width, height)
        for i, (node, lines) in enumerate(zip(layer, texts, strict=True))
    ]


def _box(b: Box) -> str:
    """Return a node: pills ask, plates advise, lit ones are in the accent colour."""
    is_question, lit = b.node.kind == "question", b.node.on_path
    is_answer = lit and not is_question
    outline = box(
        b.x - b.width / 2,
        b.y,
        b.width,
        b.height,
        rx=20 if is_question else 5,
        fill=ACCENT if is_answer else PAPER,
        stroke=ACCENT if lit else RULE,
        stroke_width=2 if lit else 1,
    )
    ink = ON_ACCENT if is_answer else INK if lit else MUTED
    first = b.y + b.height / 2 - _LINE * (len(b.lines) - 1) / 2 + FONT_SIZE * 0.35
    words = (
        text(b.x, first + i * _LINE, words, fill=ink, text_anchor="middle")
        for i, words in enumerate(b.lines)
    )
    weight = 600 if lit else 400
    return element("g", outline, *words, font_weight=weight, data_node=b.node.key)


def _arrow(edge: FlowEdge, source: Box, target: Box) -> str:
    """Return an arrow with two square bends, its label above the target."""
    (x1, y1), (x2, y2) = source.foot, target.head
    ink = ACCENT if edge.on_path else REST
    bend = y2 - _RISE + 14
    shaft = element(
        "path",
        d=f"M{x1:.1f} {y1:.1f}V{bend:.1f}H{x2:.1f}V{y2 - 6:.1f}",
        fill="none",
        stroke=ink,
        stroke_width=2 if edge.on_path else 1,
        stroke_linejoin="round",
    )
    head = element(
        "path", d=f"M{x2 - 4:.1f} {y2 - 8:.1f}h8l-4 7z", fill=ink, stroke="none"
    )
    return shaft + head + _answer(edge, x2, bend + 22)


def _answer(edge: FlowEdge, x: float, y: float) -> str:
    """Return an arrow's label on a patch of paper; "" without one."""
    if not edge.label:
        return ""
    width = width_of(edge.label) + 10
    patch = box(x - width / 2, y - 13, width, 18, fill=PAPER)
    ink, weight = (ACCENT, 600) if edge.on_path else (MUTED, 400)
    return patch + text(
        x, y, edge.label, fill=ink, text_anchor="middle", font_weight=weight
    )
