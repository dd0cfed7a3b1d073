"""Measure the search engine: overhead, throughput, growth with rows, start-up.

    python benchmarks/engine.py overhead FOLDER/mammography.csv.gz
    python benchmarks/engine.py throughput FOLDER/mammography.csv.gz
    python benchmarks/engine.py growth 1000 10000 100000 1000000
    python benchmarks/engine.py start

Every fit runs in a process of its own, and nothing else should run on the machine.
Tables are printed in Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import threading
import time
import timeit
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

POLL_SECONDS = 0.2
SWITCHES = {
    "everything on": (),
    "no racing": ("racing",),
    "no encoded folds kept": ("cache",),
    "no samples": ("sample",),
    "rounds not chosen": ("rounds",),
    "all off": ("racing", "cache", "sample", "rounds"),
}


def switched_off(names):
    """Turn parts of the engine off, in this process and before the workers start."""
    from autoimb import _estimator
    from autoimb._catalogue import CATALOGUE
    from autoimb._evaluate import row_sample as _row_samples
    from autoimb._search import racing as _race

    if "racing" in names:
        _race._MIN_MINORITY = float("inf")
    if "cache" in names:
        _estimator._CACHE_BYTES = 0
    if "sample" in names:
        _row_samples._SMALLEST = float("inf")
    if "rounds" in names:
        for family in CATALOGUE.entries["family"].values():
            object.__setattr__(family, "staged_proba", "")


class PeakMemory(threading.Thread):
    """Watches the memory of this process and its children; shared pages count once."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.largest = 0.0, 0.0

    def run(self):
        import psutil

        here = psutil.Process()
        while True:
            processes = [here, *here.children(recursive=True)]
            taken = [0.0]
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    taken.append(process.memory_full_info().pss)
            self.peak = max(self.peak, sum(taken))
            self.largest = max(self.largest, *taken)
            time.sleep(POLL_SECONDS)


def table_of(source, seed=0):
    """Return X and y: a file with a column "target", or so many made rows."""
    if Path(source).exists():
        frame = pd.read_csv(source)
        return frame.drop(columns="target"), frame["target"]
    from sklearn.datasets import make_classification

    return make_classification(
        int(source),
        n_features=30,
        n_informative=10,
        n_redundant=5,
        weights=[0.99],
        flip_y=0.001,
        class_sep=0.8,
        random_state=seed,
    )


def fit_once(args):
    """Fit one table and print what was measured, as JSON."""
    from autoimb import AutoImbalance, _estimator
    from autoimb._execution import executors as _execution

    switched_off(args.off)
    X, y = table_of(args.source)
    seen, ready = {}, []
    original, open_pool = _estimator.search, _execution.WorkerPool.__init__

    def opened(pool, n_workers, n_threads=1):
        open_pool(pool, n_workers, n_threads)
        # The first thing that a worker does once it has loaded what it needs.
        for _ in range(n_workers):
            pool.submit(time.monotonic).add_done_callback(
                lambda future: ready.append(future.result())
            )

    def search(space, first, *, deadline, context, on_progress, **rest):
        def watch(progress):
            if progress.best is not None:
                seen.setdefault("first model", progress.elapsed)
            return on_progress(progress)

        outcome = original(
            space, first, deadline=deadline, context=context, on_progress=watch, **rest
        )
        elapsed, began = deadline.elapsed_s, deadline.started
        asked = elapsed - outcome.seconds
        seen["start-up"] = max([asked, *(moment - began for moment in ready)])
        seen["search"], seen["cpu"] = elapsed - seen["start-up"], outcome.cpu_seconds
        seen["workers"] = context.n_workers
        seen["cores"] = context.n_workers * context.problem.n_threads
        return outcome

    _estimator.search = search
    _execution.WorkerPool.__init__ = opened
    memory = PeakMemory()
    if args.memory:
        memory.start()
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoImbalance(
            time_budget=args.time_budget, n_jobs=args.n_jobs, random_state=args.seed
        ).fit(X, y)
    wall = time.monotonic() - started
    status = model.leaderboard_["status"].value_counts().to_dict()
    seen |= {
        "wall": wall,
        "tail": wall - seen["start-up"] - seen["search"],
        "status": status,
        "unused": max(0.0, args.time_budget - wall),
        "cut off": model.report().data.search.cut_off_seconds,
        "judged": sum(status.get(s, 0) for s in ("complete", "dropped", "failed")),
        "best": model.best_score_,
        "winner": str(model.best_strategy_),
        "memory": memory.peak,
        "largest": memory.largest,
        "data": X.shape[0] * X.shape[1] * 8,
    }
    print(json.dumps(seen))


