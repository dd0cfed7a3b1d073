"""The report as an HTML page, a Markdown page or a JSON file."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from autoimb._report import bars, figures, formats
from autoimb._report.data import (
    GuideSection,
    OutcomeSection,
    SearchSection,
    WinnerSection,
)
from autoimb._report.flowchart import flowchart
from autoimb._report.further_data import LearningCurveSection
from autoimb._report.page import Page, environment, render_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoimb._report.data import ReportData

_MAX_ROWS = 200  # of the leaderboard in a page; the JSON file holds them all
_N_HEADLINES = 3
_MAX_FEATURES = 30  # columns in a table of what they are worth
_HIDDEN_STATUSES = {"skipped": "not started", "duplicate": "tried before"}
"""Statuses of rows that a page hides at first, and what it says of them."""


# --- metrics


LABEL_METRICS = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "f1_macro": "Macro F1",
    "f1_weighted": "Weighted F1",
    "mcc": "MCC",
    "gmean": "G-mean",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
}
"""Labels of the metrics that depend on the threshold, in the order of the tables."""
RANKING_METRICS = {"average_precision": "PR-AUC", "roc_auc": "ROC-AUC"}
PROBABILITY_METRICS = {
    **{name: f"{label}, all rows at once" for name, label in RANKING_METRICS.items()},
    "brier": "Brier score (lower is better)",
    "log_loss": "Log loss (lower is better)",
}
"""Labels of the metrics that do not depend on the threshold."""


class MetricRow(NamedTuple):
    """One metric at the default and at the tuned threshold."""

    label: str
    at_default: float | None
    at_threshold: float | None

    @property
    def better(self) -> Literal["", "default", "threshold"]:
        """Which of the two values is higher, "" on a tie."""
        a, b = self.at_default, self.at_threshold
        if a is None or b is None or a == b:
            return ""
        return "threshold" if b > a else "default"


def metric_rows(winner: WinnerSection, labels: Mapping[str, str]) -> list[MetricRow]:
    """Return the metrics that were measured, in the order of the labels."""
    before, after = winner.at_default or {}, winner.at_threshold or {}
    rows = (
        MetricRow(label, before.get(name), after.get(name, before.get(name)))
        for name, label in labels.items()
    )
    return [row for row in rows if row[1:] != (None, None)]


# --- what the templates read


def make_figures(data: ReportData) -> dict[str, str]:
    """Return every figure's SVG by name; "" where its values are missing."""
    no_outcome = OutcomeSection(metric_label="score", winner="", winner_score=None)
    no_curve = LearningCurveSection(metric_label="score", points=())
    outcome, search = data.outcome or no_outcome, data.search or SearchSection()
    guide, winner = data.guide or GuideSection(), data.winner or WinnerSection()
    return {
        "class_bars": bars.class_bars(data.data),
        "minority_types": bars.minority_types(data.data),
        "flowchart": flowchart(guide),
        "flowchart_narrow": flowchart(guide, "flowchart-narrow", 340),
        "outcome_strip": figures.outcome_strip(outcome),
        "score_dots": figures.score_dots(search, outcome),
        "best_so_far": figures.best_so_far(search, outcome.metric_label),
        "importances": bars.importances(search),
        "pr_curve": figures.pr_curve(winner),
        "histogram": bars.histogram(winner),
        "roc_curve": figures.roc_curve(winner),
        "calibration": figures.calibration(winner),
        "confusion": figures.confusion(winner),
        "features": bars.features(data.features),
        "learning_curve": figures.learning_curve(data.learning_curve or no_curve),
    }


