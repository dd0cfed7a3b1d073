"""How imbalanced-learn's samplers are made for the training part of a fold.

A constructor takes an entry's parameters and a `Sampling`, what is known of the rows
by then. Ratios become plain class counts, numbers of neighbours stay below what the
classes can offer, and what needs a seed gets one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoimb._catalogue.entry import oversampled, resolve, undersampled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sampling:
    """The training part of a fold, as a sampler's constructor sees it."""

    counts: NDArray[np.intp]
    """Rows of each class code."""
    n_categorical: int
    """Columns of category codes, which stand first."""
    only_categories: bool
    seed: int
    is_scaled: bool = True
    """Whether the other columns are without gaps and on one scale."""
    whole: NDArray[np.intp] | None = None
    """Rows of each class that ratios refer to, where these are a sample of those."""

    def oversample(self, strength: float, *, at_least: int = 1) -> dict[int, int]:
        """Return target counts, leaving out classes with fewer rows than needed."""
        target = self._sampled(oversampled(self._whole, strength))
        return {c: n for c, n in target.items() if n > self.counts[c] >= at_least}

    def undersample(self, strength: float) -> dict[int, int]:
        """Return target counts of the larger classes."""
        target = self._sampled(undersampled(self._whole, strength))
        return {c: n for c, n in target.items() if 0 < n < self.counts[c]}

    @property
    def _whole(self) -> NDArray[np.intp]:
        """Rows of each class that ratios refer to."""
        return self.counts if self.whole is None else self.whole

    def _sampled(self, target: Mapping[int, int]) -> dict[int, int]:
        """Return target counts of the whole in proportion to the rows that are here."""
        if self.whole is None:
            return dict(target)
        return {c: round(n * self.counts[c] / self.whole[c]) for c, n in target.items()}

    def neighbours(self, wanted: int, of: Mapping[int, int] | None = None) -> int:
        """Return a number of neighbours that some classes, or any, can offer."""
        classes = of if of is not None else range(len(self.counts))
        sizes = [int(self.counts[c]) for c in classes if self.counts[c] > 0]
        return max(1, min(wanted, min(sizes, default=wanted + 1) - 1))

    @property
    def larger(self) -> list[int]:
        """Classes with more rows than the mean class: those that are cleaned.

        NOTE[DIFF]: imbalanced-learn cleans every class but the smallest. With several
        rare classes that would take rows of all of them but one, and may leave none.
        """
        mean = self.counts.sum() / (self.counts > 0).sum()
        return [int(c) for c, n in enumerate(self.counts) if n > mean]

    @property
    def smallest(self) -> int:
        """Rows of the smallest class."""
        return int(self.counts[self.counts > 0].min())


@dataclass(frozen=True, slots=True, kw_only=True)
class Selecting:
    """Makes a sampler that chooses rows by distances, and hands them on as they are."""

    path: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    is_seeded: bool = True
    neighbours: tuple[str, ...] = ()
    """Parameters that every class must exceed."""
    parts: Mapping[str, Callable[[Sampling], Any]] = field(default_factory=dict)
    """Parameters that are made for the rows."""

    def __call__(self, params: Mapping[str, Any], sampling: Sampling) -> Any:
        """Return the sampler, or its stand-in where it alone would not do."""
        from autoimb._models.samplers import SelectingSampler

        settings = {**self.fixed, **params}
        strength = settings.pop("strength", None)
        settings["sampling_strategy"] = (
            sampling.larger if strength is None else sampling.undersample(strength)
        )
        for name in self.neighbours:
            settings[name] = sampling.neighbours(settings[name])
        if self.is_seeded:
            settings["random_state"] = sampling.seed
        made = {name: make(sampling) for name, make in self.parts.items()}
        sampler = resolve(self.path)(**settings, **made)
        is_dense = sampling.is_scaled and sampling.n_categorical == 0
        if is_dense and len(sampling.counts) == 2:
            return sampler
        return SelectingSampler(sampler, sampling.n_categorical)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesising:
    """Makes a sampler that adds rows between those of the smaller classes."""

    path: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    neighbours: tuple[str, ...] = ("k_neighbors",)
    """Parameters that every class to be raised must exceed."""
    of_all: tuple[str, ...] = ()
    """Parameters that only the whole table must exceed."""
    at_least: int = 2
    """Rows that a class needs to be raised."""
    parts: Mapping[str, Callable[[Sampling], Any]] = field(default_factory=dict)

    def __call__(self, params: Mapping[str, Any], sampling: Sampling) -> Any:
        """Return the sampler, or its stand-in for rows with categories."""
        from autoimb._models.samplers import CategorySampler

        sampler = self.plain(params, sampling)
        if sampling.n_categorical == 0:
            return sampler
        return CategorySampler(sampler, sampling.n_categorical)

    def plain(self, params: Mapping[str, Any], sampling: Sampling) -> Any:
        """Return imbalanced-learn's own sampler."""
        settings = {**self.fixed, **params}
        target = sampling.oversample(settings.pop("strength"), at_least=self.at_least)
        for name in self.neighbours:
            settings[name] = sampling.neighbours(settings[name], target)
        for name in self.of_all:
            settings[name] = min(settings[name], int(sampling.counts.sum()) - 1)
        made = {name: make(sampling) for name, make in self.parts.items()}
        return resolve(self.path)(
            sampling_strategy=target, random_state=sampling.seed, **settings, **made
        )


