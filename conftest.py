"""What holds for every test, those in docstrings included."""

from __future__ import annotations

import pytest

# It loads all public names: doctest looks for them in `autoimb` alone.
from autoimb import AutoImbalance  # noqa: F401
from autoimb._catalogue import AXES, CATALOGUE


@pytest.fixture(autouse=True)
def _catalogue_as_it_was():
    """Take back what a test registered: it would change the search of the next one."""
    before = {axis: dict(CATALOGUE.entries[axis]) for axis in AXES}
    yield
    for axis in AXES:
        if CATALOGUE.entries[axis] != before[axis]:
            CATALOGUE.entries[axis].clear()
            CATALOGUE.entries[axis].update(before[axis])
