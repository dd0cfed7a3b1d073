"""The report: measured values (`data`), drawn (`figures`) and worded (`render`).

What a fit measured (`evidence`) becomes values (`value`, `data`): `wording`, `curves`,
`tried`, `explorer` and `closeup` each make a part, `build` puts them together, and
`probes` adds what takes further fits. From there data flows one way: `data` → `svg` →
`figures`, `bars`, `flowchart` → `render` → templates. To add a part, give it a field in
`data.py`, a figure that returns "" without values, a name in `render.make_figures`, and
a place in a section's template.
"""

from autoimb._report.data import (
    AxisEffect,
    Check,
    ClassCount,
    CutNumbers,
    DataSection,
    ExplorerSection,
    FamilyRow,
    FeatureRow,
    FlowEdge,
    FlowNode,
    FoldRows,
    GrowthSection,
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
    "AxisEffect",
    "Check",
    "ClassCount",
    "CutNumbers",
    "DataSection",
    "ExplorerSection",
    "FamilyRow",
    "FeatureRow",
    "FlowEdge",
    "FlowNode",
    "FoldRows",
    "GrowthSection",
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
