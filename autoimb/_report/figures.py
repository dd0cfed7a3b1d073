"""The report's figures: pure functions from measured values to SVG text.

Each returns "" where its values are missing, and the page leaves it out. A dash or a
colour means one thing in all of them (see `autoimb._report.svg`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoimb._report.formats import compact, percent, significant, thousands
from autoimb._report.svg import (
    ACCENT,
    DO_NOTHING,
    IDEAL,
    INK,
    MUTED,
    NO_SKILL,
    PAPER,
    RARE,
    REST,
    RULE,
    Attribute,
    Axis,
    Pair,
    area,
    box,
    circle,
    element,
    line,
    picture,
    plane,
    polyline,
    ruler,
    shorten,
    text,
    tooltip,
    width_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoimb._report.data import (
        GrowthSection,
        LeaderboardRow,
        OutcomeSection,
        SearchSection,
        WinnerSection,
    )

_WIDTH = 360.0  # a phone's column, so that words stay readable there
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 350.0, 26.0, 246.0  # the plane of a curve
_START, _END = 16.0, 344.0  # a scale across the figure, with room for its labels
_ROW = 44.0
_KEY_LINE = 19.0
_MAX_CANDIDATES = 10
_NAMES = 92.0  # width of the class names beside a confusion matrix
_LARGE = 15.0  # font size of its counts
_HALO: dict[str, Attribute] = {
    "paint_order": "stroke",
    "stroke": PAPER,
    "stroke_width": 6,
}  # keeps words readable where a rule runs behind them
_THIN: dict[str, Attribute] = {"stroke": INK, "stroke_width": 1.2}

Sample = tuple[str, str]
"""A drawn sample and what it stands for."""


# --- what all figures share


def drawable(points: Iterable[Sequence[float | None]]) -> list[tuple[float, ...]]:
    """Return the points of which every coordinate is known."""
    complete = (p for p in points if None not in p)
    return [tuple(v for v in p if v is not None) for p in complete]


def curve_picture(
    key: str, title: str, description: str, samples: list[Sample], *drawn: str
) -> str:
    """Return a picture of one plane with the key to its samples underneath."""
    top = _BOTTOM + 50
    size = (_WIDTH, top + _KEY_LINE * len(samples))
    return picture(key, size, title, description, *drawn, _key(samples, top))


def _key(samples: list[Sample], top: float) -> str:
    """Return one line a sample: what was drawn, what it means."""
    return "".join(
        element(
            "g",
            sample,
            text(34, 4, words, fill=MUTED),
            transform=f"translate({_LEFT:g} {top + 8 + i * _KEY_LINE:g})",
        )
        for i, (sample, words) in enumerate(samples)
    )


def _stroke_sample(**style: Attribute) -> str:
    """Return a short piece of a line for the key."""
    return line((0, 0), (24, 0), **style)


def _dot_sample(**style: Attribute) -> str:
    """Return a dot for the key."""
    return circle((12, 0), 5, **style)


def box_sample(**style: Attribute) -> str:
    """Return a short bar for the key."""
    return box(6, -6, 14, 12, rx=2, **style)


def _dot(at: Pair, words: str, radius: float = 5, /, **style: Attribute) -> str:
    """Return a disc that says what it is when pointed at."""
    disc = circle(at, radius, **style)
    return element("g", tooltip(words), disc)


_HOLLOW: dict[str, Attribute] = {"fill": PAPER, "stroke": INK, "stroke_width": 1.5}
_SOLID: dict[str, Attribute] = {"fill": RARE, "stroke": PAPER, "stroke_width": 1.5}


# --- the outcome


def outcome_strip(outcome: OutcomeSection, key: str = "outcome-strip") -> str:
    """Return winner, do-nothing and no skill on one scale that starts at zero."""
    rows = _outcome_rows(outcome)
    if not rows:
        return ""
    ends = [v for _, values, _ in rows for v in values]
    skill = outcome.no_skill
    x = Axis.around(
        [*ends, *([] if skill is None else [skill])], _START, _END, zero=True
    )
    bottom = _ROW * len(rows)
    drawn = [ruler(x, bottom, outcome.metric_label)]
    if skill is not None:
        at = x(skill)
        drawn.append(line((at, 0), (at, bottom), **_THIN, stroke_dasharray=NO_SKILL))
    for i, (label, values, style) in enumerate(rows):
        drawn.append(_interval(x, _ROW * i, label, values, style))
    words = "; ".join(f"{label}: {significant(v[0])}" for label, v, _ in rows)
    title = f"{outcome.metric_label} side by side"
    return picture(key, (_WIDTH, bottom + 40), title, words, *drawn)


def _outcome_rows(
    outcome: OutcomeSection,
) -> list[tuple[str, list[float], dict[str, Attribute]]]:
    """Return (label, [value, low, high], style) of each row whose value is known."""
    o = outcome
    cv_low, cv_high = _ends(o.winner_score, o.winner_se)
    rows: list[tuple[str, list[float | None], dict[str, Attribute]]] = [
        (
            "Winner, honest estimate",
            [o.honest_estimate, o.honest_low, o.honest_high],
            {"fill": ACCENT},
        ),
        ("Doing nothing, honest estimate", [o.honest_do_nothing], {"fill": REST}),
        ("Winner, cross-validated", [o.winner_score, cv_low, cv_high], _HOLLOW),
        ("Doing nothing, cross-validated", [o.do_nothing_score], _HOLLOW),
    ]
    return [
        (label, [v for v in values if v is not None], style)
        for label, values, style in rows
        if values[0] is not None
    ]


def _ends(value: float | None, spread: float | None) -> tuple[float | None, ...]:
    """Return value ± spread, or two None."""
    if value is None or spread is None:
        return None, None
    return value - spread, value + spread


def _interval(
    x: Axis, top: float, label: str, values: list[float], style: dict[str, Attribute]
) -> str:
    """Return a labelled dot; with three values, the second and third are its ends."""
    y, (value, *ends) = top + 29, values
    amount = significant(value)
    parts = [
        tooltip(f"{label}: {amount}"),
        text(0, top + 13, shorten(label, _WIDTH - 70), **_HALO),
        text(_WIDTH, top + 13, amount, text_anchor="end", font_weight=600, **_HALO),
    ]
    if len(ends) == 2:
        ink = style.get("stroke", style["fill"])
        parts.append(line((x(ends[0]), y), (x(ends[1]), y), stroke=ink, stroke_width=2))
    parts.append(circle((x(value), y), 5, data_value=amount, **style))
    return element("g", *parts)


# --- the search


def score_dots(
    search: SearchSection,
    outcome: OutcomeSection | None = None,
    key: str = "score-dots",
) -> str:
    """Return the best candidates, each with one standard error to either side."""
    rows = [r for r in search.rows if r.status == "complete" and r.mean is not None]
    rows = rows[:_MAX_CANDIDATES]
    if not rows:
        return ""
    spans = [[v for v in (r.mean, *_ends(r.mean, r.se)) if v is not None] for r in rows]
    baseline = outcome.do_nothing_score if outcome else None
    seen = [v for span in spans for v in span]
    x = Axis.around([*seen, *([] if baseline is None else [baseline])], _START, _END)
    bottom = _ROW * len(rows)
    drawn = [ruler(x, bottom, outcome.metric_label if outcome else "score")]
    if baseline is not None:
        at = x(baseline)
        drawn.append(line((at, 0), (at, bottom), **_THIN, stroke_dasharray=DO_NOTHING))
    for i, (row, span) in enumerate(zip(rows, spans, strict=True)):
        drawn.append(_candidate(x, _ROW * i, row, span, is_best=i == 0))
    words = "; ".join(f"{r.strategy}: {significant(r.mean)}" for r in rows)
    size = (_WIDTH, bottom + 40)
    return picture(key, size, "Scores of the best candidates", words, *drawn)


def _candidate(
    x: Axis, top: float, row: LeaderboardRow, span: list[float], *, is_best: bool
) -> str:
    """Return one candidate's row; the best one is in the accent colour."""
    return _interval(x, top, row.strategy, span, {"fill": ACCENT if is_best else REST})


