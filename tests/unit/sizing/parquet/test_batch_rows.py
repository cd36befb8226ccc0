"""Batches that are decoded stay small where rows get wider, wherever in a row group that is."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safeframe import options
from safeframe.sizing.parquet.batch_rows import batch_rows
from safeframe.sizing.parquet.column_sets import ANY_WAY, ColumnReader, Reading
from safeframe.sizing.partitions.slices import sliced_parts

ROWS, FIRST, LAST = 60_000, 25_000, 30_000
WIDE = 2000
SLICE = 2**21
BATCH = SLICE // options.SLICE_BATCHES


def long_in_the_middle(kind: str) -> pa.Array:
    """Return narrow values, of which those in the middle are wide."""
    numbers = np.arange(ROWS)
    wide = (numbers >= FIRST) & (numbers < LAST)
    match kind:
        case "different":
            return pa.array([f"{i:016}" * (WIDE // 16 if wide[i] else 1) for i in numbers])
        case "large":
            return long_in_the_middle("different").cast(pa.large_string())
        case "bytes":
            return long_in_the_middle("different").cast(pa.binary())
        case "repeated":
            return pa.array([f"{i % 7}" * (WIDE if wide[i] else 1) for i in numbers])
        case "repeated after nulls":
            return pa.array([None if i < 5000 else f"{i % 7}" * (WIDE if wide[i] else 1) for i in numbers])
    return pa.array([[int(i)] * (WIDE // 8 if wide[i] else 1) for i in numbers])


WRITERS = {
    "default": {},
    "plain": {"use_dictionary": False},
    "second pages": {"use_dictionary": False, "data_page_version": "2.0", "compression": "none"},
    "lengths": {"use_dictionary": False, "column_encoding": {"s": "DELTA_LENGTH_BYTE_ARRAY"}},
    "prefixes": {"use_dictionary": False, "column_encoding": {"s": "DELTA_BYTE_ARRAY"}},
}


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """The bytes of each batch that is decoded."""
    found: list[int] = []
    real = ColumnReader.batches

    def batches(*arguments, **more):
        for batch in real(*arguments, **more):
            found.append(batch.nbytes)
            yield batch

    monkeypatch.setattr(ColumnReader, "batches", batches)
    with dask.config.set(scheduler="synchronous"):
        yield found


def slices_of(path: str, way: str) -> tuple[dd.DataFrame, list[pd.DataFrame]]:
    frame = dd.read_parquet(path, **({"filesystem": "arrow"} if way == "arrow" else {}))
    (part,) = sliced_parts(frame)
    return frame, list(part.slices(SLICE, Reading(by_columns=True) if way == "by columns" else ANY_WAY))


@pytest.mark.parametrize("way", ["at once", "arrow", "by columns"])
@pytest.mark.parametrize(
    ("kind", "writer"),
    [
        *[("different", writer) for writer in WRITERS],
        ("large", "default"),
        ("bytes", "default"),
        ("repeated", "default"),
        ("repeated after nulls", "default"),
        ("lists", "default"),
    ],
)
def test_batches_stay_small(kind, writer, way, decoded, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(options, "READER_SET_NBYTES", 1)
    table = pa.table({"k": np.arange(ROWS), "s": long_in_the_middle(kind)})
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=ROWS, **WRITERS[writer])
    frame, slices = slices_of(str(tmp_path / "one.parquet"), way)
    whole = frame.compute()
    largest = max(decoded)
    wide = (LAST - FIRST) * WIDE
    assert sum(decoded) > wide
    # A page of strings is some 2 MiB here: a batch may lie in one and in a part of the next.
    goal = SLICE if way == "row groups" else BATCH
    assert largest <= max(options.BATCH_WIDENING * goal, 2**21) + 2**21 < wide
    pd.testing.assert_frame_equal(pd.concat(slices).reset_index(drop=True), whole.reset_index(drop=True))


@pytest.mark.parametrize("kind", ["different", "lists"])
def test_batches_of_files_in_a_store_stay_small(kind, decoded) -> None:
    table = pa.table({"k": np.arange(ROWS), "s": long_in_the_middle(kind)})
    with fsspec.open("memory://batch-rows/one.parquet", "wb") as sink:
        pq.write_table(table, sink, row_group_size=ROWS)
    try:
        slices_of("memory://batch-rows/one.parquet", "at once")
    finally:
        fsspec.filesystem("memory").rm("/batch-rows", recursive=True)
    assert max(decoded) < 2**22 < (LAST - FIRST) * WIDE


def test_rows_are_no_fewer_where_none_is_wide(tmp_path) -> None:
    table = pa.table({"k": np.arange(ROWS), "s": [f"{i % 1000:08}" for i in range(ROWS)]})
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=ROWS)
    with (tmp_path / "one.parquet").open("rb") as handle:
        file = pq.ParquetFile(handle)
        found = batch_rows(handle, file, 0, file.schema_arrow, 2**21, options.SLICE_MOST_ROWS)
    assert found.most == found.after(20.0) == options.SLICE_MOST_ROWS
    assert not found.blind


@pytest.mark.parametrize("seed", range(6))
def test_no_window_has_many_more_bytes(seed, tmp_path) -> None:
    rng = np.random.default_rng(seed)
    lengths = np.repeat(rng.integers(0, 3000, 40) ** 2 // 3000, rng.integers(1, 800, 40))
    table = pa.table({"s": ["x" * int(n) for n in lengths], "t": ["y" * int(n) for n in lengths[::-1]]})
    path, n, nbytes = tmp_path / "one.parquet", len(lengths), 200_000
    pq.write_table(table, path, row_group_size=n, use_dictionary=bool(seed % 2), data_page_size=50_000)
    with path.open("rb") as handle:
        file = pq.ParquetFile(handle)
        found = batch_rows(handle, file, 0, file.schema_arrow, nbytes, 2**15)
    ends = np.concatenate([[0], (lengths + lengths[::-1]).cumsum()])
    most = min(found.most, n)
    windows = ends[most:] - ends[:-most]
    page = 1024 * int(lengths.max())
    assert windows.max() <= max(options.BATCH_WIDENING * nbytes, page) + 2 * page
    assert found.row_nbytes == pytest.approx(ends[-1] / n + 8, rel=0.1)


def test_small_dictionaries_of_many_columns_are_not_taken_for_strings(tmp_path) -> None:
    columns, rows = 60, 2000
    texts = {f"s{i}": pa.array([f"{(row * 7 + i) % 300:016}" for row in range(rows)]) for i in range(columns)}
    path = tmp_path / "one.parquet"
    pq.write_table(pa.table(texts), path)
    with path.open("rb") as handle:
        file = pq.ParquetFile(handle)
        found = batch_rows(handle, file, 0, file.schema_arrow, 2**24, options.SLICE_MOST_ROWS)
        few = batch_rows(handle, file, 0, file.schema_arrow, 2**16, options.SLICE_MOST_ROWS)
    assert found.most == options.SLICE_MOST_ROWS, "all rows have 2 MiB"
    assert 2**16 <= few.most * few.row_nbytes <= 2**17
    assert found.row_nbytes <= columns * (16 + 5)


@pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 21, reason="pyarrow writes such types to parquet files since 21"
)
def test_types_without_a_dictionary_of_their_own(tmp_path) -> None:
    documents = pa.array([f'{{"a": "{"x" * 4000}{row % 9}"}}' for row in range(2000)]).cast(pa.json_())
    views = pa.array([f"{row % 9}" * 4000 for row in range(2000)], pa.string_view())
    path = tmp_path / "one.parquet"
    pq.write_table(pa.table({"j": documents, "v": views}), path)
    with path.open("rb") as handle:
        file = pq.ParquetFile(handle)
        found = batch_rows(handle, file, 0, file.schema_arrow, 2**20, options.SLICE_MOST_ROWS)
    assert found.blind
