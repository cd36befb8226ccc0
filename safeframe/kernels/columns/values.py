"""Columns between pandas, Arrow batches and gathered results.

Covers: one column at a time: its Arrow form for staging (integers narrowed to
what their values need), its return as the very dtype of the frame, and the dtype
that it has where values are missing.
Does not cover: files, keys, joins, taking rows (``kernels.merge.taken_rows``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.errors import SchemaMismatchError, UnsupportedError
from safeframe.kernels.columns.arrow_dictionaries import as_values, dictionary_column, is_dictionary
from safeframe.kernels.columns.categories import (
    UNKNOWN,
    Coded,
    as_known,
    coded,
    decoded,
    join_categoricals,
)
from safeframe.kernels.columns.object_columns import objects_from_arrow, objects_to_arrow

Column = npt.NDArray[Any] | pd.api.extensions.ExtensionArray
"""The values of a column: a numpy array, or pandas' array of an extension dtype."""

Block = Sequence[Column]
"""Rows, column by column."""

_NO_ROUNDING = ("ii", "uu", "ui", "ff")
"""Kinds of numbers, and of wider ones that have all of their values."""

_NARROW = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


def to_arrow(series: pd.Series[Any], dtype: Any) -> pa.Array | Coded:
    """Return a column's Arrow form.

    Parameters
    ----------
    series
        The column as one partition has it.
    dtype
        The dtype that the frame promises. A partition that has another one is
        cast if that loses nothing (an empty or all-null partition, say).

    Returns
    -------
    pyarrow.Array or Coded
        Integers, datetimes and booleans as integers as narrow as their values
        allow; floats as they are, NaN included; a categorical column in its two
        parts; Python objects as ``object_columns`` writes them; anything else as
        Arrow infers it.

    Raises
    ------
    SchemaMismatchError
        When the partition's type is not the frame's.
    UnsupportedError
        When Arrow has no type for the values, or a Python object is of a type that cannot be written.
    """
    if has_fixed_width(dtype):
        values, narrow = as_fixed(series, dtype)
        return pa.array(np.ascontiguousarray(values, narrow))
    series = as_promised(series, dtype)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return coded(series.array)
    if series.dtype == object:
        return objects_to_arrow(series)
    try:
        array = pa.array(without_index(series), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        msg = f"Column {series.name!r} of dtype {dtype} cannot be staged: {error}."
        hint = "Cast the column to one type (str, float, …) before the recipe, or drop it."
        raise UnsupportedError(msg, hint=hint) from error
    return as_values(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)


def without_index(series: pd.Series[Any]) -> Any:
    """Return what pyarrow makes an array of: of a column in Arrow its values alone, which have no index.

    pyarrow asks a series for attributes that it has not, for which pandas makes a table of all labels of its index.
    """
    return series.array if hasattr(type(series.array), "__arrow_array__") else series


def floats_to_arrow(values: npt.NDArray[np.floating[Any]]) -> pa.Array:
    """Return floats in Arrow, NaN as null, as ``pyarrow.array(values, from_pandas=True)`` does in six times the time.

    Parameters
    ----------
    values
        Contiguous, of the processor's byte order; not copied.

    Examples
    --------
    >>> floats_to_arrow(np.array([0.5, np.nan])).to_pylist()
    [0.5, None]
    """
    missing = np.isnan(values)
    n_missing = int(np.count_nonzero(missing))
    if not n_missing:
        return pa.array(values)
    there = ~np.packbits(missing, bitorder="little")
    buffers = [pa.py_buffer(there), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers, n_missing)


def from_arrow(arrays: Sequence[Any], dtype: Any) -> Column:
    """Join staged pieces of a column into one, as ``dtype``.

    Notes
    -----
    Memory: for numeric columns only the result, since each piece is copied,
    and widened, straight into it; for others the result and its Arrow form.
    """
    if has_fixed_width(dtype):
        return join_fixed(
            (array.to_numpy(zero_copy_only=False) for array in arrays), sum(map(len, arrays)), dtype
        )
    if isinstance(dtype, pd.CategoricalDtype):
        return decoded(arrays, dtype)
    if pd.api.types.is_object_dtype(dtype):
        return objects_from_arrow(arrays)
    if is_dictionary(dtype):
        return dictionary_column(one_type(arrays) if arrays else [], dtype)
    if not arrays:
        return pd.array([], dtype=dtype) if not isinstance(dtype, np.dtype) else np.empty(0, dtype)
    chunked = pa.chunked_array(one_type(arrays))
    restore = getattr(dtype, "__from_arrow__", None)
    if restore is None:
        built: Column = pd.array(chunked.to_pandas(), dtype=dtype)
        return built
    restored: Column = restore(chunked)
    return restored


def has_fixed_width(dtype: Any) -> bool:
    """Whether values of a dtype are numbers of one width, missing ones among them."""
    return isinstance(dtype, pd.DatetimeTZDtype) or (isinstance(dtype, np.dtype) and dtype.kind in "iufbmM")


def as_fixed(series: pd.Series[Any], dtype: Any) -> tuple[npt.NDArray[Any], np.dtype[Any]]:
    """Return a column's values as numbers, and the narrowest dtype that holds them.

    Integers, and datetimes and booleans as integers, are as narrow as their values
    allow; floats stay as they are, NaN included.
    """
    series = as_promised(series, dtype)
    values: npt.NDArray[Any]
    if isinstance(dtype, pd.DatetimeTZDtype):
        values = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().view(np.int64)
    else:
        values = series.to_numpy()
        if dtype.kind in "mM":
            values = values.view(np.int64)
        elif dtype.kind == "b":
            values = values.view(np.uint8)
    return values, _narrowest(values)


def fixed_column(n_rows: int, dtype: Any) -> tuple[Callable[[], Column], npt.NDArray[Any]]:
    """Make a column to be filled in.

    Returns
    -------
    finished
        Gives the column, once it is filled in.
    target
        Where to write its values, as numbers.
    """
    if isinstance(dtype, pd.DatetimeTZDtype):
        times = np.empty(n_rows, f"M8[{dtype.unit}]")
        return lambda: _zoned(times, dtype), times.view(np.int64)
    column = np.empty(n_rows, dtype)
    return lambda: column, column.view(np.int64) if column.dtype.kind in "mM" else column


def join_fixed(pieces: Iterable[npt.NDArray[Any]], n_rows: int, dtype: Any) -> Column:
    """Make a column of numbers in pieces, each copied, and widened, straight into it."""
    finished, target = fixed_column(n_rows, dtype)
    at = 0
    for piece in pieces:
        target[at : at + len(piece)] = piece
        at += len(piece)
    return finished()


def _zoned(times: npt.NDArray[Any], dtype: pd.DatetimeTZDtype) -> Column:
    column: Column = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(dtype.tz).array
    return column


def as_series(column: Column) -> pd.Series[Any]:
    """Wrap values without a copy, and without letting pandas guess a string type for objects."""
    return pd.Series(column, dtype=column.dtype, copy=False)


def as_column(series: pd.Series[Any]) -> Column:
    """Return a series' values, without a copy."""
    return series.to_numpy() if isinstance(series.dtype, np.dtype) else series.array


def as_missing(column: Column) -> Column:
    """Return values as the dtype that they have where some are missing."""
    dtype = missing_dtype(column.dtype)
    return column if column.dtype == dtype else column.astype(dtype, copy=False)


def missing_dtype(dtype: Any) -> Any:
    """Return the dtype that pandas turns ``dtype`` into when values go missing.

    Examples
    --------
    >>> missing_dtype(np.dtype("int64")), missing_dtype(np.dtype("bool"))
    (dtype('float64'), dtype('O'))
    """
    if isinstance(dtype, pd.IntervalDtype) and dtype.subtype is not None:
        return pd.IntervalDtype(missing_dtype(dtype.subtype), dtype.closed)
    if isinstance(dtype, pd.SparseDtype):
        # By pandas itself, which turns flags into numbers before pandas 3, and into objects since.
        one = pd.arrays.SparseArray(np.array([dtype.fill_value]), dtype=dtype)
        return pd.api.extensions.take(one, np.array([0, -1]), allow_fill=True).dtype
    if not isinstance(dtype, np.dtype):
        return dtype
    return pd.api.extensions.take(np.zeros(1, dtype), np.array([-1]), allow_fill=True).dtype


def join_columns(parts: Sequence[pd.Series[Any]]) -> Column:
    """Join parts of a column.

    Raises
    ------
    SchemaMismatchError
        When they are of several types.
    """
    columns: list[Any] = [as_column(part) for part in parts]
    if len(columns) == 1:
        only: Column = columns[0]
        return only
    if all(isinstance(column, pd.Categorical) for column in columns):
        return join_categoricals(columns)
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.concatenate(columns)
    if len({str(column.dtype) for column in columns}) > 1:
        msg = f"Column {parts[0].name!r} is {' and '.join(sorted({str(c.dtype) for c in columns}))} in neighbouring rows."
        raise SchemaMismatchError(msg, hint="Make the partitions agree first, with ddf.astype.")
    return as_column(pd.concat([as_series(column) for column in columns], ignore_index=True))


def as_promised(series: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    """Return a partition's column as the dtype that the frame promises, where that loses nothing.

    Raises
    ------
    SchemaMismatchError
        When the partition's values have no place in that dtype.
    """
    if isinstance(dtype, pd.CategoricalDtype):
        if isinstance(series.dtype, pd.CategoricalDtype):
            known = as_known(series.array, dtype)
            return series if known is series.array else pd.Series(known, index=series.index, name=series.name)
        if UNKNOWN in dtype.categories:
            dtype = pd.CategoricalDtype()
    elif series.dtype == dtype:
        return series
    elif isinstance(series.dtype, pd.CategoricalDtype) and _same_family(series.dtype.categories.dtype, dtype):
        return series.astype(dtype)
    if len(series) == 0 or bool(series.isna().all()) or _same_family(series.dtype, dtype):
        try:
            return series.astype(dtype)
        except (TypeError, ValueError, OverflowError):
            pass
    msg = f"Column {series.name!r} is {series.dtype} in one partition, but its frame has {dtype}."
    hint = f"Make the partitions agree first, as with ddf.astype({{{series.name!r}: {str(series.dtype)!r}}})."
    if pd.api.types.is_integer_dtype(dtype) and pd.api.types.is_float_dtype(series.dtype):
        hint += " Integers with missing values stay integers with dd.read_parquet(…, dtype_backend='numpy_nullable')."
    raise SchemaMismatchError(msg, hint=hint)


def _same_family(found: Any, promised: Any) -> bool:
    """Whether every value of ``found`` has a place in ``promised``."""
    if isinstance(found, np.dtype) and isinstance(promised, np.dtype):
        return np.can_cast(found, promised, casting="safe")
    if pd.api.types.is_numeric_dtype(found) and pd.api.types.is_numeric_dtype(promised):
        # Numbers with nulls, of pandas or both of Arrow.
        narrow, wide = getattr(found, "numpy_dtype", None), getattr(promised, "numpy_dtype", None)
        of_one_kind = isinstance(found, pd.ArrowDtype) == isinstance(promised, pd.ArrowDtype)
        if narrow is None or wide is None or not of_one_kind:
            return False
        return narrow.kind + wide.kind in _NO_ROUNDING and np.can_cast(narrow, wide, casting="safe")
    return pd.api.types.is_string_dtype(found) and pd.api.types.is_string_dtype(promised)


def _narrowest(values: npt.NDArray[Any]) -> np.dtype[Any]:
    if values.dtype.kind not in "iu" or values.dtype.itemsize == 1:
        return values.dtype
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    for narrow in _NARROW:
        info = np.iinfo(narrow)
        if info.bits >= values.dtype.itemsize * 8:
            break
        if info.min <= low and high <= info.max:
            return np.dtype(narrow)
    return values.dtype


def one_type(arrays: Sequence[pa.Array]) -> list[pa.Array]:
    """Cast pieces to one Arrow type: an all-null piece has type null, a large one large offsets."""
    types = {array.type for array in arrays}
    if len(types) == 1:
        return list(arrays)
    try:
        schema = pa.unify_schemas([pa.schema([("x", kind)]) for kind in types], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        msg = f"A column is {' in one partition and '.join(sorted(map(str, types)))} in another."
        hint = "Cast the column to one type (str, float, …) before the recipe, or drop it."
        raise UnsupportedError(msg, hint=hint) from error
    return [array.cast(schema.field("x").type) for array in arrays]
