"""One frozen value: it round-trips, has a label, and builds ordinary pipelines."""

import json
import pickle
import warnings

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline as ResamplingPipeline
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import RandomTrial, categories, five_classes, mixed, numeric, space_of

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.user_objects import entry_of_estimator, entry_of_resampler
from autoimb._strategy.strategy import Choice, Strategy
from autoimb._table.table import check_table

SPACE = space_of(*numeric())
strategies = st.integers(0, 2**32 - 1).map(
    lambda seed: SPACE.suggest(RandomTrial(np.random.default_rng(seed)))
)


def strategy(family="logistic_regression", **axes):
    return Strategy.of(CATALOGUE, family=family, **axes)


def built(chosen, X, y, **options):
    table = check_table(X, y)
    options = {"seed": 0} | options
    return chosen.build(CATALOGUE, table.schema, table.y, **options), table


# --- round trips


@given(strategies)
def test_json_gives_it_back(chosen):
    assert Strategy.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


@given(strategies)
def test_optuna_parameters_give_it_back(chosen):
    trial = optuna.trial.FixedTrial(SPACE.to_params(chosen))
    assert SPACE.suggest(trial) == chosen


@settings(max_examples=25)
@given(strategies)
def test_an_enqueued_strategy_is_what_the_trial_proposes(chosen):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = optuna.create_study()
        study.enqueue_trial(SPACE.to_params(chosen))
        assert SPACE.suggest(study.ask()) == chosen


@given(strategies, strategies)
def test_it_is_a_value(one, other):
    copy = pickle.loads(pickle.dumps(one))
    assert copy == one
    assert hash(copy) == hash(one)
    assert (one == other) == (one.to_dict() == other.to_dict())


def test_the_order_of_parameters_does_not_matter():
    one = Choice.of("smote", {"strength": 0.5, "k_neighbors": 3})
    assert one == Choice.of("smote", {"k_neighbors": 3, "strength": 0.5})


def test_parameters_that_are_not_given_have_their_defaults():
    chosen = strategy(resampler=("smote", {"strength": 0.4}))
    assert dict(chosen.resampler.params) == {"strength": 0.4, "k_neighbors": 5}
    assert dict(chosen.family.params) == {"C": 1.0}


# --- words


@pytest.mark.parametrize(
    ("axes", "label"),
    [
        ({}, "logistic regression"),
        ({"resampler": "tomek"}, "logistic regression with Tomek links"),
        (
            {
                "resampler": ("smote", {"strength": 0.83333, "k_neighbors": 3}),
                "class_weight": ("balanced", {"exponent": 0.5}),
            },
            "logistic regression with SMOTE (k_neighbors 3, strength 0.833) + class "
            "weights (exponent 0.5)",
        ),
    ],
    ids=["plain", "no parameters", "all"],
)
def test_its_label_says_what_is_done_about_the_imbalance(axes, label):
    assert strategy(**axes).label(CATALOGUE) == label


@pytest.mark.parametrize(
    ("axes", "is_handled"),
    [
        ({}, False),
        ({"family": ("logistic_regression", {"C": 0.1})}, False),
        ({"resampler": "tomek"}, True),
        ({"class_weight": "balanced"}, True),
        ({"family": "mlp", "loss": "focal"}, True),
        ({"family": "balanced_random_forest"}, True),
    ],
    ids=["nothing", "settings", "resampler", "weights", "loss", "built in"],
)
def test_it_is_handled_if_any_axis_does_something(axes, is_handled):
    assert strategy(**axes).is_handled is is_handled


# --- what is built


def test_a_plain_pipeline_unless_something_resamples():
    plain, _ = built(strategy(class_weight="balanced"), *numeric())
    resampling, _ = built(strategy(resampler="random_over"), *numeric())
    assert type(plain) is Pipeline
    assert type(resampling) is ResamplingPipeline


@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.0])
def test_class_weights_are_a_power_of_the_ratio(exponent):
    X, y = five_classes()
    counts = np.bincount(y)
    chosen = strategy(class_weight=("balanced", {"exponent": exponent}))
    pipeline, _ = built(chosen, X, y)
    weights = pipeline["model"].class_weight
    for code, n in enumerate(counts):
        assert weights[code] == pytest.approx((counts.max() / n) ** exponent)


def test_class_weights_exponent_one_gives_every_class_the_same_say():
    X, y = five_classes()
    pipeline, _ = built(strategy(class_weight="balanced"), X, y)
    totals = [w * n for w, n in zip(
        pipeline["model"].class_weight.values(), np.bincount(y), strict=True
    )]  # fmt: skip
    np.testing.assert_allclose(totals, totals[0])


