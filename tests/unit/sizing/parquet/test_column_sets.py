"""Rows of files of many columns are the same, a few columns at a time or all of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe import options
from safeframe.planning.rebalance import plan as rebalance
from safeframe.sizing.frames import frame_source
from safeframe.sizing.parquet import column_sets as sets_of_columns
from safeframe.sizing.parquet.column_sets import ColumnReader, Reading
from safeframe.sizing.parquet.pages import column_nbytes, column_sets
from safeframe.sizing.partitions.slices import sliced_parts

ROWS = 5000
SLICE = 150_000


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(options, "READER_SET_NBYTES", 200_000)
    monkeypatch.setattr(options, "READER_NBYTES", 500_000)
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    columns = {"k": rng.integers(0, 100, ROWS)}
    for number in range(12):
        columns[f"f{number}"] = rng.random(ROWS)
        columns[f"t{number}"] = pd.array([f"{i:x}" for i in rng.integers(0, 10**9, ROWS)], dtype="str")
        columns[f"c{number}"] = pd.Categorical.from_codes(rng.integers(0, 3, ROWS), ["a", "b", "c"])
    made = pd.DataFrame(columns)
    made["lists"] = [[i] * (i % 4) for i in range(ROWS)]
    made["a.b"] = rng.random(ROWS)
    made.loc[made.index[::7], "f3"] = np.nan
    return made


@pytest.fixture(scope="module", params=["numbered", "by text", "by an index that is a column of many"])
def path(request, frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "0.parquet"
    if request.param == "by text":
        frame = frame.set_index("t5")
    elif request.param != "numbered":
        frame = frame.set_index(pd.Index(np.random.default_rng(1).permutation(ROWS), name="at"))
    frame.to_parquet(path, row_group_size=3000)
    return path


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"split_row_groups": True},
        {"filesystem": "arrow"},
        {"filters": [("f1", ">", 0.4)]},
        {"filters": [("f1", ">", 0.4)], "columns": ["t1", "f9", "a.b"]},
        {"dtype_backend": "pyarrow"},
    ],
    ids=str,
)
def test_rows_are_those_of_the_whole(path, tmp_path, given) -> None:
    frame = dd.read_parquet(path, **given)
    for number, part in enumerate(sliced_parts(frame)):
        slices = list(part.slices(SLICE, Reading(by_columns=True, directory=str(tmp_path))))
        whole = frame.partitions[number].compute()
        assert len(slices) > 1 or "columns" in given
        pd.testing.assert_frame_equal(pd.concat(slices), whole)
        # Nothing is left of what was written.
        assert not list(tmp_path.glob("columns-*"))


def test_row_groups_of_a_partition_have_the_same_rows(path) -> None:
    (part,) = sliced_parts(dd.read_parquet(path))
    frame = dd.read_parquet(path, split_row_groups=True)
    for number in range(frame.npartitions):
        slices = list(part.of_row_group(number).slices(SLICE, Reading(by_columns=True)))
        assert len(slices) > 1
        whole = frame.partitions[number].compute()
        pd.testing.assert_frame_equal(pd.concat(slices).reset_index(drop=True), whole.reset_index(drop=True))


def test_first_rows_are_read_without_a_file(path, tmp_path) -> None:
    (part,) = sliced_parts(dd.read_parquet(path))
    first = next(
        part.slices(
            SLICE, Reading(by_columns=True, first_rows=True, directory=str(tmp_path / "that is not there"))
        )
    )
    assert 0 < len(first) <= options.SLICE_FIRST_ROWS


def test_columns_are_read_at_once_where_that_takes_little(path) -> None:
    with path.open("rb") as handle:
        file = pq.ParquetFile(handle)
        names = file.schema_arrow.names
        reader = ColumnReader(handle=handle, file=file, columns=names, with_index=False)
        assert reader.sets([0, 1], Reading(by_columns=False)) == [names]
        sets = reader.sets([0, 1], Reading())
        nbytes = column_nbytes(handle, file.metadata, [0, 1], names)
    assert [name for some in sets for name in some] == names
    assert len(sets) > 3
    assert all(len(some) == 1 or sum(nbytes[n] for n in some) <= options.READER_SET_NBYTES for some in sets)


def test_a_column_with_large_pages_stands_alone() -> None:
    sets = column_sets({"a": 10, "b": 10**9, "c": 10, "d": 10}, ["a", "b", "c", "d"])
    assert sets == [["a"], ["b"], ["c", "d"]]


def test_a_source_knows_what_few_columns_take(path) -> None:
    source = frame_source(dd.read_parquet(path))
    assert 0 < source.few_columns_nbytes < source.reader_nbytes


@pytest.mark.parametrize("recipe", ["sort", "rebalance"])
def test_files_of_columns_are_within_what_is_staged(frame, recipe, monkeypatch, tmp_path) -> None:
    frame.drop(columns="lists").to_parquet(tmp_path / "wide.parquet", row_group_size=3000)
    frame = dd.read_parquet(tmp_path / "wide.parquet")

    def made():
        if recipe == "sort":
            return safeframe.sort_values(frame, "k", staging=str(tmp_path), memory="2GiB")
        return safeframe.rebalance_partitions(
            frame, npartitions=2, strategy="staged", staging=str(tmp_path), memory="2GiB"
        )

    monkeypatch.setattr(options, "SLICE_NBYTES", 10 * SLICE)
    monkeypatch.setattr(options, "LEAST_SLICE_NBYTES", SLICE)
    monkeypatch.setattr(rebalance, "_read_in_slices", lambda facts: np.ones(len(facts.sizes.rows), bool))
    at_once = safeframe.explain(made()).written.staging_nbytes
    monkeypatch.setattr(options, "READER_FRACTION", 0.0)
    result = made()
    plan = safeframe.explain(result).written
    assert "wait on the disk" in plan.details()
    waiting = plan.staging_nbytes - at_once
    # Tasks run one after the other here, and were counted as many at a time as there are threads.
    own = waiting // (plan.budget.n_workers * plan.budget.threads_per_worker)
    seen = []
    real = sets_of_columns._side_by_side
    monkeypatch.setattr(
        sets_of_columns, "_side_by_side", lambda *given: seen.append(_on_disk()) or real(*given)
    )
    with dask.config.set(scheduler="synchronous"):
        safeframe.to_parquet(result, tmp_path / "output", write_index=False)
    assert 0 < max(seen) <= own <= 2 * max(seen)


def _on_disk() -> int:
    """Return the bytes of the files of columns that this process has open, which have no name any more."""
    nbytes = 0
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that they are listed by
            nbytes += handle.stat().st_size if "/columns-" in str(handle.readlink()) else 0
    return nbytes
