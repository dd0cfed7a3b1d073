"""`AutoImbalance` inside other estimators and around them.

The subjects are those of scikit-learn's and imbalanced-learn's own tests of
meta-estimators and pipelines.
"""

import numpy as np
import pandas as pd
import pytest
from imblearn import FunctionSampler
from imblearn.ensemble import (
    BalancedBaggingClassifier,
    EasyEnsembleClassifier,
    RUSBoostClassifier,
)
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from imblearn.under_sampling import InstanceHardnessThreshold, RandomUnderSampler
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    learning_curve,
)
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tests.metadata_routing_common import NonConsumingClassifier
from sklearn.utils.validation import check_is_fitted
from tables import five_classes

from autoimb import AutoImbalance, BadInputError

CHEAP = {"n_trials": 2, "cv": 2, "n_jobs": 1, "random_state": 0}


def search(estimator=None, **changes):
    """Return a cheap search, around an estimator if one is given."""
    families = {} if estimator is not None else {"families": "logistic_regression"}
    return AutoImbalance(estimator, **{**CHEAP, **families, **changes})


def linear(**params):
    """Return a pipeline of two steps."""
    return make_pipeline(StandardScaler(), LogisticRegression(**params))


@pytest.fixture(scope="module")
def table():
    X, codes = make_classification(
        160, 4, n_redundant=0, weights=[0.8], class_sep=1.5, random_state=1
    )
    return pd.DataFrame(X, columns=[*"abcd"]), np.where(codes, "rare", "usual")


@pytest.fixture(scope="module")
def alone(table):
    return search().fit(*table)


def chance_of_rare(model, X):
    """Return the probability of the rare class."""
    return model.predict_proba(X)[:, list(model.classes_).index("rare")]


# --- inside

