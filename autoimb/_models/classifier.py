"""What the nets share as scikit-learn classifiers: checks, hold-out, loop, answers.

Nothing here imports torch before a net is trained, so that fitted nets load without it.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d, gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from autoimb._metrics import METRICS, LabelMetric, Metric, ScorerMetric, resolve_metric
from autoimb._threshold import best_labels

from .batches import BATCHES, Batches, Doubles, Floats, Rows
from .links import start_logits, to_proba

if TYPE_CHECKING:
    from .training import Clock, Network, Training

__all__ = ["HoldOut", "NetworkClassifier", "Predictor"]

# Below this, the score of the hold-out is mostly noise, and its rows teach more than
# they tell.
_MIN_HELD_OUT_MINORITY = 10
# Without a hold-out: long enough to fit, short enough not to memorise a small table.
_EPOCHS_WITHOUT_HOLD_OUT = 20
_STEPS_WITHOUT_HOLD_OUT = 200
_ROWS_AT_ONCE = 1024  # a net of many members needs megabytes for each thousand

Predictor: TypeAlias = Callable[[Floats], NDArray[Any]]
"""From rows to logits (n, n_members, n_outputs)."""


class NetworkClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A net as a classifier; subclasses make the net and read its fitted weights."""

    def __init__(
        self,
        *,
        learning_rate: float,
        weight_decay: float,
        batch_size: int | str,
        batches: str,
        mixup: float,
        max_epochs: int,
        patience: int,
        validation_fraction: float,
        metric: str | Metric | Callable[..., float],
        loss: str | Callable[..., Any],
        loss_params: Mapping[str, Any] | None,
        class_weight: Mapping[Any, float] | None,
        device: str,
        deadline_s: float | None,
        n_threads: int,
        random_state: int | np.random.RandomState | None,
    ) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.batches = batches
        self.mixup = mixup
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.metric = metric
        self.loss = loss
        self.loss_params = loss_params
        self.class_weight = class_weight
        self.device = device
        self.deadline_s = deadline_s
        self.n_threads = n_threads
        self.random_state = random_state

    def _learn_features(self, X: Floats) -> None:
        """Remember what `_prepare` and the net must know of the training rows."""

    def _prepare(self, X: Floats) -> Floats:
        """Return the rows as the net reads them."""
        return X

    @abstractmethod
    def _make_network(self, start: Doubles, seed: int) -> "Network":
        """Return a random net whose first logits are about `start` (n_outputs,)."""

    @abstractmethod
    def _predictor(self) -> Predictor:
        """Return the fitted net."""

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train on a table without gaps.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, scaled.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows; a row of weight zero is as good as absent.

        Returns
        -------
        self
            The fitted estimator.
        """
        started = time.monotonic()
        features, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        weight = _check_weight(sample_weight, len(codes))
        rows = Rows(features, codes, weight).weighted()
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self._fit_rows(rows, seed, started)
        return self

    def predict_proba(self, X: ArrayLike) -> Doubles:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, scaled.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities in the order of `classes_`; rows sum to one.
        """
        check_is_fitted(self)
        rows: Floats = validate_data(self, X, reset=False, dtype=np.float32)
        return self._proba(self._predictor(), self._prepare(rows))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, scaled.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def _proba(self, net: Predictor, rows: Floats) -> Doubles:
        """Return the probabilities of prepared rows, a block of them at a time."""
        blocks = gen_batches(len(rows), _ROWS_AT_ONCE)
        return np.concatenate([self._to_proba(net(rows[block])) for block in blocks])

    def _to_proba(self, logits: NDArray[Any]) -> Doubles:
        """Return the mean of the members' probabilities, shape (n, n_classes)."""
        n_rows, n_members, n_outputs = logits.shape
        flat = logits.reshape(n_rows * n_members, n_outputs)
        is_binary = len(self.classes_) == 2
        scores = to_proba(flat, is_binary=is_binary, link=self.link_)
        scores *= np.exp(self.prior_shift_)
        scores /= scores.sum(axis=1, keepdims=True)
        proba: Doubles = scores.reshape(n_rows, n_members, -1).mean(axis=1)
        return proba

    def _fit_rows(self, rows: Rows, seed: int, started: float) -> None:
        """Train on weighted rows and set what is fitted."""
        from .losses import resolve_loss
        from .training import Clock, Objective, Recipe, Training, torch_threads

        shares = rows.shares(len(self.classes_))
        train, hold_out = self._split(rows, seed)
        self._learn_features(train.X)
        batches = self._make_batches(train)
        loss = resolve_loss(self.loss, self.loss_params)
        prior, class_weight = batches.prior(shares), self._class_weights()
        self.link_, self.prior_shift_ = loss.link, _log(shares) - _log(prior)
        mass = prior * class_weight
        network = self._make_network(start_logits(mass / mass.sum(), loss.link), seed)
        names = [field.name for field in fields(Recipe)]
        recipe = Recipe(**{name: getattr(self, name) for name in names})
        objective = Objective(loss.function, prior, class_weight)
        self.n_epochs_ = 0
        self.best_score_: float | None = None
        with threadpool_limits(self.n_threads), torch_threads(self.n_threads):
            training = Training(network, batches, objective, recipe, seed)
            clock = Clock(self.deadline_s, started)
            self.weights_ = self._train(training, clock, hold_out)
        self._is_whole = not (clock.is_pressed or clock.is_over())

    def _split(self, rows: Rows, seed: int) -> tuple[Rows, "HoldOut | None"]:
        """Return the training rows, and a hold-out if the rarest class allows it."""
        counts = rows.count(len(self.classes_))
        metric = resolve_metric(self.metric, len(counts))
        if self.validation_fraction * counts.min() < _MIN_HELD_OUT_MINORITY:
            return rows, None
        train_idx, held_out_idx = train_test_split(
            np.arange(len(rows.codes)),
            test_size=self.validation_fraction,
            stratify=rows.codes,
            random_state=seed,
        )
        pos = int(counts[1] <= counts[0]) if len(counts) == 2 else None
        return rows.take(train_idx), HoldOut(rows.take(held_out_idx), metric, pos)

    def _make_batches(self, train: Rows) -> Batches:
        """Return the scheme that draws the batches."""
        if self.batches not in BATCHES:
            msg = f"batches={self.batches!r} is not one of {sorted(BATCHES)}."
            raise ValueError(msg)
        return BATCHES[self.batches](replace(train, X=self._prepare(train.X)))

    def _class_weights(self) -> Floats:
        """Return the weight of each class, shape (n_classes,)."""
        given = self.class_weight or {}
        weights = [given.get(label, 1.0) for label in self.classes_.tolist()]
        return np.array(weights, dtype=np.float32)

    def _train(
        self, training: "Training", clock: "Clock", hold_out: "HoldOut | None"
    ) -> dict[str, Floats]:
        """Return the trained weights; one class has nothing to learn."""
        if len(self.classes_) == 1:
            return training.weights()
        if hold_out is None:
            return self._train_all_rows(training, clock)
        return self._train_best_epoch(training, clock, hold_out)

    def _train_all_rows(
        self, training: "Training", clock: "Clock"
    ) -> dict[str, Floats]:
        """Return the weights after a fixed number of epochs."""
        wanted = math.ceil(_STEPS_WITHOUT_HOLD_OUT / training.steps_per_epoch)
        n_epochs = min(self.max_epochs, max(_EPOCHS_WITHOUT_HOLD_OUT, wanted))
        for _ in clock.epochs(n_epochs):
            training.run_epoch(clock)
            self.n_epochs_ += 1
        return training.weights()

    def _train_best_epoch(
        self, training: "Training", clock: "Clock", hold_out: "HoldOut"
    ) -> dict[str, Floats]:
        """Return the weights of the epoch with the best score on the hold-out."""
        X = self._prepare(hold_out.rows.X)
        best, best_epoch = training.weights(), 0
        for epoch in clock.epochs(self.max_epochs):
            training.run_epoch(clock)
            self.n_epochs_ = epoch + 1
            score = hold_out.score(self._proba(training.logits, X))
            if self.best_score_ is None or score > self.best_score_:
                best, best_epoch, self.best_score_ = training.weights(), epoch, score
            if epoch - best_epoch >= self.patience:
                break
        return best


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Rows that choose the best epoch, and the metric that judges it."""

    rows: Rows
    metric: Metric
    pos: int | None
    """Code of the rarer of two classes; None for more."""

    def score(self, proba: Doubles) -> float:
        """Return the metric of probabilities (n, k): of labels, at their best cut."""
        codes, weight = self.rows.codes, self.rows.weight.astype(np.float64)[np.newaxis]
        metric, labels = self.metric, None
        if isinstance(metric, LabelMetric):
            labels = best_labels(codes, proba, weight[0], metric, self.pos)
        elif isinstance(metric, ScorerMetric):
            # A user's scorer may be slow, and may not like this few rows.
            metric = METRICS["average_precision"]
        scores = metric.score_many(codes, proba, weight, pos=self.pos, y_pred=labels)
        return float(scores[0])


def _log(shares: Doubles) -> Doubles:
    """Return logarithms, of shares of zero too."""
    return np.log(np.maximum(shares, np.finfo(np.float64).tiny))


def _check_weight(sample_weight: ArrayLike | None, n_samples: int) -> Floats:
    """Return row weights of shape (n,), none negative, not all zero."""
    if sample_weight is None:
        return np.ones(n_samples, dtype=np.float32)
    weight: Floats = column_or_1d(sample_weight, dtype=np.float32)
    if len(weight) != n_samples:
        msg = f"sample_weight has {len(weight)} entries for {n_samples} rows."
        raise ValueError(msg)
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.any()):
        msg = "sample_weight must be finite, not negative and not zero everywhere."
        raise ValueError(msg)
    return weight
