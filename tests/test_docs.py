"""What is shown to users is complete and runs."""

import re
import runpy
from pathlib import Path

import pytest
from numpydoc.validate import validate

import autoimb

ROOT = Path(__file__).parents[1]
CODES = {"GL08", "SS03", "PR01", "PR02", "RT01", "RT03", "YD01"}
VALUES = {
    *("DatasetProfile", "FittedMember", "HonestScore", "Recommendation", "Strategy"),
}
VALUE_CODES = {"PR01"}  # made by autoimb, not by users: they document attributes
METHODS = [
    f"AutoImbalance.{name}"
    for name in (
        *("fit", "predict", "predict_proba", "score", "report", "save"),
        *("export_code", "monitor", "predict_sets", "set_prior", "set_threshold"),
        "top",
    )
]


@pytest.mark.parametrize("name", [*autoimb.__all__, *METHODS])
def test_public_docstrings_are_complete(name):
    found = validate(f"autoimb.{name}")["errors"]
    codes = CODES - VALUE_CODES if name in VALUES else CODES
    errors = [f"{code} {message}" for code, message in found if code in codes]
    assert not errors


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name
)
@pytest.mark.slow
def test_examples_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")


def test_readme_has_exactly_two_set_up_commands():
    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^pip install .*&& (.*)$", text, flags=re.MULTILINE)
    assert commands == ["autoimb demo", "pytest -n auto"]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page):
    """Return the Python of a page, one text a block."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.name
)
@pytest.mark.slow
def test_the_code_of_a_page_runs_from_top_to_bottom(page, monkeypatch, tmp_path):
    from sklearn.datasets import make_classification

    X, y = make_classification(200, weights=[0.9], random_state=0)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__", "X": X, "y": y, "X_new": X}
    quick = "AutoImbalance(n_trials=1, n_jobs=1, families='logistic_regression')"
    for block in python_blocks(page):
        exec(block.replace("AutoImbalance()", quick), names)


def test_links_lead_somewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            is_file = "://" not in target
            assert not is_file or (page.parent / target).exists(), (page.name, target)
