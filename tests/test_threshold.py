"""The exact searches equal brute force, and every objective means what it says."""

import math
import pickle
import warnings

import numpy as np
import pytest
from decisions import entries
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import beta
from sklearn.metrics import confusion_matrix

from autoimb._metrics import metrics as metrics_module
from autoimb._metrics.bootstrap import Draws
from autoimb._metrics.metrics import METRICS, FBeta, LabelMetric
from autoimb._threshold import objectives as objectives_module
from autoimb._threshold import search as search_module
from autoimb._threshold.evidence import soft_labels
from autoimb._threshold.objectives import (
    Cost,
    PrecisionAtLeast,
    RecallAtLeast,
    ThresholdObjective,
    TopK,
    TopShare,
)
from autoimb._threshold.rules import (
    Argmax,
    ClassWeights,
    Cut,
    resolve_threshold,
)
from autoimb._threshold.search import best_class_weights, best_cut, tune_threshold
from autoimb.exceptions import BadInputError, UnreachableConstraintWarning

OWN = [
    PrecisionAtLeast(0.6, confidence=0.7),
    RecallAtLeast(0.5, confidence=0.8),
    TopK(7),
    TopShare(0.2),
    Cost(fp=1, fn=4),
    Cost([[-1, 3], [8, 2]]),
]
LABEL_METRICS = [m for m in METRICS.values() if isinstance(m, LabelMetric)]
OBJECTIVES = [*LABEL_METRICS, FBeta(2), *OWN]
CONSTRAINTS = OWN[:2]
seeds = st.integers(0, 2**16)
few = settings(max_examples=25, deadline=None)
each_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)


def rows(seed, n=30, n_distinct=12):
    """Tied scores, soft memberships and two rows of weights, some of them zero."""
    rng = np.random.default_rng(seed)
    score = rng.integers(1, n_distinct + 1, n) / (n_distinct + 1)
    membership = np.where(rng.random(n) < score, 1.0, rng.choice([0, 0.3], n))
    return score, membership, rng.integers(0, 4, (2, n)) / 3.0


def soft_confusion(predicted, membership, weight, pos):
    """Confusion matrix with the rows' weights shared between the classes."""
    confusion = np.zeros((2, 2))
    for code in (0, 1):
        here = predicted == code
        confusion[pos, code] = weight[here] @ membership[here]
        confusion[1 - pos, code] = weight[here] @ (1 - membership[here])
    return confusion


def two_columns(score, pos):
    proba = np.column_stack([1 - score, score])
    return proba if pos else proba[:, ::-1]


def utility_of(objective, cut, score, membership, weight, pos):
    predicted = Cut(cut, pos).apply(two_columns(score, pos))
    confusion = soft_confusion(predicted, membership, weight, pos)
    return float(objective.utility(confusion, pos)), confusion


# Two classes: exact search


@each_objective
@pytest.mark.parametrize("pos", [0, 1])
@given(seed=seeds)
@few
def test_the_best_cut_is_that_of_brute_force(objective, pos, seed):
    score, membership, weights = rows(seed)
    for weight in weights:
        cut = best_cut(score, membership, weight, objective, pos)
        got, _ = utility_of(objective, cut, score, membership, weight, pos)
        utilities = [
            utility_of(objective, c, score, membership, weight, pos)[0]
            for c in [2.0, *score]
        ]
        assert got == pytest.approx(max(utilities), abs=1e-9)


@each_objective
@given(seed=seeds)
@few
def test_order_copies_and_rescaled_scores_change_no_label(objective, seed):
    score, membership, weights = rows(seed)
    counts = np.rint(3 * weights[0]).astype(int)
    counts[0] += 1
    used = counts > 0
    score, membership, counts = score[used], membership[used], counts[used]

    def labels(score, membership, weight, seen):
        return seen >= best_cut(score, membership, weight, objective, 1)

    expected = labels(score, membership, counts.astype(float), score)
    copies = np.random.default_rng(seed).permutation(
        np.repeat(np.arange(len(score)), counts)
    )
    repeated = labels(score[copies], membership[copies], np.ones(len(copies)), score)
    np.testing.assert_array_equal(repeated, expected)
    bent = score**3
    rescaled = labels(bent, membership, counts.astype(float), bent)
    np.testing.assert_array_equal(rescaled, expected)


