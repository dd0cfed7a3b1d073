"""Resamplers: every entry changes training rows only, inside the fold.

A constructor takes the entry's parameters and a `Sampling`, what is known of the
training rows by then, and returns an imbalanced-learn sampler whose ratios are plain
class counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autoimb._catalogue.entry import (
    UNWEIGHTED,
    Domain,
    Float,
    Int,
    Resampler,
    by_name,
    minority_at_least,
    oversampled,
    rows_at_most,
    undersampled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    def oversample(self, strength: float, *, at_least: int = 1) -> dict[int, int]:
        """Return target counts, leaving out classes with fewer rows than needed."""
        target = oversampled(self.counts, strength)
        return {c: n for c, n in target.items() if self.counts[c] >= at_least}

    def neighbours(self, wanted: int, target: Mapping[int, int]) -> int:
        """Return a number of neighbours that every class to be raised can offer."""
        smallest = min((self.counts[c] for c in target), default=wanted + 1)
        return max(1, min(wanted, int(smallest) - 1))


def _random_over(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return a sampler that repeats rows of the smaller classes."""
    from imblearn.over_sampling import RandomOverSampler

    return RandomOverSampler(
        sampling_strategy=sampling.oversample(params["strength"]),
        random_state=sampling.seed,
    )


def _random_under(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return a sampler that drops rows of the larger classes."""
    from imblearn.under_sampling import RandomUnderSampler

    return RandomUnderSampler(
        sampling_strategy=undersampled(sampling.counts, params["strength"]),
        random_state=sampling.seed,
    )


def _smote(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return SMOTE, or its variant for categories: none is ever interpolated."""
    from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

    target = sampling.oversample(params["strength"], at_least=2)
    settings: dict[str, Any] = {
        "sampling_strategy": target,
        "k_neighbors": sampling.neighbours(params["k_neighbors"], target),
        "random_state": sampling.seed,
    }
    if sampling.n_categorical == 0:
        return SMOTE(**settings)
    if sampling.only_categories:
        return SMOTEN(**settings)
    return SMOTENC(list(range(sampling.n_categorical)), **settings)


def _tomek(_params: Mapping[str, Any], _sampling: Sampling) -> Any:
    """Return the sampler that drops larger-class rows of Tomek links."""
    from imblearn.under_sampling import TomekLinks

    return TomekLinks(sampling_strategy="auto")


def _smote_tomek(params: Mapping[str, Any], sampling: Sampling) -> Any:
    """Return SMOTE followed by the removal of Tomek links of all classes."""
    from imblearn.combine import SMOTETomek

    return SMOTETomek(smote=_smote(params, sampling), random_state=sampling.seed)


STRENGTH = Float(0.1, 1.0, default=1.0)
_SMOTE_PARAMS: dict[str, Domain] = {
    "strength": STRENGTH,
    "k_neighbors": Int(1, 15, default=5, log=True),
}
_SMOTE_NEEDS = (UNWEIGHTED, minority_at_least(4), rows_at_most(200_000))

RESAMPLERS = by_name(
    Resampler(name="none", label="no resampling", make=None),
    Resampler(
        name="random_over",
        label="random over-sampling",
        make=_random_over,
        params={"strength": STRENGTH},
        target=oversampled,
        reference="He & Garcia 2009, doi:10.1109/TKDE.2008.239",
    ),
    Resampler(
        name="random_under",
        label="random under-sampling",
        make=_random_under,
        params={"strength": STRENGTH},
        target=undersampled,
        reference="He & Garcia 2009, doi:10.1109/TKDE.2008.239",
    ),
    Resampler(
        name="smote",
        label="SMOTE",
        make=_smote,
        view="mixed",
        params=_SMOTE_PARAMS,
        needs=_SMOTE_NEEDS,
        target=oversampled,
        reference="Chawla et al. 2002, doi:10.1613/jair.953",
    ),
    Resampler(
        name="tomek",
        label="Tomek links",
        make=_tomek,
        view="dense",
        needs=(rows_at_most(50_000),),
        reference="Tomek 1976, doi:10.1109/TSMC.1976.4309452",
    ),
    Resampler(
        name="smote_tomek",
        label="SMOTE + Tomek links",
        make=_smote_tomek,
        view="mixed",
        params=_SMOTE_PARAMS,
        needs=(*_SMOTE_NEEDS, rows_at_most(50_000)),
        target=oversampled,
        reference="Batista, Prati & Monard 2004, doi:10.1145/1007730.1007735",
    ),
)
