"""Fit the steps of a pipeline in order, and score rows with it."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import clone

from autoimb._catalogue.entry import resolve
from autoimb._evaluate.few_rows import few_rows_proba, least_seconds
from autoimb._table.columns import take
from autoimb._table.few_rows_encoding import encoded_rows
from autoimb._table.weighted_encoding import fit_encoder
from autoimb._table.weighted_fit import OWN_STEPS, fit_preparation, weight_keywords
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from autoimb._evaluate.problem import Problem
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.columns import CanonicalRows

FIT_SETTINGS = {"transform_output": "default", "enable_metadata_routing": False}
"""scikit-learn's settings during a fit. Row weights are passed step by step, in the way
that needs no metadata routing: worker processes do not know the user's settings."""
_GRACE_SECONDS, _GRACE_FACTOR = 2.0, 1.25
_TOLERANCE = 1e-3
"""By which probabilities may leave [0, 1] and rows may miss the sum of one: models that
compute in single precision are off by 1e-6."""


def fit_function(
    strategy: Strategy, problem: Problem, time_limit_s: float | None
) -> Callable[..., bool]:
    """Return the function (model, X, y, seconds, **weights) that fits a family's model.

    It returns whether the fit is complete: a model that can be stopped is stopped after
    the seconds. Others, and all without a time limit, are fitted in full.
    """
    path = problem.catalogue.get("family", strategy.family.name).time_limited_fit
    if not path or time_limit_s is None:
        return _fit_in_full
    fit_in_time: Callable[..., bool] = resolve(path)
    return fit_in_time


def _fit_in_full(
    model: Any, X: Any, y: NDArray[np.intp], _seconds: float, **weights: Any
) -> bool:
    """Fit a model without a time limit; the fit is complete."""
    model.fit(X, y, **weights)
    return True


def grace(seconds: float) -> float:
    """Return the time limit of a whole task whose model has a limit of some seconds.

    Encoding rows and loading libraries come on top of the model's own time.
    """
    return _GRACE_SECONDS + _GRACE_FACTOR * seconds


def fit_before_model(
    pipeline: Pipeline,
    X: CanonicalRows,
    y: NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
) -> tuple[Any, NDArray[np.intp], dict[str, NDArray[np.float64]]]:
    """Fit all steps before the model; return what the model's ``fit`` takes.

    Unlike in the pipeline's own ``fit``, encoders are fitted with row weights, and the
    weights follow their rows through a sampler. The sampler that is fitted is a copy,
    so that the pipeline keeps no rows.

    Returns
    -------
    X, y : matrix and ndarray of shape (n_samples,)
        Rows and label codes after encoding and resampling.
    weights : dict
        Row weights under the keyword of ``fit``; empty where there are none.
    """
    for name, step in pipeline.steps[:-1]:
        if not hasattr(step, "fit_resample"):
            fit = fit_encoder if name in OWN_STEPS else fit_preparation
            X = fit(step, X, y, sample_weight)
            continue
        sampler = clone(step)
        if sample_weight is None:
            X, y = sampler.fit_resample(X, y)
            continue
        is_taken = "sample_weight" in signature(sampler.fit_resample).parameters
        weights = {"sample_weight": sample_weight} if is_taken else {}
        X, y = sampler.fit_resample(X, y, **weights)
        if not hasattr(sampler, "sample_indices_"):
            raise BadInputError(
                f"{type(sampler).__name__} does not say which rows it chose "
                "(sample_indices_), so the given sample_weight cannot follow them."
            )
        sample_weight = sample_weight[np.asarray(sampler.sample_indices_)]
    if sample_weight is None:
        return X, y, {}
    return X, y, dict.fromkeys(weight_keywords(pipeline[-1]), sample_weight)


def fit_steps(
    pipeline: Pipeline,
    X: CanonicalRows,
    y: NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
) -> Pipeline:
    """Return the pipeline with all its steps fitted in order."""
    X, y, weights = fit_before_model(pipeline, X, y, sample_weight)
    pipeline[-1].fit(X, y, **weights)
    return pipeline


def predict_codes(
    pipeline: Pipeline,
    X: CanonicalRows,
    n_classes: int,
    transformed: dict[int, Any] | None = None,
) -> NDArray[np.float64]:
    """Return class scores in code order; rows sum to one.

    What a model returns for other rows or classes, or what is no probability, raises
    `BadInputError`. `transformed` keeps what each step made of these rows, by the
    step's id, for pipelines that share steps.
    """
    model, rows = pipeline[-1], _model_rows(pipeline, X, transformed)
    scores = few_rows_proba(model, rows)
    if scores is None:
        scores = _class_scores(model, rows)
    return _by_code(model, scores, X.shape[0], n_classes)


