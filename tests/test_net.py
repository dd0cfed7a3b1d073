"""The net: sklearn's contract, its two forward passes, weights, time and chance."""

import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

from autoimb._models import net as net_module
from autoimb._models.net import NetClassifier
from autoimb._models.training import Rows, Training

SMALL = {"hidden": 16, "max_epochs": 5, "random_state": 0}
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 is in one mini-batch, the same row twice is in two, so "
        "other batches are drawn"
    ),
}


def make_table(n=400, weights=(0.85,), n_classes=2, seed=0):
    return make_classification(
        n,
        n_features=6,
        n_informative=4,
        n_classes=n_classes,
        weights=list(weights),
        class_sep=1.5,
        random_state=seed,
    )


@pytest.fixture(params=[2, 3], ids=["binary", "three classes"])
def table(request):
    shares = {2: (0.8,), 3: (0.5, 0.3)}
    return make_table(weights=shares[request.param], n_classes=request.param)


def global_numpy_state():
    return np.random.get_state()[1].copy()


@parametrize_with_checks(
    [NetClassifier(max_epochs=5, random_state=0)],
    expected_failed_checks=lambda _: EXPECTED,
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def test_numpy_predicts_what_torch_would(table):
    X, y = table
    net = NetClassifier(**SMALL).fit(X, y)
    layers = [
        (torch.from_numpy(net.weights_[f"matrix_{i}"]), net.weights_[f"bias_{i}"])
        for i in range(len(net.weights_) // 2)
    ]
    units = torch.from_numpy(X.astype(np.float32))
    for i, (matrix, bias) in enumerate(layers[:-1]):
        linear = torch.nn.functional.linear(units, matrix.T, torch.from_numpy(bias))
        new = torch.nn.functional.silu(linear)
        units = new if i == 0 else units + new
    logits = units @ layers[-1][0] + torch.from_numpy(layers[-1][1])
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    np.testing.assert_allclose(
        net.predict_proba(X), logits.double().softmax(dim=1), atol=1e-5
    )


def test_probabilities_are_float64_and_sum_to_one(table):
    X, y = table
    proba = NetClassifier(**SMALL).fit(X, y).predict_proba(100 * X)
    assert proba.dtype == np.float64
    assert proba.shape == (len(X), len(np.unique(y)))
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)


def test_a_row_scores_the_same_alone_and_across_chunks(monkeypatch):
    X, y = make_table()
    net = NetClassifier(**SMALL).fit(X, y)
    whole = net.predict_proba(X)
    monkeypatch.setattr(net_module, "_PREDICT_ROWS", 7)
    np.testing.assert_allclose(net.predict_proba(X), whole, atol=1e-12)
    np.testing.assert_allclose(net.predict_proba(X[5:6]), whole[5:6], atol=1e-12)


def test_unpickling_and_predicting_need_no_torch(tmp_path):
    X, y = make_table()
    net = NetClassifier(**SMALL).fit(X, y)
    (tmp_path / "net.pkl").write_bytes(pickle.dumps((net, X, net.predict_proba(X))))
    script = (
        "import pathlib, pickle, sys, numpy as np\n"
        "net, X, proba = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "np.testing.assert_allclose(net.predict_proba(X), proba, atol=1e-6)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "net.pkl"], check=True)


def test_skops_saves_and_loads_it():
    X, y = make_table()
    net = NetClassifier(**SMALL).fit(X, y)
    trusted = ["autoimb._models.net.NetClassifier"]
    loaded = skops.io.loads(skops.io.dumps(net), trusted=trusted)
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))


def test_the_same_seed_gives_the_same_net(table):
    X, y = table
    net = NetClassifier(**SMALL).fit(X, y)
    np.testing.assert_array_equal(
        clone(net).fit(X, y).predict_proba(X), net.predict_proba(X)
    )
    other = clone(net).set_params(random_state=1).fit(X, y)
    assert not np.allclose(other.predict_proba(X), net.predict_proba(X))


