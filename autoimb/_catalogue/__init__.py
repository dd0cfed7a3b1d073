"""Everything that can be tried, as data: one file an axis."""

from autoimb._catalogue.entry import AXES, Axis, Catalogue
from autoimb._catalogue.families import FAMILIES
from autoimb._catalogue.losses import LOSSES
from autoimb._catalogue.resamplers import RESAMPLERS
from autoimb._catalogue.weights import CLASS_WEIGHTS

__all__ = ["AXES", "CATALOGUE", "Axis", "Catalogue"]

CATALOGUE = Catalogue(
    {
        "family": FAMILIES,
        "loss": LOSSES,
        "resampler": RESAMPLERS,
        "class_weight": CLASS_WEIGHTS,
    }
)
"""The built-in entries."""
