"""What the tasks of a merge do.

Covers: the functions that run on workers, from staged files and from shards that
P2P brought.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from safeframe.engine.exchange.fetch import Sealed, fetch, seal, staged_lines
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.p2p.form import P2PForm
from safeframe.engine.p2p.tasks import SettledRows, receive_shard
from safeframe.engine.planned.cell_cuts import EQUAL_PARTS, CellCuts, cuts_by_bytes
from safeframe.engine.planned.cells import CellMaker, CellRows, PartitionLimit
from safeframe.engine.task import use_worker
from safeframe.errors import ValidationError
from safeframe.facts.keys import PlannedKeys
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.columns.values import Block, as_series
from safeframe.kernels.cuts import Places
from safeframe.kernels.keys.ids import key_ids
from safeframe.kernels.merge.cell import frame_block, join_cell, join_rows, join_shard
from safeframe.kernels.merge.single_key_bytes import single_key_line
from safeframe.kernels.merge.spec import JoinSpec, SideSpec
from safeframe.kernels.merge.virtual import product_run, single_key_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedMerge:
    """Both sides' manifests, and what the cells have to know: one object for all of them."""

    left: Sealed
    """Staged rows of the left side."""
    right: Sealed
    """Staged rows of the right side."""
    spec: JoinSpec
    layout: ShardLayout
    limit: PartitionLimit
    """What a cell may not exceed."""
    cuts: CellCuts = EQUAL_PARTS
    """Which rows the cells of one key have."""


def seal_merge(
    left: Sequence[Sequence[StagedFile]],
    right: Sequence[Sequence[StagedFile]],
    spec: JoinSpec,
    layout: ShardLayout,
    limit: PartitionLimit,
    planned: tuple[PlannedKeys, PlannedKeys],
) -> SealedMerge:
    """Join all manifests of a merge into one, and check that no row is missing.

    Raises
    ------
    RowConservationError
        When one is, or a side has other rows, or keys, than were planned.
    MemoryBudgetError
        When a shard's rows are more than a task may read.
    """
    sides = [
        seal([file for files in staged for file in files], side.dtypes, layout.n_shards, keys)
        for staged, side, keys in zip((left, right), (spec.left, spec.right), planned, strict=True)
    ]
    nbytes = np.where(layout.single_key, 0, sides[0].nbytes + sides[1].nbytes)
    with run_of_task(sides[0].directory or sides[1].directory):
        limit.may_read_shards(nbytes, layout, in_ranges=False)
    return SealedMerge(
        left=sides[0],
        right=sides[1],
        spec=spec,
        layout=layout,
        limit=limit,
    )


def seal_cells(
    left: Sequence[Sequence[StagedFile]],
    right: Sequence[Sequence[StagedFile]],
    spec: JoinSpec,
    layout: ShardLayout,
    limit: PartitionLimit,
    planned: tuple[PlannedKeys, PlannedKeys],
) -> SealedMerge:
    """Join all manifests, as :func:`seal_merge` does, and choose the rows of cells of one key by their bytes."""
    sealed = seal_merge(left, right, spec, layout, limit, planned)

    def lines(shards: list[int]) -> dict[int, Places]:
        sides = staged_lines(sealed.left, shards), staged_lines(sealed.right, shards)
        return {
            shard: single_key_line(sides[0][shard], sides[1][shard], spec.how, int(layout.cells[shard]))
            for shard in shards
        }

    with run_of_task(sealed.left.directory or sealed.right.directory):
        return replace(sealed, cuts=cuts_by_bytes(layout, limit, lines))


def staged_rows(sealed: SealedMerge, cell: int, *, coded: bool = False) -> CellRows:
    """Return the rows of one output partition, to be made from staged rows; with ``coded``, text may come as categories."""
    use_worker(sealed.left.directory or sealed.right.directory)
    shard, number, cells = sealed.layout.cell_location(cell)
    if sealed.layout.single_key[shard]:
        n_left, n_right = sealed.left.shard_rows(shard), sealed.right.shard_rows(shard)
        n_rows = product_run(n_left, n_right, sealed.spec.how).n_rows
        make = functools.partial(_single_key, sealed, shard)
        return sealed.cuts.part(shard, n_rows, number, cells, make, sealed.limit, weighed=True)
    spec = sealed.spec.with_coded_text() if coded else sealed.spec
    left, right = (
        fetch(rows, shard, coded=side.coded_positions)
        for rows, side in ((sealed.left, spec.left), (sealed.right, spec.right))
    )
    joined = join_shard(left, right, spec)
    return CellRows.part(
        joined.n_rows, number, cells, joined.frame, sealed.limit, weighed=True, coded=spec.coded
    )


staged_cell = CellMaker(staged_rows, functools.partial(staged_rows, coded=True))
"""Make one output partition from staged rows."""


def _single_key(
    sealed: SealedMerge, shard: int, lo: int, hi: int, most_nbytes: int | None = None
) -> pd.DataFrame:
    spec = sealed.spec
    n_left, n_right = sealed.left.shard_rows(shard), sealed.right.shard_rows(shard)
    parts = single_key_rows(n_left, n_right, spec.how, lo, hi)
    left, right = fetch(sealed.left, shard, parts.left), fetch(sealed.right, shard, parts.right)
    if not spec.left.schema.injective:
        check_one_key(left, right, spec)
    return join_rows(left, right, parts.rows, spec, most_nbytes)


def check_one_key(left: Block, right: Block, spec: JoinSpec) -> None:
    """Refuse two keys with the same 64-bit hash, which is possible and next to impossible."""
    left_keys = [as_series(left[i]) for i in spec.left.key_positions]
    right_keys = [as_series(right[i]) for i in spec.right.key_positions]
    ids = np.concatenate(key_ids(left_keys, right_keys, spec.left.schema))
    if len(ids) and (ids != ids[0]).any():
        msg = "Two different keys have the same 64-bit hash, and one of them is a heavy key."
        hint = "Merge on one more column, or on an integer code of the key."
        raise ValidationError(msg, hint=hint)


@dataclass(frozen=True, slots=True, eq=False)
class MovedSide:
    """One side's rows as P2P has them."""

    token: str
    form: P2PForm


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MovedMerge:
    """What the cells of a merge through P2P have to know: one object for all of them."""

    left: MovedSide
    right: MovedSide
    spec: JoinSpec
    layout: ShardLayout
    limit: PartitionLimit
    """What a cell may not exceed."""
    roomy_nbytes: int
    """What a worker may hold before a cell is made."""


def moved_cell(left: SettledRows, right: SettledRows, merge: MovedMerge, cell: int) -> pd.DataFrame:
    """Make one output partition from the two sides of its shard, which P2P moved to this worker."""
    shard, number, cells = merge.layout.cell_location(cell)
    left_block = _moved(left, merge.left, merge.spec.left, shard, merge.roomy_nbytes)
    right_block = _moved(right, merge.right, merge.spec.right, shard, merge.roomy_nbytes)
    return merge.limit.made(
        lambda most_nbytes: join_cell(left_block, right_block, merge.spec, number, cells, most_nbytes)
    )


def _moved(settled: SettledRows, side: MovedSide, columns: SideSpec, shard: int, roomy_nbytes: int) -> Block:
    return frame_block(receive_shard(settled, side.token, shard, side.form, roomy_nbytes), columns)
