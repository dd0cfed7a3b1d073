"""Compare AutoImbalance with plain baselines and other AutoML systems on real data.

    python benchmarks/compare.py FOLDER --budgets 30 --seeds 0 1 --out runs.jsonl
    python benchmarks/compare.py FOLDER --peers-python PEERS/bin/python

FOLDER holds tables `*.csv.gz` with a column `target`. Each is cut once a seed (35 %
stratified hold-out). Every fit has a process of its own, which never sees the labels of
the hold-out, and three times its budget and two minutes before it is ended. Peers live
in another environment, since they pin other versions of what autoimb needs too:

    python3 -m venv PEERS
    PEERS/bin/pip install torch==2.13.0 "flaml[automl]" \\
        "autogluon.tabular[lightgbm,catboost,fastai]"

One JSON line is written for every (system, set, seed, budget), as it ends; what is
there already is not run again, failures included. What was predicted is kept beside the
lines: `runs.jsonl` has its arrays in `runs.proba/`. `summary.py` makes the tables.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import peers
import systems
from sklearn.model_selection import train_test_split
from summary import METRICS, read_lines, report

from autoimb._metrics.metrics import metrics_at

HERE = Path(__file__).parent
SYSTEMS = systems.SYSTEMS | peers.SYSTEMS
HOLD_OUT = 0.35
PATIENCE, GRACE_SECONDS = 3, 120


class Run(NamedTuple):
    """What one line is about; the budget is None for systems that have none."""

    system: str
    set: str
    seed: int
    budget: float | None

    @property
    def file_name(self):
        """The name of the file with its predictions."""
        words = "-".join(str(part) for part in self).split()
        return f"{'_'.join(words)}.npz"


def read_split(path, seed):
    """Return X_train, X_test, y_train, y_test as codes; of two, the rarer is 1."""
    data = pd.read_csv(path, low_memory=False)
    y = np.unique(data.pop("target"), return_inverse=True)[1]
    X_train, X_test, y_train, y_test = train_test_split(
        data, y, test_size=HOLD_OUT, stratify=y, random_state=seed
    )
    if y.max() == 1 and y.mean() > 0.5:
        y_train, y_test = 1 - y_train, 1 - y_test
    return X_train, X_test, y_train, y_test


def command_of(run, folder, args):
    """Return the command that runs a system on a folder's tables."""
    script, python = HERE / "systems.py", sys.executable
    if run.system in peers.SYSTEMS:
        script, python = HERE / "peers.py", args.peers_python
    settings = {"budget": run.budget or 0, "seed": run.seed, "cpus": args.cpus}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return [python, script, run.system, folder, *flags]


def wait_for(command, seconds, log):
    """Run a command; raise if it fails, or takes longer and is ended."""
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no answer within {seconds:.0f} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):  # and whatever it started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code:
        log.seek(0)
        last = log.read().decode(errors="replace").strip().rpartition("\n")[-1]
        raise RuntimeError(last or f"exit status {code}")


def ask(run, split, args):
    """Return the probabilities and labels of a hold-out, and what was measured."""
    X_train, X_test, y_train, _ = split
    seconds = PATIENCE * (run.budget or max(args.budgets)) + GRACE_SECONDS
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        tempfile.TemporaryFile() as log,
    ):
        folder = Path(name)
        train = X_train.assign(target=y_train)
        for part, table in {"train": train, "test": X_test}.items():
            table.reset_index(drop=True).to_parquet(folder / f"{part}.parquet")
        wait_for(command_of(run, folder, args), seconds, log)
        with np.load(folder / "predictions.npz") as saved:
            proba, y_pred = saved["proba"], saved["y_pred"]
        return proba, y_pred, json.loads((folder / "result.json").read_text())


def line_of(run, split, args):
    """Return a run's result line; its predictions are saved on the way."""
    y = split[-1]
    try:
        proba, y_pred, measured = ask(run, split, args)
    except RuntimeError as error:
        return run._asdict() | {"error": str(error)}
    pos = 1 if proba.shape[1] == 2 else None
    scores = metrics_at(y, y_pred, proba, np.ones(len(y)), pos)
    if pos is None:
        scores["f1"] = scores["f1_macro"]
    kept = args.out.with_suffix(".proba")
    kept.mkdir(exist_ok=True)
    np.savez_compressed(
        kept / run.file_name,
        y_test=y,
        y_pred=y_pred,
        proba=(proba if pos is None else proba[:, pos]).astype(np.float32),
    )
    names = [name for name in (*METRICS, "roc_auc") if name in scores]
    known = {name: scores[name] for name in names} | measured
    return run._asdict() | known | {"predictions": run.file_name}


def runs_of(path, seed, args):
    """Return what is wanted of one cut of one table."""
    name = path.name.split(".")[0]
    budgets = {s: args.budgets if SYSTEMS[s].has_budget else [None] for s in SYSTEMS}
    return [
        Run(system, name, seed, budget)
        for system in args.systems
        for budget in budgets[system]
    ]


def said_of(line):
    """Return what is printed of a line."""
    head = f"{line['set']:18} {line['system']:22} seed {line['seed']} "
    if "error" in line:
        return head + line["error"]
    return head + (
        f"PR-AUC {line['average_precision']:.4f} F1 {line['f1']:.3f} "
        f"{line['fit_seconds']:.1f} s {line.get('winner', '')}"
    )


def machine():
    """Return what the runs of autoimb's own environment were made with."""
    names = ("autoimb", "scikit-learn", "imbalanced-learn", "xgboost", "torch")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"Python {platform.python_version()}; {packages}"
    )


def read_arguments():
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--budgets", type=float, nargs="+", default=[30.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS)
    parser.add_argument("--sets", nargs="+", help="names of tables; default: all")
    parser.add_argument("--peers-python", help="the peers' interpreter")
    parser.add_argument("--cpus", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path("runs.jsonl"))
    args = parser.parse_args()
    if args.systems is None:
        args.systems = list(SYSTEMS if args.peers_python else systems.SYSTEMS)
    if not args.peers_python and set(args.systems) & set(peers.SYSTEMS):
        parser.error("peers need --peers-python")
    return args


def main():
    """Run what is not known yet, then print the tables of all lines."""
    args = read_arguments()
    done = {tuple(line[f] for f in Run._fields) for line in read_lines(args.out)}
    paths = sorted(path for f in args.folders for path in f.glob("*.csv.gz"))
    for seed, path in product(args.seeds, paths):
        wanted = [run for run in runs_of(path, seed, args) if run not in done]
        if not wanted or (args.sets and wanted[0].set not in args.sets):
            continue
        split = read_split(path, seed)
        for run in wanted:
            line = line_of(run, split, args)
            with args.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(said_of(line), flush=True)
    print(f"\n{machine()}\n\n{report(args.out)}")


if __name__ == "__main__":
    main()
