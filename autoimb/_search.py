"""The search: Optuna proposes, an executor evaluates, results are told in order.

Trial t is proposed knowing the trials up to t - `LAG` and nothing else, and results
are told in the order of the trials. So the leaderboard depends on data, seed and
number of trials, never on how many workers there are or which finishes first.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from autoimb._evaluate import FoldResult, Problem, evaluate
from autoimb._execution import Deadline, Shared, failure_reason, submit_within

if TYPE_CHECKING:
    import optuna

    from autoimb._catalogue import Catalogue
    from autoimb._judge import Judge, Score
    from autoimb._space import SearchSpace
    from autoimb._strategy import Strategy

LAG = 4
"""A trial is proposed once the trial this many places before it was told."""
_FOLD_SHARE = 1 / 3  # a single fold may take this share of the search's time
_REFIT_FACTOR = 1.5
_LEAST_SHARE = 0.1  # of the budget, kept for a refit while no candidate is complete
_MAX_KEPT = 40  # records that keep their out-of-fold scores: the best ones
_POLL_SECONDS = 0.25
_COLUMNS = (
    "rank",
    "strategy",
    "family",
    "resampler",
    "class_weight",
    "loss",
    "mean",
    "se",
    "folds",
    "fit_seconds",
    "status",
    "reason",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialRecord:
    """One row of the leaderboard."""

    number: int
    strategy: Strategy
    status: str
    """``"complete"``, ``"failed"``, ``"timeout"`` or ``"killed"``."""
    reason: str = ""
    score: Score | None = None
    results: tuple[FoldResult, ...] = ()
    """Folds that were scored; empty where they are no longer needed."""
    n_folds: int = 0
    fit_seconds: float = 0.0
    """Mean seconds of one fit."""
    told_at: float = 0.0
    """Seconds since the start of the fit."""

    @property
    def refit_seconds(self) -> float:
        """Expected seconds of a refit: on all rows it takes longer than on a fold."""
        return _REFIT_FACTOR * self.fit_seconds

    @property
    def mean(self) -> float:
        """The score, or minus infinity if there is none."""
        return float("-inf") if self.score is None else self.score.mean


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands, for whoever shows it."""

    n_done: int
    n_failed: int
    best: float | None
    best_strategy: Strategy | None
    elapsed: float
    n_trials: int | None
    seconds: float | None


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchOutcome:
    """What a search found."""

    records: tuple[TrialRecord, ...]
    study: optuna.Study
    was_interrupted: bool

    @property
    def complete(self) -> list[TrialRecord]:
        """Records with a score, best first; equal scores in trial order."""
        scored = [r for r in self.records if r.status == "complete"]
        return sorted(scored, key=lambda r: (-r.mean, r.number))


@dataclass(frozen=True, slots=True, eq=False)
class Arena:
    """Where candidates compete: the same rows, folds, metric and workers for all."""

    problem: Problem
    handle: Shared
    """How tasks on the executor read the problem."""
    judge: Judge
    executor: Executor

    def submit(
        self, strategy: Strategy, number: int, seconds: float | None = None
    ) -> Future[FoldResult]:
        """Submit one fold of one strategy, with a limit on its running time."""
        return submit_within(
            self.executor, seconds, evaluate, strategy, number, self.handle
        )


def search(
    space: SearchSpace,
    first: Sequence[Strategy],
    *,
    arena: Arena,
    clock: Deadline,
    n_trials: int | None,
    held_back: float = 0.0,
    on_progress: ProgressCallback | None = None,
) -> SearchOutcome:
    """Return the records of all trials up to the deadline or the number of trials.

    The clock is that of the whole fit: the search leaves what a refit of its best
    candidate needs, and the seconds `held_back` for other steps. Ctrl-C ends it and
    keeps what is complete by then.
    """
    with _quiet_optuna():
        study = _open_study([space.to_params(s) for s in first], arena.problem.seed)
        run = _Run(space, study, arena, clock, held_back, n_trials)
        was_interrupted = False
        try:
            for _ in run.advance():
                if on_progress is not None:
                    on_progress(run.progress())
            run.abandon("the time budget ended")
        except KeyboardInterrupt:
            was_interrupted = True
            run.abandon("stopped by Ctrl-C")
    return SearchOutcome(
        records=tuple(run.records), study=study, was_interrupted=was_interrupted
    )


