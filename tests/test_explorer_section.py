"""The threshold explorer holds what scikit-learn counts at each of its cuts."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from decisions import numbers_of, rows, scored_decision
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import five_classes, numeric

from autoimb import AutoImbalance, Cost
from autoimb._fit.decision import DecisionScores
from autoimb._metrics.confusion import f_beta, mcc, precision, recall
from autoimb._report import (
    ClassCount,
    DataSection,
    Report,
    ReportData,
    WinnerSection,
    render_html,
    render_json,
)
from autoimb._report.explorer_section import _MOST_CUTS, explorer_of
from autoimb._report.formats import significant, thousands
from autoimb._threshold.rules import Argmax, ClassWeights

HOSTILE = "</script><script>alert(1)</script><!--"


def explored(*args, **options):
    """Return the explorer of made-up scores."""
    return explorer_of(scored_decision(*args, **options))


def confusions(explorer):
    """Return the confusions (g, 2, 2) of all cuts, the positive class second."""
    tp, fp = map(np.array, (explorer.true_positives, explorer.false_positives))
    cells = [[fp[-1] - fp, fp], [tp[-1] - tp, tp]]
    return np.moveaxis(np.array(cells), -1, 0)


def counts_at_tuned(explorer):
    """Return the rows at the tuned threshold by name."""
    tp, fp = explorer.positive_alerts, explorer.negative_alerts
    at = explorer.tuned
    return {"tp": tp[at], "fn": tp[-1] - tp[at], "fp": fp[at], "tn": fp[-1] - fp[at]}


def page_of(explorer):
    """Return a report that shows an explorer."""
    counts = (explorer.negative_alerts[-1], explorer.positive_alerts[-1])
    labels = (explorer.neg_label, explorer.pos_label)
    classes = tuple(
        ClassCount(label=label, count=n, share=n / sum(counts))
        for label, n in zip(labels, counts, strict=True)
    )
    return ReportData(
        title="A table",
        data=DataSection(n_rows=round(sum(counts)), n_features=1, classes=classes),
        winner=WinnerSection(explorer=explorer, class_labels=labels),
    )


def embedded(html):
    """Return the numbers that a page holds for its script."""
    pattern = r'<script type="application/json" id="explore-data">(.*?)</script>'
    (text,) = re.findall(pattern, html, flags=re.DOTALL)
    return json.loads(text)


# --- the numbers


@given(
    seed=st.integers(0, 1000),
    n=st.integers(2, 25),
    levels=st.sampled_from([2, 7, None]),
    pos=st.integers(0, 1),
    rule=st.sampled_from([0.0, 0.3, 1.0]),
    shift=st.sampled_from([None, ((0.7, 0.3), (0.9, 0.1))]),
)
@settings(max_examples=25)
def test_every_cut_is_what_scikit_learn_counts(seed, n, levels, pos, rule, shift):
    seen = scored_decision(*rows(n, 0.3, levels, seed), rule=rule, pos=pos, shift=shift)
    explorer, score = explorer_of(seen), seen.proba[:, pos]
    is_positive = seen.decision.oof.y == pos
    assert len(explorer.thresholds) == len(np.unique(score)) + 1
    assert not explorer.is_thinned
    of_ours = {
        "precision": precision(confusions(explorer), 1),
        "recall": recall(confusions(explorer), 1),
        "f1": f_beta(confusions(explorer), 1, 1.0),
        "mcc": mcc(confusions(explorer), None),
        "tp": np.array(explorer.positive_alerts),
        "fp": np.array(explorer.negative_alerts),
    }
    for i, threshold in enumerate(explorer.thresholds):
        truth = numbers_of(is_positive, score >= threshold, seen, (1, 1))
        for name, values in of_ours.items():
            assert values[i] == pytest.approx(truth[name], abs=1e-9), name


RULES = {
    "cut": 0.3,
    "nobody": 1.0,
    "everybody": 0.0,
    "argmax": Argmax(),
    "class weights": ClassWeights((1.0, 3.0)),
}


@pytest.mark.parametrize("levels", [4, None], ids=["ties", "no ties"])
@pytest.mark.parametrize("pos", [0, 1])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_tuned_cut_is_that_of_the_rule(rule, pos, levels):
    seen = scored_decision(
        *rows(levels=levels), rule=rule, pos=pos, requested=Cost(fp=2, fn=5)
    )
    explorer, score = explorer_of(seen), seen.proba[:, pos]
    alert = seen.labels == pos
    threshold = explorer.thresholds[explorer.tuned]
    np.testing.assert_array_equal(score >= threshold, alert)
    if isinstance(rule, float):
        assert threshold == rule
    truth = numbers_of(seen.decision.oof.y == pos, alert, seen, (2, 5))
    shown = {**explorer.at_tuned, **counts_at_tuned(explorer)}
    assert shown == pytest.approx(truth, abs=1e-9)


def test_thresholds_fall_midway_between_scores_in_few_digits():
    explorer = explored(np.arange(4) < 2, np.array([1 / 3, 0.25, 0.25, 1e-5]), rule=0.3)
    assert explorer.thresholds == (1.0, 0.3, 0.125, 0.0)
    assert explorer.scores == (1.0, 1 / 3, 0.25, 1e-5)
    tight = 0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0)
    explorer = explored(np.arange(3) < 2, np.array(tight), rule=0.3)
    assert explorer.thresholds == (1.0, tight[1], 0.5, 0.3)


def test_a_score_of_one_leaves_a_cut_for_nobody():
    explorer = explored(np.arange(2) < 1, np.array([1.0, 0.5]))
    assert explorer.thresholds[0] > 1
    assert explorer.true_positives[0] == explorer.false_positives[0] == 0


def test_costs_are_those_the_threshold_was_asked_for():
    asked = explored(*rows(), requested=Cost(fp=3, fn=11))
    assert asked.costs == (3, 11)
    assert asked.has_costs
    example = explored(*rows())
    assert not example.has_costs
    of_matrix = explored(*rows(), requested=Cost([[0, 1], [9, 0]]))
    assert of_matrix.costs == example.costs
    assert not of_matrix.has_costs


# --- many rows


@pytest.fixture(scope="module")
def many():
    """Return a million rows, one of a thousand positive, and a cut of few alerts."""
    return scored_decision(*rows(1_000_000, 0.001), rule=0.951)


@pytest.fixture(scope="module")
def thinned(many):
    return explorer_of(many)


def test_of_many_cuts_even_ones_are_kept_and_each_is_exact(many, thinned):
    assert thinned.is_thinned
    assert _MOST_CUTS / 2 < len(thinned.thresholds) <= _MOST_CUTS + 2
    is_positive, score, weight = many.decision.oof.y == 1, many.proba[:, 1], many.weight
    for i in (0, 1, 700, thinned.tuned, -1):
        alert = score >= thinned.thresholds[i]
        tp, fp = weight[alert & is_positive].sum(), weight[alert & ~is_positive].sum()
        assert thinned.true_positives[i] == pytest.approx(tp)
        assert thinned.false_positives[i] == pytest.approx(fp)
        assert score[alert].min(initial=9) == thinned.scores[i] or i == 0
    parts = confusions(thinned)[:, :, 1]
    way = (parts / parts[-1]).sum(axis=1)
    largest = weight[is_positive].max() / weight[is_positive].sum()
    assert np.diff(way).max() <= 2 / _MOST_CUTS + largest


def test_thinning_keeps_both_ends_and_the_tuned_cut(many, thinned):
    assert (thinned.true_positives[0], thinned.false_positives[0]) == (0, 0)
    assert thinned.positive_alerts[-1] + thinned.negative_alerts[-1] == len(many.labels)
    assert thinned.thresholds[thinned.tuned] == 0.951
    assert 0 < np.count_nonzero(many.labels) < 1000


def test_cuts_are_all_kept_while_they_are_few():
    score = np.linspace(0.1, 0.9, _MOST_CUTS)
    explorer = explored(score > 0.8, score)
    assert len(explorer.thresholds) == _MOST_CUTS + 1
    assert not explorer.is_thinned
    assert all(above > below for above, below in pairwise(explorer.thresholds))


def test_a_page_of_many_rows_stays_small(thinned):
    html = render_html(page_of(thinned))
    assert len(html.encode()) < 400_000
    assert "are kept here" in html
    assert "are kept here" not in render_html(page_of(explored(*rows())))


# --- the page


def test_the_numbers_survive_json_and_reach_the_page():
    data = page_of(explored(*rows(40, levels=9)))
    assert json.loads(render_json(data)) == data.to_dict()
    assert embedded(render_html(data)) == data.winner.explorer.to_dict()


def test_no_label_ends_the_script_it_stands_in():
    data = page_of(explored(*rows(20), classes=("no", HOSTILE)))
    html = render_html(data)
    assert html.count("<script") == html.count("</script>") == 2
    assert "<!--" not in html
    assert embedded(html)["pos_label"] == HOSTILE


def test_a_page_without_script_shows_the_tuned_cut():
    data = page_of(explored(*rows()))
    explorer, html = data.winner.explorer, render_html(data)

    def shown(name):
        (text,) = re.findall(rf'data-test="explorer-{name}"[^>]*>([^<]*)<', html)
        return text

    for name, value in explorer.at_tuned.items():
        assert shown(name) == significant(value)
    for name, value in counts_at_tuned(explorer).items():
        assert shown(name) == thousands(value)
    assert "needs JavaScript" in html


def test_a_page_without_explorer_has_no_trace_of_it():
    html = render_html(replace(page_of(explored(*rows())), winner=WinnerSection()))
    assert "explore-" not in html


# --- of a fitted model


def fitted(table):
    settings = {"n_trials": 1, "families": "logistic_regression", "cv": 2}
    return AutoImbalance(**settings, n_jobs=1, random_state=0).fit(*table)


def explorer_in(model):
    """Return the explorer of a model's report, after a look at the page."""
    data = model.report().data
    if data.winner.explorer:
        values = embedded(render_html(data))
        assert values == data.winner.explorer.to_dict()
    return data.winner.explorer


