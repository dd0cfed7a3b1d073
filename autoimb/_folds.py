"""Cut the rows into folds once, so that every candidate is judged on the same ones.

Few rows of the smallest class make scores noisy and fits cheap, so there are more
folds and repeats then. The search uses repeat 0; finalists are scored on the others.
"""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._data import Table

_FOLDS_BELOW = ((60, 8), (251, 5))  # rows of the smallest class -> folds
_FOLDS_UP_TO = ((20_000, 5), (50_000, 4))  # otherwise: rows -> folds
_FEWEST_FOLDS = 3
_REPEATS_BELOW = ((60, 5), (250, 3))  # rows of the smallest class -> repeats
_KINDS = {
    "stratified": "stratified folds",
    "grouped": "stratified folds of whole groups",
    "given": "given folds",
}


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One way to cut the rows into a training and a validation part."""

    repeat: int
    index: int
    """Position within the repeat."""
    train_idx: NDArray[np.intp]
    val_idx: NDArray[np.intp]
    kind: Literal["stratified", "grouped", "given"] = "given"


def make_folds(
    table: Table, cv: Any = None, *, random_state: int, n_repeats: int | None = None
) -> tuple[Fold, ...]:
    """Return the folds, or raise `BadInputError` if one could not judge anything.

    Parameters
    ----------
    table : Table
        The training data. With groups, no group is on both sides of a fold.
    cv : int, splitter or iterable of (train, validation) rows, default=None
        None: 8 folds below 60 rows of the smallest class, 5 up to 250; above that 5
        folds up to 20,000 rows, 4 up to 50,000, else 3. Never more than the smallest
        class has rows (or groups). Splitters and iterables are used as they are; a
        fold that validates a row again starts a new repeat.
    random_state : int
        Seed of the shuffling. Repeat r is the same however many repeats there are.
    n_repeats : int, default=None
        None: 5 below 60 rows of the smallest class, 3 below 250, else 1. Ignored
        where `cv` is a splitter or an iterable.

    Returns
    -------
    tuple of Fold
        Ordered by repeat and index.
    """
    if isinstance(cv, numbers.Integral) and not isinstance(cv, bool):
        return _stratified_folds(table, int(cv), random_state, n_repeats)
    if cv is None:
        return _stratified_folds(table, None, random_state, n_repeats)
    folds = tuple(_given_folds(table, cv))
    if not folds:
        is_used_up = isinstance(cv, Iterator)  # an earlier fit may have read it
        hint = " Pass list(cv): it can be read once only." if is_used_up else ""
        raise BadInputError(f"{cv=} gives no folds.{hint}")
    _check_groups(folds, table)
    flaws = _flaws(folds, table)
    if flaws:
        raise BadInputError(f"{flaws[0]} Use stratified folds, such as cv=5.")
    return folds


def folds_of_repeat(folds: Sequence[Fold], repeat: int) -> tuple[Fold, ...]:
    """Return the folds of one repeat."""
    return tuple(fold for fold in folds if fold.repeat == repeat)


def n_repeats(folds: Sequence[Fold]) -> int:
    """Return how many repeats there are."""
    return 1 + max(fold.repeat for fold in folds)


def describe_folds(folds: Sequence[Fold]) -> str:
    """Return such words as "5 stratified folds, 3 repeats for finalists"."""
    sizes = Counter(fold.repeat for fold in folds).values()
    few, many = min(sizes), max(sizes)
    count = f"{few}" if few == many else f"{few} to {many}"
    text = f"{count} {_KINDS[folds[0].kind]}"
    repeats = n_repeats(folds)
    return text if repeats == 1 else f"{text}, {repeats} repeats for finalists"


def _stratified_folds(
    table: Table, cv: int | None, seed: int, repeats: int | None
) -> tuple[Fold, ...]:
    """Return folds with an even share of every class in each."""
    n_folds = _n_folds(table, cv)
    minority = int(table.class_counts.min())
    if repeats is None:
        repeats = _first_above(minority, _REPEATS_BELOW, default=1)
    if repeats < 1:
        raise BadInputError(f"n_repeats={repeats} must be at least 1.")
    # Whole groups cannot always be shared out evenly; with fewer folds they may be.
    fewest = n_folds if cv else 2
    for n in range(n_folds, fewest - 1, -1):
        folds = tuple(_cut(table, n, seed, repeats))
        flaws = _flaws(folds, table)
        if not flaws:
            return folds
    raise BadInputError(
        f"{flaws[0]} Groups must stay whole: use fewer folds or smaller groups, or "
        "pass cv=[(train_rows, validation_rows), ...]."
    )


def _n_folds(table: Table, cv: int | None) -> int:
    """Return how many folds to make, never more than every class can be spread over."""
    limit, label, unit = _spread(table)
    if limit < 2:
        raise BadInputError(
            f"class {label!r} occurs in one of the groups only, so it cannot be in the "
            "training and the validation part of a fold: use smaller groups, or none."
        )
    if cv is None:
        return min(limit, _usual_n_folds(int(table.class_counts.min()), len(table.y)))
    if not 2 <= cv <= limit:
        raise BadInputError(
            f"{cv=} must lie between 2 and {limit}, as every fold validates all "
            f"classes and class {label!r} has {limit} {unit}: choose another number, "
            "or merge or drop that class."
        )
    return int(cv)


def _spread(table: Table) -> tuple[int, Any, str]:
    """Return how many parts every class allows, the class that limits, and its unit."""
    counts, unit = table.class_counts, "rows"
    if table.groups is not None:
        counts, unit = (_group_counts(table)[1] > 0).sum(axis=0), "groups"
    return int(counts.min()), table.classes.tolist()[int(counts.argmin())], unit


def _usual_n_folds(minority: int, rows: int) -> int:
    """Return the number of folds that suits the size of the table."""
    by_rows = _first_above(rows - 1, _FOLDS_UP_TO, default=_FEWEST_FOLDS)
    return _first_above(minority, _FOLDS_BELOW, default=by_rows)


def _first_above(
    value: int, limits: tuple[tuple[int, int], ...], *, default: int
) -> int:
    """Return what stands beside the first limit above the value."""
    return next((chosen for limit, chosen in limits if value < limit), default)


def _cut(table: Table, n_folds: int, seed: int, repeats: int) -> Iterator[Fold]:
    """Yield the folds of every repeat, each repeat with a seed of its own."""
    kind: Literal["grouped", "stratified"]
    kind = "stratified" if table.groups is None else "grouped"
    assign = _deal_rows if table.groups is None else _deal_groups
    for repeat in range(repeats):
        sequence = np.random.SeedSequence(seed, spawn_key=(repeat,))
        fold_of_row = assign(table, n_folds, int(sequence.generate_state(1)[0]))
        for index in range(n_folds):
            is_val = fold_of_row == index
            train_idx, val_idx = np.flatnonzero(~is_val), np.flatnonzero(is_val)
            yield Fold(repeat, index, train_idx, val_idx, kind)


def _deal_rows(table: Table, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold that validates each row."""
    fold_of_row = np.empty(len(table.y), dtype=np.intp)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for index, (_, val_idx) in enumerate(splitter.split(table.y, table.y)):
        fold_of_row[val_idx] = index
    return fold_of_row


