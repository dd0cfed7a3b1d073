"""Put AutoImbalance around an XGBoost model of your own.

The model is tried as it is, with class weights (its scale_pos_weight) and with samplers
that measure distances among scaled rows; the depth of its trees is tuned along.
"""

from sklearn.datasets import make_classification
from xgboost import XGBClassifier

from autoimb import AutoImbalance, Int

X, y = make_classification(1_500, weights=[0.95], flip_y=0.02, random_state=0)
model = AutoImbalance(
    XGBClassifier(n_estimators=60, learning_rate=0.1, max_depth=4),
    search_params={"max_depth": Int(2, 8)},
    n_trials=6,
    n_jobs=1,
    random_state=0,
).fit(X, y)
print(model.leaderboard_[["strategy", "mean", "se"]].to_string(index=False))
print(f"chosen: {model.best_strategy_}")
