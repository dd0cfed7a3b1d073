"""`AutoImbalance` as users call it."""

import pickle
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autoimb import AutoImbalance, Cost, FBeta, PrecisionAtLeast, TopShare
from autoimb.exceptions import (
    AccuracyWarning,
    BadInputError,
    BudgetError,
    BudgetTooSmallWarning,
    LeakWarning,
    NoCandidateError,
)


def quick(**changes):
    """Return a small, reproducible configuration."""
    settings = {
        "n_trials": 2,
        "families": "logistic_regression",
        "n_jobs": 1,
        "cv": 3,
        "random_state": 0,
    }
    return AutoImbalance(**{**settings, **changes})


@pytest.fixture(scope="module")
def binary():
    return make_classification(
        400, 6, weights=[0.88], flip_y=0.05, class_sep=0.8, random_state=3
    )


@pytest.fixture(scope="module")
def fitted(binary):
    return quick(n_trials=3).fit(*binary)


@pytest.fixture(scope="module")
def mixed():
    """A table with numbers, gaps, text, categories, booleans and dates."""
    rng = np.random.default_rng(0)
    n = 300
    X = pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "gappy": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "text": rng.choice(["red", "green", "blue"], n),
            "category": pd.Categorical(rng.choice(["a", "b"], n)),
            "flag": rng.random(n) < 0.5,
            "when": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "constant": 1.0,
        }
    )
    X.loc[X.index % 7 == 0, "text"] = None
    score = X["number"] + (X["text"] == "red") + rng.normal(size=n)
    return X, np.where(score > np.quantile(score, 0.87), "rare", "usual")


def test_labels_follow_the_threshold_on_calibrated_probabilities(fitted, binary):
    X, _ = binary
    positive = fitted.predict_proba(X)[:, list(fitted.classes_).index(1)]
    assert np.array_equal(fitted.predict(X) == 1, positive >= fitted.threshold_)


def test_raw_threshold_on_the_plain_pipeline_gives_the_same_labels(binary):
    X, y = binary
    fitted = quick(ensemble_size=1).fit(X, y)
    assert len(fitted.ensemble_) == 1
    raw = fitted.best_pipeline_.predict_proba(X)[:, 1]
    assert np.array_equal(raw >= fitted.threshold_raw_, fitted.predict(X) == 1)


def test_an_ensemble_has_no_cut_on_the_score_of_one_member(binary):
    fitted = quick(families=["extra_trees", "k_neighbours"], n_trials=3)
    fitted.fit(*binary)
    assert len(fitted.ensemble_) > 1
    assert fitted.threshold_raw_ is None
    assert fitted.best_pipeline_ is fitted.ensemble_[0].pipeline


@pytest.mark.parametrize("size", [0, 1.5, "many", True, None])
def test_ensemble_size_is_a_number_from_one_on(binary, size):
    with pytest.raises(BadInputError, match="ensemble_size"):
        quick(ensemble_size=size).fit(*binary)


def test_best_score_is_the_mean_of_the_winners_folds(fitted):
    board = fitted.leaderboard_
    assert fitted.best_score_ in board["mean"].to_numpy()
    assert list(board["rank"].dropna()) == list(
        range(1, board["mean"].notna().sum() + 1)
    )
    assert board["mean"].dropna().is_monotonic_decreasing


def test_score_is_the_search_metric(fitted, binary):
    X, y = binary
    expected = average_precision_score(y, fitted.predict_proba(X)[:, 1])
    assert fitted.score(X, y) == pytest.approx(expected)


def test_out_of_fold_probabilities_are_not_those_of_the_training_rows(fitted, binary):
    """Out-of-fold scores exist for every row and are not the in-sample ones."""
    X, y = binary
    oof = fitted.oof_proba_
    assert oof.shape == (len(y), 2)
    assert np.isfinite(oof).all()
    assert not np.allclose(oof, fitted.predict_proba(X))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_same_seed_and_trials_give_the_same_result_whatever_the_workers(
    binary, fitted, n_jobs
):
    again = quick(n_trials=3, n_jobs=n_jobs).fit(*binary)
    assert list(again.leaderboard_["strategy"]) == list(fitted.leaderboard_["strategy"])
    np.testing.assert_allclose(
        again.predict_proba(binary[0]), fitted.predict_proba(binary[0]), atol=1e-6
    )


def test_fit_leaves_parameters_data_and_global_randomness_alone(binary):
    X, y = binary
    before, state = X.copy(), np.random.get_state()[1].copy()
    model = quick()
    params = dict(model.get_params())
    model.fit(X, y)
    assert model.get_params() == params
    assert np.array_equal(X, before)
    assert np.array_equal(np.random.get_state()[1], state)


