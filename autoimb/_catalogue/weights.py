"""Class weights: rules from the class counts of the training rows to weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._catalogue.entry import Categorical, ClassWeight, Float, by_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def _balanced(params: Mapping[str, Any], counts: NDArray[np.intp]) -> dict[int, float]:
    """Return weights (largest / count) ** exponent: 1 for the largest class.

    exponent 0 weighs all rows alike, 1 gives each class the same total weight (King &
    Zeng 2001), 0.5 is the square root in between.
    """
    present = {c: int(n) for c, n in enumerate(counts) if n > 0}
    largest = max(present.values())
    return {c: float((largest / n) ** params["exponent"]) for c, n in present.items()}


def _effective_number(
    params: Mapping[str, Any], counts: NDArray[np.intp]
) -> dict[int, float]:
    """Return one over the effective number of rows, 1 for the largest class.

    The effective number (1 - beta ** n) / (1 - beta) says how many rows n random ones
    are worth where each covers a share 1 - beta of what there is to see (Cui et al.
    2019, section 3): n itself for beta near 1, 1 / (1 - beta) for many rows.
    """
    present = {c: int(n) for c, n in enumerate(counts) if n > 0}
    # 1 - beta ** n without the cancellation: beta is close to 1.
    covered = {
        c: float(-np.expm1(n * np.log(params["beta"]))) for c, n in present.items()
    }
    largest = max(covered.values())
    return {c: largest / share for c, share in covered.items()}


CLASS_WEIGHTS = by_name(
    ClassWeight(name="none", label="no class weights", make=None),
    ClassWeight(
        name="balanced",
        label="class weights",
        make=_balanced,
        params={"exponent": Float(0.1, 1.0, default=1.0)},
        reference="King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868",
    ),
    ClassWeight(
        name="effective_number",
        label="effective-number weights",
        make=_effective_number,
        params={"beta": Categorical((0.9, 0.99, 0.999, 0.9999), default=0.999)},
        reference="Cui et al. 2019, arXiv:1901.05555",
    ),
)
