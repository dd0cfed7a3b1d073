"""Which rows batches hold; mixup, weights, gradient steps and dropout."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from autoimb._models.batches import BATCHES, BalancedBatches, Batches, LabelledRows
from autoimb._models.loss_lookup import class_shares
from autoimb._models.losses import weighted_cross_entropy
from autoimb._models.net_module import ResidualNet
from autoimb._models.training import (
    AdamW,
    Dropout,
    Training,
)

COUNTS = {
    "two classes": (90, 10),
    "three": (70, 5, 25),
    "one row": (40, 1),
    "alone": (7,),
}
some_counts = pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS.keys())
each_scheme = pytest.mark.parametrize("scheme", BATCHES.values(), ids=BATCHES.keys())


def make_rows(counts, weight=None, seed=0):
    """Return rows whose only feature is their number, the classes in random order."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    weight = np.ones(len(codes)) if weight is None else weight
    X = np.arange(len(codes), dtype=np.float32)[:, np.newaxis]
    return LabelledRows(X, codes, np.asarray(weight, dtype=np.float32))


def shares_of(rows):
    return class_shares(rows.codes, rows.weight)


def drawn_counts(rows, n_epochs=1, seed=0):
    """Return how often balanced batches draw each row."""
    rng = np.random.default_rng(seed)
    batches = BalancedBatches(rows, shares_of(rows))
    drawn = np.concatenate([batches.draw(rng) for _ in range(n_epochs)])
    return np.bincount(drawn, minlength=len(rows.codes))


# Schemes


@each_scheme
@some_counts
def test_an_epoch_has_as_many_rows_as_there_are(scheme, counts):
    rows = make_rows(counts)
    rng = np.random.default_rng(0)
    assert len(scheme(rows, shares_of(rows)).draw(rng)) == len(rows.codes)


@some_counts
def test_plain_batches_hold_each_row_once(counts):
    rows = make_rows(counts)
    order = Batches(rows, shares_of(rows)).draw(np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), np.arange(sum(counts)))


@pytest.mark.parametrize("batch_size", [2, 7, 16])
@some_counts
def test_balanced_batches_hold_all_classes_equally(batch_size, counts):
    rows = make_rows(counts)
    order = BalancedBatches(rows, shares_of(rows)).draw(np.random.default_rng(0))
    for start in range(0, len(order), batch_size):
        batch = rows.codes[order[start : start + batch_size]]
        held = np.bincount(batch, minlength=len(counts))
        assert held.max() - held.min() <= 1


@given(
    weights=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=4, max_size=30),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_rows_are_drawn_in_proportion_to_their_weight(weights, seed):
    """Each as often as its share of the draws of its class, rounded up or down."""
    weight = np.array([1.0, 1.0, *weights])
    codes = np.arange(len(weight)) % 2
    rows = LabelledRows(np.zeros((len(weight), 1), "f"), codes, weight.astype("f"))
    drawn = drawn_counts(rows, seed=seed)
    for code in (0, 1):
        of_class = np.where(codes == code, weight, 0.0)
        expected = of_class / of_class.sum() * drawn[codes == code].sum()
        # The last round of an odd epoch leaves one row of a class out.
        assert (np.abs(drawn - expected)[codes == code] < 2).all()
    assert not drawn[weight == 0].any()


def test_over_epochs_every_row_gets_its_turn():
    rows = make_rows((400, 20))
    drawn = drawn_counts(rows, n_epochs=60)
    majority, minority = drawn[rows.codes == 0], drawn[rows.codes == 1]
    assert majority.min() > 0
    assert majority.mean() == pytest.approx(60 * 210 / 400)
    assert np.ptp(minority) <= 60  # 10 or 11 times an epoch


