"""The search as Optuna sees it, in memory or in a storage that outlives the process.

What is proposed for a trial depends on the seed, the trial's place and the trials that
were told before, so that a search that was broken off goes on as it would have.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid
import warnings
from collections import deque
from dataclasses import dataclass, field, fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from sklearn.base import BaseEstimator

from autoimb._archive import Archive
from autoimb._trials import WORTH_ANOTHER_TRY
from autoimb.exceptions import BadInputError, StorageMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import optuna

    from autoimb._evaluate import Problem
    from autoimb._space import SearchSpace
    from autoimb._trials import TrialRecord

DEFAULT_NAME = "autoimb"
_FINGERPRINT, _SEED, _MARK = "autoimb:fingerprint", "autoimb:seed", "autoimb:mark"
_OTHER = {"data": "other data", "folds": "other folds"}


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a study is kept.

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

        A database server has no place for them: then it is the working directory.
        """
        database = _database_file(self.backend)
        place = Path(f"{DEFAULT_NAME}.oof")
        if database is not None:
            place = database.with_name(f"{database.name}.oof")
        return place / quote(self.name, safe="").replace(".", "%2E")

    def seed(self) -> int | None:
        """Return the seed of the study that is there, None if there is none."""
        import optuna

        with quiet_optuna():
            try:
                study = optuna.load_study(study_name=self.name, storage=self.backend)
            except KeyError:
                return None
        seed: int | None = study.user_attrs.get(_SEED)
        return seed


def resolve_storage(storage: Any, study_name: str | None) -> Storage | None:
    """Return where to keep the study, None for memory; raise for a lone name."""
    if storage is None:
        if study_name is not None:
            raise BadInputError(
                f"{study_name=} names a study in a storage, and there is none: pass "
                "storage='sqlite:///search.db', say."
            )
        return None
    if isinstance(storage, str) and "://" not in storage:
        raise BadInputError(
            f"{storage=} is not a database URL: 'sqlite:///{storage}' would keep the "
            "search in a file of that name."
        )
    return Storage(storage, study_name or DEFAULT_NAME)


def shown(storage: Any) -> Any:
    """Return a storage as others may see it: an address without its password."""
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
    where = getattr(backend, "url", backend)  # Optuna's RDBStorage knows its own
    if not isinstance(where, str):
        return None
    from sqlalchemy.engine import make_url

    url = make_url(where)
    is_file = url.get_backend_name() == "sqlite" and url.database not in (
        None,
        "",
        ":memory:",
    )
    return Path(str(url.database)) if is_file else None


