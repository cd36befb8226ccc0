"""Commands that start a cluster, from arguments to output."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe import LocalCluster
from tests.command_line import printed_number, run


class TestDemo:
    def test_it_ends_with_the_summary_and_a_result_of_the_predicted_rows(self, tmp_path: Path) -> None:
        directory = tmp_path / "demo"
        done = run(
            "demo", "--scale", "0.0002", "--directory", directory, "--workers", "2", "--memory", "1GiB"
        )
        assert done.exit_code == 0, done.output
        assert "The whole question, predicted in" in done.output
        assert re.search(r"rows +exactly (99|100),\d{3},\d{3},\d{3}, ", done.output)
        assert "99,999,351,788 rows, 5.82 TiB in memory." in done.output
        assert "TB" not in done.output, "one size has one unit"
        assert "plan." not in done.output, "who runs a command has no plan"
        assert done.output.count("merge: FITS") == 2
        assert re.search(r"^memory +peak .* projected and 1 GiB allowed: kept$", done.output, re.MULTILINE)
        assert printed_number(done.output, "rows in") == 22_000
        result = pd.read_parquet(directory / "result")
        assert printed_number(done.output, "rows out") == len(result)
        assert re.search(rf"^result +{re.escape(str(directory / 'result'))}$", done.output, re.MULTILINE)
        assert {path.name for path in directory.iterdir()} <= {
            ".safeframe-demo",
            "result",
            "dask-scratch-space",
        }
        assert not list(directory.rglob("*.staged"))

    def test_a_directory_of_someone_elses_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("the only copy")
        done = run("demo", "--directory", tmp_path)
        assert done.exit_code == 2
        assert "did not make" in done.output
        assert "Hint: Name an empty or a new directory" in done.output
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    @pytest.mark.parametrize("args", [("--scale", "2"), ("--scale", "0"), ("--workers", "0")])
    def test_arguments_out_of_range_are_refused_before_anything_is_made(
        self, tmp_path: Path, args: tuple[str, str]
    ) -> None:
        assert run("demo", "--directory", tmp_path / "demo", *args).exit_code == 2
        assert not (tmp_path / "demo").exists()

    def test_a_size_that_is_none_is_a_message(self, tmp_path: Path) -> None:
        done = run("demo", "--directory", tmp_path / "demo", "--memory", "a lot")
        assert done.exit_code == 2
        assert "Error: --memory='a lot' is not a size." in done.output
        assert "Traceback" not in done.output


class TestMerge:
    def test_from_files_to_files(self, tables: tuple[Path, Path], tmp_path: Path) -> None:
        out = tmp_path / "out"
        done = run("merge", *tables, out, "--on", "item", "--how", "left", "--workers", "1")
        assert done.exit_code == 0, done.output
        assert done.stdout.index("merge: FITS") < done.stdout.index("\nwritten ")
        assert re.search(r"^memory +peak .* projected per worker: kept$", done.stdout, re.MULTILINE)
        left, right = (pd.read_parquet(path) for path in tables)
        expected = left.merge(right, on="item", how="left")
        took = r"^time +[\d.]+ s: [\d.]+ s to start, [\d.]+ s to plan, [\d.]+ s to (stage and )?write$"
        assert re.search(took, done.stdout, re.MULTILINE), done.stdout
        assert printed_number(done.stdout, "rows") == len(expected)
        assert printed_number(done.stdout, "files") == len(list(out.glob("*.parquet")))
        found = pd.read_parquet(out)[list(expected.columns)]
        by = list(expected.columns)
        pd.testing.assert_frame_equal(
            found.sort_values(by, ignore_index=True), expected.sort_values(by, ignore_index=True)
        )

    @pytest.mark.parametrize("nested", [False, True])
    def test_files_are_as_many_as_the_plan_says(self, tmp_path: Path, nested: bool) -> None:
        # Few keys: the compact encoding pays, and cannot have every type.
        left = pd.DataFrame({"k": np.arange(40_000) % 20, "x": np.arange(40_000.0)})
        left.assign(n=[[1]] * 40_000 if nested else 1).to_parquet(tmp_path / "left.parquet")
        right = pd.DataFrame({"k": np.arange(2_000) % 20, "y": np.arange(2_000.0)})
        right.to_parquet(tmp_path / "right.parquet")
        sides, out = (tmp_path / "left.parquet", tmp_path / "right.parquet"), tmp_path / "out"
        options = ("--on", "k", "--workers", "1", "--partition-size", "16MiB")
        done = run("merge", *sides, out, *options)
        assert done.exit_code == 0, done.output
        planned, written = re.findall(r"^ *files +([\d,]*\d)", done.stdout, re.MULTILINE)
        assert planned == written == str(len(list(out.glob("*.parquet"))))
        assert ("compact encoding" in done.stdout) is not nested
        assert "plan." not in done.stdout, "who runs a command has no plan"
        # Nothing is written, and nothing refused, where one only asks.
        again = run("merge", *sides, out, *options, "--dry-run", "--json")
        assert again.exit_code == 0, again.output
        assert json.loads(again.stdout)["plan"]["output_partitions"] == int(planned)

    def test_what_a_dry_run_says_and_a_result_too_large(
        self, tables: tuple[Path, Path], tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        done = run("merge", *tables, out, "--on", "item", "--workers", "1", "--dry-run", "--json")
        document = json.loads(done.stdout)
        assert (done.exit_code, document["plan"]["fits"], "result" in document) == (0, True, False)
        done = run("merge", *tables, out, "--on", "item", "--workers", "1", "--max-output", "9B", "--json")
        document = json.loads(done.stdout)
        assert done.exit_code == 3
        assert document["error"]["type"] == "OutputTooLargeError"
        assert document["plan"]["recipe"] == "merge"
        assert done.stderr.startswith("Error: ")
        assert "--max-output allows 9 B" in done.stderr
        done = run("merge", *tables, out, "--on", "item", "--workers", "1", "--max-output", "9B")
        assert done.stdout.startswith("merge: REFUSED\n")
        assert "FITS" not in done.stdout
        assert not out.exists()


class TestSort:
    def test_in_place_and_as_json(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        data.mkdir()
        times = pd.to_datetime(["2026-01-02", None, "2026-01-03", "2026-01-01"])
        frame = pd.DataFrame(
            {"ts": times, "day": [date(2026, 1, day) for day in (2, 9, 3, 1)], "n": [[1], [], None, [2, 3]]}
        )
        frame.set_index(pd.Index(list("abcd"), name="label")).to_parquet(data / "part.0.parquet")
        before = pq.read_schema(data / "part.0.parquet")
        command = ("sort", data, data, "--by", "ts", "--descending", "--workers", "1")
        refused = run(*command)
        assert refused.exit_code == 2
        assert "--overwrite" in refused.stderr
        done = run(*command, "--overwrite", "--json")
        assert done.exit_code == 0, done.output
        result = json.loads(done.stdout)["result"]
        assert (result["rows"], result["path"]) == (4, str(data))
        assert result["files"] == len(list(data.glob("*.parquet")))
        assert 0 < result["peak_worker_nbytes"] <= result["projected_worker_nbytes"]
        written = pq.read_table(data)
        assert written["label"].to_pylist() == ["c", "a", "d", "b"]
        assert written["n"].to_pylist() == [None, [1], [2, 3], []]
        assert {field.name: field.type for field in written.schema} == {
            field.name: field.type for field in before
        }

    def test_a_failure_while_it_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pd.DataFrame({"k": [2, 1]}).to_parquet(tmp_path / "in.parquet")

        def fail(frame: dd.DataFrame, *args: object, **options: object) -> dd.DataFrame:
            if options.get("compute") is False:  # asked for its plan
                return frame
            msg = "Another process has written there."
            raise safeframe.ValidationError(msg)

        monkeypatch.setattr("safeframe.cli.run.to_parquet", fail)
        done = run("sort", tmp_path / "in.parquet", tmp_path / "out", "--by", "k", "--workers", "1", "--json")
        assert done.exit_code == 1
        assert json.loads(done.stdout)["error"] == {
            "type": "ValidationError", "message": "Another process has written there.", "hint": "", "figures": {}, "exit_code": 1,
        }  # fmt: skip

    def test_a_task_that_fails_is_told_once(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Workers do not log it next to the error that ends the command."""
        data = tmp_path / "in.parquet"
        pd.DataFrame({"k": range(50_000), "s": map(str, range(50_000))}).to_parquet(data, index=False)
        chunk = pq.read_metadata(data).row_group(0).column(1)
        content = bytearray(data.read_bytes())
        begin = (chunk.dictionary_page_offset or chunk.data_page_offset) + 5000
        content[begin : begin + 4000] = np.random.default_rng(1).bytes(4000)
        data.write_bytes(content)
        done = run("sort", data, tmp_path / "out", "--by", "k", "--workers", "1")
        assert done.exit_code == 1, done.output
        assert re.fullmatch(r"Error: .*snappy.*\n", done.stderr), done.stderr
        printed = capfd.readouterr()
        assert "Compute Failed" not in printed.out + printed.err

    def test_a_cluster_that_is_there(self, tmp_path: Path) -> None:
        pd.DataFrame({"k": [2, 1]}).to_parquet(tmp_path / "in.parquet")
        with LocalCluster(n_workers=1, memory_limit="1GiB", dashboard_address=None) as cluster:
            address = cluster.scheduler_address
            done = run("sort", tmp_path / "in.parquet", tmp_path / "out", "--by", "k", "--scheduler", address)
        assert done.exit_code == 0, done.output
        # Of a cluster of its own each worker would have what --memory says.
        assert "of 1 GiB allowed per worker" in done.stdout
        assert pd.read_parquet(tmp_path / "out")["k"].tolist() == [1, 2]
