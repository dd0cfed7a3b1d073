"""The learning curve: the score by number of rows of the minority class.

The strategy is fitted on growing numbers of the minority class's training rows, all
other rows kept, and scored on the same validation rows throughout. A power law through
these scores estimates the score with twice as many rows.

References
----------
T. Viering and M. Loog, "The shape of learning curves: a review", IEEE TPAMI 45 (2023),
section 3: power laws with an offset fit most curves of well-behaved learners.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from autoimb._evaluate.row_sample import ALL_ROWS
from autoimb._evaluate.scoring import Scoring
from autoimb._metrics.bootstrap import Difference
from autoimb._metrics.scorers import OF_USERS
from autoimb._report.further_data import LearningCurveSection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._evaluate.context import EvaluationContext
    from autoimb._evaluate.problem import Problem
    from autoimb._execution.deadline import Deadline
    from autoimb._metrics.bootstrap import Score
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.folds import Fold

SHARES = (0.25, 0.35, 0.5, 0.71, 1.0)
"""Of the minority class's training rows, each about 1.4 times the one before."""
_FEWEST_ROWS = 5  # of the minority class: a model of fewer is no sign of its strategy
_FEWEST_SIZES = 3  # a power law has three parameters
_RATES = np.linspace(0.1, 1.5, 29)  # exponents of the power law that are compared


def learning_curve(
    strategy: Strategy, context: EvaluationContext, deadline: Deadline
) -> LearningCurveSection | None:
    """Return the learning curve of a strategy, as far as the time allows.

    Parameters
    ----------
    strategy : Strategy
        What is fitted.
    context : EvaluationContext
        The rows, folds, metric and workers.
    deadline : Deadline
        Folds that do not end in time do not count; a fold counts at every size or at
        none.

    Returns
    -------
    LearningCurveSection or None
        None where there are too few rows, or too little time for one fold at each size.
    """
    problem, metric = context.problem, context.scoring.metric
    is_rare = problem.table.y == problem.table.minority
    fewest = min(int(is_rare[fold.train_idx].sum()) for fold in problem.folds)
    shares = [part for part in SHARES if part * fewest >= _FEWEST_ROWS]
    if len(shares) < _FEWEST_SIZES:
        return None
    # The first repeat is fitted first.
    numbered = sorted(enumerate(problem.folds), key=lambda item: item[1].repeat)
    folds = [thinned(fold, problem, s, n) for n, fold in numbered for s in shares]
    thin = replace(problem, folds=tuple(folds))
    tasks = [(strategy, number, ALL_ROWS) for number in range(len(folds))]
    with context.executor.share(thin) as handle:
        on_thin = replace(context, problem=thin, problem_handle=handle)
        results = on_thin.evaluate_all(tasks, deadline)
    by_fold = [results[i : i + len(shares)] for i in range(0, len(folds), len(shares))]
    complete = [rs for rs in by_fold if all(r.status == "ok" for r in rs)]
    if not complete:
        return None
    scoring = Scoring.of(metric, thin.table, thin.folds, thin.seed)
    by_size = list(zip(*complete, strict=True))
    counts = [
        np.mean([is_rare[folds[r.number].train_idx].sum() for r in of_size])
        for of_size in by_size
    ]
    scores = [scoring.score(rs) for rs in by_size]
    best = inf if isinstance(metric, OF_USERS) else 1.0
    section = _section(metric.label, np.array(counts), scores, best)
    return replace(section, sentence=_told(section, problem, len(complete)))


def _told(section: LearningCurveSection, problem: Problem, n_complete: int) -> str:
    """Return the advice, and on how many folds it rests; none if not on a repeat."""
    minority = str(problem.table.classes[problem.table.minority])
    n_folds = len(problem.folds)
    measured = f"There was time to measure it on {n_complete} of {n_folds} folds."
    if n_complete < sum(fold.repeat == 0 for fold in problem.folds):
        return (
            f"{measured} That is too little to say whether more rows of class "
            f"{minority!r} would help."
        )
    told = advice_of(section, minority)
    if problem.table.pos is None:
        told += (
            f" The {section.metric_label} is a mean over the classes, of which "
            f"{minority!r} is one of {problem.table.n_classes}."
        )
    return told if n_complete == n_folds else f"{told} {measured}"


def thinned(fold: Fold, problem: Problem, share: float, seed: int) -> Fold:
    """Return a fold with a share of the minority rows of its training part.

    Smaller shares are parts of larger ones, so that only the number of rows differs.
    """
    rows = fold.train_idx
    is_rare = problem.table.y[rows] == problem.table.minority
    rare = np.random.default_rng(seed).permutation(rows[is_rare])
    drawn = rare[: round(share * len(rare))]
    return replace(fold, train_idx=np.sort(np.concatenate([rows[~is_rare], drawn])))


# --- the power law


def _section(
    label: str, counts: NDArray[np.float64], scores: Sequence[Score], best: float
) -> LearningCurveSection:
    """Return the curve through measured scores."""
    drawn = np.array([np.append(score.mean, score.drawn) for score in scores])
    gains = gain_of_doubling(counts, drawn[:, np.isfinite(drawn).all(axis=0)], best)
    return LearningCurveSection(
        metric_label=label,
        points=tuple(
            (int(count), score.mean, score.standard_error)
            for count, score in zip(np.rint(counts), scores, strict=True)
        ),
        gain=float(gains[0]),
        gain_standard_error=gains[1:].std(ddof=1) if len(gains) > 2 else None,
    )


def advice_of(section: LearningCurveSection, minority: str) -> str:
    """Return what collecting more rows of the minority class would gain."""
    label, (first, *_, last) = section.metric_label, section.points
    gain, error = section.gain or 0.0, section.gain_standard_error
    change = f"{gain:+.3f}"
    if error is not None:
        change += f" ± {error:.3f} (standard error)"
    measured = f"{first[0]:,} to {last[0]:,} of them"
    if error is not None and gain <= error:
        return (
            f"The {label} hardly rises with the number of rows of class {minority!r}, "
            f"as measured with {measured}: twice as many would change it by {change}, "
            "which may be chance. Better features or labels may be worth more."
        )
    is_clear = error is not None and Difference(gain, error).is_significant
    doubt = "" if is_clear or error is None else ", which may be chance"
    return (
        f"Twice as many rows of class {minority!r} would change the {label} by about "
        f"{change}{doubt}. This is a power law through the scores with {measured}."
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
    losses, gains = [], []
    for rate in _RATES:
        left = counts**-rate
        centred = left - left.mean()
        slope = np.maximum(-(centred @ scores) / (centred @ centred), 0.0)
        limit = scores.mean(axis=0) + slope * left.mean()
        # A law that would rise above the best possible score ends there.
        to_best = left @ (best - scores) / (left @ left)
        slope = np.where(limit > best, to_best, slope)
        errors = scores - (np.minimum(limit, best) - np.outer(left, slope))
        losses.append((errors**2).sum(axis=0))
        gains.append(slope * (left[-1] - (2 * counts[-1]) ** -rate))
    fitted = np.argmin(losses, axis=0)[np.newaxis]
    return np.asarray(np.take_along_axis(np.array(gains), fitted, axis=0)[0])
