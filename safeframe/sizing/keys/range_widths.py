"""Measures how wide rows are by ranges of keys, where they are much wider in some parts of a frame.

Covers: ranges of even rows, one pass over the keys and the columns whose values differ in width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe import options
from safeframe.facts.keys import Codes, KeySchema, KeyStatistics
from safeframe.facts.merge import RangeWidths
from safeframe.kernels.keys.codes import encode_keys
from safeframe.progress.tasks import computed
from safeframe.sizing.partitions.row_nbytes import each_row_nbytes, varying_columns
from safeframe.sizing.partitions.tasks import each_slice, keys_of, project

Sums = npt.NDArray[np.float64]
"""Rows and bytes of each range, and at the end of nulls: two rows of figures."""


def gather_range_widths(ddf: dd.DataFrame, on: Sequence[Any], keys: KeyStatistics) -> RangeWidths:
    """Measure the rows of each range of a frame's keys.

    Parameters
    ----------
    ddf
        The frame.
    on
        Its key columns, or names of its index levels.
    keys
        Their statistics.

    Notes
    -----
    **Eager.** The keys are read, and the columns whose values differ in width.

    **Memory.** A task holds these columns of a slice, or of a partition that cannot be sliced, and ``options.WIDTH_RANGES`` figures.
    """
    varying, fixed = varying_columns(ddf._meta)
    starts = _even_ranges(keys)
    tasks = each_slice(
        project(ddf, [*on, *varying]),
        _in_ranges,
        _add,
        tuple(on),
        keys.schema,
        starts,
        varying,
        fixed,
        step="measure-rows",
    )
    rows, nbytes = _add(list(computed("measuring rows", tasks)))
    mean = float(nbytes.sum() / max(rows.sum(), 1.0))
    found = np.where(rows > 0, nbytes / np.maximum(rows, 1.0), mean)
    return RangeWidths(starts=starts, nbytes=found[:-1], null_nbytes=float(found[-1]))


def _add(parts: list[Sums]) -> Sums:
    return np.asarray(np.sum(parts, axis=0), np.float64)


def _even_ranges(keys: KeyStatistics) -> Codes:
    """Cut the keys into ranges of about even rows; a key that is heavier than one is alone."""
    ends = np.cumsum(keys.counts)
    if len(ends) == 0:
        return np.zeros(1, np.uint64)
    wanted = np.arange(1, options.WIDTH_RANGES) * (float(ends[-1]) / options.WIDTH_RANGES)
    at = np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)
    at = np.concatenate([at, np.minimum(at + 1, len(ends) - 1)])
    return np.unique(np.concatenate([np.zeros(1, np.uint64), keys.codes[at]]))


def _in_ranges(
    frame: pd.DataFrame,
    on: tuple[Any, ...],
    schema: KeySchema,
    starts: Codes,
    varying: Sequence[Any],
    fixed_row_nbytes: float,
) -> Sums:
    codes, null = encode_keys(keys_of(frame, on), schema)
    nbytes = each_row_nbytes(frame, varying, fixed_row_nbytes)
    at = np.searchsorted(starts, codes, side="right") - 1
    if null is not None:
        at[null] = len(starts)
    n = len(starts) + 1
    return np.stack([np.bincount(at, minlength=n).astype(np.float64), np.bincount(at, nbytes, n)])
