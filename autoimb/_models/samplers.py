"""imbalanced-learn's resamplers for tables with categories, gaps and unscaled numbers.

Those resamplers measure distances between dense, scaled rows. The wrappers here give
them such rows, and return rows of the table as it was, with its gaps, or new rows whose
categories exist in the table.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from imblearn.over_sampling import ADASYN, KMeansSMOTE
from numpy.typing import NDArray
from scipy.sparse import issparse, vstack
from sklearn.base import BaseEstimator, clone
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing, get_tags

from autoimb._table.encoding import make_geometry
from autoimb._table.weighted_encoding import fit_encoder


class AttentiveADASYN(ADASYN):
    """ADASYN that makes no rows for a class where `ADASYN` would raise an error.

    Those are classes that have no other class among their neighbours, and classes of
    which each row would get less than half a new row, which is rounded to none.
    """

    def _fit_resample(
        self, X: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        near = NearestNeighbors(n_neighbors=self.n_neighbors + 1).fit(X)
        for label, n_new in tuple(self.sampling_strategy_.items()):
            neighbours = near.kneighbors(X[y == label], return_distance=False)[:, 1:]
            n_others = (y[neighbours] != label).sum(axis=1)
            # A row gets its share of the new rows, rounded: half a row is none.
            if 2 * n_new * n_others.max() <= n_others.sum():
                del self.sampling_strategy_[label]
        return super()._fit_resample(X, y)  # type: ignore[no-any-return]


class ReportingKMeansSMOTE(KMeansSMOTE):
    """k-means SMOTE whose error says what it did not find in the rows."""

    def _fit_resample(
        self, X: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        try:
            with np.errstate(invalid="ignore", divide="ignore"):
                return super()._fit_resample(X, y)  # type: ignore[no-any-return]
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                "k-means SMOTE found no cluster with enough different rows of a small "
                "class: its rows coincide, or are spread over too many clusters"
            ) from error


class SamplerAround(BaseEstimator):
    """Base class of samplers around another, which take matrices and label codes."""

    sampler: Any

    def _resampled_inside(self, rows: Any, y: NDArray[Any]) -> tuple[Any, Any]:
        """Return a fitted copy of the sampler inside, and what it returned."""
        sampler = clone(self.sampler)
        resampled = sampler.fit_resample(rows, y)
        if hasattr(sampler, "sampling_strategy_"):
            self.sampling_strategy_ = sampler.sampling_strategy_
        return sampler, resampled

    def __sklearn_tags__(self) -> Any:
        """Return the tags of the sampler inside, for fewer kinds of tables."""
        tags = get_tags(self.sampler)
        if hasattr(tags, "sampler_tags"):  # one of imbalanced-learn
            tags.input_tags.dataframe = tags.input_tags.string = False
        return tags


@dataclass(eq=False, repr=False)
class SelectingSampler(SamplerAround):
    """Choose rows by distances in a dense geometry, and return them as they were.

    A class of which no row would be left keeps all of its rows.

    Parameters
    ----------
    sampler : imbalanced-learn sampler with ``sample_indices_``
        Chooses the rows; cloned for every call.
    n_categorical : int, default=0
        Number of columns of category codes; they come first.

    Attributes
    ----------
    sample_indices_ : ndarray of shape (n_selected,)
        Positions of the rows that were chosen.
    """

    sampler: Any
    n_categorical: int = 0

    def fit_resample(
        self,
        X: Any,
        y: NDArray[Any],
        sample_weight: NDArray[np.float64] | None = None,
    ) -> tuple[Any, NDArray[Any]]:
        """Return the chosen rows of X, gaps included, and of y.

        With row weights, numbers are scaled by their weighted deviation.
        """
        rows = X  # counts of words are on one scale, and must not be centred
        if not issparse(X):
            geometry = make_geometry(self.n_categorical)
            rows = fit_encoder(geometry, X, y, sample_weight)
        sampler, _ = self._resampled_inside(rows, y)
        chosen = sampler.sample_indices_
        lost = np.flatnonzero(~np.isin(y, y[chosen]))
        self.sample_indices_ = np.append(chosen, lost)
        return _safe_indexing(X, self.sample_indices_), y[self.sample_indices_]


@dataclass(eq=False, repr=False)
class ScalingSampler(SamplerAround):
    """Resample rows by distances on one scale, and return them in their own units.

    Parameters
    ----------
    sampler : resampler
        Reads scaled rows; cloned for every call.

    Attributes
    ----------
    sample_indices_ : ndarray of shape (n_resampled,)
        Positions of the rows that were chosen; only where the sampler says them.
    """

    sampler: Any

    def fit_resample(
        self, X: Any, y: NDArray[Any], sample_weight: NDArray[np.float64] | None = None
    ) -> tuple[Any, NDArray[Any]]:
        """Return the resampled rows of X, a frame or matrix of numbers, and of y.

        With row weights, numbers are scaled by their weighted deviation.
        """
        is_sparse = issparse(X)  # centred, zeros would no longer be zeros
        scaler = StandardScaler(with_mean=not is_sparse)
        values = X if is_sparse else np.asarray(X, dtype=np.float64)
        scaled = scaler.fit(values, sample_weight=sample_weight).transform(values)
        sampler, (rows, y_new) = self._resampled_inside(scaled, y)
        if hasattr(sampler, "sample_indices_"):
            self.sample_indices_ = sampler.sample_indices_
            return _safe_indexing(X, self.sample_indices_), y_new
        new = scaler.inverse_transform(rows)
        n = values.shape[0]
        if is_sparse:
            is_added = rows.shape[0] >= n and (rows[:n] != scaled).nnz == 0
            return vstack([X, new[n:]], format="csr") if is_added else new, y_new
        if len(rows) >= n and np.array_equal(rows[:n], scaled):
            new[:n] = values  # without rounding errors
        if isinstance(X, pd.DataFrame):
            new = pd.DataFrame(new, columns=X.columns)
        elif getattr(X, "dtype", None) == np.float32:
            new = new.astype(np.float32)
        return new, y_new


@dataclass(eq=False, repr=False)
class WholeClassSampler(SamplerAround):
    """Clean rows; a class that would have no row left gets its own rows back.

    Parameters
    ----------
    sampler : imbalanced-learn sampler
        Makes and cleans rows; cloned for every call.
    """

    sampler: Any

    def fit_resample(self, X: Any, y: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        """Return the resampled rows of X and y, then the rows of lost classes."""
        _, (X_new, y_new) = self._resampled_inside(X, y)
        lost = ~np.isin(y, y_new)
        if not lost.any():
            return X_new, y_new
        parts = [X_new, _safe_indexing(X, lost)]
        if issparse(X):
            return vstack(parts, format="csr"), np.append(y_new, y[lost])
        if isinstance(X, pd.DataFrame):
            return pd.concat(parts, ignore_index=True), np.append(y_new, y[lost])
        return np.vstack(parts), np.append(y_new, y[lost])


@dataclass(eq=False, repr=False)
class CategorySampler(SamplerAround):
    """Make rows between rows, with categories that exist.

    Parameters
    ----------
    sampler : imbalanced-learn sampler
        Makes the rows; cloned for every call.
    n_categorical : int
        Number of columns of category codes; they come first. The others are scaled
        numbers.

    Notes
    -----
    Each category becomes a column, scaled so that the distance between two rows of
    different categories is the median standard deviation of the numbers, as in
    SMOTE-NC [1]_, section 6.1. A new row then gets, in each column of the table, the
    category that is nearest to it.

    References
    ----------
    .. [1] Chawla, Bowyer, Hall, Kegelmeyer (2002). SMOTE: synthetic minority
       over-sampling technique. doi:10.1613/jair.953
    """

    sampler: Any
    n_categorical: int

    def fit_resample(
        self, X: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the rows of X and y, followed by new ones."""
        codes, numbers = np.hsplit(X, [self.n_categorical])
        levels = [np.unique(column) for column in codes.T]
        deviation = np.median(numbers.std(axis=0)) if numbers.shape[1] else 1.0
        # Two categories differ in two columns: the distance is the root of two squares.
        height = (deviation or 1.0) / np.sqrt(2)
        blocks = [
            height * (column[:, np.newaxis] == categories)
            for column, categories in zip(codes.T, levels, strict=True)
        ]
        spread = np.hstack([*blocks, numbers])
        _, (wide, y_new) = self._resampled_inside(spread, y)
        *new_blocks, new_numbers = np.hsplit(wide, np.cumsum([*map(len, levels)]))
        nearest = [
            categories[block.argmax(axis=1)]
            for categories, block in zip(levels, new_blocks, strict=True)
        ]
        return np.column_stack([*nearest, new_numbers]), y_new

    def __sklearn_tags__(self) -> Any:
        """Return the tags of the sampler inside; category codes stand in dense rows."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags
