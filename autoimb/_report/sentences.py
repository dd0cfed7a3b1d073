"""The outcome of a fit in sentences: the report's first screen."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING

import numpy as np

from autoimb._metrics.metrics import RankingMetric
from autoimb._report.fit_results import difference_of
from autoimb._report.formats import percent
from autoimb._select.ensemble import FEW_POSITIVES, has_few_positives
from autoimb._select.last_block import has_last_block
from autoimb._threshold.rules import ClassWeights, Cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from autoimb._fit.decision import Decision, DecisionScores
    from autoimb._fit.final_fit import RefitFailure
    from autoimb._fit.finish import RowTime
    from autoimb._fit.fitted_model import FittedModel
    from autoimb._metrics.bootstrap import Difference
    from autoimb._report.fit_results import FitResults
    from autoimb._strategy.strategy import Strategy


_LEVEL = 0.01  # a difference that is smaller, with its interval, is none
_ENOUGH_CANDIDATES = 8  # scored: with fewer the page says that time was short


def compared(one: str, other: str, difference: Difference) -> str:
    """Return which of two is ahead, or that they are level, or that it is not known.

    Ahead is one if no difference lies in the interval, as it is printed.
    """
    if not isfinite(difference.value):
        return f"{one} and {other} were not scored on the same folds"
    low, high = (round(end, 3) for end in difference.interval)
    figures = (
        f"({difference.value:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}, over "
        f"{difference.n_folds} folds)"
    )
    if max(abs(low), abs(high)) <= _LEVEL:
        return f"{one} is level with {other} {figures}"
    if low > 0 or high < 0:
        return f"{one} is {'ahead of' if low > 0 else 'behind'} {other} {figures}"
    return f"there are too few cases to tell {one} from {other} {figures}"


def _sentence(clause: str) -> str:
    """Return a clause as a sentence."""
    return f"{clause[:1].upper()}{clause[1:]}."


def sentences(results: FitResults) -> list[str]:
    """Return what was chosen, possible leaks, and what handling gained."""
    chosen, *rest = _about_selection(results)
    leaks = [f"{c.title.capitalize()}: {c.message}" for c in results.profile.leaks]
    return [chosen, *leaks, *rest]


def _about_selection(results: FitResults) -> list[str]:
    """Return what was chosen, what to expect of it, and what handling gained."""
    name, selection = results.space.label, results.selection
    if selection.winner.score is None:
        return [
            f"{name(selection.winner.strategy)} was fitted with its defaults: the time "
            "budget ended before any candidate was scored."
        ]
    refit_failure = results.finished.refit_failure
    if refit_failure is not None and refit_failure.is_replaced:
        return [_about_refit_failure(results, refit_failure)]
    about = [
        _about_winner(results),
        *_about_last_block(results),
        *_about_time(results),
        _about_handling(results),
    ]
    if len(selection.members) > 1:
        about.append(_about_ensemble(results))
    return [*about, _about_flowchart(results)]


def _about_last_block(results: FitResults) -> list[str]:
    """Return what the estimate is of, where it is not of all rows."""
    if not has_last_block(results.scoring):
        return []
    last = results.problem.folds[-1]
    return [
        f"That is the score of what the rows before {last.name.partition(' to ')[0]} "
        f"select, on the {len(last.val_idx):,} rows since then: a test on the future."
    ]


def _about_time(results: FitResults) -> list[str]:
    """Return that few candidates were scored, and which families were not, if so."""
    records = [r for r in results.records if r.status != "duplicate"]
    late = [r for r in records if r.status in {"timeout", "skipped"}]
    complete = results.candidates
    if not late or len(complete) >= _ENOUGH_CANDIDATES:
        return []
    scored = {r.strategy.family.name for r in complete}
    missed = dict.fromkeys(
        results.space.catalogue.get("family", r.strategy.family.name).label
        for r in late
        if r.strategy.family.name not in scored
    )
    told = f"Only {len(complete)} of {len(records)} candidates were scored in full"
    if missed:
        told += f", and none of {', '.join(missed)}"
    more = "memory" if all("memory" in r.reason for r in late) else "time"
    return [f"{told}. With more {more}, others may be better."]


def _about_ensemble(results: FitResults) -> str:
    """Return what the ensemble is made of, and how it compares with its best member."""
    members, winner = results.selection.members, results.selection.winner
    n_handled = sum(member.strategy.is_handled for member in members)
    handle = f"{n_handled or 'none'} of which handle{'s' * (n_handled == 1)}"
    gain = difference_of(results.score, winner.score)
    best = _single(results)
    about = (
        f"The ensemble averages the probabilities of {len(members)} candidates, "
        f"{handle} the imbalance."
    )
    if not (results.is_handled and winner is results.selection.baseline):
        told = compared("the ensemble", best, gain)
        about += f" {_sentence(told)}"  # else it is said above
    if gain.value > 0 or not has_few_positives(results.problem):
        return about
    return (
        f"{about} It was chosen although it is not better: with fewer than "
        f"{FEW_POSITIVES} rows of the smallest class scores cannot tell which "
        "candidate is best, and a mean of several is taken unless it is clearly behind."
    )


def about_fold_models(model: FittedModel) -> list[str]:
    """Return which members predict by their fold models, and why, if any do."""
    n_of: dict[str, int] = {}
    for member in model.members:
        if not member.is_refit:
            n_of[member.reason] = n_of.get(member.reason, 0) + 1
    is_mean = any(len(m.pipelines) > 1 for m in model.members if not m.is_refit)
    what = "the mean of {} fold models" if is_mean else "the model of {} last fold"
    n_members = len(model.members)
    return [
        f"{n} of {n_members} members {'predicts' if n == 1 else 'predict'} by "
        f"{what.format('its' if n == 1 else 'their')}, as {why}."
        if n_members > 1
        else f"The model predicts by {what.format('its')}, as {why}."
        for why, n in n_of.items()
    ]


def about_row_time(row_time: RowTime | None, n_too_slow: int = 0) -> list[str]:
    """Return what one row takes, where that was limited, and what was left out."""
    if row_time is None:
        return []
    more = "no more than" if row_time.is_kept else "more than"
    left_out = ""
    if n_too_slow:
        left_out = (
            f" {n_too_slow} complete candidate{'s' * (n_too_slow > 1)} would take "
            "longer alone, and took no part in the choice."
        )
    return [
        f"One row takes {row_time.ms:.1f} ms on this machine, {more} the "
        f"{row_time.max_ms:g} ms of max_predict_ms.{left_out}"
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


def _single(results: FitResults) -> str:
    """Return the winner's name, and why it is the winner if another has its score.

    A candidate without handling wins over one of its family that gains little by it.
    """
    winner = results.selection.winner
    best = max(record.mean for record in results.selection.finalists or (winner,))
    is_best = winner.mean >= best
    what = "best single candidate" if is_best else "simplest of the best candidates"
    return f"the {what}, {results.space.label(winner.strategy)}"


def answer_name(results: FitResults) -> str:
    """Return what predicts: a strategy's name, or an ensemble with its size."""
    members = results.selection.members
    if len(members) > 1:
        return f"an ensemble of {len(members)} models"
    return results.space.label(results.selection.winner.strategy)


