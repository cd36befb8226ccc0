"""Imports go down the layers only, and dask's private names come in by one door."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dask.dataframe as dd
import distributed
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "safeframe"

PRIVATE = re.compile(
    r"""
    ^(dask|distributed)\..*(?<=\.)_          # a private module, or a private name of a public one
    | ^dask\._
    | ^dask\.dataframe\.dask_expr\b          # importable, and promised to nobody
    | ^distributed\.shuffle\b
    """,
    re.VERBOSE,
)
UNDOCUMENTED = re.compile(
    r"""
    ^(dask|distributed)\.system\b
    | ^dask\.base\.get_scheduler$
    | ^dask\.dataframe\.(utils|core|methods|dispatch|backends)\b      # what is kept of them is in dask.dataframe.api
    """,
    re.VERBOSE,
)
ATTRIBUTES = {"memory_manager", "monitor", "extensions", "worker_kwargs", "WORKER_SATURATION", "plugins"}
"""Of workers, nannies and schedulers, and in no documentation."""

OPEN = {"_meta", "_name", "_parameters"}
"""safeframe/_dask/__init__.py says why."""
NOT_DASKS = {"_make": "of named tuples", "_strip_protocol": "of fsspec"}

DOOR = "_dask/"


def test_the_contracts_of_pyproject_hold() -> None:
    # In a process of its own: import-linter's set-up of logging silences every logger that is there.
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as lint; lint()",
        "--no-cache",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_private_names_of_dask_come_in_by_one_door() -> None:
    inside = {
        f"{module}: {name}"
        for module, name in _imports(PACKAGE)
        if (PRIVATE.search(name) or UNDOCUMENTED.search(name)) and not module.startswith(DOOR)
    }
    assert not inside


def test_private_attributes_of_dasks_objects_are_read_behind_the_door() -> None:
    own = _own_names(PACKAGE) - _names_of_dask()
    inside = {
        f"{module}: {of}.{name}"
        for module, of, name in _attributes(PACKAGE)
        if not module.startswith(DOOR)
        and of not in ("self", "cls", "super()", "pd.api")
        and (name in ATTRIBUTES or (name.startswith("_") and not name.startswith("__")))
        and name not in own | OPEN | NOT_DASKS.keys()
    }
    assert not inside


@pytest.mark.parametrize(
    ("name", "private"),
    [("_layer", True), ("_divisions", True), ("_scheduler_identity", False), ("_shards_of", False)],
)
def test_names_of_dask_are_those_of_its_classes(name: str, private: bool) -> None:
    assert (name in _names_of_dask()) is private


@pytest.mark.parametrize(
    ("name", "private"),
    [
        ("dask.dataframe", False),
        ("dask.dataframe.api.new_collection", False),
        ("dask.task_spec.Task", False),
        ("distributed.WorkerPlugin", False),
        ("dask._expr", True),
        ("dask.dataframe.dask_expr", True),
        ("dask.dataframe.dask_expr._merge.Merge", True),
        ("dask.base._private", True),
        ("distributed.shuffle._core", True),
    ],
)
def test_what_counts_as_private(name: str, private: bool) -> None:
    assert bool(PRIVATE.search(name)) is private


def _names_of_dask() -> set[str]:
    """Return the attributes of dask's classes; an own class may define some of them for dask to call."""
    collection = dd.from_dict({"a": [1]}, npartitions=1)
    classes = (type(collection), *(type(node) for node in collection.merge(collection).expr.walk()))
    servers = (distributed.Client, distributed.Worker, distributed.Nanny, distributed.Scheduler)
    return {name for kind in (*classes, *servers) for name in dir(kind)}


def _own_names(package: Path) -> set[str]:
    """Return the names that classes and modules of ours define."""
    found = set()
    for _, node in _nodes(package):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def _attributes(package: Path) -> Iterator[tuple[str, str, str]]:
    for module, node in _nodes(package):
        if isinstance(node, ast.Attribute):
            yield module, ast.unparse(node.value), node.attr


def _nodes(package: Path) -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).as_posix()
        yield from ((module, node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(package: Path) -> Iterator[tuple[str, str]]:
    for module, node in _nodes(package):
        if isinstance(node, ast.Import):
            yield from ((module, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((module, f"{node.module}.{alias.name}") for alias in node.names)
