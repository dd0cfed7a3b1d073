"""`SearchSpace`: what suits this data and this user, and why the rest does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import pandas as pd

from autoimb._catalogue import AXES, CATALOGUE, Axis, Catalogue
from autoimb._catalogue.builtin import usual_name
from autoimb._catalogue.entry import (
    BASELINE,
    OWN,
    ClassWeight,
    Entry,
    Family,
    Loss,
    Resampler,
    suggested,
)
from autoimb._catalogue.portfolio import ORDER
from autoimb._catalogue.user_objects import (
    check_classifier,
    check_known_classes,
    check_weights,
    entry_of_estimator,
    entry_of_resampler,
    is_object_to_clone,
    with_class_codes,
)
from autoimb._strategy.flowchart import SEED_FAMILIES, recommend
from autoimb._strategy.strategy import Choice, Strategy
from autoimb.exceptions import BadInputError, unknown_name_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna

    from autoimb._strategy.flowchart import Recommendation
    from autoimb._table.profile import DatasetProfile
    from autoimb._table.table import Table

_ARGUMENTS = {
    "family": "families",
    "loss": "losses",
    "resampler": "resamplers",
    "class_weight": "class_weights",
}
"""The parameter of `AutoImbalance` that names the entries of each axis."""

_BASELINES_PER_SEED = 2  # first trials: so many baselines between two seed strategies


@dataclass(frozen=True, slots=True)
class Unsuitable:
    """An entry that does not suit the data, and the reason in words."""

    axis: Axis
    name: str
    reason: str
    was_requested: bool = False
    """Whether the user asked for it by name, or gave it."""

    @property
    def message(self) -> str:
        """What a warning says of it."""
        return f"{_ARGUMENTS[self.axis]}: {self.name} is left out, as it {self.reason}."


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The choices on every axis, in catalogue order."""

    catalogue: Catalogue
    names: Mapping[str, tuple[str, ...]]
    """Names of the entries in the space, by axis."""
    unsuitable: tuple[Unsuitable, ...]

    @classmethod
    def for_data(
        cls, profile: DatasetProfile, table: Table, requested: Mapping[str, Any]
    ) -> SearchSpace:
        """Return the space for a data set and what the user asked for, by axis.

        A request is ``"auto"``, ``"all"``, a name, a ready-made object, or a list of
        these.
        """
        catalogue = CATALOGUE
        names: dict[str, tuple[str, ...]] = {}
        unsuitable: list[Unsuitable] = []
        families: list[Family] = []
        for axis in AXES:
            catalogue, on_axis, by_name = _with_requested(
                catalogue, axis, requested[axis], table
            )
            reasons = {}
            for entry in (catalogue.get(axis, name) for name in on_axis):
                refusal = _refusal(entry, families)
                if refusal is None or entry.name in by_name:
                    unsuitable_as = entry.reason_unsuitable(profile)
                    unreadable_as = _reason_unreadable(entry, families, table)
                    reasons[entry.name] = refusal or unsuitable_as or unreadable_as
            names[axis] = tuple(name for name, why in reasons.items() if why is None)
            unsuitable += [
                Unsuitable(axis, n, why, was_requested=n in by_name)
                for n, why in reasons.items()
                if why
            ]
            if not names[axis]:
                why = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
                raise BadInputError(f"no {axis} suits this data: {why}.")
            families = [catalogue.get("family", name) for name in names["family"]]
        return cls(catalogue, names, tuple(unsuitable))

    def suggest(self, trial: optuna.Trial) -> Strategy:
        """Return the strategy that an Optuna trial proposes.

        Only the parameters of what it chose are suggested.
        """
        chosen: dict[Axis, Choice] = {}
        for axis in AXES:
            names = self._options(axis, chosen)
            name = names[0]
            if len(names) > 1:
                name = trial.suggest_categorical(self._key(axis, chosen), names)
            domains = self.catalogue.get(axis, name).params
            values = {
                parameter: suggested(trial, f"{axis}:{name}:{parameter}", domain)
                for parameter, domain in domains.items()
            }
            chosen[axis] = Choice.of(name, values)
        return Strategy(**chosen)

    def to_params(self, strategy: Strategy) -> dict[str, Any]:
        """Return the Optuna parameters that propose a strategy."""
        chosen = {axis: strategy.choice(axis) for axis in AXES}
        params: dict[str, Any] = {}
        for axis, choice in chosen.items():
            if len(self._options(axis, chosen)) > 1:
                params[self._key(axis, chosen)] = choice.name
            params |= {f"{axis}:{choice.name}:{k}": v for k, v in choice.params}
        return params

    def __contains__(self, strategy: Strategy) -> bool:
        """Whether `suggest` can return this strategy."""
        if strategy.family.name not in self.names["family"]:
            return False
        chosen = {axis: strategy.choice(axis) for axis in AXES}
        for axis, choice in chosen.items():
            if choice.name not in self._options(axis, chosen):
                return False
            domains, values = (
                self.catalogue.get(axis, choice.name).params,
                choice.params,
            )
            if domains.keys() != dict(values).keys():
                return False
            if not all(value in domains[parameter] for parameter, value in values):
                return False
        return True

    @property
    def left_out(self) -> tuple[Unsuitable, ...]:
        """What the user asked for and does not suit the data or the model."""
        return tuple(entry for entry in self.unsuitable if entry.was_requested)

    def reason_left_out(self, strategy: Strategy) -> str | None:
        """Return why a strategy is not in the space; None if it is.

        What does not suit the data has a reason of its own, and what the user did not
        ask for has another.
        """
        if strategy in self:
            return None
        parts = {(axis, strategy.choice(axis).name) for axis in AXES}
        for entry in self.unsuitable:
            if (entry.axis, entry.name) in parts:
                label = self.catalogue.get(entry.axis, entry.name).label
                return f"{label} {entry.reason}"
        return "it is not part of the search that was asked for"

    def advise(self, profile: DatasetProfile) -> Recommendation:
        """Return the flowchart's recommendation for the models of this space.

        Models of the user's own get its advice, too.
        """
        names = self.names["family"]
        known = CATALOGUE.entries["family"]
        own = [name for name in names if name not in known]
        seeds = [name for name in SEED_FAMILIES if name in names]
        families = [*seeds, *own] or SEED_FAMILIES
        return recommend(profile, catalogue=self.catalogue, families=families)

    def label(self, strategy: Strategy) -> str:
        """Return a strategy's one-line name."""
        return strategy.label(self.catalogue)

    def portfolio(self) -> tuple[Strategy, ...]:
        """Return the portfolio: the cheapest baseline, then the learned order.

        The order is `_catalogue.portfolio.ORDER`; settings that it does not hold come
        after it, a family's first settings before its others, cheap families first.
        """
        places = {settings: place for place, settings in enumerate(ORDER)}
        ranked = []
        for name in self.names["family"]:
            entry: Family = self.catalogue.get("family", name)
            for rank, settings in enumerate(entry.portfolio):
                strategy = Strategy.of(self.catalogue, family=(name, settings))
                place = places.get((name, rank), len(places))
                ranked.append(((place, rank, entry.cost), strategy))
        ranked.sort(key=lambda pair: pair[0])
        _, first = min(ranked, key=lambda pair: (pair[1].is_handled, pair[0][2]))
        return tuple(dict.fromkeys([first, *(strategy for _, strategy in ranked)]))

    def first_trials(self, recommendation: Recommendation) -> tuple[Strategy, ...]:
        """Return two baselines, the first seed strategy, then both interleaved.

        The first is the cheapest, the second of another family: where there is time for
        two candidates only, trees find what a linear model does not, whatever is done
        about the imbalance. A family's baseline always comes before its handled
        strategies.
        """
        first, *baselines = self.portfolio()
        seeds = [seed for seed in recommendation.seeds if seed in self]
        order = [first]
        if baselines and baselines[0].family.name != first.family.name:
            order.append(baselines.pop(0))
        while baselines or seeds:
            tried = {strategy.family.name for strategy in order}
            ready = [seed for seed in seeds if seed.family.name in tried]
            if ready:
                order.append(ready[0])
                seeds.remove(ready[0])
            elif not baselines:
                break
            order += baselines[:_BASELINES_PER_SEED]
            del baselines[:_BASELINES_PER_SEED]
        return tuple(dict.fromkeys(order))

    def cheaper_than(
        self, cost: float, strategies: Sequence[Strategy]
    ) -> tuple[Strategy, ...]:
        """Return the strategies of families up to a cost, the cheapest if none is."""
        costs = [self.catalogue.get("family", s.family.name).cost for s in strategies]
        limit = max(cost, min(costs))
        return tuple(s for s, c in zip(strategies, costs, strict=True) if c <= limit)

    def _options(self, axis: Axis, chosen: Mapping[Axis, Choice]) -> tuple[str, ...]:
        """Return the names on an axis that make sense after the choices before it."""
        if axis == "family":
            return self.names[axis]
        family: Family = self.catalogue.get("family", chosen["family"].name)
        if axis == "class_weight":
            loss = self.catalogue.get("loss", chosen["loss"].name)
            if not loss.allows_class_weight:
                return (BASELINE[axis],)
        entries = [self.catalogue.get(axis, name) for name in self.names[axis]]
        accepted = tuple(entry.name for entry in entries if family.accepts(entry))
        return accepted or (family.baseline(axis),)

    def _key(self, axis: str, chosen: Mapping[Axis, Choice]) -> str:
        """Return the Optuna parameter that holds the choice on an axis.

        The options of one parameter never change within a study, so families with
        options of their own have parameters of their own.
        """
        if axis in ("family", "class_weight"):
            return axis
        name = chosen["family"].name
        is_shared = self.catalogue.get("family", name).resampling == "rows"
        if axis == "resampler" and is_shared:
            return axis
        return f"family:{name}:{axis}"


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
        One row for each entry: axis, name, label, whether it is part of ``"auto"``,
        parameters, reference; with a profile also ``fits`` and ``reason``.

    Examples
    --------
    >>> import autoimb
    >>> entries = autoimb.catalogue()
    >>> sorted(entries["axis"].unique())
    ['class_weight', 'family', 'loss', 'resampler']
    """
    rows = []
    for axis in AXES:
        for entry in CATALOGUE.entries[axis].values():
            row = {
                "axis": axis,
                "name": entry.name,
                "label": entry.label,
                "auto": entry.auto,
                "parameters": ", ".join(entry.params),
            }
            if profile is not None:
                reason = entry.reason_unsuitable(profile)
                row |= {"fits": reason is None, "reason": reason or ""}
            rows.append({**row, "reference": entry.reference})
    return pd.DataFrame(rows)


def requested_entries(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the parameters of an `AutoImbalance` ask for, by axis."""
    requested = {axis: params[name] for axis, name in _ARGUMENTS.items()}
    estimator, search_params = params["estimator"], params["search_params"]
    if estimator is None:
        if search_params:
            raise BadInputError(
                f"search_params names {list(search_params)}, and there is no "
                "estimator: it tunes the parameters of the one given as estimator=."
            )
        return requested
    families = requested["family"]
    if not (isinstance(families, str) and families == "auto"):
        raise BadInputError(
            "estimator= and families= exclude each other: put the estimator into "
            "families=[...] to let it compete with others."
        )
    check_classifier("estimator", estimator)
    entry = entry_of_estimator(estimator, view=None, params=search_params)
    return {**requested, "family": [entry]}


