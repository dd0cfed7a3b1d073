"""Whether the monitor's intervals, warnings and prediction sets keep what they say.

    python benchmarks/monitoring.py --draws 50 --out benchmarks/monitoring.jsonl
    python benchmarks/monitoring.py --summary benchmarks/monitoring.jsonl

Tables are made, so that the truth is known: eight columns, of which the last is a
category, normal in each class, the classes one and a half standard deviations apart in
all. A draw makes a table of so many positives, 5 % of the rows, fits a model by the
given learner, and then meets:

- 4,000 new rows of each class, for the coverage of `predict_sets` at 90 %;
- 3,000 new rows where only the prevalence moved, by a factor from 0.1 to 10: whether
  the interval of the share holds the true share, by probabilities and by the confusion
  matrix, whether precision and recall lie in theirs, whether there is a (false)
  warning, and how far the scores lie from what is expected (their distance is not 0 in
  the mean: the model was fitted on other rows than those that gave its scores);
- the same with two columns of the rare class moved by a standard deviation;
- the same with two columns of all rows moved by half a standard deviation.

The last two should be warned of. A draw meets two of the five factors, and one of the
last two cases.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from autoimb import AutoImbalance
from autoimb._monitor.label_shift import _OTHER_MODEL

PREVALENCE = 0.05
FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
POSITIVES = (30, 60, 100, 300)
LEARNERS = ("logistic_regression", "xgboost", "extra_trees")
N_NEW = 3_000
DISTANCE = np.array([0.9, 0.7, 0.5, 0.5, 0.3, 0.0, 0.0])
"""Between the classes, in each column of numbers."""


def rows(y, rng, moved_rare=0.0, moved_all=0.0):
    """Return rows of these classes; the first two columns may have moved."""
    values = rng.normal(size=(len(y), len(DISTANCE))) + y[:, None] * DISTANCE
    values[:, :2] += moved_all + moved_rare * y[:, None]
    frame = pd.DataFrame(values).add_prefix("x")
    chances = np.where(y == 1, 0.5, 0.2)
    letters = rng.choice(["b", "c", "d"], len(y))
    frame["kind"] = np.where(rng.random(len(y)) < chances, "a", letters)
    return frame


def labels(n_rows, share, rng):
    """Return labels of which so many are positive on average."""
    return (rng.random(n_rows) < share).astype(int)


def is_within(value, span):
    """Return whether an interval holds a value; None without one."""
    return None if span[0] is None else bool(span[0] <= value <= span[1])


def met(model, factor, rng, **moved):
    """Return what the monitor says of new rows, and what is true."""
    share = PREVALENCE * factor
    y = labels(N_NEW, share, rng)
    X = rows(y, rng, **moved)
    data = model.monitor(X).data
    row = data.classes[1]
    called = model.predict(X) == 1
    hits = (called & (y == 1)).sum()
    return {
        "share": share,
        "estimate": row.share,
        "holds": is_within(share, row.share_span),
        "holds_confusion": is_within(share, row.by_confusion_span),
        "holds_precision": is_within(hits / max(called.sum(), 1), row.precision_span)
        if called.any()
        else None,
        "holds_recall": is_within(hits / max(y.sum(), 1), row.recall_span)
        if y.any()
        else None,
        "span": row.share_span,
        "span_confusion": row.by_confusion_span,
        "width": row.share_span[1] - row.share_span[0],
        "warns": not data.only_shares_moved,
        "doubts": len(data.doubts),
        "by_columns": any(column.is_beyond for column in data.columns),
        "by_disagreement": any("disagree" in doubt for doubt in data.doubts),
        "by_scores": any("scores" in doubt for doubt in data.doubts),
        "score_excess": data.score_excess,
        "n_changed": sum(column.is_changed for column in data.columns),
    }


def draw(learner, n_positives, seed):
    """Return the results of one draw."""
    rng = np.random.default_rng([seed, n_positives])
    n_rows = round(n_positives / PREVALENCE)
    y = np.zeros(n_rows, dtype=int)
    y[:n_positives] = 1
    rng.shuffle(y)
    model = AutoImbalance(
        n_trials=1, families=learner, n_jobs=1, random_state=seed, resamplers="none"
    ).fit(rows(y, rng), y)
    known = np.repeat([0, 1], 4_000)
    sets = model.predict_sets(rows(known, rng), coverage=0.9)
    results = [
        {"case": "coverage", "class": c, "covered": float(sets[known == c, c].mean())}
        for c in (0, 1)
    ]
    # Draws take turns, so that each of them takes seconds.
    for factor in (FACTORS[seed % 5], FACTORS[(seed + 2) % 5]):
        found = met(model, factor, rng)
        results += [{"case": "prevalence", "factor": factor, **found}]
    factor = (0.3, 1.0, 3.0)[seed // 2 % 3]
    case, moved = (("rare", {"moved_rare": 1.0}), ("all", {"moved_all": 0.5}))[seed % 2]
    results += [{"case": case, "factor": factor, **met(model, factor, rng, **moved)}]
    return [
        {"learner": learner, "positives": n_positives, "seed": seed, **result}
        for result in results
    ]


def summarise(path):
    """Print means over the draws of a file."""
    by = defaultdict(list)
    for line in path.read_text().splitlines():
        found = json.loads(line)
        if found["case"] == "prevalence":
            found["holds_not_widened"] = holds_without_widening(found)
        last = found.get("factor", found.get("class"))
        by[found["learner"], found["positives"], found["case"], last].append(found)
    for key, found in by.items():
        hidden = {"learner", "seed", "case", "span", "span_confusion"}
        names = [name for name in found[0] if name not in hidden]
        means = {}
        for name in names[1:]:
            values = [f[name] for f in found if f[name] is not None]
            means[name] = float(f"{np.mean(values):.3g}") if values else None
        print(*key, f"{len(found)} draws:", means)


def holds_without_widening(found):
    """Return whether the interval of a share would hold it by the draws alone."""
    ends = (
        found["estimate"] + (end - found["estimate"]) / _OTHER_MODEL
        for end in found["span"]
    )
    return is_within(found["share"], tuple(ends))


def main():
    """Run the draws that a file lacks, or print what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--learners", nargs="+", default=LEARNERS)
    parser.add_argument("--positives", nargs="+", type=int, default=POSITIVES)
    parser.add_argument("--out", type=Path, default=Path("monitoring.jsonl"))
    parser.add_argument("--summary", type=Path)
    arguments = parser.parse_args()
    if arguments.summary:
        summarise(arguments.summary)
        return
    warnings.simplefilter("ignore")
    done = set()
    if arguments.out.exists():
        for line in arguments.out.read_text().splitlines():
            found = json.loads(line)
            done.add((found["learner"], found["positives"], found["seed"]))
    for seed in range(arguments.first, arguments.first + arguments.draws):
        for learner in arguments.learners:
            for n_positives in arguments.positives:
                if (learner, n_positives, seed) in done:
                    continue
                results = draw(learner, n_positives, seed)
                with arguments.out.open("a") as file:
                    file.writelines(json.dumps(r) + "\n" for r in results)


if __name__ == "__main__":
    main()
