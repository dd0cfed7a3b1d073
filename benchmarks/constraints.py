"""How often a constraint that a threshold was tuned for holds on new data.

    python benchmarks/constraints.py --draws 1000

Scores are the true posteriors of a population whose logits are normal, so what a cut
does to new rows is known and not estimated. In each draw of rows a rule picks a cut for
`PrecisionAtLeast` or `RecallAtLeast` with 90 % confidence, or says that none is sure.
A promise is broken where it picked one and the population does not keep to it. Printed
is, in percent of all draws, how often that happens (at most 10 is what was stated) and
how often a cut was picked, and the mean gain: the recall (precision) that it buys.

Rules, all of them on the one-sided Clopper-Pearson bound at each cut:

- ``soft``: as for other objectives, probabilities stand in for labels where there are
  fewer than 100 positives; the best of all cuts that pass. The probabilities are first
  made to sum to the positives of the draw, as a calibration would.
- ``labels``: the same on labels only.
- ``shipped``: labels only, and half of the doubt at each cut for a precision.
- ``sequence``: from the cut that probabilities say is the surest, downwards up to the
  first cut that fails (fixed-sequence testing, Angelopoulos et al. 2021,
  arXiv:2110.01052); full doubt at each cut. For a recall it is the rule ``labels``: the
  bound falls with every step.

A second table is on rows in groups of ten, as visits of patients are: the logit also
has an effect of the group that no score knows, and with an infinite effect the rows of
a group are copies of one. Rules there, all by `tune_threshold`:

- ``rows``: as if the rows were independent.
- ``shipped``: as many rows as have the same variance (`_threshold.independent_rows`).
- ``groups``: each group is worth one row.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, expit, logit

from autoimb import PrecisionAtLeast, RecallAtLeast
from autoimb._threshold.evidence import soft_labels
from autoimb._threshold.search import tune_threshold
from autoimb.exceptions import UnreachableConstraintWarning

DOUBT = 0.1
POSITIVES = (25, 50, 100, 250)
NODES = np.linspace(-8, 8, 40_001)
DENSITY = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
RULES = ("soft", "labels", "shipped", "sequence")


@dataclass(frozen=True)
class Population:
    """Rows whose logit of the posterior is normal, by what every cut does to them."""

    name: str
    mean: float
    sd: float

    @cached_property
    def posterior(self):
        return expit(self.mean + self.sd * NODES)

    @cached_property
    def prevalence(self):
        return float(DENSITY @ self.posterior)

    @cached_property
    def above(self):
        """Return the mass of rows and of positives from each node upwards."""
        masses = DENSITY, DENSITY * self.posterior
        return [np.cumsum(mass[::-1])[::-1] for mass in masses]

    def shares_at(self, cut):
        """Return precision and recall of calling rows positive from a cut on."""
        n_rows, hits = self.above
        i = min(np.searchsorted(self.posterior, cut), len(NODES) - 1)
        return hits[i] / n_rows[i], hits[i] / self.prevalence

    def draw(self, n_rows, rng):
        """Return falling posteriors and labels."""
        p = np.sort(expit(self.mean + self.sd * rng.normal(size=n_rows)))[::-1]
        return p, (rng.random(n_rows) < p).astype(int)


GOOD = Population("good ranking", -4, 2.5)
FAIR = Population("fair ranking", -4, 1.5)
WEAK = Population("weak ranking", -3, 0.5)
NONE = Population("next to no ranking", -3, 0.15)
CASES = [
    *((GOOD, PrecisionAtLeast(0.6)), (GOOD, PrecisionAtLeast(0.8))),
    *((FAIR, PrecisionAtLeast(0.3)), (WEAK, PrecisionAtLeast(0.12))),
    *((NONE, PrecisionAtLeast(0.06)), (GOOD, RecallAtLeast(0.8))),
    (FAIR, RecallAtLeast(0.8)),
]


def passing(goal, found, doubt):
    """Return which of the cuts pass, by the mass of positives (n,) of each row."""
    hits, n_alerts = found.cumsum(), np.arange(1, len(found) + 1)
    trials = n_alerts if goal.bounded == "precision" else hits[-1]
    misses = np.maximum(trials - hits, 0)
    left = np.ones(len(found))
    betainc(hits, misses + 1, goal.required, out=left, where=hits > 0)
    return left <= doubt


def best_records(goal, found, doubt):
    """Return how many rows the best cut that passes calls positive; 0 where none."""
    passes = passing(goal, found, doubt)
    if not passes.any():
        return 0
    n_alerts = np.arange(1, len(found) + 1)
    gain = found.cumsum() / (1 if goal.bounded == "precision" else n_alerts)
    return int(np.argmax(np.where(passes, gain, -1))) + 1


def walked(goal, y, proba):
    """Return the alerts of the last cut before the first failure, from the surest."""
    n_alerts = np.arange(1, len(y) + 1)
    surplus = proba.cumsum() - goal.required * n_alerts
    start = int(np.argmax(surplus / np.sqrt(n_alerts)))
    failing = np.flatnonzero(~passing(goal, y, DOUBT)[start:])
    n_passed = failing[0] if failing.size else len(y) - start
    return int(start + n_passed) if n_passed else 0


def picks(goal, posterior, y):
    """Return each rule's number of alerts."""
    n_found = y.sum()
    lift = brentq(lambda b: expit(logit(posterior) + b).sum() - n_found, -20, 20)
    proba = expit(logit(posterior) + lift)
    soft = soft_labels(y, np.column_stack([1 - proba, proba]), n_found)[:, 1]
    by_labels = best_records(goal, y, DOUBT)
    is_precision = goal.bounded == "precision"
    return {
        "soft": best_records(goal, soft, DOUBT),
        "labels": by_labels,
        "shipped": best_records(goal, y, goal.error_level),
        "sequence": walked(goal, y, proba) if is_precision else by_labels,
    }


