"""What a merge that looks up in a table says when something is wrong, and that nothing of it stays."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.engine.merge import broadcast_tasks as probe_tasks
from safeframe.planning.merge import table as planned_table
from safeframe.prepare.merge import table as prepared_table


@pytest.fixture(autouse=True)
def _tables_of_any_size(monkeypatch):
    monkeypatch.setattr(options, "TABLE_MIN_ROWS", 0)
    with dask.config.set(scheduler="sync"):
        yield


def tables(tmp_path, keys=100):
    (tmp_path / "left").mkdir()
    (tmp_path / "right").mkdir()
    for number in range(2):
        left = pd.DataFrame({"k": np.arange(2 * keys) % keys, "a": 1})
        left.to_parquet(tmp_path / "left" / f"{number}.parquet")
        right = pd.DataFrame({"k": np.arange(number * keys // 2, (number + 1) * keys // 2), "b": 0.5})
        right.to_parquet(tmp_path / "right" / f"{number}.parquet")
    return dd.read_parquet(tmp_path / "left"), dd.read_parquet(tmp_path / "right")


@pytest.mark.usefixtures("_files_are_not_seen")
def test_a_key_that_comes_twice_by_now(tmp_path):
    left, right = tables(tmp_path)
    merged = safeframe.merge(left, right, on="k", how="left", staging=str(tmp_path / "staging"))
    assert safeframe.explain(merged).run.table is not None
    pd.DataFrame({"k": np.full(50, 7), "b": 0.5}).to_parquet(tmp_path / "right" / "0.parquet")
    with pytest.raises(safeframe.RowConservationError, match="planned with each key once"):
        merged.compute()
    assert not list((tmp_path / "staging").rglob("*.staged"))


def test_a_table_that_is_gone(tmp_path, monkeypatch):
    left, right = tables(tmp_path)
    merged = safeframe.merge(left, right, on="k", how="left", staging=str(tmp_path / "staging"))
    write = probe_tasks._write_at
    monkeypatch.setattr(probe_tasks, "_write_at", lambda path, start, data: write(path, start, data[:16]))
    with pytest.raises(safeframe.StagingError, match="cannot be read"):
        merged.compute()


def test_a_table_that_is_not_what_was_written(tmp_path, monkeypatch):
    left, right = tables(tmp_path)
    merged = safeframe.merge(left, right, on="k", how="left", staging=str(tmp_path / "staging"))
    write = probe_tasks._write_at

    def flipped(path, start, data):
        changed = bytearray(data)
        changed[len(changed) // 2] ^= 1
        write(path, start, memoryview(changed))

    monkeypatch.setattr(probe_tasks, "_write_at", flipped)
    with pytest.raises(safeframe.StagingError, match=r"is damaged: a slice of \d+ bytes"):
        merged.compute()


def test_a_full_disk(tmp_path, small_disk, monkeypatch):
    left, right = tables(tmp_path, keys=60_000)
    # The disk fills up between the plan and the run.
    with monkeypatch.context() as patch:
        for module in (prepared_table, planned_table):
            patch.setattr(module, "no_room_for_table", lambda facts: "")
        merged = safeframe.merge(left, right, on="k", how="left", staging=str(small_disk))
    plan = safeframe.explain(merged)
    assert plan.run.table is not None
    assert not plan.fits
    with pytest.raises(safeframe.StagingFullError, match="MiB free"):
        merged.compute()
    monkeypatch.setattr(type(plan), "validate", lambda self: None)
    with pytest.raises(safeframe.StagingFullError, match="is full"):
        merged.compute()
    assert not list(small_disk.rglob("*.staged"))


@pytest.mark.parametrize("disk", ["a URL", "no room"])
def test_where_no_table_can_be(tmp_path, disk, small_disk):
    left, right = tables(tmp_path, keys=60_000)
    staging = "memory://tables" if disk == "a URL" else str(small_disk)
    plan = safeframe.plan_merge(left, right, on="k", how="left", staging=staging, strategy=None)
    assert plan.run.table is None


def test_other_merges_are_planned_as_ever(tmp_path):
    left, right = tables(tmp_path)
    taken = {"on": "k", "how": "left"}
    assert safeframe.plan_merge(left, right, **taken).run.table is not None
    for other in (
        {"how": "inner"}, {"how": "outer"}, {"validate": "m:1"}, {"strategy": "staged"}, {"indicator": True},
        {"memory": "1MiB"}, {"partition_size": "100B"},
    ):  # fmt: skip
        assert safeframe.plan_merge(left, right, **{**taken, **other}).run.table is None, other
