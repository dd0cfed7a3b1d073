"""Fidelity: on how many training rows a candidate is fitted, by the time that it takes.

What a fit will take is known, about, before it begins. Where a cross-validation on all
rows would take more than a candidate's share of the time budget, it is fitted on a
sample of each fold's training rows from the start, and where even the smallest takes
too long, with fewer boosting rounds. Validation rows are the same for all candidates,
so that their scores compare. The best of those on samples are tried again on more rows
while there is time.

Without a time budget every candidate is fitted on all rows, so that the same seed gives
the same result on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from autoimb._evaluate.row_sample import RowSample, row_samples
from autoimb._search.racing import is_behind
from autoimb._search.running_trial import Verdict
from autoimb._search.time_estimate import TimeEstimate
from autoimb._strategy.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoimb._catalogue import Catalogue
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._execution.deadline import Deadline
    from autoimb._search.racing import RacingRule
    from autoimb._search.running_trial import FoldTask, RunningTrial
    from autoimb._search.trials import TrialRecord
    from autoimb._table.table import Table

SHARE = 0.15
"""Of the time budget: the most that one cross-validation is planned to take."""
_ROWS_FOR_FOLDS = 5_000  # of a sample, whose time limits the number of folds
_FEWEST_FOLDS = 3
_FIRST_SHARE = 0.3  # of a share, for a first candidate that begins late
_OVERRUN = 2.0  # times its planned seconds at which a fit is stopped
_LEAST_LIMIT_S = 2.0  # of a fit
_PROMOTED_AFTER = 0.4  # of the time budget: before, more candidates are tried instead
_PROMOTED_SHARE = 0.75  # of the time that is left, for a cross-validation on more rows
_FEW_ROUNDS = 40  # of boosting: fewer are not halved
_N_PROMOTED = 3  # candidates that may be tried on more rows: the best ones


def affordable_folds(
    catalogue: Catalogue,
    families: Sequence[str],
    table: Table,
    deadline: Deadline,
    n_workers: int,
) -> int | None:
    """Return the most folds that there is time for; None for no limit.

    The quickest boosted family, on a small sample, is scored in its share. All
    candidates have the same folds, so that their number is fixed before the first fit:
    what it will take is known from rows, columns, classes and rounds only.
    """
    if deadline.time_limit_s is None:
        return None
    estimate = TimeEstimate.of(catalogue, table)
    n_rows = min(len(table.y), _ROWS_FOR_FOLDS)
    boosted = [f for f in families if catalogue.get("family", f).rounds_parameter]
    seconds = min(
        estimate.seconds(Strategy.of(catalogue, family=name), n_rows)
        for name in boosted or families
    )
    rounds = int(min(SHARE * deadline.time_limit_s / seconds, n_rows))
    return max(_FEWEST_FOLDS, n_workers * rounds)


@dataclass(slots=True, eq=False)
class Fidelity:
    """Chooses the training rows of candidates within a time budget."""

    estimate: TimeEstimate
    deadline: Deadline
    """That of the whole fit."""
    n_rows: int
    """Training rows of a fold."""
    n_folds: int
    n_workers: int
    promoted: dict[Strategy, RowSample] = field(default_factory=dict)
    """Strategies to be tried again next, and on which rows."""
    has_samples: bool = True
    """Whether candidates may be fitted on samples."""
    _tried: dict[Strategy, RowSample] = field(default_factory=dict)
    """All that were tried again, or will be, and on which rows last."""

    def learn(
        self, candidate: RunningTrial, result: FoldResult, *, is_usual: bool
    ) -> None:
        """Learn from an evaluation how long the next will take.

        Of its machine's speed nothing follows unless it ran as usual, in a worker.
        """
        if result.status in {"ok", "timeout"} and result.seconds:
            n_rows = candidate.row_sample.n_rows or self.n_rows
            self.estimate.note(candidate.strategy, n_rows, result)
            if is_usual:
                self.estimate.note_speed(candidate.strategy, result)

    @property
    def n_rounds(self) -> int:
        """Evaluations of a cross-validation, one after the other on each worker."""
        return ceil(self.n_folds / self.n_workers)

    @property
    def samples(self) -> tuple[RowSample, ...]:
        """All rows, then smaller and smaller samples, where there is a time budget."""
        every = row_samples(self.n_rows)
        is_sampled = self.has_samples and self.deadline.time_limit_s is not None
        return every if is_sampled else every[:1]

    @property
    def share_s(self) -> float:
        """Seconds that a cross-validation may be planned to take."""
        return SHARE * (self.deadline.time_limit_s or float("inf"))

    def options(self, strategy: Strategy) -> Iterator[tuple[Strategy, RowSample]]:
        """Yield what may be fitted for a strategy, each quicker than the one before.

        On fewer and fewer rows, then with fewer and fewer boosting rounds.
        """
        for row_sample in self.samples:
            yield strategy, row_sample
        name = self.estimate.catalogue.get(
            "family", strategy.family.name
        ).rounds_parameter
        n_rounds = dict(strategy.family.params).get(name, 0)
        while self.deadline.time_limit_s is not None and n_rounds > _FEW_ROUNDS:
            n_rounds //= 2
            yield strategy.with_family_param(name, n_rounds), self.samples[-1]

    def choose(self, strategy: Strategy, left_s: float) -> tuple[Strategy, RowSample]:
        """Return the first option by which a strategy is scored in its share.

        If even the quickest takes too long, it is returned all the same.
        """
        return self._first_in_time(list(self.options(strategy)), left_s)

    def _first_in_time(
        self, options: Sequence[tuple[Strategy, RowSample]], left_s: float
    ) -> tuple[Strategy, RowSample]:
        """Return the first option that takes no more than its share, else the last.

        Where less than a share is left, there are fewer rows as well, but no fewer
        rounds: a model of few trees is not worth the last seconds.
        """
        for strategy, row_sample in options:
            is_smallest = row_sample == self.samples[-1]
            most = self.share_s if is_smallest else min(self.share_s, left_s)
            if self.seconds(strategy, row_sample) <= most:
                return strategy, row_sample
        return options[-1]

    def seconds(self, strategy: Strategy, row_sample: RowSample) -> float:
        """Return the expected seconds of a cross-validation on these rows."""
        n_rows = row_sample.n_rows or self.n_rows
        return self.n_rounds * self.estimate.seconds(strategy, n_rows)

    def limit_s(
        self, candidate: RunningTrial, left_s: float, n_fits: float
    ) -> float | None:
        """Return the seconds after which one of so many fits to come is stopped.

        That is well after its share of the time, and after what it is expected to take
        where even the smallest sample takes more. None without a time budget.
        """
        if self.deadline.time_limit_s is None:
            return None
        n_rows = candidate.row_sample.n_rows or self.n_rows
        expected = self.estimate.seconds(candidate.strategy, n_rows)
        planned = _OVERRUN * max(self.share_s / self.n_rounds, expected)
        return min(left_s / n_fits, max(_LEAST_LIMIT_S, planned))

    def tasks(self, candidate: RunningTrial, racing: RacingRule) -> list[FoldTask]:
        """Return the folds of a candidate that may be submitted now.

        Where nothing is known of its family, one fold shows what the others will take.
        """
        tasks = list(candidate.tasks(can_be_dropped=racing.can_drop))
        is_known = self.estimate.knows(candidate.strategy)
        if is_known or self.deadline.time_limit_s is None:
            return tasks
        return [] if candidate.pending else tasks[:1]

    def quicker(
        self, candidate: RunningTrial, left_s: float
    ) -> tuple[Strategy, RowSample] | None:
        """Return how a candidate that takes too long may begin again.

        Of the options that are quicker it is the first that is scored in its share.
        None if none is, or if it takes not too long, or was promoted.
        """
        verdict = candidate.verdict
        if verdict is None or verdict.status != "timeout" or candidate.is_promoted:
            return None
        options = list(self.options(candidate.proposed))
        now = options.index((candidate.strategy, candidate.row_sample))
        quicker = options[now + 1 :]
        return self._first_in_time(quicker, left_s) if quicker else None

    def begin(
        self,
        candidate: RunningTrial,
        left_s: float,
        ahead: Sequence[RunningTrial],
        *,
        is_first: bool,
    ) -> None:
        """Choose the rows of a candidate that is next, and let it begin if it can.

        Those ahead of it are to end first. The first complete candidate is to come
        within a share of the whole time.
        """
        if candidate.is_begun:
            return
        ahead_s = sum(map(self._rest_s, ahead))
        seconds = left_s - ahead_s
        if is_first:
            least = _FIRST_SHARE * self.share_s
            rest = max(least, self.share_s - self.deadline.elapsed_s)
            seconds = min(seconds, rest)
        if not candidate.is_promoted:
            chosen = self.choose(candidate.proposed, seconds)
            candidate.strategy, candidate.row_sample = chosen
        needed = self.seconds(candidate.strategy, candidate.row_sample)
        # With none ahead it begins, or `verdict` says that it cannot.
        candidate.is_begun = needed <= left_s - ahead_s or not ahead_s

    def _rest_s(self, candidate: RunningTrial) -> float:
        """Return the seconds until the workers have run the rest of a candidate."""
        if candidate.verdict is not None or not candidate.is_begun:
            return 0.0
        n_missing = len(candidate.numbers) - len(candidate.results)
        return self._fold_s(candidate) * n_missing / self.n_workers

    def _fold_s(self, candidate: RunningTrial) -> float:
        """Return the expected seconds of a candidate's next evaluation."""
        n_rows = candidate.row_sample.n_rows or self.n_rows
        measured = [result.seconds for result in candidate.results.values()]
        expected = self.estimate.seconds(candidate.strategy, n_rows)
        return max(measured, default=expected)

    def verdict(
        self, candidate: RunningTrial, left_s: float, n_fits: float
    ) -> Verdict | None:
        """Return why a candidate ends for lack of time; None if there is enough.

        `n_fits` of its evaluations are still to come, one after the other.
        """
        is_new = not candidate.results
        needed = n_fits * self._fold_s(candidate)
        if needed <= left_s:
            return None
        return Verdict(
            "skipped" if is_new else "timeout",
            f"needs about {needed:.1f} s more, and {left_s:.1f} s were left",
            could_not_start=is_new,
        )

    def promote(
        self, ranked: Sequence[TrialRecord], left_s: float, *, is_last: bool = False
    ) -> Strategy | None:
        """Return one of the best candidates, to be tried on more rows; None if none is.

        Boosted models are tried with all the rounds that were proposed for them. One
        that is clearly behind is not: more rows would not make it the best.
        """
        budget_s = self.deadline.time_limit_s
        if budget_s is None:
            return None
        if self.deadline.elapsed_s < _PROMOTED_AFTER * budget_s and not is_last:
            return None
        for record in ranked[:_N_PROMOTED]:
            if is_behind(record.score, ranked[0].score):
                continue
            strategy = record.proposed or record.strategy
            row_sample = self._promotion(strategy, record.row_sample, left_s)
            if row_sample is not None:
                self.promoted[strategy] = row_sample
                self._tried[strategy] = row_sample
                return strategy
        return None

    def _promotion(
        self, strategy: Strategy, before: RowSample, left_s: float
    ) -> RowSample | None:
        """Return the most rows that there is time for, if more than ever before."""
        before = self._tried.get(strategy, before)
        for row_sample in self.samples:
            if row_sample == before:
                return None
            if self.seconds(strategy, row_sample) <= _PROMOTED_SHARE * left_s:
                return row_sample
        return None
