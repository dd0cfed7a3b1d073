"""Tests that every catalogue entry must pass, those of a user's own included.

The module needs pytest, and `import autoimb` does not load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from autoimb import Categorical, Strategy, profile
from autoimb._catalogue import AXES, CATALOGUE
from autoimb._catalogue.entry import suggested
from autoimb._evaluate.reference import evaluated_both_ways

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._catalogue.entry import Entry

__all__ = ["EntryContract"]


def numeric(
    n: int = 120, minority: int = 24, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return four numeric columns, two of which tell the rare class 1 apart."""
    rng = np.random.default_rng(seed)
    y = np.zeros(n, dtype=int)
    y[rng.choice(n, minority, replace=False)] = 1
    X = rng.normal(size=(n, 4))
    X[:, :2] += y[:, np.newaxis]
    return X, y


def mixed(
    n: int = 120, minority: int = 24, seed: int = 0
) -> tuple[pd.DataFrame, NDArray[np.str_]]:
    """Return numbers, text, booleans and dates with gaps, and text labels."""
    X, y = numeric(n, minority, seed)
    rng = np.random.default_rng(seed + 1)
    frame = pd.DataFrame({"size": X[:, 0], "age": X[:, 2]})
    frame["colour"] = rng.choice(["red", "green", "blue"], n)
    frame["flag"] = rng.random(n) < 0.3 + 0.4 * y
    frame["seen"] = pd.Timestamp("2024-01-31 12:30") + pd.to_timedelta(
        rng.integers(0, 10_000, n), unit="h"
    )
    for name in ("size", "colour", "seen"):
        frame.loc[rng.random(n) < 0.15, name] = None
    return frame, np.where(y == 1, "yes", "no")