def best_so_far(
    search: SearchSection, metric_label: str = "score", key: str = "best-so-far"
) -> str:
    """Return the best score after each second as steps."""
    points = drawable(search.best_so_far)
    if not points:
        return ""
    end = max(search.seconds or 0, points[-1][0])
    unit, name = (60, "minutes") if end > 300 else (1, "seconds")
    x = Axis(0, (end or 1) / unit, _LEFT + 6, _RIGHT)
    y = Axis.around([score for _, score in points], _BOTTOM, _TOP)
    path: list[Pair] = []
    for t, score in points:
        path += [(x(t / unit), path[-1][1])] if path else []
        path.append((x(t / unit), y(score)))
    path.append((x(end / unit), path[-1][1]))
    grid = plane(x, y, f"{name} since the start", f"best {metric_label} so far")
    words = f"From {significant(points[0][1])} to {significant(points[-1][1])}."
    dots = "".join(circle((x(t / unit), y(s)), 3.5, fill=ACCENT) for t, s in points)
    steps = polyline(path)
    return curve_picture(key, "Best score so far", words, [], grid, steps, dots)


# --- the winner


def pr_curve(winner: WinnerSection, key: str = "pr-curve") -> str:
    """Return precision over recall, with no skill and where the threshold stands."""
    points = drawable(winner.pr_curve)
    if not points:
        return ""
    x, y = Axis(0, 1, _LEFT, _RIGHT), Axis(0, 1, _BOTTOM, _TOP)
    drawn = [plane(x, y, "recall", "precision")]
    samples: list[Sample] = [(_stroke_sample(stroke=ACCENT, stroke_width=2), "winner")]
    if winner.no_skill_precision is not None:
        dashes: dict[str, Attribute] = {**_THIN, "stroke_dasharray": NO_SKILL}
        level = y(winner.no_skill_precision)
        drawn.append(line((x.start, level), (x.end, level), **dashes))
        label = f"no skill: precision {significant(winner.no_skill_precision)}"
        samples.append((_stroke_sample(**dashes), label))
    drawn.append(_band(x, y, winner.pr_band))
    drawn.append(polyline([(x(r), y(p)) for r, p in points]))
    for at, name, style in _cuts(winner):
        label = f"{name}: precision {significant(at[1])}, recall {significant(at[0])}"
        drawn.append(_dot((x(at[0]), y(at[1])), label, **style))
        samples.append((_dot_sample(**style), label))
    words = f"{len(points)} points. " + "; ".join(label for _, label in samples[1:])
    return curve_picture(key, "Precision-recall curve", words, samples, *drawn)


