"""With row weights, encoders hold weighted statistics; a row of weight k is k rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from tables import mixed, problem_of

from autoimb._catalogue import CATALOGUE
from autoimb._evaluate.evaluate import evaluate, fit_on_fold
from autoimb._evaluate.fit_predict import fit_before_model, predict_codes
from autoimb._evaluate.refit import refit
from autoimb._evaluate.row_sample import RowSample
from autoimb._execution.shared_data import Inline
from autoimb._models.samplers import SelectingSampler
from autoimb._strategy.strategy import Strategy
from autoimb._table.columns import take
from autoimb._table.encoding import DealtFolds, make_encoder, make_geometry
from autoimb._table.table import check_table
from autoimb._table.weighted_encoding import fit_encoder

VIEWS = ["native", "mixed", "dense"]


def wide(n=300, n_classes=2, seed=0):
    """Return columns of every kind with gaps, and text labels."""
    X, _ = mixed(n, n // 5, seed)
    rng = np.random.default_rng(seed)
    X["maker"] = rng.choice([f"maker {i}" for i in range(60)], n)
    minutes = pd.to_timedelta(rng.integers(0, 1440, n), unit="min")
    X["clock"] = (pd.Timestamp(0) + minutes).strftime("%H:%M")
    for name in ("maker", "clock"):
        X.loc[rng.random(n) < 0.1, name] = None
    likely = np.isin(X["maker"], [f"maker {i}" for i in range(20)])
    y = np.where(likely, 1, 0) ^ (rng.random(n) < 0.2)
    return X, np.array(["a", "b", "c"])[y + (n_classes - 2) * (rng.random(n) < 0.2)]


def whole_weights(n, seed=0):
    return np.random.default_rng(seed).integers(1, 6, n)


def fitted(view, table, weight):
    """Return an encoder of a table that was fitted with weights, and its rows."""
    encoder = make_encoder(view, table.schema)
    return encoder, fit_encoder(encoder, table.X, table.y, weight)


def parts_of(encoder, kind):
    """Return the fitted parts of an encoder that are of one class."""
    blocks = [block for _, block, _ in encoder.transformers_]
    pipelines = [block for block in blocks if isinstance(block, Pipeline)]
    parts = [part for block in pipelines for part in block.get_params().values()]
    return [part for part in parts if isinstance(part, kind)]


# --- means, variances, medians


def test_scalers_hold_the_weighted_mean_and_variance():
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(200, 3)) ** 3, rng.uniform(0.1, 3, 200)
    table = check_table(X, np.arange(200) % 2)
    encoder, encoded = fitted("dense", table, weight)
    (scaler,) = parts_of(encoder, StandardScaler)
    mean = np.average(X, axis=0, weights=weight)
    variance = np.average((X - mean) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(scaler.mean_, mean)
    np.testing.assert_allclose(scaler.var_, variance)
    np.testing.assert_allclose(encoded, (X - mean) / np.sqrt(variance))


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 6)), min_size=1, max_size=30),
    st.sampled_from([1, 1 / 3, 1e-7, 1e9]),
)
@settings(deadline=None)
def test_gaps_take_the_median_of_each_value_as_often_as_its_weight(pairs, unit):
    values, weight = np.array([*pairs, (np.nan, 3)], dtype=float).T
    encoder = make_geometry(0)
    X = np.column_stack([values, np.arange(len(values))])
    fit_encoder(encoder, X, np.zeros(len(X), dtype=int), unit * weight)
    (imputer,) = parts_of(encoder, SimpleImputer)
    expected = np.nanmedian(np.repeat(values, weight.astype(int)))
    assert imputer.statistics_[0] == expected


@pytest.mark.parametrize("view", ["mixed", "dense"])
def test_a_row_of_weight_k_is_the_row_k_times(view):
    X, y = mixed()
    X["nothing"] = [None, 1.0, *[None] * (len(X) - 2)]
    table, weight = check_table(X, y), whole_weights(len(y))
    rows = np.repeat(np.arange(len(y)), weight)
    encoder = make_encoder(view, table.schema)
    expected = clone(encoder).fit_transform(take(table.X, rows), table.y[rows])
    _, encoded = fitted(view, table, weight)
    np.testing.assert_allclose(encoded[rows], expected, atol=1e-9)
    plain = encoder.fit_transform(table.X, table.y)
    assert np.abs(plain[rows] - expected).max() > 0.01


def test_a_column_without_values_is_filled_with_zeros():
    table = check_table(*mixed())
    X = table.X.assign(size=np.nan)
    encoder = make_encoder("dense", table.schema)
    encoded = fit_encoder(encoder, X, table.y, np.linspace(1, 2, len(X)))
    np.testing.assert_array_equal(encoded, encoder.transform(X))
    assert parts_of(encoder, SimpleImputer)[0].statistics_[0] == 0


# --- shares of the classes


@pytest.mark.parametrize("n_classes", [2, 3])
def test_shares_are_weighted_and_shrunk_by_the_effective_number_of_rows(n_classes):
    table = check_table(*wide(n_classes=n_classes))
    weight = np.random.default_rng(1).uniform(0.1, 4, len(table.y))
    encoder, _ = fitted("native", table, weight)
    makers = parts_of(encoder, TargetEncoder)[-1]
    labels, column = [1] if n_classes == 2 else [0, 1, 2], table.X["maker"]
    for place, label in enumerate(labels):
        is_target = table.y == label
        overall = np.average(is_target, weights=weight)
        np.testing.assert_allclose(np.ravel(makers.target_mean_)[place], overall)
        for maker, found in zip(
            makers.categories_[0], makers.encodings_[place], strict=True
        ):
            own = column.isna() if pd.isna(maker) else column == maker
            share = np.average(is_target[own], weights=weight[own])
            n_rows = weight[own].sum() ** 2 / (weight[own] ** 2).sum()
            between, noise = overall * (1 - overall), share * (1 - share) / n_rows
            trust = between / (between + noise)
            np.testing.assert_allclose(found, trust * share + (1 - trust) * overall)


def test_shares_count_a_row_of_weight_k_as_k_rows():
    """They are those of the rows k times, up to how far they are shrunk."""
    table = check_table(*wide())
    weight = whole_weights(len(table.y))
    rows = np.repeat(np.arange(len(weight)), weight)
    encoder, _ = fitted("native", table, weight)
    makers = parts_of(encoder, TargetEncoder)[-1]
    column = take(table.X, rows)[["maker"]]
    unshrunk = TargetEncoder(smooth=0).fit(column, table.y[rows])
    np.testing.assert_allclose(makers.target_mean_, unshrunk.target_mean_)
    found, share = makers.encodings_[0], unshrunk.encodings_[0]
    low, high = np.sort([share, np.full(len(share), makers.target_mean_)], axis=0)
    assert ((low - 1e-9 <= found) & (found <= high + 1e-9)).all()
    assert np.corrcoef(found, share)[0, 1] > 0.95


def test_a_training_row_is_encoded_by_the_labels_of_other_rows():
    table = check_table(*wide())
    weight = np.random.default_rng(1).uniform(0.1, 4, len(table.y))
    _, encoded = fitted("native", table, weight)
    for train, rest in DealtFolds().split(table.X, table.y):
        of_others = make_encoder("native", table.schema)
        X, y = take(table.X, train), table.y[train]
        fit_encoder(of_others, X, y, weight[train])
        expected = of_others.transform(take(table.X, rest))
        np.testing.assert_allclose(encoded[rest, -1], expected[:, -1])


# --- all views


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("view", VIEWS)
def test_equal_weights_are_no_weights(view, n_classes):
    table = check_table(*wide(n_classes=n_classes))
    plain, expected = fitted(view, table, None)
    encoder, encoded = fitted(view, table, np.full(len(table.y), 0.7))
    np.testing.assert_allclose(encoded, expected, atol=1e-9)
    np.testing.assert_allclose(
        encoder.transform(table.X), plain.transform(table.X), atol=1e-9
    )
    for one, other in zip(
        parts_of(encoder, SimpleImputer), parts_of(plain, SimpleImputer), strict=True
    ):
        np.testing.assert_array_equal(one.statistics_, other.statistics_)


@pytest.mark.parametrize("factor", [1e-12, 1 / 3, 1e12])
@pytest.mark.parametrize("view", VIEWS)
def test_a_factor_of_all_weights_changes_nothing(view, factor):
    table = check_table(*wide())
    weight = np.random.default_rng(0).uniform(0.1, 4, len(table.y))
    _, expected = fitted(view, table, weight)
    _, encoded = fitted(view, table, factor * weight)
    np.testing.assert_allclose(encoded, expected, atol=1e-9)


@pytest.mark.parametrize("view", VIEWS)
def test_without_weights_it_is_the_steps_own_fit(view):
    table = check_table(*wide())
    encoder, encoded = fitted(view, table, None)
    again = clone(encoder)
    np.testing.assert_array_equal(encoded, again.fit_transform(table.X, table.y))
    np.testing.assert_array_equal(encoder.transform(table.X), again.transform(table.X))


# --- pipelines


def weighted_problem(**axes):
    """Return a weighted problem and a strategy."""
    X, y = wide()
    weight = np.random.default_rng(0).uniform(0.1, 4, len(y))
    family = axes.pop("family", "logistic_regression")
    return problem_of(X, y, sample_weight=weight), Strategy.of(
        CATALOGUE, family=family, **axes
    )


@pytest.mark.parametrize("resampler", ["none", "random_under", "tomek"])
@pytest.mark.parametrize(
    "family",
    ["logistic_regression", ("hist_gradient_boosting", {"max_iter": 10})],
    ids=str,
)
def test_evaluations_and_refits_are_what_fit_steps_gives(family, resampler):
    problem, chosen = weighted_problem(family=family, resampler=resampler)
    table, fold = problem.table, problem.folds[0]
    result = evaluate(chosen, 0, Inline(problem))
    assert result.status == "ok", result.reason
    pipeline = fit_on_fold(chosen, 0, problem)
    proba = predict_codes(pipeline, take(table.X, fold.val_idx), 2)
    np.testing.assert_array_equal(result.proba, proba)
    alone, _ = refit(chosen, problem)
    shared, _ = refit(chosen, problem, encoded={})
    np.testing.assert_array_equal(
        alone.predict_proba(table.X), shared.predict_proba(table.X)
    )
    with_weights = parts_of(alone[0], (StandardScaler, TargetEncoder))
    expected, _ = fitted(chosen.view(CATALOGUE), table, table.sample_weight)
    held = parts_of(expected, (StandardScaler, TargetEncoder))
    for one, other in zip(with_weights, held, strict=True):
        key = "mean_" if isinstance(one, StandardScaler) else "target_mean_"
        np.testing.assert_array_equal(getattr(one, key), getattr(other, key))


def test_candidates_with_and_without_weights_share_no_encoded_sample():
    """Over-sampling cannot follow the weights of a sample, and is fitted without."""
    X, y = wide()
    sample = RowSample("sample", 60)
    chosen = [
        Strategy.of(CATALOGUE, family="logistic_regression", resampler=name)
        for name in ("none", "random_over")
    ]
    together = problem_of(X, y)
    for strategy in chosen:
        np.testing.assert_array_equal(
            evaluate(strategy, 0, Inline(together), sample).proba,
            evaluate(strategy, 0, Inline(problem_of(X, y)), sample).proba,
        )


def test_an_encoder_of_a_sample_estimates_that_of_all_rows():
    rng = np.random.default_rng(0)
    y = (rng.random(20_000) < 0.05).astype(int)
    X = rng.normal(size=(len(y), 2)) + 4.0 * y[:, np.newaxis]
    rows, weight = RowSample("sample", 2_000).draw(y, 0)
    table = check_table(X, y)
    encoder = make_encoder("dense", table.schema)
    fit_encoder(encoder, X[rows], y[rows], weight)
    (scaler,) = parts_of(encoder, StandardScaler)
    np.testing.assert_allclose(scaler.mean_, X.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(scaler.scale_, X.std(axis=0), atol=0.1)
    assert abs(X[rows].mean() - X.mean()) > 1


class Spy:
    """A sampler that keeps all rows and what it was given."""

    seen = None

    def fit_resample(self, X, y):
        Spy.seen = X
        self.sample_indices_ = np.arange(len(y))

    def __sklearn_clone__(self):
        return self


def test_distances_of_a_resampler_are_between_rows_scaled_with_weights():
    table = check_table(*mixed())
    weight = whole_weights(len(table.y))
    native = make_encoder("native", table.schema)
    X = native.fit_transform(table.X, table.y)
    SelectingSampler(Spy(), 1).fit_resample(X, table.y, weight)
    rows = np.repeat(np.arange(len(weight)), weight)
    expected = make_geometry(1).fit_transform(X[rows])
    np.testing.assert_allclose(Spy.seen[rows], expected, atol=1e-9)


def test_a_sampler_that_takes_weights_gets_them():
    problem, chosen = weighted_problem(
        family=("hist_gradient_boosting", {"max_iter": 5}), resampler="tomek"
    )
    table = problem.table
    pipeline = problem.build(chosen, table.y, 0)
    assert isinstance(pipeline["resample"], SelectingSampler)
    X, _, weights = fit_before_model(pipeline, table.X, table.y, table.sample_weight)
    again = clone(pipeline["resample"])
    encoded = fit_encoder(
        clone(pipeline["encode"]), table.X, table.y, table.sample_weight
    )
    expected, _ = again.fit_resample(encoded, table.y, table.sample_weight)
    np.testing.assert_array_equal(X, expected)
    np.testing.assert_array_equal(
        weights["sample_weight"], table.sample_weight[again.sample_indices_]
    )
