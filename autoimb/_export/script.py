"""A whole script: constants, pipelines, and functions that fit and predict."""

from __future__ import annotations

import sys
from dataclasses import asdict
from textwrap import fill, indent
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer

from autoimb._calibrate import (
    Beta,
    Calibration,
    Identity,
    Platt,
    TemperatureBias,
    beta,
    platt,
    temperature_bias,
)
from autoimb._export.layout import WIDTH, Block, Code, call, layout, prefixed
from autoimb._export.names import Names
from autoimb._export.parts import fit_weighted, number
from autoimb._export.source import Written, source
from autoimb._threshold import Argmax, ClassWeights, Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autoimb._columns import Schema
    from autoimb._decision import Decision
    from autoimb._evaluate import OutOfFold
    from autoimb._fitted import FittedMember, FittedModel
    from autoimb._threshold import Threshold

_TITLE = '''\
"""A classifier for imbalanced data, as autoimb chose it.

``pipelines = fit(X, y)`` fits it. Then ``predict(pipelines, X_new)`` returns labels and
``predict_proba(pipelines, X_new)`` probabilities, a column for each of CLASSES.
"""'''
_MAPS: dict[type[Calibration], Callable[..., Any]] = {
    Platt: platt,
    Beta: beta,
    TemperatureBias: temperature_bias,
}
_READERS = {
    "categorical": "_read_text",
    "high-cardinality": "_read_text",
    "datetime": "_read_datetime",
    "time of day": "_read_datetime",
}
"""By kind of column, the function of `_columns` that reads it; others are numbers."""

_RULES: dict[type[Threshold], tuple[str, str]] = {
    Argmax: ("", "np.argmax(proba, axis=1)"),
    ClassWeights: (
        "What is highest among the probabilities times these is predicted.",
        "np.argmax(proba * THRESHOLD, axis=1)",
    ),
    Cut: (
        "From this probability on, CLASSES[{pos}] is predicted.",
        "np.where(proba[:, {pos}] >= THRESHOLD, {pos}, {neg})",
    ),
}
"""What a threshold's number says, and the code for label codes."""


def script_of(model: FittedModel, schema: Schema, decision: Decision) -> str:
    """Return Python code that fits the same model, and predicts as it does.

    Raises
    ------
    BadInputError
        If a part of the model cannot be written as code.
    """
    names = Names()
    constants = [
        f"{_comment(what)}\n{layout(prefixed(f'{name} = ', source(value, names)))}"
        for what, name, value in _constants(model, decision)
    ]
    encoders: dict[Code, str] = {}
    members = enumerate(model.members, 1)
    makers = [_maker(place, m, schema, encoders, names) for place, m in members]
    functions = [
        _read(schema, names),
        *map(_encoder_maker, encoders.values(), encoders),
        *makers,
        _fit(len(model.members), names, is_weighted=_is_weighted(decision.oof)),
        _predict_proba(model, names),
        _predict(model.threshold),
    ]
    held = ["\n".join(of) for of in (constants, names.constants.values()) if of]
    top = "\n\n".join([_TITLE, *_remarks(names), names.imports(), *held])
    return "\n\n\n".join([top, *functions, *names.functions.values()]) + "\n"


def _remarks(names: Names) -> Iterator[str]:
    """Yield comments on what the script needs."""
    modules = {package: sys.modules[package] for package in names.packages}
    versions = (
        f"{package} {module.__version__}"
        for package, module in modules.items()
        if hasattr(module, "__version__")
    )
    yield _comment(f"Written for {', '.join(versions)}.")
    homes = sorted((local, home) for local, (home, _) in names.bound.items())
    own = [local for local, home in homes if home.partition(".")[0] == "autoimb"]
    if own:
        yield _comment(f"Of autoimb, with no counterpart elsewhere: {', '.join(own)}.")


def _constants(
    model: FittedModel, decision: Decision
) -> Iterator[tuple[str, str, Any]]:
    """Yield the numbers that stand beside the pipelines: what they say, name, value."""
    yield "Labels in the order of the probabilities.", "CLASSES", decision.classes
    if len(model.members) > 1:
        weights = [member.weight for member in model.members]
        yield "Of the pipelines in their mean.", "WEIGHTS", weights
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
    """Return what a threshold's number says, and the code for label codes."""
    pos = getattr(threshold, "pos", 0)
    return tuple(t.format(pos=pos, neg=1 - pos) for t in _RULES[type(threshold)])


def _comment(text: str) -> str:
    return fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _function(head: str, says: str, *lines: Code) -> str:
    """Return a function of lines of code."""
    says = fill(f'"""{says}"""', WIDTH - 4, break_on_hyphens=False)
    body = "\n".join(f"    {layout(line, 4)}" for line in lines)
    return f"def {head} -> Any:\n{indent(says, '    ')}\n{body}"


