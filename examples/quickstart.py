"""The three-line use as a plain script: no ``if __name__ == "__main__"`` is needed."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from autoimb import AutoImbalance

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_new, y_train, y_new = train_test_split(X, y, stratify=y, random_state=0)

model = AutoImbalance(time_budget=20, random_state=0).fit(X_train, y_train)
print(model.report().data.outcome.sentences[0])
print(f"PR-AUC on new rows: {model.score(X_new, y_new):.3f}")
