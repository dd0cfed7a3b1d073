r"""Prediction sets with a guarantee for each class: class-conditional conformal sets.

A class is in the set of a row unless the row would be among the least typical of the
class: a share of at most 1 - coverage of them. How typical rows are is told by their
out-of-fold probabilities. For class k with n_k rows,

.. math:: p_k(x) = \frac{1 + \#\{i : y_i = k, \hat p_k(x_i) \le \hat p_k(x)\}}{1 + n_k},

and k is in the set if p_k(x) exceeds 1 - coverage. If new rows of the class and those
of the training table are exchangeable, and one model scored them all, each class is
covered with this probability, whatever its share is.

Here fold models scored the rows, each those that it was not trained on, and the model
that predicts was trained on all rows, or is the mean of the fold models. This is
cross-conformal prediction. What is proven of its kind is a coverage of 1 - 2α where 1 -
α is asked for, for scores of new rows by the fold models themselves; what it has in
practice is about 1 - α.

References
----------
Vovk 2012, arXiv:1209.2673 (class-conditional); Vovk 2015,
doi:10.1007/s10472-013-9368-4 (cross-conformal).
Romano, Sesia & Candès 2020, arXiv:2006.02544; Ding et al. 2023, arXiv:2306.09335.
Barber, Candès, Ramdas & Tibshirani 2021, doi:10.1214/20-AOS1965 (1 - 2α).
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoimb._fit.decision import Decision

_ROUNDING = 1e-9  # of p-values: a class at the limit counts as outside


def prediction_sets(
    decision: Decision, proba: NDArray[np.float64], coverage: object
) -> NDArray[np.bool_]:
    """Return which of all classes (n, k) are in the sets of rows.

    `proba` are the model's probabilities for the class shares of the training table. A
    class that is set aside is in no set.
    """
    check_out_of_fold(decision, "predict_sets")
    errors = _errors(coverage, decision.all_classes)
    sets = np.zeros((len(proba), len(errors)), dtype=bool)
    oof, own = decision.oof, decision.calibrated.proba
    codes = decision.set_aside.others(len(errors))
    for place, code in enumerate(codes):
        of_class = oof.y == place
        order = np.argsort(own[of_class, place], kind="stable")
        scores = own[of_class, place][order]
        # In repeated cross-validation, a row has several entries, which sum to one.
        below = np.append(0.0, np.cumsum(oof.multiplicity[of_class][order]))
        reached = np.searchsorted(scores, proba[:, place], side="right")
        p_values = (1 + below[reached]) / (1 + below[-1])
        sets[:, code] = p_values > errors[code] + _ROUNDING
    return sets


def check_out_of_fold(decision: Decision, method: str) -> None:
    """Raise unless a model has the out-of-fold scores that a method needs."""
    if not decision.is_out_of_fold:
        raise BadInputError(
            f"{method} needs out-of-fold scores, and this model has none: there was no "
            "time to cross-validate it. Fit it with a longer time_budget."
        )


def _errors(coverage: object, classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the error level (k,) of each class; raise if there is none."""
    labels = classes.tolist()
    values = [coverage] * len(labels)
    if isinstance(coverage, Mapping):
        wrong = [k for k in coverage if k not in labels]
        wrong += [label for label in labels if label not in coverage]
        if wrong:
            raise BadInputError(
                f"{coverage=} must give each of the classes {labels[:20]} its "
                f"coverage, and no other: look at {wrong[:20]}."
            )
        values = [coverage[label] for label in labels]
    for value in values:
        is_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
        if not is_number or not 0 < value < 1:  # type: ignore[operator]
            raise BadInputError(
                f"{coverage=} must be a share between 0 and 1, such as 0.9, or a dict "
                "of label to share."
            )
    return 1 - np.array(values, dtype=np.float64)
