"""A small residual net for tables: trained by PyTorch, predicting with NumPy alone.

One vector holds all weights. While training it is the only tensor with a gradient,
which makes the optimiser a few lines (`torch.optim` imports the compiler, several
seconds in each fresh process); once fitted, its NumPy copies need no torch to load,
to pickle or to predict.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d, gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import torch

__all__ = ["NetClassifier"]

# Below this, average precision of the hold-out is mostly noise, and its rows teach
# more than they tell.
_MIN_HELD_OUT_MINORITY = 10
# Without a hold-out: long enough to fit, short enough not to memorise a small table.
_EPOCHS_WITHOUT_HOLD_OUT = 20
_STEPS_WITHOUT_HOLD_OUT = 200
_BETAS = (0.9, 0.99)
_EPSILON = 1e-8
# Averaging the weights over the last 50 steps or so steadies the score by which the
# best epoch is chosen: about +0.01 average precision on tables with 200 to 600 rare
# rows, nothing lost on smaller ones.
_AVERAGE_DECAY = 0.98
_AVERAGE_WARM_UP = 9
_PREDICT_ROWS = 8192
_MIN_SHARE = 1e-6
_OUTPUT_SCALE = 0.01  # near zero: the first predictions are the class shares
_MASK_BATCHES = 4  # so that two windows of one epoch seldom overlap much

_Floats: TypeAlias = NDArray[np.float32]
_Layers: TypeAlias = list[tuple[Any, Any]]


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
        rows = _Rows(features, codes, weight).weighted()
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        class_weight = self._class_weights()
        flat = self._initial_weights(rows, class_weight, seed)
        self.n_epochs_ = 0
        self.best_score_: float | None = None
        if len(self.classes_) > 1:
            flat = self._train(flat, rows, class_weight, seed, started)
        self.weights_ = _name_layers(_split_layers(flat, self._sizes()))
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
        rows: _Floats = validate_data(self, X, reset=False, dtype=np.float32)
        layers = _list_layers(self.weights_)
        batches = gen_batches(len(rows), _PREDICT_ROWS)
        logits = [_forward(layers, rows[batch], _silu) for batch in batches]
        is_binary = len(self.classes_) == 2
        return _to_proba(np.concatenate(logits), is_binary=is_binary)

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

    def _class_weights(self) -> _Floats:
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

    def _initial_weights(
        self, rows: "_Rows", class_weight: _Floats, seed: int
    ) -> _Floats:
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
        flat: _Floats,
        rows: "_Rows",
        class_weight: _Floats,
        seed: int,
        started: float,
    ) -> _Floats:
        """Return the trained weights; sets `n_epochs_` and `best_score_`."""
        n_held_out = self.validation_fraction * rows.count(len(self.classes_)).min()
        if n_held_out < _MIN_HELD_OUT_MINORITY:
            train, held_out = rows, None
        else:
            train, held_out = _hold_out(rows, self.validation_fraction, seed)
        with threadpool_limits(self.n_threads), _torch_threads(self.n_threads):
            training = _Training(self, flat, train, class_weight, seed)
            clock = _Clock(self.deadline_s, started)
            if held_out is None:
                return self._train_all_rows(training, clock)
            return self._train_best_epoch(training, held_out, clock)

    def _train_all_rows(self, training: "_Training", clock: "_Clock") -> _Floats:
        """Return the weights after a fixed number of epochs."""
        wanted = math.ceil(_STEPS_WITHOUT_HOLD_OUT / training.steps_per_epoch)
        n_epochs = min(self.max_epochs, max(_EPOCHS_WITHOUT_HOLD_OUT, wanted))
        for _ in clock.epochs(n_epochs):
            training.run_epoch(clock)
            self.n_epochs_ += 1
        return training.weights()

    def _train_best_epoch(
        self, training: "_Training", held_out: "_Rows", clock: "_Clock"
    ) -> _Floats:
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


@dataclass(frozen=True, slots=True)
class _Rows:
    """Training or held-out rows."""

    X: _Floats
    """Features, shape (n, n_features)."""
    codes: NDArray[np.int64]
    """Class codes, shape (n,)."""
    weight: _Floats
    """Row weights, shape (n,)."""

    def take(self, idx: NDArray[Any]) -> "_Rows":
        """Return the rows at `idx`."""
        return _Rows(self.X[idx], self.codes[idx], self.weight[idx])

    def weighted(self) -> "_Rows":
        """Return the rows whose weight is not zero."""
        return self if self.weight.all() else self.take(np.flatnonzero(self.weight))

    def count(self, n_classes: int) -> NDArray[np.int64]:
        """Return the number of rows of each class, shape (n_classes,)."""
        return np.bincount(self.codes, minlength=n_classes)

    def score(self, flat: _Floats, sizes: list[int]) -> float:
        """Return the average precision of the rarer class, or its mean over classes."""
        logits = _forward(_split_layers(flat, sizes), self.X, _silu)
        proba = _to_proba(logits, is_binary=sizes[-1] == 1)
        counts = self.count(proba.shape[1])
        classes = [counts.argmin()] if len(counts) == 2 else range(len(counts))
        scores = [
            average_precision_score(
                self.codes == c, proba[:, c], sample_weight=self.weight
            )
            for c in classes
        ]
        return float(np.mean(scores))


class _Clock:
    """Plans the epochs of one fit so that they end before its deadline."""

    def __init__(self, deadline_s: float | None, started: float) -> None:
        self.end = math.inf if deadline_s is None else started + deadline_s
        self.done = 0
        self.planned = 0

    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() >= self.end

    def epochs(self, n_epochs: int) -> Iterator[int]:
        """Yield up to `n_epochs` epochs, re-planning after each how many there are."""
        begun, self.planned = time.monotonic(), n_epochs
        while self.done < self.planned:
            yield self.done
            self.done += 1
            now = time.monotonic()
            possible = self.done * (self.end - begun) / max(now - begun, 1e-9)
            self.planned = int(min(n_epochs, possible))

    def progress(self, share: float) -> float:
        """Return how much of the plan is done with `share` of the current epoch."""
        return (self.done + share) / self.planned


class _Training:
    """The torch side of one fit: weights, their gradient steps and the batches."""

    def __init__(
        self,
        net: NetClassifier,
        flat: _Floats,
        rows: _Rows,
        class_weight: _Floats,
        seed: int,
    ) -> None:
        import torch

        from .losses import resolve_loss

        self.net = net
        self.sizes = net._sizes()
        self.loss = resolve_loss(net.loss, net.loss_params)
        device = _resolve_device(net.device)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        # A mean weight of one: the step size then means the same whatever the weights,
        # and no batch is scaled by the luck of which rows it drew.
        scaled = class_weight / np.mean(class_weight[rows.codes] * rows.weight)
        self.X, self.codes, self.weight, self.class_weight = (
            torch.tensor(array, device=device)
            for array in (rows.X, rows.codes, rows.weight, scaled)
        )
        self.flat = torch.tensor(flat, device=device, requires_grad=True)
        self.n_decayed = sum(n_in * n_out for n_in, n_out in pairwise(self.sizes))
        self.average = self.flat.detach().clone()
        self.mean = torch.zeros_like(self.average)
        self.square = torch.zeros_like(self.average)
        self.n_steps = 0

    @property
    def batch_size(self) -> int:
        """Rows of a mini-batch."""
        if self.net.batch_size != "auto":
            return int(self.net.batch_size)
        return int(2 ** round(math.log2(2.5 * math.sqrt(len(self.codes)))))

    @property
    def steps_per_epoch(self) -> int:
        """Mini-batches of an epoch."""
        return math.ceil(len(self.codes) / self.batch_size)

    def weights(self) -> _Floats:
        """Return a copy of the averaged weights, flat."""
        copy: _Floats = self.average.cpu().numpy().copy()
        return copy

    def run_epoch(self, clock: _Clock) -> None:
        """Take one step for each batch, or as many as the clock allows."""
        import torch

        order = torch.randperm(
            len(self.codes), generator=self.generator, device=self.flat.device
        )
        batches = torch.split(order, self.batch_size)
        self.masks = self._draw_masks()
        for i, batch in enumerate(batches):
            progress = clock.progress(i / len(batches))
            self._step(batch, self.net.learning_rate * min(1.0, 2 * (1 - progress)))
            if clock.is_over():
                break

    def _step(self, batch: "torch.Tensor", learning_rate: float) -> None:
        """Move the weights by one gradient step."""
        import torch

        with torch.enable_grad():
            layers = _split_layers(self.flat, self.sizes)
            silu = torch.nn.functional.silu
            logits = _forward(layers, self.X[batch], silu, self._drop)
            losses = self.loss(
                logits.squeeze(1) if self.sizes[-1] == 1 else logits,
                self.codes[batch],
                class_weight=self.class_weight,
                sample_weight=self.weight[batch],
            )
            (gradient,) = torch.autograd.grad(losses.mean(), [self.flat])
        with torch.no_grad():
            self._update(gradient, learning_rate)
            self._update_average()

    def _update(self, gradient: "torch.Tensor", learning_rate: float) -> None:
        """Apply AdamW: Adam's step and a decay of the matrices, not of the biases."""
        self.n_steps += 1
        beta1, beta2 = _BETAS
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        rate = learning_rate / (1 - beta1**self.n_steps)
        spread = (self.square / (1 - beta2**self.n_steps)).sqrt_().add_(_EPSILON)
        self.flat[: self.n_decayed] *= 1 - learning_rate * self.net.weight_decay
        self.flat.addcdiv_(self.mean, spread, value=-rate)

    def _update_average(self) -> None:
        """Move the average towards the weights, faster in the first steps."""
        decay = min(_AVERAGE_DECAY, self.n_steps / (self.n_steps + _AVERAGE_WARM_UP))
        self.average.lerp_(self.flat, 1 - decay)

    def _drop(self, units: "torch.Tensor") -> "torch.Tensor":
        """Return the units with a random share of them set to zero, rescaled."""
        if self.net.dropout == 0:
            return units
        # Each mask is a random window into factors drawn once an epoch: drawing them
        # afresh would cost a CPU more than the matrix products.
        start = self.rng.integers(len(self.masks) - units.numel() + 1)
        return units * self.masks[start : start + units.numel()].view_as(units)

    def _draw_masks(self) -> "torch.Tensor":
        """Return random dropout factors: zeros, and 1 / (1 - dropout) for the rest."""
        import torch

        n_rows = min(self.batch_size, len(self.codes))
        size = _MASK_BATCHES * n_rows * self.net.hidden
        draws = torch.rand(size, generator=self.generator, device=self.flat.device)
        return (draws >= self.net.dropout) / (1 - self.net.dropout)