def measured(source, args, off=(), *, memory=False):
    """Return what `fit_once` measures, in a process of its own.

    To watch the memory takes some of a core, so that it is watched only where asked.
    """
    command = [sys.executable, __file__, "fit", str(source)]
    command += ["--time-budget", str(args.time_budget), "--seed", str(args.seed)]
    command += ["--n-jobs", str(args.n_jobs), "--off", *off]
    command += ["--memory"] if memory else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def overhead(args):
    """Print where the wall time of a fit goes."""
    rows = {}
    for source in args.sources:
        seen = measured(source, args)
        rows[Path(source).name.partition(".")[0]] = {
            "wall s": seen["wall"],
            "start-up s": seen["start-up"],
            "search s": seen["search"],
            "search s x cores / CPU s of candidates": seen["search"]
            * seen["cores"]
            / seen["cpu"],
            "tail s": seen["tail"],
            "candidates": seen["judged"],
            "unused s": seen["unused"],
            "cut off s": seen["cut off"],
            "waste %": 100 * (seen["unused"] + seen["cut off"]) / args.time_budget,
        }
    print_table("data", rows)


def throughput(args):
    """Print candidates a minute with each part of the engine switched off in turn."""
    for source in args.sources:
        rows = {}
        for name, off in SWITCHES.items():
            seen = measured(source, args, off)
            rows[name] = {
                "judged a minute": 60 * seen["judged"] / seen["search"],
                "complete": seen["status"].get("complete", 0),
                "dropped early": seen["status"].get("dropped", 0),
                "best PR-AUC": seen["best"],
            }
        print_table(Path(source).name.partition(".")[0], rows)


def growth(args):
    """Print how time and memory grow with the number of rows."""
    rows = {}
    for source in args.sources:
        seen = measured(source, args, memory=True)
        rows[f"{int(source):,} rows"] = {
            "first complete model s": seen.get("first model", float("nan")),
            "judged a minute": 60 * seen["judged"] / seen["search"],
            "wall s": seen["wall"],
            "peak GB": seen["memory"] / 1e9,
            "of one process GB": seen["largest"] / 1e9,
            "4 x data + 0.6 GB a worker": (4 * seen["data"] + 6e8 * seen["workers"])
            / 1e9,
            "PR-AUC": seen["best"],
            "winner": seen["winner"],
        }
    print_table("table", rows)


def start(args):
    """Print what importing costs, and predicting one row."""
    libraries = "import sklearn.ensemble, pandas"
    seconds = {
        what: min(
            timeit.repeat(
                lambda code=code: subprocess.run(
                    [sys.executable, "-c", code], check=True
                ),
                number=1,
                repeat=7,
            )
        )
        for what, code in {
            "import autoimb": "import autoimb",
            "importing scikit-learn's ensembles and pandas": libraries,
        }.items()
    }
    print_table("start", {name: {"s": value} for name, value in seconds.items()})
    one_row(args)


def one_row(args):
    """Print the seconds of `predict_proba` on one row, beside the bare pipeline's."""
    from autoimb import AutoImbalance

    X, y = table_of("3000")
    rows = {}
    for family in ("logistic_regression", "xgboost", "random_forest"):
        model = AutoImbalance(
            n_trials=1, families=family, cv=2, n_jobs=1, random_state=args.seed
        ).fit(X, y)
        mine, alone = (
            min(timeit.repeat(partial(m.predict_proba, X[:1]), number=20))
            for m in (model, model.best_pipeline_)
        )
        rows[family] = {
            "model ms": 50 * mine,
            "pipeline ms": 50 * alone,
            "ratio": mine / alone,
        }
    print_table("one row", rows)


def ensemble(args):
    """Print the seconds of one row's `predict_proba` by what wins on some tables."""
    from autoimb import AutoImbalance

    rows = {}
    for source in args.sources:
        X, y = table_of(source)
        model = AutoImbalance(
            time_budget=args.time_budget, n_jobs=args.n_jobs, random_state=args.seed
        ).fit(X, y)
        one = timeit.repeat(partial(model.predict_proba, X[:1]), number=1, repeat=50)
        rows[Path(source).name.split(".")[0]] = {
            "members": len(model.ensemble_),
            "ms": 1000 * float(np.median(one)),
        }
    print_table("one row", rows)


def print_table(title, rows):
    """Print rows of named numbers as a Markdown table."""
    columns = list(next(iter(rows.values())))
    print(f"\n| {title} | {' | '.join(columns)} |")
    print("|:--" + "|--:" * len(columns) + "|")
    for name, row in rows.items():
        cells = [v if isinstance(v, str) else f"{v:.4g}" for v in row.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main():
    np.set_printoptions(precision=4)
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for run in (overhead, throughput, growth, start, ensemble, fit_once):
        name = "fit" if run is fit_once else run.__name__
        command = commands.add_parser(name, help=run.__doc__)
        command.set_defaults(run=run)
        command.add_argument("--time-budget", type=float, default=60.0)
        command.add_argument("--n-jobs", type=int, default=2)
        command.add_argument("--seed", type=int, default=0)
        if run is fit_once:
            command.add_argument("source")
            command.add_argument("--off", nargs="*", default=())
            command.add_argument("--memory", action="store_true")
        else:
            command.add_argument("sources", nargs="*")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
