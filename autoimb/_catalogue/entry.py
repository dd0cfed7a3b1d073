"""Catalogue entries: a name, a constructor, parameters to tune, and needs.

Entries are data. The search space, the leaderboard, the report and the command line
read the same label, reason and reference from here.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from autoimb.exceptions import BadInputError, is_number, is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import optuna
    from numpy.typing import NDArray

    from autoimb._table.encoding import View
    from autoimb._table.profile import DatasetProfile

Axis = Literal["family", "loss", "resampler", "class_weight"]
AXES: tuple[Axis, ...] = ("family", "loss", "resampler", "class_weight")
BASELINE = {"loss": "log_loss", "resampler": "none", "class_weight": "none"}
"""The entry of each axis that does nothing about the imbalance."""
OWN = "own"
"""Name of the resampler, and of the class weights, of models that have their own."""


@dataclass(frozen=True, slots=True)
class _Range:
    """All numbers of one type between two bounds."""

    low: float
    high: float
    default: float | None = None
    log: bool = False

    number: ClassVar[tuple[type, ...]] = (float, int)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, self.number) and self.low <= value <= self.high  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Float(_Range):
    """A real parameter between two bounds, both included.

    Parameters
    ----------
    low, high : float
        The bounds.
    default : float, default=None
        The value that is tried first. None is the value that the object to tune has,
        if it lies between the bounds, else their middle.
    log : bool, default=False
        Whether to search on the logarithmic scale; needs ``low`` above zero.

    Examples
    --------
    >>> from autoimb import Float
    >>> 0.5 in Float(1e-4, 1e2, default=1.0, log=True)
    True
    """


@dataclass(frozen=True, slots=True)
class Int(_Range):
    """A whole-number parameter between two bounds, both included.

    Parameters
    ----------
    low, high : int
        The bounds.
    default : int, default=None
        The value that is tried first. None is the value that the object to tune has,
        if it lies between the bounds, else their middle.
    log : bool, default=False
        Whether to search on the logarithmic scale; needs ``low`` of at least 1.

    Examples
    --------
    >>> from autoimb import Int
    >>> 16 in Int(1, 15, default=5)
    False
    """

    low: int
    high: int
    default: int | None = None
    log: bool = False

    number: ClassVar[tuple[type, ...]] = (int,)


@dataclass(frozen=True, slots=True)
class Categorical:
    """A parameter with a few values to choose from.

    Parameters
    ----------
    choices : tuple
        The values: None, bool, int, float or str.
    default : object, default=None
        The value that is tried first. None, unless it is a choice itself, is the value
        that the object to tune has, if it is among the choices, else the first of them.

    Examples
    --------
    >>> from autoimb import Categorical
    >>> "uniform" in Categorical(("uniform", "distance"), default="distance")
    True
    """

    choices: tuple[Any, ...]
    default: Any = None

    def __contains__(self, value: object) -> bool:
        return value in self.choices


Domain = Float | Int | Categorical


def suggested(trial: optuna.Trial, key: str, domain: Domain) -> Any:
    """Return the value of a parameter that an Optuna trial proposes."""
    if isinstance(domain, Categorical):
        return trial.suggest_categorical(key, domain.choices)
    if isinstance(domain, Int):
        return trial.suggest_int(key, domain.low, domain.high, log=domain.log)
    return trial.suggest_float(key, domain.low, domain.high, log=domain.log)


def checked_domain(name: str, domain: Any, own: Any = None) -> Domain:
    """Return a domain with a default: the one given, else `own` if within, or a middle.

    Raises
    ------
    BadInputError
        For what is no domain, or has its default or its scale out of bounds.
    """
    if not isinstance(domain, Float | Int | Categorical):
        raise BadInputError(
            f"params[{name!r}] is {domain!r}: give an autoimb.Float, Int or "
            "Categorical."
        )
    if not isinstance(domain, Categorical):
        _check_bounds(name, domain)
    complete: Domain = domain
    if domain.default is None and None not in domain:
        default = own if own in domain else _middle(domain)
        complete = replace(domain, default=default)
    if complete.default not in complete:
        raise BadInputError(f"params[{name!r}] is {domain!r}: its default is outside.")
    return complete


def _check_bounds(name: str, domain: Float | Int) -> None:
    """Raise unless the bounds are numbers in order, and suit the scale."""
    is_right = is_whole if isinstance(domain, Int) else is_number
    if not (is_right(domain.low) and is_right(domain.high)):
        kind = "whole" if isinstance(domain, Int) else "finite"
        raise BadInputError(
            f"params[{name!r}] is {domain!r}: low and high must be {kind} numbers."
        )
    if domain.low > domain.high:
        raise BadInputError(f"params[{name!r}] is {domain!r}: low is above high.")
    if domain.log and domain.low <= 0:
        raise BadInputError(
            f"params[{name!r}] is {domain!r}: on a log scale low must be above 0."
        )


def _middle(domain: Domain) -> Any:
    """Return the middle of a range, on its own scale, or the first of the choices."""
    if isinstance(domain, Categorical):
        return domain.choices[0]
    low, high = domain.low, domain.high
    middle = (low * high) ** 0.5 if domain.log else (low + high) / 2
    return round(middle) if isinstance(domain, Int) else middle


@dataclass(frozen=True, slots=True)
class Need:
    """A condition on the data, and the sentence that says why an entry is left out."""

    holds: Callable[[DatasetProfile], bool]
    """A picklable function: entries travel to worker processes."""
    reason: str


def minority_at_least(rows: int) -> Need:
    """Return the need for so many rows of the smallest class."""
    return Need(
        partial(_compares, "minority_count", operator.ge, rows),
        f"needs at least {rows} rows of the smallest class",
    )


def rows_at_most(rows: int) -> Need:
    """Return the need for a table of at most so many rows."""
    return Need(
        partial(_compares, "n_rows", operator.le, rows),
        f"is too slow above {rows:,} rows",
    )


def installed(package: str) -> Need:
    """Return the need for an optional package."""
    return Need(
        partial(_is_installed, package),
        f"needs the package {package}: pip install autoimb[{package}]",
    )


def _compares(
    name: str,
    comparison: Callable[[Any, Any], bool],
    value: float,
    profile: DatasetProfile,
) -> bool:
    """Whether the comparison of a field of the profile with a value holds."""
    return comparison(getattr(profile, name), value)


def _is_installed(package: str, _profile: DatasetProfile) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def is_unweighted(profile: DatasetProfile) -> bool:
    """Whether the user gave no row weights.

    A named function, so that `UNWEIGHTED` compares equal after pickling.
    """
    return not profile.weighted


UNWEIGHTED = Need(
    is_unweighted, "makes new rows, for which the given sample_weight has no weight"
)
UNWEIGHTED_FIT = Need(is_unweighted, "cannot take the given sample_weight")


def is_dense(profile: DatasetProfile) -> bool:
    """Whether the rows are no matrix that is kept sparse; named as `is_unweighted`."""
    return profile.stored_share is None


def has_categories(profile: DatasetProfile) -> bool:
    """Whether there are category codes whose order is arbitrary: of three or more."""
    has_codes = profile.kind_counts.get("categorical", 0) > 0
    return has_codes and profile.max_cardinality > 2


CATEGORIES = Need(has_categories, "needs a column of three or more categories")
DENSE = Need(
    is_dense, "reads all cells, and a sparse matrix of so many is not made dense"
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One choice on one axis of the search space."""

    name: str
    label: str
    """A few words for tables and sentences."""
    make: Any
    """What builds it: a dotted path, a function, or a ready object to clone."""
    params: Mapping[str, Domain] = field(default_factory=dict)
    """The parameters to tune."""
    needs: tuple[Need, ...] = ()
    reference: str = ""
    auto: bool = True
    """Whether it is part of "auto"; the rest is chosen by name or by "all"."""

    def defaults(self) -> dict[str, Any]:
        """Return the default of every parameter to tune."""
        return {name: domain.default for name, domain in self.params.items()}

    def reason_unsuitable(self, profile: DatasetProfile) -> str | None:
        """Return why this entry does not suit the data, or None if it does."""
        unmet = (need.reason for need in self.needs if not need.holds(profile))
        return next(unmet, None)


