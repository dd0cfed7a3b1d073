"""`AutoImbalance`: the whole flow, with the interface of a scikit-learn classifier."""

from __future__ import annotations

import copyreg
import shutil
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from dataclasses import replace
from html import escape
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from autoimb._catalogue.user_objects import is_object_to_clone
from autoimb._compat import CallbackSupportMixin, with_callbacks
from autoimb._evaluate.context import EvaluationContext
from autoimb._evaluate.kept_models import ModelFolder
from autoimb._evaluate.problem import Problem, resolve_seed
from autoimb._evaluate.scoring import Scoring
from autoimb._execution.ctrl_c import CtrlC, heard_ctrl_c
from autoimb._execution.deadline import (
    Deadline,
    check_seconds,
    resolve_time_budget,
)
from autoimb._execution.opening import open_executor
from autoimb._execution.process_settings import limited_threads
from autoimb._execution.resources import (
    SHORT_BUDGET_S,
    Layout,
    check_memory,
    choose_layout,
    resolve_device,
    resolve_n_jobs,
)
from autoimb._execution.shared_data import private_folder
from autoimb._export import fit_code, prediction_script
from autoimb._fit.decision import check_threshold
from autoimb._fit.final_fit import check_final_fit
from autoimb._fit.finish import finish
from autoimb._fit.prediction_sets import prediction_sets
from autoimb._fit.refit_on_new_rows import refit_members
from autoimb._fit.replace_fold_models import with_refits
from autoimb._metrics.scorers import ScorerMetric, UserLabels, resolve_metric
from autoimb._monitor.reference import Reference
from autoimb._report.build import (
    build_report,
    settings_of,
    with_decision,
    with_model,
    with_refit,
)
from autoimb._report.extra_sections import with_extra_sections
from autoimb._report.fit_results import FitResults
from autoimb._search.fidelity import affordable_folds
from autoimb._search.fingerprint import fingerprint_of
from autoimb._search.progress import (
    call_callbacks,
    progress_display,
    stage_display,
)
from autoimb._search.search import search
from autoimb._search.study import (
    StudyRecords,
    resolve_storage,
    without_password,
)
from autoimb._search.study_lock import only_search
from autoimb._search.trials import from_columns, to_columns
from autoimb._select.ensemble import resolve_ensemble_size
from autoimb._select.fallback import select_or_fall_back
from autoimb._select.predict_limit import check_max_predict_ms
from autoimb._select.time_reserve import LastSteps, TimeReserve, affordable_size
from autoimb._strategy.search_space import SearchSpace, requested_entries
from autoimb._table.columns import as_rows, bytes_as_floats
from autoimb._table.folds import make_folds
from autoimb._table.known_table import (
    check_same_columns,
    check_same_table,
    marks_of,
)
from autoimb._table.profile import profile_table
from autoimb._table.table import (
    check_labels,
    check_lengths,
    check_table,
    check_weights,
    codes_of,
)
from autoimb.exceptions import (
    AccuracyWarning,
    AutoImbWarning,
    BadInputError,
    LeakWarning,
    LeftOutWarning,
    is_whole,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    import pandas as pd
    from distributed import Client
    from numpy.typing import ArrayLike, NDArray

    from autoimb._catalogue import Catalogue
    from autoimb._catalogue.entry import Domain
    from autoimb._execution.executors import LimitedExecutor
    from autoimb._fit.decision import Decision
    from autoimb._fit.finish import FittedSelection
    from autoimb._fit.fitted_model import FittedModel
    from autoimb._metrics.metrics import Metric
    from autoimb._monitor.render import MonitorReport
    from autoimb._report import Report, ReportData
    from autoimb._search.trials import Progress, SearchOutcome
    from autoimb._select.selection import Selection
    from autoimb._strategy.strategy import Strategy
    from autoimb._table.profile import DatasetProfile
    from autoimb._table.table import Table

_FAST_COST = 1.0  # relative cost of the families that so little time is spent on
_CACHE_BYTES = 2**27  # of encoded rows that a worker keeps
_FITTED_PRIVATE = {
    *("_pos", "_schema", "_catalogue", "_row_arguments", "_table_marks"),
    *("_model", "_decision", "_report_data", "_leaderboard", "_reference"),
}
"""Fitted attributes whose names do not end in an underscore."""
_DISK_SHARE = 0.1  # of the free disk, for fold models


class AutoImbalance(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """Find, fit and explain a strategy for classifying imbalanced data.

    The data are profiled, a decision flowchart suggests first candidates, and Optuna
    searches over model families, resamplers, class weights and losses with
    cross-validated scores. The winner is refitted on all rows, or the models of its
    folds predict where time is short; its probabilities are calibrated and its decision
    threshold is tuned on out-of-fold scores.

    Parameters
    ----------
    estimator : estimator or None, default=None
        A classifier or pipeline of your own. It is then the only model family, and the
        search decides which resampler and class weights it gets. It is fitted on X
        as you pass it and on label codes 0..k-1; class weights inside it go by label.
        A resampler stands before the last step of a pipeline; a model that resamples
        or weighs its classes already keeps that, and gets nothing on top of it.
    search_params : mapping from parameter name to Float, Int or Categorical, \
default=None
        Parameters of `estimator` that are tuned along, such as
        ``{"clf__max_depth": Int(2, 12)}``. Its own values are tried first where they
        lie within the bounds.
    metric : str, FBeta or scorer, default="average_precision"
        What the search maximises: ``"average_precision"`` (PR-AUC), ``"roc_auc"``,
        ``"f1"``, ``"f1_macro"``, ``"f1_weighted"``, ``"mcc"``, ``"gmean"``,
        ``"balanced_accuracy"``, ``FBeta(beta)``, another name of scikit-learn's
        scorers for classification, or a scorer, which sees the labels of `y`. Metrics
        and scorers of labels are taken at their best threshold. A scorer that takes
        ``pos_label``, and was made without, gets that of this model.
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
        The choices on each axis of the search. "auto" is what paid off on real tables,
        "all" is everything that fits the data. Else names from `autoimb.catalogue`,
        estimators or resamplers of your own, and for `class_weights` a dict of label
        to weight. The baseline, which does nothing about the imbalance, is always
        among the candidates.
    cv : int, splitter, iterable or None, default=None
        Cross-validation folds. None chooses their number by the minority rows, from 3
        folds on large tables to 8 folds with repeats on small ones; fewer where
        `time_budget` is short for the table. An iterable numbers
        all rows that are passed to `fit`; a splitter sees those of positive weight.
    ensemble_size : int or "auto", default="auto"
        The most members of an ensemble, which is the weighted mean of several
        candidates; the weight falls with the distance to the best. "auto" is 12, or 1
        if `estimator` is given; 1 is the best single candidate. The ensemble is taken
        if it scores better than that candidate; with few rows of the smallest class it
        is taken unless it is clearly worse.
    calibrate : bool, default=True
        Whether `predict_proba` is calibrated by a strictly increasing map, chosen on
        out-of-fold scores.
    final_fit : "auto" or bool, default="auto"
        Whether the members that predict are fitted on all rows in the end. True: they
        are. False: the mean of a member's fold models predicts, which takes no time in
        `fit`; but there are as many models as folds, for every prediction and in every
        saved file. "auto": on all rows where `time_budget` leaves the seconds for it,
        else the fold models. Without a time budget it is the same as True.
    max_predict_ms : float or None, default=None
        Milliseconds that the prediction of one row may take on this machine. It is
        measured while candidates are judged: those that take longer alone take no part
        in the choice, and an ensemble has no more members than there is time for. If
        nothing is that quick, the quickest of the best candidates is taken, with a
        warning. It needs a `time_budget`, since the result depends on measured time.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where XGBoost and the neural nets are fitted.
    n_jobs : int or None, default=None
        Worker processes. None is what ``joblib.parallel_config(n_jobs=...)`` says, or
        every CPU that this process may use; 1 runs in this process, -1 is every CPU.
    executor : dask.distributed.Client, Executor, str or None, default=None
        Where to run the fits instead: a Dask cluster, by a client, its
        ``get_executor()`` or ``"dask:tcp://..."`` with the address of a scheduler; or
        any executor of `concurrent.futures`. None inside
        ``joblib.parallel_config("dask")`` is that cluster. If an executor breaks,
        `n_jobs` worker processes take its place; if it is closed, the search ends with
        what is complete. A clone shares it, and a pickle leaves it out.
    storage : str, BaseStorage or None, default=None
        Where the search is kept, as an Optuna storage or its URL such as
        ``"sqlite:///search.db"``. Each finished trial is written as it ends, its
        out-of-fold scores into a folder beside the database (``search.db.oof``; for a
        database server ``autoimb.oof`` in the working directory). A later `fit` on the
        same data goes on from there: what is known is not fitted again, `n_trials`
        counts it, and `time_budget` starts anew. One `fit` at a time may search a
        study.
    study_name : str or None, default=None
        Name of the search in the storage; None is ``"autoimb"``.
    random_state : int, RandomState or None, default=None
        Seed of everything that is drawn. None takes another one in every fit, and not
        from NumPy's global generator: ``np.random.seed`` has no effect.
    verbose : int, default=0
        1 shows a live progress display of the search, and what is being done after it,
        in a terminal or notebook. scikit-learn's callbacks work too:
        ``AutoImbalance().set_callbacks(ProgressBar())``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted. A class of one row is among them: no model is fitted on
        it, and its probability is its share of the rows.
    pos_label_ : label or None
        The class of interest; None for more than two classes.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, where X had any.
    profile_ : DatasetProfile
        What the data are like.
    recommendation_ : Recommendation
        What the flowchart advises, and why.
    leaderboard_ : DataFrame
        One row for each candidate: rank, strategy, family, resampler, class_weight,
        loss, mean, se, folds, rows (training rows of a fold), fit_seconds, status,
        reason. Finalists come first, by
        their means over all repeats; those of the others are over the first repeat.
        What was asked for by name and does not suit is at the end, as ``"left out"``.
    best_strategy_ : Strategy
        The best single candidate; ``print`` shows it in words.
    best_score_ : float
        Its mean over folds and repeats: optimistic, as the best of many is.
    honest_score_ : HonestScore
        Bias-corrected estimate with an interval, the no-skill level, and the score of
        the best candidate without any handling.
    best_pipeline_ : Pipeline or VotingClassifier
        The best single candidate as a pipeline of scikit-learn or imbalanced-learn,
        fitted on all rows; where its fold models predict, their soft vote. It predicts
        label codes 0..k-1 and uncalibrated scores. Classes of one row have no code.
    ensemble_ : tuple of FittedMember
        The members whose weighted mean predicts, with their weights and calibrations:
        the best single candidate first, alone or with others.
    threshold_ : float, ndarray of shape (n_classes,) or None
        Smallest calibrated probability of `pos_label_` that is called positive; for
        more classes, weights on the probabilities; None for the most probable class.
    threshold_raw_ : float or None
        The threshold that gives the same labels on the scores of `best_pipeline_`: its
        probability, or the logistic function of its decision value if it has none.
        None for an ensemble.
    threshold_interval_ : tuple of (float, float) or None
        5 to 95 % bootstrap range of the threshold.
    oof_proba_ : ndarray of shape (n_samples, n_classes)
        Calibrated out-of-fold probabilities, NaN for rows never validated, such as
        those of weight 0.
    study_ : optuna.Study
        The study in which Optuna kept the search.
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        What each column is worth, once ``report(X, y)`` has measured it: the average
        precision that the best single strategy loses on rows that it was not trained on
        when the column is shuffled among them. It says what this model uses, and
        columns that tell the same share their worth.

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
    _row_arguments: tuple[tuple[str, ...], ...]
    """Names of the arguments beside X and y: of `fit`, and of the last `refit`."""
    _table_marks: dict[str, Any]
    """By what the table of the last `fit` or `refit` is known again."""
    _reference: Reference
    """How its columns are distributed; models of earlier versions have none."""

    def __init__(
        self,
        estimator: Any = None,
        *,
        search_params: Mapping[str, Domain] | None = None,
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
        final_fit: bool | str = "auto",
        max_predict_ms: float | None = None,
        device: str = "auto",
        n_jobs: int | None = None,
        executor: Executor | Client | str | None = None,
        storage: Any = None,
        study_name: str | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.search_params = search_params
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
        self.final_fit = final_fit
        self.max_predict_ms = max_predict_ms
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
        """Search, select, refit, calibrate and tune the threshold.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Numeric, boolean, datetime, categorical or text columns, with gaps. pandas,
            polars and pyarrow tables and NumPy arrays are read, and sparse matrices of
            SciPy. These have no gaps; above a million cells they are kept sparse, by
            the models that can read them so.
        y : array-like of shape (n_samples,)
            Labels of any hashable kind, two or more classes. A class of one row is set
            aside with a `LeftOutWarning`.
        sample_weight : array-like of shape (n_samples,), default=None
            How important each row is: only the ratios count, and rows of weight 0 are
            as good as absent. Weights enter fits, scores, calibration and threshold;
            numbers of rows, such as those of ``TopK``, are counted without them.
            Resamplers that make new rows are left out of the search.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are never split between training and validation. Weights
            and groups may also be frames of one column.
        costs : array-like of shape (n_samples, n_classes), default=None
            What it costs to call each row each of the classes, in the order of
            `classes_`; columns of a frame are taken by the names of the classes. Right
            answers usually cost 0. Labels are then chosen for the lowest mean cost:
            leave `threshold` as it is, or set it to ``"cost"``. The search does not
            look at them.

        Returns
        -------
        AutoImbalance
            The fitted estimator.

        Raises
        ------
        BadInputError
            If X, y or a parameter cannot be used; the message says what to do.
        NoCandidateError
            If every candidate failed, or the executor was closed before one was
            complete.
        StorageMismatchError
            If `storage` holds a search of this name on other data or by another
            version, or if a file of it is damaged.
        StudyInUseError
            If another `fit`, in any process, is searching the same study.

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
        self._forget_fit()
        rows_of = {"sample_weight": sample_weight, "groups": groups, "costs": costs}
        try:
            with heard_ctrl_c() as ctrl_c:
                return self._fit(X, y, ctrl_c, **rows_of)
        except BaseException:
            self._forget_fit()
            raise

    def _fit(self, X: Any, y: Any, ctrl_c: CtrlC, **rows_of: Any) -> AutoImbalance:
        """Run all steps of `fit`."""
        requested = requested_entries(self.get_params(deep=False))
        deadline = Deadline(resolve_time_budget(self.time_budget, self.n_trials))
        check_max_predict_ms(self.max_predict_ms, deadline)
        size = resolve_ensemble_size(
            self.ensemble_size, has_estimator=self.estimator is not None
        )
        table = self._check(X, y, self.pos_label, reset=True, **rows_of)
        metric = self._check_metric(table)
        threshold = check_threshold(self.threshold, table)
        refits = check_final_fit(self.final_fit) is not False
        layout = self._layout(table, deadline)
        storage = resolve_storage(self.storage, self.study_name)
        with (
            only_search(storage),
            open_executor(self.executor, layout) as executor,
        ):
            profile = _profiled(table)
            space = SearchSpace.for_data(profile, table, requested)
            for entry in space.left_out:
                warn(entry.message, LeftOutWarning)
            recommendation = space.advise(profile)
            most = self._most_folds(
                space, table, executor.n_workers or layout.n_workers, deadline
            )
            problem = self._problem(
                X, table, space.catalogue, executor.n_threads, metric, most_folds=most
            )
            size = affordable_size(problem, size, deadline)
            study_records = self._open_study(problem, space)
            with _evaluation_context(problem, metric, executor) as context:
                first = space.first_trials(recommendation)
                reserve = TimeReserve(context, deadline, size, refits=refits)
                outcome = self._search(space, first, study_records, reserve)
                ctrl_c.is_postponed = True
                with stage_display(self.verbose, "comparing the best candidates"):
                    selection = select_or_fall_back(space, outcome, reserve)
                    study_records.update(selection.finalists)
                with stage_display(self.verbose, "fitting the winner"):
                    finished = self._finish(
                        selection,
                        problem,
                        threshold,
                        deadline,
                        was_interrupted=outcome.was_interrupted or ctrl_c.was_pressed,
                    )
        return self._set_fitted(
            FitResults(
                profile=profile,
                recommendation=recommendation,
                space=space,
                problem=problem,
                scoring=context.scoring,
                outcome=outcome,
                selection=finished.selection,
                finished=finished,
                decision=finished.decision,
                deadline=deadline,
            )
        )

    def refit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        costs: ArrayLike | None = None,
    ) -> AutoImbalance:
        """Fit the selected strategies on other rows, without a search.

        Members and their weights stay; they are cross-validated on these rows for
        calibration and threshold, and fitted on all of them. `leaderboard_`,
        `honest_score_` and what the report says of the search stay those of `fit`.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            All rows to fit on, those of `fit` too if they are still valid. Columns have
            the names of `fit` and hold the same: numbers, text, dates or times of day.
            A column that was constant in `fit`, or is now, may hold anything.
        y : array-like of shape (n_samples,)
            Their labels: the classes of `fit`.
        sample_weight, groups, costs : array-like, default=None
            As in `fit`. If `fit` or a refit was given groups, these rows need theirs.

        Returns
        -------
        AutoImbalance
            The estimator itself. The class distribution of `set_prior` still applies.

        Raises
        ------
        BadInputError
            If X, y or groups do not fit what was seen before. After any error the model
            is as it was.
        NoCandidateError
            If a selected strategy cannot be fitted on these rows.

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
        if groups is None and any("groups" in names for names in self._row_arguments):
            raise BadInputError(
                "fit, or the last refit, was given groups, and this refit is not: rows "
                "of one group would be split between training and validation. Pass the "
                "groups of these rows."
            )
        rows_of: dict[str, Any] = {
            "sample_weight": sample_weight,
            "groups": groups,
            "costs": costs,
        }
        with self._context_of(X, y, Deadline(None), **rows_of) as context:
            table = context.problem.table
            if table.set_aside:
                warn(table.set_aside.message, LeftOutWarning)
            marks, reference = marks_of(table), Reference.of(table)
            finished = refit_members(
                self.ensemble_,
                context,
                check_threshold(self._decision.requested, table),
                calibrates_output=self.calibrate,
                final_fit=check_final_fit(self.final_fit),
                n_threads=resolve_n_jobs(self.n_jobs),
            )
        decision = finished.decision
        if self._decision.shift is not None:
            decision = decision.for_prior(self._decision.prior)
        report = with_refit(self._report_data, finished, table)
        with self._as_before_on_error():
            self._schema, self._table_marks = table.schema, marks
            self._reference = reference
            self._row_arguments = (self._row_arguments[0], table.given.arguments)
            self._set_model(finished.model, decision, table.given.n_rows)
            self._report_data = with_decision(report, decision, self._code())
        return self

    def predict(self, X: Any, *, costs: ArrayLike | None = None) -> NDArray[Any]:
        r"""Return labels at the tuned threshold, or those of the lowest expected cost.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Columns as in `fit`.
        costs : array-like of shape (n_samples, n_classes), default=None
            What it costs to call each row each of the classes by mistake, in the order
            of `classes_`; right answers cost nothing. Or of shape (n_samples,
            n_classes, n_classes): ``costs[n, i, j]`` is what it costs to call row n
            class j when it is of class i. Each row gets the label of the lowest
            expected cost by its calibrated probabilities; the threshold is not used.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels from `classes_`.

        Raises
        ------
        BadInputError
            If `costs` do not fit the rows, or if the probabilities are not calibrated.

        Notes
        -----
        With probabilities :math:`p_{ni}`, row n gets the label j that minimises
        :math:`c_{nj} (1 - p_{nj})` or :math:`\sum_i p_{ni} c_{nij}` [1]_.

        References
        ----------
        .. [1] Elkan 2001, "The foundations of cost-sensitive learning", IJCAI.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(300, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X, y)
        >>> miss, false_alert = 10 * np.arange(300), np.full(300, 50)
        >>> labels = model.predict(X, costs=np.column_stack([miss, false_alert]))
        """
        proba = self._proba_of_searched(X)
        if costs is None:
            labels: NDArray[Any] = self._decision.classes[
                self._model.threshold.apply(proba)
            ]
        elif self.calibrate:
            proba = self._decision.set_aside.add_columns(proba)
            labels = self.classes_[self._decision.cheapest(proba, costs)]
        else:
            raise BadInputError(
                "costs= needs calibrated probabilities, and this model was fitted with "
                "calibrate=False: fit it with calibrate=True."
            )
        return labels

    def top(self, X: Any, k: int) -> NDArray[np.intp]:
        """Return the positions of the k rows that are the most probable positives.

        Unlike the threshold of `TopK`, which counts rows of the training table, this
        picks k rows of the batch that is passed.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Columns as in `fit`.
        k : int
            How many rows, 1 or more; of a smaller batch all of them.

        Returns
        -------
        ndarray of shape (min(k, n_samples),)
            Positions in X, the most probable row first; rows of equal probability in
            their order in X.

        Raises
        ------
        BadInputError
            If there are more than two classes, or `k` is no whole number from 1 on.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(300, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X, y)
        >>> X[model.top(X, 5)].shape
        (5, 20)
        """
        check_is_fitted(self)
        if self._pos is None:
            raise BadInputError(
                f"top(X, k) needs two classes, and y had {len(self.classes_)}: sort a "
                "column of predict_proba(X) instead."
            )
        if not is_whole(k) or k < 1:
            raise BadInputError(f"{k=} must be a whole number from 1 on.")
        score = self.predict_proba(X)[:, self._pos]
        return np.argsort(-score, kind="stable")[:k]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return calibrated class probabilities.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Columns as in `fit`. Unseen categories, gaps and constant columns are
            handled. What cannot be read as the kind of `fit`, such as a word among
            dates, is a `BadInputError`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to one.
        """
        searched = self._proba_of_searched(X)
        return self._decision.set_aside.add_columns(searched)

    def _proba_of_searched(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of the classes that are not set aside."""
        check_is_fitted(self)
        rows = as_rows(X)
        validate_data(self, rows, skip_check_array=True, reset=False)
        return self._model.proba(self._schema.canonical(rows))

    @property
    def leaderboard_(self) -> pd.DataFrame:
        """One row for each candidate, finalists first; a new frame each time."""
        check_is_fitted(self, "_leaderboard")
        return from_columns(self._leaderboard)

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Permutation importances by column, once ``report(X, y)`` has measured them.

        By how much average precision falls when the column is shuffled among rows that
        the best single strategy was not trained on, as the mean over folds: shape
        (`n_features_in_`,). A constant column has 0, and one that `report` had no time
        for NaN.
        """
        check_is_fitted(self)
        drops = {column.name: column.drop for column in self._report_data.features}
        if not drops:
            raise AttributeError(
                "feature_importances_ need further fits: call report(X, y) with the "
                "training table first, and they are there."
            )
        return np.array(
            [
                0.0 if column.kind == "constant" else drops.get(column.name, np.nan)
                for column in self._schema.columns
            ]
        )

    def score(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the search metric on new data, labels taken at the tuned threshold.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Columns as in `fit`.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights.

        Returns
        -------
        float
            The score; larger is better.
        """
        searched = self._proba_of_searched(X)
        set_aside = self._decision.set_aside
        proba = set_aside.add_columns(searched)
        codes = codes_of(check_labels(y), self.classes_)
        weight = np.ones(len(codes))
        if sample_weight is not None:
            weight = check_weights(sample_weight)
        others = set_aside.others(len(self.classes_))
        rarer = None
        if set_aside and len(others) == 2:
            rarer = int(others[self._decision.class_counts.argmin()])
        labels = UserLabels(self.classes_, self._pos, rarer)
        check_lengths(y=codes, sample_weight=weight)
        metric = resolve_metric(self.metric, len(self.classes_), labels)
        y_pred = others[self._model.threshold.apply(searched)]
        score = metric.score_many(
            codes, proba, weight[np.newaxis], pos=self._pos, y_pred=y_pred
        )[0]
        if score == -inf:
            why = metric.failure(codes, proba, weight, pos=self._pos, y_pred=y_pred)
            raise BadInputError(f"{why}.")
        return float(score)

    def set_threshold(self, threshold: Any) -> AutoImbalance:
        """Choose another threshold on the out-of-fold scores, without a refit.

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
        decision = self._decision.for_threshold(threshold)
        with self._as_before_on_error():
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
            The estimator itself. A later `fit` or a clone does not keep the prior.

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
        decision = self._decision.for_prior(prior)
        with self._as_before_on_error():
            return self._decide(decision)

    def monitor(self, X: Any, y: ArrayLike | None = None) -> MonitorReport:
        r"""Return whether the model still holds on rows that came after `fit`.

        Without labels: how many rows are called positive, the shares of the classes and
        the precision and recall to expect at them, and which columns and scores changed
        by more than these shares explain. With labels also: the score, the calibration
        and the threshold against what the fit promised, and whether a refit is worth
        it.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Rows as they come to the model now, columns as in `fit`. A few hundred or
            more say most.
        y : array-like of shape (n_samples,), default=None
            Their labels, missing where they are not known yet.

        Returns
        -------
        MonitorReport
            ``report.save("monitor.html")``, also ``.md`` and ``.json``; shows itself in
            a notebook. ``model.set_prior(report.prior)`` adapts the model where only
            the shares of the classes moved.

        Raises
        ------
        BadInputError
            If the rows cannot be read, if y holds labels that `fit` did not see, or if
            the model has no out-of-fold scores or was saved by an earlier version.

        Notes
        -----
        The shares of the classes are those of the greatest likelihood under label
        shift, by the probabilities p at the training shares π [1]_,

        .. math:: π'_k = mean_i \frac{p_{ik} π'_k / π_k}{\sum_j p_{ij} π'_j / π_j},

        with bootstrap intervals, and by the confusion matrix as a check [2]_. Columns
        are compared with the mixture of the classes of the training table, of which the
        model keeps counts by column and class, and no row. P-values are adjusted for
        the number of columns [3]_.

        References
        ----------
        .. [1] Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446.
        .. [2] Lipton, Wang & Smola 2018, arXiv:1802.03916.
        .. [3] Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(1500, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X[:900], y[:900])
        >>> report = model.monitor(X[900:])
        >>> report.only_shares_moved
        True
        >>> bool(0.05 < report.prior < 0.2)
        True
        """
        from autoimb._monitor.build import Deployed, monitor

        check_is_fitted(self)
        if not hasattr(self, "_reference"):
            raise BadInputError(
                "an earlier version of autoimb saved this model, without the counts by "
                "column and class that monitor needs: call refit(X, y) with the "
                "training table, or fit again."
            )
        rows = as_rows(X)
        validate_data(self, rows, skip_check_array=True, reset=False)
        labels = UserLabels(self.classes_, self._pos)
        outcome = self._report_data.outcome
        deployed = Deployed(
            model=self._model,
            decision=self._decision,
            schema=self._schema,
            reference=self._reference,
            metric=resolve_metric(self.metric, len(self.classes_), labels),
            honest=self.honest_score_,
            name=str(self.best_strategy_) if outcome is None else outcome.winner,
        )
        return monitor(deployed, rows, y)

    def predict_sets(self, X: Any, coverage: Any = 0.9) -> NDArray[np.bool_]:
        r"""Return sets of classes that hold the true one with a coverage by class.

        A row whose set holds one class only is surely of it; if it holds several, or
        none since the row is unlike each class, a person should look. Of the rows of
        each class, the share `coverage` has it in its set, however rare the class is or
        becomes.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Columns as in `fit`.
        coverage : float or dict of label to float, default=0.9
            The share of the rows of each class whose set holds the class, between 0 and
            1. A class of n rows can be left out of sets only up to a coverage of n / (n
            + 1): with nine rows and 0.95, all sets hold it.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Whether each class is in the set of each row, in the order of `classes_`. A
            class of one row, which is set aside, is in no set.

        Raises
        ------
        BadInputError
            If `coverage` cannot be used, or the model has no out-of-fold scores.

        Notes
        -----
        Class k is in the set of x if

        .. math:: \frac{1 + \#\{i : y_i = k, \hat p_k(x_i) \le \hat p_k(x)\}}{1 + n_k}
            > 1 - coverage

        over the out-of-fold probabilities of its training rows: class-conditional
        conformal prediction [1]_ [2]_. Its coverage would be exact if one model had
        scored all rows, and new rows of the class were like those of the training
        table. The out-of-fold rows were scored by fold models, as in cross-conformal
        prediction, for which 1 - 2 (1 - coverage) is proven and about `coverage` is
        observed [3]_ [4]_. The model that predicts was fitted on more rows than they
        were, so that sets tend to hold a little more than asked. Where rows belong to
        groups, the share is one of rows of new groups on average.

        References
        ----------
        .. [1] Vovk 2012, arXiv:1209.2673.
        .. [2] Ding et al. 2023, arXiv:2306.09335.
        .. [3] Vovk 2015, doi:10.1007/s10472-013-9368-4.
        .. [4] Barber, Candès, Ramdas & Tibshirani 2021, doi:10.1214/20-AOS1965.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(600, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X[:400], y[:400])
        >>> sets = model.predict_sets(X[400:], coverage=0.9)
        >>> sure = sets.sum(axis=1) == 1
        >>> bool(sets[:, 1][y[400:] == 1].mean() > 0.8)
        True
        """
        check_is_fitted(self)
        rows = as_rows(X)
        validate_data(self, rows, skip_check_array=True, reset=False)
        proba = replace(self._model, shift=None).proba(self._schema.canonical(rows))
        return prediction_sets(self._decision, proba, coverage)

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

        With the training table it also says how much more rows of the rare class would
        improve the score and how much each column contributes to it, which takes
        further fits of the best single strategy. Both stay part of the report, also
        when the model is saved.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix, default=None
            The rows of the last `fit` or `refit`, in their order; None reports what is
            known, at once.
        y : array-like of shape (n_samples,), default=None
            Their labels.
        sample_weight, groups : array-like, default=None
            Those that `fit` or `refit` was given.
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
            If it is another table than that of the last `fit` or `refit`; the message
            says what differs.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance
        >>> X, y = make_classification(300, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=2, families="logistic_regression", n_jobs=1, random_state=0
        ... ).fit(X, y)
        >>> model.report().data.learning_curve is None
        True
        >>> len(model.report(X, y).data.learning_curve.points)
        5
        """
        from autoimb._report import Report

        check_is_fitted(self)
        if X is not None:
            deadline = Deadline(check_seconds(time_budget))
            rows_of = {"sample_weight": sample_weight, "groups": groups}
            with self._context_of(
                X, y, deadline, self._table_marks, **rows_of
            ) as context:
                self._report_data = with_extra_sections(
                    self._report_data, self.best_strategy_, context, deadline
                )
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
            If an object of your own cannot be written as code; the message names it. If
            the model was fitted on samples of the rows (column `rows` of
            `leaderboard_`), for lack of time.

        Notes
        -----
        Losses, nets, ensembles and resamplers that only autoimb has are imported from
        it, and a comment at the top of the script says which. Class weights and the
        numbers of rows that a resampler makes are those of the training table. Where
        fold models predict (see `final_fit`), or the refit was stopped early by
        `time_budget`, the script fits the whole pipeline on all rows.

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
        return prediction_script(self._model, self._schema, self._decision)

    def save(
        self,
        path: str | Path,
        X: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        groups: Any = None,
    ) -> None:
        """Save the fitted model, its out-of-fold scores and its report.

        The file is read by `autoimb.load`. It holds no pickle: every type is checked
        on loading. The Optuna study is left out, and so is the folder where a pipeline
        of your own caches fits.

        Parameters
        ----------
        path : str or Path
            Where to write; ``model.skops`` by custom. An earlier file is replaced once
            all is written.
        X : DataFrame or array-like of shape (n_samples, n_features), default=None
            The rows of the last `fit` or `refit`, in their order. Members that predict
            by fold models are first fitted on all of them, in this model too: the file
            is then smaller and a prediction faster. Calibration and threshold stay, and
            so do the fold models of members that were scored on samples of the rows.
        y : array-like of shape (n_samples,), default=None
            Their labels.
        sample_weight, groups : array-like, default=None
            Those that `fit` or `refit` was given.

        Raises
        ------
        OSError
            If the file cannot be written; an earlier one is as it was.
        BadInputError
            If labels or parameters are of a kind that `autoimb.load` would refuse, such
            as a generator of folds; or if X is another table than that of the last
            `fit` or `refit`.

        Warns
        -----
        AutoImbWarning
            If fold models predict for lack of time, and no X is given to replace them.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> from sklearn.datasets import make_classification
        >>> from autoimb import AutoImbalance, load
        >>> X, y = make_classification(300, weights=[0.9], random_state=0)
        >>> model = AutoImbalance(
        ...     n_trials=1,
        ...     families="logistic_regression",
        ...     final_fit=False,
        ...     n_jobs=1,
        ...     random_state=0,
        ... ).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "model.skops"
        ...     model.save(path, X, y)
        ...     len(load(path).ensemble_[0].pipelines)
        1
        """
        from autoimb._persist.saved_model import save

        check_is_fitted(self)
        if (X is None) != (y is None):
            missing = "y, its labels," if y is None else "X, the training table,"
            raise BadInputError(
                f"save(path, X, y) needs {missing} too: pass both, or neither to save "
                "the model as it is."
            )
        by_folds = [member for member in self.ensemble_ if member.lacks_refit]
        if by_folds and X is not None:
            self._replace_fold_models(X, y, sample_weight=sample_weight, groups=groups)
        elif by_folds and self.final_fit is not False:
            warn(
                f"{len(by_folds)} of {len(self.ensemble_)} members predict by the "
                "models of all folds: the file is larger and a prediction slower. "
                "save(path, X, y) with the training table fits them on all rows first.",
                AutoImbWarning,
            )
        save(self, path)

    def _replace_fold_models(self, X: Any, y: Any, **rows_of: Any) -> None:
        """Fit the members on all rows of the table that is known from `fit`."""
        marks = self._table_marks
        with self._context_of(X, y, Deadline(None), marks, **rows_of) as context:
            model = with_refits(
                self._model, context.problem, resolve_n_jobs(self.n_jobs)
            )
        with self._as_before_on_error():
            self._set_model(model, self._decision, len(self.oof_proba_))
            self._report_data = with_model(self._report_data, model)

    def _forget_fit(self) -> None:
        """Delete all fitted attributes; scikit-learn's callbacks stay set."""
        for name in list(vars(self)):
            is_public = name.endswith("_") and not name.startswith("_")
            if is_public or name in _FITTED_PRIVATE:
                delattr(self, name)

    @contextmanager
    def _as_before_on_error(self) -> Iterator[None]:
        """Put back all attributes if the block fails."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _check(
        self, X: Any, y: Any, pos_label: Any, *, reset: bool, **rows_of: Any
    ) -> Table:
        """Return the checked table; `reset` sets the names and number of columns."""
        check_memory(bytes_as_floats(X))
        rows = as_rows(X)
        validate_data(self, rows, skip_check_array=True, reset=reset)
        seen = None if reset else self._schema
        return check_table(rows, y, pos_label=pos_label, seen=seen, **rows_of)

    def _metric_for(self, table: Table) -> Metric:
        """Return the search metric: that of several classes if one is set aside."""
        rarer = table.minority if table.set_aside and table.n_classes == 2 else None
        labels = UserLabels(table.classes, table.pos, rarer)
        return resolve_metric(self.metric, len(table.all_classes), labels)

    def _check_metric(self, table: Table) -> Metric:
        """Return the search metric; warn if it cannot see a rare class."""
        metric = self._metric_for(table)
        if metric.name == "accuracy":
            share = table.class_weights.max() / table.weights.sum()
            warn(
                f"always answering with the majority class scores {share:.3f} accuracy "
                "here; 'average_precision', 'mcc' or 'f1_macro' see the rare class.",
                AccuracyWarning,
            )
        return metric

    def _layout(self, table: Table, deadline: Deadline) -> Layout:
        """Return how many fits run at once, and with how many threads."""
        # Of a sparse matrix, the size is the number of stored cells.
        n_cells = int(table.X.size)
        return choose_layout(
            resolve_n_jobs(self.n_jobs), n_cells, deadline.time_limit_s
        )

    def _calibrates(self, metric: Metric) -> bool:
        """Whether probabilities are calibrated before anything depends on them."""
        return self.calibrate and not isinstance(metric, ScorerMetric)

    def _most_folds(
        self, space: SearchSpace, table: Table, n_workers: int, deadline: Deadline
    ) -> int | None:
        """Return the most folds that there is time for.

        In a storage, a later search with more time must find the same folds.
        """
        limit = deadline if self.storage is None else Deadline(None)
        families = space.names["family"]
        return affordable_folds(space.catalogue, families, table, limit, n_workers)

    def _problem(
        self,
        X: Any,
        table: Table,
        catalogue: Catalogue,
        n_threads: int,
        metric: Metric,
        *,
        most_folds: int | None = None,
    ) -> Problem:
        """Return what every evaluation shares.

        Without `random_state` a stored search keeps the seed that it began with.
        """
        seed = None
        storage = resolve_storage(self.storage, self.study_name)
        if storage is not None and self.random_state is None:
            seed = storage.seed()
        if seed is None:
            seed = resolve_seed(self.random_state)
        folds = make_folds(table, self.cv, random_state=seed, most=most_folds)
        if self.estimator is not None:
            table = table.with_raw_rows(X)
        return Problem(
            table,
            catalogue,
            folds,
            seed,
            device=resolve_device(self.device),
            metric=metric,
            n_threads=n_threads,
            cache_bytes=_CACHE_BYTES,
            max_predict_ms=self.max_predict_ms,
        )

    def _open_study(self, problem: Problem, space: SearchSpace) -> StudyRecords:
        """Return the stored study of this search if there is one, or a new study."""
        storage = resolve_storage(self.storage, self.study_name)
        known = fingerprint_of(problem, space)
        study_records = StudyRecords.open(storage, known, problem.seed)
        study_records.check_scores(problem)
        return study_records

    def _search(
        self,
        space: SearchSpace,
        first: Sequence[Strategy],
        study_records: StudyRecords,
        reserve: TimeReserve,
    ) -> SearchOutcome:
        """Return what the search found in its share of the time budget."""
        context, deadline, n_trials = reserve.context, reserve.deadline, self.n_trials
        if deadline.time_limit_s is not None and deadline.time_limit_s < SHORT_BUDGET_S:
            first = space.cheaper_than(_FAST_COST, first)
            n_trials = min(n_trials or len(first), len(first))
        with (
            progress_display(
                self.verbose, context.scoring.metric.label, space.label
            ) as show,
            call_callbacks(self, n_trials) as call,
        ):

            def watch(progress: Progress) -> bool:
                show(progress)
                return call(progress)

            return search(
                space,
                first,
                context=context,
                study_records=study_records,
                deadline=deadline,
                n_trials=n_trials,
                seconds_after_search=reserve.seconds,
                has_samples=self._calibrates(context.scoring.metric),
                on_progress=watch,
            )

    def _finish(
        self,
        selection: Selection,
        problem: Problem,
        threshold: Any,
        deadline: Deadline,
        *,
        was_interrupted: bool,
    ) -> FittedSelection:
        """Return the selection fitted, calibrated and with its threshold, in time."""
        seconds, n_threads = None, 1
        if deadline.time_limit_s is not None:
            last_s = selection.pace * LastSteps.after(selection, problem).rest_s
            seconds = max(0.0, deadline.remaining_s - last_s)
            n_threads = resolve_n_jobs(self.n_jobs)
        finished = finish(
            selection,
            problem,
            threshold,
            calibrates_output=self.calibrate,
            final_fit=check_final_fit(self.final_fit),
            n_threads=n_threads,
            seconds=seconds,
            was_interrupted=was_interrupted,
        )
        if failure := finished.refit_failure:
            warn(failure.message(self.time_budget), failure.warning_category)
        if (row_time := finished.row_time) and not row_time.is_kept:
            warn(row_time.message, AutoImbWarning)
        return finished

    def _set_fitted(self, results: FitResults) -> AutoImbalance:
        """Set all fitted attributes but those of the columns, and return self."""
        table, winner = results.problem.table, results.selection.winner
        self.classes_ = table.all_classes
        self.pos_label_: Any = None if table.pos is None else table.classes[table.pos]
        self.profile_ = results.profile
        self.recommendation_ = results.recommendation
        self.study_ = results.outcome.study
        self._leaderboard = to_columns(results.leaderboard)
        self.best_strategy_ = winner.strategy
        self.best_score_ = winner.mean
        self.honest_score_ = results.honest
        self._pos, self._schema = table.pos, table.schema
        self._catalogue: Catalogue | None = results.space.catalogue
        self._row_arguments = (table.given.arguments,)
        self._table_marks = marks_of(table)
        self._reference = Reference.of(table)
        self._set_model(results.finished.model, results.decision, table.given.n_rows)
        settings = settings_of(self.get_params(deep=False), results.scoring.metric)
        self._report_data = build_report(results, settings=settings, code=self._code())
        return self

    def _set_model(self, model: FittedModel, decision: Decision, n_rows: int) -> None:
        """Set the attributes that a refit, another threshold or class shares change."""
        model = replace(model, threshold=decision.rule, shift=decision.shift)
        self._model, self._decision = model, decision
        self.ensemble_ = model.members
        self.best_pipeline_ = model.members[0].pipeline
        self.threshold_ = decision.threshold_value
        self.threshold_raw_ = model.raw_cut
        self.threshold_interval_ = decision.interval
        self.oof_proba_ = decision.oof_proba(n_rows)

    def _decide(self, decision: Decision) -> AutoImbalance:
        """Use another decision about the same scores, and return self."""
        self._set_model(self._model, decision, len(self.oof_proba_))
        self._report_data = with_decision(self._report_data, decision, self._code())
        return self

    def _code(self) -> str:
        """Return Python code that fits this model again."""
        unused = set() if self._decision.needs_costs else {"costs"}
        arguments = [
            [name for name in names if name not in unused]
            for names in self._row_arguments
        ]
        bare = copy(self)
        bare.storage = without_password(self.storage)
        return self._decision.code(fit_code(bare, arguments))

    @contextmanager
    def _context_of(
        self,
        X: Any,
        y: Any,
        deadline: Deadline,
        marks: Mapping[str, Any] | None = None,
        **rows_of: Any,
    ) -> Iterator[EvaluationContext]:
        """Yield the evaluation context of rows like those of `fit`.

        If `marks` are given, the table must be the one that has them.
        """
        table = self._check(X, y, self.pos_label_, reset=False, **rows_of)
        has_names = hasattr(self, "feature_names_in_")
        check_same_columns(table.schema, self._schema, has_names=has_names)
        if not np.array_equal(table.all_classes, self.classes_):
            raise BadInputError(
                f"y holds the classes {table.all_classes.tolist()}, and fit saw "
                f"{self.classes_.tolist()}: call fit for other classes."
            )
        if marks is not None:
            check_same_table(table, marks)
        layout = self._layout(table, deadline)
        catalogue = self._catalogue
        # A saved or pickled model needs the user's own entries anew, and so do other
        # classes: what is set by class in them is set by code.
        if catalogue is None or not np.array_equal(
            table.classes, self._decision.classes
        ):
            wishes = requested_entries(self.get_params(deep=False))
            catalogue = SearchSpace.for_data(self.profile_, table, wishes).catalogue
        for member in self.ensemble_:
            member.strategy.check_registered(catalogue)
        metric = self._metric_for(table)
        with open_executor(self.executor, layout) as executor:
            problem = self._problem(X, table, catalogue, executor.n_threads, metric)
            with _evaluation_context(problem, metric, executor) as context:
                yield context

    def _html_repr(self) -> str:
        """Return scikit-learn's diagram for a notebook, below what was found."""
        diagram: str = estimator_html_repr(self)
        outcome = self._report_data.outcome if hasattr(self, "_report_data") else None
        if outcome is None:
            return diagram
        found = [f"Winner: {outcome.winner}", *outcome.sentences[:1]]
        return "".join(f"<p>{escape(text)}</p>" for text in found) + diagram

    def __sklearn_clone__(self) -> AutoImbalance:
        """Return a clone that shares the executor: it cannot be copied."""
        bare = copy(self)
        bare.executor = None
        cloned: AutoImbalance = BaseEstimator.__sklearn_clone__(bare)
        cloned.executor = self.executor
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a file: without what belongs to this process.

        A pickle keeps the study, which skops cannot write: see `_pickled`.
        """
        state = {**super().__getstate__(), "executor": None}
        return {
            k: None if k in {"_catalogue", "study_"} else v for k, v in state.items()
        }

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn should know of this estimator."""
        tags = super().__sklearn_tags__()
        if is_object_to_clone(self.estimator):  # it reads the table as it is
            tags.input_tags = get_tags(self.estimator).input_tags
            return tags
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.sparse = True
        return tags


def _pickled(model: AutoImbalance) -> tuple[Any, ...]:
    """Return how a pickle or a copy is made again: as usual, with the study."""
    reduced: Any = model.__reduce_ex__(4)
    make, arguments, state = reduced[:3]
    study = {"study_": model.study_} if "study_" in state else {}
    return make, arguments, {**state, **study}


# skops, whose files hold no study, does not look here.
copyreg.pickle(AutoImbalance, _pickled)


def _profiled(table: Table) -> DatasetProfile:
    """Return the profile of a table; warn of classes set aside and of leaks."""
    with limited_threads(1):
        profile = profile_table(table)
    if table.set_aside:
        warn(table.set_aside.message, LeftOutWarning)
    for leak in profile.leaks:
        warn(leak.message, LeakWarning)
    return profile


@contextmanager
def _evaluation_context(
    problem: Problem, metric: Metric, executor: LimitedExecutor
) -> Iterator[EvaluationContext]:
    """Yield what evaluations need beside a strategy, with the problem in workers."""
    scoring = Scoring.of(metric, problem.table, problem.folds, problem.seed)
    with ExitStack() as stack:
        handle = stack.enter_context(executor.share(problem))
        models = None
        with suppress(OSError):  # where nothing can be written, no models are kept
            folder = stack.enter_context(private_folder())
            free = shutil.disk_usage(folder).free
            models = ModelFolder(folder, int(_DISK_SHARE * free))
        yield EvaluationContext(problem, handle, scoring, executor, models)
