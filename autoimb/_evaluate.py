"""Fit one strategy on one fold, or on all rows, through the same path.

`evaluate` is pure and picklable: what it returns depends on its arguments alone, and
equals ``strategy.build(...).fit(training rows).predict_proba(validation rows)``.
Nothing outside the training part of the fold is ever fitted or resampled.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from autoimb._catalogue.entry import resolve
from autoimb._clock import interrupted_after
from autoimb._columns import take
from autoimb._encoded import EncodedFold, encoded_folds
from autoimb._execution import failure_reason
from autoimb._models.few_rows import forest_scores
from autoimb._rungs import ALL_ROWS
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autoimb._catalogue import Catalogue
    from autoimb._catalogue.entry import Family
    from autoimb._columns import Matrix
    from autoimb._data import Table
    from autoimb._execution import Shared
    from autoimb._folds import Fold
    from autoimb._metrics import Metric
    from autoimb._rungs import Rung
    from autoimb._strategy import Strategy


_STAGES = (0.125, 0.25, 0.35, 0.5, 0.7, 1.0)  # of the rounds that were asked for
_LEAST_ROUNDS = 10
_GRACE_SECONDS, _GRACE = 2.0, 1.25

FitModel = Callable[..., None]
"""Fits a model: (model, X, y, **row weights)."""

EncodedRows = dict[str, tuple[Any, Any]]
"""By view, a fitted encoder and all training rows as it reads them."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Problem:
    """What every evaluation of one fit shares."""

    table: Table
    catalogue: Catalogue
    folds: tuple[Fold, ...]
    seed: int
    device: str = "cpu"
    metric: str | Metric = "average_precision"
    """What models that stop early look at."""
    n_threads: int = 1
    """Threads of one evaluation."""
    cache_bytes: int = 2**27
    """How much of its encoded rows a process keeps."""

    def can_stop(self, strategy: Strategy) -> bool:
        """Whether a strategy's model can stop by itself when time is up."""
        return bool(self.catalogue.get("family", strategy.family.name).within)

    def build(
        self,
        strategy: Strategy,
        y: NDArray[np.intp],
        seed: int,
        *,
        n_threads: int | None = None,
        whole: NDArray[np.intp] | None = None,
    ) -> Pipeline:
        """Return a strategy's unfitted pipeline for training rows of these labels."""
        return strategy.build(
            self.catalogue,
            self.table.schema,
            y,
            seed=seed,
            n_threads=self.n_threads if n_threads is None else n_threads,
            device=self.device,
            metric=self.metric,
            whole=whole,
        )

    def fold_seed(self, number: int) -> int:
        """Return the seed of one fold, the same for every strategy."""
        return (self.seed + number) % 2**31


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FoldResult:
    """One fold of one strategy: its out-of-fold scores, or why there are none."""

    number: int
    """Position of the fold among the problem's folds."""
    status: str
    """``"ok"``, ``"failed"``, ``"timeout"`` or ``"killed"``."""
    proba: NDArray[np.float64] | None = None  # (n_validation_rows, n_classes)
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    reason: str = ""
    cpu_seconds: float = 0.0
    """Processor time of everything, over all threads."""
    stages: tuple[tuple[int, NDArray[np.float64]], ...] = ()
    """For boosted models the scores after fewer rounds, and after all of them."""
    n_rounds: int | None = None
    """The number of rounds, where it was chosen among stages."""
    fitted_counts: tuple[int, ...] = ()
    """Rows of each class that the model was fitted on."""

    @property
    def seconds(self) -> float:
        """Seconds of the whole evaluation."""
        return self.fit_seconds + self.predict_seconds

    @property
    def scores(self) -> NDArray[np.float64]:
        """The class scores of a fold that was scored."""
        if self.proba is None:
            raise ValueError(f"fold {self.number} has no scores: {self.reason}")
        return self.proba

    def at_stage(self, n_rounds: int) -> FoldResult:
        """Return the result of the same model with so many rounds."""
        proba = dict(self.stages)[n_rounds]
        return replace(self, proba=proba, stages=(), n_rounds=n_rounds)


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Scores of rows by models that never saw them; a repeat adds an entry a row."""

    rows: NDArray[np.intp]
    y: NDArray[np.intp]
    proba: NDArray[np.float64]  # (n_entries, n_classes)
    weight: NDArray[np.float64]
    """Row weight over the number of entries of that row."""
    groups: NDArray[np.intp]
    """Entries to leave out together when something is cross-fitted on these."""

    @classmethod
    def of(cls, results: Sequence[FoldResult], problem: Problem) -> OutOfFold:
        """Return the scored rows of some folds."""
        scored = [result for result in results if result.proba is not None]
        rows = np.concatenate([problem.folds[r.number].val_idx for r in scored])
        n_rows = len(problem.table.y)
        n_entries = np.bincount(rows, minlength=n_rows)
        group_of_row = np.zeros(n_rows, dtype=np.intp)
        for number, fold in reversed(list(enumerate(problem.folds))):
            group_of_row[fold.val_idx] = number
        return cls(
            rows=rows,
            y=problem.table.y[rows],
            proba=np.concatenate([result.proba for result in scored]),
            weight=(problem.table.weights / n_entries.clip(1))[rows],
            groups=group_of_row[rows],
        )

    def by_row(self, proba: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
        """Return the mean of entries' values for each row, NaN where there is none."""
        total = np.zeros((n_rows, proba.shape[1]))
        np.add.at(total, self.rows, proba)
        n_entries = np.bincount(self.rows, minlength=n_rows)
        with np.errstate(invalid="ignore"):
            return total / n_entries[:, np.newaxis]