@dataclass(slots=True, eq=False)
class Ledger:
    """The study, and the records of its finished trials."""

    study: optuna.Study
    seed: int
    n_startup: int
    """Trials before Optuna's own proposals."""
    archive: Archive | None
    records: list[TrialRecord]
    """Known before this search began."""
    pending: deque[Mapping[str, Any]] = field(default_factory=deque)
    """Parameters to propose next."""
    broken_off: deque[_BrokenOff] = field(default_factory=deque)
    """Trials that an earlier search did not finish."""

    @classmethod
    def open(
        cls, storage: Storage | None, fingerprint: Mapping[str, str], seed: int
    ) -> Ledger:
        """Return the ledger of a new study, or of one that goes on.

        Raises
        ------
        StorageMismatchError
            If the study was made for other data, folds, choices or another version.
        """
        study = _open_study(storage)
        if storage is None:
            return cls(study, seed, 0, None, [])
        parts = {**fingerprint, "random_state": str(seed)}
        _check_same(study, parts, storage)
        archive = Archive(_folder_of(study, storage))
        known = archive.read()
        _check_whole(study, known, archive)
        study.set_user_attr(_FINGERPRINT, parts)
        study.set_user_attr(_SEED, seed)
        records = [r for r in known.values() if r.status not in WORTH_ANOTHER_TRY]
        broken_off = deque(_broken_off(study, known))
        return cls(study, seed, 0, archive, records, broken_off=broken_off)

    def enqueue(self, first: Sequence[Mapping[str, Any]], n_startup: int) -> None:
        """Set the parameters of the next trials, and how many come before Optuna's.

        Those that were broken off come again by themselves.
        """
        self.n_startup = n_startup
        coming = [*(trial.params for trial in self.broken_off), *self.pending]
        self.pending.extend(params for params in first if params not in coming)

    def ask(
        self, place: int, is_timely: Callable[[Mapping[str, Any]], bool] = bool
    ) -> optuna.Trial:
        """Propose the parameters of the trial at a place in the order of all trials.

        A trial that was broken off comes again first, as what it was. Of those that
        wait, the first timely one comes next, and the others when none is.
        """
        import optuna

        self.study.sampler = optuna.samplers.TPESampler(
            multivariate=True,
            group=True,
            n_startup_trials=self.n_startup,
            seed=self._seed_of(place),
        )
        if self.broken_off:
            return optuna.trial.Trial(self.study, self.broken_off.popleft().trial_id)
        if self.pending:
            params = next(filter(is_timely, self.pending), self.pending[0])
            self.pending.remove(params)
            self.study.enqueue_trial(dict(params))
        return self.study.ask()

    def _seed_of(self, place: int) -> int:
        """Return the seed of one proposal, unlike that of any other."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(place,))
        return int(sequence.generate_state(1)[0])

    def give_up(self, trial: optuna.Trial, record: TrialRecord) -> None:
        """Leave a trial for a later search; one in memory has no later search."""
        if self.archive is None:
            self.tell(trial, record)

    def tell(self, trial: optuna.Trial, record: TrialRecord) -> None:
        """Keep a finished trial, and let the next proposals learn from it."""
        if self.archive is not None:
            self.archive.write(record)
        _tell(self.study, trial, record)

    def forget_scores(self, record: TrialRecord) -> None:
        """Drop out-of-fold scores that no later stage will look at."""
        if self.archive is not None:
            self.archive.forget_scores(record.number)

    def update(self, records: Sequence[TrialRecord]) -> None:
        """Keep records that were scored on more folds than were known before."""
        known = {record.number: record.n_folds for record in self.records}
        for record in records:
            if self.archive is not None and record.n_folds > known.get(
                record.number, 0
            ):
                self.archive.write(record)


def _open_study(storage: Storage | None) -> optuna.Study:
    """Return the study of this name, made if it is not there; a new one in memory."""
    import optuna

    where = {} if storage is None else {"storage": storage.backend}
    with quiet_optuna():
        return optuna.create_study(
            study_name=None if storage is None else storage.name,
            direction="maximize",
            load_if_exists=True,
            **where,
        )


def _tell(study: optuna.Study, trial: optuna.Trial, record: TrialRecord) -> None:
    """Report a trial: a value, or that it failed, or that it is worse than the others.

    A candidate that was dropped before it had a comparable value is told as pruned,
    which the sampler takes for worse than all that are complete.
    """
    from optuna.trial import TrialState

    trial.set_user_attr("strategy", str(record.strategy))
    trial.set_user_attr("status", record.status)
    if record.reason:
        trial.set_user_attr("reason", record.reason)
    if record.status == "dropped":
        trial.set_user_attr("incomplete", value=True)
    if record.told is not None:
        study.tell(trial, record.told)
    elif record.status == "dropped":
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, state=TrialState.FAIL)


def _folder_of(study: optuna.Study, storage: Storage) -> Path:
    """Return where a study's scores are kept.

    Beside a file they go as it goes. Elsewhere the name may come again in another
    database, so the study's own mark is part of theirs.
    """
    if _database_file(storage.backend) is not None:
        return storage.folder
    mark = study.user_attrs.get(_MARK)
    if mark is None:
        mark = uuid.uuid4().hex[:12]
        study.set_user_attr(_MARK, mark)
    return storage.folder.with_name(f"{storage.folder.name}-{mark}")


def _check_whole(
    study: optuna.Study, known: Mapping[int, TrialRecord], archive: Archive
) -> None:
    """Raise unless the study's trials and the records in the folder belong together."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    done = {t.number for t in trials if t.state == TrialState.COMPLETE}
    if not done <= known.keys():
        raise StorageMismatchError(
            f"the study {study.study_name!r} has complete trials, but the folder "
            f"{str(archive.folder)!r} with their out-of-fold scores, or part of it, is "
            "gone: put it back, or choose another study_name."
        )
    if not known.keys() <= {t.number for t in trials}:
        raise StorageMismatchError(
            f"the folder {str(archive.folder)!r} holds trials that the study "
            f"{study.study_name!r} does not know: delete it, or choose another "
            "study_name."
        )


