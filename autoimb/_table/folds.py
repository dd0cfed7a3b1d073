"""Cross-validation folds, made once per fit, so that all candidates have the same ones.

With few rows of the smallest class scores are noisy and fits are fast, so there are
more folds and repeats. The search uses repeat 0; finalists are scored on the others.
"""

import numbers
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, check_cv

from autoimb._table.table import Table
from autoimb._table.time_ordered import TimeOrdered, pairs_of_table, span_of, times_in
from autoimb.exceptions import BadInputError

# (limit, choice): the first choice whose limit is above the number of rows
_FOLDS_BY_MINORITY = ((60, 8), (251, 5))
_FOLDS_BY_ROWS = ((20_001, 5), (50_001, 4), (np.inf, 3))  # with a larger minority
_REPEATS_BY_MINORITY = ((60, 5), (250, 3), (np.inf, 1))
_REPEATS_BY_ROWS = ((20_001, 5), (50_001, 3), (np.inf, 1))  # the fewer of both
_HOLD_ROW_NUMBERS = (PredefinedSplit, type(check_cv([])))
"""Splitters that hold the numbers of rows, and look at no table."""
Kind = Literal["stratified", "grouped", "together", "time ordered", "given"]
_DESCRIPTIONS: dict[Kind, str] = {
    "stratified": "stratified folds",
    "grouped": "stratified folds of whole groups",
    "together": "stratified folds with copies of a row kept together",
    "time ordered": "folds in order of time, each validated on what follows it",
    "given": "given folds",
}
_OF_THE_USER = {"time ordered", "given"}  # kinds


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One split of the rows into a training and a validation part."""

    repeat: int
    index: int
    """Position within the repeat."""
    train_idx: NDArray[np.intp]
    val_idx: NDArray[np.intp]
    kind: Kind = "given"
    """How it was made: by class, also with whole groups or copies, or by the user."""
    name: str = ""
    """The first and the last time of the validated rows, where folds are by time."""


def make_folds(
    table: Table,
    cv: Any = None,
    *,
    random_state: int,
    n_repeats: int | None = None,
    most: int | None = None,
) -> tuple[Fold, ...]:
    """Return the folds, or raise `BadInputError` if one cannot be fitted or scored.

    Parameters
    ----------
    table : Table
        The training data. With groups, no group is on both sides of a fold. Copies of
        a row are kept together in the same way, where that leaves enough folds.
    cv : int, splitter or iterable of (train, validation) rows, default=None
        None: 8 folds below 60 rows of the smallest class, 5 up to 250; above that 5
        folds up to 20,000 rows, 4 up to 50,000, else 3. Never more than the smallest
        class has rows (or groups). Splitters and iterables are used as they are; a
        fold that validates a row again starts a new repeat. Iterables, and
        `PredefinedSplit`, number the rows that the user passed; other splitters see
        those of positive weight.
    random_state : int
        Seed of the shuffling. Repeat r is the same however many repeats there are.
    n_repeats : int, default=None
        None: 5 below 60 rows of the smallest class, 3 below 250, else 1; 3 at most
        above 20,000 rows, and 1 above 50,000. Ignored where `cv` is a splitter or an
        iterable.
    most : int, default=None
        The most folds that there is time for, where `cv` is None.

    Returns
    -------
    tuple of Fold
        Ordered by repeat and index.
    """
    is_number = isinstance(cv, numbers.Integral) and not isinstance(cv, bool)
    if cv is None or is_number:
        if table.has_copies:
            with suppress(BadInputError):  # some class has too few distinct rows
                return _stratified_folds(table, cv, random_state, n_repeats, most)
            table = replace(table, units=np.arange(len(table.y)))
        return _stratified_folds(table, cv, random_state, n_repeats, most)
    folds = tuple(_user_folds(table, cv))
    if not folds:
        was_read = isinstance(cv, Iterator)  # possibly by an earlier fit
        hint = " Pass list(cv): it can be read once only." if was_read else ""
        raise BadInputError(f"{cv=} gives no folds.{hint}")
    _check_groups(folds, table)
    if flaw := _first_flaw(folds, table):
        raise BadInputError(f"{flaw} {_advice(folds, table)}")
    return folds


def describe_folds(folds: Sequence[Fold]) -> str:
    """Return words such as "5 stratified folds, up to 3 repeats for finalists"."""
    sizes = Counter(fold.repeat for fold in folds)
    fewest, most = min(sizes.values()), max(sizes.values())
    count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    text = f"{count} {_DESCRIPTIONS[folds[0].kind]}"
    return (
        text if len(sizes) == 1 else f"{text}, up to {len(sizes)} repeats for finalists"
    )


def _stratified_folds(
    table: Table, cv: int | None, seed: int, n_repeats: int | None, most: int | None
) -> tuple[Fold, ...]:
    """Return folds with an even share of every class in each."""
    minority_count = int(table.class_counts.min())
    n_folds = _resolve_n_folds(table, cv)
    if cv is None and most is not None:
        n_folds = min(n_folds, most)
    if n_repeats is None:
        n_repeats = min(
            _first_above(minority_count, _REPEATS_BY_MINORITY),
            _first_above(len(table.y), _REPEATS_BY_ROWS),
        )
    if n_repeats < 1:
        raise BadInputError(f"{n_repeats=} must be at least 1.")
    fewest, flaw = n_folds if cv else 2, None
    # Whole groups cannot always be spread evenly; over fewer folds they may be.
    for n in range(n_folds, fewest - 1, -1):
        folds = tuple(_cut(table, n, seed, n_repeats))
        flaw = _first_flaw(folds, table)
        if flaw is None:
            return folds
    raise BadInputError(
        f"{flaw} Groups must stay whole: use fewer folds or smaller groups, or "
        "pass cv=[(train_rows, validation_rows), ...]."
    )


def _resolve_n_folds(table: Table, cv: int | None) -> int:
    """Return how many folds to make, at most as many as can validate every class."""
    counts, unit = table.class_counts, "rows"
    if table.groups is not None or table.has_copies:
        counts, unit = (_group_counts(table)[1] > 0).sum(axis=0), "groups"
    limit, label = int(counts.min()), table.classes.tolist()[int(counts.argmin())]
    if limit < 2:
        raise BadInputError(
            f"class {label!r} occurs in one of the groups only, so it cannot be in the "
            "training and the validation part of a fold: use smaller groups, or none."
        )
    if cv is None:
        by_rows = _first_above(len(table.y), _FOLDS_BY_ROWS)
        by_minority = (*_FOLDS_BY_MINORITY, (np.inf, by_rows))
        return min(limit, _first_above(table.class_counts.min(), by_minority))
    if not 2 <= cv <= limit:
        raise BadInputError(
            f"{cv=} must lie between 2 and {limit}, as every fold validates all "
            f"classes and class {label!r} has {limit} {unit}: choose another number, "
            "or merge or drop that class."
        )
    return int(cv)


def _first_above(value: int, choices: Iterable[tuple[float, int]]) -> int:
    """Return the choice of the first (limit, choice) whose limit is above the value."""
    return next(choice for limit, choice in choices if value < limit)


def _cut(table: Table, n_folds: int, seed: int, n_repeats: int) -> Iterator[Fold]:
    """Yield the folds of every repeat, each repeat with a seed of its own."""
    for repeat in range(n_repeats):
        sequence = np.random.SeedSequence(seed, spawn_key=(repeat,))
        repeat_seed = int(sequence.generate_state(1)[0])
        if table.groups is None and not table.has_copies:
            splitter = StratifiedKFold(n_folds, shuffle=True, random_state=repeat_seed)
            for index, (train, val) in enumerate(splitter.split(table.y, table.y)):
                yield Fold(repeat, index, train, val, "stratified")
            continue
        kind: Kind = "together" if table.has_copies else "grouped"
        assign = _deal_copies if table.has_copies else _assign_groups
        fold_of_row = assign(table, n_folds, repeat_seed)
        for index in range(n_folds):
            is_val = fold_of_row == index
            train, val = np.flatnonzero(~is_val), np.flatnonzero(is_val)
            yield Fold(repeat, index, train, val, kind)


def _assign_groups(table: Table, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold that validates each row, the same for all rows of a group.

    The groups of the rarest class come first, and large ones before small ones. Each
    goes to the fold that lacks it most. Group sizes are multiplied by random factors,
    as the repeats would hardly differ otherwise. With 20,000 groups this takes 0.2 s
    and scikit-learn's StratifiedGroupKFold 12 s.
    """
    rng = np.random.default_rng(seed)
    group_of_row, counts = _group_counts(table)
    fold_of_group = np.full(len(counts), -1)
    load = np.zeros((n_folds, table.n_classes))
    for code in np.argsort(table.class_counts, kind="stable"):
        groups = np.flatnonzero((fold_of_group < 0) & (counts[:, code] > 0))
        sizes = counts[groups, code] * rng.uniform(0.5, 1.5, len(groups))
        for group in groups[np.argsort(-sizes)]:
            fold = _choose_fold(load, counts[group], code)
            load[fold] += counts[group]
            fold_of_group[group] = fold
    return fold_of_group[group_of_row]


