"""The exported script is plain, reads well, and predicts as the fitted model does."""

import ast
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import imblearn.over_sampling
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from tables import (
    TABLES,
    Dial,
    categories,
    five_classes,
    mixed,
    numeric,
    problem_of,
    unscored,
)
from xgboost import XGBClassifier

import autoimb
from autoimb import AutoImbalance, FBeta
from autoimb._catalogue import CATALOGUE
from autoimb._export import prediction_script
from autoimb._export.code_layout import layout, on_one_line, prefixed
from autoimb._export.script_names import ScriptNames
from autoimb._export.value_code import code_of
from autoimb._fit.finish import finish
from autoimb._metrics.calibration import Beta, Identity, Platt, TemperatureBias
from autoimb._metrics.scorers import resolve_metric
from autoimb._strategy.strategy import Strategy
from autoimb._table.table import check_table
from autoimb._threshold.prior_shift import PriorShift
from autoimb._threshold.rules import Argmax, ClassWeights, Cut
from autoimb.exceptions import BadInputError

FEW = {
    "catboost": {"iterations": 5},
    "easy_ensemble": {"n_estimators": 5},
    "hist_gradient_boosting": {"max_iter": 10},
    "lightgbm": {"n_estimators": 5},
    "mlp": {"hidden": 32},
    "rusboost": {"n_estimators": 20},
    "self_paced_ensemble": {"n_estimators": 5, "n_trees": 20},
    "tabm": {"d_block": 32, "n_blocks": 1},
    "under_bagging": {"n_estimators": 5, "n_trees": 20},
    "xgboost": {"n_estimators": 50},
}
"""Settings that make a family's fits short."""

OWN = {"mlp", "self_paced_ensemble", "tabm", "under_bagging", "xgboost_categories"}
"""Families without a counterpart outside autoimb."""

SLOW = OWN | {"easy_ensemble", "soft_vote"}
FORESTS = ("balanced_random_forest", "extra_trees", "random_forest")


@pytest.fixture(autouse=True, scope="module")
def _small_forests():
    """Grow few trees, as 300 take longer than everything else here."""
    families = CATALOGUE.entries["family"]
    before = {name: families[name] for name in FORESTS}
    for name, family in before.items():
        fixed = {**family.fixed, "n_estimators": 10}
        families[name] = replace(family, fixed=fixed)
    yield
    families.update(before)


def finished(X, y, family, *, aim="f1", **axes):
    """Return what a script is made of: a model, its schema, its decision."""
    for package in {"catboost", "lightgbm"} & {family}:
        pytest.importorskip(package)
    extra = {key: axes.pop(key) for key in ("sample_weight", "cv") if key in axes}
    problem = problem_of(X, y, **{"cv": 2, **extra})
    table = problem.table
    strategy = Strategy.of(CATALOGUE, family=(family, FEW.get(family, {})), **axes)
    done = finish(unscored(strategy), problem, aim, calibrates_output=False)
    return done.model, table.schema, done.decision


def run(code):
    """Return the names that a script defines."""
    names = {"__name__": "script"}
    exec(compile(code, "script", "exec"), names)
    return names


def modules_of(code):
    """Return the modules that a script imports from."""
    nodes = ast.walk(ast.parse(code))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


def is_plain(code):
    """Whether a script does without autoimb."""
    return not any(module.startswith("autoimb") for module in modules_of(code))


def check_script(code, X, y, proba, labels, **fit_params):
    """Fit and predict by a script, and compare with what the model says."""
    script = run(code)
    pipelines = script["fit"](X, y, **fit_params)
    np.testing.assert_allclose(
        script["predict_proba"](pipelines, X), proba, rtol=0, atol=1e-9
    )
    found = script["predict"](pipelines, X)
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == labels.dtype


def check_parts(model, schema, decision, X, y, **fit_params):
    """Compare a model with its script, and return the script."""
    code = prediction_script(model, schema, decision)
    proba = model.proba(schema.canonical(X))
    labels = decision.classes[model.threshold.apply(proba)]
    check_script(code, X, y, proba, labels, **fit_params)
    return code


