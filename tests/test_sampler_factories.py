"""Samplers measure distances on one scale, and return rows that can occur."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.over_sampling import ADASYN, SMOTE
from imblearn.under_sampling import (
    ClusterCentroids,
    EditedNearestNeighbours,
    NeighbourhoodCleaningRule,
    TomekLinks,
)
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, clone
from sklearn.preprocessing import StandardScaler
from tables import RandomTrial, categories, mixed, numeric, profile_of

from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import (
    UNWEIGHTED,
    UNWEIGHTED_FIT,
    oversampled,
    suggested,
    undersampled,
)
from autoimb._catalogue.sampler_factories import TrainingRows
from autoimb._models.samplers import CategorySampler, SelectingSampler

# Fewer clusters or neighbours than were asked for are no error: scores decide.
pytestmark = pytest.mark.filterwarnings("ignore")

MADE = {n: e for n, e in CATALOGUE.entries["resampler"].items() if e.make is not None}
CODES_ONLY, CODES_NEEDED = {"smoten"}, {"smoten", "smotenc"}
SELECTING = [
    name
    for name, entry in MADE.items()
    if not {UNWEIGHTED, UNWEIGHTED_FIT} & set(entry.needs)
]
EXACT = [
    *("random_over", "rose", "random_under", "smote", "smotenc", "smoten"),
    *("near_miss_1", "near_miss_2", "cluster_centroids", "instance_hardness"),
]
COUNTS = {
    "two classes": [60, 20],
    "few rows": [12, 4],
    "five classes": [25, 15, 10, 5, 3],
}
every_entry = pytest.mark.parametrize("name", MADE)
every_table = pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)


def rows(counts, *, n_categorical=2, gaps=False, seed=0):
    """Return shuffled rows, codes first and numbers on three scales, and classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    codes = rng.integers(-2, 2, size=(len(y), n_categorical)).astype(float)
    numbers = (rng.normal(size=(len(y), 3)) + 0.5 * y[:, np.newaxis]) * [1, 10, 0.1]
    X = np.hstack([codes, numbers])
    if gaps:
        X[rng.random(X.shape) < 0.1] = np.nan
    return X, y


def made(name, counts, params=None, *, n_categorical=0, is_scaled=True, seed=0):
    """Return an entry's sampler for rows with these class counts."""
    entry = MADE[name]
    sampling = TrainingRows(
        counts=np.array(counts),
        n_categorical=n_categorical,
        is_scaled=is_scaled,
        seed=seed,
    )
    return entry.make({**entry.defaults(), **(params or {})}, sampling)


def readings(name):
    """Return what an entry may be given: codes or none, numbers as they are or not."""
    scaled = [True] if MADE[name].view is not None else [True, False]
    codes = [2] if name in CODES_NEEDED else [0, 2]
    return [(n, is_scaled) for n in codes for is_scaled in scaled]


def given(name, counts, n_categorical, *, is_scaled, seed=0):
    """Return the rows of such a reading."""
    X, y = rows(counts, n_categorical=n_categorical, gaps=not is_scaled, seed=seed)
    return (X[:, :n_categorical] if name in CODES_ONLY else X), y


# --- choosing rows


@pytest.mark.parametrize(
    "sampler",
    [TomekLinks(), EditedNearestNeighbours(), NeighbourhoodCleaningRule()],
    ids=["tomek", "enn", "ncr"],
)
def test_rows_are_chosen_as_among_scaled_numbers(sampler):
    X, y = rows([60, 20], n_categorical=0)
    plain = clone(sampler)
    plain.fit_resample(StandardScaler().fit_transform(X), y)
    chosen, labels = SelectingSampler(sampler).fit_resample(X, y)
    assert len(chosen) < len(X)
    np.testing.assert_array_equal(chosen, X[plain.sample_indices_])
    np.testing.assert_array_equal(labels, y[plain.sample_indices_])


def test_units_and_names_of_categories_choose_no_rows():
    X, y = rows([60, 20], gaps=True)
    other = X * [1, 1, 1000, 0.01, -1]
    for code, renamed in {-2: 5, -1: 0, 0: 9, 1: 2}.items():
        other[X[:, 0] == code, 0] = renamed
    one, two = (SelectingSampler(EditedNearestNeighbours(), 2) for _ in range(2))
    one.fit_resample(X, y)
    two.fit_resample(other, y)
    assert 0 < len(one.sample_indices_) < len(X)
    np.testing.assert_array_equal(one.sample_indices_, two.sample_indices_)