TOOLS = {
    "pipeline": lambda of: make_pipeline(StandardScaler(), of),
    "columns": lambda of: make_pipeline(
        make_column_transformer(
            (StandardScaler(), ["b", "a"]), remainder="passthrough"
        ).set_output(transform="pandas"),
        of,
    ),
    "grid search": lambda of: GridSearchCV(of, {"threshold": ["f1", None]}, cv=2),
    "random search": lambda of: RandomizedSearchCV(
        of, {"calibrate": [True, False]}, n_iter=1, cv=2, random_state=0
    ),
    "calibration": lambda of: CalibratedClassifierCV(of, cv=2),
    "one calibration": lambda of: CalibratedClassifierCV(of, cv=2, ensemble=False),
    "stack": lambda of: StackingClassifier([("of", of), ("b", GaussianNB())], cv=2),
    "vote": lambda of: VotingClassifier(
        [("of", of), ("b", GaussianNB())], voting="soft"
    ),
    "bagging": lambda of: BaggingClassifier(
        of, n_estimators=2, max_features=0.75, random_state=0
    ),
    "adaboost": lambda of: AdaBoostClassifier(of, n_estimators=2, random_state=0),
    "one versus rest": OneVsRestClassifier,
    "fixed threshold": FixedThresholdClassifier,
    "tuned threshold": lambda of: TunedThresholdClassifierCV(of, cv=2),
    "balanced bagging": lambda of: BalancedBaggingClassifier(
        of, n_estimators=2, random_state=0
    ),
    "boosting": lambda of: RUSBoostClassifier(of, n_estimators=2, random_state=0),
    "sampler": lambda of: make_imblearn_pipeline(RandomUnderSampler(), of),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_inside_a_tool_it_ranks_rows_and_answers_in_the_labels_of_y(tool, table):
    X, y = table
    prototype = search()
    outer = TOOLS[tool](prototype).fit(X, y)
    assert set(outer.predict(X)) == {"rare", "usual"}
    np.testing.assert_allclose(outer.predict_proba(X).sum(axis=1), 1.0)
    assert roc_auc_score(y == "rare", chance_of_rare(outer, X)) > 0.8
    if not isinstance(outer, Pipeline):  # pipelines fit their steps themselves
        with pytest.raises(NotFittedError):
            check_is_fitted(prototype)


@pytest.mark.parametrize(
    "tool",
    [
        lambda of: make_pipeline("passthrough", of),
        lambda of: make_imblearn_pipeline(FunctionSampler(), of),
        lambda of: GridSearchCV(of, {"n_trials": [2]}, cv=2),
        lambda of: VotingClassifier([("of", of)], voting="soft"),
        FixedThresholdClassifier,
        OneVsRestClassifier,
    ],
    ids=("pipeline", "sampler", "grid search", "vote", "threshold", "one versus rest"),
)
def test_a_tool_that_changes_nothing_changes_nothing(tool, table, alone):
    X, y = table
    outer = tool(search()).fit(X, y)
    np.testing.assert_allclose(
        chance_of_rare(outer, X), chance_of_rare(alone, X), rtol=1e-12
    )


@pytest.mark.parametrize("sampler", [RandomUnderSampler, SMOTE])
def test_a_sampler_before_it_is_a_fit_on_the_rows_it_makes(sampler, table):
    X, y = table
    outer = make_imblearn_pipeline(sampler(random_state=0), search()).fit(X, y)
    by_hand = search().fit(*sampler(random_state=0).fit_resample(X, y))
    np.testing.assert_array_equal(outer.predict_proba(X), by_hand.predict_proba(X))
    np.testing.assert_array_equal(outer.predict(X), by_hand.predict(X))


@pytest.mark.parametrize(
    "tool",
    [
        OneVsRestClassifier,
        pytest.param(OneVsOneClassifier, marks=pytest.mark.slow),
        lambda of: OutputCodeClassifier(of, code_size=0.6, random_state=0),
    ],
    ids=("one versus rest", "one versus one", "codes"),
)
def test_more_classes_are_taken_apart_around_it(tool):
    X, y = five_classes()
    outer = tool(search()).fit(X, y)
    assert np.mean(outer.predict(X) == y) > np.max(np.bincount(y)) / len(y)
    assert any(isinstance(part, AutoImbalance) for part in outer.estimators_)


@pytest.mark.parametrize("tool", [MultiOutputClassifier, ClassifierChain])
def test_several_targets_are_a_model_each(tool, table):
    X, y = table
    other = X["a"] + np.random.default_rng(0).normal(size=len(y))
    both = np.column_stack([y == "rare", other > other.quantile(0.7)]).astype(int)
    outer = tool(search()).fit(X, both)
    assert outer.predict(X).shape == both.shape
    assert (outer.predict(X) == both).mean() > 0.75


def test_rows_without_labels_get_some_from_it(table):
    X, y = table
    codes = (y == "rare").astype(int)
    hidden = np.random.default_rng(0).random(len(y)) < 0.3
    outer = SelfTrainingClassifier(search(), max_iter=1)
    outer.fit(X.to_numpy(), np.where(hidden, -1, codes))
    found = outer.transduction_[hidden]
    assert set(found) >= {0, 1}
    assert np.mean(found[found >= 0] == codes[hidden][found >= 0]) > 0.9


def test_frozen_it_is_not_fitted_again(table, alone, monkeypatch):
    X, y = table
    before = alone.predict_proba(X)

    def fit(*_, **__):
        raise AssertionError("fitted again")

    monkeypatch.setattr(AutoImbalance, "fit", fit)
    frozen = clone(FrozenEstimator(alone)).fit(X, y)
    np.testing.assert_array_equal(frozen.predict_proba(X), before)
    outer = CalibratedClassifierCV(FrozenEstimator(alone), method="sigmoid").fit(X, y)
    assert roc_auc_score(y, outer.predict_proba(X)[:, 1]) == roc_auc_score(
        y, before[:, 1]
    )


@pytest.mark.slow
def test_columns_are_selected_by_it(table):
    X, y = table
    outer = SequentialFeatureSelector(search(), n_features_to_select=2, cv=2)
    assert {*outer.fit(X, y).get_feature_names_out()} < {*"abcd"}

    def weights(model):
        return np.abs(model.best_pipeline_[-1].coef_)

    outer = RFE(search(), n_features_to_select=3, importance_getter=weights)
    assert outer.fit(X, y).n_features_ == 3


def test_tools_that_look_at_a_fitted_model_take_it(table, alone):
    X, y = table
    found = permutation_importance(alone, X, y, n_repeats=2, random_state=0)
    assert found.importances_mean.max() > 0.05
    dependence = partial_dependence(alone, X, ["a"], grid_resolution=5)
    assert dependence["average"].shape == (1, 5)


def test_tools_that_fit_it_on_parts_of_the_rows_take_it(table):
    X, y = table
    proba = cross_val_predict(search(), X, y, cv=2, method="predict_proba")
    assert roc_auc_score(y, proba[:, 1]) > 0.8
    sizes, _, scores = learning_curve(
        search(), X, y, cv=2, train_sizes=[0.6, 1.0], shuffle=True, random_state=0
    )
    assert len(sizes) == 2
    assert np.isfinite(scores).all()


def test_rows_that_are_hard_for_it_are_taken_out(table):
    X, y = table
    is_rare = (y == "rare").astype(int)  # it takes codes only
    sampler = InstanceHardnessThreshold(estimator=search(), cv=2, random_state=0)
    _, kept = sampler.fit_resample(X, is_rare)
    assert np.sum(kept) == np.sum(is_rare)
    assert len(kept) < len(y)


# --- around

MODELS = {
    "linear": LogisticRegression(),
    "pipeline": linear(),
    "columns": make_pipeline(
        make_column_transformer((StandardScaler(), ["b", "a"]), remainder="drop"),
        LogisticRegression(),
    ),
    "grid search": GridSearchCV(linear(), {"logisticregression__C": [0.1, 1]}, cv=2),
    "calibration": CalibratedClassifierCV(linear(), cv=2),
    "stack": StackingClassifier([("a", linear()), ("b", GaussianNB())], cv=2),
    "vote": VotingClassifier([("a", linear()), ("b", GaussianNB())], voting="soft"),
    "bagging": BaggingClassifier(linear(), n_estimators=2),
    "self-training": SelfTrainingClassifier(linear()),
    "one versus rest": OneVsRestClassifier(linear()),
    "fixed threshold": FixedThresholdClassifier(linear()),
    "tuned threshold": TunedThresholdClassifierCV(linear(), cv=2),
    "sampler": make_imblearn_pipeline(SMOTE(), linear()),
    "sampler within": Pipeline(
        [("a", StandardScaler()), ("b", make_imblearn_pipeline(SMOTE(), GaussianNB()))]
    ),
    "no sampler": make_imblearn_pipeline("passthrough", GaussianNB()),
    "easy ensemble": EasyEnsembleClassifier(n_estimators=2),
    "itself": search(linear(), n_trials=1),
}


SLOW = {"itself", "tuned threshold"}


@pytest.mark.parametrize(
    "model",
    [pytest.param(m, marks=[pytest.mark.slow] if m in SLOW else []) for m in MODELS],
)
def test_around_a_model_it_ranks_rows_and_leaves_the_model_alone(model, table):
    X, y = table
    prototype = clone(MODELS[model])
    before = repr(prototype.get_params())
    outer = search(prototype).fit(X, y)
    assert set(outer.predict(X)) == {"rare", "usual"}
    assert roc_auc_score(y == "rare", chance_of_rare(outer, X)) > 0.8
    assert (outer.leaderboard_["status"] == "complete").any()
    assert repr(prototype.get_params()) == before
    with pytest.raises(NotFittedError):
        check_is_fitted(prototype)


def test_parameters_reach_down_to_the_steps_of_what_it_wraps(table):
    X, y = table
    outer = search(linear(), n_trials=1, ensemble_size=1)
    weak = clone(outer).set_params(estimator__logisticregression__C=1e-4)
    assert weak.get_params()["estimator__logisticregression__C"] == 1e-4
    assert outer.get_params()["estimator__logisticregression__C"] == 1.0
    small, large = (
        np.abs(model.fit(X, y).best_pipeline_[-1][-1].coef_).max()
        for model in (weak, outer)
    )
    assert small < large / 10
    grid = {"estimator__logisticregression__C": [1e-4, 1.0]}
    found = GridSearchCV(outer, grid, cv=2).fit(X, y)
    best = found.best_params_["estimator__logisticregression__C"]
    assert (
        found.best_estimator_.get_params()["estimator__logisticregression__C"] == best
    )


def test_a_clone_has_a_copy_of_what_it_wraps():
    outer = search(linear(C=0.5))
    other = clone(outer)
    assert other.estimator is not outer.estimator
    assert repr(other) == repr(outer)
    other.set_params(estimator__standardscaler=None)
    assert outer.estimator[0] is not None


def test_parameters_that_nothing_has_are_named():
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        search(linear()).set_params(estimator__depth=2)
    with pytest.raises(ValueError, match="Invalid parameter 'trials'"):
        search().set_params(trials=2)


# --- what is delegated

METHODS = {
    "predict": 1,
    "predict_proba": 1,
    "score": 2,
    "report": 0,
    "refit": 2,
    "export_code": 0,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [None, linear()], ids=["alone", "around"])
def test_before_fit_every_method_says_that_it_is_not_fitted(model, method, table):
    with pytest.raises(NotFittedError, match="AutoImbalance instance is not fitted"):
        getattr(search(model), method)(*table[: METHODS[method]])


def without(*methods):
    """Return a model that lacks methods."""

    def hidden(self):
        raise AttributeError("hidden")

    held = {method: property(hidden) for method in methods}
    return type("Without", (NonConsumingClassifier,), held)()


@pytest.mark.parametrize("hidden", ["predict_proba", "decision_function"])
def test_either_way_to_rank_rows_is_enough(hidden, table):
    outer = search(without(hidden)).fit(*table)
    assert outer.predict_proba(table[0]).shape == (160, 2)
    assert not hasattr(outer, "decision_function")


def test_a_model_with_no_way_to_rank_rows_is_refused(table):
    with pytest.raises(BadInputError, match="neither predict_proba nor decision_f"):
        search(without("predict_proba", "decision_function")).fit(*table)


def test_columns_are_counted_and_named_as_the_table_has_them(table):
    X, y = table
    for model in (None, linear()):
        outer = search(model, n_trials=1)
        assert not hasattr(outer, "n_features_in_")
        outer.fit(X, y)
        assert (outer.n_features_in_, [*outer.feature_names_in_]) == (4, [*"abcd"])
        outer.fit(X.to_numpy(), y)
        assert outer.n_features_in_ == 4
        assert not hasattr(outer, "feature_names_in_")
