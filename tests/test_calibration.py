"""Calibration maps keep order, find known distortions, and never do harm."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, log_softmax, logit
from sklearn.linear_model import LogisticRegression

from autoimb._metrics import calibration as calibration_module
from autoimb._metrics.bootstrap import Draws
from autoimb._metrics.calibration import (
    Beta,
    Identity,
    Platt,
    TemperatureBias,
    cross_fitted,
    fit_calibration,
)
from autoimb._metrics.fold_ids import FoldIds
from autoimb._metrics.metrics import METRICS, log_loss

slopes = st.floats(0.05, 20)
intercepts = st.floats(-10, 10)


def two_columns(p, pos=1):
    proba = np.column_stack([1 - p, p])
    return proba if pos else proba[:, ::-1]


def simulated(seed=0, n=4000, pos=1):
    """Labels drawn from the probabilities p of class `pos`, and p itself."""
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-2, 1.5, n))
    return np.where(rng.random(n) < p, pos, 1 - pos), p


def simulated_classes(seed=0, n=4000, k=3):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([4.0, 2.0, 1.0][:k], n)
    return (proba.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, k - 1), proba


def folds(n, n_folds=5):
    return FoldIds(np.zeros(n, dtype=int), np.arange(n) % n_folds, np.arange(n))


def repeated(folds, n_repeats):
    """Return the folds of entries, each of which stands so many times in a row."""
    repeat = np.tile(np.arange(n_repeats), len(folds.fold))
    row = np.repeat(folds.row, n_repeats)
    return FoldIds(repeat, np.repeat(folds.fold, n_repeats) + 5 * repeat, row)


def fitted_on(y, *data):
    """Return the map that is fitted to distinct rows, and what it makes of them."""
    return fit_calibration(y, *data, draws=Draws.of(y, np.arange(len(y)), 1, 0))


def best_map(*data):
    """Return the map that is fitted, without what it makes of left-out folds."""
    return fitted_on(*data)[0]


# Maps


@given(slope=slopes, intercept=intercepts)
@settings(max_examples=60, deadline=None)
def test_platt_keeps_scores_apart_from_0_to_1(slope, intercept):
    tiny = [0, 1e-12, 2e-12, 1e-9, 1e-6]
    p = np.array([*tiny, 0.01, 0.3, 0.3 + 1e-9, 0.9, 1 - 1e-6, 1 - 1e-9, 1])
    mapped = Platt(slope, intercept, 1)(two_columns(p))
    assert (np.diff(mapped[:, 1]) > 0).all()
    assert ((mapped >= 0) & (mapped <= 1)).all()
    np.testing.assert_allclose(mapped.sum(axis=1), 1)


@pytest.mark.parametrize("pos", [0, 1])
def test_platt_does_not_move_average_precision(pos):
    y, p = simulated(pos=pos)
    p = np.round(p, 2)  # forests answer on a grid, with exact zeros
    proba, weights = two_columns(p, pos), np.ones((1, len(y)))
    score = METRICS["average_precision"].score_many
    mapped = Platt(3.0, -2.0, pos)(proba)
    assert score(y, mapped, weights, pos=pos) == score(y, proba, weights, pos=pos)


def test_neutral_parameters_change_next_to_nothing():
    _, proba = simulated_classes()
    np.testing.assert_allclose(TemperatureBias(1, (0, 0, 0))(proba), proba, atol=1e-5)
    two = two_columns(proba[:, 0])
    np.testing.assert_allclose(Platt(1, 0, 1)(two), two, atol=1e-5)
    assert Identity()(proba) is proba


@given(slope=slopes, biases=st.tuples(intercepts, intercepts, intercepts))
@settings(max_examples=30, deadline=None)
def test_multiclass_rows_stay_distributions(slope, biases):
    proba = np.vstack([np.eye(3), simulated_classes(n=20)[1]])
    mapped = TemperatureBias(slope, biases)(proba)
    assert ((mapped > 0) | (proba == 0)).all()
    np.testing.assert_allclose(mapped.sum(axis=1), 1)


def test_two_class_temperature_and_bias_are_platt():
    _, p = simulated(n=50)
    both = two_columns(p)
    np.testing.assert_allclose(
        TemperatureBias(1.7, (0.4, -0.8))(both), Platt(1.7, -1.2, 1)(both), rtol=1e-5
    )


# Fits


@pytest.mark.parametrize("pos", [0, 1])
def test_a_known_slope_and_shift_are_found(pos):
    y, p = simulated(n=20_000, pos=pos)
    distorted = two_columns(expit((logit(p) - 1.5) / 2), pos)
    fitted = best_map(y, distorted, np.ones(len(y)), folds(len(y)), pos)
    assert isinstance(fitted, Platt)
    assert fitted.pos == pos
    assert (fitted.slope, fitted.intercept) == pytest.approx((2, 1.5), abs=0.15)


@pytest.mark.parametrize("pos", [0, 1])
def test_ends_that_are_bent_apart_are_straightened(pos):
    y, p = simulated(n=20_000, pos=pos)
    # sigmoid(2 log q - log(1 - q) / 2) = p, solved for q on a fine grid
    grid = expit(np.linspace(-12, 12, 100_001))
    bent = np.interp(logit(p), 2 * np.log(grid) - np.log1p(-grid) / 2, grid)
    fitted, crossed = fitted_on(
        y, two_columns(bent, pos), np.ones(len(y)), folds(len(y)), pos
    )
    assert isinstance(fitted, Beta)
    assert (fitted.a, fitted.b) == pytest.approx((2, 0.5), abs=0.2)
    np.testing.assert_allclose(crossed[:, pos], p, atol=0.03)


def test_beta_is_logistic_regression_on_both_logarithms():
    y, p = simulated(n=800)
    weight = np.random.default_rng(1).uniform(0.2, 3, len(y))
    fitted = calibration_module.fit_map(Beta, y, two_columns(p), weight, 1)
    reference = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000)
    reference.fit(np.column_stack([np.log(p), -np.log1p(-p)]), y, weight)
    assert reference.coef_.min() > 0
    expected = (*reference.coef_[0], reference.intercept_[0])
    found = (fitted.a, fitted.b, fitted.intercept)
    assert found == pytest.approx(expected, abs=3e-2)


@given(seed=st.integers(0, 2**16), power=st.floats(0.2, 4), bend=st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_beta_never_falls(seed, power, bend):
    """A slope below nought is set to nought, and the other fitted alone."""
    y, p = simulated(seed, n=120)
    distorted = p**power if bend > 0 else 1 - (1 - p) ** power
    fitted = calibration_module.fit_map(
        Beta, y, two_columns(distorted), np.ones(120), 1
    )
    scores = np.linspace(0, 1, 2001)
    mapped = fitted(two_columns(scores))[:, 1]
    assert np.all(np.diff(mapped) > 0)
    if isinstance(fitted, Beta):
        assert min(fitted.a, fitted.b) >= 0


def test_equal_slopes_are_platt():
    proba = two_columns(np.linspace(0.01, 0.99, 50))
    np.testing.assert_allclose(
        Beta(1.7, 1.7, -1.2, 1)(proba), Platt(1.7, -1.2, 1)(proba), rtol=1e-12
    )


def test_the_derivatives_of_the_binary_loss_are_right():
    y, p = simulated(n=60)
    loss_at = partial(
        calibration_module._binary_loss,
        truth=y.astype(float),
        features=np.stack([np.log(p), -np.log(1 - p)]),
        weight=np.random.default_rng(0).uniform(0.5, 2, 60),
    )
    theta = np.array([1.3, 0.6, -0.4])
    found = loss_at(theta)
    slope = approx_fprime(theta, lambda t: loss_at(t).value, 1e-7)
    np.testing.assert_allclose(found.gradient, slope, rtol=1e-4, atol=1e-4)
    bend = approx_fprime(theta, lambda t: loss_at(t).gradient, 1e-7)
    np.testing.assert_allclose(found.curvature, bend, rtol=1e-4, atol=1e-4)


def test_the_shift_of_undersampling_is_found():
    beta = 0.1  # share of negatives kept: p = βp' / ((β-1)p' + 1) undoes it
    y, p = simulated(n=20_000)
    undersampled = p / (p + beta * (1 - p))
    fitted = best_map(y, two_columns(undersampled), np.ones(len(y)), folds(len(y)), 1)
    formula = beta * undersampled / ((beta - 1) * undersampled + 1)
    np.testing.assert_allclose(formula, p)
    assert isinstance(fitted, Platt)
    assert (fitted.slope, fitted.intercept) == pytest.approx(
        (1, np.log(beta)), abs=0.15
    )


def test_a_known_temperature_and_bias_are_found():
    y, proba = simulated_classes(n=20_000)
    log_odds = (np.log(proba) - [0.0, 1.0, -1.0]) / 2
    distorted = np.exp(log_odds) / np.exp(log_odds).sum(axis=1, keepdims=True)
    fitted = best_map(y, distorted, np.ones(len(y)), folds(len(y)), None)
    assert isinstance(fitted, TemperatureBias)
    assert fitted.slope == pytest.approx(2, abs=0.15)
    assert np.subtract(fitted.biases, fitted.biases[0]) == pytest.approx(
        [0, 1, -1], abs=0.15
    )
    np.testing.assert_allclose(fitted(distorted), proba, atol=0.05)


def test_platt_is_logistic_regression_on_the_logit():
    y, p = simulated(n=500)
    weight = np.random.default_rng(1).uniform(0.2, 3, len(y))
    fitted = calibration_module.fit_map(Platt, y, two_columns(p), weight, 1)
    reference = LogisticRegression(C=1e8, tol=1e-8)
    reference.fit(logit(p)[:, np.newaxis], y, weight)
    expected = (reference.coef_[0, 0], reference.intercept_[0])
    assert (fitted.slope, fitted.intercept) == pytest.approx(expected, abs=2e-2)


@pytest.mark.parametrize("k", [2, 3])
def test_the_derivatives_are_those_of_the_loss(k):
    y, proba = simulated_classes(n=30, k=k)
    arrays = {
        "y": y,
        "log_proba": np.log(proba).T,
        "weight": np.linspace(0.5, 2, 30),
    }
    theta = np.array([1.4, 0.3, -0.2, 0.1])[: k + 1]

    def loss(at):
        return calibration_module._softmax_loss(at, **arrays)

    value, gradient, curvature = loss(theta)
    slopes = approx_fprime(theta, lambda at: loss(at).value)
    np.testing.assert_allclose(gradient, slopes, atol=1e-4)
    turns = approx_fprime(theta, lambda at: loss(at).gradient)
    np.testing.assert_allclose(curvature, turns, atol=1e-4)
    one_hot = np.eye(k)[y]
    logits = theta[0] * np.log(proba) + theta[1:]
    away = theta - np.append(1, np.zeros(k))
    entropy = -(one_hot * log_softmax(logits, axis=1)).sum(axis=1) @ arrays["weight"]
    assert value == pytest.approx(entropy + calibration_module._RIDGE / 2 * away @ away)


@pytest.mark.parametrize("separation", [0.3, 3.0, 1000.0])
def test_steps_end_where_the_loss_is_flat_however_separable(separation):
    y = np.repeat([0, 1, 2], [100, 10, 10])
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(120, 3)) + separation * np.eye(3)[y]
    loss = partial(
        calibration_module._softmax_loss,
        y=y,
        log_proba=log_softmax(logits, axis=1).clip(-14).T,
        weight=np.ones(120),
    )
    lowest = calibration_module._minimise(loss, np.array([1.0, 0, 0, 0]))
    np.testing.assert_allclose(loss(lowest).gradient, 0, atol=1e-6)


def test_steps_end_where_the_minimiser_of_scipy_does():
    y, proba = simulated_classes(n=500)
    loss = partial(
        calibration_module._softmax_loss,
        y=y,
        log_proba=np.log(proba**2).T,
        weight=np.ones(500),
    )
    start = np.array([1.0, 0, 0, 0])
    expected = minimize(
        lambda at: loss(at).value,
        start,
        jac=lambda at: loss(at).gradient,
        hess=lambda at: loss(at).curvature,
        method="trust-exact",
    )
    lowest = calibration_module._minimise(loss, start)
    np.testing.assert_allclose(lowest, expected.x, atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_weight_two_is_the_row_twice(n_classes):
    y, proba = simulated_classes(n=200, k=3)
    if n_classes == 2:
        y, proba = (y == 0).astype(int), two_columns(proba[:, 0])
    pos = 1 if n_classes == 2 else None
    fit = partial(calibration_module.fit_map, Platt if pos else TemperatureBias)
    counts = np.random.default_rng(0).integers(0, 3, len(y))
    rows = np.repeat(np.arange(len(y)), counts)
    repeated = fit(y[rows], proba[rows], np.ones(len(rows)), pos)
    weighted = fit(y, proba, counts.astype(float), pos)
    scaled = fit(y, proba, counts / 100, pos)  # only ratios of weights matter
    np.testing.assert_allclose(weighted(proba), repeated(proba), atol=1e-5)
    np.testing.assert_allclose(scaled(proba), repeated(proba), atol=1e-5)


# Choice


@given(seed=st.integers(0, 2**16), slope=st.floats(0.3, 3), shift=st.floats(-2, 2))
@settings(max_examples=25, deadline=None)
def test_log_loss_of_left_out_folds_is_never_worse_than_identity(seed, slope, shift):
    y, p = simulated(seed, n=150)
    proba = two_columns(expit(slope * logit(p) + shift))
    weight = np.ones(len(y))
    fitted, crossed = fitted_on(y, proba, weight, folds(len(y)), 1)
    again = cross_fitted(y, proba, weight, folds(len(y)), 1, calibration=fitted)
    np.testing.assert_array_equal(crossed, again)
    assert log_loss(y, crossed, weight) <= log_loss(y, proba, weight)


def test_beta_calibration_must_be_better_by_more_than_chance():
    """Where Platt scaling is right, beta is better on left-out rows in 29 of 100."""
    kinds = []
    for seed in range(60):
        y, p = simulated(seed, n=400)
        distorted = two_columns(expit(1.6 * logit(p) - 1))
        kinds.append(type(best_map(y, distorted, np.ones(400), folds(400), 1)))
    assert kinds.count(Beta) <= 6


def test_a_row_counts_once_in_the_choice_however_many_repeats_it_has():
    """With every entry four times, no map is surely better that was not before."""
    kinds = []
    for seed in range(20):
        y, p = simulated(seed, n=400)
        bent = np.clip(p**1.15, 1e-6, 1 - 1e-6)
        rows = np.arange(400)
        for n_repeats in (1, 4):
            entries = np.repeat(rows, n_repeats)
            weight = np.full(len(entries), len(rows) / len(entries))
            draws = Draws.of(y[entries], entries, 1, 0)
            found, _ = fit_calibration(
                y[entries],
                two_columns(bent[entries]),
                weight,
                repeated(folds(400), n_repeats),
                1,
                draws=draws,
            )
            kinds.append(type(found))
    assert kinds[::2] == kinds[1::2]
    assert len(set(kinds)) > 1


def two_repeats(n, n_folds=5, seed=0):
    """Return the folds of rows in one repeat, then in another one."""
    dealt = np.random.default_rng(seed).permutation(n) % n_folds
    fold = np.concatenate([np.arange(n) % n_folds, n_folds + dealt])
    return FoldIds(np.repeat([0, 1], n), fold, np.tile(np.arange(n), 2))


def test_a_row_is_mapped_without_its_own_label_and_those_of_its_fold():
    y, p = simulated(n=300)
    where, rows = two_repeats(300), np.tile(np.arange(300), 2)
    proba = two_columns(np.concatenate([p**2, p**1.5]))
    start = Platt(1, 0, 1)
    crossed = cross_fitted(y[rows], proba, np.ones(600), where, 1, start)
    for fold in (2, 7):
        held_out = where.fold == fold
        turned = np.where(np.isin(np.arange(300), rows[held_out]), 1 - y, y)
        again = cross_fitted(turned[rows], proba, np.ones(600), where, 1, start)
        np.testing.assert_array_equal(crossed[held_out], again[held_out])
        assert not np.allclose(crossed[~held_out], again[~held_out])


@pytest.mark.parametrize("n_repeats", [1, 2])
def test_the_order_within_a_fold_is_kept(n_repeats):
    """A map of each row's own would mix up the rows of a fold in later repeats."""
    n = 300 * n_repeats
    y, p = simulated(n=300)
    where = two_repeats(300) if n_repeats == 2 else folds(300)
    rng = np.random.default_rng(1)
    score = np.clip(np.tile(p, n_repeats) ** 2 * rng.uniform(0.5, 1, n), 1e-6, 1)
    data = np.tile(y, n_repeats), two_columns(score), np.ones(n), where, 1
    crossed = cross_fitted(*data, Platt(1, 0, 1))[:, 1]
    for held_out, _ in where.parts():
        order = np.argsort(score[held_out])
        assert (np.diff(crossed[held_out][order]) > 0).all()