def test_fit_leaves_global_chance_and_threads_alone():
    X, y = make_table()
    before = torch.get_rng_state(), global_numpy_state()
    threads = torch.get_num_threads()
    NetClassifier(**SMALL, n_threads=threads + 1).fit(X, y).predict(X)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(global_numpy_state(), before[1])
    assert torch.get_num_threads() == threads


def test_threads_are_restored_when_fit_fails():
    X, y = make_table()
    threads = torch.get_num_threads()
    with pytest.raises(ValueError, match="nearest: 'log_loss'"):
        NetClassifier(loss="logloss", n_threads=threads + 1).fit(X, y)
    assert torch.get_num_threads() == threads


def test_it_learns_more_than_a_linear_rule_can():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 4))
    y = (X[:, 0] * X[:, 1] > 1.2).astype(int)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    net = NetClassifier(random_state=0).fit(X_train, y_train)
    score = average_precision_score(y_test, net.predict_proba(X_test)[:, 1])
    assert score > 0.8 > 3 * y_test.mean()


@pytest.mark.parametrize("loss", ["focal", "log_loss"])
def test_it_starts_at_the_weighted_class_shares(loss, table):
    X, y = table
    shares = np.bincount(y) * np.array([1.0, 3.0, 5.0])[: y.max() + 1]
    net = NetClassifier(
        loss=loss, class_weight={1: 3.0, 2: 5.0}, learning_rate=0.0, **SMALL
    )
    mean = net.fit(X, y).predict_proba(np.zeros((1, 6)))
    np.testing.assert_allclose(mean[0], shares / shares.sum(), atol=1e-5)


def test_class_weights_are_the_row_weights_of_their_rows(table):
    X, y = table
    # No hold-out: its score counts row weights but not class weights.
    params = {**SMALL, "validation_fraction": 0.0}
    weights = np.array([1.0, 3.0, 0.5])
    by_class = NetClassifier(class_weight={1: 3.0, 2: 0.5}, **params).fit(X, y)
    by_row = NetClassifier(**params).fit(X, y, sample_weight=weights[y])
    np.testing.assert_allclose(
        by_class.predict_proba(X), by_row.predict_proba(X), atol=1e-4
    )


def test_only_the_ratios_of_weights_matter(table):
    X, y = table
    weight = np.random.default_rng(0).uniform(0.5, 2.0, size=len(y))
    small = NetClassifier(**SMALL).fit(X, y, sample_weight=weight)
    large = NetClassifier(**SMALL).fit(X, y, sample_weight=1024 * weight)
    np.testing.assert_allclose(
        small.predict_proba(X), large.predict_proba(X), atol=1e-4
    )


def test_a_row_of_weight_zero_is_absent(table):
    X, y = table
    weight = (np.arange(len(y)) % 4 > 0).astype(float)
    kept = weight > 0
    weighted = NetClassifier(**SMALL).fit(X, y, sample_weight=weight)
    dropped = NetClassifier(**SMALL).fit(X[kept], y[kept])
    np.testing.assert_array_equal(weighted.predict_proba(X), dropped.predict_proba(X))


@pytest.mark.parametrize(
    "weight", [-1.0, np.nan, 0.0], ids=["negative", "NaN", "zero everywhere"]
)
def test_impossible_weights_are_refused(weight):
    X, y = make_table(40)
    with pytest.raises(ValueError, match="sample_weight must be"):
        NetClassifier(**SMALL).fit(X, y, sample_weight=np.full(40, weight))


def test_a_hold_out_chooses_the_epoch_it_scores_best():
    X, y = make_table(400, weights=(0.7,))
    net = NetClassifier(random_state=0, max_epochs=40, patience=2, hidden=16).fit(X, y)
    assert 0 < net.best_score_ <= 1
    assert net.n_epochs_ < 40


@pytest.mark.parametrize("share", [0.0, 0.15], ids=["none wanted", "too few rows"])
def test_nothing_is_held_out_from_few_rare_rows(share):
    X, y = make_table(300, weights=(0.9,))
    net = NetClassifier(random_state=0, validation_fraction=share).fit(X, y)
    assert net.best_score_ is None
    assert net.n_epochs_ >= 20


