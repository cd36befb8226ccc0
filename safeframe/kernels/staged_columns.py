"""Columns of a group of partitions, joined for staging and brought back.

A dictionary (of a categorical column) stays out of the file: it goes with the
manifest, so that a batch can be read by its place alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from safeframe.kernels.columns import one_type, to_arrow

__all__ = ["StagedType", "as_staged", "join_staged", "restored"]

as_staged = to_arrow
"""Give a partition's column in Arrow, integers narrowed."""


@dataclass(frozen=True, slots=True, eq=False)
class StagedType:
    """How a column was written."""

    written: pa.DataType
    """The type in the file."""
    dictionary: pa.Array | None
    """What the file's integers stand for, when the column is a dictionary's."""


def join_staged(pieces: Sequence[pa.Array]) -> tuple[pa.Array, StagedType]:
    """Join a column's pieces of one stage task.

    Examples
    --------
    >>> array, kind = join_staged([pa.array([1], "uint8"), pa.array([-300], "int16")])
    >>> array.to_pylist(), str(kind.written)
    ([1, -300], 'int16')
    """
    same = one_type(pieces)
    if not pa.types.is_dictionary(same[0].type):
        array = same[0] if len(same) == 1 else pa.concat_arrays(same)
        return array, StagedType(array.type, None)
    joined = pa.chunked_array(same).unify_dictionaries().combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.chunk(0)
    return joined.indices, StagedType(joined.indices.type, joined.dictionary)


def restored(arrays: Sequence[pa.Array], kinds: Sequence[StagedType]) -> list[pa.Array]:
    """Give pieces that were read as they were before they were staged."""
    if all(kind.dictionary is None for kind in kinds):
        return list(arrays)
    return [
        array if kind.dictionary is None else pa.DictionaryArray.from_arrays(array, kind.dictionary)
        for array, kind in zip(arrays, kinds, strict=True)
    ]
