"""The report says only what is so: its numbers and words are computed anew here.

Reports of fits of all kinds are read as a person would read them. What they say is
compared with the leaderboard and with scikit-learn's metrics of the out-of-fold scores.
"""

import re
import warnings
from functools import cache
from html import unescape

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)
from tables import Broken, Dial, five_classes, numeric

from autoimb import AutoImbalance, Cost
from autoimb._metrics.metrics import METRICS
from autoimb._report import render_html, render_markdown
from autoimb._report.formats import percent, significant

LINEAR = {"families": "logistic_regression", "n_trials": 6}
BOTH = {"families": ["logistic_regression", "k_neighbours"], "n_trials": 8}


def six_classes():
    """Return a table of six classes, the smallest of some thirty rows."""
    shares = [0.4, 0.2, 0.15, 0.1, 0.08, 0.07]
    return make_classification(
        450, n_classes=6, n_informative=5, weights=shares, random_state=0
    )


def noise():
    """Return a table whose columns say nothing of the class."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 4)), (np.arange(300) < 45).astype(int)


def row_costs(y):
    """Return what each row costs: a miss by its amount, a false alert 1."""
    amount = np.random.default_rng(1).uniform(2, 30, len(y))
    return np.column_stack([np.where(y, amount, 0.0), np.where(y, 0.0, 1.0)])


KINDS = {
    "two classes": (lambda: numeric(300, 60), BOTH, lambda y: {}),
    "few positives": (lambda: numeric(240, 20), BOTH, lambda y: {}),
    "five classes": (five_classes, LINEAR, lambda y: {}),
    "six classes": (six_classes, {**LINEAR, "metric": "f1_macro"}, lambda y: {}),
    "nothing gained": (noise, BOTH, lambda y: {}),
    "one candidate": (
        lambda: numeric(200, 30),
        {**LINEAR, "n_trials": 1},
        lambda y: {},
    ),
    "failures": (
        lambda: numeric(200, 30),
        {"families": ["logistic_regression", Broken()], "n_trials": 8},
        lambda y: {},
    ),
    "own model": (
        lambda: numeric(240, 60),
        {"estimator": LogisticRegression(), "n_trials": 6},
        lambda y: {},
    ),
    "groups": (
        lambda: numeric(300, 60),
        LINEAR,
        lambda y: {"groups": np.arange(len(y)) // 3},
    ),
    "weights": (
        lambda: numeric(300, 60),
        LINEAR,
        lambda y: {"sample_weight": np.random.default_rng(2).integers(1, 4, len(y))},
    ),
    "costs of rows": (
        lambda: numeric(300, 60),
        LINEAR,
        lambda y: {"costs": row_costs(y)},
    ),
    "costs of mistakes": (
        lambda: numeric(300, 60),
        {**LINEAR, "threshold": Cost(fp=1, fn=12)},
        lambda y: {},
    ),
    "fixed threshold": (
        lambda: numeric(300, 60),
        {**LINEAR, "threshold": 0.5, "ensemble_size": 1},
        lambda y: {},
    ),
}


@cache
def fitted(kind):
    """Return a fitted model, and what it was fitted with."""
    make, options, rows_of = KINDS[kind]
    X, y = make()
    more = rows_of(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoImbalance(n_jobs=1, random_state=0, **options).fit(X, y, **more)
    return model, y, more


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model(kind):
    return fitted(kind)[0]


def page_of(model):
    """Return the HTML page."""
    return render_html(model.report().data)


def words_of(page):
    """Return the text of an HTML page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


# --- which of two is ahead

COMPARISON = re.compile(
    r"(?:there are too few cases to tell (?P<one>.+?) from (?P<other>.+?)|"
    r"(?P<ahead>.+?) is (?P<word>ahead of|behind|level with) (?P<than>.+?)) "
    r"\((?P<value>[+-]\d\.\d+), 95 % interval (?P<low>[+-]\d\.\d+) to "
    r"(?P<high>[+-]\d\.\d+), over (?P<folds>\d+) folds\)",
    re.IGNORECASE,
)


