from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import dask
import numpy as np
import pandas as pd
import pytest

from benchmarks import engines_frames, run
from benchmarks.check_order import check_ordered_files, check_partitions
from benchmarks.results import Run, write_results
from benchmarks.situations import CLUSTER_ENGINES, FRAMES, SITUATIONS, FrameDataset
from benchmarks.totals import Totals

SMALL = 0.0005


def small(name: str, tmp_path, files: int = 4) -> FrameDataset:
    situation = FRAMES[name]
    return replace(situation, table=replace(situation.table, files=files)).scaled(SMALL).materialise(tmp_path)


def whole(dataset: FrameDataset) -> pd.DataFrame:
    situation = dataset.situation
    return pd.concat([situation.frame(number) for number in range(situation.table.files)])


def ordered_parts(dataset: FrameDataset, n: int = 3) -> tuple[list[pd.DataFrame], list[int]]:
    key = dataset.situation.key
    frame = whole(dataset).sort_values(key, ignore_index=True)
    divisions = [int(frame[key].quantile(i / n, interpolation="lower")) for i in range(n + 1)]
    places = np.searchsorted(divisions[1:-1], frame[key], side="right")
    return [part for _, part in frame.groupby(places)], divisions


def totals(dataset: FrameDataset, parts: list[pd.DataFrame]) -> list[Totals]:
    return [
        Totals.of({name: part[name].to_numpy() for name in part}, dataset.situation.key) for part in parts
    ]


class TestSituations:
    def test_full_sizes_are_those_of_the_reports(self):
        sizes = {name: FRAMES[name].nbytes for name in FRAMES}
        assert sizes["o1_64"] == 64 * 157_500 * 80
        assert sizes["o1_2048"] == 2048 * 157_500 * 80
        assert sizes["sort_parquet"] == sizes["o1_512"]
        assert sizes["q1"] == 100_000_000 * 24

    def test_scaling_keeps_parts_and_keys(self):
        full, scaled = FRAMES["o1_256"], FRAMES["o1_256"].scaled(0.01)
        assert (scaled.table.files, scaled.table.keys) == (full.table.files, full.table.keys)
        assert scaled.table.rows_per_file == 1575

    def test_only_clusters_order_what_workers_make(self):
        assert FRAMES["o1_64"].engines == CLUSTER_ENGINES
        assert "duckdb" in FRAMES["sort_parquet"].engines

    @pytest.mark.parametrize("name", ["o1_64", "sort_parquet", "q1"])
    def test_truth_is_what_pandas_finds(self, name, tmp_path):
        dataset = small(name, tmp_path)
        frame = whole(dataset)
        if dataset.situation.writes:
            pd.testing.assert_frame_equal(
                pd.read_parquet(dataset.files), frame.reset_index(drop=True), check_like=True
            )
        truth, key = dataset.truth, dataset.situation.key
        assert truth.rows == len(frame) == dataset.situation.table.rows
        assert truth.sums == pytest.approx(frame.sum().to_dict())
        products = frame.drop(columns=key).mul(frame[key], axis=0).sum().to_dict()
        assert truth.products == pytest.approx(products)
        assert (truth.low, truth.high) == (frame[key].min(), frame[key].max())

    def test_values_are_those_of_the_reports(self, tmp_path):
        report, question = whole(small("o1_64", tmp_path)), whole(small("q1", tmp_path))
        assert list(report) == [f"c{i}" for i in range(10)]
        assert report.to_numpy().min() >= 0
        assert 2**19 < report.to_numpy().max() < 2**20
        assert question["col1"].between(90_000, 99_999).all()
        assert question["col2"].between(101, 19_999).all()

    def test_q1_is_the_left_table_of_the_question(self, tmp_path):
        frame = small("q1", tmp_path)
        join = SITUATIONS["q0"]
        left = replace(
            join, left=replace(frame.situation.table), right=replace(join.right, files=1, rows_per_file=1)
        ).materialise(tmp_path / "q0")
        pd.testing.assert_frame_equal(pd.read_parquet(left.left), pd.read_parquet(frame.files))


