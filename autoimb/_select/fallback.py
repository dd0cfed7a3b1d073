"""Select the winner; if no candidate finished, fall back to a default and warn."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from autoimb._execution.deadline import Deadline
from autoimb._search.trials import TrialRecord, complete
from autoimb._select.select import select
from autoimb._select.selection import Selection
from autoimb.exceptions import (
    BadInputError,
    BudgetTooSmallWarning,
    NoCandidateError,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoimb._search.trials import SearchOutcome
    from autoimb._select.time_reserve import TimeReserve
    from autoimb._strategy.search_space import SearchSpace
    from autoimb._strategy.strategy import Strategy

_FAILED = {"failed", "killed"}


def select_or_fall_back(
    space: SearchSpace,
    outcome: SearchOutcome,
    reserve: TimeReserve,
) -> Selection:
    """Return the selection; if no candidate finished in time, that of a fallback.

    Raises
    ------
    NoCandidateError
        If all candidates failed, or if the user's executor was closed before any was
        complete: more time would not help.
    KeyboardInterrupt
        If the user interrupted the search before any candidate was complete.
    BadInputError
        If the storage failed before any candidate was complete.
    """
    candidates = complete(outcome.records)
    if candidates:
        # After Ctrl-C there are no further repeats: the user wants the model now.
        if outcome.was_interrupted:
            reserve.deadline = Deadline(0.0)
        return select(candidates, reserve)
    if outcome.was_interrupted:
        raise KeyboardInterrupt
    if closed := reserve.context.closed:
        raise NoCandidateError(
            f"no candidate was complete when the executor took no further tasks "
            f"({closed}). Pass one that stays open until fit returns, or None."
        )
    if outcome.storage_failure:
        raise BadInputError(outcome.storage_failure)
    return _fall_back(space, outcome, reserve.deadline)


def _fall_back(
    space: SearchSpace, outcome: SearchOutcome, deadline: Deadline
) -> Selection:
    """Return the candidate with the most folds, or the cheapest that did not fail."""
    tried = [r for r in outcome.records if r.status != "duplicate"]
    failed = {r.proposed or r.strategy: r.reason for r in tried if r.status in _FAILED}
    # The fallback is fitted in the user's process: what ended a worker would end it.
    ended_worker = {
        name for r in tried if r.status == "killed" for name in _parts(r.strategy)
    }
    not_failed = [
        strategy
        for strategy in space.portfolio()
        if strategy not in failed and not ended_worker & _parts(strategy)
    ]
    if failed and (len(failed) == len(tried) or not not_failed):
        raise NoCandidateError(
            f"all {len(failed)} candidates failed. The commonest reasons: "
            f"{_commonest(failed.values())}."
        )
    records = [
        TrialRecord(number=len(outcome.records) + i, strategy=s, status="skipped")
        for i, s in enumerate(not_failed)
    ]
    how = "is fitted with its defaults, its threshold tuned on training rows"
    unfinished = [r for r in tried if r.status not in _FAILED]
    most = max(unfinished, key=lambda r: len(r.results), default=None)
    if most is not None and most.results:
        records = [most, *(r for r in records if r.strategy != most.strategy)]
        how = f"was scored on {most.n_folds} folds only"
    record, *reserve = records
    too_short = f"{deadline.time_limit_s} s were too short"
    why = _commonest(r.reason for r in tried) or too_short
    warn(
        f"no candidate was complete ({why}): {space.label(record.strategy)} {how}. "
        "Give more time, or more memory.",
        BudgetTooSmallWarning,
    )
    return Selection.alone(record, *reserve)


def _parts(strategy: Strategy) -> set[tuple[str, str]]:
    """Return the names of a strategy's family and of its resampler, if it has one."""
    parts = {("family", strategy.family.name), ("resampler", strategy.resampler.name)}
    return parts - {("resampler", "none")}


def _commonest(reasons: Iterable[str]) -> str:
    """Return the three commonest reasons, and of how many candidates each is."""
    first_lines = Counter(why.partition("\n")[0].removesuffix(".") for why in reasons)
    return "; ".join(
        f"{n} candidate{'s' if n > 1 else ''}: {why}"
        for why, n in first_lines.most_common(3)
    )
