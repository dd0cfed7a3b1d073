"""What every implementation of an extension point promises, as test classes.

Subclass one, give it the fixture it asks for, and pytest runs the whole contract.
"""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import optuna
import pytest
from scipy.special import softmax
from tables import TABLES, problem_of, profile_of

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import Categorical, Float, Int
from autoimb._columns import take
from autoimb._evaluate import evaluate
from autoimb._execution import Inline, shared
from autoimb._strategy import Strategy


class EntryContract:
    """A catalogue entry: sound parameters, and it fits or says in a line why not.

    Subclasses provide `axis` and a parameter or fixture ``entry``.
    """

    axis: str

    def test_it_is_known_by_its_name_and_says_what_it_is(self, entry):
        assert CATALOGUE.get(self.axis, entry.name) is entry
        assert entry.label
        assert "\n" not in entry.label

    def test_it_travels_to_workers(self, entry):
        assert pickle.loads(pickle.dumps(entry)).name == entry.name

    def test_every_default_lies_in_its_domain(self, entry):
        assert all(domain.holds(domain.default) for domain in entry.params.values())

    def test_samples_lie_in_their_domain(self, entry):
        rng = np.random.default_rng(0)
        for domain in entry.params.values():
            assert all(domain.holds(domain.sample(rng)) for _ in range(200))

    def test_bounds_and_scale_survive_into_optuna(self, entry):
        trial = optuna.create_study().ask()
        for name, domain in entry.params.items():
            assert domain.holds(domain.suggest(trial, name))
            assert _read_back(trial.distributions[name]) == _bounds(domain)

    @pytest.mark.parametrize("table", TABLES)
    def test_it_fits_as_its_plain_pipeline_does_or_says_why_not(self, entry, table):
        X, y = TABLES[table]()
        reason = entry.misfit(profile_of(X, y))
        if reason is not None:
            assert reason
            assert "\n" not in reason
            return
        problem = problem_of(X, y, cv=2)
        strategy = self.strategy(entry)
        result = evaluate(strategy, 0, Inline(problem))
        assert result.status == "ok", result.reason
        assert result.proba.shape == (len(problem.folds[0].val_idx), len(np.unique(y)))
        assert np.isfinite(result.proba).all()
        np.testing.assert_allclose(result.proba.sum(axis=1), 1.0, atol=1e-6)
        np.testing.assert_allclose(
            result.proba, plainly_fitted(strategy, problem, 0), atol=1e-6
        )

    def strategy(self, entry):
        """Return a strategy that makes use of the entry."""
        if self.axis == "family":
            return Strategy.of(CATALOGUE, family=entry.name)
        takes = {
            "loss": lambda family: family.takes_loss(entry),
            "resampler": lambda family: family.takes_resampler(entry),
            "class_weight": lambda family: "class_weight" in family.takes,
        }[self.axis]
        family = next(f.name for f in CATALOGUE.entries["family"].values() if takes(f))
        return Strategy.of(CATALOGUE, family=family, **{self.axis: entry.name})


def plainly_fitted(strategy, problem, number):
    """Return a fold's scores by the pipeline's own ``fit`` and ``predict_proba``."""
    fold, table = problem.folds[number], problem.table
    y = table.y[fold.train_idx]
    pipeline = strategy.build(
        problem.catalogue, table.schema, y, seed=problem.fold_seed(number)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(take(table.X, fold.train_idx), y)
        X = take(table.X, fold.val_idx)
        if hasattr(pipeline, "predict_proba"):
            return pipeline.predict_proba(X)
        decision = pipeline.decision_function(X)
    if decision.ndim == 1:
        decision = np.column_stack([np.zeros_like(decision), decision])
    return softmax(decision, axis=1)


def _bounds(domain):
    """Return what a domain promises of its values."""
    if isinstance(domain, Categorical):
        return domain.choices
    return type(domain), domain.low, domain.high, domain.log


def _read_back(distribution):
    """Return the same as Optuna stored it."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return distribution.choices
    of_whole = isinstance(distribution, optuna.distributions.IntDistribution)
    kind = Int if of_whole else Float
    return kind, distribution.low, distribution.high, distribution.log


class ExecutorContract:
    """Anything that candidates are evaluated on; subclasses provide ``executor``."""

    def test_results_come_back_whatever_the_order(self, executor):
        futures = [executor.submit(divmod, n, 3) for n in range(8)]
        assert [f.result(60) for f in reversed(futures)] == [
            divmod(n, 3) for n in reversed(range(8))
        ]

    def test_an_error_is_handed_on_and_harms_no_other_task(self, executor):
        bad, good = executor.submit(divmod, 1, 0), executor.submit(divmod, 7, 2)
        assert isinstance(bad.exception(60), ZeroDivisionError)
        assert good.result(60) == (3, 1)

    def test_functions_made_on_the_spot_travel(self, executor):
        offset = 40
        assert executor.submit(lambda x: x + offset, 2).result(60) == 42

    def test_a_fold_gives_the_same_scores_as_in_this_process(self, executor):
        problem = problem_of(*TABLES["mixed"]())
        strategy = Strategy.of(
            CATALOGUE, family="logistic_regression", resampler="smote"
        )
        here = evaluate(strategy, 1, Inline(problem))
        with shared(problem, executor) as handle:
            there = executor.submit(evaluate, strategy, 1, handle).result(60)
        np.testing.assert_allclose(there.proba, here.proba, atol=1e-9)
