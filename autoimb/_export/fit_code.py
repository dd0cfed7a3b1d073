"""The code that makes an estimator and fits it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autoimb._export.code_layout import layout, prefixed
from autoimb._export.script_names import ScriptNames
from autoimb._export.value_code import code_of
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def fit_code(estimator: Any, fit_params: Sequence[Sequence[str]]) -> str:
    """Return code that makes an estimator, fits it and, if it was, refits it.

    `fit_params` names the parameters beside rows and labels of ``fit``, and those of
    ``refit`` if it was called. Where no code can make what the estimator holds, it is
    written as its `repr` shows it.
    """
    names = ScriptNames(bound={"np": ("numpy", "")})
    try:
        made = layout(prefixed("model = ", code_of(estimator, names)))
    except (BadInputError, RecursionError):  # what holds itself has no end
        names = ScriptNames(bound={})
        with suppress(BadInputError):  # a class of the running script needs no import
            names.of(type(estimator))
        made = f"model = {estimator.__repr__(N_CHAR_MAX=sys.maxsize)}"
    if "np." not in made:
        names.bound.pop("np", None)
    calls = []
    for method, suffix, params in zip(
        ("fit", "refit"), ("", "_all"), fit_params, strict=False
    ):
        arguments = [f"X{suffix}", f"y{suffix}", *(f"{p}={p}{suffix}" for p in params)]
        calls.append(f".{method}({', '.join(arguments)})")
    return f"{names.imports()}\n\n{made}" + "\nmodel".join(calls)
