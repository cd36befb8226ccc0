from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safeframe.kernels.merge.virtual import join_runs
from safeframe.kernels.parquet.file import ColumnSource, GroupedFile
from safeframe.kernels.parquet.page import constant_steps, repeated_page, tiled_page
from safeframe.kernels.parquet.row_groups import JoinedGroups, Page, rectangle_shape
from safeframe.kernels.parquet.thrift import I32, LIST, STRUCT, integer, list_of, split_struct, struct
from safeframe.kernels.parquet.values import has_physical_form, physical_column


class TestThrift:
    @pytest.mark.parametrize("value", [0, 1, -1, 63, -64, 64, 2**31 - 1, -(2**31), 2**62])
    def test_integers_come_back(self, value):
        coded = integer(value)
        number, shift = 0, 0
        for byte in coded:
            number |= (byte & 0x7F) << shift
            shift += 7
        assert number >> 1 == (value if value >= 0 else -value - 1)
        assert (number & 1) == (value < 0)

    @pytest.mark.parametrize("size", [0, 1, 14, 15, 200])
    def test_a_struct_of_lists_is_taken_apart(self, size):
        inner = struct([(1, I32, integer(5)), (300, I32, integer(-7))])
        fields = [(2, LIST, list_of(STRUCT, [inner] * size)), (3, STRUCT, inner), (40, I32, integer(1))]
        assert split_struct(struct(fields)) == fields

    def test_footers_of_pyarrow_are_taken_apart_and_put_together(self):
        schema = pa.schema(
            [("a", pa.timestamp("us", "UTC")), ("b", pa.decimal128(9, 2)), ("c", pa.list_(pa.bool_()))]
        )
        sink = io.BytesIO()
        pq.write_table(schema.empty_table(), sink, write_page_index=True)
        file = sink.getvalue()
        footer = file[-8 - int.from_bytes(file[-8:-4], "little") : -8]
        assert struct(split_struct(footer)) == footer


class TestCodes:
    def test_what_repeats_takes_a_run_for_each_code(self):
        body, nulls = repeated_page(np.arange(100), 1000, n_codes=300)
        assert nulls == 0
        assert len(body) < 100 * 4 + 16

    def test_what_repeats_a_few_times_is_packed(self):
        assert len(repeated_page(np.arange(100), 2, n_codes=100)[0]) < 200 + 20

    def test_nulls_are_counted_as_often_as_they_stand(self):
        codes = np.array([0, -1, 1, -1])
        assert repeated_page(codes, 10, n_codes=2)[1] == 20
        assert repeated_page(codes, np.array([1, 2, 3, 4]), n_codes=2)[1] == 6
        assert tiled_page(codes, 7, n_codes=2)[1] == 14


@pytest.mark.parametrize("n_values", [1, 200, 256, 257, 70_000])
@pytest.mark.parametrize("holes", [False, True])
def test_pyarrow_reads_every_width_of_codes(n_values, holes):
    values = np.arange(n_values) * 3.5
    array = pa.array(values, mask=(np.arange(n_values) % 5 == 0) if holes else None)
    sink = io.BytesIO()
    file = GroupedFile(
        sink,
        pa.schema([("l", pa.float64()), ("r", pa.float64()), ("n", pa.int64())]),
        [
            ColumnSource("l", "left", physical_column(array), "none"),
            ColumnSource("r", "right", physical_column(array), "zstd"),
            ColumnSource("n", "rows", None, "snappy"),
        ],
    )
    rows = np.arange(n_values)
    for times in (1, 3, 9):
        none = np.zeros(1, np.int64)
        file.write_group(
            [
                Page(n_rows=n_values * times, left=rows, repeats=times, right=rows, times=times, keys=none,
                     key_repeats=n_values * times, pattern=(0, n_values)),
            ]
        )  # fmt: skip
    file.close()
    assert file.nbytes < len(sink.getvalue())
    read = pq.read_table(io.BytesIO(sink.getvalue()))
    assert read.column("l").to_pylist() == [
        v for times in (1, 3, 9) for v in np.repeat(array.to_pylist(), times)
    ]
    assert read.column("r").to_pylist() == [v for times in (1, 3, 9) for v in array.to_pylist() * times]
    assert read.column("n").to_pylist() == list(range(13 * n_values))


@pytest.mark.parametrize("n_rows", [1, 2, 128, 129, 130, 257, 1000])
def test_steps_take_five_bytes_a_block(n_rows):
    assert len(constant_steps(10**12, n_rows)) <= 24 + 5 * -(-(n_rows - 1) // 128)


class TestGroups:
    def test_every_row_is_in_one_page(self):
        rng = np.random.default_rng(0)
        left, right = rng.integers(0, 300, 50), rng.integers(0, 300, 50)
        join = join_runs(left, right, "outer")
        groups = JoinedGroups(join, int(left.sum()), 20_000)
        pages = [list(groups.pages(part, 3)) for part in range(3)]
        found = [page for part in pages for group in part for page in group]
        assert sum(page.n_rows for page in found) == join.n_rows
        assert max(sum(page.n_rows for page in group) for part in pages for group in part) <= 20_000
        whole = join.rows(0, join.n_rows)
        pairs = np.concatenate(
            [
                np.stack([np.repeat(page.left, page.repeats), np.tile(page.right, page.times)])
                for page in found
            ],
            axis=1,
        )
        expected = np.stack([whole.left_rows, whole.right_rows])
        order = [np.lexsort(both) for both in (pairs, expected)]
        np.testing.assert_array_equal(pairs[:, order[0]], expected[:, order[1]])

    def test_a_rectangle_keeps_to_a_row_group(self):
        for group_rows in (1, 100, 2**20):
            high, wide = rectangle_shape(np.array([1, 7, 1000, 10**7]), group_rows)
            assert (high * wide <= group_rows).all()
            assert (wide >= 1).all()


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (pa.int8(), True), (pa.uint64(), True), (pa.float32(), True), (pa.bool_(), True),
        (pa.timestamp("ns", "UTC"), True), (pa.timestamp("s"), False), (pa.date32(), True),
        (pa.large_string(), True), (pa.dictionary(pa.int32(), pa.string()), True),
        (pa.dictionary(pa.int32(), pa.null()), False), (pa.decimal128(5, 1), False), (pa.struct([]), False),
    ],
)  # fmt: skip
def test_types_that_can_be_written(kind, known):
    assert has_physical_form(kind) == known
