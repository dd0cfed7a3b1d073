"""Derivatives for boosting: against autograd, differences, and each other."""

import numpy as np
import pytest
import torch

from autoimb._models.gradients import (
    BOOSTING_LOSSES,
    asymmetric,
    focal,
)
from autoimb._models.loss_lookup import resolve_loss
from autoimb._models.losses import LOSSES

K = {"binary": 2, "four classes": 4}
PARAMS = {
    "asymmetric": [
        {"gamma_pos": 0.0, "gamma_neg": 0.0, "margin": 0.0},
        {"gamma_pos": 0.0, "gamma_neg": 2.0, "margin": 0.02},
        {"gamma_pos": 1.0, "gamma_neg": 4.0, "margin": 0.1},
        {"gamma_pos": 0.3, "gamma_neg": 0.5, "margin": 0.0},
    ],
    "focal": [{"gamma": gamma} for gamma in (0.0, 0.5, 1.0, 2.0, 5.0)],
    "log_loss": [{}],
}
CASES = [(name, params) for name in BOOSTING_LOSSES for params in PARAMS[name]]


def make_rows(n_classes, n=24, size=2.0, seed=0):
    """Return margins, codes with every class, and shares with class 0 the largest."""
    rng = np.random.default_rng(seed)
    margins = rng.normal(scale=size, size=(n,) if n_classes == 2 else (n, n_classes))
    shares = np.arange(n_classes, 0, -1.0) ** 2
    return margins, np.arange(n) % n_classes, shares / shares.sum()


@pytest.fixture(params=K.values(), ids=K)
def rows(request):
    return make_rows(request.param)


@pytest.mark.parametrize(("name", "params"), CASES, ids=str)
def test_derivatives_are_those_of_the_nets_loss(rows, name, params):
    margins, codes, prior = rows
    leaf = torch.tensor(margins, requires_grad=True)
    loss = LOSSES[name].function(
        leaf, torch.tensor(codes), prior=torch.tensor(prior), **params
    )
    (first,) = torch.autograd.grad(loss.sum(), [leaf], create_graph=True)
    columns = first.reshape(len(codes), -1).T
    second = [
        torch.autograd.grad(column.sum(), [leaf], retain_graph=True)[0]
        for column in columns
    ]
    diagonal = [s if s.ndim == 1 else s[:, j] for j, s in enumerate(second)]
    gradient, hessian = BOOSTING_LOSSES[name].function(
        margins, codes, prior=prior, **params
    )
    np.testing.assert_allclose(gradient, first.detach().numpy(), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(
        hessian.reshape(len(codes), -1).T, torch.stack(diagonal), rtol=1e-6, atol=1e-10
    )


@pytest.mark.parametrize(("name", "params"), CASES, ids=str)
def test_the_second_derivative_is_the_slope_of_the_first(rows, name, params):
    margins, codes, prior = rows
    step = 1e-6
    _, hessian = BOOSTING_LOSSES[name].function(margins, codes, prior=prior, **params)

    def gradient_at(z):
        return BOOSTING_LOSSES[name].function(z, codes, prior=prior, **params)[0]

    for j in range(1 if margins.ndim == 1 else margins.shape[1]):
        shift = np.zeros_like(margins)
        shift[..., slice(None) if margins.ndim == 1 else j] = step
        slope = (gradient_at(margins + shift) - gradient_at(margins - shift)) / 2 / step
        column = slope if margins.ndim == 1 else slope[:, j]
        exact = hessian if margins.ndim == 1 else hessian[:, j]
        np.testing.assert_allclose(column, exact, rtol=1e-5, atol=1e-7)


def test_log_loss_has_the_derivatives_of_the_textbook():
    margins, codes, _ = make_rows(2)
    p = 1 / (1 + np.exp(-margins))
    gradient, hessian = BOOSTING_LOSSES["log_loss"].function(margins, codes)
    np.testing.assert_allclose(gradient, p - codes, rtol=1e-12)
    np.testing.assert_allclose(hessian, p * (1 - p), rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_one_margin_is_two_margins_with_their_difference(gamma):
    margins, codes, _ = make_rows(2)
    two = np.column_stack([np.zeros_like(margins), margins])
    gradient, hessian = focal(two, codes, gamma=gamma)
    binary = focal(margins, codes, gamma=gamma)
    np.testing.assert_allclose(gradient[:, 1], binary[0], rtol=1e-10)
    np.testing.assert_allclose(hessian[:, 1], binary[1], rtol=1e-8, atol=1e-14)


def test_the_rarer_class_is_the_positive_one():
    margins, codes, _ = make_rows(2)
    gradient, hessian = asymmetric(margins, codes, prior=np.array([0.9, 0.1]))
    turned = asymmetric(-margins, 1 - codes, prior=np.array([0.1, 0.9]))
    np.testing.assert_allclose(gradient, -turned[0])
    np.testing.assert_allclose(hessian, turned[1])


@pytest.mark.parametrize("size", [50.0, 700.0, 1e4])
@pytest.mark.parametrize(("name", "params"), CASES, ids=str)
def test_extreme_margins_have_finite_derivatives(rows, size, name, params):
    margins, codes, prior = rows
    with np.errstate(all="raise", under="ignore"):
        for derivative in BOOSTING_LOSSES[name].function(
            size * np.sign(margins), codes, prior=prior, **params
        ):
            assert np.isfinite(derivative).all()


def test_links_are_those_of_the_nets():
    for name, loss in BOOSTING_LOSSES.items():
        assert loss.link == LOSSES[name].link
        assert loss.params == LOSSES[name].params


def test_what_is_unknown_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"'focl' is not known\. Did you mean 'focal'"):
        resolve_loss(BOOSTING_LOSSES, "focl")
    with pytest.raises(ValueError, match=r"\['gama'\], but 'focal' takes \['gamma'\]"):
        resolve_loss(BOOSTING_LOSSES, "focal", {"gama": 2.0})
