"""Put AutoImbalance around a pipeline that reads text.

Samplers stand after the pipeline's own preprocessing and before its last step: they
see the weights of the words, not the text.
"""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from autoimb import AutoImbalance, Float

rng = np.random.default_rng(0)
complains = rng.random(600) < 0.1
calm = ["thanks", "great", "works", "fine", "order", "delivery"]
angry = ["broken", "late", "refund", "order", "delivery", "again"]
X = pd.DataFrame(
    {
        "message": [
            " ".join([*rng.choice(calm, 8), *rng.choice(angry if bad else calm, 2)])
            for bad in complains
        ],
        "value": rng.lognormal(3, 1, len(complains)),
    }
)
y = np.where(complains, "complaint", "other")

reads = make_column_transformer(
    (TfidfVectorizer(), "message"), (StandardScaler(), ["value"])
)
model = AutoImbalance(
    Pipeline([("reads", reads), ("classifies", LogisticRegression())]),
    search_params={"classifies__C": Float(0.1, 10, log=True)},
    resamplers=["smote", "random_under"],
    n_trials=6,
    n_jobs=1,
    random_state=0,
).fit(X, y)
print(model.leaderboard_[["strategy", "mean", "se"]].to_string(index=False))
print(model.predict(X.head()))
