"""What became of every candidate: the records behind the leaderboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

    from autoimb._catalogue import Catalogue
    from autoimb._evaluate import FoldResult
    from autoimb._judge import Score
    from autoimb._strategy import Strategy

WORTH_ANOTHER_TRY = frozenset({"skipped", "timeout"})
"""What may end otherwise, given more time or memory."""
REFIT_FACTOR = 1.5
"""A refit on all rows takes so many times as long as a fit on a fold's."""
_COLUMNS = (
    "rank",
    "strategy",
    "family",
    "resampler",
    "class_weight",
    "loss",
    "mean",
    "se",
    "folds",
    "fit_seconds",
    "status",
    "reason",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialRecord:
    """One row of the leaderboard."""

    number: int
    strategy: Strategy
    status: str
    """``"complete"``, ``"dropped"`` (clearly behind), ``"failed"``, ``"timeout"``,
    ``"killed"``, ``"skipped"`` (no time or memory to start) or ``"duplicate"``."""
    reason: str = ""
    score: Score | None = None
    results: tuple[FoldResult, ...] = ()
    """Folds that were scored; empty where they are no longer needed."""
    n_folds: int = 0
    fit_seconds: float = 0.0
    """Mean seconds of one fit."""
    told_at: float = 0.0
    """Seconds since the start of the fit."""
    told: float | None = None
    """The value that Optuna was told; None for none."""
    proposed: Strategy | None = None
    """What was proposed, where fewer boosting rounds turned out to be better."""
    rungs: tuple[str, ...] = ()
    """Which training rows it saw, in order."""
    heat: FoldResult | None = None
    """Its scores when it saw a sample of the training rows."""

    @property
    def refit_seconds(self) -> float:
        """Expected seconds of a refit: on all rows it takes longer than on a fold."""
        return REFIT_FACTOR * self.fit_seconds

    @property
    def mean(self) -> float:
        """The score, or minus infinity if there is none."""
        return float("-inf") if self.score is None else self.score.mean

    @property
    def first_mean(self) -> float:
        """The score on the folds that every candidate runs, as Optuna was told."""
        return self.mean if self.told is None else self.told

    @property
    def key(self) -> Strategy:
        """The strategy under which it is known when it is proposed again."""
        return self.proposed or self.strategy


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands, for whoever shows it."""

    n_done: int
    n_failed: int
    best: float | None
    best_strategy: Strategy | None
    elapsed: float
    n_trials: int | None
    seconds: float | None


ProgressCallback = Callable[[Progress], bool | None]
"""Called whenever something may have changed; True ends the search."""


def complete(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return records with a score, best first; equal scores in trial order."""
    scored = [record for record in records if record.status == "complete"]
    return sorted(scored, key=lambda r: (-r.mean, r.number))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchOutcome:
    """What a search found."""

    records: tuple[TrialRecord, ...]
    study: optuna.Study
    was_interrupted: bool
    seconds: float = 0.0
    """From the first proposal to the last result."""
    cpu_seconds: float = 0.0
    """Processor time inside the evaluations that came back."""

    @property
    def complete(self) -> list[TrialRecord]:
        """Records with a score, best first; equal scores in trial order."""
        return complete(self.records)


def with_finalists(
    records: Sequence[TrialRecord], finalists: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """Return records with those that were scored again in place of their first form."""
    again = {record.number: record for record in finalists}
    return [again.get(record.number, record) for record in records]


def leaderboard(records: Sequence[TrialRecord], catalogue: Catalogue) -> pd.DataFrame:
    """Return one row a candidate: those with a score by score, then the others."""
    kept = [record for record in records if record.status != "duplicate"]
    ranked = sorted(kept, key=lambda r: (-r.mean, r.number))
    rows = [
        {
            "rank": rank if record.score else None,
            "strategy": record.strategy.label(catalogue),
            **{
                axis: catalogue.get(axis, record.strategy.choice(axis).name).name
                for axis in ("family", "resampler", "class_weight", "loss")
            },
            "mean": record.score.mean if record.score else None,
            "se": record.score.se if record.score else None,
            "folds": record.n_folds,
            "fit_seconds": record.fit_seconds if record.n_folds else None,
            "status": record.status,
            "reason": record.reason,
        }
        for rank, record in enumerate(ranked, start=1)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).astype(
        {"rank": "Int64", "mean": float, "se": float, "fit_seconds": float}
    )