def _with_requested(
    catalogue: Catalogue, axis: Axis, request: Any, table: Table
) -> tuple[Catalogue, list[str], set[str]]:
    """Return the catalogue with the user's objects, all names, and those asked for.

    An object whose name is taken gets a number: two models of one class may compete.
    """
    names = [BASELINE[axis]] if axis in BASELINE else []
    by_name = set()
    for item in request if isinstance(request, list | tuple) else [request]:
        if isinstance(item, str):
            found = _names_of(catalogue, axis, item)
        else:
            entry, taken = _entry_of(axis, item, table), catalogue.entries[axis]
            free = chain([entry.name], (f"{entry.name}-{n}" for n in count(2)))
            entry = replace(entry, name=next(n for n in free if n not in taken))
            catalogue = catalogue.with_entry(axis, entry)
            found = [entry.name]
        names += found
        by_name |= {*found} if item not in ("auto", "all") else set()
    return catalogue, list(dict.fromkeys(names)), by_name


def _names_of(catalogue: Catalogue, axis: Axis, word: str) -> list[str]:
    """Return the names that a word stands for: its own, "auto" or "all"."""
    entries = catalogue.entries[axis]
    if word in ("auto", "all"):
        return [e.name for e in entries.values() if e.auto or word == "all"]
    if word not in entries:
        meant = usual_name(axis, word)
        raise unknown_name_error(f"{_ARGUMENTS[axis]}={word!r}", meant, entries)
    return [word]


