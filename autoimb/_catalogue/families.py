"""Model families, with the settings that are searched and those tried first."""

from __future__ import annotations

from autoimb._catalogue.entry import Categorical, Domain, Family, Float, Int, by_name

_N_TREES = 300  # more trees cost time and no longer change the ranking of rows
_FOREST_PARAMS: dict[str, Domain] = {
    "max_features": Categorical(("sqrt", 0.25, 0.5, 1.0), default="sqrt"),
    "min_samples_leaf": Int(1, 20, default=1, log=True),
    "criterion": Categorical(("gini", "entropy"), default="gini"),
}


def _named(*parameters: str) -> dict[str, str]:
    """Return the table of parameters that a model calls by their usual names."""
    return {name: name for name in parameters}


FAMILIES = by_name(
    Family(
        name="logistic_regression",
        label="logistic regression",
        make="sklearn.linear_model:LogisticRegression",
        view="dense",
        fixed={"max_iter": 300},
        params={"C": Float(1e-4, 1e2, default=1.0, log=True)},
        portfolio=({"C": 1.0}, {"C": 0.03}, {"C": 0.001}),
        cost=0.2,
        reference="Hosmer & Lemeshow 2013, doi:10.1002/9781118548387",
    ),
    Family(
        name="random_forest",
        label="random forest",
        make="sklearn.ensemble:RandomForestClassifier",
        fixed={"n_estimators": _N_TREES},
        params=_FOREST_PARAMS,
        portfolio=({}, {"min_samples_leaf": 5, "criterion": "entropy"}),
        takes=_named("random_state", "class_weight", "n_jobs"),
        cost=1.5,
        reference="Breiman 2001, doi:10.1023/A:1010933404324",
    ),
    Family(
        name="extra_trees",
        label="extra trees",
        make="sklearn.ensemble:ExtraTreesClassifier",
        fixed={"n_estimators": _N_TREES},
        params=_FOREST_PARAMS,
        portfolio=({}, {"max_features": 0.5, "min_samples_leaf": 3}),
        takes=_named("random_state", "class_weight", "n_jobs"),
        cost=0.8,
        reference="Geurts, Ernst & Wehenkel 2006, doi:10.1007/s10994-006-6226-1",
    ),
    Family(
        name="hist_gradient_boosting",
        label="histogram boosting",
        make="sklearn.ensemble:HistGradientBoostingClassifier",
        fixed={"early_stopping": False},
        params={
            "learning_rate": Float(0.02, 0.3, default=0.06, log=True),
            "max_iter": Int(50, 400, default=150, log=True),
            "max_leaf_nodes": Int(4, 63, default=16, log=True),
            "min_samples_leaf": Int(3, 80, default=20, log=True),
            "l2_regularization": Float(1e-3, 30.0, default=1.0, log=True),
            "max_features": Float(0.3, 1.0, default=1.0),
        },
        cost=1.2,
        reference="Ke et al. 2017, LightGBM, NeurIPS 30",
    ),
    Family(
        name="xgboost",
        label="XGBoost",
        make="autoimb._models.boosting:WeightedXGBClassifier",
        fixed={"tree_method": "hist"},
        params={
            "n_estimators": Int(50, 600, default=200, log=True),
            "learning_rate": Float(0.02, 0.3, default=0.07, log=True),
            "max_depth": Int(1, 9, default=6),
            "min_child_weight": Float(0.1, 20.0, default=1.0, log=True),
            "subsample": Float(0.5, 1.0, default=0.9),
            "colsample_bytree": Float(0.4, 1.0, default=0.8),
            "reg_lambda": Float(0.1, 30.0, default=1.0, log=True),
        },
        portfolio=(
            {},
            {"max_depth": 3, "learning_rate": 0.05, "subsample": 0.7},
        ),
        takes=_named("random_state", "class_weight", "n_jobs", "device"),
        cost=0.6,
        reference="Chen & Guestrin 2016, arXiv:1603.02754",
    ),
    Family(
        name="mlp",
        label="neural net",
        make="autoimb._models.net:NetClassifier",
        view="dense",
        losses=("log_loss", "focal"),
        params={
            "hidden": Int(32, 256, default=128, log=True),
            "n_layers": Int(1, 3, default=2),
            "dropout": Float(0.0, 0.5, default=0.1),
            "learning_rate": Float(5e-4, 1e-2, default=2e-3, log=True),
            "weight_decay": Float(1e-5, 1e-1, default=1e-4, log=True),
        },
        takes=_named("random_state", "class_weight", "device"),
        cost=3.0,
        reference="Gorishniy et al. 2021, arXiv:2106.11959",
    ),
)
