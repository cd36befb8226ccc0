"""What the tasks of a join do whose sides, one or both, are in key order.

Covers: checking a partition against what it was planned with, sealing what is
moved, joining slices of partitions and staged shards, the result in key order.

Order is checked, not believed: a partition has to hold the very keys that it
was planned with, and a cell takes its slices from nothing else. A partition
that no result row can come from is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.engine.exchange.fetch import Sealed, fetch, seal
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.planned.cells import CellMaker, CellRows, PartitionLimit
from safeframe.engine.task import conserved, use_worker
from safeframe.facts.keys import Codes, KeySchema, PartitionKeys, PlannedKeys
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.values import Block, as_promised, as_series, from_arrow, join_columns
from safeframe.kernels.keys.codes import decode_codes, encode_keys
from safeframe.kernels.keys.counts import count_ordered, key_checksum
from safeframe.kernels.keys.nulls import count_nulls, positions_nulls_last, without_nulls
from safeframe.kernels.merge.cell import JoinedShard, join_rows
from safeframe.kernels.merge.in_order import code_order, ordered_join, value_codes
from safeframe.kernels.merge.spec import JoinSpec, SideSpec
from safeframe.kernels.merge.virtual import JoinedRows, Range, single_key_cell
from safeframe.sizing.partitions.tasks import PartitionTask
from safeframe.units import format_count


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlannedPart:
    """A partition in key order, as it was when the join was planned."""

    name: str
    """Its side: left or right."""
    number: int
    rows: int
    null_rows: int
    """Its rows without a key."""
    first: int
    """Its smallest code."""
    last: int
    """Its largest code."""
    checksum: int
    """Of its codes and their rows."""

    @classmethod
    def of(cls, name: str, keys: PartitionKeys, number: int) -> PlannedPart:
        """Return what is known of a partition of a side."""
        return cls(
            name=name,
            number=number,
            rows=int(keys.rows[number]),
            null_rows=int(keys.null_rows[number]),
            first=int(keys.first[number]),
            last=int(keys.last[number]),
            checksum=int(keys.checksums[number]),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SealedSides:
    """The manifests of the sides that were moved."""

    left: Sealed | None
    """Of the left side; None when it stays in its partitions."""
    right: Sealed | None
    """Of the right side."""

    @property
    def directory(self) -> str:
        """The run's directory; empty when no row was staged."""
        return next((side.directory for side in (self.left, self.right) if side and side.directory), "")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellPlace:
    """Where one cell is, and which of the rows it is given are its own."""

    shard: int
    number: int
    """Its number within the shard."""
    cells: int
    low: int
    """The shard's first code."""
    after: int | None
    """The code behind the shard; None for the last one."""
    one_key: bool
    """Whether the shard holds one key alone, or the nulls."""
    nulls: bool
    """Whether it holds the nulls."""
    rows: tuple[int, int]
    """For a shard of one key, its left and right rows as planned."""
    ranges: tuple[tuple[Range, ...], tuple[Range, ...]]
    """For a shard of one key, the rows of it that are wanted of each partition, left and right."""


def checked_part(
    part: PartitionTask | pd.DataFrame, planned: PlannedPart, spec: JoinSpec, after: SealedSides | None
) -> pd.DataFrame:
    """Return a partition's columns in key order, nulls last, once it is what it was planned to be.

    Parameters
    ----------
    part
        The partition, or what makes it.
    planned
        What it has to be.
    spec
        The join.
    after
        What had to be done before: partitions that wait are not to fill workers that stage.

    Raises
    ------
    RowConservationError
        When it has other rows, or other keys.
    SchemaMismatchError
        When its types are not the frame's.
    """
    directory = after.directory if after is not None else ""
    use_worker(directory)
    with run_of_task(directory):
        return _checked(part, planned, spec.left if planned.name == "left" else spec.right)


