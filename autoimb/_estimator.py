"""`AutoImbalance`: the whole flow behind scikit-learn's interface."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from autoimb._again import fit_again, known_to
from autoimb._arena import Arena, Limits
from autoimb._clock import Deadline, check_limits
from autoimb._columns import as_rows
from autoimb._committee import most_members
from autoimb._data import Table, check_labels, check_table, codes_of
from autoimb._decision import Decision, asked_threshold
from autoimb._evaluate import Problem
from autoimb._execution import open_executor, shared
from autoimb._export import code_of, script_of
from autoimb._fitted import finish
from autoimb._folds import make_folds
from autoimb._guide import recommend
from autoimb._judge import Judge
from autoimb._machine import (
    SHORT_SECONDS,
    Layout,
    free_memory,
    resolve_device,
    resolve_n_jobs,
)
from autoimb._metrics import Metric, resolve_metric
from autoimb._profile import profile_table
from autoimb._progress import call_callbacks, progress_display
from autoimb._report.build import (
    build_report,
    refitted,
    settings_of,
    with_decision,
)
from autoimb._report.evidence import Evidence
from autoimb._report.probes import with_probes
from autoimb._search import search
from autoimb._select import Selection, last_seconds, reserve
from autoimb._space import SearchSpace, wishes_of
from autoimb._standin import chosen
from autoimb._study import Ledger, fingerprint_of, resolve_storage, shown
from autoimb._threshold import resolve_threshold
from autoimb.exceptions import (
    AccuracyWarning,
    BadInputError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from autoimb._catalogue import Catalogue
    from autoimb._fitted import Finished, FittedModel
    from autoimb._objectives import Objective
    from autoimb._report import Report, ReportData
    from autoimb._threshold import Threshold
    from autoimb._trials import Progress, SearchOutcome

_FAST_COST = 1.0  # relative cost of the families that so little time is spent on
_CACHE_BYTES = 2**27  # of encoded rows that a worker keeps
_FREE_SHARE = 0.8  # of the memory that is free, for all workers together


class AutoImbalance(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
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
        pass it, and the classes as codes 0..k-1; weights by class in it go by label.
    metric : str, FBeta or scorer, default="average_precision"
        What the search maximises: ``"average_precision"`` (PR-AUC), ``"roc_auc"``,
        ``"f1"``, ``"f1_macro"``, ``"f1_weighted"``, ``"mcc"``, ``"gmean"``,
        ``"balanced_accuracy"``, ``FBeta(beta)`` or a scikit-learn scorer (which sees
        labels as codes 0..k-1). Metrics of labels are taken at their best threshold.
    threshold : str, float, objective or None, default="f1"
        What the decision threshold maximises: the name of a label metric,
        ``FBeta(beta)``, ``Cost(fp=1, fn=50)``, ``PrecisionAtLeast(0.9)``,
        ``RecallAtLeast(0.8)``, ``TopK(500)`` or ``TopShare(0.01)``; or the threshold
        itself, from 0 to 1; or None for the most probable class. ``"cost"`` is the
        lowest of the `costs` given to `fit`. `set_threshold` changes it later.
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
    ensemble_size : int or "auto", default="auto"
        How many candidates the winner may be the mean of, each weighed by how far it
        is behind the best. "auto" is up to 12, or 1 where `estimator` is given; 1 is
        the best single candidate. The mean is taken where it scores better, and with
        few rows of the rarest class unless it is clearly worse.
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
    storage : str, BaseStorage or None, default=None
        Where the search is kept, as an Optuna storage or its URL such as
        ``"sqlite:///search.db"``. Each finished trial is written as it ends, its
        out-of-fold scores into a folder beside the database (``search.db.oof``; for a
        database server ``autoimb.oof`` in the working directory). A later `fit` on the
        same data goes on from there: what is known is not fitted again, `n_trials`
        counts it, and `time_budget` starts anew.
    study_name : str or None, default=None
        Name of the search in the storage; None is ``"autoimb"``.
    random_state : int, RandomState or None, default=None
        Seed of everything that is drawn.
    verbose : int, default=0
        1 shows a live progress display in a terminal or notebook. scikit-learn's
        callbacks work too: ``AutoImbalance().set_callbacks(ProgressBar())``.

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
        The best single candidate; ``print`` shows it in words.
    best_score_ : float
        Its mean over folds and repeats: optimistic, as the best of many is.
    honest_score_ : HonestScore
        Bias-corrected estimate with an interval, the no-skill level, and the score of
        the best candidate without any handling.
    best_pipeline_ : Pipeline
        The best single candidate as a plain pipeline, refitted on all rows. It
        predicts label codes 0..k-1 and uncalibrated scores.
    ensemble_ : tuple of FittedMember
        What predicts: candidates with their weights and calibrations, the best single
        one first.
    threshold_ : float, ndarray of shape (n_classes,) or None
        Smallest calibrated probability of `pos_label_` that is called positive; for
        more classes, weights on the probabilities; None for the most probable class.
    threshold_raw_ : float or None
        The same cut on what `best_pipeline_` answers: its probability, or the logistic
        function of its decision value where it has none. None where it is not alone.
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

    _report_data: ReportData
    _given: tuple[tuple[str, ...], ...]

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
        ensemble_size: int | str = "auto",
        calibrate: bool = True,
        device: str = "auto",
        n_jobs: int | None = None,
        executor: Executor | None = None,
        storage: Any = None,
        study_name: str | None = None,
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
        self.ensemble_size = ensemble_size
        self.calibrate = calibrate
        self.device = device
        self.n_jobs = n_jobs
        self.executor = executor
        self.storage = storage
        self.study_name = study_name
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        costs: ArrayLike | None = None,
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
        costs : array-like of shape (n_samples, n_classes), default=None
            What it costs to call each row each of the classes, in the order of
            `classes_`; right answers usually cost 0. Labels are then chosen for the
            lowest mean cost: leave `threshold` as it is, or set it to ``"cost"``. The
            search does not look at them.

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
        StorageMismatchError
            If `storage` holds a search of this name on other data, or by another
            version.

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
        size = most_members(self.ensemble_size, is_given=self.estimator is not None)
        table = self._check(
            X, y, sample_weight=sample_weight, groups=groups, costs=costs
        )
        metric = self._resolve_metric(table)
        asked = asked_threshold(self.threshold, has_costs=costs is not None)
        aim = resolve_threshold(
            asked, table.n_classes, table.pos, has_costs=costs is not None
        )
        layout = self._layout(table, clock)
        with open_executor(self.executor, layout) as executor:
            self.profile_ = profile_table(table)
            self.recommendation_ = recommend(self.profile_)
            space = SearchSpace.fitting(
                self.profile_, table, wishes_of(self.get_params(deep=False))
            )
            problem = self._problem(X, table, space.catalogue, layout)
            judge = Judge.of(metric, table, problem.folds, problem.seed)
            ledger = self._ledger(problem, space)
            with shared(problem, executor) as handle:
                arena = Arena(problem, handle, judge, executor)
                outcome = self._search(space, arena, ledger, clock, size)
                selection = chosen(space, outcome, arena, clock, size=size)
        ledger.update(selection.finalists)
        finished = self._finish(selection, problem, aim, clock)
        evidence = Evidence(
            profile=self.profile_,
            recommendation=self.recommendation_,
            space=space,
            problem=problem,
            judge=judge,
            outcome=outcome,
            selection=finished.selection,
            finished=finished,
            decision=Decision.of(finished, table, asked, problem.seed),
        )
        return self._keep(evidence)

    def refit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        costs: ArrayLike | None = None,
    ) -> AutoImbalance:
        """Fit what was chosen on other rows, without a search.

        Members and their weights stay; they are cross-validated on these rows for
        calibration and threshold, and fitted on all of them. `leaderboard_`,
        `honest_score_` and what the report says of the search stay those of `fit`.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            All rows to learn from, the old ones too if they still hold; columns as in
            `fit`.
        y : array-like of shape (n_samples,)
            Their labels: the classes of `fit`.
        sample_weight, groups, costs : array-like, default=None
            As in `fit`.

        Returns
        -------
        AutoImbalance
            The estimator itself. What `set_prior` expects, it still does.

        Raises
        ------
        BadInputError
            If X or y do not fit what was seen before.
        NoCandidateError
            If a chosen strategy cannot be fitted on these rows.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(600, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=2, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X[:300], y[:300])
        >>> model.refit(X, y).oof_proba_.shape
        (600, 2)
        """
        check_is_fitted(self)
        asked = asked_threshold(self._decision.asked, has_costs=costs is not None)
        given = {"sample_weight": sample_weight, "groups": groups, "costs": costs}
        with self._arena_of(X, y, Deadline(None), **given) as arena:
            table, seed = arena.problem.table, arena.problem.seed
            finished = fit_again(
                self.ensemble_,
                arena,
                resolve_threshold(
                    asked, table.n_classes, table.pos, has_costs=costs is not None
                ),
                calibrated=self.calibrate,
                n_threads=resolve_n_jobs(self.n_jobs),
            )
        decision = Decision.of(finished, table, asked, seed)
        if self._decision.shift is not None:
            decision = decision.expecting(self._decision.shift.after)
        self._schema, self._given = table.schema, (self._given[0], table.given)
        self._take(finished, len(table.y))
        self._report_data = refitted(self._report_data, finished, table)
        return self._decide(decision)

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

    def set_threshold(self, threshold: Any) -> AutoImbalance:
        """Choose the threshold anew, from the out-of-fold scores and with no refit.

        The model is then as if it had been fitted with this `threshold`.

        Parameters
        ----------
        threshold : str, float, objective or None
            As the parameter `threshold`; ``"cost"`` for the `costs` given to `fit`.

        Returns
        -------
        AutoImbalance
            The estimator itself; its parameter `threshold` is set, too.

        Raises
        ------
        BadInputError
            If `threshold` cannot be used; the model is then as it was.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance, RecallAtLeast
        >>> X, y = make_classification(300, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X, y)
        >>> n_alerts = model.predict(X).sum()
        >>> bool(model.set_threshold(RecallAtLeast(0.9)).predict(X).sum() > n_alerts)
        True
        """
        check_is_fitted(self)
        decision = self._decision.aiming_at(threshold)
        self.threshold = threshold
        return self._decide(decision)

    def set_prior(self, prior: Any) -> AutoImbalance:
        r"""Expect another class distribution than that of the training table.

        Probabilities are corrected, and the threshold is tuned for the new shares; one
        that you fixed as a number stays. There is no refit. Where a class becomes more
        or less frequent, but its rows stay as they are, the corrected probabilities are
        those of the new distribution.

        Parameters
        ----------
        prior : float, dict, array-like of shape (n_classes,) or None
            For two classes the expected share of `pos_label_`, between 0 and 1. Else a
            dict of label to share, or shares in the order of `classes_`, which sum to
            one. None undoes it.

        Returns
        -------
        AutoImbalance
            The estimator itself. A later `fit` or a clone knows nothing of it.

        Raises
        ------
        BadInputError
            If `prior` cannot be used; the model is then as it was.

        Notes
        -----
        With the weighted class shares of the training table [1]_,

        .. math:: p'_k \propto p_k \, prior'_k / prior_k.

        The scores of the search and `honest_score_` stay those of the table.

        References
        ----------
        .. [1] Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(300, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X, y)
        >>> before = model.predict_proba(X)[:, 1]
        >>> bool((model.set_prior(0.01).predict_proba(X)[:, 1] < before).all())
        True
        """
        check_is_fitted(self)
        return self._decide(self._decision.expecting(prior))

    def report(
        self,
        X: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        groups: Any = None,
        time_budget: float | None = 30.0,
    ) -> Report:
        """Return the strategy report: what was tried, what won, why, what it bought.

        With the training table it also says what more rows of the rare class would buy
        and what each column is worth, which takes further fits of the best single
        strategy. Both stay part of the report, also when the model is saved.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features), default=None
            The rows of `fit`; None reports what is known, at once.
        y : array-like of shape (n_samples,), default=None
            Their labels.
        sample_weight, groups : array-like, default=None
            As in `fit`.
        time_budget : float or None, default=30.0
            Seconds for the further fits; None for no limit.

        Returns
        -------
        Report
            ``report.save("x.html")``, also ``.md`` and ``.json``; shows itself in a
            notebook.

        Raises
        ------
        BadInputError
            If X or y do not fit what was seen before.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(300, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=2, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X, y)
        >>> model.report().data.growth is None
        True
        >>> len(model.report(X, y).data.growth.points)
        5
        """
        from autoimb._report import Report

        check_is_fitted(self)
        if X is not None:
            clock, known = Deadline(time_budget), self._report_data
            given = {"sample_weight": sample_weight, "groups": groups}
            with self._arena_of(X, y, clock, **given) as arena:
                strategy = self.best_strategy_
                self._report_data = with_probes(known, strategy, arena, clock)
        return Report(self._report_data)

    def export_code(self) -> str:
        """Return the winner as plain code that fits and predicts without autoimb.

        The script defines ``fit(X, y)``, which returns the fitted pipelines of the
        winner, ``predict(pipelines, X)`` and ``predict_proba(pipelines, X)``. It reads
        pandas and NumPy tables; fitted on the same training table, it predicts as this
        model does.

        Returns
        -------
        str
            Python code on scikit-learn, imbalanced-learn and what else the winner is
            made of; calibration, class shares and threshold are its constants.

        Raises
        ------
        BadInputError
            If an object of your own cannot be written as code; the message names it.

        Notes
        -----
        Losses, nets, ensembles and samplers that only autoimb has are imported from
        it, and a comment at the top of the script says which. Class weights and the
        rows that a sampler aims at are numbers that suit the training table. A winner
        whose refit was cut short by `time_budget` is fitted as a whole.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(300, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X, y)
        >>> script = {}
        >>> exec(model.export_code(), script)
        >>> pipelines = script["fit"](X, y)
        >>> bool((script["predict"](pipelines, X) == model.predict(X)).all())
        True
        """
        check_is_fitted(self)
        return script_of(self._model, self._schema, self._decision)

    def save(self, path: str | Path) -> None:
        """Save the fitted model, its out-of-fold scores and its report.

        The file is read by `autoimb.load`. It holds no pickle: every type is checked
        on loading. The Optuna study is left out, and so is the folder where a pipeline
        of your own caches fits.

        Parameters
        ----------
        path : str or Path
            Where to write; ``model.skops`` by custom. An earlier file is replaced once
            all is written.

        Raises
        ------
        OSError
            If the file cannot be written; an earlier one is as it was.
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
                stacklevel=4,
            )
        return metric

    def _problem(
        self, X: Any, table: Table, catalogue: Catalogue, layout: Layout
    ) -> Problem:
        """Return what every evaluation shares."""
        seed = self._seed()
        folds = make_folds(table, self.cv, random_state=seed)
        if self.estimator is not None:
            table = table.with_rows_as_given(X)
        return Problem(
            table,
            catalogue,
            folds,
            seed,
            device=resolve_device(self.device),
            metric=resolve_metric(self.metric, table.n_classes),
            n_threads=layout.n_threads,
            cache_bytes=_CACHE_BYTES,
        )

    def _seed(self) -> int:
        """Return the seed of everything; a stored search without one keeps its own."""
        storage = resolve_storage(self.storage, self.study_name)
        if storage is not None and self.random_state is None:
            known = storage.seed()
            if known is not None:
                return known
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    @contextmanager
    def _arena_of(
        self, X: Any, y: Any, clock: Deadline, **of_rows: Any
    ) -> Iterator[Arena]:
        """Yield rows like those of `fit` with their folds and workers."""
        rows = as_rows(X)
        validate_data(self, rows, skip_check_array=True, reset=False)
        table = check_table(rows, y, pos_label=self.pos_label_, **of_rows)
        if not np.array_equal(table.classes, self.classes_):
            raise BadInputError(
                f"y holds the classes {table.classes.tolist()}, and fit saw "
                f"{self.classes_.tolist()}: call fit for other classes."
            )
        layout = self._layout(table, clock)
        catalogue = known_to(self._catalogue or self._wished(table), self.ensemble_)
        problem = self._problem(X, table, catalogue, layout)
        metric = resolve_metric(self.metric, table.n_classes)
        judge = Judge.of(metric, table, problem.folds, problem.seed)
        with (
            open_executor(self.executor, layout) as executor,
            shared(problem, executor) as handle,
        ):
            yield Arena(problem, handle, judge, executor)

    def _wished(self, table: Table) -> Catalogue:
        """Return the catalogue with the user's own objects, as `fit` made it."""
        wishes = wishes_of(self.get_params(deep=False))
        return SearchSpace.fitting(self.profile_, table, wishes).catalogue

    def _layout(self, table: Table, clock: Deadline) -> Layout:
        """Return how many fits run at once, with how many threads."""
        n_cells = len(table.y) * len(table.schema.columns)
        return Layout.suiting(resolve_n_jobs(self.n_jobs), n_cells, clock.seconds)

    def _ledger(self, problem: Problem, space: SearchSpace) -> Ledger:
        """Return the study to go on with, or a new one."""
        storage = resolve_storage(self.storage, self.study_name)
        return Ledger.open(storage, fingerprint_of(problem, space), problem.seed)

    def _search(
        self,
        space: SearchSpace,
        arena: Arena,
        ledger: Ledger,
        clock: Deadline,
        size: int,
    ) -> SearchOutcome:
        """Return what the search found in its share of the budget."""
        first, n_trials = space.first_trials(self.recommendation_), self.n_trials
        if clock.seconds is not None and clock.seconds < SHORT_SECONDS:
            first = space.cheaper_than(_FAST_COST, first)
            n_trials = min(n_trials or len(first), len(first))
        limits = Limits(
            clock=clock,
            n_trials=n_trials,
            reserve=partial(reserve, arena=arena, clock=clock, size=size),
            # Somebody else's executor may be on another machine.
            memory=inf if self.executor else _FREE_SHARE * free_memory(),
        )
        label = arena.judge.metric.label
        with (
            progress_display(self.verbose, label, space.label) as show,
            call_callbacks(self, n_trials) as call,
        ):

            def watch(progress: Progress) -> bool:
                show(progress)
                return call(progress)

            return search(
                space,
                first,
                arena=arena,
                ledger=ledger,
                limits=limits,
                on_progress=watch,
            )

    def _finish(
        self,
        selection: Selection,
        problem: Problem,
        aim: Threshold | Objective,
        clock: Deadline,
    ) -> Finished:
        """Return the winner refitted, calibrated and with its threshold, in time."""
        seconds, n_threads = None, 1
        if clock.seconds is not None:
            seconds = max(1.0, clock.remaining - last_seconds(problem))
            n_threads = resolve_n_jobs(self.n_jobs)
        finished = finish(
            selection,
            problem,
            aim,
            calibrated=self.calibrate,
            n_threads=n_threads,
            seconds=seconds,
        )
        if setback := finished.setback:
            warnings.warn(
                setback.story(self.time_budget), setback.category, stacklevel=4
            )
        return finished

    def _keep(self, seen: Evidence) -> AutoImbalance:
        """Set the fitted attributes and return self."""
        table, model, winner = seen.problem.table, seen.finished.model, seen.selection
        self._catalogue: Catalogue | None = seen.space.catalogue
        self.classes_, self._pos, self._schema = table.classes, table.pos, table.schema
        pos, self._given = table.pos, (table.given,)
        self.pos_label_: Any = None if pos is None else table.classes[pos]
        self.study_ = seen.outcome.study
        self.leaderboard_ = seen.leaderboard
        self.best_strategy_ = winner.winner.strategy
        self.best_score_ = winner.winner.mean
        self.honest_score_ = seen.honest
        self._take(seen.finished, len(table.y))
        self._set_decision(seen.decision, model)
        settings = settings_of(self.get_params(deep=False), seen.judge.metric)
        self._report_data = build_report(seen, settings=settings, code=self._code())
        return self

    def _take(self, finished: Finished, n_rows: int) -> None:
        """Set the attributes that hold what predicts."""
        self._model = finished.model
        self.ensemble_ = finished.model.members
        self.best_pipeline_ = self.ensemble_[0].pipeline
        self.oof_proba_ = finished.oof_proba(n_rows)

    def _decide(self, decision: Decision) -> AutoImbalance:
        """Take another decision about the same scores, and return self."""
        model = replace(
            self._model,
            threshold=decision.rule,
            threshold_interval=decision.interval,
            shift=decision.shift,
        )
        self._set_decision(decision, model)
        self.oof_proba_ = decision.oof_proba(self.oof_proba_)
        self._report_data = with_decision(self._report_data, decision, self._code())
        return self

    def _set_decision(self, decision: Decision, model: FittedModel) -> None:
        """Set the attributes that speak of the threshold."""
        self._decision, self._model, self._threshold = decision, model, model.threshold
        self.threshold_ = model.threshold.value
        self.threshold_raw_ = model.raw_cut
        self.threshold_interval_ = model.threshold_interval

    def _code(self) -> str:
        """Return Python that makes this model again."""
        idle = set() if self._decision.needs_costs else {"costs"}
        given = [[name for name in of if name not in idle] for of in self._given]
        bare = copy(self)
        bare.storage = shown(self.storage)
        return self._decision.code(code_of(bare, given))

    def __sklearn_clone__(self) -> AutoImbalance:
        """Return a clone that shares the executor: it cannot be copied."""
        bare = copy(self)
        bare.executor = None
        cloned: AutoImbalance = BaseEstimator.__sklearn_clone__(bare)
        cloned.executor = self.executor
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without what belongs to this process."""
        state = {**super().__getstate__(), "executor": None}
        return state | ({"_catalogue": None} if "_catalogue" in state else {})

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn should know of this estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags
