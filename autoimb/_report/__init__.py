"""The report: measured values (`data`), drawn (`figures`) and worded (`render`).

`build` fills the values, with `curves` and `explorer`. From there they flow one way:
`data` → `svg` → `figures`, `flowchart` → `render` → templates. To add a part, give it a
field in `data.py`, a figure that returns "" without values, a name in
`render.make_figures`, and a place in a section's template.
"""

from autoimb._report.data import (
    Check,
    ClassCount,
    CutNumbers,
    DataSection,
    ExplorerSection,
    FlowEdge,
    FlowNode,
    GuideSection,
    LeaderboardRow,
    OutcomeSection,
    PerClass,
    ReportData,
    SearchSection,
    WinnerSection,
)
from autoimb._report.render import (
    Report,
    render_html,
    render_json,
    render_markdown,
)

__all__ = [
    "Check",
    "ClassCount",
    "CutNumbers",
    "DataSection",
    "ExplorerSection",
    "FlowEdge",
    "FlowNode",
    "GuideSection",
    "LeaderboardRow",
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