@pytest.mark.parametrize("resampler", ["smote", "random_over", "random_under"])
def test_class_weights_count_the_rows_that_resampling_leaves(resampler):
    full, _ = built(
        strategy(resampler=resampler, class_weight="balanced"), *five_classes()
    )
    assert set(full["model"].class_weight.values()) == {1.0}
    half = strategy(resampler=(resampler, {"strength": 0.5}), class_weight="balanced")
    X, y = five_classes()
    pipeline, table = built(half, X, y)
    _, left = pipeline["resample"].fit_resample(np.asarray(table.X), table.y)
    ratios = np.bincount(left).max() / np.bincount(left)
    np.testing.assert_allclose(
        list(pipeline["model"].class_weight.values()), ratios, rtol=1e-9
    )


def test_no_handling_sets_no_class_weights():
    pipeline, _ = built(strategy(), *numeric())
    assert pipeline["model"].class_weight is None
    assert "resample" not in pipeline.named_steps


@pytest.mark.parametrize("minority", [4, 6, 24])
def test_smote_asks_for_no_more_neighbours_than_there_are(minority):
    X, y = numeric(minority=minority)
    pipeline, table = built(strategy(resampler="smote"), X, y)
    sampler = pipeline["resample"]
    assert sampler.k_neighbors == min(5, minority - 1)
    _, resampled = sampler.fit_resample(table.X, table.y)
    assert np.bincount(resampled).tolist() == [120 - minority] * 2


@pytest.mark.parametrize(
    ("make", "name", "sampler"),
    [
        (numeric, "smote", "SMOTE"),
        (mixed, "smote", "CategorySampler"),
        (mixed, "smotenc", "SMOTENC"),
        (categories, "smoten", "SMOTEN"),
    ],
)
def test_the_sampler_that_suits_the_columns_is_built(make, name, sampler):
    pipeline, _ = built(strategy(resampler=name), *make())
    assert type(pipeline["resample"]).__name__ == sampler


@pytest.mark.parametrize("make", [mixed, categories], ids=["both", "categories"])
def test_synthetic_rows_hold_real_categories(make):
    pipeline, table = built(strategy(resampler="smote"), *make())
    codes = pipeline["encode"].fit_transform(table.X)
    resampled, _ = pipeline["resample"].fit_resample(codes, table.y)
    assert len(resampled) > len(codes)
    for column in range(len(table.schema.positions("categorical"))):
        assert set(resampled[:, column]) <= set(codes[:, column])


def test_one_seed_and_the_threads_reach_every_step():
    chosen = strategy("extra_trees", resampler="random_over")
    pipeline, _ = built(chosen, *numeric(), seed=7, n_threads=2)
    assert pipeline["resample"].random_state == 7
    assert pipeline["model"].random_state == 7
    assert pipeline["model"].n_jobs == 2


def test_a_model_of_the_users_own_keeps_its_settings_and_is_not_touched():
    mine = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    catalogue = CATALOGUE.with_entry(
        "family", entry_of_estimator(mine, "mine", view=None)
    )
    chosen = Strategy.of(catalogue, family="mine", class_weight="balanced")
    X, y = numeric()
    pipeline = chosen.build(catalogue, check_table(X, y).schema, y, seed=3)
    model = pipeline["model"][-1]
    assert [name for name, _ in pipeline.steps] == ["model"]
    assert (model.C, model.random_state) == (0.3, 3)
    assert model.class_weight == {0: 1.0, 1: 4.0}
    assert mine[-1].class_weight is mine[-1].random_state is None


def test_a_random_state_that_the_user_set_stays():
    mine = entry_of_estimator(LogisticRegression(random_state=11), "mine", view=None)
    catalogue = CATALOGUE.with_entry("family", mine)
    X, y = numeric()
    pipeline = Strategy.of(catalogue, family="mine").build(
        catalogue, check_table(X, y).schema, y, seed=3
    )
    assert pipeline["model"].random_state == 11


def test_a_net_gets_the_number_of_code_columns_only_where_it_reads_codes():
    X, y = mixed()
    table = check_table(X, y)
    own = CATALOGUE.with_entry("resampler", entry_of_resampler(SMOTE(), "own_smote"))
    for resampler, n_codes in (
        ("none", len(table.schema.positions("categorical"))),
        ("own_smote", 0),
    ):
        chosen = Strategy.of(own, family="tabm", resampler=resampler)
        pipeline = chosen.build(own, table.schema, table.y, seed=0)
        assert pipeline.named_steps["model"].n_categorical == n_codes


@pytest.mark.parametrize(
    ("resampler", "share"),
    [("smote", 0.0), ("random_over", 0.0), ("none", 0.15), ("tomek", 0.15)],
)
def test_a_net_holds_no_rows_out_beside_their_copies(resampler, share):
    pipeline, _ = built(strategy("mlp", resampler=resampler), *numeric())
    assert pipeline["model"].validation_fraction == share
