"""autoimb: an AutoML-style strategy selector for imbalanced classification.

The package reads top to bottom in the order in which data flow through it; a module
imports only from modules above it in this list.

==================  =================================================================
``exceptions``      errors and warnings
``_confusion``      confusion matrices and formulas on them
``_metrics``        metrics as functions of scores or confusion matrices
``_calibrate``      strictly increasing maps from scores to probabilities
``_shift``          other class shares than those of the training table
``_objectives``     what a threshold may aim at
``_mass``           what rows say about a threshold
``_threshold``      the exact search for it
``_columns``        any table read into one canonical form
``_data``           checked training data
``_neighbours``     who lives next to the minority rows
``_profile``        what a data set is like
``_folds``          cross-validation folds
``_encoding``       canonical rows to numbers, fitted inside a fold
``_models``         estimators of our own
``_catalogue``      what can be tried, as data
``_strategy``       one combination of it
``_guide``          the decision flowchart
``_space``          what fits this data and this user
``_clock``          how much time there is
``_machine``        processors and memory
``_execution``      worker processes, shared data
``_rungs``          all training rows, or first a sample
``_encoded``        rows of a fold, encoded once
``_evaluate``       one strategy on one fold
``_judge``          out-of-fold scores to a score with its noise
``_race``           who is clearly behind
``_footprint``      how much memory a candidate takes
``_forecast``       how long a candidate takes
``_trials``         what became of every candidate
``_files``          files written as a whole
``_archive``        finished trials on disk
``_study``          the search as Optuna sees it
``_arena``          where candidates compete
``_candidate``      a trial under way
``_heats``          first trials on a sample first
``_search``         the ask-and-tell loop
``_committee``      candidates that answer together
``_select``         the winner and its honest estimate
``_standin``        what is fitted where nothing was complete
``_fitted``         refit, calibration, threshold
``_again``          what was chosen, on other rows
``_growth``         what more rows of the rare class would buy
``_importance``     what each column is worth
``_decision``       another threshold or class distribution, with no refit
``_export``         the winner as code that needs no autoimb
``_report``         the strategy report
``_allowed``        what a saved model may hold
``_persist``        saved models
``_progress``       the live display
``_estimator``      `AutoImbalance`
``_cli``            the command line
==================  =================================================================
"""

from autoimb._catalogue import (
    Categorical,
    Float,
    Int,
    register_family,
    register_loss,
    register_resampler,
)
from autoimb._estimator import AutoImbalance
from autoimb._guide import Recommendation, recommend
from autoimb._metrics import FBeta
from autoimb._objectives import Cost, PrecisionAtLeast, RecallAtLeast, TopK, TopShare
from autoimb._persist import load
from autoimb._profile import DatasetProfile, profile
from autoimb._space import catalogue
from autoimb._strategy import Strategy

__version__ = "0.1.0"

__all__ = [
    "AutoImbalance",
    "Categorical",
    "Cost",
    "DatasetProfile",
    "FBeta",
    "Float",
    "Int",
    "PrecisionAtLeast",
    "RecallAtLeast",
    "Recommendation",
    "Strategy",
    "TopK",
    "TopShare",
    "catalogue",
    "load",
    "profile",
    "recommend",
    "register_family",
    "register_loss",
    "register_resampler",
]
