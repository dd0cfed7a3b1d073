"""The search: Optuna proposes, an executor evaluates, results are told in order.

Trial t is proposed, raced and dropped knowing the trials up to t - `LAG` and nothing
else, and results are told in the order of the trials. So the leaderboard depends on
data, seed and number of trials, never on how many workers there are or which finishes
first. A clock adds two things: what cannot end in time is not started, and what takes
too long is stopped.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field, replace
from math import ceil, isfinite
from typing import TYPE_CHECKING

from autoimb._candidate import HEAT, Candidate, Verdict, best_stage
from autoimb._footprint import needed_bytes
from autoimb._forecast import Forecast
from autoimb._heats import Heats
from autoimb._race import Race, is_behind
from autoimb._rungs import ALL_ROWS, early_rung
from autoimb._study import quiet_optuna
from autoimb._trials import (
    REFIT_FACTOR,
    WORTH_ANOTHER_TRY,
    Progress,
    SearchOutcome,
    TrialRecord,
    complete,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from autoimb._arena import Arena, Limits
    from autoimb._clock import Deadline
    from autoimb._evaluate import FoldResult
    from autoimb._rungs import Rung
    from autoimb._space import SearchSpace
    from autoimb._strategy import Strategy
    from autoimb._study import Ledger
    from autoimb._trials import ProgressCallback

LAG = 4
"""A trial is proposed once the trial this many places before it was told."""
_LEAST_SHARE = 0.1  # of the budget, kept for a refit while no candidate is complete
_MAX_LATE = 12  # of twice as many proposals: then there is no time for any
_MAX_IDLE = 20  # proposals in a row that were known before, or failed
_FAILED = {"failed", "killed", "duplicate"}
_MAX_KEPT = 40  # records that keep their out-of-fold scores: the best ones
_POLL_SECONDS = 0.25

logger = logging.getLogger(__name__)


def search(
    space: SearchSpace,
    first: Sequence[Strategy],
    *,
    arena: Arena,
    ledger: Ledger,
    limits: Limits,
    on_progress: ProgressCallback | None = None,
) -> SearchOutcome:
    """Return the records of all trials up to the deadline or the number of trials.

    Ctrl-C ends it and keeps what is complete by then.
    """
    started = limits.clock.elapsed
    with quiet_optuna():
        run = _Run(space, ledger, arena, limits)
        was_interrupted = False
        try:
            for _ in run.advance(first):
                if on_progress is not None and on_progress(run.progress()):
                    run.abandon("stopped by a callback")
            run.abandon("the time budget ended")
        except KeyboardInterrupt:
            was_interrupted = True
            run.abandon("stopped by Ctrl-C")
    return SearchOutcome(
        records=tuple(run.records),
        study=ledger.study,
        was_interrupted=was_interrupted,
        seconds=limits.clock.elapsed - started,
        cpu_seconds=run.cpu_seconds,
    )


@dataclass(slots=True, eq=False)
class _Run:
    """The coordinator's state: what is queued, what is told."""

    space: SearchSpace
    ledger: Ledger
    arena: Arena
    limits: Limits
    records: list[TrialRecord] = field(default_factory=list)
    queue: deque[Candidate] = field(default_factory=deque)
    known: dict[Strategy, TrialRecord] = field(default_factory=dict)
    were_late: deque[bool] = field(default_factory=lambda: deque(maxlen=2 * _MAX_LATE))
    """Of the last candidates, whether there was no time to start them."""
    needless: list[Future[FoldResult]] = field(default_factory=list)
    """Folds of candidates that are out, still running."""
    best: TrialRecord | None = None
    cpu_seconds: float = 0.0
    is_over: bool = False
    race: Race = field(init=False)
    forecast: Forecast = field(init=False)
    heats: Heats | None = field(init=False)
    """Where candidates are tried on a sample first: on large tables."""
    numbers: tuple[int, ...] = field(init=False)
    _reserve: float = 0.0

    def __post_init__(self) -> None:
        problem = self.arena.problem
        self.race = Race.of(self.arena.judge)
        self.forecast = Forecast(problem.catalogue)
        self.numbers = tuple(i for i, f in enumerate(problem.folds) if f.repeat == 0)
        rung = early_rung(problem.table.class_counts)
        self.heats = None if rung is None else Heats(self.arena, self.numbers[0], rung)
        for record in self.ledger.records:
            self._append(record)

    @property
    def deadline(self) -> Deadline:
        """When the search has to stop, so that its best candidate can be refitted."""
        clock = self.limits.clock
        if self.best is None:
            # Until one candidate is complete, nothing else is worth waiting for.
            first = self.queue[0].judged if self.queue else []
            refit = REFIT_FACTOR * max((r.fit_seconds for r in first), default=0.0)
            least = _LEAST_SHARE * (clock.seconds or 0.0)
            return clock.earlier_by(max(least, self.limits.reserve(()) + refit))
        return clock.earlier_by(self._reserve + self.best.refit_seconds)

    def advance(self, first: Sequence[Strategy]) -> Iterator[None]:
        """Yield whenever something may have changed, until the search is over."""
        if self.heats is not None:
            tried = [s for s in first[: self.limits.n_trials] if not self._is_known(s)]
            for _ in self.heats.run(tried, self.limits.clock, self._note):
                yield
                if self.is_over:
                    return
            self.needless += self.heats.running.values()
            first = self.heats.best_first(first)
        new = [self.space.to_params(s) for s in first if not self._is_known(s)]
        self.ledger.enqueue(new, n_startup=len(first))
        while not self.is_over:
            while self._may_ask():
                self._ask()
            if not self.queue or self.deadline.is_over:
                return
            for candidate in self.queue:
                self._collect(candidate)
            self._submit()
            if self.queue[0].is_decided:
                record = self._record_of(self.queue[0])
                self._tell(self.queue.popleft(), record)
            else:
                self._wait(self._pending())
            yield

    def abandon(self, why: str) -> None:
        """Record what is still under way as unfinished."""
        self.is_over = True
        is_next = True  # a later search must find the trials told in their order
        for candidate in self.queue:
            self._collect(candidate)
            is_next &= candidate.is_decided
            if candidate.is_decided and (is_next or self.ledger.archive is None):
                self._tell(candidate, self._record_of(candidate))
                continue
            n_run, n_folds = len(candidate.run), len(candidate.order)
            verdict = Verdict("timeout", f"{why} after {n_run} of {n_folds} folds")
            record = self._ended(candidate, verdict)
            self.ledger.give_up(candidate.trial, record)
            self._append(record)
            candidate.give_up(self.arena.cancel)
        self.queue.clear()

    def progress(self) -> Progress:
        """Return where the search stands."""
        best, clock = self.best, self.limits.clock
        return Progress(
            n_done=len(self.records),
            n_failed=sum(r.status in ("failed", "killed") for r in self.records),
            best=None if best is None else best.mean,
            best_strategy=None if best is None else best.strategy,
            elapsed=clock.elapsed,
            n_trials=self.limits.n_trials,
            seconds=clock.seconds,
        )

    # --- proposing

    def _may_ask(self) -> bool:
        """Whether the next trial may be proposed now."""
        if len(self.queue) >= LAG or self.deadline.is_over or self.is_over:
            return False
        if self._is_idle():
            return False
        asked = len(self.records) + len(self.queue)
        return self.limits.n_trials is None or asked < self.limits.n_trials

    def _is_idle(self) -> bool:
        """Whether further proposals lead nowhere.

        There is no time for any, the space is exhausted, or whatever is tried fails.
        """
        if sum(self.were_late) >= _MAX_LATE:
            return True
        last = {record.status for record in self.records[-_MAX_IDLE:]}
        if len(self.records) < _MAX_IDLE:
            return False
        return last <= {"duplicate"} or (self.best is None and last <= _FAILED)

    def _ask(self) -> None:
        """Propose a trial."""
        place = len(self.records) + len(self.queue)
        behind = self._families_behind(place)
        trial = self.ledger.ask(
            place, lambda params: params.get("family") not in behind
        )
        strategy = self.space.suggest(trial)
        candidate = Candidate(
            trial,
            strategy,
            self.numbers,
            self._incumbent(place),
            has_heat=self.heats is not None,
        )
        if self._is_known(strategy) or strategy in {c.strategy for c in self.queue}:
            # The first of them is told before this one.
            candidate.verdict = Verdict("duplicate", "")
        else:
            candidate.verdict = self._too_large(strategy)
        if self.heats is not None and strategy in self.heats.results:
            candidate.results[HEAT] = self.heats.results.pop(strategy)
        self.queue.append(candidate)

    def _known_at(self, place: int) -> list[TrialRecord]:
        """Return the trials that the one at a place may know.

        A search that goes on knows more than one that runs through.
        """
        return self.records[: max(0, place - LAG + 1)]

    def _families_behind(self, place: int) -> set[str]:
        """Return the families of which all that was tried was clearly behind.

        What else the portfolio has of them comes after that of the others.
        """
        best = self._incumbent(place)
        if best is None or not self.race.is_open:
            return set()
        behind, alive = set(), set()
        for record in self._known_at(place):
            if record.status == "dropped" or is_behind(record.score, best.score):
                behind.add(record.strategy.family.name)
            elif record.status == "complete":
                alive.add(record.strategy.family.name)
        return behind - alive

    def _incumbent(self, place: int) -> TrialRecord | None:
        """Return the best of the trials that the one at a place may know."""
        known = complete(self._known_at(place))
        return max(known, key=lambda r: r.first_mean, default=None)

    def _is_known(self, strategy: Strategy) -> bool:
        """Whether a strategy need not be evaluated again."""
        record = self.known.get(strategy)
        return record is not None and record.status not in WORTH_ANOTHER_TRY

    def _too_large(self, strategy: Strategy) -> Verdict | None:
        """Return why there is not memory enough to evaluate a strategy."""
        needed = self._needed_bytes(strategy)
        if needed <= self.limits.memory:
            return None
        return Verdict(
            "skipped",
            f"needs about {needed / 1e9:.1f} GB of memory, and "
            f"{self.limits.memory / 1e9:.1f} GB are free for it",
        )

    # --- evaluating

    @property
    def _capacity(self) -> int:
        """How many evaluations are submitted at once: one waits for a free worker."""
        n_workers = self.arena.n_workers
        return n_workers if n_workers == 1 else n_workers + 1

    def _submit(self) -> None:
        """Submit what is needed, oldest trial first, and what may be while idle."""
        can_be_dropped = self.race.is_open
        options = [
            (is_extra, place, position, number)
            for place, candidate in enumerate(self.queue)
            for position, (is_extra, number) in enumerate(
                candidate.wanted(can_be_dropped=can_be_dropped)
            )
        ]
        self.needless = [future for future in self.needless if not future.done()]
        n_running = len(self._pending())
        for is_extra, place, _, number in sorted(options):
            n_allowed = self.arena.n_workers if is_extra else self._capacity
            if n_running >= n_allowed or not self._has_room(self.queue[place]):
                return
            n_running += self._start(self.queue[place], number)

    def _has_room(self, candidate: Candidate) -> bool:
        """Whether there is memory for one more evaluation, beside those under way."""
        running = [c for c in self.queue for _ in c.futures]
        needed = sum(self._needed_bytes(c.strategy) for c in [candidate, *running])
        return not running or needed <= self.limits.memory

    def _needed_bytes(self, strategy: Strategy) -> float:
        """Return about what an evaluation takes."""
        problem = self.arena.problem
        return needed_bytes(strategy, problem.table, problem.catalogue)

    def _pending(self) -> list[Future[FoldResult]]:
        """Return everything that occupies a worker, or soon will."""
        return [*self.needless, *(f for c in self.queue for f in c.futures.values())]

    def _start(self, candidate: Candidate, number: int) -> bool:
        """Submit one fold of a candidate, unless it cannot end in time."""
        if candidate.verdict is None and not candidate.futures:
            candidate.verdict = self._too_late(candidate)
        if candidate.verdict is not None:
            return False
        fold, rung = number, ALL_ROWS
        if number == HEAT and self.heats is not None:
            fold, rung = self.heats.number, self.heats.rung
        # What takes longer could not run its folds and be refitted in time.
        limit = self._left() / self._turns(candidate)
        is_timed = self.limits.clock.seconds is not None
        candidate.futures[number] = self.arena.submit(
            candidate.strategy, fold, rung=rung, seconds=limit if is_timed else None
        )
        return True

    def _turns(self, candidate: Candidate) -> float:
        """Return how many fits' time a candidate still needs, its refit included."""
        n_left = sum(number not in candidate.results for number in self.numbers)
        return ceil(n_left / self.arena.n_workers) + REFIT_FACTOR

    def _left(self) -> float:
        """Return the seconds left; a candidate may have the refit of the best."""
        refit = 0.0 if self.best is None else self.best.refit_seconds
        return self.deadline.remaining + refit

    def _too_late(self, candidate: Candidate) -> Verdict | None:
        """Return that a candidate's folds cannot be done in the time that is left."""
        own = [r.seconds for n, r in candidate.results.items() if n != HEAT]
        n_rows = len(self.arena.problem.folds[self.numbers[0]].train_idx)
        expected = max(own, default=self.forecast.seconds(candidate.strategy, n_rows))
        needed, left = (expected or 0.0) * self._turns(candidate), self._left()
        if needed <= left:
            return None
        status = "timeout" if candidate.results else "skipped"
        return Verdict(
            status,
            f"needs about {needed:.1f} s more, and {left:.1f} s were left",
            is_late=status == "skipped",
        )

    def _collect(self, candidate: Candidate) -> None:
        """Take the results that are in and judge the candidate by them."""
        if candidate.verdict is None:
            for number, result in candidate.collect():
                is_heat = number == HEAT and self.heats is not None
                rung = self.heats.rung if self.heats and is_heat else ALL_ROWS
                self._note(candidate.strategy, result, rung)
            candidate.judge(self.race)
        if candidate.verdict is not None:
            self.needless += candidate.give_up(self.arena.cancel)

    def _note(self, strategy: Strategy, result: FoldResult, rung: Rung) -> None:
        """Learn from an evaluation how long the next will take."""
        self.cpu_seconds += result.cpu_seconds
        if result.status == "ok":
            fold = self.arena.problem.folds[result.number]
            n_rows = rung.n_rows or len(fold.train_idx)
            self.forecast.note(
                strategy, n_rows, result.fit_seconds, result.predict_seconds
            )

    def _wait(self, pending: Sequence[Future[FoldResult]]) -> None:
        """Wait for a result, or until it is time to look at the clock."""
        seconds = min(_POLL_SECONDS, self.deadline.remaining)
        wait(pending, timeout=seconds, return_when=FIRST_COMPLETED)

    # --- telling

    def _record_of(self, candidate: Candidate) -> TrialRecord:
        """Return what became of a candidate."""
        if candidate.verdict is None:
            return self._completed(candidate)
        if candidate.verdict.status == "duplicate":
            return self._repeated(candidate)
        return self._ended(candidate, candidate.verdict)

    def _tell(self, candidate: Candidate, record: TrialRecord) -> None:
        """Keep a record and report it to the study."""
        self.were_late.append(
            candidate.verdict is not None and candidate.verdict.is_late
        )
        self.ledger.tell(candidate.trial, record)
        self._append(record)
        self._forget_the_worst()

    def _completed(self, candidate: Candidate) -> TrialRecord:
        """Return the record of a candidate that has all folds of the first repeat."""
        results = candidate.chosen(self.numbers, self.arena.judge)
        score = self.arena.judge.score(results)
        if not isfinite(score.mean):
            why = "the metric is undefined on its scores"
            return self._ended(candidate, Verdict("failed", why))
        strategy = candidate.final_strategy(results, self.space.catalogue)
        heat = candidate.heat
        return TrialRecord(
            number=candidate.trial.number,
            strategy=strategy,
            proposed=None if strategy == candidate.strategy else candidate.strategy,
            status="complete",
            score=score,
            told=score.mean,
            results=tuple(results),
            n_folds=len(results),
            fit_seconds=_mean_fit_seconds(results),
            told_at=self.limits.clock.elapsed,
            rungs=self._rungs(candidate),
            heat=heat and candidate.chosen([HEAT], self.arena.judge)[0],
        )

    def _repeated(self, candidate: Candidate) -> TrialRecord:
        """Return the record of a strategy that was proposed before."""
        known = self.known[candidate.strategy]
        return TrialRecord(
            number=candidate.trial.number,
            strategy=candidate.strategy,
            status="duplicate",
            reason=f"the same as trial {known.number}",
            told=known.told,
            told_at=self.limits.clock.elapsed,
        )

    def _ended(self, candidate: Candidate, verdict: Verdict) -> TrialRecord:
        """Return the record of a candidate without a score."""
        number = candidate.trial.number
        logger.info("trial %s %s: %s", number, verdict.status, verdict.reason)
        ok = [r for r in candidate.judged if r.status == "ok"]
        # While nothing is complete, some folds are better than none.
        is_needed = self.best is None and verdict.status == "timeout" and bool(ok)
        kept = best_stage(ok, self.arena.judge) if is_needed else []
        return TrialRecord(
            number=number,
            strategy=candidate.strategy,
            status=verdict.status,
            reason=verdict.reason,
            told=verdict.told,
            score=self.arena.judge.score(kept) if kept else None,
            results=tuple(kept),
            n_folds=len(ok),
            fit_seconds=_mean_fit_seconds(ok),
            told_at=self.limits.clock.elapsed,
            rungs=self._rungs(candidate),
        )

    def _rungs(self, candidate: Candidate) -> tuple[str, ...]:
        """Return which training rows a candidate saw, in order."""
        sampled = (self.heats.rung.name,) if self.heats and candidate.heat else ()
        all_rows = candidate.results.keys() - {HEAT}
        return (*sampled, ALL_ROWS.name) if all_rows else sampled

    def _append(self, record: TrialRecord) -> None:
        """Keep a record."""
        self.records.append(record)
        if record.status == "duplicate":
            return
        for strategy in (record.key, record.strategy):
            self.known[strategy] = record
        if record.status == "complete":
            if self.best is None or record.mean > self.best.mean:
                self.best = record
            self._reserve = self.limits.reserve(complete(self.records))

    def _forget_the_worst(self) -> None:
        """Drop the out-of-fold scores that no later stage will look at."""
        holding = [i for i, r in enumerate(self.records) if r.results]
        if len(holding) > _MAX_KEPT:
            worst = min(holding, key=lambda i: self.records[i].mean)
            self.records[worst] = replace(self.records[worst], results=(), heat=None)
            self.ledger.forget_scores(self.records[worst])


def _mean_fit_seconds(results: Sequence[FoldResult]) -> float:
    """Return the mean seconds of one fit."""
    return sum(r.fit_seconds for r in results) / max(1, len(results))