def test_rows_of_another_category_are_no_neighbours():
    pairs = [[0, 0.0], [1, 0.01], [0, 0.2], [1, 0.21], [0, 10.0], [1, -10.0]]
    X, y = np.array(pairs), np.array([0, 1, 0, 1, 0, 1])
    tomek = TomekLinks(sampling_strategy="all")
    chosen, _ = SelectingSampler(tomek, 1).fit_resample(X, y)
    assert len(chosen) == 6
    without_codes, _ = SelectingSampler(tomek).fit_resample(X[:, 1:], y)
    assert without_codes.ravel().tolist() == [10.0, -10.0]


@pytest.mark.parametrize("name", SELECTING)
@every_table
def test_row_weights_can_follow_the_rows(name, counts):
    for n_categorical, is_scaled in readings(name):
        X, y = given(name, counts, n_categorical, is_scaled=is_scaled)
        sampler = made(name, counts, n_categorical=n_categorical, is_scaled=is_scaled)
        chosen, labels = sampler.fit_resample(X, y)
        np.testing.assert_array_equal(chosen, X[sampler.sample_indices_])
        np.testing.assert_array_equal(labels, y[sampler.sample_indices_])


@pytest.mark.parametrize("apart", [0.0, 8.0], ids=["mixed up", "far apart"])
@pytest.mark.parametrize("name", SELECTING)
def test_row_weights_follow_even_where_nothing_is_removed(name, apart):
    X, y = rows([40, 12], n_categorical=0, seed=1)
    X = StandardScaler().fit_transform(X) + apart * y[:, np.newaxis]
    sampler = made(name, [40, 12])
    chosen, labels = sampler.fit_resample(X, y)
    np.testing.assert_array_equal(chosen, X[sampler.sample_indices_])
    np.testing.assert_array_equal(labels, y[sampler.sample_indices_])


# --- making rows


class Seen(BaseEstimator):
    """A sampler that remembers the rows it was given last, and changes nothing."""

    last = None

    def fit_resample(self, X, y):
        Seen.last = X
        return X, y


class Towards(BaseEstimator):
    """A sampler that adds the first row, moved a part of the way to the second."""

    def __init__(self, part):
        self.part = part

    def fit_resample(self, X, y):
        new = X[:1] + self.part * (X[1:2] - X[:1])
        return np.vstack([X, new]), np.append(y, y[0])


def test_another_category_is_as_far_as_the_median_deviation():
    X, y = rows([20, 10])
    CategorySampler(Seen(), 2).fit_resample(X, y)
    codes, numbers = X[:, :2], X[:, 2:]
    differing = (codes[:, np.newaxis] != codes).sum(axis=2)
    weight = np.median(numbers.std(axis=0))
    wanted = cdist(numbers, numbers, "sqeuclidean") + weight**2 * differing
    np.testing.assert_allclose(cdist(Seen.last, Seen.last, "sqeuclidean"), wanted)


