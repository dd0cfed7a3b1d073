"""Values of the report's sections that not every fit has."""

from __future__ import annotations

from dataclasses import dataclass

from autoimb._report.value import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnImportance(Value):
    """How much the best single strategy depends on one column."""

    name: str
    """The column."""
    drop: float
    """Average precision lost when its values are shuffled: the mean over folds."""
    standard_error: float | None = None
    """Standard error of that mean; None with one fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurveSection(Value):
    """The score by number of rows of the smallest class."""

    metric_label: str
    """Label of the search metric."""
    points: tuple[tuple[float | None, ...], ...]
    """(minority rows, score, standard error), ascending."""
    gain: float | None = None
    """What twice the last number of rows would add to the score."""
    gain_standard_error: float | None = None
    """Its standard error."""
    sentence: str = ""
    """The advice as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRow(Value):
    """How the model that predicts would have done in one block of time."""

    name: str
    """The first and the last time of its rows."""
    n_rows: int
    """Validated rows."""
    n_of_class: int
    """Those of the class of interest, or of the smallest class."""
    n_training: int
    """Rows before them that its models were trained on."""
    share: float
    """Share of the class of interest, or of the smallest class."""
    probability: float
    """Mean of the calibrated probability of that class."""
    average_precision: float | None
    """PR-AUC of the rows."""