def _forward(
    layers: _Layers,
    X: Any,
    silu: Callable[[Any], Any],
    drop: Callable[[Any], Any] = lambda units: units,
) -> Any:
    """Return logits of shape (n, n_outputs); the same lines for NumPy and torch."""
    *hidden, (matrix, bias) = layers
    units = X
    for i, (hidden_matrix, hidden_bias) in enumerate(hidden):
        new = drop(silu(units @ hidden_matrix + hidden_bias))
        units = new if i == 0 else units + new
    return units @ matrix + bias


def _silu(units: NDArray[Any]) -> NDArray[Any]:
    """Return z sigmoid(z)."""
    activated: NDArray[Any] = units * expit(units)
    return activated


def _to_proba(logits: NDArray[Any], *, is_binary: bool) -> NDArray[np.float64]:
    """Return probabilities of shape (n, n_classes) for one logit or k of them a row."""
    wide = logits.astype(np.float64)
    proba: NDArray[np.float64] = (
        expit(np.hstack([-wide, wide])) if is_binary else softmax(wide, axis=1)
    )
    return proba


def _split_layers(flat: Any, sizes: list[int]) -> _Layers:
    """Return (matrix, bias) of each layer as views of an array or tensor."""
    shapes = list(pairwise(sizes))
    lengths = [n_in * n_out for n_in, n_out in shapes] + sizes[1:]
    if isinstance(flat, np.ndarray):
        parts = np.split(flat, np.cumsum(lengths)[:-1])
    else:
        parts = flat.split(lengths)
    matrices = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=False)]
    return list(zip(matrices, parts[len(shapes) :], strict=True))


