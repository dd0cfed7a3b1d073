"""Exact gradients and second derivatives of losses, for boosted trees.

Each function takes margins (logits) of shape (n,) for two classes or (n, k) for k,
class codes of shape (n,) and the shares of the classes. It returns the first and the
second derivative of the loss of each row by its margins, unweighted, in the shape of
the margins; the second is the diagonal of the Hessian. `losses` has the same losses for
neural nets.
"""

from collections.abc import Mapping
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax

from autoimb._models.loss_lookup import LossFunction

_TINY = 1e-300

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.intp]
Derivatives: TypeAlias = tuple[Floats, Floats]


def focal(
    margins: Floats,
    codes: Codes,
    *,
    gamma: float = 2.0,
    prior: Floats | None = None,
) -> Derivatives:
    """Return the derivatives of -(1 - p_t)^gamma log p_t.

    Parameters
    ----------
    margins : ndarray of shape (n,) or (n, k)
        One logit a row for two classes (sigmoid), or k (softmax).
    codes : ndarray of shape (n,)
        True classes as integers from 0 to k - 1.
    prior : ndarray of shape (k,), default=None
        Shares of the classes; not used.
    gamma : float in [0, inf), default=2.0
        How much less rows count that are predicted well; 0 is the log loss, whose
        derivatives are p - y and p (1 - p).

    Returns
    -------
    gradient, hessian : ndarray of the margins' shape

    Notes
    -----
    With p = p_t, q = 1 - p and r = -log(p) / q, the loss changes with log p by
    G = -q^gamma (gamma p r + 1). As d log p_t / d z_j = [j = t] - p_j =: d_j,
    the gradient is G d_j and the second derivative p G' d_j^2 - G p_j (1 - p_j) with
    p G' q^2 = gamma p q^gamma (q (log p + 2) - (gamma - 1) p log p).

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollar (2017). Focal loss for dense object
       detection. arXiv:1708.02002
    """
    if margins.ndim == 1:
        sign = 2.0 * codes - 1
        log_p, log_q = log_expit(sign * margins), log_expit(-sign * margins)
        slope, bend = _focal_parts(log_p, log_q, gamma)
        p, q = np.exp(log_p), np.exp(log_q)
        return sign * slope * q, bend - slope * p * q
    log_proba = log_softmax(margins, axis=1)
    is_true = np.eye(margins.shape[1], dtype=bool)[codes]
    log_p = log_proba[is_true][:, np.newaxis]
    # The sum over the other classes keeps digits that log(1 - p) would lose.
    others = np.where(is_true, -np.inf, log_proba)
    log_q = np.logaddexp.reduce(others, axis=1)[:, np.newaxis]
    slope, bend = _focal_parts(log_p, log_q, gamma)
    proba, q = np.exp(log_proba), np.exp(log_q)
    # d_j / q: 1 for the true class; for any other, minus its share of the rest.
    direction = np.where(is_true, 1.0, -np.exp(others - log_q))
    one_minus = np.where(is_true, q, 1 - proba)
    return slope * q * direction, bend * direction**2 - slope * proba * one_minus


def asymmetric(
    margins: Floats,
    codes: Codes,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 2.0,
    margin: float = 0.02,
    prior: Floats,
) -> Derivatives:
    """Return the derivatives of the asymmetric loss.

    Parameters
    ----------
    margins, codes
        As in `focal`; more than two classes have a sigmoid each.
    gamma_pos, gamma_neg : float in [0, inf), default=0.0 and 2.0
        How much less positives and negatives count that are predicted well.
    margin : float in [0, 1), default=0.02
        Negatives of a lower probability than this have a loss of zero.
    prior : ndarray of shape (k,)
        Shares of the classes; the rarer of two is the positive one.

    Returns
    -------
    gradient, hessian : ndarray of the margins' shape

    Notes
    -----
    Positives have the focal loss with gamma_pos. For negatives of probability p,
    h(s) = -s^gamma_neg log(1 - s) with s = max(p - margin, 0) has, by the margin, the
    derivatives h' p (1 - p) and h'' (p (1 - p))^2 + h' p (1 - p) (1 - 2 p).

    References
    ----------
    .. [1] Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor (2021).
       Asymmetric loss for multi-label classification, section 2. arXiv:2009.14119
    """
    if margins.ndim == 1:
        rare = int(np.argmin(prior))
        sign, is_positive = (1.0 if rare == 1 else -1.0), codes == rare
    else:
        sign, is_positive = 1.0, np.eye(margins.shape[1], dtype=bool)[codes]
    z = sign * margins
    slope, bend = _focal_parts(log_expit(z), log_expit(-z), gamma_pos)
    p, q = expit(z), expit(-z)
    negative_gradient, negative_hessian = _asymmetric_negative(p, q, gamma_neg, margin)
    gradient = np.where(is_positive, slope * q, negative_gradient)
    hessian = np.where(is_positive, bend - slope * p * q, negative_hessian)
    return sign * gradient, hessian


BOOSTING_LOSSES: Mapping[str, LossFunction] = {
    "asymmetric": LossFunction(
        function=asymmetric,
        params=("gamma_pos", "gamma_neg", "margin"),
        link="sigmoid",
    ),
    "focal": LossFunction(function=focal, params=("gamma",)),
    "log_loss": LossFunction(function=partial(focal, gamma=0.0)),
}


def _focal_parts(log_p: Floats, log_q: Floats, gamma: float) -> Derivatives:
    """Return G and p G' q^2 of `focal`, finite for any finite margin."""
    p, q, faded = np.exp(log_p), np.exp(log_q), np.exp(gamma * log_q)
    # log(p) / q tends to -1 as q vanishes.
    ratio = np.divide(-log_p, q, out=np.ones_like(q), where=q > 0)
    slope = -faded * (gamma * p * ratio + 1)
    bend = gamma * p * faded * (q * (log_p + 2) - (gamma - 1) * p * log_p)
    return slope, bend


def _asymmetric_negative(
    p: Floats, q: Floats, gamma: float, margin: float
) -> Derivatives:
    """Return the derivatives of the loss of negatives by the margin; q is 1 - p."""
    s = np.maximum(p - margin, 0.0)
    is_counted = s > 0
    s, rest = np.where(is_counted, s, 0.5), q + margin  # rest is 1 - s where it counts
    # p q h' and (p q)^2 h'' in ratios that neither vanish nor overflow.
    kept = np.divide(q, rest, out=np.ones_like(q), where=rest > 0)
    ratio, faded = p / s, s**gamma
    log_rest = np.where(
        s < 0.5, np.log1p(-np.minimum(s, 0.5)), np.log(np.maximum(rest, _TINY))
    )
    first = faded * (kept * p - gamma * log_rest * q * ratio)
    second = faded * (
        (kept * p) ** 2
        + 2 * gamma * kept * p * q * ratio
        - gamma * (gamma - 1) * log_rest * (q * ratio) ** 2
    )
    hessian = second + first * (q - p)
    return np.where(is_counted, first, 0.0), np.where(is_counted, hessian, 0.0)
