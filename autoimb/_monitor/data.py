"""What a monitoring report shows, as frozen values that JSON can hold."""

from __future__ import annotations

from dataclasses import dataclass

from autoimb._report.value import Value

Span = tuple[float | None, float | None]
"""The ends of an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow(Value):
    """One class: how frequent it is, and what the model's answers are worth."""

    label: str
    """The label as the user wrote it."""
    before: float
    """Its share of the training table."""
    share: float | None
    """Its share of the new rows, estimated from their scores alone."""
    share_span: Span
    """The 95 % interval of that share."""
    by_confusion: float | None
    """The share by the confusion matrix."""
    by_confusion_span: Span
    """Its 95 % interval."""
    n_called: int
    """New rows that the model calls so."""
    n_called_before: float
    """How many of as many training rows it would call so."""
    precision: float | None
    """Share of the rows called so that are of the class, expected without labels."""
    precision_span: Span
    """Its 95 % interval."""
    recall: float | None
    """Share of the rows of the class that are called so, expected without labels."""
    recall_span: Span
    """Its 95 % interval."""
    promised_precision: float | None
    """The precision on out-of-fold rows."""
    promised_recall: float | None
    """The recall there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRow(Value):
    """How one column changed."""

    name: str
    """The column."""
    kind: str
    """How it is read, such as ``"numeric"``."""
    change: str
    """The largest change in words."""
    distance: float
    """Share of the rows that lie in another range or category, 0 to 1."""
    p_value: float
    """Of no change at all, adjusted for the number of columns."""
    p_beyond: float
    """Of no change but that of the class shares, adjusted for the number of columns."""
    is_changed: bool
    """Whether it changed by more than chance."""
    is_beyond: bool
    """Whether it is not as the estimated shares of the classes let expect.

    Where it changed, these shares do not explain it. Where it did not, it should have.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow(Value):
    """How many of the new rows have one set of classes."""

    answer: str
    """What the set says."""
    count: int
    """Rows with this set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLabels(Value):
    """One class, as the labels have it."""

    label: str
    """The class."""
    count: int
    """Rows of the class."""
    share: float
    """Its share of the labelled rows."""
    precision: float | None
    """Measured precision of the rows called so."""
    precision_span: Span
    """Its 95 % interval."""
    recall: float | None
    """Measured recall of the class."""
    recall_span: Span
    """Its 95 % interval."""
    promised_precision: float | None
    """Precision on out-of-fold rows, moved to the shares of the labelled rows."""
    promised_recall: float | None
    """Recall on out-of-fold rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsSection(Value):
    """What the labels of the new rows say."""

    n_rows: int
    """Labelled rows."""
    metric_label: str
    """The metric of the search."""
    score: float | None
    """The score of the model on these rows."""
    promised: float | None
    """The honest estimate, moved to the class shares of these rows."""
    promised_span: Span
    """The interval that the score on so many rows was expected in."""
    classes: tuple[ClassLabels, ...]
    """The classes."""
    slope: float | None
    """By what log-odds would have to be multiplied: 1 where they are right."""
    calibration_p: float | None
    """P-value of probabilities that are right but for the shares of the classes."""
    calibration_gain: float | None
    """Share of the log loss that another calibration would save on these rows."""
    bins: tuple[tuple[float | None, ...], ...] = ()
    """(mean predicted probability, share of positives, rows) of bins."""
    bins_before: tuple[tuple[float | None, ...], ...] = ()
    """The same of the training table, out of fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorData(Value):
    """Everything that one monitoring report shows."""

    title: str
    """What the report is about."""
    created: str
    """ISO date."""
    model: str
    """What predicts."""
    n_rows: int
    """New rows."""
    n_rows_before: int
    """Rows of the training table."""
    pos_label: str
    """The class of interest; empty where there are more than two classes."""
    classes: tuple[ClassRow, ...]
    """The classes."""
    score_distance: float
    """Share of the scores that lie elsewhere than the class shares explain."""
    score_excess: float
    """The same without what chance makes of it."""
    score_p: float
    """P-value of no such change."""
    histogram: tuple[tuple[float | None, ...], ...]
    """(from, to, share of training rows, of new rows) of scores."""
    columns: tuple[ColumnRow, ...]
    """Columns, the most changed first; constant ones are left out."""
    queue: tuple[QueueRow, ...]
    """What `predict_sets` says of the rows, at 90 % coverage of each class."""
    labels: LabelsSection | None = None
    """What labels say; None without them."""
    doubts: tuple[str, ...] = ()
    """What a change of the class shares does not explain."""
    verdict: str = ""
    """The most important sentence."""
    findings: tuple[str, ...] = ()
    """What was found, and what to do."""

    @property
    def only_shares_moved(self) -> bool:
        """Whether a change of the class shares explains all that was tested."""
        return not self.doubts

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences, the most important first."""
        return (self.verdict, *self.findings)