def comparisons(model):
    """Return every comparison that the report makes."""
    said = model.report().data.outcome.sentences
    return [(found, text) for text in said for found in COMPARISON.finditer(text)]


def test_the_word_is_that_of_the_interval(model):
    for found, _ in comparisons(model):
        value, low, high = (float(found[name]) for name in ("value", "low", "high"))
        assert value == pytest.approx((low + high) / 2, abs=0.0011)
        if found["word"] == "ahead of":
            assert high >= low > 0
        elif found["word"] == "behind":
            assert low <= high < 0
        elif found["word"] == "level with":
            assert max(abs(low), abs(high)) <= 0.01
        else:
            assert low <= 0 <= high
            assert max(abs(low), abs(high)) > 0.01


def test_no_comparison_is_said_twice(model):
    """The best single candidate may be the best that does nothing."""
    figures = [found.group("value", "low", "high") for found, _ in comparisons(model)]
    assert len(set(figures)) == len(figures)


def named(text, board):
    """Return the strategies of a leaderboard that a text names, longest name first."""
    found = []
    for name in sorted(set(board.strategy), key=len, reverse=True):
        if name in text:
            found.append(name)
            text = text.replace(name, "")
    return found


def test_differences_of_single_candidates_are_those_of_the_leaderboard(model):
    """Finalists are compared on all repeats: the leaderboard's scores of them."""
    board = model.leaderboard_.drop_duplicates("strategy").set_index("strategy")
    for found, _ in comparisons(model):
        one = found["one"] or found["ahead"]
        other = found["other"] or found["than"]
        names = [named(text, board.reset_index()) for text in (one, other)]
        if all(len(of) == 1 for of in names):
            means = [board["mean"][of[0]] for of in names]
            if board["folds"][names[0][0]] == board["folds"][names[1][0]]:
                difference = means[0] - means[1]
                assert float(found["value"]) == pytest.approx(difference, abs=6e-4)


def test_the_page_compares_the_answer_with_doing_nothing_once(model):
    data = model.report().data
    if data.outcome.is_baseline or data.outcome.baseline_score is None:
        about = [t for _, t in comparisons(model) if "that handles the" in t]
        handled = [r for r in data.search.rows if r.mean and r.class_weight != "none"]
        assert len(about) == bool(handled)
        return
    about = [t for _, t in comparisons(model) if "does nothing about the" in t]
    assert len(about) == 1
    (found,) = COMPARISON.finditer(about[0])
    difference = data.outcome.winner_score - data.outcome.baseline_score
    assert float(found["value"]) == pytest.approx(difference, abs=6e-4)
    assert data.outcome.difference == pytest.approx(difference)


def test_no_skill_is_said_where_it_cannot_be_told_from(model):
    honest, told = model.honest_score_, model.report().data.outcome.sentences[0]
    assert ("no skill lies in that range" in told) == (honest.low <= honest.no_skill)


def test_one_model_has_one_number(model):
    """Doing nothing and the winner are not shown side by side if they are the same."""
    page = words_of(render_html(model.report().data))
    is_baseline = not any(m.strategy.is_handled for m in model.ensemble_)
    assert ("Baseline’s" in page) == (
        not is_baseline and model.report().data.outcome.baseline_score is not None
    )
    assert ("does nothing about the imbalance in training" in page) == is_baseline


# --- the flowchart's advice


def test_what_became_of_the_advice_is_what_the_leaderboard_says(model):
    board, advised = model.leaderboard_, model.report().data.guide.seeds
    complete = board[board.status == "complete"]
    for seed in advised:
        rows = board[board.strategy == seed.name]
        if seed.score is not None:
            same = complete[np.isclose(complete["mean"], seed.score)]
            assert len(same) >= 1
        elif seed.outcome.startswith("not"):
            assert not (rows.status == "complete").any()
        else:
            assert seed.outcome.partition(":")[0] in set(rows.status)
    told = model.report().data.outcome.sentences[-1]
    scored = [seed.score for seed in advised if seed.score is not None]
    in_search = [
        seed
        for seed in advised
        if not seed.outcome.startswith("not tried")
        or seed.outcome.endswith("the search ended first")
    ]
    assert ("none of its strategies is part of this search" in told) == (not in_search)
    unscored = "none of its strategies was scored on every fold"
    assert (unscored in told) == (bool(in_search) and not scored)
    if "the best of them is the best single candidate" in told:
        assert max(scored) == pytest.approx(model.best_score_)
    if scored and max(scored) < model.best_score_ - 1e-9:
        assert "the best single candidate" in told or "the simplest of the" in told


