"""The strategy report.

==========================  ============================================================
``value``                   frozen values that become JSON
``further_data``            sections that not every fit has
``data``                    everything that the report shows
``formats``                 numbers and text as people read them
``fit_results``             everything that one fit measured
``over_time``               scores over time, where folds are by time
``curves``                  curves with bands, calibration bins, histogram
``sentences``               the outcome in sentences: the first screen
``explorer_section``        the threshold explorer
``winner_section``          the winner: scores, curves, confusion matrix, decision
``search_section``          the leaderboard, and the effects of each axis
``learning_curve``          the score by number of minority rows
``permutation_importance``  how much the score depends on each column
``extra_sections``          the sections that need fits: the two above
``build``                   `ReportData` from the results of a fit
``svg``                     elements of SVG figures
``figures``                 figures of scores and curves
``bars``                    bar charts
``flowchart``               the decision flowchart as a figure
``page``                    what all reports share: formats, file, notebook
``render``                  the strategy report in three formats; `Report`
==========================  ============================================================
"""

from autoimb._report.data import (
    AdvisedStrategy,
    AxisEffect,
    Check,
    ClassCount,
    DataSection,
    ExplorerSection,
    FamilyRow,
    FlowEdge,
    FlowNode,
    FoldRows,
    GuideSection,
    LeaderboardRow,
    OutcomeSection,
    PerClass,
    ReportData,
    SearchSection,
    WinnerSection,
)
from autoimb._report.further_data import ColumnImportance, LearningCurveSection
from autoimb._report.page import render_json
from autoimb._report.render import Report, render_html, render_markdown

__all__ = [
    "AdvisedStrategy",
    "AxisEffect",
    "Check",
    "ClassCount",
    "ColumnImportance",
    "DataSection",
    "ExplorerSection",
    "FamilyRow",
    "FlowEdge",
    "FlowNode",
    "FoldRows",
    "GuideSection",
    "LeaderboardRow",
    "LearningCurveSection",
    "OutcomeSection",
    "PerClass",
    "Report",
    "ReportData",
    "SearchSection",
    "WinnerSection",
    "render_html",
    "render_json",
    "render_markdown",
]
