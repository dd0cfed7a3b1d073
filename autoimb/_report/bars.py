"""The report's figures that are made of bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.special import logit

from autoimb._report.figures import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Sample,
    curve_picture,
    drawable,
)
from autoimb._report.formats import percent, significant, thousands
from autoimb._report.svg import (
    ACCENT,
    MUTED,
    RARE,
    REST,
    RULE,
    Axis,
    Plane,
    Style,
    box,
    element,
    picture,
    shorten,
    text,
    tooltip,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._report.data import (
        DataSection,
        SearchSection,
        WinnerSection,
    )
    from autoimb._report.further_data import ColumnImportance

_RANK, _ROW = 34.0, 44.0  # heights of a bar in a ranking, and of a class
_MAX_FEATURES = 15
_SIDES = ((REST, "the others"), (RARE, "the class of interest"))
_SHOWN = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)  # probabilities on the axis


def importances(search: SearchSection) -> str:
    """Return one bar a parameter, as long as its share."""
    rows = [
        (name.replace("_", " "), percent(share), share)
        for name, share in search.importances
        if share
    ]
    return _ranking("importances", "What decided the score", rows)


def features(columns: Sequence[ColumnImportance]) -> str:
    """Return one bar a column, as long as what the score loses when it is shuffled."""
    rows = []
    for column in [c for c in columns if c.drop > 0][:_MAX_FEATURES]:
        amount = significant(column.drop)
        if column.standard_error is not None:
            amount += f" ± {significant(column.standard_error, 2)}"
        rows.append((column.name, amount, column.drop))
    return _ranking("features", "What columns are worth", rows)


def _ranking(key: str, title: str, rows: Sequence[tuple[str, str, float]]) -> str:
    """Return one bar for each (name, amount in words, amount); "" for none."""
    longest = max((amount for *_, amount in rows), default=0)
    parts = []
    for at, (name, amount_in_words, amount) in enumerate(rows):
        top = _RANK * at
        parts += [
            text(0, top + 12, shorten(name, WIDTH - 140)),
            text(WIDTH, top + 12, amount_in_words, fill=MUTED, text_anchor="end"),
            box(0, top + 18, WIDTH, 6, rx=2, fill=RULE, opacity=0.5),
            box(0, top + 18, WIDTH * amount / longest, 6, rx=2, fill=ACCENT),
        ]
    description = ", ".join(f"{name} {words}" for name, words, _ in rows)
    size = (WIDTH, _RANK * len(rows))
    return picture(key, size, title, description, *parts) if rows else ""


def histogram(winner: WinnerSection) -> str:
    """Return the shares of both classes by probability, on a scale of log-odds."""
    bins = drawable(winner.histogram)
    if not bins:
        return ""
    x = Axis(logit(bins[0][0]), logit(bins[-1][1]), LEFT, RIGHT)
    y = Axis.around([max(max(b[2:]) for b in bins) or 1], BOTTOM, TOP, zero=True)
    probabilities = [(logit(value), f"{value:g}") for value in _SHOWN]
    shares = [(value, f"{100 * value:.3g}%") for value, _ in y.ticks()]
    drawn = [
        Plane(x, y).grid("probability", "share of the class", probabilities, shares)
    ]
    samples: list[Sample] = []
    for at, (ink, words) in enumerate(_SIDES, start=2):
        style: Style = {"fill": ink, "fill_opacity": 0.6}
        for low, high, share in [(b[0], b[1], b[at]) for b in bins if b[at] > 0]:
            left, right = x(logit(low)), x(logit(high))
            tip = f"{percent(share)} from {significant(low)} to {significant(high)}"
            bar = box(left + 0.5, y(share), right - left - 1, y(0) - y(share), **style)
            drawn.append(element("g", tooltip(tip), bar))
        samples.append((box(6, -6, 14, 12, rx=2, **style), words))
    ends = f"{significant(bins[0][0])} to {significant(bins[-1][1])}"
    words = f"{len(bins)} bins from {ends}."
    return curve_picture("histogram", "Scores by class", words, samples, *drawn)


# --- the data


def class_bars(data: DataSection) -> str:
    """Return one bar a class, the smallest class in the colour of rarity."""
    bars = []
    for i, c in enumerate(data.classes):
        top, amount = _ROW * i, f"{thousands(c.count)} · {percent(c.share)}"
        ink = RARE if c.label == data.minority_label else REST
        width = max(WIDTH * c.share, 2)  # one row in a million is still drawn
        bars.append(
            element(
                "g",
                tooltip(f"{c.label}: {amount}"),
                text(0, top + 13, shorten(c.label, 250), font_weight=600),
                text(WIDTH, top + 13, amount, fill=MUTED, text_anchor="end"),
                box(0, top + 20, WIDTH, 12, rx=2, fill=RULE, opacity=0.5),
                box(0, top + 20, width, 12, rx=2, fill=ink, data_bar=c.label),
            )
        )
    size = (WIDTH, _ROW * len(data.classes) - 8)
    words = "; ".join(
        f"{c.label}: {c.count} rows, {percent(c.share)}" for c in data.classes
    )
    return (
        picture("class-bars", size, "Rows of each class", words, *bars) if bars else ""
    )


def minority_types(data: DataSection) -> str:
    """Return one bar of the minority's rows, from safe to outlier."""
    if not data.minority_types:
        return ""
    shares = data.minority_types
    share = Axis(0, sum(shares.values()) or 1, 0, WIDTH)
    left, parts = 0.0, []
    for i, (kind, part) in enumerate(shares.items()):
        width, depth = share(part), (i + 1) / len(shares)
        sample = box(0, -6, 14, 12, rx=2, fill=RARE, fill_opacity=depth)
        where = f"translate({i * WIDTH / len(shares):g} 50)"
        label = text(18, 4, kind) + text(18, 20, percent(part), fill=MUTED)
        parts += [
            box(left, 0, width, 24, fill=RARE, fill_opacity=depth, data_bar=kind),
            element("g", sample, label, transform=where),
        ]
        left += width
    words = ", ".join(f"{kind} {percent(part)}" for kind, part in shares.items())
    return picture(
        "minority-types", (WIDTH, 76), "Types of minority rows", words, *parts
    )
