"""Nearest neighbours whose distances are the same for one row and for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import gen_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS_AT_ONCE = 2**20


class ExactNeighboursClassifier(KNeighborsClassifier):
    """scikit-learn's k nearest neighbours, with Euclidean distances by differences.

    NOTE[DIFF]: among more than 15 columns scikit-learn finds neighbours by products of
    matrices. Its distances then depend on how many rows it is asked for at once, and
    that of a row to itself is 1e-8 instead of 0, which as a weight is not the same.
    Here neighbours are found so, and their distances computed anew. Only which of
    several rows that are equally far is the last neighbour may still differ.
    """

    def kneighbors(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,  # noqa: FBT001, FBT002  as the base has it
    ) -> Any:
        """Return distances to the nearest rows of `fit`, and which rows these are."""
        if not return_distance or X is None:
            return super().kneighbors(X, n_neighbors, return_distance)
        distances, places = super().kneighbors(X, n_neighbors)
        known, rows = self._fit_X, X
        is_dense = isinstance(known, np.ndarray) and isinstance(rows, np.ndarray)
        if self._fit_method != "brute" or self.p != 2 or not is_dense:
            return distances, places
        return _by_differences(known, np.asarray(rows, dtype=known.dtype), places)


def _by_differences(
    known: NDArray[Any], rows: NDArray[Any], places: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the distances (n, k) of rows to known rows in order, and these rows."""
    distances = np.empty(places.shape)
    at_once = max(1, _CELLS_AT_ONCE // (places.shape[1] * rows.shape[1]))
    for batch in gen_batches(len(rows), at_once):
        gaps = known[places[batch]] - rows[batch, np.newaxis]
        distances[batch] = np.sqrt((gaps**2).sum(axis=-1))
    order = np.lexsort((places, distances), axis=-1)
    return (
        np.take_along_axis(distances, order, axis=-1),
        np.take_along_axis(places, order, axis=-1),
    )