@pytest.mark.parametrize("held_out", [True, False])
def test_the_deadline_is_kept(held_out):
    X, y = make_table(4000, weights=(0.8,))
    share = 0.15 if held_out else 0.0
    net = NetClassifier(
        max_epochs=10_000,
        patience=10_000,
        validation_fraction=share,
        deadline_s=0.3,
        random_state=0,
    )
    started = time.monotonic()
    net.fit(X, y)
    assert time.monotonic() - started < 1.5
    assert (net.best_score_ is not None) is held_out
    assert net.n_epochs_ >= 1
    assert np.isfinite(net.predict_proba(X)).all()


def test_an_ample_deadline_changes_nothing(table):
    X, y = table
    free, timed = NetClassifier(**SMALL), NetClassifier(deadline_s=1e6, **SMALL)
    np.testing.assert_array_equal(
        free.fit(X, y).predict_proba(X), timed.fit(X, y).predict_proba(X)
    )


def test_a_deadline_in_the_past_still_gives_a_model():
    X, y = make_table()
    net = NetClassifier(deadline_s=0.0, random_state=0).fit(X, y)
    assert net.n_epochs_ == 1
    np.testing.assert_allclose(net.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        pytest.param(np.eye(10), np.arange(10) % 2, id="ten rows"),
        pytest.param(np.eye(10), np.arange(10), id="each row its own class"),
        pytest.param(np.ones((30, 3)), np.arange(30) % 3, id="constant features"),
        pytest.param(np.arange(30.0)[:, None], np.arange(30) > 20, id="one feature"),
        pytest.param(np.eye(2), ["a", "b"], id="two rows"),
    ],
)
def test_odd_tables_are_fitted(X, y):
    net = NetClassifier(**SMALL).fit(X, y)
    proba = net.predict_proba(X)
    assert np.isfinite(proba).all()
    assert set(net.predict(X)) <= set(np.asarray(y).tolist())


def test_constant_features_teach_the_class_shares():
    y = np.repeat([0, 1], [90, 10])
    net = NetClassifier(random_state=0).fit(np.zeros((100, 3)), y)
    np.testing.assert_allclose(
        net.predict_proba(np.zeros((1, 3)))[0, 1], 0.1, atol=0.02
    )


def test_one_class_is_certain():
    net = NetClassifier(**SMALL).fit(np.eye(5), ["only"] * 5)
    np.testing.assert_array_equal(net.predict_proba(np.eye(5)), np.ones((5, 1)))
    assert net.predict(np.eye(5)).tolist() == ["only"] * 5
    assert net.n_epochs_ == 0


def test_no_dropout_and_one_layer_work():
    X, y = make_table()
    net = NetClassifier(dropout=0.0, n_layers=0, batch_size=50, **SMALL).fit(X, y)
    assert sorted(net.weights_) == ["bias_0", "bias_1", "matrix_0", "matrix_1"]


def test_dropout_silences_its_share_and_keeps_the_mean():
    X, y = make_table()
    net = NetClassifier(dropout=0.25, hidden=256, n_layers=1)
    net.classes_, net.n_features_in_ = np.unique(y), 6
    rows = Rows(X.astype("f"), y, np.ones(len(y), "f"))
    weight = np.ones(2, dtype="f")
    flat = net._initial_weights(rows, weight, 0)
    training = Training(net, flat, rows, weight, 0)
    training.masks = training._draw_masks()
    dropped = training._drop(torch.ones(32, 256))
    assert (dropped == 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.04)


def test_an_unknown_device_is_refused():
    X, y = make_table()
    with pytest.raises(ValueError, match="device='tpu' is not one of"):
        NetClassifier(device="tpu").fit(X, y)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_what_a_cpu_learns():
    X, y = make_table(2000)
    scores = [
        average_precision_score(
            y, NetClassifier(device=d, random_state=0).fit(X, y).predict_proba(X)[:, 1]
        )
        for d in ("cpu", "cuda")
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.03)
