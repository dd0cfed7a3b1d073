"""A small residual net for tables: PyTorch trains it, NumPy alone predicts."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from autoimb._models.batches import Doubles, Floats
from autoimb._models.classifier import NetworkClassifier, Predictor
from autoimb._models.layers import forward

if TYPE_CHECKING:
    from autoimb._models.training import Network


_OUTPUT_SCALE = 0.01  # near zero: the first predictions are the class shares


@dataclass(kw_only=True, eq=False, repr=False)
class NetClassifier(NetworkClassifier):
    """Residual multilayer perceptron for dense, scaled tables.

    Parameters
    ----------
    hidden : int, default=128
        Units of each layer.
    n_layers : int, default=1
        Residual layers after the first one.
    dropout : float in [0, 1), default=0.1
        Share of units that are set to zero in a training step.
    learning_rate : float, default=3e-3
        Step size in the first half of training; then it falls linearly to zero.
    weight_decay : float, default=1e-4
        Decoupled decay of the weight matrices (AdamW).
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; "auto" grows with the square root of the rows.
    batches : {"plain", "balanced"}, default="plain"
        Rows of a mini-batch: drawn at random, or all classes in equal numbers.
    mixup : float, default=0.0
        If positive, train on blends of two rows and their losses; the share of the
        first is drawn from Beta(mixup, mixup) for each batch.
    max_epochs : int, default=60
        Passes over the training rows; fewer if no rows can be held out.
    patience : int, default=10
        Epochs without a better hold-out score before training stops.
    validation_fraction : float in [0, 1), default=0.15
        Share of rows that is held out to choose the best epoch. No row is held out if
        the share would hold fewer than 10 rows of the rarest class.
    metric : str, Metric or scorer, default="average_precision"
        Metric on the hold-out by which the best epoch is chosen; a metric of labels is
        taken at the best threshold on the hold-out. In place of a scikit-learn scorer,
        average precision is taken.
    pos_label : label, default=None
        The class of interest for `metric` when there are two. None means the rarer one.
    loss : str or callable, default="log_loss"
        Loss to minimise: a name in `losses.LOSSES` or a function like those.
    loss_params : mapping from str to value, default=None
        Parameters of the loss, such as ``{"gamma": 2.0}``.
    class_weight : mapping from label to weight, default=None
        Multiplies the weights of a class's rows; labels left out have weight 1.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to train; "auto" is a GPU if there is one.
    time_limit_s : float, default=None
        Seconds that `fit` may take. The schedule is shortened accordingly, and the best
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
        Metric of the kept weights on the hold-out, with `pos_label` as the positive
        class; None without a hold-out.
    link_ : {"softmax", "sigmoid"}
        How more than two logits become probabilities.
    prior_shift_ : ndarray of shape (n_classes,)
        Added to the logarithms of the probabilities. It corrects the effect of balanced
        batches, so that probabilities are at the shares of the data. Zeros for plain
        batches.
    weights_ : dict from str to ndarray
        ``matrix_0, bias_0, matrix_1, …`` from input to output.

    Notes
    -----
    With silu(z) = z sigmoid(z), the net is h = silu(x W + b), then
    h = h + silu(h W + b) for each of `n_layers`, then logits h W + b. The output bias
    starts at the weighted shares of the classes, so that no step is spent on them.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Khrulkov, Babenko (2021). Revisiting deep learning
       models for tabular data. arXiv:2106.11959
    .. [2] Zhang, Cisse, Dauphin, Lopez-Paz (2018). mixup: beyond empirical risk
       minimization. arXiv:1710.09412

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from autoimb._models.net import NetClassifier
    >>> X, y = make_classification(300, weights=[0.9], random_state=0)
    >>> net = NetClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> net.predict_proba(X[:3]).shape
    (3, 2)
    """

    hidden: int = 128
    n_layers: int = 1

    def _make_network(self, start: Doubles, seed: int) -> "Network":
        """Return a net of random matrices and zero biases; the last bias is `start`."""
        from autoimb._models.net_module import ResidualNet

        rng = np.random.default_rng(seed)
        sizes = [self.n_features_in_] + [self.hidden] * (1 + self.n_layers)
        weights: dict[str, Floats] = {}
        for i, (n_in, n_out) in enumerate(pairwise([*sizes, len(start)])):
            is_output = i == self.n_layers + 1
            scale = _OUTPUT_SCALE if is_output else math.sqrt(2 / n_in)
            bias = start if is_output else np.zeros(n_out)
            matrix = rng.normal(scale=scale, size=(n_in, n_out))
            weights[f"matrix_{i}"] = matrix.astype(np.float32)
            weights[f"bias_{i}"] = bias.astype(np.float32)
        return ResidualNet(weights, self.dropout, seed)

    def _predictor(self) -> Predictor:
        """Return the fitted net; it has one member."""
        # In float32 the score of a row would depend, in its last digits, on how many
        # rows are multiplied together with it.
        weights = {name: w.astype(np.float64) for name, w in self.weights_.items()}
        return lambda rows: forward(weights, rows, lambda z: z * expit(z))[:, None]