def outcome(population, goal, posterior, n_alerts):
    """Return whether a promise was broken, whether it was made, and the gain."""
    if not n_alerts:
        return False, False, 0.0
    cut = posterior[n_alerts - 1 : n_alerts + 1].mean()
    precision, recall = population.shares_at(cut)
    if goal.bounded == "precision":
        return precision < goal.required, True, recall
    return recall < goal.required, True, precision


def simulated(population, goal, n_positives, n_draws):
    """Return (broken, made, gain) of each rule, on average over draws."""
    rng = np.random.default_rng(0)
    n_rows = round(n_positives / population.prevalence)
    totals = {rule: np.zeros(3) for rule in RULES}
    for _ in range(n_draws):
        posterior, y = population.draw(n_rows, rng)
        for rule, n_alerts in picks(goal, posterior, y).items():
            totals[rule] += outcome(population, goal, posterior, n_alerts)
    return {rule: total / n_draws for rule, total in totals.items()}


GROUP_SIZE = 10
GROUP_RULES = ("rows", "shipped", "groups")
GROUP_CASES = [
    (effect, goal)
    for effect in (0.0, 1.0, 3.0, np.inf)
    for goal in (PrecisionAtLeast(0.6), PrecisionAtLeast(0.3), RecallAtLeast(0.8))
]


def draw_groups(n_groups, effect, rng):
    """Return scores, labels and groups; with an infinite effect, rows are copies."""
    size = 1 if effect == np.inf else GROUP_SIZE
    logit_of_row = -4 + 2.5 * rng.normal(size=(n_groups, size))
    of_group = 0 if effect == np.inf else effect * rng.normal(size=(n_groups, 1))
    is_positive = rng.random((n_groups, size)) < expit(logit_of_row + of_group)
    repeats = GROUP_SIZE // size
    score = np.repeat(expit(logit_of_row), repeats, axis=1).ravel()
    y = np.repeat(is_positive, repeats, axis=1).ravel().astype(int)
    return score, y, np.repeat(np.arange(n_groups), GROUP_SIZE)


def group_picks(goal, score, y, groups):
    """Return each rule's cut; None where it finds none that is sure."""
    proba, one, rows = np.column_stack([1 - score, score]), np.ones(len(y)), {}
    rows["rows"] = SimpleNamespace(
        y=y, weight=one, multiplicity=one, units=np.arange(len(y))
    )
    rows["shipped"] = SimpleNamespace(y=y, weight=one, multiplicity=one, units=groups)
    tenth = one / GROUP_SIZE
    rows["groups"] = SimpleNamespace(
        y=y, weight=tenth, multiplicity=tenth, units=np.arange(len(y))
    )
    cuts = {}
    for rule, entries in rows.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnreachableConstraintWarning)
            how = {"pos": 1, "seed": 0, "n_draws": 1}
            try:
                cuts[rule] = tune_threshold(
                    entries, proba, proba, goal, **how
                ).rule.value
            except UnreachableConstraintWarning:
                cuts[rule] = None
    return cuts


def simulated_groups(effect, goal, n_groups, n_draws):
    """Return (broken, made, gain) of each rule, on average over draws."""
    rng = np.random.default_rng(0)
    score, y, _ = draw_groups(200_000, effect, rng)
    order = np.argsort(-score)
    score, hits = score[order], y[order].cumsum()
    totals = {rule: np.zeros(3) for rule in GROUP_RULES}
    for _ in range(n_draws):
        cuts = group_picks(goal, *draw_groups(n_groups, effect, rng))
        for rule, cut in cuts.items():
            if cut is None:
                continue
            n_alerts = max(1, np.searchsorted(-score, -cut, side="right"))
            shares = {
                "precision": hits[n_alerts - 1] / n_alerts,
                "recall": hits[n_alerts - 1] / hits[-1],
            }
            is_broken = shares[goal.bounded] < goal.required
            totals[rule] += is_broken, True, shares[goal.gained]
    return {rule: total / n_draws for rule, total in totals.items()}


def print_groups(n_draws):
    print("\n| effect | constraint | groups of 10 |", " | ".join(GROUP_RULES), "|")
    print("|--:|:--|--:|" + "--:|" * len(GROUP_RULES))
    for effect, goal in GROUP_CASES:
        asked = f"{goal.bounded} ≥ {goal.required:g}"
        for n_groups in (50, 200, 800):
            found = simulated_groups(effect, goal, n_groups, n_draws)
            cells = [
                f"{100 * broken:.1f} / {100 * made:.0f} ({gain:.3f})"
                for broken, made, gain in (found[rule] for rule in GROUP_RULES)
            ]
            row = [f"{effect:g}", asked, str(n_groups), *cells]
            print("|", " | ".join(row), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=1000)
    n_draws = parser.parse_args().draws
    print(f"Broken % / picked % (gain), {n_draws} draws, 90 % confidence.\n")
    print("| population | constraint | positives |", " | ".join(RULES), "|")
    print("|:--|:--|--:|" + "--:|" * len(RULES))
    for population, goal in CASES:
        asked = f"{goal.bounded} ≥ {goal.required:g}"
        for n_positives in POSITIVES:
            found = simulated(population, goal, n_positives, n_draws)
            cells = [
                f"{100 * broken:.1f} / {100 * made:.0f} ({gain:.3f})"
                for broken, made, gain in (found[rule] for rule in RULES)
            ]
            row = [population.name, asked, str(n_positives), *cells]
            print("|", " | ".join(row), "|", flush=True)
    print_groups(n_draws)


if __name__ == "__main__":
    main()
