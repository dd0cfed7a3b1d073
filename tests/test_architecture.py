"""The package reads top to bottom, loads quickly, and is made of small pieces."""

import ast
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

import autoimb

ROOT = Path(autoimb.__file__).parent
LAYERS = re.findall(r"^``(\w+)``", autoimb.__doc__, flags=re.MULTILINE)
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
ENTRANCES = {"__init__", "__main__"}  # the front doors may open every room
HEAVY = {
    *("catboost", "dask", "imblearn", "jinja2", "lightgbm", "loky", "matplotlib"),
    *("optuna", "pebble", "rich", "rtdl_num_embeddings", "skops", "tabm", "torch"),
    *("xgboost",),
}


def named(path):
    return path.relative_to(ROOT).as_posix()


def dotted(path):
    """Return the name under which a file is imported."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


every_file = pytest.mark.parametrize("path", FILES, ids=named)


def layer_of(path):
    """Return the module or package directly below the root that a file is part of."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def is_for_types_only(node):
    """Whether a statement is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk(node):
    """Yield the nodes that run, those inside functions included."""
    for child in ast.iter_child_nodes(node):
        if not is_for_types_only(child):
            yield child
            yield from walk(child)


def imported(node, path):
    """Return the absolute names that an import statement of a file asks for."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    parts = [node.module] if node.module else []
    if node.level:
        package = dotted(path.parent / "__init__.py").split(".")
        parts = package[: len(package) - node.level + 1] + parts
    return [".".join([*parts, alias.name]) for alias in node.names]


def layers_used(path):
    """Return the layers that a file imports from."""
    names = [name for node in walk(TREES[path]) for name in imported(node, path)]
    parts = [name.split(".") for name in names]
    inside = {part[1] for part in parts if part[0] == "autoimb" and len(part) > 1}
    return {layer for layer in inside if layer in LAYERS}


def test_every_module_has_its_place_in_the_list():
    assert {layer_of(path) for path in FILES} - ENTRANCES == set(LAYERS)
    assert len(set(LAYERS)) == len(LAYERS)


@every_file
def test_a_module_imports_only_from_modules_above_it(path):
    layer = layer_of(path)
    if layer in ENTRANCES:
        return
    above = set(LAYERS[: LAYERS.index(layer)])
    assert layers_used(path) - {layer} <= above


def test_no_file_reaches_itself_by_imports():
    """Inside a package, too, files import each other in one direction."""
    files = {dotted(path): path for path in FILES}

    def used(path):
        names = {name for node in walk(TREES[path]) for name in imported(node, path)}
        found = {files.get(n) or files.get(n.rpartition(".")[0]) for n in names}
        return found - {None, path}

    uses = {path: used(path) for path in FILES}

    def reached(path, seen):
        for other in uses[path] - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    assert not [named(path) for path in FILES if path in reached(path, set())]


def test_the_package_loads_nothing_heavy():
    # scikit-learn's own pipeline loads rich, for its progress bars.
    code = (
        "import sys, sklearn.pipeline; before = set(sys.modules); import autoimb; "
        f"print(sorted({HEAVY} & (sys.modules.keys() - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists_once_and_sorted():
    assert autoimb.__all__ == sorted(set(autoimb.__all__))
    assert all(hasattr(autoimb, name) for name in autoimb.__all__)


# --- small pieces


def body_lines(function):
    """Return how many lines a function has without its head and its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@every_file
def test_no_function_is_longer_than_sixty_lines(path):
    functions = [n for n in ast.walk(TREES[path]) if isinstance(n, ast.FunctionDef)]
    assert not [(f.name, body_lines(f)) for f in functions if body_lines(f) > 60]


@every_file
def test_no_file_is_longer_than_five_hundred_lines_of_code(path):
    """The docstrings that scikit-learn's users read in the estimator do not count."""
    lines = path.read_text(encoding="utf-8").splitlines()
    public = [
        node
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node)
    ]
    in_docstrings = sum(
        node.body[0].end_lineno - node.body[0].lineno + 1 for node in public
    )
    assert len(lines) - in_docstrings <= 500


@every_file
def test_a_module_says_what_it_is_for(path):
    docstring = ast.get_docstring(TREES[path])
    assert docstring or not TREES[path].body
    first = list(takewhile(bool, (docstring or "x.").splitlines()))
    assert " ".join(first)[-1] in ".:"
