"""Losses: their laws, their gradients, and numbers at the edges."""

import numpy as np
import pytest
import torch

from autoimb._models.loss_lookup import resolve_loss
from autoimb._models.losses import (
    LOSSES,
    asymmetric,
    focal,
    label_smoothing,
    logit_adjusted,
    weighted_cross_entropy,
)

K = {"binary": 2, "four classes": 4}


def make_batch(n_classes, n=12, seed=0):
    """Return float64 logits, codes with every class, class weights, row weights."""
    g = torch.Generator().manual_seed(seed)
    shape = (n,) if n_classes == 2 else (n, n_classes)
    logits = 3 * torch.randn(shape, generator=g, dtype=torch.float64)
    codes = torch.arange(n) % n_classes
    class_weight = 0.5 + torch.rand(n_classes, generator=g, dtype=torch.float64)
    sample_weight = 0.5 + torch.rand(n, generator=g, dtype=torch.float64)
    return logits, codes, class_weight, sample_weight


def probabilities(logits):
    """Return (n, k) probabilities by the textbook formula."""
    z = logits.numpy()
    wide = np.stack([np.zeros_like(z), z], axis=1) if z.ndim == 1 else z
    return np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)


@pytest.fixture(params=K.values(), ids=K)
def batch(request):
    return make_batch(request.param)


@pytest.fixture(params=sorted(LOSSES))
def loss(request):
    """Return a loss that knows the shares of the classes, if it is called so."""
    function = LOSSES[request.param].function

    def with_prior(logits, codes, **weights):
        n_classes = 2 if logits.ndim == 1 else logits.shape[1]
        return function(logits, codes, prior=prior_of(n_classes), **weights)

    return with_prior


def prior_of(n_classes):
    shares = torch.arange(n_classes, 0, -1, dtype=torch.float64) ** 2
    return shares / shares.sum()


def test_cross_entropy_is_minus_log_of_the_true_probability(batch):
    logits, codes, class_weight, sample_weight = batch
    p_true = probabilities(logits)[np.arange(len(codes)), codes]
    expected = -np.log(p_true) * class_weight.numpy()[codes] * sample_weight.numpy()
    actual = weighted_cross_entropy(
        logits, codes, class_weight=class_weight, sample_weight=sample_weight
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_is_the_formula_of_the_paper(batch, gamma):
    logits, codes, *_ = batch
    p_true = probabilities(logits)[np.arange(len(codes)), codes]
    expected = -((1 - p_true) ** gamma) * np.log(p_true)
    np.testing.assert_allclose(focal(logits, codes, gamma=gamma), expected, rtol=1e-9)


def test_focal_with_gamma_zero_is_cross_entropy(batch):
    logits, codes, class_weight, sample_weight = batch
    weights = {"class_weight": class_weight, "sample_weight": sample_weight}
    torch.testing.assert_close(
        focal(logits, codes, gamma=0.0, **weights),
        weighted_cross_entropy(logits, codes, **weights),
    )


@pytest.mark.parametrize(
    "name", [name for name, entry in LOSSES.items() if entry.link == "softmax"]
)
def test_one_logit_is_two_logits_with_their_difference(name):
    logits, codes, *_ = make_batch(2)

    def loss(z, codes):
        return LOSSES[name].function(z, codes, prior=prior_of(2))

    two = torch.stack([0.7 - logits / 2, 0.7 + logits / 2], dim=1)
    torch.testing.assert_close(loss(logits, codes), loss(two, codes))


def test_weight_two_is_the_row_twice(loss, batch):
    logits, codes, *_ = batch
    weight = torch.ones(len(codes), dtype=logits.dtype)
    weight[3] = 2
    twice = torch.cat([torch.arange(len(codes)), torch.tensor([3])])
    torch.testing.assert_close(
        loss(logits, codes, sample_weight=weight).sum(),
        loss(logits[twice], codes[twice]).sum(),
    )


def test_class_weights_are_the_row_weights_of_their_rows(loss, batch):
    logits, codes, class_weight, _ = batch
    torch.testing.assert_close(
        loss(logits, codes, class_weight=class_weight),
        loss(logits, codes, sample_weight=class_weight[codes]),
    )


def test_gradients_match_central_differences(loss, batch):
    logits, codes, class_weight, sample_weight = batch

    def total(z):
        weights = {"class_weight": class_weight, "sample_weight": sample_weight}
        return loss(z, codes, **weights).sum()

    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(leaf), [leaf])
    step, numeric = 1e-6, torch.zeros_like(logits)
    for i in range(logits.numel()):
        shift = torch.zeros_like(logits)
        shift.view(-1)[i] = step
        difference = total(logits + shift) - total(logits - shift)
        numeric.view(-1)[i] = difference / (2 * step)
    torch.testing.assert_close(gradient, numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1e4, 1e30])
@pytest.mark.parametrize("params", [{}, {"gamma": 0.5}], ids=str)
def test_extreme_logits_have_finite_losses_and_gradients(batch, size, dtype, params):
    logits, codes, *_ = batch
    leaf = (size * logits.sign()).to(dtype).requires_grad_()
    for name, entry in LOSSES.items():
        known = {key: params[key] for key in params if key in entry.params}
        n_classes = 2 if leaf.ndim == 1 else leaf.shape[1]
        losses = entry.function(leaf, codes, prior=prior_of(n_classes), **known)
        (gradient,) = torch.autograd.grad(losses.sum(), [leaf])
        assert torch.isfinite(losses).all(), name
        assert torch.isfinite(gradient).all(), name
        assert (losses >= 0).all(), name


