"""TabM: categories, bins, members, and what it shares with the other net."""

import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import skops.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

from autoimb._models import classifier as classifier_module
from autoimb._models.tabm import TabMClassifier, _bin_edges
from autoimb._models.tabm_module import make_tabm

TINY = {"k": 2, "d_block": 8, "n_blocks": 1, "d_embedding": 4, "n_bins": 4}
SMALL = {**TINY, "max_epochs": 3, "random_state": 0}
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 is in one mini-batch, the same row twice is in two, so "
        "other batches are drawn"
    ),
}


def make_table(n=400, n_classes=2, seed=0):
    """Return two columns of codes, one of them useful, then four of numbers."""
    shares = {2: [0.8], 3: [0.5, 0.3]}[n_classes]
    X, y = make_classification(
        n,
        4,
        n_informative=3,
        n_redundant=0,
        n_classes=n_classes,
        weights=shares,
        random_state=seed,
    )
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(-2, 3, n), np.where(y == 1, 4, 7)])
    codes[rng.random(n) < 0.3, 1] = -2
    return np.hstack([codes, X]), y


@pytest.fixture(params=[2, 3], ids=["binary", "three classes"])
def table(request):
    return make_table(n_classes=request.param)


def fitted(X, y, **params):
    return TabMClassifier(n_categorical=2, **{**SMALL, **params}).fit(X, y)


@parametrize_with_checks(
    [TabMClassifier(**{**TINY, "d_block": 16}, max_epochs=15, random_state=0)],
    expected_failed_checks=lambda _: EXPECTED,
)
def test_sklearn_checks(estimator, check):
    check(estimator)


# What it learns


def test_it_learns_what_no_feature_tells_alone():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 3))
    y = (X[:, 0] * X[:, 1] > 1).astype(int)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    net = TabMClassifier(k=4, d_block=32, random_state=0).fit(X_train, y_train)
    score = average_precision_score(y_test, net.predict_proba(X_test)[:, 1])
    assert score > 0.8 > 3 * y_test.mean()


