"""The rows that a strategy is fitted on, with their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autoimb._evaluate.row_sample import RowSample

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from autoimb._evaluate.problem import Problem
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.encoding import View


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """Rows to fit a strategy on: of a fold or of the whole table, or a sample of them.

    The weights of a sample make it represent all rows. A strategy that ranks as well
    without them is fitted on the sample as if it were the whole table: calibration
    corrects its scores.
    """

    row_sample: RowSample
    rows: NDArray[np.intp]
    weight: NDArray[np.float64] | None
    full_counts: NDArray[np.intp] | None
    """Class counts of all these rows, where a weighted sample represents them."""

    @classmethod
    def of_fold(
        cls, strategy: Strategy, problem: Problem, number: int, row_sample: RowSample
    ) -> TrainingRows:
        """Return the rows of a fold, or a sample of them, for a strategy."""
        rows, seed = problem.folds[number].train_idx, problem.fold_seed(number)
        return cls._of(strategy, problem, rows, seed, row_sample)

    @classmethod
    def of_table(
        cls, strategy: Strategy, problem: Problem, row_sample: RowSample
    ) -> TrainingRows:
        """Return all rows, or a sample of them, for a strategy.

        The sample is larger than that of a fold by as much as the table is, so that it
        has the same shares of the classes.
        """
        rows, n_rows = np.arange(len(problem.table.y)), row_sample.n_rows
        if n_rows is not None:
            n_train = max(len(fold.train_idx) for fold in problem.folds)
            n_rows = round(n_rows * len(rows) / n_train)
        sample = RowSample(row_sample.name, n_rows)
        return cls._of(strategy, problem, rows, problem.seed, sample)

    @classmethod
    def _of(
        cls,
        strategy: Strategy,
        problem: Problem,
        rows: NDArray[np.intp],
        seed: int,
        row_sample: RowSample,
    ) -> TrainingRows:
        """Return rows, or a sample of them, for a strategy."""
        table = problem.table
        weight = None if table.sample_weight is None else table.sample_weight[rows]
        drawn = row_sample.draw(table.y[rows], seed)
        if drawn is None:
            return cls(row_sample, rows, weight, None)
        at, sample_weight = drawn
        weight = None if weight is None else weight[at]
        names = strategy.family.name, strategy.resampler.name
        if not problem.catalogue.weights_sampled_rows(*names):
            return cls(row_sample, rows[at], weight, None)
        weight = sample_weight if weight is None else sample_weight * weight
        return cls(row_sample, rows[at], weight, np.bincount(table.y[rows]))

    def key(self, view: View | None) -> tuple[Hashable, ...]:
        """Return what the encoded rows and their encoder depend on beside the fold."""
        return self.row_sample, self.full_counts is not None, view
