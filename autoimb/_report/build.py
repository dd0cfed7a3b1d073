"""The report's values, made from the results of a fit; nothing is fitted here."""

from __future__ import annotations

import platform
from dataclasses import asdict, replace
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from autoimb._execution.deadline import resolve_time_budget
from autoimb._report.data import (
    AdvisedStrategy,
    Check,
    ClassCount,
    DataSection,
    FlowEdge,
    FlowNode,
    GuideSection,
    OutcomeSection,
    ReportData,
)
from autoimb._report.fit_results import difference_of
from autoimb._report.over_time import blocks_over_time
from autoimb._report.search_section import search_section
from autoimb._report.sentences import (
    about_fold_models,
    about_row_time,
    answer_name,
    sentences,
)
from autoimb._report.winner_section import decision_fields, winner_section
from autoimb._strategy.flowchart import FLOWCHART, Question
from autoimb._table.folds import describe_folds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoimb._fit.decision import Decision
    from autoimb._fit.finish import FittedSelection
    from autoimb._fit.fitted_model import FittedModel
    from autoimb._metrics.metrics import Metric
    from autoimb._report.fit_results import FitResults
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.profile import DatasetProfile
    from autoimb._table.table import Table

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
_EXTRAS = ("lightgbm", "catboost")
"""Packages with families of their own, where they are installed."""


def settings_of(params: Mapping[str, Any], metric: Metric) -> dict[str, str]:
    """Return the settings of an `AutoImbalance` that the report shows, in words."""
    n_trials = params["n_trials"]
    seconds = resolve_time_budget(params["time_budget"], n_trials)
    return {
        "search metric": metric.label,
        "time budget": "none" if seconds is None else f"{seconds:g} s",
        "trials": "no limit" if n_trials is None else str(n_trials),
        "random state": str(params["random_state"]),
    }


def build_report(
    results: FitResults, *, settings: dict[str, str], code: str
) -> ReportData:
    """Return the report's values.

    `settings` is what the user asked for, in words; `code` runs the fit again.
    """
    return ReportData(
        title="Strategy report",
        created=date.today().isoformat(),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
            **{name: version(name) for name in _EXTRAS if find_spec(name)},
        },
        fingerprint=results.problem.table.fingerprint,
        settings={**settings, "folds": describe_folds(results.problem.folds)},
        data=_data_section(results.profile),
        guide=_guide_section(results),
        outcome=_outcome_section(results),
        search=search_section(results),
        winner=winner_section(results, code),
        over_time=blocks_over_time(results),
    )


def with_decision(data: ReportData, decision: Decision, code: str) -> ReportData:
    """Return the report with another decision about the same scores."""
    if data.winner is None:
        return data
    winner = replace(data.winner, **decision_fields(decision), code=code)
    return replace(data, winner=winner)


def with_refit(data: ReportData, finished: FittedSelection, table: Table) -> ReportData:
    """Return the report of a winner that was fitted again, on other rows."""
    settings = {
        **(data.settings or {}),
        "fitted again on": f"{len(table.y):,} rows, {table.class_counts.min():,} of "
        f"the smallest class, fingerprint {table.fingerprint}; data and search are "
        "those of the first fit",
    }
    label = finished.decision.calibrated.label
    final_fit = (
        *about_fold_models(finished.model),
        *about_row_time(finished.row_time),
    )
    winner = data.winner and replace(
        data.winner,
        calibration_name=label,
        final_fit=final_fit,
        class_labels=tuple(map(str, finished.decision.classes)),
    )
    return replace(data, settings=settings, winner=winner)


def with_model(data: ReportData, model: FittedModel) -> ReportData:
    """Return the report of a model whose fold models were replaced."""
    if data.winner is None:
        return data
    final_fit = tuple(about_fold_models(model))
    return replace(data, winner=replace(data.winner, final_fit=final_fit))


def _data_section(profile: DatasetProfile) -> DataSection:
    """Return what the profile knows about the table."""
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
        checks=tuple(Check(**asdict(check)) for check in profile.checks),
    )


def _guide_section(results: FitResults) -> GuideSection:
    """Return the flowchart, with the path of this data marked."""
    path = results.recommendation.path
    steps = dict(pairwise(path))
    questions = [node for node in FLOWCHART if isinstance(node, Question)]
    return GuideSection(
        nodes=tuple(
            FlowNode(
                key=node.key,
                text=node.text,
                kind="question" if node in questions else "advice",
                on_path=node.key in path,
            )
            for node in FLOWCHART
        ),
        edges=tuple(
            FlowEdge(
                source=question.key,
                target=branch.target,
                label=f"{branch.label} (here {question.measured(results.profile)})"
                if on_path
                else branch.label,
                on_path=on_path,
            )
            for question in questions
            for branch in question.branches
            for on_path in [steps.get(question.key) == branch.target]
        ),
        reasons=results.recommendation.reasons,
        seeds=tuple(_advised(results, seed) for seed in results.recommendation.seeds),
    )


def _advised(results: FitResults, seed: Strategy) -> AdvisedStrategy:
    """Return what became of a strategy that the flowchart proposes."""
    record = results.record_of(seed)
    name = results.space.label(seed if record is None else record.strategy)
    if record is None:
        why = results.space.reason_left_out(seed) or "the search ended first"
        return AdvisedStrategy(name=name, outcome=f"not tried: {why}")
    if record.status == "complete":
        return AdvisedStrategy(name=name, score=record.mean, n_folds=record.n_folds)
    return AdvisedStrategy(name=name, outcome=f"{record.status}: {record.reason}")


def _outcome_section(results: FitResults) -> OutcomeSection:
    """Return the outcome in numbers and sentences."""
    score, baseline, honest = results.score, results.selection.baseline, results.honest
    difference = difference_of(score, None if baseline is None else baseline.score)
    refit_failure, pos_label = results.finished.refit_failure, results.profile.pos_label
    is_replaced = refit_failure is not None and refit_failure.is_replaced
    return OutcomeSection(
        metric_label=results.scoring.metric.label,
        winner=answer_name(results),
        winner_score=None if score is None else score.mean,
        winner_standard_error=None if score is None else score.standard_error,
        baseline="" if baseline is None else results.space.label(baseline.strategy),
        baseline_score=None if baseline is None else baseline.mean,
        difference=difference.value,
        difference_interval=difference.interval,
        no_skill=honest.no_skill,
        honest_estimate=honest.estimate,
        honest_low=honest.low,
        honest_high=honest.high,
        honest_baseline=honest.baseline,
        is_baseline=not (results.is_handled or is_replaced),
        sentences=tuple(sentences(results)),
        pos_label="" if pos_label is None else str(pos_label),
    )