def test_cuts_lie_midway_and_include_no_and_only_positive_labels():
    score = np.array([0.2, 0.4, 0.8])
    one = np.ones(3)
    y = np.array([0.0, 1.0, 1.0])
    assert best_cut(score, y, one, METRICS["f1"], 1) == pytest.approx(0.3)
    lowest = best_cut(score, y, one, Cost(fp=1, fn=99), 1)
    assert best_cut(score, np.ones(3), one, METRICS["f1"], 1) == 0.2
    assert lowest == pytest.approx(0.3)
    above_all = best_cut(score, np.zeros(3), one, Cost(fp=1, fn=1), 1)
    assert above_all > 0.8
    assert above_all == pytest.approx(0.8)


def test_neighbouring_floats_are_still_cut_apart():
    low = 0.3
    high = math.nextafter(low, 1)
    score, y = np.array([low, high]), np.array([0.0, 1.0])
    cut = best_cut(score, y, np.ones(2), METRICS["f1"], 1)
    assert low < cut <= high


def test_of_equally_good_cuts_the_one_with_fewer_alerts_is_taken():
    score, y = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 0, 1, 0])
    cost = Cost(fp=1, fn=1)  # one mistake at the cut 0.85, one at 0.65
    assert best_cut(score, y, np.ones(4), cost, 1) == pytest.approx(0.85)


@pytest.mark.parametrize(
    ("objective", "n_alerts"), [(TopK(3), 3), (TopK(5), 4), (TopShare(0.6), 6)]
)
def test_capacity_is_used_up_as_far_as_ties_allow(objective, n_alerts):
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1])
    y = np.zeros(10)
    third = np.full(30, 1 / 3)  # three repeats of ten rows: sums are not exact
    cut = best_cut(np.tile(score, 3), np.tile(y, 3), third, objective, 1)
    assert np.count_nonzero(score >= cut) == n_alerts


def test_the_cost_cut_of_calibrated_probabilities_is_that_of_theory():
    """Elkan 2001: alert where p >= fp / (fp + fn)."""
    score = np.sort(expit(np.random.default_rng(0).normal(-2, 1.5, 5000)))
    for fp, fn in [(1, 1), (1, 9), (2, 50)]:
        cost = Cost(fp=fp, fn=fn)
        cut = best_cut(score, score, np.ones(5000), cost, 1)
        assert cut == pytest.approx(fp / (fp + fn), abs=0.01)
        matrix = Cost([[0, fp], [fn, 0]])
        as_matrix = best_cut(score, score, np.ones(5000), matrix, 1)
        assert as_matrix == cut


def clopper_pearson(objective, confusion):
    trials = confusion[:, 1] if objective.bounded == "precision" else confusion[1]
    hits = confusion[1, 1]
    looks = {"precision": 2, "recall": 1}[objective.bounded]
    error_level = (1 - objective.confidence) / looks
    bound = beta.ppf(error_level, hits, trials.sum() - hits + 1)
    return bound if hits > 0 else 0.0


@pytest.mark.parametrize("objective", CONSTRAINTS, ids=repr)
@given(seed=seeds)
@few
def test_constraints_hold_with_the_required_confidence(objective, seed):
    score, membership, weights = rows(seed)
    weight = weights[0] + 0.01
    cut = best_cut(score, membership, weight, objective, 1)
    utility, confusion = utility_of(objective, cut, score, membership, weight, 1)
    bound = clopper_pearson(objective, confusion)
    assert objective.bound(confusion, 1) == pytest.approx(bound)
    reachable = [
        clopper_pearson(
            objective, utility_of(objective, c, score, membership, weight, 1)[1]
        )
        for c in score
    ]
    if max(reachable) >= objective.required:
        assert bound >= objective.required - 1e-12
    else:
        assert np.isneginf(utility)
        assert bound == pytest.approx(max(reachable))


def test_the_required_precision_is_reached_although_the_best_of_many_cuts_is_taken():
    """Hardest where scores say little: so many cuts are nearly good enough."""
    rng, goal, n_draws = np.random.default_rng(0), PrecisionAtLeast(0.06), 400
    population = np.sort(expit(rng.normal(-3, 0.15, 200_000)))
    precision = population[::-1].cumsum()[::-1] / np.arange(200_000, 0, -1)
    n_broken = n_made = 0
    for _ in range(n_draws):
        p = expit(rng.normal(-3, 0.15, 1000))
        y, one = (rng.random(1000) < p) * 1.0, np.ones(1000)
        cut = best_cut(p, y, one, goal, 1)
        is_sure = utility_of(goal, cut, p, y, one, 1)[0] > -np.inf
        true = precision[min(np.searchsorted(population, cut), 199_999)]
        n_made += is_sure
        n_broken += is_sure and true < goal.required
    assert n_made > 0.1 * n_draws
    assert n_broken < (1 - goal.confidence) * n_draws


@pytest.mark.parametrize(
    "objective", [PrecisionAtLeast(0.15, confidence=0.7), CONSTRAINTS[1]], ids=repr
)
def test_only_labels_are_evidence_however_few_they_are(objective):
    y, proba = binary(n=400, shift=-4.0)
    assert np.count_nonzero(y) < 50
    how = {"pos": 1, "seed": 0, "n_draws": 2}
    rules = {
        tune_threshold(entries(y), proba, believed, objective, **how)[0]
        for believed in (proba, two_columns(np.full(400, 0.99), 1))
    }
    exact = best_cut(proba[:, 1], y * 1.0, np.ones(400), objective, 1)
    assert rules == {Cut(exact, 1)}


# More than two classes


def classes(seed, n=80, k=3):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.choice(k, n - k, p=[0.7, 0.2, 0.1])])
    raw = rng.integers(0, 6, (n, k)) + np.array([4.0, 2.0, 1.0]) * np.eye(k)[y]
    raw += 2.0 * (raw.sum(axis=1, keepdims=True) == 0)
    return y, raw / raw.sum(axis=1, keepdims=True), rng.uniform(0.5, 2, n)


def utility_of_weights(objective, class_weights, proba, soft, weight):
    predicted = ClassWeights(class_weights).apply(proba)
    columns = [weight[predicted == c] @ soft[predicted == c] for c in range(3)]
    return float(objective.utility(np.column_stack(columns), None))


MULTICLASS = [
    *(METRICS[n] for n in ["f1_macro", "f1_weighted", "mcc", "gmean"]),
    METRICS["balanced_accuracy"],
    FBeta(2),
    Cost([[0, 1, 2], [5, 0, 2], [20, 9, 0]]),
]


@pytest.mark.parametrize("objective", MULTICLASS, ids=repr)
@given(seed=seeds)
@few
def test_class_weights_are_never_worse_than_argmax(objective, seed):
    y, proba, weight = classes(seed)
    soft = np.eye(3)[y]
    found = best_class_weights(proba, soft * weight[:, np.newaxis], objective)
    assert np.log(found).sum() == pytest.approx(0, abs=1e-9)
    after = utility_of_weights(objective, found, proba, soft, weight)
    before = utility_of_weights(objective, (1, 1, 1), proba, soft, weight)
    assert after >= before - 1e-9


@pytest.mark.parametrize("objective", MULTICLASS, ids=repr)
@given(seed=seeds)
@settings(max_examples=12, deadline=None)
def test_one_class_weight_is_that_of_brute_force(objective, seed):
    y, proba, weight = classes(seed, n=25)
    soft = np.eye(3)[y]
    others = np.array([1.0, 0.7, 1.9])

    def utility(value, c):
        trial = others.copy()
        trial[c] = value
        return utility_of_weights(objective, trial, proba, soft, weight)

    evidence = soft * weight[:, np.newaxis]
    for c in range(3):
        value = search_module._best_coordinate(proba, evidence, others, c, objective)
        grid = [utility(v, c) for v in np.geomspace(1e-2, 1e2, 150)]
        assert utility(value, c) >= max(grid) - 1e-9


