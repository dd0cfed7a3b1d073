"""The classes that a saved model may hold, each by the name that imports it.

`autoimb._persist.audit` checks a file against them, and what else it may hold.
"""

from __future__ import annotations

from autoimb._compat import LOSS_MODULE

MODEL = "autoimb.AutoImbalance"
OWN_CLASSES = {
    MODEL,
    "autoimb._compat.SplitterTargetEncoder",
    *(f"autoimb._metrics.calibration.{name}" for name in ("Beta", "Identity", "Platt")),
    "autoimb._metrics.calibration.TemperatureBias",
    "autoimb._metrics.fold_ids.FoldIds",
    "autoimb._table.columns.Column",
    "autoimb._table.columns.Schema",
    "autoimb._table.columns.SparseColumns",
    "autoimb._table.set_aside.SetAside",
    "autoimb._fit.decision.Decision",
    "autoimb._table.encoding.BoundedScaler",
    "autoimb._table.encoding.DatetimeEncoder",
    "autoimb._table.encoding.DealtFolds",
    "autoimb._table.encoding.FillEmptyColumns",
    "autoimb._table.encoding.TimeOfDayEncoder",
    "autoimb._table.encoding.ColumnNamer",
    "autoimb._evaluate.out_of_fold.OutOfFold",
    "autoimb._fit.calibrate.CalibratedScores",
    "autoimb._monitor.reference.Reference",
    "autoimb.FittedMember",
    "autoimb._fit.fitted_model.FittedModel",
    "autoimb.Recommendation",
    "autoimb.FBeta",
    "autoimb.Categorical",
    "autoimb.Float",
    "autoimb.Int",
    "autoimb._metrics.metrics.LabelMetric",
    "autoimb._metrics.metrics.RankingMetric",
    "autoimb._metrics.scorers.ScorerMetric",
    "autoimb._metrics.scorers.LabelScorerMetric",
    "autoimb._models.boosting.WeightedXGBClassifier",
    "autoimb._models.ensembles.SelfPacedEnsembleClassifier",
    "autoimb._models.ensembles.UnderBaggingClassifier",
    "autoimb._models.neighbours.ExactNeighboursClassifier",
    "autoimb._models.net.NetClassifier",
    "autoimb._models.samplers.AttentiveADASYN",
    "autoimb._models.samplers.CategorySampler",
    "autoimb._models.samplers.SelectingSampler",
    "autoimb._models.samplers.WholeClassSampler",
    "autoimb._models.samplers.ReportingKMeansSMOTE",
    "autoimb._models.samplers.ScalingSampler",
    "autoimb._models.tabm.TabMClassifier",
    "autoimb._table.weighted_fit.ClassWeighted",
    "autoimb.Cost",
    "autoimb.PrecisionAtLeast",
    "autoimb.RecallAtLeast",
    "autoimb.TopK",
    "autoimb.TopShare",
    "autoimb.TimeOrdered",
    "autoimb.DatasetProfile",
    "autoimb._table.profile.ProfileCheck",
    "autoimb._persist.packing.PackedNumbers",
    "autoimb._persist.packing.PackedPredictors",
    "autoimb._persist.packing.PackedTrees",
    "autoimb._report.data.AdvisedStrategy",
    "autoimb._report.data.AxisEffect",
    "autoimb._report.data.Check",
    "autoimb._report.data.ClassCount",
    "autoimb._report.data.DataSection",
    "autoimb._report.data.ExplorerSection",
    "autoimb._report.data.FamilyRow",
    "autoimb._report.further_data.BlockRow",
    "autoimb._report.further_data.ColumnImportance",
    "autoimb._report.data.FlowEdge",
    "autoimb._report.data.FlowNode",
    "autoimb._report.data.FoldRows",
    "autoimb._report.further_data.LearningCurveSection",
    "autoimb._report.data.GuideSection",
    "autoimb._report.data.LeaderboardRow",
    "autoimb._report.data.OutcomeSection",
    "autoimb._report.data.PerClass",
    "autoimb._report.data.ReportData",
    "autoimb._report.data.SearchSection",
    "autoimb._report.data.WinnerSection",
    "autoimb.HonestScore",
    "autoimb._threshold.prior_shift.PriorShift",
    "autoimb._strategy.strategy.Choice",
    "autoimb.Strategy",
    "autoimb._threshold.rules.Argmax",
    "autoimb._threshold.rules.ClassWeights",
    "autoimb._threshold.rules.Cut",
}
"""Every class of autoimb that a saved model may hold. Making one runs no code of ours,
and what can be called, calibrations and a change of priors, computes with numbers."""

