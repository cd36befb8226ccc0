from __future__ import annotations

import json
import signal
import threading
from dataclasses import replace

import pytest

from benchmarks import engines, run
from benchmarks.check import Check
from benchmarks.results import Run, Summary, summarise, write_results
from benchmarks.situations import SITUATIONS


@pytest.fixture
def dataset(tmp_path):
    return SITUATIONS["q3"].scaled(0.0001).materialise(tmp_path / "data")


@pytest.fixture
def alarm():
    before = signal.signal(signal.SIGALRM, engines._out_of_time)
    yield
    signal.signal(signal.SIGALRM, before)


class TestSummary:
    def test_seconds_are_medians_and_peaks_the_worst(self):
        runs = [
            Run(engine="a", outcome="finished", seconds=seconds, resident_peak_nbytes=peak)
            for seconds, peak in ((1.0, 10), (9.0, 30), (2.0, 20))
        ]
        (summary,) = summarise(runs)
        assert (summary.seconds, summary.resident_peak_nbytes, summary.runs) == (2.0, 30, 3)

    def test_one_bad_round_is_the_outcome(self):
        good = Run(engine="a", outcome="finished", seconds=1.0)
        (summary,) = summarise([good, replace(good, outcome="disturbed", restarts=2), good])
        assert (summary.outcome, summary.restarts) == ("disturbed", 2)

    def test_engines_keep_their_order(self):
        runs = [Run(engine=engine, outcome="finished") for engine in ("b", "a", "b")]
        assert [(s.engine, s.runs) for s in summarise(runs)] == [("b", 2), ("a", 1)]


class TestJudge:
    QUIET = {"oom_kills": 0, "restarts": 0, "reruns": 0}  # noqa: RUF012

    def judge(self, dataset, answer=None, *, engine="dask", rows=None, wrong_keys=0, **figures):
        check = Check(
            rows=dataset.truth.rows if rows is None else rows,
            expected_rows=dataset.truth.rows,
            wrong_keys=wrong_keys,
            files=2,
            largest_file_rows=7,
            disk_nbytes=1,
        )
        answer = {"seconds": 1.0} if answer is None else answer
        return run._judge(
            engine, dataset, answer, {**self.QUIET, **figures}, None if "error" in answer else check, 598
        )

    def test_right_and_quiet_is_finished(self, dataset):
        judged = self.judge(dataset)
        assert (judged.outcome, judged.seconds, judged.rows) == ("finished", 1.0, dataset.truth.rows)
        assert judged.largest_partition_nbytes == 7 * 4 * 8

    @pytest.mark.parametrize("figure", ["oom_kills", "restarts", "reruns"])
    def test_anything_lost_on_the_way_is_not_finished(self, dataset, figure):
        assert self.judge(dataset, **{figure: 1}).outcome == "disturbed"

    def test_a_wrong_result_is_wrong_however_quiet(self, dataset):
        assert self.judge(dataset, rows=dataset.truth.rows - 1).outcome == "wrong"
        assert self.judge(dataset, wrong_keys=1).outcome == "wrong"

    def test_what_ended_it_is_the_outcome(self, dataset):
        judged = self.judge(dataset, {"error": "KilledWorker", "detail": "x"}, restarts=4)
        assert (judged.outcome, judged.seconds, judged.rows) == ("KilledWorker", None, None)

    def test_a_killed_peer_ran_out_of_memory(self, dataset):
        answer = {"error": "ended by signal 9", "detail": ""}
        assert self.judge(dataset, answer, engine="polars", oom_kills=1).outcome.startswith("out of memory")

    def test_an_estimate_is_compared_with_the_truth(self, dataset):
        for rows, outcome in ((dataset.truth.rows, "finished"), (dataset.truth.rows + 1, "wrong")):
            answer = {"seconds": 1.0, "rows": rows}
            assert run._judge("duckdb", dataset, answer, dict(self.QUIET), None, 1).outcome == outcome


class TestTimed:
    def request(self, tmp_path, seconds: int) -> engines.Request:
        return engines.Request(
            engine="dask",
            situation="q3",
            scale=1.0,
            data="",
            output="",
            scratch="",
            answer=str(tmp_path / "answer"),
            timeout_seconds=seconds,
            n_workers=1,
            hard="1GiB",
            limit="1GiB",
            peer_memory="1GB",
        )

    def test_gives_up_in_time(self, tmp_path, alarm):
        answer = engines._timed(self.request(tmp_path, 1), lambda: {"waited": threading.Event().wait(60)})
        assert answer["error"] == "timeout"

    def test_an_error_is_a_result(self, tmp_path, alarm):
        answer = engines._timed(self.request(tmp_path, 5), lambda: {"": 1 / 0})
        assert (answer["error"], answer["detail"]) == ("ZeroDivisionError", "division by zero")

    def test_no_alarm_goes_off_later(self, tmp_path, alarm):
        assert engines._timed(self.request(tmp_path, 5), lambda: {"x": 1})["x"] == 1
        assert signal.alarm(0) == 0


def test_runner_end_to_end(tmp_path, capsys):
    pytest.importorskip("duckdb")
    pytest.importorskip("matplotlib")
    arguments = [
        "q3", "q0", "--scale", "0.001", "--engines", "duckdb", "--data", str(tmp_path / "data"),
        "--out", str(tmp_path / "results"),
    ]  # fmt: skip
    assert run.main(arguments) == 0
    for name in ("q3", "q0"):
        result = json.loads((tmp_path / "results" / f"{name}.json").read_text())
        (one,) = result["runs"]
        assert one["outcome"] == "finished", one
        assert one["rows"] == result["expected_rows"]
        assert one["resident_peak_nbytes"] > 10 << 20
        assert (tmp_path / "results" / f"{name}.png").stat().st_size > 1000
    assert "## q3" in (tmp_path / "results" / "table.md").read_text()
    # Only the tables stay: what the engine wrote and spilled is gone.
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"q3-0.001", "q0-0.001"}


def test_no_room_is_said_and_nothing_runs(dataset, tmp_path):
    huge = replace(dataset, truth=replace(dataset.truth, rows=10**15))
    options = run._parser().parse_args(["q3", "--data", str(tmp_path)])
    judged = run._run("duckdb", huge, options, None)
    assert judged.outcome == "no room"
    assert "TiB" in judged.details["detail"]


def test_table_and_picture_show_failures(tmp_path):
    pytest.importorskip("matplotlib")
    facts = {
        "situation": "q3", "title": "t", "scale": 1.0, "expected_rows": 3, "limits": "l", "machine": "m",
        "date": "d", "versions": "v",
    }  # fmt: skip
    runs = [
        Run(engine="dask", outcome="KilledWorker", limit_nbytes=1 << 20, restarts=13),
        Run(
            engine="safeframe",
            outcome="finished",
            resident_peak_nbytes=9 << 20,
            details={"projected_worker_nbytes": 8 << 20},
        ),
        Run(engine="polars", outcome="finished", seconds=1.25, rows=3, resident_peak_nbytes=5 << 20),
    ]
    paths = write_results(tmp_path, facts, runs)
    assert all(path.stat().st_size for path in paths)
    table = (tmp_path / "table.md").read_text()
    assert "| dask | **KilledWorker** | – | – |" in table
    assert "| 9 MiB **above projected** | 8 MiB |" in table
    assert "| polars | finished | 1.2 | – | 5 MiB |" in table
    saved = json.loads((tmp_path / "q3.json").read_text())
    assert Summary(**saved["summary"][0]).restarts == 13