def check_model(model, X, y, **fit_params):
    """Compare a fitted estimator with its script, and return the script."""
    code = model.export_code()
    check_script(code, X, y, model.predict_proba(X), model.predict(X), **fit_params)
    return code


# --- families, losses, class weights


CASES = [
    (family, table)
    for family in sorted(CATALOGUE.entries["family"])
    for table in (TABLES if family not in SLOW else ["mixed"])
]


@pytest.mark.parametrize(("family", "table"), CASES)
def test_a_script_predicts_as_the_model_does(family, table):
    X, y = TABLES[table]()
    code = check_parts(*finished(X, y, family), X, y)
    assert is_plain(code) == (family not in OWN)
    assert ("# Of autoimb, with no" in code) == (family in OWN)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "family", ["catboost", "extra_trees", "lightgbm", "svm", "xgboost"]
)
def test_class_weights_need_no_autoimb(family, table):
    X, y = TABLES[table]()
    code = check_parts(*finished(X, y, family, class_weight="balanced"), X, y)
    assert is_plain(code)
    assert "class_weight" in code


def test_class_weights_within_a_vote_need_no_autoimb():
    X, y = mixed()
    code = check_parts(*finished(X, y, "soft_vote", class_weight="balanced"), X, y)
    assert is_plain(code)
    assert "ClassWeighted(" in code


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("loss", ["asymmetric", "focal"])
def test_losses_of_our_own_are_imported_and_the_script_says_so(loss, table):
    X, y = TABLES[table]()
    code = check_parts(*finished(X, y, "xgboost", loss=loss), X, y)
    assert "no counterpart elsewhere: WeightedXGBClassifier." in code
    assert "autoimb._models.boosting" in modules_of(code)


@pytest.mark.parametrize(
    "metric", ["roc_auc", FBeta(2), lambda *_: 1.0], ids=["name", "F2", "own"]
)
def test_nets_are_written_with_the_metric_that_they_were_stopped_by(metric):
    written = on_one_line(code_of(resolve_metric(metric, 2), ScriptNames()))
    expected = {"roc_auc": '"roc_auc"', "FBeta(beta=2)": "FBeta(2)"}
    assert written == expected.get(str(metric), '"average_precision"')


# --- resamplers


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("family", "resampler"),
    [
        ("logistic_regression", "random_over"),
        ("logistic_regression", "smote"),
        ("logistic_regression", "tomek"),
        ("xgboost", "random_under"),
        ("xgboost", "smote"),
        ("xgboost", "tomek"),
    ],
)
def test_samplers_stand_where_they_stood(family, resampler, table):
    X, y = TABLES[table]()
    parts = finished(X, y, family, resampler=resampler, class_weight="balanced")
    code = check_parts(*parts, X, y)
    is_everywhere = resampler.startswith("random")
    is_dense = family == "logistic_regression" or resampler == "smote"
    if is_everywhere or (table == "numeric" and is_dense):
        assert is_plain(code)


def test_both_kinds_of_pipelines_may_be_in_one_script():
    X, y = numeric()
    model, schema, decision = finished(X, y, "logistic_regression")
    (smote,) = finished(X, y, "logistic_regression", resampler="smote")[0].members
    model = replace(model, members=(*model.members, smote))
    code = check_parts(model, schema, decision, X, y)
    assert "from imblearn.pipeline import Pipeline as ImblearnPipeline" in code
    assert "from sklearn.pipeline import Pipeline, make_pipeline" in code


# --- calibration, class shares, threshold

CALIBRATIONS = [
    Identity(),
    Platt(0.7, -1.3, 1),
    Platt(0.7, -1.3, 0),
    Beta(1.9, 0.4, 0.3, 1),
]


@cache
def forest():
    return finished(*numeric(), "extra_trees")


@cache
def svm():
    return finished(*numeric(), "svm")[0]


