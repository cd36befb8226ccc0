"""The command line, from arguments to output."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import safeframe
from safeframe.cli import main


def _run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def _number(text: str, label: str) -> int:
    match = re.search(rf"^{label} +([0-9,]+)", text, re.MULTILINE)
    assert match is not None, text
    return int(match[1].replace(",", ""))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("tables")
    left = pd.DataFrame({"item": [1, 1, 1, 2, 3], "count": range(5)})
    right = pd.DataFrame({"item": [1, 1, 2, 4], "thing": [1, 1, 2, 4], "price": 0.5})
    for name, frame in (("left", left), ("right", right)):
        (root / name).mkdir()
        frame.to_parquet(root / name / "part-0.parquet", index=False)
    return root / "left", root / "right"


class TestDemo:
    def test_it_ends_with_the_summary_and_a_result_of_the_predicted_rows(self, tmp_path: Path) -> None:
        directory = tmp_path / "demo"
        done = _run(
            "demo", "--scale", "0.0002", "--directory", directory, "--workers", "2", "--memory", "1GiB"
        )
        assert done.exit_code == 0, done.output
        assert "The whole question, predicted in" in done.output
        assert re.search(r"exactly (99|100),\d{3},\d{3},\d{3} rows", done.output)
        assert "6.4 TB in memory" in done.output
        assert done.output.count("merge: FITS") == 2
        assert re.search(r"^memory +peak .* projected and 1 GiB allowed: kept$", done.output, re.MULTILINE)
        assert _number(done.output, "rows in") == 22_000
        result = pd.read_parquet(directory / "result")
        assert _number(done.output, "rows out") == len(result)
        assert re.search(rf"^result +{re.escape(str(directory / 'result'))}$", done.output, re.MULTILINE)
        assert {path.name for path in directory.iterdir()} <= {
            ".safeframe-demo",
            "result",
            "dask-scratch-space",
        }
        assert not list(directory.rglob("*.staged"))

    def test_a_directory_of_someone_elses_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("the only copy")
        done = _run("demo", "--directory", tmp_path)
        assert done.exit_code == 1
        assert "did not make" in done.output
        assert "Hint: Name an empty or a new directory" in done.output
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    @pytest.mark.parametrize("args", [("--scale", "2"), ("--scale", "0"), ("--workers", "0")])
    def test_arguments_out_of_range_are_refused_before_anything_is_made(
        self, tmp_path: Path, args: tuple[str, str]
    ) -> None:
        assert _run("demo", "--directory", tmp_path / "demo", *args).exit_code == 2
        assert not (tmp_path / "demo").exists()

    def test_a_size_that_is_none_is_a_message(self, tmp_path: Path) -> None:
        done = _run("demo", "--directory", tmp_path / "demo", "--memory", "a lot")
        assert done.exit_code == 1
        assert "Error: --memory='a lot' is not a size." in done.output
        assert "Traceback" not in done.output


class TestEstimate:
    def test_it_counts_to_the_row(self, tables: tuple[Path, Path]) -> None:
        done = _run("estimate", *tables, "--on", "item", "--how", "left")
        assert done.exit_code == 0, done.output
        assert "left merge on item: exactly 8 rows" in done.output  # 3 × 2 + 1 × 1 + 1 unmatched

    def test_keys_may_be_called_differently(self, tables: tuple[Path, Path]) -> None:
        done = _run("estimate", *tables, "--left-on", "item", "--right-on", "thing")
        assert "exactly 7 rows" in done.output

    def test_with_memory_it_prints_the_plan(self, tables: tuple[Path, Path]) -> None:
        done = _run("estimate", *tables, "--on", "item", "--memory", "3GiB")
        assert "merge: FITS" in done.output
        assert "of 3 GiB allowed per worker" in done.output

    def test_a_wrong_column_is_a_message_without_a_traceback(self, tables: tuple[Path, Path]) -> None:
        done = _run("estimate", *tables, "--on", "itme")
        assert done.exit_code == 1
        assert done.output.startswith("Error: ")
        assert "itme" in done.output
        assert "\n\nHint: " in done.output
        assert "Traceback" not in done.output

    def test_a_path_that_is_not_there_is_a_message(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        done = _run("estimate", tables[0], tmp_path / "nowhere", "--on", "item")
        assert done.exit_code == 1
        assert "nowhere" in done.output
        assert "Hint: " in done.output


class TestInspect:
    def test_it_adds_up_the_footers(self, tables: tuple[Path, Path]) -> None:
        done = _run("inspect", tables[0])
        assert done.exit_code == 0, done.output
        assert "part-0.parquet" in done.output
        assert _number(done.output, "rows") == 5
        assert re.search(r"^in memory +80 B, the largest file 80 B$", done.output, re.MULTILINE)

    def test_strings_are_said_to_be_left_out(self, tmp_path: Path) -> None:
        pd.DataFrame({"k": [1], "text": ["abc"]}).to_parquet(tmp_path / "one.parquet", index=False)
        done = _run("inspect", tmp_path)
        assert "in memory  more than 8 B" in done.output
        assert "these columns are not counted" in done.output

    def test_many_files_are_not_all_listed(self, tmp_path: Path) -> None:
        for number in range(23):
            pd.DataFrame({"k": [1]}).to_parquet(tmp_path / f"part-{number:02d}.parquet", index=False)
        done = _run("inspect", tmp_path)
        assert "... and 3 more" in done.output
        assert _number(done.output, "files") == 23

    def test_nothing_there_is_a_message(self, tmp_path: Path) -> None:
        done = _run("inspect", tmp_path)
        assert done.exit_code == 1
        assert "Error: There is no parquet file at" in done.output


def test_the_version_is_the_packages() -> None:
    assert _run("--version").output.strip().endswith(safeframe.__version__)


@pytest.mark.parametrize("command", ["demo", "estimate", "inspect"])
def test_every_command_has_help(command: str) -> None:
    done = _run(command, "--help")
    assert done.exit_code == 0
    assert f"Usage: main {command}" in done.output
