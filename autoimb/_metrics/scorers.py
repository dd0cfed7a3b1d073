"""Metrics by name, and those that scikit-learn's scorers compute.

A scorer sees the labels of the user. One of scores is called with a classifier that
returns stored predictions. One of labels depends on the confusion matrix alone, so it
is taken at its best cut, as the built-in metrics of labels are; where it is one of
those, the built-in takes its place.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer

from autoimb._metrics.confusion import FloatArray, IntArray, confusion_matrices
from autoimb._metrics.metrics import METRICS, FBeta, LabelMetric, Metric
from autoimb.exceptions import BadInputError, unknown_name_error

_MAX_REPEATS = 20
"""Of a row on average, for scorers that get repeated rows instead of weights."""
_MAX_ROWS = 10_000
"""That a confusion matrix becomes, for functions that take no weights."""
_COMPARED = 32
"""Cuts at which a function of the user's is called, evenly spaced; then as many around
the best of them: a call takes a millisecond."""


@dataclass(frozen=True, slots=True, eq=False)
class UserLabels:
    """The labels that scorers see."""

    classes: Any
    """In the order of their codes."""
    pos: int | None
    """Code of the class of interest; None for more than two classes."""
    rarer: int | None = None
    """Code of the rarer of two classes that are left where others are set aside. It is
    positive for the scorers that know two classes only."""

    @property
    def pos_label(self) -> Any:
        """The class that scorers of two classes take for positive."""
        code = self.rarer if self.pos is None else self.pos
        return None if code is None else self.classes[code]


class _StoredPredictions(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose X is a column of row numbers of stored predictions."""

    def __init__(self, proba: FloatArray, labels: Any, classes: Any) -> None:
        self.proba = proba
        self.labels = labels
        self.classes_ = classes

    def predict_proba(self, X: IntArray) -> FloatArray:
        return self.proba[X[:, 0]]

    def decision_function(self, X: IntArray) -> FloatArray:
        proba = self.predict_proba(X)
        return proba[:, 1] if proba.shape[1] == 2 else proba

    def predict(self, X: IntArray) -> Any:
        return self.labels[X[:, 0]]


