"""scikit-learn's own checks on a small configuration."""

import inspect
import warnings

import pytest
from imblearn.utils.estimator_checks import check_classifiers_with_encoded_labels
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._testing import check_docstring_parameters
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

from autoimb import AutoImbalance

SMALL = AutoImbalance(
    threshold=None,
    calibrate=False,
    n_trials=2,
    cv=2,
    n_jobs=1,
    families="logistic_regression",
    random_state=0,
)
AROUND = clone(SMALL).set_params(families="auto", estimator=LogisticRegression())

EXPECTED = {
    **dict.fromkeys(
        (
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weight_equivalence_on_sparse_data",
        ),
        "cross-validation cuts rows: a row of weight 2 is in one fold, the same row "
        "twice may be in two, so other candidates are seen by other folds",
    ),
}


EXPECTED_AROUND = {
    "check_dtype_object": "a dict in a cell is an error that names its column",
    "check_estimators_nan_inf": (
        "gaps are left to the model: that it failed in every trial, and why, is a "
        "NoCandidateError"
    ),
    **EXPECTED,
}


def expected_failures(search):
    """Return the checks that a search fails, each with its reason."""
    return EXPECTED if search.estimator is None else EXPECTED_AROUND


# Some of their tables hold a class of one row, which is set aside.
@pytest.mark.filterwarnings("ignore::autoimb.LeftOutWarning")
@parametrize_with_checks([SMALL, AROUND], expected_failed_checks=expected_failures)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "search",
    [
        SMALL,
        AROUND,
        clone(AROUND).set_params(
            estimator=make_pipeline(StandardScaler(), LogisticRegression())
        ),
    ],
    ids=["alone", "around", "around a pipeline"],
)
@pytest.mark.parametrize(
    "check",
    [check_dataframe_column_names_consistency, check_classifiers_with_encoded_labels],
)
def test_checks_that_libraries_run_on_their_own_estimators(check, search):
    check("AutoImbalance", search)


# --- docstrings, as scikit-learn checks its own


def methods():
    """Return the public methods of the estimator, but those that it inherits."""
    found = inspect.getmembers(AutoImbalance, inspect.isfunction)
    of_autoimb = [f for name, f in found if f.__module__.startswith("autoimb")]
    return [f for f in of_autoimb if not f.__name__.startswith("_")]


def test_parameters_are_documented_in_their_order():
    from numpydoc import docscrape

    documented = docscrape.ClassDoc(AutoImbalance)["Parameters"]
    names = [name for entry in documented for name in entry.name.split(", ")]
    assert names == list(inspect.signature(AutoImbalance).parameters)


def test_defaults_are_documented_as_they_are():
    from numpydoc import docscrape

    documented = docscrape.ClassDoc(AutoImbalance)["Parameters"]
    defaults = {
        name: entry.type.partition("default=")[2]
        for entry in documented
        for name in entry.name.split(", ")
    }
    for name, parameter in inspect.signature(AutoImbalance).parameters.items():
        assert defaults[name].strip("\"'") == str(parameter.default), name


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
def test_parameters_of_methods_are_documented_in_their_order(method):
    # Some are documented together, which the check takes for one name.
    together = {"refit": ["sample_weight", "groups", "costs"]}
    ignored = together.get(method.__name__)
    assert check_docstring_parameters(method, ignore=ignored) == []


def test_attributes_of_a_fit_are_documented():
    from numpydoc import docscrape

    documented = {
        entry.name for entry in docscrape.ClassDoc(AutoImbalance)["Attributes"]
    }
    X, y = make_classification(60, 3, n_redundant=0, random_state=2)
    fitted = clone(SMALL).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        held = {name for name in dir(fitted) if hasattr(fitted, name)}
    held = {n for n in held if n.endswith("_") and not n.startswith("_")}
    optional = {"feature_names_in_", "feature_importances_"}
    assert documented - held == optional
    assert held <= documented