@pytest.mark.parametrize("objective", MULTICLASS, ids=repr)
def test_of_many_values_some_are_compared_and_then_those_around_the_best(
    objective, monkeypatch
):
    """The best of a rare class is found, though one value in four is compared."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, 4000, p=[0.9, 0.09, 0.01])
    raw = rng.exponential(size=(4000, 3)) + 0.8 * np.eye(3)[y] + [1, 0.3, 0]
    proba = raw / raw.sum(axis=1, keepdims=True)
    evidence, others = np.eye(3)[y], np.array([1.0, 0.7, 1.9])
    compared = []

    class Counted:
        def utility(self, confusion, pos):
            compared.append(len(confusion))
            return objective.utility(confusion, pos)

    def found(c):
        value = search_module._best_coordinate(proba, evidence, others, c, Counted())
        trial = others.copy()
        trial[c] = value
        return utility_of_weights(objective, trial, proba, evidence, np.ones(4000))

    exact = [found(c) for c in range(3)]
    assert len(compared) == 3
    n_all = sum(compared)
    compared.clear()
    monkeypatch.setattr(search_module, "_COMPARED_CELLS", 9 * 400)
    level = max(abs(u) for u in exact)
    np.testing.assert_allclose([found(c) for c in range(3)], exact, atol=1e-3 * level)
    assert max(compared) <= 400
    assert sum(compared) < n_all / 4


@pytest.mark.parametrize(("share", "more_follow"), [(10.0, False), (0.0, True)])
def test_another_pass_over_the_classes_follows_one_that_gained_enough(
    share, more_follow, monkeypatch
):
    y, proba, weight = classes(2)
    tuned, one = [], search_module._best_coordinate

    def noted(*args):
        tuned.append(args[3])
        return one(*args)

    monkeypatch.setattr(search_module, "_best_coordinate", noted)
    monkeypatch.setattr(search_module, "_WORTH_A_PASS", share)
    evidence = np.eye(3)[y] * weight[:, np.newaxis]
    best_class_weights(proba, evidence, METRICS["f1_macro"])
    assert tuned[:3] == [0, 1, 2]
    assert (len(tuned) > 3) == more_follow


def test_a_class_that_no_row_could_move_to_keeps_its_weight():
    proba = np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0]])
    soft = np.eye(3)[[0, 1]]
    objective = METRICS["accuracy"]
    value = search_module._best_coordinate(proba, soft, np.ones(3), 2, objective)
    assert value == 1


def test_weights_of_small_classes_are_shrunk_towards_one():
    weights = np.array([0.25, 1.0, 4.0])
    few_rows = search_module._shrunk(weights, np.array([1000, 1000, 10]))
    many_rows = search_module._shrunk(weights, np.array([10**6, 10**6, 10**6]))
    np.testing.assert_allclose(many_rows, weights, rtol=1e-3)
    assert few_rows[2] / few_rows[1] == pytest.approx(2, rel=0.02)
    assert np.prod(few_rows) == pytest.approx(1)


# Tuning


@pytest.mark.parametrize(
    ("n_rarest", "label_share"), [(5, 0), (50, 0), (75, 0.5), (100, 1)]
)
def test_soft_labels_go_from_probabilities_to_labels(n_rarest, label_share):
    y, proba, _ = classes(0)
    soft = soft_labels(y, proba, n_rarest)
    np.testing.assert_allclose(
        soft, label_share * np.eye(3)[y] + (1 - label_share) * proba
    )
    np.testing.assert_allclose(soft.sum(axis=1), 1)


def binary(seed=0, n=600, shift=-2.0):
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(shift, 1.5, n))
    return (rng.random(n) < p).astype(int), two_columns(p, 1)


def test_the_cut_is_tuned_on_labels_when_they_are_many():
    y, proba = binary()
    assert np.count_nonzero(y) >= 100
    rule, (low, high), _ = tune_threshold(
        entries(y), proba, proba, METRICS["f1"], pos=1, seed=0
    )
    exact = best_cut(proba[:, 1], y * 1.0, np.ones(len(y)), METRICS["f1"], 1)
    assert rule == Cut(exact, 1)
    assert rule.value == exact
    assert 0 < low <= high < 1


def test_the_cut_is_tuned_on_probabilities_when_positives_are_few():
    y, proba = binary(n=300, shift=-5.0)
    assert np.count_nonzero(y) < 50
    how = {"pos": 1, "seed": 0, "n_draws": 5}
    rule = tune_threshold(entries(y), proba, proba, Cost(fp=1, fn=4), **how).rule
    assert rule.value == pytest.approx(0.2, abs=0.05)


@each_objective
def test_repeats_of_rows_and_their_order_change_nothing(objective):
    y, proba = binary(n=200)
    how = {"pos": 1, "seed": 3, "n_draws": 20}
    once = tune_threshold(entries(y), proba, proba, objective, **how)
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(200), 2))
    twice = tune_threshold(
        entries(y[ids], ids=ids), proba[ids], proba[ids], objective, **how
    )
    assert twice.rule == once.rule
    np.testing.assert_allclose(twice.interval, once.interval)
    np.testing.assert_allclose(twice.left_out, once.left_out)


@each_objective
def test_copies_of_rows_in_their_groups_are_no_more_evidence(objective):
    """What counts rows counts the copies, too; all else is as with one of each."""
    y, proba = binary(n=200)
    how = {"pos": 1, "seed": 3, "n_draws": 20}
    once = tune_threshold(entries(y), proba, proba, objective, **how)
    group = np.random.default_rng(0).permutation(np.repeat(np.arange(200), 3))
    if isinstance(objective, TopK):
        objective = TopK(3 * objective.k)
    copied = tune_threshold(
        entries(y[group], units=group), proba[group], proba[group], objective, **how
    )
    assert copied.rule == once.rule
    np.testing.assert_allclose(copied.interval, once.interval)
    np.testing.assert_allclose(copied.left_out, 3 * once.left_out)


def test_a_capacity_counts_rows_whatever_they_weigh():
    y, proba = binary(n=300)
    weight = np.random.default_rng(0).uniform(0.1, 20, 300)
    how = {"pos": 1, "seed": 0, "n_draws": 5}
    for objective, n_alerts in ((TopK(25), 25), (TopShare(0.1), 30)):
        cut = tune_threshold(entries(y, weight), proba, proba, objective, **how).rule
        assert cut.apply(proba).sum() == n_alerts


def test_cuts_of_draws_are_scored_on_the_rows_that_were_left_out():
    """By brute force: the same draws, cut by cut, with scikit-learn's matrix."""
    y, proba = binary(n=300)
    ids = np.repeat(np.arange(150), 2)
    y = y[ids * 2]  # both entries of a row have its label
    assert np.count_nonzero(y) >= 30
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, 300)
    how = {"pos": 1, "seed": 5, "n_draws": 7}
    tuned = tune_threshold(
        entries(y, weight, ids=ids), proba, proba, METRICS["mcc"], **how
    )
    score = proba[:, 1]
    order = np.argsort(-score, kind="stable")
    soft = soft_labels(y, proba, int(np.bincount(y[::2]).min()))[:, 1]
    draws = list(Draws.of(y, ids, 7, 5))
    assert len(tuned.left_out) == len(draws)
    for draw, found in zip(draws, tuned.left_out, strict=True):
        drawn, out = (weight * draw)[order], draw[order] == 0
        cut = best_cut(score[order], soft[order], drawn, METRICS["mcc"], 1)
        expected = confusion_matrix(
            y[order][out],
            score[order][out] >= cut,
            sample_weight=weight[order][out],
            labels=[0, 1],
        )
        np.testing.assert_allclose(found, expected)


