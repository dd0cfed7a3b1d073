"""Do categories as such rank better than their codes, for boosted trees?

    python benchmarks/categories.py FOLDER

FOLDER holds real data sets. On each with a column of three or more categories, XGBoost
and XGBoost on categories are fitted with the same settings on the same folds, two
repeats at most; of tables above 12,000 rows so many are drawn. It prints PR-AUC (the
mean over classes where there are several), and the gain with its standard error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.problem import Problem
from autoimb._evaluate.scoring import Scoring
from autoimb._execution.shared_data import Inline
from autoimb._metrics.scorers import resolve_metric
from autoimb._strategy.strategy import Strategy
from autoimb._table.folds import make_folds
from autoimb._table.profile import profile_table
from autoimb._table.table import check_table

MOST_ROWS = 12_000
SETTINGS = {"first": {}, "shallow": {"max_depth": 3, "learning_rate": 0.05}}


def problem_of(path: Path) -> Problem | None:
    """Return the problem of a file; None if it has no categories."""
    table = pd.read_csv(path)
    if len(table) > MOST_ROWS:
        table = table.sample(MOST_ROWS, random_state=0)
    y = table.pop(table.columns[-1])
    checked = check_table(table.reset_index(drop=True), y.to_numpy())
    need = CATALOGUE.get("family", "xgboost_categories")
    if need.reason_unsuitable(profile_table(checked)) is not None:
        return None
    folds = make_folds(checked, None, random_state=0, n_repeats=2)
    return Problem(checked, CATALOGUE, folds, 0)


def main() -> None:
    """Print one line for each table and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for path in sorted(parser.parse_args().folder.glob("*.csv*")):
        if path.name.startswith("MANIFEST") or (problem := problem_of(path)) is None:
            continue
        table = problem.table
        metric = resolve_metric("average_precision", table.n_classes)
        scoring = Scoring.of(metric, table, problem.folds, 0)
        for name, params in SETTINGS.items():
            codes, categories = (
                scoring.score(
                    [
                        evaluate(
                            Strategy.of(CATALOGUE, family=(family, params)),
                            number,
                            Inline(problem),
                        )
                        for number in range(len(problem.folds))
                    ]
                )
                for family in ("xgboost", "xgboost_categories")
            )
            gain = categories - codes
            print(
                f"{path.name.partition('.')[0]:18} {name:8} codes {codes.mean:.4f}  "
                f"categories {categories.mean:.4f}  gain {gain.value:+.4f} "
                f"± {gain.standard_error:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
