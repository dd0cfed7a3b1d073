"""Entries made of a user's own estimators and resamplers."""

from __future__ import annotations

from inspect import signature
from itertools import chain, count
from math import inf
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from pandas.api.types import is_list_like
from sklearn.base import clone, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from autoimb._catalogue.entry import (
    UNWEIGHTED_FIT,
    Family,
    Need,
    Resampler,
    checked_domain,
    is_unweighted,
)
from autoimb._table.weighted_fit import OWN_STEPS, ClassWeighted, requests_weights
from autoimb.exceptions import BadInputError, unknown_name_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from autoimb._catalogue.entry import Domain
    from autoimb._table.encoding import View


_KEYED_BY_CLASS = ("class_weight", "class_weights", "sampling_strategy")
"""Endings of the parameters whose dictionaries have classes as keys."""
_COUNTED_BY_CLASS = "sampling_strategy"
"""Ending of the parameter that may list classes, or give a number of rows for each."""
_UNSET: dict[str, tuple[Any, ...]] = {
    "class_weight": (None,),
    "class_weights": (None,),
    "auto_class_weights": (None, "None"),
    "scale_pos_weight": (None, 1),
    "is_unbalance": (None, False),
}
"""Parameters that weigh classes, with the values that leave them unweighted."""
_RELABELS = {"OneVsOneClassifier", "OneVsRestClassifier", "OutputCodeClassifier"}
"""Models whose parts are fitted on other labels than those of the table."""


def entry_of_estimator(
    estimator: Any,
    name: str | None = None,
    *,
    view: View | None = "dense",
    params: Mapping[str, Domain] | None = None,
    **fields: Any,
) -> Family:
    """Return the entry of a user's estimator, by default under the name of its class.

    `view` None reads the table as the user wrote it. `params` are tuned, from the
    values that the estimator has where those are within. `fields` replace what is read
    off the estimator: the label, and what is done about the imbalance.
    """
    _, last = split_pipeline(estimator)
    read_off: dict[str, Any] = {
        "label": f"your {type(last).__name__}",
        "parameter_names": {},
        **_handling_inside(estimator, params or {}),
    }
    if "parameter_names" in fields:
        read_off.pop("weighting", None)
    needs = (*_needs_of_weights(estimator), *fields.pop("needs", ()))
    return Family(
        name=name or type(last).__name__,
        make=estimator,
        view=view,
        params=with_own_defaults(estimator, params or {}),
        needs=needs,
        **{**read_off, **fields},
    )


def entry_of_resampler(sampler: Any, name: str, **fields: Any) -> Resampler:
    """Return the entry of a user's resampler."""
    read_off = {"label": name, "uses_distances": not _reads_any_column(sampler)}
    return Resampler(name=name, make=sampler, view="dense", **{**read_off, **fields})


def check_classifier(argument: str, value: Any) -> None:
    """Raise for what is no classifier that can be cloned, fitted and ranked by."""
    if isinstance(value, str):
        raise BadInputError(
            f"{argument}={value!r} is a name: name built-in models by "
            f"families={value!r}, or give a classifier."
        )
    if isinstance(value, type):
        kind = value.__name__
        raise BadInputError(
            f"{argument}={kind} is a class: give an instance, {kind}(...)."
        )
    missing = [m for m in ("fit", "get_params") if not hasattr(value, m)]
    if missing:
        raise BadInputError(
            f"{argument}={value!r} has no {' and no '.join(missing)}: give a "
            "scikit-learn classifier or a pipeline that ends in one."
        )
    _, last = split_pipeline(value)
    kind = type(last).__name__
    if hasattr(value, "__sklearn_tags__") and is_regressor(value):
        raise BadInputError(
            f"{argument} is a regressor, {kind}: give a classifier, such as "
            f"{kind.replace('Regressor', 'Classifier')}() if there is one."
        )
    if not _can_rank(value, last):
        raise BadInputError(
            f"{argument} cannot rank rows: {kind} has neither predict_proba nor "
            "decision_function. Give a classifier that has one; a VotingClassifier "
            "needs voting='soft'."
        )


