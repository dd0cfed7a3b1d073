"""Finished trials on disk, so that a later search need not repeat them.

A folder holds, for each trial, a JSON file with its record and, while it may still be
needed, an npz file with its out-of-fold scores. A file is written under another name
and then renamed, so that a process that dies leaves no half of one.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._evaluate.out_of_fold import FoldResult
from autoimb._evaluate.row_sample import RowSample
from autoimb._execution.files import replacing
from autoimb._metrics.bootstrap import Score
from autoimb._search.trials import TrialRecord
from autoimb._strategy.strategy import Strategy
from autoimb.exceptions import StorageMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_NAME = re.compile(r"trial-\d{5,}\.json")
_NOT_WRITTEN = {"proba", "stages", "further", "model"}
"""Fields that are not in the JSON file: arrays, folds that are in `results`, and
models, whose files live as long as a fit."""


@dataclass(frozen=True, slots=True)
class TrialFiles:
    """The folder of one study."""

    folder: Path

    def write(self, record: TrialRecord) -> None:
        """Write a record, its scores first: a record without them would be useless."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {str(result.number): result.scores for result in record.results}
        if arrays:
            with replacing(self.path(record.number, "npz")) as file:
                np.savez(file, allow_pickle=False, **arrays)
        with replacing(self.path(record.number, "json")) as file:
            file.write(json.dumps(record, default=_as_json).encode())

    def forget_scores(self, number: int) -> None:
        """Delete the scores of a trial that no later step needs."""
        self.path(number, "npz").unlink(missing_ok=True)

    def read(self) -> dict[int, TrialRecord]:
        """Return the records of all trials by number, in order.

        Raises
        ------
        StorageMismatchError
            If a file is damaged, or of something else. Its trial cannot be run again:
            the study has told its value already.
        """
        paths = filter(_NAME.fullmatch, (p.name for p in self.folder.glob("trial-*")))
        records = [_read(self.folder / name) for name in paths]
        return {r.number: r for r in sorted(records, key=lambda r: r.number)}

    def path(self, number: int, suffix: str) -> Path:
        """Return the file of a trial's record (json) or scores (npz)."""
        return self.folder / f"trial-{number:05d}.{suffix}"


def _read(path: Path) -> TrialRecord:
    """Return the record in a file, with the scores beside it."""
    with _names_damage(path):
        saved = json.loads(path.read_bytes())
    with _names_damage(path.with_suffix(".npz")):
        arrays = _scores(path)
    with _names_damage(path):
        record = _record(saved, arrays)
        if record.number != int(path.stem.removeprefix("trial-")):
            raise ValueError(f"it is of trial {record.number}")
    return record


@contextlib.contextmanager
def _names_damage(path: Path) -> Iterator[None]:
    """Turn any error of reading a file into one that names it."""
    try:
        yield
    except Exception as error:  # a damaged file may raise any
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise damaged_file(path, reason) from error


def damaged_file(path: Path, reason: str) -> StorageMismatchError:
    """Return the error for a file that does not hold what it should."""
    return StorageMismatchError(
        f"the file '{path}' of the stored search is damaged, or is of something else "
        f"({reason}): put back a copy of it, or choose another study_name."
    )


def _scores(path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the out-of-fold scores beside a record, empty if they were deleted."""
    path = path.with_suffix(".npz")
    if not path.exists():
        return {}
    # NumPy leaves a file open that it cannot read.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def _as_json(value: Any) -> Any:
    """Return what JSON can hold of a record or of a part of it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Strategy):
        return value.to_dict()
    if not is_dataclass(value):
        raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
    names = [part.name for part in fields(value) if part.name not in _NOT_WRITTEN]
    return {name: getattr(value, name) for name in names}


def _record(
    saved: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]
) -> TrialRecord:
    """Return the record that was written as JSON, with its out-of-fold scores."""
    score, proposed = saved["score"], saved["proposed"]
    return TrialRecord(
        **{
            **saved,
            "strategy": Strategy.from_dict(saved["strategy"]),
            "proposed": None if proposed is None else Strategy.from_dict(proposed),
            "row_sample": RowSample(**saved["row_sample"]),
            "results": tuple(
                _fold_result(fold, arrays[str(fold["number"])])
                for fold in saved["results"]
                if str(fold["number"]) in arrays
            ),
            "score": None
            if score is None
            else Score(score["mean"], np.array(score["drawn"]), tuple(score["folds"])),
        }
    )


def _fold_result(saved: Mapping[str, Any], proba: NDArray[np.float64]) -> FoldResult:
    """Return the fold's result that was written as JSON, with its scores."""
    return FoldResult(
        **{**saved, "fitted_counts": tuple(saved["fitted_counts"])}, proba=proba
    )
