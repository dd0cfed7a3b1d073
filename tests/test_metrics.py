"""Metrics equal scikit-learn's and imbalanced-learn's, for any weights and ties."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.metrics import geometric_mean_score
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer, make_scorer

from autoimb._metrics import confusion
from autoimb._metrics import metrics as metrics_module
from autoimb._metrics.metrics import (
    METRICS,
    FBeta,
    LabelMetric,
    RankingMetric,
    confusion_matrices,
    metrics_at,
)
from autoimb._metrics.scorers import resolve_metric
from autoimb.exceptions import BadInputError

RANKING = [name for name, m in METRICS.items() if isinstance(m, RankingMetric)]
LABEL = [name for name, m in METRICS.items() if isinstance(m, LabelMetric)]


def predictions(seed, n=60, k=2, n_ties=8):
    """Labels, tied probabilities, predicted labels and a few rows of weights."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    raw = rng.integers(1, n_ties, (n, k)) + 3.0 * np.eye(k)[y]
    proba = raw / raw.sum(axis=1, keepdims=True)
    y_pred = np.where(rng.random(n) < 0.7, y, rng.integers(0, k, n))
    weights = rng.integers(0, 4, (3, n)) / 3.0
    weights[:, :k] = 1  # every class has some weight
    return y, proba, y_pred, weights


def sklearn_label_score(name, y, y_pred, w, pos):
    average = "macro" if pos is None else "binary"
    label = 1 if pos is None else pos
    scores = {
        "f1": lambda: sk.f1_score(
            y, y_pred, pos_label=label, average=average, sample_weight=w
        ),
        "f1_macro": lambda: sk.f1_score(y, y_pred, average="macro", sample_weight=w),
        "f1_weighted": lambda: sk.f1_score(
            y, y_pred, average="weighted", sample_weight=w
        ),
        "mcc": lambda: sk.matthews_corrcoef(y, y_pred, sample_weight=w),
        "gmean": lambda: geometric_mean_score(
            y, y_pred, average="multiclass", sample_weight=w
        ),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(
            y, y_pred, sample_weight=w
        ),
        "accuracy": lambda: sk.accuracy_score(y, y_pred, sample_weight=w),
    }
    return scores[name]()


seeds = st.integers(0, 2**16)
few = settings(max_examples=20, deadline=None)


@pytest.mark.parametrize("name", LABEL)
@pytest.mark.parametrize(("k", "pos"), [(2, 0), (2, 1), (4, None)])
@given(seed=seeds)
@few
def test_label_metrics_equal_those_of_the_reference_libraries(name, k, pos, seed):
    y, proba, y_pred, weights = predictions(seed, k=k)
    got = METRICS[name].score_many(y, proba, weights, pos=pos, y_pred=y_pred)
    want = [sklearn_label_score(name, y, y_pred, w, pos) for w in weights]
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 2])
@pytest.mark.parametrize(("k", "pos"), [(2, 0), (3, None)])
def test_f_beta_equals_scikit_learn(beta, k, pos):
    y, proba, y_pred, weights = predictions(3, k=k)
    got = FBeta(beta).score_many(y, proba, weights, pos=pos, y_pred=y_pred)
    how = {"average": "macro"} if pos is None else {"pos_label": pos}
    want = [
        sk.fbeta_score(y, y_pred, beta=beta, sample_weight=w, **how) for w in weights
    ]
    np.testing.assert_allclose(got, want)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("average_precision", sk.average_precision_score),
        ("roc_auc", sk.roc_auc_score),
    ],
)
@pytest.mark.parametrize(("k", "pos"), [(2, 0), (2, 1), (4, None)])
@given(seed=seeds, n_ties=st.sampled_from([2, 4, 1000]))
@few
def test_ranking_metrics_equal_scikit_learn(name, reference, k, pos, seed, n_ties):
    y, proba, _, weights = predictions(seed, k=k, n_ties=n_ties)
    got = METRICS[name].score_many(y, proba, weights, pos=pos)
    want = [
        np.mean(
            [
                reference(y == c, proba[:, c], sample_weight=w)
                for c in (range(k) if pos is None else [pos])
            ]
        )
        for w in weights
    ]
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("name", METRICS)
@given(seed=seeds)
@few
def test_weight_two_is_the_row_twice_and_order_does_not_matter(name, seed):
    y, proba, y_pred, weights = predictions(seed, k=3)
    counts = np.rint(3 * weights[0]).astype(int)
    rows = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(y)), counts))

    def score(y, proba, y_pred, w):
        return METRICS[name].score_many(
            y, proba, w[np.newaxis], pos=None, y_pred=y_pred
        )

    repeated = score(y[rows], proba[rows], y_pred[rows], np.ones(len(rows)))
    weighted = score(y, proba, y_pred, counts.astype(float))
    np.testing.assert_allclose(weighted, repeated, atol=1e-12)


