"""Maps from a model's scores to probabilities that mean what they say.

A map is a frozen value, called on `proba` (n, k). It keeps the order of a binary score
strictly, so that calibration never moves a ranking metric, and it is taken only where
it lowers the log loss of rows that it was not fitted on.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from scipy.special import expit, softmax

from ._confusion import FloatArray, IntArray
from ._metrics import log_loss

_SOFTENING = 1e-6
"""Added to probabilities before their logarithm: forests answer exactly 0 and 1."""

_TRACE = 1e-6
"""Share of the raw probability in a mapped one: keeps apart scores on which the map
saturates in double precision (the sigmoid of 40 and of 50 are both exactly 1)."""

_RIDGE = 1e-3
"""Pull towards identity, in rows of the rarest class: decides only for separable data,
where the likelihood has no maximum."""

_MAX_STEPS = 50
"""Of Newton's method: about six are needed, some twenty for separable data."""

_STARTING_ROWS = 20_000
"""Of more rows, about so many tell where to start: the result is that of all rows."""

_ROWS_AT_ONCE = 16_384
"""Rows whose loss is summed at a time: they stay in the cache."""

_CONVERGED = 1e-10
"""Share of the loss that a step may still promise to be the last one."""

_MIN_SLOPE = 1e-2
"""Below it the scores say next to nothing, or the opposite: they are left alone."""


@dataclass(frozen=True)
class Calibration(ABC):
    """A fitted map of probabilities (n, k) -> (n, k) whose rows sum to one."""

    kind: ClassVar[str]
    label: ClassVar[str]
    """The kind in words."""

    @abstractmethod
    def __call__(self, proba: FloatArray) -> FloatArray:
        """Calibrated probabilities (n, k)."""

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON-able data, for `from_dict`."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> "Calibration":
        """Return the map that `to_dict` described."""
        fields = {name: value for name, value in data.items() if name != "kind"}
        return _KINDS[data["kind"]](**fields)


@dataclass(frozen=True)
class Identity(Calibration):
    """Probabilities as the model gave them."""

    kind: ClassVar[str] = "identity"
    label: ClassVar[str] = "none"

    def __call__(self, proba: FloatArray) -> FloatArray:
        """`proba` itself."""
        return proba


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
    kind: ClassVar[str] = "platt"
    label: ClassVar[str] = "Platt scaling"

    def __call__(self, proba: FloatArray) -> FloatArray:
        """Calibrated probabilities (n, 2); their order is that of `proba`."""
        return platt(proba, self.slope, self.intercept, self.pos)


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
    kind: ClassVar[str] = "beta"
    label: ClassVar[str] = "beta calibration"

    def __call__(self, proba: FloatArray) -> FloatArray:
        """Calibrated probabilities (n, 2); their order is that of `proba`."""
        return beta(proba, self.a, self.b, self.intercept, self.pos)


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
    kind: ClassVar[str] = "temperature_bias"
    label: ClassVar[str] = "temperature and bias"

    def __post_init__(self) -> None:
        object.__setattr__(self, "biases", tuple(self.biases))

    def __call__(self, proba: FloatArray) -> FloatArray:
        """Calibrated probabilities (n, k)."""
        return temperature_bias(proba, self.slope, self.biases)


def platt(proba: FloatArray, slope: float, intercept: float, pos: int) -> FloatArray:
    """Return probabilities (n, 2) by Platt scaling."""
    p = proba[:, pos]
    logit = _soft_log(p) - _soft_log(1 - p)
    return _with_logit(proba, slope * logit + intercept, pos)


def beta(
    proba: FloatArray, a: float, b: float, intercept: float, pos: int
) -> FloatArray:
    """Return probabilities (n, 2) by beta calibration."""
    rising, falling = _beta_features(proba[:, pos])
    return _with_logit(proba, a * rising + b * falling + intercept, pos)


def temperature_bias(
    proba: FloatArray, slope: float, biases: tuple[float, ...]
) -> FloatArray:
    """Return probabilities (n, k) with a temperature and a bias a class."""
    mapped: FloatArray = softmax(slope * _soft_log(proba) + np.asarray(biases), axis=1)
    return mapped + _TRACE * (proba - mapped)


_KINDS: dict[str, type[Calibration]] = {
    kind.kind: kind for kind in (Identity, Platt, Beta, TemperatureBias)
}


def _with_logit(proba: FloatArray, logit: FloatArray, pos: int) -> FloatArray:
    """Return probabilities (n, 2) with these logits, and a trace of what they were."""
    mapped = expit(logit)
    mapped += _TRACE * (proba[:, pos] - mapped)
    calibrated = np.empty_like(proba)
    calibrated[:, pos] = mapped
    calibrated[:, 1 - pos] = 1 - mapped
    return calibrated


