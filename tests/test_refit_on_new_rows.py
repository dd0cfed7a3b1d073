"""What was chosen once is fitted on other rows, without a search."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from tables import five_classes, mixed, numeric

import autoimb
from autoimb import AutoImbalance, Cost, FBeta
from autoimb._catalogue import CATALOGUE
from autoimb._strategy.strategy import Choice, Strategy
from autoimb.exceptions import BadInputError, RefitFailedWarning

FAMILIES = ["logistic_regression", "xgboost", "k_neighbours"]


def quick(**options):
    options = {"n_trials": 4, "families": FAMILIES, "n_jobs": 1, **options}
    return AutoImbalance(random_state=0, **options)


@pytest.fixture(scope="module")
def fitted():
    X, y = numeric(300, 40)
    return quick().fit(X, y), X, y


@pytest.mark.parametrize("table", [numeric, mixed, five_classes])
def test_on_the_same_rows_it_is_the_same_model(table):
    X, y = table()
    model = quick().fit(X, y)
    proba, threshold = model.predict_proba(X), model.threshold_
    oof = model.oof_proba_
    again = model.refit(X, y)
    assert again is model
    np.testing.assert_allclose(again.predict_proba(X), proba, atol=1e-9)
    np.testing.assert_allclose(again.threshold_, threshold, atol=1e-9)
    np.testing.assert_allclose(again.oof_proba_, oof, atol=1e-9)


def test_more_rows_are_learned_from_and_nothing_is_chosen_anew(fitted):
    model = pickle.loads(pickle.dumps(fitted[0]))
    strategies = [(m.strategy, m.weight) for m in model.ensemble_]
    leaderboard = model.leaderboard_
    more, labels = numeric(600, 80)
    before = model.predict_proba(more)
    model.refit(more, labels)
    assert [(m.strategy, m.weight) for m in model.ensemble_] == strategies
    assert model.leaderboard_.equals(leaderboard)
    assert not np.allclose(model.predict_proba(more), before)
    assert model.oof_proba_.shape == (600, 2)
    assert np.isfinite(model.oof_proba_).all()


def test_a_saved_model_can_be_refitted(fitted, tmp_path):
    model, X, y = fitted
    model.save(tmp_path / "m.skops")
    loaded = autoimb.load(tmp_path / "m.skops").refit(X, y)
    np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X))


def test_threshold_and_prior_that_were_set_hold_on():
    X, y = numeric(300, 40)
    model = quick().fit(X, y).set_threshold(Cost(fp=1, fn=9)).set_prior(0.3)
    proba, threshold = model.predict_proba(X), model.threshold_
    model.refit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), proba, atol=1e-9)
    assert model.threshold_ == pytest.approx(threshold)


def test_the_report_speaks_of_the_new_labels(fitted):
    model = pickle.loads(pickle.dumps(fitted[0]))
    more, labels = numeric(600, 80)
    model.refit(more, labels)
    assert np.sum(model.report().data.winner.confusion) == 600


def test_other_classes_and_columns_are_errors(fitted):
    model, X, y = fitted
    with pytest.raises(BadInputError, match="call fit for other classes"):
        model.refit(X, y + 1)
    with pytest.raises(ValueError, match="features"):
        model.refit(X[:, :2], y)


def test_a_model_of_ones_own_is_known_after_it_was_pickled_too():
    X, y = numeric(200, 40)
    model = AutoImbalance(
        families=[LogisticRegression(), GaussianNB()],
        n_trials=2,
        n_jobs=1,
        random_state=0,
    ).fit(X, y)
    proba = model.predict_proba(X)
    np.testing.assert_allclose(model.refit(X, y).predict_proba(X), proba, atol=1e-9)
    again = pickle.loads(pickle.dumps(model)).refit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), proba, atol=1e-9)


def test_an_entry_that_is_not_registered_here_is_named():
    strategy = Strategy.of(CATALOGUE, family="xgboost")
    strategy = replace(strategy, family=Choice.of("mine", {}))
    with pytest.raises(BadInputError, match="register it as 'mine' first"):
        strategy.check_registered(CATALOGUE)


def test_an_unfitted_model_says_so():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        clone(quick()).refit(*numeric())


def test_costs_and_another_aim_exclude_each_other_as_in_fit():
    X, y = numeric(300, 40)
    costs = np.where(np.eye(2)[y] == 1, 0.0, [[1.0, 5.0]])
    model = quick(n_trials=1).fit(X, y, costs=costs).set_threshold("mcc")
    with pytest.raises(BadInputError, match="exclude each other"):
        model.refit(X, y, costs=costs)


# --- the code that a report shows


def run_code(model, **names):
    """Return the model that the report's code makes."""
    exec(model.report().data.winner.code, names)
    return names["model"]


