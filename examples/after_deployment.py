"""A model meets new rows: first without labels, then with them, then others.

Fraud becomes three times as frequent, which set_prior adapts to. Then amounts rise for
everybody, which it cannot; the report says so before there is a single label.
"""

import numpy as np
import pandas as pd

from autoimb import AutoImbalance


def month(n_rows, share, rise=0.0, seed=0):
    """Return the transactions of one month, of which so many are fraud."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n_rows) < share, "fraud", "fine")
    is_fraud = (y == "fraud").astype(int)
    X = pd.DataFrame(
        {
            "amount": rng.normal(size=n_rows) + 2.0 * is_fraud + rise,
            "age": rng.normal(size=n_rows) + is_fraud,
            "shop": np.where(rng.random(n_rows) < 0.1 + 0.4 * is_fraud, "new", "old"),
        }
    )
    return X, y


X, y = month(2000, 0.05)
model = AutoImbalance(
    n_trials=2, families="logistic_regression", n_jobs=1, random_state=0
).fit(X, y)

X_october, y_october = month(3000, 0.15, seed=1)
report = model.monitor(X_october)
print(report, "\n")
report.save("october.html")
if report.only_shares_moved:
    model.set_prior(report.prior)

print(model.monitor(X_october, y_october).data.verdict, "\n")

sets = pd.DataFrame(model.predict_sets(X_october), columns=model.classes_)
print("Rows by the classes in their set, nine in ten of each class being covered:")
print(sets.value_counts(), "\n")

X_november, _ = month(3000, 0.15, rise=1.0, seed=2)
for doubt in model.monitor(X_november).data.doubts:
    print("In November", doubt)
