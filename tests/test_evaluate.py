"""`evaluate` is build, fit, predict on one fold, and a failure is a result."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from tables import TABLES, five_classes, mixed, numeric, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import oversampled
from autoimb._catalogue.user_objects import entry_of_estimator
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.fit_predict import fit_steps, predict_codes
from autoimb._evaluate.out_of_fold import FoldResult, OutOfFold
from autoimb._evaluate.reference import pipeline_proba
from autoimb._evaluate.refit import refit
from autoimb._evaluate.row_sample import RowSample
from autoimb._execution.shared_data import Inline
from autoimb._strategy.strategy import Strategy
from autoimb._table.columns import take

SEEN = []
TAKES_WEIGHTS = {"class_weight": "class_weight"}


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier that keeps what it was given and answers with class shares."""

    def fit(self, X, y, sample_weight=None):
        SEEN.append(("fit", X, sample_weight))
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        SEEN.append(("predict", X, None))
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Faulty(Recorder):
    """A classifier that goes wrong in a chosen way."""

    def __init__(self, error=None, answer=0.5):
        self.error = error
        self.answer = answer

    def fit(self, X, y):
        if self.error is not None:
            raise self.error
        return super().fit(X, y)

    def predict_proba(self, X):
        return np.full((len(X), 2), self.answer)


@pytest.fixture(autouse=True)
def _nothing_seen():
    SEEN.clear()


def with_model(model, X, y, *, as_given=True, **options):
    """Return the problem and the strategy of a model of the user's own."""
    view = None if as_given else "dense"
    family = entry_of_estimator(model, "mine", view=view)
    catalogue = CATALOGUE.with_entry("family", family)
    problem = problem_of(X, y, catalogue=catalogue, as_given=as_given, **options)
    return problem, Strategy.of(catalogue, family="mine")


def strategy(family="logistic_regression", **axes):
    return Strategy.of(CATALOGUE, family=family, **axes)


# --- the same as by hand


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "chosen",
    [
        strategy(resampler="smote", class_weight="balanced"),
        strategy("hist_gradient_boosting", resampler="random_under"),
        strategy(class_weight=("balanced", {"exponent": 0.5})),
    ],
    ids=["resampled and weighted", "boosting", "weighted"],
)
def test_a_fold_is_build_fit_and_predict(table, chosen):
    problem = problem_of(*TABLES[table]())
    for number in (0, 2):
        result = evaluate(chosen, number, Inline(problem))
        assert (result.status, result.number) == ("ok", number), result.reason
        np.testing.assert_allclose(
            result.proba, pipeline_proba(chosen, problem, number), atol=1e-9
        )


def test_it_depends_on_its_arguments_alone():
    problem = problem_of(*numeric())
    chosen = strategy("random_forest", resampler="random_under")
    first = evaluate(chosen, 0, Inline(problem))
    evaluate(chosen, 1, Inline(problem))
    np.testing.assert_array_equal(
        evaluate(chosen, 0, Inline(problem)).proba, first.proba
    )