def _band(x: Axis, y: Axis, spans: Iterable[Sequence[float | None]]) -> str:
    """Return the wash between the lower and the upper ends; "" without any."""
    known = drawable(spans)
    upper = [(x(at), y(high)) for at, _, high in known]
    lower = [(x(at), y(low)) for at, low, _ in reversed(known)]
    return area(upper + lower) if known else ""


def _cuts(winner: WinnerSection) -> list[tuple[Pair, str, dict[str, Attribute]]]:
    """Return ((recall, precision), name, style) at 0.5 and at the threshold."""
    default = winner.at_default or {}
    cuts = [
        ((default.get("recall"), default.get("precision")), "cut at 0.5", _HOLLOW),
        (winner.operating_point or (None, None), "tuned threshold", _SOLID),
    ]
    return [
        ((recall, precision), name, style)
        for (recall, precision), name, style in cuts
        if recall is not None and precision is not None
    ]


def roc_curve(winner: WinnerSection, key: str = "roc-curve") -> str:
    """Return the true over the false positive rate."""
    points = drawable(winner.roc_curve)
    if not points:
        return ""
    x, y = Axis(0, 1, _LEFT, _RIGHT), Axis(0, 1, _BOTTOM, _TOP)
    dashes: dict[str, Attribute] = {**_THIN, "stroke_dasharray": NO_SKILL}
    samples = [
        (_stroke_sample(stroke=ACCENT, stroke_width=2), "winner"),
        (_stroke_sample(**dashes), "no skill"),
    ]
    return curve_picture(
        key,
        "ROC curve",
        f"{len(points)} points, against the diagonal of no skill.",
        samples,
        plane(x, y, "false positive rate", "true positive rate"),
        _band(x, y, winner.roc_band),
        line((x(0), y(0)), (x(1), y(1)), **dashes),
        polyline([(x(fpr), y(tpr)) for fpr, tpr in points]),
    )


