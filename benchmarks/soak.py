"""Does a process that fits for half an hour stay as it was?

    python benchmarks/soak.py soak.jsonl --minutes 30

One process fits again and again, each time a little differently: with workers and
without, in a storage whose leaderboard grows from fit to fit, with models that fail,
hang or end their worker among the candidates, and with predictions, reports and saved
files in between. After each round a line is written: memory of this process, open
files, threads, child processes, temporary files, the rows of the leaderboard, and by
how much the time budget was exceeded. The first `WARM_UP` rounds load libraries and
fill caches. From then on memory may grow by 10 %, and nothing else may. The exit status
is 1 if it does.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
from sklearn.datasets import make_classification

import autoimb
from autoimb import AutoImbalance

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tables import DIAL, Dial, family_of

WARM_UP = 4
BUDGET_S = 12.0  # with less, fits stay in this process, and a model may end it
MOST_GROWTH = 1.10
MOST_OVER_S = 3.0  # by which a fit may exceed its budget on a busy machine


class Hangs(Dial):
    """A model that takes far too long."""

    def fit(self, X, y):
        time.sleep(600)


class Kills(Dial):
    """A model that ends its process."""

    def fit(self, X, y):
        os._exit(1)


class Raises(Dial):
    """A model that cannot be fitted."""

    def fit(self, X, y):
        raise ValueError("broken")


BAD = [family_of(model(), model.__name__.lower()) for model in (Hangs, Kills, Raises)]


def plans(url: str):
    """Return the ways to fit, one a round."""
    return (
        {"families": [DIAL, "logistic_regression"], "n_jobs": 1},
        {"families": "auto", "n_jobs": 2},
        {"families": [DIAL, *BAD], "n_jobs": 2},
        {"families": [DIAL, "logistic_regression"], "n_jobs": 1, "storage": url},
    )


def one_round(number: int, url: str, folder: Path) -> dict[str, float]:
    """Fit, predict, report, save and load once; return what it took."""
    X, y = make_classification(1500, 12, weights=[0.93], random_state=number % 3)
    options = plans(url)[number % len(plans(url))]
    if "storage" in options:
        X, y = make_classification(1500, 12, weights=[0.93], random_state=0)
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoImbalance(time_budget=BUDGET_S, random_state=0, **options).fit(X, y)
    over = time.monotonic() - started - BUDGET_S
    assert np.isfinite(model.predict_proba(X)).all()
    model.report().save(folder / "report.html")
    model.save(folder / "model.skops")
    if options["families"] == "auto":
        loaded = autoimb.load(folder / "model.skops")
        np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X))
    return {"over_s": round(over, 2), "leaderboard": len(model.leaderboard_)}


def state(temporary: Path) -> dict[str, int]:
    """Return what a process holds, once all that it can free is free."""
    gc.collect()
    process = psutil.Process()
    return {
        "memory_mb": process.memory_info().rss // 2**20,
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "children": len(process.children(recursive=True)),
        "temporary": sum(1 for _ in temporary.glob("autoimb-*")),
    }


def faults(rows: list[dict[str, float]]) -> list[str]:
    """Return what grew after the warm-up, and which rounds took too long."""
    rows = rows[WARM_UP:]
    if not rows:
        return []
    # Each way to fit is compared with its own first round.
    n_ways = min(len(plans("")), len(rows))
    first, last = rows[:n_ways], rows[-n_ways:]
    found = []
    for name in ("memory_mb", "files", "threads", "children", "temporary"):
        before, after = (max(row[name] for row in part) for part in (first, last))
        factor = MOST_GROWTH if name == "memory_mb" else 1.0
        if after > factor * before:
            found.append(f"{name} grew from {before} to {after}")
    late = [r["round"] for r in rows if r["over_s"] > MOST_OVER_S]
    return [*found, *([f"rounds {late} were late"] if late else [])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="JSON lines, one a round")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name, options.file.open("w") as file:
        folder = Path(name)
        temporary = folder / "temporary"
        temporary.mkdir()
        tempfile.tempdir = str(temporary)
        url = f"sqlite:///{folder / 'search.db'}"
        end = time.monotonic() + 60 * options.minutes
        while time.monotonic() < end:
            row = {"round": len(rows), **one_round(len(rows), url, folder)}
            rows.append({**row, **state(temporary)})
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            print(json.dumps(rows[-1]), flush=True)
    found = faults(rows)
    print("\n".join(found) or f"{len(rows)} rounds, and nothing grew")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
