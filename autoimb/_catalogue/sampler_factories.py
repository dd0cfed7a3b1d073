"""How imbalanced-learn's samplers are made for the training part of a fold.

A factory takes an entry's parameters and `TrainingRows`, what is known about the rows.
Ratios become class counts, numbers of neighbours stay below the rows of a class, and
every random state is set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoimb._catalogue.entry import oversampled, resolve, undersampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

# Wrappers of our own around imbalanced-learn's samplers.
_CATEGORY = "autoimb._models.samplers:CategorySampler"
_SELECTING = "autoimb._models.samplers:SelectingSampler"
_WHOLE_CLASS = "autoimb._models.samplers:WholeClassSampler"
_SCALING = "autoimb._models.samplers:ScalingSampler"


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """What a factory needs to know about the training part of a fold."""

    counts: NDArray[np.intp]
    """Rows of each class code."""
    n_categorical: int
    """Columns of category codes, which stand first."""
    seed: int
    is_scaled: bool = True
    """Whether the other columns are without gaps and on one scale."""
    full_counts: NDArray[np.intp] | None = None
    """Class counts of all rows that these are a sample of; None: of these."""

    def target_counts(
        self,
        rule: Callable[[NDArray[np.intp], float], dict[int, int]],
        strength: float,
        *,
        min_rows: int = 1,
    ) -> dict[int, int]:
        """Return the counts of the classes that a rule changes.

        `rule` is `oversampled` or `undersampled`. It is applied to `full_counts`, and
        the result scaled down to a sample. Classes below `min_rows` are left as they
        are.
        """
        full = self.counts if self.full_counts is None else self.full_counts
        target = {
            c: round(n * self.counts[c] / full[c])
            for c, n in rule(full, strength).items()
        }
        return {
            c: n
            for c, n in target.items()
            if n not in (0, self.counts[c]) and self.counts[c] >= min_rows
        }

    def n_neighbors(self, requested: int, classes: Iterable[int] | None = None) -> int:
        """Return at most one less than the rows of the smallest of the classes."""
        chosen = range(len(self.counts)) if classes is None else classes
        sizes = [int(self.counts[c]) for c in chosen if self.counts[c] > 0]
        return max(1, min(requested, min(sizes, default=requested + 1) - 1))

    @property
    def larger_classes(self) -> list[int]:
        """Classes with more rows than the mean class: those that are cleaned.

        NOTE[DIFF]: imbalanced-learn cleans every class but the smallest. With several
        rare classes that would remove rows of all of them but one, and may leave none.
        """
        mean = self.counts.sum() / (self.counts > 0).sum()
        return [int(c) for c, n in enumerate(self.counts) if n > mean]

    @property
    def smallest(self) -> int:
        """Rows of the smallest class."""
        return int(self.counts[self.counts > 0].min())

    def made(
        self, parameters: Mapping[str, str | Callable[[TrainingRows], Any]]
    ) -> dict[str, Any]:
        """Return parameters made for these rows.

        A function is called with the rows; a dotted path names a class that is made
        with the random state.
        """
        return {
            name: resolve(make)(random_state=self.seed)
            if isinstance(make, str)
            else make(self)
            for name, make in parameters.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorFactory:
    """Makes a sampler that selects rows by distances, and returns them unchanged."""

    path: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    is_seeded: bool = True
    class_bounded: tuple[str, ...] = ()
    """Parameters that must be smaller than every class."""
    made: Mapping[str, str | Callable[[TrainingRows], Any]] = field(
        default_factory=dict
    )
    """Parameters as `TrainingRows.made` reads them."""

    def __call__(self, params: Mapping[str, Any], rows: TrainingRows) -> Any:
        """Return the sampler, wrapped where it cannot read the rows as they are."""
        settings = {**self.fixed, **params}
        strength = settings.pop("strength", None)
        settings["sampling_strategy"] = (
            rows.larger_classes
            if strength is None
            else rows.target_counts(undersampled, strength)
        )
        for name in self.class_bounded:
            settings[name] = rows.n_neighbors(settings[name])
        if self.is_seeded:
            settings["random_state"] = rows.seed
        sampler = resolve(self.path)(**settings, **rows.made(self.made))
        is_dense = rows.is_scaled and rows.n_categorical == 0
        if is_dense and len(rows.counts) == 2:
            return sampler
        return resolve(_SELECTING)(sampler, rows.n_categorical)


@dataclass(frozen=True, slots=True, kw_only=True)
class OversamplerFactory:
    """Makes a sampler that adds rows between those of the smaller classes."""

    path: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    class_bounded: tuple[str, ...] = ("k_neighbors",)
    """Parameters that must be smaller than every class that is raised."""
    total_bounded: tuple[str, ...] = ()
    """Parameters that must be smaller than the number of rows."""
    min_rows: int = 2
    """Rows that a class needs to be raised."""
    reads_codes: bool = False
    """Whether the sampler itself reads category codes."""
    made: Mapping[str, str | Callable[[TrainingRows], Any]] = field(
        default_factory=dict
    )
    """Parameters as `TrainingRows.made` reads them."""

    def __call__(self, params: Mapping[str, Any], rows: TrainingRows) -> Any:
        """Return the sampler, wrapped for rows with categories."""
        sampler = self.unwrapped(params, rows)
        return sampler if self.reads_codes else of_scaled_rows(sampler, rows)

    def unwrapped(self, params: Mapping[str, Any], rows: TrainingRows) -> Any:
        """Return the sampler at `path`."""
        settings = {**self.fixed, **params}
        target = rows.target_counts(
            oversampled, settings.pop("strength"), min_rows=self.min_rows
        )
        for name in self.class_bounded:
            settings[name] = rows.n_neighbors(settings[name], target)
        for name in self.total_bounded:
            settings[name] = min(settings[name], int(rows.counts.sum()) - 1)
        return resolve(self.path)(
            sampling_strategy=target,
            random_state=rows.seed,
            **settings,
            **rows.made(self.made),
        )


SMOTE = OversamplerFactory(path="imblearn.over_sampling:SMOTE")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoteAndCleaningFactory:
    """Makes SMOTE followed by a cleaning of all classes."""

    path: str
    cleaner: str
    """Dotted path of the sampler that cleans."""
    cleaning_parameter: str
    """The constructor's parameter that takes it."""
    n_neighbors_parameter: str | None = None
    """Its number of neighbours, if it has one."""

    def __call__(self, params: Mapping[str, Any], rows: TrainingRows) -> Any:
        """Return the combined sampler, wrapped for rows with categories."""
        smote_params = dict(params)
        cleaner_params: dict[str, Any] = {"sampling_strategy": "all"}
        if self.n_neighbors_parameter is not None:
            requested = smote_params.pop(self.n_neighbors_parameter)
            cleaner_params["n_neighbors"] = rows.n_neighbors(requested)
        cleaner = resolve(self.cleaner)(**cleaner_params)
        combined = resolve(self.path)(
            smote=SMOTE.unwrapped(smote_params, rows),
            random_state=rows.seed,
            **{self.cleaning_parameter: cleaner},
        )
        return of_scaled_rows(resolve(_WHOLE_CLASS)(combined), rows)


