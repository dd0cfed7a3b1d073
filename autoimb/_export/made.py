"""An estimator's settings as code, for whoever wants to fit it again."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autoimb._export.layout import layout, prefixed
from autoimb._export.names import Names
from autoimb._export.source import source
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = "model"
_CALLS = ((".fit", "", "X", "y"), (".refit", "_all", "X_all", "y_all"))
"""A method, what further arguments end in, and its rows and labels."""


def code_of(estimator: Any, given: Sequence[Sequence[str]]) -> str:
    """Return code that makes an estimator, fits it and, if so, fits it again.

    `given` names what each of these calls was given beside rows and labels. Where the
    estimator holds what no code can make, it is written as its `repr` shows it.
    """
    names = Names(bound={"np": ("numpy", "")})
    try:
        made = layout(prefixed(f"{_NAME} = ", source(estimator, names)))
    except BadInputError:
        names = Names(bound={})
        with suppress(BadInputError):  # a class of the script itself is there already
            names.of(type(estimator))
        made = f"{_NAME} = {estimator.__repr__(N_CHAR_MAX=sys.maxsize)}"
    if "np." not in made:
        names.bound.pop("np", None)
    calls = [
        f"{call}({', '.join([*rows, *(f'{name}={name}{end}' for name in further)])})"
        for (call, end, *rows), further in zip(_CALLS, given, strict=False)
    ]
    return f"{names.imports()}\n\n{made}" + f"\n{_NAME}".join(calls)