def evaluate(
    strategy: Strategy,
    number: int,
    problem: Shared,
    rung: Rung = ALL_ROWS,
    seconds: float | None = None,
) -> FoldResult:
    """Return the scores of one strategy on one fold's validation rows.

    Parameters
    ----------
    strategy : Strategy
        What to fit.
    number : int
        Position of the fold among the problem's folds.
    problem : Inline or Mapped
        Handle of the problem.
    rung : Rung, default=ALL_ROWS
        Which of the fold's training rows are seen. Validation rows always all are.
    seconds : float, default=None
        A model that can stop by itself does so after this time, as a ``"timeout"``.
    """
    shared: Problem = problem.get()
    started, cpu = time.perf_counter(), time.process_time()
    try:
        with warnings.catch_warnings():
            # Scores decide, not complaints about convergence or a constant column.
            warnings.simplefilter("ignore")
            result = _scored(strategy, number, shared, rung, seconds)
    except Exception as error:  # noqa: BLE001  a candidate's failure is a result
        status, reason = failure_reason(error)
        lasted = time.perf_counter() - started
        result = FoldResult(number, status, fit_seconds=lasted, reason=reason)
    return replace(result, cpu_seconds=time.process_time() - cpu)


def _scored(
    strategy: Strategy, number: int, problem: Problem, rung: Rung, seconds: float | None
) -> FoldResult:
    """Fit a strategy on the training rows and score the validation rows."""
    table = problem.table
    training = _Training.of(problem, number, rung, strategy)
    pipeline = problem.build(
        strategy, training.y, problem.fold_seed(number), whole=training.whole
    )
    fold, pipeline = training.encoded(strategy, pipeline)
    # The clock starts here: to load a library for the first time is nobody's fault.
    begun = time.perf_counter()
    counts = np.zeros(table.n_classes, dtype=int)
    fit = _counting(counts, _whole_fit(strategy, problem, seconds))
    fit_steps(pipeline, fold.train, training.y, training.weight, fit)
    fitted = time.perf_counter()
    family: Family = problem.catalogue.get("family", strategy.family.name)
    stages = _stages(family, strategy)
    probas = predict_stages(pipeline, fold.val, table.n_classes, family.staged, stages)
    return FoldResult(
        number,
        "ok",
        probas[-1],
        fitted - begun + fold.seconds,
        time.perf_counter() - fitted,
        stages=tuple(zip(stages, probas, strict=True)) if stages else (),
        fitted_counts=tuple(counts.tolist()),
    )


