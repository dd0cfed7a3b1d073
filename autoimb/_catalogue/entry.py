"""What a catalogue entry is: a name, a constructor, its parameters and its needs.

Entries are data. The search space, the leaderboard, the report and the command line
read the same label, reason and reference from here.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import optuna
    from numpy.typing import NDArray

    from autoimb._encoding import View
    from autoimb._profile import DatasetProfile

Axis = Literal["family", "loss", "resampler", "class_weight"]
AXES: tuple[Axis, ...] = ("family", "loss", "resampler", "class_weight")
BASELINE = {"loss": "log_loss", "resampler": "none", "class_weight": "none"}
"""The entry of each axis that does nothing about the imbalance."""
OWN = "own"
"""The resampler of families that resample by themselves."""


@dataclass(frozen=True, slots=True)
class Float:
    """A real parameter between two bounds, both included.

    Parameters
    ----------
    low, high : float
        The bounds.
    default : float
        The value that is tried first.
    log : bool, default=False
        Whether to search on the logarithmic scale; needs ``low`` above zero.

    Examples
    --------
    >>> from autoimb import Float
    >>> Float(1e-4, 1e2, default=1.0, log=True).holds(0.5)
    True
    """

    low: float
    high: float
    default: float
    log: bool = False

    def sample(self, rng: np.random.Generator) -> float:
        """Return a value drawn uniformly, on the log scale if `log`."""
        if self.log:
            return float(np.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return float(rng.uniform(self.low, self.high))

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        """Return the value that Optuna proposes."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether the value lies in this domain."""
        return isinstance(value, float | int) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Int:
    """A whole-number parameter between two bounds, both included.

    Parameters
    ----------
    low, high : int
        The bounds.
    default : int
        The value that is tried first.
    log : bool, default=False
        Whether to search on the logarithmic scale; needs ``low`` of at least 1.

    Examples
    --------
    >>> from autoimb import Int
    >>> Int(1, 15, default=5).holds(16)
    False
    """

    low: int
    high: int
    default: int
    log: bool = False

    def sample(self, rng: np.random.Generator) -> int:
        """Return a value drawn uniformly, on the log scale if `log`."""
        if self.log:
            draw = rng.uniform(math.log(self.low), math.log(self.high + 1))
            return min(int(math.exp(draw)), self.high)
        return int(rng.integers(self.low, self.high, endpoint=True))

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        """Return the value that Optuna proposes."""
        return trial.suggest_int(name, self.low, self.high, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether the value lies in this domain."""
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Categorical:
    """A parameter with a few values to choose from.

    Parameters
    ----------
    choices : tuple
        The values: None, bool, int, float or str.
    default : object
        The value that is tried first.

    Examples
    --------
    >>> from autoimb import Categorical
    >>> Categorical(("uniform", "distance"), default="distance").holds("uniform")
    True
    """

    choices: tuple[Any, ...]
    default: Any

    def sample(self, rng: np.random.Generator) -> Any:
        """Return a choice drawn uniformly."""
        return self.choices[int(rng.integers(len(self.choices)))]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Return the choice that Optuna proposes."""
        return trial.suggest_categorical(name, self.choices)

    def holds(self, value: Any) -> bool:
        """Whether the value is one of the choices."""
        return value in self.choices


Domain = Float | Int | Categorical


@dataclass(frozen=True, slots=True)
class Need:
    """What an entry asks of the data, and the sentence that says why it is absent."""

    holds: Callable[[DatasetProfile], bool]
    reason: str


def minority_at_least(rows: int) -> Need:
    """Return the need for so many rows of the smallest class."""
    return Need(
        _AtLeast("minority_count", rows),
        f"needs at least {rows} rows of the smallest class",
    )


def rows_at_most(rows: int) -> Need:
    """Return the need for a table small enough."""
    return Need(_AtMost("n_rows", rows), f"is too slow above {rows:,} rows")


@dataclass(frozen=True, slots=True)
class _AtLeast:
    """A picklable test on one number of the profile."""

    field: str
    limit: float

    def __call__(self, profile: DatasetProfile) -> bool:
        return bool(getattr(profile, self.field) >= self.limit)


@dataclass(frozen=True, slots=True)
class _AtMost:
    """A picklable test on one number of the profile."""

    field: str
    limit: float

    def __call__(self, profile: DatasetProfile) -> bool:
        return bool(getattr(profile, self.field) <= self.limit)


@dataclass(frozen=True, slots=True)
class _IsInstalled:
    """A picklable test for a package that is an optional extra."""

    package: str

    def __call__(self, profile: DatasetProfile) -> bool:
        return importlib.util.find_spec(self.package) is not None


def installed(package: str) -> Need:
    """Return the need for an optional package."""
    return Need(
        _IsInstalled(package),
        f"needs the package {package}: pip install autoimb[{package}]",
    )


def _is_unweighted(profile: DatasetProfile) -> bool:
    """Whether the user gave no row weights."""
    return not profile.weighted


UNWEIGHTED = Need(
    _is_unweighted, "makes new rows, which have no place in the given sample_weight"
)
UNWEIGHTED_FIT = Need(_is_unweighted, "cannot take the given sample_weight")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One choice on one axis of the search space."""

    name: str
    label: str
    """A few words for tables and sentences."""
    make: Any
    """What builds it: a dotted path, a function, or a ready object to clone."""
    params: Mapping[str, Domain] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    reference: str = ""
    auto: bool = True
    """Whether it is part of "auto"; the rest is chosen by name or by "all"."""

    def defaults(self) -> dict[str, Any]:
        """Return the default of every tunable parameter."""
        return {name: domain.default for name, domain in self.params.items()}

    def misfit(self, profile: DatasetProfile) -> str | None:
        """Return why this entry does not suit the data, or None if it does."""
        failed = [need.reason for need in self.needs if not need.holds(profile)]
        return failed[0] if failed else None


_USUAL_NAMES = {"random_state": "random_state", "class_weight": "class_weight"}


@dataclass(frozen=True, kw_only=True)
class Loss(Entry):
    """What a model minimises."""

    make: Mapping[str, Any]
    """For each kind of model that can minimise it, what that model calls it."""
    weighted: bool = True
    """Whether class weights make sense on top of it."""


@dataclass(frozen=True, kw_only=True)
class Resampler(Entry):
    """A way to change which rows a model is trained on."""

    view: View | None = None
    """What it must read (None: whatever the family reads)."""
    distances: bool = True
    """Whether it measures distances, and so cannot read text."""
    batches: str | None = None
    """How mini-batches are drawn, where that is all it does."""
    target: Callable[..., dict[int, int]] | None = None
    """Class counts after resampling, of (counts, strength); None: near the same."""
    cost: Literal["none", "minority", "all"] = "none"
    """Which rows it compares with others."""

    @property
    def adds_rows(self) -> bool:
        """Whether it puts copies of rows, or rows between rows, beside them."""
        return self.make is not None and self.target is oversampled


@dataclass(frozen=True, kw_only=True)
class ClassWeight(Entry):
    """A rule from class counts to class weights."""


@dataclass(frozen=True, kw_only=True)
class Family(Entry):
    """A kind of model."""

    view: View | None = "native"
    """How it reads rows; None: as the user's table holds them."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    loss_kind: str | None = None
    """Which of a loss's forms it can minimise; None: it has one of its own."""
    resampling: Literal["rows", "batches", "own"] = "rows"
    """What may be done to its rows: resampled beforehand, drawn in batches of its own
    as well, or nothing, since it resamples by itself."""
    portfolio: tuple[Mapping[str, Any], ...] = ({},)
    """Complementary settings that are always worth a trial, best first."""
    takes: Mapping[str, str] = field(default_factory=lambda: dict(_USUAL_NAMES))
    """Constructor parameter for each of class_weight, random_state, n_jobs, device,
    metric, n_categorical, validation_fraction that the model has."""
    cost: float = 1.0
    """Expected seconds of a fit relative to the other families: orders first trials."""
    within: str = ""
    """Dotted path of what fits it in time: (model, X, y, seconds, **fit_params)."""
    rounds: str = ""
    """The parameter that counts rounds, where a model of fewer is part of it."""
    staged: str = ""
    """Dotted path of what scores rows after so many rounds: (model, X, counts)."""

    def takes_loss(self, loss: Loss) -> bool:
        """Whether it can minimise a loss; every model has a log loss of its own."""
        return loss.name == BASELINE["loss"] or self.loss_kind in loss.make

    @property
    def plain_resampler(self) -> str:
        """Name of the resampler that leaves the rows to the model."""
        return OWN if self.resampling == "own" else BASELINE["resampler"]

    def takes_resampler(self, resampler: Resampler) -> bool:
        """Whether a resampler may stand before it."""
        if self.resampling == "own" or resampler.name == OWN:
            return resampler.name == self.plain_resampler
        return resampler.batches is None or self.resampling == "batches"

    def takes_class_weight(self, loss: Loss) -> bool:
        """Whether class weights may be searched with a loss."""
        return "class_weight" in self.takes and loss.weighted


def resolve(path: str) -> Any:
    """Return the object at ``"package.module:Name"``."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Catalogue:
    """All entries that one fit may use, by axis and name."""

    entries: Mapping[str, dict[str, Any]]

    def get(self, axis: str, name: str) -> Any:
        """Return one entry."""
        return self.entries[axis][name]

    def takes_weights(self, family: str, resampler: str) -> bool:
        """Whether a weighted sample of rows stands for all of them in a fit.

        Not in front of a model that is not searched over weights, and not where rows
        are added up to the size of classes of which the sample holds few.
        """
        chosen: Resampler = self.get("resampler", resampler)
        is_weighted = "class_weight" in self.get("family", family).takes
        return is_weighted and not chosen.adds_rows and UNWEIGHTED not in chosen.needs

    def adding(self, axis: str, entry: Entry) -> Catalogue:
        """Return a catalogue with one more entry."""
        if entry.name in self.entries[axis]:
            raise BadInputError(
                f"the name {entry.name!r} is taken on the {axis} axis: choose another."
            )
        grown = {**self.entries[axis], entry.name: entry}
        return replace(self, entries={**self.entries, axis: grown})


def by_name(*entries: Any) -> dict[str, Any]:
    """Return entries as a table."""
    return {entry.name: entry for entry in entries}


def oversampled(counts: NDArray[np.intp], strength: float) -> dict[int, int]:
    """Return target counts that raise each smaller class towards the largest.

    With r0 = count / largest, the target ratio is r0 ** (1 - strength): 0 leaves the
    table as it is, 1 balances it, and no data set makes it invalid.
    """
    largest = counts.max()
    target = np.rint(largest * (counts / largest) ** (1 - strength)).astype(int)
    return {int(c): int(n) for c, n in enumerate(target) if n > counts[c] > 0}


def undersampled(counts: NDArray[np.intp], strength: float) -> dict[int, int]:
    """Return target counts that lower each larger class towards the smallest."""
    present = counts[counts > 0]
    smallest = present.min()
    target = np.rint(smallest * (counts / smallest) ** (1 - strength)).astype(int)
    return {int(c): int(n) for c, n in enumerate(target) if 0 < n < counts[c]}
