"""Saved models."""

import json
import pickle
import subprocess
import sys
import uuid
import warnings
from datetime import date, time
from decimal import Decimal
from io import StringIO
from zipfile import ZipFile

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn.base
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    KFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedKFold,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import autoimb
from autoimb import AutoImbalance
from autoimb._catalogue import CATALOGUE
from autoimb._cli import main
from autoimb._persist import saved_model
from autoimb._persist.allowed_classes import OWN_CLASSES
from autoimb._persist.saved_model import FORMAT
from autoimb._search.study import without_password
from autoimb._strategy.strategy import Strategy
from autoimb._table.table import check_table
from autoimb.exceptions import (
    BadInputError,
    StorageMismatchError,
    VersionWarning,
)

pytestmark = pytest.mark.newest


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
def test_every_family_survives_saving(table, tmp_path, family, capsys):
    """Nothing has to be trusted by hand, in Python and on the command line."""
    X = pd.DataFrame(table[0]).add_prefix("x")
    X["kind"] = np.array(["a", "b", "c"])[np.arange(len(X)) % 3]
    model = fit((X, table[1]), families=family)
    path, rows = tmp_path / "model.skops", tmp_path / "rows.csv"
    model.save(path)
    same = autoimb.load(path)
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(same.predict(X), model.predict(X))
    X.to_csv(rows, index=False)
    assert main(["predict", str(path), str(rows)]) == 0
    labels = pd.read_csv(StringIO(capsys.readouterr().out))["label"]
    np.testing.assert_array_equal(labels, model.predict(X))


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


# Some do not suit these numbers, or this family.
@pytest.mark.filterwarnings("ignore::autoimb.LeftOutWarning")
@pytest.mark.parametrize("name", sorted(CATALOGUE.entries["resampler"]))
def test_every_resampler_survives_saving(table, tmp_path, name):
    model = fit(table, families="logistic_regression", resamplers=name, n_trials=6)
    model.save(tmp_path / "model.skops")
    assert autoimb.load(tmp_path / "model.skops").best_score_ == model.best_score_


def mixed_table(n_classes=2):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "shop": [f"shop {i}" for i in rng.integers(0, 60, 300)],
            "at": [f"{i:02}:{j:02}" for i, j in rng.integers(0, 24, (300, 2))],
            "day": pd.date_range("2020-01-01", periods=300),
            "city": pd.Categorical(rng.choice(list("abc"), 300)),
            "size": rng.normal(size=300),
        }
    )
    y = rng.choice(n_classes, 300, p=[0.7, 0.3] if n_classes == 2 else [0.6, 0.3, 0.1])
    return X, np.array(["no", "yes", "maybe"])[y]


@pytest.mark.parametrize(
    "threshold",
    [
        *(None, 0.3, "mcc", autoimb.FBeta(2), autoimb.Cost(fp=1, fn=5)),
        *(autoimb.PrecisionAtLeast(0.5), autoimb.RecallAtLeast(0.5)),
        *(autoimb.TopK(10), autoimb.TopShare(0.1)),
    ],
    ids=str,
)
def test_every_aim_of_the_threshold_survives_saving(threshold, table, tmp_path):
    model = fit(table, families="logistic_regression", threshold=threshold)
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(same.predict(table[0]), model.predict(table[0]))


@pytest.mark.parametrize(
    "y",
    [
        ["no", "yes"],
        [False, True],
        [np.int8(0), np.int8(1)],
        pd.to_datetime(["2020", "2021"]),
        pd.Series([b"a", b"b"], dtype=object),
        pd.Series([date(2020, 1, 1), date(2021, 1, 1)], dtype=object),
        pd.Series([time(1), time(2)], dtype=object),
    ],
    ids=["str", "bool", "int8", "datetime64", "bytes", "date", "time"],
)
def test_labels_survive_saving(y, table, tmp_path):
    X, codes = table
    labels = pd.Series(y)[codes].to_numpy()
    model = fit((X, labels), families="logistic_regression")
    model.save(tmp_path / "model.skops")
    np.testing.assert_array_equal(
        autoimb.load(tmp_path / "model.skops").predict(X), model.predict(X)
    )


def test_functions_of_ones_own_can_be_allowed(table, tmp_path):
    def with_step(function):
        return make_pipeline(FunctionTransformer(function), LogisticRegression())

    path = tmp_path / "model.skops"
    fit(table, estimator=with_step(np.tanh)).save(path)
    autoimb.load(path)
    fit(table, estimator=with_step(halved)).save(path)
    with pytest.raises(BadInputError, match=r"halved.*trusted="):
        autoimb.load(path)
    autoimb.load(path, trusted=[f"{__name__}.halved"])