@pytest.mark.parametrize("outer", CALIBRATIONS, ids=str)
@pytest.mark.parametrize("inner", CALIBRATIONS, ids=str)
def test_calibrations_and_the_prior_follow_each_other(inner, outer):
    X, y = numeric()
    model, schema, decision = forest()
    first = replace(model.members[0], calibration=inner, weight=0.3)
    second = replace(svm().members[0], weight=0.9)
    shift = PriorShift((0.8, 0.2), (0.35, 0.65), (0.8, 0.2))
    model = replace(model, members=(first, second), calibration=outer, shift=shift)
    check_parts(model, schema, decision, X, y)
    alone = replace(model, members=(first,), calibration=Identity(), shift=None)
    check_parts(alone, schema, decision, X, y)


def test_more_classes_are_calibrated_and_weighted():
    X, y = five_classes()
    model, schema, decision = finished(X, y, "extra_trees")
    assert isinstance(model.threshold, ClassWeights)
    calibration = TemperatureBias(0.6, (0.0, 0.1, 0.4, -0.2, 1.5))
    member = replace(model.members[0], calibration=calibration)
    threshold = ClassWeights((1.0, 0.5, 2.0, 3.0, 0.1))
    shift = PriorShift((0.4, 0.3, 0.1, 0.1, 0.1), (0.2,) * 5, (0.2,) * 5)
    model = replace(model, members=(member,), threshold=threshold, shift=shift)
    check_parts(model, schema, decision, X, y)


@pytest.mark.parametrize(
    "rule", [Cut(0.3, 1), Cut(0.3, 0), Argmax(), ClassWeights((1.0, 2.5))], ids=str
)
def test_every_rule_gives_its_labels(rule):
    X, y = numeric()
    model, schema, decision = finished(X, np.where(y, "no", "yes"), "extra_trees")
    model = replace(model, threshold=rule)
    check_parts(model, schema, decision, X, np.where(y, "no", "yes"))


def test_an_ensemble_and_what_was_decided_later():
    X, y = mixed()
    model = AutoImbalance(
        families=["extra_trees", "xgboost", "k_neighbours"],
        n_trials=4,
        n_jobs=1,
        cv=2,
        random_state=0,
    ).fit(X, y)
    assert len(model.ensemble_) > 1
    assert any(member.calibration != Identity() for member in model.ensemble_)
    before = check_model(model, X, y)
    assert is_plain(before)
    assert "RATIOS" not in before
    after = check_model(model.set_prior(0.4).set_threshold("mcc"), X, y)
    assert "RATIOS" in after
    assert before.count("def make_pipeline_") == len(model.ensemble_)
    # The trees share one encoder.
    assert before.count("def make_encoder_") == 2


def test_more_classes_through_the_whole_flow():
    X, y = five_classes()
    model = AutoImbalance(
        families="extra_trees", n_trials=2, n_jobs=1, cv=2, random_state=0
    ).fit(X, y)
    check_model(model, X, y)
    check_model(model.set_prior([0.2] * 5), X, y)


# --- tables


def strange_table():
    """Return columns of every kind in the forms that users have them in."""
    n = 240
    rng = np.random.default_rng(0)
    y = (rng.random(n) < 0.3).astype(int)
    frame = pd.DataFrame({"number": rng.normal(size=n)})
    frame["whole"] = pd.array(rng.integers(0, 9, n), dtype="Int64")
    frame["money"] = [Decimal(int(v)) for v in rng.integers(0, 99, n)]
    frame["lasts"] = pd.to_timedelta(rng.integers(0, 99, n), unit="h")
    frame["often"] = pd.Series([timedelta(days=int(v)) for v in y], dtype=object)
    frame["flag"] = pd.Series(rng.random(n) < 0.5, dtype=object)
    frame["maybe"] = pd.array(rng.random(n) < 0.5, dtype="boolean")
    frame["constant"] = "always"
    frame["code"] = rng.choice([1.0, 2.0, np.nan], n).astype(object)
    frame["level"] = pd.Categorical(rng.choice([1, 2, 3], n))
    frame["postcode"] = [f"z{v}" for v in rng.integers(0, 60, n)]
    frame["day"] = pd.to_datetime("2024-03-01 12:00") + frame["lasts"]
    frame["abroad"] = frame["day"].dt.tz_localize("Europe/Berlin")
    frame["said"] = frame["day"].dt.strftime("%Y-%m-%d")
    frame["born"] = pd.Series(frame["day"].dt.date, dtype=object)
    frame["hour"] = [f"{v // 60}:{v % 60:02}" for v in rng.integers(0, 1440, n)]
    frame["clock"] = [time(int(v)) for v in rng.integers(0, 24, n)]
    frame['"quoted"'] = np.where(y, "\\", '"')
    frame[7] = y + rng.normal(size=n)
    for name in ("whole", "flag", "maybe", "postcode", "abroad", "said", "hour"):
        frame.loc[rng.random(n) < 0.1, name] = None
    return frame, y


