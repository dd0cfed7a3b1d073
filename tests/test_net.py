"""The net: sklearn's contract, its two forward passes, weights, time and chance."""

import pickle
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, make_scorer, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.estimator_checks import parametrize_with_checks

from autoimb import AutoImbalance
from autoimb._metrics.metrics import METRICS, LabelMetric
from autoimb._metrics.scorers import resolve_metric
from autoimb._models import classifier as classifier_module
from autoimb._models.batches import LabelledRows
from autoimb._models.classifier import HoldOut
from autoimb._models.losses import LOSSES, weighted_cross_entropy
from autoimb._models.net import NetClassifier
from autoimb._models.tabm import TabMClassifier

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
    monkeypatch.setattr(classifier_module, "_ROWS_AT_ONCE", 7)
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
    with pytest.raises(ValueError, match="Did you mean 'log_loss'"):
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


@pytest.mark.parametrize("batches", ["plain", "balanced"])
@pytest.mark.parametrize("loss", ["asymmetric", "focal", "log_loss"])
def test_it_starts_at_the_weighted_class_shares(loss, batches, table):
    X, y = table
    shares = np.bincount(y) * np.array([1.0, 3.0, 5.0])[: y.max() + 1]
    net = NetClassifier(
        loss=loss,
        batches=batches,
        class_weight={1: 3.0, 2: 5.0},
        learning_rate=0.0,
        **SMALL,
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
    ("weight", "said"),
    [
        (-1.0, "Negative values"),
        (np.nan, "sample_weight contains NaN"),
        (0.0, "at least one non-zero"),
    ],
    ids=["negative", "NaN", "zero everywhere"],
)
def test_impossible_weights_are_refused(weight, said):
    X, y = make_table(40)
    with pytest.raises(ValueError, match=said):
        NetClassifier(**SMALL).fit(X, y, sample_weight=np.full(40, weight))


@pytest.mark.parametrize("n_classes", [2, 3], ids=["binary", "three classes"])
def test_balanced_batches_are_corrected_to_the_shares_of_the_data(n_classes):
    X, y = make_table(3000, {2: (0.9,), 3: (0.7, 0.2)}[n_classes], n_classes)
    X = X + np.random.default_rng(0).normal(scale=2.0, size=X.shape)
    X_train, X_new, y_train, y_new = train_test_split(X, y, random_state=0)
    net = NetClassifier(batches="balanced", hidden=32, max_epochs=20, random_state=0)
    proba = net.fit(X_train, y_train).predict_proba(X_new)
    shares = np.bincount(y_train) / len(y_train)
    np.testing.assert_allclose(proba.mean(axis=0), shares, atol=0.04)
    # What was taught is right where the classes are equally common, and only there.
    net.prior_shift_ = np.zeros(n_classes)
    taught = net.predict_proba(X_new)
    equal = np.average(taught, axis=0, weights=(1 / shares)[y_new])
    np.testing.assert_allclose(equal, 1 / n_classes, atol=0.06)
    assert np.abs(taught.mean(axis=0) - shares).max() > 0.15


def test_the_correction_is_the_ratio_of_shares(table):
    X, y = table
    weight = np.random.default_rng(0).uniform(0.5, 2.0, size=len(y))
    net = NetClassifier(batches="balanced", **SMALL).fit(X, y, sample_weight=weight)
    shares = np.bincount(y, weight) / weight.sum()
    np.testing.assert_allclose(
        net.prior_shift_, np.log(shares * len(shares)), atol=1e-5
    )
    plain = NetClassifier(**SMALL).fit(X, y, sample_weight=weight)
    assert not plain.prior_shift_.any()


@pytest.mark.parametrize("mixup", [0.0, 0.5], ids=["plain rows", "mixup"])
@pytest.mark.parametrize("batches", ["plain", "balanced"])
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_losses_batches_and_mixup_combine(loss, batches, mixup, table):
    X, y = table
    net = NetClassifier(loss=loss, batches=batches, mixup=mixup, **SMALL).fit(X, y)
    proba = net.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)
    assert roc_auc_score(y == 1, proba[:, 1]) > 0.7


