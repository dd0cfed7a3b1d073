"""`Strategy`: one small frozen value that all stages exchange.

It names a family, a loss, a resampler and a class weight, with their parameters. It
hashes, pickles, and round-trips through JSON and Optuna parameters. Estimators are made
from it in `Strategy.build` only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from autoimb._catalogue import AXES, CATALOGUE, Catalogue
from autoimb._catalogue.entry import BASELINE, resolve
from autoimb._catalogue.sampler_factories import TrainingRows, of_scaled_rows
from autoimb._catalogue.user_objects import (
    cloned,
    is_object_to_clone,
    split_pipeline,
    with_class_weight,
)
from autoimb._table.encoding import make_encoder, make_frame, make_one_hot
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from autoimb._catalogue.entry import Family, Loss, Resampler
    from autoimb._table.columns import Schema
    from autoimb._table.encoding import View

_CODED = {"native", "mixed"}  # views in which categories are codes
_SCALED = {"mixed", "dense"}  # views without gaps, whose numbers are scaled
_RESAMPLING_PIPELINE = "imblearn.pipeline:Pipeline"
_MAX_SHOWN = 3  # parameters of a family in a strategy's label


@dataclass(frozen=True, slots=True)
class Choice:
    """One catalogue entry by name, with its parameters as sorted pairs."""

    name: str
    params: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, name: str, params: Mapping[str, Any]) -> Choice:
        """Return the choice with these parameters."""
        return cls(name, tuple(sorted(params.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A family of models and what is done about the imbalance.

    Attributes
    ----------
    family, loss, resampler, class_weight : Choice
        The four axes of the search space.
    """

    family: Choice
    loss: Choice = Choice("log_loss")
    resampler: Choice = Choice("none")
    class_weight: Choice = Choice("none")

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        *,
        family: str | tuple[str, Mapping[str, Any]],
        **axes: str | tuple[str, Mapping[str, Any]],
    ) -> Strategy:
        """Return a strategy; an axis is a name, or a name and some parameters."""
        name = family if isinstance(family, str) else family[0]
        entry: Family = catalogue.get("family", name)
        own = ("resampler", "class_weight")
        baselines = {axis: entry.baseline(axis) for axis in own}  # type: ignore[arg-type]
        chosen = {}
        for axis, value in {"family": family, **baselines, **axes}.items():
            name, params = (value, {}) if isinstance(value, str) else value
            defaults = catalogue.get(axis, name).defaults()
            chosen[axis] = Choice.of(name, {**defaults, **params})
        return cls(**chosen)

    def with_family_param(self, name: str, value: Any) -> Strategy:
        """Return the strategy with another value of a parameter of its model."""
        params = {**dict(self.family.params), name: value}
        return replace(self, family=Choice.of(self.family.name, params))

    def without_handling(self, catalogue: Catalogue) -> Strategy:
        """Return the same model with nothing done about the imbalance."""
        family = self.family.name, dict(self.family.params)
        return Strategy.of(catalogue, family=family)

    @property
    def is_handled(self) -> bool:
        """Whether anything is done about the imbalance during training."""
        return any(self.choice(a).name != name for a, name in BASELINE.items())

    def choice(self, axis: str) -> Choice:
        """Return what was chosen on one axis."""
        return getattr(self, axis)  # type: ignore[no-any-return]

    def missing_from(self, catalogue: Catalogue) -> list[str]:
        """Return the names of its entries that a catalogue does not hold."""
        names = {axis: self.choice(axis).name for axis in AXES}
        return [n for axis, n in names.items() if n not in catalogue.entries[axis]]

    def check_registered(self, catalogue: Catalogue) -> None:
        """Raise `BadInputError` if a catalogue lacks an entry or a parameter of it."""
        for name in self.missing_from(catalogue):
            raise BadInputError(
                f"{name!r} was registered where this model was fitted, and is not "
                f"here: register it as {name!r} first, or call fit again."
            )
        for axis in AXES:
            choice = self.choice(axis)
            known = catalogue.get(axis, choice.name).params
            # A file could name constructor arguments that no search proposes.
            if unknown := [name for name, _ in choice.params if name not in known]:
                raise BadInputError(
                    f"{choice.name!r} has no parameters {unknown} here: call fit again."
                )

    def label(self, catalogue: Catalogue) -> str:
        """Return the one-line human name.

        It holds all parameters of what is done about the imbalance, and the first
        parameters of the family that are not its defaults.
        """
        family = catalogue.get("family", self.family.name)
        return self._label(catalogue, family.label, family.defaults())

    def _label(
        self, catalogue: Catalogue, model: str, defaults: Mapping[str, Any]
    ) -> str:
        """Return the label, given that of the model and its defaults.

        An entry that the catalogue does not hold is called by its name.
        """
        changed = [p for p in self.family.params if defaults.get(p[0], p) != p[1]]
        label = _described(model, changed, _MAX_SHOWN)
        handling = [
            _described(
                getattr(catalogue.entries[axis].get(choice.name), "label", choice.name),
                choice.params,
            )
            for axis in ("resampler", "class_weight", "loss")
            if (choice := self.choice(axis)).name != BASELINE[axis]
        ]
        return f"{label} with {' + '.join(handling)}" if handling else label

    def __str__(self) -> str:
        """Return the label; entries of the user's own are called by their names."""
        name = self.family.name
        if name in CATALOGUE.entries["family"]:
            return self.label(CATALOGUE)
        return self._label(CATALOGUE, name, {})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        choices = {axis: self.choice(axis) for axis in AXES}
        return {
            a: {"name": c.name, "params": dict(c.params)} for a, c in choices.items()
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Strategy:
        """Return the strategy that `to_dict` wrote."""
        choices = {a: Choice.of(c["name"], c["params"]) for a, c in saved.items()}
        return cls(**choices)

    def view(self, catalogue: Catalogue) -> View | None:
        """Return how rows are encoded; None where the model reads them as they are."""
        family: Family = catalogue.get("family", self.family.name)
        resampler: Resampler = catalogue.get("resampler", self.resampler.name)
        return None if family.view is None else resampler.view or family.view

    def build(
        self,
        catalogue: Catalogue,
        schema: Schema,
        y: NDArray[np.intp],
        *,
        seed: int,
        n_threads: int = 1,
        device: str = "cpu",
        metric: Any = "average_precision",
        pos_label: int | None = None,
        full_counts: NDArray[np.intp] | None = None,
    ) -> Pipeline:
        """Return the unfitted pipeline for training rows with label codes `y`.

        Ratios and class weights are computed from `y` here. The result holds plain
        numbers and is an ordinary scikit-learn or imbalanced-learn pipeline. Where the
        rows are a weighted sample, ratios and weights refer to `full_counts`, the class
        counts of all rows. `metric` and `pos_label`, the code of the class of interest,
        are passed on to models that stop early.
        """
        family: Family = catalogue.get("family", self.family.name)
        resampler: Resampler = catalogue.get("resampler", self.resampler.name)
        view = self.view(catalogue)
        rows = TrainingRows(
            counts=np.bincount(y),
            n_categorical=len(schema.positions("categorical")) if view in _CODED else 0,
            is_scaled=view in _SCALED or family.has_preprocessing,
            seed=seed,
            full_counts=full_counts,
        )
        settings = {
            "random_state": seed,
            "n_jobs": n_threads,
            "device": device,
            "metric": metric,
            "pos_label": pos_label,
            "n_categorical": rows.n_categorical,
            "class_weight": self._class_weight(catalogue, rows),
            # Copies and neighbours of a row would stand on both sides of a hold-out.
            "validation_fraction": 0.0 if resampler.adds_rows else None,
        }
        encoder, one_hot = _readers(view, family, schema)
        sampler = self._sampler(resampler, rows, view)
        model = self._model(catalogue, family, resampler, settings)
        steps = {
            "encode": encoder,
            "resample": sampler,
            "one_hot": one_hot,
            "model": model,
        }
        if sampler is not None and family.has_preprocessing:
            # Distances mean something in what the user's own steps make of the rows.
            before, model = split_pipeline(model)
            steps = {"one_hot": one_hot, **before, "resample": sampler, "model": model}
        make_pipeline = Pipeline if sampler is None else resolve(_RESAMPLING_PIPELINE)
        return make_pipeline([item for item in steps.items() if item[1] is not None])

    def _sampler(
        self, resampler: Resampler, rows: TrainingRows, view: View | None
    ) -> Any:
        """Return the sampler for such rows, None for no resampling."""
        params = dict(self.resampler.params)
        if is_object_to_clone(resampler.make):
            sampler = cloned(resampler.make, params, rows.seed)
            is_as_given = view is None and resampler.uses_distances
            return of_scaled_rows(sampler, rows) if is_as_given else sampler
        return None if resampler.make is None else resampler.make(params, rows)

    def _class_weight(
        self, catalogue: Catalogue, rows: TrainingRows
    ) -> dict[int, float] | None:
        """Return weights for the class counts that resampling leaves."""
        make = catalogue.get("class_weight", self.class_weight.name).make
        if make is None or isinstance(make, dict):
            return make  # of no class weights, or those of the user
        counts = rows.counts if rows.full_counts is None else rows.full_counts
        after_resampling = counts.copy()
        resampler: Resampler = catalogue.get("resampler", self.resampler.name)
        if resampler.target_counts is not None:
            strength = dict(self.resampler.params).get("strength", 1.0)
            for code, n in resampler.target_counts(counts, strength).items():
                after_resampling[code] = n
        return make(dict(self.class_weight.params), after_resampling)  # type: ignore[no-any-return]

    def _model(
        self,
        catalogue: Catalogue,
        family: Family,
        resampler: Resampler,
        settings: Mapping[str, Any],
    ) -> Any:
        """Return the unfitted model with its parameters, loss and settings."""
        params = {**family.fixed, **dict(self.family.params)}
        for setting, parameter in family.parameter_names.items():
            if settings[setting] is not None:
                params[parameter] = settings[setting]
        if family.loss_kind is not None:
            loss: Loss = catalogue.get("loss", self.loss.name)
            params["loss"] = loss.make[family.loss_kind]
            params["loss_params"] = dict(self.loss.params)
        if resampler.batches is not None:
            params["batches"] = resampler.batches
        if isinstance(family.make, str):
            return resolve(family.make)(**params)
        model, weights = (
            cloned(family.make, params, settings["random_state"]),
            settings["class_weight"],
        )
        if family.weighting == "model" and weights is not None:
            return with_class_weight(model, weights)
        return model


def _readers(view: View | None, family: Family, schema: Schema) -> tuple[Any, Any]:
    """Return the encoder, and the step that one-hot encodes after resampling.

    A model that reads columns by their names gets a step that restores them in place of
    both.
    """
    if view is None:
        return None, make_frame(schema)
    n_codes = len(schema.positions("categorical"))
    is_encoded_later = view == "mixed" and family.view == "dense" and n_codes > 0
    one_hot = make_one_hot(n_codes) if is_encoded_later else None
    return make_encoder(view, schema), one_hot


def _described(
    label: str, params: Sequence[tuple[str, Any]], max_shown: int | None = None
) -> str:
    """Return a label with its parameters, as ``SMOTE (strength 0.8)``."""
    words = [
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params[:max_shown]
    ]
    if len(words) < len(params):
        words.append("…")
    return f"{label} ({', '.join(words)})" if words else label