def fit_calibration(
    y: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    fold_ids: IntArray,
    pos: int | None,
) -> tuple[Calibration, FloatArray]:
    """Fit the map with the lowest log loss on folds left out; identity unless beaten.

    Of two binary maps, the one that bends more must gain more than the noise of its
    gain. With it comes `proba` as `cross_fitted` maps it. Rows with equal `fold_ids`
    are left out together. A class that only one fold holds leaves nothing to judge a
    map by.
    """
    if any(len(np.unique(fold_ids[y == c])) < 2 for c in range(proba.shape[1])):
        return Identity(), proba
    fits = {}
    for kind in (TemperatureBias,) if pos is None else (Platt, Beta):
        fitted = _FITS[kind](y, proba, weight, pos)
        fits[kind] = (
            fitted,
            cross_fitted(y, proba, weight, fold_ids, pos, fitted),
        )
    best, *bent = fits.values()
    for other in bent:
        if _is_surely_better(y, other[1], best[1], weight):
            best = other
    is_better = log_loss(y, best[1], weight) < log_loss(y, proba, weight)
    return best if is_better else (Identity(), proba)


def _is_surely_better(
    y: IntArray, proba: FloatArray, other: FloatArray, weight: FloatArray
) -> bool:
    """Whether the log loss is lower by more than a standard error of the difference."""
    rows = np.arange(len(y))
    gain = _soft_log(proba[rows, y]) - _soft_log(other[rows, y])
    mean = float(np.average(gain, weights=weight))
    noise = np.sqrt(_dot(weight**2, (gain - mean) ** 2)) / weight.sum()
    return bool(mean > noise)


def cross_fitted(  # noqa: PLR0917  (those of `fit_calibration`, and its answer)
    y: IntArray,
    proba: FloatArray,
    weight: FloatArray,
    fold_ids: IntArray,
    pos: int | None,
    calibration: Calibration,
) -> FloatArray:
    """Map each row of `proba` (n, k) by a fit of this kind without the row's fold."""
    if isinstance(calibration, Identity):
        return proba
    fit = _FITS[type(calibration)]
    crossed = np.empty_like(proba)
    for fold in np.unique(fold_ids):
        held_out = fold_ids == fold
        rest = ~held_out
        fitted = fit(y[rest], proba[rest], weight[rest], pos)
        crossed[held_out] = fitted(proba[held_out])
    return crossed


def _fit_platt(
    y: IntArray, proba: FloatArray, weight: FloatArray, pos: int | None
) -> Calibration:
    pos = cast("int", pos)
    # Only p of the positive class: the map stays a function of the score alone.
    two_sides = np.stack([1 - proba[:, pos], proba[:, pos]])
    fitted = _fit_softmax((y == pos).astype(int), _soft_log(two_sides), weight)
    if fitted is None:
        return Identity()
    slope, (b_neg, b_pos) = fitted
    return Platt(slope, float(b_pos - b_neg), pos)


def _fit_temperature_bias(
    y: IntArray, proba: FloatArray, weight: FloatArray, _pos: int | None
) -> Calibration:
    # Classes first: sums over a short last axis are several times slower.
    fitted = _fit_softmax(y, _soft_log(np.ascontiguousarray(proba.T)), weight)
    if fitted is None:
        return Identity()
    slope, biases = fitted
    return TemperatureBias(slope, tuple(biases.tolist()))


def _fit_beta(
    y: IntArray, proba: FloatArray, weight: FloatArray, pos: int | None
) -> Calibration:
    pos = cast("int", pos)
    truth, features = (y == pos).astype(float), _beta_features(proba[:, pos])
    class_weight = np.bincount(y == pos, weight, minlength=2)
    if class_weight.min() <= 0:
        return Identity()
    weight = weight / class_weight.min()
    found: list[tuple[float, FloatArray]] = []
    for kept in ([0, 1], [0], [1]):
        start = np.append(np.ones(len(kept)), 0.0)
        loss_at = partial(
            _binary_loss, truth=truth, features=features[kept], weight=weight
        )
        theta = _minimise(loss_at, start)
        if theta[:-1].min() >= (0.0 if len(kept) > 1 else _MIN_SLOPE):
            slopes = np.zeros(2)
            slopes[kept] = theta[:-1]
            found.append((loss_at(theta).value, np.append(slopes, theta[-1])))
        if len(kept) > 1 and found:
            break  # a slope of nought can only be worse
    if not found or max(min(found, key=itemgetter(0))[1][:2]) < _MIN_SLOPE:
        return Identity()
    a, b, intercept = min(found, key=itemgetter(0))[1]
    return Beta(float(a), float(b), float(intercept), pos)


def _beta_features(p: FloatArray) -> FloatArray:
    """Return log p and -log(1 - p) as rows (2, n): both rise with p."""
    return np.stack([_soft_log(p), -_soft_log(1 - p)])


