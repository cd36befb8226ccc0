"""A merge that is written, of two sides in key order: the slices of both, side by side.

::

    WriteCells(Cells(RangeCells(left, right)))

Each task has a range of keys. It reads the partitions of both sides that hold some of it, a slice of either at a
time, and joins all keys that neither side can have more rows of. What is there at once is a slice of each side, and
the rows of one key.

Order is checked, not believed: as rows are read, against the rows, the ends and the keys that a partition was
planned with.

Covers: the expression, and the rows of a file as they are made.
Does not cover: reading one side (``side_in_order``), writing files (``engine.parquet``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe._dask.steps import Step
from safeframe.engine.exchange.nodes import parts_in_tasks
from safeframe.engine.merge.gathered import GatheredRows
from safeframe.engine.merge.in_order_nodes import check_partitions
from safeframe.engine.merge.in_order_tasks import PlannedPart
from safeframe.engine.merge.side_in_order import SideInOrder
from safeframe.engine.planned.cells import CellMaker, PartitionLimit
from safeframe.engine.task import use_worker
from safeframe.facts.keys import PartitionKeys
from safeframe.facts.merge import KeyRange, RangesMerge
from safeframe.kernels.merge.cell import JoinedShard, join_shard
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.merge.text import TextTooLargeError
from safeframe.sizing.parquet.column_sets import planned_reading
from safeframe.sizing.partitions.slices import SlicedPart


def range_cells(
    left: Any,
    right: Any,
    spec: JoinSpec,
    way: RangesMerge,
    planned: tuple[PartitionKeys, PartitionKeys],
    limit: PartitionLimit,
    *,
    filtered: bool,
) -> RangeCells:
    """Return the expression of a merge of two sides in key order, whose rows are made to be written.

    Parameters
    ----------
    left, right
        The lowered expressions of both sides.
    spec, way
        The merge.
    planned
        What the partitions of each side were planned with.
    limit
        What a file may not exceed.
    filtered
        Whether some of these rows may be gone since.

    Raises
    ------
    RowConservationError
        When a side has other partitions than were planned.
    """
    for name, frame, keys in (("left", left, planned[0]), ("right", right, planned[1])):
        check_partitions(frame, name, keys)
    return RangeCells(left, right, spec, way, planned, limit, filtered)


class RangeCells(Step):
    """Each range of keys, of both sides."""

    _words = "merge-output"
    _parameters: ClassVar[list[str]] = ["left", "right", "spec", "way", "planned", "limit", "filtered"]

    @functools.cached_property
    def parts(self) -> tuple[list[SlicedPart] | None, list[SlicedPart] | None]:
        """The partitions of both sides as they are made in tasks; None where other tasks have a part in making them."""
        way: RangesMerge = self.way
        return parts_in_tasks(self.left, way.slice_nbytes), parts_in_tasks(self.right, way.slice_nbytes)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not a side whose tasks are part of this expression's own."""
        sides = zip((self.left, self.right), self.parts, strict=True)
        return [frame for frame, parts in sides if parts is None]

    @property
    def _meta(self) -> Any:
        return self.spec.meta

    def _divisions(self) -> Any:
        return (None,) * (len(self.way.ranges) + 1)

    def _task(self, name: Any, index: int) -> Any:
        way: RangesMerge = self.way
        keys = way.ranges[index]
        left, right = (
            List(*(TaskRef((frame._name, number)) if parts is None else parts[number] for number in numbers))
            for frame, parts, numbers in zip(
                (self.left, self.right), self.parts, (keys.left, keys.right), strict=True
            )
        )
        planned = tuple(
            None if self.filtered else [PlannedPart.of(side, of_side, number) for number in numbers]
            for side, of_side, numbers in zip(
                ("left", "right"), self.planned, (keys.left, keys.right), strict=True
            )
        )
        return Task(name, _maker, left, right, planned, keys, self.spec, way, self.limit)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RangeRows(GatheredRows):
    """The rows of a range of keys, not made yet."""

    sides: tuple[SideInOrder, SideInOrder]
    piece_rows: int

    def pieces(self) -> Iterator[pd.DataFrame]:
        """See :class:`GatheredRows`."""
        left, right = self.sides
        for side in self.sides:
            side.read_on()
        while not (left.ended and right.ended):
            # Neither side has more rows of a key below the last one that has been read of both.
            bound = min(side.last for side in self.sides if not side.ended)
            yield from self._made(bound)
            for side in self.sides:
                if not side.ended and side.last == bound:
                    side.read_on()
        yield from self._made(None)

    def _made(self, bound: int | None) -> Iterator[pd.DataFrame]:
        left, right = (side.taken(bound) for side in self.sides)
        if not (len(left[0]) or len(right[0])):
            return
        joined = join_shard(left, right, self.spec)
        del left, right
        with self.limit.refusing_text():
            yield from self._frames(joined)

    def _frames(self, joined: JoinedShard) -> Iterator[pd.DataFrame]:
        lo, rows = 0, self.piece_rows
        while lo < joined.n_rows:
            hi = min(lo + rows, joined.n_rows)
            try:
                frame = joined.frame(lo, hi, self.slice_nbytes if rows > 1 else self.limit.text_nbytes)
            except TextTooLargeError:
                if rows == 1:
                    raise
                rows = max(1, (hi - lo) // 2)
                continue
            yield frame
            del frame
            # Strings were too large there; what comes after them need not be.
            lo, rows = hi, min(self.piece_rows, 2 * rows)


def _range_rows(
    left: list[Any],
    right: list[Any],
    planned: tuple[list[PlannedPart] | None, list[PlannedPart] | None],
    keys: KeyRange,
    spec: JoinSpec,
    way: RangesMerge,
    limit: PartitionLimit,
) -> RangeRows:
    use_worker()
    sides = tuple(
        SideInOrder(
            parts,
            of_parts,
            side,
            keys,
            slice_nbytes=way.slice_nbytes,
            reading=planned_reading(way.directory, by_columns=by_columns, as_categories=side.coded),
        )
        for parts, of_parts, side, by_columns in zip(
            (left, right), planned, (spec.left, spec.right), way.by_columns, strict=True
        )
    )
    return RangeRows(
        spec=spec,
        slice_nbytes=way.slice_nbytes,
        limit=limit,
        sides=(sides[0], sides[1]),
        piece_rows=way.piece_rows,
    )


_maker = CellMaker(_range_rows)
"""Makes an output partition of the slices of a range of keys."""
