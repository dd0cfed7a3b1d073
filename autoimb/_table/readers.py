"""Readers: the values of a column as numbers, timestamps or texts.

Each value is read by itself, whatever the other rows hold. What cannot be read raises a
`ValueError` that names the column. Exported scripts hold copies of these functions.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autoimb._compat import text_array, utc_timestamps

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LARGEST = 1e38
"""Larger numbers are read as this one: models of 32 bits would take them for infinite.

XGBoost doubles the largest number of a column, so that a margin is needed.
"""
PLACEHOLDERS = frozenset(
    {
        *("", "?", "-", "--", "---", ".", "..", "...", "0000-00-00"),
        *("n/a", "na", "n.a.", "#n/a", "nan", "nat", "none", "null", "<na>"),
    }
)
"""Texts, in lower case, that stand for a gap among numbers, dates or times of day."""
YEAR_FIRST = "year-month-day"
_TRUTH = {"true": "1", "false": "0"}
_YEAR_MONTH_DAY = re.compile(
    r"(?P<y>\d{4})(?P<separator>[-/.])(?P<m>\d{1,2})(?P=separator)(?P<d>\d{1,2})"
    r"([ T](?P<hour>\d{2})(?P<rest>:\d{2}.*))?"
)
_EIGHT_DIGITS = re.compile(
    r"(?P<y>19\d{2}|20\d{2})(?P<m>\d{2})(?P<d>\d{2})(?P<hour>)(?P<rest>)"
)
_DAY_MONTH_YEAR = re.compile(
    r"(?P<d>\d{1,2})(?P<separator>[-/.])(?P<m>\d{1,2})(?P=separator)(?P<y>\d{4})"
    r"([ T](?P<hour>\d{1,2})(?P<rest>:\d{2}(:\d{2}(\.\d+)?)?))?"
)
_MONTH_DAY_YEAR = re.compile(
    r"(?P<m>\d{1,2})(?P<separator>[-/])(?P<d>\d{1,2})(?P=separator)(?P<y>\d{4})"
    r"([ T](?P<hour>\d{1,2})(?P<rest>:\d{2}(:\d{2}(\.\d+)?)?))?"
)
DATE_FORMS = {
    YEAR_FIRST: (_YEAR_MONTH_DAY, _EIGHT_DIGITS),
    "day/month/year": (_DAY_MONTH_YEAR,),
    "month/day/year": (_MONTH_DAY_YEAR,),
}
"""By the order of a date's parts, how its text is written."""
CLOCK_TIME = re.compile(
    r"(?P<hour>[01]?\d|2[0-3])(?P<rest>:[0-5]\d(:[0-5]\d(\.\d+)?)?)"
)


def is_placeholder(text: str) -> bool:
    """Whether a text stands for a gap among numbers, dates or times of day."""
    return text.strip().lower() in PLACEHOLDERS


