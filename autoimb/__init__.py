"""autoimb: an AutoML-style strategy selector for imbalanced classification.

The packages stand in the order in which data flow through them. A package imports only
from packages above it in this list, and a module only from modules above it in the list
of its package.

==============  ============================================================
``_compat``     what differs between the versions of other libraries
``exceptions``  errors and warnings
``_metrics``    what a score is, and its standard error
``_table``      how a table is read, described, split and encoded
``_execution``  where tasks run: deadlines, resources, worker processes
``_threshold``  how the threshold is chosen
``_models``     estimators of our own
``_catalogue``  what can be tried, as data
``_strategy``   what is tried, and why: flowchart and search space
``_evaluate``   how a candidate is fitted and scored
``_search``     how the budget is spent
``_select``     which candidates win, and what to expect of them
``_fit``        what predicts: refit, calibration, decision
``_export``     the winner as code that needs no autoimb
``_report``     the strategy report
``_monitor``    whether a model still holds on new rows
``_persist``    saved models
``_estimator``  `AutoImbalance`
``testing``     tests that every catalogue entry must pass
``_cli``        the command line
==============  ============================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autoimb.exceptions import (
    AccuracyWarning,
    AutoImbError,
    AutoImbWarning,
    BadInputError,
    BudgetError,
    BudgetTooSmallWarning,
    ExecutorWarning,
    LeakWarning,
    LeftOutWarning,
    NoCandidateError,
    RefitFailedWarning,
    StorageMismatchError,
    StudyInUseError,
    UnreachableConstraintWarning,
    VersionWarning,
)

if TYPE_CHECKING:
    from autoimb._catalogue import (
        Categorical,
        Float,
        Int,
        register_family,
        register_loss,
        register_resampler,
    )
    from autoimb._estimator import AutoImbalance
    from autoimb._fit.fitted_model import FittedMember
    from autoimb._metrics.metrics import FBeta
    from autoimb._monitor.render import MonitorReport
    from autoimb._persist.saved_model import load
    from autoimb._report.render import Report
    from autoimb._select.honest_score import HonestScore
    from autoimb._strategy.flowchart import Recommendation, recommend
    from autoimb._strategy.search_space import catalogue
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.profile import DatasetProfile, profile
    from autoimb._table.time_ordered import TimeOrdered
    from autoimb._threshold.objectives import (
        Cost,
        PrecisionAtLeast,
        RecallAtLeast,
        TopK,
        TopShare,
    )

__version__ = "0.1.0"

__all__ = [
    "AccuracyWarning",
    "AutoImbError",
    "AutoImbWarning",
    "AutoImbalance",
    "BadInputError",
    "BudgetError",
    "BudgetTooSmallWarning",
    "Categorical",
    "Cost",
    "DatasetProfile",
    "ExecutorWarning",
    "FBeta",
    "FittedMember",
    "Float",
    "HonestScore",
    "Int",
    "LeakWarning",
    "LeftOutWarning",
    "MonitorReport",
    "NoCandidateError",
    "PrecisionAtLeast",
    "RecallAtLeast",
    "Recommendation",
    "RefitFailedWarning",
    "Report",
    "StorageMismatchError",
    "Strategy",
    "StudyInUseError",
    "TimeOrdered",
    "TopK",
    "TopShare",
    "UnreachableConstraintWarning",
    "VersionWarning",
    "catalogue",
    "load",
    "profile",
    "recommend",
    "register_family",
    "register_loss",
    "register_resampler",
]

_HOMES = (
    "_catalogue",
    "_estimator",
    "_fit.fitted_model",
    "_metrics.metrics",
    "_monitor.render",
    "_persist.saved_model",
    "_report.render",
    "_select.honest_score",
    "_strategy.flowchart",
    "_strategy.search_space",
    "_strategy.strategy",
    "_table.profile",
    "_table.time_ordered",
    "_threshold.objectives",
)
"""Modules of the public names. They load pandas and scikit-learn, which takes seconds,
so that they are imported when the first of the names is used."""


def _make_public(name: str, value: Any) -> None:
    """Make a value an attribute of this module, under which files and pickles name it.

    So its definition may move.
    """
    value.__module__ = __name__
    globals()[name] = value


def __getattr__(name: str) -> Any:
    """Import all public names when the first of them is used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = [vars(import_module(f"{__name__}.{home}")) for home in _HOMES]
    for public in set(__all__) - globals().keys():
        _make_public(public, next(home[public] for home in homes if public in home))
    return globals()[name]


def __dir__() -> list[str]:
    """Return the names of the module, with those that are not imported yet."""
    return sorted({*globals(), *__all__})


for _name in set(__all__) & globals().keys():
    _make_public(_name, globals()[_name])
