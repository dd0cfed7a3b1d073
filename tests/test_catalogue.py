"""Every entry keeps the contract, and a strength means the same on every data set."""

import ast
import pickle
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from tables import five_classes, numeric, profile_of

import autoimb
from autoimb._catalogue import AXES, CATALOGUE
from autoimb._catalogue.entry import (
    Categorical,
    Float,
    Int,
    Resampler,
    oversampled,
    undersampled,
)
from autoimb._catalogue.sampler_factories import TrainingRows
from autoimb.exceptions import BadInputError
from autoimb.testing import EntryContract

counts = st.lists(st.integers(1, 60), min_size=2, max_size=5).map(np.array)
strengths = st.floats(0.0, 1.0)


def named(entry):
    return entry.name


ENTRIES = [(axis, name) for axis in AXES for name in CATALOGUE.entries[axis]]
ENTRIES.remove(("class_weight", "own"))  # of models of the user's alone


@pytest.mark.parametrize("entry", ENTRIES, ids=":".join)
class TestBuiltInEntry(EntryContract):
    """Built-in entries pass the tests that users' own entries must pass."""

    def test_it_can_be_pickled_by_reference(self, entry):
        made = CATALOGUE.get(*entry)
        assert pickle.loads(pickle.dumps(made)).name == made.name


@pytest.mark.parametrize("axis", AXES)
def test_entries_are_filed_under_their_names(axis):
    entries = CATALOGUE.entries[axis]
    assert list(entries) == [entry.name for entry in entries.values()]


def test_a_name_that_is_taken_is_refused():
    entry = Resampler(name="smote", label="mine", make=None)
    with pytest.raises(BadInputError, match=r"'smote' is taken.*choose another"):
        CATALOGUE.with_entry("resampler", entry)


def test_a_grown_catalogue_leaves_the_built_in_one_alone():
    grown = CATALOGUE.with_entry("resampler", Resampler(name="x", label="x", make=None))
    assert grown.get("resampler", "x").name == "x"
    assert "x" not in CATALOGUE.entries["resampler"]


def test_no_module_asks_for_a_resampler_by_name():
    """Only the guide, whose advice they are, and the catalogue know the names."""
    names = CATALOGUE.entries["resampler"].keys() - {"none"}
    root = Path(autoimb.__file__).parent
    literals = {
        (path.relative_to(root).as_posix(), node.value)
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    }
    outside = [
        (path, name)
        for path, name in sorted(literals)
        if not path.startswith(("_catalogue/", "_strategy/flowchart.py"))
    ]
    assert not outside


# --- domains


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Float(0.1, 1.0, default=1.0), [0.1, 1.0, 1], [0.09, 1.1, "0.5", None]),
        (Int(1, 15, default=5), [1, 15], [0, 16, 2.5]),
        (Categorical(("sqrt", 0.5), default="sqrt"), ["sqrt", 0.5], ["log2", 0.25]),
    ],
    ids=["float", "int", "categorical"],
)
def test_a_domain_holds_what_lies_between_its_bounds(domain, inside, outside):
    assert all(value in domain for value in inside)
    assert not any(value in domain for value in outside)


# --- strengths


@given(counts)
def test_strength_zero_leaves_every_count(class_counts):
    assert oversampled(class_counts, 0.0) == {}
    assert undersampled(class_counts, 0.0) == {}


@given(counts)
def test_strength_one_balances(class_counts):
    over, under = class_counts.copy(), class_counts.copy()
    for code, n in oversampled(class_counts, 1.0).items():
        over[code] = n
    for code, n in undersampled(class_counts, 1.0).items():
        under[code] = n
    assert (over == class_counts.max()).all()
    assert (under == class_counts.min()).all()


@given(counts, strengths, strengths)
def test_more_strength_never_means_less_resampling(class_counts, one, other):
    weak, strong = sorted([one, other])
    for code, n in oversampled(class_counts, weak).items():
        assert n <= oversampled(class_counts, strong)[code] <= class_counts.max()
    for code, n in undersampled(class_counts, weak).items():
        assert n >= undersampled(class_counts, strong)[code] >= class_counts.min()


@given(counts, strengths)
def test_a_class_without_rows_is_never_asked_for(class_counts, strength):
    class_counts = np.append(class_counts, 0)
    empty = len(class_counts) - 1
    assert empty not in oversampled(class_counts, strength)
    assert empty not in undersampled(class_counts, strength)


@settings(max_examples=40)
@given(counts, strengths)
def test_any_strength_is_accepted_and_gives_exactly_the_target(class_counts, strength):
    y = np.repeat(np.arange(len(class_counts)), class_counts)
    X = np.arange(len(y), dtype=float)[:, np.newaxis]
    for rule, sampler in (
        (oversampled, RandomOverSampler),
        (undersampled, RandomUnderSampler),
    ):
        target = rule(class_counts, strength)
        _, resampled = sampler(sampling_strategy=target).fit_resample(X, y)
        wanted = [target.get(c, n) for c, n in enumerate(class_counts)]
        assert np.bincount(resampled).tolist() == wanted


def with_ratio():
    """Return the resamplers of numbers that are given a strength."""
    entries = CATALOGUE.entries["resampler"].values()
    return [e for e in entries if "strength" in e.params and "smoten" not in e.name]


@pytest.mark.parametrize("entry", with_ratio(), ids=named)
@settings(max_examples=12, deadline=None)
@given(
    class_counts=st.lists(st.integers(6, 40), min_size=2, max_size=4).map(np.array),
    strength=st.floats(0.1, 1.0),
)
def test_every_ratio_is_accepted_by_its_sampler(entry, class_counts, strength):
    y = np.repeat(np.arange(len(class_counts)), class_counts)
    X = np.random.default_rng(0).normal(size=(len(y), 2)) + 2 * y[:, np.newaxis]
    sampling = TrainingRows(class_counts, 0, seed=0)
    sampler = entry.make({**entry.defaults(), "strength": strength}, sampling)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NearMiss-3 may find fewer rows
            _, resampled = sampler.fit_resample(X, y)
    except (RuntimeError, ValueError) as error:
        # The data, not the ratio: no cluster or no neighbour of the kind that it needs.
        assert re.search("cluster|neigh?bours|No samples|noise", str(error))  # noqa: PT017
        return
    assert 0 < len(np.unique(resampled)) <= len(class_counts)


# --- needs


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"weighted": True}, "given sample_weight"),
        ({"minority_count": 3}, "at least 4 rows of the smallest class"),
        ({"n_rows": 200_001}, "too slow above 200,000 rows"),
    ],
    ids=["fits", "weights", "few rows", "many rows"],
)
def test_an_unsuitable_entry_says_what_it_needs(change, reason):
    found = CATALOGUE.get("resampler", "smote").reason_unsuitable(
        replace(profile_of(*numeric()), **change)
    )
    assert found is reason or reason in found


def test_smote_leaves_a_class_of_one_row_as_it_is():
    X, y = five_classes()
    keep = np.append(np.flatnonzero(y < 4), np.flatnonzero(y == 4)[:1])
    entry = CATALOGUE.get("resampler", "smote")
    sampling = TrainingRows(np.bincount(y[keep]), 0, seed=0)
    sampler = entry.make({"strength": 1.0, "k_neighbors": 5}, sampling)
    _, resampled = sampler.fit_resample(X[keep], y[keep])
    assert np.bincount(resampled).tolist() == [50, 50, 50, 50, 1]