def _can_rank(model: Any, last: Any) -> bool:
    """Whether a model, a pipeline with this last step or not, has scores of rows."""
    if any(hasattr(model, m) for m in ("predict_proba", "decision_function")):
        return True
    # A stack that is given no last model has its methods once `fit` has chosen one.
    parameters = signature(type(last)).parameters
    return "final_estimator" in parameters and last.final_estimator is None


def split_pipeline(model: Any) -> tuple[dict[str, Any], Any]:
    """Return the steps of a pipeline before its last, by name, and the last.

    Steps of pipelines within it are among them. None has a name of our own steps.
    """
    before: dict[str, Any] = {}
    while isinstance(model, Pipeline):
        *steps, (_, model) = model.steps
        for name, step in steps:
            if step is None or step == "passthrough":
                continue
            inner, last = split_pipeline(step)
            for key, part in {**inner, name: last}.items():
                free = chain([key], (f"{key}-{number}" for number in count(2)))
                taken = OWN_STEPS | before.keys()
                before[next(n for n in free if n not in taken)] = part
    return before, model


def samplers_inside(model: Any) -> list[str]:
    """Return the class names of the samplers among a pipeline's steps."""
    if not isinstance(model, Pipeline):
        return [type(model).__name__] if hasattr(model, "fit_resample") else []
    return [name for _, step in model.steps for name in samplers_inside(step)]


def with_class_weight(model: Any, weights: Mapping[int, float]) -> Any:
    """Return a user's model with weights by class code.

    They are set as its parameter, be it ``class_weight``, CatBoost's
    ``class_weights``, or ``scale_pos_weight`` for two classes; models without one get
    row weights.
    """
    path, last = [], model
    while isinstance(last, Pipeline):
        name, last = last.steps[-1]
        path.append(name)
    params = last.get_params()
    if names := _open_class_weights(last):
        last.set_params(**{name: dict(weights) for name in names})
    elif "class_weights" in signature(type(last)).parameters:
        # A tuple, since `clone` fails on parameters that CatBoost copies.
        last.set_params(class_weights=tuple(w for _, w in sorted(weights.items())))
    elif "scale_pos_weight" in params and weights.keys() == {0, 1}:
        last.set_params(scale_pos_weight=weights[1] / weights[0])
    elif path:
        model.set_params(**{"__".join(path): ClassWeighted(last, dict(weights))})
    else:
        return ClassWeighted(last, dict(weights))
    return model


def _handling_inside(estimator: Any, tuned: Mapping[str, Domain]) -> dict[str, Any]:
    """Return what an estimator does about the imbalance, as fields of its entry."""
    _, last = split_pipeline(estimator)
    params = last.get_params()
    endings = {name.rpartition("__")[2] for name in params}
    if samplers_inside(estimator) or "sampling_strategy" in endings:
        return {"resampling": "own"}
    is_weighted = any(_is_weighing(name, value) for name, value in params.items())
    if is_weighted or any(name.rpartition("__")[2] in _UNSET for name in tuned):
        return {"weighting": "own"}
    takes_some = (
        _open_class_weights(last)
        or "class_weights" in signature(type(last)).parameters
        or has_fit_parameter(last, "sample_weight")
    )
    return {"weighting": "model" if takes_some else "parameter"}


def _is_weighing(name: str, value: Any) -> bool:
    """Whether a parameter's value weighs the classes."""
    unset = _UNSET.get(name.rpartition("__")[2])
    if unset is None:
        return False
    return isinstance(value, dict | list | tuple | np.ndarray) or value not in unset


def _open_class_weights(last: Any) -> list[str]:
    """Return the parameters that take class weights and are None.

    Those of a model's parts count only where it has none itself.
    """
    if type(last).__name__ in _RELABELS:
        return []
    found = [
        name
        for name, value in last.get_params().items()
        if value is None and name.rpartition("__")[2] == "class_weight"
    ]
    return [name for name in found if name == "class_weight"] or found


