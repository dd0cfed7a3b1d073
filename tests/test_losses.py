"""Losses: their laws, their gradients, and numbers at the edges."""

import numpy as np
import pytest
import torch

from autoimb._models.losses import (
    LOSSES,
    focal,
    resolve_loss,
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
    return LOSSES[request.param].function


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


def test_one_logit_is_two_logits_with_their_difference(loss):
    logits, codes, *_ = make_batch(2)
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
        losses = entry.function(leaf, codes, **known)
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
        full = resolve_loss(name, dict.fromkeys(entry.params, 1.0))
        assert full(logits, codes).shape == codes.shape


def test_an_unknown_loss_is_answered_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"'focl' is not one of .*nearest: 'focal'"):
        resolve_loss("focl")


def test_an_unknown_parameter_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"\['gama'\], but 'focal' takes \['gamma'\]"):
        resolve_loss("focal", {"gama": 2.0})
