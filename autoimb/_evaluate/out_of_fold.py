"""Out-of-fold scores: of one fold, and of the rows of all folds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from autoimb._metrics.bootstrap import MAX_DRAWS, Draws
from autoimb._metrics.fold_ids import FoldIds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.kept_models import KeptModel
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
    seconds: float = 0.0
    """Time of everything: encoding, fit, prediction, and writing the model."""
    wall_per_cpu: float = 1.0
    """Elapsed seconds for each second of processor time, over all threads."""
    stages: tuple[tuple[int, NDArray[np.float64]], ...] = ()
    """For boosted models the scores after fewer rounds, and after all of them."""
    n_rounds: int | None = None
    """The number of rounds, where it was chosen among stages."""
    fitted_counts: tuple[int, ...] = ()
    """Rows of each class that the model was fitted on."""
    model: KeptModel | None = None
    """The fitted pipeline, where it was kept."""
    row_seconds: tuple[float, float] | None = None
    """Seconds to encode one row and to score it, where they were measured."""

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
    """Number of each entry's row in the table."""
    y: NDArray[np.intp]
    proba: NDArray[np.float64]  # (n_entries, n_classes)
    multiplicity: NDArray[np.float64]
    """How many rows an entry stands for: those of a row sum to one."""
    weight: NDArray[np.float64]
    """The row's weight times the multiplicity."""
    folds: FoldIds
    """Where each entry was held out, for what is cross-fitted on these."""
    units: NDArray[np.intp]
    """Entries that bootstrap draws take together: of a row, or of a group of rows."""

    @classmethod
    def of(cls, results: Sequence[FoldResult], problem: Problem) -> OutOfFold:
        """Return the scored rows of some folds."""
        scored = [result for result in results if result.proba is not None]
        rows = np.concatenate([problem.folds[r.number].val_idx for r in scored])
        table = problem.table
        multiplicity = (1 / np.bincount(rows, minlength=len(table.y)).clip(1))[rows]
        numbers = np.repeat([r.number for r in scored], [len(r.scores) for r in scored])
        repeats = np.array([fold.repeat for fold in problem.folds])
        return cls(
            rows=rows,
            y=table.y[rows],
            proba=np.concatenate([result.proba for result in scored]),
            multiplicity=multiplicity,
            weight=table.weights[rows] * multiplicity,
            folds=FoldIds(repeats[numbers], numbers, rows),
            units=table.units[rows],
        )

    @property
    def draws(self) -> Draws:
        """Bootstrap draws of the entries."""
        return Draws.of(self.y, self.units, MAX_DRAWS, seed=0)

    def by_row(self, proba: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
        """Return the mean of entries' values for each row, NaN where there is none."""
        total = np.full((n_rows, proba.shape[1]), np.nan)
        total[self.rows] = 0.0
        np.add.at(total, self.rows, proba)
        n_entries = np.bincount(self.rows, minlength=n_rows)
        return np.asarray(total / n_entries.clip(1)[:, np.newaxis])
