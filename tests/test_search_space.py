"""The space holds what fits the data and the user, and says why not the rest."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.combine import SMOTEENN
from imblearn.under_sampling import (
    EditedNearestNeighbours,
    NearMiss,
    RandomUnderSampler,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from tables import RandomTrial, five_classes, mixed, numeric, profile_of, space_of

from autoimb._catalogue import AXES, CATALOGUE
from autoimb._catalogue.entry import (
    OWN,
    UNWEIGHTED,
    Family,
    Resampler,
    rows_at_most,
)
from autoimb._catalogue.user_objects import entry_of_estimator
from autoimb._strategy.flowchart import recommend
from autoimb._strategy.strategy import Strategy
from autoimb._table.table import check_table
from autoimb.exceptions import BadInputError

SPACE = space_of(*numeric())
PROFILE = profile_of(*numeric())


def reasons(space):
    return {out.name: out.reason for out in space.unsuitable}


def strategy(family="logistic_regression", **axes):
    return Strategy.of(CATALOGUE, family=family, **axes)


# --- what fits


@pytest.mark.parametrize("wish", ["auto", "all"])
def test_auto_holds_its_entries_and_all_holds_every_one_that_fits(wish):
    space = space_of(*numeric(), **dict.fromkeys(AXES, wish))
    for axis in AXES:
        wanted = [
            name
            for name, entry in CATALOGUE.entries[axis].items()
            if (entry.auto or wish == "all")
            and entry.reason_unsuitable(PROFILE) is None
        ]
        assert set(space.names[axis]) == set(wanted) - {OWN} | space_own(space, axis)


def space_own(space, axis):
    """Return the name of built-in resampling where a family of the space has it."""
    families = [CATALOGUE.get("family", name) for name in space.names["family"]]
    has_it = axis == "resampler" and any(f.resampling == "own" for f in families)
    return {OWN} if has_it else set()


def test_all_holds_more_than_auto():
    everything = space_of(*numeric(), **dict.fromkeys(AXES, "all"))
    for axis in ("family", "resampler"):
        assert set(SPACE.names[axis]) < set(everything.names[axis])


@pytest.mark.parametrize(
    ("change", "gone", "reason"),
    [
        ({"weighted": True}, {"smote", "smote_tomek"}, "sample_weight"),
        ({"minority_count": 3}, {"smote", "smote_tomek"}, "at least 4 rows"),
        ({"n_rows": 60_000}, {"tomek", "borderline_smote"}, "above 50,000 rows"),
    ],
    ids=["weights", "few rows", "many rows"],
)
def test_what_does_not_fit_is_left_out_with_its_reason(change, gone, reason):
    space = space_of(*numeric(), profile=replace(PROFILE, **change))
    assert gone <= reasons(space).keys()
    assert all(reason in reasons(space)[name] for name in gone)
    assert not gone & set(space.names["resampler"])


@pytest.mark.parametrize(
    ("axis", "name", "message"),
    [
        ("family", "xgbost", "families='xgbost' is not known. Did you mean 'xgboost'"),
        ("resampler", "SMOT", r"resamplers='SMOT' is not known.*Known: adasyn"),
        ("class_weight", "balance", "class_weights='balance'.*mean 'balanced'"),
        ("loss", "focall", "losses='focall'.*mean 'focal'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(axis, name, message):
    with pytest.raises(BadInputError, match=message):
        space_of(*numeric(), **{axis: [name]})


@pytest.mark.parametrize(
    ("axis", "item"),
    [("family", 3), ("family", {}), ("resampler", LogisticRegression()), ("loss", 1.5)],
)
def test_an_object_that_fits_nowhere_is_refused(axis, item):
    with pytest.raises(BadInputError, match="neither a name nor an object"):
        space_of(*numeric(), **{axis: item})


@pytest.mark.parametrize("axis", ["loss", "resampler", "class_weight"])
@pytest.mark.parametrize("as_list", [True, False])
def test_doing_nothing_is_always_among_the_choices(axis, as_list):
    handling = {"loss": "focal", "resampler": "smote", "class_weight": "balanced"}
    wish = [handling[axis]] if as_list else handling[axis]
    names = space_of(*numeric(), **{axis: wish}).names[axis]
    assert len(names) == 2
    assert not Strategy.of(CATALOGUE, family="mlp", **{axis: names[0]}).is_handled


def test_an_axis_without_any_entry_that_fits_is_an_error():
    picky = Family(
        name="picky", label="picky", make=LogisticRegression(), needs=(rows_at_most(5),)
    )
    with pytest.raises(
        BadInputError, match=r"no family suits.*picky is too slow above"
    ):
        space_of(*numeric(), family=picky)


# --- objects of the user's own


def test_ready_objects_join_under_the_name_of_their_class():
    space = space_of(
        *numeric(), family=[LinearSVC(), "extra_trees"], resampler=NearMiss(version=2)
    )
    assert space.names["family"] == ("LinearSVC", "extra_trees")
    assert space.names["resampler"] == ("none", "NearMiss")
    chosen = Strategy.of(space.catalogue, family="LinearSVC", resampler="NearMiss")
    X, y = numeric()
    pipeline = chosen.build(space.catalogue, check_table(X, y).schema, y, seed=0)
    assert isinstance(pipeline["model"], LinearSVC)
    assert pipeline["resample"].version == 2


def test_an_entry_joins_as_it_is():
    entry = Resampler(name="mine", label="my own", make=None)
    assert space_of(*numeric(), resampler=entry).names["resampler"] == ("none", "mine")


def test_given_class_weights_are_read_by_label():
    X, y = mixed()
    space = space_of(X, y, class_weight={"yes": 7.5})
    chosen = Strategy.of(
        space.catalogue, family="logistic_regression", class_weight="given"
    )
    table = check_table(X, y)
    pipeline = chosen.build(space.catalogue, table.schema, table.y, seed=0)
    assert pipeline["model"].class_weight == {0: 1.0, 1: 7.5}


@pytest.mark.parametrize("wished", ["entry", "object"])
def test_a_model_s_own_weights_are_read_by_label(wished):
    """Models meet codes in place of labels."""
    X, y = mixed()
    own = make_pipeline(
        OneHotEncoder(handle_unknown="ignore"),
        LogisticRegression(class_weight={"yes": 7.5, "no": 1.0}),
    )
    family = entry_of_estimator(own, "mine") if wished == "entry" else own
    space = space_of(X, y, family=family)
    (name,) = space.names["family"]
    made = space.catalogue.get("family", name).make
    assert made[-1].class_weight == {1: 7.5, 0: 1.0}
    assert own[-1].class_weight == {"yes": 7.5, "no": 1.0}
    with pytest.raises(BadInputError, match=r"names \['maybe'\], which y does not"):
        space_of(X, y, family=LogisticRegression(class_weight={"maybe": 2.0}))


@pytest.mark.parametrize("as_array", [False, True], ids=["list", "array"])
@pytest.mark.parametrize("labels", [["no", "yes"], [2, 1], [True, False]], ids=str)
def test_a_sampler_s_classes_are_read_by_label(labels, as_array):
    """Samplers meet codes in place of labels."""
    X, y = numeric()
    labels = np.array(labels)
    codes = {label: code for code, label in enumerate(sorted(labels.tolist()))}
    first = labels[:1] if as_array else labels[:1].tolist()
    own = [
        EditedNearestNeighbours(sampling_strategy=first),
        SMOTEENN(enn=EditedNearestNeighbours(sampling_strategy=first)),
        RandomUnderSampler(sampling_strategy={labels.tolist()[0]: 20}),
    ]
    space = space_of(X, labels[y], resampler=own)
    cleaner, both, fewer = (
        space.catalogue.get("resampler", type(sampler).__name__).make for sampler in own
    )
    code = codes[labels.tolist()[0]]
    assert cleaner.sampling_strategy == both.enn.sampling_strategy == [code]
    assert fewer.sampling_strategy == {code: 20}
    assert list(own[0].sampling_strategy) == labels[:1].tolist()


def test_a_sampler_s_class_that_does_not_occur_is_refused():
    cleaner = EditedNearestNeighbours(sampling_strategy=["maybe"])
    with pytest.raises(BadInputError, match=r"sampling_strategy.*names \['maybe'\]"):
        space_of(*mixed(), resampler=cleaner)


@pytest.mark.parametrize(
    "weight", [np.nan, np.inf, -1, None, "2", np.float32("nan"), True], ids=repr
)
def test_class_weights_are_finite_numbers(weight):
    message = r"class_weight.* holds .* for the class 'yes': weights are finite"
    with pytest.raises(BadInputError, match=message):
        space_of(*mixed(), class_weight={"yes": weight})
    with pytest.raises(BadInputError, match=message):
        space_of(*mixed(), family=LogisticRegression(class_weight={"yes": weight}))


@pytest.mark.parametrize(
    ("axis", "word", "meant"),
    [
        ("family", "rf", "random_forest"),
        ("family", "RandomForestClassifier", "random_forest"),
        ("family", "XGBClassifier", "xgboost"),
        ("family", "LGBMClassifier", "lightgbm"),
        ("family", "knn", "k_neighbours"),
        ("family", "SVC", "svm"),
        ("resampler", "SMOTE", "smote"),
        ("resampler", "BorderlineSMOTE", "borderline_smote"),
        ("resampler", "SMOTE-NC", "smotenc"),
        ("resampler", "RandomUnderSampler", "random_under"),
        ("resampler", "TomekLinks", "tomek"),
        ("resampler", "SMOTEENN", "smote_enn"),
        ("resampler", "oversampling", "random_over"),
        ("loss", "focal_loss", "focal"),
        ("loss", "cross entropy", "log_loss"),
        ("class_weight", "class_balanced", "effective_number"),
    ],
)
def test_a_usual_name_is_answered_with_ours(axis, word, meant):
    with pytest.raises(BadInputError, match=f"Did you mean '{meant}'"):
        space_of(*numeric(), **{axis: word})


def test_class_weights_for_a_label_that_does_not_occur_are_refused():
    with pytest.raises(BadInputError, match=r"names \['maybe'\].*\['no', 'yes'\]"):
        space_of(*mixed(), class_weight={"maybe": 2.0})


@pytest.mark.parametrize(
    ("make", "gone"),
    [(mixed, {"smote", "smote_tomek", "tomek"}), (numeric, set())],
    ids=["categories and gaps", "numbers"],
)
def test_a_model_that_reads_the_table_as_it_is_takes_no_sampler_that_encodes(
    make, gone
):
    mine = entry_of_estimator(LogisticRegression(), "estimator", view=None)
    space = space_of(*make(), family=[mine])
    assert gone <= reasons(space).keys()
    assert {"none", "random_over", "random_under"} <= set(space.names["resampler"])


def test_class_weights_are_searched_only_for_models_that_take_them():
    space = space_of(*numeric(), family=[LinearSVC(class_weight="balanced")])
    rng = np.random.default_rng(0)
    drawn = {space.suggest(RandomTrial(rng)).class_weight.name for _ in range(30)}
    assert drawn == {OWN}


# --- walking


@given(st.integers(0, 2**32 - 1))
def test_whatever_is_drawn_is_in_the_space(seed):
    assert SPACE.suggest(RandomTrial(np.random.default_rng(seed))) in SPACE


def test_every_choice_can_be_drawn():
    rng = np.random.default_rng(0)
    drawn = [SPACE.suggest(RandomTrial(rng)) for _ in range(400)]
    for axis in AXES:
        assert {s.choice(axis).name for s in drawn} == set(SPACE.names[axis])


def test_a_loss_is_drawn_only_for_a_family_that_takes_it():
    rng = np.random.default_rng(0)
    for _ in range(200):
        chosen = SPACE.suggest(RandomTrial(rng))
        family = CATALOGUE.get("family", chosen.family.name)
        assert family.accepts(CATALOGUE.get("loss", chosen.loss.name))


@pytest.mark.parametrize(
    "outside",
    [
        strategy(resampler=("smote", {"k_neighbors": 99})),
        strategy(("logistic_regression", {"C": 1e9})),
        replace(strategy(), resampler=strategy(resampler="smote").resampler),
    ],
    ids=["neighbours", "C", "left out"],
)
def test_what_the_walk_cannot_reach_is_not_in_the_space(outside):
    weighted = space_of(*numeric(), profile=replace(PROFILE, weighted=True))
    assert outside not in weighted


def test_optuna_sees_only_the_parameters_that_matter():
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    chosen = SPACE.suggest(trial)
    names = SPACE.to_params(chosen).keys()
    assert trial.params.keys() == names


SENSELESS = {
    "class weights on top of a loss that corrects the shares": lambda s: (
        s.loss.name in ("logit_adjusted", "asymmetric")
        and s.class_weight.name != "none"
    ),
    "balanced batches for a model that has no batches": lambda s: (
        s.resampler.name == "balanced_batches" and s.family.name not in ("mlp", "tabm")
    ),
    "resampling in front of a family that resamples": lambda s: (
        CATALOGUE.get("family", s.family.name).resampling == "own"
        and s.resampler.name != OWN
    ),
    "a net's loss for a forest": lambda s: (
        "forest" in s.family.name and s.loss.name != "log_loss"
    ),
}


@pytest.mark.parametrize("senseless", SENSELESS.values(), ids=SENSELESS)
def test_senseless_pairs_are_never_proposed(senseless):
    everything = space_of(*numeric(), **dict.fromkeys(AXES, "all"))
    rng = np.random.default_rng(0)
    assert not any(senseless(everything.suggest(RandomTrial(rng))) for _ in range(1500))


def test_synthetic_rows_are_never_made_of_half_a_million():
    many = replace(PROFILE, n_rows=500_000, minority_count=5_000)
    space = space_of(*numeric(), profile=many, resampler="all")
    makes_rows = {
        name
        for name, e in CATALOGUE.entries["resampler"].items()
        if UNWEIGHTED in e.needs
    }
    # Noise around a repeated row needs no neighbours: it stays.
    assert makes_rows & set(space.names["resampler"]) <= {"rose"}


# --- the first trials

TABLE = check_table(*numeric())


def first_trials(ratio, reorder=list, **wishes):
    """Return the first trials, their space and the recommendation behind them."""
    space = space_of(None, None, profile=PROFILE, table=TABLE, **wishes)
    profile = replace(PROFILE, imbalance_ratio=ratio, minority_types=None)
    found = recommend(profile, catalogue=space.catalogue)
    found = replace(found, seeds=tuple(reorder(found.seeds)))
    return space.first_trials(found), space, found


def suits_numbers(entry):
    return entry.reason_unsuitable(PROFILE) is None


openings = st.builds(
    first_trials,
    ratio=st.sampled_from([5.0, 20.0, 300.0]),
    reorder=st.sampled_from([list, reversed]),
    family=st.lists(
        st.sampled_from(
            [e.name for e in CATALOGUE.entries["family"].values() if suits_numbers(e)]
        ),
        min_size=1,
        unique=True,
    ),
    resampler=st.sampled_from(["auto", "none", "random_under"]),
    class_weight=st.sampled_from(["auto", "none"]),
)


@given(openings)
def test_the_first_trial_is_the_cheapest_model_with_nothing_done(opening):
    order, space, _ = opening
    entries = [space.catalogue.get("family", n) for n in space.names["family"]]
    plain = {e.name: e.cost for e in entries if e.resampling != "own"}
    if plain:
        assert not order[0].is_handled
        assert plain[order[0].family.name] == min(plain.values())


@given(openings)
def test_a_family_is_tried_without_handling_before_with_it(opening):
    order, _, _ = opening
    for at, arm in enumerate(order):
        plain = [a for a in order[:at] if a.family.name == arm.family.name]
        always = arm.resampler.name == OWN
        assert not arm.is_handled or always or any(not a.is_handled for a in plain)


@given(openings)
def test_first_trials_are_distinct_and_inside_the_space(opening):
    order, space, _ = opening
    assert len(set(order)) == len(order)
    assert all(arm in space for arm in order)


@given(openings)
def test_every_seed_that_fits_and_every_portfolio_arm_is_tried(opening):
    order, space, found = opening
    seeds = {seed for seed in found.seeds if seed in space}
    assert set(order) == seeds | set(space.portfolio())


def test_what_is_left_out_has_a_reason():
    X, y = numeric(400, 30)
    space = space_of(X, y, resampler="none", family=["logistic_regression", "xgboost"])
    inside, outside = space.portfolio()[0], {"family": "logistic_regression"}
    assert space.reason_left_out(inside) is None
    smote = Strategy.of(space.catalogue, **outside, resampler="smote")
    assert "asked for" in space.reason_left_out(smote)
    profile = replace(profile_of(X, y), n_rows=10**7)
    slow = space_of(X, y, profile=profile)
    assert slow.reason_left_out(smote).startswith("SMOTE is too slow above")


def test_two_families_are_tried_as_they_are_then_the_flowchart_s_first_seed():
    order, _, found = first_trials(20.0)
    assert not order[1].is_handled
    assert order[1].family.name != order[0].family.name
    assert order[2] == found.seeds[0]


def test_the_flowchart_s_first_seed_follows_the_only_family_at_once():
    order, _, found = first_trials(20.0, family="logistic_regression")
    assert order[1] == found.seeds[0]


def test_five_classes_have_first_trials_too():
    X, y = five_classes()
    space = space_of(X, y)
    assert space.first_trials(recommend(profile_of(X, y)))


def test_auto_beside_an_object_lets_it_compete_with_all_of_auto():
    alone = space_of(*numeric(), family="auto").names["family"]
    mine = LogisticRegression()
    joined = space_of(*numeric(), family=["auto", mine]).names["family"]
    assert joined == (*alone, "LogisticRegression")
