"""Problem, scoring and executor: what every evaluation needs beside its strategy."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING, Any

from autoimb._catalogue.builtin import suits_users_process
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.fit_predict import grace
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._execution.executors import describe_failure, submit_task
from autoimb._execution.shared_data import Inline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from autoimb._evaluate.kept_models import ModelFolder
    from autoimb._evaluate.problem import Problem
    from autoimb._evaluate.row_sample import RowSample
    from autoimb._evaluate.scoring import Scoring
    from autoimb._execution.deadline import Deadline
    from autoimb._execution.executors import LimitedExecutor, SequentialExecutor
    from autoimb._execution.shared_data import SharedData
    from autoimb._strategy.strategy import Strategy

_ASSUMED_WORKERS = 64  # of an executor that does not say how many it has
_SECONDS_HERE = 2.0  # of an evaluation in this process: workers may be ready by then
_MOST_CELLS_HERE = 2_000_000
"""Of larger tables a single tree may take longer, and no timer interrupts it."""


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationContext:
    """The rows, folds, metric and workers that all candidates share."""

    problem: Problem
    problem_handle: SharedData
    """How tasks on the executor read the problem."""
    scoring: Scoring
    executor: LimitedExecutor
    models: ModelFolder | None = None
    """Where fitted fold models are kept; None keeps none."""
    left_to_workers: set[str] = field(default_factory=set)
    """Families that took too long in this process, or failed, before one was ready."""

    @property
    def n_workers(self) -> int:
        """How many evaluations run at once; a guess if the executor does not say."""
        return self.executor.n_workers or _ASSUMED_WORKERS

    @property
    def closed(self) -> str:
        """Why the user's executor takes no further tasks; empty if it does."""
        return self.executor.closed

    def submit(
        self,
        strategy: Strategy,
        number: int,
        *,
        row_sample: RowSample = ALL_ROWS,
        seconds: float | None = None,
        keeps_model: bool = False,
    ) -> Future[FoldResult]:
        """Submit one fold of one strategy, with a limit on its running time.

        With a limit it is evaluated in this process if it may be and if no worker is
        ready. What fails here, or takes long and may take longer, is left to workers.
        """
        wanted = partial(
            evaluate,
            row_sample=row_sample,
            seconds=seconds,
            models=self.models if keeps_model else None,
        )
        stand_in = self.stand_in_for(strategy)
        if seconds is not None and stand_in is not None:
            limit = min(_SECONDS_HERE, grace(seconds))
            here = Inline(self.problem)
            future = submit_task(stand_in, limit, wanted, strategy, number, here)
            # A library may turn the interruption into an error of its own.
            is_scored = fold_result(number, future).status == "ok"
            if is_scored or seconds <= _SECONDS_HERE:
                return future
            self.left_to_workers.add(strategy.family.name)
        return submit_task(
            self.executor,
            None if seconds is None else grace(seconds),
            wanted,
            strategy,
            number,
            self.problem_handle,
        )

    def stand_in_for(self, strategy: Strategy) -> SequentialExecutor | None:
        """Return what may evaluate a strategy in this process; None if workers must.

        While the workers of the pool start, this process evaluates what can neither
        harm it nor keep it busy for long once they are ready.
        """
        family, stand_in = strategy.family.name, self.executor.stand_in
        if stand_in is None or family in self.left_to_workers:
            return None
        may_run_here = prod(self.problem.table.X.shape) <= _MOST_CELLS_HERE
        may_run_here &= suits_users_process(
            self.problem.catalogue,
            family=family,
            loss=strategy.loss.name,
            resampler=strategy.resampler.name,
        )
        return stand_in if may_run_here else None

    def evaluate_all(
        self,
        folds: Sequence[tuple[Strategy, int, RowSample]],
        deadline: Deadline,
        *,
        keeps_models: bool = False,
    ) -> list[FoldResult]:
        """Submit folds, wait for them, and return their results in the same order.

        Parameters
        ----------
        folds : sequence of (Strategy, int, RowSample)
            A strategy, the number of the fold that it is evaluated on, and which of
            its training rows it is fitted on.
        deadline : Deadline
            Nothing is submitted or waited for after it.
        keeps_models : bool, default=False
            Whether the fitted models of the first repeat are kept.

        Returns
        -------
        list of FoldResult
            One for each fold. The status is ``"timeout"`` where the fold was not
            scored by the deadline, and ``"failed"`` or ``"killed"`` where its task
            ended without a result.
        """
        futures: list[Future[FoldResult]] = []
        for strategy, number, row_sample in folds:
            if deadline.is_over:  # in this process, tasks run as they are submitted
                break
            future = self.submit(
                strategy,
                number,
                row_sample=row_sample,
                seconds=deadline.timeout_s,
                keeps_model=keeps_models and self.problem.folds[number].repeat == 0,
            )
            futures.append(future)
        for future in wait(futures, timeout=deadline.timeout_s).not_done:
            self.executor.give_up(future)
        return [
            fold_result(number, future)
            if future is not None and future.done()
            else FoldResult(number, "timeout", reason="the time was over")
            for (_, number, _), future in zip_longest(folds, futures)
        ]


def _checked_result(number: int, result: Any) -> FoldResult:
    """Return what a task returned, unless its executor put something else there."""
    if isinstance(result, FoldResult) and result.number == number:
        return result
    what = f"a {type(result).__name__}"
    if isinstance(result, FoldResult):
        what = f"the result of fold {result.number}"
    reason = f"the executor returned {what} instead of what its task did"
    return FoldResult(number, "failed", reason=reason)


def fold_result(number: int, future: Future[FoldResult]) -> FoldResult:
    """Return the result of a finished task; one that was lost has its reason."""
    if future.cancelled():
        return FoldResult(number, "timeout", reason="cancelled")
    error = future.exception()
    if error is None:
        return _checked_result(number, future.result())
    status, reason = describe_failure(error)
    return FoldResult(number, status, reason=reason)
