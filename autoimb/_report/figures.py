"""The report's figures of scores and curves: functions from values to SVG text.

Each returns "" where its values are missing, and the page leaves it out. A dash or a
colour means one thing in all of them (see `autoimb._report.svg`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from autoimb._report.formats import compact, percent, significant, thousands
from autoimb._report.svg import (
    ACCENT,
    BASELINE,
    IDEAL,
    INK,
    MUTED,
    NO_SKILL,
    PAPER,
    RARE,
    REST,
    RULE,
    Axis,
    Pair,
    Plane,
    Style,
    area,
    box,
    circle,
    element,
    line,
    picture,
    polyline,
    ruler,
    shorten,
    text,
    tooltip,
    width_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoimb._report.data import (
        OutcomeSection,
        SearchSection,
        WinnerSection,
    )
    from autoimb._report.further_data import LearningCurveSection

WIDTH = 360.0  # a phone's column, so that words stay readable there
LEFT, RIGHT, TOP, BOTTOM = 42.0, 350.0, 26.0, 246.0  # the plane of a curve
UNIT_PLANE = Plane(Axis(0, 1, LEFT, RIGHT), Axis(0, 1, BOTTOM, TOP))
_START, _END = 16.0, 344.0  # a scale across the figure, with room for its labels
_ROW = 44.0
_KEY_LINE = 19.0
_STROKE = ((0.0, 0.0), (24.0, 0.0))  # a line in the key under a figure
_SPOT = ((12.0, 0.0), 5.0)  # a disc in it
_MAX_CANDIDATES = 10
_NAMES = 92.0  # width of the class names beside a confusion matrix
_LARGE = 15.0  # font size of its counts
_HALO: Style = {"paint_order": "stroke", "stroke": PAPER, "stroke_width": 6}
"""Keeps words readable where a rule runs behind them."""
_HOLLOW: Style = {"fill": PAPER, "stroke": INK, "stroke_width": 1.5}
_SOLID: Style = {"fill": RARE, "stroke": PAPER, "stroke_width": 1.5}
_WINNER: Style = {"stroke": ACCENT, "stroke_width": 2}

Sample = tuple[str, str]
"""A drawn sample and what it stands for."""


# --- what all figures share


def drawable(points: Iterable[Sequence[float | None]]) -> list[tuple[float, ...]]:
    """Return the points of which every coordinate is known."""
    return [tuple(v for v in p if v is not None) for p in points if None not in p]


def curve_picture(
    key: str, title: str, description: str, samples: list[Sample], *drawn: str
) -> str:
    """Return a picture of one plane with the key to its samples underneath."""
    top = BOTTOM + 50
    lines = (
        element(
            "g",
            sample,
            text(34, 4, words, fill=MUTED),
            transform=f"translate({LEFT:g} {top + 8 + i * _KEY_LINE:g})",
        )
        for i, (sample, words) in enumerate(samples)
    )
    size = (WIDTH, top + _KEY_LINE * len(samples))
    return picture(key, size, title, description, *drawn, *lines)


def _dot(at: Pair, words: str, radius: float = 5, /, **style: str | float) -> str:
    """Return a disc with a tooltip."""
    return element("g", tooltip(words), circle(at, radius, **style))


# --- scores


class Interval(NamedTuple):
    """A score with a range, as one row of a figure."""

    label: str
    value: float | None
    style: Style
    low: float | None = None
    high: float | None = None

    @classmethod
    def around(
        cls, label: str, value: float | None, style: Style, error: float | None
    ) -> Interval:
        """Return a score with one standard error to either side."""
        if value is None or error is None:
            return cls(label, value, style)
        return cls(label, value, style, value - error, value + error)


def outcome_strip(outcome: OutcomeSection) -> str:
    """Return winner, baseline and no skill on one scale that starts at zero."""
    rows = [
        Interval(
            "Winner, honest estimate",
            outcome.honest_estimate,
            {"fill": ACCENT},
            outcome.honest_low,
            outcome.honest_high,
        ),
        Interval("Baseline, honest estimate", outcome.honest_baseline, {"fill": REST}),
        Interval.around(
            "Winner, cross-validated",
            outcome.winner_score,
            _HOLLOW,
            outcome.winner_standard_error,
        ),
        Interval("Baseline, cross-validated", outcome.baseline_score, _HOLLOW),
    ]
    return interval_picture(
        "outcome-strip",
        f"{outcome.metric_label} side by side",
        rows,
        metric_label=outcome.metric_label,
        level=outcome.no_skill,
        dashes=NO_SKILL,
        zero=True,
    )


def score_dots(search: SearchSection, outcome: OutcomeSection) -> str:
    """Return the best candidates, each with one standard error to either side."""
    complete = [row for row in search.rows if row.status == "complete"]
    most = max((row.folds or 0 for row in complete), default=0)
    rows = [
        Interval.around(
            row.strategy,
            row.mean,
            _HOLLOW
            if (row.folds or 0) < most
            else {"fill": ACCENT if row.rank == search.best_single else REST},
            row.se,
        )
        for row in complete[:_MAX_CANDIDATES]
    ]
    return interval_picture(
        "score-dots",
        "Scores of the best candidates",
        rows,
        metric_label=outcome.metric_label,
        level=outcome.baseline_score,
        dashes=BASELINE,
    )


def interval_picture(
    key: str,
    title: str,
    intervals: Sequence[Interval],
    *,
    metric_label: str,
    level: float | None,
    dashes: Style,
    zero: bool = False,
) -> str:
    """Return intervals on one scale, one a row, with a dashed line at a level."""
    rows = [row for row in intervals if row.value is not None]
    if not rows:
        return ""
    numbers = [level, *(n for row in rows for n in (row.value, row.low, row.high))]
    known = [number for number in numbers if number is not None]
    x = Axis.around(known, _START, _END, zero=zero)
    bottom = _ROW * len(rows)
    drawn = [ruler(x, bottom, metric_label, 0)]
    if level is not None:
        drawn.append(line((x(level), 0), (x(level), bottom), **dashes))
    drawn += [_interval(x, _ROW * i, row) for i, row in enumerate(rows)]
    words = "; ".join(f"{row.label}: {significant(row.value)}" for row in rows)
    return picture(key, (WIDTH, bottom + 40), title, words, *drawn)


def _interval(x: Axis, top: float, row: Interval) -> str:
    """Return a labelled dot, with a line from end to end of its range."""
    label, value, style, low, high = row
    y, amount = top + 29, significant(value)
    parts = [
        tooltip(f"{label}: {amount}"),
        text(0, top + 13, shorten(label, WIDTH - 70), **_HALO),
        text(WIDTH, top + 13, amount, text_anchor="end", font_weight=600, **_HALO),
    ]
    if low is not None and high is not None:
        ink = style.get("stroke", style["fill"])
        parts.append(line((x(low), y), (x(high), y), stroke=ink, stroke_width=2))
    parts.append(circle((x(value or 0.0), y), 5, data_value=amount, **style))
    return element("g", *parts)


def best_so_far(search: SearchSection, metric_label: str) -> str:
    """Return the best score after each second as steps."""
    points = drawable(search.best_so_far)
    if not points:
        return ""
    end = max(search.seconds or 0, points[-1][0])
    unit, name = (60, "minutes") if end > 300 else (1, "seconds")
    plane = Plane(
        Axis(0, (end or 1) / unit, LEFT + 6, RIGHT),
        Axis.around([score for _, score in points], BOTTOM, TOP),
    )
    dots = plane((t / unit, score) for t, score in points)
    path = dots[:1]
    for (_, level), (x, y) in pairwise(dots):
        path += [(x, level), (x, y)]
    path.append((plane.x(end / unit), dots[-1][1]))
    return curve_picture(
        "best-so-far",
        "Best score so far",
        f"From {significant(points[0][1])} to {significant(points[-1][1])}.",
        [],
        plane.grid(f"{name} since the start", f"best {metric_label} so far"),
        polyline(path),
        *(circle(dot, 3.5, fill=ACCENT) for dot in dots),
    )


# --- the winner


def pr_curve(winner: WinnerSection) -> str:
    """Return precision over recall, with no skill and the points of two thresholds."""
    points = drawable(winner.pr_curve)
    if not points:
        return ""
    drawn = [UNIT_PLANE.grid("recall", "precision")]
    samples: list[Sample] = [(line(*_STROKE, **_WINNER), "winner")]
    if winner.no_skill_precision is not None:
        level = winner.no_skill_precision
        drawn.append(line(*UNIT_PLANE([(0, level), (1, level)]), **NO_SKILL))
        label = f"no skill: precision {significant(level)}"
        samples.append((line(*_STROKE, **NO_SKILL), label))
    drawn += [_band(winner.pr_band), polyline(UNIT_PLANE(points))]
    default = winner.at_default or {}
    for name, (recall, precision), style in (
        ("at 0.5", (default.get("recall"), default.get("precision")), _HOLLOW),
        ("tuned threshold", winner.operating_point or (None, None), _SOLID),
    ):
        if recall is not None and precision is not None:
            label = (
                f"{name}: precision {significant(precision)}, "
                f"recall {significant(recall)}"
            )
            at = UNIT_PLANE.x(recall), UNIT_PLANE.y(precision)
            drawn.append(_dot(at, label, **style))
            samples.append((circle(*_SPOT, **style), label))
    words = f"{len(points)} points. " + "; ".join(label for _, label in samples[1:])
    return curve_picture("pr-curve", "Precision-recall curve", words, samples, *drawn)


def _band(spans: Iterable[Sequence[float | None]]) -> str:
    """Return the area between the lower and the upper ends; "" without any."""
    known = drawable(spans)
    upper = [(at, high) for at, _, high in known]
    lower = [(at, low) for at, low, _ in reversed(known)]
    return area(UNIT_PLANE(upper + lower)) if known else ""


def roc_curve(winner: WinnerSection) -> str:
    """Return the true over the false positive rate."""
    points = drawable(winner.roc_curve)
    if not points:
        return ""
    samples = [
        (line(*_STROKE, **_WINNER), "winner"),
        (line(*_STROKE, **NO_SKILL), "no skill"),
    ]
    return curve_picture(
        "roc-curve",
        "ROC curve",
        f"{len(points)} points, against the diagonal of no skill.",
        samples,
        UNIT_PLANE.grid("false positive rate", "true positive rate"),
        _band(winner.roc_band),
        line(*UNIT_PLANE([(0, 0), (1, 1)]), **NO_SKILL),
        polyline(UNIT_PLANE(points)),
    )


def calibration(winner: WinnerSection) -> str:
    """Return shares of positives over predicted probabilities, before and after."""
    name = (
        f"calibrated ({winner.calibration_name})"
        if winner.calibration_name
        else "after"
    )
    return reliability_picture(
        (winner.calibration_before, "before", REST),
        (winner.calibration_after, name, ACCENT),
    )


Bins = Sequence[Sequence[float | None]]
"""(mean predicted probability, share of positives, rows) of each bin."""


def reliability_picture(
    first: tuple[Bins, str, str], last: tuple[Bins, str, str]
) -> str:
    """Return shares of positives over predicted probabilities, by two sets of bins.

    Each comes with its name and its colour. The last hides the first if they are equal.
    """
    before, after = drawable(first[0]), drawable(last[0])
    if not before and not after:
        return ""
    values = [v for p in (*before, *after) for v in p[:2]]
    top = Axis.around(values, 0, 1, zero=True).high
    plane = Plane(Axis(0, top, LEFT, RIGHT), Axis(0, top, BOTTOM, TOP))
    drawn = [
        plane.grid("predicted probability", "share of positives"),
        line(*plane([(0, 0), (top, top)]), **IDEAL),
    ]
    samples: list[Sample] = [(line(*_STROKE, **IDEAL), "ideal")]
    for bins, label, ink in ((before, *first[1:]), (after, *last[1:])):
        if bins and (bins is after or before != after):  # equal bins hide each other
            drawn.append(_reliability(plane, bins, ink))
            samples.append((circle(*_SPOT, fill=ink), label))
    words = f"{len(after)} bins" + (
        f"; {len(before)} {first[1]}" if before != after else ""
    )
    return curve_picture("calibration", "Calibration", words, samples, *drawn)


def _reliability(plane: Plane, bins: list[tuple[float, ...]], ink: str) -> str:
    """Return one line of bins; a disc's area grows with its number of rows."""
    largest, path = max(count for *_, count in bins) or 1, plane(bins)
    discs = (
        _dot(
            at,
            f"predicted {significant(predicted)}, observed {significant(observed)}, "
            f"{thousands(count)} rows",
            3 + 4 * (count / largest) ** 0.5,
            fill=ink,
        )
        for at, (predicted, observed, count) in zip(path, bins, strict=True)
    )
    return polyline(path, stroke=ink, stroke_width=1.5) + "".join(discs)


