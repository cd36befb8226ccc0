"""A merge that is written: slices of one side's partitions, each joined with the side that a worker holds.

::

    WriteCells(Cells(SlicedCells(probe, BuildSide(build))))

Covers: the expression, and the rows of a file as they are made.
Does not cover: writing them (``engine.parquet``), partitions that are made whole (``broadcast_nodes``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from dask.task_spec import Task, TaskRef

from safeframe._dask.steps import Step
from safeframe.engine.exchange.nodes import WholePart, parts_in_tasks
from safeframe.engine.merge.broadcast_nodes import ProbeFacts, probe_and_build
from safeframe.engine.merge.broadcast_tasks import joined_with
from safeframe.engine.planned.cells import CellMaker, PartitionLimit, rows_nbytes
from safeframe.engine.planned.rows import PartRows, check_rows
from safeframe.engine.task import use_worker
from safeframe.facts.merge import SlicedMerge
from safeframe.kernels.columns.categories import with_same_categories
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.sizing.parquet.column_sets import planned_reading
from safeframe.sizing.partitions.row_nbytes import each_row_nbytes, varying_columns
from safeframe.sizing.partitions.slices import SlicedPart


def sliced_cells(
    left: Any, right: Any, spec: JoinSpec, way: SlicedMerge, planned: ProbeFacts, limit: PartitionLimit
) -> SlicedCells:
    """Return the expression of a merge whose rows are made to be written.

    Raises
    ------
    RowConservationError
        When the large side has other partitions than were planned.
    """
    probe, whole, rows = probe_and_build(left, right, spec, way.build_side, planned)
    return SlicedCells(probe, whole, spec, way, limit, rows)


class SlicedCells(Step):
    """Each partition of the large side, joined with the small one slice by slice."""

    _words = "merge-output"
    _parameters: ClassVar[list[str]] = ["probe", "build", "spec", "way", "limit", "planned"]

    @functools.cached_property
    def parts(self) -> list[SlicedPart] | None:
        """The partitions as they are made in tasks; None where other tasks have a part in making them."""
        return parts_in_tasks(self.probe, self.way.slice_nbytes)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not the large side, where its tasks are part of this expression's own."""
        return [self.probe, self.build] if self.parts is None else [self.build]

    @property
    def _meta(self) -> Any:
        return self.spec.meta

    def _divisions(self) -> Any:
        return (None,) * (self.probe.npartitions + 1)

    def _task(self, name: Any, index: int) -> Any:
        part = TaskRef((self.probe._name, index)) if self.parts is None else self.parts[index]
        planned = None if self.planned is None else self.planned.of_part(index)
        build = TaskRef((self.build._name, 0))
        return Task(name, _maker, part, build, self.spec, self.way, self.limit, planned)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SlicedRows:
    """The rows of a partition's file, not made yet."""

    part: SlicedPart
    build: pd.DataFrame
    spec: JoinSpec
    way: SlicedMerge
    limit: PartitionLimit
    planned: PartRows | None

    @property
    def n_rows(self) -> None:
        """Unknown until all rows are made."""

    def whole(self) -> pd.DataFrame:
        """Make all rows at once, whatever they take."""
        return _one_frame(list(self.stretches(lambda _: 2**62)))

    def stretches(self, rows_of: Callable[[float], int]) -> Iterator[pd.DataFrame]:
        """Make the rows in stretches, one after the other; there is one at least.

        Parameters
        ----------
        rows_of
            Gives the most rows of a stretch, from the bytes of a row.

        Raises
        ------
        MemoryBudgetError
            When there are more rows than were planned, or a stretch has more bytes than a task may use.
        RowConservationError
            When the partition has other rows than were planned.
        """
        rows = nbytes = 0
        rest: pd.DataFrame | None = None
        for gathered, gathered_nbytes in self._gathered():
            held = self.limit.values_nbytes(gathered)
            nbytes += held
            self.limit.pass_values(rows + len(gathered), nbytes, held_nbytes=held)
            most = rows_of(gathered_nbytes / max(1, len(gathered)))
            if rest is not None:
                gathered, rest = _one_frame([rest, gathered]), None
            for start in range(0, max(1, len(gathered)), most):
                some = gathered.iloc[start : start + most]
                if len(some) < most < len(gathered):
                    rest = some  # the beginning of the next stretch
                    break
                yield self._numbered(some, rows)
                rows += len(some)
                del some
            del gathered
        if rest is not None:
            yield self._numbered(rest, rows)
            rows += len(rest)
        self.limit.pass_rows(rows)

    def _numbered(self, frame: pd.DataFrame, first: int) -> pd.DataFrame:
        if isinstance(frame.index, pd.RangeIndex):
            # An index that counts rows goes on counting.
            frame.index = pd.RangeIndex(first, first + len(frame), name=frame.index.name)
        return frame

    def _gathered(self) -> Iterator[tuple[pd.DataFrame, int]]:
        """Join pieces, and gather what they make, with its bytes, up to a slice's; empty ones only where all are."""
        waiting: list[pd.DataFrame] = []
        waiting_nbytes = 0
        empty = True
        for made in self._joined():
            nbytes = rows_nbytes(made)
            if waiting and waiting_nbytes + nbytes > self.way.slice_nbytes:
                yield _one_frame(waiting), waiting_nbytes
                waiting_nbytes, empty = 0, False
            if len(made):
                waiting.append(made)
                waiting_nbytes += nbytes
            del made
        if waiting or empty:
            yield _one_frame(waiting) if waiting else self.spec.meta, waiting_nbytes

    def _joined(self) -> Iterator[pd.DataFrame]:
        way, rows = self.way, 0
        # Rows were planned by how many they meet, and by bytes of the mean one: here they are known.
        widest = _widest_key_nbytes(self.build, self.spec, way.build_side)
        piece_rows = max(1, min(way.piece_rows, int(way.slice_nbytes / max(widest, 1.0))))
        reading = planned_reading(way.directory, by_columns=way.by_columns)
        for frame in self.part.slices(way.slice_nbytes, reading):
            rows += len(frame)
            for start in range(0, len(frame), piece_rows):
                yield joined_with(
                    frame.iloc[start : start + piece_rows], self.build, self.spec, way.build_side
                )
            del frame
        check_rows(rows, self.planned)