# --- the threshold


def entries(model):
    """Return labels, predicted labels and weights of the out-of-fold entries."""
    decision = model._decision
    labels = model._model.threshold.apply(decision.calibrated.proba)
    return decision.oof.y, labels, decision.oof.weight


def positive_code(model):
    """Return the code of the class of interest."""
    return model.classes_.tolist().index(model.pos_label_)


def test_the_threshold_s_sentence_counts_what_scikit_learn_counts(model):
    if model.pos_label_ is None:
        return
    y, labels, weight = entries(model)
    usual = model._decision.oof.proba.argmax(axis=1)
    (told,) = [t for t in model.report().data.winner.sentences if "Alerting at" in t]
    clauses = re.findall(
        r"finds (?:([\d.]+) of 100 rows of class .+?, and ([\d.]+) of 100 alerts are "
        r"right \(([\d,]+) alerts?, F1 ([\d.]+)\)|no row of class .+? is no alert)",
        told,
    )
    assert len(clauses) == 2
    n_rows = model._decision.oof.multiplicity
    for clause, by in zip(clauses, (labels, usual), strict=True):
        is_alert = by == positive_code(model)
        assert any(clause) == is_alert.any()
        if not any(clause):
            continue
        found, right, n_alerts, f1 = (float(n.replace(",", "")) for n in clause)
        options = {"sample_weight": weight, "pos_label": positive_code(model)}
        assert found == pytest.approx(100 * recall_score(y, by, **options), abs=0.51)
        assert right == pytest.approx(100 * precision_score(y, by, **options), abs=0.51)
        assert n_alerts == pytest.approx(max(1, n_rows[is_alert].sum()), abs=0.51)
        assert f1 == pytest.approx(f1_score(y, by, **options), abs=0.0051)
    shown = re.search(r"Alerting at a probability of ([\d.]+)% or more", told)[1]
    assert float(shown) == pytest.approx(100 * model.threshold_, rel=0.006)


def test_the_sentence_on_several_classes_counts_what_scikit_learn_counts(model):
    if model.pos_label_ is not None:
        return
    y, labels, weight = entries(model)
    usual = model._decision.oof.proba.argmax(axis=1)
    (told,) = [
        t for t in model.report().data.winner.sentences if "decision weights" in t
    ]
    means = re.findall(
        r"([\d.]+) of 100 rows of a class are found|finds ([\d.]+) of 100", told
    )
    found = [float(first or second) for first, second in means]
    assert found == pytest.approx(
        [
            100 * balanced_accuracy_score(y, by, sample_weight=weight)
            for by in (labels, usual)
        ],
        abs=0.51,
    )
    least = re.search(
        r"Found least often is class (.+?): ([\d,]+) of ([\d,]+) rows, and "
        r"(?:([\d,]+) of ([\d,]+) rows called so are right|no row is called so)",
        told,
    )
    rows = model._decision.oof.multiplicity
    counts = confusion_matrix(y, labels, sample_weight=rows)
    recalls = counts.diagonal() / counts.sum(axis=1)
    code = [repr(label) for label in model.classes_.tolist()].index(least[1])
    assert recalls[code] == pytest.approx(recalls.min())
    found, n_rows, right, n_called = (
        float((number or "0").replace(",", "")) for number in least.groups()[1:]
    )
    assert found == pytest.approx(counts[code, code], abs=0.51)
    assert n_rows == pytest.approx(counts[code].sum(), abs=0.51)
    assert right == pytest.approx(counts[code, code], abs=0.51)
    assert n_called == pytest.approx(counts[:, code].sum(), abs=0.51)


