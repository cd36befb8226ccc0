"""What the tasks that find distinct keys do.

Covers: numbers of rows that stay, or go, of staged shards; keys joined with those of neighbours; output partitions,
filtered in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe.engine.distinct.keys import DistinctSpec
from safeframe.engine.exchange.fetch import Sealed, fetch, seal
from safeframe.engine.exchange.nodes import WholePart
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.stage import StagedWriter
from safeframe.engine.exchange.staged_file import Ints, StagedFile
from safeframe.engine.planned.cells import CellMaker
from safeframe.engine.planned.rows import as_planned, check_rows
from safeframe.engine.planned.sources import check_sources
from safeframe.engine.task import conserved, count_rows_out, use_worker
from safeframe.facts.distinct import StagedKeys
from safeframe.facts.files import SourceFiles
from safeframe.kernels.columns.categories import joined_frames
from safeframe.kernels.columns.values import as_series
from safeframe.kernels.distinct import (
    Marks,
    candidates,
    first_row,
    kept_rows,
    partitions_of,
    places_of,
)
from safeframe.sizing.parquet.column_sets import planned_reading
from safeframe.sizing.partitions.slices import SlicedPart
from safeframe.sizing.partitions.tasks import PartitionTask, PartitionTasks

_PLACE = np.dtype(np.int64)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FoundInFiles:
    """The manifest of the rows that stay, or of those that go, whose shards are partitions of the frame."""

    rows: Sealed
    names_kept: bool
    kept: Ints
    """Rows of each partition that stay."""

    def kept_of(self, number: int, rows: int) -> Marks:
        """Return which rows of a partition stay."""
        places = np.asarray(fetch(self.rows, number)[0])
        marks = np.full(rows, not self.names_kept)
        marks[places] = self.names_kept
        return marks

    @property
    def directory(self) -> str:
        """The run's directory."""
        return self.rows.directory


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FoundInMemory:
    """The rows that stay, by their numbers, ascending."""

    numbers: Ints
    kept: Ints
    """Rows of each partition that stay."""
    nulls: int
    """Rows that stay whose only key is null."""
    directory: str = ""

    def kept_of(self, number: int, rows: int) -> Marks:
        """Return which rows of a partition stay."""
        low, high = np.searchsorted(self.numbers, [first_row(number), first_row(number + 1)])
        marks = np.zeros(rows, np.bool_)
        marks[places_of(self.numbers[low:high])] = True
        return marks


Found = FoundInFiles | FoundInMemory


# Keys that pass through files ------------------------------------------------


def seal_keys(staged: Sequence[Sequence[StagedFile]], dtypes: tuple[Any, ...], n_shards: int) -> Sealed:
    """Join the manifests of staged keys."""
    use_worker()
    return seal([file for files in staged for file in files], dtypes, n_shards)


def find_rows(
    sealed: Sealed, shards: range, spec: DistinctSpec, way: StagedKeys, directory: str
) -> list[StagedFile]:
    """Write which rows of some shards stay, or go, by partition of the frame.

    Notes
    -----
    Memory: the keys of one shard, numbered; the numbers of rows that wait to be written.
    """
    use_worker(directory)
    with (
        run_of_task(directory),
        StagedWriter(directory, (_PLACE,), len(spec.rows), way.held_nbytes) as writer,
    ):
        for shard in shards:
            if sealed.shard_rows(shard):
                numbers = _found_in(sealed, shard, spec, names_kept=way.names_kept)
                writer.add([pd.Series(places_of(numbers))], partitions_of(numbers))
        return [writer.finished()]


def shard_keys(sealed: Sealed, shard: int) -> tuple[Ints, list[pd.Series[Any]]]:
    """Read the keys of a shard, in the order of their rows, and the numbers of these."""
    numbers, *keys = fetch(sealed, shard)
    rows = np.asarray(numbers)
    columns = [as_series(column) for column in keys]
    if (rows[1:] < rows[:-1]).any():
        order = np.argsort(rows)
        return rows[order], [column.take(order) for column in columns]
    return rows, columns