def _about_winner(results: FitResults) -> str:
    """Return what was chosen, and what to expect of it on new data."""
    name = answer_name(results)
    what = "" if results.is_handled else ", and does nothing about the imbalance"
    chosen = _sentence(f"{name} was chosen{what}. {_expectation(results)}")
    honest = results.honest
    if honest.low <= honest.no_skill:
        chosen += (
            " The columns may say nothing of the class: no skill lies in that range."
        )
    return chosen


def _expectation(results: FitResults) -> str:
    """Return what to expect on new data, or what was measured where that is unknown."""
    honest, metric, score = results.honest, results.scoring.metric, results.score
    label = metric.label
    if not isfinite(honest.estimate):
        return f"Its cross-validated {label} is {score.mean if score else nan:.3f}"
    is_ranking = isinstance(metric, RankingMetric)
    span = "95 % interval" if is_ranking else "bootstrap range"
    return (
        f"On new data expect {label} about {honest.estimate:.3f} ({span} "
        f"{honest.low:.3f} to {honest.high:.3f}, no skill {honest.no_skill:.3f})"
    )


def _about_handling(results: FitResults) -> str:
    """Return what handling the imbalance gained: one comparison on the same rows."""
    winner, name = results.selection.winner, results.space.label
    label = f"By cross-validated {results.scoring.metric.label}"
    if results.is_handled:
        is_alone = len(results.selection.members) == 1
        other = results.selection.baseline
        subject = "the winner" if is_alone else "the ensemble"
        what = "the best candidate that does nothing about the imbalance"
        if other is None:
            return (
                "No candidate that does nothing about the imbalance was scored, so "
                "what handling it gains is not known."
            )
        gain = difference_of(results.score, other.score)
    else:
        what = "the best candidate that handles the imbalance"
        handled = [r for r in results.candidates if r.strategy.is_handled]
        if not handled:
            return "No candidate that handles the imbalance was scored on every fold."
        other, is_alone = handled[0], len(results.selection.members) == 1
        subject = "the winner" if is_alone else f"{_single(results)},"
        gain = results.compared(winner, other)
    clause = compared(subject, f"{what}, {name(other.strategy)}", gain)
    about = f"{label}, {clause}."
    if winner.row_sample != other.row_sample:
        about += (
            f" The two were trained on different rows: {winner.row_sample.name}, and "
            f"{other.row_sample.name}."
        )
    return about