def test_a_refit_is_build_and_fit_on_every_row():
    problem = problem_of(*mixed())
    chosen, table = strategy(resampler="smote"), problem.table
    again = chosen.build(CATALOGUE, table.schema, table.y, seed=problem.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again.fit(table.X, table.y)
    np.testing.assert_allclose(
        refit(chosen, problem)[0].predict_proba(table.X), again.predict_proba(table.X)
    )


def test_validation_labels_change_nothing():
    problem = problem_of(*numeric())
    chosen = strategy(resampler="smote", class_weight="balanced")
    before = evaluate(chosen, 0, Inline(problem)).proba
    y = problem.table.y.copy()
    y[problem.folds[0].val_idx] ^= 1
    flipped = replace(problem, table=replace(problem.table, y=y))
    np.testing.assert_array_equal(evaluate(chosen, 0, Inline(flipped)).proba, before)


def test_warnings_stay_inside():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LogisticRegression(max_iter=1)  # it will not converge
        problem, chosen = with_model(model, *numeric())
        assert evaluate(chosen, 0, Inline(problem)).status == "ok"


# --- row weights


@pytest.mark.parametrize("resampler", ["none", "random_under", "random_over"])
def test_weights_follow_their_rows_through_a_resampler(resampler):
    X, y = numeric()
    X[:, 0] = np.arange(len(y))
    weight = 1.0 + np.arange(len(y)) % 7
    problem, chosen = with_model(Recorder(), X, y, sample_weight=weight)
    chosen = replace(chosen, resampler=strategy(resampler=resampler).resampler)
    assert evaluate(chosen, 0, Inline(problem)).status == "ok"
    _, rows, weights = SEEN[0]
    expected = weight[rows[:, 0].astype(int)] / weight.mean()
    np.testing.assert_allclose(weights, expected)
    assert resampler == "none" or len(rows) != len(problem.folds[0].train_idx)


def test_weight_zero_is_a_row_that_is_not_there():
    X, y = numeric()
    rng = np.random.default_rng(0)
    weight = np.where(kept := rng.random(len(y)) < 0.7, rng.uniform(0.5, 2, 120), 0.0)
    problem, chosen = with_model(LogisticRegression(), X, y, sample_weight=weight)
    without, _ = with_model(
        LogisticRegression(), X[kept], y[kept], sample_weight=weight[kept]
    )
    np.testing.assert_array_equal(
        evaluate(chosen, 0, Inline(problem)).proba,
        evaluate(chosen, 0, Inline(without)).proba,
    )


@pytest.mark.newest  # before, scikit-learn warns of a model without a penalty
@pytest.mark.parametrize("resampler", ["none", "random_under"])
def test_weight_two_is_a_row_twice(resampler):
    """Of a model whose penalty does not depend on the total weight: it has none."""
    X, y = numeric()
    weight = 1 + np.arange(len(y)) % 2
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    weighted, chosen = with_model(model, X, y, sample_weight=weight)
    chosen = replace(chosen, resampler=strategy(resampler=resampler).resampler)
    pipeline, _ = refit(chosen, weighted)
    at = np.arange(len(y))
    if resampler != "none":
        sampler = clone(pipeline["resample"]).fit(X, y)
        sampler.fit_resample(X, y)
        at = sampler.sample_indices_
    at = np.repeat(at, weight[at])
    twice = clone(model).set_params(class_weight=pipeline["model"].class_weight)
    np.testing.assert_allclose(
        pipeline["model"].predict_proba(X),
        twice.fit(X[at], y[at]).predict_proba(X),
        atol=1e-4,
    )


def test_a_pipeline_of_the_users_own_hands_weights_to_its_last_step():
    X, y = numeric()
    weight = 1.0 + np.arange(len(y)) % 3
    model = make_pipeline(StandardScaler(), Recorder())
    problem, chosen = with_model(model, X, y, sample_weight=weight)
    assert evaluate(chosen, 1, Inline(problem)).status == "ok"
    expected = weight[problem.folds[1].train_idx] / weight.mean()
    np.testing.assert_allclose(SEEN[0][2], expected)


# --- rows as the user wrote them


def test_a_model_of_the_users_own_reads_the_users_own_rows():
    X, y = mixed()
    X["colour"] = X["colour"].astype("category")
    X.index = range(1000, 1000 + len(X))
    problem, chosen = with_model(Recorder(), X, y)
    assert evaluate(chosen, 0, Inline(problem)).status == "ok"
    fold = problem.folds[0]
    for (_, rows, _), at in zip(SEEN, (fold.train_idx, fold.val_idx), strict=True):
        pd.testing.assert_frame_equal(rows, X.iloc[at])


# --- failures


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        (Faulty(ValueError("boom")), "failed", "ValueError: boom"),
        (Faulty(MemoryError("too big")), "failed", "MemoryError: too big"),
        (Faulty(TimeoutError()), "timeout", "share of the time budget"),
        (Faulty(answer=np.nan), "failed", "Faulty are not all finite"),
        (Faulty(answer=np.inf), "failed", "Faulty are not all finite"),
    ],
    ids=["raises", "memory", "late", "nan", "inf"],
)
def test_a_failure_is_a_result_with_its_reason(model, status, reason):
    problem, chosen = with_model(model, *numeric())
    result = evaluate(chosen, 1, Inline(problem))
    assert (result.status, result.number, result.proba) == (status, 1, None)
    assert reason in result.reason


