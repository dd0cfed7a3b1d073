"""What more rows of the rare class would buy.

The strategy is fitted on growing numbers of the smallest class's training rows, all
other rows kept, and judged on the same validation rows throughout. A power law through
these scores says what twice as many would give.

References
----------
T. Viering and M. Loog, "The shape of learning curves: a review", IEEE TPAMI 45 (2023),
section 3: power laws with an offset fit most curves of well-behaved learners.
"""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from autoimb._execution import shared
from autoimb._judge import Judge
from autoimb._metrics import ScorerMetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._arena import Arena
    from autoimb._clock import Deadline
    from autoimb._evaluate import FoldResult, Problem
    from autoimb._folds import Fold
    from autoimb._judge import Score
    from autoimb._strategy import Strategy

SHARES = (0.25, 0.35, 0.5, 0.71, 1.0)
"""Of the smallest class's training rows, each about 1.4 times the one before."""
_FEWEST_ROWS = 5  # with fewer, a model says nothing about its strategy
_FEWEST_SIZES = 3  # a law has three parameters
_RATES = np.linspace(0.1, 1.5, 29)  # exponents of the power law that compete


@dataclass(frozen=True, slots=True, eq=False)
class LearningCurve:
    """Scores by number of minority rows, and what doubling them would add.

    Attributes
    ----------
    n_minority : tuple of int
        Minority rows in a training part, ascending.
    scores, errors : tuple of float
        Mean score at each number, and its standard error.
    gain, gain_error : float
        What twice the last number would add by the power law, and the standard error
        of that over bootstrap draws of the rows.
    """

    n_minority: tuple[int, ...]
    scores: tuple[float, ...]
    errors: tuple[float, ...]
    gain: float
    gain_error: float


def learning_curve(
    strategy: Strategy, arena: Arena, deadline: Deadline
) -> LearningCurve | None:
    """Return the learning curve of a strategy, as far as the time allows.

    Parameters
    ----------
    strategy : Strategy
        What is fitted.
    arena : Arena
        The rows, folds, metric and workers.
    deadline : Deadline
        Folds that do not end in time do not count; a fold counts at every size or at
        none.

    Returns
    -------
    LearningCurve or None
        None where there are too few rows, or too little time for one fold at each size.
    """
    problem, shares = arena.problem, _shares_of(arena.problem)
    if len(shares) < _FEWEST_SIZES:
        return None
    folds = tuple(
        thinned(fold, problem, share, seed)
        for seed, fold in _first_repeat_first(problem)
        for share in shares
    )
    thin = replace(problem, folds=folds)
    by_fold = _complete(_evaluated(strategy, thin, arena, deadline), len(shares))
    if not by_fold:
        return None
    judge = Judge.of(arena.judge.metric, problem.table, folds, problem.seed)
    by_size = list(zip(*by_fold, strict=True))
    counts = [np.mean([_n_minority(thin, r) for r in of]) for of in by_size]
    scores = [judge.score(of) for of in by_size]
    return _curve(np.array(counts), scores, inf if _is_unbounded(arena) else 1.0)


def _is_unbounded(arena: Arena) -> bool:
    """Whether nobody knows the best score that there can be."""
    return isinstance(arena.judge.metric, ScorerMetric)


def _shares_of(problem: Problem) -> list[float]:
    """Return the shares that leave enough minority rows in every training part."""
    code = _minority(problem)
    y, folds = problem.table.y, problem.folds
    fewest = min(int(np.sum(y[fold.train_idx] == code)) for fold in folds)
    return [share for share in SHARES if share * fewest >= _FEWEST_ROWS]


def _minority(problem: Problem) -> int:
    """Return the code of the smallest class; of equal ones the positive class."""
    counts, pos = problem.table.class_counts, problem.table.pos
    return min(range(len(counts)), key=lambda code: (counts[code], code != pos))


def _first_repeat_first(problem: Problem) -> list[tuple[int, Fold]]:
    """Return the folds with their positions, the first repeat first."""
    return sorted(enumerate(problem.folds), key=lambda item: (item[1].repeat, item[0]))


