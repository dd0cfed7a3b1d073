"""Class weights: rules from the class counts of the training rows to weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoimb._catalogue.entry import ClassWeight, Float, by_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


def _balanced(params: Mapping[str, Any], counts: NDArray[np.intp]) -> dict[int, float]:
    """Return weights (largest / count) ** exponent: 1 for the largest class.

    exponent 0 weighs all rows alike, 1 gives each class the same total weight (King &
    Zeng 2001), 0.5 is the square root in between.
    """
    present = {c: int(n) for c, n in enumerate(counts) if n > 0}
    largest = max(present.values())
    return {c: float((largest / n) ** params["exponent"]) for c, n in present.items()}


CLASS_WEIGHTS = by_name(
    ClassWeight(name="none", label="no class weights", make=None),
    ClassWeight(
        name="balanced",
        label="class weights",
        make=_balanced,
        params={"exponent": Float(0.1, 1.0, default=1.0)},
        reference="King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868",
    ),
)
