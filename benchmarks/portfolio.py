"""Which candidates come first? Learned from what `repository.py` measured.

    python benchmarks/portfolio.py repository

The list grows greedily: next is the candidate that adds most to the PR-AUC of the
ensemble, on rows never seen, per second that it takes, averaged over tables and with
all tables of a set counting as one. The list is judged on sets that it was not learned
from. The last columns say what the shipped order reaches with as many candidates.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from selection import Case, best_records, family, is_plain

from autoimb._catalogue import CATALOGUE
from autoimb._select.ensemble import MAX_MEMBERS, member_weights

PATIENCE = 0.5
"""Seconds, relative to those of a plain XGBoost, that count for nothing in the rate."""
SIZES = (4, 8, 12, 16)


def ensemble_score(case: Case, listed: list[int]) -> float:
    """Return the PR-AUC on unseen rows of the ensemble of some candidates."""
    scores = case.both[listed]
    order = np.argsort(-scores[:, 0], kind="stable")
    by = np.full(len(case.names), -np.inf)
    by[listed] = scores[:, 0]
    chosen = [i for i in best_records(case, by, MAX_MEMBERS) if np.isfinite(by[i])]
    differences = case.both[chosen, 1:] - scores[order[0], 1:]
    noise = float(np.mean(differences[1:].std(axis=1))) if len(chosen) > 1 else 0.0
    weights = member_weights(by[chosen], noise)
    return case.test_score(weights @ case.aligned[1][chosen] / weights.sum())


def cost(cases: list[Case], name: str) -> float:
    """Return a candidate's seconds relative to a plain XGBoost's: the median."""
    ratios = [
        case.seconds[case.names.index(name), 0]
        / case.seconds[case.names.index("xgboost"), 0]
        for case in cases
        if name in case.names
    ]
    return float(np.median(ratios))


def mean_over_sets(values: dict[str, float]) -> float:
    """Return the mean in which all tables of a set count as one."""
    return pd.Series(values).groupby(lambda name: name.split("-")[0]).mean().mean()


def scores_of(cases: list[Case], listed: list[str]) -> float:
    """Return the mean PR-AUC of the ensemble of the listed candidates."""
    return mean_over_sets(
        {
            case.name: ensemble_score(
                case, [case.names.index(n) for n in listed if n in case.names]
            )
            for case in cases
        }
    )


def learned(cases: list[Case], n: int) -> list[str]:
    """Return the first candidates, each the one with the highest gain per second."""
    names = [n for n in cases[0].names if all(n in case.names for case in cases)]
    costs = {name: cost(cases, name) for name in names}
    chosen: list[str] = []
    before = 0.0
    while len(chosen) < min(n, len(names)):
        found = {
            name: scores_of(cases, [*chosen, name])
            for name in names
            if name not in chosen
        }
        rate = {
            name: (score - before) / (PATIENCE + costs[name])
            for name, score in found.items()
        }
        best = max(rate, key=lambda name: rate[name])
        chosen.append(best)
        before = found[best]
    return chosen


def shipped(names: list[str]) -> list[str]:
    """Return plain candidates in the order of the catalogue's portfolio, about."""
    entries = CATALOGUE.entries["family"]
    return sorted(
        (name for name in names if is_plain(name)),
        key=lambda name: (
            sum(family(o) == family(name) for o in names[: names.index(name)]),
            entries.get(family(name).replace(" ", "_"), entries["xgboost"]).cost,
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patience", type=float, default=3.0)
    parser.add_argument("--without", nargs="*", default=[], help="families")
    args = parser.parse_args()
    global PATIENCE  # noqa: PLW0603
    PATIENCE = args.patience
    cases = [
        Case.read(path).without(args.without)
        for path in sorted(args.folder.glob("*.npz"))
    ]
    order = learned(cases, max(SIZES))
    print(f"learned from all {len(cases)} tables:\n")
    for place in range(len(order)):
        score = scores_of(cases, order[: place + 1])
        seconds = cost(cases, order[place])
        print(f"{place + 1:3} {order[place]:28} {seconds:6.2f} {score:.4f}")
    rows = {}
    for left_out in sorted({case.set for case in cases}):
        rest = [case for case in cases if case.set != left_out]
        own = [case for case in cases if case.set == left_out]
        of_rest = learned(rest, max(SIZES))
        rows[left_out] = {
            **{f"learned {n}": scores_of(own, of_rest[:n]) for n in SIZES},
            **{
                f"shipped {n}": scores_of(own, shipped(own[0].names)[:n]) for n in SIZES
            },
        }
        print(left_out, pd.Series(rows[left_out]).round(4).to_dict(), flush=True)
    table = pd.DataFrame(rows).T
    table.loc["mean"] = table.mean()
    print(table.round(4).to_string())


if __name__ == "__main__":
    main()
