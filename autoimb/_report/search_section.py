"""The report's section on the search: leaderboard, progress, and effects of axes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._catalogue import AXES
from autoimb._catalogue.entry import BASELINE
from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._execution.process_settings import quiet_warnings
from autoimb._report.data import AxisEffect, FamilyRow, LeaderboardRow, SearchSection
from autoimb._report.fit_results import difference_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna
    from numpy.typing import NDArray

    from autoimb._report.fit_results import FitResults
    from autoimb._search.trials import TrialRecord

_MAX_IMPORTANCES = 12
_MIN_TRIALS = 10  # with a parameter, to estimate its importance


def search_section(results: FitResults) -> SearchSection:
    """Return what was tried, and how it did."""
    table, records = results.leaderboard.astype(object), results.outcome.records
    rows: list[dict[str, Any]] = table.where(table.notna(), None).to_dict("records")  # type: ignore[assignment]
    n_of = Counter(record.status for record in records)
    return SearchSection(
        rows=tuple(LeaderboardRow(**row) for row in rows),
        has_repeats=any(
            results.problem.folds[number].repeat > 0
            for record in results.selection.finalists
            for number in (record.score.folds if record.score else ())
        ),
        best_so_far=_best_so_far(records),
        best_single=_rank_of(results.selection.winner, results, rows),
        n_complete=n_of["complete"],
        n_failed=n_of["failed"] + n_of["killed"],
        n_dropped=n_of["dropped"],
        n_stopped=n_of["timeout"],
        n_not_started=n_of["skipped"],
        n_duplicates=n_of["duplicate"],
        n_sampled=sum(record.row_sample != ALL_ROWS for record in results.candidates),
        n_handled=sum(record.strategy.is_handled for record in results.candidates),
        seconds=max((record.finished_at for record in records), default=0.0),
        last_seconds=results.deadline.elapsed_s - results.outcome.ended_at_s,
        cut_off_seconds=results.outcome.cut_off_seconds,
        unused_seconds=results.deadline.timeout_s,
        effects=_effects(results),
        families=_families(results),
        importances=_importances(results.outcome.study),
    )


def _rank_of(
    record: TrialRecord, results: FitResults, rows: Sequence[Mapping[str, Any]]
) -> int | None:
    """Return a candidate's rank among the rows of the leaderboard, if it has one.

    It need not be 1: a simpler candidate that is hardly behind is preferred.
    """
    name = results.space.label(record.strategy)
    ranks = (
        row["rank"]
        for row in rows
        if row["strategy"] == name and row["mean"] == record.mean
    )
    return next(ranks, None)


def _best_so_far(records: Sequence[TrialRecord]) -> tuple[tuple[float, float], ...]:
    """Return (seconds, score) at each improvement, all scores over the same folds."""
    steps: list[tuple[float, float]] = []
    for record in records:
        is_scored = record.status == "complete" and record.score is not None
        if is_scored and (not steps or record.mean > steps[-1][1]):
            steps.append((record.finished_at, record.mean))
    return tuple(steps)


# --- what resamplers, class weights and losses changed


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Candidates alike in all but one axis: with an entry there, and without any."""

    handled: Sequence[TrialRecord]
    baseline: Sequence[TrialRecord]

    @property
    def weight(self) -> float:
        """The inverse variance of a difference of two means, up to a factor."""
        n, m = len(self.handled), len(self.baseline)
        return n * m / (n + m)

    @property
    def difference(self) -> NDArray[np.float64]:
        """Mean score (1 + B,) with less without: as measured, then on each draw."""
        handled, baseline = (
            np.mean([np.append(r.score.mean, r.score.drawn) for r in of if r.score], 0)
            for of in (self.handled, self.baseline)
        )
        return np.asarray(handled - baseline)


