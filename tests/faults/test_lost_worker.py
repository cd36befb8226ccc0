"""A worker that is lost takes its results with it, and nothing else."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dask.task_spec import Task
from distributed import Client, LocalCluster, wait

import safeframe
from safeframe.engine.parquet import commit as parquet_commit
from safeframe.engine.parquet import nodes as parquet_nodes
from safeframe.engine.parquet import tasks as parquet_tasks
from safeframe.recipes.to_parquet import to_parquet
from tests.faults.datasets import PARTS, frame, names, rows


@pytest.mark.parametrize("strategy", ["staged", "p2p"])
def test_a_lost_worker_s_cells_are_made_again(tmp_path, strategy):
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 100, 20_000), "l": np.arange(20_000)})
    right = pd.DataFrame({"k": rng.integers(0, 100, 1000), "r": np.arange(1000)})
    expected = left.merge(right, on="k")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        merged = safeframe.merge(
            dd.from_pandas(left, npartitions=4, sort=False),
            dd.from_pandas(right, npartitions=2, sort=False),
            on="k",
            strategy=strategy,
            partition_size="512KiB",
            staging=str(tmp_path),
        ).persist()
        wait(merged)
        # By now the run's files are gone: what was lost has to be staged again.
        lost = next(iter(client.run(os.getpid).values()))
        process = psutil.Process(lost)
        process.kill()
        process.wait()
        found = merged.compute()
        del merged
    assert len(found) == len(expected)
    assert found.l.sum() == expected.l.sum()
    assert found.r.sum() == expected.r.sum()
    assert not list(tmp_path.rglob("*.staged"))


@pytest.mark.usefixtures("_in_this_process")
def test_what_a_given_up_worker_was_writing_does_not_come_along(tmp_path, monkeypatch):
    """Its file is in the directory that takes the dataset's place; others' hidden files are left alone."""
    place = tmp_path / "data"
    to_parquet(frame(500), place)
    (place / ".part.0.parquet.crc").touch()
    commit = parquet_nodes.commit

    def given_up(target, begun, files):
        Path(target.directory, ".part.1.parquet.0123abcd").touch()
        return commit(target, begun, files)

    monkeypatch.setattr(parquet_nodes, "commit", given_up)
    to_parquet(frame(0), place, overwrite=True)
    assert rows(place) == [*range(100)]
    assert names(place) == [".part.0.parquet.crc", *PARTS]


def test_a_task_that_runs_on_after_its_write_has_failed_leaves_nothing(tmp_path, monkeypatch):
    place = tmp_path / "data"
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=60
        ) as cluster,
        Client(cluster),
    ):
        waits = {name: threading.Event() for name in ("begun", "failed", "over")}
        real = parquet_tasks.put_file

        def put(target, name, write, nbytes):
            if name == "part.0.parquet":
                waits["begun"].wait()
                msg = "no such luck"
                raise RuntimeError(msg)
            if name == "part.1.parquet":
                waits["begun"].set()
                waits["failed"].wait()
                try:
                    return real(target, name, write, nbytes)
                finally:
                    waits["over"].set()
            return real(target, name, write, nbytes)

        monkeypatch.setattr(parquet_tasks, "put_file", put)
        with pytest.raises(RuntimeError, match="no such luck"):
            to_parquet(frame(0), place)
        assert names(tmp_path) == []
        # A moment later the worker knows that nobody waits for it.
        while not any(
            task.state == "cancelled"
            for worker in cluster.workers.values()
            for task in worker.state.tasks.values()
        ):
            time.sleep(0.01)
        waits["failed"].set()
        waits["over"].wait()
        assert names(tmp_path) == []


def written_twice(ddf, place, monkeypatch, **given):
    """Write, and lose what the last task says once it is done: all tasks run once more, as dask has them do."""
    layer = parquet_nodes.CommitFiles._layer
    monkeypatch.setattr(parquet_nodes.CommitFiles, "_layer", lambda self: _again(layer(self)))
    again = []

    def _again(graph):
        ((key, task),) = graph.items()
        return {key: Task(key, commit_again, task.args[0], task.args[1], task.args[2])}

    def commit_again(target, begun, files):
        parquet_commit.commit(target, begun, files)
        again.append([parquet_tasks.put_file(target, file.name, write_one, 0) for file in files])
        parquet_commit.commit(target, begun, again[0])

    def write_one(sink):
        table = pa.table({"x": [0]})
        pq.write_table(table, sink)
        return len(table)

    to_parquet(ddf, place, **given)
    assert again


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_write_whose_last_result_is_lost_is_found_in_its_place(tmp_path, monkeypatch, overwrite):
    place = tmp_path / "data"
    if overwrite:
        to_parquet(frame(500), place)
    written_twice(frame(0), place, monkeypatch, overwrite=overwrite)
    assert rows(place) == [*range(100)]
    assert names(place) == PARTS
    assert names(tmp_path) == ["data"]


@pytest.mark.usefixtures("_in_this_process")
def test_files_that_were_removed_while_others_were_written_are_an_error(tmp_path, monkeypatch):
    """Those that come after make the directory again: it is not taken for the dataset."""
    place = tmp_path / "data"
    to_parquet(frame(500), place)
    commit = parquet_nodes.commit

    def removed(target, begun, files):
        shutil.rmtree(target.directory)
        Path(target.directory).mkdir()
        return commit(target, begun, files)

    monkeypatch.setattr(parquet_nodes, "commit", removed)
    with pytest.raises(safeframe.RowConservationError, match="is not there, but 25 rows were written"):
        to_parquet(frame(0), place, overwrite=True)
    assert rows(place) == [*range(500, 600)]
    assert names(tmp_path) == ["data"]
