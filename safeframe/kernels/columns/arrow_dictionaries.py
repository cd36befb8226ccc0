"""Columns of Arrow's own dictionary type, which pandas has as an ``ArrowDtype``.

A record batch that is read by its place alone has no dictionary with it, so that
such a column is staged as its values, and made a dictionary again afterwards.

Covers: one column at a time.
Does not cover: pandas' categories (``kernels.columns.categories``), whose order and unused values matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa


def is_dictionary(dtype: Any) -> bool:
    """Return whether a pandas dtype is Arrow's dictionary type."""
    return bool(pa.types.is_dictionary(getattr(dtype, "pyarrow_dtype", pa.null())))


def has_inner_dictionary(dtype: Any) -> bool:
    """Return whether a pandas dtype has a dictionary in it that is not the column itself, or one of nested values.

    Examples
    --------
    >>> words = pa.dictionary(pa.int32(), pa.string())
    >>> [has_inner_dictionary(pd.ArrowDtype(kind)) for kind in (words, pa.list_(words))]
    [False, True]
    """
    kind = getattr(dtype, "pyarrow_dtype", pa.null())
    if pa.types.is_dictionary(kind):
        return bool(pa.types.is_nested(kind.value_type))
    return bool(pa.types.is_nested(kind)) and _has_dictionary(kind)


def _has_dictionary(kind: pa.DataType) -> bool:
    fields = [kind.field(number).type for number in range(kind.num_fields)]
    return pa.types.is_dictionary(kind) or any(map(_has_dictionary, fields))


def as_values(array: pa.Array) -> pa.Array:
    """Return the values of a dictionary array; any other array as it is."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def dictionary_column(arrays: Sequence[pa.Array], dtype: pd.ArrowDtype) -> pd.arrays.ArrowExtensionArray:
    """Return arrays of values, one after the other, as a column of Arrow's dictionary type.

    Examples
    --------
    >>> dtype = pd.ArrowDtype(pa.dictionary(pa.int8(), pa.int64()))
    >>> dictionary_column([pa.array([5, None]), pa.array([5])], dtype).dtype == dtype
    True
    """
    kind = dtype.pyarrow_dtype
    values = pa.chunked_array([array.cast(kind.value_type) for array in arrays], kind.value_type)
    whole = values.combine_chunks().dictionary_encode()
    made = [
        pa.DictionaryArray.from_arrays(
            piece.indices.cast(kind.index_type), piece.dictionary, ordered=kind.ordered
        )
        for piece in (whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole])
    ]
    return pd.arrays.ArrowExtensionArray(pa.chunked_array(made, kind))


def as_categories(series: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of Arrow's dictionary type as pandas' categories; any other as it is.

    Examples
    --------
    >>> dtype = pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))
    >>> as_categories(pd.Series(["x"], dtype=dtype)).dtype.name
    'category'
    """
    if not is_dictionary(series.dtype):
        return series
    values = pa.array(series.array)
    if isinstance(values, pa.ChunkedArray):
        values = values.unify_dictionaries().combine_chunks()
    codes = values.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    categories = pd.CategoricalDtype(pd.Index(values.dictionary.to_pandas()))
    column = pd.Categorical.from_codes(codes, dtype=categories)
    return pd.Series(column, index=series.index, name=series.name)
