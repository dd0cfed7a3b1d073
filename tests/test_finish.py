"""Refit, calibration and threshold make one model whose parts agree."""

from dataclasses import replace

import numpy as np
import pytest
import tables
from tables import five_classes, mixed, numeric, problem_of, unscored

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.fit_predict import predict_codes
from autoimb._evaluate.refit import refit
from autoimb._fit import final_fit as refit_module
from autoimb._fit.finish import finish
from autoimb._fit.fitted_model import FittedMember, FittedModel
from autoimb._metrics.calibration import Identity, Platt
from autoimb._metrics.metrics import METRICS
from autoimb._search.trials import TrialRecord
from autoimb._select.ensemble import Member
from autoimb._select.selection import Selection
from autoimb._strategy.strategy import Strategy
from autoimb._threshold.rules import Argmax, Cut
from autoimb.exceptions import (
    BudgetTooSmallWarning,
    NoCandidateError,
    RefitFailedWarning,
)

PLAIN = Strategy.of(CATALOGUE, family="logistic_regression")
WEIGHTED = Strategy.of(CATALOGUE, family="logistic_regression", class_weight="balanced")


def selection_of(problem, strategy=WEIGHTED):
    """Return the selection of one strategy, scored on all folds of the problem."""
    return tables.selection_of(tables.scored(strategy, problem))


def finished(problem, *, aim="f1", calibrated=True, strategy=WEIGHTED):
    return finish(
        selection_of(problem, strategy),
        problem,
        aim,
        calibrates_output=calibrated,
    )


# --- out-of-fold probabilities


def test_out_of_fold_probabilities_are_averaged_over_repeats():
    problem = problem_of(*numeric(), cv=3, repeats=2)
    done = finished(problem, calibrated=False)
    once, again = (
        np.concatenate([r.proba for r in results])
        for results in np.split(np.array(selection_of(problem).winner.results), 2)
    )
    rows = [
        np.concatenate([f.val_idx for f in problem.folds if f.repeat == r])
        for r in (0, 1)
    ]
    expected = (once[np.argsort(rows[0])] + again[np.argsort(rows[1])]) / 2
    np.testing.assert_allclose(done.decision.oof_proba(120), expected)


def test_rows_that_were_never_validated_have_none():
    validated = [np.arange(0, 40), np.arange(40, 70)]
    cv = [(np.setdiff1d(np.arange(120), rows), rows) for rows in validated]
    problem = problem_of(*numeric(), cv=cv)
    proba = finished(problem).decision.oof_proba(120)
    assert np.isfinite(proba[:70]).all()
    assert np.isnan(proba[70:]).all()


@pytest.mark.parametrize("make", [numeric, mixed, five_classes])
def test_out_of_fold_probabilities_are_those_of_the_calibrated_folds(make):
    X, y = make()
    problem = problem_of(X, y, cv=3)
    done = finished(problem)
    calibration = done.model.members[0].calibration
    proba = done.decision.oof_proba(len(y))
    for result in selection_of(problem).winner.results:
        rows = problem.folds[result.number].val_idx
        np.testing.assert_allclose(proba[rows], calibration(result.proba))
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)


def test_calibration_leaves_the_order_of_rows():
    problem = problem_of(*numeric())
    raw = finished(problem, calibrated=False).decision.oof_proba(120)[:, 1]
    mapped = finished(problem).decision.oof_proba(120)[:, 1]
    np.testing.assert_array_equal(np.argsort(raw), np.argsort(mapped))


def test_calibration_brings_weighted_models_back_to_the_prevalence():
    X, y = numeric(400, 40)
    problem = problem_of(X, y)
    raw = finished(problem, calibrated=False).decision.oof_proba(400)[:, 1]
    mapped = finished(problem).decision.oof_proba(400)[:, 1]
    assert raw.mean() > 0.2
    assert mapped.mean() == pytest.approx(0.1, abs=0.02)


# --- the model


def test_the_member_is_refitted_on_every_row():
    problem = problem_of(*numeric())
    pipeline = finished(problem).model.members[0].pipeline
    table = problem.table
    again = WEIGHTED.build(CATALOGUE, table.schema, table.y, seed=problem.seed)
    again.fit(table.X, table.y)
    np.testing.assert_allclose(
        pipeline.predict_proba(table.X), again.predict_proba(table.X)
    )


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0), (0.25, 0.75)])
def test_members_enter_by_their_weights(weights):
    problem = problem_of(*numeric())
    model = finished(problem).model
    plain = finished(problem, strategy=PLAIN).model.members[0]
    members = tuple(
        replace(member, weight=weight)
        for member, weight in zip((model.members[0], plain), weights, strict=True)
    )
    X = problem.table.X
    both = replace(model, members=members)
    expected = np.average([m.proba(X, 2) for m in members], axis=0, weights=weights)
    np.testing.assert_allclose(both.proba(X), expected)
    np.testing.assert_allclose(both.proba(X).sum(axis=1), 1.0)
    assert both.raw_cut is None


