"""What `final_fit` promises: the best candidate predicts, by a refit or fold models."""

import warnings

import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit
from tables import five_classes, mixed, numeric

import autoimb
from autoimb import AutoImbalance
from autoimb._fit import final_fit as final_module
from autoimb.exceptions import BadInputError, RefitFailedWarning

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


def test_the_report_says_that_fold_models_predict():
    model, *_ = fitted(final_fit=False)
    said = " ".join(model.report().data.sentences)
    assert "mean of fold models" in said
    assert "final_fit=False" in said
    refitted, *_ = fitted()
    assert "fold models" not in " ".join(refitted.report().data.sentences)


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
    assert "the model of one fold" in " ".join(model.report().data.sentences)
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
