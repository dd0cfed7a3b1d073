"""`SearchSpace`: what fits this data and this user, and why the rest does not.

There is one walk over the space and several policies: defaults, a random draw,
Optuna's suggestion, or the reading of parameters that were suggested before.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import pandas as pd

from autoimb._catalogue import AXES, CATALOGUE, Axis, Catalogue
from autoimb._catalogue.entry import BASELINE, Categorical, Domain, Entry
from autoimb._catalogue.portfolio import ORDER
from autoimb._catalogue.ready import (
    given_weights,
    in_codes,
    is_ready,
    ready_family,
    ready_resampler,
)
from autoimb._strategy import Choice, Strategy
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import optuna

    from autoimb._catalogue.entry import Family, Resampler
    from autoimb._data import Table
    from autoimb._guide import Recommendation
    from autoimb._profile import DatasetProfile

_PARAMETER = {
    "family": "families",
    "loss": "losses",
    "resampler": "resamplers",
    "class_weight": "class_weights",
}
_PLAIN_PER_SEED = 2  # first trials: so many no-handling arms between two seeds


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry that does not fit, and the reason in words."""

    axis: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The choices on every axis, in catalogue order."""

    catalogue: Catalogue
    names: Mapping[str, tuple[str, ...]]
    """Names of the entries in the space, by axis."""
    left_out: tuple[LeftOut, ...]

    @classmethod
    def fitting(
        cls, profile: DatasetProfile, table: Table, wishes: Mapping[str, Any]
    ) -> SearchSpace:
        """Return the space for a data set and what the user asked for, by axis.

        A wish is ``"auto"``, ``"all"``, names, ready-made objects, or a list of such.
        """
        catalogue = CATALOGUE
        names: dict[str, tuple[str, ...]] = {}
        left_out: list[LeftOut] = []
        for axis in AXES:
            catalogue, wanted = _understand(catalogue, axis, wishes[axis], table)
            if axis == "resampler":
                wanted = _without_idle(catalogue, names["family"], wanted)
            entries = [catalogue.get(axis, name) for name in wanted]
            if axis == "resampler" and _reads_as_given(catalogue, names["family"]):
                left_out += _unreadable(entries, table)
            left_out += _misfits(axis, entries, profile)
            gone = {out.name for out in left_out if out.axis == axis}
            names[axis] = tuple(name for name in wanted if name not in gone)
        _check_not_empty(names, left_out)
        return cls(catalogue, names, tuple(left_out))

    def walk(self, pick: Callable[[str, Domain], Any]) -> Strategy:
        """Return the strategy that a policy picks; unreached choices stay unasked."""
        chosen: dict[str, Choice] = {}
        for axis in AXES:
            names = self._options(axis, chosen)
            name = names[0]
            if len(names) > 1:
                where = self._where(axis, chosen)
                name = pick(where, Categorical(names, default=names[0]))
            params = self.catalogue.get(axis, name).params
            chosen[axis] = Choice.of(
                name, {p: pick(f"{axis}:{name}:{p}", params[p]) for p in params}
            )
        return Strategy(**chosen)

    def suggest(self, trial: optuna.Trial) -> Strategy:
        """Return the strategy that an Optuna trial proposes."""
        return self.walk(lambda name, domain: domain.suggest(trial, name))

    def sample(self, rng: np.random.Generator) -> Strategy:
        """Return a strategy drawn at random."""
        return self.walk(lambda _, domain: domain.sample(rng))

    def from_params(self, params: Mapping[str, Any]) -> Strategy:
        """Return the strategy that a trial's parameters stand for."""
        return self.walk(lambda name, domain: params.get(name, domain.default))

    def to_params(self, strategy: Strategy) -> dict[str, Any]:
        """Return the Optuna parameters that propose a strategy."""
        chosen: dict[str, Choice] = {axis: strategy.choice(axis) for axis in AXES}
        params: dict[str, Any] = {}
        for axis, choice in chosen.items():
            if len(self._options(axis, chosen)) > 1:
                params[self._where(axis, chosen)] = choice.name
            params |= {f"{axis}:{choice.name}:{k}": v for k, v in choice.params}
        return params

    def __contains__(self, strategy: Strategy) -> bool:
        """Whether the walk can reach this strategy."""
        if strategy.family.name not in self.names["family"]:
            return False
        chosen: dict[str, Choice] = {axis: strategy.choice(axis) for axis in AXES}
        return all(
            choice.name in self._options(axis, chosen) and self._holds(axis, choice)
            for axis, choice in chosen.items()
        )

    def label(self, strategy: Strategy) -> str:
        """Return a strategy's one-line name."""
        return strategy.label(self.catalogue)

    def portfolio(self) -> tuple[Strategy, ...]:
        """Return the families' good settings: the cheapest plain one, then in order.

        The order is that of `_catalogue.portfolio`, with what it does not know behind.
        """
        places = {arm: place for place, arm in enumerate(ORDER)}
        arms = [
            (
                places.get((name, rank), len(places)),
                rank,
                entry.cost,
                Strategy.of(self.catalogue, family=(name, settings)),
            )
            for name in self.names["family"]
            for entry in [self.catalogue.get("family", name)]
            for rank, settings in enumerate(entry.portfolio)
        ]
        arms.sort(key=lambda arm: arm[:3])
        first = min(arms, key=lambda arm: (arm[3].is_handled, arm[2]))
        return tuple(dict.fromkeys(arm[3] for arm in [first, *arms]))

    def first_trials(self, recommendation: Recommendation) -> tuple[Strategy, ...]:
        """Return the cheapest plain model, the first seed, then both interleaved.

        A family's arm without handling always comes before its handled arms.
        """
        plain = list(self.portfolio())
        seeds = [seed for seed in recommendation.seeds if seed in self]
        order = [plain.pop(0)]
        while plain or seeds:
            met = {arm.family.name for arm in order}
            ready = [seed for seed in seeds if seed.family.name in met]
            if ready:
                order.append(ready[0])
                seeds.remove(ready[0])
            elif not plain:
                break
            order += [plain.pop(0) for _ in range(min(_PLAIN_PER_SEED, len(plain)))]
        return tuple(dict.fromkeys(order))

    def cheaper_than(
        self, cost: float, strategies: Sequence[Strategy]
    ) -> tuple[Strategy, ...]:
        """Return the strategies of families that are fast, the cheapest if none is."""
        costs = [self.catalogue.get("family", s.family.name).cost for s in strategies]
        limit = max(cost, min(costs))
        return tuple(s for s, c in zip(strategies, costs, strict=True) if c <= limit)

    def _options(self, axis: str, chosen: Mapping[str, Choice]) -> tuple[str, ...]:
        """Return the names on an axis that make sense after the choices before it."""
        names = self.names[axis]
        if axis == "family":
            return names
        family: Family = self.catalogue.get("family", chosen["family"].name)
        entries = [self.catalogue.get(axis, name) for name in names]
        if axis == "loss":
            return tuple(e.name for e in entries if family.takes_loss(e))
        if axis == "resampler":
            takes = (e.name for e in entries if family.takes_resampler(e))
            return tuple(takes) or (family.plain_resampler,)
        loss = self.catalogue.get("loss", chosen["loss"].name)
        return names if family.takes_class_weight(loss) else (BASELINE[axis],)

    def _where(self, axis: str, chosen: Mapping[str, Choice]) -> str:
        """Return the Optuna parameter that holds the choice on an axis.

        The choices behind one parameter never change within a study, so families with
        choices of their own have parameters of their own.
        """
        if axis in ("family", "class_weight"):
            return axis
        name = chosen["family"].name
        is_shared = self.catalogue.get("family", name).resampling == "rows"
        if axis == "resampler" and is_shared:
            return axis
        return f"family:{name}:{axis}"

    def _holds(self, axis: str, choice: Choice) -> bool:
        """Whether every parameter of a choice lies in its domain."""
        params = self.catalogue.get(axis, choice.name).params
        given = dict(choice.params)
        return params.keys() == given.keys() and all(
            domain.holds(given[name]) for name, domain in params.items()
        )


