r"""The shares of the classes among rows without labels, and what to expect at them.

Under label shift a class becomes more or less frequent, and its rows stay as they are.
Then the shares of the classes can be estimated from the scores of new rows alone:

- By maximum likelihood (Saerens 2002): probabilities p that are calibrated for the
  shares π_k of the training table are moved to other shares, which become their mean,

  .. math:: π'_k = mean_i \frac{p_{ik} π'_k / π_k}{\sum_j p_{ij} π'_j / π_j}.

- By the confusion matrix (Lipton 2018): the shares of the labels that the model gives
  are those of a mixture of its rows, which out-of-fold labels show.

They use the same scores in different ways, and disagree where rows of a class are no
longer as they were. The bootstrap draws the training rows, on which calibration and
confusion matrix are determined anew, and the new rows; its deviations are widened,
since the out-of-fold scores are of other models than the one that scores new rows.

References
----------
Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446.
Lipton, Wang & Smola 2018, arXiv:1802.03916.
Alexandari, Kundaje & Shrikumar 2020, arXiv:1901.06852 (calibration comes first).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls
from scipy.special import expit
from scipy.stats import norm

from autoimb._metrics.bootstrap import Draws
from autoimb._metrics.calibration import Platt, TemperatureBias, fit_map
from autoimb._metrics.confusion import divide_or_nan
from autoimb._monitor.drift import Mix

if TYPE_CHECKING:
    from autoimb._fit.decision import Decision
    from autoimb._metrics.calibration import Calibration
    from autoimb._metrics.confusion import FloatArray, IntArray

N_DRAWS = 200
_LEAST = 1e-12  # of a share, while it is searched for
_STEPS = 200  # of EM, each with an extrapolation
_CONVERGED = 1e-9
_OTHER_MODEL = 1.5
"""Factor on deviations of draws, which know of other rows only: the out-of-fold scores
are of other models than the one that scores new rows. It is the factor of Nadeau &
Bengio 2003 (doi:10.1023/A:1024068626366), the square root of 1 + K / (K - 1) for K
folds; ``benchmarks/monitoring.py`` measures the intervals."""
_LOG_ODDS = (-6.0, 4.0)  # of shares over the whole range, 0.2 to 98 %
_GRID = 0.02
"""Log-odds that are taken for one score: a hundredth of the odds either way."""
_MOST_GROUPS = 5_000  # of rows of several classes, whose scores rarely coincide


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Rows with nearly the same score and the same label, as one entry each."""

    proba: FloatArray
    """Mean probabilities (g, k)."""
    label: IntArray
    """The class (g,) that the model calls them."""
    y: IntArray
    """Their class (g,); zeros where it is not known."""
    number: IntArray
    """The group (n,) of each row."""

    @classmethod
    def of(
        cls, proba: FloatArray, label: IntArray, y: IntArray | None = None
    ) -> Groups:
        """Return the groups of rows with these probabilities (n, k) and labels."""
        known = np.zeros(len(proba), dtype=np.intp) if y is None else y
        logs = np.log(np.clip(proba, 1e-9, 1.0))
        # The last class follows from the others.
        steps = np.round((logs[:, :-1] - logs[:, -1:]) / _GRID)
        keys = np.column_stack([steps, label, known])
        _, first, number = np.unique(
            keys, axis=0, return_index=True, return_inverse=True
        )
        number = number.ravel()
        total = np.zeros((len(first), proba.shape[1]))
        np.add.at(total, number, proba)
        mean = total / np.bincount(number)[:, np.newaxis]
        return cls(mean, label[first], known[first], number)

    def totals(self, weight: FloatArray) -> FloatArray:
        """Return the weight (g,) of each group."""
        n_groups = len(self.label)
        return np.bincount(self.number, weight, minlength=n_groups).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """What one draw, or all rows, say of the new rows."""

    shares: FloatArray
    """Shares (k,) by maximum likelihood."""
    by_confusion: FloatArray
    """Shares (k,) by the confusion matrix; NaN where it tells no classes apart."""
    precision: FloatArray
    """Of the rows called each class (k,), the share that is of it; NaN without any."""
    recall: FloatArray
    """Of the rows of each class (k,), the share that is called so."""
    map_parameters: FloatArray
    """Slope and biases of the calibration that suits the training rows."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelShift:
    """The estimates for new rows, and the same on bootstrap draws."""

    estimate: Estimates
    drawn: tuple[Estimates, ...]
    before: FloatArray
    """Shares (k,) of the classes in the training table."""

    def stacked(self, name: str) -> FloatArray:
        """Return the draws (B, k) of one of the estimates."""
        return np.array([getattr(draw, name) for draw in self.drawn])

    def interval(self, name: str) -> FloatArray:
        """Return the ends (2, k) of the 95 % interval of one of the estimates."""
        drawn, estimate = self.stacked(name), getattr(self.estimate, name)
        known = np.isfinite(drawn).any(axis=0) & np.isfinite(estimate)
        ends = np.full((2, len(known)), np.nan)
        ends[:, known] = np.nanpercentile(drawn[:, known], [2.5, 97.5], axis=0)
        widened = estimate + _OTHER_MODEL * (ends - estimate)
        return np.asarray(np.clip(widened, 0.0, 1.0))

    def candidates(self, n_most: int) -> list[Mix]:
        """Return so many shares that lie within the interval, evenly over the draws.

        Each stands for those near it: a quarter of a standard error away.
        """
        estimate, drawn = self.estimate.shares, self.stacked("shares")
        order = np.argsort(drawn[:, np.argmin(self.before)], kind="stable")
        within = np.quantile(np.arange(len(order)), np.linspace(0.025, 0.975, n_most))
        near = self.covariance("shares") / 16
        widened = estimate + _OTHER_MODEL * (
            drawn[order[within.astype(int)]] - estimate
        )
        shares = np.clip(widened, 0.0, 1.0)
        return [Mix(share / share.sum(), near) for share in (estimate, *shares)]

    def other_shares(self, n: int) -> list[Mix]:
        """Return n shares of the rarest class over the whole range, by log-odds.

        Those of the other classes are to each other as in the training table.
        """
        rarest = np.zeros(len(self.before))
        rarest[np.argmin(self.before)] = 1.0
        rest = np.where(rarest > 0, 0.0, self.before)
        near = self.covariance("shares") / 16
        return [
            Mix(share * rarest + (1 - share) * rest / rest.sum(), near)
            for share in expit(np.linspace(*_LOG_ODDS, n))
        ]

    def covariance(self, name: str) -> FloatArray:
        """Return the covariance of one of the estimates."""
        drawn = np.cov(self.stacked(name), rowvar=False)
        return np.asarray(_OTHER_MODEL**2 * np.atleast_2d(drawn))

    @property
    def disagreement(self) -> float:
        """P-value of the largest difference between the two ways, over the classes.

        The differences are normal with the variance of the draws, both ways on the same
        draws; the p-value is corrected for the number of classes (Bonferroni). It is 1
        where the confusion matrix says nothing.
        """
        drawn = self.stacked("shares") - self.stacked("by_confusion")
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
        difference = self.estimate.shares - self.estimate.by_confusion
        if len(drawn) < N_DRAWS // 2 or not np.isfinite(difference).all():
            return 1.0
        errors = _OTHER_MODEL * drawn.std(axis=0)
        z = np.abs(difference) / np.maximum(errors, _LEAST)
        n_tests = len(z) if len(z) > 2 else 1  # two shares differ by as much
        return float(min(1.0, n_tests * 2 * norm.sf(z.max())))


def estimate_label_shift(
    decision: Decision, proba: FloatArray, labels: IntArray, independent_share: float
) -> LabelShift:
    """Return what the scores of new rows say of the shares of their classes.

    `proba` (n, k) are the model's probabilities for the shares of the training table,
    and `labels` (n,) what it calls the rows. Of the new rows, `independent_share` are
    independent of each other.
    """
    oof = decision.oof
    own = decision.calibrated.proba
    rng = np.random.default_rng(decision.seed)
    training = Groups.of(own, decision.labels_of(own), oof.y)
    at = np.arange(len(proba))
    if proba.shape[1] > 2 and len(at) > _MOST_GROUPS:
        at = rng.choice(len(proba), _MOST_GROUPS, replace=False)
    new = Groups.of(proba[at], labels[at])
    counts = new.totals(np.ones(len(at)))
    before = decision.class_weights / decision.class_weights.sum()
    sides = _Sides(training, new, before, decision.pos)
    n_drawn = max(1, round(len(at) * independent_share))
    draws = Draws.of(oof.y, oof.units, N_DRAWS, seed=decision.seed)
    drawn = []
    for draw in draws:
        weight = training.totals(oof.weight * draw)
        sample = rng.multinomial(n_drawn, counts / counts.sum()).astype(np.float64)
        drawn.append(sides.estimates(weight, sample, rng))
    estimate = sides.estimates(training.totals(oof.weight), counts, None)
    return LabelShift(estimate, tuple(drawn), before)


@dataclass(slots=True, eq=False)
class _Sides:
    """Training rows and new rows, and how estimates come from weights for both."""

    training: Groups
    new: Groups
    before: FloatArray
    pos: int | None
    start: Calibration | None = None
    """The map of the last draw, from which the next search for one starts."""

    def estimates(
        self, weight: FloatArray, counts: FloatArray, rng: np.random.Generator | None
    ) -> Estimates:
        """Return the estimates for the weights (g,) of groups of either side.

        With a generator, labels of the new rows are drawn for precision and recall.
        """
        calibration = self._calibration(weight)
        proba = calibration(self.new.proba)
        shares = most_likely_shares(proba, counts, self.before)
        joint = proba * (shares / self.before)
        posterior = joint / joint.sum(axis=1, keepdims=True)
        matrix = self._matrix(posterior, counts, rng)
        hits, k = np.diag(matrix), len(shares)
        pairs = k * self.training.y + self.training.label
        confusion = np.bincount(pairs, weight, minlength=k * k).astype(np.float64)
        called = np.bincount(self.new.label, counts, minlength=k).astype(np.float64)
        return Estimates(
            shares,
            shares_by_confusion(confusion.reshape(k, k), called),
            divide_or_nan(hits, matrix.sum(axis=0)),
            divide_or_nan(hits, matrix.sum(axis=1)),
            parameters_of(calibration, k),
        )

    def _calibration(self, weight: FloatArray) -> Calibration:
        """Return the map that suits training rows with these weights (g,) best."""
        training, used = self.training, weight > 0
        kind = TemperatureBias if self.pos is None else Platt
        start = self.start if isinstance(self.start, kind) else None
        y, proba = training.y[used], training.proba[used]
        self.start = fit_map(kind, y, proba, weight[used], self.pos, start)
        return self.start

    def _matrix(
        self,
        posterior: FloatArray,
        counts: FloatArray,
        rng: np.random.Generator | None,
    ) -> FloatArray:
        """Return the new rows (k, k) of each class by what they are called."""
        called_as = np.eye(len(self.before))[self.new.label]
        of_group = posterior * counts[:, np.newaxis]
        matrix = of_group.T @ called_as
        if rng is None:
            return np.asarray(matrix)
        variance = (of_group * (1 - posterior)).T @ called_as
        noise = rng.standard_normal(matrix.shape) * np.sqrt(variance)
        return np.clip(matrix + noise, 0, None)


def most_likely_shares(
    proba: FloatArray, counts: FloatArray, before: FloatArray
) -> FloatArray:
    """Return the shares (k,) under which rows (g, k) are most likely.

    `proba` are their probabilities for the shares `before`, `counts` (g,) how many rows
    there are of each. EM converges slowly where classes overlap: each step is followed
    by an extrapolation (SQUAREM, Varadhan & Roland 2008,
    doi:10.1111/j.1467-9469.2007.00585.x).
    """
    ratios, counts = proba / before, counts / counts.sum()

    def step(shares: FloatArray) -> FloatArray:
        density = ratios @ shares
        return shares * (ratios.T @ (counts / np.maximum(density, 1e-300)))

    shares = before
    for _ in range(_STEPS):
        once = step(shares)
        twice = step(once)
        first, second = once - shares, twice - 2 * once + shares
        bend = float(np.abs(second).max())
        if float(np.abs(first).max()) < _CONVERGED or bend == 0:
            return _normalised(twice)
        length = max(1.0, float(np.linalg.norm(first) / np.linalg.norm(second)))
        ahead = shares + 2 * length * first + length**2 * second
        if ahead.min() <= 0:
            ahead = twice
        shares = step(_normalised(ahead))
    return _normalised(shares)


def _normalised(shares: FloatArray) -> FloatArray:
    """Return shares that are positive and sum to one."""
    positive = np.clip(shares, _LEAST, None)
    return np.asarray(positive / positive.sum())


def shares_by_confusion(confusion: FloatArray, called: FloatArray) -> FloatArray:
    """Return the shares (k,) that explain how many rows are called each class.

    `confusion` (k, k) is of the training table, true classes by what they are called;
    `called` (k,) counts the new rows. Shares are not negative and sum to one. NaN where
    the classes are called alike.
    """
    rates = (confusion / confusion.sum(axis=1, keepdims=True)).T
    k = len(called)
    if np.linalg.matrix_rank(rates, tol=1e-6) < k:
        return np.full(k, np.nan)
    # A heavy last row makes the shares sum to one.
    system = np.vstack([rates, np.full(k, 1e3)])
    shares, _ = nnls(system, np.append(called / called.sum(), 1e3))
    return np.asarray(shares / shares.sum())


def parameters_of(calibration: Calibration, n_classes: int) -> FloatArray:
    """Return the slope of a map, and its bias for each class against the last one."""
    if isinstance(calibration, Platt):
        return np.array([calibration.slope, calibration.intercept])
    if isinstance(calibration, TemperatureBias):
        biases = np.array(calibration.biases)
        return np.append(calibration.slope, biases[:-1] - biases[-1])
    return np.append(1.0, np.zeros(n_classes - 1))
