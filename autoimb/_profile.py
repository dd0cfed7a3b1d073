"""Measure what decides how a table should be handled, and notice what is wrong with it.

`profile_table` fills a `DatasetProfile`; the guide, the catalogue and the report read
it. Nothing here depends on chance or on the order of the rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from autoimb._columns import take
from autoimb._data import Table, check_table
from autoimb._neighbours import (
    MAX_NEIGHBOUR_ROWS,
    N_NEIGHBOURS,
    as_numbers,
    minority_types,
    number_positions,
    spread_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Severity = Literal["info", "warning"]

_MAX_LEAK_ROWS = 2_000  # of each class: ample to tell an AUC of 0.995
_MIN_LEAK_ROWS = 20  # fewer are separated by luck too often
_LEAK_AUC = 0.995
_FEW_MINORITY = 50
_SHOWN = 6  # items of a long list


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCheck:
    """Something worth knowing about a table."""

    code: str
    """Stable, such as ``"AIM001"``."""
    title: str
    """Two or three words."""
    severity: Severity
    message: str
    """What was seen, and what to do about it."""

    def __str__(self) -> str:
        return f"{self.code} {self.title}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetProfile:
    """What is known about a table before anything is fitted.

    Attributes
    ----------
    n_rows, n_features : int
        Size of the table.
    kind_counts : dict
        How many columns there are of each kind, such as ``{"numeric": 5}``.
    missing_share : float
        Share of cells without a value, 0 to 1.
    classes : tuple
        Labels in sorted order.
    class_counts : tuple of int
        Rows of each class, in the order of `classes`.
    n_classes : int
        How many classes there are.
    imbalance_ratio : float
        Rows of the largest class for one row of the smallest.
    minority_label : label
        The smallest class; of two equal ones the positive class.
    minority_count : int
        Rows of the smallest class.
    pos_label : label or None
        The class of interest; None for more than two classes.
    n_duplicates : int
        Rows that equal an earlier row in every feature.
    n_conflicting : int
        Rows that equal a row with another label in every feature.
    minority_types : dict or None
        Shares of safe, borderline, rare and outlier rows of the smallest class; None
        where it has too few rows to tell.
    max_cardinality : int
        Most distinct values of a categorical column, 0 without any.
    has_missing, has_categorical, has_numeric : bool
        Whether there are gaps, text, and columns that become numbers (dates too).
    has_groups, weighted : bool
        Whether the rows belong to groups, and carry weights.
    checks : tuple of ProfileCheck
        What is worth knowing.
    """

    n_rows: int
    n_features: int
    kind_counts: dict[str, int]
    missing_share: float
    classes: tuple[Any, ...]
    class_counts: tuple[int, ...]
    n_classes: int
    imbalance_ratio: float
    minority_label: Any
    minority_count: int
    pos_label: Any
    n_duplicates: int
    n_conflicting: int
    minority_types: dict[str, float] | None
    max_cardinality: int
    has_missing: bool
    has_categorical: bool
    has_numeric: bool
    has_groups: bool
    weighted: bool
    checks: tuple[ProfileCheck, ...] = ()

    @property
    def prevalence(self) -> float:
        """Share of the smallest class, 0 to 1."""
        return self.minority_count / self.n_rows

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data.

        Returns
        -------
        dict
            Every field by name; labels that JSON lacks become text.
        """
        plain: dict[str, Any] = _plain(asdict(self))
        return plain | {"prevalence": self.prevalence}

    def __str__(self) -> str:
        return "\n".join([*_summary(self), *map(str, self.checks)])


