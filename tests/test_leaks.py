"""No validation row of a fold ever helps to fit a model on that fold.

Real models and resamplers record the rows that they get during a whole search. Seven
columns hold the number of a row in bits. The sign of a bit survives centring and
scaling, so the row is recognised after every encoder.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from tables import problem_of

from autoimb import AutoImbalance
from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.user_objects import entry_of_estimator
from autoimb._evaluate.evaluate import evaluate
from autoimb._execution.shared_data import Inline
from autoimb._strategy.strategy import Strategy

N, N_BITS, MARK, VALUE = 128, 7, 7, 8
SEEN = []


class Spy(ClassifierMixin, BaseEstimator):
    """A classifier that records the rows that it is fitted on and predicts."""

    def fit(self, X, y):
        SEEN.append(("fit", np.array(X)))
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        SEEN.append(("predict", np.array(X)))
        score = expit(X[:, VALUE])
        return np.column_stack([1 - score, score])


class SpySampler(BaseEstimator):
    """A resampler that records its rows and adds marked copies of them."""

    def fit_resample(self, X, y):
        SEEN.append(("resample", np.array(X)))
        synthetic = X[:20].copy()
        synthetic[:, MARK] = 1e3
        return np.vstack([X, synthetic]), np.concatenate([y, y[:20]])


@pytest.fixture(autouse=True)
def _nothing_seen():
    SEEN.clear()


def spelled_rows(*, gaps=False):
    """Return rows that spell their number, shuffled labels, and no row twice."""
    rng = np.random.default_rng(0)
    bits = (np.arange(N)[:, np.newaxis] >> np.arange(N_BITS)) & 1
    y = rng.permutation(np.arange(N) % 4 == 0).astype(int)
    value = rng.normal(size=N) + y
    if gaps:
        value[rng.random(N) < 0.2] = np.nan
    return np.column_stack([bits, rng.random(N), value]), y


def is_synthetic(X):
    return X[:, MARK] > 100


def numbers(X):
    """Return the numbers of the real rows among X."""
    return set(((X[~is_synthetic(X), :N_BITS] > 0) @ (1 << np.arange(N_BITS))).tolist())


def evaluations(n):
    """Return what n evaluations saw, one list each, and what came after the last.

    After it, models are fitted on all rows, and predict some of them.
    """
    groups = [[]]
    for event in SEEN:
        groups[-1].append(event)
        if event[0] == "predict":
            groups.append([])
    return groups[:n], [event for group in groups[n:] for event in group]


def check_no_leak(evaluation):
    """Raise if a row that was predicted helped to fit, or was made up."""
    *fitted, (_, predicted) = evaluation
    assert not is_synthetic(predicted).any()
    for _, X in fitted:
        assert not numbers(X) & numbers(predicted)
    # The rest of the table, and nothing else, was there to learn from.
    assert numbers(fitted[0][1]) | numbers(predicted) == set(range(N))


@pytest.fixture(params=["as given", "encoded"])
def fitted(request):
    """Fit with spies that read the table as it is, or encoded inside the fold."""
    X, y = spelled_rows(gaps=request.param == "encoded")
    models = {"as given": {"estimator": Spy()}, "encoded": {"families": [Spy()]}}
    return AutoImbalance(
        **models[request.param],
        resamplers=[SpySampler()],
        n_trials=6,
        n_jobs=1,
        cv=3,
        random_state=1,
    ).fit(X, y)


def test_validation_rows_never_reach_a_model_or_a_resampler(fitted):
    n_evaluations = fitted.leaderboard_["folds"].sum()
    validated, after = evaluations(n_evaluations)
    assert len(validated) == n_evaluations
    assert any(kind == "resample" for group in validated for kind, _ in group)
    for evaluation in validated:
        check_no_leak(evaluation)
    assert {kind for kind, _ in after} >= {"fit", "predict"}
    assert all(numbers(X) == set(range(N)) for kind, X in after if kind == "fit")


def test_every_row_is_validated_once_in_every_repeat(fitted):
    validated, _ = evaluations(fitted.leaderboard_["folds"].sum())
    n_times = np.zeros(N, dtype=int)
    for *_, (_, predicted) in validated:
        n_times[list(numbers(predicted))] += 1
    assert set(n_times) == {len(validated) // 3}


def test_rows_that_a_resampler_made_reach_models_and_nothing_else(fitted):
    for kind, X in SEEN:
        assert kind == "fit" or not is_synthetic(X).any()
    validated, _ = evaluations(fitted.leaderboard_["folds"].sum())
    resampled = [g for g in validated if g[0][0] == "resample"]
    for evaluation in resampled:
        assert is_synthetic(evaluation[1][1]).sum() == 20


def test_encoders_learn_from_training_rows_alone():
    """What a model is shown is centred and scaled by its own training rows."""
    X, y = spelled_rows(gaps=True)
    AutoImbalance(
        families=[Spy()], resamplers="none", n_trials=1, n_jobs=1, cv=3, random_state=0
    ).fit(X, y)
    for (_, train), (_, valid) in evaluations(3)[0]:
        at, val = ordered(train), ordered(valid)
        filled = np.where(np.isnan(X), np.nanmedian(X[at], axis=0), X)
        full = np.column_stack([filled, np.isnan(X[:, VALUE])])
        scaled = (full - full[at].mean(axis=0)) / full[at].std(axis=0)
        np.testing.assert_allclose(train, scaled[at])
        np.testing.assert_allclose(valid, scaled[val])


def ordered(X):
    """Return the numbers of X's rows, in their order."""
    return (X[:, :N_BITS] > 0) @ (1 << np.arange(N_BITS))


# --- the check itself


@pytest.mark.parametrize("resampler", ["none", "spy"])
def test_the_check_notices_a_single_row_that_leaks(resampler):
    X, y = spelled_rows()
    space = CATALOGUE.with_entry("family", entry_of_estimator(Spy(), "spy", view=None))
    spy = replace(
        CATALOGUE.get("resampler", "tomek"), name="spy", make=lambda *_: SpySampler()
    )
    space = space.with_entry("resampler", spy)
    problem = problem_of(X, y, catalogue=space, as_given=True)
    strategy = Strategy.of(space, family="spy", resampler=resampler)
    fold = problem.folds[0]
    leaky = replace(fold, train_idx=np.append(fold.train_idx, fold.val_idx[:1]))
    for folds in (problem.folds, (leaky,)):
        result = evaluate(strategy, 0, Inline(replace(problem, folds=folds)))
        assert result.status == "ok", result.reason
    (honest, leaking), _ = evaluations(2)
    check_no_leak(honest)
    with pytest.raises(AssertionError):
        check_no_leak(leaking)


def test_the_check_notices_a_synthetic_validation_row():
    X, y = spelled_rows()
    made_up, _ = SpySampler().fit_resample(X[:60], y[:60])
    SEEN.clear()
    with pytest.raises(AssertionError):
        check_no_leak([("fit", X[60:]), ("predict", made_up)])
