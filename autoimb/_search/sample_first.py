"""On a large table, the first trials run on a sample before any runs on all rows.

The best of them on the sample then come first, so that the search has a strong
incumbent early and drops those that are clearly behind before they use all rows.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoimb._evaluate.context import fold_result
from autoimb._execution.deadline import Deadline
from autoimb._search.running_trial import best_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from autoimb._evaluate.context import EvaluationContext
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.row_sample import RowSample
    from autoimb._strategy.strategy import Strategy

_TIME_SHARE = 0.25  # of the time budget
_POLL_SECONDS = 0.25


@dataclass(slots=True, eq=False)
class SampleScores:
    """Results of candidates that were fitted on a sample of a fold's training rows."""

    context: EvaluationContext
    number: int
    """The fold."""
    row_sample: RowSample
    results: dict[Strategy, FoldResult] = field(default_factory=dict)
    running: dict[Strategy, Future[FoldResult]] = field(default_factory=dict)

    def run(
        self,
        strategies: Sequence[Strategy],
        fit_deadline: Deadline,
        on_result: Callable[[Strategy, FoldResult, RowSample], None],
    ) -> Iterator[None]:
        """Evaluate strategies on the sample, and yield after each wait for results.

        It takes a quarter of the time up to the deadline of the whole fit at most, and
        calls `on_result` with every result. A strategy that fails on the sample may
        succeed on all rows, so its failure is not kept.
        """
        seconds = fit_deadline.time_limit_s
        deadline = Deadline(
            None if seconds is None else _TIME_SHARE * seconds, fit_deadline.started
        )
        waiting = deque(strategies)
        while (waiting or self.running) and not deadline.is_over:
            while waiting and len(self.running) < self.context.n_workers:
                strategy = waiting.popleft()
                self.running[strategy] = self.context.submit(
                    strategy,
                    self.number,
                    row_sample=self.row_sample,
                    seconds=deadline.timeout_s,
                )
            timeout = min(_POLL_SECONDS, deadline.remaining_s)
            wait(self.running.values(), timeout, return_when=FIRST_COMPLETED)
            for strategy in [s for s, f in self.running.items() if f.done()]:
                result = fold_result(self.number, self.running.pop(strategy))
                on_result(strategy, result, self.row_sample)
                if result.status == "ok":
                    (best,) = best_stage([result], self.context.scoring)
                    self.results[strategy] = best
            yield
