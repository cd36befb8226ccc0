"""What the tasks of a sort, of an index or of a shuffle do.

Covers: sealing one frame's exchange, ordering a shard's rows, output partitions
from the rows that P2P brought.
Does not cover: the graph (``sort_nodes``); where the order is cut (``planning``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe.engine.cell_limit import CellLimit
from safeframe.engine.exchange import Sealed, fetch, seal
from safeframe.engine.run_failures import run_of_task
from safeframe.engine.staging import StagedFile
from safeframe.engine.worker import use_worker
from safeframe.facts.layout import ShardLayout
from safeframe.facts.planned_keys import PlannedKeys
from safeframe.kernels.categories import with_same_categories
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.frame_spec import FrameSpec, with_index
from safeframe.kernels.row_order import RowOrder, rows_in_order, sorted_keys
from safeframe.kernels.sort_block import BlockOrder
from safeframe.units import format_count

__all__ = [
    "SealedSort",
    "SortSpec",
    "aligned_cell",
    "in_order",
    "indexed",
    "kept_in_order",
    "ordered_cell",
    "ordered_frame",
    "seal_sort",
]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SortSpec:
    """What every task of one sort has to know."""

    frame: FrameSpec
    """The frame as it is staged."""
    order: RowOrder | None
    """The order of rows; None where those of a shard are only brought together."""
    index: Any
    """The column that becomes the index; None where the index stays."""
    drop: bool
    """Whether that column goes."""
    limit: CellLimit
    """What a partition may not exceed."""
    rows: int
    """Rows that there are in all."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return (
            "SortSpec", self.frame.__dask_tokenize__(), self.order and self.order.__dask_tokenize__(), self.index, self.drop,
            repr(self.limit), self.rows,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SealedSort:
    """The manifest of a frame's rows, and what the output partitions have to know."""

    rows: Sealed
    """Where each shard's rows are."""
    spec: SortSpec
    """The sort."""
    layout: ShardLayout
    """The shards."""


def seal_sort(staged: Sequence[Sequence[StagedFile]], spec: SortSpec, layout: ShardLayout) -> SealedSort:
    """Join all manifests into one, and check that every row that was counted is there.

    Raises
    ------
    RowConservationError
        When rows are missing, or there are more than were counted.
    """
    planned = PlannedKeys(name="The frame", rows=spec.rows)
    sealed = seal([file for files in staged for file in files], spec.frame.dtypes, layout.n_shards, planned)
    unused = sum(sealed.shard_rows(shard) for shard in np.flatnonzero(layout.cells == 0).tolist())
    if unused:
        with run_of_task(sealed.directory):
            msg = f"{format_count(unused)} rows have keys that no partition was planned for."
            raise data_changed(msg, planned=0, found=unused)
    return SealedSort(rows=sealed, spec=spec, layout=layout)


def ordered_cell(sealed: SealedSort, cell: int) -> pd.DataFrame:
    """Make one output partition from staged rows."""
    use_worker(sealed.rows.directory)
    spec, layout = sealed.spec, sealed.layout
    if layout.null_shard and spec.order is not None and not spec.order.na_last:
        # Nulls are the last shard, and here the first partitions.
        nulls = int(layout.cells[-1])
        cell = layout.n_cells - nulls + cell if cell < nulls else cell - nulls
    shard, number, cells = layout.cell_location(cell)
    if layout.single_key[shard]:
        rows = sealed.rows.shard_rows(shard)
        block = fetch(sealed.rows, shard, [(rows * number // cells, rows * (number + 1) // cells)])
    else:
        spec.limit.may_read(sealed.rows.shard_nbytes(shard))
        order = None if spec.order is None else BlockOrder(spec.frame, spec.order)
        block = fetch(sealed.rows, shard, order=order)
    return indexed(spec.frame.frame(block), spec)


def indexed(frame: pd.DataFrame, spec: SortSpec) -> pd.DataFrame:
    """Finish an output partition: its index, and the look whether it is as large as planned."""
    if spec.index is not None:
        frame = with_index(frame, spec.index, drop=spec.drop)
    elif not spec.frame.with_index:
        frame = frame.reset_index(drop=True)
    return spec.limit.passed(frame)


def kept_in_order(frame: pd.DataFrame, spec: SortSpec) -> pd.DataFrame:
    """Give a partition back that is taken as it is, if it is still in order.

    Raises
    ------
    RowConservationError
        When it is not.
    """
    if spec.order is not None and not rows_in_order(frame, spec.order):
        msg = f"A partition was in the order of {spec.order.by[0]!r} when the plan was made, and is not now."
        raise data_changed(msg, planned=spec.rows, found=spec.rows)
    return frame


def aligned_cell(frames: Sequence[pd.DataFrame], spec: SortSpec, low: int, after: int | None) -> pd.DataFrame:
    """Make an output partition of the rows of neighbouring partitions whose key is in a range."""
    use_worker()
    assert spec.order is not None, "partitions are aligned by their order"
    parts = []
    for frame in frames:
        codes, _ = spec.order.codes(kept_in_order(frame, spec))
        # In order, so that the rows are together.
        first = int(np.searchsorted(codes, np.uint64(low), side="left"))
        end = len(codes) if after is None else int(np.searchsorted(codes, np.uint64(after), side="left"))
        parts.append(frame.iloc[first:end])
    return indexed(pd.concat(with_same_categories(parts)) if len(parts) > 1 else parts[0], spec)


def ordered_frame(frame: pd.DataFrame, spec: SortSpec) -> pd.DataFrame:
    """Put a partition that holds a whole shard in order, and finish it."""
    return indexed(in_order(frame, spec), spec)


def in_order(frame: pd.DataFrame, spec: SortSpec) -> pd.DataFrame:
    """Put a partition's rows in order, where there is one."""
    if spec.order is None:
        return frame
    keys = pd.DataFrame({name: frame[name].array for name in spec.order.by}, copy=False)
    return frame.take(sorted_keys(keys, spec.order).index.to_numpy())
