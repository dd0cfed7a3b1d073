"""`TimeOrdered`: folds that are validated on the future of what they are trained on."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from autoimb._table.columns import take
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from autoimb._table.table import Table

_ENOUGH_IN_BLOCK = 10  # rows of the smallest class
_FEWEST, _MOST = 2, 5  # blocks that are validated, where the number is not given


class TimeOrdered(BaseCrossValidator):
    """Folds in order of time: each is trained on rows before those that it validates.

    For data that drift, such as transactions or patients over years. Random folds train
    on rows of the same week that they validate, and promise more than the future holds.
    The rows are cut, in order of time, into blocks with equally many rows of the
    smallest class. The first block is only trained on; each of the others is validated
    once, by models of the blocks before it. Rows of one time stay in one block.

    Parameters
    ----------
    by : str, int or array-like of shape (n_samples,)
        The time of each row: a column of X, by name or position, or an array with one
        time for each row that is passed to `fit`. Dates, or numbers such as years.
    n_blocks : int or None, default=None
        How many blocks are validated. None: as many as hold 10 rows of the smallest
        class each, at most 5 and at least 2.
    gap : str, timedelta or float, default=None
        Least time between the rows that a fold is trained on and those that it
        validates, for labels that are known late: ``"7D"`` for dates, a number for
        numbers. None: a fold is trained on all rows before those that it validates.
    expanding : bool, default=True
        Whether a fold is trained on all blocks before its own; False: on the one before
        only.

    Notes
    -----
    With groups, a fold is not trained on the groups that it validates.

    Examples
    --------
    >>> import numpy as np
    >>> from autoimb import TimeOrdered
    >>> day = np.arange(12)
    >>> y = [0, 1] * 6
    >>> cv = TimeOrdered(by=day, n_blocks=2, gap=1)
    >>> for train, val in cv.split(np.zeros((12, 1)), y):
    ...     print(train, val)
    [0 1 2] [4 5 6 7]
    [0 1 2 3 4 5 6] [ 8  9 10 11]
    """

    def __init__(
        self,
        by: str | int | ArrayLike,
        *,
        n_blocks: int | None = None,
        gap: Any = None,
        expanding: bool = True,
    ) -> None:
        self.by = by
        self.n_blocks = n_blocks
        self.gap = gap
        self.expanding = expanding

    def split(
        self, X: Any, y: ArrayLike, groups: ArrayLike | None = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows to train on and those to validate, in order of time.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The rows, with the column `by` if that names one.
        y : array-like of shape (n_samples,)
            Class labels.
        groups : array-like of shape (n_samples,), default=None
            Which rows belong together.

        Yields
        ------
        tuple of two ndarrays
            Positions of the rows.

        Raises
        ------
        BadInputError
            If times are missing or of no use, or too few for so many blocks.
        """
        times = _as_times(self._times(X), len(np.asarray(y)))
        is_rare = _is_of_smallest(np.asarray(y))
        starts = _block_starts(times, is_rare, self._resolve_n_blocks(is_rare))
        gap = _as_gap(self.gap, times)
        units = None if groups is None else pd.factorize(np.asarray(groups))[0]
        ends = [*starts[1:], None]
        before = [None, *starts[:-1]]
        for start, end, previous in zip(starts, ends, before, strict=True):
            is_val = (
                (times >= start) if end is None else (times >= start) & (times < end)
            )
            is_train = times < start if gap is None else times < start - gap
            if not self.expanding and previous is not None:
                is_train &= times >= previous
            if units is not None:
                is_train &= ~np.isin(units, units[is_val])
            yield np.flatnonzero(is_train), np.flatnonzero(is_val)

    def get_n_splits(
        self, X: Any = None, y: ArrayLike | None = None, groups: Any = None
    ) -> int:
        """Return the number of folds, which depends on `y` if `n_blocks` is None.

        Parameters
        ----------
        X, groups : object, default=None
            Not used.
        y : array-like of shape (n_samples,), default=None
            Class labels.

        Returns
        -------
        int
            The number of folds.
        """
        if self.n_blocks is None and y is None:
            raise BadInputError("n_blocks=None depends on y: pass y, or a number.")
        return self._resolve_n_blocks(
            _is_of_smallest(np.asarray([] if y is None else y))
        )

    def _resolve_n_blocks(self, is_rare: NDArray[np.bool_]) -> int:
        """Return how many blocks are validated."""
        if self.n_blocks is None:
            enough = int(is_rare.sum()) // _ENOUGH_IN_BLOCK - 1
            return min(max(enough, _FEWEST), _MOST)
        is_number = isinstance(self.n_blocks, Integral)
        if not is_number or isinstance(self.n_blocks, bool) or self.n_blocks < 1:
            raise BadInputError(
                f"n_blocks={self.n_blocks!r} must be a whole number of at least 1, or "
                "None."
            )
        return int(self.n_blocks)

    def _times(self, X: Any) -> Any:
        """Return the time of each row of X: a column of it, or the array."""
        if not isinstance(self.by, str | Integral):
            return self.by
        if isinstance(X, pd.DataFrame) and self.by in X.columns:
            return X[self.by]
        if isinstance(self.by, Integral) and not isinstance(X, pd.DataFrame):
            rows = np.asarray(X)
            if 0 <= self.by < rows.shape[1]:
                return rows[:, self.by]
        raise BadInputError(f"TimeOrdered(by={self.by!r}): X has no such column.")


