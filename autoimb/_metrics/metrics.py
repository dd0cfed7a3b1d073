"""Metrics as values, exact on weighted rows and computed for many draws at once.

There are two kinds here, both called by `Metric.score_many`: ranking metrics depend on
the order of the scores, label metrics on the confusion matrix (as the objectives of
thresholds do). `scorers` makes metrics of scikit-learn's scorers.

Shapes used throughout: `y` (n,) codes 0..k-1, `proba` (n, k), `weights` (B, n) with one
row of weights per bootstrap draw, confusion matrices (..., k, k) as [true, predicted].
`pos` is the code of the positive class, or None with more than two classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from autoimb._metrics.confusion import (
    BoolArray,
    FloatArray,
    IntArray,
    accuracy,
    balanced_accuracy,
    confusion_matrices,
    divide,
    divide_or_nan,
    f_beta,
    f_macro,
    f_weighted,
    gmean,
    mcc,
    mean_of_defined,
    precision,
    recall,
    weighted_counts,
)
from autoimb._metrics.expected_score import expected_average_precision, trained_on_all
from autoimb.exceptions import BadInputError, is_number

_MOST_BETA = 1e100  # its square is a float

BLOCK_BYTES = 64 * 2**20
"""Temporary arrays over many rows of weights are kept below this size."""


# Kinds of metrics --------------------------------------------------------------------


@dataclass(frozen=True)
class Metric(ABC):
    """What the search maximises: the larger, the better."""

    name: str
    """The name that the user writes."""
    label: str
    """The name in prose."""

    @abstractmethod
    def score_many(
        self,
        y: IntArray,
        proba: FloatArray,
        weights: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> FloatArray:
        """Return a score (B,) for each row of weights (B, n), NaN where undefined.

        Label metrics need `y_pred`; scorers take the argmax of `proba` without it.
        Minus infinity is where a user's scorer fails.
        """

    def expected(
        self,
        y: IntArray,
        proba: FloatArray,
        weight: FloatArray,
        *,
        pos: int | None,
        units: IntArray,
        trained_on: float,
        y_pred: IntArray | None = None,
    ) -> float:
        """Return the score to expect on many rows, of models trained on all of these.

        The rows, of weights (n,), were scored by models that were trained on the share
        `trained_on` of them. This is the score as it is; ranking metrics correct it.
        """
        weights = weight[np.newaxis]
        return float(self.score_many(y, proba, weights, pos=pos, y_pred=y_pred)[0])

    def failure(
        self,
        y: IntArray,
        proba: FloatArray,
        weight: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> str:
        """Return why a user's function fails for weights (n,); empty if it does not."""
        return ""

    def no_skill(self, class_shares: FloatArray, pos: int | None) -> float:
        """Return the score of a random ranking, or of the best constant answer.

        NaN if what the metric measures is not known, as for scorers.
        """
        return float("nan")


