"""What the report shows, as frozen values that JSON can hold.

The modules that fill these values measure; the templates and figures only show them. A
part that is None or empty is left out of the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from autoimb._metrics.bootstrap import Difference
from autoimb._report.value import Value

if TYPE_CHECKING:
    from autoimb._report.further_data import (
        BlockRow,
        ColumnImportance,
        LearningCurveSection,
    )

Point = tuple[float | None, float | None]


# --- the data


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCount(Value):
    """One class and how often it occurs."""

    label: str
    """The label as the user wrote it."""
    count: int
    """Rows of this class."""
    share: float
    """Its share of all rows, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Value):
    """One finding of the profile about the data."""

    code: str
    """A stable code such as ``"AIM001"``."""
    title: str
    """Two or three words."""
    message: str
    """What was found, and what to do about it."""
    severity: Literal["info", "warning"] = "info"
    """Whether it is information or a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSection(Value):
    """The training table."""

    n_rows: int
    """Rows."""
    n_features: int
    """Columns, the target left out."""
    classes: tuple[ClassCount, ...]
    """Every class, in the order in which to show them."""
    imbalance_ratio: float | None = None
    """Rows of the largest class for one row of the smallest."""
    minority_label: str = ""
    """The smallest class."""
    minority_count: int | None = None
    """Its rows."""
    feature_kinds: dict[str, int] | None = None
    """How many columns of each kind, such as ``{"numeric": 5}``."""
    missing_share: float | None = None
    """Share of cells without a value, 0 to 1."""
    n_duplicates: int | None = None
    """Rows that repeat an earlier row."""
    minority_types: dict[str, float] | None = None
    """Shares of safe, borderline, rare and outlier minority rows."""
    checks: tuple[Check, ...] = ()
    """Findings of the profile."""


# --- the guide


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowNode(Value):
    """One box of the flowchart."""

    key: str
    """Unique name that edges refer to."""
    text: str
    """Text of the box."""
    kind: Literal["question", "advice"]
    """A question has branches; advice ends a path."""
    on_path: bool = False
    """Whether this data's path goes through it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEdge(Value):
    """One arrow of the flowchart."""

    source: str
    """Key of the box it leaves."""
    target: str
    """Key of the box it reaches."""
    label: str = ""
    """The answer to the question that it leaves."""
    on_path: bool = False
    """Whether this data's path goes along it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisedStrategy(Value):
    """A strategy that the flowchart proposes, and what became of it."""

    name: str
    """Its one-line name."""
    score: float | None = None
    """Its cross-validated score; None if it was not scored on every fold."""
    n_folds: int | None = None
    """Folds that it was scored on."""
    outcome: str = ""
    """Why it has no score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideSection(Value):
    """What the flowchart advises for this data, before anything was tried."""

    nodes: tuple[FlowNode, ...] = ()
    """Boxes, parents before children."""
    edges: tuple[FlowEdge, ...] = ()
    """Arrows between them, left to right."""
    reasons: tuple[str, ...] = ()
    """Reasons for the advice, one sentence each."""
    seeds: tuple[AdvisedStrategy, ...] = ()
    """The strategies that it proposes and that are part of the search, in order."""

    @property
    def path(self) -> tuple[str, ...]:
        """Box, answer, box, … along this data's path, as words."""
        answer = {e.target: e.label for e in self.edges if e.on_path}
        steps = [(answer.get(n.key, ""), n.text) for n in self.nodes if n.on_path]
        return tuple(word for step in steps for word in step if word)


# --- the outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSection(Value):
    """The outcome in a few numbers: the first screen of the page."""

    metric_label: str
    """Label of the search metric, such as ``"PR-AUC"``."""
    winner: str
    """One-line name of the winner."""
    winner_score: float | None
    """Its cross-validated score: the best of many, so optimistic."""
    winner_standard_error: float | None = None
    """Standard error of that score."""
    baseline: str = ""
    """Name of the best candidate that does nothing about the imbalance."""
    baseline_score: float | None = None
    """Its score on the same folds."""
    difference: float | None = None
    """Cross-validated score of the winner less that of the baseline."""
    difference_interval: tuple[float, float] | None = None
    """95 % interval of that difference, paired by row."""
    no_skill: float | None = None
    """Score of a random ranking, or of the best constant answer."""
    honest_estimate: float | None = None
    """The winner's score, corrected for having been chosen."""
    honest_low: float | None = None
    """Lower end of its 95 % interval, or of its bootstrap range."""
    honest_high: float | None = None
    """Upper end of its 95 % interval, or of its bootstrap range."""
    honest_baseline: float | None = None
    """Score of the baseline, corrected in the same way."""
    is_baseline: bool = False
    """Whether the winner does nothing about the imbalance."""
    sentences: tuple[str, ...] = ()
    """The outcome in sentences; the first one stands under the title."""
    pos_label: str = ""
    """The class of interest; empty where there are more than two classes."""


