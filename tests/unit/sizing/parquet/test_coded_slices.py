"""Slices whose text comes as categories have the rows, and the bytes as text, of those that are read as text."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safeframe.engine.planned.cells import rows_nbytes
from safeframe.sizing.parquet.column_sets import Reading
from safeframe.sizing.parquet.dictionaries import kept_in_dictionaries
from safeframe.sizing.partitions.slices import sliced_parts

WORDS = [f"{number:06}" for number in range(4_000)]


def made(directory, numbers, words, columns=1, **options):
    """Write one row group of columns whose values are numbers of the same words."""
    column = pa.DictionaryArray.from_arrays(pa.array(numbers.astype("i4")), pa.array(words))
    table = pa.table({"k": np.arange(len(numbers)), **{f"s{place}": column for place in range(columns)}})
    pq.write_table(table, directory / "0.parquet", row_group_size=len(numbers), store_schema=False, **options)
    return dd.read_parquet(str(directory))


def slices(ddf, nbytes, names):
    for part in sliced_parts(ddf):
        yield from part.slices(nbytes, Reading(as_categories=frozenset(names)))


def test_dictionaries_do_not_make_slices_short(tmp_path):
    numbers = np.random.default_rng(1).integers(0, len(WORDS), 120_000)
    ddf = made(tmp_path, numbers, WORDS, columns=6)
    names = {f"s{place}" for place in range(6)}
    as_numbers = list(slices(ddf, 2**20, names))
    assert any(str(dtype) == "category" for dtype in as_numbers[0].dtypes)
    assert sum(map(len, as_numbers)) == len(numbers)
    assert len(as_numbers) <= 1.5 * len(list(slices(ddf, 2**20, ())))


def test_text_that_becomes_long_is_cut(tmp_path):
    words = [*WORDS[:100], *(letter * 20_000 for letter in "abcdefghij")]
    numbers = np.concatenate([np.arange(100_000) % 100, 100 + np.arange(3_000) % 10])
    read = 0
    for frame in slices(made(tmp_path, numbers, words), 2**20, {"s0"}):
        assert str(frame.s0.dtype) == "category"
        assert rows_nbytes(frame, {"s0"}) <= 1.3 * 2**20
        assert frame.s0.astype(str).to_list() == [words[n] for n in numbers[read : read + len(frame)]]
        read += len(frame)
    assert read == len(numbers)


def test_how_often_long_text_is_there_counts(tmp_path):
    # Of a thousand words the longest has four times the mean length, and nearly all rows have it.
    words = ["x" * 20_000, *(f"{number:05}" * 1000 for number in range(40))]
    numbers = np.where(np.arange(80_000) % 1000, 0, np.arange(80_000) % 41)
    for frame in slices(made(tmp_path, numbers, words), 2**22, {"s0"}):
        assert str(frame.s0.dtype) == "category"
        assert rows_nbytes(frame, {"s0"}) <= 1.3 * 2**22


@pytest.mark.parametrize(
    ("n_words", "slice_nbytes", "kept"), [(4_000, 2**24, 6), (60_000, 2**24, 0), (4_000, 2**19, 1)]
)
def test_dictionaries_are_small_beside_a_slice(n_words, slice_nbytes, kept, tmp_path):
    words = [f"{number * 7919 % 10**6:06}" for number in range(n_words)]
    made(tmp_path, np.arange(120_000) % n_words, words, columns=6)
    file = pq.ParquetFile(tmp_path / "0.parquet")
    assert len(kept_in_dictionaries(file, [0], {f"s{place}" for place in range(6)}, slice_nbytes)) == kept
