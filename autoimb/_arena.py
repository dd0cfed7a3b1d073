"""Where candidates compete, and what they may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoimb._evaluate import evaluate, grace
from autoimb._execution import n_at_once, submit_within
from autoimb._rungs import ALL_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

    from autoimb._clock import Deadline
    from autoimb._evaluate import FoldResult, Problem
    from autoimb._execution import Shared
    from autoimb._judge import Judge
    from autoimb._rungs import Rung
    from autoimb._strategy import Strategy
    from autoimb._trials import TrialRecord


@dataclass(frozen=True, slots=True, eq=False)
class Arena:
    """Where candidates compete: the same rows, folds, metric and workers for all."""

    problem: Problem
    handle: Shared
    """How tasks on the executor read the problem."""
    judge: Judge
    executor: Executor

    @property
    def n_workers(self) -> int:
        """How many evaluations run at once."""
        return n_at_once(self.executor)

    def cancel(self, future: Future[FoldResult]) -> bool:
        """Cancel a task if that costs nothing; return whether it will not run."""
        cancel = getattr(self.executor, "cancel", None)
        return bool(cancel(future) if cancel else future.cancel())

    def submit(
        self,
        strategy: Strategy,
        number: int,
        *,
        rung: Rung = ALL_ROWS,
        seconds: float | None = None,
    ) -> Future[FoldResult]:
        """Submit one fold of one strategy, with a limit on its running time."""
        ended = None if seconds is None else grace(seconds)
        return submit_within(
            self.executor, ended, evaluate, strategy, number, self.handle, rung, seconds
        )


def _nothing(_records: Sequence[TrialRecord]) -> float:
    """Hold back no seconds for later steps."""
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a search may use.

    Attributes
    ----------
    clock : Deadline
        That of the whole fit: a refit of the best candidate must still fit in.
    n_trials : int or None
        Trials, those known from a storage included.
    reserve : callable
        Seconds to leave for the steps after the search, of the complete records.
    memory : float
        Bytes that all evaluations together may take.
    """

    clock: Deadline
    n_trials: int | None = None
    reserve: Callable[[Sequence[TrialRecord]], float] = _nothing
    memory: float = float("inf")
