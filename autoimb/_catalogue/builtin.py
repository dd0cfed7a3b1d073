"""The catalogue of this process."""

from __future__ import annotations

from autoimb._catalogue.entry import Catalogue
from autoimb._catalogue.families import FAMILIES
from autoimb._catalogue.losses import LOSSES
from autoimb._catalogue.resamplers import RESAMPLERS
from autoimb._catalogue.weights import CLASS_WEIGHTS

CATALOGUE = Catalogue(
    {
        "family": {entry.name: entry for entry in FAMILIES},
        "loss": {entry.name: entry for entry in LOSSES},
        "resampler": {entry.name: entry for entry in RESAMPLERS},
        "class_weight": {entry.name: entry for entry in CLASS_WEIGHTS},
    }
)
"""The built-in entries, and those that the user registered."""
