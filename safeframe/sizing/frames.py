"""Learns how wide a frame's rows are and how many it has.

Covers: bytes per row of each column, rows per partition.
Does not cover: keys (``sizing.keys``).
"""

from __future__ import annotations

from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.keys import Counts
from safeframe.sizing.partition_tasks import each_partition

__all__ = ["count_partition_rows", "fixed_nbytes", "profile_frame"]

_DEFAULT_VARIABLE_NBYTES = 64.0
"""Bytes per row of a variable-width column of which no row could be looked at."""

_INDEX = "__index__"


def profile_frame(ddf: dd.DataFrame, partition_rows: Counts | None = None) -> FrameProfile:
    """Learn the rows of a frame and the bytes of a row.

    Parameters
    ----------
    ddf
        The frame.
    partition_rows
        Rows per partition, where they are known; they are counted otherwise.

    Notes
    -----
    **Eager.** Columns of fixed width are known from their types. The bytes of
    strings, objects and categories are measured on the first and the middle
    partition that have rows, reading only these columns of them. Without
    ``partition_rows``, one column of every partition is read to count rows.

    Examples
    --------
    >>> frame = dd.from_pandas(pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.0, 2.0]}), npartitions=2)
    >>> profile = profile_frame(frame)
    >>> int(profile.rows), profile.row_nbytes, int(profile.largest_partition_rows)
    (3, 16.0, 2)
    """
    if partition_rows is None:
        partition_rows = count_partition_rows(ddf)
    meta = ddf._meta
    fixed = [fixed_nbytes(dtype) for dtype in meta.dtypes]
    index_nbytes = _index_nbytes(meta.index)
    sampled = _sampled_widths(
        ddf,
        [name for name, nbytes in zip(meta.columns, fixed, strict=True) if nbytes is None],
        partition_rows,
        with_index=index_nbytes is None,
    )
    columns = tuple(
        ColumnProfile(
            name=str(name),
            dtype=str(dtype),
            row_nbytes=sampled[name] if nbytes is None else nbytes,
            exact=nbytes is not None,
        )
        for name, dtype, nbytes in zip(meta.columns, meta.dtypes, fixed, strict=True)
    )
    return FrameProfile(
        columns=columns,
        index_row_nbytes=sampled[_INDEX] if index_nbytes is None else index_nbytes,
        partitions=len(partition_rows),
        rows=Estimate.computed(int(partition_rows.sum())),
        largest_partition_rows=Estimate.computed(int(partition_rows.max(initial=0))),
    )


def count_partition_rows(ddf: dd.DataFrame) -> Counts:
    """Count the rows of each partition, reading its narrowest column only.

    Examples
    --------
    >>> count_partition_rows(dd.from_pandas(pd.DataFrame({"a": [1, 2, 3]}), npartitions=2))
    array([2, 1])
    """
    widths = [np.inf if nbytes is None else nbytes for nbytes in map(fixed_nbytes, ddf._meta.dtypes)]
    narrowest = [ddf._meta.columns[int(np.argmin(widths))]] if widths else []
    counted: tuple[Counts, ...] = dask.compute(*each_partition(ddf[narrowest], _rows, np.concatenate))
    return np.concatenate(counted)


def _rows(frame: pd.DataFrame) -> Counts:
    return np.array([len(frame)], np.int64)


def fixed_nbytes(dtype: Any) -> float | None:
    """Give the bytes of a value, None where they differ from row to row."""
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_object_dtype(dtype):
        return None
    if isinstance(dtype, np.dtype):
        return float(dtype.itemsize)
    if isinstance(dtype, pd.ArrowDtype):
        try:
            return float(dtype.pyarrow_dtype.bit_width + 1) / 8  # and a bit that tells nulls
        except ValueError:
            return None
    if isinstance(dtype, pd.DatetimeTZDtype):
        return 8.0
    numpy_dtype = getattr(dtype, "numpy_dtype", None)
    if isinstance(numpy_dtype, np.dtype) and pd.api.types.is_numeric_dtype(dtype):
        return float(numpy_dtype.itemsize + 1)  # and a byte that tells nulls
    return None


def _index_nbytes(index: pd.Index[Any]) -> float | None:
    if isinstance(index, pd.RangeIndex):
        return 0.0
    return None if isinstance(index, pd.MultiIndex) else fixed_nbytes(index.dtype)


def _sampled_widths(
    ddf: dd.DataFrame, names: list[Any], partition_rows: Counts, *, with_index: bool
) -> dict[Any, float]:
    """Measure bytes per row on the first and the middle partition that have rows."""
    full = np.flatnonzero(partition_rows)
    if not names and not with_index:
        return {}
    if len(full) == 0:
        return dict.fromkeys([*names, _INDEX], _DEFAULT_VARIABLE_NBYTES)
    chosen = sorted({int(full[0]), int(full[len(full) // 2])})
    with dask.config.set({"optimization.tune.active": False}):
        sample = ddf.partitions[chosen][names]
        measured: tuple[dict[Any, float], ...] = dask.compute(*each_partition(sample, _nbytes, _added))
    total = _added(list(measured))
    rows = int(partition_rows[chosen].sum())
    return {name: nbytes / rows for name, nbytes in total.items()}


def _nbytes(frame: pd.DataFrame) -> dict[Any, float]:
    usage = frame.memory_usage(index=False, deep=True)
    nbytes = dict(zip(frame.columns, usage.astype(float).tolist(), strict=True))
    return {**nbytes, _INDEX: float(frame.index.memory_usage(deep=True))}


def _added(parts: list[dict[Any, float]]) -> dict[Any, float]:
    return {name: sum(part[name] for part in parts) for name in parts[0]}