def _counting(counts: NDArray[np.intp], fit: FitModel) -> FitModel:
    """Return a fit that notes down the rows of each class that a model is given."""

    def noted(model: Any, X: Any, y: NDArray[np.intp], **weights: Any) -> None:
        counts[:] = np.bincount(y, minlength=len(counts))
        fit(model, X, y, **weights)

    return noted


@dataclass(frozen=True, slots=True, eq=False)
class _Training:
    """The training rows of a fold that a candidate sees."""

    problem: Problem
    number: int
    rung: Rung
    rows: NDArray[np.intp]
    y: NDArray[np.intp]
    weight: NDArray[np.float64] | None
    whole: NDArray[np.intp] | None
    """Class counts of the rows for which these stand; None where for themselves."""

    @classmethod
    def of(
        cls, problem: Problem, number: int, rung: Rung, strategy: Strategy
    ) -> _Training:
        """Return the rows of a fold on one rung.

        A sample stands for all rows by its weights. A strategy that cannot take them
        is fitted on the sample as if it were all there is.
        """
        table, rows = problem.table, problem.folds[number].train_idx
        y, weight = table.y[rows], table.sample_weight
        weight = None if weight is None else weight[rows]
        drawn = rung.draw(y, problem.fold_seed(number))
        if drawn is None:
            return cls(problem, number, rung, rows, y, weight, None)
        at, share = drawn
        weight = None if weight is None else weight[at]
        names = strategy.family.name, strategy.resampler.name
        if not problem.catalogue.takes_weights(*names):
            return cls(problem, number, rung, rows[at], y[at], weight, None)
        weight = share if weight is None else share * weight
        return cls(problem, number, rung, rows[at], y[at], weight, np.bincount(y))

    def encoded(
        self, strategy: Strategy, pipeline: Pipeline
    ) -> tuple[EncodedFold, Pipeline]:
        """Return the fold as the strategy reads it, and the steps that are left.

        What a model reads as the user wrote it is its own, to do with as it likes.
        """
        view = strategy.view(self.problem.catalogue)
        if view is None:
            return self._encode(None), pipeline
        encoder, rest = None, pipeline
        if pipeline.steps[0][0] == "encode":
            encoder, rest = pipeline[0], type(pipeline)(pipeline.steps[1:])
        key = (self.number, self.rung, view if encoder else None)
        kept = encoded_folds(self.problem, self.problem.cache_bytes)
        return kept.get(key, lambda: self._encode(encoder)), rest

    def _encode(self, encoder: Any) -> EncodedFold:
        """Return both parts of the fold, through an encoder fitted on the first."""
        X, val_idx = self.problem.table.X, self.problem.folds[self.number].val_idx
        train, val = take(X, self.rows), take(X, val_idx)
        if encoder is None:
            return EncodedFold(train, val, 0.0)
        started = time.perf_counter()
        train = encoder.fit_transform(train, self.y)
        seconds = time.perf_counter() - started
        return EncodedFold(train, encoder.transform(val), seconds)


def _whole_fit(strategy: Strategy, problem: Problem, seconds: float | None) -> FitModel:
    """Return how the model is fitted: in time and as a whole, or not at all."""
    within, started = _within(strategy, problem), time.perf_counter()
    if seconds is None or within is None:
        return fit_plainly

    def fit(model: Any, X: Any, y: NDArray[np.intp], **weights: Any) -> None:
        left = seconds - (time.perf_counter() - started)
        if not within(model, X, y, max(left, 0.0), **weights):
            raise TimeoutError

    return fit