_Fit = Callable[[IntArray, FloatArray, FloatArray, int | None], Calibration]
_FITS: dict[type[Calibration], _Fit] = {
    Platt: _fit_platt,
    Beta: _fit_beta,
    TemperatureBias: _fit_temperature_bias,
}


def _soft_log(proba: FloatArray) -> FloatArray:
    return np.log(proba + _SOFTENING)


def _fit_softmax(
    y: IntArray, log_proba: FloatArray, weight: FloatArray
) -> tuple[float, FloatArray] | None:
    """Slope and biases (k,) that minimise weighted log loss plus the ridge, or None.

    None where a class is missing, or where the best slope is not clearly positive;
    `log_proba` is (k, n).
    """
    n_classes = len(log_proba)
    class_weight = np.bincount(y, weight, minlength=n_classes)
    if class_weight.min() <= 0:
        return None
    weight = weight / class_weight.min()
    theta = _identity(n_classes)
    for step in sorted({1, len(y) // _STARTING_ROWS or 1}, reverse=True):
        theta = _minimise(
            partial(
                _penalised_loss,
                y=y[::step],
                log_proba=log_proba[:, ::step],
                weight=step * weight[::step],
            ),
            theta,
        )
    slope, biases = float(theta[0]), theta[1:]
    return (slope, biases) if slope >= _MIN_SLOPE else None


def _identity(n_classes: int) -> FloatArray:
    """Slope and biases (1 + k,) that change nothing."""
    return np.append(1.0, np.zeros(n_classes))


class _Loss(NamedTuple):
    """A loss, its gradient (m,) and its second derivatives (m, m)."""

    value: float
    gradient: FloatArray
    curvature: FloatArray


def _penalised_loss(
    theta: FloatArray, *, y: IntArray, log_proba: FloatArray, weight: FloatArray
) -> _Loss:
    """Loss at theta = (slope, biases) of rows with log probabilities (k, n)."""
    away = theta - _identity(len(log_proba))
    ridge = _Loss(
        _RIDGE / 2 * float(away @ away), _RIDGE * away, _RIDGE * np.eye(len(theta))
    )
    blocks = (slice(b, b + _ROWS_AT_ONCE) for b in range(0, len(y), _ROWS_AT_ONCE))
    parts = [_loss(theta, y[b], log_proba[:, b], weight[b]) for b in blocks]
    return _Loss(*(sum(terms) for terms in zip(ridge, *parts, strict=True)))


def _loss(
    theta: FloatArray, y: IntArray, log_proba: FloatArray, weight: FloatArray
) -> _Loss:
    """Weighted log loss, without the ridge.

    Sums are written as `einsum`: products this thin are slower on many BLAS threads.
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
    mass = weight * p
    of_class = mass.sum(axis=1)
    gradient = np.append(-_dot(weight, centred[y, rows]), of_class - truth)
    curvature = np.diag(np.append(0.0, of_class))
    curvature[1:, 1:] -= np.einsum("cn,dn->cd", mass, p)
    mass *= centred
    curvature[0, 1:] = curvature[1:, 0] = mass.sum(axis=1)
    curvature[0, 0] = np.einsum("cn,cn->", mass, centred)
    return _Loss(value, gradient, curvature)


def _binary_loss(
    theta: FloatArray, *, truth: FloatArray, features: FloatArray, weight: FloatArray
) -> _Loss:
    """Weighted log loss of logits theta[:-1] @ features + theta[-1], with the ridge."""
    away = theta - np.append(np.ones(len(features)), 0.0)
    logit = theta[:-1] @ features + theta[-1]
    p = expit(logit)
    value = _dot(weight, np.logaddexp(0, logit) - truth * logit)
    inputs = np.vstack([features, np.ones(len(truth))])
    gradient = inputs @ (weight * (p - truth))
    curvature = (inputs * (weight * p * (1 - p))) @ inputs.T
    return _Loss(
        value + _RIDGE / 2 * float(away @ away),
        gradient + _RIDGE * away,
        curvature + _RIDGE * np.eye(len(theta)),
    )


def _dot(weight: FloatArray, values: FloatArray) -> float:
    return float(np.einsum("n,n->", weight, values))


def _minimise(loss_at: Callable[[FloatArray], _Loss], start: FloatArray) -> FloatArray:
    """Where a strictly convex loss is lowest: Newton's steps, halved where too long."""
    theta, loss = start, loss_at(start)
    for _ in range(_MAX_STEPS):
        step = np.linalg.solve(loss.curvature, -loss.gradient)
        promised = -float(loss.gradient @ step)
        if promised <= _CONVERGED * loss.value:
            return theta + step
        ahead = loss_at(theta + step)
        while ahead.value > loss.value - promised / 100:
            step, promised = step / 2, promised / 2
            ahead = loss_at(theta + step)
        theta, loss = theta + step, ahead
    return theta
