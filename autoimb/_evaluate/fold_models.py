"""The fold models of a candidate, loaded to predict in place of one on all rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoimb._catalogue.entry import resolve
from autoimb._evaluate.few_rows import use_one_thread

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from sklearn.pipeline import Pipeline

    from autoimb._catalogue.entry import Family
    from autoimb._evaluate.out_of_fold import FoldResult
    from autoimb._evaluate.problem import Problem
    from autoimb._strategy.strategy import Strategy

_ALIKE = 0.8  # of the rows that a fold does not validate, to train on


@dataclass(frozen=True, slots=True, eq=False)
class FoldModels:
    """Loads what was kept; models of a fold that read its rows alike share encoders."""

    problem: Problem
    encoders: dict[Hashable, Any] = field(default_factory=dict)

    def load(
        self, strategy: Strategy, results: Sequence[FoldResult]
    ) -> tuple[Pipeline, ...]:
        """Return the fitted pipelines of the folds whose mean predicts.

        Raises
        ------
        LookupError
            If no model of these folds was kept, or one can't be read any more.
        """
        kept = [result for result in results if result.model is not None]
        chosen = self._comparable(kept)
        if not chosen:
            raise LookupError("no fold model was kept")
        try:
            return tuple(self._pipeline(strategy, result) for result in chosen)
        except Exception as error:  # unpickling may raise any
            raise LookupError("a fold model cannot be read") from error

    def _comparable(self, results: Sequence[FoldResult]) -> list[FoldResult]:
        """Return the results whose models have seen about the same rows.

        Where a fold trains on a part only of the rows that it does not validate, as in
        time series, the model with the most and the latest rows predicts alone: the
        mean with older ones would be worse.
        """
        n_rows = len(self.problem.table.y)
        folds = [self.problem.folds[result.number] for result in results]
        rest = [n_rows - len(fold.val_idx) for fold in folds]
        sizes = [len(fold.train_idx) for fold in folds]
        if all(n >= _ALIKE * most for n, most in zip(sizes, rest, strict=True)):
            return list(results)
        largest = max(range(len(folds)), key=lambda place: (sizes[place], place))
        return [results[largest]]

    def _pipeline(self, strategy: Strategy, result: FoldResult) -> Pipeline:
        """Return a fold's fitted pipeline, with the rounds that its scores are of."""
        if result.model is None:
            raise LookupError(f"no model of fold {result.number} was kept")
        catalogue = self.problem.catalogue
        pipeline, family = result.model.load(), strategy.family.name
        entry: Family = catalogue.get("family", family)
        if result.n_rounds is not None:
            resolve(entry.cut_rounds)(pipeline[-1], result.n_rounds)
        if entry.parameter_names.get("n_jobs") == "n_jobs":
            use_one_thread(pipeline[-1])
        name, encoder = pipeline.steps[0]
        if name == "encode":
            shared = self.encoders.setdefault(result.model.encoded_by, encoder)
            pipeline.steps[0] = name, shared
        return pipeline
