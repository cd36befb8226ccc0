from __future__ import annotations

import json
from dataclasses import asdict, replace

import dask
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks import ordinary
from benchmarks.check import check_output
from benchmarks.check_hashes import check_tpch
from benchmarks.check_order import check_ordered_files
from benchmarks.ordinary_check import find_fault
from benchmarks.ordinary_rows import ROWS, _fewer_files, _fewer_parts, start_recipe
from benchmarks.ordinary_table import Result, table_text
from benchmarks.situations import ORDINARY_FRAMES, ORDINARY_JOINS, TPCH, Dataset, Situation, TpchSituation
from benchmarks.situations.tpch import find_generator

needs_generator = pytest.mark.skipif(find_generator() is None, reason="tpchgen-cli is not installed")


@pytest.fixture(autouse=True)
def _in_this_process():
    with dask.config.set(scheduler="sync"):
        yield


def small_strings() -> Situation:
    situation = ORDINARY_JOINS["strings"]
    return replace(
        situation,
        left=replace(situation.left, files=3, rows_per_file=2_000, keys=1_000),
        right=replace(situation.right, files=2, rows_per_file=450, keys=900),
    )


@pytest.fixture
def strings(tmp_path) -> Dataset:
    return small_strings().materialise(tmp_path / "data")


def written(frame: pd.DataFrame, tmp_path, **options):
    output = tmp_path / "output"
    output.mkdir(exist_ok=True)
    half = len(frame) // 2
    frame.iloc[:half].to_parquet(output / "part.0.parquet", **options)
    frame.iloc[half:].to_parquet(output / "part.1.parquet", **options)
    return output


class TestSituations:
    def test_full_sizes_are_those_that_were_requested(self):
        strings = ORDINARY_JOINS["strings"]
        assert (strings.left.rows, strings.left.files) == (20_000_000, 20)
        assert (strings.right.rows, strings.right.files) == (2_000_000, 4)
        for number, rows in enumerate([10, 10_000, 10_000, 10_000, 10_000_000, 10_000_000], start=1):
            task = ORDINARY_JOINS[f"j1_q{number}"]
            assert (task.left.rows, task.right.rows, task.family) == (10_000_000, rows, "j1")
        assert [ORDINARY_JOINS[f"j1_q{number}"].how for number in range(1, 7)] == [
            "inner", "inner", "left", "inner", "inner", "inner",
        ]  # fmt: skip

    def test_nine_tenths_of_the_ids_match(self, strings):
        assert strings.truth.matched_rows / strings.truth.rows == pytest.approx(0.9, abs=0.03)
        ids = pd.read_parquet(strings.left)["id"]
        assert (ids.str.len() == 16).all()
        assert ids.str.fullmatch("[0-9a-f]+").all()

    def test_ids_as_strings_are_those_as_numbers(self, tmp_path):
        data = ORDINARY_JOINS["j1_q5"].scaled(0.0005).materialise(tmp_path)
        for side, prefix in ((data.left, ""), (data.right, "r_")):
            frame = pd.read_parquet(side)
            for number, text in (("id1", "id4"), ("id2", "id5"), ("id3", "id6")):
                numbers = frame["id3" if number == "id3" else prefix + number]
                assert ("id" + numbers.astype(str) == frame[prefix + text]).all()

    def test_a_tenth_of_the_keys_is_on_either_side_alone(self, tmp_path):
        data = ORDINARY_JOINS["j1_q2"].scaled(0.1).materialise(tmp_path)
        left, right = (set(pd.read_parquet(side)["id2"]) for side in (data.left, data.right))
        assert len(left - right) == len(right - left) == 100
        assert len(left & right) == 900

    def test_wide_has_200_columns_in_one_row_group_a_file(self, tmp_path):
        data = ORDINARY_FRAMES["wide_sort"].scaled(0.002).materialise(tmp_path)
        (file, *_) = sorted(data.files.glob("*.parquet"))
        opened = pq.ParquetFile(file)
        assert (opened.metadata.num_columns, opened.metadata.num_row_groups) == (200, 1)
        kinds = opened.schema_arrow.types
        assert sum(str(kind) in ("double", "string") for kind in kinds) >= 160
        full_rows = ORDINARY_FRAMES["wide_sort"].table.rows_per_file
        nbytes = opened.read().nbytes / opened.metadata.num_rows * full_rows
        assert nbytes == pytest.approx(2**30, rel=0.05)

    def test_ordered_wide_rows_are_read_back(self, tmp_path):
        data = ORDINARY_FRAMES["wide_sort"].scaled(0.0002).materialise(tmp_path / "data")
        frame = pd.read_parquet(data.files).sort_values("k")
        output = written(frame, tmp_path)
        assert check_ordered_files(data, output, ()).correct
        frame.iloc[0, frame.columns.get_loc("t003")] = "id1"
        assert not check_ordered_files(data, written(frame, tmp_path), ()).correct

    @pytest.mark.parametrize("how", ["left", "inner", "outer"])
    def test_checks_know_every_join(self, strings, tmp_path, how):
        situation = replace(strings.situation, how=how)
        # Some right ids are on the right alone.
        situation = replace(situation, left=replace(situation.left, keys=700))
        data = situation.materialise(tmp_path / how)
        result = pd.read_parquet(data.left).merge(pd.read_parquet(data.right), on="id", how=how)
        assert data.truth.rows == len(result)
        assert check_output(data, written(result, tmp_path), scratch=tmp_path).correct
        result.loc[result["y"].notna().idxmax(), "y"] += 1
        assert check_output(data, written(result, tmp_path), scratch=tmp_path).wrong_keys == 1


