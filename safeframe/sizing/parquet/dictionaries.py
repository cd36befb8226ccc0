"""Columns of text that a parquet file keeps in dictionaries: each value once in a row group, and its number in each row.

Covers: which columns are worth reading as categories.
Does not cover: reading them (``sizing.parquet.stream``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe.kernels.columns.categories import is_text


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
        if name not in leaves or not _is_string(schema.field(name).type):
            continue
        chunks = (file.metadata.row_group(group).column(leaves[name]) for group in groups)
        if all(
            chunk.has_dictionary_page
            and chunk.total_uncompressed_size <= options.DICTIONARY_ROW_NBYTES * chunk.num_values
            for chunk in chunks
        ):
            found.append(name)
    return frozenset(found)


def _is_string(kind: pa.DataType) -> bool:
    """Whether values are strings, in whichever of Arrow's types; categories of them are read alike."""
    return is_text(kind) or bool(pa.types.is_string_view(kind))