def test_folds_that_are_drawn_one_by_one_are_mapped_without_their_rows():
    """Each is a repeat of its own, with rows that other folds hold as well."""
    y, p = simulated(n=300)
    row = np.concatenate([np.arange(200), np.arange(100, 300), np.arange(50, 150)])
    alone = np.repeat([0, 1, 2], [200, 200, 100])
    where = FoldIds(alone, alone, row)
    for held_out, others in where.parts():
        assert others.any()
        assert not set(row[held_out]) & set(row[others])
        assert set(row[held_out | others]) == set(range(300))
    data = y[row], two_columns(p[row] ** 2), np.ones(500)
    assert not isinstance(best_map(*data, where, 1), Identity)


def test_a_class_that_lies_in_one_fold_of_a_repeat_is_not_calibrated():
    y, p = simulated(n=300)
    data = np.tile(y, 2), two_columns(np.tile(p**2, 2)), np.ones(600)
    where = two_repeats(300)
    assert not isinstance(best_map(*data, where, 1), Identity)
    where.fold[300 + np.flatnonzero(y)] = 9
    assert isinstance(best_map(*data, where, 1), Identity)


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (Platt(1.6, 0.1, 1), Platt(9.0, -4.0, 1)),
        (Beta(1.6, 1.5, 0.1, 1), Beta(0.2, 7.0, 3.0, 1)),
        (TemperatureBias(1.6, (0.1, 0, 0)), TemperatureBias(5.0, (3.0, -2.0, 1.0))),
    ],
    ids=lambda start: start.label,
)
def test_a_start_near_the_fit_saves_steps_and_changes_nothing(near, far, monkeypatch):
    if isinstance(near, TemperatureBias):
        (y, proba), pos = simulated_classes(n=600), None
    else:
        (y, p), pos = simulated(n=600), 1
        proba = two_columns(p)
    data = y, np.sqrt(proba), np.ones(600), folds(600), pos
    near = calibration_module.fit_map(type(near), *data[:3], pos)
    name = "_softmax_loss" if type(near) is not Beta else "_binary_loss"
    loss, n_losses = getattr(calibration_module, name), []

    def counted(*args, **kwargs):
        n_losses[-1] += 1
        return loss(*args, **kwargs)

    monkeypatch.setattr(calibration_module, name, counted)
    found = []
    for start in (near, far):
        n_losses.append(0)
        found.append(cross_fitted(*data, start))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    assert n_losses[0] < 0.7 * n_losses[1]


