"""A user's own entries join the catalogue, compete, and never shadow a built-in one."""

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from numpydoc.validate import validate
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from tables import numeric

import autoimb
from autoimb import AutoImbalance, Categorical, Float, Int
from autoimb._catalogue import CATALOGUE
from autoimb._strategy.strategy import Strategy
from autoimb.exceptions import BadInputError
from autoimb.testing import EntryContract

SMOOTHING = {"var_smoothing": Float(1e-10, 1e-1, default=1e-9, log=True)}


class FirstRows(BaseEstimator):
    """A resampler that keeps so many rows of each class, without weights' loss."""

    def __init__(self, n_kept=10):
        self.n_kept = n_kept

    def fit_resample(self, X, y):
        kept = [np.flatnonzero(y == c)[: self.n_kept] for c in np.unique(y)]
        self.sample_indices_ = np.concatenate(kept)
        return X[self.sample_indices_], y[self.sample_indices_]


def brier(logits, codes, *, prior, class_weight, sample_weight, power=2.0):
    wrong = (
        (logits.sigmoid() - codes).abs()
        if logits.ndim == 1
        else 1 - (logits.softmax(dim=1)[range(len(codes)), codes])
    )
    return wrong**power


def squared(margins, codes, *, prior, scale=1.0):
    p = 1 / (1 + np.exp(-margins))
    if margins.ndim == 2:
        codes = np.eye(margins.shape[1])[codes]
    return scale * (p - codes), scale * np.maximum(p * (1 - p), 1e-6)


def register_all():
    autoimb.register_family("mine_nb", GaussianNB(), params=SMOOTHING)
    autoimb.register_resampler(
        "mine_rows", FirstRows(), params={"n_kept": Int(5, 40, default=20)}
    )
    autoimb.register_loss(
        "mine_brier",
        torch=brier,
        xgboost=squared,
        label="Brier loss",
    )


class TestOwnEntry(EntryContract):
    @pytest.fixture(
        params=[
            ("family", "mine_nb"),
            ("resampler", "mine_rows"),
            ("loss", "mine_brier"),
        ],
        ids=":".join,
    )
    def entry(self, request):
        register_all()
        return request.param


class Unsure(GaussianNB):
    """A model whose probabilities do not add up to one."""

    def predict_proba(self, X):
        return super().predict_proba(X) / 2


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (("family", "other"), "no family 'other' is registered"),
        (("model", "unsure"), "'model' is not an axis"),
    ],
)
def test_the_contract_names_what_is_not_registered(entry, message):
    with pytest.raises(AssertionError, match=message):
        EntryContract().test_it_is_registered_and_has_a_label(entry)


def test_the_contract_catches_wrong_probabilities():
    autoimb.register_family("unsure", Unsure())
    check = EntryContract().test_it_fits_as_its_pipeline_does_or_says_why_not
    with pytest.raises(AssertionError, match=r"Unsure sum to 0\.5 in a row"):
        check(("family", "unsure"), "numeric")


def test_the_contract_is_documented():
    codes = {"GL08", "SS03", "PR01", "PR02", "RT01", "RT03", "YD01"}
    errors = validate("autoimb.testing.EntryContract")["errors"]
    assert not [message for code, message in errors if code in codes]


def fitted(**options):
    X, y = numeric()
    fixed = {"cv": 2, "n_jobs": 1, "random_state": 0, "n_trials": 8}
    return AutoImbalance(**{**fixed, **options}).fit(X, y)


def test_registered_entries_compete_and_are_tuned():
    register_all()
    model = fitted(
        families=["mine_nb", "xgboost"],
        resamplers="mine_rows",
        losses="mine_brier",
        class_weights="none",
    )
    board = model.leaderboard_
    assert (board["status"] == "complete").all(), board["reason"].tolist()
    assert {"mine_nb", "xgboost"} == set(board["family"])
    assert "mine_rows" in set(board["resampler"])
    assert "mine_brier" in set(board["loss"])
    kept = [
        t.params["resampler:mine_rows:n_kept"]
        for t in model.study_.trials
        if "resampler:mine_rows:n_kept" in t.params
    ]
    assert all(5 <= n <= 40 for n in kept)


def test_registered_entries_travel_to_workers():
    register_all()
    options = {
        "families": ["mine_nb", "xgboost"],
        "resamplers": "mine_rows",
        "losses": "mine_brier",
    }
    here, there = fitted(**options, n_jobs=1), fitted(**options, n_jobs=2)
    np.testing.assert_allclose(
        here.leaderboard_["mean"], there.leaderboard_["mean"], atol=1e-6
    )


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_a_loss_of_ones_own_is_what_is_minimised(weights):
    register_all()
    X, y = numeric()
    scores = [
        Strategy.of(CATALOGUE, family="xgboost", loss=loss, class_weight=weights)
        .build(CATALOGUE, autoimb._table.table.check_table(X, y).schema, y, seed=0)
        .fit(X, y)
        .predict_proba(X)[:, 1]
        for loss in ("log_loss", "mine_brier")
    ]
    # The made-up gradient is that of log loss: so are the predictions, but for the
    # start that XGBoost estimates by itself.
    assert np.corrcoef(scores)[0, 1] > 0.95


