"""Choose the winner among the search's candidates, and say what to expect of it.

Finalists are scored again on fresh folds, since the best of many noisy scores is
mostly the luckiest. With few positives even that leaves most of them tied: then the
mean of the finalists stands for election as well, against the best of them alone.
"""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from autoimb._committee import USUAL_SIZE, Bench, Member, best_of, noise_of, weigh
from autoimb._judge import most_draws
from autoimb._metrics import LabelMetric, ScorerMetric, no_skill
from autoimb._trials import TrialRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from autoimb._arena import Arena
    from autoimb._clock import Deadline
    from autoimb._evaluate import FoldResult, Problem
    from autoimb._judge import Judge, Score
    from autoimb._strategy import Strategy

_FEWEST_FINALISTS = 4
_REPEATS_SHARE = 0.25  # of the budget, for scoring finalists on further repeats
_SLACK = 1.1  # to what further repeats are expected to take
_REFITS_SHARE = 0.2  # of the budget, for refitting members beside the best
FEW_POSITIVES = 250  # below, a committee is taken unless it is clearly worse
CLEARLY = 2.0  # paired standard errors
_LAST_SECONDS = 1.0  # calibration, threshold, report
_HONEST_SECONDS = 4e-7  # of the honest estimate, for each row of a repeat and draw
_WORTH_HANDLING = 0.5  # paired standard errors that handling must gain within a family


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestScore:
    """What to expect on new data, beside what costs nothing.

    Attributes
    ----------
    estimate : float
        The search metric, corrected for having picked the best of many
        (bootstrap bias-corrected cross-validation, Tsamardinos 2018). That the number
        of boosting rounds was picked on the same rows is not corrected for.
    low, high : float
        2.5 and 97.5 % quantiles of that bootstrap. They held the score on new rows in
        88 of 100 trial fits: it is no 95 % interval for new data.
    no_skill : float
        What a random ranking, or the best constant answer, scores.
    do_nothing : float
        The same estimate of the best single candidate without any handling of the
        imbalance, picked among those without; NaN where there is none.
    """

    estimate: float
    low: float
    high: float
    no_skill: float
    do_nothing: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The winner, and the candidate without handling that it is compared with."""

    winner: TrialRecord
    """The best single candidate."""
    do_nothing: TrialRecord | None
    """The best without handling; None where none was complete."""
    finalists: tuple[TrialRecord, ...]
    members: tuple[Member, ...]
    """What predicts: the best single candidate first, alone or among others."""
    score: Score | None = None
    """That of the members together."""
    quickest: TrialRecord | None = None
    """What to fall back on where there is no time to refit the winner."""

    @property
    def fallback(self) -> Selection | None:
        """The selection of the quickest candidate, None if there is no other."""
        if self.quickest is None or self.quickest.strategy == self.winner.strategy:
            return None
        return self._led_by(Member(self.quickest))

    @property
    def successors(self) -> Iterator[Selection]:
        """What may stand in for a best one that fails, best first.

        The other members together, without one more each time, then finalists alone.
        """
        for place in range(1, len(self.members)):
            yield self._led_by(*self.members[place:])
        for record in self.finalists:
            if record.strategy != self.winner.strategy:
                yield self._led_by(Member(record))

    def _led_by(self, *members: Member) -> Selection:
        """Return the selection of others, the best of them first."""
        best = members[0].record
        alone = len(members) == 1
        return replace(
            self,
            winner=best,
            members=members,
            score=best.score if alone else None,
            quickest=None,
        )

    @classmethod
    def unscored(cls, strategy: Strategy) -> Selection:
        """Return the selection of a strategy that there was no time to score."""
        return cls.alone(TrialRecord(number=-1, strategy=strategy, status="unscored"))

    @classmethod
    def alone(cls, record: TrialRecord) -> Selection:
        """Return the selection of a candidate that stands in for a winner."""
        return cls(
            winner=record,
            do_nothing=None if record.strategy.is_handled else record,
            finalists=(),
            members=(Member(record),),
            score=record.score,
        )


def select(
    complete: Sequence[TrialRecord],
    arena: Arena,
    clock: Deadline,
    *,
    size: int = USUAL_SIZE,
) -> Selection:
    """Return the winner among complete candidates, given best first.

    It has at most `size` members. The clock is that of the whole fit: what a refit
    needs is kept back here.
    """
    bench, last = Bench(arena.problem, arena.judge), last_seconds(arena.problem)
    finalists = _finalists(_affordable(complete, clock, last), size)
    slowest = max(record.refit_seconds for record in finalists)
    further = _further_refits(finalists, size, clock)
    # A repeat that takes longer than expected costs a few members, not the committee.
    latest = clock.earlier_by(slowest + last + further / 2)
    deadline = latest.earlier_by(further / 2)
    kept = finalists[: _plan(finalists, arena, deadline.remaining).n_finalists]
    finalists = [*rescore(kept, arena, deadline, latest), *finalists[len(kept) :]]
    winner = _winner(finalists)
    plain = [r for r in finalists if not r.strategy.is_handled]
    members = _members(winner, finalists, bench, size, clock.earlier_by(last))
    return Selection(
        winner=winner,
        do_nothing=max(plain, key=lambda r: r.mean, default=None),
        finalists=tuple(sorted(finalists, key=lambda r: (-r.mean, r.number))),
        members=members,
        score=winner.score if len(members) == 1 else bench.score(members),
        quickest=min(
            (r for r in complete if r.results), key=lambda r: (r.fit_seconds, r.number)
        ),
    )


def _members(
    winner: TrialRecord,
    finalists: Sequence[TrialRecord],
    bench: Bench,
    size: int,
    deadline: Deadline,
) -> tuple[Member, ...]:
    """Return the best candidate alone, or the mean of it and others if that is better.

    Between candidates that few positives cannot tell apart, the mean is the safe side.
    """
    ranked = sorted(finalists, key=lambda r: (r is not winner, -r.mean, r.number))
    seated, left = [], deadline.remaining
    for member in _weighed(best_of(ranked, size), noise_of(ranked)):
        is_winner = member.record is winner
        left -= member.record.refit_seconds if is_winner else member.record.fit_seconds
        if is_winner or left >= 0:
            seated.append(member)
    alone = (Member(winner),)
    if len(seated) == 1:
        return alone
    together = bench.score(seated)
    is_taken = _is_taken(together, bench.score(alone), bench.problem)
    return tuple(seated) if is_taken else alone


def _weighed(
    records: Sequence[TrialRecord], noise: float, draw: int | None = None
) -> list[Member]:
    """Return those who count, weighed by their scores, or by those on one draw."""
    means = np.array(
        [
            r.mean if draw is None or not r.score else r.score.drawn[draw]
            for r in records
        ]
    )
    weights = weigh(means, noise)
    return [Member(r, float(w)) for r, w in zip(records, weights, strict=True) if w > 0]


def _is_taken(committee: Score, best: Score, problem: Problem) -> bool:
    """Whether a committee stands for the best candidate."""
    if _are_few(problem):
        noise = committee.se_of_difference(best)
        return not committee.mean < best.mean - CLEARLY * noise
    return committee.mean > best.mean


def _are_few(problem: Problem) -> bool:
    """Whether there are too few positives to tell candidates apart."""
    return bool(problem.table.class_counts.min() < FEW_POSITIVES)


def last_seconds(problem: Problem) -> float:
    """Return about what calibration, threshold and report take."""
    n_rows, n_repeats = len(problem.table.y), len({f.repeat for f in problem.folds})
    n_cells = n_rows * n_repeats * most_draws(n_rows)
    return _LAST_SECONDS + _HONEST_SECONDS * n_cells


def reserve(
    complete: Sequence[TrialRecord],
    arena: Arena,
    clock: Deadline,
    *,
    size: int = USUAL_SIZE,
) -> float:
    """Return the seconds to leave after the search, beside the refit of the best.

    Finalists are scored on further repeats in a quarter of the budget at most. The
    members beside the best are refitted in a fifth of it at most.
    """
    last = last_seconds(arena.problem)
    if clock.seconds is None or not complete:
        return last
    finalists = _finalists(complete, size)
    repeats = _plan(finalists, arena, _REPEATS_SHARE * clock.seconds)
    return last + _further_refits(finalists, size, clock) + _SLACK * repeats.seconds


def _further_refits(
    finalists: Sequence[TrialRecord], size: int, clock: Deadline
) -> float:
    """Return the seconds to leave for refitting the likely members beside the best."""
    if clock.seconds is None:
        return 0.0
    likely = _weighed(best_of(finalists, size), noise_of(finalists))
    # All cores work on a refit, and it may be left out: no more than it took before.
    needed = sum(member.record.fit_seconds for member in likely[1:])
    return min(_REFITS_SHARE * clock.seconds, needed)


def _affordable(
    complete: Sequence[TrialRecord], clock: Deadline, last: float
) -> Sequence[TrialRecord]:
    """Return the candidates that can be refitted in time, all if none can.

    Those far down the list no longer hold the scores that the last steps need.
    """
    usable = [record for record in complete if record.results]
    left = clock.remaining - last
    in_time = [record for record in usable if record.refit_seconds <= left]
    return in_time or usable


def _finalists(complete: Sequence[TrialRecord], size: int) -> list[TrialRecord]:
    """Return the best, the plain ones to compare it with, then others by score."""
    chosen = best_of(complete, max(size, _FEWEST_FINALISTS))
    plain = [r for r in complete if not r.strategy.is_handled]
    best_family = complete[0].strategy.family.name
    of_family = [r for r in plain if r.strategy.family.name == best_family]
    ordered = [*chosen[:1], *plain[:1], *of_family[:1], *chosen[1:]]
    distinct: dict[Strategy, TrialRecord] = {}
    for record in ordered:
        distinct.setdefault(record.strategy, record)
    return list(distinct.values())


@dataclass(frozen=True, slots=True)
class _Plan:
    """How many finalists are to be scored on further repeats, and what that takes."""

    n_finalists: int
    seconds: float


def _plan(finalists: Sequence[TrialRecord], arena: Arena, seconds: float) -> _Plan:
    """Return what can be scored in so many seconds: at least two, or nobody.

    As many finalists as can be scored on one further repeat, then as many repeats:
    fewer finalists on more folds choose better than more finalists on few.
    """
    repeats = list(_further_repeats(arena.problem))
    for n_kept in range(len(finalists), 1, -1):
        spans = [
            _work(finalists[:n_kept], [i for r in repeats[:n] for i in r], arena)
            for n in range(1, len(repeats) + 1)
        ]
        if in_time := [span for span in spans if span <= seconds]:
            return _Plan(n_kept, in_time[-1])
    return _Plan(0, 0.0)


def _work(
    finalists: Sequence[TrialRecord], numbers: Sequence[int], arena: Arena
) -> float:
    """Return the expected seconds of scoring finalists on some folds."""
    n_workers = arena.n_workers
    seconds = [sum(r.seconds for r in record.results) for record in finalists]
    n_folds = [max(1, len(record.results)) for record in finalists]
    a_fold = sum(s / n for s, n in zip(seconds, n_folds, strict=True))
    # The last fits of a round run alone.
    longest = max((s / n for s, n in zip(seconds, n_folds, strict=True)), default=0.0)
    return a_fold * len(numbers) / n_workers + longest * (n_workers > 1)


def _winner(finalists: Sequence[TrialRecord]) -> TrialRecord:
    """Return the best, or its own family with nothing done if that is as good."""
    best = max(finalists, key=lambda r: (r.mean, -r.number))
    if not best.strategy.is_handled:
        return best
    plain = [
        record
        for record in finalists
        if record.strategy.family.name == best.strategy.family.name
        and not record.strategy.is_handled
        and not _is_better(best, record)
    ]
    return max(plain, key=lambda r: r.mean, default=best)


def _is_better(handled: TrialRecord, plain: TrialRecord) -> bool:
    """Whether handling gains enough beyond its noise to be worth its complexity."""
    if handled.score is None or plain.score is None:
        return True
    noise = handled.score.se_of_difference(plain.score)
    return bool(handled.mean - plain.mean >= _WORTH_HANDLING * noise)


def rescore(
    finalists: Sequence[TrialRecord],
    arena: Arena,
    deadline: Deadline,
    latest: Deadline,
) -> list[TrialRecord]:
    """Return finalists scored on as many further repeats as the time allows.

    A repeat counts for all or for none, so that all means are over the same folds.
    What is to end by `deadline` is begun, and then waited for until `latest`: workers
    may still have been busy.
    """
    if not finalists:
        return []
    results = {record.number: list(record.results) for record in finalists}
    for numbers in _further_repeats(arena.problem):
        if _work(finalists, numbers, arena) > deadline.remaining:
            break
        try:
            scored = _score_repeat(finalists, numbers, arena, latest)
        except KeyboardInterrupt:
            break  # the repeats that are complete are kept
        if scored is None:
            break
        for trial, result in scored:
            results[trial].append(result)
    # A finalist of a stored search may know repeats that the others do not.
    shared = set.intersection(*({r.number for r in of} for of in results.values()))
    return [
        _rescored(
            record,
            [r for r in results[record.number] if r.number in shared],
            arena.judge,
        )
        for record in finalists
    ]


def _score_repeat(
    finalists: Sequence[TrialRecord],
    numbers: Sequence[int],
    arena: Arena,
    deadline: Deadline,
) -> list[tuple[int, FoldResult]] | None:
    """Return the (trial, result) of folds that are not known, None if one is missing.

    A stored search may know some from an earlier fit.
    """
    futures = []
    for record in finalists:
        for number in sorted(set(numbers) - {r.number for r in record.results}):
            if deadline.is_over:  # where tasks run as they are submitted
                return None
            limit = None if deadline.seconds is None else deadline.remaining
            future = arena.submit(record.strategy, number, seconds=limit)
            futures.append((record.number, future))
    timeout = None if deadline.seconds is None else deadline.remaining
    _, missing = wait([future for _, future in futures], timeout=timeout)
    for future in missing:
        arena.cancel(future)
    if missing or any(future.exception() for _, future in futures):
        return None
    # Their rounds are fixed by now: the stages before them are of no use.
    scored = [(trial, replace(f.result(), stages=())) for trial, f in futures]
    return scored if all(result.status == "ok" for _, result in scored) else None


def _further_repeats(problem: Problem) -> Iterator[list[int]]:
    """Yield the fold numbers of each repeat after the first."""
    repeats = sorted({fold.repeat for fold in problem.folds} - {0})
    for repeat in repeats:
        yield [i for i, fold in enumerate(problem.folds) if fold.repeat == repeat]


def _rescored(
    record: TrialRecord, results: Sequence[FoldResult], judge: Judge
) -> TrialRecord:
    """Return a record with the score of all its folds."""
    if len(results) == len(record.results):
        return record
    return replace(
        record,
        score=judge.score(results),
        results=tuple(results),
        n_folds=len(results),
    )


def honest_score(
    complete: Sequence[TrialRecord], selection: Selection, bench: Bench
) -> HonestScore:
    """Return the bias-corrected estimate over complete candidates.

    Each bootstrap draw picks its own winner, a committee where one won, and scores it
    on the rows that the draw left out (Tsamardinos, Greasidou & Borboudakis 2018,
    doi:10.1007/s10994-018-5714-4). What the real winner loses to it there is taken off
    the winner's score: both see the same few rows, which alone would flatter both. A
    metric of labels is scored at cuts that were tuned on the rows drawn.
    """
    table, metric = bench.problem.table, bench.judge.metric
    values = _replayed(complete, selection, bench)
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (nan, nan)
    return HonestScore(
        estimate=_mean(values),
        low=float(low),
        high=float(high),
        no_skill=no_skill(metric, table.class_counts / len(table.y), table.pos),
        do_nothing=estimate_of_plain(complete, selection.do_nothing, bench),
    )


def estimate_of_plain(
    complete: Sequence[TrialRecord], best: TrialRecord | None, bench: Bench
) -> float:
    """Return the honest estimate of the best without handling, NaN if there is none."""
    if best is None:
        return nan
    plain = [record for record in complete if not record.strategy.is_handled]
    return _mean(_replayed(plain or [best], Selection.alone(best), bench))


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean, NaN of no values."""
    return float(values.mean()) if len(values) else nan


