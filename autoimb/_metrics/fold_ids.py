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
    row: IntArray
    """The row of the table that each entry is of: one entry in each repeat at most."""

    def parts(self) -> Iterator[tuple[BoolArray, BoolArray]]:
        """Yield the entries (n,) of a fold, and entries of other rows to fit on.

        Those are of the other folds of its repeat. A splitter that draws folds one by
        one has none: there they are all entries of rows that the fold does not hold.
        """
        for repeat in np.unique(self.repeat):
            is_in = self.repeat == repeat
            for fold in np.unique(self.fold[is_in]):
                held_out = is_in & (self.fold == fold)
                others = is_in & ~held_out
                if not others.any():
                    others = ~np.isin(self.row, self.row[held_out])
                yield held_out, others

    def have_each(self, y: IntArray, n_classes: int) -> bool:
        """Whether each class is left to fit on, whichever fold is held out."""
        codes = np.arange(n_classes)
        return all(np.isin(codes, y[others]).all() for _, others in self.parts())
