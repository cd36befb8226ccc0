"""Bytes that are not what was written end in an error of ours, in little time and memory, and never in rows.

Parquet files, staged files, and what writes keep next to their files, with bytes changed, cut off, put in.
"""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import safeframe
from safeframe.engine.exchange.fetch import fetch, seal
from safeframe.engine.exchange.stage import stage_files
from safeframe.engine.parquet import resume
from safeframe.engine.parquet.in_place import MARKER, NEW, finish_moves
from safeframe.kernels.parquet.footer import group_sizes
from safeframe.kernels.parquet.page_head import read_page_head
from safeframe.kernels.parquet.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    DamagedBytesError,
    integer,
    list_of,
    read_struct,
    split_struct,
    struct,
)
from safeframe.sizing.remembered import STORE
from tests.property.test_staged_columns_properties import ByNumber, Columns

ROWS = 400
MOST_NBYTES = 2**22
"""What reading some hundred bytes may take: Python's own objects for each."""


def a_frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "k": rng.integers(0, 50, ROWS),
            "t": pd.array([f"word {i}" for i in rng.integers(0, 30, ROWS)], dtype="str"),
            "n": pd.array(np.where(rng.random(ROWS) < 0.2, None, 7), dtype="Int64"),
            "f": rng.random(ROWS),
        }
    )


def a_file(**options) -> bytes:
    sink = pa.BufferOutputStream()
    # Not of pandas: types of columns with nulls are looked for.
    table = pa.Table.from_pandas(a_frame(), preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, sink, row_group_size=150, **options)
    return sink.getvalue().to_pybytes()


def footer_of(file: bytes) -> bytes:
    length = int.from_bytes(file[-8:-4], "little")
    return file[-8 - length : -8]


