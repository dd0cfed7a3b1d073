"""Does the interval of `honest_score_` hold the score on the whole population?

    python benchmarks/interval.py FOLDER --part 1/2 --out interval.jsonl
    python benchmarks/interval.py --again KEPT --out interval.jsonl
    python benchmarks/interval.py --table interval.jsonl

A hold-out of a few positives has noise of its own, so that misses of an interval and
noise of the hold-out look alike. Here the score on the population is known: made
populations give as many rows as are asked for, and of a real table with thousands of
positives, a training table takes a few hundred and leaves the others.

Populations named in `TUNING` are for choosing a method, the others for testing it. Each
training table has 15, 30, 60, 120 or 250 positives. Fits are untimed (`n_trials`), so
that two of these programs may run side by side (`--part 1/2`, `--part 2/2`); one JSON
line is written for each fit, and what is there already is not run again.

A line holds what the report says and what the population says. With `--keep FOLDER`,
out-of-fold scores are kept as well, so that another method can be tried on the same
fits: `--again FOLDER` estimates them anew with the code as it stands.
"""

from __future__ import annotations

import argparse
import json
import pickle
import warnings
from dataclasses import MISSING, fields, is_dataclass
from itertools import product, zip_longest
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import average_precision_score, precision_score, recall_score

from autoimb import AutoImbalance
from autoimb._evaluate.fit_predict import predict_codes
from autoimb._evaluate.refit import refit
from autoimb._evaluate.scoring import Scoring
from autoimb._execution.deadline import Deadline
from autoimb._metrics.bootstrap import standard_error
from autoimb._report.fit_results import difference_of
from autoimb._select.ensemble import EnsembleScoring
from autoimb._select.honest_score import honest_score

POSITIVES = (15, 30, 60, 120, 250)
PREVALENCE = 0.1
MOST_NEW_ROWS = 40_000
FAMILIES = ["logistic_regression", "k_neighbours", "xgboost"]
N_TRIALS = 10


# --- populations


def overlapping(rng, y):
    """Two Gaussian classes, one shifted in three of eight columns."""
    X = rng.normal(size=(len(y), 8))
    X[:, :3] += 0.9 * y[:, np.newaxis]
    return X


def clustered(rng, y):
    """Positives in three small clusters among the negatives, six columns."""
    centres = np.random.default_rng(1).normal(size=(3, 4))
    X = rng.normal(size=(len(y), 6))
    of = rng.integers(3, size=len(y))
    is_near = (y == 1) & (rng.random(len(y)) < 0.8)
    X[is_near, :4] = centres[of[is_near]] + 0.45 * X[is_near, :4]
    return X


def mislabelled(rng, y):
    """Well separated classes; every fifth positive looks like a negative."""
    X = rng.normal(size=(len(y), 6))
    is_seen = (y == 1) & (rng.random(len(y)) < 0.8)
    X[is_seen, :2] += 2.0
    return X


def categorical(rng, y):
    """Four columns of categories with other shares in each class, and two numbers."""
    made = {}
    for k in range(4):
        shares = np.random.default_rng(10 + k).dirichlet(np.ones(8), size=2)
        codes = np.where(
            y == 1,
            rng.choice(8, len(y), p=shares[1]),
            rng.choice(8, len(y), p=shares[0]),
        )
        made[f"category {k}"] = pd.Categorical.from_codes(codes, list("abcdefgh"))
    made |= {f"number {k}": rng.normal(size=len(y)) + 0.3 * y for k in range(2)}
    return pd.DataFrame(made)


def redundant(rng, y):
    """Thirty columns that repeat four with noise, and ten that say nothing."""
    core = rng.normal(size=(len(y), 4)) + 0.7 * y[:, np.newaxis]
    mixed = core @ np.random.default_rng(2).normal(size=(4, 30))
    noise = rng.normal(size=(len(y), 40))
    return np.hstack([mixed + 2.0 * noise[:, :30], noise[:, 30:]])


def crossed(rng, y):
    """The class depends on the product of two columns' signs."""
    X = rng.normal(size=(len(y), 5))
    is_told = rng.random(len(y)) < 0.75
    wanted = np.where(y == 1, 1.0, np.sign(rng.normal(size=len(y))))
    X[is_told, 1] = (np.abs(X[:, 1]) * np.sign(X[:, 0]) * wanted)[is_told]
    X[:, 2] += 0.5 * y
    return X


def heavy_tailed(rng, y):
    """Columns with heavy tails and other scales; some values are missing."""
    X = rng.standard_t(2.5, size=(len(y), 7)) * np.logspace(-2, 3, 7)
    X[:, :3] += (0.9 * y)[:, np.newaxis] * np.logspace(-2, 3, 7)[:3]
    X[rng.random(X.shape) < 0.05] = np.nan
    return X


def noisy(rng, y):
    """One column that says a little, eleven that say nothing."""
    X = rng.normal(size=(len(y), 12))
    X[:, 0] += 0.8 * y
    return X