def test_a_constraint_out_of_reach_warns_once_and_the_nearest_cut_is_taken():
    y, proba = binary(n=300)
    goal = PrecisionAtLeast(0.999)
    how = {"pos": 1, "seed": 0, "n_draws": 3}
    with pytest.warns(
        UnreachableConstraintWarning,
        match=r"PrecisionAtLeast\(precision=0.999.*lower bound of precision.* is 0\.",
    ) as caught:
        rule = tune_threshold(entries(y), proba, proba, goal, **how).rule
    assert len(caught) == 1
    assert isinstance(rule, Cut)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tune_threshold(entries(y), proba, proba, PrecisionAtLeast(0.2), **how)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_weights_are_no_evidence_whatever_their_scale(scale):
    y, proba = binary(n=300)
    how = {"pos": 1, "seed": 0, "n_draws": 3}
    goal = PrecisionAtLeast(0.3)
    unscaled = tune_threshold(entries(y), proba, proba, goal, **how).rule
    weighted = entries(y, np.full(300, scale))
    assert tune_threshold(weighted, proba, proba, goal, **how).rule == unscaled


def test_more_classes_get_weights_and_no_interval():
    y, proba, weight = classes(0, n=600)
    tuned = tune_threshold(
        entries(y, weight), proba, proba, METRICS["f1_macro"], pos=None, seed=0
    )
    assert tuned.interval is tuned.left_out is None
    assert isinstance(tuned.rule, ClassWeights)
    assert tuned.rule.value.shape == (3,)
    assert set(np.unique(tuned.rule.apply(proba))) <= {0, 1, 2}


