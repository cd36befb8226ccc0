"""What is taken for granted of the tasks of dask's parquet sources."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safeframe._dask import expressions, parquet_tasks, trees

FRAME = pd.DataFrame({"k": [1, 2, 3, 4], "a": [5.0, 6.0, 7.0, 8.0]})


@pytest.fixture(autouse=True)
def _synchronous() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_a_task_tells_its_file_and_makes_its_frame_of_another_table(tmp_path: Path, filesystem: str) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet", row_group_size=2)
    read = trees.lowered(dd.read_parquet(tmp_path, filesystem=filesystem)[["a"]].expr)
    assert parquet_tasks.is_parquet_read(read)
    (parts,) = parquet_tasks.parquet_task_parts(trees.task_of(read, 0)) or []
    assert isinstance(parts, parquet_tasks.TableParts)
    (part,) = pickle.loads(pickle.dumps(parts.parts))
    assert isinstance(part, parquet_tasks.TablePart)
    with part.open() as handle:
        assert pq.ParquetFile(handle).metadata.num_rows == 4
    assert part.row_groups() in (None, [0, 1])
    asked: list[parquet_tasks.FileRows] = []

    def table(wanted: parquet_tasks.FileRows) -> pa.Table:
        asked.append(wanted)
        return pa.table({"a": [1.0]})

    pd.testing.assert_frame_equal(part.frame(table), pd.DataFrame({"a": [1.0]}))
    assert [name for name in asked[0].columns if name is not None] == ["a"]
    assert asked[0].filters is None
    one = replace(part, row_groups=parquet_tasks.RowGroups((1,)))
    assert one.row_groups() == (1,)


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_filters_are_part_of_the_task(tmp_path: Path, filesystem: str) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet", row_group_size=2)
    ddf = dd.read_parquet(tmp_path, filesystem=filesystem, filters=[("k", ">", 2)])[["a"]]
    (parts,) = parquet_tasks.parquet_task_parts(trees.task_of(trees.lowered(ddf.expr), 0)) or []
    asked: list[parquet_tasks.FileRows] = []

    def table(wanted: parquet_tasks.FileRows) -> pa.Table:
        asked.append(wanted)
        return pa.table({"a": [1.0]})

    parts.parts[0].frame(table)
    assert asked[0].filtered_by == {"k"}
    assert len(pa.table({"k": [1, 3]}).filter(asked[0].filters)) == 1


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_partitions_that_dask_joins_are_parts_one_after_the_other(tmp_path: Path, filesystem: str) -> None:
    for number in range(9):
        FRAME.assign(b=[f"{number} text {row}" * 1000 for row in range(4)], c="c", d="d").to_parquet(
            tmp_path / f"{number}.parquet"
        )
    ddf = dd.read_parquet(tmp_path, filesystem=filesystem)[["a"]] + 1
    (joined,) = ddf.optimize(fuse=False).expr.dependencies()
    assert joined.npartitions < 9
    assert parquet_tasks.is_parquet_read(joined)
    numbered = [
        parquet_tasks.parquet_task_parts(trees.task_of(joined, at)) for at in range(joined.npartitions)
    ]
    assert sum(len(table.parts) for tables in numbered for table in tables or []) == 9


def test_other_tasks_are_not_taken_apart(tmp_path: Path) -> None:
    other: Any = dask.delayed(len)("abc")
    assert parquet_tasks.parquet_task_parts(other.__dask_graph__()[other.key]) is None
    assert parquet_tasks.parquet_task_parts(None) is None
    assert not parquet_tasks.is_parquet_read(dd.from_pandas(FRAME, npartitions=1).expr)
    FRAME.to_parquet(tmp_path / "one.parquet")
    special = dd.read_parquet(
        tmp_path, dataset={"format": pa.dataset.ParquetFileFormat(dictionary_columns={"k"})}
    )
    assert parquet_tasks.parquet_task_parts(trees.task_of(trees.lowered(special.expr), 0)) is None


def test_row_steps_give_each_slice_what_the_whole_has() -> None:
    steps, filters = expressions.row_steps(), expressions.row_filters()
    ddf = dd.from_pandas(FRAME, npartitions=1)
    for made in (
        ddf[["a"]],
        ddf.assign(b=1),
        ddf.astype("float32"),
        ddf.fillna(0),
        ddf.rename(columns={"a": "b"}),
        ddf.k.isin([1]),
        ddf.a.round(1),
        ddf.a.abs(),
        ddf.a.between(1, 2),
        np.log(ddf.a),
        ddf.a.where(ddf.k > 1),
    ):
        assert type(made.expr) in steps
    for made in (ddf[ddf.a > 1], ddf.dropna()):
        assert type(made.expr) in filters
    for made in (
        ddf.cumsum(),
        ddf.map_partitions(len),
        ddf.a.shift(1),
        ddf.reset_index(),
        ddf.drop_duplicates(),
    ):
        assert type(made.expr) not in steps | filters


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
@pytest.mark.parametrize("steps", [False, True])
def test_a_task_tells_its_files_whatever_it_is_fused_with(
    tmp_path: Path, filesystem: str, steps: bool
) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet")
    ddf = dd.read_parquet(tmp_path, filesystem=filesystem)
    expr = trees.lowered((ddf.assign(b=ddf["a"] + 1) if steps else ddf).expr).fuse()
    assert set(parquet_tasks.paths_read(trees.task_of(expr, 0))) == {str(tmp_path / "one.parquet")}
    assert list(parquet_tasks.paths_read(None)) == []
