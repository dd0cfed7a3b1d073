"""Registration of a user's own entries, beside the built-in ones.

They join the catalogue of this process. A fit sends its workers the entries along with
the data, so nothing needs to be registered there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoimb._catalogue.builtin import BUILT_IN, CATALOGUE
from autoimb._catalogue.entry import (
    Loss,
    Need,
    checked_domain,
    minority_at_least,
    rows_at_most,
)
from autoimb._catalogue.user_objects import (
    check_classifier,
    entry_of_estimator,
    entry_of_resampler,
    with_own_defaults,
)
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoimb._catalogue.entry import Axis, Domain, Entry
    from autoimb._table.encoding import View

_VIEW_OF_READS: dict[str, View | None] = {
    "numbers": "dense",
    "gaps": "native",
    "as given": None,
}


def register_family(
    name: str,
    estimator: Any,
    *,
    params: Mapping[str, Domain] | None = None,
    label: str | None = None,
    reads: str = "numbers",
    portfolio: tuple[Mapping[str, Any], ...] = ({},),
    min_minority: int = 0,
    max_rows: int | None = None,
    reference: str = "",
) -> None:
    """Add a model of your own to every search of this process.

    Parameters
    ----------
    name : str
        Name in the leaderboard and in ``families=[...]``.
    estimator : scikit-learn classifier
        Cloned for every fit; class codes 0 to k - 1 are its labels. Every
        ``random_state`` that is None is seeded. Class weights are searched where it
        takes any, as a parameter or by row weights, and has none yet.
    params : mapping from parameter name to Float, Int or Categorical, default=None
        What to tune.
    label : str, default=None
        A few words for tables; None is ``"your ClassName"``.
    reads : {"numbers", "gaps", "as given"}, default="numbers"
        What it can read: scaled numbers without gaps, with categories one-hot
        encoded; numbers with gaps as NaN and categories as codes; or the user's
        columns by their names, where text stays text and dates stay dates.
    portfolio : tuple of mappings, default=({},)
        Settings, by parameter in `params`, that are always worth a trial.
    min_minority : int, default=0
        Rows of the smallest class below which it is left out.
    max_rows : int, default=None
        Rows above which it is left out.
    reference : str, default=""
        Where it is described.

    Raises
    ------
    BadInputError
        If the name is taken, the estimator has no such parameter, or a setting of the
        portfolio lies outside of `params`.

    Examples
    --------
    >>> import autoimb
    >>> from sklearn.naive_bayes import GaussianNB
    >>> autoimb.register_family(
    ...     "naive_bayes",
    ...     GaussianNB(),
    ...     params={
    ...         "var_smoothing": autoimb.Float(1e-10, 1e-1, default=1e-9, log=True)
    ...     },
    ... )
    >>> "naive_bayes" in set(autoimb.catalogue()["name"])
    True
    """
    check_classifier("estimator", estimator)
    _check_portfolio(portfolio, params or {})
    if reads not in _VIEW_OF_READS:
        raise BadInputError(f"reads={reads!r} is not one of {list(_VIEW_OF_READS)}.")
    fields: dict[str, Any] = {} if label is None else {"label": label}
    entry = entry_of_estimator(
        estimator,
        name,
        view=_VIEW_OF_READS[reads],
        params=params,
        portfolio=portfolio,
        needs=_needs(min_minority, max_rows),
        reference=reference,
        **fields,
    )
    _add("family", entry)


def register_resampler(
    name: str,
    sampler: Any,
    *,
    params: Mapping[str, Domain] | None = None,
    label: str | None = None,
    min_minority: int = 0,
    max_rows: int | None = None,
    reference: str = "",
) -> None:
    """Add a resampler of your own to every search of this process.

    It is fitted on the training part of each fold only. It reads scaled numbers
    without gaps, with categories one-hot encoded.

    Parameters
    ----------
    name : str
        Name in the leaderboard and in ``resamplers=[...]``.
    sampler : object with ``fit_resample``
        Cloned for every fit; every ``random_state`` that is None is seeded. Row
        weights are carried along if it sets ``sample_indices_``, and are passed to its
        ``fit_resample`` if that takes ``sample_weight``.
    params : mapping from parameter name to Float, Int or Categorical, default=None
        What to tune.
    label : str, default=None
        A few words for tables; None is the name.
    min_minority : int, default=0
        Rows of the smallest class below which it is left out.
    max_rows : int, default=None
        Rows above which it is left out.
    reference : str, default=""
        Where it is described.

    Raises
    ------
    BadInputError
        If the name is taken, or the resampler has no such parameter.

    Examples
    --------
    >>> import autoimb
    >>> from imblearn.over_sampling import SMOTE
    >>> autoimb.register_resampler(
    ...     "timid_smote",
    ...     SMOTE(k_neighbors=1),
    ...     params={"sampling_strategy": autoimb.Categorical(("auto",), "auto")},
    ...     min_minority=4,
    ... )
    """
    _check_resampler(sampler)
    entry = entry_of_resampler(
        sampler,
        name,
        label=label or name,
        params=with_own_defaults(sampler, params or {}),
        needs=_needs(min_minority, max_rows),
        reference=reference,
    )
    _add("resampler", entry)


def register_loss(
    name: str,
    *,
    torch: Callable[..., Any] | None = None,
    xgboost: Callable[..., Any] | None = None,
    params: Mapping[str, Domain] | None = None,
    label: str | None = None,
    allows_class_weight: bool = True,
    reference: str = "",
) -> None:
    """Add a loss of your own to every search of this process.

    Parameters
    ----------
    name : str
        Name in the leaderboard and in ``losses=[...]``.
    torch : callable, default=None
        ``torch(logits, codes, *, prior, class_weight, sample_weight, **params)``
        returns one loss a row. Logits have shape (n,) for two classes and (n, k)
        for k; `prior` holds the classes' shares; weights are None or tensors of
        shape (k,) and (n,). None: neural nets do not offer it.
    xgboost : callable, default=None
        ``xgboost(margins, codes, *, prior, **params)`` returns the gradient and the
        second derivative by the margins, each of the margins' shape: (n,) for two
        classes, (n, k) for k. None: XGBoost does not offer it.
    params : mapping from parameter name to Float, Int or Categorical, default=None
        What to tune.
    label : str, default=None
        A few words for tables; None is the name.
    allows_class_weight : bool, default=True
        Whether class weights make sense on top of it.
    reference : str, default=""
        Where it is described.

    Raises
    ------
    BadInputError
        If the name is taken, or neither form is given.

    Examples
    --------
    >>> import autoimb
    >>> def squared(logits, codes, *, prior, class_weight, sample_weight):
    ...     return (logits.sigmoid() - codes) ** 2
    >>> autoimb.register_loss("squared_error", torch=squared, allows_class_weight=False)
    """
    forms = {"torch": torch, "xgboost": xgboost}
    make = {kind: form for kind, form in forms.items() if form is not None}
    if not make or not all(callable(form) for form in make.values()):
        raise BadInputError(
            f"loss {name!r} needs a function as torch=, as xgboost=, or both."
        )
    entry = Loss(
        name=name,
        label=label or name,
        make=make,
        params={n: checked_domain(n, domain) for n, domain in (params or {}).items()},
        allows_class_weight=allows_class_weight,
        reference=reference,
    )
    _add("loss", entry)


def _add(axis: Axis, entry: Entry) -> None:
    """Add an entry; it replaces an earlier one of the user's with that name."""
    if entry.name in BUILT_IN[axis]:
        raise BadInputError(
            f"{entry.name!r} is the name of a built-in {axis.replace('_', ' ')}: "
            "choose another."
        )
    if not entry.name or set(entry.name) & set(": \n"):
        raise BadInputError(
            f"name={entry.name!r} is empty or holds a colon or a space: use "
            "something like 'my_entry'."
        )
    CATALOGUE.entries[axis][entry.name] = entry


def _needs(min_minority: int, max_rows: int | None) -> tuple[Need, ...]:
    """Return the needs of an entry with these limits."""
    most = () if max_rows is None else (rows_at_most(max_rows),)
    least = (minority_at_least(min_minority),) if min_minority > 0 else ()
    return (*least, *most)


def _check_resampler(sampler: Any) -> None:
    """Raise for a class, or for an object that is no resampler."""
    if isinstance(sampler, type):
        kind = sampler.__name__
        raise BadInputError(
            f"sampler={kind} is a class: give an instance, {kind}(...)."
        )
    missing = [m for m in ("fit_resample", "get_params") if not hasattr(sampler, m)]
    if missing:
        raise BadInputError(f"sampler={sampler!r} has no {' and no '.join(missing)}.")


def _check_portfolio(
    portfolio: tuple[Mapping[str, Any], ...], params: Mapping[str, Domain]
) -> None:
    """Raise for a setting that the search cannot propose."""
    for name, value in (pair for settings in portfolio for pair in settings.items()):
        if name not in params or value not in params[name]:
            raise BadInputError(
                f"portfolio sets {name}={value!r}, which params does not allow: "
                f"{name} is {params.get(name, 'not among them')}."
            )
