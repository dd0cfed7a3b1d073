"""Fitted models of folds, written to disk for as long as they may have to predict.

The mean of a candidate's fold models can predict without a refit on all rows, so that a
model as good as the best score is there from the first complete candidate on.
"""

from __future__ import annotations

import contextlib
import io
import operator
import pickle
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from sklearn.pipeline import Pipeline

_MOST_SENT = 2**23  # bytes of a model that travels with its result


@dataclass(slots=True)
class KeptModel:
    """A fitted pipeline as it was written."""

    path: Path
    n_bytes: int
    encoded_by: Hashable
    """The same for pipelines whose encoders are the same."""
    content: bytes | None = None
    """The bytes themselves, where the model was fitted on another machine."""

    @property
    def is_there(self) -> bool:
        """Whether it can still be loaded."""
        return self.path.exists() if self.content is None else bool(self.content)

    def load(self) -> Pipeline:
        """Return the pipeline; raise an error if it is gone or cannot be read."""
        content = self.path.read_bytes() if self.content is None else self.content
        return pickle.loads(content)  # noqa: S301  written by this fit's own workers

    def delete(self) -> None:
        """Free the disk, or the memory; a file that is gone is no error."""
        if self.content is not None:
            self.content = b""
            return
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Where the workers of a fit write fitted pipelines."""

    path: Path
    max_bytes: int
    """Of all pipelines together."""
    max_model_bytes: int = 2**26
    """Of one pipeline. To write and read more takes longer than it is worth: a forest
    of many rows and classes takes gigabytes."""

    def keep(self, pipeline: Pipeline, encoded_by: Hashable) -> KeptModel | None:
        """Write a fitted pipeline; None if it is too large or cannot be written."""
        if not self.path.is_dir():  # on another machine
            return self._sent(pipeline, encoded_by)
        path = self.path / f"{uuid4().hex}.model"
        try:
            with path.open("wb") as file:
                limited = _LimitedFile(file, self._limit)
                _dump(pipeline, limited)
        except Exception:  # noqa: BLE001  it may be too large, or hold what no pickle can
            path.unlink(missing_ok=True)
            return None
        return KeptModel(path, limited.n_bytes, encoded_by)

    @property
    def _limit(self) -> int:
        return min(self.max_bytes, self.max_model_bytes)

    def _sent(self, pipeline: Pipeline, encoded_by: Hashable) -> KeptModel | None:
        """Return a fitted pipeline that travels with its result; None if too large."""
        buffer = io.BytesIO()
        try:
            _dump(pipeline, _LimitedFile(buffer, min(self._limit, _MOST_SENT)))
        except Exception:  # noqa: BLE001  as above
            return None
        content = buffer.getvalue()
        return KeptModel(self.path, len(content), encoded_by, content)


def _dump(pipeline: Pipeline, file: Any) -> None:
    """Pickle a pipeline; what has no name in a module is written by value."""
    import cloudpickle

    start = file.n_bytes
    try:
        _ByName(file, protocol=pickle.HIGHEST_PROTOCOL).dump(pipeline)
    except (AttributeError, TypeError, pickle.PicklingError):
        if file.n_bytes > start:
            file.restart()
        cloudpickle.dump(pipeline, file, protocol=pickle.HIGHEST_PROTOCOL)


class _ByName(pickle.Pickler):
    """Writes the classes of the user's script by name, also in a worker.

    There they are copies, and to read a copy would change the user's own class.
    """

    def reducer_override(self, value: Any) -> Any:
        """Return how a class of the script is found again; others as usual."""
        is_of_script = isinstance(value, type) and value.__module__ == "__main__"
        if is_of_script and "<locals>" not in value.__qualname__:
            return _class_of_script, (value.__qualname__,)
        return NotImplemented


def _class_of_script(name: str) -> Any:
    """Return a class of the user's script."""
    return operator.attrgetter(name)(sys.modules["__main__"])


class _LimitedFile:
    """A file that takes no more than a number of bytes."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._limit, self.n_bytes = file, limit, 0

    def restart(self) -> None:
        """Forget what was written."""
        self._file.seek(0)
        self._file.truncate()
        self.n_bytes = 0

    def write(self, part: Any) -> int:
        """Write a part; raise `OSError` above the limit."""
        size = memoryview(part).nbytes
        self.n_bytes += size
        if self.n_bytes > self._limit:
            raise OSError(f"the model takes more than {self._limit} bytes")
        self._file.write(part)
        return size
