"""Decisions about the rows of one batch, and what a notebook shows of a model."""

from copy import copy
from dataclasses import replace
from html import escape

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tables import five_classes, numeric

import autoimb
from autoimb import AutoImbalance, TopK
from autoimb._threshold.rules import labels_of_lowest_cost
from autoimb.exceptions import BadInputError

SETTINGS = {"families": "logistic_regression", "n_jobs": 1, "cv": 3, "random_state": 0}


def fitted(X, y, **changes):
    return AutoImbalance(n_trials=1, **{**SETTINGS, **changes}).fit(X, y)


@pytest.fixture(scope="module")
def binary():
    X, y = numeric(300, 60)
    return fitted(X, np.where(y == 1, "yes", "no")), X


@pytest.fixture(scope="module")
def multiclass():
    X, y = five_classes()
    return fitted(X, y), X


def cheapest_by_brute_force(proba, costs):
    """Return the code of the lowest expected cost, summed class by class."""
    n, k = proba.shape
    codes = []
    for row in range(n):
        expected = []
        for called in range(k):
            total = 0.0
            for true in range(k):
                if costs.ndim == 3:
                    total += proba[row, true] * costs[row, true, called]
                elif true != called:
                    total += proba[row, true] * costs[row, called]
            expected.append(total)
        codes.append(min(range(k), key=expected.__getitem__))
    return np.array(codes)


@pytest.mark.parametrize("n_dims", [2, 3])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_each_row_gets_the_label_of_the_lowest_expected_cost(n_classes, n_dims):
    rng = np.random.default_rng(n_classes)
    proba = rng.dirichlet(np.ones(n_classes), 200)
    costs = rng.uniform(-1, 50, (200, *[n_classes] * (n_dims - 1)))
    np.testing.assert_array_equal(
        labels_of_lowest_cost(proba, costs), cheapest_by_brute_force(proba, costs)
    )


@pytest.mark.parametrize("name", ["binary", "multiclass"])
@pytest.mark.parametrize("n_dims", [2, 3])
def test_predict_with_costs_is_the_bayes_decision(name, n_dims, request):
    model, X = request.getfixturevalue(name)
    k = len(model.classes_)
    costs = np.random.default_rng(0).exponential(size=(len(X), *[k] * (n_dims - 1)))
    codes = cheapest_by_brute_force(model.predict_proba(X), costs)
    np.testing.assert_array_equal(model.predict(X, costs=costs), model.classes_[codes])


def test_equal_costs_give_the_most_probable_class(multiclass):
    model, X = multiclass
    codes = model.predict_proba(X).argmax(axis=1)
    costs = np.ones((len(X), len(model.classes_)))
    np.testing.assert_array_equal(model.predict(X, costs=costs), model.classes_[codes])


def test_costs_follow_the_class_shares_that_are_expected(binary, tmp_path):
    model, X = binary
    model.save(tmp_path / "m.skops")
    rarer = autoimb.load(tmp_path / "m.skops").set_prior(0.001)
    costs = np.ones((len(X), 2))
    n_before, n_after = (
        (m.predict(X, costs=costs) == "yes").sum() for m in (model, rarer)
    )
    assert n_after < n_before


def test_a_frame_named_by_class_is_put_into_order(binary):
    model, X = binary
    costs = np.random.default_rng(0).exponential(size=(len(X), 2))
    named = pd.DataFrame(costs, columns=["no", "yes"])[["yes", "no"]]
    for given in (named, pl.DataFrame(named.to_dict("list"))):
        np.testing.assert_array_equal(
            model.predict(X, costs=given), model.predict(X, costs=costs)
        )


def test_a_frame_whose_columns_are_no_classes_is_refused(binary):
    model, X = binary
    costs = pd.DataFrame(np.ones((len(X), 2)), columns=["miss", "false alert"])
    with pytest.raises(BadInputError, match=r"columns \['miss', 'false alert'\]"):
        model.predict(X, costs=costs)


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (lambda n: np.ones((n, 3)), r"has shape \(300, 3\): .*\(300, 2\).*'no', 'yes'"),
        (lambda n: np.ones((n - 1, 2)), r"has shape \(299, 2\)"),
        (np.ones, r"has shape \(300,\)"),
        (lambda n: [["a", "b"]] * n, "must be numbers"),
        (lambda n: np.where(np.arange(2 * n) == 7, np.nan, 1.0).reshape(n, 2), "row 3"),
    ],
    ids=["classes", "rows", "one dimension", "text", "gap"],
)
def test_costs_that_do_not_fit_are_refused(binary, costs, message):
    model, X = binary
    with pytest.raises(BadInputError, match=message):
        model.predict(X, costs=costs(len(X)))


