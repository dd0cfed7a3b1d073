"""The flowchart as a picture: boxes in layers, the path of this data in colour."""

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
    Style,
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
_GAP = 12  # between two boxes of a layer
_RISE = 42  # between layers: room for an arrow; its label takes a line or more
_WIDEST = 230
_BOLD = 1.1  # boxes on the path are set in bold, which runs wider


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
    rise: float
    """Room above, for arrows and their labels."""


def flowchart(guide: GuideSection, key: str = "flowchart", width: float = 720) -> str:
    """Return the flowchart, `width` units wide; "" without nodes."""
    if not guide.nodes:
        return ""
    boxes = place(guide, width)
    height = max(b.y + b.height for b in boxes.values()) + 1
    known = [e for e in guide.edges if {e.source, e.target} <= boxes.keys()]
    path_last = sorted(known, key=lambda edge: edge.on_path)
    return picture(
        key,
        (width, height),
        "Flowchart of the advice",
        "Path of this data: " + " → ".join(guide.path) + ".",
        *(_arrow(e, boxes[e.source], boxes[e.target]) for e in path_last),
        *map(_box, boxes.values()),
    )


def place(guide: GuideSection, width: float) -> dict[str, Box]:
    """Return a box for every node key: layers downwards, children under parents."""
    layers = layers_of(guide)
    pitch = width / max(map(len, layers))
    box_width = min(pitch - _GAP, _WIDEST)
    room = characters_in(box_width - _PAD, _BOLD * FONT_SIZE)
    boxes, top = dict[str, Box](), 1.0
    for layer in layers:
        keys = {node.key for node in layer}
        edges = [e for e in guide.edges if e.target in keys and e.source in boxes]
        above = [boxes[edge.source].x for edge in edges] or [width / 2]
        half = pitch * len(layer) / 2
        left = min(max(sum(above) / len(above) - half, 0), width - 2 * half)
        texts = [tuple(textwrap.wrap(node.text, room)) or ("",) for node in layer]
        height = _LINE * max(map(len, texts)) + 2 * _PAD
        labels = [_lines(edge, box_width) for edge in edges]
        rise = _RISE + _LINE * max(map(len, labels), default=0) if boxes else 0
        top += rise
        for i, (node, lines) in enumerate(zip(layer, texts, strict=True)):
            middle = left + (i + 0.5) * pitch
            boxes[node.key] = Box(node, lines, middle, top, box_width, height, rise)
        top += height
    return boxes


def _lines(edge: FlowEdge, width: float) -> list[str]:
    """Return an edge's label in lines that are no wider than a box."""
    return textwrap.wrap(edge.label, characters_in(width))


def layers_of(guide: GuideSection) -> list[list[FlowNode]]:
    """Return the nodes by the number of edges of the longest path to them."""
    depth = {node.key: 0 for node in guide.nodes}
    known = [e for e in guide.edges if {e.source, e.target} <= depth.keys()]
    for _ in guide.nodes:  # a path has no more edges than there are nodes
        for edge in known:
            depth[edge.target] = max(depth[edge.target], depth[edge.source] + 1)
    levels = sorted(set(depth.values()))
    return [[n for n in guide.nodes if depth[n.key] == level] for level in levels]


def _box(b: Box) -> str:
    """Return a node: questions are rounded; the path is in the accent colour."""
    is_question, on_path = b.node.kind == "question", b.node.on_path
    is_answer = on_path and not is_question
    outline = box(
        b.x - b.width / 2,
        b.y,
        b.width,
        b.height,
        rx=20 if is_question else 5,
        fill=ACCENT if is_answer else PAPER,
        stroke=ACCENT if on_path else RULE,
        stroke_width=2 if on_path else 1,
    )
    ink = ON_ACCENT if is_answer else INK if on_path else MUTED
    first = b.y + b.height / 2 - _LINE * (len(b.lines) - 1) / 2 + FONT_SIZE * 0.35
    words = (
        text(b.x, first + i * _LINE, words, fill=ink, text_anchor="middle")
        for i, words in enumerate(b.lines)
    )
    weight = 600 if on_path else 400
    return element("g", outline, *words, font_weight=weight, data_node=b.node.key)


def _arrow(edge: FlowEdge, source: Box, target: Box) -> str:
    """Return an arrow with two square bends, its label above the target."""
    (x, y), foot = (target.x, target.y), source.y + source.height
    bend = y - target.rise + 14
    ink = ACCENT if edge.on_path else REST
    shaft = element(
        "path",
        d=f"M{source.x:.1f} {foot:.1f}V{bend:.1f}H{x:.1f}V{y - 6:.1f}",
        fill="none",
        stroke=ink,
        stroke_width=2 if edge.on_path else 1,
        stroke_linejoin="round",
    )
    head = element("path", d=f"M{x - 4:.1f} {y - 8:.1f}h8l-4 7z", fill=ink)
    if not edge.label:
        return shaft + head
    lines = _lines(edge, target.width)
    width = max(map(width_of, lines)) + 10
    patch = box(x - width / 2, bend + 9, width, 2 + _LINE * len(lines), fill=PAPER)
    ink, weight = (ACCENT, 600) if edge.on_path else (MUTED, 400)
    label: Style = {"fill": ink, "font_weight": weight, "text_anchor": "middle"}
    words = (
        text(x, bend + 22 + i * _LINE, line, **label) for i, line in enumerate(lines)
    )
    return "".join((shaft, head, patch, *words))