def _about_flowchart(results: FitResults) -> str:
    """Return whether the scores agree with the flowchart's advice."""
    guide, space = results.recommendation, results.space
    letter, rest = guide.advice[0], guide.advice[1:]
    is_name = rest[:1].isupper()  # such as SMOTE
    advice = f"The flowchart advised: {letter if is_name else letter.lower()}{rest}"
    wanted = [seed for seed in guide.seeds if seed in space]
    if not wanted:
        return f"{advice}; none of its strategies is part of this search."
    why = space.reason_left_out(guide.seeds[0])
    left_out = f" {space.label(guide.seeds[0])} was not tried: {why}." if why else ""
    return f"{advice}{_about_advised(results, wanted)}{left_out}"


def _about_advised(results: FitResults, wanted: Sequence[Strategy]) -> str:
    """Return how the advised strategies of the space compare with the winner."""
    best = results.selection.winner
    tried = [results.record_of(seed) for seed in wanted]
    scored = [r for r in tried if r is not None and r.status == "complete"]
    if not scored:
        return "; none of its strategies was scored on every fold."
    were = "was" if len(scored) == 1 else "were"
    advice = f". Of its {len(wanted)} strategies {len(scored)} {were} scored"
    if best.number in {record.number for record in scored}:
        return f"{advice}; the best of them is {_single(results)}."
    first = max(scored, key=lambda record: record.mean)
    gap = compared(
        f"the best of them, {results.space.label(first.strategy)},",
        _single(results),
        results.compared(first, best),
    )
    return f"{advice}. {_sentence(gap)}"


def about_prior(decision: Decision) -> list[str]:
    """Return the class distribution that is expected, if it is not the table's."""
    shift, set_aside = decision.shift, decision.set_aside
    if shift is None:
        return []
    before = set_aside.for_prior(None).add_columns(np.array([shift.before]))[0]
    after = set_aside.add_columns(np.array([shift.after]))[0]
    labels = decision.all_classes.tolist()
    shares = [
        f"{label!r} {percent(new)} (table: {percent(old)})"
        for label, old, new in zip(labels, before, after, strict=True)
    ]
    return [
        f"Expected shares of the classes: {', '.join(shares)}. Probabilities, the "
        "threshold and the winner's figures are for these shares; the scores of the "
        "search are for the shares in the table."
    ]


