"""What the file of a saved model may hold, checked before anything of it is made.

A skops file is a zip archive. Its ``schema.json`` is a tree of nodes; each names a
loader and a module and class, and skops imports and calls what they name. So a file
could run code through any function, method or class that does something when it is
called. Here the tree is read as plain JSON, every node must have one of the loaders
below, and what it names must be on that loader's list.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np

from autoimb._persist.allowed_classes import (
    FOREIGN_CLASSES,
    LOSSES,
    OWN_CLASSES,
    REPEATED_SPLITTERS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    Node = Mapping[str, Any]

OLDEST_PROTOCOL = 2
"""A file could ask for skops' readers of older protocols, which check less."""

_SCALARS = {f"builtins.{name}" for name in ("bool", "float", "int", "str")}
_NUMPY_SCALARS = {
    f"numpy.{kind.__name__}"
    for kind in np.sctypeDict.values()
    if not issubclass(kind, np.object_ | np.void)
}
_BIT_GENERATORS = {"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"}
_MEMBER = re.compile(r"schema\.json|[\w-]+\.(npy|npz|bin)")
_PASSES_TORCH_ON = "sklearn.externals.array_api_compat.torch"
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@contextmanager
def torch_left_out() -> Iterator[None]:
    """Keep a walk over the modules of scikit-learn from importing PyTorch.

    skops makes one when it is imported, and `all_estimators` another. They come by a
    module that passes PyTorch on, which then takes seconds and no model needs.
    """
    modules: dict[str, Any] = sys.modules
    if _PASSES_TORCH_ON in modules:
        yield
        return
    modules[_PASSES_TORCH_ON] = None  # to import it is now an ImportError
    try:
        yield
    finally:
        if modules.get(_PASSES_TORCH_ON) is None:
            modules.pop(_PASSES_TORCH_ON, None)


class RefusedError(ValueError):
    """The file is not built like one that skops wrote for autoimb."""


def check_file(data: bytes, trusted: Collection[str]) -> tuple[Node, Audit]:
    """Return the schema of a file, and what its nodes name.

    Raises
    ------
    RefusedError
        If the archive or the schema is built in any other way than skops builds it.
    """
    # Python reads an archive from its end: anything could stand in front of it.
    if not data.startswith(b"PK\x03\x04") or data[-22:-18] != b"PK\x05\x06":
        raise RefusedError("it is no zip archive, or has bytes before or after it.")
    with ZipFile(BytesIO(data)) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if min(member.header_offset for member in members) != 0:
            raise RefusedError("it has bytes in front of the zip archive.")
        strange = [name for name in names if not _MEMBER.fullmatch(name)]
        if strange:
            raise RefusedError(f"its archive holds {strange[:3]}, which no model has.")
        if len(set(names)) < len(names):
            raise RefusedError("its archive holds a file twice.")
        schema = json.loads(archive.read("schema.json"), object_pairs_hook=_once)
    if not isinstance(schema, dict) or type(schema.get("protocol")) is not int:
        raise RefusedError("its schema has no protocol.")
    if schema["protocol"] < OLDEST_PROTOCOL:
        raise RefusedError(f"its skops protocol {schema['protocol']} is too old.")
    audit = Audit(frozenset(trusted), frozenset(names))
    audit.visit(schema)
    audit.finish()
    return schema, audit


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise if a key stands there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RefusedError("its schema has a key twice.")
    return found