def five_classes(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return three numeric columns and five classes, the smallest of 5 rows."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(5), [50, 30, 20, 10, 5])
    return rng.normal(size=(len(y), 3)) + y[:, np.newaxis], y


TABLES = {"numeric": numeric, "mixed": mixed, "five classes": five_classes}


class EntryContract:
    """Tests of one catalogue entry: a family, a resampler, a loss or a class weight.

    Subclass it under a name that begins with ``Test``, with a fixture ``entry`` that
    registers the entry and returns its axis and its name. pytest then runs all tests on
    small tables: numbers, columns of every kind with gaps, and five classes.

    See Also
    --------
    autoimb.register_family : Add a model of your own.
    autoimb.register_resampler : Add a resampler of your own.
    autoimb.register_loss : Add a loss of your own.

    Notes
    -----
    The axis is ``"family"``, ``"resampler"``, ``"loss"`` or ``"class_weight"``. The
    tests check that

    - the entry is registered under its name and has a label of one line;
    - it can be sent to worker processes;
    - its defaults and the settings of a family's portfolio lie within `params`, and so
      does whatever Optuna proposes;
    - on each table it either says in one line why it does not suit it, or gives finite
      probabilities that add up to one, the same as its pipeline gives by ``fit`` and
      ``predict_proba``.

    Examples
    --------
    >>> import pytest
    >>> from sklearn.naive_bayes import GaussianNB
    >>> import autoimb
    >>> from autoimb.testing import EntryContract
    >>> class TestNaiveBayes(EntryContract):
    ...     @pytest.fixture
    ...     def entry(self):
    ...         autoimb.register_family("naive_bayes", GaussianNB())
    ...         return "family", "naive_bayes"
    """

    @pytest.fixture
    def entry(self) -> tuple[str, str]:
        """Return the axis and the name of the entry to test; subclasses replace it."""
        raise NotImplementedError(
            f"{type(self).__name__} needs a fixture `entry` that returns the axis and "
            "the name of an entry, such as ('family', 'naive_bayes')."
        )

    def test_it_is_registered_and_has_a_label(self, entry: tuple[str, str]) -> None:
        """The catalogue holds it under its name; the label is one line."""
        axis, name = entry
        assert axis in AXES, f"{axis!r} is not an axis: {AXES}"
        assert name in CATALOGUE.entries[axis], f"no {axis} {name!r} is registered"
        registered = _registered(entry)
        assert registered.name == name
        assert registered.label, f"{name} has no label"
        assert "\n" not in registered.label, f"the label of {name} has several lines"

    def test_it_travels_to_workers(self, entry: tuple[str, str]) -> None:
        """It can be sent to other processes."""
        registered = _registered(entry)
        received = cloudpickle.loads(cloudpickle.dumps(registered))
        assert received.name == registered.name

    def test_defaults_lie_in_their_domains(self, entry: tuple[str, str]) -> None:
        """The value that is tried first is one that the parameter can have."""
        for parameter, domain in _registered(entry).params.items():
            message = f"the default of {parameter} is outside of {domain}"
            assert domain.default in domain, message

    def test_optuna_proposes_values_of_each_domain(
        self, entry: tuple[str, str]
    ) -> None:
        """Bounds, choices and scale reach Optuna, and its values lie in the domain."""
        import optuna

        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(sampler=sampler)
        for _ in range(20):
            trial = study.ask()
            for parameter, domain in _registered(entry).params.items():
                value = suggested(trial, parameter, domain)
                assert value in domain, f"{parameter}={value!r} is outside of {domain}"
                stored = trial.distributions[parameter]
                names = ("choices",) if isinstance(domain, Categorical) else _BOUNDS
                for name in names:
                    assert getattr(stored, name) == getattr(domain, name)
                assert type(stored).__name__ == f"{type(domain).__name__}Distribution"

    def test_a_portfolio_lies_in_the_domains(self, entry: tuple[str, str]) -> None:
        """The settings of a family that are tried first are values it can have."""
        registered = _registered(entry)
        for settings in getattr(registered, "portfolio", ()):
            for parameter, value in settings.items():
                message = f"the portfolio sets {parameter}={value!r}"
                assert value in registered.params[parameter], message

    def test_a_family_accepts_its_own_baseline(self, entry: tuple[str, str]) -> None:
        """A model can be fitted without anything done about the imbalance."""
        axis, name = entry
        if axis == "family":
            baseline = Strategy.of(CATALOGUE, family=name)
            for other in ("loss", "resampler", "class_weight"):
                part = CATALOGUE.get(other, baseline.choice(other).name)
                assert _registered(entry).accepts(part), f"{name} refuses {part.name}"

    @pytest.mark.parametrize("table", TABLES)
    def test_it_fits_as_its_pipeline_does_or_says_why_not(
        self, entry: tuple[str, str], table: str
    ) -> None:
        """Its probabilities are those of its pipeline, or it says what it needs."""
        X, y = TABLES[table]()  # type: ignore[operator]
        reason = _registered(entry).reason_unsuitable(profile(X, y))
        if reason is not None:
            assert reason, "the reason is empty"
            assert "\n" not in reason, "the reason has several lines"
            return
        strategy = _strategy_with(*entry)
        result, expected = evaluated_both_ways(strategy, X, y, CATALOGUE)
        assert result.status == "ok", result.reason
        proba: Any = result.proba
        assert proba.shape[1] == len(np.unique(y)), "not one column for each class"
        assert np.isfinite(proba).all(), "a probability is not finite"
        np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-6)
        np.testing.assert_allclose(proba, expected, atol=1e-6)


_BOUNDS = ("low", "high", "log")


def _registered(entry: tuple[str, str]) -> Any:
    """Return the catalogue entry with this axis and name."""
    return CATALOGUE.get(*entry)


def _strategy_with(axis: str, name: str) -> Strategy:
    """Return a strategy that uses an entry, with the first family that accepts it."""
    if axis == "family":
        return Strategy.of(CATALOGUE, family=name)
    entry: Entry = CATALOGUE.get(axis, name)
    families = CATALOGUE.entries["family"].values()
    family = next((f.name for f in families if f.accepts(entry)), None)
    assert family is not None, f"no family accepts the {axis} {name!r}"
    return Strategy.of(CATALOGUE, family=family, **{axis: name})
