"""Does `honest_score_` say what happens on new data?

    python benchmarks/coverage.py FOLDER --splits 12 --time-budget 10

Every real data set in FOLDER is cut many times: a training table with 30 to 120 rows of
the rarer class, and its unused rows as new data. Each fit runs on one core; as many
run at once as there are cores. Printed are, per set and over all, the mean of

- the best cross-validated score minus the score on new data (what one would report),
- the same for the ensemble that predicts,
- the honest estimate minus the score on new data,

and how often the interval holds the score on new data.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from repository import MOST_ROWS, MOST_TEST_ROWS, read
from sklearn.metrics import average_precision_score

from autoimb import AutoImbalance

N_POSITIVES = (30, 60, 120)
MOST_OF = 0.65


def split(path: Path, seed: int):
    """Return training and new rows of one cut."""
    X, y = read(path)
    rng = np.random.default_rng(seed)
    positives, negatives = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    n = min(N_POSITIVES[seed % len(N_POSITIVES)], round(MOST_OF * len(positives)))
    n_others = round(n * len(negatives) / len(positives))
    n_others = min(n_others, MOST_ROWS - n, round(MOST_OF * len(negatives)))
    chosen = np.concatenate(
        [
            rng.choice(positives, n, replace=False),
            rng.choice(negatives, n_others, replace=False),
        ]
    )
    rest = rng.permutation(np.setdiff1d(np.arange(len(y)), chosen))[:MOST_TEST_ROWS]
    return X.iloc[chosen], y[chosen], X.iloc[rest], y[rest]


def measure(path: Path, seed: int, seconds: float) -> dict[str, float | str]:
    """Return what one fit promised, and what it kept."""
    X, y, X_new, y_new = split(path, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoImbalance(
            time_budget=seconds, pos_label=1, n_jobs=1, random_state=seed
        ).fit(X, y)
    honest = model.honest_score_
    return {
        "set": path.name.split(".")[0],
        "positives": int(y.sum()),
        "new": average_precision_score(y_new, model.predict_proba(X_new)[:, 1]),
        "best": model.best_score_,
        "honest": honest.estimate,
        "low": honest.low,
        "high": honest.high,
        "members": len(model.ensemble_),
    }


def table_of(runs: pd.DataFrame) -> str:
    """Return the Markdown table of errors and coverage."""
    runs = runs.assign(
        naive=runs["best"] - runs["new"],
        error=runs["honest"] - runs["new"],
        width=runs["high"] - runs["low"],
        is_held=(runs["low"] <= runs["new"]) & (runs["new"] <= runs["high"]),
    )
    lines = [
        "| | fits | best score too high by | honest estimate too high by "
        "| interval holds | its width |\n|:--|--:|--:|--:|--:|--:|"
    ]
    groups = [
        *runs.groupby("positives"),
        *runs.groupby("set"),
        ("**all**", runs),
    ]
    for name, rows in groups:
        label = f"{name} positives" if isinstance(name, int) else name
        lines.append(
            f"| {label} | {len(rows)} | {rows['naive'].mean():+.3f} "
            f"| {rows['error'].mean():+.3f} | {rows['is_held'].mean():.0%} "
            f"| {rows['width'].mean():.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--splits", type=int, default=12, help="of each set")
    parser.add_argument("--first-split", type=int, default=0, help="to go on from")
    parser.add_argument("--time-budget", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("coverage.csv"))
    args = parser.parse_args()
    jobs = [
        (path, seed)
        for seed in range(args.first_split, args.splits)
        for path in sorted(args.folder.glob("*.csv.gz"))
    ]
    found = Parallel(n_jobs=-1, verbose=1)(
        delayed(measure)(path, seed, args.time_budget) for path, seed in jobs
    )
    runs = pd.DataFrame(found)
    runs.to_csv(args.out, index=False)
    print(table_of(runs))


if __name__ == "__main__":
    main()
