"""Turn out-of-fold scores into a candidate's score, with its noise.

A candidate's score is the mean of its per-fold metric, averaged over repeats. The
bootstrap draws rows class by class, the same rows for every candidate, and recomputes
that mean: so the difference of two candidates has a standard error of its own, and
rows that were not drawn serve as new data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autoimb._metrics import LabelMetric, Metric, ScorerMetric
from autoimb._threshold import best_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._confusion import IntArray
    from autoimb._data import Table
    from autoimb._evaluate import FoldResult
    from autoimb._folds import Fold

_MAX_DRAWS = 100
_MAX_CELLS = 5_000_000  # rows times draws: bounds time and memory on large tables
_MAX_SCORER_DRAWS = 15  # a scorer of the user's is called once a draw and fold


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A candidate's score, and the same on bootstrap draws of the rows."""

    mean: float
    drawn: NDArray[np.float64]  # (B,) on the rows of each draw
    left_out: NDArray[np.float64]  # (B,) on the rows that a draw left out

    @property
    def se(self) -> float:
        """The standard error of `mean`."""
        return _spread(self.drawn)

    def se_of_difference(self, other: Score) -> float:
        """Return the standard error of the difference to another candidate."""
        return _spread(self.drawn - other.drawn)


def _spread(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of the draws that are defined."""
    known = values[np.isfinite(values)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The metric, the rows and the bootstrap draws that all candidates share."""

    metric: Metric
    table: Table
    folds: tuple[Fold, ...]
    counts: NDArray[np.uint8]  # (B, n) how often each draw holds each row

    @classmethod
    def of(
        cls, metric: Metric, table: Table, folds: tuple[Fold, ...], seed: int
    ) -> Judge:
        """Return a judge with freshly drawn bootstrap counts."""
        limit = _MAX_SCORER_DRAWS if isinstance(metric, ScorerMetric) else _MAX_DRAWS
        n_draws = int(np.clip(_MAX_CELLS // len(table.y), 20, limit))
        return cls(metric, table, folds, _draw(table.y, n_draws, seed))

    def score(self, results: Sequence[FoldResult]) -> Score:
        """Return the score of a candidate from its folds' results."""
        by_repeat: dict[int, list[FoldResult]] = {}
        for result in results:
            by_repeat.setdefault(self.folds[result.number].repeat, []).append(result)
        repeats = [self._score_repeat(of_repeat) for of_repeat in by_repeat.values()]
        values = np.mean(repeats, axis=0)
        n_draws = len(self.counts)
        return Score(float(values[0]), values[1 : n_draws + 1], values[n_draws + 1 :])

    def _score_repeat(self, results: Sequence[FoldResult]) -> NDArray[np.float64]:
        """Return the mean over folds: as it is, on the draws, on what they left."""
        rows = [self.folds[result.number].val_idx for result in results]
        probas = [result.proba for result in results if result.proba is not None]
        labels = self._labels(np.concatenate(rows), np.concatenate(probas))
        pieces = np.split(labels, np.cumsum([len(r) for r in rows])[:-1])
        scores = [
            self._score_fold(*fold) for fold in zip(rows, probas, pieces, strict=True)
        ]
        return _mean_of_known(np.array(scores))

    def _score_fold(
        self,
        rows: NDArray[np.intp],
        proba: NDArray[np.float64],
        labels: IntArray,
    ) -> NDArray[np.float64]:
        """Return one fold's metric: as it is, on the draws, on what they left."""
        counts = self.counts[:, rows]
        weights = np.vstack([np.ones(len(rows)), counts, counts == 0])
        if self.table.sample_weight is not None:
            weights *= self.table.sample_weight[rows]
        return self.metric.score_many(
            self.table.y[rows], proba, weights, pos=self.table.pos, y_pred=labels
        )

    def _labels(self, rows: NDArray[np.intp], proba: NDArray[np.float64]) -> IntArray:
        """Return labels at the best cut of all these rows, for metrics of labels."""
        if not isinstance(self.metric, LabelMetric):
            most_probable: IntArray = np.argmax(proba, axis=1)
            return most_probable
        y, weight = self.table.y[rows], self.table.weights[rows]
        return best_labels(y, proba, weight, self.metric, self.table.pos)


def _draw(y: NDArray[np.intp], n_draws: int, seed: int) -> NDArray[np.uint8]:
    """Return how often each row is drawn (B, n); every class keeps its size."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((n_draws, len(y)), dtype=np.uint8)
    for code in np.unique(y):
        rows = np.flatnonzero(y == code)
        picks = rng.integers(len(rows), size=(n_draws, len(rows)))
        for draw, picked in zip(counts, picks, strict=True):
            draw[rows] = np.bincount(picked, minlength=len(rows))
    return counts


def _mean_of_known(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over folds (first axis) of the values that are defined."""
    known = np.isfinite(scores)
    total = np.where(known, scores, 0.0).sum(axis=0)
    n_known = known.sum(axis=0)
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)
