"""The study goes on where it was left, for the same search and no other."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from tables import DIAL, Dial, family_of, numeric, problem_of, space_of

from autoimb._catalogue.entry import Float
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._metrics.bootstrap import Score
from autoimb._metrics.scorers import resolve_metric
from autoimb._search.fingerprint import _content_of, fingerprint_of
from autoimb._search.study import (
    Storage,
    StudyRecords,
    quiet_optuna,
    resolve_storage,
)
from autoimb._search.trials import TrialRecord
from autoimb.exceptions import BadInputError, StorageMismatchError

X, Y = numeric()
SPACE = space_of(X, Y, family=DIAL, resampler=[], class_weight=[], loss=[])
PRINT = {"data": "a", "folds": "b"}


@pytest.fixture(autouse=True)
def _quiet():
    """Keep Optuna as quiet as a search does."""
    with quiet_optuna():
        yield


@pytest.fixture
def storage(tmp_path):
    return Storage(f"sqlite:///{tmp_path / 'search.db'}", "mine")


def opened(storage, fingerprint=PRINT, seed=0):
    return StudyRecords.open(storage, fingerprint, seed)


def record_of(number, strategy, status="complete", value=0.5, **extra):
    """Return the record of a trial that scored `value`."""
    scored = status == "complete"
    values = {
        "score": Score(value, np.array([value]), (0,)),
        "results": (FoldResult(0, "ok", np.full((4, 2), 0.5)),),
        "reported_value": value,
    }
    return TrialRecord(
        number=number,
        strategy=strategy,
        status=status,
        **{**(values if scored else {}), **extra},
    )


def step(study_records, place, value=0.5):
    """Ask for a trial, tell its value and return its parameters."""
    trial = study_records.ask(place)
    strategy = SPACE.suggest(trial)
    study_records.tell(trial, record_of(trial.number, strategy, value=value))
    return trial.params


# --- where it is kept


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("sqlite:///search.db", "search.db.oof/mine"),
        ("sqlite:////a/b/search.db", "/a/b/search.db.oof/mine"),
        ("sqlite:///:memory:", "autoimb.oof/mine"),
        ("sqlite://", "autoimb.oof/mine"),
        ("postgresql://user:secret@host/search", "autoimb.oof/mine"),
    ],
)
def test_scores_lie_beside_the_database_if_it_is_a_file(url, folder):
    assert Storage(url, "mine").folder == Path(folder)


@pytest.mark.parametrize(
    ("one", "other"), [("a/b", "a_b"), ("a b", "a/b"), ("..", "."), ("A:1", "A?1")]
)
def test_two_studies_never_share_a_folder(one, other):
    url = "sqlite:////a/search.db"
    folders = [Storage(url, name).folder.resolve() for name in (one, other)]
    assert folders[0] != folders[1]
    assert all(f.parent == Path("/a/search.db.oof").resolve() for f in folders)


def test_a_name_without_a_storage_is_refused():
    assert resolve_storage(None, None) is None
    assert resolve_storage("sqlite:///a.db", None) == Storage("sqlite:///a.db")
    with pytest.raises(BadInputError, match=r"storage='sqlite:///search\.db'"):
        resolve_storage(None, "mine")


def test_the_seed_of_a_study_is_known_where_there_is_one(storage):
    assert storage.seed() is None
    opened(storage, seed=41)
    assert storage.seed() == 41
    assert replace(storage, name="other").seed() is None


# --- going on


def test_a_study_in_memory_keeps_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study_records = opened(None)
    step(study_records, 0)
    assert study_records.trial_files is None
    assert not list(tmp_path.iterdir())


def test_reported_trials_are_there_when_the_study_is_opened_again(storage):
    study_records = opened(storage)
    params = [step(study_records, place, value=place / 10) for place in range(3)]
    again = opened(storage)
    assert [r.number for r in again.records] == [0, 1, 2]
    assert [r.mean for r in again.records] == [0.0, 0.1, 0.2]
    assert [SPACE.to_params(r.strategy) for r in again.records] == params
    assert [t.params for t in again.study.trials] == params


def test_proposals_do_not_depend_on_where_the_study_was_broken_off(storage):
    """What the next is depends on the seed, the place and the trials so far."""
    whole = opened(None)
    expected = [step(whole, place, value=(place * 7 % 5) / 10) for place in range(8)]
    found = [
        step(opened(storage), place, value=(place * 7 % 5) / 10) for place in range(8)
    ]
    assert found == expected


def test_first_trials_come_in_their_order_and_once(storage):
    first = [{"family:dial:noise": n / 10} for n in range(4)]
    study_records = opened(storage)
    study_records.enqueue(first, n_startup=len(first))
    assert step(study_records, 0) == first[0]
    again = opened(storage)
    again.enqueue(first[1:], n_startup=4)
    assert [step(again, place) for place in (1, 2, 3)] == first[1:]
    assert step(again, 4) not in first


def test_trials_that_were_broken_off_come_again_before_all_others(storage):
    first = [{"family:dial:noise": n / 10} for n in range(6)]
    study_records = opened(storage)
    study_records.enqueue(first, n_startup=len(first))
    for place in range(3):  # proposed, and never reported
        SPACE.suggest(study_records.ask(place))
    again = opened(storage)
    again.enqueue(first, n_startup=len(first))
    assert [step(again, place) for place in range(6)] == first


def test_a_trial_broken_off_before_its_parameters_were_read_keeps_them(storage):
    first = [{"family:dial:noise": 0.25}]
    study_records = opened(storage)
    study_records.enqueue(first, n_startup=len(first))
    study_records.ask(0)
    again = opened(storage)
    assert step(again, 0) == first[0]


@pytest.mark.parametrize("status", ["complete", "dropped", "failed"])
def test_a_trial_that_was_written_but_not_reported_is_reported_on_opening(
    storage, status
):
    study_records = opened(storage)
    trial = study_records.ask(0)
    record = record_of(trial.number, SPACE.suggest(trial), status)
    study_records.trial_files.write(record)
    (frozen,) = opened(storage).study.trials
    states = {"complete": "COMPLETE", "dropped": "PRUNED", "failed": "FAIL"}
    assert frozen.state.name == states[status]
    assert frozen.user_attrs["status"] == status
    assert frozen.user_attrs.get("incomplete", False) == (status == "dropped")


def test_optuna_reads_the_study_as_it_is(storage):
    study_records = opened(storage)
    step(study_records, 0, value=0.25)
    for status, value in [("dropped", 0.125), ("dropped", None), ("failed", None)]:
        trial = study_records.ask(1)
        strategy = SPACE.suggest(trial)
        study_records.tell(
            trial,
            record_of(
                trial.number, strategy, status, reported_value=value, reason="because"
            ),
        )
    study = optuna.load_study(study_name="mine", storage=storage.backend)
    trials = study.trials
    assert [t.state.name for t in trials] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"]
    assert [t.value for t in trials] == [0.25, 0.125, None, None]
    incomplete = [t.user_attrs.get("incomplete", False) for t in trials]
    assert incomplete == [False, True, True, False]
    assert [t.user_attrs.get("reason") for t in trials] == [None, *["because"] * 3]
    assert study.best_value == 0.25
    assert study.direction.name == "MAXIMIZE"


def test_scores_that_are_forgotten_are_gone_for_the_next(storage):
    study_records = opened(storage)
    step(study_records, 0)
    trial = study_records.ask(1)
    record = record_of(trial.number, SPACE.suggest(trial))
    study_records.tell(trial, record)
    study_records.forget_scores(record)
    kept = [bool(r.results) for r in opened(storage).records]
    assert kept == [True, False]


def test_records_that_were_scored_again_are_kept(storage):
    study_records = opened(storage)
    step(study_records, 0)
    (record,) = opened(storage).records
    more = FoldResult(1, "ok", np.full((4, 2), 0.25))
    study_records.update([replace(record, results=(*record.results, more), n_folds=2)])
    (again,) = opened(storage).records
    assert (again.n_folds, len(again.results)) == (2, 2)


# --- the same search and no other


def test_another_fingerprint_is_refused_and_what_differs_is_named(storage):
    step(opened(storage), 0)
    with pytest.raises(StorageMismatchError, match=r"'mine'.*other folds") as caught:
        opened(storage, {**PRINT, "folds": "c"})
    assert "other data" not in str(caught.value)
    assert "study_name" in str(caught.value)
    with pytest.raises(StorageMismatchError, match="other data and other folds"):
        opened(storage, {"data": "x", "folds": "y"})
    assert len(opened(storage).records) == 1


def test_the_seed_of_a_study_cannot_change(storage):
    """Folds may be the user's own, and then say nothing about the seed."""
    step(opened(storage, seed=1), 0)
    with pytest.raises(StorageMismatchError, match="random_state"):
        opened(storage, seed=2)