def profile(X: Any, y: Any, *, pos_label: Any = None) -> DatasetProfile:
    """Describe a table: classes, columns, duplicates, and how hard the minority is.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n_samples, n_features)
        Features; pandas, polars and pyarrow tables may hold text, dates and gaps.
    y : array-like of shape (n_samples,)
        Labels of any kind.
    pos_label : label, default=None
        The class of interest of two; None means the rarer one.

    Returns
    -------
    DatasetProfile
        Prints as a short summary; `to_dict` gives JSON-able data.

    Raises
    ------
    BadInputError
        If the table cannot be learned from; the message says why.

    Notes
    -----
    Minority types [1]_ count rows of the same class among the 5 nearest neighbours of a
    row of the smallest class: safe (4 or 5), borderline (2 or 3), rare (1) or outlier
    (0). Numbers are scaled to unit variance with gaps at the median; two categories are
    1 apart if they differ. Rows at equal distance share the places that are left.

    References
    ----------
    .. [1] Napierala and Stefanowski, "Types of minority class examples and their
       influence on learning classifiers from imbalanced data", J. Intell. Inf. Syst.
       46, 2016, doi:10.1007/s10844-015-0368-1.

    Examples
    --------
    >>> import autoimb
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(400, weights=[0.9], random_state=0)
    >>> found = autoimb.profile(X, y)
    >>> found.minority_label, found.minority_count
    (1, 41)
    >>> print(found)
    400 rows × 20 features (20 numeric), 0.0% missing
    classes: 0: 359 · 1: 41 (imbalance ratio 8.8)
    class of interest: 1 (10.25% of the rows)
    minority types among 5 neighbours: safe 17% · borderline 27% · rare 27% · ...
    0 duplicated rows, 0 rows with conflicting labels
    AIM003 very few minority rows: class 1 has 41 rows. ...
    AIM007 scattered minority: 56% of the rows of class 1 lie among other classes. ...
    """
    return profile_table(check_table(X, y, pos_label=pos_label))


def profile_table(table: Table) -> DatasetProfile:
    """Return the profile of a checked table, its checks included."""
    schema, counts = table.schema, table.class_counts
    minority, labels = _minority_code(table), table.classes.tolist()
    missing = _missing_shares(table)
    n_duplicates, n_conflicting = _count_duplicates(table)
    cardinalities = [schema.columns[i].n_unique for i in schema.categorical]
    facts = DatasetProfile(
        n_rows=len(table.y),
        n_features=len(schema.columns),
        kind_counts=schema.kind_counts(),
        missing_share=float(missing.mean()),
        classes=tuple(labels),
        class_counts=tuple(counts.tolist()),
        n_classes=table.n_classes,
        imbalance_ratio=float(counts.max() / counts.min()),
        minority_label=labels[minority],
        minority_count=int(counts.min()),
        pos_label=None if table.pos is None else labels[table.pos],
        n_duplicates=n_duplicates,
        n_conflicting=n_conflicting,
        minority_types=minority_types(table, minority),
        max_cardinality=max(cardinalities, default=0),
        has_missing=schema.has_missing,
        has_categorical=bool(cardinalities),
        has_numeric=bool(number_positions(schema)),
        has_groups=table.groups is not None,
        weighted=table.sample_weight is not None,
    )
    return replace(facts, checks=tuple(_noticed(_Evidence(facts, table, missing))))


def _minority_code(table: Table) -> int:
    """Return the code of the smallest class; of equal ones the positive class."""
    counts = table.class_counts
    return min(range(table.n_classes), key=lambda c: (counts[c], c != table.pos))


def _missing_shares(table: Table) -> NDArray[np.float64]:
    """Return the share of gaps (n_features,) in each column."""
    X = pd.DataFrame(table.X, copy=False)
    # A column without any value is constant, and reads as zeros in a frame.
    return np.array(
        [
            (X.iloc[:, i].isna().mean() if column.n_unique else 1.0)
            if column.has_missing
            else 0.0
            for i, column in enumerate(table.schema.columns)
        ]
    )


def _count_duplicates(table: Table) -> tuple[int, int]:
    """Return rows that equal an earlier row, and rows that equal one labelled apart."""
    order = np.argsort(table.row_hashes)
    is_new = np.diff(table.row_hashes[order], prepend=0) != 0
    is_new[0] = True
    start, labels = np.flatnonzero(is_new), table.y[order]
    lowest, highest = (f.reduceat(labels, start) for f in (np.minimum, np.maximum))
    sizes = np.diff(start, append=len(order))
    return len(order) - len(start), int(sizes[lowest != highest].sum())


# --- checks


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """What a check may look at."""

    profile: DatasetProfile
    table: Table
    missing: NDArray[np.float64]
    """Share of gaps (n_features,) in each column."""

    def named(self, chosen: NDArray[Any] | list[int]) -> str:
        """Return the names of columns, a few of many."""
        return _listed([repr(self.table.schema.columns[i].name) for i in chosen])


