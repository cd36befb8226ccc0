"""A stage task that is run again takes the file that it has finished: that one, whole, and no other."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin

import safeframe
from safeframe.engine.exchange import adopted
from safeframe.engine.exchange.fetch import fetch, seal
from safeframe.engine.exchange.index import _kept
from safeframe.engine.exchange.nodes import WholePart
from safeframe.engine.exchange.stage import stage_files
from safeframe.engine.names import run_of_seal
from safeframe.engine.storage.local import LocalStore, store_for
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.sizing.partitions.slices import sliced_parts

FRAME = pd.DataFrame({"k": [0, 1, 0, 2], "s": ["a", "b", "c", "d"], "v": [0.5, 1.5, 2.5, 3.5]})


class ByKey:
    """Sends rows to the shard that their key names."""

    n_shards = 3

    def shards(self, frame, first_row):
        return frame["k"].to_numpy()


@pytest.fixture(autouse=True)
def task(monkeypatch):
    """The task that runs, as far as staging can tell."""
    now = {"key": ("merge-stage-1", 0)}
    monkeypatch.setattr(adopted, "current_task", lambda: now["key"])
    return now


def staged(directory, frame=FRAME, *, mark="input"):
    _kept.clear()  # of another process
    read = []

    def made():
        read.append(frame)
        return frame

    spec = FrameSpec(meta=frame.iloc[:0], with_index=False)
    (file,) = stage_files([made], spec, ByKey(), str(directory), None, mark)
    return file, bool(read)


@pytest.mark.parametrize("where", ["{}/run", "memory://{}/run"])
@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME[["k", "v"]],
        FRAME.assign(s=FRAME.s.astype("category")),
        FRAME.assign(s=pd.Categorical([3, 1, 3, 2], categories=[3, 2, 1], ordered=True)),
        FRAME.assign(s=pd.to_datetime(["2020"] * 4).astype("category")),
        pd.concat([FRAME] * 300, ignore_index=True),
    ],
)
def test_what_was_finished_is_taken_and_nothing_is_read(tmp_path, where, frame):
    directory = where.format(tmp_path)
    first, read = staged(directory, frame)
    assert read
    again, read = staged(directory, frame)
    assert not read
    assert again.arguments() == first.arguments()
    rows = [
        fetch(seal([file], FrameSpec(meta=frame.iloc[:0], with_index=False).dtypes, 3), 0)
        for file in (first, again)
    ]
    for one, other in zip(*rows, strict=True):
        assert list(one) == list(other)
    assert len(store_for(directory).finished(directory, "")) == 1
    store_for(directory).remove_run(directory)


def test_it_is_of_the_same_task_run_and_input(tmp_path, task):
    first, _ = staged(tmp_path / "run")
    task["key"] = ("merge-stage-1", 1)
    other, read = staged(tmp_path / "run")
    assert read
    assert other.path != first.path
    task["key"] = ("merge-stage-1", 0)
    assert staged(tmp_path / "run", mark="changed")[1]
    shutil.copytree(tmp_path / "run", tmp_path / "later")
    assert staged(tmp_path / "later")[1], "of another run"
    assert not staged(tmp_path / "run")[1]


def test_nothing_is_taken_where_input_cannot_be_seen_or_no_cluster_runs_it(tmp_path, task):
    assert all(staged(tmp_path / "run", mark="")[1] for _ in range(2))
    task["key"] = None
    assert all(staged(tmp_path / "run")[1] for _ in range(2))


@pytest.mark.parametrize("damage", ["cut", "longer", "record", "index", "tail", "not finished"])
def test_a_damaged_file_is_written_again(tmp_path, damage):
    first, _ = staged(tmp_path / "run")
    path = Path(first.path)
    data = bytearray(path.read_bytes())
    at = {"record": -40, "tail": -3, "index": first.nbytes + 3}.get(damage)
    if at is not None:
        data[at] ^= 1
    path.write_bytes({"cut": data[:-100], "longer": data + b"\0"}.get(damage, data))
    if damage == "not finished":
        path.rename(f"{path}.partial")
    again, read = staged(tmp_path / "run")
    assert read
    assert again.path != first.path
    assert not staged(tmp_path / "run")[1], "the whole one is found beside it"


def test_files_that_were_exchanged_are_not_taken(tmp_path, task):
    one, _ = staged(tmp_path / "run")
    task["key"] = ("merge-stage-1", 1)
    other, _ = staged(tmp_path / "run", FRAME.iloc[::-1])
    aside = tmp_path / "aside"
    shutil.move(one.path, aside)
    shutil.move(other.path, one.path)
    shutil.move(aside, other.path)
    assert staged(tmp_path / "run", FRAME.iloc[::-1])[1]
    task["key"] = ("merge-stage-1", 0)
    assert staged(tmp_path / "run")[1]


def test_a_form_that_plain_bytes_do_not_say_is_not_recorded(tmp_path):
    intervals = pd.cut(pd.Series([1, 2, 3, 4]), 2)
    frame = FRAME.assign(s=intervals.cat.rename_categories([(1, 2), (3, 4)]))
    assert all(staged(tmp_path / "run", frame)[1] for _ in range(2))


def test_the_mark_of_an_input_is_that_of_its_files(tmp_path):
    FRAME.to_parquet(tmp_path / "one.parquet")
    ddf = dd.read_parquet(tmp_path / "one.parquet")
    (part,) = sliced_parts(ddf)
    mark = adopted.input_mark([part])
    assert mark == adopted.input_mark([part])
    assert adopted.input_mark([part, WholePart(FRAME)]) == "", "rows in memory"
    FRAME.iloc[::-1].to_parquet(tmp_path / "one.parquet")
    assert adopted.input_mark([part]) != mark
    (tmp_path / "one.parquet").unlink()
    assert adopted.input_mark([part]) == ""


class _LosesSeal(SchedulerPlugin):
    """Takes the worker away that has the first manifest, once others wait for it."""

    def __init__(self) -> None:
        self.lost = threading.Event()

    async def start(self, scheduler):
        self.scheduler = scheduler

    def transition(self, key, start, finish, *args, **kwargs):
        if finish != "memory" or run_of_seal(key) is None or self.lost.is_set():
            return
        self.lost.set()
        (worker,) = self.scheduler.tasks[key].who_has
        self.scheduler.loop.add_callback(
            self.scheduler.remove_worker, worker.address, stimulus_id="lost with the manifest"
        )


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "recipe",
    [
        lambda frame, staging: safeframe.shuffle(
            frame, "k", strategy="staged", staging=staging, npartitions=4
        ),
        lambda frame, staging: safeframe.merge(
            frame, frame[["k"]].drop_duplicates(), on="k", strategy="staged", staging=staging
        ),
        lambda frame, staging: safeframe.sort_values(frame, "v", strategy="staged", staging=staging),
        lambda frame, staging: safeframe.rebalance_partitions(
            frame, npartitions=3, strategy="staged", staging=staging
        ),
    ],
    ids=["shuffle", "merge", "sort_values", "rebalance"],
)
def test_a_manifest_that_is_lost_is_made_again_of_the_files_that_stand(tmp_path, monkeypatch, recipe):
    monkeypatch.undo()  # tasks are asked which they are
    rows = pd.DataFrame({"k": np.arange(900) % 50, "v": np.arange(900)[::-1]})
    (tmp_path / "data").mkdir()
    for number in range(6):
        rows[number * 150 : (number + 1) * 150].to_parquet(tmp_path / "data" / f"{number}.parquet")
    written, create = [], LocalStore.create

    def counted(self, path):
        written.append(path)
        return create(self, path)

    monkeypatch.setattr(LocalStore, "create", counted)
    losing = _LosesSeal()
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=60
        ) as cluster,
        Client(cluster),
    ):
        lazy = recipe(dd.read_parquet(tmp_path / "data"), str(tmp_path / "staging"))
        cluster.sync(losing.start, cluster.scheduler)
        cluster.scheduler.add_plugin(losing, name="loses")
        found = lazy.compute()
        assert losing.lost.is_set()
        del lazy
    assert sorted(found["v"]) == [*range(900)]
    tasks = {Path(path).name.partition("-")[0] for path in written}
    assert len(written) == len(tasks), "each task has written its file once"
    assert not list((tmp_path / "staging").rglob("*.staged"))
