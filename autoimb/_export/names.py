"""The names that a script uses: what it imports, and what it holds itself."""

from __future__ import annotations

import ast
import inspect
import sys
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import resolve_name
from itertools import accumulate, groupby, pairwise
from pickle import whichmodule  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from autoimb._export.layout import WIDTH, Block, layout
from autoimb.exceptions import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_COPIED = {"autoimb._calibrate", "autoimb._encoding", "autoimb._export.parts"}
"""Modules whose functions and classes scripts hold, instead of importing them."""

_SHORT = {"numpy": "np", "pandas": "pd"}
_OF_SCRIPTS = ("fit", "predict", "predict_proba", "read")
_IMPORTED = {
    "Any": ("typing", "Any"),
    "annotations": ("__future__", "annotations"),
    "np": ("numpy", ""),
}
"""What every script imports."""


def _taken() -> dict[str, tuple[str, str]]:
    """Return the names that are given away from the start."""
    functions = [
        name
        for module in sorted(_COPIED)
        for name, (node, _) in _definitions(module).items()
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return {**dict.fromkeys((*_OF_SCRIPTS, *functions), ("", "")), **_IMPORTED}


@dataclass
class Names:
    """What a script imports and what it copies, noted down while it is written."""

    bound: dict[str, tuple[str, str]] = field(default_factory=_taken)
    """By local name the module and the name in it, "" for the module itself."""
    constants: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    """Copied definitions by name, each after those that it uses."""

    def of(self, thing: Any) -> str:
        """Return what a class or function is called, once it is imported or copied."""
        module, name = home_of(thing)
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
        """Take over a definition of one of our modules, with all that it uses."""
        definitions = _definitions(module)
        node, text = definitions[name]
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node, name, module)
            return name
        held = self.constants if _is_constant(node) else self.functions
        if name not in held:
            held[name] = ""  # it may speak of itself
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            for other in sorted(used & definitions.keys()):
                self.copy(module, other)
            del held[name]
            held[name] = text
        return name

    def imports(self) -> str:
        """Return the import statements in the usual order."""
        found: dict[tuple[int, bool, str], list[tuple[int, str]]] = {}
        for local, (home, name) in self.bound.items():
            if home:
                text = name or home
                text = text if local == text else f"{text} as {local}"
                key = _block(home), bool(name), home
                found.setdefault(key, []).append((_rank(name), text))
        statements = ((*key, sorted(found[key])) for key in sorted(found))
        blocks = groupby(statements, key=lambda statement: statement[0])
        return "\n\n".join(
            "\n".join(
                _from_import(home, [text for _, text in texts])
                if is_from
                else f"import {texts[0][1]}"
                for _, is_from, home, texts in block
            )
            for _, block in blocks
        )

    @property
    def packages(self) -> list[str]:
        """The packages that the script needs beside Python's own."""
        packages = {home.partition(".")[0] for home, _ in self.bound.values() if home}
        return sorted(packages - sys.stdlib_module_names)

    def _bind(self, local: str, module: str, name: str) -> str:
        """Return the local name of something; another one where it is taken."""
        package = module.partition(".")[0]
        while self.bound.setdefault(local, (module, name)) != (module, name):
            is_class = local[0].isupper()
            local = package.capitalize() + local if is_class else f"{package}_{local}"
        return local

    def _import(
        self, node: ast.Import | ast.ImportFrom, local: str, module: str
    ) -> None:
        """Import what one of our modules does, or copy it if it is ours."""
        name = next(a.name for a in node.names if local in {a.asname, a.name})
        if isinstance(node, ast.Import):
            self._bind(local, name, "")
            return
        relative = "." * node.level + (node.module or "")
        home = resolve_name(relative, module.rpartition(".")[0])
        if home.startswith("autoimb."):
            self.copy(home, name)
        else:
            self._bind(local, home, name)


def home_of(thing: Any) -> tuple[str, str]:
    """Return the shortest module path that leads to a class or function, and its name.

    Raises
    ------
    BadInputError
        If others cannot import it.
    """
    name = getattr(thing, "__qualname__", None) or thing.__name__
    for path in accumulate(whichmodule(thing, name).split("."), "{}.{}".format):
        found = getattr(sys.modules.get(path), name, None)
        if found is thing and path != "__main__":
            return path, name
    raise cannot_write(thing)


def cannot_write(value: Any) -> BadInputError:
    """Return the error for a value that no code can make again."""
    return BadInputError(
        f"{value!r} cannot be written as code: make it of plain values, and of classes "
        "and functions that stand in a module and can be imported from there; or keep "
        "the fitted model itself with save()."
    )


@cache
def _definitions(module: str) -> Mapping[str, tuple[ast.stmt, str]]:
    """Return what stands at the top of a module by name: statements and their text."""
    text = inspect.getsource(import_module(module))
    lines, found = text.splitlines(), {}
    for node, following in pairwise([*_statements(ast.parse(text)), ast.Pass()]):
        # A string below a constant says what it is.
        says = _is_constant(node) and isinstance(following, ast.Expr)
        last = following.end_lineno if says else node.end_lineno
        statement = node, "\n".join(lines[node.lineno - 1 : last])
        found.update(dict.fromkeys(_names_given(node), statement))
    return found


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those for type checkers only included."""
    for node in tree.body:
        yield from node.body if isinstance(node, ast.If) else [node]


def _names_given(node: ast.stmt) -> list[str]:
    """Return the names that a statement gives."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case (
            ast.Assign(targets=[ast.Name(id=name)])
            | ast.AnnAssign(target=ast.Name(id=name))
        ):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
    return []


def _is_constant(node: ast.stmt) -> bool:
    """Whether a statement gives a value a name."""
    return isinstance(node, ast.Assign | ast.AnnAssign)


def _block(module: str) -> int:
    """Return the block of imports that a module belongs to."""
    if module == "__future__":
        return 0
    return 1 if module.partition(".")[0] in sys.stdlib_module_names else 2


def _rank(name: str) -> int:
    """Return where a name stands in its import: constants, classes, functions."""
    return 0 if name.isupper() else 1 if name[:1].isupper() else 2


def _from_import(module: str, names: list[str]) -> str:
    """Return the statement that imports names from a module."""
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return layout(Block(f"from {module} import (", tuple(names), ")"))
