"""What goes wrong while rows are sorted: a full disk, rows that changed or went, a lost worker. None is silent."""

from __future__ import annotations

import os
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil
import pytest
from distributed import Client, LocalCluster, wait

import safeframe
from safeframe.engine.exchange import nodes as exchange_nodes
from tests.faults.test_sort_faults import check_error, frame, staged_files

pytestmark = pytest.mark.usefixtures("_in_this_process")


def wide(rows=200_000):
    rng = np.random.default_rng(0)
    return frame(4, k=rng.integers(0, 2**31, rows), v=rng.random(rows))


def test_a_plan_that_will_not_fit_the_disk_is_refused_before_it_runs(small_disk):
    indexed = safeframe.set_index(wide(), "k", staging=str(small_disk))
    assert not safeframe.explain(indexed).fits
    with pytest.raises(
        safeframe.StagingFullError, match=r"set_index stages 3\.05 MiB.*has 1 MiB free(.|\n)*Hint: "
    ) as info:
        indexed.compute()
    check_error(info.value, OSError)
    assert staged_files(small_disk) == []


@pytest.mark.parametrize("recipe", [safeframe.set_index, safeframe.sort_values])
@pytest.mark.parametrize("scheduler", ["sync", "threads", "cluster"])
def test_a_disk_that_fills_up_while_it_runs(small_disk, scheduler, recipe, request, monkeypatch):
    if scheduler == "cluster":
        client = request.getfixturevalue("small_cluster")
        scheduler = client
    monkeypatch.setattr("safeframe.sizing.cluster.free_nbytes", lambda directory: 2**40)
    with dask.config.set(scheduler=scheduler):
        ordered = recipe(wide(), "k", staging=str(small_disk))
        assert safeframe.explain(ordered).fits
        with pytest.raises(
            safeframe.StagingFullError, match=r"is full: .* had to be staged and .* are free(.|\n)*Hint: "
        ) as info:
            ordered.compute()
    assert info.value.figures["needed_nbytes"] > info.value.figures["free_nbytes"]
    if scheduler == "sync":
        del info
        assert staged_files(small_disk) == []


class Changing:
    """Partitions whose rows depend on how many there are to be now."""

    def __init__(self, in_order: bool) -> None:
        self.rows = 1000
        self.in_order = in_order

    def __call__(self, number: int) -> pd.DataFrame:
        keys = np.arange(self.rows)
        return pd.DataFrame({"k": keys + number * 100_000 if self.in_order else keys % 97, "v": keys})

    def __dask_tokenize__(self) -> object:
        return "Changing", self.in_order


@pytest.mark.parametrize("recipe", [safeframe.set_index, safeframe.sort_values])
@pytest.mark.parametrize("now", [0, 999, 1001, 5000])
def test_rows_that_changed_since_they_were_counted(tmp_path, recipe, now):
    changing = Changing(in_order=False)
    source = dd.from_map(changing, range(4), meta=changing(0).iloc[:0])
    ordered = recipe(source, "k", partition_size="8KiB", staging=str(tmp_path))
    assert safeframe.explain(ordered).strategy == "staged"
    changing.rows = now
    with pytest.raises(
        safeframe.RowConservationError, match=rf"has {4 * now:,} rows, and had 4,000 when the plan was made"
    ) as info:
        ordered.compute()
    check_error(info.value, RuntimeError)
    assert (info.value.figures["rows_in"], info.value.figures["rows_out"]) == (4000, 4 * now)
    del info
    assert staged_files(tmp_path) == []


def test_partitions_in_order_that_grew_since_they_were_counted(tmp_path):
    changing = Changing(in_order=True)
    source = dd.from_map(changing, range(4), meta=changing(0).iloc[:0])
    ordered = safeframe.set_index(source, "k", staging=str(tmp_path))
    assert safeframe.explain(ordered).strategy == "sorted"
    changing.rows = 5000
    with pytest.raises(
        safeframe.RowConservationError, match=r"Partition \d of the frame has 5,000 rows, and had 1,000"
    ) as info:
        ordered.compute()
    check_error(info.value, RuntimeError)
    assert (info.value.figures["rows_in"], info.value.figures["rows_out"]) == (1000, 5000)


def rows_out_of_the_manifest(staged):
    staged.rows -= 1