def _checked(part: PartitionTask | pd.DataFrame, planned: PlannedPart, side: SideSpec) -> pd.DataFrame:
    frame = part.make() if isinstance(part, PartitionTask) else part
    if len(frame) != planned.rows:
        msg = (
            f"Partition {planned.number} of the {planned.name} side has {format_count(len(frame))} rows, and had "
            f"{format_count(planned.rows)} when the merge was planned."
        )
        raise data_changed(msg, planned=planned.rows, found=len(frame))
    series = [
        as_promised(frame[name], dtype).reset_index(drop=True)
        for name, dtype in zip(side.names, side.dtypes, strict=True)
    ]
    del frame, part
    codes, null = encode_keys([series[i] for i in side.key_positions], side.schema)
    order = None if null is None else positions_nulls_last(null)
    codes = without_nulls(codes, null)
    by_code = code_order(codes)
    if by_code is not None:
        codes = codes[by_code]
        whole = np.arange(planned.rows) if order is None else order
        order = np.concatenate([whole[: len(codes)][by_code], whole[len(codes) :]])
    key = series[side.key_positions[0]]
    _check(codes, key if order is None else key.take(order), planned, side.schema)
    ordered = pd.DataFrame(dict(enumerate(series)), index=pd.RangeIndex(planned.rows), copy=False)
    return ordered if order is None else ordered.take(order)


def _check(codes: Codes, keys: pd.Series[Any], planned: PlannedPart, schema: KeySchema) -> None:
    """Raise unless a partition's codes, in order, are those that it was planned with."""
    where = f"Partition {planned.number} of the {planned.name} side"
    nulls = planned.rows - len(codes)
    if nulls != planned.null_rows:
        msg = (
            f"{where} has {format_count(nulls)} rows with a null key, and had {format_count(planned.null_rows)} when "
            "the merge was planned."
        )
        raise data_changed(msg, planned=planned.null_rows, found=nulls)
    if len(codes) == 0:
        return
    if (int(codes[0]), int(codes[-1])) != (planned.first, planned.last):
        ends = np.array([codes[0], codes[-1], planned.first, planned.last], np.uint64)
        found = decode_codes(ends, schema)
        if schema.bounds:
            # Codes name bounds alone, and what is there now need not be one.
            found[:2] = [keys.iloc[0], keys.iloc[len(codes) - 1]]
        msg = (
            f"{where} holds keys from {found[0]!r} to {found[1]!r}, and held keys from {found[2]!r} to {found[3]!r} "
            "when the merge was planned: rows would be missed."
        )
        raise data_changed(msg, planned=planned.rows, found=planned.rows)
    if key_checksum(*count_ordered(codes)) != planned.checksum:
        msg = f"{where} does not hold the keys that it had when the merge was planned, though they are in the same range."
        raise data_changed(msg, planned=planned.rows, found=planned.rows)


def seal_moved(*given: Any) -> SealedSides:
    """Join the manifests of the sides that were moved, and check that no row is missing.

    Called with each moved side's manifests, then the names of these sides, the
    join, the shards, and what was planned of the left and of the right side.
    """
    names: tuple[str, ...]
    spec: JoinSpec
    layout: ShardLayout
    planned: tuple[PlannedKeys, PlannedKeys]
    *sides, names, spec, layout, planned = given
    sealed = {}
    for name, staged in zip(names, sides, strict=True):
        side, keys = (spec.left, planned[0]) if name == "left" else (spec.right, planned[1])
        sealed[name] = seal(_flat(staged), side.dtypes, layout.n_shards, keys)
    return SealedSides(left=sealed.get("left"), right=sealed.get("right"))


def _flat(staged: Sequence[Sequence[StagedFile]]) -> list[StagedFile]:
    return [file for files in staged for file in files]


def ordered_rows(
    left: Sequence[pd.DataFrame],
    right: Sequence[pd.DataFrame],
    sealed: SealedSides | None,
    spec: JoinSpec,
    place: CellPlace,
    limit: PartitionLimit,
) -> CellRows:
    """Return the rows of one output partition, to be made in key order from partitions in key order and staged shards.

    Parameters
    ----------
    left, right
        The partitions that the cell touches, of a side that stays.
    sealed
        The manifests of the sides that were moved; None when there are none.
    spec, place, limit
        The join, the cell and what it may not exceed.
    """
    directory = sealed.directory if sealed is not None else ""
    use_worker(directory)
    sides = (
        _Side("left", left, sealed.left if sealed else None, spec.left),
        _Side("right", right, sealed.right if sealed else None, spec.right),
    )
    with run_of_task(directory):
        if place.one_key:
            of_left, of_right, rows = _one_key(sides, spec, place)

            def make(lo: int, hi: int, most_nbytes: int | None) -> pd.DataFrame:
                return join_rows(of_left, of_right, rows.stretch(lo, hi), spec, most_nbytes)

            return CellRows.part(len(rows), 0, 1, make, limit, directory, weighed=True)
        joined = _shard(sides, spec, place)
        return CellRows.part(
            joined.n_rows, place.number, place.cells, joined.frame, limit, directory, weighed=True
        )


