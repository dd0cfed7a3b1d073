"""The sections that need further fits: the learning curve and the importances."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autoimb._report.learning_curve import learning_curve
from autoimb._report.permutation_importance import column_importances

if TYPE_CHECKING:
    from autoimb._evaluate.context import EvaluationContext
    from autoimb._execution.deadline import Deadline
    from autoimb._report.data import ReportData
    from autoimb._strategy.strategy import Strategy

_IMPORTANCES_SHARE = 0.4  # of the time; the learning curve has the rest


def with_extra_sections(
    data: ReportData, strategy: Strategy, context: EvaluationContext, deadline: Deadline
) -> ReportData:
    """Return the report with column importances and a learning curve.

    Parameters
    ----------
    data : ReportData
        The report so far.
    strategy : Strategy
        The best single one.
    context : EvaluationContext
        The training table, its folds and workers.
    deadline : Deadline
        When the fits end. What there was no time for stays as it was.
    """
    reserve_s = (1 - _IMPORTANCES_SHARE) * deadline.remaining_s
    first_deadline = deadline.with_reserve(reserve_s)
    columns = column_importances(strategy, context, first_deadline)
    curve = learning_curve(strategy, context, deadline)
    if columns:
        n_columns = sum(
            c.kind != "constant" for c in context.problem.table.schema.columns
        )
        note = _about_missing(len(columns), n_columns)
        data = replace(data, features=columns, features_note=note)
    return replace(data, learning_curve=curve or data.learning_curve)


def _about_missing(n_measured: int, n_columns: int) -> str:
    """Return how many columns were not measured, and why; "" if all were."""
    if n_measured == n_columns:
        return ""
    return (
        f"There was time for {n_measured:,} of {n_columns:,} columns; a longer "
        "time_budget of report(X, y) measures the others."
    )