def _needs_of_weights(estimator: Any) -> tuple[Need, ...]:
    """Return the needs of a model that the user's row weights cannot reach."""
    if names := samplers_inside(estimator):
        return (
            Need(
                is_unweighted,
                f"holds the sampler {', '.join(names)}, and the given sample_weight "
                "does not follow rows through a sampler of a pipeline: leave out "
                "sample_weight, or take the sampler out of the pipeline and pass it "
                "as resamplers=",
            ),
        )
    _, last = split_pipeline(estimator)
    takes = signature(last.fit).parameters.values()
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes)
    names_it = has_fit_parameter(last, "sample_weight")
    if names_it or is_open or requests_weights(last) is False:
        return ()
    return (UNWEIGHTED_FIT,)


def _reads_any_column(sampler: Any) -> bool:
    """Whether a resampler takes text and gaps, as those that draw rows at random do."""
    if not hasattr(sampler, "__sklearn_tags__"):
        return False
    reads = get_tags(sampler).input_tags
    return reads.string and reads.allow_nan and not getattr(sampler, "shrinkage", None)


def _parameters(thing: Any) -> dict[str, Any]:
    """Return all parameters of an object and its parts, with the values that are set.

    CatBoost lists only those that were given.
    """
    found = thing.get_params()
    parts = {f"{name}__": part for name, part in found.items()} | {"": thing}
    unset = {
        f"{prefix}{name}": None
        for prefix, part in parts.items()
        if hasattr(part, "get_params") and not isinstance(part, type)
        for name, parameter in signature(type(part)).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    return {**unset, **found}


def with_own_defaults(thing: Any, params: Mapping[str, Domain]) -> dict[str, Domain]:
    """Return domains that begin at an object's own values where they hold them."""
    known = _parameters(thing)
    for name in params:
        if name not in known:
            kind = type(thing).__name__
            raise unknown_name_error(f"parameter {name!r} of {kind}", name, known)
    return {
        name: checked_domain(name, domain, known[name])
        for name, domain in params.items()
    }


def is_object_to_clone(thing: Any) -> bool:
    """Whether something is an estimator or a resampler, and not a class of them."""
    return hasattr(thing, "get_params") and not isinstance(thing, type)


def with_class_codes(
    prototype: Any, codes: Mapping[Any, int], left_out: Collection[Any] = ()
) -> Any:
    """Return a copy whose weights and numbers by class have codes as keys, not labels.

    Models are fitted on codes 0..k-1 in place of the user's labels. A list of classes,
    which samplers take, becomes one of codes. Those `left_out` are classes that no row
    has which a model is fitted on: what is set for them is dropped.
    """
    changed: dict[str, Any] = {}
    known = [*codes, *left_out]
    for name, value in prototype.get_params().items():
        subject = f"{name} of {prototype!r}"
        if not name.endswith(_KEYED_BY_CLASS):
            continue
        if isinstance(value, dict):
            check_known_classes(value, known, subject)
            if not name.endswith(_COUNTED_BY_CLASS):
                check_weights(value, subject)
            changed[name] = {
                codes[label]: n for label, n in value.items() if label in codes
            }
        elif name.endswith(_COUNTED_BY_CLASS) and is_list_like(value):
            labels = value.tolist() if isinstance(value, np.ndarray) else list(value)
            check_known_classes(labels, known, subject)
            changed[name] = [codes[label] for label in labels if label in codes]
    return clone(prototype).set_params(**changed) if changed else prototype


def check_known_classes(
    labels: Iterable[Any], known: Collection[Any], subject: str
) -> None:
    """Raise unless all labels are classes of y; `subject` is how the message begins."""
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise BadInputError(
            f"{subject} names {unknown}, which y does not hold; its classes are "
            f"{list(known)[:20]}."
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
