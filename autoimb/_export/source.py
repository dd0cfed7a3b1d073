"""Values as the code that makes them: estimators with what is not their default."""

from __future__ import annotations

import inspect
import math
from functools import singledispatch
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

from autoimb._encoding import FillEmptyColumns
from autoimb._export.layout import Block, Code, call, flat, prefixed
from autoimb._export.names import cannot_write
from autoimb._export.parts import ClassWeighted
from autoimb._metrics import METRICS, FBeta, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from autoimb._export.names import Names

_BRACKETS = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}")}


class Written(str):
    """What is code already."""

    __slots__ = ()


@singledispatch
def source(value: Any, names: Names) -> Code:
    """Return the code that makes a value; `names` notes down what it takes.

    Raises
    ------
    BadInputError
        If there is none.
    """
    if callable(value) and hasattr(value, "__name__"):
        return names.of(value)
    plain = _PLAIN.get(f"{type(value).__module__}:{type(value).__qualname__}")
    simpler = value if plain is None else plain(value)
    return _made(value, names) if simpler is value else source(simpler, names)


def _made(value: Any, names: Names) -> Code:
    """Return the call of a value's class with what is not its default."""
    arguments = [prefixed(key, source(given, names)) for key, given in _given(value)]
    return call(names.of(type(value)), arguments)


def _given(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arguments that make a value, each behind its keyword if it has one."""
    expected = _parameters(type(value))
    settings = _settings(value, expected)
    in_order = {name: settings[name] for name in expected if name in settings}
    for name, argument in {**in_order, **settings}.items():
        if not str(name).isidentifier():  # no text of a file becomes code
            raise cannot_write(value)
        parameter = expected.get(name)
        if parameter is None or not _is_alike(argument, parameter.default):
            yield "" if _is_positional(parameter) else f"{name}=", argument


def _parameters(of: type) -> dict[str, inspect.Parameter]:
    """Return what a constructor takes, and its parents' where it passes keywords on."""
    found: dict[str, inspect.Parameter] = {}
    for parent in of.__mro__:
        if "__init__" not in vars(parent):
            continue
        _, *own = inspect.signature(vars(parent)["__init__"]).parameters.values()
        passed_on = [p for p in own if p.kind in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
        found = {**{p.name: p for p in own if p not in passed_on}, **found}
        if not passed_on:
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
        raise cannot_write(value)
    return held


def _is_alike(one: Any, other: Any) -> bool:
    """Whether two values read alike, as one NaN does as another."""
    return one is other or (type(one) is type(other) and repr(one) == repr(other))


def _is_positional(parameter: inspect.Parameter | None) -> bool:
    """Whether an argument goes without its keyword: it has no default."""
    return (
        parameter is not None
        and parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    )


# Models and steps of our own that others have, too -----------------------------------


def _plain_xgboost(model: Any) -> Any:
    """Return XGBoost's own classifier, unless the loss is one of ours."""
    from xgboost import XGBClassifier

    if model.loss != "log_loss":
        return model
    own = {"class_weight", "loss", "loss_params"}
    settings = model.get_params(deep=False).items()
    plain = XGBClassifier(**{name: v for name, v in settings if name not in own})
    if model.class_weight is None:
        return plain
    return ClassWeighted(plain, dict(model.class_weight))


_PLAIN: dict[str, Callable[[Any], Any]] = {
    # A column that is empty throughout the training table is constant, and not read.
    "autoimb._encoding:FillEmptyColumns": lambda _: "passthrough",
    "autoimb._models.boosting:WeightedXGBClassifier": _plain_xgboost,
}
"""By class, its counterpart elsewhere; a value that has none is its own."""


@source.register(Pipeline)
def _(value: Pipeline, names: Names) -> Code:
    steps = [step for step in value.steps if not isinstance(step[1], FillEmptyColumns)]
    is_usual = all(name == type(step).__name__.lower() for name, step in steps)
    has_steps_only = [key for key, _ in _given(value)] == [""]
    if type(value) is not Pipeline or not (is_usual and has_steps_only):
        return _made(value, names)
    made = [source(step, names) for _, step in steps]
    return made[0] if len(made) == 1 else call(names.of(make_pipeline), made)


@source.register(Metric)
def _(value: Metric, names: Names) -> Code:
    # Nets take average precision in place of a scorer.
    return source(value.name if value.name in METRICS else "average_precision", names)


@source.register(FBeta)
def _(value: FBeta, names: Names) -> Code:
    return call(names.of(FBeta), [source(value.beta, names)])


# Plain values ------------------------------------------------------------------------


@source.register(bool | bytes | range | NoneType)
def _(value: Any, _names: Names) -> Code:
    return repr(value)


@source.register(int)
def _(value: int, _names: Names) -> Code:
    return int.__repr__(value)


@source.register(float)
def _(value: float, _names: Names) -> Code:
    if math.isfinite(value):
        return float.__repr__(value)
    return "np.nan" if math.isnan(value) else "np.inf" if value > 0 else "-np.inf"


@source.register(str)
def _(value: str, _names: Names) -> Code:
    text = repr(str(value))
    return text if '"' in text else f'"{text[1:-1]}"'


@source.register(Written)
def _(value: Written, _names: Names) -> Code:
    return str(value)


@source.register(np.generic)
def _(value: np.generic, names: Names) -> Code:
    return source(value.item(), names)


@source.register(np.ndarray)
def _(value: Any, names: Names) -> Code:
    listed, kind = value.tolist(), value.dtype.kind
    same = np.array(listed, dtype=value.dtype)
    if kind not in "biufUO" or same.shape != value.shape:
        raise cannot_write(value)
    arguments = [source(listed, names)]
    if kind == "O":
        arguments.append("dtype=object")
    elif np.array(listed).dtype != value.dtype:
        arguments.append(f'dtype="{value.dtype}"')
    return call("np.array", arguments)


@source.register(list | tuple | set)
def _(value: Any, names: Names) -> Code:
    kind = next(kind for kind in _BRACKETS if isinstance(value, kind))
    items = [source(item, names) for item in value]
    if kind is set:
        items.sort(key=flat)
    empty = kind is set and not items
    opening, closing = ("set(", ")") if empty else _BRACKETS[kind]
    is_one_tuple = kind is tuple and len(items) == 1
    return Block(opening, tuple(items), closing, is_one_tuple=is_one_tuple)


@source.register(dict)
def _(value: Any, names: Names) -> Code:
    items = (
        prefixed(f"{flat(source(key, names))}: ", source(item, names))
        for key, item in value.items()
    )
    return Block("{", tuple(items), "}")


@source.register(slice)
def _(value: slice, names: Names) -> Code:
    parts = [value.start, value.stop, value.step][: 2 if value.step is None else 3]
    return call("slice", [source(part, names) for part in parts])
