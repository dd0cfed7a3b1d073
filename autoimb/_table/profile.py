"""The profile of a table: its size, classes and columns, and what may be wrong with it.

`profile_table` returns a `DatasetProfile`, which the flowchart, the catalogue and the
report read. It depends neither on chance nor on the order of the rows.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autoimb._table.column_checks import column_messages, listed
from autoimb._table.minority_types import (
    MAX_NEIGHBOUR_ROWS,
    N_NEIGHBOURS,
    minority_types,
    number_positions,
)
from autoimb._table.table import Table, check_table

Severity = Literal["info", "warning"]

_FEW_MINORITY_ROWS = 50
_CHECKS: dict[str, tuple[str, Severity]] = {
    "AIM001": ("duplicated rows", "warning"),
    "AIM002": ("conflicting labels", "warning"),
    "AIM003": ("very few minority rows", "warning"),
    "AIM004": ("tiny class", "warning"),
    "AIM005": ("possible leak", "warning"),
    "AIM006": ("identifier-like text", "warning"),
    "AIM007": ("scattered minority", "info"),
    "AIM008": ("many missing values", "warning"),
    "AIM009": ("balanced classes", "info"),
    "AIM010": ("common class of interest", "info"),
    "AIM011": ("sampled neighbours", "info"),
    "AIM012": ("how columns are read", "warning"),
    "AIM013": ("identifier-like numbers", "warning"),
    "AIM014": ("labels that look alike", "warning"),
    "AIM015": ("classes set aside", "warning"),
    "AIM016": ("classes change over time", "info"),
}
"""Title and severity of each check, by its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCheck:
    """What a check found in a table."""

    code: str
    """Such as ``"AIM001"``; it stays the same in later versions."""
    title: str
    """Two or three words."""
    severity: Severity
    message: str
    """What the check found, and what to do about it."""

    def __str__(self) -> str:
        return f"{self.code} {self.title}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetProfile:
    """Description of a table, made before any model is fitted.

    Attributes
    ----------
    n_rows, n_features : int
        Size of the table.
    kind_counts : dict
        How many columns there are of each kind, such as ``{"numeric": 5}``.
    missing_share : float
        Share of cells without a value, 0 to 1.
    classes : tuple
        Labels in sorted order, without those of one row, which are set aside.
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
        if it has too few rows.
    max_cardinality : int
        Largest number of distinct values in a categorical column, 0 if there is none.
    has_missing, has_categorical, has_numeric : bool
        Whether there are gaps, text, and columns that become numbers (dates too).
    has_groups, weighted : bool
        Whether the rows belong to groups, and carry weights.
    checks : tuple of ProfileCheck
        What the checks found.
    stored_share : float or None
        Share of cells that are not zero in a matrix that is kept sparse; None for all
        other tables.
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
    stored_share: float | None = None

    @property
    def prevalence(self) -> float:
        """Share of the smallest class, 0 to 1."""
        return self.minority_count / self.n_rows

    @property
    def leaks(self) -> tuple[ProfileCheck, ...]:
        """The checks that found columns which give the class away."""
        return tuple(check for check in self.checks if check.code == "AIM005")

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as data that JSON can hold.

        Returns
        -------
        dict
            Every field by name; labels of types that JSON lacks become text.
        """
        text = json.dumps(
            asdict(self) | {"prevalence": self.prevalence},
            default=lambda v: v.item() if isinstance(v, np.generic) else str(v),
        )
        return json.loads(text)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return "\n".join([*_summary_lines(self), *map(str, self.checks)])


def profile(X: Any, y: Any, *, pos_label: Any = None) -> DatasetProfile:
    """Describe a table: classes, columns, duplicates, and how hard the minority is.

    Parameters
    ----------
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
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
    AIM007 scattered minority: 56% of the rows of class 1 lie among rows of other ...
    """
    return profile_table(check_table(X, y, pos_label=pos_label))