def halved(X):
    return X / 2


def names_in(path):
    """Yield what the nodes of a saved model name."""

    def walk(part):
        if isinstance(part, dict):
            if part.get("__loader__") == "ObjectNode":
                yield f"{part['__module__']}.{part['__class__']}"
            part = list(part.values())
        if isinstance(part, list):
            for inner in part:
                yield from walk(inner)

    with ZipFile(path) as archive:
        yield from walk(json.loads(archive.read("schema.json")))


def built_names(path):
    """Yield what the pipelines of all samplers and families would name."""
    import skops.io

    axes = CATALOGUE.entries
    for X, y in (mixed_table(), make_classification(300, 5, random_state=0)):
        checked = check_table(X, y)
        for family in axes["family"].values():
            for resampler in axes["resampler"].values():
                if not family.accepts(resampler):
                    continue
                strategy = Strategy.of(
                    CATALOGUE, family=family.name, resampler=resampler.name
                )
                try:
                    built = strategy.build(CATALOGUE, checked.schema, checked.y, seed=0)
                except ImportError:
                    continue
                skops.io.dump(built, path)
                yield from names_in(path)


# What only some fits lead to; each was seen in a file or is reviewed.
SELDOM = {
    "autoimb._compat.SplitterTargetEncoder",  # with scikit-learn before 1.9
    "autoimb._metrics.metrics.LabelMetric",  # a net that stops early for F1, say
    "autoimb._metrics.scorers.ScorerMetric",  # the same for a trusted scorer
    "autoimb._metrics.scorers.LabelScorerMetric",  # and for one of labels
    "autoimb._models.samplers.ScalingSampler",  # a sampler before a model of the user's
    "autoimb._table.weighted_fit.ClassWeighted",  # a user's model without class_weight
    "autoimb._persist.packing.PackedTrees",  # a forest
    "autoimb._report.data.FoldRows",  # a report with rows made by sampling
    "autoimb._table.encoding.ColumnNamer",  # a model that reads columns by name
    "autoimb._table.columns.SparseColumns",  # a large sparse matrix
}


@pytest.mark.slow
def test_the_list_of_classes_is_what_saving_leads_to(table, tmp_path):
    path, found = tmp_path / "model.skops", set()
    searched = {
        "C": autoimb.Float(0.1, 10.0),
        "max_iter": autoimb.Int(100, 200),
        "fit_intercept": autoimb.Categorical((True, False)),
    }
    fits = [
        fit(mixed_table(), families="logistic_regression", n_trials=6),
        fit(mixed_table(3), families="hist_gradient_boosting"),
        fit(mixed_table(3), families="logistic_regression", threshold=None),
        fit(mixed_table(), families="mlp"),
        fit(table, families="logistic_regression"),
        fit(table, estimator=GaussianNB()),
        fit(table, estimator=LogisticRegression(), search_params=searched),
        fit(table, families="logistic_regression", cv=autoimb.TimeOrdered(by=0)),
    ]
    fits[0].report(*mixed_table(), time_budget=3)
    fits[1].set_prior([0.2, 0.3, 0.5])
    aims = [autoimb.FBeta(2), autoimb.Cost(fp=1, fn=5), autoimb.PrecisionAtLeast(0.01)]
    aims += [autoimb.RecallAtLeast(0.1), autoimb.TopK(10), autoimb.TopShare(0.1)]
    for model in fits:
        model.save(path)
        found |= set(names_in(path))
    for aim in aims:
        fits[0].set_threshold(aim).save(path)
        found |= set(names_in(path))
    found |= set(built_names(path))
    own = {name for name in found if name.startswith("autoimb.")}
    assert own <= OWN_CLASSES
    assert OWN_CLASSES - own <= SELDOM


def test_decimal_labels_and_splitters_load(table, tmp_path):
    X, y = table
    labels = np.array([Decimal("1.5"), Decimal(2)], dtype=object)[y]
    model = fit((X, labels), families="logistic_regression", cv=StratifiedKFold(2))
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    assert same.predict(X).tolist() == model.predict(X).tolist()
    assert same.cv.n_splits == 2


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
    older = {"format": saved_model._OLDEST_FORMAT - 1, "model": 0}
    skops.io.dump(older, tmp_path / "older.skops")
    with pytest.raises(StorageMismatchError, match="save it with this version"):
        autoimb.load(tmp_path / "older.skops")


