"""Versions of other libraries: what stands in for newer ones, and which are tested."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import TargetEncoder

from autoimb import _compat
from autoimb._table.encoding import DealtFolds

ROOT = Path(__file__).parents[1]
TOO_LARGE = {"torch", "xgboost"}
"""What is tested at one version: pip brings gigabytes with others."""


def pinned(name):
    """Return the versions that a file of constraints names."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {package.lower().replace("_", "-"): version for package, version in pins}


def test_the_lower_bounds_are_the_versions_that_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["catboost"], *extras["lightgbm"]]
    wanted += extras["parquet"]
    low = {**pinned("constraints.txt"), **pinned("constraints-low.txt")}
    for requirement in wanted:
        name, bound = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
        name = name.lower().replace("_", "-")
        if name not in TOO_LARGE:
            parts = [int(part) for part in low[name].split(".")]
            least = [int(part) for part in bound.split(".")]
            assert parts[: len(least)] == least, name
            assert not any(parts[len(least) :]), name


def test_the_lower_bounds_differ_from_the_newest():
    newest = pinned("constraints.txt")
    for name, version in pinned("constraints-low.txt").items():
        assert newest.get(name) not in (None, version), name


@pytest.mark.skipif(_compat.SKLEARN < (1, 9), reason="it is the oracle from 1.9 on")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("as_frame", [True, False])
def test_categories_are_encoded_as_scikit_learn_encodes_them(n_classes, as_frame):
    rng = np.random.default_rng(0)
    X = rng.choice([*"abcdef"], (60, 2)).astype(object)
    X[0, 0] = "once"
    X = pd.DataFrame(X, columns=["p", "q"]) if as_frame else X
    y = rng.integers(0, n_classes, 60)
    theirs, ours = (
        kind(cv=DealtFolds()) for kind in (TargetEncoder, _compat.SplitterTargetEncoder)
    )
    np.testing.assert_allclose(ours.fit_transform(X, y), theirs.fit_transform(X, y))
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X))


def test_a_class_of_one_row_is_encoded():
    X = np.array([[*"aabbaabbab"]], dtype=object).T
    y = np.array([0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    encoder = _compat.SplitterTargetEncoder(cv=DealtFolds())
    encoded = encoder.fit_transform(X, y)
    assert encoded[1] == 0.0  # other rows hold none of its class
    assert (encoded >= 0).all()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("9999-12-31", "9999-12-31"),
        ("0001-01-01 06:30", "0001-01-01T06:30"),
        ("2024-01-31 12:30:00+02:00", "2024-01-31T10:30"),
        ("1600-02-29T01:00:00Z", "1600-02-29T01:00"),
        ("2024-02-30", "NaT"),
        ("soon", "NaT"),
    ],
)
def test_dates_of_any_year_are_read(text, moment, monkeypatch):
    expected = np.datetime64(moment, "us")
    np.testing.assert_equal(_compat.far_timestamp(text), expected)
    monkeypatch.setattr(_compat, "PANDAS", 2)
    found = _compat.utc_timestamps(pd.Series([text, "2020-01-01", None], dtype=object))
    found = found.dt.tz_localize(None).to_numpy()
    np.testing.assert_equal(found[0], expected)
    np.testing.assert_equal(found[1:], np.array(["2020-01-01", "NaT"], "M8[us]"))


def test_texts_are_objects_with_one_kind_of_gap_before_pandas_3(monkeypatch):
    monkeypatch.setattr(_compat, "PANDAS", 2)
    found = _compat.text_array(["a", None, pd.NA, np.nan])
    assert found.dtype.numpy_dtype.kind == "O"
    assert found[0] == "a"
    assert all(isinstance(gap, float) for gap in found[1:])


def test_columns_of_text_are_found_among_objects_before_pandas_3(monkeypatch):
    table = pd.DataFrame(
        {"a": ["x", None], "b": [True, None], "c": [1, 2], "d": ["1", np.nan]}
    )
    assert _compat.text_columns(table) == ["a", "d"]
    monkeypatch.setattr(_compat, "PANDAS", 2)
    assert _compat.text_columns(table.astype(object)) == ["a", "d"]


def test_both_zeros_are_one_number_before_pandas_3(monkeypatch):
    monkeypatch.setattr(_compat, "PANDAS", 2)
    rows = pd.DataFrame({"a": [0.0, -0.0], "b": [*"uu"], "c": [1, 2]})
    found = _compat.hashable_rows(rows)
    assert not np.signbit(found["a"]).any()
    assert found["b"].tolist() == ["u", "u"]


def test_without_callbacks_a_fit_goes_on_and_to_set_one_says_what_is_needed():
    stand_in = _compat.NoCallbacks()
    root = stand_in._init_callback_context(max_subtasks=3)
    root.call_on_fit_task_begin(estimator=None)
    assert root.subcontext(task_name="trial").call_on_fit_task_end(estimator=None) is (
        False
    )
    assert stand_in.set_callbacks() is stand_in
    with pytest.raises(ImportError, match=r"scikit-learn 1\.9 or later"):
        stand_in.set_callbacks(print)
