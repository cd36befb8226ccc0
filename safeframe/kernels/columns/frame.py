"""A frame as it is staged: its columns, and its index where that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe.kernels.columns.index_freq import freq_of, with_freq
from safeframe.kernels.columns.values import Block, Column, as_series


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameSpec:
    """Which columns are staged and how a frame is made of them again."""

    meta: pd.DataFrame
    """An empty frame with the columns, dtypes and index."""
    with_index: bool
    """Whether the index goes along, as one more column in front."""

    @property
    def dtypes(self) -> tuple[Any, ...]:
        """See :class:`safeframe.kernels.routing.router.StagedColumns`."""
        index = (self.meta.index.dtype,) if self.with_index else ()
        return (*index, *self.meta.dtypes)

    @property
    def categorical(self) -> bool:
        """Whether there are categories."""
        return any(
            isinstance(dtype, pd.CategoricalDtype) for dtype in (*self.meta.dtypes, self.meta.index.dtype)
        )

    @property
    def names(self) -> list[Any]:
        """See :class:`safeframe.kernels.routing.router.StagedColumns`."""
        return list(self.meta.columns)

    def position(self, name: Any) -> int:
        """Find a column among staged values."""
        return list(self.meta.columns).index(name) + self.with_index

    def frame(self, block: Block) -> pd.DataFrame:
        """Make a frame of staged values, column by column."""
        n_rows = len(block[0]) if block else 0
        index = self._index(block[0]) if self.with_index else pd.RangeIndex(n_rows)
        values = zip(block[int(self.with_index) :], self.meta.dtypes, strict=True)
        made = frame_of_columns([_of_dtype(*value) for value in values], self.meta.columns, n_rows)
        made.index = index
        return made

    def _index(self, values: Column) -> pd.Index[Any]:
        # Of categories that were not known, the values have those that there are.
        kept = isinstance(values, pd.Categorical)
        index: pd.Index[Any] = pd.Index(
            values, dtype=None if kept else self.meta.index.dtype, name=self.meta.index.name, copy=False
        )
        return with_freq(index, freq_of(self.meta.index))

    def __dask_tokenize__(self) -> tuple[object, ...]:
        names = tuple(map(str, self.meta.columns))
        index = repr(self.meta.index.name), repr(freq_of(self.meta.index))
        return "FrameSpec", names, tuple(map(repr, self.dtypes)), *index, self.with_index


def frame_of_columns(columns: Block, names: pd.Index[Any], n_rows: int) -> pd.DataFrame:
    """Put columns together, without a copy, under names that may occur twice."""
    numbered = dict(enumerate(map(as_series, columns)))
    frame = pd.DataFrame(numbered, index=pd.RangeIndex(n_rows), copy=False)
    frame.columns = names
    return frame


def with_index(frame: pd.DataFrame, name: Any, *, drop: bool) -> pd.DataFrame:
    """Make a column the index, of the column's own dtype.

    Unlike :meth:`pandas.DataFrame.set_index`, which makes a range of an empty
    column of integers.
    """
    index: pd.Index[Any] = pd.Index(frame[name].array, dtype=frame[name].dtype, name=name, copy=False)
    indexed = frame.drop(columns=name) if drop else frame.copy(deep=False)
    indexed.index = index
    return indexed


def _of_dtype(column: Column, dtype: Any) -> Column:
    return column if not isinstance(column, np.ndarray) or column.dtype == dtype else column.astype(dtype)
