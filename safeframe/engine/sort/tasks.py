"""What the tasks of a sort, of an index or of a shuffle do.

Covers: sealing one frame's exchange, ordering a shard's rows, output partitions
from the rows that P2P moved.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe.engine.exchange.fetch import Sealed, fetch, seal, staged_lines, staged_nbytes
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.planned.cell_cuts import CellCuts, cuts_by_bytes
from safeframe.engine.planned.cells import CellMaker, CellRows, PartitionLimit
from safeframe.engine.planned.rows import PartOrder, in_planned_order
from safeframe.engine.task import use_worker
from safeframe.facts.keys import PlannedKeys
from safeframe.facts.layout import ShardLayout
from safeframe.facts.plan import Plan
from safeframe.facts.sort import StagedShards
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.categories import with_promised_categories, with_same_categories
from safeframe.kernels.columns.frame import FrameSpec, with_index
from safeframe.kernels.columns.taking import take
from safeframe.kernels.columns.values import Block, as_series, join_columns
from safeframe.kernels.keys.nulls import planned_number
from safeframe.kernels.order import Positions
from safeframe.kernels.sort.rows import BlockOrder, RowOrder, sorted_keys
from safeframe.units import format_count


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SortSpec:
    """What every task of one sort has to know."""

    frame: FrameSpec
    """The frame as it is staged."""
    order: RowOrder | None
    """The order of rows; None for a shuffle."""
    index: Any
    """The column that becomes the index; None where the index stays."""
    drop: bool
    """Whether that column goes."""
    limit: PartitionLimit
    """What a partition may not exceed."""
    rows: int | None
    """Rows that there are in all; None where they were not counted."""
    divisions: tuple[Any, ...]
    """What the result's partitions promise to reach from and to; None where that is not known."""

    @classmethod
    def of(
        cls,
        meta: pd.DataFrame,
        plan: Plan,
        divisions: Sequence[Any],
        *,
        order: RowOrder | None,
        with_index: bool,
        index: Any = None,
        drop: bool = True,
    ) -> SortSpec:
        """Return what the tasks of a plan have to know, of a frame that is staged with or without its index."""
        return cls(
            frame=FrameSpec(meta=meta, with_index=with_index),
            order=order,
            index=index,
            drop=drop,
            limit=PartitionLimit.of(plan),
            rows=int(plan.output_rows) if plan.output_rows.exact else None,
            divisions=tuple(divisions),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderRequest:
    """An order of rows, and what becomes of the index."""

    order: RowOrder
    """The order."""
    index: Any
    """The column that becomes the index; None where the index stays."""
    drop: bool
    """Whether that column goes."""
    with_index: bool
    """Whether the input's index is kept."""

    def spec(self, meta: pd.DataFrame, plan: Plan, divisions: Sequence[Any]) -> SortSpec:
        """Return what the tasks of a plan have to know."""
        return SortSpec.of(
            meta,
            plan,
            divisions,
            order=self.order,
            with_index=self.with_index,
            index=self.index,
            drop=self.drop,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SealedSort:
    """The manifest of a frame's rows, and what the output partitions have to know."""

    rows: Sealed
    """Where each shard's rows are."""
    spec: SortSpec
    layout: ShardLayout
    """The shards that partitions are made of."""
    cuts: CellCuts
    """Which rows partitions of one staged shard have."""
    shards: StagedShards | None = None
    """Those that rows were staged in, where they are narrower."""

    def staged(self, shard: int) -> range:
        """Return the staged shards that one of the partitions' lies in."""
        if self.shards is None:
            return range(shard, shard + 1)
        return range(int(self.shards.firsts[shard]), int(self.shards.firsts[shard + 1]))


def seal_sort(
    staged: Sequence[Sequence[StagedFile]],
    spec: SortSpec,
    layout: ShardLayout,
    shards: StagedShards | None = None,
) -> SealedSort:
    """Join all manifests into one, and check that every row that was counted is there.

    Raises
    ------
    RowConservationError
        When rows are missing, or there are more than were counted.
    MemoryBudgetError
        When a partition's rows are more than a task may read.
    """
    planned = None if spec.rows is None else PlannedKeys(name="The frame", rows=spec.rows)
    found = layout if shards is None else shards.layout
    sealed = seal([file for files in staged for file in files], spec.frame.dtypes, found.n_shards, planned)
    unused = sum(sealed.shard_rows(shard) for shard in np.flatnonzero(found.cells == 0).tolist())
    if unused:
        with run_of_task(sealed.directory):
            msg = f"{format_count(unused)} rows have keys that no partition was planned for."
            raise data_changed(msg, planned=0, found=unused)
    with run_of_task(sealed.directory):
        spec.limit.may_read_shards(sealed.nbytes, found, in_ranges=spec.order is None)
        cuts = cuts_by_bytes(found, spec.limit, functools.partial(staged_lines, sealed))
    return SealedSort(rows=sealed, spec=spec, layout=layout, cuts=cuts, shards=shards)


def ordered_rows(sealed: SealedSort, cell: int) -> CellRows:
    """Return the rows of one output partition, to be made from staged rows."""
    use_worker(sealed.rows.directory)
    spec, layout = sealed.spec, sealed.layout
    number_out = cell
    if layout.null_shard and spec.order is not None and not spec.order.na_last:
        cell = planned_number(cell, layout.n_cells, int(layout.cells[-1]))
    shard, number, cells = layout.cell_location(cell)
    staged = sealed.staged(shard)
    if layout.single_key[shard] or spec.order is None:
        n_rows = sealed.rows.shard_rows(staged.start)
        in_place = functools.partial(_rows_in_place, sealed, staged.start, number_out)
        return sealed.cuts.part(staged.start, n_rows, number, cells, in_place, spec.limit)
    ordered = _OrderedShards(sealed, staged, number_out)
    return CellRows.part(ordered.n_rows, 0, 1, ordered, spec.limit)


ordered_cell = CellMaker(ordered_rows)
"""Make one output partition from staged rows."""


def _rows_in_place(sealed: SealedSort, shard: int, number: int, lo: int, hi: int) -> pd.DataFrame:
    """Make rows of a shard whose rows stay in the order of the input: no others are read."""
    spec = sealed.spec
    if spec.limit.possible_nbytes is not None:
        spec.limit.may_read(staged_nbytes(sealed.rows, shard, lo, hi))
    return _finished(spec.frame.frame(fetch(sealed.rows, shard, [(lo, hi)])), spec, number)


class _OrderedShards:
    """Makes rows of shards that follow each other, in their order; of one shard at a time there is more than that."""

    def __init__(self, sealed: SealedSort, shards: range, number: int) -> None:
        assert sealed.spec.order is not None, "rows are in an order"
        self._sealed = sealed
        self._shards = shards
        self._ends = np.cumsum([sealed.rows.shard_rows(shard) for shard in shards])
        self._number = number
        self._order = BlockOrder(sealed.spec.frame, sealed.spec.order)
        self._read: tuple[int, Block, Positions | None] | None = None

    @property
    def n_rows(self) -> int:
        """Rows of all shards."""
        return int(self._ends[-1])

    def __call__(self, lo: int, hi: int) -> pd.DataFrame:
        spec = self._sealed.spec
        first = int(np.searchsorted(self._ends, lo, side="right"))
        last = max(first, int(np.searchsorted(self._ends, hi, side="left"))) + 1
        blocks = []
        for at in range(min(first, len(self._ends) - 1), min(last, len(self._ends))):
            end = int(self._ends[at])
            start = int(self._ends[at - 1]) if at else 0
            wanted = max(lo, start) - start, min(hi, end) - start
            blocks.append(self._rows(self._shards[at], end - start, *wanted))
        block = blocks[0]
        if len(blocks) > 1:
            block = [
                join_columns([as_series(column) for column in columns])
                for columns in zip(*blocks, strict=True)
            ]
        return _finished(spec.frame.frame(block), spec, self._number)

    def _rows(self, shard: int, n_rows: int, lo: int, hi: int) -> Block:
        """Return rows ``[lo, hi)`` of a shard in its order."""
        if self._read is None or self._read[0] != shard:
            self._read = None  # before the next one is read
            self._sealed.spec.limit.may_read(self._sealed.rows.shard_nbytes(shard))
            if (lo, hi) == (0, n_rows):
                # Rows that lie side by side are brought to their order before they are columns.
                return fetch(self._sealed.rows, shard, order=self._order)
            rows = fetch(self._sealed.rows, shard)
            self._read = shard, rows, self._order.positions([rows[i] for i in self._order.columns])
        _, block, positions = self._read
        return [column[lo:hi] if positions is None else take(column, positions[lo:hi]) for column in block]


def indexed(frame: pd.DataFrame, spec: SortSpec, number: int | None = None) -> pd.DataFrame:
    """Finish an output partition: its index, and the look whether it is as large, and where, as planned.

    Raises
    ------
    RowConservationError
        When it has keys outside the divisions of partition ``number``: whoever looks for them would not find them.
    """
    return spec.limit.passed(_finished(frame, spec, number))


def _finished(frame: pd.DataFrame, spec: SortSpec, number: int | None) -> pd.DataFrame:
    if spec.frame.categorical:
        frame = with_promised_categories(frame, spec.frame.meta)
    if spec.index is not None:
        frame = with_index(frame, spec.index, drop=spec.drop)
        if number is not None and spec.divisions[0] is not None and len(frame):
            _check_divisions(frame.index, spec.divisions, number)
    elif not spec.frame.with_index:
        frame = frame.reset_index(drop=True)
    return frame


def _check_divisions(index: pd.Index[Any], divisions: tuple[Any, ...], number: int) -> None:
    low, high = divisions[number], divisions[number + 1]
    if index[[0, -1]].isna().any():
        index = index.dropna()  # nulls are behind every division
        if not len(index):
            return
    first, last = index[0], index[-1]
    last_of_all = number == len(divisions) - 2
    if first < low or last > high or (last == high and not last_of_all):
        msg = f"Partition {number} holds keys from {first!r} to {last!r}, but was planned for keys from {low!r} to {high!r}."
        raise data_changed(msg, planned=0, found=len(index))


def placed_cell(frame: pd.DataFrame, spec: SortSpec, planned: PartOrder) -> pd.DataFrame:
    """Finish a partition that is in order already."""
    assert spec.order is not None, "partitions are in an order"
    in_planned_order(frame, spec.order, planned)
    return indexed(frame, spec)


def aligned_cell(
    frames: Sequence[pd.DataFrame],
    spec: SortSpec,
    low: int,
    after: int | None,
    planned: Sequence[PartOrder],
) -> pd.DataFrame:
    """Make an output partition of the rows of neighbouring partitions whose key is in a range."""
    use_worker()
    assert spec.order is not None, "partitions are aligned by their order"
    parts = []
    for frame, part in zip(frames, planned, strict=True):
        codes = in_planned_order(frame, spec.order, part)
        # In order, so that the rows are together.
        first = int(np.searchsorted(codes, np.uint64(low), side="left"))
        end = len(codes) if after is None else int(np.searchsorted(codes, np.uint64(after), side="left"))
        parts.append(frame.iloc[first:end])
    return indexed(pd.concat(with_same_categories(parts)) if len(parts) > 1 else parts[0], spec)


def ordered_frame(frame: pd.DataFrame, spec: SortSpec, number: int) -> pd.DataFrame:
    """Put a partition that holds a whole shard in order, and finish it."""
    return indexed(in_order(frame, spec), spec, number)


def in_order(frame: pd.DataFrame, spec: SortSpec) -> pd.DataFrame:
    """Put a partition's rows in order, where there is one."""
    if spec.order is None:
        return frame
    keys = pd.DataFrame({name: frame[name].array for name in spec.order.by}, copy=False)
    return frame.take(sorted_keys(keys, spec.order).index.to_numpy())
