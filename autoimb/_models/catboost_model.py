"""CatBoost with class weights by class code."""

from collections.abc import Mapping
from typing import Any


def make_catboost(
    *, class_weight: Mapping[int, float] | None = None, **params: Any
) -> Any:
    """Return an unfitted CatBoost classifier with weights by class code.

    Parameters
    ----------
    class_weight : mapping from class code to weight, default=None
        Weights of codes 0 to k - 1.
    **params
        Parameters of `catboost.CatBoostClassifier`.

    Returns
    -------
    CatBoostClassifier
        It prints nothing and writes no files.
    """
    from catboost import CatBoostClassifier

    if class_weight is not None:
        # A tuple, since `clone` fails on parameters that CatBoost copies.
        params["class_weights"] = tuple(w for _, w in sorted(class_weight.items()))
    return CatBoostClassifier(verbose=False, allow_writing_files=False, **params)
