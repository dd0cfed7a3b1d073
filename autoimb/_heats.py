"""Heats: on a large table, all first trials run on a sample before any runs in full.

The best of them then come first, so that a strong incumbent is there early, and those
that are clearly behind never see all rows.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoimb._candidate import best_stage
from autoimb._clock import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from autoimb._arena import Arena
    from autoimb._evaluate import FoldResult
    from autoimb._rungs import Rung
    from autoimb._strategy import Strategy

_SHARE = 0.25  # of the budget
_POLL_SECONDS = 0.25


@dataclass(slots=True, eq=False)
class Heats:
    """Scores of candidates that saw a sample of one fold's training rows."""

    arena: Arena
    number: int
    """The fold."""
    rung: Rung
    results: dict[Strategy, FoldResult] = field(default_factory=dict)
    running: dict[Strategy, Future[FoldResult]] = field(default_factory=dict)

    def run(
        self,
        strategies: Sequence[Strategy],
        clock: Deadline,
        note: Callable[[Strategy, FoldResult, Rung], None],
    ) -> Iterator[None]:
        """Try strategies on the sample, and yield whenever something may have changed.

        Takes a quarter of the clock at most. `note` is told of every evaluation.
        """
        share = None if clock.seconds is None else _SHARE * clock.seconds
        until = Deadline(share, clock.started)
        waiting = deque(strategies)
        while (waiting or self.running) and not until.is_over:
            while waiting and len(self.running) < self.arena.n_workers:
                self._start(waiting.popleft(), until)
            seconds = min(_POLL_SECONDS, until.remaining)
            wait(self.running.values(), seconds, return_when=FIRST_COMPLETED)
            for strategy in [s for s, f in self.running.items() if f.done()]:
                self._keep(strategy, self.running.pop(strategy), note)
            yield

    def best_first(self, strategies: Sequence[Strategy]) -> list[Strategy]:
        """Return strategies, the best on the sample first, the unknown ones last."""
        judge = self.arena.judge
        scores = {s: judge.mean([result]) for s, result in self.results.items()}
        return sorted(strategies, key=lambda s: -scores.get(s, float("-inf")))

    def _start(self, strategy: Strategy, until: Deadline) -> None:
        """Submit one strategy."""
        limit = None if until.seconds is None else until.remaining
        self.running[strategy] = self.arena.submit(
            strategy, self.number, rung=self.rung, seconds=limit
        )

    def _keep(
        self,
        strategy: Strategy,
        future: Future[FoldResult],
        note: Callable[[Strategy, FoldResult, Rung], None],
    ) -> None:
        """Keep the scores of a strategy; to fail on the sample may be bad luck."""
        if future.cancelled() or future.exception() is not None:
            return
        result = future.result()
        note(strategy, result, self.rung)
        if result.status == "ok":
            (self.results[strategy],) = best_stage([result], self.arena.judge)