def random_over(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return the sampler that repeats rows of the smaller classes."""
    from imblearn.over_sampling import RandomOverSampler

    target = sampling.oversample(params["strength"])
    return RandomOverSampler(sampling_strategy=target, random_state=sampling.seed)


def random_under(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return the sampler that drops rows of the larger classes."""
    from imblearn.under_sampling import RandomUnderSampler

    target = sampling.undersample(params["strength"])
    return RandomUnderSampler(sampling_strategy=target, random_state=sampling.seed)


SMOTE = Synthesising(path="imblearn.over_sampling:SMOTE")


def smotenc(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return SMOTE whose new rows take the category that most neighbours have."""
    columns = list(range(sampling.n_categorical))
    path = "imblearn.over_sampling:SMOTENC"
    make = Synthesising(path=path, fixed={"categorical_features": columns})
    return make.plain(params, sampling)


def smoten(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return SMOTE on the value-difference metric."""
    return Synthesising(path="imblearn.over_sampling:SMOTEN").plain(params, sampling)


def cluster_centroids(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return the sampler that puts one row in place of each cluster of rows."""
    from imblearn.under_sampling import ClusterCentroids

    from autoimb._models.samplers import CategorySampler

    sampler = ClusterCentroids(
        sampling_strategy=sampling.undersample(params["strength"]),
        random_state=sampling.seed,
        estimator=quick_k_means(sampling),
        voting="soft",
    )
    if sampling.n_categorical == 0:
        return sampler
    return CategorySampler(sampler, sampling.n_categorical)


@dataclass(frozen=True, slots=True)
class SmoteThenClean:
    """Makes SMOTE followed by a cleaning of all classes."""

    path: str
    part: str
    """Parameter of the cleaning step."""
    cleaner: str
    neighbours: str | None = None
    """The cleaning step's number of neighbours, where it has one."""

    def __call__(self, params: Mapping[str, Any], sampling: Sampling) -> Any:
        """Return the combined sampler, or its stand-in for rows with categories."""
        from autoimb._models.samplers import CategorySampler, WholeClassSampler

        of_smote = dict(params)
        of_cleaner: dict[str, Any] = {"sampling_strategy": "all"}
        if self.neighbours is not None:
            wanted = of_smote.pop(self.neighbours)
            of_cleaner["n_neighbors"] = sampling.neighbours(wanted)
        combined = resolve(self.path)(
            smote=SMOTE.plain(of_smote, sampling),
            random_state=sampling.seed,
            **{self.part: resolve(self.cleaner)(**of_cleaner)},
        )
        sampler = WholeClassSampler(combined)
        if sampling.n_categorical == 0:
            return sampler
        return CategorySampler(sampler, sampling.n_categorical)


def quick_k_means(sampling: Sampling) -> Any:
    """Return seeded clustering in mini-batches."""
    from sklearn.cluster import MiniBatchKMeans

    return MiniBatchKMeans(n_init=1, random_state=sampling.seed)


def few_clusters(sampling: Sampling) -> Any:
    """Return clustering that leaves some cluster with rows enough of every class.

    Fewer than half of a class's rows lie in clusters that `half_share` turns away. The
    other half, 10 rows for each cluster or more, cannot be spread so thinly that no
    cluster holds the 9 that 8 neighbours ask for.
    """
    n_clusters = max(1, min(8, sampling.smallest // 20))
    return quick_k_means(sampling).set_params(n_clusters=n_clusters)


def half_share(sampling: Sampling) -> float:
    """Return half the share that the smallest class has of all rows."""
    return sampling.smallest / int(sampling.counts.sum()) / 2


def quick_model(sampling: Sampling) -> Any:
    """Return the model that tells hard rows from easy ones.

    A forest gives most rows of a large class the same probability of one, and all rows
    that tie are kept: no ratio would be reached.
    """
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(random_state=sampling.seed)


def seeded_svm(sampling: Sampling) -> Any:
    """Return the model whose support vectors are near the border."""
    from sklearn.svm import SVC

    return SVC(random_state=sampling.seed)


def few_folds(sampling: Sampling) -> int:
    """Return a number of folds that the smallest class can fill."""
    return max(2, min(3, sampling.smallest))
