"""What goes wrong with a write: said in words, nothing lost, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.engine.parquet import swap as atomic_swap
from safeframe.recipes.to_parquet import to_parquet
from tests.faults.datasets import names, rows

CHILD = """
import os, signal, sys
from pathlib import Path
import dask, dask.dataframe as dd
from safeframe.engine.parquet import swap as atomic_swap
from safeframe.engine.parquet import commit as parquet_commit
from safeframe.engine.parquet import nodes as parquet_nodes
from safeframe.engine.parquet import tasks as parquet_tasks
from safeframe.recipes.to_parquet import to_parquet

place, moment, exchange = sys.argv[1:]

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

if exchange == "renames":
    atomic_swap._exchanged = lambda one, other: False
if moment == "before writing":
    parquet_nodes.write_read = die
elif moment == "while writing":
    write, parquet_nodes.write_read = parquet_nodes.write_read, lambda *a: write(*a) if a[3] < 2 else die()
elif moment == "in a file":
    parquet_tasks.file_options = die
elif moment == "before the swap":
    parquet_commit.exchange_directories = die
elif moment == "after the swap":
    parquet_commit.discard = die
elif moment == "between renames":
    rename = Path.rename
    Path.rename = lambda one, other: (rename(one, other), die() if str(other).endswith(".old") else None)
with dask.config.set(scheduler="sync"):
    to_parquet(dd.read_parquet(place) + 1000, place, overwrite=True, memory="1GiB")