def _replayed(
    complete: Sequence[TrialRecord], selection: Selection, bench: Bench
) -> NDArray[np.float64]:
    """Return the score, on rows left out, of what each draw picks.

    Candidates far down the list no longer hold their out-of-fold scores.
    """
    judge, winner = bench.judge, bench.results(selection.members)
    records = [r for r in complete if r.results and r.score is not None]
    if not winner or not records:
        return np.array([])
    noise = noise_of(best_of(records, USUAL_SIZE))
    drawn = np.array([r.score.drawn for r in records if r.score])
    ranks = np.argsort(-np.where(np.isfinite(drawn), drawn, -np.inf), axis=0)
    picked = np.empty(len(judge.counts))
    if len(selection.members) == 1:
        # Few candidates are ever the best: each is ranked once for all its draws.
        for place in np.unique(ranks[0]):
            draws = np.flatnonzero(ranks[0] == place)
            picked[draws] = judge.on_left_out(records[place].results, draws)
    else:
        for draw, order in enumerate(ranks.T):
            ranked = [records[i] for i in order]
            together = _picked(ranked, draw, selection, bench, noise)
            picked[draw] = judge.on_left_out(together, np.array([draw]))[0]
    if isinstance(judge.metric, LabelMetric):
        # On all rows the cut was tuned on the rows that it would be judged by.
        return picked[np.isfinite(picked)]
    on_all = judge.pooled(winner, np.ones((1, judge.counts.shape[1]), dtype=np.uint8))
    by_winner = judge.on_left_out(winner, np.arange(len(judge.counts)))
    is_known = np.isfinite(picked) & np.isfinite(by_winner)
    known: NDArray[np.float64] = picked[is_known] + on_all - by_winner[is_known].mean()
    # To take off a mean can carry a draw past the best score that there is.
    return known if isinstance(judge.metric, ScorerMetric) else np.minimum(known, 1.0)


def _picked(
    ranked: Sequence[TrialRecord],
    draw: int,
    selection: Selection,
    bench: Bench,
    noise: float,
) -> Sequence[FoldResult]:
    """Return the out-of-fold scores of what one draw picks among its ranking."""
    best = ranked[0]
    members = _weighed(best_of(ranked, len(selection.members)), noise, draw)
    if len(members) == 1:
        return best.results
    together = bench.results(members)
    if _are_few(bench.problem) or best.score is None:
        return together
    is_better = bench.judge.drawn(together, draw) > best.score.drawn[draw]
    return together if is_better else best.results
