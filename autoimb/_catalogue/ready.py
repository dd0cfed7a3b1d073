"""Entries made of objects that a user brings along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from autoimb._catalogue.entry import ClassWeight, Family, Resampler
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from autoimb._encoding import View


_BY_CLASS = ("class_weight", "class_weights", "sampling_strategy")
"""What the parameters end in whose dictionaries speak of classes."""


def ready_family(
    estimator: Any, name: str, *, view: View | None = "dense", **extra: Any
) -> Family:
    """Return the entry of a ready-made model.

    `view` None reads the table as the user wrote it. `extra` fields replace those that
    are read off the model.
    """
    read_off = {"label": _kind_of(estimator), "takes": _takes(estimator)}
    return Family(name=name, make=estimator, view=view, **{**read_off, **extra})


def ready_resampler(sampler: Any, name: str, **extra: Any) -> Resampler:
    """Return the entry of a ready-made resampler, with a seed where it has none."""
    fields = {"label": name, "view": "dense", **extra}
    return Resampler(name=name, make=_ReadySampler(sampler), **fields)


def is_ready(thing: Any) -> bool:
    """Whether something is an estimator or a resampler, and no class of them."""
    return hasattr(thing, "get_params") and not isinstance(thing, type)


def in_codes(ready: Any, codes: Mapping[Any, int]) -> Any:
    """Return a copy whose weights and numbers by class name codes, not labels.

    Models here meet codes 0..k-1 in place of the user's labels.
    """
    told = {}
    for name, value in ready.get_params().items():
        if not (name.endswith(_BY_CLASS) and isinstance(value, dict)):
            continue
        unknown = [label for label in value if label not in codes]
        if unknown:
            raise BadInputError(
                f"{name} of {ready!r} names {unknown}, which y does not hold; its "
                f"classes are {list(codes)[:20]}."
            )
        told[name] = {codes[label]: given for label, given in value.items()}
    return clone(ready).set_params(**told) if told else ready


def given_weights(weights: Mapping[int, float]) -> ClassWeight:
    """Return the entry of class weights by class code."""
    label = "given class weights"
    return ClassWeight(name="given", label=label, make=_GivenWeights(weights))


def seeded(model: Any, seed: int) -> Any:
    """Return an object with every random state that was left open set."""
    params = model.get_params()
    unset = [
        name
        for name, value in params.items()
        if name.endswith("random_state") and value is None
    ]
    return model.set_params(**dict.fromkeys(unset, seed))


@dataclass(frozen=True, slots=True)
class _ReadySampler:
    """The constructor of a user's own resampler."""

    prototype: Any

    def __call__(self, params: Mapping[str, Any], sampling: Any) -> Any:
        sampler = clone(self.prototype).set_params(**params)
        return seeded(sampler, sampling.seed)


@dataclass(frozen=True, slots=True)
class _GivenWeights:
    """The constructor of a user's own class weights."""

    weights: Mapping[int, float]

    def __call__(
        self, _params: Mapping[str, Any], _counts: NDArray[np.intp]
    ) -> dict[int, float]:
        return dict(self.weights)


def _takes(estimator: Any) -> dict[str, str]:
    """Return the parameters that may be set: class weights that were left open."""
    weights = [
        parameter
        for parameter, value in estimator.get_params().items()
        if value is None and parameter.rpartition("__")[2] == "class_weight"
    ]
    return {"class_weight": weights[0]} if weights else {}


def _kind_of(estimator: Any) -> str:
    """Return the class of a model; of a pipeline, that of its last step."""
    if isinstance(estimator, Pipeline):
        return f"your {type(estimator.steps[-1][1]).__name__}"
    return f"your {type(estimator).__name__}"
