"""`Strategy`: one small frozen value that every stage speaks.

It says which family, loss, resampler and class weight, with their parameters. It
hashes, pickles, and round-trips through JSON and Optuna parameters; ``build`` is the
only place where it becomes estimators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from autoimb._catalogue import AXES, CATALOGUE, Catalogue
from autoimb._catalogue.entry import BASELINE, resolve
from autoimb._catalogue.ready import seeded
from autoimb._catalogue.samplings import Sampling
from autoimb._encoding import make_encoder, make_frame, make_one_hot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from autoimb._catalogue.entry import Family, Loss, Resampler
    from autoimb._columns import Schema
    from autoimb._encoding import View
    from autoimb._metrics import Metric

_CODED = {"native", "mixed"}  # views in which categories are codes
_SCALED = {"mixed", "dense"}  # views without gaps, whose numbers are scaled
_MAX_SHOWN = 3  # parameters of a family in a strategy's name


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
        given = {"resampler": catalogue.get("family", name).plain_resampler, **axes}
        chosen = {}
        for axis, choice in {"family": family, **given}.items():
            name, given = (choice, {}) if isinstance(choice, str) else choice
            entry = catalogue.get(axis, name)
            chosen[axis] = Choice.of(name, {**entry.defaults(), **given})
        return cls(**chosen)

    @property
    def is_handled(self) -> bool:
        """Whether anything is done about the imbalance during training."""
        return any(self.choice(axis).name != at for axis, at in BASELINE.items())

    def choice(self, axis: str) -> Choice:
        """Return what was chosen on one axis."""
        return getattr(self, axis)  # type: ignore[no-any-return]

    def label(self, catalogue: Catalogue) -> str:
        """Return the one-line human name."""
        family = _named(catalogue.get("family", self.family.name), self.family)
        handling = [
            _phrase(catalogue.get(axis, self.choice(axis).name), self.choice(axis))
            for axis in ("resampler", "class_weight", "loss")
            if self.choice(axis).name != BASELINE[axis]
        ]
        return f"{family} with {' + '.join(handling)}" if handling else family

    def __str__(self) -> str:
        """Return the name in words; entries of a user's own by their plain names."""
        chosen = [(axis, self.choice(axis).name) for axis in AXES]
        if all(name in CATALOGUE.entries[axis] for axis, name in chosen):
            return self.label(CATALOGUE)
        return ", ".join(name for _, name in chosen)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            axis: {"name": choice.name, "params": dict(choice.params)}
            for axis, choice in ((axis, self.choice(axis)) for axis in AXES)
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Strategy:
        """Return the strategy that `to_dict` wrote."""
        return cls(
            **{
                axis: Choice.of(choice["name"], choice["params"])
                for axis, choice in saved.items()
            }
        )

    def view(self, catalogue: Catalogue) -> View | None:
        """Return how rows are encoded; None where the model reads them as they are."""
        family: Family = catalogue.get("family", self.family.name)
        resampler: Resampler = catalogue.get("resampler", self.resampler.name)
        return _view(family, resampler)

    def build(
        self,
        catalogue: Catalogue,
        schema: Schema,
        y: NDArray[np.intp],
        *,
        seed: int,
        n_threads: int = 1,
        device: str = "cpu",
        metric: str | Metric = "average_precision",
        whole: NDArray[np.intp] | None = None,
    ) -> Pipeline:
        """Return the unfitted pipeline for training rows with label codes `y`.

        Ratios and class weights are computed from `y` here, so what comes out holds
        plain numbers and is an ordinary scikit-learn or imbalanced-learn pipeline.
        Where the rows are a weighted sample, they refer to the `whole`'s class counts.
        """
        counts = np.bincount(y)
        family: Family = catalogue.get("family", self.family.name)
        resampler: Resampler = catalogue.get("resampler", self.resampler.name)
        settings = {
            "random_state": seed,
            "n_jobs": n_threads,
            "device": device,
            "metric": metric,
            "n_categorical": _n_codes(family, resampler, schema),
            "class_weight": self._class_weight(
                catalogue, resampler, counts if whole is None else whole
            ),
            # Copies and neighbours of a row would stand on both sides of a hold-out.
            "validation_fraction": 0.0 if resampler.adds_rows else None,
        }
        encoder, one_hot = _readers(family, resampler, schema)
        steps = {
            "encode": encoder,
            "resample": self._sampler(
                family, resampler, schema, seed=seed, counts=counts, whole=whole
            ),
            "one_hot": one_hot,
            "model": self._model(catalogue, family, resampler, settings),
        }
        make_pipeline = _pipeline_class(resamples=steps["resample"] is not None)
        return make_pipeline([item for item in steps.items() if item[1] is not None])

    def _sampler(
        self,
        family: Family,
        resampler: Resampler,
        schema: Schema,
        *,
        seed: int,
        counts: NDArray[np.intp],
        whole: NDArray[np.intp] | None,
    ) -> Any:
        """Return the sampler for these class counts, None for no resampling."""
        if resampler.make is None:
            return None
        view = resampler.view or family.view
        sampling = Sampling(
            counts=counts,
            n_categorical=_n_codes(family, resampler, schema),
            only_categories=set(schema.kind_counts()) <= {"categorical", "constant"},
            is_scaled=view in _SCALED,
            seed=seed,
            whole=whole,
        )
        return resampler.make(dict(self.resampler.params), sampling)

    def _class_weight(
        self, catalogue: Catalogue, resampler: Resampler, counts: NDArray[np.intp]
    ) -> dict[int, float] | None:
        """Return weights for the class counts that resampling leaves."""
        entry = catalogue.get("class_weight", self.class_weight.name)
        if entry.make is None:
            return None
        left = counts.copy()
        if resampler.target is not None:
            strength = dict(self.resampler.params).get("strength", 1.0)
            for code, n in resampler.target(counts, strength).items():
                left[code] = n
        return entry.make(dict(self.class_weight.params), left)  # type: ignore[no-any-return]

    def _model(
        self,
        catalogue: Catalogue,
        family: Family,
        resampler: Resampler,
        settings: Mapping[str, Any],
    ) -> Any:
        """Return the unfitted model with everything that was chosen for it."""
        wanted = {**family.fixed, **dict(self.family.params)}
        for what, parameter in family.takes.items():
            if settings[what] is not None:
                wanted[parameter] = settings[what]
        if family.loss_kind is not None:
            loss: Loss = catalogue.get("loss", self.loss.name)
            wanted["loss"] = loss.make[family.loss_kind]
            wanted["loss_params"] = dict(self.loss.params)
        if resampler.batches is not None:
            wanted["batches"] = resampler.batches
        if isinstance(family.make, str):
            return resolve(family.make)(**wanted)
        model = clone(family.make).set_params(**wanted)
        return seeded(model, settings["random_state"])


