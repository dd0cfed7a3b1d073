"""How row weights and class weights reach a model that was not made for them."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.metaestimators import available_if


def _has(method: str) -> Any:
    """Return the check that the model has a method."""
    return lambda weighted: hasattr(weighted.model, method)


OWN_STEPS = frozenset({"encode", "one_hot", "resample", "model"})
"""Names of the steps that we add; those of a user's pipeline have others."""


class ClassWeighted(ClassifierMixin, BaseEstimator):
    """A model whose training rows are weighted by their classes.

    Parameters
    ----------
    model : classifier whose ``fit`` takes ``sample_weight``
        Cloned for the fit.
    class_weight : dict of label to weight
        Row weights are multiplied by the weights of their classes.

    Attributes
    ----------
    model_ : classifier
        The fitted model.
    classes_ : ndarray of shape (n_classes,)
        Its classes.
    """

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

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Return the model's probabilities."""
        return self.model_.predict_proba(X)

    @available_if(_has("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """Return the model's decision values."""
        return self.model_.decision_function(X)


def weight_keywords(model: Any) -> list[str]:
    """Return the keywords of ``fit`` that row weights are passed by.

    The last step of a pipeline takes them, unless its user said that it does not, by
    ``set_fit_request(sample_weight=False)``; steps before it only if they request them.
    """
    if not hasattr(model, "steps"):
        return [] if requests_weights(model) is False else ["sample_weight"]
    *before, (last, estimator) = model.steps
    return [
        *(f"{name}__sample_weight" for name, step in before if requests_weights(step)),
        *(f"{last}__{keyword}" for keyword in weight_keywords(estimator)),
    ]


def requests_weights(step: Any) -> Any:
    """Return what ``set_fit_request`` said of row weights, None if it said nothing."""
    try:
        routing = get_routing_for_object(step)
    except NotImplementedError:  # some of scikit-learn's own have no requests
        return None
    return getattr(getattr(routing, "fit", None), "requests", {}).get("sample_weight")


def fit_preparation(step: Any, X: Any, y: Any, sample_weight: Any) -> Any:
    """Fit a step of a user's pipeline; return the rows as it transforms them.

    It gets the row weights only if it requests them.
    """
    if sample_weight is None or requests_weights(step) is not True:
        return step.fit_transform(X, y)
    return step.fit_transform(X, y, sample_weight=sample_weight)
