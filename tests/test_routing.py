"""Row weights and other metadata, through scikit-learn's tools and into a model.

Models and helpers are those of scikit-learn's own tests of metadata routing.
"""

from functools import partial

import numpy as np
import pytest
import sklearn
from imblearn.base import BaseSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tests import test_metaestimators_metadata_routing as theirs
from sklearn.tests.metadata_routing_common import (
    ConsumingClassifier,
    _Registry,
    assert_request_is_empty,
)

from autoimb import AutoImbalance

X, y, WEIGHT = theirs.X, theirs.y_binary, theirs.sample_weight
search = partial(
    AutoImbalance, n_trials=1, cv=2, n_jobs=1, random_state=0, resamplers="none"
)


@pytest.fixture(autouse=True)
def _routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def fits(monkeypatch):
    """Return what each fit of a search was given, as pairs of rows and weights."""
    seen, fit = [], AutoImbalance._fit

    def noted(self, X, y, ctrl_c, **rows_of):
        seen.append((np.asarray(X), rows_of["sample_weight"]))
        return fit(self, X, y, ctrl_c, **rows_of)

    monkeypatch.setattr(AutoImbalance, "_fit", noted)
    return seen


# --- inside

TOOLS = {
    "pipeline": lambda of: make_pipeline("passthrough", of),
    "sampler": lambda of: make_imblearn_pipeline("passthrough", of),
    "grid search": lambda of: GridSearchCV(of, {"calibrate": [False]}, cv=2),
    "random search": lambda of: RandomizedSearchCV(
        of, {"calibrate": [False]}, n_iter=1, cv=2
    ),
    "calibration": lambda of: CalibratedClassifierCV(of, cv=2),
    "stack": lambda of: StackingClassifier([("of", of)], cv=2),
    "vote": lambda of: VotingClassifier([("of", of)], voting="soft"),
    "fixed threshold": FixedThresholdClassifier,
    "tuned threshold": lambda of: TunedThresholdClassifierCV(
        of,
        cv=2,
        scoring=make_scorer(accuracy_score).set_score_request(sample_weight=True),
    ),
    "columns": lambda of: SequentialFeatureSelector(of, n_features_to_select=1, cv=2),
}
MULTICLASS = {
    "one versus rest": OneVsRestClassifier,
    "one versus one": OneVsOneClassifier,
    "codes": lambda of: OutputCodeClassifier(of, code_size=1.0, random_state=0),
}
MULTIOUTPUT = {"outputs": MultiOutputClassifier, "chain": ClassifierChain}
TARGETS = {
    **dict.fromkeys(TOOLS, y),
    **dict.fromkeys(MULTICLASS, theirs.y),
    **dict.fromkeys(MULTIOUTPUT, (theirs.y_multi > 0).astype(int)[:, :2]),
}
ALL_TOOLS = {**TOOLS, **MULTICLASS, **MULTIOUTPUT}


@pytest.mark.parametrize("tool", ALL_TOOLS)
def test_weights_that_are_requested_arrive_with_their_rows(tool, fits):
    model = search(LogisticRegression()).set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    ALL_TOOLS[tool](model).fit(X, TARGETS[tool], sample_weight=WEIGHT)
    known = {
        value: weight for row, weight in zip(X, WEIGHT, strict=True) for value in row
    }
    assert fits
    for rows, weights in fits:
        assert list(weights) == [known[row[0]] for row in rows]


@pytest.mark.parametrize("tool", ALL_TOOLS)
def test_weights_that_nobody_asked_for_are_an_error(tool):
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        ALL_TOOLS[tool](search(LogisticRegression())).fit(
            X, TARGETS[tool], sample_weight=WEIGHT
        )


def test_what_a_sampler_before_it_requests_goes_to_the_sampler():
    class Noting(BaseSampler):
        _sampling_type = "bypass"

        def fit_resample(self, X, y, cost=None):
            self.cost_ = cost
            return X, y

        def _fit_resample(self, X, y):
            raise NotImplementedError

    sampler = Noting().set_fit_resample_request(cost=True)
    outer = make_imblearn_pipeline(sampler, search(LogisticRegression()))
    cost = np.arange(len(y))
    assert outer.fit(X, y, cost=cost)[0].cost_ is cost


# --- around


def test_nothing_is_requested_by_default():
    for model in (None, LogisticRegression(), ConsumingClassifier()):
        assert_request_is_empty(search(model).get_metadata_routing())


@pytest.mark.parametrize("labels", [y, theirs.y], ids=["two", "three"])
def test_a_model_that_takes_no_metadata_works(labels):
    theirs.test_non_consuming_estimator_works(
        {
            "metaestimator": search,
            "estimator_name": "estimator",
            "estimator": "classifier",
            "X": X,
            "y": labels,
            "estimator_routing_methods": ["fit", "predict", "predict_proba", "score"],
        }
    )


@pytest.mark.parametrize("is_requested", [None, True, False])
@pytest.mark.parametrize("is_step", [False, True])
def test_row_weights_reach_a_model_unless_it_declines_them(is_requested, is_step):
    registry = _Registry()
    model = ConsumingClassifier(registry=registry)
    model.set_fit_request(sample_weight=is_requested)
    model = make_pipeline("passthrough", model) if is_step else model
    search(model, class_weights="none").fit(X, y, sample_weight=WEIGHT)
    given = [
        set(record)
        for part in registry
        for records in getattr(part, "_records", {}).get("fit", {}).values()
        for record in records
    ]
    assert given
    assert all(
        names == (set() if is_requested is False else {"sample_weight"})
        for names in given
    )