@cache
def strange_parts():
    return finished(*strange_table(), "extra_trees")


def test_columns_of_every_kind_are_read_alike():
    X, y = strange_table()
    kinds = {column.kind for column in check_table(X, y).schema.columns}
    assert len(kinds) == 7
    code = check_parts(*strange_parts(), X, y)
    assert is_plain(code)
    assert "class DealtFolds" in code
    for family in ("logistic_regression", "tabm"):
        check_parts(*finished(X, y, family), X, y)


def altered(name, value):
    """Return a change of the table."""
    return lambda X: X.assign(**{name: value})


@pytest.mark.parametrize(
    "change",
    {
        "as it was": lambda X: X,
        "one row": lambda X: X.head(1),
        "an index with repetitions": lambda X: X.set_index(np.arange(len(X)) // 2),
        "texts of Python": lambda X: X.astype({"postcode": object}),
        "texts as categories": lambda X: X.astype({"postcode": "category"}),
        "numbers as texts": lambda X: X.astype({"number": "str"}),
        "gaps only": lambda X: pd.DataFrame(None, X.index, X.columns, object),
        "no number": altered("number", np.nan),
        "unseen category": altered("level", "new"),
        "whole floats": altered("level", 2.0),
        "another constant": altered("constant", 5),
    }.items(),
    ids=lambda change: change[0],
)
def test_rows_that_come_later_are_read_alike(change):
    X, _ = strange_table()
    model, schema, decision = strange_parts()
    later = change[1](X)
    read = run(prediction_script(model, schema, decision))["read"]
    pd.testing.assert_frame_equal(read(later), schema.canonical(later))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("said", "yesterday"),
        ("said", "31/12/2024"),
        ("said", "7:30"),
        ("hour", "2024-03-01"),
        ("number", "many"),
        ("number", np.inf),
    ],
)
def test_what_cannot_be_read_is_refused_alike(name, value):
    X, _ = strange_table()
    model, schema, decision = strange_parts()
    read = run(prediction_script(model, schema, decision))["read"]
    for reads in (read, schema.canonical):
        with pytest.raises(ValueError, match=f"column '{name}'"):
            reads(X.assign(**{name: value}))


@pytest.mark.parametrize(
    "rows",
    {
        "lists": lambda X: X.tolist(),
        "whole numbers": lambda X: (10 * X).astype(int),
        "truth values": lambda X: X > 0,
        "32 bits": lambda X: X.astype(np.float32),
        "objects": lambda X: X.astype(object),
        "a frame": pd.DataFrame,
        "nullable": lambda X: pd.DataFrame(np.round(X)).astype("Int64"),
        "gaps": lambda X: pd.DataFrame(np.round(X)).astype("Int64").where(X > 0),
    }.items(),
    ids=lambda rows: rows[0],
)
def test_numbers_are_read_alike(rows):
    X, _ = numeric()
    model, schema, decision = forest()
    later = rows[1](X)
    read = run(prediction_script(model, schema, decision))["read"]
    np.testing.assert_array_equal(read(later), schema.canonical(later))


@pytest.mark.parametrize("family", ["hist_gradient_boosting", "xgboost"])
def test_columns_of_numbers_with_gaps_and_without_any_value(family):
    X, y = numeric()
    X[::5, 0] = np.nan
    X[:, 3] = np.nan
    code = check_parts(*finished(X, y, family), X, y)
    assert is_plain(code)
    assert '"passthrough"' in code


