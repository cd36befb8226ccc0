"""A frame on its way through P2P: what its columns are called there, and what travels of them.

Covers: the form of what is sent and of what is received.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.errors import SchemaMismatchError
from safeframe.facts.keys import Counts
from safeframe.kernels.columns.categories import PooledCategories, same_categories
from safeframe.kernels.columns.object_columns import objects_from_arrow, written_objects
from safeframe.kernels.columns.values import as_promised

SHARD_LABEL = "__shard__"
"""What the column of shard numbers is called on its way."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SentPartition:
    """What one task sent."""

    run_ids: tuple[int, ...]
    """The runs of the shuffle that took its rows; more than one when it was restarted meanwhile."""
    rows: Counts
    rows_in: int
    """Rows of the partition, those that go nowhere too."""
    checksum: int = 0
    """Of their keys; see :class:`safeframe.kernels.routing.router.Routes`."""
    categories: tuple[pd.CategoricalDtype | None, ...] = ()
    """See :meth:`P2PForm.outbound`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class P2PForm:
    """A frame's columns, and what they are called on their way.

    P2P takes strings for names, adds columns of its own and knows the index by
    name; columns travel as ``c0``, ``c1``, … and the index without a name. Of a
    categorical column only codes travel: P2P fails to join categories of several
    types, or more of them than codes of a partition can number. Categories go
    with what the task that sends has to tell.
    """

    meta: pd.DataFrame
    """The frame without rows, the column of shards in it."""
    shard: str
    """The column of shard numbers."""
    columns: pd.Index[Any]
    """The names of the columns that come out."""

    @classmethod
    def of(cls, meta: pd.DataFrame, shard: str, columns: pd.Index[Any]) -> P2PForm:
        """Make it for a frame; ``columns`` as they were before a shard's came to them."""
        return cls(meta=meta.iloc[:0], shard=shard, columns=columns)

    @property
    def result(self) -> pd.DataFrame:
        """The frame that comes out, without rows."""
        return self.meta.drop(columns=self.shard).set_axis(self.columns, axis=1)

    @property
    def sent(self) -> pd.DataFrame:
        """The frame that P2P sees, without rows."""
        sent = self.meta.set_axis(self._labels, axis=1)
        sent.index = sent.index.set_names([None] * sent.index.nlevels)
        sent.index = pd.Index(sent.index.to_series().astype(_sent_dtype(sent.index.dtype)).array)
        dtypes = {name: _sent_dtype(dtype) for name, dtype in sent.dtypes.items()}
        return sent.astype({**dtypes, SHARD_LABEL: np.int64})

    @property
    def _labels(self) -> list[str]:
        return [SHARD_LABEL if name == self.shard else f"c{i}" for i, name in enumerate(self.meta.columns)]

    def outbound(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[pd.CategoricalDtype | None, ...]]:
        """Return a partition as P2P takes it, and its categories.

        Python objects are bytes, and categorical columns their codes.

        Returns
        -------
        frame
            The partition.
        categories
            Those of each categorical column, and of the index; None for those that the frame promises.

        Raises
        ------
        SchemaMismatchError
            When it has other columns or types than the frame promises.
        UnsupportedError
            When an object column holds values that cannot be restored.
        """
        if list(frame.columns) != list(self.meta.columns):
            msg = (
                f"A partition has the columns {list(frame.columns)!r}, but its frame has "
                f"{list(self.meta.columns)!r}."
            )
            hint = "Make the partitions agree with the frame's meta, as with ddf.map_partitions(..., meta=)."
            raise SchemaMismatchError(msg, hint=hint)
        columns: dict[str, Any] = {}
        categories: list[pd.CategoricalDtype | None] = []
        for name, label, dtype in zip(self.meta.columns, self._labels, self.meta.dtypes, strict=True):
            series = as_promised(frame[name], dtype)
            if label == SHARD_LABEL:
                series = series.astype(np.int64)
            columns[label] = _sent(series)
            categories.extend(_own_categories(series.dtype, dtype))
        index = as_promised(frame.index.to_series(), self.meta.index.dtype)
        categories.extend(_own_categories(index.dtype, self.meta.index.dtype))
        # The column of shard numbers is there always. By position: an index may hold a value twice.
        sent = pd.DataFrame(columns, index=pd.Index(_sent(index), copy=False), copy=False)
        return sent, tuple(categories)

    def pooled(self, sent: Sequence[SentPartition]) -> tuple[PooledCategories, ...]:
        """Return the categories of each categorical column, and of the index, in all partitions."""
        dtypes = [*self.meta.dtypes, self.meta.index.dtype]
        promised = [dtype for dtype in dtypes if isinstance(dtype, pd.CategoricalDtype)]
        return tuple(
            PooledCategories.of([dtype if own is None else own for own in owns])
            for dtype, *owns in zip(promised, *(part.categories for part in sent), strict=True)
        )

    def inbound(
        self,
        frame: pd.DataFrame,
        categories: Sequence[PooledCategories] = (),
        rows: npt.NDArray[Any] | None = None,
    ) -> pd.DataFrame:
        """Return what P2P made of a shard with the names and the types of the frame.

        Parameters
        ----------
        frame
            The shard, its rows in the order of the partitions that they come from.
        categories
            Those of each categorical column, and of the index.
        rows
            How many rows are of each partition; not needed where all have the same categories.
        """
        pools = iter(categories)
        for at, dtype in enumerate(self.meta.drop(columns=self.shard).dtypes):
            if isinstance(dtype, pd.CategoricalDtype):
                frame.isetitem(at, next(pools).decoded(frame.iloc[:, at].to_numpy(), rows, dtype))
        index = self.meta.index.dtype
        if isinstance(index, pd.CategoricalDtype):
            frame.index = pd.CategoricalIndex(next(pools).decoded(frame.index.to_numpy(), rows, index))
        result = self.result
        frame.columns = result.columns
        if pd.api.types.is_object_dtype(result.index.dtype):
            frame.index = pd.Index(_received(frame.index.array), dtype=object)
        if not isinstance(index, pd.CategoricalDtype):
            frame.index = frame.index.astype(index)
        frame.index = frame.index.set_names(result.index.names)
        for at, dtype in enumerate(result.dtypes):
            if pd.api.types.is_object_dtype(dtype):
                # A series, since pandas would guess a type of strings.
                values: Any = pd.Series(_received(frame.iloc[:, at].array), index=frame.index, dtype=object)
                frame.isetitem(at, values)
        wrong = {
            name: dtype
            for name, dtype in result.dtypes.items()
            if frame[name].dtype != dtype and not isinstance(dtype, pd.CategoricalDtype)
        }
        return frame.astype(wrong) if wrong else frame


_WRITTEN = pd.ArrowDtype(pa.large_binary())


def _sent_dtype(dtype: Any) -> Any:
    if isinstance(dtype, pd.CategoricalDtype):
        return np.dtype(np.int8)  # or of what has room for the categories that come
    return _WRITTEN if pd.api.types.is_object_dtype(dtype) else dtype


def _sent(series: pd.Series[Any]) -> Any:
    """Return a column's values as they are sent."""
    if pd.api.types.is_object_dtype(series.dtype):
        return pd.arrays.ArrowExtensionArray(written_objects(series))
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series.cat.codes.to_numpy()
    return series.array


def _own_categories(found: Any, promised: Any) -> list[pd.CategoricalDtype | None]:
    """Return the categories of a column in a list: empty for another column, and None for those it promises."""
    if not isinstance(promised, pd.CategoricalDtype):
        return []
    return [None if same_categories(found, promised) else found]


def _received(written: Any) -> npt.NDArray[Any]:
    """Return the objects that were sent."""
    array = pa.array(written, pa.large_binary())
    return objects_from_arrow(array.chunks if isinstance(array, pa.ChunkedArray) else [array])