ordered_cell = CellMaker(ordered_rows)
"""Make one output partition, in key order, from partitions in key order and staged shards."""


def _shard(sides: Sequence[_Side], spec: JoinSpec, place: CellPlace) -> JoinedShard:
    (left, left_codes), (right, right_codes) = (side.shard(place) for side in sides)
    if not spec.left.schema.injective:
        left_codes, right_codes = value_codes(
            as_series(left[spec.left.key_positions[0]]), as_series(right[spec.right.key_positions[0]])
        )
    return ordered_join((left, left_codes), (right, right_codes), spec)


def _one_key(sides: Sequence[_Side], spec: JoinSpec, place: CellPlace) -> tuple[Block, Block, JoinedRows]:
    counts = [
        side.sealed.shard_rows(place.shard) if side.sealed is not None else planned
        for side, planned in zip(sides, place.rows, strict=True)
    ]
    if any(side.sealed is None for side in sides):
        # The partitions that the cell was given are those of the rows that were planned.
        for side, count, planned in zip(sides, counts, place.rows, strict=True):
            _check_one_key(side.name, count, planned)
    cell = single_key_cell(counts[0], counts[1], spec.how, place.number, place.cells)
    left, right = (
        side.one_key(place, ranges, of_parts)
        for side, ranges, of_parts in zip(sides, (cell.left, cell.right), place.ranges, strict=True)
    )
    return left, right, cell.rows


def _check_one_key(name: str, rows: int, planned: int) -> None:
    if rows != planned:
        msg = (
            f"A key of the {name} side has {format_count(rows)} rows, and had {format_count(planned)} when the merge "
            "was planned."
        )
        raise data_changed(msg, planned=planned, found=rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One side of a cell, wherever its rows are."""

    name: str
    parts: Sequence[pd.DataFrame]
    sealed: Sealed | None
    spec: SideSpec

    def shard(self, place: CellPlace) -> tuple[Block, Codes]:
        """Return all rows of a shard of several keys, and their codes."""
        if self.sealed is not None:
            block = fetch(self.sealed, place.shard)
            codes, null = self._codes([as_series(block[i]) for i in self.spec.key_positions])
            conserved(0, null, f"rows of the {self.name} side without a key in shard {place.shard}")
            return block, codes
        slices, codes_of = [], []
        for part in self.parts:
            codes, null = self._codes([part[i] for i in self.spec.key_positions])
            codes = codes[: len(codes) - null]
            first = int(np.searchsorted(codes, np.uint64(place.low), side="left"))
            end = len(codes)
            if place.after is not None:
                end = int(np.searchsorted(codes, np.uint64(place.after), side="left"))
            slices.append(part.iloc[first:end])
            codes_of.append(codes[first:end])
        joined = np.concatenate(codes_of) if codes_of else np.empty(0, np.uint64)
        return _block_of_slices(slices, self.spec), joined

    def one_key(self, place: CellPlace, ranges: Sequence[Range], of_parts: Sequence[Range]) -> Block:
        """Return row ranges of a shard of one key: of all its rows, or of those that each partition has."""
        if self.sealed is not None:
            return fetch(self.sealed, place.shard, ranges)
        slices = []
        for part, (begin, end) in zip(self.parts, of_parts, strict=True):
            codes, null = self._codes([part[i] for i in self.spec.key_positions])
            keys = len(codes) - null
            first = keys if place.nulls else int(np.searchsorted(codes[:keys], np.uint64(place.low)))
            slices.append(part.iloc[first + begin : first + end])
        return _block_of_slices(slices, self.spec)

    def _codes(self, keys: Sequence[pd.Series[Any]]) -> tuple[npt.NDArray[np.uint64], int]:
        codes, null = encode_keys(keys, self.spec.schema)
        return codes, count_nulls(null)


def _block_of_slices(slices: Sequence[pd.DataFrame], side: SideSpec) -> Block:
    if not slices:
        return [from_arrow((), dtype) for dtype in side.dtypes]
    # By position: pandas 2.2 may not find a name while another thread looks in the same index for the first time.
    # Not by dask's concat, which gives columns with whole numbers for names, categorical ones among them, others' values.
    return [join_columns([part.iloc[:, i] for part in slices]) for i in range(len(side.dtypes))]
