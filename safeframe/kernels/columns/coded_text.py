"""Text that goes from file to file as categories: each of its few values once, and its number in each row.

Parquet keeps text of few values so, and a frame that has them as such neither copies a value for each row nor looks
for it again when it is written. Nothing but a file that is written gets to see such columns: a frame promises text.

Covers: columns of text that may come as categories, joining them with others, text of them again.
Does not cover: which columns those are (``kernels.merge.spec``), reading and writing files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe import options
from safeframe.kernels.columns.categories import with_same_categories
from safeframe.kernels.columns.values import Column, as_promised, as_series, join_columns, to_arrow

_OFFSET_NBYTES = 8
"""Of each string in a large array of them."""


def may_be_coded(dtype: Any) -> bool:
    """Whether a frame promises text that pandas makes categories of where a reader is told to.

    Examples
    --------
    >>> may_be_coded(pd.StringDtype("pyarrow")), may_be_coded(pd.StringDtype("python"))
    (True, False)
    """
    return isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow"


def text_or_codes(series: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    """Return a column of text as it came: as categories where these are few for its rows, else as text.

    Raises
    ------
    SchemaMismatchError
        When it is neither.
    """
    if not isinstance(series.dtype, pd.CategoricalDtype):
        return as_promised(series, dtype)
    return series if _are_few(series.dtype, len(series)) else as_text(series, dtype)


def as_text(series: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    """Return text of categories; any other column as it is."""
    return series.astype(dtype) if isinstance(series.dtype, pd.CategoricalDtype) else series


def codes_of_text(column: Column) -> pd.Categorical:
    """Return categories of text, in the order of their first rows.

    Examples
    --------
    >>> codes_of_text(pd.array(["b", None, "b", "a"], dtype=pd.StringDtype("pyarrow"))).codes
    array([ 0, -1,  0,  1], dtype=int8)
    """
    values = pa.array(column)
    coded = (values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values).dictionary_encode()
    numbers = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    categories = pd.CategoricalDtype(pd.Index(coded.dictionary.to_pandas()))
    return pd.Categorical.from_codes(numbers, dtype=categories)


def text_lengths(column: pd.Categorical) -> npt.NDArray[np.int64]:
    """Return the bytes that the strings of each row have as text, where all are short those of the longest for each.

    Examples
    --------
    >>> text_lengths(pd.Categorical(["a" * 100, None, "c"])).tolist()
    [100, 0, 1]
    >>> text_lengths(pd.Categorical(["ab", None, "c"])).tolist()
    [2, 2, 2]
    """
    lengths = pc.binary_length(pa.array(column.categories, pa.large_string())).to_numpy(zero_copy_only=False)
    longest = np.int64(lengths.max(initial=0))
    if longest <= options.SHORT_TEXT_NBYTES:
        return np.broadcast_to(longest, len(column))
    found: npt.NDArray[np.int64] = np.append(lengths, 0).astype(np.int64)[column.codes]
    return found


def as_text_nbytes(column: Any) -> int:
    """Return the bytes that a column has as text where it is categories; 0 for any other."""
    if not isinstance(column, pd.Categorical):
        return 0
    return int(text_lengths(column).sum()) + _OFFSET_NBYTES * len(column)


def text_to_arrow(series: pd.Series[Any], dtype: Any) -> pa.Array:
    """Return text in Arrow: as a dictionary where it came as categories, and these are few for its rows."""
    if not isinstance(series.dtype, pd.CategoricalDtype) or not _are_few(series.dtype, len(series)):
        return to_arrow(series, dtype)
    return dictionary_of(series.array, pa.large_string())


def dictionary_of(column: pd.Categorical, kind: pa.DataType) -> pa.DictionaryArray:
    """Return categories of text as a dictionary of strings of a type."""
    missing = column.codes < 0
    numbers = pa.array(column.codes.astype(np.int32), mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(numbers, pa.array(column.categories).cast(kind))


def join_text(columns: Sequence[Column], dtype: Any) -> Column:
    """Join parts of a column of text, each of which may be categories."""
    parts = [as_series(column) for column in columns]
    if _differ([part.dtype for part in parts], sum(map(len, parts))):
        parts = [as_text(part, dtype) for part in parts]
    return join_columns(parts)


def text_of_frame(frame: pd.DataFrame, meta: pd.DataFrame, coded: Collection[Any]) -> pd.DataFrame:
    """Return a frame with :func:`text_or_codes` of some of its columns."""
    changed = {}
    for name in coded:
        column = text_or_codes(frame[name], meta.dtypes[name])
        if column.dtype != frame.dtypes[name]:
            changed[name] = column
    return frame.assign(**changed) if changed else frame


def frames_alike(
    frames: Sequence[pd.DataFrame], meta: pd.DataFrame, coded: Collection[Any]
) -> list[pd.DataFrame]:
    """Return frames whose columns have the same types, and the same categories, in all.

    Parameters
    ----------
    frames
        Frames of the same columns.
    meta
        An empty frame with the types that are promised.
    coded
        The columns of text that may be categories in some of them.
    """
    rows = sum(map(len, frames))
    text = {
        name: meta.dtypes[name]
        for name in coded
        if len(frames) > 1 and _differ([frame.dtypes[name] for frame in frames], rows)
    }
    return with_same_categories([frame.astype(text) if text else frame for frame in frames])


def _differ(dtypes: Sequence[Any], rows: int) -> bool:
    """Whether parts of a column are better joined as text: some are, or they have too many values together."""
    categories = [dtype for dtype in dtypes if isinstance(dtype, pd.CategoricalDtype)]
    if not categories:
        return False
    distinct = {id(dtype.categories): dtype for dtype in categories}.values()
    values = max((len(dtype.categories) for dtype in distinct), default=0)
    if len(categories) < len(dtypes):
        return True
    every = sum(len(dtype.categories) for dtype in distinct)
    return every > max(values, rows // options.CODED_REPEATS)


def _are_few(dtype: pd.CategoricalDtype, rows: int) -> bool:
    return len(dtype.categories) * options.CODED_REPEATS <= rows
