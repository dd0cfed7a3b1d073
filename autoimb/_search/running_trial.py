"""A trial under way: the folds that it has run, and whether it goes on.

What is decided here depends on the candidate's own folds, taken in their order, and on
the incumbent at the time of its proposal: never on which fold happened to finish first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from itertools import product, takewhile
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from autoimb._evaluate.context import fold_result
from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._search.racing import MIN_FOLDS, is_clear
from autoimb._search.trials import TrialRecord, delete_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import optuna

    from autoimb._catalogue import Catalogue
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.row_sample import RowSample
    from autoimb._evaluate.scoring import Scoring
    from autoimb._search.racing import RacingRule
    from autoimb._strategy.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a candidate runs no further folds."""

    status: str
    reason: str
    reported_value: float | None = None
    """The value that replaces its score in the study, if it was dropped."""
    could_not_start: bool = False
    """Whether there was too little time to start it."""

    @classmethod
    def too_large(cls, needed: float, free: float) -> Verdict:
        """Return the verdict of a candidate that needs more bytes than are free."""
        return cls(
            "skipped",
            f"needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
            "free for it",
        )


@dataclass(frozen=True, slots=True)
class FoldTask:
    """An evaluation that a candidate still needs."""

    number: int
    """Position of the fold among the problem's folds."""
    may_be_needless: bool = False
    """Whether the candidate may be dropped before the result counts."""


