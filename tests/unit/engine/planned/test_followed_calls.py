"""Progress of what a user computes with dask's own calls, on schedulers of this process."""

from __future__ import annotations

import io
import threading
import types
from contextlib import redirect_stderr

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest

import safeframe
from safeframe._dask.calls import DaskCall
from safeframe.engine.planned import followed_calls


def rows_of(number):
    return pd.DataFrame({"k": range(100), "v": number})


@pytest.fixture
def merged(tmp_path):
    left = dd.from_map(rows_of, range(6))
    right = dd.from_map(rows_of, range(2)).rename(columns={"v": "w"})
    return safeframe.merge(left, right, on="k", strategy="staged", staging=str(tmp_path / "staging"))


@pytest.fixture(autouse=True)
def _asked():
    with dask.config.set({"safeframe.progress": True}):
        yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("safeframe-progress")]


CALLS = {
    "compute": lambda frame, path: frame.compute(),
    "dask.compute": lambda frame, path: dask.compute(frame, frame.assign(y=1)),
    "persist": lambda frame, path: frame.persist(),
    "len": lambda frame, path: frame.map_partitions(lambda part: part).shape[0].compute(),
    "to_parquet": lambda frame, path: frame.to_parquet(path),
    "after optimize": lambda frame, path: frame.optimize().compute(),
    "after a step": lambda frame, path: frame.assign(x=1).compute(),
}


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.parametrize("call", CALLS)
def test_bars_end_at_hundred_percent(call, scheduler, merged, tmp_path, capsys):
    with dask.config.set(scheduler=scheduler):
        CALLS[call](merged, str(tmp_path / "out"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["merge: stage: 100%", "merge: output: 100%"]
    assert "800/800 rows" in lines[0]


def test_the_scheduler_that_a_call_names_is_the_one_that_is_followed(merged, capsys):
    merged.compute(scheduler="sync")
    assert "merge: output: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    "other",
    [
        lambda frame: frame.optimize(),
        lambda frame: frame.to_delayed(),
        lambda frame: safeframe.explain(frame),
        lambda frame: frame.__dask_graph__(),
    ],
    ids=["optimize", "to_delayed", "explain", "graph"],
)
def test_nothing_is_shown_of_what_is_not_computed(other, merged, capsys):
    other(merged)
    assert capsys.readouterr().err == ""
    assert not followed_calls._calls


@pytest.mark.parametrize("setting", [None, False])
def test_silent_where_nobody_looks(setting, merged, capsys):
    with dask.config.set({"safeframe.progress": setting}):
        merged.compute()
    assert capsys.readouterr().err == ""
    assert not followed_calls._calls


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_no_bar_at_its_end(error, merged, capsys):
    def fails(part):
        raise error

    with pytest.raises(error):
        merged.map_partitions(fails, meta=merged._meta).compute(scheduler="sync")
    assert "output: 100%" not in capsys.readouterr().err
    merged.compute(scheduler="sync")
    assert "output: 100%" in capsys.readouterr().err


def test_a_stream_that_cannot_be_written_costs_no_result(merged):
    class Broken(io.StringIO):
        def write(self, text):
            raise OSError

    with redirect_stderr(Broken()):
        assert len(merged.compute()) == 6 * 2 * 100


_running = [threading.Event() for _ in range(3)]


def rows_once_running(number, caller):
    _running[caller].set()
    return rows_of(number)


def test_calls_of_several_threads_at_once(tmp_path, capsys):
    made = [
        safeframe.sort_values(
            dd.from_map(rows_once_running, range(number, number + 3), caller=number),
            "k",
            strategy="staged",
            staging=str(tmp_path),
        )
        for number in range(3)
    ]
    found = [0] * 3

    def run(number):
        found[number] = len(made[number].compute(scheduler="sync"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread, running in zip(threads, _running, strict=True):
        running.clear()  # rows were looked at when the sort was planned
        thread.start()
        # dask's cached properties lock threads that make graphs at once out for ever before Python 3.12.
        assert running.wait(60)
    for thread in threads:
        thread.join()
    assert found == [300] * 3
    assert capsys.readouterr().err.count("sort: output: 100%") == 3
    assert not followed_calls._calls


def test_arrays_and_bags(tmp_path, capsys):
    array = safeframe.rechunk(da.ones((40, 40), chunks=(40, 10)), (10, 40), staging=str(tmp_path))
    assert array.compute().sum() == 1600
    err = capsys.readouterr().err
    assert "rechunk: output: 100%" in err
    bag = safeframe.bag_groupby(db.range(40, npartitions=4), lambda x: x % 3, staging=str(tmp_path))
    capsys.readouterr()
    assert len(bag.compute(scheduler="sync")) == 3
    assert "bag: output: 100%" in capsys.readouterr().err


def test_some_partitions_have_no_figures_of_the_whole(merged, capsys):
    merged.partitions[:1].compute()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "output" in line]
    assert "rows" not in line
    assert "1/1 tasks" in line


@pytest.mark.parametrize(
    "answers", [[], [{}], [{"merge-output-1": (1, 4)}]], ids=["none", "waiting", "running"]
)
def test_a_scheduler_that_is_gone_ends_it(answers, capsys, monkeypatch):
    class Client:
        def run_on_scheduler(self, question, names):
            assert names == {"merge-output-1"}
            if not answers:
                raise OSError
            return answers.pop(0)

    monkeypatch.setattr("safeframe.options.PROGRESS_POLL_SECONDS", 0.001)
    made = followed_calls._FollowedCall(DaskCall(1, waits=False), asked=True)
    made.add("merge", lambda: [("merge-output-1", 4)], None)
    followed_calls._until_done(made, Client())
    assert "100%" not in capsys.readouterr().err
    assert not followed_calls._calls


def test_a_graph_that_never_comes_is_waited_for_as_long_as_said(monkeypatch):
    monkeypatch.setattr("safeframe.options.PROGRESS_POLL_SECONDS", 0.001)
    monkeypatch.setattr("safeframe.options.PROGRESS_WAIT_SECONDS", 0.01)
    asked = []
    client = types.SimpleNamespace(run_on_scheduler=lambda question, names: asked.append(question) or {})
    followed_calls._until_done(followed_calls._FollowedCall(DaskCall(1, waits=False), asked=True), client)
    assert asked
    assert not followed_calls._calls
