"""Few rows: the same probabilities, by one thread."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from autoimb._evaluate.few_rows import MOST_ROWS, few_rows_proba, use_one_thread
from autoimb._models.ensembles import SelfPacedEnsembleClassifier
from autoimb._models.vote import soft_vote


@pytest.fixture(scope="module", params=[2, 4])
def table(request):
    return make_classification(
        300, 18, n_informative=6, n_classes=request.param, random_state=0
    )


KNOWN = {
    "random_forest": RandomForestClassifier(20, random_state=0),
    "extra_trees": ExtraTreesClassifier(20, random_state=0, n_jobs=2),
    "histogram_boosting": HistGradientBoostingClassifier(max_iter=20, random_state=0),
    "soft_vote": soft_vote(C=0.5, trees=0.25, random_state=0),
    "even_vote": VotingClassifier(
        [("a", LogisticRegression()), ("b", ExtraTreesClassifier(5, random_state=0))],
        voting="soft",
    ),
    "neighbours": KNeighborsClassifier(weights="distance"),
    "uniform_neighbours": KNeighborsClassifier(),
}


@pytest.mark.parametrize("name", KNOWN)
def test_probabilities_are_those_of_the_model_to_the_last_bit(name, table):
    X, y = table
    model = KNOWN[name].fit(X, y)
    for n_rows in (1, 7, MOST_ROWS):
        np.testing.assert_array_equal(
            few_rows_proba(model, X[:n_rows]), model.predict_proba(X[:n_rows])
        )
    assert few_rows_proba(model, X[: MOST_ROWS + 1]) is None


@pytest.mark.parametrize("n_gaps", [0, 40])
@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_gaps_take_the_way_that_the_trees_have_for_them(kind, n_gaps, table):
    X, y = table[0].copy(), table[1]
    X[:n_gaps, 0] = np.nan
    model = kind(10, random_state=0).fit(X, y)
    rows = table[0][:5].copy()
    rows[:3, 0] = rows[2:, 1] = np.nan
    np.testing.assert_array_equal(
        few_rows_proba(model, rows), model.predict_proba(rows)
    )


class Contrary(RandomForestClassifier):
    """A forest that answers in its own way."""

    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


def test_a_model_with_a_way_of_its_own_is_asked_itself(table):
    X, y = table
    own = Contrary(5, random_state=0).fit(X, y)
    assert few_rows_proba(own, X[:3]) is None
    plain = RandomForestClassifier(5, random_state=0).fit(X, y)
    assert few_rows_proba(plain, X[:3, :-1]) is None  # no memory of others is read
    assert few_rows_proba(LogisticRegression().fit(X, y), X[:3]) is None
    hard = VotingClassifier([("own", own)]).fit(X, y)
    assert few_rows_proba(hard, X[:3]) is None
    # A voter with a way of its own votes in it.
    vote = VotingClassifier([("own", own), ("plain", plain)], voting="soft").fit(X, y)
    np.testing.assert_array_equal(
        few_rows_proba(vote, X[:3]), vote.predict_proba(X[:3])
    )


@pytest.mark.parametrize(
    "model",
    [
        soft_vote(n_jobs=2, random_state=0),
        SelfPacedEnsembleClassifier(n_estimators=2, n_jobs=2, random_state=0),
        RandomForestClassifier(3, n_jobs=2, random_state=0),
    ],
    ids=["vote", "self_paced", "forest"],
)
def test_models_in_a_model_predict_by_one_thread_too(model, table):
    import json

    fitted = model.fit(*table)
    before = fitted.predict_proba(table[0])
    use_one_thread(fitted)
    for part in (fitted, *fitted.estimators_):
        assert part.get_params(deep=False).get("n_jobs", 1) == 1
        if hasattr(part, "get_booster"):
            config = json.loads(part.get_booster().save_config())
            assert config["learner"]["generic_param"]["nthread"] == "1"
    np.testing.assert_allclose(fitted.predict_proba(table[0]), before, rtol=1e-12)


@pytest.mark.slow
def test_one_row_takes_one_thread_whatever_the_number_that_openmp_would_start():
    """Threads that wait for each other take seconds of processor time."""
    script = """
        import time
        from sklearn.datasets import make_classification
        from autoimb import AutoImbalance

        X, y = make_classification(400, 20, weights=[0.8], random_state=0)
        model = AutoImbalance(
            n_trials=1, families="hist_gradient_boosting", cv=2, n_jobs=1,
            random_state=0,
        ).fit(X, y)
        model.predict_proba(X[:1])
        wall, cpu = time.perf_counter(), time.process_time()
        for row in X[:50]:
            model.predict_proba(row[None])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(cpu / wall)
    """
    free = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**free, "OMP_NUM_THREADS": "4"},
    )
    assert float(done.stdout) < 1.2  # of one thread it is 1, of four more
