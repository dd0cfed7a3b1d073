"""The script: constants, pipelines, and functions that fit and predict."""

from __future__ import annotations

import sys
from dataclasses import asdict
from textwrap import fill, indent
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.compose import ColumnTransformer

from autoimb._export.code_layout import WIDTH, Block, Code, call, layout, prefixed
from autoimb._export.script_functions import fit_weighted
from autoimb._export.script_names import ScriptNames
from autoimb._export.value_code import Written, code_of
from autoimb._metrics.calibration import Calibration, Identity
from autoimb._table.readers import YEAR_FIRST
from autoimb._threshold.rules import Argmax, ClassWeights, Cut
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoimb._fit.decision import Decision
    from autoimb._fit.fitted_model import FittedMember, FittedModel
    from autoimb._table.columns import Schema
from autoimb._threshold.rules import Threshold

_TITLE = '''\
"""A classifier for imbalanced data, as autoimb chose it.

``pipelines = fit(X, y)`` fits it. Then ``predict(pipelines, X_new)`` returns labels and
``predict_proba(pipelines, X_new)`` probabilities, a column for each of CLASSES.
"""'''
_READERS = {
    "categorical": "read_texts",
    "high-cardinality": "read_texts",
    "datetime": "read_dates",
    "time of day": "read_times",
}
"""By kind of column, the function of `_table.readers` that reads it; else numbers."""

_RULES: dict[type[Threshold], tuple[str, str]] = {
    Argmax: ("", "np.argmax(proba, axis=1)"),
    ClassWeights: (
        "The class with the highest product of probability and weight is predicted.",
        "np.argmax(proba * THRESHOLD, axis=1)",
    ),
    Cut: (
        "From this probability on, CLASSES[{pos}] is predicted.",
        "np.where(proba[:, {pos}] >= THRESHOLD, {pos}, {neg})",
    ),
}
"""By rule, what its number means, and the code for label codes."""


def prediction_script(model: FittedModel, schema: Schema, decision: Decision) -> str:
    """Return Python code that fits the same model, and predicts as it does.

    Raises
    ------
    BadInputError
        If a part of the model cannot be written as code, or was fitted on samples.
    """
    if any(member.n_sampled is not None for member in model.members):
        raise BadInputError(
            "the model was fitted on samples of the rows, as a fit on all of them "
            "would have taken too long, and its calibration holds for those: a script "
            "that fits on all rows would predict otherwise. Fit with n_trials= and no "
            "time_budget, with more time, or call refit(X, y) first."
        )
    names = ScriptNames()
    if decision.row_weights == "uneven":
        names.of(fit_weighted)  # what it imports must not be named otherwise
    constants = [
        f"{_comment(what)}\n{layout(prefixed(f'{name} = ', code_of(value, names)))}"
        for what, name, value in _constants(model, decision)
    ]
    encoders: dict[Code, str] = {}
    members = enumerate(model.members, 1)
    makers = [_maker(place, m, schema, encoders, names) for place, m in members]
    functions = [
        _read(schema, names),
        *(
            _function(
                f"{name}()",
                "Return an unfitted encoder of the columns.",
                prefixed("return ", encoder),
            )
            for encoder, name in encoders.items()
        ),
        *makers,
        _fit(len(model.members), schema, names, decision),
        *_predict_proba(model, names, decision),
        _predict(model.threshold, decision),
    ]
    held = ["\n".join(of) for of in (constants, names.constants.values()) if of]
    remarks = [*_remarks(names), *_about_fold_models(model)]
    top = "\n\n".join([_TITLE, *remarks, names.imports(), *held])
    return "\n\n\n".join([top, *functions, *names.functions.values()]) + "\n"


def _remarks(names: ScriptNames) -> Iterator[str]:
    """Yield comments on what the script needs."""
    packages = {local: home.split(".")[0] for local, (home, _) in names.bound.items()}
    versions = (
        f"{package} {sys.modules[package].__version__}"
        for package in sorted({*packages.values()} - sys.stdlib_module_names - {""})
        if hasattr(sys.modules[package], "__version__")
    )
    yield _comment(f"Written for {', '.join(versions)}.")
    own = sorted(name for name, package in packages.items() if package == "autoimb")
    if own:
        yield _comment(f"Of autoimb, with no counterpart elsewhere: {', '.join(own)}.")


def _about_fold_models(model: FittedModel) -> Iterator[str]:
    """Yield a comment if fold models predict, since the script fits on all rows."""
    n_folds = max(len(member.pipelines) for member in model.members)
    if not all(member.is_refit for member in model.members):
        yield _comment(
            f"autoimb's own model predicts by the mean of {n_folds} fold models. Here "
            "each pipeline is fitted on all rows once, so that it does not predict "
            "quite the same."
        )