def _found_in(sealed: Sealed, shard: int, spec: DistinctSpec, *, names_kept: bool) -> Ints:
    rows, keys = shard_keys(sealed, shard)
    kept = kept_rows(keys, spec.schema, spec.keep)
    found: Ints = rows[kept if names_kept else ~kept]
    return found


def seal_found(staged: Sequence[Sequence[StagedFile]], spec: DistinctSpec, names_kept: bool) -> FoundInFiles:
    """Join the manifests of the rows that were found."""
    use_worker()
    rows = seal([file for files in staged for file in files], (_PLACE,), len(spec.rows))
    kept = rows.rows if names_kept else spec.rows - rows.rows
    return FoundInFiles(rows=rows, names_kept=names_kept, kept=kept)


# Few keys --------------------------------------------------------------------


def few_keys(
    parts: PartitionTasks[SlicedPart], spec: DistinctSpec, empty: pd.DataFrame, slice_nbytes: int
) -> pd.DataFrame:
    """Return the keys of partitions, each once, under the number of their row.

    Notes
    -----
    Memory: a slice of the keys of one partition; distinct keys, joined.
    """
    use_worker()
    found: list[pd.DataFrame] = []
    for part in parts:
        for keys in part.slices(slice_nbytes):
            found = [join_keys([*found, keys], spec)]
    return found[0] if found else empty


def few_keys_of(
    frame: pd.DataFrame,
    numbered: Callable[[SlicedPart], SlicedPart],
    spec: DistinctSpec,
    empty: pd.DataFrame,
    slice_nbytes: int,
) -> pd.DataFrame:
    """Return the keys of a partition that another task made; see :func:`few_keys`."""
    return few_keys(PartitionTasks([numbered(WholePart(frame))]), spec, empty, slice_nbytes)


def join_keys(tables: Sequence[pd.DataFrame], spec: DistinctSpec) -> pd.DataFrame:
    """Join tables of keys, in the order of their rows, and leave out rows that cannot matter."""
    some = [table for table in tables if len(table)] or [tables[0]]
    joined = joined_frames(some)
    return joined[candidates(spec.columns(joined), spec.schema, spec.keep)]


def found_in_few(tables: Sequence[pd.DataFrame], spec: DistinctSpec) -> FoundInMemory:
    """Return the rows that stay, of the keys of all partitions."""
    use_worker()
    joined = join_keys(tables, spec)
    kept = kept_rows(spec.columns(joined), spec.schema, spec.keep)
    numbers = joined.index.to_numpy()[kept]
    counts = np.bincount(partitions_of(numbers), minlength=len(spec.rows))
    nulls = int(joined[spec.on[0]][kept].isna().sum()) if len(spec.on) == 1 else 0
    return FoundInMemory(numbers=numbers, kept=counts, nulls=nulls)


