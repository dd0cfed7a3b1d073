"""Models of packages that are optional extras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["make_catboost"]


def make_catboost(
    *, class_weight: Mapping[int, float] | None = None, **settings: Any
) -> Any:
    """Return an unfitted CatBoost classifier with weights by class code.

    Parameters
    ----------
    class_weight : mapping from class code to weight, default=None
        Weights of codes 0 to k - 1.
    **settings
        Parameters of `catboost.CatBoostClassifier`.

    Returns
    -------
    CatBoostClassifier
        Quiet, and writing no files.
    """
    from catboost import CatBoostClassifier

    if class_weight is not None:
        # A tuple: scikit-learn's clone fails on what CatBoost copies.
        settings["class_weights"] = tuple(w for _, w in sorted(class_weight.items()))
    return CatBoostClassifier(verbose=False, allow_writing_files=False, **settings)
