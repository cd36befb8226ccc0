"""Merges and sorts of the command line that are refused: before a cluster starts, in the words of who typed them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from safeframe.cli.run import Run
from safeframe.cli.wording import Wording
from tests.command_line import run


def _document(done: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


class TestRunsThatAreRefusedBeforeTheyStart:
    """No cluster is started for them."""

    @pytest.fixture(autouse=True)
    def no_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def start(*args: object, **options: object) -> None:
            pytest.fail("a cluster was started")

        monkeypatch.setattr("safeframe.cli.run.LocalCluster", start)

    def test_files_in_the_way(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("the only copy")
        done = run("merge", *tables, tmp_path, "--on", "item", "--json")
        assert done.exit_code == 2
        assert "Give --overwrite" in _document(done)["error"]["message"]

    def test_two_clusters(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        done = run(
            "sort",
            tables[0],
            tmp_path / "out",
            "--by",
            "item",
            "--scheduler",
            "tcp://x:1",
            "--memory",
            "1GiB",
        )
        assert done.exit_code == 2
        assert "--memory cannot be given with --scheduler" in done.stderr

    @pytest.mark.parametrize(
        "args", [("--memory", "much"), ("--max-output", "much"), ("--workers", "0"), ("--how", "x")]
    )
    def test_values(self, tables: tuple[Path, Path], tmp_path: Path, args: tuple[str, str]) -> None:
        done = run("merge", *tables, tmp_path / "out", "--on", "item", *args)
        assert done.exit_code == 2, done.output
        assert args[0] in done.stderr

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("--on", "itme"), "'LEFT' has no column 'itme'; it has 2: 'item', 'count'."),
            (
                ("--on", "itme"),
                "Did you mean 'item'? Check the spelling, or name the keys of each side in --left-on and --right-on.",
            ),
            (("--left-on", "item"), "The right side has no key: --right-on is not set.\n"),
            (("--left-on", "item", "--right-on", "thin"), "'RIGHT' has no column 'thin'"),
            (("--on", "item", "--left-on", "item"), "--on and --left-on exclude each other."),
            (
                ("--how", "cross", "--on", "item"),
                "--how='cross' pairs every row with every row, without --on.",
            ),
            (("--on", "item", "--partition-size", "much"), "--partition-size='much' is not a size."),
            (("--on", "item", "--max-output", "much"), "--max-output='much' is not a size."),
            (("--on", "item", "--strategy", "hash"), "'hash' is not one of 'sorted', 'broadcast'"),
            (("--left-on", "count", "--right-on", "item", "--suffixes", "", ""), "Choose other --suffixes"),
        ],
    )
    def test_columns_and_sizes_in_the_words_of_who_typed(
        self, tables: tuple[Path, Path], tmp_path: Path, args: tuple[str, ...], said: str
    ) -> None:
        done = run("merge", *tables, tmp_path / "out", *args)
        assert done.exit_code == 2, done.output
        for name, path in zip(("LEFT", "RIGHT"), tables, strict=True):
            said = said.replace(name, str(path))
        assert said in done.stderr

    def test_columns_that_a_sort_has_not(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        done = run("sort", tables[0], tmp_path / "out", "--by", "itme", "--json")
        assert done.exit_code == 2, done.output
        message = _document(done)["error"]["message"]
        assert message.startswith(f"{str(tables[0])!r} has no column 'itme'")
        done = run("sort", tables[0], tmp_path / "out", "--by", "item", "--partition-size", "0")
        assert done.stderr.startswith("Error: --partition-size='0' is not more than zero bytes.")
        done = run("sort", tables[0], tmp_path / "out", "--by", "item", "--strategy", "broadcast")
        assert "'broadcast' is not one of 'sorted', 'staged', 'p2p'" in done.stderr

    def test_places_that_cannot_be_written(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "strange.parquet").touch()
        for place, said in (("file", "is a file; a dataset is a directory"), ("other", "not of the dataset")):
            done = run("sort", tables[0], tmp_path / place, "--by", "item", "--overwrite")
            assert done.exit_code == 2, done.output
            assert said in done.stderr

    def test_workers_that_would_not_start(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        done = run("sort", tables[0], tmp_path / "out", "--by", "item", "--memory", "100MiB", "--json")
        assert done.exit_code == 3
        assert _document(done)["error"]["figures"]["allowed_nbytes"] == 100 * 2**20

    def test_a_plan_that_does_not_fit(
        self, tables: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Run, "_cluster", lambda self: nullcontext())
        monkeypatch.setattr("safeframe.sizing.cluster._machine_nbytes", lambda: 100 * 2**20)
        done = run("merge", *tables, tmp_path / "out", "--on", "item", "--json")
        assert done.exit_code == 3, done.output
        document = _document(done)
        assert (document["plan"]["fits"], document["error"]["type"]) == (False, "MemoryBudgetError")
        assert "is projected to need" in done.stderr
        assert not (tmp_path / "out").exists()

    def test_a_dataset_that_is_not_there(self, tmp_path: Path) -> None:
        done = run("sort", tmp_path / "none", tmp_path / "out", "--by", "item")
        assert done.exit_code == 2
        assert "There is no parquet file at" in done.stderr

    def test_a_scheduler_that_is_not_there(
        self, tables: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("safeframe.cli.run._CONNECT_SECONDS", 0.2)
        done = run("sort", tables[0], tmp_path / "out", "--by", "item", "--scheduler", "tcp://127.0.0.1:1")
        assert done.exit_code == 1
        assert "There is no scheduler at 'tcp://127.0.0.1:1'" in done.stderr
        assert "Hint: Check the address" in done.stderr


def test_arguments_are_said_as_options() -> None:
    said = Wording(
        options={
            "on": "--on",
            "left_on": "--left-on",
            "overwrite": "--overwrite",
            "staging": "--local-directory",
        },
        flags=frozenset({"overwrite"}),
        frames={"left": "l", "ddf": "it"},
    )
    assert said("Pass overwrite=True.") == "Pass --overwrite."
    assert said("on= and left_on= exclude each other.") == "--on and --left-on exclude each other."
    assert said("how='x' and on='k'.") == "how='x' and --on='k'."
    assert said("more room in staging=.") == "more room in --local-directory."
    assert said("A key of left has a name. left has none; the left side is") == (
        "A key of 'l' has a name. left has none; the left side is"
    )
    assert (
        said("No column is named in ddf. ddf.reset_index()")
        == "No column is named in 'it'. ddf.reset_index()"
    )
