"""Which groups of a bag each output partition has."""

from __future__ import annotations

import numpy as np
import pytest

import safeframe
from safeframe.engine.bag.blocks import Entries, ShardSizes
from safeframe.engine.bag.cells import LargeShard, lay_out_cells, place_entries
from safeframe.facts.bag import BagLimit


def sizes(nbytes, items=10):
    n = len(nbytes)
    return ShardSizes(
        shards=np.arange(n) * 3,
        items=np.full(n, items),
        entries=np.zeros(n, np.int64),
        nbytes=np.array(nbytes, float),
    )


def limit(partitions, nbytes, *, split=False):
    return BagLimit(partitions=partitions, nbytes=nbytes, split_large_groups=split)


def groups(**counts):
    """A shard whose entries are one for each key."""
    entries = Entries(keys=list(counts), counts=np.array(list(counts.values())), items=np.empty(0))
    return LargeShard(placed=place_entries(entries), counts=entries.counts, row_ends=np.array([len(counts)]))


def never(shard):
    raise AssertionError(shard)


def test_the_largest_come_first_and_go_where_least_is():
    partitions, large = lay_out_cells(sizes([90, 10, 10, 30, 40, 10]), limit(2, 100), never, 1.0)
    filled = sorted(sum(cell.nbytes for cell in cells) for cells in partitions)
    assert filled == [90, 100]
    assert sorted(cell.shard for cells in partitions for cell in cells) == [0, 3, 6, 9, 12, 15]
    assert not large


def test_partitions_that_would_be_too_large_are_refused_with_the_number_that_fits():
    with pytest.raises(
        safeframe.MemoryBudgetError, match=r"of 2 partitions the largest would have 160 B"
    ) as info:
        lay_out_cells(sizes([80, 80, 80]), limit(2, 100), never, 1.0)
    assert "npartitions=5" in info.value.hint


def test_a_large_shard_is_cut_between_groups(monkeypatch):
    monkeypatch.setattr("safeframe.options.BAG_GROUP_NBYTES", 0)
    shard = groups(a=3, b=3, c=3, d=1)
    partitions, large = lay_out_cells(sizes([100]), limit(4, 60), lambda number: shard, 1.0)
    cells = sorted((cell.low, cell.high) for cells in partitions for cell in cells)
    assert cells == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert large == {0: shard}


def test_a_large_group_is_refused_or_cut(monkeypatch):
    monkeypatch.setattr("safeframe.options.BAG_GROUP_NBYTES", 0)
    shard = groups(a=1, b=8, c=1)
    with pytest.raises(safeframe.MemoryBudgetError, match="The key 'b' has 8 items, 80 B"):
        lay_out_cells(sizes([100]), limit(4, 60), lambda number: shard, 1.0)
    partitions, _ = lay_out_cells(sizes([100]), limit(5, 60, split=True), lambda number: shard, 1.0)
    cells = sorted((cell.low, cell.high) for cells in partitions for cell in cells)
    assert cells == [(0, 1), (1, 3), (3, 6), (6, 9), (9, 10)]
    assert max(cell.nbytes for cells in partitions for cell in cells) <= 60


def test_what_groups_take_besides_items_counts_once_for_each_key():
    many = ShardSizes(
        shards=np.array([4]), items=np.array([100]), entries=np.array([100]), nbytes=np.array([1000.0])
    )
    (cells,), _ = lay_out_cells(many, limit(1, 10_000), never, 0.1)
    assert cells[0].nbytes == 1000 + 10 * safeframe.options.BAG_GROUP_NBYTES


def test_entries_of_a_key_lie_one_behind_the_other():
    entries = Entries(keys=["a", "b", "a", 1, True], counts=np.array([2, 3, 1, 1, 1]), items=np.empty(0))
    placed = place_entries(entries)
    assert placed.uniques == ["a", "b", 1]
    assert placed.starts.tolist() == [0, 3, 6, 8]
    assert placed.places.tolist() == [0, 3, 2, 6, 7]


def test_nothing():
    partitions, large = lay_out_cells(ShardSizes.total([]), limit(3, 10), never, 1.0)
    assert (partitions, large) == ([[], [], []], {})
