"""The search as Optuna sees it, in memory or in a storage that outlives the process.

What is proposed for a trial depends on the seed, the trial's place and the trials that
were recorded before, so that an interrupted search goes on as it would have.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from autoimb._execution.process_settings import OPTUNA_VERBOSITY, quiet_warnings
from autoimb._search.trial_files import TrialFiles, damaged_file
from autoimb._search.trials import WORTH_ANOTHER_TRY
from autoimb.exceptions import (
    AutoImbError,
    AutoImbWarning,
    BadInputError,
    StorageMismatchError,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import optuna
    from optuna.trial import FrozenTrial

    from autoimb._evaluate.problem import Problem
    from autoimb._search.trials import TrialRecord

DEFAULT_NAME = "autoimb"
_FINGERPRINT, _SEED = "autoimb:fingerprint", "autoimb:seed"
_FOLDER_ID = "autoimb:folder"
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
                "its address and the free space, put back a copy if it is damaged, or "
                "pass another one."
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


class StorageFailedError(Exception):
    """The storage cannot be read or written any more; the search ends."""


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
    storage: Storage | None = None
    """Where the study is stored; None if it is in memory."""
    failure: str = ""
    """Why the storage can no longer be read or written; empty if it can. Nothing more
    is written then."""

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
            storage=storage,
        )

    @property
    def is_stored(self) -> bool:
        """Whether a later search finds what is told now."""
        return self.storage is not None and not self.failure

    @contextlib.contextmanager
    def using_storage(self) -> Iterator[None]:
        """Note an error of the storage in the block, and raise `StorageFailedError`."""
        if self.storage is None:
            yield
            return
        try:
            with self.storage.errors_named():
                yield
        except BadInputError as error:
            self.failure = str(error)
            raise StorageFailedError from error

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
            trial = self.unfinished.popleft()
            if trial.state == optuna.trial.TrialState.WAITING:
                return self.study.ask()  # which begins the first that waits
            return optuna.trial.Trial(self.study, trial._trial_id)
        if self.enqueued:
            params = next(filter(is_preferred, self.enqueued), self.enqueued[0])
            self.enqueued.remove(params)
            self.study.enqueue_trial(dict(params))
        return self.study.ask()

    def tell(self, trial: optuna.Trial, record: TrialRecord) -> None:
        """Write a finished trial, and report it to Optuna for the next proposals."""
        if self.failure:
            return
        with contextlib.suppress(StorageFailedError), self.using_storage():
            if self.trial_files is not None:
                self.trial_files.write(record)
            _tell(self.study, trial, record)

    def forget_scores(self, record: TrialRecord) -> None:
        """Delete out-of-fold scores that no later step needs."""
        self._write(record)
        if self.trial_files is not None:
            with contextlib.suppress(OSError):
                self.trial_files.forget_scores(record.number)

    def update(self, records: Sequence[TrialRecord]) -> None:
        """Write records that were scored on more folds than before.

        This is the end of a search: warn if the storage failed during it.
        """
        before = {record.number: record.n_folds for record in self.records}
        for record in records:
            if record.n_folds > before.get(record.number, 0):
                self._write(replace(record, results=(*record.results, *record.further)))
        if self.failure:
            warn(
                f"{self.failure} The search ended with what was complete by then; the "
                "same fit goes on from the trials that were stored.",
                AutoImbWarning,
            )

    def _write(self, record: TrialRecord) -> None:
        """Write a record, if the study has files and the storage has not failed."""
        if self.trial_files is None or self.failure:
            return
        with contextlib.suppress(StorageFailedError), self.using_storage():
            self.trial_files.write(record)


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
    """Report the trials that were written but not reported; yield the unfinished.

    Those are running, or wait where the process ended as they were to begin.
    """
    import optuna
    from optuna.trial import TrialState

    unfinished = (TrialState.RUNNING, TrialState.WAITING)
    for trial in study.get_trials(deepcopy=False, states=unfinished):
        if trial.number in saved:
            record = saved[trial.number]
            _tell(study, optuna.trial.Trial(study, trial._trial_id), record)
        else:
            yield trial


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
