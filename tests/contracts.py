"""What every implementation of an extension point promises, as test classes.

Subclass one, give it the fixture it asks for, and pytest runs the whole contract.
"""

from __future__ import annotations

import numpy as np
from tables import TABLES, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import evaluate
from autoimb._execution.shared_data import Inline
from autoimb._strategy.strategy import Strategy


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
        with executor.share(problem) as handle:
            there = executor.submit(evaluate, strategy, 1, handle).result(60)
        np.testing.assert_allclose(there.proba, here.proba, atol=1e-9)
