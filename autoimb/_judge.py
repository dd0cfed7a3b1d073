"""Turn out-of-fold scores into a candidate's score, with its noise.

A candidate's score is the mean of its per-fold metric, averaged over repeats. The
bootstrap draws rows class by class (whole groups where there are groups), the same for
every candidate, and recomputes that mean: so the difference of two candidates has a
standard error of its own, and rows that were not drawn serve as new data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from autoimb._metrics import LabelMetric, Metric, ScorerMetric
from autoimb._threshold import best_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from autoimb._confusion import IntArray
    from autoimb._data import Table
    from autoimb._evaluate import FoldResult
    from autoimb._folds import Fold

_MAX_DRAWS = 100
_MAX_CELLS = 5_000_000  # rows times draws: bounds time and memory on large tables
_MAX_SLOW_DRAWS = 15  # a scorer of the user's is called once a draw and fold


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


def most_draws(n_rows: int) -> int:
    """Return how many bootstrap draws of so many rows there are at most."""
    return int(np.clip(_MAX_CELLS // n_rows, 20, _MAX_DRAWS))


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The metric, the rows and the bootstrap draws that all candidates share."""

    metric: Metric
    table: Table
    folds: tuple[Fold, ...]
    counts: NDArray[np.uint8]  # (B, n) how often each draw holds each row
    known: WeakKeyDictionary[FoldResult, NDArray[np.float64]] = field(
        default_factory=WeakKeyDictionary
    )
    """Scores of folds that were met before: a race looks at them again and again."""
    known_means: WeakKeyDictionary[FoldResult, NDArray[np.float64]] = field(
        default_factory=WeakKeyDictionary
    )

    @classmethod
    def of(
        cls, metric: Metric, table: Table, folds: tuple[Fold, ...], seed: int
    ) -> Judge:
        """Return a judge with freshly drawn bootstrap counts."""
        # Labels of many classes take a search for their weights with every draw.
        is_slow = isinstance(metric, ScorerMetric) or (
            isinstance(metric, LabelMetric) and table.pos is None
        )
        limit = _MAX_SLOW_DRAWS if is_slow else _MAX_DRAWS
        n_draws = min(limit, most_draws(len(table.y)))
        counts = (
            _draw(table.y, n_draws, seed)
            if table.groups is None
            else _draw_groups(table.groups, n_draws, seed)
        )
        return cls(metric, table, folds, counts)

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
        return _mean_of_known(
            np.array([self._score_fold(*fold) for fold in self._labelled(results)])
        )

    def drawn(self, results: Sequence[FoldResult], draw: int) -> float:
        """Return the score on the rows of one draw alone."""
        by_repeat: dict[int, list[NDArray[np.float64]]] = {}
        for result, labels in self._labelled(results):
            fold = self.folds[result.number]
            counts = self.counts[draw : draw + 1, fold.val_idx]
            score = self._score_rows(result, labels, counts)
            by_repeat.setdefault(fold.repeat, []).append(score)
        repeats = [_mean_of_known(np.array(scores)) for scores in by_repeat.values()]
        return float(np.mean(repeats))

    def on_left_out(
        self, results: Sequence[FoldResult], draws: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return the pooled metric on the rows that each of some draws left out.

        A metric of labels has its cut tuned on the rows that were drawn.
        """
        drawn = self.counts[draws]
        if self._is_fixed:
            return self.pooled(results, (drawn == 0).astype(np.uint8))
        return np.concatenate(
            [
                self.pooled(results, (one == 0).astype(np.uint8), tuned_on=one[0])
                for one in np.split(drawn, len(drawn))
            ]
        )

    def pooled(
        self,
        results: Sequence[FoldResult],
        counts: NDArray[Any],
        tuned_on: NDArray[Any] | None = None,
    ) -> NDArray[np.float64]:
        """Return the metric over all rows of a repeat at once, averaged over repeats.

        `counts` (m, n) says how often each row counts, `tuned_on` (n,) how often for
        the cut of a metric of labels. The mean over folds flatters where a fold holds
        few positives: average precision is biased then.
        """
        parts: dict[int, list[tuple[FoldResult, IntArray]]] = {}
        for result, labels in self._labelled(results, tuned_on):
            parts.setdefault(self.folds[result.number].repeat, []).append(
                (result, labels)
            )
        repeats = []
        for of_repeat in parts.values():
            rows = np.concatenate([self.folds[r.number].val_idx for r, _ in of_repeat])
            proba = np.concatenate([result.scores for result, _ in of_repeat])
            labels = np.concatenate([labels for _, labels in of_repeat])
            repeats.append(self._score(rows, proba, labels, counts[:, rows]))
        return np.asarray(np.mean(repeats, axis=0))

    def mean(self, results: Sequence[FoldResult]) -> float:
        """Return the score of one repeat's folds alone, without its noise."""
        scores = [self._mean_fold(*fold) for fold in self._labelled(results)]
        return float(_mean_of_known(np.array(scores))[0])

    def _mean_fold(self, result: FoldResult, labels: IntArray) -> NDArray[np.float64]:
        """Return one fold's metric as it is."""
        if self._is_fixed and result in self.known_means:
            return self.known_means[result]
        score = self._score_rows(result, labels, np.ones((1, len(labels)), np.uint8))
        if self._is_fixed:
            self.known_means[result] = score
        return score

    def _score_fold(self, result: FoldResult, labels: IntArray) -> NDArray[np.float64]:
        """Return one fold's metric: as it is, on the draws, on what they left."""
        if self._is_fixed and result in self.known:
            return self.known[result]
        counts = self.counts[:, self.folds[result.number].val_idx]
        one = np.ones((1, len(labels)), dtype=np.uint8)
        weights = np.vstack([one, counts, counts == 0])
        n_pieces = -(-weights.size // _MAX_CELLS)
        pieces = np.array_split(weights, min(n_pieces, len(weights)))
        scores = np.concatenate(
            [self._score_rows(result, labels, piece) for piece in pieces]
        )
        if self._is_fixed:
            self.known[result] = scores
        return scores

    @property
    def _is_fixed(self) -> bool:
        """Whether a fold's score does not depend on the folds that it is taken with.

        A label metric's cut moves with the folds.
        """
        return not isinstance(self.metric, LabelMetric)

    def _score_rows(
        self, result: FoldResult, labels: IntArray, counts: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return one fold's metric for each way of counting its rows."""
        rows = self.folds[result.number].val_idx
        return self._score(rows, result.scores, labels, counts)

    def _score(
        self,
        rows: NDArray[np.intp],
        proba: NDArray[np.float64],
        labels: IntArray,
        counts: NDArray[Any],
    ) -> NDArray[np.float64]:
        """Return the metric of some rows for each way of counting them."""
        weight = self.table.sample_weight
        return self.metric.score_many(
            self.table.y[rows],
            proba,
            counts if weight is None else counts * weight[rows],
            pos=self.table.pos,
            y_pred=labels,
        )

    def _labelled(
        self, results: Sequence[FoldResult], tuned_on: NDArray[Any] | None = None
    ) -> Iterator[tuple[FoldResult, IntArray]]:
        """Yield results with their rows' labels, for metrics of labels at one cut.

        The cut is the best one where each row counts as often as `tuned_on` says.
        """
        if not isinstance(self.metric, LabelMetric):
            yield from ((r, np.argmax(r.scores, axis=1)) for r in results)
            return
        parts = [self.folds[result.number].val_idx for result in results]
        rows, proba = np.concatenate(parts), np.concatenate([r.scores for r in results])
        y, weight = self.table.y[rows], self.table.weights[rows]
        if tuned_on is not None:
            weight = weight * tuned_on[rows]
        labels = best_labels(y, proba, weight, self.metric, self.table.pos)
        ends = np.cumsum([len(part) for part in parts])[:-1]
        yield from zip(results, np.split(labels, ends), strict=True)


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


def _draw_groups(groups: NDArray[Any], n_draws: int, seed: int) -> NDArray[np.uint8]:
    """Return how often each row is drawn (B, n), the rows of a group together."""
    rng = np.random.default_rng(seed)
    codes, names = pd.factorize(np.asarray(groups), use_na_sentinel=False)
    counts = np.empty((n_draws, len(codes)), dtype=np.uint8)
    for draw in counts:
        picked = rng.integers(len(names), size=len(names))
        draw[:] = np.bincount(picked, minlength=len(names))[codes]
    return counts


def _mean_of_known(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over folds (first axis) of the values that are defined."""
    known = np.isfinite(scores)
    total = np.where(known, scores, 0.0).sum(axis=0)
    n_known = known.sum(axis=0)
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)
