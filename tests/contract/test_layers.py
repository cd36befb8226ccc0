"""Imports go down the layers only, and dask's private names come in by one door."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
        if PRIVATE.search(name) and not module.startswith(DOOR)
    }
    assert not inside


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


def _imports(package: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((module, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((module, f"{node.module}.{alias.name}") for alias in node.names)
