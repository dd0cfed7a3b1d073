"""Report data to one HTML page, one Markdown page or one JSON file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autoimb._files import replacing
from autoimb._report import bars, figures, formats
from autoimb._report.flowchart import flowchart
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from jinja2 import Environment

    from autoimb._report.data import (
        ExplorerSection,
        LeaderboardRow,
        OutcomeSection,
        ReportData,
        SearchSection,
        WinnerSection,
    )

_MAX_ROWS = 200  # of the leaderboard in a page; the JSON file holds them all
_N_HEADLINES = 3

_QUIET = {"skipped": "not started", "duplicate": "tried before"}
"""Statuses of rows that a page hides at first, and what it says of them."""


# --- metrics as people call them


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is shown."""

    label: str
    is_cut: bool = True
    """Whether the threshold changes it."""
    lower_is_better: bool = False


METRICS = {
    "precision": Metric("Precision"),
    "recall": Metric("Recall"),
    "f1": Metric("F1"),
    "f1_macro": Metric("F1, macro"),
    "f1_weighted": Metric("F1, weighted"),
    "mcc": Metric("MCC"),
    "gmean": Metric("G-mean"),
    "balanced_accuracy": Metric("Balanced accuracy"),
    "specificity": Metric("Specificity"),
    "accuracy": Metric("Accuracy"),
    "cost": Metric("Cost", lower_is_better=True),
    "average_precision": Metric("PR-AUC", is_cut=False),
    "roc_auc": Metric("ROC-AUC", is_cut=False),
    "brier": Metric("Brier score", is_cut=False, lower_is_better=True),
    "log_loss": Metric("Log loss", is_cut=False, lower_is_better=True),
}
"""Every metric the report knows, in the order of its tables."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric before and after the threshold."""

    name: str
    metric: Metric
    at_default: float | None
    at_threshold: float | None

    @property
    def better(self) -> Literal["", "default", "threshold"]:
        """Return which of the two values is the better one, "" on a tie."""
        a, b = self.at_default, self.at_threshold
        if not self.metric.is_cut or a is None or b is None or a == b:
            return ""
        return "threshold" if (b > a) != self.metric.lower_is_better else "default"


def metric_rows(winner: WinnerSection) -> list[MetricRow]:
    """Return every metric that was measured, known ones first and in order."""
    before, after = winner.at_default or {}, winner.at_threshold or {}
    measured = [n for n in {**before, **after} if (before | after)[n] is not None]
    names = [n for n in METRICS if n in measured]
    names += [n for n in measured if n not in METRICS]
    return [
        MetricRow(n, _metric(n), before.get(n), after.get(n, before.get(n)))
        for n in names
    ]


def _metric(name: str) -> Metric:
    """Return how to show a metric, also one that the table does not know."""
    return METRICS.get(name) or Metric(name.replace("_", " ").capitalize())


# --- what the templates read


def verdict(outcome: OutcomeSection) -> str:
    """Return the sentence under the title."""
    if outcome.sentences:
        return outcome.sentences[0]
    if outcome.doing_nothing_won:
        return f"Doing nothing about the imbalance won: {outcome.winner}."
    return f"{outcome.winner} scored best."


def make_figures(data: ReportData) -> dict[str, str]:
    """Return every figure's SVG by name; "" where its values are missing."""
    drawn = dict.fromkeys(_FIGURE_NAMES, "")
    drawn["class_bars"] = bars.class_bars(data.data)
    drawn["minority_types"] = bars.minority_types(data.data)
    if data.guide:
        drawn["flowchart"] = flowchart(data.guide)
        drawn["flowchart_narrow"] = flowchart(data.guide, "flowchart-narrow", 340)
    if data.outcome:
        drawn["outcome_strip"] = figures.outcome_strip(data.outcome)
    if data.search:
        label = data.outcome.metric_label if data.outcome else "score"
        drawn["score_dots"] = figures.score_dots(data.search, data.outcome)
        drawn["best_so_far"] = figures.best_so_far(data.search, label)
        drawn["importances"] = bars.importances(data.search)
    if data.winner:
        drawn |= _winner_figures(data.winner)
    if data.growth:
        drawn["growth"] = figures.growth(data.growth)
    drawn["features"] = bars.features(data.features)
    return drawn


_FIGURE_NAMES = [
    "class_bars",
    "minority_types",
    "flowchart",
    "flowchart_narrow",
    "outcome_strip",
    "score_dots",
    "best_so_far",
    "importances",
    "pr_curve",
    "histogram",
    "roc_curve",
    "calibration",
    "confusion",
    "features",
    "growth",
]