def seconds_of_row(
    encoder: Any, pipeline: Pipeline, row: CanonicalRows, n_classes: int
) -> tuple[float, float]:
    """Return the seconds to encode one row, and then to score it.

    Members of an ensemble that read the same view share the first.
    """
    encode_s = 0.0
    if encoder is not None:
        encode_s = least_seconds(lambda: encoded_rows(encoder, row))
        row = encoded_rows(encoder, row)
    score_s = least_seconds(lambda: predict_codes(pipeline, row, n_classes))
    return encode_s, score_s


def seconds_to_read_row(problem: Problem) -> float:
    """Return the seconds to read one row by the schema."""
    table = problem.table
    row = take(table.X, np.arange(1))
    return least_seconds(lambda: table.schema.canonical(row))


def predict_stages(
    pipeline: Pipeline,
    X: CanonicalRows,
    n_classes: int,
    staged_proba: str,
    stages: Sequence[int],
) -> list[NDArray[np.float64]]:
    """Return class scores in code order after each number of boosting rounds.

    Without `stages` the list holds the final scores alone.
    """
    if not stages:
        return [predict_codes(pipeline, X, n_classes)]
    model = pipeline[-1]
    scores = resolve(staged_proba)(model, _model_rows(pipeline, X), stages)
    return [_by_code(model, of_stage, X.shape[0], n_classes) for of_stage in scores]


def _model_rows(
    pipeline: Pipeline, X: CanonicalRows, transformed: dict[int, Any] | None = None
) -> Any:
    """Return rows after all steps before the model; samplers are passed over."""
    transformed = {} if transformed is None else transformed
    for name, step in pipeline.steps[:-1]:
        if hasattr(step, "fit_resample"):
            continue
        if id(step) not in transformed:
            # A step of the user may pass on what is no number.
            is_own = name in OWN_STEPS
            transformed[id(step)] = (
                encoded_rows(step, X) if is_own else step.transform(X)
            )
        X = transformed[id(step)]
    return X


def _by_code(
    model: Any, scores: NDArray[np.float64], n_rows: int, n_classes: int
) -> NDArray[np.float64]:
    """Return a model's scores with a column for every class code.

    Raises
    ------
    BadInputError
        If they are no probabilities of its classes for these rows. It is the model that
        is wrong, and a user's own may be: the reason stands in the leaderboard.
    """
    classes = np.asarray(model.classes_)
    if reason := _fault_of(scores, n_rows, classes, n_classes):
        raise BadInputError(f"the scores of {type(model).__name__} {reason}.")
    scores = scores.clip(0.0, 1.0)
    if np.array_equal(classes, np.arange(n_classes)):
        return scores
    full = np.zeros((n_rows, n_classes))
    full[:, classes] = scores
    return full


def _fault_of(
    scores: NDArray[np.float64],
    n_rows: int,
    classes: NDArray[Any],
    n_classes: int,
) -> str:
    """Return why scores are no probabilities of these classes; empty if they are."""
    if scores.shape != (n_rows, len(classes)):
        expected = f"{n_rows} rows of {len(classes)} classes"
        return f"have the shape {scores.shape}, and there are {expected}"
    if not set(classes.tolist()) <= set(range(n_classes)):
        codes = f"it was fitted on 0 to {n_classes - 1}"
        return f"are of the classes {classes.tolist()}, and {codes}"
    if not np.isfinite(scores).all():
        return "are not all finite"
    low, high = scores.min(initial=0.0), scores.max(initial=1.0)
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        return f"reach from {low:.3g} to {high:.3g}, and probabilities from 0 to 1"
    sums = scores.sum(axis=1)
    if (np.abs(sums - 1) > _TOLERANCE).any():
        worst = sums[np.abs(sums - 1).argmax()]
        return f"sum to {worst:.3g} in a row, and probabilities sum to one"
    return ""


def _class_scores(model: Any, X: Any) -> NDArray[np.float64]:
    """Return probabilities, or a strictly increasing map of decision values to them."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X), dtype=np.float64)
    decision = np.asarray(model.decision_function(X), dtype=np.float64)
    if decision.ndim == 1:
        positive = expit(decision)
        return np.column_stack([1 - positive, positive])
    return np.asarray(softmax(decision, axis=1))
