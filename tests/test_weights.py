"""What a row's weight means: only ratios count, and a row of weight 0 is absent."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import average_precision_score, make_scorer
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, check_cv
from tables import mixed, numeric, problem_of

import autoimb
from autoimb import AutoImbalance, TopK, TopShare
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.scoring import Scoring
from autoimb._metrics.metrics import METRICS
from autoimb._metrics.scorers import resolve_metric
from autoimb._table.folds import make_folds
from autoimb._table.profile import profile_table
from autoimb._table.table import check_table

RNG = np.random.default_rng(0)
FAMILIES = ["logistic_regression", "xgboost"]


def fitted(X, y, families=FAMILIES, **arguments):
    settings = arguments.pop("settings", {})
    return AutoImbalance(
        families=families,
        n_trials=4,
        cv=arguments.pop("cv", 3),
        n_jobs=1,
        random_state=0,
        **settings,
    ).fit(X, y, **arguments)


def assert_same(one, other, X):
    """Assert that two fits found, chose, and predict the same."""
    columns = ["strategy", "mean", "se", "folds", "status"]
    pd.testing.assert_frame_equal(
        one.leaderboard_[columns], other.leaderboard_[columns]
    )
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert one.threshold_interval_ == other.threshold_interval_
    assert str(one.honest_score_) == str(other.honest_score_)


# --- only ratios count


@pytest.mark.parametrize(
    ("scale", "threshold"), [(10.0, "f1"), (3e-9, TopK(20))], ids=repr
)
def test_weights_of_another_scale_change_nothing(scale, threshold):
    X, y = numeric(160, 40)
    weight = RNG.uniform(0.2, 4, 160)
    how = {"settings": {"threshold": threshold}}
    one = fitted(X, y, sample_weight=weight, **how)
    assert_same(one, fitted(X, y, sample_weight=weight * scale, **how), X)


@given(scale=st.floats(1e-9, 1e9), seed=st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_weights_are_kept_with_mean_one(scale, seed):
    X, y = numeric(60, 20)
    weight = np.random.default_rng(seed).choice([0.0, 0.1, 1.0, 7.5], 60) + 0.01
    one, other = (check_table(X, y, sample_weight=w) for w in (weight, scale * weight))
    assert one.sample_weight.mean() == pytest.approx(1)
    np.testing.assert_allclose(one.sample_weight, weight / weight.mean(), rtol=1e-6)
    np.testing.assert_array_equal(one.sample_weight, other.sample_weight)
    assert one.fingerprint == other.fingerprint


def test_equal_weights_are_no_weights():
    X, y = numeric(160, 40)
    weighted = fitted(X, y, sample_weight=np.full(160, 0.3))
    assert_same(weighted, fitted(X, y), X)
    assert not weighted.profile_.weighted
    assert "sample_weight" in weighted.report().data.winner.code


# --- weight 0


def with_absent_rows(X, y, n_absent=25):
    """Return a table with rows of weight 0 between the others, and their weights."""
    kept = np.sort(RNG.choice(len(y) + n_absent, len(y), replace=False))
    weight = np.zeros(len(y) + n_absent)
    weight[kept] = 1.0
    rows = np.zeros(len(weight), dtype=int)
    rows[kept] = np.arange(len(y))
    X = X.iloc[rows].reset_index(drop=True) if hasattr(X, "iloc") else X[rows]
    return X, y[rows], weight, kept


def test_rows_of_weight_0_are_absent():
    """Whatever they hold: no encoder, fold, profile, count or draw sees them."""
    X, y = mixed(160)
    more, labels, weight, kept = with_absent_rows(X, y)
    absent = weight == 0
    for name in more.select_dtypes("number"):
        more[name] = more[name].astype(float)
        more.loc[absent, name] = 1e9
    for name in more.select_dtypes(["object", "string"]):
        more[name] = more[name].astype(object)
        more.loc[absent, name] = "broken"
    one = fitted(X, y, settings={"threshold": TopK(15)})
    other = fitted(more, labels, sample_weight=weight, settings={"threshold": TopK(15)})
    assert_same(one, other, X)
    assert str(one.profile_) == str(other.profile_)
    assert one.predict(X).tolist() == other.predict(X).tolist()
    np.testing.assert_array_equal(one.oof_proba_, other.oof_proba_[kept])
    assert np.isnan(other.oof_proba_[absent]).all()
    again = other.set_threshold("mcc").oof_proba_
    assert np.isnan(again[absent]).all()


def test_rows_of_weight_0_need_no_label():
    X, y = numeric(120, 40)
    more, labels, weight, _ = with_absent_rows(X, y)
    labels = np.where(weight > 0, labels.astype(float), np.nan)
    table = check_table(more, labels, sample_weight=weight)
    np.testing.assert_array_equal(table.y, check_table(X, y).y)


def test_groups_and_costs_of_absent_rows_are_absent():
    X, y = numeric(120, 40)
    more, labels, weight, kept = with_absent_rows(X, y)
    groups, costs = np.arange(len(labels)), RNG.random((len(labels), 2))
    costs[weight == 0] = np.nan
    table = check_table(more, labels, sample_weight=weight, groups=groups, costs=costs)
    np.testing.assert_array_equal(table.groups, kept)
    np.testing.assert_array_equal(table.costs, costs[kept])


def test_folds_that_hold_absent_rows_alone_are_absent():
    X, y = numeric(120, 40)
    weight = np.where(np.arange(120) < 20, 0.0, 1.0)
    fold_of_row = np.where(np.arange(120) < 20, 3, np.arange(120) % 3)
    fold_of_row[100:] = -1  # never validated
    table = check_table(X, y, sample_weight=weight)
    folds = make_folds(table, PredefinedSplit(fold_of_row), random_state=0)
    assert len(folds) == 3
    for i, fold in enumerate(folds):
        np.testing.assert_array_equal(fold_of_row[20:][fold.val_idx], i)


@pytest.mark.parametrize("form", ["rows", "masks", "splitter", "predefined", "wrapped"])
def test_folds_of_the_user_number_all_rows_that_were_passed(form):
    X, y = numeric(120, 40)
    more, labels, weight, kept = with_absent_rows(X, y)
    table = check_table(more, labels, sample_weight=weight)
    fold_of_row = np.arange(len(labels)) % 3
    pairs = [(np.flatnonzero(fold_of_row != i), fold_of_row == i) for i in range(3)]
    cv = {
        "rows": [(train, np.flatnonzero(val)) for train, val in pairs],
        "masks": [(fold_of_row != i, val) for i, (_, val) in enumerate(pairs)],
        "splitter": StratifiedKFold(3, shuffle=True, random_state=0),
        "predefined": PredefinedSplit(fold_of_row),
        "wrapped": check_cv([(train, np.flatnonzero(val)) for train, val in pairs]),
    }[form]
    folds = make_folds(table, cv, random_state=0)
    if form == "splitter":
        same = make_folds(check_table(X, y), cv, random_state=0)
        for one, other in zip(folds, same, strict=True):
            np.testing.assert_array_equal(one.val_idx, other.val_idx)
        return
    for i, fold in enumerate(folds):
        np.testing.assert_array_equal(fold_of_row[kept[fold.val_idx]], i)
        assert (fold_of_row[kept[fold.train_idx]] != i).all()
        assert len(fold.val_idx) + len(fold.train_idx) == len(y)


def test_an_estimator_of_the_user_sees_no_row_of_weight_0():
    class Picky(DummyClassifier):
        def fit(self, X, y, sample_weight=None):
            assert not (X == 1e9).any()
            return super().fit(X, y, sample_weight=sample_weight)

    X, y = numeric(120, 40)
    more, labels, weight, _ = with_absent_rows(X, y)
    more[weight == 0] = 1e9
    fitted(more, labels, families=[Picky()], sample_weight=weight)
    model = AutoImbalance(Picky(), n_trials=1, cv=3, n_jobs=1, random_state=0)
    model.fit(more, labels, sample_weight=weight)
    assert set(model.leaderboard_.status) == {"complete"}


def test_a_class_of_which_no_row_has_weight_is_absent():
    X, y = numeric(120, 40)
    y = np.where(np.arange(120) < 9, 2, y)
    table = check_table(X, y, sample_weight=y != 2)
    assert table.classes.tolist() == [0, 1]
    with pytest.raises(autoimb.BadInputError, match=r"only one class, 0: .* weight"):
        check_table(X, y, sample_weight=y == 0)


def test_a_report_without_the_weights_of_fit_says_what_is_missing():
    X, y = numeric(120, 40)
    more, labels, weight, _ = with_absent_rows(X, y)
    model = fitted(more, labels, FAMILIES[:1], sample_weight=weight)
    with pytest.raises(autoimb.BadInputError, match="sample_weight is missing"):
        model.report(more, labels)
    again = model.report(more, labels, sample_weight=3 * weight, time_budget=0.1)
    assert again.data.learning_curve is None or again.data.winner


@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_output_that_scikit_learn_is_set_to_changes_nothing(output, is_weighted):
    if output == "polars":
        pytest.importorskip("polars")
    X, y = mixed(160)
    arguments = {"sample_weight": RNG.uniform(0.5, 2, 160)} if is_weighted else {}
    plain = fitted(X, y, FAMILIES[:1], **arguments)
    with sklearn.config_context(transform_output=output):
        other = fitted(X, y, FAMILIES[:1], **arguments)
        proba = other.predict_proba(X)
    np.testing.assert_array_equal(proba, plain.predict_proba(X))
    assert_same(plain, other, X)


# --- rows are counted, whatever they weigh


@pytest.mark.parametrize(
    ("objective", "n_alerts"), [(TopK(30), 30), (TopShare(0.2), 32)]
)
def test_a_capacity_is_a_number_of_rows(objective, n_alerts):
    X, y = numeric(160, 40)
    weight = RNG.uniform(0.1, 10, 160)
    model = fitted(
        X, y, FAMILIES[:1], sample_weight=weight, settings={"threshold": objective}
    )
    decision = model._decision
    rows = decision.rule.apply(decision.calibrated.proba) @ decision.oof.multiplicity
    assert n_alerts - 1 < rows <= n_alerts + 1e-9


def test_the_report_counts_rows():
    X, y = numeric(160, 40)
    weight = np.where(y == 1, 5.0, RNG.uniform(0.1, 3, 160))
    model = fitted(X, y, FAMILIES[:1], sample_weight=weight)
    data = model.report().data
    confusion = np.array(data.winner.confusion)
    np.testing.assert_array_equal(confusion.sum(axis=1), [120, 40])
    support = [row.support for row in data.winner.per_class]
    assert support == pytest.approx([120, 40])
    assert sum(n for *_, n in data.winner.calibration_after) == pytest.approx(160)
    explorer = data.winner.explorer
    n_rows = explorer.positive_alerts[-1], explorer.negative_alerts[-1]
    assert n_rows == pytest.approx((40, 120))
    alerts = explorer.positive_alerts[explorer.tuned]
    alerts += explorer.negative_alerts[explorer.tuned]
    assert explorer.at_tuned["alerts"] == pytest.approx(1000 * alerts / 160)
    assert [c.count for c in data.data.classes] == [120, 40]


@pytest.mark.parametrize(
    ("objective", "limit"), [(TopK(30), 30), (TopShare(0.15), 24)], ids=repr
)
def test_rows_are_counted_for_other_class_shares_too(objective, limit):
    """The shares of `set_prior` are those of the rows, whatever these weigh."""
    X, y = numeric(160, 40)
    weight = np.where(y == 1, 4.0, 1.0) * RNG.uniform(0.8, 1.2, 160)
    model = fitted(
        X, y, FAMILIES[:1], sample_weight=weight, settings={"threshold": objective}
    ).set_prior(0.1)
    winner = model.report().data.winner
    support = [row.support for row in winner.per_class]
    assert support == pytest.approx([144, 16])
    explorer = winner.explorer
    alerts = explorer.positive_alerts[explorer.tuned]
    alerts += explorer.negative_alerts[explorer.tuned]
    assert limit - 4 < alerts <= limit + 1e-6


# --- what weights enter


def test_the_no_skill_level_is_that_of_weighted_rows():
    X, y = numeric(160, 40)
    weight = np.where(y == 1, 5.0, 1.0)
    model = fitted(X, y, FAMILIES[:1], sample_weight=weight)
    expected = average_precision_score(y, np.zeros(160), sample_weight=weight)
    assert model.honest_score_.no_skill == pytest.approx(expected)


def test_the_accuracy_of_the_majority_is_that_of_weighted_rows():
    X, y = numeric(160, 40)
    with pytest.warns(autoimb.AccuracyWarning, match="class scores 0.625 accuracy"):
        fitted(
            X,
            y,
            FAMILIES[:1],
            sample_weight=np.where(y == 1, 5.0, 1.0),
            settings={"metric": "accuracy"},
        )


@pytest.mark.parametrize("is_weighted", [False, True])
def test_an_undefined_draw_of_a_scorer_is_as_one_of_its_metric(is_weighted, recwarn):
    """Where the rows that a draw left out hold no positive, there is no score."""
    y = np.array([0, 0, 0, 1, 1])
    proba = np.linspace(0, 1, 10).reshape(5, 2)
    weights = np.array([[1, 2, 1, 0, 0], [1, 0, 2, 0, 1], [0, 0, 0, 1, 1]])
    if is_weighted:
        weights = weights * np.array([0.5, 2, 1, 3, 1])
    scorer = make_scorer(average_precision_score, response_method="predict_proba")
    found = resolve_metric(scorer, 2).score_many(y, proba, weights, pos=1)
    expected = METRICS["average_precision"].score_many(y, proba, weights, pos=1)
    assert np.isnan(expected[0])
    np.testing.assert_allclose(found[:2], expected[:2])
    assert np.isnan(found[2])  # no negatives: undefined for a scorer that needs both
    assert not recwarn


def test_scores_of_draws_multiply_counts_and_weights():
    problem = problem_of(*numeric(), sample_weight=RNG.uniform(0.2, 3, 120))
    table = problem.table
    proba = RNG.random((120, 1))
    proba = np.hstack([1 - proba, proba])
    results = [
        FoldResult(n, "ok", proba[fold.val_idx]) for n, fold in enumerate(problem.folds)
    ]
    scoring = Scoring.of(METRICS["average_precision"], table, problem.folds, 0)
    score = scoring.score(results)
    weight = scoring.counts[3] * table.sample_weight
    by_hand = [
        average_precision_score(
            table.y[f.val_idx], proba[f.val_idx, 1], sample_weight=weight[f.val_idx]
        )
        for f in problem.folds
    ]
    assert score.drawn[3] == pytest.approx(np.mean(by_hand))


def test_the_profile_counts_rows_of_positive_weight():
    X, y = numeric(160, 40)
    more, labels, weight, _ = with_absent_rows(X, y)
    found = profile_table(check_table(more, labels, sample_weight=weight))
    assert (found.n_rows, found.class_counts) == (160, (120, 40))