def _winner_figures(winner: WinnerSection) -> dict[str, str]:
    """Return the figures of the winner's section by name."""
    return {
        "pr_curve": figures.pr_curve(winner),
        "histogram": bars.histogram(winner),
        "roc_curve": figures.roc_curve(winner),
        "calibration": figures.calibration(winner),
        "confusion": figures.confusion(winner),
    }


def _context(data: ReportData) -> dict[str, Any]:
    """Return the names that both templates use."""
    rows = metric_rows(data.winner) if data.winner else []
    cuts = [row for row in rows if row.metric.is_cut]
    shown = data.search.rows[:_MAX_ROWS] if data.search else ()
    return {
        "report": data,
        "has_origin": _has_origin(data),
        "verdict": verdict(data.outcome) if data.outcome else "",
        "kinds": _kinds(data.data.feature_kinds),
        "default_cut": "at 0.5" if data.is_binary else "most probable class",
        "cut_rows": cuts,
        "ranking_rows": [row for row in rows if not row.metric.is_cut],
        "headlines": cuts[:_N_HEADLINES],
        "leaderboard": shown,
        "statuses": _statuses(shown),
        "explorer": data.winner.explorer if data.winner else None,
        "n_left_out": _left_out(data.search),
        "weights": _class_weights(data.winner),
        "confusion": _confusion(data.winner),
        "expected": _expected(data.winner),
        "axes": _AXES,
        "card": _card(data),
        "blanks": _BLANKS,
    }


_BLANKS = (
    ("Intended use", "which decision it supports, who decides"),
    ("Not to be used for", "people, places, times it was not made for"),
    ("Where the rows come from", "source, period, who labelled them and how"),
    ("Who may be harmed", "by a false alarm, by a miss, and how they can appeal"),
    ("Monitoring", "what is watched, when it is fitted again"),
    ("Owner", "name, date, version"),
)
"""What a model card asks that cannot be measured, with a hint.

After M. Mitchell et al., "Model cards for model reporting", FAT* 2019, section 4.
"""

_AXES = {
    "resampler": "resampling",
    "class_weight": "class weights",
    "loss": "loss",
}
"""The axes that candidates are compared on, as people call them."""


def _expected(
    winner: WinnerSection | None,
) -> list[tuple[str, tuple[float | None, ...]]]:
    """Return (metric, mean and range on new data) of precision and recall."""
    spans = (winner.expected if winner else None) or {}
    return [(_metric(n).label, spans[n]) for n in ("precision", "recall") if n in spans]


def _card(data: ReportData) -> list[tuple[str, str]]:
    """Return what a model card asks that is known."""
    outcome, found = data.outcome, data.data
    classes = ", ".join(
        f"{c.label} ({formats.thousands(c.count)} rows)" for c in found.classes
    )
    known = [("Classes", classes)]
    if outcome is not None:
        expected = formats.significant(outcome.honest_estimate)
        span = [
            formats.significant(v) for v in (outcome.honest_low, outcome.honest_high)
        ]
        known = [
            ("Model", outcome.winner),
            *known,
            ("Measured by", outcome.metric_label),
            ("Expected on new data", f"{expected} ({' to '.join(span)})"),
        ]
    return [*known, ("Made", f"{data.created} from data {data.fingerprint}")]


def _has_origin(data: ReportData) -> bool:
    """Return whether anything is known about how the result came about."""
    code = data.winner.code if data.winner else ""
    return any((code, data.settings, data.versions, data.created, data.fingerprint))


def _kinds(feature_kinds: dict[str, int] | None) -> str:
    """Return the kinds of columns in words, such as "5 numeric, 3 categorical"."""
    return ", ".join(f"{n:,} {kind}" for kind, n in (feature_kinds or {}).items() if n)


def _left_out(search: SearchSection | None) -> int:
    """Return how many leaderboard rows the page does not show."""
    return max(0, len(search.rows) - _MAX_ROWS) if search else 0


@dataclass(frozen=True, slots=True)
class StatusCount:
    """How many candidates of the leaderboard ended in one way."""

    status: str
    count: int

    @property
    def quiet(self) -> str:
        """What is said of these rows where they are hidden at first, else ""."""
        return _QUIET.get(self.status, "")


def _statuses(rows: tuple[LeaderboardRow, ...]) -> list[StatusCount]:
    """Return the statuses that occur, in the order of the rows."""
    return [StatusCount(*pair) for pair in Counter(r.status for r in rows).items()]


