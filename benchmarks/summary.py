"""Markdown tables of what `compare.py` measured.

    python benchmarks/summary.py runs.jsonl

For each budget: one table a metric (means over seeds, best in bold), then the PR-AUC of
AutoImbalance beside that of every other system. Standard errors are those of a paired
bootstrap over the rows of the hold-out, drawn class by class: they hold the luck of
which rows were held out, not that of which were trained on. A system that failed is
shown as failed and as beaten; means are over the sets that every system answered.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from autoimb._metrics.scorers import resolve_metric

OURS = "AutoImbalance"
N_DRAWS = 200
CLEAR = 2  # standard errors from which on a difference is called clear


class Column(NamedTuple):
    """How a metric is shown."""

    label: str
    digits: int = 4
    larger_is_better: bool = True


METRICS = {
    "average_precision": Column("PR-AUC"),
    "f1": Column("F1"),
    "mcc": Column("MCC"),
    "gmean": Column("G-mean"),
    "brier": Column("Brier", larger_is_better=False),
    "log_loss": Column("log loss", larger_is_better=False),
    "fit_seconds": Column("fit seconds", 1, larger_is_better=False),
    "predict_seconds": Column("predict seconds", 2, larger_is_better=False),
}


def read_lines(path):
    """Return the lines of a file as dicts; none if there is no file yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def markdown(rows, header):
    """Return a Markdown table of rows of text."""
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    lines.insert(1, "|:--" + "|--:" * (len(header) - 1) + "|")
    return "\n".join(lines)


def read_runs(path):
    """Return the lines as a table; one that failed is infinitely bad in everything."""
    runs = pd.DataFrame(read_lines(path))
    failed = runs.get("error", pd.Series(index=runs.index)).notna()
    for metric, column in METRICS.items():
        runs.loc[failed, metric] = -np.inf if column.larger_is_better else np.inf
    return runs


def table_of_metric(runs, metric):
    """Return one metric's table, the best of each row in bold."""
    column = METRICS[metric]
    order = list(dict.fromkeys(runs["system"]))
    means = runs.pivot_table(metric, "set", "system")[order]
    complete = means[np.isfinite(means).all(axis=1)]
    if len(complete):
        means.loc[f"**mean of {len(complete)}**"] = complete.mean()
    best = means.max(axis=1) if column.larger_is_better else means.min(axis=1)
    rows = [
        [name, *(cell(value, best[name], column.digits) for value in row)]
        for name, row in means.iterrows()
    ]
    return markdown(rows, [column.label, *order])


def cell(value, best, digits):
    """Return a number as text, in bold if it is shown like the best."""
    if not np.isfinite(value):
        return "" if np.isnan(value) else "failed"
    text = f"{value:.{digits}f}"
    return f"**{text}**" if text == f"{best:.{digits}f}" else text


@cache
def draws_of(path):
    """Return the PR-AUC of one hold-out on bootstrap draws, alike for all systems."""
    with np.load(path) as saved:
        y, proba = saved["y_test"], saved["proba"].astype(float)
    pos = None
    if proba.ndim == 1:
        proba, pos = np.column_stack([1 - proba, proba]), 1
    rng = np.random.default_rng(0)
    weights = np.zeros((N_DRAWS, len(y)))
    for rows in (np.flatnonzero(y == c) for c in np.unique(y)):
        shares = np.full(len(rows), 1 / len(rows))
        weights[:, rows] = rng.multinomial(len(rows), shares, size=N_DRAWS)
    metric = resolve_metric("average_precision", proba.shape[1])
    return metric.score_many(y, proba, weights, pos=pos)


def duel(runs, other, folder):
    """Return how far AutoImbalance is ahead of a system: a row a set, with its SE."""
    pairs = runs[runs["system"] == OURS].merge(
        runs[runs["system"] == other], on=["set", "seed"], suffixes=("", "_other")
    )
    ahead = pairs["average_precision"] - pairs["average_precision_other"]
    ses = [se_of(pair, folder) for pair in pairs.to_dict("records")]
    return (
        pairs.assign(ahead=ahead.fillna(0.0), se=ses)
        .groupby("set")
        .agg(ahead=("ahead", "mean"), se=("se", se_of_mean))
    )