@dataclass(slots=True, eq=False)
class Audit:
    """A walk over the nodes of a schema."""

    trusted: frozenset[str]
    """Names that the user allows in addition."""
    members: frozenset[str] = frozenset()
    """Files of the archive."""
    named: set[str] = field(default_factory=set)
    """What the nodes name and may name."""
    strange: set[str] = field(default_factory=set)
    """What is not on the list; the user may allow it."""
    forbidden: set[str] = field(default_factory=set)
    """What no file may hold."""
    _seen: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    _uses: Counter[int] = field(default_factory=Counter)
    _states: defaultdict[Any, list[Any]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def visit(self, node: Any, *loaders: str) -> None:
        """Check a node and all below it; `loaders` are those that fit its place."""
        if not isinstance(node, dict):
            raise RefusedError("its schema has a node that is no object.")
        loader = node.get("__loader__")
        kind = _KINDS.get(loader) if isinstance(loader, str) else None
        if kind is None or (loaders and loader not in loaders):
            self.forbidden.add(f"a {loader}")
            return
        self._check_name(node, kind)
        self._check_identity(node)
        if kind.check is not None:
            kind.check(node, self)

    def finish(self) -> None:
        """Raise for a part that only its owner may hold and that stands twice."""
        for number, owners in self._states.items():
            if len(set(owners)) > 1 or self._uses[number] > len(owners):
                raise RefusedError("its schema shares the state of an object.")

    def visit_all(self, nodes: Any) -> None:
        """Check a list of nodes."""
        for node in _as(list, nodes):
            self.visit(node)

    def visit_state(self, node: Any, owner: Node, *loaders: str) -> None:
        """Check a node that only its owner may hold.

        skops takes a node whose ``__id__`` it has met for the earlier one. A state that
        was checked for its owner must not be replaced by a node from elsewhere.
        """
        self.visit(node, *loaders)
        if node.get("__loader__") != "JsonNode":  # nothing in it depends on the owner
            self._states[node.get("__id__")].append(owner.get("__id__"))

    def check_member(self, node: Node, suffix: str) -> None:
        """Raise unless a node names a file of the archive."""
        name = node.get("file")
        if name not in self.members or not str(name).endswith(suffix):
            raise RefusedError(f"its schema names the file {str(name)[:80]!r}.")

    def _check_name(self, node: Node, kind: _Kind) -> None:
        """Sort what a node names into one of the sets."""
        module, name = node.get("__module__"), node.get("__class__")
        if not (
            isinstance(module, str)
            and isinstance(name, str)
            and _IDENTIFIER.fullmatch(name)
            and all(map(_IDENTIFIER.fullmatch, module.split(".")))
        ):
            raise RefusedError("its schema has a node without a proper name.")
        full, package = f"{module}.{name}", module.partition(".")[0]
        may_run_any_code = package == "autoimb" or package in sys.stdlib_module_names
        if full in kind.names() or (kind.ufuncs and _is_ufunc(module, name)):
            self.named.add(full)
        elif not kind.is_open or may_run_any_code:  # no user may allow it
            self.forbidden.add(full)
        elif full in self.trusted:
            self.named.add(full)
        else:
            self.strange.add(full)

    def _check_identity(self, node: Node) -> None:
        """Raise unless nodes with one ``__id__`` are one object."""
        number = node.get("__id__")
        if type(number) is not int:
            raise RefusedError("its schema has a node without a number.")
        leaf = node["content"] if node["__loader__"] == "JsonNode" else None
        parts = ("__loader__", "__module__", "__class__")
        known = (*(node[part] for part in parts), leaf)
        if self._seen.setdefault(number, known) != known:
            raise RefusedError("its schema has two objects of one number.")
        self._uses[number] += 1


def _as(kind: type, value: Any) -> Any:
    """Return a part of the schema; raise if it is of another kind."""
    if type(value) is not kind:
        raise RefusedError(f"its schema holds {type(value).__name__} for {kind}.")
    return value


def _is_ufunc(module: str, name: str) -> bool:
    """Whether a name is that of a public ufunc, as in ``FunctionTransformer(np.abs)``.

    They turn arrays into arrays and call nothing else.
    """
    import scipy.special

    if module.partition(".")[0] not in {"numpy", "scipy"}:
        return False
    found = vars(sys.modules.get(module) or object).get(name)
    public = (vars(space).get(name) for space in (np, scipy.special))
    return isinstance(found, np.ufunc) and any(found is each for each in public)


@cache
def _object_names() -> frozenset[str]:
    """Return the classes whose instances a file may hold."""
    from sklearn.utils import all_estimators

    with torch_left_out():
        kinds = [kind for _, kind in all_estimators()]
    estimators = {f"{kind.__module__}.{kind.__name__}" for kind in kinds}
    sklearns = {name for name in estimators if name.startswith("sklearn.")}
    return frozenset(OWN_CLASSES | FOREIGN_CLASSES | sklearns)


# --- what each loader reads

NONE = {
    "__class__": "str",
    "__module__": "builtins",
    "__loader__": "JsonNode",
    "content": "null",
    "is_json": True,
    "__id__": 0,
}
"""The node of None."""
_STATE_IS_A_TUPLE = {"sklearn.metrics._dist_metrics", "sklearn.neighbors._kd_tree"}


def _is_none(node: Node) -> bool:
    """Whether a node stands for None."""
    return node.get("__loader__") == "JsonNode" and node.get("content") == "null"


def _check_dict(node: Node, audit: Audit) -> None:
    audit.visit_state(node["key_types"], node, "ListNode")
    # skops calls these types with the keys.
    for kind in _as(list, node["key_types"]["content"]):
        audit.visit(kind, "TypeNode")
        if f"{kind['__module__']}.{kind['__class__']}" not in _SCALARS | _NUMPY_SCALARS:
            raise RefusedError("its schema has a dict with keys of a strange type.")
    for value in _as(dict, node["content"]).values():
        audit.visit(value)


def keeps_cache(node: Node) -> bool:
    """Whether a node is a pipeline, or the like, with a folder of cached fits."""
    state = node.get("content")
    return (
        node.get("__loader__") == "ObjectNode"
        and str(node.get("__module__")).partition(".")[0] in {"imblearn", "sklearn"}
        and isinstance(state, dict)
        and state["__loader__"] == "DictNode"
        and not _is_none(state["content"].get("memory", NONE))
    )


def _check_object(node: Node, audit: Audit) -> None:
    state = node.get("content")
    if state is None:
        return
    # A dict in another form could hold what is looked for in a dict.
    is_of_sklearn = node["__module__"].partition(".")[0] in {"imblearn", "sklearn"}
    is_tuple = node["__module__"] in _STATE_IS_A_TUPLE
    if not is_of_sklearn or _is_none(state):
        audit.visit_state(state, node)
    else:
        audit.visit_state(state, node, "TupleNode" if is_tuple else "DictNode")
    if keeps_cache(node):  # joblib unpickles what it finds there
        audit.forbidden.add("a folder of cached fits (memory=)")


def _check_array(node: Node, audit: Audit) -> None:
    if node["type"] == "numpy":
        audit.check_member(node, ".npy")
        return
    audit.visit_all(node["content"])
    audit.visit(node["shape"], "TupleNode")


def _check_slice(node: Node, _: Audit) -> None:
    if {type(part) for part in node["content"].values()} - {int, type(None)}:
        raise RefusedError("its schema has a slice with parts that are not numbers.")


def _check_reduced(node: Node, audit: Audit) -> None:
    audit.visit(node["__reduce__"]["args"], "TupleNode")
    audit.visit_state(node["content"], node)


def _check_masked(node: Node, audit: Audit) -> None:
    for part in ("data", "mask"):
        audit.visit(node["content"][part], "NdArrayNode")


def _check_generator(node: Node, audit: Audit) -> None:
    state = node["content"]["bit_generator"]
    audit.visit_state(state, node, "DictNode")
    audit.visit_state(node["content"]["seed_seq"], node, "DictNode")
    if json.loads(state["content"]["bit_generator"]["content"]) not in _BIT_GENERATORS:
        raise RefusedError("its schema has an unknown bit generator.")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one of skops' loaders may read."""

    names: Callable[[], Iterable[str]]
    """What nodes may name."""
    check: Callable[[Node, Audit], Any] | None
    """Checks the parts below a node; None if it has none."""
    is_open: bool = False
    """Whether the user may allow more names."""
    ufuncs: bool = False


def _kind(
    *names: str,
    check: Callable[[Node, Audit], Any] | None = lambda node, audit: audit.visit_all(
        node["content"]
    ),
    **rest: bool,
) -> _Kind:
    allowed = frozenset(names)
    return _Kind(lambda: allowed, check, **rest)


_DATES = ("date", "datetime", "time", "timedelta", "timezone")
_KINDS = {
    "BytearrayNode": _kind(
        "builtins.bytearray", check=lambda node, audit: audit.check_member(node, ".bin")
    ),
    "BytesNode": _kind(
        "builtins.bytes", check=lambda node, audit: audit.check_member(node, ".bin")
    ),
    "ConstructorFromReduceNode": _kind(
        "decimal.Decimal",
        *(f"datetime.{name}" for name in _DATES),
        check=lambda node, audit: audit.visit_state(node["content"], node, "TupleNode"),
        is_open=True,
    ),
    "DTypeNode": _kind(
        "numpy.dtype",
        check=lambda node, audit: audit.visit(node["content"], "NdArrayNode"),
    ),
    "DictNode": _kind(
        *("builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"),
        check=_check_dict,
        is_open=True,
    ),
    "FunctionNode": _kind(check=None, is_open=True, ufuncs=True),
    "JsonNode": _kind("builtins.str", check=lambda node, _: _as(str, node["content"])),
    "ListNode": _kind("builtins.list", is_open=True),
    "LossNode": _kind(
        *(f"{at}.{name}" for at, names in LOSSES.items() for name in names),
        check=_check_reduced,
    ),
    "MaskedArrayNode": _kind("numpy.ma.MaskedArray", check=_check_masked),
    "NdArrayNode": _kind("numpy.ndarray", *_NUMPY_SCALARS, check=_check_array),
    "ObjectNode": _Kind(_object_names, _check_object, is_open=True),
    "RandomGeneratorNode": _kind(
        "numpy.random._generator.Generator", check=_check_generator
    ),
    "RandomStateNode": _kind(
        "numpy.random.mtrand.RandomState",
        check=lambda node, audit: audit.visit_state(node["content"], node, "DictNode"),
    ),
    "SetNode": _kind("builtins.set"),
    "SliceNode": _kind("builtins.slice", check=_check_slice),
    "SparseMatrixNode": _kind(
        "scipy.sparse._csr.csr_matrix",
        check=lambda node, audit: audit.check_member(node, ".npz"),
    ),
    "TreeNode": _kind("sklearn.tree._tree.Tree", check=_check_reduced),
    "TupleNode": _kind("builtins.tuple", is_open=True),
    "TypeNode": _kind(
        *(_SCALARS | _NUMPY_SCALARS | REPEATED_SPLITTERS), check=None, is_open=True
    ),
}
"""The loaders that files of models need. skops' others make functions with arguments,
bound methods, callers of methods, and dicts that call something for a missing key."""