def catalogue(profile: DatasetProfile | None = None) -> pd.DataFrame:
    """List everything that can be tried, and what fits a data set.

    What `register_family`, `register_resampler` and `register_loss` added is listed
    too.

    Parameters
    ----------
    profile : DatasetProfile or None, default=None
        What `autoimb.profile` returned; None lists the catalogue without a verdict.

    Returns
    -------
    DataFrame
        One row an entry: axis, name, label, whether it is part of ``"auto"``,
        parameters, reference; with a profile also ``fits`` and ``reason``.

    Examples
    --------
    >>> import autoimb
    >>> entries = autoimb.catalogue()
    >>> sorted(entries["axis"].unique())
    ['class_weight', 'family', 'loss', 'resampler']
    """
    rows = [
        {
            "axis": axis,
            "name": entry.name,
            "label": entry.label,
            "auto": entry.auto,
            "parameters": ", ".join(entry.params),
            **({} if profile is None else _verdict(entry, profile)),
            "reference": entry.reference,
        }
        for axis in AXES
        for entry in CATALOGUE.entries[axis].values()
    ]
    return pd.DataFrame(rows)


def _verdict(entry: Entry, profile: DatasetProfile) -> dict[str, Any]:
    """Return whether an entry fits, and why not."""
    reason = entry.misfit(profile)
    return {"fits": reason is None, "reason": reason or ""}


