"""Saved models."""

from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

import autoimb
from autoimb import AutoImbalance
from autoimb._catalogue import CATALOGUE
from autoimb._persist import FORMAT
from autoimb._study import shown
from autoimb.exceptions import BadInputError, StorageMismatchError


@pytest.fixture(scope="module")
def table():
    return make_classification(200, 5, weights=[0.85], random_state=0)


def fit(table, **changes):
    settings = {"n_trials": 1, "n_jobs": 1, "cv": 2, "random_state": 0, **changes}
    return AutoImbalance(**settings).fit(*table)


FAMILIES = sorted(CATALOGUE.entries["family"])
MANY_TREES = {  # skops writes a file a node array
    "balanced_random_forest",
    "easy_ensemble",
    "extra_trees",
    "random_forest",
    "rusboost",
    "soft_vote",
}


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in MANY_TREES else [])
        for name in FAMILIES
    ],
)
def test_every_family_survives_saving(table, tmp_path, family):
    model = fit(table, families=family)
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(
        same.predict_proba(table[0]), model.predict_proba(table[0])
    )
    np.testing.assert_array_equal(same.predict(table[0]), model.predict(table[0]))


def test_out_of_fold_scores_report_and_leaderboard_are_saved(table, tmp_path):
    model = fit(table, families="logistic_regression", n_trials=3)
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(same.oof_proba_, model.oof_proba_)
    assert same.report().to_dict() == model.report().to_dict()
    assert same.leaderboard_.equals(model.leaderboard_)
    assert same.study_ is None
    assert model.study_ is not None


def test_what_is_saved_is_compressed(table, tmp_path):
    fit(table, families="extra_trees").save(tmp_path / "model.skops")
    with ZipFile(tmp_path / "model.skops") as archive:
        parts = archive.infolist()
    assert sum(p.compress_size for p in parts) < 0.5 * sum(p.file_size for p in parts)


@pytest.mark.parametrize("family", ["xgboost", "logistic_regression"])
def test_many_categories_and_times_of_day_survive_saving(tmp_path, family):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "shop": [f"shop {i}" for i in rng.integers(0, 60, 300)],
            "at": [f"{i:02}:{j:02}" for i, j in rng.integers(0, 24, (300, 2))],
        }
    )
    y = (rng.random(300) < 0.2).astype(int)
    model = fit((X, y), families=family)
    assert set(model.profile_.kind_counts) == {"high-cardinality", "time of day"}
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", sorted(CATALOGUE.entries["resampler"]))
def test_every_resampler_survives_saving(table, tmp_path, name):
    model = fit(table, families="logistic_regression", resamplers=name, n_trials=6)
    model.save(tmp_path / "model.skops")
    assert autoimb.load(tmp_path / "model.skops").best_score_ == model.best_score_


class Mine(LogisticRegression):
    """A model that autoimb does not know."""


def test_unknown_types_are_named_and_can_be_allowed(table, tmp_path):
    model = fit(table, estimator=Mine())
    path = tmp_path / "model.skops"
    model.save(path)
    with pytest.raises(BadInputError, match=r"Mine.*trusted="):
        autoimb.load(path)
    allowed = [f"{Mine.__module__}.Mine"]
    np.testing.assert_array_equal(
        autoimb.load(path, trusted=allowed).predict(table[0]), model.predict(table[0])
    )


def test_other_files_are_told_apart(tmp_path):
    import skops.io

    with pytest.raises(BadInputError, match="no file"):
        autoimb.load(tmp_path / "absent.skops")
    text = tmp_path / "text.skops"
    text.write_text("hello")
    with pytest.raises(BadInputError, match="not a model"):
        autoimb.load(text)
    skops.io.dump({"x": 1}, tmp_path / "other.skops")
    with pytest.raises(BadInputError, match="no autoimb model"):
        autoimb.load(tmp_path / "other.skops")
    skops.io.dump({"format": FORMAT + 1, "model": 0}, tmp_path / "newer.skops")
    with pytest.raises(StorageMismatchError, match="Upgrade autoimb"):
        autoimb.load(tmp_path / "newer.skops")


def test_where_the_search_was_kept_is_not_saved_nor_shown(table, tmp_path):
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    X, y = table
    model = AutoImbalance(
        n_trials=1, families="logistic_regression", n_jobs=1, storage=storage
    ).fit(X, y)
    model.save(tmp_path / "model.skops")
    assert autoimb.load(tmp_path / "model.skops").storage is None
    assert shown("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert shown(storage) == storage
    assert shown(None) is None
