"""Sparse matrices: small ones are read as dense tables, large ones stay sparse."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from tables import problem_of

from autoimb import AutoImbalance, load, profile
from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import DENSE
from autoimb._catalogue.user_objects import entry_of_estimator
from autoimb._evaluate.encoding_cache import EncodedFold
from autoimb._evaluate.evaluate import evaluate
from autoimb._evaluate.reference import pipeline_proba
from autoimb._execution.shared_data import Inline
from autoimb._models.samplers import ScalingSampler
from autoimb._report.permutation_importance import _shuffled
from autoimb._search.memory_estimate import needed_bytes
from autoimb._strategy.strategy import Strategy
from autoimb._table import sparse_rows
from autoimb._table.sparse_rows import (
    csr_rows,
    distinct_counts,
    sparse_hashes,
    zero_shares,
)
from autoimb._table.table import check_table
from autoimb.exceptions import BadInputError, LeftOutWarning, NoCandidateError

QUICK = {"n_jobs": 1, "random_state": 0, "cv": 2, "n_trials": 2}
FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")


def words(n=300, d=40, *, classes=2, seed=0):
    """Return counts of words, of which some tell the rare classes, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, n, p=[0.85, *[0.15 / (classes - 1)] * (classes - 1)])
    rate = np.full((n, d), 0.1)
    for code in range(1, classes):
        rate[y == code, code] = 1.0
    X = rng.poisson(rate).astype(float)
    X[:, -1] = 0.0
    return X, y


@pytest.fixture
def kept_sparse(monkeypatch):
    """Keep every sparse matrix sparse, however small it is."""
    monkeypatch.setattr(sparse_rows, "MOST_DENSE_CELLS", 0)


def fitted(X, y, **params):
    families = {} if "estimator" in params else {"families": "logistic_regression"}
    given = {name: params.pop(name) for name in ("sample_weight",) if name in params}
    return AutoImbalance(**{**QUICK, **families, **params}).fit(X, y, **given)


# --- rows


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, bool])
def test_every_format_becomes_the_same_rows(form, kind, dtype):
    X = words(n=40)[0].astype(dtype)
    made = getattr(sparse, f"{form}_{kind}")(X)
    rows = csr_rows(made)
    assert isinstance(rows, sparse.csr_matrix)
    assert rows.dtype == np.float64
    assert rows.nnz == np.count_nonzero(X)
    np.testing.assert_array_equal(rows.toarray(), X)


def unordered(**arrays):
    """Return a matrix with a cell stored twice, a stored zero, and unsorted columns."""
    data, columns = [2.0, 1.0, 0.0, 3.0], [2, 0, 1, 0]
    rows = sparse.csr_array((data, columns, [0, 3, 4]), shape=(2, 3))
    doubled = sparse.csr_array(([5.0, -5.0, 1.0], [1, 1, 2], [0, 2, 3]), shape=(2, 3))
    return {"zero": rows, "twice": doubled, **arrays}


@pytest.mark.parametrize("name", ["zero", "twice"])
def test_rows_are_in_order_and_the_user_s_matrix_is_left_alone(name):
    X = unordered()[name]
    before = [a.copy() for a in (X.data, X.indices, X.indptr)]
    rows = csr_rows(X)
    np.testing.assert_array_equal(rows.toarray(), X.toarray())
    assert rows.has_canonical_format
    assert rows.data.all()
    for array, was in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(array, was)