def _constants(
    model: FittedModel, decision: Decision
) -> Iterator[tuple[str, str, Any]]:
    """Yield the constants beside the pipelines: what they mean, name, value."""
    labels = decision.all_classes
    yield "Labels in the order of the probabilities.", "CLASSES", labels
    if aside := decision.set_aside:
        what = "Positions there of classes with one row, which no model is fitted on."
        yield what, "SET_ASIDE", aside.codes.tolist()
        what = "The probability of each of them, for every row."
        yield what, "SHARES", aside.expected.tolist()
    if len(model.members) > 1:
        weights = [member.weight for member in model.members]
        yield "Weights of the pipelines in their mean.", "WEIGHTS", weights
    calibrations = {
        **{f"_{place}": m.calibration for place, m in enumerate(model.members, 1)},
        "": model.calibration,
    }
    for suffix, calibration in calibrations.items():
        if not isinstance(calibration, Identity):
            of = f"pipeline {suffix[1:]}" if suffix else "their mean"
            what = f"From the scores of {of} to probabilities: {calibration.label}."
            yield what, f"CALIBRATION{suffix}", asdict(calibration)
    if model.shift is not None:
        what = "By how much each class is more frequent than in the training table."
        yield what, "RATIOS", model.shift.ratios
    if model.threshold.value is not None:
        what, _ = _rule(model.threshold)
        yield what, "THRESHOLD", model.threshold.value


def _rule(threshold: Threshold) -> tuple[str, ...]:
    """Return what a threshold's number means, and the code for label codes."""
    pos = getattr(threshold, "pos", 0)
    return tuple(t.format(pos=pos, neg=1 - pos) for t in _RULES[type(threshold)])


def _comment(text: str) -> str:
    return fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _function(head: str, says: str, *lines: Code) -> str:
    """Return a function of lines of code."""
    says = fill(f'"""{says}"""', WIDTH - 4, break_on_hyphens=False)
    body = "\n".join(f"    {layout(line, 4)}" for line in lines)
    return f"def {head} -> Any:\n{indent(says, '    ')}\n{body}"


def _maker(
    place: int,
    member: FittedMember,
    schema: Schema,
    encoders: dict[Code, str],
    names: ScriptNames,
) -> str:
    """Return the function that makes a pipeline; `encoders` are what several share."""
    made = member.unfitted or member.pipelines[0]
    steps = dict(made.steps)
    if "encode" in steps:
        encoder = code_of(_by_names(steps["encode"], schema), names)
        name = encoders.setdefault(encoder, f"make_encoder_{len(encoders) + 1}")
        steps["encode"] = Written(f"{name}()")
    label = str(member.strategy).replace("\\", "/").replace('"', "'")
    pipeline = type(made)(list(steps.items()))
    return _function(
        f"make_pipeline_{place}()",
        f"Return an unfitted pipeline: {label}.",
        prefixed("return ", code_of(pipeline, names)),
    )


def _by_names(encoder: ColumnTransformer, schema: Schema) -> ColumnTransformer:
    """Return an encoder that finds the columns of a frame by their names."""
    if not schema.is_frame:
        return encoder
    columns = np.array([str(column.name) for column in schema.columns], dtype=object)
    blocks = [
        (name, step, columns[at].tolist()) for name, step, at in encoder.transformers
    ]
    settings = {**encoder.get_params(deep=False), "transformers": blocks}
    return ColumnTransformer(**settings)


def _read(schema: Schema, names: ScriptNames) -> str:
    """Return the function that reads a table as the pipelines want it."""
    if schema.is_raw:
        return _function("read(X: Any)", "Return the table as it is.", "return X")
    if schema.is_sparse:
        return _read_sparse(names)
    frame = names.of(pd.DataFrame)
    if not schema.is_frame:
        bounded = names.copy("autoimb._table.readers", "bounded")
        return _function(
            "read(X: Any)",
            "Return the table as numbers.",
            f"X = {frame}(X)",
            "numbers = X.to_numpy(dtype=float, na_value=np.nan)",
            f"return {bounded}(numbers, X.columns)",
        )
    columns = []
    for column in schema.columns:
        key = code_of(str(column.name), names)
        if column.kind == "constant":
            columns.append(f"{key}: 0.0")
            continue
        reader = _READERS.get(column.kind, "read_numbers")
        form = f", {column.date_form!r}" if column.date_form != YEAR_FIRST else ""
        reader = names.copy("autoimb._table.readers", reader)
        columns.append(f"{key}: {reader}(X[{key}]{form})")
    return _function(
        "read(X: Any)",
        "Return the columns as the pipelines read them.",
        f"X = {frame}(X).rename(columns=str)",
        prefixed("return ", call(frame, [Block("{", tuple(columns), "}")])),
    )


def _read_sparse(names: ScriptNames) -> str:
    """Return the function that reads a table as a sparse matrix."""
    return _function(
        "read(X: Any)",
        "Return the table as a sparse matrix.",
        f"X = {names.of(csr_matrix)}(X, dtype=float, copy=True)",
        "X.sum_duplicates()",
        "X.eliminate_zeros()",
        "return X",
    )


