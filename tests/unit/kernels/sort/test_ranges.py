"""Rows go to the shard of their range: in order, a key in one shard, nulls in the last."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from dask.base import tokenize
from hypothesis import given
from hypothesis import strategies as st

from safeframe.facts.layout import ShardLayout
from safeframe.kernels.sort.rows import NullsFirst, RangeRouter, ordered_keys, range_router, sorted_keys
from safeframe.kernels.sort.sample import join_samples, sample_keys
from safeframe.planning.sort.ranges import cut_evenly
from tests.property.strategies import KEY_KINDS, key_frames
from tests.unit.kernels.sort.test_rows import keys_of, order_of


def router_of(frame, order, n, *, split, size=4):
    quantiles = join_samples([sample_keys(ordered_keys(frame, order), size)], order)
    return range_router(order, cut_evenly(quantiles, n, split=split).layout, quantiles)


@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(sorted(KEY_KINDS)), min_size=1, max_size=2),
    n=st.integers(1, 6),
    split=st.booleans(),
    na_last=st.booleans(),
)
def test_shards_ascend_with_the_order_and_a_key_is_in_one(data, kinds, n, split, na_last):
    names = [f"k{i}" for i in range(len(kinds))]
    frame = data.draw(key_frames(kinds, names=names, extra="l"))[names]
    ascending = data.draw(st.lists(st.booleans(), min_size=len(kinds), max_size=len(kinds)))
    order = order_of(frame, ascending=ascending, na_last=na_last)
    router = router_of(frame, order, n, split=split)
    ordered = sorted_keys(frame, order)
    null = ordered[names[0]].isna().to_numpy() if order.nulls_apart else np.zeros(len(ordered), bool)
    shards = router.shards(ordered, 0)
    keys = keys_of(ordered)
    assert ((shards >= 0) & (shards < router.n_shards)).all()
    assert (np.diff(shards[~null]) >= 0).all()
    assert (shards[null] == router.n_shards - 1).all()
    assert not router.layout.null_shard or (shards[~null] < router.n_shards - 1).all()
    assert all(
        one != following or a == b for (one, a), (following, b) in pairwise(zip(keys, shards, strict=True))
    )
    for shard in np.flatnonzero(router.layout.single_key):
        assert len({key for key, of_key in zip(keys, shards, strict=True) if of_key == shard}) <= 1
    # Another order of rows, and another number of the first one, change nothing.
    again = router.shards(ordered.iloc[::-1], 17)
    assert again[::-1].tolist() == shards.tolist()


@pytest.mark.parametrize("kind", ["int", "str"])
def test_a_heavy_key_is_alone_among_those_that_the_sample_missed(kind):
    numbers = np.sort(np.concatenate([np.arange(0, 1000), np.full(3000, 500), np.full(3000, 502)]))
    frame = pd.DataFrame({"k": numbers if kind == "int" else [f"{n:04d}" for n in numbers]})
    order = order_of(frame)
    assert order.coded == (kind == "int")
    router = router_of(frame, order, 10, split=True, size=40)
    shards = router.shards(frame, 0)
    for key in (500, 502):
        own = np.unique(shards[numbers == key])
        assert len(own) == 1
        assert router.layout.single_key[own[0]]
        assert set(numbers[shards == own[0]]) == {key}
    between = shards[numbers == 501][0]
    assert shards[numbers == 500][0] < between < shards[numbers == 502][0]
    assert not router.layout.single_key[between]


def test_rows_beyond_the_sampled_keys_have_a_shard():
    for values, beyond in (([5, 6, 7, 8], [-(10**9), 10**9]), (["e", "f", "g", "h"], ["a", "z"])):
        frame = pd.DataFrame({"k": values})
        order = order_of(frame)
        router = router_of(frame, order, 4, split=False)
        assert router.shards(pd.DataFrame({"k": beyond}), 0).tolist() == [0, router.n_shards - 1]


def test_nulls_that_nobody_counted_go_with_the_last_keys():
    frame = pd.DataFrame({"k": pd.array([1, 2, 3, 4], dtype="Int64")})
    router = router_of(frame, order_of(frame), 4, split=False)
    assert not router.layout.null_shard
    late = pd.DataFrame({"k": pd.array([1, None], dtype="Int64")})
    assert router.shards(late, 0).tolist() == [0, router.n_shards - 1]


def test_a_router_is_identified_by_its_order_cuts_and_bounds():
    frame = pd.DataFrame({"k": ["a", "b", "c", "d"]})
    order = order_of(frame)
    one = router_of(frame, order, 2, split=False)
    layout = ShardLayout(
        starts=one.layout.starts, single_key=one.layout.single_key, cells=one.layout.cells, null_shard=False
    )
    assert one.bounds is not None
    others = [
        router_of(frame, order, 4, split=False),
        router_of(frame, order_of(frame, ascending=False), 2, split=False),
        RangeRouter(
            order=order,
            layout=layout,
            bounds=one.bounds.replace("b", "bb").replace("c", "cc"),
            positions=one.positions,
        ),
    ]
    tokens = {tokenize(router, ensure_deterministic=True) for router in (one, *others)}
    assert len(tokens) == 4


def test_the_shard_of_nulls_can_be_the_first():
    frame = pd.DataFrame({"k": pd.array([1, 2, None, 3, 4], dtype="Int64")})
    router = router_of(frame, order_of(frame, na_last=False), 5, split=False)
    assert router.layout.null_shard
    shards = router.shards(frame, 0).tolist()
    assert shards == [0, 1, 4, 2, 3]
    first = NullsFirst(router)
    assert first.n_shards == router.n_shards
    assert first.shards(frame, 0).tolist() == [1, 2, 0, 3, 4]
    assert tokenize(first) != tokenize(router)
