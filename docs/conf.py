"""Settings of the guide: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import autoimb

project = "autoimb"
author = "the autoimb developers"
release = version = autoimb.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": False}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "autoimb"
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
# Only the API has pages below it to list at the side.
html_sidebars = {
    name: []
    for name in (
        *("index", "start", "decides", "weights", "reading", "files"),
        *("report", "expect", "large", "your_model"),
        *("failures", "machines", "extending", "glossary", "design"),
        "deployed",
    )
}
html_static_path: list[str] = []
templates_path = ["_templates"]
# `name` in a docstring is code: few of these names have a page of their own.
default_role = "code"
