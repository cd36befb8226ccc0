"""Modules that docstrings and pages name exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module, util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "safeframe"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "README.md"]

LAYERS = sorted(
    {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"} - {"__init__"}
)
DOTTED = re.compile(rf"`~?((?:safeframe\.)?(?:{'|'.join(LAYERS)})(?:\.\w+)+)(?:\(\))?`")
"""A layer and what is in it, such as ``kernels.keys.codes.decode_codes``, with or without the package."""
BOUNDARY = re.compile(r"\(`{2}([a-z_.]+)`{2}")
"""The module that covers what another one does not, at the end of its docstring."""
SETTINGS_AND_FILES = (".yaml", ".py")


def docstrings(path: Path) -> Iterator[str]:
    """Return the docstrings of a module and of everything in it, attributes too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value


@cache
def modules() -> frozenset[str]:
    """Return every module and package of safeframe by its full name."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return frozenset(".".join(path.parts).removesuffix(".__init__") for path in paths)


@cache
def endings() -> frozenset[str]:
    """Return the last parts of the modules' names: ``keys.codes`` and ``codes`` for ``kernels.keys.codes``."""
    parts = (name.split(".") for name in modules())
    return frozenset(".".join(some[start:]) for some in parts for start in range(len(some)))


def exists(name: str) -> bool:
    """Whether a dotted name is a module of safeframe, or a name in one."""
    full = name if name.startswith("safeframe.") else f"safeframe.{name}"
    parts = full.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if module in modules():
            found = import_module(module)
            return end == len(parts) or hasattr(found, parts[end])
    return False


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_modules_in_docstrings_exist(path: Path) -> None:
    named = {name for text in docstrings(path) for name in DOTTED.findall(text)}
    gone = [name for name in sorted(named) if not name.endswith(SETTINGS_AND_FILES) and not exists(name)]
    boundary = next(docstrings(path), "").partition("Does not cover:")[2].partition("\n\n")[0]
    gone += [name for name in BOUNDARY.findall(boundary) if name not in endings() and not exists(name)]
    assert not gone, f"no such module: {gone}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_on_pages_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"`(?:safeframe/)?((?:[\w-]+/)+[\w-]+\.(?:py|md))`", text)
    paths = [name for name in named if not ((PACKAGE / name).exists() or (ROOT / name).exists())]
    imported = re.findall(r"^(?:from|import) (safeframe[\w.]*)", text, re.MULTILINE)
    assert not paths + [name for name in imported if util.find_spec(name) is None]