# --- the search


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderboardRow(Value):
    """One candidate: a row of `AutoImbalance.leaderboard_`."""

    rank: int | None
    """1 is best; None where there is no full score."""
    strategy: str
    """One-line name."""
    family: str = ""
    """Kind of model."""
    resampler: str = ""
    """Resampler, or "none"."""
    class_weight: str = ""
    """Class weights, or "none"."""
    loss: str = ""
    """Loss function."""
    mean: float | None = None
    """Mean score over folds and repeats."""
    se: float | None = None
    """Standard error of the mean."""
    folds: int | None = None
    """Folds it was scored on."""
    rows: int | None = None
    """Training rows of a fold that it was fitted on."""
    fit_seconds: float | None = None
    """Time its fits took, in seconds."""
    status: str = "complete"
    """``"complete"``, ``"dropped"``, ``"failed"``, …"""
    reason: str = ""
    """Why it was dropped or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisEffect(Value):
    """What one entry of an axis changed, compared with the axis at "none"."""

    axis: str
    """``"resampler"``, ``"class_weight"`` or ``"loss"``."""
    name: str
    """The entry."""
    n_candidates: int
    """Candidates with it that have a counterpart without."""
    difference: float | None
    """Mean score with it less that without, of candidates alike in all else."""
    standard_error: float | None = None
    """Standard error of that difference, paired by row."""

    @property
    def is_significant(self) -> bool:
        """Whether all of the difference's 95 % interval lies on one side of 0."""
        if self.difference is None or not self.standard_error:
            return False
        return Difference(self.difference, self.standard_error).is_significant


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRow(Value):
    """Scores and time of one family of models."""

    name: str
    """Kind of model."""
    n_candidates: int
    """Candidates of it that were proposed."""
    n_complete: int
    """Those scored on every fold."""
    best: float | None = None
    """Score of the best of them."""
    behind: float | None = None
    """Score of the best candidate of all less that score."""
    behind_standard_error: float | None = None
    """Standard error of that difference, paired by row."""
    seconds: float | None = None
    """Seconds of all its fits together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSection(Value):
    """The search: all candidates, and what they show together."""

    rows: tuple[LeaderboardRow, ...] = ()
    """The leaderboard, best first."""
    has_repeats: bool = False
    """Whether finalists were scored on further repeats of the folds."""
    best_so_far: tuple[Point, ...] = ()
    """(seconds since the start, best score then), at each improvement."""
    best_single: int | None = None
    """Rank of the winner, or of the candidate that would be it without an ensemble."""
    n_complete: int | None = None
    """Candidates scored on every fold."""
    n_failed: int | None = None
    """Candidates that failed."""
    n_dropped: int | None = None
    """Candidates that were clearly behind and did not run all their folds."""
    n_stopped: int | None = None
    """Candidates that were stopped by a time limit."""
    n_not_started: int | None = None
    """Candidates that there was no time, or no memory, to start."""
    n_duplicates: int | None = None
    """Candidates that were the same as one before, and not scored again."""
    n_sampled: int | None = None
    """Of those scored on every fold, how many were fitted on samples of the rows."""
    n_handled: int | None = None
    """Of those scored on every fold, how many handle the imbalance."""
    seconds: float | None = None
    """Wall time from the start of the fit to the end of the search."""
    last_seconds: float | None = None
    """Wall time of the steps after it, until the report was made."""
    cut_off_seconds: float | None = None
    """Of it, spent on candidates that were stopped before they had a score."""
    unused_seconds: float | None = None
    """Seconds of the time budget that were left in the end."""
    effects: tuple[AxisEffect, ...] = ()
    """What resamplers, class weights and losses changed, axis by axis."""
    families: tuple[FamilyRow, ...] = ()
    """The families, best first."""
    importances: tuple[tuple[str, float], ...] = ()
    """(parameter, its share in the differences between the candidates' scores)."""


# --- the winner


@dataclass(frozen=True, slots=True, kw_only=True)
class PerClass(Value):
    """Metrics of one class."""

    label: str
    """The class."""
    precision: float | None = None
    """Share of this class among the rows that are predicted as this class."""
    recall: float | None = None
    """Share of this class's rows that are predicted as this class."""
    f1: float | None = None
    """Harmonic mean of the two."""
    average_precision: float | None = None
    """PR-AUC of this class against the rest."""
    support: float | None = None
    """Rows (or weight) of this class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRows(Value):
    """Training rows of each class in one fold."""

    before: tuple[int, ...]
    """As they are."""
    after: tuple[int, ...]
    """As the model was fitted on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerSection(Value):
    """Counts at each cut on the out-of-fold scores, from no alerts to all rows.

    Cuts fall; no row reaches the first one, and every row the last one. Metrics are
    computed from sums of weights, which are numbers of rows where these have none.
    """

    pos_label: str
    """The class of interest."""
    neg_label: str
    """The other one."""
    thresholds: tuple[float, ...]
    """Cuts on its probability, in as few digits as leave every label as it is."""
    scores: tuple[float, ...]
    """The lowest score that reaches each cut; of the first cut, the cut itself."""
    true_positives: tuple[float, ...]
    """Weight of the positives that reach each cut."""
    false_positives: tuple[float, ...]
    """Weight of the negatives that reach each cut."""
    positive_alerts: tuple[float, ...]
    """How many positives reach each cut."""
    negative_alerts: tuple[float, ...]
    """How many negatives reach each cut."""
    tuned: int
    """Position of the cut that the tuned threshold makes."""
    at_tuned: dict[str, float | None]
    """Metric name -> its value; ``alerts`` and ``cost`` are per 1,000 rows."""
    costs: tuple[float, float] = (1.0, 10.0)
    """What a false alert and a miss cost until the reader changes it."""
    has_costs: bool = False
    """Whether the fit was given these costs; otherwise they are an example."""
    is_thinned: bool = False
    """Whether other cuts lie between these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerSection(Value):
    """The winner on out-of-fold predictions.

    Curves are drawn point by point: pass some hundred points, not one a row.
    """

    final_fit: tuple[str, ...] = ()
    """Which models predict by their fold models, why, and what one row takes."""
    threshold_objective: str = ""
    """The objective that the threshold maximises, such as ``"F1"``."""
    threshold: float | tuple[float, ...] | None = None
    """The cut on the positive probability, or one weight a class."""
    threshold_interval: Point | None = None
    """Interval of the cut."""
    at_default: dict[str, float | None] | None = None
    """Metric name -> value at 0.5, or at the most probable class."""
    at_threshold: dict[str, float | None] | None = None
    """Metric name -> value at the tuned threshold."""
    expected: dict[str, tuple[float | None, ...]] | None = None
    """Metric name -> (mean, low, high) on new data of a threshold tuned so."""
    no_skill_precision: float | None = None
    """Precision of calling rows positive at random: the prevalence."""
    pr_curve: tuple[Point, ...] = ()
    """(recall, precision)."""
    pr_band: tuple[tuple[float | None, ...], ...] = ()
    """(recall, low, high): the middle 95 % of precisions over drawn rows."""
    roc_curve: tuple[Point, ...] = ()
    """(false positive rate, true positive rate)."""
    roc_band: tuple[tuple[float | None, ...], ...] = ()
    """(false positive rate, low, high): the same of true positive rates."""
    operating_point: Point | None = None
    """(recall, precision) at the threshold."""
    calibration_before: tuple[tuple[float | None, float | None, float | None], ...] = ()
    """(mean predicted probability, share of positives, rows) a bin, uncalibrated."""
    calibration_after: tuple[tuple[float | None, float | None, float | None], ...] = ()
    """The same after calibration."""
    histogram: tuple[tuple[float | None, ...], ...] = ()
    """(from, to, share of the negatives, share of the positives) of probabilities."""
    calibration_name: str = ""
    """The calibration that was chosen."""
    confusion: tuple[tuple[float, ...], ...] = ()
    """Rows: true classes; columns: predicted classes; numbers of rows, rounded."""
    confusion_shares: tuple[tuple[float, ...], ...] = ()
    """Shares of a true class's rows in its cells, before the numbers are rounded."""
    class_labels: tuple[str, ...] = ()
    """Names of those rows and columns."""
    per_class: tuple[PerClass, ...] = ()
    """Metrics of each class."""
    explorer: ExplorerSection | None = None
    """Counts at all thresholds; None for more than two classes."""
    members: tuple[tuple[str, float], ...] = ()
    """(strategy, weight) of each ensemble member."""
    fold_rows: tuple[FoldRows, ...] = ()
    """Training rows of each fold, if the best single strategy resamples them."""
    sentences: tuple[str, ...] = ()
    """Sentences about the threshold and the class distribution it is meant for."""
    code: str = ""
    """Python code that fits the winner again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData(Value):
    """Everything one report shows."""

    title: str
    """What the report is about."""
    data: DataSection
    """The table."""
    created: str = ""
    """ISO date."""
    versions: dict[str, str] | None = None
    """Package to version."""
    fingerprint: str = ""
    """Short hash of the data."""
    settings: dict[str, str] | None = None
    """What the user asked for, in words."""
    guide: GuideSection | None = None
    """The flowchart's advice."""
    outcome: OutcomeSection | None = None
    """The outcome: the first screen."""
    search: SearchSection | None = None
    """The search."""
    winner: WinnerSection | None = None
    """The winner."""
    features: tuple[ColumnImportance, ...] = ()
    """What columns are worth, the one that matters most first; pages show the first."""
    features_note: str = ""
    """How many columns are missing there, and why."""
    learning_curve: LearningCurveSection | None = None
    """The learning curve."""
    over_time: tuple[BlockRow, ...] = ()
    """Scores block by block, where folds are in order of time."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences of the report, the outcome first."""
        of_outcome = self.outcome.sentences if self.outcome else ()
        if self.winner is None:
            return of_outcome
        return (*of_outcome, *self.winner.final_fit, *self.winner.sentences)
