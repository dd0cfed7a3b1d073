"""TabM for tables with categories: run by PyTorch, kept as NumPy arrays."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._metrics import Metric

from .batches import Doubles, Floats
from .classifier import NetworkClassifier, Predictor

if TYPE_CHECKING:
    from .tabm_module import TabMNet

__all__ = ["TabMClassifier"]

_SAME = 1e-6  # of a column's largest value: edges nearer to each other are one


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
        Share of units silenced in training.
    learning_rate : float, default=5e-3
        Step size in the first half of training; then it falls linearly to zero.
    weight_decay : float, default=1e-4
        Decoupled decay of the weight matrices (AdamW); none of embeddings, biases and
        the members' own scales.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; "auto" grows with the square root of the rows.
    batches : {"plain", "balanced"}, default="plain"
        What a mini-batch holds: rows as they come, or all classes in equal numbers.
    mixup : float, default=0.0
        If positive, train on blends of two rows and their losses; the share of the
        first is drawn from Beta(mixup, mixup) for each batch. Rows are blended after
        the embedding, as there is nothing between two categories before it.
    max_epochs : int, default=20
        Passes over the training rows; fewer where none can be held out.
    patience : int, default=6
        Epochs without a better hold-out score before training stops.
    validation_fraction : float in [0, 1), default=0.15
        Share of rows held out to choose the best epoch. None is held out where the
        share has fewer than 10 rows of the rarest class.
    metric : str, Metric or scorer, default="average_precision"
        What the best epoch is chosen by; metrics of labels at their best cut of the
        hold-out. In place of a scikit-learn scorer, average precision is taken.
    loss : str or callable, default="log_loss"
        Loss to minimise, of each member on its own: a name in `LOSSES` or a function
        such as those.
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
        Metric of the kept weights on the hold-out, with the rarer of two classes as the
        positive one; None without a hold-out.
    categories_ : list of ndarray
        Codes of each categorical feature among the training rows, sorted.
    bins_ : list of ndarray
        Edges of the pieces of each numeric feature.
    link_ : {"softmax", "sigmoid"}
        How more than two logits become probabilities.
    prior_shift_ : ndarray of shape (n_classes,)
        Added to the logarithms of the probabilities: what balanced batches taught is
        brought back to the shares of the classes. Zeros for plain batches.
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

    def __init__(
        self,
        *,
        n_categorical: int = 0,
        k: int = 6,
        d_block: int = 96,
        n_blocks: int = 2,
        d_embedding: int = 8,
        n_bins: int = 16,
        dropout: float = 0.1,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-4,
        batch_size: int | str = "auto",
        batches: str = "plain",
        mixup: float = 0.0,
        max_epochs: int = 20,
        patience: int = 6,
        validation_fraction: float = 0.15,
        metric: str | Metric | Callable[..., float] = "average_precision",
        loss: str | Callable[..., Any] = "log_loss",
        loss_params: Mapping[str, Any] | None = None,
        class_weight: Mapping[Any, float] | None = None,
        device: str = "auto",
        deadline_s: float | None = None,
        n_threads: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            batch_size=batch_size,
            batches=batches,
            mixup=mixup,
            max_epochs=max_epochs,
            patience=patience,
            validation_fraction=validation_fraction,
            metric=metric,
            loss=loss,
            loss_params=loss_params,
            class_weight=class_weight,
            device=device,
            deadline_s=deadline_s,
            n_threads=n_threads,
            random_state=random_state,
        )
        self.n_categorical = n_categorical
        self.k = k
        self.d_block = d_block
        self.n_blocks = n_blocks
        self.d_embedding = d_embedding
        self.n_bins = n_bins
        self.dropout = dropout

    def _learn_features(self, X: Floats) -> None:
        """Remember the codes of the categories and the bins of the numbers."""
        if not 0 <= self.n_categorical <= X.shape[1]:
            msg = f"n_categorical={self.n_categorical}, but X has {X.shape[1]} columns."
            raise ValueError(msg)
        codes, numbers = X[:, : self.n_categorical], X[:, self.n_categorical :]
        self.categories_ = [np.unique(column) for column in codes.T]
        self.bins_ = [_bin_edges(column, self.n_bins) for column in numbers.T]

    def _prepare(self, X: Floats) -> Floats:
        """Return the rows with categories as 1, 2, …, and 0 for those never seen."""
        prepared = X.copy()
        for i, known in enumerate(self.categories_):
            at = np.minimum(np.searchsorted(known, X[:, i]), len(known) - 1)
            prepared[:, i] = np.where(known[at] == X[:, i], at + 1, 0)
        return prepared

    def _make_network(self, start: Doubles, seed: int) -> "TabMNet":
        """Return a random net whose members all begin near `start`."""
        from .tabm_module import make_tabm

        n_codes = [1 + len(known) for known in self.categories_]
        settings = ("k", "d_block", "n_blocks", "d_embedding", "dropout")
        network = make_tabm(
            seed,
            self.bins_,
            n_codes,
            len(start),
            **{name: getattr(self, name) for name in settings},
        )
        network.start_at(start)
        return network

    def _predictor(self) -> Predictor:
        """Return the fitted net, made anew: a matter of milliseconds."""
        from .tabm_module import predictor

        n_classes = len(self.classes_)
        start = np.zeros(1 if n_classes == 2 else n_classes)
        network = self._make_network(start, seed=0)
        network.load(self.weights_)
        return predictor(network)


def _bin_edges(column: Floats, n_bins: int) -> Floats:
    """Return three or more rising edges, with about as many rows between any two."""
    wide = column.astype(np.float64)
    edges = _apart(np.quantile(wide, np.linspace(0, 1, n_bins + 1)))
    if len(edges) < 3:  # few values, or one nearly everywhere: rows do not tell
        edges = _apart(np.quantile(np.unique(wide), [0, 0.5, 1]))
    if len(edges) < 3:  # a constant
        edges = edges[0] + np.array([-1, 0, 1]) * max(1, abs(edges[0]))
    return edges.astype(np.float32)


def _apart(values: Doubles) -> Doubles:
    """Return the distinct values, rising, without those that float32 may confuse."""
    rising = np.unique(values)
    smallest = _SAME * np.abs(rising).max(initial=1e-20)
    kept: Doubles = rising[np.diff(rising, prepend=-np.inf) > smallest]
    return kept
