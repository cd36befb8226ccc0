"""Which groups of a bag each output partition has, known once all items are staged.

Shards are many, and small; their sizes are counted while they are staged. Here
they are put together to as many partitions as there are to be, the largest
first, each into the partition that has least. A shard that is too large for a
partition is read once more: its groups are laid out one after the other, in the
order in which their keys come first, and that row of items is cut.

Covers: cells (a shard, or a range of its items), their partitions, the checks
against the plan.
"""

from __future__ import annotations

import heapq
import itertools
import math
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from safeframe import options
from safeframe.engine.bag.blocks import Entries, ShardSizes
from safeframe.engine.exchange.staged_file import Ints
from safeframe.errors import MemoryBudgetError
from safeframe.facts.bag import BagLimit
from safeframe.kernels.bag.keys import number_keys
from safeframe.units import format_count, format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """Entries of a shard, laid out so that items of a key are together."""

    uniques: list[Any]
    """Distinct keys, in the order in which they come first."""
    starts: Ints
    """Where each key's items begin, and where the last one's end."""
    places: Ints
    """Where each entry's items begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LargeShard:
    """A shard that several cells are of."""

    placed: Placed
    counts: Ints
    """Items of each entry."""
    row_ends: Ints
    """The entry behind the last one of each row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BagCell:
    """What is read for an output partition, among others."""

    shard: int
    low: int = 0
    """First item of those laid out; of a large shard alone."""
    high: int = -1
    """The item behind the last; -1 for all of a shard."""
    nbytes: float = 0.0
    """Bytes of its groups as Python objects."""


def place_entries(entries: Entries) -> Placed:
    """Lay out the entries of a shard."""
    codes, uniques = number_keys(entries.keys)
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes, entries.counts, minlength=len(uniques)))])
    order = np.argsort(codes, kind="stable")
    places = np.empty(len(codes), np.int64)
    places[order] = np.concatenate([[0], np.cumsum(entries.counts[order])])[:-1]
    return Placed(uniques=uniques, starts=starts.astype(np.int64), places=places)


def lay_out_cells(
    sizes: ShardSizes,
    limit: BagLimit,
    look_into: Callable[[int], LargeShard],
    distinct_fraction: float,
) -> tuple[list[list[BagCell]], dict[int, LargeShard]]:
    """Choose the cells of each output partition.

    Parameters
    ----------
    sizes
        What each shard has in all.
    limit
        What was promised.
    look_into
        Reads the keys of a shard.
    distinct_fraction
        Distinct keys by entries, about: what a group takes in addition to its items is
        counted once for each key, not for each block that has it.

    Raises
    ------
    MemoryBudgetError
        When a group, or a partition, would be larger than promised.
    """
    overhead = options.BAG_GROUP_NBYTES
    nbytes = sizes.nbytes + overhead * distinct_fraction * sizes.entries
    cells: list[BagCell] = []
    large: dict[int, LargeShard] = {}
    for at in np.flatnonzero(nbytes > limit.nbytes).tolist():
        shard = int(sizes.shards[at])
        large[shard] = look_into(shard)
        cells += _cut(shard, large[shard].placed, sizes.nbytes[at] / sizes.items[at], limit)
    whole = np.flatnonzero(nbytes <= limit.nbytes)
    cells += [
        BagCell(shard=int(shard), nbytes=float(size))
        for shard, size in zip(sizes.shards[whole].tolist(), nbytes[whole].tolist(), strict=True)
    ]
    return _packed(cells, limit), large


def _cut(shard: int, placed: Placed, item_nbytes: float, limit: BagLimit) -> list[BagCell]:
    """Cut a large shard: between groups, and within those that are too large themselves."""
    starts = placed.starts
    group_nbytes = np.diff(starts) * item_nbytes + options.BAG_GROUP_NBYTES
    heaviest = int(np.argmax(group_nbytes))
    if group_nbytes[heaviest] > limit.nbytes and not limit.split_large_groups:
        raise _too_large_a_group(placed, heaviest, float(group_nbytes[heaviest]), limit)
    ends = np.concatenate([[0.0], np.cumsum(group_nbytes)])
    cells = []
    group, n_groups, most = 0, len(placed.uniques), limit.nbytes / 2
    while group < n_groups:
        if group_nbytes[group] > limit.nbytes:
            low, high = int(starts[group]), int(starts[group + 1])
            pieces = math.ceil(group_nbytes[group] / most)
            bounds = np.linspace(low, high, pieces + 1).astype(np.int64).tolist()
            size = float(group_nbytes[group]) / pieces
            cells += [
                BagCell(shard=shard, low=lo, high=hi, nbytes=size) for lo, hi in itertools.pairwise(bounds)
            ]
            group += 1
            continue
        after = max(group + 1, int(np.searchsorted(ends, ends[group] + most, side="right")) - 1)
        too_large = np.flatnonzero(group_nbytes[group:after] > limit.nbytes)
        if len(too_large):
            after = group + int(too_large[0])
        size = float(ends[after] - ends[group])
        cells.append(BagCell(shard=shard, low=int(starts[group]), high=int(starts[after]), nbytes=size))
        group = after
    return cells


def _packed(cells: Sequence[BagCell], limit: BagLimit) -> list[list[BagCell]]:
    """Put cells together to partitions, the largest first, each to the partition that has least."""
    partitions: list[list[BagCell]] = [[] for _ in range(limit.partitions)]
    filled = [(0.0, number) for number in range(limit.partitions)]
    for cell in sorted(cells, key=lambda cell: -cell.nbytes):
        nbytes, number = filled[0]
        partitions[number].append(cell)
        heapq.heapreplace(filled, (nbytes + cell.nbytes, number))
    largest = max(nbytes for nbytes, _ in filled)
    if largest > limit.nbytes:
        total = sum(cell.nbytes for cell in cells)
        needed = math.ceil(2 * total / limit.nbytes)
        msg = (
            f"The bag's groups take {format_nbytes(total)} as Python objects: of {format_count(limit.partitions)} "
            f"partitions the largest would have {format_nbytes(largest)}, but the plan promised "
            f"{format_nbytes(limit.nbytes)} at most."
        )
        hint = f"Request more partitions: npartitions={needed}. Or give each worker more memory."
        raise MemoryBudgetError(msg, hint=hint, output_nbytes=int(largest), planned_nbytes=limit.nbytes)
    return partitions


def _too_large_a_group(placed: Placed, group: int, nbytes: float, limit: BagLimit) -> MemoryBudgetError:
    items = int(placed.starts[group + 1] - placed.starts[group])
    name = reprlib.repr(placed.uniques[group])
    msg = (
        f"The key {name} has {format_count(items)} items, {format_nbytes(nbytes)} as a list of Python objects, and an "
        f"output partition may have {format_nbytes(limit.nbytes)}."
    )
    hint = (
        "Split it with split_large_groups=True, reduce the bag by key instead (bag.foldby), or give "
        "each worker more memory."
    )
    return MemoryBudgetError(
        msg, hint=hint, key=name, items=items, group_nbytes=int(nbytes), planned_nbytes=limit.nbytes
    )
