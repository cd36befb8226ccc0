"""Groups of bags on workers that the kernel holds: measured is at most projected, and projected at most allowed."""

from __future__ import annotations

import dask.bag as db
import numpy as np
import pytest

import safeframe
from tests.memory.test_sort_memory import held

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")

ROWS = 314_572


def numbers(parts):
    return [x for part in parts for x in np.random.default_rng(part).integers(0, 2**20, ROWS).tolist()]


def test_ints(tight):
    bag = db.from_sequence(range(24), npartitions=24).map_partitions(numbers)
    result = safeframe.bag_groupby(bag, lambda x: x % 24)
    plan = safeframe.explain(result)
    found = result.map(lambda pair: (pair[0], len(pair[1]))).compute()
    held(tight, plan)
    assert sorted(key for key, _ in found) == list(range(24))
    assert sum(n for _, n in found) == 24 * ROWS


def records(parts):
    return [
        {"name": f"customer {x}", "value": x, "tags": [x % 7, str(x % 5)]}
        for part in parts
        for x in np.random.default_rng(part).integers(0, 2**14, 30_000).tolist()
    ]


@pytest.mark.nightly
def test_records_of_many_keys(tight):
    bag = db.from_sequence(range(12), npartitions=12).map_partitions(records)
    result = safeframe.bag_groupby(bag, lambda record: record["name"])
    plan = safeframe.explain(result)
    found = result.map(lambda pair: (len(pair[1]), len({record["value"] for record in pair[1]}))).compute()
    held(tight, plan)
    assert sum(n for n, _ in found) == 12 * 30_000
    assert {kinds for _, kinds in found} == {1}


def mostly_one(parts):
    return [x % 50 * (x % 5 == 0) for x in numbers(parts)]


def test_a_group_in_pieces(tight):
    bag = db.from_sequence(range(16), npartitions=16).map_partitions(mostly_one)
    result = safeframe.bag_groupby(bag, int, split_large_groups=True)
    plan = safeframe.explain(result)
    found = result.map(lambda pair: (pair[0], len(pair[1]))).compute()
    held(tight, plan)
    assert sum(n for _, n in found) == 16 * ROWS
    assert max(n for _, n in found) * 40 <= plan.largest_partition_nbytes
    assert len([key for key, _ in found if key == 0]) > 1