def _entry_of(axis: str, item: Any, table: Table) -> Entry:
    """Return the catalogue entry of a user's object, or the entry that it is."""
    codes = {label: code for code, label in enumerate(table.classes.tolist())}
    left_out = table.set_aside.labels.tolist()
    if isinstance(item, Entry):
        if is_object_to_clone(item.make):
            return replace(item, make=with_class_codes(item.make, codes, left_out))
        return item
    name = type(item).__name__
    if is_object_to_clone(item):
        item = with_class_codes(item, codes, left_out)
    if axis == "family" and (hasattr(item, "fit") or isinstance(item, type)):
        check_classifier("families", item)
        return entry_of_estimator(item)
    if axis == "resampler" and hasattr(item, "fit_resample"):
        return entry_of_resampler(item, name)
    if axis == "class_weight" and isinstance(item, dict):
        return ClassWeight(
            name="given",
            label="given class weights",
            make=_coded_weights(item, codes, left_out),
        )
    raise BadInputError(
        f"{_ARGUMENTS[axis]} holds {item!r}, which is neither a name nor an object "
        f"that can be used there. Names: {sorted(CATALOGUE.entries[axis])}."
    )


def _coded_weights(
    weights: Mapping[Any, float], codes: Mapping[Any, int], left_out: Sequence[Any]
) -> dict[int, float]:
    """Return a user's weights by class label as weights by code, 1 where not given."""
    check_known_classes(weights, [*codes, *left_out], "class_weights")
    check_weights(weights, "class_weights")
    return {code: float(weights.get(label, 1.0)) for label, code in codes.items()}


