"""imbalanced-learn's samplers on tables with categories and gaps."""

import pickle
import warnings

import numpy as np
import pytest
from imblearn.combine import SMOTETomek
from imblearn.over_sampling import SMOTE
from imblearn.under_sampling import EditedNearestNeighbours, NearMiss, TomekLinks
from imblearn.utils.estimator_checks import estimator_checks_generator
from sklearn.base import clone
from tables import TABLES, categories, five_classes, mixed, numeric, profile_of

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import UNWEIGHTED
from autoimb._catalogue.sampler_factories import TrainingRows
from autoimb._models.samplers import (
    AttentiveADASYN,
    CategorySampler,
    ReportingKMeansSMOTE,
    ScalingSampler,
    SelectingSampler,
    WholeClassSampler,
)
from autoimb._table.encoding import make_encoder
from autoimb._table.table import check_table

ENTRIES = [e for e in CATALOGUE.entries["resampler"].values() if e.make is not None]
SELECTING = [e for e in ENTRIES if UNWEIGHTED not in e.needs]
SYNTHETIC = [e for e in ENTRIES if UNWEIGHTED in e.needs and "cent" not in e.name]


def named(entry):
    return entry.name


def resampled(entry, X, y, *, view, seed=0):
    """Return the encoded rows, their codes, and the same after an entry's sampler."""
    table = check_table(X, y)
    encoder = make_encoder(view, table.schema)
    rows = table.X if encoder is None else encoder.fit_transform(table.X)
    sampling = TrainingRows(
        counts=np.bincount(table.y),
        n_categorical=len(table.schema.positions("categorical")),
        seed=seed,
        is_scaled=view != "native",
    )
    sampler = entry.make(entry.defaults(), sampling)
    rows = np.asarray(rows, dtype=float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NearMiss-3 may find fewer rows
        return rows, table.y, sampler, sampler.fit_resample(rows, table.y)


def fits(entries, tables):
    """Return the pairs of an entry and a table that it suits."""
    return [
        pytest.param(entry, make, id=f"{entry.name}-{name}")
        for entry in entries
        for name, make in tables.items()
        if entry.reason_unsuitable(profile_of(*make())) is None
    ]


ALL_TABLES = {**TABLES, "categories": categories}


@pytest.mark.parametrize(("entry", "make"), fits(SELECTING, ALL_TABLES))
def test_what_is_selected_are_rows_of_the_table_gaps_included(entry, make):
    rows, y, sampler, (new, y_new) = resampled(entry, *make(), view="native")
    at = sampler.sample_indices_
    np.testing.assert_array_equal(new, rows[at])
    np.testing.assert_array_equal(y_new, y[at])


@pytest.mark.parametrize(("entry", "make"), fits(SYNTHETIC, ALL_TABLES))
def test_made_rows_hold_categories_that_exist(entry, make):
    n_categorical = len(check_table(*make()).schema.positions("categorical"))
    rows, y, _, (new, y_new) = resampled(entry, *make(), view="mixed")
    assert np.isfinite(new).all()
    for column in range(n_categorical):
        assert set(new[:, column]) <= set(rows[:, column])
    assert set(y_new) <= set(y)


@pytest.mark.parametrize(
    ("entry", "make"),
    fits(
        [e for e in SYNTHETIC if "tomek" not in e.name and "enn" not in e.name],
        ALL_TABLES,
    ),
)
def test_over_sampling_keeps_every_row_and_adds_what_was_promised(entry, make):
    rows, y, _, (new, y_new) = resampled(entry, *make(), view="mixed")
    np.testing.assert_allclose(new[: len(rows)], rows, atol=1e-9)
    np.testing.assert_array_equal(y_new[: len(y)], y)
    counts = np.bincount(y)
    for code, n in entry.target_counts(counts, entry.defaults()["strength"]).items():
        got = (y_new == code).sum()
        # These decide on the rows of each cluster or neighbourhood by themselves.
        is_loose = entry.name in ("adasyn", "kmeans_smote", "svm_smote")
        assert got == n or (is_loose and got > counts[code])


@pytest.mark.parametrize(("entry", "make"), fits(ENTRIES, {"mixed": mixed}))
def test_the_same_seed_makes_the_same_rows(entry, make):
    view = "native" if entry in SELECTING else "mixed"
    one = resampled(entry, *make(), view=view, seed=3)[3]
    other = resampled(entry, *make(), view=view, seed=3)[3]
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    "sampler", [TomekLinks(), EditedNearestNeighbours(), NearMiss()], ids=repr
)
def test_on_scaled_numbers_the_wrapped_sampler_is_the_plain_one(sampler):
    X, y = numeric()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    wrapped = SelectingSampler(sampler)
    new, _ = wrapped.fit_resample(X, y)
    plain, _ = clone(sampler).fit_resample(X, y)
    np.testing.assert_array_equal(new, plain)


def test_the_unit_of_a_column_does_not_matter():
    X, y = numeric()
    metres = X * np.array([1.0, 1e6, 1e-6, 1.0])
    one, other = SelectingSampler(TomekLinks()), SelectingSampler(TomekLinks())
    one.fit_resample(X, y)
    other.fit_resample(metres, y)
    np.testing.assert_array_equal(one.sample_indices_, other.sample_indices_)


