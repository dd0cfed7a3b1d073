"""Calibration: strictly increasing maps from a model's scores to probabilities.

A map is a frozen value, called on `proba` (n, k). It keeps the order of a binary score
strictly, so that calibration never changes a ranking metric. It is used only if it
lowers the log loss of rows that it was not fitted on.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from operator import itemgetter
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from autoimb._metrics.bootstrap import Draws
from autoimb._metrics.confusion import FloatArray, IntArray
from autoimb._metrics.fold_ids import FoldIds
from autoimb._metrics.metrics import log_loss

_SOFTENING = 1e-6
"""Added to probabilities before their logarithm: forests predict exactly 0 and 1."""

_RAW_SHARE = 1e-6
"""Share of the raw probability in a mapped one: keeps apart scores on which the map
saturates in double precision (the sigmoid of 40 and of 50 are both exactly 1)."""

_RIDGE = 1e-3
"""Ridge penalty of the distance to the identity, in rows of the rarest class: decides
only for separable data, where the likelihood has no maximum."""

_MAX_STEPS = 50  # of Newton: about six are needed, some twenty for separable data
_MOST_ROWS = 40_000  # of a class that a fit looks at
_STARTING_ROWS = 20_000
"""With more rows, a fit on about so many is where the fit on all rows starts."""

_ROWS_AT_ONCE = 16_384  # whose loss is summed at a time: they stay in the cache
_CONVERGED = 1e-10  # share of the loss that a step gains, below which it is the last

_MIN_SLOPE = 1e-2
"""With a lower slope, scores rank next to nothing or wrongly: they stay as they are."""


# Maps --------------------------------------------------------------------------------


def platt(proba: FloatArray, slope: float, intercept: float, pos: int) -> FloatArray:
    """Return probabilities (n, 2) by Platt scaling."""
    p = proba[:, pos]
    logit = _soft_log(p) - _soft_log(1 - p)
    return _with_logit(proba, slope * logit + intercept, pos)


def beta(
    proba: FloatArray, a: float, b: float, intercept: float, pos: int
) -> FloatArray:
    """Return probabilities (n, 2) by beta calibration."""
    p = proba[:, pos]
    logit = a * _soft_log(p) - b * _soft_log(1 - p) + intercept
    return _with_logit(proba, logit, pos)


def temperature_bias(
    proba: FloatArray, slope: float, biases: tuple[float, ...]
) -> FloatArray:
    """Return probabilities (n, k) with a temperature, and a bias for each class."""
    mapped: FloatArray = softmax(slope * _soft_log(proba) + np.asarray(biases), axis=1)
    return mapped + _RAW_SHARE * (proba - mapped)


def _with_logit(proba: FloatArray, logit: FloatArray, pos: int) -> FloatArray:
    """Return probabilities (n, 2) with these logits, and a small share of the raw."""
    mapped = expit(logit)
    mapped += _RAW_SHARE * (proba[:, pos] - mapped)
    calibrated = np.empty_like(proba)
    calibrated[:, pos] = mapped
    calibrated[:, 1 - pos] = 1 - mapped
    return calibrated


def _soft_log(proba: FloatArray) -> FloatArray:
    return np.log(proba + _SOFTENING)


@dataclass(frozen=True)
class Calibration:
    """A fitted map of probabilities (n, k) -> (n, k) whose rows sum to one."""

    label: ClassVar[str]
    """The kind of map in words."""
    function: ClassVar[Callable[..., FloatArray]]
    """The map as a function of probabilities and of the fields."""

    def __call__(self, proba: FloatArray) -> FloatArray:
        """Return calibrated probabilities (n, k)."""
        return type(self).function(proba, **asdict(self))


@dataclass(frozen=True)
class Identity(Calibration):
    """Probabilities as the model gave them."""

    label: ClassVar[str] = "none"
    function: ClassVar[Callable[..., FloatArray]] = staticmethod(lambda proba: proba)


@dataclass(frozen=True)
class Platt(Calibration):
    """Binary: sigmoid(slope * logit(p) + intercept), with a positive slope.

    The family holds identity and the shifts that class weights and undersampling cause:
    p = βp'/((β-1)p' + 1) is a slope of 1 and an intercept of log β.

    References
    ----------
    Platt 1999, Advances in Large Margin Classifiers.
    Dal Pozzolo et al. 2015, doi:10.1109/SSCI.2015.33.
    """

    slope: float
    intercept: float
    pos: int
    label: ClassVar[str] = "Platt scaling"
    function: ClassVar[Callable[..., FloatArray]] = staticmethod(platt)


@dataclass(frozen=True)
class Beta(Calibration):
    """Binary: sigmoid(a log p - b log(1 - p) + intercept), both slopes from 0 on.

    It bends the two ends apart, as forests and under-sampled ensembles do; equal slopes
    are Platt scaling.

    References
    ----------
    Kull, Silva Filho & Flach 2017, AISTATS, PMLR 54:623.
    """

    a: float
    b: float
    intercept: float
    pos: int
    label: ClassVar[str] = "beta calibration"
    function: ClassVar[Callable[..., FloatArray]] = staticmethod(beta)


@dataclass(frozen=True)
class TemperatureBias(Calibration):
    """Multiclass: softmax(slope * log p + biases), one bias per class.

    Bias-corrected temperature scaling; the slope is one over the temperature. It keeps
    the order of any two classes' odds, not the order of rows within one class.

    References
    ----------
    Alexandari et al. 2020, arXiv:1901.06852.
    """

    slope: float
    biases: tuple[float, ...]
    label: ClassVar[str] = "temperature and bias"
    function: ClassVar[Callable[..., FloatArray]] = staticmethod(temperature_bias)


# Fits --------------------------------------------------------------------------------


def fit_calibration(
    y: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    folds: FoldIds,
    pos: int | None,
    *,
    draws: Draws,
) -> tuple[Calibration, FloatArray]:
    """Return the map with the lowest log loss on left-out folds, and `proba` mapped so.

    Each row of the second array is mapped by a fit on the other folds of its repeat.
    The map is the identity unless another one has a lower log loss; beta calibration
    must be better than Platt scaling by more than a standard error of the difference,
    by the bootstrap that draws these rows. It is also the identity where all rows of a
    class lie in one fold: then no map can be compared on left-out rows.
    """
    if not folds.have_each(y, n_classes=proba.shape[1]):
        return Identity(), proba
    fits = []
    for kind in (TemperatureBias,) if pos is None else (Platt, Beta):
        at, share = _thinned(y, proba)
        fitted = fit_map(kind, y[at], proba[at], weight[at] * share, pos)
        fits.append((fitted, cross_fitted(y, proba, weight, folds, pos, fitted)))
    best = fits[0]
    if len(fits) > 1:
        _, (of_platt, of_beta) = zip(*fits, strict=True)
        rows = np.arange(len(y))
        gain = _soft_log(of_beta[rows, y]) - _soft_log(of_platt[rows, y])
        standard_error = draws.standard_error_of_mean(gain, weight)
        if np.average(gain, weights=weight) > standard_error:
            best = fits[1]
    is_better = log_loss(y, best[1], weight) < log_loss(y, proba, weight)
    return best if is_better else (Identity(), proba)


def cross_fitted(  # noqa: PLR0917  (those of `fit_calibration`, and its result)
    y: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    folds: FoldIds,
    pos: int | None,
    calibration: Calibration,
) -> FloatArray:
    """Return `proba` (n, k), each row mapped by a fit on the other folds of its repeat.

    One fit maps all rows of a fold, and so keeps their order. The maps are of the kind
    of `calibration`, where their fits start: two steps are then enough.
    """
    if isinstance(calibration, Identity):
        return proba
    crossed = np.empty_like(proba)
    at, share = _thinned(y, proba)
    few, y, weight = proba[at], y[at], weight[at] * share
    for held_out, others in folds.parts():
        rest = others[at]
        fitted = fit_map(
            type(calibration), y[rest], few[rest], weight[rest], pos, calibration
        )
        crossed[held_out] = fitted(proba[held_out])
    return crossed


def _thinned(y: IntArray, proba: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the rows that a fit looks at, and how many rows each stands for.

    Of a large class, half of them are those with the lowest probability of their class.
    """
    places, shares = [], []
    for code in range(proba.shape[1]):
        rows = np.flatnonzero(y == code)
        share = np.ones(len(rows))
        if len(rows) > _MOST_ROWS:
            half = _MOST_ROWS // 2
            order = np.argpartition(proba[rows, code], half)
            low, rest = order[:half], np.sort(order[half:])
            share = np.repeat([1.0, len(rest) / half], half)
            rest = rest[np.linspace(0, len(rest) - 1, half).round().astype(int)]
            rows = rows[np.append(low, rest)]
        places.append(rows)
        shares.append(share)
    return np.concatenate(places), np.concatenate(shares)