def test_a_row_s_probability_does_not_depend_on_its_neighbours():
    problem = problem_of(*numeric())
    model, X = finished(problem).model, problem.table.X
    np.testing.assert_allclose(model.proba(X)[:5], model.proba(X[:5]), rtol=1e-12)


# --- the threshold


@pytest.mark.parametrize("swapped", [False, True], ids=["pos=1", "pos=0"])
@pytest.mark.parametrize("aim", ["f1", "mcc", 0.0, 0.05, 0.3, 0.999, 1.0])
@pytest.mark.parametrize("calibrated", [True, False])
def test_the_raw_cut_gives_the_labels_of_the_calibrated_one(swapped, aim, calibrated):
    X, y = numeric()
    problem = problem_of(X, 1 - y if swapped else y)
    pos = problem.table.pos
    assert pos == (0 if swapped else 1)
    model = finished(problem, aim=aim, calibrated=calibrated).model
    raw = predict_codes(model.members[0].pipeline, X, 2)[:, pos]
    labels = model.threshold.apply(model.proba(X))
    np.testing.assert_array_equal(raw >= model.raw_cut, labels == pos)


@pytest.mark.parametrize("cut", [0.0, 1e-12, 0.2, 0.9999999, 1.0])
@pytest.mark.parametrize(
    "calibration", [Identity(), Platt(2.0, -3.0, 1), Platt(0.3, 4.0, 1)], ids=str
)
def test_the_raw_cut_holds_for_scores_of_zero_and_one(cut, calibration):
    """Forests give them."""
    member = FittedMember(PLAIN, 1.0, (None,), calibration)
    model = FittedModel((member,), Cut(cut, 1), 2)
    raw = np.array([0.0, 1e-9, 0.1, 0.5, 1 - 1e-9, 1.0])
    mapped = calibration(np.column_stack([1 - raw, raw]))[:, 1]
    np.testing.assert_array_equal(raw >= model.raw_cut, mapped >= cut)


def test_the_threshold_is_tuned_on_out_of_fold_probabilities():
    problem = problem_of(*numeric(400, 120))
    done = finished(problem)
    y, proba = problem.table.y, done.decision.oof_proba(400)
    ones = np.ones((1, 400))

    def f1(rule):
        return METRICS["f1"].score_many(
            y, proba, ones, pos=1, y_pred=rule.apply(proba)
        )[0]

    low, high = done.decision.interval
    assert low <= done.model.threshold.value <= high
    assert f1(done.model.threshold) >= max(f1(Cut(c, 1)) for c in proba[:, 1]) - 0.02


def test_a_threshold_that_the_user_fixed_is_kept():
    problem = problem_of(*numeric())
    done = finished(problem, aim=0.25)
    assert done.model.threshold == done.decision.rule == Cut(0.25, 1)
    assert done.decision.interval is None
    assert finished(problem, aim=None).model.threshold == Argmax()
    assert finished(problem, aim=None).model.raw_cut is None


# --- no time for out-of-fold scores


def test_without_scores_nothing_is_calibrated_and_nothing_is_out_of_fold():
    problem = problem_of(*numeric())
    done = finish(unscored(PLAIN), problem, "f1", calibrates_output=True)
    assert done.model.members[0].calibration == Identity()
    assert np.isnan(done.decision.oof_proba(120)).all()
    assert done.decision.oof_proba(120).shape == (120, 2)
    assert 0 < done.model.threshold.value < 1
    labels = done.model.threshold.apply(done.model.proba(problem.table.X))
    assert set(labels) == {0, 1}


def test_the_threshold_is_tuned_on_calibrated_scores_without_calibrated_output():
    """Scores after class weights are far above the share of positives."""
    problem = problem_of(*numeric(600, 30))
    shown, hidden = (finished(problem, calibrated=c) for c in (True, False))
    assert hidden.model.members[0].calibration == Identity()
    np.testing.assert_allclose(
        hidden.decision.calibrated.cross_fitted, shown.decision.calibrated.cross_fitted
    )
    assert hidden.decision.calibrated.proba[:, 1].mean() > 2 * 30 / 600
    X = problem.table.X
    labels = [f.model.threshold.apply(f.model.proba(X)) for f in (shown, hidden)]
    assert (labels[0] != labels[1]).mean() < 0.01


def test_scores_of_training_rows_are_no_evidence_beside_their_labels():
    problem = problem_of(*numeric())
    done = finish(unscored(WEIGHTED), problem, "f1", calibrates_output=True)
    labels = np.eye(2)[done.decision.oof.y]
    np.testing.assert_array_equal(done.decision.calibrated.cross_fitted, labels)


@pytest.mark.parametrize(
    ("fit_seconds", "n_threads"), [(0.1, 1), (0.4, 1), (2.0, 3), (0.0, 1)]
)
def test_only_what_is_slow_is_refitted_by_several_threads(
    monkeypatch, fit_seconds, n_threads
):
    """Zero seconds are those of a strategy that was never fitted."""
    problem, given = problem_of(*numeric()), []

    def noting(strategy, problem, *, n_threads, **rest):
        given.append(n_threads)
        return refit(strategy, problem, n_threads=1, **rest)

    monkeypatch.setattr(refit_module, "refit", noting)
    selection = selection_of(problem)
    winner = replace(selection.winner, fit_seconds=fit_seconds)
    other = replace(winner, number=1, strategy=PLAIN)
    members = (Member(winner), Member(other))
    finish(
        replace(selection, winner=winner, members=members),
        problem,
        "f1",
        calibrates_output=True,
        n_threads=3,
    )
    assert given == [n_threads] * 2


