"""Few rows: the same probabilities, by one thread."""

import json

import numpy as np
import pytest
import threadpoolctl
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
from autoimb._models.neighbours import ExactNeighboursClassifier
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


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_of_one_row_are_those_of_the_table(weights):
    """Also where a row is equal to one that the model was fitted on."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 40)) * 10 ** rng.uniform(-3, 3, 40)
    y = rng.random(900) < 0.2
    model = ExactNeighboursClassifier(25, weights=weights).fit(X, y)
    new = np.vstack([X[:300], X[:200] + 1e-9, rng.normal(size=(200, 40))])
    proba = model.predict_proba(new)
    for row in range(0, 700, 9):
        alone = model.predict_proba(new[row : row + 1])
        np.testing.assert_array_equal(alone[0], proba[row])
    if weights == "distance":
        np.testing.assert_array_equal(proba[:300, 1], y[:300])
        usual = KNeighborsClassifier(25, weights=weights).fit(X, y)
        np.testing.assert_allclose(
            proba[500:], usual.predict_proba(new)[500:], atol=1e-7
        )


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
    fitted = model.fit(*table)
    before = fitted.predict_proba(table[0])
    use_one_thread(fitted)
    for part in (fitted, *fitted.estimators_):
        assert part.get_params(deep=False).get("n_jobs", 1) == 1
        if hasattr(part, "get_booster"):
            config = json.loads(part.get_booster().save_config())
            assert config["learner"]["generic_param"]["nthread"] == "1"
    np.testing.assert_allclose(fitted.predict_proba(table[0]), before, rtol=1e-12)


def openmp_threads():
    """Return the largest number of threads that OpenMP would start here."""
    found = threadpoolctl.threadpool_info()
    return max(lib["num_threads"] for lib in found if lib["user_api"] == "openmp")


class RecordingBoosting(HistGradientBoostingClassifier):
    """Remembers by how many threads it was asked to predict."""

    def _raw_predict(self, X, n_threads=None):
        self.asked_ = n_threads
        return super()._raw_predict(X, n_threads)


class RecordingNeighbours(KNeighborsClassifier):
    """Remembers how many threads it could have started."""

    def kneighbors(self, *args, **kwargs):
        self.asked_ = openmp_threads()
        return super().kneighbors(*args, **kwargs)


@pytest.mark.parametrize(
    "model", [RecordingBoosting(max_iter=2), RecordingNeighbours(weights="distance")]
)
def test_one_thread_predicts_whatever_openmp_would_start(model, table):
    """Threads that wait for each other take seconds of processor time."""
    X, y = table
    model.fit(X, y)
    with threadpoolctl.threadpool_limits(4, user_api="openmp"):
        assert openmp_threads() == 4
        few_rows_proba(model, X[:1])
        assert model.asked_ == 1
        assert openmp_threads() == 4
