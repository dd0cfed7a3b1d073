"""Checked training data: `check_table` turns what the user passed into a `Table`."""

import hashlib
import numbers
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import column_or_1d, gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples

from autoimb._compat import hashable_rows
from autoimb._table.columns import (
    CanonicalRows,
    Schema,
    as_rows,
    check_is_data,
    infer_schema,
    native_array,
    take,
)
from autoimb._table.copies import copy_units
from autoimb._table.set_aside import SetAside
from autoimb._table.sparse_rows import sparse_hashes
from autoimb.exceptions import BadInputError

RowWeights: TypeAlias = Literal["none", "equal", "uneven"]
_MOST_COST = 1e100  # sums of larger ones are infinite
_HASHED_AT_ONCE = 65_536  # rows, of which one column fits into the cache


@dataclass(frozen=True, slots=True, eq=False)
class GivenRows:
    """What the user passed, of which a table holds the rows of positive weight."""

    n_rows: int
    rows: NDArray[np.intp]
    """Numbers of the table's rows among those that were passed, ascending."""
    arguments: tuple[str, ...]
    """Names of the optional arguments that were passed."""

    def kept(self, X: CanonicalRows) -> CanonicalRows:
        """Return the rows of a table that the user passed."""
        return X if len(self.rows) == self.n_rows else take(X, self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Checked training data: canonical rows, label codes, weights and groups.

    Rows of weight 0, and those of classes that are set aside, are not in it: nothing
    is learned from them, counted or scored.
    """

    X: CanonicalRows
    y: NDArray[np.intp]
    """Labels as codes: positions in `classes`."""
    classes: NDArray[Any]
    """Labels of the rows, sorted, without the classes that are set aside."""
    pos: int | None
    """Code of the positive class; None for more than two classes."""
    schema: Schema
    sample_weight: NDArray[np.float64] | None
    """How important each row is: relative, positive, with mean 1; None if all alike."""
    groups: NDArray[Any] | None
    """What the user passed to tell which rows belong together."""
    units: NDArray[np.intp]
    """What is drawn as a whole: the number of each row's group, or of the row.

    Without groups, copies of a row have one number; see `copies`.
    """
    row_hashes: NDArray[np.uint64]
    """Hash of each row of X: equal rows have equal hashes."""
    given: "GivenRows"
    costs: NDArray[np.float64] | None = None
    """Cost (n_rows, n_classes) of each row if each of the classes is predicted."""
    set_aside: SetAside = field(default_factory=SetAside)
    """The classes of one row, which no row of the table has."""

    @property
    def has_copies(self) -> bool:
        """Whether there are copies of rows, which belong together."""
        return self.groups is None and int(self.units.max()) + 1 < len(self.units)

    def with_raw_rows(self, X: Any) -> "Table":
        """Return the table with rows as the user wrote them."""
        schema = replace(self.schema, is_raw=True)
        return replace(self, X=self.given.kept(schema.canonical(X)), schema=schema)

    @property
    def n_classes(self) -> int:
        """Number of classes of the rows."""
        return len(self.classes)

    @property
    def all_classes(self) -> NDArray[Any]:
        """Labels that the user passed, sorted: those set aside are among them."""
        return self.set_aside.all_classes(self.classes)

    @property
    def class_counts(self) -> NDArray[np.intp]:
        """Rows of each class, in the order of `classes`."""
        return np.bincount(self.y, minlength=self.n_classes)

    @property
    def minority(self) -> int:
        """Code of the minority class; of equally small ones the positive class."""
        counts = self.class_counts.tolist()
        return min(range(self.n_classes), key=lambda c: (counts[c], c != self.pos))

    @property
    def weights(self) -> NDArray[np.float64]:
        """Row weights, ones where all rows are alike."""
        if self.sample_weight is None:
            return np.ones(len(self.y))
        return self.sample_weight

    @property
    def row_weights(self) -> RowWeights:
        """Which weights the user gave the rows; equal ones apart from those of 0."""
        if self.sample_weight is not None:
            return "uneven"
        return "equal" if "sample_weight" in self.given.arguments else "none"

    @property
    def class_weights(self) -> NDArray[np.float64]:
        """Total weight of each class, in the order of `classes`."""
        return np.bincount(self.y, self.weights, minlength=self.n_classes).astype(float)

    @property
    def fingerprint(self) -> str:
        """Short hash of rows, labels, weights and column names."""
        digest = hashlib.blake2b(digest_size=8)
        for array in (self.row_hashes, self.y, self.weights):
            digest.update(array.tobytes())
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
    seen: Schema | None = None,
) -> Table:
    """Return the checked table; raise `BadInputError` if it cannot be learned from.

    `seen` is the schema of the table in `fit`, for one that comes later.
    """
    rows, labels = as_rows(X), label_array(y)
    check_is_data(costs, "costs")
    optional: dict[str, Any] = {
        name: None if values is None else one_per_row(values, name)
        for name, values in (("sample_weight", sample_weight), ("groups", groups))
    }
    optional["costs"] = costs
    if groups is not None:
        _check_hashable(optional["groups"])
    check_lengths(X=rows, y=labels, **optional)
    weights = np.ones(len(labels))
    if sample_weight is not None:
        weights = check_weights(optional["sample_weight"])
    passed = tuple(name for name, value in optional.items() if value is not None)
    kept = np.flatnonzero(weights)
    classes, codes = _encode_labels(check_labels(labels[kept]))
    _check_classes(classes, codes)
    pos = _positive_code(classes, codes, pos_label)
    set_aside = SetAside.of(classes, codes, weights[kept])
    searched = set_aside.others(len(classes))
    is_searched = np.isin(codes, searched)
    kept, codes = kept[is_searched], np.searchsorted(searched, codes[is_searched])
    given = GivenRows(len(labels), kept, passed)
    rows, weights = given.kept(rows), relative_weights(weights[kept])
    grouped = None if groups is None else optional["groups"][kept]
    schema = infer_schema(rows, seen)
    canonical = schema.canonical(rows)
    row_hashes = _hash_rows(canonical)
    return Table(
        X=canonical,
        y=codes,
        classes=classes[searched],
        pos=pos,
        schema=schema,
        sample_weight=None if (weights == weights[0]).all() else weights,
        groups=grouped,
        units=copy_units(canonical, codes, row_hashes)
        if grouped is None
        else pd.factorize(grouped, use_na_sentinel=False)[0],
        row_hashes=row_hashes,
        given=given,
        costs=None
        if costs is None
        else _check_costs(costs, classes, kept)[:, searched],
        set_aside=set_aside,
    )


def one_per_row(values: Any, name: str) -> NDArray[Any]:
    """Return weights or groups as an array of one dimension."""
    array = _plain_array(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise BadInputError(
            f"{name} has shape {array.shape}: one value for each row is needed; to "
            f"combine columns of a frame, pass df.groupby([...]).ngroup()."
        )
    return array


def check_weights(values: Any) -> NDArray[np.float64]:
    """Return weights of rows as floats; raise for those that are none."""
    array = one_per_row(values, "sample_weight")
    try:
        weights = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"sample_weight must be numbers: {error}.") from error
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        row = int(np.argmax(wrong))
        flaw = "Negative values" if weights[row] < 0 else "NaN or infinity"
        raise BadInputError(
            f"{flaw} in data passed to `sample_weight`: {weights[row]} in row {row}, "
            f"and {wrong.sum() - 1} more. Replace them; a weight of 0 leaves a row out."
        )
    if not weights.any():
        raise BadInputError("sample_weight is zero in every row: no row is left.")
    return np.asarray(weights)


def _check_hashable(groups: NDArray[Any]) -> None:
    """Raise for groups of which it cannot be told whether they are the same."""
    for row, group in enumerate(groups if groups.dtype == object else ()):
        try:
            hash(group)
        except TypeError as error:
            raise BadInputError(
                f"groups holds a {type(group).__name__} in row {row}: pass numbers or "
                "text, one value for each row."
            ) from error


def _plain_array(values: Any, name: str) -> NDArray[Any]:
    """Return labels, weights, groups or costs as an array; raise for masked values."""
    check_is_data(values, name)
    if np.ma.isMaskedArray(values):
        n_masked = np.count_nonzero(np.ma.getmaskarray(values))
        if n_masked:
            raise BadInputError(
                f"{name} has {n_masked} masked values: drop those rows or fill them "
                "before fitting."
            )
        values = np.ma.getdata(values)
    native = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(native, nw.Series) and not isinstance(values, pd.Series):
        values = native.to_list()
    return native_array(np.asarray(values))


def relative_weights(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positive weights with mean 1.

    They are rounded, to seven digits, so that the same weights on another scale become
    the same numbers: only ratios count. (In one of some ten million rows, the rounding
    errors of the scale lie across a step, and a digit differs.)
    """
    mantissa, exponent = np.frexp(weights / weights.max())
    relative = np.ldexp(np.round(mantissa * 2.0**24) / 2.0**24, exponent)
    return np.asarray(relative / relative.mean())


def check_labels(y: Any) -> NDArray[Any]:
    """Return labels as an array of one dimension; raise if any is missing."""
    values = label_array(y)
    n_missing = int(np.sum(pd.isna(values)))
    if n_missing:
        raise BadInputError(
            f"y has {n_missing} missing labels (NaN): "
            "drop those rows or label them before fitting."
        )
    if values.dtype == object:
        _check_label_types(values)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise BadInputError("y contains infinity: labels must be finite.")
    if values.dtype != object or not any(isinstance(v, tuple) for v in values[:1]):
        try:
            check_classification_targets(_comparable(values))
        except (ValueError, TypeError) as error:
            raise BadInputError(f"y holds no classes: {error}") from None
    return values


def _check_label_types(labels: NDArray[Any]) -> None:
    """Raise for labels that a saved model could not hold."""
    for kind in {type(label) for label in labels}:
        if issubclass(kind, (pd.Timestamp, pd.Period, pd.Interval, frozenset)):
            raise BadInputError(
                f"y holds labels of type {kind.__name__}, which a saved model cannot "
                "hold: pass them as text, as by y.astype(str)."
            )


def label_array(y: Any) -> NDArray[Any]:
    """Return y as an array of one dimension, with tuples as whole labels."""
    if y is None:
        raise BadInputError(
            "requires y to be passed, but the target y is None: pass the labels."
        )
    if sparse.issparse(y):
        raise BadInputError("y is a sparse matrix: pass a dense array of labels.")
    if isinstance(y, (list, tuple, pd.Series)):
        types = {type(label) for label in y}
        # NumPy would split tuples, and turn 1 into "1" beside text.
        if tuple in types or (str in types and len(types) > 1):
            objects = np.empty(len(y), dtype=object)
            objects[:] = list(y)
            return objects
    values = _plain_array(y, "y")
    if values.ndim == 2 and values.shape[1] > 1:
        raise BadInputError(
            f"y has shape {values.shape}: one column of labels is needed "
            "(multilabel targets are not supported)."
        )
    labels = np.asarray(column_or_1d(values, warn=True))
    # scikit-learn refuses bytes of a fixed width.
    return labels.astype(object) if labels.dtype.kind == "S" else labels


def _comparable(values: NDArray[Any]) -> NDArray[Any]:
    """Return labels in a form whose type scikit-learn recognises."""
    if values.dtype != object or all(isinstance(v, str) for v in values):
        return values
    is_numeric = all(isinstance(v, numbers.Real) for v in values)
    return values.astype(float if is_numeric else str)


def _encode_labels(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return sorted classes, and codes; labels without an order are sorted as text."""
    codes, uniques = pd.factorize(labels)
    try:
        order = np.argsort(uniques, kind="stable")
    except TypeError:
        texts = [(type(label).__name__, repr(label)) for label in uniques]
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__))
    return np.asarray(uniques)[order], np.argsort(order)[codes]


def codes_of(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return the code of each label; raise for a label that `classes` lack."""
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


def _check_classes(classes: NDArray[Any], codes: NDArray[np.intp]) -> None:
    """Raise unless there are two classes of two rows; others are set aside."""
    if len(classes) == 1:
        raise BadInputError(
            f"y holds only one class, {classes.tolist()[0]!r}: a classifier needs at "
            "least two, in rows of positive weight."
        )
    counts = np.bincount(codes)
    if np.count_nonzero(counts > 1) < 2:
        single = [repr(c) for c in classes[counts < 2].tolist()]
        raise BadInputError(
            "two classes need at least 2 rows each, to be cross-validated; "
            f"{', '.join(single[:5])} has 1 (n_samples={len(codes)}): "
            "drop or merge it, or collect more."
        )


def _check_costs(
    costs: Any, classes: NDArray[Any], kept: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the costs (n_kept, n_classes) as floats; raise if they are of no use."""
    expected = (
        f"one column for each of the classes {classes[:20].tolist()}, in this order"
    )
    array = _plain_array(in_order(costs, classes), "costs")
    try:
        values = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"costs must be numbers, {expected}: {error}.") from error
    if values.ndim != 2 or values.shape[1] != len(classes):
        raise BadInputError(f"costs has shape {values.shape}: pass {expected}.")
    values = values[kept]
    infinite = ~(abs(values) <= _MOST_COST)
    if infinite.any():
        row, column = np.argwhere(infinite)[0].tolist()
        raise BadInputError(
            f"costs holds {values[row, column]} in row {kept[row]}, column {column} "
            f"(of {np.count_nonzero(infinite)}): fill or drop those rows, costs are "
            f"numbers up to {_MOST_COST:.0e}."
        )
    if (values == values[:, :1]).all():
        raise BadInputError(
            "costs are the same for every class in each of the rows, so no label is "
            "better than another: give wrong answers a higher cost than right ones."
        )
    return values


def in_order(costs: Any, classes: NDArray[Any]) -> Any:
    """Return costs with a column for each class, in their order.

    Columns of a frame are taken by name, whatever their order. One without names of its
    own is read as an array.
    """
    native = nw.from_native(costs, eager_only=True, pass_through=True)
    if not isinstance(native, nw.DataFrame):
        return costs
    names = list(costs.columns) if isinstance(costs, pd.DataFrame) else native.columns
    is_unnamed = names in (
        list(range(len(classes))),
        [f"column_{i}" for i in range(len(classes))],
    )
    by_text = {str(name): position for position, name in enumerate(names)}
    order = [by_text.get(str(label), -1) for label in classes.tolist()]
    if sorted(order) != list(range(len(names))):
        if is_unnamed:
            return costs
        raise BadInputError(
            f"costs has the columns {names[:20]}, and the classes are "
            f"{classes[:20].tolist()}: name each column by its class, or pass an array "
            "with the columns in the order of the classes."
        )
    return native.to_numpy()[:, order]


def _positive_code(
    classes: NDArray[Any], codes: NDArray[np.intp], pos_label: Any
) -> int | None:
    """Return the code of the class of interest; None for more than two classes."""
    if pos_label is None:
        counts = np.bincount(codes)
        return None if len(counts) > 2 else int(counts[0] >= counts[1])
    positions = [i for i, label in enumerate(classes) if label == pos_label]
    if not positions:
        raise BadInputError(
            f"{pos_label=} is not in y; its classes are {classes[:20].tolist()}."
        )
    if len(classes) > 2:
        raise BadInputError(
            f"{pos_label=} applies to two classes, y has {len(classes)}: leave it "
            "out, every class is then counted."
        )
    return positions[0]


def check_lengths(**arrays: Any) -> None:
    """Raise unless all arrays that are not None have the same number of rows."""
    lengths = {}
    for name, values in arrays.items():
        try:
            if values is not None:
                lengths[name] = _num_samples(values)
        except TypeError as error:
            raise BadInputError(
                f"{name} is a {type(values).__name__}: pass an array with a value, or "
                "values, for each row."
            ) from error
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise BadInputError(f"inconsistent numbers of samples (rows): {listed}.")


def _hash_rows(X: CanonicalRows) -> NDArray[np.uint64]:
    """Return the hash of each row, equal for equal rows."""
    if sparse.issparse(X):
        return sparse_hashes(X)
    frame = pd.DataFrame(X, copy=False)
    hashes = np.empty(len(frame), dtype=np.uint64)
    for batch in gen_batches(len(frame), _HASHED_AT_ONCE):
        rows = hashable_rows(frame.iloc[batch])
        hashes[batch] = pd.util.hash_pandas_object(rows, index=False)
    return hashes
