"""What each entry of the catalogue is worth: one change at a time, on the same folds.

    python benchmarks/ablation.py FOLDER --out ablation.jsonl

Every resampler, class weight and loss at its default settings is put in front of a few
model families and compared with the same family and nothing done; every family stands
for itself. Larger sets are cut to a stratified sample. One JSON line is written for
every (set, strategy) as it ends; what is there already is not run again. The tables of
all lines are printed at the end, in Markdown.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from compare import machine, read_lines
from sklearn.model_selection import train_test_split

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import BASELINE
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.problem import Problem
from autoimb._evaluate.scoring import Scoring
from autoimb._execution.executors import submit_task
from autoimb._execution.opening import open_executor
from autoimb._execution.resources import Layout
from autoimb._metrics.scorers import resolve_metric
from autoimb._strategy.strategy import Strategy
from autoimb._table.folds import make_folds
from autoimb._table.profile import profile_table
from autoimb._table.table import check_table

HOSTS = ("logistic_regression", "extra_trees", "xgboost", "mlp")
"""Families that resamplers and weights are tried on: linear, forest, boosting, net."""
AXES = ("family", *BASELINE, "mixup")
REFERENCE = "xgboost"  # what families are compared with


@dataclass(frozen=True)
class Arm:
    """One strategy: a family, and at most one change to it."""

    axis: str
    entry: str
    host: str
    params: tuple[tuple[str, float], ...] = ()

    @property
    def name(self):
        settings = ", ".join(f"{k} {v:g}" for k, v in self.params)
        return f"{self.entry} ({settings})" if settings else self.entry

    def strategy(self):
        if self.axis == "family":
            return Strategy.of(CATALOGUE, family=self.entry)
        if self.axis == "mixup":
            return Strategy.of(CATALOGUE, family=(self.host, dict(self.params)))
        choice = (self.entry, dict(self.params))
        return Strategy.of(CATALOGUE, family=self.host, **{self.axis: choice})


def arms(hosts, strengths):
    """Return every arm: families first, since they hold what the others need."""
    families = CATALOGUE.entries["family"]
    chosen = [Arm("family", name, name) for name in families]
    nets = [name for name, family in families.items() if "mixup" in family.params]
    chosen += [Arm("mixup", "mixup", name, (("mixup", 0.2),)) for name in nets]
    for axis in BASELINE:
        for entry in CATALOGUE.entries[axis].values():
            if entry.name != BASELINE[axis]:
                chosen += [
                    Arm(axis, entry.name, host, params)
                    for host in hosts_of(axis, entry, families, hosts)
                    for params in settings_of(entry, strengths)
                ]
    return chosen


def hosts_of(axis, entry, families, hosts):
    """Return the families that an entry is tried on."""
    if axis == "loss":
        return [n for n, f in families.items() if f.loss_kind in entry.make]
    if axis == "resampler":
        takes = [n for n, f in families.items() if f.accepts(entry)]
        few = [n for n in takes if n in hosts and n != "mlp"]
        return takes if entry.batches else few
    return [n for n in hosts if "class_weight" in families[n].parameter_names]


def settings_of(entry, strengths):
    """Return the settings in which an entry is tried."""
    if "strength" in entry.params:
        return [(("strength", u),) for u in strengths]
    if "exponent" in entry.params:
        return [(("exponent", a),) for a in (0.5, 1.0)]
    return [()]


def read_problem(path, max_rows, n_folds, seed):
    """Return a set's evaluation problem and its profile."""
    data = pd.read_csv(path)
    if len(data) > max_rows:
        data, _ = train_test_split(
            data, train_size=max_rows, stratify=data["target"], random_state=seed
        )
    table = check_table(data.drop(columns="target"), data["target"].to_numpy())
    folds = [f for f in make_folds(table, n_folds, random_state=seed) if f.repeat == 0]
    return Problem(table, CATALOGUE, tuple(folds), seed), profile_table(table)


def reason_unsuitable(arm, profile):
    """Return why an arm does not apply to a set."""
    chosen = {"family": arm.host}
    if arm.axis in CATALOGUE.entries:
        chosen[arm.axis] = arm.entry
    entries = [CATALOGUE.get(axis, name) for axis, name in chosen.items()]
    reasons = [entry.reason_unsuitable(profile) for entry in entries]
    return next((reason for reason in reasons if reason), None)


def run_set(path, chosen, args, known):
    """Yield one line for every arm that is not known yet."""
    problem, profile = read_problem(path, args.max_rows, args.folds, args.seed)
    metric = resolve_metric("average_precision", problem.table.n_classes)
    scoring = Scoring.of(metric, problem.table, problem.folds, args.seed)
    name = path.name.split(".")[0]
    with (
        open_executor(None, Layout(args.jobs)) as executor,
        executor.share(problem) as handle,
    ):
        pending = {}
        for arm in chosen:
            if (name, arm.axis, arm.name, arm.host) in known:
                continue
            reason = reason_unsuitable(arm, profile)
            folds = () if reason else range(len(problem.folds))
            pending[arm] = (
                reason,
                [
                    submit_task(executor, args.limit, evaluate, s, n, handle)
                    for s in [arm.strategy()]
                    for n in folds
                ],
            )
        for arm, (reason, futures) in pending.items():
            yield {
                "set": name,
                "axis": arm.axis,
                "entry": arm.name,
                "host": arm.host,
                **outcome(reason, futures, scoring),
            }


