"""What a monitoring report says in sentences, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoimb._monitor.drift import LEVEL
from autoimb._report.formats import percent, significant, thousands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoimb._monitor.data import (
        ClassLabels,
        ClassRow,
        LabelsSection,
        MonitorData,
        Span,
    )
    from autoimb._monitor.label_shift import LabelShift

SCORE_SLACK = 0.2
"""Share of the scores that may differ with no change at all: the model that
predicts was fitted on other rows than those that gave the out-of-fold scores, and is
often surer than they are, with the same ranking."""
_SURE = 0.01  # error level of a verdict on calibration, one of several in a report
_MATTERS = 0.02  # of the log loss, that another calibration would save
_MORE_ROWS = 0.5  # of those of the rarest class in training, that are worth a refit
_MOST_NAMES = 5


def doubts_about(shift: LabelShift, data: MonitorData) -> tuple[str, ...]:
    """Return what a change of the class shares does not explain."""
    doubts = []
    beyond = [column for column in data.columns if column.is_beyond]
    changed = [column.name for column in beyond if column.is_changed]
    unchanged = [column.name for column in beyond if not column.is_changed]
    if changed:
        doubts.append(
            f"the distribution of {_listed(changed)} changed by more than other shares "
            "of the classes can"
        )
    if unchanged:
        doubts.append(
            f"the distribution of {_listed(unchanged)} did not change as the estimated "
            "shares of the classes would have it"
        )
    if shift.disagreement < LEVEL / 2:
        doubts.append(
            "the two ways to estimate the shares, by probabilities and by the "
            "confusion matrix, disagree"
        )
    if data.score_p < LEVEL / 2 and data.score_excess > SCORE_SLACK:
        doubts.append("no mix of the classes gives these scores")
    return tuple(doubts)


def findings_of(data: MonitorData) -> tuple[str, ...]:
    """Return what was found, one sentence or two each."""
    return tuple(
        sentence
        for part in (
            _about_alerts,
            _about_shares,
            _about_columns,
            _about_scores,
            _about_labels,
        )
        for sentence in part(data)
    )


def verdict_of(data: MonitorData) -> str:
    """Return the most important sentence."""
    labels = data.labels
    if labels is not None and is_below(labels):
        return (
            f"The model ranks these rows worse than promised: {labels.metric_label} "
            f"is {significant(labels.score)}, and {_span(labels.promised_span)} was "
            "expected. Fit it again, with these rows."
        )
    if labels is not None and _is_off(labels):
        return (
            "The probabilities are not right on these rows, and other shares of the "
            "classes do not explain it. Refit the model with these rows."
        )
    if labels is not None and is_above(labels):
        return (
            "The model ranks these rows better than promised: "
            f"{labels.metric_label} is {significant(labels.score)}, and "
            f"{_span(labels.promised_span)} was expected. Are they among the training "
            "rows? Then this page says nothing of new rows."
        )
    if data.doubts:
        return (
            "These rows differ from the training rows by more than the shares of the "
            f"classes: {data.doubts[0]}. Precision and recall are not known without "
            "labels: label some of these rows, and pass them as y."
        )
    moved = _moved(data)
    if moved:
        row = moved[0]
        return (
            f"Class {row.label} has {_direction(row)}: about {percent(row.share)} of "
            f"these rows ({_percents(row.share_span)}), and {percent(row.before)} of "
            "the training table. set_prior adapts probabilities and threshold."
        )
    return "Nothing here speaks against the model: these rows are like its training."


def is_below(labels: LabelsSection) -> bool:
    """Whether the score is below the interval that it was promised in."""
    low = labels.promised_span[0]
    return labels.score is not None and low is not None and labels.score < low


def is_above(labels: LabelsSection) -> bool:
    """Whether the score is above the interval that it was promised in."""
    high = labels.promised_span[1]
    return labels.score is not None and high is not None and labels.score > high


def _is_off(labels: LabelsSection) -> bool:
    """Whether probabilities are wrong by more than chance and than shares explain."""
    p_value, gain = labels.calibration_p, labels.calibration_gain
    return p_value is not None and p_value < _SURE and (gain or 0.0) > _MATTERS


def _moved(data: MonitorData) -> list[ClassRow]:
    """Return the classes whose share changed, that of interest or the rarest first."""
    found = []
    for row in data.classes:
        low, high = row.share_span
        if low is not None and high is not None and not low <= row.before <= high:
            found.append(row)
    return sorted(found, key=lambda row: (row.label != data.pos_label, row.before))


def _direction(row: ClassRow) -> str:
    return "become rarer" if (row.share or 0.0) < row.before else "become more frequent"


def _of_interest(data: MonitorData) -> list[ClassRow]:
    """Return the class of interest, or all of several."""
    return [r for r in data.classes if data.pos_label in {"", r.label}]


def _about_alerts(data: MonitorData) -> Iterator[str]:
    for row in _of_interest(data):
        yield (
            f"{thousands(row.n_called)} of {thousands(data.n_rows)} rows are called "
            f"{row.label}; of as many training rows, scored by models that were not "
            f"trained on them, {thousands(round(row.n_called_before))} would be."
        )
        if row.precision is not None and row.recall is not None and not data.doubts:
            yield (
                f"Of the rows called {row.label}, {percent(row.precision)} are "
                f"expected to be of that class ({_percents(row.precision_span)}), and "
                f"{percent(row.recall)} of the class to be among them "
                f"({_percents(row.recall_span)}). In training it was "
                f"{percent(row.promised_precision)} and {percent(row.promised_recall)}."
            )


def _about_shares(data: MonitorData) -> Iterator[str]:
    moved = [row.label for row in _moved(data)]
    measured = _measured_shares(data)
    for row in _of_interest(data):
        yield (
            f"Estimated without labels, {percent(row.share)} of the rows are of class "
            f"{row.label} ({_percents(row.share_span)}); in training it was "
            f"{percent(row.before)}. The confusion matrix says "
            f"{percent(row.by_confusion)} ({_percents(row.by_confusion_span)})."
            f"{measured.get(row.label, '')}"
        )
    if data.doubts:
        reasons = "; ".join(data.doubts)
        yield (
            f"These estimates are not to be relied on: {reasons}. They hold only where "
            "a class becomes more or less frequent and its rows stay as they were."
        )
    elif moved:
        yield (
            "If nothing else changed, model.set_prior(report.prior) corrects the "
            "probabilities and tunes the threshold for these shares."
        )
    else:
        yield (
            "The interval holds the share in training, so that this is no sign of a "
            "change: leave the class shares as they are."
        )


def _measured_shares(data: MonitorData) -> dict[str, str]:
    """Return by class what the labels say of its share, where there are any."""
    if data.labels is None:
        return {}
    return {
        row.label: f" The labels say {percent(row.count / data.labels.n_rows)}."
        for row in data.labels.classes
    }


def _about_columns(data: MonitorData) -> Iterator[str]:
    changed = [column for column in data.columns if column.is_changed]
    n = len(data.columns)
    if not changed:
        yield f"None of {n} columns changed by more than chance."
        return
    yield (
        f"{len(changed)} of {n} columns changed by more than chance: "
        f"{_listed([f'{column.name} ({column.change})' for column in changed])}."
    )
    explained = [column for column in changed if not column.is_beyond]
    if explained and len(explained) < len(changed):
        yield (
            f"{len(explained)} of these changes are small, dates, or what other shares "
            "of the classes bring along."
        )
    elif explained:
        yield "All of it is small, dates, or what other shares of the classes bring."


def _about_scores(data: MonitorData) -> Iterator[str]:
    yield (
        f"{percent(data.score_distance)} of the scores would have to change for their "
        "distribution to be the one that is expected at the estimated shares of the "
        "classes; by chance alone it would be "
        f"{percent(data.score_distance - data.score_excess)}."
    )


def _about_labels(data: MonitorData) -> Iterator[str]:
    labels = data.labels
    if labels is None:
        return
    yield from _about_score(labels)
    for row in labels.classes:
        if data.pos_label in {"", row.label}:
            yield from _about_class(row)
    if labels.slope is not None:
        state = "are wrong" if _is_off(labels) else "are not shown to be wrong"
        yield (
            f"At the measured shares of the classes, probabilities {state}: a factor "
            f"of {significant(labels.slope, 2)} on their log-odds would fit best."
        )
    yield from _about_refit(data, labels)


def _about_score(labels: LabelsSection) -> Iterator[str]:
    if labels.score is None:
        yield (
            f"{labels.metric_label} needs rows of every class, and the labels hold "
            f"none of {_listed([r.label for r in labels.classes if not r.count])}."
        )
    elif labels.promised is not None:
        verdict = "within"
        if is_below(labels) or is_above(labels):
            verdict = "below" if is_below(labels) else "above"
        yield (
            f"{labels.metric_label} on {thousands(labels.n_rows)} labelled rows is "
            f"{significant(labels.score)}, {verdict} what was promised at these shares "
            f"of the classes: {significant(labels.promised)} "
            f"({_span(labels.promised_span)})."
        )


def _about_class(row: ClassLabels) -> Iterator[str]:
    if row.precision is not None:
        yield (
            f"Precision of {row.label} is {percent(row.precision)} "
            f"({_percents(row.precision_span)}), with "
            f"{percent(row.promised_precision)} promised at these shares."
        )
    if row.recall is not None:
        yield (
            f"Recall of {row.label} is {percent(row.recall)} "
            f"({_percents(row.recall_span)}), with {percent(row.promised_recall)} "
            "promised."
        )


def _about_refit(data: MonitorData, labels: LabelsSection) -> Iterator[str]:
    """Yield whether a refit is worth it, and why."""
    rarest = min(data.classes, key=lambda row: row.before)
    n_before = rarest.before * data.n_rows_before
    n_new = next(row.count for row in labels.classes if row.label == rarest.label)
    if is_below(labels) or _is_off(labels):
        yield "A refit with these rows is worth it: what the classes look like changed."
    elif n_new >= _MORE_ROWS * n_before:
        yield (
            f"A refit is worth a try: these rows hold {thousands(n_new)} of class "
            f"{rarest.label}, and the training table held {thousands(round(n_before))}."
        )
    else:
        yield (
            "A refit would change little: the model keeps its promise, and these rows "
            f"add {thousands(n_new)} of class {rarest.label} to "
            f"{thousands(round(n_before))}."
        )


def _listed(names: Sequence[str]) -> str:
    """Return names, the first few of many."""
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _percents(span: Span) -> str:
    """Return an interval of shares."""
    return f"{percent(span[0])} to {percent(span[1])}"


def _span(span: Span) -> str:
    """Return an interval of scores."""
    return f"{significant(span[0])} to {significant(span[1])}"