@pytest.mark.parametrize(
    "labels",
    [(False, True), ("no", "yes"), (3, 10), (2.0, 1.0), ("a", 1), (2**40, 5)],
    ids=str,
)
def test_labels_of_many_kinds_come_back(labels):
    X, codes = numeric()
    y = np.array(labels)[codes] if type(labels[0]) is type(labels[1]) else None
    y = [labels[code] for code in codes] if y is None else y
    check_parts(*finished(X, y, "extra_trees"), X, y)


def test_labels_that_no_code_makes_are_refused():
    X, codes = numeric()
    y = [(("a", "b"), ("c", "d"))[code] for code in codes]
    with pytest.raises(BadInputError, match="cannot be written as code"):
        prediction_script(*finished(X, y, "extra_trees"))


@pytest.mark.parametrize("resampler", ["none", "random_under", "tomek"])
@pytest.mark.parametrize("family", ["extra_trees", "xgboost"])
def test_weights_of_rows_are_asked_for_and_follow_their_rows(family, resampler):
    X, y = mixed()
    weight = np.random.default_rng(0).uniform(0, 3, len(y))
    parts = finished(
        *(X, y, family),
        class_weight="balanced",
        resampler=resampler,
        sample_weight=weight,
    )
    check_parts(*parts, X, y, sample_weight=weight)
    with pytest.raises(TypeError, match="sample_weight"):
        run(prediction_script(*parts))["fit"](X, y)


def gaps_and_many_categories():
    """Return columns of every kind with gaps, one of them of many categories."""
    X, y = mixed(300, 60)
    rng = np.random.default_rng(0)
    X["maker"] = rng.choice([f"maker {i}" for i in range(50)], len(y))
    minutes = pd.to_timedelta(rng.integers(0, 1440, len(y)), unit="min")
    X["clock"] = (pd.Timestamp(0) + minutes).strftime("%H:%M")
    X.loc[rng.random(len(y)) < 0.1, ["maker", "clock"]] = None
    return X, y


@pytest.mark.parametrize("resampler", ["none", "random_under", "tomek"])
@pytest.mark.parametrize(
    "family", ["logistic_regression", "hist_gradient_boosting", "xgboost"]
)
def test_encoders_are_fitted_with_weights(family, resampler):
    X, y = gaps_and_many_categories()
    weight = np.random.default_rng(0).uniform(0.1, 4, len(y))
    parts = finished(X, y, family, resampler=resampler, sample_weight=weight)
    code = check_parts(*parts, X, y, sample_weight=weight)
    assert "def fit_encoder" in code
    is_own = family != "logistic_regression" and resampler == "tomek"
    assert is_plain(code) is not is_own
    # Equal weights give another model, other scales the same.
    script = run(code)
    model, schema, _ = parts
    proba = model.proba(schema.canonical(X))
    other, same = (
        script["predict_proba"](script["fit"](X, y, w), X)
        for w in (np.ones(len(y)), 1e-4 * weight)
    )
    assert np.abs(proba - other).max() > 0.01
    np.testing.assert_allclose(proba, same, atol=1e-9)


def test_weights_that_only_training_rows_have_are_in_the_script():
    X, y = gaps_and_many_categories()
    weight = np.ones(len(y))
    weight[:100] = np.random.default_rng(0).uniform(0.2, 5, 100)
    validated = np.arange(100, len(y))
    folds = [(np.setdiff1d(np.arange(len(y)), val), val) for val in (validated[::2],)]
    parts = finished(X, y, "logistic_regression", sample_weight=weight, cv=folds)
    check_parts(*parts, X, y, sample_weight=weight)


