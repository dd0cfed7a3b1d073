"""Tables as they come: every dtype and value that a column may hold, by name.

A `Case` says in plain values what a table is made of, so that hypothesis can make it
smaller and a benchmark can write it down. `check` fits and predicts, and returns what
became of it.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
import warnings
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

from autoimb import AutoImbalance
from autoimb.exceptions import AutoImbError

TINY, HUGE = 5e-324, 1.7e308


def objects(values):
    """Return an array of objects, whatever they are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def picked(*values):
    """Return a maker of columns that hold these values."""

    def make(rng, n):
        return objects([values[i] for i in rng.integers(0, len(values), n)])

    return make


def sprinkled(*values):
    """Return a maker of columns of numbers with some of these among them."""

    def make(rng, n):
        column = rng.normal(size=n)
        where = rng.random(n) < 0.2
        column[where] = rng.choice(values, where.sum())
        return column

    return make


def cast(dtype, low=0, high=100):
    """Return a maker of whole numbers of a dtype."""
    return lambda rng, n: pd.array(rng.integers(low, high, n), dtype=dtype)


def with_gaps(make, gap=None):
    """Return a maker that leaves some values out."""

    def make_with_gaps(rng, n):
        column = pd.Series(make(rng, n))
        return column.mask(rng.random(n) < 0.3, gap)

    return make_with_gaps


def dates(rng, n, zone=None):
    stamps = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    return stamps.tz_localize(zone) if zone else stamps


COLUMNS = {
    "float64": lambda rng, n: rng.normal(size=n),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
    "float16": lambda rng, n: rng.normal(size=n).astype(np.float16),
    "big-endian": lambda rng, n: rng.normal(size=n).astype(">f8"),
    "int8": cast("int8"),
    "uint64": lambda rng, n: rng.integers(2**63, 2**64, n, dtype=np.uint64),
    "Int64 with gaps": with_gaps(cast("Int64"), pd.NA),
    "Float32": cast("Float32"),
    "beyond 64 bits": picked(10**30, -(10**25), 7),
    "beyond floats": picked(10**400, 1, 2),
    "bool": lambda rng, n: rng.random(n) < 0.5,
    "boolean with gaps": with_gaps(cast("boolean", 0, 2), pd.NA),
    "gaps": sprinkled(np.nan),
    "only gaps": lambda rng, n: np.full(n, np.nan),
    "only None": picked(None),
    "constant": lambda rng, n: np.ones(n),
    "infinite": sprinkled(np.inf, -np.inf),
    "huge": sprinkled(HUGE, -HUGE),
    "beyond float32": sprinkled(1e39, -1e300),
    "denormal": sprinkled(TINY, -TINY, 1e-310),
    "only denormal": lambda rng, n: rng.choice([TINY, 3 * TINY, 0.0], n),
    "signed zero": lambda rng, n: rng.choice([0.0, -0.0], n),
    "decimals": picked(Decimal("1.10"), Decimal(-2), Decimal("1e-40")),
    "odd decimals": picked(Decimal("NaN"), Decimal(3), Decimal("1e999")),
    "signalling decimals": picked(Decimal("sNaN"), Decimal(3), Decimal(4)),
    "fractions": picked(Fraction(1, 3), Fraction(7, 2)),
    "complex": lambda rng, n: rng.normal(size=n) + 1j,
    "text": picked("red", "green", "blue"),
    "many texts": lambda rng, n: np.array([f"t{i}" for i in rng.permutation(n)]),
    "text with gaps": with_gaps(picked("a", "b", "")),
    "long text": picked("x" * 5000, "y" * 4999, " \n\t\0"),
    "surrogates": picked("\ud800", "a\udfff", "b"),
    "signs": picked("🦆", "e\u0301", "é", "\u202eabc", "<b>|`"),
    "bytes": picked(b"\xff\xfe", b"abc", b""),
    "numbers in text": picked("1", "2.5", "-3e4"),
    "some text": picked("1", "2", "?", "-", "n/a"),
    "mixed": picked(1, "a", None, 2.5, True),
    "mixed numbers": picked(1, 2.5, True, Decimal(3)),
    "category": lambda rng, n: pd.Categorical(rng.choice(["a", "b"], n), ["b", "a"]),
    "category of numbers": lambda rng, n: pd.Categorical(rng.choice([3, 1, 2], n)),
    "category of gaps": lambda rng, n: pd.Categorical([None] * n, ["a"]),
    "date": dates,
    "date in a zone": lambda rng, n: dates(rng, n, "Asia/Kathmandu"),
    "dates of two zones": picked(
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2021, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))),
    ),
    "dates with and without": picked(
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2021, 1, 1)
    ),
    "days": picked(dt.date(2020, 1, 1), dt.date(9999, 12, 31), dt.date(1, 1, 1)),
    "iso text": picked("2020-01-01", "2021-12-31", "2022-02-29"),
    "clock": picked("12:30", "23:59", "00:00"),
    "times": picked(dt.time(1, 2), dt.time(23, 59)),
    "durations": lambda rng, n: pd.to_timedelta(rng.integers(0, 99, n), "h"),
    "periods": lambda rng, n: pd.period_range("2020", periods=n, freq="M"),
    "intervals": lambda rng, n: pd.interval_range(0, n, n),
    "sparse": lambda rng, n: pd.arrays.SparseArray(rng.integers(0, 2, n)),
    "lists": picked([1, 2], [3]),
    "nested": picked({"a": [1, {"b": 2}]}, {"a": None}),
    "tuples": picked((1, 2), (3,)),
    "sets": picked({1}, {2, 3}, frozenset()),
    "arrays": picked(np.zeros(2), np.ones(3)),
    "identifiers": picked(uuid.UUID(int=1), uuid.UUID(int=2)),
    "types": picked(int, str),
    "functions": picked(len, print),
}
"""What a column may hold: from a generator and a number of rows."""