@st.composite
def changed(draw, original: bytes):
    """Return bytes with some of them changed, cut off, put in, or moved."""
    found = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(found) - 1, 0)))
        way = draw(st.sampled_from(["flip", "cut", "put", "zero", "drop"]))
        if way == "flip" and found:
            found[at] ^= draw(st.integers(1, 255))
        elif way == "cut":
            del found[at:]
        elif way == "put":
            found[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif way == "zero":
            found[at : at + 16] = bytes(len(found[at : at + 16]))
        else:
            del found[at : at + draw(st.integers(1, 16))]
    return bytes(found)


PARQUET = a_file()
FOOTER = footer_of(PARQUET)
DEEP = bytes([0x10 | STRUCT]) * 100_000
LONG_NUMBER = b"\x15" + b"\xff" * 100_000
MANY_FLAGS = bytes([0x10 | LIST, 0xF1]) + b"\xff" * 8 + b"\x7f"
LONG_TEXT = bytes([0x10 | BINARY]) + b"\xff" * 8 + b"\x01"


@example(DEEP)
@example(LONG_NUMBER)
@example(MANY_FLAGS)
@example(LONG_TEXT)
@given(st.one_of(st.binary(max_size=300), changed(FOOTER)))
def test_footers_and_page_heads(data):
    tracemalloc.start()
    try:
        for read in (read_struct, split_struct, group_sizes, read_page_head):
            try:
                read(data)
            except DamagedBytesError:
                continue
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_NBYTES


@pytest.mark.parametrize(
    ("read", "data", "message"),
    [
        (read_struct, LONG_NUMBER, "more than 64 bits"),
        (read_struct, DEEP, "deep"),
        (read_struct, LONG_TEXT, "are said to be at 10 of 10"),
        (read_page_head, struct([(2, I32, integer(5)), (3, I32, integer(-5))]), "no head of one"),
        (read_page_head, struct([(2, I32, integer(5))]), "no head of one"),
        (
            group_sizes,
            struct([(4, LIST, list_of(STRUCT, [struct([(1, LIST, list_of(I32, []))])]))]),
            "KeyError",
        ),
        (
            group_sizes,
            struct(
                [(4, LIST, list_of(STRUCT, [struct([(1, LIST, list_of(I32, [])), (3, I64, integer(-1))])]))]
            ),
            "-1 counts nothing",
        ),
    ],
)
def test_what_is_wrong_is_said(read, data, message):
    with pytest.raises(DamagedBytesError, match=message):
        read(data)


FORMS = {
    "plain": {"use_dictionary": False},
    "dictionary": {},
    "second": {"data_page_version": "2.0", "compression": "zstd"},
    "small pages": {"data_page_size": 200, "write_page_index": True},
}


@settings(max_examples=60)
@given(data=st.data(), form=st.sampled_from(sorted(FORMS)), where=st.sampled_from(["all", "footer"]))
def test_parquet_files(data, form, where):
    original = a_file(**FORMS[form])
    if where == "footer":
        footer = footer_of(original)
        new = data.draw(changed(footer))
        damaged = original[: -8 - len(footer)] + new + len(new).to_bytes(4, "little") + b"PAR1"
    else:
        damaged = data.draw(changed(original))
    assume(damaged != original)
    with tempfile.TemporaryDirectory() as directory, dask.config.set(scheduler="sync"):
        for number in range(2):
            Path(directory, f"{number}.parquet").write_bytes(original)
        frame = dd.read_parquet(directory, split_row_groups=True)
        other = dd.from_pandas(a_frame()[["k", "f"]], npartitions=2)
        Path(directory, "1.parquet").write_bytes(damaged)
        STORE.clear()
        for make in (
            lambda: safeframe.sort_values(frame, ["t", "k"], memory="2GiB"),
            lambda: safeframe.merge(frame, other, on="k", memory="2GiB"),
            lambda: safeframe.groupby(frame, "t", memory="2GiB").agg({"n": "sum"}),
        ):
            said = _said(make)
            assert said is None or "1.parquet" in said or "SchemaMismatchError" in said


def _said(make) -> str | None:
    """Return the error of ours that a plan ends in; None where it is made."""
    try:
        safeframe.explain(make())
    except safeframe.SafeframeError as error:
        return f"{type(error).__name__}: {error}"
    return None


def test_a_damaged_head_of_a_page_is_told_with_its_file(tmp_path):
    path = tmp_path / "one.parquet"
    path.write_bytes(PARQUET)
    frame = dd.read_parquet(tmp_path)
    start = pq.ParquetFile(path).metadata.row_group(0).column(1).dictionary_page_offset
    path.write_bytes(PARQUET[:start] + bytes(8) + PARQUET[start + 8 :])
    with pytest.raises(safeframe.ValidationError, match=r"The parquet file .*one\.parquet cannot be read: "):
        safeframe.explain(safeframe.sort_values(frame, "t", memory="2GiB"))


def test_a_damaged_page_is_told_with_its_file_where_it_is_met(tmp_path):
    path = tmp_path / "one.parquet"
    path.write_bytes(PARQUET)
    frame = dd.read_parquet(tmp_path)
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(3)
    at = chunk.data_page_offset + 40
    path.write_bytes(PARQUET[:at] + bytes(200) + PARQUET[at + 200 :])
    with (
        dask.config.set(scheduler="sync"),
        pytest.raises(safeframe.ValidationError, match=r"The parquet file .*one\.parquet cannot be read: "),
    ):
        safeframe.rebalance_partitions(frame, npartitions=3, memory="2GiB").compute()


def _looks_up(part, path):
    pq.read_table(path)
    return part


def test_a_damaged_file_that_a_users_function_reads_is_its_own_matter(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.parquet").write_bytes(PARQUET)
    (tmp_path / "lookup.parquet").write_bytes(PARQUET[:-50])
    frame = dd.read_parquet(tmp_path / "data")
    looked = frame.map_partitions(_looks_up, tmp_path / "lookup.parquet", meta=frame._meta)
    with dask.config.set(scheduler="sync"), pytest.raises(pa.ArrowInvalid, match="magic bytes"):
        safeframe.sort_values(looked, "k", memory="2GiB").compute()


@settings(max_examples=60)
@given(data=st.data(), texts=st.booleans())
def test_staged_files(data, texts):
    frame = a_frame()[["k", "t", "f"]] if texts else a_frame()[["k", "f"]]
    names = tuple(frame.columns)
    numbers = frame["k"].to_numpy() % 5
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "run").mkdir()
        files = stage_files([lambda: frame], Columns(frame), ByNumber(numbers, 5), f"{directory}/run", 2**20)
        (file,) = files
        original = Path(file.path).read_bytes()
        Path(file.path).write_bytes(data.draw(changed(original)))
        found = []
        try:
            sealed = seal(files, tuple(frame.dtypes), 5)
            found.extend((shard, fetch(sealed, shard)) for shard in range(5))
        except (safeframe.StagingError, safeframe.RowConservationError):
            pass
        for shard, columns in found:
            for name, column in zip(names, columns, strict=True):
                expected = frame.loc[numbers == shard, name].reset_index(drop=True)
                pd.testing.assert_series_equal(pd.Series(column, name=name, dtype=expected.dtype), expected)


@given(st.data())
def test_a_division_of_an_earlier_run(data):
    layout = SimpleNamespace(
        starts=np.array([0, 2**63], np.uint64),
        single_key=np.zeros(2, bool),
        cells=np.ones(2, int),
        null_shard=None,
    )
    write = SimpleNamespace(
        layout=layout, right_slices=np.ones(2, int), group_rows=9, file_nbytes=99, steps=()
    )
    with tempfile.TemporaryDirectory() as directory:
        resume.save_division(directory, write)
        (path,) = Path(directory).iterdir()
        original = path.read_bytes()
        new = data.draw(changed(original))
        assume(new != original)
        path.write_bytes(new)
        assert resume.as_divided_before(directory, write) is write


@given(st.data())
def test_names_of_files_that_move(data):
    moves = json.dumps({"new": ["part.0.parquet"], "old": ["part.0.parquet", "part.1.parquet"]}).encode()
    with tempfile.TemporaryDirectory() as base:
        place, work = Path(base, "place"), Path(base, "place", ".safeframe-0")
        work.mkdir(parents=True)
        outside = Path(base, "outside.parquet")
        outside.write_text("not of the dataset")
        for name in ("part.0.parquet", "part.1.parquet"):
            (place / name).write_text("old")
        (work / f"part.0.parquet{NEW}").write_text("new")
        (work / MARKER).write_bytes(
            data.draw(
                st.one_of(
                    changed(moves),
                    st.just(json.dumps({"new": [], "old": ["../outside.parquet"]}).encode()),
                    st.sampled_from([b"", b"[]", b"3", b'{"new": 1, "old": 2}', b'{"new": [1], "old": []}']),
                )
            )
        )
        try:
            finish_moves(work, place)
        except safeframe.ValidationError:
            assert (place / "part.1.parquet").read_text() == "old"
            assert (work / f"part.0.parquet{NEW}").exists()
        assert outside.exists()