@pytest.mark.parametrize("is_uneven", [False, True])
@pytest.mark.parametrize("as_array", [False, True])
def test_scripts_leave_out_rows_of_weight_0(is_uneven, as_array):
    X, y = numeric() if as_array else gaps_and_many_categories()
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.1, 4, len(y)) if is_uneven else np.full(len(y), 0.5)
    weight[absent := rng.random(len(y)) < 0.2] = 0.0
    known, y = X[~absent], y.astype(object)
    y[absent] = "?"
    if as_array:
        X[absent] = 1e9
    else:
        X["number"] = np.where(absent, "broken", rng.normal(size=len(y)).astype(object))
        known = X[~absent]
    parts = finished(X, y, "logistic_regression", sample_weight=weight)
    model, schema, _ = parts
    script = run(prediction_script(*parts))
    pipelines = script["fit"](X, y, weight)
    np.testing.assert_allclose(
        script["predict_proba"](pipelines, known),
        model.proba(schema.canonical(known)),
        atol=1e-9,
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_weighted_shares_of_more_classes(n_classes):
    X, y = gaps_and_many_categories()
    y = np.where(np.arange(len(y)) % 3 == 0, "third", y) if n_classes == 3 else y
    weight = np.random.default_rng(0).uniform(0.1, 4, len(y))
    parts = finished(X, y, "logistic_regression", sample_weight=weight)
    check_parts(*parts, X, y, sample_weight=weight)


def test_a_class_may_be_called_as_what_a_weighted_fit_imports(monkeypatch):
    other = type("StandardScaler", (Dial,), {"__module__": "tables"})
    monkeypatch.setattr("tables.StandardScaler", other, raising=False)
    X, y = numeric()
    model, schema, decision = finished(
        X, y, "logistic_regression", sample_weight=1.0 + np.arange(len(y)) % 3
    )
    (member,) = model.members
    steps = Pipeline([*member.pipeline.steps[:-1], ("model", other())])
    model = replace(model, members=(replace(member, pipelines=(steps,)),))
    code = prediction_script(model, schema, decision)
    assert "from sklearn.preprocessing import StandardScaler" in code
    assert "from tables import StandardScaler as TablesStandardScaler" in code


def test_without_weights_scripts_hold_no_code_for_them():
    X, y = gaps_and_many_categories()
    code = check_parts(*finished(X, y, "logistic_regression"), X, y)
    assert "weight" not in code


# --- models of the user's own


class Logits(ClassifierMixin, BaseEstimator):
    """A classifier without probabilities, with a parameter of any kind."""

    def __init__(self, by, *, thing=None, more=()):
        self.by = by
        self.thing = thing
        self.more = more

    def fit(self, X, y):
        """Learn the classes only."""
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        """Return the first column, changed."""
        return self.by * np.asarray(X)[:, 0]


def halved(X):
    """Return half of everything."""
    return X / 2


def around(estimator, X, y):
    """Return the fitted search around a user's estimator."""
    model = AutoImbalance(estimator, n_trials=1, n_jobs=1, cv=2, random_state=0)
    return model.fit(X, y)


ESTIMATORS = {
    "one parameter": Dial(0.25),
    "a decision": Logits(2.0, thing={"a": (1,), "b": [None, -np.inf]}, more={1}),
    "linear": make_pipeline(StandardScaler(), LinearSVC(C=0.1)),
    "steps with names": Pipeline([("scale", StandardScaler()), ("dial", Dial())]),
    "a function": make_pipeline(FunctionTransformer(halved), LogisticRegression()),
    "a ufunc": make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression()),
    "a splitter": CalibratedClassifierCV(LogisticRegression(), cv=StratifiedKFold(3)),
}


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
def test_a_model_of_the_user_is_written_as_it_was_made(estimator):
    X, y = numeric()
    code = check_model(around(estimator, X, y), X, y)
    assert is_plain(code)


def test_a_frame_reaches_a_model_of_the_user_as_it_is():
    X, y = mixed()
    X = X[["age", "flag"]]
    code = check_model(around(LogisticRegression(), X, y), X, y)
    assert "return X" in code


def hidden():
    """Return a class that cannot be imported."""

    class Hidden(Dial):
        pass

    return Hidden()


