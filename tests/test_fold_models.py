"""Fold models are kept for the best candidates, and predict where no refit does."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from tables import five_classes, mixed, numeric, problem_of, scored, selection_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import evaluate, fit_on_fold
from autoimb._evaluate.fit_predict import predict_codes
from autoimb._evaluate.fold_models import FoldModels
from autoimb._evaluate.kept_models import ModelFolder
from autoimb._execution.shared_data import Inline
from autoimb._fit import final_fit as final_module
from autoimb._fit.finish import finish
from autoimb._search.trials import keep_best_models
from autoimb._strategy.strategy import Choice, Strategy
from autoimb._table.columns import take
from autoimb.exceptions import BudgetTooSmallWarning, RefitFailedWarning

PLAIN = Strategy.of(CATALOGUE, family="logistic_regression")
WEIGHTED = Strategy.of(CATALOGUE, family="logistic_regression", class_weight="balanced")
SMOTE = Strategy.of(CATALOGUE, family="logistic_regression", resampler="smote")
FOREST = Strategy.of(CATALOGUE, family="extra_trees")
XGBOOST = Strategy.of(CATALOGUE, family="xgboost")
HISTOGRAM = Strategy.of(CATALOGUE, family="hist_gradient_boosting")


@pytest.fixture
def folder(tmp_path):
    return ModelFolder(tmp_path, 10**9)


# --- what is kept is what was scored


@pytest.mark.parametrize("make", [numeric, mixed, five_classes])
@pytest.mark.parametrize("strategy", [PLAIN, FOREST, XGBOOST, HISTOGRAM], ids=str)
def test_kept_models_give_the_scores_of_their_folds(make, strategy, folder):
    """Boosted ones with the number of rounds that was chosen among stages."""
    problem = problem_of(*make())
    record = scored(strategy, problem, folder)
    pipelines = FoldModels(problem).load(strategy, record.results)
    assert len(pipelines) == len(problem.folds)
    for result, pipeline in zip(record.results, pipelines, strict=True):
        X = take(problem.table.X, problem.folds[result.number].val_idx)
        proba = predict_codes(pipeline, X, problem.table.n_classes)
        np.testing.assert_allclose(proba, result.proba, atol=1e-7)


def test_a_kept_model_is_that_of_the_pipeline_fitted_on_its_fold(folder):
    problem = problem_of(*mixed())
    record = scored(SMOTE, problem, folder)
    X = problem.table.X
    pipelines = FoldModels(problem).load(SMOTE, record.results)
    for number, pipeline in enumerate(pipelines):
        alone = fit_on_fold(SMOTE, number, problem)
        np.testing.assert_allclose(pipeline.predict_proba(X), alone.predict_proba(X))


def test_models_of_a_fold_share_the_encoder_of_its_rows(folder):
    problem = problem_of(*mixed())
    models = FoldModels(problem)
    first, other, forest = (
        models.load(s, scored(s, problem, folder).results)
        for s in (PLAIN, WEIGHTED, FOREST)
    )
    assert all(a[0] is b[0] for a, b in zip(first, other, strict=True))
    assert first[0][0] is not first[1][0]
    assert first[0][0] is not forest[0][0]


# --- which are kept


def test_the_best_few_keep_their_models_three_of_a_family_at_most(folder):
    problem = problem_of(*numeric())

    def named(number, family):
        kept = scored(PLAIN, problem, folder, number=number)
        return replace(kept, strategy=replace(PLAIN, family=Choice.of(family, {})))

    records = [named(n, family) for n, family in enumerate("AAAABBCCDDEEFFG")]
    keep_best_models(records, max_bytes=10**9)
    expected = [*[True] * 3, False, *[True] * 9, False, False]
    assert [r.has_models for r in records] == expected
    assert len(list(folder.path.iterdir())) == 12 * len(problem.folds)


def test_above_the_limit_only_the_best_keeps_its_models(folder):
    problem = problem_of(*numeric())
    records = [scored(PLAIN, problem, folder, number=n) for n in range(3)]
    keep_best_models(records, max_bytes=1)
    assert [r.has_models for r in records] == [True, False, False]


def test_a_model_that_is_too_large_is_not_kept(tmp_path):
    problem = problem_of(*numeric())
    small = ModelFolder(tmp_path, 10**9, max_model_bytes=1_000)
    assert evaluate(FOREST, 0, Inline(problem), models=small).model is None
    assert evaluate(PLAIN, 0, Inline(problem), models=small).model is None
    assert list(tmp_path.iterdir()) == []
    assert evaluate(FOREST, 0, Inline(problem), models=small).status == "ok"


class Unpicklable(ClassifierMixin, BaseEstimator):
    """A model that no process can send."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.no_pickle_ = (number for number in range(3))
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def test_what_cannot_be_pickled_is_scored_all_the_same(folder):
    with pytest.raises(TypeError):
        pickle.dumps(Unpicklable().fit([[0]], [0]))
    assert folder.keep(Unpicklable().fit([[0]], [0]), None) is None
    assert list(folder.path.iterdir()) == []


