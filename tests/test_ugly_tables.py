"""Whatever a table holds, fit and predict work, or say what they cannot take."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ugly_tables import COLUMNS, CONTAINERS, LABELS, Case, check

KINDS = st.sampled_from(sorted(COLUMNS))
CASES = st.builds(
    Case,
    columns=st.lists(KINDS, min_size=1, max_size=8).map(tuple),
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=3).map(tuple),
    labels=st.sampled_from(sorted(LABELS)),
    container=st.sampled_from(CONTAINERS),
    later=st.just("") | KINDS,
    seed=st.integers(0, 3),
)
PLAIN = ("float64", "text", "gaps")


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(
    max_examples=100,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(case=CASES)
def test_any_table_works_or_is_refused_in_words(case):
    check(case)


@pytest.mark.parametrize("kind", sorted(COLUMNS))
def test_a_column_of_each_kind_beside_plain_ones(kind):
    check(Case((kind, "float64", "text")), n_trials=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(COLUMNS))
def test_a_column_that_holds_something_else_later(kind):
    for first in PLAIN:
        check(Case((first, "float64"), later=kind), n_trials=1)


@pytest.mark.parametrize("labels", sorted(LABELS))
def test_labels_of_each_kind(labels):
    check(Case(PLAIN, labels=labels), n_trials=1)


@pytest.mark.parametrize(
    "counts", [(1, 1), (2, 1), (3, 40), (1, 40), (2, 2, 2), (40, 1, 1), (40, 2, 3)]
)
def test_classes_of_one_to_three_rows(counts):
    check(Case(PLAIN, counts=counts), n_trials=1)


@pytest.mark.slow
@pytest.mark.parametrize("n_columns", [100, 300])
def test_more_columns_than_rows(n_columns):
    kinds = sorted(set(COLUMNS) - {"infinite"})
    columns = tuple(kinds[i % 6] for i in range(n_columns))
    check(Case(columns, counts=(20, 9)), n_trials=1)
