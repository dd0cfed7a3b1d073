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
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, expit, logit

from autoimb import PrecisionAtLeast, RecallAtLeast
from autoimb._threshold.evidence import soft_labels

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


if __name__ == "__main__":
    main()