@each_scheme
def test_the_same_seed_draws_the_same_rows(scheme):
    rows = make_rows((50, 9))
    batches = scheme(rows, shares_of(rows))
    first, again, other = (batches.draw(np.random.default_rng(s)) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_plain_batches_have_the_shares_of_the_data_and_its_weights():
    weight = np.random.default_rng(0).uniform(0.1, 2.0, 100)
    rows = make_rows((80, 20), weight)
    shares = shares_of(rows)
    batches = Batches(rows, shares)
    np.testing.assert_array_equal(batches.prior, shares)
    np.testing.assert_allclose(batches.loss_weight, weight / weight.mean(), rtol=1e-5)
    assert shares[1] == pytest.approx(weight[rows.codes == 1].sum() / sum(weight))


@pytest.mark.parametrize("shares", [(0.9, 0.1), (0.3, 0.0, 0.7)], ids=str)
def test_balanced_batches_have_equal_shares_of_the_classes_that_exist(shares):
    shares = np.array(shares)
    prior = BalancedBatches(make_rows((3, 1)), shares).prior
    np.testing.assert_allclose(prior, (shares > 0) / (shares > 0).sum(), atol=1e-6)
    assert prior.astype(np.float32).argmin() == shares.argmin()


# Steps


def make_training(n_outputs=1, mixup=0.0, scheme=Batches, class_weight=None):
    rng = np.random.default_rng(1)
    n_classes = max(2, n_outputs)
    X = rng.normal(size=(60, 3)).astype("f")
    rows = LabelledRows(
        X, rng.permutation(60) % n_classes, rng.uniform(0.5, 2, 60).astype("f")
    )
    weights = {
        "matrix_0": rng.normal(size=(3, 8)).astype("f"),
        "bias_0": rng.normal(size=8).astype("f"),
        "matrix_1": rng.normal(size=(8, n_outputs)).astype("f"),
        "bias_1": rng.normal(size=n_outputs).astype("f"),
    }
    network = ResidualNet(weights, dropout=0.0, seed=0)
    batches = scheme(rows, shares_of(rows))
    class_weight = np.ones(n_classes, "f") if class_weight is None else class_weight
    return Training(
        network,
        batches,
        weighted_cross_entropy,
        class_weight,
        learning_rate=0.01,
        weight_decay=0.1,
        batch_size=16,
        mixup=mixup,
        device="cpu",
        seed=0,
    )


@pytest.mark.parametrize("n_outputs", [1, 3], ids=["binary", "three classes"])
def test_mixup_blends_rows_and_labels_alike(n_outputs):
    """The loss of a blended row is cross-entropy to labels blended the same way."""
    training = make_training(n_outputs, mixup=0.4)
    training.weight = torch.ones(60)
    batch = torch.arange(5, 25)
    losses = training._losses(batch)
    rng = np.random.default_rng(0)
    partner = batch[torch.tensor(rng.permutation(len(batch)))]
    share = rng.beta(0.4, 0.4)
    assert 0.01 < share < 0.99
    X = share * training.X[batch] + (1 - share) * training.X[partner]
    one_hot = torch.eye(max(2, n_outputs))[training.codes]
    labels = share * one_hot[batch] + (1 - share) * one_hot[partner]
    logits = training.network(X)[:, 0]
    if n_outputs == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    expected = cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(losses, expected)


def test_each_of_two_blended_rows_brings_its_own_weight():
    training = make_training(mixup=0.4)
    batch = torch.arange(20)
    rng = np.random.default_rng(0)
    partner, share = torch.tensor(rng.permutation(20)), rng.beta(0.4, 0.4)
    logits = training.network(
        share * training.X[batch] + (1 - share) * training.X[partner]
    )
    sides = [
        (weighted_cross_entropy(logits[:, 0, 0], training.codes[b]), b)
        for b in (batch, partner)
    ]
    own, other = (losses * training.weight[b] for losses, b in sides)
    torch.testing.assert_close(
        training._losses(batch), share * own + (1 - share) * other
    )


def test_no_mixup_is_the_plain_loss_and_draws_nothing():
    training = make_training()
    before = training.rng.bit_generator.state
    batch = torch.arange(20)
    logits = training.network(training.X[batch])[:, 0, 0]
    plain = weighted_cross_entropy(logits, training.codes[batch])
    torch.testing.assert_close(training._losses(batch), plain * training.weight[batch])
    assert training.rng.bit_generator.state == before


@each_scheme
def test_class_weights_have_a_mean_of_one_over_the_rows_drawn(scheme):
    training = make_training(3, scheme=scheme, class_weight=np.array([1.0, 9.0, 3.0]))
    order = training.batches.draw(np.random.default_rng(0))
    bound = training.loss.keywords["class_weight"][training.codes[order]]
    assert (bound * training.weight[order]).mean() == pytest.approx(1.0, abs=1e-4)


def test_the_optimiser_is_adam_with_decoupled_decay():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 2)), rng.normal(size=4)]
    tensors = [torch.tensor(array) for array in start]
    optimiser = AdamW(tensors, tensors[:1], decay=0.1)
    means, squares = [0 * a for a in start], [0 * a for a in start]
    expected = [array.copy() for array in start]
    for step in range(1, 6):
        gradients = [rng.normal(size=a.shape) for a in start]
        optimiser.step(tuple(map(torch.tensor, gradients)), learning_rate=0.02)
        for i, gradient in enumerate(gradients):
            means[i] = 0.9 * means[i] + 0.1 * gradient
            squares[i] = 0.99 * squares[i] + 0.01 * gradient**2
            unbiased = means[i] / (1 - 0.9**step), squares[i] / (1 - 0.99**step)
            decay = 0.1 if i == 0 else 0.0
            expected[i] -= 0.02 * decay * expected[i]
            expected[i] -= 0.02 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    for tensor, array in zip(tensors, expected, strict=True):
        np.testing.assert_allclose(tensor, array, rtol=1e-10)


def test_scoring_uses_averaged_weights_and_leaves_the_latest():
    training = make_training()
    X = training.X.numpy()
    training._step(torch.arange(16), 0.01)
    latest = [parameter.detach().clone() for parameter in training.parameters]
    by_average = ResidualNet(training.weights(), 0.0, 0)(training.X).detach()
    np.testing.assert_allclose(training.logits(X), by_average, rtol=1e-5)
    for before, after in zip(latest, training.parameters, strict=True):
        assert torch.equal(before, after)
    assert training.network.training


# Dropout


def test_dropout_silences_its_share_and_keeps_the_mean():
    drop = Dropout(0.25, seed=0)
    dropped = drop(torch.ones(32, 256))
    assert (dropped == 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.04)


def test_dropout_draws_fresh_masks_of_any_shape():
    drop = Dropout(0.5, seed=0)
    first, second = drop(torch.ones(64, 8)), drop(torch.ones(64, 8))
    assert not torch.equal(first, second)
    assert drop(torch.ones(100, 4, 8)).shape == (100, 4, 8)


@pytest.mark.parametrize("rate", [0.0, 0.5], ids=["rate zero", "evaluation"])
def test_dropout_is_off_where_it_should_be(rate):
    drop = Dropout(rate, seed=0)
    units = torch.ones(4, 4)
    assert (drop.train(mode=rate == 0))(units) is units
