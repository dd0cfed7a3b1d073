"""The decision flowchart as data, and the recommendation that follows from it.

Questions lead through branches to one piece of advice, and the advice names what to
try first. The report draws `FLOWCHART`; the search starts with the seed strategies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autoimb._catalogue import CATALOGUE, Catalogue
from autoimb._strategy.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoimb._table.profile import DatasetProfile

_ENOUGH_MINORITY = 500
_MILD, _SEVERE = 10.0, 100.0
_MOSTLY_UNSAFE = 0.5  # share of rare and outlier rows above which SMOTE adds noise
SEED_FAMILIES = ("logistic_regression", "xgboost", "extra_trees")


@dataclass(frozen=True, slots=True)
class Branch:
    """One answer to a question, and the node that it leads to."""

    label: str
    holds: Callable[[DatasetProfile], bool]
    target: str


@dataclass(frozen=True, slots=True)
class Question:
    """A node with a question; exactly one branch holds."""

    key: str
    text: str
    answer: Callable[[DatasetProfile], str]
    """The answer for a data set, in words."""
    measured: Callable[[DatasetProfile], str]
    """The number that decides it."""
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """A node with advice, at the end of a path."""

    key: str
    text: str
    handling: tuple[Mapping[str, Any], ...]
    """What to try, in order: by axis a name, or a pair of a name and parameters."""


_WEIGHTS: dict[str, Any] = {"class_weight": "balanced"}
# The square root of balanced weights loses less where weights hurt and gains more where
# they help (benchmarks/RESULTS.md).
_ROOT_WEIGHTS: dict[str, Any] = {"class_weight": ("balanced", {"exponent": 0.5})}
_SMOTE: dict[str, Any] = {"resampler": ("smote", {"strength": 0.7})}
_UNDER: dict[str, Any] = {"resampler": ("random_under", {"strength": 0.8})}
_COMBINED: dict[str, Any] = {
    "resampler": ("smote", {"strength": 0.5}),
    "class_weight": ("balanced", {"exponent": 0.5}),
}

FLOWCHART: tuple[Question | Advice, ...] = (
    Question(
        key="ratio",
        text="How many rows of the largest class for one of the smallest?",
        answer=lambda p: f"the imbalance ratio is 1:{p.imbalance_ratio:.4g}",
        measured=lambda p: f"1:{p.imbalance_ratio:.3g}",
        branches=(
            Branch("below 1:10", lambda p: p.imbalance_ratio < _MILD, "weights"),
            Branch(
                "1:10 to 1:100",
                lambda p: _MILD <= p.imbalance_ratio <= _SEVERE,
                "minority",
            ),
            Branch("above 1:100", lambda p: p.imbalance_ratio > _SEVERE, "combine"),
        ),
    ),
    Question(
        key="minority",
        text="How many rows has the smallest class?",
        answer=lambda p: f"the smallest class has {p.minority_count:,} rows",
        measured=lambda p: f"{p.minority_count:,}",
        branches=(
            Branch(
                "more than 500", lambda p: p.minority_count > _ENOUGH_MINORITY, "smote"
            ),
            Branch(
                "500 or fewer",
                lambda p: p.minority_count <= _ENOUGH_MINORITY,
                "collect",
            ),
        ),
    ),
    Advice(
        "weights", "Class weights, and a tuned threshold", (_ROOT_WEIGHTS, _WEIGHTS)
    ),
    Advice("smote", "SMOTE, and a tuned threshold", (_SMOTE, _WEIGHTS)),
    Advice(
        "collect",
        "Class weights, and more data of the smallest class",
        (_ROOT_WEIGHTS, _WEIGHTS),
    ),
    Advice(
        "combine",
        "SMOTE, class weights and a tuned threshold together",
        (_COMBINED, _UNDER, _WEIGHTS),
    ),
)
_NODES = {node.key: node for node in FLOWCHART}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What the flowchart says about a data set.

    Attributes
    ----------
    path : tuple of str
        Keys of the nodes passed, from the first question to the advice.
    advice : str
        The advice at the end of the path.
    reasons : tuple of str
        One sentence a step, with the data's own numbers.
    metric : str
        The metric that fits this data.
    metric_reason : str
        Why it does.
    seeds : tuple of Strategy
        Strategies to try first, in order.
    """

    path: tuple[str, ...]
    advice: str
    reasons: tuple[str, ...]
    metric: str
    metric_reason: str
    seeds: tuple[Strategy, ...]

    def __str__(self) -> str:
        lines = [f"Advice: {self.advice}."]
        lines += [f"  because {reason}" for reason in self.reasons]
        lines.append(f"Metric: {self.metric}, as {self.metric_reason}.")
        lines += ["Try first:", *(f"  {s}" for s in self.seeds)]
        return "\n".join(lines)