def thinned(fold: Fold, problem: Problem, share: float, seed: int) -> Fold:
    """Return a fold with a share of the minority rows of its training part.

    Smaller shares are parts of larger ones: what differs is the number alone.
    """
    rows = fold.train_idx
    is_rare = problem.table.y[rows] == _minority(problem)
    rare = np.random.default_rng(seed).permutation(rows[is_rare])
    kept = rare[: round(share * len(rare))]
    return replace(fold, train_idx=np.sort(np.concatenate([rows[~is_rare], kept])))


def _complete(
    results: Sequence[FoldResult | None], n_sizes: int
) -> list[list[FoldResult]]:
    """Return the results of the folds that were fitted at every size."""
    by_fold = []
    for start in range(0, len(results), n_sizes):
        known = [r for r in results[start : start + n_sizes] if r is not None]
        if len(known) == n_sizes:
            by_fold.append(known)
    return by_fold


def _n_minority(problem: Problem, result: FoldResult) -> int:
    """Return the minority rows that a fold was fitted on."""
    rows = problem.folds[result.number].train_idx
    return int(np.sum(problem.table.y[rows] == _minority(problem)))


def _evaluated(
    strategy: Strategy, problem: Problem, arena: Arena, deadline: Deadline
) -> list[FoldResult | None]:
    """Return the results of all folds in order, None for those that did not end."""
    with shared(problem, arena.executor) as handle:
        there = replace(arena, problem=problem, handle=handle)
        futures = []
        for number in range(len(problem.folds)):
            if deadline.is_over:  # where tasks run as they are submitted
                break
            left = None if deadline.seconds is None else deadline.remaining
            futures.append(there.submit(strategy, number, seconds=left))
        wait(futures, timeout=None if deadline.seconds is None else deadline.remaining)
        for future in futures:
            if not future.done():
                there.cancel(future)
    found: list[FoldResult | None] = [
        future.result()
        if future.done() and not future.cancelled() and future.exception() is None
        else None
        for future in futures
    ]
    found += [None] * (len(problem.folds) - len(futures))
    return [r if r is not None and r.status == "ok" else None for r in found]


# --- the power law


def _curve(
    counts: NDArray[np.float64], scores: Sequence[Score], best: float
) -> LearningCurve:
    """Return the curve through measured scores."""
    drawn = np.array([np.append(score.mean, score.drawn) for score in scores])
    known = drawn[:, np.isfinite(drawn).all(axis=0)]
    gains = gain_of_doubling(counts, known, best)
    return LearningCurve(
        n_minority=tuple(np.rint(counts).astype(int).tolist()),
        scores=tuple(score.mean for score in scores),
        errors=tuple(score.se for score in scores),
        gain=float(gains[0]),
        gain_error=float(gains[1:].std(ddof=1)) if len(gains) > 2 else float("nan"),
    )


def gain_of_doubling(
    counts: NDArray[np.float64], scores: NDArray[np.float64], best: float = 1.0
) -> NDArray[np.float64]:
    """Return what doubling the last count adds, by power laws through scores.

    Parameters
    ----------
    counts : ndarray of shape (n_sizes,)
        Rows, ascending.
    scores : ndarray of shape (n_sizes, n_curves)
        A column a curve.
    best : float, default=1.0
        No curve rises above it.

    Returns
    -------
    ndarray of shape (n_curves,)
        a - b (2n)^-c less a - b n^-c, with a, b >= 0 and c that fit best in the least
        squares; 0 where the scores do not rise.
    """
    laws = [_law(counts, scores, rate, best) for rate in _RATES]
    losses = np.array([loss for loss, _ in laws])
    gains = np.array([gain for _, gain in laws])
    chosen: NDArray[np.float64] = gains[losses.argmin(axis=0), np.arange(len(gains[0]))]
    return chosen


def _law(
    counts: NDArray[np.float64], scores: NDArray[np.float64], rate: float, best: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each curve's squared error and gain under a given exponent."""
    left = counts**-rate
    centred = left - left.mean()
    slope = -(centred @ scores) / (centred @ centred)
    slope = np.maximum(slope, 0.0)
    limit = scores.mean(axis=0) + slope * left.mean()
    # A law that would rise above the best score there is ends there.
    beyond = limit > best
    slope = np.where(beyond, left @ (best - scores) / (left @ left), slope)
    limit = np.where(beyond, best, limit)
    errors = scores - (limit - np.outer(left, slope))
    return (errors**2).sum(axis=0), slope * (left[-1] - (2 * counts[-1]) ** -rate)