def confusion(winner: WinnerSection) -> str:
    """Return the confusion matrix, coloured by the share of each true class."""
    labels, n = winner.class_labels, len(winner.confusion)
    if not n or len(labels) != n:
        return ""
    side = min((WIDTH - _NAMES - 1) / n, 92)
    top = 40.0 if n <= 4 else 92.0
    drawn = [
        text(_NAMES, 12, "predicted", fill=MUTED),
        text(0, top - 8, "true", fill=MUTED),
    ]
    descriptions = []
    shares = winner.confusion_shares or tuple(map(_shares_of, winner.confusion))
    for i, (label, counts) in enumerate(zip(labels, winner.confusion, strict=True)):
        drawn.append(_class_names(label, i, n, side, top))
        descriptions.append(f"{label}: {', '.join(map(thousands, counts))}")
        for j, count in enumerate(counts):
            at = (_NAMES + j * side, top + i * side)
            words = f"true {label}, predicted {labels[j]}"
            drawn.append(_cell(at, side, count, shares[i][j], words, right=i == j))
    size = (WIDTH, top + n * side + 1)
    return picture(
        "confusion", size, "Confusion matrix", "; ".join(descriptions), *drawn
    )


def _class_names(label: str, i: int, n: int, side: float, top: float) -> str:
    """Return a class's name above its column, slanted if narrow, and at its row."""
    middle = _NAMES + (i + 0.5) * side
    down = top + (i + 0.5) * side + 4
    above: Style = {"text_anchor": "middle"}
    if n > 4:
        turn = f"rotate(50 {middle:.1f} {top - 8:.1f})"
        above = {"text_anchor": "end", "transform": turn}
    return text(
        middle, top - 8, shorten(label, side - 4 if n <= 4 else 80), **above
    ) + text(_NAMES - 8, down, shorten(label, _NAMES - 8), text_anchor="end")


