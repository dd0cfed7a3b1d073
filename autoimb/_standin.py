"""The winner; where no candidate was complete some model, and a warning."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING

from autoimb._clock import Deadline
from autoimb._select import Selection, select
from autoimb.exceptions import BudgetTooSmallWarning, NoCandidateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoimb._arena import Arena
    from autoimb._space import SearchSpace
    from autoimb._trials import SearchOutcome


def stand_in(space: SearchSpace, outcome: SearchOutcome, clock: Deadline) -> Selection:
    """Return the candidate that came furthest, or the cheapest that did not fail.

    Raises
    ------
    NoCandidateError
        If all failed: then more time would not help.
    """
    tried = [r for r in outcome.records if r.status != "duplicate"]
    failed = {r.key: r.reason for r in tried if r.status in ("failed", "killed")}
    left = [arm for arm in space.portfolio() if arm not in failed]
    if failed and (len(failed) == len(tried) or not left):
        raise NoCandidateError(
            f"all {len(failed)} candidates failed. The commonest reasons: "
            f"{_commonest(failed.values())}."
        )
    begun = max(tried, key=lambda r: len(r.results), default=None)
    if begun is not None and begun.results:
        selection = Selection.alone(begun)
        how = f"was scored on {begun.n_folds} folds only"
    else:
        selection = Selection.unscored(left[0])
        how = "was fitted with its defaults, its threshold tuned on training rows"
    name = space.label(selection.winner.strategy)
    why = _commonest(r.reason for r in tried) or f"{clock.seconds} s were too short"
    warnings.warn(
        f"no candidate was complete ({why}): {name} {how}. Give more time, or more "
        "memory.",
        BudgetTooSmallWarning,
        stacklevel=5,
    )
    return selection


def _commonest(reasons: Iterable[str]) -> str:
    """Return the three commonest reasons and how often each was given."""
    return "; ".join(f"{n} × {why}" for why, n in Counter(reasons).most_common(3))


def chosen(
    space: SearchSpace,
    outcome: SearchOutcome,
    arena: Arena,
    clock: Deadline,
    *,
    size: int,
) -> Selection:
    """Return the winner; without any, the cheapest model if only time lacked."""
    if outcome.complete:
        # After Ctrl-C no further repeats: whoever pressed it wants the model now.
        rest = Deadline(0.0) if outcome.was_interrupted else clock
        return select(outcome.complete, arena, rest, size=size)
    if outcome.was_interrupted:
        raise KeyboardInterrupt
    return stand_in(space, outcome, clock)
