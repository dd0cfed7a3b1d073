"""Errors and warnings that autoimb raises, each under one base class."""

import difflib
import sys
import warnings
from collections.abc import Iterable
from math import isfinite
from numbers import Integral, Real
from typing import TypeGuard

__all__ = [
    "AccuracyWarning",
    "AutoImbError",
    "AutoImbWarning",
    "BadInputError",
    "BudgetError",
    "BudgetTooSmallWarning",
    "ExecutorWarning",
    "LeakWarning",
    "LeftOutWarning",
    "NoCandidateError",
    "RefitFailedWarning",
    "StorageMismatchError",
    "StudyInUseError",
    "UnreachableConstraintWarning",
    "VersionWarning",
    "is_number",
    "is_whole",
    "unknown_name_error",
    "warn",
]


_LIBRARIES = {"autoimb", "sklearn"}  # scikit-learn's callbacks call `fit`


class AutoImbError(Exception):
    """Base class of every error that autoimb raises on purpose."""


class BadInputError(AutoImbError, ValueError):
    """The data or a parameter cannot be used as given; the message says why."""


class NoCandidateError(AutoImbError, RuntimeError):
    """No candidate is complete: all failed, or the executor was closed before."""


class BudgetError(AutoImbError, ValueError):
    """No limit, or an impossible limit, was set on the search."""


class StorageMismatchError(AutoImbError, ValueError):
    """A stored search or model belongs to other data or another version."""


class StudyInUseError(AutoImbError, RuntimeError):
    """Another search is writing to the stored study."""


class AutoImbWarning(UserWarning):
    """Base class of every warning that autoimb issues."""


class AccuracyWarning(AutoImbWarning):
    """The metric is accuracy, which is high for a model that finds no rare class."""


class BudgetTooSmallWarning(AutoImbWarning):
    """The time budget ended before any candidate was complete."""


class ExecutorWarning(AutoImbWarning):
    """The executor that was given broke, or was closed, before the call returned."""


class LeakWarning(AutoImbWarning):
    """A column alone separates the classes; it may be known after the outcome only."""


class LeftOutWarning(AutoImbWarning):
    """Something is left out of the search, and the message says why.

    What was asked for by name does not suit the data or the model, or a class has one
    row.
    """


class RefitFailedWarning(AutoImbWarning):
    """The best candidate failed on all rows; another one took its place."""


class UnreachableConstraintWarning(AutoImbWarning):
    """No threshold meets the constraint; the nearest one was taken."""


class VersionWarning(AutoImbWarning):
    """A saved model was fitted with another version of scikit-learn."""


def unknown_name_error(
    subject: str, name: str, options: Iterable[str]
) -> BadInputError:
    """Return the error for a name that is not among the options.

    `subject` is how the message calls the name, such as "metric='f2'". The message also
    suggests the option that is nearest to `name`, and lists all options, sorted.
    """
    names = {option.lower(): option for option in sorted(options)}
    nearest = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f" Did you mean {names[nearest[0]]!r}?" if nearest else ""
    return BadInputError(
        f"{subject} is not known.{hint} Known: {', '.join(names.values())}."
    )


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite real number, and no boolean."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number of a whole type, and no boolean."""
    return isinstance(value, Integral) and is_number(value)


def warn(message: str, category: type[AutoImbWarning]) -> None:
    """Warn at the line of the user's code that called autoimb, however deep this is."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and (
        str(frame.f_globals.get("__name__")).partition(".")[0] in _LIBRARIES
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