def test_indices_have_32_bits_where_they_suffice():
    """scikit-learn's forests refuse wider ones."""
    X = sparse.csr_array(words()[0])
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    rows = csr_rows(X)
    assert rows.indices.dtype == rows.indptr.dtype == np.int32


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (sparse.csr_array([[1.0, np.nan]]), r"NaN in column '1'.*fill them first"),
        (sparse.csr_array([[np.inf, 1.0]]), "infinity .*column '0'.*finite number"),
        (sparse.csr_array([[1j, 1.0]]), "Complex data not supported"),
        (sparse.coo_array([1.0, 2.0]), "Expected 2D array, got 1D array"),
        (sparse.csr_array((3, 200_001)), r"200,001 columns.*HashingVectorizer"),
        (sparse.csr_array((0, 3)), r"0 sample\(s\)"),
        (sparse.csr_array((3, 0)), r"0 feature\(s\)"),
        (sparse.csr_array((4, 2)), "all 2 features are constant"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(X, message):
    y = [0, 1, 0, 1][: X.shape[0]]
    with pytest.raises(ValueError, match=message):
        check_table(X, y)


def test_what_is_counted_by_column_is_that_of_the_dense_table():
    X, y = words(classes=3)
    X[:, 0] = 1 + np.arange(len(X)) % 3
    rows = csr_rows(sparse.csr_array(X))
    assert distinct_counts(rows).tolist() == [len(set(column)) for column in X.T]
    shares = [(X[y == code] == 0).mean(axis=0) for code in range(3)]
    np.testing.assert_allclose(zero_shares(rows, y), shares)


def test_rows_have_equal_hashes_if_and_only_if_they_are_equal():
    X, _ = words(n=400, d=5)
    X[7, :2], X[8, :2] = (2.0, 1.0), (1.0, 2.0)
    X[8, 2:] = X[7, 2:]
    hashes = sparse_hashes(csr_rows(sparse.csr_array(X)))
    _, by_value = np.unique(X, axis=0, return_inverse=True)
    assert len(np.unique(hashes)) == by_value.max() + 1
    for group in range(by_value.max() + 1):
        assert len(set(hashes[by_value.ravel() == group])) == 1


# --- small matrices


@pytest.mark.parametrize("form", ["csr", "coo", "lil"])
def test_a_small_matrix_is_read_as_the_table_that_it_stands_for(form):
    X, y = words()
    dense, made = fitted(X, y), fitted(sparse.csr_array(X).asformat(form), y)
    pd.testing.assert_frame_equal(
        made.leaderboard_.drop(columns="fit_seconds"),
        dense.leaderboard_.drop(columns="fit_seconds"),
    )
    for rows in (X, sparse.csr_array(X).asformat(form)):
        np.testing.assert_array_equal(made.predict_proba(rows), dense.predict_proba(X))


def test_how_large_a_matrix_is_read_as_dense(monkeypatch):
    X, y = words()
    monkeypatch.setattr(sparse_rows, "MOST_DENSE_CELLS", X.size)
    assert not check_table(sparse.csr_array(X), y).schema.is_sparse
    monkeypatch.setattr(sparse_rows, "MOST_DENSE_CELLS", X.size - 1)
    assert check_table(sparse.csr_array(X), y).schema.is_sparse
    assert not check_table(X, y).schema.is_sparse


# --- what stays sparse


@pytest.mark.parametrize(
    "weighted", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_trees_read_sparse_rows_as_the_dense_table(kept_sparse, weighted):
    X, y = words()
    params = {"families": "lightgbm", "resamplers": "random_under", "n_trials": 3}
    if weighted:
        params["sample_weight"] = np.random.default_rng(0).uniform(0.5, 2, len(y))
    dense, made = fitted(X, y, **params), fitted(sparse.csr_array(X), y, **params)
    assert made._schema.is_sparse
    pd.testing.assert_frame_equal(
        made.leaderboard_.drop(columns="fit_seconds"),
        dense.leaderboard_.drop(columns="fit_seconds"),
    )
    np.testing.assert_array_equal(made.predict_proba(X), dense.predict_proba(X))


def test_linear_models_read_columns_divided_by_their_largest_number(kept_sparse):
    X, y = words()
    X *= np.arange(1, X.shape[1] + 1)
    problem = problem_of(sparse.csr_array(X), y)
    strategy = Strategy.of(CATALOGUE, family="logistic_regression")
    found = evaluate(strategy, 0, Inline(problem)).proba
    train, val = problem.folds[0].train_idx, problem.folds[0].val_idx
    model = make_pipeline(MaxAbsScaler(), LogisticRegression(max_iter=300))
    wanted = model.fit(X[train], y[train]).predict_proba(X[val])
    np.testing.assert_allclose(found, wanted, atol=1e-4)


SPARSE_FAMILIES = [
    e.name for e in CATALOGUE.entries["family"].values() if DENSE not in e.needs
]
SPARSE_RESAMPLERS = [
    e.name
    for e in CATALOGUE.entries["resampler"].values()
    if e.make is not None
    and DENSE not in e.needs
    and e.name not in {"smotenc", "smoten"}  # they read categories
]


@pytest.mark.parametrize("family", SPARSE_FAMILIES)
def test_every_family_that_is_not_left_out_reads_sparse_rows(kept_sparse, family):
    X, y = words(n=150)
    strategy = Strategy.of(CATALOGUE, family=family)
    problem = problem_of(sparse.csr_array(X), y)
    result = evaluate(strategy, 0, Inline(problem))
    assert result.status == "ok", result.reason
    if family in {"logistic_regression", "xgboost"}:
        proba = pipeline_proba(strategy, problem, 0)
        np.testing.assert_allclose(result.proba, proba, atol=1e-6)


@pytest.mark.parametrize("resampler", SPARSE_RESAMPLERS)
@pytest.mark.parametrize("family", ["logistic_regression", "lightgbm"])
def test_every_resampler_that_is_not_left_out_reads_sparse_rows(
    kept_sparse, resampler, family
):
    X, y = words()
    strategy = Strategy.of(CATALOGUE, family=family, resampler=resampler)
    problem = problem_of(sparse.csr_array(X), y)
    result = evaluate(strategy, 0, Inline(problem))
    assert result.status == "ok", result.reason


def test_what_reads_all_cells_is_left_out_with_a_reason(kept_sparse):
    X, y = words()
    families = ["hist_gradient_boosting", "logistic_regression"]
    with pytest.warns(LeftOutWarning, match="hist_gradient_boosting .*reads all cells"):
        model = fitted(sparse.csr_array(X), y, families=families)
    left_out = model.leaderboard_.query("status == 'left out'")
    assert left_out["reason"].str.contains("not made dense").tolist() == [True]
    assert "kept sparse: 9.5" in str(model.profile_)
    for name in ("rose", "cluster_centroids", "mlp", "tabm"):
        axis = "family" if name in {"mlp", "tabm"} else "resampler"
        assert DENSE in CATALOGUE.get(axis, name).needs
    assert DENSE.holds(profile(X, y))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_profile_is_that_of_the_dense_table(kept_sparse, classes):
    X, y = words(classes=classes)
    X[:, 3] = y + 1.0  # a leak
    X[:, 4] = 1000 + np.arange(len(X))  # numbers the rows
    X[::7, :] = X[0]
    y[::7] = y[0]
    y[7] = 1 - min(1, y[0])
    dense, made = profile(X, y), profile(sparse.csr_array(X), y)
    assert made.stored_share == np.count_nonzero(X) / X.size
    same = {"stored_share": None, "minority_types": None}
    assert replace(made, **same) == replace(dense, **same)
    assert made.minority_types == pytest.approx(dense.minority_types)


def test_leaks_and_identifiers_are_found_in_sparse_columns(kept_sparse):
    X, y = words()
    X[:, 3], X[:, 4] = y + 1.0, 1000 + np.arange(len(X))
    codes = {check.code for check in profile(sparse.csr_array(X), y).checks}
    assert codes >= {"AIM005", "AIM013"}


def test_new_rows_may_be_dense_and_have_no_gaps(kept_sparse):
    X, y = words()
    model = fitted(sparse.csr_array(X), y)
    proba = model.predict_proba(sparse.csr_array(X))
    for rows in (X, X.tolist(), pd.DataFrame(X), sparse.coo_matrix(X)):
        np.testing.assert_array_equal(model.predict_proba(rows), proba)
    assert model.predict_proba(X[:1]).shape == (1, 2)
    X[5, 7] = np.nan
    with pytest.raises(BadInputError, match="NaN in column '7', and a sparse matrix"):
        model.predict(X)
    with pytest.raises(ValueError, match="40 features"):
        model.predict(sparse.csr_array(X[:, :5]))


@pytest.mark.slow
def test_refit_report_threshold_and_file_of_a_sparse_model(kept_sparse, tmp_path):
    X, y = words()
    rows = sparse.csr_matrix(X)
    model = fitted(rows, y, families=["logistic_regression", "xgboost"])
    report = model.report(rows, y, time_budget=None)
    assert len(report.data.learning_curve.points) == 5
    names = [column.name for column in report.data.features]
    assert "1" in names[:3]
    assert "39" not in names
    model.report(X, y, time_budget=0.01)  # the same table
    model.save(tmp_path / "m.skops")
    same = load(tmp_path / "m.skops")
    for copy in (same, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(rows))
    assert model.set_threshold(0.9).predict(rows).sum() < len(y)
    assert model.refit(sparse.vstack([rows, rows]), np.append(y, y))._schema.is_sparse
    assert model.refit(X, y)._schema.is_sparse


def test_nearest_neighbours_keep_sparse_rows_in_a_file(kept_sparse, tmp_path):
    X, y = words()
    rows = sparse.csr_array(X)
    model = fitted(rows, y, families="k_neighbours")
    model.save(tmp_path / "m.skops")
    found = load(tmp_path / "m.skops").predict_proba(rows)
    np.testing.assert_array_equal(found, model.predict_proba(rows))


@pytest.mark.parametrize("weights", [None, "uneven", "zeros"])
def test_the_script_reads_sparse_rows(kept_sparse, weights):
    X, y = words()
    rows = sparse.csr_array(X)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    if weights == "zeros":
        weight = np.where(weight > 0.7, 1.0, 0.0)
    given = {} if weights is None else {"sample_weight": weight}
    model = fitted(rows, y, families="logistic_regression", **given)
    script = {}
    exec(model.export_code(), script)
    pipelines = script["fit"](rows, y, *given.values())
    found = script["predict_proba"](pipelines, rows)
    np.testing.assert_allclose(found, model.predict_proba(rows), atol=1e-6)


@pytest.mark.slow
def test_workers_read_the_matrix_that_they_share(kept_sparse):
    X, y = words(n=3000)
    rows = sparse.csr_array(X)
    params = {"families": ["logistic_regression", "lightgbm"], "n_trials": 3}
    alone, both = fitted(rows, y, **params), fitted(rows, y, **params, n_jobs=2)
    np.testing.assert_allclose(
        both.predict_proba(rows), alone.predict_proba(rows), atol=1e-6
    )


def test_a_text_of_many_words_is_never_made_dense(monkeypatch):
    """It would take 96 MB."""
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 10 == 0).astype(int)
    X = sparse.lil_array((600, 20_000))
    X[rng.integers(600, size=12_000), rng.integers(20_000, size=12_000)] = 1.0
    X[:, :20] = rng.random((600, 20)) < 0.1 + 0.4 * y[:, None]
    largest = []
    for kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array):
        toarray = kind.toarray

        def watched(self, *arguments, toarray=toarray, **keywords):
            largest.append(self.shape[0] * self.shape[1])
            return toarray(self, *arguments, **keywords)

        monkeypatch.setattr(kind, "toarray", watched)
    model = fitted(X, y, families="logistic_regression")
    assert model._schema.is_sparse
    assert model.best_score_ > 0.3
    assert max(largest, default=0) <= 1_000_000


