"""The search as Optuna sees it, in memory or in a storage that outlives the process.

What is proposed for a trial depends on the seed, the trial's place and the trials that
were recorded before, so that an interrupted search goes on as it would have.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid
from collections import deque
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from sklearn.base import BaseEstimator

from autoimb._execution.process_settings import OPTUNA_VERBOSITY, quiet_warnings
from autoimb._search.trial_files import TrialFiles, damaged_file
from autoimb._search.trials import WORTH_ANOTHER_TRY
from autoimb.exceptions import AutoImbError, BadInputError, StorageMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import optuna
    from optuna.trial import FrozenTrial

    from autoimb._evaluate.problem import Problem
    from autoimb._search.trials import TrialRecord
    from autoimb._strategy.search_space import SearchSpace

DEFAULT_NAME = "autoimb"
_FINGERPRINT, _SEED = "autoimb:fingerprint", "autoimb:seed"
_FOLDER_ID = "autoimb:folder"
_FORMAT = "3"  # of the files of trials
_OTHER = {"data": "other data", "folds": "other folds"}


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Suppress Optuna's log lines and its warning that `group` is experimental."""
    import optuna

    with (
        OPTUNA_VERBOSITY.set_to(optuna.logging.WARNING),
        quiet_warnings(optuna.exceptions.ExperimentalWarning),
    ):
        yield


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a study is stored.

    Attributes
    ----------
    backend : str or BaseStorage
        An Optuna storage, or its URL such as ``"sqlite:///search.db"``.
    name : str
        Name of the study within it.
    """

    backend: Any
    name: str = DEFAULT_NAME

    @property
    def folder(self) -> Path:
        """Where out-of-fold scores are kept: beside the database if it is a file.

        For a database server it is the working directory.
        """
        database = _database_file(self.backend) or Path(DEFAULT_NAME)
        beside = database.with_name(f"{database.name}.oof")
        return beside / quote(self.name, safe="").replace(".", "%2E")

    @property
    def lock_file(self) -> Path | None:
        """The file whose lock a search holds; None if the database is no file."""
        if _database_file(self.backend) is None:
            return None
        return self.folder.with_name(f"{self.folder.name}.lock")

    @property
    def address(self) -> Any:
        """The backend as messages show it."""
        return without_password(getattr(self.backend, "url", self.backend))

    @quiet_optuna()
    def seed(self) -> int | None:
        """Return the seed of the stored study, None if there is none."""
        import optuna

        with self.errors_named():
            try:
                study = optuna.load_study(study_name=self.name, storage=self.backend)
            except KeyError:
                return None
            return study.user_attrs.get(_SEED)

    @contextlib.contextmanager
    def errors_named(self) -> Iterator[None]:
        """Turn an error of the database in the block into one line that names it."""
        try:
            yield
        except AutoImbError:
            raise
        except Exception as error:  # any of the database's, its driver's or Optuna's
            first_line = str(error).partition("\n")[0]
            reason = f"{type(error).__name__}: {first_line}"
            raise BadInputError(
                f"storage={self.address!r} cannot be read or written ({reason}): check "
                "its address, put back a copy if it is damaged, or pass another one."
            ) from error


@quiet_optuna()
def opened_study(storage: Storage) -> optuna.Study:
    """Return the stored study; a new one if there is none of this name."""
    import optuna

    with storage.errors_named():
        return optuna.create_study(
            direction="maximize",
            load_if_exists=True,
            storage=storage.backend,
            study_name=storage.name,
        )


def resolve_storage(storage: Any, study_name: str | None) -> Storage | None:
    """Return where to keep the study, None for memory; a name needs a storage."""
    if storage is None:
        if study_name is not None:
            raise BadInputError(
                f"{study_name=} names a study in a storage, and there is none: pass "
                "storage='sqlite:///search.db', say."
            )
        return None
    if isinstance(storage, str | PathLike) and "://" not in str(storage):
        raise BadInputError(
            f"{storage=} is not a database URL: 'sqlite:///{storage}' would keep the "
            "search in a file of that name."
        )
    import optuna

    if not isinstance(storage, str | optuna.storages.BaseStorage):
        raise BadInputError(
            f"{storage=} must be a database URL, such as 'sqlite:///search.db', an "
            "Optuna storage, or None."
        )
    resolved = Storage(storage, study_name or DEFAULT_NAME)
    with resolved.errors_named():  # of what is no address
        file = _database_file(storage)
    if file is not None and not file.absolute().parent.is_dir():
        raise BadInputError(
            f"{storage=} is in the folder '{file.parent}', which does not exist: make "
            "it first."
        )
    return resolved


def without_password(storage: Any) -> Any:
    """Return a storage whose address, if it is one, lacks its password."""
    if not isinstance(storage, str):
        return storage
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage).render_as_string(hide_password=True)
    except ArgumentError:
        return storage


def _database_file(backend: Any) -> Path | None:
    """Return the file of a database, None if it is not in one."""
    address = getattr(backend, "url", backend)  # of Optuna's RDBStorage
    if not isinstance(address, str):
        return None
    from sqlalchemy.engine import make_url

    url = make_url(address)
    is_file = url.get_backend_name() == "sqlite" and url.database not in (
        None,
        "",
        ":memory:",
    )
    return Path(str(url.database)) if is_file else None


@dataclass(slots=True, eq=False)
class StudyRecords:
    """The study, and the records of its finished trials."""

    study: optuna.Study
    seed: int
    n_startup: int
    """Trials before Optuna's own proposals."""
    trial_files: TrialFiles | None
    records: list[TrialRecord]
    """Those of earlier searches."""
    enqueued: deque[Mapping[str, Any]] = field(default_factory=deque)
    """Parameters to propose next."""
    unfinished: deque[FrozenTrial] = field(default_factory=deque)
    """Trials that an earlier search proposed and did not finish."""
    errors_named: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """A block in which an error of the database names it."""

    @classmethod
    @quiet_optuna()
    def open(
        cls, storage: Storage | None, fingerprint: Mapping[str, str], seed: int
    ) -> StudyRecords:
        """Return the records of a new study, or of a stored one.

        Raises
        ------
        StorageMismatchError
            If the study was made for other data, folds, choices or another version.
        """
        import optuna

        if storage is None:
            study = optuna.create_study(direction="maximize")
            return cls(study, seed, 0, None, [])
        with storage.errors_named():
            return cls._stored(storage, fingerprint, seed)

    @classmethod
    def _stored(
        cls, storage: Storage, fingerprint: Mapping[str, str], seed: int
    ) -> StudyRecords:
        """Return the records of a stored study, which is made if there is none."""
        study = opened_study(storage)
        parts = {**fingerprint, "random_state": str(seed)}
        _check_same(study, parts, storage)
        trial_files = TrialFiles(_folder_of(study, storage))
        saved = trial_files.read()
        _check_folder(study, saved, trial_files)
        study.set_user_attr(_FINGERPRINT, parts)
        study.set_user_attr(_SEED, seed)
        return cls(
            study,
            seed,
            0,
            trial_files,
            [r for r in saved.values() if r.status not in WORTH_ANOTHER_TRY],
            unfinished=deque(_tell_saved(study, saved)),
            errors_named=storage.errors_named,
        )

    def check_scores(self, problem: Problem) -> None:
        """Raise `StorageMismatchError` unless the stored scores are of these folds.

        The fingerprint does not see a file that was put in place of another one.
        """
        if self.trial_files is None:
            return
        shapes = [(len(f.val_idx), problem.table.n_classes) for f in problem.folds]
        for record in self.records:
            for result in record.results:
                known = shapes[result.number : result.number + 1]
                if [result.scores.shape] != known or not np.isfinite(
                    result.scores
                ).all():
                    raise damaged_file(
                        self.trial_files.path(record.number, "npz"),
                        f"its scores of fold {result.number} are of other rows",
                    )

    def enqueue(self, first: Sequence[Mapping[str, Any]], n_startup: int) -> None:
        """Set the parameters of the next trials, and how many come before Optuna's.

        Unfinished trials of an earlier search are proposed again in any case.
        """
        self.n_startup = n_startup
        coming = [
            *(t.system_attrs.get("fixed_params") or t.params for t in self.unfinished),
            *self.enqueued,
        ]
        self.enqueued.extend(params for params in first if params not in coming)

    def ask(
        self, place: int, is_preferred: Callable[[Mapping[str, Any]], bool] = bool
    ) -> optuna.Trial:
        """Propose the parameters of the trial at a place in the order of all trials.

        Unfinished trials come first, with the parameters that they had. Of the enqueued
        parameters, the first preferred ones come next, and the others when none is.
        """
        import optuna

        # Each proposal has a seed of its own.
        seeds = np.random.SeedSequence(self.seed, spawn_key=(place,))
        self.study.sampler = optuna.samplers.TPESampler(
            multivariate=True,
            group=True,
            n_startup_trials=self.n_startup,
            seed=int(seeds.generate_state(1)[0]),
        )
        if self.unfinished:
            return optuna.trial.Trial(self.study, self.unfinished.popleft()._trial_id)
        if self.enqueued:
            params = next(filter(is_preferred, self.enqueued), self.enqueued[0])
            self.enqueued.remove(params)
            self.study.enqueue_trial(dict(params))
        return self.study.ask()

    def tell(self, trial: optuna.Trial, record: TrialRecord) -> None:
        """Write a finished trial, and report it to Optuna for the next proposals."""
        if self.trial_files is not None:
            self.trial_files.write(record)
        with self.errors_named():
            _tell(self.study, trial, record)

    def forget_scores(self, record: TrialRecord) -> None:
        """Delete out-of-fold scores that no later step needs."""
        if self.trial_files is not None:
            self.trial_files.write(record)
            self.trial_files.forget_scores(record.number)

    def update(self, records: Sequence[TrialRecord]) -> None:
        """Write records that were scored on more folds than before."""
        before = {record.number: record.n_folds for record in self.records}
        for record in records:
            n_before = before.get(record.number, 0)
            if self.trial_files is not None and record.n_folds > n_before:
                every = (*record.results, *record.further)
                self.trial_files.write(replace(record, results=every))


