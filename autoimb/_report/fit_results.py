"""Everything that one fit measured, as the modules that make the report read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING

from autoimb._metrics.bootstrap import Difference
from autoimb._search.trials import TrialRecord, complete, leaderboard, with_finalists
from autoimb._select.ensemble import EnsembleScoring
from autoimb._select.honest_score import HonestScore, honest_score
from autoimb._select.last_block import has_last_block, last_block_score
from autoimb._select.time_reserve import LastSteps

if TYPE_CHECKING:
    import pandas as pd

    from autoimb._evaluate.problem import Problem
    from autoimb._evaluate.scoring import Scoring
    from autoimb._execution.deadline import Deadline
    from autoimb._fit.decision import Decision
    from autoimb._fit.finish import FittedSelection
    from autoimb._metrics.bootstrap import Score
    from autoimb._search.trials import SearchOutcome
    from autoimb._select.selection import Selection
    from autoimb._strategy.flowchart import Recommendation
    from autoimb._strategy.search_space import SearchSpace
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.profile import DatasetProfile


def difference_of(one: Score | None, other: Score | None) -> Difference:
    """Return the first score less the second, NaN where they do not compare.

    They do not where one is missing, or where they are over different folds.
    """
    if one is None or other is None or one.folds != other.folds:
        return Difference(nan, nan)
    return one - other


@dataclass(frozen=True, kw_only=True, eq=False)
class FitResults:
    """Everything that one fit measured; what is derived from it is computed once."""

    profile: DatasetProfile
    recommendation: Recommendation
    space: SearchSpace
    problem: Problem
    scoring: Scoring
    outcome: SearchOutcome
    selection: Selection
    finished: FittedSelection
    decision: Decision
    deadline: Deadline
    """Of the fit."""

    @cached_property
    def _ensemble_scoring(self) -> EnsembleScoring:
        return EnsembleScoring(self.problem, self.scoring)

    @cached_property
    def score(self) -> Score | None:
        """The score of what predicts: of the members that there was time to refit."""
        members = self.selection.members
        if len(members) == 1:
            return self.selection.winner.score
        return self._ensemble_scoring.score(members)

    @cached_property
    def honest(self) -> HonestScore:
        """What to expect on new data: of the fitted model, if that is not the best."""
        report_s = LastSteps.after(self.selection, self.problem).report_s
        limit = self.selection.limit
        candidates = self.candidates if limit is None else limit.within(self.candidates)
        if has_last_block(self.scoring):
            return last_block_score(candidates, self.selection, self._ensemble_scoring)
        return honest_score(
            candidates,
            self.selection,
            self._ensemble_scoring,
            self.deadline.with_reserve(self.selection.pace * report_s),
        )

    @cached_property
    def candidates(self) -> list[TrialRecord]:
        """The candidates that are complete, as scored on the same folds, best first."""
        return complete(self.outcome.records)

    @cached_property
    def records(self) -> list[TrialRecord]:
        """All candidates, the finalists as they were scored last."""
        return with_finalists(self.outcome.records, self.selection.finalists)

    def record_of(self, strategy: Strategy) -> TrialRecord | None:
        """Return the best record of a strategy, with any rounds; None if it has none.

        The search chooses the boosting rounds of what was proposed.
        """
        return max(
            (r for r in self.records if strategy in {r.strategy, r.proposed}),
            key=lambda r: (r.status == "complete", r.status != "duplicate", r.mean),
            default=None,
        )

    def compared(self, one: TrialRecord, other: TrialRecord) -> Difference:
        """Return the difference of two candidates' scores, over the folds of both."""
        numbers = {one.number, other.number}
        for records in (self.selection.finalists, self.candidates):
            scores = {r.number: r.score for r in records if r.number in numbers}
            if len(scores) == len(numbers):
                return difference_of(scores[one.number], scores[other.number])
        return Difference(nan, nan)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """All candidates, one a row, best first."""
        n_rows = max(len(f.train_idx) for f in self.problem.folds if f.repeat == 0)
        return leaderboard(
            self.records, self.space.catalogue, n_rows, self.space.left_out
        )

    @property
    def is_handled(self) -> bool:
        """Whether any model that predicts does something about the imbalance."""
        return any(member.strategy.is_handled for member in self.selection.members)
