"""The outcome in plain sentences, the verdict first."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING

from autoimb._report.formats import percent
from autoimb._threshold import Cut

if TYPE_CHECKING:
    from autoimb._decision import Decision, Judged
    from autoimb._fitted import Setback
    from autoimb._judge import Score
    from autoimb._report.evidence import Evidence

_SURE = 2.0  # standard errors from which on a difference is more than noise


def sentences(seen: Evidence) -> list[str]:
    """Return the outcome in plain words: what won, what it bought, what was advised."""
    if seen.selection.winner.score is None:
        return [
            f"{seen.space.label(seen.selection.winner.strategy)} was fitted with its "
            "defaults: the time budget ended before any candidate was scored."
        ]
    setback = seen.finished.setback
    if setback is not None and setback.is_replaced:
        return [_about_stand_in(seen, setback)]
    about = [_verdict(seen), _about_handling(seen), *_about_committee(seen)]
    return [*about, _about_guide(seen)]


def _about_stand_in(seen: Evidence, setback: Setback) -> str:
    """Return what answers instead of the best candidate, and why."""
    name = seen.space.label
    why = f"failed on all rows ({setback.cause})"
    if setback.is_late:
        why = "could not be refitted on all rows in time"
    return (
        f"{_capital(answer_name(seen))} stands in for the best candidate, "
        f"{name(setback.wanted)}, which {why}. {_expectation(seen)}."
    )


def answer_name(seen: Evidence) -> str:
    """Return what predicts: a strategy's name, or a committee with its size."""
    members = seen.selection.members
    if len(members) > 1:
        return f"a committee of {len(members)} models"
    return seen.space.label(seen.selection.winner.strategy)


def difference_of(one: Score | None, other: Score | None) -> tuple[float, float]:
    """Return the difference of two scores and its paired standard error."""
    if one is None or other is None:
        return nan, nan
    return one.mean - other.mean, one.se_of_difference(other)


def _verdict(seen: Evidence) -> str:
    """Return what won, and what to expect of it and of doing nothing."""
    name, expected = answer_name(seen), _expectation(seen)
    plain = seen.selection.do_nothing
    if not seen.is_handled:
        return f"Doing nothing about the imbalance in training won: {name}. {expected}."
    instead = ""
    if plain is not None and isfinite(seen.honest.do_nothing):
        instead = (
            "; doing nothing about the imbalance, the best single model "
            f"({seen.space.label(plain.strategy)}) would have about "
            f"{seen.honest.do_nothing:.3f}"
        )
    # A committee may be behind within noise; the honest estimate may not confirm it.
    bought, _ = difference_of(seen.score, None if plain is None else plain.score)
    is_behind = seen.honest.estimate < seen.honest.do_nothing or bought < 0
    won = "was chosen" if is_behind else "wins"
    return f"{_capital(name)} {won}. {expected}{instead}."


def _expectation(seen: Evidence) -> str:
    """Return what to expect on new data, or what was measured where that is unknown."""
    honest, label, score = seen.honest, seen.judge.metric.label, seen.score
    if not isfinite(honest.estimate):
        measured = nan if score is None else score.mean
        return f"Its cross-validated {label} is {measured:.3f}"
    return (
        f"On new data expect {label} about {honest.estimate:.3f} (bootstrap range "
        f"{honest.low:.3f} to {honest.high:.3f}, no skill {honest.no_skill:.3f})"
    )


def _about_handling(seen: Evidence) -> str:
    """Return what handling the imbalance bought among single candidates."""
    winner, plain = seen.selection.winner, seen.selection.do_nothing
    label, name = seen.judge.metric.label, seen.space.label
    if winner.strategy.is_handled and plain is None:
        return (
            f"Of single candidates the best is {name(winner.strategy)}, with a "
            f"cross-validated {label} of {winner.mean:.3f}. No candidate without any "
            "handling was complete, so what handling bought is not known."
        )
    if winner.strategy.is_handled and plain is not None:
        bought = difference_of(winner.score, plain.score)
        return (
            f"Of single candidates the best is {name(winner.strategy)}, with a "
            f"cross-validated {label} of {winner.mean:.3f}; {name(plain.strategy)} "
            f"without any handling has {plain.mean:.3f}. Handling the imbalance bought "
            f"{_told(bought)}."
        )
    best = f"{name(winner.strategy)}, with a cross-validated {label} of"
    alone = f"Of single candidates the best leaves the imbalance alone: {best}"
    handled = [r for r in seen.selection.finalists if r.strategy.is_handled]
    if not handled:
        return f"{alone} {winner.mean:.3f}."
    other = max(handled, key=lambda r: r.mean)
    lost = difference_of(other.score, winner.score)
    return (
        f"{alone} {winner.mean:.3f}. The best handled finalist, "
        f"{name(other.strategy)}, differs by {_told(lost)}."
    )