def _name_layers(layers: _Layers) -> dict[str, _Floats]:
    """Return the layers' arrays under the names that `weights_` documents."""
    names = ("matrix", "bias")
    return {
        f"{name}_{i}": array
        for i, layer in enumerate(layers)
        for name, array in zip(names, layer, strict=True)
    }


def _list_layers(weights: Mapping[str, _Floats]) -> _Layers:
    """Return the inverse of `_name_layers`, in float64.

    In float32 a row's score would depend, in its last digits, on how many rows are
    multiplied together with it.
    """
    wide = {name: array.astype(np.float64) for name, array in weights.items()}
    return [(wide[f"matrix_{i}"], wide[f"bias_{i}"]) for i in range(len(wide) // 2)]


def _check_weight(sample_weight: ArrayLike | None, n_samples: int) -> _Floats:
    """Return row weights of shape (n,), none negative, not all zero."""
    if sample_weight is None:
        return np.ones(n_samples, dtype=np.float32)
    weight: _Floats = column_or_1d(sample_weight, dtype=np.float32)
    if len(weight) != n_samples:
        msg = f"sample_weight has {len(weight)} entries for {n_samples} rows."
        raise ValueError(msg)
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.any()):
        msg = "sample_weight must be finite, not negative and not zero everywhere."
        raise ValueError(msg)
    return weight


def _prior_logits(rows: _Rows, class_weight: _Floats) -> NDArray[np.float64]:
    """Return the logits of the weighted class shares, shape (n_outputs,)."""
    n_classes = len(class_weight)
    mass = np.bincount(rows.codes, rows.weight, n_classes) * class_weight
    logits: NDArray[np.float64] = np.log(np.maximum(mass / mass.sum(), _MIN_SHARE))
    return logits[1:] - logits[:1] if n_classes == 2 else logits


def _hold_out(rows: _Rows, share: float, seed: int) -> tuple[_Rows, _Rows]:
    """Return training rows and a stratified hold-out."""
    train_idx, held_out_idx = train_test_split(
        np.arange(len(rows.codes)),
        test_size=share,
        stratify=rows.codes,
        random_state=seed,
    )
    return rows.take(train_idx), rows.take(held_out_idx)


def _resolve_device(device: str) -> str:
    """Return "cpu" or "cuda"."""
    if device not in {"auto", "cpu", "cuda"}:
        msg = f"{device=} is not one of ['auto', 'cpu', 'cuda']."
        raise ValueError(msg)
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch use `n_threads` inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