def test_predictions_do_not_depend_on_the_neighbours_of_a_row(fitted, binary):
    X, _ = binary
    whole = fitted.predict_proba(X)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(fitted.predict_proba(X[order]), whole[order])
    np.testing.assert_allclose(
        np.vstack([fitted.predict_proba(row[np.newaxis]) for row in X[:5]]), whole[:5]
    )


def test_clones_and_pickles(fitted, binary):
    X, _ = binary
    same = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(same.predict_proba(X), fitted.predict_proba(X))
    assert clone(fitted).get_params() == fitted.get_params()


def test_executor_is_shared_by_clones_and_left_out_of_pickles(binary):
    with ThreadPoolExecutor(1) as pool:
        model = quick(executor=pool)
        assert clone(model).executor is pool
        fitted = model.fit(*binary)
        assert pickle.loads(pickle.dumps(fitted)).executor is None


def test_nests_in_cross_validation_and_grid_search(binary):
    assert len(cross_val_score(quick(), *binary, cv=2)) == 2
    search = GridSearchCV(quick(), {"threshold": ["f1", "mcc"]}, cv=2).fit(*binary)
    assert search.best_params_["threshold"] in ("f1", "mcc")


def test_mixed_columns_gaps_unseen_categories_and_empty_columns(mixed):
    X, y = mixed
    model = quick(families=["logistic_regression", "extra_trees"], n_trials=4).fit(X, y)
    assert model.pos_label_ == "rare"
    strange = X.head(20).copy()
    strange["text"] = "violet"
    strange["gappy"] = np.nan
    strange["when"] = pd.NaT
    strange["constant"] = 99.0
    proba = model.predict_proba(strange)
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert set(model.predict(strange)) <= {"rare", "usual"}


def test_polars_and_pandas_are_the_same(mixed):
    polars = pytest.importorskip("polars")
    X, y = mixed
    X = X.drop(columns="category")
    one, other = quick().fit(X, y), quick().fit(polars.from_pandas(X), y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X))


def test_columns_in_another_order_raise(mixed):
    X, y = mixed
    model = quick().fit(X, y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[X.columns[::-1]])


def test_multiclass_predicts_by_weighted_probabilities():
    X, y = make_classification(
        400, 8, n_informative=5, n_classes=3, weights=[0.8, 0.15], random_state=0
    )
    labels = np.array(["common", "less", "rare"])[y]
    model = quick(metric="f1").fit(X, labels)
    assert model.pos_label_ is None
    weights = np.asarray(model.threshold_)
    expected = model.classes_[np.argmax(weights * model.predict_proba(X), axis=1)]
    assert np.array_equal(model.predict(X), expected)


@pytest.mark.parametrize(
    "labels", [[False, True], ["no", "yes"], [(0, 1), (1, 0)], [1, "x"], [7.0, 9.0]]
)
def test_any_hashable_labels(binary, labels):
    X, y = binary
    named = [labels[code] for code in y]
    model = quick(n_trials=1).fit(X, named)
    assert {repr(label) for label in model.predict(X).tolist()} <= set(
        map(repr, labels)
    )
    assert model.pos_label_ == labels[1]


def test_pos_label_may_be_the_majority(binary):
    X, y = binary
    model = quick(pos_label=0).fit(X, y)
    assert model.pos_label_ == 0
    assert any(check.code == "AIM010" for check in model.profile_.checks)
    assert np.array_equal(
        model.predict(X) == 0, model.predict_proba(X)[:, 0] >= model.threshold_
    )


@pytest.mark.parametrize(
    ("threshold", "check"),
    [
        (0.3, lambda model: model.threshold_ == 0.3),
        (None, lambda model: model.threshold_ is None),
        (FBeta(2), lambda model: 0 < model.threshold_ < 1),
        (Cost(fp=1, fn=30), lambda model: model.threshold_ < 0.3),
        (PrecisionAtLeast(0.4), lambda model: 0 < model.threshold_ < 1),
        (TopShare(0.05), lambda model: model.threshold_ > 0.2),
    ],
    ids=["float", "None", "FBeta", "Cost", "PrecisionAtLeast", "TopShare"],
)
def test_thresholds_are_tuned_for_the_requested_objective(binary, threshold, check):
    assert check(quick(threshold=threshold).fit(*binary))


def test_a_label_metric_can_be_searched(binary):
    model = quick(metric="mcc", threshold="mcc").fit(*binary)
    assert 0 < model.best_score_ <= 1
    assert model.score(*binary) > 0


