"""Compare AutoImbalance with plain baselines on real data sets.

    python benchmarks/compare.py FOLDER --time-budget 30 --seeds 0 1 --out runs.jsonl

Each data set is cut once a seed (35 % stratified hold-out). One JSON line is written
for every (system, set, seed), as it ends; what is there already is not run again. The
table of all lines is printed at the end, in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from autoimb import AutoImbalance
from autoimb._metrics import metrics_at

METRICS = ("average_precision", "f1", "mcc", "brier")
LABELS = {"average_precision": "PR-AUC", "f1": "F1", "mcc": "MCC", "brier": "Brier"}
SMALLER_IS_BETTER = ("brier", "fit_seconds")
HOLD_OUT = 0.35


def autoimbalance(args, seed):
    return AutoImbalance(time_budget=args.time_budget, random_state=seed)


def default_xgboost(_args, seed):
    """XGBoost as it comes; categories as codes, since it takes no text."""
    from xgboost import XGBClassifier

    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    table = make_column_transformer(
        (codes, make_column_selector(dtype_exclude=np.number)), remainder="passthrough"
    )
    return make_pipeline(table, XGBClassifier(random_state=seed))


def smote_forest(_args, seed):
    """What tutorials teach: SMOTE and a random forest, cut at 0.5."""
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline as make_resampling_pipeline

    table = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude=np.number),
        ),
        remainder=SimpleImputer(strategy="median"),
    )
    return make_resampling_pipeline(
        table,
        SMOTE(k_neighbors=3, random_state=seed),
        RandomForestClassifier(n_jobs=-1, random_state=seed),
    )


SYSTEMS = {
    "AutoImbalance": autoimbalance,
    "default XGBoost": default_xgboost,
    "SMOTE + random forest": smote_forest,
}


def run_once(system, path, seed, args):
    """Return one result line."""
    data = pd.read_csv(path)
    X, labels = data.drop(columns="target"), data["target"]
    classes, y = np.unique(labels, return_inverse=True)
    split = train_test_split(X, y, test_size=HOLD_OUT, stratify=y, random_state=seed)
    X_train, X_test, y_train, y_test = split
    model = SYSTEMS[system](args, seed)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X_train, y_train)
        fit_seconds = time.perf_counter() - started
        proba, y_pred = model.predict_proba(X_test), model.predict(X_test)
    pos = None
    if len(classes) == 2:
        pos = int(np.argmin(np.bincount(y)))
    scores = metrics_at(y_test, y_pred, proba, np.ones(len(y_test)), pos)
    if pos is None:
        scores["f1"] = scores["f1_macro"]
    line = {
        "system": system,
        "set": path.name.split(".")[0],
        "seed": seed,
        "budget": args.time_budget if system == "AutoImbalance" else None,
        "fit_seconds": fit_seconds,
        **{name: scores[name] for name in (*METRICS, "gmean", "log_loss", "roc_auc")},
    }
    if system == "AutoImbalance":
        line["winner"] = model.report().data.outcome.winner
        line["honest"] = model.honest_score_.estimate
        line["candidates"] = len(model.leaderboard_)
    return line


def known_keys(lines):
    return {(r["system"], r["set"], r["seed"], r["budget"]) for r in lines}


def read_lines(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def table_of(lines):
    """Return the Markdown table: one row a set, one column a system and metric."""
    runs = pd.DataFrame(lines)
    columns = [*METRICS, "fit_seconds"]
    means = runs.pivot_table(columns, "set", "system")
    means.loc["**mean**"] = means.mean()
    systems = [name for name in SYSTEMS if name in set(runs["system"])]
    return "\n\n".join(table_of_metric(m, means[m][systems]) for m in columns)


def table_of_metric(metric, means):
    """Return one metric's Markdown table, the best of each row in bold."""
    digits = 1 if metric == "fit_seconds" else 4
    best = means.min(axis=1) if metric in SMALLER_IS_BETTER else means.max(axis=1)
    title = LABELS.get(metric, "fit seconds")
    lines = [
        f"| {title} | {' | '.join(means.columns)} |",
        "|:--|" + "--:|" * means.shape[1],
    ]
    for name, row in means.iterrows():
        cells = [
            f"**{value:.{digits}f}**" if value == best[name] else f"{value:.{digits}f}"
            for value in row
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def machine():
    names = ("autoimb", "scikit-learn", "imbalanced-learn", "xgboost", "torch")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"Python {platform.python_version()}; {packages}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--time-budget", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--out", type=Path, default=Path("runs.jsonl"))
    args = parser.parse_args()
    done = known_keys(read_lines(args.out))
    for seed in args.seeds:
        for path in sorted(args.folder.glob("*.csv.gz")):
            name = path.name.split(".")[0]
            for system in args.systems:
                budget = args.time_budget if system == "AutoImbalance" else None
                wanted = args.sets is None or name in args.sets
                if not wanted or (system, name, seed, budget) in done:
                    continue
                line = run_once(system, path, seed, args)
                with args.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(
                    f"{name:18} {system:22} seed {seed} PR-AUC "
                    f"{line['average_precision']:.4f} F1 {line['f1']:.3f} "
                    f"{line['fit_seconds']:.1f} s {line.get('winner', '')}",
                    flush=True,
                )
    print(f"\n{machine()}\n\n{table_of(read_lines(args.out))}")


if __name__ == "__main__":
    main()
