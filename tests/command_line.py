"""Running the command in a test, and reading what it prints."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from safeframe.cli import main

# click 8.1 mixes what goes to stderr into the output unless it is told not to; later ones have both.
_APART = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def run(*args: object) -> Result:
    return CliRunner(**_APART).invoke(main, [str(arg) for arg in args])


def printed_number(text: str, label: str) -> int:
    match = re.search(rf"^{label} +([0-9,]+)", text, re.MULTILINE)
    assert match is not None, text
    return int(match[1].replace(",", ""))


@pytest.fixture(scope="module", name="tables")
def parquet_tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("tables")
    left = pd.DataFrame({"item": [1, 1, 1, 2, 3], "count": range(5)})
    right = pd.DataFrame({"item": [1, 1, 2, 4], "thing": [1, 1, 2, 4], "price": 0.5})
    for name, frame in (("left", left), ("right", right)):
        (root / name).mkdir()
        frame.to_parquet(root / name / "part-0.parquet", index=False)
    return root / "left", root / "right"
