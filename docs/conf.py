"""Configuration of the documentation site.

Build it with ``python -m sphinx -n -W -b html docs docs/_build/html``. Nothing is
fetched while it builds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import safeframe
from safeframe.cli import main

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "safeframe"
author = "safeframe developers"
copyright = "safeframe developers"  # noqa: A001  # Sphinx gives it this name
version = release = safeframe.__version__

extensions = [
    "figures",
    "mathml",
    "myst_nb",
    "numpydoc",
    "pictures",
    "public_names",
    "sphinx.ext.autodoc",
    "sphinx_design",
]
root_doc = "index"
exclude_patterns = [
    "_build",
    "_ext",
    "conftest.py",
    "screenshots.py",
    "decisions/0000-template.md",
    "**.ipynb_checkpoints",
]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
smartquotes = False  # quotes are those of Python
nb_execution_mode = "off"  # a test executes the notebooks; the site shows what they printed
nb_output_stderr = "remove"

numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections say what is expected, in words

html_theme = "pydata_sphinx_theme"
html_title = "safeframe"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["safeframe.css"]
html_extra_path = ["llms.txt"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "safeframe"},
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 1,
    "collapse_navigation": False,
    # Four sections: all of them have room.
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
}
html_show_sourcelink = False

# The site builds without a network, hence without inventories of other projects: names
# that are documented there cannot be resolved. Our own have to be.
nitpick_ignore_regex = [
    (r"py:.*", r"(dask|distributed|pandas|numpy|pyarrow|matplotlib|click)\..*"),
    # The standard library's.
    (r"py:class", r"(bool|int|float|str|bytes|tuple|list|dict|None|object|Any|Exception)"),
    (r"py:(exc|class)", r"(ArithmeticError|KeyError|MemoryError|NotImplementedError|OSError|RuntimeError)"),
    (r"py:(exc|class)", r"(TypeError|UserWarning|ValueError)"),
]


class CommandHelp(SphinxDirective):
    """Shows what ``safeframe COMMAND --help`` prints, so that the page cannot go stale."""

    required_arguments = 0
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        command: click.Command = main
        context = click.Context(main, info_name="safeframe", max_content_width=88, terminal_width=88)
        if self.arguments:
            command = main.commands[self.arguments[0]]
            context = click.Context(
                command,
                info_name=self.arguments[0],
                parent=context,
                max_content_width=88,
                terminal_width=88,
            )
        text = command.get_help(context)
        block = nodes.literal_block(text, text)
        block["language"] = "text"
        return [block]


def setup(app: Sphinx) -> None:
    """Add the directive of this site."""
    app.add_directive("command-help", CommandHelp)
