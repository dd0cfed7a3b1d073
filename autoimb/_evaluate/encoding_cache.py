"""Rows of a fold, encoded once for all candidates with the same view.

An encoder depends on the training rows and on nothing that is searched, so its output
is cached in each process that evaluates candidates, up to a number of bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from autoimb._evaluate.problem import Problem


@dataclass(frozen=True, eq=False)
class EncodedFold:
    """Training and validation rows of a fold in one view.

    Attributes
    ----------
    train, val : ndarray, CSR matrix or DataFrame
        Encoded rows.
    encoder : transformer or None
        The fitted encoder; None where rows are read as they are.
    seconds : float
        Time that encoding the training rows took.
    """

    train: Any
    val: Any
    encoder: Any
    seconds: float

    @cached_property
    def n_bytes(self) -> int:
        """The memory that it takes."""
        return sum(map(_n_bytes, (self.train, self.val)))


def _n_bytes(rows: Any) -> int:
    """Return the memory that rows take."""
    if isinstance(rows, pd.DataFrame):
        return int(rows.memory_usage(deep=True).sum())
    if sparse.issparse(rows):
        return int(rows.data.nbytes + rows.indices.nbytes + rows.indptr.nbytes)
    return int(rows.nbytes)


class EncodedFolds:
    """The most recently used encoded folds, up to a number of bytes.

    Parameters
    ----------
    max_bytes : int
        Memory of all folds together; the least recently used are removed first.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._folds: OrderedDict[Hashable, EncodedFold] = OrderedDict()
        self._lock = threading.Lock()  # a user's executor may run threads

    def get(self, key: Hashable, encode: Callable[[], EncodedFold]) -> EncodedFold:
        """Return the fold that is cached under a key, encoded now if there is none."""
        with self._lock:
            if key in self._folds:
                self._folds.move_to_end(key)
                return self._folds[key]
        fold = encode()
        if fold.n_bytes > self._max_bytes:
            return fold
        for part in (fold.train, fold.val):  # later candidates read the same arrays
            if isinstance(part, np.ndarray):
                part.flags.writeable = False
        with self._lock:
            self._folds[key] = fold
            while sum(f.n_bytes for f in self._folds.values()) > self._max_bytes:
                self._folds.popitem(last=False)
        return fold


_CACHES: WeakKeyDictionary[Any, EncodedFolds] = WeakKeyDictionary()


def encoded_folds(problem: Problem, max_bytes: int) -> EncodedFolds:
    """Return this process's cache for a problem; it lives as long as the problem."""
    return _CACHES.setdefault(problem, EncodedFolds(max_bytes))
