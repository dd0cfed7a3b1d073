"""`PredictLimit`: the longest time of a prediction of one row, and what keeps to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._evaluate.fit_predict import seconds_to_read_row
from autoimb.exceptions import BadInputError, is_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._evaluate.problem import Problem
    from autoimb._execution.deadline import Deadline
    from autoimb._search.trials import TrialRecord


def check_max_predict_ms(max_predict_ms: Any, deadline: Deadline) -> float | None:
    """Return the limit; raise `BadInputError` if it is none, or there is no clock."""
    if max_predict_ms is None:
        return None
    if not is_number(max_predict_ms) or max_predict_ms <= 0:
        raise BadInputError(
            f"{max_predict_ms=} must be a number of milliseconds above 0, or None."
        )
    if deadline.time_limit_s is None:
        raise BadInputError(
            f"{max_predict_ms=} needs a time_budget: with n_trials alone the result "
            "must not depend on measured time. Pass time_budget too, or None here."
        )
    return float(max_predict_ms)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictLimit:
    """What one row may take at most, and what it takes apart from the members."""

    max_ms: float
    reading_s: float
    """Seconds to read a row by the schema."""
    problem: Problem

    @classmethod
    def of(cls, problem: Problem) -> PredictLimit | None:
        """Return the limit that the user set; None for no limit."""
        if problem.max_predict_ms is None:
            return None
        return cls(
            max_ms=problem.max_predict_ms,
            reading_s=seconds_to_read_row(problem),
            problem=problem,
        )

    def ms_of(self, records: Sequence[TrialRecord]) -> float:
        """Return the milliseconds of one row, by the mean of some candidates.

        Those of one view share its encoder. What was not measured counts as nothing:
        the model is timed once more when it is fitted.
        """
        encoders: dict[Any, float] = {}
        seconds = self.reading_s
        for record in records:
            measured = [r.row_seconds for r in record.results if r.row_seconds]
            if not measured:
                continue
            encode_s, score_s = np.median(measured, axis=0).tolist()
            view = record.strategy.view(self.problem.catalogue)
            encoders[view] = max(encoders.get(view, 0.0), encode_s)
            seconds += score_s
        return 1e3 * (seconds + sum(encoders.values()))

    def keeps(self, *records: TrialRecord) -> bool:
        """Whether one row by the mean of these candidates takes no longer."""
        return self.ms_of(records) <= self.max_ms

    def within(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Return the candidates that keep to the limit alone; if none, the quickest."""
        kept = [record for record in records if self.keeps(record)]
        if kept or not records:
            return kept
        return [min(records, key=lambda r: (self.ms_of([r]), r.number))]
