"""Seconds that a net takes to train on one fold, on one core, `import torch` apart.

OMP_NUM_THREADS=1 python benchmarks/nets.py FOLDER/mammography.csv.gz
"""

import argparse
import time

import pandas as pd
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from autoimb._models.net import NetClassifier
from autoimb._models.tabm import TabMClassifier

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("path")
data = pd.read_csv(parser.parse_args().path)
y = data.pop("target").to_numpy()
X = StandardScaler().fit_transform(data.to_numpy(dtype=float))
for kind in (NetClassifier, TabMClassifier):
    kind(max_epochs=1).fit(X[:200], y[:200])  # loads torch
    for train, val in StratifiedKFold(3, shuffle=True, random_state=0).split(X, y):
        started = time.perf_counter()
        net = kind(random_state=0, device="cpu").fit(X[train], y[train])
        seconds = time.perf_counter() - started
        score = average_precision_score(
            y[val] == y[val].max(), net.predict_proba(X[val])[:, 1]
        )
        print(
            f"{kind.__name__:16} {len(train)} rows, {net.n_epochs_} epochs: "
            f"{seconds:.2f} s, PR-AUC {score:.3f}"
        )
