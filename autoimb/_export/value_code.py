"""Values as the code that makes them; estimators without their defaults."""

from __future__ import annotations

import inspect
import math
from functools import singledispatch
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

from autoimb._export.code_layout import Block, Code, call, on_one_line, prefixed
from autoimb._export.script_names import unwritable_error
from autoimb._metrics.metrics import METRICS, FBeta, Metric
from autoimb._table.encoding import FillEmptyColumns
from autoimb._table.weighted_fit import ClassWeighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from autoimb._export.script_names import ScriptNames


class Written(str):
    """Text that is code already."""

    __slots__ = ()


@singledispatch
def code_of(value: Any, names: ScriptNames) -> Code:
    """Return the code that makes a value; `names` collects what it imports and copies.

    Raises
    ------
    BadInputError
        If no code makes it.
    """
    if callable(value) and hasattr(value, "__name__"):
        return names.of(value)
    to_public = _TO_PUBLIC.get(f"{type(value).__module__}:{type(value).__qualname__}")
    if to_public is None or (counterpart := to_public(value)) is value:
        return _constructor_call(value, names)
    return code_of(counterpart, names)


def _constructor_call(value: Any, names: ScriptNames) -> Code:
    """Return the call of a value's class with the arguments that are not defaults."""
    arguments = [prefixed(key, code_of(v, names)) for key, v in _arguments(value)]
    return call(names.of(type(value)), arguments)


def _arguments(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arguments that make a value, each behind its keyword if it has one.

    An argument has no keyword if its parameter has no default. Two values are alike if
    they have one type and read alike, as two NaN do.
    """
    expected = _parameters(type(value))
    settings = _settings(value, expected)
    in_order = {name: settings[name] for name in expected if name in settings}
    keyword_only = inspect.Parameter("other", inspect.Parameter.KEYWORD_ONLY)
    for name, argument in {**in_order, **settings}.items():
        if not str(name).isidentifier():  # text of a file never becomes code
            raise unwritable_error(value)
        parameter = expected.get(name, keyword_only)
        default = parameter.default
        is_alike = type(argument) is type(default) and repr(argument) == repr(default)
        if argument is not default and not is_alike:
            is_positional = (
                default is parameter.empty
                and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            )
            yield "" if is_positional else f"{name}=", argument


def _parameters(of: type) -> dict[str, inspect.Parameter]:
    """Return what a constructor takes, and its parents' where it passes keywords on."""
    found: dict[str, inspect.Parameter] = {}
    for parent in of.__mro__:
        if "__init__" not in vars(parent):
            continue
        _, *own = inspect.signature(vars(parent)["__init__"]).parameters.values()
        named = {
            p.name: p for p in own if p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}
        }
        found = {**named, **found}
        if len(named) == len(own):
            break
    return found


def _settings(
    value: Any, expected: Mapping[str, inspect.Parameter]
) -> Mapping[str, Any]:
    """Return what a value was made with, or raise if it may hold more than that."""
    if hasattr(value, "get_params"):
        return dict(value.get_params(deep=False))
    held: Mapping[str, Any] | None = getattr(value, "__dict__", None)
    if held is None or held.keys() != expected.keys():
        raise unwritable_error(value)
    return held


# Models and steps of our own that have a public counterpart --------------------------


def _xgboost_without_autoimb(model: Any) -> Any:
    """Return XGBoost's own classifier, unless loss or categories are as ours reads."""
    from xgboost import XGBClassifier

    if model.loss != "log_loss" or model.n_categorical:
        return model
    params = model.get_params(deep=False)
    own = {"class_weight", "loss", "loss_params", "n_categorical"}
    unweighted = XGBClassifier(**{k: v for k, v in params.items() if k not in own})
    if model.class_weight is None:
        return unweighted
    return ClassWeighted(unweighted, dict(model.class_weight))


