"""A fold that is encoded once gives the scores of one that is encoded each time."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from tables import Dial, categories, family_of, mixed, numeric, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.encoding_cache import EncodedFold, EncodedFolds, encoded_folds
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.row_sample import ALL_ROWS, RowSample
from autoimb._execution.shared_data import Inline
from autoimb._strategy.strategy import Strategy

SAMPLE = RowSample("sample", 50)


class Neat(Dial):
    """A classifier that reads arrays and frames alike."""

    def predict_proba(self, X):
        return super().predict_proba(np.array(X))


class Vandal(Neat):
    """The same, but it writes into the rows that it is given."""

    def fit(self, X, y):
        X[:] = 0.0
        return super().fit(X, y)

    def predict_proba(self, X):
        proba = super().predict_proba(X)
        X[:] = 0.0
        return proba


AS_GIVEN = CATALOGUE.with_entry("family", family_of(LogisticRegression(), "mine"))
VIEWS = {
    "native": Strategy.of(CATALOGUE, family=("xgboost", {"n_estimators": 5})),
    "dense": Strategy.of(CATALOGUE, family="logistic_regression"),
    "mixed": Strategy.of(CATALOGUE, family="logistic_regression", resampler="smotenc"),
    "dense for a tree": Strategy.of(
        CATALOGUE, family=("xgboost", {"n_estimators": 5}), resampler="smote"
    ),
}


def fold_of(n_bytes):
    """Return an encoded fold of so many bytes."""
    return EncodedFold(np.zeros(n_bytes, np.uint8), np.zeros(0, np.uint8), None, 0.0)


def never():
    raise AssertionError("it is kept, so it is not encoded again")


# --- the same scores


@pytest.mark.parametrize("row_sample", [ALL_ROWS, SAMPLE], ids=["all", "sample"])
@pytest.mark.parametrize("chosen", VIEWS.values(), ids=VIEWS)
def test_scores_are_the_same_with_and_without_what_is_kept(chosen, row_sample):
    problem = problem_of(*mixed())
    bare = replace(problem, cache_bytes=0)
    for number in (0, 1):
        plain = evaluate(chosen, number, Inline(bare), row_sample)
        assert plain.status == "ok", plain.reason
        for _ in range(2):
            kept = evaluate(chosen, number, Inline(problem), row_sample)
            np.testing.assert_array_equal(kept.proba, plain.proba)


def test_rows_as_given_score_the_same_each_time():
    problem = problem_of(*numeric(), catalogue=AS_GIVEN, as_given=True)
    chosen = Strategy.of(AS_GIVEN, family="mine")
    first, again = (evaluate(chosen, 0, Inline(problem)) for _ in range(2))
    assert first.status == "ok", first.reason
    np.testing.assert_array_equal(first.proba, again.proba)


def test_candidates_in_any_order_do_not_disturb_each_other():
    problem = problem_of(*mixed())
    bare = replace(problem, cache_bytes=0)
    plain = {
        (view, row_sample): evaluate(chosen, 0, Inline(bare), row_sample).proba
        for view, chosen in VIEWS.items()
        for row_sample in (ALL_ROWS, SAMPLE)
    }
    for view, row_sample in [*plain, *reversed(plain)]:
        kept = evaluate(VIEWS[view], 0, Inline(problem), row_sample)
        np.testing.assert_array_equal(kept.proba, plain[view, row_sample])


# --- encoded once


@pytest.fixture
def fits(monkeypatch):
    """Return a list that grows by one whenever an encoder is fitted."""
    fitted = []
    fit_transform = ColumnTransformer.fit_transform

    def counted(self, *args, **kwargs):
        fitted.append(1)
        return fit_transform(self, *args, **kwargs)

    monkeypatch.setattr(ColumnTransformer, "fit_transform", counted)
    return fitted


def test_an_encoder_is_fitted_once_for_all_that_read_alike(fits):
    problem = problem_of(*mixed())
    for C in (0.1, 1.0, 10.0):
        family = ("logistic_regression", {"C": C})
        chosen = Strategy.of(CATALOGUE, family=family, class_weight="balanced")
        evaluate(chosen, 0, Inline(problem))
    assert len(fits) == 1


def test_another_fold_view_sample_or_problem_is_encoded_anew(fits):
    problem = problem_of(*mixed())
    chosen = VIEWS["dense"]
    evaluate(chosen, 0, Inline(problem))
    evaluate(chosen, 1, Inline(problem))
    evaluate(VIEWS["native"], 0, Inline(problem))
    evaluate(chosen, 0, Inline(problem), SAMPLE)
    evaluate(chosen, 0, Inline(replace(problem, seed=1)))
    assert len(fits) == 5


def test_nothing_is_kept_where_there_is_no_room(fits):
    problem = replace(problem_of(*mixed()), cache_bytes=0)
    for _ in range(2):
        evaluate(VIEWS["dense"], 0, Inline(problem))
    assert len(fits) == 2


def test_the_time_of_a_cached_encoding_counts_for_every_candidate(monkeypatch):
    problem = problem_of(*mixed())
    fold = encoded_folds(problem, problem.cache_bytes)
    slow = EncodedFold(np.zeros((80, 4)), np.zeros((40, 4)), None, 100.0)
    monkeypatch.setattr(fold, "get", lambda key, encode: slow)
    assert evaluate(VIEWS["dense"], 0, Inline(problem)).fit_seconds > 100.0


# --- cached rows are read-only


def test_rows_that_are_kept_are_read_only():
    fold = EncodedFold(np.zeros((3, 2)), np.ones((2, 2)), None, 0.0)
    assert EncodedFolds(1000).get("a", lambda: fold) is fold
    for part in (fold.train, fold.val):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 5.0


@pytest.mark.parametrize("is_frame", [False, True], ids=["array", "frame"])
def test_a_model_of_the_users_own_gets_copies(is_frame):
    X, y = numeric()
    X = pd.DataFrame(X, columns=list("abcd")) if is_frame else X
    neat, vandal = family_of(Neat(), "neat"), family_of(Vandal(), "vandal")
    catalogue = CATALOGUE.with_entry("family", neat).with_entry("family", vandal)
    problem = problem_of(X, y, catalogue=catalogue, as_given=True)
    before = np.array(problem.table.X)
    results = [
        evaluate(Strategy.of(catalogue, family=name), 0, Inline(problem))
        for name in ("neat", "vandal", "neat", "vandal")
    ]
    for result in results:
        assert result.status == "ok", result.reason
        np.testing.assert_array_equal(result.proba, results[0].proba)
    np.testing.assert_array_equal(problem.table.X, before)


def test_writing_into_shared_rows_is_a_failure_not_a_wrong_score():
    family = replace(family_of(Vandal(), "vandal"), view="dense")
    catalogue = CATALOGUE.with_entry("family", family)
    problem = problem_of(*numeric(), catalogue=catalogue)
    result = evaluate(Strategy.of(catalogue, family="vandal"), 0, Inline(problem))
    assert result.status == "failed"
    assert "read-only" in result.reason


# --- what is kept


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60)), max_size=40),
    st.integers(0, 150),
)
def test_the_last_used_are_kept_up_to_the_number_of_bytes(uses, limit):
    """As a list of keys would do it, the last used at its end."""
    size = dict(uses)
    folds, expected = EncodedFolds(limit), []
    for key, _ in uses:
        was_encoded = []

        def encode(key=key, was_encoded=was_encoded):
            was_encoded.append(key)
            return fold_of(size[key])

        assert folds.get(key, encode).n_bytes == size[key]
        assert bool(was_encoded) == (key not in expected)
        if key in expected or size[key] <= limit:
            expected = [k for k in expected if k != key] + [key]
        while sum(size[k] for k in expected) > limit:
            expected.pop(0)


def test_text_counts_with_all_its_characters():
    table = pd.DataFrame({"a": ["x" * 10_000, "y" * 10_000]}, dtype=object)
    fold = EncodedFold(table, table.iloc[:0], None, 0.0)
    assert fold.n_bytes > 20_000


def test_encoding_that_fails_leaves_nothing_behind():
    folds = EncodedFolds(1000)
    with pytest.raises(AssertionError):
        folds.get("a", never)
    assert folds.get("a", lambda: fold_of(5)).n_bytes == 5
    folds.get("a", never)


def test_a_fold_that_is_too_large_drives_out_no_other():
    folds = EncodedFolds(100)
    folds.get("a", lambda: fold_of(50))
    folds.get("b", lambda: fold_of(101))
    folds.get("a", never)


def test_it_goes_with_its_problem():
    problem = problem_of(*categories())
    assert evaluate(VIEWS["dense"], 0, Inline(problem)).status == "ok"
    kept = weakref.ref(encoded_folds(problem, problem.cache_bytes))
    owner = weakref.ref(problem)
    gc.collect()
    assert kept() is not None
    del problem
    gc.collect()
    assert owner() is None
    assert kept() is None