# --- models of the user's own


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_a_model_of_your_own_gets_sparse_rows_however_small(kind):
    X, y = words()
    model = make_pipeline(MaxAbsScaler(), MultinomialNB())
    made = fitted(kind(X), y, estimator=model, resamplers="none")
    dense = fitted(X, y, estimator=model, resamplers="none")
    np.testing.assert_allclose(
        made.predict_proba(kind(X)), dense.predict_proba(X), atol=1e-9
    )
    with pytest.raises(NoCandidateError, match=r"[Ss]parse"):
        fitted(kind(X), y, estimator=HistGradientBoostingClassifier())


@pytest.mark.parametrize("resampler", ["smote", "tomek", "random_under"])
@pytest.mark.parametrize("piped", [False, True])
def test_resamplers_before_a_model_of_your_own_read_sparse_rows(resampler, piped):
    X, y = words()
    model = LogisticRegression()
    model = make_pipeline(MaxAbsScaler(), model) if piped else model
    entry = entry_of_estimator(model, view=None)
    catalogue = CATALOGUE.with_entry("family", entry)
    strategy = Strategy.of(catalogue, family=entry.name, resampler=resampler)
    problem = problem_of(
        sparse.csr_array(X), y, catalogue=catalogue, as_given=True, cv=2
    )
    result = evaluate(strategy, 0, Inline(problem))
    assert result.status == "ok", result.reason
    assert sum(result.fitted_counts) != len(problem.folds[0].train_idx)