def test_it_learns_from_categories_alone():
    """Equal codes in two columns: neither their size nor one column tells anything."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, size=(1500, 2))
    y = (codes[:, 0] == codes[:, 1]).astype(int)
    net = TabMClassifier(n_categorical=2, k=4, d_block=32, random_state=0)
    score = roc_auc_score(y, net.fit(codes, y).predict_proba(codes)[:, 1])
    assert score > 0.98


def test_names_of_categories_do_not_matter(table):
    X, y = table
    renamed = X.copy()
    renamed[:, 0] = 10 * X[:, 0] + 3  # the order stays, or other vectors would begin
    np.testing.assert_array_equal(
        fitted(X, y).predict_proba(X), fitted(renamed, y).predict_proba(renamed)
    )


@pytest.mark.parametrize("code", [-1.0, 99.0], ids=["unknown", "new"])
def test_every_category_that_was_not_trained_on_is_alike(code):
    X, y = make_table()
    X[X[:, 0] == -1, 0] = 0
    net = fitted(X, y)
    assert net.categories_[0].tolist() == [-2, 0, 1, 2]
    unseen, between = X.copy(), X.copy()
    unseen[:, 0], between[:, 0] = code, 0.5
    proba = net.predict_proba(unseen)
    np.testing.assert_array_equal(proba, net.predict_proba(between))
    assert np.abs(proba - net.predict_proba(X)).max() > 1e-3


def test_an_unknown_category_is_embedded_as_zeros():
    net = make_tabm(
        0,
        [],
        [3, 4],
        np.zeros(1),
        k=2,
        d_block=8,
        n_blocks=1,
        d_embedding=4,
        dropout=0.0,
    )
    units = net.embed(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    assert not units[0, :4].any()
    assert not units[1, 4:].any()
    assert units[0, 4:].all()
    assert units[1, :4].all()


def test_predictions_are_the_mean_of_the_members(table):
    X, y = table
    net = fitted(X, y, k=3)
    logits = net._predictor()(net._prepare(X.astype("f")))
    assert logits.shape[:2] == (len(X), 3)
    wide = torch.tensor(logits)
    if wide.shape[2] == 1:
        wide = torch.cat([torch.zeros_like(wide), wide], dim=2)
    np.testing.assert_allclose(net.predict_proba(X), wide.softmax(dim=2).mean(dim=1))
    assert np.ptp(logits, axis=1).max() > 1e-3


def test_balanced_batches_are_corrected_to_the_shares_of_the_data():
    X, y = make_table(2000)
    X[:, 2:] += np.random.default_rng(0).normal(scale=2.0, size=(2000, 4))
    net = fitted(X, y, batches="balanced", max_epochs=15, d_block=32, k=4)
    np.testing.assert_allclose(net.predict_proba(X)[:, 1].mean(), y.mean(), atol=0.04)
    net.prior_shift_ = np.zeros(2)
    assert net.predict_proba(X)[:, 1].mean() > y.mean() + 0.1


@pytest.mark.parametrize("loss", ["asymmetric", "focal", "logit_adjusted"])
def test_losses_batches_and_mixup_combine(loss, table):
    X, y = table
    net = fitted(X, y, loss=loss, batches="balanced", mixup=0.3, max_epochs=8)
    proba = net.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)
    assert roc_auc_score(y == 1, proba[:, 1]) > 0.7


# Bins


@given(
    st.lists(
        st.one_of(
            st.sampled_from([0.0, 1.0, -3.0]),
            st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 12),
)
@settings(max_examples=150, deadline=None)
def test_any_column_has_edges_that_rise(column, n_bins):
    column = np.array(column, dtype=np.float32)
    edges = _bin_edges(column, n_bins)
    assert 3 <= len(edges) <= max(3, n_bins + 1)
    assert (np.diff(edges) > 0).all()
    assert np.isfinite(1 / np.diff(edges)).all()


def test_about_as_many_rows_lie_between_any_two_edges():
    column = np.random.default_rng(0).exponential(size=1000).astype("f")
    counts, _ = np.histogram(column, bins=_bin_edges(column, 8))
    np.testing.assert_allclose(counts, 125, atol=2)


def test_with_weights_bins_have_equal_weight():
    rng = np.random.default_rng(0)
    column, weight = rng.exponential(size=1000).astype("f"), rng.integers(1, 9, 1000)
    edges = _bin_edges(column, 8, weight)
    mass, _ = np.histogram(column, bins=edges, weights=weight)
    np.testing.assert_allclose(mass, weight.sum() / 8, atol=16)
    repeated = np.quantile(
        np.repeat(column, weight), np.linspace(0, 1, 9), method="inverted_cdf"
    )
    np.testing.assert_array_equal(edges, repeated)


def test_weights_move_the_bins_of_a_fitted_net_and_their_scale_does_not(table):
    X, y = table
    weight = np.where(X[:, -1] > 0, 5.0, 0.5)
    net = TabMClassifier(n_categorical=2, **SMALL, validation_fraction=0.0)
    plain, one, other = (
        clone(net).fit(X, y, sample_weight=w).bins_[-1]
        for w in (None, weight, 4 * weight)
    )
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(plain, clone(net).fit(X, y, 3 + 0 * y).bins_[-1])
    assert np.median(one) > np.median(plain) + 0.1


def test_one_value_nearly_everywhere_leaves_edges_for_the_others():
    column = np.r_[np.zeros(990), np.arange(1, 11)].astype("f")
    assert _bin_edges(column, 16).tolist() == [0, 5, 10]


# The contract of all nets


def test_probabilities_are_float64_and_sum_to_one(table):
    X, y = table
    proba = fitted(X, y).predict_proba(np.hstack([X[:, :2], 100 * X[:, 2:]]))
    assert proba.dtype == np.float64
    assert proba.shape == (len(X), len(np.unique(y)))
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)


def test_a_row_scores_the_same_alone_and_across_blocks(monkeypatch, table):
    X, y = table
    net = fitted(X, y)
    whole = net.predict_proba(X)
    monkeypatch.setattr(classifier_module, "_ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(net.predict_proba(X), whole, atol=1e-12)
    np.testing.assert_allclose(net.predict_proba(X[5:6]), whole[5:6], atol=1e-12)


def test_the_same_seed_gives_the_same_net(table):
    X, y = table
    net = fitted(X, y)
    np.testing.assert_array_equal(
        clone(net).fit(X, y).predict_proba(X), net.predict_proba(X)
    )
    other = clone(net).set_params(random_state=1).fit(X, y)
    assert not np.allclose(other.predict_proba(X), net.predict_proba(X))


def test_fit_and_predict_leave_global_chance_and_threads_alone():
    X, y = make_table()
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    threads = torch.get_num_threads()
    fitted(X, y, n_threads=threads + 1).predict(X)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    assert torch.get_num_threads() == threads


def test_pickle_and_skops_keep_the_predictions(table):
    X, y = table
    net = fitted(X, y)
    trusted = ["autoimb._models.tabm.TabMClassifier"]
    by_skops = skops.io.loads(skops.io.dumps(net), trusted=trusted)
    for copy in (pickle.loads(pickle.dumps(net)), by_skops):
        np.testing.assert_array_equal(copy.predict_proba(X), net.predict_proba(X))


def test_loading_needs_no_torch_and_fitting_no_compiler(tmp_path):
    X, y = make_table(100)
    net = fitted(X, y)
    (tmp_path / "net.pkl").write_bytes(pickle.dumps((net, X, y)))
    script = (
        "import pathlib, pickle, sys\n"
        "net, X, y = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "assert 'torch' not in sys.modules\n"
        "net.fit(X, y).predict_proba(X)\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "net.pkl"], check=True)


def test_what_is_fitted_are_plain_arrays(table):
    net = fitted(*table)
    arrays = [*net.weights_.values(), *net.bins_, *net.categories_]
    assert {type(array) for array in arrays} == {np.ndarray}


def test_a_row_of_weight_zero_is_absent(table):
    X, y = table
    weight = (np.arange(len(y)) % 4 > 0).astype(float)
    kept = weight > 0
    net = TabMClassifier(n_categorical=2, **SMALL)
    weighted = clone(net).fit(X, y, sample_weight=weight)
    dropped = net.fit(X[kept], y[kept])
    np.testing.assert_array_equal(weighted.predict_proba(X), dropped.predict_proba(X))


def test_class_weights_are_the_row_weights_of_their_rows(table):
    X, y = table
    X = X[:, :2]  # row weights move the bins of numbers
    weights = np.array([1.0, 3.0, 0.5])
    net = TabMClassifier(n_categorical=2, **SMALL, validation_fraction=0.0)
    by_row = clone(net).fit(X, y, sample_weight=weights[y])
    by_class = net.set_params(class_weight={1: 3.0, 2: 0.5}).fit(X, y)
    np.testing.assert_allclose(
        by_class.predict_proba(X), by_row.predict_proba(X), atol=1e-4
    )


def test_it_starts_at_the_weighted_class_shares(table):
    X, y = table
    shares = np.bincount(y) * np.array([1.0, 3.0, 5.0])[: y.max() + 1]
    net = fitted(X, y, class_weight={1: 3.0, 2: 5.0}, learning_rate=0.0)
    mean = net.predict_proba(X).mean(axis=0)
    np.testing.assert_allclose(mean, shares / shares.sum(), atol=0.01)


def test_the_deadline_is_kept():
    X, y = make_table(3000)
    started = time.monotonic()
    net = fitted(X, y, max_epochs=10_000, patience=10_000, time_limit_s=0.4)
    assert time.monotonic() - started < 1.5
    assert net.best_score_ is not None
    assert net.n_epochs_ >= 1


@pytest.mark.parametrize("n_categorical", [-1, 7])
def test_more_categories_than_columns_are_refused(n_categorical):
    X, y = make_table(40)
    with pytest.raises(ValueError, match="but X has 6 columns"):
        TabMClassifier(n_categorical=n_categorical).fit(X, y)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        pytest.param(np.eye(10), np.arange(10) % 2, id="ten rows"),
        pytest.param(np.ones((30, 3)), np.arange(30) % 3, id="constant features"),
        pytest.param(np.arange(30.0)[:, None], np.arange(30) > 20, id="one feature"),
        pytest.param(1e30 * np.eye(10), np.arange(10) % 2, id="huge numbers"),
        pytest.param(np.eye(2), ["a", "b"], id="two rows"),
        pytest.param(np.eye(5), ["only"] * 5, id="one class"),
    ],
)
@pytest.mark.parametrize("n_categorical", [0, 1])
def test_odd_tables_are_fitted(X, y, n_categorical):
    net = TabMClassifier(n_categorical=n_categorical, **SMALL).fit(X, y)
    proba = net.predict_proba(X)
    assert np.isfinite(proba).all()
    assert set(net.predict(X)) <= set(np.asarray(y).tolist())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_what_a_cpu_learns():
    X, y = make_table(2000)
    scores = [
        average_precision_score(
            y, fitted(X, y, device=d, max_epochs=15).predict_proba(X)[:, 1]
        )
        for d in ("cpu", "cuda")
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.03)


def test_a_net_is_built_once_for_its_weights():
    X, y = make_classification(80, 4, random_state=0)
    net = TabMClassifier(k=2, max_epochs=1, random_state=0).fit(X, y)
    before = net.predict_proba(X)
    assert net._predictor() is net._predictor()
    other = clone(net).fit(X[:, ::-1], y)
    assert other._predictor() is not net._predictor()
    same = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(same.predict_proba(X), before)
    net.fit(X[:, ::-1], y)  # other weights, another net
    np.testing.assert_array_equal(
        net.predict_proba(X[:, ::-1]), other.predict_proba(X[:, ::-1])
    )
