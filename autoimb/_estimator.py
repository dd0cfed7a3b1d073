"""`AutoImbalance`: the whole flow behind scikit-learn's interface."""

from __future__ import annotations

import warnings
from collections import Counter
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from autoimb._catalogue.ready import ready_family
from autoimb._columns import as_rows
from autoimb._data import Table, check_labels, check_table, codes_of
from autoimb._evaluate import Problem
from autoimb._execution import (
    Deadline,
    check_limits,
    open_executor,
    resolve_device,
    shared,
)
from autoimb._fitted import finish
from autoimb._folds import make_folds
from autoimb._guide import recommend
from autoimb._judge import Judge
from autoimb._metrics import Metric, resolve_metric
from autoimb._profile import profile_table
from autoimb._progress import progress_display
from autoimb._report.build import Evidence, build_report
from autoimb._search import Arena, SearchOutcome, search
from autoimb._select import LAST_STEPS_SECONDS, Selection, select
from autoimb._space import SearchSpace
from autoimb._threshold import resolve_threshold
from autoimb.exceptions import (
    AccuracyWarning,
    BadInputError,
    BudgetTooSmallWarning,
    NoCandidateError,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from autoimb._report import Report

_SHORT_SECONDS = 8.0  # below this, starting worker processes would eat the budget
_REPEATS_SHARE = 0.25  # of the budget, for scoring finalists on further repeats


class AutoImbalance(ClassifierMixin, BaseEstimator):
    """Find, fit and explain a strategy for classifying imbalanced data.

    The data are profiled, a decision flowchart suggests first candidates, and Optuna
    searches over model families, resamplers, class weights and losses with
    cross-validated scores. The winner is refitted on all rows, its probabilities are
    calibrated and its decision threshold is tuned on out-of-fold scores.

    Parameters
    ----------
    estimator : estimator or None, default=None
        A classifier or pipeline of your own. It is then the only model family: the
        search decides what to do about the imbalance around it. It reads X as you
        pass it.
    metric : str, FBeta or scorer, default="average_precision"
        What the search maximises: ``"average_precision"`` (PR-AUC), ``"roc_auc"``,
        ``"f1"``, ``"f1_macro"``, ``"f1_weighted"``, ``"mcc"``, ``"gmean"``,
        ``"balanced_accuracy"``, ``FBeta(beta)`` or a scikit-learn scorer (which sees
        labels as codes 0..k-1). Metrics of labels are taken at their best threshold.
    threshold : str, float, objective or None, default="f1"
        What the decision threshold maximises: the name of a label metric,
        ``FBeta(beta)``, ``Cost(fp=1, fn=50)``, ``PrecisionAtLeast(0.9)``,
        ``RecallAtLeast(0.8)``, ``TopK(500)`` or ``TopShare(0.01)``; or the threshold
        itself, from 0 to 1; or None for the most probable class.
    pos_label : label, default=None
        The class of interest when there are two. None means the rarer one.
    time_budget : float, "auto" or None, default="auto"
        Seconds that `fit` may take, refit and threshold included. ``"auto"`` is 60
        where `n_trials` is None, else no limit.
    n_trials : int or None, default=None
        Number of candidates to try. With no time budget the result depends on data,
        `random_state` and `n_trials` alone, not on `n_jobs`.
    families, resamplers, class_weights, losses : "auto", "all", str, object or list, \
default="auto"
        What each axis of the search may hold. "auto" is what paid off on real tables,
        "all" everything that fits the data; or names from `autoimb.catalogue`, ready
        estimators or samplers, and for `class_weights` a dict of label to weight.
        Doing nothing is always among the candidates.
    cv : int, splitter, iterable or None, default=None
        Cross-validation folds. None chooses their number by the minority rows, from 3
        folds on large tables to 8 folds with repeats on small ones.
    calibrate : bool, default=True
        Whether `predict_proba` is calibrated by a strictly increasing map, chosen on
        out-of-fold scores.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where XGBoost and the neural nets are fitted.
    n_jobs : int or None, default=None
        Worker processes. None is every CPU that this process may use, 1 runs in this
        process, -1 is every CPU.
    executor : concurrent.futures.Executor or None, default=None
        Where to run instead, for example ``dask_client.get_executor()``. It is
        neither cloned nor pickled.
    random_state : int, RandomState or None, default=None
        Seed of everything that is drawn.
    verbose : int, default=0
        1 shows a live progress display in a terminal or notebook.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    pos_label_ : label or None
        The class of interest; None for more than two classes.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, where X had any.
    profile_ : DatasetProfile
        What the data are like.
    recommendation_ : Recommendation
        What the flowchart advises, and why.
    leaderboard_ : DataFrame
        One row a candidate: rank, strategy, family, resampler, class_weight, loss,
        mean, se, folds, fit_seconds, status, reason.
    best_strategy_ : Strategy
        The winner; ``print`` shows it in words.
    best_score_ : float
        Its mean over folds and repeats: optimistic, as the best of many is.
    honest_score_ : HonestScore
        Bias-corrected estimate with an interval, the no-skill level, and the score of
        the best candidate without any handling.
    best_pipeline_ : Pipeline
        The winner as a plain pipeline, refitted on all rows. It predicts label codes
        0..k-1 and uncalibrated scores.
    ensemble_ : tuple of FittedMember
        Members of the winner with their weights and calibrations.
    threshold_ : float, ndarray of shape (n_classes,) or None
        Smallest calibrated probability of `pos_label_` that is called positive; for
        more classes, weights on the probabilities; None for the most probable class.
    threshold_raw_ : float or None
        The same cut on the score of `best_pipeline_`.
    threshold_interval_ : tuple of (float, float) or None
        5 to 95 % bootstrap range of the threshold.
    oof_proba_ : ndarray of shape (n_samples, n_classes)
        Calibrated out-of-fold probabilities, NaN for rows never validated.
    study_ : optuna.Study
        The search as Optuna saw it.

    See Also
    --------
    autoimb.profile : Look at a data set without fitting anything.
    autoimb.recommend : Ask the flowchart alone.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from autoimb import AutoImbalance
    >>> X, y = make_classification(300, weights=[0.9], random_state=0)
    >>> model = AutoImbalance(
    ...     n_trials=2, families="logistic_regression", n_jobs=1, random_state=0
    ... ).fit(X, y)
    >>> model.predict_proba(X).shape
    (300, 2)
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        metric: Any = "average_precision",
        threshold: Any = "f1",
        pos_label: Any = None,
        time_budget: float | str | None = "auto",
        n_trials: int | None = None,
        families: Any = "auto",
        resamplers: Any = "auto",
        class_weights: Any = "auto",
        losses: Any = "auto",
        cv: Any = None,
        calibrate: bool = True,
        device: str = "auto",
        n_jobs: int | None = None,
        executor: Executor | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.metric = metric
        self.threshold = threshold
        self.pos_label = pos_label
        self.time_budget = time_budget
        self.n_trials = n_trials
        self.families = families
        self.resamplers = resamplers
        self.class_weights = class_weights
        self.losses = losses
        self.cv = cv
        self.calibrate = calibrate
        self.device = device
        self.n_jobs = n_jobs
        self.executor = executor
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> AutoImbalance:
        """Search, choose, refit, calibrate and tune the threshold.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Numeric, boolean, datetime, categorical or text columns, with gaps. pandas,
            polars and pyarrow tables and NumPy arrays are read.
        y : array-like of shape (n_samples,)
            Labels of any hashable kind, two or more classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights, which enter fits, scores, calibration and threshold. Samplers
            that make new rows then leave the search.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are never split between training and validation.

        Returns
        -------
        AutoImbalance
            The fitted estimator.

        Raises
        ------
        BadInputError
            If X, y or a parameter cannot be used; the message says what to do.
        NoCandidateError
            If every candidate failed.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from autoimb import AutoImbalance
        >>> X, y = load_iris(return_X_y=True)
        >>> model = AutoImbalance(
        ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
        ... )
        >>> model.fit(X[:120], y[:120]).classes_
        array([0, 1, 2])
        """
        clock = Deadline(check_limits(self.time_budget, self.n_trials))
        table = self._check(X, y, sample_weight=sample_weight, groups=groups)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        metric = self._resolve_metric(table)
        aim = resolve_threshold(self.threshold, table.n_classes, table.pos)
        with open_executor(self.executor, self._n_workers(clock)) as executor:
            self.profile_ = profile_table(table)
            self.recommendation_ = recommend(self.profile_)
            space = SearchSpace.fitting(self.profile_, table, self._wishes())
            problem = self._problem(X, table, space, seed)
            judge = Judge.of(metric, table, problem.folds, seed)
            with shared(problem, executor) as handle:
                arena = Arena(problem, handle, judge, executor)
                outcome = self._search(space, arena, clock)
                selection = self._select(space, outcome, arena, clock)
        evidence = Evidence(
            profile=self.profile_,
            recommendation=self.recommendation_,
            space=space,
            problem=problem,
            judge=judge,
            outcome=outcome,
            selection=selection,
            finished=finish(selection, problem, aim, calibrated=self.calibrate),
            aim=aim,
        )
        return self._keep(evidence)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels at the tuned threshold.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Columns as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels from `classes_`.
        """
        proba = self.predict_proba(X)
        codes = self._threshold.apply(proba)
        return self.classes_[codes]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return calibrated class probabilities.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Columns as in `fit`. Unseen categories, gaps and constant columns are
            handled.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to one.
        """
        check_is_fitted(self)
        rows = as_rows(X)
        validate_data(self, rows, skip_check_array=True, reset=False)
        return self._model.proba(self._schema.canonical(rows))

    def score(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the search metric on new data, labels taken at the tuned threshold.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Columns as in `fit`.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights.

        Returns
        -------
        float
            The larger, the better.
        """
        proba = self.predict_proba(X)
        codes = codes_of(check_labels(y), self.classes_)
        weights = np.ones(len(codes)) if sample_weight is None else sample_weight
        scores = resolve_metric(self.metric, len(self.classes_)).score_many(
            codes,
            proba,
            np.asarray(weights, dtype=np.float64)[np.newaxis],
            pos=self._pos,
            y_pred=self._threshold.apply(proba),
        )
        return float(scores[0])

    def report(self) -> Report:
        """Return the strategy report: what was tried, what won, why, what it bought.

        Returns
        -------
        Report
            ``report.save("x.html")``, also ``.md`` and ``.json``; shows itself in a
            notebook.
        """
        from autoimb._report import Report

        check_is_fitted(self)
        return Report(self._report_data)

    def save(self, path: str | Path) -> None:
        """Save the fitted model, its out-of-fold scores and its report.

        The file is read by `autoimb.load`. It holds no pickle: skops checks every type
        on loading. The Optuna study is left out.

        Parameters
        ----------
        path : str or Path
            Where to write; ``model.skops`` by custom.
        """
        from autoimb._persist import save

        check_is_fitted(self)
        save(self, path)

    def _check(self, X: Any, y: Any, **extra: Any) -> Table:
        """Return the checked table and keep what scikit-learn keeps of X."""
        rows = as_rows(X)
        validate_data(self, rows, skip_check_array=True)
        return check_table(rows, y, pos_label=self.pos_label, **extra)

    def _resolve_metric(self, table: Table) -> Metric:
        """Return the search metric; warn where it cannot see a rare class."""
        metric = resolve_metric(self.metric, table.n_classes)
        if metric.name == "accuracy":
            share = table.class_counts.max() / len(table.y)
            warnings.warn(
                f"always answering with the majority class scores {share:.3f} accuracy "
                "here; 'average_precision', 'mcc' or 'f1_macro' see the rare class.",
                AccuracyWarning,
                stacklevel=3,
            )
        return metric

    def _wishes(self) -> dict[str, Any]:
        """Return what the user asked for on each axis."""
        families = self.families
        if self.estimator is not None:
            if not (isinstance(families, str) and families == "auto"):
                raise BadInputError(
                    "estimator= and families= exclude each other: put the estimator "
                    "into families=[...] to let it compete with others."
                )
            families = [ready_family(self.estimator, "estimator", view=None)]
        return {
            "family": families,
            "loss": self.losses,
            "resampler": self.resamplers,
            "class_weight": self.class_weights,
        }

    def _problem(self, X: Any, table: Table, space: SearchSpace, seed: int) -> Problem:
        """Return what every evaluation shares."""
        folds = make_folds(table, self.cv, random_state=seed)
        if self.estimator is not None:
            table = table.with_rows_as_given(X)
        device = resolve_device(self.device)
        metric = resolve_metric(self.metric, table.n_classes)
        return Problem(table, space.catalogue, folds, seed, device, metric)

    def _n_workers(self, clock: Deadline) -> int | None:
        """Return the number of workers: one where starting more is not worth it."""
        too_short = clock.seconds is not None and clock.seconds < _SHORT_SECONDS
        return 1 if too_short else self.n_jobs

    def _search(
        self, space: SearchSpace, arena: Arena, clock: Deadline
    ) -> SearchOutcome:
        """Return what the search found in its share of the budget."""
        has_repeats = any(fold.repeat > 0 for fold in arena.problem.folds)
        held_back = LAST_STEPS_SECONDS
        if has_repeats:
            held_back += _REPEATS_SHARE * (clock.seconds or 0.0)
        label = arena.judge.metric.label
        with progress_display(self.verbose, label, space.label) as show:
            return search(
                space,
                space.first_trials(self.recommendation_),
                arena=arena,
                clock=clock,
                n_trials=self.n_trials,
                held_back=held_back,
                on_progress=show,
            )

    def _select(
        self,
        space: SearchSpace,
        outcome: SearchOutcome,
        arena: Arena,
        clock: Deadline,
    ) -> Selection:
        """Return the winner; without any, the cheapest model if only time lacked."""
        if outcome.complete:
            # After Ctrl-C no further repeats: whoever pressed it wants the model now.
            rest = Deadline(0.0) if outcome.was_interrupted else clock
            return select(outcome.complete, arena, rest)
        if outcome.was_interrupted:
            raise KeyboardInterrupt
        tried = [r for r in outcome.records if r.status != "duplicate"]
        failed = [r.reason for r in tried if r.status in ("failed", "killed")]
        if failed and len(failed) == len(tried):
            raise NoCandidateError(_commonest(failed))
        cheapest = space.portfolio()[0]
        warnings.warn(
            f"time_budget={self.time_budget} ended before any candidate was complete: "
            f"{space.label(cheapest)} was fitted with its defaults, its threshold "
            "tuned on the training rows. Give more time.",
            BudgetTooSmallWarning,
            stacklevel=3,
        )
        return Selection.unscored(cheapest)

    def _settings(self, metric: Metric) -> dict[str, str]:
        """Return what was asked for, in words."""
        seconds = check_limits(self.time_budget, self.n_trials)
        return {
            "search metric": metric.label,
            "time budget": "none" if seconds is None else f"{seconds:g} s",
            "trials": "no limit" if self.n_trials is None else str(self.n_trials),
            "random state": str(self.random_state),
        }

    def _keep(self, seen: Evidence) -> AutoImbalance:
        """Set the fitted attributes and return self."""
        table, model, winner = seen.problem.table, seen.finished.model, seen.selection
        self.classes_, self._pos, self._schema = table.classes, table.pos, table.schema
        self.pos_label_ = None if table.pos is None else table.classes[table.pos]
        self._model, self._threshold = model, model.threshold
        self.study_ = seen.outcome.study
        self.leaderboard_ = seen.leaderboard
        self.best_strategy_ = winner.winner.strategy
        self.best_score_ = winner.winner.mean
        self.honest_score_ = seen.honest
        self.best_pipeline_ = model.members[0].pipeline
        self.ensemble_ = model.members
        self.threshold_ = model.threshold.value
        self.threshold_raw_ = model.raw_cut
        self.threshold_interval_ = model.threshold_interval
        self.oof_proba_ = seen.finished.oof_proba(len(table.y))
        code = f"from autoimb import AutoImbalance\n\nmodel = {self!r}.fit(X, y)"
        settings = self._settings(seen.judge.metric)
        self._report_data = build_report(seen, settings=settings, code=code)
        return self

    def __sklearn_clone__(self) -> AutoImbalance:
        """Return a clone that shares the executor: it cannot be copied."""
        bare = copy(self)
        bare.executor = None
        cloned: AutoImbalance = BaseEstimator.__sklearn_clone__(bare)
        cloned.executor = self.executor
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the executor, which belongs to this process."""
        return {**super().__getstate__(), "executor": None}

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn should know of this estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _commonest(reasons: list[str]) -> str:
    """Return the message for a search in which every candidate failed."""
    top = [f"{n} × {reason}" for reason, n in Counter(reasons).most_common(3)]
    return (
        f"all {len(reasons)} candidates failed. The commonest reasons: "
        f"{'; '.join(top)}."
    )