def _refusal(entry: Entry, families: Sequence[Family]) -> str | None:
    """Return why no family takes an entry of another axis, None if one does."""
    is_baseline = isinstance(entry, Family) or entry.name in BASELINE.values()
    if is_baseline or any(family.accepts(entry) for family in families):
        return None
    names = ", ".join(family.label for family in families)
    if isinstance(entry, Loss):
        return f"is no loss that can be chosen for {names}"
    if all(family.baseline("resampler") == OWN for family in families):
        return f"would come on top of what already resamples: {names}"
    if isinstance(entry, Resampler):
        return f"cannot be combined with {names}"
    if all(family.baseline("class_weight") == OWN for family in families):
        return f"would come on top of the class weights that are set in {names}"
    return f"cannot reach {names}, whose fit takes no weights"


def _reason_unreadable(
    entry: Entry, families: Sequence[Family], table: Table
) -> str | None:
    """Return why a resampler cannot read a table as it is, or None if it need not.

    It need not where our encoders, or steps of the user's pipeline, come before it.
    """
    reads_as_given = [family for family in families if family.view is None]
    if not (reads_as_given and isinstance(entry, Resampler) and entry.uses_distances):
        return None
    if entry.reads_codes:
        return "needs category codes, and your estimator gets the table as it is"
    if all(family.has_preprocessing for family in reads_as_given):
        return None
    schema = table.schema
    if not (schema.is_frame or schema.has_missing):
        return None
    return (
        "needs numbers without gaps, and your estimator reads the table as it is: put "
        "steps that fill and encode before it, in a pipeline"
    )
