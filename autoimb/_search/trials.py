"""Records of all candidates, and the leaderboard made of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from autoimb._catalogue import AXES
from autoimb._evaluate.row_sample import ALL_ROWS, RowSample

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    import optuna

    from autoimb._catalogue import Catalogue
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.scoring import Scoring
    from autoimb._execution.deadline import Deadline
    from autoimb._metrics.bootstrap import Score
    from autoimb._strategy.search_space import Unsuitable
    from autoimb._strategy.strategy import Strategy

CUT_OFF = frozenset({"timeout", "killed"})
"""Statuses of trials that took time and gave no score."""
WORTH_ANOTHER_TRY = frozenset({"skipped", "timeout"})
"""Statuses of trials that are tried again with more time or memory."""
REFIT_FACTOR = 1.25
"""Expected seconds of a refit on all rows, per second of a fit on a fold: it has more
rows, and often more threads."""
WORTH_THREADS = 0.5
"""Seconds of a fit by one thread from which on a refit has more."""
_MOST_OF_A_FAMILY = 3
_MOST_WITH_MODELS = 12  # records that keep their fold models: as many as members
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
    "rows",
    "fit_seconds",
    "status",
    "reason",
)

_DTYPES: dict[str, Any] = {
    "rank": "Int64",
    "mean": float,
    "se": float,
    "fit_seconds": float,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialRecord:
    """One row of the leaderboard."""

    number: int
    """Number of the trial in the study; without a search, its place from 0 on."""
    strategy: Strategy
    status: str
    """``"complete"``, ``"dropped"`` (clearly behind), ``"failed"``, ``"timeout"``,
    ``"killed"``, ``"skipped"`` (no time or memory to start) or ``"duplicate"``."""
    reason: str = ""
    score: Score | None = None
    results: tuple[FoldResult, ...] = ()
    """Folds that were scored; empty where they are no longer needed."""
    further: tuple[FoldResult, ...] = ()
    """Folds of further repeats that an earlier search scored, not part of `score`."""
    n_folds: int = 0
    fit_seconds: float = 0.0
    """Mean seconds of one fit, in proportion to the rounds that were chosen."""
    finished_at: float = 0.0
    """Seconds from the start of the fit to the end of the trial."""
    reported_value: float | None = None
    """Its value in the study; None if it has none there."""
    proposed: Strategy | None = None
    """The strategy before its boosting rounds were cut; None if they were not."""
    row_sample: RowSample = ALL_ROWS
    """The training rows of a fold that it was fitted on."""

    @property
    def has_models(self) -> bool:
        """Whether its fold models were kept, so that they can predict."""
        kept = [result.model for result in self.results if result.model is not None]
        return bool(kept) and all(model.is_there for model in kept)

    @property
    def refit_seconds(self) -> float:
        """Expected seconds of a refit: on all rows it takes longer than on a fold."""
        return REFIT_FACTOR * self.fit_seconds

    @property
    def mean(self) -> float:
        """The score, or minus infinity if there is none."""
        return float("-inf") if self.score is None else self.score.mean

    def on_folds(self, numbers: Container[int], scoring: Scoring) -> TrialRecord:
        """Return the record with its score over these folds alone."""
        every = (*self.results, *self.further)
        results = tuple(result for result in every if result.number in numbers)
        if results == self.results:
            return self
        return replace(
            self,
            score=scoring.score(results),
            results=results,
            further=tuple(result for result in every if result.number not in numbers),
            n_folds=len(results),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a search, for the live display and for callbacks."""

    n_done: int
    n_failed: int
    best: float | None
    best_strategy: Strategy | None
    elapsed: float
    n_trials: int | None
    time_budget: float | None

    @classmethod
    def of(
        cls,
        records: Sequence[TrialRecord],
        best: TrialRecord | None,
        n_trials: int | None,
        deadline: Deadline,
    ) -> Progress:
        """Return the state after some records."""
        return cls(
            n_done=len(records),
            n_failed=sum(r.status in {"failed", "killed"} for r in records),
            best=None if best is None else best.mean,
            best_strategy=None if best is None else best.strategy,
            elapsed=deadline.elapsed_s,
            n_trials=n_trials,
            time_budget=deadline.time_limit_s,
        )