# Output partitions -----------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class InputPart:
    """An input partition: as it is made whole, and in slices where it can be."""

    whole: PartitionTask
    sliced: SlicedPart
    slice_nbytes: int
    by_columns: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DistinctRows:
    """The rows of an output partition, not made yet; see :class:`safeframe.engine.planned.cells.RowsToMake`."""

    part: InputPart | PartitionTask | pd.DataFrame
    number: int
    found: Found
    spec: DistinctSpec
    files: SourceFiles | None = None
    """The files of a partition that is read again, as they were when the graph was made."""

    @property
    def n_rows(self) -> int:
        """How many there are."""
        counts = self.spec.rows if self.spec.wanted == "marks" else self.found.kept
        return int(counts[self.number])

    @property
    def coded(self) -> frozenset[Any]:
        """See :class:`~safeframe.engine.planned.cells.RowsToMake`."""
        return frozenset()

    def whole(self) -> Any:
        """Make all of them."""
        part = self.part.whole if isinstance(self.part, InputPart) else self.part
        with run_of_task(self.found.directory):
            frame = part.make() if isinstance(part, PartitionTask) else part
            check_sources(self.files)
            return filtered(frame, self.number, self.found, self.spec)

    def stretches(self, rows_of: Callable[[float], int]) -> Iterator[pd.DataFrame]:
        """Make them in stretches, one after the other; there is one at least.

        Parameters
        ----------
        rows_of
            Gives the rows of a stretch, from the bytes of a row.
        """
        with run_of_task(self.found.directory):
            made = 0
            for frame in self._gathered():
                most = rows_of(float(frame.memory_usage(deep=True).sum()) / max(1, len(frame)))
                for start in range(0, max(1, len(frame)), most):
                    some = frame.iloc[start : start + most]
                    made += len(some)
                    yield some
                    del some
                del frame
            conserved(self.n_rows, made, f"Output partition {self.number}")
            count_rows_out(made)

    def _gathered(self) -> Iterator[pd.DataFrame]:
        """Give rows that stay, of as many slices as make half of one; an empty frame only where none stays."""
        waiting: list[pd.DataFrame] = []
        nbytes, given = 0, 0
        for frame in self._filtered():
            waiting.append(frame)
            nbytes += int(frame.memory_usage(deep=True).sum())
            del frame
            if not isinstance(self.part, InputPart) or 2 * nbytes >= self.part.slice_nbytes:
                yield joined_frames(waiting)
                nbytes, given = 0, given + 1
        if waiting or not given:
            yield joined_frames(waiting) if waiting else self.whole()

    def _filtered(self) -> Iterator[pd.DataFrame]:
        if not isinstance(self.part, InputPart):
            yield self.whole()
            return
        part, spec, number = self.part, self.spec, self.number
        kept = self.found.kept_of(number, int(spec.rows[number]))
        rows = made = 0
        before = int(self.found.kept[:number].sum()) if spec.ignore_index else 0
        reading = planned_reading(self.found.directory, by_columns=part.by_columns)
        for frame in part.sliced.slices(part.slice_nbytes, reading):
            marks = kept[rows : rows + len(frame)]
            rows += len(frame)
            if len(marks) < len(frame):
                break  # there are more rows than were planned
            some = frame[marks]
            del frame
            if spec.ignore_index:
                some.index = pd.RangeIndex(before + made, before + made + len(some))
            made += len(some)
            if len(some):
                yield some
            del some
        check_sources(self.files)
        check_rows(rows, spec.planned(number))


def _distinct_rows(
    part: InputPart | PartitionTask | pd.DataFrame,
    number: int,
    found: Found,
    spec: DistinctSpec,
    files: SourceFiles | None,
) -> DistinctRows:
    use_worker(found.directory)
    return DistinctRows(part=part, number=number, found=found, spec=spec, files=files)


distinct_cell = CellMaker(_distinct_rows)
"""Make an output partition of an input partition and of what was found."""


def filtered(
    frame: pd.DataFrame, number: int, found: Found, spec: DistinctSpec
) -> pd.DataFrame | pd.Series[Any]:
    """Return the rows of a partition that stay, or its marks."""
    frame = as_planned(frame, spec.planned(number))
    before = int(found.kept[:number].sum()) if spec.ignore_index else 0
    return _finished(frame, found.kept_of(number, len(frame)), spec, before)


def whole_cell(frame: pd.DataFrame, number: int, spec: DistinctSpec) -> pd.DataFrame | pd.Series[Any]:
    """Make an output partition of one that has all rows of its keys."""
    use_worker()
    frame = as_planned(frame, spec.planned(number)) if len(spec.rows) else frame
    return _finished(frame, kept_rows(spec.columns(frame), spec.schema, spec.keep), spec, 0)


def _finished(
    frame: pd.DataFrame, kept: Marks, spec: DistinctSpec, before: int
) -> pd.DataFrame | pd.Series[Any]:
    if spec.wanted == "marks":
        count_rows_out(len(frame))
        return pd.Series(~kept, index=frame.index)
    made = frame[kept]
    if spec.ignore_index:
        made.index = pd.RangeIndex(before, before + len(made))
    count_rows_out(len(made))
    return made
