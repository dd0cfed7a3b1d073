"""Numbers as people read them, and text that Markdown leaves alone."""

from __future__ import annotations

import math
import re

MISSING = "–"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|&#~$])")
_MARKDOWN_LINE_START = re.compile(r"^(\d*)([-+=.)]+)(?=\s|$)")


def significant(value: float | None, digits: int = 3) -> str:
    """Return `value` with so many significant digits, never in exponents.

    Examples
    --------
    >>> [significant(v) for v in (0.7, 0.0017294, 12.34, 284807, None)]
    ['0.700', '0.00173', '12.3', '284,807', '–']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{value:,.{max(decimals, 0)}f}".replace("-", "−")


def signed(value: float | None) -> str:
    """Return a difference of scores with its sign, to three decimals.

    Examples
    --------
    >>> signed(0.00952), signed(-0.5), signed(None)
    ('+0.010', '−0.500', '–')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:+.3f}".replace("-", "−")


def percent(share: float | None) -> str:
    """Return a share as a percentage; only a whole one reads 100%.

    Examples
    --------
    >>> [percent(s) for s in (0.001727, 0.5, 0.99983, 1)]
    ['0.173%', '50.0%', '>99.9%', '100%']
    """
    if share is not None and 0.9995 <= share < 1:
        return ">99.9%"
    text = significant(None if share is None else 100 * share)
    return text if text == MISSING else f"{text}%"


def seconds(value: float | None) -> str:
    """Return a duration in its natural unit.

    Examples
    --------
    >>> seconds(200), seconds(7500)
    ('3 min 20 s', '2 h 5 min')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 1:
        return f"{1000 * value:.0f}\N{NO-BREAK SPACE}ms"
    if value < 100:
        return f"{value:.1f}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def thousands(count: float | None) -> str:
    """Return a count with its thousands apart.

    Examples
    --------
    >>> thousands(284807), thousands(None)
    ('284,807', '–')
    """
    return MISSING if count is None else f"{count:,.0f}".replace("-", "−")


def compact(count: float) -> str:
    """Return a count in at most four characters or so.

    Examples
    --------
    >>> [compact(c) for c in (56, 1234, 284807, 3_100_000)]
    ['56', '1.2k', '285k', '3.1M']
    """
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if abs(count) >= scale:
            return f"{count / scale:.{1 if abs(count) < 10 * scale else 0}f}{unit}"
    return f"{count:.0f}"


def escape_markdown(value: object) -> object:
    r"""Return `value` as one line in which nothing acts as Markdown or HTML.

    A value that is markup already (it has ``__html__``) passes unchanged, as in
    Jinja's own escaping.

    Examples
    --------
    >>> print(escape_markdown("a|b <i>*x*</i>"))
    a\|b \<i\>\*x\*\</i\>
    """
    if hasattr(value, "__html__"):
        return value
    line = " ".join(str(value).split())
    return _MARKDOWN_LINE_START.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", line))


def fence(code: str) -> str:
    """Return a run of backticks longer than any inside `code`, at least three."""
    return "`" * max(3, *(1 + len(run) for run in re.findall("`*", code)))
