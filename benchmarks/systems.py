"""AutoImbalance and plain baselines, run in autoimb's own environment.

`compare.py` calls this script as it calls `peers.py`, each fit in a process of its own.
"""

from __future__ import annotations

import numpy as np
from peers import System, main
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from autoimb import AutoImbalance


def autoimbalance(task, **params):
    """AutoImbalance as it comes."""
    return AutoImbalance(
        time_budget=task.budget, n_jobs=task.cpus, random_state=task.seed, **params
    )


def one_strategy(task):
    """AutoImbalance whose winner must be one strategy, not an ensemble."""
    return autoimbalance(task, ensemble_size=1)


def autoimbalance_notes(model):
    """Return the winner, the honest estimate, and what became of the candidates."""
    data = model.report().data
    return {
        "winner": data.outcome.winner,
        "honest": model.honest_score_.estimate,
        "candidates": len(model.leaderboard_),
        "cut_off_seconds": data.search.cut_off_seconds,
    }


def default_xgboost(task):
    """XGBoost as it comes; categories as codes, since it takes no text."""
    from xgboost import XGBClassifier

    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    table = make_column_transformer(
        (codes, make_column_selector(dtype_exclude=np.number)), remainder="passthrough"
    )
    return make_pipeline(table, XGBClassifier(n_jobs=task.cpus, random_state=task.seed))


def smote_forest(task):
    """What tutorials teach: SMOTE and a random forest, cut at 0.5."""
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline as make_resampling_pipeline

    table = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude=np.number),
        ),
        remainder=SimpleImputer(strategy="median"),
    )
    return make_resampling_pipeline(
        table,
        SMOTE(k_neighbors=3, random_state=task.seed),
        RandomForestClassifier(n_jobs=task.cpus, random_state=task.seed),
    )


SYSTEMS = {
    "AutoImbalance": System(autoimbalance, "autoimb", autoimbalance_notes),
    "ensemble_size=1": System(one_strategy, "autoimb", autoimbalance_notes),
    "default XGBoost": System(default_xgboost, "xgboost", has_budget=False),
    "SMOTE + random forest": System(smote_forest, "imbalanced-learn", has_budget=False),
}
if "ensemble_size" not in AutoImbalance().get_params():
    del SYSTEMS["ensemble_size=1"]


if __name__ == "__main__":
    main(SYSTEMS)
