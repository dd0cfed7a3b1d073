"""Everything that can be tried, as data: one file an axis."""

from autoimb._catalogue.builtin import CATALOGUE
from autoimb._catalogue.entry import AXES, Axis, Catalogue, Categorical, Float, Int
from autoimb._catalogue.registry import (
    register_family,
    register_loss,
    register_resampler,
)

__all__ = [
    "AXES",
    "CATALOGUE",
    "Axis",
    "Catalogue",
    "Categorical",
    "Float",
    "Int",
    "register_family",
    "register_loss",
    "register_resampler",
]
