"""Check what the user gave and turn it into one `Table` that every stage shares."""

from __future__ import annotations

import hashlib
import numbers
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, _num_samples

from autoimb._columns import Matrix, Schema, as_rows, infer_schema
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_HASHED_AT_ONCE = 65_536  # rows: one column of them stays in the cache


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Checked training data: canonical rows, label codes, weights and groups."""

    X: Matrix
    y: NDArray[np.intp]
    """Codes 0..k-1 into `classes`."""
    classes: NDArray[Any]
    pos: int | None
    """Code of the positive class; None for more than two classes."""
    schema: Schema
    sample_weight: NDArray[np.float64] | None
    groups: NDArray[Any] | None
    row_hashes: NDArray[np.uint64]
    """One hash a row of X: equal rows have equal hashes."""
    costs: NDArray[np.float64] | None = None  # (n_rows, n_classes)
    """What each row costs where it is called each of the classes."""

    def with_rows_as_given(self, X: Any) -> Table:
        """Return the table with the user's own rows, for a model that reads those."""
        schema = replace(self.schema, as_given=True)
        return replace(self, X=schema.canonical(X), schema=schema)

    @property
    def given(self) -> tuple[str, ...]:
        """What came with rows and labels, by its name in `fit`."""
        names = ("sample_weight", "groups", "costs")
        return tuple(name for name in names if getattr(self, name) is not None)

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @property
    def class_counts(self) -> NDArray[np.intp]:
        """Rows of each class, in the order of `classes`."""
        return np.bincount(self.y, minlength=self.n_classes)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Row weights, ones where the user gave none."""
        if self.sample_weight is None:
            return np.ones(len(self.y))
        return self.sample_weight

    @property
    def class_weights(self) -> NDArray[np.float64]:
        """Total weight of the rows of each class, in the order of `classes`."""
        totals = np.bincount(self.y, self.weights, minlength=self.n_classes)
        return totals.astype(np.float64)

    @property
    def fingerprint(self) -> str:
        """A short hash of rows, labels, weights and column names."""
        digest = hashlib.blake2b(digest_size=8)
        digest.update(self.row_hashes.tobytes())
        digest.update(self.y.tobytes())
        digest.update(self.weights.tobytes())
        digest.update(repr([c.name for c in self.schema.columns]).encode())
        return digest.hexdigest()


def check_table(
    X: Any,
    y: Any,
    *,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    costs: ArrayLike | None = None,
) -> Table:
    """Return the checked `Table`, or raise `BadInputError` saying what is wrong."""
    rows = as_rows(X)
    labels = check_labels(y)
    _check_lengths(
        X=rows, y=labels, sample_weight=sample_weight, groups=groups, costs=costs
    )
    classes, codes = _encode_labels(labels)
    weights = sample_weight
    if weights is not None:
        weights = _check_sample_weight(
            weights, codes, dtype=np.float64, ensure_non_negative=True
        )
    _check_classes(classes, codes, weights)
    schema = infer_schema(rows)
    canonical = schema.canonical(rows)
    return Table(
        X=canonical,
        y=codes,
        classes=classes,
        pos=_positive_code(classes, codes, pos_label),
        schema=schema,
        sample_weight=weights,
        groups=None if groups is None else np.asarray(groups),
        row_hashes=_hash_rows(canonical),
        costs=None if costs is None else _check_costs(costs, classes),
    )


def check_labels(y: Any) -> NDArray[Any]:
    """Return y as a one-dimensional array without gaps."""
    if y is None:
        raise BadInputError(
            "requires y to be passed, but the target y is None: pass the labels."
        )
    values = _label_array(y)
    missing = pd.isna(values)
    if np.any(missing):
        raise BadInputError(
            f"y has {int(np.sum(missing))} missing labels (NaN): "
            "drop those rows or label them before fitting."
        )
    if values.dtype != object or not any(isinstance(v, tuple) for v in values[:1]):
        if values.dtype.kind == "f" and np.isinf(values).any():
            raise BadInputError("y contains infinity: labels must be finite.")
        try:
            check_classification_targets(_comparable(values))
        except ValueError as error:
            raise BadInputError(f"y holds no classes: {error}") from None
    return values


def _label_array(y: Any) -> NDArray[Any]:
    """Return y as an array of one dimension; tuples stay whole labels."""
    if sparse.issparse(y):
        raise BadInputError("y is a sparse matrix: pass a dense array of labels.")
    if isinstance(y, (list, tuple, pd.Series)) and _needs_objects(y):
        objects = np.empty(len(y), dtype=object)
        objects[:] = list(y)
        return objects
    native = nw.from_native(y, series_only=True, pass_through=True)
    if isinstance(native, nw.Series) and not isinstance(y, pd.Series):
        y = native.to_list()
    values: NDArray[Any] = np.asarray(y)
    if values.ndim == 2 and values.shape[1] > 1:
        raise BadInputError(
            f"y has shape {values.shape}: one column of labels is needed "
            "(multilabel targets are not supported)."
        )
    return np.asarray(column_or_1d(values, warn=True))


def _needs_objects(labels: Any) -> bool:
    """Whether NumPy would take labels apart (tuples) or change them (1 to '1')."""
    types = {type(label) for label in labels}
    return tuple in types or (str in types and len(types) > 1)


def _comparable(values: NDArray[Any]) -> NDArray[Any]:
    """Return labels in a form whose type scikit-learn can name."""
    if values.dtype != object or all(isinstance(v, str) for v in values):
        return values
    numeric = all(isinstance(v, numbers.Real) for v in values)
    return values.astype(float) if numeric else values.astype(str)


def _encode_labels(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return sorted classes and codes; labels that do not compare sort by text."""
    codes, uniques = pd.factorize(labels)
    try:
        order = np.argsort(uniques, kind="stable")
    except TypeError:
        texts = [(type(label).__name__, repr(label)) for label in uniques]
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__))
    return np.asarray(uniques)[order], np.argsort(order)[codes]


