"""A stored study that is damaged, out of reach or in use is an error that names it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from tables import BROKEN, DIAL, numeric

from autoimb import AutoImbalance
from autoimb._execution.executors import SequentialExecutor
from autoimb._search import study_lock
from autoimb._search.study import Storage, opened_study, quiet_optuna
from autoimb.exceptions import (
    AutoImbWarning,
    BadInputError,
    StorageMismatchError,
    StudyInUseError,
)

X, Y = numeric(120, 30)


def fit(storage, **options):
    settings = {"families": DIAL, "n_trials": 3, "cv": 3, "n_jobs": 1}
    return AutoImbalance(
        storage=storage, random_state=0, **{**settings, **options}
    ).fit(X, Y)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'search.db'}"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "search.db.oof" / "autoimb"


# --- addresses


def corrupt(tmp_path):
    path = tmp_path / "text.db"
    path.write_text("no database\n" * 99)
    return f"sqlite:///{path}"


ADDRESSES = {
    "path": (lambda folder: folder / "search.db", r"'sqlite:///.*search\.db' would"),
    "name": (lambda folder: "search.db", r"'sqlite:///search\.db' would keep"),
    "number": (lambda folder: 3, "must be a database URL"),
    "object": (lambda folder: object(), "must be a database URL"),
    "no folder": (
        lambda folder: f"sqlite:///{folder}/none/s.db",
        r"in the folder '.*/none', which does not exist",
    ),
    "no database": (corrupt, r"text\.db' cannot be read or written .*not a database"),
    "a folder": (
        lambda folder: f"sqlite:///{folder}",
        "cannot be read or written .*unable to open",
    ),
    "scheme": (lambda folder: "foo://x/y", r"'foo://x/y' cannot be read or written"),
    "slip": (lambda folder: "sqlite://host/x.db", "cannot be read or written"),
    "driver": (
        lambda folder: "postgresql+none://me:secret@host/x",
        r"postgresql\+none://me:\*\*\*@host/x' cannot be read",
    ),
}


@pytest.mark.parametrize(("make", "message"), ADDRESSES.values(), ids=ADDRESSES)
def test_a_wrong_address_is_one_line_that_names_it(
    make, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match=message) as caught:
        fit(make(tmp_path))
    text = str(caught.value)
    assert text.startswith("storage=")
    assert "\n" not in text
    assert "secret" not in text
    assert {path.name for path in tmp_path.iterdir()} <= {"text.db"}


def test_a_database_that_was_cut_is_one_line(url, tmp_path):
    fit(url)
    path = tmp_path / "search.db"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BadInputError, match=r"search\.db' cannot be read or written"):
        fit(url)


def lost(path):
    """Return what takes a database away, and what puts it back."""

    def lose():
        path.rename(path.with_name("away.db"))
        path.mkdir()

    def put_back():
        path.rmdir()
        path.with_name("away.db").rename(path)

    return lose, put_back


def full_disk(path):
    """Return what leaves no room for the files of trials, and what makes some."""
    folder = path.with_name("search.db.oof")

    def fill():
        folder.rename(path.with_name("away"))
        folder.symlink_to("/dev/full")

    def make_room():
        folder.unlink()
        path.with_name("away").rename(folder)

    return fill, make_room


FAULTS = {"database": lost, "files": full_disk}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_storage_that_fails_in_mid_search_ends_it_with_what_is_complete(
    fault, url, tmp_path
):
    """What was complete by then is neither lost nor fitted again."""
    fail, mend = fault(tmp_path / "search.db")
    with pytest.warns(
        AutoImbWarning, match=r"search\.db' cannot be read or written"
    ) as caught:
        model = fit(url, executor=Inner(fail, at=7))
    assert len([w for w in caught if w.category is AutoImbWarning]) == 1
    status = model.leaderboard_["status"]
    assert status.eq("complete").sum() >= 1
    reasons = model.leaderboard_["reason"][status == "timeout"]
    assert all(reason.startswith("the storage failed after") for reason in reasons)
    assert model.predict_proba(X).shape == (len(X), 2)
    mend()
    resumed, whole = Inner(int), Inner(int)
    again = fit(url, executor=resumed)
    assert again.leaderboard_["status"].eq("complete").all()
    assert_same_scores(again, fit(None, executor=whole))
    assert resumed.n <= whole.n - 3


def test_a_storage_that_fails_before_anything_is_complete_is_an_error(url, tmp_path):
    fail, _ = lost(tmp_path / "search.db")
    with pytest.raises(BadInputError, match=r"search\.db' cannot be read or written"):
        fit(url, executor=Inner(fail, at=1), families=BROKEN)


def test_a_folder_that_cannot_be_written_is_named(url, tmp_path):
    (tmp_path / "search.db.oof").write_text("a file")
    with pytest.raises(BadInputError, match=r"search\.db' cannot be read or written"):
        fit(url)


def assert_same_scores(model, other):
    np.testing.assert_array_equal(
        model.leaderboard_["mean"].to_numpy(), other.leaderboard_["mean"].to_numpy()
    )


# --- files beside it


def of_another_trial(path):
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({**saved, "number": 7}))


def of_other_rows(path):
    arrays = dict(np.load(path))
    np.savez(path, **{fold: scores[:-1] for fold, scores in arrays.items()})


def not_finite(path):
    arrays = dict(np.load(path))
    np.savez(path, **{fold: scores * np.nan for fold, scores in arrays.items()})


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


DAMAGES = {
    "junk scores": ("npz", lambda path: path.write_bytes(b"\x00junk" * 50)),
    "cut scores": ("npz", cut),
    "scores of other rows": ("npz", of_other_rows),
    "scores that are none": ("npz", not_finite),
    "a pickle": ("npz", lambda path: path.write_bytes(b"\x80\x04N.")),
    "cut record": ("json", cut),
    "no text": ("json", lambda path: path.write_bytes(b"\xff\xfe\x00")),
    "foreign record": ("json", lambda path: path.write_text('{"a": 1}')),
    "another trial": ("json", of_another_trial),
}


@pytest.mark.parametrize(("suffix", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named(suffix, damage, url, folder):
    fit(url)
    path = folder / f"trial-00001.{suffix}"
    damage(path)
    with pytest.raises(StorageMismatchError, match=str(path)) as caught:
        fit(url)
    assert "\n" not in str(caught.value)


def test_files_of_other_names_are_left_alone(url, folder):
    first = fit(url)
    for name in ("notes.txt", "trial-00001 (copy).json", "trial-x.json", "trial-1.npz"):
        (folder / name).write_bytes(b"junk")
    again = fit(url)
    assert again.leaderboard_.equals(first.leaderboard_)


# --- two searches of one study


class Inner(SequentialExecutor):
    """Evaluate in this process, and do something else in the middle of it."""

    def __init__(self, action, at=4):
        self.n, self.action, self.at = 0, action, at

    def submit_within(self, seconds, fn, /, *args, **kwargs):
        self.n += 1
        if self.n == self.at:
            self.action()
        return super().submit_within(seconds, fn, *args, **kwargs)


@pytest.fixture
def _quick_marks(monkeypatch):
    monkeypatch.setattr(study_lock, "_CHANGE_S", 0.05)
    monkeypatch.setattr(study_lock, "_STALE_S", 2.0)
    monkeypatch.setattr(study_lock, "_POLL_S", 0.05)


def journal(tmp_path):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))


STORAGES = {
    "file": lambda tmp_path: f"sqlite:///{tmp_path / 'search.db'}",
    "object": lambda tmp_path: optuna.storages.RDBStorage(
        f"sqlite:///{tmp_path / 'search.db'}"
    ),
    "memory": lambda tmp_path: optuna.storages.InMemoryStorage(),
    "journal": journal,
}


@pytest.mark.usefixtures("_quick_marks")
@pytest.mark.parametrize("make", STORAGES.values(), ids=STORAGES)
def test_a_second_search_is_refused_and_the_first_loses_nothing(
    make, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    storage, refused = make(tmp_path), []

    def second():
        with pytest.raises(StudyInUseError, match="searched by process") as caught:
            fit(storage)
        refused.append(str(caught.value))
        fit(storage, study_name="another")

    first = fit(storage, executor=Inner(second))
    assert len(refused) == 1
    assert f"process {os.getpid()} on " in refused[0]
    assert "\n" not in refused[0]
    plain = fit(None)
    np.testing.assert_array_equal(
        first.leaderboard_["mean"].to_numpy(), plain.leaderboard_["mean"].to_numpy()
    )
    again = fit(storage)  # it is free again
    assert len(again.leaderboard_) == 3


@pytest.mark.usefixtures("_quick_marks")
@pytest.mark.parametrize("make", STORAGES.values(), ids=STORAGES)
def test_a_search_that_failed_leaves_the_study_free(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = make(tmp_path)

    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(storage, executor=Inner(fail), n_trials=1, cv=5)
    assert len(fit(storage, cv=5).leaderboard_) == 3


@pytest.mark.usefixtures("_quick_marks")
def test_the_mark_of_a_dead_process_is_taken_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = optuna.storages.InMemoryStorage()
    with quiet_optuna():
        study = opened_study(Storage(storage))
    dead = {"id": "x", "owner": "process 1 on elsewhere", "change": 4}
    study.set_user_attr("autoimb:owner", dead)
    started = time.monotonic()
    fit(storage)
    assert time.monotonic() - started > 2.0
    assert study.user_attrs["autoimb:owner"] is None


SEARCH = """
import sys, time
sys.path.insert(0, sys.argv[1])
from test_stored_faults import Inner, fit

def wait():
    print("searching", flush=True)
    time.sleep(float(sys.argv[3]))

fit(sys.argv[2], executor=Inner(wait))
"""


@pytest.mark.parametrize("end", ["killed", "ends"])
def test_another_process_is_refused_until_the_first_has_ended(end, url):
    """The lock of a process that was killed is gone at once, with what it held."""
    first = subprocess.Popen(
        [
            *(sys.executable, "-c", SEARCH, str(Path(__file__).parent), url),
            "60" if end == "killed" else "2",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert first.stdout.readline() == "searching\n", first.stderr.read()
    with pytest.raises(StudyInUseError, match=f"searched by process {first.pid} on "):
        fit(url)
    if end == "killed":
        first.send_signal(signal.SIGKILL)
    _, err = first.communicate(timeout=60)
    assert first.returncode == (0 if end == "ends" else -signal.SIGKILL), err
    model = fit(url)
    plain = fit(None)
    np.testing.assert_array_equal(
        model.leaderboard_["mean"].to_numpy(), plain.leaderboard_["mean"].to_numpy()
    )
