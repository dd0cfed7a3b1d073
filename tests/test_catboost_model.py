"""Models of optional packages: quiet, repeatable, and weighted by class code."""

import numpy as np
import pytest
from sklearn.base import clone
from tables import five_classes

from autoimb._models.catboost_model import make_catboost

pytest.importorskip("catboost")

SMALL = {"iterations": 10, "thread_count": 1, "random_state": 0}
WEIGHTS = {3: 4.0, 0: 1.0, 4: 9.0, 2: 3.0, 1: 2.0}  # the order tells nothing


def gapped():
    X, y = five_classes()
    X[::9, 1] = np.nan
    return X, y


def test_class_weights_are_row_weights_by_code():
    X, y = gapped()
    of_row = np.array([WEIGHTS[code] for code in y])
    weighted = make_catboost(class_weight=WEIGHTS, **SMALL).fit(X, y)
    by_row = make_catboost(**SMALL).fit(X, y, sample_weight=of_row)
    np.testing.assert_allclose(
        weighted.predict_proba(X), by_row.predict_proba(X), atol=1e-6
    )


def test_same_seed_same_model_through_clone():
    X, y = gapped()
    model = make_catboost(class_weight=WEIGHTS, **SMALL)
    again = clone(model).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), again)


def test_it_says_and_writes_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    make_catboost(**SMALL).fit(*gapped())
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
