"""Let entries of your own compete: a model, a resampler and a loss.

They join the catalogue of this process, are tuned like the built-in ones, and travel to
the worker processes along with the data.
"""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.datasets import make_classification
from sklearn.naive_bayes import GaussianNB

import autoimb


class Jitter(BaseEstimator):
    """Repeat the rows of the rarest class once, with a little noise."""

    def __init__(self, scale=0.1, random_state=None):
        self.scale = scale
        self.random_state = random_state

    def fit_resample(self, X, y):
        rng = np.random.default_rng(self.random_state)
        rarest = np.bincount(y).argmin()
        new = X[y == rarest]
        new = new + rng.normal(scale=self.scale, size=new.shape)
        return np.vstack([X, new]), np.append(y, np.full(len(new), rarest))


def exponential(margins, codes, *, prior):
    """Return the gradient and second derivative of exp(-margin of the truth)."""
    sign = 2 * codes - 1
    loss = np.exp(np.clip(-sign * margins, -30, 30))
    return -sign * loss, loss


autoimb.register_family(
    "naive_bayes",
    GaussianNB(),
    params={"var_smoothing": autoimb.Float(1e-10, 1e-1, default=1e-9, log=True)},
)
autoimb.register_resampler(
    "jitter", Jitter(), params={"scale": autoimb.Float(0.01, 0.5, default=0.1)}
)
autoimb.register_loss("exponential", xgboost=exponential)

X, y = make_classification(1_000, weights=[0.95], flip_y=0.02, random_state=0)
model = autoimb.AutoImbalance(
    families=["naive_bayes", "xgboost"],
    resamplers="jitter",
    losses="exponential",
    class_weights="none",
    n_trials=12,
    n_jobs=1,
    random_state=0,
).fit(X, y)
print(model.leaderboard_[["strategy", "mean", "se", "status"]].to_string(index=False))