def codes_of(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return the code of each label, or raise for one that was not seen in `fit`."""
    codes = pd.Index(classes, tupleize_cols=False).get_indexer(
        pd.Index(labels, tupleize_cols=False)
    )
    if np.any(codes < 0):
        unknown = labels[int(np.argmin(codes))]
        raise BadInputError(
            f"y holds the label {unknown!r}, which was not seen in fit; "
            f"classes_ are {classes[:20].tolist()}."
        )
    return codes


def _check_classes(
    classes: NDArray[Any],
    codes: NDArray[np.intp],
    weights: NDArray[np.float64] | None,
) -> None:
    """Raise unless there are two classes with two rows each, and some weight."""
    if len(classes) == 1:
        raise BadInputError(
            f"y holds only one class, {classes.tolist()[0]!r}: "
            "a classifier needs at least two."
        )
    counts = np.bincount(codes)
    if counts.min() < 2:
        lonely = [repr(c) for c in classes[counts < 2].tolist()]
        raise BadInputError(
            f"each class needs at least 2 rows to be cross-validated; "
            f"{', '.join(lonely[:5])} has 1 (n_samples={len(codes)}): "
            "drop or merge it, or collect more."
        )
    weightless = np.bincount(codes, weights=weights) == 0
    if weightless.any():
        raise BadInputError(
            f"every row of class {classes[weightless].tolist()[0]!r} has weight 0 in "
            "sample_weight: drop the class, or give its rows some weight."
        )


def _check_costs(costs: ArrayLike, classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the costs of rows as numbers, one column a class."""
    named = f"one column for each of the classes {classes[:20].tolist()}, in this order"
    try:
        numbers = np.asarray(costs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"costs must be numbers, {named}: {error}.") from error
    if numbers.ndim != 2 or numbers.shape[1] != len(classes):
        raise BadInputError(f"costs has shape {numbers.shape}: pass {named}.")
    broken = ~np.isfinite(numbers)
    if broken.any():
        row, column = np.argwhere(broken)[0].tolist()
        raise BadInputError(
            f"costs holds {numbers[row, column]} in row {row}, column {column} (of "
            f"{np.count_nonzero(broken)}): fill or drop those rows, costs are finite."
        )
    if (numbers == numbers[:, :1]).all():
        raise BadInputError(
            "costs are the same for every class in each of the rows, so no label is "
            "better than another: give wrong answers a higher cost than right ones."
        )
    return numbers


def _positive_code(
    classes: NDArray[Any], codes: NDArray[np.intp], pos_label: Any
) -> int | None:
    """Return the code of the class of interest; None for multiclass."""
    if pos_label is not None:
        found = [i for i, label in enumerate(classes) if label == pos_label]
        if not found:
            raise BadInputError(
                f"{pos_label=} is not in y; its classes are {classes[:20].tolist()}."
            )
        if len(classes) > 2:
            raise BadInputError(
                f"{pos_label=} applies to two classes, y has {len(classes)}: leave it "
                "out, every class is then counted."
            )
        return found[0]
    if len(classes) > 2:
        return None
    counts = np.bincount(codes)
    return 0 if counts[0] < counts[1] else 1


def _check_lengths(**arrays: Any) -> None:
    """Raise unless every array that is given has as many rows as X."""
    lengths = {k: _num_samples(v) for k, v in arrays.items() if v is not None}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise BadInputError(f"inconsistent numbers of samples (rows): {told}.")


def _hash_rows(X: Matrix) -> NDArray[np.uint64]:
    """Return one hash a row, equal for equal rows."""
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X, copy=False)
    hashes = np.empty(len(frame), dtype=np.uint64)
    for start in range(0, len(frame), _HASHED_AT_ONCE):
        rows = slice(start, start + _HASHED_AT_ONCE)
        hashes[rows] = pd.util.hash_pandas_object(frame.iloc[rows], index=False)
    return hashes
