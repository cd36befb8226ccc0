"""What is taken for granted of dask's parquet sources, and of expressions on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pytest
from dask.dataframe.api import new_collection

from safeframe._dask import expressions, parquet, trees

FRAME = pd.DataFrame({"k": [1, 2, 3, 4], "a": [5.0, 6.0, 7.0, 8.0]})


@pytest.fixture(autouse=True)
def _synchronous() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


def test_a_parquet_source_tells_its_parts_and_its_reader(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet", row_group_size=2)
    ddf = dd.read_parquet(tmp_path, split_row_groups=False)
    source = parquet.parquet_source(ddf)
    assert isinstance(source, parquet.ParquetSource)
    (part,) = source.parts
    assert set(part) == {"piece"}
    assert part["piece"][0].endswith("one.parquet")
    assert part["piece"][1] is None
    assert parquet.is_one_file(part)
    assert not parquet.is_one_file([part])
    assert parquet.part_groups(part) is None
    assert source.read.fs.exists(part["piece"][0])
    pd.testing.assert_frame_equal(source.read(part), FRAME)
    assert list(source.read.project_columns(["a"])(part)) == ["a"]
    assert parquet.source_rows(ddf) == (4,)
    split = parquet.parquet_source(dd.read_parquet(tmp_path, split_row_groups=True))
    assert split is not None
    assert [one["piece"][1] for one in split.parts] == [[0], [1]]
    assert [parquet.part_groups(one) for one in split.parts] == [(0,), (1,)]


def test_a_part_of_one_file_may_be_in_a_list(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet", row_group_size=2)
    ddf = dd.read_parquet(tmp_path, split_row_groups="adaptive", blocksize="1GiB")
    source = parquet.parquet_source(ddf)
    assert source is not None
    assert isinstance(source.parts[0], dict)
    pd.testing.assert_frame_equal(source.read(source.parts[0]), ddf.compute())


def test_a_frame_that_is_more_than_a_source_has_none(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet")
    ddf = dd.read_parquet(tmp_path)
    for more in (ddf + 1, ddf["a"], ddf.partitions[[0]], dd.read_parquet(tmp_path, filters=[("a", ">", 5)])):
        assert parquet.parquet_source(more) is None
        assert parquet.source_rows(more) is None
    arrow = dd.read_parquet(tmp_path, filesystem="arrow")
    assert parquet.parquet_source(arrow) is None
    assert parquet.source_rows(arrow) == (4,)
    dd.from_pandas(FRAME, npartitions=2).to_parquet(tmp_path / "hive", partition_on="k")
    assert parquet.parquet_source(dd.read_parquet(tmp_path / "hive")) is None


def test_dasks_reader_makes_its_frame_of_another_table(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet")
    source = parquet.parquet_source(dd.read_parquet(tmp_path)[["a"]])
    assert source is not None
    asked = []

    def table(path: str, fs: Any, row_groups: Any, columns: list[str], *_: Any, **__: Any) -> pa.Table:
        asked.append((path, columns[0]))
        return pa.table({"a": [1.0]})

    frame = parquet.reader_of_tables(source.read, table)(source.parts[0])
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": [1.0]}))
    assert asked == [(source.parts[0]["piece"][0], "a")]


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_a_parquet_source_tells_its_files(tmp_path: Path, filesystem: str) -> None:
    for name in ("a.parquet", "b.parquet"):
        FRAME.to_parquet(tmp_path / name)
    ddf = dd.read_parquet(tmp_path, filesystem=filesystem)
    assert parquet.is_parquet(ddf.expr)
    assert not parquet.is_parquet((ddf + 1).expr)
    wanted = {str(tmp_path / name) for name in ("a.parquet", "b.parquet")}
    for frame in (ddf[ddf["a"] > 1] + 1, (ddf[["a"]] + 1).optimize()):
        assert set(parquet.files_read(frame.expr)) == wanted
        assert set(parquet.local_files_read(frame.expr)) == wanted


def test_files_of_other_file_systems_are_not_local(tmp_path: Path) -> None:
    dd.from_pandas(FRAME, npartitions=1).to_parquet(f"memory://{tmp_path}")
    ddf = dd.read_parquet(f"memory://{tmp_path}")
    assert list(parquet.files_read(ddf.expr))
    assert not list(parquet.local_files_read(ddf.expr))


def test_a_fingerprint_is_of_the_files_and_not_of_the_process(tmp_path: Path) -> None:
    import subprocess
    import sys

    FRAME.to_parquet(tmp_path / "one.parquet")
    code = (
        "import sys, dask.dataframe as dd; from safeframe._dask.trees import fingerprint; "
        "print(fingerprint(dd.read_parquet(sys.argv[1])[['a']].expr))"
    )

    def seen() -> str:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    first = seen()
    assert first == seen() == f"{trees.fingerprint(dd.read_parquet(tmp_path)[['a']].expr)}\n"
    FRAME.assign(a=1.0).to_parquet(tmp_path / "one.parquet")
    assert first != seen()


class _Asks(expressions.Expr):
    _parameters = ["seen"]  # noqa: RUF012
    _meta = FRAME

    def _divisions(self) -> tuple[None, None]:
        return None, None

    def _lower(self) -> None:
        self.seen.append(trees.is_lowering())


def test_lowering_keeps_the_partitions(tmp_path: Path) -> None:
    for number in range(3):
        FRAME.to_parquet(tmp_path / f"{number}.parquet")
    expression = trees.lowered(dd.read_parquet(str(tmp_path)).expr)
    assert expression.npartitions == 3
    assert len(new_collection(expression).compute()) == 12
    seen: list[bool] = []
    trees.lowered(_Asks(seen))
    _Asks(seen).lower_completely()
    assert (set(seen[:-1]), seen[-1], trees.is_lowering()) == ({True}, False, False)


@pytest.mark.parametrize("reader", ["fsspec", "arrow"])
def test_what_files_a_source_has(tmp_path: Path, reader: str) -> None:
    for number in range(2):
        FRAME.to_parquet(tmp_path / f"{number}.parquet")
    ddf = dd.read_parquet(tmp_path, filesystem=reader, filters=[("k", ">", 1)])
    (node,) = (part for part in trees.every_part(ddf.expr) if parquet.is_parquet(part))
    files = parquet.files_of_read(node)
    assert isinstance(files, parquet.ParquetFiles)
    assert sorted(path.rpartition("/")[2] for path in files.paths) == ["0.parquet", "1.parquet"]
    assert files.schema.names[:2] == ["k", "a"]
    assert files.without_nulls == parquet.filtered_columns([[("k", ">", 1)]]) == {"k"}
    opened = files.fs.open if reader == "fsspec" else files.fs.open_input_file
    with opened(files.paths[0]) as handle:
        assert handle.read(4) == b"PAR1"
    kinds = parquet.kinds_read((ddf.merge(ddf, on="k")).expr)
    assert kinds["a"] == pa.float64()


def test_sources_are_replaced(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet")
    ddf = dd.read_parquet(tmp_path)
    made = dd.concat([ddf.assign(b=ddf.k + 1), ddf[ddf.k > 2]])

    def floats(node: Any) -> Any:
        return expressions.AsType(node, {"k": "float64"}) if parquet.is_parquet(node) else None

    other = new_collection(trees.with_sources(made.expr, floats, but="nothing"))
    assert other.b.dtype == "float64"
    assert other.compute().b.dropna().tolist() == [2.0, 3.0, 4.0, 5.0]
    assert trees.with_sources(made.expr, floats, but="dask") is made.expr
    assert trees.with_sources(made.expr, lambda _node: None, but="nothing") is made.expr
