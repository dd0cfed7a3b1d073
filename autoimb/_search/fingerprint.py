"""What a stored search depends on, as short hashes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from autoimb._evaluate.problem import Problem
    from autoimb._strategy.search_space import SearchSpace

_FORMAT = "3"  # of the files of trials


def fingerprint_of(problem: Problem, space: SearchSpace) -> dict[str, str]:
    """Return what a stored search depends on, each part as a short hash."""
    choices = {
        axis: [
            (
                entry.name,
                sorted(entry.params.items()),
                _content_of(entry.make),
                _content_of(getattr(entry, "fixed", {})),
            )
            for entry in (problem.catalogue.get(axis, name) for name in names)
        ]
        for axis, names in space.names.items()
    }
    return {
        "data": f"{problem.table.fingerprint} {problem.table.pos}",
        "folds": _hash(
            b"".join(
                part.tobytes()
                for fold in problem.folds
                for part in (fold.train_idx, fold.val_idx)
            )
        ),
        "metric": _content_of(problem.metric),
        "search space": _hash(repr(choices).encode()),
        "autoimb version": version("autoimb"),
        "stored format": _FORMAT,
    }


def _content_of(value: Any) -> str:
    """Return all that an object holds as text, without addresses in memory.

    The `repr` of an estimator or of an array leaves out what is long.
    """
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.tolist()  # its bytes are addresses
    if isinstance(value, BaseEstimator):
        return (
            f"{type(value).__qualname__}({_content_of(value.get_params(deep=False))})"
        )
    if isinstance(value, dict):
        return ", ".join(
            f"{key}: {_content_of(value[key])}" for key in sorted(value, key=str)
        )
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_content_of, value))}]"
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype} {_hash(value.tobytes())}"
    if is_dataclass(value) and not isinstance(value, type):
        parts = {part.name: getattr(value, part.name) for part in fields(value)}
        return f"{type(value).__qualname__}({_content_of(parts)})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _hash(content: bytes) -> str:
    """Return a short hash."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()
