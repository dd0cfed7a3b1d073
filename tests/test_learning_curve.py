"""A learning curve is measured on nested rows, and its law is a power law."""

from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import BROKEN, context_of, numeric, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import evaluate
from autoimb._execution.deadline import Deadline
from autoimb._execution.executors import SequentialExecutor
from autoimb._execution.shared_data import Inline
from autoimb._report.learning_curve import (
    SHARES,
    gain_of_doubling,
    learning_curve,
    thinned,
)
from autoimb._strategy.strategy import Strategy

LOGISTIC = Strategy.of(CATALOGUE, family="logistic_regression")
COUNTS = np.array([10.0, 14.0, 20.0, 28.0, 40.0])
NO_LIMIT = Deadline(None)


# --- the power law


@given(
    limit=st.floats(0.3, 1.0),
    slope=st.floats(0.01, 0.5),
    rate=st.sampled_from([0.1, 0.5, 1.0, 1.5]),
)
def test_a_power_law_is_recognised(limit, slope, rate):
    def law(n):
        return limit - slope * n**-rate

    found = gain_of_doubling(COUNTS, law(COUNTS)[:, np.newaxis])
    assert found[0] == pytest.approx(law(80.0) - law(40.0), abs=1e-6)


@given(st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5))
def test_no_law_falls_and_none_rises_above_the_best_there_is(scores):
    scores = np.array(scores)
    (gain,) = gain_of_doubling(COUNTS, scores[:, np.newaxis])
    assert 0 <= gain <= 1.0
    falling = -np.sort(-scores)
    assert gain_of_doubling(COUNTS, falling[:, np.newaxis])[0] == pytest.approx(0)


def test_a_law_that_would_pass_the_best_score_ends_there():
    steep = 1.05 - 0.9 * COUNTS**-0.1
    (capped,) = gain_of_doubling(COUNTS, steep[:, np.newaxis])
    (free,) = gain_of_doubling(COUNTS, steep[:, np.newaxis], np.inf)
    assert 0 < capped < free


def test_curves_do_not_touch_each_other():
    scores = np.random.default_rng(0).uniform(size=(5, 4))
    alone = [gain_of_doubling(COUNTS, scores[:, [i]])[0] for i in range(4)]
    np.testing.assert_allclose(gain_of_doubling(COUNTS, scores), alone)


# --- what is measured


def test_smaller_shares_are_parts_of_larger_ones_and_only_rare_rows_go():
    problem = problem_of(*numeric(200, 40))
    fold, y = problem.folds[1], problem.table.y
    is_rare = y[fold.train_idx] == 1
    before = set()
    for share in SHARES:
        thin = thinned(fold, problem, share, seed=3)
        assert thin.val_idx is fold.val_idx
        assert set(fold.train_idx[~is_rare]) <= set(thin.train_idx)
        rare = set(thin.train_idx[y[thin.train_idx] == 1])
        assert before <= rare
        assert len(rare) == round(share * is_rare.sum())
        before = rare
    assert before == set(fold.train_idx[is_rare])


def test_the_curve_ends_with_the_score_on_all_rows():
    problem = problem_of(*numeric(300, 60))
    context = context_of(problem)
    curve = learning_curve(LOGISTIC, context, NO_LIMIT)
    handle = Inline(problem)
    results = [evaluate(LOGISTIC, i, handle) for i in range(len(problem.folds))]
    whole = context.scoring.score(results)
    counts, scores, errors = zip(*curve.points, strict=True)
    assert counts == tuple(round(share * 40) for share in SHARES)
    assert scores[-1] == pytest.approx(whole.mean)
    assert errors[-1] == pytest.approx(whole.standard_error)
    assert curve.gain >= 0
    assert np.isfinite(curve.gain_standard_error)


def test_each_size_is_scored_on_the_rows_it_says():
    """By brute force: a problem that has fewer rare rows to begin with."""
    problem = problem_of(*numeric(300, 60))
    curve = learning_curve(LOGISTIC, context_of(problem), NO_LIMIT)
    folds = tuple(
        thinned(fold, problem, SHARES[0], i) for i, fold in enumerate(problem.folds)
    )
    few = replace(problem, folds=folds)
    results = [evaluate(LOGISTIC, i, Inline(few)) for i in range(len(folds))]
    assert curve.points[0][1] == pytest.approx(
        context_of(few).scoring.score(results).mean
    )


def test_too_few_rows_or_too_little_time_give_no_curve():
    few = context_of(problem_of(*numeric(100, 12)))
    assert learning_curve(LOGISTIC, few, NO_LIMIT) is None
    enough = context_of(problem_of(*numeric(200, 40)))
    assert learning_curve(LOGISTIC, enough, Deadline(0.0)) is None


class Slow(SequentialExecutor):
    """Runs so many tasks only; the others wait for ever."""

    def __init__(self, n_tasks):
        super().__init__()
        self.n_left = n_tasks

    def submit_within(self, seconds, fn, /, *args, **kwargs):
        self.n_left -= 1
        if self.n_left < 0:
            return Future()
        return super().submit_within(seconds, fn, *args, **kwargs)


@pytest.mark.parametrize("n_whole", [1, 2, 3])
def test_a_curve_of_a_part_of_the_folds_says_of_how_many(n_whole):
    """A fold counts at every size or at none."""
    problem = problem_of(*numeric(200, 40))
    context = context_of(problem, Slow(n_whole * len(SHARES) + 2))
    curve = learning_curve(LOGISTIC, context, Deadline(2.0))
    n_folds = len(problem.folds)
    said = f"There was time to measure it on {n_whole} of {n_folds} folds."
    assert (said in curve.sentence) == (n_whole < n_folds)
    assert ("There was time" in curve.sentence) == (n_whole < n_folds)


def test_a_strategy_that_fails_gives_no_curve():
    catalogue = CATALOGUE.with_entry("family", BROKEN)
    problem = problem_of(*numeric(200, 40), catalogue=catalogue, as_given=True)
    broken = Strategy.of(catalogue, family="broken")
    assert learning_curve(broken, context_of(problem), NO_LIMIT) is None
