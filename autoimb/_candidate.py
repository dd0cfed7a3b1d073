"""A candidate on its way: which folds it has run, and what they say so far.

Whatever is decided here depends on the candidate's own folds, taken in their order,
and on the incumbent that was known when it was proposed: never on which fold
happened to finish first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from autoimb._evaluate import FoldResult
from autoimb._execution import failure_reason
from autoimb._race import MIN_FOLDS
from autoimb._strategy import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import optuna

    from autoimb._catalogue import Catalogue
    from autoimb._judge import Judge
    from autoimb._race import Race
    from autoimb._strategy import Strategy
    from autoimb._trials import TrialRecord

HEAT = -1
"""Stands for the number of a fold where the candidate is tried on a sample first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a candidate runs no further folds."""

    status: str
    reason: str
    told: float | None = None
    """The value that stands in for its score, where it was dropped."""
    is_late: bool = False
    """Whether there was no time to start it."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A trial under way: its futures, and what they brought so far."""

    trial: optuna.Trial
    strategy: Strategy
    numbers: tuple[int, ...]
    """Folds to run, in this order."""
    incumbent: TrialRecord | None = None
    """The best of the trials that were told when this one was proposed."""
    has_heat: bool = False
    futures: dict[int, Future[FoldResult]] = field(default_factory=dict)
    results: dict[int, FoldResult] = field(default_factory=dict)
    verdict: Verdict | None = None
    n_judged: int = 0
    """How many of its first folds have been judged, the sample among them."""
    _stages: dict[tuple[FoldResult, int], FoldResult] = field(default_factory=dict)

    @property
    def is_decided(self) -> bool:
        """Whether all that can be said of it is known."""
        return self.verdict is not None or self.n_judged == len(self.order)

    @property
    def order(self) -> tuple[int, ...]:
        """Everything that it runs, in the order in which it is judged."""
        return (HEAT, *self.numbers) if self.has_heat else self.numbers

    @property
    def run(self) -> list[int]:
        """The folds that have been run, up to the first that has not."""
        return list(takewhile(self.results.__contains__, self.order))

    @property
    def judged(self) -> list[FoldResult]:
        """Results on all rows that its verdict rests on; others came too early."""
        seen = self.run[: self.n_judged]
        return [self.results[number] for number in seen if number != HEAT]

    @property
    def heat(self) -> FoldResult | None:
        """The scores of the model that saw a sample."""
        return self.results.get(HEAT)

    def wanted(self, *, can_be_dropped: bool) -> Iterator[tuple[bool, int]]:
        """Yield what is still to be submitted, and whether it may turn out needless."""
        if self.verdict is not None:
            return
        if self.has_heat and self.n_judged == 0:
            if HEAT not in self.futures and HEAT not in self.results:
                yield False, HEAT
            return
        n_run = sum(number != HEAT for number in self.run)
        n_sure = len(self.numbers)
        if can_be_dropped and self.incumbent:
            n_sure = max(MIN_FOLDS, n_run + 1)
        for position, number in enumerate(self.numbers):
            if number not in self.results and number not in self.futures:
                yield position >= n_sure, number

    def collect(self) -> list[tuple[int, FoldResult]]:
        """Take the results that are in, and return them."""
        done = [number for number, future in self.futures.items() if future.done()]
        new = [
            (number, _result_of(number, self.futures.pop(number))) for number in done
        ]
        self.results.update(new)
        return new

    def judge(self, race: Race) -> None:
        """Decide whether it goes on, from the folds that it has run in their order."""
        done = self.run
        while self.verdict is None and self.n_judged < len(done):
            self.n_judged += 1
            seen = done[: self.n_judged]
            self.verdict = self._failed(seen[-1]) or self._behind(seen, race)

    def give_up(
        self, cancel: Callable[[Future[FoldResult]], bool]
    ) -> list[Future[FoldResult]]:
        """Cancel what can be cancelled; return what will run to no purpose.

        To end a running fold is to end its worker: starting another takes longer than
        most folds.
        """
        left = [f for f in self.futures.values() if not (f.done() or cancel(f))]
        self.futures.clear()
        return left

    def chosen(self, numbers: Sequence[int], judge: Judge) -> list[FoldResult]:
        """Return the results of folds, at the number of rounds that is best on them."""
        return best_stage([self.results[n] for n in numbers], judge, at=self._at)

    def final_strategy(
        self, results: Sequence[FoldResult], catalogue: Catalogue
    ) -> Strategy:
        """Return the strategy with the number of rounds of these results."""
        n_rounds = results[0].n_rounds
        if n_rounds is None:
            return self.strategy
        family = self.strategy.family
        rounds = catalogue.get("family", family.name).rounds
        params = {**dict(family.params), rounds: n_rounds}
        return replace(self.strategy, family=Choice.of(family.name, params))

    def _at(self, result: FoldResult, n_rounds: int) -> FoldResult:
        """Return one fold's result after so many rounds, always the same object."""
        if (result, n_rounds) not in self._stages:
            self._stages[result, n_rounds] = result.at_stage(n_rounds)
        return self._stages[result, n_rounds]

    def _failed(self, number: int) -> Verdict | None:
        """Return what ended a fold before its scores were there."""
        result = self.results[number]
        return None if result.status == "ok" else Verdict(result.status, result.reason)

    def _behind(self, seen: Sequence[int], race: Race) -> Verdict | None:
        """Return whether it is clearly behind the incumbent on what both have run."""
        best = self.incumbent
        if best is None or not race.is_open:
            return None
        if seen[-1] == HEAT:
            theirs = [] if best.heat is None else [best.heat]
            where = "on a sample of the rows"
        else:
            seen = [number for number in seen if number != HEAT]
            if not MIN_FOLDS <= len(seen) < len(self.numbers):
                return None
            theirs = [result for result in best.results if result.number in seen]
            where = f"after {len(seen)} of {len(self.numbers)} folds"
        gap = race.gap(self.chosen(seen, race.judge), theirs) if theirs else None
        if gap is None or not gap.is_clear:
            return None
        told = None if HEAT in seen else best.first_mean + gap.difference
        reason = f"clearly behind trial {best.number} {where}: {gap}"
        return Verdict("dropped", reason, told)


def best_stage(
    results: Sequence[FoldResult],
    judge: Judge,
    at: Callable[[FoldResult, int], FoldResult] = FoldResult.at_stage,
) -> list[FoldResult]:
    """Return the results of one model at the number of rounds that is best on them."""
    stages = [n for n, _ in reversed(results[0].stages)]  # of equals, more rounds
    if not stages:
        return list(results)
    curve = [[at(result, n) for result in results] for n in stages]
    means = [judge.mean(of_stage) for of_stage in curve]
    return curve[int(np.argmax(np.nan_to_num(means, nan=-np.inf)))]


def _result_of(number: int, future: Future[FoldResult]) -> FoldResult:
    """Return a finished task's result; a lost task is a result too."""
    if future.cancelled():
        return FoldResult(number, "timeout", reason="cancelled")
    error = future.exception()
    if error is None:
        return future.result()
    status, reason = failure_reason(error)
    return FoldResult(number, status, reason=reason)
