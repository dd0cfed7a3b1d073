"""scikit-learn's callbacks see the trials of a search, and may end it."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import BROKEN, DIAL, Broken, family_of, numeric

import autoimb
from autoimb import AutoImbalance
from autoimb._catalogue.entry import Float
from autoimb.exceptions import BadInputError, NoCandidateError

from_sklearn = pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9")

X, Y = numeric()


class Diary:
    """Write down every hook that is called, and ask to stop after some trials."""

    def __init__(self, stop_after=None, raises_in=None):
        self.stop_after, self.raises_in = stop_after, raises_in
        self.hooks = []

    def note(self, hook, context):
        self.hooks.append((hook, context.task_name, context.task_id))
        if (hook, context.task_name) == self.raises_in:
            raise RuntimeError("a callback of one's own failed")

    def setup(self, estimator, context):
        self.note("setup", context)

    def teardown(self, estimator, context):
        self.note("teardown", context)

    def on_fit_task_begin(self, estimator, context):
        self.note("begin", context)

    def on_fit_task_end(self, estimator, context):
        self.note("end", context)
        return context.task_name == "trial" and self.n_trials == self.stop_after

    @property
    def n_trials(self):
        return len([h for h in self.hooks if h[:2] == ("end", "trial")])


def model(**options):
    settings = {
        "families": DIAL,
        "resamplers": "none",
        "n_trials": 5,
        "cv": 2,
        "n_jobs": 1,
        "random_state": 0,
    }
    return AutoImbalance(**{**settings, **options})


def watched(diary, **options):
    return model(**options).set_callbacks(diary)


def a_trial(number):
    return [("begin", "trial", number), ("end", "trial", number)]


@pytest.mark.parametrize(
    "options", [{}, {"time_budget": 60}], ids=["auto", "time budget"]
)
def test_a_callback_sees_every_trial_in_order(options):
    diary = Diary()
    watched(diary, **options).fit(X, Y)
    trials = [hook for number in range(5) for hook in a_trial(number)]
    whole = [("begin", "fit", 0), *trials, ("end", "fit", 0)]
    assert diary.hooks == [("setup", "fit", 0), *whole, ("teardown", "fit", 0)]


def test_trials_that_fail_and_duplicates_are_trials_too():
    diary = Diary()
    fitted = watched(diary, families=[DIAL, BROKEN], n_trials=9).fit(X, Y)
    assert diary.n_trials == 9
    assert "failed" in set(fitted.leaderboard_["status"])


def test_the_number_of_trials_is_known_in_advance_where_it_is_given():
    seen = {}

    class Look(Diary):
        def setup(self, estimator, context):
            seen[estimator.n_trials] = context.max_subtasks

    watched(Look(), n_trials=3).fit(X, Y)
    watched(Look(stop_after=2), n_trials=None, time_budget=30).fit(X, Y)
    assert seen == {3: 3, None: None}


def test_a_callback_ends_the_search_early_with_a_model():
    diary = Diary(stop_after=3)
    fitted = watched(diary, n_trials=200).fit(X, Y)
    assert diary.n_trials == 3
    assert len(fitted.leaderboard_) < 10
    assert fitted.leaderboard_["status"].eq("complete").sum() >= 3
    assert fitted.predict_proba(X).shape == (len(X), 2)
    assert diary.hooks[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]


def test_what_a_callback_stopped_is_what_that_many_trials_find():
    stopped = watched(Diary(stop_after=3), n_trials=200).fit(X, Y)
    assert stopped.leaderboard_["status"].eq("complete").sum() == 3
    few = model(n_trials=3).fit(X, Y)
    np.testing.assert_array_equal(stopped.predict_proba(X), few.predict_proba(X))


def test_each_of_several_callbacks_can_end_the_search():
    one, other = Diary(), Diary(stop_after=1)
    model(n_trials=200).set_callbacks(one, other).fit(X, Y)
    assert one.n_trials == other.n_trials == 1


def test_a_callback_that_stops_after_failures_alone_leaves_their_reason():
    """No time budget was too small then."""
    broken = family_of(Broken(), "broken", noise=Float(0.0, 1.0, default=0.5))
    diary = Diary(stop_after=2)
    with pytest.raises(NoCandidateError, match="this model is broken"):
        watched(diary, families=broken, n_trials=20).fit(X, Y)
    assert diary.hooks[-1] == ("teardown", "fit", 0)


@pytest.mark.parametrize(
    "where", [("begin", "fit"), ("begin", "trial"), ("end", "trial"), ("end", "fit")]
)
def test_callbacks_are_torn_down_when_one_of_them_fails(where):
    diary = Diary(raises_in=where)
    with pytest.raises(RuntimeError, match="one's own failed"):
        watched(diary).fit(X, Y)
    assert [hook for hook, *_ in diary.hooks].count("teardown") == 1
    assert diary.hooks[-1] == ("teardown", "fit", 0)


def test_callbacks_are_torn_down_when_every_candidate_fails():
    diary = Diary()
    with pytest.raises(NoCandidateError):
        watched(diary, families=BROKEN).fit(X, Y)
    assert diary.hooks[-1] == ("teardown", "fit", 0)


def test_a_fit_that_never_begins_leaves_callbacks_alone():
    diary = Diary()
    with pytest.raises(BadInputError):
        watched(diary).fit(X, Y[:-1])
    hooks = [hook for hook, *_ in diary.hooks]
    assert hooks in ([], ["setup", "teardown"])


def test_a_callback_sees_a_stored_search_go_on(tmp_path):
    url = f"sqlite:///{tmp_path / 'search.db'}"
    model(n_trials=3, storage=url).fit(X, Y)
    diary = Diary()
    watched(diary, n_trials=5, storage=url).fit(X, Y)
    trials = [hook for number in range(5) for hook in a_trial(number)]
    assert diary.hooks[2:-2] == trials
    for n_trials in (5, 2):  # nothing is left to do
        again = Diary()
        watched(again, n_trials=n_trials, storage=url).fit(X, Y)
        assert again.hooks[-1] == ("teardown", "fit", 0)


def test_a_second_fit_starts_afresh():
    diary = Diary()
    watching = watched(diary).fit(X, Y)
    first = list(diary.hooks)
    diary.hooks.clear()
    watching.fit(X, Y)
    assert diary.hooks == first


# --- scikit-learn's progress bar


def test_the_progress_bar_draws(capsys):
    fitted = model().set_callbacks(from_sklearn.ProgressBar()).fit(X, Y)
    drawn = capsys.readouterr().out
    assert "AutoImbalance - fit" in drawn
    assert "100%" in drawn
    assert fitted.predict(X).shape == Y.shape


def test_the_progress_bar_draws_without_a_number_of_trials(capsys):
    watching = model(n_trials=None, time_budget=20)
    watching.set_callbacks(from_sklearn.ProgressBar(), Diary(stop_after=2)).fit(X, Y)
    assert "AutoImbalance - fit" in capsys.readouterr().out


def test_a_callback_changes_nothing_else():
    watching = watched(Diary()).fit(X, Y)
    alone = model().fit(X, Y)
    np.testing.assert_array_equal(watching.predict_proba(X), alone.predict_proba(X))
    kept = {name for name in vars(watching) if "callback" in name}
    assert kept == {"_skl_callbacks"}


def test_a_fitted_model_with_a_callback_is_pickled_and_cloned():
    fitted = model().set_callbacks(from_sklearn.ProgressBar()).fit(X, Y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    copied = clone(fitted)
    assert not hasattr(copied, "classes_")
    copied.fit(X, Y)
    np.testing.assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize(
    "callback", [from_sklearn.ProgressBar(), Diary()], ids=["bar", "own"]
)
def test_a_fitted_model_with_a_callback_is_saved_without_it(callback, tmp_path):
    fitted = watched(callback, families="logistic_regression").fit(X, Y)
    fitted.save(tmp_path / "model.skops")
    again = autoimb.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert fitted._skl_callbacks == [callback]


# --- nested in estimators that propagate callbacks, and in those that do not


def test_cross_validation_fits_it_like_any_other_estimator():
    watching = cross_val_score(watched(Diary(), n_trials=2), X, Y, cv=2)
    alone = cross_val_score(model(n_trials=2), X, Y, cv=2)
    np.testing.assert_array_equal(watching, alone)


@pytest.mark.parametrize(
    "nested",
    [
        lambda own: GridSearchCV(own, {"calibrate": [True, False]}, cv=2),
        lambda own: make_pipeline(StandardScaler(), own),
    ],
    ids=["grid", "pipeline"],
)
def test_a_progress_bar_around_it_draws(nested, capsys):
    outer = nested(model(n_trials=2))
    if not hasattr(outer, "set_callbacks"):
        pytest.skip("this estimator knows no callbacks")
    outer.set_callbacks(from_sklearn.ProgressBar(max_propagation_depth=None)).fit(X, Y)
    assert "AutoImbalance" in capsys.readouterr().out
    assert outer.predict(X).shape == Y.shape


def test_around_an_estimator_with_callbacks_of_its_own_it_still_fits():
    """scikit-learn's own models know callbacks too; candidates are clones of them."""
    diary = Diary()
    inner = LogisticRegression()
    if hasattr(inner, "set_callbacks"):
        inner.set_callbacks(Diary())
    own = AutoImbalance(inner, n_trials=2, cv=2, n_jobs=1, random_state=0)
    own.set_callbacks(diary).fit(X, Y)
    assert diary.n_trials == 2
