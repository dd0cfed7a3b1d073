"""Turn out-of-fold scores into a candidate's score, with its standard error.

A candidate's score is the mean of its per-fold metric, averaged over repeats. The
bootstrap draws are the same for every candidate, and each recomputes that mean: so the
difference of two candidates on the same folds has a standard error of its own, and rows
that were not drawn serve as new data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from autoimb._execution.process_settings import quiet_warnings
from autoimb._metrics.confusion import mean_of_defined
from autoimb._metrics.metrics import LabelMetric, Metric, RankingMetric
from autoimb._metrics.scorers import OF_USERS
from autoimb._threshold.search import best_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._metrics.confusion import IntArray
    from autoimb._table.folds import Fold
    from autoimb._table.table import Table
from autoimb._metrics.bootstrap import (
    MAX_CELLS,
    MAX_DRAWS,
    Draws,
    Score,
    most_draws,
)

_MAX_SLOW_DRAWS = 15  # a scorer of the user's is called once a draw and fold
_FoldScores = WeakKeyDictionary["FoldResult", "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """The metric, the rows and the bootstrap draws that all candidates share."""

    metric: Metric
    table: Table
    folds: tuple[Fold, ...]
    counts: NDArray[np.uint8]  # (B, n) how often each draw holds each row
    _score_cache: _FoldScores = field(default_factory=WeakKeyDictionary)
    """By fold result its metric: as it is, then on each of the draws."""
    _mean_cache: _FoldScores = field(default_factory=WeakKeyDictionary)
    """By fold result its metric alone."""

    @classmethod
    def of(
        cls, metric: Metric, table: Table, folds: tuple[Fold, ...], seed: int
    ) -> Scoring:
        """Return a scoring with freshly drawn bootstrap counts."""
        # Labels of many classes take a search for their weights with every draw.
        is_slow = isinstance(metric, OF_USERS) or (
            isinstance(metric, LabelMetric) and table.pos is None
        )
        most = _MAX_SLOW_DRAWS if is_slow else MAX_DRAWS
        n_draws = min(most, most_draws(len(table.y)))
        draws = Draws.of(table.y, table.units, n_draws, seed)
        return cls(metric, table, folds, np.array(list(draws)))

    def score(self, results: Sequence[FoldResult]) -> Score:
        """Return the score of a candidate from its folds' results."""

        def counts_of(rows: NDArray[np.intp]) -> NDArray[np.uint8]:
            return np.vstack([_once(rows), self.counts[:, rows]])

        values = self._mean_over_folds(results, counts_of, self._score_cache)
        folds = tuple(sorted(result.number for result in results))
        drawn = np.where(np.isfinite(values[1:]), values[1:], np.nan)
        return Score(float(values[0]), drawn, folds)

    def failure(self, results: Sequence[FoldResult]) -> str:
        """Return why the mean of some results is no finite number."""
        for result, labels in self._labelled(results):
            rows = self.folds[result.number].val_idx
            why = self.metric.failure(
                self.table.y[rows],
                result.scores,
                self.table.weights[rows],
                pos=self.table.pos,
                y_pred=labels,
            )
            if why:
                return why
        return "the metric is undefined on its scores"

    def mean(self, results: Sequence[FoldResult]) -> float:
        """Return the score of a candidate without its bootstrap draws."""
        return float(self._mean_over_folds(results, _once, self._mean_cache)[0])

    def on_draw(self, results: Sequence[FoldResult], draw: int) -> float:
        """Return the score on the rows of one draw alone."""
        return float(
            self._mean_over_folds(
                results, lambda rows: self.counts[draw : draw + 1, rows], {}
            )[0]
        )

    def _mean_over_folds(
        self,
        results: Sequence[FoldResult],
        counts_of: Callable[[NDArray[np.intp]], NDArray[np.uint8]],
        cache: _FoldScores | dict[FoldResult, NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Return the metric's mean over folds, averaged over repeats.

        `counts_of` returns how often each row counts, in one line (m, n) for each value
        of the result. Racing scores the same folds repeatedly, so their scores are
        cached, but not for a metric of labels: its cut depends on the other folds.
        """
        cache = {} if isinstance(self.metric, LabelMetric) else cache
        repeats = []
        for of_repeat in self._repeats(results):
            for result, labels in self._labelled(of_repeat):
                if result in cache:
                    continue
                rows = self.folds[result.number].val_idx
                counts = counts_of(rows)
                n_pieces = min(-(-counts.size // MAX_CELLS), len(counts))
                cache[result] = np.concatenate(
                    [
                        self._metric_of(rows, result.scores, labels, piece)
                        for piece in np.array_split(counts, n_pieces)
                    ]
                )
            scores = np.array([cache[result] for result in of_repeat])
            repeats.append(mean_of_defined(scores))
        return np.asarray(np.mean(repeats, axis=0))

    def on_left_out(
        self, results: Sequence[FoldResult], draws: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return the pooled metric on the rows that each of some draws left out.

        A metric of labels has its cut tuned on the rows that were drawn.
        """
        drawn = self.counts[draws]
        left_out = (drawn == 0).astype(np.uint8)
        if not isinstance(self.metric, LabelMetric):
            return self.pooled(results, left_out)
        return np.concatenate(
            [
                self.pooled(results, rest[np.newaxis], tuned_on=one)
                for one, rest in zip(drawn, left_out, strict=True)
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
        the cut of a metric of labels. A mean over folds is biased upwards where a fold
        holds few positives, for average precision.
        """
        by_repeat: dict[int, list[tuple[FoldResult, IntArray]]] = {}
        for result, labels in self._labelled(results, tuned_on):
            repeat = by_repeat.setdefault(self.folds[result.number].repeat, [])
            repeat.append((result, labels))
        repeats = []
        for of_repeat in by_repeat.values():
            rows = np.concatenate([self.folds[r.number].val_idx for r, _ in of_repeat])
            proba = np.concatenate([result.scores for result, _ in of_repeat])
            labels = np.concatenate([labels for _, labels in of_repeat])
            repeats.append(self._metric_of(rows, proba, labels, counts[:, rows]))
        return np.asarray(np.mean(repeats, axis=0))

    def expected(self, results: Sequence[FoldResult]) -> float:
        """Return the metric to expect on many rows of a model trained on all rows.

        It is the pooled metric, averaged over repeats, without the bias that few rows
        of a class give it, and the loss by training on the part of a fold.
        """
        table = self.table
        n_trained = np.mean([len(self.folds[r.number].train_idx) for r in results])
        with quiet_warnings(UndefinedMetricWarning):  # of the user's scorers
            values = [
                self.metric.expected(
                    table.y[rows],
                    proba,
                    table.weights[rows],
                    pos=table.pos,
                    units=table.units[rows],
                    trained_on=float(n_trained) / len(table.y),
                )
                for rows, proba in self._at_once(results)
            ]
        return float(np.mean(values))

    def pooled_by_class(
        self, results: Sequence[FoldResult], counts: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return a ranking metric as `pooled` does, for each class (c, m).

        Of two classes the positive one alone counts.
        """
        if not isinstance(self.metric, RankingMetric):
            raise TypeError(f"{self.metric.name} is no mean over classes.")
        table, values = self.table, []
        for rows, proba in self._at_once(results):
            weights = counts[:, rows] * table.weights[rows]
            values.append(
                self.metric.by_class(table.y[rows], proba, weights, pos=table.pos)
            )
        return np.asarray(np.mean(values, axis=0))

    def _at_once(
        self, results: Sequence[FoldResult]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Yield the rows of each repeat, with their scores."""
        for of_repeat in self._repeats(results):
            rows = [self.folds[r.number].val_idx for r in of_repeat]
            proba = [r.scores for r in of_repeat]
            yield np.concatenate(rows), np.concatenate(proba)

    def _repeats(self, results: Sequence[FoldResult]) -> list[list[FoldResult]]:
        """Return the results of each repeat of the folds."""
        by_repeat: dict[int, list[FoldResult]] = {}
        for result in results:
            by_repeat.setdefault(self.folds[result.number].repeat, []).append(result)
        return list(by_repeat.values())

    def _metric_of(
        self,
        rows: NDArray[np.intp],
        proba: NDArray[np.float64],
        labels: IntArray,
        counts: NDArray[Any],
    ) -> NDArray[np.float64]:
        """Return the metric of some rows for each way (m, n) of counting them."""
        weight = self.table.sample_weight
        with quiet_warnings(UndefinedMetricWarning):  # of the user's scorers
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


def _once(rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return counts (1, n) by which each row counts once."""
    return np.ones((1, len(rows)), dtype=np.uint8)