_UNDER = "imblearn.under_sampling._prototype_selection"
_SKLEARN_PARTS = {
    "_loss.link": (
        *("HalfLogitLink", "IdentityLink", "Interval", "LogLink", "LogitLink"),
        "MultinomialLogit",
    ),
    "_loss.loss": (
        *("AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss"),
        *("HalfMultinomialLoss", "HalfPoissonLoss", "HalfSquaredError", "HuberLoss"),
        "PinballLoss",
    ),
    "ensemble._hist_gradient_boosting.binning": ("_BinMapper",),
    "ensemble._hist_gradient_boosting.predictor": ("TreePredictor",),
    "metrics._dist_metrics": ("EuclideanDistance64", "ManhattanDistance64"),
    "model_selection._split": (
        *("GroupKFold", "GroupShuffleSplit", "KFold", "LeaveOneGroupOut"),
        *("PredefinedSplit", "RepeatedKFold", "RepeatedStratifiedKFold"),
        *("ShuffleSplit", "StratifiedGroupKFold", "StratifiedKFold"),
        *("StratifiedShuffleSplit", "TimeSeriesSplit"),
    ),
    "neighbors._kd_tree": ("KDTree",),
}
REPEATED_SPLITTERS = {
    f"sklearn.model_selection._split.{name}" for name in ("KFold", "StratifiedKFold")
}
"""Classes that a splitter with repeats holds as such, and makes splitters of."""
FOREIGN_CLASSES = {
    "catboost.core.CatBoostClassifier",
    "imblearn.combine._smote_enn.SMOTEENN",
    "imblearn.combine._smote_tomek.SMOTETomek",
    "imblearn.ensemble._easy_ensemble.EasyEnsembleClassifier",
    "imblearn.ensemble._forest.BalancedRandomForestClassifier",
    "imblearn.ensemble._weight_boosting.RUSBoostClassifier",
    "imblearn.over_sampling._random_over_sampler.RandomOverSampler",
    "imblearn.over_sampling._smote.base.SMOTE",
    "imblearn.over_sampling._smote.base.SMOTEN",
    "imblearn.over_sampling._smote.base.SMOTENC",
    "imblearn.over_sampling._smote.cluster.KMeansSMOTE",
    "imblearn.over_sampling._smote.filter.BorderlineSMOTE",
    "imblearn.over_sampling._smote.filter.SVMSMOTE",
    "imblearn.pipeline.Pipeline",
    "imblearn.under_sampling._prototype_generation._cluster_centroids.ClusterCentroids",
    f"{_UNDER}._condensed_nearest_neighbour.CondensedNearestNeighbour",
    f"{_UNDER}._edited_nearest_neighbours.AllKNN",
    f"{_UNDER}._edited_nearest_neighbours.EditedNearestNeighbours",
    f"{_UNDER}._edited_nearest_neighbours.RepeatedEditedNearestNeighbours",
    f"{_UNDER}._instance_hardness_threshold.InstanceHardnessThreshold",
    f"{_UNDER}._nearmiss.NearMiss",
    f"{_UNDER}._neighbourhood_cleaning_rule.NeighbourhoodCleaningRule",
    f"{_UNDER}._one_sided_selection.OneSidedSelection",
    f"{_UNDER}._random_under_sampler.RandomUnderSampler",
    f"{_UNDER}._tomek_links.TomekLinks",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    *(f"sklearn.{at}.{name}" for at, names in _SKLEARN_PARTS.items() for name in names),
}
"""Classes of other packages that the built-in catalogue leads to, beside scikit-learn's
estimators: each was reviewed to run nothing but its own `__setstate__` on loading."""

LOSSES = {
    LOSS_MODULE: (
        *("CyAbsoluteError", "CyExponentialLoss", "CyHalfBinomialLoss"),
        *("CyHalfGammaLoss", "CyHalfMultinomialLoss", "CyHalfPoissonLoss"),
        *("CyHalfSquaredError", "CyHalfTweedieLoss", "CyHalfTweedieLossIdentity"),
        *("CyHuberLoss", "CyPinballLoss"),
    ),
    "sklearn.linear_model._sgd_fast": (
        *("EpsilonInsensitive", "Hinge", "ModifiedHuber"),
        *("SquaredEpsilonInsensitive", "SquaredHinge"),
    ),
}
