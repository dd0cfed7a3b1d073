"""Frozen values that hold only what JSON knows.

Every number that can be missing is ``float | None``: NaN and infinities become None
when a value is made, NumPy scalars and arrays become Python numbers and tuples.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# What neither XML nor UTF-8 can carry: control characters and lone surrogates.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Base of the report's values: cleans its fields when it is made."""

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _cleaned(getattr(self, field.name)))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON reads them: dicts, lists, strings, numbers."""
        return dict(json.loads(json.dumps(asdict(self), allow_nan=False)))


def _cleaned(value: Any) -> Any:
    """Return `value` free of NumPy, of NaN and of characters no page can show."""
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {_cleaned(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_cleaned, value))
    return value