def test_replicates_in_blocks_equal_replicates_at_once(monkeypatch):
    y, proba, _, weights = predictions(0)
    at_once = METRICS["average_precision"].score_many(y, proba, weights, pos=1)
    monkeypatch.setattr(metrics_module, "BLOCK_BYTES", 1)
    in_blocks = METRICS["average_precision"].score_many(y, proba, weights, pos=1)
    np.testing.assert_array_equal(at_once, in_blocks)


@pytest.mark.parametrize("name", METRICS)
def test_bootstrap_counts_may_be_small_integers(name):
    y, proba, y_pred, _ = predictions(0, n=400, n_ties=2)
    counts = np.full((2, len(y)), 200, dtype=np.uint8)
    given = {"pos": 1, "y_pred": y_pred}
    np.testing.assert_allclose(
        METRICS[name].score_many(y, proba, counts, **given),
        METRICS[name].score_many(y, proba, counts.astype(float), **given),
    )


@pytest.mark.parametrize("name", RANKING)
def test_a_replicate_without_positives_is_nan_and_silent(name):
    y, proba, _, weights = predictions(1)
    weights[1, y == 1] = 0
    scores = METRICS[name].score_many(y, proba, weights, pos=1)
    assert np.isnan(scores).tolist() == [False, True, False]
    no_positives = np.zeros_like(y)
    assert np.isnan(METRICS[name].score_many(no_positives, proba, weights, pos=1)).all()


def test_roc_auc_without_negatives_is_nan():
    y, proba, _, weights = predictions(1)
    assert np.isnan(
        METRICS["roc_auc"].score_many(np.ones_like(y), proba, weights, pos=1)
    ).all()


def test_multiclass_ranking_leaves_out_classes_that_do_not_occur():
    y, proba, _, weights = predictions(2, k=3)
    weights[0, y == 2] = 0
    metric = METRICS["average_precision"]
    each = [metric.score_many(y, proba, weights, pos=c)[0] for c in (0, 1)]
    assert metric.score_many(y, proba, weights, pos=None)[0] == pytest.approx(
        np.mean(each)
    )


@pytest.mark.parametrize("name", LABEL)
def test_no_rows_and_missing_classes_give_finite_scores(name):
    confusions = np.zeros((3, 2, 2))
    confusions[1, 0, 0] = confusions[2, 1, 0] = 5
    scores = METRICS[name].utility(confusions, 1)
    assert np.isfinite(scores).all()
    assert scores[0] == 0


@pytest.mark.parametrize("name", LABEL)
def test_confusions_of_any_leading_shape_are_scored_alike(name):
    confusions = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 4)).astype(float)
    metric = METRICS[name]
    one_by_one = [metric.utility(c, None) for c in confusions.reshape(-1, 4, 4)]
    together = metric.utility(confusions, None)
    np.testing.assert_allclose(together, np.reshape(one_by_one, (2, 3)))


def test_confusion_matrices_equal_scikit_learn():
    y, _, y_pred, weights = predictions(5, k=3)
    got = confusion_matrices(y, y_pred, weights, 4)
    for matrix, w in zip(got, weights, strict=True):
        want = sk.confusion_matrix(y, y_pred, sample_weight=w, labels=range(4))
        np.testing.assert_allclose(matrix, want)


def test_label_metrics_insist_on_labels():
    y, proba, _, weights = predictions(0)
    with pytest.raises(TypeError, match="y_pred is needed"):
        METRICS["mcc"].score_many(y, proba, weights, pos=1)


# Chance level


