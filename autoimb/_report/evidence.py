"""Everything one fit measured, as the report's builders read it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from autoimb._committee import Bench
from autoimb._select import HonestScore, estimate_of_plain, honest_score
from autoimb._trials import TrialRecord, complete, leaderboard, with_finalists

if TYPE_CHECKING:
    import pandas as pd

    from autoimb._decision import Decision
    from autoimb._evaluate import Problem
    from autoimb._fitted import Finished
    from autoimb._guide import Recommendation
    from autoimb._judge import Judge, Score
    from autoimb._profile import DatasetProfile
    from autoimb._select import Selection
    from autoimb._space import SearchSpace
    from autoimb._trials import SearchOutcome


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Everything one fit measured; what is derived from it is worked out once."""

    profile: DatasetProfile
    recommendation: Recommendation
    space: SearchSpace
    problem: Problem
    judge: Judge
    outcome: SearchOutcome
    selection: Selection
    finished: Finished
    decision: Decision

    @cached_property
    def bench(self) -> Bench:
        """Where committees are scored."""
        return Bench(self.problem, self.judge)

    @cached_property
    def score(self) -> Score | None:
        """The score of what predicts: of the members that there was time to refit."""
        members = self.selection.members
        alone = len(members) == 1
        return self.selection.winner.score if alone else self.bench.score(members)

    @cached_property
    def honest(self) -> HonestScore:
        """What to expect on new data: of the fitted model, if that is not the best."""
        selection, complete = self.selection, self.outcome.complete
        if selection.quickest is not None:
            return honest_score(complete, selection, self.bench)
        plain = estimate_of_plain(complete, selection.do_nothing, self.bench)
        found = honest_score([selection.winner], selection, self.bench)
        return replace(found, do_nothing=plain)

    @property
    def is_stand_in(self) -> bool:
        """Whether something else than the best answers, since that failed."""
        setback = self.finished.setback
        return setback is not None and setback.is_replaced

    @cached_property
    def records(self) -> list[TrialRecord]:
        """All candidates, the finalists as they were scored last."""
        return with_finalists(self.outcome.records, self.selection.finalists)

    @property
    def complete(self) -> list[TrialRecord]:
        """Those that were scored on every fold, best first."""
        return complete(self.records)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The leaderboard."""
        return leaderboard(self.records, self.space.catalogue)

    @property
    def is_handled(self) -> bool:
        """Whether anything that answers does something about the imbalance."""
        return any(m.strategy.is_handled for m in self.selection.members)