def _neighbours_without_autoimb(model: Any) -> Any:
    """Return scikit-learn's own classifier, with a search that measures differences."""
    from sklearn.neighbors import KNeighborsClassifier

    params = model.get_params(deep=False)
    if params["algorithm"] == "auto":
        params["algorithm"] = "kd_tree"
    return KNeighborsClassifier(**params)


_TO_PUBLIC: dict[str, Callable[[Any], Any]] = {
    # A column that is empty throughout the training table is constant, and not read.
    "autoimb._table.encoding:FillEmptyColumns": lambda _: "passthrough",
    "autoimb._models.boosting:WeightedXGBClassifier": _xgboost_without_autoimb,
    "autoimb._models.neighbours:ExactNeighboursClassifier": (
        _neighbours_without_autoimb
    ),
}
"""By class, what returns its counterpart elsewhere, or the value if it has none."""


@code_of.register(Pipeline)
def _(value: Pipeline, names: ScriptNames) -> Code:
    steps = [step for step in value.steps if not isinstance(step[1], FillEmptyColumns)]
    is_usual = all(name == type(step).__name__.lower() for name, step in steps)
    has_steps_only = [key for key, _ in _arguments(value)] == [""]
    if type(value) is not Pipeline or not (is_usual and has_steps_only):
        return _constructor_call(value, names)
    made = [code_of(step, names) for _, step in steps]
    return made[0] if len(made) == 1 else call(names.of(make_pipeline), made)


@code_of.register(Metric)
def _(value: Metric, names: ScriptNames) -> Code:
    if isinstance(value, FBeta):
        return call(names.of(FBeta), [code_of(value.beta, names)])
    # Nets take average precision in place of a scorer.
    return code_of(value.name if value.name in METRICS else "average_precision", names)


# Plain values ------------------------------------------------------------------------


@code_of.register(bool | bytes | float | int | range | str | NoneType)
def _(value: Any, _names: ScriptNames) -> Code:
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, str):
        text = repr(str(value))
        return text if '"' in text else f'"{text[1:-1]}"'
    if isinstance(value, float) and not math.isfinite(value):
        return "np.nan" if math.isnan(value) else "np.inf" if value > 0 else "-np.inf"
    # A subclass, such as an enumeration's, may be shown in another way.
    kinds: tuple[Any, ...] = (bool, int, float, type(value))
    kind = next(kind for kind in kinds if isinstance(value, kind))
    return str(kind.__repr__(value))


@code_of.register(np.generic | np.ndarray)
def _(value: Any, names: ScriptNames) -> Code:
    listed, kind = value.tolist(), value.dtype.kind
    if isinstance(value, np.generic):
        return code_of(listed, names)
    same = np.array(listed, dtype=value.dtype)
    if kind not in "biufUO" or same.shape != value.shape:
        raise unwritable_error(value)
    arguments = [code_of(listed, names)]
    if kind == "O":
        arguments.append("dtype=object")
    elif np.array(listed).dtype != value.dtype:
        arguments.append(f'dtype="{value.dtype}"')
    return call("np.array", arguments)


@code_of.register(list | tuple | set)
def _(value: Any, names: ScriptNames) -> Code:
    items = [code_of(item, names) for item in value]
    if isinstance(value, set):
        ordered = tuple(sorted(items, key=on_one_line))
        return Block("{", ordered, "}") if items else "set()"
    if isinstance(value, list):
        return Block("[", tuple(items), "]")
    return Block("(", tuple(items), ")", is_one_tuple=len(items) == 1)


@code_of.register(dict)
def _(value: Any, names: ScriptNames) -> Code:
    items = (
        prefixed(f"{on_one_line(code_of(key, names))}: ", code_of(item, names))
        for key, item in value.items()
    )
    return Block("{", tuple(items), "}")


@code_of.register(slice)
def _(value: slice, names: ScriptNames) -> Code:
    parts = [value.start, value.stop, value.step][: 2 if value.step is None else 3]
    return call("slice", [code_of(part, names) for part in parts])
