"""Put AutoImbalance around a pipeline of imbalanced-learn that samples already.

Nothing is put on top of its sampler, whose parameters can be tuned along with those of
the model. Calibration and the threshold follow as for any other model.
"""

from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

from autoimb import AutoImbalance, Cost, Int

X, y = make_classification(1_000, weights=[0.94], flip_y=0.02, random_state=0)
mine = Pipeline(
    [
        ("scale", StandardScaler()),
        ("sample", SMOTE(k_neighbors=5)),
        ("forest", RandomForestClassifier(n_estimators=50)),
    ]
)
model = AutoImbalance(
    mine,
    search_params={
        "sample__k_neighbors": Int(1, 9),
        "forest__min_samples_leaf": Int(1, 10, log=True),
    },
    threshold=Cost(fp=1, fn=20),
    n_trials=5,
    n_jobs=1,
    random_state=0,
).fit(X, y)
print(model.leaderboard_[["strategy", "mean", "se"]].to_string(index=False))
print(f"alert from a probability of {model.threshold_:.3f} on")