def test_a_study_of_other_software_is_refused(storage):
    study = optuna.create_study(storage=storage.backend, study_name="mine")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageMismatchError, match="study_name"):
        opened(storage)


def test_a_study_whose_folder_is_gone_is_refused(storage):
    step(opened(storage), 0)
    storage.folder.rename(storage.folder.with_name("elsewhere"))
    with pytest.raises(StorageMismatchError, match=r"search\.db\.oof.*is gone"):
        opened(storage)


def test_a_study_that_lost_some_of_its_records_is_refused(storage):
    study_records = opened(storage)
    for place in range(3):
        step(study_records, place)
    next(storage.folder.glob("trial-00001.*json")).unlink()
    with pytest.raises(StorageMismatchError, match="gone"):
        opened(storage)


def test_a_folder_left_by_a_study_that_is_gone_is_not_taken_for_its_own(storage):
    """The database was deleted, its folder was not: those records are of no search."""
    step(opened(storage, {**PRINT, "data": "old"}), 0)
    optuna.delete_study(study_name="mine", storage=storage.backend)
    try:
        study_records = opened(storage)
    except StorageMismatchError:
        return  # to refuse it is as good
    assert study_records.records == []


# --- fingerprints


def print_of(space=SPACE, metric="average_precision", x=X, y=Y, **options):
    problem = problem_of(x, y, catalogue=space.catalogue, **options)
    return fingerprint_of(replace(problem, metric=resolve_metric(metric, 2)), space)