def test_identity_is_cross_fitted_to_itself():
    y, p = simulated(n=30)
    proba = two_columns(p)
    same = cross_fitted(y, proba, np.ones(30), folds(30), 1, calibration=Identity())
    assert same is proba


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 0, 0, 0, 0, 1], [0.1, 0.2, 0.1, 0.3, 0.2, 0.7]),
        ([0, 0, 0, 0, 0, 0], [0.1, 0.2, 0.1, 0.3, 0.2, 0.7]),
        ([0, 1, 0, 1, 0, 1], [0.9, 0.1, 0.8, 0.2, 0.7, 0.3]),
    ],
    ids=["one positive", "no positive", "scores upside down"],
)
def test_what_cannot_be_calibrated_is_left_alone(y, p):
    proba = two_columns(np.array(p))
    fitted = best_map(np.array(y), proba, np.ones(6), folds(6, 6), 1)
    assert fitted == Identity()


def test_separable_scores_and_exact_zeros_give_finite_maps():
    y = np.repeat([0, 1], [40, 10])
    proba = two_columns(np.where(y == 1, 0.6, np.tile([0.0, 0.3], 25)))
    fitted = best_map(y, proba, np.ones(50), folds(50), 1)
    assert isinstance(fitted, Platt)
    assert 1 < fitted.slope < 100
    assert np.isfinite(fitted(proba)).all()


# Many rows


@pytest.mark.parametrize("k", [2, 3])
def test_the_map_depends_neither_on_the_start_nor_on_blocks(k, monkeypatch):
    y, proba = simulated_classes(n=400, k=3)
    if k == 2:
        y, proba = (y == 0).astype(int), two_columns(proba[:, 0])
    fit = partial(calibration_module.fit_map, Platt if k == 2 else TemperatureBias)
    at_once = fit(y, proba**2, np.ones(400), 1)
    monkeypatch.setattr(calibration_module, "_STARTING_ROWS", 20)
    monkeypatch.setattr(calibration_module, "_ROWS_AT_ONCE", 7)
    in_blocks = fit(y, proba**2, np.ones(400), 1)
    np.testing.assert_allclose(in_blocks(proba), at_once(proba), rtol=1e-6)