def _widest_key_nbytes(build: pd.DataFrame, spec: JoinSpec, build_side: str) -> float:
    """Return the bytes that the rows of one key bring to each row that has it, at most."""
    if spec.how in ("leftsemi", "leftanti") or not len(build):
        return 0.0
    side = spec.right if build_side == "right" else spec.left
    varying, fixed = varying_columns(build)
    codes, _ = encode_keys([build[name] for name in side.on], side.schema)
    _, keys = np.unique(codes, return_inverse=True)
    return float(np.bincount(keys, each_row_nbytes(build, varying, fixed)).max())


def _one_frame(waiting: list[pd.DataFrame]) -> pd.DataFrame:
    """Join frames, and leave the list empty."""
    ignored = isinstance(waiting[0].index, pd.RangeIndex)
    made = waiting[0] if len(waiting) == 1 else pd.concat(with_same_categories(waiting), ignore_index=ignored)
    waiting.clear()
    return made


def _sliced_rows(
    part: SlicedPart | pd.DataFrame,
    build: pd.DataFrame,
    spec: JoinSpec,
    way: SlicedMerge,
    limit: PartitionLimit,
    planned: PartRows | None,
) -> SlicedRows:
    use_worker()
    if isinstance(part, pd.DataFrame):
        part = WholePart(part)
    return SlicedRows(part=part, build=build, spec=spec, way=way, limit=limit, planned=planned)


_maker = CellMaker(_sliced_rows)
"""Makes an output partition of the slices of a partition."""