THINGS = {
    "a model": hidden(),
    "a class": type(hidden()),
    "a namesake": type("Dial", (Dial,), {"__module__": "tables"}),
    "a lambda": lambda X: X,
    "a method": Dial().fit,
    "a module": sys,
    "an object": object(),
    "a generator": np.random.default_rng(0),
    "a random state": np.random.RandomState(0),
    "times": np.array([np.datetime64("2024-01-01")]),
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_what_cannot_be_written_is_refused(thing):
    with pytest.raises(BadInputError, match=r"cannot be written as code.*save\(\)"):
        code_of(Logits(1.0, thing=[thing]), ScriptNames())


def test_what_stands_in_the_running_script_is_refused(monkeypatch):
    mine = type("Mine", (Dial,), {"__module__": "__main__"})
    monkeypatch.setattr("__main__.Mine", mine, raising=False)
    with pytest.raises(BadInputError, match=r"Mine.*cannot be written as code"):
        code_of(mine(), ScriptNames())


def test_the_error_names_what_is_in_the_way():
    X, y = numeric()
    estimator = make_pipeline(FunctionTransformer(lambda X: X), LogisticRegression())
    with pytest.raises(BadInputError, match="<lambda>"):
        around(estimator, X, y).export_code()


def test_an_unfitted_model_has_no_code():
    with pytest.raises(NotFittedError):
        AutoImbalance().export_code()


# --- values


def nested(leaves, keys):
    """Return plain values within each other."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner)
            | st.tuples(inner)
            | st.tuples(inner, inner)
            | st.dictionaries(keys, inner)
        ),
        max_leaves=30,
    )


anything = nested(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from([np.float32, np.log1p, int, np.linalg.norm, len]),
    st.text() | st.integers(),
)
words = st.text("aeiou", max_size=12)


def called_with(value):
    """Return a model with a value among its parameters."""
    return Logits(value, thing=value, more=[value])


def evaluated(code, names):
    """Return what code makes with the imports that it asked for."""
    scope = run(names.imports())
    return eval(code, scope)


@settings(max_examples=40)
@given(anything)
def test_a_value_comes_back_from_its_code(value):
    names = ScriptNames()
    code = code_of(value, names)
    assert evaluated(on_one_line(code), names) == value
    assert evaluated(layout(code), names) == value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (np.float64(0.1), "0.1"),
        (np.int8(3), "3"),
        (np.str_("a"), '"a"'),
        (np.bool_(True), "True"),
        (float("nan"), "np.nan"),
        (slice(2), "slice(None, 2)"),
        (slice(0, 9, 3), "slice(0, 9, 3)"),
        (set(), "set()"),
        ({2, 1}, "{1, 2}"),
        ((), "()"),
        ((1,), "(1,)"),
        (range(3), "range(0, 3)"),
        (np.array([1, 2]), "np.array([1, 2])"),
        (np.array([1, 2], dtype=np.int8), 'np.array([1, 2], dtype="int8")'),
        (np.array(["a", 1], dtype=object), 'np.array(["a", 1], dtype=object)'),
        ("it's", '"it\'s"'),
        ('"', "'\"'"),
        (LogisticRegression(C=1.0), "LogisticRegression()"),
        (StratifiedKFold(3), "StratifiedKFold(n_splits=3)"),
        (XGBClassifier(max_depth=3), "XGBClassifier(max_depth=3)"),
    ],
    ids=repr,
)
def test_values_are_written_in_their_usual_form(value, code):
    assert on_one_line(code_of(value, ScriptNames())) == code


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("read", "tables_read"),
        ("platt", "tables_platt"),
        ("ClassWeighted", "TablesClassWeighted"),
        ("Other", "Other"),
    ],
)
def test_names_that_scripts_define_are_theirs(name, local, monkeypatch):
    other = type(name, (Dial,), {"__module__": "tables"})
    monkeypatch.setattr("tables." + name, other, raising=False)
    names = ScriptNames()
    assert names.of(other) == names.of(other) == local
    assert f"from tables import {name}" in names.imports()
    assert evaluated(local, names) is other


# --- the script


def scripts():
    """Return scripts that hold everything which scripts can hold."""
    X, y = mixed()
    weight = np.linspace(1, 2, len(y))
    model, schema, decision = finished(
        X, y, "xgboost", class_weight="balanced", sample_weight=weight
    )
    (net,) = finished(X, y, "tabm")[0].members
    (smote,) = finished(X, y, "svm", resampler="smote")[0].members
    members = (
        replace(model.members[0], calibration=Beta(1.9, 0.4, 0.3, 1)),
        replace(net, calibration=Platt(0.7, -1.3, 1)),
        smote,
    )
    shift = PriorShift((0.8, 0.2), (0.35, 0.65), (0.8, 0.2))
    yield prediction_script(
        replace(model, members=members, shift=shift), schema, decision
    )
    yield prediction_script(*strange_parts())
    X, y = five_classes()
    model, schema, decision = finished(X, y, "soft_vote")
    calibration = TemperatureBias(0.6, (0.0, 0.1, 0.4, -0.2, 1.5))
    member = replace(model.members[0], calibration=calibration)
    yield prediction_script(replace(model, members=(member,)), schema, decision)
    yield prediction_script(*finished(*categories(), "logistic_regression"))


def ruff(*command, code):
    """Return the complaints of ruff about code."""
    path = Path(sys.executable).with_name("ruff")
    if not path.exists():
        pytest.skip("ruff is not installed")
    done = subprocess.run(
        [path, *command, "--isolated", "-"],
        cwd=path.parent,
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode else ""


def test_scripts_are_formatted_and_sound():
    """Layout, order of imports, unused and undefined names."""
    for code in scripts():
        assert not ruff("format", "--diff", code=code)
        rules = "F,E,W,I,UP,B,RET,SIM,PIE,C4"
        assert not ruff("check", "--select", rules, code=code)


def test_imports_stand_in_the_usual_order():
    names = ScriptNames()
    for name in imblearn.over_sampling.__all__:
        names.of(getattr(imblearn.over_sampling, name))
    used = [names.of(thing) for thing in (StratifiedKFold, clone, cache, pd.Series)]
    for module, name in (
        ("_table.readers", "read_dates"),
        ("_table.encoding", "DealtFolds"),
    ):
        names.copy(f"autoimb.{module}", name)
    assert not ruff("check", "--select", "I", code=names.imports() + "\n")
    assert used == ["StratifiedKFold", "clone", "cache", "pd.Series"]


def test_constants_that_are_copied_say_what_they_are():
    names = ScriptNames()
    names.copy("autoimb._metrics.calibration", "_with_logit")
    assert names.constants["_RAW_SHARE"].startswith(
        '_RAW_SHARE = 1e-6\n"""Share of the raw'
    )
    assert names.constants["_RAW_SHARE"].endswith('"""')
    assert "_SOFTENING" not in names.constants


