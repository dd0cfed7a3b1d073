"""The monitoring report as an HTML page, a Markdown page or a JSON file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from autoimb._report.figures import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Interval,
    curve_picture,
    drawable,
    interval_picture,
    reliability_picture,
)
from autoimb._report.formats import percent, significant
from autoimb._report.page import Page, environment, render_json
from autoimb._report.svg import ACCENT, INK, PAPER, REST, Axis, Plane, line, polyline

if TYPE_CHECKING:
    from autoimb._monitor.data import MonitorData
    from autoimb._report.svg import Style

_PACKAGE = "autoimb._monitor"
_MOST_COLUMNS = 200  # in a page; the JSON file holds them all
_MOST_CLASSES = 8  # in a figure
_HOLLOW: Style = {"fill": PAPER, "stroke": INK, "stroke_width": 1.5}
_STROKE = ((0.0, 0.0), (24.0, 0.0))  # a line in the key under a figure


def _shares_strip(data: MonitorData) -> str:
    """Return the share of each class: before, estimated in two ways, and measured."""
    measured = (
        {row.label: row.share for row in data.labels.classes} if data.labels else {}
    )
    rows = []
    for row in _of_interest(data)[:_MOST_CLASSES]:
        name = "" if data.pos_label else f"{row.label}: "
        rows += [
            Interval(f"{name}training table", row.before, {"fill": REST}),
            Interval(
                f"{name}by probabilities", row.share, {"fill": ACCENT}, *row.share_span
            ),
            Interval(
                f"{name}by confusion matrix",
                row.by_confusion,
                _HOLLOW,
                *row.by_confusion_span,
            ),
            Interval(f"{name}by labels", measured.get(row.label), {"fill": INK}),
        ]
    label = f"share of {data.pos_label}" if data.pos_label else "share of the class"
    return interval_picture(
        "shares-strip",
        "Shares of the classes",
        rows,
        metric_label=label,
        level=None,
        dashes={},
        zero=True,
    )


def _score_steps(data: MonitorData) -> str:
    """Return the shares of scores by bin: what was expected, and what came."""
    bins = drawable(data.histogram)
    if not bins:
        return ""
    n = len(bins)
    x = Axis(0, n, LEFT, RIGHT)
    y = Axis.around([max(max(b[2:]) for b in bins) or 1], BOTTOM, TOP, zero=True)
    plane = Plane(x, y)
    step = max(1, n // 5)
    ticks = [(float(i), significant(bins[i][0], 2)) for i in range(0, n, step)]
    shares = [(value, f"{100 * value:.3g}%") for value, _ in y.ticks()]
    styles: dict[str, Style] = {
        "expected": {"stroke": REST, "stroke_width": 2},
        "these rows": {"stroke": ACCENT, "stroke_width": 2},
    }
    drawn = [plane.grid("score", "share of the rows", ticks, shares)]
    for at, style in enumerate(styles.values(), start=2):
        path = [(i + end, b[at]) for i, b in enumerate(bins) for end in (0.0, 1.0)]
        drawn.append(polyline(plane(path), **style))
    samples = [(line(*_STROKE, **style), name) for name, style in styles.items()]
    words = f"{n} bins; {percent(data.score_distance)} of the rows lie elsewhere."
    return curve_picture("score-steps", "Scores", words, samples, *drawn)


def _of_interest(data: MonitorData) -> list[Any]:
    """Return the class of interest, or all of several."""
    return [row for row in data.classes if data.pos_label in {"", row.label}]


def _context(data: MonitorData) -> dict[str, Any]:
    """Return the names that both templates use."""
    return {
        "report": data,
        "of_interest": _of_interest(data),
        "columns": data.columns[:_MOST_COLUMNS],
        "n_left_out": max(0, len(data.columns) - _MOST_COLUMNS),
        "n_changed": sum(column.is_changed for column in data.columns),
    }


def render_html(data: MonitorData) -> str:
    """Return a page that needs no network and no other file."""
    from markupsafe import Markup

    labels = data.labels
    drawn = {
        "shares": _shares_strip(data),
        "scores": _score_steps(data),
        "calibration": reliability_picture(
            (labels.bins_before, "in training", REST),
            (labels.bins, "these rows", ACCENT),
        )
        if labels
        else "",
    }
    figures = {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704  escaped
    template = environment(is_html=True, package=_PACKAGE).get_template(
        "monitor.html.j2"
    )
    return template.render(_context(data), figures=figures)


def render_markdown(data: MonitorData) -> str:
    """Return the report as GitHub-flavoured Markdown, without figures."""
    template = environment(is_html=False, package=_PACKAGE).get_template(
        "monitor.md.j2"
    )
    return template.render(_context(data))


class MonitorReport(Page):
    """What new rows say of a model: shares of the classes, drift, and what labels say.

    ``print`` shows its sentences.

    Parameters
    ----------
    data : MonitorData
        The measured values to show.
    prior : float or dict
        Estimated shares of the classes, as `AutoImbalance.set_prior` takes them.

    Attributes
    ----------
    data : MonitorData
        As given.
    prior : float or dict
        What to pass to `set_prior` if only the shares of the classes moved: for two
        classes the share of `pos_label_`, else a dict of label to share.
    only_shares_moved : bool
        Whether a change of the shares of the classes explains all that was found. If it
        does not, `prior` and the expected precision and recall are not to be relied on.
    """

    _renderers: ClassVar = {
        ".html": render_html,
        ".json": render_json,
        ".md": render_markdown,
    }

    def __init__(self, data: MonitorData, prior: float | dict[Any, float]) -> None:
        self.data = data
        self.prior = prior

    @property
    def only_shares_moved(self) -> bool:
        """Whether a change of the class shares explains all that was found."""
        return bool(self.data.only_shares_moved)

    def __repr__(self) -> str:
        n_changed = sum(column.is_changed for column in self.data.columns)
        return (
            f"MonitorReport(n_rows={self.data.n_rows}, columns_changed={n_changed}, "
            f"only_shares_moved={self.only_shares_moved})"
        )