# Rules as values


def test_rules_label_as_they_say():
    proba = np.array([[0.7, 0.3], [0.75, 0.25], [0.5, 0.5]])
    assert Cut(0.3, 1).apply(proba).tolist() == [1, 0, 1]
    assert Cut(0.7, 0).apply(proba).tolist() == [0, 0, 1]
    assert ClassWeights((1.0, 2.5)).apply(proba).tolist() == [1, 0, 1]
    assert Argmax().apply(proba).tolist() == [0, 0, 0]
    assert Argmax().value is None


# What users write


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_objectives_are_values(objective):
    assert isinstance(objective, ThresholdObjective)
    assert objective.label
    clone = pickle.loads(pickle.dumps(objective))
    assert clone == objective
    assert hash(clone) == hash(objective)
    if objective in OWN:
        names = {**vars(metrics_module), **vars(objectives_module)}
        assert eval(repr(objective), names) == objective
    assert resolve_threshold(objective, 2, 1) is objective


@pytest.mark.parametrize(
    ("threshold", "resolved"),
    [
        (None, Argmax()),
        (0.25, Cut(0.25, 1)),
        (np.float32(0.25), Cut(0.25, 1)),
        (1, Cut(1.0, 1)),
        ("f1", METRICS["f1"]),
        ("gmean", METRICS["gmean"]),
    ],
    ids=repr,
)
def test_spellings_are_resolved(threshold, resolved):
    assert resolve_threshold(threshold, 2, 1) == resolved


def test_f1_means_macro_f1_for_more_than_two_classes():
    assert resolve_threshold("f1", 3, None) == METRICS["f1_macro"]