@settings(max_examples=30)
@given(st.lists(nested(words | st.integers(), words), min_size=1, max_size=9))
def test_values_are_broken_into_lines_as_ruff_would(values):
    codes = [
        code_of(value, ScriptNames()) for value in [*values, *map(called_with, values)]
    ]
    lines = [layout(prefixed("name = ", code)) for code in codes]
    assert not ruff("format", "--diff", code="\n".join(lines) + "\n")


def test_a_plain_script_runs_where_there_is_no_autoimb(tmp_path):
    X, y = strange_table()
    model, schema, decision = strange_parts()
    code = prediction_script(model, schema, decision)
    (tmp_path / "chosen.py").write_text(code, encoding="utf-8")
    X.to_pickle(tmp_path / "X.pkl")
    np.save(tmp_path / "y.npy", y)
    use = textwrap.dedent(
        """
        import sys

        sys.modules["autoimb"] = None  # importing it fails
        import numpy as np, pandas as pd, chosen

        X, y = pd.read_pickle("X.pkl"), np.load("y.npy")
        np.save("proba.npy", chosen.predict_proba(chosen.fit(X, y), X))
        """
    )
    subprocess.run([sys.executable, "-c", use], cwd=tmp_path, check=True)
    proba = np.load(tmp_path / "proba.npy")
    np.testing.assert_allclose(proba, model.proba(schema.canonical(X)), atol=1e-6)


def test_a_model_that_was_saved_has_the_same_code(tmp_path):
    X, y = mixed()
    model = AutoImbalance(
        families=["xgboost", "logistic_regression"],
        n_trials=2,
        n_jobs=1,
        cv=2,
        random_state=0,
    ).fit(X, y)
    model.save(tmp_path / "model.skops")
    again = autoimb.load(tmp_path / "model.skops")
    assert again.export_code() == model.export_code()