def calibration(winner: WinnerSection, key: str = "calibration") -> str:
    """Return observed shares over predicted probabilities, before and after."""
    before = drawable(winner.calibration_before)
    after = drawable(winner.calibration_after)
    if not before and not after:
        return ""
    values = [v for p in (*before, *after) for v in p[:2]]
    top = Axis.around(values, 0, 1, zero=True).high
    x, y = Axis(0, top, _LEFT, _RIGHT), Axis(0, top, _BOTTOM, _TOP)
    dashes: dict[str, Attribute] = {**_THIN, "stroke_dasharray": IDEAL}
    name = f"after ({winner.calibration_name})" if winner.calibration_name else "after"
    drawn = [
        plane(x, y, "predicted probability", "observed share"),
        line((x(0), y(0)), (x(top), y(top)), **dashes),
    ]
    samples: list[Sample] = [(_stroke_sample(**dashes), "ideal")]
    for bins, label, ink in ((before, "before", REST), (after, name, ACCENT)):
        if bins:
            drawn.append(_reliability(x, y, bins, ink))
            samples.append((_dot_sample(fill=ink), label))
    words = "; ".join(
        f"{len(b)} bins {n}" for b, n in ((before, "before"), (after, "after"))
    )
    return curve_picture(key, "Calibration", words, samples, *drawn)


def _reliability(x: Axis, y: Axis, bins: list[tuple[float, ...]], ink: str) -> str:
    """Return one line of bins; a disc's area grows with its number of rows."""
    largest = max(count for *_, count in bins) or 1
    discs = "".join(
        _dot(
            (x(predicted), y(observed)),
            f"predicted {significant(predicted)}, observed {significant(observed)}, "
            f"{thousands(count)} rows",
            3 + 4 * (count / largest) ** 0.5,
            fill=ink,
        )
        for predicted, observed, count in bins
    )
    path = polyline([(x(p), y(o)) for p, o, _ in bins], stroke=ink, stroke_width=1.5)
    return path + discs


def confusion(winner: WinnerSection, key: str = "confusion") -> str:
    """Return the confusion matrix, coloured by the share of each true class."""
    labels, n = winner.class_labels, len(winner.confusion)
    if not n or len(labels) != n:
        return ""
    side = min((_WIDTH - _NAMES - 1) / n, 92)
    left, top = _NAMES, 40.0 if n <= 4 else 92.0
    drawn = [text(left, 12, "predicted", fill=MUTED), _edge_labels(labels, side, top)]
    drawn.append(text(0, top - 8, "true", fill=MUTED))
    for i, counts in enumerate(winner.confusion):
        total = sum(counts) or 1
        for j, count in enumerate(counts):
            at = (left + j * side, top + i * side)
            words = f"true {labels[i]}, predicted {labels[j]}"
            drawn.append(_cell(at, side, count, count / total, words, hit=i == j))
    rows = (
        f"{name}: " + ", ".join(thousands(count) for count in counts)
        for name, counts in zip(labels, winner.confusion, strict=True)
    )
    size = (_WIDTH, top + n * side + 1)
    return picture(key, size, "Confusion matrix", "; ".join(rows), *drawn)


