"""Functions that only scripts need. Scripts hold copies, with all that they use."""

from __future__ import annotations

from inspect import signature
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.class_weight import compute_sample_weight

from autoimb._table.weighted_encoding import fit_encoder


class ClassWeighted(ClassifierMixin, BaseEstimator):
    """A model whose training rows are weighted by their classes."""

    def __init__(self, model: Any, class_weight: dict[int, float]) -> None:
        self.model = model
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ClassWeighted:
        """Fit a copy of the model."""
        weight = compute_sample_weight(self.class_weight, y)
        if sample_weight is not None:
            weight = weight * sample_weight
        self.model_ = clone(self.model).fit(X, y, sample_weight=weight)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Any) -> Any:
        """Return the model's labels."""
        return self.model_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Return the model's probabilities."""
        return self.model_.predict_proba(X)


def fit_weighted(pipeline: Any, X: Any, y: Any, sample_weight: Any) -> Any:
    """Fit a pipeline step by step, encoders with weights too.

    The weights follow their rows through a sampler.
    """
    *steps, (_, model) = pipeline.steps
    for _, step in steps:
        if hasattr(step, "fit_resample"):
            is_taken = "sample_weight" in signature(step.fit_resample).parameters
            weights = {"sample_weight": sample_weight} if is_taken else {}
            X, y = step.fit_resample(X, y, **weights)
            sample_weight = sample_weight[step.sample_indices_]
        else:
            X = fit_encoder(step, X, y, sample_weight)
    last = f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""
    model.fit(X, y, **{f"{last}sample_weight": sample_weight})
    return pipeline