def test_from_another_machine_the_model_travels_with_its_result(tmp_path):
    problem = problem_of(*numeric())
    elsewhere = ModelFolder(tmp_path / "of another machine", 10**9)
    record = scored(PLAIN, problem, elsewhere)
    record = pickle.loads(pickle.dumps(record))
    assert record.has_models
    (one, *_) = FoldModels(problem).load(PLAIN, record.results)
    alone = fit_on_fold(PLAIN, 0, problem)
    X = problem.table.X
    np.testing.assert_allclose(one.predict_proba(X), alone.predict_proba(X))
    record.results[0].model.delete()
    assert not record.has_models


# --- which fold models predict


def ordered_folds(n, width=None):
    """Return folds as of time series: training parts grow, or keep their width."""
    edges = np.linspace(n // 2, n, 4).astype(int)
    return [
        (np.arange(0 if width is None else low - width, low), np.arange(low, high))
        for low, high in itertools.pairwise(edges)
    ]


@pytest.mark.parametrize("width", [None, 50])
def test_where_training_parts_are_ordered_in_time_the_last_model_predicts(
    folder, width
):
    X, y = numeric()
    problem = problem_of(X, y, cv=ordered_folds(len(y), width))
    record = scored(PLAIN, problem, folder)
    (pipeline,) = FoldModels(problem).load(PLAIN, record.results)
    last = fit_on_fold(PLAIN, 2, problem)
    np.testing.assert_allclose(pipeline.predict_proba(X), last.predict_proba(X))


def test_without_kept_models_there_is_nothing_to_load(folder):
    problem = problem_of(*numeric())
    record = scored(PLAIN, problem, None)
    with pytest.raises(LookupError):
        FoldModels(problem).load(PLAIN, record.results)
    record = scored(PLAIN, problem, folder)
    record.results[1].model.delete()
    with pytest.raises(LookupError):
        FoldModels(problem).load(PLAIN, record.results)


# --- the final fit


def final(problem, *records, final_fit="auto", seconds=None):
    return finish(
        selection_of(*records),
        problem,
        "f1",
        calibrates_output=True,
        final_fit=final_fit,
        seconds=seconds,
    )


def test_fold_models_predict_by_their_mean(folder):
    problem = problem_of(*numeric())
    record = scored(PLAIN, problem, folder)
    found = final(problem, record, final_fit=False)
    (member,) = found.model.members
    X = problem.table.X
    folds = [fit_on_fold(PLAIN, n, problem) for n in range(len(problem.folds))]
    mean = np.mean([pipeline.predict_proba(X) for pipeline in folds], axis=0)
    np.testing.assert_allclose(member.pipeline.predict_proba(X), mean)
    np.testing.assert_allclose(found.model.proba(X), member.calibration(mean))
    np.testing.assert_array_equal(member.pipeline.predict(X), mean.argmax(axis=1))
    labels = found.model.threshold.apply(found.model.proba(X))
    np.testing.assert_array_equal(mean[:, 1] >= found.model.raw_cut, labels == 1)
    assert found.refit_failure is None


@pytest.mark.parametrize(
    ("final_fit", "fit_seconds", "seconds", "n_pipelines"),
    [
        ("auto", 1.0, None, 1),
        ("auto", 1.0, 60.0, 1),
        ("auto", 50.0, 60.0, 3),  # the refit takes longer than a fit on a fold
        ("auto", 1.0, 0.0, 3),
        (True, 50.0, 60.0, 1),
        (False, 0.0, None, 3),
    ],
)
def test_a_refit_takes_place_where_it_is_wanted_and_in_time(
    folder, final_fit, fit_seconds, seconds, n_pipelines
):
    problem = problem_of(*numeric())
    record = scored(PLAIN, problem, folder, fit_seconds=fit_seconds)
    found = final(problem, record, final_fit=final_fit, seconds=seconds)
    assert len(found.model.members[0].pipelines) == n_pipelines
    assert found.refit_failure is None


def refit_with(monkeypatch, error, strategies=(PLAIN,)):
    """Let refits of some strategies raise an error."""
    right = final_module.refit

    def refit(strategy, *args, **kwargs):
        if strategy in strategies:
            raise error
        return right(strategy, *args, **kwargs)

    monkeypatch.setattr(final_module, "refit", refit)


@pytest.mark.parametrize(
    ("error", "final_fit", "category"),
    [
        (ValueError("a constant column"), "auto", RefitFailedWarning),
        (MemoryError(), "auto", RefitFailedWarning),
        (TimeoutError(), "auto", None),
        (TimeoutError(), True, BudgetTooSmallWarning),
        (KeyboardInterrupt(), "auto", None),
    ],
)
def test_fold_models_take_the_place_of_a_refit_that_does_not_end(
    folder, monkeypatch, error, final_fit, category
):
    problem = problem_of(*numeric())
    records = [
        scored(s, problem, folder, number=n) for n, s in enumerate([PLAIN, FOREST])
    ]
    refit_with(monkeypatch, error)
    found = final(problem, *records, final_fit=final_fit, seconds=60.0)
    assert found.selection.winner is records[0]
    assert found.model.members[0].strategy == PLAIN
    assert len(found.model.members[0].pipelines) == 3
    if category is None:
        assert found.refit_failure is None
    else:
        assert found.refit_failure.warning_category is category
        assert "the mean of its fold models predicts" in found.refit_failure.message(60)


def test_after_ctrl_c_nothing_else_is_refitted(folder, monkeypatch):
    problem = problem_of(*numeric())
    records = [
        scored(s, problem, folder, number=n) for n, s in enumerate([PLAIN, FOREST])
    ]
    refit_with(monkeypatch, KeyboardInterrupt())
    found = final(problem, *records)
    assert [len(m.pipelines) for m in found.model.members] == [3, 3]


def test_ctrl_c_without_fold_models_ends_the_fit(monkeypatch):
    problem = problem_of(*numeric())
    refit_with(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        final(problem, scored(PLAIN, problem, None))


def test_fold_models_come_before_a_refit_that_was_stopped_early(folder):
    problem = problem_of(*numeric(4_000, 400))
    forest = scored(FOREST, problem, folder, fit_seconds=1e-4)
    kept = final(problem, forest, final_fit=True, seconds=0.0)
    assert len(kept.model.members[0].pipelines) == 3
    assert kept.refit_failure.is_late
    bare = replace(
        forest, results=tuple(replace(r, model=None) for r in forest.results)
    )
    found = final(problem, bare, seconds=0.0)
    assert len(found.model.members[0].pipelines) == 1


def test_a_worse_candidate_predicts_only_where_the_best_fails(folder, monkeypatch):
    """Never for lack of time: its fold models need none."""
    problem = problem_of(*numeric())
    best = scored(FOREST, problem, folder, fit_seconds=1e6)
    quick = scored(PLAIN, problem, folder, number=1, fit_seconds=1e-3)
    selection = replace(selection_of(best), finalists=(best, quick), quickest=quick)
    args = (problem, "f1")
    found = finish(selection, *args, calibrates_output=True, seconds=5.0)
    assert found.model.members[0].strategy == FOREST
    for result in best.results:
        result.model.delete()
    refit_with(monkeypatch, ValueError("broken"), strategies=(FOREST,))
    found = finish(selection, *args, calibrates_output=True, seconds=5.0)
    assert found.model.members[0].strategy == PLAIN
    assert found.refit_failure.warning_category is RefitFailedWarning