def complete(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return records with a score, best first; equal scores in trial order.

    A strategy that was tried again on more rows is there with its last record alone.
    """
    last = {
        record.proposed or record.strategy: record
        for record in sorted(records, key=lambda record: record.number)
        if record.status == "complete"
    }
    return sorted(last.values(), key=lambda record: (-record.mean, record.number))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchOutcome:
    """What a search found."""

    records: tuple[TrialRecord, ...]
    study: optuna.Study
    was_interrupted: bool
    seconds: float = 0.0
    """From the first proposal to the last result."""
    ended_at_s: float = 0.0
    """Seconds from the start of the fit to its end."""
    cpu_seconds: float = 0.0
    """Processor time of the evaluations that returned a result."""
    cut_off_seconds: float = 0.0
    """Seconds, for each worker, of evaluations whose candidate was cut off."""
    storage_failure: str = ""
    """Why the storage could not be written any more, which ended the search; or empty.
    """


def keep_best_models(ranked: Sequence[TrialRecord], max_bytes: float) -> None:
    """Delete the fold models of all records but the best few, up to a number of bytes.

    The best record keeps its models in any case. An ensemble has two members of a
    family at most; a third may be its baseline.
    """
    left, n_kept, n_of = max_bytes, 0, Counter[str]()
    for record in ranked:
        family = record.strategy.family.name
        models = [r.model for r in record.results if r.model is not None]
        size = sum(model.n_bytes for model in models if model.is_there)
        is_one_too_many = n_of[family] >= _MOST_OF_A_FAMILY or size > left
        if n_kept and (n_kept >= _MOST_WITH_MODELS or is_one_too_many):
            delete_models(record.results)
            continue
        left, n_kept = left - size, n_kept + 1
        n_of[family] += 1


def delete_models(results: Iterable[FoldResult]) -> None:
    """Delete the fold models behind some results."""
    for result in results:
        if result.model is not None:
            result.model.delete()


def with_finalists(
    records: Sequence[TrialRecord], finalists: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """Return records with those that were scored again in place of their first form."""
    again = {record.number: record for record in finalists}
    return [again.get(record.number, record) for record in records]


def leaderboard(
    records: Sequence[TrialRecord],
    catalogue: Catalogue,
    n_rows: int,
    left_out: Sequence[Unsuitable] = (),
) -> pd.DataFrame:
    """Return one row a candidate: those with a score by score, then the others.

    What the user asked for and does not suit comes last.

    `n_rows` are the training rows of a fold, where a candidate was fitted on all.

    Finalists come first, by their scores over all repeats that they have run: a score
    over fewer folds does not compare with theirs.
    """
    ranked = sorted(
        (record for record in records if record.status != "duplicate"),
        key=lambda r: (-len(r.score.folds) if r.score else 0, -r.mean, r.number),
    )
    rows = [
        {
            "rank": rank if record.score else None,
            "strategy": record.strategy.label(catalogue),
            **{
                axis: catalogue.get(axis, record.strategy.choice(axis).name).name
                for axis in ("family", "resampler", "class_weight", "loss")
            },
            "mean": record.score.mean if record.score else None,
            "se": record.score.standard_error if record.score else None,
            "folds": record.n_folds,
            "rows": record.row_sample.n_rows or n_rows,
            "fit_seconds": record.fit_seconds if record.n_folds else None,
            "status": record.status,
            "reason": record.reason,
        }
        for rank, record in enumerate(ranked, start=1)
    ]
    rows += [_row_left_out(entry, catalogue) for entry in left_out]
    return pd.DataFrame(rows, columns=_COLUMNS).astype(_DTYPES)


def to_columns(board: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a leaderboard as lists of plain values, which any file can hold."""
    plain = board.astype(object)
    return {
        str(name): plain[name].where(plain[name].notna(), None).tolist()
        for name in plain
    }


def from_columns(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Return a leaderboard from its columns."""
    return pd.DataFrame(columns).astype(_DTYPES)


def _row_left_out(entry: Unsuitable, catalogue: Catalogue) -> dict[str, Any]:
    """Return the row of what was asked for and cannot be part of a candidate."""
    return {
        "strategy": catalogue.get(entry.axis, entry.name).label,
        **dict.fromkeys(AXES, ""),
        entry.axis: entry.name,
        "folds": 0,
        "status": "left out",
        "reason": entry.reason,
    }
