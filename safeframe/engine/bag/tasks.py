"""What the tasks of a bag's group-by do.

Covers: staging partitions block by block, sealing them, output partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pandas as pd

from safeframe.engine.bag.blocks import BagColumns, BagRouter, Entries, ShardSizes, block_frame, entries_of
from safeframe.engine.bag.cells import BagCell, LargeShard, Placed, lay_out_cells, place_entries
from safeframe.engine.exchange.fetch import Sealed, fetch, seal
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.stage import stage_files
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.task import conserved, count_rows_out, use_worker
from safeframe.facts.bag import BagRun
from safeframe.kernels.bag.values import Values
from safeframe.sizing.partitions.tasks import PartitionTask, PartitionTasks


@dataclass(frozen=True, kw_only=True, slots=True)
class BagSpec:
    """What every task of one group-by has to know."""

    key: Callable[[Any], Any]
    """Returns the key of an item."""
    run: BagRun
    """What the plan says of it."""
    secret: bytes = field(repr=False)
    """What the run signs its pickles with; it never lies where they do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedBag:
    """What a stage task made of its partitions."""

    files: list[StagedFile]
    sizes: ShardSizes
    """What each shard has of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedBag:
    """All staged items, and which of them each output partition has."""

    rows: Sealed
    """Rows of the exchange, by shard."""
    items: dict[int, int]
    """Items of each shard."""
    partitions: list[list[BagCell]]
    """Cells of each output partition."""
    large: dict[int, LargeShard]
    """Shards that several cells are of."""


def stage_bag(
    source: PartitionTasks[PartitionTask] | Iterable[Any], spec: BagSpec, directory: str
) -> StagedBag:
    """Stage partitions, block by block.

    Raises
    ------
    SchemaMismatchError, UnsupportedError
        When a key has no hash, or an item cannot be pickled.
    StagingFullError, StagingError
        When a file cannot be written; nothing of it stays behind.

    Notes
    -----
    Memory: a partition as it is made, a block with its keys, and blocks that
    wait to be written, in bytes.
    """
    found: list[ShardSizes] = []

    def frames() -> Iterator[Callable[[], pd.DataFrame]]:
        for block in _blocks(source, spec.run.block_items):
            yield partial(_staged_block, block, spec, found)

    files = stage_files(frames(), BagColumns(), BagRouter(spec.run.n_shards), directory, spec.run.held_nbytes)
    return StagedBag(files=files, sizes=ShardSizes.total(found))


def seal_bag(staged: Sequence[StagedBag], spec: BagSpec, directory: str) -> SealedBag:
    """Join all manifests into one, and choose what each output partition has.

    Raises
    ------
    RowConservationError
        When rows are missing.
    MemoryBudgetError
        When a group, or a partition, would be larger than the plan promised.
    """
    use_worker(directory)
    with run_of_task(directory):
        files = [file for part in staged for file in part.files]
        rows = seal(files, BagColumns.dtypes, spec.run.n_shards)
        sizes = ShardSizes.total([part.sizes for part in staged])

        def look_into(shard: int) -> LargeShard:
            return _look_into(rows, shard, spec.secret)

        partitions, large = lay_out_cells(
            sizes, spec.run.limit, look_into, _distinct_fraction(rows, sizes, spec.secret)
        )
        items = dict(zip(sizes.shards.tolist(), sizes.items.tolist(), strict=True))
        return SealedBag(rows=rows, items=items, partitions=partitions, large=large)


def bag_partition(sealed: SealedBag, spec: BagSpec, number: int) -> list[tuple[Any, list[Any]]]:
    """Read the groups of an output partition.

    Notes
    -----
    Memory: the groups as Python objects, and one shard's items in
    bytes and as references.
    """
    directory = sealed.rows.directory
    use_worker(directory)
    pairs: list[tuple[Any, list[Any]]] = []
    with run_of_task(directory):
        for cell in sealed.partitions[number]:
            if cell.high < 0:
                pairs += _whole_shard(sealed, cell.shard, spec.secret)
            else:
                pairs += _part_of_shard(sealed, cell, spec.secret)
    count_rows_out(sum(map(len, (items for _, items in pairs))))
    return pairs


def _blocks(source: PartitionTasks[PartitionTask] | Iterable[Any], n_items: int) -> Iterator[list[list[Any]]]:
    """Cut partitions into blocks, each in a list of its own, so that its user can empty it."""
    for partition in (task.make() for task in source) if isinstance(source, PartitionTasks) else [source]:
        if isinstance(partition, list) and len(partition) <= n_items:
            if partition:
                yield [partition]
            continue
        items = iter(partition)
        while block := list(islice(items, n_items)):
            holder = [block]
            del block
            yield holder


def _staged_block(holder: list[list[Any]], spec: BagSpec, found: list[ShardSizes]) -> pd.DataFrame:
    frame, sizes = block_frame(holder.pop(), spec.key, spec.run.n_shards, spec.secret)
    found.append(sizes)
    return frame


def _look_into(rows: Sealed, shard: int, secret: bytes) -> LargeShard:
    """Learn the groups of a shard, row by row, and nothing of their items."""
    keys: list[Any] = []
    counts, ends = [np.empty(0, np.int64)], []
    for row in range(rows.shard_rows(shard)):
        entries = _entries(rows, shard, secret, [(row, row + 1)])
        keys += entries.keys
        counts.append(entries.counts)
        ends.append(len(keys))
    joined = np.concatenate(counts)
    return LargeShard(
        placed=place_entries(Entries(keys=keys, counts=joined, items=np.empty(0))),
        counts=joined,
        row_ends=np.array(ends, np.int64),
    )


def _distinct_fraction(rows: Sealed, sizes: ShardSizes, secret: bytes) -> float:
    """Learn how many keys there are by entries, from the shard of middling size: a hash makes shards even."""
    if len(sizes.shards) == 0:
        return 1.0
    middle = int(np.argsort(sizes.nbytes)[len(sizes.shards) // 2])
    shard = int(sizes.shards[middle])
    keys = {*_look_into(rows, shard, secret).placed.uniques}
    return len(keys) / int(sizes.entries[middle])


def _entries(rows: Sealed, shard: int, secret: bytes, ranges: list[tuple[int, int]] | None = None) -> Entries:
    return entries_of(fetch(rows, shard, ranges), f"shard {shard} of the bag", secret)


def _whole_shard(sealed: SealedBag, shard: int, secret: bytes) -> Iterable[tuple[Any, list[Any]]]:
    entries = _entries(sealed.rows, shard, secret)
    conserved(sealed.items[shard], len(entries.items), f"shard {shard} of the bag")
    placed = place_entries(entries)
    items = np.empty(len(entries.items), entries.items.dtype)
    items[_positions(placed.places, entries.counts)] = entries.items
    return _pairs(placed, items, 0)


def _part_of_shard(sealed: SealedBag, cell: BagCell, secret: bytes) -> Iterable[tuple[Any, list[Any]]]:
    """Read a range of a large shard, one row of the exchange after the other."""
    large = sealed.large[cell.shard]
    items = np.empty(cell.high - cell.low, object)
    filled = 0
    for row, (first, after) in enumerate(pairwise([0, *large.row_ends.tolist()])):
        places, counts = large.placed.places[first:after], large.counts[first:after]
        if not np.any((places < cell.high) & (places + counts > cell.low)):
            continue
        positions = _positions(places, counts) - cell.low
        wanted = (positions >= 0) & (positions < len(items))
        items[positions[wanted]] = _entries(sealed.rows, cell.shard, secret, [(row, row + 1)]).items[wanted]
        filled += int(wanted.sum())
    conserved(len(items), filled, f"shard {cell.shard} of the bag")
    return _pairs(large.placed, items, cell.low)


def _positions(places: Any, counts: Any) -> Any:
    """Return the place of each item, from those of entries that lie one after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(places - (ends - counts), counts)


def _pairs(placed: Placed, items: Values, low: int) -> Iterable[tuple[Any, list[Any]]]:
    """Return the groups, or pieces of groups, that lie from a place on."""
    high = low + len(items)
    first = int(np.searchsorted(placed.starts, low, side="right")) - 1
    after = int(np.searchsorted(placed.starts, high, side="left"))
    bounds = np.clip(placed.starts[first : after + 1], low, high) - low
    values = items.tolist()
    pieces = map(values.__getitem__, map(slice, bounds[:-1].tolist(), bounds[1:].tolist()))
    return zip(placed.uniques[first:after], pieces, strict=True)