def test_a_function_serves_as_a_loss():
    X, y = make_table()
    named = NetClassifier(**SMALL).fit(X, y)
    own = NetClassifier(loss=weighted_cross_entropy, **SMALL).fit(X, y)
    np.testing.assert_array_equal(own.predict_proba(X), named.predict_proba(X))


def held_out(n_classes, metric, seed=0, n=60):
    """Return a hold-out and probabilities that are correlated with its labels."""
    rng = np.random.default_rng(seed)
    codes = np.r_[np.arange(n_classes), rng.integers(n_classes, size=n - n_classes)]
    rows = LabelledRows(
        np.zeros((n, 1), "f"), codes, rng.uniform(0.5, 2.0, n).astype("f")
    )
    proba = rng.dirichlet(np.ones(n_classes), n) + 0.3 * np.eye(n_classes)[codes]
    pos = 0 if n_classes == 2 else None
    metric = resolve_metric(metric, n_classes)
    return HoldOut(rows, metric, pos), proba / proba.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "name", [n for n, m in METRICS.items() if isinstance(m, LabelMetric)]
)
def test_metrics_of_labels_are_taken_at_their_best_cut(name):
    """Brute force over all cuts of the positive class's probability."""
    scoring, proba = held_out(2, name)
    rows = scoring.rows
    scores = [
        scoring.metric.score_many(
            rows.codes,
            proba,
            rows.weight[np.newaxis].astype(float),
            pos=0,
            y_pred=np.where(proba[:, 0] >= cut, 0, 1),
        )[0]
        for cut in [*np.unique(proba[:, 0]), 2.0]
    ]
    assert scoring.score(proba) == pytest.approx(max(scores))


@pytest.mark.parametrize("name", ["f1", "mcc"])
def test_several_classes_are_weighed_at_their_best(name):
    scoring, proba = held_out(3, name)
    rows = scoring.rows
    at_argmax = scoring.metric.score_many(
        rows.codes,
        proba,
        rows.weight[np.newaxis].astype(float),
        pos=None,
        y_pred=proba.argmax(axis=1),
    )[0]
    assert 1 > scoring.score(proba) >= at_argmax > 0


def test_rankings_are_scored_as_scikit_learn_does():
    scoring, proba = held_out(2, "average_precision")
    expected = average_precision_score(
        scoring.rows.codes == 0, proba[:, 0], sample_weight=scoring.rows.weight
    )
    assert scoring.score(proba) == pytest.approx(expected)


def test_average_precision_stands_in_for_a_scorer():
    scoring, proba = held_out(2, make_scorer(roc_auc_score))
    assert scoring.score(proba) == held_out(2, "average_precision")[0].score(proba)


@pytest.mark.parametrize("rarer", [0, 1])
def test_the_rarer_of_two_classes_is_the_positive_one(rarer):
    X, y = make_table(800)
    y = y if rarer == 1 else 1 - y
    net = NetClassifier()
    net.classes_ = np.unique(y)
    _, scoring = net._split(
        LabelledRows(X.astype("f"), y, np.ones(len(y), "f")), seed=0
    )
    assert scoring.pos == rarer


def hard_table(n=800):
    """Return a table on which the best epoch is not the last one, and text labels."""
    X, y = make_table(n, weights=(0.7,))
    X = X + np.random.default_rng(0).normal(scale=2.0, size=X.shape)
    return X, np.array(["usual", "rare"])[y]