def test_the_explorer_follows_the_threshold_and_the_prior():
    model = fitted(numeric(200, 60))
    before = explorer_in(model)
    assert before == explorer_of(DecisionScores(model._decision))
    assert model.predict_proba(numeric()[0]).shape[1] == 2

    again = explorer_in(model.set_threshold(0.123))
    assert again.thresholds[again.tuned] == 0.123
    assert again.scores[1:] == before.scores[1:]

    shifted = explorer_in(model.set_prior(0.02))
    n_positive, n_negative = shifted.positive_alerts[-1], shifted.negative_alerts[-1]
    assert n_positive / (n_positive + n_negative) == pytest.approx(0.02)
    assert max(shifted.scores[1:]) < max(before.scores[1:])
    assert shifted == explorer_of(DecisionScores(model._decision))
    assert explorer_in(model.set_prior(None)).scores[1:] == before.scores[1:]


def test_more_than_two_classes_have_no_explorer():
    model = fitted(five_classes())
    assert explorer_in(model) is None
    assert 'id="explore"' not in Report(model.report().data)._repr_html_()


def test_draws_without_alerts_or_positives_do_not_count():
    """0/0 is no precision of 0, and no recall of 0."""
    left_out = np.array([[[8, 2], [1, 3]], [[10, 0], [4, 0]], [[9, 1], [0, 0]]])
    decision = replace(scored_decision(*rows()).decision, left_out=left_out)
    found = DecisionScores(decision).expected
    assert found["precision"][0] == pytest.approx((3 / 5 + 0) / 2)
    assert found["recall"][0] == pytest.approx((3 / 4 + 0) / 2)
    silent = replace(decision, left_out=left_out[1:2])
    assert "precision" not in DecisionScores(silent).expected