class TestCheck:
    @pytest.fixture
    def dataset(self, tmp_path) -> FrameDataset:
        return small("q1", tmp_path)

    def test_accepts_what_is_in_order(self, dataset):
        parts, divisions = ordered_parts(dataset)
        check = check_partitions(dataset, totals(dataset, parts), tuple(divisions))
        assert check.correct
        assert (check.divisions, check.shortcomings, check.files) == ("right", (), 3)

    def test_rejects_a_lost_row(self, dataset):
        parts, divisions = ordered_parts(dataset)
        parts[1] = parts[1].iloc[1:]
        check = check_partitions(dataset, totals(dataset, parts), tuple(divisions))
        assert not check.correct
        assert check.rows == check.expected_rows - 1

    def test_rejects_a_row_twice_in_place_of_another(self, dataset):
        parts, divisions = ordered_parts(dataset)
        parts[1] = pd.concat([parts[1].iloc[:1], parts[1].iloc[:1], parts[1].iloc[2:]])
        check = check_partitions(dataset, totals(dataset, parts), tuple(divisions))
        assert check.rows == check.expected_rows
        assert not check.correct

    def test_rejects_partitions_in_another_order(self, dataset):
        parts, _ = ordered_parts(dataset)
        check = check_partitions(dataset, totals(dataset, [parts[0], parts[2], parts[1]]), ())
        assert (check.unordered, check.correct) == (1, False)

    def test_rejects_disorder_within(self, dataset):
        parts, divisions = ordered_parts(dataset)
        parts[2] = parts[2].iloc[::-1]
        assert check_partitions(dataset, totals(dataset, parts), tuple(divisions)).unordered == 1

    @pytest.mark.parametrize("change", [(0, 1), (1, 3), (1, -3), (-1, -1)])
    def test_rejects_divisions_that_are_off(self, dataset, change):
        parts, divisions = ordered_parts(dataset)
        place, by = change
        divisions[place] += by
        check = check_partitions(dataset, totals(dataset, parts), tuple(divisions))
        assert (check.divisions, check.correct) == ("wrong", False)

    def test_rejects_divisions_of_another_number(self, dataset):
        parts, divisions = ordered_parts(dataset)
        assert check_partitions(dataset, totals(dataset, parts), tuple(divisions[1:])).divisions == "wrong"

    def test_unknown_divisions_and_imbalance_fall_short(self, dataset):
        parts, _ = ordered_parts(dataset)
        check = check_partitions(dataset, totals(dataset, [pd.concat(parts[:2]), parts[2]]), None)
        assert check.correct
        assert check.shortcomings == ("divisions unknown", "largest partition 1.33 × the mean")

    def test_an_engine_without_partitions_owes_no_balance(self, dataset):
        check = check_partitions(dataset, totals(dataset, ordered_parts(dataset)[0]), ())
        assert (check.divisions, check.shortcomings) == ("none", ())

    def test_empty_partitions_are_no_disorder(self, dataset):
        parts, divisions = ordered_parts(dataset)
        parts.insert(1, parts[0].iloc[:0])
        divisions.insert(1, divisions[1])
        assert check_partitions(dataset, totals(dataset, parts), tuple(divisions)).correct

    def test_files_are_read_in_the_order_of_their_numbers(self, dataset, tmp_path):
        parts, divisions = ordered_parts(dataset, n=12)
        output = tmp_path / "output"
        output.mkdir()
        for number, part in enumerate(parts):
            part.set_index("col1").to_parquet(output / f"part.{number}.parquet")
        check = check_ordered_files(dataset, output, tuple(divisions))
        assert check.correct
        assert (check.files, check.divisions) == (12, "right")
        assert check.disk_nbytes > 1000

    def test_nothing_written_is_wrong(self, dataset, tmp_path):
        (tmp_path / "output").mkdir()
        check = check_ordered_files(dataset, tmp_path / "output", ())
        assert (check.rows, check.correct) == (0, False)


