"""A footer tells the bytes of decoded strings where its writer noted them."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safeframe.kernels.parquet.footer import group_sizes

TABLE = pa.table(
    {
        "s": ["a" * 10, None, "bb"] * 100,
        "l": [["x", "yy"], None, []] * 100,
        "i": range(300),
        "t": [{"a": "x", "b": 1}] * 300,
    }
)


def footer_of(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    file = sink.getvalue()
    return file[-8 - int.from_bytes(file[-8:-4], "little") : -8]


# The footer says how many bytes strings have; without it they are sampled, as of files of other writers.
writes_sizes = pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 20, reason="pyarrow writes sizes into footers since 20"
)


@writes_sizes
def test_bytes_and_rows_of_each_row_group():
    groups = group_sizes(footer_of(TABLE, row_group_size=99))
    assert [group.rows for group in groups] == [99, 99, 99, 3]
    assert list(groups[0].columns) == ["s", "l.list.element", "i", "t.a", "t.b"]
    text = groups[0].columns["s"]
    assert (text.values, text.nulls, text.decoded_nbytes) == (99, 33, 33 * 12)
    assert text.encoded_nbytes < text.decoded_nbytes
    nested = groups[0].columns["l.list.element"]
    assert (nested.values, nested.nulls, nested.decoded_nbytes) == (132, 66, 99)
    assert groups[0].columns["i"].decoded_nbytes is None


def test_only_the_columns_that_are_of_interest():
    (group,) = group_sizes(footer_of(TABLE), {"l", "t"})
    assert list(group.columns) == ["l.list.element", "t.a", "t.b"]


def test_writers_that_do_not_note_them(monkeypatch):
    monkeypatch.setattr("safeframe.kernels.parquet.footer._SIZE_STATISTICS", 99)
    (group,) = group_sizes(footer_of(TABLE, write_statistics=False))
    assert group.columns["s"].decoded_nbytes is None
    assert group.columns["s"].nulls is None


def test_a_file_without_rows():
    assert sum(group.rows for group in group_sizes(footer_of(TABLE[:0]))) == 0


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_columns_of_which_all_pages_are_numbers(version):
    table = pa.table({"few": ["a", "bb"] * 2_000, "many": [f"value {number}" for number in range(4_000)]})
    options = {"data_page_version": version, "data_page_size": 256, "dictionary_pagesize_limit": 1_000}
    (group,) = group_sizes(footer_of(table, **options))
    assert {name: chunk.numbered for name, chunk in group.columns.items()} == {"few": True, "many": False}
    (group,) = group_sizes(footer_of(table, use_dictionary=False))
    assert not any(chunk.numbered for chunk in group.columns.values())
