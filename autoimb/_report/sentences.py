"""The outcome of a fit in sentences: the report's first screen."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING

from autoimb._report.fit_results import difference_of
from autoimb._report.formats import percent
from autoimb._threshold.rules import Cut

if TYPE_CHECKING:
    from autoimb._fit.decision import Decision, DecisionScores
    from autoimb._fit.final_fit import RefitFailure
    from autoimb._fit.fitted_model import FittedModel
    from autoimb._metrics.bootstrap import Difference
    from autoimb._report.fit_results import FitResults


def in_words(difference: Difference) -> str:
    """Return a difference with its standard error, and whether it may be chance."""
    chance = "" if difference.is_significant else ", which may be chance"
    return f"{difference} (standard error){chance}"


def sentences(results: FitResults) -> list[str]:
    """Return what won, what to expect of it, and what handling the imbalance gained."""
    name, selection = results.space.label, results.selection
    if selection.winner.score is None:
        return [
            f"{name(selection.winner.strategy)} was fitted with its defaults: the time "
            "budget ended before any candidate was scored."
        ]
    refit_failure = results.finished.refit_failure
    if refit_failure is not None and refit_failure.is_replaced:
        return [_about_refit_failure(results, refit_failure)]
    about = [_about_winner(results), _about_handling(results)]
    n_members = len(selection.members)
    if n_members > 1:
        gain = difference_of(results.score, selection.winner.score)
        n_handled = sum(m.strategy.is_handled for m in selection.members) or "none"
        about.append(
            f"The ensemble averages the probabilities of {n_members} candidates, "
            f"{n_handled} of which handle the imbalance. Its score less that of the "
            f"best of them alone is {in_words(gain)}."
        )
    return [*about, _about_flowchart(results)]


def about_fold_models(model: FittedModel) -> list[str]:
    """Return which members predict by their fold models, and why, if any do."""
    n_of: dict[str, int] = {}
    for member in model.members:
        if not member.is_refit:
            n_of[member.reason] = n_of.get(member.reason, 0) + 1
    is_mean = any(len(m.pipelines) > 1 for m in model.members if not m.is_refit)
    what = "the mean of fold models" if is_mean else "the model of one fold"
    n_members = len(model.members)
    return [
        f"{n} of {n_members} members {'predicts' if n == 1 else 'predict'} by {what}, "
        f"as {why}."
        if n_members > 1
        else f"The model predicts by {what}, as {why}."
        for why, n in n_of.items()
    ]


def _about_refit_failure(results: FitResults, refit_failure: RefitFailure) -> str:
    """Return what predicts instead of the best candidate, and why."""
    why = (
        "could not be refitted on all rows in time"
        if refit_failure.is_late
        else f"failed on all rows ({refit_failure.cause})"
    )
    name = answer_name(results)
    return (
        f"{name[:1].upper()}{name[1:]} is used instead of the best candidate, "
        f"{results.space.label(refit_failure.winner)}, which {why}. "
        f"{_expectation(results)}."
    )


def answer_name(results: FitResults) -> str:
    """Return what predicts: a strategy's name, or an ensemble with its size."""
    members = results.selection.members
    if len(members) > 1:
        return f"an ensemble of {len(members)} models"
    return results.space.label(results.selection.winner.strategy)


def _about_winner(results: FitResults) -> str:
    """Return what won, and what to expect of it and of the baseline on new data."""
    name, expected = answer_name(results), _expectation(results)
    name = name[:1].upper() + name[1:]
    honest, baseline = results.honest, results.selection.baseline
    if not results.is_handled:
        return (
            f"{name} wins, and does nothing about the imbalance in training. "
            f"{expected}."
        )
    compared = ""
    if baseline is not None and isfinite(honest.baseline):
        compared = (
            f", and about {honest.baseline:.3f} from the baseline, the best candidate "
            "that does nothing about the imbalance "
            f"({results.space.label(baseline.strategy)})"
        )
    # An ensemble may score less, within its standard error, and the honest estimate
    # may put the baseline first.
    gain = difference_of(results.score, None if baseline is None else baseline.score)
    is_behind = honest.estimate < honest.baseline or gain.value < 0
    won = "was chosen" if is_behind else "wins"
    return f"{name} {won}. {expected}{compared}."


