"""Metrics by name, and those that scikit-learn's scorers compute."""

import numpy as np
import pytest
import sklearn.metrics as sk
from imblearn.metrics import geometric_mean_score
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, make_scorer
from tables import five_classes, numeric

from autoimb import AutoImbalance, BadInputError, FBeta
from autoimb._metrics.metrics import METRICS
from autoimb._metrics.scorers import LabelScorerMetric, UserLabels, resolve_metric
from autoimb._threshold.search import best_labels

WORDS = UserLabels(np.array(["bad", "ok"]), 0)


def scored(n=60, levels=20, seed=0):
    """Return label codes, of which 0 is rare, and tied probabilities (n, 2)."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) > 0.25).astype(int)
    score = np.clip(0.5 * (1 - y) + rng.normal(0.25, 0.3, n), 0.01, 0.99)
    score = np.ceil(levels * score) / (levels + 1)
    return y, np.column_stack([score, 1 - score])


def cohen(y_true, y_pred, *, sample_weight=None):
    return sk.cohen_kappa_score(y_true, y_pred, sample_weight=sample_weight)


def jaccard_without_weights(y_true, y_pred, *, pos_label):
    return sk.jaccard_score(y_true, y_pred, pos_label=pos_label, zero_division=0.0)


# --- names


@pytest.mark.parametrize(
    "name",
    [
        *("neg_log_loss", "neg_brier_score", "roc_auc_ovr", "roc_auc_ovo"),
        *("average_precision", "roc_auc"),
    ],
)
def test_names_of_scikit_learn_are_taken(name):
    """They score as scikit-learn's scorer of that name does."""
    X, y = numeric()
    words = WORDS.classes[1 - y]
    model = LogisticRegression().fit(X, words)
    metric = resolve_metric(name, 2, WORDS)
    codes, proba = 1 - y, model.predict_proba(X)
    got = metric.score_many(codes, proba, np.ones((1, len(y))), pos=0)
    scorer = get_scorer(name)
    if name == "average_precision":
        scorer = make_scorer(
            sk.average_precision_score, response_method="predict_proba", pos_label="bad"
        )
    if name == "neg_brier_score":
        scorer = make_scorer(
            sk.brier_score_loss,
            response_method="predict_proba",
            greater_is_better=False,
            pos_label="bad",
        )
    assert got[0] == pytest.approx(scorer(model, X, words))


def test_a_name_that_both_have_is_ours():
    assert resolve_metric("matthews_corrcoef", 2) is METRICS["mcc"]
    assert resolve_metric("f1_macro", 3) is METRICS["f1_macro"]


@pytest.mark.parametrize("name", ["r2", "neg_mean_squared_error", "rand_score"])
def test_scores_of_numbers_and_of_clusters_are_refused(name):
    with pytest.raises(BadInputError, match="numbers or clusters, not classes"):
        resolve_metric(name, 2)


@pytest.mark.parametrize(
    "metric", ["recall", "precision", make_scorer(sk.recall_score, pos_label="bad")]
)
def test_a_score_that_one_useless_cut_maximises_is_refused(metric):
    with pytest.raises(BadInputError, match=r"threshold=(Recall|Precision)AtLeast"):
        resolve_metric(metric, 2, WORDS)


# --- labels


@pytest.mark.parametrize(
    ("scorer", "built_in"),
    [
        (make_scorer(sk.f1_score), METRICS["f1"]),
        (make_scorer(sk.f1_score, pos_label="bad"), METRICS["f1"]),
        (make_scorer(sk.fbeta_score, beta=2), FBeta(2)),
        (make_scorer(sk.f1_score, average="macro"), METRICS["f1_macro"]),
        (make_scorer(sk.balanced_accuracy_score), METRICS["balanced_accuracy"]),
        (make_scorer(sk.matthews_corrcoef), METRICS["mcc"]),
        (make_scorer(geometric_mean_score), METRICS["gmean"]),
        (get_scorer("accuracy"), METRICS["accuracy"]),
    ],
    ids=str,
)
def test_scorers_of_labels_that_are_built_in_are_found_again(scorer, built_in):
    assert resolve_metric(scorer, 2, WORDS) == built_in


