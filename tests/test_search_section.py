"""What a choice was worth is what differs between candidates alike in all else."""

from itertools import product

import numpy as np
import pytest

from autoimb._catalogue import CATALOGUE
from autoimb._metrics.bootstrap import Score
from autoimb._report.search_section import Comparison, comparisons_of, effect_of
from autoimb._search.trials import TrialRecord
from autoimb._strategy.strategy import Strategy

WORTH = {
    "family": {"random_forest": 0.6, "xgboost": 0.5, "extra_trees": 0.4},
    "resampler": {"none": 0.0, "smote": 0.03, "random_over": -0.02},
    "class_weight": {"none": 0.0, "balanced": 0.01},
}


def record(number, mean, **axes):
    """Return a complete candidate whose score has some noise of its own."""
    drawn = mean + 0.01 * np.random.default_rng(number).normal(size=50)
    return TrialRecord(
        number=number,
        strategy=Strategy.of(CATALOGUE, **axes),
        status="complete",
        score=Score(mean, drawn, (0,)),
    )


def additive(skip=()):
    """Return candidates whose scores are sums of what their choices are worth."""
    kinds = product(*(worth.items() for worth in WORTH.values()))
    records = [
        record(
            number,
            sum(part for _, part in choices),
            **dict(zip(WORTH, (name for name, _ in choices), strict=True)),
        )
        for number, choices in enumerate(kinds)
    ]
    return [r for r in records if r.number not in skip]


@pytest.mark.parametrize("skip", [(), (0, 4, 9)], ids=["all", "with holes"])
@pytest.mark.parametrize("axis", ["resampler", "class_weight"])
def test_effects_of_additive_choices_are_what_they_are_worth(axis, skip):
    comparisons = comparisons_of(axis, additive(skip))
    assert set(comparisons) == set(WORTH[axis]) - {"none"}
    for name, of_name in comparisons.items():
        found = effect_of(axis, name, of_name)
        assert found.difference == pytest.approx(WORTH[axis][name])
        assert 0 < found.standard_error < 0.01


def test_candidates_without_a_counterpart_do_not_count():
    records = [
        record(0, 0.5, family="xgboost"),
        record(1, 0.9, family="random_forest", resampler="smote"),
        record(2, 0.9, family="xgboost", resampler="smote", class_weight="balanced"),
    ]
    assert comparisons_of("resampler", records) == {}


def test_a_comparison_counts_as_much_as_a_difference_of_means_says():
    baseline = [record(i, 0.5, family="xgboost") for i in range(3)]
    handled = [record(9, 0.6, family="xgboost", resampler="smote")]
    one, other = Comparison(handled, baseline), Comparison(handled, baseline[:1])
    assert one.weight == pytest.approx(1 / (1 / 1 + 1 / 3))
    assert other.weight == pytest.approx(0.5)
    found = effect_of("resampler", "SMOTE", [one, other])
    assert found.difference == pytest.approx(0.1)
    assert found.n_candidates == 2


def test_the_standard_error_of_an_effect_is_that_of_paired_draws():
    shared = np.random.default_rng(0).normal(size=50)
    made = [
        TrialRecord(
            number=i,
            strategy=Strategy.of(CATALOGUE, family="xgboost", **axes),
            status="complete",
            score=Score(mean, mean + shared, (0,)),
        )
        for i, (mean, axes) in enumerate([(0.5, {}), (0.6, {"resampler": "smote"})])
    ]
    (comparisons,) = comparisons_of("resampler", made).values()
    found = effect_of("resampler", "SMOTE", comparisons)
    assert found.difference == pytest.approx(0.1)
    assert found.standard_error == pytest.approx(0, abs=1e-12)


def test_candidates_with_other_parameters_are_no_pair():
    records = [
        record(0, 0.5, family=("xgboost", {"max_depth": 3})),
        record(1, 0.9, family=("xgboost", {"max_depth": 5}), resampler="smote"),
    ]
    assert comparisons_of("resampler", records) == {}
