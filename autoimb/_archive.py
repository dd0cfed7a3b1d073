"""Finished trials on disk: what a search that goes on later must not do again.

A folder holds, for each trial, a JSON file with its record and, while it may still be
needed, an npz file with its out-of-fold scores. A file is written beside its place and
then moved there, so that a process that dies leaves no half of one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._evaluate import FoldResult
from autoimb._files import replacing
from autoimb._judge import Score
from autoimb._strategy import Strategy
from autoimb._trials import TrialRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_PLAIN = ("number", "status", "reason", "n_folds", "fit_seconds", "told_at", "told")
_HEAT = "heat"


@dataclass(frozen=True, slots=True)
class Archive:
    """The folder of one study."""

    folder: Path

    def write(self, record: TrialRecord) -> None:
        """Keep a record, its scores first: a record without them would be of no use."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = dict(_arrays(record))
        if arrays:
            with replacing(self._scores(record.number)) as file:
                np.savez(file, allow_pickle=False, **arrays)
        with replacing(self._record(record.number)) as file:
            file.write(json.dumps(_to_json(record)).encode())

    def forget_scores(self, number: int) -> None:
        """Drop the scores of a trial that no later stage will look at."""
        self._scores(number).unlink(missing_ok=True)

    def read(self) -> dict[int, TrialRecord]:
        """Return the records of all trials by number, in order."""
        paths = sorted(self.folder.glob("trial-*.json"))
        records = [self._read(json.loads(path.read_bytes())) for path in paths]
        return {r.number: r for r in sorted(records, key=lambda r: r.number)}

    def _read(self, saved: Mapping[str, Any]) -> TrialRecord:
        """Return one record with its scores, if it still has them."""
        path, arrays = self._scores(saved["number"]), {}
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
        return _from_json(saved, arrays)

    def _record(self, number: int) -> Path:
        return self.folder / f"trial-{number:05d}.json"

    def _scores(self, number: int) -> Path:
        return self.folder / f"trial-{number:05d}.npz"


def _to_json(record: TrialRecord) -> dict[str, Any]:
    """Return what JSON can hold of a record."""
    score, proposed = record.score, record.proposed
    return {
        **{name: getattr(record, name) for name in _PLAIN},
        "strategy": record.strategy.to_dict(),
        "proposed": None if proposed is None else proposed.to_dict(),
        "rungs": list(record.rungs),
        "folds": [_fold_to_json(result) for result in record.results],
        "heat": None if record.heat is None else _fold_to_json(record.heat),
        "score": None
        if score is None
        else {
            "mean": score.mean,
            "drawn": score.drawn.tolist(),
            "left_out": score.left_out.tolist(),
        },
    }


def _from_json(
    saved: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]
) -> TrialRecord:
    """Return the record that `_to_json` and `_arrays` wrote."""
    score, proposed, heat = saved["score"], saved["proposed"], saved["heat"]
    folds = [(str(fold["number"]), fold) for fold in saved["folds"]]
    return TrialRecord(
        **{name: saved[name] for name in _PLAIN},
        strategy=Strategy.from_dict(saved["strategy"]),
        proposed=None if proposed is None else Strategy.from_dict(proposed),
        rungs=tuple(saved["rungs"]),
        results=tuple(_fold(f, arrays[k]) for k, f in folds if k in arrays),
        heat=_fold(heat, arrays[_HEAT]) if _HEAT in arrays else None,
        score=None
        if score is None
        else Score(
            score["mean"], np.array(score["drawn"]), np.array(score["left_out"])
        ),
    )


def _fold_to_json(result: FoldResult) -> dict[str, Any]:
    """Return what JSON can hold of a fold's result."""
    names = ("number", "status", "fit_seconds", "predict_seconds", "n_rounds")
    counts = list(result.fitted_counts)
    return {**{name: getattr(result, name) for name in names}, "fitted_counts": counts}


def _fold(saved: Mapping[str, Any], proba: NDArray[np.float64]) -> FoldResult:
    """Return the fold's result that was written so."""
    counts = tuple(saved.get("fitted_counts", ()))  # searches from before lack them
    return FoldResult(**{**saved, "fitted_counts": counts}, proba=proba)


def _arrays(record: TrialRecord) -> list[tuple[str, NDArray[np.float64]]]:
    """Return the out-of-fold scores of a record by the number of the fold."""
    found = [(str(result.number), result.scores) for result in record.results]
    return found if record.heat is None else [*found, (_HEAT, record.heat.scores)]