def _duplicated(seen: _Evidence) -> str | None:
    """Return a message if more than 1% of the rows repeat an earlier one."""
    share = seen.profile.n_duplicates / seen.profile.n_rows
    if share <= 0.01:
        return None
    return (
        f"{seen.profile.n_duplicates:,} rows ({share:.1%}) equal an earlier row. "
        "Copies on both sides of a fold flatter every score: drop them, or give equal "
        "rows the same group."
    )


def _conflicting(seen: _Evidence) -> str | None:
    """Return a message if equal rows have different labels."""
    if not seen.profile.n_conflicting:
        return None
    return (
        f"{seen.profile.n_conflicting:,} rows equal a row with another label. No model "
        "can tell them apart: look for wrong labels or a feature that is missing."
    )


def _few_minority(seen: _Evidence) -> str | None:
    """Return a message if the smallest class has fewer than 50 rows."""
    if seen.profile.minority_count >= _FEW_MINORITY:
        return None
    return (
        f"class {seen.profile.minority_label!r} has {seen.profile.minority_count} "
        "rows. Every score is noisy: read the intervals, and collect more if you can."
    )


def _tiny_class(seen: _Evidence) -> str | None:
    """Return a message if a class has fewer rows than there are usually folds."""
    counts = zip(seen.profile.classes, seen.profile.class_counts, strict=True)
    tiny = [f"{label!r} ({count})" for label, count in counts if count < 5]
    if not tiny:
        return None
    return (
        f"fewer than 5 rows: {_listed(tiny)}. There are at most "
        f"{seen.profile.minority_count} folds, so that each validates every class; "
        "merging rare classes gives steadier scores."
    )


def _leak(seen: _Evidence) -> str | None:
    """Return a message if one column ranks the two classes almost perfectly."""
    if seen.table.pos is None or seen.profile.minority_count < _MIN_LEAK_ROWS:
        return None
    areas = _single_column_areas(seen.table)
    positions = np.array(number_positions(seen.table.schema), dtype=np.intp)
    suspects = positions[areas >= _LEAK_AUC]
    if not len(suspects):
        return None
    return (
        f"{seen.named(suspects)} alone separates the classes (ROC-AUC of at least "
        f"{_LEAK_AUC}). Was it known before the outcome? If not, drop it."
    )


def _single_column_areas(table: Table) -> NDArray[np.float64]:
    """Return the ROC-AUC (d,) of each number taken as the score, in its better sense.

    A gap counts as the lowest number, since what is missing can give the class away.
    """
    by_class = (np.flatnonzero(table.y == code) for code in range(2))
    rows = np.concatenate([spread_rows(table, r, _MAX_LEAK_ROWS) for r in by_class])
    numbers = as_numbers(take(table.X, rows), table.schema)
    ranks = rankdata(np.nan_to_num(numbers, nan=-np.inf), axis=0)
    n_low, n_high = np.bincount(table.y[rows])
    high_ranks = ranks[table.y[rows] == 1].sum(axis=0)
    area = (high_ranks / n_high - (n_high + 1) / 2) / n_low
    return np.asarray(np.maximum(area, 1 - area))


def _identifier(seen: _Evidence) -> str | None:
    """Return a message if nearly all values of a text column are distinct."""
    observed = (1 - seen.missing) * seen.profile.n_rows
    suspects = [
        i
        for i in seen.table.schema.categorical
        if seen.table.schema.columns[i].n_unique >= max(20, 0.9 * observed[i])
    ]
    if not suspects:
        return None
    return (
        f"nearly every value of {seen.named(suspects)} is distinct, so nothing can be "
        "learned from it as it is: drop it, or derive features from it."
    )


def _unsafe_minority(seen: _Evidence) -> str | None:
    """Return a message if most minority rows are rare or outliers."""
    types = seen.profile.minority_types or {}
    unsafe = types.get("rare", 0.0) + types.get("outlier", 0.0)
    if unsafe <= 0.5:
        return None
    return (
        f"{unsafe:.0%} of the rows of class {seen.profile.minority_label!r} lie among "
        "other classes. Interpolating between them makes noise: prefer weights, and "
        "under-sampled ensembles."
    )


