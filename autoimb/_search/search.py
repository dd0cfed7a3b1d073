"""The search: Optuna proposes candidates, an executor evaluates them.

One round of the loop proposes candidates, collects results, submits further folds and
records the oldest trial if it is decided. If no candidate finishes,
`autoimb._select.fallback` fits a default model.

Trial t is proposed, and dropped by the racing rule, with the records of the trials up
to t - `LAG` only, and trials are recorded in their order. So the leaderboard depends on
data, seed and number of trials, never on the number of workers or on which of them
finishes first. A deadline adds three things: what cannot end in time is not started,
what takes too long is stopped, and many workers have more trials under way than `LAG`.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace
from itertools import takewhile
from math import ceil, inf, isfinite
from operator import itemgetter
from typing import TYPE_CHECKING

from autoimb._evaluate.context import fold_result
from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._search.fidelity import Fidelity
from autoimb._search.memory_estimate import needed_bytes
from autoimb._search.racing import RacingRule
from autoimb._search.running_trial import RunningTrial, Verdict
from autoimb._search.study import StorageFailedError, quiet_optuna
from autoimb._search.time_estimate import TimeEstimate
from autoimb._search.trials import (
    CUT_OFF,
    REFIT_FACTOR,
    WORTH_ANOTHER_TRY,
    Progress,
    SearchOutcome,
    TrialRecord,
    complete,
    delete_models,
    keep_best_models,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from autoimb._evaluate.context import EvaluationContext
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._execution.deadline import Deadline
    from autoimb._search.running_trial import FoldTask
    from autoimb._search.study import StudyRecords
    from autoimb._strategy.search_space import SearchSpace
    from autoimb._strategy.strategy import Strategy

LAG = 4
"""A trial is proposed once the trial this many places before it is recorded."""
_FALLBACK_SHARE = 0.1  # of the time budget: for a default model, if there is no other
_MAX_NOT_STARTED = 12  # stop when so many of the last 24 could not start in time
_MAX_WITHOUT_NEWS = 20  # stop when so many in a row were duplicates, or all failed
_FAILED = {"failed", "killed", "duplicate"}
_MAX_WITH_SCORES = 40  # records that keep their out-of-fold scores: the best ones
_POLL_SECONDS = 0.25

logger = logging.getLogger(__name__)


def search(
    space: SearchSpace,
    first: Sequence[Strategy],
    *,
    context: EvaluationContext,
    study_records: StudyRecords,
    deadline: Deadline,
    n_trials: int | None = None,
    seconds_after_search: Callable[[Sequence[TrialRecord]], float] = lambda _: 0.0,
    has_samples: bool = True,
    on_progress: Callable[[Progress], bool | None] | None = None,
) -> SearchOutcome:
    """Return the records of all trials up to the deadline or the number of trials.

    Ctrl-C ends it and keeps what is complete by then.

    The deadline is that of the whole fit: `seconds_after_search`, which takes the
    complete records, best first, says how many seconds the steps after the search need.

    Parameters
    ----------
    first : sequence of Strategy
        The first candidates; the others are Optuna's proposals, from the space.
    study_records : StudyRecords
        The study, with the trials of an earlier search in the storage.
    n_trials : int, default=None
        Number of trials, those of an earlier search in the storage included.
    has_samples : bool, default=True
        Whether candidates may be fitted on samples, whose scores must be calibrated.
    on_progress : callable, default=None
        Called after each wait for results; True ends the search.
    """
    started = deadline.elapsed_s
    with quiet_optuna():
        run = _Search(
            space,
            study_records,
            context,
            fit_deadline=deadline,
            n_trials=n_trials,
            seconds_after_search=seconds_after_search,
        )
        run.fidelity.has_samples = has_samples and len(run.numbers) > 1
        was_interrupted = False
        try:
            for _ in run.rounds(first):
                now = Progress.of(run.records, run.best, n_trials, deadline)
                if on_progress is not None and on_progress(now):
                    run.abandon("stopped by a callback")
            run.abandon("the time budget ended")
        except StorageFailedError:
            run.abandon("the storage failed")
        except KeyboardInterrupt:
            was_interrupted = True
            run.abandon("stopped by Ctrl-C")
    return SearchOutcome(
        records=tuple(run.records),
        study=study_records.study,
        was_interrupted=was_interrupted,
        seconds=deadline.elapsed_s - started,
        ended_at_s=deadline.elapsed_s,
        cpu_seconds=run.cpu_seconds,
        cut_off_seconds=run.cut_off_s / context.n_workers,
        storage_failure=study_records.failure,
    )


class _Search:
    """The state of a search: the trials under way, and the records of the others."""

    def __init__(
        self,
        space: SearchSpace,
        study_records: StudyRecords,
        context: EvaluationContext,
        *,
        fit_deadline: Deadline,
        n_trials: int | None,
        seconds_after_search: Callable[[Sequence[TrialRecord]], float],
    ) -> None:
        self.space, self.study_records, self.context = space, study_records, context
        self.fit_deadline, self.n_trials = fit_deadline, n_trials
        self.seconds_after_search = seconds_after_search
        self.seconds_after = 0.0  # that the steps after the search need
        self.numbers = tuple(
            number
            for number, fold in enumerate(context.problem.folds)
            if fold.repeat == 0
        )
        """The folds of the first repeat."""
        self.racing = RacingRule(context.scoring)
        problem = context.problem
        self.fidelity = Fidelity(
            TimeEstimate.of(problem.catalogue, problem.table),
            fit_deadline,
            n_rows=max(len(problem.folds[n].train_idx) for n in self.numbers),
            n_folds=len(self.numbers),
            n_workers=context.n_workers,
        )
        self.queue: deque[RunningTrial] = deque()
        self.not_started: deque[bool] = deque(maxlen=2 * _MAX_NOT_STARTED)
        """For each of the last candidates, whether there was too little time to start
        it."""
        self.needless: list[Future[FoldResult]] = []
        """Folds of candidates that have ended, still running."""
        self.cpu_seconds, self.cut_off_s, self.is_over = 0.0, 0.0, False
        self.records: list[TrialRecord] = []
        self.by_strategy: dict[Strategy, TrialRecord] = {}
        self.best: TrialRecord | None = None
        finished = [record.finished_at for record in study_records.records]
        self.earlier_s = max(finished, default=0.0)  # of earlier searches: it counts on
        for record in study_records.records:
            # Finalists of an earlier fit were scored on further repeats.
            self._keep(record.on_folds(self.numbers, context.scoring))

    @property
    def deadline(self) -> Deadline:
        """When the search has to stop, so that the steps after it end in time."""
        whole = self.fit_deadline
        slowness = self.fidelity.estimate.slowness
        if self.best is not None:
            return whole.with_reserve(slowness * self.seconds_after)
        # Until a fold is scored there may be nothing but a default model to fit.
        is_scored = any(r.model for c in self.queue for r in c.results.values())
        least = 0.0 if is_scored else _FALLBACK_SHARE * (whole.time_limit_s or 0.0)
        return whole.with_reserve(max(least, slowness * self.seconds_after_search(())))

    def rounds(self, first: Sequence[Strategy]) -> Iterator[None]:
        """Run the search, and yield after each round."""
        params = [self.space.to_params(s) for s in first if not self._is_known(s)]
        self.study_records.enqueue(params, n_startup=len(first))
        while not self.is_over and not self.study_records.failure:
            self._promote()
            while self._may_propose():
                self.queue.append(self._propose())
            has_trials = self.n_trials is None or len(self.records) < self.n_trials
            if not self.queue and has_trials and self._promote(is_last=True):
                self.queue.append(self._propose())
            if not self.queue or self.deadline.is_over or self.context.closed:
                return
            for candidate in self.queue:
                self._collect(candidate)
            self._submit()
            if self.queue[0].is_decided:
                record = self._record_of(self.queue[0])
                self._record(self.queue.popleft(), record)
            else:
                timeout = min(_POLL_SECONDS, self.deadline.remaining_s)
                wait(self._pending(), timeout, return_when=FIRST_COMPLETED)
            yield

    def abandon(self, why: str) -> None:
        """End the search; record the trials under way as unfinished."""
        why = "the executor was closed" if self.context.closed else why
        why = "the storage failed" if self.study_records.failure else why
        self.is_over = True
        is_next = True  # a later search must find the trials recorded in their order
        for candidate in self.queue:
            self._collect(candidate)
            is_next &= candidate.is_decided
            if candidate.is_decided and (is_next or not self.study_records.is_stored):
                self._record(candidate, self._record_of(candidate))
                continue
            n_run = f"{len(candidate.run)} of {len(self.numbers)} folds"
            record = self._ended(candidate, Verdict("timeout", f"{why} after {n_run}"))
            # In a storage, the trial is left to a later search.
            if not self.study_records.is_stored:
                self.study_records.tell(candidate.trial, record)
            self._keep(record)
            candidate.give_up(self.context.executor.give_up)
        self.queue.clear()

    # --- propose

    def _may_propose(self) -> bool:
        """Whether the next trial may be proposed now.

        It may not if there was no time for the last ones, if the space is exhausted,
        or if everything failed so far.
        """
        if len(self.queue) >= self._lag() or self.deadline.is_over or self.is_over:
            return False
        if sum(self.not_started) >= _MAX_NOT_STARTED:
            return False
        if len(self.records) >= _MAX_WITHOUT_NEWS:
            last = {record.status for record in self.records[-_MAX_WITHOUT_NEWS:]}
            if last == {"duplicate"} or (self.best is None and last <= _FAILED):
                return False
        n_proposed = len(self.records) + len(self.queue)
        return self.n_trials is None or n_proposed < self.n_trials

    def _lag(self) -> int:
        """Return how many trials may be under way; with a deadline, no worker waits."""
        n_wanted = 1 + ceil(self.context.executor.n_workers / len(self.numbers))
        return LAG if self.fit_deadline.time_limit_s is None else max(LAG, n_wanted)

    def _promote(self, *, is_last: bool = False) -> bool:
        """Let one of the best that were fitted on a sample be tried on more rows next.

        One at a time. Return whether there is one; the last to try comes at any time.
        """
        if self.fidelity.promoted or any(c.is_promoted for c in self.queue):
            return True
        left = self.deadline.remaining_s
        strategy = self.fidelity.promote(complete(self.records), left, is_last=is_last)
        if strategy is not None:
            self.study_records.enqueued.appendleft(self.space.to_params(strategy))
        return strategy is not None

    def _propose(self) -> RunningTrial:
        """Return the next trial, with its verdict if it need not be evaluated."""
        place, problem = len(self.records) + len(self.queue), self.context.problem
        # A resumed search may hold more records than an uninterrupted one.
        records = self.records[: max(0, place - self._lag() + 1)]
        incumbent = next(iter(complete(records)), None)
        behind = self.racing.families_behind(records, incumbent)
        self._enqueue_pair(incumbent, place)
        is_promoted = bool(self.fidelity.promoted)
        with self.study_records.using_storage():
            trial = self.study_records.ask(
                place, lambda params: is_promoted or params.get("family") not in behind
            )
            strategy = self.space.suggest(trial)
        row_sample = self.fidelity.promoted.pop(strategy, None)
        candidate = RunningTrial(
            trial,
            strategy,
            self.numbers,
            incumbent,
            row_sample=row_sample or ALL_ROWS,
            is_promoted=row_sample is not None,
            needed_bytes=needed_bytes(strategy, problem.table, problem.catalogue),
        )
        is_known = not candidate.is_promoted and self._is_known(strategy)
        if is_known or strategy in {c.proposed for c in self.queue}:
            # The first of them is recorded before this one.
            candidate.verdict = Verdict("duplicate", "")
        elif candidate.needed_bytes > (free := self.context.executor.memory.largest):
            candidate.verdict = Verdict.too_large(candidate.needed_bytes, free)
        return candidate

    def _enqueue_pair(self, incumbent: TrialRecord | None, place: int) -> None:
        """Let the best model be tried without handling as well, in the second half.

        What handling the imbalance gained is known from such a pair only.
        """
        n_trials = inf if self.n_trials is None else self.n_trials
        left = self.deadline.remaining_s / (self.fit_deadline.time_limit_s or inf)
        is_late = 2 * place >= n_trials or 2 * left < 1
        # Unfinished trials were proposed in an earlier search.
        if incumbent is None or not is_late or self.study_records.unfinished:
            return
        best = incumbent.proposed or incumbent.strategy
        pair = best.without_handling(self.space.catalogue)
        known = {best, *self.by_strategy, *(c.proposed for c in self.queue)}
        if pair in self.space and pair not in known:
            self.study_records.enqueued.appendleft(self.space.to_params(pair))

    def _is_known(self, strategy: Strategy) -> bool:
        """Whether a strategy need not be evaluated again."""
        record = self.by_strategy.get(strategy)
        return record is not None and record.status not in WORTH_ANOTHER_TRY

    # --- submit

    def _submit(self) -> None:
        """Submit the folds that are needed, oldest trial first.

        One more evaluation than there are workers is submitted, so that no worker
        waits. Folds that may turn out needless are submitted to idle workers only.
        While no worker is ready, one fold is evaluated in this process, if one may be.
        """
        tasks = [
            (task.may_be_needless, not self._runs_here(candidate), candidate, task)
            for candidate in self.queue
            for task in self.fidelity.tasks(candidate, self.racing)
        ]
        self._forget_needless()
        n_pending, n_workers = len(self._pending()), self.context.n_workers
        n_most, memory = n_workers + (n_workers > 1), self.context.executor.memory.total
        for is_extra, is_queued, candidate, task in sorted(tasks, key=itemgetter(0, 1)):
            n_allowed = n_workers if is_extra else n_most
            running = [c.needed_bytes for c in self.queue for _ in c.pending]
            is_too_large = sum(running) + candidate.needed_bytes > memory
            is_full = n_pending >= n_allowed and (is_extra or is_queued)
            if is_full or (running and is_too_large):
                return
            n_pending += self._start(candidate, task)
            if not is_queued:  # its result is in, and may decide what comes next
                return

    def _forget_needless(self) -> None:
        """Delete the models of needless evaluations that have ended."""
        done = [future for future in self.needless if future.done()]
        self.needless = [future for future in self.needless if not future.done()]
        delete_models(fold_result(0, future) for future in done)

    def _runs_here(self, candidate: RunningTrial) -> bool:
        """Whether this process would evaluate a candidate, as no worker is ready."""
        is_limited = self.fit_deadline.time_limit_s is not None
        return is_limited and self.context.stand_in_for(candidate.strategy) is not None

    def _pending(self) -> list[Future[FoldResult]]:
        """Return everything that occupies a worker, or soon will."""
        return [*self.needless, *(f for c in self.queue for f in c.pending)]

    def _start(self, candidate: RunningTrial, task: FoldTask) -> bool:
        """Submit one fold of a candidate; return False if it cannot end in time.

        Its other folds must, too, and a refit if its models are not kept.
        """
        left = self.deadline.remaining_s
        n_missing = sum(number not in candidate.results for number in self.numbers)
        is_refitted = not all(result.model for result in candidate.results.values())
        n_fits = ceil(n_missing / self.context.n_workers) + REFIT_FACTOR * is_refitted
        ahead = list(takewhile(lambda other: other is not candidate, self.queue))
        if candidate.verdict is None and not candidate.pending:
            self.fidelity.begin(candidate, left, ahead, is_first=self.best is None)
            if candidate.is_begun:
                candidate.verdict = self.fidelity.verdict(candidate, left, n_fits)
            if self._began_again(candidate):
                return False
        if candidate.verdict is not None or not candidate.is_begun:
            return False
        future = self.context.submit(
            candidate.strategy,
            task.number,
            row_sample=candidate.row_sample,
            seconds=self.fidelity.limit_s(candidate, left, n_fits),
            keeps_model=True,
        )
        candidate.add(task.number, future)
        return True

    # --- collect

    def _collect(self, candidate: RunningTrial) -> None:
        """Take the results of a candidate that are in, and decide if it goes on."""
        if candidate.verdict is None:
            for result in candidate.collect():
                self.cpu_seconds += result.cpu_seconds
                # While the workers start, everything is slow.
                is_usual = not self._runs_here(candidate)
                self.fidelity.learn(candidate, result, is_usual=is_usual)
            candidate.decide(self.racing)
            self._began_again(candidate)
        if candidate.verdict is not None:
            self.needless += candidate.give_up(self.context.executor.give_up)

    def _began_again(self, candidate: RunningTrial) -> bool:
        """Let a candidate that takes too long begin again on fewer rows, or rounds."""
        option = self.fidelity.quicker(candidate, self.deadline.remaining_s)
        if option is not None:
            self.cut_off_s += candidate.spent_s
            self.needless += candidate.give_up(self.context.executor.give_up)
            delete_models(candidate.results.values())
            candidate.begin_again(*option)
        return option is not None

    # --- record

    def _record_of(self, candidate: RunningTrial) -> TrialRecord:
        """Return the record of a candidate that is decided."""
        finished_at, verdict = self._now(), candidate.verdict
        if verdict is None:
            record = candidate.complete_record(
                self.context.scoring, self.space.catalogue, finished_at
            )
            if isfinite(record.mean):
                return record
            verdict = Verdict("failed", self.context.scoring.failure(record.results))
        if verdict.status != "duplicate":
            return self._ended(candidate, verdict)
        first = self.by_strategy[candidate.proposed]
        return candidate.duplicate_record(first, finished_at)

    def _now(self) -> float:
        """Return the seconds since the fit began, after those of earlier searches."""
        return self.earlier_s + self.fit_deadline.elapsed_s

    def _ended(self, candidate: RunningTrial, verdict: Verdict) -> TrialRecord:
        """Return the record of a candidate that did not run all its folds.

        It keeps the scores of some folds if no other candidate is complete by then.
        """
        number = candidate.trial.number
        logger.info("trial %s %s: %s", number, verdict.status, verdict.reason)
        record = candidate.incomplete_record(
            verdict,
            self.context.scoring,
            self._now(),
            keeps_scores=self.best is None and verdict.status == "timeout",
        )
        if verdict.status in CUT_OFF:
            self.cut_off_s += candidate.spent_s
        if not record.results:
            delete_models(candidate.results.values())
        return record

    def _record(self, candidate: RunningTrial, record: TrialRecord) -> None:
        """Keep a record and report it to the study.

        The worst record then loses its out-of-fold scores if more records hold scores
        than `_MAX_WITH_SCORES`.
        """
        verdict = candidate.verdict
        self.not_started.append(verdict is not None and verdict.could_not_start)
        self._keep(record)  # first: a storage that fails must not lose it
        self.study_records.tell(candidate.trial, record)
        with_scores = [i for i, r in enumerate(self.records) if r.results]
        if len(with_scores) > _MAX_WITH_SCORES:
            worst = min(with_scores, key=lambda i: self.records[i].mean)
            self.records[worst] = replace(self.records[worst], results=(), further=())
            self.study_records.forget_scores(self.records[worst])

    def _keep(self, record: TrialRecord) -> None:
        """Keep a record, and what follows from it for the next trials."""
        self.records.append(record)
        if record.status == "duplicate":
            return
        for strategy in (record.proposed or record.strategy, record.strategy):
            before = self.by_strategy.get(strategy)
            is_complete = before is not None and before.status == "complete"
            if record.status == "complete" or not is_complete:
                self.by_strategy[strategy] = record
        if record.status == "complete":
            if self.best is None or record.mean > self.best.mean:
                self.best = record
            ranked = complete(self.records)
            models = self.context.models
            keep_best_models(ranked, inf if models is None else models.max_bytes)
            self.seconds_after = self.seconds_after_search(ranked)