def _within(strategy: Strategy, problem: Problem) -> Callable[..., bool] | None:
    """Return the function that stops a family's fit in time, if it can be stopped."""
    path = problem.catalogue.get("family", strategy.family.name).within
    return resolve(path) if path else None


def _stages(family: Family, strategy: Strategy) -> list[int]:
    """Return the numbers of rounds at which a boosted model is looked at."""
    if not family.staged:
        return []
    n_rounds = int(dict(strategy.family.params)[family.rounds])
    least = min(n_rounds, _LEAST_ROUNDS)
    return sorted({max(least, round(n_rounds * share)) for share in _STAGES})


def refit(
    strategy: Strategy,
    problem: Problem,
    *,
    n_threads: int = 1,
    seconds: float | None = None,
    encoded: EncodedRows | None = None,
) -> tuple[Pipeline, bool]:
    """Return the strategy's pipeline fitted on every row, and whether it is whole.

    A model that can stop by itself does so after `seconds`, with what it has by then;
    others are interrupted where that is possible, which raises `TimeoutError`. Refits
    that are given the same `encoded` share their fitted encoders.
    """
    table = problem.table
    pipeline = problem.build(strategy, table.y, problem.seed, n_threads=n_threads)
    within, is_whole = _within(strategy, problem), True
    started = time.perf_counter()

    def fit(model: Any, X: Any, y: NDArray[np.intp], **weights: Any) -> None:
        nonlocal is_whole
        if seconds is None or within is None:
            fit_plainly(model, X, y, **weights)
            return
        left = seconds - (time.perf_counter() - started)
        is_whole = within(model, X, y, max(left, 0.0), **weights)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patience = grace(seconds) if within and seconds is not None else seconds
        # Histogram boosting and linear algebra take no number of threads themselves.
        with interrupted_after(patience), threadpool_limits(n_threads):
            rest, X = _encoded_once(pipeline, strategy, problem, encoded)
            fit_steps(rest, X, table.y, table.sample_weight, fit)
    family: Family = problem.catalogue.get("family", strategy.family.name)
    if n_threads > 1 and family.takes.get("n_jobs") == "n_jobs":
        # To start threads for a few rows takes longer than to score them.
        pipeline[-1].set_params(n_jobs=1)
    return pipeline, is_whole


def _encoded_once(
    pipeline: Pipeline,
    strategy: Strategy,
    problem: Problem,
    encoded: EncodedRows | None,
) -> tuple[Pipeline, Any]:
    """Return the steps that are left and the rows, encoded if another did so before.

    The pipeline then holds the other's encoder: all of a view are fitted alike.
    """
    table, view = problem.table, strategy.view(problem.catalogue)
    if encoded is None or view is None or pipeline.steps[0][0] != "encode":
        return pipeline, table.X
    if view not in encoded:
        encoder = pipeline.steps[0][1]
        encoded[view] = encoder, encoder.fit_transform(table.X, table.y)
    encoder, X = encoded[view]
    pipeline.steps[0] = ("encode", encoder)
    return type(pipeline)(pipeline.steps[1:]), X


def fit_on_fold(strategy: Strategy, number: int, problem: Problem) -> Pipeline:
    """Return a strategy's pipeline fitted on the training rows of one fold."""
    training = _Training.of(problem, number, ALL_ROWS, strategy)
    pipeline = problem.build(strategy, training.y, problem.fold_seed(number))
    X = take(problem.table.X, training.rows)
    return fit_steps(pipeline, X, training.y, training.weight)


def grace(seconds: float) -> float:
    """Return when to end from outside what has some seconds to end by itself.

    To encode its rows, or to load its library, comes on top of a model's own time.
    """
    return _GRACE_SECONDS + _GRACE * seconds


