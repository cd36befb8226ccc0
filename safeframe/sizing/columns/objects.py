"""Finds Python objects that could not be restored from a file, before anything is written."""

from __future__ import annotations

from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe import options
from safeframe.facts.keys import Counts
from safeframe.kernels.columns.arrow_dictionaries import has_inner_dictionary
from safeframe.kernels.columns.object_columns import unwritable_objects
from safeframe.progress.tasks import computed
from safeframe.sizing.partitions.tasks import each_partition


def unwritable_columns(ddf: dd.DataFrame, partition_rows: Counts) -> dict[Any, str]:
    """Name what cannot pass through a file, by the column that holds it.

    Notes
    -----
    **Eager** where there are columns of dtype object: some values of the first and the middle
    partition that have rows are sampled.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": pd.Series([1, "a"], dtype=object), "b": pd.Series([1, len], dtype=object)})
    >>> with dask.config.set({"dataframe.convert-string": False}):
    ...     unwritable_columns(dd.from_pandas(frame, npartitions=1), np.array([2]))
    {'b': 'builtin_function_or_method'}
    """
    found = {name: why for name, dtype in ddf._meta.dtypes.items() if (why := no_arrow(dtype))}
    names = [name for name, dtype in ddf._meta.dtypes.items() if pd.api.types.is_object_dtype(dtype)]
    full = np.flatnonzero(partition_rows)
    if not names or len(full) == 0:
        return found
    chosen = sorted({int(full[0]), int(full[len(full) // 2])})
    with dask.config.set({"optimization.tune.active": False}):
        sample = ddf.partitions[chosen][list(dict.fromkeys(names))]
        looked: tuple[dict[Any, str], ...] = computed(
            "looking at objects",
            each_partition(sample, unwritable_objects_of, _all_found, step="look-at-objects"),
            late=True,
        )
    return {**found, **_all_found(list(looked))}


def may_be_unwritable(dtype: Any) -> bool:
    """Whether a column of a dtype has to be checked by :func:`unwritable_columns`."""
    return pd.api.types.is_object_dtype(dtype) or bool(no_arrow(dtype))


def no_arrow(dtype: Any) -> str:
    """Name what values of a dtype are, where files have no type for it; empty where they have one."""
    if has_inner_dictionary(dtype):
        return "dictionaries in nested values"
    return "complex numbers" if pd.api.types.is_complex_dtype(dtype) else ""


def unwritable_objects_of(frame: pd.DataFrame) -> dict[Any, str]:
    """Check the columns of dtype object of a partition."""
    return {
        name: what
        for name in frame.columns
        if pd.api.types.is_object_dtype(frame[name].dtype)
        and (what := unwritable_objects(frame[name], options.OBJECT_ROWS))
    }


def _all_found(parts: list[dict[Any, str]]) -> dict[Any, str]:
    return {name: what for part in parts for name, what in part.items()}
