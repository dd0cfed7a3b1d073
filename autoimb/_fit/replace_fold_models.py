"""Fold models replaced by fits on all rows, once there is time for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autoimb._evaluate.refit import EncodedRows, refit

if TYPE_CHECKING:
    from autoimb._evaluate.problem import Problem
    from autoimb._fit.fitted_model import FittedMember, FittedModel


def with_refits(model: FittedModel, problem: Problem, n_threads: int) -> FittedModel:
    """Return the model with the members fitted on all rows that lack this fit.

    Weights, calibrations and threshold stay, as after a refit in `fit`: they come from
    out-of-fold scores in any case.
    """
    encoded: EncodedRows = {}

    def refitted(member: FittedMember) -> FittedMember:
        pipeline, _ = refit(
            member.strategy, problem, n_threads=n_threads, encoded=encoded
        )
        return replace(member, pipelines=(pipeline,), unfitted=None, reason="")

    members = tuple(
        refitted(member) if member.lacks_refit else member for member in model.members
    )
    return replace(model, members=members)
