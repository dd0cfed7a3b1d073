"""From the selected strategies to a model that predicts: refit, calibrate, threshold.

A `FittedModel` is all that prediction needs: members with a strictly increasing
calibration each, their weights, and one rule from probabilities to labels.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._calibrate import Calibration, Identity, fit_calibration
from autoimb._clock import Deadline
from autoimb._columns import take
from autoimb._evaluate import FoldResult, OutOfFold, predict_codes, refit
from autoimb._shift import PriorShift, shifted
from autoimb._threshold import Cut, Threshold, Tuned, tune_threshold
from autoimb.exceptions import BudgetTooSmallWarning, RefitFailedWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from autoimb._columns import Matrix
    from autoimb._committee import Member
    from autoimb._confusion import FloatArray
    from autoimb._evaluate import EncodedRows, Problem
    from autoimb._objectives import Objective
    from autoimb._select import Selection
    from autoimb._strategy import Strategy
    from autoimb._trials import TrialRecord
    from autoimb.exceptions import AutoImbWarning

logger = logging.getLogger(__name__)

_WORTH_THREADS = 0.5  # seconds of a fit by one thread from which on more are used


@dataclass(frozen=True, slots=True, eq=False)
class FittedMember:
    """One strategy refitted on all rows, with its calibration and weight."""

    strategy: Strategy
    weight: float
    pipeline: Pipeline
    calibration: Calibration

    def proba(
        self, X: Matrix, n_classes: int, known: dict[int, Any] | None = None
    ) -> NDArray[np.float64]:
        """Return calibrated probabilities of canonical rows.

        `known` is what members share: the rows as their common encoders read them.
        """
        return self.calibration(predict_codes(self.pipeline, X, n_classes, known))


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """What predicts: members and the rule from probabilities to labels."""

    members: tuple[FittedMember, ...]
    threshold: Threshold
    threshold_interval: tuple[float, float] | None
    n_classes: int
    shift: PriorShift | None = None
    """To another class distribution than that of the training table."""
    calibration: Calibration = field(default_factory=Identity)
    """That of the members' mean; a single member has its own only."""

    def proba(self, X: Matrix) -> NDArray[np.float64]:
        """Return the calibrated mean of the members' calibrated probabilities."""
        weights = [member.weight for member in self.members]
        known: dict[int, Any] = {}
        probas = [member.proba(X, self.n_classes, known) for member in self.members]
        mean = np.average(probas, axis=0, weights=weights)
        return shifted(self.calibration(mean), self.shift)

    @property
    def raw_cut(self) -> float | None:
        """The cut on the single member's own score that gives the same labels."""
        if len(self.members) > 1 or not isinstance(self.threshold, Cut):
            return None
        calibration = self.members[0].calibration
        return _inverse(lambda p: shifted(calibration(p), self.shift), self.threshold)


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """Out-of-fold scores with the calibration that suits them."""

    calibration: Calibration
    proba: NDArray[np.float64]
    """Scores mapped by `calibration`: what the threshold will meet."""
    cross_fitted: NDArray[np.float64]
    """Scores mapped by calibrations that never saw the entry's own group."""
    is_of_mean: bool = False
    """Whether the scores are a mean of members that were calibrated one by one."""

    @property
    def label(self) -> str:
        """What was done to the scores, as people call it."""
        name = self.calibration.label
        if not self.is_of_mean:
            return name
        is_bare = isinstance(self.calibration, Identity)
        return "members one by one" if is_bare else f"{name} of the members' mean"