def test_ctrl_c_is_no_failure_of_the_candidate():
    problem, chosen = with_model(Faulty(KeyboardInterrupt()), *numeric())
    with pytest.raises(KeyboardInterrupt):
        evaluate(chosen, 0, Inline(problem))


# --- class scores


@pytest.mark.parametrize("make", [numeric, five_classes], ids=["binary", "five"])
def test_decision_values_become_probabilities_in_the_same_order(make):
    X, y = make()
    pipeline = fit_steps(Pipeline([("model", LinearSVC())]), X, y, None)
    decision = pipeline.decision_function(X)
    proba = predict_codes(pipeline, X, len(np.unique(y)))
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    if decision.ndim == 1:
        order = np.argsort(decision)
        assert (np.diff(proba[order, 1]) >= 0).all()
    np.testing.assert_array_equal(proba.argmax(axis=1), pipeline.predict(X))


def test_a_class_that_the_model_never_saw_scores_zero():
    X, y = five_classes()
    seen = np.isin(y, [0, 2, 3])
    model = Pipeline([("model", LogisticRegression())]).fit(X[seen], y[seen])
    proba = predict_codes(model, X, 5)
    assert proba.shape == (len(y), 5)
    np.testing.assert_array_equal(proba[:, [1, 4]], 0.0)
    np.testing.assert_array_equal(proba[:, [0, 2, 3]], model.predict_proba(X))


# --- out-of-fold scores


def two_repeats(X, y, **extra):
    """Return a problem with two repeats, and results that tell fold and row."""
    problem = problem_of(X, y, repeats=2, **extra)
    results = [
        FoldResult(n, "ok", np.column_stack([f.val_idx, np.full(len(f.val_idx), n)]))
        for n, f in enumerate(problem.folds)
    ]
    return problem, results


def test_every_score_stands_beside_its_row():
    weight = np.linspace(1, 2, 120)
    problem, results = two_repeats(*numeric(), sample_weight=weight)
    oof = OutOfFold.of([*results, FoldResult(0, "failed")], problem)
    np.testing.assert_array_equal(oof.proba[:, 0], oof.rows)
    np.testing.assert_array_equal(oof.y, problem.table.y[oof.rows])
    assert np.bincount(oof.rows).tolist() == [2] * 120
    np.testing.assert_allclose(np.bincount(oof.rows, oof.weight), weight / 1.5)
    np.testing.assert_allclose(np.bincount(oof.rows, oof.multiplicity), 1)
    np.testing.assert_array_equal(oof.units, oof.rows)


