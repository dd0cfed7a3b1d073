"""The mean of a linear model, a forest and boosted trees, as one estimator."""

from collections.abc import Mapping
from typing import Any

from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression

from autoimb._models.boosting import WeightedXGBClassifier


def soft_vote(
    *,
    C: float = 0.1,
    trees: float = 1.0,
    boosting: float = 1.0,
    min_samples_leaf: int = 2,
    max_depth: int = 4,
    class_weight: Mapping[int, float] | None = None,
    n_jobs: int | None = None,
    random_state: int | None = None,
) -> VotingClassifier:
    """Return the mean of a linear model, a forest and boosted trees.

    Parameters
    ----------
    C : float, default=0.1
        Inverse strength of the linear model's penalty.
    trees, boosting : float, default=1.0
        Weights of the forest and of boosting; the linear model has weight 1.
    min_samples_leaf : int, default=2
        Rows of a leaf of the forest.
    max_depth : int, default=4
        Depth of a boosted tree.
    class_weight : mapping from class code to weight, default=None
        Class weights of every member.
    n_jobs : int, default=None
        Threads of every member.
    random_state : int, default=None
        Seed of every member.

    Returns
    -------
    VotingClassifier
        Unfitted; its features are scaled numbers without gaps.
    """
    shared: dict[str, Any] = {
        "class_weight": class_weight,
        "random_state": random_state,
    }
    linear = LogisticRegression(C=C, max_iter=300, **shared)
    forest = ExtraTreesClassifier(
        n_estimators=200, min_samples_leaf=min_samples_leaf, n_jobs=n_jobs, **shared
    )
    boosted = WeightedXGBClassifier(
        n_estimators=200,
        learning_rate=0.06,
        max_depth=max_depth,
        subsample=0.8,
        colsample_bytree=0.7,
        n_jobs=n_jobs,
        **shared,
    )
    return VotingClassifier(
        [("linear", linear), ("forest", forest), ("boosted", boosted)],
        voting="soft",
        weights=(1.0, trees, boosting),
    )
