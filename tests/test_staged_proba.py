"""The first k rounds of a boosted model are the model of k rounds."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from tables import five_classes, mixed, numeric, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import resolve
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.row_sample import RowSample
from autoimb._execution.shared_data import Inline
from autoimb._strategy.strategy import Strategy

STAGED = {n: f for n, f in CATALOGUE.entries["family"].items() if f.staged_proba}
COUNTS = (1, 3, 7, 12)
# What is drawn at random in every round.
DRAWING = {
    "xgboost": {"subsample": 0.6, "colsample_bytree": 0.5},
    "xgboost_categories": {"subsample": 0.6, "max_cat_to_onehot": 2},
    "lightgbm": {"colsample_bytree": 0.5, "min_child_samples": 3},
    "hist_gradient_boosting": {"max_features": 0.5, "min_samples_leaf": 3},
}
LOSSES = [(name, "log_loss") for name in STAGED]
LOSSES += [("xgboost", "focal"), ("xgboost", "asymmetric")]
every_loss = pytest.mark.parametrize(("family", "loss"), LOSSES)


def three_classes():
    X, y = five_classes()
    return X[y < 3], y[y < 3]


def strategy(family, n_rounds, **axes):
    """Return a boosted strategy of so many rounds that draws rows and columns."""
    params = {**DRAWING[family], STAGED[family].rounds_parameter: n_rounds}
    return Strategy.of(CATALOGUE, family=(family, params), **axes)


def fitted(chosen, X, y):
    """Return the model of a strategy, fitted on numbers."""
    problem = problem_of(X, y)
    pipeline = chosen.build(CATALOGUE, problem.table.schema, y, seed=0)
    return pipeline.fit(X, y)["model"]


def test_every_family_that_boosts_in_stages_is_known_here():
    assert DRAWING.keys() == STAGED.keys()


@every_loss
@pytest.mark.parametrize("make", [numeric, three_classes], ids=["binary", "three"])
def test_the_first_rounds_are_the_model_of_so_many(make, family, loss):
    X, y = make()
    chosen = strategy(family, max(COUNTS), loss=loss, class_weight="balanced")
    model, rounds = fitted(chosen, X, y), STAGED[family].rounds_parameter
    staged = resolve(STAGED[family].staged_proba)(model, X, COUNTS)
    for n, proba in zip(COUNTS, staged, strict=True):
        shorter = clone(model).set_params(**{rounds: n}).fit(X, y)
        np.testing.assert_allclose(proba, shorter.predict_proba(X), atol=1e-12)
        assert proba.dtype == np.float64
    assert abs(staged[0] - staged[-1]).max() > 1e-3


@every_loss
def test_stages_come_in_the_order_that_was_asked_for(family, loss):
    X, y = numeric()
    model = fitted(strategy(family, 8, loss=loss), X, y)
    score = resolve(STAGED[family].staged_proba)
    forwards, backwards = score(model, X, (2, 5)), score(model, X, (5, 2))
    for one, other in zip(forwards, backwards[::-1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "row_sample", [RowSample("all"), RowSample("sample", 60)], ids=lambda r: r.name
)
@pytest.mark.parametrize("family", STAGED)
def test_a_stage_of_a_fold_is_the_fold_of_a_smaller_model(family, row_sample):
    problem = problem_of(*mixed())
    axes = {"class_weight": "balanced", "resampler": "random_under"}
    result = evaluate(strategy(family, 50, **axes), 1, Inline(problem), row_sample)
    assert [n for n, _ in result.stages] == [10, 12, 18, 25, 35, 50]
    for n_rounds in (12, 35):
        shorter = evaluate(
            strategy(family, n_rounds, **axes), 1, Inline(problem), row_sample
        )
        stage = result.at_stage(n_rounds)
        np.testing.assert_allclose(stage.proba, shorter.proba, atol=1e-12)
        assert (stage.n_rounds, stage.number, stage.stages) == (n_rounds, 1, ())
        assert stage.fit_seconds == result.fit_seconds
        assert stage.predict_seconds == result.predict_seconds
    np.testing.assert_array_equal(result.at_stage(50).proba, result.proba)


def test_a_stage_behind_a_sampler_that_makes_rows_and_spreads_codes():
    problem = problem_of(*mixed())
    axes = {"resampler": "smotenc"}
    whole = evaluate(strategy("xgboost", 20, **axes), 0, Inline(problem))
    assert whole.status == "ok", whole.reason
    shorter = evaluate(strategy("xgboost", 10, **axes), 0, Inline(problem))
    np.testing.assert_allclose(whole.at_stage(10).proba, shorter.proba, atol=1e-12)


@pytest.mark.parametrize(
    ("n_rounds", "stages"),
    [(1, [1]), (10, [10]), (24, [10, 12, 17, 24]), (80, [10, 20, 28, 40, 56, 80])],
)
def test_the_last_stage_is_the_whole_model_and_the_first_has_ten_rounds(
    n_rounds, stages
):
    problem = problem_of(*numeric(60, 12))
    result = evaluate(strategy("xgboost", n_rounds), 0, Inline(problem))
    assert [n for n, _ in result.stages] == stages


def test_models_that_are_not_boosted_have_no_stages():
    problem = problem_of(*numeric(60, 12))
    plain = Strategy.of(CATALOGUE, family="logistic_regression")
    assert evaluate(plain, 0, Inline(problem)).stages == ()


def test_a_class_that_is_missing_from_a_fold_has_a_column_in_every_stage():
    X, y = five_classes()
    problem = problem_of(X, y, cv=2)
    fold = problem.folds[0]
    train = fold.train_idx[problem.table.y[fold.train_idx] != 4]
    problem = replace(problem, folds=(replace(fold, train_idx=train),))
    result = evaluate(strategy("hist_gradient_boosting", 15), 0, Inline(problem))
    assert result.status == "ok", result.reason
    for _, proba in result.stages:
        assert proba.shape == (len(fold.val_idx), 5)
        np.testing.assert_array_equal(proba[:, 4], 0.0)


def test_there_is_no_stage_that_was_not_scored():
    result = FoldResult(0, "ok", np.eye(2), stages=((10, np.eye(2)),))
    with pytest.raises(KeyError):
        result.at_stage(11)