@pytest.mark.parametrize("name", LABEL)
@pytest.mark.parametrize("shares", [[0.9, 0.1], [0.6, 0.3, 0.1]])
def test_no_skill_of_label_metrics_is_the_best_constant_answer(name, shares):
    k = len(shares)
    pos = 1 if k == 2 else None
    y = np.repeat(np.arange(k), np.rint(np.multiply(shares, 100)).astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scores = [
            sklearn_label_score(name, y, np.full_like(y, c), None, pos)
            for c in range(k)
        ]
    assert METRICS[name].no_skill(np.array(shares), pos) == pytest.approx(max(scores))


def test_no_skill_of_ranking_metrics_is_what_random_scores_get():
    rng = np.random.default_rng(0)
    y = (rng.random(20_000) < 0.1).astype(int)
    proba = rng.random((len(y), 2))
    weights = np.ones((1, len(y)))
    for name in RANKING:
        got = METRICS[name].score_many(y, proba, weights, pos=1)[0]
        assert METRICS[name].no_skill(np.array([0.9, 0.1]), 1) == pytest.approx(
            got, abs=0.02
        )
    shares = np.array([0.5, 0.3, 0.2])
    assert METRICS["average_precision"].no_skill(shares, None) == pytest.approx(1 / 3)
    scorer = resolve_metric(get_scorer("neg_log_loss"), 2)
    assert np.isnan(scorer.no_skill(shares, 1))


# scikit-learn scorers


@pytest.mark.parametrize("name", ["average_precision", "roc_auc", "f1", "accuracy"])
@pytest.mark.parametrize("pos", [0, 1])
def test_a_wrapped_scorer_equals_the_metric_of_that_name(name, pos):
    y, proba, y_pred, weights = predictions(4)
    data = {"pos": pos, "y_pred": y_pred}
    wrapped = resolve_metric(get_scorer(name), 2).score_many(y, proba, weights, **data)
    own = METRICS[name].score_many(y, proba, weights, **data)
    np.testing.assert_allclose(wrapped, own)


def test_a_multiclass_scorer_sees_all_columns():
    y, proba, _, weights = predictions(4, k=3)
    metric = resolve_metric(get_scorer("neg_log_loss"), 3)
    want = [-sk.log_loss(y, proba, sample_weight=w) for w in weights]
    np.testing.assert_allclose(metric.score_many(y, proba, weights, pos=None), want)


@pytest.mark.parametrize("name", ["average_precision", "roc_auc"])
def test_one_draw_is_scored_as_among_many(name):
    """Alone, it is ranked without the rows that it does not hold."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=200)
    proba = rng.dirichlet(np.ones(3), 200).round(2)
    draws = rng.poisson(1.0, (3, 200)).astype(np.uint8)
    draws[1, y == 2] = 0  # and one without any row of a class
    metric = METRICS[name]
    together = metric.score_many(y, proba, draws, pos=None)
    alone = [metric.score_many(y, proba, d[np.newaxis], pos=None)[0] for d in draws]
    np.testing.assert_allclose(alone, together, rtol=1e-12)


def test_a_scorer_without_weights_is_given_repeated_rows():
    def share_right(estimator, X, y):
        return float(np.mean(estimator.predict(X) == y))

    y, proba, y_pred, weights = predictions(4)
    got = resolve_metric(share_right, 2).score_many(
        y, proba, weights, pos=1, y_pred=y_pred
    )
    want = METRICS["accuracy"].score_many(y, proba, weights, pos=1, y_pred=y_pred)
    np.testing.assert_allclose(got, want)


def test_a_scorer_is_not_asked_about_a_class_that_was_not_drawn():
    def gain(estimator, X, y):
        _, fp, _, tp = sk.confusion_matrix(y, estimator.predict(X)).ravel()
        return float(tp - fp)

    y, proba, y_pred, weights = predictions(4)
    weights[0, y == 1] = 0
    scores = resolve_metric(gain, 2).score_many(y, proba, weights, pos=1, y_pred=y_pred)
    assert np.isnan(scores[0])
    assert np.isfinite(scores[1:]).all()


def test_very_uneven_weights_do_not_repeat_rows_without_end():
    seen = []

    def share(estimator, X, y):
        seen.append(len(y))
        return float(np.mean(y))

    y, proba, y_pred, _ = predictions(1)
    weights = np.geomspace(1e-9, 1, len(y))[np.newaxis]
    resolve_metric(share, 2).score_many(y, proba, weights, pos=1, y_pred=y_pred)
    assert len(y) < max(seen) < 25 * len(y)


def test_scorers_answer_decision_function_and_are_quiet_without_positives():
    y, proba, _, weights = predictions(4)
    by_margin = make_scorer(sk.roc_auc_score, response_method="decision_function")
    weights[0, y == 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        scores = resolve_metric(by_margin, 2).score_many(y, proba, weights, pos=1)
    own = METRICS["roc_auc"].score_many(y, proba, weights, pos=1)
    np.testing.assert_allclose(scores[1:], own[1:])


# Names and values


@pytest.mark.parametrize("metric", [*METRICS.values(), FBeta(2)], ids=lambda m: m.name)
def test_metrics_are_values(metric):
    clone = pickle.loads(pickle.dumps(metric))
    assert clone == metric
    assert hash(clone) == hash(metric)
    assert eval(repr(metric), vars(metrics_module)) == metric  # its repr makes it
    assert resolve_metric(metric, 2) is metric


def test_f1_means_macro_f1_for_more_than_two_classes():
    assert resolve_metric("f1", 2) == METRICS["f1"]
    assert resolve_metric("f1", 3) == METRICS["f1_macro"]
    assert resolve_metric("mcc", 3) == METRICS["mcc"]


def test_f_beta_is_named_after_beta():
    assert (FBeta(2).name, FBeta(0.5).label) == ("f2", "F0.5")
    assert FBeta(2) != FBeta(3)


@pytest.mark.parametrize("beta", [0, -1, np.inf, np.nan])
def test_f_beta_refuses_impossible_betas(beta):
    with pytest.raises(BadInputError, match="beta must be positive"):
        FBeta(beta)


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [
        ("avarage_precision", "average_precision"),
        ("PR_AUC", "average_precision"),
        ("auc", "roc_auc"),
        ("F1", "f1"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_all(typo, nearest):
    message = f"metric='{typo}' is not known. Did you mean '{nearest}'?.* mcc, roc_auc."
    with pytest.raises(BadInputError, match=message):
        resolve_metric(typo, 2)


@pytest.mark.parametrize("metric", [3, None, FBeta], ids=repr)
def test_what_is_no_metric_is_refused(metric):
    with pytest.raises(BadInputError, match="must be a name, FBeta or"):
        resolve_metric(metric, 2)


# The report's numbers


@pytest.mark.parametrize(("k", "pos"), [(2, 0), (3, None)])
def test_metrics_at_holds_every_metric(k, pos):
    y, proba, y_pred, weights = predictions(6, k=k)
    w = weights[0]
    scores = metrics_at(y, y_pred, proba, w, pos)
    assert set(scores) >= {*METRICS, "brier", "log_loss"}
    assert ("precision" in scores) == (pos is not None)
    assert scores["log_loss"] == pytest.approx(sk.log_loss(y, proba, sample_weight=w))
    if pos is not None:
        of_pos = {"pos_label": pos, "sample_weight": w}
        brier = sk.brier_score_loss(y, proba[:, pos], **of_pos)
        assert scores["brier"] == pytest.approx(brier)
        assert scores["precision"] == pytest.approx(
            sk.precision_score(y, y_pred, **of_pos)
        )
        assert scores["recall"] == pytest.approx(sk.recall_score(y, y_pred, **of_pos))
    else:
        brier = sk.brier_score_loss(y, proba, sample_weight=w)
        assert scores["brier"] == pytest.approx(brier)


@pytest.mark.parametrize("dtype", [bool, np.uint8, float])
@pytest.mark.parametrize("at_once", [1, 50, 10_000])
def test_sums_over_cells_are_those_of_a_loop(dtype, at_once, monkeypatch):
    monkeypatch.setattr(confusion, "_COUNTED_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    cells, weights = rng.integers(0, 5, 20), rng.integers(0, 255, (7, 20)).astype(dtype)
    sums = confusion.weighted_counts(cells, weights, 6)
    wanted = [[w[cells == c].sum(dtype=float) for c in range(6)] for w in weights]
    np.testing.assert_array_equal(sums, wanted)


@pytest.mark.parametrize("name", METRICS)
def test_counts_score_as_the_same_numbers_as_floats(name):
    y, proba, y_pred, weights = predictions(1, k=3)
    counts = (200 * weights).astype(np.uint8)
    score = METRICS[name].score_many
    np.testing.assert_array_equal(
        score(y, proba, counts, pos=None, y_pred=y_pred),
        score(y, proba, counts.astype(float), pos=None, y_pred=y_pred),
    )