@dataclass(frozen=True, slots=True, eq=False)
class Setback:
    """What came between the best candidate and its refit: an error, or an early end."""

    wanted: Strategy
    fitted: Strategy
    error: Exception | None = None

    @property
    def is_replaced(self) -> bool:
        """Whether another one answers."""
        return self.fitted != self.wanted

    @property
    def is_late(self) -> bool:
        """Whether more time would have helped."""
        return self.error is None or isinstance(self.error, TimeoutError)

    @property
    def cause(self) -> str:
        """The error's name and the first line of what it says."""
        first_line = str(self.error).partition("\n")[0]
        return f"{type(self.error).__name__}: {first_line}".removesuffix(": ")

    @property
    def category(self) -> type[AutoImbWarning]:
        """What to warn with."""
        return BudgetTooSmallWarning if self.is_late else RefitFailedWarning

    def story(self, time_budget: float | str | None) -> str:
        """Return what happened, and the way out."""
        what = "it was stopped early"
        if self.is_replaced:
            what = f"{self.fitted} took its place"
        if self.is_late:
            return (
                f"{time_budget=} left too little for a whole refit of {self.wanted}: "
                f"{what}. Give more time."
            )
        return (
            f"{self.wanted} was the best in cross-validation but failed on all rows "
            f"({self.cause}): {what}. Leave it out of the search, or mend it."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """The model, and the out-of-fold scores that it was finished with."""

    model: FittedModel
    selection: Selection
    """What was refitted: the quickest candidate where time did not allow the best."""
    oof: OutOfFold
    calibrated: Calibrated
    is_out_of_fold: bool
    setback: Setback | None = None
    """Why the best one could not be refitted as it wanted."""
    left_out: NDArray[np.float64] | None = None
    """Confusions (B, 2, 2) of cuts tuned on bootstrap draws, on rows left out."""

    def oof_proba(self, n_rows: int) -> NDArray[np.float64]:
        """Return calibrated out-of-fold probabilities by row, NaN where none."""
        if not self.is_out_of_fold:
            return np.full((n_rows, self.model.n_classes), np.nan)
        return self.oof.by_row(self.calibrated.proba, n_rows)


def finish(
    selection: Selection,
    problem: Problem,
    aim: Threshold | Objective,
    *,
    calibrated: bool,
    n_threads: int = 1,
    seconds: float | None = None,
) -> Finished:
    """Return the selected strategy refitted, calibrated and with its threshold.

    Where there was no time for out-of-fold scores, scores of the training rows stand
    in for the threshold; they are never calibrated on.
    """
    pos, deadline = problem.table.pos, Deadline(seconds)
    encoded: EncodedRows = {}
    selection, pipeline, setback = _refitted(
        selection, problem, n_threads, seconds, encoded
    )
    fitted = {selection.members[0]: pipeline}
    for member in selection.members[1:]:
        further = _refitted_or_not(member, problem, n_threads, deadline, encoded)
        if further is not None:
            fitted[member] = further
    selection = replace(selection, members=tuple(fitted))
    is_scored = bool(selection.winner.results)
    scored = _shared(tuple(fitted)) if is_scored else [(_in_sample(pipeline, problem),)]
    joined = _join(scored, selection.members, problem, wanted=calibrated and is_scored)
    evidence = joined.calibrated
    if not is_scored:
        # Scores of rows that were learned by heart say nothing beyond their labels.
        labels = np.eye(problem.table.n_classes)[joined.oof.y]
        evidence = replace(evidence, cross_fitted=labels)
    tuned = choose_threshold(
        joined.oof,
        evidence,
        aim,
        pos,
        problem.seed,
        costs=problem.table.costs,
    )
    members = tuple(
        FittedMember(member.strategy, member.weight, fitted[member], calibration)
        for member, calibration in zip(fitted, joined.calibrations, strict=True)
    )
    model = FittedModel(
        members,
        tuned.rule,
        tuned.interval,
        problem.table.n_classes,
        calibration=joined.calibration,
    )
    return Finished(
        model,
        selection,
        joined.oof,
        evidence,
        is_scored,
        setback,
        tuned.left_out if is_scored else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Joined:
    """Members' out-of-fold scores made into one."""

    oof: OutOfFold
    calibrated: Calibrated
    calibrations: tuple[Calibration, ...]
    """One a member."""
    calibration: Calibration
    """That of their mean; one member alone has its own only."""


def _join(
    scored: Sequence[tuple[FoldResult, ...]],
    members: Sequence[Member],
    problem: Problem,
    *,
    wanted: bool,
) -> _Joined:
    """Return the mean of members, each calibrated, so that their scores compare."""
    pos = problem.table.pos
    oofs = [OutOfFold.of(results, problem) for results in scored]
    if len(oofs) == 1:
        alone = calibrate(oofs[0], pos, wanted=wanted)
        return _Joined(oofs[0], alone, (alone.calibration,), Identity())
    parts = [calibrate(oof, pos, wanted=True) for oof in oofs]
    weights = [member.weight for member in members]
    proba = np.average([part.proba for part in parts], axis=0, weights=weights)
    crossed = np.average([part.cross_fitted for part in parts], axis=0, weights=weights)
    mean = replace(oofs[0], proba=proba)
    outer: Calibration = Identity()
    if wanted:
        # A mean is too timid where its members disagree.
        outer, crossed = fit_calibration(mean.y, crossed, mean.weight, mean.groups, pos)
    return _Joined(
        mean,
        Calibrated(outer, outer(proba), crossed, is_of_mean=True),
        tuple(part.calibration for part in parts),
        outer,
    )


def _shared(members: Sequence[Member]) -> list[tuple[FoldResult, ...]]:
    """Return each member's folds, those that all have run."""
    numbers = set.intersection(*({r.number for r in m.record.results} for m in members))
    return [
        tuple(
            sorted(
                (r for r in member.record.results if r.number in numbers),
                key=lambda r: r.number,
            )
        )
        for member in members
    ]


def _refitted(
    selection: Selection,
    problem: Problem,
    n_threads: int,
    seconds: float | None,
    encoded: EncodedRows,
) -> tuple[Selection, Pipeline, Setback | None]:
    """Return the winner refitted on all rows, or what can be instead.

    The winner leaves the time that the quickest takes, which then stands in for it. The
    last resort has no limit but its own, if it can stop by itself: there must be some
    model. A winner that fails is followed by the best that does not.
    """
    deadline, best = Deadline(seconds), selection.winner.strategy
    fallback, limit = selection.fallback, seconds
    if fallback is not None and seconds is not None:
        limit = max(1.0, seconds - fallback.winner.refit_seconds)
    elif not problem.can_stop(selection.winner.strategy):
        limit = None
    try:
        pipeline, is_whole = _refit_best(selection, problem, n_threads, limit, encoded)
    except TimeoutError as error:
        if fallback is None:
            raise
        instead = fallback.winner.strategy
        limit = 1.0 if seconds is not None and problem.can_stop(instead) else None
        pipeline, _ = _refit_best(fallback, problem, n_threads, limit, encoded)
        return fallback, pipeline, Setback(best, instead, error)
    except Exception as error:
        for other in selection.successors:
            limit = None if seconds is None else max(1.0, deadline.remaining)
            with suppress(Exception):
                pipeline, _ = _refit_best(other, problem, n_threads, limit, encoded)
                return other, pipeline, Setback(best, other.winner.strategy, error)
        raise
    return selection, pipeline, None if is_whole else Setback(best, best)


def _refit_best(
    selection: Selection,
    problem: Problem,
    n_threads: int,
    seconds: float | None,
    encoded: EncodedRows,
) -> tuple[Pipeline, bool]:
    """Return the best one refitted on all rows, and whether it is whole."""
    return refit(
        selection.winner.strategy,
        problem,
        n_threads=_threads(selection.winner, n_threads),
        seconds=seconds,
        encoded=encoded,
    )


def _threads(record: TrialRecord, n_threads: int) -> int:
    """Return with how many threads to refit: one for what is quick anyway.

    Threads that share a core with other programs wait for each other thousands of times
    in a fit: a boosted model of 0.2 s took 3 s with two threads on a busy machine.
    """
    return 1 if 0 < record.fit_seconds < _WORTH_THREADS else n_threads


def _refitted_or_not(
    member: Member,
    problem: Problem,
    n_threads: int,
    deadline: Deadline,
    encoded: EncodedRows,
) -> Pipeline | None:
    """Return a further member refitted on all rows, or None if it cannot be, in time.

    The others answer without it.
    """
    seconds = None if deadline.seconds is None else deadline.remaining
    if seconds is not None and seconds < member.record.fit_seconds:
        return None
    try:
        pipeline, is_whole = refit(
            member.strategy,
            problem,
            n_threads=_threads(member.record, n_threads),
            seconds=seconds,
            encoded=encoded,
        )
    except Exception as error:  # noqa: BLE001  a committee can spare a member
        logger.info("%s is no member: %s", member.strategy, error or "no time")
        return None
    return pipeline if is_whole else None


def _in_sample(pipeline: Pipeline, problem: Problem) -> FoldResult:
    """Return scores of the training rows of the first fold's validation part."""
    X = take(problem.table.X, problem.folds[0].val_idx)
    return FoldResult(0, "ok", predict_codes(pipeline, X, problem.table.n_classes))


def calibrate(oof: OutOfFold, pos: int | None, *, wanted: bool) -> Calibrated:
    """Return the calibration chosen on out-of-fold scores; identity if not wanted.

    The threshold is tuned on calibrated evidence all the same: scores after class
    weights or resampling are no shares of positives.
    """
    calibration, crossed = fit_calibration(
        oof.y, oof.proba, oof.weight, oof.groups, pos
    )
    if not wanted:
        calibration = Identity()
    return Calibrated(calibration, calibration(oof.proba), crossed)


def choose_threshold(
    oof: OutOfFold,
    calibrated: Calibrated,
    aim: Threshold | Objective,
    pos: int | None,
    seed: int,
    *,
    shift: PriorShift | None = None,
    costs: NDArray[np.float64] | None = None,
) -> Tuned:
    """Return the rule that the user fixed, or the best one for the user's objective.

    `costs` are those of rows of the table. The rule is for probabilities after `shift`.
    """
    if isinstance(aim, Threshold):
        return Tuned(aim)
    return tune_threshold(
        oof.y,
        calibrated.proba,
        calibrated.cross_fitted,
        oof.weight,
        aim,
        pos=pos,
        row_ids=oof.rows,
        seed=seed,
        shift=shift,
        costs=None if costs is None else costs[oof.rows],
    )


def _inverse(calibration: Callable[[FloatArray], FloatArray], cut: Cut) -> float:
    """Return the smallest raw score whose calibrated value reaches the cut."""

    def reaches(score: float) -> bool:
        row = np.zeros((1, 2))
        row[0, cut.pos], row[0, 1 - cut.pos] = score, 1 - score
        return bool(calibration(row)[0, cut.pos] >= cut.value)

    if reaches(0.0):
        return 0.0
    low, high = 0.0, float(np.nextafter(1.0, 2.0))  # above every score
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
