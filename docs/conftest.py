"""Runs the Python blocks of the documentation, each page in a directory of its own."""

from __future__ import annotations

import copy
import os
import re
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path
from typing import Any

import dask
import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

_TABLES = Path(__file__).parent / "how-to" / "index.md"

collect_ignore = ["conf.py", "_build"]


def _write_tables() -> None:
    """Write the two small tables that pages read, into the working directory, as a page tells its readers to."""
    found = re.search(
        r"^```python\n(.*?)^```$", _TABLES.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    exec(found[1], {})  # noqa: S102  # it is our own page


@pytest.fixture(scope="module")
def page_directory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a page its own working directory, with the two small tables in it."""
    directory = tmp_path_factory.mktemp("page")
    before = Path.cwd()
    settings = copy.deepcopy(dask.config.config)
    os.chdir(directory)
    _write_tables()
    with dask.config.set({"temporary-directory": str(directory / "scratch")}):
        yield directory
    os.chdir(before)
    # Pages set options as a user would, for good.
    dask.config.config.clear()
    dask.config.config.update(settings)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pages show our own warnings, which they explain; others stay errors."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker(pytest.mark.filterwarnings("default::safeframe.errors.SafeframeWarning"))


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE), SkipParser()],
    patterns=["*.md"],
    fixtures=["page_directory"],
).pytest()