def fit_map(  # noqa: PLR0917  (those of `cross_fitted`)
    kind: type[Calibration],
    y: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    pos: int | None,
    start: Calibration | None = None,
) -> Calibration:
    """Return the map of a kind with the least weighted log loss plus ridge.

    The search for it begins at `start`, a map of the same kind. The identity is
    returned where a class is missing, or where no slope is clearly positive.
    """
    class_weight = np.bincount(y, weight, minlength=proba.shape[1])
    if class_weight.min() <= 0:
        return Identity()
    fitted, slope = _FITS[kind](y, proba, weight / class_weight.min(), pos, start)
    return fitted if slope >= _MIN_SLOPE else Identity()


def _fit_platt(
    y: IntArray, proba: FloatArray, weight: FloatArray, pos: int, start: Platt | None
) -> tuple[Platt, float]:
    """Return Platt scaling and its slope."""
    theta = None
    if start is not None:  # the ridge shares the intercept out to both classes
        theta = np.array([start.slope, -start.intercept / 2, start.intercept / 2])
    # Only p of the positive class: the map stays a function of the score alone.
    log_proba = _soft_log(np.stack([1 - proba[:, pos], proba[:, pos]]))
    theta = _fit_softmax((y == pos).astype(int), log_proba, weight, theta)
    slope, b_neg, b_pos = theta.tolist()
    return Platt(slope, b_pos - b_neg, pos), slope


