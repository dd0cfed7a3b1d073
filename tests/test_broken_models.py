"""A broken model or scorer of the user's costs its candidates, and not the fit."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from tables import BROKEN, DIAL, Dial, five_classes, numeric

from autoimb import AutoImbalance, NoCandidateError
from autoimb._evaluate.fit_predict import predict_codes
from autoimb._strategy.strategy import Pipeline
from autoimb.exceptions import BadInputError, RefitFailedWarning

X, Y = numeric(120, 30)
N_NEW = 7  # rows to predict: no fold has so few


class Wrong(LogisticRegression):
    """A model whose probabilities are wrong: always, after a refit, or on new rows.

    It knows by the numbers of rows which of these it is.
    """

    def __init__(self, how="few", where="always"):
        super().__init__()
        self.how, self.where = how, where

    def fit(self, X, y, sample_weight=None):
        self.n_fitted_ = len(X)
        return super().fit(X, y)

    def predict_proba(self, X):
        proba = super().predict_proba(X)
        is_wrong = {
            "always": True,
            "refit": self.n_fitted_ == len(Y),
            "predict": len(X) == N_NEW,
        }
        return FAULTS[self.how][0](proba) if is_wrong[self.where] else proba


def with_nan(proba):
    proba[0] = np.nan
    return proba


FAULTS = {
    "few": (lambda proba: proba[:-1], "have the shape"),
    "many": (lambda proba: np.vstack([proba, proba]), "have the shape"),
    "one column": (lambda proba: proba[:, 1:], "have the shape"),
    "one dimension": (lambda proba: proba[:, 1], "have the shape"),
    "a column too many": (lambda proba: proba @ np.ones((2, 3)) / 3, "have the shape"),
    "nothing": (lambda proba: None, "have the shape"),
    "outside": (lambda proba: 3 * proba - 1, "reach from"),
    "nan": (with_nan, "are not all finite"),
    "sums of 0.7": (lambda proba: 0.7 * proba, "sum to 0.7"),
    "sums of 0": (lambda proba: 0 * proba, "sum to 0"),
}


def quick(estimator, **options):
    settings = {"n_trials": 1, "cv": 3, "ensemble_size": 1, "n_jobs": 1}
    plain = {"resamplers": "none", "class_weights": "none", "random_state": 0}
    return AutoImbalance(estimator, **{**settings, **plain, **options})


@pytest.mark.parametrize("how", FAULTS)
def test_in_the_search_the_candidate_fails_with_a_reason(how):
    with pytest.raises(NoCandidateError, match=f"the scores of Wrong {FAULTS[how][1]}"):
        quick(Wrong(how)).fit(X, Y)


@pytest.mark.parametrize("how", ["few", "one column", "outside", "nan", "sums of 0.7"])
def test_after_a_refit_the_fold_models_predict(how):
    with pytest.warns(RefitFailedWarning, match=f"Wrong {FAULTS[how][1]}"):
        model = quick(Wrong(how, "refit")).fit(X, Y)
    proba = model.predict_proba(X[:N_NEW])
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)


@pytest.mark.parametrize("how", ["few", "one column", "outside", "nan", "sums of 0.7"])
def test_in_a_prediction_it_is_an_error_in_words(how):
    model = quick(Wrong(how, "predict")).fit(X, Y)
    with pytest.raises(BadInputError, match=f"the scores of Wrong {FAULTS[how][1]}"):
        model.predict_proba(X[:N_NEW])
    assert len(model.predict(X)) == len(X)


def test_single_precision_is_no_fault():
    class Single(Dial):
        def predict_proba(self, X):
            return super().predict_proba(X).astype(np.float32) * np.float32(1 + 1e-6)

    pipeline = Pipeline([("model", Single().fit(X, Y))])
    proba = predict_codes(pipeline, X, 2)
    assert proba.max() <= 1.0
    np.testing.assert_allclose(proba, Dial().predict_proba(X), atol=1e-5)


def test_columns_follow_the_classes_of_the_model():
    """Its classes may stand in any order, and it may not have seen all of them."""

    class Reversed(LogisticRegression):
        def fit(self, X, y):
            super().fit(X, y)
            self.plain_classes_, self.classes_ = self.classes_, self.classes_[::-1]
            return self

        def predict_proba(self, X):
            shown, self.classes_ = self.classes_, self.plain_classes_
            proba = super().predict_proba(X)[:, ::-1]
            self.classes_ = shown
            return proba

    rows, y = five_classes()
    plain = Pipeline([("model", LogisticRegression().fit(rows, y))])
    other = Pipeline([("model", Reversed().fit(rows, y))])
    np.testing.assert_array_equal(
        predict_codes(other, rows, 5), predict_codes(plain, rows, 5)
    )
    with pytest.raises(BadInputError, match=r"classes \[4, 3, 2, 1, 0\].* 0 to 3"):
        predict_codes(other, rows, 4)


# --- sys.exit


class Exits(LogisticRegression):
    """A model that ends the process it runs in: always, or on all rows."""

    def __init__(self, where="always"):
        super().__init__()
        self.where = where

    def fit(self, X, y, sample_weight=None):
        if self.where == "always" or len(X) == len(Y):
            sys.exit("bye")
        return super().fit(X, y)

    def predict_proba(self, X):
        if self.where == "prediction":
            sys.exit(3)
        return super().predict_proba(X)


@pytest.mark.parametrize("where", ["always", "prediction"])
def test_a_model_that_exits_fails_alone(where):
    with pytest.raises(NoCandidateError, match=r"it called sys\.exit\(") as caught:
        quick(Exits(where)).fit(X, Y)
    assert isinstance(caught.value, RuntimeError)


def test_a_refit_that_exits_makes_way_for_fold_models():
    with pytest.warns(RefitFailedWarning, match=r"it called sys\.exit\('bye'\)"):
        model = quick(Exits("refit")).fit(X, Y)
    assert len(model.predict(X)) == len(X)


def test_other_candidates_of_the_search_go_on():
    model = quick(None, families=[BROKEN, DIAL], n_trials=5).fit(X, Y)
    table = model.leaderboard_
    is_broken = table["family"] == "broken"
    assert set(table["status"][is_broken]) == {"failed"}
    assert "complete" in set(table["status"][~is_broken])


# --- scorers


class Scorer:
    """A scorer that fails in some way on every n-th call, or on some predictions."""

    def __init__(self, how, every=1):
        self.how, self.every, self.n_calls = how, every, 0

    def __call__(self, estimator, X, y):
        self.n_calls += 1
        if self.n_calls % self.every == 0:
            return OUTCOMES[self.how][0]()
        return float((estimator.predict(X) == y).mean())


def fail():
    raise ZeroDivisionError("the scorer is broken")


OUTCOMES = {
    "raises": (fail, "raised ZeroDivisionError: the scorer is broken"),
    "exits": (lambda: sys.exit(2), "raised SystemExit: 2"),
    "none": (lambda: None, "returned None"),
    "array": (lambda: np.ones(3), "returned an array"),
    "text": (lambda: "0.5", "returned '0.5'"),
    "infinite": (lambda: np.inf, "returned inf"),
}


@pytest.mark.parametrize("how", OUTCOMES)
def test_where_all_fail_the_message_shows_what_the_scorer_did(how):
    metric = Scorer(how)
    with pytest.raises(NoCandidateError, match=OUTCOMES[how][1]):
        quick(None, families=DIAL, metric=metric, n_trials=2).fit(X, Y)


@pytest.mark.parametrize("how", OUTCOMES)
@pytest.mark.parametrize("every", [7, 61])
def test_a_scorer_that_fails_now_and_then_costs_candidates_only(how, every):
    model = quick(
        None, families=DIAL, metric=Scorer(how, every), n_trials=6, ensemble_size="auto"
    ).fit(X, Y)
    table = model.leaderboard_
    assert table["mean"].dropna().between(0, 1).all()
    assert np.isfinite(model.best_score_)
    failed = table[table["status"] == "failed"]
    assert failed["reason"].str.contains("scorer").all()
    assert not np.isinf(table["se"].dropna()).any()
    assert "Scorer" in str(model.report())


def test_a_scorer_that_fails_on_some_predictions_leaves_the_other_candidates():
    """Precision without a single alert: Dial(noise=1) knows nothing of the classes."""

    def strict_precision(y_true, y_pred):
        is_alert = y_pred == 1
        if not is_alert.any():
            raise ZeroDivisionError("no alert")
        return float((y_true == 1)[is_alert].mean())

    class Timid(Dial):
        def predict_proba(self, X):
            score = super().predict_proba(X)[:, 1] * (1.0 if self.noise < 0.5 else 0.4)
            return np.column_stack([1 - score, score])

    model = quick(
        None,
        families=replace(DIAL, make=Timid()),
        n_trials=8,
        metric=make_scorer(strict_precision),
    ).fit(X, Y)
    failed = model.leaderboard_["status"] == "failed"
    assert 0 < failed.sum() < 8
    assert model.leaderboard_["reason"][failed].str.contains("no alert").all()


def test_the_score_of_new_rows_says_what_the_scorer_raised():
    scorer = Scorer("raises", every=10**6)
    model = quick(None, families=DIAL, metric=scorer).fit(X, Y)
    assert 0 <= model.score(X, Y) <= 1
    scorer.every = 1
    with pytest.raises(BadInputError, match="scorer Scorer raised ZeroDivisionError"):
        model.score(X, Y)
