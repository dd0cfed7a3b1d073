"""TabM for tables with categories: PyTorch computes, NumPy arrays are kept."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from autoimb._models.batches import Doubles, Floats, LabelledRows
from autoimb._models.classifier import NetworkClassifier, Predictor

if TYPE_CHECKING:
    from autoimb._models.tabm_module import TabMNet


_SAME = 1e-6  # edges nearer than this share of a column's largest value are one


@dataclass(kw_only=True, eq=False, repr=False)
class TabMClassifier(NetworkClassifier):
    """TabM: an ensemble of perceptrons that share nearly all weights.

    Parameters
    ----------
    n_categorical : int, default=0
        The first so many columns hold codes of categories; any code that was not among
        the training rows stands for an unknown category.
    k : int, default=6
        Members of the ensemble.
    d_block : int, default=96
        Units of each layer.
    n_blocks : int, default=2
        Layers.
    d_embedding : int, default=8
        Numbers that a feature is turned into before the first layer.
    n_bins : int, default=16
        Pieces of the piecewise-linear functions of a numeric feature, with about as
        many training rows in each.
    dropout : float in [0, 1), default=0.1
        Share of units that are set to zero in a training step.
    learning_rate : float, default=5e-3
        Step size in the first half of training; then it falls linearly to zero.
    weight_decay : float, default=1e-4
        Decoupled decay of the weight matrices (AdamW); none of embeddings, biases and
        the members' own scales.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; "auto" grows with the square root of the rows.
    batches : {"plain", "balanced"}, default="plain"
        Rows of a mini-batch: drawn at random, or all classes in equal numbers.
    mixup : float, default=0.0
        If positive, train on blends of two rows and their losses; the share of the
        first is drawn from Beta(mixup, mixup) for each batch. Rows are blended after
        the embedding, as there is nothing between two categories before it.
    max_epochs : int, default=20
        Passes over the training rows; fewer if no rows can be held out.
    patience : int, default=6
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
        Loss to minimise, for each member separately: a name in `losses.LOSSES` or a
        function like those.
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
    categories_ : list of ndarray
        Codes of each categorical feature among the training rows, sorted.
    bins_ : list of ndarray
        Edges of the pieces of each numeric feature; rows of equal weight lie between
        them, whatever the class weights.
    link_ : {"softmax", "sigmoid"}
        How more than two logits become probabilities.
    prior_shift_ : ndarray of shape (n_classes,)
        Added to the logarithms of the probabilities. It corrects the effect of balanced
        batches, so that probabilities are at the shares of the data. Zeros for plain
        batches.
    weights_ : dict from str to ndarray
        The module's parameters by name.

    Notes
    -----
    Predictions are the mean of the members' probabilities. NOTE[DIFF]: 6 members of 96
    units where the paper has 32 of 512: a fit takes seconds of one CPU core.

    References
    ----------
    .. [1] Gorishniy, Kotelnikov, Babenko (2025). TabM: advancing tabular deep learning
       with parameter-efficient ensembling. arXiv:2410.24210
    .. [2] Gorishniy, Rubachev, Babenko (2022). On embeddings for numerical features in
       tabular deep learning. arXiv:2203.05556
    .. [3] Zhang, Cisse, Dauphin, Lopez-Paz (2018). mixup: beyond empirical risk
       minimization. arXiv:1710.09412

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from autoimb._models.tabm import TabMClassifier
    >>> X, y = make_classification(300, weights=[0.9], random_state=0)
    >>> net = TabMClassifier(k=2, max_epochs=2, random_state=0).fit(X, y)
    >>> net.predict_proba(X[:3]).shape
    (3, 2)
    """

    learning_rate: float = 5e-3
    max_epochs: int = 20
    patience: int = 6
    n_categorical: int = 0
    k: int = 6
    d_block: int = 96
    n_blocks: int = 2
    d_embedding: int = 8
    n_bins: int = 16

    def _learn_features(self, rows: LabelledRows) -> None:
        """Set the codes of the categories and the bins of the numbers."""
        n_columns, weight = rows.X.shape[1], rows.weight
        if not 0 <= self.n_categorical <= n_columns:
            raise ValueError(
                f"n_categorical={self.n_categorical}, but X has {n_columns} columns."
            )
        codes, numbers = np.hsplit(rows.X, [self.n_categorical])
        self.categories_ = [np.unique(column) for column in codes.T]
        of_rows = None if (weight == weight[0]).all() else weight
        self.bins_ = [_bin_edges(column, self.n_bins, of_rows) for column in numbers.T]

    def _prepare(self, X: Floats) -> Floats:
        """Return the rows with categories as 1, 2, …, and 0 for an unknown one."""
        prepared = X.copy()
        for i, codes in enumerate(self.categories_):
            at = np.minimum(np.searchsorted(codes, X[:, i]), len(codes) - 1)
            prepared[:, i] = np.where(codes[at] == X[:, i], at + 1, 0)
        return prepared

    def _make_network(self, start: Doubles, seed: int) -> "TabMNet":
        """Return a random net; the first logits of all members are near `start`."""
        from autoimb._models.tabm_module import make_tabm

        n_codes = [1 + len(codes) for codes in self.categories_]
        return make_tabm(
            seed,
            self.bins_,
            n_codes,
            start,
            k=self.k,
            d_block=self.d_block,
            n_blocks=self.n_blocks,
            d_embedding=self.d_embedding,
            dropout=self.dropout,
        )

    def _predictor(self) -> Predictor:
        """Return the fitted net, which takes milliseconds to build: it is kept."""
        from autoimb._models.tabm_module import predictor

        weights, known = _BUILT.get(self, (None, None))
        if known is None or weights is not self.weights_:
            n_classes = len(self.classes_)
            start = np.zeros(1 if n_classes == 2 else n_classes)
            known = predictor(self._make_network(start, seed=0), self.weights_)
            _BUILT[self] = self.weights_, known
        return known


_BUILT: WeakKeyDictionary[TabMClassifier, tuple[dict[str, Floats], Predictor]] = (
    WeakKeyDictionary()
)
"""The nets of this process, by classifier, with the weights that they were built of."""


def _bin_edges(column: Floats, n_bins: int, weight: Floats | None = None) -> Floats:
    """Return three or more rising edges of bins with about equally many rows.

    With weights, the bins have about equal weight.
    """
    wide, shares = column.astype(np.float64), np.linspace(0, 1, n_bins + 1)
    if weight is None:
        edges = _distinct(np.quantile(wide, shares))
    else:  # NumPy does not interpolate between weighted values
        edges = np.quantile(wide, shares, weights=weight, method="inverted_cdf")
        edges = _distinct(edges)
    if len(edges) < 3:  # few distinct values, or nearly all rows have one
        edges = _distinct(np.quantile(np.unique(wide), [0, 0.5, 1]))
    if len(edges) < 3:  # a constant
        edges = edges[0] + np.array([-1, 0, 1]) * max(1, abs(edges[0]))
    return edges.astype(np.float32)


def _distinct(values: Doubles) -> Doubles:
    """Return the distinct values, rising; values that float32 may confuse are one."""
    rising = np.unique(values)
    smallest = _SAME * np.abs(rising).max(initial=1e-20)
    return np.asarray(rising[np.diff(rising, prepend=-np.inf) > smallest])
