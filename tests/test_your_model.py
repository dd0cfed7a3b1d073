"""A model of the user's own: what reaches it, where samplers stand, what is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from catboost import CatBoostClassifier
from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from imblearn.under_sampling import RandomUnderSampler, TomekLinks
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags
from sklearn.utils._metadata_requests import METHODS
from tables import five_classes, numeric, space_of
from xgboost import XGBClassifier

import autoimb
from autoimb import (
    AutoImbalance,
    BadInputError,
    Categorical,
    Float,
    Int,
    LeftOutWarning,
)
from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.user_objects import entry_of_estimator
from autoimb._strategy.strategy import Strategy
from autoimb._table.table import check_table
from autoimb._table.weighted_fit import ClassWeighted, weight_keywords

FEW = {"n_estimators": 4}
QUICK = {"n_trials": 4, "cv": 2, "n_jobs": 1, "random_state": 0}


def built(model, X, y, *, sample_weight=None, **axes):
    """Return the unfitted pipeline of a user's model in a strategy."""
    family = entry_of_estimator(model, "mine", view=None)
    catalogue = CATALOGUE.with_entry("family", family)
    table = check_table(X, y).with_raw_rows(X)
    chosen = Strategy.of(catalogue, family="mine", **axes)
    return chosen.build(catalogue, table.schema, table.y, seed=0)


def around(model, X, y, *, weight=None, **params):
    """Return the fitted search around a user's model."""
    search = AutoImbalance(model or LogisticRegression(), **{**QUICK, **params})
    return search.fit(X, y, sample_weight=weight)


# --- class weights


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=3)),
        Pipeline([("a", make_pipeline(StandardScaler(), GaussianNB()))]),
        GaussianNB(),
        AdaBoostClassifier(**FEW),
        XGBClassifier(**FEW),
        LGBMClassifier(**FEW, verbose=-1),
        CatBoostClassifier(iterations=4, verbose=False, allow_writing_files=False),
        VotingClassifier(
            [("a", LogisticRegression()), ("b", RandomForestClassifier(**FEW))],
            voting="soft",
        ),
        BaggingClassifier(LogisticRegression(), **FEW),
        CalibratedClassifierCV(LinearSVC(), cv=2, ensemble=False),
    ],
    ids=(
        *("linear", "tree in a pipeline", "nested pipelines", "bayes", "adaboost"),
        *("xgboost", "lightgbm", "catboost", "vote", "bagging", "calibrated"),
    ),
)
def test_class_weights_reach_a_model_however_it_takes_them(model):
    """The rare class becomes more probable, and by as much as row weights do."""
    X, y = numeric()
    plain = built(model, X, y).fit(X, y).predict_proba(X)[:, 1]
    pipeline = built(model, X, y, class_weight="balanced").fit(X, y)
    weighted = pipeline.predict_proba(X)[:, 1]
    if not isinstance(model, CalibratedClassifierCV):  # which takes the weights back
        assert weighted.mean() > 1.1 * plain.mean()
    assert not np.allclose(weighted, plain)


@pytest.mark.parametrize(
    "model", [GaussianNB(), LogisticRegression(), DecisionTreeClassifier(max_depth=3)]
)
def test_class_weights_are_row_weights_of_the_classes(model):
    X, y = numeric()
    weight = np.where(y == 1, (y == 0).sum() / (y == 1).sum(), 1.0)
    by_hand = clone(model).fit(X, y, sample_weight=weight).predict_proba(X)
    pipeline = built(model, X, y, class_weight="balanced").fit(X, y)
    np.testing.assert_allclose(pipeline.predict_proba(X), by_hand, atol=1e-5)


def test_two_classes_of_xgboost_are_weighted_by_its_own_parameter():
    X, y = numeric()
    model = built(XGBClassifier(**FEW), X, y, class_weight="balanced")[-1]
    assert model.scale_pos_weight == pytest.approx((y == 0).sum() / (y == 1).sum())


def test_more_classes_of_xgboost_are_weighted_by_rows():
    X, y = five_classes()
    codes = check_table(X, y).y
    model = built(XGBClassifier(**FEW), X, y, class_weight="balanced")[-1]
    assert isinstance(model, ClassWeighted)
    plain = XGBClassifier(**FEW).fit(X, codes).predict_proba(X)
    rarest = np.bincount(codes).argmin()
    weighted = model.fit(X, codes).predict_proba(X)
    assert weighted[:, rarest].mean() > plain[:, rarest].mean()


