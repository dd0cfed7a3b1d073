"""Trees as a few arrays: the same trees come out, and only trees do."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from autoimb._models.vote import soft_vote
from autoimb._persist.packing import (
    PackedPredictors,
    PackedTrees,
    _Walk,
    packed,
    unpacked,
)


@pytest.fixture(scope="module", params=[2, 4])
def table(request):
    return make_classification(
        200, 8, n_informative=5, n_classes=request.param, random_state=0
    )


def kinds_in(value):
    """Return how many of each packed class an object holds."""
    found = []

    def look(part):
        if isinstance(part, PackedTrees | PackedPredictors):
            found.append(type(part))
        return part

    _Walk(look)(value)
    return found


MODELS = {
    "forest": RandomForestClassifier(5, random_state=0),
    "extra_trees": make_pipeline(
        StandardScaler(), ExtraTreesClassifier(5, random_state=0)
    ),
    "histogram": HistGradientBoostingClassifier(max_iter=5),
    "categories": HistGradientBoostingClassifier(max_iter=5, categorical_features=[0]),
    "vote": soft_vote(random_state=0),
    "stumps": AdaBoostClassifier(n_estimators=5, random_state=0),
    "bags": BaggingClassifier(RandomForestClassifier(3), n_estimators=2),
    "seedless": BaggingClassifier(DecisionTreeClassifier(), n_estimators=3),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_packed_comes_out_as_it_was(name, table):
    X, y = table
    X = X.copy()
    X[:, 0] = np.abs(X[:, 0] * 3).astype(int)
    if name != "stumps":
        X[::7, 1] = np.nan
    if name in {"vote", "extra_trees"}:
        X = np.nan_to_num(X)
    model = clone(MODELS[name]).fit(X, y)
    before = model.predict_proba(X)
    small = packed(model)
    assert kinds_in(small)
    assert not kinds_in(model)  # the model itself is left as it is
    same = unpacked(small)
    assert not kinds_in(same)
    np.testing.assert_array_equal(same.predict_proba(X), before)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_every_part_of_a_tree_is_kept(table):
    forest = RandomForestClassifier(4, max_leaf_nodes=9, random_state=0).fit(*table)
    same = unpacked(packed(forest))
    np.testing.assert_array_equal(
        same.feature_importances_, forest.feature_importances_
    )
    for one, other in zip(same.estimators_, forest.estimators_, strict=True):
        assert one.random_state == other.random_state
        assert one.get_params() == other.get_params()
        assert one.tree_.max_depth == other.tree_.max_depth
        states = one.tree_.__getstate__(), other.tree_.__getstate__()
        for name in states[0]["nodes"].dtype.names:
            is_split = states[1]["nodes"]["left_child"] >= 0
            rows = is_split if name == "missing_go_to_left" else slice(None)
            values = [state["nodes"][name][rows] for state in states]
            np.testing.assert_array_equal(*values)
        np.testing.assert_array_equal(*(state["values"] for state in states))


def test_columns_are_shorter_than_nodes(table):
    (trees,) = [
        v
        for v in vars(packed(RandomForestClassifier(5).fit(*table))).values()
        if isinstance(v, PackedTrees)
    ]
    assert trees.nodes["left_child"].dtype == np.int8
    assert trees.nodes["feature"].dtype == np.int8
    assert trees.nodes["threshold"].dtype == np.float64


def test_parts_that_are_shared_stay_shared(table):
    forest = RandomForestClassifier(3, random_state=0).fit(*table)
    both = unpacked(packed({"one": forest, "two": (forest,), "three": [1.0, "x"]}))
    assert both["one"] is both["two"][0]
    assert both["one"] is not forest


def test_what_holds_no_trees_is_not_copied():
    holder = {"scaler": StandardScaler(), "numbers": [1, 2], "none": None}
    assert packed(holder) is holder


def test_trees_that_differ_in_their_parameters_are_left_as_they_are(table):
    trees = [DecisionTreeClassifier(max_depth=d).fit(*table) for d in (2, 3)]
    assert packed(trees) is trees
    regressors = GradientBoostingClassifier(n_estimators=2).fit(*table).estimators_
    assert packed(regressors) is regressors  # an array, which skops writes by itself


# --- arrays that are not those of trees


def packed_forest(table):
    return PackedTrees.of(
        RandomForestClassifier(3, random_state=0).fit(*table).estimators_
    )


def with_nodes(trees, **columns):
    return replace(trees, nodes={**trees.nodes, **columns})


def test_nodes_that_would_read_other_memory_are_refused(table):
    trees = packed_forest(table)
    far = trees.nodes["right_child"].astype(np.int64)
    far[0] = 10_000
    back = trees.nodes["left_child"].copy()
    back[0] = -1
    column = trees.nodes["feature"].copy()
    column[0] = 100
    single = trees.nodes["right_child"].copy()
    single[0] = 0
    bad = [
        with_nodes(trees, right_child=far),
        with_nodes(trees, left_child=back),
        with_nodes(trees, right_child=single),
        with_nodes(trees, feature=column),
        with_nodes(trees, feature=trees.nodes["feature"][:-1]),
        with_nodes(trees, more=trees.nodes["feature"]),
        replace(trees, n_features=100),
        replace(trees, values=trees.values[:-1]),
        replace(trees, n_nodes=trees.n_nodes * 0),
        replace(trees, template=StandardScaler()),
    ]
    for each in bad:
        with pytest.raises((ValueError, TypeError)):
            each.unpacked()


def test_a_split_on_a_feature_that_the_model_has_not_is_refused(table):
    boosted = packed(HistGradientBoostingClassifier(max_iter=3).fit(*table))
    far = boosted._predictors.nodes["feature_idx"].astype(np.int64) + 2**40
    boosted._predictors = with_nodes(boosted._predictors, feature_idx=far)
    with pytest.raises(ValueError, match="feature that there is not"):
        unpacked(boosted)


def test_rounds_that_do_not_fit_are_refused(table):
    boosted = HistGradientBoostingClassifier(max_iter=3).fit(*table)
    rounds = PackedPredictors.of(boosted._predictors)
    far = rounds.nodes["left"].astype(np.int64)
    far[0] = 10_000
    leaf = rounds.nodes["is_leaf"].copy()
    leaf[0] = 1
    category = rounds.nodes["is_categorical"].copy()
    category[0] = 1
    bad = [
        with_nodes(rounds, left=far),
        with_nodes(rounds, is_leaf=leaf),
        with_nodes(rounds, is_categorical=category),
        replace(rounds, n_in_round=rounds.n_in_round[:-1]),
        replace(rounds, n_bitsets=rounds.n_bitsets + 1),
    ]
    for each in bad:
        with pytest.raises(ValueError, match="tree"):
            each.unpacked()


# --- curves


@pytest.mark.parametrize(
    "curve",
    [
        tuple(np.linspace(0, 1, 20).tolist()),
        tuple((float(i), None, 0.1 * i) for i in range(20)),
    ],
    ids=["numbers", "points"],
)
def test_curves_come_out_as_they_were(curve):
    small = packed({"curve": curve})
    assert small["curve"].values.shape[0] == 20
    same = unpacked(small)["curve"]
    assert same == curve
    assert {type(v) for v in np.ravel(np.array(same, dtype=object))} <= {
        float,
        type(None),
    }


@pytest.mark.parametrize(
    "other",
    [
        (0.1,) * 3,
        (1,) * 20,  # whole numbers stay such
        (True,) * 20,
        ("a",) * 20,
        (float("nan"),) * 20,
        ((0.1, 0.2),) * 19 + ((0.1,),),
        ((),) * 20,
    ],
    ids=str,
)
def test_other_tuples_are_left_as_they_are(other):
    holder = {"it": other}
    assert packed(holder) is holder
