"""Resamplers. Each changes the training rows of a fold only.

To add one, put a `Resampler` (see `entry`) into one of the groups below, with a factory
from `sampler_factories`; if its class is from a new package, list the class in
`autoimb._persist.allowed_classes`. `tests/test_catalogue.py` then checks the entry.

Those that select rows read what the family reads, and return some of the same rows.
Those that make rows read scaled numbers and category codes, and make only categories
that occur.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from autoimb._catalogue.entry import (
    DENSE,
    OWN,
    UNWEIGHTED,
    UNWEIGHTED_FIT,
    Categorical,
    Domain,
    Float,
    Int,
    Need,
    Resampler,
    minority_at_least,
    oversampled,
    rows_at_most,
    undersampled,
)
from autoimb._catalogue.sampler_factories import (
    SMOTE,
    OversamplerFactory,
    SelectorFactory,
    SmoteAndCleaningFactory,
    category_columns,
    cluster_centroids,
    few_clusters,
    few_folds,
    half_share,
    random_over,
    random_under,
)
from autoimb._table.text_kinds import MANY_CATEGORIES

if TYPE_CHECKING:
    from autoimb._table.profile import DatasetProfile

_OVER = "imblearn.over_sampling"
_UNDER = "imblearn.under_sampling"

_RATIO: dict[str, Domain] = {"strength": Float(0.1, 1.0, default=1.0)}
_NEIGHBOURS: dict[str, Domain] = {"n_neighbors": Int(1, 9, default=3)}
_KINDS: dict[str, Domain] = {"kind_sel": Categorical(("all", "mode"), default="mode")}
_SMOTE_PARAMS: dict[str, Domain] = {
    **_RATIO,
    "k_neighbors": Int(1, 15, default=5, log=True),
}
_BORDER_PARAMS: dict[str, Domain] = {
    **_SMOTE_PARAMS,
    "m_neighbors": Int(4, 20, default=10, log=True),
}
_MINORITY_ROWS = rows_at_most(200_000)  # compares rows of the smaller classes
_ALL_ROWS = rows_at_most(50_000)  # compares all rows with each other
_SLOW_ROWS = rows_at_most(20_000)  # compares all rows repeatedly, or fits a model first
_SMOTE_NEEDS = (UNWEIGHTED, minority_at_least(4), _MINORITY_ROWS)
_MAX_CELLS = 20_000_000  # at 50 bytes each at the peak, a gigabyte for each worker


def _has_kinds(
    profile: DatasetProfile, *, numbers: bool, categories: bool | None = None
) -> bool:
    """Whether a table holds numbers, and whether it holds categories (None: either).

    Everything that is not read as a category code is a number.
    """
    has_numbers = not set(profile.kind_counts) <= {"categorical", "constant"}
    has_categories = "categorical" in profile.kind_counts
    return has_numbers == numbers and categories in (None, has_categories)


def _is_narrow(profile: DatasetProfile) -> bool:
    """Whether one column for each category fits into memory."""
    n_categorical = profile.kind_counts.get("categorical", 0)
    n_levels = n_categorical * min(profile.max_cardinality, MANY_CATEGORIES)
    return profile.n_rows * n_levels <= _MAX_CELLS


# Samplers that make rows read one column for each category.
_NARROW = Need(_is_narrow, "needs too much memory for so many categories")

_NOTHING = (
    Resampler(name="none", label="no resampling", make=None, uses_distances=False),
    Resampler(name=OWN, label="its own resampling", make=None, uses_distances=False),
    Resampler(
        name="balanced_batches",
        label="balanced batches",
        make=None,
        batches="balanced",
        uses_distances=False,
        target_counts=oversampled,
        auto=False,
        reference="Shwartz-Ziv et al. 2023, arXiv:2312.02517",
    ),
)

_RANDOM = (
    Resampler(
        name="random_over",
        label="random over-sampling",
        make=random_over,
        params=_RATIO,
        uses_distances=False,
        target_counts=oversampled,
        reference="He & Garcia 2009, doi:10.1109/TKDE.2008.239",
    ),
    Resampler(
        name="rose",
        label="smoothed over-sampling",
        make=OversamplerFactory(path=f"{_OVER}:RandomOverSampler", class_bounded=()),
        view="mixed",
        params={**_RATIO, "shrinkage": Float(0.05, 2.0, default=0.3, log=True)},
        needs=(DENSE, UNWEIGHTED, minority_at_least(4), _NARROW),
        target_counts=oversampled,
        reference="Menardi & Torelli 2014, doi:10.1007/s10618-012-0295-5",
    ),
    Resampler(
        name="random_under",
        label="random under-sampling",
        make=random_under,
        params=_RATIO,
        uses_distances=False,
        target_counts=undersampled,
        reference="He & Garcia 2009, doi:10.1109/TKDE.2008.239",
    ),
)

_SMOTE = Resampler(
    name="smote",
    label="SMOTE",
    make=SMOTE,
    view="mixed",
    params=_SMOTE_PARAMS,
    needs=(*_SMOTE_NEEDS, _NARROW),
    target_counts=oversampled,
    compares="minority",
    reference="Chawla et al. 2002, doi:10.1613/jair.953",
)

_SYNTHETIC = (
    _SMOTE,
    replace(
        _SMOTE,
        name="borderline_smote",
        label="Borderline-SMOTE",
        make=OversamplerFactory(
            path=f"{_OVER}:BorderlineSMOTE", total_bounded=("m_neighbors",)
        ),
        params={
            **_BORDER_PARAMS,
            "kind": Categorical(
                ("borderline-1", "borderline-2"), default="borderline-1"
            ),
        },
        needs=(UNWEIGHTED, minority_at_least(4), _ALL_ROWS, _NARROW),
        compares="all",
        reference="Han, Wang & Mao 2005, doi:10.1007/11538059_91",
    ),
    replace(
        _SMOTE,
        name="svm_smote",
        label="SVM-SMOTE",
        make=OversamplerFactory(
            path=f"{_OVER}:SVMSMOTE",
            total_bounded=("m_neighbors",),
            min_rows=10,
            made={"svm_estimator": "sklearn.svm:SVC"},
        ),
        params=_BORDER_PARAMS,
        needs=(UNWEIGHTED, minority_at_least(20), _SLOW_ROWS, _NARROW),
        compares="all",
        auto=False,
        reference="Nguyen, Cooper & Kamei 2011, doi:10.1504/IJKESDP.2011.039875",
    ),
    replace(
        _SMOTE,
        name="kmeans_smote",
        label="k-means SMOTE",
        make=OversamplerFactory(
            path="autoimb._models.samplers:ReportingKMeansSMOTE",
            min_rows=10,
            made={
                "kmeans_estimator": few_clusters,
                "cluster_balance_threshold": half_share,
            },
        ),
        params={**_RATIO, "k_neighbors": Int(1, 8, default=2)},
        needs=(
            DENSE,
            UNWEIGHTED,
            minority_at_least(20),
            Need(
                partial(_has_kinds, numbers=True),
                "needs numbers: rows of categories alone coincide",
            ),
            _SLOW_ROWS,
            _NARROW,
        ),
        auto=False,
        reference="Last, Douzas & Bacao 2017, arXiv:1711.00837",
    ),
    replace(
        _SMOTE,
        name="adasyn",
        label="ADASYN",
        make=OversamplerFactory(
            path="autoimb._models.samplers:AttentiveADASYN",
            class_bounded=("n_neighbors",),
        ),
        params={**_RATIO, "n_neighbors": Int(2, 15, default=5, log=True)},
        needs=(UNWEIGHTED, minority_at_least(10), _ALL_ROWS, _NARROW),
        compares="all",
        auto=False,
        reference="He et al. 2008, doi:10.1109/IJCNN.2008.4633969",
    ),
    replace(
        _SMOTE,
        name="smotenc",
        label="SMOTE-NC",
        make=OversamplerFactory(
            path=f"{_OVER}:SMOTENC",
            made={"categorical_features": category_columns},
            reads_codes=True,
        ),
        needs=(
            *_SMOTE_NEEDS,
            Need(
                partial(_has_kinds, numbers=True, categories=True),
                "needs categories and numbers side by side",
            ),
            _SLOW_ROWS,
        ),
        auto=False,
    ),
    replace(
        _SMOTE,
        name="smoten",
        label="SMOTE-N",
        make=OversamplerFactory(path=f"{_OVER}:SMOTEN", reads_codes=True),
        needs=(
            *_SMOTE_NEEDS,
            Need(
                partial(_has_kinds, numbers=False, categories=True),
                "needs categories and nothing else",
            ),
            _SLOW_ROWS,
        ),
        auto=False,
    ),
    replace(
        _SMOTE,
        name="smote_tomek",
        label="SMOTE + Tomek links",
        make=SmoteAndCleaningFactory(
            path="imblearn.combine:SMOTETomek",
            cleaning_parameter="tomek",
            cleaner=f"{_UNDER}:TomekLinks",
        ),
        needs=(UNWEIGHTED, minority_at_least(4), _SLOW_ROWS, _NARROW),
        compares="all",
        reference="Batista, Prati & Monard 2004, doi:10.1145/1007730.1007735",
    ),
    replace(
        _SMOTE,
        name="smote_enn",
        label="SMOTE + ENN",
        make=SmoteAndCleaningFactory(
            path="imblearn.combine:SMOTEENN",
            cleaning_parameter="enn",
            cleaner=f"{_UNDER}:EditedNearestNeighbours",
            n_neighbors_parameter="n_neighbors",
        ),
        params={**_SMOTE_PARAMS, **_NEIGHBOURS},
        needs=(UNWEIGHTED, minority_at_least(4), _SLOW_ROWS, _NARROW),
        compares="all",
        auto=False,
        reference="Batista, Prati & Monard 2004, doi:10.1145/1007730.1007735",
    ),
)

_TOMEK = Resampler(
    name="tomek",
    label="Tomek links",
    make=SelectorFactory(path=f"{_UNDER}:TomekLinks", is_seeded=False),
    needs=(_ALL_ROWS,),
    compares="all",
    reference="Tomek 1976, doi:10.1109/TSMC.1976.4309452",
)

_CLEANING = (
    _TOMEK,
    replace(
        _TOMEK,
        name="enn",
        label="edited nearest neighbours",
        make=SelectorFactory(
            path=f"{_UNDER}:EditedNearestNeighbours",
            is_seeded=False,
            class_bounded=("n_neighbors",),
        ),
        params={**_NEIGHBOURS, **_KINDS},
        auto=False,
        reference="Wilson 1972, doi:10.1109/TSMC.1972.4309137",
    ),
    replace(
        _TOMEK,
        name="renn",
        label="repeated edited nearest neighbours",
        make=SelectorFactory(
            path=f"{_UNDER}:RepeatedEditedNearestNeighbours",
            fixed={"max_iter": 20},
            is_seeded=False,
            class_bounded=("n_neighbors",),
        ),
        params={**_NEIGHBOURS, **_KINDS},
        # Its sample_indices_ are in another order than its rows (imblearn 0.14).
        needs=(UNWEIGHTED_FIT, _SLOW_ROWS),
        auto=False,
        reference="Tomek 1976, doi:10.1109/TSMC.1976.4309523",
    ),
    replace(
        _TOMEK,
        name="all_knn",
        label="AllKNN",
        make=SelectorFactory(
            path=f"{_UNDER}:AllKNN", is_seeded=False, class_bounded=("n_neighbors",)
        ),
        params={**_NEIGHBOURS, **_KINDS},
        needs=(_SLOW_ROWS,),
        auto=False,
        reference="Tomek 1976, doi:10.1109/TSMC.1976.4309523",
    ),
    replace(
        _TOMEK,
        name="cnn",
        label="condensed nearest neighbour",
        make=SelectorFactory(
            path=f"{_UNDER}:CondensedNearestNeighbour", class_bounded=("n_seeds_S",)
        ),
        params={"n_seeds_S": Int(1, 20, default=1, log=True)},
        needs=(rows_at_most(5_000),),
        auto=False,
        reference="Hart 1968, doi:10.1109/TIT.1968.1054155",
    ),
    replace(
        _TOMEK,
        name="oss",
        label="one-sided selection",
        make=SelectorFactory(
            path=f"{_UNDER}:OneSidedSelection", class_bounded=("n_seeds_S",)
        ),
        params={"n_seeds_S": Int(1, 20, default=1, log=True)},
        auto=False,
        reference="Kubat & Matwin 1997, ICML 179-186",
    ),
    replace(
        _TOMEK,
        name="ncr",
        label="neighbourhood cleaning rule",
        make=SelectorFactory(
            path=f"{_UNDER}:NeighbourhoodCleaningRule",
            is_seeded=False,
            class_bounded=("n_neighbors",),
        ),
        params={
            **_NEIGHBOURS,
            "threshold_cleaning": Float(0.1, 1.0, default=0.5),
        },
        auto=False,
        reference="Laurikkala 2001, doi:10.1007/3-540-48229-6_9",
    ),
)

_HARDNESS = Resampler(
    name="instance_hardness",
    label="instance hardness threshold",
    make=SelectorFactory(
        path=f"{_UNDER}:InstanceHardnessThreshold",
        # Not a forest: it gives most rows of a large class the same probability of one,
        # and all rows that tie are kept, so that no ratio would be reached.
        made={"estimator": "sklearn.linear_model:LogisticRegression", "cv": few_folds},
    ),
    params=_RATIO,
    needs=(minority_at_least(4), _ALL_ROWS),
    target_counts=undersampled,
    auto=False,
    reference="Smith, Martinez & Giraud-Carrier 2014, doi:10.1007/s10994-013-5422-z",
)


def _near_miss(version: int) -> Resampler:
    """Return the entry of one version of NearMiss."""
    parameter = "n_neighbors_ver3" if version == 3 else "n_neighbors"
    make = SelectorFactory(
        path=f"{_UNDER}:NearMiss",
        fixed={"version": version, "n_neighbors": 3},
        is_seeded=False,
        class_bounded=("n_neighbors", parameter),
    )
    return replace(
        _HARDNESS,
        name=f"near_miss_{version}",
        label=f"NearMiss-{version}",
        make=make,
        params={**_RATIO, parameter: Int(1, 9, default=3)},
        needs=(minority_at_least(4), _SLOW_ROWS),
        compares="all",
        reference="Mani & Zhang 2003, ICML workshop on imbalanced data sets",
    )


_SHRINKING = (
    _HARDNESS,
    *(_near_miss(version) for version in (1, 2, 3)),
    Resampler(
        name="cluster_centroids",
        label="cluster centroids",
        make=cluster_centroids,
        view="mixed",
        params=_RATIO,
        needs=(DENSE, UNWEIGHTED, _SLOW_ROWS, _NARROW),
        target_counts=undersampled,
        compares="all",
        auto=False,
        reference="Yen & Lee 2009, doi:10.1016/j.eswa.2008.06.108",
    ),
)

RESAMPLERS = (*_NOTHING, *_RANDOM, *_SYNTHETIC, *_CLEANING, *_SHRINKING)
