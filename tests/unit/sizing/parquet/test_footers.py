"""Footers of parquet files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safeframe.errors import ValidationError
from safeframe.sizing.parquet.footers import joined_columns, read_footers

FRAME = pd.DataFrame({"k": range(23), "x": 0.5, "small": pd.Series([1] * 23, dtype="int16"), "flag": True})


def test_a_file_of_fixed_widths_is_known_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    FRAME.to_parquet(path, index=False, row_group_size=7)
    (file,) = read_footers(str(path))
    assert (file.rows, file.row_groups, file.largest_row_group_rows) == (23, 4, 7)
    assert file.file_nbytes == path.stat().st_size
    assert file.exact
    assert file.nbytes_at_least == FRAME.memory_usage(index=False).sum() == 23 * (8 + 8 + 2 + 1)


def test_columns_without_a_width_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    FRAME.assign(text="abc", kind=pd.Categorical(["a"] * 23)).to_parquet(path, index=False)
    (file,) = read_footers(str(path))
    assert not file.exact
    assert file.nbytes_at_least == 23 * 19


def test_a_directory_gives_its_data_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, rows in (("b.parquet", 2), ("a.parq", 3), ("sub/c.pq", 5)):
        FRAME.head(rows).to_parquet(tmp_path / name)
    for name in ("_metadata.parquet", ".hidden.parquet", "notes.txt"):
        (tmp_path / name).write_text("no data")
    assert [file.rows for file in read_footers(str(tmp_path))] == [3, 2, 5]
    assert [file.rows for file in read_footers(f"file://{tmp_path}")] == [3, 2, 5]


def test_nothing_there_is_said_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"There is no parquet file at .*\n\nHint: "):
        read_footers(str(tmp_path))


def test_what_is_no_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(ValidationError, match=r"bad\.parquet cannot be read: "):
        read_footers(str(tmp_path))


def test_columns_of_all_files_together(tmp_path: Path) -> None:
    nested = pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])
    first = pa.table(
        {"x": [3, None, 1], "s": pa.array([{"a": 1, "b": ["q"]}] * 3, nested), "y": ["b", "c", "a"]}
    )
    second = pa.table({"x": [9, 7], "y": pa.array([2, 3], pa.int8()), "empty": pa.nulls(2, pa.float64())})
    pq.write_table(first, tmp_path / "1.parquet", row_group_size=2)
    pq.write_table(second, tmp_path / "2.parquet")
    x, s, y, empty = joined_columns(read_footers(str(tmp_path)))
    assert (x.name, x.row_nbytes, x.nulls, x.minimum, x.maximum) == ("x", 8, 1, 1, 9)
    # The leaves before it are those of the struct.
    assert (y.types, y.row_nbytes, y.minimum) == ((pa.string(), pa.int8()), None, None)
    assert (s.row_nbytes, s.nulls, s.minimum) == (None, None, None)
    assert (empty.nulls, empty.minimum, empty.maximum) == (2, None, None)
    on_disk = sum(column.file_nbytes for column in (x, s, y, empty))
    groups = [pq.ParquetFile(path).metadata for path in sorted(tmp_path.glob("*.parquet"))]
    assert on_disk == sum(
        meta.row_group(i).column(j).total_compressed_size
        for meta in groups
        for i in range(meta.num_row_groups)
        for j in range(meta.num_columns)
    )


def test_a_footer_without_statistics(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "1.parquet", write_statistics=False)
    (column,) = joined_columns(read_footers(str(tmp_path)))
    assert (column.nulls, column.minimum, column.maximum) == (None, None, None)
