"""What the profile's checks of single columns find: leaks, identifiers, how it is read.

Each check returns the end of a message for the user, or nothing. None depends on the
order of the rows.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import chi2_contingency, mannwhitneyu

from autoimb._table.columns import take
from autoimb._table.minority_types import as_numbers, number_positions, spread_rows
from autoimb._table.sparse_rows import zero_shares
from autoimb._table.table import Table
from autoimb._table.text_kinds import MANY_CATEGORIES

_MAX_LEAK_ROWS = 2_000  # of each class: enough to recognise a ROC-AUC of 0.995
_MIN_LEAK_ROWS = 20  # fewer rows are too often separated by chance
_MIN_CATEGORY_ROWS = 5  # smaller categories are pooled: each would be of one class
_LEAK_AUC = 0.995
_MAX_LISTED = 6  # items of a list that a message names
_MIN_REPEATS = 10  # expected by chance: that there are none is no chance
_MOST_BLOCKS = 10
_FEWEST_IN_BLOCK = 10  # rows of the smallest class: for fewer the test is too rough
_CHANCE = 1e-3  # that classes which do not change over time are said to
_INDEX_NAME = re.compile(r"(Unnamed: \d+|level_\d+|__index_level_\d+__)")
_IDENTIFIER_NAME = re.compile(
    r"(.*[\W_])?(id|ids|key|index|idx|rownum|row_?(nr|no|number|id))|.*[a-z]I[dD]"
)


def column_messages(
    table: Table, missing_shares: NDArray[np.float64]
) -> dict[str, str]:
    """Return what the checks of columns found, by code."""
    messages = {
        "AIM005": _about_leaks(table),
        "AIM006": _about_distinct_texts(table, missing_shares),
        "AIM008": _about_missing(table, missing_shares),
        "AIM012": listed(
            [f"{c.name!r} {c.remark}" for c in table.schema.columns if c.remark], "; "
        ),
        "AIM013": _about_identifiers(table),
        "AIM016": _about_drift(table),
    }
    return {code: message for code, message in messages.items() if message}


def _about_leaks(table: Table) -> str:
    """Return which columns give the class away."""
    if table.class_counts.min() < _MIN_LEAK_ROWS:
        return ""
    if sparse.issparse(table.X):
        table = _without_many_zeros(table)
    as_categories = table.schema.categorical
    leaking: list[int] = []
    if table.pos is None:
        codes = table.schema.positions("numeric", "boolean")
        few = [i for i in codes if table.schema.columns[i].n_unique <= MANY_CATEGORIES]
        as_categories = [*as_categories, *few]
    else:
        positions, areas = number_positions(table.schema), single_column_areas(table)
        leaking = [positions[i] for i in np.flatnonzero(areas >= _LEAK_AUC)]
    leaking += [i for i in as_categories if category_area(table, i) >= _LEAK_AUC]
    if not leaking:
        return ""
    return (
        f"{_names(table, sorted(leaking))} alone separates the classes (ROC-AUC of at "
        f"least {_LEAK_AUC}). Was it known before the outcome? If not, drop it."
    )


def _without_many_zeros(table: Table) -> Table:
    """Return the columns of a sparse matrix that can give the class away, as a table.

    Zeros tie a row of a class with one of another: where they tie more than 1 % of all
    such pairs, no ROC-AUC reaches 0.995.
    """
    zeros = zero_shares(table.X, table.y)
    share = (table.class_counts / len(table.y))[:, np.newaxis]
    among_others = ((share * zeros).sum(axis=0) - share * zeros) / (1 - share)
    is_possible = (1 - zeros * among_others / 2 >= _LEAK_AUC).all(axis=0)
    positions = np.flatnonzero(is_possible).tolist()
    columns = tuple(table.schema.columns[i] for i in positions)
    schema = replace(table.schema, columns=columns, is_sparse=False)
    return replace(table, X=table.X[:, positions].toarray(), schema=schema)


def single_column_areas(table: Table) -> NDArray[np.float64]:
    """Return the ROC-AUC (d,) of each number as the score; 1 - AUC if that is higher.

    A gap counts as the lowest number, as the gaps alone may give the class away.
    """
    negative, positive = (
        np.nan_to_num(
            as_numbers(take(table.X, rows), table.schema), nan=-np.inf, copy=False
        )
        for rows in (
            spread_rows(table, np.flatnonzero(table.y == code), _MAX_LEAK_ROWS)
            for code in range(2)
        )
    )
    ranks = mannwhitneyu(positive, negative, axis=0, method="asymptotic")
    area = ranks.statistic / (len(positive) * len(negative))
    return np.asarray(np.maximum(area, 1 - area))


def category_area(table: Table, position: int) -> float:
    """Return the ROC-AUC of a column's categories, for the class where it is lowest.

    The score of a row is the share of the class in its category. Gaps are a category,
    and so are all small ones together.
    """
    values = _values(table, position)
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    counts = np.zeros((len(distinct), table.n_classes))
    np.add.at(counts, (codes, table.y), 1)
    is_small = counts.sum(axis=1) < _MIN_CATEGORY_ROWS
    counts = np.vstack([counts[~is_small], counts[is_small].sum(axis=0)])
    counts = counts[counts.sum(axis=1) > 0]
    n_rows = counts.sum(axis=1)
    areas = []
    for inside in counts.T:
        outside, shares = n_rows - inside, inside / n_rows
        above = shares[:, None] > shares
        ties = shares[:, None] == shares
        wins = inside @ (above + 0.5 * ties) @ outside
        areas.append(wins / (inside.sum() * outside.sum()))
    return float(min(areas))


def _about_distinct_texts(table: Table, missing_shares: NDArray[np.float64]) -> str:
    """Return which columns hold texts that are nearly all distinct."""
    n_observed = (1 - missing_shares) * len(table.y)
    columns = table.schema.columns
    distinct = [
        i
        for i in table.schema.categorical
        if columns[i].n_unique >= max(20, 0.9 * n_observed[i]) and not columns[i].remark
    ]
    if not distinct:
        return ""
    return (
        f"nearly every value of {_names(table, distinct)} is distinct, so nothing "
        "can be learned from it as it is: drop it, or derive features from it."
    )


def _about_missing(table: Table, missing_shares: NDArray[np.float64]) -> str:
    """Return where too many values are missing."""
    found = []
    if missing_shares.mean() > 0.3:
        found.append(f"{missing_shares.mean():.0%} of all cells are missing")
    sparse = np.flatnonzero(missing_shares > 0.8)
    if len(sparse):
        found.append(f"more than 80% of {_names(table, sparse)} is missing")
    if not found:
        return ""
    return (
        f"{'; '.join(found)}. Check how the table was read; a column with next to no "
        "values is best dropped."
    )


def _about_identifiers(table: Table) -> str:
    """Return which columns of numbers count the rows or name them."""
    found = [i for i in table.schema.positions("numeric") if _is_identifier(table, i)]
    if not found:
        return ""
    return (
        f"{_names(table, found)} looks like a row number or an identifier, which says "
        "nothing of new rows, and may give the class away where the table was sorted: "
        "drop it, unless its size means something."
    )


def _is_identifier(table: Table, position: int) -> bool:
    """Whether a column of numbers counts the rows or names them.

    Whole numbers are identifiers where so many, drawn at random from their range, would
    have repeats, and there are none.
    """
    column = table.schema.columns[position]
    if _INDEX_NAME.fullmatch(column.name):
        return True
    if not column.has_missing and column.n_unique < len(table.y):
        return False
    values = _values(table, position).dropna().to_numpy(dtype=np.float64)
    n_rows = len(values)
    if column.n_unique < max(n_rows, _MIN_LEAK_ROWS):
        return False
    if (values != np.floor(values)).any():
        return False
    n_possible = values.max() - values.min() + 1
    is_named = _IDENTIFIER_NAME.fullmatch(column.name) is not None
    return is_named or bool(n_rows**2 / (2 * n_possible) > _MIN_REPEATS)


def _about_drift(table: Table) -> str:
    """Return along which dates the shares of the classes change.

    The rows are cut into blocks in order of the dates. That the classes are alike in
    all of them is tested by Pearson's chi-squared test, at a level that is divided by
    the number of columns with dates.
    """
    columns = table.schema.positions("datetime")
    n_blocks = min(_MOST_BLOCKS, int(table.class_counts.min()) // _FEWEST_IN_BLOCK)
    if n_blocks < 2:
        return ""
    changing = []
    for position in columns:
        dates = _values(table, position)
        block = pd.qcut(dates.rank(method="first"), n_blocks, labels=False)
        # Rows of one date are in one block.
        block = block.groupby(dates).transform("min")
        counts = pd.crosstab(block, table.y).to_numpy()
        is_cut = len(counts) > 1
        if is_cut and chi2_contingency(counts).pvalue < _CHANCE / len(columns):
            changing.append(position)
    if not changing:
        return ""
    name = table.schema.columns[changing[0]].name
    return (
        f"the shares of the classes change along {_names(table, changing)}. Random "
        "folds train on rows of the same days that they validate, and promise more "
        f"than later rows hold: cv=TimeOrdered(by={name!r}) validates on what follows."
    )


def _values(table: Table, position: int) -> pd.Series:
    """Return the canonical values of a column."""
    if sparse.issparse(table.X):
        return pd.Series(table.X[:, [position]].toarray().ravel())
    return pd.DataFrame(table.X, copy=False).iloc[:, position]


def _names(table: Table, positions: Iterable[int]) -> str:
    """Return the names of columns, the first of many."""
    return listed([repr(table.schema.columns[i].name) for i in positions])


def listed(items: list[str], separator: str = ", ") -> str:
    """Return the items in a line; of a long list the first, and how many more."""
    shown, n_more = items[:_MAX_LISTED], len(items) - _MAX_LISTED
    return separator.join([*shown, f"{n_more} more"] if n_more > 0 else shown)
