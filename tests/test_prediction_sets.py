"""Sets of classes with a coverage of each class."""

from dataclasses import replace

import numpy as np
import pytest
from decisions import rows, scored_decision

from autoimb import AutoImbalance
from autoimb._fit.prediction_sets import prediction_sets
from autoimb._table.set_aside import SetAside
from autoimb.exceptions import BadInputError


def two_columns(p):
    return np.column_stack([1 - p, p])


def decision_of(n=400, share=0.2, seed=0, **more):
    is_positive, score, _ = rows(n, share, seed=seed)
    return scored_decision(is_positive, score, **more).decision


@pytest.mark.parametrize("n_rare", [9, 40, 100])
def test_each_class_is_covered_as_asked_where_rows_are_exchangeable(n_rare):
    """The mean coverage lies between 90 % and 90 % + 1 / (n + 1)."""
    covered = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        y = (np.arange(10 * n_rare) < n_rare).astype(int)
        old, new = (1 / (1 + np.exp(-rng.normal(size=n))) for n in (len(y), 200))
        decision = scored_decision(y == 1, old).decision
        covered.append(prediction_sets(decision, two_columns(new), 0.9)[:, 1].mean())
    error = 3 * np.std(covered) / np.sqrt(150)
    assert 0.9 - error <= np.mean(covered) <= 0.9 + 1 / (n_rare + 1) + error


def test_sets_are_those_of_the_definition():
    decision = decision_of()
    p = np.linspace(0, 1, 101)
    sets = prediction_sets(decision, two_columns(p), 0.8)
    for code in (0, 1):
        own = decision.calibrated.proba[decision.oof.y == code, code]
        for row, value in enumerate(two_columns(p)[:, code]):
            p_value = (1 + (own <= value).sum()) / (1 + len(own))
            assert sets[row, code] == (p_value > 0.2)


def test_more_coverage_makes_sets_larger_only():
    proba = two_columns(np.linspace(0, 1, 101))
    few, many = (prediction_sets(decision_of(), proba, c) for c in (0.7, 0.95))
    assert (many | ~few).all()
    assert many.sum() > few.sum()


def test_coverage_is_asked_for_by_class():
    decision, proba = decision_of(), two_columns(np.linspace(0, 1, 101))
    both = prediction_sets(decision, proba, {"yes": 0.95, "no": 0.7})
    np.testing.assert_array_equal(
        both[:, 1], prediction_sets(decision, proba, 0.95)[:, 1]
    )
    np.testing.assert_array_equal(
        both[:, 0], prediction_sets(decision, proba, 0.7)[:, 0]
    )


def test_a_class_of_few_rows_is_in_every_set_until_coverage_allows():
    y = np.arange(200) < 9
    decision = scored_decision(y, np.linspace(0.9, 0.1, 200)).decision
    proba = two_columns(np.zeros(1))
    assert prediction_sets(decision, proba, 0.95)[0, 1]
    assert not prediction_sets(decision, proba, 0.9)[0, 1]


def test_entries_of_repeats_count_once():
    decision = decision_of()
    oof = decision.oof
    doubled = {
        name: np.repeat(getattr(oof, name), 2, axis=0)
        for name in ("rows", "y", "proba", "weight", "units")
    }
    twice = replace(oof, **doubled, multiplicity=np.repeat(oof.multiplicity, 2) / 2)
    calibrated = replace(
        decision.calibrated, proba=np.repeat(decision.calibrated.proba, 2, axis=0)
    )
    repeated = replace(decision, oof=twice, calibrated=calibrated)
    proba = two_columns(np.linspace(0, 1, 101))
    np.testing.assert_array_equal(
        prediction_sets(repeated, proba, 0.9), prediction_sets(decision, proba, 0.9)
    )


def test_a_class_set_aside_is_in_no_set():
    lone = SetAside(
        np.array(["odd"]), np.array([1]), np.array([0.01]), np.array([0.01])
    )
    decision = replace(decision_of(), set_aside=lone)
    sets = prediction_sets(decision, two_columns(np.linspace(0, 1, 5)), 0.9)
    assert sets.shape == (5, 3)
    assert not sets[:, 1].any()


@pytest.mark.parametrize(
    "coverage", [0, 1, 1.5, True, "0.9", None, {"no": 0.9}, {"no": 0.9, "ja": 0.9}]
)
def test_impossible_coverages_are_refused(coverage):
    with pytest.raises(BadInputError, match="coverage="):
        prediction_sets(decision_of(), two_columns(np.zeros(1)), coverage)


def test_without_out_of_fold_scores_there_are_no_sets():
    decision = replace(decision_of(), is_out_of_fold=False)
    with pytest.raises(BadInputError, match=r"predict_sets needs .*time_budget"):
        prediction_sets(decision, two_columns(np.zeros(1)), 0.9)


def test_sets_of_a_model_do_not_depend_on_expected_shares_or_threshold():
    rng = np.random.default_rng(0)
    y = (np.arange(300) < 40).astype(int)
    X = rng.normal(size=(300, 3)) + y[:, None]
    model = AutoImbalance(
        n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
    ).fit(X, y)
    before = model.predict_sets(X)
    assert before.shape == (300, 2)
    assert before.dtype == bool
    after = model.set_threshold(0.9).set_prior(0.5).predict_sets(X)
    np.testing.assert_array_equal(after, before)