def outcome(reason, futures, scoring):
    """Return what became of one arm."""
    if reason:
        return {"status": "left out", "reason": reason}
    try:
        results = [future.result() for future in futures]
    except Exception as error:  # noqa: BLE001
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    bad = [result for result in results if result.status != "ok"]
    if bad:
        return {"status": bad[0].status, "reason": bad[0].reason}
    score = scoring.score(results)
    return {
        "status": "ok",
        "score": score.mean,
        "se": score.standard_error,
        "fit_seconds": float(np.mean([r.fit_seconds for r in results])),
    }


def changes(lines):
    """Return the scored lines with their change against nothing done."""
    runs = pd.DataFrame([line for line in lines if line["status"] == "ok"])
    plain = runs[runs["axis"] == "family"].set_index(["set", "host"])["score"]
    reference = runs["host"].where(runs["axis"] != "family", REFERENCE)
    keys = pd.MultiIndex.from_arrays([runs["set"], reference])
    return runs.assign(change=runs["score"].to_numpy() - plain.reindex(keys).to_numpy())


def table_of_families(runs):
    """Return the Markdown table of families, best on average first."""
    of_axis = runs[runs["axis"] == "family"]
    lines = [
        "| family | change against XGBoost | sets | better | seconds a fit |",
        "|:--|--:|--:|--:|--:|",
    ]
    order = of_axis.groupby("entry")["change"].mean().sort_values(ascending=False)
    for entry in order.index:
        part = of_axis[of_axis["entry"] == entry]
        lines.append(
            f"| {entry} | {mean_and_se(part['change'])} | {len(part)} | "
            f"{(part['change'] > 0).sum()} | {part['fit_seconds'].median():.2f} |"
        )
    return "\n".join(lines)


def table_of_axis(runs, axis):
    """Return an axis's Markdown table: its change against none on every family."""
    of_axis = runs[runs["axis"] == axis]
    hosts = list(dict.fromkeys(of_axis["host"]))
    lines = [
        f"| {axis.replace('_', ' ')} | {' | '.join(hosts)} | sets |",
        "|:--|" + "--:|" * (len(hosts) + 1),
    ]
    order = of_axis.groupby("entry")["change"].mean().sort_values(ascending=False)
    for entry in order.index:
        part = of_axis[of_axis["entry"] == entry].groupby("host")["change"]
        cells = [
            mean_and_se(part.get_group(host)) if host in part.groups else ""
            for host in hosts
        ]
        lines.append(f"| {entry} | {' | '.join(cells)} | {part.size().max()} |")
    return "\n".join(lines)


def mean_and_se(change):
    """Return a mean over sets with its standard error, bold from two of them on."""
    mean, se = change.mean(), np.nan
    if len(change) > 1:
        se = change.std(ddof=1) / np.sqrt(len(change))
    cell = f"{mean:+.4f} ± {se:.4f}"
    return f"**{cell}**" if abs(mean) > 2 * se > 0 else cell


def table_of_seconds(runs):
    """Return the seconds of a fit: one row an entry, one column a set."""
    few = runs[(runs["axis"] == "family") | (runs["host"] == "logistic_regression")]
    grid = few.pivot_table("fit_seconds", ["axis", "entry"], "set", sort=False)
    lines = [
        f"| entry | {' | '.join(grid.columns)} |",
        "|:--|" + "--:|" * grid.shape[1],
    ]
    for (_, entry), row in grid.iterrows():
        cells = ["" if np.isnan(s) else f"{s:.2f}" for s in row]
        lines.append(f"| {entry} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("ablation.jsonl"))
    parser.add_argument("--axes", nargs="+", default=list(AXES))
    parser.add_argument("--hosts", nargs="+", default=list(HOSTS))
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--max-rows", type=int, default=6_000)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds of a fit")
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chosen = [a for a in arms(args.hosts, args.strengths) if a.axis in args.axes]
    paths = sorted(args.folder.glob("*.csv.gz"))
    for path in paths:
        if args.sets and path.name.split(".")[0] not in args.sets:
            continue
        lines = read_lines(args.out)
        known = {
            (r["set"], r["axis"], r["entry"], r["host"])
            for r in lines
            if r["status"] != "failed"
        }
        with args.out.open("a") as file:
            for line in run_set(path, chosen, args, known):
                file.write(json.dumps(line) + "\n")
                file.flush()
        print(f"{path.name}: done", flush=True)
    lines = read_lines(args.out)
    runs = changes(lines)
    tables = [table_of_axis(runs, axis) for axis in AXES[1:]]
    parts = [machine(), table_of_families(runs), *tables, table_of_seconds(runs)]
    print("\n\n".join(parts))
    for line in lines:
        if line["status"] not in ("ok", "left out"):
            print(f"{line['set']} {line['entry']} on {line['host']}: {line['reason']}")


if __name__ == "__main__":
    main()