def test_where_the_search_was_kept_is_not_saved_nor_shown(table, tmp_path):
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    X, y = table
    model = AutoImbalance(
        n_trials=1, families="logistic_regression", n_jobs=1, storage=storage
    ).fit(X, y)
    model.save(tmp_path / "model.skops")
    assert autoimb.load(tmp_path / "model.skops").storage is None
    assert (
        without_password("postgresql://me:secret@host/db")
        == "postgresql://me:***@host/db"
    )
    assert without_password(storage) == storage
    assert without_password(None) is None


# --- another machine, another year


@pytest.mark.parametrize(
    "family",
    [
        "logistic_regression",
        "xgboost",
        "mlp",
        pytest.param("extra_trees", marks=pytest.mark.slow),
    ],
)
def test_another_scikit_learn_is_one_warning(table, tmp_path, family, monkeypatch):
    """And not one for every estimator that the model is made of."""
    model = fit(table, families=family)
    with monkeypatch.context() as patch:
        patch.setattr(sklearn.base, "__version__", "1.7.9")
        model.save(tmp_path / "m.skops")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same = autoimb.load(tmp_path / "m.skops")
    assert [w.category for w in caught] == [VersionWarning]
    assert caught[0].filename == __file__
    text = str(caught[0].message)
    assert "scikit-learn 1.7.9" in text
    assert "pip install scikit-learn==1.7.9" in text
    np.testing.assert_array_equal(same.predict(table[0]), model.predict(table[0]))


def test_the_same_scikit_learn_is_no_warning(table, tmp_path):
    fit(table, families="logistic_regression").save(tmp_path / "m.skops")
    autoimb.load(tmp_path / "m.skops")  # warnings are errors here


def test_what_another_scikit_learn_cannot_load_is_said_to_be_of_another(
    table, tmp_path, monkeypatch
):
    model = fit(table, families="logistic_regression")
    with monkeypatch.context() as patch:
        patch.setattr(sklearn.base, "__version__", "1.7.9")
        model.save(tmp_path / "m.skops")

    def fails(*_, **__):
        raise AttributeError("no such attribute")

    monkeypatch.setattr(sklearn.base.BaseEstimator, "__setstate__", fails)
    with pytest.raises(BadInputError, match=r"pip install scikit-learn==1\.7\.9"):
        autoimb.load(tmp_path / "m.skops")


@pytest.mark.parametrize(
    ("family", "package", "installs"),
    [
        ("lightgbm", "lightgbm", "pip install lightgbm"),
        ("catboost", "catboost", "pip install catboost"),
        ("xgboost", "xgboost", "pip install xgboost"),
        pytest.param(
            "balanced_random_forest",
            "imblearn",
            "pip install imbalanced-learn",
            marks=pytest.mark.slow,  # skops writes a file a node array
        ),
    ],
)
def test_a_package_that_is_missing_is_named(
    table, tmp_path, family, package, installs, monkeypatch, capsys
):
    pytest.importorskip(package)
    fit(table, families=family).save(path := tmp_path / "m.skops")
    pd.DataFrame(table[0]).to_csv(rows := tmp_path / "rows.csv", index=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadInputError, match=f"needs the package {package}.*{installs}"):
        autoimb.load(path)
    assert main(["predict", str(path), str(rows)]) == 2
    assert installs in capsys.readouterr().err


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(BadInputError, match="is a folder"):
        autoimb.load(tmp_path)


# --- what was saved loads, what would not load is not saved


@pytest.mark.parametrize(
    "cv",
    [
        KFold(3, shuffle=True, random_state=0),
        StratifiedKFold(3),
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0),
        list(StratifiedKFold(3).split(np.zeros((200, 1)), np.arange(200) % 2)),
    ],
    ids=lambda cv: type(cv).__name__,
)
def test_splitters_survive_saving(table, tmp_path, cv):
    model = fit(table, families="logistic_regression", cv=cv)
    model.save(tmp_path / "m.skops")
    same = autoimb.load(tmp_path / "m.skops")
    assert repr(same.cv) == repr(cv)
    np.testing.assert_array_equal(same.predict(table[0]), model.predict(table[0]))