def _expectation(results: FitResults) -> str:
    """Return what to expect on new data, or what was measured where that is unknown."""
    honest, label, score = results.honest, results.scoring.metric.label, results.score
    if not isfinite(honest.estimate):
        return f"Its cross-validated {label} is {score.mean if score else nan:.3f}"
    return (
        f"On new data expect {label} about {honest.estimate:.3f} (bootstrap range "
        f"{honest.low:.3f} to {honest.high:.3f}, no skill {honest.no_skill:.3f})"
    )


def _about_handling(results: FitResults) -> str:
    """Return how single candidates with and without handling compare."""
    winner, baseline = results.selection.winner, results.selection.baseline
    name = results.space.label
    measured = (
        f"{name(winner.strategy)}, with a cross-validated "
        f"{results.scoring.metric.label} of {winner.mean:.3f}"
    )
    if winner.strategy.is_handled:
        if baseline is None:
            return (
                f"The best single candidate is {measured}. No candidate that does "
                "nothing about the imbalance was scored, so what handling it gains is "
                "not known."
            )
        gain = difference_of(winner.score, baseline.score)
        return (
            f"The best single candidate is {measured}; the baseline, "
            f"{name(baseline.strategy)}, has {baseline.mean:.3f}. Handling the "
            f"imbalance gains {in_words(gain)}."
        )
    alone = f"The best single candidate does nothing about the imbalance: {measured}"
    handled = [r for r in results.selection.finalists if r.strategy.is_handled]
    other = max(handled, key=lambda record: record.mean, default=None)
    if other is None:
        return f"{alone}."
    loss = difference_of(other.score, winner.score)
    return (
        f"{alone}. The best finalist that handles it, {name(other.strategy)}, differs "
        f"by {in_words(loss)}."
    )


def _about_flowchart(results: FitResults) -> str:
    """Return whether the scores agree with the flowchart's advice."""
    guide, best = results.recommendation, results.selection.winner
    letter, rest = guide.advice[0], guide.advice[1:]
    is_name = rest[:1].isupper()  # such as SMOTE
    advice = f"The flowchart advised: {letter if is_name else letter.lower()}{rest}"
    first = next((r for r in results.candidates if r.strategy in guide.seeds), None)
    if first is None:
        return f"{advice}; none of its strategies was scored in time."
    label = results.space.label(first.strategy)
    mean = next(r.mean for r in results.records if r.number == first.number)
    measured = f"{advice}. Its best strategy, {label}, has {mean:.3f}"
    if first.number == best.number:
        return f"{measured}: it is the best single candidate, so the data agree."
    behind = results.compared(first, best)
    agreed = "so the data disagree" if behind.is_significant else "which may be chance"
    return (
        f"{measured}, {behind} (standard error) compared with the best single "
        f"candidate, {agreed}."
    )


def about_prior(decision: Decision) -> list[str]:
    """Return the class distribution that is expected, if it is not the table's."""
    shift, labels = decision.shift, decision.classes.tolist()
    if shift is None:
        return []
    shares = [
        f"{label!r} {percent(new)} (table: {percent(old)})"
        for label, old, new in zip(labels, shift.before, shift.after, strict=True)
    ]
    return [
        f"Expected shares of the classes: {', '.join(shares)}. Probabilities, the "
        "threshold and the winner's figures are for these shares; the scores of the "
        "search are for the shares in the table."
    ]


def about_threshold(scores: DecisionScores) -> list[str]:
    """Return what the tuned threshold does to precision and recall."""
    rule, classes = scores.decision.rule, scores.decision.classes.tolist()
    if not isinstance(rule, Cut):
        return []
    before, after = scores.at_default, scores.at_threshold
    is_of_mean = scores.decision.calibrated.is_of_mean
    uncalibrated = "the models' mean" if is_of_mean else "scores before calibration"
    about = [
        f"Rows with a probability of at least {rule.value:.3f} are called "
        f"{classes[rule.pos]!r}. Out of fold, on rows that the models were not trained "
        f"on, this has precision {after['precision']:.2f} and recall "
        f"{after['recall']:.2f} (F1 {after['f1']:.2f}); the usual 0.5 on "
        f"{uncalibrated} has {before['precision']:.2f} and {before['recall']:.2f} "
        f"(F1 {before['f1']:.2f})."
    ]
    expected = [
        f"{name} about {mean:.2f} ({low:.2f} to {high:.2f})"
        for name, (mean, low, high) in scores.expected.items()
        if name in {"precision", "recall"}
    ]
    if expected:
        about.append(
            f"On new data expect {' and '.join(expected)}, as measured on rows "
            "that the threshold was not tuned on."
        )
    return about
