"""imbalanced-learn's samplers on tables with categories, gaps and unscaled numbers.

The samplers measure distances between dense, scaled rows. These two let them, and hand
on rows of the table as it was: with its gaps, and with categories that exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from imblearn.over_sampling import ADASYN
from sklearn.base import BaseEstimator, clone
from sklearn.neighbors import NearestNeighbors

from autoimb._encoding import make_geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AttentiveADASYN",
    "CategorySampler",
    "SelectingSampler",
    "WholeClassSampler",
]


class AttentiveADASYN(ADASYN):
    """ADASYN that leaves a class alone where it can tell no hard rows from easy ones.

    Those are classes that meet no other class among their neighbours, and classes whose
    few new rows all round to none; `ADASYN` itself gives up on the whole table.
    """

    def _fit_resample(
        self, X: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        near = NearestNeighbors(n_neighbors=self.n_neighbors + 1).fit(X)
        for label, n_new in tuple(self.sampling_strategy_.items()):
            around = near.kneighbors(X[y == label], return_distance=False)[:, 1:]
            n_others = (y[around] != label).sum(axis=1)
            # A row gets its share of the new ones, rounded: half a row is none.
            if 2 * n_new * n_others.max() <= n_others.sum():
                del self.sampling_strategy_[label]
        return super()._fit_resample(X, y)  # type: ignore[no-any-return]


class SelectingSampler(BaseEstimator):
    """Choose rows by distances in a dense geometry, and return them as they were.

    A class of which no row would be left keeps all of its rows.

    Parameters
    ----------
    sampler : imbalanced-learn sampler with ``sample_indices_``
        What chooses the rows; cloned for every call.
    n_categorical : int, default=0
        So many first columns are category codes.

    Attributes
    ----------
    sample_indices_ : ndarray of shape (n_selected,)
        Positions of the rows that were chosen.
    """

    def __init__(self, sampler: Any, n_categorical: int = 0) -> None:
        self.sampler = sampler
        self.n_categorical = n_categorical

    def fit_resample(
        self, X: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the chosen rows of X, gaps included, and of y."""
        sampler = clone(self.sampler)
        sampler.fit_resample(make_geometry(self.n_categorical).fit_transform(X), y)
        chosen = sampler.sample_indices_
        lost = np.isin(y, np.setdiff1d(y, y[chosen]))
        self.sample_indices_ = np.append(chosen, np.flatnonzero(lost))
        return X[self.sample_indices_], y[self.sample_indices_]


class WholeClassSampler(BaseEstimator):
    """Clean rows, but leave no class without any: such a class gets its own rows back.

    Parameters
    ----------
    sampler : imbalanced-learn sampler
        What makes and cleans rows; cloned for every call.
    """

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def fit_resample(
        self, X: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the resampled rows of X and y, and those of the classes that went."""
        X_new, y_new = clone(self.sampler).fit_resample(X, y)
        lost = ~np.isin(y, y_new)
        return np.vstack([X_new, X[lost]]), np.append(y_new, y[lost])


class CategorySampler(BaseEstimator):
    """Make rows between rows, each with categories that exist.

    Parameters
    ----------
    sampler : imbalanced-learn sampler
        What makes the rows; cloned for every call.
    n_categorical : int
        So many first columns are category codes; the others are scaled numbers.

    Notes
    -----
    Each category becomes a column of its own, scaled so that two rows of different
    categories are as far apart as by the median standard deviation of the numbers, as
    in SMOTE-NC [1]_, section 6.1. A row that was made then takes, in each column of
    the table, the category that it lies nearest to.

    References
    ----------
    .. [1] Chawla, Bowyer, Hall, Kegelmeyer (2002). SMOTE: synthetic minority
       over-sampling technique. doi:10.1613/jair.953
    """

    def __init__(self, sampler: Any, n_categorical: int) -> None:
        self.sampler = sampler
        self.n_categorical = n_categorical

    def fit_resample(
        self, X: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the rows of X and y with those that were made after them."""
        codes, numbers = np.hsplit(X, [self.n_categorical])
        levels = [np.unique(column) for column in codes.T]
        # Two categories differ in two columns: the distance is the root of two squares.
        height = _median_spread(numbers) / np.sqrt(2)
        blocks = [
            height * (column[:, np.newaxis] == of_column)
            for column, of_column in zip(codes.T, levels, strict=True)
        ]
        spread, y_new = clone(self.sampler).fit_resample(
            np.hstack([*blocks, numbers]), y
        )
        ends = np.cumsum([len(of_column) for of_column in levels])
        *made, new_numbers = np.hsplit(spread, ends)
        nearest = [
            of_column[block.argmax(axis=1)]
            for of_column, block in zip(levels, made, strict=True)
        ]
        return np.column_stack([*nearest, new_numbers]), y_new


def _median_spread(numbers: NDArray[Any]) -> float:
    """Return the median standard deviation of the columns, 1 without any."""
    return float(np.median(numbers.std(axis=0))) or 1.0 if numbers.shape[1] else 1.0
