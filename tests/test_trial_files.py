"""What is written of a trial is what is read, and half a file is no file."""

from dataclasses import fields, replace

import numpy as np
import pytest
from tables import RandomTrial, numeric, space_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.row_sample import RowSample
from autoimb._metrics.bootstrap import Score
from autoimb._search.trial_files import TrialFiles
from autoimb._search.trials import TrialRecord
from autoimb._strategy.strategy import Strategy

RNG = np.random.default_rng(0)
PLAIN = Strategy.of(CATALOGUE, family="logistic_regression")
FOREST = Strategy.of(CATALOGUE, family="extra_trees")
COMPLETE = TrialRecord(
    number=3,
    strategy=PLAIN,
    status="complete",
    score=Score(
        0.1 + 0.2,
        np.array([0.25, np.nan, np.nextafter(0.5, 1.0)]),
        (0, 1, 4),
    ),
    results=tuple(
        FoldResult(number, "ok", RNG.random((7 + number, 2)), 0.5, 0.25)
        for number in (0, 1, 4)
    ),
    n_folds=3,
    fit_seconds=0.7,
    finished_at=12.5,
    reported_value=0.1 + 0.2,
)
RECORDS = {
    "complete": COMPLETE,
    "fewer rounds than proposed": replace(
        COMPLETE,
        proposed=FOREST,
        results=tuple(
            replace(r, n_rounds=40, fitted_counts=(90, 90)) for r in COMPLETE.results
        ),
    ),
    "fitted on a sample": replace(
        COMPLETE, row_sample=RowSample("a sample of 40,000 rows", 40_000)
    ),
    "without scores": replace(COMPLETE, results=()),
    "dropped": TrialRecord(
        number=0,
        strategy=PLAIN,
        status="dropped",
        reason="clearly behind trial 1: -0.1 ± 0.0 — ja",
        reported_value=0.125,
        n_folds=2,
    ),
    "failed": TrialRecord(number=7, strategy=FOREST, status="failed", reason="no"),
}


def same(one, other):
    """Compare two values as the tests need it: arrays exactly, NaN equal to NaN."""
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, strict=True)
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            same(mine, theirs)
    elif isinstance(one, FoldResult | Score | TrialRecord):
        assert type(one) is type(other)
        for field in fields(one):
            same(getattr(one, field.name), getattr(other, field.name))
    else:
        assert one == other


@pytest.fixture
def trial_files(tmp_path):
    return TrialFiles(tmp_path / "search.db.oof" / "mine")


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_what_is_written_is_read(trial_files, record):
    trial_files.write(record)
    found = trial_files.read()
    assert list(found) == [record.number]
    same(found[record.number], record)


def test_every_strategy_comes_back_as_it_was(trial_files):
    space = space_of(*numeric(), family="all", resampler="all", loss="all")
    rng = np.random.default_rng(0)
    tried = {*space.portfolio(), *(space.suggest(RandomTrial(rng)) for _ in range(100))}
    for number, strategy in enumerate(tried):
        trial_files.write(
            TrialRecord(number=number, strategy=strategy, status="failed", reason="")
        )
    assert {record.strategy for record in trial_files.read().values()} == tried


def test_records_are_known_by_number(trial_files):
    for number in (11, 2, 100_000):
        trial_files.write(replace(COMPLETE, number=number))
    assert sorted(trial_files.read()) == [2, 11, 100_000]


def test_a_record_that_is_written_again_takes_the_place_of_the_first(trial_files):
    trial_files.write(COMPLETE)
    more = FoldResult(5, "ok", RNG.random((9, 2)))
    again = replace(COMPLETE, results=(*COMPLETE.results, more), n_folds=4)
    trial_files.write(again)
    same(trial_files.read()[COMPLETE.number], again)


def test_scores_that_are_forgotten_leave_the_record(trial_files):
    record = RECORDS["fitted on a sample"]
    trial_files.write(record)
    trial_files.forget_scores(record.number)
    same(trial_files.read()[record.number], replace(record, results=()))
    trial_files.forget_scores(record.number)  # once more does no harm


def test_a_folder_that_is_not_there_holds_nothing(trial_files):
    assert trial_files.read() == {}


def test_half_a_file_is_ignored(trial_files):
    """A process that dies while it writes leaves a draft, whatever it holds."""
    trial_files.write(COMPLETE)
    for path in sorted(trial_files.folder.iterdir()):
        whole = path.read_bytes()
        other = path.name.replace("00003", "00004")
        path.with_name(f".{other}.draft").write_bytes(whole[: len(whole) // 2])
    same(trial_files.read()[COMPLETE.number], COMPLETE)
    assert list(trial_files.read()) == [COMPLETE.number]


def test_a_process_that_dies_between_scores_and_record_leaves_no_record(trial_files):
    trial_files.write(COMPLETE)
    trial_files.folder.joinpath("trial-00003.json").unlink()
    assert trial_files.read() == {}


def test_a_record_that_cannot_be_written_leaves_what_was_there(trial_files):
    trial_files.write(COMPLETE)
    with pytest.raises(TypeError):
        trial_files.write(replace(COMPLETE, results=(), reason=object()))
    same(trial_files.read()[COMPLETE.number], COMPLETE)
