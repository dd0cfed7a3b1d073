"""A column is worth what the score loses when its values are dealt anew."""

import numpy as np
import pandas as pd
import pytest
from tables import context_of, mixed, numeric, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import fit_on_fold
from autoimb._evaluate.fit_predict import predict_codes
from autoimb._execution.deadline import Deadline
from autoimb._metrics.metrics import METRICS
from autoimb._report.permutation_importance import _shuffled, column_importances
from autoimb._strategy.strategy import Strategy
from autoimb._table.columns import take

LOGISTIC = Strategy.of(CATALOGUE, family="logistic_regression")
NO_LIMIT = Deadline(None)


def table(n=400):
    """Return a strong, a weak and an idle column, and labels of which a tenth is 1."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    score = 3 * X[:, 1] + X[:, 0] + rng.normal(size=n)
    y = (score > np.quantile(score, 0.9)).astype(int)
    return pd.DataFrame(X, columns=["weak", "strong", "idle"]), y


def test_columns_are_ranked_by_what_they_are_worth():
    drops = column_importances(LOGISTIC, context_of(problem_of(*table())), NO_LIMIT)
    assert [drop.name for drop in drops] == ["strong", "weak", "idle"]
    strong, weak, idle = drops
    assert strong.drop > 0.3 > weak.drop > 0.02 > abs(idle.drop)
    assert all(0 <= drop.standard_error < 0.2 for drop in drops)


def test_a_drop_is_the_mean_over_folds_of_what_is_lost():
    """By brute force: the same seeds, scored with the metric itself."""
    problem = problem_of(*table())
    lost = []
    for number, fold in enumerate(problem.folds):
        pipeline = fit_on_fold(LOGISTIC, number, problem)
        rng = np.random.default_rng(problem.fold_seed(number))
        X, y = take(problem.table.X, fold.val_idx), problem.table.y[fold.val_idx]

        def score(rows, pipeline=pipeline, y=y):
            proba, weight = predict_codes(pipeline, rows, 2), np.ones((1, len(y)))
            return METRICS["average_precision"].score_many(y, proba, weight, pos=1)[0]

        order = np.roll(range(3), -number)  # each fold begins at another column
        of = {at: score(X) - score(_shuffled(X, at, rng)) for at in order.tolist()}
        lost.append([of[at] for at in range(3)])
    drops = column_importances(LOGISTIC, context_of(problem), NO_LIMIT)
    found = {drop.name: drop.drop for drop in drops}
    expected = dict(zip(["weak", "strong", "idle"], np.mean(lost, axis=0), strict=True))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("make", [numeric, mixed])
def test_shuffling_deals_one_column_anew_and_leaves_the_rest(make):
    X = problem_of(*make()).table.X
    before = pd.DataFrame(X).copy()
    for at in range(before.shape[1]):
        mixed_up = pd.DataFrame(_shuffled(X, at, np.random.default_rng(at)))
        others = [i for i in range(before.shape[1]) if i != at]
        pd.testing.assert_frame_equal(mixed_up.iloc[:, others], before.iloc[:, others])
        one, other = (sorted(map(str, f.iloc[:, at])) for f in (mixed_up, before))
        assert one == other
        assert not mixed_up.iloc[:, at].equals(before.iloc[:, at])
    pd.testing.assert_frame_equal(pd.DataFrame(X), before)


def test_columns_of_any_kind_are_measured():
    drops = column_importances(LOGISTIC, context_of(problem_of(*mixed())), NO_LIMIT)
    assert {drop.name for drop in drops} == {"size", "age", "colour", "flag", "seen"}


def test_no_time_is_no_answer():
    context = context_of(problem_of(*numeric()))
    assert column_importances(LOGISTIC, context, Deadline(0.0)) == ()
