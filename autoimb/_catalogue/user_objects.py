"""Entries made of a user's own estimators and resamplers."""

from __future__ import annotations

from math import inf
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from pandas.api.types import is_list_like
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from autoimb._catalogue.entry import Family, Resampler
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoimb._table.encoding import View


_KEYED_BY_CLASS = ("class_weight", "class_weights", "sampling_strategy")
"""Endings of the parameters whose dictionaries have classes as keys."""
_COUNTED_BY_CLASS = "sampling_strategy"
"""Ending of the parameter that may list classes, or give a number of rows for each."""


def entry_of_estimator(
    estimator: Any, name: str, *, view: View | None = "dense", **fields: Any
) -> Family:
    """Return the entry of a user's estimator.

    `view` None reads the table as the user wrote it. `fields` replace the label, and
    the class weight to set: the first of the estimator that is None.
    """
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    params = estimator.get_params()
    open_weights = [
        name
        for name, value in params.items()
        if value is None and name.rpartition("__")[2] == "class_weight"
    ]
    read_off = {
        "label": f"your {type(last).__name__}",
        "parameter_names": {"class_weight": open_weights[0]} if open_weights else {},
    }
    return Family(name=name, make=estimator, view=view, **{**read_off, **fields})


def entry_of_resampler(sampler: Any, name: str, **fields: Any) -> Resampler:
    """Return the entry of a user's resampler."""
    return Resampler(name=name, make=sampler, view="dense", **{"label": name, **fields})


def is_object_to_clone(thing: Any) -> bool:
    """Whether something is an estimator or a resampler, and not a class of them."""
    return hasattr(thing, "get_params") and not isinstance(thing, type)


def with_class_codes(prototype: Any, codes: Mapping[Any, int]) -> Any:
    """Return a copy whose weights and numbers by class have codes as keys, not labels.

    Models are fitted on codes 0..k-1 in place of the user's labels. A list of classes,
    which samplers take, becomes one of codes.
    """
    changed: dict[str, Any] = {}
    for name, value in prototype.get_params().items():
        subject = f"{name} of {prototype!r}"
        if not name.endswith(_KEYED_BY_CLASS):
            continue
        if isinstance(value, dict):
            check_known_classes(value, codes, subject)
            if not name.endswith(_COUNTED_BY_CLASS):
                check_weights(value, subject)
            changed[name] = {codes[label]: number for label, number in value.items()}
        elif name.endswith(_COUNTED_BY_CLASS) and is_list_like(value):
            labels = value.tolist() if isinstance(value, np.ndarray) else list(value)
            check_known_classes(labels, codes, subject)
            changed[name] = [codes[label] for label in labels]
    return clone(prototype).set_params(**changed) if changed else prototype


def check_known_classes(
    labels: Iterable[Any], codes: Mapping[Any, int], subject: str
) -> None:
    """Raise unless all labels are classes of y; `subject` is how the message begins."""
    unknown = [label for label in labels if label not in codes]
    if unknown:
        raise BadInputError(
            f"{subject} names {unknown}, which y does not hold; its classes are "
            f"{list(codes)[:20]}."
        )


def check_weights(weights: Mapping[Any, Any], subject: str) -> None:
    """Raise unless all weights by class are finite numbers of at least 0."""
    for label, weight in weights.items():
        is_number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not (is_number and 0 <= weight < inf):
            raise BadInputError(
                f"{subject} holds {weight!r} for the class {label!r}: weights are "
                "finite numbers of at least 0."
            )


def cloned(prototype: Any, params: Mapping[str, Any], seed: int) -> Any:
    """Return a copy with these parameters, and every random state that is None set."""
    copy = clone(prototype).set_params(**params)
    unset = [
        name
        for name, value in copy.get_params().items()
        if name.endswith("random_state") and value is None
    ]
    return copy.set_params(**dict.fromkeys(unset, seed))