"""


pytestmark = pytest.mark.usefixtures("_in_this_process")


def siblings(place):
    return [name for name in names(place.parent) if name != place.name]


@pytest.mark.parametrize(
    ("moment", "exchange", "new"),
    [
        ("before writing", "at once", False),
        ("while writing", "at once", False),
        ("in a file", "at once", False),
        ("before the swap", "at once", False),
        ("after the swap", "at once", True),
        ("after the swap", "renames", True),
        ("between renames", "renames", False),
    ],
)
def test_killed_while_it_overwrites_its_own_input(place, moment, exchange, new):
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(place), moment, exchange], check=False, env={**os.environ}
    )
    assert child.returncode == -signal.SIGKILL
    assert siblings(place) != []
    if moment == "between renames":
        assert not place.exists()
        atomic_swap.recover(place)
    assert rows(place) == [x + 1000 * new for x in range(100)]
    to_parquet(dd.read_parquet(place) + 5, place, overwrite=True)
    assert rows(place) == [x + 1000 * new + 5 for x in range(100)]
    assert siblings(place) == []


@pytest.mark.parametrize("exchange", ["at once", "renames"])
def test_overwrites_what_it_reads(place, exchange, monkeypatch):
    if exchange == "renames":
        monkeypatch.setattr(atomic_swap, "_exchanged", lambda one, other: False)
    to_parquet(dd.read_parquet(place) + 1, place, overwrite=True)
    assert rows(place) == list(range(1, 101))
    assert siblings(place) == []


def test_a_live_writer_is_not_swept(place):
    live, other = atomic_swap.Swap(str(place), later=True), atomic_swap.Swap(str(place))
    live.open()
    other.open()
    other.close()
    assert live.directory.exists()
    live.close()
    assert siblings(place) == []


def test_files_are_not_overwritten_by_default(place):
    ran = []
    ddf = dd.from_map(ran.append, [1], meta=pd.DataFrame({"x": [1]}))
    with pytest.raises(safeframe.ValidationError, match="data' exists and has 4 entries"):
        to_parquet(ddf, place)
    assert ran == []


def fails(number):
    if number == 2:
        msg = "on purpose"
        raise RuntimeError(msg)
    return pd.DataFrame({"x": [number]})


def test_a_task_that_fails(place):
    ddf = dd.from_map(fails, range(4), meta=pd.DataFrame({"x": [0]}))
    with pytest.raises(RuntimeError, match="on purpose"):
        to_parquet(ddf, place, overwrite=True)
    assert rows(place) == list(range(100))
    assert siblings(place) == []


def test_a_file_that_lost_rows(place, monkeypatch):
    from safeframe.engine.parquet import tasks as parquet_tasks

    convert = parquet_tasks._arrow_table
    monkeypatch.setattr(parquet_tasks, "_arrow_table", lambda frame, target: convert(frame.iloc[1:], target))
    ddf = dd.read_parquet(place)
    for way in (ddf, ddf.map_partitions(lambda frame: frame)):  # read as it is written, and made before
        with pytest.raises(safeframe.RowConservationError, match="has 24 rows, but 25 were written"):
            to_parquet(way, place, overwrite=True)
    assert rows(place) == list(range(100))
    assert siblings(place) == []


def test_a_file_that_lost_a_stretch(tmp_path, monkeypatch):
    from safeframe.engine.planned.cells import CellRows

    frame = pd.DataFrame({"k": range(100), "a": range(100)})
    ddf = dd.from_pandas(frame, npartitions=2)
    merged = safeframe.merge(ddf, ddf, on="k", strategy="staged", npartitions=1, memory="8GiB")
    stretches = CellRows.stretches

    def fewer(rows, *given):
        made = stretches(rows, *given)
        yield next(made)
        next(made)
        yield from made

    monkeypatch.setattr(CellRows, "stretches", fewer)
    with pytest.raises(safeframe.RowConservationError, match="has 90 rows, but 100 were written"):
        to_parquet(merged, tmp_path / "out", row_group_rows=10)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (pd.DataFrame({0: [1]}), safeframe.UnsupportedError, "Column names in parquet are strings"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), safeframe.ValidationError, "more than one column"),
        (
            pd.DataFrame({"a": pd.Series([1, "b"], dtype=object)}),
            safeframe.UnsupportedError,
            "cannot be written",
        ),
    ],
)
def test_columns_that_parquet_cannot_hold(tmp_path, frame, error, message):
    with dask.config.set({"dataframe.convert-string": False}), pytest.raises(error, match=message):
        to_parquet(dd.from_pandas(frame, npartitions=1), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_partitions_of_other_types(tmp_path):
    ddf = dd.from_map(
        lambda n: pd.DataFrame({"x": [["a"], [1]][n]}), [0, 1], meta={"x": "int64"}, enforce_metadata=False
    )
    with pytest.raises(safeframe.SchemaMismatchError, match=r"'x' is .* its frame has int64"):
        to_parquet(ddf, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("compression", "message"), [("zipped", "not a codec"), ({"y": "zstd"}, "'y'")])
def test_compression_that_is_not_there(tmp_path, compression, message):
    ddf = dd.from_pandas(pd.DataFrame({"x": [1]}), npartitions=1)
    with pytest.raises(safeframe.ValidationError, match=message):
        to_parquet(ddf, tmp_path / "out", compression=compression)


def test_an_object_store(tmp_path):
    ddf = dd.from_pandas(pd.DataFrame({"x": range(10)}), npartitions=2)
    url = f"memory://{tmp_path.name}/out"
    to_parquet(ddf, url)
    assert sorted(dd.read_parquet(url)["x"].compute()) == list(range(10))
    with pytest.raises(safeframe.ValidationError, match="already has files"):
        to_parquet(ddf, url)
    with pytest.raises(safeframe.UnsupportedError, match="cannot be overwritten"):
        to_parquet(ddf, url, overwrite=True)


def test_a_file_url(place):
    to_parquet(dd.read_parquet(place) + 1, f"file://{place}", overwrite=True)
    assert rows(place) == list(range(1, 101))


def test_a_disk_that_fills_up(small_disk):
    frame = pd.DataFrame({"x": np.random.default_rng(0).random(400_000)})
    with pytest.raises(safeframe.StagingFullError, match="out' is full"):
        to_parquet(dd.from_pandas(frame, npartitions=4), small_disk / "out")
    assert list(small_disk.iterdir()) == []


def test_a_plan_that_will_not_fit_the_disk(small_disk):
    frame = dd.from_pandas(pd.DataFrame({"k": range(300_000), "x": 1.5}), npartitions=2)
    merged = safeframe.merge(frame, frame, on="k")
    with pytest.raises(safeframe.StagingFullError, match="1 MiB free"):
        to_parquet(merged, small_disk / "out")
    assert list(small_disk.iterdir()) == []
