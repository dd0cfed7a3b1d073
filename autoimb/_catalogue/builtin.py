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

_USUAL_NAMES: dict[str, dict[str, str]] = {
    "family": {
        **dict.fromkeys(("logistic", "logit", "logreg", "lr"), "logistic_regression"),
        **dict.fromkeys(("forest", "rf"), "random_forest"),
        **dict.fromkeys(("et", "extratrees"), "extra_trees"),
        **dict.fromkeys(("hgb", "hist_gb", "histgb"), "hist_gradient_boosting"),
        **dict.fromkeys(("xgb", "xgbclassifier"), "xgboost"),
        **dict.fromkeys(("lgb", "lgbm"), "lightgbm"),
        **dict.fromkeys(("cat", "cb", "catboostclassifier"), "catboost"),
        **dict.fromkeys(("knn", "k_neighbors", "neighbors"), "k_neighbours"),
        **dict.fromkeys(("svc", "linear_svm"), "svm"),
        **dict.fromkeys(("nn", "neural_net", "net", "mlpclassifier"), "mlp"),
        **dict.fromkeys(("brf", "balanced_rf"), "balanced_random_forest"),
        **dict.fromkeys(("spe",), "self_paced_ensemble"),
        **dict.fromkeys(("balanced_bagging", "underbagging"), "under_bagging"),
        **dict.fromkeys(("voting", "votingclassifier"), "soft_vote"),
        "enet": "elastic_net",
    },
    "resampler": {
        **dict.fromkeys(("oversample", "oversampling", "over", "ros"), "random_over"),
        **dict.fromkeys(("under", "undersample", "undersampling"), "random_under"),
        **dict.fromkeys(("rus", "downsample"), "random_under"),
        **dict.fromkeys(("tomek_links",), "tomek"),
        **dict.fromkeys(("iht",), "instance_hardness"),
        **dict.fromkeys(("nearmiss", "near_miss"), "near_miss_1"),
        **dict.fromkeys(("smote_nc",), "smotenc"),
        **dict.fromkeys(("smoteenn",), "smote_enn"),
        **dict.fromkeys(("smotetomek",), "smote_tomek"),
    },
    "loss": {
        **dict.fromkeys(("cross_entropy", "ce", "bce", "logloss"), "log_loss"),
        **dict.fromkeys(("focal_loss", "focalloss"), "focal"),
        **dict.fromkeys(("logit_adjustment", "la"), "logit_adjusted"),
        **dict.fromkeys(("asl", "asymmetric_loss"), "asymmetric"),
        "smoothing": "label_smoothing",
    },
    "class_weight": {
        **dict.fromkeys(("class_weight", "balance", "inverse"), "balanced"),
        **dict.fromkeys(("cb", "class_balanced", "effective"), "effective_number"),
    },
}
"""By axis, usual short names and those of classes, in lower case: hints in the error
for an unknown name. Classes that entries are made of are known without."""


def usual_name(axis: str, word: str) -> str:
    """Return the name of the entry that a word of other libraries usually means."""
    classes = {
        str(getattr(entry.make, "path", entry.make)).rpartition(":")[2].lower(): name
        for name, entry in CATALOGUE.entries[axis].items()
        if entry.make is not None
    }
    key = word.lower().replace("-", "_").replace(" ", "_")
    meant = _USUAL_NAMES[axis].get(key)
    return meant or classes.get(key.replace("_", ""), word)


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