def _effects(results: FitResults) -> tuple[AxisEffect, ...]:
    """Return the effect of each entry of each axis but the family, best first."""
    axes = list(BASELINE)
    effects = [
        effect_of(axis, results.space.catalogue.get(axis, name).label, comparisons)
        for axis in axes
        for name, comparisons in comparisons_of(axis, results.candidates).items()
    ]
    effects.sort(key=lambda e: (axes.index(e.axis), -(e.difference or 0.0)))
    return tuple(effects)


def comparisons_of(
    axis: str, records: Sequence[TrialRecord]
) -> dict[str, list[Comparison]]:
    """Return, by entry of an axis, the comparisons that differ in nothing else.

    Alike are candidates with the same model and the same choices on the other axes,
    with the same parameters, and the same sample of rows. Of the rounds of a boosted
    model those that were proposed count: the best number belongs to each candidate.
    """
    alike: dict[tuple[Any, ...], dict[str, list[TrialRecord]]] = defaultdict(dict)
    for record in records:
        strategy = record.proposed or record.strategy
        others = (
            record.row_sample.name,
            *(strategy.choice(a) for a in AXES if a != axis),
        )
        alike[others].setdefault(strategy.choice(axis).name, []).append(record)
    comparisons: dict[str, list[Comparison]] = defaultdict(list)
    for by_name in alike.values():
        baseline = by_name.pop(BASELINE[axis], [])
        for name, handled in by_name.items():
            if baseline:
                comparisons[name].append(Comparison(handled, baseline))
    return comparisons


def effect_of(axis: str, label: str, comparisons: Sequence[Comparison]) -> AxisEffect:
    """Return the weighted mean of comparisons, with its standard error."""
    weights = [comparison.weight for comparison in comparisons]
    differences = [comparison.difference for comparison in comparisons]
    values = np.average(differences, axis=0, weights=weights)
    drawn = values[1:][np.isfinite(values[1:])]
    return AxisEffect(
        axis=axis,
        name=label,
        n_candidates=sum(len(comparison.handled) for comparison in comparisons),
        difference=float(values[0]),
        standard_error=float(drawn.std(ddof=1)) if len(drawn) > 1 else None,
    )


# --- families and parameters


def _families(results: FitResults) -> tuple[FamilyRow, ...]:
    """Return every family with its best candidate and its time, best first."""
    names = dict.fromkeys(record.strategy.family.name for record in results.records)
    rows = [_family(results, name) for name in names]
    return tuple(sorted(rows, key=lambda row: (row.best is None, -(row.best or 0.0))))


def _family(results: FitResults, name: str) -> FamilyRow:
    """Return the scores and the time of one family's candidates."""
    records = [
        r
        for r in results.records
        if r.strategy.family.name == name and r.status != "duplicate"
    ]
    complete = [r for r in results.candidates if r.strategy.family.name == name]
    scores = [record.score for record in complete if record.score]
    best = max(scores, key=lambda score: score.mean, default=None)
    first = [*results.candidates, results.selection.winner][0]
    behind = difference_of(first.score, best)
    return FamilyRow(
        name=results.space.catalogue.get("family", name).label,
        n_candidates=len(records),
        n_complete=len(scores),
        best=None if best is None else best.mean,
        behind=behind.value,
        behind_standard_error=behind.standard_error,
        seconds=sum(r.fit_seconds * max(r.n_folds, 1) for r in records),
    )


def _importances(study: optuna.Study) -> tuple[tuple[str, float], ...]:
    """Return each parameter's share in the differences between candidates' scores.

    By Optuna's conditional PED-ANOVA, for parameters that enough trials had.
    """
    from optuna.importance import get_param_importances
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    n_trials = Counter(name for trial in trials for name in trial.params)
    names = [name for name, n in n_trials.items() if n >= _MIN_TRIALS]
    if len(names) < 2:
        return ()
    with quiet_warnings(UserWarning):
        # That some parameters had few trials is said on the page.
        shares = get_param_importances(study, params=names)
    ranked = [(name, share) for name, share in shares.items() if share > 0]
    return tuple(ranked[:_MAX_IMPORTANCES])
