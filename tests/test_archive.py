"""What is written of a trial is what is read, and half a file is no file."""

from dataclasses import fields, replace

import numpy as np
import pytest
from tables import numeric, space_of

from autoimb._archive import Archive
from autoimb._catalogue import CATALOGUE
from autoimb._evaluate import FoldResult
from autoimb._judge import Score
from autoimb._strategy import Strategy
from autoimb._trials import TrialRecord

RNG = np.random.default_rng(0)
PLAIN = Strategy.of(CATALOGUE, family="logistic_regression")
FOREST = Strategy.of(CATALOGUE, family="extra_trees")
COMPLETE = TrialRecord(
    number=3,
    strategy=PLAIN,
    status="complete",
    score=Score(
        0.1 + 0.2,
        np.array([0.25, np.nan, 1 / 3]),
        np.array([np.nan, 0.5, np.nextafter(0.5, 1.0)]),
    ),
    results=tuple(
        FoldResult(number, "ok", RNG.random((7 + number, 2)), 0.5, 0.25)
        for number in (0, 1, 4)
    ),
    n_folds=3,
    fit_seconds=0.7,
    told_at=12.5,
    told=0.1 + 0.2,
    rungs=("all rows",),
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
    "tried on a sample": replace(
        COMPLETE,
        heat=FoldResult(0, "ok", RNG.random((7, 2))),
        rungs=("a sample of 40,000 rows", "all rows"),
    ),
    "without scores": replace(COMPLETE, results=()),
    "dropped": TrialRecord(
        number=0,
        strategy=PLAIN,
        status="dropped",
        reason="clearly behind trial 1: -0.1 ± 0.0 — ja",
        told=0.125,
        n_folds=2,
        rungs=("all rows",),
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
def archive(tmp_path):
    return Archive(tmp_path / "search.db.oof" / "mine")


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_what_is_written_is_read(archive, record):
    archive.write(record)
    found = archive.read()
    assert list(found) == [record.number]
    same(found[record.number], record)


def test_every_strategy_comes_back_as_it_was(archive):
    space = space_of(*numeric(), family="all", resampler="all", loss="all")
    rng = np.random.default_rng(0)
    tried = {*space.portfolio(), *(space.sample(rng) for _ in range(100))}
    for number, strategy in enumerate(tried):
        archive.write(
            TrialRecord(number=number, strategy=strategy, status="failed", reason="")
        )
    assert {record.strategy for record in archive.read().values()} == tried


def test_records_are_known_by_number(archive):
    for number in (11, 2, 100_000):
        archive.write(replace(COMPLETE, number=number))
    assert sorted(archive.read()) == [2, 11, 100_000]


def test_a_record_that_is_written_again_takes_the_place_of_the_first(archive):
    archive.write(COMPLETE)
    more = FoldResult(5, "ok", RNG.random((9, 2)))
    again = replace(COMPLETE, results=(*COMPLETE.results, more), n_folds=4)
    archive.write(again)
    same(archive.read()[COMPLETE.number], again)


def test_scores_that_are_forgotten_leave_the_record(archive):
    record = RECORDS["tried on a sample"]
    archive.write(record)
    archive.forget_scores(record.number)
    same(archive.read()[record.number], replace(record, results=(), heat=None))
    archive.forget_scores(record.number)  # once more does no harm


def test_a_folder_that_is_not_there_holds_nothing(archive):
    assert archive.read() == {}


def test_half_a_file_is_ignored(archive):
    """A process that dies while it writes leaves a draft, whatever it holds."""
    archive.write(COMPLETE)
    for path in sorted(archive.folder.iterdir()):
        whole = path.read_bytes()
        other = path.name.replace("00003", "00004")
        path.with_name(f".{other}.draft").write_bytes(whole[: len(whole) // 2])
    same(archive.read()[COMPLETE.number], COMPLETE)
    assert list(archive.read()) == [COMPLETE.number]


def test_a_process_that_dies_between_scores_and_record_leaves_no_record(archive):
    archive.write(COMPLETE)
    archive.folder.joinpath("trial-00003.json").unlink()
    assert archive.read() == {}


def test_a_record_that_cannot_be_written_leaves_what_was_there(archive):
    archive.write(COMPLETE)
    with pytest.raises(TypeError):
        archive.write(replace(COMPLETE, results=(), reason=object()))
    same(archive.read()[COMPLETE.number], COMPLETE)