def pairs_of_table(
    cv: TimeOrdered, table: Table
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the folds of a checked table, which may lack rows that the user passed."""
    on_table = TimeOrdered(
        times_in(table, cv), n_blocks=cv.n_blocks, gap=cv.gap, expanding=cv.expanding
    )
    yield from on_table.split(table.X, table.y, table.groups)


def times_in(table: Table, cv: TimeOrdered) -> NDArray[Any]:
    """Return the time of each row of a checked table."""
    if not isinstance(cv.by, str | Integral):
        return np.asarray(take(_as_times(cv.by, table.given.n_rows), table.given.rows))
    names = [str(column.name) for column in table.schema.columns]
    if str(cv.by) not in names:
        raise BadInputError(
            f"TimeOrdered(by={cv.by!r}): X has no such column; its columns are "
            f"{', '.join(names)}."
        )
    position = names.index(str(cv.by))
    is_frame = isinstance(table.X, pd.DataFrame)
    values = table.X.iloc[:, position] if is_frame else table.X[:, position]
    return _as_times(values, len(table.y))


def span_of(times: NDArray[Any]) -> str:
    """Return the first and the last time, such as "2026-01-01 to 2026-03-31"."""
    first, last = times.min(), times.max()
    if times.dtype.kind == "M":
        days = [np.datetime_as_string(t, unit="D") for t in (first, last)]
        if days[0] != days[1]:
            return " to ".join(days)
        return " to ".join(np.datetime_as_string(t, unit="s") for t in (first, last))
    return f"{first:.10g} to {last:.10g}"


def _as_times(values: Any, n_rows: int) -> NDArray[Any]:
    """Return times that can be compared and subtracted, one for each row."""
    given = pd.Series(np.asarray(values).reshape(-1))
    if len(given) != n_rows:
        raise BadInputError(
            f"TimeOrdered(by=...) has {len(given)} times for {n_rows} rows."
        )
    times = given
    if not pd.api.types.is_numeric_dtype(given) or pd.api.types.is_bool_dtype(given):
        try:
            times = pd.to_datetime(given, utc=True).dt.tz_localize(None)
        except (ValueError, TypeError) as error:
            raise BadInputError(
                f"TimeOrdered(by=...) holds {given.iloc[0]!r}: times must be numbers, "
                f"or dates ({error})."
            ) from error
    if times.isna().any():
        row = int(np.argmax(times.isna()))
        raise BadInputError(
            f"TimeOrdered(by=...): the time of row {row} is missing. Give every row a "
            "time, or drop it."
        )
    return times.to_numpy()


def _is_of_smallest(y: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows are of the smallest class."""
    codes = pd.factorize(y)[0]
    counts = np.bincount(codes[codes >= 0]) if len(codes) else np.array([0])
    return np.asarray(codes == counts.argmin())


def _block_starts(
    times: NDArray[Any], is_rare: NDArray[np.bool_], n_blocks: int
) -> list[Any]:
    """Return the first time of each validated block.

    Every block, and the first one that is only trained on, holds as many rows of the
    smallest class.
    """
    rare = np.sort(times[is_rare], kind="stable")
    places = np.arange(1, n_blocks + 1) * len(rare) // (n_blocks + 1)
    starts = list(rare[places]) if len(rare) > n_blocks else []
    if len(set(starts)) < n_blocks or not (times < starts[0]).any():
        raise BadInputError(
            f"TimeOrdered cannot cut {len(np.unique(times))} times into "
            f"{n_blocks + 1} blocks with some of the {len(rare)} rows of the smallest "
            "class each: take fewer n_blocks, or finer times."
        )
    return starts


def _as_gap(gap: Any, times: NDArray[Any]) -> Any:
    """Return the gap in the kind of the times; None for no gap."""
    if gap is None:
        return None
    is_dates = times.dtype.kind == "M"
    try:
        length = pd.Timedelta(gap).to_timedelta64() if is_dates else float(gap)
    except (ValueError, TypeError):
        length = np.timedelta64("NaT") if is_dates else np.nan
    zero = np.timedelta64(0) if is_dates else 0.0
    if pd.isna(length) or length < zero or (is_dates and isinstance(gap, int | float)):
        kind = "a length of time such as '7D'" if is_dates else "a number of at least 0"
        raise BadInputError(f"{gap=} must be {kind}, as the times are.")
    return length