@dataclass(frozen=True)
class ScorerMetric(Metric):
    """A scikit-learn scorer of scores, or any callable (estimator, X, y) -> float.

    A scorer that does not take `sample_weight` gets repeated rows instead, each as
    often as its weight is a multiple of the smallest positive weight (rounded). One
    that takes `pos_label`, and was made without, gets the class of interest.
    """

    scorer: Callable[..., float]
    classes: Any = field(default=None, compare=False, repr=False)
    """Labels in the order of their codes; None: the codes."""

    def score_many(
        self,
        y: IntArray,
        proba: FloatArray,
        weights: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> FloatArray:
        """Return the scorer's values (B,) for a classifier with these predictions.

        Minus infinity where it raises an error, or returns no number or an infinite
        one: a candidate that it fails on is the worst, and the others can still be
        compared. NaN where it is not defined.
        """
        scorer, model, true = self._prepared(y, proba, pos, y_pred)
        return np.array(
            [_scored(scorer, model, true, w)[0] for w in weights.astype(float)],
            dtype=float,
        )

    def failure(
        self,
        y: IntArray,
        proba: FloatArray,
        weight: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> str:
        """Return why the scorer fails for weights (n,); empty if it does not."""
        scorer, model, true = self._prepared(y, proba, pos, y_pred)
        _, why = _scored(scorer, model, true, weight.astype(float))
        return f"the scorer {self.name} {why}" if why else ""

    def _prepared(
        self, y: IntArray, proba: FloatArray, pos: int | None, y_pred: IntArray | None
    ) -> tuple[Any, _StoredPredictions, Any]:
        """Return the scorer, a classifier with these predictions, and true labels."""
        codes = proba.argmax(axis=1) if y_pred is None else y_pred
        labels = np.asarray(
            np.arange(proba.shape[1]) if self.classes is None else self.classes
        )
        model = _StoredPredictions(proba, labels[codes], labels)
        scorer = self.scorer
        if pos is not None and _lacks_pos_label(scorer):
            scorer = _with_arguments(scorer, pos_label=labels[pos])
        return scorer, model, labels[y]


@dataclass(frozen=True)
class LabelScorerMetric(LabelMetric):
    """A function of true and predicted labels, such as a scorer of labels calls.

    Its value is taken from the confusion matrix: each cell is a row with a weight.
    """

    function: Callable[..., float]
    sign: float
    arguments: Mapping[str, Any] = field(compare=False)
    classes: Any = field(compare=False, repr=False)

    def utility(self, confusion: FloatArray, pos: int | None) -> FloatArray:
        """Score confusions (..., k, k): (...); 0 where it is not defined.

        Minus infinity where the function fails. Of very many, which are those of
        successive cuts, most get minus infinity.
        """
        cells = confusion.reshape(-1, *confusion.shape[-2:])
        values = np.full(len(cells), -np.inf)
        first, last = 0, len(cells) - 1
        for _ in range(2):
            n_shown = min(_COMPARED, last - first + 1)
            shown = np.unique(np.linspace(first, last, n_shown).astype(int))
            values[shown] = [self._outcome(cells[i])[0] for i in shown]
            best = int(np.argmax(values[shown]))
            first = shown[max(best - 1, 0)]
            last = shown[min(best + 1, len(shown) - 1)]
        return values.reshape(confusion.shape[:-2])

    def score_many(
        self,
        y: IntArray,
        proba: FloatArray,
        weights: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> FloatArray:
        """Return scores (B,) of the labels `y_pred`, of every row of weights."""
        codes = proba.argmax(axis=1) if y_pred is None else y_pred
        cells = confusion_matrices(y, codes, weights, proba.shape[1])
        return np.array([self._outcome(one)[0] for one in cells])

    def no_skill(self, class_shares: FloatArray, pos: int | None) -> float:
        """Return the score of the best constant answer."""
        answers = np.eye(len(class_shares))
        return max(self._outcome(np.outer(class_shares, to))[0] for to in answers)

    def failure(
        self,
        y: IntArray,
        proba: FloatArray,
        weight: FloatArray,
        *,
        pos: int | None,
        y_pred: IntArray | None = None,
    ) -> str:
        """Return why the function fails for weights (n,); empty if it does not."""
        codes = proba.argmax(axis=1) if y_pred is None else y_pred
        cells = confusion_matrices(y, codes, weight[np.newaxis], proba.shape[1])[0]
        _, why = self._outcome(cells)
        return f"the scorer {self.name} {why}" if why else ""

    def _outcome(self, cells: FloatArray) -> tuple[float, str]:
        """Return the value for one confusion matrix (k, k), and why it fails."""
        labels = np.asarray(self.classes)
        true, predicted = (labels[at] for at in np.nonzero(cells))
        weight = cells[np.nonzero(cells)]
        arguments = dict(self.arguments)
        if "sample_weight" in inspect.signature(self.function).parameters:
            arguments["sample_weight"] = weight
        else:
            is_whole = np.array_equal(weight, np.rint(weight))
            times = weight if is_whole else weight / weight.min()
            times = times * min(1.0, _MAX_ROWS / times.sum())
            times = np.maximum(np.rint(times), 1).astype(int)
            true, predicted = np.repeat(true, times), np.repeat(predicted, times)
        # Half of the time of a call are checks of what is known here.
        with config_context(assume_finite=True, skip_parameter_validation=True):
            value, why = _outcome_of(
                lambda: self.function(true, predicted, **arguments)
            )
        if why:
            return value, why
        return (0.0 if np.isnan(value) else self.sign * value), ""


OF_USERS = (ScorerMetric, LabelScorerMetric)
"""Metrics that call a function of the user's, which may be slow."""


def resolve_metric(
    metric: object, n_classes: int, labels: UserLabels | None = None
) -> Metric:
    """Return the metric meant by a name, a Metric or a scikit-learn scorer.

    Without `labels`, scorers see codes, and the last of two is the class of interest.
    """
    if isinstance(metric, str):
        metric = _named(metric)
    if isinstance(metric, Metric):
        is_mean_of_classes = n_classes > 2 and metric == METRICS["f1"]
        return METRICS["f1_macro"] if is_mean_of_classes else metric
    if not callable(metric) or isinstance(metric, type):
        raise BadInputError(
            f"{metric=} must be a name, FBeta or a scikit-learn scorer. "
            f"Names: {', '.join(sorted(METRICS))}."
        )
    if labels is None:
        labels = UserLabels(range(n_classes), 1 if n_classes == 2 else None)
    function = getattr(metric, "_score_func", metric)
    name = str(getattr(function, "__name__", type(function).__name__))
    if getattr(metric, "_response_method", "") == "predict":
        return _label_metric(name, metric, labels)
    scorer: Callable[..., float] = metric
    if labels.rarer is not None and _lacks_pos_label(metric):
        scorer = _with_arguments(metric, pos_label=labels.pos_label)
    return ScorerMetric(
        name, name.replace("_", " "), scorer, np.asarray(labels.classes)
    )


def _named(name: str) -> object:
    """Return the metric, or the scorer of scikit-learn, that has a name."""
    known = _SAME.get(name, name)
    if known in METRICS:
        return METRICS[known]
    if name not in get_scorer_names():
        nearest = _OTHER_NAMES.get(name.lower(), name)
        raise unknown_name_error(f"metric={name!r}", nearest, METRICS)
    scorer = get_scorer(name)
    module = scorer._score_func.__module__
    if "regression" in module or "cluster" in module:
        raise BadInputError(
            f"metric={name!r} scores numbers or clusters, not classes. Choose one of "
            f"{', '.join(sorted(METRICS))}, or a classification scorer of scikit-learn."
        )
    return scorer


def _label_metric(name: str, scorer: Any, labels: UserLabels) -> Metric:
    """Return the metric of a scorer of labels: a built-in one, or its function."""
    function, sign, given = scorer._score_func, scorer._sign, dict(scorer._kwargs)
    is_of_one = given.get("average", "binary") == "binary"
    if name in {"precision_score", "recall_score"} and is_of_one:
        kind = name.removesuffix("_score")
        raise BadInputError(
            f"metric={kind!r} alone is best at a useless threshold: recall is 1 if all "
            "rows are called positive. Search by 'average_precision' and set, for "
            f"example, threshold={kind.capitalize()}AtLeast(0.8)."
        )
    if sign > 0 and (same := _counterpart(name, given, labels)) is not None:
        return same
    arguments = {**given}
    takes = inspect.signature(function).parameters
    if labels.pos_label is not None and "pos_label" in takes and is_of_one:
        arguments.setdefault("pos_label", labels.pos_label)
    if "zero_division" in takes:  # else each cut without alerts is a warning
        arguments.setdefault("zero_division", 0.0)
    label = name.replace("_", " ")
    return LabelScorerMetric(name, label, function, sign, arguments, labels.classes)


def _counterpart(
    name: str, given: Mapping[str, Any], labels: UserLabels
) -> Metric | None:
    """Return the built-in metric that a function with these arguments computes."""
    rest = {k: v for k, v in given.items() if k not in {"zero_division", "average"}}
    beta = rest.pop("beta", 1.0) if name == "fbeta_score" else 1.0
    if labels.pos is not None and rest.get("pos_label") == labels.pos_label:
        del rest["pos_label"]
    if rest:
        return None
    if name not in {"f1_score", "fbeta_score"}:
        return None if "average" in given else METRICS.get(_FUNCTIONS.get(name, ""))
    average = given.get("average", "binary")
    if average == "binary" and labels.pos is not None:
        return METRICS["f1"] if beta == 1 else FBeta(beta)
    return METRICS.get(f"f1_{average}") if beta == 1 else None


def _lacks_pos_label(scorer: Any) -> bool:
    """Whether a scorer's function takes the positive label, and it was not given."""
    function = getattr(scorer, "_score_func", None)
    if function is None or "pos_label" in scorer._kwargs:
        return False
    return "pos_label" in inspect.signature(function).parameters


def _with_arguments(scorer: Any, **arguments: Any) -> Any:
    """Return a scorer whose function gets further arguments."""
    return make_scorer(
        scorer._score_func,
        response_method=scorer._response_method,
        greater_is_better=scorer._sign > 0,
        **{**scorer._kwargs, **arguments},
    )


def _outcome_of(call: Callable[[], Any]) -> tuple[float, str]:
    """Return a value of the user's code, and why it is minus infinity if that fails."""
    try:
        value = call()
    except (Exception, SystemExit) as error:  # noqa: BLE001  the user's own code
        return -np.inf, f"raised {type(error).__name__}: {error}"
    is_number = isinstance(value, Real | np.number) or (
        isinstance(value, np.ndarray) and value.shape == () and value.dtype != object
    )
    if not is_number or np.isinf(float(value)):
        shown = "an array" if isinstance(value, np.ndarray) else repr(value)
        return -np.inf, f"returned {shown:.100}, and not a finite number"
    return float(value), ""


def _scored(
    scorer: Callable[..., float], model: _StoredPredictions, y: Any, weight: FloatArray
) -> tuple[float, str]:
    """Return the scorer's value, and why it is minus infinity if the scorer fails.

    NaN where the weights leave no row of a class: scorers then fail, or mislead.
    """
    if len(np.unique(y[weight > 0])) < len(np.unique(y)):
        return np.nan, ""
    return _outcome_of(lambda: _called(scorer, model, y, weight))


def _called(
    scorer: Callable[..., float], model: _StoredPredictions, y: Any, weight: FloatArray
) -> Any:
    """Return what the scorer says for weights (n,), or for rows repeated as often."""
    X = np.arange(len(y))[:, np.newaxis]
    function = getattr(scorer, "_score_func", scorer)
    if "sample_weight" in inspect.signature(function).parameters:
        return scorer(model, X, y, sample_weight=weight)
    times = weight / weight[weight > 0].min()
    if times.sum() > _MAX_REPEATS * len(y):
        times *= _MAX_REPEATS * len(y) / times.sum()
    times = np.where(weight > 0, np.maximum(np.rint(times), 1), 0).astype(int)
    rows = np.repeat(np.arange(len(y)), times)
    return scorer(model, X[rows], y[rows])


# Names -------------------------------------------------------------------------------


_SAME = {"matthews_corrcoef": "mcc"}
"""Names of scikit-learn's scorers that are called otherwise here."""

_FUNCTIONS = {
    "accuracy_score": "accuracy",
    "balanced_accuracy_score": "balanced_accuracy",
    "geometric_mean_score": "gmean",
    "matthews_corrcoef": "mcc",
}
"""By function, the built-in metric that it computes with its defaults."""

_OTHER_NAMES = {
    "ap": "average_precision",
    "auc": "roc_auc",
    "auprc": "average_precision",
    "auroc": "roc_auc",
    "pr_auc": "average_precision",
}
"""Names in other libraries: hints in the error for an unknown name, not accepted."""