def test_the_weights_are_those_of_the_last_step():
    X, y = numeric()
    select = SelectFromModel(LogisticRegression())
    model = make_pipeline(select, RandomForestClassifier(**FEW))
    chosen = built(model, X, y, class_weight="balanced")[-1]
    assert chosen[-1].class_weight == {0: 1.0, 1: 4.0}
    assert chosen[0].estimator.class_weight is None


@pytest.mark.parametrize("model", [KNeighborsClassifier(), LinearSVC()])
def test_a_model_is_offered_weights_only_if_it_takes_them(model):
    family = entry_of_estimator(model)
    takes = family.accepts(CATALOGUE.get("class_weight", "balanced"))
    assert takes == isinstance(model, LinearSVC)


def test_parts_that_are_fitted_on_other_labels_get_no_weights_by_code():
    parts = OneVsRestClassifier(LogisticRegression())
    assert entry_of_estimator(parts).weighting == "parameter"


# --- samplers


SAMPLED = ["smote", "tomek", "smote_tomek", "cluster_centroids", "rose", "enn"]


@pytest.mark.parametrize("resampler", SAMPLED)
@pytest.mark.parametrize("is_frame", [False, True], ids=["matrix", "frame"])
def test_units_change_nothing_about_what_a_sampler_does(resampler, is_frame):
    """Neighbours are those among scaled rows, and the model reads its own units."""
    X, y = numeric()
    units = 2.0 ** np.arange(X.shape[1]) * 1000
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    found = []
    for values in (X, X * units):
        rows = pd.DataFrame(values).add_prefix("x") if is_frame else values
        pipeline = built(tree, rows, y, resampler=resampler)
        new, _ = pipeline["resample"].fit_resample(rows, y)
        assert isinstance(new, pd.DataFrame) == is_frame
        found.append(np.asarray(new))
    np.testing.assert_allclose(found[1], found[0] * units, rtol=1e-9)


def test_the_rows_that_were_there_stay_as_they_were():
    X, y = numeric()
    new, _ = built(GaussianNB(), X, y, resampler="smote")["resample"].fit_resample(X, y)
    np.testing.assert_array_equal(new[: len(X)], X)


@pytest.mark.parametrize("resampler", ["smote", "random_under", "tomek"])
def test_a_sampler_stands_before_the_last_step_of_a_pipeline(resampler):
    X, y = numeric()
    model = make_pipeline(StandardScaler(), LogisticRegression())
    pipeline = built(model, X, y, resampler=resampler)
    assert list(pipeline.named_steps) == ["standardscaler", "resample", "model"]
    by_hand = make_imblearn_pipeline(
        StandardScaler(),
        clone(pipeline["resample"]),
        LogisticRegression(random_state=0),
    )
    np.testing.assert_allclose(
        pipeline.fit(X, y).predict_proba(X), by_hand.fit(X, y).predict_proba(X)
    )