def test_sample_weight_enters_the_fit_and_synthetic_samplers_leave(binary):
    X, y = binary
    weight = np.where(X[:, 0] > 0, 1.0, 0.05)
    model = quick(n_trials=8, resamplers="auto").fit(X, y, sample_weight=weight)
    tried = set(model.leaderboard_["resampler"])
    assert not tried & {"smote", "smote_tomek"}
    plain = quick(n_trials=8).fit(X, y)
    assert not np.allclose(model.predict_proba(X), plain.predict_proba(X))


def test_groups_are_never_split(binary):
    X, y = binary
    groups = np.arange(len(y)) // 4
    model = quick(n_trials=1).fit(X, y, groups=groups)
    assert (
        model.report().data.settings["folds"].startswith("3 stratified folds of whole")
    )


def test_an_own_pipeline_reads_the_table_as_given(mixed):
    """It sees the user's columns and types, encoded by nobody else."""
    X, y = mixed
    seen = []

    class Spy(GaussianNB):
        def fit(self, frame, y, sample_weight=None):
            seen.append(frame.dtypes.astype(str).to_dict())
            return super().fit(frame[["number"]], y)

        def predict_proba(self, frame):
            return super().predict_proba(frame[["number"]])

    quick(estimator=Spy(), families="auto").fit(X, y)
    assert seen[0] == X.dtypes.astype(str).to_dict()


def test_an_own_estimator_excludes_families(binary):
    with pytest.raises(BadInputError, match="exclude each other"):
        quick(estimator=LogisticRegression()).fit(*binary)


def test_two_models_of_one_type_compete_under_names_of_their_own(binary):
    twice = [LogisticRegression(C=0.01), LogisticRegression(C=10.0)]
    model = quick(families=twice, n_trials=4).fit(*binary)
    names = {"LogisticRegression", "LogisticRegression-2"}
    assert set(model.leaderboard_["family"]) == names


def test_strategies_print_in_words(fitted, binary):
    assert str(fitted.best_strategy_) == fitted.leaderboard_["strategy"][0]
    own = quick(families=[LogisticRegression()], n_trials=1).fit(*binary)
    assert str(own.best_strategy_) == "LogisticRegression"


def test_candidates_of_one_family_can_be_told_apart(fitted):
    assert fitted.leaderboard_["strategy"].is_unique


def test_class_weights_of_a_wrapped_pipeline_are_searched(binary):
    own = make_pipeline(StandardScaler(), LogisticRegression())
    model = quick(estimator=own, families="auto", resamplers="none", n_trials=6).fit(
        *binary
    )
    assert "balanced" in set(model.leaderboard_["class_weight"])


class Broken(LogisticRegression):
    """Raises on every fit."""

    def fit(self, X, y, sample_weight=None):
        raise RuntimeError("broken on purpose")


def test_failed_candidates_are_rows_and_the_search_goes_on(binary):
    model = quick(families=[Broken(), "logistic_regression"], n_trials=8).fit(*binary)
    failed = model.leaderboard_.query("status == 'failed'")
    assert len(failed) >= 1
    assert failed["reason"].str.contains("broken on purpose").all()
    assert model.best_strategy_.family.name == "logistic_regression"


def test_every_candidate_failing_names_the_commonest_reasons(binary):
    with pytest.raises(
        NoCandidateError, match=r"2 candidates: RuntimeError: broken on purpose"
    ):
        quick(families=[Broken()]).fit(*binary)


class Slow(LogisticRegression):
    """Never ends, for all that a test can wait."""

    def fit(self, X, y, sample_weight=None):
        time.sleep(600)


def test_too_little_time_gives_the_cheapest_model_and_a_warning(binary):
    X, y = binary
    with pytest.warns(BudgetTooSmallWarning, match="Give more time"):
        model = AutoImbalance(
            time_budget=0.01, n_jobs=1, random_state=0, families="logistic_regression"
        ).fit(X, y)
    assert f1_score(y, model.predict(X)) > 0
    assert np.isnan(model.oof_proba_).all()
    assert "defaults" in model.report().data.outcome.sentences[0]


@pytest.mark.slow
def test_a_hanging_candidate_does_not_break_the_budget(binary):
    started = time.monotonic()
    model = AutoImbalance(
        time_budget=15, families=[Slow(), "logistic_regression"], random_state=0
    ).fit(*binary)
    assert time.monotonic() - started <= 15 + 3
    assert "timeout" in set(model.leaderboard_["status"])


