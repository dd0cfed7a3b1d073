"""Fill the report's values from what was measured; nothing is fitted here."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._clock import check_limits
from autoimb._committee import Bench
from autoimb._confusion import f_beta, precision, recall
from autoimb._decision import Judged
from autoimb._folds import describe_folds
from autoimb._guide import FLOWCHART, Question
from autoimb._metrics import METRICS
from autoimb._report.curves import bins_of, curves_of
from autoimb._report.data import (
    Check,
    ClassCount,
    DataSection,
    FlowEdge,
    FlowNode,
    GuideSection,
    LeaderboardRow,
    OutcomeSection,
    PerClass,
    ReportData,
    SearchSection,
    WinnerSection,
)
from autoimb._report.explorer import explorer_of
from autoimb._report.formats import percent
from autoimb._rungs import ALL_ROWS
from autoimb._select import HonestScore, honest_score
from autoimb._threshold import Cut
from autoimb._trials import complete, leaderboard, with_finalists

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from autoimb._decision import Decision
    from autoimb._evaluate import Problem
    from autoimb._fitted import Finished
    from autoimb._guide import Recommendation
    from autoimb._judge import Judge
    from autoimb._metrics import Metric
    from autoimb._profile import DatasetProfile
    from autoimb._select import Selection
    from autoimb._space import SearchSpace
    from autoimb._trials import SearchOutcome, TrialRecord

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Everything one fit measured; what is derived from it is worked out once."""

    profile: DatasetProfile
    recommendation: Recommendation
    space: SearchSpace
    problem: Problem
    judge: Judge
    outcome: SearchOutcome
    selection: Selection
    finished: Finished
    decision: Decision

    @cached_property
    def honest(self) -> HonestScore:
        """What to expect on new data: of the fitted model, if that is not the best."""
        selection = self.selection
        is_best = selection.quickest is not None
        return honest_score(
            self.outcome.complete if is_best else [selection.winner],
            selection,
            Bench(self.problem, self.judge),
        )

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The leaderboard, with finalists as they were scored last."""
        records = with_finalists(self.outcome.records, self.selection.finalists)
        return leaderboard(records, self.space.catalogue)


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
        search=_search_section(seen),
        winner=_winner_section(seen, code),
    )


def with_decision(data: ReportData, decision: Decision, code: str) -> ReportData:
    """Return the report as it is after another decision about the same scores."""
    if data.winner is None:
        return data
    decided = _decided(decision)
    return replace(data, winner=replace(data.winner, **decided, code=code))


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
            FlowEdge(
                source=node.key,
                target=branch.target,
                label=branch.label,
                on_path=(node.key, branch.target) in steps,
            )
            for node in questions
            for branch in node.branches
        ),
        reasons=seen.recommendation.reasons,
        seeds=tuple(map(seen.space.label, seen.recommendation.seeds)),
    )


def _outcome_section(seen: Evidence) -> OutcomeSection:
    """Return the answer in numbers and sentences."""
    winner, plain = seen.selection.winner, seen.selection.do_nothing
    difference, noise = _difference(winner, plain)
    return OutcomeSection(
        metric_label=seen.judge.metric.label,
        winner=seen.space.label(winner.strategy),
        winner_score=winner.mean,
        winner_se=winner.score.se if winner.score else None,
        do_nothing=seen.space.label(plain.strategy),
        do_nothing_score=plain.mean,
        difference=difference,
        difference_se=noise,
        no_skill=seen.honest.no_skill,
        honest_estimate=seen.honest.estimate,
        honest_low=seen.honest.low,
        honest_high=seen.honest.high,
        doing_nothing_won=not winner.strategy.is_handled,
        sentences=tuple(sentences(seen)),
        pos_label="" if seen.profile.pos_label is None else str(seen.profile.pos_label),
    )


def sentences(seen: Evidence) -> list[str]:
    """Return the outcome in plain words, the verdict first."""
    if seen.selection.winner.score is None:
        return [
            f"{seen.space.label(seen.selection.winner.strategy)} was fitted with its "
            "defaults: the time budget ended before any candidate was scored."
        ]
    return [
        _verdict(seen),
        *_about_committee(seen),
        _expectation(seen),
        _about_guide(seen),
    ]


def _verdict(seen: Evidence) -> str:
    """Return what won, and what it bought over doing nothing."""
    winner, plain = seen.selection.winner, seen.selection.do_nothing
    label, name = seen.judge.metric.label, seen.space.label
    if winner.strategy.is_handled:
        return (
            f"{_capital(name(winner.strategy))} wins with {label} {winner.mean:.3f}. "
            f"The best model without any handling of the imbalance, "
            f"{name(plain.strategy)}, has {plain.mean:.3f}: handling it bought "
            f"{_plus_minus(*_difference(winner, plain))}."
        )
    handled = [r for r in seen.selection.finalists if r.strategy.is_handled]
    verdict = (
        f"Doing nothing about the imbalance in training won: "
        f"{name(winner.strategy)} has {label} {winner.mean:.3f}"
    )
    if not handled:
        return f"{verdict}."
    best = max(handled, key=lambda r: r.mean)
    return (
        f"{verdict}. The best handled finalist, {name(best.strategy)}, differs by "
        f"{_plus_minus(*_difference(best, winner))}."
    )


def _about_committee(seen: Evidence) -> list[str]:
    """Return what answers, where that is not the best candidate alone."""
    selection, best = seen.selection, seen.selection.winner.score
    if len(selection.members) == 1 or selection.score is None or best is None:
        return []
    mean, noise = selection.score.mean, selection.score.se_of_difference(best)
    return [
        f"The weighted mean of {len(selection.members)} candidates answers in its "
        f"place: it has {mean:.3f}, {_plus_minus(mean - best.mean, noise)} against it."
    ]


def _expectation(seen: Evidence) -> str:
    """Return what to expect on new data."""
    honest, label = seen.honest, seen.judge.metric.label
    return (
        f"On new data expect {label} about {honest.estimate:.3f} (bootstrap range "
        f"{honest.low:.3f} to {honest.high:.3f}), corrected for having picked the best "
        f"of {len(seen.outcome.complete)} candidates; no skill would have "
        f"{honest.no_skill:.3f}."
    )


def _about_guide(seen: Evidence) -> str:
    """Return whether the data agreed with the flowchart."""
    guide = seen.recommendation
    scored = complete(with_finalists(seen.outcome.records, seen.selection.finalists))
    seeds = [record for record in scored if record.strategy in guide.seeds]
    advice = f"The flowchart advised: {guide.advice[0].lower()}{guide.advice[1:]}"
    if not seeds:
        return f"{advice}; none of its strategies was complete in time."
    best = f"{seen.space.label(seeds[0].strategy)}, scored {seeds[0].mean:.3f}"
    return f"{advice}. Its best strategy, {best}."


def _difference(one: TrialRecord, other: TrialRecord) -> tuple[float, float]:
    """Return the difference of two scores and its paired standard error."""
    if one.score is None or other.score is None:
        return float("nan"), float("nan")
    return one.mean - other.mean, one.score.se_of_difference(other.score)


def _plus_minus(difference: float, noise: float) -> str:
    """Return a difference with its standard error."""
    return f"{difference:+.3f} ± {noise:.3f}"


def _capital(text: str) -> str:
    """Return text with its first letter capitalised and the rest as it is."""
    return text[:1].upper() + text[1:]


def _search_section(seen: Evidence) -> SearchSection:
    """Return what was tried."""
    table = seen.leaderboard.astype(object)
    rows: list[dict[str, Any]] = table.where(table.notna(), None).to_dict("records")  # type: ignore[assignment]
    n_of = Counter(record.status for record in seen.outcome.records)
    sampled = {record.rungs[0] for record in seen.outcome.records if record.rungs}
    return SearchSection(
        rows=tuple(LeaderboardRow(**row) for row in rows),
        best_so_far=_best_so_far(seen.outcome.records),
        n_complete=len(seen.outcome.complete),
        n_failed=n_of["failed"] + n_of["killed"],
        n_dropped=n_of["dropped"],
        n_unfinished=n_of["timeout"] + n_of["skipped"],
        sampled=next(iter(sampled - {ALL_ROWS.name}), None),
        seconds=max((r.told_at for r in seen.outcome.records), default=0.0),
    )


def _best_so_far(records: tuple[TrialRecord, ...]) -> tuple[tuple[float, float], ...]:
    """Return (seconds, score) at each improvement."""
    steps: list[tuple[float, float]] = []
    for record in records:
        if record.score and (not steps or record.mean > steps[-1][1]):
            steps.append((record.told_at, record.mean))
    return tuple(steps)


def _winner_section(seen: Evidence, code: str) -> WinnerSection | None:
    """Return the winner up close; None where it has no out-of-fold scores."""
    if not seen.finished.is_out_of_fold:
        return None
    return WinnerSection(
        calibration_name=seen.finished.calibrated.calibration.label,
        class_labels=tuple(map(str, seen.profile.classes)),
        members=_members(seen),
        code=code,
        **_decided(seen.decision),
    )


def _members(seen: Evidence) -> tuple[tuple[str, float], ...]:
    """Return the members of a committee with their shares in the mean."""
    members = seen.selection.members
    total = sum(member.weight for member in members)
    return tuple(
        (seen.space.label(member.strategy), member.weight / total)
        for member in members
        if len(members) > 1
    )


def _decided(decision: Decision) -> dict[str, Any]:
    """Return what depends on the threshold and on the class distribution."""
    judged = Judged(decision)
    return {
        "threshold_objective": decision.objective,
        "threshold": decision.rule.value,
        "threshold_interval": decision.interval,
        "at_default": dict(judged.at_default),
        "at_threshold": dict(judged.at_threshold),
        "confusion": tuple(map(tuple, np.rint(judged.confusion).tolist())),
        "per_class": _per_class(judged),
        "explorer": explorer_of(judged),
        "sentences": (*_about_prior(decision), *_about_threshold(judged)),
        **({} if decision.pos is None else _curves(judged, decision.pos)),
    }


def _about_prior(decision: Decision) -> list[str]:
    """Return what another class distribution than the table's was taken for."""
    shift, labels = decision.shift, decision.classes.tolist()
    if shift is None:
        return []
    told = [
        f"{label!r} {percent(new)} (table: {percent(old)})"
        for label, old, new in zip(labels, shift.before, shift.after, strict=True)
    ]
    return [
        f"Expected shares of the classes: {', '.join(told)}. Probabilities, threshold "
        "and all that is shown of the winner's labels are for these shares; the scores "
        "of the search are for those of the table."
    ]