def ringed(rng, y):
    """Positives on a shell around the negatives, and one column with a trend."""
    X = rng.normal(size=(len(y), 4))
    length = np.linalg.norm(X, axis=1, keepdims=True)
    radius = 2.9 + 0.5 * rng.normal(size=(len(y), 1))
    X = np.where((y == 1)[:, np.newaxis], X / length * radius, X)
    return np.column_stack([X, expit(rng.normal(size=len(y))) + 0.1 * y])


TUNING = {
    "overlapping": overlapping,
    "clustered": clustered,
    "mislabelled": mislabelled,
    "categorical": categorical,
    "redundant": redundant,
}
TESTING = {
    "crossed": crossed,
    "heavy-tailed": heavy_tailed,
    "noisy": noisy,
    "ringed": ringed,
}
REAL = ("bank_additional",)
"""Tables that leave 1,500 positives or more; they are for testing."""


def made_tables(name, n_positives, seed):
    """Return a training table of a made population, and new rows of it."""
    make, parts = (TUNING | TESTING)[name], []
    for part, n in enumerate((n_positives, round(PREVALENCE * MOST_NEW_ROWS))):
        rng = np.random.default_rng([seed, n_positives, part])
        y = (np.arange(round(n / PREVALENCE)) < n).astype(int)
        parts += [make(rng, y), y]
    return parts


def real_tables(path, n_positives, seed):
    """Return a training table cut from a real one, and its other rows."""
    data = pd.read_csv(path, low_memory=False)
    y = np.unique(data.pop("target"), return_inverse=True)[1]
    y = 1 - y if y.mean() > 0.5 else y
    rng = np.random.default_rng([seed, n_positives])
    n_others = round(n_positives * (1 - y.mean()) / y.mean())
    chosen = np.concatenate(
        [
            rng.choice(np.flatnonzero(y == code), n, replace=False)
            for code, n in ((1, n_positives), (0, n_others))
        ]
    )
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    return data.iloc[chosen], y[chosen], data.iloc[rest], y[rest]


# --- one fit


class Watched(AutoImbalance):
    """An `AutoImbalance` that keeps what its fit measured."""

    def _set_fitted(self, results):
        self.results_ = results
        return super()._set_fitted(results)


def of_baseline(results, model, X_new, y_new):
    """Return the baseline's score, the paired error of the difference, and the truth.

    None without a baseline, or where the baseline is the winner.
    """
    baseline, problem = results.selection.baseline, results.problem
    if baseline is None or baseline is results.selection.winner:
        return None
    difference = difference_of(results.score, baseline.score)
    pipeline, _ = refit(baseline.strategy, problem)
    proba = predict_codes(pipeline, model._schema.canonical(X_new), 2)
    truth = average_precision_score(y_new, proba[:, problem.table.pos])
    return rounded([baseline.mean, difference.standard_error, truth])


def rounded(values, digits=4):
    """Return numbers that take little room in a file."""
    return [None if not np.isfinite(v) else round(float(v), digits) for v in values]


def kept(results, proba):
    """Return what other methods need of a fit, as bytes.

    Another estimate needs the out-of-fold scores of all candidates, another truth (of
    another metric, say) the probabilities `proba` (n_new,) of the new rows, in order.
    """
    return pickle.dumps(
        {
            "proba_new": proba.astype(np.float32),
            "problem": results.problem,
            "records": results.records,
            "candidates": results.candidates,
            "selection": results.selection,
            "metric": results.scoring.metric,
            "counts": results.scoring.counts,
            "decision": results.decision,
        }
    )


def on_as_many(y_new, proba, n_rows):
    """Return the score on one new table of so many rows, with as many positives."""
    rng, rows = np.random.default_rng(0), []
    for code in (0, 1):
        of_class = np.flatnonzero(y_new == code)
        n = round(n_rows * len(of_class) / len(y_new))
        rows.append(rng.choice(of_class, n, replace=False))
    rows = np.concatenate(rows)
    return average_precision_score(y_new[rows], proba[rows])


def measured(tables, seed):
    """Return what one fit said of new rows, what they say, and what may be kept."""
    X, y, X_new, y_new = tables
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Watched(
            n_trials=N_TRIALS,
            families=FAMILIES,
            n_jobs=1,
            pos_label=1,
            random_state=seed,
        ).fit(X, y)
    results, honest = model.results_, model.honest_score_
    proba = model.predict_proba(X_new)[:, 1]
    labels = (proba >= model.threshold_).astype(int)
    winner = model.report().data.winner
    line = {
        "truth": average_precision_score(y_new, proba),
        "estimate": honest.estimate,
        "low": honest.low,
        "high": honest.high,
        "on_as_many": rounded(honest.on_new_rows(len(y))),
        "truth_on_as_many": on_as_many(y_new, proba, len(y)),
        "cross_validated": results.score.mean,
        "rows_standard_error": standard_error(results.score.drawn),
        "members": len(model.ensemble_),
        "rows": len(y),
        "candidates": int((model.leaderboard_.status == "complete").sum()),
        "baseline": of_baseline(results, model, X_new, y_new),
        "precision": precision_score(y_new, labels, zero_division=0.0),
        "recall": recall_score(y_new, labels),
        "expected": {k: rounded(v) for k, v in (winner.expected or {}).items()},
    }
    return line, kept(results, proba)