@dataclass(slots=True, eq=False)
class RunningTrial:
    """A trial under way: its futures, and the results so far."""

    trial: optuna.Trial
    strategy: Strategy
    """What is fitted: as proposed, or with fewer boosting rounds for lack of time."""
    numbers: tuple[int, ...]
    """Folds to run, in this order."""
    incumbent: TrialRecord | None = None
    """The best of the trials that were recorded when this one was proposed."""
    row_sample: RowSample = ALL_ROWS
    """The training rows of a fold that it is fitted on."""
    needed_bytes: float = 0.0
    """Memory that one evaluation takes."""
    futures: dict[int, Future[FoldResult]] = field(default_factory=dict)
    submitted_at: dict[int, float] = field(default_factory=dict)
    """When the folds were submitted, on the monotonic clock."""
    results: dict[int, FoldResult] = field(default_factory=dict)
    is_promoted: bool = False
    """Whether it was scored on fewer rows before, and is one of the best."""
    is_begun: bool = False
    """Whether the rows that it is fitted on were chosen."""
    proposed: Strategy = field(init=False)
    """What was proposed, with all its boosting rounds."""
    verdict: Verdict | None = None
    n_checked: int = 0
    """How many of its first folds have been compared with the incumbent's."""
    stages: dict[tuple[FoldResult, int], FoldResult] = field(default_factory=dict)
    """Its results after fewer rounds, by result and number of rounds."""

    def __post_init__(self) -> None:
        """Remember what was proposed."""
        self.proposed = self.strategy

    @property
    def is_decided(self) -> bool:
        """Whether its record can be written."""
        return self.verdict is not None or self.n_checked == len(self.numbers)

    @property
    def pending(self) -> list[Future[FoldResult]]:
        """The futures of all evaluations under way."""
        return list(self.futures.values())

    @property
    def spent_s(self) -> float:
        """Seconds that workers spent on its folds, and on those not yet done."""
        now = time.monotonic()
        running = [n for n, future in self.futures.items() if future.running()]
        spent = sum(now - self.submitted_at[number] for number in running)
        return spent + sum(result.seconds for result in self.results.values())

    @property
    def run(self) -> list[int]:
        """The folds that have been run, up to the first that has not."""
        return list(takewhile(self.results.__contains__, self.numbers))

    @property
    def checked_results(self) -> list[FoldResult]:
        """The results that have been compared with the incumbent's."""
        return [self.results[number] for number in self.run[: self.n_checked]]

    def tasks(self, *, can_be_dropped: bool) -> Iterator[FoldTask]:
        """Yield the evaluations that are still to be submitted, in order."""
        if self.verdict is not None:
            return
        n_needed = len(self.numbers)
        if can_be_dropped and self.incumbent:
            n_needed = max(MIN_FOLDS, len(self.run) + 1)
        for position, number in enumerate(self.numbers):
            if number not in self.results and number not in self.futures:
                yield FoldTask(number, may_be_needless=position >= n_needed)

    def collect(self) -> list[FoldResult]:
        """Take the results that are in, and return them."""
        new = []
        for number in [n for n, future in self.futures.items() if future.done()]:
            result = fold_result(number, self.futures.pop(number))
            if not result.seconds:  # its worker was ended, and told nothing
                spent = time.monotonic() - self.submitted_at.get(
                    number, time.monotonic()
                )
                result = replace(result, seconds=spent)
            self.results[number] = result
            new.append(result)
        return new

    def add(self, number: int, future: Future[FoldResult]) -> None:
        """Keep the future of a fold that was submitted."""
        self.futures[number], self.submitted_at[number] = future, time.monotonic()

    def begin_again(self, strategy: Strategy, row_sample: RowSample) -> None:
        """Forget all results, to run its folds on fewer rows or with fewer rounds."""
        self.results.clear()
        self.stages.clear()
        self.strategy, self.row_sample = strategy, row_sample
        self.n_checked, self.verdict = 0, None

    def decide(self, racing: RacingRule) -> None:
        """Decide whether it goes on, from the results so far in their order."""
        best = self.incumbent
        n_run = len(self.run)
        while self.verdict is None and self.n_checked < n_run:
            self.n_checked += 1
            theirs = []
            if best and MIN_FOLDS <= self.n_checked < len(self.numbers):
                numbers = self.numbers[: self.n_checked]
                theirs = [result for result in best.results if result.number in numbers]
            self.verdict = self._verdict(self.checked_results, theirs, racing)

    def give_up(
        self, cancel: Callable[[Future[FoldResult]], bool]
    ) -> list[Future[FoldResult]]:
        """Cancel what can be cancelled; return the futures whose results are needless.

        Ending a running fold means ending its worker, and starting another one takes
        longer than most folds.
        """
        left = [f for f in self.pending if f.done() or not cancel(f)]
        self.futures.clear()
        return left

    def complete_record(
        self, scoring: Scoring, catalogue: Catalogue, finished_at: float
    ) -> TrialRecord:
        """Return the record of a candidate that has run all its folds."""
        every = [self.results[number] for number in self.numbers]
        if not all(result.model for result in every):  # a part of them is no mean
            delete_models(every)
            every = [replace(result, model=None) for result in every]
        results = best_stage(every, scoring, self.stages)
        strategy = self.final_strategy(results, catalogue)
        score = scoring.score(results)
        seconds = sum(r.fit_seconds for r in results) / len(results)
        if strategy != self.strategy:  # it is fitted again with fewer rounds
            rounds = catalogue.get("family", strategy.family.name).rounds_parameter
            fewer, all_ = (
                dict(s.family.params)[rounds] for s in (strategy, self.strategy)
            )
            seconds *= fewer / all_
        return TrialRecord(
            number=self.trial.number,
            strategy=strategy,
            proposed=None if strategy == self.proposed else self.proposed,
            status="complete",
            score=score,
            reported_value=score.mean,
            results=tuple(results),
            n_folds=len(results),
            fit_seconds=seconds,
            finished_at=finished_at,
            row_sample=self.row_sample,
        )

    def incomplete_record(
        self,
        verdict: Verdict,
        scoring: Scoring,
        finished_at: float,
        *,
        keeps_scores: bool,
    ) -> TrialRecord:
        """Return the record of a candidate that ended before all folds were scored.

        It has the score of some folds if `keeps_scores`, else none.
        """
        scored = [r for r in self.checked_results if r.status == "ok"]
        kept = best_stage(scored, scoring) if keeps_scores and scored else []
        return TrialRecord(
            number=self.trial.number,
            strategy=self.strategy,
            proposed=None if self.strategy == self.proposed else self.proposed,
            status=verdict.status,
            reason=verdict.reason,
            reported_value=verdict.reported_value,
            score=scoring.score(kept) if kept else None,
            results=tuple(kept),
            n_folds=len(scored),
            fit_seconds=sum(r.fit_seconds for r in scored) / max(1, len(scored)),
            finished_at=finished_at,
            row_sample=self.row_sample,
        )

    def duplicate_record(self, first: TrialRecord, finished_at: float) -> TrialRecord:
        """Return the record of a candidate that was tried before."""
        return TrialRecord(
            number=self.trial.number,
            strategy=self.strategy,
            status="duplicate",
            reason="the same as a candidate before it",
            reported_value=first.reported_value,
            finished_at=finished_at,
        )

    def final_strategy(
        self, results: Sequence[FoldResult], catalogue: Catalogue
    ) -> Strategy:
        """Return the strategy with the number of rounds of these results."""
        n_rounds = results[0].n_rounds
        if n_rounds is None:
            return self.strategy
        family = catalogue.get("family", self.strategy.family.name)
        return self.strategy.with_family_param(family.rounds_parameter, n_rounds)

    def _verdict(
        self,
        results: Sequence[FoldResult],
        theirs: Sequence[FoldResult],
        racing: RacingRule,
    ) -> Verdict | None:
        """Return why it ends after some results: the last failed, or it is behind.

        `theirs` are the incumbent's results that they are compared with, if any.
        """
        last, best = results[-1], self.incumbent
        if last.status != "ok":
            return Verdict(last.status, last.reason)
        if not racing.can_drop or best is None or not theirs:
            return None
        mine = best_stage(results, racing.scoring, self.stages)
        gap = racing.gap(mine, theirs)
        # Where a user's scorer fails, the whole candidate does, and says why.
        if gap is None or gap.value == -inf or not is_clear(gap):
            return None
        where = f"after {self.n_checked} of {len(self.numbers)} folds"
        reason = f"clearly behind the best so far {where}: {gap}"
        return Verdict("dropped", reason, reported_value=best.mean + gap.value)


def best_stage(
    results: Sequence[FoldResult],
    scoring: Scoring,
    stages: dict[tuple[FoldResult, int], FoldResult] | None = None,
) -> list[FoldResult]:
    """Return the results of one model after the number of rounds that is best on them.

    `stages` keeps results by number of rounds: the same results then give the same
    objects again, so that their scores are cached.
    """
    rounds = [n for n, _ in reversed(results[0].stages)]  # of equals, more rounds
    if not rounds:
        return list(results)
    stages = {} if stages is None else stages
    for result, n_rounds in product(results, rounds):
        if (result, n_rounds) not in stages:
            stages[result, n_rounds] = result.at_stage(n_rounds)
    curve = [[stages[result, n] for result in results] for n in rounds]
    means = [scoring.mean(of_stage) for of_stage in curve]
    return curve[int(np.argmax(np.nan_to_num(means, nan=-np.inf)))]
