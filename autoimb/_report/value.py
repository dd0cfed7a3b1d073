"""Plain frozen values that hold nothing JSON does not know, and round-trip.

Every number that can be missing is ``float | None``: NaN and infinities become None
when a value is made, NumPy scalars and arrays become Python numbers and tuples, so
``from_dict(to_dict(v)) == v`` always.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, get_args, get_type_hints

# What neither XML nor UTF-8 can carry: control characters and lone surrogates.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Base of the report's values: cleans its fields, turns into a dict and back."""

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as dicts, lists, strings, numbers and None."""
        return {f.name: _encode(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the value that `to_dict` described; absent fields get defaults."""
        nested = _nested_types(cls)
        return cls(**{name: _decode(v, nested.get(name)) for name, v in values.items()})


def _plain(value: Any) -> Any:
    """Return `value` free of NumPy, of NaN and of characters no page can show."""
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return value


def _encode(value: Any) -> Any:
    """Return a cleaned `value` with only the types that JSON knows."""
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    return dict(value) if isinstance(value, dict) else value


def _decode(value: Any, kind: type[Value] | None) -> Any:
    """Return `value` with its dicts made into `kind`, however deep in lists."""
    if isinstance(value, list | tuple):
        return tuple(_decode(item, kind) for item in value)
    if kind is not None and isinstance(value, Mapping):
        return kind.from_dict(value)
    return value


def _nested_types(cls: type[Value]) -> dict[str, type[Value] | None]:
    """Return the `Value` class that each field holds, if it holds one."""
    return {name: _value_type(hint) for name, hint in get_type_hints(cls).items()}


def _value_type(hint: Any) -> type[Value] | None:
    """Return the `Value` class inside a hint such as ``tuple[Check, ...] | None``."""
    if isinstance(hint, type) and issubclass(hint, Value):
        return hint
    return next(filter(None, map(_value_type, get_args(hint))), None)