@pytest.mark.parametrize(
    "options",
    [
        {"metric": FBeta(2)},
        {"threshold": Cost(fp=1, fn=9)},
        {"families": [LogisticRegression(C=np.inf), "k_neighbours"]},
        {"families": None, "estimator": LogisticRegression(C=0.1)},
    ],
)
def test_the_code_makes_the_model_again(options):
    X, y = numeric(200, 40)
    options = {k: v for k, v in {"families": FAMILIES, **options}.items() if v}
    model = AutoImbalance(n_trials=2, n_jobs=1, random_state=0, **options).fit(X, y)
    same = run_code(model, X=X, y=y)
    np.testing.assert_allclose(same.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(same.predict(X), model.predict(X))


def test_the_code_gives_what_fit_and_refit_were_given():
    X, y = numeric(300, 40)
    weight, groups = np.linspace(1, 2, 300), np.arange(300) // 2
    part = slice(200)
    model = quick(n_trials=1, families="logistic_regression")
    model.fit(X[part], y[part], sample_weight=weight[part])
    model.refit(X, y, groups=groups, sample_weight=weight)
    given = {"X": X[part], "y": y[part], "sample_weight": weight[part]}
    later = {"X_all": X, "y_all": y, "groups_all": groups, "sample_weight_all": weight}
    same = run_code(model, **given, **later)
    np.testing.assert_allclose(same.predict_proba(X), model.predict_proba(X))
    assert "300 rows, 40" in model.report().data.settings["fitted again on"]


def test_costs_that_no_longer_count_are_not_in_the_code():
    X, y = numeric(200, 40)
    costs = np.where(np.eye(2)[y] == 1, 0.0, [[1.0, 5.0]])
    model = quick(n_trials=1).fit(X, y, costs=costs)
    assert "costs=costs" in model.report().data.winner.code
    np.testing.assert_array_equal(
        run_code(model, X=X, y=y, costs=costs).predict(X), model.predict(X)
    )
    model.set_threshold("mcc")
    np.testing.assert_array_equal(
        run_code(model, X=X, y=y).predict(X), model.predict(X)
    )


# --- what a report says of a winner that is not the best, or has nothing beside it


def test_a_password_is_not_in_the_code():
    X, y = numeric(200, 40)
    model = quick(n_trials=1).fit(X, y)
    model.storage = "postgresql://me:secret@host/db"
    code = model.set_threshold("mcc").report().data.winner.code
    assert "secret" not in code
    assert "postgresql://me:***@host/db" in code


class OfThisScript(AutoImbalance):
    """Its parents' code cannot be imported from a script."""

    __module__ = "__main__"


def test_a_class_of_the_script_itself_is_there_already():
    X, y = numeric(200, 40)
    model = OfThisScript(n_trials=1, families=FAMILIES, n_jobs=1, random_state=0)
    code = model.fit(X, y).report().data.winner.code
    assert "import" not in code
    assert "model = OfThisScript(" in code


class FailsOnAllRows(LogisticRegression):
    """Can be fitted on the rows of folds only, and those models are not kept."""

    def __reduce__(self):
        raise TypeError("no pickle")

    def fit(self, X, y, sample_weight=None):
        if len(X) == 300:
            raise ValueError("too many rows")
        return super().fit(X, y, sample_weight)


def test_what_stands_in_for_the_best_is_not_called_the_best():
    X, y = numeric(300, 40)
    families = [FailsOnAllRows(), "k_neighbours"]
    with pytest.warns(RefitFailedWarning, match="too many rows"):
        model = quick(families=families, n_trials=2, ensemble_size=1).fit(X, y)
    assert model.best_strategy_.family.name == "k_neighbours"
    said = " ".join(model.report().data.outcome.sentences)
    assert "is used instead of the best candidate" in said
    assert "too many rows" in said
    assert "wins" not in said
    assert "best single" not in said
    behind = {row.name: row.behind for row in model.report().data.search.families}
    assert min(behind.values()) == 0


def test_what_handles_the_imbalance_is_never_shown_as_doing_nothing():
    X, y = numeric(300, 40)
    forest = {"families": "balanced_random_forest", "n_trials": 1, "cv": 2}
    model = quick(**forest).fit(X, y)
    found = model.report().data.outcome
    assert np.isnan(model.honest_score_.baseline)
    assert found.baseline_score is None
    assert found.difference is None
    assert "what handling it gains is not known" in " ".join(found.sentences)