def _deal_copies(table: Table, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold that validates each row, the same for copies of one row.

    Class by class, the rarest first, rows and sets of copies are dealt to the folds in
    turn, large sets before small ones, so that folds have about as many rows of each.
    It takes 0.2 s for 300,000 rows, most of which have no copy.
    """
    rng = np.random.default_rng(seed)
    unit_of_row, counts = _group_counts(table)
    rank_of_class = np.argsort(np.argsort(table.class_counts, kind="stable"))
    rank = np.where(counts > 0, rank_of_class, table.n_classes).min(axis=1)
    size = counts.sum(axis=1) * rng.uniform(0.5, 1.5, len(counts))
    fold_of_unit = np.empty(len(counts), dtype=np.intp)
    fold_of_unit[np.lexsort((-size, rank))] = np.arange(len(counts)) % n_folds
    return fold_of_unit[unit_of_row]


def _choose_fold(load: NDArray[np.float64], group: NDArray[np.intp], code: int) -> int:
    """Return the fold to which a group goes.

    Folds without rows of the class `code` come first, then those that lack most classes
    of the group, then those with the fewest rows of `code`.

    Parameters
    ----------
    load : ndarray of shape (n_folds, n_classes)
        Rows of each class in each fold.
    group : ndarray of shape (n_classes,)
        Rows of each class in the group.
    code : int
        The class by which groups are spread at present.
    """
    if load.all():  # faster, with the same result
        return int(load[:, code].argmin())
    lacks = (load == 0) & (group > 0)
    return int(np.lexsort((load[:, code], -lacks.sum(axis=1), ~lacks[:, code]))[0])


def _group_counts(table: Table) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return each row's group code, and rows (n_groups, n_classes) of each class."""
    codes = table.units
    n_groups = int(codes.max()) + 1
    cells = codes * table.n_classes + table.y
    counts = np.bincount(cells, minlength=n_groups * table.n_classes)
    return codes, counts.reshape(n_groups, table.n_classes)


def _check_groups(folds: Iterable[Fold], table: Table) -> None:
    """Raise if rows of one group are in both parts of a fold, which is a leak."""
    if table.groups is None:
        return
    codes = table.units
    for fold in folds:
        split_groups = np.intersect1d(codes[fold.train_idx], codes[fold.val_idx])
        if len(split_groups):
            row = int(np.argmax(codes == split_groups[0]))
            raise BadInputError(
                "cv= trains and validates on rows of group "
                f"{table.groups[row : row + 1].tolist()[0]!r}, which "
                "flatters every score: pass a number such as cv=5, which keeps groups "
                "whole, or a splitter that does, such as StratifiedGroupKFold."
            )


def _advice(folds: Sequence[Fold], table: Table) -> str:
    """Return what to do about folds that lack a class, in the spirit of the folds."""
    if all(fold.train_idx.max() < fold.val_idx.min() for fold in folds):
        return (
            "These folds keep the order of the rows, as those of a time series do: "
            "take fewer splits, or longer training parts, so that the first of them "
            "holds rows of every class."
        )
    if table.groups is not None:
        return "Use cv=5: with groups, it makes folds of whole groups with every class."
    return "Use stratified folds, such as cv=5."


def _first_flaw(folds: Iterable[Fold], table: Table) -> str | None:
    """Return which class a part of a fold lacks; None if no part lacks any.

    The user's own folds of many classes need to validate two of them only.
    """
    for fold in folds:
        n_validated = 2 if fold.kind in _OF_THE_USER else table.n_classes
        parts = (
            ("training", fold.train_idx, table.n_classes),
            ("validation", fold.val_idx, n_validated),
        )
        for part, rows, n_needed in parts:
            occurs = np.bincount(table.y[rows], minlength=table.n_classes) > 0
            if occurs.sum() >= n_needed:
                continue
            lacks_positives = table.pos is not None and not occurs[table.pos]
            code = table.pos if lacks_positives else int(occurs.argmin())
            text = (
                f"The {part} part of fold {fold.index} in repeat {fold.repeat} has no "
                f"row of class {table.classes.tolist()[code]!r}."
            )
            if lacks_positives and part == "validation":
                text += " A fold without positives is never made."
            return text
    return None


def _user_folds(table: Table, cv: Any) -> Iterator[Fold]:
    """Yield the user's folds; one that validates a row again starts a new repeat."""
    repeat = index = 0
    kind: Kind = "time ordered" if isinstance(cv, TimeOrdered) else "given"
    times = times_in(table, cv) if isinstance(cv, TimeOrdered) else np.array([])
    validated = np.zeros(len(table.y), dtype=bool)
    for train_idx, val_idx in _user_pairs(table, cv):
        if validated[val_idx].any():
            repeat, index = repeat + 1, 0
            validated[:] = False
        validated[val_idx] = True
        name = span_of(times[val_idx]) if kind == "time ordered" else ""
        yield Fold(repeat, index, train_idx, val_idx, kind, name)
        index += 1


def _user_pairs(
    table: Table, cv: Any
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the rows of the table in both parts of each of the user's folds."""
    n_rows, given = len(table.y), table.given
    pairs: Iterable[Any] = cv
    if isinstance(cv, TimeOrdered):
        pairs = pairs_of_table(cv, table)
    elif hasattr(cv, "split") and not isinstance(cv, (str, bytes, type)):
        groups = () if table.groups is None else (table.groups,)
        pairs = cv.split(table.X, table.y, *groups)
        if isinstance(cv, _HOLD_ROW_NUMBERS):
            n_rows = given.n_rows
    elif isinstance(cv, Iterable) and not isinstance(cv, (str, bytes, Mapping)):
        n_rows = given.n_rows
    else:
        raise BadInputError(
            f"{cv=} must be None, a number of folds, a scikit-learn splitter such as "
            "StratifiedKFold(5), or an iterable of (train_rows, validation_rows)."
        )
    at = np.full(n_rows, -1)
    at[given.rows if n_rows == given.n_rows else slice(None)] = np.arange(len(table.y))
    for position, pair in enumerate(pairs):
        train, val = (at[part] for part in _checked_pair(pair, position, n_rows))
        if (val >= 0).any():
            yield train[train >= 0], val[val >= 0]


def _checked_pair(
    pair: Any, position: int, n_rows: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return both parts of a user's fold as row numbers; raise if they overlap."""
    try:
        train, val = pair
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(
            f"fold {position} of cv is not a pair (train_rows, validation_rows)."
        ) from error
    train_idx = _checked_rows(train, n_rows, f"training part of fold {position}")
    val_idx = _checked_rows(val, n_rows, f"validation part of fold {position}")
    if len(np.unique(val_idx)) < len(val_idx):
        raise BadInputError(f"fold {position} of cv validates a row twice.")
    if np.isin(val_idx, train_idx).any():
        raise BadInputError(
            f"fold {position} of cv trains on rows that it validates, which would "
            "flatter every candidate."
        )
    return train_idx, val_idx


def _checked_rows(rows: Any, n_rows: int, where: str) -> NDArray[np.intp]:
    """Return the rows of a part, numbers or a mask, as numbers; raise if impossible."""
    array = np.asarray(rows)
    if array.dtype == bool and array.shape == (n_rows,):
        array = np.flatnonzero(array)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) == 0:
        raise BadInputError(
            f"the {where} of cv must be row numbers or a mask of {n_rows} rows, "
            "and not empty."
        )
    if array.min() < 0 or array.max() >= n_rows:
        raise BadInputError(
            f"the {where} of cv names row {int(array.max())} or a negative one; "
            f"rows are numbered 0 to {n_rows - 1}."
        )
    return array.astype(np.intp)
