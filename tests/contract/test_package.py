"""What the package ships, and what it says of itself."""

from __future__ import annotations

import inspect
import re
from importlib import metadata, resources
from pathlib import Path

import pytest

import safeframe

ROOT = Path(__file__).resolve().parents[2]
HARD_CAP_LINES = 400


@pytest.mark.parametrize("name", ["py.typed", "safeframe.yaml", "safeframe-schema.yaml"])
def test_data_files_come_with_the_package(name: str) -> None:
    assert resources.files("safeframe").joinpath(name).is_file()


def test_public_names_are_sorted_there_and_documented() -> None:
    names = safeframe.__all__
    assert list(names) == sorted(names)
    for name in names:
        thing = getattr(safeframe, name)
        if callable(thing):
            assert (thing.__doc__ or "").strip(), name


@pytest.mark.parametrize("name", [n for n in safeframe.__all__ if inspect.isfunction(getattr(safeframe, n))])
def test_docstrings_of_functions_are_complete(name: str) -> None:
    function = getattr(safeframe, name)
    text = inspect.getdoc(function) or ""
    sections = dict(re.findall(r"^(\w+)\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL))
    assert {"Notes", "Examples"} <= sections.keys()
    assert {"Returns", "Yields"} & sections.keys()
    if name.startswith("plan_"):
        assert "Takes the arguments of" in text
        return
    named = re.findall(r"^\*{0,2}\w+(?:, \*{0,2}\w+)*$", sections["Parameters"], re.MULTILINE)
    described = {one.lstrip("*") for line in named for one in line.split(", ")}
    assert described == set(inspect.signature(function).parameters)


def test_every_error_of_the_tree_is_public() -> None:
    missing = set(safeframe.errors.__all__) - set(safeframe.__all__)
    assert not missing


def test_modules_stay_small() -> None:
    too_long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in sorted((ROOT / "safeframe").rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > HARD_CAP_LINES
    }
    assert not too_long


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "safeframe").rglob("*.py"))
        if not re.match(r'r?"""\S', path.read_text(encoding="utf-8"))
    ]
    assert not silent


def test_the_command_is_installed_where_the_package_is() -> None:
    try:
        entry_points = metadata.distribution("dask-safeframe").entry_points
    except metadata.PackageNotFoundError:
        pytest.skip("safeframe runs from the checkout without being installed")
    assert ("safeframe", "safeframe.cli:main") in [(e.name, e.value) for e in entry_points]