def test_rows_of_a_group_are_one_unit():
    problem, results = two_repeats(*numeric(), groups=np.arange(120) // 3 * 7)
    oof = OutOfFold.of(results, problem)
    np.testing.assert_array_equal(oof.units, oof.rows // 3)


def test_an_entry_knows_the_fold_and_the_repeat_that_it_was_scored_in():
    problem, results = two_repeats(*numeric())
    oof = OutOfFold.of(results[::-1], problem)
    begin = 0
    for result in results[::-1]:
        entries = slice(begin, begin + len(result.scores))
        begin = entries.stop
        assert set(oof.folds.fold[entries]) == {result.number}
        assert set(oof.folds.repeat[entries]) == {problem.folds[result.number].repeat}
    for held_out, others in oof.folds.parts():
        assert not set(oof.rows[held_out]) & set(oof.rows[others])
        assert sorted(oof.rows[held_out | others]) == list(range(120))


def test_by_row_is_the_mean_over_repeats_and_nan_without_any():
    problem, results = two_repeats(*numeric())
    oof = OutOfFold.of(results, problem)
    by_row = oof.by_row(oof.proba, 120)
    of_row = pd.Series(oof.proba[:, 1]).groupby(oof.rows).mean()
    np.testing.assert_allclose(by_row[:, 1], of_row)
    some = OutOfFold.of(results[:2], problem)
    unseen = problem.folds[2].val_idx
    assert np.isnan(some.by_row(some.proba, 120)[unseen]).all()


# --- on a sample of the training rows

SAMPLE = RowSample("sample", 60)


def drawn(problem, row_sample=SAMPLE):
    """Return the first fold's training rows that a sample holds, and their weights."""
    rows = problem.folds[0].train_idx
    at, weight = row_sample.draw(problem.table.y[rows], problem.fold_seed(0))
    return rows[at], weight


def recorded(X, y, row_sample, *, weighted=True, **axes):
    """Return the problem, and the rows and weights that a fit and a score saw.

    Rows are known again by their first column.
    """
    SEEN.clear()
    X = np.column_stack([np.arange(len(y)), X])
    model = entry_of_estimator(
        Recorder(), "mine", view=None, parameter_names=TAKES_WEIGHTS
    )
    model = replace(model, weights_sampled_rows=weighted)
    catalogue = CATALOGUE.with_entry("family", model)
    problem = problem_of(X, y, catalogue=catalogue, as_given=True)
    chosen = Strategy.of(catalogue, family="mine", **axes)
    result = evaluate(chosen, 0, Inline(problem), row_sample)
    assert result.status == "ok", result.reason
    (_, fitted, weight), (_, scored, _) = SEEN
    return problem, fitted[:, 0].astype(int), weight, scored[:, 0].astype(int)


@pytest.mark.parametrize(
    "chosen",
    [
        strategy(class_weight="balanced"),
        strategy(("xgboost", {"n_estimators": 20}), class_weight="balanced"),
        strategy(("hist_gradient_boosting", {"max_iter": 10})),
    ],
    ids=["logistic regression", "xgboost", "boosting without weights"],
)
@pytest.mark.parametrize("table", TABLES)
def test_a_sample_is_fitted_as_by_hand(table, chosen):
    problem = problem_of(*TABLES[table]())
    rows, weight = drawn(problem)
    fold, y = problem.folds[0], problem.table.y
    whole = np.bincount(y[fold.train_idx])
    seed = problem.fold_seed(0)
    pipeline = problem.build(chosen, y[rows], seed, full_counts=whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = take(problem.table.X, rows)
        takes = CATALOGUE.weights_sampled_rows(chosen.family.name, "none")
        fit_steps(pipeline, X, y[rows], weight if takes else None)
    result = evaluate(chosen, 0, Inline(problem), SAMPLE)
    expected = pipeline.predict_proba(take(problem.table.X, fold.val_idx))
    np.testing.assert_allclose(result.proba, expected, atol=1e-9)
    everything = evaluate(chosen, 0, Inline(problem))
    assert abs(everything.proba - result.proba).max() > 1e-3


def test_a_sample_that_is_large_enough_is_all_rows():
    problem, chosen = problem_of(*numeric()), strategy(class_weight="balanced")
    np.testing.assert_array_equal(
        evaluate(chosen, 0, Inline(problem), RowSample("sample", 80)).proba,
        evaluate(chosen, 0, Inline(problem)).proba,
    )


def test_a_sample_is_drawn_from_the_training_rows_and_scored_on_all_others():
    problem, fitted, _, scored = recorded(*numeric(), SAMPLE)
    rows, _ = drawn(problem)
    np.testing.assert_array_equal(fitted, rows)
    np.testing.assert_array_equal(scored, problem.folds[0].val_idx)
    assert set(fitted) < set(problem.folds[0].train_idx)


def test_class_weights_refer_to_the_rows_that_were_sampled_from():
    problem, chosen = problem_of(*numeric()), strategy(class_weight="balanced")
    y = problem.table.y[problem.folds[0].train_idx]
    rows, _ = drawn(problem)
    plain = problem.build(chosen, y, 0)["model"].class_weight
    sampled = problem.build(
        chosen, problem.table.y[rows], 0, full_counts=np.bincount(y)
    )
    assert sampled["model"].class_weight == plain


def test_a_family_that_ranks_better_without_weights_gets_none():
    X, y = numeric()
    _, rows, weight, _ = recorded(X, y, SAMPLE)
    _, same, none, _ = recorded(X, y, SAMPLE, weighted=False)
    np.testing.assert_array_equal(rows, same)
    assert none is None
    assert weight.sum() == pytest.approx(80)
    _, _, given, _ = recorded(X, y, SAMPLE, weighted=False, resampler="smote")
    assert given is None


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_weighted_class_shares_are_those_of_resampling_all_rows(strength):
    """Whoever under-samples a weighted sample leaves the ratio that was asked for."""
    X, y = numeric(480, 60)
    axes = {"resampler": ("random_under", {"strength": strength})}
    _, whole, _, _ = recorded(X, y, RowSample("all"), **axes)
    SEEN.clear()
    _, fitted, weight, _ = recorded(X, y, RowSample("sample", 150), **axes)
    expected, mass = np.bincount(y[whole]), np.bincount(y[fitted], weight)
    np.testing.assert_allclose(mass, expected, rtol=0.03)


def test_weights_of_rows_multiply_those_of_the_sample():
    X, y = numeric()
    own = 1.0 + np.arange(len(y)) % 5
    model = entry_of_estimator(
        Recorder(), "mine", view=None, parameter_names=TAKES_WEIGHTS
    )
    model = replace(model, weights_sampled_rows=True)
    catalogue = CATALOGUE.with_entry("family", model)
    problem = problem_of(X, y, catalogue=catalogue, as_given=True, sample_weight=own)
    evaluate(Strategy.of(catalogue, family="mine"), 0, Inline(problem), SAMPLE)
    rows, weight = drawn(problem)
    np.testing.assert_allclose(SEEN[0][2], weight * problem.table.weights[rows])


@pytest.mark.parametrize("axes", [{}, {"resampler": "random_under"}], ids=str)
def test_a_model_that_takes_no_weights_sees_the_sample_without(axes):
    problem, _ = with_model(Faulty(), *numeric())
    chosen = Strategy.of(problem.catalogue, family="mine", **axes)
    result = evaluate(chosen, 0, Inline(problem), SAMPLE)
    assert result.status == "ok", result.reason
    assert SEEN[0][2] is None


@pytest.mark.parametrize("resampler", ["smote", "cluster_centroids"])
def test_a_sampler_that_makes_rows_sees_the_sample_without_weights(resampler):
    problem, _ = with_model(Recorder(), *numeric(), as_given=False)
    chosen = Strategy.of(problem.catalogue, family="mine", resampler=resampler)
    result = evaluate(chosen, 0, Inline(problem), SAMPLE)
    assert result.status == "ok", result.reason
    assert SEEN[0][2] is None


@pytest.mark.parametrize("resampler", ["smote", "random_over", "cluster_centroids"])
def test_classes_are_balanced_for_a_model_that_sees_no_weights(resampler):
    problem, _ = with_model(Recorder(), *numeric(480, 30), as_given=False)
    axes = {"resampler": (resampler, {"strength": 1.0})}
    chosen = Strategy.of(problem.catalogue, family="mine", **axes)
    assert evaluate(chosen, 0, Inline(problem), SAMPLE).status == "ok"
    kept = np.bincount(problem.table.y[drawn(problem)[0]])
    n_each = kept.min() if resampler == "cluster_centroids" else kept.max()
    assert len(SEEN[0][1]) == 2 * n_each


@pytest.mark.parametrize(
    "family", ["random_forest", "extra_trees", "balanced_random_forest"]
)
@pytest.mark.parametrize("table", [numeric, mixed, five_classes])
def test_few_rows_of_a_forest_have_the_scores_that_they_have_among_many(family, table):
    problem = problem_of(*table())
    strategy = Strategy.of(CATALOGUE, family=family)
    pipeline, _ = refit(strategy, problem)
    X, k = problem.table.X, problem.table.n_classes
    whole = predict_codes(pipeline, X, k)
    np.testing.assert_allclose(
        pipeline.predict_proba(X), whole[:, pipeline.classes_], rtol=1e-12
    )
    for rows in (np.arange(1), np.arange(5, 20)):
        few = predict_codes(pipeline, take(X, rows), k)
        np.testing.assert_allclose(few, whole[rows], rtol=1e-12)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_a_fold_says_how_many_rows_of_each_class_its_model_was_fitted_on(strength):
    problem = problem_of(*numeric(200, 30))
    plain = Strategy.of(CATALOGUE, family="logistic_regression")
    grown = Strategy.of(
        CATALOGUE,
        family="logistic_regression",
        resampler=("random_over", {"strength": strength}),
    )
    before = np.bincount(problem.table.y[problem.folds[0].train_idx])
    assert evaluate(plain, 0, Inline(problem)).fitted_counts == tuple(before)
    n_rare = oversampled(before, strength)[1]
    assert evaluate(grown, 0, Inline(problem)).fitted_counts == (before[0], n_rare)
