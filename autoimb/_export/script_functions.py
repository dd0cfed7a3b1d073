"""Functions that only scripts need. Scripts hold copies, with all that they use."""

from __future__ import annotations

from inspect import signature
from typing import Any

from autoimb._table.weighted_encoding import fit_encoder
from autoimb._table.weighted_fit import OWN_STEPS, fit_preparation, weight_keywords


def fit_weighted(pipeline: Any, X: Any, y: Any, sample_weight: Any) -> Any:
    """Fit a pipeline step by step, encoders with weights too.

    The weights follow their rows through a sampler.
    """
    *steps, (_, model) = pipeline.steps
    for name, step in steps:
        if hasattr(step, "fit_resample"):
            is_taken = "sample_weight" in signature(step.fit_resample).parameters
            weights = {"sample_weight": sample_weight} if is_taken else {}
            X, y = step.fit_resample(X, y, **weights)
            sample_weight = sample_weight[step.sample_indices_]
        elif name not in OWN_STEPS:
            X = fit_preparation(step, X, y, sample_weight)
        else:
            X = fit_encoder(step, X, y, sample_weight)
    model.fit(X, y, **dict.fromkeys(weight_keywords(model), sample_weight))
    return pipeline
