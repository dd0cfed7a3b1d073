"""Put AutoImbalance where a classifier of your own stood.

The pipeline reads the table as you write it; the search decides what to do about the
imbalance around it, and the threshold follows your costs.
"""

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autoimb import AutoImbalance, Cost

X, y = make_classification(2_000, weights=[0.96], flip_y=0.02, random_state=0)
X = pd.DataFrame(X).add_prefix("x")
mine = make_pipeline(
    make_column_transformer(
        (StandardScaler(), make_column_selector()), remainder="drop"
    ),
    LogisticRegression(),
)

model = AutoImbalance(
    mine, threshold=Cost(fp=1, fn=20), n_trials=6, n_jobs=1, random_state=0
).fit(X, y)
print(model.leaderboard_[["strategy", "mean", "se"]])
print(f"alarm from a probability of {model.threshold_:.3f} on")