def test_a_threshold_that_did_not_help_is_said(model, kind):
    if model.pos_label_ is None or "cost" in kind or kind == "fixed threshold":
        return
    y, labels, weight = entries(model)
    usual = model._decision.oof.proba.argmax(axis=1)
    gain = f1_score(y, labels, sample_weight=weight) - f1_score(
        y, usual, sample_weight=weight, zero_division=0.0
    )
    told = " ".join(model.report().data.winner.sentences)
    assert ("did not help here" in told) == (gain <= 0)


def test_costs_are_those_of_the_mistakes(model, kind):
    told = " ".join(model.report().data.winner.sentences)
    if "cost" not in kind:
        assert "Costs per 1,000 rows" not in told
        return
    y, labels, weight = entries(model)
    costs = model._decision.costs
    if costs is None:
        costs = np.column_stack([12.0 * (y == 1), 1.0 * (y == 0)])
    usual = model._decision.oof.proba.argmax(axis=1)
    found = re.search(
        r"Costs per 1,000 rows: ([\d.,]+) at the tuned threshold, ([\d.,]+) at 50%, "
        r"([\d.,]+) if every row is an alert, ([\d.,]+) if none is",
        told,
    )
    for number, to in zip(
        found.groups(), (labels, usual, np.ones_like(y), np.zeros_like(y)), strict=True
    ):
        mean = np.average(costs[np.arange(len(y)), to], weights=weight)
        assert float(number.replace(",", "")) == pytest.approx(1000 * mean, rel=1e-3)


# --- tables


def test_the_confusion_matrix_has_every_row_once(model):
    counts = np.array(model.report().data.winner.confusion)
    rows = [entry.count for entry in model.report().data.data.classes]
    by_label = {c.label: c.count for c in model.report().data.data.classes}
    labels = model.report().data.winner.class_labels
    np.testing.assert_array_equal(counts.sum(axis=1), [by_label[k] for k in labels])
    assert counts.sum() == sum(rows)
    y, labels, _ = entries(model)
    exact = confusion_matrix(y, labels, sample_weight=model._decision.oof.multiplicity)
    assert np.abs(counts - exact).max() < 1


def test_shares_in_the_confusion_matrix_are_not_those_of_rounded_counts(model):
    winner = model.report().data.winner
    y, labels, _ = entries(model)
    rows = model._decision.oof.multiplicity
    exact = confusion_matrix(y, labels, sample_weight=rows, normalize="true")
    np.testing.assert_allclose(winner.confusion_shares, exact)
    shown = re.search(
        r'<svg[^>]*data-test="confusion".*?</svg>', page_of(model), re.DOTALL
    )[0]
    for share in exact.ravel():
        assert f"({percent(share)})" in unescape(shown)


def test_each_figure_of_the_winner_s_metric_is_named(model):
    """The same models and rows have several scores, by different means."""
    data, decision = model.report().data, model._decision
    rank = METRICS["average_precision"].score_many
    weight, pos = decision.oof.weight[np.newaxis], decision.pos
    (over_all_rows,) = rank(decision.oof.y, decision.calibrated.proba, weight, pos=pos)
    page = words_of(page_of(model))
    assert f"PR-AUC, all rows at once {significant(over_all_rows)}" in page
    if data.outcome.metric_label != "PR-AUC":
        assert "figures of the winner’s" not in page
        return
    assert (
        "This page holds 3 figures of the winner’s PR-AUC: "
        f"{significant(model.honest_score_.estimate)} to expect on new data, the "
        f"honest estimate; {significant(data.outcome.winner_score)} cross-validated, "
        f"the mean of small folds; {significant(over_all_rows)} over all rows at once"
    ) in page


def test_example_costs_are_not_shown_as_those_of_the_fit(model, kind):
    if model.pos_label_ is None:
        return
    page = words_of(page_of(model))
    is_given = kind == "costs of mistakes"
    assert ("An example, not from this fit" in page) == (not is_given)
    assert ("as the fit was told" in page) == is_given