@dataclass(frozen=True, slots=True)
class _BrokenOff:
    """A trial that was proposed and never told."""

    trial_id: int
    params: Mapping[str, Any]


def _broken_off(
    study: optuna.Study, known: Mapping[int, TrialRecord]
) -> Iterator[_BrokenOff]:
    """Tell the trials that were written and not told; yield those that were neither."""
    import optuna

    running = (optuna.trial.TrialState.RUNNING,)
    for frozen in study.get_trials(deepcopy=False, states=running):
        trial_id = frozen._trial_id
        if frozen.number in known:
            trial = optuna.trial.Trial(study, trial_id)
            _tell(study, trial, known[frozen.number])
        else:
            params = frozen.system_attrs.get("fixed_params") or frozen.params
            yield _BrokenOff(trial_id, params)


def fingerprint_of(problem: Problem, space: SearchSpace) -> dict[str, str]:
    """Return what a stored search depends on, each part as a short hash."""
    folds = b"".join(
        part.tobytes()
        for fold in problem.folds
        for part in (fold.train_idx, fold.val_idx)
    )
    choices = {
        axis: [
            (
                entry.name,
                sorted(entry.params.items()),
                _made_of(entry.make),
                _fixed(entry),
            )
            for entry in (problem.catalogue.get(axis, name) for name in names)
        ]
        for axis, names in space.names.items()
    }
    return {
        "data": f"{problem.table.fingerprint} {problem.table.pos}",
        "folds": _hash(folds),
        "metric": _made_of(problem.metric),
        "search space": _hash(repr(choices).encode()),
        "autoimb version": version("autoimb"),
    }


def _fixed(entry: Any) -> str:
    """Return the settings of an entry that are not searched."""
    return _made_of(getattr(entry, "fixed", {}))


def _made_of(thing: Any) -> str:
    """Return what an object is made of, in full and without where it lies in memory.

    The `repr` of an estimator or of an array leaves out what is long.
    """
    if isinstance(thing, BaseEstimator):
        return f"{type(thing).__qualname__}({_made_of(thing.get_params(deep=False))})"
    if isinstance(thing, dict):
        return ", ".join(
            f"{key}: {_made_of(thing[key])}" for key in sorted(thing, key=str)
        )
    if isinstance(thing, list | tuple):
        return f"[{', '.join(map(_made_of, thing))}]"
    if isinstance(thing, np.ndarray):
        return f"{thing.shape} {thing.dtype} {_hash(thing.tobytes())}"
    if is_dataclass(thing) and not isinstance(thing, type):
        parts = {part.name: getattr(thing, part.name) for part in fields(thing)}
        return f"{type(thing).__qualname__}({_made_of(parts)})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(thing))


def _hash(content: bytes) -> str:
    """Return a short hash."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _check_same(
    study: optuna.Study, fingerprint: Mapping[str, str], storage: Storage
) -> None:
    """Raise if the study was made for something else."""
    known = study.user_attrs.get(_FINGERPRINT)
    if known is None and not study.get_trials(deepcopy=False):
        return
    other = [
        part for part, value in fingerprint.items() if (known or {}).get(part) != value
    ]
    if other:
        differing = " and ".join(_OTHER.get(part, f"another {part}") for part in other)
        raise StorageMismatchError(
            f"the study {storage.name!r} in {shown(storage.backend)!r} was made with "
            f"{differing}, so its scores do not compare with new ones. Choose another "
            "study_name, or pass what it was made with."
        )


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Hold back Optuna's log lines and its note that `group` is experimental."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
