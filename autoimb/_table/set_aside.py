"""Classes of one row, which are set aside: they cannot be cross-validated.

The search works as if their rows were not there. What leaves the fitted model, which is
probabilities, weights and shares by class, gets the columns of these classes last of
all. So no fold, metric, resampler, calibration or model has to know of a class that has
no rows in one part of a fold, and what they do is what they would do without it.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_NAMED = 5  # classes in a message


@dataclass(frozen=True, slots=True, eq=False)
class SetAside:
    """The classes of one row, and the probability that they get in every prediction."""

    labels: NDArray[Any] = field(default_factory=lambda: np.empty(0, dtype=object))
    codes: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    """Their positions among all classes, ascending."""
    shares: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Their shares of the training rows, by weight."""
    expected: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Their shares of later rows: those of `shares` unless others are expected."""

    @classmethod
    def of(
        cls,
        classes: NDArray[Any],
        codes: NDArray[np.intp],
        weights: NDArray[np.float64],
    ) -> "SetAside":
        """Return the classes that have one row, given the codes of all rows."""
        single = np.flatnonzero(np.bincount(codes) == 1)
        if not len(single):
            return cls()
        totals = np.bincount(codes, weights / weights.max())
        shares = (totals / totals.sum())[single]
        return cls(classes[single], single, shares, shares)

    def __len__(self) -> int:
        return len(self.codes)

    def others(self, n_classes: int) -> NDArray[np.intp]:
        """Return the positions of the other classes among all classes."""
        return np.delete(np.arange(n_classes), self.codes)

    def all_classes(self, classes: NDArray[Any]) -> NDArray[Any]:
        """Return all labels in order, given those of the other classes."""
        if not len(self):
            return classes
        labels = np.empty(len(classes) + len(self), dtype=classes.dtype)
        labels[self.codes] = self.labels
        labels[self.others(len(labels))] = classes
        return labels

    def add_columns(self, proba: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities (n, k) of all classes, from those of the others."""
        if not len(self):
            return proba
        scaled = proba * (1 - self.expected.sum())
        return np.insert(scaled, self._places, self.expected, axis=1)

    def add_zeros(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one value (k,) for each of all classes, 0 for those set aside."""
        return np.insert(values, self._places, 0.0)

    @property
    def _places(self) -> NDArray[np.intp]:
        """Before which of the other classes each of these stands."""
        return self.codes - np.arange(len(self))

    def for_prior(self, shares: NDArray[np.float64] | None) -> "SetAside":
        """Return them for expected shares (k,) of all classes; None for the table's."""
        expected = self.shares if shares is None else shares[self.codes]
        return replace(self, expected=expected)

    @property
    def message(self) -> str:
        """What became of these classes, and what to do about it; empty without any."""
        if not len(self):
            return ""
        labels: list[Any] = self.labels.tolist()
        names = ", ".join(map(repr, labels[:_MAX_NAMED]))
        if len(labels) > _MAX_NAMED:
            names += f" and {len(labels) - _MAX_NAMED} more"
        subject = f"class {names} has 1 row"
        if len(labels) > 1:
            subject = f"{len(labels)} classes have 1 row each ({names})"
        return (
            f"{subject}, and cross-validation takes 2: set aside. No model is fitted "
            "on such a row, predict never answers its class, and predict_proba gives "
            "the class its share of the training rows. Collect more of its rows, merge "
            "it with another class, or drop it."
        )
