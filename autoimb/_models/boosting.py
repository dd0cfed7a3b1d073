"""XGBoost with class weights, losses for rare classes, and categories as such."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.utils.class_weight import compute_sample_weight
from xgboost import XGBClassifier

from autoimb._models.gradients import BOOSTING_LOSSES
from autoimb._models.loss_lookup import (
    LossFunction,
    class_shares,
    resolve_loss,
    start_logits,
    to_proba,
)

_TINY = 1e-16


class WeightedXGBClassifier(XGBClassifier):
    """`XGBClassifier` that also takes `class_weight`, `loss` and codes of categories.

    Parameters
    ----------
    class_weight : mapping from class code to weight, default=None
        The weight of each row is multiplied by the weight of its class; classes that
        are not in the mapping have weight 1. None leaves row weights as they are.
    loss : {"log_loss", "focal", "asymmetric"} or callable, default="log_loss"
        Loss to minimise; "log_loss" is the implementation of XGBoost. A callable
        ``loss(margins, codes, *, prior, **loss_params)`` returns the first and the
        second derivative of the loss by the margins, in the shape of the margins.
    loss_params : mapping from str to value, default=None
        Parameters of the loss, such as ``{"gamma": 2.0}``.
    n_categorical : int, default=0
        The first so many columns hold codes of categories, 0 or above. A split sends a
        set of categories to one side, whatever their order. Any negative code stands
        for a missing or unknown category.
    **kwargs
        Parameters of `xgboost.XGBClassifier`.

    Notes
    -----
    For two classes and a given `base_score`, ``{0: 1, 1: w}`` equals
    ``scale_pos_weight=w``, except that the edges of histogram bins depend on row
    weights. Without a given `base_score`, XGBoost starts at the weighted share of
    class 1.

    Losses other than "log_loss" start at the logits of the weighted class shares.
    Their argument `prior` holds the class shares weighted by `sample_weight` alone,
    without `class_weight`.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from autoimb._models.boosting import WeightedXGBClassifier
    >>> X, y = make_classification(300, weights=[0.9], random_state=0)
    >>> model = WeightedXGBClassifier(
    ...     n_estimators=5, loss="focal", loss_params={"gamma": 1.0}
    ... ).fit(X, y)
    >>> model.predict_proba(X[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        *,
        class_weight: Mapping[int, float] | None = None,
        loss: str | Callable[..., Any] = "log_loss",
        loss_params: Mapping[str, Any] | None = None,
        n_categorical: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.class_weight = class_weight
        self.loss = loss
        self.loss_params = loss_params
        self.n_categorical = n_categorical

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Fit on class codes 0 to k - 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; NaN is a missing value.
        y : array-like of shape (n_samples,)
            Class codes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows, multiplied by those of their classes.
        **fit_params
            Further parameters of `xgboost.XGBClassifier.fit`.

        Returns
        -------
        WeightedXGBClassifier
            The fitted estimator.
        """
        codes = np.asarray(y)
        weight = sample_weight
        if self.class_weight is not None:
            present = np.unique(codes).tolist()
            by_class = {code: self.class_weight.get(code, 1.0) for code in present}
            weight = compute_sample_weight(by_class, codes)
            if sample_weight is not None:
                weight = weight * np.asarray(sample_weight)
        own_params = self._own_params(codes, weight, sample_weight)
        if self.n_categorical:
            X = rows = self._with_gaps(X)
            n_numeric = rows.shape[1] - self.n_categorical
            kinds = ["c"] * self.n_categorical + ["q"] * n_numeric
            own_params |= {"feature_types": kinds, "enable_categorical": True}
        # XGBoost reads them from the estimator; they are restored after the fit.
        before = {name: getattr(self, name) for name in own_params}
        self.__dict__.update(own_params)
        try:
            super().fit(X, y, sample_weight=weight, **fit_params)
        finally:
            self.__dict__.update(before)
        return self

    def _own_params(
        self,
        codes: NDArray[Any],
        weight: ArrayLike | None,
        sample_weight: ArrayLike | None,
    ) -> dict[str, Any]:
        """Return the parameters of XGBoost that a loss of ours sets."""
        if self.loss == "log_loss":
            return {}
        loss = resolve_loss(BOOSTING_LOSSES, self.loss, self.loss_params)
        shares = class_shares(codes, weight)
        start: Any = start_logits(shares, loss.link).tolist()
        if len(shares) == 2:  # a probability, in place of a list of margins
            start = float(np.clip(shares[1], 1e-6, 1 - 1e-6))
        objective = _Objective(loss, class_shares(codes, sample_weight))
        return {"objective": objective, "base_score": start}

    def _with_gaps(self, X: ArrayLike) -> NDArray[Any]:
        """Return the rows with NaN for missing and unknown categories."""
        rows = np.asarray(X)
        is_gap = rows[:, : self.n_categorical] < 0
        if is_gap.any():
            rows = rows.copy()
            rows[:, : self.n_categorical][is_gap] = np.nan
        return rows

    def predict_proba(  # type: ignore[override]  # its keywords are passed on
        self, X: ArrayLike, **predict_params: Any
    ) -> NDArray[Any]:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; NaN is a missing value.
        **predict_params
            Parameters of `xgboost.XGBClassifier.predict_proba`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities in the order of the codes; rows sum to one.
        """
        link = resolve_loss(BOOSTING_LOSSES, self.loss, self.loss_params).link
        if self.n_categorical:
            X = self._with_gaps(X)
        if self.n_classes_ == 2 or link == "softmax":
            return np.asarray(super().predict_proba(X, **predict_params))
        margins = self.predict(X, output_margin=True, **predict_params)
        return to_proba(margins, is_binary=False, link=link)

    def _wrapper_params(self) -> set[str]:
        """Return the parameters that XGBoost does not pass to the booster."""
        own = {"class_weight", "loss", "loss_params", "n_categorical"}
        return super()._wrapper_params() | own


@dataclass(frozen=True, eq=False)
class _Objective:
    """A loss in the form of an XGBoost objective."""

    loss: LossFunction
    prior: NDArray[np.float64]
    """Class shares of the training rows, shape (k,)."""

    def __call__(
        self,
        y_true: NDArray[Any],
        y_pred: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weighted first and second derivatives, the second above zero.

        The second derivative of other losses than the log loss is negative for rows
        that are badly wrong, as rows of a rare class are at the start, and the value of
        a leaf is divided by the sum of its rows' second derivatives. A small constant
        as a lower bound makes these values explode until nothing is learnt. The bound
        here is the second derivative of the log loss, weighted so that it has the same
        gradient: the size of the gradient times the probability of being right.
        """
        margins = np.asarray(y_pred, dtype=np.float64)
        codes = np.asarray(y_true).astype(np.intp)
        gradient, hessian = self.loss.function(margins, codes, prior=self.prior)
        is_softmax = margins.ndim == 2 and self.loss.link == "softmax"
        proba = to_proba(margins, is_binary=False) if is_softmax else expit(margins)
        is_true = codes if margins.ndim == 1 else np.eye(margins.shape[1])[codes]
        right = np.where(is_true == 1, proba, 1 - proba)
        hessian = np.maximum(hessian, np.abs(gradient) * right + _TINY)
        if is_softmax:
            # The margins of a row move together. The softmax objective of XGBoost
            # doubles the diagonal of the Hessian as well.
            hessian = 2 * hessian
        if sample_weight is None:
            return gradient, hessian
        weight = sample_weight.reshape(-1, *[1] * (margins.ndim - 1))
        return gradient * weight, hessian * weight