def words(n=160, seed=0):
    """Return a frame with a column of text and one of numbers, and labels."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.2).astype(int)
    pool = np.array(["late", "broken", "fine", "good", "nice", "slow"])
    shares = {0: [0.1, 0.1, 0.25, 0.25, 0.2, 0.1], 1: [0.3, 0.3, 0.1, 0.1, 0.1, 0.1]}
    text = [" ".join(rng.choice(pool, 6, p=shares[label])) for label in y]
    return pd.DataFrame({"text": text, "age": rng.normal(40, 9, n)}), y


@pytest.mark.parametrize("resampler", ["smote", "smote_enn", "tomek", "near_miss_1"])
def test_samplers_work_with_pipelines_that_read_text(resampler):
    X, y = words()
    reads = make_column_transformer(
        (TfidfVectorizer(), "text"), (StandardScaler(), ["age"])
    )
    model = make_pipeline(reads, LogisticRegression())
    fit = around(model, X, y, resamplers=resampler, class_weights="none", n_trials=6)
    board = fit.leaderboard_
    assert set(board["status"]) <= {"complete", "dropped"}, board["reason"].tolist()
    assert resampler in set(board["resampler"])
    assert fit.predict_proba(X).shape == (len(X), 2)


def test_what_a_model_cannot_read_is_left_out_with_a_reason():
    X, y = words()
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), GaussianNB())
    space = space_of(X, y, family=entry_of_estimator(GaussianNB(), view=None))
    assert "smote" not in space.names["resampler"]
    piped = space_of(X, y, family=entry_of_estimator(model, view=None))
    assert {"smote", "tomek"} <= set(piped.names["resampler"])
    assert "random_under" in space.names["resampler"]


# --- what is inside already


@pytest.mark.parametrize(
    "model",
    [
        make_imblearn_pipeline(RandomOverSampler(), LogisticRegression()),
        make_imblearn_pipeline(StandardScaler(), SMOTE(), DecisionTreeClassifier()),
        BalancedRandomForestClassifier(**FEW),
        EasyEnsembleClassifier(n_estimators=2),
    ],
    ids=["random", "after a step", "forest", "ensemble"],
)
def test_nothing_is_put_on_top_of_a_sampler(model):
    X, y = numeric()
    space = space_of(X, y, family=entry_of_estimator(model, view=None))
    assert space.names["resampler"] in {("none", "own"), ("own",)}
    assert space.names["class_weight"] == ("none",)
    (first,) = space.first_trials(space.advise(autoimb.profile(X, y)))
    assert first.is_handled


@pytest.mark.parametrize(
    "sampler", [RandomOverSampler(), RandomUnderSampler(), SMOTE(), TomekLinks()]
)
def test_row_weights_are_refused_where_a_sampler_loses_them(sampler):
    X, y = numeric()
    model = make_imblearn_pipeline(sampler, LogisticRegression())
    name = type(sampler).__name__
    with pytest.raises(BadInputError, match=f"sampler {name}.*sample_weight"):
        around(model, X, y, weight=np.linspace(1, 2, len(y)))
    assert around(model, X, y, weight=np.ones(len(y))).best_score_ > 0


def test_a_model_without_weights_is_refused_where_rows_have_some():
    X, y = numeric()
    with pytest.raises(BadInputError, match="KNeighborsClassifier cannot take the giv"):
        around(KNeighborsClassifier(), X, y, weight=np.linspace(1, 2, len(y)))


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(class_weight="balanced"),
        make_pipeline(StandardScaler(), RandomForestClassifier(class_weight={0: 1})),
        XGBClassifier(scale_pos_weight=9, **FEW),
        LGBMClassifier(is_unbalance=True),
        CatBoostClassifier(auto_class_weights="Balanced"),
        BaggingClassifier(LinearSVC(class_weight="balanced")),
    ],
    ids=lambda model: str(type(model).__name__),
)
def test_a_model_that_is_weighted_already_is_said_to_be(model):
    X, y = numeric()
    space = space_of(X, y, family=entry_of_estimator(model, view=None))
    assert space.names["class_weight"] in {("own",), ("none", "own")}
    strategies = space.first_trials(space.advise(autoimb.profile(X, y)))
    assert all(strategy.is_handled for strategy in strategies)
    assert "its own class weights" in space.label(strategies[0])


@pytest.mark.parametrize(
    "model", [XGBClassifier(scale_pos_weight=1), LGBMClassifier(is_unbalance=False)]
)
def test_a_weight_of_one_is_none(model):
    assert entry_of_estimator(model).weighting == "model"


# --- first trials and names


@pytest.mark.parametrize(
    "model",
    [
        XGBClassifier(**FEW),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GaussianNB(),
    ],
    ids=["boosting", "pipeline", "bayes"],
)
def test_the_model_itself_comes_first_and_then_the_flowchart_s_advice(model):
    X, y = numeric(400, 30)
    space = space_of(X, y, family=entry_of_estimator(model, view=None))
    advice = space.advise(autoimb.profile(X, y))
    itself, *advised = space.first_trials(advice)
    assert not itself.is_handled
    assert [chosen.class_weight.name for chosen in advised] == ["balanced"] * 2
    assert set(advised) == set(advice.seeds)


def test_names_are_those_of_the_model():
    X, y = numeric()
    fit = around(make_pipeline(StandardScaler(), GaussianNB()), X, y, n_trials=2)
    assert set(fit.leaderboard_["family"]) == {"GaussianNB"}
    assert str(fit.best_strategy_).startswith("GaussianNB")
    assert "log_loss" not in str(fit.best_strategy_)
    assert "  GaussianNB with class weights" in str(fit.recommendation_)


# --- what cannot be had


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"resamplers": [SMOTE()]}, "SMOTE"),
        ({"resamplers": "smote"}, "smote"),
        ({"class_weights": "balanced"}, "balanced"),
        ({"losses": "focal"}, "focal"),
    ],
)
def test_what_was_asked_for_in_vain_is_a_warning_and_a_row(asked, name):
    X, y = numeric()
    model = make_imblearn_pipeline(
        RandomOverSampler(random_state=0), KNeighborsClassifier()
    )
    with pytest.warns(LeftOutWarning, match=f"{name} is left out, as it "):
        fit = around(model, X, y, **asked, n_trials=1)
    row = fit.leaderboard_.iloc[-1]
    assert row["status"] == "left out"
    assert name in row[["resampler", "class_weight", "loss"]].to_list()
    assert len(row["reason"]) > 20


def test_nothing_is_said_of_what_auto_leaves_out():
    X, y = numeric()
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeftOutWarning)
        fit = around(KNeighborsClassifier(), X, y, n_trials=1)
    assert not fit.leaderboard_["status"].eq("left out").any()


# --- what is no classifier


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ("xgboost", "estimator='xgboost' is a name.*families='xgboost'"),
        (XGBClassifier, r"is a class: give an instance, XGBClassifier\(\.\.\.\)"),
        (LinearRegression(), "is a regressor, LinearRegression"),
        (
            make_pipeline(StandardScaler(), RandomForestRegressor()),
            r"regressor, RandomForestRegressor.*such as RandomForestClassifier\(\)",
        ),
        (StandardScaler(), "cannot rank rows: StandardScaler has neither"),
        (SMOTE(), "SMOTE"),
        (
            VotingClassifier([("a", LogisticRegression())]),
            "VotingClassifier has neither.*voting='soft'",
        ),
        (42, "estimator=42 has no fit and no get_params"),
    ],
    ids=str,
)
def test_what_is_no_classifier_is_refused_before_anything_else(thing, message):
    with pytest.raises(BadInputError, match=message):
        AutoImbalance(thing).fit("no table", None)


def test_a_classifier_without_probabilities_is_none_to_refuse():
    X, y = numeric()
    assert around(Perceptron(), X, y, n_trials=1).best_score_ > 0


# --- its parameters


@pytest.mark.parametrize(
    ("model", "params", "first"),
    [
        (DecisionTreeClassifier(max_depth=3), {"max_depth": Int(2, 12)}, 3),
        (DecisionTreeClassifier(), {"max_depth": Int(2, 12)}, 7),
        (
            Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression(C=2.0))]),
            {"clf__C": Float(0.01, 100, log=True)},
            2.0,
        ),
        (
            Pipeline([("clf", LogisticRegression(C=500.0))]),
            {"clf__C": Float(0.01, 100, log=True)},
            1.0,
        ),
        (CatBoostClassifier(verbose=0), {"depth": Int(2, 6)}, 4),
        (RandomForestClassifier(), {"criterion": Categorical(("a", "gini"))}, "gini"),
        (RandomForestClassifier(), {"criterion": Categorical(("a", "b"))}, "a"),
        (RandomForestClassifier(), {"max_features": Categorical((0.5, None))}, None),
    ],
    ids=(
        *("its own", "the middle", "of a step", "outside", "not listed"),
        *("a choice", "first choice", "none"),
    ),
)
def test_its_own_value_is_tried_first_or_the_middle(model, params, first):
    family = entry_of_estimator(model, params=params)
    assert list(family.defaults().values()) == [first]


def test_what_is_tuned_is_saved_and_refitted(tmp_path):
    X, y = numeric()
    params = {
        "C": Float(0.1, 10, log=True),
        "max_iter": Int(50, 100),
        "fit_intercept": Categorical((True, False)),
    }
    fit = around(LogisticRegression(), X, y, search_params=params, n_trials=3)
    fit.save(tmp_path / "model.skops")
    again = autoimb.load(tmp_path / "model.skops")
    assert again.search_params == params
    np.testing.assert_array_equal(again.predict_proba(X), fit.predict_proba(X))
    np.testing.assert_allclose(
        again.refit(X, y).predict_proba(X), fit.predict_proba(X), atol=1e-9
    )


@pytest.mark.parametrize("is_weighted", [False, True], ids=["alike", "weights"])
@pytest.mark.parametrize("resampler", ["none", "random_under", "smote"])
@pytest.mark.parametrize(
    "model",
    [
        GaussianNB(),
        make_pipeline(StandardScaler(), GaussianNB()),
        DecisionTreeClassifier(max_depth=3),
    ],
    ids=["bayes", "pipeline", "tree"],
)
def test_files_and_scripts_hold_the_winner(model, resampler, is_weighted, tmp_path):
    """Whatever wins is saved, and written as code that fits and predicts the same."""
    X, y = numeric()
    if is_weighted and resampler == "smote":
        return
    weight = np.linspace(1, 2, len(y)) if is_weighted else None
    fit = around(model, X, y, weight=weight, resamplers=resampler)
    fit.save(tmp_path / "model.skops")
    loaded = autoimb.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(loaded.predict_proba(X), fit.predict_proba(X))
    script = {}
    exec(fit.export_code(), script)
    pipelines = script["fit"](X, y, *([weight] if is_weighted else []))
    found = script["predict_proba"](pipelines, X)
    np.testing.assert_allclose(found, fit.predict_proba(X), atol=1e-9)


def test_parameters_are_tuned_along():
    X, y = numeric()
    tree = Pipeline([("clf", DecisionTreeClassifier(max_depth=5))])
    fit = around(tree, X, y, search_params={"clf__max_depth": Int(2, 12)}, n_trials=8)
    depths = {
        t.params["family:DecisionTreeClassifier:clf__max_depth"]
        for t in fit.study_.trials
    }
    assert 5 in depths
    assert len(depths) > 2
    chosen = dict(fit.best_strategy_.family.params)["clf__max_depth"]
    model = fit.best_pipeline_["model"]
    model = model["clf"] if isinstance(model, Pipeline) else model
    assert model.max_depth == chosen


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"clf__max_dept": Int(2, 12)}, "Did you mean 'clf__max_depth'"),
        ({"clf__max_depth": (2, 12)}, "give an autoimb.Float, Int or Categorical"),
        ({"clf__max_depth": Int(0, 12, log=True)}, "log scale low must be above 0"),
    ],
)
def test_parameters_that_cannot_be_tuned_are_refused(params, message):
    tree = Pipeline([("clf", DecisionTreeClassifier())])
    with pytest.raises(BadInputError, match=message):
        AutoImbalance(tree, search_params=params).fit("no table", None)
    with pytest.raises(BadInputError, match="there is no estimator"):
        AutoImbalance(search_params=params).fit("no table", None)


# --- metadata routing


def weighing(request_scaler=False, request_last=True):
    """Return a pipeline whose steps say which of them take row weights."""
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=request_scaler)
        last = LogisticRegression().set_fit_request(sample_weight=request_last)
    return make_pipeline(scaler, last)


@pytest.mark.parametrize("scaler", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_row_weights_go_to_the_steps_that_request_them(scaler, last):
    wanted = ["standardscaler__sample_weight"] * scaler
    wanted += ["logisticregression__sample_weight"] * last
    assert weight_keywords(weighing(scaler, last)) == wanted


@pytest.mark.parametrize("resampler", ["none", "random_under"])
def test_metadata_routing_changes_nothing_inside(resampler):
    X, y = numeric()
    weight = np.random.default_rng(0).uniform(1, 2, len(y))
    params = {"weight": weight, "resamplers": resampler, "n_trials": 3}
    plain = make_pipeline(StandardScaler(), LogisticRegression())
    wanted = around(plain, X, y, **params)
    with sklearn.config_context(enable_metadata_routing=True):
        seen = around(weighing(), X, y, **params)
    assert seen.best_score_ == wanted.best_score_
    np.testing.assert_array_equal(seen.predict_proba(X), wanted.predict_proba(X))


PIPED = Pipeline([("scale", StandardScaler()), ("last", LogisticRegression())])


def routed(model=None, **requests):
    """Return a quick search that requests what a tool passes on."""
    model = LogisticRegression() if model is None else model
    search = AutoImbalance(model, **{**QUICK, "n_trials": 1})
    return search.set_fit_request(**dict.fromkeys(requests, True))


def metadata(y):
    """Return row weights, groups and costs of rows."""
    rng = np.random.default_rng(0)
    costs = np.column_stack([5.0 * y, 1.0 - y])
    return {
        "sample_weight": rng.uniform(1, 2, len(y)),
        "groups": np.arange(len(y)) // 2,
        "costs": costs,
    }


@pytest.mark.parametrize("model", [LogisticRegression(), PIPED], ids=["model", "steps"])
@pytest.mark.parametrize(
    "tool", ["pipeline", "cross_validate", "grid search", "grid search by groups"]
)
def test_tools_of_scikit_learn_pass_on_weights_groups_and_costs(tool, model):
    X, y = numeric()
    given = metadata(y)
    with sklearn.config_context(enable_metadata_routing=True):
        search = routed(model, **given).set_score_request(sample_weight=True)
        if tool == "pipeline":
            outer = make_pipeline(StandardScaler(), search)
            outer[0].set_fit_request(sample_weight=False)
            fitted = outer.fit(X, y, **given)[-1]
        elif tool == "cross_validate":
            found = cross_validate(
                search, X, y, cv=2, params=given, return_estimator=True
            )
            fitted = found["estimator"][0]
        else:
            name = "estimator__C" if model is not PIPED else "estimator__last__C"
            cv = GroupKFold(2) if "groups" in tool else 2
            grid = {name: [0.1, 1.0]}
            outer = GridSearchCV(search, grid, cv=cv, error_score="raise")
            fitted = outer.fit(X, y, **given).best_estimator_
    assert fitted._decision.needs_costs
    assert fitted._row_arguments == (("sample_weight", "groups", "costs"),)


def test_each_row_keeps_its_metadata_in_a_cross_validation():
    X, y = numeric()
    given = metadata(y)
    with sklearn.config_context(enable_metadata_routing=True):
        search = routed(**given).set_score_request(sample_weight=True)
        found = cross_validate(
            search,
            X,
            y,
            cv=2,
            params=given,
            return_estimator=True,
            return_indices=True,
        )
    for fitted, rows in zip(found["estimator"], found["indices"]["train"], strict=True):
        own = {name: values[rows] for name, values in given.items()}
        alone = AutoImbalance(LogisticRegression(), **{**QUICK, "n_trials": 1})
        alone.fit(X[rows], y[rows], **own)
        np.testing.assert_array_equal(fitted.predict(X), alone.predict(X))
        np.testing.assert_array_equal(fitted.oof_proba_, alone.oof_proba_)


def test_refit_has_no_request_since_scikit_learn_knows_no_such_method():
    """Once it does, the guide must say so."""
    assert "refit" not in METHODS
    with sklearn.config_context(enable_metadata_routing=True):
        assert not hasattr(AutoImbalance(), "set_refit_request")
        assert hasattr(AutoImbalance(), "set_fit_request")


# --- tags


@pytest.mark.parametrize(
    "model",
    [
        None,
        LogisticRegression(),
        make_pipeline(StandardScaler(), GaussianNB()),
        RandomForestClassifier(),
        make_pipeline(TfidfVectorizer(), LogisticRegression()),
    ],
    ids=["none", "linear", "pipeline", "forest", "text"],
)
def test_tags_follow_the_model(model):
    tags = get_tags(AutoImbalance(model))
    if model is None:
        assert tags.input_tags.allow_nan
        assert tags.input_tags.string
        assert tags.input_tags.sparse
        return
    of_model = get_tags(model).input_tags
    for name in ("allow_nan", "string", "categorical", "positive_only", "sparse"):
        assert getattr(tags.input_tags, name) == getattr(of_model, name), name


@pytest.mark.parametrize("thing", ["xgboost", XGBClassifier, 42])
def test_tags_of_what_is_no_estimator_are_no_error(thing):
    assert get_tags(AutoImbalance(thing)).estimator_type == "classifier"
