"""Class weights: rules from the class counts of the training rows to weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb._catalogue.entry import OWN, Categorical, ClassWeight, Float

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def _balanced(params: Mapping[str, Any], counts: NDArray[np.intp]) -> dict[int, float]:
    """Return weights (largest / count) ** exponent: 1 for the largest class.

    Exponent 0 weighs all rows alike, 1 gives each class the same total weight (King &
    Zeng 2001), and 0.5 is the square root in between.
    """
    present = {c: int(n) for c, n in enumerate(counts) if n > 0}
    largest = max(present.values())
    return {c: float((largest / n) ** params["exponent"]) for c, n in present.items()}


def _effective_number(
    params: Mapping[str, Any], counts: NDArray[np.intp]
) -> dict[int, float]:
    """Return one over the effective number of rows, 1 for the largest class.

    The effective number is (1 - beta ** n) / (1 - beta): the expected size of what n
    random rows cover, each a share 1 - beta of the class (Cui et al. 2019, section 3).
    It is n for beta near 1, and 1 / (1 - beta) for many rows.
    """
    present = {c: int(n) for c, n in enumerate(counts) if n > 0}
    # 1 - beta ** n without cancellation, as beta is close to 1.
    covered = {
        c: float(-np.expm1(n * np.log(params["beta"]))) for c, n in present.items()
    }
    largest = max(covered.values())
    return {c: largest / share for c, share in covered.items()}


CLASS_WEIGHTS = (
    ClassWeight(name="none", label="no class weights", make=None),
    ClassWeight(name=OWN, label="its own class weights", make=None),
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
