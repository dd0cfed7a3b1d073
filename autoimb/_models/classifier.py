"""The common base of the nets as scikit-learn classifiers.

It has their common parameters, the hold-out, the loop over epochs and the predictions.
Torch is imported when a net is fitted, so that fitted nets load without it.
"""

import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from autoimb._execution.process_settings import (
    limited_threads,
    limited_torch_threads,
)
from autoimb._metrics.metrics import METRICS, LabelMetric, Metric
from autoimb._metrics.scorers import OF_USERS, resolve_metric
from autoimb._models.batches import BATCHES, Doubles, Floats, LabelledRows
from autoimb._models.loss_lookup import (
    class_shares,
    resolve_loss,
    start_logits,
    to_proba,
)
from autoimb._threshold.search import best_labels
from autoimb.exceptions import unknown_name_error

if TYPE_CHECKING:
    from autoimb._models.training import EpochPlan, Network, Training


# With fewer rows of the rarest class the score of the hold-out is mostly noise, and the
# rows are worth more for training.
_MIN_HELD_OUT_MINORITY = 10
# Without a hold-out: long enough to fit, short enough not to memorise a small table.
_EPOCHS_WITHOUT_HOLD_OUT = 20
_STEPS_WITHOUT_HOLD_OUT = 200
_TINY = np.finfo(np.float64).tiny
_FEW_ROWS = 32  # threads take longer to start than these take to score
_ROWS_AT_ONCE = 1024  # a net of many members needs megabytes for each thousand

Predictor: TypeAlias = Callable[[Floats], NDArray[Any]]
"""From rows to logits (n, n_members, n_outputs)."""


def _one_thread() -> AbstractContextManager[None]:
    """Return the limit of a block to one thread, also after a fit set PyTorch's."""
    has_torch = "torch" in sys.modules
    return limited_torch_threads(1) if has_torch else limited_threads(1)


