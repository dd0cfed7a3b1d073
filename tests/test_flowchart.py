"""The flowchart has one answer for every table, the one that it draws."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import five_classes, numeric, profile_of

from autoimb._catalogue import CATALOGUE
from autoimb._strategy.flowchart import FLOWCHART, Advice, Question, recommend

PROFILE = replace(profile_of(*numeric()), minority_types=None)
NODES = {node.key: node for node in FLOWCHART}
INTERPOLATING = {"smote", "smote_tomek"}

ratios = st.floats(1.0, 1e7) | st.sampled_from([9.99, 10.0, 100.0, 100.01])
minorities = st.integers(2, 10_000_000) | st.sampled_from([500, 501])


def advised(ratio, minority, **changes):
    """Return the recommendation for a table of this imbalance."""
    changed = {"imbalance_ratio": ratio, "minority_count": minority, **changes}
    return recommend(replace(PROFILE, **changed))


@pytest.mark.parametrize(
    ("ratio", "minority", "advice"),
    [
        (1.0, 50, "weights"),
        (9.99, 501, "weights"),
        (10.0, 501, "smote"),
        (10.0, 500, "collect"),
        (100.0, 501, "smote"),
        (100.0, 500, "collect"),
        (100.01, 501, "combine"),
        (100.01, 500, "combine"),
    ],
)
def test_edges_belong_to_the_side_that_the_flowchart_says(ratio, minority, advice):
    assert advised(ratio, minority).path[-1] == advice


@given(ratio=ratios, minority=minorities)
def test_exactly_one_branch_holds(ratio, minority):
    profile = replace(PROFILE, imbalance_ratio=ratio, minority_count=minority)
    for question in NODES.values():
        if isinstance(question, Question):
            assert sum(branch.holds(profile) for branch in question.branches) == 1


@given(ratio=ratios, minority=minorities)
def test_every_path_follows_branches_to_advice(ratio, minority):
    found = advised(ratio, minority)
    *questions, last = (NODES[key] for key in found.path)
    assert isinstance(last, Advice)
    assert found.advice == last.text
    assert len(found.reasons) == len(questions)
    for question, target in zip(questions, found.path[1:], strict=True):
        assert target in {branch.target for branch in question.branches}


def test_every_node_is_drawn_once_and_can_be_reached():
    assert len(NODES) == len(FLOWCHART)
    targets = {
        branch.target
        for node in FLOWCHART
        if isinstance(node, Question)
        for branch in node.branches
    }
    assert targets == NODES.keys() - {FLOWCHART[0].key}


@pytest.mark.parametrize(
    ("ratio", "minority", "first"),
    [
        (5.0, 50, {"class_weight": "balanced", "resampler": "none"}),
        (20.0, 50, {"class_weight": "balanced", "resampler": "none"}),
        (20.0, 900, {"class_weight": "none", "resampler": "smote"}),
        (200.0, 900, {"class_weight": "balanced", "resampler": "smote"}),
    ],
    ids=["weights", "collect", "smote", "combine"],
)
def test_the_first_seed_does_what_the_advice_says(ratio, minority, first):
    seed = advised(ratio, minority).seeds[0]
    assert {axis: seed.choice(axis).name for axis in first} == first


@given(ratio=ratios, minority=minorities)
def test_seeds_handle_the_imbalance_and_differ(ratio, minority):
    seeds = advised(ratio, minority).seeds
    assert seeds
    assert len(set(seeds)) == len(seeds)
    assert all(seed.is_handled for seed in seeds)


@given(
    ratio=ratios,
    minority=minorities,
    rare=st.floats(0, 1),
    outlier=st.floats(0, 1),
)
def test_only_the_advice_itself_interpolates_where_most_of_the_minority_lies_alone(
    ratio, minority, rare, outlier
):
    rest = max(1e-9, 2 - rare - outlier)
    total = rare + outlier + rest
    shares = {"safe": rest, "borderline": 0.0, "rare": rare, "outlier": outlier}
    types = {kind: share / total for kind, share in shares.items()}
    found = advised(ratio, minority, minority_types=types)
    usual = advised(ratio, minority).seeds
    is_unsafe = types["rare"] + types["outlier"] > 0.5
    if is_unsafe:
        advice, *others = found.seeds
        assert advice == usual[0]
        assert not {seed.resampler.name for seed in others} & INTERPOLATING
    else:
        assert found.seeds == usual
    # It is a reason only where a resampler was advised at all.
    resamples = any(seed.resampler.name != "none" for seed in usual)
    said = "beside interpolation" in found.reasons[-1]
    assert said == (is_unsafe and resamples)


def test_reasons_carry_the_data_s_own_numbers():
    reasons = " ".join(advised(42.5, 1234).reasons)
    assert "1:42.5" in reasons
    assert "1,234 rows" in reasons


@pytest.mark.parametrize(
    ("changes", "metric", "why"),
    [
        ({"imbalance_ratio": 1.2}, "roc_auc", "balanced"),
        ({"n_classes": 5}, "average_precision", "averaged over the classes"),
        ({"imbalance_ratio": 300.0}, "average_precision", "MCC"),
        ({}, "average_precision", "positives are rare"),
    ],
    ids=["balanced", "multiclass", "severe", "usual"],
)
def test_the_metric_comes_with_its_reason(changes, metric, why):
    found = recommend(replace(PROFILE, **changes))
    assert found.metric == metric
    assert why in found.metric_reason


def test_it_prints_advice_reasons_metric_and_seeds():
    found = recommend(profile_of(*five_classes()))
    text = str(found)
    for part in (found.advice, *found.reasons, found.metric):
        assert part in text
    assert all(seed.label(CATALOGUE) in text for seed in found.seeds)


def test_seeds_leave_out_families_that_the_catalogue_lacks():
    families = CATALOGUE.entries["family"]
    small = replace(
        CATALOGUE,
        entries={**CATALOGUE.entries, "family": {"xgboost": families["xgboost"]}},
    )
    assert {s.family.name for s in recommend(PROFILE, catalogue=small).seeds} == {
        "xgboost"
    }