def se_of(pair, folder):
    """Return the standard error of a difference on one hold-out; 0 after a failure."""
    scores = pair["average_precision"], pair["average_precision_other"]
    if not np.isfinite(scores).all():
        return 0.0
    names = pair["predictions"], pair["predictions_other"]
    ours, other = (draws_of(folder / name) for name in names)
    return np.std(ours - other, ddof=1)


def se_of_mean(ses):
    """Return the standard error of a mean of independent values."""
    return np.linalg.norm(ses) / max(len(ses), 1)


def table_of_duels(duels):
    """Return the table of AutoImbalance against every other system."""
    lines = []
    for other, sets in duels.items():
        known = sets[np.isfinite(sets["ahead"])]
        mean, se = known["ahead"].mean(), se_of_mean(known["se"])
        behind = sets.index[sets["ahead"] < -CLEAR * sets["se"]]
        lines.append(
            [
                other,
                f"{mean:+.4f} ± {se:.4f}" if len(known) else "",
                f"{(sets['ahead'] > CLEAR * sets['se']).sum()} of {len(sets)}",
                f"{(sets['ahead'] >= -sets['se']).sum()} of {len(sets)}",
                ", ".join(behind) or "none",
            ]
        )
    header = [
        f"{OURS} against",
        "mean difference of PR-AUC",
        f"ahead by {CLEAR} SE",
        "ahead or within 1 SE",
        f"behind by {CLEAR} SE",
    ]
    return markdown(lines, header)


def table_of_differences(duels):
    """Return each set's differences, clear ones in bold."""
    shown = {
        other: {name: difference(*row) for name, *row in sets.itertuples()}
        for other, sets in duels.items()
    }
    table = pd.DataFrame(shown).fillna("").sort_index()
    lines = [[name, *cells] for name, *cells in table.itertuples()]
    return markdown(lines, [f"PR-AUC of {OURS} less that of", *table.columns])


def difference(ahead, se):
    """Return a difference and its standard error as text, in bold if clear."""
    if not np.isfinite(ahead):
        return "other failed" if ahead > 0 else "failed"
    text = f"{ahead:+.4f} ± {se:.4f}"
    return f"**{text}**" if abs(ahead) > CLEAR * se else text


def section(runs, budget, folder):
    """Return the tables of one budget; systems without a budget stand beside it."""
    part = runs[runs["budget"].isna() | (runs["budget"] == budget)]
    tables = [table_of_metric(part, metric) for metric in METRICS]
    others = [name for name in part["system"].unique() if name != OURS]
    duels = {other: duel(part, other, folder) for other in others}
    duels = {other: sets for other, sets in duels.items() if len(sets)}
    if duels:
        tables += [table_of_duels(duels), table_of_differences(duels)]
    title = "### no budget" if np.isnan(budget) else f"### {budget:g} s"
    return "\n\n".join([title, *tables])


def versions(runs):
    """Return the versions that the systems were run in."""
    if "version" not in runs:
        return ""
    pairs = runs.dropna(subset="version").groupby("system", sort=False)["version"]
    return "; ".join(f"{name} {', '.join(seen.unique())}" for name, seen in pairs)


def report(path):
    """Return all tables of a file of lines."""
    runs = read_runs(path)
    folder = path.with_suffix(".proba")
    budgets = sorted(runs["budget"].dropna().unique()) or [np.nan]
    parts = [section(runs, budget, folder) for budget in budgets]
    return "\n\n".join([versions(runs), *parts])


def main():
    """Print all tables of a file of lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lines", type=Path)
    print(report(parser.parse_args().lines))


if __name__ == "__main__":
    main()