def test_the_blue_dot_is_the_winner_s_or_that_of_the_best_candidate(model):
    data, board = model.report().data, model.leaderboard_
    row = board[board["rank"] == data.search.best_single].iloc[0]
    is_alone = len(model.ensemble_) == 1
    if is_alone:
        assert row.strategy == data.outcome.winner
    assert row["mean"] == pytest.approx(model.best_score_)
    what = "winner, of rank" if is_alone else "best single candidate, of rank"
    page = page_of(model)
    assert f"The blue dot is the {what} {row['rank']}" in words_of(page)
    (blue,) = re.findall(r'<tr class="first".*?</tr>', page, re.DOTALL)
    assert row.strategy in words_of(blue)


def test_the_leaderboard_of_the_page_is_that_of_the_model(model):
    shown = model.report().data.search.rows
    board = model.leaderboard_
    assert [row.strategy for row in shown] == board.strategy.tolist()
    page = words_of(render_html(model.report().data))
    for row in board[board.status == "complete"].itertuples():
        assert significant(row.mean) in page
    n_complete = (board.status == "complete").sum()
    assert f"{n_complete} scored on every fold" in page
    assert (
        f"{model.report().data.search.n_failed} failed" in page
        or not (board.status == "failed").any()
    )


def test_what_a_choice_changed_is_measured_on_pairs_that_differ_in_nothing_else(model):
    """By brute force over the leaderboard, whose names hold all parameters."""
    for effect in model.report().data.search.effects:
        assert effect.n_candidates >= 1
    handled = [m for m in model.leaderboard_.itertuples() if m.status == "complete"]
    is_handled = [
        r.resampler != "none" or r.class_weight != "none" or r.loss != "log_loss"
        for r in handled
    ]
    page = words_of(render_html(model.report().data))
    if any(is_handled) and not model.report().data.search.effects:
        assert "what a choice changed is not known" in page


def test_every_format_says_the_same_sentences(model):
    report = model.report()
    page, plain = words_of(render_html(report.data)), " ".join(str(report).split())
    written = " ".join(render_markdown(report.data).replace("\\", "").split())
    for sentence in report.data.sentences:
        for text in (page, plain, written):
            assert " ".join(sentence.split()) in text


def test_nothing_is_unfinished(model):
    """No placeholder, no number that is none, no sentence without an end."""
    for sentence in model.report().data.sentences:
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert not re.search(r"\bnan\b|\bNone\b|\binf\b|\{|\}", sentence)


def test_candidates_are_counted_alike_everywhere(model):
    search, board = model.report().data.search, model.leaderboard_
    scored = int((board.status == "complete").sum())
    assert search.n_complete == scored == sum(f.n_complete for f in search.families)
    n_shown = len(board[board.status != "duplicate"])
    assert sum(f.n_candidates for f in search.families) == n_shown
    counts = (search.n_failed, search.n_dropped, search.n_stopped, search.n_not_started)
    assert scored + sum(counts) == n_shown


def test_without_an_alert_there_is_no_precision(model):
    if model.pos_label_ is None:
        return
    _, labels, _ = entries(model)
    usual = model._decision.oof.proba.argmax(axis=1)
    winner = model.report().data.winner
    for shown, by in ((winner.at_threshold, labels), (winner.at_default, usual)):
        has_alerts = bool((by == positive_code(model)).any())
        assert (shown["precision"] is not None) == has_alerts


class Late(Dial):
    """A classifier that never ends in time."""

    def fit(self, X, y):
        raise TimeoutError


def test_that_time_was_short_is_said():
    X, y = numeric(300, 60)
    families = ["logistic_regression", Late()]
    model = AutoImbalance(families=families, n_trials=6, n_jobs=1, random_state=0)
    board = model.fit(X, y).leaderboard_
    n_scored = int((board.status == "complete").sum())
    assert 0 < n_scored < len(board[board.status != "duplicate"])
    told = model.report().data.outcome.sentences[1]
    assert told.startswith(f"Only {n_scored} of ")
    assert "none of your Late" in told
