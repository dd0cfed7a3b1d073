"""Strategies that were chosen before, fitted and scored on other rows: no search."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING

from autoimb._catalogue import AXES
from autoimb._committee import Bench, Member
from autoimb._fitted import finish
from autoimb._select import Selection
from autoimb._trials import TrialRecord
from autoimb.exceptions import BadInputError, NoCandidateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoimb._arena import Arena
    from autoimb._catalogue import Catalogue
    from autoimb._fitted import Finished, FittedMember
    from autoimb._objectives import Objective
    from autoimb._strategy import Strategy
    from autoimb._threshold import Threshold


def fit_again(
    members: Sequence[FittedMember],
    arena: Arena,
    aim: Threshold | Objective,
    *,
    calibrated: bool,
    n_threads: int,
) -> Finished:
    """Return the members fitted on all rows, with calibration and threshold from folds.

    Raises
    ------
    NoCandidateError
        If a member cannot be fitted on these rows.
    """
    records = _scored([member.strategy for member in members], arena)
    weights = [member.weight for member in members]
    chosen = tuple(map(Member, records, weights))
    selection = Selection(
        winner=records[0],
        do_nothing=None,
        finalists=tuple(records),
        members=chosen,
        score=Bench(arena.problem, arena.judge).score(chosen),
    )
    finished = finish(
        selection, arena.problem, aim, calibrated=calibrated, n_threads=n_threads
    )
    lost = [m for m in chosen if m not in finished.selection.members]
    if lost:
        cause = finished.setback.error if finished.setback else None
        raise NoCandidateError(
            f"{lost[0].strategy} failed on all rows, though not on those of folds: "
            "call fit to choose anew."
        ) from cause
    return finished


def known_to(catalogue: Catalogue, members: Sequence[FittedMember]) -> Catalogue:
    """Return the catalogue, or raise `BadInputError` if it lacks a member's parts."""
    for member in members:
        for axis in AXES:
            name = member.strategy.choice(axis).name
            if name not in catalogue.entries[axis]:
                raise BadInputError(
                    f"{name!r} was registered where this model was fitted, and is not "
                    f"here: register it as {name!r} first, or call fit again."
                )
            # A file could name constructor arguments that no search proposes.
            given = member.strategy.choice(axis).params
            known = catalogue.get(axis, name).params
            if unknown := [key for key, _ in given if key not in known]:
                raise BadInputError(
                    f"{name!r} has no parameters {unknown} here: call fit again."
                )
    return catalogue


def _scored(strategies: Sequence[Strategy], arena: Arena) -> list[TrialRecord]:
    """Return the strategies with their out-of-fold scores on every fold."""
    numbers = range(len(arena.problem.folds))
    futures = [[arena.submit(s, number) for number in numbers] for s in strategies]
    wait([future for of_one in futures for future in of_one])
    records = []
    for place, (strategy, of_one) in enumerate(zip(strategies, futures, strict=True)):
        results = tuple(future.result() for future in of_one)
        failed = [result for result in results if result.status != "ok"]
        if failed:
            raise NoCandidateError(f"{strategy} failed: {failed[0].reason}.")
        records.append(
            TrialRecord(
                number=place,
                strategy=strategy,
                status="complete",
                score=arena.judge.score(results),
                results=results,
                n_folds=len(results),
                fit_seconds=sum(r.fit_seconds for r in results) / len(results),
            )
        )
    return records
