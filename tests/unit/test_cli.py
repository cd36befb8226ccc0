"""Commands that need no cluster, and what all of them share: JSON, exit codes, help."""

from __future__ import annotations

import json
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import dask
import pandas as pd
import pytest
from click.testing import Result

import safeframe
from safeframe import errors
from safeframe.cli import main
from safeframe.cli.output import ExitCode, Failure, output, to_json
from safeframe.facts.strategies import MERGE_STRATEGIES, SORT_STRATEGIES
from tests.command_line import printed_number, run

LONG = "a_column_whose_name_is_longer_than_any_terminal_is_wide_" * 3


def _document(done: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


class TestEstimate:
    def test_it_counts_to_the_row(self, tables: tuple[Path, Path]) -> None:
        done = run("estimate", *tables, "--on", "item", "--how", "left")
        assert done.exit_code == 0, done.output
        assert "left merge on item: exactly 8 rows" in done.output  # 3 × 2 + 1 × 1 + 1 unmatched

    def test_keys_may_be_called_differently(self, tables: tuple[Path, Path]) -> None:
        done = run("estimate", *tables, "--left-on", "item", "--right-on", "thing")
        assert "exactly 7 rows" in done.output

    def test_with_memory_it_prints_the_plan(self, tables: tuple[Path, Path]) -> None:
        done = run("estimate", *tables, "--on", "item", "--memory", "3GiB")
        assert "merge: FITS" in done.output
        assert "of 3 GiB allowed per worker" in done.output
        assert len(done.output.splitlines()) <= 11, "the short plan, and how long it took"
        assert "plan." not in done.output, "who runs a command has no plan"

    def test_the_plan_is_that_of_the_workers_that_merge_would_start(self, tables: tuple[Path, Path]) -> None:
        done = run("estimate", *tables, "--on", "item", "--details")
        assert "4 workers × 1 thread" in done.output
        assert "of 1 GiB allowed per worker" in done.output
        assert "\n  rejected " in done.output
        budget = _document(
            run("estimate", *tables, "--on", "item", "--workers", "3", "--threads", "2", "--json")
        )
        assert budget["plan"]["budget"]["n_workers"] == 3
        assert budget["plan"]["budget"]["threads_per_worker"] == 2

    def test_json(self, tables: tuple[Path, Path]) -> None:
        document = _document(run("estimate", *tables, "--on", "item", "--json"))
        assert document["command"] == "estimate"
        assert document["estimate"]["rows"]["expected"] == 7
        assert document["estimate"]["heaviest"][0]["key"] == 1
        assert "plan" not in document
        with_plan = _document(run("estimate", *tables, "--on", "item", "--memory", "3GiB", "--json"))
        assert with_plan["plan"]["fits"] is True

    def test_a_wrong_column_is_a_message_without_a_traceback(self, tables: tuple[Path, Path]) -> None:
        done = run("estimate", *tables, "--on", "itme")
        assert done.exit_code == 2
        assert done.stderr.startswith("Error: ")
        assert "itme" in done.stderr
        assert "\n\nHint: " in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_path_that_is_not_there_is_a_message(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        done = run("estimate", tables[0], tmp_path / "nowhere", "--on", "item")
        assert done.exit_code == 2
        assert "nowhere" in done.stderr
        assert "Hint: " in done.stderr

    def test_files_that_are_no_parquet(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        path = tmp_path / "bad.parquet"
        path.write_text("not parquet")
        done = run("estimate", tables[0], path, "--on", "item")
        assert done.exit_code == 2, done.output
        assert f"Error: {str(path)!r} cannot be read as parquet: " in done.stderr

    def test_every_command_says_the_same_of_an_empty_directory(
        self, tables: tuple[Path, Path], tmp_path: Path
    ) -> None:
        empty, out = tmp_path / "empty", tmp_path / "out"
        empty.mkdir()
        said = {
            run(*command).stderr
            for command in (
                ("estimate", tables[0], empty, "--on", "item"),
                ("inspect", empty),
                ("merge", empty, tables[1], out, "--on", "item"),
                ("sort", empty, out, "--by", "item"),
            )
        }
        assert len(said) == 1, said
        assert said.pop().startswith(f"Error: There is no parquet file at {str(empty)!r}.\n\nHint: ")


class TestInspect:
    def test_it_adds_up_the_footers(self, tables: tuple[Path, Path]) -> None:
        done = run("inspect", tables[0])
        assert done.exit_code == 0, done.output
        assert "part-0.parquet" in done.output
        assert printed_number(done.output, "rows") == 5
        assert re.search(r"^in memory +80 B, the largest file 80 B$", done.output, re.MULTILINE)

    def test_strings_are_said_to_be_left_out(self, tmp_path: Path) -> None:
        pd.DataFrame({"k": [1], "text": ["abc"]}).to_parquet(tmp_path / "one.parquet", index=False)
        done = run("inspect", tmp_path)
        assert "in memory  more than 8 B" in done.output
        assert "these columns are not counted" in done.output

    def test_many_files_are_not_all_listed(self, tmp_path: Path) -> None:
        for number in range(23):
            pd.DataFrame({"k": [1]}).to_parquet(tmp_path / f"part-{number:02d}.parquet", index=False)
        done = run("inspect", tmp_path)
        assert "... and 3 more" in done.output
        assert printed_number(done.output, "files") == 23
        assert "part-22.parquet" in run("inspect", tmp_path, "--files", "30").output
        assert len(_document(run("inspect", tmp_path, "--json"))["files"]) == 23

    def test_nothing_there_is_a_message(self, tmp_path: Path) -> None:
        done = run("inspect", tmp_path)
        assert done.exit_code == 2
        assert "Error: There is no parquet file at" in done.stderr

    def test_columns(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({LONG: [1.5, None, -2.0], "text": ["b", "a", None], "parts": [[1], [2], None]})
        frame.to_parquet(tmp_path / "one.parquet", index=False)
        done = run("inspect", tmp_path)
        assert LONG in done.stdout  # whole, on one line: nothing is wrapped where nobody looks
        columns = {
            column["name"]: column for column in _document(run("inspect", tmp_path, "--json"))["columns"]
        }
        assert list(columns) == [LONG, "text", "parts"]
        assert {key: columns[LONG][key] for key in ("type", "row_nbytes", "nulls", "minimum", "maximum")} == {
            "type": "double", "row_nbytes": 8, "nulls": 1, "minimum": -2.0, "maximum": 1.5,
        }  # fmt: skip
        assert (columns["text"]["row_nbytes"], columns["text"]["minimum"]) == (None, "a")
        assert (columns["parts"]["nulls"], columns["parts"]["maximum"]) == (None, None)

    def test_names_are_whole_in_a_narrow_terminal(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pd.DataFrame({LONG: [1]}).to_parquet(tmp_path / "one.parquet", index=False)
        monkeypatch.setattr("safeframe.cli.output._ENDLESS", 80)
        text = run("inspect", tmp_path).stdout
        rows = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
        assert LONG in "".join(rows)
        assert max(map(len, text.splitlines())) <= 80

    def test_the_skew_of_a_key(self, tables: tuple[Path, Path]) -> None:
        done = run("inspect", tables[0], "--key", "item")
        assert done.exit_code == 0, done.output
        assert re.search(r"^distinct +exactly 3$", done.stdout, re.MULTILINE)
        assert re.search(r"^skew +1\.8: ", done.stdout, re.MULTILINE)
        key = _document(run("inspect", tables[0], "--key", "item", "--json"))["key"]
        assert key["heaviest"][0] == {"key": 1, "rows": 3}
        assert (key["distinct"]["expected"], key["null_rows"], key["rows"]) == (3, 0, 5)

    def test_a_key_that_is_not_there(self, tables: tuple[Path, Path]) -> None:
        done = run("inspect", tables[0], "--key", "itme")
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Error: {str(tables[0])!r} has no column 'itme'")

    def test_a_key_whose_value_is_not_known(
        self, tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            sys.modules["safeframe.cli.inspect"],  # the package has the command by that name
            "key_statistics",
            lambda frame, on: replace(safeframe.key_statistics(frame, on), labels={}),
        )
        done = run("inspect", tables[0], "--key", "item")
        assert re.search(r"│ \? +│ +3 │", done.stdout)
        assert "?: the value is not known. Keys are counted by a hash" in done.stdout
        key = _document(run("inspect", tables[0], "--key", "item", "--json"))["key"]
        assert key["heaviest"][0] == {"key": None, "rows": 3}


@pytest.mark.parametrize(
    ("error", "before", "running"),
    [
        (errors.MemoryBudgetError("m"), 3, 1),
        (errors.OutputTooLargeError("m"), 3, 1),
        (errors.StagingFullError("m"), 3, 1),
        (errors.ValidationError("m"), 2, 1),
        (errors.KeyNotFoundError("m"), 2, 1),
        (errors.SchemaMismatchError("m"), 2, 1),
        (errors.UnsupportedError("m"), 2, 1),
        (errors.StagingError("m"), 1, 1),
        (errors.RowConservationError("m"), 1, 1),
        (errors.ClusterError("m"), 1, 1),
        (OSError("m"), 1, 1),
        (click.UsageError("m"), 2, 2),
        (click.ClickException("m"), 1, 1),
    ],
)
def test_exit_codes(error: Exception, before: int, running: int) -> None:
    assert Failure(error, running=False).exit_code == before
    assert Failure(error, running=True).exit_code == running
    assert Failure(error, running=False).to_dict()["message"] == "m"


@pytest.mark.parametrize("args", [("sort",), ("inspect",), ("estimate", "a"), ("doctor", "--bogus")])
def test_wrong_arguments_are_json_too(args: tuple[str, ...]) -> None:
    done = run(*args, "--json")
    assert done.exit_code == 2
    assert _document(done)["error"]["exit_code"] == 2
    assert _document(done)["command"] == args[0]
    assert "Usage: " in done.stderr
    assert run(*args).stdout == ""


def test_a_setting_that_is_none(tables: tuple[Path, Path]) -> None:
    with dask.config.set({"safeframe.headrom": 0.5}):
        done = run("estimate", *tables, "--on", "item")
    assert done.exit_code == 2
    assert "Did you mean safeframe.headroom?" in done.stderr


def test_warnings_are_lines_and_entries(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with output("merge", as_json=True):
            warnings.warn("many rows", safeframe.OutputExplosionWarning, stacklevel=1)
            msg = "end"
            raise errors.UnsupportedError(msg)

    with pytest.raises(Failure, match="end"):
        fail()
    printed = capsys.readouterr()
    assert json.loads(printed.out)["warnings"] == ["many rows"]
    assert printed.err == "Warning: many rows\n"


def test_every_exit_code_is_in_the_help() -> None:
    text = run("--help").output
    assert all(f"  {code.value}  {code.meaning}" in text for code in ExitCode)


def test_json_has_no_values_that_json_lacks() -> None:
    assert json.loads(to_json({"a": float("nan"), "b": (float("inf"),), 3: pd.Timestamp("2026")})) == {
        "a": None, "b": [None], "3": "2026-01-01 00:00:00",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_completion(shell: str, word: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0, done.output
    assert word in done.stdout
    assert "_SAFEFRAME_COMPLETE" in done.stdout


def test_the_version_is_the_packages() -> None:
    assert run("--version").output.strip().endswith(safeframe.__version__)


@pytest.mark.parametrize(("command", "strategies"), [("merge", MERGE_STRATEGIES), ("sort", SORT_STRATEGIES)])
def test_the_help_has_the_strategies(command: str, strategies: tuple[str, ...]) -> None:
    assert f"[{'|'.join(strategies)}]" in run(command, "--help").output


@pytest.mark.parametrize("command", list(main.commands))
def test_every_command_has_help(command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"Usage: main {command}" in done.output
    assert ("--json" in done.output) is (command != "completion")