def _about_committee(seen: Evidence) -> list[str]:
    """Return what a committee bought over the best candidate alone."""
    selection = seen.selection
    if len(selection.members) == 1:
        return []
    bought = difference_of(seen.score, selection.winner.score)
    handled = sum(member.strategy.is_handled for member in selection.members)
    return [
        f"The committee is the weighted mean of {len(selection.members)} candidates, "
        f"{handled} of them with the imbalance handled: {_told(bought)} against the "
        "best of them alone."
    ]


def _about_guide(seen: Evidence) -> str:
    """Return whether the data agreed with the flowchart."""
    guide, best = seen.recommendation, seen.selection.winner
    seeds = [record for record in seen.complete if record.strategy in guide.seeds]
    advice = f"The flowchart advised: {guide.advice[0].lower()}{guide.advice[1:]}"
    if not seeds:
        return f"{advice}; none of its strategies was complete in time."
    first = seeds[0]
    label = seen.space.label(first.strategy)
    told = f"{advice}. Its best strategy, {label}, has {first.mean:.3f}"
    if first.number == best.number:
        return f"{told}: the best single candidate, so the data agreed."
    behind = difference_of(first.score, best.score)
    agreed = "the data disagreed" if _is_sure(*behind) else "within noise of it"
    return f"{told}, {_plus_minus(*behind)} against the best single one: {agreed}."


def about_prior(decision: Decision) -> list[str]:
    """Return what another class distribution than the table's was taken for."""
    shift, labels = decision.shift, decision.classes.tolist()
    if shift is None:
        return []
    told = [
        f"{label!r} {percent(new)} (table: {percent(old)})"
        for label, old, new in zip(labels, shift.before, shift.after, strict=True)
    ]
    return [
        f"Expected shares of the classes: {', '.join(told)}. Probabilities, threshold "
        "and all that is shown of the winner's labels are for these shares; the scores "
        "of the search are for those of the table."
    ]


def about_threshold(judged: Judged) -> list[str]:
    """Return what the tuned threshold does to precision and recall."""
    rule, classes = judged.decision.rule, judged.decision.classes.tolist()
    if not isinstance(rule, Cut):
        return []
    before, after = judged.at_default, judged.at_threshold
    return [
        f"Calling a row {classes[rule.pos]!r} from a probability of "
        f"{rule.value:.3f} on has precision {after['precision']:.2f} and recall "
        f"{after['recall']:.2f} (F1 {after['f1']:.2f}) out of fold; the usual 0.5 on "
        f"{_scores_as_they_come(judged)} has {before['precision']:.2f} and "
        f"{before['recall']:.2f} (F1 {before['f1']:.2f}).",
        *_about_expected(judged),
    ]


def _scores_as_they_come(judged: Judged) -> str:
    """Return what is cut at 0.5 where nothing is tuned."""
    is_mean = judged.decision.calibrated.is_of_mean
    return "the mean of the models" if is_mean else "scores before calibration"


def _about_expected(judged: Judged) -> list[str]:
    """Return what a cut that is tuned on these rows does on new ones."""
    spans = judged.expected
    if not spans:
        return []
    told = [
        f"{name} about {spans[name][0]:.2f} ({spans[name][1]:.2f} to "
        f"{spans[name][2]:.2f})"
        for name in ("precision", "recall")
        if name in spans
    ]
    return [f"On new data expect {' and '.join(told)} of a threshold tuned so."]


def _told(difference: tuple[float, float]) -> str:
    """Return a difference with its standard error, and whether that is noise."""
    noise = "" if _is_sure(*difference) else ", which is within noise"
    return f"{_plus_minus(*difference)}{noise}"


def _is_sure(difference: float, noise: float) -> bool:
    """Whether a difference is more than noise."""
    return abs(difference) >= _SURE * noise > 0


def _plus_minus(difference: float, noise: float) -> str:
    """Return a difference with its standard error."""
    return f"{difference:+.3f} ± {noise:.3f}"


def _capital(text: str) -> str:
    """Return text with its first letter capitalised and the rest as it is."""
    return text[:1].upper() + text[1:]
