"""Columns of text that a parquet file keeps in dictionaries: each value once in a row group, and its number in each row.

Covers: which columns are worth reading as categories, and what they would have as text.
Does not cover: reading them (``sizing.parquet.stream``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safeframe import options
from safeframe.kernels.columns.categories import is_text_or_view


def kept_in_dictionaries(
    file: pq.ParquetFile, groups: Sequence[int], columns: Collection[str], slice_nbytes: int = 2**40
) -> frozenset[str]:
    """Return which columns are text that all row groups keep in small dictionaries, about.

    A column whose dictionary became too large has text in its later pages, which would be looked up value by value. Its
    row group has more bytes than numbers have. Each slice makes categories of all dictionaries, whatever rows it has, so
    that they are to be small beside it.

    Parameters
    ----------
    file, groups
        The row groups that are read.
    columns
        Those that may come as categories.
    slice_nbytes
        Bytes of the slices that are read.
    """
    if not columns:
        return frozenset()  # a wide file has many leaves
    leaves = {file.metadata.schema.column(leaf).path: leaf for leaf in range(len(file.metadata.schema))}
    schema = file.schema_arrow
    room_nbytes = slice_nbytes // options.SLICE_OF_DICTIONARIES
    found = []
    for name in columns:
        if name not in leaves or not is_text_or_view(schema.field(name).type):
            continue
        chunks = [file.metadata.row_group(group).column(leaves[name]) for group in groups]
        if all(
            chunk.has_dictionary_page
            and chunk.total_uncompressed_size <= options.DICTIONARY_ROW_NBYTES * chunk.num_values
            for chunk in chunks
        ):
            found.append((max(map(_dictionary_nbytes, chunks), default=0), name))
    kept = []
    for nbytes, name in sorted(found):
        room_nbytes -= nbytes
        if nbytes <= options.CATEGORIES_NBYTES and room_nbytes >= 0:
            kept.append(name)
    return frozenset(kept)


def _dictionary_nbytes(chunk: pq.ColumnChunkMetaData) -> int:
    """Return the bytes of a dictionary in its file, before its data pages."""
    first: int = chunk.data_page_offset
    return first - (chunk.dictionary_page_offset or first)


def text_lengths_of(table: pa.Table, categories: Collection[str]) -> npt.NDArray[np.int64]:
    """Return the bytes of each row of a table, categories as text; of other columns the mean.

    Examples
    --------
    >>> numbers = pa.DictionaryArray.from_arrays([1, None, 0], ["a", "bcd"])
    >>> text_lengths_of(pa.table({"v": [1, 2, 3], "s": numbers}), {"s"})
    array([11,  8,  9])
    """
    found = np.zeros(len(table), np.int64)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name not in categories:
            found += -(-column.nbytes // max(1, len(table)))
            continue
        at = 0
        for chunk in column.chunks:
            lengths = pc.fill_null(pc.binary_length(chunk.dictionary), 0).to_numpy().astype(np.int64)
            numbers = pc.fill_null(chunk.indices, -1).to_numpy()
            found[at : at + len(chunk)] += np.append(lengths, 0)[numbers]
            at += len(chunk)
    return found


def text_nbytes(column: pa.DictionaryArray) -> int:
    """Return the bytes that numbered strings have as text, about.

    Examples
    --------
    >>> words = pa.array(["a" * 1000, *"bcdefgh"])
    >>> [text_nbytes(pa.DictionaryArray.from_arrays([n] * 100, words)) for n in (0, 1)]
    [100400, 500]
    """
    rows = len(column)
    lengths = pc.fill_null(pc.binary_length(column.dictionary), 0).to_numpy()
    if not len(lengths) or lengths.min() == lengths.max():
        return rows * (int(lengths.max(initial=0)) + 4)
    # It matters how often each of them is there.
    numbers = column.indices.drop_null().to_numpy()
    return int(lengths.take(numbers).sum(dtype=np.int64)) + 4 * rows