@dataclass(slots=True, eq=False)
class _Candidate:
    """A trial under way: its futures, and what they brought so far."""

    trial: optuna.Trial
    strategy: Strategy
    futures: dict[int, Future[FoldResult]]
    results: dict[int, FoldResult] = field(default_factory=dict)

    def collect(self) -> None:
        """Take the results that are in; one failed fold ends the others."""
        for number, future in list(self.futures.items()):
            if future.done():
                self.results[number] = _result_of(number, future)
                del self.futures[number]
        if self.failure is not None:
            for future in self.futures.values():
                future.cancel()
            self.futures.clear()

    @property
    def failure(self) -> FoldResult | None:
        """The first fold that failed."""
        failed = [r for _, r in sorted(self.results.items()) if r.status != "ok"]
        return failed[0] if failed else None

    @property
    def is_done(self) -> bool:
        """Whether nothing is awaited any more."""
        return not self.futures


def _result_of(number: int, future: Future[FoldResult]) -> FoldResult:
    """Return a finished task's result; a lost task is a result too."""
    if future.cancelled():
        return FoldResult(number, "timeout", reason="cancelled")
    error = future.exception()
    if error is None:
        return future.result()
    status, reason = failure_reason(error)
    return FoldResult(number, status, reason=reason)


@dataclass(slots=True, eq=False)
class _Run:
    """The coordinator's state: what is queued, what is told."""

    space: SearchSpace
    study: optuna.Study
    arena: Arena
    clock: Deadline
    held_back: float
    n_trials: int | None
    records: list[TrialRecord] = field(default_factory=list)
    queue: deque[_Candidate] = field(default_factory=deque)
    known: dict[Strategy, TrialRecord] = field(default_factory=dict)
    best: TrialRecord | None = None

    @property
    def deadline(self) -> Deadline:
        """When the search has to stop, so that its best candidate can be refitted."""
        if self.best is None:
            # Until one candidate is complete, nothing else is worth waiting for.
            least = _LEAST_SHARE * (self.clock.seconds or 0.0)
            return self.clock.earlier_by(min(self.held_back, least))
        return self.clock.earlier_by(self.held_back + self.best.refit_seconds)

    def advance(self) -> Iterator[None]:
        """Yield whenever something may have changed, until the search is over."""
        while True:
            while self._may_ask():
                self._ask()
            if not self.queue or self.deadline.is_over:
                return
            for candidate in self.queue:
                candidate.collect()
            if self.queue[0].is_done:
                self._tell(self.queue.popleft())
            else:
                self._wait()
            yield

    def abandon(self, why: str) -> None:
        """Record what is still under way as unfinished."""
        for candidate in self.queue:
            candidate.collect()
            n_ok = sum(r.status == "ok" for r in candidate.results.values())
            for future in candidate.futures.values():
                future.cancel()
            if candidate.is_done:
                self._tell(candidate)
                continue
            n_folds = n_ok + len(candidate.futures)
            self._record(candidate, "timeout", f"{why} after {n_ok} of {n_folds} folds")
        self.queue.clear()

    def progress(self) -> Progress:
        """Return where the search stands."""
        best, clock = self.best, self.clock
        return Progress(
            n_done=len(self.records),
            n_failed=sum(r.status in ("failed", "killed") for r in self.records),
            best=None if best is None else best.mean,
            best_strategy=None if best is None else best.strategy,
            elapsed=clock.elapsed,
            n_trials=self.n_trials,
            seconds=clock.seconds,
        )

    def _may_ask(self) -> bool:
        """Whether the next trial may be proposed now."""
        if len(self.queue) >= LAG or self.deadline.is_over:
            return False
        asked = len(self.records) + len(self.queue)
        return self.n_trials is None or asked < self.n_trials

    def _ask(self) -> None:
        """Propose a trial and submit its folds."""
        trial = self.study.ask()
        strategy = self.space.suggest(trial)
        candidate = _Candidate(trial, strategy, {})
        under_way = {queued.strategy for queued in self.queue}
        self.queue.append(candidate)
        if strategy in self.known or strategy in under_way:
            return  # the first of them is told before this one
        limit = None
        if self.clock.seconds is not None:
            limit = max(1.0, self.clock.seconds * _FOLD_SHARE)
        for number, fold in enumerate(self.arena.problem.folds):
            if fold.repeat == 0 and not self.deadline.is_over:
                candidate.futures[number] = self.arena.submit(strategy, number, limit)

    def _tell(self, candidate: _Candidate) -> None:
        """Score a finished candidate and report it to the study."""
        failure = candidate.failure
        known = self.known.get(candidate.strategy)
        if known is not None:
            self._repeat(candidate, known)
        elif failure is not None:
            self._record(candidate, failure.status, failure.reason)
        elif len(candidate.results) < self._n_first_folds():
            self._record(candidate, "timeout", "the time budget ended")
        else:
            self._complete(candidate)

    def _complete(self, candidate: _Candidate) -> None:
        """Record a candidate that has all folds of the first repeat."""
        results = tuple(r for _, r in sorted(candidate.results.items()))
        score = self.arena.judge.score(results)
        self.study.tell(candidate.trial, score.mean)
        self._append(
            TrialRecord(
                number=candidate.trial.number,
                strategy=candidate.strategy,
                status="complete",
                score=score,
                results=results,
                n_folds=len(results),
                fit_seconds=_mean_fit_seconds(results),
                told_at=self.clock.elapsed,
            )
        )
        self._forget_the_worst()

    def _repeat(self, candidate: _Candidate, known: TrialRecord) -> None:
        """Tell a strategy that was proposed before what is known of it."""
        if known.score is None:
            self._fail(candidate.trial)
        else:
            self.study.tell(candidate.trial, known.score.mean)
        self.records.append(
            TrialRecord(
                number=candidate.trial.number,
                strategy=candidate.strategy,
                status="duplicate",
                reason=f"the same as trial {known.number}",
                told_at=self.clock.elapsed,
            )
        )

    def _record(self, candidate: _Candidate, status: str, reason: str) -> None:
        """Record a candidate without a score."""
        logger.info("trial %s %s: %s", candidate.trial.number, status, reason)
        self._fail(candidate.trial)
        ok = [r for r in candidate.results.values() if r.status == "ok"]
        self._append(
            TrialRecord(
                number=candidate.trial.number,
                strategy=candidate.strategy,
                status=status,
                reason=reason,
                n_folds=len(ok),
                fit_seconds=_mean_fit_seconds(ok),
                told_at=self.clock.elapsed,
            )
        )

    def _append(self, record: TrialRecord) -> None:
        """Keep a record."""
        self.records.append(record)
        self.known[record.strategy] = record
        if self.best is None or record.mean > self.best.mean:
            self.best = record if record.score else self.best

    def _fail(self, trial: optuna.Trial) -> None:
        """Tell the study that a trial has no value."""
        from optuna.trial import TrialState

        self.study.tell(trial, state=TrialState.FAIL)

    def _forget_the_worst(self) -> None:
        """Drop the out-of-fold scores that no later stage will look at."""
        holding = [i for i, r in enumerate(self.records) if r.results]
        if len(holding) > _MAX_KEPT:
            worst = min(holding, key=lambda i: self.records[i].mean)
            self.records[worst] = replace(self.records[worst], results=())

    def _n_first_folds(self) -> int:
        """Return how many folds the first repeat has."""
        return sum(fold.repeat == 0 for fold in self.arena.problem.folds)

    def _wait(self) -> None:
        """Wait for a result, or until it is time to look at the clock."""
        pending = [f for c in self.queue for f in c.futures.values()]
        seconds = min(_POLL_SECONDS, self.deadline.remaining)
        wait(pending, timeout=seconds, return_when=FIRST_COMPLETED)