def _context(data: ReportData) -> dict[str, Any]:
    """Return the names that both templates use."""
    winner, search = data.winner or WinnerSection(), data.search or SearchSection()
    is_binary = len(data.data.classes) == 2
    named = {k: v for k, v in LABEL_METRICS.items() if is_binary or k != "f1"}
    label_rows, shown = metric_rows(winner, named), search.rows[:_MAX_ROWS]
    statuses = Counter(row.status for row in shown)
    origin = (data.settings, data.versions, data.created, data.fingerprint)
    kinds, threshold = data.data.feature_kinds or {}, winner.threshold
    return {
        "report": data,
        "max_features": _MAX_FEATURES,
        "has_origin": any((winner.code, *origin)),
        "verdict": "".join(data.outcome.sentences[:1]) if data.outcome else "",
        "kinds": ", ".join(f"{n:,} {kind}" for kind, n in kinds.items() if n),
        "default_cut": "at 0.5" if is_binary else "most probable class",
        "label_rows": label_rows,
        "probability_rows": metric_rows(winner, PROBABILITY_METRICS),
        "three_scores": _scores_of_winner(data),
        "headlines": label_rows[:_N_HEADLINES],
        "leaderboard": shown,
        "statuses": [
            (name, n, _HIDDEN_STATUSES.get(name, "")) for name, n in statuses.items()
        ],
        "explorer": winner.explorer,
        "n_left_out": len(search.rows) - len(shown),
        "weights": list(zip(winner.class_labels, threshold, strict=False))
        if isinstance(threshold, tuple)
        else [],
        "confusion": list(zip(winner.class_labels, winner.confusion, strict=False)),
        "expected": [
            (LABEL_METRICS[name], span)
            for name, span in (winner.expected or {}).items()
            if name in {"precision", "recall"}
        ],
        "axes": _AXES,
        "card": _card(data),
        "blanks": _BLANKS,
    }


_BLANKS = (
    ("Intended use", "which decision it supports, who decides"),
    ("Not to be used for", "people, places, times it was not made for"),
    ("Where the rows come from", "source, period, who labelled them and how"),
    ("Who may be harmed", "by a false alert, by a miss, and how they can appeal"),
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
"""Labels of the axes on which candidates are compared."""


def _scores_of_winner(data: ReportData) -> list[tuple[str, float | None]]:
    """Return each figure of the winner's metric, with what it is; empty unless several.

    They differ although they are of the same models and rows.
    """
    o, at_threshold = data.outcome, (data.winner and data.winner.at_threshold) or {}
    if o is None:
        return []
    names = {label: name for name, label in RANKING_METRICS.items()}
    over_all_rows = at_threshold.get(names.get(o.metric_label, ""))
    scores = [
        ("to expect on new data, the honest estimate", o.honest_estimate),
        ("cross-validated, the mean of small folds", o.winner_score),
        ("over all rows at once, before any correction", over_all_rows),
    ]
    return [] if any(value is None for _, value in scores) else scores


def _card(data: ReportData) -> list[tuple[str, str]]:
    """Return what a model card asks that is known."""
    o, number = data.outcome, formats.significant
    counts = (f"{c.label} ({c.count:,} rows)" for c in data.data.classes)
    known = [("Classes", ", ".join(counts))]
    if o is not None:
        span = f"{number(o.honest_low)} to {number(o.honest_high)}"
        known = [
            ("Model", o.winner),
            *known,
            ("Measured by", o.metric_label),
            ("Expected on new data", f"{number(o.honest_estimate)} ({span})"),
        ]
    return [*known, ("Made", f"{data.created} from data {data.fingerprint}")]


# --- the three formats


def render_html(data: ReportData) -> str:
    """Return a page that needs no network and no other file."""
    from markupsafe import Markup

    explorer = data.winner and data.winner.explorer
    drawn = {
        name: Markup(svg)  # noqa: S704  figures escape every text they hold
        for name, svg in make_figures(data).items()
    }
    # Escaped so that no label ends the script element that the numbers stand in.
    numbers = json.dumps(explorer and explorer.to_dict()).replace("<", r"\u003c")
    template = environment(is_html=True).get_template("report.html.j2")
    return template.render(
        _context(data),
        figures=drawn,
        explorer_json=Markup(numbers),  # noqa: S704  no "<" is left
    )


def render_markdown(data: ReportData) -> str:
    """Return the report as GitHub-flavoured Markdown, without figures."""
    template = environment(is_html=False).get_template("report.md.j2")
    code = data.winner.code if data.winner else ""
    return template.render(_context(data), fence=formats.fence(code))


# --- the object a user holds


class Report(Page):
    """What was tried, what was chosen, why, and what it gained.

    ``print`` shows its sentences.

    Parameters
    ----------
    data : ReportData
        The measured values to show.

    Attributes
    ----------
    data : ReportData
        As given.
    """

    _renderers: ClassVar = {
        ".html": render_html,
        ".json": render_json,
        ".md": render_markdown,
    }

    def __init__(self, data: ReportData) -> None:
        self.data = data

    def __repr__(self) -> str:
        outcome = self.data.outcome
        won = f", winner={outcome.winner!r}" if outcome else ""
        return f"Report({self.data.title!r}{won})"
