"""Fits with a time limit: the whole model if time suffices, else a part of it."""

import pickle
import time

import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.datasets import make_classification

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import resolve
from autoimb._models import time_limited_fit, training

AMPLE = 1e6
WEIGHTS = {0: 1.0, 1: 2.5, 2: 4.0}
FOREST = {"n_estimators": 7, "random_state": 0, "n_jobs": 1, "class_weight": WEIGHTS}
MEMBERS = {"n_estimators": 3, "n_trees": 4, "random_state": 0, "n_jobs": 1}
SETTINGS = {
    "random_forest": FOREST,
    "extra_trees": FOREST,
    "xgboost": {**FOREST, "max_depth": 3, "subsample": 0.7},
    "xgboost_categories": {**FOREST, "max_depth": 3, "subsample": 0.7},
    "lightgbm": {**FOREST, "subsample": 0.7, "subsample_freq": 1, "verbosity": -1},
    "catboost": {
        "iterations": 7,
        "learning_rate": 0.1,
        "depth": 3,
        "random_state": 0,
        "thread_count": 1,
        "class_weight": WEIGHTS,
    },
    "mlp": {"max_epochs": 4, "random_state": 0, "class_weight": WEIGHTS},
    "tabm": {"max_epochs": 2, "random_state": 0, "class_weight": WEIGHTS},
    "under_bagging": MEMBERS,
    "self_paced_ensemble": MEMBERS,
}
NETS = ["mlp", "tabm"]
ROUNDS = {
    name: "iterations" if name == "catboost" else "n_estimators"
    for name in SETTINGS.keys() - NETS
}
each_family = pytest.mark.parametrize("name", SETTINGS)
each_net = pytest.mark.parametrize("name", NETS)
each_of_rounds = pytest.mark.parametrize("name", sorted(ROUNDS))
each_forest = pytest.mark.parametrize("name", ["random_forest", "extra_trees"])


def make(name, n_classes=2, **changes):
    """Return a small unfitted model of a family and the function that ends its fit."""
    family = CATALOGUE.get("family", name)
    settings = {**SETTINGS[name], **changes}
    if "class_weight" in settings:
        settings["class_weight"] = {code: WEIGHTS[code] for code in range(n_classes)}
    return resolve(family.make)(**settings), resolve(family.time_limited_fit)


@pytest.fixture(params=[2, 3], ids=["binary", "three classes"])
def table(request):
    return make_table(request.param)


def make_table(n_classes=2):
    X, y = make_classification(
        300,
        n_features=6,
        n_informative=4,
        n_classes=n_classes,
        weights=[0.7, 0.2, 0.1][:n_classes],
        random_state=0,
    )
    return X, y, np.random.default_rng(0).uniform(0.5, 2.0, size=len(y))


def ticking(step=1.0):
    """Return a `time.monotonic` that adds `step` seconds at each call."""
    now = [0.0]

    def monotonic():
        now[0] += step
        return now[0]

    return monotonic


def test_every_family_that_can_be_stopped_is_tested_here():
    families = CATALOGUE.entries["family"].values()
    assert {f.name for f in families if f.time_limited_fit} == set(SETTINGS)


@each_family
def test_with_ample_time_it_is_the_plain_fit(name, table):
    X, y, weight = table
    plain, fit = make(name, len(set(y)))
    timed = clone(plain)
    plain.fit(X, y, sample_weight=weight)
    assert fit(timed, X, y, AMPLE, sample_weight=weight) is True
    np.testing.assert_array_equal(plain.predict_proba(X), timed.predict_proba(X))


@each_family
@pytest.mark.parametrize("seconds", [0.0, AMPLE])
def test_nothing_of_the_watching_is_left(name, seconds):
    X, y, _ = make_table(3)
    plain, fit = make(name, 3)
    timed = clone(plain)
    fit(timed, X, y, seconds)
    plain.fit(X, y)
    assert timed.get_params() == plain.get_params()
    assert vars(timed).keys() == vars(plain).keys()
    untrusted = [
        skops.io.get_untrusted_types(data=skops.io.dumps(model))
        for model in (plain, timed)
    ]
    assert untrusted[0] == untrusted[1]
    loaded = pickle.loads(pickle.dumps(timed))
    np.testing.assert_array_equal(loaded.predict_proba(X), timed.predict_proba(X))
    again = clone(timed).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), plain.predict_proba(X))


@each_family
def test_without_any_time_there_is_still_a_model(name, table):
    X, y, weight = table
    model, fit = make(name, len(set(y)))
    fit(clone(model), X, y, 0.0)  # imports are not part of the fit
    started = time.monotonic()
    assert fit(model, X, y, 0.0, sample_weight=weight) is False
    assert time.monotonic() - started < 20
    proba = model.predict_proba(X)
    assert proba.shape == (len(y), len(set(y)))
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-6)
    assert set(model.predict(X).ravel()) <= set(y)


@each_of_rounds
def test_what_is_left_without_time_is_the_model_of_one_round(name, table):
    X, y, weight = table
    n_classes = len(set(y))
    model, fit = make(name, n_classes)
    first, _ = make(name, n_classes, **{ROUNDS[name]: 1})
    assert not fit(model, X, y, 0.0, sample_weight=weight)
    first.fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(model.predict_proba(X), first.predict_proba(X))