LABELS = {
    "int": (0, 1, 2),
    "text": ("no", "yes", "maybe"),
    "bool": (False, True),
    "float": (0.5, -1.0, HUGE),
    "int64 extremes": (-(2**63), 2**63 - 1, 0),
    "text with spaces": ("yes", "yes ", "no"),
    "mixed": (1, "a", None),
    "mixed numbers": (1, 2.0, True),
    "none": (None, "NA", "null"),
    "bytes": (b"\xff", b"a", b""),
    "decimals": (Decimal("1.1"), Decimal(2), Decimal(3)),
    "days": (dt.date(2020, 1, 1), dt.date(2021, 1, 1), dt.date(2022, 1, 1)),
    "stamps": (pd.Timestamp("2020"), pd.Timestamp("2021"), pd.Timestamp("2022")),
    "tuples": ((0, 1), (1, 0), (1, 1)),
    "surrogates": ("\ud800", "b", "c"),
    "unhashable": ([1], [2], [3]),
    "gaps": (0.0, 1.0, np.nan),
}
"""Up to three labels of a table."""

CONTAINERS = ("frame", "array", "lists")


@dataclass(frozen=True)
class Case:
    """A table to fit on, and the rows to predict."""

    columns: tuple[str, ...]
    """Names of what its columns hold."""
    counts: tuple[int, ...] = (30, 10)
    """Rows of each class."""
    labels: str = "int"
    container: str = "frame"
    later: str = ""
    """What one of the columns holds in the rows to predict only; empty for the same."""
    seed: int = 0


def series(values):
    """Return a column as pandas reads it, or of objects where it cannot."""
    try:
        return pd.Series(values)
    except UnicodeEncodeError:  # text becomes UTF-8
        return pd.Series(values, dtype=object)


def table_of(case, columns=None):
    """Return X and y of a case."""
    rng = np.random.default_rng(case.seed)
    labels = LABELS[case.labels]
    codes = np.repeat(np.arange(len(case.counts)), case.counts) % len(labels)
    codes = rng.permutation(codes)
    y = objects([labels[code] for code in codes])
    parts = [COLUMNS[kind](rng, len(y)) for kind in columns or case.columns]
    frame = pd.DataFrame(
        {f"c{place}": series(part) for place, part in enumerate(parts)}
    )
    if case.container == "array":
        return frame.to_numpy(), y
    if case.container == "lists":
        return frame.to_numpy().tolist(), y.tolist()
    return frame, y


def model_of(**options):
    """Return a search of two candidates of a cheap family."""
    space = {"families": "logistic_regression", "resamplers": "none", "n_trials": 2}
    settings = {"cv": 2, "ensemble_size": 1, "n_jobs": 1, "random_state": 0}
    return AutoImbalance(**{**space, **settings, **options})


def check(case, **options):
    """Return what became of a case: ``"ok"``, or the documented error.

    Anything else is raised: other errors, errors that name nothing of the table, and
    probabilities that are none.
    """
    X, y = table_of(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = model_of(**options).fit(X, y)
        except AutoImbError as error:
            return told(error, "fit")
        assert_probabilities(model, model.predict_proba(X), len(y))
        later = (case.later or case.columns[0], *case.columns[1:])
        X_later, _ = table_of(case, later)
        try:
            proba = model.predict_proba(X_later)
        except AutoImbError as error:
            return told(error, "predict")
        assert_probabilities(model, proba, len(y))
    return "ok"


_SUBJECT = re.compile(r"\bc\d+\b|\by\b|\bX\b|class|rows|row |column|feature|label|fold")


def told(error, where):
    """Return an error's name and message; it names what is wrong, in one line."""
    message = str(error)
    assert "\n" not in message, message
    assert _SUBJECT.search(message), message
    return f"{where}: {type(error).__name__}: {message}"


def assert_probabilities(model, proba, n_rows):
    """Check the form of probabilities."""
    assert proba.shape == (n_rows, len(model.classes_))
    assert np.isfinite(proba).all()
    assert ((proba >= 0) & (proba <= 1)).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-6)