def _tell(study: optuna.Study, trial: optuna.Trial, record: TrialRecord) -> None:
    """Report a trial: a value, or that it failed, or that it is worse than the others.

    A candidate that was dropped without a comparable value is reported as pruned, which
    the sampler takes for worse than all complete ones.
    """
    from optuna.trial import TrialState

    is_dropped = record.status == "dropped"
    attributes = {
        "strategy": str(record.strategy),
        "status": record.status,
        "reason": record.reason,
        "incomplete": is_dropped,
    }
    for name, value in attributes.items():
        if value:
            trial.set_user_attr(name, value)
    without_value = TrialState.PRUNED if is_dropped else TrialState.FAIL
    state = without_value if record.reported_value is None else None
    study.tell(trial, record.reported_value, state)


def _folder_of(study: optuna.Study, storage: Storage) -> Path:
    """Return where a study's scores are kept.

    Beside a database file the study's name is enough. In the working directory studies
    of several databases may have the same name, so that an id of the study's own is
    part of the folder's.
    """
    if _database_file(storage.backend) is not None:
        return storage.folder
    folder_id = study.user_attrs.get(_FOLDER_ID)
    if folder_id is None:
        folder_id = uuid.uuid4().hex[:12]
        study.set_user_attr(_FOLDER_ID, folder_id)
    return storage.folder.with_name(f"{storage.folder.name}-{folder_id}")


