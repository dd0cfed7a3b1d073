"""What a column of text holds: numbers, dates, times of day or categories.

All rows decide, in any order. What the user should know about the decision is a remark,
which the profile repeats.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from autoimb._table.readers import (
    CLOCK_TIME,
    DATE_FORMS,
    YEAR_FIRST,
    is_placeholder,
    iso_date,
    parsed_dates,
    text_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Kind = Literal[
    "numeric",
    "boolean",
    "datetime",
    "time of day",
    "categorical",
    "high-cardinality",
    "constant",
]

MANY_CATEGORIES = 40
"""A text column with more categories is of the kind "high-cardinality"."""
_NEARLY_ALL = 0.9  # of the rows: then the others are probably slips
_MAX_REMARKED = 20_000  # distinct texts that a remark looks at
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_CODE = re.compile(r"0\d+", re.ASCII)  # such as the postcode 01067
_LARGEST_INTEGER = 2**64
_CURRENCY = r"[$€£¥₹]|[A-Z]{3} "
_AMOUNT = r"\d[\d.,' ]*"
_PERCENT = re.compile(rf"[+-]?{_AMOUNT}\s*%")
_PRICE = re.compile(
    rf"[+-]?({_CURRENCY})\s*{_AMOUNT}|[+-]?{_AMOUNT}\s*([$€£¥₹]| [A-Z]{{3}})"
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([ ,'\u00a0\u202f]\d{3})+(\.\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+")
_WITH_UNIT = re.compile(r"[+-]?(\d[\d.,]*\s+|\d+[.,]\d+)[^\d\s]{1,6}")
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = r"(0?[1-9]|[12]\d|3[01])"
_DATE_LIKE = re.compile(
    rf"(\d{{4}}(?P<a>[-/.]){_DAY}(?P=a){_DAY}|{_DAY}(?P<b>[-/.]){_DAY}(?P=b)(\d{{4}}|\d{{2}})"
    rf"|\d{{1,2}}[- ]{_MONTH}[- ,]+\d{{2,4}}|{_MONTH}\s+\d{{1,2}},?\s+\d{{4}})"
    r"([ T]\d{1,2}:\d{2}.*)?",
    re.IGNORECASE,
)
_WRITTEN_NUMBERS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (_PERCENT, "percentages", '.str.rstrip(" %")'),
    (_PRICE, "amounts of money", '.str.replace(r"[^0-9.-]", "", regex=True)'),
    (
        _THOUSANDS,
        "numbers with separators of thousands",
        """.str.replace(r"[ ,']", "", regex=True)""",
    ),
    (
        _DECIMAL_COMMA,
        "numbers with a decimal comma",
        '.str.replace(".", "").str.replace(",", ".")',
    ),
    (_WITH_UNIT, "numbers with units", '.str.extract(r"([-+]?[0-9.]+)")[0]'),
)
"""Ways to write numbers that are not read: pattern, name, and the way out."""
_DATE_OPTIONS = {
    YEAR_FIRST: 'errors="coerce"',
    "day/month/year": 'dayfirst=True, format="mixed", errors="coerce"',
    "month/day/year": 'format="mixed", errors="coerce"',
}
"""By form of dates, how pandas reads it, with gaps for what is no date."""


class Reading(NamedTuple):
    """How a column is read."""

    kind: Kind
    date_form: str = YEAR_FIRST
    """Key of `readers.DATE_FORMS`: how the texts of dates are written."""
    remark: str = ""
    """What the user should know of it, after the column's name; "" if nothing."""


def text_reading(observed: pd.Series[Any], seen_form: str = "") -> Reading:
    """Return how a column of text is read; `observed` has no gaps.

    Dates that make sense in several forms are read in the form that was seen before.
    """
    counts = observed.map(text_of).str.strip().value_counts()
    is_mark = np.array([is_placeholder(text) for text in counts.index], dtype=bool)
    marks, counts = sorted(counts.index[is_mark]), counts[~is_mark]
    texts = sorted(counts.index)
    name = str(observed.name)
    if not texts:
        return Reading("categorical")
    gaps = f" with gaps ({_quoted(marks)})" if marks else ""
    forms = [form for form in DATE_FORMS if _all_dates(texts, form)]
    if seen_form in forms:
        forms = [seen_form]
    if len(forms) == 1:
        is_plain = forms[0] == YEAR_FIRST and not gaps
        remark = f"is read as dates, written {forms[0]}{gaps}"
        return Reading("datetime", forms[0], "" if is_plain else remark)
    if all(map(CLOCK_TIME.fullmatch, texts)):
        remark = f"is read as times of day{gaps}" if gaps else ""
        return Reading("time of day", remark=remark)
    if all(map(_NUMBER.fullmatch, texts)) and not any(map(_CODE.fullmatch, texts)):
        return _reading_of_numbers(texts, gaps, name)
    if forms:
        return Reading(
            "categorical",
            remark=f"looks like dates such as {texts[0]!r}, in which day and month "
            f"cannot be told apart, and is read as text: pass pd.to_datetime(X[{name!r}"
            '], format="%d/%m/%Y") or format="%m/%d/%Y"',
        )
    return Reading("categorical", remark=_remark_on_text(counts, name))