def test_two_categories_are_as_far_apart_as_a_median_standard_deviation():
    seen = []

    class Spy(SMOTE):
        def fit_resample(self, X, y):
            seen.append(X)
            return X, y

    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(50, 3)) * np.array([1.0, 2.0, 5.0])
    X = np.column_stack([rng.integers(0, 3, 50), np.zeros((50, 3))])
    X[:, 1:] = numbers
    CategorySampler(Spy(), 1).fit_resample(X, np.arange(50) % 2)
    spread = seen[0][:, :3]
    apart = [np.linalg.norm(a - b) for a in spread for b in spread if (a != b).any()]
    np.testing.assert_allclose(apart, np.median(numbers.std(axis=0)))


def test_a_row_between_two_categories_takes_the_nearer_one():
    X = np.column_stack([np.repeat([0.0, 7.0], 20), np.linspace(0, 1, 40)])
    y = np.append(np.zeros(34, dtype=int), np.ones(6, dtype=int))
    X[34:37, 0], X[37:, 0] = 0.0, 7.0
    new, _ = CategorySampler(SMOTE(k_neighbors=5, random_state=0), 1).fit_resample(X, y)
    assert set(new[40:, 0]) == {0.0, 7.0}


@pytest.mark.parametrize(
    "wrapped",
    [SelectingSampler(TomekLinks(), 2), CategorySampler(SMOTE(random_state=0), 2)],
    ids=["selecting", "synthesising"],
)
def test_wrappers_clone_and_travel_and_keep_no_rows(wrapped):
    X, y = numeric()
    X[:, :2] = X[:, :2] > 0
    new, _ = wrapped.fit_resample(X, y)
    for copy in (clone(wrapped), pickle.loads(pickle.dumps(wrapped))):
        np.testing.assert_array_equal(copy.fit_resample(X, y)[0], new)
    assert not hasattr(wrapped.sampler, "sampling_strategy_")
    assert len(pickle.dumps(wrapped)) < 3_000


@pytest.mark.parametrize(
    "entry", [e for e in SELECTING if not e.target_counts], ids=named
)
def test_cleaning_leaves_the_rare_classes_alone(entry):
    X, y = five_classes()
    _, _, _, (_, y_new) = resampled(entry, X, y, view="dense")
    before, after = np.bincount(y), np.bincount(y_new, minlength=5)
    assert (after <= before).all()
    rare = before <= before.mean()
    np.testing.assert_array_equal(after[rare], before[rare])


def test_a_class_that_would_vanish_keeps_its_rows():
    class Ruthless(TomekLinks):
        def fit_resample(self, X, y):
            self.sample_indices_ = np.flatnonzero(y != 1)

    X, y = five_classes()
    _, y_new = SelectingSampler(Ruthless()).fit_resample(X, y)
    np.testing.assert_array_equal(np.sort(y_new), y)


@pytest.mark.parametrize(
    ("is_spread", "k_neighbors"), [(False, 1), (False, 5), (True, 5)]
)
def test_k_means_smote_says_what_it_did_not_find(is_spread, k_neighbors):
    """Not that a number is NaN, nor how its clustering is called."""
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [30, 270])
    X = np.where(y[:, None] == 1, 0.5, rng.normal(size=(300, 3)))
    params = {"strength": 1.0, "k_neighbors": k_neighbors}
    if is_spread:  # each in a cluster of its own
        X[:30] = 1e3 * np.arange(30)[:, None]
    rows = TrainingRows(counts=np.bincount(y), n_categorical=0, seed=0)
    sampler = CATALOGUE.get("resampler", "kmeans_smote").make(params, rows)
    sampler.set_params(kmeans_estimator=60 if is_spread else 1)
    with pytest.raises(ValueError, match="no cluster with enough different rows"):
        sampler.fit_resample(X, y)


NO_LISTS = "pipelines pass matrices and frames of numbers; lists are not converted"
ONE_SCALE = "sparse rows, such as counts of words, are on one scale and stay so"
NO_NAMES = "a pipeline passes over its samplers where it names columns"
NAMED = dict.fromkeys(
    (
        "check_sampler_get_feature_names_out",
        "check_sampler_get_feature_names_out_pandas",
    ),
    NO_NAMES,
)
EXPECTED = {
    SelectingSampler: {
        **NAMED,
        "check_samplers_list": NO_LISTS,
        "check_samplers_sparse": ONE_SCALE,
    },
    ScalingSampler: {**NAMED, "check_samplers_list": NO_LISTS},
    WholeClassSampler: NAMED,
    CategorySampler: {**NAMED, "check_samplers_list": NO_LISTS},
}
CHECKS = [
    pair
    for sampler in (
        AttentiveADASYN(random_state=0),
        ReportingKMeansSMOTE(kmeans_estimator=1, random_state=0),
        SelectingSampler(NearMiss()),
        ScalingSampler(SMOTE(random_state=0)),
        WholeClassSampler(SMOTETomek(random_state=0)),
        CategorySampler(SMOTE(random_state=0), 0),
    )
    for pair in estimator_checks_generator(
        sampler, expected_failed_checks=EXPECTED.get(type(sampler)), mark="xfail"
    )
]


@pytest.mark.filterwarnings("ignore")  # as in a fit
@pytest.mark.parametrize(
    ("sampler", "check"),
    CHECKS,
    ids=lambda part: getattr(part, "func", type(part)).__name__,
)
def test_imbalanced_learn_s_own_checks_pass(sampler, check):
    check(sampler)
