"""XGBoost with class weights."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from xgboost import XGBClassifier

__all__ = ["WeightedXGBClassifier"]


class WeightedXGBClassifier(XGBClassifier):
    """`XGBClassifier` that also takes `class_weight`, for two classes or more.

    Parameters
    ----------
    class_weight : mapping from class code to weight, default=None
        Each row's weight is multiplied by its class's; classes that are not in the
        mapping have weight 1. None is plain XGBoost.
    **kwargs
        Parameters of `xgboost.XGBClassifier`.

    Notes
    -----
    For two classes, ``{0: 1, 1: w}`` is ``scale_pos_weight=w`` with the same
    `base_score`, up to the histogram's bin edges, which follow row weights. Where
    `base_score` is left to XGBoost, it starts at the weighted share of class 1.
    """

    def __init__(
        self, *, class_weight: Mapping[int, float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.class_weight = class_weight

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
        if self.class_weight is not None:
            weight = [self.class_weight.get(code, 1.0) for code in np.asarray(y)]
            sample_weight = np.multiply(
                weight, 1.0 if sample_weight is None else sample_weight
            )
        super().fit(X, y, sample_weight=sample_weight, **fit_params)
        return self

    def _wrapper_params(self) -> set[str]:
        """Return the parameters that XGBoost keeps away from the booster."""
        return {*super()._wrapper_params(), "class_weight"}
