"""A small residual net for tables: trained by PyTorch, predicting with NumPy alone.

One vector holds all weights. While training it is the only tensor with a gradient,
which makes the optimiser a few lines (`torch.optim` imports the compiler, several
seconds in each fresh process); once fitted, its NumPy copies need no torch to load,
to pickle or to predict.
"""

import math
import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d, gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from .training import (
    Clock,
    Floats,
    Rows,
    Training,
    forward,
    list_layers,
    name_layers,
    silu,
    split_layers,
    to_proba,
    torch_threads,
)

__all__ = ["NetClassifier"]

# Below this, average precision of the hold-out is mostly noise, and its rows teach
# more than they tell.
_MIN_HELD_OUT_MINORITY = 10
# Without a hold-out: long enough to fit, short enough not to memorise a small table.
_EPOCHS_WITHOUT_HOLD_OUT = 20
_STEPS_WITHOUT_HOLD_OUT = 200
_PREDICT_ROWS = 8192
_MIN_SHARE = 1e-6
_OUTPUT_SCALE = 0.01  # near zero: the first predictions are the class shares


class NetClassifier(ClassifierMixin, BaseEstimator):
    """Residual multilayer perceptron for dense, scaled tables.

    Parameters
    ----------
    hidden : int, default=128
        Units of each layer.
    n_layers : int, default=2
        Residual layers after the first one.
    dropout : float in [0, 1), default=0.1
        Share of units silenced in training.
    learning_rate : float, default=2e-3
        Step size in the first half of training; then it falls linearly to zero.
    weight_decay : float, default=1e-4
        Decoupled decay of the weight matrices (AdamW).
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; "auto" grows with the square root of the rows.
    max_epochs : int, default=60
        Passes over the training rows; fewer where none can be held out.
    patience : int, default=10
        Epochs without a better hold-out score before training stops.
    validation_fraction : float in [0, 1), default=0.15
        Share of rows held out to choose the best epoch. None is held out where the
        share has fewer than 10 rows of the rarest class.
    loss : {"focal", "log_loss"}, default="log_loss"
        Loss to minimise.
    loss_params : mapping from str to value, default=None
        Parameters of the loss, such as ``{"gamma": 2.0}``.
    class_weight : mapping from label to weight, default=None
        Multiplies the weights of a class's rows; labels left out have weight 1.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to train; "auto" takes a GPU if there is one.
    deadline_s : float, default=None
        Seconds that `fit` may take. The schedule is shortened to fit in, and the best
        weights so far are kept.
    n_threads : int, default=1
        Threads that PyTorch and NumPy may use while fitting.
    random_state : int, RandomState instance or None, default=None
        Seed of the weights, the hold-out, the batches and dropout.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    n_features_in_ : int
        Number of features.
    n_epochs_ : int
        Epochs trained, the last one perhaps in part.
    best_score_ : float or None
        Average precision of the kept weights on the hold-out: of the rarer of two
        classes, or the mean over classes; None without a hold-out.
    weights_ : dict from str to ndarray
        ``matrix_0, bias_0, matrix_1, …`` from input to output.

    Notes
    -----
    With silu(z) = z sigmoid(z), the net is h = silu(x W + b), then
    h = h + silu(h W + b) for each of `n_layers`, then logits h W + b. The output bias
    starts at the weighted shares of the classes, so that no step is spent on them.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from autoimb._models.net import NetClassifier
    >>> X, y = make_classification(300, weights=[0.9], random_state=0)
    >>> net = NetClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> net.predict_proba(X[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        *,
        hidden: int = 128,
        n_layers: int = 2,
        dropout: float = 0.1,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-4,
        batch_size: int | str = "auto",
        max_epochs: int = 60,
        patience: int = 10,
        validation_fraction: float = 0.15,
        loss: str = "log_loss",
        loss_params: Mapping[str, Any] | None = None,
        class_weight: Mapping[Any, float] | None = None,
        device: str = "auto",
        deadline_s: float | None = None,
        n_threads: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden = hidden
        self.n_layers = n_layers
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.loss = loss
        self.loss_params = loss_params
        self.class_weight = class_weight
        self.device = device
        self.deadline_s = deadline_s
        self.n_threads = n_threads
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train on a dense table without gaps.

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
        NetClassifier
            The fitted estimator.
        """
        started = time.monotonic()
        features, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        weight = _check_weight(sample_weight, len(codes))
        rows = Rows(features, codes, weight).weighted()
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        class_weight = self._class_weights()
        flat = self._initial_weights(rows, class_weight, seed)
        self.n_epochs_ = 0
        self.best_score_: float | None = None
        if len(self.classes_) > 1:
            flat = self._train(flat, rows, class_weight, seed, started)
        self.weights_ = name_layers(split_layers(flat, self._sizes()))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
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
        layers = list_layers(self.weights_)
        batches = gen_batches(len(rows), _PREDICT_ROWS)
        logits = [forward(layers, rows[batch], silu) for batch in batches]
        is_binary = len(self.classes_) == 2
        return to_proba(np.concatenate(logits), is_binary=is_binary)

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

    def _class_weights(self) -> Floats:
        """Return the weight of each class, shape (n_classes,)."""
        given = self.class_weight or {}
        weights = [given.get(label, 1.0) for label in self.classes_.tolist()]
        return np.array(weights, dtype=np.float32)

    def _sizes(self) -> list[int]:
        """Return the widths of the net from input to output."""
        n_classes = len(self.classes_)
        n_outputs = 1 if n_classes == 2 else n_classes
        hidden = [self.hidden] * (1 + self.n_layers)
        return [self.n_features_in_, *hidden, n_outputs]

    def _initial_weights(self, rows: "Rows", class_weight: Floats, seed: int) -> Floats:
        """Return random matrices, zero biases and the class shares, all flat."""
        rng = np.random.default_rng(seed)
        shapes = list(pairwise(self._sizes()))
        scales = [math.sqrt(2 / n_in) for n_in, _ in shapes[:-1]] + [_OUTPUT_SCALE]
        matrices = [
            rng.normal(scale=scale, size=n_in * n_out)
            for scale, (n_in, n_out) in zip(scales, shapes, strict=True)
        ]
        biases = [np.zeros(n_out) for _, n_out in shapes[:-1]]
        flat = np.concatenate([*matrices, *biases, _prior_logits(rows, class_weight)])
        return flat.astype(np.float32)

    def _train(
        self,
        flat: Floats,
        rows: "Rows",
        class_weight: Floats,
        seed: int,
        started: float,
    ) -> Floats:
        """Return the trained weights; sets `n_epochs_` and `best_score_`."""
        n_held_out = self.validation_fraction * rows.count(len(self.classes_)).min()
        if n_held_out < _MIN_HELD_OUT_MINORITY:
            train, held_out = rows, None
        else:
            train, held_out = _hold_out(rows, self.validation_fraction, seed)
        with threadpool_limits(self.n_threads), torch_threads(self.n_threads):
            training = Training(self, flat, train, class_weight, seed)
            clock = Clock(self.deadline_s, started)
            if held_out is None:
                return self._train_all_rows(training, clock)
            return self._train_best_epoch(training, held_out, clock)

    def _train_all_rows(self, training: "Training", clock: "Clock") -> Floats:
        """Return the weights after a fixed number of epochs."""
        wanted = math.ceil(_STEPS_WITHOUT_HOLD_OUT / training.steps_per_epoch)
        n_epochs = min(self.max_epochs, max(_EPOCHS_WITHOUT_HOLD_OUT, wanted))
        for _ in clock.epochs(n_epochs):
            training.run_epoch(clock)
            self.n_epochs_ += 1
        return training.weights()

    def _train_best_epoch(
        self, training: "Training", held_out: "Rows", clock: "Clock"
    ) -> Floats:
        """Return the weights of the epoch with the best score on the hold-out."""
        best, best_epoch = training.weights(), 0
        for epoch in clock.epochs(self.max_epochs):
            training.run_epoch(clock)
            self.n_epochs_ = epoch + 1
            score = held_out.score(training.weights(), self._sizes())
            if self.best_score_ is None or score > self.best_score_:
                best, best_epoch, self.best_score_ = training.weights(), epoch, score
            if epoch - best_epoch >= self.patience:
                break
        return best


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


def _prior_logits(rows: Rows, class_weight: Floats) -> NDArray[np.float64]:
    """Return the logits of the weighted class shares, shape (n_outputs,)."""
    n_classes = len(class_weight)
    mass = np.bincount(rows.codes, rows.weight, n_classes) * class_weight
    logits: NDArray[np.float64] = np.log(np.maximum(mass / mass.sum(), _MIN_SHARE))
    return logits[1:] - logits[:1] if n_classes == 2 else logits


def _hold_out(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Return training rows and a stratified hold-out."""
    train_idx, held_out_idx = train_test_split(
        np.arange(len(rows.codes)),
        test_size=share,
        stratify=rows.codes,
        random_state=seed,
    )
    return rows.take(train_idx), rows.take(held_out_idx)
