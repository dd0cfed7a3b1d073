"""What the search tried: leaderboard, progress, and what every axis was worth."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._catalogue import AXES
from autoimb._catalogue.entry import BASELINE
from autoimb._report.data import AxisEffect, FamilyRow, LeaderboardRow, SearchSection
from autoimb._report.wording import difference_of
from autoimb._rungs import ALL_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna
    from numpy.typing import NDArray

    from autoimb._report.evidence import Evidence
    from autoimb._trials import TrialRecord

_MAX_IMPORTANCES = 12
_LEAST_TRIALS = 10  # with a parameter, to say what it decided


def search_section(seen: Evidence) -> SearchSection:
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
        effects=_effects(seen),
        families=_families(seen),
        importances=_importances(seen.outcome.study),
    )


def _best_so_far(records: Sequence[TrialRecord]) -> tuple[tuple[float, float], ...]:
    """Return (seconds, score) at each improvement."""
    steps: list[tuple[float, float]] = []
    for record in records:
        if record.score and (not steps or record.mean > steps[-1][1]):
            steps.append((record.told_at, record.mean))
    return tuple(steps)


# --- what a resampler, class weights or a loss were worth


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """Candidates alike in all but one axis: with an entry there, and without any."""

    treated: Sequence[TrialRecord]
    plain: Sequence[TrialRecord]

    @property
    def weight(self) -> float:
        """How much it says: that of a difference of two means."""
        n, m = len(self.treated), len(self.plain)
        return n * m / (n + m)

    @property
    def difference(self) -> NDArray[np.float64]:
        """Mean with less mean without: as measured, then on each bootstrap draw."""
        return _mean_scores(self.treated) - _mean_scores(self.plain)


def _mean_scores(records: Sequence[TrialRecord]) -> NDArray[np.float64]:
    """Return the mean score (1 + B,) of candidates, and that on each draw."""
    scores = [record.score for record in records if record.score is not None]
    rows = [np.append(score.mean, score.drawn) for score in scores]
    return np.asarray(np.mean(rows, axis=0))


def _effects(seen: Evidence) -> tuple[AxisEffect, ...]:
    """Return what each entry of each axis but the family changed, best first."""
    return tuple(
        effect
        for axis in BASELINE
        for effect in sorted(
            (
                _effect(axis, seen.space.catalogue.get(axis, name).label, cells)
                for name, cells in cells_of(axis, seen.complete).items()
            ),
            key=lambda effect: -(effect.difference or 0.0),
        )
    )


def cells_of(axis: str, records: Sequence[TrialRecord]) -> dict[str, list[Cell]]:
    """Return, by entry of an axis, the comparisons that differ in nothing else.

    Alike are candidates of the same family and the same entries of the other axes; the
    parameters of these may differ.
    """
    alike: dict[tuple[str, ...], dict[str, list[TrialRecord]]] = defaultdict(dict)
    for record in records:
        name = record.strategy.choice(axis).name
        rest = tuple(record.strategy.choice(a).name for a in AXES if a != axis)
        alike[rest].setdefault(name, []).append(record)
    cells: dict[str, list[Cell]] = defaultdict(list)
    for by_name in alike.values():
        plain = by_name.pop(BASELINE[axis], [])
        for name, treated in by_name.items():
            if plain:
                cells[name].append(Cell(treated, plain))
    return cells


def _effect(axis: str, label: str, cells: Sequence[Cell]) -> AxisEffect:
    """Return the weighted mean of comparisons, with its standard error."""
    weights = [cell.weight for cell in cells]
    values = np.average([c.difference for c in cells], axis=0, weights=weights)
    drawn = values[1:][np.isfinite(values[1:])]
    return AxisEffect(
        axis=axis,
        name=label,
        n_candidates=sum(len(cell.treated) for cell in cells),
        difference=float(values[0]),
        se=float(drawn.std(ddof=1)) if len(drawn) > 1 else nan,
    )


# --- families and parameters


def _families(seen: Evidence) -> tuple[FamilyRow, ...]:
    """Return every family with its best candidate and the time it took, best first."""
    by_family: dict[str, list[TrialRecord]] = defaultdict(list)
    for record in seen.records:
        by_family[record.strategy.family.name].append(record)
    rows = [_family(seen, name, records) for name, records in by_family.items()]
    return tuple(sorted(rows, key=lambda row: (row.best is None, -(row.best or 0.0))))


def _family(seen: Evidence, name: str, records: Sequence[TrialRecord]) -> FamilyRow:
    """Return how the candidates of one family did."""
    scores = [r.score for r in records if r.status == "complete" and r.score]
    best = max(scores, key=lambda score: score.mean, default=None)
    ahead = seen.complete[0].score if seen.complete else seen.selection.winner.score
    behind, noise = difference_of(ahead, best)
    return FamilyRow(
        name=seen.space.catalogue.get("family", name).label,
        n_candidates=len(records),
        n_complete=len(scores),
        best=None if best is None else best.mean,
        behind=behind,
        behind_se=noise,
        seconds=sum(r.fit_seconds * max(r.n_folds, 1) for r in records),
    )


def _importances(study: optuna.Study) -> tuple[tuple[str, float], ...]:
    """Return which parameters decided how well a candidate did (conditional PED-ANOVA).

    Only those that enough trials had; none where there are too few of these.
    """
    from optuna.importance import get_param_importances
    from optuna.trial import TrialState

    values = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    n_trials = Counter(name for trial in values for name in trial.params)
    names = [name for name, n in n_trials.items() if n >= _LEAST_TRIALS]
    if len(names) < 2:
        return ()
    with warnings.catch_warnings():
        # That some choices had few trials is said on the page.
        warnings.simplefilter("ignore", UserWarning)
        found = get_param_importances(study, params=names)
    ranked = [(name, share) for name, share in found.items() if share > 0]
    return tuple(ranked[:_MAX_IMPORTANCES])
