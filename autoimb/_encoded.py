"""Rows of a fold, encoded once for all candidates that read them alike.

An encoder depends on the training rows and on nothing that is searched, so its output
is kept in each process that evaluates candidates, up to a number of bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFold:
    """Both parts of a fold as models read them.

    Attributes
    ----------
    train, val : ndarray or DataFrame
        Encoded rows.
    seconds : float
        What encoding the training rows took.
    """

    train: Any
    val: Any
    seconds: float

    def freeze(self) -> None:
        """Let nobody write into arrays that others will read."""
        for part in (self.train, self.val):
            if isinstance(part, np.ndarray):
                part.flags.writeable = False

    @property
    def n_bytes(self) -> int:
        """The memory that it takes."""
        return sum(_n_bytes(part) for part in (self.train, self.val))


def _n_bytes(rows: Any) -> int:
    """Return the memory that a matrix or a table takes."""
    if isinstance(rows, pd.DataFrame):
        return int(rows.memory_usage(deep=True).sum())
    return int(rows.nbytes)


class EncodedFolds:
    """The most recently used encoded folds, up to a number of bytes.

    Parameters
    ----------
    max_bytes : int
        Those not used for longest go first.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._folds: OrderedDict[Hashable, tuple[EncodedFold, int]] = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.Lock()  # an executor may well run threads

    def get(self, key: Hashable, encode: Callable[[], EncodedFold]) -> EncodedFold:
        """Return what is kept under a key, encoded now if it is not there."""
        with self._lock:
            if key in self._folds:
                self._folds.move_to_end(key)
                return self._folds[key][0]
        fold = encode()
        n_bytes = fold.n_bytes
        if n_bytes <= self._max_bytes:
            fold.freeze()
            with self._lock:
                self._keep(key, fold, n_bytes)
        return fold

    def _keep(self, key: Hashable, fold: EncodedFold, n_bytes: int) -> None:
        """Keep a fold, and drop the oldest of those that are too many."""
        self._n_bytes += n_bytes - self._folds.pop(key, (fold, 0))[1]
        self._folds[key] = (fold, n_bytes)
        while self._n_bytes > self._max_bytes:
            self._n_bytes -= self._folds.popitem(last=False)[1][1]


_KEPT: WeakKeyDictionary[Any, EncodedFolds] = WeakKeyDictionary()


def encoded_folds(owner: Any, max_bytes: int) -> EncodedFolds:
    """Return what this process keeps for an owner, for as long as the owner lives."""
    return _KEPT.setdefault(owner, EncodedFolds(max_bytes))
