"""Out-of-fold scores: of one fold, and of the rows of all folds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.problem import Problem


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FoldResult:
    """One fold of one strategy: its out-of-fold scores, or why there are none."""

    number: int
    """Position of the fold among the problem's folds."""
    status: str
    """``"ok"``, ``"failed"``, ``"timeout"`` or ``"killed"``."""
    proba: NDArray[np.float64] | None = None  # (n_validation_rows, n_classes)
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    reason: str = ""
    cpu_seconds: float = 0.0
    """Processor time of everything, over all threads."""
    stages: tuple[tuple[int, NDArray[np.float64]], ...] = ()
    """For boosted models the scores after fewer rounds, and after all of them."""
    n_rounds: int | None = None
    """The number of rounds, where it was chosen among stages."""
    fitted_counts: tuple[int, ...] = ()
    """Rows of each class that the model was fitted on."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """The class scores of a fold that was scored."""
        if self.proba is None:
            raise ValueError(f"fold {self.number} has no scores: {self.reason}")
        return self.proba

    def at_stage(self, n_rounds: int) -> FoldResult:
        """Return the result of the same model with so many rounds."""
        proba = dict(self.stages)[n_rounds]
        return replace(self, proba=proba, stages=(), n_rounds=n_rounds)


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Scores of rows by models not trained on them; a row has one entry per repeat."""

    rows: NDArray[np.intp]
    y: NDArray[np.intp]
    proba: NDArray[np.float64]  # (n_entries, n_classes)
    weight: NDArray[np.float64]
    """Row weight over the number of entries of that row."""
    groups: NDArray[np.intp]
    """Entries to leave out together when something is cross-fitted on these."""

    @classmethod
    def of(cls, results: Sequence[FoldResult], problem: Problem) -> OutOfFold:
        """Return the scored rows of some folds."""
        scored = [result for result in results if result.proba is not None]
        rows = np.concatenate([problem.folds[r.number].val_idx for r in scored])
        n_rows = len(problem.table.y)
        n_entries = np.bincount(rows, minlength=n_rows)
        group_of_row = np.zeros(n_rows, dtype=np.intp)
        for number, fold in reversed(list(enumerate(problem.folds))):
            group_of_row[fold.val_idx] = number
        return cls(
            rows=rows,
            y=problem.table.y[rows],
            proba=np.concatenate([result.proba for result in scored]),
            weight=(problem.table.weights / n_entries.clip(1))[rows],
            groups=group_of_row[rows],
        )

    def by_row(self, proba: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
        """Return the mean of entries' values for each row, NaN where there is none."""
        total = np.zeros((n_rows, proba.shape[1]))
        np.add.at(total, self.rows, proba)
        n_entries = np.bincount(self.rows, minlength=n_rows)
        with np.errstate(invalid="ignore"):
            return total / n_entries[:, np.newaxis]
