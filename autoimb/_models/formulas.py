"""Losses by name: the one shape that nets' and boosting's formulas share."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .links import Link

__all__ = ["Formula", "resolve_formula"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """A loss that a model can be trained with."""

    function: Callable[..., Any]
    """Maps logits or margins, codes, shares and weights to what training asks for."""
    params: tuple[str, ...] = ()
    """Names of the function's own parameters."""
    link: Link = "softmax"
    """How k logits become probabilities."""


def resolve_formula(
    known: Mapping[str, Formula],
    loss: str | Callable[..., Any],
    params: Mapping[str, Any] | None,
) -> Formula:
    """Return a known loss by name, or one's own, with its parameters filled in.

    Raises
    ------
    ValueError
        If the loss or one of its parameters is unknown.
    """
    given = dict(params or {})
    if callable(loss):
        return Formula(function=partial(loss, **given))
    if loss not in known:
        nearest = difflib.get_close_matches(loss, known, n=1, cutoff=0.0)[0]
        msg = f"loss={loss!r} is not one of {sorted(known)}; nearest: {nearest!r}."
        raise ValueError(msg)
    formula = known[loss]
    if unknown := sorted(given.keys() - set(formula.params)):
        takes = sorted(formula.params)
        msg = f"loss_params has {unknown}, but {loss!r} takes {takes}."
        raise ValueError(msg)
    return replace(formula, function=partial(formula.function, **given))
