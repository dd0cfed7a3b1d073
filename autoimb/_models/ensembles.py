"""Ensembles whose members see all rare rows and a part of the others.

Both hand a small boosted-tree model all rows of the smallest class and few of each
larger one; they differ in which few. Each member's probabilities are taken back to the
classes' true shares before they are averaged.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)
from xgboost import XGBClassifier

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["SelfPacedEnsembleClassifier", "UnderBaggingClassifier", "hardness_weights"]


class _PartialEnsemble(ClassifierMixin, BaseEstimator, ABC):
    """Boosted trees on parts of the rows, averaged at the classes' true shares."""

    def __init__(
        self,
        *,
        n_estimators: int = 10,
        ratio: float = 1.0,
        n_trees: int = 60,
        learning_rate: float = 0.1,
        max_depth: int = 5,
        min_child_weight: float = 1.0,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.ratio = ratio
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_child_weight = min_child_weight
        self.n_jobs = n_jobs
        self.random_state = random_state

    @abstractmethod
    def _draw(
        self, member: int, wanted: NDArray[np.intp], rows: _Rows
    ) -> NDArray[np.intp]:
        """Return the rows of a member, of each class so many as wanted."""

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the members one after the other.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; NaN is a missing value.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows; a row of weight zero is as good as absent.

        Returns
        -------
        self
            The fitted ensemble.

        Raises
        ------
        ValueError
            If `n_estimators` is below 1 or `ratio` is not above 0.
        """
        return self._fit_until(math.inf, X, y, sample_weight)

    def _fit_until(self, end: float, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit members until the monotonic clock is at `end`, but at least one."""
        if self.n_estimators < 1 or not self.ratio > 0:
            raise ValueError(
                f"n_estimators={self.n_estimators} must be at least 1, and "
                f"ratio={self.ratio} above 0."
            )
        rows = self._check(X, y, sample_weight)
        counts = np.bincount(rows.codes)
        # Of each class at most `ratio` rows for one of the smallest, and at least one.
        most = max(1.0, self.ratio * counts.min())
        others = np.rint(np.minimum(counts, most)).astype(np.intp)
        wanted = np.where(counts == counts.min(), counts, others)
        self.estimators_: list[Any] = []
        self.corrections_: list[NDArray[np.float64]] = []
        for member in range(self.n_estimators):
            drawn = self._draw(member, wanted, rows)
            model = self._make_member(int(rows.rng.integers(2**31)))
            model.fit(
                rows.X[drawn], rows.codes[drawn], sample_weight=rows.weight[drawn]
            )
            self.estimators_.append(model)
            self.corrections_.append(rows.mass() / rows.mass(drawn))
            if time.monotonic() >= end:
                break
            self._learn(model, rows)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; NaN is a missing value.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities in the order of `classes_`; rows sum to one.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, dtype=np.float64, ensure_all_finite=False, reset=False
        )
        members = zip(self.estimators_, self.corrections_, strict=True)
        total = sum(at_true_shares(m.predict_proba(X), w) for m, w in members)
        return np.asarray(total) / len(self.estimators_)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; NaN is a missing value.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def _check(self, X: Any, y: Any, sample_weight: Any) -> _Rows:
        """Return the training rows of positive weight; sets `classes_`."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False)
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X)
        counted = weight > 0
        self.classes_, codes = np.unique(y[counted], return_inverse=True)
        seed = check_random_state(self.random_state).randint(2**31)
        return _Rows(X[counted], codes, weight[counted], np.random.default_rng(seed))

    def _learn(self, model: Any, rows: _Rows) -> None:
        """Take note of a member that was fitted."""

    def _make_member(self, seed: int) -> XGBClassifier:
        """Return an unfitted member."""
        return XGBClassifier(
            n_estimators=self.n_trees,
            learning_rate=self.learning_rate,
            max_depth=self.max_depth,
            min_child_weight=self.min_child_weight,
            subsample=0.8,
            colsample_bytree=0.8,
            n_jobs=self.n_jobs,
            random_state=seed,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class UnderBaggingClassifier(_PartialEnsemble):
    """Bags of all rare rows and an equal part of the others.

    Parameters
    ----------
    n_estimators : int, default=10
        Number of bags.
    ratio : float, default=1.0
        Rows of each larger class in a bag for one row of the smallest class.
    n_trees, learning_rate, max_depth, min_child_weight
        Of each bag's `xgboost.XGBClassifier`.
    n_jobs : int, default=None
        Threads of each bag's model.
    random_state : int, RandomState instance or None, default=None
        Seed of the bags and of their models.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    estimators_ : list of XGBClassifier
        The bags' models.
    corrections_ : list of ndarray of shape (n_classes,)
        Rows of each class for one in the bag.

    Notes
    -----
    Each class is dealt through the bags like a deck of cards: no row comes twice in a
    bag, and none a second time before all others came once.

    References
    ----------
    .. [1] Wallace, Small, Brodley, Trikalinos (2011). Class imbalance, redux.
       doi:10.1109/ICDM.2011.33
    .. [2] Dal Pozzolo, Caelen, Johnson, Bontempi (2015). Calibrating probability with
       undersampling for unbalanced classification. doi:10.1109/SSCI.2015.33

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from autoimb._models.ensembles import UnderBaggingClassifier
    >>> X, y = make_classification(300, weights=[0.9], random_state=0)
    >>> model = UnderBaggingClassifier(n_estimators=3, random_state=0).fit(X, y)
    >>> model.predict_proba(X[:2]).shape
    (2, 2)
    """

    def _draw(
        self, member: int, wanted: NDArray[np.intp], rows: _Rows
    ) -> NDArray[np.intp]:
        dealt = [
            np.take(deck, np.arange(member * n, (member + 1) * n), mode="wrap")
            for deck, n in zip(rows.decks, wanted, strict=True)
        ]
        return np.concatenate(dealt)


class SelfPacedEnsembleClassifier(_PartialEnsemble):
    """Members that look more and more at the hard rows of the larger classes.

    Parameters
    ----------
    n_estimators : int, default=10
        Number of members.
    n_bins : int, default=10
        Bins of hardness.
    ratio : float, default=1.0
        Rows of each larger class that a member sees for one row of the smallest class.
    n_trees, learning_rate, max_depth, min_child_weight
        Of each member's `xgboost.XGBClassifier`.
    n_jobs : int, default=None
        Threads of each member.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws and of the models.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    estimators_ : list of XGBClassifier
        The members.
    corrections_ : list of ndarray of shape (n_classes,)
        Rows of each class for one that the member saw.

    Notes
    -----
    A row is as hard as the probability that the ensemble so far, at the shares of its
    members, gives to the other classes. The first member sees a random part; then bins
    of hardness contribute alike to its sum, and at last alike to the number of rows.

    NOTE[DIFF]: the paper treats two classes; here every class larger than the smallest
    is drawn from by itself. And a row is drawn with its bin's weight over the bin's
    size, instead of a quota a bin: bins may hold fewer rows than their quota.

    References
    ----------
    .. [1] Liu, Cao, Gao, Bian, Chen, Chang, Liu (2020). Self-paced ensemble for highly
       imbalanced massive data classification, algorithm 1. arXiv:1909.03500

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from autoimb._models.ensembles import SelfPacedEnsembleClassifier
    >>> X, y = make_classification(300, weights=[0.9], random_state=0)
    >>> model = SelfPacedEnsembleClassifier(n_estimators=3, random_state=0).fit(X, y)
    >>> model.predict_proba(X[:2]).shape
    (2, 2)
    """

    def __init__(
        self,
        *,
        n_estimators: int = 10,
        n_bins: int = 10,
        ratio: float = 1.0,
        n_trees: int = 60,
        learning_rate: float = 0.1,
        max_depth: int = 5,
        min_child_weight: float = 1.0,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_estimators=n_estimators,
            ratio=ratio,
            n_trees=n_trees,
            learning_rate=learning_rate,
            max_depth=max_depth,
            min_child_weight=min_child_weight,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        self.n_bins = n_bins

    def _check(self, X: Any, y: Any, sample_weight: Any) -> _Rows:
        if self.n_bins < 1:
            raise ValueError(f"n_bins={self.n_bins} must be at least 1.")
        return super()._check(X, y, sample_weight)

    def _draw(
        self, member: int, wanted: NDArray[np.intp], rows: _Rows
    ) -> NDArray[np.intp]:
        hardness = rows.hardness(member)
        pace = math.tan(member * math.pi / (2 * self.n_estimators))
        drawn = []
        for deck, n in zip(rows.decks, wanted, strict=True):
            weights = None
            if member > 0 and n < len(deck):
                weights = hardness_weights(hardness[deck], self.n_bins, pace)
            drawn.append(rows.rng.choice(deck, n, replace=False, p=weights))
        return np.concatenate(drawn)

    def _learn(self, model: Any, rows: _Rows) -> None:
        proba = model.predict_proba(rows.X)
        rows.trust += proba[np.arange(len(rows.codes)), rows.codes]


class _Rows:
    """The training rows while the members are fitted."""

    def __init__(
        self,
        X: NDArray[np.float64],
        codes: NDArray[np.intp],
        weight: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> None:
        self.X, self.codes, self.weight, self.rng = X, codes, weight, rng
        of_class = [np.flatnonzero(codes == c) for c in range(int(codes.max()) + 1)]
        self.decks = [rng.permutation(rows) for rows in of_class]
        self.trust = np.zeros(len(codes))
        """Sum over members of the probability that they give to the truth."""

    def mass(self, at: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float64]:
        """Return the sum of weights of each class, of all rows or of some."""
        of_class = np.bincount(self.codes[at], self.weight[at], len(self.decks))
        return of_class.astype(np.float64)

    def hardness(self, n_members: int) -> NDArray[np.float64]:
        """Return the mean probability of the other classes."""
        return 1 - self.trust / max(1, n_members)


def hardness_weights(
    hardness: NDArray[np.float64], n_bins: int, pace: float
) -> NDArray[np.float64]:
    """Return the probabilities with which rows are drawn at one step of the pace.

    The range of hardness is cut into bins of equal width; a bin of mean hardness h is
    worth 1 / (h + pace), shared evenly by its rows (Liu et al. 2020, algorithm 1).
    """
    low, high = hardness.min(), hardness.max()
    width = (high - low) / n_bins or 1.0
    bins = np.minimum(((hardness - low) / width).astype(int), n_bins - 1)
    sizes = np.bincount(bins, minlength=n_bins)
    mean = np.bincount(bins, hardness, n_bins) / np.maximum(sizes, 1)
    of_bin = np.where(sizes > 0, 1 / np.maximum(mean + pace, 1e-12), 0.0)
    weights = (of_bin / np.maximum(sizes, 1))[bins]
    return np.asarray(weights / weights.sum())


def at_true_shares(
    proba: NDArray[np.float64], correction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return probabilities with each class weighted by rows for one that was seen."""
    odds = proba * correction
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