def _n_codes(family: Family, resampler: Resampler, schema: Schema) -> int:
    """Return how many first columns hold category codes once rows are encoded."""
    view = resampler.view or family.view
    return len(schema.coded) if view in _CODED else 0


def _view(family: Family, resampler: Resampler) -> View | None:
    """Return how rows are encoded for a sampler and the model behind it."""
    return None if family.view is None else resampler.view or family.view


def _readers(family: Family, resampler: Resampler, schema: Schema) -> tuple[Any, Any]:
    """Return the encoder, and the step that one-hot encodes after resampling.

    A model that reads columns by their names gets those in place of both.
    """
    view = _view(family, resampler)
    if view is None:
        return None, make_frame(schema)
    n_codes = len(schema.coded)
    spread = view == "mixed" and family.view == "dense" and n_codes > 0
    return make_encoder(view, schema), make_one_hot(n_codes) if spread else None


def _pipeline_class(*, resamples: bool) -> Any:
    """Return imbalanced-learn's pipeline only where its steps are needed."""
    if not resamples:
        return Pipeline
    from imblearn.pipeline import Pipeline as ResamplingPipeline

    return ResamplingPipeline


def _named(family: Family, choice: Choice) -> str:
    """Return a family's label with the first parameters that are not its defaults."""
    defaults = family.defaults()
    changed = [
        (name, value) for name, value in choice.params if value != defaults[name]
    ]
    shown = [f"{name} {_short(value)}" for name, value in changed[:_MAX_SHOWN]]
    rest = ["…"] if len(changed) > _MAX_SHOWN else []
    return f"{family.label} ({', '.join(shown + rest)})" if shown else family.label


def _phrase(entry: Any, choice: Choice) -> str:
    """Return an entry's label with its parameters, as ``SMOTE (strength 0.8)``."""
    params = [f"{name} {_short(value)}" for name, value in choice.params]
    return f"{entry.label} ({', '.join(params)})" if params else str(entry.label)


def _short(value: Any) -> str:
    """Return a parameter value as a reader wants it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