def _fit(
    n_pipelines: int, schema: Schema, names: ScriptNames, decision: Decision
) -> str:
    """Return the function that fits the pipelines."""
    made = [f"make_pipeline_{place}()" for place in range(1, n_pipelines + 1)]
    head, rows = "fit(X: Any, y: Any)", ["rows = read(X)"]
    fitted = [f"{pipeline}.fit(rows, codes)" for pipeline in made]
    if decision.row_weights != "none":
        head = "fit(X: Any, y: Any, sample_weight: Any)"
    if decision.row_weights != "none" or decision.set_aside:
        rows = [*_weighted_rows(schema, names, decision)]
    if decision.row_weights == "uneven":
        fit = names.of(fit_weighted)
        fitted = [f"{fit}({pipeline}, rows, codes, weight)" for pipeline in made]
    searched = "np.delete(CLASSES, SET_ASIDE)" if decision.set_aside else "CLASSES"
    return _function(
        head,
        "Return the pipelines, fitted on a table and its labels.",
        f"labels = {searched}.tolist()",
        "code_of = {label: code for code, label in enumerate(labels)}",
        *rows,
        "codes = np.array([code_of[label] for label in y])",
        prefixed("return ", Block("[", tuple(fitted), "]")),
    )


def _weighted_rows(
    schema: Schema, names: ScriptNames, decision: Decision
) -> Iterator[str]:
    """Yield the lines that leave rows out, by their weights or classes.

    Where the weights of the training table were 0 or all alike, models need none.
    """
    if decision.row_weights == "none":
        yield "weight = np.ones(len(y))"
    else:
        yield "weight = np.asarray(sample_weight, dtype=float)"
        yield "# Rows of weight 0 are left out; of the others only ratios count."
    if decision.set_aside:
        yield "# Rows of the classes that are set aside are left out."
        yield "weight = np.where([label in code_of for label in y], weight, 0.0)"
    yield "y = [label for label, w in zip(y, weight, strict=True) if w > 0]"
    kept = "read(X)[weight > 0]"
    if not schema.is_sparse:
        kept = f"read({names.of(pd.DataFrame)}(X).loc[weight > 0])"
    yield f"rows = {kept}"
    if decision.row_weights == "uneven":
        relative = names.copy("autoimb._table.table", "relative_weights")
        yield f"weight = {relative}(weight[weight > 0])"


def _predict_proba(
    model: FittedModel, names: ScriptNames, decision: Decision
) -> Iterator[str]:
    """Yield the functions that predict probabilities.

    Where classes are set aside, labels need the probabilities of the others without
    them: they may be as good as certain.
    """
    scores = [_calibrated_scores(i, m, names) for i, m in enumerate(model.members, 1)]
    lines: list[Code] = ["rows = read(X)"]
    proba = [scores[0]]
    if len(scores) > 1:
        lines.append(prefixed("probas = ", Block("[", tuple(scores), "]")))
        proba = ["np.average(probas, axis=0, weights=WEIGHTS)"]
    if not isinstance(model.calibration, Identity):
        proba.append(_calibrated("proba", model.calibration, "", names))
    if model.shift is not None:
        proba += ["proba * RATIOS", "proba / proba.sum(axis=1, keepdims=True)"]
    *before, last = proba
    name, columns = "predict_proba", "CLASSES"
    if decision.set_aside:
        name, columns = "proba_of_others", "CLASSES that is not set aside"
    yield _function(
        f"{name}(pipelines: list[Any], X: Any)",
        f"Return probabilities, a column for each of {columns}.",
        *lines,
        *(prefixed("proba = ", code) for code in before),
        prefixed("return ", last),
    )
    if decision.set_aside:
        yield _function(
            "predict_proba(pipelines: list[Any], X: Any)",
            "Return probabilities, a column for each of CLASSES.",
            "proba = proba_of_others(pipelines, X) * (1 - sum(SHARES))",
            "places = SET_ASIDE - np.arange(len(SHARES))",
            "return np.insert(proba, places, SHARES, axis=1)",
        )


def _calibrated_scores(place: int, member: FittedMember, names: ScriptNames) -> Code:
    """Return the code for what a pipeline says, calibrated."""
    pipeline = f"pipelines[{place - 1}]"
    if hasattr(member.pipelines[0], "predict_proba"):
        scores = f"{pipeline}.predict_proba(rows).astype(float)"
    else:
        scores = names.copy("autoimb._evaluate.fit_predict", "_class_scores")
        scores = f"{scores}({pipeline}, rows)"
    return _calibrated(scores, member.calibration, f"_{place}", names)


def _calibrated(scores: str, by: Calibration, suffix: str, names: ScriptNames) -> Code:
    """Return the code for scores as a calibration maps them."""
    if isinstance(by, Identity):
        return scores
    return call(names.of(type(by).function), [scores, f"**CALIBRATION{suffix}"])


def _predict(threshold: Threshold, decision: Decision) -> str:
    """Return the function that predicts labels."""
    _, codes = _rule(threshold)
    proba, labels = "predict_proba", "CLASSES"
    if decision.set_aside:
        proba, labels = "proba_of_others", "np.delete(CLASSES, SET_ASIDE)"
    return _function(
        "predict(pipelines: list[Any], X: Any)",
        "Return labels.",
        f"proba = {proba}(pipelines, X)",
        f"return {labels}[{codes}]",
    )