@pytest.mark.parametrize(
    "scorer",
    [
        make_scorer(sk.f1_score, pos_label="ok"),
        make_scorer(sk.balanced_accuracy_score, adjusted=True),
        make_scorer(sk.fbeta_score, beta=2, average="macro"),
        make_scorer(sk.zero_one_loss, greater_is_better=False),
        make_scorer(cohen),
        make_scorer(jaccard_without_weights),
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(2))
def test_others_are_judged_at_their_best_cut(scorer, seed):
    """No cut between the scores gives a higher value of the function itself."""
    y, proba = scored(seed=seed)
    weight = np.ones(len(y))
    metric = resolve_metric(scorer, 2, WORDS)
    assert isinstance(metric, LabelScorerMetric)
    labels = best_labels(y, proba, weight, metric, 0)
    got = metric.score_many(y, proba, weight[np.newaxis], pos=0, y_pred=labels)[0]
    cuts = [*np.unique(proba[:, 0]), 2.0]
    arguments = {"pos_label": "bad"} if "without" in str(scorer) else {}
    values = [
        scorer._sign
        * scorer._score_func(
            WORDS.classes[y],
            np.where(proba[:, 0] >= cut, "bad", "ok"),
            **{**arguments, **scorer._kwargs},
        )
        for cut in cuts
    ]
    assert got == pytest.approx(max(values))


def test_of_many_cuts_a_good_one_is_found_with_few_calls():
    calls = []

    def kappa(y_true, y_pred, sample_weight=None):
        calls.append(1)
        return cohen(y_true, y_pred, sample_weight=sample_weight)

    y, proba = scored(n=3000, levels=2500)
    weight = np.ones(len(y))
    metric = resolve_metric(make_scorer(kappa), 2, WORDS)
    labels = best_labels(y, proba, weight, metric, 0)
    assert len(calls) <= 2 * 32
    everywhere = [cohen(y, np.where(proba[:, 0] >= c, 0, 1)) for c in proba[::60, 0]]
    assert cohen(y, labels) > max(everywhere) - 0.01


# --- what scorers see


@pytest.mark.parametrize(
    ("function", "is_bad_rare"),
    [
        (sk.f1_score, True),
        (sk.jaccard_score, False),
        (sk.average_precision_score, True),
        (sk.average_precision_score, False),
    ],
)
def test_a_fit_takes_scorers_on_the_labels_of_the_user(function, is_bad_rare):
    X, y = numeric()
    words = np.where(y == is_bad_rare, "bad", "ok")
    response = "predict_proba" if "precision" in function.__name__ else "predict"
    scorer = make_scorer(function, pos_label="bad", response_method=response)
    model = AutoImbalance(
        metric=scorer,
        families="logistic_regression",
        n_trials=1,
        cv=2,
        calibrate=False,
        n_jobs=1,
        random_state=0,
    ).fit(X, words)
    assert 0 < model.best_score_ <= 1
    assert 0 < model.score(X, words) <= 1
    assert set(model.leaderboard_["status"]) == {"complete"}


@pytest.mark.parametrize("make", [numeric, five_classes])
def test_a_plain_function_sees_labels(make):
    X, y = make()
    names = np.array([f"class {label}" for label in y])
    seen = set()

    def share_right(estimator, X, y):
        seen.update(y, estimator.classes_, estimator.predict(X))
        return float(np.mean(estimator.predict(X) == y))

    AutoImbalance(
        metric=share_right,
        families="logistic_regression",
        n_trials=1,
        cv=2,
        n_jobs=1,
        random_state=0,
    ).fit(X, names)
    assert seen == set(names)