def _edge_labels(labels: Sequence[str], side: float, top: float) -> str:
    """Return class names along the left and the upper edge, slanted where narrow."""
    parts = []
    for i, label in enumerate(labels):
        middle = _NAMES + (i + 0.5) * side
        across = shorten(label, side - 4 if len(labels) <= 4 else 80)
        slant: dict[str, Attribute] = {"text_anchor": "middle"}
        if len(labels) > 4:
            turn = f"rotate(50 {middle:.1f} {top - 8:.1f})"
            slant = {"text_anchor": "end", "transform": turn}
        down = top + (i + 0.5) * side + 4
        parts += [
            text(middle, top - 8, across, **slant),
            text(_NAMES - 8, down, shorten(label, _NAMES - 8), text_anchor="end"),
        ]
    return "".join(parts)


def _cell(
    at: Pair, side: float, count: float, share: float, words: str, *, hit: bool
) -> str:
    """Return one cell: right ones in the accent colour, wrong ones in rarity's."""
    (x, y), middle = at, (at[0] + side / 2, at[1] + side / 2 + 4)
    parts = [
        tooltip(f"{words}: {thousands(count)} ({percent(share)})"),
        box(x, y, side, side, fill=PAPER, stroke=RULE),
        box(
            x,
            y,
            side,
            side,
            fill=ACCENT if hit else RARE,
            fill_opacity=0.05 + 0.5 * share if count else 0,
        ),
    ]
    return element("g", *parts, *_cell_words(middle, side, count, share))


def _cell_words(middle: Pair, side: float, count: float, share: float) -> list[str]:
    """Return count and share, the count alone, or nothing, as the cell has room."""
    x, y = middle
    anchor: dict[str, Attribute] = {"text_anchor": "middle"}
    if side < 30:
        return []
    if side < 56:
        return [text(x, y, compact(count), **anchor)]
    full = thousands(count)
    amount = full if width_of(full, _LARGE) < side else compact(count)
    large: dict[str, Attribute] = {"font_weight": 600, "font_size": _LARGE, **anchor}
    return [
        text(x, y - 8, amount, **large),
        text(x, y + 10, percent(share), **anchor),
    ]


# --- more data


def growth(section: GrowthSection, key: str = "growth") -> str:
    """Return scores over minority rows, and what twice as many would give."""
    points = drawable(section.points)
    if not points:
        return ""
    ends = [v for _, s, e in points for v in (s - e, s + e)]
    last_n, last = points[-1][:2]
    doubled = None if section.gain is None else last + section.gain
    values = [*ends, *([] if doubled is None else [doubled])]
    x = Axis.around([0, 2 * last_n], _LEFT + 6, _RIGHT)
    y = Axis.around(values, _BOTTOM, _TOP)
    drawn = [plane(x, y, "minority rows in training", section.metric_label)]
    drawn += [
        line((x(n), y(s - e)), (x(n), y(s + e)), stroke=ACCENT, stroke_width=1.5)
        for n, s, e in points
    ]
    drawn.append(polyline([(x(n), y(s)) for n, s, _ in points]))
    drawn += [
        _dot((x(n), y(s)), f"{thousands(n)} rows: {significant(s)}", fill=ACCENT)
        for n, s, _ in points
    ]
    samples: list[Sample] = [(_dot_sample(fill=ACCENT), "measured, ± one SE")]
    if doubled is not None:
        tail = [(x(last_n), y(last)), (x(2 * last_n), y(doubled))]
        label = f"{thousands(2 * last_n)} rows: {significant(doubled)}"
        drawn += [
            polyline(tail, stroke_dasharray=IDEAL),
            _dot(tail[1], label, **_HOLLOW),
        ]
        samples.append((_dot_sample(**_HOLLOW), "expected of twice as many"))
    words = "; ".join(f"{thousands(n)} rows {significant(s)}" for n, s, _ in points)
    return curve_picture(key, "Learning curve", words, samples, *drawn)