def recommend(
    profile: DatasetProfile,
    *,
    catalogue: Catalogue | None = None,
    families: Sequence[str] = SEED_FAMILIES,
) -> Recommendation:
    """Walk the decision flowchart for one data set.

    Parameters
    ----------
    profile : DatasetProfile
        What `autoimb.profile` returned.
    catalogue : Catalogue, default=None
        Entries that the seeds are made of; None means the built-in ones.
    families : sequence of str, default=("logistic_regression", "xgboost", \
"extra_trees")
        Names of the model families that the advice is given for.

    Returns
    -------
    Recommendation
        The path taken, the advice with its reasons, and the strategies to try first.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> import autoimb
    >>> X, y = make_classification(400, weights=[0.95], random_state=0)
    >>> autoimb.recommend(autoimb.profile(X, y)).path
    ('ratio', 'minority', 'collect')
    """
    path, reasons = ["ratio"], []
    while isinstance(node := _NODES[path[-1]], Question):
        branch = next(b for b in node.branches if b.holds(profile))
        reasons.append(f"{node.answer(profile)} ({branch.label})")
        path.append(branch.target)
    entries = catalogue or CATALOGUE
    seeds = _seeds(node.handling, entries, families)
    safer, caution = _without_interpolation(node.handling, profile)
    if (
        caution
    ):  # the data may disagree with the caution: the advice itself is tried too
        seeds = (*seeds[:1], *_seeds(safer, entries, families))
    metric, metric_reason = next(
        (name, reason) for holds, name, reason in _METRICS if holds(profile)
    )
    return Recommendation(
        path=tuple(path),
        advice=node.text,
        reasons=(*reasons, *caution),
        metric=metric,
        metric_reason=metric_reason,
        seeds=tuple(dict.fromkeys(seeds)),
    )


def _without_interpolation(
    handling: tuple[Mapping[str, Any], ...], profile: DatasetProfile
) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """Return the handling, and a reason if it was changed.

    Where most minority rows have neighbours of other classes, random under-sampling
    takes the place of resamplers.

    NOTE[DIFF]: the flowchart knows only counts. Near such rows SMOTE makes rows of the
    wrong class (Napierala & Stefanowski 2016, doi:10.1007/s10844-015-0368-1).
    """
    types = profile.minority_types or {}
    unsafe = types.get("rare", 0.0) + types.get("outlier", 0.0)
    interpolates = any("resampler" in axes for axes in handling)
    if unsafe <= _MOSTLY_UNSAFE or not interpolates:
        return handling, ()
    safer = tuple(
        {**axes, **_UNDER} if "resampler" in axes else axes for axes in handling
    )
    sentence = (
        f"{unsafe:.0%} of the minority rows have almost only neighbours of other "
        "classes, so under-sampling and weights are tried beside interpolation"
    )
    return safer, (sentence,)


def _seeds(
    handling: tuple[Mapping[str, Any], ...],
    catalogue: Catalogue,
    families: Sequence[str],
) -> tuple[Strategy, ...]:
    """Return every handling for every family, the first handling first.

    A family that refuses a part of it gets the rest.
    """
    entries = catalogue.entries["family"]
    seeds = []
    for how in handling:
        for family in (entries[name] for name in families if name in entries):
            accepted = {
                axis: choice
                for axis, choice in how.items()
                if family.accepts(catalogue.get(axis, _name_of(choice)))
            }
            if accepted:
                seeds.append(Strategy.of(catalogue, family=family.name, **accepted))
    return tuple(dict.fromkeys(seeds))


def _name_of(choice: str | tuple[str, Mapping[str, Any]]) -> str:
    """Return the name in a choice, which may come with parameters."""
    return choice if isinstance(choice, str) else choice[0]


_METRICS: tuple[tuple[Callable[[DatasetProfile], bool], str, str], ...] = (
    (
        lambda p: p.imbalance_ratio < 1.5,
        "roc_auc",
        "the classes are balanced and ROC-AUC needs no threshold",
    ),
    (
        lambda p: p.n_classes > 2,
        "average_precision",
        "PR-AUC, averaged over the classes, counts a rare class as much as a common one"
        "; F1 macro and G-mean do the same for labels",
    ),
    (
        lambda p: p.imbalance_ratio > _SEVERE,
        "average_precision",
        "positives are very rare: PR-AUC for the ranking, MCC for the labels, which "
        "no constant answer can raise",
    ),
    (
        lambda _: True,
        "average_precision",
        "positives are rare and matter: PR-AUC measures how purely they are ranked "
        "first",
    ),
)
"""Condition, metric and its reason; the first condition that holds decides."""
