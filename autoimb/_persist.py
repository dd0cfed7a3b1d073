"""Saved models: skops files, which are checked type by type and hold no pickle."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, BadZipFile

import pandas as pd

from autoimb.exceptions import BadInputError, StorageMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = 1
"""Raised when an older autoimb could no longer read what is written."""

_UNDER = "imblearn.under_sampling._prototype_selection"
_FOREIGN = frozenset(
    {
        "catboost.core.CatBoostClassifier",
        "collections.OrderedDict",
        "imblearn.combine._smote_enn.SMOTEENN",
        "imblearn.combine._smote_tomek.SMOTETomek",
        "imblearn.ensemble._easy_ensemble.EasyEnsembleClassifier",
        "imblearn.ensemble._forest.BalancedRandomForestClassifier",
        "imblearn.ensemble._weight_boosting.RUSBoostClassifier",
        "imblearn.over_sampling._random_over_sampler.RandomOverSampler",
        "imblearn.over_sampling._smote.base.SMOTE",
        "imblearn.over_sampling._smote.base.SMOTEN",
        "imblearn.over_sampling._smote.base.SMOTENC",
        "imblearn.over_sampling._smote.cluster.KMeansSMOTE",
        "imblearn.over_sampling._smote.filter.BorderlineSMOTE",
        "imblearn.over_sampling._smote.filter.SVMSMOTE",
        "imblearn.pipeline.Pipeline",
        "imblearn.under_sampling._prototype_generation._cluster_centroids"
        ".ClusterCentroids",
        f"{_UNDER}._condensed_nearest_neighbour.CondensedNearestNeighbour",
        f"{_UNDER}._edited_nearest_neighbours.AllKNN",
        f"{_UNDER}._edited_nearest_neighbours.EditedNearestNeighbours",
        f"{_UNDER}._edited_nearest_neighbours.RepeatedEditedNearestNeighbours",
        f"{_UNDER}._instance_hardness_threshold.InstanceHardnessThreshold",
        f"{_UNDER}._nearmiss.NearMiss",
        f"{_UNDER}._neighbourhood_cleaning_rule.NeighbourhoodCleaningRule",
        f"{_UNDER}._one_sided_selection.OneSidedSelection",
        f"{_UNDER}._random_under_sampler.RandomUnderSampler",
        f"{_UNDER}._tomek_links.TomekLinks",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "numpy.dtype",
        "scipy.sparse._csr.csr_matrix",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
    }
)
"""Types of other packages that the built-in catalogue leads to: each was reviewed to
run nothing on loading but its own constructor and `__setstate__`."""


def save(model: Any, path: str | Path) -> None:
    """Write a fitted `AutoImbalance` without its study, storage and executor."""
    import skops.io

    bare = copy(model)
    bare.executor = bare.storage = bare.study_name = None
    bare.study_ = bare._catalogue = None
    bare.set_callbacks()
    bare.leaderboard_ = model.leaderboard_.astype(object).to_dict("list")
    skops.io.dump(
        {"format": FORMAT, "model": bare},
        path,
        compression=ZIP_DEFLATED,  # trees shrink to a fraction
        compresslevel=1,
    )


def load(path: str | Path, *, trusted: Sequence[str] = ()) -> Any:
    """Read a model that `AutoImbalance.save` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    trusted : sequence of str, default=()
        Further types to allow, for a model of your own that autoimb does not know. A
        file from someone else may name any type here: look before you allow it.

    Returns
    -------
    AutoImbalance
        The fitted model; ``study_`` is None.

    Raises
    ------
    BadInputError
        If there is no such file, or it is no autoimb model, or it holds types that are
        neither known nor allowed.
    StorageMismatchError
        If a newer autoimb wrote it.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.datasets import make_classification
    >>> import autoimb
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> model = autoimb.AutoImbalance(
    ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
    ... ).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model.skops"
    ...     model.save(path)
    ...     same = autoimb.load(path)
    >>> bool((same.predict(X) == model.predict(X)).all())
    True
    """
    import skops.io

    if not Path(path).is_file():
        raise BadInputError(f"there is no file {str(path)!r}.")
    try:
        unknown = skops.io.get_untrusted_types(file=path)
        strange = [name for name in unknown if not _is_known(name, trusted)]
        if strange:
            raise BadInputError(
                f"{str(path)!r} holds types that autoimb does not know: {strange}. If "
                f"you trust them: autoimb.load({str(path)!r}, trusted={strange})."
            )
        bundle = skops.io.load(path, trusted=unknown)
    except (ValueError, KeyError, OSError, TypeError, BadZipFile) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(
            f"{str(path)!r} is not a model that autoimb saved: {error}"
        ) from error
    return _model_of(bundle, path)


def _is_known(name: str, trusted: Sequence[str]) -> bool:
    """Whether a type may be loaded."""
    return name.startswith("autoimb.") or name in _FOREIGN or name in trusted


def _model_of(bundle: Any, path: str | Path) -> Any:
    """Return the model of a bundle that this version can read."""
    if not isinstance(bundle, dict) or "format" not in bundle:
        raise BadInputError(f"{str(path)!r} is a skops file, but no autoimb model.")
    if bundle["format"] > FORMAT:
        raise StorageMismatchError(
            f"a newer autoimb wrote {str(path)!r}: its format is {bundle['format']}, "
            f"this one reads up to {FORMAT}. Upgrade autoimb."
        )
    model = bundle["model"]
    model.leaderboard_ = pd.DataFrame(model.leaderboard_).astype({"rank": "Int64"})
    return model