def _encoder_maker(name: str, encoder: Code) -> str:
    """Return the function that makes an encoder."""
    says = "Return an unfitted encoder of the columns."
    return _function(f"{name}()", says, prefixed("return ", encoder))


def _maker(
    place: int,
    member: FittedMember,
    schema: Schema,
    encoders: dict[Code, str],
    names: Names,
) -> str:
    """Return the function that makes a pipeline; `encoders` are what several share."""
    pipeline, steps = member.pipeline, dict(member.pipeline.steps)
    if "encode" in steps:
        encoder = source(_by_names(steps["encode"], schema), names)
        name = encoders.setdefault(encoder, f"make_encoder_{len(encoders) + 1}")
        steps["encode"] = Written(f"{name}()")
    label = str(member.strategy).replace("\\", "/").replace('"', "'")
    return _function(
        f"make_pipeline_{place}()",
        f"Return an unfitted pipeline: {label}.",
        prefixed("return ", source(type(pipeline)(list(steps.items())), names)),
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


def _read(schema: Schema, names: Names) -> str:
    """Return the function that reads a table as the pipelines want it."""
    if schema.as_given:
        return _function("read(X: Any)", "Return the table as it is.", "return X")
    frame = names.of(pd.DataFrame)
    if not schema.is_frame:
        numbers = f"return {frame}(X).to_numpy(dtype=float, na_value=np.nan)"
        return _function("read(X: Any)", "Return the table as numbers.", numbers)
    columns = (_column(str(c.name), c.kind, names) for c in schema.columns)
    return _function(
        "read(X: Any)",
        "Return the columns as the pipelines read them.",
        f"X = {frame}(X).rename(columns=str)",
        prefixed("return ", call(frame, [Block("{", tuple(columns), "}")])),
    )


def _column(name: str, kind: str, names: Names) -> str:
    """Return the code that reads a column of some kind."""
    key = source(name, names)
    if kind == "constant":
        return f"{key}: 0.0"
    copied = _READERS.get(kind)
    reader = names.copy("autoimb._columns", copied) if copied else names.of(number)
    return f"{key}: {reader}(X[{key}])"


def _fit(n_pipelines: int, names: Names, *, is_weighted: bool) -> str:
    """Return the function that fits the pipelines."""
    made = [f"make_pipeline_{place}()" for place in range(1, n_pipelines + 1)]
    if is_weighted:
        head = "fit(X: Any, y: Any, sample_weight: Any)"
        rows = "rows, weight = read(X), np.asarray(sample_weight, dtype=float)"
        fit = names.of(fit_weighted)
        fitted = [f"{fit}({pipeline}, rows, codes, weight)" for pipeline in made]
    else:
        head, rows = "fit(X: Any, y: Any)", "rows = read(X)"
        fitted = [f"{pipeline}.fit(rows, codes)" for pipeline in made]
    return _function(
        head,
        "Return the pipelines, fitted on a table and its labels.",
        rows,
        "code_of = {label: code for code, label in enumerate(CLASSES.tolist())}",
        "codes = np.array([code_of[label] for label in y])",
        prefixed("return ", Block("[", tuple(fitted), "]")),
    )


def _predict_proba(model: FittedModel, names: Names) -> str:
    """Return the function that predicts probabilities."""
    members = enumerate(model.members, 1)
    scores = [_calibrated_scores(place, member, names) for place, member in members]
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
    return _function(
        "predict_proba(pipelines: list[Any], X: Any)",
        "Return probabilities, a column for each of CLASSES.",
        *lines,
        *(prefixed("proba = ", code) for code in before),
        prefixed("return ", last),
    )


def _calibrated_scores(place: int, member: FittedMember, names: Names) -> Code:
    """Return the code for what a pipeline says, calibrated."""
    pipeline = f"pipelines[{place - 1}]"
    if hasattr(member.pipeline, "predict_proba"):
        scores = f"{pipeline}.predict_proba(rows).astype(float)"
    else:
        scores = names.copy("autoimb._evaluate", "_class_scores")
        scores = f"{scores}({pipeline}, rows)"
    return _calibrated(scores, member.calibration, f"_{place}", names)


def _calibrated(scores: str, by: Calibration, suffix: str, names: Names) -> Code:
    """Return the code for scores as a calibration maps them."""
    if isinstance(by, Identity):
        return scores
    return call(names.of(_MAPS[type(by)]), [scores, f"**CALIBRATION{suffix}"])


def _predict(threshold: Threshold) -> str:
    """Return the function that predicts labels."""
    _, codes = _rule(threshold)
    return _function(
        "predict(pipelines: list[Any], X: Any)",
        "Return labels.",
        "proba = predict_proba(pipelines, X)",
        f"return CLASSES[{codes}]",
    )


def _is_weighted(oof: OutOfFold) -> bool:
    """Whether the training rows had weights: the entries of a row sum to its weight."""
    weight = np.bincount(oof.rows, oof.weight)
    return not np.allclose(weight[np.bincount(oof.rows) > 0], 1)