def profile_table(table: Table) -> DatasetProfile:
    """Return the profile of a checked table, its checks included."""
    schema, counts = table.schema, table.class_counts
    labels, missing_shares = table.classes.tolist(), _missing_shares(table)
    same_rows = pd.Series(table.y).groupby(table.row_hashes, sort=False)
    has_other_label = same_rows.transform("min") != same_rows.transform("max")
    cardinalities = [schema.columns[i].n_unique for i in schema.categorical]
    cells = len(table.y) * len(schema.columns)
    facts = DatasetProfile(
        n_rows=len(table.y),
        n_features=len(schema.columns),
        kind_counts=dict(sorted(Counter(c.kind for c in schema.columns).items())),
        missing_share=float(missing_shares.mean()),
        classes=tuple(labels),
        class_counts=tuple(counts.tolist()),
        n_classes=table.n_classes,
        imbalance_ratio=float(counts.max() / counts.min()),
        minority_label=labels[table.minority],
        minority_count=int(counts.min()),
        pos_label=None if table.pos is None else labels[table.pos],
        n_duplicates=len(table.y) - same_rows.ngroups,
        n_conflicting=int(has_other_label.sum()),
        minority_types=minority_types(table, table.minority),
        max_cardinality=max(cardinalities, default=0),
        has_missing=schema.has_missing,
        has_categorical=bool(cardinalities),
        has_numeric=bool(number_positions(schema)),
        has_groups=table.groups is not None,
        weighted=table.sample_weight is not None,
        stored_share=table.X.nnz / cells if schema.is_sparse else None,
    )
    return replace(facts, checks=_checks(facts, table, missing_shares))


def _missing_shares(table: Table) -> NDArray[np.float64]:
    """Return the share of gaps (n_features,) in each column."""
    if not any(column.has_missing for column in table.schema.columns):
        return np.zeros(len(table.schema.columns))
    X = pd.DataFrame(table.X, copy=False)
    # A column without any value is of the kind "constant", which is read as zeros.
    return np.array(
        [
            (X.iloc[:, i].isna().mean() if column.n_unique else 1.0)
            if column.has_missing
            else 0.0
            for i, column in enumerate(table.schema.columns)
        ]
    )


# --- checks: messages by code


def _checks(
    facts: DatasetProfile, table: Table, missing_shares: NDArray[np.float64]
) -> tuple[ProfileCheck, ...]:
    """Return the checks that found something, in the order of their codes."""
    messages = {
        **_row_messages(facts, has_copies=table.has_copies),
        **_class_messages(facts),
        **_type_messages(facts),
        **column_messages(table, missing_shares),
        **({"AIM015": table.set_aside.message} if table.set_aside else {}),
    }
    return tuple(
        ProfileCheck(code=code, title=title, severity=severity, message=messages[code])
        for code, (title, severity) in _CHECKS.items()
        if code in messages
    )


def _row_messages(facts: DatasetProfile, *, has_copies: bool) -> dict[str, str]:
    """Return what the checks of equal rows found."""
    messages = {}
    duplicated_share = facts.n_duplicates / facts.n_rows
    found = f"{facts.n_duplicates:,} rows ({duplicated_share:.1%}) equal an earlier row"
    if has_copies:
        messages["AIM001"] = (
            f"{found}, far more than independent columns repeat by chance: they are "
            "taken for copies. Copies of a row are kept in the same fold (unless cv= "
            "gives the folds, or a class has too few distinct rows), since models that "
            "know rows by heart would flatter every score, and intervals count them as "
            "one. Drop them, unless each is a case of its own."
        )
    elif duplicated_share > 0.01:
        messages["AIM001"] = (
            f"{found}. Where they are copies, and no cases of their own, they flatter "
            "every score on both sides of a fold: drop them, or give equal rows the "
            "same group."
        )
    if facts.n_conflicting:
        messages["AIM002"] = (
            f"{facts.n_conflicting:,} rows equal a row with another label. No model "
            "can tell them apart: look for wrong labels or a feature that is missing."
        )
    return messages


