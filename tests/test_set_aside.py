"""A class of one row is set aside: the other classes are as they are without it."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import StratifiedKFold

from autoimb import AutoImbalance, BadInputError, Cost, LeftOutWarning, load, profile
from autoimb._metrics.metrics import METRICS
from autoimb._metrics.scorers import UserLabels, resolve_metric
from autoimb._table.set_aside import SetAside
from autoimb._table.table import check_table

pytestmark = pytest.mark.filterwarnings("ignore::autoimb.LeftOutWarning")
SMALL = {
    "n_trials": 2,
    "families": "logistic_regression",
    "cv": 3,
    "n_jobs": 1,
    "random_state": 0,
}
OTHERS = [0, 2, 3]  # positions of "a", "c" and "d" beside "b"
AT = 50  # the row of class "b"
N = 161


def make_table():
    """Return three classes that overlap, with a row of a fourth between their rows."""
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "c", "d"], [100, 40, 20]).astype(object)
    X = rng.normal(size=(N - 1, 4))
    X[:, 0] += 1.5 * (y == "c")
    X[:, 1] += 1.5 * (y == "d")
    order = rng.permutation(N - 1)
    X, y = X[order], y[order]
    return np.insert(X, AT, 9.0, axis=0), np.insert(y, AT, "b")


X, Y = make_table()
IS_OTHER = Y != "b"


@pytest.fixture(scope="module")
def model():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOutWarning)
        return AutoImbalance(**SMALL).fit(X, Y)


@pytest.fixture(scope="module")
def without():
    return AutoImbalance(**SMALL).fit(X[IS_OTHER], Y[IS_OTHER])


# --- the other classes


def test_all_else_is_as_without_the_row(model, without):
    assert model.classes_.tolist() == ["a", "b", "c", "d"]
    told = ["strategy", "mean", "se", "folds", "status"]
    pd.testing.assert_frame_equal(
        model.leaderboard_[told], without.leaderboard_[told], check_exact=True
    )
    assert str(model.honest_score_) == str(without.honest_score_)
    assert (model.predict(X) == without.predict(X)).all()
    assert model.threshold_[OTHERS] == pytest.approx(without.threshold_)
    assert model.threshold_[1] == 0


def test_its_probability_is_its_share_and_rows_sum_to_one(model, without):
    proba = model.predict_proba(X)
    assert proba[:, 1] == pytest.approx(1 / N)
    assert proba.sum(axis=1) == pytest.approx(1)
    assert proba[:, OTHERS] == pytest.approx(without.predict_proba(X) * (1 - 1 / N))
    assert set(model.classes_[proba.argmax(axis=1)]) <= {"a", "c", "d"}
    assert np.isnan(model.oof_proba_[AT]).all()
    assert model.oof_proba_[IS_OTHER][:, 1] == pytest.approx(1 / N)


def test_rows_of_the_class_are_scored_as_missed(model):
    assert model.score(X, Y) < model.score(X[IS_OTHER], Y[IS_OTHER])


def test_two_other_classes_are_a_problem_of_several_classes():
    kept = Y != "d"
    model = AutoImbalance(**SMALL, metric="f1").fit(X[kept], Y[kept])
    assert model.pos_label_ is None
    assert model.report().data.outcome.metric_label == METRICS["f1_macro"].label
    assert len(model.threshold_) == 3
    assert set(model.predict(X)) == {"a", "c"}
    with pytest.raises(BadInputError, match=r"top.* needs two classes, and y had 3"):
        model.top(X, 3)


# --- what is said


def test_the_warning_names_class_count_and_what_to_do():
    expected = "class 'b' has 1 row, and .* Collect more of its rows, merge it"
    with pytest.warns(LeftOutWarning, match=expected):
        AutoImbalance(**SMALL).fit(X, Y)


def test_several_classes_of_one_row_are_named_together():
    labels = np.where(np.arange(N) < 7, np.arange(N).astype(str), Y)
    table = check_table(X, labels)
    assert "8 classes have 1 row each ('0', '1', '2', '3', '4' and 3 more)" in (
        table.set_aside.message
    )
    assert table.classes.tolist() == ["a", "c", "d"]
    assert table.all_classes.tolist() == sorted(set(labels))
    proba = table.set_aside.add_columns(np.full((2, 3), 1 / 3))
    assert proba.sum(axis=1) == pytest.approx(1)
    assert proba[:, :7] == pytest.approx(1 / N)


@pytest.mark.parametrize("kept", [["a", "b"], ["b"]])
def test_one_class_that_is_left_is_an_error(kept):
    rows = np.isin(Y, kept)
    with pytest.raises(BadInputError, match=r"drop or merge|at least two"):
        AutoImbalance(**SMALL).fit(X[rows], Y[rows])


def test_profile_and_report_say_so(model, tmp_path):
    found = {check.code: check for check in profile(X, Y).checks}
    assert "class 'b' has 1 row" in found["AIM015"].message
    assert "AIM015" not in {c.code for c in profile(X[IS_OTHER], Y[IS_OTHER]).checks}
    data = model.report().data
    assert "AIM015" in {check.code for check in data.data.checks}
    assert data.winner.class_labels == ("a", "c", "d")
    assert np.sum(data.winner.confusion) == N - 1
    model.report().save(tmp_path / "report.md")
    assert "class 'b' has 1 row" in (tmp_path / "report.md").read_text()


# --- arguments


def test_a_class_whose_other_rows_have_weight_zero_is_one_of_one_row():
    weight = np.ones(N)
    weight[(Y == "d") & (np.cumsum(Y == "d") > 1)] = 0
    weight[np.argmax(Y == "d")] = 3
    table = check_table(X, Y, sample_weight=weight)
    assert table.set_aside.labels.tolist() == ["b", "d"]
    assert table.set_aside.shares == pytest.approx(np.array([1, 3]) / weight.sum())
    assert len(table.y) == 140
    assert table.class_counts.tolist() == [100, 40]


def test_groups_and_splits_keep_their_rows():
    groups = np.arange(N) // 2
    table = check_table(X, Y, groups=groups)
    assert (table.groups == groups[IS_OTHER]).all()
    codes = np.unique(Y, return_inverse=True)[1]
    splits = list(StratifiedKFold(2, shuffle=True, random_state=0).split(X, codes > 2))
    model = AutoImbalance(**{**SMALL, "cv": splits}).fit(X, Y)
    assert np.isnan(model.oof_proba_).any(axis=1).tolist() == (Y == "b").tolist()


def test_weights_and_samplers_by_class_may_name_it():
    weights = {"a": 1.0, "b": 50.0, "d": 4.0}
    models = [
        AutoImbalance(**{**SMALL, "class_weights": [given]}).fit(X, Y)
        for given in (weights, {"a": 1.0, "d": 4.0})
    ]
    first, second = (model.predict_proba(X) for model in models)
    assert first == pytest.approx(second)
    own = LogisticRegression(class_weight=weights)
    AutoImbalance(own, n_trials=1, cv=2, n_jobs=1, random_state=0).fit(X, Y)
    with pytest.raises(BadInputError, match=r"names \['z'\]"):
        AutoImbalance(class_weights={"z": 1.0}, n_trials=1).fit(X, Y)


def test_costs_have_a_column_for_it():
    costs = np.ones((N, 4))
    costs[np.arange(N), np.unique(Y, return_inverse=True)[1]] = 0
    model = AutoImbalance(**SMALL).fit(X, Y, costs=costs)
    bare = AutoImbalance(**SMALL).fit(
        X[IS_OTHER], Y[IS_OTHER], costs=costs[IS_OTHER][:, OTHERS]
    )
    assert (model.predict(X) == bare.predict(X)).all()
    only_b_is_free = np.full((N, 4), 1e6)
    only_b_is_free[:, 1] = 1e-6
    assert set(model.predict(X, costs=only_b_is_free)) == {"b"}
    matrix = 1 - np.eye(4)
    matrix[3, :3] = 9
    tuned = model.set_params(threshold="f1").fit(X, Y).set_threshold(Cost(matrix))
    bare = bare.fit(X[IS_OTHER], Y[IS_OTHER])
    bare.set_threshold(Cost(matrix[np.ix_(OTHERS, OTHERS)]))
    assert (tuned.predict(X) == bare.predict(X)).all()


# --- the life of a fitted model


def test_expected_shares_name_it_and_can_be_undone(model):
    before = model.predict_proba(X)
    shares = {"a": 0.4, "b": 0.1, "c": 0.3, "d": 0.2}
    proba = model.set_prior(shares).predict_proba(X)
    assert proba[:, 1] == pytest.approx(0.1)
    assert proba.sum(axis=1) == pytest.approx(1)
    assert "set_prior({'a': 0.4" in model.report().data.winner.code
    sentences = " ".join(model.report().data.winner.sentences)
    assert "'b' 10.0% (table: 0.621%)" in sentences
    assert (model.set_prior(None).predict_proba(X) == before).all()


def test_a_saved_model_is_the_same(model, tmp_path):
    model.save(tmp_path / "model.skops")
    same = load(tmp_path / "model.skops")
    assert (same.predict_proba(X) == model.predict_proba(X)).all()
    assert same.set_prior({"a": 0.4, "b": 0.1, "c": 0.3, "d": 0.2}).classes_.tolist()


@pytest.mark.parametrize("weight", [None, np.arange(1.0, N + 1)], ids=["none", "some"])
def test_the_exported_script_predicts_the_same(weight):
    model = AutoImbalance(**SMALL).fit(X, Y, sample_weight=weight)
    script = {}
    exec(model.export_code(), script)
    pipelines = script["fit"](X, Y, *(() if weight is None else (weight,)))
    proba = script["predict_proba"](pipelines, X)
    assert proba == pytest.approx(model.predict_proba(X), abs=1e-9)
    assert (script["predict"](pipelines, X) == model.predict(X)).all()


def test_the_script_tells_the_others_apart_where_the_share_rounds_to_one(model):
    model.set_prior({"a": 1e-17, "b": 1.0, "c": 2e-17, "d": 1e-17})
    script = {}
    exec(model.export_code(), script)
    expected = model.predict(X)
    proba = model.predict_proba(X)
    model.set_prior(None)
    pipelines = script["fit"](X, Y)
    assert len(set(expected)) > 1
    assert (script["predict"](pipelines, X) == expected).all()
    assert script["predict_proba"](pipelines, X) == pytest.approx(proba, abs=1e-9)


def test_scorers_of_two_classes_take_the_rarer_of_the_two_for_positive():
    """As they do in a table without the row of the third."""
    kept = np.isin(Y, ["a", "c"])
    both = kept | (Y == "b")
    options = {**SMALL, "n_trials": 1, "metric": "neg_brier_score"}
    with_it = AutoImbalance(**options).fit(X[both], Y[both])
    without = AutoImbalance(**options).fit(X[kept], Y[kept])
    assert with_it.best_score_ == pytest.approx(without.best_score_, abs=0.05)
    labels = UserLabels(np.array(["a", "c"], dtype=object), None, rarer=1)
    metric = resolve_metric(make_scorer(f1_score), 3, labels)
    y, y_pred = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 0])
    score = metric.score_many(y, np.eye(2)[y_pred], np.ones((1, 6)), pos=None)
    assert score[0] == pytest.approx(f1_score(y, y_pred))


def test_a_refit_may_bring_more_of_its_rows():
    model = AutoImbalance(**SMALL).fit(X, Y)
    model.report(X, Y, time_budget=0.5)
    with pytest.warns(LeftOutWarning, match="class 'b' has 1 row"):
        model.refit(X, Y)
    rng = np.random.default_rng(1)
    more = np.vstack([X, rng.normal(9, 0.1, size=(20, 4))])
    labels = np.append(Y, ["b"] * 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.refit(more, labels)
    assert (model.predict(more[-20:]) == "b").all()
    assert len(model.threshold_) == 4
    assert model.report().data.winner.class_labels == ("a", "b", "c", "d")
    with pytest.raises(BadInputError, match="call fit for other classes"):
        model.refit(X[IS_OTHER], Y[IS_OTHER])


def test_weights_by_label_follow_the_labels_in_a_refit():
    own = LogisticRegression(class_weight={"a": 1.0, "b": 2.0, "d": 9.0})
    model = AutoImbalance(own, n_trials=1, cv=2, n_jobs=1, random_state=0).fit(X, Y)
    assert _last_step(model).class_weight == {0: 1.0, 2: 9.0}
    model.refit(np.vstack([X, X[AT : AT + 1] + 0.1]), np.append(Y, "b"))
    assert _last_step(model).class_weight == {0: 1.0, 1: 2.0, 3: 9.0}


def _last_step(model):
    """Return the classifier of the best pipeline, out of its wrappers."""
    step = model.best_pipeline_
    while not isinstance(step, LogisticRegression):
        step = step[-1] if hasattr(step, "steps") else step.estimator
    return step


def test_labels_of_any_kind_can_be_set_aside():
    labels = np.empty(3, dtype=object)
    labels[:] = [("a", 1), ("b", 2), "c"]
    codes = np.array([0, 0, 1, 2, 2])
    set_aside = SetAside.of(labels, codes, np.ones(5))
    others = labels[set_aside.others(3)]
    assert set_aside.all_classes(others).tolist() == labels.tolist()
    assert not SetAside()
    assert SetAside().add_columns(np.eye(2)).tolist() == np.eye(2).tolist()