@pytest.mark.parametrize(
    ("changes", "labels", "named"),
    [
        ({}, [uuid.UUID(int=0), uuid.UUID(int=1)], r"its labels: .*uuid\.UUID"),
        ({"cv": "generator"}, [0, 1], "its cv: .*generator"),
    ],
    ids=["uuid", "generator"],
)
def test_what_load_would_refuse_is_not_saved(table, tmp_path, changes, labels, named):
    X, codes = table
    y = np.empty(len(codes), dtype=object)
    y[:] = [labels[code] for code in codes]
    if changes:
        changes = {"cv": StratifiedKFold(3).split(X, codes)}
    model = fit((X, y), families="logistic_regression", **changes)
    path = tmp_path / "m.skops"
    path.write_bytes(b"old")
    with pytest.raises(BadInputError, match=named):
        model.save(path)
    assert path.read_bytes() == b"old"


# --- size and other ways to keep a model


def test_forests_and_boosting_are_a_few_arrays(table, tmp_path):
    """Trees used to be most of the file, as JSON: 20 MB for a committee."""
    path = tmp_path / "model.skops"
    model = fit(table, families=["extra_trees", "hist_gradient_boosting"], n_trials=3)
    model.save(path)
    with ZipFile(path) as archive:
        assert archive.getinfo("schema.json").file_size < 1e6
        assert len(archive.namelist()) < 300
    n_nodes = sum(
        tree.tree_.node_count
        for member in model.ensemble_
        for tree in getattr(member.pipeline[-1], "estimators_", ())
    )
    assert n_nodes > 0
    assert path.stat().st_size < 60 * n_nodes
    assert "autoimb._persist.packing.PackedTrees" in set(names_in(path))


@pytest.mark.slow
def test_loading_imports_torch_for_nets_only(table, tmp_path):
    path = tmp_path / "model.skops"
    fit(table, families=["logistic_regression", "xgboost"], n_trials=3).save(path)
    script = (
        "import sys, autoimb, numpy; "
        f"autoimb.load({str(path)!r}).predict_proba(numpy.zeros((1, 5))); "
        "print(sorted({'torch', 'optuna'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("family", ["logistic_regression", "hist_gradient_boosting"])
def test_skops_itself_keeps_the_estimator(table, tmp_path, family):
    """It is the default format of MLflow for scikit-learn's estimators."""
    import skops.io

    model = fit(table, families=family, n_trials=3)
    path = tmp_path / "plain.skops"
    skops.io.dump(model, path)
    names = skops.io.get_untrusted_types(file=path)
    assert "autoimb.AutoImbalance" in names
    same = skops.io.load(path, trusted=names)
    X = table[0]
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(same.predict(X), model.predict(X))
    assert same.leaderboard_.equals(model.leaderboard_)
    assert same.report().to_dict() == model.report().to_dict()
    assert same.study_ is None
    assert same.set_threshold(0.2).threshold_ == 0.2


@pytest.mark.parametrize("module", ["pickle", "joblib"])
def test_pickles_keep_the_study(table, tmp_path, module):
    model, path = fit(table, families="logistic_regression"), tmp_path / "model"
    if module == "joblib":
        joblib.dump(model, path)
        same = joblib.load(path)
    else:
        same = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(same.predict(table[0]), model.predict(table[0]))
    assert len(same.study_.trials) == len(model.study_.trials)
    assert same.leaderboard_.equals(model.leaderboard_)


def test_a_leaderboard_with_gaps_is_the_same_after_saving(table, tmp_path):
    """Failed candidates have no rank, and what was left out has no rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fit(
            table,
            families=["logistic_regression"],
            resamplers=["smote", "smotenc"],
            n_trials=3,
        )
    assert model.leaderboard_["rank"].isna().any()
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    pd.testing.assert_frame_equal(same.leaderboard_, model.leaderboard_)


def test_what_is_named_twice_is_one_thing_after_loading(table, tmp_path):
    model = fit(table, families=["logistic_regression", "xgboost"], n_trials=4)
    path = tmp_path / "model.skops"
    model.save(path)
    same = autoimb.load(path)
    assert same.ensemble_ is same._model.members
    assert same.best_pipeline_ is same.ensemble_[0].pipelines[0]
    assert len(model.ensemble_) == len(same.ensemble_) > 1
    X = table[0]
    np.testing.assert_array_equal(
        same.best_pipeline_.predict_proba(X), model.best_pipeline_.predict_proba(X)
    )
    # The members are written once.
    assert [*names_in(path)].count("autoimb.FittedMember") == len(model.ensemble_)
