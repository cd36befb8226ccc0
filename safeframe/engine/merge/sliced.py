"""A merge that is written: slices of one side's partitions, each joined with the side that a worker holds.

::

    WriteCells(Cells(SlicedCells(probe, BuildSide(build))))

Covers: the expression, and the rows of a file as they are made.
Does not cover: writing them (``engine.parquet``), partitions that are made whole (``broadcast_nodes``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from dask.task_spec import Task, TaskRef

from safeframe import options
from safeframe._dask.steps import Step
from safeframe.engine.exchange.nodes import WholePart, parts_in_tasks
from safeframe.engine.merge.broadcast_nodes import ProbeFacts, probe_and_build
from safeframe.engine.merge.broadcast_tasks import joined_with
from safeframe.engine.merge.gathered import GatheredRows
from safeframe.engine.planned.cells import CellMaker, PartitionLimit
from safeframe.engine.planned.rows import PartRows, check_rows
from safeframe.engine.task import use_worker
from safeframe.facts.merge import SlicedMerge
from safeframe.kernels.columns.coded_text import codes_of_text
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.merge.spec import JoinSpec, SideSpec
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
class SlicedRows(GatheredRows):
    """The rows of a partition's file, not made yet."""

    part: SlicedPart
    build: pd.DataFrame
    way: SlicedMerge
    planned: PartRows | None

    def pieces(self) -> Iterator[pd.DataFrame]:
        """See :class:`GatheredRows`."""
        way, rows = self.way, 0
        # Rows were planned by how many they meet, and by bytes of the mean one: here they are known.
        widest = _widest_key_nbytes(self.build, self.spec, way.build_side)
        piece_rows = max(1, min(way.piece_rows, int(way.slice_nbytes / max(widest, 1.0))))
        sides = (self.spec.left, self.spec.right)
        probe, other = sides if way.build_side == "right" else sides[::-1]
        reading = planned_reading(way.directory, by_columns=way.by_columns, as_categories=probe.coded)
        build: pd.DataFrame | None = None
        for frame in self.part.slices(way.slice_nbytes, reading):
            if build is None:
                build = _with_codes(self.build, other, len(frame))
            rows += len(frame)
            for start in range(0, len(frame), piece_rows):
                yield joined_with(frame.iloc[start : start + piece_rows], build, self.spec, way.build_side)
            del frame
        check_rows(rows, self.planned)


def _with_codes(build: pd.DataFrame, side: SideSpec, rows: int) -> pd.DataFrame:
    """Return the small side with numbers for its text, where many rows take values of it."""
    if not side.coded or len(build) * options.CODED_REPEATS > rows:
        return build
    return build.assign(**{name: codes_of_text(build[name].array) for name in side.coded})


def _widest_key_nbytes(build: pd.DataFrame, spec: JoinSpec, build_side: str) -> float:
    """Return the bytes that the rows of one key bring to each row that has it, at most."""
    if spec.how in ("leftsemi", "leftanti") or not len(build):
        return 0.0
    side = spec.right if build_side == "right" else spec.left
    varying, fixed = varying_columns(build)
    codes, _ = encode_keys([build[name] for name in side.on], side.schema)
    _, keys = np.unique(codes, return_inverse=True)
    return float(np.bincount(keys, each_row_nbytes(build, varying, fixed)).max())


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
    return SlicedRows(
        spec=spec,
        slice_nbytes=way.slice_nbytes,
        limit=limit,
        part=part,
        build=build,
        way=way,
        planned=planned,
    )


_maker = CellMaker(_sliced_rows)
"""Makes an output partition of the slices of a partition."""
