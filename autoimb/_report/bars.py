"""The report's figures that are made of bars: shares of parameters and of scores."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from autoimb._report.figures import box_sample, curve_picture, drawable
from autoimb._report.formats import percent, significant, thousands
from autoimb._report.svg import (
    ACCENT,
    MUTED,
    RARE,
    REST,
    RULE,
    Attribute,
    Axis,
    box,
    element,
    line,
    picture,
    shorten,
    text,
    tooltip,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._report.data import (
        ClassCount,
        DataSection,
        FeatureRow,
        SearchSection,
        WinnerSection,
    )

_WIDTH = 360.0
_RANK, _ROW = 34.0, 44.0  # heights of a bar in a ranking, and of a class
_MAX_FEATURES = 15
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 350.0, 26.0, 246.0
_SIDES = ((REST, "the others"), (RARE, "the class of interest"))
_SHOWN = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)  # probabilities on the axis


def importances(search: SearchSection, key: str = "importances") -> str:
    """Return one bar a parameter, as long as its share."""
    rows = [
        (name.replace("_", " "), percent(share), share)
        for name, share in search.importances
        if share
    ]
    return _ranking(key, "What decided the score", rows)


def features(columns: Sequence[FeatureRow], key: str = "features") -> str:
    """Return one bar a column, as long as what the score loses without it."""
    rows = []
    for column in columns:
        noise = "" if column.error is None else f" ± {significant(column.error, 2)}"
        rows.append((column.name, significant(column.drop) + noise, column.drop))
    shown = [row for row in rows if row[-1] > 0][:_MAX_FEATURES]
    return _ranking(key, "What columns are worth", shown)


def _ranking(key: str, title: str, rows: Sequence[tuple[str, str, float]]) -> str:
    """Return one bar for each (name, amount in words, amount); "" for none."""
    if not rows:
        return ""
    longest = max(amount for *_, amount in rows)
    parts = []
    for at, (name, told, amount) in enumerate(rows):
        top = _RANK * at
        parts += [
            text(0, top + 12, shorten(name, _WIDTH - 140)),
            text(_WIDTH, top + 12, told, fill=MUTED, text_anchor="end"),
            box(0, top + 18, _WIDTH, 6, rx=2, fill=RULE, opacity=0.5),
            box(0, top + 18, _WIDTH * amount / longest, 6, rx=2, fill=ACCENT),
        ]
    words = ", ".join(f"{name} {told}" for name, told, _ in rows)
    return picture(key, (_WIDTH, _RANK * len(rows)), title, words, *parts)


def histogram(winner: WinnerSection, key: str = "histogram") -> str:
    """Return the shares of both classes by probability, on a scale of log-odds."""
    bins = drawable(winner.histogram)
    if not bins:
        return ""
    odds = [_log_odds(bins[0][0]), _log_odds(bins[-1][1])]
    x = Axis(odds[0], odds[1], _LEFT, _RIGHT)
    top = max(max(b[2:]) for b in bins) or 1
    y = Axis.around([top], _BOTTOM, _TOP, zero=True)
    drawn, samples = [_probability_axes(x, y)], []
    for at, (ink, words) in enumerate(_SIDES, start=2):
        drawn += [_bin(x, y, b, at, ink) for b in bins if b[at] > 0]
        samples.append((box_sample(fill=ink, fill_opacity=0.6), words))
    ends = significant(bins[0][0]), significant(bins[-1][1])
    words = f"{len(bins)} bins from {ends[0]} to {ends[1]}."
    return curve_picture(key, "Scores by class", words, samples, *drawn)


def _bin(x: Axis, y: Axis, values: tuple[float, ...], at: int, ink: str) -> str:
    """Return the bar of one class, whose share is at a place, in one bin."""
    low, high, share = values[0], values[1], values[at]
    left, right = x(_log_odds(low)), x(_log_odds(high))
    told = f"{percent(share)} from {significant(low)} to {significant(high)}"
    style: dict[str, Attribute] = {"fill": ink, "fill_opacity": 0.6}
    bar = box(left + 0.5, y(share), right - left - 1, y(0) - y(share), **style)
    return element("g", tooltip(told), bar)


def _probability_axes(x: Axis, y: Axis) -> str:
    """Return gridlines, shares on the left, and probabilities where their odds are."""
    parts = [
        text(x.start, 14, "share of the class", fill=MUTED),
        text(x.end, y.start + 36, "probability", fill=MUTED, text_anchor="end"),
    ]
    for value, _ in y.ticks():
        at = y(value)
        label = f"{100 * value:.3g}%"
        parts += [
            line((x.start, at), (x.end, at)),
            text(x.start - 7, at + 4, label, fill=MUTED, text_anchor="end"),
        ]
    for value in _SHOWN:
        at = x(_log_odds(value))
        label = text(at, y.start + 18, f"{value:g}", fill=MUTED, text_anchor="middle")
        parts += [line((at, y.start), (at, y.start + 4)), label]
    return "".join(parts)


def _log_odds(probability: float) -> float:
    """Return the logarithm of the odds."""
    return log(probability / (1 - probability))


# --- the data


def class_bars(data: DataSection, key: str = "class-bars") -> str:
    """Return one bar a class, the smallest class in the colour of rarity."""
    if not data.classes:
        return ""
    bars = (
        _class_bar(_ROW * i, c, RARE if c.label == data.minority_label else REST)
        for i, c in enumerate(data.classes)
    )
    words = (f"{c.label}: {c.count} rows, {percent(c.share)}" for c in data.classes)
    size = (_WIDTH, _ROW * len(data.classes) - 8)
    return picture(key, size, "Rows of each class", "; ".join(words), *bars)


def _class_bar(top: float, c: ClassCount, ink: str) -> str:
    """Return one class: its name, its rows, its share of the full width."""
    amount = f"{thousands(c.count)} · {percent(c.share)}"
    width = max(_WIDTH * c.share, 2)  # one row in a million is still drawn
    return element(
        "g",
        tooltip(f"{c.label}: {amount}"),
        text(0, top + 13, shorten(c.label, 250), font_weight=600),
        text(_WIDTH, top + 13, amount, fill=MUTED, text_anchor="end"),
        box(0, top + 20, _WIDTH, 12, rx=2, fill=RULE, opacity=0.5),
        box(0, top + 20, width, 12, rx=2, fill=ink, data_bar=c.label),
    )


def minority_types(data: DataSection, key: str = "minority-types") -> str:
    """Return one bar of the minority's rows, from safe to outlier."""
    if not data.minority_types:
        return ""
    shares = data.minority_types
    share = Axis(0, sum(shares.values()) or 1, 0, _WIDTH)
    left, parts = 0.0, []
    for i, (kind, part) in enumerate(shares.items()):
        width, depth = share(part), (i + 1) / len(shares)
        sample = box(0, -6, 14, 12, rx=2, fill=RARE, fill_opacity=depth)
        where = f"translate({i * _WIDTH / len(shares):g} 50)"
        label = text(18, 4, kind) + text(18, 20, percent(part), fill=MUTED)
        parts += [
            box(left, 0, width, 24, fill=RARE, fill_opacity=depth, data_bar=kind),
            element("g", sample, label, transform=where),
        ]
        left += width
    words = ", ".join(f"{kind} {percent(part)}" for kind, part in shares.items())
    return picture(key, (_WIDTH, 76), "Kinds of minority rows", words, *parts)
