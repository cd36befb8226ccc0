"""Columns of a group of partitions, joined for staging and brought back.

The categories of a column stay out of the file: they go with the manifest, so
that a batch can be read by its place alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from safeframe.kernels.categories import Coded, join_coded
from safeframe.kernels.columns import one_type, to_arrow
from safeframe.kernels.object_columns import same_form

__all__ = ["StagedType", "as_staged", "join_staged", "restored"]

as_staged = to_arrow
"""Give a partition's column in Arrow, integers narrowed."""


@dataclass(frozen=True, slots=True, eq=False)
class StagedType:
    """How a column was written."""

    written: pa.DataType
    """The type in the file."""
    categories: pd.CategoricalDtype | None
    """What the file's integers stand for, when the column is categorical."""


def join_staged(pieces: Sequence[pa.Array | Coded], dtype: Any) -> tuple[pa.Array, StagedType]:
    """Join a column's pieces of one stage task.

    Examples
    --------
    >>> array, kind = join_staged([pa.array([1], "uint8"), pa.array([-300], "int16")], "int64")
    >>> array.to_pylist(), str(kind.written)
    ([1, -300], 'int16')
    """
    if isinstance(dtype, pd.CategoricalDtype):
        joined = join_coded(pieces)
        return joined.codes, StagedType(joined.codes.type, joined.dtype)
    same = same_form(pieces) if pd.api.types.is_object_dtype(dtype) else one_type(pieces)
    array = same[0] if len(same) == 1 else pa.concat_arrays(same)
    return array, StagedType(array.type, None)


def restored(arrays: Sequence[pa.Array], kinds: Sequence[StagedType]) -> list[pa.Array | Coded]:
    """Give pieces that were read as they were before they were staged."""
    return [
        array if kind.categories is None else Coded(array, kind.categories)
        for array, kind in zip(arrays, kinds, strict=True)
    ]