def wishes_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the parameters of an `AutoImbalance` ask for, by axis."""
    wishes = {axis: params[name] for axis, name in _PARAMETER.items()}
    if params["estimator"] is None:
        return wishes
    families = wishes["family"]
    if not (isinstance(families, str) and families == "auto"):
        raise BadInputError(
            "estimator= and families= exclude each other: put the estimator into "
            "families=[...] to let it compete with others."
        )
    own = ready_family(params["estimator"], "estimator", view=None)
    return {**wishes, "family": [own]}


def _understand(
    catalogue: Catalogue, axis: Axis, wish: Any, table: Table
) -> tuple[Catalogue, list[str]]:
    """Return the catalogue, grown by ready objects, and the names wished for."""
    names = [BASELINE[axis]] if axis in BASELINE else []
    for item in wish if isinstance(wish, list | tuple) else [wish]:
        if isinstance(item, str):
            names += _meant(catalogue, axis, item)
        else:
            entry = _renamed(_entry_of(axis, item, table), catalogue.entries[axis])
            catalogue = catalogue.adding(axis, entry)
            names.append(entry.name)
    return catalogue, list(dict.fromkeys(names))


def _meant(catalogue: Catalogue, axis: Axis, word: str) -> list[str]:
    """Return the names that a word stands for: its own, "auto" or "all"."""
    if word in ("auto", "all"):
        entries = catalogue.entries[axis].values()
        return [entry.name for entry in entries if entry.auto or word == "all"]
    _check_known(catalogue, axis, word)
    return [word]


def _entry_of(axis: str, item: Any, table: Table) -> Entry:
    """Return the catalogue entry for a ready-made object or an entry itself."""
    codes = {label: code for code, label in enumerate(table.classes.tolist())}
    if isinstance(item, Entry):
        own = getattr(item, "make", None)
        return replace(item, make=in_codes(own, codes)) if is_ready(own) else item
    name = type(item).__name__
    if is_ready(item):
        item = in_codes(item, codes)
    if axis == "family" and hasattr(item, "fit") and hasattr(item, "get_params"):
        return ready_family(item, name)
    if axis == "resampler" and hasattr(item, "fit_resample"):
        return ready_resampler(item, name)
    if axis == "class_weight" and isinstance(item, dict):
        return given_weights(_coded_weights(item, table))
    raise BadInputError(
        f"{_PARAMETER[axis]} holds {item!r}, which is neither a name nor an object "
        f"that fits there. Names: {sorted(CATALOGUE.entries[axis])}."
    )


def _renamed(entry: Entry, taken: Mapping[str, Entry]) -> Entry:
    """Return an entry under a free name: two models of one type may compete."""
    names = chain([entry.name], (f"{entry.name}-{number}" for number in count(2)))
    return replace(entry, name=next(name for name in names if name not in taken))


def _coded_weights(weights: Mapping[Any, float], table: Table) -> dict[int, float]:
    """Return a user's weights by class label as weights by code."""
    codes = {label: code for code, label in enumerate(table.classes.tolist())}
    unknown = [label for label in weights if label not in codes]
    if unknown:
        raise BadInputError(
            f"class_weights names {unknown}, which y does not hold; "
            f"its classes are {list(codes)}."
        )
    given = {codes[label]: float(weight) for label, weight in weights.items()}
    return {**dict.fromkeys(range(len(codes)), 1.0), **given}


def _check_known(catalogue: Catalogue, axis: str, name: str) -> None:
    """Raise for a name that is not in the catalogue, naming the nearest."""
    known = sorted(catalogue.entries[axis])
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        names = ", ".join(known)
        raise BadInputError(
            f"{_PARAMETER[axis]}={name!r} is not known.{hint} Known: {names}."
        )


def _without_idle(
    catalogue: Catalogue, families: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Return the resamplers that some family of the space can take."""
    takers = [catalogue.get("family", name) for name in families]
    return [
        name
        for name in names
        if name == BASELINE["resampler"]
        or any(f.takes_resampler(catalogue.get("resampler", name)) for f in takers)
    ]


def _reads_as_given(catalogue: Catalogue, families: Sequence[str]) -> bool:
    """Whether a model of the space reads rows as the user wrote them."""
    return any(catalogue.get("family", name).view is None for name in families)


def _unreadable(entries: Sequence[Resampler], table: Table) -> list[LeftOut]:
    """Return the resamplers that cannot work on the user's own columns."""
    if not (table.schema.is_frame or table.schema.has_missing):
        return []
    reason = "needs numbers without gaps, and your estimator reads the table as it is"
    return [LeftOut("resampler", e.name, reason) for e in entries if e.distances]


def _misfits(
    axis: str, entries: Sequence[Entry], profile: DatasetProfile
) -> list[LeftOut]:
    """Return the entries that ask for other data than these."""
    reasons = {entry.name: entry.misfit(profile) for entry in entries}
    return [LeftOut(axis, name, why) for name, why in reasons.items() if why]


def _check_not_empty(
    names: Mapping[str, Sequence[str]], left_out: Sequence[LeftOut]
) -> None:
    """Raise if nothing is left on an axis."""
    for axis, kept in names.items():
        if not kept:
            reasons = "; ".join(f"{o.name} {o.reason}" for o in left_out)
            raise BadInputError(f"no {axis} fits this data: {reasons}.")