def read_numbers(series: pd.Series[Any]) -> NDArray[np.float64]:
    """Return numbers, booleans or durations (as seconds) as floats, NaN for gaps.

    Raises
    ------
    ValueError
        If a value is no number, or infinite.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if isinstance(series.dtype, np.dtype) and series.dtype.kind == "f":
        return bounded(series.to_numpy(dtype=np.float64), [series.name])
    series = series.infer_objects()
    if series.dtype.kind in "Mc":
        raise _unread(series, f"was numeric when fitted, now it is {series.dtype}.")
    try:
        if series.dtype.kind == "m":
            series = series.dt.total_seconds()
        elif series.dtype == object or pd.api.types.is_string_dtype(series.dtype):
            series = pd.to_numeric(series.map(_number_in, na_action="ignore"))
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        raise _unread(series, f"was numeric when fitted, now it is not: {error}") from (
            error
        )
    return bounded(values, [series.name])


def bounded(values: NDArray[np.float64], names: Any) -> NDArray[np.float64]:
    """Return numbers between -LARGEST and LARGEST: the array itself if all are.

    Raises
    ------
    ValueError
        If a number is infinite; `names` are those of the columns.
    """
    # One pass, and no mask in memory; gaps do not count.
    low, high = (f.reduce(values, axis=None, initial=0.0) for f in (np.fmin, np.fmax))
    if max(-low, high) <= LARGEST:
        return values
    infinite = np.isinf(values).reshape(len(values), -1).any(axis=0)
    if infinite.any():
        name = str(names[int(np.argmax(infinite))])
        raise ValueError(
            f"Input X contains infinity or a value too large in column {name!r}: "
            "replace it by NaN or a finite number."
        )
    return np.asarray(np.clip(values, -LARGEST, LARGEST))


def read_dates(series: pd.Series[Any], form: str = YEAR_FIRST) -> pd.Series[Any]:
    """Return dates, or their texts, as timestamps, NaT for gaps.

    Parameters
    ----------
    series : Series
        The values of a column.
    form : str, default="year-month-day"
        Key of `DATE_FORMS`: how texts may be written beside year-month-day.

    Raises
    ------
    ValueError
        If a value is no date, or is written in another form.
    """
    if series.dtype.kind == "M" and not isinstance(series.dtype, pd.ArrowDtype):
        return _without_zone(series)
    forms = dict.fromkeys((YEAR_FIRST, form))
    return _timestamps(
        series,
        lambda text: next(filter(None, (iso_date(text, f) for f in forms)), ""),
        f"dates (in text as {' or '.join(forms)})",
        f"convert it, as by pd.to_datetime(X[{str(series.name)!r}], format=...).",
    )


def read_times(series: pd.Series[Any]) -> pd.Series[Any]:
    """Return times of day as timestamps of the first day of 1970, NaT for gaps.

    Raises
    ------
    ValueError
        If a value is no time of day.
    """
    way_out = "write times of day as 17:30 or 17:30:00."
    return _timestamps(series, _time_of_1970, "times of day", way_out)


def read_texts(series: pd.Series[Any]) -> Any:
    """Return categories as text, NaN for gaps; 1 and 1.0 are the same category."""
    if isinstance(series.dtype, pd.StringDtype):
        return text_array(series)
    if isinstance(series.dtype, pd.CategoricalDtype):
        levels = np.array([*map(text_of, series.cat.categories), None], dtype=object)
        texts = levels[series.cat.codes.to_numpy()]
    else:
        texts = np.array([text_of(value) for value in series], dtype=object)
        texts[series.isna().to_numpy()] = None
    return text_array(texts)


def text_of(value: Any) -> str:
    """Return the text of a value; gaps turn integers to floats, so 1.0 is "1"."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float | np.floating):
        return str(int(value)) if value.is_integer() else str(value)
    is_whole = isinstance(value, Decimal) and value.is_finite() and value % 1 == 0
    text = str(int(value)) if is_whole else str(value)
    # Half of a surrogate pair has no bytes in UTF-8, so pandas would refuse it.
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def iso_date(text: str, form: str) -> str:
    """Return the text of a date as ISO 8601; "" if it is not written in this form."""
    for pattern in DATE_FORMS[form]:
        if found := pattern.fullmatch(text):
            date = f"{found['y']}-{found['m']:0>2}-{found['d']:0>2}"
            time = f" {found['hour']:0>2}{found['rest']}" if found["hour"] else ""
            return date + time
    return ""


def parsed_dates(iso_texts: Any) -> pd.Series[Any]:
    """Return texts of ISO 8601 as timestamps, NaT for what is no day."""
    return _without_zone(utc_timestamps(pd.Series(iso_texts, dtype=object)))


def _number_in(value: Any) -> Any:
    """Return a value as it is, a text without spaces, or None for a placeholder."""
    if not isinstance(value, str | bytes):
        return value
    text = text_of(value).strip()
    return None if is_placeholder(text) else _TRUTH.get(text.lower(), text)


def _time_of_1970(text: str) -> str:
    """Return a time of day as one of the first day of 1970; "" if it is none."""
    found = CLOCK_TIME.fullmatch(text)
    return f"1970-01-01 {found['hour']:0>2}{found['rest']}" if found else ""


def _timestamps(
    series: pd.Series[Any], to_iso: Callable[[str], str], what: str, way_out: str
) -> pd.Series[Any]:
    """Return the values as timestamps; raise for one that `to_iso` cannot read."""
    is_gap = series.isna().to_numpy()
    texts = np.array([text_of(value).strip() for value in series], dtype=object)
    is_gap = is_gap | np.array([is_placeholder(text) for text in texts], dtype=bool)
    codes, distinct = pd.factorize(np.where(is_gap, "", texts))
    found = parsed_dates([to_iso(text) or None for text in distinct])
    unread = [text for text in distinct[found.isna().to_numpy()] if text]
    if unread:
        raise _unread(series, f"held {what} in fit, and now {unread[0]!r}: {way_out}")
    return pd.Series(found.array.take(codes))


def _without_zone(dates: pd.Series[Any]) -> pd.Series[Any]:
    """Return timestamps in UTC without a zone.

    They have one unit, so that it depends neither on the library nor on other rows.
    """
    if dates.dt.tz is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    return pd.Series(dates.dt.as_unit("us").array)


def _unread(series: pd.Series[Any], what: str) -> ValueError:
    """Return the error for a column whose values cannot be read."""
    name = series.name
    name = name.item() if isinstance(name, np.generic) else name
    return ValueError(f"column {name!r} {what}")
