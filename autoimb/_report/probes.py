"""The parts of the report that take fits: measured when somebody asks for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autoimb._growth import learning_curve
from autoimb._importance import column_drops
from autoimb._report.data import FeatureRow, GrowthSection, ReportData

if TYPE_CHECKING:
    from autoimb._arena import Arena
    from autoimb._clock import Deadline
    from autoimb._growth import LearningCurve
    from autoimb._strategy import Strategy

_COLUMNS_SHARE = 0.4  # of the time, for what columns are worth
_MAX_COLUMNS = 30


def with_probes(
    data: ReportData, strategy: Strategy, arena: Arena, clock: Deadline
) -> ReportData:
    """Return the report with what columns and what more rows are worth.

    Parameters
    ----------
    data : ReportData
        The report so far.
    strategy : Strategy
        The best single one.
    arena : Arena
        The training table, its folds and workers.
    clock : Deadline
        How long the fits may take.
    """
    soon = clock
    if clock.seconds is not None:
        soon = clock.earlier_by((1 - _COLUMNS_SHARE) * clock.remaining)
    drops = column_drops(strategy, arena, soon)
    curve = learning_curve(strategy, arena, clock)
    features = tuple(
        FeatureRow(name=d.name, drop=d.drop, error=d.error)
        for d in drops[:_MAX_COLUMNS]
    )
    return replace(
        data,
        features=features or data.features,
        growth=data.growth if curve is None else _growth_section(curve, data),
    )


def _growth_section(curve: LearningCurve, data: ReportData) -> GrowthSection:
    """Return the learning curve with what it says in words."""
    label = data.outcome.metric_label if data.outcome else "score"
    return GrowthSection(
        metric_label=label,
        points=tuple(zip(curve.n_minority, curve.scores, curve.errors, strict=True)),
        gain=curve.gain,
        gain_error=curve.gain_error,
        sentence=_advice(curve, label, data.data.minority_label),
    )


def _advice(curve: LearningCurve, label: str, minority: str) -> str:
    """Return what collecting more rows would buy."""
    rows = f"rows of class {minority!r}" if minority else "minority rows"
    measured = f"measured on {curve.n_minority[0]} to {curve.n_minority[-1]} of them"
    if curve.gain <= curve.gain_error:
        return (
            f"The scores hardly rise with the number of {rows} ({measured}): twice as "
            f"many would buy {curve.gain:+.3f} ± {curve.gain_error:.3f} {label}. "
            "Better features or labels are worth more than more rows."
        )
    return (
        f"Twice the {rows} would buy about {curve.gain:+.3f} ± {curve.gain_error:.3f} "
        f"{label}, by a power law through the scores {measured}."
    )