def test_a_name_of_ones_own_may_be_registered_again():
    autoimb.register_family("mine", GaussianNB(), label="first")
    autoimb.register_family("mine", GaussianNB(), label="second")
    assert CATALOGUE.get("family", "mine").label == "second"


def test_limits_become_reasons():
    autoimb.register_family("mine", GaussianNB(), max_rows=50)
    table = autoimb.catalogue(autoimb.profile(*numeric()))
    found = table.set_index("name").loc["mine"]
    assert not found["fits"]
    assert found["reason"] == "is too slow above 50 rows"


def test_a_class_weight_that_is_open_is_searched():
    autoimb.register_family("tree", DecisionTreeClassifier(max_depth=2))
    chosen = Strategy.of(CATALOGUE, family="tree", class_weight="balanced")
    X, y = numeric()
    pipeline = chosen.build(
        CATALOGUE, autoimb._table.table.check_table(X, y).schema, y, seed=7
    )
    assert pipeline["model"].class_weight == {0: 1.0, 1: 4.0}
    assert pipeline["model"].random_state == 7


def test_a_model_without_probabilities_is_scored_by_its_decisions():
    autoimb.register_family("ridge", RidgeClassifier())
    assert fitted(families="ridge", n_trials=2).best_score_ > 0.3


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (
            lambda: autoimb.register_family("xgboost", GaussianNB()),
            "'xgboost' is the name of a built-in family: choose another",
        ),
        (
            lambda: autoimb.register_family("mine", GaussianNB),
            r"GaussianNB is a class: give an instance, GaussianNB\(\.\.\.\)",
        ),
        (
            lambda: autoimb.register_family(
                "mine", GaussianNB(), params={"var_smoothin": Float(0, 1, 0)}
            ),
            "parameter 'var_smoothin' of GaussianNB is not known. Did you mean",
        ),
        (
            lambda: autoimb.register_family(
                "mine", GaussianNB(), params={"var_smoothing": (0, 1)}
            ),
            r"is \(0, 1\): give an autoimb.Float, Int or Categorical",
        ),
        (
            lambda: autoimb.register_family(
                "mine", GaussianNB(), params={"var_smoothing": Float(0, 1, 2)}
            ),
            "its default is outside",
        ),
        (
            lambda: autoimb.register_family(
                "mine",
                GaussianNB(),
                params={"var_smoothing": Float(0, 1, 0.5, log=True)},
            ),
            "on a log scale low must be above 0",
        ),
        (
            lambda: autoimb.register_family(
                "mine", GaussianNB(), portfolio=({"var_smoothing": 0.1},)
            ),
            "which params does not allow: var_smoothing is not among them",
        ),
        (
            lambda: autoimb.register_family(
                "mine",
                GaussianNB(),
                params=SMOOTHING,
                portfolio=({"var_smoothing": 9},),
            ),
            "portfolio sets var_smoothing=9, which params does not allow",
        ),
        (
            lambda: autoimb.register_family("mine", GaussianNB(), reads="text"),
            "reads='text' is not one of",
        ),
        (
            lambda: autoimb.register_resampler("mine", GaussianNB()),
            "has no fit_resample",
        ),
        (
            lambda: autoimb.register_resampler("smote", SMOTE()),
            "built-in resampler",
        ),
        (lambda: autoimb.register_resampler("a:b", SMOTE()), "holds a colon"),
        (
            lambda: autoimb.register_loss("mine"),
            "needs a function as torch=, as xgboost=, or both",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_way_out(register, message):
    with pytest.raises(BadInputError, match=message):
        register()


def test_choices_of_a_parameter_are_all_tried():
    kinds = Categorical((1, 3, 5), default=5)
    autoimb.register_resampler("k", SMOTE(), params={"k_neighbors": kinds})
    model = fitted(families="logistic_regression", resamplers="k", n_trials=25)
    tried = {
        t.params["resampler:k:k_neighbors"]
        for t in model.study_.trials
        if "resampler:k:k_neighbors" in t.params
    }
    assert tried == {1, 3, 5}


def test_a_model_that_reads_as_given_finds_columns_of_numbers_by_name():
    X, y = numeric(n=120)
    frame = pd.DataFrame(X).add_prefix("column_")
    by_name = make_column_transformer(("passthrough", ["column_0", "column_1"]))
    model = make_pipeline(by_name, GaussianNB())
    autoimb.register_family("named", model, reads="as given")
    fit = AutoImbalance(
        families="named", resamplers="tomek", n_trials=6, n_jobs=1, random_state=0
    )
    assert not fit.fit(frame, y).leaderboard_["status"].eq("failed").any()
    assert fit.predict_proba(frame).shape == (120, 2)