def fit_plainly(model: Any, X: Any, y: NDArray[np.intp], **weights: Any) -> None:
    """Fit a model as it is."""
    model.fit(X, y, **weights)


def fit_steps(
    pipeline: Pipeline,
    X: Matrix,
    y: NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
    fit: FitModel = fit_plainly,
) -> Pipeline:
    """Fit a pipeline's steps in order and return it; `fit` does the last one.

    Unlike the pipeline's own ``fit``, row weights follow their rows through a sampler,
    and no sampler keeps the rows that it has seen: predicting does not ask it.
    """
    for name, step in pipeline.steps:
        if hasattr(step, "fit_resample"):
            sampler = clone(step)
            X, y = sampler.fit_resample(X, y)
            if sample_weight is not None:
                sample_weight = sample_weight[_chosen(sampler)]
        elif name != "model":
            X = step.fit_transform(X, y)
        else:
            given = (
                {} if sample_weight is None else {_weight_keyword(step): sample_weight}
            )
            fit(step, X, y, **given)
    return pipeline


def _chosen(sampler: Any) -> NDArray[np.intp]:
    """Return which rows a sampler chose, or raise for one that makes rows."""
    if not hasattr(sampler, "sample_indices_"):
        raise BadInputError(
            f"{type(sampler).__name__} does not say which rows it chose "
            "(sample_indices_), so the given sample_weight cannot follow them."
        )
    return np.asarray(sampler.sample_indices_)


def _weight_keyword(model: Any) -> str:
    """Return the fit keyword under which a model takes row weights."""
    if isinstance(model, Pipeline):
        return f"{model.steps[-1][0]}__sample_weight"
    return "sample_weight"


def predict_codes(
    pipeline: Pipeline,
    X: Matrix,
    n_classes: int,
    known: dict[int, Any] | None = None,
) -> NDArray[np.float64]:
    """Return class scores in code order; rows sum to one.

    `known` keeps what each step made of these rows, for pipelines that share steps.
    """
    model, X = pipeline.steps[-1][1], _as_read(pipeline, X, known)
    scores = forest_scores(model, X)
    if scores is None:
        scores = _class_scores(model, X)
    return _by_code(scores, model.classes_, n_classes)


def predict_stages(
    pipeline: Pipeline, X: Matrix, n_classes: int, staged: str, stages: Sequence[int]
) -> list[NDArray[np.float64]]:
    """Return class scores in code order after so many rounds, or the final ones."""
    if not stages:
        return [predict_codes(pipeline, X, n_classes)]
    model = pipeline.steps[-1][1]
    scores = resolve(staged)(model, _as_read(pipeline, X), stages)
    return [_by_code(of_stage, model.classes_, n_classes) for of_stage in scores]


def _as_read(pipeline: Pipeline, X: Matrix, known: dict[int, Any] | None = None) -> Any:
    """Return rows as the model reads them."""
    known = {} if known is None else known
    for _, step in pipeline.steps[:-1]:
        if hasattr(step, "fit_resample"):
            continue
        if id(step) not in known:
            known[id(step)] = step.transform(X)
        X = known[id(step)]
    return X


def _by_code(
    scores: NDArray[np.float64], classes: NDArray[np.intp], n_classes: int
) -> NDArray[np.float64]:
    """Return scores with a column for every class code; raise unless finite."""
    if not np.isfinite(scores).all():
        raise ValueError("the model's scores are not all finite")
    if scores.shape[1] == n_classes:
        return scores
    full = np.zeros((len(scores), n_classes))
    full[:, classes] = scores
    return full


def _class_scores(model: Any, X: Any) -> NDArray[np.float64]:
    """Return probabilities, or a strictly increasing map of decision values to them."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X), dtype=np.float64)
    decision = np.asarray(model.decision_function(X), dtype=np.float64)
    if decision.ndim == 1:
        positive = expit(decision)
        return np.column_stack([1 - positive, positive])
    return np.asarray(softmax(decision, axis=1))
