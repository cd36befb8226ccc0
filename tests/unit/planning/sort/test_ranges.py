"""Cuts of a frame's order: even, and with room for heavy keys."""

from __future__ import annotations

import numpy as np
import pytest

from safeframe.facts.sort import KeyQuantiles
from safeframe.planning.sort.ranges import cut_evenly, cut_to_size


def quantiles(own, *, error=0.0, nulls=0):
    """Keys 10, 20, … with so many rows each, all of them known."""
    own = np.asarray(own)
    return KeyQuantiles(
        codes=10 * np.arange(1, len(own) + 1, dtype="uint64"),
        below=np.concatenate([[0.0], np.cumsum(own)[:-1]]),
        below_error=np.full(len(own), float(error)),
        rows=own.astype(float),
        total_rows=int(own.sum()) + nulls,
        null_rows=nulls,
        values=None,
        partitions=None,
        partition_rows=np.array([own.sum() + nulls]),
    )


def test_light_keys_are_cut_evenly():
    figures = cut_evenly(quantiles([1] * 1000), 10, split=False)
    assert figures.layout.n_cells == 10
    assert figures.largest_rows == 100
    assert figures.layout.starts[0] == 0


def test_the_error_of_both_ends_is_in_the_bound():
    assert cut_evenly(quantiles([1] * 1000, error=3), 10, split=False).largest_rows == 106


def test_a_heavy_key_fills_several_partitions_where_it_may():
    keys = [1] * 100 + [1000] + [1] * 100
    whole = cut_evenly(quantiles(keys), 12, split=False)
    assert whole.largest_rows >= 1000
    assert not whole.layout.single_key.any()
    figures = cut_evenly(quantiles(keys), 12, split=True)
    assert figures.largest_rows <= 110
    alone = int(np.flatnonzero(figures.layout.single_key)[0])
    assert figures.layout.cells[alone] == 10
    assert figures.layout.starts[alone] == 1010
    assert figures.layout.starts[alone + 1] == 1011, "the keys behind it begin just after it"


def test_two_heavy_keys_side_by_side_leave_a_place_for_what_lies_between():
    layout = cut_evenly(quantiles([500, 500]), 10, split=True).layout
    assert layout.starts.tolist() == [0, 11, 20]
    assert layout.single_key.tolist() == [True, False, True]


@pytest.mark.parametrize("split", [True, False])
def test_nulls_have_partitions_of_their_own(split):
    layout = cut_evenly(quantiles([1] * 100, nulls=100), 4, split=split).layout
    assert layout.null_shard
    assert layout.cells[-1] == (2 if split else 1)


def test_only_nulls_and_nothing_at_all():
    assert cut_evenly(quantiles([], nulls=7), 1, split=False).layout.n_cells == 1
    assert cut_evenly(quantiles([]), 1, split=False).layout.n_cells == 1


@pytest.mark.parametrize(("keys", "nulls"), [([], 0), ([], 7), ([1, 9, 1], 0), ([1, 9, 1], 7)])
def test_where_no_key_is_split_each_shard_is_a_partition(keys, nulls):
    """P2P makes its shards partitions, and rows of one that is none would be lost."""
    figures = cut_evenly(quantiles(keys, nulls=nulls), 3, split=False)
    assert figures.layout.n_cells == figures.layout.n_shards
    assert figures.largest_rows >= nulls


@pytest.mark.parametrize("rows", [17, 64, 100, 999])
def test_a_size_is_kept(rows):
    figures = cut_to_size(quantiles([3] * 333, error=1), rows, split=False)
    assert figures.largest_rows <= rows
    assert figures.layout.n_cells <= 2 * (999 / rows + 1)


def test_a_key_that_is_too_large_does_not_make_crumbs_of_the_others():
    figures = cut_to_size(quantiles([1] * 500 + [400] + [1] * 500), 100, split=False)
    assert figures.largest_rows >= 400
    assert figures.layout.n_cells <= 16
