"""Ensembles whose members are fitted on all rows of the rarest class and few others.

Members are small boosted-tree models. The two ensembles differ in which rows of the
larger classes a member is fitted on. The probabilities of each member are corrected to
the class shares of the training table before they are averaged.
"""

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)
from xgboost import XGBClassifier


@dataclass(kw_only=True, eq=False, repr=False)
class _UnderSampledEnsemble(ClassifierMixin, BaseEstimator, ABC):
    """Boosted trees on parts of the rows, averaged at the class shares of the table.

    The fields are the constructor's parameters, which subclasses document.
    """

    n_estimators: int = 10
    ratio: float = 1.0
    n_trees: int = 60
    learning_rate: float = 0.1
    max_depth: int = 5
    min_child_weight: float = 1.0
    n_jobs: int | None = None
    random_state: int | np.random.RandomState | None = None

    @abstractmethod
    def _draw(
        self, member: int, n_drawn: NDArray[np.intp], rows: "_TrainingRows"
    ) -> NDArray[np.intp]:
        """Return the row numbers of a member: `n_drawn` rows of each class."""

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
            Weights of rows; a row of weight zero has no influence.

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

    def _fit_until(
        self, deadline: float, X: Any, y: Any, sample_weight: Any = None
    ) -> Self:
        """Fit members until the deadline (monotonic seconds), but at least one."""
        if self.n_estimators < 1 or not self.ratio > 0:
            raise ValueError(
                f"n_estimators={self.n_estimators} must be at least 1, and "
                f"ratio={self.ratio} above 0."
            )
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=np.float64, ensure_all_finite=False
        )
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X)
        is_used = weight > 0
        self.classes_, codes = np.unique(y[is_used], return_inverse=True)
        rng = np.random.default_rng(
            check_random_state(self.random_state).randint(2**31)
        )
        rows = _TrainingRows(X[is_used], codes, weight[is_used], rng)
        self.estimators_: list[Any] = []
        self.corrections_: list[NDArray[np.float64]] = []
        self._fit_members(rows, deadline)
        return self

    def _fit_members(self, rows: "_TrainingRows", deadline: float) -> None:
        """Fit members until the deadline, but at least one, and keep them."""
        counts = np.bincount(rows.codes)
        # At most `ratio` rows of a larger class for one of the smallest; at least one.
        n_most = max(1.0, self.ratio * counts.min())
        n_others = np.rint(np.minimum(counts, n_most)).astype(np.intp)
        n_drawn = np.where(counts == counts.min(), counts, n_others)
        for member in range(self.n_estimators):
            drawn = self._draw(member, n_drawn, rows)
            model = XGBClassifier(
                n_estimators=self.n_trees,
                learning_rate=self.learning_rate,
                max_depth=self.max_depth,
                min_child_weight=self.min_child_weight,
                subsample=0.8,
                colsample_bytree=0.8,
                n_jobs=self.n_jobs,
                random_state=int(rows.rng.integers(2**31)),
            )
            codes, weight = rows.codes[drawn], rows.weight[drawn]
            model.fit(rows.X[drawn], codes, sample_weight=weight)
            self.estimators_.append(model)
            self.corrections_.append(
                np.bincount(rows.codes, rows.weight) / np.bincount(codes, weight)
            )
            if time.monotonic() >= deadline:
                break

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
            self,
            X,
            accept_sparse="csr",
            dtype=np.float64,
            ensure_all_finite=False,
            reset=False,
        )
        members = zip(self.estimators_, self.corrections_, strict=True)
        total = sum(at_data_shares(m.predict_proba(X), w) for m, w in members)
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
        return np.asarray(self.classes_[best])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags


class UnderBaggingClassifier(_UnderSampledEnsemble):
    """Bags of all rows of the rarest class and equally many rows of each other class.

    Parameters
    ----------
    n_estimators : int, default=10
        Number of bags.
    ratio : float, default=1.0
        Rows of each larger class in a bag for one row of the smallest class.
    n_trees, learning_rate, max_depth, min_child_weight
        Parameters of the `xgboost.XGBClassifier` of each bag.
    n_jobs : int, default=None
        Threads of each bag's model.
    random_state : int, RandomState instance or None, default=None
        Seed of the bags and of their models.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    estimators_ : list of XGBClassifier
        The models of the bags.
    corrections_ : list of ndarray of shape (n_classes,)
        Weight of each class in the training table divided by its weight in the bag.

    Notes
    -----
    The rows of a class, in random order, are divided among the bags one after the
    other: no row is twice in a bag, and none is used again before all others of its
    class were used once.

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
        self, member: int, n_drawn: NDArray[np.intp], rows: "_TrainingRows"
    ) -> NDArray[np.intp]:
        return np.concatenate(
            [
                np.take(of_class, np.arange(member * n, (member + 1) * n), mode="wrap")
                for of_class, n in zip(rows.shuffled, n_drawn, strict=True)
            ]
        )


@dataclass(kw_only=True, eq=False, repr=False)
class SelfPacedEnsembleClassifier(_UnderSampledEnsemble):
    """Ensemble whose later members are fitted on more hard rows of the larger classes.

    Parameters
    ----------
    n_estimators : int, default=10
        Number of members.
    n_bins : int, default=10
        Bins of hardness.
    ratio : float, default=1.0
        Rows of each larger class for one row of the smallest class, for each member.
    n_trees, learning_rate, max_depth, min_child_weight
        Parameters of the `xgboost.XGBClassifier` of each member.
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
        Weight of each class in the training table divided by its weight among the rows
        of the member.

    Notes
    -----
    The hardness of a row is the mean probability that the members so far, at the class
    shares of their own rows, give to the other classes. The rows of the first member
    are drawn at random. For early members each bin of hardness then contributes equally
    to the sum of the hardness, for late members to the number of rows.

    NOTE[DIFF]: the paper treats two classes; here rows are drawn separately from every
    class larger than the smallest. The paper draws a fixed number of rows from each
    bin; here a row is drawn with the weight of its bin divided by the size of the bin,
    since bins may hold fewer rows than that number.

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

    n_bins: int = 10

    def _draw(
        self, member: int, n_drawn: NDArray[np.intp], rows: "_TrainingRows"
    ) -> NDArray[np.intp]:
        if self.n_bins < 1:
            raise ValueError(f"n_bins={self.n_bins} must be at least 1.")
        if member > 0:
            proba = self.estimators_[-1].predict_proba(rows.X)
            rows.true_proba_sum += proba[np.arange(len(rows.codes)), rows.codes]
        hardness = 1 - rows.true_proba_sum / max(1, member)
        pace = math.tan(member * math.pi / (2 * self.n_estimators))
        drawn = []
        for of_class, n in zip(rows.shuffled, n_drawn, strict=True):
            weights = None
            if member > 0 and n < len(of_class):
                weights = hardness_weights(hardness[of_class], self.n_bins, pace)
            drawn.append(rows.rng.choice(of_class, n, replace=False, p=weights))
        return np.concatenate(drawn)


class _TrainingRows:
    """The training rows, and what the draws of the members depend on."""

    def __init__(
        self,
        X: NDArray[np.float64],
        codes: NDArray[np.intp],
        weight: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> None:
        self.X, self.codes, self.weight, self.rng = X, codes, weight, rng
        self.shuffled = [
            rng.permutation(np.flatnonzero(codes == c)) for c in range(codes.max() + 1)
        ]
        """Row numbers of each class, in random order."""
        self.true_proba_sum = np.zeros(len(codes))
        """Sum over members of the probability of the true class, shape (n,)."""


def hardness_weights(
    hardness: NDArray[np.float64], n_bins: int, pace: float
) -> NDArray[np.float64]:
    """Return the probabilities with which rows are drawn, given the pace of a member.

    The range of hardness is divided into bins of equal width; a bin of mean hardness h
    has weight 1 / (h + pace), shared equally by its rows (Liu et al. 2020,
    algorithm 1).
    """
    low, high = hardness.min(), hardness.max()
    width = (high - low) / n_bins or 1.0
    bins = np.minimum(((hardness - low) / width).astype(int), n_bins - 1)
    sizes = np.bincount(bins, minlength=n_bins)
    mean = np.bincount(bins, hardness, n_bins) / np.maximum(sizes, 1)
    of_bin = np.where(sizes > 0, 1 / np.maximum(mean + pace, 1e-12), 0.0)
    weights = (of_bin / np.maximum(sizes, 1))[bins]
    return np.asarray(weights / weights.sum())


def at_data_shares(
    proba: NDArray[np.float64], correction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return probabilities with the odds of each class multiplied by its correction."""
    odds = proba * correction
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