def _about_threshold(judged: Judged) -> list[str]:
    """Return what the tuned threshold does to precision and recall."""
    rule, classes = judged.decision.rule, judged.decision.classes.tolist()
    if not isinstance(rule, Cut):
        return []
    before, after = judged.at_default, judged.at_threshold
    return [
        f"Calling a row {classes[rule.pos]!r} from a probability of "
        f"{rule.value:.3f} on has precision {after['precision']:.2f} and recall "
        f"{after['recall']:.2f} (F1 {after['f1']:.2f}) out of fold; the usual 0.5 "
        f"without calibration has {before['precision']:.2f} and "
        f"{before['recall']:.2f} (F1 {before['f1']:.2f})."
    ]


def _curves(judged: Judged, pos: int) -> dict[str, Any]:
    """Return the curves of a class of interest."""
    oof, proba, weight = judged.decision.oof, judged.proba[:, pos], judged.weight
    is_positive = oof.y == pos
    pr_curve, roc_curve = curves_of(is_positive, proba, weight)
    return {
        "no_skill_precision": float(np.average(is_positive, weights=weight)),
        "pr_curve": pr_curve,
        "roc_curve": roc_curve,
        "operating_point": (
            judged.at_threshold["recall"],
            judged.at_threshold["precision"],
        ),
        "calibration_before": bins_of(is_positive, oof.proba[:, pos], weight),
        "calibration_after": bins_of(is_positive, proba, weight),
    }


def _per_class(judged: Judged) -> tuple[PerClass, ...]:
    """Return how well each class is found."""
    y, confusion = judged.decision.oof.y, judged.confusion
    rank, weights = METRICS["average_precision"].score_many, judged.weight[np.newaxis]
    return tuple(
        PerClass(
            label=str(label),
            precision=float(precision(confusion, code)),
            recall=float(recall(confusion, code)),
            f1=float(f_beta(confusion, code, 1.0)),
            average_precision=float(rank(y, judged.proba, weights, pos=code)[0]),
            support=float(confusion[code].sum()),
        )
        for code, label in enumerate(judged.decision.classes)
    )