def small_tpch(name: str) -> TpchSituation:
    situation = TPCH[name]
    parts = (("lineitem", 4), ("orders", 2), ("partsupp", 1))
    return replace(situation, tables=replace(situation.tables, factor=0.003, parts=parts))


@needs_generator
class TestTpch:
    @pytest.mark.parametrize("name", sorted(TPCH))
    def test_the_check_accepts_the_join_and_finds_another_value(self, name, tmp_path):
        data = small_tpch(name).materialise(tmp_path / "data")
        situation = data.situation
        left, right = (pd.read_parquet(side) for side in (data.left, data.right))
        result = left.merge(
            right, left_on=list(situation.left_on), right_on=list(situation.right_on), how=situation.how
        )
        assert len(result) == data.truth.rows
        assert check_tpch(data, written(result, tmp_path, index=False), scratch=tmp_path).correct
        result.loc[result["l_orderkey"] == 1, "l_comment"] = "other"
        wrong = check_tpch(data, written(result, tmp_path, index=False), scratch=tmp_path).wrong_keys
        keys = list(situation.left_on)
        assert wrong == len(result.loc[result["l_comment"] == "other", keys].drop_duplicates()) > 0

    def test_both_joins_have_one_directory_of_files(self, tmp_path):
        made = [small_tpch(name).materialise(tmp_path) for name in sorted(TPCH)]
        assert len({data.directory for data in made}) == 1
        assert len(list(made[0].left.glob("*.parquet"))) == 4

    def test_fewer_files_are_as_large(self, tmp_path):
        half = _fewer_parts(small_tpch("tpch_sf3_orders"), 0.5).materialise(tmp_path)
        assert len(list(half.left.glob("*.parquet"))) == 2
        assert half.truth.rows == pytest.approx(9_000, rel=0.05)  # of 6 M at a factor of 1