@pytest.mark.parametrize(
    ("threshold", "n_classes", "message"),
    [
        ("f1_macor", 2, "threshold='f1_macor' is not known. Did you mean 'f1_macro'"),
        ("roc_auc", 2, "'roc_auc' is no metric of labels.*Possible names: accuracy, "),
        (METRICS["average_precision"], 2, "is no metric of labels"),
        (1.5, 2, "threshold=1.5 must lie between 0 and 1"),
        (math.nan, 2, "threshold=nan must lie between 0 and 1"),
        (0.5, 3, "one cut, but y has 3 classes. Use None"),
        (True, 2, "threshold=True must be None, a number"),
        (TopK, 2, "must be None, a number"),
        (TopK(5), 3, r"TopK\(k=5\) needs two classes, y has 3"),
        (RecallAtLeast(0.5), 4, "needs two classes, y has 4"),
        (Cost(fp=1, fn=2), 3, r"Cost\(fp=1, fn=2\) gives costs for 2 classes, y has 3"),
        (Cost([[0, 1], [1, 0]]), 3, "gives costs for 2 classes, y has 3"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_way_out(threshold, n_classes, message):
    with pytest.raises(BadInputError, match=message):
        resolve_threshold(threshold, n_classes, 1 if n_classes == 2 else None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PrecisionAtLeast(1.0), "precision must lie between 0 and 1, got 1.0"),
        (lambda: RecallAtLeast(-0.1), "recall must lie between 0 and 1, got -0.1"),
        (lambda: RecallAtLeast(0.5, confidence=0.2), "confidence must lie in .*0.2"),
        (lambda: TopK(0), "k must be a whole number from 1 on, got 0"),
        (lambda: TopShare(1.2), "share must lie between 0 and 1, got 1.2"),
        (Cost, "needs a positive fp and fn, .* got fp=None, fn=None"),
        (lambda: Cost(fp=1, fn=-2), "fn=-2"),
        (lambda: Cost([[0, 1], [1, 0]], fp=1), "either a matrix or fp and fn"),
        (lambda: Cost([[0, 1, 2], [1, 0, 2]]), "must be square, one row"),
        (lambda: Cost([[0, math.inf], [1, 0]]), "must be square, one row"),
    ],
    ids=[
        *("precision", "recall", "confidence", "k", "share", "no costs"),
        *("negative cost", "both forms", "not square", "infinite"),
    ],
)
def test_impossible_objectives_are_refused(make, message):
    with pytest.raises(BadInputError, match=message):
        make()


# Many rows


def ranking_of(seed=0, n=500):
    rng = np.random.default_rng(seed)
    score = np.sort(rng.integers(0, 300, n) / 300)[::-1]
    membership = (rng.random(n) < score**3).astype(float)
    return search_module._RankedCuts.of(score, membership, np.ones(n), 1), rng


def test_fewer_cuts_have_the_same_confusions():
    full, rng = ranking_of()
    thin = full.thinned(40)
    weight = rng.integers(0, 4, 500).astype(float)
    kept = np.flatnonzero(np.isin(full.cuts, thin.cuts))
    assert {0, len(full.cuts) - 1} <= set(kept)
    assert len(kept) == len(thin.cuts) <= 41
    np.testing.assert_array_equal(
        thin._confusions(weight), full._confusions(weight)[kept]
    )


def test_fewer_cuts_share_out_rows_and_positives():
    full, _ = ranking_of()
    thin = full.thinned(40)
    found = np.append(0, full.positive_share.cumsum()[thin.last])
    assert np.diff(thin.last, prepend=-1).max() <= 2 * 500 / 20
    assert np.diff(found).max() <= found[-1] / 19 + 5  # five of one score, at most


def test_few_cuts_are_left_as_they_are():
    full, _ = ranking_of()
    assert full.thinned(len(full.last)) is full


def test_cuts_are_exact_and_intervals_near_however_few_cuts_a_draw_tries(monkeypatch):
    rng = np.random.default_rng(1)
    y = (rng.random(2000) < 0.1).astype(int)
    p = expit(rng.normal(size=2000) + 2 * y - 2)
    proba = np.column_stack([1 - p, p])

    def tuned():
        return tune_threshold(
            entries(y), proba, proba, METRICS["f1"], pos=1, seed=0, n_draws=30
        )

    rule, interval, _ = tuned()
    monkeypatch.setattr(search_module, "_MAX_DRAWN_CUTS", 200)
    again, near, _ = tuned()
    assert again == rule
    np.testing.assert_allclose(near, interval, atol=0.05)