def _shares_of(counts: Sequence[float]) -> tuple[float, ...]:
    """Return counts as shares of their sum; 0 without any."""
    total = sum(counts) or 1
    return tuple(count / total for count in counts)


def _cell(
    at: Pair, side: float, count: float, share: float, words: str, *, right: bool
) -> str:
    """Return one cell: count and share, the count alone, or nothing, as fits."""
    x, y = at[0] + side / 2, at[1] + side / 2 + 4
    ink = ACCENT if right else RARE
    opacity = 0.05 + 0.5 * share if count else 0
    parts = [
        tooltip(f"{words}: {thousands(count)} ({percent(share)})"),
        box(*at, side, side, fill=PAPER, stroke=RULE),
        box(*at, side, side, fill=ink, fill_opacity=opacity),
    ]
    centred: Style = {"text_anchor": "middle"}
    if 30 <= side < 56:
        parts.append(text(x, y, compact(count), **centred))
    elif side >= 56:
        full = thousands(count)
        amount = full if width_of(full, _LARGE) < side else compact(count)
        large: Style = {"font_weight": 600, "font_size": _LARGE, **centred}
        parts.append(text(x, y - 8, amount, **large))
        parts.append(text(x, y + 10, percent(share), **centred))
    return element("g", *parts)


# --- more data


