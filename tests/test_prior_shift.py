"""Another threshold, another class distribution, costs of rows: all without a refit."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from decisions import entries
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import average_precision_score

import autoimb
from autoimb import (
    AutoImbalance,
    Cost,
    FBeta,
    PrecisionAtLeast,
    RecallAtLeast,
    TopK,
    TopShare,
)
from autoimb._metrics.metrics import METRICS
from autoimb._report import render_html, render_markdown
from autoimb._report.formats import percent
from autoimb._threshold.evidence import evidence_for, evidence_of_costs
from autoimb._threshold.objectives import RowCosts
from autoimb._threshold.prior_shift import PriorShift, resolve_prior
from autoimb._threshold.rules import Argmax, ClassWeights, Cut
from autoimb._threshold.search import tune_threshold
from autoimb.exceptions import BadInputError

THRESHOLDS = [
    "mcc",
    0.3,
    None,
    FBeta(2),
    Cost(fp=1, fn=9),
    PrecisionAtLeast(0.3),
    RecallAtLeast(0.7),
    TopK(20),
    TopShare(0.05),
]
SHARE = 0.1  # of the positives in the training table
STEP = 1.5  # between the classes, in standard deviations


class Bayes(ClassifierMixin, BaseEstimator):
    """The true posterior of the Gaussian classes below, whatever it is fitted on."""

    def fit(self, X, y):
        """Learn the codes of the classes only."""
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        """Return posteriors under the prior of the training table."""
        p = expit(log_ratio(np.asarray(X, dtype=float)) + logit(SHARE))
        return np.column_stack([1 - p, p])


def log_ratio(X):
    """Log of the ratio of the densities of both classes."""
    return STEP * X[:, 0] - STEP**2 / 2


def gaussians(n, share, seed=0):
    y = np.zeros(n, dtype=int)
    y[: round(share * n)] = 1
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 1)) + STEP * y[:, np.newaxis], y


def fit(table, costs=None, **changes):
    settings = {
        "n_trials": 1,
        "families": "logistic_regression",
        "cv": 2,
        "n_jobs": 1,
        "random_state": 0,
        **changes,
    }
    return AutoImbalance(**settings).fit(*table, costs=costs)


def copy_of(model):
    """Return a model that may be changed."""
    return pickle.loads(pickle.dumps(model))


def state(model):
    """Return all that a threshold or a prior changes."""
    report = replace(model.report().data, search=None)  # it holds seconds
    return {
        "rule": model._model.threshold,
        "raw": model.threshold_raw_,
        "interval": model.threshold_interval_,
        "oof": model.oof_proba_.tolist(),
        "report": report,
    }


@pytest.fixture(scope="module")
def table():
    return gaussians(400, 0.15)


@pytest.fixture(scope="module")
def fitted(table):
    return fit(table)


@pytest.fixture
def model(fitted):
    return copy_of(fitted)


@pytest.fixture(scope="module")
def iris_like():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [150, 60, 30])
    return rng.normal(size=(240, 3)) + 2 * np.eye(3)[y], np.array(list("abc"))[y]


@pytest.fixture(scope="module")
def three(iris_like):
    return fit(iris_like)


# Another threshold


@pytest.mark.parametrize("threshold", THRESHOLDS[:4], ids=repr)
def test_a_threshold_set_later_is_that_of_fit(table, model, threshold):
    model.set_threshold(threshold)
    fresh = fit(table, threshold=threshold)
    assert state(model) == state(fresh)
    assert model.report().data.winner.code == fresh.report().data.winner.code
    assert clone(model).threshold == threshold


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=repr)
def test_the_report_tells_of_the_threshold_in_force(model, table, threshold):
    assert model.set_threshold(threshold) is model
    winner, entries = model.report().data.winner, model._decision.oof
    labels = model._model.threshold.apply(model._decision.calibrated.proba)
    is_hit = (labels == 1) & (entries.y == 1)
    assert winner.at_threshold["recall"] == pytest.approx(
        entries.weight[is_hit].sum() / table[1].sum()
    )
    assert winner.confusion[1][1] == np.rint(entries.weight[is_hit].sum())
    assert winner.threshold == model.threshold_
    assert winner.operating_point == (
        winner.at_threshold["recall"],
        winner.at_threshold["precision"],
    )
    assert winner.per_class[1].recall == winner.at_threshold["recall"]
    shown = f"at a probability of {percent(model.threshold_)} or more"
    saying = [s for s in winner.sentences if shown in s]
    assert len(saying) == (threshold is not None)


def test_back_again_is_as_it_was(model, fitted):
    model.set_threshold("mcc").set_prior(0.3)
    assert state(model) != state(fitted)
    assert state(model.set_prior(None).set_threshold("f1")) == state(fitted)


def test_more_classes_are_decided_again_too(iris_like, three):
    model = copy_of(three).set_threshold("mcc")
    assert np.array_equal(model.threshold_, fit(iris_like, threshold="mcc").threshold_)
    assert isinstance(model._model.threshold, ClassWeights)


def test_what_cannot_be_used_leaves_the_model_as_it_was(model, fitted):
    for change in [lambda: model.set_threshold("f2"), lambda: model.set_prior(2)]:
        with pytest.raises(BadInputError):
            change()
    assert state(model) == state(fitted)
    assert model.threshold == "f1"


def test_saved_models_are_decided_again_alike(model, tmp_path):
    model.set_prior(0.02)
    model.save(tmp_path / "model.skops")
    loaded = autoimb.load(tmp_path / "model.skops")
    assert state(loaded) == state(model)
    for change in (
        lambda m: m.set_threshold("mcc"),
        lambda m: m.set_prior(0.4),
        lambda m: m.set_prior(None),
    ):
        assert state(change(loaded)) == state(change(model))


# Another class distribution


@pytest.mark.parametrize("after", [0.001, 0.5, 0.97])
def test_corrected_probabilities_are_the_posterior_after_the_shift(after):
    X, y = gaussians(300, SHARE)
    model = fit((X, y), estimator=Bayes(), families="auto", calibrate=False)
    model.set_prior(after)
    seen, _ = gaussians(50, after, seed=1)
    truth = expit(log_ratio(seen) + logit(after))
    np.testing.assert_allclose(model.predict_proba(seen)[:, 1], truth, rtol=1e-10)
    np.testing.assert_array_equal(model.predict(seen), truth >= model.threshold_)


def test_more_classes_are_corrected_by_their_ratios(three, iris_like):
    X, _ = iris_like
    before = three.predict_proba(X)
    model = copy_of(three).set_prior({"c": 0.5, "a": 0.2, "b": 0.3})
    expected = before * np.array([0.2, 0.3, 0.5]) / np.array([150, 60, 30])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected)
    np.testing.assert_allclose(model.oof_proba_.sum(axis=1), 1)
    in_order = copy_of(three).set_prior([0.2, 0.3, 0.5])
    assert in_order._decision.shift == model._decision.shift


def test_out_of_fold_probabilities_are_those_after_the_shift():
    """Every row is validated once by a model that does not depend on its fold."""
    X, y = gaussians(300, SHARE)
    bayes = {"estimator": Bayes(), "families": "auto", "calibrate": False}
    model = fit((X, y), **bayes).set_prior(0.5)
    np.testing.assert_allclose(model.oof_proba_, model.predict_proba(X))


def test_prior_shares_are_weighted_where_rows_are(table):
    X, y = table
    weight = np.where(y == 1, 3.0, 1.0)
    model = AutoImbalance(
        n_trials=1, families="logistic_regression", cv=2, n_jobs=1, random_state=0
    ).fit(X, y, sample_weight=weight)
    before = model.predict_proba(X)
    share = np.average(y, weights=weight)
    np.testing.assert_allclose(model.set_prior(share).predict_proba(X), before)


def test_a_prior_never_changes_pr_auc_of_two_classes(model, table):
    X, y = table
    before = average_precision_score(y, model.predict_proba(X)[:, 1])
    for share in (1e-4, 0.5, 0.99):
        after = model.set_prior(share).predict_proba(X)[:, 1]
        assert average_precision_score(y, after) == before
    assert model.score(X, y) == pytest.approx(before)


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=repr)
def test_threshold_and_prior_come_in_any_order(fitted, threshold):
    one = copy_of(fitted).set_prior(0.4).set_threshold(threshold)
    other = copy_of(fitted).set_threshold(threshold).set_prior(0.4)
    assert state(one) == state(other)
    assert one.report().data.winner.code == other.report().data.winner.code


def test_a_threshold_that_the_user_fixed_survives_a_prior(model):
    model.set_threshold(0.3).set_prior(0.01)
    assert model.threshold_ == 0.3
    assert model.set_threshold(None).threshold_ is None
    assert model._model.threshold == Argmax()


@pytest.mark.parametrize("threshold", ["f1", 0.2, TopShare(0.1)], ids=repr)
def test_the_raw_cut_gives_the_labels_after_a_shift(model, table, threshold):
    X, _ = table
    model.set_threshold(threshold).set_prior(0.02)
    raw = model.best_pipeline_.predict_proba(model._schema.canonical(X))[:, 1]
    np.testing.assert_array_equal(raw >= model.threshold_raw_, model.predict(X))


def test_the_report_says_what_was_expected(model):
    data = model.set_prior(0.02).report().data
    assert "1 2.00% (table: 15.0%)" in data.winner.sentences[0]
    assert data.winner.no_skill_precision == pytest.approx(0.02)
    assert "model.set_prior(" in data.winner.code
    for render in (render_html, render_markdown):
        assert "Expected shares of the classes" in render(data)


# What rows say after a shift


def scores(n=900, seed=0):
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-1.5, 1.5, n))
    return (rng.random(n) < p).astype(int), np.column_stack([1 - p, p])


def tuned(y, proba, objective, weight=None, **more):
    how = {"pos": 1, "seed": 0, "n_draws": 2, **more}
    return tune_threshold(entries(y, weight), proba, proba, objective, **how)[0]


def shift_by(y, odds):
    """Return the shift under which the odds of positives are so many times higher."""
    counts = np.bincount(y).astype(float)
    return PriorShift.between(counts, counts * [1, odds], counts)


@pytest.mark.parametrize(
    "objective",
    [METRICS["f1"], METRICS["mcc"], Cost(fp=1, fn=5), FBeta(2), TopShare(0.1)],
    ids=repr,
)
def test_a_shift_is_as_good_as_rows_of_the_new_distribution(objective):
    """A third of the odds: every negative row comes three times."""
    y, proba = scores()
    shift = shift_by(y, 1 / 3)
    copies = np.repeat(np.arange(len(y)), np.where(y == 1, 1, 3))
    rows = y[copies], shift(proba)[copies], objective
    assert tuned(y, proba, objective, shift=shift) == tuned(*rows)


def test_costs_of_rows_weigh_as_much_as_their_class_after_a_shift():
    y, proba = scores()
    costs, shift = costs_of(y), shift_by(y, 1 / 3)
    copies = np.repeat(np.arange(len(y)), np.where(y == 1, 1, 3))
    there = tuned(y[copies], shift(proba)[copies], RowCosts(), costs=costs[copies])
    assert tuned(y, proba, RowCosts(), costs=costs, shift=shift) == there
    assert tuned(y, shift(proba), RowCosts(), costs=costs) != there


def test_a_capacity_is_of_as_many_rows_as_before():
    y, proba = scores()
    shift = shift_by(y, 1 / 3)
    cut = tuned(y, proba, TopK(50), shift=shift).value
    alerts = shift(proba)[:, 1] >= cut
    n_alerts = (alerts * shift.ratios[y]).sum()
    assert 48 < n_alerts <= 50 + 1e-9


@pytest.mark.parametrize("odds", [0.05, 1 / 3, 4])
def test_a_shift_is_no_evidence_for_a_constraint(odds):
    """The bound is binomial in the rows, never in their weights."""
    y, proba = scores()
    shift = shift_by(y, odds)
    required_before = (
        0.6 * odds / (0.6 * odds + 0.4)
    )  # precision 0.6 has odds 0.6 : 0.4
    by_shares = tuned(y, proba, PrecisionAtLeast(0.6)).apply(proba)
    later = tuned(y, proba, PrecisionAtLeast(required_before), shift=shift)
    np.testing.assert_array_equal(later.apply(shift(proba)), by_shares)
    assert 0 < by_shares.sum() < y.sum()
    found = tuned(y, proba, RecallAtLeast(0.7)).apply(proba)
    again = tuned(y, proba, RecallAtLeast(0.7), shift=shift).apply(shift(proba))
    np.testing.assert_array_equal(found, again)
    assert 0 < found.sum() < len(y)


def test_what_a_constraint_cannot_reach_is_reported_for_the_new_shares():
    y, proba = scores()
    shift = shift_by(y, 1e-4)
    with pytest.warns(match=r"PrecisionAtLeast\(precision=0.9.* is 0\.0") as caught:
        tuned(y, proba, PrecisionAtLeast(0.9), shift=shift)
    assert len(caught) == 1


def test_few_labels_are_replaced_by_probabilities_before_the_shift():
    y, proba = scores(120)
    y[:] = np.arange(120) < 20
    shift = PriorShift.between(*np.array([[100.0, 20], [0.5, 0.5], [100, 20]]))
    proba = np.column_stack([np.full(120, 5 / 6), np.full(120, 1 / 6)])
    evidence = evidence_for(METRICS["f1"], entries(y), proba, shift=shift, costs=None)
    np.testing.assert_allclose(evidence.class_shares, 0.5)
    np.testing.assert_allclose(evidence.weight, 1)


# Costs of rows


def costs_of(y, seed=0, k=2):
    """Return costs that are zero for right answers, mostly, and anything else."""
    rng = np.random.default_rng(seed)
    costs = rng.exponential(size=(len(y), k)) * (1 + 4 * y[:, np.newaxis])
    costs[np.arange(len(y)), y] = rng.choice([0, 0.2], len(y))
    return costs


def mean_cost(costs, labels, weight=None):
    return np.average(costs[np.arange(len(costs)), labels], weights=weight)


@pytest.mark.parametrize("pos", [0, 1])
@pytest.mark.parametrize("n", [60, 400])
def test_the_cut_of_row_costs_is_that_of_brute_force(n, pos):
    """Also with few positives: costs are facts, no probability stands in for them."""
    y, proba = scores(n)
    costs, weight = costs_of(y), np.random.default_rng(1).uniform(0.5, 2, n)
    rule = tuned(y, proba, RowCosts(), weight, costs=costs, pos=pos)
    found = mean_cost(costs, rule.apply(proba), weight)
    cuts = [2.0, *proba[:, pos]]
    every_cut = [mean_cost(costs, Cut(c, pos).apply(proba), weight) for c in cuts]
    assert found == pytest.approx(min(every_cut), abs=1e-12)


def test_costs_that_follow_the_label_are_those_of_a_matrix():
    y, proba = scores()
    matrix = np.array([[0, 1.0], [7, 0.5]])
    by_rows = tuned(y, proba, RowCosts(), costs=matrix[y])
    assert by_rows == tuned(y, proba, Cost(matrix))


def test_costs_of_more_classes_are_those_of_a_matrix():
    rng = np.random.default_rng(0)
    y = rng.choice(3, 900, p=[0.6, 0.25, 0.15])
    proba = rng.dirichlet(np.ones(3), 900) + 0.7 * np.eye(3)[y]
    proba /= proba.sum(axis=1, keepdims=True)
    matrix = np.array([[0, 1, 2], [5, 0, 2], [20, 9, 0]])
    by_rows = tuned(y, proba, RowCosts(), costs=matrix[y], pos=None)
    by_matrix = tuned(y, proba, Cost(matrix), pos=None)
    np.testing.assert_allclose(by_rows.value, by_matrix.value)


def test_evidence_of_costs_is_what_a_class_saves():
    costs = np.array([[0.0, 4, 1], [2, 2, 2]])
    evidence = evidence_of_costs(costs, np.array([2.0, 1]))
    products = evidence.class_shares * evidence.weight[:, np.newaxis]
    np.testing.assert_allclose(products, [[8, 0, 6], [0, 0, 0]])


def test_fit_lowers_the_cost_of_its_rows(table):
    y = table[1]
    costs = costs_of(y)
    model = fit(table, costs=costs)
    assert model.threshold == "f1"
    winner = model.report().data.winner
    assert winner.threshold_objective == "lowest cost of the given rows"
    assert "costs=costs" in winner.code
    by_word = fit(table, costs=costs, threshold="cost")
    assert by_word.threshold_ == model.threshold_
    again = copy_of(model).set_threshold("f1")
    assert again.threshold_ == fit(table).threshold_
    costly = mean_cost(costs, again._model.threshold.apply(again.oof_proba_))
    assert mean_cost(costs, model._model.threshold.apply(model.oof_proba_)) < costly
    assert again.set_threshold("cost").threshold_ == model.threshold_
    pd_like = costs.tolist()
    assert fit(table, costs=pd_like).threshold_ == model.threshold_


@pytest.mark.parametrize(
    ("costs", "threshold", "message"),
    [
        (None, "cost", "threshold='cost' needs the costs of each row"),
        (np.ones((400, 2)), "f1", "costs are the same for every class"),
        (np.eye(2)[[0, 1] * 200], "mcc", "threshold='mcc' exclude each other"),
        (np.eye(2)[[0, 1] * 200], 0.5, "threshold=0.5 exclude each other"),
        (np.eye(3)[[0, 1] * 200], "f1", r"shape \(400, 3\): pass one column"),
        (np.ones(400), "f1", r"shape \(400,\): pass one column for each of .*\[0, 1\]"),
        (np.eye(2), "f1", "inconsistent numbers of samples.* costs: 2"),
        ([["a", "b"]] * 400, "f1", "costs must be numbers.*could not convert"),
        ([[0, 1]] * 399 + [[0, np.nan]], "f1", r"nan in row 399, column 1 \(of 1\)"),
    ],
)
def test_costs_that_make_no_sense_are_refused(table, costs, threshold, message):
    with pytest.raises(BadInputError, match=message):
        fit(table, costs=costs, threshold=threshold)


def test_costs_that_were_never_given_cannot_be_aimed_at(model):
    with pytest.raises(BadInputError, match="needs the costs of each row"):
        model.set_threshold("cost")


# What users write


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (None, None),
        (0.25, [0.75, 0.25]),
        ({"b": 0.25, "a": 0.75}, [0.75, 0.25]),
        ((0.5, 0.5), [0.5, 0.5]),
    ],
)
def test_priors_are_read(prior, expected):
    read = resolve_prior(prior, np.array(["a", "b"]), 1)
    assert (read if read is None else read.tolist()) == expected


def test_a_share_is_that_of_the_class_of_interest():
    assert resolve_prior(0.25, np.array(["a", "b"]), 0).tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("prior", "classes", "message"),
    [
        (1.0, "ab", r"prior=1.0 is the share of 'b' and must lie between 0 and 1"),
        (np.nan, "ab", "prior=nan is the share"),
        (0.5, "abc", "prior=0.5 is one share, but y has 3 classes: pass a dict"),
        (True, "ab", "a share above 0 for each of the 2 classes"),
        ([0.5, 0.5], "abc", "each of the 3 classes"),
        ([0.5, 0.5, 0], "abc", "a share above 0"),
        ("half", "ab", "prior='half' must hold a share"),
        ([0.5, 0.4], "ab", "sum to 0.9: divide"),
        ({"a": 0.5, "z": 0.5}, "ab", r"names unknown classes \['z'\]"),
        ({"a": 0.5}, "ab", r"lacks the classes \['b'\]"),
    ],
)
def test_priors_that_make_no_sense_are_refused(prior, classes, message):
    pos = 1 if len(classes) == 2 else None
    with pytest.raises(BadInputError, match=message):
        resolve_prior(prior, np.array(list(classes)), pos)


def test_costs_stay_with_their_rows(table):
    X, y = table
    costs = costs_of(y)
    order = np.random.default_rng(0).permutation(len(y))
    folds = [(np.arange(0, 400, 2), np.arange(1, 400, 2))]
    folds += [pair[::-1] for pair in folds]
    place = np.argsort(order)
    moved = [(place[a], place[b]) for a, b in folds]
    one = fit(table, costs=costs, cv=folds)
    other = fit((X[order], y[order]), costs=costs[order], cv=moved)
    assert other.threshold_ == pytest.approx(one.threshold_, rel=1e-3)