class TestOrdinary:
    @pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("strings.")])
    def test_what_recipes_make_is_right(self, strings, tmp_path, name):
        row = ROWS[name]
        made = start_recipe(row, strings)
        output = tmp_path / "output"
        safeframe.to_parquet(made, output, write_index=row.recipe == "set_index")
        assert find_fault(row, strings, output, tmp_path) == ""

    @pytest.mark.parametrize(
        ("name", "fault"),
        [
            ("strings.merge_left", "1 wrong keys"),
            ("strings.sort_values", "other values"),
            ("strings.lag", "other values"),
            ("strings.shuffle", "other values"),
        ],
    )
    def test_another_value_is_found(self, strings, tmp_path, name, fault):
        frame = pd.read_parquet(strings.left).sort_values("id", ignore_index=True)
        if "merge" in name:
            frame = frame.merge(pd.read_parquet(strings.right), on="id", how="left")
        if "lag" in name:
            by_x = frame.sort_values("x")
            frame["lagged"] = by_x.groupby("id")["x"].shift()
            assert find_fault(ROWS[name], strings, written(frame, tmp_path), tmp_path) == ""
        frame.loc[7, "x"] += 1
        assert find_fault(ROWS[name], strings, written(frame, tmp_path), tmp_path) == fault

    def test_values_that_changed_rows_are_found(self, strings, tmp_path):
        frame = pd.read_parquet(strings.left).sort_values("id", ignore_index=True)
        frame["x"] = np.roll(frame["x"], 1)
        fault = find_fault(ROWS["strings.rebalance"], strings, written(frame, tmp_path), tmp_path)
        assert fault == "other values"

    def test_disorder_and_scattered_keys_are_found(self, strings, tmp_path):
        frame = pd.read_parquet(strings.left)
        output = written(frame, tmp_path)
        assert find_fault(ROWS["strings.sort_values"], strings, output, tmp_path) == "not in order"
        assert "in several partitions" in find_fault(ROWS["strings.shuffle"], strings, output, tmp_path)

    def test_a_share_of_the_files_keeps_their_size_and_the_matches(self):
        full = ORDINARY_JOINS["strings"]
        part = _fewer_files(full, 0.25)
        assert (part.left.files, part.left.rows_per_file) == (5, full.left.rows_per_file)
        assert (part.right.files, part.right.keys / part.left.keys) == (1, pytest.approx(0.9))
        medium = _fewer_files(ORDINARY_JOINS["j1_q2"], 0.25)
        assert (medium.left.files, medium.left.keys, medium.right.rows) == (2, 10_000, 10_000)

    def test_a_rows_work_is_measured(self, tmp_path, monkeypatch):
        monkeypatch.setitem(ORDINARY_JOINS, "strings", small_strings())
        request = {
            "row": "strings.shuffle",
            "scale": "1",
            "data": str(tmp_path),
            "output": str(tmp_path / "o"),
        }
        answer = ordinary._work(request)
        assert "error" not in answer, answer
        result = Result(row="strings.shuffle", place="alone", scale=1.0, commit="", at="", load=0.0, **answer)
        assert result.seconds >= result.planning_seconds
        assert result.peak_nbytes > 0
        assert result.projected_nbytes == result.ran_projected_nbytes <= result.allowed_nbytes

    def test_an_error_is_a_rows_result(self, tmp_path, monkeypatch):
        monkeypatch.setitem(ORDINARY_JOINS, "strings", small_strings())
        monkeypatch.setitem(ROWS, "strings.shuffle", replace(ROWS["strings.shuffle"], by=("nothing",)))
        request = {
            "row": "strings.shuffle",
            "scale": "1",
            "data": str(tmp_path),
            "output": str(tmp_path / "o"),
        }
        assert "KeyNotFoundError" in ordinary._work(request)["error"]


class TestVerdict:
    GOOD = Result(
        row="strings.lag", place="4x1", scale=1.0, commit="abc", at="12:00", load=0.5, seconds=3.0,
        planning_seconds=1.0, peak_nbytes=300 << 20, projected_nbytes=400 << 20, allowed_nbytes=598 << 20,
    )  # fmt: skip

    def test_what_a_plan_promised_is_kept(self):
        assert self.GOOD.kept

    @pytest.mark.parametrize(
        ("change", "failing"),
        [
            ({"peak_nbytes": 401 << 20}, "above projected"),
            ({"projected_nbytes": 599 << 20}, "projected above allowed"),
            ({"peak_nbytes": 199 << 20}, "loose"),
            ({"pauses": 2}, "2 pauses"),
            ({"restarts": 1}, "1 restarts"),
            ({"fault": "other values"}, "WRONG: other values"),
            ({"error": "MemoryBudgetError: x"}, "MemoryBudgetError: x"),
        ],
    )
    def test_what_it_does_not_keep_is_said(self, change, failing):
        bad = replace(self.GOOD, **change)
        assert bad.failings == (failing,)
        assert f"**{failing}**" in table_text([bad])

    def test_what_was_killed_is_said_of_an_error_too(self):
        assert replace(self.GOOD, error="KilledWorker: x", kills=3).failings == ("KilledWorker: x", "3 kills")

    def test_the_plan_that_ran_counts(self):
        assert not replace(self.GOOD, ran_projected_nbytes=200 << 20).kept

    def test_results_are_added_to_those_of_before(self, tmp_path):
        path = tmp_path / "results.json"
        assert ordinary._known(path) == {}
        path.write_text(json.dumps({"strings.lag 4x1": asdict(self.GOOD)}))
        assert ordinary._known(path) == {"strings.lag 4x1": self.GOOD}