def test_costs_need_calibrated_probabilities():
    X, y = numeric(200, 40)
    with pytest.raises(BadInputError, match="calibrate=True"):
        fitted(X, y, calibrate=False).predict(X, costs=np.ones((len(X), 2)))


# --- the best of a batch


@pytest.mark.parametrize("k", [1, 7, 299, 300, 1000])
def test_top_returns_the_most_probable_rows_of_this_batch(binary, k):
    model, X = binary
    found, score = model.top(X, k), model.predict_proba(X)[:, 1]
    assert len(set(found)) == len(found) == min(k, len(X))
    assert (np.diff(score[found]) <= 0).all()
    assert score[found].min() >= np.delete(score, found).max(initial=-1)


def test_rows_of_one_probability_keep_their_order(binary):
    model, X = binary
    np.testing.assert_array_equal(model.top(np.tile(X[:1], (9, 1)), 4), range(4))


def test_top_follows_the_class_of_interest():
    X, y = numeric(200, 40)
    of_0, of_1 = (fitted(X, y, pos_label=label) for label in (0, 1))
    assert of_0.predict_proba(X)[of_0.top(X, 1)[0], 0] > 0.5
    assert of_1.predict_proba(X)[of_1.top(X, 1)[0], 1] > 0.5


@pytest.mark.parametrize("k", [0, -1, 2.5, "3", None], ids=repr)
def test_top_counts_whole_rows(binary, k):
    model, X = binary
    with pytest.raises(BadInputError, match="whole number"):
        model.top(X, k)


def test_top_needs_two_classes(multiclass):
    model, X = multiclass
    with pytest.raises(BadInputError, match="two classes, and y had 5"):
        model.top(X, 3)


def test_top_k_says_which_rows_it_counts():
    assert "training rows" in TopK(20).label
    assert "training table" in TopK.__doc__


# --- what columns are worth


def test_importances_are_those_that_the_report_measured(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 40))).add_prefix("x")
    X["constant"], X["town"] = 1, rng.choice(["a", "b"], 300)
    y = (X["x3"] + 0.3 * rng.normal(size=300) > 1).astype(int)
    model = fitted(X, y)
    assert not hasattr(model, "feature_importances_")
    with pytest.raises(AttributeError, match=r"report\(X, y\)"):
        _ = model.feature_importances_
    report = model.report(X, y, time_budget=None)
    drops = {column.name: column.drop for column in report.data.features}
    importances = dict(zip(X.columns, model.feature_importances_, strict=True))
    assert importances.pop("constant") == 0
    assert importances == drops
    assert max(importances, key=importances.get) == "x3"
    model.save(tmp_path / "m.skops")
    np.testing.assert_array_equal(
        autoimb.load(tmp_path / "m.skops").feature_importances_,
        model.feature_importances_,
    )
    page = str(report.save(tmp_path / "r.md").read_text())
    assert "The 30 columns that matter most, of 41" in page


# --- a notebook


def test_a_notebook_shows_the_winner_and_the_headline(binary):
    model, _ = binary
    page = model._repr_html_()
    assert f"Winner: {model.report().data.outcome.winner}" in page
    assert model._repr_mimebundle_()["text/html"].count("Winner: ") == 1
    assert model.report().data.sentences[0][:30] in page
    assert "sk-estimator" in page or "sk-container" in page


def test_before_the_fit_it_shows_the_diagram_alone():
    page = AutoImbalance()._repr_html_()
    assert "Winner" not in page
    assert "AutoImbalance" in page


def test_names_in_a_notebook_are_escaped(binary):
    model, name = copy(binary[0]), "<script>alert(1)</script>"
    outcome = replace(model._report_data.outcome, winner=name, sentences=(f"{name}.",))
    model._report_data = replace(model._report_data, outcome=outcome)
    page = model._repr_html_()
    assert name not in page
    assert page.count(escape(name)) == 2