@dataclass(kw_only=True, eq=False, repr=False)
class NetworkClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A net as a classifier; subclasses make the net and read its fitted weights.

    The fields are the constructor's parameters, which subclasses document; a subclass
    repeats a field to change its default.
    """

    dropout: float = 0.1
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    batch_size: int | str = "auto"
    batches: str = "plain"
    mixup: float = 0.0
    max_epochs: int = 60
    patience: int = 10
    validation_fraction: float = 0.15
    metric: str | Metric | Callable[..., float] = "average_precision"
    pos_label: Any = None
    loss: str | Callable[..., Any] = "log_loss"
    loss_params: Mapping[str, Any] | None = None
    class_weight: Mapping[Any, float] | None = None
    device: str = "auto"
    time_limit_s: float | None = None
    n_threads: int = 1
    random_state: int | np.random.RandomState | None = None

    def _learn_features(self, rows: LabelledRows) -> None:
        """Set what `_prepare` and the net need to know of the training rows."""

    def _prepare(self, X: Floats) -> Floats:
        """Return the rows in the form that the net reads."""
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
            Weights of rows; a row of weight zero has no influence.

        Returns
        -------
        self
            The fitted estimator.
        """
        limit_s = math.inf if self.time_limit_s is None else self.time_limit_s
        deadline = time.monotonic() + limit_s
        features, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        weight = _check_sample_weight(
            sample_weight, features, dtype=np.float32, ensure_non_negative=True
        )
        rows = LabelledRows(features, codes, weight)
        if not weight.all():
            rows = rows.take(np.flatnonzero(weight))
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self._fit_rows(rows, seed, deadline)
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
        with _one_thread() if len(rows) <= _FEW_ROWS else nullcontext():
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
        return np.asarray(self.classes_[best])

    def _proba(self, net: Predictor, rows: Floats) -> Doubles:
        """Return the mean probabilities of the members, computed block by block."""
        blocks = []
        for block in gen_batches(len(rows), _ROWS_AT_ONCE):
            logits = net(rows[block])
            n_rows, n_members, n_outputs = logits.shape
            flat = logits.reshape(n_rows * n_members, n_outputs)
            proba = to_proba(flat, is_binary=len(self.classes_) == 2, link=self.link_)
            proba *= np.exp(self.prior_shift_)
            proba /= proba.sum(axis=1, keepdims=True)
            blocks.append(proba.reshape(n_rows, n_members, -1).mean(axis=1))
        return np.concatenate(blocks)

    def _fit_rows(self, rows: LabelledRows, seed: int, deadline: float) -> None:
        """Train on rows of positive weight and set the fitted attributes."""
        from autoimb._models.losses import LOSSES
        from autoimb._models.training import EpochPlan, Training

        if self.batches not in BATCHES:
            subject = f"batches={self.batches!r}"
            raise unknown_name_error(subject, self.batches, BATCHES)
        loss = resolve_loss(LOSSES, self.loss, self.loss_params)
        train, hold_out = self._split(rows, seed)
        self._learn_features(train)
        train = replace(train, X=self._prepare(train.X))
        shares = class_shares(rows.codes, rows.weight, len(self.classes_))
        batches = BATCHES[self.batches](train, shares)
        log_shares, log_prior = np.log(np.maximum([shares, batches.prior], _TINY))
        self.link_, self.prior_shift_ = loss.link, log_shares - log_prior
        by_label, labels = self.class_weight or {}, self.classes_.tolist()
        class_weight = np.array([by_label.get(c, 1.0) for c in labels], np.float32)
        totals = batches.prior * class_weight
        start = start_logits(totals / totals.sum(), loss.link)
        plan = EpochPlan(deadline)
        with limited_torch_threads(self.n_threads):
            training = Training(
                self._make_network(start, seed),
                batches,
                loss.function,
                class_weight,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                batch_size=self.batch_size,
                mixup=self.mixup,
                device=self.device,
                seed=seed,
            )
            self.weights_ = self._train(training, plan, hold_out)
        self._is_whole = not (plan.is_shortened or time.monotonic() >= deadline)

    def _split(
        self, rows: LabelledRows, seed: int
    ) -> tuple[LabelledRows, "HoldOut | None"]:
        """Return the training rows, and a hold-out if the rarest class allows it."""
        counts = np.bincount(rows.codes, minlength=len(self.classes_))
        metric, pos = resolve_metric(self.metric, len(counts)), self._pos_code(counts)
        if self.validation_fraction * counts.min() < _MIN_HELD_OUT_MINORITY:
            return rows, None
        train_idx, held_out_idx = train_test_split(
            np.arange(len(rows.codes)),
            test_size=self.validation_fraction,
            stratify=rows.codes,
            random_state=seed,
        )
        return rows.take(train_idx), HoldOut(rows.take(held_out_idx), metric, pos)

    def _pos_code(self, counts: NDArray[np.intp]) -> int | None:
        """Return the code of the class of interest; None for more than two classes."""
        if len(counts) != 2:
            return None
        if self.pos_label is None:
            return int(counts[1] <= counts[0])
        labels = self.classes_.tolist()
        if self.pos_label not in labels:
            raise ValueError(f"pos_label={self.pos_label!r} is not among {labels}.")
        return int(labels.index(self.pos_label))

    def _train(
        self, training: "Training", plan: "EpochPlan", hold_out: "HoldOut | None"
    ) -> dict[str, Floats]:
        """Return the weights of the best epoch on the hold-out, or of the last one.

        Without a hold-out the number of epochs is fixed.
        """
        self.n_epochs_ = 0
        self.best_score_: float | None = None
        if len(self.classes_) == 1:
            return training.weights()
        if hold_out is None:
            n_epochs = math.ceil(_STEPS_WITHOUT_HOLD_OUT / training.steps_per_epoch)
            n_epochs = min(self.max_epochs, max(_EPOCHS_WITHOUT_HOLD_OUT, n_epochs))
            for epoch in plan.epochs(n_epochs):
                training.run_epoch(plan)
                self.n_epochs_ = epoch + 1
            return training.weights()
        X = self._prepare(hold_out.rows.X)
        best, best_epoch = training.weights(), 0
        for epoch in plan.epochs(self.max_epochs):
            training.run_epoch(plan)
            self.n_epochs_ = epoch + 1
            score = hold_out.score(self._proba(training.logits, X))
            if self.best_score_ is None or score > self.best_score_:
                best, best_epoch, self.best_score_ = training.weights(), epoch, score
            if epoch - best_epoch >= self.patience:
                break
        return best


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Rows and the metric on them by which the best epoch is chosen."""

    rows: LabelledRows
    metric: Metric
    pos: int | None
    """Code of the class of interest; None for more than two classes."""

    def score(self, proba: Doubles) -> float:
        """Return the metric of probabilities (n, k).

        A metric of labels is taken at the threshold that is best on these rows.
        """
        codes, weight = self.rows.codes, self.rows.weight.astype(np.float64)[np.newaxis]
        metric, labels = self.metric, None
        if isinstance(metric, OF_USERS):
            # A user's scorer may be slow, and may fail on so few rows.
            metric = METRICS["average_precision"]
        elif isinstance(metric, LabelMetric):
            labels = best_labels(codes, proba, weight[0], metric, self.pos)
        scores = metric.score_many(codes, proba, weight, pos=self.pos, y_pred=labels)
        return float(scores[0])