def about_threshold(scores: DecisionScores) -> list[str]:
    """Return what the tuned threshold finds, and what its alerts are worth."""
    decision = scores.decision
    about = _about_rule(scores)
    if not about:
        return []
    if not scores.is_tuning_a_gain:
        about.append(
            f"Tuning the threshold for {decision.objective} did not help here."
        )
    if costs := scores.mean_costs:
        each = ", ".join(f"{1000 * c:,.4g} {how}" for how, c in costs.items())
        about.append(f"Costs per 1,000 rows: {each}.")
    expected = [
        f"{name} about {mean:.2f} ({low:.2f} to {high:.2f})"
        for name, (mean, low, high) in scores.expected.items()
        if name in {"precision", "recall"}
    ]
    if expected:
        about.append(
            f"On new data expect {' and '.join(expected)} of a threshold that is tuned "
            "on such rows: it was tuned on some of them and measured on the others."
        )
    return about


def _about_rule(scores: DecisionScores) -> list[str]:
    """Return what the tuned rule finds, and what the usual one does; none without."""
    decision = scores.decision
    rule, classes = decision.rule, decision.classes.tolist()
    is_of_mean = decision.calibrated.is_of_mean
    before = (
        "the mean of the models' probabilities"
        if is_of_mean
        else "probabilities before calibration"
    )
    where = "Both are out of fold: on rows that the models were not trained on."
    if isinstance(rule, Cut):
        label = classes[rule.pos]
        return [
            f"Alerting at a probability of {percent(rule.value)} or more finds "
            f"{_found(scores.at_threshold, label, scores.n_alerts[0])}. "
            f"The usual 50%, on {before}, finds "
            f"{_found(scores.at_default, label, scores.n_alerts[1])}. "
            f"{where}"
        ]
    if isinstance(rule, ClassWeights):
        tuned, usual = (
            _of_100(by["balanced_accuracy"])
            for by in (scores.at_threshold, scores.at_default)
        )
        return [
            f"With decision weights on the probabilities, {tuned} rows of a class are "
            f"found, averaged over the classes. "
            f"The most probable class, by {before}, finds {usual}. "
            f"{where} {_rarely_found(scores.counts, classes)}"
        ]
    return []


def _found(metrics: Mapping[str, float], label: object, n_alerts: float) -> str:
    """Return how many rows of the class of interest are found, and alerts right.

    With the number of alerts: a share of few of them says little.
    """
    if not n_alerts:
        return f"no row of class {label!r}, as there is no alert"
    n = max(1, round(n_alerts))
    return (
        f"{_of_100(metrics['recall'])} rows of class {label!r}, and "
        f"{_of_100(metrics['precision'])} alerts are right "
        f"({n:,} alert{'s' * (n > 1)}, F1 {metrics['f1']:.2f})"
    )


def _rarely_found(counts: NDArray[np.float64], classes: Sequence[object]) -> str:
    """Return of which class the smallest share of rows is found."""
    n_rows, n_called = counts.sum(axis=1), counts.sum(axis=0)
    known = np.flatnonzero(n_rows)
    code = int(known[(counts.diagonal()[known] / n_rows[known]).argmin()])
    found = counts[code, code]
    right = (
        f"{found:,.0f} of {n_called[code]:,.0f} rows called so are right"
        if round(n_called[code])
        else "no row is called so"
    )
    return (
        f"Found least often is class {classes[code]!r}: {found:,.0f} of "
        f"{n_rows[code]:,.0f} rows, and {right}."
    )


def _of_100(share: float) -> str:
    """Return a share as so many of 100, in whole numbers where that says enough."""
    each = 100 * share
    return (
        f"{each:.0f} of 100"
        if each in {0, 100} or 1 <= each <= 99
        else (f"{each:.3g} of 100")
    )