def rows_out_of_every_count(staged):
    staged.rows_in -= 1
    rows_out_of_the_manifest(staged)


def file_cut_short(staged):
    os.truncate(staged.path, staged.nbytes - 1)


DAMAGES = [
    (rows_out_of_the_manifest, r"group \d of the exchange: .* rows went in and .* came out"),
    (rows_out_of_every_count, r"The frame has .* rows, and had 20,000 when the plan was made"),
    (file_cut_short, r"\.staged: .* rows went in and .* came out"),
]
"""What is done to a staged file, and which of the three counts notices it."""


@pytest.mark.parametrize(("damage", "where"), DAMAGES)
@pytest.mark.parametrize("form", ["rows", "arrow"])
@pytest.mark.parametrize("recipe", [safeframe.set_index, safeframe.sort_values])
def test_dropped_rows_are_noticed(tmp_path, monkeypatch, recipe, damage, where, form):
    stage_files, damaged = exchange_nodes.stage_files, []

    def stage_and_damage(*arguments):
        (staged,) = stage_files(*arguments)
        if not damaged:
            damaged.append(staged.path)
            damage(staged)
        return [staged]

    monkeypatch.setattr(exchange_nodes, "stage_files", stage_and_damage)
    source = wide(20_000)
    if form == "arrow":
        source = source.assign(text="word")
    ordered = recipe(source, "k", npartitions=7, staging=str(tmp_path))
    with pytest.raises(safeframe.RowConservationError, match=where) as info:
        ordered.compute()
    assert damaged
    check_error(info.value, RuntimeError)
    assert info.value.figures["rows_in"] != info.value.figures["rows_out"]
    del info
    assert staged_files(tmp_path) == []


@pytest.mark.parametrize("where", ["first piece", "last piece", "index"])
@pytest.mark.parametrize("form", ["rows", "arrow"])
def test_a_bit_that_flips_on_the_way_never_becomes_a_row(tmp_path, monkeypatch, form, where):
    stage_files = exchange_nodes.stage_files

    def stage_and_flip(*arguments):
        (staged,) = stage_files(*arguments)
        at = {"first piece": 0, "last piece": staged.nbytes - 1, "index": staged.nbytes}[where]
        content = bytearray(Path(staged.path).read_bytes())
        content[at] ^= 4
        Path(staged.path).write_bytes(content)
        return [staged]

    monkeypatch.setattr(exchange_nodes, "stage_files", stage_and_flip)
    source = wide(2000)
    if form == "arrow":
        source = source.assign(text="word")
    with pytest.raises(safeframe.StagingError, match=r"is damaged: (.|\n)*Hint: "):
        safeframe.set_index(source, "k", npartitions=7, staging=str(tmp_path)).compute()
    assert staged_files(tmp_path) == []


def test_files_that_go_before_they_are_read(tmp_path, monkeypatch):
    stage_files = exchange_nodes.stage_files

    def stage_and_lose(*arguments):
        (staged,) = stage_files(*arguments)
        Path(staged.path).unlink()
        return [staged]

    monkeypatch.setattr(exchange_nodes, "stage_files", stage_and_lose)
    with pytest.raises(safeframe.StagingError, match=r"cannot be read: .*No such file(.|\n)*Hint: "):
        safeframe.set_index(wide(1000), "k", staging=str(tmp_path)).compute()


@pytest.mark.parametrize("recipe", ["set_index", "sort_values"])
def test_a_lost_worker_s_partitions_are_made_again(tmp_path, recipe):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"k": rng.integers(0, 1000, 20_000), "row": np.arange(20_000)})
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
        dask.config.set(scheduler=client),
    ):
        source = dd.from_pandas(rows, npartitions=4, sort=False)
        ordered = getattr(safeframe, recipe)(source, "k", npartitions=8, staging=str(tmp_path)).persist()
        wait(ordered)
        # By now the run's files are gone: what was lost has to be staged again.
        lost = next(iter(client.run(os.getpid).values()))
        process = psutil.Process(lost)
        process.kill()
        process.wait()
        found = ordered.compute()
        del ordered
    expected = rows.sort_values("k", kind="stable")
    assert found["row"].tolist() == expected["row"].tolist()
    assert not list(tmp_path.rglob("*.staged"))
