"""Columns of text that a parquet file keeps in dictionaries: each value once in a row group, and its number in each row.

Covers: which columns are worth reading as categories, and what they would have as text.
Does not cover: reading them (``sizing.parquet.stream``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safeframe import options
from safeframe.kernels.columns.categories import is_text_or_view


def kept_in_dictionaries(
    file: pq.ParquetFile, groups: Sequence[int], columns: Collection[str]
) -> frozenset[str]:
    """Return which columns are text that all row groups keep in dictionaries, about.

    A column whose dictionary became too large has text in its later pages, which would be looked up value by value. Its
    row group has more bytes than numbers have.
    """
    if not columns:
        return frozenset()  # a wide file has many leaves
    leaves = {file.metadata.schema.column(leaf).path: leaf for leaf in range(len(file.metadata.schema))}
    schema = file.schema_arrow
    found = []
    for name in columns:
        if name not in leaves or not is_text_or_view(schema.field(name).type):
            continue
        chunks = (file.metadata.row_group(group).column(leaves[name]) for group in groups)
        if all(
            chunk.has_dictionary_page
            and chunk.total_uncompressed_size <= options.DICTIONARY_ROW_NBYTES * chunk.num_values
            for chunk in chunks
        ):
            found.append(name)
    return frozenset(found)


def text_nbytes(column: pa.DictionaryArray) -> int:
    """Return the bytes that numbered strings have as text, about.

    Examples
    --------
    >>> words = pa.array(["a" * 1000, *"bcdefgh"])
    >>> [text_nbytes(pa.DictionaryArray.from_arrays([n] * 100, words)) for n in (0, 1)]
    [100400, 500]
    """
    words, rows = column.dictionary, len(column)
    if not len(words):
        return 0
    mean = words.nbytes / len(words)
    lengths = pc.fill_null(pc.binary_length(words), 0)
    if pc.max(lengths).as_py() <= options.EVEN_LENGTHS * mean:
        return int(rows * mean)
    # Of long strings among short ones it matters how often each of them is there.
    numbers = column.indices.drop_null().to_numpy()
    return int(lengths.to_numpy().take(numbers).sum(dtype=np.int64)) + 4 * rows