class TestEngines:
    @pytest.fixture(autouse=True)
    def one_thread(self):
        with dask.config.set(scheduler="synchronous"):
            yield

    @pytest.fixture
    def request_(self, tmp_path):
        (tmp_path / "output").mkdir()
        return SimpleNamespace(output=str(tmp_path / "output"), scratch=str(tmp_path), peer_memory="1GB")

    @pytest.mark.parametrize("engine", CLUSTER_ENGINES)
    def test_order(self, engine, request_, tmp_path):
        dataset = small("o1_64", tmp_path)
        answer = engines_frames.FRAME_WORK[engine, "order"](request_, dataset, None)
        check = run._check(dataset, answer, tmp_path, tmp_path)
        assert check.correct, check
        assert check.divisions == "right"
        assert "partitions" not in answer

    @pytest.mark.parametrize("engine", ["safeframe", "dask", "duckdb", "polars"])
    @pytest.mark.parametrize("name", ["sort_parquet", "q1"])
    def test_files(self, engine, name, request_, tmp_path):
        if engine not in CLUSTER_ENGINES:
            pytest.importorskip(engine)
        dataset = small(name, tmp_path)
        answer = engines_frames.FRAME_WORK[engine, dataset.situation.task](request_, dataset, None)
        check = run._check(dataset, answer, tmp_path / "output", tmp_path)
        assert check.correct, check
        assert check.rows == dataset.truth.rows


class TestRunner:
    def test_order_end_to_end_with_peers_left_out(self, tmp_path, monkeypatch):
        started = []
        run_one = Run(engine="dask", outcome="finished", seconds=2.0)

        def fake(engine, dataset, options, hierarchy):
            started.append((engine, options.timeout[engine]))
            return replace(run_one, engine=engine)

        monkeypatch.setattr(run, "_run", fake)
        monkeypatch.setattr(run, "write_results", lambda *_: [])
        arguments = ["o1_64", "--scale", "0.0001", "--data", str(tmp_path), "--timeout", "100,dask=900"]
        assert run.main(arguments) == 0
        assert started == [("safeframe", 100), ("dask", 900)]

    @pytest.mark.parametrize("text", ["100,200", "100,spark=3", "soon"])
    def test_timeouts_that_mean_nothing_are_refused(self, text, tmp_path):
        with pytest.raises(SystemExit):
            run._parser().parse_args(["q1", "--data", str(tmp_path), "--timeout", text])

    def test_what_falls_short_is_not_finished(self, tmp_path):
        dataset = small("q1", tmp_path)
        parts, divisions = ordered_parts(dataset)
        quiet = {"oom_kills": 0, "restarts": 0, "reruns": 0}

        def outcome(divisions, **figures):
            check = check_partitions(dataset, totals(dataset, parts), divisions)
            return run._judge("dask", dataset, {"seconds": 1.0}, {**quiet, **figures}, check, 1).outcome

        assert outcome(tuple(divisions)) == "finished"
        assert outcome(None) == "not as asked: divisions unknown"
        assert outcome(None, restarts=1) == "disturbed"
        assert outcome((0, 1, 2, 3)) == "wrong"


def test_sizes_of_a_family_share_table_and_picture(tmp_path):
    pytest.importorskip("matplotlib")
    for n in (128, 64, 2048):
        situation = FRAMES[f"o1_{n}"]
        facts = {
            "situation": situation.name, "title": situation.title, "family": "o1", "nbytes": situation.nbytes,
            "scale": 1.0, "expected_rows": n, "limits": "l", "machine": "m", "date": "d", "versions": "v",
        }  # fmt: skip
        dead = Run(engine="dask", outcome="KilledWorker", restarts=3)
        runs = [Run(engine="safeframe", outcome="finished", seconds=situation.nbytes / 1e9 * 4), dead]
        write_results(tmp_path, facts, runs)
    table = (tmp_path / "table.md").read_text()
    assert table.count("## ") == 1
    lines = [line for line in table.splitlines() if "| safeframe |" in line]
    assert [line.split(" | ")[0] for line in lines] == ["| o1_64", "| o1_128", "| o1_2048"]
    assert all("| 4.00 |" in line for line in lines)
    assert (tmp_path / "o1.png").stat().st_size > 1000
    assert not (tmp_path / "o1_64.png").exists()


def test_totals_pass_through_json(tmp_path):
    first = small("o1_64", tmp_path)
    again = first.situation.materialise(tmp_path)
    assert asdict(again.truth) == asdict(first.truth)
    assert first.truth.sums["c1"] > 0