def _deal_groups(table: Table, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold that validates each row, the same for all rows of a group.

    Rarest class first, its groups go one by one to the fold that needs them most, large
    ones first. The order is blurred, or repeats would hardly differ. scikit-learn's
    StratifiedGroupKFold needs 12 s for 20,000 groups where this needs 0.2 s.
    """
    rng = np.random.default_rng(seed)
    group_of_row, counts = _group_counts(table)
    fold_of_group = np.full(len(counts), -1)
    load = np.zeros((n_folds, table.n_classes))
    for code in np.argsort(table.class_counts, kind="stable"):
        groups = np.flatnonzero((fold_of_group < 0) & (counts[:, code] > 0))
        blurred = counts[groups, code] * rng.uniform(0.5, 1.5, len(groups))
        for group in groups[np.argsort(-blurred)]:
            fold = _neediest_fold(load, counts[group], code)
            load[fold] += counts[group]
            fold_of_group[group] = fold
    return fold_of_group[group_of_row]


def _neediest_fold(
    load: NDArray[np.float64], group: NDArray[np.intp], code: int
) -> int:
    """Return the fold that lacks the class, most classes of the group, or most rows."""
    if load.all():
        return int(load[:, code].argmin())
    lacks = (load == 0) & (group > 0)
    order = np.lexsort((load[:, code], -lacks.sum(axis=1), ~lacks[:, code]))
    return int(order[0])


def _group_counts(table: Table) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return each row's group code, and rows (n_groups, n_classes) of each class."""
    codes, names = pd.factorize(np.asarray(table.groups), use_na_sentinel=False)
    cells = codes * table.n_classes + table.y
    counts = np.bincount(cells, minlength=len(names) * table.n_classes)
    return codes, counts.reshape(len(names), table.n_classes)


def _check_groups(folds: Iterable[Fold], table: Table) -> None:
    """Raise if rows of one group are on both sides of a fold: that is a leak."""
    if table.groups is None:
        return
    codes, names = pd.factorize(np.asarray(table.groups), use_na_sentinel=False)
    for fold in folds:
        torn = np.intersect1d(codes[fold.train_idx], codes[fold.val_idx])
        if len(torn):
            torn_one = names.tolist()[torn[0]]
            raise BadInputError(
                f"cv= trains and validates on rows of group {torn_one!r}, which "
                "flatters every score: pass a number such as cv=5, which keeps groups "
                "whole, or a splitter that does, such as StratifiedGroupKFold."
            )


def _flaws(folds: Iterable[Fold], table: Table) -> list[str]:
    """Return what keeps folds from being fitted or judged, in words."""
    return [flaw for fold in folds if (flaw := _flaw(fold, table))]


def _flaw(fold: Fold, table: Table) -> str | None:
    """Return which class a part of the fold lacks, or None if all is well.

    The user's own folds of many classes need to validate two of them only.
    """
    in_train, in_val = (
        np.bincount(table.y[rows], minlength=table.n_classes) > 0
        for rows in (fold.train_idx, fold.val_idx)
    )
    if not in_train.all():
        return _lack("training", fold, table, int(in_train.argmin()))
    if in_val.sum() >= (2 if fold.kind == "given" else table.n_classes):
        return None
    if table.pos is None or in_val[table.pos]:
        return _lack("validation", fold, table, int(in_val.argmin()))
    lack = _lack("validation", fold, table, table.pos)
    return f"{lack} A fold without positives is never made."


def _lack(part: str, fold: Fold, table: Table, code: int) -> str:
    """Return the sentence that a part of a fold lacks a class."""
    return (
        f"The {part} part of fold {fold.index} in repeat {fold.repeat} has no row of "
        f"class {table.classes.tolist()[code]!r}."
    )


def _given_folds(table: Table, cv: Any) -> Iterator[Fold]:
    """Yield the user's folds; one that validates a row again starts a new repeat."""
    repeat = index = 0
    validated = np.zeros(len(table.y), dtype=bool)
    for position, pair in enumerate(_pairs(table, cv)):
        train_idx, val_idx = _checked_pair(pair, position, len(table.y))
        if validated[val_idx].any():
            repeat, index = repeat + 1, 0
            validated[:] = False
        validated[val_idx] = True
        yield Fold(repeat, index, train_idx, val_idx)
        index += 1


def _pairs(table: Table, cv: Any) -> Iterable[Any]:
    """Return the (train, validation) rows that the user's cv stands for."""
    if hasattr(cv, "split") and not isinstance(cv, (str, bytes, type)):
        groups = () if table.groups is None else (table.groups,)
        return cv.split(table.X, table.y, *groups)  # type: ignore[no-any-return]
    if isinstance(cv, Iterable) and not isinstance(cv, (str, bytes, Mapping)):
        return cv
    raise BadInputError(
        f"{cv=} must be None, a number of folds, a scikit-learn splitter such as "
        "StratifiedKFold(5), or an iterable of (train_rows, validation_rows)."
    )


def _checked_pair(
    pair: Any, position: int, n_rows: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return both parts of a user's fold as row numbers that do not overlap."""
    try:
        train, val = pair
    except (TypeError, ValueError) as error:
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
    """Return row numbers, also of a mask; raise unless they exist."""
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
