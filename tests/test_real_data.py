"""The whole flow on real tables that lie beside the checkout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

from autoimb import AutoImbalance

FOLDER = Path(__file__).parents[2] / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real data in {FOLDER}"),
]
FAMILIES = ["logistic_regression", "extra_trees", "xgboost"]


def split(name):
    table = pd.read_csv(FOLDER / f"{name}.csv.gz")
    X, y = table.drop(columns="target"), table["target"]
    return train_test_split(X, y, test_size=0.35, stratify=y, random_state=0)


@pytest.mark.parametrize(
    ("name", "at_least"), [("oil_spill", 0.25), ("hypothyroid", 0.75)]
)
def test_binary_tables_beat_no_skill_by_far(name, at_least):
    X_train, X_new, y_train, y_new = split(name)
    model = AutoImbalance(
        n_trials=4, families=FAMILIES, cv=3, n_jobs=1, random_state=0
    ).fit(X_train, y_train)
    score = average_precision_score(y_new, model.predict_proba(X_new)[:, 1])
    assert score > at_least
    assert score == pytest.approx(model.score(X_new, y_new))


def test_five_classes_the_smallest_with_five_rows():
    X_train, X_new, y_train, y_new = split("hcv")
    model = AutoImbalance(
        n_trials=3, families="logistic_regression", n_jobs=1, random_state=0
    ).fit(X_train, y_train)
    proba = model.predict_proba(X_new)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert model.score(X_new, y_new) > 0.5
    assert set(model.predict(X_new)) <= set(y_train)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::autoimb.exceptions.BudgetTooSmallWarning")
def test_every_table_fits_within_its_budget():
    import time

    for path in sorted(FOLDER.glob("*.csv.gz")):
        table = pd.read_csv(path)
        started = time.monotonic()
        AutoImbalance(time_budget=10, random_state=0).fit(
            table.drop(columns="target"), table["target"]
        )
        assert time.monotonic() - started <= 10 + 3, path.name
