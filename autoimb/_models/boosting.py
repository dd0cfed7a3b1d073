"""XGBoost with class weights and losses for rare classes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from xgboost import XGBClassifier

from .formulas import Formula
from .gradients import resolve_objective
from .links import start_logits, to_proba

__all__ = ["WeightedXGBClassifier"]

_TINY = 1e-16


class WeightedXGBClassifier(XGBClassifier):
    """`XGBClassifier` that also takes `class_weight` and `loss`.

    Parameters
    ----------
    class_weight : mapping from class code to weight, default=None
        Each row's weight is multiplied by its class's; classes that are not in the
        mapping have weight 1. None is plain XGBoost.
    loss : {"log_loss", "focal", "asymmetric"} or callable, default="log_loss"
        Loss to minimise; "log_loss" is XGBoost's own. A callable
        ``loss(margins, codes, *, prior, **loss_params)`` returns the gradient and the
        second derivative by the margins, in their shape.
    loss_params : mapping from str to value, default=None
        Parameters of the loss, such as ``{"gamma": 2.0}``.
    **kwargs
        Parameters of `xgboost.XGBClassifier`.

    Notes
    -----
    For two classes, ``{0: 1, 1: w}`` is ``scale_pos_weight=w`` with the same
    `base_score`, up to the histogram's bin edges, which follow row weights. Where
    `base_score` is left to XGBoost, it starts at the weighted share of class 1.

    Other losses than "log_loss" start from the logits of the weighted class shares;
    the `prior` that they are told is that of the rows, without `class_weight`.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.class_weight = class_weight
        self.loss = loss
        self.loss_params = loss_params

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
        weight = _row_weights(codes, self.class_weight, sample_weight)
        if self.loss == "log_loss":
            super().fit(X, y, sample_weight=weight, **fit_params)
            return self
        objective = resolve_objective(self.loss, self.loss_params)
        own = self.objective, self.base_score
        # XGBoost reads both off the estimator: they are put back as they were given.
        self.objective = _Trained(objective, _shares(codes, sample_weight))
        self.base_score = _base_score(_shares(codes, weight), objective)
        try:
            super().fit(X, y, sample_weight=weight, **fit_params)
        finally:
            self.objective, self.base_score = own
        return self

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
        link = resolve_objective(self.loss, self.loss_params).link
        if self.n_classes_ == 2 or link == "softmax":
            proba: NDArray[Any] = super().predict_proba(X, **predict_params)
            return proba
        margins = self.predict(X, output_margin=True, **predict_params)
        return to_proba(margins, is_binary=False, link=link)

    def _wrapper_params(self) -> set[str]:
        """Return the parameters that XGBoost keeps away from the booster."""
        return {*super()._wrapper_params(), "class_weight", "loss", "loss_params"}


@dataclass(frozen=True, eq=False)
class _Trained:
    """An objective as XGBoost calls it, for training rows of known class shares."""

    objective: Formula
    prior: NDArray[np.float64]

    def __call__(
        self,
        y_true: NDArray[Any],
        y_pred: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weighted derivatives, the second one kept above zero."""
        margins = np.asarray(y_pred, dtype=np.float64)
        codes = np.asarray(y_true).astype(np.intp)
        gradient, hessian = self.objective.function(margins, codes, prior=self.prior)
        hessian = np.maximum(hessian, self._least_curvature(margins, codes, gradient))
        if margins.ndim == 2 and self.objective.link == "softmax":
            # The margins of a row move together: XGBoost's own softmax doubles the
            # diagonal of the Hessian as well.
            hessian = 2 * hessian
        if sample_weight is None:
            return gradient, hessian
        weight = sample_weight.reshape(-1, *[1] * (margins.ndim - 1))
        return gradient * weight, hessian * weight

    def _least_curvature(
        self,
        margins: NDArray[np.float64],
        codes: NDArray[np.intp],
        gradient: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return what the log loss would have, weighted so as to have that gradient.

        The second derivative of other losses falls below zero where a row is badly
        wrong, as rare rows are at the start, and a leaf's step divides by the sum of
        its rows. A small constant in its place lets steps explode until nothing is
        learnt; this one is exact for the log loss, whose second derivative is the
        first, without its sign, times the probability of being right.
        """
        if margins.ndim == 2 and self.objective.link == "softmax":
            proba = to_proba(margins, is_binary=False)
        else:
            proba = expit(margins)
        is_true = codes if margins.ndim == 1 else np.eye(margins.shape[1])[codes]
        right = np.where(is_true == 1, proba, 1 - proba)
        least: NDArray[np.float64] = np.abs(gradient) * right + _TINY
        return least


def _row_weights(
    codes: NDArray[Any],
    class_weight: Mapping[int, float] | None,
    sample_weight: ArrayLike | None,
) -> ArrayLike | None:
    """Return the product of both weights of each row, or None without any."""
    if class_weight is None:
        return sample_weight
    present, which = np.unique(codes, return_inverse=True)
    by_class = np.array([class_weight.get(code, 1.0) for code in present.tolist()])
    weight: NDArray[np.float64] = by_class[which]
    return weight if sample_weight is None else weight * np.asarray(sample_weight)


def _shares(codes: NDArray[Any], weight: ArrayLike | None) -> NDArray[np.float64]:
    """Return the weighted shares of the classes, shape (k,)."""
    by_row = None if weight is None else np.asarray(weight, dtype=float)
    mass = np.bincount(codes, by_row)
    shares: NDArray[np.float64] = mass / mass.sum()
    return shares


def _base_score(shares: NDArray[np.float64], objective: Formula) -> Any:
    """Return the start of boosting: a probability for two classes, else k margins."""
    if len(shares) == 2:
        return float(np.clip(shares[1], 1e-6, 1 - 1e-6))
    return start_logits(shares, objective.link).tolist()