@dataclass(frozen=True, kw_only=True)
class Loss(Entry):
    """What a model minimises."""

    make: Mapping[str, Any]
    """Its name in each kind of model that can minimise it."""
    allows_class_weight: bool = True
    """Whether class weights make sense on top of it."""


@dataclass(frozen=True, kw_only=True)
class Resampler(Entry):
    """A way to change which rows a model is trained on."""

    view: View | None = None
    """The view that it reads (None: that of the family)."""
    uses_distances: bool = True
    """Whether it measures distances, and so cannot read text."""
    batches: str | None = None
    """How mini-batches are drawn, where that is all it does."""
    target_counts: Callable[..., dict[int, int]] | None = None
    """Function (counts, strength) -> class counts after resampling; None if they hardly
    change."""
    compares: Literal["none", "minority", "all"] = "none"
    """Which rows it compares with others."""

    @property
    def reads_codes(self) -> bool:
        """Whether it needs category codes, which our encoders alone make."""
        return bool(getattr(self.make, "reads_codes", False))

    @property
    def adds_rows(self) -> bool:
        """Whether it adds copies of rows, or new rows interpolated between rows."""
        return self.make is not None and self.target_counts is oversampled


@dataclass(frozen=True, kw_only=True)
class ClassWeight(Entry):
    """A rule from class counts to class weights; `make` may be the weights by code."""