@each_of_rounds
def test_a_model_that_is_done_as_time_runs_out_is_whole(name):
    X, y, _ = make_table()
    model, fit = make(name, **{ROUNDS[name]: 1})
    assert fit(model, X, y, 0.0) is True


def test_other_losses_of_xgboost_can_be_stopped(table):
    X, y, weight = table
    focal = {"loss": "focal", "loss_params": {"gamma": 1.5}}
    whole, fit = make("xgboost", len(set(y)), **focal)
    plain, part = clone(whole).fit(X, y, sample_weight=weight), clone(whole)
    assert fit(whole, X, y, AMPLE, sample_weight=weight)
    assert not fit(part, X, y, 0.0, sample_weight=weight)
    np.testing.assert_array_equal(whole.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_allclose(part.predict_proba(X).sum(axis=1), 1.0, rtol=1e-6)
    assert part.get_params() == whole.get_params() == plain.get_params()


def test_callbacks_of_the_user_stay(table):
    from xgboost.callback import EvaluationMonitor

    X, y, _ = table
    own = [EvaluationMonitor(show_stdv=False)]
    model, fit = make("xgboost", len(set(y)), callbacks=own)
    assert fit(model, X, y, AMPLE)
    assert model.callbacks is own


@each_forest
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("seed", [3, np.random.RandomState(3)], ids=["int", "state"])
def test_trees_grown_in_steps_are_those_grown_at_once(
    name, n_jobs, seed, table, monkeypatch
):
    X, y, weight = table
    wanted, steps = 30, []
    model, fit = make(
        name, len(set(y)), n_estimators=wanted, n_jobs=n_jobs, random_state=seed
    )
    plain = clone(model).fit(X, y, sample_weight=weight)
    own_fit = type(model).fit
    monkeypatch.setattr(
        time_limited_fit, "time", type("", (), {"monotonic": ticking(0.01)})
    )
    monkeypatch.setattr(
        type(model),
        "fit",
        lambda self, *a, **k: (steps.append(self.n_estimators), own_fit(self, *a, **k)),
    )
    assert fit(model, X, y, AMPLE, sample_weight=weight)
    assert steps[0] == n_jobs
    assert len(steps) > 1
    assert steps[-1] == len(model.estimators_) == wanted
    np.testing.assert_array_equal(plain.predict_proba(X), model.predict_proba(X))


@each_forest
def test_a_forest_cut_short_is_the_smaller_forest(name, table, monkeypatch):
    X, y, weight = table
    model, fit = make(name, len(set(y)), n_estimators=50)
    monkeypatch.setattr(
        time_limited_fit, "time", type("", (), {"monotonic": ticking()})
    )
    assert not fit(model, X, y, 7.0, sample_weight=weight)
    n_trees = len(model.estimators_)
    assert 1 < n_trees < model.n_estimators == 50
    smaller, _ = make(name, len(set(y)), n_estimators=n_trees)
    smaller.fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(model.predict_proba(X), smaller.predict_proba(X))


@each_forest
def test_a_fitted_forest_is_grown_afresh(name):
    X, y, _ = make_table()
    model, fit = make(name)
    fresh = clone(model).fit(X, y)
    assert fit(model.fit(X[::-1], y), X, y, AMPLE)
    np.testing.assert_array_equal(model.predict_proba(X), fresh.predict_proba(X))


@each_family
def test_parameters_come_back_after_an_error(name):
    X, y, _ = make_table()
    model, fit = make(name)
    before = model.get_params()
    with pytest.raises(Exception, match=r".+"):
        fit(model, X, y[:-1], AMPLE)
    assert model.get_params() == before


@each_net
@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.2, 1.0, AMPLE])
def test_a_net_that_calls_itself_whole_is_the_plain_one(name, seconds):
    X, y, _ = make_table()
    model, fit = make(name)
    plain = clone(model).fit(X, y)
    if fit(model, X, y, seconds):
        np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    else:
        assert seconds < AMPLE
    assert model.time_limit_s is None


@each_net
def test_a_deadline_of_the_net_itself_is_kept(name):
    X, y, _ = make_table()
    model, fit = make(name, time_limit_s=0.0)
    assert not fit(model, X, y, AMPLE)
    assert model.time_limit_s == 0.0


@pytest.mark.parametrize(
    ("seconds", "patience", "shortened"),
    [(200.0, 100, False), (20.0, 100, True), (20.0, 3, False), (20.0, 15, True)],
)
def test_a_shorter_plan_shows_once_it_has_changed_a_step(
    seconds, patience, shortened, monkeypatch
):
    """An epoch lasts a second; 100 are wanted, or as many as `patience` bears."""
    monkeypatch.setattr(training, "time", type("", (), {"monotonic": ticking()}))
    plan = training.EpochPlan(deadline=seconds)
    for epoch in plan.epochs(100):
        plan.rate_factor(0.0)
        if epoch == patience:
            break
    assert plan.is_shortened is shortened
