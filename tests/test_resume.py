"""A search that was broken off goes on, and ends as if it never had been."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold
from tables import BROKEN, DIAL, numeric

from autoimb import AutoImbalance
from autoimb._execution.executors import SequentialExecutor
from autoimb._search.study import Storage, opened_study
from autoimb._search.trial_files import TrialFiles
from autoimb.exceptions import StorageMismatchError

BEFORE_ANY, EARLY, MIDDLE = 2, 9, 18  # evaluations after which a search is broken off


class Recorder(SequentialExecutor):
    """Evaluate in this process, note what, and break off before the n-th time."""

    def __init__(self, n_until=None, break_off=None):
        self.asked, self.n_until, self.break_off = [], n_until, break_off

    def submit_within(self, seconds, fn, /, *args, **kwargs):
        if len(self.asked) == self.n_until:
            self.break_off()
        strategy, fold, *_ = args
        self.asked.append((strategy, fold))
        return super().submit_within(seconds, fn, *args, **kwargs)


def press_ctrl_c():
    raise KeyboardInterrupt


def kill_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'search.db'}"


def table():
    """Return rows so many that finalists need no further repeats."""
    return numeric(520, 260)


def small(X=None, y=None, **options):
    """Fit a few trials of a model that costs nothing, on three folds."""
    if X is None:
        X, y = table()
    extra = {k: options.pop(k) for k in ("sample_weight", "groups") if k in options}
    settings = {
        "families": DIAL,
        "resamplers": "random_under",
        "n_trials": 3,
        "cv": 3,
        "random_state": 0,
        "executor": Recorder(),
    }
    return AutoImbalance(**{**settings, **options}).fit(X, y, **extra)


def racing(storage=None, executor=None, **options):
    """Fit on rows enough for a racing: some candidates are dropped, some fail."""
    X, y = numeric(600, 120)
    settings = {
        "families": [DIAL, BROKEN],
        "n_trials": 14,
        "cv": 4,
        "random_state": 1,
        "storage": storage,
        "executor": executor or Recorder(),
    }
    return AutoImbalance(**{**settings, **options}).fit(X, y)


@pytest.fixture(scope="module")
def whole():
    """Return a search that was never broken off."""
    return racing()


def assert_same(model, other):
    """Compare leaderboards, but for seconds, and predictions."""
    pd.testing.assert_frame_equal(
        model.leaderboard_.drop(columns="fit_seconds"),
        other.leaderboard_.drop(columns="fit_seconds"),
        check_exact=True,
    )
    X, _ = numeric(50, 10, seed=9)
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))
    assert model.threshold_ == other.threshold_


def ended(url):
    """Return the strategies of stored trials that ended on their own."""
    records = TrialFiles(Storage(url).folder).read().values()
    return {
        r.proposed or r.strategy
        for r in records
        if r.status in ("complete", "dropped", "failed")
    }


def searched(model):
    """Return what a fit evaluated on the folds of the search, not of finalists."""
    return {strategy for strategy, fold in model.executor.asked if fold < 4}


def scores(model):
    """Return the score of each strategy by its name."""
    return dict(
        zip(*model.leaderboard_[["strategy", "mean"]].to_numpy().T, strict=True)
    )


# --- one clock, and the same folds


def test_the_clock_of_a_search_goes_on(url):
    """Its best score so far never falls, and its seconds never run backwards."""
    first = racing(url, n_trials=5)
    seconds = [first.report().data.search.seconds]
    for n_trials in (9, 14):
        model = racing(url, n_trials=n_trials)
        search = model.report().data.search
        at, best = np.transpose(search.best_so_far)
        assert (np.diff(at) >= 0).all()
        assert (np.diff(best) > 0).all()
        seconds.append(search.seconds)
        assert at[-1] <= search.seconds
    assert seconds == sorted(seconds)
    records = TrialFiles(Storage(url).folder).read().values()
    finished = [r.finished_at for r in sorted(records, key=lambda r: r.number)]
    assert finished == sorted(finished)


def test_finalists_of_an_earlier_fit_race_on_the_folds_that_all_run(url):
    """Their further repeats neither help nor harm them against new candidates."""
    X, y = numeric(160, 40)
    how = {"cv": None, "families": DIAL}
    small(X, y, storage=url, n_trials=8, **how)
    stored = TrialFiles(Storage(url).folder).read()
    n_folds = {number: len(r.results) for number, r in stored.items()}
    assert len(set(n_folds.values())) == 2  # finalists have more
    resumed = small(X, y, storage=url, n_trials=16, **how)
    values = {t.value for t in resumed.study_.trials}  # over the first repeat
    scores = dict(resumed.report().data.search.best_so_far).values()
    assert len(scores) > 1
    assert values.issuperset(scores)


# --- what is kept, and where


def test_every_finished_trial_is_kept_as_it_ends(url, tmp_path):
    """Whoever looks in from outside sees a trial before the next is evaluated."""
    seen = []

    def look():
        folder = tmp_path / "search.db.oof" / "autoimb"
        seen.append(sorted(path.name for path in folder.glob("*")))
        press_ctrl_c()

    small(storage=url, executor=Recorder(7, look))
    assert seen == [[f"trial-0000{n}.{end}" for n in (0, 1) for end in ("json", "npz")]]


def test_optuna_reads_what_is_stored(url):
    model = racing(url, study_name="mine")
    study = optuna.load_study(study_name="mine", storage=url)
    assert [t.value for t in study.trials] == [t.value for t in model.study_.trials]
    dropped = [t for t in study.trials if t.user_attrs["status"] == "dropped"]
    assert dropped
    assert all(t.user_attrs["incomplete"] for t in dropped)
    others = [t for t in study.trials if t.user_attrs["status"] != "dropped"]
    assert not any(t.user_attrs.get("incomplete") for t in others)
    best = max(t.value for t in others if t.state.name == "COMPLETE")
    first_repeat = [t.value for t in model.study_.trials if t.value is not None]
    assert best == max(first_repeat)


def test_a_storage_changes_nothing(url, whole):
    assert_same(racing(url), whole)


# --- going on


def test_a_second_fit_evaluates_nothing_again(url):
    first = small(storage=url)
    again = small(storage=url)
    assert len(first.executor.asked) == 3 * 3
    assert again.executor.asked == []
    assert_same(again, first)


def test_repeats_of_finalists_are_kept_too(url):
    X, y = numeric()
    first = small(X, y, storage=url)
    assert {fold for _, fold in first.executor.asked} > {0, 1, 2}
    again = small(X, y, storage=url)
    assert again.executor.asked == []
    assert_same(again, first)


def test_known_trials_count(url):
    first = small(storage=url, n_trials=3)
    more = small(storage=url, n_trials=5)
    assert len(more.leaderboard_) == 5
    assert len(searched(more)) == 2
    assert not searched(first) & searched(more)
    assert scores(first).items() <= scores(more).items()


def test_fewer_trials_than_are_known_evaluate_nothing(url):
    first = small(storage=url, n_trials=4)
    fewer = small(storage=url, n_trials=2)
    assert fewer.executor.asked == []
    assert_same(fewer, first)


def test_without_a_random_state_the_stored_seed_goes_on(url):
    first = small(storage=url, random_state=None)
    more = small(storage=url, random_state=None, n_trials=5)
    assert len(searched(more)) == 2
    assert scores(first).items() <= scores(more).items()


def test_studies_of_other_names_are_left_alone(url):
    first = small(storage=url, study_name="one")
    other = small(storage=url, study_name="other", metric="roc_auc", random_state=5)
    assert len(other.executor.asked) == 9
    assert small(storage=url, study_name="one").executor.asked == []
    assert first.best_score_ != other.best_score_


def test_a_storage_of_ones_own_goes_on_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = optuna.storages.InMemoryStorage()
    first = small(storage=storage)
    again = small(storage=storage)
    assert again.executor.asked == []
    assert_same(again, first)
    another = small(storage=optuna.storages.InMemoryStorage())
    assert len(another.executor.asked) == 9, "records of another study were taken"


@pytest.mark.parametrize("n_until", [BEFORE_ANY, EARLY, MIDDLE])
def test_a_search_that_ctrl_c_broke_off_ends_as_if_it_had_not(url, n_until, whole):
    try:
        broken = racing(url, Recorder(n_until, press_ctrl_c))
    except KeyboardInterrupt:
        assert n_until == BEFORE_ANY  # there was nothing yet to keep
    else:
        assert broken.leaderboard_["status"].eq("complete").any()
    known = ended(url)
    resumed = racing(url)
    assert_same(resumed, whole)
    assert not known & searched(resumed)


def test_a_trial_that_waited_to_begin_is_tried_once(url, whole, monkeypatch):
    """The process ended between the two steps by which Optuna proposes a trial."""
    ask, n_left = optuna.Study.ask, [2]

    def ask_or_end(study):
        n_left[0] -= 1
        if not n_left[0]:
            press_ctrl_c()
        return ask(study)

    monkeypatch.setattr(optuna.Study, "ask", ask_or_end)
    with pytest.raises(KeyboardInterrupt):
        racing(url)
    states = [trial.state for trial in opened_study(Storage(url)).trials]
    assert optuna.trial.TrialState.WAITING in states
    assert_same(racing(url), whole)


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from test_resume import Recorder, kill_this_process, racing
racing(sys.argv[2], Recorder(int(sys.argv[3]), kill_this_process))
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_until", [BEFORE_ANY, EARLY, MIDDLE])
def test_a_search_whose_process_was_killed_ends_as_if_it_had_not(url, n_until, whole):
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", KILLED, folder, url, str(n_until)]
    done = subprocess.run(command, check=False, capture_output=True, timeout=150)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    known = ended(url)
    assert len(known) > 0 or n_until == BEFORE_ANY
    resumed = racing(url)
    assert not known & searched(resumed)
    assert_same(resumed, whole)


def test_a_search_can_be_broken_off_again_and_again(url, whole):
    for n_until in range(5, 45, 4):
        executor = Recorder(n_until, press_ctrl_c)
        try:
            model = racing(url, executor)
        except KeyboardInterrupt:
            continue
        if len(executor.asked) < n_until:
            break
    assert_same(model, whole)


# --- what does not fit


def flipped():
    X, y = table()
    at = [np.flatnonzero(y == 1)[0], np.flatnonzero(y == 0)[0]]
    y[at] = y[at[::-1]]
    return X, y


def moved():
    X, y = table()
    return X + 0.5, y


MISMATCHES = {
    "rows": ("other data", dict(zip("Xy", moved(), strict=True))),
    "labels": ("other data", dict(zip("Xy", flipped(), strict=True))),
    "weights": ("other data", {"sample_weight": np.arange(1.0, 521.0)}),
    "class of interest": ("other data", {"pos_label": 0}),
    "groups": ("other folds", {"groups": np.arange(520) // 2}),
    "cv": ("other folds", {"cv": 4}),
    "metric": ("another metric", {"metric": "roc_auc"}),
    "families": ("another search space", {"families": "logistic_regression"}),
    "resamplers": ("another search space", {"resamplers": "random_over"}),
    "seed": ("random_state", {"random_state": 1}),
}


@pytest.mark.parametrize(("part", "options"), MISMATCHES.values(), ids=MISMATCHES)
def test_another_search_under_the_same_name_is_refused(url, part, options):
    small(storage=url, n_trials=1)
    with pytest.raises(StorageMismatchError, match=part) as caught:
        small(storage=url, **options)
    assert "'autoimb'" in str(caught.value)
    assert "study_name" in str(caught.value)
    assert len(small(storage=url, n_trials=1).leaderboard_) == 1


def test_another_version_is_refused(url, monkeypatch):
    small(storage=url, n_trials=1)
    monkeypatch.setattr("autoimb._search.fingerprint.version", lambda _: "0.0.1")
    with pytest.raises(StorageMismatchError, match="another autoimb version"):
        small(storage=url)


def test_another_seed_is_refused_with_folds_of_ones_own(url):
    folds = StratifiedKFold(3)
    small(storage=url, cv=folds)
    with pytest.raises(StorageMismatchError, match="random_state"):
        small(storage=url, cv=folds, random_state=1)


def test_a_folder_that_is_gone_is_an_error_that_says_so(url, tmp_path):
    small(storage=url)
    (tmp_path / "search.db.oof").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageMismatchError, match="is gone: put it back") as caught:
        small(storage=url)
    assert "search.db.oof" in str(caught.value)


def test_a_new_database_beside_an_old_folder_takes_nothing_from_it(url, tmp_path):
    small(storage=url)
    (tmp_path / "search.db").unlink()
    X, y = moved()
    try:
        again = small(X, y, storage=url)
    except StorageMismatchError:
        return  # to refuse it is as good
    assert len(again.executor.asked) == 9
    assert len(again.leaderboard_) == 3
