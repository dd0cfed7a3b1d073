"""What a Dask cluster brings, and how many workers one search can keep busy.

Measured: candidates a minute with 1 and 2 workers of one thread, bytes of a task, and
processor seconds that this process spends on one fold. Then a simulation of up to 1,000
workers that take the measured seconds for each fold, while this process serves one fold
after the other.

    python benchmarks/cluster.py --trials 40 --rows 20000

It prints one JSON object a line. Times are worth something on an idle machine only.
"""

from __future__ import annotations

import argparse
import heapq
import json
import pickle
import time

import numpy as np
from distributed import Client, LocalCluster
from sklearn.datasets import make_classification

from autoimb import AutoImbalance
from autoimb._execution.dask_cluster import DaskCluster

FOLDS = 3
WORKERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def table(n_rows: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(
        n_rows, n_columns, n_informative=8, weights=[0.98], random_state=0
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=30)
    arguments = parser.parse_args()
    X, y = table(arguments.rows, arguments.columns)
    sizes = watch_sizes()
    for n_workers in (1, 2):
        measured = search(X, y, arguments.trials, n_workers)
        print(json.dumps(measured | {"task_bytes": max(sizes)}), flush=True)
    for n_workers in WORKERS:
        rate = folds_a_second(
            n_workers, measured["fold_s"], measured["coordinator_s_a_fold"]
        )
        share = rate * measured["mean_fold_s"] / n_workers
        print(
            json.dumps(
                {
                    "simulated_workers": n_workers,
                    "folds_a_second": round(rate, 2),
                    "busy_share": round(share, 3),
                }
            )
        )


def watch_sizes() -> list[int]:
    """Return the list into which the bytes of each task that is sent are written."""
    sizes: list[int] = []
    send = DaskCluster.send_task

    def noted(cluster, task):
        sizes.append(len(pickle.dumps(task)))
        return send(cluster, task)

    DaskCluster.send_task = noted
    return sizes


def search(X: np.ndarray, y: np.ndarray, n_trials: int, n_workers: int) -> dict:
    """Return what a fit on so many workers took, the steps after its search included.

    So the coordinator's seconds are at most these; more trials bring them nearer.
    """
    cluster = LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
    )
    with cluster, Client(cluster) as client:
        spent = []

        def note(_: object) -> None:
            spent.append((time.perf_counter(), time.process_time()))

        model = AutoImbalance(
            executor=client,
            n_trials=n_trials,
            cv=FOLDS,
            ensemble_size=1,
            final_fit=False,
            random_state=0,
        )
        note(None)
        model.fit(X, y)
        note(None)
    board = model.leaderboard_
    n_folds = int(board["folds"].sum())
    seconds, cpu = np.diff(np.array(spent), axis=0)[0]
    fold_s = np.repeat(board["fit_seconds"] / board["folds"], board["folds"])
    return {
        "workers": n_workers,
        "candidates_a_minute": round(60 * len(board) / seconds, 1),
        "coordinator_s_a_fold": cpu / n_folds,
        "coordinator_s_a_candidate": cpu / len(board),
        "mean_fold_s": float(fold_s.mean()),
        "fold_s": [round(float(s), 4) for s in fold_s],
    }


def folds_a_second(
    n_workers: int, fold_s: list[float], served_s: float, n_folds: int = 20_000
) -> float:
    """Return how many folds end in a second, once all workers have work.

    The coordinator takes `served_s` for each fold, one after the other: to note its
    result and to send the next one to the worker that waits for it.
    """
    rng = np.random.default_rng(0)
    ends = [(float(rng.choice(fold_s)), worker) for worker in range(n_workers)]
    heapq.heapify(ends)
    free_at = 0.0
    for _ in range(n_folds):
        ended, worker = heapq.heappop(ends)
        free_at = max(free_at, ended) + served_s
        heapq.heappush(ends, (free_at + float(rng.choice(fold_s)), worker))
    return n_folds / free_at


if __name__ == "__main__":
    main()
