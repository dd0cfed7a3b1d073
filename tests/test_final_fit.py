"""What `final_fit` promises: the best candidate predicts, by a refit or fold models."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import TimeSeriesSplit
from tables import five_classes, mixed, numeric, problem_of, scored, selection_of

import autoimb
from autoimb import AutoImbalance
from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.kept_models import ModelFolder
from autoimb._evaluate.row_sample import RowSample
from autoimb._export import prediction_script
from autoimb._fit import final_fit as final_module
from autoimb._fit.finish import finish
from autoimb._metrics.scorers import resolve_metric
from autoimb._strategy.strategy import Strategy
from autoimb.exceptions import (
    AutoImbWarning,
    BadInputError,
    BudgetTooSmallWarning,
    NoCandidateError,
    RefitFailedWarning,
)

QUICK = {
    "families": ["logistic_regression", "xgboost"],
    "n_trials": 4,
    "n_jobs": 1,
    "random_state": 0,
}


def fitted(make=numeric, **options):
    X, y = make()
    return AutoImbalance(**{**QUICK, **options}).fit(X, y), X, y


def n_pipelines(model):
    return [len(member.pipelines) for member in model.ensemble_]


def raising(monkeypatch, error):
    """Let every refit on all rows raise an error."""

    def refit(*_, **__):
        raise error

    monkeypatch.setattr(final_module, "refit", refit)


@pytest.mark.parametrize("make", [numeric, mixed, five_classes])
def test_without_a_clock_all_members_are_fitted_on_all_rows(make):
    auto, X, _ = fitted(make)
    always, *_ = fitted(make, final_fit=True)
    assert set(n_pipelines(auto)) == {1}
    np.testing.assert_array_equal(auto.predict_proba(X), always.predict_proba(X))


@pytest.mark.parametrize("make", [numeric, mixed, five_classes])
def test_fold_models_are_saved_exported_and_fitted_again(make, tmp_path):
    model, X, y = fitted(make, final_fit=False, ensemble_size=2)
    n_folds = len({fold.index for fold in _folds_of(model, X, y)})
    assert set(n_pipelines(model)) == {n_folds}
    assert isinstance(model.best_pipeline_, VotingClassifier)
    proba = model.predict_proba(X)
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(same.predict_proba(X), proba)
    np.testing.assert_array_equal(same.predict(X), model.predict(X))
    script: dict = {}
    code = model.export_code()
    assert f"{n_folds} fold models" in " ".join(code.replace("#", "").split())
    exec(code, script)  # our own code
    on_all_rows = script["predict_proba"](script["fit"](X, y), X)
    refitted, *_ = fitted(make, ensemble_size=2)
    np.testing.assert_allclose(on_all_rows, refitted.predict_proba(X), atol=1e-6)
    again = model.refit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), proba, atol=0.15)
    assert set(n_pipelines(again)) == {n_folds}


def _folds_of(model, X, y):
    """Return the folds of the first repeat."""
    with model._context_of(X, y, autoimb._execution.deadline.Deadline(None)) as context:
        return [fold for fold in context.problem.folds if fold.repeat == 0]


def test_one_strategy_s_threshold_holds_on_the_soft_vote():
    model, X, _ = fitted(final_fit=False, ensemble_size=1)
    scores = model.best_pipeline_.predict_proba(X)[:, 1]
    np.testing.assert_array_equal(scores >= model.threshold_raw_, model.predict(X) == 1)


@pytest.mark.parametrize(
    ("ensemble_size", "members"),
    [
        (1, "The model predicts by the mean of its"),
        (2, "2 of 2 members predict by the mean of their"),
    ],
)
def test_the_report_says_that_fold_models_predict(ensemble_size, members):
    model, *_ = fitted(final_fit=False, ensemble_size=ensemble_size)
    assert len(model.ensemble_) == ensemble_size
    said = " ".join(model.report().data.sentences)
    assert f"{members} fold models, as final_fit=False" in said
    refitted, *_ = fitted()
    assert "fold models" not in " ".join(refitted.report().data.sentences)


def test_names_keep_their_capitals_in_sentences():
    model, *_ = fitted(lambda: numeric(1_300, 10), n_trials=1)
    said = " ".join(model.report().data.sentences)
    assert "The flowchart advised: SMOTE" in said


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_a_refit_that_raises_ends_with_the_best_candidate(monkeypatch, ensemble_size):
    expected, X, _ = fitted(final_fit=False, ensemble_size=ensemble_size)
    raising(monkeypatch, ValueError("a constant column"))
    with pytest.warns(RefitFailedWarning, match="fold models predicts"):
        model, *_ = fitted(ensemble_size=ensemble_size)
    assert model.best_strategy_ == expected.best_strategy_
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert "a constant column" in " ".join(model.report().data.sentences)


def test_ctrl_c_in_the_refit_ends_with_the_best_candidate(monkeypatch):
    expected, X, _ = fitted(final_fit=False)
    raising(monkeypatch, KeyboardInterrupt())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, *_ = fitted()
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_where_rows_are_ordered_in_time_only_the_last_fold_s_model_may_predict():
    model, X, _ = fitted(final_fit=False, cv=TimeSeriesSplit(3), ensemble_size=1)
    assert n_pipelines(model) == [1]
    assert not model.ensemble_[0].is_refit
    assert "the model of its last fold" in " ".join(model.report().data.sentences)
    assert model.predict_proba(X).shape == (len(X), 2)


def test_a_model_of_one_s_own_is_kept_too():
    model, X, _ = fitted(
        families="auto", estimator=LogisticRegression(), n_trials=2, final_fit=False
    )
    assert isinstance(model.best_pipeline_, VotingClassifier)
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("final_fit", ["always", None, 1.5])
def test_other_values_are_refused(final_fit):
    with pytest.raises(BadInputError, match="final_fit"):
        fitted(final_fit=final_fit)


# --- candidates that were scored on samples


def sampled(problem, folder, strategy, n_rows):
    """Return the record of a candidate whose fold models saw samples."""
    sample = RowSample("a sample", n_rows)
    return scored(strategy, problem, folder, row_sample=sample)


def finished(problem, record, **options):
    selection = selection_of(record)
    return finish(selection, problem, "f1", calibrates_output=True, **options)


@pytest.mark.parametrize("family", ["extra_trees", "logistic_regression"])
def test_a_refit_of_what_was_scored_on_samples_is_on_a_sample(family, tmp_path):
    """Its calibration and threshold are for models of as many rows of each class."""
    X, y = numeric(4_000, 120)
    problem = problem_of(X, y)
    strategy = Strategy.of(CATALOGUE, family=family)
    folder = ModelFolder(tmp_path, 10**9)
    record = sampled(problem, folder, strategy, 400)
    by_folds = finished(problem, record)
    assert not by_folds.model.members[0].is_refit
    assert by_folds.model.members[0].n_sampled == 400
    refitted = finished(problem, record, final_fit=True)
    bare = [replace(result, model=None) for result in record.results]
    without = finished(problem, replace(record, results=tuple(bare)))
    new, _ = numeric(4_000, 120, seed=1)
    expected = by_folds.model.proba(new)[:, 1].mean()
    for found in (refitted, without):
        assert found.model.members[0].is_refit
        mean = found.model.proba(new)[:, 1].mean()
        assert mean == pytest.approx(expected, rel=0.3)


def test_a_script_of_a_model_on_samples_is_refused(tmp_path):
    problem = problem_of(*numeric(4_000, 120))
    strategy = Strategy.of(CATALOGUE, family="extra_trees")
    record = sampled(problem, ModelFolder(tmp_path, 10**9), strategy, 400)
    found = finished(problem, record)
    with pytest.raises(BadInputError, match="samples of the rows"):
        prediction_script(found.model, problem.table.schema, found.decision)


def test_without_calibration_there_are_no_samples():
    model, *_ = fitted()
    ranking, scorer = (
        resolve_metric("average_precision", 2),
        resolve_metric(make_scorer(log_loss, response_method="predict_proba"), 2),
    )
    assert model._calibrates(ranking)
    assert not model._calibrates(scorer)
    assert not AutoImbalance(calibrate=False)._calibrates(ranking)


# --- what cannot be read, and Ctrl-C


def test_a_model_that_cannot_be_read_is_fitted_again(tmp_path):
    problem = problem_of(*numeric())
    strategy = Strategy.of(CATALOGUE, family="logistic_regression")
    record = scored(strategy, problem, ModelFolder(tmp_path, 10**9))
    for path in tmp_path.iterdir():
        path.write_bytes(b"junk")
    (member,) = finished(problem, record, final_fit=False).model.members
    assert member.is_refit


def test_ctrl_c_in_a_later_member_leaves_the_winner(monkeypatch):
    problem, right = problem_of(*numeric()), final_module.refit
    names = ("logistic_regression", "extra_trees")
    records = [
        scored(Strategy.of(CATALOGUE, family=name), problem, number=number)
        for number, name in enumerate(names)
    ]

    def refit(strategy, *args, **kwargs):
        if strategy.family.name == names[1]:
            raise KeyboardInterrupt
        return right(strategy, *args, **kwargs)

    monkeypatch.setattr(final_module, "refit", refit)
    selection = selection_of(*records)
    found = finish(selection, problem, "f1", calibrates_output=True)
    assert [m.strategy.family.name for m in found.model.members] == [names[0]]


def test_a_refit_on_new_rows_that_raises_leaves_the_model(monkeypatch):
    model, X, y = fitted(ensemble_size=1)
    before = model.predict_proba(X)
    for error in (ValueError("a constant column"), KeyboardInterrupt()):
        raising(monkeypatch, error)
        expected = KeyboardInterrupt if error.args == () else NoCandidateError
        with pytest.raises(expected):
            model.refit(X, y)
        np.testing.assert_array_equal(model.predict_proba(X), before)


def test_a_model_that_is_fitted_late_and_was_never_scored_is_fitted_on_few_rows(
    monkeypatch,
):
    refit, tried = final_module.refit, []

    def first_late(*args, row_sample, n_threads, **options):
        tried.append((row_sample.n_rows, n_threads))
        if len(tried) == 1:
            raise TimeoutError
        return refit(*args, row_sample=row_sample, n_threads=n_threads, **options)

    monkeypatch.setattr(final_module, "refit", first_late)
    model = AutoImbalance(
        families="logistic_regression", time_budget=0.01, n_jobs=1, random_state=0
    )
    X, y = numeric(13_000, 400)
    with pytest.warns(BudgetTooSmallWarning) as told:
        model.fit(X, y)
    assert "stopped early" in str(told[-1].message)
    assert tried == [(None, 1), (3_250, 1)]
    np.testing.assert_allclose(
        model.predict_proba(X).mean(0)[1], 400 / 13_000, rtol=0.3
    )


# --- fold models are replaced when the model is saved


@pytest.mark.parametrize(
    ("make", "size"), [(numeric, 1), (mixed, 3), (five_classes, 2)]
)
def test_saving_with_the_table_replaces_fold_models(make, size, tmp_path):
    """The result is what `final_fit=True` gives, threshold and all."""
    model, X, y = fitted(make, final_fit=False, ensemble_size=size)
    whole, *_ = fitted(make, final_fit=True, ensemble_size=size)
    path = tmp_path / "model.skops"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(path)  # asked for, so no warning
    n_bytes = path.stat().st_size
    model.save(path, X, y)
    assert path.stat().st_size < n_bytes
    for each in (model, autoimb.load(path)):
        assert set(n_pipelines(each)) == {1}
        np.testing.assert_allclose(
            each.predict_proba(X), whole.predict_proba(X), rtol=1e-12
        )
        np.testing.assert_array_equal(each.predict(X), whole.predict(X))
        assert "fold models" not in " ".join(each.report().data.sentences)
    np.testing.assert_array_equal(model.threshold_, whole.threshold_)


def test_saving_takes_the_table_of_the_fit_only(tmp_path):
    model, X, y = fitted(final_fit=False)
    before = model.predict_proba(X)
    path = tmp_path / "model.skops"
    with pytest.raises(BadInputError, match="not the table"):
        model.save(path, X[::-1], y)
    assert not path.exists()
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_saving_says_that_fold_models_predict_for_lack_of_time(tmp_path):
    model, X, y = fitted(final_fit=False)
    model.final_fit = "auto"
    with pytest.warns(AutoImbWarning, match=r"save\(path, X, y\)"):
        model.save(tmp_path / "model.skops")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "model.skops", X, y)
        model.save(tmp_path / "model.skops")  # they are fitted now


def test_members_of_samples_keep_their_fold_models(tmp_path):
    model, X, y = fitted(final_fit=False, ensemble_size=1)
    (member,) = model.ensemble_
    sampled = replace(member, n_sampled=100)
    model._model = replace(model._model, members=(sampled,))
    model.ensemble_ = (sampled,)
    model.save(tmp_path / "model.skops", X, y)
    assert n_pipelines(model) == [len(member.pipelines)]