@pytest.mark.parametrize(
    "numbers", [np.empty((4, 0)), np.ones((4, 1))], ids=["none", "constant"]
)
def test_categories_count_where_numbers_say_nothing(numbers):
    X = np.hstack([[[0.0], [1.0], [1.0], [2.0]], numbers])
    same, _ = CategorySampler(Seen(), 1).fit_resample(X, np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(same, X)
    assert cdist(Seen.last, Seen.last)[0, 1] == pytest.approx(1.0)


@pytest.mark.parametrize(("part", "code"), [(0.25, -2.0), (0.75, 5.0)])
def test_a_row_in_between_takes_the_nearer_category(part, code):
    X = np.array([[-2.0, 1.0], [5.0, 3.0], [0.0, 2.0]])
    made_of, labels = CategorySampler(Towards(part), 1).fit_resample(
        X, np.array([1, 1, 0])
    )
    np.testing.assert_allclose(made_of[-1], [code, 1 + 2 * part])
    np.testing.assert_array_equal(made_of[:-1], X)
    assert labels[-1] == 1


def test_without_categories_it_is_the_sampler_itself():
    X, y = rows([30, 10], n_categorical=0)
    sampler = SMOTE(random_state=0)
    for left, right in zip(
        CategorySampler(sampler, 0).fit_resample(X, y),
        clone(sampler).fit_resample(X, y),
        strict=True,
    ):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    "sampler",
    [
        SMOTE(random_state=0),
        SMOTEENN(random_state=0),
        SMOTETomek(random_state=0),
        ClusterCentroids(random_state=0),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_rows_hold_categories_that_occur_and_old_rows_come_back(sampler):
    X, y = rows([60, 20])
    resampled, labels = CategorySampler(sampler, 2).fit_resample(X, y)
    for column in (0, 1):
        assert set(resampled[:, column]) <= set(X[:, column])
    old = {(*row, label) for row, label in zip(X, y, strict=True)}
    is_old = [(*row, n) in old for row, n in zip(resampled, labels, strict=True)]
    if isinstance(sampler, SMOTE):
        assert is_old == [True] * len(X) + [False] * (len(resampled) - len(X))
        np.testing.assert_array_equal(resampled[: len(X)], X)
    elif isinstance(sampler, ClusterCentroids):
        assert sum(is_old) >= 20
    else:
        assert 0.3 * len(X) < sum(is_old) < len(is_old)


def test_a_class_apart_is_left_alone_by_adasyn():
    X, y = rows([40, 12, 10], n_categorical=0)
    X[y == 2] += 1000
    sampler = made("adasyn", [40, 12, 10], {"strength": 1.0})
    _, labels = sampler.fit_resample(X, y)
    counts = np.bincount(labels)
    assert counts[1] == pytest.approx(40, abs=6)
    assert counts[[0, 2]].tolist() == [40, 10]
    without = y != 2
    plain = ADASYN(random_state=0).fit_resample(X[without], y[without])
    again = made("adasyn", [40, 12], {"strength": 1.0}).fit_resample(
        X[without], y[without]
    )
    for left, right in zip(plain, again, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("n_large", [400, 4000])
def test_k_means_smote_finds_a_cluster_at_any_imbalance(n_large):
    counts = [n_large, 45]
    X, y = rows(counts, n_categorical=0)
    for n_neighbors in (1, 8):
        params = {"k_neighbors": n_neighbors, "strength": 1.0}
        _, labels = made("kmeans_smote", counts, params).fit_resample(X, y)
        assert n_large <= np.bincount(labels)[1] <= n_large + 8


# --- what every entry promises


@every_table
@pytest.mark.parametrize(
    "name", sorted(MADE.keys() - {"svm_smote"})
)  # noise is noise to it
def test_no_setting_is_too_much_for_small_classes(name, counts):
    rng = np.random.default_rng(0)
    for n_categorical, is_scaled in readings(name) * 2:
        trial, domains = RandomTrial(rng), MADE[name].params
        params = {k: suggested(trial, k, domain) for k, domain in domains.items()}
        X, y = given(name, counts, n_categorical, is_scaled=is_scaled)
        sampler = made(
            name, counts, params, n_categorical=n_categorical, is_scaled=is_scaled
        )
        resampled, labels = sampler.fit_resample(X, y)
        assert resampled.shape == (len(labels), X.shape[1])
        assert set(labels) <= set(y)


@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("name", EXACT)
@every_table
def test_counts_are_those_that_class_weights_are_made_for(name, counts, strength):
    n_categorical = readings(name)[-1][0]
    X, y = given(name, counts, n_categorical, is_scaled=True)
    sampler = made(name, counts, {"strength": strength}, n_categorical=n_categorical)
    _, labels = sampler.fit_resample(X, y)
    target = MADE[name].target_counts(np.array(counts), strength)
    wanted = [target.get(code, n) for code, n in enumerate(counts)]
    assert np.bincount(labels).tolist() == wanted


@pytest.mark.parametrize("name", ["adasyn", "borderline_smote", "kmeans_smote"])
def test_counts_are_nearly_those_where_they_depend_on_the_rows(name):
    X, y = rows([120, 30], n_categorical=0)
    _, labels = made(name, [120, 30], {"strength": 1.0}).fit_resample(X, y)
    assert np.bincount(labels)[1] == pytest.approx(120, rel=0.1)


@every_entry
def test_one_seed_gives_the_same_rows(name):
    n_categorical, is_scaled = readings(name)[-1]
    X, y = given(name, [60, 20], n_categorical, is_scaled=is_scaled)
    settings = {"n_categorical": n_categorical, "is_scaled": is_scaled, "seed": 3}
    sampler = made(name, [60, 20], **settings)
    travelled = pickle.loads(pickle.dumps(sampler))
    first = sampler.fit_resample(X, y)
    for again in (clone(sampler), travelled, made(name, [60, 20], **settings)):
        for left, right in zip(first, again.fit_resample(X, y), strict=True):
            np.testing.assert_array_equal(left, right)


@every_entry
def test_wrapped_samplers_keep_no_rows(name):
    n_categorical, is_scaled = readings(name)[-1]
    X, y = given(name, [60, 20], n_categorical, is_scaled=is_scaled)
    sampler = made(name, [60, 20], n_categorical=n_categorical, is_scaled=is_scaled)
    if not isinstance(sampler, SelectingSampler | CategorySampler):
        return
    sampler.fit_resample(X, y)
    kept = vars(sampler).keys() - sampler.get_params(deep=False)
    assert kept <= {"sample_indices_", "sampling_strategy_"}
    assert "sampling_strategy_" not in vars(sampler.sampler)


@pytest.mark.parametrize("name", sorted(MADE.keys() - CODES_NEEDED))
def test_scaled_numbers_need_no_wrapper(name):
    assert not isinstance(made(name, [60, 20]), SelectingSampler | CategorySampler)


@pytest.mark.parametrize(
    ("name", "suited"),
    [
        ("smotenc", {"mixed"}),
        ("smoten", {"codes"}),
        ("kmeans_smote", {"numbers", "mixed"}),
    ],
)
def test_kinds_of_columns_decide_which_resamplers_are_suitable(name, suited):
    tables = {"numbers": numeric, "mixed": mixed, "codes": categories}
    found = {
        kind
        for kind, t in tables.items()
        if MADE[name].reason_unsuitable(profile_of(*t())) is None
    }
    assert found == suited


@pytest.mark.parametrize("name", ["smote_enn", "smote_tomek"])
def test_cleaning_leaves_no_class_without_rows(name):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 20, 5])
    X = rng.normal(size=(85, 3))  # noise: every row's neighbours disagree with it
    entry = MADE[name]
    given = {"strength": 0.1, "n_neighbors": 7}
    params = {k: given.get(k, v) for k, v in entry.defaults().items()}
    sampling = TrainingRows(counts=np.bincount(y), n_categorical=0, seed=0)
    _, left = entry.make(params, sampling).fit_resample(X, y)
    assert set(left) == {0, 1, 2}


def test_samplers_that_make_rows_leave_wide_tables_of_many_categories():
    profile = profile_of(*mixed())
    wide = replace(
        profile,
        n_rows=20_000,
        max_cardinality=250,
        kind_counts={"numeric": 1, "categorical": 30},
    )
    assert MADE["smote"].reason_unsuitable(profile) is None
    assert "memory" in (MADE["smote"].reason_unsuitable(wide) or "")
    assert MADE["random_over"].reason_unsuitable(wide) is None


@pytest.mark.parametrize("strength", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("rule", [oversampled, undersampled])
def test_ratios_refer_to_the_rows_that_were_sampled_from(rule, strength):
    """A class of a sample changes by the factor by which all its rows would."""
    whole, kept = np.array([9000, 1200, 300]), np.array([1500, 1200, 300])
    plain = TrainingRows(counts=whole, n_categorical=0, seed=0)
    targets = plain.target_counts(rule, strength)
    sample = replace(plain, counts=kept, full_counts=whole)
    of_sample = sample.target_counts(rule, strength)
    assert of_sample.keys() == targets.keys()
    for code, n in of_sample.items():
        assert n == pytest.approx(kept[code] * targets[code] / whole[code], abs=0.5)


def test_a_sample_of_all_rows_is_no_sample():
    counts = np.array([90, 40, 10])
    plain = TrainingRows(counts=counts, n_categorical=0, seed=0)
    whole = replace(plain, full_counts=counts)
    for rule in (oversampled, undersampled):
        assert whole.target_counts(rule, 0.6) == plain.target_counts(rule, 0.6)