@dataclass(frozen=True)
class RankingMetric(Metric):
    """A metric of the order of the scores; multiclass: mean of one versus rest."""

    def score_many(
        self,
        y: IntArray,
        proba: FloatArray,
        weights: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> FloatArray:
        """Return scores (B,); NaN without positives (ROC-AUC: or without negatives)."""
        return mean_of_defined(self.by_class(y, proba, weights, pos=pos))

    def by_class(
        self, y: IntArray, proba: FloatArray, weights: FloatArray, *, pos: int | None
    ) -> FloatArray:
        """Return scores (c, B) of each class against the rest, or of one of two."""
        formula = _RANKING_FORMULAS[self.name]
        return np.array(
            [
                _ranking_scores(formula, y == c, proba[:, c], weights)
                for c in self.classes_of(proba, pos)
            ]
        )

    def classes_of(self, proba: FloatArray, pos: int | None) -> Sequence[int]:
        """Return the classes that the score is the mean over."""
        return range(proba.shape[1]) if pos is None else (pos,)

    def expected(
        self,
        y: IntArray,
        proba: FloatArray,
        weight: FloatArray,
        *,
        pos: int | None,
        units: IntArray,
        trained_on: float,
        y_pred: IntArray | None = None,
    ) -> float:
        """Return the score to expect on many rows, of models trained on all of these.

        The mean over classes, each corrected; see `expected_score`.
        """
        values = self.by_class(y, proba, weight[np.newaxis], pos=pos)[:, 0]
        if self.name == "average_precision":
            unbiased = [
                expected_average_precision(y == c, proba[:, c], weight, units)
                for c in self.classes_of(proba, pos)
            ]
            values = np.where(np.isnan(unbiased), values, unbiased)
        n_units = [
            len(np.unique(units[(y == c) & (weight > 0)]))
            for c in self.classes_of(proba, pos)
        ]
        values = trained_on_all(values, np.array(n_units), self.name, trained_on)
        return float(mean_of_defined(values))

    def no_skill(self, class_shares: FloatArray, pos: int | None) -> float:
        """Return the mean score of random rankings of many rows."""
        shares = class_shares[class_shares > 0] if pos is None else class_shares[[pos]]
        return _RANDOM_SCORES[self.name](shares)


@dataclass(frozen=True)
class LabelMetric(Metric):
    """A metric of predicted labels: a function of the confusion matrix only."""

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Score confusions (..., k, k): (...); 0 where the formula says 0/0."""
        return _LABEL_FORMULAS[self.name](confusion, pos)

    def score_many(
        self,
        y: IntArray,
        proba: FloatArray,
        weights: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> FloatArray:
        """Return scores (B,) of the labels `y_pred`."""
        if y_pred is None:
            raise TypeError(f"{self.name} is a metric of labels: y_pred is needed.")
        return self.utility(confusion_matrices(y, y_pred, weights, proba.shape[1]), pos)

    def no_skill(self, class_shares: FloatArray, pos: int | None) -> float:
        """Return the score of the best constant answer."""
        answers = np.eye(len(class_shares))[:, np.newaxis, :]  # (k answers, 1, k)
        return float(self.utility(class_shares[:, np.newaxis] * answers, pos).max())


@dataclass(frozen=True)
class FBeta(LabelMetric):
    """F-beta score of the positive class, or its mean over more than two classes.

    Parameters
    ----------
    beta : float
        How many times more recall counts than precision; positive.

    Notes
    -----
    `(1 + beta**2) * tp / (beta**2 * (tp + fn) + tp + fp)`, and 0 where that is 0/0.

    Examples
    --------
    >>> from autoimb import FBeta
    >>> FBeta(2)
    FBeta(beta=2)
    """

    name: str = field(init=False, repr=False)
    label: str = field(init=False, repr=False)
    beta: float

    def __post_init__(self) -> None:
        if not is_number(self.beta) or not 0 < self.beta <= _MOST_BETA:
            raise BadInputError(
                f"beta must be positive, and {_MOST_BETA:.0e} at most; got "
                f"{self.beta!r}."
            )
        object.__setattr__(self, "name", f"f{self.beta:g}")
        object.__setattr__(self, "label", f"F{self.beta:g}")

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Score confusions (..., k, k): (...); 0 where the formula says 0/0."""
        return f_beta(confusion, pos, self.beta)


def metrics_at(
    y: IntArray,
    y_pred: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    pos: int | None,
) -> dict[str, float]:
    """Return every named metric of one set of predictions, for the report."""
    weights = weight[np.newaxis]
    confusion = confusion_matrices(y, y_pred, weights, proba.shape[1])[0]
    scores = {
        name: float(
            metric.utility(confusion, pos)
            if isinstance(metric, LabelMetric)
            else metric.score_many(y, proba, weights, pos=pos)[0]
        )
        for name, metric in METRICS.items()
    }
    if pos is not None:
        scores["precision"] = float(precision(confusion, pos))
        scores["recall"] = float(recall(confusion, pos))
    scores["brier"] = brier_score(y, proba, weight)
    scores["log_loss"] = log_loss(y, proba, weight)
    return scores


# Rankings ----------------------------------------------------------------------------


class _RankingCounts(NamedTuple):
    """Weighted rows (B, g) at the g distinct scores of positives, falling."""

    positives: FloatArray
    """Positives with the score."""
    positives_above: FloatArray
    """Positives with this and higher scores."""
    negatives_higher: FloatArray
    """Negatives with a higher score."""
    negatives_above: FloatArray
    """Negatives with this and higher scores."""
    negatives: FloatArray
    """All negatives (B, 1)."""


def _ranking_scores(
    formula: Callable[[_RankingCounts], FloatArray],
    is_positive: BoolArray,
    score: FloatArray,
    weights: FloatArray,
) -> FloatArray:
    """Return a ranking formula's values (B,) for rows of weights (B, n).

    Rows of weights are taken in blocks, so that temporary arrays stay small.
    """
    if len(weights) == 1:  # few rows are sorted faster, and the others change nothing
        counts = weights[0] > 0
        is_positive, score = is_positive[counts], score[counts]
        weights = weights[:, counts]
    if not is_positive.any():
        return np.full(len(weights), np.nan)
    cells, n_cells = _cells(is_positive, score)
    n_rows = max(1, BLOCK_BYTES // (4 * 8 * n_cells))
    values = []
    for start in range(0, len(weights), n_rows):
        block = weights[start : start + n_rows]
        counts = weighted_counts(cells, block, n_cells).reshape(len(block), -1, 2)
        positives, negatives = counts[:, 1::2, 1], counts[..., 0].cumsum(axis=1)
        at_scores = _RankingCounts(
            positives,
            positives_above=positives.cumsum(axis=1),
            negatives_higher=negatives[:, :-1:2],
            negatives_above=negatives[:, 1::2],
            negatives=negatives[:, -1:],
        )
        values.append(formula(at_scores))
    return np.concatenate(values)


def _cells(is_positive: BoolArray, score: FloatArray) -> tuple[IntArray, int]:
    """Return the cell (n,) of each row, and how many cells there are.

    The g scores of positives and the gaps around them make 2g + 1 slots by falling
    score, each with a cell for negatives and one for positives.
    """
    order = np.argsort(-score)
    ranked, is_hit = score[order], is_positive[order]
    first = np.append(0, np.flatnonzero(np.diff(ranked)) + 1)
    holds_hit = np.logical_or.reduceat(is_hit, first)
    slots = 2 * np.cumsum(holds_hit) - holds_hit
    cells = np.empty(len(score), dtype=np.intp)
    cells[order] = 2 * np.repeat(slots, np.diff(first, append=len(score))) + is_hit
    return cells, 4 * int(np.count_nonzero(holds_hit)) + 2


def _average_precision(count: _RankingCounts) -> FloatArray:
    """Return the sum over scores of precision times the recall gained; 0/0 is NaN."""
    alerts = count.positives_above + count.negatives_above
    gained = count.positives * divide(count.positives_above, alerts)
    return divide_or_nan(gained.sum(axis=1), count.positives.sum(axis=1))


def _roc_auc(count: _RankingCounts) -> FloatArray:
    """Return the weighted share of (positive, negative) pairs in order, ties half."""
    lower = count.negatives - (count.negatives_higher + count.negatives_above) / 2
    pairs = count.positives.sum(axis=1) * count.negatives[:, 0]
    return divide_or_nan((count.positives * lower).sum(axis=1), pairs)


# Scores of probabilities -------------------------------------------------------------


def log_loss(y: IntArray, proba: FloatArray, weight: FloatArray) -> float:
    """Return the weighted mean of -log p of the true class, p at least one epsilon.

    `sklearn.metrics.log_loss` returns the same number; its checks make it 400 times
    slower for 200 rows and 20 times for 100,000. Calibrations call this in a loop.
    """
    losses = -np.log(np.clip(proba[np.arange(len(y)), y], np.finfo(float).eps, 1))
    return float(np.average(losses, weights=weight))


def brier_score(y: IntArray, proba: FloatArray, weight: FloatArray) -> float:
    """Return the weighted mean squared error of probabilities, halved for two classes.

    `sklearn.metrics.brier_score_loss` returns the same number, but warns of rows that
    sum to one only in single precision, as those of many models do.
    """
    errors = proba.copy()
    errors[np.arange(len(y)), y] -= 1
    squares = np.einsum("ij,ij->i", errors, errors)
    scale = 0.5 if proba.shape[1] == 2 else 1.0
    return scale * float(np.average(squares, weights=weight))


# Names -------------------------------------------------------------------------------


_RANKING_FORMULAS: dict[str, Callable[[_RankingCounts], FloatArray]] = {
    "average_precision": _average_precision,
    "roc_auc": _roc_auc,
}
_RANDOM_SCORES: dict[str, Callable[[FloatArray], float]] = {
    "average_precision": lambda shares: float(np.mean(shares)),
    "roc_auc": lambda _shares: 0.5,
}
"""From shares of classes to the mean score of their random rankings."""

_LABEL_FORMULAS: dict[str, Callable[[FloatArray, int | None], FloatArray]] = {
    "f1": partial(f_beta, beta=1.0),
    "f1_macro": f_macro,
    "f1_weighted": f_weighted,
    "mcc": mcc,
    "gmean": gmean,
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
}

_LABELS = {
    "average_precision": "PR-AUC",
    "roc_auc": "ROC-AUC",
    "f1": "F1",
    "f1_macro": "macro F1",
    "f1_weighted": "weighted F1",
    "mcc": "MCC",
    "gmean": "G-mean",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
}

METRICS: dict[str, Metric] = {
    name: (RankingMetric if name in _RANKING_FORMULAS else LabelMetric)(name, label)
    for name, label in _LABELS.items()
}
"""Every metric that has a name of its own."""