@dataclass(frozen=True, kw_only=True)
class Family(Entry):
    """A kind of model."""

    view: View | None = "native"
    """The view that it reads; None: the user's table as it is."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that are not tuned."""
    loss_kind: str | None = None
    """The key of `Loss.make` that it minimises; None: its loss is fixed."""
    resampling: Literal["rows", "batches", "own"] = "rows"
    """With "rows" a resampler may change its rows before the fit; with "batches" a
    resampler or balanced mini-batches; with "own" neither, since it resamples
    internally."""
    weighting: Literal["parameter", "model", "own"] = "parameter"
    """With "parameter" it takes class weights if `parameter_names` names one; with
    "model" it is a model of the user's, and `with_class_weight` finds how it takes
    them; with "own" it has class weights already, which stay."""
    portfolio: tuple[Mapping[str, Any], ...] = ({},)
    """Complementary settings that are always worth a trial, best first."""
    parameter_names: Mapping[str, str] = field(
        default_factory=lambda: {
            "random_state": "random_state",
            "class_weight": "class_weight",
        }
    )
    """What the model calls class_weight, random_state, n_jobs, device, metric,
    pos_label, n_categorical and validation_fraction: those of them that it has."""
    cost: float = 1.0
    """Expected seconds of a fit relative to the other families: orders first trials."""
    time_limited_fit: str = ""
    """Dotted path of a function that fits the model within a time limit:
    (model, X, y, seconds, **fit_params)."""
    rounds_parameter: str = ""
    """The parameter that counts boosting rounds, if a fitted model can also predict
    after fewer rounds."""
    staged_proba: str = ""
    """Dotted path of a function that predicts at fewer rounds: (model, X, counts)."""
    cut_rounds: str = ""
    """Dotted path of a function that keeps the first rounds alone: (model, count)."""
    weights_sampled_rows: bool = False
    """Whether it ranks better, fitted on a sample of the rows of a large table, with
    weights that give the classes their original shares (benchmarks/RESULTS.md)."""
    is_interruptible: bool = True
    """Whether a timer can interrupt it on the way: not what computes for long in one
    call of compiled code."""

    @property
    def has_preprocessing(self) -> bool:
        """Whether it is a pipeline of the user's, which reads the table as it is."""
        return self.view is None and len(getattr(self.make, "steps", ())) > 1

    @property
    def needs_torch(self) -> bool:
        """Whether it is a neural net."""
        return self.loss_kind == "torch"

    def baseline(self, axis: Axis) -> str:
        """Return the name on an axis that leaves the model as it is."""
        has_own = {
            "resampler": self.resampling == "own",
            "class_weight": self.weighting == "own",
        }
        return OWN if has_own.get(axis, False) else BASELINE[axis]

    def accepts(self, entry: Entry) -> bool:
        """Whether a loss, a resampler or a class weight can be combined with it."""
        if isinstance(entry, Loss):  # every model has a log loss
            return entry.name == BASELINE["loss"] or self.loss_kind in entry.make
        if isinstance(entry, Resampler):
            if self.resampling == "own" or entry.name == OWN:
                return entry.name == self.baseline("resampler")
            return entry.batches is None or self.resampling == "batches"
        if self.weighting == "own" or entry.name == OWN:
            return entry.name == self.baseline("class_weight")
        has_weights = (
            self.weighting == "model" or "class_weight" in self.parameter_names
        )
        return has_weights or entry.name == BASELINE["class_weight"]


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

    def weights_sampled_rows(self, family: str, resampler: str) -> bool:
        """Whether weights give the classes of a sample of rows their original shares.

        They do where the family ranks better so. They cannot where the resampler adds
        rows, since it would raise small classes to the size of a class that the sample
        has cut.
        """
        chosen: Resampler = self.get("resampler", resampler)
        is_weighted = self.get("family", family).weights_sampled_rows
        return is_weighted and not chosen.adds_rows and UNWEIGHTED not in chosen.needs

    def with_entry(self, axis: str, entry: Entry) -> Catalogue:
        """Return a catalogue with one more entry."""
        if entry.name in self.entries[axis]:
            raise BadInputError(
                f"the name {entry.name!r} is taken on the {axis} axis: choose another."
            )
        grown = {**self.entries[axis], entry.name: entry}
        return replace(self, entries={**self.entries, axis: grown})


def oversampled(counts: NDArray[np.intp], strength: float) -> dict[int, int]:
    """Return target counts that raise each smaller class towards the largest.

    With r0 = count / largest, the target ratio is r0 ** (1 - strength): strength 0
    changes nothing, 1 balances the classes, and every value suits every data set.
    """
    largest = counts.max()
    target = np.rint(largest * (counts / largest) ** (1 - strength)).astype(int)
    return {int(c): int(n) for c, n in enumerate(target) if n > counts[c] > 0}


def undersampled(counts: NDArray[np.intp], strength: float) -> dict[int, int]:
    """Return target counts that lower each larger class towards the smallest."""
    smallest = counts[counts > 0].min()
    target = np.rint(smallest * (counts / smallest) ** (1 - strength)).astype(int)
    return {int(c): int(n) for c, n in enumerate(target) if 0 < n < counts[c]}