# --- the parts


def test_scaled_sparse_rows_are_made_as_from_the_dense_table():
    X, y = words()
    X *= np.arange(1, X.shape[1] + 1)
    sampler = ScalingSampler(SMOTE(random_state=0))
    new, y_new = sampler.fit_resample(csr_rows(sparse.csr_array(X)), y)
    dense, y_dense = sampler.fit_resample(X, y)
    np.testing.assert_array_equal(new[: len(X)].toarray(), X)
    np.testing.assert_allclose(new.toarray(), dense, atol=1e-9)
    np.testing.assert_array_equal(y_new, y_dense)


def test_one_column_of_sparse_rows_is_shuffled():
    X, _ = words()
    rows = csr_rows(sparse.csr_array(X))
    found = _shuffled(rows, 3, np.random.default_rng(1))
    wanted = _shuffled(X, 3, np.random.default_rng(1))
    np.testing.assert_array_equal(found.toarray(), wanted)
    np.testing.assert_array_equal(rows.toarray(), X)


def test_what_sparse_rows_take_is_what_they_store(kept_sparse):
    X, y = words(n=3000)
    rows = csr_rows(sparse.csr_array(X))
    fold = EncodedFold(rows, rows[:100], None, 0.0)
    assert fold.n_bytes == pytest.approx(12 * (rows.nnz + rows[:100].nnz), rel=0.2)
    strategy = Strategy.of(CATALOGUE, family="logistic_regression")
    sizes = [
        needed_bytes(strategy, check_table(of, y), CATALOGUE) - 100e6
        for of in (sparse.csr_array(X), X)
    ]
    assert sizes[0] == pytest.approx(1.5 * rows.nnz / X.size * sizes[1])


@pytest.mark.parametrize("index", [-3, 4_000, 100_000_000])
def test_column_numbers_outside_of_the_matrix_are_refused(index):
    rows = sparse.random(30, 4_000, density=0.01, format="csr")
    rows.indices[5] = index
    with pytest.raises(BadInputError, match="no valid sparse matrix"):
        csr_rows(rows)


def test_complex_numbers_are_refused():
    with pytest.raises(BadInputError, match="Complex data"):
        csr_rows(sparse.csr_matrix(np.eye(4) * 1j))
