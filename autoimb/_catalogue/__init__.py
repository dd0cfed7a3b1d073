"""What can be tried, as data: one file for each axis.

=====================  =================================================================
``entry``              an entry: name, constructor, parameters, needs
``families``           model families
``losses``             losses
``weights``            rules from class counts to class weights
``sampler_factories``  how imbalanced-learn's samplers are made for a fold
``resamplers``         resamplers
``portfolio``          the settings that are tried first, in order
``user_objects``       entries made of a user's own estimators and resamplers
``builtin``            all built-in entries
``registry``           `register_family`, `register_resampler`, `register_loss`
=====================  =================================================================
"""

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
