"""The package reads top to bottom, loads quickly, and is made of small pieces."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

import autoimb

ROOT = Path(autoimb.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
HEAVY = {
    *("catboost", "dask", "distributed", "imblearn", "jinja2", "lightgbm", "loky"),
    *("matplotlib", "ray"),
    *("optuna", "pebble", "rich", "rtdl_num_embeddings", "skops", "tabm", "torch"),
    *("pytest", "xgboost"),
}


def listed_in(package):
    """Return the modules that a package's docstring lists, in order."""
    text = (package / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r"^``(\w+)``", text, flags=re.MULTILINE)


def parts_of(path):
    """Return the parts of the name under which a file is imported, without autoimb."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(path):
    """Yield the parts of every module of ours that a file imports, for types too."""
    modules = {parts_of(file) for file in FILES}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "autoimb"
        ):
            parts = tuple(node.module.split(".")[1:])
            for alias in node.names:
                found = (*parts, alias.name)
                yield found if found in modules else parts


def test_imports_are_absolute():
    relative = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_every_module_is_listed_once_by_its_package():
    packages = [
        ROOT,
        *(path for path in ROOT.glob("_*") if (path / "__init__.py").exists()),
    ]
    for package in packages:
        found = {
            path.stem
            for path in package.iterdir()
            if path.suffix == ".py" or (path / "__init__.py").exists()
        }
        listed = listed_in(package)
        assert sorted(found - {"__init__", "__main__"}) == sorted(listed), package


def test_imports_go_up_the_lists_only():
    """Packages import packages listed above them, modules those above in their own."""
    layers = listed_in(ROOT)
    wrong, pairs = [], set()
    for path in FILES:
        here = parts_of(path)
        if not here or here == ("__main__",):
            continue  # the entrances
        for there in imported(path):
            if there and there[0] != here[0]:
                # What asks for a version of another library is coupled to that only.
                pairs |= {(here[0], there[0])} - {(here[0], "_compat")}
                is_above = layers.index(there[0]) < layers.index(here[0])
            elif len(there) > 1 and len(here) > 1:
                order = listed_in(ROOT / here[0])
                is_above = order.index(there[1]) < order.index(here[1])
            else:
                continue
            if not is_above:
                wrong.append((".".join(here), ".".join(there)))
    assert not wrong
    assert len(layers) <= 20
    # Of these, six are those of `_monitor`: it judges a fitted model (`_fit`) by what
    # was promised (`_select`), on columns (`_table`), with metrics, in a report.
    assert len(pairs) <= 86


def loaded_by(code):
    """Return the names of modules that lines of code load in a process of their own."""
    before, _, after = code.partition("|")
    lines = f"import sys; {before}; before = set(sys.modules); {after}; "
    done = subprocess.run(
        [sys.executable, "-c", f"{lines} print(*(sys.modules.keys() - before))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_package_loads_nothing_heavy():
    # scikit-learn's own pipeline loads rich, for its progress bars.
    found = loaded_by("import sklearn.pipeline | import autoimb; autoimb.AutoImbalance")
    assert "autoimb._estimator" in found
    assert not found & HEAVY


def test_without_a_public_name_the_package_loads_no_library():
    found = {name.partition(".")[0] for name in loaded_by("pass | import autoimb")}
    assert found - set(sys.stdlib_module_names) == {"autoimb"}


def test_names_are_public_whichever_is_used_first():
    code = (
        "import autoimb, sys; autoimb.Cost; names = autoimb.__all__; "
        "print({getattr(autoimb, n).__module__ for n in names}, set(names) < "
        "set(dir(autoimb)), hasattr(autoimb, 'nothing'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{'autoimb'} True False"


def test_every_public_name_exists_once_and_sorted():
    assert autoimb.__all__ == sorted(set(autoimb.__all__))
    assert all(hasattr(autoimb, name) for name in autoimb.__all__)


def test_benchmarks_import_what_there_is():
    """They run for hours and are run by hand: a name that moved must show before."""
    folder = ROOT.parent / "benchmarks"
    missing = [
        f"{path.name}: {node.module}.{alias.name}"
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").partition(".")[0] == "autoimb"
        for alias in node.names
        if not hasattr(import_module(node.module), alias.name)
        and find_spec(f"{node.module}.{alias.name}") is None
    ]
    assert not missing


# --- small pieces


def body_lines(function):
    """Return how many lines a function has without its head and its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_are_short():
    functions = [
        (body_lines(node), f"{path.relative_to(ROOT)}:{node.lineno}")
        for path in FILES
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = sorted(length for length, _ in functions)
    assert not [place for length, place in functions if length > 60]
    assert lengths[int(0.99 * len(lengths))] <= 30
    assert sum(length <= 3 for length in lengths) < 0.35 * len(lengths)


def test_files_are_short():
    """Only the estimator is longer: its docstrings are what users read."""
    long = [
        path.name
        for path in FILES
        if len(path.read_text(encoding="utf-8").splitlines()) > 500
    ]
    assert long == ["_estimator.py"]


def test_every_module_says_what_it_is_for():
    for path in FILES:
        docstring = ast.get_docstring(TREES[path]) or ""
        first = " ".join(takewhile(bool, docstring.splitlines()))
        assert first.endswith((".", ":")), path