def learning_curve(section: LearningCurveSection) -> str:
    """Return scores over minority rows, and what twice as many would give."""
    points = drawable(section.points)
    if not points:
        return ""
    last_n, last = points[-1][:2]
    known = [v for _, score, error in points for v in (score - error, score + error)]
    samples: list[Sample] = [
        (circle(*_SPOT, fill=ACCENT), "measured, ± one standard error")
    ]
    doubled = [] if section.gain is None else [(2 * last_n, last + section.gain)]
    plane = Plane(
        Axis.around([0, 2 * last_n], LEFT + 6, RIGHT - 12),
        Axis.around([*known, *(score for _, score in doubled)], BOTTOM, TOP),
    )
    drawn = [plane.grid("minority rows in training", section.metric_label)]
    for n, score, error in points:
        low, high = plane([(n, score - error), (n, score + error)])
        drawn.append(line(low, high, stroke=ACCENT, stroke_width=1.5))
    drawn.append(polyline(plane(points)))
    if doubled:
        tail = plane([(last_n, last), *doubled])
        drawn.append(polyline(tail, stroke_dasharray=IDEAL["stroke_dasharray"]))
        samples.append((circle(*_SPOT, **_HOLLOW), "expected with twice as many"))
    for n, score, *_ in (*points, *doubled):
        style = _HOLLOW if n > last_n else {"fill": ACCENT}
        label = f"{thousands(n)} rows: {significant(score)}"
        drawn.append(_dot((plane.x(n), plane.y(score)), label, **style))
    words = "; ".join(f"{thousands(n)} rows {significant(s)}" for n, s, _ in points)
    return curve_picture("learning-curve", "Learning curve", words, samples, *drawn)