def random_over(params: Mapping[str, Any], rows: TrainingRows) -> Any:
    """Return the sampler that repeats rows of the smaller classes."""
    from imblearn.over_sampling import RandomOverSampler

    target = rows.target_counts(oversampled, params["strength"])
    return RandomOverSampler(sampling_strategy=target, random_state=rows.seed)


def random_under(params: Mapping[str, Any], rows: TrainingRows) -> Any:
    """Return the sampler that drops rows of the larger classes."""
    from imblearn.under_sampling import RandomUnderSampler

    target = rows.target_counts(undersampled, params["strength"])
    return RandomUnderSampler(sampling_strategy=target, random_state=rows.seed)


def cluster_centroids(params: Mapping[str, Any], rows: TrainingRows) -> Any:
    """Return the sampler that replaces each cluster of rows by its mean."""
    from imblearn.under_sampling import ClusterCentroids
    from sklearn.cluster import MiniBatchKMeans

    sampler = ClusterCentroids(
        sampling_strategy=rows.target_counts(undersampled, params["strength"]),
        random_state=rows.seed,
        estimator=MiniBatchKMeans(n_init=1, random_state=rows.seed),
        voting="soft",
    )
    return of_scaled_rows(sampler, rows)


def category_columns(rows: TrainingRows) -> list[int]:
    """Return the positions of the category codes."""
    return list(range(rows.n_categorical))


def few_clusters(rows: TrainingRows) -> Any:
    """Return a clustering in which some cluster has enough rows of every class.

    Fewer than half of a class's rows lie in clusters below `half_share`. The other
    half, at least 10 rows for each cluster, cannot be spread so thinly that no cluster
    holds the 9 rows that 8 neighbours require.
    """
    from sklearn.cluster import MiniBatchKMeans

    n_clusters = max(1, min(8, rows.smallest // 20))
    return MiniBatchKMeans(n_clusters, n_init=1, random_state=rows.seed)


def half_share(rows: TrainingRows) -> float:
    """Return half the share that the smallest class has of all rows."""
    return rows.smallest / int(rows.counts.sum()) / 2


def few_folds(rows: TrainingRows) -> int:
    """Return three folds, or two if the smallest class has only two rows."""
    return max(2, min(3, rows.smallest))


def of_scaled_rows(sampler: Any, rows: TrainingRows) -> Any:
    """Return a sampler of scaled numbers, wrapped for what else the rows are.

    Distances between numbers in units of their own depend on the units.
    """
    if not rows.is_scaled:
        return resolve(_SCALING)(sampler)
    if rows.n_categorical == 0:
        return sampler
    return resolve(_CATEGORY)(sampler, rows.n_categorical)
