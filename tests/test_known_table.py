"""`report` and `refit` refuse another table than they mean."""

import pickle
from copy import copy

import numpy as np
import pandas as pd
import pytest
from tables import numeric

import autoimb
from autoimb import AutoImbalance
from autoimb.exceptions import BadInputError

OPTIONS = {"families": "logistic_regression", "n_jobs": 1, "random_state": 0, "cv": 3}


def frame(n=240, seed=0):
    """Return a table with a column of each kind, and labels."""
    numbers, y = numeric(n, n // 4, seed)
    rng = np.random.default_rng(seed)
    days = pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    X = pd.DataFrame(
        {
            "amount": numbers[:, 0],
            "flag": rng.random(n) < 0.5,
            "colour": rng.choice(["red", "green"], n),
            "name": [f"n{i}" for i in rng.integers(0, 90, n)],
            "when": pd.Timestamp("2024-01-01") + days,
            "clock": [f"{h:02}:15" for h in rng.integers(0, 24, n)],
            "still": 1.0,
        }
    )
    return X, y


def fit(X, y, **rows_of):
    return AutoImbalance(n_trials=1, ensemble_size=1, **OPTIONS).fit(X, y, **rows_of)


@pytest.fixture(scope="module")
def once():
    X, y = frame()
    return fit(X, y), X, y


@pytest.fixture
def fitted(once):
    model, X, y = once
    return copy(model), X.copy(), y.copy()


# --- report


def report(model, X, y, **rows_of):
    return model.report(X, y, time_budget=0.01, **rows_of)


def other_value(X, y):
    return X.assign(amount=X["amount"].where(X.index != 7, 0.5)), y


def other_order(X, y):
    order = np.random.default_rng(0).permutation(len(y))
    return X.iloc[order], y[order]


def other_labels(X, y):
    return X, np.roll(y, 1)


def fewer_rows(X, y):
    return X[:-1], y[:-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_value, "X holds other values"),
        (other_order, "another order"),
        (other_labels, "y holds other labels"),
        (fewer_rows, r"X has 239 rows .*, not 240"),
    ],
)
def test_a_report_on_another_table_is_refused(fitted, change, words):
    model, X, y = fitted
    before = model.report().data
    with pytest.raises(BadInputError, match=words) as caught:
        report(model, *change(X, y))
    assert "refit(X, y) first" in str(caught.value)
    assert model.report().data == before


def test_rows_of_one_label_in_another_order_are_another_table():
    X, y = numeric()
    model = fit(X, y)
    order = np.arange(len(y))
    first, second = np.flatnonzero(y == 0)[:2]
    order[[first, second]] = second, first
    with pytest.raises(BadInputError, match="the rows are in another order"):
        report(model, X[order], y)


def test_names_of_columns_count():
    X, y = numeric()
    model = fit(X, y)
    with (
        pytest.warns(UserWarning, match="without feature names"),
        pytest.raises(BadInputError, match="the columns have other names"),
    ):
        report(model, pd.DataFrame(X, columns=[*"abcd"]), y)


def test_the_table_is_known_after_saving_and_pickling(fitted, tmp_path):
    model, X, y = fitted
    model.save(tmp_path / "model.skops")
    for same in (
        autoimb.load(tmp_path / "model.skops"),
        pickle.loads(pickle.dumps(model)),
    ):
        report(same, X, y)
        with pytest.raises(BadInputError, match="other values"):
            report(same, *other_value(X, y))


def test_after_a_refit_its_rows_are_meant(fitted):
    model, X, y = fitted
    more, labels = frame(300, seed=1)
    model.refit(more, labels)
    report(model, more, labels)
    with pytest.raises(BadInputError, match=r"X has 240 rows .*, not 300"):
        report(model, X, y)


def test_groups_are_those_of_fit():
    X, y = numeric()
    groups = np.arange(len(y)) // 2
    model = fit(X, y, groups=groups)
    report(model, X, y, groups=groups)
    report(model, X, y, groups=[f"group {g}" for g in groups])  # the same rows together
    with pytest.raises(BadInputError, match="argument groups is missing: pass that"):
        report(model, X, y)
    with pytest.raises(BadInputError, match="groups differs: pass that"):
        report(model, X, y, groups=np.arange(len(y)) // 3)
    with pytest.raises(BadInputError, match="had no groups: leave it out"):
        report(fit(X, y), X, y, groups=groups)


def test_weights_are_those_of_fit():
    X, y = numeric()
    weight = np.linspace(1, 2, len(y))
    model = fit(X, y, sample_weight=weight)
    report(model, X, y, sample_weight=weight)
    with pytest.raises(
        BadInputError, match="argument sample_weight is missing: pass that"
    ):
        report(model, X, y)
    with pytest.raises(BadInputError, match="sample_weight differs"):
        report(model, X, y, sample_weight=weight**2)
    unweighted = fit(X, y)
    report(unweighted, X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(BadInputError, match="had no sample_weight: leave it out"):
        report(unweighted, X, y, sample_weight=weight)


# --- refit

DAYS = pd.date_range("2024-01-01", periods=240).to_numpy()


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (
            "amount",
            ["a", "b"] * 120,
            "'amount' holds text .categorical., and fit saw num",
        ),
        ("colour", [1, 2] * 120, "'colour' holds numbers .numeric., and fit saw text"),
        ("name", DAYS, "'name' holds dates .datetime., and fit saw text .high-card"),
        ("when", np.arange(240), r"fit saw dates .*pd.to_datetime\(X\['when'\]\)"),
        ("clock", np.arange(240), "fit saw times of day .*convert it, or call fit"),
        ("flag", ["yes", "no"] * 120, "fit saw numbers .boolean."),
    ],
)
def test_a_column_of_another_kind_is_refused(fitted, name, values, words):
    model, X, y = fitted
    state = vars(model).copy()
    with pytest.raises(BadInputError, match=words):
        model.refit(X.assign(**{name: values}), y)
    assert vars(model) == state


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("amount", [True, False] * 120),
        ("flag", np.arange(240) / 7),
        ("colour", [f"c{i % 60}" for i in range(240)]),
        ("name", ["a", "b"] * 120),
        ("amount", 0.0),
        ("colour", None),
        ("still", ["a", "b"] * 120),
        ("still", DAYS),
    ],
)
def test_kinds_that_are_read_alike_and_constant_columns_are_taken(fitted, name, values):
    model, X, y = fitted
    X = X.assign(**{name: values})
    assert model.refit(X, y).predict_proba(X).shape == (240, 2)


def test_other_names_and_arrays_for_frames_are_refused(fitted):
    model, X, y = fitted
    with pytest.raises(ValueError, match="feature names"):
        model.refit(X.rename(columns={"amount": "sum"}), y)
    with (
        pytest.warns(UserWarning, match="valid feature names"),
        pytest.raises(BadInputError, match="pass a DataFrame with the columns of fit"),
    ):
        model.refit(X.to_numpy(), y)


def test_groups_are_needed_where_fit_had_them():
    X, y = numeric()
    groups = np.arange(len(y)) // 2
    model = fit(X, y, groups=groups)
    with pytest.raises(BadInputError, match="Pass the groups of these rows"):
        model.refit(X, y)
    model.refit(X, y, groups=groups)