def changed(other):
    """Return the parts of the fingerprint that differ from that of the plain search."""
    plain = print_of()
    return {part for part in plain if plain[part] != other[part]}


def space_with(noise):
    dial = family_of(Dial(), "dial", noise=noise)
    return space_of(X, Y, family=dial, resampler=[], class_weight=[], loss=[])


def test_the_same_search_has_the_same_fingerprint():
    assert changed(print_of(space_with(Float(0.0, 1.0, default=0.5)))) == set()


OTHER_SEARCHES = {
    "rows": ("data", {"x": X + 1e-9}),
    "weights": ("data", {"sample_weight": np.arange(len(Y)) + 1.0}),
    "class of interest": ("data", {"pos_label": 0}),
    "cv": ("folds", {"cv": 4}),
    "repeats": ("folds", {"repeats": 2}),
    "seed": ("folds", {"seed": 1}),
    "metric": ("metric", {"metric": "roc_auc"}),
    "range": ("search space", {"space": space_with(Float(0.0, 2.0, default=0.5))}),
    "axes": ("search space", {"space": space_of(X, Y, family=DIAL)}),
    "model": (
        "search space",
        {"space": space_of(X, Y, family=family_of(Dial(0.1), "dial"))},
    ),
}


@pytest.mark.parametrize(
    ("part", "options"), OTHER_SEARCHES.values(), ids=OTHER_SEARCHES
)
def test_whatever_a_score_depends_on_changes_the_fingerprint(part, options):
    assert part in changed(print_of(**options))


def test_the_version_is_part_of_the_fingerprint(monkeypatch):
    plain = print_of()
    monkeypatch.setattr("autoimb._search.fingerprint.version", lambda _: "9.9")
    assert print_of() == {**plain, "autoimb version": "9.9"}


IN_ANOTHER_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
from test_study import X, Y, print_of, space_of
print(sorted(print_of(space_of(X, Y, family="all", resampler="all")).items()))
"""


def test_the_fingerprint_is_the_same_in_every_process():
    folder = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, folder],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    here = print_of(space_of(X, Y, family="all", resampler="all"))
    assert done.stdout.strip() == str(sorted(here.items()))


def test_what_is_timely_comes_first_and_the_rest_in_its_order():
    study_records = opened(None)
    first = [{"family:dial:noise": n / 10} for n in range(4)]
    study_records.enqueue(first, n_startup=4)
    is_odd = {0.1, 0.3}.__contains__

    def asked(place):
        trial = study_records.ask(
            place, lambda params: is_odd(params["family:dial:noise"])
        )
        return SPACE.to_params(SPACE.suggest(trial))

    order = [asked(place)["family:dial:noise"] for place in range(4)]
    assert order == [0.1, 0.3, 0.0, 0.2]


def test_labels_of_text_have_the_same_fingerprint_in_every_process():
    """As arrays of objects, their bytes are addresses in memory."""
    labels = [np.array([c * n for c in "ab"], dtype=object) for n in (30, 30)]
    assert labels[0][0] is not labels[1][0]
    same, again = map(_content_of, labels)
    assert same == again != _content_of(labels[0][::-1])
