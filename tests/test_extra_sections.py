"""With the training table the report says what rows and columns are worth."""

from copy import copy

import numpy as np
import pytest
from tables import numeric

import autoimb
from autoimb import AutoImbalance
from autoimb._report import (
    LearningCurveSection,
    extra_sections,
    render_html,
    render_markdown,
)
from autoimb._report.learning_curve import advice_of
from autoimb.exceptions import BadInputError


@pytest.fixture(scope="module")
def fitted_once():
    X, y = numeric(300, 60)
    options = {"families": "logistic_regression", "n_jobs": 1, "random_state": 0}
    return AutoImbalance(n_trials=2, **options).fit(X, y), X, y


@pytest.fixture
def fitted(fitted_once):
    """A model of one's own: what is measured stays in its report."""
    model, X, y = fitted_once
    return copy(model), X, y


def test_without_the_table_nothing_is_fitted(fitted):
    model, *_ = fitted
    data = model.report().data
    assert data.learning_curve is None
    assert data.features == ()


def test_what_was_measured_stays_in_the_report(fitted, tmp_path):
    model, X, y = fitted
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    data = same.report(X, y).data
    assert {f.name for f in data.features} == {"0", "1", "2", "3"}
    assert {f.name for f in data.features[:2]} == {"0", "1"}
    assert len(data.learning_curve.points) == 5
    assert same.report().data == data
    same.save(tmp_path / "again.skops")
    assert autoimb.load(tmp_path / "again.skops").report().data == data


def test_the_pages_show_it(fitted):
    model, X, y = fitted
    before = model.report().data
    data = model.report(X, y, time_budget=20).data
    for render, mark in (
        (render_html, 'data-test="learning-curve"'),
        (render_markdown, "## More"),
    ):
        assert mark in render(data)
        assert mark not in render(before)
        assert data.learning_curve.sentence.split("'")[0] in render(data)


def test_no_time_leaves_the_report_as_it_is(fitted):
    model, X, y = fitted
    before = model.report().data
    assert model.report(X, y, time_budget=0.001).data == before


def test_other_tables_are_refused(fitted):
    model, X, y = fitted
    with pytest.raises(BadInputError, match="applies to two classes"):
        model.report(X, np.where(np.arange(len(y)) < 20, 2, y))
    with pytest.raises(ValueError, match="features"):
        model.report(X[:, :2], y)


@pytest.mark.parametrize(
    ("gain", "error", "words"),
    [
        (0.04, 0.02, "change the PR-AUC by about +0.040 ± 0.020"),
        (0.01, 0.02, "hardly rises"),
        (0.0, 0.0, "hardly rises"),
    ],
)
def test_a_gain_below_its_standard_error_is_called_so(gain, error, words):
    section = LearningCurveSection(
        metric_label="PR-AUC",
        points=((10, 0.3, 0.1), (20, 0.4, 0.1), (40, 0.45, 0.1)),
        gain=gain,
        gain_standard_error=error,
    )
    assert words in advice_of(section, "fraud")


def test_a_learning_curve_holds_plain_numbers():
    section = LearningCurveSection(
        metric_label="PR-AUC", points=((np.int64(5), np.float64(0.5), np.nan),)
    )
    assert section.points == ((5, 0.5, None),)
    assert section.to_dict()["points"] == [[5, 0.5, None]]


def test_what_there_was_no_time_for_is_said():
    assert extra_sections._about_missing(12, 12) == ""
    assert "4 of 12 columns" in extra_sections._about_missing(4, 12)