def _fit_temperature_bias(
    y: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    _pos: None,
    start: TemperatureBias | None,
) -> tuple[TemperatureBias, float]:
    """Return temperature and biases, and the slope."""
    theta = None if start is None else np.array([start.slope, *start.biases])
    # Classes first: sums over a short last axis are several times slower.
    log_proba = _soft_log(np.ascontiguousarray(proba.T))
    slope, *biases = _fit_softmax(y, log_proba, weight, theta).tolist()
    return TemperatureBias(slope, tuple(biases)), slope


def _fit_softmax(
    y: IntArray, log_proba: FloatArray, weight: FloatArray, start: FloatArray | None
) -> FloatArray:
    """Return the best slope and biases (1 + k,); `log_proba` is (k, n)."""
    loss_of = partial(_softmax_loss, y=y, log_proba=log_proba, weight=weight)
    identity = np.append(1.0, np.zeros(len(log_proba)))
    return _minimise_many_rows(loss_of, identity, start)


def _fit_beta(
    y: IntArray, proba: FloatArray, weight: FloatArray, pos: int, start: Beta | None
) -> tuple[Beta, float]:
    """Return beta calibration with slopes from 0 on, and the larger slope.

    Where the best slopes are not both from 0 on, one of them is 0.
    """
    truth, p = (y == pos).astype(float), proba[:, pos]
    features = np.stack([_soft_log(p), -_soft_log(1 - p)])  # both rise with p
    fits: list[tuple[float, FloatArray]] = []
    for used in ([0, 1], [0], [1]):
        loss_of = partial(
            _binary_loss, truth=truth, features=features[used], weight=weight
        )
        theta = None
        if start is not None:
            slopes = np.array([start.a, start.b])[used]
            theta = np.append(slopes, start.intercept)
        theta = _minimise_many_rows(loss_of, np.append(np.ones(len(used)), 0.0), theta)
        if theta[:-1].min() >= (0.0 if len(used) > 1 else _MIN_SLOPE):
            slopes = np.zeros(2)
            slopes[used] = theta[:-1]
            fits.append((loss_of(theta).value, np.append(slopes, theta[-1])))
        if len(used) > 1 and fits:
            break  # a slope of 0 can only be worse
    _, best = min(fits, key=itemgetter(0), default=(np.inf, np.zeros(3)))
    a, b, intercept = best.tolist()
    return Beta(a, b, intercept, pos), max(a, b)


_FITS: dict[type[Calibration], Callable[..., tuple[Calibration, float]]] = {
    Platt: _fit_platt,
    Beta: _fit_beta,
    TemperatureBias: _fit_temperature_bias,
}
"""Each returns the map and its largest slope; the rarest class weighs 1 in total."""


# Losses ------------------------------------------------------------------------------


class _Loss(NamedTuple):
    """A loss, its gradient (m,) and its second derivatives (m, m)."""

    value: float
    gradient: FloatArray
    curvature: FloatArray


def _sum_with_ridge(away: FloatArray, parts: list[_Loss]) -> _Loss:
    """Return the sum of losses and of the ridge, `away` (m,) from the identity."""
    ridge = _RIDGE * np.eye(len(away))
    start = _Loss(_RIDGE / 2 * float(away @ away), _RIDGE * away, ridge)
    return _Loss(*(sum(terms) for terms in zip(start, *parts, strict=True)))


def _softmax_loss(
    theta: FloatArray,
    *,
    y: IntArray,
    log_proba: FloatArray,
    weight: FloatArray,
    step: int = 1,
) -> _Loss:
    """Return the loss at theta = (slope, biases), with the ridge.

    `log_proba` is (k, n). Of every `step` rows, one stands for all.
    """
    parts = [
        _block_loss(theta, y[b], log_proba[:, b], step * weight[b])
        for b in _blocks(len(y), step)
    ]
    return _sum_with_ridge(theta - np.append(1.0, np.zeros(len(log_proba))), parts)


