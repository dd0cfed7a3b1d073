"""Fill the report's values from what was measured; nothing is fitted here."""

from __future__ import annotations

import platform
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from autoimb._clock import check_limits
from autoimb._folds import describe_folds
from autoimb._guide import FLOWCHART, Branch, Question
from autoimb._report.closeup import decided, winner_section
from autoimb._report.data import (
    Check,
    ClassCount,
    DataSection,
    FlowEdge,
    FlowNode,
    GuideSection,
    OutcomeSection,
    ReportData,
)
from autoimb._report.tried import search_section
from autoimb._report.wording import answer_name, difference_of, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoimb._data import Table
    from autoimb._decision import Decision
    from autoimb._fitted import Finished
    from autoimb._metrics import Metric
    from autoimb._profile import DatasetProfile
    from autoimb._report.evidence import Evidence

_PACKAGES = (
    "autoimb",
    "scikit-learn",
    "imbalanced-learn",
    "xgboost",
    "torch",
    "optuna",
    "numpy",
    "pandas",
)


def settings_of(params: Mapping[str, Any], metric: Metric) -> dict[str, str]:
    """Return what the parameters of an `AutoImbalance` asked for, in words."""
    n_trials = params["n_trials"]
    seconds = check_limits(params["time_budget"], n_trials)
    return {
        "search metric": metric.label,
        "time budget": "none" if seconds is None else f"{seconds:g} s",
        "trials": "no limit" if n_trials is None else str(n_trials),
        "random state": str(params["random_state"]),
    }


def build_report(seen: Evidence, *, settings: dict[str, str], code: str) -> ReportData:
    """Return the report's values.

    `settings` is what the user asked for, in words; `code` runs the fit again.
    """
    return ReportData(
        title="Strategy report",
        created=date.today().isoformat(),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
        fingerprint=seen.problem.table.fingerprint,
        settings={**settings, "folds": describe_folds(seen.problem.folds)},
        data=_data_section(seen.profile),
        guide=_guide_section(seen),
        outcome=_outcome_section(seen),
        search=search_section(seen),
        winner=winner_section(seen, code),
    )


def with_decision(data: ReportData, decision: Decision, code: str) -> ReportData:
    """Return the report as it is after another decision about the same scores."""
    if data.winner is None:
        return data
    winner = replace(data.winner, **decided(decision), code=code)
    return replace(data, winner=winner)


def refitted(data: ReportData, finished: Finished, table: Table) -> ReportData:
    """Return the report after the winner was fitted on other rows."""
    rarest = int(table.class_counts.min())
    settings = {
        **(data.settings or {}),
        "fitted again on": f"{len(table.y):,} rows, {rarest:,} of the rarest class, "
        f"fingerprint {table.fingerprint}; data and search are those of the first fit",
    }
    winner = data.winner
    if winner is not None:
        winner = replace(winner, calibration_name=finished.calibrated.label)
    return replace(data, settings=settings, winner=winner)


def _data_section(profile: DatasetProfile) -> DataSection:
    """Return what the table is like."""
    return DataSection(
        n_rows=profile.n_rows,
        n_features=profile.n_features,
        feature_kinds=profile.kind_counts,
        missing_share=profile.missing_share,
        classes=tuple(
            ClassCount(label=str(label), count=n, share=n / profile.n_rows)
            for label, n in zip(profile.classes, profile.class_counts, strict=True)
        ),
        imbalance_ratio=profile.imbalance_ratio,
        minority_label=str(profile.minority_label),
        minority_count=profile.minority_count,
        n_duplicates=profile.n_duplicates,
        minority_types=profile.minority_types,
        checks=tuple(
            Check(code=c.code, title=c.title, message=c.message, severity=c.severity)
            for c in profile.checks
        ),
    )


def _guide_section(seen: Evidence) -> GuideSection:
    """Return the flowchart with this data's path lit."""
    path = seen.recommendation.path
    steps = set(pairwise(path))
    questions = [node for node in FLOWCHART if isinstance(node, Question)]
    return GuideSection(
        nodes=tuple(
            FlowNode(
                key=node.key,
                text=node.text,
                kind="question" if isinstance(node, Question) else "advice",
                on_path=node.key in path,
            )
            for node in FLOWCHART
        ),
        edges=tuple(
            _edge(
                node, branch, seen.profile, on_path=(node.key, branch.target) in steps
            )
            for node in questions
            for branch in node.branches
        ),
        reasons=seen.recommendation.reasons,
        seeds=tuple(map(seen.space.label, seen.recommendation.seeds)),
    )


def _edge(
    node: Question, branch: Branch, profile: DatasetProfile, *, on_path: bool
) -> FlowEdge:
    """Return an answer's arrow; on this data's path with the number behind it."""
    here = f" (here {node.measured(profile)})" if on_path else ""
    return FlowEdge(
        source=node.key,
        target=branch.target,
        label=branch.label + here,
        on_path=on_path,
    )


def _outcome_section(seen: Evidence) -> OutcomeSection:
    """Return the answer in numbers and sentences."""
    score, plain = seen.score, seen.selection.do_nothing
    difference, noise = difference_of(score, None if plain is None else plain.score)
    return OutcomeSection(
        metric_label=seen.judge.metric.label,
        winner=answer_name(seen),
        winner_score=None if score is None else score.mean,
        winner_se=None if score is None else score.se,
        do_nothing="" if plain is None else seen.space.label(plain.strategy),
        do_nothing_score=None if plain is None else plain.mean,
        difference=difference,
        difference_se=noise,
        no_skill=seen.honest.no_skill,
        honest_estimate=seen.honest.estimate,
        honest_low=seen.honest.low,
        honest_high=seen.honest.high,
        honest_do_nothing=seen.honest.do_nothing,
        doing_nothing_won=not (seen.is_handled or seen.is_stand_in),
        sentences=tuple(sentences(seen)),
        pos_label="" if seen.profile.pos_label is None else str(seen.profile.pos_label),
    )