def test_interrupt_keeps_the_best_so_far(binary, monkeypatch):
    from autoimb._search import search as search_module

    steps = iter(range(1_000))

    def interrupting(_):
        if next(steps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(search_module, "wait", lambda *_, **__: None)
    monkeypatch.setattr(search_module._Search, "_record", _tell_then(interrupting))
    model = quick(n_trials=50).fit(*binary)
    assert 1 <= model.leaderboard_["mean"].notna().sum() < 50


def test_after_an_interrupt_finalists_are_not_scored_again(binary, monkeypatch):
    from autoimb._search import search as search_module

    presses = iter([True])

    def interrupt_once(run):
        if next(presses, False):
            raise KeyboardInterrupt

    monkeypatch.setattr(search_module._Search, "_record", _tell_then(interrupt_once))
    model = quick(n_trials=50, cv=None).fit(*binary)
    assert model.profile_.minority_count < 60  # so there are repeats
    assert model.leaderboard_["folds"].max() == 8


def test_an_interrupt_among_finalists_keeps_the_search(binary, monkeypatch):
    from autoimb._select import finalists

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(finalists, "_score_repeat", interrupted)
    model = quick(cv=None).fit(*binary)
    assert model.leaderboard_["folds"].max() == 8


def _tell_then(check):
    from autoimb._search import search as search_module

    tell = search_module._Search._record

    def told(run, candidate, record):
        tell(run, candidate, record)
        check(run)

    return told


@pytest.mark.parametrize(
    "copied",
    [lambda y: 2.0 * y, lambda y: np.where(y, "yes", "no"), lambda y: y == 1],
    ids=["number", "text", "truth value"],
)
def test_a_leak_is_a_warning_and_stands_on_the_report_s_first_screen(binary, copied):
    X, y = binary
    frame = pd.DataFrame(X).assign(paid=copied(y)).rename(columns=str)
    with pytest.warns(LeakWarning, match=r"'paid' alone separates.*drop it"):
        model = quick(n_trials=1).fit(frame, y)
    assert "'paid' alone" in model.report().data.outcome.sentences[1]


@pytest.mark.parametrize("wrap", [list, pd.Series, lambda v: pd.DataFrame({"w": v})])
def test_weights_of_a_score_may_be_a_frame_of_one_column(fitted, binary, wrap):
    weights = np.arange(1.0, 1 + len(binary[1]))
    with pytest.raises(BadInputError, match="sample_weight: "):
        fitted.score(*binary, sample_weight=weights[:-1])
    expected = fitted.score(*binary, sample_weight=weights)
    assert fitted.score(*binary, sample_weight=wrap(weights)) == expected


def test_a_fit_without_leaks_warns_of_none(fitted):
    assert not any("alone separates" in s for s in fitted.report().data.sentences)


def test_accuracy_comes_with_what_the_majority_would_score(binary):
    with pytest.warns(AccuracyWarning, match=r"scores 0\.8\d\d accuracy"):
        quick(metric="accuracy").fit(*binary)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"metric": "avarage_precision"}, BadInputError, "'average_precision'"),
        ({"threshold": "f1_macr"}, BadInputError, "'f1_macro'"),
        ({"families": "xgbost"}, BadInputError, "Did you mean 'xgboost'"),
        ({"resamplers": ["smot"]}, BadInputError, "Did you mean 'smote'"),
        ({"time_budget": None, "n_trials": None}, BudgetError, "never end"),
        ({"time_budget": -3}, BudgetError, "time_budget=-3"),
        ({"n_trials": 0}, BudgetError, "n_trials=0"),
        ({"device": "gpu"}, BadInputError, "device='gpu'.*cuda"),
        ({"pos_label": 5}, BadInputError, "pos_label=5 is not in y"),
    ],
    ids=[
        "metric",
        "threshold",
        "family",
        "resampler",
        "no limit",
        "seconds",
        "trials",
        "device",
        "pos_label",
    ],
)
def test_bad_parameters_name_the_value_and_the_way_out(binary, changes, error, message):
    with pytest.raises(error, match=message):
        quick(**changes).fit(*binary)


def test_unseen_labels_in_score_raise(fitted, binary):
    X, y = binary
    with pytest.raises(BadInputError, match="not seen in fit"):
        fitted.score(X, y + 5)


@pytest.mark.slow
def test_three_lines_work_as_a_plain_script_without_a_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from sklearn.datasets import make_classification
            from autoimb import AutoImbalance
            print("started")
            X, y = make_classification(300, weights=[0.9], random_state=0)
            model = AutoImbalance(time_budget=10, n_jobs=2, random_state=0).fit(X, y)
            print(model.predict(X).sum() > 0, len(model.leaderboard_) > 1)
            model.report().save("report.html")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["started", "True", "True"]
    assert (tmp_path / "report.html").stat().st_size > 10_000
