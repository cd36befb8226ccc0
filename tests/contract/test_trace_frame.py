"""How many files a frame passes through, and how often it goes back up the layers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.trace_frame import RECIPES

ROOT = Path(__file__).resolve().parents[2]
FILES = {"merge": 18, "set_index": 15, "groupby_lag_transform": 18}
STEPS_UP = {"merge": 4, "set_index": 6, "groupby_lag_transform": 6}
HELD_FILES = {"merge": 23, "set_index": 16, "groupby_lag_transform": 19}
HELD_STEPS_UP = {"merge": 9, "set_index": 6, "groupby_lag_transform": 6}


@pytest.fixture(scope="module")
def ways() -> dict[str, dict[str, list[object]]]:
    # In a process of its own: what is cached by other tests would be passed by.
    command = [sys.executable, "-m", "benchmarks.trace_frame", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    ways: dict[str, dict[str, list[object]]] = json.loads(done.stdout)
    return ways


@pytest.mark.parametrize("name", RECIPES)
def test_a_frame_passes_through_few_files(name: str, ways: dict[str, dict[str, list[object]]]) -> None:
    files, steps_up = ways[name]["files"], ways[name]["steps_up"]
    assert len(files) <= FILES[name], files
    assert len(steps_up) <= STEPS_UP[name], steps_up


@pytest.mark.parametrize("name", RECIPES)
def test_records_with_a_frame_go_to_few_files_more(
    name: str, ways: dict[str, dict[str, list[object]]]
) -> None:
    files, steps_up = ways[name]["held_files"], ways[name]["held_steps_up"]
    assert len(files) <= HELD_FILES[name], files
    assert len(steps_up) <= HELD_STEPS_UP[name], steps_up
