"""Encoders that are fitted with row weights.

scikit-learn's encoders are fitted first, and the statistics that they learned are then
replaced by weighted ones: means and variances, the medians that fill gaps, the shares
of the classes in each category. What predicts stays an ordinary scikit-learn encoder.

Multiplying all weights by a constant changes nothing. In medians, means, variances and
shares, a row of weight k counts as k rows. How far a category's shares are shrunk
depends on how precise they are, and for that k rows are not one row of weight k.

References
----------
L. Kish, "Survey Sampling", Wiley (1965), section 11.7: the effective sample size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler, TargetEncoder
from sklearn.utils import _safe_indexing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDING = 1e-9  # relative error that a sum of weights may have


def fit_encoder(
    step: Any,
    X: Any,
    y: NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
) -> Any:
    """Fit a step on rows, labels and weights; return the rows as it encodes them.

    Without weights, this is the step's own ``fit_transform``.
    """
    if sample_weight is None or not isinstance(step, ColumnTransformer):
        return step.fit_transform(X, y)
    with config_context(transform_output="default"):  # an array, to write into
        encoded = step.fit_transform(X, y)
    # Sums of weights are compared with rounding errors: the scale must not matter.
    weight = sample_weight / sample_weight.mean()
    for name, block, columns in step.transformers_:
        # The parameters of a pipeline hold the steps of pipelines within it, too.
        parts = block.get_params().values() if hasattr(block, "steps") else [block]
        if any(isinstance(part, StandardScaler | TargetEncoder) for part in parts):
            rows = _safe_indexing(X, columns, axis=1)
            at = step.output_indices_[name]
            encoded[:, at] = _weighted(block, rows, y, weight)
    return encoded


def _weighted(
    part: Any, X: Any, y: NDArray[np.intp], weight: NDArray[np.float64]
) -> Any:
    """Give a fitted part of an encoder weighted statistics; return the encoded rows."""
    if hasattr(part, "steps"):
        for inner in part:
            X = _weighted(inner, X, y, weight)
        return X
    if isinstance(part, TargetEncoder):
        return _with_weighted_shares(part, X, y, weight)
    if isinstance(part, StandardScaler):
        with np.errstate(invalid="ignore"):  # a constant's variance may be -1e-33
            part.fit(X, sample_weight=weight)
    if isinstance(part, SimpleImputer):
        by_column = np.array(X, dtype=np.float64, order="F")  # sorted much sooner
        for i, column in enumerate(by_column.T):
            known = np.argsort(column)[: np.count_nonzero(~np.isnan(column))]
            if known.size:
                part.statistics_[i] = _median(column[known], weight[known])
    return part.transform(X)


def _median(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return the weighted median of ascending values.

    It is the mean of two values where half of the weight lies on either side.
    """
    below = np.cumsum(weight)
    half = below[-1] * (0.5 + _ROUNDING * np.array([-1, 1]))
    return float(values[np.searchsorted(below, half)].mean())


def _with_weighted_shares(
    encoder: TargetEncoder, X: Any, y: NDArray[np.intp], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give a fitted encoder weighted shares; return the rows encoded by cross-fitting.

    As in scikit-learn's encoder, the second of two classes is the target, or each of
    more classes.
    """
    is_binary = encoder.target_type_ == "binary"
    label = np.searchsorted(encoder.classes_, y)
    classes = [1] if is_binary else range(len(encoder.classes_))
    targets = np.equal.outer(label, classes).astype(np.float64)
    folds = [*encoder.cv.split(X, y)]
    encodings, cross_fitted = [], []
    columns = pd.DataFrame(X).items()
    for categories, (_, column) in zip(encoder.categories_, columns, strict=True):
        codes = pd.Index(categories).get_indexer(column)
        encodings += [*_shares(codes, targets, weight, len(categories)).T]
        encoded = np.empty_like(targets)
        for train, rest in folds:
            rows = codes[train], targets[train], weight[train]
            encoded[rest] = _shares(*rows, len(categories))[codes[rest]]
        cross_fitted.append(encoded)
    overall = np.average(targets, axis=0, weights=weight)
    encoder.encodings_ = encodings
    encoder.target_mean_ = overall[0] if is_binary else overall
    return np.hstack(cross_fitted)


def _shares(
    codes: NDArray[np.intp],
    targets: NDArray[np.float64],
    weight: NDArray[np.float64],
    n_categories: int,
) -> NDArray[np.float64]:
    """Return the targets' shares in each category, shrunk to those among all rows.

    The variance of a category's share, which says how far it is shrunk, is that of a
    weighted mean: the number of rows in it is the effective one of Kish.
    """
    total, squares = (np.bincount(codes, w, n_categories) for w in (weight, weight**2))
    overall = np.average(targets, axis=0, weights=weight)
    sums = [np.bincount(codes, weight * target, n_categories) for target in targets.T]
    with np.errstate(invalid="ignore"):  # 0 / 0 in categories without rows
        shares = np.column_stack(sums) / total[:, np.newaxis]
        n_rows = (total**2 / squares)[:, np.newaxis]
        between, within = overall * (1 - overall), shares * (1 - shares)
        trust = between * n_rows / (between * n_rows + within)
    return np.where(np.isnan(trust), overall, trust * shares + (1 - trust) * overall)
