"""Errors and warnings that autoimb raises, each under one base class."""

__all__ = [
    "AccuracyWarning",
    "AutoImbError",
    "AutoImbWarning",
    "BadInputError",
    "BudgetError",
    "BudgetTooSmallWarning",
    "NoCandidateError",
    "RefitFailedWarning",
    "StorageMismatchError",
    "UnreachableConstraintWarning",
]


class AutoImbError(Exception):
    """Base class of every error that autoimb raises on purpose."""


class BadInputError(AutoImbError, ValueError):
    """The data or a parameter cannot be used as given; the message says why."""


class NoCandidateError(AutoImbError, RuntimeError):
    """Every candidate of the search failed; the message lists the commonest reasons."""


class BudgetError(AutoImbError, ValueError):
    """No limit, or an impossible limit, was set on the search."""


class StorageMismatchError(AutoImbError, ValueError):
    """A stored search or model belongs to other data or another version."""


class AutoImbWarning(UserWarning):
    """Base class of every warning that autoimb issues."""


class AccuracyWarning(AutoImbWarning):
    """Accuracy was asked for: always answering with the majority class scores high."""


class BudgetTooSmallWarning(AutoImbWarning):
    """The time budget ended before any candidate was complete."""


class RefitFailedWarning(AutoImbWarning):
    """The best candidate failed on all rows; another one took its place."""


class UnreachableConstraintWarning(AutoImbWarning):
    """No threshold meets the constraint; the nearest one was taken."""
