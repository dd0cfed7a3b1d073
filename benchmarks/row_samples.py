"""How to weight a sample of the common class; what fold models on samples are worth.

    python benchmarks/row_samples.py FOLDER --out row_samples.jsonl --minutes 35
    python benchmarks/row_samples.py --table row_samples.jsonl

Models are fitted on all training rows of the rare class ("positives") and a sample of
the others, a share beta of them. The sampled rows weigh

- full: 1 / beta, which restores the shares of the classes;
- capped: at most 10;
- root: the square root of 1 / beta;
- none: 1, as if the sample were the whole table.

Eight models are fitted, each on seven of eight stratified parts of the training rows
and with a sample of its own; the same rows whatever their weights. Their probabilities
are shifted by what is known: the odds of the classes as the model saw them, against
those of the training rows. Beside them one model is fitted on all rows, and eight on
all rows of the parts where that takes no longer than `MOST_SECONDS` (first seed only).

Measured on unseen rows: PR-AUC, and log loss of the shifted probabilities and of those
mapped by the calibration that was fitted on out-of-fold scores. Tables are made, of the
kinds of `budget.py`, or real sets of FOLDER whose positives are thinned. Unseen rows
(and validation rows) of the others are thinned too, and weighted back to the shares of
the training table. The boosted models have 100 rounds, the forests 100 trees
(200 where one model is fitted on all rows).

One JSON line is written for every (table, seed, family, sample, weights) as it ends;
what is there already is not run again. `PASSES` says in which order.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from budget import MOST_INFORMATIVE, N_CLUSTERS, read_lines
from sklearn.metrics import average_precision_score

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.fit_predict import fit_steps, predict_codes
from autoimb._evaluate.problem import Problem
from autoimb._metrics.bootstrap import Draws, most_draws
from autoimb._metrics.calibration import fit_calibration
from autoimb._metrics.fold_ids import FoldIds
from autoimb._metrics.metrics import log_loss
from autoimb._strategy.strategy import Strategy
from autoimb._table.columns import CanonicalRows, as_rows, take
from autoimb._table.folds import make_folds
from autoimb._table.table import check_table

N_FOLDS, HOLD_OUT, CAP = 8, 0.35, 10.0
N_TREES, N_TREES_OF_ONE_FIT = 100, 200
MOST_OTHERS = 20_000  # rows of the others that are scored
N_TEST_POSITIVES = 1_000  # of a made table
MOST_SECONDS = 20.0  # of eight fits on all rows
FAMILIES: dict[str, dict[str, Any]] = {
    "logistic_regression": {"C": 0.1},
    "extra_trees": {},
    "random_forest": {},
    "hist_gradient_boosting": {"max_iter": N_TREES, "learning_rate": 0.1},
    "xgboost": {"n_estimators": N_TREES, "learning_rate": 0.1},
    "lightgbm": {"n_estimators": N_TREES, "learning_rate": 0.1},
    "catboost": {"iterations": N_TREES, "learning_rate": 0.15},
    "self_paced_ensemble": {},
}
QUICK = {
    "logistic_regression",
    "extra_trees",
    "hist_gradient_boosting",
    "xgboost",
    "lightgbm",
}
N_COLUMNS = {"bank_additional": 20, "mammography": 6, "satimage4": 36}
FORESTS = {"extra_trees", "random_forest"}
WEIGHTS = {
    "full": lambda one_over_beta: one_over_beta,
    "none": lambda _: 1.0,
    "capped": lambda one_over_beta: min(one_over_beta, CAP),
    "root": lambda one_over_beta: one_over_beta**0.5,
}
# Most telling first: seed, and arms of (rows of the others, weights).
PASSES = (
    (0, *[(n, w) for n in (10_000, 2_000) for w in ("full", "none")]),
    (0, (2_000, "capped"), (10_000, "capped")),
    (1, *[(n, w) for n in (10_000, 2_000) for w in ("full", "none")]),
    (0, (40_000, "full"), (40_000, "none")),
    (2, *[(n, w) for n in (10_000, 2_000) for w in ("full", "none")]),
    (0, (2_000, "root"), (10_000, "root")),
)


class Made(NamedTuple):
    """A made table: rows, columns, positives, noise, and share of swapped labels."""

    n_rows: int
    n_columns: int
    n_positives: int
    noise: float = 0.3
    swapped: float = 0.0
    """Share of the positives that look like others; as many others like positives."""


class Thinned(NamedTuple):
    """A real set, and how many positives its training rows hold."""

    name: str
    n_positives: int
    positive: str | None = None
    """None: all but the commonest class."""


TABLES: dict[str, Made | Thinned] = {
    "34 positives, 100,000 rows": Made(100_000, 41, 34),
    "1,790 positives": Made(186_000, 10, 1_790),
    "bank_additional, 200": Thinned("bank_additional", 200),
    "34 positives, label noise": Made(100_000, 41, 34, swapped=0.2),
    "mammography": Thinned("mammography", 169),
    "1,790 positives, label noise": Made(186_000, 10, 1_790, swapped=0.2),
    "bank_additional, 1,000": Thinned("bank_additional", 1_000),
    "300 positives, overlap": Made(60_000, 20, 300, noise=0.45),
    "34 positives": Made(321_000, 41, 34),
    "satimage4, 60": Thinned("satimage4", 60),
    "1,790 positives, overlap": Made(186_000, 10, 1_790, noise=0.5),
    "34 positives, overlap": Made(100_000, 41, 34, noise=0.5),
}


class Scored(NamedTuple):
    """Rows to be scored: their weights restore the shares of the training table."""

    X: CanonicalRows
    y: np.ndarray
    weight: np.ndarray


class Task(NamedTuple):
    """The training rows in eight parts, the validation rows of each, and test rows."""

    problem: Problem
    validation: tuple[np.ndarray, ...]
    test: Scored


def made_rows(kind, centres, sizes, rng):
    """Return rows and labels, `sizes` = (others, positives), as in `budget.table_of`.

    The last coordinates are noise.
    """
    y = np.repeat([0, 1], sizes)
    looks_like = y.copy()
    n_swapped = round(kind.swapped * sizes[1])
    # Others that look like positives are as rare among unseen rows as in training.
    n_others = rng.binomial(sizes[0], kind.swapped * kind.n_positives / kind.n_rows)
    looks_like[:n_others] = 1
    looks_like[len(y) - n_swapped :] = 0
    X = rng.normal(size=(len(y), kind.n_columns))
    cluster = rng.integers(N_CLUSTERS, size=len(y))
    n = centres.shape[-1]
    X[:, :n] = centres[looks_like, cluster] + kind.noise * X[:, :n]
    return X, y


def of_kind(kind: Made, seed: int):
    """Return training rows, labels, test rows, labels."""
    rng = np.random.default_rng(seed)
    n_informative = min(kind.n_columns, MOST_INFORMATIVE)
    centres = rng.uniform(-1, 1, (2, N_CLUSTERS, n_informative))
    train = made_rows(
        kind, centres, (kind.n_rows - kind.n_positives, kind.n_positives), rng
    )
    test = made_rows(kind, centres, (MOST_OTHERS, N_TEST_POSITIVES), rng)
    return *train, *test


def of_set(kind: Thinned, seed: int, folder: Path):
    """Return training rows, labels, and all other positives among the test rows."""
    data = pd.read_csv(folder / f"{kind.name}.csv.gz")
    target, X = data["target"], data.drop(columns="target")
    y = (target != target.mode()[0]).to_numpy().astype(int)
    rng = np.random.default_rng(seed)
    others = rng.permutation(np.flatnonzero(y == 0))
    positives = rng.permutation(np.flatnonzero(y == 1))
    n_others = round((1 - HOLD_OUT) * len(others))
    chosen = np.sort(np.r_[others[:n_others], positives[: kind.n_positives]])
    unseen = np.sort(np.r_[others[n_others:], positives[kind.n_positives :]])
    return X.iloc[chosen], y[chosen], X.iloc[unseen], y[unseen]


@cache
def task_of(name: str, seed: int, folder: Path) -> Task:
    kind = TABLES[name]
    if isinstance(kind, Made):
        X, y, X_test, y_test = of_kind(kind, seed)
    else:
        X, y, X_test, y_test = of_set(kind, seed, folder)
    table = check_table(as_rows(X), y, pos_label=1)
    folds = make_folds(table, N_FOLDS, random_state=seed, n_repeats=1)
    rng = np.random.default_rng([seed, 1])
    validation = tuple(
        thinned(f.val_idx, table.y, MOST_OTHERS // N_FOLDS, rng) for f in folds
    )
    test = thinned(np.arange(len(y_test)), y_test, MOST_OTHERS, rng)
    rows = take(table.schema.canonical(as_rows(X_test)), test)
    weight = to_shares(y_test[test], table.y)
    scored = Scored(rows, y_test[test], weight)
    return Task(Problem(table, CATALOGUE, folds, seed), validation, scored)


def thinned(rows, y, most_others, rng):
    """Return all positives among the rows, and at most so many of the others."""
    others = rng.permutation(rows[y[rows] == 0])[:most_others]
    return np.sort(np.r_[rows[y[rows] == 1], others])


def to_shares(y, y_train):
    """Return weights that give labels the class shares of the training rows."""
    ratio = np.bincount(y_train) / np.bincount(y)
    return ratio[y] * len(y) / len(y_train)


def built(problem, family, y, seed, n_trees):
    """Return an unfitted pipeline; forests get so many trees."""
    strategy = Strategy.of(CATALOGUE, family=(family, FAMILIES[family]))
    pipeline = problem.build(strategy, y, seed)
    if family in FORESTS:
        pipeline[-1].set_params(n_estimators=n_trees)
    return pipeline


def shifted(proba, odds):
    """Return probabilities whose odds of the positives are multiplied."""
    p = proba[:, 1] * odds / (proba[:, 1] * odds + proba[:, 0])
    return np.column_stack([1 - p, p])


def average_precision(scored: Scored, proba):
    return average_precision_score(scored.y, proba[:, 1], sample_weight=scored.weight)


def fitted_on(task, family, rows, weight, seed, n_trees=N_TREES):
    table = task.problem.table
    pipeline = built(task.problem, family, table.y[rows], seed, n_trees)
    return fit_steps(pipeline, take(table.X, rows), table.y[rows], weight)


def of_one_fit(task, family):
    """Return the scores of one model on all rows, and its seconds."""
    started = time.perf_counter()
    rows = np.arange(len(task.problem.table.y))
    pipeline = fitted_on(
        task, family, rows, None, task.problem.seed, N_TREES_OF_ONE_FIT
    )
    seconds = time.perf_counter() - started
    proba = predict_codes(pipeline, task.test.X, 2)
    return {
        "pr_auc": average_precision(task.test, proba),
        "log_loss": log_loss(task.test.y, proba, task.test.weight),
        "fit_seconds": seconds,
    }


def of_fold_models(task, family, n_others, weights):
    """Return the scores of the eight models and of their mean.

    Without `n_others` they are fitted on all rows of their parts.
    """
    table, seed = task.problem.table, task.problem.seed
    out_of_fold, test, raw_out_of_fold, raw_test, seconds = [], [], [], [], 0.0
    for number, fold in enumerate(task.problem.folds):
        rows, weight, odds = fold.train_idx, None, 1.0
        if n_others is not None:
            rng = np.random.default_rng([seed, number, n_others])
            rows = thinned(rows, table.y, n_others, rng)
            n_all = np.count_nonzero(table.y[fold.train_idx] == 0)
            of_other = WEIGHTS[weights](n_all / n_others)
            odds = of_other * n_others / n_all
            weight = np.where(table.y[rows] == 0, of_other, 1.0)
            weight = None if of_other == 1.0 else weight
        started = time.perf_counter()
        pipeline = fitted_on(task, family, rows, weight, task.problem.fold_seed(number))
        seconds += time.perf_counter() - started
        raw_out_of_fold.append(
            predict_codes(pipeline, take(table.X, task.validation[number]), 2)
        )
        raw_test.append(predict_codes(pipeline, task.test.X, 2))
        out_of_fold.append(shifted(raw_out_of_fold[-1], odds))
        test.append(shifted(raw_test[-1], odds))
    mean, raw_mean = np.mean(test, axis=0), np.mean(raw_test, axis=0)
    mapped, label = calibrated(task, np.concatenate(out_of_fold), mean)
    raw_mapped, _ = calibrated(task, np.concatenate(raw_out_of_fold), raw_mean)
    y, weight = task.test.y, task.test.weight
    return {
        "pr_auc": average_precision(task.test, mean),
        "pr_auc_unshifted": average_precision(task.test, raw_mean),
        "pr_auc_single": float(
            np.mean([average_precision(task.test, p) for p in test])
        ),
        "log_loss": log_loss(y, mean, weight),
        "log_loss_calibrated": log_loss(y, mapped, weight),
        "log_loss_calibrated_unshifted": log_loss(y, raw_mapped, weight),
        "calibration": label,
        "fit_seconds": seconds,
    }


def calibrated(task, out_of_fold, mean):
    """Return the mean of the models mapped by our calibration, and its label."""
    rows = np.concatenate(task.validation)
    y = task.problem.table.y[rows]
    weight = to_shares(y, task.problem.table.y)
    fold = np.repeat(np.arange(N_FOLDS), [len(v) for v in task.validation])
    folds = FoldIds(np.zeros_like(fold), fold, rows)
    draws = Draws.of(y, np.arange(len(y)), most_draws(len(y)), task.problem.seed)
    found, _ = fit_calibration(y, out_of_fold, weight, folds, 1, draws=draws)
    return found(mean), found.label


def key_of(line):
    names = ("table", "seed", "family", "n_others", "weights")
    return tuple(line[name] for name in names)


def is_slow(family, kind, seed, n_others, weights):
    """Whether a run is left out: what it takes would keep others from being run."""
    n_columns = kind.n_columns if isinstance(kind, Made) else N_COLUMNS[kind.name]
    if family == "hist_gradient_boosting":  # bins slowly with weights
        return weights not in {"none", "one fit", "folds"} and n_columns > 20
    if family == "random_forest":
        if weights == "one fit":
            return isinstance(kind, Made) and kind.n_rows > 70_000
        return n_others * n_columns > 100_000
    if family == "extra_trees" and weights == "one fit" and seed > 0:
        return isinstance(kind, Made) and kind.n_rows > 100_000
    return n_others > 10_000 and family not in QUICK


def runs_of_pass(tables, families, seed, *arms):
    """Yield the runs of a pass; the references come once a table and seed."""
    for table in tables:
        for family in families:
            for n, weights in ((0, "one fit"), *arms, (0, "folds")):
                if not is_slow(family, TABLES[table], seed, n, weights):
                    yield table, seed, family, n, weights


def measured(run, known, folder):
    """Return the line of a run, or None where it does not apply."""
    table, seed, family, n_others, weights = run
    task = task_of(table, seed, folder)
    y = task.problem.table.y
    if n_others > 0.7 * np.count_nonzero(y == 0) * (1 - 1 / N_FOLDS):
        return None
    share = float(np.mean(y))
    line = {
        **dict(
            zip(("table", "seed", "family", "n_others", "weights"), run, strict=True)
        ),
        "n_rows": len(y),
        "n_positives": int(y.sum()),
        "entropy": -share * np.log(share) - (1 - share) * np.log1p(-share),
    }
    one_fit = known.get((table, seed, family, 0, "one fit"), {})
    seconds = one_fit.get("fit_seconds", MOST_SECONDS)
    if weights == "folds" and (seed or seconds * N_FOLDS > MOST_SECONDS):
        return None
    if weights == "one fit":
        return line | of_one_fit(task, family)
    return line | of_fold_models(
        task, family, None if weights == "folds" else n_others, weights
    )


def differences(lines, of, against, figures):
    """Return paired differences (tables, figures), means over the seeds of a table.

    `of` and `against` tell of a line's (n_others, weights) whether it is meant. Log
    losses are in shares of the loss of the constant answer.
    """
    others = {
        (r["table"], r["seed"], r["family"], r["n_others"] * against.is_sampled): r
        for r in lines
        if against.holds(r)
    }
    by_table: dict[str, list[list[float]]] = {}
    for r in filter(of.holds, lines):
        n_others = r["n_others"] * against.is_sampled
        other = others.get((r["table"], r["seed"], r["family"], n_others))
        if other is not None:
            row = [figure_of(r, a) - figure_of(other, b) for a, b in figures]
            by_table.setdefault(r["table"], []).append(row)
    return {table: np.mean(rows, axis=0) for table, rows in by_table.items()}


class Arm(NamedTuple):
    """The runs with these weights, and with so many of the others (None: any)."""

    weights: str
    n_others: int | None = None

    @property
    def is_sampled(self):
        return self.weights in WEIGHTS

    def holds(self, line):
        is_size = self.n_others in {None, line["n_others"]}
        return is_size and line["weights"] == self.weights


def figure_of(line, name):
    if name == "seconds":
        return np.log10(line["fit_seconds"])
    value = line[name]
    return value / line["entropy"] if name.startswith("log_loss") else value


def mean_and_error(values):
    """Return the mean of the columns with standard errors over the rows, as cells."""
    values = np.asarray(list(values))
    if len(values) == 0:
        return []
    mean = values.mean(axis=0)
    if len(values) == 1:
        return [f"{m:+.3f}" for m in mean]
    error = values.std(axis=0, ddof=1) / len(values) ** 0.5
    return [f"{m:+.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True)]


def rows_of(lines, arms, against, figures, groups):
    """Yield a row of a table for every group of lines and arm that has any."""
    for label, chosen in groups(lines):
        for arm in arms:
            of_tables = differences(chosen, arm, against, figures)
            if of_tables:
                cells = mean_and_error(of_tables.values())
                head = [label, f"{arm.n_others:,}", arm.weights, str(len(of_tables))]
                yield "| " + " | ".join(head + cells) + " |"


def by_family(lines):
    for family in FAMILIES:
        chosen = [r for r in lines if r["family"] == family]
        yield CATALOGUE.get("family", family).label, chosen


def table_by_family(lines, weights, groups):
    """Yield a table: PR-AUC of the mean on samples less that of one fit."""
    yield "| | others |" + "".join(f" {label} |" for label, _ in by_family(lines))
    yield "|:--|--:|" + "--:|" * len(FAMILIES)
    for group, tables in groups.items():
        for n_others in SIZES:
            cells = []
            for _, chosen in by_family([r for r in lines if r["table"] in tables]):
                of_table = differences(
                    chosen, Arm(weights, n_others), Arm("one fit"), [RANKING]
                )
                cells += mean_and_error(of_table.values()) or [""]
            if any(cells):
                yield f"| {group} | {n_others:,} | " + " | ".join(cells) + " |"


def of_kinds():
    """Return the names of the tables of each kind."""
    made = {name: kind for name, kind in TABLES.items() if isinstance(kind, Made)}
    few = {name for name, kind in made.items() if kind.n_positives < 100}
    return {
        "made, 34 positives": few,
        "made, 300 and 1,790": made.keys() - few,
        "real": TABLES.keys() - made.keys(),
    }


RANKING = ("pr_auc", "pr_auc")
SIZES = (2_000, 10_000, 40_000)


def head_of(first, *columns):
    names = [first, "others", "weights", "tables", *columns]
    return (
        "| "
        + " | ".join(names)
        + " |\n|"
        + ":--|"
        + "--:|:--|"
        + "--:|" * (len(names) - 3)
    )


def in_markdown(lines):
    """Return the tables of a file of runs."""
    loss, single = ("log_loss", "log_loss"), ("pr_auc_single", "pr_auc_single")
    mapped = ("log_loss_calibrated", "log_loss_calibrated")
    weighted = [Arm(w, n) for n in SIZES for w in ("none", "capped", "root")]
    every = [Arm(w, n) for n in SIZES for w in WEIGHTS]
    against_full = rows_of(
        lines, weighted, Arm("full"), (single, RANKING, loss, mapped), by_family
    )
    figures = (RANKING, ("pr_auc_single", "pr_auc"), loss)
    figures = (*figures, ("log_loss_calibrated", "log_loss"), ("seconds", "seconds"))
    against_one = rows_of(lines, every, Arm("one fit"), figures, by_family)
    against_folds = rows_of(lines, every, Arm("folds"), (RANKING, mapped), by_family)
    losses = ("log loss, shifted", "log loss, calibrated")
    parts = [
        f"{len(lines):,} runs. Log losses are in shares of that of the constant "
        "answer; standard errors are over tables.",
        "\nAgainst full weights, on the same rows:\n",
        head_of("family", "PR-AUC, one model", "PR-AUC, mean of eight", *losses),
        *against_full,
        "\nEight fold models on samples, less one fit on all rows:\n",
        head_of(
            "family", "PR-AUC, mean of eight", "PR-AUC, one of them", *losses,
            "log10 of seconds, eight fits",
        ),
        *against_one,
        "\nEight fold models on samples, less eight on all rows:\n",
        head_of("family", "PR-AUC, mean of eight", losses[1]),
        *against_folds,
    ]  # fmt: skip
    for weights in ("none", "full"):
        parts += [
            "\nPR-AUC of the mean of eight fold models on samples, less that of one "
            f'fit on all rows; weights "{weights}":\n',
            *table_by_family(lines, weights, of_kinds()),
            "",
            *table_by_family(lines, weights, {name: [name] for name in TABLES}),
        ]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--out", type=Path, default=Path("row_samples.jsonl"))
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument(
        "--families", nargs="+", choices=FAMILIES, default=list(FAMILIES)
    )
    parser.add_argument("--passes", type=int, nargs="+", default=range(len(PASSES)))
    parser.add_argument("--minutes", type=float, default=np.inf)
    parser.add_argument("--table", type=Path, help="print a file of runs, run nothing")
    args = parser.parse_args()
    if args.table:
        print(in_markdown(read_lines(args.table)))
        return
    warnings.simplefilter("ignore")
    deadline = time.monotonic() + 60 * args.minutes
    known = {key_of(line): line for line in read_lines(args.out)}
    for number in args.passes:
        for run in runs_of_pass(args.tables, args.families, *PASSES[number]):
            kind = TABLES[run[0]]
            is_there = (
                isinstance(kind, Made) or (args.folder / f"{kind.name}.csv.gz").exists()
            )
            if run in known or not is_there:
                continue
            if time.monotonic() > deadline:
                return
            line = measured(run, known, args.folder)
            if line is None:
                continue
            known[run] = line
            with args.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