def date_number_remark(
    ordered: NDArray[np.float64], is_new: NDArray[np.bool_], name: str
) -> str:
    """Return the remark on sorted numbers that are dates such as 20240131."""
    is_near = len(ordered) and 19000101 <= ordered[0] < ordered[-1] <= 21001231
    if not is_near or (ordered != np.floor(ordered)).any():
        return ""
    texts = [f"{value:.0f}" for value in ordered[is_new]]
    if not _all_dates(texts, YEAR_FIRST):
        return ""
    return (
        f"holds numbers that look like dates (such as {texts[0]}) and is read as "
        f"numbers: if they are dates, pass pd.to_datetime(X[{name!r}].astype(str), "
        'format="%Y%m%d")'
    )


def wide_integer_remark(observed: pd.Series[Any]) -> str:
    """Return the remark on integers that neither int64 nor uint64 holds."""
    if not any(isinstance(v, int) and abs(v) >= _LARGEST_INTEGER for v in observed):
        return ""
    return (
        "holds integers beyond 64 bits, read as floats of 16 digits: if they are "
        f"identifiers, drop it or pass X[{str(observed.name)!r}].astype(str)"
    )


def _all_dates(texts: list[str], form: str) -> bool:
    """Whether all texts are days of the calendar, written in this form."""
    iso = []
    for text in texts:
        iso.append(iso_date(text, form))
        if not iso[-1]:
            return False
    return bool(parsed_dates(iso).notna().all())


def _reading_of_numbers(texts: list[str], gaps: str, name: str) -> Reading:
    """Return how a column is read whose texts are all plain numbers.

    Whole numbers in text without a sign of a gap were probably made text on purpose.
    """
    whole = [text for text in texts if _WHOLE.fullmatch(text)]
    if any(len(text) > 21 or abs(int(text)) >= _LARGEST_INTEGER for text in whole):
        return Reading(
            "categorical",
            remark="holds integers beyond 64 bits, read as text: drop it if they are "
            f"identifiers; if they are quantities, pass X[{name!r}].astype(float)",
        )
    if gaps or len(whole) < len(texts):
        return Reading("numeric", remark=f"is text, read as numbers{gaps}")
    if len(texts) <= MANY_CATEGORIES:
        return Reading("categorical")
    return Reading(
        "categorical",
        remark="holds whole numbers in text, read as categories: drop it if they are "
        f"identifiers; if they are quantities, pass pd.to_numeric(X[{name!r}])",
    )


def _remark_on_text(counts: pd.Series[int], name: str) -> str:
    """Return the remark on a text column that is nearly all numbers or dates."""
    column = f"X[{name!r}]"
    counts = counts.sort_index()[:: 1 + len(counts) // _MAX_REMARKED]
    for pattern, what, fix in _WRITTEN_NUMBERS:
        written, plain = (_matching(counts, p) for p in (pattern, _NUMBER))
        if any(map(_CODE.fullmatch, plain)) or not written:
            continue
        if _share(counts, [*written, *plain]) >= _NEARLY_ALL:
            return (
                f"holds {what} such as {written[0]!r}, read as text: for numbers, "
                f'pass pd.to_numeric({column}{fix}, errors="coerce")'
            )
    for what, found, fix in (
        ("numbers", _matching(counts, _NUMBER), 'to_numeric({}, errors="coerce")'),
        *(
            ("dates", _dates_among(counts, form), f"to_datetime({{}}, {options})")
            for form, options in _DATE_OPTIONS.items()
        ),
        ("dates", _matching(counts, _DATE_LIKE), "to_datetime({}, format=...)"),
    ):
        if not found or any(map(_CODE.fullmatch, found)):
            continue
        others = sorted(set(counts.index) - set(found))
        if _share(counts, found) >= _NEARLY_ALL:
            but = f" but for {_quoted(others)}" if others else ""
            return (
                f"holds {what} such as {found[0]!r}{but}, and is read as text: for "
                f"{what}, pass pd.{fix.format(column)}"
            )
    return ""


def _dates_among(counts: pd.Series[int], form: str) -> list[str]:
    """Return the texts that are days of the calendar, written in this form."""
    written = sorted(text for text in counts.index if iso_date(text, form))
    is_day = parsed_dates([iso_date(text, form) for text in written]).notna()
    return [text for text, is_one in zip(written, is_day, strict=True) if is_one]


def _matching(counts: pd.Series[int], pattern: re.Pattern[str]) -> list[str]:
    """Return the texts that a pattern matches, sorted."""
    return sorted(text for text in counts.index if pattern.fullmatch(text))


def _share(counts: pd.Series[int], texts: list[str]) -> float:
    """Return the share of rows that hold one of these texts."""
    return float(counts[texts].sum() / counts.sum())


def _quoted(texts: list[str], most: int = 3) -> str:
    """Return texts in quotes, the first of many."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(map(repr, texts[:most])) + more