# --- refits that fail


def failing(monkeypatch, strategy, error):
    """Let the refit of one strategy fail."""

    def refit_or_fail(wanted, *args, **kwargs):
        if wanted == strategy:
            raise error
        return refit(wanted, *args, **kwargs)

    monkeypatch.setattr(refit_module, "refit", refit_or_fail)


def both_scored(problem):
    """Return a selection of two members; the second is the quickest of all."""
    first, second = (selection_of(problem, s) for s in (WEIGHTED, PLAIN))
    other = replace(second.winner, number=1)
    members = (Member(first.winner), Member(other))
    return replace(first, members=members, quickest=other)


def test_an_ensemble_leaves_out_a_member_that_fails_on_all_rows(monkeypatch):
    problem = problem_of(*numeric())
    failing(monkeypatch, PLAIN, ValueError("a constant column"))
    found = finish(both_scored(problem), problem, "f1", calibrates_output=True)
    assert [m.strategy for m in found.model.members] == [WEIGHTED]
    assert found.refit_failure is None


@pytest.mark.parametrize(
    ("error", "category", "words"),
    [
        (
            ValueError("a constant\ncolumn"),
            RefitFailedWarning,
            "ValueError: a constant)",
        ),
        (MemoryError(), RefitFailedWarning, "(MemoryError)"),
        (TimeoutError(), BudgetTooSmallWarning, "left too little"),
    ],
)
def test_another_takes_the_place_of_a_winner_that_fails(
    monkeypatch, error, category, words
):
    problem = problem_of(*numeric())
    failing(monkeypatch, WEIGHTED, error)
    found = finish(both_scored(problem), problem, "f1", calibrates_output=True)
    assert [m.strategy for m in found.model.members] == [PLAIN]
    assert found.selection.winner.strategy == PLAIN
    assert found.refit_failure.warning_category is category
    message = found.refit_failure.message(time_budget=60)
    assert str(PLAIN) in message
    assert words in message


def test_a_winner_that_fails_leaves_its_ensemble(monkeypatch):
    problem = problem_of(*numeric())
    third = Strategy.of(CATALOGUE, family="k_neighbours")
    failing(monkeypatch, WEIGHTED, ValueError("a constant column"))
    selection, other = both_scored(problem), selection_of(problem, third).winner
    members = (*selection.members, Member(replace(other, number=2)))
    # The best is the quickest as well.
    selection = replace(selection, members=members, quickest=selection.winner)
    found = finish(selection, problem, "f1", calibrates_output=True)
    assert [m.strategy for m in found.model.members] == [PLAIN, third]
    assert found.refit_failure.used == PLAIN


def test_where_nothing_can_take_its_place_the_reasons_are_told(monkeypatch):
    problem = problem_of(*numeric())
    failing(monkeypatch, WEIGHTED, ValueError("a constant column"))
    with pytest.raises(
        NoCandidateError, match=r"\(ValueError: a constant column\)"
    ) as told:
        finished(problem)
    assert isinstance(told.value.__cause__, ValueError)


@pytest.mark.parametrize("has_quick", [False, True])
def test_what_is_late_even_with_its_last_second_gets_a_few_more(monkeypatch, has_quick):
    """A model that comes late is better than none, and none better than no end."""
    problem, limits = problem_of(*numeric()), []

    def late(strategy, problem, *, seconds=None, **rest):
        limits.append((strategy, seconds))
        if seconds < 3.0:
            raise TimeoutError
        return refit(strategy, problem, **rest)

    monkeypatch.setattr(refit_module, "refit", late)
    selection = both_scored(problem) if has_quick else selection_of(problem)
    found = finish(selection, problem, "f1", calibrates_output=True, seconds=0.0)
    expected = PLAIN if has_quick else WEIGHTED
    assert [m.strategy for m in found.model.members] == [expected]
    assert limits == [(WEIGHTED, 1.0), (expected, 3.0)]
    # The winner itself was fitted as a whole in the end; another one took its place.
    assert (found.refit_failure is not None) is has_quick


def test_a_fallback_that_fails_gives_way_to_the_next(monkeypatch):
    problem = problem_of(*numeric())
    failing(monkeypatch, WEIGHTED, ValueError("a constant column"))
    first, second = (
        TrialRecord(number=i, strategy=s, status="skipped")
        for i, s in enumerate([WEIGHTED, PLAIN])
    )
    found = finish(
        Selection.alone(first, second), problem, "f1", calibrates_output=True
    )
    assert [m.strategy for m in found.model.members] == [PLAIN]
    assert found.refit_failure.warning_category is RefitFailedWarning
    assert not found.decision.is_out_of_fold