def _check_folder(
    study: optuna.Study, saved: Mapping[int, TrialRecord], trial_files: TrialFiles
) -> None:
    """Raise unless the study's trials and the records in the folder belong together."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    done = {t.number for t in trials if t.state == TrialState.COMPLETE}
    if not done <= saved.keys():
        raise StorageMismatchError(
            f"the study {study.study_name!r} has complete trials, but the folder "
            f"{str(trial_files.folder)!r} with their out-of-fold scores, or part of "
            "it, is gone: put it back, or choose another study_name."
        )
    if not saved.keys() <= {t.number for t in trials}:
        raise StorageMismatchError(
            f"the folder {str(trial_files.folder)!r} holds trials that the study "
            f"{study.study_name!r} does not know: delete it, or choose another "
            "study_name."
        )


def _tell_saved(
    study: optuna.Study, saved: Mapping[int, TrialRecord]
) -> Iterator[FrozenTrial]:
    """Report the trials that were written but not reported; yield the unfinished."""
    import optuna

    running = (optuna.trial.TrialState.RUNNING,)
    for trial in study.get_trials(deepcopy=False, states=running):
        if trial.number in saved:
            record = saved[trial.number]
            _tell(study, optuna.trial.Trial(study, trial._trial_id), record)
        else:
            yield trial


def fingerprint_of(problem: Problem, space: SearchSpace) -> dict[str, str]:
    """Return what a stored search depends on, each part as a short hash."""
    choices = {
        axis: [
            (
                entry.name,
                sorted(entry.params.items()),
                _content_of(entry.make),
                _content_of(getattr(entry, "fixed", {})),
            )
            for entry in (problem.catalogue.get(axis, name) for name in names)
        ]
        for axis, names in space.names.items()
    }
    return {
        "data": f"{problem.table.fingerprint} {problem.table.pos}",
        "folds": _hash(
            b"".join(
                part.tobytes()
                for fold in problem.folds
                for part in (fold.train_idx, fold.val_idx)
            )
        ),
        "metric": _content_of(problem.metric),
        "search space": _hash(repr(choices).encode()),
        "autoimb version": version("autoimb"),
        "stored format": _FORMAT,
    }


def _content_of(value: Any) -> str:
    """Return all that an object holds as text, without addresses in memory.

    The `repr` of an estimator or of an array leaves out what is long.
    """
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.tolist()  # its bytes are addresses
    if isinstance(value, BaseEstimator):
        return (
            f"{type(value).__qualname__}({_content_of(value.get_params(deep=False))})"
        )
    if isinstance(value, dict):
        return ", ".join(
            f"{key}: {_content_of(value[key])}" for key in sorted(value, key=str)
        )
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_content_of, value))}]"
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype} {_hash(value.tobytes())}"
    if is_dataclass(value) and not isinstance(value, type):
        parts = {part.name: getattr(value, part.name) for part in fields(value)}
        return f"{type(value).__qualname__}({_content_of(parts)})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _hash(content: bytes) -> str:
    """Return a short hash."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _check_same(
    study: optuna.Study, fingerprint: Mapping[str, str], storage: Storage
) -> None:
    """Raise if the study was made for something else."""
    stored = study.user_attrs.get(_FINGERPRINT)
    if stored is None and not study.get_trials(deepcopy=False):
        return
    other = [
        part for part, value in fingerprint.items() if (stored or {}).get(part) != value
    ]
    if other:
        differing = " and ".join(_OTHER.get(part, f"another {part}") for part in other)
        raise StorageMismatchError(
            f"the study {storage.name!r} in "
            f"{storage.address!r} was made with "
            f"{differing}, so its scores do not compare with new ones. Choose another "
            "study_name, or pass what it was made with."
        )
