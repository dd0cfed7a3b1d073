"""Metrics as values, exact on weighted rows and scored for many bootstraps at once.

Three kinds share one face, `Metric.score_many`: ranking metrics look at scores only,
label metrics are functions of a confusion matrix (and so are thresholds' objectives),
and a scikit-learn scorer is asked through a stand-in classifier.

Shapes used throughout: `y` (n,) codes 0..k-1, `proba` (n, k), `weights` (B, n) with one
row of weights per bootstrap replicate, confusion matrices (..., k, k) as [true,
predicted]. `pos` is the code of the positive class, or None with more than two classes.
"""

import difflib
import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning

from ._confusion import (
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
    precision,
    recall,
    weighted_counts,
)
from .exceptions import BadInputError

BLOCK_BYTES = 64 * 2**20
"""Temporary arrays over bootstrap replicates are kept below this size."""


# Values ------------------------------------------------------------------------------


class Predictions(NamedTuple):
    """What a metric sees of n rows, weights apart."""

    y: IntArray
    proba: FloatArray
    pos: int | None
    y_pred: IntArray | None


@dataclass(frozen=True)
class Metric(ABC):
    """What a candidate is judged by: the larger, the better."""

    name: str
    """The name that the user writes."""
    label: str
    """The name in prose."""
    needs_labels: ClassVar[bool] = False

    def score_many(
        self,
        y: IntArray,
        proba: FloatArray,
        weights: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> FloatArray:
        """Score each row of weights (B, n): (B,), NaN where undefined.

        Label metrics need `y_pred`; scorers take the argmax of `proba` without it.
        """
        return self._score(Predictions(y, proba, pos, y_pred), weights)

    @abstractmethod
    def _score(self, made: Predictions, weights: FloatArray) -> FloatArray:
        """Scores (B,), one for each row of weights (B, n)."""

    @abstractmethod
    def chance_score(self, shares: FloatArray, pos: int | None) -> float:
        """Score a random ranking, or the best constant answer."""


@dataclass(frozen=True)
class RankingMetric(Metric):
    """A metric of the order of the scores; multiclass: mean of one versus rest."""

    def _score(self, made: Predictions, weights: FloatArray) -> FloatArray:
        """NaN for replicates without positives (ROC-AUC: or without negatives)."""
        y, proba, pos, _ = made
        classes = range(proba.shape[1]) if pos is None else (pos,)
        score = _RANKINGS[self.name].score
        of_class = [_in_blocks(score, y == c, proba[:, c], weights) for c in classes]
        return _mean_of_known(np.array(of_class))

    def chance_score(self, shares: FloatArray, pos: int | None) -> float:
        """Score a random ranking of many rows, on average."""
        prevalences = shares[shares > 0] if pos is None else shares[[pos]]
        return float(np.mean(_RANKINGS[self.name].chance(prevalences)))


@dataclass(frozen=True)
class LabelMetric(Metric):
    """A metric of predicted labels: a function of the confusion matrix only."""

    needs_labels: ClassVar[bool] = True

    def from_confusion(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Score confusions (..., k, k): (...); 0 where the formula says 0/0."""
        return _LABEL_FORMULAS[self.name](confusion, pos)

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Return the metric itself: what a threshold maximises."""
        return self.from_confusion(confusion, pos)

    def _score(self, made: Predictions, weights: FloatArray) -> FloatArray:
        y, proba, pos, y_pred = made
        if y_pred is None:
            raise TypeError(f"{self.name} is a metric of labels: y_pred is needed.")
        confusion = confusion_matrices(y, y_pred, weights, proba.shape[1])
        return self.from_confusion(confusion, pos)

    def chance_score(self, shares: FloatArray, pos: int | None) -> float:
        """Score the best constant answer."""
        always = np.eye(len(shares))[:, np.newaxis, :]  # (k answers, 1, k)
        constant = shares[:, np.newaxis] * always
        return float(self.from_confusion(constant, pos).max())


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
        if not 0 < self.beta < np.inf:
            raise BadInputError(f"beta must be positive and finite, got {self.beta!r}.")
        object.__setattr__(self, "name", f"f{self.beta:g}")
        object.__setattr__(self, "label", f"F{self.beta:g}")

    def from_confusion(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Score confusions (..., k, k): (...); 0 where the formula says 0/0."""
        return f_beta(confusion, pos, self.beta)


@dataclass(frozen=True)
class ScorerMetric(Metric):
    """A scikit-learn scorer, or any callable (estimator, X, y) -> float.

    The scorer sees label codes: 0..k-1, and for two classes 1 is the positive one.
    A scorer that does not take `sample_weight` is given repeated rows instead, each as
    often as its weight is a multiple of the smallest positive weight (rounded).
    """

    scorer: Callable[..., float]

    def _score(self, made: Predictions, weights: FloatArray) -> FloatArray:
        y, proba, pos, y_pred = made
        labels = proba.argmax(axis=1) if y_pred is None else y_pred
        if pos is not None:
            y, labels = (y == pos).astype(int), (labels == pos).astype(int)
            proba = proba[:, [1 - pos, pos]]
        model = _StoredPredictions(proba, labels)
        score = (
            _score_weighted if _takes_sample_weight(self.scorer) else _score_repeated
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return np.array(
                [score(self.scorer, model, y, w) for w in weights.astype(float)], float
            )

    def chance_score(self, shares: FloatArray, pos: int | None) -> float:
        """Return NaN: it is not known what the scorer measures."""
        return float("nan")


def no_skill(metric: Metric, class_shares: ArrayLike, pos: int | None) -> float:
    """Best score of a model that knows nothing but the class shares (k,)."""
    shares = np.asarray(class_shares, dtype=float)
    return metric.chance_score(shares / shares.sum(), pos)


def metrics_at(
    y: IntArray,
    y_pred: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    pos: int | None,
) -> dict[str, float]:
    """Every named metric of one set of predictions, for the report."""
    weights = weight[np.newaxis]
    confusion = confusion_matrices(y, y_pred, weights, proba.shape[1])[0]
    scores = {
        name: float(
            metric.from_confusion(confusion, pos)
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


class _Counts(NamedTuple):
    """Weighted rows (B, g) at the g distinct scores of positives, falling."""

    positives: FloatArray  # positives with the score
    found: FloatArray  # positives with this and higher scores
    higher: FloatArray  # negatives with a higher score
    reached: FloatArray  # negatives with this and higher scores
    negatives: FloatArray  # (B, 1) all negatives


def _cells(positive: BoolArray, score: FloatArray) -> tuple[IntArray, int]:
    """Cell (n,) of each row, and how many cells there are.

    The g scores of positives and the gaps around them make 2g + 1 slots by falling
    score, each with a cell for negatives and one for positives.
    """
    order = np.argsort(-score)
    ranked, is_hit = score[order], positive[order]
    first = np.append(0, np.flatnonzero(np.diff(ranked)) + 1)
    holds_hit = np.logical_or.reduceat(is_hit, first)
    slots = 2 * np.cumsum(holds_hit) - holds_hit
    cells = np.empty(len(score), dtype=np.intp)
    cells[order] = 2 * np.repeat(slots, np.diff(first, append=len(score))) + is_hit
    return cells, 4 * int(np.count_nonzero(holds_hit)) + 2


def _count(cells: IntArray, weights: FloatArray, n_cells: int) -> _Counts:
    slots = weighted_counts(cells, weights, n_cells).reshape(len(weights), -1, 2)
    positives, so_far = slots[:, 1::2, 1], slots[..., 0].cumsum(axis=1)
    return _Counts(
        positives,
        found=positives.cumsum(axis=1),
        higher=so_far[:, :-1:2],
        reached=so_far[:, 1::2],
        negatives=so_far[:, -1:],
    )


def _average_precision(count: _Counts) -> FloatArray:
    """Sum over cuts of precision times the recall gained there; 0/0 is NaN."""
    precisions = divide(count.found, count.found + count.reached)
    gained = (count.positives * precisions).sum(axis=1)
    return divide_or_nan(gained, count.positives.sum(axis=1))


def _roc_auc(count: _Counts) -> FloatArray:
    """Weighted share of (positive, negative) pairs in order, ties half; 0/0 is NaN."""
    lower = count.negatives - (count.higher + count.reached) / 2
    pairs = count.positives.sum(axis=1) * count.negatives[:, 0]
    return divide_or_nan((count.positives * lower).sum(axis=1), pairs)


def _in_blocks(
    score: Callable[[_Counts], FloatArray],
    positive: BoolArray,
    scores: FloatArray,
    weights: FloatArray,
) -> FloatArray:
    """Scores (B,), over blocks of replicates so that temporary arrays stay small."""
    if not positive.any():
        return np.full(len(weights), np.nan)
    cells, n_cells = _cells(positive, scores)
    n_rows = max(1, BLOCK_BYTES // (4 * 8 * n_cells))
    blocks = (weights[b : b + n_rows] for b in range(0, len(weights), n_rows))
    return np.concatenate([score(_count(cells, block, n_cells)) for block in blocks])


def _mean_of_known(scores: FloatArray) -> FloatArray:
    """Column means (B,) of (classes, B) without NaN; NaN where nothing is known."""
    known = ~np.isnan(scores)
    total = np.where(known, scores, 0).sum(axis=0)
    return divide_or_nan(total, np.count_nonzero(known, axis=0))


# Scores of probabilities -------------------------------------------------------------


def log_loss(y: IntArray, proba: FloatArray, weight: FloatArray) -> float:
    """Weighted mean of -log p of the true class, p kept away from 0 by one epsilon."""
    losses = -np.log(np.clip(proba[np.arange(len(y)), y], np.finfo(float).eps, 1))
    return float(np.average(losses, weights=weight))


def brier_score(y: IntArray, proba: FloatArray, weight: FloatArray) -> float:
    """Weighted mean squared error of the probabilities, halved for two classes."""
    errors = proba.copy()
    errors[np.arange(len(y)), y] -= 1
    squares = np.einsum("ij,ij->i", errors, errors)
    scale = 0.5 if proba.shape[1] == 2 else 1.0
    return scale * float(np.average(squares, weights=weight))


_MOST_COPIES = 20  # of a row in the mean, where weights are told by repeating rows

# scikit-learn scorers ----------------------------------------------------------------


class _StoredPredictions(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose X is a column of row numbers of stored predictions."""

    def __init__(self, proba: FloatArray, labels: IntArray) -> None:
        self.proba = proba
        self.labels = labels

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def classes_(self) -> IntArray:
        return np.arange(self.proba.shape[1])

    def predict_proba(self, X: IntArray) -> FloatArray:
        return self.proba[X[:, 0]]

    def decision_function(self, X: IntArray) -> FloatArray:
        proba = self.predict_proba(X)
        return proba[:, 1] if proba.shape[1] == 2 else proba

    def predict(self, X: IntArray) -> IntArray:
        return self.labels[X[:, 0]]


def _takes_sample_weight(scorer: Callable[..., float]) -> bool:
    """Whether the scorer, or the function that it was made of, knows weights."""
    function = getattr(scorer, "_score_func", scorer)
    return "sample_weight" in inspect.signature(function).parameters


def _score_weighted(
    scorer: Callable[..., float],
    model: _StoredPredictions,
    y: IntArray,
    weight: FloatArray,
) -> float:
    return scorer(model, np.arange(len(y))[:, np.newaxis], y, sample_weight=weight)


def _score_repeated(
    scorer: Callable[..., float],
    model: _StoredPredictions,
    y: IntArray,
    weight: FloatArray,
) -> float:
    times = weight / weight[weight > 0].min(initial=np.inf)
    if times.sum() > _MOST_COPIES * len(y):
        times *= _MOST_COPIES * len(y) / times.sum()
    times = np.where(weight > 0, np.maximum(np.rint(times), 1), 0).astype(int)
    rows = np.repeat(np.arange(len(y)), times)
    if len(np.unique(y[rows])) < len(np.unique(y)):
        return np.nan  # what a scorer makes of a class that was not drawn is unknown
    return scorer(model, rows[:, np.newaxis], y[rows])


# Names -------------------------------------------------------------------------------


class _Ranking(NamedTuple):
    score: Callable[[_Counts], FloatArray]
    chance: Callable[[FloatArray], FloatArray]  # prevalences -> expected scores


_RANKINGS: dict[str, _Ranking] = {
    "average_precision": _Ranking(_average_precision, lambda prevalence: prevalence),
    "roc_auc": _Ranking(_roc_auc, lambda prevalence: np.full_like(prevalence, 0.5)),
}

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
    name: (RankingMetric if name in _RANKINGS else LabelMetric)(name, label)
    for name, label in _LABELS.items()
}
"""Every metric that has a name of its own."""

_OTHER_NAMES = {
    "ap": "average_precision",
    "auc": "roc_auc",
    "auprc": "average_precision",
    "auroc": "roc_auc",
    "matthews_corrcoef": "mcc",
    "pr_auc": "average_precision",
}
"""What other libraries call them: hints for an unknown name, not accepted."""


def resolve_metric(metric: object, n_classes: int) -> Metric:
    """Return the metric meant by a name, a Metric or a scikit-learn scorer."""
    if isinstance(metric, str):
        metric = METRICS.get(metric) or _refuse_name(metric)
    if isinstance(metric, Metric):
        is_f1 = metric == METRICS["f1"]
        return METRICS["f1_macro"] if is_f1 and n_classes > 2 else metric
    if callable(metric) and not isinstance(metric, type):
        name = _name_of_scorer(metric)
        return ScorerMetric(name, name.replace("_", " "), metric)
    raise BadInputError(
        f"{metric=} must be a name, FBeta or a scikit-learn scorer. "
        f"Names: {', '.join(sorted(METRICS))}."
    )


def unknown_name(parameter: str, value: str, known: Iterable[str]) -> BadInputError:
    """Error for a name that is not known: the nearest one, then all of them, sorted."""
    names = sorted(known)
    meant = _OTHER_NAMES.get(value.lower(), value.lower())
    nearest = difflib.get_close_matches(meant, names, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return BadInputError(
        f"{parameter}={value!r} is not known.{hint} Known: {', '.join(names)}."
    )


def _refuse_name(name: str) -> Metric:
    raise unknown_name("metric", name, METRICS)


def _name_of_scorer(scorer: Callable[..., Any]) -> str:
    function = getattr(scorer, "_score_func", scorer)
    return str(getattr(function, "__name__", type(function).__name__))
