"""The names that a script uses: what it imports, and what it copies."""

from __future__ import annotations

import ast
import inspect
import sys
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from itertools import accumulate, groupby, pairwise
from pickle import whichmodule  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from autoimb._export.code_layout import WIDTH, Block, layout
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_COPIED = {
    "autoimb._compat",
    "autoimb._metrics.calibration",
    "autoimb._table.encoding",
    "autoimb._table.readers",
    "autoimb._table.weighted_encoding",
    "autoimb._table.weighted_fit",
    "autoimb._export.script_functions",
}
"""Modules whose functions and classes are copied into scripts, not imported."""

_CONSTANT = ast.Assign | ast.AnnAssign
_SHORT = {"numpy": "np", "pandas": "pd"}
_OF_SCRIPTS = ("fit", "predict", "predict_proba", "read")
_IMPORTED = {
    "Any": ("typing", "Any"),
    "annotations": ("__future__", "annotations"),
    "np": ("numpy", ""),
}
"""What every script imports."""


def _reserved() -> dict[str, tuple[str, str]]:
    """Return the names that nothing else in a script may have."""
    functions = [
        name
        for module in sorted(_COPIED)
        for name, (node, _) in _definitions(module).items()
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return {**dict.fromkeys((*_OF_SCRIPTS, *functions), ("", "")), **_IMPORTED}


@dataclass
class ScriptNames:
    """What a script imports and copies, collected while its code is written."""

    bound: dict[str, tuple[str, str]] = field(default_factory=_reserved)
    """By local name the module and the name in it, "" for the module itself."""
    constants: dict[str, str] = field(default_factory=dict)
    """Copied constants by name, each after those that it uses."""
    functions: dict[str, str] = field(default_factory=dict)
    """Copied functions and classes by name, each after those that it uses."""

    def of(self, thing: Any) -> str:
        """Return the name of a class or function in the script; import or copy it."""
        module, name = _importable_home(thing)
        package, _, rest = module.partition(".")
        if module == "builtins":
            return name
        if module in _COPIED:
            return self.copy(module, name)
        if package in _SHORT:
            short = self._bind(_SHORT[package], package, "")
            return ".".join(part for part in (short, rest, name) if part)
        return self._bind(name, module, name)

    def copy(self, module: str, name: str) -> str:
        """Copy a definition of one of our modules, with all that it uses."""
        definitions = _definitions(module)
        node, text = definitions[name]
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported = next(a.name for a in node.names if name in {a.asname, a.name})
            if isinstance(node, ast.Import):
                self._bind(name, imported, "")
            elif (node.module or "").startswith("autoimb."):
                self.copy(node.module or "", imported)
            else:
                self._bind(name, node.module or "", imported)
            return name
        copies = self.constants if isinstance(node, _CONSTANT) else self.functions
        if name not in copies:
            copies[name] = ""  # it may use itself
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            for other in sorted(used & definitions.keys()):
                self.copy(module, other)
            del copies[name]
            copies[name] = text
        return name

    def imports(self) -> str:
        """Return the import statements in the usual order."""
        found: dict[tuple[int, bool, str], list[tuple[int, str]]] = {}
        for local, (home, name) in self.bound.items():
            if home:
                text = name or home
                text = text if local == text else f"{text} as {local}"
                # Constants, then classes, then functions.
                rank = 0 if name.isupper() else 1 if name[:1].isupper() else 2
                is_standard = home.partition(".")[0] in sys.stdlib_module_names
                block = 0 if home == "__future__" else 1 if is_standard else 2
                key = block, bool(name), home
                found.setdefault(key, []).append((rank, text))
        blocks = groupby(sorted(found), key=lambda key: key[0])
        return "\n\n".join(
            "\n".join(
                _from_import(key[2], [text for _, text in sorted(found[key])])
                if key[1]
                else f"import {min(found[key])[1]}"
                for key in keys
            )
            for _, keys in blocks
        )

    def _bind(self, local: str, module: str, name: str) -> str:
        """Return the local name of something; a longer one where it is taken."""
        package = module.partition(".")[0]
        while self.bound.setdefault(local, (module, name)) != (module, name):
            is_class = local[0].isupper()
            local = package.capitalize() + local if is_class else f"{package}_{local}"
        return local


def unwritable_error(value: Any) -> BadInputError:
    """Return the error for a value that no code can make again."""
    return BadInputError(
        f"{value!r} cannot be written as code: make it of plain values, and of classes "
        "and functions that stand in a module and can be imported from there; or keep "
        "the fitted model itself with save()."
    )


def _importable_home(thing: Any) -> tuple[str, str]:
    """Return the shortest module path that leads to a class or function, and its name.

    Raises
    ------
    BadInputError
        If it cannot be imported from a module.
    """
    name = getattr(thing, "__qualname__", None) or thing.__name__
    for path in accumulate(whichmodule(thing, name).split("."), "{}.{}".format):
        found = getattr(sys.modules.get(path), name, None)
        if found is thing and path != "__main__":
            return path, name
    raise unwritable_error(thing)


@cache
def _definitions(module: str) -> Mapping[str, tuple[ast.stmt, str]]:
    """Return the definitions at the top of a module by name: statement and text.

    Those for type checkers only are included.
    """
    text = inspect.getsource(import_module(module))
    lines, found = text.splitlines(), {}
    statements = [
        statement
        for node in ast.parse(text).body
        for statement in (node.body if isinstance(node, ast.If) else [node])
    ]
    for node, following in pairwise([*statements, ast.Pass()]):
        # The string below a constant is its documentation.
        is_documented = isinstance(node, _CONSTANT) and isinstance(following, ast.Expr)
        last = following.end_lineno if is_documented else node.end_lineno
        definition = node, "\n".join(lines[node.lineno - 1 : last])
        found.update(dict.fromkeys(_names_defined(node), definition))
    return found


def _names_defined(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    match node:
        case (
            ast.FunctionDef(name=name)
            | ast.ClassDef(name=name)
            | ast.Assign(targets=[ast.Name(id=name)])
            | ast.AnnAssign(target=ast.Name(id=name))
        ):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
    return []


def _from_import(module: str, names: list[str]) -> str:
    """Return the statement that imports names from a module."""
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return layout(Block(f"from {module} import (", tuple(names), ")"))
