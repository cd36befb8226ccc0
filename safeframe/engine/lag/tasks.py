"""What the tasks of lag features do.

Covers: partitions that stay, with rows of their neighbours; output partitions
from staged rows, with the rows of the halo; shards that P2P moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from safeframe.engine.exchange.fetch import fetch
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.planned.rows import as_planned
from safeframe.engine.sort.tasks import SealedSort, SortSpec, in_order, indexed, seal_sort
from safeframe.engine.task import use_worker
from safeframe.facts.lag import HaloPiece
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.groups import begins_group
from safeframe.kernels.lag.shift import add_lags, edge_rows
from safeframe.kernels.lag.spec import LagSpec
from safeframe.kernels.sort.rows import BlockOrder, rows_in_order
from safeframe.sizing.partitions.tasks import PartitionTask


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A partition, as it was when the plan was made."""

    number: int
    rows: int
    before: tuple[HaloPiece, ...] = ()
    """Rows before it that are needed."""
    after: tuple[HaloPiece, ...] = ()
    """Rows behind it that are needed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edges:
    """The rows at the edges of a partition that others need."""

    head: pd.DataFrame | None
    """Its first rows."""
    tail: pd.DataFrame | None
    """Its last rows."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SealedLag:
    """The manifest of a frame's rows, and what output partitions have to know."""

    sort: SealedSort
    """The rows, in shards."""
    lags: LagSpec
    """What is shifted."""
    staged_in_order: bool
    """Whether the rows of a shard of one key are in order as they were staged."""
    across: bool
    """Whether groups go over several shards."""


# Partitions that stay --------------------------------------------------------


def partition_edges(
    part: PartitionTask | pd.DataFrame, planned: Part, lags: LagSpec, head: int, tail: int
) -> Edges:
    """Return the rows at the edges of a partition."""
    use_worker()
    frame = _made(part, planned)
    n = len(frame)
    return Edges(
        head=edge_rows(frame, lags, slice(0, head)) if head else None,
        tail=edge_rows(frame, lags, slice(n - tail, n)) if tail else None,
    )


def partition_with_halo(
    part: PartitionTask | pd.DataFrame,
    planned: Part,
    before: Sequence[Edges],
    after: Sequence[Edges],
    spec: SortSpec,
    lags: LagSpec,
) -> pd.DataFrame:
    """Add columns to a partition whose rows are in order, with rows of its neighbours."""
    use_worker()
    frame = _made(part, planned)
    if spec.order is not None and not rows_in_order(frame, spec.order):
        msg = f"The rows of partition {planned.number} are not in order, but were when the plan was made."
        raise data_changed(msg, planned=planned.rows, found=planned.rows)
    tails = [
        _piece(edges.tail, piece, last=True) for edges, piece in zip(before, planned.before, strict=True)
    ]
    heads = [_piece(edges.head, piece, last=False) for edges, piece in zip(after, planned.after, strict=True)]
    return indexed(add_lags(frame, lags, before=tails, after=heads), spec)


def _piece(rows: pd.DataFrame | None, piece: HaloPiece, *, last: bool) -> pd.DataFrame:
    assert rows is not None, "planned with the partition that needs it"
    return rows.iloc[len(rows) - piece.rows :] if last else rows.iloc[: piece.rows]


def _made(part: PartitionTask | pd.DataFrame, planned: Part) -> pd.DataFrame:
    frame = part.make() if isinstance(part, PartitionTask) else part
    return as_planned(frame, ("the frame", planned.number, planned.rows))


def lag_whole(frame: pd.DataFrame, spec: SortSpec, lags: LagSpec) -> pd.DataFrame:
    """Add columns to a partition whose groups are whole; its rows stay where they are."""
    assert spec.order is not None, "groups are sorted by an order"
    keys = FrameSpec(meta=frame[list(spec.order.by)].iloc[:0], with_index=False)
    columns = [frame[name].array for name in spec.order.by]
    order = BlockOrder(keys, spec.order).positions(columns)
    return indexed(add_lags(frame, lags, order=order), spec)


# Rows that move --------------------------------------------------------------


def seal_lag(
    staged: Sequence[Sequence[StagedFile]],
    spec: SortSpec,
    layout: ShardLayout,
    lags: LagSpec,
    staged_in_order: bool,
    across: bool,
) -> SealedLag:
    """Join all manifests into one, and check that every row that was counted is there."""
    sealed = seal_sort(staged, spec, layout)
    return SealedLag(sort=sealed, lags=lags, staged_in_order=staged_in_order, across=across)


def lag_cell(sealed: SealedLag, cell: int) -> pd.DataFrame:
    """Make one output partition from staged rows, and the rows of its halo."""
    rows, spec, layout, lags = sealed.sort.rows, sealed.sort.spec, sealed.sort.layout, sealed.lags
    use_worker(rows.directory)
    shard, number, cells = layout.cell_location(cell)
    n = rows.shard_rows(shard)
    low, high = sealed.sort.cuts.rows(shard, n, number, cells)
    first, last = max(0, low - lags.before), min(n, high + lags.after)
    before: list[pd.DataFrame] = []
    after: list[pd.DataFrame] = []
    if sealed.across and high > low:
        before = _neighbours(sealed, shard, lags.before - (low - first), range(shard - 1, -1, -1), last=True)
        after = _neighbours(
            sealed, shard, lags.after - (last - high), range(shard + 1, layout.n_shards), last=False
        )
    block = fetch(rows, shard, [(first, last)], order=_order(sealed, shard))
    frame = spec.frame.frame(block)
    del block
    own = slice(low - first, high - first)
    spec = replace(spec, limit=sealed.sort.cuts.limit(shard, high - low, spec.limit))
    return indexed(add_lags(frame, lags, own=own, before=before, after=after), spec, cell)


def _order(sealed: SealedLag, shard: int) -> BlockOrder | None:
    """Return how the rows of a shard are put in order; None where they are."""
    spec = sealed.sort.spec
    if spec.order is None or (sealed.sort.layout.single_key[shard] and sealed.staged_in_order):
        return None
    return BlockOrder(spec.frame, spec.order)


def _neighbours(sealed: SealedLag, shard: int, need: int, others: range, *, last: bool) -> list[pd.DataFrame]:
    """Read the halo of a shard: as many rows as lags reach, and no further than the group continues.

    Groups were cut by the order of their rows: what is next to a shard is
    known once the neighbour is in order.
    """
    rows, spec, lags = sealed.sort.rows, sealed.sort.spec, sealed.lags
    found: list[pd.DataFrame] = []
    for other in others:
        n = rows.shard_rows(other)
        if need <= 0:
            break
        if n == 0:
            continue
        take = min(need, n)
        wanted = slice(n - take, n) if last else slice(0, take)
        order = _order(sealed, other)
        if order is None:
            part = edge_rows(
                spec.frame.frame(fetch(rows, other, [(wanted.start, wanted.stop)])), lags, slice(None)
            )
        else:
            part = edge_rows(spec.frame.frame(fetch(rows, other, order=order)), lags, wanted)
        found.append(part)
        need -= take
        if begins_group([part[name] for name in lags.by])[1:].any():
            break  # the group begins, or ends, there
    return found[::-1] if last else found


def lag_shard(frame: pd.DataFrame, spec: SortSpec, lags: LagSpec) -> pd.DataFrame:
    """Put a partition that holds whole groups in order, and add its columns."""
    return indexed(add_lags(in_order(frame, spec), lags), spec)