def _class_weights(winner: WinnerSection | None) -> list[tuple[str, float]]:
    """Return (class, weight) pairs where the threshold is one weight a class."""
    if winner is None or not isinstance(winner.threshold, tuple):
        return []
    return list(zip(winner.class_labels, winner.threshold, strict=False))


def _confusion(
    winner: WinnerSection | None,
) -> list[tuple[str, tuple[float, ...]]]:
    """Return (true class, counts) rows, none where the classes have no names."""
    if winner is None or len(winner.class_labels) != len(winner.confusion):
        return []
    return list(zip(winner.class_labels, winner.confusion, strict=True))


# --- the three formats


def render_html(data: ReportData) -> str:
    """Return a page that needs no network and no other file."""
    from markupsafe import Markup

    template = _html_environment().get_template("report.html.j2")
    context = _context(data)
    drawn = {
        name: Markup(svg)  # noqa: S704  figures escape every text they hold
        for name, svg in make_figures(data).items()
    }
    island = Markup(_island(context["explorer"]))  # noqa: S704  no "<" is left
    return template.render(context, figures=drawn, explorer_json=island)


def _island(explorer: ExplorerSection | None) -> str:
    """Return the explorer's numbers as JSON that no script element ends inside of."""
    values = explorer.to_dict() if explorer else None
    return json.dumps(values, allow_nan=False).replace("<", r"\u003c")


def render_markdown(data: ReportData) -> str:
    """Return the report as GitHub-flavoured Markdown, without figures."""
    template = _markdown_environment().get_template("report.md.j2")
    code = data.winner.code if data.winner else ""
    return template.render(_context(data), fence=formats.fence(code))


def render_json(data: ReportData) -> str:
    """Return the report's values as JSON; `ReportData.from_dict` reads them."""
    return json.dumps(data.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


@cache
def _html_environment() -> Environment:
    """Return the environment that escapes HTML."""
    return _environment(autoescape=True)


@cache
def _markdown_environment() -> Environment:
    """Return the environment that escapes Markdown in whatever it prints."""
    from markupsafe import Markup

    environment = _environment(finalize=formats.escape_markdown)
    environment.filters["verbatim"] = Markup  # for fenced code, where nothing acts
    return environment


def _environment(**options: Any) -> Environment:
    """Return an environment with the report's templates and number formats."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701  each caller sets its own escaping
        loader=PackageLoader("autoimb._report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= {
        "num": formats.significant,
        "signed": formats.signed,
        "gained": formats.gained,
        "percent": formats.percent,
        "seconds": formats.seconds,
        "thousands": formats.thousands,
        "md": formats.escape_markdown,
    }
    return environment


# --- the object a user holds


class Report:
    """What was tried, what won, why, and what it bought.

    Parameters
    ----------
    data : ReportData
        The measured values to show.

    Attributes
    ----------
    data : ReportData
        As given.
    """

    def __init__(self, data: ReportData) -> None:
        self.data = data

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the report, in the format that the file's suffix names.

        Parameters
        ----------
        path : str or path-like
            A file that ends in ``.html``, ``.md`` or ``.json``; it is replaced.

        Returns
        -------
        Path
            The file that was written.

        Raises
        ------
        BadInputError
            The suffix is none of the three.
        OSError
            The file cannot be written; an earlier one is as it was.
        """
        target = Path(path)
        render = check_format(target)
        page = render(self.data).encode()
        with replacing(target) as file:
            file.write(page)
        return target

    def to_dict(self) -> dict[str, Any]:
        """Return every value of the report as JSON-able Python.

        Returns
        -------
        dict
            What ``save("report.json")`` writes.
        """
        return self.data.to_dict()

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own: no style leaks out or in."""
        page = escape(render_html(self.data))
        return (
            f'<iframe title="{escape(self.data.title)}" srcdoc="{page}" '
            'sandbox="allow-scripts" loading="lazy" '
            'style="width: 100%; height: 42rem; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        outcome = self.data.outcome
        won = f", winner={outcome.winner!r}" if outcome else ""
        return f"Report({self.data.title!r}{won})"


def check_format(path: Path) -> Callable[[ReportData], str]:
    """Return what writes the format of a file; raise if its suffix names none."""
    render = _RENDERERS.get(path.suffix.lower())
    if render is None:
        raise BadInputError(
            f"cannot tell the report's format from {str(path)!r}: "
            f"let it end in {', '.join(sorted(_RENDERERS))}"
        )
    return render


_RENDERERS: dict[str, Callable[[ReportData], str]] = {
    ".html": render_html,
    ".json": render_json,
    ".md": render_markdown,
}
