"""Runs the Python blocks of the documentation, each page in a directory of its own."""

from __future__ import annotations

import copy
import os
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path
from typing import Any

import dask
import pandas as pd
import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

collect_ignore = ["conf.py", "_build"]

_ROWS = 400


def _orders_and_prices(directory: Path) -> None:
    """Write the two small tables that the how-to and concept pages read."""
    orders = pd.DataFrame({"item": [i % 40 for i in range(_ROWS)], "count": range(_ROWS)})
    prices = pd.DataFrame({"item": range(30), "price": 0.5})
    for name, frame in (("orders", orders), ("prices", prices)):
        (directory / name).mkdir()
        half = len(frame) // 2
        frame.iloc[:half].to_parquet(directory / name / "part-0.parquet", index=False)
        frame.iloc[half:].to_parquet(directory / name / "part-1.parquet", index=False)


@pytest.fixture(scope="module")
def page_directory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a page its own working directory, with the two small tables in it."""
    directory = tmp_path_factory.mktemp("page")
    _orders_and_prices(directory)
    before = Path.cwd()
    settings = copy.deepcopy(dask.config.config)
    os.chdir(directory)
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
