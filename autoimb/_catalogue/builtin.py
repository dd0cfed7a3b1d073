"""The catalogue of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoimb._catalogue.entry import Catalogue
from autoimb._catalogue.families import FAMILIES
from autoimb._catalogue.losses import LOSSES
from autoimb._catalogue.resamplers import RESAMPLERS
from autoimb._catalogue.weights import CLASS_WEIGHTS

if TYPE_CHECKING:
    from autoimb._catalogue.entry import Family, Resampler

CATALOGUE = Catalogue(
    {
        "family": {entry.name: entry for entry in FAMILIES},
        "loss": {entry.name: entry for entry in LOSSES},
        "resampler": {entry.name: entry for entry in RESAMPLERS},
        "class_weight": {entry.name: entry for entry in CLASS_WEIGHTS},
    }
)
"""The built-in entries, and those that the user registered."""
BUILT_IN = {axis: frozenset(named) for axis, named in CATALOGUE.entries.items()}
"""The names of the built-in entries, by axis."""


def suits_users_process(
    catalogue: Catalogue, *, family: str, loss: str, resampler: str
) -> bool:
    """Whether a fit of these entries does no harm in the user's own process.

    Entries of the user's may end their process. PyTorch takes seconds to import. A
    timer must be able to interrupt what takes too long.
    """
    names = {"family": family, "loss": loss, "resampler": resampler}
    if any(name not in BUILT_IN[axis] for axis, name in names.items()):
        return False
    model: Family = catalogue.get("family", family)
    sampler: Resampler = catalogue.get("resampler", resampler)
    # Neighbours among all rows are found in one call of compiled code.
    is_interruptible = model.is_interruptible and sampler.compares != "all"
    return is_interruptible and not model.needs_torch