class KeptFits(pickle.Unpickler):
    """Reads fits whose classes have got more fields since, at their end: defaults."""

    def find_class(self, module, name):
        found = super().find_class(module, name)
        if is_dataclass(found) and "__slots__" in vars(found):
            found.__setstate__ = set_fields
        return found


def set_fields(value, state):
    """Set the fields of a frozen dataclass with slots, those not in `state` as made."""
    for field, known in zip_longest(fields(value), state, fillvalue=MISSING):
        content = field.default if known is MISSING else known
        object.__setattr__(value, field.name, content)


def estimated_again(line, folder):
    """Return a line with the estimate of a kept fit by the code as it stands."""
    name = f"{line['population']}-{line['positives']}-{line['seed']}.pickle"
    with (folder / name).open("rb") as file:
        fit = KeptFits(file).load()
    problem = fit["problem"]
    scoring = Scoring(fit["metric"], problem.table, problem.folds, fit["counts"])
    ensemble_scoring = EnsembleScoring(problem, scoring)
    honest = honest_score(
        fit["candidates"], fit["selection"], ensemble_scoring, Deadline(None)
    )
    return line | {
        "estimate": honest.estimate,
        "low": honest.low,
        "high": honest.high,
        "on_as_many": rounded(honest.on_new_rows(line["rows"])),
    }


# --- coverage


def table_of(lines):
    """Return coverage, width and bias by positives, of the interval as it is."""
    runs = pd.DataFrame(lines)
    runs["held"] = (runs.low <= runs.truth) & (runs.truth <= runs.high)
    runs["width"] = runs.high - runs.low
    runs["error"] = runs.estimate - runs.truth
    ends, truth = np.array(runs.on_as_many.tolist()), runs.truth_on_as_many
    held = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    runs["held_on_new"] = held.astype(float).where(truth.notna())
    runs["use"] = np.where(runs.population.isin(TUNING), "tuning", "testing")
    rows = [
        "| populations | positives | fits | interval holds | ± | width | bias "
        "| on a new table |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (use, n), of in runs.groupby(["use", "positives"]):
        held = of.held.mean()
        error = np.sqrt(held * (1 - held) / len(of))
        rows.append(
            f"| {use} | {n} | {len(of)} | {held:.1%} | {error:.1%} "
            f"| {of.width.mean():.3f} | {of.error.mean():+.3f} "
            f"| {of.held_on_new.mean():.1%} |"
        )
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="of the real tables")
    parser.add_argument(
        "--seeds", type=int, default=40, help="fits of each kind, for testing"
    )
    parser.add_argument(
        "--tuning-seeds", type=int, default=10, help="fits of each kind, for tuning"
    )
    parser.add_argument(
        "--positives", type=int, nargs="*", default=POSITIVES, help="bands to run"
    )
    parser.add_argument("--part", default="1/1", help="which of how many programs")
    parser.add_argument("--out", type=Path, default=Path("interval.jsonl"))
    parser.add_argument("--keep", type=Path, help="folder for what other methods need")
    parser.add_argument("--again", type=Path, help="folder of fits to estimate anew")
    parser.add_argument("--table", type=Path, help="print a file of runs, run nothing")
    args = parser.parse_args()
    if args.table:
        print(table_of(map(json.loads, args.table.read_text().splitlines())))
        return
    if args.again:
        lines = map(json.loads, args.out.read_text().splitlines())
        texts = [json.dumps(estimated_again(line, args.again)) for line in lines]
        args.out.write_text("\n".join(texts) + "\n", encoding="utf-8")
        return
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    part, n_parts = map(int, args.part.split("/"))
    known = set()
    if args.out.exists():
        for text in args.out.read_text().splitlines():
            line = json.loads(text)
            known.add((line["population"], line["positives"], line["seed"]))
    real = {name: args.folder / f"{name}.csv.gz" for name in REAL if args.folder}
    jobs = [
        (seed, n, name)
        for seed, n in product(
            range(max(args.seeds, args.tuning_seeds)), args.positives
        )
        for name in (*TUNING, *TESTING, *real)
        if seed < (args.tuning_seeds if name in TUNING else args.seeds)
    ]
    for place, (seed, n, name) in enumerate(jobs):
        if place % n_parts != part - 1 or (name, n, seed) in known:
            continue
        tables = (
            real_tables(real[name], n, seed)
            if name in real
            else made_tables(name, n, seed)
        )
        line = {"population": name, "positives": n, "seed": seed}
        told, fit = measured(tables, seed)
        line |= told
        if args.keep:
            (args.keep / f"{name}-{n}-{seed}.pickle").write_bytes(fit)
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
