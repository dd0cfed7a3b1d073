"""`FoldIds`: where rows were held out, for what is cross-fitted on their scores."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from autoimb._metrics.confusion import BoolArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class FoldIds:
    """In which fold of which repeat of cross-validation each entry (n,) was scored."""

    repeat: IntArray
    fold: IntArray

    def parts(self) -> Iterator[tuple[BoolArray, BoolArray]]:
        """Yield the entries (n,) of a fold, and those of its repeat's other folds.

        A row has one entry in a repeat: none of the others is of the same row.
        """
        for repeat in np.unique(self.repeat):
            is_in = self.repeat == repeat
            for fold in np.unique(self.fold[is_in]):
                held_out = is_in & (self.fold == fold)
                yield held_out, is_in & ~held_out

    def have_each(self, y: IntArray, n_classes: int) -> bool:
        """Whether each class is left in a repeat whichever fold is held out."""
        codes = np.arange(n_classes)
        return all(np.isin(codes, y[others]).all() for _, others in self.parts())