@pytest.mark.parametrize("make", [NetClassifier, partial(TabMClassifier, k=2)])
@pytest.mark.parametrize("pos_label", ["usual", "rare", None])
def test_the_monitored_score_is_that_of_the_class_of_interest(make, pos_label):
    X, y = hard_table()
    net = make(pos_label=pos_label, random_state=0, max_epochs=6).fit(X, y)
    _, X_held_out, _, labels = train_test_split(
        X.astype("f"),
        y,
        test_size=net.validation_fraction,
        stratify=y,
        random_state=check_random_state(0).randint(2**31 - 1),
    )
    label = pos_label or "rare"
    proba = net.predict_proba(X_held_out)[:, net.classes_.tolist().index(label)]
    expected = average_precision_score(labels == label, proba)
    assert net.best_score_ == pytest.approx(expected, abs=1e-4)


def test_the_class_of_interest_decides_which_epoch_is_kept():
    X, y = hard_table()
    rarer, same, other = (
        NetClassifier(pos_label=label, random_state=3, hidden=16, max_epochs=15)
        .fit(X, y)
        .predict_proba(X)
        for label in (None, "rare", "usual")
    )
    np.testing.assert_array_equal(rarer, same)
    assert not np.array_equal(rarer, other)


def test_a_class_of_interest_that_is_no_class_is_an_error():
    X, y = hard_table(100)
    with pytest.raises(ValueError, match=r"pos_label='no' is not among \['rare', 'us"):
        NetClassifier(pos_label="no", max_epochs=1).fit(X, y)
    three, of_three = make_table(weights=(0.5, 0.3), n_classes=3)
    NetClassifier(pos_label="no", max_epochs=1).fit(three, of_three)


@pytest.mark.parametrize("family", ["mlp", "tabm"])
@pytest.mark.parametrize("pos_label", ["usual", "rare", None])
def test_a_fit_hands_its_class_of_interest_to_the_nets(family, pos_label):
    X, y = hard_table(200)
    model = AutoImbalance(
        families=family,
        resamplers="random_under",
        pos_label=pos_label,
        n_trials=1,
        cv=2,
        ensemble_size=1,
        n_jobs=1,
        random_state=0,
    ).fit(X, y)
    net = model.best_pipeline_[-1]
    assert model.classes_[net.pos_label] == (pos_label or "rare")


def test_the_metric_decides_which_epoch_is_kept():
    X, y = make_table(800, weights=(0.7,))
    X = X + np.random.default_rng(0).normal(scale=2.0, size=X.shape)
    nets = [
        NetClassifier(metric=metric, random_state=0, hidden=16, max_epochs=15).fit(X, y)
        for metric in ("average_precision", "gmean", "average_precision")
    ]
    by_ranking, by_labels, again = (net.predict_proba(X) for net in nets)
    assert not np.array_equal(by_ranking, by_labels)
    np.testing.assert_array_equal(by_ranking, again)


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
        time_limit_s=0.3,
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
    free, timed = NetClassifier(**SMALL), NetClassifier(time_limit_s=1e6, **SMALL)
    np.testing.assert_array_equal(
        free.fit(X, y).predict_proba(X), timed.fit(X, y).predict_proba(X)
    )


def test_a_deadline_in_the_past_still_gives_a_model():
    X, y = make_table()
    net = NetClassifier(time_limit_s=0.0, random_state=0).fit(X, y)
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


@pytest.mark.parametrize("batches", ["plain", "balanced"])
def test_constant_features_teach_the_class_shares(batches):
    y = np.repeat([0, 1], [90, 10])
    net = NetClassifier(batches=batches, random_state=0).fit(np.zeros((100, 3)), y)
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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"device": "tpu"}, "device='tpu' is not known"),
        (
            {"batches": "stratified"},
            r"'stratified' is not known\. Known: balanced, plain",
        ),
        ({"metric": "auprc"}, "Did you mean 'average_precision'"),
        ({"mixup": -0.1}, "mixup=-0.1 must not be negative"),
    ],
    ids=["device", "batches", "metric", "mixup"],
)
def test_unknown_choices_are_refused(wrong, said):
    X, y = make_table()
    with pytest.raises(ValueError, match=said):
        NetClassifier(**wrong).fit(X, y)


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
