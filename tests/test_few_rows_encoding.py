"""Few rows: the same numbers as the encoders make, to the last bit."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from tables import categories, five_classes, mixed, numeric

from autoimb._evaluate.fit_predict import predict_codes
from autoimb._table import few_rows_encoding as module
from autoimb._table.columns import take
from autoimb._table.encoding import make_encoder, make_geometry, make_one_hot
from autoimb._table.few_rows_encoding import MOST_ROWS, encoded_rows
from autoimb._table.table import check_table

VIEWS = ["native", "mixed", "dense"]


def odd():
    """Return a table of every kind of column, all with gaps, and its labels."""
    rng = np.random.default_rng(0)
    n = 200
    X = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.integers(0, 5, n).astype(float),
            "colour": rng.choice(["red", "green", "blue"], n),
            "shop": [f"shop {i}" for i in rng.integers(0, 60, n)],
            "day": pd.date_range("2020-01-01", periods=n),
            "at": [f"{i:02}:30" for i in rng.integers(0, 24, n)],
            "flag": rng.random(n) < 0.5,
            "same": 1,
        }
    )
    for place, name in enumerate(["a", "colour", "shop", "day", "at"]):
        X.loc[place::11, name] = None
    return X, (rng.random(n) < 0.3).astype(int)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("make", [numeric, mixed, five_classes, categories, odd])
def test_numbers_are_those_of_the_encoder(make, view):
    X, y = make()
    table = check_table(X, y)
    encoder = make_encoder(view, table.schema)
    if encoder is None:  # models read the rows unchanged
        assert make in {numeric, five_classes}
        return
    train, rest = np.arange(60), np.arange(60, len(y))
    encoder.fit(take(table.X, train), table.y[train])
    for rows in (rest[:1], rest[:7], rest[-MOST_ROWS:], rest[: MOST_ROWS + 1]):
        part = take(table.X, rows)
        expected = encoder.transform(part)
        found = encoded_rows(encoder, part)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
        # What was passed is not changed.
        np.testing.assert_array_equal(encoder.transform(part), expected)


@pytest.mark.parametrize("make", [numeric, categories])
@pytest.mark.parametrize("view", VIEWS)
def test_every_step_for_numbers_and_categories_has_a_function(make, view):
    """One that is unknown costs as much as all that is saved."""
    table = check_table(*make())
    encoder = make_encoder(view, table.schema)
    if encoder is not None:
        parts = module._parts_of(encoder.fit(table.X, table.y))
        assert [step for _, step, function in parts if function is None] == []


def test_numbers_far_outside_the_fit_are_bounded_alike():
    table = check_table(*numeric())
    encoder = make_encoder("dense", table.schema).fit(table.X, table.y)
    far = take(table.X, np.arange(3)) * np.array([[1.0], [1e38], [-1e38]])
    np.testing.assert_array_equal(encoded_rows(encoder, far), encoder.transform(far))


def test_unknown_categories_and_new_gaps_are_encoded_alike():
    X = pd.DataFrame({"c": list("abab"), "x": [1.0, 2, 3, 4]})
    table = check_table(X, np.array([0, 1, 0, 1]))
    new = table.schema.canonical(
        pd.DataFrame({"c": ["z", None, "b"], "x": [np.nan, 0.5, 1]})
    )
    for view in VIEWS:
        encoder = make_encoder(view, table.schema).fit(table.X, table.y)
        np.testing.assert_array_equal(
            encoded_rows(encoder, new), encoder.transform(new)
        )


def test_steps_after_a_resampler_are_read_too():
    X, y = mixed()
    table = check_table(X, y)
    codes = make_encoder("mixed", table.schema).fit_transform(table.X, table.y)
    n = len(table.schema.categorical)
    native = make_encoder("native", table.schema).fit_transform(table.X, table.y)
    for step, rows in ((make_one_hot(n), codes), (make_geometry(n), native)):
        try:
            step.fit(rows)
        except ValueError:  # gaps among codes have no distance
            continue
        np.testing.assert_array_equal(
            encoded_rows(step, rows[:5]), step.transform(rows[:5])
        )


def test_encoders_are_read_once_and_again_after_a_fit():
    X, y = mixed()
    table = check_table(X, y)
    encoder = make_encoder("dense", table.schema).fit(table.X, table.y)
    row = take(table.X, np.arange(1))
    encoded_rows(encoder, row)
    parts = module._parts_of(encoder)
    assert module._parts_of(encoder) is parts
    encoder.fit(take(table.X, np.arange(40)), table.y[:40])
    np.testing.assert_array_equal(encoded_rows(encoder, row), encoder.transform(row))


class Mine(ColumnTransformer):
    """A user's, which may do anything."""

    def transform(self, X):
        return super().transform(X) + 1


FRAME = pd.DataFrame({"a": [1.0, 2, 4], "c": ["x", "y", "y"]})


@pytest.mark.parametrize(
    "encoder",
    [
        Mine([("a", StandardScaler(), [0])]),
        ColumnTransformer([("a", MinMaxScaler(), [0])]),
        ColumnTransformer([("a", StandardScaler(), ["a"])]),
        ColumnTransformer([("a", StandardScaler(), [0])], transformer_weights={"a": 2}),
        ColumnTransformer([("a", StandardScaler(with_mean=False), [0])]),
        ColumnTransformer([("a", StandardScaler(), [0]), ("c", OneHotEncoder(), [1])]),
        ColumnTransformer([("a", StandardScaler(), [0]), ("c", "drop", [1])]),
        ColumnTransformer([("a", StandardScaler(), [0])], remainder=OrdinalEncoder()),
        ColumnTransformer(
            [("c", OneHotEncoder(min_frequency=2, sparse_output=False), [1])],
            remainder="passthrough",
        ),
    ],
    ids=str,
)
def test_what_is_not_known_is_left_to_the_encoder(encoder):
    encoder = clone(encoder).fit(FRAME)
    expected = encoder.transform(FRAME)
    found = encoded_rows(encoder, FRAME)
    if hasattr(expected, "toarray"):
        expected, found = expected.toarray(), found.toarray()
    np.testing.assert_array_equal(found, expected)


class Words(ClassifierMixin, BaseEstimator):
    """A user's model, which reads text."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        positive = np.array([0.9 if word == "x" else 0.2 for word in X[:, 1]])
        return np.column_stack([1 - positive, positive])


def test_a_user_s_transformer_may_pass_on_what_is_no_number():
    frame = pd.concat([FRAME] * 20, ignore_index=True)
    prepare = ColumnTransformer([("a", StandardScaler(), [0])], remainder="passthrough")
    pipeline = make_pipeline(prepare, Words()).fit(frame, [0, 1, 1] * 20)
    few, many = (predict_codes(pipeline, part, 2) for part in (frame[:3], frame))
    np.testing.assert_array_equal(few, many[:3])