def _class_messages(facts: DatasetProfile) -> dict[str, str]:
    """Return what the checks of class sizes found."""
    messages = {}
    if facts.minority_count < _FEW_MINORITY_ROWS:
        messages["AIM003"] = (
            f"class {facts.minority_label!r} has {facts.minority_count} rows. Every "
            "score is noisy: read the intervals, and collect more if you can."
        )
    counts = zip(facts.classes, facts.class_counts, strict=True)
    tiny = [f"{label!r} ({count})" for label, count in counts if count < 5]
    if tiny:
        messages["AIM004"] = (
            f"fewer than 5 rows: {listed(tiny)}. There are at most "
            f"{facts.minority_count} folds, so that each validates every class; "
            "merging rare classes gives steadier scores."
        )
    if facts.imbalance_ratio < 1.5:
        messages["AIM009"] = (
            f"the imbalance ratio is {facts.imbalance_ratio:.2f}. Methods for "
            "imbalance are hardly needed; choosing the model and the threshold still "
            "is."
        )
    if facts.pos_label not in (None, facts.minority_label):
        messages["AIM010"] = (
            f"the class of interest, {facts.pos_label!r}, is the larger one. Precision "
            "and recall of it are high even by guessing: compare with the no-skill "
            "level."
        )
    if alike := _labels_alike(facts.classes):
        messages["AIM014"] = (
            f"{listed(alike)} differ by spaces, capital letters or type only, and are "
            "classes of their own: if they mean the same, write them alike, as by "
            "y.astype(str).str.strip()."
        )
    return messages


def _labels_alike(classes: tuple[Any, ...]) -> list[str]:
    """Return the labels that look like another one, in quotes."""
    by_text: dict[str, list[Any]] = {}
    for label in classes:
        by_text.setdefault(" ".join(str(label).casefold().split()), []).append(label)
    return [repr(v) for same in by_text.values() if len(same) > 1 for v in same]


def _type_messages(facts: DatasetProfile) -> dict[str, str]:
    """Return what the checks of minority types found."""
    messages = {}
    types = facts.minority_types or {}
    unsafe_share = types.get("rare", 0.0) + types.get("outlier", 0.0)
    if unsafe_share > 0.5:
        messages["AIM007"] = (
            f"{unsafe_share:.0%} of the rows of class {facts.minority_label!r} lie "
            "among rows of other classes. Interpolating between them makes noise: "
            "prefer weights, and under-sampled ensembles."
        )
    if types and facts.n_rows > MAX_NEIGHBOUR_ROWS:
        messages["AIM011"] = (
            "the types of minority rows were measured among "
            f"{MAX_NEIGHBOUR_ROWS:,} of {facts.n_rows:,} rows, every class at the same "
            "rate. Neighbours lie farther apart there, so the types look less safe "
            "than they are."
        )
    return messages


# --- as text and as data


def _summary_lines(facts: DatasetProfile) -> Iterator[str]:
    """Yield the lines that describe a table."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in facts.kind_counts.items())
    kept_as = ""
    if facts.stored_share is not None:
        kept_as = f", kept sparse: {facts.stored_share:.2%} of the cells are not 0"
    yield (
        f"{facts.n_rows:,} rows × {facts.n_features} features ({kinds}), "
        f"{facts.missing_share:.1%} missing{kept_as}"
    )
    counts = dict(zip(facts.classes, facts.class_counts, strict=True))
    classes = listed([f"{label}: {n:,}" for label, n in counts.items()], " · ")
    yield f"classes: {classes} (imbalance ratio {facts.imbalance_ratio:.1f})"
    if facts.pos_label is not None:
        share = counts[facts.pos_label] / facts.n_rows
        yield f"class of interest: {facts.pos_label} ({share:.2%} of the rows)"
    if facts.minority_types:
        types = [f"{name} {share:.0%}" for name, share in facts.minority_types.items()]
        yield f"minority types among {N_NEIGHBOURS} neighbours: {' · '.join(types)}"
    yield (
        f"{facts.n_duplicates:,} duplicated rows, {facts.n_conflicting:,} rows with "
        "conflicting labels"
    )
