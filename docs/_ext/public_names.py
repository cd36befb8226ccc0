"""A page for each public name, written when the site is built.

Covers: ``reference/api/<name>.rst`` for all of ``safeframe.__all__``; the directive ``public-names``
with a table of one group of them; types of parameters from the signature, where numpydoc's sections
have none.
Does not cover: what pages say, which is in the docstrings.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_args

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import safeframe
from safeframe.accessor import SafeAccessor

_PLACES = {
    "safeframe.recipes": "recipes",
    "safeframe.deploy": "clusters",
    "safeframe.report": "measuring",
    "safeframe.facts": "results",
}
_LOOKING = ("safeframe.recipes.statistics", "safeframe.recipes.explain")

_TYPES = {
    "Side": "dask or pandas DataFrame, or named Series",
    "dd.DataFrame": "dask.dataframe.DataFrame",
    "da.Array": "dask.array.Array",
    "db.Bag": "dask.bag.Bag",
}
"""Names of our own that say nothing to a reader."""

_KEYS = "label or list of labels"
_TYPES_OF_ANY = {
    **dict.fromkeys(("on", "left_on", "right_on", "by", "subset", "order_by"), _KEYS),
    **dict.fromkeys(("ddf", "df", "frame"), "dask or pandas DataFrame"),
    "column": "label",
    "columns": _KEYS,
    "collection": "dask collection",
    "bag": "dask.bag.Bag",
    "lags": "int or list of int",
}
"""What ``Any`` stands for, by the parameter's name. Another name has its type in its text."""


def group_of(name: str) -> str:
    """Name the group that a public name is listed in."""
    thing = getattr(safeframe, name)
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return "errors"
    if name.startswith("plan_"):
        return "plans"
    module = str(getattr(thing, "__module__", ""))
    if module.startswith(_LOOKING):
        return "looking"
    return next((group for place, group in _PLACES.items() if module.startswith(place)), "more")


def names_of(group: str) -> list[str]:
    """Return the public names of a group, in the order of the alphabet."""
    return [name for name in safeframe.__all__ if not name.startswith("__") and group_of(name) == group]


def _page(title: str, body: str) -> str:
    return f"{title}\n{'=' * len(title)}\n\n{body}\n"


def write_pages(app: Sphinx) -> None:
    """Write a page for each public name, unless it is there already, and take away what is gone."""
    directory = Path(app.srcdir) / "reference" / "api"
    directory.mkdir(parents=True, exist_ok=True)
    pages: dict[str, str] = {}
    for name in safeframe.__all__:
        if name.startswith("__"):
            continue
        thing = getattr(safeframe, name)
        group = group_of(name)
        if group == "errors":
            body = f".. autoexception:: safeframe.{name}\n   :show-inheritance:\n"
        elif inspect.isclass(thing):
            members = "" if group == "clusters" else "   :members:\n"
            body = f".. autoclass:: safeframe.{name}\n{members}"
        elif callable(thing):
            body = f".. autofunction:: safeframe.{name}\n"
        else:
            body = f".. autodata:: safeframe.{name}\n"
        pages[name] = _page(name, body)
    for name, text in pages.items():
        path = directory / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in directory.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()


def _table(entries: list[tuple[str, Any]]) -> list[str]:
    lines = [".. list-table::", "   :widths: 30 70", "   :class: public-names", ""]
    for role, thing in entries:
        summary = (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")
        lines += [f"   * - {role}", f"     - {summary}"]
    return lines if entries else []


class _Lines(SphinxDirective):
    """Has lines of reStructuredText in its place."""

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        node = nodes.container()
        lines = StringList([".. currentmodule:: safeframe", "", *self.lines()], source=self.name)
        self.state.nested_parse(lines, self.content_offset, node)
        return node.children


class PublicNames(_Lines):
    """Lists the public names of a group with their first lines, and puts their pages in the navigation."""

    required_arguments = 1

    def lines(self) -> list[str]:
        names = names_of(self.arguments[0])
        table = _table([(f":py:obj:`~safeframe.{name}`", getattr(safeframe, name)) for name in names])
        if not names:
            return ["None."]
        return [*table, "", ".. toctree::", "   :hidden:", "", *(f"   {name} <api/{name}>" for name in names)]


class AccessorMethods(_Lines):
    """Describes ``ddf.safe`` and lists its methods, with links to the functions that they are."""

    def lines(self) -> list[str]:
        recipes = {
            name: getattr(SafeAccessor, name)
            for name in sorted(dir(SafeAccessor))
            if not name.startswith("_") and inspect.isfunction(getattr(SafeAccessor, name))
        }
        entries = [
            (f":py:obj:`ddf.safe.{name}() <safeframe.{recipe.__name__}>`", recipe)
            for name, recipe in recipes.items()
        ]
        text = "Each takes the arguments of the function that it links to, without the first frame."
        return [*_table(entries), "", text, "", ".. autoclass:: safeframe.accessor.SafeAccessor"]


def add_types(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Write types of the signature next to the parameters of a docstring, before numpydoc reads it."""
    function = thing.__init__ if inspect.isclass(thing) else thing
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return
    known = getattr(inspect.unwrap(function), "__globals__", {})
    section = _section(lines, "Parameters")
    if section is None:
        return
    for number in range(*section):
        line = lines[number]
        names = [one.strip() for one in line.split(",")]
        if not line or line[0].isspace() or not all(re.fullmatch(r"\*{0,2}\w+", one) for one in names):
            continue
        found = [parameters[one.lstrip("*")] for one in names if one.lstrip("*") in parameters]
        if text := " | ".join(dict.fromkeys(_type_of(one, known) for one in found)):
            lines[number] = f"{line} : {text}"


def _section(lines: list[str], title: str) -> tuple[int, int] | None:
    heads = [n for n in range(len(lines) - 1) if lines[n + 1] and set(lines[n + 1].strip()) == {"-"}]
    for number, head in enumerate(heads):
        if lines[head].strip() == title:
            return head + 2, heads[number + 1] if number + 1 < len(heads) else len(lines)
    return None


def _type_of(parameter: inspect.Parameter, names: dict[str, Any]) -> str:
    """Put an annotation and a default into words: ``str or int, optional``."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    shown = []
    for part in re.split(r" \| (?![^\[]*\])", text):
        values = get_args(names.get(part))
        if values and all(isinstance(value, str) for value in values):
            shown.append("{" + ", ".join(f'"{value}"' for value in values) + "}")
        elif part == "Any":
            shown.append(_TYPES_OF_ANY.get(parameter.name, ""))
        elif part != "None" or parameter.default is not None:
            shown.append(_TYPES.get(part, part))
    words = " or ".join(part for part in shown if part)
    default = parameter.default
    if default is inspect.Parameter.empty:
        return words
    if default is None:
        return f"{words}, optional" if words else "optional"
    return f"{words}, default {default!r}" if words and len(repr(default)) < 30 else words


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, and write the pages before Sphinx looks for them."""
    app.add_directive("accessor-methods", AccessorMethods)
    app.add_directive("public-names", PublicNames)
    app.connect("builder-inited", write_pages)
    # numpydoc's own is at the default of 500.
    app.connect("autodoc-process-docstring", add_types, priority=400)
    return {"parallel_read_safe": True}