def _mean_fit_seconds(results: Sequence[FoldResult]) -> float:
    """Return the mean seconds of one fit."""
    return sum(r.fit_seconds for r in results) / max(1, len(results))


def _open_study(first: Sequence[dict[str, Any]], seed: int) -> optuna.Study:
    """Return a study that begins with the given parameters."""
    import optuna

    sampler = optuna.samplers.TPESampler(
        multivariate=True, group=True, n_startup_trials=len(first), seed=seed
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for params in first:
        study.enqueue_trial(params)
    return study


def with_finalists(
    records: Sequence[TrialRecord], finalists: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """Return records with those that were scored again in place of their first form."""
    again = {record.number: record for record in finalists}
    return [again.get(record.number, record) for record in records]


def leaderboard(records: Sequence[TrialRecord], catalogue: Catalogue) -> pd.DataFrame:
    """Return one row a candidate: those with a score by score, then the others."""
    kept = [record for record in records if record.status != "duplicate"]
    ranked = sorted(kept, key=lambda r: (-r.mean, r.number))
    rows = [
        {
            "rank": rank if record.score else None,
            "strategy": record.strategy.label(catalogue),
            **{
                axis: catalogue.get(axis, record.strategy.choice(axis).name).name
                for axis in ("family", "resampler", "class_weight", "loss")
            },
            "mean": record.score.mean if record.score else None,
            "se": record.score.se if record.score else None,
            "folds": record.n_folds,
            "fit_seconds": record.fit_seconds,
            "status": record.status,
            "reason": record.reason,
        }
        for rank, record in enumerate(ranked, start=1)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).astype(
        {"rank": "Int64", "mean": float, "se": float, "fit_seconds": float}
    )


@contextlib.contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Hold back Optuna's log lines and its note that `group` is experimental."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
