"""Saved models: skops files, which are checked node by node and hold no pickle."""

from __future__ import annotations

import json
import sys
from copy import copy
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile

import sklearn
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted

from autoimb._execution.files import replacing
from autoimb._execution.process_settings import quiet_warnings
from autoimb._persist.allowed_classes import MODEL
from autoimb._persist.audit import (
    NONE,
    Audit,
    RefusedError,
    check_file,
    keeps_cache,
    torch_left_out,
)
from autoimb._persist.packing import packed, unpacked
from autoimb.exceptions import (
    AutoImbError,
    BadInputError,
    StorageMismatchError,
    VersionWarning,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

FORMAT = 7
"""Raised when an older autoimb could no longer read what is written."""
_OLDEST_FORMAT = 7
"""What is still read: reports of older files lack fields."""
_HOLDERS = ("_model", "_report_data")
"""Attributes that hold trees or curves."""
_OF_MODEL = ("ensemble_", "best_pipeline_")
"""Attributes that are parts of `_model`: skops would write them once more."""
_DISTRIBUTIONS = {"imblearn": "imbalanced-learn", "sklearn": "scikit-learn"}
"""What pip installs, where a package is imported under another name."""
_MOST_NAMES = 5  # in a message about what no model holds


def save(model: Any, path: str | PathLike[str]) -> None:
    """Write a fitted `AutoImbalance` without its study, storage and executor."""
    with torch_left_out():
        import skops
        from skops.io._utils import SaveContext, get_state

    bare = _detached(copy(model))
    _check_parts(bare)
    vars(bare).update({**packed(_holders(bare)), **dict.fromkeys(_OF_MODEL)})
    # Compressed, trees shrink to a fraction.
    with (
        replacing(path) as file,
        _Archive(file, "w", ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        context = SaveContext(zip_file=archive)
        state = get_state({"format": FORMAT, "model": bare}, context)
        state |= {"protocol": context.protocol, "_skops_version": skops.__version__}
        archive.writestr("schema.json", json.dumps(_simpler(state)))


def _holders(model: Any) -> dict[str, Any]:
    """Return the attributes of a model that hold trees or curves."""
    return {name: vars(model)[name] for name in _HOLDERS}


def _check_parts(model: Any) -> None:
    """Raise if `load` would refuse what the user brought into a model, or skops does.

    What is of the user's own classes is not refused: `load` can be told to trust them.
    """
    from skops.io._utils import SaveContext, get_state

    parts = {"labels": model.classes_, **model.get_params(deep=False)}
    for name, part in parts.items():
        with ZipFile(BytesIO(), "w") as archive:
            try:
                state = get_state(part, SaveContext(zip_file=archive))
                audit = Audit(frozenset(), frozenset(archive.namelist()))
                audit.visit(json.loads(json.dumps(_simpler(state))))
            except Exception as error:  # of any kind, as of any object that cannot be
                raise BadInputError(
                    f"the model cannot be saved, for its {name}: {error}."
                ) from error
        if audit.forbidden:
            raise BadInputError(
                f"the model cannot be saved, for its {name}: a saved model may not "
                f"hold {sorted(audit.forbidden)[:_MOST_NAMES]}. Fit it with others, "
                "such as labels that are text or numbers, or pickle it."
            )


class _Archive(ZipFile):
    """A zip file that knows quickly whether it holds a name.

    skops looks for each of its arrays in the list of all names: for the 56,000 arrays
    of eight forests, that took most of the time.
    """

    def namelist(self) -> Any:
        """Return the names, in a container that is not searched one by one."""
        return self.NameToInfo.keys()


def _detached(model: Any) -> Any:
    """Return the model after taking away what belongs to one process or machine."""
    model.executor = model.storage = model.study_name = None
    model.study_ = model._catalogue = None
    model.set_callbacks()
    return model


def _simpler(node: Any) -> Any:
    """Return a part of skops' schema, as JSON has it, without what `load` refuses.

    A ``defaultdict`` (LightGBM has one) becomes a dict, and pipelines lose the folder
    in which they cache fits.
    """
    if isinstance(node, list | tuple):
        return [_simpler(part) for part in node]
    if not isinstance(node, dict):
        return node
    if node.get("__loader__") == "DefaultDictNode":
        return _simpler({**node["content"]["main"], "__id__": node["__id__"]})
    simpler = {key: _simpler(part) for key, part in node.items()}
    if keeps_cache(simpler):
        simpler["content"]["content"]["memory"] = NONE
    return simpler


def load(path: str | PathLike[str], *, trusted: Sequence[str] = ()) -> Any:
    """Read a model that `AutoImbalance.save` wrote.

    No code that the file names is run: the file is checked first, and may only hold
    data and instances of the classes that saved models are made of.

    Parameters
    ----------
    path : str or path-like
        The file.
    trusted : sequence of str, default=()
        Names of classes and functions of your own that the model is made of, such as
        ``"my_package.MyModel"``. A file from someone else may name anything here, and
        what is allowed may run any code. What belongs to Python itself or to autoimb
        cannot be allowed.

    Returns
    -------
    AutoImbalance
        The fitted model; ``study_`` is None.

    Raises
    ------
    BadInputError
        If there is no such file, or it is no autoimb model, or it holds what is neither
        known nor allowed, or needs a package that is not installed.
    StorageMismatchError
        If a newer or an older autoimb wrote it, in another format.

    Warns
    -----
    VersionWarning
        If it was fitted with another version of scikit-learn.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.datasets import make_classification
    >>> import autoimb
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> model = autoimb.AutoImbalance(
    ...     n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
    ... ).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model.skops"
    ...     model.save(path)
    ...     same = autoimb.load(path)
    >>> bool((same.predict(X) == model.predict(X)).all())
    True
    """
    with torch_left_out():
        import skops.io

    name, other_version = str(path), ""
    if Path(path).is_dir():
        raise BadInputError(f"{name!r} is a folder, not the file of a saved model.")
    if not Path(path).is_file():
        raise BadInputError(f"there is no file {name!r}.")
    try:
        # Read once: what is checked is what is loaded.
        data = Path(path).read_bytes()
        schema, audit = check_file(data, trusted)
        _check_root(schema, trusted, name)
        _check_names(audit, name)
        other_version = _other_version(schema)
        # scikit-learn would warn for each tree of a forest.
        with quiet_warnings(InconsistentVersionWarning):
            model = _model_of(skops.io.loads(data, trusted=sorted(audit.named)))
    except AutoImbError:
        raise
    except Exception as error:  # a broken file may raise any
        raise BadInputError(_why_unreadable(name, error, other_version)) from error
    if other_version:
        warn(
            f"{name!r} was fitted with scikit-learn {other_version}, and this is "
            f"{sklearn.__version__}: its predictions may differ. Fit it again, or "
            f"install that version: pip install scikit-learn=={other_version}",
            VersionWarning,
        )
    return model


def _other_version(schema: Mapping[str, Any]) -> str:
    """Return the version of scikit-learn that a model is from; "" if it is this one."""
    nodes: list[Any] = [schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes += node
        elif isinstance(node, dict):
            version = node.get("_sklearn_version")
            if isinstance(version, dict) and version.get("__loader__") == "JsonNode":
                found = str(json.loads(version["content"]))
                return "" if found == sklearn.__version__ else found
            nodes += node.values()
    return ""


def _why_unreadable(name: str, error: Exception, other_version: str) -> str:
    """Return why a file could not be loaded, and what to do if that is known."""
    package = str(getattr(error, "name", "")).partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and sys.modules.get(package) is None:
        return (
            f"{name!r} needs the package {package}, which is not installed: pip "
            f"install {_DISTRIBUTIONS.get(package, package)} (or make it importable, "
            "if it is your own)."
        )
    kind = "" if isinstance(error, RefusedError) else f"{type(error).__name__}: "
    reason = " ".join(f"{kind}{error}".split())
    if other_version:
        return (
            f"{name!r} cannot be loaded: it was fitted with scikit-learn "
            f"{other_version}, and this is {sklearn.__version__} ({reason}). Fit it "
            f"again, or install that version: pip install scikit-learn=={other_version}"
        )
    return f"{name!r} is not a model that autoimb saved: {reason}"


def _check_root(schema: Mapping[str, Any], trusted: Sequence[str], name: str) -> None:
    """Raise unless the schema is that of a model which this version can read."""
    parts = schema.get("content")
    is_dict = (schema["__module__"], schema["__class__"]) == ("builtins", "dict")
    if not is_dict or not isinstance(parts, dict) or set(parts) != {"format", "model"}:
        raise BadInputError(f"{name!r} is a skops file, but no autoimb model.")
    format_ = json.loads(parts["format"]["content"])
    if type(format_) is not int:
        raise BadInputError(f"{name!r} has no number as its format.")
    if format_ > FORMAT:
        raise StorageMismatchError(
            f"a newer autoimb wrote {name!r}: its format is {format_}, this one reads "
            f"up to {FORMAT}. Upgrade autoimb."
        )
    if format_ < _OLDEST_FORMAT:
        raise StorageMismatchError(
            f"an older autoimb wrote {name!r}: its format is {format_}, this one reads "
            f"from {_OLDEST_FORMAT} on. Fit the model again and save it with this "
            "version."
        )
    model = parts["model"]
    made_by = f"{model['__module__']}.{model['__class__']}"
    if model["__loader__"] != "ObjectNode" or made_by not in {MODEL, *trusted}:
        raise BadInputError(f"{name!r} is a skops file, but no autoimb model.")


def _check_names(audit: Audit, name: str) -> None:
    """Raise if a file names what is neither known nor allowed."""
    if audit.forbidden:
        raise BadInputError(
            f"{name!r} is not a model that autoimb saved, and may be an attack: it "
            f"holds {sorted(audit.forbidden)[:_MOST_NAMES]}, which no model holds."
        )
    if audit.strange:
        strange = sorted(audit.strange)
        raise BadInputError(
            f"{name!r} holds classes or functions that autoimb does not know: "
            f"{strange}. They can run any code. If they are your own: "
            f"autoimb.load({name!r}, trusted={strange})."
        )


def _model_of(bundle: Any) -> Any:
    """Return the model of a bundle; raise if something else came out."""
    if type(bundle) is not dict or bundle.keys() != {"format", "model"}:
        raise TypeError("it holds no dict of a format and a model.")
    model = bundle["model"]
    # The class itself is further down the list of modules.
    if MODEL not in {f"{c.__module__}.{c.__qualname__}" for c in type(model).__mro__}:
        raise TypeError(f"it holds a {type(model).__name__}.")
    check_is_fitted(model)
    vars(_detached(model)).update(unpacked(_holders(model)))
    model.ensemble_ = model._model.members
    model.best_pipeline_ = model.ensemble_[0].pipeline
    return model