def test_focal_keeps_the_digits_of_rows_that_are_nearly_certain():
    logits = torch.tensor([[30.0, -10.0, -10.0]], dtype=torch.float64)
    p_rest = 2 * np.exp(-40.0)
    actual = focal(logits, torch.tensor([0]), gamma=1.0).item()
    assert actual == pytest.approx(p_rest**2, rel=1e-9)


def test_the_table_names_the_parameters_that_the_functions_take(batch):
    logits, codes, *_ = batch
    for name, entry in LOSSES.items():
        full = resolve_loss(LOSSES, name, dict.fromkeys(entry.params, 0.5))
        n_classes = 2 if logits.ndim == 1 else logits.shape[1]
        losses = full.function(logits, codes, prior=prior_of(n_classes))
        assert losses.shape == codes.shape
        assert full.link == entry.link


@pytest.mark.parametrize(
    ("loss", "params"),
    [
        (label_smoothing, {"epsilon": 0.0}),
        (logit_adjusted, {"tau": 0.0}),
        (focal, {"gamma": 0.0}),
    ],
    ids=["label smoothing", "logit adjustment", "focal"],
)
def test_with_its_parameter_at_zero_a_loss_is_cross_entropy(batch, loss, params):
    logits, codes, class_weight, _ = batch
    prior = prior_of(len(class_weight))
    torch.testing.assert_close(
        loss(logits, codes, prior=prior, class_weight=class_weight, **params),
        weighted_cross_entropy(logits, codes, class_weight=class_weight),
    )


def test_asymmetric_without_focus_and_margin_is_log_loss():
    logits, codes, *_ = make_batch(2)
    plain = {"gamma_pos": 0.0, "gamma_neg": 0.0, "margin": 0.0}
    torch.testing.assert_close(
        asymmetric(logits, codes, prior=prior_of(2), **plain),
        weighted_cross_entropy(logits, codes),
    )


@pytest.mark.parametrize("epsilon", [0.05, 0.3, 1.0])
def test_label_smoothing_is_cross_entropy_to_smoothed_labels(batch, epsilon):
    logits, codes, class_weight, _ = batch
    k = len(class_weight)
    labels = (1 - epsilon) * np.eye(k)[codes] + epsilon / k
    expected = -(labels * np.log(probabilities(logits))).sum(axis=1)
    actual = label_smoothing(logits, codes, epsilon=epsilon)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_label_smoothing_agrees_with_torch():
    logits, codes, *_ = make_batch(4)
    torch.testing.assert_close(
        label_smoothing(logits, codes, epsilon=0.1),
        torch.nn.functional.cross_entropy(
            logits, codes, reduction="none", label_smoothing=0.1
        ),
    )


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_logit_adjustment_multiplies_the_odds_by_the_prior(batch, tau):
    logits, codes, class_weight, _ = batch
    prior = prior_of(len(class_weight))
    odds = probabilities(logits) * prior.numpy() ** tau
    p_true = (odds / odds.sum(axis=1, keepdims=True))[np.arange(len(codes)), codes]
    actual = logit_adjusted(logits, codes, tau=tau, prior=prior)
    np.testing.assert_allclose(actual, -np.log(p_true), rtol=1e-9)


@pytest.mark.parametrize("rare", [0, 1])
def test_asymmetric_is_the_formula_of_the_paper(rare):
    logits, codes, *_ = make_batch(2)
    prior = torch.tensor([0.1, 0.9] if rare == 0 else [0.9, 0.1])
    p = probabilities(logits)[:, rare]
    q = np.maximum(p - 0.05, 0)
    expected = np.where(
        codes.numpy() == rare, -((1 - p) ** 0.5) * np.log(p), -(q**2) * np.log(1 - q)
    )
    actual = asymmetric(
        logits, codes, gamma_pos=0.5, gamma_neg=2.0, margin=0.05, prior=prior
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_asymmetric_of_many_classes_is_the_sum_over_each_against_the_rest():
    logits, codes, *_ = make_batch(4)
    rare_positive = torch.tensor([0.9, 0.1])
    expected = sum(
        asymmetric(logits[:, c], (codes == c).long(), prior=rare_positive)
        for c in range(4)
    )
    torch.testing.assert_close(asymmetric(logits, codes, prior=prior_of(4)), expected)


@pytest.mark.parametrize("loss", [logit_adjusted, asymmetric])
def test_a_loss_that_needs_the_prior_says_so(loss):
    logits, codes, *_ = make_batch(2)
    with pytest.raises(TypeError, match="argument: 'prior'"):
        loss(logits, codes)


def test_a_users_loss_gets_its_parameters():
    def own(logits, codes, *, prior, class_weight, sample_weight, power):
        return (logits.sigmoid() - codes).abs() ** power

    logits, codes, *_ = make_batch(2)
    loss = resolve_loss(LOSSES, own, {"power": 3.0})
    weights = {"prior": None, "class_weight": None, "sample_weight": None}
    torch.testing.assert_close(
        loss.function(logits, codes, **weights), (logits.sigmoid() - codes).abs() ** 3
    )


def test_an_unknown_loss_is_answered_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"'focl' is not known\. Did you mean 'focal'"):
        resolve_loss(LOSSES, "focl")


def test_an_unknown_parameter_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"\['gama'\], but 'focal' takes \['gamma'\]"):
        resolve_loss(LOSSES, "focal", {"gama": 2.0})