def _blocks(n_rows: int, step: int) -> Iterator[slice]:
    """Yield slices that take every `step`-th row, a block of them each."""
    length = step * _ROWS_AT_ONCE
    for begin in range(0, n_rows, length):
        yield slice(begin, begin + length, step)


def _block_loss(
    theta: FloatArray, y: IntArray, log_proba: FloatArray, weight: FloatArray
) -> _Loss:
    """Return the weighted log loss of a block of rows, without the ridge.

    Sums are written as `einsum`: products this thin are slower on many BLAS threads.
    The products of two classes are symmetric, and are made for one half only.
    """
    logits = theta[0] * log_proba + theta[1:, np.newaxis]
    logits -= logits.max(axis=0)
    rows = np.arange(len(y))
    value = -_dot(weight, logits[y, rows])
    p = np.exp(logits, out=logits)
    total = p.sum(axis=0)
    value += _dot(weight, np.log(total))
    p /= total
    # Derivatives by the slope are moments of log p, centred by its mean over classes.
    centred = log_proba - np.einsum("cn,cn->n", p, log_proba)
    truth = np.bincount(y, weight, minlength=len(p))
    weighted = weight * p
    of_class = weighted.sum(axis=1)
    gradient = np.append(-_dot(weight, centred[y, rows]), of_class - truth)
    curvature = np.diag(np.append(0.0, of_class))
    for c in range(len(p)):
        products = np.einsum("n,dn->d", weighted[c], p[c:])
        curvature[1 + c, 1 + c :] -= products
        curvature[2 + c :, 1 + c] -= products[1:]
    weighted *= centred
    curvature[0, 1:] = curvature[1:, 0] = weighted.sum(axis=1)
    curvature[0, 0] = np.einsum("cn,cn->", weighted, centred)
    return _Loss(value, gradient, curvature)


def _binary_loss(
    theta: FloatArray,
    *,
    truth: FloatArray,
    features: FloatArray,
    weight: FloatArray,
    step: int = 1,
) -> _Loss:
    """Return the loss of logits theta[:-1] @ features + theta[-1], with the ridge.

    `features` is (m, n). Of every `step` rows, one stands for all.
    """
    parts = [
        _binary_block_loss(theta, truth[b], features[:, b], step * weight[b])
        for b in _blocks(len(truth), step)
    ]
    return _sum_with_ridge(theta - np.append(np.ones(len(features)), 0.0), parts)


def _binary_block_loss(
    theta: FloatArray, truth: FloatArray, features: FloatArray, weight: FloatArray
) -> _Loss:
    """Return the weighted log loss of a block of rows, without the ridge."""
    logit = np.einsum("m,mn->n", theta[:-1], features) + theta[-1]
    # With exp(-|logit|), which never overflows, for both the loss and p.
    tail = np.exp(-np.abs(logit))
    p = np.where(logit > 0, 1.0, tail) / (1 + tail)
    losses = np.log1p(tail) + np.maximum(logit, 0) - truth * logit
    inputs = np.vstack([features, np.ones(len(truth))])
    return _Loss(
        _dot(weight, losses),
        np.einsum("mn,n->m", inputs, weight * (p - truth)),
        np.einsum("ln,mn->lm", inputs * (weight * p * (1 - p)), inputs),
    )


def _dot(weight: FloatArray, values: FloatArray) -> float:
    return float(np.einsum("n,n->", weight, values))


def _minimise_many_rows(
    loss_of: "partial[_Loss]", identity: FloatArray, start: FloatArray | None
) -> FloatArray:
    """Return where a loss is lowest; without a start, begin with a part of the rows."""
    if start is not None:
        return _minimise(loss_of, start)
    n_rows = len(loss_of.keywords["weight"])
    theta = identity
    for step in sorted({1, n_rows // _STARTING_ROWS or 1}, reverse=True):
        theta = _minimise(partial(loss_of, step=step), theta)
    return theta


def _minimise(loss_at: Callable[[FloatArray], _Loss], start: FloatArray) -> FloatArray:
    """Return where a strictly convex loss is lowest, by Newton steps.

    A step that lowers the loss too little is halved. SciPy's "trust-exact" ends at the
    same place, but takes 16 ms instead of 1 ms for 500 rows, in a loop of many fits.
    """
    theta, loss = start, loss_at(start)
    for _ in range(_MAX_STEPS):
        try:
            step = np.linalg.solve(loss.curvature, -loss.gradient)
        except np.linalg.LinAlgError:  # with weights of 1e308 beside those of 1
            return theta
        expected_gain = -float(loss.gradient @ step)
        if expected_gain <= _CONVERGED * loss.value:
            return theta + step
        ahead = loss_at(theta + step)
        while ahead.value > loss.value - expected_gain / 100:
            step, expected_gain = step / 2, expected_gain / 2
            ahead = loss_at(theta + step)
        theta, loss = theta + step, ahead
    return theta