def _many_missing(seen: _Evidence) -> str | None:
    """Return a message if over 30% of all cells, or 80% of a column, are missing."""
    found = []
    if seen.profile.missing_share > 0.3:
        found.append(f"{seen.profile.missing_share:.0%} of all cells are missing")
    sparse = np.flatnonzero(seen.missing > 0.8)
    if len(sparse):
        found.append(f"more than 80% of {seen.named(sparse)} is missing")
    if not found:
        return None
    return (
        f"{'; '.join(found)}. Check how the table was read; a column with next to no "
        "values is best dropped."
    )


def _balanced(seen: _Evidence) -> str | None:
    """Return a message if the largest class is below 1.5 times the smallest."""
    if seen.profile.imbalance_ratio >= 1.5:
        return None
    return (
        f"the imbalance ratio is {seen.profile.imbalance_ratio:.2f}. Methods for "
        "imbalance are hardly needed; choosing the model and the threshold still is."
    )


def _common_positive(seen: _Evidence) -> str | None:
    """Return a message if the user named the larger class as that of interest."""
    pos_label = seen.profile.pos_label
    if seen.table.pos is None or pos_label == seen.profile.minority_label:
        return None
    return (
        f"the class of interest, {pos_label!r}, is the larger one. Precision and "
        "recall of it are high even by guessing: compare with the no-skill level."
    )


def _sampled_neighbours(seen: _Evidence) -> str | None:
    """Return a message if minority types were measured on a part of the rows."""
    if seen.profile.n_rows <= MAX_NEIGHBOUR_ROWS or not seen.profile.minority_types:
        return None
    return (
        f"the types of minority rows were measured among {MAX_NEIGHBOUR_ROWS:,} of "
        f"{seen.profile.n_rows:,} rows, every class at the same rate. Neighbours lie "
        "farther apart there, so the types look less safe than they are."
    )


_CHECKS: tuple[tuple[str, str, Severity, Callable[[_Evidence], str | None]], ...] = (
    ("AIM001", "duplicated rows", "warning", _duplicated),
    ("AIM002", "conflicting labels", "warning", _conflicting),
    ("AIM003", "very few minority rows", "warning", _few_minority),
    ("AIM004", "tiny class", "warning", _tiny_class),
    ("AIM005", "possible leak", "warning", _leak),
    ("AIM006", "identifier-like text", "warning", _identifier),
    ("AIM007", "scattered minority", "info", _unsafe_minority),
    ("AIM008", "many missing values", "warning", _many_missing),
    ("AIM009", "balanced classes", "info", _balanced),
    ("AIM010", "common class of interest", "info", _common_positive),
    ("AIM011", "sampled neighbours", "info", _sampled_neighbours),
)


def _noticed(evidence: _Evidence) -> Iterator[ProfileCheck]:
    """Yield the checks that found something."""
    for code, title, severity, find in _CHECKS:
        if message := find(evidence):
            yield ProfileCheck(
                code=code, title=title, severity=severity, message=message
            )


# --- in words and as data


def _summary(found: DatasetProfile) -> Iterator[str]:
    """Yield the lines that describe a table."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.kind_counts.items())
    yield (
        f"{found.n_rows:,} rows × {found.n_features} features ({kinds}), "
        f"{found.missing_share:.1%} missing"
    )
    counts = zip(found.classes, found.class_counts, strict=True)
    classes = _listed([f"{label}: {count:,}" for label, count in counts], " · ")
    yield f"classes: {classes} (imbalance ratio {found.imbalance_ratio:.1f})"
    if found.pos_label is not None:
        share = found.class_counts[found.classes.index(found.pos_label)] / found.n_rows
        yield f"class of interest: {found.pos_label} ({share:.2%} of the rows)"
    if found.minority_types:
        types = [f"{name} {share:.0%}" for name, share in found.minority_types.items()]
        yield f"minority types among {N_NEIGHBOURS} neighbours: {' · '.join(types)}"
    yield (
        f"{found.n_duplicates:,} duplicated rows, {found.n_conflicting:,} rows with "
        "conflicting labels"
    )


def _listed(items: list[str], separator: str = ", ") -> str:
    """Return the items in a line, a few of many."""
    more = len(items) - _SHOWN
    shown = items[:_SHOWN] + ([f"{more} more"] if more > 0 else [])
    return separator.join(shown)


def _plain(value: Any) -> Any:
    """Return nested data with nothing in it that JSON lacks."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    is_known = value is None or isinstance(value, (bool, int, float, str))
    return value if is_known else str(value)
